//! Names in DER, shown: as much as describing a certificate or a timestamp takes, and nothing that decides.
//!
//! What is believed of certificates and tokens is read by `sealog-pki`. It has no reason to keep an issuer's
//! name in words, nor whom a token says it is by.

use sealog_pki::ObjectIdentifier;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const EXPLICIT: u8 = 0xa0;
const KEY_ID: u8 = 0x80;

/// Attribute types with their short names (RFC 4514 §3, X.520).
const TYPES: [(&str, &str); 8] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
];

/// An element: its identifier octet, its content.
type Element<'a> = (u8, &'a [u8]);

/// The first element, and what comes after it.
fn first(bytes: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match *length {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some(((*tag, content), rest))
}

/// All elements in a row.
fn all(mut bytes: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut elements = Vec::new();
    while !bytes.is_empty() {
        let (element, rest) = first(bytes)?;
        elements.push(element);
        bytes = rest;
    }
    Some(elements)
}

/// The content of the only element, which has this identifier.
fn only(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    match first(bytes)? {
        ((found, content), []) if found == tag => Some(content),
        _ => None,
    }
}

/// A distinguished name in DER as `CN=…, O=…`; empty for one without attributes.
pub(super) fn name(der: &[u8]) -> Option<String> {
    name_of(only(der, SEQUENCE)?)
}

fn name_of(content: &[u8]) -> Option<String> {
    let mut texts = Vec::new();
    for (_, set) in all(content)? {
        let mut attributes = Vec::new();
        for (_, attribute) in all(set)? {
            let [(_, oid), (_, value)] = all(attribute)?[..] else { return None };
            let oid = ObjectIdentifier::from_bytes(oid).ok()?.to_string();
            let short =
                TYPES.iter().find(|(known, _)| *known == oid).map_or(oid.as_str(), |(_, short)| short);
            attributes.push(format!("{short}={}", escaped(&String::from_utf8_lossy(value))));
        }
        texts.push(attributes.join("+"));
    }
    Some(texts.join(", "))
}

/// A value that cannot be taken for further attributes.
fn escaped(value: &str) -> String {
    value.chars().fold(String::new(), |mut text, c| {
        if matches!(c, ',' | '+' | '=' | '\\') {
            text.push('\\');
        }
        text.push(c);
        text
    })
}

/// Whom a timestamp's token says it is by.
pub(super) enum TokenSigner<'a> {
    /// The issuer of the authority's certificate, and that certificate's serial number.
    Certificate {
        /// In words.
        issuer: String,
        /// The number.
        serial: &'a [u8],
    },
    /// The identifier of the authority's key.
    KeyId(&'a [u8]),
}

/// Whom the token in a TimeStampResp says it is by (RFC 3161 §2.4.2, RFC 5652 §5.3).
pub(super) fn token_signer(response: &[u8]) -> Option<TokenSigner<'_>> {
    let (_, (_, token)) = pair(only(response, SEQUENCE)?)?;
    let (_, (tag, explicit)) = pair(token)?;
    let signed_data = only(explicit, SEQUENCE).filter(|_| tag == EXPLICIT)?;
    let (_, signers) = *all(signed_data)?.last().filter(|(tag, _)| *tag == SET)?;
    let (_, signer) = *all(signers)?.first()?;
    match *all(signer)?.get(1)? {
        (SEQUENCE, content) => {
            let ((_, issuer), (_, serial)) = pair(content)?;
            Some(TokenSigner::Certificate { issuer: name_of(issuer)?, serial })
        }
        (KEY_ID, id) => Some(TokenSigner::KeyId(id)),
        _ => None,
    }
}

fn pair(content: &[u8]) -> Option<(Element<'_>, Element<'_>)> {
    match all(content)?[..] {
        [one, two] => Some((one, two)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_pretend_to_have_more_attributes() {
        let name = |value: &[u8]| {
            let wrap =
                |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
            let attribute = [wrap(6, &[0x55, 4, 3]), wrap(12, value)].concat();
            super::name(&wrap(SEQUENCE, &wrap(SET, &wrap(SEQUENCE, &attribute))))
        };
        assert_eq!(name(b"ann").as_deref(), Some("CN=ann"));
        assert_eq!(name(b"ann, O=other").as_deref(), Some("CN=ann\\, O\\=other"));
        assert_eq!(super::name(&[SEQUENCE, 0]).as_deref(), Some(""));
        for broken in [
            &[][..],
            &[SEQUENCE],
            &[SEQUENCE, 1],
            &[SEQUENCE, 0x80],
            &[SEQUENCE, 0x84, 255, 255, 255, 255],
            &[SET, 0],
        ] {
            assert_eq!(super::name(broken), None, "{broken:?}");
        }
    }
}
