//! The registry of signature algorithms: key kind, padding and hash under one name and number
//! (`PublicKeyDetails` of sigstore/protobuf-specs, the Sigstore algorithm registry).

use crate::json::{Fields, JsonError};
use core::fmt;
use sealog_crypto::{HashAlgorithm, KeyKind, PublicKey, Scheme};

/// An algorithm of the registry. ML-DSA is experimental: no client or log of today takes it. The retired ones are known by name so that documents which mention
/// them can be read; they have no [`KeyDetails::scheme`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the registry's names say it all; the table below has them verbatim")]
pub enum KeyDetails {
    Pkcs1RsaPkcs1v5,
    Pkcs1RsaPss,
    PkixRsaPkcs1v5,
    PkixRsaPss,
    EcdsaP256Sha256,
    EcdsaP256HmacSha256,
    Ed25519,
    Ed25519Ph,
    RsaPkcs1v15_2048Sha256,
    RsaPkcs1v15_3072Sha256,
    RsaPkcs1v15_4096Sha256,
    EcdsaP384Sha384,
    EcdsaP521Sha512,
    LmsSha256,
    LmotsSha256,
    RsaPss2048Sha256,
    RsaPss3072Sha256,
    RsaPss4096Sha256,
    EcdsaP384Sha256,
    EcdsaP521Sha256,
    MlDsa44,
    MlDsa65,
    MlDsa87,
}

/// Number and name of each algorithm.
const REGISTRY: [(KeyDetails, u8, &str); 23] = [
    (KeyDetails::Pkcs1RsaPkcs1v5, 1, "PKCS1_RSA_PKCS1V5"),
    (KeyDetails::Pkcs1RsaPss, 2, "PKCS1_RSA_PSS"),
    (KeyDetails::PkixRsaPkcs1v5, 3, "PKIX_RSA_PKCS1V5"),
    (KeyDetails::PkixRsaPss, 4, "PKIX_RSA_PSS"),
    (KeyDetails::EcdsaP256Sha256, 5, "PKIX_ECDSA_P256_SHA_256"),
    (KeyDetails::EcdsaP256HmacSha256, 6, "PKIX_ECDSA_P256_HMAC_SHA_256"),
    (KeyDetails::Ed25519, 7, "PKIX_ED25519"),
    (KeyDetails::Ed25519Ph, 8, "PKIX_ED25519_PH"),
    (KeyDetails::RsaPkcs1v15_2048Sha256, 9, "PKIX_RSA_PKCS1V15_2048_SHA256"),
    (KeyDetails::RsaPkcs1v15_3072Sha256, 10, "PKIX_RSA_PKCS1V15_3072_SHA256"),
    (KeyDetails::RsaPkcs1v15_4096Sha256, 11, "PKIX_RSA_PKCS1V15_4096_SHA256"),
    (KeyDetails::EcdsaP384Sha384, 12, "PKIX_ECDSA_P384_SHA_384"),
    (KeyDetails::EcdsaP521Sha512, 13, "PKIX_ECDSA_P521_SHA_512"),
    (KeyDetails::LmsSha256, 14, "LMS_SHA256"),
    (KeyDetails::LmotsSha256, 15, "LMOTS_SHA256"),
    (KeyDetails::RsaPss2048Sha256, 16, "PKIX_RSA_PSS_2048_SHA256"),
    (KeyDetails::RsaPss3072Sha256, 17, "PKIX_RSA_PSS_3072_SHA256"),
    (KeyDetails::RsaPss4096Sha256, 18, "PKIX_RSA_PSS_4096_SHA256"),
    (KeyDetails::EcdsaP384Sha256, 19, "PKIX_ECDSA_P384_SHA_256"),
    (KeyDetails::EcdsaP521Sha256, 20, "PKIX_ECDSA_P521_SHA_256"),
    (KeyDetails::MlDsa65, 21, "ML_DSA_65"),
    (KeyDetails::MlDsa87, 22, "ML_DSA_87"),
    (KeyDetails::MlDsa44, 23, "ML_DSA_44"),
];

