//! HTTP outward: bounded, timed, never redirected on a write, with errors that say what was asked of whom.
//!
//! Proxies and private authorities come from the usual environment variables (`HTTPS_PROXY`, `HTTP_PROXY`,
//! `NO_PROXY`, `SSL_CERT_FILE`, `SSL_CERT_DIR`). Services on this very machine are spoken to directly.
//!
//! Nothing here knows what a service means: that is in the module named after it.

mod reach;

pub use reach::Reach;

use reqwest::header::{self, HeaderValue};
use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};
use url::{Host, Url};

/// The most a service may answer, where its module does not say otherwise.
pub const DEFAULT_LIMIT: usize = 4 << 20;
/// How long a whole exchange may take, where its module does not say otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Redirects followed on a read.
const MAX_REDIRECTS: usize = 3;
/// Tries at a service that says it is busy.
const MAX_TRIES: u32 = 3;
/// The longest wait between two tries, whatever `Retry-After` says.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// How much of an error body is worth repeating.
const MAX_MESSAGE_CHARS: usize = 300;

/// Why an exchange did not yield what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Neither `http` nor `https`, or no host.
    #[error("`{0}` is not an http or https URL")]
    UnsupportedUrl(Box<str>),
    /// A secret was about to cross a network in the clear.
    #[error("{0} is plain http on another machine: an identity token sent there can be read on the way")]
    Cleartext(Shown),
    /// An address that this client was told not to reach.
    #[error("{0} is an address of a private network")]
    Inside(Shown),
    /// The TLS or proxy settings of this machine are unusable.
    #[error("TLS or proxy settings are unusable: {}", deepest(.0))]
    Setup(Box<reqwest::Error>),
    /// No connection.
    #[error("{url} could not be reached: {}", deepest(cause))]
    Unreachable {
        /// Whom.
        url: Shown,
        /// What the network said.
        cause: Box<reqwest::Error>,
    },
    /// No complete answer in time.
    #[error("{url} did not answer within {} s", after.as_secs())]
    TimedOut {
        /// Whom.
        url: Shown,
        /// The time allowed.
        after: Duration,
    },
    /// The exchange broke off.
    #[error("the exchange with {url} broke off: {}", deepest(cause))]
    Broken {
        /// With whom.
        url: Shown,
        /// What the network said.
        cause: Box<reqwest::Error>,
    },
    /// More bytes than are reasonable.
    #[error("{url} sent more than {limit} bytes")]
    TooLarge {
        /// Who.
        url: Shown,
        /// The bound.
        limit: usize,
    },
    /// A redirect that is not followed.
    #[error("{url} answered {status}, a redirect that is not followed")]
    Redirected {
        /// Who.
        url: Shown,
        /// The status.
        status: u16,
    },
    /// A status that is not success.
    #[error("{url} answered {status}{}", Said(message.as_deref()))]
    Status {
        /// Who.
        url: Shown,
        /// The status.
        status: u16,
        /// The service's own words, cut short and without control characters.
        message: Option<Box<str>>,
    },
}

impl HttpError {
    /// The status of an answer that was not success.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } | Self::Redirected { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the service was never heard, as opposed to having refused.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Setup(_) | Self::Unreachable { .. } | Self::TimedOut { .. } | Self::Broken { .. } => true,
            Self::Status { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }

    /// Whether TLS was the trouble, so that advice about authorities helps.
    #[must_use]
    pub fn is_untrusted_tls(&self) -> bool {
        matches!(self, Self::Unreachable { cause, .. } if deepest(cause).contains("certificate"))
    }
}

struct Said<'a>(Option<&'a str>);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |words| write!(f, ": {words}"))
    }
}

/// The innermost cause, which is the one that tells.
fn deepest(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// A URL as errors show it: without user, query and fragment, which may hold secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown(Box<str>);

impl From<&Url> for Shown {
    fn from(url: &Url) -> Self {
        let mut url = url.clone();
        url.set_query(None);
        url.set_fragment(None);
        // Neither can fail on a URL that has a host; one that has none holds no user either.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Self(String::from(url).into_boxed_str())
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a URL points at this machine by its name, so that nothing crosses a network.
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Google's clouds answer for a machine under this name.
const METADATA_HOST: &str = "metadata.google.internal";

/// Whether a URL points at this machine's own link, where clouds answer for the machine: a proxy would lead to another
/// machine's, or answer as whom it likes.
fn is_of_the_machine(url: &Url) -> bool {
    let address = match url.host() {
        Some(Host::Domain(name)) => return name.trim_end_matches('.').eq_ignore_ascii_case(METADATA_HOST),
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical(),
        None => return false,
    };
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        // Beside the link's own: those of Amazon and of Google.
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || matches!(address.segments(), [0xfd00, 0xec2, ..] | [0xfd20, 0xce, ..])
        }
    }
}

/// Parses a URL a service can be asked at.
///
/// # Errors
/// [`HttpError::UnsupportedUrl`] unless it is http or https with a host.
pub fn parse_url(text: &str) -> Result<Url, HttpError> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| HttpError::UnsupportedUrl(readable(text)))
}

