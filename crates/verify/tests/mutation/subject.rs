//! Good bundles to be changed, and what a verdict on one says.

use crate::document::{Step, owned, place};
use sealog_bundle::{
    Bundle, Content, InclusionProof, Statement, TrustedRoot, UnixTime, Version, json::Value,
};
use sealog_crypto::KeyKind;
use sealog_pki::Certificate;
use sealog_testkit::{EntryForm, KeyForm, NOW, P256, Person, Shape, Signed, Sigstore, Thing, Token};
use sealog_verify::{Artifact, Evidence, Logged, Policy, SignedBy, Verified, verify};
use std::collections::BTreeSet;

/// What a verdict says, to be held against another's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Says {
    who: (String, String),
    time: Option<UnixTime>,
    clock: Option<String>,
    logs: Vec<Logged>,
    statement: Option<Statement>,
}

impl Says {
    pub(crate) fn of(verified: &Verified) -> Self {
        let who = match verified.signed_by() {
            SignedBy::Identity { identity, oidc_issuer, .. } => (identity.clone(), oidc_issuer.clone()),
            SignedBy::Key { fingerprint } => (fingerprint.clone(), String::new()),
        };
        Self {
            who,
            time: verified.signed_at(),
            clock: verified.time_source().map(|source| source.authority.clone()),
            logs: verified.logs().to_vec(),
            statement: verified.statement().cloned(),
        }
    }
}

/// Somebody who verifies bundles: what a good one says, or nothing.
pub(crate) type Judge<'a> = dyn Fn(&Bundle) -> Option<Says> + Sync + 'a;

/// A good bundle, what it verifies with, and what it says.
#[derive(Clone)]
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) document: Value<'static>,
    pub(crate) root: TrustedRoot,
    pub(crate) policy: Policy,
    pub(crate) file: Vec<u8>,
    pub(crate) says: Says,
}

impl Subject {
    pub(crate) fn new(name: &str, bundle: &Bundle, root: &TrustedRoot, policy: Policy, file: &[u8]) -> Self {
        let judge = |bundle: &Bundle| judge(bundle, root, &policy, file);
        let says = judge(bundle).unwrap_or_else(|| panic!("{name} does not verify"));
        let text = bundle.to_json();
        let document = owned(&Value::parse(text.as_bytes(), text.len()).unwrap());
        let (root, file) = (root.clone(), file.to_vec());
        Self { name: name.into(), document, root, policy, file, says }
    }

    fn made(name: &str, root: &TrustedRoot, made: &Made) -> Self {
        let Made { signed, evidence, .. } = made;
        let policy = signed.policy().with_evidence(evidence.clone());
        Self::new(name, &signed.bundle, root, policy, &signed.file)
    }

    /// Whether both are verified with the same, so that one verdict is the other.
    pub(crate) fn asks_as(&self, other: &Self) -> bool {
        let policies = [self, other].map(|subject| format!("{:?}", subject.policy));
        self.file == other.file && self.root == other.root && policies[0] == policies[1]
    }

    /// The bundle as it was read.
    pub(crate) fn bundle(&self) -> Bundle {
        Bundle::parse(self.document.to_compact().as_bytes()).unwrap()
    }

    /// What this one's policy lets be said of another's bundle: the whole, and what is left when entries, timestamps
    /// or promises are left out and that is enough.
    pub(crate) fn says_of(&self, other: &Self) -> Vec<Says> {
        let bundle = other.bundle();
        let whole_and_parts = [bundle.clone()].into_iter().chain(parts(&bundle));
        whole_and_parts.filter_map(|part| self.judge(&part)).collect()
    }

    pub(crate) fn judge(&self, bundle: &Bundle) -> Option<Says> {
        judge(bundle, &self.root, &self.policy, &self.file)
    }
}

pub(crate) fn judge(bundle: &Bundle, root: &TrustedRoot, policy: &Policy, file: &[u8]) -> Option<Says> {
    verify(bundle, root, policy, &Artifact::from_bytes(file)).ok().as_ref().map(Says::of)
}

/// The bundle with each choice of its entries, their promises and proofs, and its timestamps; also in the first version
/// of the format, which may have least.
fn parts(bundle: &Bundle) -> Vec<Bundle> {
    let (entries, timestamps) = (&bundle.material.log_entries, &bundle.material.timestamps);
    let chosen = |choice: usize, at: usize| choice >> at & 1 == 1;
    let choices = 0..1_usize << (3 * entries.len() + timestamps.len());
    let mut parts = Vec::new();
    for choice in choices {
        let mut part = bundle.clone();
        let entry = |(at, entry): (usize, &sealog_bundle::TransparencyLogEntry)| {
            let mut entry = entry.clone();
            entry.inclusion_promise = entry.inclusion_promise.filter(|_| chosen(choice, 3 * at + 1));
            entry.inclusion_proof = entry.inclusion_proof.filter(|_| chosen(choice, 3 * at + 2));
            entry
        };
        let kept = entries.iter().enumerate().filter(|(at, _)| chosen(choice, 3 * at));
        part.material.log_entries = kept.map(entry).collect();
        let of_timestamps = choice >> (3 * entries.len());
        let kept = timestamps.iter().enumerate().filter(|(at, _)| chosen(of_timestamps, *at));
        part.material.timestamps = kept.map(|(_, timestamp)| timestamp.clone()).collect();
        let mut reversed = part.clone();
        reversed.material.log_entries.reverse();
        for mut part in [part, reversed] {
            parts.push(part.clone());
            part.version = Version::V01;
            parts.push(part);
        }
    }
    parts
}

