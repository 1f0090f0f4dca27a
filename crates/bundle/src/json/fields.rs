//! Takes the fields of a ProtoJSON message out of an object, one by one and each once.
//!
//! As ProtoJSON asks: both `lowerCamelCase` and `snake_case` names, `null` for absent, 64-bit integers
//! as strings or numbers, bytes in either base64 alphabet with or without padding.

use super::{
    JsonError, JsonFault, Value,
    engine::{URL_SAFE, padded, standard},
};
use crate::time::UnixTime;
use alloc::{
    borrow::Cow,
    format,
    string::{String, ToString},
    vec::Vec,
};
use base64::Engine as _;

/// Decodes base64 in either alphabet, padded or not, on one line or several (as the `base64` command
/// breaks it, and other readers take it); `None` when it is neither.
#[must_use]
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    if let Ok(bytes) = standard().decode(text) {
        return Some(bytes);
    }
    // Not as nearly everybody writes it: only now is asked what else it may be.
    let on_one_line = text.replace(['\n', '\r'], "");
    match text.contains(['-', '_']) {
        true => URL_SAFE.decode(on_one_line).ok(),
        false => standard().decode(on_one_line).ok(),
    }
}

/// Decodes padded standard base64 on one line, and nothing else.
#[must_use]
pub fn decode_padded_base64(text: &str) -> Option<Vec<u8>> {
    padded().decode(text).ok()
}

/// Padded standard base64.
#[must_use]
pub fn encode_base64(bytes: &[u8]) -> String {
    standard().encode(bytes)
}

/// What becomes of fields nobody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The document is refused.
    Refuse,
    /// They are dropped; for answers of servers that may be newer than we are.
    Ignore,
}

/// The fields of one object that were not taken yet.
#[derive(Debug)]
pub struct Fields<'a> {
    rest: Vec<(Cow<'a, str>, Value<'a>)>,
    unknown: Unknown,
}

impl<'a> Fields<'a> {
    /// Reads a whole document as one message.
    ///
    /// # Errors
    /// Those of [`Value::parse`], and whatever `read` finds.
    pub fn document<T, E: From<JsonError>>(
        document: &'a [u8],
        limit: usize,
        unknown: Unknown,
        read: impl FnOnce(&mut Fields<'a>) -> Result<T, E>,
    ) -> Result<T, E> {
        Self::read(Value::parse(document, limit)?, unknown, read)
    }

    /// Reads a value as one message.
    ///
    /// # Errors
    /// When it is no object, when fields are left over, and whatever `read` finds.
    pub fn read<T, E: From<JsonError>>(
        value: Value<'a>,
        unknown: Unknown,
        read: impl FnOnce(&mut Fields<'a>) -> Result<T, E>,
    ) -> Result<T, E> {
        let Value::Object(rest) = value else { return Err(wrong_type("an object").into()) };
        let mut fields = Self { rest, unknown };
        let message = read(&mut fields)?;
        match fields.rest.first() {
            Some((name, _)) if unknown == Unknown::Refuse => {
                Err(JsonError::here(JsonFault::UnknownField).at(name).into())
            }
            _ => Ok(message),
        }
    }

    /// The value of a field under either spelling; `null` is absent.
    ///
    /// # Errors
    /// [`JsonFault::Repeated`] when both spellings are there.
    pub fn take(&mut self, name: &str) -> Result<Option<Value<'a>>, JsonError> {
        let camel = self.remove(|found| found == name);
        let two_spellings = name.bytes().any(|b| b.is_ascii_uppercase());
        let snake = if two_spellings { self.remove(|found| is_snake_case_of(found, name)) } else { None };
        match (camel, snake) {
            (Some(_), Some(_)) => Err(JsonError::here(JsonFault::Repeated).at(name)),
            (Some(Value::Null) | None, None) | (None, Some(Value::Null)) => Ok(None),
            (found, None) | (None, found) => Ok(found),
        }
    }

    fn remove(&mut self, is_it: impl Fn(&str) -> bool) -> Option<Value<'a>> {
        let at = self.rest.iter().position(|(name, _)| is_it(name))?;
        Some(self.rest.swap_remove(at).1)
    }

