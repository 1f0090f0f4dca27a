//! Private keys in memory: made, read, asked to sign, wiped.

use crate::{
    Digest, HashAlgorithm, KeyKind, PublicKey, Scheme, SignError, Signer,
    backend::{aws_lc::as_number, ed25519::FinishedSha512},
};
use alloc::vec::Vec;
use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
        EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, ML_DSA_44_SIGNING, ML_DSA_65_SIGNING, ML_DSA_87_SIGNING,
        PqdsaKeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
        RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
    },
};
use core::fmt;
use zeroize::Zeroizing;

/// A private key in memory. The library wipes the secret when it is dropped.
pub struct PrivateKey {
    public: PublicKey,
    secret: Secret,
}

enum Secret {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
    MlDsa(PqdsaKeyPair),
}

impl PrivateKey {
    /// Makes a new key. RSA takes 2048, 3072 or 4096 bits.
    ///
    /// # Errors
    /// [`SignError::Unsupported`] for other RSA sizes; [`SignError::Backend`] when the library fails.
    pub fn generate(kind: KeyKind) -> Result<Self, SignError> {
        let failed = |_| SignError::Backend;
        let ecdsa = |algorithm| EcdsaKeyPair::generate(algorithm).map(Secret::Ecdsa).map_err(failed);
        let ml_dsa = |algorithm| PqdsaKeyPair::generate(algorithm).map(Secret::MlDsa).map_err(failed);
        let secret = match kind {
            KeyKind::EcdsaP256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)?,
            KeyKind::EcdsaP384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING)?,
            KeyKind::EcdsaP521 => ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING)?,
            KeyKind::MlDsa44 => ml_dsa(&ML_DSA_44_SIGNING)?,
            KeyKind::MlDsa65 => ml_dsa(&ML_DSA_65_SIGNING)?,
            KeyKind::MlDsa87 => ml_dsa(&ML_DSA_87_SIGNING)?,
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
        };
        Self::with_secret(secret)
    }

    /// Reads PKCS#8 (RFC 5958) in DER.
    ///
    /// # Errors
    /// [`SignError::Malformed`] when it is no key we sign with.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, SignError> {
        let ecdsa = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, der).map(Secret::Ecdsa);
        let ml_dsa = |algorithm| PqdsaKeyPair::from_pkcs8(algorithm, der).map(Secret::MlDsa);
        let secret = ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .or_else(|_| ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING))
            .or_else(|_| Ed25519KeyPair::from_pkcs8(der).map(Secret::Ed25519))
            .or_else(|_| RsaKeyPair::from_pkcs8(der).map(Secret::Rsa))
            .or_else(|_| ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING))
            .or_else(|_| ml_dsa(&ML_DSA_44_SIGNING))
            .or_else(|_| ml_dsa(&ML_DSA_65_SIGNING))
            .or_else(|_| ml_dsa(&ML_DSA_87_SIGNING))
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
            Secret::MlDsa(pair) => {
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
                self.sign_ecdsa(pair, digest)
            }
            _ => Err(SignError::WrongDigest { kind: self.public.kind(), found: digest.algorithm() }),
        }
    }

    /// A signature over `message` in another way than the key's usual one.
    ///
    /// # Errors
    /// [`SignError::WrongScheme`] when such keys do not sign so; [`SignError::Backend`] when the
    /// library fails.
    pub fn sign_with(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let failed = |_| SignError::Backend;
        let rsa = |pair: &RsaKeyPair, encoding: &'static dyn RsaEncoding| {
            let mut room = alloc::vec![0; pair.public_modulus_len()];
            pair.sign(encoding, &SystemRandom::new(), message, &mut room).map_err(failed)?;
            Ok(room)
        };
        match (&self.secret, scheme) {
            (Secret::Ecdsa(pair), Scheme::Ecdsa(hash)) => self.sign_ecdsa(pair, &hash.digest(message)),
            (Secret::Rsa(pair), Scheme::RsaPkcs1(HashAlgorithm::Sha256)) => rsa(pair, &RSA_PKCS1_SHA256),
            (Secret::Rsa(pair), Scheme::RsaPkcs1(HashAlgorithm::Sha384)) => rsa(pair, &RSA_PKCS1_SHA384),
            (Secret::Rsa(pair), Scheme::RsaPkcs1(HashAlgorithm::Sha512)) => rsa(pair, &RSA_PKCS1_SHA512),
            (Secret::Rsa(pair), Scheme::RsaPss(HashAlgorithm::Sha256)) => rsa(pair, &RSA_PSS_SHA256),
            (Secret::Rsa(pair), Scheme::RsaPss(HashAlgorithm::Sha384)) => rsa(pair, &RSA_PSS_SHA384),
            (Secret::Rsa(pair), Scheme::RsaPss(HashAlgorithm::Sha512)) => rsa(pair, &RSA_PSS_SHA512),
            (Secret::Ed25519(pair), Scheme::Ed25519) => {
                pair.try_sign(message).map(|s| s.as_ref().to_vec()).map_err(failed)
            }
            (Secret::Ed25519(pair), Scheme::Ed25519ph) => sign_ed25519ph(pair, message),
            (Secret::MlDsa(pair), scheme) if scheme == self.scheme() => {
                let mut room = alloc::vec![0; pair.algorithm().signature_len()];
                pair.sign(message, &mut room).map_err(failed)?;
                Ok(room)
            }
            _ => Err(SignError::WrongScheme { kind: self.public.kind(), scheme }),
        }
    }

    fn sign_ecdsa(&self, pair: &EcdsaKeyPair, digest: &Digest) -> Result<Vec<u8>, SignError> {
        let own = self.scheme().prehash().ok_or(SignError::Backend)?;
        let number = as_number(digest, own).ok_or(SignError::Backend)?;
        pair.sign_digest(&number).map(|s| s.as_ref().to_vec()).map_err(|_| SignError::Backend)
    }

    fn with_secret(secret: Secret) -> Result<Self, SignError> {
        let failed = |_| SignError::Backend;
        let spki: PublicKeyX509Der<'_> = match &secret {
            Secret::Ecdsa(pair) => pair.public_key().as_der().map_err(failed)?,
            Secret::Ed25519(pair) => pair.public_key().as_der().map_err(failed)?,
            Secret::Rsa(pair) => pair.public_key().as_der().map_err(failed)?,
            Secret::MlDsa(pair) => pair.public_key().as_der().map_err(failed)?,
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
        Scheme::default_for(self.public.kind())
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.sign_with(self.scheme(), message)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public.kind())
    }
}

/// `aws-lc-rs` has no prehashed Ed25519; the seed stands at the end of a PKCS#8 v1 (RFC 8410 §7).
fn sign_ed25519ph(pair: &Ed25519KeyPair, message: &[u8]) -> Result<Vec<u8>, SignError> {
    let pkcs8 = pair.to_pkcs8v1().map_err(|_| SignError::Backend)?;
    let (_, seed) = pkcs8.as_ref().split_last_chunk::<32>().ok_or(SignError::Backend)?;
    let digest = FinishedSha512::from(&HashAlgorithm::Sha512.digest(message));
    let signature = ed25519_dalek::SigningKey::from_bytes(seed)
        .sign_prehashed(digest, None)
        .map_err(|_| SignError::Backend)?;
    Ok(signature.to_vec())
}
