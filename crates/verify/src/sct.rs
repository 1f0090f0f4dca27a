//! Step 4: that a trusted certificate log promised to show the signer's certificate.
//!
//! Promises of logs the trusted root does not know are passed over; one by a log it does know must
//! hold, and one must be there.

use crate::{authority, chain::VerifiedChain, error::VerifyError};
use alloc::{boxed::Box, string::String};
use sealog_bundle::{TransparencyLog, TrustedRoot, UnixTime};
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

pub(crate) fn check(chain: &VerifiedChain, root: &TrustedRoot) -> Result<VerifiedScts, VerifyError> {
    let scts = embedded_scts(chain.leaf()).map_err(SctStepError::from)?;
    let issuer = sct_issuer(chain.path()).ok_or(SctStepError::Embedded(EmbeddedSctError::NoIssuer))?;
    let mut verified = 0_usize;
    for sct in &scts {
        let outcomes = root
            .ctlogs
            .iter()
            .filter(|log| log.log_id == sct.log_id)
            .filter_map(|log| Some((log, authority::log_key(log).ok()?)))
            .map(|(log, key)| by_log(sct, chain, issuer, log, &key));
        let how_far = |error: &SctStepError| u8::from(matches!(error, SctStepError::OutsideWindow { .. }));
        let Some(outcome) = authority::any_listing(outcomes, how_far) else { continue };
        outcome?;
        verified += 1;
    }
    match verified {
        0 => Err(SctStepError::NoKnownLog.into()),
        _ => Ok(VerifiedScts(())),
    }
}

fn by_log(
    sct: &Sct,
    chain: &VerifiedChain,
    issuer: &Certificate,
    log: &TransparencyLog,
    key: &PublicKey,
) -> Result<(), SctStepError> {
    let url = || log.base_url.clone();
    let not_verified = |source| SctStepError::NotVerified { log: url(), source: Box::new(source) };
    verify_sct(sct, chain.leaf(), issuer, key).map_err(not_verified)?;
    let time = UnixTime::from_millis(i64::try_from(sct.timestamp_ms).unwrap_or(i64::MAX));
    match log.valid_for.contains(time) {
        true => Ok(()),
        false => Err(SctStepError::OutsideWindow { log: url(), time }),
    }
}
