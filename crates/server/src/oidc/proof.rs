//! The proof that somebody reads a mailbox: a short code goes there, and comes back from the browser, or the program in a
//! terminal, that asked.
//!
//! Must always hold: a code is good for ten minutes, for one use, for five tries, and in the session it was asked from: the
//! browser's, or the device code's; what is kept of it is a hash. Whether a letter went out, for this address or ever before, cannot be told from any
//! answer: a limit that an address or its domain has reached is met with the same page, no letter, and no code that is right: so what
//! may be guessed for an address is bounded, from however many networks. Only what a network
//! did itself is told to it.

use super::{
    address::Address,
    grants::{Person, Purpose, letters, secret},
    limits::{Limit, Limits},
    mail::{Letter, Post},
    store::{Kind, Store, StoreError},
};
use sealog_crypto::{RandomError, sha256};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// A code is good for this long.
pub(super) const LIFE_MS: u64 = 10 * 60 * 1000;
/// Wrong codes before a session ends.
const TRIES: u32 = 5;
/// Digits of a code: five tries at a hundred million.
const DIGITS: usize = 8;

/// An answer takes this long, whatever was done for it: how long that took would say whether the address is known here.
const ANSWERS_AFTER: Duration = Duration::from_millis(50);

/// Where a code was asked from, as the letter says it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    /// The network it counts for.
    pub(super) network: &'a str,
    /// Its address.
    pub(super) from: &'a str,
    /// The secret of the browser's session, or what stands in its place.
    pub(super) browser: &'a str,
    /// What asks.
    pub(super) asked_by: &'a str,
    /// When, for people.
    pub(super) at: &'a str,
}

/// Why no code is sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProofError {
    #[error("too many codes were asked for from this network")]
    TooMany,
    #[error("too many mails are waiting to be sent")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// What came of a code that somebody typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// The right one: whose, what for, and when it was asked for.
    Proven(Box<(Person, Purpose, u64)>),
    /// A wrong one.
    Wrong {
        /// The address that the right one was sent to.
        address: String,
        /// How many tries are left.
        left: u32,
        /// What it is for.
        purpose: Box<Purpose>,
    },
    /// There is nothing to answer: too late, too often, or asked elsewhere.
    Gone,
}

/// Codes that wait.
#[derive(Debug)]
pub(super) struct Proofs {
    pub(super) store: Store,
    pub(super) limits: Limits,
    pub(super) post: Post,
    /// How many letters go to one domain in an hour.
    pub(super) mails_to_domain: u32,
    /// Who vouches: this provider.
    pub(super) issuer: String,
}

#[derive(Serialize, Deserialize)]
struct Waiting {
    address: String,
    /// Hash of session and code: from a copy of the directory no code can be read.
    code: String,
    browser: String,
    tries: u32,
    purpose: Purpose,
    asked_ms: u64,
}

impl Proofs {
    /// Sends a code and hands back the name of the session that takes it.
    pub(super) async fn begin(
        &self,
        address: &Address,
        purpose: Purpose,
        origin: &Origin<'_>,
        now_ms: u64,
    ) -> Result<String, ProofError> {
        let answers_at = Instant::now() + ANSWERS_AFTER;
        // Before anything is looked up: whether there is room says nothing of the address.
        let place = self.post.place().map_err(|_| ProofError::Busy)?;
        if !self.limits.allows(Limit::MailsFromNetwork, origin.network, now_ms).await? {
            return Err(ProofError::TooMany);
        }
        let (session, code) = (secret()?, letters(b"0123456789", DIGITS)?);
        let counted = counted(address);
        let of_both = format!("{counted} {}", origin.network);
        let near = self.limits.allows(Limit::MailsToAddressFromNetwork, &of_both, now_ms).await?;
        // What goes to no one counts against no address or domain, and takes as long.
        let mailbox = if near { &counted } else { "" };
        let to_address = self.limits.allows(Limit::MailsToAddress, mailbox, now_ms).await? && near;
        let domain = if to_address { address.domain() } else { "" };
        let to_domain = Limit::MailsToDomain { most: self.mails_to_domain };
        let goes_out = self.limits.allows(to_domain, domain, now_ms).await? && to_address;
        let record = Waiting {
            address: address.as_str().to_owned(),
            // A code that nobody was sent can only be guessed: no digits are right.
            code: if goes_out { hashed(&session, &code) } else { String::new() },
            browser: hashed(&session, origin.browser),
            tries: 0,
            purpose,
            asked_ms: now_ms,
        };
        self.store.put(Kind::Mail, &session, &record, now_ms, LIFE_MS).await?;
        if goes_out {
            let (first, last) = code.split_at_checked(DIGITS / 2).unwrap_or_default();
            let letter = Letter {
                to: address.clone(),
                code: format!("{first} {last}"),
                asked_by: origin.asked_by.to_owned(),
                from: origin.from.to_owned(),
                at: origin.at.to_owned(),
            };
            place.send(letter);
        }
        sleep_until(answers_at).await;
        Ok(session)
    }

