//! Requests for a sign-in: what a program may ask, and where its answer may go.
//!
//! Spec: RFC 6749 §4.1 (authorization code), RFC 7636 (PKCE, S256 only), RFC 8252 §7.3 (loopback redirects), OpenID Connect
//! Core §3.1.2, RFC 9449 §10 (`dpop_jkt`). Nothing is remembered of a request until somebody answers it: pages carry it.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sealog_crypto::sha256;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use url::{Host, Url};

/// The only client: sigstore's tools all call themselves so, and have no secret.
pub(super) const CLIENT_ID: &str = "sigstore";
/// Shows the code instead of going anywhere.
pub(super) const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";
/// Values that come back to the client, or into its token, are at most this long.
const MAX_ECHO: usize = 2048;

/// Request parameters, each at most once (RFC 6749 §3.1).
#[derive(Debug, Default)]
pub(super) struct Params(BTreeMap<String, String>);

impl Params {
    /// Reads a query or form; none when a parameter occurs twice.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut all = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(text) {
            if all.insert(name.into_owned(), value.into_owned()).is_some() {
                return None;
            }
        }
        Some(Self(all))
    }

    /// The value, if there is one and it is not empty: both mean the same (RFC 6749 §3.1).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// An S256 challenge (RFC 7636 §4.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Challenge(String);

impl Challenge {
    pub(super) fn parse(params: &Params) -> Result<Option<Self>, &'static str> {
        let method = params.get("code_challenge_method");
        match params.get("code_challenge") {
            None => Ok(None),
            Some(_) if method != Some("S256") => Err("code_challenge_method must be S256"),
            Some(text) if is_sha256(text) => Ok(Some(Self(text.to_owned()))),
            Some(_) => Err("code_challenge must be the base64url of a SHA-256"),
        }
    }

    pub(super) fn answered_by(&self, verifier: Option<&str>) -> bool {
        // RFC 7636 §4.1: 43 to 128 characters.
        verifier.is_some_and(|verifier| {
            (43..=128).contains(&verifier.len())
                && URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes())) == self.0
        })
    }
}

/// Whether it is the base64url of a SHA-256.
pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Kept as its parameters, and checked again when it is recalled.
impl Serialize for AuthRequest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.params())
    }
}

impl<'de> Deserialize<'de> for AuthRequest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let params = Params(BTreeMap::deserialize(deserializer)?);
        Self::parse(&params).map_err(|_| serde::de::Error::custom("not a request that may be granted"))
    }
}

/// Where the browser goes with the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Redirect {
    /// To a program on the same machine.
    Loopback(Url),
    /// Nowhere: the code is shown.
    OutOfBand,
}

impl Redirect {
    /// RFC 8252 §7.3: plain HTTP to this machine, whatever the port and path. Anything else would
    /// hand codes to strangers.
    fn parse(text: &str) -> Option<Self> {
        if text == OUT_OF_BAND {
            return Some(Self::OutOfBand);
        }
        let url = Url::parse(text).ok().filter(|_| text.len() <= MAX_ECHO)?;
        let loopback = match url.host()? {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        let plain = url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
        (loopback && plain && url.fragment().is_none()).then_some(Self::Loopback(url))
    }

    /// The URL with these parameters added; none out of band.
    pub(super) fn with(&self, params: &[(&str, &str)]) -> Option<Url> {
        match self {
            Self::OutOfBand => None,
            Self::Loopback(url) => {
                let mut url = url.clone();
                url.query_pairs_mut().extend_pairs(params);
                Some(url)
            }
        }
    }
}

/// A request for a sign-in that may be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AuthRequest {
    pub(super) redirect: Redirect,
    /// As the client wrote it: the token request must repeat it.
    pub(super) redirect_text: String,
    pub(super) state: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) challenge: Challenge,
    /// The key that the token is to be bound to, by its thumbprint (RFC 9449 §10).
    pub(super) key_thumbprint: Option<String>,
    /// The provider that the program wants behind this one, as Dex calls it.
    pub(super) connector_id: Option<String>,
}

