//! Verification with `aws-lc-rs`: everywhere but on wasm.

use super::{Backend, ed25519::Point};
use crate::{
    Digest,
    HashAlgorithm::{self, Sha256, Sha384, Sha512},
    KeyKind, Scheme,
};
use alloc::boxed::Box;
use aws_lc_rs::{
    digest as lc,
    signature::{self, ParsedPublicKey, VerificationAlgorithm},
};

/// A key that is ready to verify.
pub(crate) enum Key {
    /// The library ties a parsed key to one hash; see [`as_number`] for the others.
    Ecdsa { parsed: ParsedPublicKey, own: HashAlgorithm },
    /// Tied to PKCS#1 v1.5 with SHA-256; other paddings and hashes parse again.
    Rsa { parsed: ParsedPublicKey },
    /// The point is checked and prehashed messages are verified by the other library.
    Ed25519 { parsed: ParsedPublicKey, point: Box<Point> },
    /// ML-DSA with one set of parameters.
    MlDsa { parsed: ParsedPublicKey },
}

impl Backend for Key {
    fn parse(kind: KeyKind, spki: &[u8], bits: &[u8]) -> Option<Self> {
        let parsed =
            |algorithm: &'static dyn VerificationAlgorithm, key| ParsedPublicKey::new(algorithm, key).ok();
        Some(match kind {
            KeyKind::EcdsaP256 => {
                Self::Ecdsa { parsed: parsed(&signature::ECDSA_P256_SHA256_ASN1, bits)?, own: Sha256 }
            }
            KeyKind::EcdsaP384 => {
                Self::Ecdsa { parsed: parsed(&signature::ECDSA_P384_SHA384_ASN1, bits)?, own: Sha384 }
            }
            KeyKind::EcdsaP521 => {
                Self::Ecdsa { parsed: parsed(&signature::ECDSA_P521_SHA512_ASN1, bits)?, own: Sha512 }
            }
            KeyKind::Rsa { .. } => {
                Self::Rsa { parsed: parsed(&signature::RSA_PKCS1_2048_8192_SHA256, bits)? }
            }
            KeyKind::Ed25519 => Self::Ed25519 {
                parsed: parsed(&signature::ED25519, bits)?,
                point: Box::new(Point::parse(bits)?),
            },
            // Not from the bare bytes: the library would first look whether they happen to be another
            // key's SubjectPublicKeyInfo.
            KeyKind::MlDsa44 => Self::MlDsa { parsed: parsed(&signature::ML_DSA_44, spki)? },
            KeyKind::MlDsa65 => Self::MlDsa { parsed: parsed(&signature::ML_DSA_65, spki)? },
            KeyKind::MlDsa87 => Self::MlDsa { parsed: parsed(&signature::ML_DSA_87, spki)? },
        })
    }

    fn verifies_message(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
        match (self, scheme) {
            (Self::Ed25519 { parsed, .. }, Scheme::Ed25519)
            | (Self::MlDsa { parsed }, Scheme::MlDsa44 | Scheme::MlDsa65 | Scheme::MlDsa87) => {
                parsed.verify_sig(message, signature).is_ok()
            }
            _ => false,
        }
    }

    fn verifies_digest(&self, scheme: Scheme, digest: &Digest, signature: &[u8]) -> bool {
        match (self, scheme) {
            (Self::Ecdsa { parsed, own }, Scheme::Ecdsa(_)) => as_number(digest, *own)
                .is_some_and(|number| parsed.verify_digest_sig(&number, signature).is_ok()),
            (Self::Rsa { parsed }, Scheme::RsaPkcs1(Sha256)) => {
                imported(digest).is_some_and(|digest| parsed.verify_digest_sig(&digest, signature).is_ok())
            }
            (Self::Rsa { parsed }, _) => {
                let other = rsa(scheme).and_then(|other| ParsedPublicKey::new(other, parsed).ok());
                let verified =
                    |key: ParsedPublicKey| Some(key.verify_digest_sig(&imported(digest)?, signature).is_ok());
                other.and_then(verified).unwrap_or(false)
            }
            (Self::Ed25519 { point, .. }, Scheme::Ed25519ph) => point.verifies_prehashed(digest, signature),
            _ => false,
        }
    }
}

fn rsa(scheme: Scheme) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match scheme {
        Scheme::RsaPkcs1(Sha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
        Scheme::RsaPkcs1(Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
        Scheme::RsaPkcs1(Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
        Scheme::RsaPss(Sha256) => &signature::RSA_PSS_2048_8192_SHA256,
        Scheme::RsaPss(Sha384) => &signature::RSA_PSS_2048_8192_SHA384,
        Scheme::RsaPss(Sha512) => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

/// Any digest as one of the length that goes with the curve. ECDSA takes a digest's leftmost bits, as many
/// as the curve's order has, as a number (FIPS 186-5 §6.4.1): a longer digest is cut, and a shorter one is
/// the same number behind zeros.
pub(crate) fn as_number(digest: &Digest, own: HashAlgorithm) -> Option<lc::Digest> {
    if digest.algorithm() == own {
        return imported(digest);
    }
    let mut number = [0; 64];
    let room = number.get_mut(..own.len())?;
    let taken = digest.as_bytes().get(..own.len()).unwrap_or(digest.as_bytes());
    room.get_mut(own.len().checked_sub(taken.len())?..)?.copy_from_slice(taken);
    imported(&Digest::new(own, room).ok()?)
}

fn imported(digest: &Digest) -> Option<lc::Digest> {
    let algorithm = match digest.algorithm() {
        Sha256 => &lc::SHA256,
        Sha384 => &lc::SHA384,
        Sha512 => &lc::SHA512,
    };
    lc::Digest::import_less_safe(digest.as_bytes(), algorithm).ok()
}
