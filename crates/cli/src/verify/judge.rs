//! The bundles of one artifact against what is believed: the first one that verifies counts, and of refusals the
//! most telling.

use super::bundles::Found;
use sealog_bundle::TrustedRoot;
use sealog_crypto::{Digest, HashAlgorithm};
use sealog_verify::{Artifact, ErrorClass, Policy, Verified, VerifyError, digests_needed};

/// Someone's word on an artifact, or why there is none.
pub(crate) type Outcome = Result<Verified, VerifyError>;

/// Whose word counts and whose signature is wanted: read once, used for every artifact.
pub(crate) struct Believed {
    pub(crate) root: TrustedRoot,
    pub(crate) policy: Policy,
}

/// What became of an artifact, and which of its bundles decided it.
pub(crate) struct Judged {
    pub(crate) outcome: Outcome,
    /// Its place among those found.
    pub(crate) by: usize,
}

impl Believed {
    /// The algorithms by which the artifact must be hashed for these bundles, each once; none when nothing of
    /// them depends on it.
    pub(crate) fn digests_needed(&self, found: &[Found]) -> Vec<HashAlgorithm> {
        let bundles = found.iter().filter_map(|found| found.bundle.as_ref().ok());
        let mut needed: Vec<_> = bundles.flat_map(|bundle| digests_needed(bundle, &self.policy)).collect();
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    /// Judges an artifact of which these digests are known.
    pub(crate) fn judge(&self, found: Vec<Found>, digests: &[Digest]) -> Option<Judged> {
        let artifact = Artifact::from_digests(digests.iter().copied());
        let mut refused: Option<Judged> = None;
        for (by, found) in found.into_iter().enumerate() {
            let outcome = match found.bundle {
                Ok(bundle) => sealog_verify::verify(&bundle, &self.root, &self.policy, &artifact),
                Err(error) => Err(error.into()),
            };
            if outcome.is_ok() {
                return Some(Judged { outcome, by });
            }
            // Among equals the first, which is where people look first.
            if refused.as_ref().is_none_or(|best| rank(&outcome) < rank(&best.outcome)) {
                refused = Some(Judged { outcome, by });
            }
        }
        refused
    }
}

/// How much a refusal says about the artifact, the most telling first: that another signed it; that a bundle about
/// it does not hold; that the bundle is about something else; that it is none.
fn rank(outcome: &Outcome) -> u8 {
    match outcome.as_ref().map_err(VerifyError::class) {
        Ok(_) => 0,
        Err(ErrorClass::Policy) => 1,
        Err(ErrorClass::Digest | ErrorClass::Subject) => 3,
        Err(ErrorClass::Parse) => 4,
        Err(_) => 2,
    }
}
