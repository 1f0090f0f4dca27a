//! Signing in through a browser: authorization code with PKCE, state and nonce.
//!
//! The browser comes back to a port of this machine, or, where none can be reached, the person carries the code over.

use super::{
    AUDIENCE, IdentityToken, Loopback, MAX_DOCUMENT_BYTES, OidcError, Provider, TokenAnswer,
    loopback::Answer, random_text,
};
use crate::{
    clock,
    http::{self, Client, Request},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sealog_crypto::{Zeroizing, sha256};
use std::{io, time::Duration};
use url::Url;

/// The address that means: show the code to the person.
const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";
/// A longer line is no code.
const MAX_CODE_BYTES: usize = 4096;

/// How a person signs in.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The client's name at the provider.
    pub client_id: String,
    /// Whether to start a browser; otherwise the address is only told.
    pub open_browser: bool,
    /// Whom the token must be made for.
    pub audience: String,
    /// The provider behind the provider, where it has several: its page need not ask.
    pub connector_id: Option<String>,
    /// The key that the token is to be bound to, where the provider offers that: its thumbprint (RFC 7638) in base64url.
    pub key_thumbprint: Option<String>,
    /// How long to wait for the person.
    pub patience: Duration,
}

impl SignIn {
    /// The parameters that a provider understands.
    pub(super) fn wishes<'a>(&'a self, provider: &Provider) -> impl Iterator<Item = (&'static str, &'a str)> {
        let key = self.key_thumbprint.as_deref().filter(|_| provider.binds_keys);
        let connector = self.connector_id.as_deref();
        [("connector_id", connector), ("dpop_jkt", key)]
            .into_iter()
            .filter_map(|(name, value)| value.map(|value| (name, value)))
    }

    /// What the provider answered, where it is a token for us: of this provider, bound to our key if it binds any.
    pub(super) fn ours(&self, provider: &Provider, answer: &[u8]) -> Result<IdentityToken, OidcError> {
        let answer: TokenAnswer = serde_json::from_slice(answer).map_err(|_| OidcError::NoToken)?;
        let token = IdentityToken::parse(&Zeroizing::new(answer.id_token))?.made_for(&self.audience);
        if token.claims().issuer != provider.issuer {
            return Err(OidcError::NotOurs("issuer"));
        }
        if provider.binds_keys && token.claims().key_thumbprint != self.key_thumbprint {
            return Err(OidcError::NotOurs("key"));
        }
        Ok(token)
    }
}

impl Default for SignIn {
    fn default() -> Self {
        Self {
            client_id: AUDIENCE.to_owned(),
            open_browser: true,
            audience: AUDIENCE.to_owned(),
            connector_id: None,
            key_thumbprint: None,
            patience: Duration::from_secs(300),
        }
    }
}

/// What the person should be told while signing in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<'a> {
    /// A browser is about to be started at this address.
    Opening(&'a str),
    /// There is no browser, or none was wanted: open this address in one on this machine.
    OpenThis(&'a str),
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
    let loopback = Loopback::open().await.map_err(OidcError::Listen)?;
    let asked = Asked::new(provider, how, loopback.redirect_uri())?;
    let url = asked.url();
    tell(if how.open_browser { Notice::Opening(url.as_str()) } else { Notice::OpenThis(url.as_str()) });
    if how.open_browser {
        open(url.as_str());
    }
    let answer = tokio::time::timeout(how.patience, loopback.answer(&asked.state, &provider.issuer))
        .await
        .map_err(|_| OidcError::NobodyCame(how.patience))?;
    match answer {
        Answer::Code(code) => asked.redeem(client, &Zeroizing::new(code)).await,
        Answer::Refused(words) => Err(OidcError::Refused(http::readable(&words))),
    }
}

/// Signs a person in whose browser is elsewhere: they open an address there, and type the code that its page shows here.
///
/// # Errors
/// See [`OidcError`].
pub async fn sign_in_by_paste(
    client: &Client,
    provider: &Provider,
    how: &SignIn,
    ask: impl FnOnce(&str) -> io::Result<String> + Send + 'static,
) -> Result<IdentityToken, OidcError> {
    let asked = Asked::new(provider, how, OUT_OF_BAND.to_owned())?;
    let url = asked.url();
    // Nobody can be hurried at a keyboard, and nothing else waits for this.
    let typed = tokio::task::spawn_blocking(move || ask(url.as_str())).await;
    let typed =
        Zeroizing::new(typed.unwrap_or_else(|e| Err(io::Error::other(e))).map_err(OidcError::Keyboard)?);
    let code = typed.trim();
    if code.is_empty() || code.len() > MAX_CODE_BYTES || !code.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(OidcError::NotACode);
    }
    asked.redeem(client, code).await
}

