//! AWS Key Management Service: a key's public half, and its signatures.
//!
//! The JSON 1.1 protocol of the service (API version 2014-11-01): `GetPublicKey` and `Sign`, nothing else. Two
//! calls do not need the vendor's kit, which would be a hundred crates; requests are signed in [`sigv4`], and
//! [`credentials`] says where the right to sign them comes from.
//!
//! What the service answers is bytes: whoever asked verifies the signature.

pub mod credentials;
mod sigv4;

use crate::{
    clock,
    http::{Client, HttpError, Request, keeps_secrets, parse_url},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use credentials::{Credentials, CredentialsError, Source};
use sealog_crypto::{HashAlgorithm, KeyError, PublicKey, Scheme};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::Mutex;
use url::Url;

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
/// Answers are a key or a signature.
const LIMIT: usize = 64 << 10;
/// Bytes of a message that the service hashes itself.
const MAX_MESSAGE: usize = 4096;
/// The service answers in some milliseconds.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Waits before another try at a service that throttles or fails.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(400)];
/// Credentials are fetched anew this long before they end.
const RENEW_SECONDS: i64 = 300;

/// Why the service did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum KmsError {
    /// The exchange failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// There is nothing to sign requests with.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// It refused.
    #[error("AWS KMS refused with {code}{}", if message.is_empty() { String::new() } else { format!(": {message}") })]
    Refused {
        /// The service's name for it.
        code: String,
        /// Its words.
        message: String,
    },
    /// It answered something else.
    #[error("AWS KMS answered {status} without a word that is understood")]
    Answer {
        /// The status.
        status: u16,
    },
    /// The key is not for signing.
    #[error("the key is for {0}, not for signing")]
    Usage(String),
    /// The service does not sign so.
    #[error("AWS KMS does not sign with {0}")]
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
                    "ThrottlingException" | "KMSInternalException" | "DependencyTimeoutException"
                )
            }
            Self::Answer { status } => *status >= 500,
            _ => false,
        }
    }

    /// Whether the credentials were not accepted, so that fresh ones are worth a try.
    fn is_credentials(&self) -> bool {
        let Self::Refused { code, .. } = self else { return false };
        matches!(
            code.as_str(),
            "ExpiredTokenException" | "UnrecognizedClientException" | "InvalidClientTokenId"
        )
    }
}

/// The service in one region.
pub struct Kms {
    client: Client,
    endpoint: Url,
    region: String,
    source: Source,
    /// Those in use; behind a lock, so that many waiting requests fetch new ones once.
    credentials: Mutex<Option<Arc<Credentials>>>,
}

impl Kms {
    /// The service of a region, at its usual address unless another is given.
    ///
    /// # Errors
    /// When the address cannot be asked without giving requests away.
    pub fn new(region: &str, endpoint: Option<&str>, source: Source) -> Result<Self, HttpError> {
        let usual = format!("https://kms.{region}.amazonaws.com/");
        let endpoint = parse_url(endpoint.unwrap_or(&usual))?;
        keeps_secrets(&endpoint)?;
        Ok(Self {
            client: Client::new(),
            endpoint,
            region: region.to_owned(),
            source,
            credentials: Mutex::new(None),
        })
    }

    /// The public half of a signing key, by id, ARN or alias.
    ///
    /// # Errors
    /// See [`KmsError`].
    pub async fn public_key(&self, id: &str) -> Result<PublicKey, KmsError> {
        let (status, answer) = self.ask("GetPublicKey", &json!({ "KeyId": id })).await?;
        match answer["KeyUsage"].as_str() {
            Some("SIGN_VERIFY") => {}
            other => return Err(KmsError::Usage(other.unwrap_or("nothing it names").to_owned())),
        }
        Ok(PublicKey::from_spki_der(&bytes(&answer, "PublicKey", status)?)?)
    }

