//! Timestamps, promises and entries in every form a service may give them, and by several services at once.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use sealog_crypto::{HashAlgorithm, KeyKind};
use sealog_testkit::{
    Authority, CtLog, EntryForm, KEY_KINDS, Log, LogKind, NOW, P256, Person, SctForm, Shape, Signed,
    Sigstore, Thing, Token, key,
};
use sealog_tlog::{SignedNote, note::KeyType};
use sealog_verify::ErrorClass::{
    self, Checkpoint, EntryMismatch, InclusionProof, InvalidBundle, NoVerifiedTime, Promise, Sct, Timestamp,
};

const FILE: &[u8] = b"the file";

fn alice() -> Person {
    Person::new("alice@example.com", P256)
}

fn signed(world: &mut Sigstore) -> Signed {
    world.sign(&alice(), Thing::File(FILE))
}

/// What is said of a bundle with these timestamps.
fn stamped(world: &Sigstore, signed: &Signed, timestamps: Vec<Vec<u8>>) -> Option<ErrorClass> {
    world.class(&signed.changed(|bundle| bundle.material.timestamps = timestamps))
}

#[test]
fn tokens_come_in_many_forms() {
    let mut world = Sigstore::new();
    let signed = signed(&mut world);
    let stranger = Sigstore::other("stranger");
    let (ours, theirs) = (world.tsa.certificates(), stranger.tsa.certificates());
    let token = || Token::new(NOW);
    for (name, token, class) in [
        ("usual", token(), None),
        ("SHA-384", token().imprint(HashAlgorithm::Sha384), None),
        ("SHA-512", token().imprint(HashAlgorithm::Sha512), None),
        ("a fraction of a second", token().fraction("123456789"), None),
        ("a fraction that ends in zero, which DER forbids", token().fraction("10"), Some(Timestamp)),
        ("no certificate", token().bare(), None),
        ("all certificates", token().with(&ours[1..]), None),
        ("the root alone", token().bare().with(&ours[2..]), None),
        ("other people's certificates", token().with(&theirs), None),
        ("only other people's certificates", token().bare().with(&theirs[1..]), None),
        ("a nonce", token().nonce(7), None),
    ] {
        let good = token.over(signed.signature(), world.tsa.signer());
        assert_eq!(stamped(&world, &signed, vec![good]), class, "{name}");
        // The same by a stranger of the same name, or over something else.
        let by_stranger = token.over(signed.signature(), stranger.tsa.signer());
        assert_eq!(stamped(&world, &signed, vec![by_stranger]), Some(Timestamp), "{name}");
        for other in [FILE, signed.file.as_slice(), b"", &signed.signature()[1..]] {
            let over_other = token.over(other, world.tsa.signer());
            assert_eq!(stamped(&world, &signed, vec![over_other]), Some(Timestamp), "{name}");
        }
    }
}

#[test]
fn two_timestamp_authorities_are_both_heard_and_both_must_hold() {
    let mut world = Sigstore::new();
    let mut second = Authority::tsa("second");
    second.uri = "https://tsa2.example".into();
    world.root.timestamp_authorities.push(second.listed());
    let signed = signed(&mut world);
    let (a, b) = (world.tsa.stamp(signed.signature(), NOW + 5), second.stamp(signed.signature(), NOW + 3));
    for timestamps in [vec![a.clone(), b.clone()], vec![b.clone(), a.clone()]] {
        let both = signed.changed(|bundle| bundle.material.timestamps = timestamps);
        let verified = world.verify(&both).unwrap();
        assert_eq!(verified.signed_at().unwrap().seconds(), NOW + 3);
        assert_eq!(verified.time_source().unwrap().authority, "https://tsa2.example");
    }
    let over_other = second.stamp(FILE, NOW);
    assert_eq!(stamped(&world, &signed, vec![a.clone(), over_other]), Some(Timestamp));
    world.root.timestamp_authorities.pop();
    assert_eq!(stamped(&world, &signed, vec![a, b]), Some(Timestamp));
    assert_eq!(stamped(&world, &signed, vec![]), Some(NoVerifiedTime));
    world.root.timestamp_authorities.clear();
    assert_eq!(world.class(&signed), Some(ErrorClass::TrustRoot));
}

