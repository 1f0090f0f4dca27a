//! Keys in Google Cloud Key Management Service, which this test plays itself, after Google's reference: there is no
//! emulator of it.

use super::{
    harness::Sealog,
    hsm::again,
    openssl,
    operator::{said, sealogd_in},
    pkcs11::{certificate_verifies, entry_is_logged, runtime, timestamp_verifies},
};
use axum::{
    Router,
    body::Bytes,
    extract::{Path as AxumPath, State},
    http::StatusCode,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sealog_crypto::{Digest, HashAlgorithm, KeyKind, PrivateKey, Signer as _};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

const ACCOUNT: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const RING: &str = "projects/p/locations/global/keyRings/r/cryptoKeys";

type Keys = Arc<BTreeMap<String, PrivateKey>>;

async fn public(State(keys): State<Keys>, AxumPath(path): AxumPath<String>) -> (StatusCode, String) {
    // One key says that it is another, and signs as a third.
    let name = path.trim_end_matches("/publicKey").replace("/liar/", "/ca/");
    match keys.get(&name) {
        Some(key) => (StatusCode::OK, json!({ "pem": key.public_key().to_pem() }).to_string()),
        None => {
            let error = json!({ "error": { "code": 404, "message": "no such key", "status": "NOT_FOUND" } });
            (StatusCode::NOT_FOUND, error.to_string())
        }
    }
}

async fn sign(State(keys): State<Keys>, AxumPath(path): AxumPath<String>, body: Bytes) -> String {
    let key = &keys[&path.strip_suffix(":asymmetricSign").unwrap().replace("/liar/", "/other/")];
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let given = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
    let signature = match &asked["data"] {
        Value::Null => {
            let (name, digest) = asked["digest"].as_object().unwrap().iter().next().unwrap();
            let digest = Digest::new(HashAlgorithm::from_name(name).unwrap(), &given(digest)).unwrap();
            key.sign_digest(&digest).unwrap()
        }
        data => key.sign(&given(data)).unwrap(),
    };
    json!({ "signature": STANDARD.encode(signature) }).to_string()
}

#[test]
fn certificates_entries_and_timestamps_are_signed_by_the_service() {
    let test = "google_kms::certificates_entries_and_timestamps_are_signed_by_the_service";
    let Ok(account) = std::env::var(ACCOUNT) else {
        let dir = tempfile::tempdir().unwrap();
        return again(test, &[(ACCOUNT, dir.path().join("account.json"))]);
    };
    runtime().block_on(async {
        let kinds = [
            ("ca", KeyKind::EcdsaP384),
            ("tsa", KeyKind::EcdsaP256),
            ("ctlog", KeyKind::EcdsaP256),
            ("rekor", KeyKind::Ed25519),
            ("other", KeyKind::EcdsaP384),
        ];
        let version = |name: &str| format!("{RING}/{name}/cryptoKeyVersions/1");
        let keys = kinds.map(|(name, kind)| (version(name), PrivateKey::generate(kind).unwrap()));
        let token = async || json!({ "access_token": "t", "expires_in": 3600 }).to_string();
        let router = Router::new()
            .route("/token", post(token))
            .route("/v1/{*path}", get(public).post(sign))
            .with_state(Arc::new(BTreeMap::from(keys)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

        let account = PathBuf::from(account);
        let home = account.parent().unwrap();
        openssl::run(home, &["genpkey", "-algorithm", "RSA", "-out", "account.key"]);
        let key = fs::read_to_string(home.join("account.key")).unwrap();
        let file = json!({
            "client_email": "sealog@p.iam.gserviceaccount.com", "private_key_id": "1", "private_key": key,
            "token_uri": format!("{url}/token"),
        });
        fs::write(&account, file.to_string()).unwrap();

        let mut table = format!("\n[google_kms]\nendpoint = \"{url}\"\n[google_kms.keys]\n");
        for name in ["ca", "tsa", "ctlog", "rekor"] {
            table.push_str(&format!("{name} = \"{}\"\n", version(name)));
        }
        let mut sealog = Sealog::start_in(tempfile::tempdir().unwrap(), &table, "").await;
        for _ in 0..2 {
            certificate_verifies(&sealog).await;
            entry_is_logged(&sealog).await;
            timestamp_verifies(&sealog).await;
            sealog.restart().await;
        }

        let config = sealog.dir.path().join("sealog.toml");
        let good = fs::read_to_string(&config).unwrap();
        let wrong = async |from: &str, to: &str, status: i32, expected: &str| {
            fs::write(&config, good.replace(from, to)).unwrap();
            let (config, environment) = (config.to_str().unwrap().to_owned(), [(ACCOUNT, account.clone())]);
            let check = move || sealogd_in(&environment, &["check", "--config", &config]);
            let told = said(&tokio::task::spawn_blocking(check).await.unwrap(), status);
            assert!(told.contains(expected), "{expected} is not in {told}");
        };
        wrong(&version("ca"), &version("other"), 2, "in Google Cloud KMS is not the one of").await;
        wrong(&version("ca"), &version("none"), 2, "refused with NOT_FOUND: no such key").await;
        wrong(&version("ca"), &version("liar"), 3, "Google Cloud KMS gave a wrong signature for the key")
            .await;
        wrong(&version("ca"), "projects/p", 2, "expected projects/…/locations").await;
        let twice = "[aws_kms]\nregion = \"eu-north-1\"\n[aws_kms.keys]\nca = \"alias/ca\"\n[google_kms]";
        wrong("[google_kms]", twice, 2, "[aws_kms.keys] and [google_kms.keys] both name `ca`").await;
    });
}
