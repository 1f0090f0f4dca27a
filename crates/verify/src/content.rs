//! What was signed, as something that has digests: the artifact, or an envelope's encoding.
//!
//! For an artifact this holds the digest that the bundle claims against the artifact's own.

use crate::{
    artifact::Artifact,
    error::VerifyError,
    signature::SignatureStepError,
    structure::{Signed, Structure},
};
use alloc::{boxed::Box, vec::Vec};
use core::cell::RefCell;
use sealog_crypto::{Digest, HashAlgorithm, PublicKey, Scheme};

/// Why the artifact is not what was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The bundle is for another artifact.
    #[error("the artifact is not the one this bundle was made for")]
    OtherArtifact {
        /// The digest in the bundle.
        expected: Box<Digest>,
        /// The artifact's.
        found: Box<Digest>,
    },
    /// Only digests of the artifact are known, and not by the algorithm that is needed.
    #[error("the artifact's {needed} digest is needed and was not given")]
    DigestNotKnown {
        /// The algorithm.
        needed: HashAlgorithm,
    },
    /// Only digests of the artifact are known, and the signature is over the artifact itself, or may be.
    #[error("a key of this kind signs the artifact itself, and only its digest was given")]
    BytesNotKnown,
}

/// What was signed; for an artifact, only after the bundle's claim was compared.
pub(crate) struct SignedContent<'a> {
    source: Source<'a>,
    /// Each algorithm hashes a large artifact once, however many keys may have signed it.
    hashed: RefCell<Vec<Digest>>,
}

enum Source<'a> {
    Artifact(&'a Artifact<'a>),
    /// An envelope's pre-authentication encoding.
    Encoding(Vec<u8>),
}

impl<'a> SignedContent<'a> {
    const fn of(source: Source<'a>, hashed: Vec<Digest>) -> Self {
        Self { source, hashed: RefCell::new(hashed) }
    }

    pub(crate) fn digest(&self, algorithm: HashAlgorithm) -> Result<Digest, ContentError> {
        if let Some(known) = self.hashed.borrow().iter().find(|digest| digest.algorithm() == algorithm) {
            return Ok(*known);
        }
        let digest = match &self.source {
            Source::Artifact(artifact) => {
                artifact.digest(algorithm).ok_or(ContentError::DigestNotKnown { needed: algorithm })?
            }
            Source::Encoding(bytes) => algorithm.digest(bytes),
        };
        self.hashed.borrow_mut().push(digest);
        Ok(digest)
    }

    /// Checks a signature over it.
    pub(crate) fn verify(
        &self,
        key: &PublicKey,
        scheme: Scheme,
        signature: &[u8],
    ) -> Result<(), VerifyError> {
        let verified = match (scheme.prehash(), &self.source) {
            (Some(algorithm), _) => key.verify_digest(scheme, &self.digest(algorithm)?, signature),
            (None, Source::Encoding(bytes)) => key.verify(scheme, bytes, signature),
            (None, Source::Artifact(artifact)) => {
                let bytes = artifact.bytes().ok_or(ContentError::BytesNotKnown)?;
                key.verify(scheme, bytes, signature)
            }
        };
        verified.map_err(|error| SignatureStepError::Invalid(error).into())
    }
}

pub(crate) fn check<'a>(
    structure: &Structure<'_>,
    artifact: &'a Artifact<'a>,
) -> Result<SignedContent<'a>, ContentError> {
    let message = match structure.signed() {
        Signed::Envelope(envelope) => {
            return Ok(SignedContent::of(Source::Encoding(envelope.pae()), Vec::new()));
        }
        Signed::Message(message) => message,
    };
    let mut hashed = Vec::new();
    // The digest is optional; without it the entry (step 8) speaks for the artifact alone.
    if let Some(expected) = message.digest {
        let needed = expected.algorithm();
        let found = artifact.digest(needed).ok_or(ContentError::DigestNotKnown { needed })?;
        if found != expected {
            let (expected, found) = (Box::new(expected), Box::new(found));
            return Err(ContentError::OtherArtifact { expected, found });
        }
        hashed.push(found);
    }
    Ok(SignedContent::of(Source::Artifact(artifact), hashed))
}
