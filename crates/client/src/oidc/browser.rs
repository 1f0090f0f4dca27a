//! Signing in through a browser: authorization code with PKCE, state and nonce.

use super::{AUDIENCE, IdentityToken, Loopback, MAX_DOCUMENT_BYTES, OidcError, Provider, loopback::Answer};
use crate::{
    clock,
    http::{self, Client, Request},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sealog_crypto::{Zeroizing, random_array, sha256};
use serde::Deserialize;
use std::time::Duration;

/// How a person signs in.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The client's name at the provider.
    pub client_id: String,
    /// Whether to start a browser; otherwise the address is only told.
    pub open_browser: bool,
    /// How long to wait for the person.
    pub patience: Duration,
}

impl Default for SignIn {
    fn default() -> Self {
        Self { client_id: AUDIENCE.to_owned(), open_browser: true, patience: Duration::from_secs(300) }
    }
}

/// What the person should be told while signing in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// A browser was started at this address.
    BrowserOpened(&'a str),
    /// There is no browser, or none was wanted: open this address in one on this machine.
    OpenThis(&'a str),
}

#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
}

/// Signs a person in and hands back their token.
///
/// # Errors
/// See [`OidcError`].
pub async fn sign_in(
    client: &Client,
    provider: &Provider,
    how: &SignIn,
    tell: impl Fn(Notice<'_>),
) -> Result<IdentityToken, OidcError> {
    http::keeps_secrets(&provider.authorization_endpoint)?;
    http::keeps_secrets(&provider.token_endpoint)?;
    let loopback = Loopback::open().await.map_err(OidcError::Listen)?;
    let redirect_uri = loopback.redirect_uri();
    let state = random_text()?;
    let nonce = random_text()?;
    let verifier = random_text()?;
    let mut url = provider.authorization_endpoint.clone();
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &how.client_id)
        .append_pair("redirect_uri", &redirect_uri)
        .append_pair("scope", "openid email")
        .append_pair("state", &state)
        .append_pair("nonce", &nonce)
        .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes())))
        .append_pair("code_challenge_method", "S256");
    let opened = how.open_browser && open(url.as_str());
    tell(if opened { Notice::BrowserOpened(url.as_str()) } else { Notice::OpenThis(url.as_str()) });

    let answer = tokio::time::timeout(how.patience, loopback.answer(&state, &provider.issuer))
        .await
        .map_err(|_| OidcError::NobodyCame(how.patience))?;
    let code = match answer {
        Answer::Code(code) => Zeroizing::new(code),
        Answer::Refused(words) => return Err(OidcError::Refused(http::readable(&words))),
    };
    let request = Request::post_form(
        provider.token_endpoint.clone(),
        &[
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &redirect_uri),
            ("code_verifier", &verifier),
            // A public client: a name, no secret.
            ("client_id", &how.client_id),
        ],
    )
    .accept("application/json")
    .limit(MAX_DOCUMENT_BYTES);
    let response = client.send(request).await?;
    let answer: TokenAnswer = serde_json::from_slice(&response.body).map_err(|_| OidcError::NoToken)?;
    let token = IdentityToken::parse(&Zeroizing::new(answer.id_token))?;
    belongs(&token, provider, &nonce)?;
    token.check(clock::unix_seconds())?;
    Ok(token)
}

/// OpenID Connect Core §3.1.3.7, as far as a client can without the provider's keys: the token came
/// straight from the token endpoint.
fn belongs(token: &IdentityToken, provider: &Provider, nonce: &str) -> Result<(), OidcError> {
    if token.claims().issuer != provider.issuer {
        return Err(OidcError::NotOurs("issuer"));
    }
    let given = token.claims().nonce.as_deref().unwrap_or_default();
    if sha256(given.as_bytes()) != sha256(nonce.as_bytes()) {
        return Err(OidcError::NotOurs("nonce"));
    }
    Ok(())
}

/// 256 random bits as unreserved characters.
fn random_text() -> Result<Zeroizing<String>, OidcError> {
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(random_array::<32>()?)))
}

/// Starts a browser, quietly.
fn open(url: &str) -> bool {
    let mut options = webbrowser::BrowserOptions::new();
    options.with_suppress_output(true);
    webbrowser::open_browser_with_options(webbrowser::Browser::Default, url, &options).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::token::tests::unsigned;

    #[test]
    fn a_token_of_another_sign_in_is_not_ours() {
        let url = http::parse_url("https://i.example/x").unwrap();
        let provider = Provider {
            issuer: "https://i.example".into(),
            authorization_endpoint: url.clone(),
            token_endpoint: url,
        };
        let token = |issuer: &str, nonce: Option<&str>| {
            let claims = serde_json::json!(
                {"iss": issuer, "sub": "s", "aud": "sigstore", "exp": 1, "nonce": nonce}
            );
            belongs(&IdentityToken::parse(&unsigned(&claims)).unwrap(), &provider, "n1")
        };
        token("https://i.example", Some("n1")).unwrap();
        assert!(matches!(token("https://i.example", Some("n2")), Err(OidcError::NotOurs("nonce"))));
        assert!(matches!(token("https://i.example", None), Err(OidcError::NotOurs("nonce"))));
        assert!(matches!(token("https://j.example", Some("n1")), Err(OidcError::NotOurs("issuer"))));
    }
}
