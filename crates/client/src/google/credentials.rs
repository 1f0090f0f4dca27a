//! Where the right to ask Google Cloud comes from: a service account's key, or the machine's metadata server.
//!
//! `GOOGLE_APPLICATION_CREDENTIALS` names the file of a service account, whose key signs a claim that is exchanged
//! for a token (RFC 7523); without it the metadata server of Compute Engine, GKE and Cloud Run gives one. Not here:
//! workload identity federation from outside, and people's own logins. Secrets are wiped when dropped, and in no error.

use crate::http::{Client, HttpError, Request, below, keeps_secrets, parse_url};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD},
};
use sealog_crypto::{PrivateKey, SignError, Signer as _, Zeroizing};
use serde::Deserialize;
use serde_json::json;
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use url::Url;

const LIMIT: usize = 64 << 10;
const TIMEOUT: Duration = Duration::from_secs(3);
const METADATA: &str = "http://metadata.google.internal/";
const METADATA_TOKEN: &str = "computeMetadata/v1/instance/service-accounts/default/token";
const SCOPE: &str = "https://www.googleapis.com/auth/cloudkms";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long a claim is good: the most that is accepted.
const CLAIM_SECONDS: i64 = 3600;

/// What requests carry.
pub struct AccessToken {
    text: Zeroizing<String>,
    /// Unix seconds.
    ends: i64,
}

impl AccessToken {
    pub(super) fn header(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Bearer {}", self.text.as_str()))
    }

    pub(super) fn lasts(&self, now: i64, seconds: i64) -> bool {
        now.saturating_add(seconds) < self.ends
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken")
    }
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file is not there.
    #[error("cannot read the service account in {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not a service account's.
    #[error("{} is not the key of a service account", .0.display())]
    NotAnAccount(PathBuf),
    /// Where the claim would go.
    #[error("the service account's `token_uri` cannot be asked")]
    TokenUri(#[source] HttpError),
    /// The endpoint failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The claim was not signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// It answered something else.
    #[error("what gives Google Cloud tokens answered something else")]
    Answer,
}

/// Who gives tokens.
#[derive(Clone)]
pub enum Source {
    /// The machine's metadata server.
    Metadata(Url),
    /// A service account.
    Account(Arc<Account>),
}

/// A service account, with its key.
pub struct Account {
    email: String,
    key_id: String,
    key: PrivateKey,
    token_uri: Url,
}

/// Its file.
#[derive(Deserialize)]
struct File {
    client_email: String,
    private_key_id: String,
    private_key: String,
    token_uri: String,
}

/// What both endpoints answer.
#[derive(Deserialize)]
struct Answer {
    access_token: String,
    expires_in: i64,
}

impl Source {
    /// What the environment says; `variable` reads it.
    ///
    /// # Errors
    /// See [`CredentialsError`].
    pub fn find(variable: impl Fn(&str) -> Option<String>) -> Result<Self, CredentialsError> {
        match variable("GOOGLE_APPLICATION_CREDENTIALS").filter(|value| !value.is_empty()) {
            Some(path) => Ok(Self::Account(Arc::new(Account::read(Path::new(&path))?))),
            None => Ok(Self::Metadata(parse_url(METADATA)?)),
        }
    }

    pub(super) async fn fetch(&self, client: &Client, now: i64) -> Result<AccessToken, CredentialsError> {
        let request = match self {
            Self::Metadata(base) => {
                Request::get(below(base, METADATA_TOKEN)).header("metadata-flavor", "Google").past_proxy()
            }
            Self::Account(account) => {
                let claim = account.claim(now)?;
                Request::post_form(account.token_uri.clone(), &[("grant_type", GRANT), ("assertion", &claim)])
            }
        };
        let response = client.send(request.limit(LIMIT).timeout(TIMEOUT)).await?;
        let answer: Answer = serde_json::from_slice(&response.body).map_err(|_| CredentialsError::Answer)?;
        Ok(AccessToken {
            text: Zeroizing::new(answer.access_token),
            ends: now.saturating_add(answer.expires_in),
        })
    }
}

impl Account {
    fn read(path: &Path) -> Result<Self, CredentialsError> {
        use std::io::Read as _;
        let failed = |source| CredentialsError::File { path: path.to_owned(), source };
        let not_one = || CredentialsError::NotAnAccount(path.to_owned());
        let mut text = Zeroizing::new(Vec::new());
        let file = std::fs::File::open(path).map_err(failed)?;
        let limit = u64::try_from(LIMIT).unwrap_or(u64::MAX);
        file.take(limit).read_to_end(&mut text).map_err(failed)?;
        let file: File = serde_json::from_slice(&text).map_err(|_| not_one())?;
        let pem = Zeroizing::new(file.private_key);
        let body: Zeroizing<String> =
            Zeroizing::new(pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect());
        let der = Zeroizing::new(BASE64.decode(body.as_bytes()).map_err(|_| not_one())?);
        let token_uri = parse_url(&file.token_uri).map_err(CredentialsError::TokenUri)?;
        keeps_secrets(&token_uri).map_err(CredentialsError::TokenUri)?;
        Ok(Self {
            email: file.client_email,
            key_id: file.private_key_id,
            key: PrivateKey::from_pkcs8_der(&der).map_err(|_| not_one())?,
            token_uri,
        })
    }

    /// RFC 7523 §3, as RS256.
    fn claim(&self, now: i64) -> Result<Zeroizing<String>, SignError> {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id });
        let claims = json!({
            "iss": self.email, "scope": SCOPE, "aud": self.token_uri.as_str(),
            "iat": now, "exp": now.saturating_add(CLAIM_SECONDS),
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(signed.as_bytes())?);
        Ok(Zeroizing::new(format!("{signed}.{signature}")))
    }
}