/// `path` below `base`, keeping whatever path `base` has.
#[must_use]
pub fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{}", base.path().trim_end_matches('/'), path.trim_start_matches('/')));
    url.set_query(None);
    url
}

/// One request.
#[derive(Clone)]
pub struct Request {
    url: Url,
    body: Option<(&'static str, Vec<u8>)>,
    accept: &'static str,
    authorization: Option<HeaderValue>,
    /// PUT in place of GET.
    put: bool,
    /// Past any proxy, wherever it goes.
    past_proxy: bool,
    /// Whether a read goes where it is sent on, on the same host.
    follows: bool,
    /// More headers, where a service wants to see them.
    headers: Vec<(&'static str, HeaderValue)>,
    limit: usize,
    timeout: Duration,
}

impl Request {
    /// A read.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self {
            url,
            body: None,
            accept: "*/*",
            authorization: None,
            put: false,
            past_proxy: false,
            follows: true,
            headers: Vec::new(),
            limit: DEFAULT_LIMIT,
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// A write.
    #[must_use]
    pub fn post(url: Url, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { body: Some((content_type, body)), ..Self::get(url) }
    }

    /// A write of a form.
    #[must_use]
    pub fn post_form(url: Url, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        Self::post(url, "application/x-www-form-urlencoded", body.into_bytes())
    }

    /// The media type wanted.
    #[must_use]
    pub fn accept(mut self, media_type: &'static str) -> Self {
        self.accept = media_type;
        self
    }

    /// An `Authorization` header; text that cannot be one is left out.
    #[must_use]
    pub fn authorization(mut self, value: &str) -> Self {
        self.authorization = HeaderValue::from_str(value).ok().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        self
    }

    /// A header that the service wants to see; text that cannot be one is left out.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(mut value) = HeaderValue::from_str(value) {
            // Some are secrets, and none is worth showing.
            value.set_sensitive(true);
            self.headers.push((name, value));
        }
        self
    }

    /// A PUT without a body, in place of a read.
    #[must_use]
    pub const fn put(mut self) -> Self {
        self.put = true;
        self
    }

    /// Through no proxy, whatever the host is called: what is asked speaks for this machine.
    #[must_use]
    pub const fn past_proxy(mut self) -> Self {
        self.past_proxy = true;
        self
    }

    /// A read that is answered where it is asked, or not at all.
    #[must_use]
    pub const fn never_redirected(mut self) -> Self {
        self.follows = false;
        self
    }

    /// The most bytes of an answer.
    #[must_use]
    pub const fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// The time the whole exchange may take.
    #[must_use]
    pub const fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({} {})", if self.body.is_some() { "POST" } else { "GET" }, Shown::from(&self.url))
    }
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The media type, without parameters.
    pub content_type: Option<String>,
    /// `Retry-After` in seconds.
    retry_after: Option<u64>,
    location: Option<String>,
    /// The body, within the request's limit.
    pub body: Vec<u8>,
}

/// The client all services are asked through.
#[derive(Debug, Default)]
pub struct Client {
    /// For this machine: no proxy, and no authorities to load.
    direct: OnceLock<reqwest::Client>,
    /// For this machine over TLS: no proxy.
    direct_tls: OnceLock<reqwest::Client>,
    /// For everything else.
    outward: OnceLock<reqwest::Client>,
    reach: Reach,
}

impl Client {
    /// A client; connections and authorities are opened and read when first needed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A client that reaches so far.
    #[must_use]
    pub fn reaching(reach: Reach) -> Self {
        Self { reach, ..Self::default() }
    }

    /// Asks, and takes success (2xx) only. A service that is busy (429, 503) is asked again, a few times.
    ///
    /// # Errors
    /// See [`HttpError`].
    pub async fn send(&self, request: Request) -> Result<Response, HttpError> {
        let mut tries = 1;
        loop {
            let response = self.exchange(&request).await?;
            match response.status {
                200..=299 => return Ok(response),
                429 | 503 if tries < MAX_TRIES => {
                    let wait = response.retry_after.map_or_else(
                        || Duration::from_millis(500).saturating_mul(tries),
                        Duration::from_secs,
                    );
                    tries += 1;
                    tokio::time::sleep(wait.min(MAX_WAIT)).await;
                }
                300..=399 => {
                    return Err(HttpError::Redirected {
                        url: Shown::from(&request.url),
                        status: response.status,
                    });
                }
                status => {
                    let message = message_of(&response);
                    return Err(HttpError::Status { url: Shown::from(&request.url), status, message });
                }
            }
        }
    }

    /// Asks once and hands back whatever was answered. Reads follow a few redirects on the same host.
    ///
    /// # Errors
    /// See [`HttpError`]; never [`HttpError::Status`].
    pub async fn exchange(&self, request: &Request) -> Result<Response, HttpError> {
        let mut url = request.url.clone();
        let mut followed = 0;
        loop {
            let response = self.exchange_once(&url, request).await?;
            if !(300..=399).contains(&response.status)
                || request.body.is_some()
                || request.put
                || !request.follows
                || followed == MAX_REDIRECTS
            {
                return Ok(response);
            }
            let target = response.location.as_deref().and_then(|to| url.join(to).ok());
            // Another host or scheme is another service, which nobody here decided to ask.
            match target {
                Some(target) if target.origin() == url.origin() => url = target,
                _ => return Ok(response),
            }
            followed += 1;
        }
    }

