//! The decision: who may have a token, from a person's yes to the exchange of its code.
//!
//! Spec: RFC 6749 §4.1 (authorization code), RFC 8628 (device codes), as sigstore's clients use them. No HTTP here:
//! parameters in, codes and grants out, the present as an argument.
//!
//! Must always hold: a code works once, for a few minutes, for the redirect it was asked for and the verifier behind its
//! challenge; a wrong attempt burns it. Nothing is remembered of a sign-in page until someone submits it, and what is
//! remembered is bounded: strangers cannot fill the disk.

use super::{
    limits::{Limit, Limits},
    request::{AuthRequest, Challenge, Params, is_sha256},
    store::{Kind, Store, StoreError},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sealog_crypto::{RandomError, random_array};
use serde::{Deserialize, Serialize};

/// A code is good for this long: someone may have to carry it to another window by hand.
const CODE_MS: u64 = 5 * 60 * 1000;
/// A device code is good for this long.
pub(super) const DEVICE_SECONDS: u64 = 10 * 60;
/// Seconds between two questions of a waiting device.
pub(super) const DEVICE_INTERVAL: u64 = 2;
/// Questions closer together than this are answered `slow_down`.
const DEVICE_MIN_GAP_MS: u64 = 1000;
/// User codes have no vowels, so that they spell nothing (RFC 8628 §6.1).
const USER_CODE_LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const USER_CODE_LENGTH: usize = 8;

/// A person, as somebody vouches for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Person {
    /// Their address.
    pub(super) address: String,
    /// Who vouches: the provider behind this one, or this one.
    pub(super) connector_id: String,
    /// What they call the person.
    pub(super) user_id: String,
}

/// What a person's yes is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// A program on the person's machine.
    Request(Box<AuthRequest>),
    /// A program elsewhere, by the code it shows.
    Device {
        /// As typed and cleaned.
        user_code: String,
    },
}

/// What a code was exchanged for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) person: Person,
    pub(super) nonce: Option<String>,
    pub(super) key_thumbprint: Option<String>,
}

/// Why there is no token (RFC 6749 §5.2, RFC 8628 §3.5).
#[derive(Debug, thiserror::Error)]
pub(super) enum GrantError {
    #[error("the code is unknown, expired, used before, or not for this redirect_uri and code_verifier")]
    Invalid,
    #[error("nobody has answered yet")]
    Pending,
    #[error("asked again too soon")]
    SlowDown,
    #[error("the device code has expired, was answered already, or never was one")]
    Expired,
    #[error("the person refused")]
    Denied,
    #[error("{0}")]
    Request(&'static str),
    #[error("too many sign-ins from this network")]
    TooMany,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no random bytes")]
    Random,
}

impl From<RandomError> for GrantError {
    fn from(_: RandomError) -> Self {
        Self::Random
    }
}

/// Why a person's answer reaches no device.
#[derive(Debug)]
pub(super) enum NoDevice {
    Unknown,
    TooManyGuesses,
    Store(StoreError),
}

impl From<StoreError> for NoDevice {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A new device code.
#[derive(Debug)]
pub(super) struct DeviceStart {
    pub(super) device_code: String,
    /// In the form people read: `BCDF-GHJK`.
    pub(super) user_code: String,
}

/// Who asks for a device code: what the person is shown before they answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asker {
    /// Its network address.
    pub(super) from: String,
    /// What it calls itself.
    pub(super) program: String,
    /// When it asked.
    pub(super) at_ms: u64,
    /// The provider behind this one that it names.
    #[serde(default)]
    pub(super) connector_id: Option<String>,
}

/// Codes that wait to be exchanged.
#[derive(Debug)]
pub(super) struct Grants {
    store: Store,
    limits: Limits,
}

#[derive(Serialize, Deserialize)]
struct Code {
    request: AuthRequest,
    person: Person,
}

#[derive(Serialize, Deserialize)]
struct Device {
    /// What finds it beside its own code.
    #[serde(default)]
    user_code: String,
    challenge: Option<Challenge>,
    key_thumbprint: Option<String>,
    asker: Asker,
    answer: Option<Answer>,
    asked_ms: Option<u64>,
}

/// What a person said to a waiting device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    Allow(Person),
    Refuse,
}

