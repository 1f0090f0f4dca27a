//! Ambient credentials: the token that a build system or a cloud gives to what runs in it, without anyone signing in.
//!
//! The ways are those of the other clients (cosign `pkg/providers`, sigstore-python's `id`), each system's own documentation
//! says how. A system that is recognised and not set up is an error that says what to set up: whoever expects to sign as a
//! build must not be asked to sign as a person.
//!
//! Tokens go into errors and logs nowhere; a request with a secret goes over https, or to this machine. (Google's metadata
//! service speaks plain http on an address that never leaves the machine.)

use super::{
    IdentityToken, MAX_DOCUMENT_BYTES, TokenError,
    spiffe::{self, SpiffeError},
};
use crate::http::{self, Client, HttpError, Request};
use sealog_crypto::Zeroizing;
use serde::Deserialize;
use std::{
    fmt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use url::Url;

/// How long a system's own program may take to get a token.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(30);
/// A longer file or answer holds no token.
const MAX_TOKEN_BYTES: u64 = 64 << 10;
/// Where GitLab jobs, and whoever sets it by hand, put the token.
const VARIABLE: &str = "SIGSTORE_ID_TOKEN";
/// Where a Kubernetes pod mounts the token that was projected for signing.
const FILE: &str = "var/run/sigstore/cosign/oidc-token";
/// Where the SPIFFE agent is. Its usual place below `/tmp` is not looked at: anybody could have put a socket there.
const SPIFFE: &str = "SPIFFE_ENDPOINT_SOCKET";
const GOOGLE_MACHINE: &str = "sys/class/dmi/id/product_name";
const GOOGLE_METADATA: &str = "metadata.google.internal";
const GOOGLE_IAM: &str = "https://iamcredentials.googleapis.com";
const BUILDKITE: &str = "https://agent.buildkite.com/v3";

type Variables = dyn Fn(&str) -> Option<String> + Send + Sync;

/// What a machine shows of itself.
pub struct Surroundings {
    variable: Box<Variables>,
    root: PathBuf,
    google_iam: String,
}

impl Surroundings {
    /// Those of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        Self {
            variable: Box::new(|name| std::env::var(name).ok()),
            root: PathBuf::from("/"),
            google_iam: GOOGLE_IAM.to_owned(),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    fn is_on(&self, name: &str) -> bool {
        self.variable(name).is_some_and(|value| !["false", "0"].contains(&value.as_str()))
    }

    fn start_of(&self, path: &str) -> Option<String> {
        use std::io::Read as _;
        let mut start = Vec::new();
        std::fs::File::open(self.root.join(path)).ok()?.take(256).read_to_end(&mut start).ok()?;
        String::from_utf8(start).ok()
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Surroundings")
    }
}

/// Who can say what runs here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambient {
    /// The variable `SIGSTORE_ID_TOKEN`.
    Variable,
    /// GitHub Actions.
    GithubActions,
    /// A GitLab pipeline.
    Gitlab,
    /// A Buildkite job.
    Buildkite,
    /// A `CircleCI` job.
    Circleci,
    /// The file that Kubernetes projects into a pod.
    File,
    /// A SPIFFE agent on this machine.
    Spiffe,
    /// Google Cloud, as the service account that `GOOGLE_SERVICE_ACCOUNT_NAME` names.
    GoogleServiceAccount,
    /// Google Cloud, as the machine's own service account.
    GoogleMachine,
}

impl fmt::Display for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Variable => "the variable SIGSTORE_ID_TOKEN",
            Self::GithubActions => "GitHub Actions",
            Self::Gitlab => "GitLab",
            Self::Buildkite => "Buildkite",
            Self::Circleci => "CircleCI",
            Self::File => "the file /var/run/sigstore/cosign/oidc-token",
            Self::Spiffe => "the SPIFFE agent of this machine",
            Self::GoogleServiceAccount => "Google Cloud, as GOOGLE_SERVICE_ACCOUNT_NAME",
            Self::GoogleMachine => "Google Cloud",
        })
    }
}

