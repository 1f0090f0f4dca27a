//! Conditions of a policy that hold alone must hold together: what is asked for is never met by something else.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use sealog_bundle::{Bundle, KeyMaterial, Version};
use sealog_crypto::{KeyKind, PublicKey, Signer as _};
use sealog_testkit::{
    DAY, EntryForm, ISSUER, KeyForm, NOW, P256, Person, Shape, Signed, Sigstore, Thing, key, window,
};
use sealog_tlog::note::{KeyType, KeyVerifier};
use sealog_verify::{
    Artifact, ErrorClass, Evidence, Match, Policy, SignerRule, Verified, Verifier, VerifyError, Witnesses,
};

const FILE: &[u8] = b"the file";

fn ann() -> Person {
    Person::new("ann@example.org", P256)
}

fn named(name: &str) -> SignerRule {
    SignerRule::identity(Match::exact(name), Match::exact(ISSUER))
}

fn all(world: &Sigstore, bundles: &[&Signed], policy: &Policy) -> Result<Vec<Verified>, VerifyError> {
    let bundles: Vec<Bundle> = bundles.iter().map(|signed| signed.bundle.clone()).collect();
    Verifier::new(&world.root).verify_all(&bundles, policy, &Artifact::from_bytes(FILE))
}

fn class(world: &Sigstore, signed: &Signed, evidence: Evidence) -> Option<ErrorClass> {
    all(world, &[signed], &signed.policy().with_evidence(evidence)).err().map(|error| error.class())
}

fn one_witness() -> Witnesses {
    let witness = key("w1.example", KeyKind::Ed25519).public_key().clone();
    let witness = KeyVerifier::new("w1.example", KeyType::Cosignature, witness).unwrap();
    Witnesses::new(1, vec![witness]).unwrap()
}

#[test]
fn a_promise_does_not_stand_for_witnesses() {
    let mut world = Sigstore::new();
    let shape =
        Shape { version: Version::V01, key: KeyForm::Chain, ..Shape::rekor_v1(EntryForm::HashedRekordV001) };
    let unwitnessed = world.sign_as(&ann(), Thing::File(FILE), &shape);
    let promised = unwitnessed.changed(|bundle| bundle.material.log_entries[0].inclusion_proof = None);
    let witnessed = || Evidence::default().with_witnesses(one_witness());
    assert_eq!(class(&world, &promised, Evidence::default().accepting_promises()), None);
    assert_eq!(class(&world, &unwitnessed, witnessed()), Some(ErrorClass::Evidence));
    assert_eq!(class(&world, &unwitnessed, witnessed().accepting_promises()), Some(ErrorClass::Evidence));
    assert_eq!(class(&world, &promised, witnessed().accepting_promises()), Some(ErrorClass::Evidence));
}

#[test]
fn witnesses_that_are_wanted_need_a_log_to_cosign() {
    let mut world = Sigstore::new();
    let signed = world.sign_as(&ann(), Thing::File(FILE), &Shape::without_logs());
    let neither = Evidence::default().without_log_unsafe().without_sct_unsafe();
    assert_eq!(class(&world, &signed, neither.clone()), None);
    assert_eq!(class(&world, &signed, neither.with_witnesses(one_witness())), Some(ErrorClass::Evidence));
}

