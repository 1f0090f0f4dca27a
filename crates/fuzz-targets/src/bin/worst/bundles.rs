//! Bundles that are slow to verify: an attacker makes all of it but what the services sign.

use super::sigstore::{
    Holder, NOW, Person, Sigstore, Thing, content, key, listed_authority, profile, signature_of, stamp_by,
    tsa_below,
};
use sealog_bundle::{Bundle, Content, KeyMaterial, TransparencyLogEntry, TrustedRoot, Version};
use sealog_crypto::{KeyKind, PrivateKey, Signer as _};
use sealog_fuzz_targets::der::element;
use sealog_pki::{
    Certificate,
    issue::{self, Below},
};
use sealog_verify::{Artifact, Policy, verify};

const FILE: &[u8] = b"the file";

/// A document with what it is verified with.
pub(super) struct Case {
    document: String,
    root: TrustedRoot,
    outcome: Outcome,
}

/// How far it must get.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Verified,
    Refused,
}

impl Case {
    fn new(bundle: &Bundle, root: &TrustedRoot, outcome: Outcome) -> Self {
        Self { document: bundle.to_json(), root: root.clone(), outcome }
    }

    pub(super) fn bytes(&self) -> usize {
        self.document.len()
    }

    pub(super) fn ask(&self) {
        let Ok(bundle) = Bundle::parse(self.document.as_bytes()) else { panic!("not a bundle") };
        let policy = Policy::any_identity_unsafe();
        let answer = verify(&bundle, &self.root, &policy, &Artifact::from_bytes(FILE));
        assert_eq!(answer.is_ok(), self.outcome == Outcome::Verified, "{:?}", answer.err());
    }
}

/// Every case, with its name.
pub(super) fn all() -> Vec<(&'static str, Case)> {
    let mut world = Sigstore::new();
    let alice = Person::new("alice@example.com", KeyKind::EcdsaP256);
    let good = world.sign(&alice, Thing::File(FILE)).bundle;
    let mut cases = vec![("an ordinary bundle", Case::new(&good, &world.root, Outcome::Verified))];
    cases.push(("32 entries", many_entries(&mut world, &good, 1)));
    cases.push(("32 entries, each checkpoint signed 64 times", many_entries(&mut world, &good, 64)));
    cases.push(("32 timestamps", many_timestamps(&world, &good, &world.root)));
    let crowded = crowded_root(&world);
    cases.push(("32 timestamps, 32 authorities of one name", many_timestamps(&world, &good, &crowded)));
    cases.push(("a path through 15 CAs of two names that signed each other", tangle(&world, 1)));
    cases.push(("the same, with 32 timestamps", tangle(&world, 32)));
    cases.push(("14 CAs of the issuer's name, the issuer last, 32 timestamps", namesakes()));
    cases.push(("a payload of half a mebibyte", long_payload(&mut world, &alice)));
    cases
}

/// One body, logged 32 times; each checkpoint with its signature line repeated.
fn many_entries(world: &mut Sigstore, good: &Bundle, lines: usize) -> Case {
    let body = good.material.log_entries[0].canonicalized_body.clone();
    let indexes: Vec<u64> = (0..32).map(|_| world.log(&body)).collect();
    let entries = indexes.into_iter().map(|index| {
        let mut entry: TransparencyLogEntry = world.entry(body.clone(), index);
        let checkpoint = &mut entry.inclusion_proof.as_mut().unwrap().checkpoint;
        let line = checkpoint.lines().last().unwrap().to_owned() + "\n";
        checkpoint.push_str(&line.repeat(lines - 1));
        entry
    });
    let mut bundle = good.clone();
    bundle.material.log_entries = entries.collect();
    Case::new(&bundle, &world.root, Outcome::Verified)
}

fn many_timestamps(world: &Sigstore, good: &Bundle, root: &TrustedRoot) -> Case {
    let mut bundle = good.clone();
    let signature = signature_of(&bundle.content).to_vec();
    bundle.material.timestamps = (0..32).map(|at| world.stamp(&signature, NOW + at)).collect();
    Case::new(&bundle, root, Outcome::Verified)
}

/// The root with 31 other timestamp and certificate authorities of the same names listed first.
fn crowded_root(world: &Sigstore) -> TrustedRoot {
    let mut root = world.root.clone();
    for _ in 0..31 {
        let other = Sigstore::new();
        let tsa = tsa_below(&other.tsa_root);
        root.timestamp_authorities
            .insert(0, listed_authority("https://tsa.example", &[&tsa, &other.tsa_root]));
        root.certificate_authorities
            .insert(0, listed_authority("https://ca.example", &[&other.ca, &other.ca_root]));
    }
    root
}

