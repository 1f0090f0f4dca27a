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

mod artifact;
mod authority;
mod chain;
mod content;
mod entry;
mod error;
mod inclusion;
mod policy;
mod promise;
mod sct;
mod signature;
mod statement;
mod structure;
mod time;
pub mod verdict;
mod verified;

pub use artifact::{Artifact, digests_needed};
pub use authority::TrustRootError;
pub use chain::ChainStepError;
pub use content::ContentError;
pub use entry::EntryMismatch;
pub use error::{Compared, ErrorClass, VerifyError};
pub use inclusion::{CheckpointStepError, InclusionStepError};
pub use policy::{Match, Pattern, PatternError, Policy, PolicyError};
pub use promise::PromiseError;
pub use sct::SctStepError;
pub use signature::SignatureStepError;
pub use statement::StatementError;
pub use structure::{KeyPolicyError, StructureError};
pub use time::{TimeError, TimeSource};
pub use verdict::{Report, Row, Verdict};
pub use verified::{SignedBy, Verified};

use sealog_bundle::{Bundle, TrustedRoot};
use sealog_crypto::PublicKey;

/// Verifies that somebody the policy names signed this artifact.
///
/// # Errors
/// The step that failed, see [`VerifyError`]. [`ErrorClass::Policy`] comes last: it says that all else
/// holds and the signer is another.
pub fn verify(
    bundle: &Bundle,
    root: &TrustedRoot,
    policy: &Policy,
    artifact: &Artifact<'_>,
) -> Result<Verified, VerifyError> {
    // 0. The bundle has what a verifiable bundle has.
    // 1. Its one signature is what logs hold and authorities stamp.
    let structure = structure::check(bundle, policy)?;
    // (10, first half.) What was signed: the artifact, if it is the one the bundle speaks of, or the
    // envelope's encoding. A wrong file is by far the most common mistake, so people hear of it first.
    let content = content::check(&structure, artifact)?;
    // 5. Every inclusion promise is by a trusted log (Rekor v1; Rekor v2 makes none).
    let promises = promise::check(&structure, root)?;
    // 2. Every signed timestamp is by a trusted authority; with the promises, these are all the times.
    let times = time::check(&structure, promises, root)?;
    let (signer, key) = match structure.signer() {
        structure::Signer::Certificate { leaf, extra } => {
            // 2d. There is one at least: no fallback to now.
            let times = times.at_least_one()?;
            // 3. The certificate leads to a trusted authority at every one of these times.
            let chain = chain::check(leaf, extra, &times, root)?;
            // 9. No log entry states a time at which it was not valid.
            chain::check_integrated_times(&structure, &chain)?;
            // 4. A trusted certificate log promised to show the certificate.
            let scts = sct::check(&chain, root)?;
            let key = chain.key().clone();
            (verified::Signer::Certificate { times, chain, scts }, key)
        }
        structure::Signer::Key(key) => {
            let key = PublicKey::clone(key);
            (verified::Signer::Key { times, key: key.clone() }, key)
        }
    };
    // 10. The key made the signature. (Before 8: that it is forged says more than that it was not logged.)
    let signature = signature::check(&structure, &content, &key)?;
    // 8. The log's entry is about this signature, key and content; where it can be, it is rebuilt.
    let entries = entry::check(&structure, &content, &key)?;
    // 7. A trusted log signed the checkpoint.
    let checkpoints = inclusion::check_checkpoints(&entries, signer.times(), root)?;
    // 6. The entry is in the tree of that checkpoint.
    let inclusion = inclusion::check_inclusion(checkpoints)?;
    // 11. What an envelope states is about this artifact.
    let statement = statement::check(&structure, artifact)?;
    // 12. The signer is someone the policy names.
    verified::Evidence { signer, inclusion, signature, statement }.match_policy(policy)
}