/// Why no token came from where one was to be had.
#[derive(Debug, thiserror::Error)]
pub enum AmbientError {
    /// The system is not set up to give tokens.
    #[error("{system} gives this job no identity token: {missing} is not set")]
    NotSetUp {
        /// The system.
        system: Ambient,
        /// The variable that would be there.
        missing: &'static str,
    },
    /// A variable that should hold a URL.
    #[error("the variable {variable} holds no URL that can be asked")]
    Url {
        /// The variable.
        variable: &'static str,
        /// What is wrong with it.
        source: HttpError,
    },
    /// The system did not answer, or refused.
    #[error("{system} gave no identity token")]
    Http {
        /// The system.
        system: Ambient,
        /// What happened.
        source: HttpError,
    },
    /// It answered something else.
    #[error("{system} answered without an identity token")]
    NoToken {
        /// The system.
        system: Ambient,
    },
    /// Its own program cannot be run, or failed.
    #[error("`{program}`, which asks {system} for an identity token, failed: {what}")]
    Program {
        /// The system.
        system: Ambient,
        /// Its program.
        program: &'static str,
        /// What happened.
        what: Box<str>,
    },
    /// The file cannot be read.
    #[error("{system} cannot be read")]
    File {
        /// The way.
        system: Ambient,
        /// What the system said.
        source: std::io::Error,
    },
    /// The SPIFFE agent gave none.
    #[error(transparent)]
    Spiffe(#[from] SpiffeError),
    /// What came is no token.
    #[error("{system} gave something else than an identity token")]
    Token {
        /// The system.
        system: Ambient,
        /// What is wrong with it.
        source: TokenError,
    },
}

impl AmbientError {
    /// What to set up, where that is the trouble.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotSetUp { system: Ambient::GithubActions, .. } => {
                Some("give the workflow, or the job, `permissions: id-token: write`")
            }
            Self::NotSetUp { system: Ambient::Gitlab, .. } => {
                Some("give the job `id_tokens: SIGSTORE_ID_TOKEN: aud: sigstore`")
            }
            Self::Program { system: Ambient::Circleci, .. } => {
                Some("jobs have the program `circleci` where they run on CircleCI's own images")
            }
            Self::Spiffe(SpiffeError::Refused { .. }) => {
                Some("register an entry for this program with the SPIFFE server, or give --no-ambient")
            }
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    /// GitHub.
    value: Option<String>,
    /// Buildkite, Google.
    token: Option<String>,
    /// Google.
    access_token: Option<String>,
}

impl Ambient {
    /// The first that is recognised. A variable set by hand comes before everything; a build system before the cloud or the
    /// cluster its machines stand in.
    #[must_use]
    pub fn detect(here: &Surroundings) -> Option<Self> {
        let google_machine = || {
            let product = here.start_of(GOOGLE_MACHINE).unwrap_or_default();
            ["Google", "Google Compute Engine"].contains(&product.trim())
        };
        let found = [
            (Self::Variable, here.variable(VARIABLE).is_some()),
            (Self::GithubActions, here.is_on("GITHUB_ACTIONS")),
            (Self::Gitlab, here.is_on("GITLAB_CI")),
            (Self::Buildkite, here.is_on("BUILDKITE")),
            (Self::Circleci, here.is_on("CIRCLECI")),
            (Self::File, here.root.join(FILE).exists()),
            (Self::Spiffe, here.variable(SPIFFE).is_some()),
            (Self::GoogleServiceAccount, here.variable("GOOGLE_SERVICE_ACCOUNT_NAME").is_some()),
            (Self::GoogleMachine, google_machine()),
        ];
        found.into_iter().find(|(_, here)| *here).map(|(system, _)| system)
    }

    /// Gets a token made for that audience.
    ///
    /// # Errors
    /// See [`AmbientError`].
    pub async fn token(
        self,
        here: &Surroundings,
        client: &Client,
        audience: &str,
    ) -> Result<IdentityToken, AmbientError> {
        let text = match self {
            Self::Variable => Zeroizing::new(here.variable(VARIABLE).unwrap_or_default()),
            Self::GithubActions => self.github(here, client, audience).await?,
            Self::Gitlab => return Err(self.not_set_up(VARIABLE)),
            Self::Buildkite => self.buildkite(here, client, audience).await?,
            Self::Circleci => {
                let claims = serde_json::json!({ "aud": audience }).to_string();
                self.program("circleci", &["run", "oidc", "get", "--claims", &claims]).await?
            }
            Self::File => self.file(&here.root.join(FILE)).await?,
            Self::Spiffe => spiffe::token(&here.variable(SPIFFE).unwrap_or_default(), audience).await?,
            Self::GoogleServiceAccount => self.google_service_account(here, client, audience).await?,
            Self::GoogleMachine => {
                let url = google(here, "identity", &[("audience", audience), ("format", "full")])?;
                let answer = self
                    .ask(client, Request::get(url).header("metadata-flavor", "Google").past_proxy())
                    .await?;
                Zeroizing::new(String::from_utf8_lossy(&answer).into_owned())
            }
        };
        IdentityToken::parse(&text).map_err(|source| AmbientError::Token { system: self, source })
    }

    const fn not_set_up(self, missing: &'static str) -> AmbientError {
        AmbientError::NotSetUp { system: self, missing }
    }

    /// docs.github.com, «OpenID Connect reference».
    async fn github(
        self,
        here: &Surroundings,
        client: &Client,
        audience: &str,
    ) -> Result<Zeroizing<String>, AmbientError> {
        const URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
        const TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
        let url = here.variable(URL).ok_or_else(|| self.not_set_up(URL))?;
        let token = here.variable(TOKEN).ok_or_else(|| self.not_set_up(TOKEN))?;
        let mut url = asked_at(URL, &url)?;
        url.query_pairs_mut().append_pair("audience", audience);
        let request = Request::get(url).authorization(&format!("Bearer {token}"));
        self.json(client, request, |answer| answer.value).await
    }