pub(crate) fn alice() -> Person {
    Person::new("alice@example.com", P256)
}

pub(crate) fn bob() -> Person {
    Person::new("https://example.com/bob", KeyKind::EcdsaP384)
}

/// Shapes that between them have every field there is.
pub(crate) fn shapes() -> Vec<(&'static str, Shape, bool)> {
    let v1 = |form| Shape { version: Version::V02, ..Shape::rekor_v1(form) };
    vec![
        ("rekor v2, file", Shape::default(), false),
        ("rekor v2, statement, chain", Shape::chain(), true),
        (
            "hashedrekord v1, promise",
            Shape { version: Version::V01, ..v1(EntryForm::HashedRekordV001) },
            false,
        ),
        (
            "dsse v1, promise and timestamp, chain",
            Shape { key: KeyForm::Chain, timestamp: true, ..v1(EntryForm::DsseV001) },
            true,
        ),
        (
            "intoto v1, timestamp",
            Shape { promise: false, timestamp: true, ..Shape::rekor_v1(EntryForm::IntotoV002) },
            true,
        ),
        ("managed key, rekor v2", Shape::managed_key(), false),
        (
            "managed key, hashedrekord v1, timestamp",
            Shape {
                key: KeyForm::Managed,
                promise: false,
                timestamp: true,
                ..v1(EntryForm::HashedRekordV001)
            },
            false,
        ),
    ]
}

/// A bundle that was made, of which kind, and what must prove it.
#[derive(Clone)]
pub(crate) struct Made {
    kind: &'static str,
    signed: Signed,
    evidence: Evidence,
}

/// The kinds of bundles there are.
pub(crate) const KINDS: usize = 11;
/// Of these the first ones, which are of one shape each and have between them every field there is.
const SHAPES: usize = 7;

/// A bundle of every kind: of each shape, and those that take more than one of something, or less than usual.
fn every_kind(world: &mut Sigstore, who: &Person, certificate: &Certificate, file: &[u8]) -> Vec<Made> {
    let usual = |kind, signed| Made { kind, signed, evidence: Evidence::default() };
    let mut made = Vec::new();
    for (name, shape, statement) in shapes() {
        made.push(usual(name, world.sign_all(who, certificate, thing(statement, file), &shape)));
    }
    made.push(usual("two of everything", two_of_everything(world, who, certificate, file)));
    let mut witnessed = world.clone();
    witnessed.log.witnessed_by("witness.example/w1");
    let mut signed = witnessed.sign_with(who, certificate, Thing::File(file));
    let others = &world.tsa.certificates()[1..2];
    let token = Token::new(NOW).fraction("5").with(others).over(signed.signature(), world.tsa.signer());
    signed.bundle.material.timestamps = vec![token];
    made.push(usual("cosigned checkpoint, certificates in the token", signed));
    // As GitHub's instance for private repositories makes them.
    let unlogged = Shape { sct: false, ..Shape::without_logs() };
    let signed = world.sign_all(who, certificate, Thing::StatementAbout(file), &unlogged);
    let evidence = Evidence::default().without_log_unsafe().without_sct_unsafe();
    made.push(Made { kind: "no log", signed, evidence });
    // As clients made them before there were proofs in bundles.
    let shape = Shape { version: Version::V01, ..Shape::rekor_v1(EntryForm::HashedRekordV001) };
    let mut signed = world.sign_all(who, certificate, Thing::File(file), &shape);
    signed.bundle.material.log_entries[0].inclusion_proof = None;
    let evidence = Evidence::default().accepting_promises();
    made.push(Made { kind: "promise alone", signed, evidence });
    assert_eq!(made.len(), KINDS);
    made
}

/// One bundle of each kind.
pub(crate) fn subjects() -> Vec<Subject> {
    let mut world = Sigstore::new();
    let certificate = world.certificate(&alice(), NOW - 60);
    let mut subjects = Vec::new();
    for mut made in every_kind(&mut world, &alice(), &certificate, b"the file") {
        let bundle = &mut made.signed.bundle;
        if let Content::Envelope(envelope) = &mut bundle.content {
            envelope.signatures[0].keyid = "a key".into();
        }
        for entry in &mut bundle.material.log_entries {
            // A time that nobody promised, where there is no promise.
            if entry.kind_version.version != "0.0.2" || entry.kind_version.kind == "intoto" {
                entry.integrated_time = entry.integrated_time.max(NOW);
            }
        }
        subjects.push(Subject::made(made.kind, &world.root, &made));
    }
    subjects
}

