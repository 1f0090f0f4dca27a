//! Step 5: the promises of Rekor v1 logs to take an entry in, which are also statements of when.
//!
//! Rekor v2 makes none. An integrated time without its promise is a number anybody could have written
//! and is never used as a time.

use crate::{
    authority,
    error::VerifyError,
    structure::{LogEntry, Structure},
};
use alloc::{format, string::String, vec::Vec};
use sealog_bundle::{TransparencyLog, TrustedRoot, UnixTime, json::encode_base64};
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
pub(crate) struct VerifiedPromise {
    time: UnixTime,
    log: String,
}

impl VerifiedPromise {
    pub(crate) const fn time(&self) -> UnixTime {
        self.time
    }

    /// The log's URL.
    pub(crate) fn into_log(self) -> String {
        self.log
    }
}

/// The promises of all logs we know; perhaps none.
pub(crate) fn check(
    structure: &Structure<'_>,
    root: &TrustedRoot,
) -> Result<Vec<VerifiedPromise>, VerifyError> {
    let mut promises = Vec::new();
    for claim in structure.entries() {
        let Some(promise) = &claim.entry.inclusion_promise else { continue };
        let logs = root.tlogs.iter().filter(|log| log.log_id == claim.entry.log_id);
        let how_far = |error: &VerifyError| match error {
            VerifyError::Promise(PromiseError::OutsideWindow { .. }) => 2,
            VerifyError::Promise(_) => 1,
            _ => 0,
        };
        let outcomes = logs.map(|log| by_log(claim, promise, log));
        let Some(outcome) = authority::any_listing(outcomes, how_far) else { continue };
        promises.push(outcome?);
    }
    Ok(promises)
}

fn by_log(
    claim: &LogEntry<'_>,
    promise: &[u8],
    log: &TransparencyLog,
) -> Result<VerifiedPromise, VerifyError> {
    let key = authority::log_key(log)?;
    let scheme = Scheme::default_for(key.kind());
    let url = log.base_url.clone();
    if let Err(source) = key.verify(scheme, signed_text(claim).as_bytes(), promise) {
        return Err(PromiseError::NotVerified { log: url, source }.into());
    }
    let time = UnixTime::from_seconds(claim.entry.integrated_time);
    if !log.valid_for.contains(time) {
        return Err(PromiseError::OutsideWindow { log: url, time }.into());
    }
    Ok(VerifiedPromise { time, log: url })
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
