//! The log of signatures over gRPC through a front end that has neither the log nor its key.

use super::{
    fleet::{Fleet, LEASE},
    s3::S3,
    wire::{Called, Grpc, field, fields},
};
use sealog_bundle::{KeyDetails, TransparencyLogEntry, Verifier, request::HashedRekordRequest};
use sealog_crypto::{KeyKind, PrivateKey, Signer as _, sha256};
use sealog_tlog::{
    InclusionProof, SignedCheckpoint,
    merkle::{Hash, leaf_hash},
    note::KeyVerifier,
};
use std::time::{Duration, Instant};

const CREATE: &str = "/dev.sigstore.rekor.v2.Rekor/CreateEntry";
const CHECKPOINT: &str = "/dev.sigstore.rekor.v2.Rekor/GetCheckpoint";
const CHECK: &str = "/grpc.health.v1.Health/Check";
const LIMIT: Duration = Duration::from_secs(60);

/// A request nobody sent before, as a message and as JSON.
fn request(key: &PrivateKey, what: &str) -> (Vec<u8>, String) {
    let (digest, signature) = (sha256(what.as_bytes()).to_vec(), key.sign(what.as_bytes()).unwrap());
    let spki = key.public_key().spki_der().to_vec();
    let details = vec![0x18, KeyDetails::EcdsaP256Sha256.number()];
    let verifier = [field(1, field(1, &spki)), details].concat();
    let signed = [field(1, &signature), field(2, verifier)].concat();
    let message = field(1, [field(1, &digest), field(2, signed)].concat());
    let key_details = KeyDetails::EcdsaP256Sha256;
    let request = HashedRekordRequest { digest, signature, verifier: Verifier::PublicKey(spki), key_details };
    (message, request.to_json())
}

/// The index and body of what was logged, once they are proven.
#[track_caller]
fn proven(called: &Called, key: &KeyVerifier) -> (u64, Vec<u8>) {
    let entry = fields(called.message());
    let part =
        |of: &[(u8, Vec<u8>)], number: u8| of.iter().find(|(tag, _)| *tag == number).unwrap().1.clone();
    let body = part(&entry, 7);
    let proof = fields(&part(&entry, 6));
    let (index, size) = (u64::from(part(&proof, 1)[0]), u64::from(part(&proof, 3)[0]));
    assert_eq!(part(&entry, 1), [u8::try_from(index).unwrap()]);
    let hashes = proof.iter().filter(|(tag, _)| *tag == 4);
    let hashes = hashes.map(|(_, hash)| Hash(hash.clone().try_into().unwrap())).collect();
    let envelope = part(&fields(&part(&proof, 5)), 1);
    let signed = SignedCheckpoint::parse(&envelope).unwrap();
    let checkpoint = signed.verify(key).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root.0.to_vec()), (size, part(&proof, 2)));
    InclusionProof { index, size, hashes }.verify(&leaf_hash(&body), &checkpoint.root).unwrap();
    (index, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_speaks_grpc_and_refuses_when_the_sequencer_is_away() {
    let Some(s3) = S3::versitygw() else { return };
    let fleet = Fleet::new();
    let machine = fleet.sequencer("one", &s3.endpoint(), false, None);
    let front = fleet.front_end("two", &s3.endpoint(), &machine);
    let (mut one, _two) = (machine.start(), front.start());
    let log = machine.verifier();
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let grpc = Grpc::at(&front.url).await;
    assert_eq!(grpc.call(CHECK, &[]).await.message(), [0x08, 1]);

    let (message, json) = request(&key, "first");
    let (index, body) = proven(&grpc.call(CREATE, &message).await, &log);
    assert_eq!(index, 1);
    // The same again, over either wire and by whichever process, is the same.
    assert_eq!(proven(&grpc.call(CREATE, &message).await, &log), (index, body.clone()));
    assert_eq!(
        proven(&Grpc::at(&machine.url).await.call(CREATE, &message).await, &log),
        (index, body.clone())
    );
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let sent =
        http.post(format!("{}/api/v2/log/entries", front.url)).header("content-type", "application/json");
    let answer = sent.body(json).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    let entry = TransparencyLogEntry::parse(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!((entry.log_index, entry.canonicalized_body), (index, body));

    // What is no entry is refused here, and nobody else is asked.
    let mut forged = message.clone();
    let end = forged.len() - 20;
    forged[end] ^= 1;
    grpc.call(CREATE, &forged).await.refused("3", "");
    let checkpoint = async || {
        let called = grpc.call(CHECKPOINT, &[]).await;
        let body = fields(called.message());
        String::from_utf8(body.iter().find(|(tag, _)| *tag == 2).unwrap().1.clone()).unwrap()
    };
    let begun = Instant::now();
    while !checkpoint().await.starts_with("localhost\n2\n") {
        assert!(begun.elapsed() < LIMIT, "{}", checkpoint().await);
    }

    one.signal("-KILL");
    one.ends_within(LIMIT).await;
    let (late, _) = request(&key, "late");
    let called = grpc.call(CREATE, &late).await;
    called.refused("14", "the log's sequencer did not answer in time; retry");
    assert_eq!(called.headers["grpc-retry-pushback-ms"], "1000");
    assert!(checkpoint().await.starts_with("localhost\n2\n"));
    let _one = machine.start();
    let again = tokio::time::timeout(LEASE + LIMIT, grpc.call(CREATE, &late)).await.unwrap();
    assert_eq!(proven(&again, &log).0, 2);
}
