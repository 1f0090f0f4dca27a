//! Entries of a Rekor v1 log made up for the test: what a promise vouches for, and what nobody does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

mod sigstore;

use sealog_bundle::{KindVersion, json::encode_base64};
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, Signer, sha256};
use sealog_pki::Certificate;
use sealog_verify::ErrorClass;
use sigstore::{NOW, Person, Signed, Sigstore, Thing, key, listed_log, signature_of};
use std::sync::Arc;

const FILE: &[u8] = b"the file";
/// How many entries the log's earlier shards have.
const EARLIER_SHARDS: u64 = 1000;

/// Turns a bundle's entry into one of a Rekor v1 log, with a promise of this time.
fn in_rekor_v1(world: &mut Sigstore, mut signed: Signed, at: i64) -> Signed {
    let certificate = Certificate::from_der(signed.bundle.material.key.leaf().unwrap()).unwrap();
    let body = format!(
        r#"{{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{{"data":{{"hash":{{"algorithm":"sha256","value":"{}"}}}},"signature":{{"content":"{}","publicKey":{{"content":"{}"}}}}}}}}"#,
        hex::encode(HashAlgorithm::Sha256.digest(&signed.file).as_bytes()),
        encode_base64(signature_of(&signed.bundle.content)),
        encode_base64(certificate.to_pem().as_bytes()),
    );
    let index = world.log(body.as_bytes());
    let mut entry = world.entry(body.into_bytes(), index);
    entry.kind_version = KindVersion { kind: "hashedrekord".into(), version: "0.0.1".into() };
    entry.log_index = EARLIER_SHARDS + index;
    entry.integrated_time = at;
    let promised = format!(
        r#"{{"body":"{}","integratedTime":{at},"logID":"{}","logIndex":{}}}"#,
        encode_base64(&entry.canonicalized_body),
        hex::encode(&entry.log_id),
        entry.log_index,
    );
    entry.inclusion_promise = Some(world.log_key.sign(promised.as_bytes()).unwrap());
    signed.bundle.material.log_entries = vec![entry];
    signed
}

/// A world whose log signs as Rekor v1 does.
fn world() -> Sigstore {
    let mut world = Sigstore::new();
    let log_key: Arc<PrivateKey> = Arc::new(key(KeyKind::EcdsaP256));
    let id = sha256(log_key.public_key().spki_der()).to_vec();
    world.root.tlogs = vec![listed_log("https://log.example", log_key.public_key(), id)];
    world.log_key = log_key;
    world
}

fn signed(world: &mut Sigstore, file: &[u8], at: i64) -> Signed {
    let signed = world.sign(&Person::new("alice@example.com", KeyKind::EcdsaP256), Thing::File(file));
    in_rekor_v1(world, signed, at)
}

#[test]
fn a_promise_is_a_time_and_an_index() {
    let mut world = world();
    let mut signed = signed(&mut world, FILE, NOW + 5);
    let index = signed.bundle.material.log_entries[0].log_index;
    let verified = world.verify(&signed).unwrap();
    assert_eq!((verified.log_index(), verified.signed_at().unwrap().seconds()), (Some(index), NOW));
    signed.bundle.material.timestamps.clear();
    let verified = world.verify(&signed).unwrap();
    assert_eq!((verified.log_index(), verified.signed_at().unwrap().seconds()), (Some(index), NOW + 5));
    for damage in [
        (|s: &mut Signed| s.bundle.material.log_entries[0].log_index += 1) as fn(&mut Signed),
        |s| s.bundle.material.log_entries[0].integrated_time += 1,
        |s| s.bundle.material.log_entries[0].canonicalized_body.push(b' '),
        |s| s.bundle.material.log_entries[0].inclusion_promise.as_mut().unwrap()[8] ^= 1,
    ] {
        let Signed { bundle, file, identity } = &signed;
        let mut damaged = Signed { bundle: bundle.clone(), file: file.clone(), identity };
        damage(&mut damaged);
        assert_eq!(world.class(&damaged), Some(ErrorClass::Promise));
    }
}

#[test]
fn without_a_promise_the_entry_states_neither() {
    let mut world = world();
    let mut signed = signed(&mut world, FILE, NOW);
    let entry = &mut signed.bundle.material.log_entries[0];
    let proven = entry.inclusion_proof.as_ref().unwrap().log_index;
    entry.inclusion_promise = None;
    // Nobody signed this number, so nobody is told it.
    entry.log_index = 123_456_789;
    entry.integrated_time = NOW + 1;
    assert_eq!(world.verify(&signed).unwrap().log_index(), Some(proven));
    signed.bundle.material.timestamps.clear();
    assert_eq!(world.class(&signed), Some(ErrorClass::NoVerifiedTime));
}

#[test]
fn promises_are_not_interchangeable() {
    let mut world = world();
    let (mut a, b) = (signed(&mut world, FILE, NOW), signed(&mut world, b"other", NOW));
    let late = signed(&mut world, FILE, NOW + 541);
    let of_b = &b.bundle.material.log_entries[0];
    assert_eq!(world.class(&late), Some(ErrorClass::TimeOutsideCertificate));
    a.bundle.material.timestamps.clear();
    let good = a.bundle.clone();
    a.bundle.material.log_entries[0].inclusion_promise = of_b.inclusion_promise.clone();
    assert_eq!(world.class(&a), Some(ErrorClass::Promise));
    a.bundle = good.clone();
    a.bundle.material.log_entries = vec![of_b.clone()];
    assert_eq!(world.class(&a), Some(ErrorClass::EntryMismatch));
    // Nor does a second entry, whose promise is good and about something else, lend its time.
    a.bundle = good;
    a.bundle.material.log_entries[0].inclusion_promise = None;
    a.bundle.material.log_entries.push(of_b.clone());
    assert_eq!(world.class(&a), Some(ErrorClass::EntryMismatch));
}
