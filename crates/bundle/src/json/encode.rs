//! Writes JSON values: compact for the wire, indented for files people open.

use super::Value;
use alloc::{borrow::Cow, string::String, vec::Vec};

/// An object from fields in the order they are to be written; absent ones are left out.
pub fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Option<Value<'a>>)>) -> Value<'a> {
    Value::Object(fields.into_iter().filter_map(|(n, v)| Some((Cow::Borrowed(n), v?))).collect())
}

impl<'a> Value<'a> {
    /// A string.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::String(text.into())
    }

    /// A string that is left out when empty, as ProtoJSON does with default values.
    #[must_use]
    pub fn text_unless_empty(text: &'a str) -> Option<Self> {
        (!text.is_empty()).then_some(Self::String(Cow::Borrowed(text)))
    }

    /// Bytes as padded standard base64.
    #[must_use]
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::String(Cow::Owned(super::encode_base64(bytes)))
    }

    /// A 64-bit integer, which ProtoJSON writes as a string.
    pub fn int64(value: impl Into<i128>) -> Self {
        Self::String(Cow::Owned(alloc::format!("{}", value.into())))
    }

    /// An array that is left out when empty.
    pub fn array_unless_empty(elements: Vec<Value<'a>>) -> Option<Self> {
        (!elements.is_empty()).then_some(Self::Array(elements))
    }

    /// The shortest text.
    #[must_use]
    pub fn to_compact(&self) -> String {
        let mut out = String::new();
        write(&mut out, self, None);
        out
    }

    /// Indented by two spaces, with a final newline.
    #[must_use]
    pub fn to_pretty(&self) -> String {
        let mut out = String::new();
        write(&mut out, self, Some(0));
        out.push('\n');
        out
    }
}

fn write(out: &mut String, value: &Value<'_>, indent: Option<usize>) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Integer(number) => out.push_str(&alloc::format!("{number}")),
        // Only finite numbers come out of the reader, and nothing here makes others.
        Value::Float(number) => out.push_str(&serde_json::to_string(number).unwrap_or_default()),
        Value::String(text) => write_text(out, text),
        Value::Array(elements) => {
            write_list(out, ('[', ']'), elements, indent, |out, element, indent| write(out, element, indent));
        }
        Value::Object(fields) => {
            write_list(out, ('{', '}'), fields, indent, |out, (name, value), indent| {
                write_text(out, name);
                out.push_str(if indent.is_some() { ": " } else { ":" });
                write(out, value, indent);
            });
        }
    }
}

fn write_list<T>(
    out: &mut String,
    (open, close): (char, char),
    elements: &[T],
    indent: Option<usize>,
    mut each: impl FnMut(&mut String, &T, Option<usize>),
) {
    let inner = indent.map(|n| n + 1);
    let new_line = |out: &mut String, indent: Option<usize>| {
        if let Some(levels) = indent {
            out.push('\n');
            (0..levels).for_each(|_| out.push_str("  "));
        }
    };
    out.push(open);
    for (at, element) in elements.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        new_line(out, inner);
        each(out, element, inner);
    }
    if !elements.is_empty() {
        new_line(out, indent);
    }
    out.push(close);
}

fn write_text(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}
