//! Step 8: the log entry, rebuilt from the bundle.
//!
//! What the log hashed is what this signature, this key and this content make, byte for byte. The
//! body that came along is only compared; nothing is ever read out of it, except to say how it differs.

use crate::{
    content::SignedContent,
    error::VerifyError,
    structure::{KeyPolicyError, LogEntry, Signed, Signer, Structure},
};
use alloc::{string::String, vec::Vec};
use sealog_bundle::{EntryBody, EntryError, HashedRekord, KeyDetails, Verifier};
use sealog_crypto::{PublicKey, sha256};

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
        /// SHA-256 of the entry's, in hex.
        found: String,
    },
    /// Another certificate or key.
    #[error("the log entry names another certificate or key than the bundle")]
    Key {
        /// SHA-256 of the bundle's, in hex.
        expected: String,
        /// SHA-256 of the entry's, in hex.
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
    /// The same things, written in another way.
    #[error("the log entry is not in canonical form")]
    NotCanonical,
}

/// The bundle's entry as a log must have hashed it, and the entries that claim it does.
pub(crate) struct RebuiltEntry<'s, 'b> {
    canonical: Vec<u8>,
    claims: &'s [LogEntry<'b>],
}

impl<'s, 'b> RebuiltEntry<'s, 'b> {
    /// The leaf's bytes.
    pub(crate) fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// Never empty.
    pub(crate) const fn claims(&self) -> &'s [LogEntry<'b>] {
        self.claims
    }
}

pub(crate) fn check<'s, 'b>(
    structure: &'s Structure<'b>,
    content: &SignedContent<'_>,
    key: &PublicKey,
) -> Result<RebuiltEntry<'s, 'b>, VerifyError> {
    let key_details = KeyDetails::default_for(key).ok_or(KeyPolicyError::NoAlgorithm(key.kind()))?;
    let algorithm = key_details.prehash().ok_or(KeyPolicyError::NoAlgorithm(key.kind()))?;
    let verifier = match structure.signer() {
        Signer::Certificate { leaf, .. } => Verifier::Certificate(leaf.der().to_vec()),
        Signer::Key(key) => Verifier::PublicKey(key.spki_der().to_vec()),
    };
    let rebuilt = HashedRekord {
        digest: content.digest(algorithm)?,
        signature: structure.signature().to_vec(),
        verifier,
        key_details,
    };
    let canonical = rebuilt.canonical();
    for claim in structure.entries() {
        let body = &claim.entry.canonicalized_body;
        if *body != canonical {
            return Err(difference(&rebuilt, body, structure).into());
        }
    }
    Ok(RebuiltEntry { canonical, claims: structure.entries() })
}

/// The most telling difference; only to be asked when there is one.
fn difference(rebuilt: &HashedRekord, body: &[u8], structure: &Structure<'_>) -> EntryMismatch {
    let fingerprint = |bytes: &[u8]| hex::encode(sha256(bytes));
    let entry = match EntryBody::parse(body) {
        Ok(EntryBody::HashedRekord(entry)) => entry,
        Ok(other) => {
            let text = |kind: sealog_bundle::KindVersion| alloc::format!("{} {}", kind.kind, kind.version);
            return EntryMismatch::Kind {
                expected: text(sealog_bundle::KindVersion::hashedrekord_v002()),
                found: text(other.kind_version()),
            };
        }
        Err(error) => return EntryMismatch::Unreadable(error),
    };
    if entry.verifier != rebuilt.verifier {
        return EntryMismatch::Key {
            expected: fingerprint(rebuilt.verifier.der()),
            found: fingerprint(entry.verifier.der()),
        };
    }
    if entry.signature != rebuilt.signature {
        return EntryMismatch::Signature {
            expected: fingerprint(structure.signature()),
            found: fingerprint(&entry.signature),
        };
    }
    if entry.key_details != rebuilt.key_details {
        return EntryMismatch::Algorithm { expected: rebuilt.key_details, found: entry.key_details };
    }
    if entry.digest != rebuilt.digest {
        let what = |digest| match structure.signed() {
            Signed::Message(_) => alloc::format!("{digest}"),
            Signed::Envelope(_) => alloc::format!("{digest} (of the envelope)"),
        };
        return EntryMismatch::Digest { expected: what(rebuilt.digest), found: what(entry.digest) };
    }
    EntryMismatch::NotCanonical
}
