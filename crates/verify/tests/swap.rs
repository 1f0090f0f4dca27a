//! Bundles put together from the pieces of good ones: each piece is genuine, and none of the mixtures
//! may be accepted.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use sealog_bundle::{Bundle, InclusionProof, TransparencyLogEntry};
use sealog_crypto::KeyKind;
use sealog_testkit::{EntryForm, NOW, Person, Shape, Signed, Sigstore, Thing, set_signature, signature_of};
use sealog_verify::{Artifact, ErrorClass, Policy, verify};

/// A piece of a bundle: its name, how to put another bundle's in its place, and what is said when this
/// one alone is another bundle's.
struct Piece {
    name: &'static str,
    take: fn(&mut Bundle, &Bundle),
    alone: ErrorClass,
}

fn entry(bundle: &mut Bundle) -> &mut TransparencyLogEntry {
    &mut bundle.material.log_entries[0]
}

fn proof(bundle: &mut Bundle) -> &mut InclusionProof {
    entry(bundle).inclusion_proof.as_mut().unwrap()
}

fn proof_of(bundle: &Bundle) -> &InclusionProof {
    bundle.material.log_entries[0].inclusion_proof.as_ref().unwrap()
}

/// Pieces that are the same for all entries proven in one tree.
const OF_THE_TREE: [&str; 3] = ["root", "size", "checkpoint"];

const PIECES: [Piece; 11] = [
    Piece {
        name: "certificate",
        take: |to, from| to.material.key = from.material.key.clone(),
        alone: ErrorClass::Signature,
    },
    Piece {
        name: "signature",
        take: |to, from| set_signature(&mut to.content, signature_of(&from.content)),
        alone: ErrorClass::Timestamp,
    },
    Piece {
        // The digest of a file, or an envelope's payload; a file in place of an envelope and back.
        name: "content",
        take: |to, from| {
            let signature = signature_of(&to.content).to_vec();
            to.content = from.content.clone();
            set_signature(&mut to.content, &signature);
        },
        alone: ErrorClass::Signature,
    },
    Piece {
        name: "timestamps",
        take: |to, from| to.material.timestamps = from.material.timestamps.clone(),
        alone: ErrorClass::Timestamp,
    },
    Piece {
        name: "index",
        take: |to, from| entry(to).log_index = from.material.log_entries[0].log_index,
        alone: ErrorClass::InclusionProof,
    },
    Piece {
        name: "body",
        take: |to, from| {
            entry(to).canonicalized_body = from.material.log_entries[0].canonicalized_body.clone();
        },
        alone: ErrorClass::EntryMismatch,
    },
    Piece {
        name: "proof index",
        take: |to, from| proof(to).log_index = proof_of(from).log_index,
        alone: ErrorClass::InclusionProof,
    },
    Piece {
        name: "hashes",
        take: |to, from| proof(to).hashes = proof_of(from).hashes.clone(),
        alone: ErrorClass::InclusionProof,
    },
    Piece {
        name: "root",
        take: |to, from| proof(to).root_hash = proof_of(from).root_hash,
        alone: ErrorClass::InclusionProof,
    },
    Piece {
        name: "size",
        take: |to, from| proof(to).tree_size = proof_of(from).tree_size,
        alone: ErrorClass::InclusionProof,
    },
    Piece {
        name: "checkpoint",
        take: |to, from| proof(to).checkpoint = proof_of(from).checkpoint.clone(),
        alone: ErrorClass::InclusionProof,
    },
];

/// What bundles of Rekor v1 have besides.
const PIECES_OF_V1: [Piece; 2] = [
    Piece {
        name: "integrated time",
        take: |to, from| entry(to).integrated_time = from.material.log_entries[0].integrated_time,
        alone: ErrorClass::Promise,
    },
    Piece {
        name: "promise",
        take: |to, from| {
            entry(to).inclusion_promise = from.material.log_entries[0].inclusion_promise.clone();
        },
        alone: ErrorClass::Promise,
    },
];

/// Every mixture of two bundles in these pieces, held against both files, whoever signed. Accepted may be what is
/// all of one bundle but for the pieces in `same`.
fn every_mixture_is_refused(world: &Sigstore, pieces: &[Piece], pair: [&Signed; 2], same: &[&str]) {
    let [a, b] = pair;
    let counts = |name: &str| !same.contains(&name);
    let policy = Policy::any_identity_unsafe();
    for chosen in 0_u32..1 << pieces.len() {
        let mut mixture = a.bundle.clone();
        let of_b = |at: &usize| chosen >> at & 1 == 1;
        let names: Vec<&str> = (0..pieces.len()).filter(of_b).map(|at| pieces[at].name).collect();
        // A signature keeps its place when the content around it changes, so content goes first.
        let content = pieces.iter().position(|piece| piece.name == "content");
        let in_order = content.into_iter().chain((0..pieces.len()).filter(|at| Some(*at) != content));
        in_order.filter(of_b).for_each(|at| (pieces[at].take)(&mut mixture, &b.bundle));
        let telling = names.iter().filter(|name| counts(name)).count();
        let whole = [telling == 0, telling == pieces.iter().filter(|piece| counts(piece.name)).count()];
        for (signed, may) in pair.iter().zip(whole) {
            let outcome = verify(&mixture, &world.root, &policy, &Artifact::from_bytes(&signed.file));
            assert_eq!(outcome.is_ok(), may, "{names:?} taken from another bundle: {outcome:?}");
        }
    }
}

fn people() -> [Person; 2] {
    [
        Person::new("alice@example.com", KeyKind::EcdsaP256),
        Person::new("https://example.com/bob", KeyKind::EcdsaP256),
    ]
}

