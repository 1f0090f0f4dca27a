//! Bundles signed with a key the verifier knows, in a log made up for the test.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use sealog_bundle::{
    Bundle, Content, HashedRekord, InclusionProof, KeyDetails, KeyMaterial, KindVersion, MessageSignature,
    TransparencyLog, TransparencyLogEntry, TrustedRoot, UnixTime, ValidFor, VerificationMaterial, Verifier,
    Version, json::encode_base64,
};
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, Signer, sha256};
use sealog_tlog::{
    Checkpoint, SignedNote,
    merkle::leaf_hash,
    note::{KeySigner, key_id_full},
};
use sealog_verify::{Artifact, ErrorClass, Policy, SignedBy, Verdict, VerifyError, digests_needed, verify};
use std::sync::Arc;

const ARTIFACT: &[u8] = b"artifact";

struct World {
    key: PrivateKey,
    bundle: Bundle,
    root: TrustedRoot,
}

/// A bundle whose entry is alone in its log.
fn world(kind: KeyKind) -> World {
    let key = PrivateKey::generate(kind).unwrap();
    let log_key: Arc<dyn Signer> = Arc::new(PrivateKey::generate(KeyKind::Ed25519).unwrap());
    let log_id = key_id_full("log.example", log_key.public_key()).unwrap().to_vec();
    let key_details = KeyDetails::default_for(key.public_key()).unwrap();
    let digest = key_details.prehash().unwrap().digest(ARTIFACT);
    let signature = key.sign(ARTIFACT).unwrap();
    let verifier = Verifier::PublicKey(key.public_key().spki_der().to_vec());
    let entry = HashedRekord { digest, signature: signature.clone(), verifier, key_details };
    let root_hash = leaf_hash(&entry.canonical());
    let checkpoint =
        Checkpoint { origin: "log.example".into(), size: 1, root: root_hash, extensions: Vec::new() };
    let mut note = SignedNote::new(checkpoint.encode());
    note.sign(&KeySigner::for_log("log.example", log_key.clone()).unwrap(), 0).unwrap();
    let entry = TransparencyLogEntry {
        log_index: 0,
        log_id: log_id.clone(),
        kind_version: KindVersion::hashedrekord_v002(),
        integrated_time: 0,
        inclusion_promise: None,
        inclusion_proof: Some(InclusionProof {
            log_index: 0,
            root_hash: *root_hash.as_bytes(),
            tree_size: 1,
            hashes: Vec::new(),
            checkpoint: note.encode(),
        }),
        canonicalized_body: entry.canonical(),
    };
    let hint = encode_base64(&sha256(key.public_key().spki_der()));
    let bundle = Bundle {
        version: Version::V03,
        material: VerificationMaterial {
            key: KeyMaterial::PublicKey { hint },
            log_entries: vec![entry],
            timestamps: Vec::new(),
        },
        content: Content::Message(MessageSignature { digest: Some(digest), signature }),
    };
    let log = TransparencyLog {
        base_url: "https://log.example".into(),
        hash_algorithm: HashAlgorithm::Sha256,
        public_key: log_key.public_key().spki_der().to_vec(),
        key_details: KeyDetails::Ed25519,
        valid_for: ValidFor::from(UnixTime::from_seconds(0)),
        log_id,
        checkpoint_key_id: Vec::new(),
        operator: String::new(),
    };
    World { key, bundle, root: TrustedRoot { tlogs: vec![log], ..TrustedRoot::default() } }
}

impl World {
    fn policy(&self) -> Policy {
        Policy::key(self.key.public_key().clone())
    }

    fn class(&self) -> Option<ErrorClass> {
        let outcome = verify(&self.bundle, &self.root, &self.policy(), &Artifact::from_bytes(ARTIFACT));
        outcome.err().map(|e| e.class())
    }
}

#[test]
fn a_key_needs_no_time_and_no_certificate() {
    for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384] {
        let world = world(kind);
        let bundle = Bundle::parse(world.bundle.to_json().as_bytes()).unwrap();
        let needed = digests_needed(&bundle, &world.policy());
        let digests = Artifact::from_digests(needed.iter().map(|algorithm| algorithm.digest(ARTIFACT)));
        let verified = verify(&bundle, &world.root, &world.policy(), &digests).unwrap();
        assert!(matches!(verified.signed_by(), SignedBy::Key { .. }));
        assert_eq!(
            (verified.signed_at(), verified.log(), verified.log_index()),
            (None, Some("log.example"), Some(0))
        );
    }
}