    /// Takes what somebody typed.
    pub(super) async fn answer(
        &self,
        session: &str,
        browser: &str,
        typed: &str,
        now_ms: u64,
    ) -> Result<Typed, StoreError> {
        let digits: String = typed.chars().filter(char::is_ascii_digit).take(DIGITS + 1).collect();
        let (code, browser) = (hashed(session, &digits), hashed(session, browser));
        let issuer = self.issuer.clone();
        let look = move |found: Option<(Waiting, u64)>| {
            let Some((mut waiting, ends)) = found else { return (None, Typed::Gone) };
            if waiting.browser != browser {
                return (Some((waiting, ends)), Typed::Gone);
            }
            if waiting.code == code {
                let address = waiting.address;
                let person = Person { address: address.clone(), connector_id: issuer, user_id: address };
                return (None, Typed::Proven(Box::new((person, waiting.purpose, waiting.asked_ms))));
            }
            waiting.tries = waiting.tries.saturating_add(1);
            match TRIES.saturating_sub(waiting.tries) {
                0 => (None, Typed::Gone),
                left => {
                    let (address, purpose) = (waiting.address.clone(), Box::new(waiting.purpose.clone()));
                    let said = Typed::Wrong { address, left, purpose };
                    (Some((waiting, ends)), said)
                }
            }
        };
        self.store.update(Kind::Mail, session, now_ms, look).await
    }

    /// Forgets a session that somebody refused: what it was for.
    pub(super) async fn refuse(
        &self,
        session: &str,
        browser: &str,
        now_ms: u64,
    ) -> Result<Option<Purpose>, StoreError> {
        let browser = hashed(session, browser);
        let look = move |found: Option<(Waiting, u64)>| match found {
            Some((waiting, _)) if waiting.browser == browser => (None, Some(waiting.purpose)),
            other => (other, None),
        };
        self.store.update(Kind::Mail, session, now_ms, look).await
    }
}

/// Spellings that nearly every server delivers to one mailbox, for counting alone: else whoever varies them fills it.
fn counted(address: &Address) -> String {
    let (name, domain) = address.as_str().rsplit_once('@').unwrap_or_default();
    let name = name.split('+').next().unwrap_or_default();
    format!("{}@{domain}", name.to_ascii_lowercase())
}

/// Compared by digest, so that the time taken says nothing about how much of it was right.
fn hashed(session: &str, text: &str) -> String {
    hex::encode(sha256(format!("{session} {text}").as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::config::{Mail, Protection};

    #[tokio::test]
    async fn a_code_that_was_not_sent_is_never_right() {
        const NOW: u64 = 1_700_000_000_000;
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let mail = Mail {
            from: "a@example.org".to_owned(),
            server: "localhost:1".to_owned(),
            tls: Protection::PlainUnsafe,
            user: None,
            password_file: None,
            ca_certificates: None,
            passkey_days: 0,
            mails_to_domain: 20,
        };
        let proofs = Proofs {
            store: store.clone(),
            limits: Limits::new(store.clone()),
            post: Post::start(&mail, "https://i.example", "i.example").unwrap(),
            mails_to_domain: mail.mails_to_domain,
            issuer: "https://i.example".to_owned(),
        };
        let waiting = async |network: &str, address: &str| {
            let address = Address::parse(address).unwrap();
            let origin = Origin { network, from: network, browser: "b", asked_by: "x", at: "now" };
            let purpose = Purpose::Device { user_code: "BCDFGHJK".to_owned() };
            let session = proofs.begin(&address, purpose, &origin, NOW).await.unwrap();
            store.get::<Waiting>(Kind::Mail, &session, NOW).await.unwrap().unwrap().code
        };
        for _ in 0..3 {
            assert_eq!(waiting("192.0.2.0", "jane@example.org").await.len(), 64);
        }
        // One network cannot keep her from the rest, however often it asks.
        for _ in 0..9 {
            assert_eq!(waiting("192.0.2.0", "jane+9@example.org").await, "");
        }
        for number in 1..8 {
            assert_eq!(waiting(&format!("192.0.2.{number}0"), "jane@example.org").await.len(), 64);
        }
        for same in ["jane@example.org", "JANE@Example.org", "Jane+1@example.org"] {
            assert_eq!(waiting("192.0.2.5", same).await, "", "no digits hash to nothing: {same}");
        }
        let to_domain: Option<u32> =
            store.get(Kind::Limit, "mails-to-domain example.org", NOW).await.unwrap();
        assert_eq!(to_domain, Some(10), "what went to nobody is not counted");
        for number in 0..20 {
            let sent = waiting(&format!("192.0.2.{number}"), &format!("j{number}@wide.example")).await;
            assert_eq!(sent.len(), 64, "{number}");
        }
        assert_eq!(waiting("192.0.2.20", "jane@wide.example").await, "", "a domain is not flooded either");
        assert_eq!(waiting("192.0.2.20", "jane@other.example").await.len(), 64);

        // A full queue is met alike by an address that gets no more and by one that never had any.
        let _places: Vec<_> = std::iter::from_fn(|| proofs.post.place().ok()).collect();
        for address in ["jane@example.org", "never@never.example"] {
            let address = Address::parse(address).unwrap();
            let origin = Origin { network: "192.0.2.99", from: "", browser: "b", asked_by: "x", at: "now" };
            let purpose = Purpose::Device { user_code: "BCDFGHJK".to_owned() };
            let begun = proofs.begin(&address, purpose, &origin, NOW).await;
            assert!(matches!(begun, Err(ProofError::Busy)), "{begun:?}");
        }
    }
}
