//! What a provider's answer is worth; GitHub's from a server that speaks its protocol on this machine, as GitHub documents it
//! for its Enterprise Server.

use super::*;
use crate::oidc::{config, grants::Purpose};
use axum::{
    Form, Json as JsonBody, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use sealog_crypto::{KeyKind, PrivateKey, Signer as _};
use sealog_identity::{Algorithm, issue::issue, jwk};
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

/// An OpenID provider: what it says of itself, in the token, and in UserInfo.
struct OpenId {
    discovery: Value,
    claims: Value,
    userinfo: Tells,
}

type Tells = fn() -> Response;

const SECRET: &str = "of two: a & b";

impl OpenId {
    /// One that says nothing of the address but in UserInfo.
    fn telling(userinfo: Tells) -> Self {
        Self { discovery: json!({}), claims: json!({}), userinfo }
    }

    /// Signs in there.
    async fn person(self, more: &str) -> Result<Person, UpstreamError> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = Arc::new(PrivateKey::generate(KeyKind::EcdsaP256).unwrap());
        let keys = json!({"keys": [jwk::encode(key.public_key(), "one", Algorithm::Es256).unwrap()]});
        let mut document = json!({
            "issuer": url, "jwks_uri": format!("{url}/keys"), "authorization_endpoint": format!("{url}/auth"),
            "token_endpoint": format!("{url}/token"), "userinfo_endpoint": format!("{url}/userinfo"),
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        merge(&mut document, &self.discovery);
        let methods = self.discovery.get("token_endpoint_auth_methods_supported").cloned();
        let in_form = methods.is_some_and(|methods| methods == json!(["client_secret_post"]));
        let (issuer, more_claims) = (url.clone(), self.claims);
        let token = async move |headers: HeaderMap, Form(form): Form<HashMap<String, String>>| {
            // Whoever says it in two ways is refused (RFC 6749 §2.3).
            let header = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
            let posted = (form.get("client_id").cloned(), form.get("client_secret").cloned());
            let right = match in_form {
                true => header.is_none() && posted == (Some("ours".to_owned()), Some(SECRET.to_owned())),
                false => {
                    let pair = STANDARD.encode("ours:of+two%3A+a+%26+b");
                    header == Some(format!("Basic {pair}")) && posted == (None, None)
                }
            };
            if !right {
                return Err((StatusCode::UNAUTHORIZED, JsonBody(json!({"error": "invalid_client"}))));
            }
            let seconds = i64::try_from(NOW_MS / 1000).unwrap();
            // The code is the nonce that was asked for.
            let mut claims = json!({
                "iss": issuer, "aud": "ours", "sub": "4711", "iat": seconds, "exp": seconds + 60,
                "nonce": form["code"],
            });
            merge(&mut claims, &more_claims);
            let id_token = issue(&claims, "one", &*key).unwrap();
            Ok(JsonBody(json!({"access_token": "t1", "token_type": "Bearer", "id_token": id_token})))
        };
        let userinfo = self.userinfo;
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(async move || JsonBody(document)))
            .route("/keys", get(async move || JsonBody(keys)))
            .route("/token", post(token))
            .route("/elsewhere", get(async || JsonBody(told("jane@example.org", json!(true)))))
            .route(
                "/userinfo",
                get(async move |headers: HeaderMap| match headers["authorization"] == "Bearer t1" {
                    true => userinfo(),
                    false => StatusCode::UNAUTHORIZED.into_response(),
                }),
            );
        tokio::spawn(async move { axum::serve(listener, router).await });

        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        crate::files::write_new(&secret, SECRET.as_bytes(), crate::files::MODE_SECRET).unwrap();
        let config: config::Config = toml::from_str(&format!(
            "listen = 'localhost:5556'\nurl = 'http://localhost:5556'\n[[upstreams]]\nname = 'corp'\nissuer = '{url}'\n\
             client_id = 'ours'\nclient_secret_file = '{}'\n{more}\n",
            secret.display()
        ))
        .unwrap();
        let store = Store::open(&dir.path().join("state")).unwrap();
        let upstreams = Upstreams::new(&config, store, Clock::fixed(NOW_MS)).unwrap();
        let purpose = Purpose::Device { user_code: "ABCD".to_owned() };
        let url = upstreams.begin("corp", purpose, BROWSER, NOW_MS).await?;
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        let code = Some(asked["nonce"].as_str());
        let back = Return { path: CALLBACK_PATH, state: &asked["state"], code, error: None, issuer: None };
        Ok(upstreams.finish(&back, BROWSER, NOW_MS).await?.0)
    }
}

fn merge(into: &mut Value, more: &Value) {
    let into = into.as_object_mut().unwrap();
    into.extend(more.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.clone())));
}

fn told(email: &str, verified: Value) -> Value {
    json!({"sub": "4711", "email": email, "email_verified": verified})
}

