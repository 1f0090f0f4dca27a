//! The bundles of one artifact against what is believed: the first one that verifies counts, or as many as the policy
//! wants signers; and of refusals the most telling.

use super::bundles::Found;
use sealog_bundle::TrustedRoot;
use sealog_crypto::HashAlgorithm;
use sealog_verify::{
    Artifact, ErrorClass, Policy, Verified, Verifier, VerifyError, digests_needed, needs_bytes,
};

/// The signatures that count, or why none or too few do.
pub(crate) type Outcome = Result<Vec<Verified>, VerifyError>;

/// Whose word counts and whose signature is wanted: read once, used for every artifact.
pub(crate) struct Believed {
    verifier: Verifier,
    policy: Policy,
}

/// What became of an artifact, and which of its bundles decided it.
pub(crate) struct Judged {
    pub(crate) outcome: Outcome,
    /// Its place among those found; none when several together did.
    pub(crate) by: Option<usize>,
}

impl Believed {
    pub(crate) fn new(policy: Policy, root: &TrustedRoot) -> Self {
        Self { verifier: Verifier::new(root), policy }
    }

    /// The algorithms by which the artifact must be hashed for these bundles, each once; none when nothing of
    /// them depends on it.
    pub(crate) fn digests_needed(&self, found: &[Found]) -> Vec<HashAlgorithm> {
        let bundles = found.iter().filter_map(|found| found.bundle.as_ref().ok());
        let mut needed: Vec<_> = bundles.flat_map(|bundle| digests_needed(bundle, &self.policy)).collect();
        needed.sort_unstable();
        needed.dedup();
        needed
    }

    /// Whether some bundle may need the artifact itself, and not its digests.
    pub(crate) fn needs_bytes(&self, found: &[Found]) -> bool {
        let mut bundles = found.iter().filter_map(|found| found.bundle.as_ref().ok());
        bundles.any(|bundle| needs_bytes(bundle, &self.policy))
    }

    /// Judges an artifact.
    pub(crate) fn judge(&self, found: Vec<Found>, artifact: &Artifact<'_>) -> Option<Judged> {
        if self.policy.threshold() > 1 && found.iter().any(|found| found.bundle.is_ok()) {
            // What is no bundle is no signature either.
            let bundles: Vec<_> = found.into_iter().filter_map(|found| found.bundle.ok()).collect();
            let outcome = self.verifier.verify_all(&bundles, &self.policy, artifact);
            return Some(Judged { outcome, by: None });
        }
        let mut refused: Option<Judged> = None;
        for (by, found) in found.into_iter().enumerate() {
            let outcome = match found.bundle {
                Ok(bundle) => self.verifier.verify(&bundle, &self.policy, artifact).map(|one| vec![one]),
                Err(error) => Err(error.into()),
            };
            if outcome.is_ok() {
                return Some(Judged { outcome, by: Some(by) });
            }
            // Among equals the first, which is where people look first.
            if refused.as_ref().is_none_or(|best| rank(&outcome) < rank(&best.outcome)) {
                refused = Some(Judged { outcome, by: Some(by) });
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
