//! Genuine pieces that do not belong together: by another issuer, of another time, of another log.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use sealog_bundle::{
    Bundle, Content, HashedRekord, KeyDetails, KeyMaterial, KindVersion, TransparencyLog, UnixTime, ValidFor,
    Verifier, Version,
};
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, Signer as _};
use sealog_pki::{Certificate, FulcioExtension};
use sealog_testkit::{
    DAY, EntryForm, Holder, ISSUER, Log, NOW, Person, Signed, Sigstore, Template, Thing, Token, key, oids,
    signature_of, window,
};
use sealog_tlog::{
    SignedNote,
    note::{KeySigner, KeyType},
};
use sealog_verify::{
    Artifact, CheckpointStepError, ErrorClass, Match, Policy, Report, SignerRule, VerifyError, verify,
};

const FILE: &[u8] = b"the file";

fn alice() -> Person {
    Person::new("alice@example.com", KeyKind::EcdsaP256)
}

fn seconds(at: i64) -> UnixTime {
    UnixTime::from_seconds(at)
}

fn until(at: i64) -> ValidFor {
    window(NOW - 50 * DAY, at)
}

/// A certificate right below another.
fn below(issuer: &Holder, template: Template, label: &str) -> Holder {
    let key = key(label, KeyKind::EcdsaP256);
    let certificate = template.issued(key.public_key(), issuer);
    Holder { key, certificate }
}

/// What is said of a bundle with this certificate.
fn with_certificate(world: &mut Sigstore, who: &Person, certificate: &Certificate) -> Option<ErrorClass> {
    let signed = world.sign_with(who, certificate, Thing::File(FILE));
    world.class(&signed)
}

#[test]
fn a_certificate_needs_its_own_promise_by_a_log_then_trusted() {
    let mut world = Sigstore::new();
    let who = alice();
    let good = world.draft(&who, NOW - 60);
    let other = world.draft(&who, NOW - 60);
    let (own, of_other) = (world.sct(&good, NOW), world.sct(&other, NOW));
    let stranger = Sigstore::other("stranger");
    let unknown = stranger.sct(&good, NOW);
    let mut moved = own.clone();
    moved.timestamp_ms += 1000;
    let mut relabelled = unknown.clone();
    relabelled.log_id = own.log_id;
    let early = world.sct(&good, NOW - 51 * DAY);
    let sct = Some(ErrorClass::Sct);
    for (scts, class) in [
        (vec![own.clone()], None),
        (vec![of_other.clone()], sct),
        (vec![unknown.clone()], sct),
        (vec![moved], sct),
        (vec![relabelled], sct),
        (vec![early.clone()], sct),
        // One bad one by a log we know spoils the good one; one by a log we do not know is passed over.
        (vec![own.clone(), of_other.clone()], sct),
        (vec![of_other, own.clone()], sct),
        (vec![own.clone(), early], sct),
        (vec![unknown, own.clone()], None),
    ] {
        let certificate = world.finish(&good, scts);
        assert_eq!(with_certificate(&mut world, &who, &certificate), class);
    }
    let unpromised = world.finish(&good, Vec::new());
    assert_eq!(unpromised.sct_list(), Ok(None));
    assert_eq!(with_certificate(&mut world, &who, &unpromised), sct);
    // A precertificate is not what its promise makes of it.
    let precertificate = good.precertificate(world.ca.signer());
    assert_eq!(with_certificate(&mut world, &who, &precertificate), Some(ErrorClass::Chain));
    // A signature log is no certificate log, and the other way round.
    let certificate = world.finish(&good, vec![own]);
    let signed = world.sign_with(&who, &certificate, Thing::File(FILE));
    std::mem::swap(&mut world.root.tlogs, &mut world.root.ctlogs);
    assert_eq!(world.class(&signed), sct);
}

