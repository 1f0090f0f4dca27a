//! The ways in which tokens are signed (RFC 7518 §3.1, RFC 8037): those with a public half, and no others.
//!
//! `none` and shared secrets are not refused somewhere: there is no way to say them.

use crate::asn1;
use alloc::vec::Vec;
use core::fmt;
use sealog_crypto::{HashAlgorithm, KeyKind, Scheme};

/// A way of signing tokens (RFC 7518 §3.1, RFC 8037): only those with a public half.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA PKCS#1 v1.5 with SHA-256.
    Rs256,
    /// RSA PKCS#1 v1.5 with SHA-384.
    Rs384,
    /// RSA PKCS#1 v1.5 with SHA-512.
    Rs512,
    /// RSA-PSS with SHA-256.
    Ps256,
    /// RSA-PSS with SHA-384.
    Ps384,
    /// RSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];
    /// What an issuer uses that does not say (OpenID Connect Core §2).
    pub const DEFAULT: [Self; 1] = [Self::Rs256];

    /// The name in headers and key sets.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name: names are compared exactly, so `None` is no more known than `none`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|a| a.name() == name)
    }

    /// How the bytes are signed.
    #[must_use]
    pub const fn scheme(self) -> Scheme {
        match self {
            Self::Rs256 => Scheme::RsaPkcs1(HashAlgorithm::Sha256),
            Self::Rs384 => Scheme::RsaPkcs1(HashAlgorithm::Sha384),
            Self::Rs512 => Scheme::RsaPkcs1(HashAlgorithm::Sha512),
            Self::Ps256 => Scheme::RsaPss(HashAlgorithm::Sha256),
            Self::Ps384 => Scheme::RsaPss(HashAlgorithm::Sha384),
            Self::Ps512 => Scheme::RsaPss(HashAlgorithm::Sha512),
            Self::Es256 => Scheme::Ecdsa(HashAlgorithm::Sha256),
            Self::Es384 => Scheme::Ecdsa(HashAlgorithm::Sha384),
            Self::Es512 => Scheme::Ecdsa(HashAlgorithm::Sha512),
            Self::EdDsa => Scheme::Ed25519,
        }
    }

    /// Whether a key of this kind signs so.
    #[must_use]
    pub const fn fits(self, kind: KeyKind) -> bool {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                matches!(kind, KeyKind::Rsa { .. })
            }
            Self::Es256 => matches!(kind, KeyKind::EcdsaP256),
            Self::Es384 => matches!(kind, KeyKind::EcdsaP384),
            Self::Es512 => matches!(kind, KeyKind::EcdsaP521),
            Self::EdDsa => matches!(kind, KeyKind::Ed25519),
        }
    }

    /// Length of each of ECDSA's two numbers (RFC 7518 §3.4); none for other algorithms.
    pub(crate) const fn coordinate(self) -> Option<usize> {
        match self {
            Self::Es256 => Some(32),
            Self::Es384 => Some(48),
            Self::Es512 => Some(66),
            _ => None,
        }
    }

    /// The signature in the form `crypto` takes: JWS writes ECDSA's two numbers side by side.
    pub(crate) fn signature(self, raw: &[u8]) -> Option<Vec<u8>> {
        let Some(coordinate) = self.coordinate() else { return Some(raw.to_vec()) };
        let (r, s) = raw.split_at_checked(coordinate)?;
        (s.len() == coordinate).then(|| asn1::ecdsa_signature(r, s))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
