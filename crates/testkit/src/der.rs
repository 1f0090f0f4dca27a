//! DER (X.690), written and never refused: whoever builds bad certificates needs a pen without opinions.

use sealog_bundle::UnixTime;
use sealog_pki::ObjectIdentifier;

/// A tag, the length and these parts.
#[must_use]
pub fn element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let length = match content.len() {
        0..128 => vec![low],
        128..256 => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag], length.as_slice(), &content].concat()
}

/// SEQUENCE.
#[must_use]
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(0x30, parts)
}

/// SET OF, its members in DER's order.
#[must_use]
pub fn set_of(tag: u8, mut members: Vec<Vec<u8>>) -> Vec<u8> {
    members.sort();
    element(tag, &[&members.concat()])
}

/// `[number]` around something.
#[must_use]
pub fn explicit(number: u8, inner: &[u8]) -> Vec<u8> {
    element(0xa0 | number, &[inner])
}

/// OBJECT IDENTIFIER.
#[must_use]
pub fn oid(oid: &ObjectIdentifier) -> Vec<u8> {
    element(6, &[oid.as_bytes()])
}

/// INTEGER with this content.
#[must_use]
pub fn integer(content: &[u8]) -> Vec<u8> {
    element(2, &[content])
}

/// OCTET STRING.
#[must_use]
pub fn octet_string(bytes: &[u8]) -> Vec<u8> {
    element(4, &[bytes])
}

/// BIT STRING of whole bytes.
#[must_use]
pub fn bit_string(bytes: &[u8]) -> Vec<u8> {
    element(3, &[&[0], bytes])
}

/// BOOLEAN TRUE.
#[must_use]
pub fn yes() -> Vec<u8> {
    element(1, &[&[0xff]])
}

/// GeneralizedTime, with the fraction of a second that is given as digits.
#[must_use]
pub fn generalized_time(unix: i64, fraction: &str) -> Vec<u8> {
    let point = if fraction.is_empty() { "" } else { "." };
    element(0x18, &[format!("{}{point}{fraction}Z", digits(unix)).as_bytes()])
}

/// UTCTime; times from 2050 on have none.
#[must_use]
pub fn utc_time(unix: i64) -> Vec<u8> {
    let digits = digits(unix);
    assert!(("1950".."2050").contains(&digits.as_str()), "{digits}");
    element(0x17, &[format!("{}Z", &digits[2..]).as_bytes()])
}

/// `20270115080000`.
fn digits(unix: i64) -> String {
    let text = UnixTime::from_seconds(unix).to_string();
    text.chars().filter(char::is_ascii_digit).collect()
}

/// A distinguished name of a common name only.
#[must_use]
pub fn name(common_name: &str) -> Vec<u8> {
    let common_name_type = ObjectIdentifier::new_unwrap("2.5.4.3");
    let attribute = sequence(&[&oid(&common_name_type), &element(0x0c, &[common_name.as_bytes()])]);
    sequence(&[&element(0x31, &[&attribute])])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_certificates_write_them() {
        assert_eq!(utc_time(1_800_000_000), b"\x17\x0d270115080000Z");
        assert_eq!(generalized_time(1_800_000_000, "25"), b"\x18\x1220270115080000.25Z");
    }

    #[test]
    fn lengths_are_the_shortest() {
        for (length, head) in [(127, [4, 127].as_slice()), (128, &[4, 0x81, 128]), (256, &[4, 0x82, 1, 0])] {
            assert!(octet_string(&vec![0; length]).starts_with(head));
        }
    }
}
