//! What a provider's answer is worth; GitHub's from a server that speaks its protocol on this machine, as GitHub documents it
//! for its Enterprise Server.

use super::*;
use crate::oidc::{config, grants::Purpose};
use axum::{
    Form, Json as JsonBody, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use sealog_crypto::{KeyKind, PrivateKey, Signer as _};
use sealog_identity::{Algorithm, jwk};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

const NOW_MS: u64 = 1_700_000_000_000;
const BROWSER: &str = "the browser's secret";

/// A GitHub with one person, who has these addresses.
async fn github(addresses: Value) -> String {
    let token = async |Form(form): Form<HashMap<String, String>>| {
        let right = form["client_id"] == "ours" && form["client_secret"] == "shared" && form["code"] == "c1";
        // Its errors come with 200.
        JsonBody(match right && form["code_verifier"].len() >= 43 {
            true => json!({"access_token": "t1", "token_type": "bearer", "scope": "user:email"}),
            false => json!({"error": "bad_verification_code"}),
        })
    };
    let allowed =
        |headers: &HeaderMap| headers["authorization"] == "Bearer t1" && headers.contains_key("user-agent");
    let user = async move |headers: HeaderMap| match allowed(&headers) {
        true => Ok(JsonBody(json!({"login": "jane", "id": 4711, "email": "shown@example.org"}))),
        false => Err(StatusCode::UNAUTHORIZED),
    };
    let emails = async move |State(all): State<Arc<Value>>, headers: HeaderMap| match allowed(&headers) {
        true => Ok(JsonBody((*all).clone())),
        false => Err(StatusCode::UNAUTHORIZED),
    };
    let router = Router::new()
        .route("/login/oauth/access_token", post(token))
        .route("/api/v3/user", get(user))
        .route("/api/v3/user/emails", get(emails))
        .with_state(Arc::new(addresses));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// Signs in there, and comes back with a code.
async fn through_github(addresses: Value, code: &str) -> Result<Person, UpstreamError> {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    crate::files::write_new(&secret, b"shared\n", crate::files::MODE_SECRET).unwrap();
    let issuer = github(addresses).await;
    let config: config::Config = toml::from_str(&format!(
        "listen = 'localhost:5556'\nurl = 'http://localhost:5556'\n[[upstreams]]\nname = 'forge'\ntype = 'github'\n\
         issuer = '{issuer}'\nclient_id = 'ours'\nclient_secret_file = '{}'\n",
        secret.display()
    ))
    .unwrap();
    let store = Store::open(&dir.path().join("state")).unwrap();
    let upstreams = Upstreams::new(&config, store, Clock::fixed(NOW_MS)).unwrap();
    let purpose = Purpose::Device { user_code: "ABCD".to_owned() };
    let url = upstreams.begin("forge", purpose, BROWSER, NOW_MS).await.unwrap();
    assert_eq!(url.path(), "/login/oauth/authorize");
    let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
    assert_eq!((asked["scope"].as_str(), asked["client_id"].as_str()), ("user:email", "ours"));
    let back =
        Return { path: CALLBACK_PATH, state: &asked["state"], code: Some(code), error: None, issuer: None };
    let (person, _) = upstreams.finish(&back, BROWSER, NOW_MS).await?;
    assert_eq!(person.connector_id, format!("{issuer}/login/oauth"));
    Ok(person)
}

#[tokio::test]
async fn a_provider_out_there_leads_to_nothing_inside() {
    let upstream = |more: &str| {
        let text = format!("name = 'a'\nissuer = 'https://issuer.example'\nclient_id = 'ours'\n{more}");
        One::new(&toml::from_str(&text).unwrap(), String::new()).unwrap()
    };
    let asked = async |one: One| {
        let request =
            Request::get(parse_url("https://10.0.0.1/token").unwrap()).timeout(Duration::from_millis(50));
        one.client.exchange(&request).await.unwrap_err()
    };
    assert!(matches!(asked(upstream("")).await, HttpError::Inside(_)));
    assert!(!matches!(asked(upstream("private_addresses = true")).await, HttpError::Inside(_)));
}

#[tokio::test]
async fn of_githubs_addresses_the_primary_one_counts_if_it_is_verified() {
    let address = |email: &str, primary: bool, verified: bool| json!({"email": email, "primary": primary, "verified": verified, "visibility": null});
    let (spare, main) = (address("spare@example.org", false, true), address("jane@example.org", true, true));
    let person = through_github(json!([spare, main]), "c1").await.unwrap();
    assert_eq!((person.address.as_str(), person.user_id.as_str()), ("jane@example.org", "4711"));

    let unverified = address("jane@example.org", true, false);
    let refused = through_github(json!([spare, unverified]), "c1").await;
    assert!(matches!(refused, Err(UpstreamError::NotVerified)), "{refused:?}");
    for none in [json!([spare]), json!([]), json!({"message": "Requires authentication"})] {
        let refused = through_github(none, "c1").await;
        assert!(matches!(refused, Err(UpstreamError::NoAddress)), "{refused:?}");
    }
    let refused = through_github(json!([main]), "guessed").await;
    assert!(matches!(refused, Err(UpstreamError::NoToken)), "{refused:?}");
}

#[test]
fn an_address_is_verified_only_where_its_provider_says_so() {
    let text = |text: &str| Json::Text(text.to_owned());
    let (usual, entra) = (UpstreamKind::Oidc, UpstreamKind::Microsoft);
    for said in [Json::Bool(true), text("true")] {
        assert!(is_verified(usual, Some(&said)) && is_verified(entra, Some(&said)));
    }
    for said in [Json::Integer(1), text("1")] {
        assert!(!is_verified(usual, Some(&said)) && is_verified(entra, Some(&said)));
    }
    for said in [Json::Bool(false), Json::Null, Json::Integer(2), text("false"), text(""), text("True")] {
        assert!(!is_verified(usual, Some(&said)) && !is_verified(entra, Some(&said)), "{said:?}");
    }
    assert!(!is_verified(usual, None) && !is_verified(entra, None));
    assert_ne!(verification_claim(usual), verification_claim(entra));
}

/// A provider that signs with a key which a test can change, under names that a test chooses.
#[derive(Clone)]
struct Signs(Arc<std::sync::Mutex<(PrivateKey, Option<&'static str>)>>);

impl Signs {
    fn change_to(&self, key_id: Option<&'static str>) {
        *self.0.lock().unwrap() = (PrivateKey::generate(KeyKind::Ed25519).unwrap(), key_id);
    }

    async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let document = json!({
            "issuer": url, "jwks_uri": format!("{url}/keys"), "token_endpoint": format!("{url}/token"),
            "authorization_endpoint": format!("{url}/auth"), "id_token_signing_alg_values_supported": ["EdDSA"],
        });
        let (published, signing, issuer) = (self.clone(), self.clone(), url.clone());
        let keys = async move || {
            let current = published.0.lock().unwrap();
            let mut key =
                jwk::encode(current.0.public_key(), current.1.unwrap_or("-"), Algorithm::EdDsa).unwrap();
            if current.1.is_none() {
                key.as_object_mut().unwrap().remove("kid");
            }
            JsonBody(json!({ "keys": [key] }))
        };
        // The code is the nonce: the test knows both.
        let token = async move |Form(form): Form<HashMap<String, String>>| {
            let current = signing.0.lock().unwrap();
            let claims = json!({
                "iss": issuer, "aud": "ours", "sub": "1", "exp": NOW_MS / 1000 + 600, "nonce": form["code"],
                "email": "jane@example.org", "email_verified": true,
            });
            let token = sealog_identity::issue::issue(&claims, current.1.unwrap_or("-"), &current.0).unwrap();
            let token = if current.1.is_some() { token } else { unnamed(&claims, &current.0) };
            JsonBody(json!({ "id_token": token, "token_type": "bearer" }))
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(async move || JsonBody(document)))
            .route("/keys", get(keys))
            .route("/token", post(token));
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }
}

/// A token whose header names no key.
fn unnamed(claims: &Value, key: &PrivateKey) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "EdDSA" })), part(claims));
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).unwrap()))
}

