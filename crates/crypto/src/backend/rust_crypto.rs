//! Verification with the RustCrypto crates: on wasm, where `aws-lc-rs` does not build.
//!
//! Only public values pass through here. The crate `rsa` is not to be used with private keys
//! (RUSTSEC-2023-0071), and nothing here has one.

use super::{Backend, ed25519::Point};
use crate::{
    Digest,
    HashAlgorithm::{Sha256, Sha384, Sha512},
    KeyKind, Scheme,
    key::rsa_numbers,
};
use alloc::boxed::Box;
use ml_dsa::{MlDsa44, MlDsa65, MlDsa87};
use rsa::{pkcs1v15, pss, signature::hazmat::PrehashVerifier};

/// A key that is ready to verify.
pub(crate) enum Key {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
    Rsa(Box<rsa::PublicKey>),
    Ed25519(Box<Point>),
    // These hold tables of tens of kilobytes, on the heap.
    MlDsa44(Box<ml_dsa::VerifyingKey<MlDsa44>>),
    MlDsa65(Box<ml_dsa::VerifyingKey<MlDsa65>>),
    MlDsa87(Box<ml_dsa::VerifyingKey<MlDsa87>>),
}

impl Backend for Key {
    fn parse(kind: KeyKind, _: &[u8], bits: &[u8]) -> Option<Self> {
        Some(match kind {
            KeyKind::EcdsaP256 => Self::P256(p256::ecdsa::VerifyingKey::from_sec1_bytes(bits).ok()?),
            KeyKind::EcdsaP384 => Self::P384(p384::ecdsa::VerifyingKey::from_sec1_bytes(bits).ok()?),
            KeyKind::EcdsaP521 => Self::P521(p521::ecdsa::VerifyingKey::from_sec1_bytes(bits).ok()?),
            KeyKind::Rsa { .. } => Self::Rsa(Box::new(rsa_key(bits)?)),
            KeyKind::Ed25519 => Self::Ed25519(Box::new(Point::parse(bits)?)),
            KeyKind::MlDsa44 => Self::MlDsa44(Box::new(ml_dsa::VerifyingKey::decode(bits.try_into().ok()?))),
            KeyKind::MlDsa65 => Self::MlDsa65(Box::new(ml_dsa::VerifyingKey::decode(bits.try_into().ok()?))),
            KeyKind::MlDsa87 => Self::MlDsa87(Box::new(ml_dsa::VerifyingKey::decode(bits.try_into().ok()?))),
        })
    }

    fn verifies_message(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> bool {
        match (self, scheme) {
            (Self::Ed25519(point), Scheme::Ed25519) => point.verifies(message, signature),
            (Self::MlDsa44(key), Scheme::MlDsa44) => ml_dsa(key, message, signature),
            (Self::MlDsa65(key), Scheme::MlDsa65) => ml_dsa(key, message, signature),
            (Self::MlDsa87(key), Scheme::MlDsa87) => ml_dsa(key, message, signature),
            _ => false,
        }
    }

    fn verifies_digest(&self, scheme: Scheme, digest: &Digest, signature: &[u8]) -> bool {
        let bytes = digest.as_bytes();
        match (self, scheme) {
            (Self::P256(key), Scheme::Ecdsa(_)) => p256::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|signature| key.verify_prehash(bytes, &signature).is_ok()),
            (Self::P384(key), Scheme::Ecdsa(_)) => p384::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|signature| key.verify_prehash(bytes, &signature).is_ok()),
            (Self::P521(key), Scheme::Ecdsa(_)) => p521::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|signature| key.verify_prehash(bytes, &signature).is_ok()),
            (Self::Rsa(key), Scheme::RsaPkcs1(hash)) => {
                let Ok(signature) = pkcs1v15::Signature::try_from(signature) else { return false };
                let key = (**key).clone();
                let verified = match hash {
                    Sha256 => {
                        pkcs1v15::VerifyingKey::<sha2::Sha256>::new(key).verify_prehash(bytes, &signature)
                    }
                    Sha384 => {
                        pkcs1v15::VerifyingKey::<sha2::Sha384>::new(key).verify_prehash(bytes, &signature)
                    }
                    Sha512 => {
                        pkcs1v15::VerifyingKey::<sha2::Sha512>::new(key).verify_prehash(bytes, &signature)
                    }
                };
                verified.is_ok()
            }
            (Self::Rsa(key), Scheme::RsaPss(hash)) => {
                let Ok(signature) = pss::Signature::try_from(signature) else { return false };
                let key = (**key).clone();
                // The salt has the digest's length, no other.
                let verified = match hash {
                    Sha256 => pss::VerifyingKey::<sha2::Sha256>::new(key).verify_prehash(bytes, &signature),
                    Sha384 => pss::VerifyingKey::<sha2::Sha384>::new(key).verify_prehash(bytes, &signature),
                    Sha512 => pss::VerifyingKey::<sha2::Sha512>::new(key).verify_prehash(bytes, &signature),
                };
                verified.is_ok()
            }
            (Self::Ed25519(point), Scheme::Ed25519ph) => point.verifies_prehashed(digest, signature),
            _ => false,
        }
    }
}

fn rsa_key(bits: &[u8]) -> Option<rsa::PublicKey> {
    let (modulus, exponent) = rsa_numbers(bits)?;
    let number = |bytes: &[u8]| rsa::BoxedUint::from_be_slice_vartime(bytes);
    rsa::PublicKey::new(number(modulus.as_bytes()), number(exponent.as_bytes())).ok()
}

/// FIPS 204 §5.3, with the empty context.
fn ml_dsa<P: ml_dsa::MlDsaParams>(key: &ml_dsa::VerifyingKey<P>, message: &[u8], signature: &[u8]) -> bool {
    ml_dsa::Signature::try_from(signature)
        .is_ok_and(|signature| key.verify_with_context(message, &[], &signature))
}