/// One sign-in, from its address to its token.
struct Asked<'a> {
    provider: &'a Provider,
    how: &'a SignIn,
    redirect_uri: String,
    state: Zeroizing<String>,
    nonce: Zeroizing<String>,
    verifier: Zeroizing<String>,
}

impl<'a> Asked<'a> {
    fn new(provider: &'a Provider, how: &'a SignIn, redirect_uri: String) -> Result<Self, OidcError> {
        http::keeps_secrets(&provider.authorization_endpoint)?;
        http::keeps_secrets(&provider.token_endpoint)?;
        let (state, nonce, verifier) = (random_text()?, random_text()?, random_text()?);
        Ok(Self { provider, how, redirect_uri, state, nonce, verifier })
    }

    fn url(&self) -> Url {
        let mut url = self.provider.authorization_endpoint.clone();
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.how.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("scope", "openid email")
            .append_pair("state", &self.state)
            .append_pair("nonce", &self.nonce)
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(sha256(self.verifier.as_bytes())))
            .append_pair("code_challenge_method", "S256");
        query.extend_pairs(self.how.wishes(self.provider));
        drop(query);
        url
    }

    async fn redeem(&self, client: &Client, code: &str) -> Result<IdentityToken, OidcError> {
        let request = Request::post_form(
            self.provider.token_endpoint.clone(),
            &[
                ("grant_type", "authorization_code"),
                ("code", code),
                ("redirect_uri", &self.redirect_uri),
                ("code_verifier", &self.verifier),
                // A public client: a name, no secret.
                ("client_id", &self.how.client_id),
            ],
        )
        .accept("application/json")
        .limit(MAX_DOCUMENT_BYTES);
        let response = client.send(request).await?;
        let token = self.how.ours(self.provider, &response.body)?;
        belongs(&token, &self.nonce)?;
        token.check(clock::unix_seconds())?;
        Ok(token)
    }
}

/// OpenID Connect Core §3.1.3.7, as far as a client can without the provider's keys: the token came
/// straight from the token endpoint.
fn belongs(token: &IdentityToken, nonce: &str) -> Result<(), OidcError> {
    let given = token.claims().nonce.as_deref().unwrap_or_default();
    if sha256(given.as_bytes()) != sha256(nonce.as_bytes()) {
        return Err(OidcError::NotOurs("nonce"));
    }
    Ok(())
}

/// Starts a browser, quietly; where none starts, the person has the address.
fn open(url: &str) {
    let mut options = webbrowser::BrowserOptions::new();
    options.with_suppress_output(true);
    let _ = webbrowser::open_browser_with_options(webbrowser::Browser::Default, url, &options);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::token::tests::unsigned;

    #[test]
    fn a_token_of_another_sign_in_is_not_ours() {
        let url = http::parse_url("https://i.example/x").unwrap();
        let provider = |binds_keys| Provider {
            issuer: "https://i.example".into(),
            authorization_endpoint: url.clone(),
            token_endpoint: url.clone(),
            device_endpoint: None,
            mail_endpoint: None,
            binds_keys,
        };
        let how = SignIn { key_thumbprint: Some("k1".to_owned()), ..SignIn::default() };
        let token = |issuer: &str, nonce: Option<&str>, key: Option<&str>, binds_keys| {
            let claims = serde_json::json!(
                {"iss": issuer, "sub": "s", "aud": "sigstore", "exp": 1, "nonce": nonce, "cnf": {"jkt": key}}
            );
            let answer = serde_json::json!({"id_token": unsigned(&claims)}).to_string();
            how.ours(&provider(binds_keys), answer.as_bytes()).and_then(|token| belongs(&token, "n1"))
        };
        let (own, mine) = ("https://i.example", Some("k1"));
        token(own, Some("n1"), mine, true).unwrap();
        token(own, Some("n1"), None, false).unwrap();
        assert!(matches!(token(own, Some("n2"), mine, true), Err(OidcError::NotOurs("nonce"))));
        assert!(matches!(token(own, None, mine, true), Err(OidcError::NotOurs("nonce"))));
        assert!(matches!(
            token("https://j.example", Some("n1"), mine, true),
            Err(OidcError::NotOurs("issuer"))
        ));
        for key in [None, Some("k2")] {
            assert!(matches!(token(own, Some("n1"), key, true), Err(OidcError::NotOurs("key"))), "{key:?}");
        }
        let asked = |binds_keys| how.wishes(&provider(binds_keys)).collect::<Vec<_>>();
        assert_eq!((asked(true), asked(false)), (vec![("dpop_jkt", "k1")], vec![]));
    }
}