    async fn exchange_once(&self, url: &Url, request: &Request) -> Result<Response, HttpError> {
        let shown = || Shown::from(url);
        let failed = |cause: reqwest::Error| {
            if cause.is_timeout() && !cause.is_connect() {
                HttpError::TimedOut { url: shown(), after: request.timeout }
            } else if cause.is_connect() || cause.is_dns() {
                HttpError::Unreachable { url: shown(), cause: Box::new(cause.without_url()) }
            } else {
                HttpError::Broken { url: shown(), cause: Box::new(cause.without_url()) }
            }
        };
        if self.reach.public_only && reach::is_inside(url) {
            return Err(HttpError::Inside(shown()));
        }
        let client = self.client_for(url, request.past_proxy)?;
        let mut ask = match &request.body {
            None if request.put => client.put(url.clone()),
            None => client.get(url.clone()),
            Some((content_type, body)) => {
                client.post(url.clone()).header(header::CONTENT_TYPE, *content_type).body(body.clone())
            }
        };
        ask = ask.header(header::ACCEPT, request.accept).timeout(request.timeout);
        if let Some(authorization) = &request.authorization {
            ask = ask.header(header::AUTHORIZATION, authorization.clone());
        }
        for (name, value) in &request.headers {
            ask = ask.header(*name, value.clone());
        }
        let mut response = ask.send().await.map_err(failed)?;
        let text_of = |name| response.headers().get(name).and_then(|v| v.to_str().ok());
        let content_type = text_of(header::CONTENT_TYPE)
            .and_then(|value| value.split(';').next())
            .map(|value| value.trim().to_ascii_lowercase());
        let retry_after = text_of(header::RETRY_AFTER).and_then(|value| value.trim().parse().ok());
        let location = text_of(header::LOCATION).map(str::to_owned);
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if body.len().saturating_add(chunk.len()) > request.limit {
                return Err(HttpError::TooLarge { url: shown(), limit: request.limit });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status, content_type, retry_after, location, body })
    }

    fn client_for(&self, url: &Url, past_proxy: bool) -> Result<&reqwest::Client, HttpError> {
        let here = past_proxy || is_loopback(url) || is_of_the_machine(url);
        let plain = url.scheme() == "http";
        let slot = match (here, plain) {
            (true, true) => &self.direct,
            (true, false) => &self.direct_tls,
            (false, _) => &self.outward,
        };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        let builder = reqwest::Client::builder()
            .user_agent(concat!("sealog/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true);
        let builder = if here { builder.no_proxy() } else { builder };
        let builder = if here && plain { builder.tls_certs_only([]) } else { builder };
        let setup = |cause| HttpError::Setup(Box::new(cause));
        let builder = match self.reach.public_only {
            true => builder.dns_resolver(Arc::new(reach::PublicOnly::new())),
            false => builder,
        };
        let builder = match self.reach.authorities.as_bytes() {
            [] => builder,
            pem => builder.tls_certs_merge(reqwest::Certificate::from_pem_bundle(pem).map_err(setup)?),
        };
        let client = builder.build().map_err(setup)?;
        Ok(slot.get_or_init(|| client))
    }
}

/// Refuses to send a secret to `url` where others could read it.
///
/// # Errors
/// [`HttpError::Cleartext`] for plain http beyond this machine.
pub fn keeps_secrets(url: &Url) -> Result<(), HttpError> {
    if url.scheme() == "https" || is_loopback(url) {
        return Ok(());
    }
    Err(HttpError::Cleartext(Shown::from(url)))
}

/// The service's own words in an error body: a JSON member that usually holds them, or a line of text.
fn message_of(response: &Response) -> Option<Box<str>> {
    let text = std::str::from_utf8(&response.body).ok()?.trim();
    let json: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let member = json.as_ref().and_then(|json| {
        let members = ["message", "error_description", "error"];
        members.iter().find_map(|name| json.get(name)?.as_str())
    });
    let words = match (&json, member) {
        (_, Some(words)) => words,
        (None, None) if response.content_type.as_deref() != Some("text/html") => {
            text.lines().next().unwrap_or("")
        }
        _ => "",
    };
    (!words.is_empty()).then(|| readable(words))
}

/// Text from outside made fit for a terminal and a log: cut short, nothing in it that moves the cursor,
/// turns the reading direction round or cannot be seen.
#[must_use]
pub fn readable(text: &str) -> Box<str> {
    let visible = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut out: String = text.chars().filter(visible).take(MAX_MESSAGE_CHARS).collect();
    if text.chars().nth(MAX_MESSAGE_CHARS).is_some() {
        out.push('…');
    }
    out.into_boxed_str()
}

#[cfg(test)]
mod tests;
