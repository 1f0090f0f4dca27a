//! Signing in on another device (RFC 8628): this machine shows a short code, the person types it into a page elsewhere.
//!
//! With PKCE, so that who overhears the device code cannot take the token. The page must say which device asked and from
//! where; a person who did not start this must refuse there.

use super::{DEVICE_GRANT, IdentityToken, MAX_DOCUMENT_BYTES, OidcError, Provider, SignIn, random_text};
use crate::{
    clock,
    http::{self, Client, HttpError, Request},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sealog_crypto::{Zeroizing, sha256};
use serde::Deserialize;
use std::time::{Duration, Instant};

/// RFC 8628 §3.2: where the provider does not say.
const INTERVAL: Duration = Duration::from_secs(5);
/// RFC 8628 §3.5.
const SLOWER: Duration = Duration::from_secs(5);
/// Nobody waits longer between two questions, whatever a provider says.
const MAX_INTERVAL: Duration = Duration::from_secs(60);
/// A code that a person types is short.
const MAX_USER_CODE: usize = 64;

/// What the person needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCode {
    /// The page to open on any device.
    pub page: String,
    /// The code to type there.
    pub user_code: String,
}

#[derive(Deserialize)]
pub(super) struct Started {
    device_code: String,
    user_code: String,
    verification_uri: Option<String>,
    /// The name that Google and old Dex use; some send both.
    verification_url: Option<String>,
    expires_in: Option<u64>,
    interval: Option<u64>,
}

/// RFC 6749 §5.2.
#[derive(Deserialize)]
pub(super) struct Refusal {
    pub(super) error: String,
    pub(super) error_description: Option<String>,
}

impl From<Refusal> for OidcError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(http::readable(&refusal.error_description.unwrap_or(refusal.error)))
    }
}

/// Signs in a person who has another device at hand.
///
/// # Errors
/// See [`OidcError`].
pub async fn sign_in_on_device(
    client: &Client,
    provider: &Provider,
    how: &SignIn,
    tell: impl Fn(&DeviceCode),
) -> Result<IdentityToken, OidcError> {
    let (waiting, started) = Waiting::begin(client, provider, how).await?;
    tell(&shown(&started)?);
    tokio::time::sleep(waiting.interval).await;
    waiting.token().await
}

/// A device's sign-in that somebody has to answer.
pub(super) struct Waiting<'a> {
    client: &'a Client,
    provider: &'a Provider,
    how: &'a SignIn,
    /// The device's own secret.
    pub(super) device_code: Zeroizing<String>,
    verifier: Zeroizing<String>,
    interval: Duration,
    patience: Duration,
}

impl<'a> Waiting<'a> {
    /// RFC 8628 §3.1, with PKCE.
    pub(super) async fn begin(
        client: &'a Client,
        provider: &'a Provider,
        how: &'a SignIn,
    ) -> Result<(Self, Started), OidcError> {
        let endpoint = provider.device_endpoint.clone().ok_or(OidcError::NoDevices)?;
        http::keeps_secrets(&endpoint)?;
        http::keeps_secrets(&provider.token_endpoint)?;
        let verifier = random_text()?;
        let challenge = URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes()));
        let mut fields = vec![
            ("client_id", how.client_id.as_str()),
            ("scope", "openid email"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        fields.extend(how.wishes(provider));
        let request =
            Request::post_form(endpoint, &fields).accept("application/json").limit(MAX_DOCUMENT_BYTES);
        let answer = client.send(request).await?;
        let mut started: Started =
            serde_json::from_slice(&answer.body).map_err(|_| OidcError::NoDeviceCode)?;
        let device_code = Zeroizing::new(std::mem::take(&mut started.device_code));
        let patience = started.expires_in.map_or(how.patience, Duration::from_secs).min(how.patience);
        let interval = started.interval.map_or(INTERVAL, Duration::from_secs);
        let interval = interval.clamp(Duration::from_secs(1), MAX_INTERVAL);
        Ok((Self { client, provider, how, device_code, verifier, interval, patience }, started))
    }

    /// Asks whether somebody answered, at once and from time to time, until somebody did.
    pub(super) async fn token(self) -> Result<IdentityToken, OidcError> {
        let mut interval = self.interval;
        let since = Instant::now();
        while since.elapsed() < self.patience {
            let request = Request::post_form(
                self.provider.token_endpoint.clone(),
                &[
                    ("grant_type", DEVICE_GRANT),
                    ("device_code", &self.device_code),
                    ("client_id", &self.how.client_id),
                    ("code_verifier", &self.verifier),
                ],
            );
            let request = request.accept("application/json").limit(MAX_DOCUMENT_BYTES);
            match self.client.exchange(&request).await {
                Ok(answer) if answer.status == 200 => {
                    let token = self.how.ours(self.provider, &answer.body)?;
                    token.check(clock::unix_seconds())?;
                    return Ok(token);
                }
                Ok(answer) => {
                    let refusal: Refusal =
                        serde_json::from_slice(&answer.body).map_err(|_| OidcError::NoToken)?;
                    match refusal.error.as_str() {
                        "authorization_pending" => {}
                        "slow_down" => interval = interval.saturating_add(SLOWER).min(MAX_INTERVAL),
                        "expired_token" => return Err(OidcError::NobodyCame(since.elapsed())),
                        _ => return Err(refusal.into()),
                    }
                }
                // RFC 8628 §3.5: a connection that failed is no answer; the next question comes later.
                Err(
                    HttpError::Unreachable { .. } | HttpError::TimedOut { .. } | HttpError::Broken { .. },
                ) => interval = interval.saturating_mul(2).min(MAX_INTERVAL),
                Err(other) => return Err(other.into()),
            }
            tokio::time::sleep(interval).await;
        }
        Err(OidcError::NobodyCame(self.patience))
    }
}

