//! Good bundles to be changed, and what a verdict on one says.

use crate::document::{Step, owned, place};
use sealog_bundle::{
    Bundle, Content, InclusionProof, Statement, TrustedRoot, UnixTime, Version, json::Value,
};
use sealog_crypto::KeyKind;
use sealog_testkit::{EntryForm, KeyForm, NOW, P256, Person, Shape, Signed, Sigstore, Thing, Token};
use sealog_verify::{Artifact, Logged, Policy, SignedBy, Verified, verify};
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
pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) document: Value<'static>,
    pub(crate) root: TrustedRoot,
    pub(crate) policy: Policy,
    pub(crate) file: Vec<u8>,
    pub(crate) says: Says,
    /// Whether it is one of ours, of which the rows of the list know what they have.
    pub(crate) is_ours: bool,
    /// What is said when entries, timestamps or promises are left out, and what is left is enough.
    pub(crate) less: Vec<Says>,
}

impl Subject {
    pub(crate) fn new(name: &str, bundle: &Bundle, root: &TrustedRoot, policy: Policy, file: &[u8]) -> Self {
        let judge = |bundle: &Bundle| judge(bundle, root, &policy, file);
        let says = judge(bundle).unwrap_or_else(|| panic!("{name} does not verify"));
        let less = parts(bundle).iter().filter_map(judge).collect();
        let text = bundle.to_json();
        let document = owned(&Value::parse(text.as_bytes(), text.len()).unwrap());
        let (root, file) = (root.clone(), file.to_vec());
        Self { name: name.into(), document, root, policy, file, says, is_ours: false, less }
    }

    fn made(name: &str, world: &Sigstore, signed: &Signed) -> Self {
        let made = Self::new(name, &signed.bundle, &world.root, signed.policy(), &signed.file);
        Self { is_ours: true, ..made }
    }

    pub(crate) fn judge(&self, bundle: &Bundle) -> Option<Says> {
        judge(bundle, &self.root, &self.policy, &self.file)
    }
}

pub(crate) fn judge(bundle: &Bundle, root: &TrustedRoot, policy: &Policy, file: &[u8]) -> Option<Says> {
    verify(bundle, root, policy, &Artifact::from_bytes(file)).ok().as_ref().map(Says::of)
}

