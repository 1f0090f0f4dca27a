//! Distinguished names (RFC 5280 §4.1.2.4): reading one attribute, and writing organisation and common name.
//!
//! Names are compared as the bytes they were encoded in, as the Sigstore clients do.

use crate::{
    asn1::{self, DerError, Element, SEQUENCE, SET},
    oids,
};
use alloc::{string::String, vec::Vec};
use const_oid::ObjectIdentifier;

const WHAT: &str = "the distinguished name";

/// Checks that `name` is a sequence of sets of attributes.
pub(crate) fn check(name: &Element<'_>) -> Result<(), DerError> {
    walk(name, |_, _| ())
}

/// The last attribute of this type whose value is text.
pub(crate) fn attribute(name: &[u8], wanted: &ObjectIdentifier) -> Option<String> {
    let mut found = None;
    let name = Element::only(name, SEQUENCE, WHAT).ok()?;
    walk(&name, |oid, value| {
        if oid == *wanted {
            found = value.text().map(String::from).or(found.take());
        }
    })
    .ok()?;
    found
}

fn walk(name: &Element<'_>, mut visit: impl FnMut(ObjectIdentifier, Element<'_>)) -> Result<(), DerError> {
    name.expect(SEQUENCE)?;
    let mut sets = name.elements()?;
    while !sets.is_empty() {
        let mut attributes = sets.next(SET)?.elements()?;
        while !attributes.is_empty() {
            let mut attribute = attributes.next(SEQUENCE)?.elements()?;
            let oid = attribute.next_any()?.oid()?;
            let value = attribute.next_any()?;
            attribute.finish()?;
            visit(oid, value);
        }
    }
    Ok(())
}

/// A name of organisation (left out when empty) and common name.
pub(crate) fn encode(organization: &str, common_name: &str) -> Vec<u8> {
    let attribute =
        |oid, text: &str| asn1::wrap(SET, &[&asn1::sequence(&[&asn1::oid(&oid), &asn1::utf8(text)])]);
    let organization =
        if organization.is_empty() { Vec::new() } else { attribute(oids::ORGANIZATION, organization) };
    asn1::sequence(&[&organization, &attribute(oids::COMMON_NAME, common_name)])
}
