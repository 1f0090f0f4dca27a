//! Public keys: parsed from SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), checked, and asked to verify.
//!
//! A parsed key keeps the DER it came from byte for byte: key ids are hashes of those bytes.

use crate::{Digest, HashAlgorithm, Scheme};
use alloc::{string::String, vec::Vec};
use aws_lc_rs::signature::{self as lc, UnparsedPublicKey, VerificationAlgorithm};
use const_oid::db::{
    fips204::{ID_ML_DSA_44, ID_ML_DSA_65, ID_ML_DSA_87},
    rfc5912::{ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1, SECP_521_R_1},
    rfc8410::ID_ED_25519,
};
use core::fmt;
use spki::{
    AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{
        Decode as _, Encode as _, Reader as _,
        asn1::{BitStringRef, UintRef},
        pem::{LineEnding, PemLabel as _},
    },
};

/// RSA moduli below this many bits are not keys to us.
const RSA_MIN_BITS: usize = 2048;
/// RSA moduli above this many bits cost too much to check.
const RSA_MAX_BITS: usize = 8192;

/// What sort of key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// ECDSA on NIST P-256.
    EcdsaP256,
    /// ECDSA on NIST P-384.
    EcdsaP384,
    /// ECDSA on NIST P-521.
    EcdsaP521,
    /// RSA with a modulus of this many bits.
    Rsa {
        /// Size of the modulus in bits.
        bits: usize,
    },
    /// Ed25519.
    Ed25519,
    /// ML-DSA-44 (FIPS 204). Experimental, as are the other two: no log takes such keys yet.
    MlDsa44,
    /// ML-DSA-65 (FIPS 204), experimental.
    MlDsa65,
    /// ML-DSA-87 (FIPS 204), experimental.
    MlDsa87,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EcdsaP256 => f.write_str("ECDSA P-256"),
            Self::EcdsaP384 => f.write_str("ECDSA P-384"),
            Self::EcdsaP521 => f.write_str("ECDSA P-521"),
            Self::Rsa { bits } => write!(f, "RSA {bits}"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::MlDsa44 => f.write_str("ML-DSA-44"),
            Self::MlDsa65 => f.write_str("ML-DSA-65"),
            Self::MlDsa87 => f.write_str("ML-DSA-87"),
        }
    }
}

/// Why bytes are not a key we use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not DER, or not a SubjectPublicKeyInfo.
    #[error("not a SubjectPublicKeyInfo in DER")]
    Malformed,
    /// Not PEM with the label `PUBLIC KEY`.
    #[error("not a PEM block labelled PUBLIC KEY")]
    NotPem,
    /// An algorithm outside the registry.
    #[error("public key algorithm {0} is not supported")]
    UnknownAlgorithm(ObjectIdentifier),
    /// An elliptic curve outside the registry.
    #[error("elliptic curve {0} is not supported")]
    UnknownCurve(ObjectIdentifier),
    /// An RSA key that is too small, too large, or has another exponent than 65537.
    #[error("RSA key with {bits} bits and exponent {exponent}: 2048 to 8192 bits and 65537 are accepted")]
    WeakRsa {
        /// Size of the modulus in bits.
        bits: usize,
        /// The exponent, or 0 when it does not fit 64 bits.
        exponent: u64,
    },
    /// The point is not on the curve, of small order or compressed, or the bytes have the wrong length.
    #[error("the public key's bytes are not a valid {0} key")]
    InvalidPoint(KeyKind),
}

/// First octet of an elliptic curve point written as both coordinates (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;

/// A signature that does not verify, whatever the reason: libraries do not say, on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// The signature is not by this key over this message.
    #[error("the signature does not verify with this key")]
    Invalid,
    /// This key cannot sign in that way.
    #[error("a {kind} key does not sign with {scheme}")]
    WrongScheme {
        /// The key at hand.
        kind: KeyKind,
        /// The scheme asked for.
        scheme: Scheme,
    },
    /// Only the digest is known, and it is by another algorithm than the scheme's.
    #[error("{scheme} needs the message or another digest than {found}")]
    WrongDigest {
        /// The scheme asked for.
        scheme: Scheme,
        /// The digest's algorithm.
        found: HashAlgorithm,
    },
}

