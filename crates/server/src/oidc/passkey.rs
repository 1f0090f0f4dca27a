//! Passkeys: after an address was proven by mail, a key of the person's device may stand in for the mail for some time.
//!
//! A passkey is offered in the moment in which the address was proven, to the browser that proved it, and to no other. Whoever
//! signs in with one types no address, so nothing can be learned by asking. What is kept of it is its public key, for as many
//! days as the operator says, and until somebody who proves the address by mail has them forgotten; then the address is
//! proven by mail again.
//!
//! Must always hold: a challenge is answered once, within minutes, in the browser that it was given to; a passkey that was
//! copied is noticed by its count, where the authenticator counts; one is as old as the mail by which its address was proven,
//! so that whoever could read that mail before a forgetting holds nothing back for afterwards.

use super::{
    grants::{Person, Purpose, secret},
    store::{Kind, Store, StoreError},
    webauthn::{self, Wanted, WebauthnError},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sealog_crypto::{RandomError, sha256};
use serde::{Deserialize, Serialize};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// A person may take this long.
const CHALLENGE_MS: u64 = 5 * 60 * 1000;

/// Why a passkey does not count.
#[derive(Debug, thiserror::Error)]
pub(super) enum PasskeyError {
    #[error("there is nothing to answer: too late, answered before, or another browser")]
    Gone,
    #[error("no such passkey is known, or its time has ended")]
    Unknown,
    #[error("the passkey was used elsewhere meanwhile: it may have been copied")]
    Copied,
    #[error("the passkey does not count: {0}")]
    Webauthn(#[from] WebauthnError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// The passkeys.
#[derive(Debug)]
pub(super) struct Passkeys {
    pub(super) store: Store,
    /// How long one stands in for the mail.
    pub(super) days: u32,
    /// The origin of our pages, and their host.
    pub(super) origin: String,
    pub(super) host: String,
}

/// A question to an authenticator.
#[derive(Serialize, Deserialize)]
struct Asked {
    challenge: String,
    browser: String,
    /// None where a passkey is to be used.
    proven: Option<Proven>,
}

/// Who proved an address just now, and what for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Proven {
    pub(super) person: Person,
    pub(super) purpose: Purpose,
    /// When the proof was asked for, or when whoever gave it had the passkeys forgotten.
    pub(super) asked_ms: u64,
}

/// What is kept of a passkey.
#[derive(Serialize, Deserialize)]
struct Passkey {
    person: Person,
    key: String,
    count: u32,
    /// When the proof of its address was asked for. The days are counted from here, as many as the configuration says when it
    /// is used.
    made_ms: u64,
}

/// What the page's script needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// Names the question.
    pub(super) session: String,
    /// What is to be signed.
    pub(super) challenge: String,
}

/// What the page's script hands in, each in base64url.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    pub(super) session: &'a str,
    pub(super) id: &'a str,
    pub(super) client_data: &'a str,
    /// The attestation of a new one, or the authenticator data of one that was used.
    pub(super) data: &'a str,
    pub(super) signature: &'a str,
}

impl Passkeys {
    /// Asks for a new passkey of somebody who proved an address, or for the use of one.
    pub(super) async fn ask(
        &self,
        proven: Option<Proven>,
        browser: &str,
        now_ms: u64,
    ) -> Result<Challenge, PasskeyError> {
        let (session, challenge) = (secret()?, secret()?);
        let asked = Asked { challenge: challenge.clone(), browser: bound(&session, browser), proven };
        self.store.put(Kind::Passkey, &asked_name(&session), &asked, now_ms, CHALLENGE_MS).await?;
        Ok(Challenge { session, challenge })
    }

    /// Ends the question for a new passkey, whatever became of it: who proved the address, and what for.
    pub(super) async fn proven(
        &self,
        session: &str,
        browser: &str,
        now_ms: u64,
    ) -> Result<(Proven, String), PasskeyError> {
        let asked = self.asked(session, browser, now_ms).await?;
        Ok((asked.proven.ok_or(PasskeyError::Gone)?, asked.challenge))
    }

