//! Tokens that are used more than once: counted, never refused, since the protocol allows it.
//!
//! A client that signs a batch with one sign-in does it on purpose; so does one that stole a token. The numbers
//! show which of the two is likely. What may be lost: all of it, at every restart; other instances keep their own.

use crate::metrics::Count;
use sealog_crypto::{RandomError, random_array};
use sealog_identity::{SeenTokens, UnverifiedToken};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Tokens remembered: some ten megabytes, and at ten minutes each more than four hundred a second.
const MOST: usize = 256 * 1024;

/// What is remembered and counted.
#[derive(Debug)]
pub(super) struct Reuse {
    seen: Mutex<SeenTokens>,
    again: AtomicU64,
    forgotten: AtomicU64,
}

impl Reuse {
    pub(super) fn new() -> Result<Self, RandomError> {
        Ok(Self {
            seen: Mutex::new(SeenTokens::new(random_array()?, MOST)),
            again: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
        })
    }

    /// Notes that a verified token was used.
    pub(super) fn note(&self, token: &UnverifiedToken<'_>, expires: i64, now: i64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let sight = seen.note(token, expires, now);
        drop(seen);
        self.again.fetch_add(u64::from(sight.again), Relaxed);
        self.forgotten.fetch_add(u64::try_from(sight.forgotten).unwrap_or(u64::MAX), Relaxed);
    }

    /// For whoever watches.
    pub(super) fn counts(self: &Arc<Self>) -> Vec<Count> {
        let (again, forgotten) = (Arc::clone(self), Arc::clone(self));
        vec![
            Count {
                name: "sealog_ca_tokens_used_again_total",
                help: "Identity tokens, verified, that had been used before.",
                value: Arc::new(move || again.again.load(Relaxed)),
            },
            Count {
                name: "sealog_ca_tokens_forgotten_total",
                help: "Used tokens forgotten before they expired, for want of room: their reuse is not counted.",
                value: Arc::new(move || forgotten.forgotten.load(Relaxed)),
            },
        ]
    }
}