/// A public key whose encoding was checked.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    kind: KeyKind,
    spki: Vec<u8>,
    /// The BIT STRING's content: point, RSAPublicKey, or 32 bytes.
    bits: Vec<u8>,
}

impl PublicKey {
    /// Parses and checks SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let spki = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| KeyError::Malformed)?;
        let bits = spki.subject_public_key.as_bytes().ok_or(KeyError::Malformed)?;
        let kind = match spki.algorithm.oid {
            ID_EC_PUBLIC_KEY => {
                let curve = spki.algorithm.parameters_oid().map_err(|_| KeyError::Malformed)?;
                match curve {
                    SECP_256_R_1 => KeyKind::EcdsaP256,
                    SECP_384_R_1 => KeyKind::EcdsaP384,
                    SECP_521_R_1 => KeyKind::EcdsaP521,
                    other => return Err(KeyError::UnknownCurve(other)),
                }
            }
            RSA_ENCRYPTION => check_rsa(bits)?,
            other => {
                let kind = without_parameters(other).ok_or(KeyError::UnknownAlgorithm(other))?;
                if spki.algorithm.parameters.is_some() {
                    return Err(KeyError::Malformed);
                }
                kind
            }
        };
        let key = Self { kind, spki: der.to_vec(), bits: bits.to_vec() };
        key.check_point()?;
        Ok(key)
    }

    /// Parses a PEM block labelled `PUBLIC KEY`.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let (label, der) = spki::der::pem::decode_vec(pem.trim().as_bytes()).map_err(|_| KeyError::NotPem)?;
        if label != SubjectPublicKeyInfoRef::PEM_LABEL {
            return Err(KeyError::NotPem);
        }
        Self::from_spki_der(&der)
    }

    /// The key of a 32-byte Ed25519 point.
    ///
    /// # Errors
    /// [`KeyError::InvalidPoint`] when it is none.
    pub fn from_ed25519(point: &[u8; 32]) -> Result<Self, KeyError> {
        let spki = SubjectPublicKeyInfoRef {
            algorithm: AlgorithmIdentifierRef { oid: ID_ED_25519, parameters: None },
            subject_public_key: BitStringRef::from_bytes(point).map_err(|_| KeyError::Malformed)?,
        };
        let der = spki.to_der().map_err(|_| KeyError::Malformed)?;
        Self::from_spki_der(&der)
    }

    /// What sort of key it is.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// SubjectPublicKeyInfo in DER, as it was parsed.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The content of the subjectPublicKey BIT STRING.
    #[must_use]
    pub fn key_bits(&self) -> &[u8] {
        &self.bits
    }

    /// PEM labelled `PUBLIC KEY`, with a final newline.
    #[must_use]
    pub fn to_pem(&self) -> String {
        spki::der::pem::encode_string(SubjectPublicKeyInfoRef::PEM_LABEL, LineEnding::LF, &self.spki)
            .unwrap_or_default()
    }

    /// The 32 bytes of an Ed25519 key; none for other kinds.
    #[must_use]
    pub fn ed25519_point(&self) -> Option<[u8; 32]> {
        match self.kind {
            KeyKind::Ed25519 => self.bits.as_slice().try_into().ok(),
            _ => None,
        }
    }

    /// Verifies a signature over `message`.
    ///
    /// # Errors
    /// See [`SignatureError`].
    pub fn verify(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        match scheme {
            Scheme::Ed25519ph => {
                self.verify_digest(scheme, &HashAlgorithm::Sha512.digest(message), signature)
            }
            _ => UnparsedPublicKey::new(self.library_scheme(scheme)?, &self.bits)
                .verify(message, signature)
                .map_err(|_| SignatureError::Invalid),
        }
    }

    /// Verifies a signature over a message of which only the digest is at hand.
    ///
    /// # Errors
    /// See [`SignatureError`]; pure Ed25519 and ML-DSA always need the message.
    pub fn verify_digest(
        &self,
        scheme: Scheme,
        digest: &Digest,
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        if scheme.prehash() != Some(digest.algorithm()) {
            // A wrong pairing of key and scheme is the more telling complaint.
            self.library_scheme(scheme)?;
            return Err(SignatureError::WrongDigest { scheme, found: digest.algorithm() });
        }
        if scheme == Scheme::Ed25519ph {
            return self.verify_ed25519ph(digest, signature);
        }
        let library_digest = library_digest(digest)?;
        UnparsedPublicKey::new(self.library_scheme(scheme)?, &self.bits)
            .verify_digest(&library_digest, signature)
            .map_err(|_| SignatureError::Invalid)
    }

    fn verify_ed25519ph(&self, digest: &Digest, signature: &[u8]) -> Result<(), SignatureError> {
        let point = self
            .ed25519_point()
            .ok_or(SignatureError::WrongScheme { kind: self.kind, scheme: Scheme::Ed25519ph })?;
        let key = ed25519_dalek::VerifyingKey::from_bytes(&point).map_err(|_| SignatureError::Invalid)?;
        let signature =
            ed25519_dalek::Signature::from_slice(signature).map_err(|_| SignatureError::Invalid)?;
        key.verify_prehashed(FinishedSha512::from(digest), None, &signature)
            .map_err(|_| SignatureError::Invalid)
    }

    /// Refuses points off the curve now, so that no later step meets an unusable key.
    fn check_point(&self) -> Result<(), KeyError> {
        let invalid = || KeyError::InvalidPoint(self.kind);
        match self.kind {
            KeyKind::Ed25519 => {
                let point = self.bits.as_slice().try_into().map_err(|_| invalid())?;
                let key = ed25519_dalek::VerifyingKey::from_bytes(point).map_err(|_| invalid())?;
                // Under a point of small order anybody can sign anything.
                if key.is_weak() { Err(invalid()) } else { Ok(()) }
            }
            // Go's parsers read no other form: such a key would be taken in here and verify nowhere there.
            KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521
                if self.bits.first() != Some(&UNCOMPRESSED) =>
            {
                Err(invalid())
            }
            _ => {
                let scheme = self.library_scheme(Scheme::default_for(self.kind)).map_err(|_| invalid())?;
                UnparsedPublicKey::new(scheme, &self.bits).parse().map(|_| ()).map_err(|_| invalid())
            }
        }
    }

    fn library_scheme(&self, scheme: Scheme) -> Result<&'static dyn VerificationAlgorithm, SignatureError> {
        use HashAlgorithm::{Sha256, Sha384, Sha512};
        Ok(match (self.kind, scheme) {
            (KeyKind::EcdsaP256, Scheme::Ecdsa(Sha256)) => &lc::ECDSA_P256_SHA256_ASN1,
            (KeyKind::EcdsaP256, Scheme::Ecdsa(Sha384)) => &lc::ECDSA_P256_SHA384_ASN1,
            (KeyKind::EcdsaP256, Scheme::Ecdsa(Sha512)) => &lc::ECDSA_P256_SHA512_ASN1,
            (KeyKind::EcdsaP384, Scheme::Ecdsa(Sha256)) => &lc::ECDSA_P384_SHA256_ASN1,
            (KeyKind::EcdsaP384, Scheme::Ecdsa(Sha384)) => &lc::ECDSA_P384_SHA384_ASN1,
            (KeyKind::EcdsaP384, Scheme::Ecdsa(Sha512)) => &lc::ECDSA_P384_SHA512_ASN1,
            (KeyKind::EcdsaP521, Scheme::Ecdsa(Sha256)) => &lc::ECDSA_P521_SHA256_ASN1,
            (KeyKind::EcdsaP521, Scheme::Ecdsa(Sha384)) => &lc::ECDSA_P521_SHA384_ASN1,
            (KeyKind::EcdsaP521, Scheme::Ecdsa(Sha512)) => &lc::ECDSA_P521_SHA512_ASN1,
            (KeyKind::Rsa { .. }, Scheme::RsaPkcs1(Sha256)) => &lc::RSA_PKCS1_2048_8192_SHA256,
            (KeyKind::Rsa { .. }, Scheme::RsaPkcs1(Sha384)) => &lc::RSA_PKCS1_2048_8192_SHA384,
            (KeyKind::Rsa { .. }, Scheme::RsaPkcs1(Sha512)) => &lc::RSA_PKCS1_2048_8192_SHA512,
            (KeyKind::Rsa { .. }, Scheme::RsaPss(Sha256)) => &lc::RSA_PSS_2048_8192_SHA256,
            (KeyKind::Rsa { .. }, Scheme::RsaPss(Sha384)) => &lc::RSA_PSS_2048_8192_SHA384,
            (KeyKind::Rsa { .. }, Scheme::RsaPss(Sha512)) => &lc::RSA_PSS_2048_8192_SHA512,
            (KeyKind::Ed25519, Scheme::Ed25519) => &lc::ED25519,
            (KeyKind::MlDsa44, Scheme::MlDsa44) => &lc::ML_DSA_44,
            (KeyKind::MlDsa65, Scheme::MlDsa65) => &lc::ML_DSA_65,
            (KeyKind::MlDsa87, Scheme::MlDsa87) => &lc::ML_DSA_87,
            (kind, scheme) => return Err(SignatureError::WrongScheme { kind, scheme }),
        })
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {:?})", self.kind, HashAlgorithm::Sha256.digest(&self.spki))
    }
}