    /// Keeps a new passkey.
    pub(super) async fn keep(
        &self,
        proven: &Proven,
        challenge: &str,
        answer: &Answer<'_>,
        now_ms: u64,
    ) -> Result<(), PasskeyError> {
        let (client_data, attestation) =
            (webauthn::bytes(answer.client_data)?, webauthn::bytes(answer.data)?);
        let made = webauthn::made(&self.wanted(challenge), &client_data, &attestation)?;
        let name = key_name(&URL_SAFE_NO_PAD.encode(&made.id));
        let (person, made_ms) = (proven.person.clone(), proven.asked_ms);
        let passkey = Passkey { person, key: made.key, count: made.count, made_ms };
        let ends_ms = made_ms.saturating_add(self.life_ms());
        // A name is the authenticator's choice: nobody takes over another's passkey by repeating it.
        let fresh = move |found: Option<(Passkey, u64)>| match found {
            Some(other) if other.0.person != passkey.person => (Some(other), false),
            _ => (Some((passkey, ends_ms)), true),
        };
        match self.store.update(Kind::Passkey, &name, now_ms, fresh).await? {
            true => Ok(()),
            false => Err(PasskeyError::Unknown),
        }
    }

    /// From now on no passkey counts for this address that was made until now, or that is made by a proof which was asked for
    /// until now; but by the proof with which this was asked, whose time was `asked_ms`: the time that counts for it is given
    /// back. A proof that was asked for before another forgetting has nothing forgotten: none is given back.
    pub(super) async fn forget(
        &self,
        address: &str,
        asked_ms: u64,
        now_ms: u64,
    ) -> Result<Option<u64>, PasskeyError> {
        let ends_ms = now_ms.saturating_add(self.life_ms());
        let forget = move |found: Option<(u64, u64)>| match found {
            Some((at_ms, ends)) if asked_ms <= at_ms => (Some((at_ms, ends)), None),
            _ => (Some((now_ms, ends_ms)), Some(now_ms.saturating_add(1))),
        };
        Ok(self.store.update(Kind::Passkey, &forgotten_name(address), now_ms, forget).await?)
    }

    /// Who a passkey speaks for.
    pub(super) async fn used(
        &self,
        browser: &str,
        answer: &Answer<'_>,
        now_ms: u64,
    ) -> Result<Person, PasskeyError> {
        let asked = self.asked(answer.session, browser, now_ms).await?;
        if asked.proven.is_some() {
            return Err(PasskeyError::Gone);
        }
        let name = key_name(answer.id);
        let known: Option<Passkey> = self.store.get(Kind::Passkey, &name, now_ms).await?;
        let known = known
            .filter(|known| now_ms < known.made_ms.saturating_add(self.life_ms()))
            .ok_or(PasskeyError::Unknown)?;
        let forgotten = forgotten_name(&known.person.address);
        let forgotten_ms: Option<u64> = self.store.get(Kind::Passkey, &forgotten, now_ms).await?;
        if forgotten_ms.is_some_and(|at_ms| known.made_ms <= at_ms) {
            return Err(PasskeyError::Unknown);
        }
        let (client_data, data) = (webauthn::bytes(answer.client_data)?, webauthn::bytes(answer.data)?);
        let signature = webauthn::bytes(answer.signature)?;
        let wanted = self.wanted(&asked.challenge);
        let count = webauthn::used(&wanted, &known.key, &client_data, &data, &signature)?;
        // §7.2 step 21: counted in one step, so that of two copies one is noticed.
        let counted = move |found: Option<(Passkey, u64)>| match found {
            None => (None, Err(PasskeyError::Unknown)),
            Some((passkey, ends)) if (count > 0 || passkey.count > 0) && count <= passkey.count => {
                (Some((passkey, ends)), Err(PasskeyError::Copied))
            }
            Some((passkey, ends)) => {
                let person = passkey.person.clone();
                (Some((Passkey { count, ..passkey }, ends)), Ok(person))
            }
        };
        self.store.update(Kind::Passkey, &name, now_ms, counted).await?
    }

    fn life_ms(&self) -> u64 {
        u64::from(self.days).saturating_mul(DAY_MS)
    }

    async fn asked(&self, session: &str, browser: &str, now_ms: u64) -> Result<Asked, PasskeyError> {
        let asked: Option<Asked> = self.store.take(Kind::Passkey, &asked_name(session), now_ms).await?;
        asked.filter(|asked| asked.browser == bound(session, browser)).ok_or(PasskeyError::Gone)
    }

    fn wanted<'a>(&'a self, challenge: &'a str) -> Wanted<'a> {
        Wanted { challenge, origin: &self.origin, host: &self.host }
    }
}

/// Questions, passkeys, and when an address's were forgotten are kept apart by their names.
fn asked_name(session: &str) -> String {
    format!("asked {session}")
}

fn key_name(id: &str) -> String {
    format!("key {id}")
}

fn forgotten_name(address: &str) -> String {
    format!("forgotten {address}")
}

fn bound(session: &str, browser: &str) -> String {
    hex::encode(sha256(format!("{session} {browser}").as_bytes()))
}

#[cfg(test)]
pub(super) mod tests;
