//! Keys that follow from labels, and serial numbers that are counted.

use crate::der;
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey};
use sealog_pki::ObjectIdentifier;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Keys that follow from no label but were drawn, in PKCS#8 by label, which has their kind in it.
static DRAWN: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::new(BTreeMap::new());
static SERIALS: AtomicU64 = AtomicU64::new(1);

/// The key of that kind and label: the same one whenever it is asked for.
#[must_use]
pub fn key(label: &str, kind: KeyKind) -> Arc<PrivateKey> {
    let label = format!("{label} {kind}");
    let secret = HashAlgorithm::Sha512.digest(label.as_bytes());
    let secret = secret.as_bytes();
    let pkcs8 = match kind {
        KeyKind::Ed25519 => {
            let inner = der::octet_string(&secret[..32]);
            pkcs8(&der::oid(&ED25519), &inner)
        }
        KeyKind::EcdsaP256 => ec(&P256, &secret[..32]),
        KeyKind::EcdsaP384 => ec(&P384, &secret[..48]),
        drawn => draw(label, drawn),
    };
    Arc::new(PrivateKey::from_pkcs8_der(&pkcs8).unwrap())
}

/// A serial number not used before in this process: 20 bytes, positive.
#[must_use]
pub fn serial() -> [u8; 20] {
    let mut serial = [0x42; 20];
    serial[12..].copy_from_slice(&SERIALS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    serial
}

/// RFC 5958.
fn pkcs8(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    der::sequence(&[&der::integer(&[0]), &der::sequence(&[algorithm]), &der::octet_string(key)])
}

/// RFC 5915 in RFC 5958. A secret is below the group's order but for one in 2^32 labels.
fn ec(curve: &ObjectIdentifier, secret: &[u8]) -> Vec<u8> {
    let key = der::sequence(&[&der::integer(&[1]), &der::octet_string(secret)]);
    pkcs8(&[der::oid(&EC_PUBLIC_KEY), der::oid(curve)].concat(), &key)
}

fn draw(label: String, kind: KeyKind) -> Vec<u8> {
    let mut drawn = DRAWN.lock().unwrap();
    let draw = || PrivateKey::generate(kind).unwrap().to_pkcs8_der().unwrap().to_vec();
    drawn.entry(label).or_insert_with(draw).clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KEY_KINDS;
    use sealog_crypto::Signer as _;

    #[test]
    fn a_label_is_a_key() {
        for kind in KEY_KINDS.into_iter().filter(|kind| !matches!(kind, KeyKind::Rsa { bits: 3072.. })) {
            let (one, again, other) = (key("one", kind), key("one", kind), key("other", kind));
            assert_eq!(one.public_key().kind(), kind);
            assert_eq!(one.public_key(), again.public_key());
            assert_ne!(one.public_key(), other.public_key());
            let signature = one.sign(b"message").unwrap();
            assert_eq!(again.public_key().verify(one.scheme(), b"message", &signature), Ok(()));
        }
        assert_ne!(serial(), serial());
    }
}