#[test]
fn one_key_is_one_signer_by_whatever_name() {
    let mut world = Sigstore::new();
    let ann = ann();
    let by_name = world.sign(&ann, Thing::File(FILE));
    let by_key = world.sign_as(&ann, Thing::File(FILE), &Shape::managed_key());
    let bob_with_anns_key = Person { identity: "bob@example.org".into(), ..ann.clone() };
    let by_other_name = world.sign(&bob_with_anns_key, Thing::File(FILE));
    let bob = world.sign(&Person::new("bob@example.org", P256), Thing::File(FILE));
    let key = SignerRule::key(ann.key.public_key().clone());
    let rules = vec![named("ann@example.org"), named("bob@example.org"), key];
    let two = Policy::signers(2, rules.clone()).unwrap();
    assert_eq!(all(&world, &[&by_name, &bob], &two).unwrap().len(), 2);
    assert_eq!(all(&world, &[&by_key, &bob], &two).unwrap().len(), 2);
    for one in
        [[&by_name, &by_key], [&by_key, &by_name], [&by_name, &by_other_name], [&by_other_name, &by_key]]
    {
        let error = all(&world, &one, &two).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Policy, "{error}");
    }
    // Not through a third either: Ann's key signs as Bob, and Bob by his own.
    let three = Policy::signers(3, rules).unwrap();
    assert!(all(&world, &[&by_key, &by_name, &bob, &by_other_name], &three).is_err());
}

/// The same RSA key with the parameters of its algorithm left out, as some tools write it.
fn without_null(key: &PublicKey) -> PublicKey {
    let der = key.spki_der();
    let at = der.windows(2).rposition(|two| two == [5, 0]);
    let at = at.filter(|at| *at < 30).or_else(|| der.windows(2).position(|two| two == [5, 0])).unwrap();
    let mut shorter = [&der[..at], &der[at + 2..]].concat();
    // SEQUENCE with a length in two bytes, then SEQUENCE with a length in one.
    assert_eq!((shorter[0], shorter[1], shorter[4]), (0x30, 0x82, 0x30));
    shorter[3] = shorter[3].checked_sub(2).unwrap();
    shorter[5] -= 2;
    PublicKey::from_spki_der(&shorter).unwrap()
}

#[test]
fn one_key_in_two_encodings_is_one_signer() {
    let mut world = Sigstore::new();
    let release = Person::new("release key", KeyKind::Rsa { bits: 2048 });
    let usual = release.key.public_key().clone();
    let unusual = without_null(&usual);
    assert_ne!(usual.spki_der(), unusual.spki_der());
    let first = world.sign_as(&release, Thing::File(FILE), &Shape::managed_key());
    // The hint chooses the encoding, and the entry is made for it.
    let mut second = first.changed(|bundle| {
        let hint = sealog_bundle::json::encode_base64(&sealog_crypto::sha256(unusual.spki_der()));
        bundle.material.key = KeyMaterial::PublicKey { hint };
        bundle.material.log_entries.clear();
    });
    second.signer = sealog_testkit::Signer::Key(Box::new(unusual.clone()));
    let entry = world.log.take(&second, EntryForm::HashedRekordV002);
    second.bundle.material.log_entries.push(entry);
    let rules = vec![SignerRule::key(usual), SignerRule::key(unusual)];
    let one = Policy::signers(1, rules.clone()).unwrap();
    assert!(all(&world, &[&first], &one).is_ok());
    let verified = all(&world, &[&second], &one);
    assert!(verified.is_ok(), "{verified:?}");
    assert!(all(&world, &[&first, &second], &Policy::signers(2, rules).unwrap()).is_err());
}

#[test]
fn a_large_file_is_hashed_once_whatever_the_number_of_keys() {
    let mut world = Sigstore::new();
    let file = vec![7; 48 << 20];
    let signed = world.sign_as(&ann(), Thing::File(&file), &Shape::managed_key());
    let signed = signed.changed(|bundle| {
        bundle.material.key = KeyMaterial::PublicKey { hint: String::new() };
    });
    let stranger = |number| SignerRule::key(key(&format!("stranger {number}"), P256).public_key().clone());
    let own = SignerRule::key(ann().key.public_key().clone());
    let verifier = Verifier::new(&world.root);
    let takes = |strangers: usize| {
        let rules = (0..strangers).map(stranger).chain([own.clone()]).collect();
        let policy = Policy::signers(1, rules).unwrap();
        let once = || {
            let start = std::time::Instant::now();
            verifier.verify(&signed.bundle, &policy, &Artifact::from_bytes(&file)).unwrap();
            start.elapsed()
        };
        // Whatever else the machine does comes and goes.
        [once(), once(), once()].into_iter().min().unwrap()
    };
    // Hashed for each key it would be two hundred times as long.
    let (one, many) = (takes(0), takes(200));
    assert!(many < one * 20, "{one:?} for one key, {many:?} for two hundred");
}

