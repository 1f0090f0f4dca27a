//! Public keys: parsed from SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), checked, and asked to verify.
//!
//! A parsed key keeps the DER it came from byte for byte: key ids are hashes of those bytes.

use crate::{
    Digest, HashAlgorithm, Scheme,
    backend::{Backend, Chosen},
};
use alloc::{string::String, sync::Arc, vec::Vec};
use const_oid::db::{
    fips204::{ID_ML_DSA_44, ID_ML_DSA_65, ID_ML_DSA_87},
    rfc5912::{ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1, SECP_521_R_1},
    rfc8410::ID_ED_25519,
};
use core::{
    fmt,
    hash::{Hash, Hasher},
};
use spki::{
    AlgorithmIdentifierRef, ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{
        Decode as _, Encode as _, Reader as _,
        asn1::{AnyRef, BitStringRef, UintRef},
        pem::{Decoder, LineEnding, PemLabel as _},
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

/// PEM texts above this size are refused before they are decoded: the largest keys have some 4 KB.
const MAX_PEM_BYTES: usize = 1 << 16;

/// First octet of an elliptic curve point written as both coordinates (SEC 1 §2.3.3).
pub(crate) const UNCOMPRESSED: u8 = 4;

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

/// All that DER can write before the uncompressed point of a key on P-256 (RFC 5480 §2.1.1): nearly every key
/// begins so, and need not be taken apart to know it.
const P256_HEAD: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// An octet for its form, and both coordinates.
const P256_POINT: usize = 65;

/// A public key whose encoding was checked. Cheap to clone.
#[derive(Clone)]
pub struct PublicKey(Arc<Checked<Chosen>>);

impl PublicKey {
    /// Parses and checks SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        Checked::parse(der).map(|key| Self(Arc::new(key)))
    }

    /// Parses a PEM block labelled `PUBLIC KEY`, with lines of any one width (npm's tools write a single long one).
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        if pem.len() > MAX_PEM_BYTES {
            return Err(KeyError::NotPem);
        }
        let mut decoder = Decoder::new_detect_wrap(pem.trim().as_bytes()).map_err(|_| KeyError::NotPem)?;
        if decoder.type_label() != SubjectPublicKeyInfoRef::PEM_LABEL {
            return Err(KeyError::NotPem);
        }
        let mut der = Vec::new();
        decoder.decode_to_end(&mut der).map_err(|_| KeyError::NotPem)?;
        Self::from_spki_der(&der)
    }

    /// The key of a bare RSAPublicKey in DER (RFC 8017 A.1.1), as some logs of old are listed.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_pkcs1_der(der: &[u8]) -> Result<Self, KeyError> {
        let spki = SubjectPublicKeyInfoRef {
            algorithm: AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(AnyRef::NULL) },
            subject_public_key: BitStringRef::from_bytes(der).map_err(|_| KeyError::Malformed)?,
        };
        Self::from_spki_der(&spki.to_der().map_err(|_| KeyError::Malformed)?)
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
    pub fn kind(&self) -> KeyKind {
        self.0.kind
    }

    /// SubjectPublicKeyInfo in DER, as it was parsed.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.0.spki
    }

    /// The content of the subjectPublicKey BIT STRING: point, RSAPublicKey, or the bare key.
    #[must_use]
    pub fn key_bits(&self) -> &[u8] {
        self.0.spki.get(self.0.bits_at..).unwrap_or_default()
    }

    /// PEM labelled `PUBLIC KEY`, with a final newline.
    #[must_use]
    pub fn to_pem(&self) -> String {
        spki::der::pem::encode_string(SubjectPublicKeyInfoRef::PEM_LABEL, LineEnding::LF, self.spki_der())
            .unwrap_or_default()
    }

    /// The 32 bytes of an Ed25519 key; none for other kinds.
    #[must_use]
    pub fn ed25519_point(&self) -> Option<[u8; 32]> {
        match self.kind() {
            KeyKind::Ed25519 => self.key_bits().try_into().ok(),
            _ => None,
        }
    }

    /// Verifies a signature over `message`.
    ///
    /// # Errors
    /// See [`SignatureError`].
    pub fn verify(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        self.0.verify(scheme, message, signature)
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
        self.0.verify_digest(scheme, digest, signature)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki_der() == other.spki_der()
    }
}

