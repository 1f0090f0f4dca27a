//! Policies beyond one name: several signers, other rules, and how much must be proven.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use sealog_bundle::{Bundle, Content, KeyDetails, Version};
use sealog_crypto::{KeyKind, Signer as _};
use sealog_pki::FulcioExtension;
use sealog_testkit::{EntryForm, ISSUER, Log, NOW, P256, Person, Shape, Signed, Sigstore, Thing, key};
use sealog_tlog::note::{KeyType, KeyVerifier};
use sealog_verify::{
    Artifact, ErrorClass, Evidence, Match, Policy, PolicyError, Report, SignerRule, Verdict, Verified,
    Verifier, VerifyError, Witnesses, verdict::json_line,
};
use std::num::NonZeroUsize;

const FILE: &[u8] = b"the file";

fn ann() -> Person {
    Person::new("ann@example.org", P256)
}

fn bob() -> Person {
    Person::new("bob@example.org", P256)
}

fn named(name: &str) -> SignerRule {
    SignerRule::identity(Match::exact(name), Match::exact(ISSUER))
}

fn all(world: &Sigstore, bundles: &[&Signed], policy: &Policy) -> Result<Vec<Verified>, VerifyError> {
    let bundles: Vec<Bundle> = bundles.iter().map(|signed| signed.bundle.clone()).collect();
    Verifier::new(&world.root).verify_all(&bundles, policy, &Artifact::from_bytes(FILE))
}

fn class<T>(outcome: Result<T, VerifyError>) -> Option<ErrorClass> {
    outcome.err().map(|error| error.class())
}

/// Whether a bundle verifies under this evidence, else why not.
fn with(world: &Sigstore, signed: &Signed, evidence: Evidence) -> Option<ErrorClass> {
    let policy = signed.policy().with_evidence(evidence);
    class(sealog_verify::verify(&signed.bundle, &world.root, &policy, &Artifact::from_bytes(&signed.file)))
}

