//! Step 10: that the key made the signature over the content.

use crate::{
    content::SignedContent,
    error::VerifyError,
    structure::{KeyPolicyError, Structure},
};
use sealog_bundle::KeyDetails;
use sealog_crypto::{PublicKey, SignatureError};

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
    // Entries of Rekor v2 hold digests, so every signature in one is over a digest.
    let scheme = KeyDetails::default_for(key).and_then(KeyDetails::scheme);
    let scheme = scheme.ok_or(KeyPolicyError::NoAlgorithm(key.kind()))?;
    let algorithm = scheme.prehash().ok_or(KeyPolicyError::NoAlgorithm(key.kind()))?;
    key.verify_digest(scheme, &content.digest(algorithm)?, structure.signature())
        .map_err(SignatureStepError::Invalid)?;
    Ok(VerifiedSignature(()))
}