#[test]
fn certificate_logs_of_both_forms_and_with_both_kinds_of_key() {
    for kind in [P256, KeyKind::Rsa { bits: 2048 }] {
        for form in [SctForm::Rfc6962, SctForm::LeafIndex(0), SctForm::LeafIndex((1 << 40) - 1)] {
            let mut world = Sigstore::new();
            world.ct = CtLog { form, ..CtLog::with_key("a log", kind) };
            let without = signed(&mut world);
            assert_eq!(world.class(&without), Some(Sct), "the log is not listed");
            world.relist();
            assert_eq!(world.class(&without), None, "{kind} {form:?}");
        }
    }
}

#[test]
fn of_two_certificate_logs_each_known_one_must_hold() {
    let mut world = Sigstore::new();
    let second = CtLog::new("second");
    let who = alice();
    let draft = world.draft(&who, NOW - 60);
    let other_draft = world.draft(&who, NOW - 60);
    let first = world.sct(&draft, NOW - 60);
    let by_second = second.sct(&draft, world.ca.signer(), NOW - 60);
    let wrong = second.sct(&other_draft, world.ca.signer(), NOW - 60);
    let mut without_place = by_second.clone();
    without_place.extensions.clear();
    for (scts, second_unknown, second_known) in [
        (vec![first.clone()], None, None),
        (vec![by_second.clone()], Some(Sct), None),
        (vec![first.clone(), by_second.clone()], None, None),
        (vec![by_second.clone(), first.clone()], None, None),
        (vec![first.clone(), first.clone()], None, None),
        (vec![first.clone(), wrong.clone()], None, Some(Sct)),
        (vec![wrong], Some(Sct), Some(Sct)),
        (vec![first, without_place], None, Some(Sct)),
    ] {
        let certificate = world.finish(&draft, scts.clone());
        let signed = world.sign_with(&who, &certificate, Thing::File(FILE));
        assert_eq!(world.class(&signed), second_unknown, "{scts:?}");
        world.root.ctlogs.push(second.listed());
        assert_eq!(world.class(&signed), second_known, "{scts:?}");
        world.relist();
    }
    let signed = signed(&mut world);
    world.root.ctlogs.clear();
    assert_eq!(world.class(&signed), Some(Sct));
}

#[test]
fn of_entries_in_two_logs_each_known_one_must_hold() {
    let mut world = Sigstore::new();
    let mut second = Log::rekor_v2("second", "log2.example");
    let mut signed = signed(&mut world);
    let entry = second.take(&signed, EntryForm::HashedRekordV002);
    let v1 = {
        let mut entry = world.rekor_v1.take(&signed, EntryForm::HashedRekordV001);
        world.rekor_v1.promise(&mut entry, NOW + 1);
        entry
    };
    let first = signed.bundle.material.log_entries.remove(0);
    let mut class = |listed: bool, entries: Vec<sealog_bundle::TransparencyLogEntry>| {
        world.relist();
        if listed {
            world.root.tlogs.push(second.listed());
        }
        world.class(&signed.changed(|bundle| bundle.material.log_entries = entries))
    };
    let mut broken = entry.clone();
    broken.inclusion_proof.as_mut().unwrap().hashes[0][0] ^= 1;
    let mut stolen = entry.clone();
    stolen.inclusion_proof = first.inclusion_proof.clone();
    stolen.log_index = first.log_index;
    let mut renamed = entry.clone();
    renamed.log_id = first.log_id.clone();
    for (entries, unlisted, listed) in [
        (vec![entry.clone()], Some(Checkpoint), None),
        (vec![first.clone(), entry.clone()], None, None),
        (vec![entry, first.clone()], None, None),
        (vec![first.clone(), broken.clone()], None, Some(InclusionProof)),
        (vec![broken], Some(Checkpoint), Some(InclusionProof)),
        // A proof of the first log under the second's name, and a proof of the second under the first's.
        (vec![stolen.clone()], Some(Checkpoint), Some(Checkpoint)),
        (vec![first.clone(), stolen], None, Some(Checkpoint)),
        // One place of one log cannot hold two entries, whatever they are.
        (vec![first.clone(), renamed], Some(InvalidBundle), Some(InvalidBundle)),
        (vec![first.clone(), first.clone()], Some(InvalidBundle), Some(InvalidBundle)),
        (vec![first.clone(), v1.clone()], None, None),
        (vec![v1.clone(), first.clone()], None, None),
    ] {
        assert_eq!(class(false, entries.clone()), unlisted);
        assert_eq!(class(true, entries), listed);
    }
    let mut v1_broken = v1;
    v1_broken.inclusion_promise.as_mut().unwrap()[9] ^= 1;
    assert_eq!(class(false, vec![first, v1_broken]), Some(Promise));
}