#[tokio::test]
async fn a_provider_changes_its_keys_under_whatever_name() {
    let signs = Signs(Arc::new(std::sync::Mutex::new((
        PrivateKey::generate(KeyKind::Ed25519).unwrap(),
        Some("one"),
    ))));
    let issuer = signs.serve().await;
    let config: config::Config = toml::from_str(&format!(
        "listen = 'localhost:5556'\nurl = 'http://localhost:5556'\n[[upstreams]]\nname = 'house'\n\
         issuer = '{issuer}'\nclient_id = 'ours'\n"
    ))
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("state")).unwrap();
    let now = Arc::new(AtomicU64::new(NOW_MS));
    let clock = Arc::clone(&now);
    let upstreams = Upstreams::new(&config, store, Clock::of(move || clock.load(SeqCst))).unwrap();
    let sign_in = async || {
        let purpose = Purpose::Device { user_code: "ABCD".to_owned() };
        let url = upstreams.begin("house", purpose, BROWSER, NOW_MS).await?;
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let (state, code) = (asked["state"].as_str(), Some(asked["nonce"].as_str()));
        let back = Return { path: CALLBACK_PATH, state, code, error: None, issuer: None };
        upstreams.finish(&back, BROWSER, NOW_MS).await
    };
    assert_eq!(sign_in().await.unwrap().0.address, "jane@example.org");
    for key_id in [Some("one"), Some("two"), None, None] {
        signs.change_to(key_id);
        // So soon after the last time it is not asked again, whoever wants it.
        let refused = sign_in().await;
        assert!(matches!(refused, Err(UpstreamError::Token(_))), "{key_id:?}: {refused:?}");
        now.fetch_add(5_000, SeqCst);
        sign_in().await.unwrap_or_else(|error| panic!("{key_id:?}: {error}"));
    }
}
