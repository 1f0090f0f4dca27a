//! DER elements: reading them one by one with their original bytes, and writing them.
//!
//! Reading stands on the `der` crate, which holds the rules of DER (definite, shortest lengths) and
//! bounds nesting; this file adds only that an element keeps the bytes it came as. Writing cannot fail.

use alloc::{string::String, vec::Vec};
use const_oid::ObjectIdentifier;
use core::time::Duration;
use der::{
    Decode, Encode as _, Header, Length, SliceReader,
    asn1::{BitStringRef, GeneralizedTime, UtcTime},
};

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OID: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
pub(crate) const PRINTABLE_STRING: u8 = 0x13;
pub(crate) const IA5_STRING: u8 = 0x16;
pub(crate) const UTC_TIME: u8 = 0x17;
pub(crate) const GENERALIZED_TIME: u8 = 0x18;

/// First second of 2050: from then on certificates carry GeneralizedTime (RFC 5280 §4.1.2.5).
const YEAR_2050: i64 = 2_524_608_000;

/// Bytes that are not the DER they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not well-formed DER")]
pub struct DerError {
    /// The structure that was being read.
    pub what: &'static str,
}

/// The tag of a constructed context-specific element, `[n]`.
pub(crate) const fn constructed(number: u8) -> u8 {
    0xa0 | number
}

/// The tag of a primitive context-specific element, `[n] IMPLICIT`.
pub(crate) const fn primitive(number: u8) -> u8 {
    0x80 | number
}

/// One element, as it was encoded.
#[derive(Clone, Copy)]
pub(crate) struct Element<'a> {
    /// Identifier octet.
    pub(crate) tag: u8,
    /// Content octets.
    pub(crate) value: &'a [u8],
    /// Identifier, length and content.
    pub(crate) raw: &'a [u8],
    what: &'static str,
}

/// A row of elements, read from the front.
#[derive(Clone)]
pub(crate) struct Elements<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Elements<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Result<Self, DerError> {
        Length::try_from(bytes.len()).map_err(|_| DerError { what })?;
        Ok(Self { rest: bytes, what })
    }

    pub(crate) fn error(&self) -> DerError {
        DerError { what: self.what }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn next_any(&mut self) -> Result<Element<'a>, DerError> {
        let (header, length) = match usual_header(self.rest) {
            Some(lengths) => lengths,
            None => header_of(self.rest).map_err(|_| self.error())?,
        };
        let whole = header.checked_add(length).and_then(|whole| self.rest.split_at_checked(whole));
        let (raw, rest) = whole.ok_or_else(|| self.error())?;
        match (raw.first(), raw.get(header..)) {
            (Some(&tag), Some(value)) => {
                self.rest = rest;
                Ok(Element { tag, value, raw, what: self.what })
            }
            _ => Err(self.error()),
        }
    }

    pub(crate) fn next(&mut self, tag: u8) -> Result<Element<'a>, DerError> {
        let element = self.next_any()?;
        if element.tag == tag { Ok(element) } else { Err(self.error()) }
    }

    /// The next element, if it is there and has this tag.
    pub(crate) fn next_if(&mut self, tag: u8) -> Result<Option<Element<'a>>, DerError> {
        match self.rest.first() {
            Some(&found) if found == tag => self.next_any().map(Some),
            _ => Ok(None),
        }
    }

    pub(crate) fn finish(self) -> Result<(), DerError> {
        if self.is_empty() { Ok(()) } else { Err(self.error()) }
    }
}

/// Lengths of the header and of the content of the element that `bytes` begin with.
fn header_of(bytes: &[u8]) -> Result<(usize, usize), der::Error> {
    let header = Header::decode(&mut SliceReader::new(bytes)?)?;
    Ok((header.encoded_len()?.try_into()?, header.length().try_into()?))
}

/// The same, where that is a kind and a length as nearly all of a certificate's are: else the library is asked.
fn usual_header(bytes: &[u8]) -> Option<(usize, usize)> {
    let (tag, rest) = bytes.split_first()?;
    match *tag {
        BOOLEAN..=OID | UTF8_STRING | PRINTABLE_STRING | IA5_STRING..=GENERALIZED_TIME | SEQUENCE | SET => {}
        // Context-specific ones, their numbers below ten.
        0x80..=0x89 | 0xa0..=0xa9 => {}
        _ => return None,
    }
    match *rest {
        [length @ 0..=0x7f, ..] => Some((2, usize::from(length))),
        [0x81, length @ 0x80..=0xff, ..] => Some((3, usize::from(length))),
        [0x82, high @ 1..=0xff, low, ..] => Some((4, usize::from(u16::from_be_bytes([high, low])))),
        _ => None,
    }
}