const fn number(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

#[test]
fn two_different_people_and_not_one_of_them_twice() {
    let mut world = Sigstore::new();
    let file = Thing::File(FILE);
    let [a, again, b] = [ann(), ann(), bob()].map(|who| world.sign(&who, file));
    let ann_elsewhere = world.sign(&ann().known_to("https://other.example"), file);
    let shouting = world.sign(&Person::new("ANN@example.org", P256), file);
    let eve = world.sign(&Person::new("eve@example.org", P256), file);
    let other_file = world.sign(&bob(), Thing::File(b"another file"));
    let both = Policy::signers(2, vec![named("ann@example.org"), named("bob@example.org")]).unwrap();
    let names = |outcome: Result<Vec<Verified>, VerifyError>| -> Vec<String> {
        outcome.unwrap().iter().map(|v| v.identity().unwrap().into()).collect()
    };
    assert_eq!(names(all(&world, &[&a, &b], &both)), ["ann@example.org", "bob@example.org"]);
    assert_eq!(names(all(&world, &[&eve, &b, &again, &a], &both)), ["bob@example.org", "ann@example.org"]);
    for too_few in [
        vec![&a],
        vec![&a, &a],
        vec![&a, &again],
        vec![&a, &eve],
        vec![&a, &ann_elsewhere],
        vec![&a, &other_file],
    ] {
        let outcome = all(&world, &too_few, &both);
        let error = outcome.as_ref().unwrap_err();
        let counted = PolicyError::TooFewSigners { needed: 2, found: 1, heard: String::new() };
        assert!(
            matches!(error, VerifyError::Policy { error, signed: Some(_) }
                if std::mem::discriminant(error) == std::mem::discriminant(&counted)),
            "{error:?}"
        );
        assert_eq!(Verdict::of(&outcome), Verdict::WrongSigner);
    }
    // One bundle is never enough, asked for alone as well.
    let alone = world.verify(&a);
    assert!(alone.is_ok());
    let artifact = Artifact::from_bytes(FILE);
    assert_eq!(
        class(Verifier::new(&world.root).verify(&a.bundle, &both, &artifact)),
        Some(ErrorClass::Policy)
    );
    // A name is one person in capitals, and whoever vouches for it.
    let any = |rule: &str| {
        let either = r"https://(accounts\.example\.com|other\.example)";
        SignerRule::identity(Match::pattern(rule).unwrap(), Match::pattern(either).unwrap())
    };
    let two_of_us =
        Policy::signers(2, vec![any(r"(?i)[a-z]+@example\.org"), any(r"(?i)[a-z]+@example\.org")]).unwrap();
    assert!(all(&world, &[&a, &shouting], &two_of_us).is_err());
    assert!(all(&world, &[&a, &ann_elsewhere], &two_of_us).is_err());
    assert_eq!(all(&world, &[&shouting, &b], &two_of_us).unwrap().len(), 2);
    // Nothing that verifies at all is not told as somebody else's signature.
    assert_eq!(class(all(&world, &[&other_file], &both)), Some(ErrorClass::Digest));
    assert_eq!(class(all(&world, &[], &both)), Some(ErrorClass::InvalidBundle));
    let many = vec![&a; 65];
    assert_eq!(class(all(&world, &many, &both)), Some(ErrorClass::InvalidBundle));
}

#[test]
fn keys_count_once_and_stand_beside_names() {
    let mut world = Sigstore::new();
    let file = Thing::File(FILE);
    let release = Person::new("release key", P256);
    let by_key = world.sign_as(&release, file, &Shape::managed_key());
    let again = world.sign_as(&release, file, &Shape::managed_key());
    let a = world.sign(&ann(), file);
    let key = release.key.public_key().clone();
    let other = Person::new("another key", KeyKind::EcdsaP384).key.public_key().clone();
    let rules = vec![SignerRule::key(other.clone()), SignerRule::key(key.clone()), named("ann@example.org")];
    let two = Policy::signers(2, rules).unwrap();
    assert_eq!(all(&world, &[&by_key, &a], &two).unwrap().len(), 2);
    assert_eq!(class(all(&world, &[&by_key, &again], &two)), Some(ErrorClass::Policy));
    // Of several keys, the one that signed is found, with a hint that says which or none.
    let any = Policy::signer(SignerRule::any_of(vec![SignerRule::key(other), SignerRule::key(key)])).unwrap();
    let unhinted = by_key.changed(|bundle| {
        bundle.material.key = sealog_bundle::KeyMaterial::PublicKey { hint: "release".into() };
    });
    for signed in [&by_key, &unhinted] {
        let verified = &all(&world, &[signed], &any).unwrap()[0];
        assert_eq!(verified.identity(), None);
    }
    assert_eq!(class(all(&world, &[&a], &any)), Some(ErrorClass::Key));
    assert_eq!(
        class(all(&world, &[&by_key], &Policy::identity("ann@example.org", ISSUER))),
        Some(ErrorClass::Key)
    );
}

#[test]
fn rules_in_rules() {
    let mut world = Sigstore::new();
    let signed = world.sign(&ann(), Thing::File(FILE));
    let issuer = FulcioExtension::by_name("issuer").unwrap();
    let asked = |rule: SignerRule| class(all(&world, &[&signed], &Policy::signer(rule).unwrap()));
    let pattern = |text: &str| Match::pattern(text).unwrap();
    assert_eq!(asked(SignerRule::any_of(vec![named("bob@example.org"), named("ann@example.org")])), None);
    let neither = SignerRule::any_of(vec![named("bob@example.org"), named("eve@example.org")]);
    assert_eq!(asked(neither.clone()), Some(ErrorClass::Policy));
    let anybody = SignerRule::any_identity_unsafe;
    assert_eq!(asked(SignerRule::all_of(vec![named("ann@example.org"), anybody()])), None);
    assert_eq!(asked(SignerRule::all_of(vec![anybody(), neither.clone()])), Some(ErrorClass::Policy));
    assert_eq!(asked(named("ann@example.org").with_extension(issuer, pattern("https://.*"))), None);
    assert_eq!(
        asked(named("ann@example.org").with_extension(issuer, pattern("http"))),
        Some(ErrorClass::Policy)
    );
    assert_eq!(
        asked(SignerRule::any_of(vec![named("ann@example.org")]).with_extension(issuer, Match::exact("x"))),
        Some(ErrorClass::Policy)
    );
    // What was wanted and who it was is said of lists, too.
    let outcome = all(&world, &[&signed], &Policy::signer(neither).unwrap());
    let report = Report::of("file", &outcome).to_string();
    let wanted = format!(
        "error: `file` is signed, but not by who you named\n  expected   bob@example.org ({ISSUER}) or \
         eve@example.org ({ISSUER})  (the signers asked for)\n  signed by  ann@example.org\n"
    );
    assert!(report.starts_with(&wanted), "{report}");
}

#[test]
fn several_signatures_are_told_one_after_the_other() {
    let mut world = Sigstore::new();
    let [a, b] = [ann(), bob()].map(|who| world.sign(&who, Thing::File(FILE)));
    let both = Policy::signers(2, vec![named("ann@example.org"), named("bob@example.org")]).unwrap();
    let outcome = all(&world, &[&a, &b], &both);
    let report = Report::of("file", &outcome).to_string();
    assert!(report.starts_with("`file` is verified\n  signed by  ann@example.org\n"), "{report}");
    assert!(report.contains("\n  signed by  bob@example.org\n"), "{report}");
    let line = json_line("file", &outcome);
    assert!(
        line.contains(r#""identity":"ann@example.org""#)
            && line.contains(r#""signatures":[{"identity":"ann@"#),
        "{line}"
    );
    let outcome = all(&world, &[&a], &both);
    let report = Report::of("file", &outcome).to_string();
    assert!(
        report.starts_with(
            "error: `file` is signed, but only by 1 of the 2 different signers that must have signed\n"
        ),
        "{report}"
    );
    let known = format!(
        "  expected  2 different signers\n  found     ann@example.org ({ISSUER})\nhint: two signatures by"
    );
    assert!(report.contains(&known), "{report}");
}

#[test]
fn logs_are_counted_by_who_runs_them() {
    let mut world = Sigstore::new();
    let mut second = Log::rekor_v2("second", "second.example");
    let mut signed = world.sign(&ann(), Thing::File(FILE));
    let two = || Evidence::default().with_logs(number(2));
    let evidence = Some(ErrorClass::Evidence);
    assert_eq!(with(&world, &signed, two()), evidence);
    // The same log twice is one log, in whatever state of its tree.
    let again = world.log.take(&signed, EntryForm::HashedRekordV002);
    let twice = signed.changed(|bundle| bundle.material.log_entries.push(again));
    assert_eq!((world.class(&twice), with(&world, &twice, two())), (None, evidence));
    // A log that is not trusted does not count, and does no harm.
    let elsewhere = second.take(&signed, EntryForm::HashedRekordV002);
    signed.bundle.material.log_entries.push(elsewhere);
    assert_eq!((world.class(&signed), with(&world, &signed, two())), (None, evidence));
    world.root.tlogs.push(second.listed());
    assert_eq!(with(&world, &signed, two()), None);
    assert_eq!(world.verify(&signed).unwrap().logs().len(), 2);
    // Two by one operator are one.
    world.root.tlogs.iter_mut().for_each(|log| log.operator = "example.org".into());
    assert_eq!(with(&world, &signed, two()), evidence);
    world.root.tlogs[0].operator = "example.com".into();
    assert_eq!(with(&world, &signed, two()), None);
}

#[test]
fn timestamps_are_counted_by_who_runs_the_authorities() {
    let mut world = Sigstore::new();
    let mut signed = world.sign(&ann(), Thing::File(FILE));
    let wanted = |n| Evidence::default().with_timestamps(n);
    let evidence = Some(ErrorClass::Evidence);
    assert_eq!((with(&world, &signed, wanted(1)), with(&world, &signed, wanted(2))), (None, evidence));
    // Twice by one authority.
    let again = world.tsa.stamp(signed.signature(), NOW + 1);
    let twice = signed.changed(|bundle| bundle.material.timestamps.push(again));
    assert_eq!((world.class(&twice), with(&world, &twice, wanted(2))), (None, evidence));
    let mut other = Sigstore::other("other").tsa;
    other.uri = "https://other-tsa.example".into();
    signed.bundle.material.timestamps.push(other.stamp(signed.signature(), NOW));
    assert_eq!(world.class(&signed), Some(ErrorClass::Timestamp));
    world.root.timestamp_authorities.push(other.listed());
    assert_eq!(with(&world, &signed, wanted(2)), None);
    // A log's promise is a time, but no authority's.
    let promised = world.sign_as(&ann(), Thing::File(FILE), &Shape::rekor_v1(EntryForm::HashedRekordV001));
    assert_eq!((world.class(&promised), with(&world, &promised, wanted(1))), (None, evidence));
    // And keys, which need no time, need it when the policy wants it.
    let by_key = world.sign_as(&ann(), Thing::File(FILE), &Shape::managed_key());
    assert_eq!((world.class(&by_key), with(&world, &by_key, wanted(1))), (None, evidence));
}

#[test]
fn certificate_logs_are_counted() {
    let mut world = Sigstore::new();
    let who = ann();
    let second = sealog_testkit::CtLog::new("second");
    let draft = world.draft(&who, NOW - 60);
    let scts =
        |world: &Sigstore| vec![world.sct(&draft, NOW - 60), second.sct(&draft, world.ca.signer(), NOW - 60)];
    let certificate = world.finish(&draft, scts(&world));
    let signed = world.sign_with(&who, &certificate, Thing::File(FILE));
    let two = || Evidence::default().with_scts(number(2));
    assert_eq!((world.class(&signed), with(&world, &signed, two())), (None, Some(ErrorClass::Evidence)));
    world.root.ctlogs.push(second.listed());
    assert_eq!(with(&world, &signed, two()), None);
    let own = world.sct(&draft, NOW - 60);
    let certificate = world.finish(&draft, vec![own.clone(), own]);
    let twice = world.sign_with(&who, &certificate, Thing::File(FILE));
    assert_eq!((world.class(&twice), with(&world, &twice, two())), (None, Some(ErrorClass::Evidence)));
}

#[test]
fn an_instance_without_logs_needs_a_policy_that_says_so() {
    let mut world = Sigstore::new();
    let signed = world.sign_as(&ann(), Thing::StatementAbout(FILE), &Shape::without_logs());
    world.root.tlogs.clear();
    world.root.ctlogs.clear();
    let neither = || Evidence::default().without_log_unsafe().without_sct_unsafe();
    assert_eq!(world.class(&signed), Some(ErrorClass::InvalidBundle));
    assert_eq!(
        with(&world, &signed, Evidence::default().without_sct_unsafe()),
        Some(ErrorClass::InvalidBundle)
    );
    assert_eq!(with(&world, &signed, Evidence::default().without_log_unsafe()), Some(ErrorClass::Sct));
    assert_eq!(with(&world, &signed, neither()), None);
    let policy = signed.policy().with_evidence(neither());
    let outcome = sealog_verify::verify(&signed.bundle, &world.root, &policy, &Artifact::from_bytes(FILE));
    let verified = outcome.as_ref().unwrap();
    assert_eq!((verified.log(), verified.log_index(), verified.logs().len()), (None, None, 0));
    assert!(Report::of("file", &outcome).to_string().contains("  log        none  ("), "{outcome:?}");
    assert!(json_line("file", &outcome).contains(r#""log":null,"log_index":null"#));
    // A time is wanted all the same, and everything else that is there must hold.
    let untimed = signed.changed(|bundle| bundle.material.timestamps.clear());
    assert_eq!(with(&world, &untimed, neither()), Some(ErrorClass::NoVerifiedTime));
    let other = world.sign_as(&bob(), Thing::StatementAbout(FILE), &Shape::without_logs());
    let mixed = signed.changed(|bundle| bundle.content = other.bundle.content.clone());
    assert_eq!(with(&world, &mixed, neither()), Some(ErrorClass::Timestamp));
    // Where logs are known, what they are said to hold must be there, wanted or not.
    let mut world = Sigstore::new();
    let signed = world.sign(&ann(), Thing::File(FILE));
    let damaged = signed.changed(|bundle| {
        bundle.material.log_entries[0].inclusion_proof.as_mut().unwrap().hashes[0][0] ^= 1;
    });
    assert_eq!(
        (with(&world, &signed, neither()), with(&world, &damaged, neither())),
        (None, Some(ErrorClass::InclusionProof))
    );
}

#[test]
fn witnesses_are_counted_and_must_be_those_named() {
    let mut world = Sigstore::new();
    for name in ["w1.example", "w2.example"] {
        world.log.witnessed_by(name);
    }
    let signed = world.sign(&ann(), Thing::File(FILE));
    let witness = |name: &str, of: &str| {
        let key = key(of, KeyKind::Ed25519).public_key().clone();
        KeyVerifier::new(name, KeyType::Cosignature, key).unwrap()
    };
    let named = |name: &str| witness(name, name);
    let wanted = |threshold, keys: Vec<KeyVerifier>| {
        Evidence::default().with_witnesses(Witnesses::new(threshold, keys).unwrap())
    };
    let both = || vec![named("w1.example"), named("w2.example")];
    assert_eq!(with(&world, &signed, wanted(2, both())), None);
    let three = || [both(), vec![named("w3.example")]].concat();
    assert_eq!(with(&world, &signed, wanted(2, three())), None);
    assert_eq!(with(&world, &signed, wanted(3, three())), Some(ErrorClass::Evidence));
    // Another key of the same name is another witness.
    assert_eq!(
        with(&world, &signed, wanted(1, vec![witness("w1.example", "stranger")])),
        Some(ErrorClass::Evidence)
    );
    let policy = signed.policy().with_evidence(wanted(1, both()));
    let outcome = sealog_verify::verify(&signed.bundle, &world.root, &policy, &Artifact::from_bytes(FILE));
    assert_eq!(outcome.as_ref().unwrap().logs()[0].witnesses, ["w1.example", "w2.example"]);
    // A cosignature of another checkpoint is none, and one that does not verify is refused.
    let damaged = signed.changed(|bundle| {
        let checkpoint = &mut bundle.material.log_entries[0].inclusion_proof.as_mut().unwrap().checkpoint;
        let mut note = sealog_tlog::SignedNote::parse(&*checkpoint).unwrap();
        let line = note.signatures.iter_mut().find(|line| line.name == "w2.example").unwrap();
        line.bytes[20] ^= 1;
        *checkpoint = note.encode();
    });
    assert_eq!(
        (world.class(&damaged), with(&world, &damaged, wanted(1, both()))),
        (None, Some(ErrorClass::Checkpoint))
    );
    // The log's own key witnesses nothing; a witness does not count twice.
    let log_key = KeyVerifier::for_log("log.example", world.log.key.public_key().clone()).unwrap();
    assert!(Witnesses::new(1, vec![log_key]).is_err());
    assert!(Witnesses::new(1, vec![named("w1.example"), named("w1.example")]).is_err());
    assert!(Witnesses::new(1, vec![named("w1.example"), witness("other.example", "w1.example")]).is_err());
    assert!(Witnesses::new(2, vec![named("w1.example")]).is_err());
}

#[test]
fn an_old_bundle_with_a_promise_only_is_taken_by_a_policy_that_says_so() {
    let mut world = Sigstore::new();
    let shape = Shape {
        version: Version::V01,
        key: sealog_testkit::KeyForm::Chain,
        ..Shape::rekor_v1(EntryForm::HashedRekordV001)
    };
    let proven = world.sign_as(&ann(), Thing::File(FILE), &shape);
    let promised = proven.changed(|bundle| bundle.material.log_entries[0].inclusion_proof = None);
    let accepting = || Evidence::default().accepting_promises();
    assert_eq!((world.class(&proven), with(&world, &proven, accepting())), (None, None));
    assert_eq!(
        (world.class(&promised), with(&world, &promised, accepting())),
        (Some(ErrorClass::InvalidBundle), None)
    );
    let policy = promised.policy().with_evidence(accepting());
    let outcome = sealog_verify::verify(&promised.bundle, &world.root, &policy, &Artifact::from_bytes(FILE));
    let log = &outcome.as_ref().unwrap().logs()[0];
    assert_eq!((log.proven, log.index), (false, promised.bundle.material.log_entries[0].log_index));
    assert!(Report::of("file", &outcome).to_string().contains("promised but not proven"));
    // Only of that version, only with the promise, only if it holds, only of a log that is trusted.
    let newer = promised.changed(|bundle| bundle.version = Version::V02);
    let bare = promised.changed(|bundle| bundle.material.log_entries[0].inclusion_promise = None);
    let forged =
        promised.changed(|bundle| bundle.material.log_entries[0].inclusion_promise.as_mut().unwrap()[9] ^= 1);
    let other = promised.changed(|bundle| bundle.material.log_entries[0].log_id[0] ^= 1);
    assert_eq!(with(&world, &newer, accepting()), Some(ErrorClass::InvalidBundle));
    assert_eq!(with(&world, &bare, accepting()), Some(ErrorClass::InvalidBundle));
    assert_eq!(with(&world, &forged, accepting()), Some(ErrorClass::Promise));
    assert_eq!(with(&world, &other, accepting()), Some(ErrorClass::NoVerifiedTime));
    let stamp = world.tsa.stamp(other.signature(), NOW);
    let other = other.changed(|bundle| bundle.material.timestamps.push(stamp));
    assert_eq!(with(&world, &other, accepting()), Some(ErrorClass::Checkpoint));
    // The promise is about this entry: another's does not do.
    let second = world.sign_as(&ann(), Thing::File(b"another"), &shape);
    let swapped = promised.changed(|bundle| {
        bundle.material.log_entries[0].inclusion_promise =
            second.bundle.material.log_entries[0].inclusion_promise.clone();
    });
    assert_eq!(with(&world, &swapped, accepting()), Some(ErrorClass::Promise));
}

/// The TOML in a document's code blocks.
fn toml_blocks(page: &str) -> impl Iterator<Item = &str> {
    page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next())
}

#[test]
fn the_policies_of_the_reference_page_can_be_read() {
    let page = include_str!("../../../docs/reference/policy.md");
    let thresholds: Vec<usize> =
        toml_blocks(page).map(|text| Policy::from_toml(text).unwrap().threshold()).collect();
    assert_eq!(thresholds, [2, 3]);
}

#[test]
fn what_names_the_key_twice_names_it_alike() {
    let mut world = Sigstore::new();
    let release = Person::new("release key", P256);
    let signed = world.sign_as(&release, Thing::StatementAbout(FILE), &Shape::managed_key());
    let hinted = |hint: &str, keyid: &str| {
        world.class(&signed.changed(|bundle| {
            bundle.material.key = sealog_bundle::KeyMaterial::PublicKey { hint: hint.into() };
            let Content::Envelope(envelope) = &mut bundle.content else {
                unreachable!("a statement was signed")
            };
            envelope.signatures[0].keyid = keyid.into();
        }))
    };
    for (hint, keyid) in [("", ""), ("release", ""), ("", "release"), ("release", "release")] {
        assert_eq!(hinted(hint, keyid), None, "{hint} {keyid}");
    }
    assert_eq!(hinted("release", "other"), Some(ErrorClass::InvalidBundle));
}

#[test]
fn a_log_signs_as_its_trusted_root_says() {
    let mut world = Sigstore::new();
    let signed = world.sign(&ann(), Thing::File(FILE));
    for (details, class) in [
        (KeyDetails::Ed25519, None),
        (KeyDetails::EcdsaP256Sha256, Some(ErrorClass::TrustRoot)),
        (KeyDetails::RsaPss2048Sha256, Some(ErrorClass::TrustRoot)),
    ] {
        world.root.tlogs[0].key_details = details;
        assert_eq!(world.class(&signed), class, "{details}");
    }
}

#[test]
fn what_costs_time_with_every_bundle_is_bounded() {
    let mut world = Sigstore::new();
    let signed = world.sign(&ann(), Thing::File(FILE));
    let long = |length: usize| {
        world.class(&signed.changed(|bundle| {
            sealog_testkit::set_signature(&mut bundle.content, &vec![0; length]);
        }))
    };
    assert_eq!(
        (long(16 << 10), long((16 << 10) + 1)),
        (Some(ErrorClass::Timestamp), Some(ErrorClass::InvalidBundle))
    );
    // All rules of a policy together, not each by itself.
    assert!(Policy::signers(1, vec![named("ann@example.org"); 256]).is_ok());
    assert!(Policy::signers(1, vec![named("ann@example.org"); 257]).is_err());
}
