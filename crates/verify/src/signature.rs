//! Step 10: that the key made the signature over the content.

use crate::{
    content::{ContentError, SignedContent},
    error::VerifyError,
    structure::{EntryKind, KeyPolicyError, LogEntry, Signed, Structure},
};
use alloc::vec::Vec;
use sealog_bundle::KeyDetails;
use sealog_crypto::{PublicKey, Scheme, SignatureError};

/// Why the signature is not the key's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureStepError {
    /// It does not verify.
    #[error("the signature is not by the signer's key over this content")]
    Invalid(#[source] SignatureError),
}

/// That a key made the signature, which, and how.
pub(crate) struct VerifiedSignature {
    key: PublicKey,
    details: KeyDetails,
}

impl VerifiedSignature {
    pub(crate) const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The algorithm of the registry that it was made with.
    pub(crate) const fn details(&self) -> KeyDetails {
        self.details
    }
}

/// Tries every key in every way it may have signed, the usual way first.
pub(crate) fn check(
    structure: &Structure<'_>,
    content: &SignedContent<'_>,
    keys: &[&PublicKey],
) -> Result<VerifiedSignature, VerifyError> {
    let mut failure: Option<VerifyError> = None;
    for key in keys {
        let ways = ways(structure, key);
        if ways.is_empty() {
            failure.get_or_insert(KeyPolicyError::NoAlgorithm(key.kind()).into());
        }
        for (details, scheme) in ways {
            match content.verify(key, scheme, structure.signature()) {
                Ok(()) => return Ok(VerifiedSignature { key: PublicKey::clone(key), details }),
                // What could not be tried was not refused, and only that can be mended by who asks.
                Err(error @ VerifyError::Content(ContentError::BytesNotKnown)) => failure = Some(error),
                // Otherwise the first failure is the one to tell: of the usual way of the first key.
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
    }
    Err(failure.unwrap_or_else(|| KeyPolicyError::NoKeyGiven.into()))
}

/// How a key may have signed; none for keys outside the registry.
fn ways(structure: &Structure<'_>, key: &PublicKey) -> Vec<(KeyDetails, Scheme)> {
    // What is logged in Rekor v2, and of files in Rekor v1, is a digest; envelopes in Rekor v1 are signed whole.
    let is_envelope = matches!(structure.signed(), Signed::Envelope(_));
    let holds_digest = |claim: &LogEntry<'_>| claim.kind == EntryKind::RekorV2 || !is_envelope;
    let logged_digest = structure.entries().iter().any(holds_digest);
    let fits = |(details, scheme): &(KeyDetails, Scheme)| match details {
        KeyDetails::Ed25519Ph => logged_digest || !is_envelope,
        _ => !logged_digest || scheme.prehash().is_some(),
    };
    let with_scheme = |details: KeyDetails| Some((details, details.scheme()?));
    KeyDetails::candidates(key).iter().copied().filter_map(with_scheme).filter(fits).collect()
}
