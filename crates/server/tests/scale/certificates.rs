//! The log of certificates with a front end that has no key: its timestamps are the log's all the same.

use super::{
    fleet::{Fleet, LEASE},
    s3::S3,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, Signer as _, sha256};
use sealog_pki::{
    Certificate, ExtensionValues, LeafProfile, San, Serial,
    issue::{self, AuthorityProfile},
};
use sealog_tlog::ct::{CtEntry, DigitallySigned, Sct, leaf_index};
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

fn sct(answer: &Value) -> Sct {
    let bytes = |name: &str| STANDARD.decode(answer[name].as_str().unwrap()).unwrap();
    Sct {
        version: 0,
        log_id: bytes("id").try_into().unwrap(),
        timestamp_ms: answer["timestamp"].as_u64().unwrap(),
        extensions: bytes("extensions"),
        signed: DigitallySigned::parse(&bytes("signature")).unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_without_the_key_gives_the_logs_timestamps() {
    let Some(s3) = S3::versitygw() else { return };
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let profile = AuthorityProfile {
        organization: "tests",
        common_name: "root",
        serial: Serial::from_random([1; 20]),
        not_before: 0,
        not_after: 4_000_000_000,
    };
    let root = issue::self_signed_root(&profile, &key).unwrap();
    let precert = |number: u8| {
        let leaf = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let mut extensions = ExtensionValues::new();
        extensions.set_oidc_issuer("https://issuer.example");
        let profile = LeafProfile {
            serial: Serial::from_random([number; 20]),
            not_before: 1000,
            not_after: 2000,
            public_key: leaf.public_key(),
            san: &San::Email("jane@example.com".to_owned()),
            extensions: &extensions,
        };
        issue::precertificate(&profile, &root, &key).unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let roots = dir.path().join("roots.pem");
    std::fs::write(&roots, root.to_pem()).unwrap();
    let fleet = Fleet::of("ctlog", format!("roots = [\"{}\"]", roots.display()));
    let first = fleet.sequencer("one", &s3.endpoint(), false, None);
    let second = fleet.sequencer("two", &s3.endpoint(), true, Some(&first));
    let front = fleet.front_end("three", &s3.endpoint(), &first);
    let (one, two, _three) = (first.start(), second.start(), front.start());

    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let add = async |chain: &[&Certificate]| {
        let chain: Vec<_> = chain.iter().map(|certificate| STANDARD.encode(certificate.der())).collect();
        let body = json!({ "chain": chain }).to_string();
        let answer = http.post(format!("{}/ct/v1/add-pre-chain", front.url)).body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let timestamp = async |number: u8, precert: &issue::Precert| {
        let (status, text) = add(&[precert.certificate(), &root]).await;
        assert_eq!(status, 200, "{text}");
        let sct = sct(&serde_json::from_str(&text).unwrap());
        let issuer_key_hash = sha256(root.spki_der());
        let entry = CtEntry::Precert { issuer_key_hash, tbs: precert.tbs_for_ct(), precert: Vec::new() };
        sct.verify(&entry, &first.public_key("ctlog")).unwrap();
        assert_eq!(leaf_index(&sct.extensions).unwrap(), u64::from(number));
        sct
    };
    let precerts = [0, 1, 2].map(precert);
    let before = timestamp(0, &precerts[0]).await;
    timestamp(1, &precerts[1]).await;
    one.signal("-KILL");
    // It takes a lease, and the front end waits.
    timestamp(2, &precerts[2]).await;
    two.serves_within(LEASE + LIMIT).await;
    let again = timestamp(0, &precerts[0]).await;
    assert_eq!((again.timestamp_ms, &again.extensions), (before.timestamp_ms, &before.extensions));

    // What does not lead to a root is refused before anybody else is asked, and issuers are read back.
    let (status, text) = add(&[precerts[0].certificate()]).await;
    assert_eq!(status, 200, "{text}");
    assert_eq!(add(&[]).await.0, 400);
    let fingerprint = HashAlgorithm::Sha256.digest(root.der()).to_string();
    let path = format!("{}/issuer/{}", front.url, &fingerprint["sha256:".len()..]);
    let issuer = http.get(path).send().await.unwrap();
    assert_eq!(issuer.status().as_u16(), 200);
    assert_eq!(issuer.bytes().await.unwrap(), root.der());
    let bundle = http.get(format!("{}/tile/data/000.p/3", front.url)).send().await.unwrap();
    assert_eq!(bundle.status().as_u16(), 200);
}
