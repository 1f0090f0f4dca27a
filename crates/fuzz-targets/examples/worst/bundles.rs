//! Bundles that are slow to verify: an attacker makes all of it but what the services sign.

use sealog_bundle::{Bundle, KeyMaterial, TrustedRoot, dsse::IN_TOTO_PAYLOAD_TYPE, statement::STATEMENT_V1};
use sealog_crypto::{HashAlgorithm, KeyKind, Signer as _};
use sealog_pki::{Certificate, ObjectIdentifier, San};
use sealog_testkit::{
    Holder, NOW, Person, Shape, Sigstore, Template, Thing, Token, key, oids, signature_of, statement,
};
use sealog_verify::{Artifact, Policy, digests_needed, verify};

const FILE: &[u8] = b"the file";
/// Bytes of a predicate; in base64 it fills a mebibyte with all that belongs to it.
const PREDICATE: usize = 780_000;

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
    let crowded = crowded_root(&world);
    let p384 = with_p384_issuer();
    vec![
        ("an ordinary bundle", Case::new(&good, &world.root, Outcome::Verified)),
        ("32 entries", many_entries(&mut world, &good, 1)),
        ("32 entries, each checkpoint signed 64 times", many_entries(&mut world, &good, 64)),
        ("32 timestamps", many_timestamps(&world, &good, &world.root)),
        ("32 timestamps, 32 authorities of one name", many_timestamps(&world, &good, &crowded)),
        ("32 timestamps with 14 certificates each", full_timestamps(&world, &good)),
        ("15 CAs of two names that signed each other", tangle(&world, 1, &|ca| ca)),
        ("the same, 32 timestamps", tangle(&world, 32, &|ca| ca)),
        ("the same, each with 250 names and 250 constraints", tangle(&world, 1, &with_names)),
        ("the same, each of 60 kB and alike but at the end", tangle(&world, 1, &with_padding)),
        ("14 CAs of the issuer's name, the issuer last, 32 timestamps", namesakes(p384)),
        ("a payload as long as there is room", long_payload(&mut world, &alice)),
    ]
}

/// One signature, logged 32 times; each checkpoint with its signature line repeated.
fn many_entries(world: &mut Sigstore, good: &Bundle, lines: usize) -> Case {
    let first = good.material.log_entries[0].clone();
    let body = first.canonicalized_body;
    let indexes: Vec<u64> = (0..32).map(|_| world.log.append(&body)).collect();
    let entries = indexes.into_iter().map(|index| {
        let mut entry = world.log.entry(first.kind_version.clone(), body.clone(), index);
        let checkpoint = &mut entry.inclusion_proof.as_mut().unwrap().checkpoint;
        let line = checkpoint.lines().last().unwrap().to_owned() + "\n";
        checkpoint.push_str(&line.repeat(lines - 1));
        entry
    });
    let mut bundle = good.clone();
    bundle.material.log_entries = entries.collect();
    Case::new(&bundle, &world.root, Outcome::Verified)
}

fn stamps(world: &Sigstore, bundle: &Bundle, times: i64) -> Vec<Vec<u8>> {
    let signature = signature_of(&bundle.content);
    (0..times).map(|at| world.tsa.stamp(signature, NOW + at)).collect()
}

fn many_timestamps(world: &Sigstore, good: &Bundle, root: &TrustedRoot) -> Case {
    let mut bundle = good.clone();
    bundle.material.timestamps = stamps(world, good, 32);
    Case::new(&bundle, root, Outcome::Verified)
}

/// Each token carries certificates of an attacker that look like the authority's issuer.
fn full_timestamps(world: &Sigstore, good: &Bundle) -> Case {
    let attacker = attacker();
    let mut alike = Template::intermediate("test tsa intermediate", oids::TIME_STAMPING);
    alike.issuer = Some(world.tsa.at(2).certificate.subject_name().to_vec());
    let others: Vec<Certificate> =
        (0..14).map(|_| alike.issued(attacker.key.public_key(), &attacker)).collect();
    let mut bundle = good.clone();
    let signature = signature_of(&good.content);
    let token = |at| Token::new(NOW + at).with(&others).over(signature, world.tsa.signer());
    bundle.material.timestamps = (0..32).map(token).collect();
    Case::new(&bundle, &world.root, Outcome::Verified)
}