    /// The agent's API where the job has its token, else the agent's program.
    async fn buildkite(
        self,
        here: &Surroundings,
        client: &Client,
        audience: &str,
    ) -> Result<Zeroizing<String>, AmbientError> {
        const ENDPOINT: &str = "BUILDKITE_AGENT_ENDPOINT";
        let access = here.variable("BUILDKITE_AGENT_ACCESS_TOKEN").zip(here.variable("BUILDKITE_JOB_ID"));
        let Some((token, job)) = access else {
            return self.program("buildkite-agent", &["oidc", "request-token", "--audience", audience]).await;
        };
        let endpoint = here.variable(ENDPOINT).unwrap_or_else(|| BUILDKITE.to_owned());
        let mut url = asked_at(ENDPOINT, &endpoint)?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["jobs", &job, "oidc", "tokens"]);
        }
        let body = serde_json::json!({ "audience": audience }).to_string();
        let request = Request::post(url, "application/json", body.into_bytes());
        self.json(client, request.authorization(&format!("Token {token}")), |answer| answer.token).await
    }

    /// A token for another service account, which this machine's may make (IAM Credentials API, `generateIdToken`).
    async fn google_service_account(
        self,
        here: &Surroundings,
        client: &Client,
        audience: &str,
    ) -> Result<Zeroizing<String>, AmbientError> {
        let scope = "https://www.googleapis.com/auth/cloud-platform";
        let own = Request::get(google(here, "token", &[("scopes", scope)])?)
            .header("metadata-flavor", "Google")
            .past_proxy();
        let access = self.json(client, own, |answer| answer.access_token).await?;
        let account = here.variable("GOOGLE_SERVICE_ACCOUNT_NAME").unwrap_or_default();
        let mut url = asked_at("GOOGLE_SERVICE_ACCOUNT_NAME", &here.google_iam)?;
        if let Ok(mut path) = url.path_segments_mut() {
            let call = format!("{account}:generateIdToken");
            path.pop_if_empty().extend(["v1", "projects", "-", "serviceAccounts", &call]);
        }
        let body = serde_json::json!({ "audience": audience, "includeEmail": true }).to_string();
        let request = Request::post(url, "application/json", body.into_bytes());
        let bearer = Zeroizing::new(format!("Bearer {}", *access));
        self.json(client, request.authorization(&bearer), |answer| answer.token).await
    }

    async fn json(
        self,
        client: &Client,
        request: Request,
        token: impl Fn(Answer) -> Option<String>,
    ) -> Result<Zeroizing<String>, AmbientError> {
        let answer = self.ask(client, request.accept("application/json")).await?;
        let token = serde_json::from_slice(&answer).ok().and_then(token).map(Zeroizing::new);
        token.filter(|token| !token.is_empty()).ok_or(AmbientError::NoToken { system: self })
    }

    async fn ask(self, client: &Client, request: Request) -> Result<Zeroizing<Vec<u8>>, AmbientError> {
        let answer = client.send(request.limit(MAX_DOCUMENT_BYTES)).await;
        let answer = answer.map_err(|source| AmbientError::Http { system: self, source })?;
        Ok(Zeroizing::new(answer.body))
    }

    async fn program(
        self,
        program: &'static str,
        arguments: &[&str],
    ) -> Result<Zeroizing<String>, AmbientError> {
        let failed = |what: &str| AmbientError::Program { system: self, program, what: http::readable(what) };
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
        let ended = tokio::time::timeout(PROGRAM_TIMEOUT, command.output()).await;
        let ended = ended.map_err(|_| failed("it did not end within 30 s"))?;
        let ended = ended.map_err(|error| failed(&error.to_string()))?;
        let said = Zeroizing::new(ended.stdout);
        match ended.status.success() {
            true => Ok(Zeroizing::new(String::from_utf8_lossy(&said).into_owned())),
            false => Err(failed(&ended.status.to_string())),
        }
    }

    async fn file(self, path: &Path) -> Result<Zeroizing<String>, AmbientError> {
        use tokio::io::AsyncReadExt as _;
        let unreadable = |source| AmbientError::File { system: self, source };
        let mut text = Zeroizing::new(String::new());
        let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
        file.take(MAX_TOKEN_BYTES).read_to_string(&mut text).await.map_err(unreadable)?;
        Ok(text)
    }
}

/// A URL from a variable, at which a secret is safe.
fn asked_at(variable: &'static str, text: &str) -> Result<Url, AmbientError> {
    let good = |url: Url| http::keeps_secrets(&url).map(|()| url);
    http::parse_url(text).and_then(good).map_err(|source| AmbientError::Url { variable, source })
}

/// Google's metadata service.
fn google(here: &Surroundings, what: &str, query: &[(&str, &str)]) -> Result<Url, AmbientError> {
    const HOST: &str = "GCE_METADATA_HOST";
    let host = here.variable(HOST).unwrap_or_else(|| GOOGLE_METADATA.to_owned());
    let text = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/{what}");
    let mut url = http::parse_url(&text).map_err(|source| AmbientError::Url { variable: HOST, source })?;
    url.query_pairs_mut().extend_pairs(query);
    Ok(url)
}

#[cfg(test)]
mod tests;
