//! The browser flow against a provider in memory; the test plays the browser.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use axum::{
    Form, Json, Router,
    http::StatusCode,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sealog_client::{
    clock,
    http::{Client, HttpError, Request, parse_url},
    oidc::{IdentityToken, Notice, OidcError, Provider, SignIn, sign_in},
};
use sealog_crypto::sha256;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// What the browser carried to the provider.
type Asked = Arc<Mutex<HashMap<String, String>>>;

async fn provider(token_nonce: Option<&'static str>, pkce: bool) -> (Provider, Asked) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://localhost:{}", listener.local_addr().unwrap().port());
    let asked = Asked::default();
    let methods = if pkce { vec!["S256"] } else { vec!["plain"] };
    let discovery = serde_json::json!({
        "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth"),
        "token_endpoint": format!("{issuer}/token"), "code_challenge_methods_supported": methods,
    });
    let (remembered, token_issuer) = (asked.clone(), issuer.clone());
    let token = move |Form(form): Form<HashMap<String, String>>| {
        let asked = remembered.lock().unwrap().clone();
        let issuer = token_issuer.clone();
        async move {
            let proven = URL_SAFE_NO_PAD.encode(sha256(form["code_verifier"].as_bytes()));
            let good = form["code"] == "c0de"
                && form["grant_type"] == "authorization_code"
                && form["redirect_uri"] == asked["redirect_uri"]
                && proven == asked["code_challenge"];
            if !good {
                return Err((StatusCode::BAD_REQUEST, Json(serde_json::json!({"error": "invalid_grant"}))));
            }
            let claims = serde_json::json!({
                "iss": issuer, "sub": "s", "aud": "sigstore", "exp": clock::unix_seconds() + 60,
                "email": "ann@example.org", "email_verified": true,
                "nonce": token_nonce.map_or(asked["nonce"].clone(), str::to_owned),
            });
            let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
            Ok(Json(serde_json::json!({"access_token": token, "token_type": "Bearer", "id_token": token})))
        }
    };
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(move || async move { Json(discovery) }))
        .route("/token", post(token));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let endpoint = |path: &str| parse_url(&format!("{issuer}{path}")).unwrap();
    let provider = Provider {
        authorization_endpoint: endpoint("/auth"),
        token_endpoint: endpoint("/token"),
        device_endpoint: None,
        mail_endpoint: None,
        binds_keys: false,
        issuer: issuer.clone(),
    };
    (provider, asked)
}

async fn sign_in_with(
    provider: &Provider,
    asked: &Asked,
    answer: impl Fn(&HashMap<String, String>) -> String,
) -> Result<IdentityToken, OidcError> {
    let how = SignIn { open_browser: false, patience: Duration::from_secs(5), ..SignIn::default() };
    sign_in(&Client::new(), provider, &how, |notice| {
        let Notice::OpenThis(url) = notice else { panic!("no browser was wanted") };
        let query: HashMap<String, String> = parse_url(url).unwrap().query_pairs().into_owned().collect();
        let back = parse_url(&format!("{}?{}", query["redirect_uri"], answer(&query))).unwrap();
        *asked.lock().unwrap() = query;
        tokio::spawn(async move { Client::new().exchange(&Request::get(back)).await.unwrap() });
    })
    .await
}

#[tokio::test]
async fn a_person_signs_in() {
    let (provider, asked) = provider(None, true).await;
    let found = Provider::discover(&Client::new(), &provider.issuer).await.unwrap();
    assert_eq!(found.token_endpoint, provider.token_endpoint);
    let code = |query: &HashMap<String, String>| format!("code=c0de&state={}", query["state"]);
    let token = sign_in_with(&found, &asked, code).await.unwrap();
    assert_eq!(token.claims().shown_identity(), "ann@example.org");
    let asked = asked.lock().unwrap();
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "sigstore"),
        ("scope", "openid email"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(asked[name], value);
    }
    let port = asked["redirect_uri"].strip_prefix("http://localhost:").unwrap();
    assert!(port.strip_suffix("/auth/callback").unwrap().parse::<u16>().is_ok());
}

#[tokio::test]
async fn refusals_and_mixed_up_answers_give_no_token() {
    let (honest, asked) = provider(None, true).await;
    let denied = |query: &HashMap<String, String>| {
        format!("error=access_denied&error_description=not%20today&state={}", query["state"])
    };
    let error = sign_in_with(&honest, &asked, denied).await.unwrap_err();
    assert_eq!(error.to_string(), "the OpenID provider refused: not today");
    let wrong_code = |query: &HashMap<String, String>| format!("code=other&state={}", query["state"]);
    let error = sign_in_with(&honest, &asked, wrong_code).await.unwrap_err();
    assert!(error.to_string().ends_with("/token answered 400: invalid_grant"), "{error}");

    let (mixed, asked) = provider(Some("another"), true).await;
    let code = |query: &HashMap<String, String>| format!("code=c0de&state={}", query["state"]);
    let error = sign_in_with(&mixed, &asked, code).await.unwrap_err();
    assert!(matches!(error, OidcError::NotOurs("nonce")), "{error}");
}

#[tokio::test]
async fn providers_without_pkce_or_of_another_name_are_not_used() {
    let (plain, _) = provider(None, false).await;
    let error = Provider::discover(&Client::new(), &plain.issuer).await.unwrap_err();
    assert!(matches!(error, OidcError::NoPkce(_)), "{error}");
    let (honest, _) = provider(None, true).await;
    let other = honest.issuer.replace("localhost", "127.0.0.1");
    let error = Provider::discover(&Client::new(), &other).await.unwrap_err();
    assert!(matches!(error, OidcError::OtherIssuer { .. }), "{error}");
    let error = Provider::discover(&Client::new(), "not a url").await.unwrap_err();
    assert_eq!(error.to_string(), "`not a url` is not an http or https URL");
    let error = Provider::discover(&Client::new(), "http://192.0.2.1").await.unwrap_err();
    assert!(matches!(error, OidcError::Http(HttpError::Cleartext(_))), "{error}");
}
