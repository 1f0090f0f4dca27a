//! The log of signatures, asked by OpenSSL.

use super::{harness::Sealog, openssl::Key};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sealog_bundle::{
    HashedRekord, KeyDetails, TransparencyLogEntry, TrustedRoot, Verifier, request::HashedRekordRequest,
};
use sealog_crypto::{KeyKind, PrivateKey, PublicKey, Signer as _, sha256};
use sealog_tlog::{
    InclusionProof, SignedCheckpoint,
    merkle::{Hash, leaf_hash},
    note::KeyVerifier,
};
use serde_json::{Value, json};
use std::sync::Arc;

const ENTRIES: &str = "/api/v2/log/entries";

/// The entry, verified against the key in the trusted root; and its canonical body.
fn verify(sealog: &Sealog, answer: &[u8]) -> (TransparencyLogEntry, HashedRekord) {
    let trusted = std::fs::read(sealog.client_dir().join("trusted_root.json")).unwrap();
    let trusted = TrustedRoot::parse(&trusted).unwrap();
    let log = &trusted.tlogs[0];
    let entry = TransparencyLogEntry::parse(answer).unwrap();
    assert_eq!(entry.log_id, log.log_id);
    let proof = entry.inclusion_proof.clone().unwrap();
    assert_eq!(proof.log_index, entry.log_index);
    let key = PublicKey::from_spki_der(&log.public_key).unwrap();
    let verifier = KeyVerifier::for_log(log.host().unwrap(), key).unwrap();
    let signed = SignedCheckpoint::parse(proof.checkpoint.as_bytes()).unwrap();
    let checkpoint = signed.verify(&verifier).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root.0), (proof.tree_size, proof.root_hash));
    let hashes = proof.hashes.iter().copied().map(Hash).collect();
    InclusionProof { index: proof.log_index, size: proof.tree_size, hashes }
        .verify(&leaf_hash(&entry.canonicalized_body), &checkpoint.root)
        .unwrap();
    let body = HashedRekord::parse(&entry.canonicalized_body).unwrap();
    (entry, body)
}

#[tokio::test]
async fn a_signature_made_by_openssl_is_logged_and_proven() {
    let mut sealog = Sealog::start().await;
    let keys = [
        Key::p256(),
        Key::ec("secp384r1", "PKIX_ECDSA_P384_SHA_384", "-sha384"),
        Key::ec("secp521r1", "PKIX_ECDSA_P521_SHA_512", "-sha512"),
        Key::rsa("2048", "PKIX_RSA_PKCS1V15_2048_SHA256"),
    ];
    let mut requests = Vec::new();
    for (index, key) in (1..).zip(&keys) {
        let request = key.log_request(b"an artifact");
        let answer = sealog.post("rekor", ENTRIES, request.to_string()).await;
        assert_eq!(
            (answer.status, answer.content_type.as_str()),
            (201, "application/json"),
            "{}",
            answer.text()
        );
        let (entry, body) = verify(&sealog, &answer.body);
        assert_eq!(entry.log_index, index);
        assert_eq!(body.verifier.der(), key.read("pub.der"));
        assert_eq!(body.digest.as_bytes(), key.digest(b"an artifact"));
        let raw = answer.json();
        assert_eq!(raw["integratedTime"], "0");
        assert_eq!(raw["inclusionPromise"], Value::Null);
        requests.push(request);
    }
    // The same again, before and after a restart, has its old place and a new proof.
    let again = sealog.post("rekor", ENTRIES, requests[0].to_string()).await;
    assert_eq!((again.status, verify(&sealog, &again.body).0.log_index), (201, 1));
    sealog.restart().await;
    let again = sealog.post("rekor", ENTRIES, requests[2].to_string()).await;
    assert_eq!((again.status, verify(&sealog, &again.body).0.log_index), (201, 3));
}

#[tokio::test]
async fn the_log_is_read_at_both_prefixes() {
    let sealog = Sealog::start().await;
    for n in 0..3 {
        let request = Key::p256().log_request(format!("artifact {n}").as_bytes());
        assert_eq!(sealog.post("rekor", ENTRIES, request.to_string()).await.status, 201);
    }
    let checkpoint = sealog.get("rekor", "/checkpoint").await;
    assert_eq!(checkpoint.content_type, "text/plain; charset=utf-8");
    assert_eq!(checkpoint.cache, "no-cache");
    assert!(checkpoint.text().starts_with("localhost\n4\n"), "{}", checkpoint.text());
    assert_eq!(sealog.get("rekor", "/api/v2/checkpoint").await.body, checkpoint.body);
    for path in ["/tile/0/000.p/4", "/tile/entries/000.p/4", "/tile/0/000.p/2"] {
        let root = sealog.get("rekor", path).await;
        let prefixed = sealog.get("rekor", &format!("/api/v2{path}")).await;
        assert_eq!((root.status, &root.body), (200, &prefixed.body));
        assert_eq!(root.content_type, "application/octet-stream");
        assert!(root.cache.contains("immutable"));
    }
    for path in
        ["/tile/0/000", "/tile/0/000.p/5", "/tile/data/000.p/4", "/tile/0/../../keys/rekor.key", "/nothing"]
    {
        sealog.get("rekor", path).await.refused(404, 5, "Not Found");
    }
    sealog.get("rekor", "/api/v1/log").await.refused(404, 5, "this log speaks");
    sealog.post("rekor", "/api/v1/log/entries", "{}").await.refused(404, 5, "this log speaks");
    sealog.post("rekor", "/checkpoint", "").await.refused(405, 12, "Method Not Allowed");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(sealog.get("rekor", path).await.json(), json!({"status": "SERVING"}));
    }
}

