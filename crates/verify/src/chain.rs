//! Step 3: that a trusted authority issued the signer's certificate, and that the whole path was valid
//! at every verified time (all certificates at once: the hybrid model).

use crate::{
    authority::{self, TrustRootError},
    error::VerifyError,
    structure::{KeyPolicyError, Structure},
    time::{SigningTimes, TimeSource},
};
use alloc::{boxed::Box, vec::Vec};
use sealog_bundle::{TrustedRoot, UnixTime};
use sealog_crypto::PublicKey;
use sealog_pki::{Certificate, ChainError, Path, Purpose, chain::Place, verify_chain};

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
    root: &TrustedRoot,
) -> Result<VerifiedChain, VerifyError> {
    let authorities: Vec<_> = authority::usable(&root.certificate_authorities).collect();
    if authorities.is_empty() {
        return Err(TrustRootError::None { what: "certificate authority" }.into());
    }
    let mut verified: Option<Path> = None;
    for time in times.all() {
        let at = time.time();
        let mut failure = ChainStepError::NoAuthority { time: at };
        let mut found = None;
        for authority in authorities.iter().filter(|a| a.listed.valid_for.contains(at)) {
            let Some((anchor, issuers)) = authority.certificates.split_last() else { continue };
            let intermediates: Vec<_> = issuers.iter().chain(extra).cloned().collect();
            let anchors = core::slice::from_ref(anchor);
            match verify_chain(leaf, &intermediates, anchors, at.seconds(), Purpose::CodeSigning) {
                Ok(path) => {
                    found = Some(path);
                    break;
                }
                Err(error) => note(&mut failure, of_path(error, leaf, at, time.source())),
            }
        }
        // One path is enough for all that follows if it held at every time; the issuer may not change.
        let path = found.ok_or(failure)?;
        match &verified {
            Some(earlier) if earlier.issuer() != path.issuer() => {
                return Err(ChainStepError::TwoIssuers.into());
            }
            _ => verified = Some(path),
        }
    }
    let path = verified.ok_or(crate::time::TimeError::None)?;
    let key = path.leaf().public_key().map_err(|e| ChainStepError::Path(Box::new(ChainError::LeafKey(e))))?;
    if sealog_bundle::KeyDetails::default_for(&key).is_none() {
        return Err(KeyPolicyError::NoAlgorithm(key.kind()).into());
    }
    Ok(VerifiedChain { path, key })
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
