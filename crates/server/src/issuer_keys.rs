//! The keys of OIDC issuers: fetched when first needed, kept, and fetched anew when none of them verifies a token.
//!
//! Only issuers of the configuration are ever asked: the URL comes from a rule that matched, not from a
//! caller's wish. Documents are bounded in size and time, a redirect to another host is not followed, plain
//! http is for issuers on this very machine, and private addresses are for rules that allow them.

use crate::{clock::Clock, files, http::chain};
use sealog_client::http::{Client, HttpError, Reach, Request, is_loopback, parse_url};
use sealog_identity::{Discovery, DiscoveryError, Jwks, JwksError, discovery, issuer::Asking};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use url::Url;

/// For both documents together.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Keys are believed this long without asking again.
const FRESH_MS: u64 = 15 * 60 * 1000;
/// And this long when asking again fails.
const STALE_MS: u64 = 24 * 60 * 60 * 1000;
/// An issuer is not asked more often, whatever tokens say: else anyone could make us flood it.
const MIN_INTERVAL_MS: u64 = 5 * 1000;
/// A token is shorter.
const MAX_BEARER_TOKEN: u64 = 64 * 1024;
/// Issuers remembered; with wildcard rules there may be many.
const MAX_ISSUERS: usize = 256;

/// Why an issuer's keys cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// Not a URL keys may be fetched from.
    #[error("the issuer's keys cannot be fetched from {0}: https is needed beyond this machine")]
    Unprotected(String),
    /// The issuer did not answer as it should.
    #[error("the issuer's keys could not be fetched: {0}")]
    Http(Arc<HttpError>),
    /// It answered with another status.
    #[error("the issuer's keys could not be fetched: {url} answered {status}")]
    Status {
        /// Who.
        url: String,
        /// The status.
        status: u16,
    },
    /// The file whose content it wants to see cannot be read.
    #[error("the issuer's keys could not be fetched: the rule's `bearer_token_file` cannot be read: {0}")]
    BearerToken(Arc<std::io::Error>),
    /// It took too long.
    #[error("the issuer's keys could not be fetched in {} s", FETCH_TIMEOUT.as_secs())]
    TimedOut,
    /// Its discovery document is unusable.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// Its key set is unusable.
    #[error(transparent)]
    Keys(#[from] JwksError),
}

/// What is known of an issuer.
#[derive(Debug)]
pub(crate) struct IssuerKeys {
    /// Its keys.
    pub(crate) keys: Jwks,
    /// What it says of itself.
    pub(crate) discovery: Discovery,
    fetched_ms: u64,
}

/// One issuer.
#[derive(Default)]
struct Slot {
    /// Read without waiting for anyone: a slow issuer, or strangers who make us ask it again, hold up no
    /// token that these keys verify.
    known: Mutex<Option<Arc<IssuerKeys>>>,
    /// Held while the issuer is asked: one fetch at a time.
    attempt: Arc<tokio::sync::Mutex<Attempt>>,
}

/// The last time an issuer was asked.
#[derive(Default)]
struct Attempt {
    tried_ms: Option<u64>,
    failure: Option<FetchError>,
}

impl Slot {
    fn known(&self) -> Option<Arc<IssuerKeys>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The keys of all issuers asked so far.
pub(crate) struct KeyCache {
    fetcher: Fetcher,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

impl KeyCache {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { fetcher: Fetcher { clients: Arc::default(), clock }, slots: Mutex::new(HashMap::new()) }
    }

    /// The issuer's keys, fetched if none are known or they are old.
    pub(crate) async fn of(&self, issuer: &str, asking: &Asking) -> Result<Arc<IssuerKeys>, FetchError> {
        let slot = self.slot(issuer);
        if let Some(known) = slot.known() {
            let age = self.fetcher.age(known.fetched_ms);
            if age < FRESH_MS {
                return Ok(known);
            }
            if age < STALE_MS {
                // Whoever comes while another asks makes do with what there is.
                let Ok(attempt) = Arc::clone(&slot.attempt).try_lock_owned() else { return Ok(known) };
                return self.refresh(issuer, asking, slot, attempt, None).await.or(Ok(known));
            }
        }
        let attempt = Arc::clone(&slot.attempt).lock_owned().await;
        self.refresh(issuer, asking, slot, attempt, None).await
    }

    /// The issuer's keys, newer than `seen` if the issuer may be asked again already.
    pub(crate) async fn newer(
        &self,
        issuer: &str,
        asking: &Asking,
        seen: &IssuerKeys,
    ) -> Result<Arc<IssuerKeys>, FetchError> {
        let slot = self.slot(issuer);
        let attempt = Arc::clone(&slot.attempt).lock_owned().await;
        self.refresh(issuer, asking, slot, attempt, Some(seen.fetched_ms)).await
    }

    /// In a task of its own: a caller that hangs up neither wastes the fetch nor undoes its accounting.
    async fn refresh(
        &self,
        issuer: &str,
        asking: &Asking,
        slot: Arc<Slot>,
        mut attempt: tokio::sync::OwnedMutexGuard<Attempt>,
        seen_ms: Option<u64>,
    ) -> Result<Arc<IssuerKeys>, FetchError> {
        let (fetcher, issuer, asking) = (self.fetcher.clone(), issuer.to_owned(), asking.clone());
        let asked =
            tokio::spawn(
                async move { fetcher.refresh(&issuer, &asking, &slot, &mut attempt, seen_ms).await },
            );
        asked.await.unwrap_or(Err(FetchError::TimedOut))
    }

