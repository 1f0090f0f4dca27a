//! JSON as the Sigstore documents use it: bounded and strict when read, ProtoJSON when written.
//!
//! Reading: RFC 8259 through `serde_json`, into a tree whose size and depth are bounded and whose
//! objects cannot name a field twice (two readers that pick different ones of two equal names would
//! see two different documents). Fields are then taken out one by one, see [`Fields`]; what is left
//! over is refused, or ignored where the caller says so.
//!
//! Writing: field order is the order of insertion, no optional white space unless asked for.

mod encode;
pub(crate) mod engine;
pub(crate) mod fields;
mod skim;

pub use encode::object;
pub use fields::{Fields, Unknown, decode_base64, decode_padded_base64, encode_base64};

use alloc::{
    borrow::Cow,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{cell::Cell, fmt};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use skim::Skim;

/// Objects and arrays within each other; deeper documents are refused.
pub const MAX_DEPTH: usize = 64;
/// Values in one document; a larger count costs more memory than any real document.
pub const MAX_VALUES: usize = 1 << 19;

/// A JSON value that borrows its texts from the document where it can.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without fraction or exponent that fits 64 bits.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// A string.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Value<'a>>),
    /// An object; names are distinct and in the document's order.
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

/// Why a document is not the JSON it should be, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// The field, as `verificationMaterial.tlogEntries[0].logIndex`; empty for the whole document.
    pub path: String,
    /// What is wrong with it.
    pub fault: JsonFault,
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonFault {
    /// The document is larger than its kind may be.
    #[error("{found} bytes are more than the {limit} a document of this kind may have")]
    TooLarge {
        /// The bound.
        limit: usize,
        /// The size.
        found: usize,
    },
    /// Not JSON, too deep, too many values, or a repeated name.
    #[error("not acceptable JSON: {0}")]
    Syntax(String),
    /// A field no document of this kind has.
    #[error("this field is not known")]
    UnknownField,
    /// The field is there twice, under its two spellings.
    #[error("this field is given twice")]
    Repeated,
    /// A field that must be there is not.
    #[error("this field is missing")]
    Missing,
    /// Two fields of which only one may be there.
    #[error("only one of these fields may be given")]
    Exclusive,
    /// Another JSON type.
    #[error("expected {expected}")]
    WrongType {
        /// The type wanted.
        expected: &'static str,
    },
    /// Not base64.
    #[error("not base64")]
    Base64,
    /// Bytes of the wrong length.
    #[error("expected {expected} bytes, found {found}")]
    Length {
        /// The length wanted.
        expected: usize,
        /// The length found.
        found: usize,
    },
    /// More elements than allowed.
    #[error("{found} elements are more than the {limit} accepted")]
    TooMany {
        /// The bound.
        limit: usize,
        /// The count.
        found: usize,
    },
    /// A name outside the list the field takes its values from.
    #[error("`{0}` is not one of this field's values")]
    UnknownName(String),
    /// Not RFC 3339.
    #[error("not a time as in RFC 3339")]
    Time,
}

impl JsonError {
    /// A fault of the value itself; callers add where it is with [`JsonError::at`].
    #[must_use]
    pub const fn here(fault: JsonFault) -> Self {
        Self { path: String::new(), fault }
    }

    /// The same fault, seen from one level further out.
    #[must_use]
    pub fn at(mut self, name: &str) -> Self {
        self.path = match self.path.chars().next() {
            None => name.to_string(),
            Some('[') => format!("{name}{}", self.path),
            Some(_) => format!("{name}.{}", self.path),
        };
        self
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        fmt::Display::fmt(&self.fault, f)
    }
}

impl core::error::Error for JsonError {}

impl<'a> Value<'a> {
    /// Reads one document of at most `limit` bytes.
    ///
    /// # Errors
    /// [`JsonFault::TooLarge`] and [`JsonFault::Syntax`].
    pub fn parse(document: &'a [u8], limit: usize) -> Result<Self, JsonError> {
        Self::parse_fields(document, limit, None)
    }

    /// Reads one document of at most `limit` bytes and keeps, where it is an object, the fields of these names
    /// only. The others are held to the same rules and are `null` then.
    pub(crate) fn parse_only(document: &'a [u8], limit: usize, kept: &[&str]) -> Result<Self, JsonError> {
        Self::parse_fields(document, limit, Some(kept))
    }

    fn parse_fields(document: &'a [u8], limit: usize, kept: Option<&[&str]>) -> Result<Self, JsonError> {
        if document.len() > limit {
            return Err(JsonError::here(JsonFault::TooLarge { limit, found: document.len() }));
        }
        let values = Cell::new(0);
        let mut reader = serde_json::Deserializer::from_slice(document);
        let syntax = |e: serde_json::Error| JsonError::here(JsonFault::Syntax(e.to_string()));
        let value = Tree { limits: Limits { depth: 0, values: &values }, kept }
            .deserialize(&mut reader)
            .map_err(syntax)?;
        reader.end().map_err(syntax)?;
        Ok(value)
    }

    /// The field of that name, when this is an object that has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        match self {
            Self::Object(fields) => fields.iter().find(|(n, _)| n == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The text, when this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

/// Counts what is read: levels on the way down, values in all.
#[derive(Clone, Copy)]
struct Limits<'c> {
    depth: usize,
    values: &'c Cell<usize>,
}

impl Limits<'_> {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("more than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    fn count<E: serde::de::Error>(self) -> Result<(), E> {
        let count = self.values.get();
        if count >= MAX_VALUES {
            return Err(E::custom(format_args!("more than {MAX_VALUES} values")));
        }
        self.values.set(count + 1);
        Ok(())
    }
}

