//! Bundles that are slow to verify: an attacker makes all of it but what the services sign.

use super::sigstore::{
    Holder, NOW, Person, Sigstore, Thing, content, key, listed_authority, profile, signature_of, stamp_by,
    statement_about, tsa_below,
};
use sealog_bundle::{
    Bundle, Content, Envelope, HashedRekord, KeyMaterial, TransparencyLogEntry, TrustedRoot, Verifier,
    Version,
    dsse::{EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE, pae},
};
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, Signer as _};
use sealog_fuzz_targets::der::element;
use sealog_pki::{
    Certificate,
    issue::{self, Below},
};
use sealog_verify::{Artifact, Policy, digests_needed, verify};

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
        let digests = digests_needed(&bundle, &policy).into_iter().map(|algorithm| algorithm.digest(FILE));
        let answer = verify(&bundle, &self.root, &policy, &Artifact::from_digests(digests));
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
    cases.push(("a path through 15 CAs of two names that signed each other", tangle(&world, 1, 0)));
    cases.push(("the same, with 32 timestamps", tangle(&world, 32, 0)));
    cases.push(("the same CAs, each with 250 names and 250 constraints", tangle(&world, 1, 250)));
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
fn tangle(world: &Sigstore, times: i64, names: usize) -> Case {
    let signer = key(KeyKind::EcdsaP384);
    let alice = Person::new("alice@example.com", KeyKind::EcdsaP384);
    let ca = |at: u8| {
        let (subject, issuer) = if at.is_multiple_of(2) { ("X", "Y") } else { ("Y", "X") };
        made(&signer, &signer, &name(subject), &name(issuer), at, &ca_extensions(names))
    };
    let leaf = made(&signer, &alice.key, &name("leaf"), &name("X"), 100, &leaf_extensions(names.max(1)));
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
    chain.extend(
        (0..14).map(|at| made(&attacker, &attacker, ca.subject_name(), &name("X"), at, &ca_extensions(0))),
    );
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

fn extension(id: u8, critical: bool, value: &[u8]) -> Vec<u8> {
    let flag = if critical { vec![1, 1, 0xff] } else { Vec::new() };
    element(0x30, &[element(6, &[0x55, 0x1d, id]), flag, element(4, value)].concat())
}

/// Mail addresses of long hosts.
fn alternative_names(count: usize) -> Vec<u8> {
    let host = "a".repeat(150);
    let names: Vec<u8> =
        (0..count).flat_map(|at| element(0x81, format!("{at}@{host}.com").as_bytes())).collect();
    extension(17, true, &element(0x30, &names))
}

fn leaf_extensions(names: usize) -> Vec<u8> {
    let purpose = element(0x30, &element(6, &[0x2b, 6, 1, 5, 5, 7, 3, 3]));
    let usage = extension(15, true, &[3, 2, 7, 0x80]);
    [usage, extension(37, false, &purpose), alternative_names(names)].concat()
}

/// Those of a CA, with names of its own and as many domains from which it may certify nothing.
fn ca_extensions(names: usize) -> Vec<u8> {
    let mut extensions =
        [extension(15, true, &[3, 2, 1, 6]), extension(19, true, &[0x30, 3, 1, 1, 0xff])].concat();
    if names > 0 {
        let domain = |at: usize| element(0x30, &element(0x81, format!(".{at}.com").as_bytes()));
        let domains: Vec<u8> = (0..names).flat_map(domain).collect();
        extensions.extend(alternative_names(names));
        extensions.extend(extension(30, true, &element(0x30, &element(0xa1, &domains))));
    }
    extensions
}

/// A certificate as an attacker writes it.
fn made(
    signer: &PrivateKey,
    subject_key: &PrivateKey,
    subject: &[u8],
    issuer: &[u8],
    serial: u8,
    extensions: &[u8],
) -> Vec<u8> {
    let algorithm = element(0x30, &element(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]));
    let validity =
        element(0x30, &[element(0x17, b"260101000000Z"), element(0x17, b"400101000000Z")].concat());
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
            element(0xa3, &element(0x30, extensions)),
        ]
        .concat(),
    );
    let signature = [vec![0], signer.sign(&tbs).unwrap()].concat();
    let certificate = element(0x30, &[tbs, algorithm, element(3, &signature)].concat());
    assert!(Certificate::from_der(&certificate).is_ok());
    certificate
}

/// A statement with a long predicate, signed by somebody who wants it so.
fn long_payload(world: &mut Sigstore, alice: &Person) -> Case {
    let mut payload = statement_about(FILE);
    payload.pop();
    let deep = ["[".repeat(60), "]".repeat(60), ",".into()].concat();
    let predicate = format!("[{}0]", deep.repeat((1 << 19) / deep.len()));
    payload.extend_from_slice(format!(",\"more\":{predicate}}}").as_bytes());
    let message = pae(IN_TOTO_PAYLOAD_TYPE, &payload);
    let signature = alice.key.sign(&message).unwrap();
    let mut bundle = world.sign(alice, Thing::StatementAbout(FILE)).bundle;
    let body = HashedRekord {
        digest: HashAlgorithm::Sha256.digest(&message),
        signature: signature.clone(),
        verifier: Verifier::Certificate(bundle.material.key.leaf().unwrap().to_vec()),
        key_details: alice.key_details(),
    }
    .canonical();
    let index = world.log(&body);
    bundle.material.log_entries = vec![world.entry(body, index)];
    bundle.material.timestamps = vec![world.stamp(&signature, NOW)];
    bundle.content = Content::Envelope(Envelope {
        payload,
        payload_type: IN_TOTO_PAYLOAD_TYPE.into(),
        signatures: vec![EnvelopeSignature { sig: signature, keyid: String::new() }],
    });
    Case::new(&bundle, &world.root, Outcome::Verified)
}