#[test]
fn of_two_authorities_of_one_name_the_promise_names_the_one_that_issued() {
    let mut world = Sigstore::new();
    let who = alice();
    // Both are trusted, and have the same name.
    let mut twin = world.ca.clone();
    twin.change_key(0, "twin", KeyKind::EcdsaP256);
    world.root.certificate_authorities.push(twin.listed());
    let precert = world.draft(&who, NOW - 60);
    let sct = world.sct(&precert, NOW);
    let first = std::mem::replace(&mut world.ca, twin);
    // The same certificate by the other one: same names, same key, same promise.
    let precert_by_twin = world.draft(&who, NOW - 60);
    let by_twin = world.finish(&precert_by_twin, vec![sct]);
    assert_eq!(with_certificate(&mut world, &who, &by_twin), Some(ErrorClass::Sct));
    let own = world.sct(&precert_by_twin, NOW);
    let by_twin = world.finish(&precert_by_twin, vec![own]);
    assert_eq!(with_certificate(&mut world, &who, &by_twin), None);
    world.ca = first;
    let certificate = world.certificate(&who, NOW - 60);
    assert_eq!(with_certificate(&mut world, &who, &certificate), None);
}

#[test]
fn authorities_count_only_while_they_are_trusted() {
    let mut world = Sigstore::new();
    let signed = world.sign(&alice(), Thing::File(FILE));
    let class = |world: &mut Sigstore, damage: fn(&mut sealog_bundle::TrustedRoot, ValidFor)| {
        let before = world.root.clone();
        let mut outcomes = Vec::new();
        for window in
            [until(NOW), until(NOW - 1), ValidFor::from(seconds(NOW)), ValidFor::from(seconds(NOW + 1))]
        {
            damage(&mut world.root, window);
            outcomes.push(world.class(&signed));
            world.root = before.clone();
        }
        outcomes
    };
    let only_in = |class| vec![None, Some(class), None, Some(class)];
    let ca = class(&mut world, |root, window| root.certificate_authorities[0].valid_for = window);
    assert_eq!(ca, only_in(ErrorClass::Chain));
    let tsa = class(&mut world, |root, window| root.timestamp_authorities[0].valid_for = window);
    assert_eq!(tsa, only_in(ErrorClass::Timestamp));
    let log = class(&mut world, |root, window| root.tlogs[0].valid_for = window);
    assert_eq!(log, only_in(ErrorClass::Checkpoint));
    // The certificate log's clock is its own: it answered a minute earlier.
    let ct = class(&mut world, |root, window| {
        let earlier = |time: UnixTime| seconds(time.seconds() - 60);
        root.ctlogs[0].valid_for = ValidFor { start: earlier(window.start), end: window.end.map(earlier) };
    });
    assert_eq!(ct, only_in(ErrorClass::Sct));
    // An authority of one kind is none of another.
    let mut mixed = world.root.clone();
    std::mem::swap(&mut mixed.certificate_authorities, &mut mixed.timestamp_authorities);
    world.root = mixed;
    assert!(world.class(&signed).is_some());
}

#[test]
fn every_timestamp_must_hold_and_be_in_the_certificates_life() {
    let mut world = Sigstore::new();
    let signed = world.sign(&alice(), Thing::File(FILE));
    let signature = signature_of(&signed.bundle.content).to_vec();
    let good = signed.bundle.material.timestamps[0].clone();
    let stranger = Sigstore::other("stranger");
    let sibling = below(world.tsa.at(1), Template::tsa("test tsa"), "sibling");
    let at = |at| world.tsa.stamp(&signature, at);
    let (outside, timestamp) = (Some(ErrorClass::TimeOutsideCertificate), Some(ErrorClass::Timestamp));
    for (timestamps, class) in [
        (vec![], Some(ErrorClass::NoVerifiedTime)),
        (vec![at(NOW - 60)], None),
        (vec![at(NOW + 540)], None),
        (vec![at(NOW - 61)], outside),
        (vec![at(NOW + 541)], outside),
        (vec![good.clone(), at(NOW + 1)], None),
        (vec![good.clone(), at(NOW + DAY)], outside),
        (vec![at(NOW + DAY), good.clone()], outside),
        (vec![good.clone(), good.clone()], Some(ErrorClass::InvalidBundle)),
        (vec![world.tsa.stamp(b"another signature", NOW)], timestamp),
        (vec![world.tsa.stamp(FILE, NOW)], timestamp),
        (vec![good.clone(), world.tsa.stamp(b"another signature", NOW)], timestamp),
        (vec![good.clone(), stranger.tsa.stamp(&signature, NOW)], timestamp),
        // By another authority under the same root, which nobody listed.
        (vec![Token::new(NOW).over(&signature, &sibling)], timestamp),
        (vec![good.clone(), b"not a timestamp".to_vec()], timestamp),
    ] {
        let mut bundle = signed.bundle.clone();
        bundle.material.timestamps = timestamps;
        let signed = signed.with(bundle);
        assert_eq!(world.class(&signed), class);
    }
}

