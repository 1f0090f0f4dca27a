//! Private keys: made, read, asked to sign, wiped.
//!
//! [`Signer`] is what services and clients hold; a key in a security module will implement it as well.

use crate::{Digest, HashAlgorithm, KeyError, KeyKind, PublicKey, Scheme, SignatureError};
use alloc::vec::Vec;
use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
        Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use core::fmt;
use zeroize::Zeroizing;

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
    #[error("not a PKCS#8 private key for ECDSA P-256, ECDSA P-384, Ed25519 or RSA")]
    Malformed,
    /// We verify such keys but do not make or hold them.
    #[error("private keys of kind {0} are not supported")]
    Unsupported(KeyKind),
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

/// A private key in memory. The library wipes the secret when it is dropped.
pub struct PrivateKey {
    public: PublicKey,
    secret: Secret,
}

enum Secret {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl PrivateKey {
    /// Makes a new key. RSA takes 2048, 3072 or 4096 bits.
    ///
    /// # Errors
    /// [`SignError::Unsupported`] for P-521 and other RSA sizes; [`SignError::Backend`] when the
    /// library fails.
    pub fn generate(kind: KeyKind) -> Result<Self, SignError> {
        let failed = |_| SignError::Backend;
        let secret = match kind {
            KeyKind::EcdsaP256 | KeyKind::EcdsaP384 => {
                Secret::Ecdsa(EcdsaKeyPair::generate(ecdsa_signing(kind)?).map_err(failed)?)
            }
            KeyKind::Ed25519 => Secret::Ed25519(Ed25519KeyPair::generate().map_err(failed)?),
            KeyKind::Rsa { bits } => {
                let size = match bits {
                    2048 => rsa::KeySize::Rsa2048,
                    3072 => rsa::KeySize::Rsa3072,
                    4096 => rsa::KeySize::Rsa4096,
                    _ => return Err(SignError::Unsupported(kind)),
                };
                Secret::Rsa(RsaKeyPair::generate(size).map_err(failed)?)
            }
            KeyKind::EcdsaP521 => return Err(SignError::Unsupported(kind)),
        };
        Self::with_secret(secret)
    }

    /// Reads PKCS#8 (RFC 5958) in DER.
    ///
    /// # Errors
    /// [`SignError::Malformed`] when it is no key we sign with.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, SignError> {
        let ecdsa = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, der).map(Secret::Ecdsa);
        let secret = ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .or_else(|_| ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING))
            .or_else(|_| Ed25519KeyPair::from_pkcs8(der).map(Secret::Ed25519))
            .or_else(|_| RsaKeyPair::from_pkcs8(der).map(Secret::Rsa))
            .map_err(|_| SignError::Malformed)?;
        Self::with_secret(secret)
    }

    /// PKCS#8 in DER, wiped when dropped.
    ///
    /// # Errors
    /// When the library cannot encode it.
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>, SignError> {
        let failed = |_| SignError::Backend;
        match &self.secret {
            Secret::Ecdsa(pair) => {
                pair.to_pkcs8v1().map(|d| Zeroizing::new(d.as_ref().to_vec())).map_err(failed)
            }
            Secret::Ed25519(pair) => {
                pair.to_pkcs8v1().map(|d| Zeroizing::new(d.as_ref().to_vec())).map_err(failed)
            }
            Secret::Rsa(pair) => {
                let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                Ok(Zeroizing::new(der.as_ref().to_vec()))
            }
        }
    }

    /// A signature over a message of which only the digest is at hand: a file read once, in pieces.
    ///
    /// # Errors
    /// [`SignError::WrongDigest`] unless the key is an ECDSA one and the digest its scheme's;
    /// [`SignError::Backend`] when the library fails.
    pub fn sign_digest(&self, digest: &Digest) -> Result<Vec<u8>, SignError> {
        match &self.secret {
            Secret::Ecdsa(pair) if self.scheme().prehash() == Some(digest.algorithm()) => {
                let digest =
                    crate::key::library_digest(digest).map_err(|_: SignatureError| SignError::Backend)?;
                pair.sign_digest(&digest).map(|s| s.as_ref().to_vec()).map_err(|_| SignError::Backend)
            }
            _ => Err(SignError::WrongDigest { kind: self.public.kind(), found: digest.algorithm() }),
        }
    }

    fn with_secret(secret: Secret) -> Result<Self, SignError> {
        let failed = |_| SignError::Backend;
        let spki: PublicKeyX509Der<'_> = match &secret {
            Secret::Ecdsa(pair) => pair.public_key().as_der().map_err(failed)?,
            Secret::Ed25519(pair) => pair.public_key().as_der().map_err(failed)?,
            Secret::Rsa(pair) => pair.public_key().as_der().map_err(failed)?,
        };
        let public = PublicKey::from_spki_der(spki.as_ref())?;
        Ok(Self { public, secret })
    }
}

impl Signer for PrivateKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn scheme(&self) -> Scheme {
        match &self.secret {
            Secret::Rsa(_) => Scheme::RsaPkcs1(HashAlgorithm::Sha256),
            _ => Scheme::default_for(self.public.kind()),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let failed = |_| SignError::Backend;
        match &self.secret {
            Secret::Ecdsa(pair) => {
                pair.sign(&SystemRandom::new(), message).map(|s| s.as_ref().to_vec()).map_err(failed)
            }
            Secret::Ed25519(pair) => pair.try_sign(message).map(|s| s.as_ref().to_vec()).map_err(failed),
            Secret::Rsa(pair) => {
                let mut room = alloc::vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut room).map_err(failed)?;
                Ok(room)
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public.kind())
    }
}

fn ecdsa_signing(kind: KeyKind) -> Result<&'static EcdsaSigningAlgorithm, SignError> {
    match kind {
        KeyKind::EcdsaP256 => Ok(&ECDSA_P256_SHA256_ASN1_SIGNING),
        KeyKind::EcdsaP384 => Ok(&ECDSA_P384_SHA384_ASN1_SIGNING),
        other => Err(SignError::Unsupported(other)),
    }
}