#[tokio::test]
async fn an_address_that_the_token_lacks_is_in_userinfo() {
    let good = || JsonBody(told("Jane@Example.org", json!(true))).into_response();
    let person = OpenId::telling(good).person("").await.unwrap();
    assert_eq!((person.address.as_str(), person.user_id.as_str()), ("Jane@example.org", "4711"));
    let empty = OpenId { claims: json!({"email": ""}), ..OpenId::telling(good) };
    assert_eq!(empty.person("").await.unwrap().address, "Jane@example.org");

    // What is in the token counts, and nobody asks further.
    let token = json!({"email": "lin@example.org", "email_verified": true});
    let both = OpenId { claims: token, ..OpenId::telling(good) };
    assert_eq!(both.person("").await.unwrap().address, "lin@example.org");
    // A document says of its own address alone that it was verified.
    let token = json!({"email": "lin@example.org"});
    let halves = OpenId { claims: token, ..OpenId::telling(good) };
    assert!(matches!(halves.person("").await, Err(UpstreamError::NotVerified)));
    let token = json!({"email_verified": true});
    let halves = || OpenId {
        claims: token.clone(),
        ..OpenId::telling(|| JsonBody(json!({"sub": "4711", "email": "jane@example.org"})).into_response())
    };
    assert!(matches!(halves().person("").await, Err(UpstreamError::NotVerified)));
    assert!(halves().person("skip_email_verification = true").await.is_ok());

    for userinfo in [
        || JsonBody(told("jane@example.org", json!(false))).into_response(),
        || JsonBody(told("jane@example.org", json!("yes"))).into_response(),
        || JsonBody(told("jane@example.org", json!(1))).into_response(),
    ] {
        let refused = OpenId::telling(userinfo).person("").await;
        assert!(matches!(refused, Err(UpstreamError::NotVerified)), "{refused:?}");
    }
    let nobody = || JsonBody(json!({"sub": "4711"})).into_response();
    assert!(matches!(OpenId::telling(nobody).person("").await, Err(UpstreamError::NoAddress)));
    let silent = OpenId { discovery: json!({"userinfo_endpoint": null}), ..OpenId::telling(good) };
    assert!(matches!(silent.person("").await, Err(UpstreamError::NoAddress)));
    // Entra's UserInfo says nothing of whether an address was proven.
    let entra = OpenId::telling(good).person("type = 'microsoft'\nskip_email_verification = true").await;
    assert!(matches!(entra, Err(UpstreamError::NoAddress)), "{entra:?}");
}

#[tokio::test]
async fn userinfo_of_somebody_else_or_from_elsewhere_is_not_believed() {
    let others: [(Tells, &str); 5] = [
        (
            || {
                JsonBody(json!({"sub": "4712", "email": "a@b.example", "email_verified": true}))
                    .into_response()
            },
            "sub",
        ),
        (|| JsonBody(json!({"email": "a@b.example", "email_verified": true})).into_response(), "sub"),
        (|| told("a@b.example", json!(true)).to_string().into_response(), "not JSON"),
        (|| ([("content-type", "application/jwt")], "e30.e30.").into_response(), "not JSON"),
        (
            || {
                let twice =
                    r#"{"sub":"4711","email":"a@b.example","email":"c@d.example","email_verified":true}"#;
                ([("content-type", "application/json")], twice).into_response()
            },
            "cannot be read",
        ),
    ];
    for (userinfo, words) in others {
        let refused = OpenId::telling(userinfo).person("").await.unwrap_err();
        assert!(matches!(refused, UpstreamError::UserInfo(_)), "{refused}");
        assert!(refused.to_string().contains(words), "{refused}");
    }
    let moved: [Tells; 3] = [
        || (StatusCode::FOUND, [("location", "/elsewhere")]).into_response(),
        || "a".repeat(MAX_ANSWER + 1).into_response(),
        || StatusCode::FORBIDDEN.into_response(),
    ];
    for userinfo in moved {
        let refused = OpenId::telling(userinfo).person("").await;
        assert!(matches!(refused, Err(UpstreamError::Http(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_secret_goes_where_the_provider_looks_for_it() {
    let good = || JsonBody(told("jane@example.org", json!(true))).into_response();
    for methods in [
        json!(["client_secret_post"]),
        json!(["client_secret_basic"]),
        json!(["client_secret_post", "client_secret_basic"]),
    ] {
        let discovery = json!({"token_endpoint_auth_methods_supported": methods});
        OpenId { discovery, ..OpenId::telling(good) }.person("").await.unwrap();
    }
    let discovery = json!({"token_endpoint_auth_methods_supported": ["private_key_jwt"]});
    let refused = OpenId { discovery, ..OpenId::telling(good) }.person("").await.unwrap_err();
    assert!(
        matches!(refused, UpstreamError::NoWayForSecret)
            && refused.to_string().contains("client_secret_post")
    );
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
    // Nor with a person's access token.
    for inside in ["https://169.254.169.254/userinfo", "http://localhost:80/userinfo"] {
        let token = Some(Zeroizing::new("t1".to_owned()));
        let refused = userinfo(&upstream(""), Some(inside), token, "4711").await.unwrap_err();
        assert!(matches!(refused, UpstreamError::Http(HttpError::Inside(_))), "{refused}");
    }
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
