//! Step 10: that the key made the signature over the content.

use crate::{
    content::SignedContent,
    error::VerifyError,
    structure::{EntryKind, KeyPolicyError, Signed, Structure},
};
use alloc::vec::Vec;
use sealog_bundle::KeyDetails;
use sealog_crypto::{HashAlgorithm, KeyKind, PublicKey, Scheme, SignatureError};

/// Why the signature is not the key's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureStepError {
    /// It does not verify.
    #[error("the signature is not by the signer's key over this content")]
    Invalid(#[source] SignatureError),
}

/// That the key made the signature.
pub(crate) struct VerifiedSignature(());

pub(crate) fn check(
    structure: &Structure<'_>,
    content: &SignedContent<'_>,
    key: &PublicKey,
) -> Result<VerifiedSignature, VerifyError> {
    let mut outcomes =
        schemes(structure, key).into_iter().map(|scheme| content.verify(key, scheme, structure.signature()));
    let first = outcomes.next().ok_or(KeyPolicyError::NoAlgorithm(key.kind()))?;
    // The usual way to sign is tried first, and its failure is the one to tell.
    match first {
        Err(error) if outcomes.all(|outcome| outcome.is_err()) => Err(error),
        _ => Ok(VerifiedSignature(())),
    }
}

/// How a key may have signed, the usual way first; none for keys outside the registry.
fn schemes(structure: &Structure<'_>, key: &PublicKey) -> Vec<Scheme> {
    // Entries of Rekor v2 hold digests and name the key's usual algorithm.
    let usual = KeyDetails::default_for(key).and_then(KeyDetails::scheme);
    let only_v1 = structure.entries().iter().all(|claim| claim.kind == EntryKind::RekorV1);
    match (key.kind(), structure.signed()) {
        // Envelopes in Rekor v1 are signed whole.
        (KeyKind::Ed25519, Signed::Envelope(_)) if only_v1 => alloc::vec![Scheme::Ed25519],
        // Older tools signed SHA-256 digests with whatever key.
        (KeyKind::EcdsaP384 | KeyKind::EcdsaP521, _) if only_v1 => {
            usual.into_iter().chain([Scheme::Ecdsa(HashAlgorithm::Sha256)]).collect()
        }
        _ => usual.into_iter().collect(),
    }
}