#[test]
fn logs_may_have_every_kind_of_key_of_the_registry_that_signs_checkpoints() {
    for kind in KEY_KINDS {
        // Nothing says how a checkpoint is signed with ML-DSA.
        if KeyType::for_log(kind).is_none() {
            assert!(matches!(kind, KeyKind::MlDsa44 | KeyKind::MlDsa65 | KeyKind::MlDsa87), "{kind}");
            continue;
        }
        let mut world = Sigstore::new();
        world.log = Log::new(LogKind::RekorV2, "log.example", key("a log", kind));
        let v1 = LogKind::RekorV1 { tree_id: 1, earlier: 0 };
        world.rekor_v1 = Log::new(v1, "rekor.example", key("another log", kind));
        world.relist();
        let good = signed(&mut world);
        assert_eq!(world.class(&good), None, "{kind}");
        let shape = Shape::rekor_v1(EntryForm::DsseV001);
        let promised = world.sign_as(&alice(), Thing::StatementAbout(FILE), &shape);
        assert_eq!(world.class(&promised), None, "{kind}");
    }
}

#[test]
fn witnesses_may_cosign_and_their_lines_are_theirs_to_judge() {
    let mut world = Sigstore::new();
    world.log.witnessed_by("witness.example/w1").witnessed_by("witness.example/w2");
    let signed = signed(&mut world);
    assert_eq!(world.class(&signed), None);
    let proof = |signed: &Signed| signed.bundle.material.log_entries[0].inclusion_proof.clone().unwrap();
    let note = SignedNote::parse(proof(&signed).checkpoint).unwrap();
    assert_eq!(note.signatures.len(), 3);
    let class = |change: fn(&mut SignedNote)| {
        let mut note = note.clone();
        change(&mut note);
        world.class(&signed.changed(|bundle| {
            let proof = bundle.material.log_entries[0].inclusion_proof.as_mut().unwrap();
            proof.checkpoint = note.encode();
        }))
    };
    assert_eq!(class(|note| note.signatures.reverse()), None);
    assert_eq!(class(|note| note.signatures.truncate(1)), None);
    assert_eq!(class(|note| note.signatures[2].bytes[20] ^= 1), None);
    // Two witnesses do not make up for the log.
    assert_eq!(class(|note| drop(note.signatures.remove(0))), Some(Checkpoint));
    assert_eq!(class(|note| note.signatures[0].bytes[20] ^= 1), Some(Checkpoint));
    assert_eq!(class(|note| note.signatures[1].name = "log.example".into()), None);
    assert_eq!(
        class(|note| {
            note.signatures[1].name = "log.example".into();
            note.signatures[1].key_id = note.signatures[0].key_id;
        }),
        Some(Checkpoint),
    );
}

