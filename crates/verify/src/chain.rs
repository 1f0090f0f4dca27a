//! Step 3: that a trusted authority issued the signer's certificate, and that the whole path was valid
//! at every verified time (all certificates at once: the hybrid model).

use crate::{
    anchors::{Anchors, Authority, TrustRootError},
    error::VerifyError,
    structure::{KeyPolicyError, Structure},
    time::{SigningTimes, TimeSource},
};
use alloc::boxed::Box;
use sealog_bundle::{KeyDetails, UnixTime};
use sealog_crypto::PublicKey;
use sealog_pki::{Certificate, ChainError, Path, Purpose, chain::Place};

/// Why the certificate is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainStepError {
    /// The signature was not made in the certificate's short life.
    #[error("the certificate was not valid at {time}, the time by {}", clock.authority)]
    OutsideCertificate {
        /// The time.
        time: UnixTime,
        /// Whose clock.
        clock: TimeSource,
        /// First second of the certificate's validity.
        not_before: UnixTime,
        /// Last second of the certificate's validity.
        not_after: UnixTime,
    },
    /// No authority was trusted at that time.
    #[error("no certificate authority of the trusted root was trusted at {time}")]
    NoAuthority {
        /// The time.
        time: UnixTime,
    },
    /// One issuer at one time, another at another: which one the promises of logs name is unclear.
    #[error("the certificate leads to different issuers at different verified times")]
    TwoIssuers,
    /// No path.
    #[error("the certificate is not of a trusted authority: {0}")]
    Path(Box<ChainError>),
}

/// A certificate that a trusted authority issued, valid at every verified time.
pub(crate) struct VerifiedChain {
    path: Path,
    key: PublicKey,
}

impl VerifiedChain {
    pub(crate) const fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn leaf(&self) -> &Certificate {
        self.path.leaf()
    }

    /// The signer's key.
    pub(crate) const fn key(&self) -> &PublicKey {
        &self.key
    }
}

pub(crate) fn check(
    leaf: &Certificate,
    extra: &[Certificate],
    times: &SigningTimes,
    anchors: &Anchors,
) -> Result<VerifiedChain, VerifyError> {
    if anchors.certificate_authorities.is_empty() {
        return Err(TrustRootError::None { what: "certificate authority" }.into());
    }
    let mut verified: Option<Found<'_>> = None;
    for time in times.all() {
        // What signed what does not change with the time.
        let holds = |found: &Found<'_>| {
            found.authority.valid_for.contains(time.time()) && found.path.is_valid_at_ms(time.time().millis())
        };
        if verified.as_ref().is_some_and(holds) {
            continue;
        }
        let found = find(leaf, extra, time.time(), time.source(), anchors)?;
        // One path is enough for all that follows if it held at every time; the issuer may not change.
        match &verified {
            Some(earlier) if earlier.path.issuer() != found.path.issuer() => {
                return Err(ChainStepError::TwoIssuers.into());
            }
            _ => verified = Some(found),
        }
    }
    let path = verified.ok_or(crate::time::TimeError::None)?.path;
    let key = path.leaf().public_key().map_err(|e| ChainStepError::Path(Box::new(ChainError::LeafKey(e))))?;
    if KeyDetails::candidates(&key).is_empty() {
        return Err(KeyPolicyError::NoAlgorithm(key.kind()).into());
    }
    Ok(VerifiedChain { path, key })
}

/// A path that held at a time when its authority was trusted.
struct Found<'a> {
    authority: &'a Authority,
    path: Path,
}

fn find<'a>(
    leaf: &Certificate,
    extra: &[Certificate],
    at: UnixTime,
    clock: &TimeSource,
    anchors: &'a Anchors,
) -> Result<Found<'a>, ChainStepError> {
    let mut failure = ChainStepError::NoAuthority { time: at };
    for authority in anchors.certificate_authorities.iter().filter(|a| a.valid_for.contains(at)) {
        match authority.chain.verify(leaf, extra, at.millis(), Purpose::CodeSigning) {
            Ok(path) => return Ok(Found { authority, path }),
            Err(error) => note(&mut failure, of_path(error, leaf, at, clock)),
        }
    }
    Err(failure)
}

fn of_path(error: ChainError, leaf: &Certificate, time: UnixTime, clock: &TimeSource) -> ChainStepError {
    match error {
        ChainError::NotYetValid { place: Place::Leaf, .. }
        | ChainError::Expired { place: Place::Leaf, .. } => {
            let (not_before, not_after) = leaf.validity();
            ChainStepError::OutsideCertificate {
                time,
                clock: clock.clone(),
                not_before: UnixTime::from_seconds(not_before),
                not_after: UnixTime::from_seconds(not_after),
            }
        }
        other => ChainStepError::Path(Box::new(other)),
    }
}

/// Step 9: an integrated time that no promise vouches for is no time, but it must not speak against the
/// certificate either. (Those with a promise were held against it in step 3.)
pub(crate) fn check_integrated_times(
    structure: &Structure<'_>,
    chain: &VerifiedChain,
) -> Result<(), VerifyError> {
    let (not_before, not_after) = chain.leaf().validity();
    for claim in structure.entries() {
        let stated = claim.entry.integrated_time;
        if stated != 0 && !(not_before..=not_after).contains(&stated) {
            return Err(ChainStepError::OutsideCertificate {
                time: UnixTime::from_seconds(stated),
                clock: TimeSource { authority: "the log entry, unsigned".into() },
                not_before: UnixTime::from_seconds(not_before),
                not_after: UnixTime::from_seconds(not_after),
            }
            .into());
        }
    }
    Ok(())
}

/// Keeps the failure that got furthest: an authority whose name does not even fit says least.
fn note(failure: &mut ChainStepError, new: ChainStepError) {
    let rank = |error: &ChainStepError| match error {
        ChainStepError::NoAuthority { .. } => 0,
        ChainStepError::Path(error) => match **error {
            ChainError::UnknownIssuer { .. } => 1,
            ChainError::Signature { .. } => 2,
            _ => 3,
        },
        ChainStepError::OutsideCertificate { .. } | ChainStepError::TwoIssuers => 4,
    };
    if rank(failure) < rank(&new) {
        *failure = new;
    }
}
