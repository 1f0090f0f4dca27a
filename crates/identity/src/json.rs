//! JSON (RFC 8259) from strangers: read once, bounded, and refused where two readers could differ.
//!
//! A member that occurs twice is refused: which of them counts is each parser's own choice, and a
//! token that means one thing to us and another to a neighbour is an attack.

use alloc::{borrow::ToOwned as _, collections::BTreeMap, string::String, vec::Vec};
use core::fmt;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

/// Arrays and objects within each other: tokens of real issuers have three or four.
pub const MAX_DEPTH: usize = 16;

/// An object's members.
pub type Object = BTreeMap<String, Json>;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number without fraction or exponent that fits 64 bits.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// An array.
    Array(Vec<Json>),
    /// An object; no member occurs twice.
    Object(Object),
}

/// Why bytes are not JSON as it is taken here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON at all.
    #[error("not JSON (line {line}, column {column})")]
    Syntax {
        /// Where, from 1.
        line: usize,
        /// Where, from 1.
        column: usize,
    },
    /// A member occurs twice in one object.
    #[error("the member {0:?} occurs twice")]
    Duplicate(String),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// JSON, but no object.
    #[error("not a JSON object")]
    NotAnObject,
}

/// Parses a document whose outermost value is an object. The caller bounds its length.
///
/// # Errors
/// See [`JsonError`].
pub fn parse_object(bytes: &[u8]) -> Result<Object, JsonError> {
    let refusal = core::cell::RefCell::new(None);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let parsed = Seed { depth: MAX_DEPTH, refusal: &refusal }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    match parsed {
        Ok(Json::Object(object)) => Ok(object),
        Ok(_) => Err(JsonError::NotAnObject),
        Err(error) => Err(refusal
            .into_inner()
            .unwrap_or(JsonError::Syntax { line: error.line(), column: error.column() })),
    }
}

impl Json {
    /// What kind of value it is, in words for a person.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// The text, if it is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members, if it is an object.
    #[must_use]
    pub const fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Json]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }
}

/// A stranger's text as an error repeats it: not at any length.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 64;
    text.chars().take(MOST).collect()
}

/// Reads one value with `depth` levels left. serde's errors carry only text, so a refusal of ours is
/// left in `refusal` for [`parse_object`] to find.
#[derive(Clone, Copy)]
struct Seed<'a> {
    depth: usize,
    refusal: &'a core::cell::RefCell<Option<JsonError>>,
}

impl Seed<'_> {
    fn refuse<E: de::Error>(self, error: JsonError) -> E {
        let text = E::custom(&error);
        self.refusal.replace(Some(error));
        text
    }

    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| self.refuse(JsonError::TooDeep))?;
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Integer(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut elements = Vec::new();
        while let Some(element) = access.next_element_seed(inner)? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let inner = self.deeper()?;
        let mut object = Object::new();
        while let Some(name) = access.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(self.refuse(JsonError::Duplicate(shortened(&name))));
            }
            let value = access.next_value_seed(inner)?;
            object.insert(name, value);
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_that_occur_twice_are_refused_at_any_depth() {
        assert_eq!(parse_object(br#"{"a":1,"a":1}"#), Err(JsonError::Duplicate("a".into())));
        assert_eq!(parse_object(br#"{"x":[{"a":1,"\u0061":2}]}"#), Err(JsonError::Duplicate("a".into())));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |n: usize| alloc::format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
        assert!(parse_object(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(parse_object(nested(MAX_DEPTH + 1).as_bytes()), Err(JsonError::TooDeep));
        assert_eq!(parse_object("[".repeat(100_000).as_bytes()), Err(JsonError::TooDeep));
    }

    #[test]
    fn only_one_object_and_nothing_after_it() {
        assert_eq!(parse_object(b"[]"), Err(JsonError::NotAnObject));
        assert_eq!(parse_object(b"{} {}"), Err(JsonError::Syntax { line: 1, column: 4 }));
        assert!(matches!(parse_object(b"{\"a\":"), Err(JsonError::Syntax { .. })));
        assert!(matches!(parse_object(b"{\"a\":\"\xff\"}"), Err(JsonError::Syntax { .. })));
    }
}