impl Eq for PublicKey {}

impl Hash for PublicKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.spki_der().hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {:?})", self.kind(), HashAlgorithm::Sha256.digest(self.spki_der()))
    }
}

/// A key in one backend: the bytes it came from, and what the backend made of them.
pub(crate) struct Checked<B> {
    kind: KeyKind,
    spki: Vec<u8>,
    /// Where the BIT STRING's content begins; it ends with the whole.
    bits_at: usize,
    backend: B,
}

impl<B: Backend> Checked<B> {
    pub(crate) fn parse(der: &[u8]) -> Result<Self, KeyError> {
        let (kind, bits) = match der.strip_prefix(&P256_HEAD) {
            Some(point) if point.len() == P256_POINT => (KeyKind::EcdsaP256, point),
            _ => kind_and_bits(der)?,
        };
        // Go's parsers read no other form: such a key would be taken in here and verify nowhere there.
        let is_curve = matches!(kind, KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521);
        if is_curve && bits.first() != Some(&UNCOMPRESSED) {
            return Err(KeyError::InvalidPoint(kind));
        }
        // Points off the curve are refused now, so that no later step meets an unusable key.
        let backend = B::parse(kind, der, bits).ok_or(KeyError::InvalidPoint(kind))?;
        let bits_at = der.len().saturating_sub(bits.len());
        Ok(Self { kind, spki: der.to_vec(), bits_at, backend })
    }

    pub(crate) fn verify(
        &self,
        scheme: Scheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        self.check_scheme(scheme)?;
        let verified = match scheme.prehash() {
            Some(hash) => self.backend.verifies_digest(scheme, &hash.digest(message), signature),
            None => self.backend.verifies_message(scheme, message, signature),
        };
        if verified { Ok(()) } else { Err(SignatureError::Invalid) }
    }

    pub(crate) fn verify_digest(
        &self,
        scheme: Scheme,
        digest: &Digest,
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        // A wrong pairing of key and scheme is the more telling complaint.
        self.check_scheme(scheme)?;
        if scheme.prehash() != Some(digest.algorithm()) {
            return Err(SignatureError::WrongDigest { scheme, found: digest.algorithm() });
        }
        let verified = self.backend.verifies_digest(scheme, digest, signature);
        if verified { Ok(()) } else { Err(SignatureError::Invalid) }
    }

    fn check_scheme(&self, scheme: Scheme) -> Result<(), SignatureError> {
        let kind = self.kind;
        if scheme.fits(kind) { Ok(()) } else { Err(SignatureError::WrongScheme { kind, scheme }) }
    }
}

/// Reads any SubjectPublicKeyInfo: what sort of key, and the content of its BIT STRING.
pub(crate) fn kind_and_bits(der: &[u8]) -> Result<(KeyKind, &[u8]), KeyError> {
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
    Ok((kind, bits))
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

/// Size and exponent of an RSAPublicKey.
fn check_rsa(bits: &[u8]) -> Result<KeyKind, KeyError> {
    let (modulus, exponent) = rsa_numbers(bits).ok_or(KeyError::Malformed)?;
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

/// Modulus and exponent of an RSAPublicKey (RFC 8017 A.1.1).
pub(crate) fn rsa_numbers(bits: &[u8]) -> Option<(UintRef<'_>, UintRef<'_>)> {
    let mut reader = spki::der::SliceReader::new(bits).ok()?;
    let numbers =
        reader.sequence(|r| Ok::<_, spki::der::Error>((UintRef::decode(r)?, UintRef::decode(r)?))).ok()?;
    reader.finish().ok()?;
    Some(numbers)
}