    /// A string; absent is empty.
    ///
    /// # Errors
    /// When it is another type.
    pub fn text(&mut self, name: &str) -> Result<String, JsonError> {
        match self.take(name)? {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.into_owned()),
            Some(_) => Err(wrong_type("a string").at(name)),
        }
    }

    /// A string that must be there and not be empty.
    ///
    /// # Errors
    /// When it is absent, empty or another type.
    pub fn required_text(&mut self, name: &str) -> Result<String, JsonError> {
        match self.text(name)? {
            text if text.is_empty() => Err(missing(name)),
            text => Ok(text),
        }
    }

    /// Bytes in base64; absent is empty.
    ///
    /// # Errors
    /// When it is not base64.
    pub fn bytes(&mut self, name: &str) -> Result<Vec<u8>, JsonError> {
        match self.take(name)? {
            None => Ok(Vec::new()),
            Some(value) => bytes(&value).map_err(|e| e.at(name)),
        }
    }

    /// Bytes that must be there and not be empty.
    ///
    /// # Errors
    /// When they are absent, empty or not base64.
    pub fn required_bytes(&mut self, name: &str) -> Result<Vec<u8>, JsonError> {
        match self.bytes(name)? {
            bytes if bytes.is_empty() => Err(missing(name)),
            bytes => Ok(bytes),
        }
    }

    /// A signed integer as number or string; absent is zero.
    ///
    /// # Errors
    /// When it is neither, or does not fit.
    pub fn int64(&mut self, name: &str) -> Result<i64, JsonError> {
        self.integer(name, "an integer that fits 64 bits")
    }

    /// A non-negative integer as number or string; absent is zero.
    ///
    /// # Errors
    /// When it is neither, negative, or does not fit.
    pub fn uint64(&mut self, name: &str) -> Result<u64, JsonError> {
        self.integer(name, "an integer from 0 to 2^64 - 1")
    }

    /// A non-negative 32-bit integer as number or string; absent is zero.
    ///
    /// # Errors
    /// When it is neither, negative, or does not fit.
    pub fn uint32(&mut self, name: &str) -> Result<u32, JsonError> {
        self.integer(name, "an integer from 0 to 2^32 - 1")
    }

    /// A position in a log: non-negative and within 63 bits, as the protocol's type is signed.
    ///
    /// # Errors
    /// When it is neither, negative, or does not fit.
    pub fn index(&mut self, name: &str) -> Result<u64, JsonError> {
        const EXPECTED: &str = "an integer from 0 to 2^63 - 1";
        let value: i64 = self.integer(name, EXPECTED)?;
        u64::try_from(value).map_err(|_| wrong_type(EXPECTED).at(name))
    }

    fn integer<T: TryFrom<i128> + Default>(
        &mut self,
        name: &str,
        expected: &'static str,
    ) -> Result<T, JsonError> {
        let number = match self.take(name)? {
            None => return Ok(T::default()),
            Some(Value::Integer(number)) => Some(number),
            Some(Value::String(text)) => decimal(&text),
            Some(_) => None,
        };
        number.and_then(|n| T::try_from(n).ok()).ok_or_else(|| wrong_type(expected).at(name))
    }

    /// An RFC 3339 time, if the field is there.
    ///
    /// # Errors
    /// When it is not RFC 3339.
    pub fn time(&mut self, name: &str) -> Result<Option<UnixTime>, JsonError> {
        match self.text(name)? {
            text if text.is_empty() => Ok(None),
            text => match UnixTime::parse_rfc3339(&text) {
                Some(time) => Ok(Some(time)),
                None => Err(JsonError::here(JsonFault::Time).at(name)),
            },
        }
    }

    /// One of a list of names or numbers; `named` and `numbered` know them.
    ///
    /// # Errors
    /// When the field is absent, or neither a known name nor a known number.
    pub fn name_or_number<T>(
        &mut self,
        name: &str,
        named: impl FnOnce(&str) -> Option<T>,
        numbered: impl FnOnce(i128) -> Option<T>,
    ) -> Result<T, JsonError> {
        let unknown = |found: String| JsonError::here(JsonFault::UnknownName(found)).at(name);
        match self.take(name)? {
            None => Err(missing(name)),
            Some(Value::String(text)) => named(&text).ok_or_else(|| unknown(text.into_owned())),
            Some(Value::Integer(number)) => numbered(number).ok_or_else(|| unknown(number.to_string())),
            Some(_) => Err(wrong_type("a name or its number").at(name)),
        }
    }

    /// A message within this one, if the field is there.
    ///
    /// # Errors
    /// When it is no object, has unknown fields, and whatever `read` finds.
    pub fn message<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Fields<'a>) -> Result<T, JsonError>,
    ) -> Result<Option<T>, JsonError> {
        let Some(value) = self.take(name)? else { return Ok(None) };
        Self::read(value, self.unknown, read).map(Some).map_err(|e: JsonError| e.at(name))
    }

    /// A message that must be there.
    ///
    /// # Errors
    /// When it is absent, and as for [`Fields::message`].
    pub fn required_message<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Fields<'a>) -> Result<T, JsonError>,
    ) -> Result<T, JsonError> {
        self.message(name, read)?.ok_or_else(|| missing(name))
    }

    /// At most `limit` messages; absent is none.
    ///
    /// # Errors
    /// When there are more, or one of them is not as `read` wants it.
    pub fn messages<T>(
        &mut self,
        name: &str,
        limit: usize,
        mut read: impl FnMut(&mut Fields<'a>) -> Result<T, JsonError>,
    ) -> Result<Vec<T>, JsonError> {
        let unknown = self.unknown;
        self.list(name, limit, |value| Self::read(value, unknown, &mut read))
    }

    /// At most `limit` values; absent is none.
    ///
    /// # Errors
    /// When there are more, or one of them is not as `read` wants it.
    pub fn list<T>(
        &mut self,
        name: &str,
        limit: usize,
        mut read: impl FnMut(Value<'a>) -> Result<T, JsonError>,
    ) -> Result<Vec<T>, JsonError> {
        let elements = match self.take(name)? {
            None => return Ok(Vec::new()),
            Some(Value::Array(elements)) => elements,
            Some(_) => return Err(wrong_type("an array").at(name)),
        };
        if elements.len() > limit {
            let found = elements.len();
            return Err(JsonError::here(JsonFault::TooMany { limit, found }).at(name));
        }
        let read_at = |(at, element)| read(element).map_err(|e| e.at(&format!("[{at}]")).at(name));
        elements.into_iter().enumerate().map(read_at).collect()
    }
}

/// Bytes in base64.
pub(crate) fn bytes(value: &Value<'_>) -> Result<Vec<u8>, JsonError> {
    let text = value.as_str().ok_or_else(|| wrong_type("a string"))?;
    decode_base64(text).ok_or_else(|| JsonError::here(JsonFault::Base64))
}

/// Exactly `N` bytes.
pub(crate) fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], JsonError> {
    let length = JsonFault::Length { expected: N, found: bytes.len() };
    bytes.try_into().map_err(|_| JsonError::here(length))
}

pub(crate) const fn wrong_type(expected: &'static str) -> JsonError {
    JsonError::here(JsonFault::WrongType { expected })
}

pub(crate) fn missing(name: &str) -> JsonError {
    JsonError::here(JsonFault::Missing).at(name)
}

/// Decimal digits with an optional minus and nothing else (`str::parse` would let a plus through).
fn decimal(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || digits.len() > 20 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // As numbers are in JSON (RFC 8259 §6).
    if digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    text.parse().ok()
}

/// Whether `found` is `log_index` where `name` is `logIndex`.
pub(super) fn is_snake_case_of(found: &str, name: &str) -> bool {
    let mut found = found.bytes();
    let spelled = name.bytes().all(|b| {
        (!b.is_ascii_uppercase() || found.next() == Some(b'_'))
            && found.next() == Some(b.to_ascii_lowercase())
    });
    spelled && found.next().is_none()
}
