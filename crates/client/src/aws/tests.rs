//! Against services of our own making: what is asked of whom, and what becomes of each answer.

use super::*;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post, put},
};
use sealog_crypto::{KeyKind, PrivateKey, Signer as _};
use std::sync::atomic::{AtomicUsize, Ordering};

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    url
}

fn fixed() -> Source {
    Source::find(|name| match name {
        "AWS_ACCESS_KEY_ID" => Some("AKIDEXAMPLE".to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some("secret".to_owned()),
        _ => None,
    })
    .unwrap()
}

/// Answers `Sign` with this key as the service does, after so many answers of another kind.
struct Fake {
    key: PrivateKey,
    asked: AtomicUsize,
    first: Vec<(StatusCode, &'static str)>,
}

async fn answer(State(fake): State<Arc<Fake>>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
    let asked = fake.asked.fetch_add(1, Ordering::SeqCst);
    if let Some((status, text)) = fake.first.get(asked) {
        return (*status, (*text).to_owned());
    }
    let authorization = headers["authorization"].to_str().unwrap();
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential="), "{authorization}");
    assert!(
        authorization.contains("/eu-north-1/kms/aws4_request, SignedHeaders=content-type;host;x-amz-date;")
    );
    assert_eq!(headers["content-type"], CONTENT_TYPE);
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let answer = match headers["x-amz-target"].to_str().unwrap() {
        "TrentService.GetPublicKey" => json!({
            "KeyUsage": if asked["KeyId"] == "alias/sealog" { "SIGN_VERIFY" } else { "ENCRYPT_DECRYPT" },
            "PublicKey": BASE64.encode(fake.key.public_key().spki_der()),
        }),
        "TrentService.Sign" => {
            assert_eq!(asked["SigningAlgorithm"], "ECDSA_SHA_256");
            let message = BASE64.decode(asked["Message"].as_str().unwrap()).unwrap();
            let signature = match asked["MessageType"].as_str().unwrap() {
                "RAW" => fake.key.sign(&message).unwrap(),
                _ => {
                    let digest = sealog_crypto::Digest::new(HashAlgorithm::Sha256, &message).unwrap();
                    fake.key.sign_digest(&digest).unwrap()
                }
            };
            json!({ "Signature": BASE64.encode(signature) })
        }
        other => panic!("{other}"),
    };
    (StatusCode::OK, answer.to_string())
}

async fn fake(first: Vec<(StatusCode, &'static str)>) -> (Arc<Fake>, Kms) {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let fake = Arc::new(Fake { key, asked: AtomicUsize::new(0), first });
    let url = serve(Router::new().route("/", post(answer)).with_state(Arc::clone(&fake))).await;
    let kms = Kms::new("eu-north-1", Some(&url), fixed()).unwrap();
    (fake, kms)
}

const THROTTLED: (StatusCode, &str) =
    (StatusCode::BAD_REQUEST, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#);

#[tokio::test]
async fn short_messages_go_whole_and_long_ones_as_digests() {
    let (fake, kms) = fake(Vec::new()).await;
    let key = kms.public_key("alias/sealog").await.unwrap();
    assert_eq!(&key, fake.key.public_key());
    let scheme = Scheme::default_for(KeyKind::EcdsaP256);
    for length in [0, 1, MAX_MESSAGE, MAX_MESSAGE + 1, 1 << 20] {
        let message = vec![7; length];
        let signature = kms.sign("alias/sealog", scheme, &message).await.unwrap();
        key.verify(scheme, &message, &signature).unwrap();
    }
    let error = kms.public_key("alias/other").await.unwrap_err();
    assert_eq!(error.to_string(), "the key is for ENCRYPT_DECRYPT, not for signing");
    let error = kms.sign("alias/sealog", Scheme::Ed25519ph, b"").await.unwrap_err();
    assert_eq!(error.to_string(), "AWS KMS does not sign with Ed25519ph");
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_told() {
    let broken = (StatusCode::INTERNAL_SERVER_ERROR, "<html>");
    let (fake_one, kms) = fake(vec![THROTTLED, broken]).await;
    kms.public_key("alias/sealog").await.unwrap();
    assert_eq!(fake_one.asked.load(Ordering::SeqCst), 3);

    let (fake_one, kms) = fake(vec![THROTTLED; 10]).await;
    let error = kms.public_key("alias/sealog").await.unwrap_err();
    assert_eq!(error.to_string(), "AWS KMS refused with ThrottlingException: Rate exceeded");
    assert_eq!(fake_one.asked.load(Ordering::SeqCst), 3);

    let denied =
        r#"{"__type":"com.amazon#AccessDeniedException","Message":"not authorized to perform: kms:Sign"}"#;
    let (fake_one, kms) = fake(vec![(StatusCode::BAD_REQUEST, denied)]).await;
    let error = kms.public_key("alias/sealog").await.unwrap_err().to_string();
    assert_eq!(error, "AWS KMS refused with AccessDeniedException: not authorized to perform: kms:Sign");
    assert_eq!(fake_one.asked.load(Ordering::SeqCst), 1);

    let (_, kms) = fake(vec![(StatusCode::OK, r#"{"KeyUsage":"SIGN_VERIFY"}"#)]).await;
    assert!(matches!(kms.public_key("alias/sealog").await, Err(KmsError::Answer { status: 200 })));
    assert!(Kms::new("eu-north-1", Some("http://kms.example.com"), fixed()).is_err(), "in the clear");
}

fn given(ends: &str) -> String {
    json!({ "AccessKeyId": "ASIA1", "SecretAccessKey": "s", "Token": "t", "Expiration": ends }).to_string()
}

#[tokio::test]
async fn a_container_gives_credentials_which_are_fetched_anew_before_they_end() {
    let given_out = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&given_out);
    let router = Router::new().route(
        "/creds",
        get(async move |headers: HeaderMap| {
            if headers.get("authorization").is_none_or(|token| token != "first token") {
                return (StatusCode::UNAUTHORIZED, String::new());
            }
            // The first ones are about to end.
            let ends = match counter.fetch_add(1, Ordering::SeqCst) {
                0 => sealog_bundle::UnixTime::from_seconds(clock::unix_seconds() + 60).to_string(),
                _ => "2100-01-01T00:00:00Z".to_owned(),
            };
            (StatusCode::OK, given(&ends))
        }),
    );
    let url = serve(router).await;
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    let source = Source::find(|name| match name {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI" => Some(format!("{url}/creds")),
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" => Some(token.to_str().unwrap().to_owned()),
        _ => None,
    })
    .unwrap();
    let kms = Kms::new("eu-north-1", Some(&url), source).unwrap();
    assert!(matches!(kms.credentials().await, Err(CredentialsError::Token { .. })));
    std::fs::write(&token, "wrong").unwrap();
    assert!(matches!(kms.credentials().await, Err(CredentialsError::Http(_))));
    std::fs::write(&token, "first token\n").unwrap();
    for expected in [1, 2, 2] {
        assert_eq!(kms.credentials().await.unwrap().session_token.as_ref().unwrap().as_str(), "t");
        assert_eq!(given_out.load(Ordering::SeqCst), expected);
    }
    let held = kms.credentials().await.unwrap();
    kms.forget(&held).await;
    kms.credentials().await.unwrap();
    assert_eq!(given_out.load(Ordering::SeqCst), 3);
    assert!(!format!("{held:?}").contains("\"s\""));
}

#[tokio::test]
async fn an_instance_gives_credentials_to_those_who_show_its_token() {
    let shows =
        |headers: &HeaderMap| headers.get("x-aws-ec2-metadata-token").is_some_and(|token| token == "T");
    let roles = "/latest/meta-data/iam/security-credentials/";
    let router = Router::new()
        .route(
            "/latest/api/token",
            put(async |headers: HeaderMap| {
                assert_eq!(headers["x-aws-ec2-metadata-token-ttl-seconds"], "300");
                "T"
            }),
        )
        .route(
            roles,
            get(async move |headers: HeaderMap| match shows(&headers) {
                true => (StatusCode::OK, "sealog-role"),
                false => (StatusCode::UNAUTHORIZED, ""),
            }),
        )
        .route(
            &format!("{roles}sealog-role"),
            get(async move |headers: HeaderMap| match shows(&headers) {
                true => (StatusCode::OK, given("2100-01-01T00:00:00Z")),
                false => (StatusCode::UNAUTHORIZED, String::new()),
            }),
        );
    let url = serve(router).await;
    let credentials = Source::Ec2(parse_url(&url).unwrap()).fetch(&Client::new()).await.unwrap();
    assert_eq!(credentials.key_id, "ASIA1");
    let nobody = serve(Router::new()).await;
    let error = Source::Ec2(parse_url(&nobody).unwrap()).fetch(&Client::new()).await.unwrap_err();
    assert!(matches!(error, CredentialsError::Http(_)), "{error}");
}

#[test]
fn credentials_go_to_nobody_that_anyone_could_name() {
    for url in ["http://192.0.2.1/creds", "http://metadata.example.com/"] {
        let found =
            Source::find(|name| (name == "AWS_CONTAINER_CREDENTIALS_FULL_URI").then(|| url.to_owned()));
        assert!(matches!(found, Err(CredentialsError::Endpoint(_))), "{url}");
    }
    let half = Source::find(|name| (name == "AWS_ACCESS_KEY_ID").then(|| "AKID".to_owned()));
    assert!(matches!(half, Err(CredentialsError::Half("AWS_ACCESS_KEY_ID"))));
    for uri in ["http://169.254.170.23/v1/credentials", "https://creds.example.com/", "http://localhost:1/"] {
        let found =
            Source::find(|name| (name == "AWS_CONTAINER_CREDENTIALS_FULL_URI").then(|| uri.to_owned()));
        assert!(matches!(found, Ok(Source::Container { .. })), "{uri}");
    }
    assert!(matches!(Source::find(|_| None), Ok(Source::Ec2(_))));
}