/// Builds a [`Value`].
#[derive(Clone, Copy)]
struct Tree<'c> {
    limits: Limits<'c>,
    /// The fields of this object that are kept, if not all are.
    kept: Option<&'c [&'c str]>,
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value<'de>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value<'de>, D::Error> {
        self.limits.count()?;
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value<'de>, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value<'de>, E> {
        Ok(Value::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<'de>, E> {
        Ok(Value::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value<'de>, E> {
        Ok(Value::String(Cow::Owned(value.to_string())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value<'de>, A::Error> {
        let inner = Self { limits: self.limits.inner()?, kept: None };
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element_seed(inner)? {
            room_for_one(&mut elements);
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let inner = Self { limits: self.limits.inner()?, kept: None };
        let mut fields: Vec<(Cow<'de, str>, Value<'de>)> = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            let value = match self.kept {
                Some(kept) if !kept.contains(&name.as_ref()) => {
                    map.next_value_seed(Skim(inner.limits))?;
                    Value::Null
                }
                _ => map.next_value_seed(inner)?,
            };
            room_for_one(&mut fields);
            fields.push((name, value));
        }
        repeated(fields.iter().map(|(name, _)| name.as_ref()))?;
        Ok(Value::Object(fields))
    }
}

/// A list takes room for four at first: in a document of lists of one, most of the memory would stay unused.
fn room_for_one<T>(list: &mut Vec<T>) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
}

/// So few names are compared each with each: quicker than sorting them.
const FEW: usize = 8;

/// Refuses a name that occurs twice; sorts, so that many names do not cost their square.
fn repeated<'f, E: serde::de::Error>(names: impl ExactSizeIterator<Item = &'f str> + Clone) -> Result<(), E> {
    let differ = |(at, name): (usize, &str)| names.clone().take(at).all(|earlier| earlier != name);
    if names.len() <= FEW && names.clone().enumerate().all(differ) {
        return Ok(());
    }
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    match names.iter().zip(names.iter().skip(1)).find(|(a, b)| a == b) {
        Some((name, _)) => Err(E::custom(format_args!("field `{}` is there twice", name.escape_debug()))),
        None => Ok(()),
    }
}

/// Reads a field's name without copying it.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Cow<'de, str>, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(value.to_string()))
    }
}

#[cfg(test)]
mod tests;