#[test]
fn the_digest_that_is_needed_must_be_given() {
    let world = world(KeyKind::EcdsaP384);
    let only_sha256 = Artifact::from_digests([HashAlgorithm::Sha256.digest(ARTIFACT)]);
    let error = verify(&world.bundle, &world.root, &world.policy(), &only_sha256).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Digest);
    assert_eq!(digests_needed(&world.bundle, &world.policy()), [HashAlgorithm::Sha384]);
}

#[test]
fn keys_and_identities_do_not_stand_in_for_each_other() {
    let mut world = world(KeyKind::EcdsaP256);
    let artifact = Artifact::from_bytes(ARTIFACT);
    let with = |policy: Policy| verify(&world.bundle, &world.root, &policy, &artifact);
    for policy in [Policy::identity("a@example.com", "https://issuer"), Policy::any_identity_unsafe()] {
        let outcome = with(policy);
        assert_eq!(Verdict::of(&outcome), Verdict::NotVerified);
        assert_eq!(outcome.err().map(|e| e.class()), Some(ErrorClass::Key));
    }
    let other = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let error = with(Policy::key(other.public_key().clone())).unwrap_err();
    assert!(matches!(error, VerifyError::Key(_)) && error.compared().expected.len() == 64);
    // Without a hint that says so, it is the signature that shows the other key.
    world.bundle.material.key = KeyMaterial::PublicKey { hint: "release key".into() };
    assert_eq!(world.class(), None);
    world.key = other;
    assert_eq!(world.class(), Some(ErrorClass::Signature));
}

#[test]
fn only_a_log_of_the_trusted_root_counts() {
    let mut unknown = world(KeyKind::EcdsaP256);
    unknown.root.tlogs.clear();
    assert_eq!(unknown.class(), Some(ErrorClass::Checkpoint));
    let mut other_key = world(KeyKind::EcdsaP256);
    other_key.root.tlogs[0].public_key = world(KeyKind::EcdsaP256).root.tlogs[0].public_key.clone();
    assert_eq!(other_key.class(), Some(ErrorClass::Checkpoint));
    let mut other_name = world(KeyKind::EcdsaP256);
    other_name.root.tlogs[0].base_url = "https://log.example.org".into();
    assert_eq!(other_name.class(), Some(ErrorClass::Checkpoint));
    let mut other_hash = world(KeyKind::EcdsaP256);
    other_hash.root.tlogs[0].hash_algorithm = HashAlgorithm::Sha512;
    assert_eq!(other_hash.class(), Some(ErrorClass::TrustRoot));
    // The same log, listed once more with another key: one that fits is enough.
    let mut twice = world(KeyKind::EcdsaP256);
    let mut broken = twice.root.tlogs[0].clone();
    broken.public_key = b"not a key".to_vec();
    twice.root.tlogs.insert(0, broken);
    assert_eq!(twice.class(), None);
}

#[test]
fn entries_say_one_thing_only() {
    let damaged = |damage: fn(&mut TransparencyLogEntry)| {
        let mut world = world(KeyKind::EcdsaP256);
        damage(&mut world.bundle.material.log_entries[0]);
        world.class()
    };
    assert_eq!(damaged(|_| {}), None);
    assert_eq!(damaged(|e| e.log_index = 1), Some(ErrorClass::InclusionProof));
    assert_eq!(damaged(|e| e.integrated_time = 1), Some(ErrorClass::InvalidBundle));
    assert_eq!(damaged(|e| e.inclusion_promise = Some(vec![1])), Some(ErrorClass::InvalidBundle));
    assert_eq!(damaged(|e| e.kind_version.version = "0.0.3".into()), Some(ErrorClass::UnsupportedEntry));
    assert_eq!(damaged(|e| e.kind_version.version = "0.0.1".into()), Some(ErrorClass::EntryMismatch));
    assert_eq!(damaged(|e| e.canonicalized_body.push(b' ')), Some(ErrorClass::EntryMismatch));
    assert_eq!(damaged(|e| e.canonicalized_body.clear()), Some(ErrorClass::EntryMismatch));
    assert_eq!(damaged(|e| e.inclusion_proof = None), Some(ErrorClass::InvalidBundle));
}
