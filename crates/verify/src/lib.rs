//! Bundle, trusted root, policy and artifact in; who signed what and when out, or the step that failed.
//!
//! [`verify`] reads as the client specification (sigstore/architecture-docs client-spec.md §4): the
//! steps are numbered alike, and each finished step is a value only that step can make. A verdict
//! wants all of them, so one that skips a step does not compile.
//!
//! In scope: bundles whose entry is in a Rekor v2 or v1 log. Not in scope: fetching anything (trusted roots
//! are arguments), what the time is now (it does not matter to what was signed once), telling people
//! (except for the words, in [`verdict`], so that every program uses the same).
//!
//! Refused, though some client accepts it: a timestamp, promise, SCT or entry by a service we know that
//! does not hold, beside others that do; an entry without inclusion proof and checkpoint, whatever the
//! bundle's version; a chain in a bundle of version 0.3, a root in any; unknown and repeated fields;
//! keys outside the algorithm registry; a certificate with several names.
//!
//! Accepted on purpose: SCTs and entries by logs we do not know, beside one by a log we know (nothing is
//! taken from them); further signatures on checkpoints and further certificates in chains and tokens,
//! of which nothing is trusted; a message without digest (the entry has it); keys without any time. And
//! since entries of Rekor v2 are the same for both, an envelope's encoding as a file: who signed a file
//! that starts with `DSSEv1` has signed an envelope, and the other way round.
//!
//! Must always hold: no network, no clock, no files, no randomness; no default policy accepts anyone;
//! time never comes from an unverified source.

#![no_std]
extern crate alloc;

mod anchors;
mod artifact;
mod chain;
mod compared;
mod content;
mod entry;
mod error;
mod inclusion;
mod instances;
mod policy;
mod promise;
mod sct;
mod signature;
mod statement;
mod structure;
mod time;
pub mod verdict;
mod verified;
mod verifier;

pub use anchors::TrustRootError;
pub use artifact::{Artifact, digests_needed};
pub use chain::ChainStepError;
pub use compared::Compared;
pub use content::ContentError;
pub use entry::EntryMismatch;
pub use error::{ErrorClass, VerifyError};
pub use inclusion::{CheckpointStepError, InclusionStepError, Logged};
pub use instances::{INSTANCES, Instance};
#[cfg(feature = "policy-file")]
pub use policy::PolicyFileError;
pub use policy::{
    Evidence, EvidenceError, Match, Pattern, PatternError, Policy, PolicyError, RuleError, SignerRule,
    WitnessError, Witnesses,
};
pub use promise::PromiseError;
pub use sct::SctStepError;
pub use signature::SignatureStepError;
pub use statement::StatementError;
pub use structure::{KeyPolicyError, StructureError};
pub use time::{TimeError, TimeSource};
pub use verdict::{Report, Row, Verdict};
pub use verified::{SignedBy, Verified};
pub use verifier::{MAX_BUNDLES, Verifier};

use sealog_bundle::{Bundle, TrustedRoot};

/// Verifies that somebody the policy names signed this artifact: [`Verifier::verify`], for one bundle.
///
/// # Errors
/// The step that failed, see [`VerifyError`].
pub fn verify(
    bundle: &Bundle,
    root: &TrustedRoot,
    policy: &Policy,
    artifact: &Artifact<'_>,
) -> Result<Verified, VerifyError> {
    Verifier::new(root).verify(bundle, policy, artifact)
}