    fn slot(&self, issuer: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // Only wildcard rules get here. Names that anyone made up, unsigned, go first: they neither push out keys that
        // were fetched, nor make us ask for those again.
        if slots.len() >= MAX_ISSUERS && !slots.contains_key(issuer) {
            slots.retain(|_, slot| slot.known().is_some());
        }
        if slots.len() >= MAX_ISSUERS && !slots.contains_key(issuer) {
            slots.clear();
        }
        Arc::clone(slots.entry(issuer.to_owned()).or_default())
    }
}

/// Asks issuers.
#[derive(Clone)]
struct Fetcher {
    /// One for each way in which rules want issuers to be asked: as many as there are ways in the configuration.
    clients: Arc<Mutex<HashMap<Reach, Arc<Client>>>>,
    clock: Clock,
}

impl Fetcher {
    async fn refresh(
        &self,
        issuer: &str,
        asking: &Asking,
        slot: &Slot,
        attempt: &mut Attempt,
        seen_ms: Option<u64>,
    ) -> Result<Arc<IssuerKeys>, FetchError> {
        let known = slot.known();
        if let Some(known) = &known {
            let enough = match seen_ms {
                Some(seen_ms) => known.fetched_ms > seen_ms,
                None => self.age(known.fetched_ms) < FRESH_MS,
            };
            // Somebody else fetched them while we waited.
            if enough {
                return Ok(Arc::clone(known));
            }
        }
        if attempt.tried_ms.is_some_and(|tried| self.age(tried) < MIN_INTERVAL_MS) {
            match (&attempt.failure, known) {
                (Some(failure), _) => return Err(failure.clone()),
                (None, Some(known)) => return Ok(known),
                (None, None) => {}
            }
        }
        let fetched = tokio::time::timeout(FETCH_TIMEOUT, self.fetch(issuer, asking)).await;
        attempt.tried_ms = Some(self.clock.unix_ms());
        match fetched.unwrap_or(Err(FetchError::TimedOut)) {
            Ok(keys) => {
                let keys = Arc::new(keys);
                *slot.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&keys));
                attempt.failure = None;
                Ok(keys)
            }
            Err(failure) => {
                tracing::warn!(issuer, error = chain(&failure), "cannot fetch an issuer's keys");
                attempt.failure = Some(failure.clone());
                Err(failure)
            }
        }
    }

    async fn fetch(&self, issuer: &str, asking: &Asking) -> Result<IssuerKeys, FetchError> {
        let base = protected(issuer)?;
        let asked =
            Asked { client: self.client_for(&base, asking), bearer: bearer(asking).await?, base: &base };
        let document = asked.get(protected(&discovery::url(issuer))?, discovery::MAX_BYTES).await?;
        let found = Discovery::parse(&document, issuer)?;
        let keys_at = keys_at(&base, &found.jwks_uri)?;
        let keys = Jwks::parse(&asked.get(keys_at, sealog_identity::jwk::MAX_BYTES).await?)?;
        Ok(IssuerKeys { keys, discovery: found, fetched_ms: self.clock.unix_ms() })
    }

    fn client_for(&self, base: &Url, asking: &Asking) -> Arc<Client> {
        // An issuer on this machine is one by its name in the configuration.
        let public_only = !asking.private_addresses && !is_loopback(base);
        let reach = Reach { public_only, authorities: asking.ca_certificates.clone() };
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(clients.entry(reach.clone()).or_insert_with(|| Arc::new(Client::reaching(reach))))
    }

    /// A clock set back makes nothing fresh for ever.
    fn age(&self, since_ms: u64) -> u64 {
        let now = self.clock.unix_ms();
        if now < since_ms { u64::MAX } else { now - since_ms }
    }
}

/// Where an issuer may say that its keys are: one out there must not make us ask a service of this machine.
fn keys_at(base: &Url, jwks_uri: &str) -> Result<Url, FetchError> {
    let url = protected(jwks_uri)?;
    match base.scheme() == "https" && url.scheme() != "https" {
        true => Err(FetchError::Unprotected(url.into())),
        false => Ok(url),
    }
}

/// The token an issuer wants to see, read anew each time: whoever writes it replaces it before it expires.
async fn bearer(asking: &Asking) -> Result<Option<String>, FetchError> {
    let Some(path) = &asking.bearer_token_file else { return Ok(None) };
    let path = std::path::PathBuf::from(path);
    let read = tokio::task::spawn_blocking(move || files::read_bounded(&path, MAX_BEARER_TOKEN)).await;
    let bytes = read.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    let bytes = bytes.map_err(|error| FetchError::BearerToken(Arc::new(error)))?;
    Ok(Some(format!("Bearer {}", String::from_utf8_lossy(&bytes).trim())))
}

/// One issuer being asked.
struct Asked<'a> {
    client: Arc<Client>,
    bearer: Option<String>,
    base: &'a Url,
}

impl Asked<'_> {
    async fn get(&self, url: Url, limit: usize) -> Result<Vec<u8>, FetchError> {
        let shown = url.to_string();
        let mut request =
            Request::get(url.clone()).accept("application/json").limit(limit).timeout(FETCH_TIMEOUT);
        // Whoever else it points at is not shown its token.
        if let Some(bearer) = self.bearer.as_ref().filter(|_| url.origin() == self.base.origin()) {
            request = request.authorization(bearer);
        }
        let response = self.client.exchange(&request).await.map_err(|e| FetchError::Http(Arc::new(e)))?;
        match response.status {
            200 => Ok(response.body),
            status => Err(FetchError::Status { url: shown, status }),
        }
    }
}

fn protected(text: &str) -> Result<Url, FetchError> {
    parse_url(text)
        .ok()
        .filter(|url| url.scheme() == "https" || is_loopback(url))
        .ok_or_else(|| FetchError::Unprotected(text.to_owned()))
}

#[cfg(test)]
mod tests;