/// A file in logs of both kinds with two timestamps. The verdict names the Rekor v2 log.
fn two_of_everything(world: &mut Sigstore, who: &Person, certificate: &Certificate, file: &[u8]) -> Signed {
    let mut signed = world.sign_with(who, certificate, Thing::File(file));
    let mut entry = world.rekor_v1.take(&signed, EntryForm::HashedRekordV001);
    world.rekor_v1.promise(&mut entry, NOW + 2);
    signed.bundle.material.log_entries.push(entry);
    let later = Token::new(NOW + 1).bare().over(signed.signature(), world.tsa.signer());
    signed.bundle.material.timestamps.push(later);
    signed
}

pub(crate) fn thing(statement: bool, file: &[u8]) -> Thing<'_> {
    if statement { Thing::StatementAbout(file) } else { Thing::File(file) }
}

/// Which values are put in each other's places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// Every value.
    One,
    /// Every value, and every two.
    EveryTwo,
    /// Every value, and every two that hold others.
    TwoParts,
}

/// Two bundles whose pieces are exchanged, and how they are related.
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) bundles: [Subject; 2],
    pub(crate) depth: Depth,
}

/// The files of pairs.
const FILES: [&[u8]; 2] = [b"one file", b"another file"];

/// Pairs of each kind: of two people, files and trees; in the same tree; by the same person. And every two
/// kinds, by one person and by two, about one file and about two.
pub(crate) fn pairs() -> Vec<Pair> {
    let mut world = Sigstore::new();
    let people = [alice(), bob()];
    let certificates = people.each_ref().map(|who| world.certificate(who, NOW - 60));
    let mut made =
        |who: usize, file: usize| every_kind(&mut world, &people[who], &certificates[who], FILES[file]);
    let [first, by_bob, by_alice, same_file] = [made(0, 0), made(1, 1), made(0, 1), made(1, 0)];
    let checkpoints = [world.log.checkpoint(), world.rekor_v1.checkpoint()];
    let mut pairs = Vec::new();
    let mut pair = |name: String, two: [&Made; 2], depth: Depth| {
        let bundles = two.map(|made| Subject::made(&name, &world.root, made));
        pairs.push(Pair { name, bundles, depth });
    };
    let in_tree = |made: &Made| in_the_tree_of(&world, &checkpoints, made);
    for at in 0..KINDS {
        let kind = first[at].kind;
        let depth = if at < SHAPES { Depth::EveryTwo } else { Depth::TwoParts };
        pair(format!("{kind}, other tree"), [&first[at], &by_bob[at]], depth);
        // Another witness's line is in no other tree.
        if kind.starts_with("cosigned") {
            continue;
        }
        for (relation, other) in
            [("", &by_bob[at]), ("same signer, ", &by_alice[at]), ("same file, ", &same_file[at])]
        {
            pair(format!("{kind}, {relation}same tree"), [&in_tree(&first[at]), &in_tree(other)], depth);
        }
    }
    for (at, one) in first.iter().enumerate() {
        for other in at + 1..KINDS {
            // Of kinds that stand beside each other in the list all; each has something of its own there.
            let closest = if other == at + 1 && other < SHAPES { Depth::EveryTwo } else { Depth::TwoParts };
            for (relation, others, depth) in [
                ("same signer, same file", &first, closest),
                ("same signer", &by_alice, Depth::One),
                ("same file", &same_file, Depth::One),
                ("nothing the same", &by_bob, Depth::One),
            ] {
                let name = format!("{} / {}, {relation}", one.kind, others[other].kind);
                pair(name, [one, &others[other]], depth);
            }
        }
    }
    pairs
}

/// The same with its proofs in the trees as they are now, and under these checkpoints of them.
fn in_the_tree_of(world: &Sigstore, [of_v2, of_v1]: &[String; 2], made: &Made) -> Made {
    let signed = made.signed.changed(|bundle| {
        for entry in &mut bundle.material.log_entries {
            // Of one that is only promised no tree is known.
            let Some(index) = entry.inclusion_proof.as_ref().map(|proof| proof.log_index) else { continue };
            let (log, checkpoint) =
                if entry.log_id == world.log.id() { (&world.log, of_v2) } else { (&world.rekor_v1, of_v1) };
            entry.inclusion_proof =
                Some(InclusionProof { checkpoint: checkpoint.clone(), ..log.proof(index) });
        }
    });
    Made { signed, ..made.clone() }
}

/// The places where two documents differ, down to single values.
pub(crate) fn differences(a: &Value<'static>, b: &Value<'static>) -> BTreeSet<String> {
    let scalars = |document: &Value<'static>| -> BTreeSet<(Vec<Step>, String)> {
        let values = crate::document::values(document);
        let scalars = values.into_iter().filter(|(_, value)| crate::document::is_scalar(value));
        scalars.map(|(path, value)| (path, value.to_compact())).collect()
    };
    let (a, b) = (scalars(a), scalars(b));
    a.symmetric_difference(&b).map(|(path, _)| place(path)).collect()
}