#[test]
fn every_entry_by_a_known_log_must_hold_and_one_must_be_there() {
    let mut world = Sigstore::new();
    let signed = world.sign(&alice(), Thing::File(FILE));
    let good = signed.bundle.material.log_entries[0].clone();
    let again = world.log.take(&signed, EntryForm::HashedRekordV002);
    let mut unproven = again.clone();
    unproven.inclusion_proof.as_mut().unwrap().hashes[0][0] ^= 1;
    let mut unknown = unproven.clone();
    unknown.log_id = vec![9; 32];
    let mut other = again.clone();
    other.canonicalized_body =
        world.sign(&alice(), Thing::File(b"x")).bundle.material.log_entries[0].canonicalized_body.clone();
    let mut nameless = good.clone();
    nameless.log_id.clear();
    let mismatch = Some(ErrorClass::EntryMismatch);
    for (entries, class) in [
        (vec![good.clone()], None),
        (vec![good.clone(), again], None),
        (vec![good.clone(), good.clone()], Some(ErrorClass::InvalidBundle)),
        (vec![], Some(ErrorClass::InvalidBundle)),
        (vec![unproven.clone()], Some(ErrorClass::InclusionProof)),
        (vec![good.clone(), unproven], Some(ErrorClass::InclusionProof)),
        (vec![unknown.clone()], Some(ErrorClass::Checkpoint)),
        (vec![nameless], Some(ErrorClass::Checkpoint)),
        // By a log we do not know: nothing is proven by it, and it is passed over.
        (vec![unknown, good.clone()], None),
        (vec![good, other.clone()], mismatch),
        (vec![other], mismatch),
    ] {
        let mut bundle = signed.bundle.clone();
        bundle.material.log_entries = entries;
        let signed = signed.with(bundle);
        assert_eq!(world.class(&signed), class);
    }
}

