//! Step 4: that a trusted certificate log promised to show the signer's certificate.
//!
//! Promises of logs the trusted root does not know are passed over; one by a log it does know must
//! hold, and as many as the policy wants must be there.

use crate::{
    anchors::{self, Anchors, Log},
    chain::VerifiedChain,
    error::VerifyError,
    policy::{Evidence, EvidenceError},
};
use alloc::{boxed::Box, string::String, vec::Vec};
use sealog_bundle::UnixTime;
use sealog_crypto::PublicKey;
use sealog_pki::Certificate;
use sealog_pki::sct::{EmbeddedSctError, embedded_scts, sct_issuer, verify_sct};
use sealog_tlog::ct::{Sct, SctError};

/// Why the certificate's logging is not proven.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SctStepError {
    /// There is none to be read.
    #[error(transparent)]
    Embedded(#[from] EmbeddedSctError),
    /// None by a log we know.
    #[error("no log of the trusted root made any of the certificate's signed certificate timestamps")]
    NoKnownLog,
    /// One that does not verify.
    #[error("the signed certificate timestamp by {log}: {source}")]
    NotVerified {
        /// The log's URL.
        log: String,
        /// What is wrong.
        source: Box<SctError>,
    },
    /// One from outside the time its log was trusted.
    #[error("the signed certificate timestamp by {log} is of {time}, when the log was not trusted")]
    OutsideWindow {
        /// The log's URL.
        log: String,
        /// The time it states.
        time: UnixTime,
    },
}

/// That the certificate was promised to be shown.
pub(crate) struct VerifiedScts(());

pub(crate) fn check(
    chain: &VerifiedChain,
    anchors: &Anchors,
    evidence: &Evidence,
) -> Result<VerifiedScts, VerifyError> {
    let scts = match embedded_scts(chain.leaf()) {
        Err(EmbeddedSctError::Missing) if evidence.scts == 0 => return Ok(VerifiedScts(())),
        scts => scts.map_err(SctStepError::from)?,
    };
    let issuer = sct_issuer(chain.path()).ok_or(SctStepError::Embedded(EmbeddedSctError::NoIssuer))?;
    let mut verified = Vec::new();
    for sct in &scts {
        let logs = anchors.ctlogs.iter().filter(|log| log.id == sct.log_id);
        let outcomes = logs.filter_map(|log| Some((log, log.key().ok()?)));
        let outcomes = outcomes.map(|(log, key)| by_log(sct, chain, issuer, log, key).map(|()| log));
        let how_far = |error: &SctStepError| u8::from(matches!(error, SctStepError::OutsideWindow { .. }));
        let Some(outcome) = anchors::any_listing(outcomes, how_far) else { continue };
        verified.push(&outcome?.operator);
    }
    let (expected, found) = (evidence.scts, anchors::distinct(verified.into_iter()));
    match found {
        0 if expected > 0 => Err(SctStepError::NoKnownLog.into()),
        _ if found < expected => Err(EvidenceError::Scts { expected, found }.into()),
        _ => Ok(VerifiedScts(())),
    }
}

fn by_log(
    sct: &Sct,
    chain: &VerifiedChain,
    issuer: &Certificate,
    log: &Log,
    key: &PublicKey,
) -> Result<(), SctStepError> {
    let url = || log.url.clone();
    let not_verified = |source| SctStepError::NotVerified { log: url(), source: Box::new(source) };
    verify_sct(sct, chain.leaf(), issuer, key).map_err(not_verified)?;
    let time = UnixTime::from_millis(i64::try_from(sct.timestamp_ms).unwrap_or(i64::MAX));
    match log.valid_for.contains(time) {
        true => Ok(()),
        false => Err(SctStepError::OutsideWindow { log: url(), time }),
    }
}