#[test]
fn a_rekor_v1_log_signs_for_its_shards() {
    let mut world = Sigstore::new();
    let shape = Shape::rekor_v1(EntryForm::HashedRekordV001);
    let signed = world.sign_as(&alice(), Thing::File(FILE), &shape);
    for (origin, good) in [
        ("rekor.example - 1193050959916656506", true),
        ("rekor.example - 7", true),
        ("rekor.example", true),
        ("rekor.example - ", false),
        ("rekor.example - x", false),
        ("rekor.example - 1 2", false),
        ("rekor.example -1", false),
        ("rekor.example.org - 1", false),
        ("log.example", false),
        ("log.example - 1", false),
    ] {
        let checkpoint = world.rekor_v1.checkpoint_of(origin);
        let changed = signed.changed(|bundle| {
            let proof = bundle.material.log_entries[0].inclusion_proof.as_mut().unwrap();
            proof.checkpoint = checkpoint;
        });
        assert_eq!(world.class(&changed), (!good).then_some(Checkpoint), "{origin}");
    }
}

#[test]
fn an_entry_is_of_the_kind_that_goes_with_what_was_signed() {
    let mut world = Sigstore::new();
    let who = alice();
    for statement in [false, true] {
        let thing = if statement { Thing::StatementAbout(FILE) } else { Thing::File(FILE) };
        let signed = world.sign(&who, thing);
        // Bodies of a file and of a statement by the same signer, as each log would write them.
        let other = if statement { Thing::File(FILE) } else { Thing::StatementAbout(FILE) };
        let other = world.sign(&who, other);
        for form in EntryForm::ALL {
            let source = if form.goes_with(statement) { &signed } else { &other };
            let log = if form.is_v1() { &mut world.rekor_v1 } else { &mut world.log };
            let entry = log.take(source, form);
            let changed = signed.changed(|bundle| bundle.material.log_entries = vec![entry.clone()]);
            let expected = (!form.goes_with(statement)).then_some(EntryMismatch);
            assert_eq!(world.class(&changed), expected, "{form:?} {statement}");
            // Under the name of another kind.
            for name in EntryForm::ALL.into_iter().filter(|name| *name != form) {
                let mut renamed = entry.clone();
                renamed.kind_version = name.kind_version();
                let changed = signed.changed(|bundle| bundle.material.log_entries = vec![renamed]);
                assert_eq!(world.class(&changed), Some(EntryMismatch), "{form:?} as {name:?}");
            }
        }
    }
}

#[test]
fn a_promise_is_no_proof_and_a_time_without_promise_is_no_time() {
    let mut world = Sigstore::new();
    let shape = Shape::rekor_v1(EntryForm::HashedRekordV001);
    let signed = world.sign_as(&alice(), Thing::File(FILE), &shape);
    assert_eq!(world.class(&signed), None);
    let class = |change: fn(&mut sealog_bundle::TransparencyLogEntry)| {
        world.class(&signed.changed(|bundle| change(&mut bundle.material.log_entries[0])))
    };
    assert_eq!(class(|entry| entry.inclusion_proof = None), Some(InvalidBundle));
    assert_eq!(class(|e| e.inclusion_proof.as_mut().unwrap().checkpoint.clear()), Some(InvalidBundle));
    assert_eq!(class(|entry| entry.inclusion_promise = None), Some(NoVerifiedTime));
    assert_eq!(class(|entry| entry.integrated_time += 1), Some(Promise));
    assert_eq!(class(|entry| entry.log_index += 1), Some(Promise));
    assert_eq!(class(|entry| entry.log_id[0] ^= 1), Some(NoVerifiedTime));
    assert_eq!(class(|e| e.inclusion_proof.as_mut().unwrap().log_index += 1), Some(InclusionProof));
    // Another log's promise, under that log's name and under the first's.
    let stranger = Sigstore::other("stranger");
    let mut entry = signed.bundle.material.log_entries[0].clone();
    stranger.rekor_v1.promise(&mut entry, NOW);
    let changed = signed.changed(|bundle| bundle.material.log_entries = vec![entry.clone()]);
    assert_eq!(world.class(&changed), Some(Promise));
    entry.log_id = stranger.rekor_v1.id();
    let changed = signed.changed(|bundle| bundle.material.log_entries = vec![entry]);
    assert_eq!(world.class(&changed), Some(NoVerifiedTime));
}