#[test]
fn a_checkpoint_is_the_logs_own_and_by_its_key() {
    let mut world = Sigstore::new();
    let signed = world.sign(&alice(), Thing::File(FILE));
    let class = |world: &Sigstore, checkpoint: String| {
        let mut bundle = signed.bundle.clone();
        bundle.material.log_entries[0].inclusion_proof.as_mut().unwrap().checkpoint = checkpoint;
        world.class(&signed.with(bundle))
    };
    let refused = Some(ErrorClass::Checkpoint);
    let good = world.log.checkpoint();
    assert_eq!(class(&world, good.clone()), None);
    // The same key for another log, for a shard, or for a note that is none of its checkpoints.
    for origin in ["log.example.org", "log.example - 1", "log.example:443", "Log.example", "og.example"] {
        let text = SignedNote::parse(&good).unwrap().text.replace("log.example", origin);
        for name in ["log.example", origin].into_iter().filter(|name| !name.contains(' ')) {
            let mut note = SignedNote::new(text.clone());
            note.sign(&KeySigner::for_log(name, world.log.key.clone()).unwrap(), 0).unwrap();
            assert_eq!(class(&world, note.encode()), refused, "{origin} by {name}");
        }
    }
    // A cosignature is not a signature, even by the log's key.
    let text = SignedNote::parse(&good).unwrap().text;
    let mut cosigned = SignedNote::new(text.clone());
    let witness = KeySigner::new("log.example", KeyType::Cosignature, world.log.key.clone()).unwrap();
    cosigned.sign(&witness, 0).unwrap();
    assert_eq!(class(&world, cosigned.encode()), refused);
    // Others may sign too, before or after.
    let mut with_others = SignedNote::new(text);
    let other = key("other log", KeyKind::Ed25519);
    with_others.sign(&KeySigner::for_log("log.example", other.clone()).unwrap(), 0).unwrap();
    with_others.sign(&KeySigner::for_log("log.example", world.log.key.clone()).unwrap(), 0).unwrap();
    with_others.sign(&witness, 0).unwrap();
    assert_eq!(class(&world, with_others.encode()), None);
    // Under the log's key id, there must not be one bad line.
    let mut forged = SignedNote::parse(&good).unwrap();
    let mut line = forged.signatures[0].clone();
    line.bytes[0] ^= 1;
    forged.signatures.push(line);
    assert_eq!(class(&world, forged.encode()), refused);
    // Another log's checkpoint, by a log that is trusted as well: the entry says which one it is of.
    world.root.tlogs.push(Log::new(world.log.kind, "other.example", other.clone()).listed());
    let text = SignedNote::parse(&good).unwrap().text.replace("log.example", "other.example");
    let mut by_other = SignedNote::new(text);
    by_other.sign(&KeySigner::for_log("other.example", other).unwrap(), 0).unwrap();
    assert_eq!(class(&world, by_other.encode()), refused);
}

#[test]
fn of_a_log_listed_twice_the_listing_that_fits_is_heard() {
    let mut world = Sigstore::new();
    let mut signed = world.sign(&alice(), Thing::File(FILE));
    let listed = world.root.tlogs[0].clone();
    let mut broken = listed.clone();
    broken.public_key = b"not a key".to_vec();
    let mut over = listed.clone();
    over.valid_for = until(NOW - DAY);
    let orders =
        |other: &TransparencyLog| [vec![listed.clone(), other.clone()], vec![other.clone(), listed.clone()]];
    for logs in [orders(&broken), orders(&over)].concat() {
        world.root.tlogs = logs;
        assert_eq!(world.class(&signed), None);
    }
    let proof = signed.bundle.material.log_entries[0].inclusion_proof.as_mut().unwrap();
    proof.checkpoint = world.log.checkpoint().replace("log.example\n", "log.example\n1");
    for logs in [orders(&broken), orders(&over)].concat() {
        world.root.tlogs = logs;
        let error = world.verify(&signed).unwrap_err();
        let not_verified = matches!(error, VerifyError::Checkpoint(CheckpointStepError::NotVerified { .. }));
        assert!(not_verified, "{error}");
    }
    // With the certificate log likewise.
    let signed = world.sign(&alice(), Thing::File(FILE));
    let ct = world.root.ctlogs[0].clone();
    let mut over = ct.clone();
    over.valid_for = until(NOW - DAY);
    for logs in [vec![ct.clone(), over.clone()], vec![over.clone(), ct]] {
        world.root.ctlogs = logs;
        assert_eq!(world.class(&signed), None);
    }
    world.root.ctlogs = vec![over];
    assert_eq!(world.class(&signed), Some(ErrorClass::Sct));
}

