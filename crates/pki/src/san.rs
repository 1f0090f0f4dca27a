//! Subject alternative names (RFC 5280 §4.2.1.6), as far as identities use them.

use crate::{
    asn1::{self, DerError, Element, SEQUENCE, UTF8_STRING},
    oids,
};
use alloc::{string::String, vec::Vec};
use core::fmt;

const WHAT: &str = "the subject alternative name";
const OTHER_NAME: u8 = asn1::constructed(0);
const EMAIL: u8 = asn1::primitive(1);
const DNS: u8 = asn1::primitive(2);
const URI: u8 = asn1::primitive(6);
/// More names than this in one certificate are refused.
const MAX_NAMES: usize = 256;

/// One name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum San {
    /// rfc822Name.
    Email(String),
    /// uniformResourceIdentifier.
    Uri(String),
    /// otherName 1.3.6.1.4.1.57264.1.7: a username, `user!domain`.
    OtherName(String),
    /// dNSName.
    Dns(String),
    /// A form we do not read, by its identifier octet.
    Unread(u8),
}

impl San {
    /// The name as people write it; none for forms we do not read.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Email(text) | Self::Uri(text) | Self::OtherName(text) | Self::Dns(text) => Some(text),
            Self::Unread(_) => None,
        }
    }

    /// GeneralName in DER; none for forms we do not write, empty names, and text outside ASCII where
    /// the form is IA5String.
    pub(crate) fn encode(&self) -> Option<Vec<u8>> {
        let text = self.as_text().filter(|text| !text.is_empty())?;
        let ia5 = |tag| text.is_ascii().then(|| asn1::wrap(tag, &[text.as_bytes()]));
        match self {
            Self::Email(_) => ia5(EMAIL),
            Self::Uri(_) => ia5(URI),
            Self::Dns(_) => ia5(DNS),
            Self::OtherName(_) => {
                let value = asn1::wrap(asn1::constructed(0), &[&asn1::utf8(text)]);
                Some(asn1::wrap(OTHER_NAME, &[&asn1::oid(&oids::FULCIO_OTHER_NAME), &value]))
            }
            Self::Unread(_) => None,
        }
    }

    fn parse(element: &Element<'_>) -> Result<Self, DerError> {
        let ia5 = || asn1::ascii(element.value).map(String::from).ok_or_else(|| element.error());
        match element.tag {
            EMAIL => ia5().map(Self::Email),
            DNS => ia5().map(Self::Dns),
            URI => ia5().map(Self::Uri),
            OTHER_NAME => {
                let mut fields = element.elements()?;
                let oid = fields.next_any()?.oid()?;
                let value = fields.next(asn1::constructed(0))?;
                fields.finish()?;
                if oid != oids::FULCIO_OTHER_NAME {
                    return Ok(Self::Unread(OTHER_NAME));
                }
                let value = Element::only(value.value, UTF8_STRING, WHAT)?;
                value.text().map(|text| Self::OtherName(String::from(text))).ok_or_else(|| value.error())
            }
            other => Ok(Self::Unread(other)),
        }
    }
}

impl fmt::Display for San {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_text() {
            Some(text) => f.write_str(text),
            None => f.write_str("a name of a form that is not read"),
        }
    }
}

/// The names in the content of the extension's OCTET STRING.
pub(crate) fn parse_all(value: &[u8]) -> Result<Vec<San>, DerError> {
    let mut elements = Element::only(value, SEQUENCE, WHAT)?.elements()?;
    let mut names = Vec::new();
    while !elements.is_empty() && names.len() < MAX_NAMES {
        names.push(San::parse(&elements.next_any()?)?);
    }
    let empty = names.is_empty();
    let error = elements.error();
    elements.finish()?;
    if empty { Err(error) } else { Ok(names) }
}
