//! Google Cloud Key Management Service: a key version's public half, and its signatures.
//!
//! The REST form of the service (v1): `publicKey` and `asymmetricSign`, nothing else; [`credentials`] says where the
//! right to ask comes from. What the service answers is bytes: whoever asked verifies the signature, which makes
//! the checksums that it offers beside them needless.

pub mod credentials;

use crate::{
    clock,
    http::{Client, HttpError, Request, below, keeps_secrets, parse_url},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use credentials::{AccessToken, CredentialsError, Source};
use sealog_crypto::{HashAlgorithm, KeyError, PublicKey, Scheme};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::Mutex;
use url::Url;

/// The service's address.
const ENDPOINT: &str = "https://cloudkms.googleapis.com/";
/// Answers are a key or a signature.
const LIMIT: usize = 64 << 10;
/// The service answers in some milliseconds.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Waits before another try at a service that throttles or fails.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];
/// A token is fetched anew this long before it ends.
const RENEW_SECONDS: i64 = 300;

/// Why the service did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// The exchange failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// There is nothing to ask with.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// It refused.
    #[error("Google Cloud KMS refused with {code}: {message}")]
    Refused {
        /// The service's name for it.
        code: String,
        /// Its words.
        message: String,
    },
    /// It answered something else.
    #[error("Google Cloud KMS answered {status} without a word that is understood")]
    Answer {
        /// The status.
        status: u16,
    },
    /// The service does not sign so.
    #[error("Google Cloud KMS does not sign with {0}")]
    Scheme(Scheme),
    /// Not a public key we use.
    #[error("the key's public half is not usable")]
    Key(#[from] KeyError),
}

impl KmsError {
    /// Whether another try may go better.
    fn is_passing(&self) -> bool {
        match self {
            Self::Http(error) => error.is_unreachable(),
            Self::Refused { code, .. } => {
                matches!(
                    code.as_str(),
                    "UNAVAILABLE" | "RESOURCE_EXHAUSTED" | "INTERNAL" | "DEADLINE_EXCEEDED"
                )
            }
            Self::Answer { status } => *status >= 500 || *status == 429,
            _ => false,
        }
    }

    /// Whether the token was not accepted, so that a fresh one is worth a try.
    fn is_credentials(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "UNAUTHENTICATED")
    }
}

/// The service.
pub struct Kms {
    client: Client,
    endpoint: Url,
    source: Source,
    /// The token in use; behind a lock, so that many waiting requests fetch a new one once.
    token: Mutex<Option<Arc<AccessToken>>>,
}

impl Kms {
    /// The service, at its usual address unless another is given.
    ///
    /// # Errors
    /// When the address cannot be asked without giving requests away.
    pub fn new(endpoint: Option<&str>, source: Source) -> Result<Self, HttpError> {
        let endpoint = parse_url(endpoint.unwrap_or(ENDPOINT))?;
        keeps_secrets(&endpoint)?;
        Ok(Self { client: Client::new(), endpoint, source, token: Mutex::new(None) })
    }

    /// The public half of a key version, by its resource name.
    ///
    /// # Errors
    /// See [`KmsError`].
    pub async fn public_key(&self, name: &str) -> Result<PublicKey, KmsError> {
        let (status, answer) = self.ask(&format!("v1/{name}/publicKey"), None).await?;
        let pem = answer.get("pem").and_then(Value::as_str).ok_or(KmsError::Answer { status })?;
        Ok(PublicKey::from_pem(pem)?)
    }

    /// A signature over `message`: DER for ECDSA, raw for the others.
    ///
    /// # Errors
    /// See [`KmsError`].
    pub async fn sign(&self, name: &str, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, KmsError> {
        let digest = |hash: HashAlgorithm| BASE64.encode(hash.digest(message).as_bytes());
        let asked = match scheme {
            Scheme::Ecdsa(HashAlgorithm::Sha256) | Scheme::RsaPkcs1(HashAlgorithm::Sha256) => {
                json!({ "digest": { "sha256": digest(HashAlgorithm::Sha256) } })
            }
            Scheme::Ecdsa(HashAlgorithm::Sha384) => {
                json!({ "digest": { "sha384": digest(HashAlgorithm::Sha384) } })
            }
            Scheme::Ed25519 => json!({ "data": BASE64.encode(message) }),
            other => return Err(KmsError::Scheme(other)),
        };
        let (status, answer) = self.ask(&format!("v1/{name}:asymmetricSign"), Some(&asked)).await?;
        let text = answer.get("signature").and_then(Value::as_str).ok_or(KmsError::Answer { status })?;
        BASE64.decode(text).map_err(|_| KmsError::Answer { status })
    }

    async fn ask(&self, path: &str, asked: Option<&Value>) -> Result<(u16, Value), KmsError> {
        let mut pauses = PAUSES.iter();
        loop {
            let token = self.token().await?;
            let error = match self.ask_once(path, asked, &token).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if error.is_credentials() {
                self.forget(&token).await;
            } else if !error.is_passing() {
                return Err(error);
            }
            match pauses.next() {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => return Err(error),
            }
        }
    }

    async fn ask_once(
        &self,
        path: &str,
        asked: Option<&Value>,
        token: &AccessToken,
    ) -> Result<(u16, Value), KmsError> {
        let url = below(&self.endpoint, path);
        let request = match asked {
            Some(asked) => Request::post(url, "application/json", asked.to_string().into_bytes()),
            None => Request::get(url),
        };
        let request = request.limit(LIMIT).timeout(TIMEOUT).accept("application/json");
        let response = self.client.exchange(&request.authorization(&token.header())).await?;
        let answer: Option<Value> = serde_json::from_slice(&response.body).ok();
        match (response.status, answer) {
            (200, Some(answer)) => Ok((200, answer)),
            (status, answer) => Err(refusal(status, answer.as_ref())),
        }
    }

    async fn token(&self) -> Result<Arc<AccessToken>, CredentialsError> {
        let mut held = self.token.lock().await;
        let now = clock::unix_seconds();
        match &*held {
            Some(token) if token.lasts(now, RENEW_SECONDS) => Ok(Arc::clone(token)),
            old => match (self.source.fetch(&self.client, now).await, old) {
                (Ok(fetched), _) => Ok(Arc::clone(held.insert(Arc::new(fetched)))),
                // Still good for some minutes: whoever gives out new ones may be back by then.
                (Err(_), Some(old)) if old.lasts(now, 0) => Ok(Arc::clone(old)),
                (Err(error), _) => Err(error),
            },
        }
    }

    async fn forget(&self, refused: &Arc<AccessToken>) {
        let mut held = self.token.lock().await;
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, refused)) {
            *held = None;
        }
    }
}

impl std::fmt::Debug for Kms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kms({})", self.endpoint)
    }
}

fn refusal(status: u16, answer: Option<&Value>) -> KmsError {
    let member =
        |name: &str| answer.and_then(|answer| answer.get("error")?.get(name)?.as_str()).unwrap_or_default();
    let shown = |text: &str| text.chars().filter(|c| !c.is_control()).take(300).collect();
    match member("status") {
        "" => KmsError::Answer { status },
        code => KmsError::Refused { code: shown(code), message: shown(member("message")) },
    }
}

#[cfg(test)]
mod tests;