#[test]
fn an_entry_names_the_keys_one_algorithm() {
    let mut world = Sigstore::new();
    let who = Person::new("alice@example.com", KeyKind::EcdsaP384);
    let certificate = world.certificate(&who, NOW - 60);
    let signed = world.sign_with(&who, &certificate, Thing::File(FILE));
    assert_eq!(world.class(&signed), None);
    let signature = signature_of(&signed.bundle.content).to_vec();
    let verifiers = [
        Verifier::Certificate(certificate.der().to_vec()),
        Verifier::PublicKey(who.key.public_key().spki_der().to_vec()),
    ];
    let details = [
        (KeyDetails::EcdsaP384Sha384, HashAlgorithm::Sha384),
        (KeyDetails::EcdsaP384Sha256, HashAlgorithm::Sha256),
        (KeyDetails::EcdsaP256Sha256, HashAlgorithm::Sha256),
        (KeyDetails::EcdsaP384Sha384, HashAlgorithm::Sha256),
    ];
    for verifier in verifiers {
        for (key_details, algorithm) in details {
            let digest = algorithm.digest(FILE);
            let entry = HashedRekord {
                digest,
                signature: signature.clone(),
                verifier: verifier.clone(),
                key_details,
            };
            let body = entry.canonical();
            let index = world.log.append(&body);
            let mut bundle = signed.bundle.clone();
            bundle.material.log_entries =
                vec![world.log.entry(KindVersion::hashedrekord_v002(), body, index)];
            let right = matches!(verifier, Verifier::Certificate(_))
                && (key_details, algorithm) == (KeyDetails::EcdsaP384Sha384, HashAlgorithm::Sha384);
            let expected = if right { None } else { Some(ErrorClass::EntryMismatch) };
            let outcome = world.class(&signed.with(bundle));
            assert_eq!(outcome, expected, "{verifier:?} {key_details} {algorithm}");
        }
    }
    // The digest the bundle names may be by another algorithm, if it is the file's.
    for (digest, class) in [
        (HashAlgorithm::Sha256.digest(FILE), None),
        (HashAlgorithm::Sha512.digest(FILE), None),
        (HashAlgorithm::Sha256.digest(b"another"), Some(ErrorClass::Digest)),
    ] {
        let mut bundle = signed.bundle.clone();
        let Content::Message(message) = &mut bundle.content else { unreachable!() };
        message.digest = Some(digest);
        let outcome = world.class(&signed.with(bundle));
        assert_eq!(outcome, class);
    }
}

#[test]
fn certificates_of_other_authorities_do_not_count() {
    let mut world = Sigstore::new();
    let stranger = Sigstore::other("stranger");
    let who = alice();
    let theirs = stranger.certificate(&who, NOW - 60);
    assert_eq!(with_certificate(&mut world, &who, &theirs), Some(ErrorClass::Chain));
    // Nor when their authorities come along, nor below an authority of ours that may not issue.
    let mut signed = world.sign_with(&who, &theirs, Thing::File(FILE));
    let chain = |certificates: &[&Certificate]| {
        KeyMaterial::Chain(certificates.iter().map(|certificate| certificate.der().to_vec()).collect())
    };
    signed.bundle.version = Version::V02;
    signed.bundle.material.key = chain(&[&theirs, &stranger.ca.at(0).certificate]);
    assert_eq!(world.class(&signed), Some(ErrorClass::Chain));
    signed.bundle.material.key =
        chain(&[&theirs, &stranger.ca.at(0).certificate, &stranger.ca.at(1).certificate]);
    assert_eq!(world.class(&signed), Some(ErrorClass::Chain));
    signed.bundle.material.key = chain(&[&stranger.ca.at(1).certificate]);
    assert_eq!(world.class(&signed), Some(ErrorClass::InvalidBundle));
    // A root beside what is ours, as early tools put it, is left out: ours or theirs.
    let certificate = world.certificate(&who, NOW - 60);
    let mut good = world.sign_with(&who, &certificate, Thing::File(FILE));
    good.bundle.version = Version::V02;
    let mut changed = |root: &Certificate| {
        good.bundle.material.key = chain(&[&certificate, &world.ca.at(0).certificate, root]);
        world.class(&good)
    };
    assert_eq!((changed(&world.ca.at(1).certificate), changed(&stranger.ca.at(1).certificate)), (None, None));
    // A signer's certificate issues nothing.
    let own = world.certificate(&who, NOW - 60);
    let mallory = Person::new("mallory@example.com", KeyKind::EcdsaP256);
    world.ca.insert_below(Template::intermediate("below a length of 0", oids::CODE_SIGNING));
    let forged = world.certificate(&mallory, NOW - 60);
    let mut signed = world.sign_with(&mallory, &forged, Thing::File(FILE));
    signed.bundle.version = Version::V02;
    signed.bundle.material.key = chain(&[&forged, &world.ca.signer().certificate, &own]);
    assert_eq!(world.class(&signed), Some(ErrorClass::Chain));
    // The bundle's extra certificates are no harm where they are not needed.
    world = Sigstore::new();
    let own = world.certificate(&who, NOW - 60);
    let mut signed = world.sign_with(&who, &own, Thing::File(FILE));
    signed.bundle.version = Version::V02;
    signed.bundle.material.key = chain(&[&own, &stranger.ca.at(0).certificate]);
    assert_eq!(world.class(&signed), None);
    signed.bundle.version = Version::V03;
    assert_eq!(world.class(&signed), Some(ErrorClass::InvalidBundle));
    // Another bundle's leaf in front.
    signed.bundle.version = Version::V02;
    let bob = Person::new("bob@example.com", KeyKind::EcdsaP256);
    let bobs = world.certificate(&bob, NOW - 60);
    signed.bundle.material.key = chain(&[&bobs, &own]);
    assert_eq!(world.class(&signed), Some(ErrorClass::Signature));
}

