//! Certificate extensions (RFC 5280 §4.2) whose meaning the path and the identity depend on.

use crate::{
    asn1::{self, BOOLEAN, DerError, Element, Elements, INTEGER, OCTET_STRING, SEQUENCE},
    certificate::CertificateError,
    fulcio_extensions::{ExtensionValues, FulcioExtension},
    oids,
    san::{self, San},
};
use alloc::vec::Vec;
use const_oid::ObjectIdentifier;
use core::ops::Range;

/// More extensions than this in one certificate are refused.
const MAX_EXTENSIONS: usize = 128;
/// More purposes than this in one extended key usage are refused.
const MAX_PURPOSES: usize = 64;

/// One extension as it was encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// What it is.
    pub oid: ObjectIdentifier,
    /// Whether who does not know it must refuse the certificate.
    pub critical: bool,
    /// Content of its OCTET STRING.
    pub value: Vec<u8>,
    /// Where in the certificate the whole element is, for cutting it out of what was signed.
    pub(crate) place: Range<usize>,
}

/// keyUsage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage {
    /// Bit 0: signatures other than over certificates and revocation lists.
    pub digital_signature: bool,
    /// Bit 1: signatures that commit to content, once called nonRepudiation.
    pub content_commitment: bool,
    /// Bit 5: signatures over certificates.
    pub key_cert_sign: bool,
}

/// basicConstraints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicConstraints {
    /// Whether the subject is a CA.
    pub ca: bool,
    /// How many CAs may follow below it.
    pub path_len: Option<u32>,
}

/// The extensions of which the project knows the meaning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) key_usage: Option<KeyUsage>,
    pub(crate) basic_constraints: Option<BasicConstraints>,
    pub(crate) purposes: Option<Vec<ObjectIdentifier>>,
    pub(crate) subject_key_id: Option<Vec<u8>>,
    pub(crate) authority_key_id: Option<Vec<u8>>,
    pub(crate) names: Vec<San>,
}

/// The extensions of a `[3] EXPLICIT Extensions`, each at most once. `place_of` finds an element in the certificate.
pub(crate) fn parse_all(
    explicit: &Element<'_>,
    place_of: impl Fn(&[u8]) -> Range<usize>,
) -> Result<Vec<Extension>, CertificateError> {
    let mut outer = explicit.elements()?;
    let mut list = outer.next(SEQUENCE)?.elements()?;
    outer.finish()?;
    if list.is_empty() {
        return Err(list.error().into());
    }
    let mut extensions: Vec<Extension> = Vec::new();
    while !list.is_empty() {
        let extension = parse(&mut list, &place_of)?;
        if extensions.len() >= MAX_EXTENSIONS {
            return Err(CertificateError::TooManyExtensions { limit: MAX_EXTENSIONS });
        }
        // RFC 5280 §4.2: no more than one of a kind, lest two readers believe different ones.
        if extensions.iter().any(|earlier| earlier.oid == extension.oid) {
            return Err(CertificateError::DuplicateExtension(extension.oid));
        }
        extensions.push(extension);
    }
    Ok(extensions)
}

fn parse(list: &mut Elements<'_>, place_of: impl Fn(&[u8]) -> Range<usize>) -> Result<Extension, DerError> {
    let element = list.next(SEQUENCE)?;
    let mut fields = element.elements()?;
    let oid = fields.next_any()?.oid()?;
    let critical = match fields.next_if(BOOLEAN)? {
        // DEFAULT FALSE is never written in DER.
        Some(flag) if !flag.boolean()? => return Err(flag.error()),
        flag => flag.is_some(),
    };
    let value = fields.next(OCTET_STRING)?.value.to_vec();
    fields.finish()?;
    Ok(Extension { oid, critical, value, place: place_of(element.raw) })
}

/// One extension in DER.
pub(crate) fn encode(oid_content: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let flag = if critical { asn1::boolean_true() } else { Vec::new() };
    asn1::sequence(&[&asn1::wrap(asn1::OID, &[oid_content]), &flag, &asn1::octet_string(value)])
}

/// Reads the extensions whose meaning is known.
pub(crate) fn read_known(extensions: &[Extension]) -> Result<Known, CertificateError> {
    let mut known = Known::default();
    for Extension { oid, value, .. } in extensions {
        match *oid {
            oids::KEY_USAGE => known.key_usage = Some(key_usage(value)?),
            oids::BASIC_CONSTRAINTS => known.basic_constraints = Some(basic_constraints(value)?),
            oids::EXT_KEY_USAGE => known.purposes = Some(purposes(value)?),
            oids::SUBJECT_KEY_ID => {
                let id = Element::only(value, OCTET_STRING, "the subject key identifier")?;
                known.subject_key_id = Some(id.value.to_vec());
            }
            oids::AUTHORITY_KEY_ID => known.authority_key_id = authority_key_id(value)?,
            oids::SUBJECT_ALT_NAME => known.names = san::parse_all(value)?,
            other => {
                if FulcioExtension::by_oid(&other).is_some_and(|row| row.text(value).is_none()) {
                    return Err(CertificateError::MalformedExtension(other));
                }
            }
        }
    }
    Ok(known)
}

/// The values of those of the one table.
pub(crate) fn fulcio_values(extensions: &[Extension]) -> ExtensionValues {
    let mut values = ExtensionValues::new();
    for Extension { oid, value, .. } in extensions {
        if let Some(row) = FulcioExtension::by_oid(oid)
            && let Some(text) = row.text(value)
        {
            values.set_row(row, text);
        }
    }
    values
}

fn key_usage(value: &[u8]) -> Result<KeyUsage, DerError> {
    let element = Element::only(value, asn1::BIT_STRING, "the key usage")?;
    let bits = element.named_bits()?;
    let bit = |number| bits.get(number).unwrap_or(false);
    Ok(KeyUsage { digital_signature: bit(0), content_commitment: bit(1), key_cert_sign: bit(5) })
}

fn basic_constraints(value: &[u8]) -> Result<BasicConstraints, DerError> {
    let mut fields = Element::only(value, SEQUENCE, "the basic constraints")?.elements()?;
    let ca = fields.next_if(BOOLEAN)?.map(|flag| flag.boolean()).transpose()?.unwrap_or(false);
    let path_len = fields.next_if(INTEGER)?.map(|number| number.small_integer()).transpose()?;
    fields.finish()?;
    Ok(BasicConstraints { ca, path_len })
}

fn purposes(value: &[u8]) -> Result<Vec<ObjectIdentifier>, DerError> {
    let mut list = Element::only(value, SEQUENCE, "the extended key usage")?.elements()?;
    let mut purposes = Vec::new();
    while !list.is_empty() && purposes.len() < MAX_PURPOSES {
        purposes.push(list.next_any()?.oid()?);
    }
    let (error, empty) = (list.error(), purposes.is_empty());
    list.finish()?;
    if empty { Err(error) } else { Ok(purposes) }
}

fn authority_key_id(value: &[u8]) -> Result<Option<Vec<u8>>, DerError> {
    let mut fields = Element::only(value, SEQUENCE, "the authority key identifier")?.elements()?;
    Ok(fields.next_if(asn1::primitive(0))?.map(|id| id.value.to_vec()))
}