impl<'a> Element<'a> {
    /// The single element of this tag that `bytes` are.
    pub(crate) fn only(bytes: &'a [u8], tag: u8, what: &'static str) -> Result<Self, DerError> {
        let mut elements = Elements::new(bytes, what)?;
        let element = elements.next(tag)?;
        elements.finish()?;
        Ok(element)
    }

    pub(crate) fn error(&self) -> DerError {
        DerError { what: self.what }
    }

    /// The elements inside.
    pub(crate) fn elements(&self) -> Result<Elements<'a>, DerError> {
        Elements::new(self.value, self.what)
    }

    pub(crate) fn oid(&self) -> Result<ObjectIdentifier, DerError> {
        self.expect(OID)?;
        ObjectIdentifier::from_bytes(self.value).map_err(|_| self.error())
    }

    pub(crate) fn boolean(&self) -> Result<bool, DerError> {
        match (self.tag, self.value) {
            (BOOLEAN, [0x00]) => Ok(false),
            (BOOLEAN, [0xff]) => Ok(true),
            _ => Err(self.error()),
        }
    }

    /// Content of an INTEGER in the shortest form.
    pub(crate) fn integer(&self) -> Result<&'a [u8], DerError> {
        self.expect(INTEGER)?;
        match self.value {
            [] | [0x00, 0x00..=0x7f, ..] | [0xff, 0x80..=0xff, ..] => Err(self.error()),
            value => Ok(value),
        }
    }

    /// A non-negative INTEGER that fits 32 bits.
    pub(crate) fn small_integer(&self) -> Result<u32, DerError> {
        let bytes = self.integer()?;
        if bytes.first().is_some_and(|top| top & 0x80 != 0) {
            return Err(self.error());
        }
        bytes
            .iter()
            .try_fold(0u32, |sum, byte| sum.checked_mul(256)?.checked_add(u32::from(*byte)))
            .ok_or_else(|| self.error())
    }

    /// Content of a BIT STRING of whole bytes.
    pub(crate) fn bit_string(&self) -> Result<&'a [u8], DerError> {
        self.expect(BIT_STRING)?;
        match self.value {
            // No bit of the last byte is unused.
            [0, bytes @ ..] => Ok(bytes),
            _ => Err(self.error()),
        }
    }

    /// A BIT STRING whose bits have names.
    pub(crate) fn named_bits(&self) -> Result<BitStringRef<'a>, DerError> {
        self.expect(BIT_STRING)?;
        BitStringRef::from_der(self.raw).map_err(|_| self.error())
    }

    /// UTF8String, PrintableString or IA5String; none for other kinds.
    pub(crate) fn text(&self) -> Option<&'a str> {
        match self.tag {
            UTF8_STRING => core::str::from_utf8(self.value).ok(),
            PRINTABLE_STRING | IA5_STRING => ascii(self.value),
            _ => None,
        }
    }

    /// UTCTime or GeneralizedTime in whole seconds, as certificates carry it.
    pub(crate) fn time(&self) -> Result<i64, DerError> {
        let since_epoch = match self.tag {
            UTC_TIME => UtcTime::from_der(self.raw).map(|t| t.to_unix_duration()),
            GENERALIZED_TIME => GeneralizedTime::from_der(self.raw).map(|t| t.to_unix_duration()),
            _ => return Err(self.error()),
        };
        let seconds = since_epoch.map_err(|_| self.error())?.as_secs();
        i64::try_from(seconds).map_err(|_| self.error())
    }

    pub(crate) fn expect(&self, tag: u8) -> Result<(), DerError> {
        if self.tag == tag { Ok(()) } else { Err(self.error()) }
    }
}

/// The text of bytes that are all ASCII.
pub(crate) fn ascii(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes).ok().filter(|text| text.is_ascii())
}

/// An element of this tag around the parts.
pub(crate) fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length.saturating_add(1 + 1 + size_of::<usize>()));
    out.push(tag);
    let octets = length.to_be_bytes();
    let shortest = octets.iter().copied().skip_while(|octet| *octet == 0);
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let count = shortest.clone().fold(0u8, |count, _| count.saturating_add(1));
            out.push(0x80 | count);
            out.extend(shortest);
        }
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    wrap(SEQUENCE, parts)
}

