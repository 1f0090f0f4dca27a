//! Against a service of our own making, after Google's reference: what is asked, and what becomes of each answer.

use super::*;
use axum::{
    Router,
    body::Bytes,
    extract::{Path as AxumPath, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sealog_crypto::{Digest, KeyKind, PrivateKey, Signer as _};
use std::sync::atomic::{AtomicUsize, Ordering};

const NAME: &str = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1";

struct Fake {
    key: PrivateKey,
    account: PrivateKey,
    asked: AtomicUsize,
    tokens: AtomicUsize,
    first: Vec<(StatusCode, &'static str)>,
}

impl Fake {
    /// What is said before anything else is looked at.
    fn early(&self, headers: &HeaderMap) -> Option<(StatusCode, String)> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let newest = format!("Bearer token-{}", self.tokens.load(Ordering::SeqCst));
        assert_eq!(headers["authorization"], newest);
        self.first.get(asked).map(|(status, text)| (*status, (*text).to_owned()))
    }
}

async fn read(
    State(fake): State<Arc<Fake>>,
    AxumPath(path): AxumPath<String>,
    headers: HeaderMap,
) -> (StatusCode, String) {
    if let Some(early) = fake.early(&headers) {
        return early;
    }
    assert_eq!(path, format!("{NAME}/publicKey"));
    (StatusCode::OK, json!({ "pem": fake.key.public_key().to_pem(), "algorithm": "EC_SIGN" }).to_string())
}

async fn write(
    State(fake): State<Arc<Fake>>,
    AxumPath(path): AxumPath<String>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    if let Some(early) = fake.early(&headers) {
        return early;
    }
    assert_eq!(path, format!("{NAME}:asymmetricSign"));
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let given = |value: &Value| BASE64.decode(value.as_str().unwrap()).unwrap();
    let signature = match &asked["data"] {
        Value::Null => {
            let hash = if asked["digest"]["sha256"].is_null() { "sha384" } else { "sha256" };
            let algorithm = HashAlgorithm::from_name(hash).unwrap();
            let digest = Digest::new(algorithm, &given(&asked["digest"][hash])).unwrap();
            fake.key.sign_digest(&digest).unwrap()
        }
        data => fake.key.sign(&given(data)).unwrap(),
    };
    (StatusCode::OK, json!({ "name": NAME, "signature": BASE64.encode(signature) }).to_string())
}

fn token(fake: &Fake) -> (StatusCode, String) {
    let number = fake.tokens.fetch_add(1, Ordering::SeqCst) + 1;
    // The first one is about to end.
    let left = if number == 1 { 60 } else { 3600 };
    let answer =
        json!({ "access_token": format!("token-{number}"), "expires_in": left, "token_type": "Bearer" });
    (StatusCode::OK, answer.to_string())
}

async fn metadata(State(fake): State<Arc<Fake>>, headers: HeaderMap) -> (StatusCode, String) {
    assert_eq!(headers["metadata-flavor"], "Google");
    token(&fake)
}

async fn exchange(State(fake): State<Arc<Fake>>, body: String) -> (StatusCode, String) {
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    assert_eq!(fields[0].1, "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let (signed, signature) = fields[1].1.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = fake.account.public_key();
    key.verify(Scheme::RsaPkcs1(HashAlgorithm::Sha256), signed.as_bytes(), &signature).unwrap();
    let (_, claims) = signed.split_once('.').unwrap();
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    assert_eq!(claims["iss"], "sealog@example.iam.gserviceaccount.com");
    assert_eq!(claims["scope"], "https://www.googleapis.com/auth/cloudkms");
    token(&fake)
}

async fn fake(kind: KeyKind, first: Vec<(StatusCode, &'static str)>) -> (Arc<Fake>, String) {
    let fake = Arc::new(Fake {
        key: PrivateKey::generate(kind).unwrap(),
        account: PrivateKey::generate(KeyKind::Rsa { bits: 2048 }).unwrap(),
        asked: AtomicUsize::new(0),
        tokens: AtomicUsize::new(0),
        first,
    });
    let router = Router::new()
        .route("/v1/{*path}", get(read).post(write))
        .route("/computeMetadata/v1/instance/service-accounts/default/token", get(metadata))
        .route("/token", post(exchange))
        .with_state(Arc::clone(&fake));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (fake, url)
}

#[tokio::test]
async fn every_kind_of_key_signs_as_itself() {
    for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::Ed25519] {
        let (fake, url) = fake(kind, Vec::new()).await;
        let kms = Kms::new(Some(&url), Source::Metadata(parse_url(&url).unwrap())).unwrap();
        let key = kms.public_key(NAME).await.unwrap();
        assert_eq!(&key, fake.key.public_key());
        let scheme = Scheme::default_for(kind);
        let signature = kms.sign(NAME, scheme, b"message").await.unwrap();
        key.verify(scheme, b"message", &signature).unwrap();
        assert_eq!(fake.tokens.load(Ordering::SeqCst), 2, "one that was about to end, and one that is kept");
        kms.sign(NAME, scheme, b"message").await.unwrap();
        assert_eq!(fake.tokens.load(Ordering::SeqCst), 2);
        let error = kms.sign(NAME, Scheme::MlDsa65, b"").await.unwrap_err();
        assert_eq!(error.to_string(), "Google Cloud KMS does not sign with ML-DSA-65");
    }
    let cleartext = Kms::new(Some("http://kms.example.com"), Source::find(|_| None).unwrap());
    assert!(cleartext.is_err(), "in the clear");
}

#[tokio::test]
async fn a_service_account_exchanges_its_claim() {
    let (fake, url) = fake(KeyKind::EcdsaP256, Vec::new()).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("account.json");
    let pem = |der: &[u8]| {
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(der))
    };
    let account = |uri: &str| {
        json!({
            "type": "service_account", "client_email": "sealog@example.iam.gserviceaccount.com",
            "private_key_id": "1", "private_key": pem(&fake.account.to_pkcs8_der().unwrap()), "token_uri": uri,
        })
    };
    let find = || {
        Source::find(|name| {
            (name == "GOOGLE_APPLICATION_CREDENTIALS").then(|| path.to_str().unwrap().to_owned())
        })
    };
    assert!(matches!(find(), Err(CredentialsError::File { .. })));
    std::fs::write(&path, "{}").unwrap();
    assert!(matches!(find(), Err(CredentialsError::NotAnAccount(_))));
    std::fs::write(&path, account("http://tokens.example.com/").to_string()).unwrap();
    assert!(matches!(find(), Err(CredentialsError::TokenUri(_))));
    std::fs::write(&path, account(&format!("{url}token")).to_string()).unwrap();
    let kms = Kms::new(Some(&url), find().unwrap()).unwrap();
    assert_eq!(&kms.public_key(NAME).await.unwrap(), fake.key.public_key());
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_told() {
    const BUSY: (StatusCode, &str) = (
        StatusCode::SERVICE_UNAVAILABLE,
        r#"{"error":{"code":503,"message":"later","status":"UNAVAILABLE"}}"#,
    );
    const STALE: (StatusCode, &str) =
        (StatusCode::UNAUTHORIZED, r#"{"error":{"code":401,"message":"who?","status":"UNAUTHENTICATED"}}"#);
    const DENIED: (StatusCode, &str) =
        (StatusCode::FORBIDDEN, r#"{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}"#);
    for (first, asked, expected) in [
        (vec![BUSY, STALE], 3, None),
        (vec![BUSY; 5], 3, Some("Google Cloud KMS refused with UNAVAILABLE: later")),
        (vec![DENIED], 1, Some("Google Cloud KMS refused with PERMISSION_DENIED: no")),
        (
            vec![(StatusCode::OK, "{}")],
            1,
            Some("Google Cloud KMS answered 200 without a word that is understood"),
        ),
    ] {
        let (fake, url) = fake(KeyKind::EcdsaP256, first).await;
        let kms = Kms::new(Some(&url), Source::Metadata(parse_url(&url).unwrap())).unwrap();
        let told = kms.public_key(NAME).await.err().map(|error| error.to_string());
        assert_eq!((told.as_deref(), fake.asked.load(Ordering::SeqCst)), (expected, asked));
    }
}