#[test]
fn an_early_bundle_has_a_promise_whatever_else_it_has() {
    let mut world = Sigstore::new();
    let shape = Shape {
        version: Version::V01,
        key: KeyForm::Chain,
        timestamp: true,
        ..Shape::rekor_v1(EntryForm::HashedRekordV001)
    };
    let signed = world.sign_as(&ann(), Thing::File(FILE), &shape);
    let bare = signed.changed(|bundle| {
        let entry = &mut bundle.material.log_entries[0];
        (entry.inclusion_promise, entry.integrated_time) = (None, 0);
    });
    let newer = bare.changed(|bundle| bundle.version = Version::V02);
    assert_eq!((world.class(&signed), world.class(&newer)), (None, None));
    assert_eq!(world.class(&bare), Some(ErrorClass::InvalidBundle));
}

#[test]
fn an_authority_must_be_trusted_at_every_time() {
    let mut world = Sigstore::new();
    world.ca.valid_for = window(NOW - DAY, NOW + 30);
    world.relist();
    let signed = world.sign(&ann(), Thing::File(FILE));
    let later = |at| {
        let stamp = world.tsa.stamp(signed.signature(), at);
        world.class(&signed.changed(|bundle| bundle.material.timestamps.push(stamp)))
    };
    assert_eq!((later(NOW + 30), later(NOW + 31)), (None, Some(ErrorClass::Chain)));
}

#[test]
fn the_issuer_does_not_change_between_two_times() {
    let mut world = Sigstore::new();
    let signed = world.sign(&ann(), Thing::File(FILE));
    let stamp = world.tsa.stamp(signed.signature(), NOW + 60);
    let signed = signed.changed(|bundle| bundle.material.timestamps.push(stamp));
    assert_eq!(world.class(&signed), None);
    // The same key under another certificate.
    let mut renewed = world.ca.clone();
    renewed.change(0, |template| template.from(NOW - DAY));
    world.ca.valid_for = window(NOW - DAY, NOW + 30);
    renewed.valid_for = window(NOW - DAY, NOW + 90);
    world.relist();
    world.root.certificate_authorities.push(renewed.listed());
    assert_eq!(world.class(&signed), Some(ErrorClass::Chain));
    world.root.certificate_authorities.remove(0);
    assert_eq!(world.class(&signed), None);
}

#[test]
fn a_time_that_nobody_signed_may_not_speak_against_the_certificate() {
    let mut world = Sigstore::new();
    let shape = Shape { entries: vec![EntryForm::HashedRekordV001], ..Shape::default() };
    let signed = world.sign_as(&ann(), Thing::File(FILE), &shape);
    let (not_before, not_after) = (NOW - 60, NOW - 60 + 600);
    let stating =
        |time| world.class(&signed.changed(|bundle| bundle.material.log_entries[0].integrated_time = time));
    for good in [0, not_before, NOW, not_after] {
        assert_eq!(stating(good), None, "{good}");
    }
    for bad in [-1, 1, not_before - 1, not_after + 1, i64::MAX, i64::MIN] {
        assert_eq!(stating(bad), Some(ErrorClass::TimeOutsideCertificate), "{bad}");
    }
}