    /// A signature over `message`: DER for ECDSA, raw for the others.
    ///
    /// # Errors
    /// See [`KmsError`].
    pub async fn sign(&self, id: &str, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>, KmsError> {
        let algorithm = match scheme {
            Scheme::Ecdsa(HashAlgorithm::Sha256) => "ECDSA_SHA_256",
            Scheme::Ecdsa(HashAlgorithm::Sha384) => "ECDSA_SHA_384",
            Scheme::Ecdsa(HashAlgorithm::Sha512) => "ECDSA_SHA_512",
            Scheme::RsaPkcs1(HashAlgorithm::Sha256) => "RSASSA_PKCS1_V1_5_SHA_256",
            Scheme::Ed25519 => "ED25519_SHA_512",
            other => return Err(KmsError::Scheme(other)),
        };
        let (kind, bytes_of) = match scheme.prehash() {
            // The service takes short messages only; of longer ones it wants the digest.
            Some(hash) if message.len() > MAX_MESSAGE => ("DIGEST", hash.digest(message).as_bytes().to_vec()),
            _ => ("RAW", message.to_vec()),
        };
        let asked = json!({
            "KeyId": id, "Message": BASE64.encode(bytes_of), "MessageType": kind, "SigningAlgorithm": algorithm,
        });
        let (status, answer) = self.ask("Sign", &asked).await?;
        bytes(&answer, "Signature", status)
    }

    async fn ask(&self, operation: &str, asked: &Value) -> Result<(u16, Value), KmsError> {
        let mut pauses = PAUSES.iter();
        loop {
            let credentials = self.credentials().await?;
            let error = match self.ask_once(operation, asked, &credentials).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if error.is_credentials() {
                self.forget(&credentials).await;
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
        operation: &str,
        asked: &Value,
        credentials: &Credentials,
    ) -> Result<(u16, Value), KmsError> {
        let body = asked.to_string().into_bytes();
        let target = format!("TrentService.{operation}");
        let mut request = Request::post(self.endpoint.clone(), CONTENT_TYPE, body.clone())
            .limit(LIMIT)
            .timeout(TIMEOUT)
            .accept("application/json");
        let signed = sigv4::headers(
            &sigv4::Scope { region: &self.region, service: "kms", at: clock::unix_seconds() },
            credentials,
            &self.endpoint,
            &[("content-type", CONTENT_TYPE), ("x-amz-target", &target)],
            &body,
        );
        request = request.authorization(&signed.authorization).header("x-amz-target", &target);
        request = request.header("x-amz-date", &signed.date);
        if let Some(token) = &credentials.session_token {
            request = request.header("x-amz-security-token", token);
        }
        let response = self.client.exchange(&request).await?;
        let answer: Option<Value> = serde_json::from_slice(&response.body).ok();
        match (response.status, answer) {
            (200, Some(answer)) => Ok((200, answer)),
            (status, answer) => Err(refusal(status, answer.as_ref())),
        }
    }

    async fn credentials(&self) -> Result<Arc<Credentials>, CredentialsError> {
        let mut held = self.credentials.lock().await;
        let now = clock::unix_seconds();
        match &*held {
            Some(credentials) if credentials.lasts(now, RENEW_SECONDS) => Ok(Arc::clone(credentials)),
            old => {
                let fetched = self.source.fetch(&self.client).await;
                match (fetched, old) {
                    (Ok(fetched), _) => Ok(Arc::clone(held.insert(Arc::new(fetched)))),
                    // Still good for some minutes: whoever gives out new ones may be back by then.
                    (Err(_), Some(old)) if old.lasts(now, 0) => Ok(Arc::clone(old)),
                    (Err(error), _) => Err(error),
                }
            }
        }
    }

    async fn forget(&self, refused: &Arc<Credentials>) {
        let mut held = self.credentials.lock().await;
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

fn bytes(answer: &Value, member: &str, status: u16) -> Result<Vec<u8>, KmsError> {
    let text = answer.get(member).and_then(Value::as_str).ok_or(KmsError::Answer { status })?;
    BASE64.decode(text).map_err(|_| KmsError::Answer { status })
}

fn refusal(status: u16, answer: Option<&Value>) -> KmsError {
    let member = |name: &str| answer.and_then(|answer| answer.get(name)?.as_str()).unwrap_or_default();
    // Some endpoints write the namespace before the name.
    let code = member("__type").rsplit('#').next().unwrap_or_default();
    if code.is_empty() {
        return KmsError::Answer { status };
    }
    let message = match member("message") {
        "" => member("Message"),
        message => message,
    };
    let shown = |text: &str| text.chars().filter(|c| !c.is_control()).take(300).collect();
    KmsError::Refused { code: shown(code), message: shown(message) }
}

#[cfg(test)]
mod tests;