#[test]
fn an_envelope_is_its_type_and_payload_and_nothing_else() {
    let mut world = Sigstore::new();
    let who = alice();
    let signed = world.sign(&who, Thing::StatementAbout(FILE));
    assert_eq!(world.class(&signed), None);
    let Content::Envelope(envelope) = &signed.bundle.content else { unreachable!() };
    let mut other = envelope.clone();
    other.payload_type = "application/json".into();
    let mut longer = envelope.clone();
    longer.payload.push(b' ');
    let mut twice = envelope.clone();
    twice.signatures.push(twice.signatures[0].clone());
    let mut none = envelope.clone();
    none.signatures.clear();
    for (envelope, class) in [
        (other, ErrorClass::Signature),
        (longer, ErrorClass::Signature),
        (twice, ErrorClass::InvalidBundle),
        (none, ErrorClass::InvalidBundle),
    ] {
        let mut bundle = signed.bundle.clone();
        bundle.content = Content::Envelope(envelope);
        let outcome = world.class(&signed.with(bundle));
        assert_eq!(outcome, Some(class));
    }
    // Of the written list: Rekor v2 holds the same entry for an envelope and for a file that is the
    // envelope's encoding, so who signed the one has signed the other.
    let mut bundle = signed.bundle.clone();
    let signature = signature_of(&signed.bundle.content).to_vec();
    bundle.content = Content::Message(sealog_bundle::MessageSignature { digest: None, signature });
    let file = envelope.pae();
    assert_eq!(world.class(&Signed { file, ..signed.with(bundle) }), None);
}

