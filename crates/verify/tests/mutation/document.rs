//! A bundle's document as places: every value with its path, so that one can be changed and nothing else.

use sealog_bundle::{
    Bundle, Content, KeyMaterial,
    json::{Value, decode_base64},
};

/// A step from a value to one inside it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Field(String),
    Element(usize),
}

/// The way from the document to a value.
pub(crate) type Path = Vec<Step>;

/// The path as people read it. Which element of a list it was is left out, as a rule holds for all of them;
/// but a chain's first certificate is the signer's.
pub(crate) fn place(path: &[Step]) -> String {
    let mut place = String::new();
    for step in path {
        match step {
            Step::Element(0) if place.ends_with(".certificates") => place.push_str("[0]"),
            Step::Element(_) if place.ends_with(".certificates") => place.push_str("[1..]"),
            Step::Field(name) if place.is_empty() => place.push_str(name),
            Step::Field(name) => place.extend([".", name]),
            Step::Element(_) => place.push_str("[]"),
        }
    }
    place
}

/// A document that owns its texts.
pub(crate) fn owned(value: &Value<'_>) -> Value<'static> {
    match value {
        Value::Null => Value::Null,
        Value::Bool(flag) => Value::Bool(*flag),
        Value::Integer(number) => Value::Integer(*number),
        Value::Float(number) => Value::Float(*number),
        Value::String(text) => Value::text(text.to_string()),
        Value::Array(list) => Value::Array(list.iter().map(owned).collect()),
        Value::Object(fields) => Value::Object(
            fields.iter().map(|(name, value)| (name.to_string().into(), owned(value))).collect(),
        ),
    }
}

/// Every value with its path, outer ones first.
pub(crate) fn values<'v>(value: &'v Value<'static>) -> Vec<(Path, &'v Value<'static>)> {
    fn walk<'v>(value: &'v Value<'static>, path: &mut Path, found: &mut Vec<(Path, &'v Value<'static>)>) {
        found.push((path.clone(), value));
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    path.push(Step::Field(name.to_string()));
                    walk(value, path, found);
                    path.pop();
                }
            }
            Value::Array(list) => {
                for (at, value) in list.iter().enumerate() {
                    path.push(Step::Element(at));
                    walk(value, path, found);
                    path.pop();
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, &mut Vec::new(), &mut found);
    found
}

pub(crate) fn is_scalar(value: &Value<'_>) -> bool {
    !matches!(value, Value::Object(_) | Value::Array(_))
}

/// The value at a path.
pub(crate) fn at<'v>(value: &'v Value<'static>, path: &[Step]) -> Option<&'v Value<'static>> {
    path.iter().try_fold(value, |value, step| match (step, value) {
        (Step::Field(name), Value::Object(fields)) => fields.iter().find(|(n, _)| n == name).map(|(_, v)| v),
        (Step::Element(at), Value::Array(list)) => list.get(*at),
        _ => None,
    })
}

/// The value at a path, to be changed.
pub(crate) fn at_mut<'v>(value: &'v mut Value<'static>, path: &[Step]) -> Option<&'v mut Value<'static>> {
    path.iter().try_fold(value, |value, step| match (step, value) {
        (Step::Field(name), Value::Object(fields)) => {
            fields.iter_mut().find(|(n, _)| n == name).map(|(_, v)| v)
        }
        (Step::Element(at), Value::Array(list)) => list.get_mut(*at),
        _ => None,
    })
}

/// Puts a value, or nothing, at a path whose parent is there; whether it could.
pub(crate) fn put(document: &mut Value<'static>, path: &[Step], new: Option<Value<'static>>) -> bool {
    let Some((last, parent)) = path.split_last() else { return false };
    match (at_mut(document, parent), last, new) {
        (Some(Value::Object(fields)), Step::Field(name), new) => {
            fields.retain(|(n, _)| n != name);
            fields.extend(new.map(|value| (name.clone().into(), value)));
            true
        }
        (Some(Value::Array(list)), Step::Element(at), Some(new)) if *at < list.len() => {
            list[*at] = new;
            true
        }
        (Some(Value::Array(list)), Step::Element(at), Some(new)) if *at == list.len() => {
            list.push(new);
            true
        }
        _ => false,
    }
}

/// What a text in a bundle is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    Bytes(Vec<u8>),
    Text(String),
    Number(i64),
}

/// What the text at a path is. Every field is here, or the test stops: a new one wants to be looked at.
pub(crate) fn meaning(path: &[Step], value: &Value<'_>) -> Meaning {
    let name = path.iter().rev().find_map(|step| match step {
        Step::Field(name) => Some(name.as_str()),
        Step::Element(_) => None,
    });
    match (name.unwrap(), value) {
        (
            "signature"
            | "sig"
            | "rawBytes"
            | "digest"
            | "payload"
            | "signedTimestamp"
            | "keyId"
            | "canonicalizedBody"
            | "rootHash"
            | "hashes"
            | "signedEntryTimestamp",
            Value::String(text),
        ) => Meaning::Bytes(decode_base64(text).unwrap()),
        (
            "mediaType" | "algorithm" | "hint" | "envelope" | "payloadType" | "kind" | "version" | "keyid",
            Value::String(text),
        ) => Meaning::Text(text.to_string()),
        ("logIndex" | "treeSize" | "integratedTime", Value::String(text)) => {
            Meaning::Number(text.parse().unwrap())
        }
        ("logIndex" | "treeSize" | "integratedTime", Value::Integer(number)) => {
            Meaning::Number(i64::try_from(*number).unwrap())
        }
        (name, value) => panic!("nobody said what `{name}` is: {value:?}"),
    }
}

/// The bytes at a path in a bundle that was read, for the long ones: to change them without reading it again.
pub(crate) fn bytes_at<'b>(bundle: &'b mut Bundle, path: &[Step]) -> Option<&'b mut Vec<u8>> {
    let elements: Vec<usize> = path
        .iter()
        .filter_map(|step| match step {
            Step::Element(at) => Some(*at),
            Step::Field(_) => None,
        })
        .collect();
    let Some(Step::Field(name)) = path.last() else { return None };
    let material = &mut bundle.material;
    match (name.as_str(), elements.as_slice(), &mut material.key, &mut bundle.content) {
        ("rawBytes", [], KeyMaterial::Certificate(der), _) => Some(der),
        ("rawBytes", [at], KeyMaterial::Chain(chain), _) => chain.get_mut(*at),
        ("signedTimestamp", [at], ..) => material.timestamps.get_mut(*at),
        ("canonicalizedBody", [at], ..) => Some(&mut material.log_entries.get_mut(*at)?.canonicalized_body),
        ("signedEntryTimestamp", [at], ..) => material.log_entries.get_mut(*at)?.inclusion_promise.as_mut(),
        ("payload", [], _, Content::Envelope(envelope)) => Some(&mut envelope.payload),
        _ => None,
    }
}

/// A document in pieces: what comes before one text, and after it.
pub(crate) struct Frame {
    before: String,
    after: String,
}

impl Frame {
    /// Around the value at a path.
    pub(crate) fn around(document: &Value<'static>, path: &[Step]) -> Self {
        const MARK: &str = "the place that is changed";
        let mut marked = document.clone();
        *at_mut(&mut marked, path).unwrap() = Value::text(MARK);
        let text = marked.to_compact();
        let (before, after) = text.split_once(&format!("\"{MARK}\"")).unwrap();
        Self { before: before.into(), after: after.into() }
    }

    /// With another value in the place.
    pub(crate) fn with(&self, value: &Value<'_>) -> String {
        [&self.before, value.to_compact().as_str(), &self.after].concat()
    }
}
