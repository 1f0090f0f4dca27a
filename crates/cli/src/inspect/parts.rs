//! The parts a description is put together from: fields that may be broken, bytes too long to show, keys.
//!
//! A description is an ordered tree. It is printed as JSON or put into words, so that both say the same.

use sealog_bundle::{
    UnixTime,
    json::{Value, decode_base64, object},
};
use sealog_crypto::{PublicKey, sha256};
use std::fmt;

/// A piece of a description.
pub(crate) type Part = Value<'static>;

/// So many of one kind are described; who wants to read more has the document.
const MOST_DESCRIBED: usize = 4096;

/// The member that says why a part could not be read.
pub(super) const UNREADABLE: &str = "unreadable";

pub(super) fn text(text: impl Into<String>) -> Part {
    Value::text(text.into())
}

/// What could not be read, and why.
pub(super) fn unreadable(why: impl fmt::Display) -> Part {
    object([(UNREADABLE, Some(text(why.to_string())))])
}

/// What was read, or why it could not be.
pub(super) fn or_why(read: Result<Part, impl fmt::Display>) -> Part {
    read.unwrap_or_else(unreadable)
}

/// Bytes by length and digest.
pub(super) fn blob(bytes: &[u8]) -> Part {
    object([
        ("bytes", Some(Value::Integer(i128::try_from(bytes.len()).unwrap_or(i128::MAX)))),
        ("sha256", Some(text(hex(&sha256(bytes))))),
    ])
}

/// A key by kind and digest.
pub(super) fn key(spki: &[u8]) -> Part {
    let kind = match PublicKey::from_spki_der(spki) {
        Ok(key) => text(key.kind().to_string()),
        Err(error) => text(format!("of no kind that is used: {error}")),
    };
    object([("kind", Some(kind)), ("sha256", Some(text(hex(&sha256(spki)))))])
}

pub(super) fn seconds(seconds: i64) -> Part {
    text(UnixTime::from_seconds(seconds).to_string())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// A field under either spelling; `null` is absent.
pub(super) fn field<'v, 'd>(value: &'v Value<'d>, name: &str) -> Option<&'v Value<'d>> {
    let found = value.get(name).or_else(|| value.get(&snake(name)));
    found.filter(|value| **value != Value::Null)
}

fn snake(name: &str) -> String {
    name.chars().fold(String::new(), |mut snake, c| {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
        snake
    })
}

/// The names of fields that are none of `known`.
pub(super) fn unknown_fields(value: &Value<'_>, known: &[&str]) -> Option<Part> {
    let Value::Object(fields) = value else { return None };
    let is_known = |name: &str| known.iter().any(|known| *known == name || snake(known) == name);
    let unknown = fields.iter().filter(|(name, _)| !is_known(name));
    Value::array_unless_empty(unknown.map(|(name, _)| text(name.to_string())).collect())
}

/// A field that is text.
pub(super) fn string(value: &Value<'_>, name: &str) -> Option<Part> {
    field(value, name).map(|value| or_why(value.as_str().map(text).ok_or("not a string")))
}

/// A field that is bytes, decoded and described.
pub(super) fn bytes<E: fmt::Display>(
    value: &Value<'_>,
    name: &str,
    describe: impl FnOnce(Vec<u8>) -> Result<Part, E>,
) -> Option<Part> {
    let value = field(value, name)?;
    let decoded = value.as_str().and_then(decode_base64);
    Some(decoded.map_or_else(|| unreadable("not base64"), |bytes| or_why(describe(bytes))))
}

/// A field that is a message.
pub(super) fn message(
    value: &Value<'_>,
    name: &str,
    describe: impl FnOnce(&Value<'_>) -> Part,
) -> Option<Part> {
    field(value, name).map(|value| match value {
        Value::Object(_) => describe(value),
        _ => unreadable("not an object"),
    })
}

/// A field that is a list of messages.
pub(super) fn messages(value: &Value<'_>, name: &str, describe: impl Fn(&Value<'_>) -> Part) -> Option<Part> {
    Some(match field(value, name)? {
        Value::Array(elements) => {
            let described = elements.iter().take(MOST_DESCRIBED).map(|element| match element {
                Value::Object(_) => describe(element),
                _ => unreadable("not an object"),
            });
            let more = elements.len().saturating_sub(MOST_DESCRIBED);
            let rest = (more > 0).then(|| unreadable(format!("{more} more, which are not described")));
            Value::Array(described.chain(rest).collect())
        }
        _ => unreadable("not an array"),
    })
}

/// A field that is a 64-bit number, as a number or in a string.
pub(super) fn number(value: &Value<'_>, name: &str) -> Option<Result<i64, &'static str>> {
    let number = match field(value, name)? {
        Value::Integer(number) => i64::try_from(*number).ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    Some(number.ok_or("not a 64-bit number"))
}

/// A field that counts: a number that is not negative.
pub(super) fn count(value: &Value<'_>, name: &str) -> Option<Part> {
    let number = number(value, name)?;
    Some(or_why(match number {
        Ok(number @ 0..) => Ok(Value::Integer(number.into())),
        Ok(negative) => Err(format!("{negative} is negative")),
        Err(why) => Err(why.to_owned()),
    }))
}
