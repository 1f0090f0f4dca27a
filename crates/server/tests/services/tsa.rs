//! The timestamp authority, asked and checked by OpenSSL.

use super::{
    harness::{Answer, Sealog},
    openssl,
};
use sealog_crypto::sha256;
use serde_json::json;
use std::path::Path;

async fn ask(sealog: &Sealog, content_type: &str, body: Vec<u8>) -> (u16, String, Vec<u8>) {
    let url = format!("{}/api/v1/timestamp", sealog.url("tsa"));
    let response =
        sealog.client.post(url).header("content-type", content_type).body(body).send().await.unwrap();
    let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
    (response.status().as_u16(), kind, response.bytes().await.unwrap().to_vec())
}

/// The authority's certificates, each in its own file.
async fn chain(sealog: &Sealog, dir: &Path) -> Answer {
    let chain = sealog.get("tsa", "/api/v1/timestamp/certchain").await;
    let blocks: Vec<_> = chain.text().split_inclusive("-----END CERTIFICATE-----\n").collect();
    assert_eq!(blocks.len(), 2);
    std::fs::write(dir.join("leaf.pem"), blocks[0]).unwrap();
    std::fs::write(dir.join("root.pem"), blocks[1]).unwrap();
    chain
}

const VERIFY: [&str; 8] =
    ["ts", "-verify", "-in", "reply.tsr", "-CAfile", "root.pem", "-untrusted", "leaf.pem"];

#[tokio::test]
async fn openssl_verifies_what_it_asked_for() {
    let sealog = Sealog::start().await;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let published = chain(&sealog, dir).await;
    assert_eq!(published.content_type, "application/pem-certificate-chain");
    std::fs::write(dir.join("data"), "some signature").unwrap();
    for (hash, options) in [
        ("-sha256", ["-cert", "-no_nonce"]),
        ("-sha384", ["-cert", "-sha384"]),
        ("-sha512", ["-no_nonce", "-sha512"]),
    ] {
        let query = ["ts", "-query", "-data", "data", hash, "-out", "query.tsq", options[0], options[1]];
        openssl::run(dir, &query);
        let query = std::fs::read(dir.join("query.tsq")).unwrap();
        let (status, kind, reply) = ask(&sealog, "application/timestamp-query; charset=binary", query).await;
        assert_eq!((status, kind.as_str()), (200, "application/timestamp-reply"));
        std::fs::write(dir.join("reply.tsr"), reply).unwrap();
        openssl::run(dir, &[VERIFY.as_slice(), &["-queryfile", "query.tsq"]].concat());
        openssl::run(dir, &[VERIFY.as_slice(), &["-data", "data"]].concat());
    }
    std::fs::write(dir.join("data"), "another signature").unwrap();
    let (verified, said) = openssl::try_run(dir, &[VERIFY.as_slice(), &["-data", "data"]].concat());
    assert!(!verified, "{said}");
}

#[tokio::test]
async fn the_json_form_gets_the_same_reply() {
    let sealog = Sealog::start().await;
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    chain(&sealog, dir).await;
    std::fs::write(dir.join("data"), "some signature").unwrap();
    let hash = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, sha256(b"some signature"));
    let request = json!({ "artifactHash": hash, "hashAlgorithm": "sha256", "certificates": false });
    let (status, kind, reply) = ask(&sealog, "application/json", request.to_string().into_bytes()).await;
    assert_eq!((status, kind.as_str()), (200, "application/timestamp-reply"));
    std::fs::write(dir.join("reply.tsr"), reply).unwrap();
    openssl::run(dir, &[VERIFY.as_slice(), &["-data", "data"]].concat());
}

#[tokio::test]
async fn what_is_not_a_good_request_is_refused() {
    let sealog = Sealog::start().await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("data"), "data").unwrap();
    let query = |options: &[&str]| {
        let args = [&["ts", "-query", "-data", "data", "-out", "query.tsq"], options].concat();
        openssl::run(dir.path(), &args);
        std::fs::read(dir.path().join("query.tsq")).unwrap()
    };
    let weak = query(&["-sha1"]);
    let policy = query(&["-sha256", "-tspolicy", "1.2.3.4"]);
    let good = query(&["-sha256"]);
    let der = "application/timestamp-query";
    for (kind, body, status, message) in [
        (der, weak, 400, "Weak hash algorithm in timestamp request"),
        (der, policy, 400, "unaccepted policy: 1.2.3.4"),
        (der, good[..20].to_vec(), 400, "Error generating timestamp response"),
        (der, Vec::new(), 400, "Error generating timestamp response"),
        (der, vec![0; 2 << 20], 413, "timestamp request is too large"),
        ("text/plain", good, 415, "unsupported media type"),
        ("application/json", b"{".to_vec(), 400, "Error generating timestamp response"),
        ("application/json", vec![b' '; 1025], 400, "timestamp request is too large"),
        (
            "application/json",
            br#"{"artifactHash":"AAAA","hashAlgorithm":"sha256"}"#.to_vec(),
            400,
            "Message digest has incorrect length for specified algorithm",
        ),
    ] {
        let (found, content_type, body) = ask(&sealog, kind, body).await;
        let text = String::from_utf8(body).unwrap();
        assert_eq!((found, content_type.as_str()), (status, "application/json"), "{text}");
        let error: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(error["code"], status);
        assert!(error["message"].as_str().unwrap().starts_with(message), "{text}");
    }
    assert_eq!(sealog.get("tsa", "/ping").await.status, 200);
}
