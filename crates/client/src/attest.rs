//! Statements about files: which predicate types there are short names for, and the payload to sign.
//!
//! in-toto attestation spec v1. What a predicate claims is the signer's word and nobody checks it here,
//! beyond that it is a JSON object.

use crate::sign::Payload;
use sealog_bundle::{
    JsonError,
    statement::{self, Subject},
};
use sealog_crypto::Digest;

/// Short names for predicate types, as cosign has them.
const SHORT_NAMES: [(&str, &str); 10] = [
    ("slsaprovenance", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance02", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
    ("spdx", "https://spdx.dev/Document"),
    ("spdxjson", "https://spdx.dev/Document"),
    ("cyclonedx", "https://cyclonedx.org/bom"),
    ("link", "https://in-toto.io/Link/v1"),
    ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
    ("openvex", "https://openvex.dev/ns"),
    ("custom", "https://cosign.sigstore.dev/attestation/v1"),
];

/// The predicate type of a short name or URI; none when it is neither.
#[must_use]
pub fn predicate_type(name: &str) -> Option<&str> {
    let known = SHORT_NAMES.iter().find(|(short, _)| *short == name).map(|(_, uri)| *uri);
    // A predicate type is a URI (in-toto TypeURI): something with a scheme.
    let is_uri = || url::Url::parse(name).is_ok();
    known.or_else(|| is_uri().then_some(name))
}

/// The short names, for those who mistyped one.
pub fn short_names() -> impl Iterator<Item = &'static str> {
    SHORT_NAMES.iter().map(|(short, _)| *short)
}

/// A statement about one file, ready to sign.
///
/// # Errors
/// When the predicate is not a JSON object.
pub fn payload(
    name: &str,
    digest: Digest,
    predicate_type: &str,
    predicate: &[u8],
) -> Result<Payload, JsonError> {
    let subject = Subject { name: name.to_owned(), digests: vec![digest] };
    let statement = statement::encode(&[subject], predicate_type, predicate)?;
    Ok(Payload::Statement { statement, subject: digest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealog_bundle::Statement;
    use sealog_crypto::HashAlgorithm;

    #[test]
    fn short_names_and_uris_are_types() {
        assert_eq!(predicate_type("slsaprovenance1"), Some("https://slsa.dev/provenance/v1"));
        assert_eq!(predicate_type("https://example.org/x/v1"), Some("https://example.org/x/v1"));
        assert_eq!(predicate_type("provenance"), None);
        assert!(short_names().any(|n| n == "openvex"));
    }

    #[test]
    fn a_statement_says_what_it_is_about() {
        let digest = HashAlgorithm::Sha256.digest(b"x");
        let made = payload("dist/x", digest, "https://e.org/t", b" {\"a\": 1.50} ").unwrap();
        let Payload::Statement { statement, subject } = made else { unreachable!() };
        assert_eq!(subject, digest);
        let read = Statement::parse(&statement).unwrap();
        assert!(read.is_about(&digest));
        assert_eq!((read.predicate_type.as_str(), read.subjects.len()), ("https://e.org/t", 1));
        assert!(String::from_utf8(statement).unwrap().contains("1.50"));
        assert!(payload("x", digest, "https://e.org/t", b"[]").is_err());
    }
}