/// The root with 31 other timestamp and certificate authorities of the same names listed first.
fn crowded_root(world: &Sigstore) -> TrustedRoot {
    let mut root = world.root.clone();
    for number in 0..31 {
        let other = Sigstore::other(&format!("crowd {number}"));
        root.timestamp_authorities.insert(0, other.tsa.listed());
        root.certificate_authorities.insert(0, other.ca.listed());
    }
    root
}

/// Somebody with a CA nobody trusts, and a key that is slow to verify with.
fn attacker() -> Holder {
    let key = key("attacker", KeyKind::EcdsaP384);
    let certificate = Template::ca("X").self_signed(key.as_ref());
    Holder { key, certificate }
}

/// A leaf under CAs that an attacker made: names X and Y take turns, everyone signs everyone, and no
/// path ends at an anchor. The timestamps are real.
fn tangle(world: &Sigstore, times: i64, change: &dyn Fn(Template) -> Template) -> Case {
    let attacker = attacker();
    let alice = Person::new("alice@example.com", KeyKind::EcdsaP384);
    let ca = |at: usize| {
        let (subject, issuer) = if at.is_multiple_of(2) { ("X", "Y") } else { ("Y", "X") };
        change(Template::ca(subject).issued_under(issuer)).issued(attacker.key.public_key(), &attacker)
    };
    let leaf = change(Template::signer(&alice.san(), &alice.issuer, NOW - 60));
    let leaf = leaf.without(oids::NAME_CONSTRAINTS).issued(alice.key.public_key(), &attacker);
    let chain = std::iter::once(leaf).chain((0..15).map(ca));
    let mut bundle = Sigstore::new().sign_as(&alice, Thing::File(FILE), &Shape::chain()).bundle;
    bundle.material.key = KeyMaterial::Chain(chain.map(|member| member.der().to_vec()).collect());
    bundle.material.timestamps = stamps(world, &bundle, times);
    Case::new(&bundle, &world.root, Outcome::Refused)
}

/// With mail addresses of long hosts, and as many domains from which nothing may be certified below.
fn with_names(template: Template) -> Template {
    let host = "a".repeat(150);
    let names: Vec<San> = (0..250).map(|at| San::Email(format!("{at}@{host}.com"))).collect();
    let domains: Vec<San> = (0..250).map(|at| San::Email(format!(".{at}.com"))).collect();
    template.names(&names).name_constraints(&[], &domains)
}

fn with_padding(mut template: Template) -> Template {
    template.serial = [0x42; 20];
    template.with(ObjectIdentifier::new_unwrap("1.2.3"), false, &[0; 60_000])
}

/// An instance whose issuer has a P-384 key, as the public good's has.
fn with_p384_issuer() -> Sigstore {
    let mut world = Sigstore::new();
    world.ca.change_key(0, "slow issuer", KeyKind::EcdsaP384);
    world.relist();
    world
}

/// A good bundle under a root that lists no intermediate: the bundle brings the issuer, behind others
/// that an attacker gave its name.
fn namesakes(mut world: Sigstore) -> Case {
    world.root.certificate_authorities = vec![world.ca.listed_from(1)];
    let alice = Person::new("alice@example.com", KeyKind::EcdsaP256);
    let mut bundle = world.sign_as(&alice, Thing::File(FILE), &Shape::chain()).bundle;
    bundle.material.timestamps = stamps(&world, &bundle, 32);
    let attacker = attacker();
    let alike = Template::ca("test intermediate");
    if let KeyMaterial::Chain(chain) = &mut bundle.material.key {
        let made = (0..14).map(|_| alike.issued(attacker.key.public_key(), &attacker).der().to_vec());
        let made: Vec<Vec<u8>> = made.collect();
        chain.splice(1..1, made);
    }
    Case::new(&bundle, &world.root, Outcome::Verified)
}

/// A statement with a long predicate, signed by somebody who wants it so.
fn long_payload(world: &mut Sigstore, alice: &Person) -> Case {
    let mut payload = statement(FILE, STATEMENT_V1, &[HashAlgorithm::Sha256]);
    payload.pop();
    let deep = ["[".repeat(60), "]".repeat(60), ",".into()].concat();
    let more = format!("[{}0]", deep.repeat(PREDICATE / deep.len()));
    payload.extend_from_slice(format!(",\"more\":{more}}}").as_bytes());
    let thing = Thing::Envelope { payload: &payload, payload_type: IN_TOTO_PAYLOAD_TYPE, file: FILE };
    let bundle = world.sign(alice, thing).bundle;
    Case::new(&bundle, &world.root, Outcome::Verified)
}