/// The digest in the primitive library's form.
pub(crate) fn library_digest(digest: &Digest) -> Result<aws_lc_rs::digest::Digest, SignatureError> {
    aws_lc_rs::digest::Digest::import_less_safe(
        digest.as_bytes(),
        match digest.algorithm() {
            HashAlgorithm::Sha256 => &aws_lc_rs::digest::SHA256,
            HashAlgorithm::Sha384 => &aws_lc_rs::digest::SHA384,
            HashAlgorithm::Sha512 => &aws_lc_rs::digest::SHA512,
        },
    )
    .map_err(|_| SignatureError::Invalid)
}

/// The kinds whose algorithm identifier has no parameters (RFC 8410 §3, RFC 9881 §2).
fn without_parameters(algorithm: ObjectIdentifier) -> Option<KeyKind> {
    Some(match algorithm {
        ID_ED_25519 => KeyKind::Ed25519,
        ID_ML_DSA_44 => KeyKind::MlDsa44,
        ID_ML_DSA_65 => KeyKind::MlDsa65,
        ID_ML_DSA_87 => KeyKind::MlDsa87,
        _ => return None,
    })
}

/// Size and exponent of an RSAPublicKey (RFC 8017 A.1.1).
fn check_rsa(bits: &[u8]) -> Result<KeyKind, KeyError> {
    let (modulus, exponent) = spki::der::SliceReader::new(bits)
        .and_then(|mut reader| {
            let pair =
                reader.sequence(|r| Ok::<_, spki::der::Error>((UintRef::decode(r)?, UintRef::decode(r)?)))?;
            reader.finish()?;
            Ok(pair)
        })
        .map_err(|_: spki::der::Error| KeyError::Malformed)?;
    let bits = modulus.as_bytes().first().map_or(0, |top| {
        modulus.as_bytes().len().saturating_mul(8).saturating_sub(top.leading_zeros() as usize)
    });
    let exponent = exponent
        .as_bytes()
        .iter()
        .try_fold(0u64, |sum, byte| sum.checked_mul(256)?.checked_add(u64::from(*byte)))
        .unwrap_or(0);
    if !(RSA_MIN_BITS..=RSA_MAX_BITS).contains(&bits) || exponent != 65537 {
        return Err(KeyError::WeakRsa { bits, exponent });
    }
    Ok(KeyKind::Rsa { bits })
}

/// A SHA-512 that is already finished, in the shape `ed25519-dalek` asks for.
#[derive(Clone)]
pub(crate) struct FinishedSha512([u8; 64]);

impl From<&Digest> for FinishedSha512 {
    fn from(digest: &Digest) -> Self {
        let mut bytes = [0; 64];
        bytes.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }
}

impl Default for FinishedSha512 {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl sha2::digest::OutputSizeUser for FinishedSha512 {
    type OutputSize = sha2::digest::consts::U64;
}

impl sha2::digest::Update for FinishedSha512 {
    fn update(&mut self, _: &[u8]) {}
}

impl sha2::digest::FixedOutput for FinishedSha512 {
    fn finalize_into(self, out: &mut sha2::digest::Output<Self>) {
        out.copy_from_slice(&self.0);
    }
}

impl sha2::digest::HashMarker for FinishedSha512 {}
