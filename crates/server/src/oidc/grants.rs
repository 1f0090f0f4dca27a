//! The decision: who may have a token, from the request for a sign-in to the exchange of its code.
//!
//! Spec: RFC 6749 §4.1 (authorization code), RFC 7636 (PKCE, S256 only), RFC 8252 §7.3 (loopback
//! redirects), RFC 8628 (device codes), as sigstore's clients use them. No HTTP here: parameters in,
//! codes and grants out, the present as an argument.
//!
//! Must always hold: a code works once, for a few minutes, for the redirect it was asked for and the
//! verifier behind its challenge; a wrong attempt burns it. Nothing is remembered of a sign-in page
//! until someone submits it, and what is remembered is bounded: strangers cannot fill the memory.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sealog_crypto::{RandomError, random_array, sha256};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};
use url::{Host, Url};

/// The only client: sigstore's tools all call themselves so, and have no secret.
pub(super) const CLIENT_ID: &str = "sigstore";
/// Shows the code instead of going anywhere.
pub(super) const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";
/// A code is good for this long: someone may have to carry it to another window by hand.
const CODE_MS: u64 = 5 * 60 * 1000;
/// A device code is good for this long.
pub(super) const DEVICE_SECONDS: u64 = 10 * 60;
/// Seconds between two questions of a waiting device.
pub(super) const DEVICE_INTERVAL: u64 = 2;
/// Questions closer together than this are answered `slow_down`.
const DEVICE_MIN_GAP_MS: u64 = 1000;
/// Codes of one kind that may wait at a time.
const MAX_WAITING: usize = 10_000;
/// Wrong user codes in a minute, from everyone together: 20⁸ of them are not to be tried out.
const MAX_WRONG_USER_CODES: u32 = 100;
const MINUTE_MS: u64 = 60 * 1000;
/// Values that come back to the client, or into its token, are at most this long.
const MAX_ECHO: usize = 2048;
/// User codes have no vowels, so that they spell nothing (RFC 8628 §6.1).
const USER_CODE_LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const USER_CODE_LENGTH: usize = 8;

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge(String);

impl Challenge {
    /// Base64url of a SHA-256.
    const LENGTH: usize = 43;

    fn parse(params: &Params) -> Result<Option<Self>, &'static str> {
        let method = params.get("code_challenge_method");
        match params.get("code_challenge") {
            None => Ok(None),
            Some(_) if method != Some("S256") => Err("code_challenge_method must be S256"),
            Some(text) if text.len() == Self::LENGTH && text.bytes().all(is_base64url) => {
                Ok(Some(Self(text.to_owned())))
            }
            Some(_) => Err("code_challenge must be the base64url of a SHA-256"),
        }
    }

    fn answered_by(&self, verifier: Option<&str>) -> bool {
        // RFC 7636 §4.1: 43 to 128 characters.
        verifier.is_some_and(|verifier| {
            (43..=128).contains(&verifier.len())
                && URL_SAFE_NO_PAD.encode(sha256(verifier.as_bytes())) == self.0
        })
    }
}

fn is_base64url(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
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
    redirect_text: String,
    pub(super) state: Option<String>,
    nonce: Option<String>,
    challenge: Challenge,
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
        match Challenge::parse(params) {
            Ok(Some(challenge)) => {
                let redirect_text = redirect_text.to_owned();
                Ok(Self { redirect, redirect_text, state, nonce, challenge })
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
        let echoes = [("state", self.state.as_deref()), ("nonce", self.nonce.as_deref())];
        let present = echoes.into_iter().filter_map(|(name, value)| Some((name, value?)));
        always.into_iter().chain(present).collect()
    }
}

/// What a code was exchanged for: someone said to be the owner of this address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) address: String,
    pub(super) nonce: Option<String>,
}

/// What a person said to a waiting device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Allow(String),
    Refuse,
}

/// Why there is no token (RFC 6749 §5.2, RFC 8628 §3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum GrantError {
    #[error("the code is unknown, expired, used before, or not for this redirect_uri and code_verifier")]
    Invalid,
    #[error("nobody has answered yet")]
    Pending,
    #[error("asked again too soon")]
    SlowDown,
    #[error("the code has expired")]
    Expired,
    #[error("the person refused")]
    Denied,
    #[error("{0}")]
    Request(&'static str),
    #[error("too many sign-ins are waiting")]
    Full,
    #[error("no random bytes")]
    Random,
}

impl From<RandomError> for GrantError {
    fn from(_: RandomError) -> Self {
        Self::Random
    }
}

/// Why a person's answer reaches no device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoDevice {
    Unknown,
    TooManyGuesses,
}

/// A new device code.
#[derive(Debug)]
pub(super) struct DeviceStart {
    pub(super) device_code: String,
    /// In the form people read: `BCDF-GHJK`.
    pub(super) user_code: String,
}

/// Codes that wait to be exchanged. In memory: a restart loses them, and people sign in again.
#[derive(Debug, Default)]
pub(super) struct Grants(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    codes: Expiring<Code>,
    devices: Expiring<Device>,
    wrong_user_codes: u32,
    wrong_since_ms: u64,
}

#[derive(Debug)]
struct Code {
    request: AuthRequest,
    address: String,
}

#[derive(Debug)]
struct Device {
    user_code: String,
    challenge: Option<Challenge>,
    answer: Option<Answer>,
    asked_ms: Option<u64>,
}

impl Grants {
    /// A code for a request that the owner of `address` agreed to.
    pub(super) fn approve(
        &self,
        request: &AuthRequest,
        address: &str,
        now_ms: u64,
    ) -> Result<String, GrantError> {
        let code = secret()?;
        let entry = Code { request: request.clone(), address: address.to_owned() };
        self.waiting().codes.insert(code.clone(), entry, now_ms, CODE_MS)?;
        Ok(code)
    }