impl Grants {
    pub(super) const fn new(store: Store, limits: Limits) -> Self {
        Self { store, limits }
    }

    /// A code for a request that this person agreed to.
    pub(super) async fn approve(
        &self,
        request: &AuthRequest,
        person: &Person,
        now_ms: u64,
    ) -> Result<String, GrantError> {
        let code = secret()?;
        let record = Code { request: request.clone(), person: person.clone() };
        self.store.put(Kind::Code, &code, &record, now_ms, CODE_MS).await?;
        Ok(code)
    }

    /// Exchanges a code, once.
    pub(super) async fn redeem(&self, params: &Params, now_ms: u64) -> Result<Grant, GrantError> {
        let code = params.get("code").ok_or(GrantError::Request("code is missing"))?;
        // Taken out before it is looked at: a wrong guess at the verifier leaves none to guess again.
        let code: Code = self.store.take(Kind::Code, code, now_ms).await?.ok_or(GrantError::Invalid)?;
        let same_redirect = params.get("redirect_uri") == Some(&code.request.redirect_text);
        if !same_redirect || !code.request.challenge.answered_by(params.get("code_verifier")) {
            return Err(GrantError::Invalid);
        }
        let AuthRequest { nonce, key_thumbprint, .. } = code.request;
        Ok(Grant { person: code.person, nonce, key_thumbprint })
    }

    /// Codes for a device without a browser.
    pub(super) async fn begin_device(
        &self,
        params: &Params,
        network: &str,
        asker: Asker,
        now_ms: u64,
    ) -> Result<DeviceStart, GrantError> {
        let challenge = Challenge::parse(params).map_err(GrantError::Request)?;
        let key_thumbprint = params.get("dpop_jkt").map(str::to_owned);
        if key_thumbprint.as_ref().is_some_and(|text| !is_sha256(text)) {
            return Err(GrantError::Request("dpop_jkt must be the base64url of a SHA-256"));
        }
        if !self.limits.allows(Limit::Devices, network, now_ms).await? {
            return Err(GrantError::TooMany);
        }
        let (device_code, user_code) = (secret()?, user_code()?);
        let record = Device {
            user_code: user_code.clone(),
            challenge,
            key_thumbprint,
            asker,
            answer: None,
            asked_ms: None,
        };
        let life_ms = DEVICE_SECONDS * 1000;
        self.store.put(Kind::Device, &device_code, &record, now_ms, life_ms).await?;
        self.store.put(Kind::UserCode, &user_code, &device_code, now_ms, life_ms).await?;
        let (first, last) = user_code.split_at_checked(USER_CODE_LENGTH / 2).unwrap_or_default();
        Ok(DeviceStart { device_code, user_code: format!("{first}-{last}") })
    }

    /// Which device shows this code, if it waits for an answer: what was typed, cleaned, and who asks.
    pub(super) async fn asking_device(
        &self,
        typed: &str,
        network: &str,
        now_ms: u64,
    ) -> Result<(String, Asker), NoDevice> {
        let user_code = cleaned(typed);
        if self.limits.is_used_up(Limit::WrongUserCodes, network, now_ms).await? {
            return Err(NoDevice::TooManyGuesses);
        }
        match self.waiting_device(&user_code, now_ms).await? {
            Some(asker) => Ok((user_code, asker)),
            None => {
                self.limits.allows(Limit::WrongUserCodes, network, now_ms).await?;
                Err(NoDevice::Unknown)
            }
        }
    }

    /// The same of a code that was found before: no guess, so nothing is counted.
    pub(super) async fn waiting_device(
        &self,
        user_code: &str,
        now_ms: u64,
    ) -> Result<Option<Asker>, StoreError> {
        let code: Option<String> = self.store.get(Kind::UserCode, user_code, now_ms).await?;
        let device: Option<Device> = match code {
            Some(code) => self.store.get(Kind::Device, &code, now_ms).await?,
            None => None,
        };
        Ok(device.filter(|device| device.answer.is_none()).map(|device| device.asker))
    }