const FILES: [&[u8]; 2] = [b"one file", b"another file"];

fn things(statements: [bool; 2]) -> [Thing<'static>; 2] {
    let [first, second] = statements;
    let thing = |statement, file| if statement { Thing::StatementAbout(file) } else { Thing::File(file) };
    [thing(first, FILES[0]), thing(second, FILES[1])]
}

#[test]
fn pieces_of_two_bundles_never_make_a_third() {
    for statements in [[false, false], [true, true], [false, true]] {
        let mut world = Sigstore::new();
        let [alice, bob] = people();
        let [first, second] = things(statements);
        let (a, b) = (world.sign(&alice, first), world.sign(&bob, second));
        assert_eq!((world.class(&a), world.class(&b)), (None, None));
        // Sent and read again, they are the same.
        assert_eq!(Bundle::parse(a.bundle.to_json().as_bytes()).as_ref(), Ok(&a.bundle));
        every_mixture_is_refused(&world, &PIECES, [&a, &b], &[]);
    }
}

#[test]
fn in_one_tree_only_what_is_the_trees_can_be_exchanged() {
    let mut world = Sigstore::new();
    let [alice, bob] = people();
    let [first, second] = things([false, true]);
    let (mut a, b) = (world.sign(&alice, first), world.sign(&bob, second));
    let entry = &mut a.bundle.material.log_entries[0];
    entry.inclusion_proof = Some(world.log.proof(entry.log_index));
    every_mixture_is_refused(&world, &PIECES, [&a, &b], &OF_THE_TREE);
}

#[test]
fn one_signer_and_one_key_do_not_make_bundles_interchangeable() {
    let mut world = Sigstore::new();
    let [alice, _] = people();
    let certificate = world.certificate(&alice, NOW - 60);
    let [first, second] = things([false, true]);
    let a = world.sign_with(&alice, &certificate, first);
    let b = world.sign_with(&alice, &certificate, second);
    every_mixture_is_refused(&world, &PIECES, [&a, &b], &["certificate"]);
}

#[test]
fn each_piece_that_is_anothers_is_called_by_its_name() {
    let mut world = Sigstore::new();
    let [alice, bob] = people();
    // The same file, or that would be heard of first.
    let a = world.sign(&alice, Thing::File(FILES[0]));
    let b = world.sign(&bob, Thing::File(FILES[0]));
    let statement = world.sign(&bob, Thing::StatementAbout(FILES[0]));
    for piece in PIECES {
        let other = if piece.name == "content" { &statement } else { &b };
        let mut mixture = a.clone();
        (piece.take)(&mut mixture.bundle, &other.bundle);
        assert_eq!(world.class(&mixture), Some(piece.alone), "{}", piece.name);
    }
}

/// All pieces of a bundle of Rekor v1; root hash and tree size go with the checkpoint, or there are too many choices.
fn pieces_of_v1() -> Vec<Piece> {
    let take = |to: &mut Bundle, from: &Bundle| {
        let hashes = proof(to).hashes.clone();
        let log_index = proof(to).log_index;
        *proof(to) = InclusionProof { log_index, hashes, ..proof_of(from).clone() };
    };
    let tree = Piece { name: "tree", take, alone: ErrorClass::InclusionProof };
    let of_both = PIECES.into_iter().filter(|piece| !OF_THE_TREE.contains(&piece.name));
    of_both.chain(PIECES_OF_V1).chain([tree]).collect()
}

/// The same of Rekor v1, which promised at another time each.
fn of_v1(world: &mut Sigstore, who: &Person, thing: Thing<'_>, form: EntryForm, at: i64) -> Signed {
    world.sign_as(who, thing, &Shape { timestamp: true, at, ..Shape::rekor_v1(form) })
}

#[test]
fn nor_do_pieces_of_two_bundles_of_rekor_v1() {
    for form in [EntryForm::HashedRekordV001, EntryForm::DsseV001, EntryForm::IntotoV002] {
        let mut world = Sigstore::new();
        let [alice, bob] = people();
        let [first, second] = things([form != EntryForm::HashedRekordV001; 2]);
        let a = of_v1(&mut world, &alice, first, form, NOW);
        let b = of_v1(&mut world, &bob, second, form, NOW + 1);
        assert_eq!((world.class(&a), world.class(&b)), (None, None));
        every_mixture_is_refused(&world, &pieces_of_v1(), [&a, &b], &[]);
    }
}

#[test]
fn each_piece_of_rekor_v1_that_is_anothers_is_called_by_its_name() {
    let mut world = Sigstore::new();
    let [alice, bob] = people();
    let a = of_v1(&mut world, &alice, Thing::File(FILES[0]), EntryForm::HashedRekordV001, NOW);
    let b = of_v1(&mut world, &bob, Thing::File(FILES[0]), EntryForm::HashedRekordV001, NOW + 1);
    let statement = of_v1(&mut world, &bob, Thing::StatementAbout(FILES[0]), EntryForm::DsseV001, NOW + 2);
    for piece in PIECES.into_iter().chain(PIECES_OF_V1) {
        let other = if piece.name == "content" { &statement } else { &b };
        let mut mixture = a.clone();
        (piece.take)(&mut mixture.bundle, &other.bundle);
        // The promise covers the body and the index as well, and is looked at first.
        let promised = ["index", "body"].contains(&piece.name);
        let expected = if promised { ErrorClass::Promise } else { piece.alone };
        assert_eq!(world.class(&mixture), Some(expected), "{}", piece.name);
    }
}