    /// Exchanges a code, once.
    pub(super) fn redeem(&self, params: &Params, now_ms: u64) -> Result<Grant, GrantError> {
        let code = params.get("code").ok_or(GrantError::Request("code is missing"))?;
        // Taken out before it is looked at: a wrong guess at the verifier leaves none to guess again.
        let code = self.waiting().codes.take(code, now_ms).ok_or(GrantError::Invalid)?;
        let same_redirect = params.get("redirect_uri") == Some(&code.request.redirect_text);
        if !same_redirect || !code.request.challenge.answered_by(params.get("code_verifier")) {
            return Err(GrantError::Invalid);
        }
        Ok(Grant { address: code.address, nonce: code.request.nonce })
    }

    /// Codes for a device without a browser.
    pub(super) fn begin_device(&self, params: &Params, now_ms: u64) -> Result<DeviceStart, GrantError> {
        let challenge = Challenge::parse(params).map_err(GrantError::Request)?;
        let device_code = secret()?;
        let user_code = user_code()?;
        let entry = Device { user_code: user_code.clone(), challenge, answer: None, asked_ms: None };
        self.waiting().devices.insert(device_code.clone(), entry, now_ms, DEVICE_SECONDS * 1000)?;
        let (first, last) = user_code.split_at_checked(USER_CODE_LENGTH / 2).unwrap_or_default();
        Ok(DeviceStart { device_code, user_code: format!("{first}-{last}") })
    }

    /// A person's answer to the device that shows this code; the first answer stays.
    pub(super) fn answer_device(&self, typed: &str, answer: Answer, now_ms: u64) -> Result<(), NoDevice> {
        let typed: String =
            typed.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_uppercase()).collect();
        let mut waiting = self.waiting();
        if now_ms.saturating_sub(waiting.wrong_since_ms) > MINUTE_MS {
            waiting.wrong_since_ms = now_ms;
            waiting.wrong_user_codes = 0;
        }
        if waiting.wrong_user_codes >= MAX_WRONG_USER_CODES {
            return Err(NoDevice::TooManyGuesses);
        }
        match waiting.devices.find(now_ms, |d| d.user_code == typed && d.answer.is_none()) {
            Some(device) => {
                device.answer = Some(answer);
                Ok(())
            }
            None => {
                waiting.wrong_user_codes += 1;
                Err(NoDevice::Unknown)
            }
        }
    }

    /// A device's question whether someone answered.
    pub(super) fn poll_device(&self, params: &Params, now_ms: u64) -> Result<Grant, GrantError> {
        let code = params.get("device_code").ok_or(GrantError::Request("device_code is missing"))?;
        let mut waiting = self.waiting();
        let device = waiting.devices.get_mut(code, now_ms)?;
        let since = device.asked_ms.replace(now_ms).map(|asked| now_ms.saturating_sub(asked));
        match &device.answer {
            None if since.is_some_and(|gap| gap < DEVICE_MIN_GAP_MS) => return Err(GrantError::SlowDown),
            None => return Err(GrantError::Pending),
            Some(_) => {}
        }
        let device = waiting.devices.take(code, now_ms).ok_or(GrantError::Invalid)?;
        let verifier = params.get("code_verifier");
        match device.answer {
            Some(Answer::Allow(address)) if device.challenge.is_none_or(|c| c.answered_by(verifier)) => {
                Ok(Grant { address, nonce: None })
            }
            Some(Answer::Refuse) => Err(GrantError::Denied),
            _ => Err(GrantError::Invalid),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Every change is one step, so what a panicking thread left behind is sound.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bounded map whose entries end by themselves.
#[derive(Debug)]
struct Expiring<T>(HashMap<String, (u64, T)>);

impl<T> Default for Expiring<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T> Expiring<T> {
    fn insert(&mut self, key: String, value: T, now_ms: u64, for_ms: u64) -> Result<(), GrantError> {
        if self.0.len() >= MAX_WAITING {
            self.0.retain(|_, (ends, _)| *ends > now_ms);
        }
        if self.0.len() >= MAX_WAITING {
            return Err(GrantError::Full);
        }
        self.0.insert(key, (now_ms.saturating_add(for_ms), value));
        Ok(())
    }

    fn take(&mut self, key: &str, now_ms: u64) -> Option<T> {
        self.0.remove(key).and_then(|(ends, value)| (ends > now_ms).then_some(value))
    }

    fn get_mut(&mut self, key: &str, now_ms: u64) -> Result<&mut T, GrantError> {
        let (ends, value) = self.0.get_mut(key).ok_or(GrantError::Invalid)?;
        if *ends > now_ms { Ok(value) } else { Err(GrantError::Expired) }
    }

    fn find(&mut self, now_ms: u64, is_it: impl Fn(&T) -> bool) -> Option<&mut T> {
        let mut live = self.0.values_mut().filter(|(ends, _)| *ends > now_ms);
        live.find(|(_, value)| is_it(value)).map(|(_, value)| value)
    }
}

/// A name nobody guesses: 256 random bits.
pub(super) fn secret() -> Result<String, RandomError> {
    Ok(URL_SAFE_NO_PAD.encode(random_array::<32>()?))
}

fn user_code() -> Result<String, RandomError> {
    let mut code = String::new();
    while code.len() < USER_CODE_LENGTH {
        for byte in random_array::<16>()? {
            // 240 is the largest multiple of 20: beyond it some letters would come more often.
            let letter = USER_CODE_LETTERS.get(usize::from(byte % 20)).filter(|_| byte < 240);
            if let Some(letter) = letter.filter(|_| code.len() < USER_CODE_LENGTH) {
                code.push(char::from(*letter));
            }
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests;
