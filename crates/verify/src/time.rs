//! Step 2: when the signature existed, by the clocks of trusted timestamp authorities and Rekor v1 logs.
//!
//! Every timestamp in the bundle must verify: one that does not is a sign that something is wrong, and
//! dropping it would let an attacker choose which clocks are heard.

use crate::{
    authority::{self, TrustRootError},
    error::VerifyError,
    promise::VerifiedPromise,
    structure::Structure,
};
use alloc::{boxed::Box, string::String, vec::Vec};
use sealog_bundle::{TrustedRoot, UnixTime};
use sealog_pki::timestamp::{self, ResponseError, TimeStampResp, TimestampError};

/// Why there is no time to verify at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// No timestamp at all.
    #[error("the bundle has no signed timestamp, so nothing says when it was signed")]
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
pub(crate) struct SigningTimes {
    earliest: VerifiedTime,
    all: Vec<VerifiedTime>,
}

impl VerifiedTimes {
    /// Certificates live for minutes: without a time there is nothing to hold theirs against.
    pub(crate) fn at_least_one(self) -> Result<SigningTimes, TimeError> {
        let earliest = self.0.iter().min_by_key(|t| t.time).cloned().ok_or(TimeError::None)?;
        Ok(SigningTimes { earliest, all: self.0 })
    }

    pub(crate) fn all(&self) -> &[VerifiedTime] {
        &self.0
    }
}

impl SigningTimes {
    pub(crate) const fn earliest(&self) -> &VerifiedTime {
        &self.earliest
    }

    pub(crate) fn all(&self) -> &[VerifiedTime] {
        &self.all
    }
}

pub(crate) fn check(
    structure: &Structure<'_>,
    promises: Vec<VerifiedPromise>,
    root: &TrustedRoot,
) -> Result<VerifiedTimes, VerifyError> {
    // 2a. By timestamp authorities.
    let check_one = |(at, response): (usize, &Vec<u8>)| check_one(at, response, structure.signature(), root);
    let mut times: Vec<_> =
        structure.timestamps().iter().enumerate().map(check_one).collect::<Result<_, _>>()?;
    // 2b. By Rekor v1 logs, each in the promise it signed.
    times.extend(promises.into_iter().map(|promise| VerifiedTime {
        time: promise.time(),
        source: TimeSource { authority: promise.into_log() },
    }));
    Ok(VerifiedTimes(times))
}

fn check_one(
    at: usize,
    response: &[u8],
    signature: &[u8],
    root: &TrustedRoot,
) -> Result<VerifiedTime, VerifyError> {
    let response = TimeStampResp::parse(response).map_err(|source| TimeError::Malformed { at, source })?;
    let mut failure: Option<TimeError> = None;
    for authority in authority::usable(&root.timestamp_authorities) {
        let stamped = match timestamp::verify(&response, signature, &authority.certificates) {
            Ok(stamped) => stamped,
            Err(source) => {
                note(&mut failure, TimeError::NotVerified { at, source: Box::new(source) });
                continue;
            }
        };
        let time = UnixTime::from_millis(stamped.gen_time_unix_ms());
        let listed = authority.listed;
        let name = if listed.uri.is_empty() { &listed.common_name } else { &listed.uri };
        if listed.valid_for.contains(time) {
            return Ok(VerifiedTime { time, source: TimeSource { authority: name.clone() } });
        }
        note(&mut failure, TimeError::OutsideWindow { at, time, authority: name.clone() });
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
