//! Where the right to ask AWS comes from: the environment, a container's endpoint, or the machine's own.
//!
//! The order of the vendor's kits: `AWS_ACCESS_KEY_ID` and its kin; the endpoint that ECS and EKS Pod Identity
//! name; the instance metadata service of EC2, version 2. Not here: profiles, single sign-on, assumed roles. Secrets
//! are wiped when dropped, and in no error.

use crate::http::{Client, HttpError, Request, below, keeps_secrets, parse_url};
use sealog_bundle::UnixTime;
use sealog_crypto::Zeroizing;
use serde::Deserialize;
use std::{fmt, path::PathBuf, time::Duration};
use url::Url;

const LIMIT: usize = 64 << 10;
const TIMEOUT: Duration = Duration::from_secs(2);
/// ECS answers here, and the path comes from the environment.
const ECS: &str = "http://169.254.170.2";
/// EKS Pod Identity and ECS: plain http, link-local, never routed.
const CONTAINER_HOSTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];
const EC2: &str = "http://169.254.169.254";
/// How long a token of the metadata service lives.
const EC2_TOKEN_SECONDS: &str = "300";
/// A longer token is none.
const MAX_TOKEN: u64 = 64 << 10;

/// What signs requests.
pub struct Credentials {
    pub(super) key_id: String,
    pub(super) secret: Zeroizing<String>,
    pub(super) session_token: Option<Zeroizing<String>>,
    /// Unix seconds; none for those that do not end.
    ends: Option<i64>,
}

impl Credentials {
    pub(super) fn new(key_id: &str, secret: &str, session_token: Option<&str>, ends: Option<i64>) -> Self {
        Self {
            key_id: key_id.to_owned(),
            secret: Zeroizing::new(secret.to_owned()),
            session_token: session_token.map(|token| Zeroizing::new(token.to_owned())),
            ends,
        }
    }

    /// Whether they are good for so many seconds more.
    pub(super) fn lasts(&self, now: i64, seconds: i64) -> bool {
        self.ends.is_none_or(|ends| now.saturating_add(seconds) < ends)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.key_id)
    }
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Nobody gives any.
    #[error("there are no AWS credentials: not in the environment, from no container, from no EC2 instance")]
    Nowhere(#[source] Option<HttpError>),
    /// Half of what is needed.
    #[error("{0} is set without its secret")]
    Half(&'static str),
    /// An endpoint that anybody could have put there.
    #[error(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI is {0}, neither https, nor this machine, nor a container's agent"
    )]
    Endpoint(String),
    /// The file with the token for it.
    #[error("cannot read the token in {}", path.display())]
    Token {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The endpoint failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// It answered something else.
    #[error("what gives AWS credentials answered something else")]
    Answer,
}

/// Who gives credentials.
#[derive(Clone)]
pub enum Source {
    /// The environment, as it was.
    Fixed(std::sync::Arc<Credentials>),
    /// A container's endpoint.
    Container {
        /// Where.
        url: Url,
        /// The file with the token it wants to see, read each time: it changes.
        token_file: Option<PathBuf>,
        /// Or the token.
        token: Option<String>,
    },
    /// The machine's metadata service.
    Ec2(Url),
}

impl Source {
    /// What the environment says; `variable` reads it.
    ///
    /// # Errors
    /// See [`CredentialsError`].
    pub fn find(variable: impl Fn(&str) -> Option<String>) -> Result<Self, CredentialsError> {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let Some(key_id) = variable("AWS_ACCESS_KEY_ID") {
            let secret =
                variable("AWS_SECRET_ACCESS_KEY").ok_or(CredentialsError::Half("AWS_ACCESS_KEY_ID"))?;
            let token = variable("AWS_SESSION_TOKEN");
            let fixed = Credentials::new(&key_id, &secret, token.as_deref(), None);
            return Ok(Self::Fixed(std::sync::Arc::new(fixed)));
        }
        let relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("{ECS}{path}"));
        if let Some(text) = relative.or_else(|| variable("AWS_CONTAINER_CREDENTIALS_FULL_URI")) {
            let url = parse_url(&text)?;
            if !CONTAINER_HOSTS.contains(&url.host_str().unwrap_or_default()) && keeps_secrets(&url).is_err()
            {
                return Err(CredentialsError::Endpoint(text));
            }
            return Ok(Self::Container {
                url,
                token_file: variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(PathBuf::from),
                token: variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"),
            });
        }
        Ok(Self::Ec2(parse_url(EC2)?))
    }

    pub(super) async fn fetch(&self, client: &Client) -> Result<Credentials, CredentialsError> {
        match self {
            Self::Fixed(fixed) => Ok(Credentials::new(
                &fixed.key_id,
                &fixed.secret,
                fixed.session_token.as_ref().map(|token| token.as_str()),
                None,
            )),
            Self::Container { url, token_file, token } => {
                let token = match token_file {
                    Some(path) => Some(read_token(path)?),
                    None => token.clone(),
                };
                let mut request = Request::get(url.clone()).limit(LIMIT).timeout(TIMEOUT);
                if let Some(token) = token {
                    request = request.authorization(token.trim());
                }
                parse(&client.send(request).await?.body)
            }
            Self::Ec2(base) => ec2(client, base).await.map_err(|error| match error {
                CredentialsError::Http(error) if error.status().is_none() => {
                    CredentialsError::Nowhere(Some(error))
                }
                error => error,
            }),
        }
    }
}

/// Version 2: a token is put, then shown. It keeps requests that others make us send from being answered.
async fn ec2(client: &Client, base: &Url) -> Result<Credentials, CredentialsError> {
    let get = |path: &str| Request::get(below(base, path)).limit(LIMIT).timeout(TIMEOUT);
    let put = get("latest/api/token").put().header("x-aws-ec2-metadata-token-ttl-seconds", EC2_TOKEN_SECONDS);
    let text = |body: Vec<u8>| String::from_utf8(body).map_err(|_| CredentialsError::Answer);
    let token = text(client.send(put).await?.body)?;
    const ROLES: &str = "latest/meta-data/iam/security-credentials";
    let shown = |path: &str| get(path).header("x-aws-ec2-metadata-token", token.trim());
    let roles = client.send(shown(&format!("{ROLES}/"))).await.map_err(|error| match error.status() {
        // The instance has no role.
        Some(404) => CredentialsError::Nowhere(Some(error)),
        _ => error.into(),
    })?;
    let roles = text(roles.body)?;
    let role = roles.lines().next().map(str::trim).filter(|role| !role.is_empty() && !role.contains('/'));
    let role = role.ok_or(CredentialsError::Nowhere(None))?;
    parse(&client.send(shown(&format!("{ROLES}/{role}"))).await?.body)
}

/// The form that both endpoints answer in.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: String,
}

fn parse(body: &[u8]) -> Result<Credentials, CredentialsError> {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| CredentialsError::Answer)?;
    let (secret, token) = (Zeroizing::new(answer.secret_access_key), answer.token.map(Zeroizing::new));
    let ends = UnixTime::parse_rfc3339(&answer.expiration).ok_or(CredentialsError::Answer)?;
    let token = token.as_ref().map(|token| token.as_str());
    Ok(Credentials::new(&answer.access_key_id, &secret, token, Some(ends.seconds())))
}

fn read_token(path: &std::path::Path) -> Result<String, CredentialsError> {
    use std::io::Read as _;
    let failed = |source| CredentialsError::Token { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_TOKEN).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}