#[test]
fn two_timestamp_authorities_under_one_root_are_two() {
    let mut world = Sigstore::new();
    let mut signed = world.sign(&ann(), Thing::File(FILE));
    let mut second = world.tsa.clone();
    second.change_key(0, "second", P256);
    second.uri = "https://tsa2.example".into();
    signed.bundle.material.timestamps.push(second.stamp(signed.signature(), NOW + 1));
    // The first lists no certificate of its own, so that any below the intermediate's is taken for it.
    world.root.timestamp_authorities = vec![world.tsa.listed_from(1), second.listed()];
    let both = Evidence::default().with_timestamps(2);
    assert_eq!(class(&world, &signed, both.clone()), None);
    world.root.timestamp_authorities.pop();
    assert_eq!(class(&world, &signed, both), Some(ErrorClass::Evidence));
}

#[test]
fn a_promise_is_the_promise_of_its_own_entry() {
    let mut world = Sigstore::new();
    let shape =
        Shape { version: Version::V01, key: KeyForm::Chain, ..Shape::rekor_v1(EntryForm::HashedRekordV001) };
    let mut signed = world.sign_as(&ann(), Thing::File(FILE), &shape);
    let mut stranger = Sigstore::other("stranger").rekor_v1;
    let mut entry = stranger.take(&signed, EntryForm::HashedRekordV001);
    stranger.promise(&mut entry, NOW);
    signed.bundle.material.log_entries.insert(0, entry);
    signed.bundle.material.log_entries.iter_mut().for_each(|entry| entry.inclusion_proof = None);
    let policy = signed.policy().with_evidence(Evidence::default().accepting_promises());
    let verified = all(&world, &[&signed], &policy).unwrap();
    // A log that nobody trusts is not told as one that holds it.
    assert_eq!(verified[0].logs().len(), 1);
}

#[test]
fn a_key_stands_for_its_own_rule_only() {
    let mut world = Sigstore::new();
    let [a, b, c] = ["key a", "key b", "key c"].map(|name| Person::new(name, P256));
    let rule = |who: &Person| SignerRule::key(who.key.public_key().clone());
    let rules = vec![SignerRule::any_of(vec![rule(&a), rule(&b)]), rule(&c)];
    let two = Policy::signers(2, rules).unwrap();
    let [a, b, c] = [a, b, c].map(|who| world.sign_as(&who, Thing::File(FILE), &Shape::managed_key()));
    assert_eq!(all(&world, &[&b, &c], &two).unwrap().len(), 2);
    assert_eq!(all(&world, &[&a, &b], &two).unwrap_err().class(), ErrorClass::Policy);
}

#[test]
fn what_a_trusted_root_lists_as_one_chain_must_be_one() {
    let mut world = Sigstore::new();
    let signed = world.sign(&ann(), Thing::File(FILE));
    let stranger = Sigstore::other("stranger");
    // Roots of the same names, which signed nothing here.
    let (ca, tsa) = (stranger.ca.at(1), stranger.tsa.at(2));
    let good = world.root.clone();
    world.root.certificate_authorities[0].cert_chain[1] = ca.certificate.der().to_vec();
    assert_eq!(world.class(&signed), Some(ErrorClass::Chain));
    world.root = good;
    world.root.timestamp_authorities[0].cert_chain[2] = tsa.certificate.der().to_vec();
    assert_eq!(world.class(&signed), Some(ErrorClass::Timestamp));
}

#[test]
fn nothing_in_a_timestamp_is_said_without_being_signed() {
    let mut world = Sigstore::new();
    let signed = world.sign(&ann(), Thing::File(FILE));
    let stamp = &signed.bundle.material.timestamps[0];
    let time = b"20270115080000Z";
    let at = stamp.windows(time.len()).position(|window| window == time).unwrap();
    // Five seconds later, which is in the certificate's life as well.
    let mut later = stamp.clone();
    later[at + 13] = b'5';
    let later = signed.changed(|bundle| bundle.material.timestamps = vec![later]);
    assert_eq!((world.class(&signed), world.class(&later)), (None, Some(ErrorClass::Timestamp)));
    // The token ends with its signature.
    let forged = signed.changed(|bundle| *bundle.material.timestamps[0].last_mut().unwrap() ^= 1);
    assert_eq!(world.class(&forged), Some(ErrorClass::Timestamp));
}