/// The bundle with each choice of its entries, promises and timestamps.
fn parts(bundle: &Bundle) -> Vec<Bundle> {
    let (entries, timestamps) = (&bundle.material.log_entries, &bundle.material.timestamps);
    let chosen = |choice: usize, at: usize| choice >> at & 1 == 1;
    let mut parts = Vec::new();
    for (of_entries, of_promises, of_timestamps) in (0..1 << entries.len()).flat_map(|e| {
        (0..1 << entries.len()).flat_map(move |p| (0..1 << timestamps.len()).map(move |t| (e, p, t)))
    }) {
        let mut part = bundle.clone();
        let entry = |(at, entry): (usize, &sealog_bundle::TransparencyLogEntry)| {
            let mut entry = entry.clone();
            entry.inclusion_promise = entry.inclusion_promise.filter(|_| chosen(of_promises, at));
            entry
        };
        let kept = entries.iter().enumerate().filter(|(at, _)| chosen(of_entries, *at));
        part.material.log_entries = kept.map(entry).collect();
        let kept = timestamps.iter().enumerate().filter(|(at, _)| chosen(of_timestamps, *at));
        part.material.timestamps = kept.map(|(_, timestamp)| timestamp.clone()).collect();
        let mut reversed = part.clone();
        reversed.material.log_entries.reverse();
        parts.extend([part, reversed]);
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

/// One bundle of each shape, and some that take more than one of something.
pub(crate) fn subjects() -> Vec<Subject> {
    let mut world = Sigstore::new();
    let file = b"the file";
    let mut subjects = Vec::new();
    for (name, shape, statement) in shapes() {
        let mut signed = world.sign_as(&alice(), thing(statement, file), &shape);
        if let Content::Envelope(envelope) = &mut signed.bundle.content {
            envelope.signatures[0].keyid = "a key".into();
        }
        for entry in signed.bundle.material.log_entries.iter_mut().filter(|_| shape.entries[0].is_v1()) {
            // A time that nobody promised, where there is no promise.
            entry.integrated_time = NOW;
        }
        subjects.push(Subject::made(name, &world, &signed));
    }
    subjects.push(Subject::made("two of everything", &world, &two_of_everything(&mut world.clone())));
    let mut witnessed = world.clone();
    witnessed.log.witnessed_by("witness.example/w1");
    let mut signed = witnessed.sign_as(&alice(), Thing::File(file), &Shape::default());
    let others = &world.tsa.certificates()[1..2];
    let token = Token::new(NOW).fraction("5").with(others).over(signed.signature(), world.tsa.signer());
    signed.bundle.material.timestamps = vec![token];
    subjects.push(Subject::made("cosigned checkpoint, certificates in the token", &world, &signed));
    subjects
}

/// A file in logs of both kinds with two timestamps. The verdict names the Rekor v2 log.
fn two_of_everything(world: &mut Sigstore) -> Signed {
    let mut signed = world.sign(&alice(), Thing::File(b"the file"));
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

/// Two bundles whose pieces are exchanged, and how they are related.
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) bundles: [Subject; 2],
}

/// Pairs of each shape: of two people, files and trees; in the same tree; by the same person. And pairs of
/// neighbouring shapes, by one person about one file.
pub(crate) fn pairs() -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (name, shape, statement) in shapes() {
        let mut world = Sigstore::new();
        let certificates = [alice(), bob()].map(|who| world.certificate(&who, NOW - 60));
        let sign = |world: &mut Sigstore, who: usize, file: &[u8]| {
            let person = [alice(), bob()][who].clone();
            world.sign_all(&person, &certificates[who], thing(statement, file), &shape)
        };
        let [first, by_bob, by_alice, same_file] = [
            sign(&mut world, 0, b"one file"),
            sign(&mut world, 1, b"another file"),
            sign(&mut world, 0, b"another file"),
            sign(&mut world, 1, b"one file"),
        ];
        let checkpoints = [world.log.checkpoint(), world.rekor_v1.checkpoint()];
        let in_tree = |signed: &Signed| in_the_tree_of(&world, &checkpoints, signed);
        for (relation, a, b) in [
            ("other tree", &first, &by_bob),
            ("same tree", &in_tree(&first), &in_tree(&by_bob)),
            ("same signer, same tree", &in_tree(&first), &in_tree(&by_alice)),
            ("same file, same tree", &in_tree(&first), &in_tree(&same_file)),
        ] {
            let name = format!("{name}, {relation}");
            let bundles = [a, b].map(|signed| Subject::made(&name, &world, signed));
            pairs.push(Pair { name, bundles });
        }
    }
    let mut world = Sigstore::new();
    let certificate = world.certificate(&alice(), NOW - 60);
    let signed: Vec<(&str, Signed)> = shapes()
        .into_iter()
        .map(|(name, shape, statement)| {
            (name, world.sign_all(&alice(), &certificate, thing(statement, b"one file"), &shape))
        })
        .collect();
    for two in signed.windows(2) {
        let name = format!("{} / {}", two[0].0, two[1].0);
        let bundles = [&two[0], &two[1]].map(|(_, signed)| Subject::made(&name, &world, signed));
        pairs.push(Pair { name, bundles });
    }
    pairs
}

/// The same with its proofs in the trees as they are now, and under these checkpoints of them.
fn in_the_tree_of(world: &Sigstore, [of_v2, of_v1]: &[String; 2], signed: &Signed) -> Signed {
    signed.changed(|bundle| {
        for entry in &mut bundle.material.log_entries {
            let index = entry.inclusion_proof.as_ref().unwrap().log_index;
            let (log, checkpoint) =
                if entry.log_id == world.log.id() { (&world.log, of_v2) } else { (&world.rekor_v1, of_v1) };
            entry.inclusion_proof =
                Some(InclusionProof { checkpoint: checkpoint.clone(), ..log.proof(index) });
        }
    })
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