/// What is put on the screen: an address that can be opened, and a code that can be typed.
fn shown(started: &Started) -> Result<DeviceCode, OidcError> {
    let page = started.verification_uri.as_ref().or(started.verification_url.as_ref());
    let page = page.and_then(|text| http::parse_url(text).ok());
    let page = page.ok_or(OidcError::NoDeviceCode)?;
    http::keeps_secrets(&page)?;
    let code = &started.user_code;
    match !code.is_empty() && code.len() <= MAX_USER_CODE && code.bytes().all(|b| b.is_ascii_graphic()) {
        true => Ok(DeviceCode { page: page.into(), user_code: code.clone() }),
        false => Err(OidcError::NoDeviceCode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::token::tests::unsigned;
    use axum::{Router, body::Bytes, http::StatusCode, routing::post};
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};

    /// A provider that answers its token endpoint with these, one after the other.
    async fn provider(started: Value, answers: Vec<(u16, Value)>) -> (Provider, Arc<Mutex<Vec<String>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (first, second) = (Arc::clone(&asked), Arc::clone(&asked));
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let router = Router::new()
            .route(
                "/device",
                post(async move |body: Bytes| {
                    first.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
                    started.to_string()
                }),
            )
            .route(
                "/token",
                post(async move |body: Bytes| {
                    second.lock().unwrap().push(String::from_utf8(body.to_vec()).unwrap());
                    let (status, answer) = answers.lock().unwrap().next().unwrap();
                    (StatusCode::from_u16(status).unwrap(), answer.to_string())
                }),
            );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let at = |path: &str| http::parse_url(&format!("{url}{path}")).unwrap();
        let provider = Provider {
            issuer: "https://i.example".to_owned(),
            authorization_endpoint: at("/auth"),
            token_endpoint: at("/token"),
            device_endpoint: Some(at("/device")),
            mail_endpoint: None,
            binds_keys: false,
        };
        (provider, asked)
    }

    fn started() -> Value {
        json!({"device_code": "secret", "user_code": "ABCD-EFGH", "verification_uri": "https://i.example/device",
            "verification_url": "https://i.example/old", "expires_in": 300, "interval": 1})
    }

    fn token(issuer: &str) -> Value {
        let soon = clock::unix_seconds() + 300;
        json!({"id_token": unsigned(&json!({"iss": issuer, "sub": "me", "aud": "sigstore", "exp": soon}))})
    }

    async fn outcome(started: Value, answers: Vec<(u16, Value)>) -> Result<IdentityToken, OidcError> {
        let (provider, _) = provider(started, answers).await;
        sign_in_on_device(&Client::new(), &provider, &SignIn::default(), |_| ()).await
    }

    #[tokio::test]
    async fn a_person_elsewhere_agrees() {
        let pending = (400, json!({"error": "authorization_pending"}));
        let (provider, asked) = provider(started(), vec![pending, (200, token("https://i.example"))]).await;
        let told = Mutex::new(Vec::new());
        let how = SignIn { connector_id: Some("https://github.com/login/oauth".into()), ..SignIn::default() };
        let tell = |code: &DeviceCode| told.lock().unwrap().push(code.clone());
        let token = sign_in_on_device(&Client::new(), &provider, &how, tell).await.unwrap();
        assert_eq!(token.claims().subject, "me");
        let page = DeviceCode { page: "https://i.example/device".into(), user_code: "ABCD-EFGH".into() };
        assert_eq!(*told.lock().unwrap(), [page]);
        let asked = asked.lock().unwrap();
        let field = |body: &str, name: &str| {
            url::form_urlencoded::parse(body.as_bytes())
                .find(|(key, _)| key == name)
                .map(|(_, v)| v.into_owned())
        };
        assert_eq!(field(&asked[0], "connector_id").as_deref(), Some("https://github.com/login/oauth"));
        let verifier = field(&asked[1], "code_verifier").unwrap();
        assert_eq!(
            field(&asked[0], "code_challenge"),
            Some(URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes())))
        );
        assert_eq!(field(&asked[2], "device_code").as_deref(), Some("secret"));
    }

    #[tokio::test]
    async fn what_does_not_end_with_a_token() {
        let refused = |error: &str| vec![(400, json!({"error": error}))];
        let denied = outcome(started(), refused("access_denied")).await;
        assert!(
            matches!(&denied, Err(OidcError::Refused(words)) if &**words == "access_denied"),
            "{denied:?}"
        );
        let late = outcome(started(), refused("expired_token")).await;
        assert!(matches!(late, Err(OidcError::NobodyCame(_))), "{late:?}");
        let other = outcome(started(), vec![(200, token("https://other.example"))]).await;
        assert!(matches!(other, Err(OidcError::NotOurs("issuer"))), "{other:?}");
        let nothing = outcome(started(), vec![(200, json!({}))]).await;
        assert!(matches!(nothing, Err(OidcError::NoToken)), "{nothing:?}");
        let mut short = started();
        short["expires_in"] = json!(0);
        assert!(matches!(outcome(short, vec![]).await, Err(OidcError::NobodyCame(_))));
        for (name, odd) in [
            ("user_code", json!("A\u{1b}[2J")),
            ("user_code", json!("")),
            ("verification_uri", json!("javascript:alert(1)")),
            ("verification_uri", json!("")),
        ] {
            let mut started = started();
            started[name] = odd;
            assert!(matches!(outcome(started, vec![]).await, Err(OidcError::NoDeviceCode)), "{name}");
        }
        let mut plain = started();
        plain["verification_uri"] = json!("http://i.example/device");
        assert!(matches!(outcome(plain, vec![]).await, Err(OidcError::Http(HttpError::Cleartext(_)))));
    }
}