/// SET OF, in the order DER asks for.
pub(crate) fn set_of(tag: u8, mut members: Vec<Vec<u8>>) -> Vec<u8> {
    members.sort();
    wrap(tag, &[&members.concat()])
}

pub(crate) fn oid(oid: &ObjectIdentifier) -> Vec<u8> {
    wrap(OID, &[oid.as_bytes()])
}

pub(crate) fn octet_string(bytes: &[u8]) -> Vec<u8> {
    wrap(OCTET_STRING, &[bytes])
}

/// BIT STRING of whole bytes.
pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    wrap(BIT_STRING, &[&[0], bytes])
}

pub(crate) fn null() -> Vec<u8> {
    wrap(NULL, &[])
}

pub(crate) fn utf8(text: &str) -> Vec<u8> {
    wrap(UTF8_STRING, &[text.as_bytes()])
}

pub(crate) fn boolean_true() -> Vec<u8> {
    wrap(BOOLEAN, &[&[0xff]])
}

/// INTEGER of an unsigned big-endian number.
pub(crate) fn unsigned(bytes: &[u8]) -> Vec<u8> {
    let start = bytes.iter().take_while(|byte| **byte == 0).count();
    let digits = bytes.get(start..).unwrap_or_default();
    match digits.first() {
        Some(top) if top & 0x80 == 0 => wrap(INTEGER, &[digits]),
        _ => wrap(INTEGER, &[&[0], digits]),
    }
}

/// GeneralizedTime in whole seconds; none before 1970 or after 9999.
pub(crate) fn generalized_time(unix: i64) -> Option<Vec<u8>> {
    let since_epoch = Duration::from_secs(u64::try_from(unix).ok()?);
    GeneralizedTime::from_unix_duration(since_epoch).ok()?.to_der().ok()
}

/// UTCTime until 2049, GeneralizedTime after; none before 1970 or after 9999.
pub(crate) fn time(unix: i64) -> Option<Vec<u8>> {
    if unix >= YEAR_2050 {
        return generalized_time(unix);
    }
    let since_epoch = Duration::from_secs(u64::try_from(unix).ok()?);
    UtcTime::from_unix_duration(since_epoch).ok()?.to_der().ok()
}

/// GeneralizedTime with or without a fraction of a second (RFC 3161 §2.4.2), in milliseconds.
///
/// The `der` crate knows whole seconds only, and real tokens carry fractions.
pub(crate) fn fractional_time(element: &Element<'_>) -> Result<i64, DerError> {
    element.expect(GENERALIZED_TIME)?;
    let bad = || element.error();
    let text = ascii(element.value).and_then(|text| text.strip_suffix('Z')).ok_or_else(bad)?;
    let (whole, fraction) = match text.split_once('.') {
        Some((_, fraction)) if fraction.is_empty() || fraction.ends_with('0') => return Err(bad()),
        Some((whole, fraction)) => (whole, fraction),
        None => (text, ""),
    };
    if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(bad());
    }
    let whole: String = [whole, "Z"].concat();
    let whole = wrap(GENERALIZED_TIME, &[whole.as_bytes()]);
    let seconds = Element::only(&whole, GENERALIZED_TIME, element.what)?.time()?;
    let digits = fraction.bytes().chain(core::iter::repeat(b'0')).take(3);
    let millis = digits.fold(0i64, |sum, digit| sum * 10 + i64::from(digit.wrapping_sub(b'0')));
    seconds.checked_mul(1000).and_then(|ms| ms.checked_add(millis)).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_form_of_length_is_what_the_library_reads() {
        for tag in 0..=u8::MAX {
            for first in 0..=u8::MAX {
                for second in [0, 1, 0x7f, 0x80, 0x81, 0xff] {
                    for third in [0, 0x80, 0xff] {
                        let bytes = [tag, first, second, third, 0, 0];
                        if let Some(lengths) = usual_header(&bytes) {
                            assert_eq!(header_of(&bytes), Ok(lengths), "{bytes:02x?}");
                        }
                    }
                }
            }
        }
        assert_eq!(
            (usual_header(&[SEQUENCE, 0x82, 1, 2]), usual_header(&[OID, 3])),
            (Some((4, 258)), Some((2, 3)))
        );
    }
}
