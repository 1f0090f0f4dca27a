//! Signature schemes: a kind of key, a hash and a padding, as the Sigstore algorithm registry pairs them.

use crate::{HashAlgorithm, KeyKind};
use core::fmt;

/// How a key signs. ECDSA signatures are ASN.1 DER, the others raw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// ECDSA on P-256, or another curve, with this hash.
    Ecdsa(HashAlgorithm),
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2) with this hash.
    RsaPkcs1(HashAlgorithm),
    /// RSASSA-PSS (RFC 8017 §8.1) with this hash, MGF1 with the same and a salt of its length.
    RsaPss(HashAlgorithm),
    /// Ed25519 over the message itself (RFC 8032 §5.1).
    Ed25519,
    /// Ed25519ph over the message's SHA-512 (RFC 8032 §5.1), empty context.
    Ed25519ph,
    /// ML-DSA-44 over the message itself (FIPS 204 §5.2, "pure"), empty context. Experimental.
    MlDsa44,
    /// The same with ML-DSA-65. Experimental.
    MlDsa65,
    /// The same with ML-DSA-87. Experimental.
    MlDsa87,
}

impl Scheme {
    /// The hash the message goes through before the key sees it; none for pure Ed25519 and ML-DSA.
    #[must_use]
    pub const fn prehash(self) -> Option<HashAlgorithm> {
        match self {
            Self::Ecdsa(h) | Self::RsaPkcs1(h) | Self::RsaPss(h) => Some(h),
            Self::Ed25519ph => Some(HashAlgorithm::Sha512),
            Self::Ed25519 | Self::MlDsa44 | Self::MlDsa65 | Self::MlDsa87 => None,
        }
    }

    /// Whether keys of this kind can sign so.
    #[must_use]
    pub const fn fits(self, kind: KeyKind) -> bool {
        match self {
            Self::Ecdsa(_) => matches!(kind, KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521),
            Self::RsaPkcs1(_) | Self::RsaPss(_) => matches!(kind, KeyKind::Rsa { .. }),
            Self::Ed25519 | Self::Ed25519ph => matches!(kind, KeyKind::Ed25519),
            Self::MlDsa44 => matches!(kind, KeyKind::MlDsa44),
            Self::MlDsa65 => matches!(kind, KeyKind::MlDsa65),
            Self::MlDsa87 => matches!(kind, KeyKind::MlDsa87),
        }
    }

    /// The scheme a key of this kind uses where nothing else is said (the registry's first choice).
    #[must_use]
    pub const fn default_for(kind: KeyKind) -> Self {
        match kind {
            KeyKind::EcdsaP256 => Self::Ecdsa(HashAlgorithm::Sha256),
            KeyKind::EcdsaP384 => Self::Ecdsa(HashAlgorithm::Sha384),
            KeyKind::EcdsaP521 => Self::Ecdsa(HashAlgorithm::Sha512),
            KeyKind::Rsa { .. } => Self::RsaPkcs1(HashAlgorithm::Sha256),
            KeyKind::Ed25519 => Self::Ed25519,
            KeyKind::MlDsa44 => Self::MlDsa44,
            KeyKind::MlDsa65 => Self::MlDsa65,
            KeyKind::MlDsa87 => Self::MlDsa87,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ecdsa(h) => write!(f, "ECDSA with {h}"),
            Self::RsaPkcs1(h) => write!(f, "RSA PKCS#1 v1.5 with {h}"),
            Self::RsaPss(h) => write!(f, "RSA-PSS with {h}"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Ed25519ph => f.write_str("Ed25519ph"),
            Self::MlDsa44 => f.write_str("ML-DSA-44"),
            Self::MlDsa65 => f.write_str("ML-DSA-65"),
            Self::MlDsa87 => f.write_str("ML-DSA-87"),
        }
    }
}