/// A leaf under CAs that an attacker made: names X and Y take turns, everyone signs everyone, and no
/// path ends at an anchor. The timestamps are real.
fn tangle(world: &Sigstore, times: i64) -> Case {
    let signer = key(KeyKind::EcdsaP384);
    let alice = Person::new("alice@example.com", KeyKind::EcdsaP384);
    let ca = |at: u8| {
        let (subject, issuer) = if at.is_multiple_of(2) { ("X", "Y") } else { ("Y", "X") };
        made(&signer, &signer, &name(subject), &name(issuer), at, true)
    };
    let leaf = made(&signer, &alice.key, &name("leaf"), &name("X"), 100, false);
    let mut chain = vec![leaf];
    chain.extend((0..15).map(ca));
    let (content, _) = content(&alice, Thing::File(FILE));
    let mut bundle = Sigstore::new().sign(&alice, Thing::File(FILE)).bundle;
    bundle.version = Version::V02;
    let signature = signature_of(&content).to_vec();
    bundle.content = content;
    bundle.material.key = KeyMaterial::Chain(chain);
    bundle.material.timestamps = (0..times).map(|at| stamp_by(&world.tsa, &signature, NOW + at)).collect();
    Case::new(&bundle, &world.root, Outcome::Refused)
}

/// A good bundle under a root that lists no intermediate: the bundle brings the issuer, behind others
/// that an attacker gave its name.
fn namesakes() -> Case {
    let mut world = Sigstore::new();
    let ca_key = key(KeyKind::EcdsaP384);
    let profile = profile("test intermediate");
    let (root, root_key) = (&world.ca_root.certificate, &world.ca_root.key);
    let ca = issue::intermediate(&profile, Below::CodeSigning, ca_key.public_key(), root, root_key).unwrap();
    world.ca = Holder { key: ca_key, certificate: ca.clone() };
    world.root.certificate_authorities = vec![listed_authority("https://ca.example", &[&world.ca_root])];
    let mut bundle =
        world.sign(&Person::new("alice@example.com", KeyKind::EcdsaP256), Thing::File(FILE)).bundle;
    let signature = signature_of(&bundle.content).to_vec();
    bundle.material.timestamps = (0..32).map(|at| world.stamp(&signature, NOW + at)).collect();
    let attacker = key(KeyKind::EcdsaP384);
    let mut chain = vec![bundle.material.key.leaf().unwrap().to_vec()];
    chain.extend((0..14).map(|at| made(&attacker, &attacker, ca.subject_name(), &name("X"), at, true)));
    chain.push(ca.der().to_vec());
    bundle.version = Version::V02;
    bundle.material.key = KeyMaterial::Chain(chain);
    Case::new(&bundle, &world.root, Outcome::Verified)
}

/// A name of one attribute.
fn name(text: &str) -> Vec<u8> {
    let attribute = [element(6, &[0x55, 4, 3]), element(0x0c, text.as_bytes())].concat();
    element(0x30, &element(0x31, &element(0x30, &attribute)))
}

/// A certificate as an attacker writes it.
fn made(
    signer: &PrivateKey,
    subject_key: &PrivateKey,
    subject: &[u8],
    issuer: &[u8],
    serial: u8,
    is_ca: bool,
) -> Vec<u8> {
    let extension = |id: u8, critical: bool, value: &[u8]| {
        let flag = if critical { vec![1, 1, 0xff] } else { Vec::new() };
        element(0x30, &[element(6, &[0x55, 0x1d, id]), flag, element(4, value)].concat())
    };
    let algorithm = element(0x30, &element(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]));
    let validity =
        element(0x30, &[element(0x17, b"260101000000Z"), element(0x17, b"400101000000Z")].concat());
    let extensions = if is_ca {
        [extension(15, true, &[3, 2, 1, 6]), extension(19, true, &[0x30, 3, 1, 1, 0xff])].concat()
    } else {
        let purpose = element(0x30, &element(6, &[0x2b, 6, 1, 5, 5, 7, 3, 3]));
        let names = element(0x30, &element(0x81, b"alice@example.com"));
        [extension(15, true, &[3, 2, 7, 0x80]), extension(37, false, &purpose), extension(17, true, &names)]
            .concat()
    };
    let tbs = element(
        0x30,
        &[
            element(0xa0, &[2, 1, 2]),
            element(2, &[serial]),
            algorithm.clone(),
            issuer.to_vec(),
            validity,
            subject.to_vec(),
            subject_key.public_key().spki_der().to_vec(),
            element(0xa3, &element(0x30, &extensions)),
        ]
        .concat(),
    );
    let signature = [vec![0], signer.sign(&tbs).unwrap()].concat();
    let certificate = element(0x30, &[tbs, algorithm, element(3, &signature)].concat());
    assert!(Certificate::from_der(&certificate).is_ok());
    certificate
}

/// A statement with a long predicate, signed.
fn long_payload(world: &mut Sigstore, alice: &Person) -> Case {
    let mut bundle = world.sign(alice, Thing::StatementAbout(FILE)).bundle;
    if let Content::Envelope(envelope) = &mut bundle.content {
        let predicate = format!("[{}0]", "[0],".repeat(1 << 17));
        envelope.payload.pop();
        envelope.payload.extend_from_slice(format!(",\"more\":{predicate}}}").as_bytes());
    }
    Case::new(&bundle, &world.root, Outcome::Refused)
}
