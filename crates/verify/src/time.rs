//! Step 2: when the signature existed, by the clocks of trusted timestamp authorities and Rekor v1 logs.
//!
//! Every timestamp in the bundle must verify: one that does not is a sign that something is wrong, and
//! dropping it would let an attacker choose which clocks are heard.

use crate::{
    anchors::{self, Anchors, TrustRootError},
    error::VerifyError,
    policy::{Evidence, EvidenceError},
    promise::VerifiedPromise,
    structure::Structure,
};
use alloc::{boxed::Box, string::String, vec::Vec};
use sealog_bundle::UnixTime;
use sealog_pki::timestamp::{self, ResponseError, TimeStampResp, TimestampError};

/// Why there is no time to verify at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// No timestamp at all.
    #[error("no trusted service states a time, so nothing says when it was signed")]
    None,
    /// Not a timestamp response.
    #[error("signed timestamp {at} cannot be read: {source}")]
    Malformed {
        /// Which.
        at: usize,
        /// What is wrong.
        source: ResponseError,
    },
    /// Not by a trusted authority, or not over this signature.
    #[error("signed timestamp {at}: {source}")]
    NotVerified {
        /// Which.
        at: usize,
        /// What is wrong, of everything tried the most telling.
        source: Box<TimestampError>,
    },
    /// By an authority that was not trusted then.
    #[error("signed timestamp {at} is of {time}, when its authority {authority} was not trusted")]
    OutsideWindow {
        /// Which.
        at: usize,
        /// The time it states.
        time: UnixTime,
        /// Whose.
        authority: String,
    },
}

/// Whose clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeSource {
    /// URL of the authority or log, or its name where the trusted root has no URL.
    pub authority: String,
}

/// A time that a trusted authority or log put to the bundle's signature.
#[derive(Clone, Debug)]
pub(crate) struct VerifiedTime {
    time: UnixTime,
    source: TimeSource,
}

impl VerifiedTime {
    pub(crate) const fn time(&self) -> UnixTime {
        self.time
    }

    pub(crate) const fn source(&self) -> &TimeSource {
        &self.source
    }
}

/// The times of all timestamps and promises in a bundle; perhaps none.
pub(crate) struct VerifiedTimes(Vec<VerifiedTime>);

/// At least one time.
pub(crate) struct SigningTimes(Vec<VerifiedTime>);

impl VerifiedTimes {
    /// Certificates live for minutes: without a time there is nothing to hold theirs against.
    pub(crate) fn at_least_one(self) -> Result<SigningTimes, TimeError> {
        if self.0.is_empty() { Err(TimeError::None) } else { Ok(SigningTimes(self.0)) }
    }

    pub(crate) fn all(&self) -> &[VerifiedTime] {
        &self.0
    }
}

impl SigningTimes {
    pub(crate) fn all(&self) -> &[VerifiedTime] {
        &self.0
    }
}

pub(crate) fn check(
    structure: &Structure<'_>,
    promises: &[VerifiedPromise<'_>],
    anchors: &Anchors,
    evidence: &Evidence,
) -> Result<VerifiedTimes, VerifyError> {
    // 2a. By timestamp authorities.
    let check_one =
        |(at, response): (usize, &Vec<u8>)| check_one(at, response, structure.signature(), anchors);
    let stamped: Vec<_> =
        structure.timestamps().iter().enumerate().map(check_one).collect::<Result<_, _>>()?;
    // Two by one authority are one authority's word.
    let (expected, found) = (evidence.timestamps, anchors::distinct(stamped.iter().map(|(who, _)| who)));
    if found < expected {
        return Err(EvidenceError::Timestamps { expected, found }.into());
    }
    let mut times: Vec<_> = stamped.into_iter().map(|(_, time)| time).collect();
    // 2b. By Rekor v1 logs, each in the promise it signed.
    times.extend(promises.iter().map(|promise| VerifiedTime {
        time: promise.time(),
        source: TimeSource { authority: promise.log().url.clone() },
    }));
    Ok(VerifiedTimes(times))
}

/// The authority's operator, and the time.
fn check_one<'a>(
    at: usize,
    response: &[u8],
    signature: &[u8],
    anchors: &'a Anchors,
) -> Result<(&'a str, VerifiedTime), VerifyError> {
    let response = TimeStampResp::parse(response).map_err(|source| TimeError::Malformed { at, source })?;
    let mut failure: Option<TimeError> = None;
    for authority in &anchors.timestamp_authorities {
        let stamped = match timestamp::verify(&response, signature, &authority.chain) {
            Ok(stamped) => stamped,
            Err(source) => {
                note(&mut failure, TimeError::NotVerified { at, source: Box::new(source) });
                continue;
            }
        };
        let time = UnixTime::from_millis(stamped.gen_time_unix_ms());
        let name = || authority.name.clone();
        if authority.valid_for.contains(time) {
            let time = VerifiedTime { time, source: TimeSource { authority: name() } };
            return Ok((&authority.operator, time));
        }
        note(&mut failure, TimeError::OutsideWindow { at, time, authority: name() });
    }
    Err(match failure {
        Some(failure) => failure.into(),
        None => TrustRootError::None { what: "timestamp authority" }.into(),
    })
}

/// Keeps the failure that got furthest.
fn note(failure: &mut Option<TimeError>, new: TimeError) {
    let rank = |error: &TimeError| match error {
        TimeError::OutsideWindow { .. } => 3,
        TimeError::NotVerified { source, .. } => match **source {
            TimestampError::UnknownSigner => 0,
            TimestampError::UntrustedSigner => 1,
            _ => 2,
        },
        TimeError::None | TimeError::Malformed { .. } => 0,
    };
    if failure.as_ref().is_none_or(|old| rank(old) < rank(&new)) {
        *failure = Some(new);
    }
}
