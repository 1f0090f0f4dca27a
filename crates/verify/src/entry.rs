//! Step 8: that the log's entry is about this signature, this key and this content.
//!
//! Entries of Rekor v2 are rebuilt from the bundle, and what is rebuilt is what must be in the tree: the
//! body that came along is only compared. Those of Rekor v1 cannot be rebuilt (they hold PEM, and
//! hashes over forms nobody can know), so the body is what must be in the tree, and each thing it says
//! is compared.

use crate::{
    content::SignedContent,
    error::VerifyError,
    signature::VerifiedSignature,
    structure::{EntryKind, KeyPolicyError, LogEntry, Signed, Signer, Structure},
};
use alloc::{
    format,
    string::{String, ToString as _},
    vec::Vec,
};
use sealog_bundle::{
    EntryBody, EntryError, HashedRekord, KeyDetails, KindVersion, Verifier, entry::SignatureAndKey,
};
use sealog_crypto::{Digest, PublicKey, sha256};
use sealog_pki::Certificate;

/// How the log's entry differs from the bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryMismatch {
    /// It cannot be read.
    #[error("the log entry cannot be read: {0}")]
    Unreadable(EntryError),
    /// Another digest.
    #[error("the log entry is for other content than the bundle's")]
    Digest {
        /// Of what the bundle is about.
        expected: String,
        /// In the entry.
        found: String,
    },
    /// Another signature.
    #[error("the log entry holds another signature than the bundle")]
    Signature {
        /// SHA-256 of the bundle's, in hex.
        expected: String,
        /// SHA-256 of the entry's, in hex; empty when there is not exactly one.
        found: String,
    },
    /// Another certificate or key.
    #[error("the log entry names another certificate or key than the bundle")]
    Key {
        /// SHA-256 of the bundle's, in hex.
        expected: String,
        /// SHA-256 of the entry's, in hex; empty when it is none.
        found: String,
    },
    /// Another algorithm.
    #[error("the log entry names another signature algorithm than the key's")]
    Algorithm {
        /// The key's.
        expected: KeyDetails,
        /// The entry's.
        found: KeyDetails,
    },
    /// Another kind than the bundle says.
    #[error("the log entry is of another kind than the bundle says")]
    Kind {
        /// In the bundle.
        expected: String,
        /// In the entry.
        found: String,
    },
    /// A kind that does not go with what was signed.
    #[error("a {kind} log entry does not go with what was signed")]
    WrongContent {
        /// The kind.
        kind: String,
    },
    /// The same things, written in another way.
    #[error("the log entry is not in canonical form")]
    NotCanonical,
}

/// An entry that is about what the bundle is about, and the bytes that must be in the tree: those that
/// came, after they were compared with what they must be.
pub(crate) struct MatchedEntry<'s, 'b> {
    /// Its place in the bundle.
    at: usize,
    claim: &'s LogEntry<'b>,
}

impl<'s, 'b> MatchedEntry<'s, 'b> {
    /// The leaf's bytes.
    pub(crate) fn leaf(&self) -> &[u8] {
        &self.claim.entry.canonicalized_body
    }

    /// Its place in the bundle.
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    pub(crate) const fn claim(&self) -> &'s LogEntry<'b> {
        self.claim
    }
}

/// As many as the bundle has.
pub(crate) fn check<'s, 'b>(
    structure: &'s Structure<'b>,
    content: &SignedContent<'_>,
    signature: &VerifiedSignature,
) -> Result<Vec<MatchedEntry<'s, 'b>>, VerifyError> {
    let match_one = |(at, claim): (usize, &'s LogEntry<'b>)| {
        match claim.kind {
            EntryKind::RekorV2 => rebuild(claim, structure, content, signature)?,
            EntryKind::RekorV1 => compare(claim, structure, content, signature.key())?,
        }
        Ok(MatchedEntry { at, claim })
    };
    structure.entries().iter().enumerate().map(match_one).collect()
}

/// The leaf of a Rekor v2 log is made from the bundle alone, and must be the one that came.
fn rebuild(
    claim: &LogEntry<'_>,
    structure: &Structure<'_>,
    content: &SignedContent<'_>,
    signature: &VerifiedSignature,
) -> Result<(), VerifyError> {
    let (key, key_details) = (signature.key(), signature.details());
    let algorithm = key_details.prehash().ok_or(KeyPolicyError::NoAlgorithm(key.kind()))?;
    let verifier = match structure.signer() {
        Signer::Certificate { leaf, .. } => Verifier::Certificate(leaf.der().to_vec()),
        Signer::Keys(_) => Verifier::PublicKey(key.spki_der().to_vec()),
    };
    let rebuilt = HashedRekord {
        digest: content.digest(algorithm)?,
        signature: structure.signature().to_vec(),
        verifier,
        key_details,
    };
    let canonical = rebuilt.canonical();
    let body = &claim.entry.canonicalized_body;
    if *body != canonical {
        return Err(difference(&rebuilt, body, structure).into());
    }
    Ok(())
}