impl KeyDetails {
    /// The registry's name: `PKIX_ECDSA_P256_SHA_256`.
    #[must_use]
    pub fn name(self) -> &'static str {
        REGISTRY.iter().find(|(d, ..)| *d == self).map_or("", |(.., name)| name)
    }

    /// The registry's number.
    #[must_use]
    pub fn number(self) -> u8 {
        REGISTRY.iter().find(|(d, ..)| *d == self).map_or(0, |(_, number, _)| *number)
    }

    /// The algorithm of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        REGISTRY.iter().find(|(.., n)| *n == name).map(|(d, ..)| *d)
    }

    /// The algorithm of that number.
    #[must_use]
    pub fn from_number(number: i128) -> Option<Self> {
        REGISTRY.iter().find(|(_, n, _)| i128::from(*n) == number).map(|(d, ..)| *d)
    }

    /// What a log entry says of such a key. Log entries hold digests, so Ed25519 is the prehashed kind.
    /// `None` for RSA keys of sizes the registry does not have, and for ML-DSA, which signs no digests.
    #[must_use]
    pub fn default_for(key: &PublicKey) -> Option<Self> {
        Some(match key.kind() {
            KeyKind::EcdsaP256 => Self::EcdsaP256Sha256,
            KeyKind::EcdsaP384 => Self::EcdsaP384Sha384,
            KeyKind::EcdsaP521 => Self::EcdsaP521Sha512,
            KeyKind::Rsa { bits: 2048 } => Self::RsaPkcs1v15_2048Sha256,
            KeyKind::Rsa { bits: 3072 } => Self::RsaPkcs1v15_3072Sha256,
            KeyKind::Rsa { bits: 4096 } => Self::RsaPkcs1v15_4096Sha256,
            KeyKind::Rsa { .. } => return None,
            KeyKind::Ed25519 => Self::Ed25519Ph,
            KeyKind::MlDsa44 | KeyKind::MlDsa65 | KeyKind::MlDsa87 => return None,
        })
    }

    /// Every algorithm of the registry that such a key can have signed with, the usual one first. None
    /// for RSA keys of sizes the registry does not have.
    #[must_use]
    pub fn candidates(key: &PublicKey) -> &'static [Self] {
        match key.kind() {
            KeyKind::EcdsaP256 => &[Self::EcdsaP256Sha256],
            KeyKind::EcdsaP384 => &[Self::EcdsaP384Sha384, Self::EcdsaP384Sha256],
            KeyKind::EcdsaP521 => &[Self::EcdsaP521Sha512, Self::EcdsaP521Sha256],
            KeyKind::Rsa { bits: 2048 } => &[Self::RsaPkcs1v15_2048Sha256, Self::RsaPss2048Sha256],
            KeyKind::Rsa { bits: 3072 } => &[Self::RsaPkcs1v15_3072Sha256, Self::RsaPss3072Sha256],
            KeyKind::Rsa { bits: 4096 } => &[Self::RsaPkcs1v15_4096Sha256, Self::RsaPss4096Sha256],
            KeyKind::Rsa { .. } => &[],
            KeyKind::Ed25519 => &[Self::Ed25519Ph, Self::Ed25519],
            KeyKind::MlDsa44 => &[Self::MlDsa44],
            KeyKind::MlDsa65 => &[Self::MlDsa65],
            KeyKind::MlDsa87 => &[Self::MlDsa87],
        }
    }

    /// What a trusted root says of a log's key: as [`KeyDetails::default_for`], with pure Ed25519.
    #[must_use]
    pub fn for_log_key(key: &PublicKey) -> Option<Self> {
        match Self::default_for(key) {
            Some(Self::Ed25519Ph) => Some(Self::Ed25519),
            other => other,
        }
    }

    /// How such a key signs; `None` for retired algorithms and those not implemented here.
    #[must_use]
    pub const fn scheme(self) -> Option<Scheme> {
        Some(match self {
            Self::EcdsaP256Sha256 | Self::EcdsaP384Sha256 | Self::EcdsaP521Sha256 => {
                Scheme::Ecdsa(HashAlgorithm::Sha256)
            }
            Self::EcdsaP384Sha384 => Scheme::Ecdsa(HashAlgorithm::Sha384),
            Self::EcdsaP521Sha512 => Scheme::Ecdsa(HashAlgorithm::Sha512),
            Self::Ed25519 => Scheme::Ed25519,
            Self::Ed25519Ph => Scheme::Ed25519ph,
            Self::MlDsa44 => Scheme::MlDsa44,
            Self::MlDsa65 => Scheme::MlDsa65,
            Self::MlDsa87 => Scheme::MlDsa87,
            Self::RsaPkcs1v15_2048Sha256 | Self::RsaPkcs1v15_3072Sha256 | Self::RsaPkcs1v15_4096Sha256 => {
                Scheme::RsaPkcs1(HashAlgorithm::Sha256)
            }
            Self::RsaPss2048Sha256 | Self::RsaPss3072Sha256 | Self::RsaPss4096Sha256 => {
                Scheme::RsaPss(HashAlgorithm::Sha256)
            }
            Self::Pkcs1RsaPkcs1v5
            | Self::Pkcs1RsaPss
            | Self::PkixRsaPkcs1v5
            | Self::PkixRsaPss
            | Self::EcdsaP256HmacSha256
            | Self::LmsSha256
            | Self::LmotsSha256 => return None,
        })
    }

    /// The hash a log entry's digest is made with; `None` where the message itself is signed.
    #[must_use]
    pub fn prehash(self) -> Option<HashAlgorithm> {
        self.scheme()?.prehash()
    }

    /// Whether a key is of the kind, and size, this names.
    #[must_use]
    pub fn fits(self, key: &PublicKey) -> bool {
        Self::candidates(key).contains(&self)
    }

    pub(crate) fn take(fields: &mut Fields<'_>, name: &str) -> Result<Self, JsonError> {
        fields.name_or_number(name, Self::from_name, Self::from_number)
    }
}