#[test]
fn a_policy_is_asked_all_it_wants() {
    let mut world = Sigstore::new();
    let signed = world.sign(&alice(), Thing::File(FILE));
    let class = |policy: &Policy| {
        let outcome = verify(&signed.bundle, &world.root, policy, &Artifact::from_bytes(FILE));
        outcome.err().map(|error| error.class())
    };
    let repository = FulcioExtension::by_name("source-repository-uri").unwrap();
    let issuer = FulcioExtension::by_name("issuer").unwrap();
    let named = Policy::identity("alice@example.com", ISSUER);
    let refused = Some(ErrorClass::Policy);
    for policy in [named.clone(), Policy::any_identity_unsafe()] {
        assert_eq!(class(&policy), None);
        assert_eq!(class(&policy.clone().with_extension(issuer, ISSUER)), None);
        assert_eq!(class(&policy.clone().with_extension(issuer, "https://other.example")), refused);
        let policy = policy.with_extension(repository, "https://example.com/r");
        assert_eq!(class(&policy), refused);
        let outcome = verify(&signed.bundle, &world.root, &policy, &Artifact::from_bytes(FILE));
        let rows = Report::of("file", &outcome).rows;
        let compared = rows.iter().map(|row| (row.label, row.value.as_str(), row.note.as_str()));
        let wanted = [
            ("expected", "https://example.com/r", "source-repository-uri"),
            ("found", "none", "source-repository-uri"),
            ("signed by", "alice@example.com", ""),
        ];
        assert!(compared.take(3).eq(wanted), "{rows:?}");
    }
    const HERE: &str = r"https://accounts\.example\.(com|org)";
    for (identity, issuer, class_wanted) in [
        ("alice@example.com", HERE, None),
        ("alice@example.com|bob@example.com", r"https://accounts\.example\.(com|org)", None),
        ("alice", HERE, refused),
        ("alice|bob", HERE, refused),
        ("lice@example.com", HERE, refused),
        ("^alice@example.co", HERE, refused),
        ("(?m)^alice@example.com$", HERE, None),
        ("(?i)ALICE@EXAMPLE.COM", HERE, None),
        ("", HERE, refused),
        (".*@example.com", "accounts", refused),
        (".*@example.com", "https://accounts.example.com/.*", refused),
    ] {
        let [identity, issuer] = [identity, issuer].map(|text| Match::pattern(text).unwrap());
        let policy = Policy::signer(SignerRule::identity(identity.clone(), issuer)).unwrap();
        assert_eq!(class(&policy), class_wanted, "{identity}");
    }
    for (identity, issuer) in [
        ("Alice@example.com", ISSUER),
        ("alice@example.com ", ISSUER),
        ("alice@example.com\n", ISSUER),
        (".*", ISSUER),
        ("", ""),
        ("alice@example.com", "https://accounts.example.com/"),
    ] {
        assert_eq!(class(&Policy::identity(identity, issuer)), refused);
    }
}

#[test]
fn a_keys_policy_with_an_extension_is_met_by_nothing() {
    let mut world = Sigstore::new();
    let who = alice();
    let mut signed = world.sign(&who, Thing::File(FILE));
    let body = HashedRekord {
        digest: HashAlgorithm::Sha256.digest(FILE),
        signature: signature_of(&signed.bundle.content).to_vec(),
        verifier: Verifier::PublicKey(who.key.public_key().spki_der().to_vec()),
        key_details: KeyDetails::EcdsaP256Sha256,
    }
    .canonical();
    let index = world.log.append(&body);
    signed.bundle.material.log_entries = vec![world.log.entry(KindVersion::hashedrekord_v002(), body, index)];
    signed.bundle.material.key = KeyMaterial::PublicKey { hint: "release".into() };
    let policy = Policy::key(who.key.public_key().clone());
    let artifact = Artifact::from_bytes(FILE);
    assert!(verify(&signed.bundle, &world.root, &policy, &artifact).is_ok());
    let repository = FulcioExtension::by_name("source-repository-uri").unwrap();
    for value in ["https://example.com/r", ""] {
        let policy = policy.clone().with_extension(repository, value);
        let outcome = verify(&signed.bundle, &world.root, &policy, &artifact);
        assert!(matches!(outcome, Err(VerifyError::Policy { .. })), "{outcome:?}");
    }
    let other = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let outcome = verify(&signed.bundle, &world.root, &Policy::key(other.public_key().clone()), &artifact);
    assert_eq!(outcome.unwrap_err().class(), ErrorClass::Signature);
}

#[test]
fn a_document_with_a_field_twice_or_unknown_is_no_bundle() {
    let mut world = Sigstore::new();
    for thing in [Thing::File(FILE), Thing::StatementAbout(FILE)] {
        let document = world.sign(&alice(), thing).bundle.to_json();
        // Behind every brace that opens: a field that is not known, and each known one once more.
        let mut tried = 0;
        for (at, _) in document.match_indices('{') {
            let (before, after) = document.split_at(at + 1);
            if !after.starts_with('"') {
                continue;
            }
            let field = after.split(':').next().unwrap();
            let shown_twice = format!("{before}{field}:null,{after}");
            let unknown = format!("{before}\"extra\":1,{after}");
            for altered in [shown_twice, unknown] {
                assert!(Bundle::parse(altered.as_bytes()).is_err(), "{altered}");
                tried += 1;
            }
        }
        assert!(tried > 20, "{tried}");
    }
}
