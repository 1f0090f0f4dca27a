//! Step 5: the promises of Rekor v1 logs to take an entry in, which are also statements of when.
//!
//! Rekor v2 makes none. An integrated time without its promise is a number anybody could have written
//! and is never used as a time.

use crate::{
    anchors::{self, Anchors, Log},
    error::VerifyError,
    structure::{LogEntry, Structure},
};
use alloc::{format, string::String, vec::Vec};
use sealog_bundle::{UnixTime, json::encode_base64};
use sealog_crypto::{Scheme, SignatureError};

/// Why a promise is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PromiseError {
    /// Not signed by the log.
    #[error("the inclusion promise of {log} does not verify")]
    NotVerified {
        /// The log's URL.
        log: String,
        /// What is wrong.
        #[source]
        source: SignatureError,
    },
    /// Made when the log was not trusted.
    #[error("the inclusion promise of {log} is of {time}, when the log was not trusted")]
    OutsideWindow {
        /// The log's URL.
        log: String,
        /// The time it states.
        time: UnixTime,
    },
}

/// A promise by a trusted log.
pub(crate) struct VerifiedPromise<'a> {
    entry: usize,
    time: UnixTime,
    log: &'a Log,
}

impl<'a> VerifiedPromise<'a> {
    /// Which entry of the bundle it is about.
    pub(crate) const fn entry(&self) -> usize {
        self.entry
    }

    pub(crate) const fn time(&self) -> UnixTime {
        self.time
    }

    pub(crate) const fn log(&self) -> &'a Log {
        self.log
    }
}

/// The promises of all logs we know; perhaps none.
pub(crate) fn check<'a>(
    structure: &Structure<'_>,
    anchors: &'a Anchors,
) -> Result<Vec<VerifiedPromise<'a>>, VerifyError> {
    let mut promises = Vec::new();
    for (entry, claim) in structure.entries().iter().enumerate() {
        let Some(promise) = &claim.entry.inclusion_promise else { continue };
        let logs = anchors.tlogs.iter().filter(|log| log.id == claim.entry.log_id);
        let how_far = |error: &VerifyError| match error {
            VerifyError::Promise(PromiseError::OutsideWindow { .. }) => 2,
            VerifyError::Promise(_) => 1,
            _ => 0,
        };
        let outcomes = logs.map(|log| by_log(claim, promise, log));
        let Some(outcome) = anchors::any_listing(outcomes, how_far) else { continue };
        let (log, time) = outcome?;
        promises.push(VerifiedPromise { entry, time, log });
    }
    Ok(promises)
}

fn by_log<'a>(
    claim: &LogEntry<'_>,
    promise: &[u8],
    log: &'a Log,
) -> Result<(&'a Log, UnixTime), VerifyError> {
    let key = log.key()?;
    let url = || log.url.clone();
    if let Err(source) = key.verify(Scheme::default_for(key.kind()), signed_text(claim).as_bytes(), promise) {
        return Err(PromiseError::NotVerified { log: url(), source }.into());
    }
    let time = UnixTime::from_seconds(claim.entry.integrated_time);
    if !log.valid_for.contains(time) {
        return Err(PromiseError::OutsideWindow { log: url(), time }.into());
    }
    Ok((log, time))
}

/// What the log signed: RFC 8785 JSON. All values are base64, hex or numbers, so nothing needs escaping.
fn signed_text(claim: &LogEntry<'_>) -> String {
    format!(
        r#"{{"body":"{}","integratedTime":{},"logID":"{}","logIndex":{}}}"#,
        encode_base64(&claim.entry.canonicalized_body),
        claim.entry.integrated_time,
        hex::encode(&claim.entry.log_id),
        // Across all shards, unlike the index of the inclusion proof.
        claim.entry.log_index,
    )
}
