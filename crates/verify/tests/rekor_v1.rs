//! Entries of a Rekor v1 log made up for the test: what a promise vouches for, and what nobody does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use sealog_crypto::KeyKind;
use sealog_testkit::{EntryForm, NOW, Person, Shape, Signed, Sigstore, Thing};
use sealog_verify::ErrorClass;

const FILE: &[u8] = b"the file";

/// A bundle of now, in the Rekor v1 log with a promise of this time.
fn signed(world: &mut Sigstore, file: &[u8], at: i64) -> Signed {
    let who = Person::new("alice@example.com", KeyKind::EcdsaP256);
    let shape = Shape { entries: vec![EntryForm::HashedRekordV001], ..Shape::default() };
    let mut signed = world.sign_as(&who, Thing::File(file), &shape);
    world.rekor_v1.promise(&mut signed.bundle.material.log_entries[0], at);
    signed
}

#[test]
fn a_promise_is_a_time_and_an_index() {
    let mut world = Sigstore::new();
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
        let mut damaged = signed.clone();
        damage(&mut damaged);
        assert_eq!(world.class(&damaged), Some(ErrorClass::Promise));
    }
}

#[test]
fn without_a_promise_the_entry_states_neither() {
    let mut world = Sigstore::new();
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
    let mut world = Sigstore::new();
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