impl fmt::Display for KeyDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The protocol's name of a hash: `SHA2_256`.
#[must_use]
pub const fn hash_name(algorithm: HashAlgorithm) -> &'static str {
    match algorithm {
        HashAlgorithm::Sha256 => "SHA2_256",
        HashAlgorithm::Sha384 => "SHA2_384",
        HashAlgorithm::Sha512 => "SHA2_512",
    }
}

pub(crate) fn take_hash(fields: &mut Fields<'_>, name: &str) -> Result<HashAlgorithm, JsonError> {
    let named = |text: &str| HashAlgorithm::ALL.into_iter().find(|a| hash_name(*a) == text);
    fields.name_or_number(name, named, |number| match number {
        1 => Some(HashAlgorithm::Sha256),
        2 => Some(HashAlgorithm::Sha384),
        3 => Some(HashAlgorithm::Sha512),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use sealog_crypto::{PrivateKey, Signer as _};

    #[test]
    fn every_row_leads_back_to_itself() {
        for (details, number, name) in REGISTRY {
            assert_eq!((details.number(), details.name()), (number, name));
            assert_eq!(KeyDetails::from_name(name), Some(details));
            assert_eq!(KeyDetails::from_number(number.into()), Some(details));
        }
        assert_eq!(KeyDetails::from_number(0), None);
    }

    #[test]
    fn a_key_can_have_signed_in_the_ways_of_its_kind_and_size_and_no_other() {
        let numbers = |kind| {
            let key = PrivateKey::generate(kind).unwrap();
            let numbers = |details: &[KeyDetails]| details.iter().map(|d| d.number()).collect::<Vec<_>>();
            let fitting: Vec<_> =
                REGISTRY.iter().map(|(d, ..)| *d).filter(|d| d.fits(key.public_key())).collect();
            let candidates = KeyDetails::candidates(key.public_key());
            assert_eq!(fitting.len(), candidates.len());
            assert!(fitting.iter().all(|d| candidates.contains(d)));
            for details in candidates {
                let signature = key.sign_with(details.scheme().unwrap(), b"message").unwrap();
                key.public_key().verify(details.scheme().unwrap(), b"message", &signature).unwrap();
            }
            // What an entry says of a key is the first of those that sign digests.
            let for_entries = candidates.iter().copied().find(|d| d.prehash().is_some());
            assert_eq!(KeyDetails::default_for(key.public_key()), for_entries);
            numbers(candidates)
        };
        assert_eq!(numbers(KeyKind::EcdsaP256), [5]);
        assert_eq!(numbers(KeyKind::EcdsaP384), [12, 19]);
        assert_eq!(numbers(KeyKind::EcdsaP521), [13, 20]);
        assert_eq!(numbers(KeyKind::Rsa { bits: 2048 }), [9, 16]);
        assert_eq!(numbers(KeyKind::Rsa { bits: 3072 }), [10, 17]);
        assert_eq!(numbers(KeyKind::Rsa { bits: 4096 }), [11, 18]);
        assert_eq!(numbers(KeyKind::Ed25519), [8, 7]);
        assert_eq!(numbers(KeyKind::MlDsa44), [23]);
        assert_eq!(numbers(KeyKind::MlDsa65), [21]);
        assert_eq!(numbers(KeyKind::MlDsa87), [22]);
    }

    /// A key of 2056 bits, made with OpenSSL.
    const ODD_SIZE: &str = "-----BEGIN PUBLIC KEY-----\n\
        MIIBIzANBgkqhkiG9w0BAQEFAAOCARAAMIIBCwKCAQIAuo0MkqUB6zll+yYhhk1t\n\
        +StB8isN6YykL3lWBFnk4OVV8xvNnBFyo/xaGmmYlb1XGPs7oG/hJ/Ie5pD6Ce4M\n\
        aq6aRq6CUTuIO8VDwiUkSz0Tv4v0VC+BoW/y1vy9tN3BhM6Z2F+r7SHsYl2uNfJK\n\
        2p5JGC7VOJ5nZEqcmTZXjmY768DQ9na9G/sTyiYCJXe1b9HjZoXAQT/a3slfAgN4\n\
        yaRxZpkvP+YT2nKVfn/laztGy1RvrMDBIkwOux8Qv2uDLGDLzZ2mISsHTzOJHKHy\n\
        Ol9V+d0pLQvvb5JQLHYSq1ClxNE22i9WEMppQqCdJPhhccK+f7Z4AYIP7RI2jVXE\n\
        yVECAwEAAQ==\n\
        -----END PUBLIC KEY-----";

    #[test]
    fn an_rsa_key_of_another_size_is_outside_the_registry() {
        let key = PublicKey::from_pem(ODD_SIZE).unwrap();
        assert_eq!(key.kind(), KeyKind::Rsa { bits: 2056 });
        assert!(KeyDetails::candidates(&key).is_empty());
        assert_eq!(KeyDetails::default_for(&key), None);
        assert!(REGISTRY.iter().all(|(d, ..)| !d.fits(&key)));
    }
}