    /// The device whose own code this is, if it waits for an answer: its user code, and who asks.
    pub(super) async fn waiting_with(
        &self,
        device_code: &str,
        now_ms: u64,
    ) -> Result<Option<(String, Asker)>, StoreError> {
        let device: Option<Device> = self.store.get(Kind::Device, device_code, now_ms).await?;
        Ok(device.filter(|device| device.answer.is_none()).map(|device| (device.user_code, device.asker)))
    }

    /// A person's answer to the device that shows this code; the first answer stays.
    pub(super) async fn answer_device(
        &self,
        user_code: &str,
        answer: Answer,
        now_ms: u64,
    ) -> Result<(), NoDevice> {
        // Whoever answers first takes the code, and nobody finds the device by it again.
        let code: Option<String> = self.store.take(Kind::UserCode, &cleaned(user_code), now_ms).await?;
        let code = code.ok_or(NoDevice::Unknown)?;
        let answered = |found: Option<(Device, u64)>| {
            let is_there = found.is_some();
            let kept = found.map(|(device, ends)| (Device { answer: Some(answer), ..device }, ends));
            (kept, is_there)
        };
        match self.store.update(Kind::Device, &code, now_ms, answered).await? {
            true => Ok(()),
            false => Err(NoDevice::Unknown),
        }
    }

    /// A device's question whether someone answered.
    pub(super) async fn poll_device(&self, params: &Params, now_ms: u64) -> Result<Grant, GrantError> {
        let code = params.get("device_code").ok_or(GrantError::Request("device_code is missing"))?;
        let verifier = params.get("code_verifier").map(str::to_owned);
        let asked = move |found: Option<(Device, u64)>| {
            let Some((mut device, ends)) = found else { return (None, Err(GrantError::Expired)) };
            let since = device.asked_ms.replace(now_ms).map(|asked| now_ms.saturating_sub(asked));
            let said = match (&device.answer, &device.challenge) {
                (None, _) if since.is_some_and(|gap| gap < DEVICE_MIN_GAP_MS) => Err(GrantError::SlowDown),
                (None, _) => Err(GrantError::Pending),
                (Some(Answer::Refuse), _) => Err(GrantError::Denied),
                (Some(Answer::Allow(_)), Some(challenge)) if !challenge.answered_by(verifier.as_deref()) => {
                    Err(GrantError::Invalid)
                }
                (Some(Answer::Allow(person)), _) => Ok(Grant {
                    person: person.clone(),
                    nonce: None,
                    key_thumbprint: device.key_thumbprint.clone(),
                }),
            };
            // An answer is given once, whatever it is.
            let kept = device.answer.is_none().then_some((device, ends));
            (kept, said)
        };
        self.store.update(Kind::Device, code, now_ms, asked).await?
    }
}

/// A user code as it is remembered: letters alone, large.
fn cleaned(typed: &str) -> String {
    typed
        .chars()
        .filter(char::is_ascii_alphabetic)
        .map(|c| c.to_ascii_uppercase())
        .take(USER_CODE_LENGTH + 1)
        .collect()
}

/// A name nobody guesses: 256 random bits.
pub(super) fn secret() -> Result<String, RandomError> {
    Ok(URL_SAFE_NO_PAD.encode(random_array::<32>()?))
}

fn user_code() -> Result<String, RandomError> {
    letters(USER_CODE_LETTERS, USER_CODE_LENGTH)
}

/// Random characters of an alphabet, each as likely as any other.
pub(super) fn letters(alphabet: &[u8], length: usize) -> Result<String, RandomError> {
    let mut out = String::new();
    // The largest multiple of the alphabet's length in a byte: beyond it some would come more often.
    let fair = 256 - 256 % alphabet.len().max(1);
    while out.len() < length {
        for byte in random_array::<16>()? {
            let number = usize::from(byte);
            let letter = alphabet.get(number % alphabet.len().max(1)).filter(|_| number < fair);
            if let Some(letter) = letter.filter(|_| out.len() < length) {
                out.push(char::from(*letter));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests;