/// The most telling difference; only to be asked when there is one.
fn difference(rebuilt: &HashedRekord, body: &[u8], structure: &Structure<'_>) -> EntryMismatch {
    let entry = match EntryBody::parse(body) {
        Ok(EntryBody::HashedRekord(entry)) => entry,
        Ok(other) => return kinds(&KindVersion::hashedrekord_v002(), &other.kind_version()),
        Err(error) => return EntryMismatch::Unreadable(error),
    };
    if entry.verifier != rebuilt.verifier {
        return EntryMismatch::Key {
            expected: fingerprint(rebuilt.verifier.der()),
            found: fingerprint(entry.verifier.der()),
        };
    }
    if entry.signature != rebuilt.signature {
        return signatures(structure, Some(&entry.signature));
    }
    if entry.key_details != rebuilt.key_details {
        return EntryMismatch::Algorithm { expected: rebuilt.key_details, found: entry.key_details };
    }
    if entry.digest != rebuilt.digest {
        return digests(structure, &rebuilt.digest, &entry.digest);
    }
    EntryMismatch::NotCanonical
}

/// Each thing in the leaf of a Rekor v1 log is compared.
fn compare(
    claim: &LogEntry<'_>,
    structure: &Structure<'_>,
    content: &SignedContent<'_>,
    key: &PublicKey,
) -> Result<(), VerifyError> {
    let body = EntryBody::parse(&claim.entry.canonicalized_body).map_err(EntryMismatch::Unreadable)?;
    let kind = body.kind_version();
    if kind != claim.entry.kind_version {
        return Err(kinds(&claim.entry.kind_version, &kind).into());
    }
    let (expected, found, signed) = match (body, structure.signed()) {
        (EntryBody::HashedRekordV001(entry), Signed::Message(_)) => {
            (content.digest(entry.digest.algorithm())?, entry.digest, Some(entry.signature))
        }
        (EntryBody::DsseV001(entry) | EntryBody::IntotoV002(entry), Signed::Envelope(envelope)) => {
            let one = <[SignatureAndKey; 1]>::try_from(entry.signatures).ok();
            let algorithm = entry.payload_digest.algorithm();
            (algorithm.digest(&envelope.payload), entry.payload_digest, one.map(|[one]| one))
        }
        _ => return Err(EntryMismatch::WrongContent { kind: kind.to_string() }.into()),
    };
    let signed = signed.ok_or_else(|| signatures(structure, None))?;
    same_key(&signed.key_pem, structure, key)?;
    if signed.signature != structure.signature() {
        return Err(signatures(structure, Some(&signed.signature)).into());
    }
    if expected != found {
        return Err(digests(structure, &expected, &found).into());
    }
    Ok(())
}

/// The PEM of an entry must be the bundle's certificate or the key given.
fn same_key(pem: &[u8], structure: &Structure<'_>, key: &PublicKey) -> Result<(), EntryMismatch> {
    let pem = core::str::from_utf8(pem).unwrap_or_default();
    let (expected, found) = match structure.signer() {
        Signer::Certificate { leaf, .. } => (leaf.der(), Certificate::der_in_pem(pem).ok()),
        Signer::Keys(_) => (key.spki_der(), PublicKey::from_pem(pem).ok().map(|key| key.spki_der().to_vec())),
    };
    match found {
        Some(found) if found == expected => Ok(()),
        found => Err(EntryMismatch::Key {
            expected: fingerprint(expected),
            found: found.map(|der| fingerprint(&der)).unwrap_or_default(),
        }),
    }
}

fn fingerprint(bytes: &[u8]) -> String {
    hex::encode(sha256(bytes))
}

fn kinds(expected: &KindVersion, found: &KindVersion) -> EntryMismatch {
    EntryMismatch::Kind { expected: expected.to_string(), found: found.to_string() }
}

fn signatures(structure: &Structure<'_>, found: Option<&[u8]>) -> EntryMismatch {
    EntryMismatch::Signature {
        expected: fingerprint(structure.signature()),
        found: found.map(fingerprint).unwrap_or_default(),
    }
}

fn digests(structure: &Structure<'_>, expected: &Digest, found: &Digest) -> EntryMismatch {
    let what = |digest| match structure.signed() {
        Signed::Message(_) => format!("{digest}"),
        Signed::Envelope(_) => format!("{digest} (of the envelope)"),
    };
    EntryMismatch::Digest { expected: what(expected), found: what(found) }
}
