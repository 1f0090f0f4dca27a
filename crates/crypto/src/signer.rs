//! What signs: the trait that services and clients hold, and how it fails.
//!
//! [`PrivateKey`](crate::PrivateKey) is one; a key in a security module will be another.

use crate::{HashAlgorithm, KeyError, KeyKind, PublicKey, Scheme};
use alloc::vec::Vec;

/// Something that signs with one key, in one way.
pub trait Signer: Send + Sync {
    /// The key that verifies.
    fn public_key(&self) -> &PublicKey;

    /// How it signs.
    fn scheme(&self) -> Scheme;

    /// A signature over `message`: ASN.1 DER for ECDSA, raw for the others.
    ///
    /// # Errors
    /// When the key's back end fails.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// Why a key could not be made, read or used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The library or device failed.
    #[error("the signing key could not be used")]
    Backend,
    /// Not PKCS#8 of a key we sign with.
    #[error("not a PKCS#8 private key for ECDSA on P-256, P-384 or P-521, Ed25519, RSA or ML-DSA")]
    Malformed,
    /// We do not make or hold such keys.
    #[error("private keys of kind {0} are not supported")]
    Unsupported(KeyKind),
    /// This key cannot sign in that way.
    #[error("a {kind} key does not sign with {scheme}")]
    WrongScheme {
        /// The key at hand.
        kind: KeyKind,
        /// The scheme asked for.
        scheme: Scheme,
    },
    /// Such keys do not sign digests of this algorithm.
    #[error("a private key of kind {kind} does not sign a {found} digest")]
    WrongDigest {
        /// The key at hand.
        kind: KeyKind,
        /// The digest's algorithm.
        found: HashAlgorithm,
    },
    /// The public half is not usable.
    #[error(transparent)]
    Key(#[from] KeyError),
}
