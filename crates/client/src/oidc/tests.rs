//! What a provider says of itself.

use super::*;
use axum::{Router, routing::get};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// A provider on this machine that says what it is told to; `SELF` stands for its own address.
async fn provider() -> (String, Arc<Mutex<serde_json::Value>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let says = Arc::new(Mutex::new(json!({
        "issuer": url, "authorization_endpoint": format!("{url}/auth"), "token_endpoint": format!("{url}/token"),
        "code_challenge_methods_supported": ["plain", "S256"],
    })));
    let said = Arc::clone(&says);
    let document = async move || said.lock().unwrap().to_string();
    let router = Router::new().route("/.well-known/openid-configuration", get(document));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, says)
}

#[tokio::test]
async fn a_provider_speaks_for_itself_alone() {
    let (url, says) = provider().await;
    let ask = async |issuer: &str| Provider::discover(&Client::new(), issuer).await;
    assert_eq!(ask(&url).await.unwrap().issuer, url);
    // People write it with and without; the provider's own spelling counts.
    assert_eq!(ask(&format!("{url}/")).await.unwrap().issuer, url);
    for other in
        ["https://issuer.example", &format!("{url}/x"), &url.replace("http", "HTTP"), &format!("{url}0")]
    {
        says.lock().unwrap()["issuer"] = json!(other);
        let refused = ask(&url).await;
        assert!(matches!(refused, Err(OidcError::OtherIssuer { .. })), "{other}: {refused:?}");
    }
}

#[tokio::test]
async fn a_provider_without_pkce_is_not_signed_in_at() {
    let (url, says) = provider().await;
    for methods in [json!(["plain"]), json!([]), json!(["s256"])] {
        says.lock().unwrap()["code_challenge_methods_supported"] = methods;
        let refused = Provider::discover(&Client::new(), &url).await;
        assert!(matches!(refused, Err(OidcError::NoPkce(_))), "{refused:?}");
    }
    *says.lock().unwrap() = json!({ "issuer": url });
    let refused = Provider::discover(&Client::new(), &url).await;
    assert!(matches!(refused, Err(OidcError::NotDiscovery { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_provider_is_not_asked_in_the_open() {
    let refused = Provider::discover(&Client::new(), "http://192.0.2.1").await;
    assert!(matches!(refused, Err(OidcError::Http(_))), "{refused:?}");
}