/// A request that may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AuthError {
    /// Tell the person: the client is not one of ours, so nothing is sent to it.
    Page(&'static str),
    /// Tell the client.
    Back(Box<SentBack>),
}

/// An error as the client gets it (RFC 6749 §4.1.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SentBack {
    pub(super) redirect: Redirect,
    pub(super) state: Option<String>,
    pub(super) error: &'static str,
    pub(super) description: &'static str,
}

impl AuthRequest {
    /// Reads and checks a request.
    pub(super) fn parse(params: &Params) -> Result<Self, AuthError> {
        if params.get("client_id") != Some(CLIENT_ID) {
            return Err(AuthError::Page(
                "The program that sent you here is not known: its client_id must be \"sigstore\".",
            ));
        }
        let redirect_text = params.get("redirect_uri").unwrap_or_default();
        let redirect = Redirect::parse(redirect_text).ok_or(AuthError::Page(
            "The program that sent you here wants the answer sent to another machine. \
             Its redirect_uri must be http://localhost with a port, or urn:ietf:wg:oauth:2.0:oob.",
        ))?;
        let echo =
            |name| params.get(name).map(str::to_owned).filter(|value: &String| value.len() <= MAX_ECHO);
        let state = echo("state");
        let back = |error, description| {
            let (redirect, state) = (redirect.clone(), state.clone());
            Err(AuthError::Back(Box::new(SentBack { redirect, state, error, description })))
        };
        if state.is_none() && params.get("state").is_some() {
            return back("invalid_request", "state is too long");
        }
        if params.get("request").is_some() || params.get("request_uri").is_some() {
            return back("request_not_supported", "request objects are not supported");
        }
        if params.get("response_type") != Some("code") {
            return back("unsupported_response_type", "response_type must be code");
        }
        if params.get("response_mode").is_some_and(|mode| mode != "query") {
            return back("invalid_request", "response_mode must be query");
        }
        if !params.get("scope").is_some_and(|scope| scope.split(' ').any(|one| one == "openid")) {
            return back("invalid_scope", "scope must include openid");
        }
        if params.get("prompt") == Some("none") {
            return back("login_required", "nobody is signed in: this provider always asks");
        }
        let nonce = echo("nonce");
        if nonce.is_none() && params.get("nonce").is_some() {
            return back("invalid_request", "nonce is too long");
        }
        let key_thumbprint = params.get("dpop_jkt").map(str::to_owned);
        if key_thumbprint.as_ref().is_some_and(|text| !is_sha256(text)) {
            return back("invalid_request", "dpop_jkt must be the base64url of a SHA-256");
        }
        let connector_id = echo("connector_id");
        match Challenge::parse(params) {
            Ok(Some(challenge)) => {
                let redirect_text = redirect_text.to_owned();
                Ok(Self { redirect, redirect_text, state, nonce, challenge, key_thumbprint, connector_id })
            }
            Ok(None) => back("invalid_request", "code_challenge is required (PKCE, S256)"),
            Err(description) => back("invalid_request", description),
        }
    }

    /// The parameters that make this request again: the page carries them, the server keeps nothing.
    pub(super) fn params(&self) -> Vec<(&'static str, &str)> {
        let always = [
            ("client_id", CLIENT_ID),
            ("redirect_uri", self.redirect_text.as_str()),
            ("response_type", "code"),
            ("scope", "openid email"),
            ("code_challenge", self.challenge.0.as_str()),
            ("code_challenge_method", "S256"),
        ];
        let echoes = [
            ("state", self.state.as_deref()),
            ("nonce", self.nonce.as_deref()),
            ("dpop_jkt", self.key_thumbprint.as_deref()),
            ("connector_id", self.connector_id.as_deref()),
        ];
        let present = echoes.into_iter().filter_map(|(name, value)| Some((name, value?)));
        always.into_iter().chain(present).collect()
    }
}

#[cfg(test)]
mod tests;