#[tokio::test]
async fn an_envelope_is_logged_as_the_digest_of_its_encoding() {
    let sealog = Sealog::start().await;
    let key = Key::p256();
    let (kind, payload) = ("application/vnd.in-toto+json", b"{}".as_slice());
    let pae = [format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes(), payload].concat();
    let request = json!({ "dsseRequestV002": {
        "envelope": {
            "payload": STANDARD.encode(payload), "payloadType": kind,
            "signatures": [{ "sig": STANDARD.encode(key.sign(&pae)), "keyid": "" }],
        },
        "verifiers": [{
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "publicKey": { "rawBytes": STANDARD.encode(key.read("pub.der")) },
        }],
    } });
    let answer = sealog.post("rekor", ENTRIES, request.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let (entry, body) = verify(&sealog, &answer.body);
    assert_eq!(body.digest.as_bytes(), key.digest(&pae));
    assert_eq!(
        (entry.kind_version.kind.as_str(), entry.kind_version.version.as_str()),
        ("hashedrekord", "0.0.2")
    );
}

#[tokio::test]
async fn too_many_at_once_are_asked_to_come_back() {
    let sealog = Sealog::start_with("max_pending = 1\n").await;
    let request = Key::p256().log_request(b"an artifact");
    assert_eq!(sealog.post("rekor", ENTRIES, request.to_string()).await.status, 201);
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let bodies = (0..200).map(|n: u32| {
        let message = n.to_be_bytes();
        HashedRekordRequest {
            digest: sha256(&message).to_vec(),
            signature: key.sign(&message).unwrap(),
            verifier: Verifier::PublicKey(key.public_key().spki_der().to_vec()),
            key_details: KeyDetails::EcdsaP256Sha256,
        }
        .to_json()
    });
    let sealog = Arc::new(sealog);
    let mut asking = tokio::task::JoinSet::new();
    for body in bodies {
        let sealog = Arc::clone(&sealog);
        asking.spawn(async move { sealog.post("rekor", ENTRIES, body).await });
    }
    let (mut logged, mut refused) = (1, 0);
    while let Some(answer) = asking.join_next().await {
        let answer = answer.unwrap();
        if answer.status == 201 {
            logged += 1;
        } else {
            answer.refused(503, 14, "reached max pushback; retry");
            assert_eq!(answer.retry_after, "1");
            refused += 1;
        }
    }
    assert!(refused > 0, "{logged} logged");
    // The seed, what was acknowledged, and nothing else.
    let checkpoint = sealog.get("rekor", "/checkpoint").await;
    assert_eq!(checkpoint.text().lines().nth(1).unwrap(), (logged + 1).to_string());
}

#[tokio::test]
async fn what_is_not_a_good_request_is_refused() {
    const INVALID: &str = "invalid hashedrekord request";
    let sealog = Sealog::start().await;
    let good = Key::p256().log_request(b"an artifact");
    let with = |pointer: &str, value: Value| {
        let mut request = good.clone();
        *request.pointer_mut(&format!("/hashedRekordRequestV002{pointer}")).unwrap() = value;
        request.to_string()
    };
    let other = STANDARD.encode([1; 32]);
    for (body, message) in [
        (with("/digest", json!(other)), INVALID),
        (with("/digest", json!("")), INVALID),
        (with("/digest", json!(STANDARD.encode([1; 31]))), INVALID),
        (with("/signature/content", json!("")), INVALID),
        (with("/signature/content", json!(other)), INVALID),
        (with("/signature/verifier/keyDetails", json!("PKIX_ED25519")), INVALID),
        (with("/signature/verifier/keyDetails", json!("PKIX_ECDSA_P384_SHA_384")), INVALID),
        (with("/signature/verifier/keyDetails", json!("NO_SUCH_THING")), INVALID),
        (with("/signature/verifier/publicKey/rawBytes", json!(other)), INVALID),
        (with("/signature/verifier/publicKey", json!({})), INVALID),
        (with("/signature/verifier", json!({ "keyDetails": "PKIX_ECDSA_P256_SHA_256" })), INVALID),
        (with("/signature/verifier/publicKey", json!({ "rawBytes": other, "extra": 1 })), "invalid request"),
        ("{}".to_owned(), "invalid type, must be hashedrekord"),
        (r#"{"intotoRequestV002":{}}"#.to_owned(), "invalid type, must be hashedrekord"),
        ("".to_owned(), "invalid request"),
        (good.to_string()[..200].to_owned(), "invalid request"),
        ("[".repeat(100_000), "invalid request"),
        (format!("{}{}", good, " ".repeat(5 << 20)), "request body is larger"),
    ] {
        let answer = sealog.post("rekor", ENTRIES, body).await;
        answer.refused(400, 3, message);
    }
    let weak = Key::rsa("1024", "PKIX_RSA_PKCS1V15_2048_SHA256").log_request(b"an artifact");
    sealog.post("rekor", ENTRIES, weak.to_string()).await.refused(400, 3, INVALID);
    // Nothing of it was logged.
    let checkpoint = sealog.get("rekor", "/checkpoint").await;
    assert!(checkpoint.text().starts_with("localhost\n1\n"));
    // Both spellings and numbers for names are ProtoJSON.
    let snake = good
        .to_string()
        .replace("hashedRekordRequestV002", "hashed_rekord_request_v002")
        .replace("publicKey", "public_key")
        .replace("\"PKIX_ECDSA_P256_SHA_256\"", "5");
    assert_eq!(sealog.post("rekor", ENTRIES, snake).await.status, 201);
}
