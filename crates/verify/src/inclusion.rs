//! Steps 7 and 6: that a trusted log signed the checkpoint, and that the entry is in its tree.
//!
//! Entries by logs the trusted root does not know are passed over; one by a log it does know must
//! verify, and one must be there.

use crate::{authority, entry::MatchedEntry, error::VerifyError, structure::EntryKind, time::VerifiedTime};
use alloc::{boxed::Box, string::String, vec::Vec};
use sealog_bundle::{TransparencyLog, TrustedRoot, UnixTime};
use sealog_tlog::{
    Checkpoint, CheckpointError, SignedCheckpoint,
    merkle::{Hash, ProofError, leaf_hash, verify_inclusion},
    note,
};

/// Why the checkpoint is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointStepError {
    /// No log we know.
    #[error("the bundle's log is not one of the trusted root's")]
    UnknownLog {
        /// The id of its first entry's log, in hex.
        found: String,
    },
    /// The trusted root gives the log no name that checkpoints could be signed with.
    #[error("the trusted root's log `{log}` has no host that could sign checkpoints")]
    NoName {
        /// The log's URL.
        log: String,
    },
    /// Not a checkpoint, or not the log's.
    #[error("the checkpoint of {log}: {source}")]
    NotVerified {
        /// The log's URL.
        log: String,
        /// What is wrong.
        source: Box<CheckpointError>,
    },
    /// The log was not trusted when the signature was made.
    #[error("the log {log} was not trusted at {time}, when the signature was made")]
    OutsideWindow {
        /// The log's URL.
        log: String,
        /// The time.
        time: UnixTime,
    },
}

/// Why the entry is not in the log's tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InclusionStepError {
    /// Two indices for one entry.
    #[error("the entry's log index and that of its inclusion proof differ")]
    Index {
        /// The entry's.
        expected: u64,
        /// The proof's.
        found: u64,
    },
    /// Another tree size than the checkpoint's.
    #[error("the inclusion proof is for another tree size than the checkpoint's")]
    Size {
        /// The checkpoint's.
        expected: u64,
        /// The proof's.
        found: u64,
    },
    /// Another root hash than the checkpoint's.
    #[error("the inclusion proof is for another root hash than the checkpoint's")]
    Root {
        /// The checkpoint's.
        expected: Hash,
        /// The proof's.
        found: Hash,
    },
    /// The path does not lead there.
    #[error("the inclusion proof does not hold: {0}")]
    Proof(ProofError),
}

/// A checkpoint signed by a trusted log, and the entry it is there for.
pub(crate) struct VerifiedCheckpoint<'e, 's, 'b, 'r> {
    entry: &'e MatchedEntry<'s, 'b>,
    log: &'r TransparencyLog,
    size: u64,
    root: Hash,
    origin: String,
}

/// That the entry is in the tree of a trusted log.
pub(crate) struct VerifiedInclusion {
    origin: String,
    url: String,
    index: u64,
}

impl VerifiedInclusion {
    pub(crate) fn into_parts(self) -> (String, String, u64) {
        (self.origin, self.url, self.index)
    }
}

/// Checkpoints of all entries by logs we know; at least one.
pub(crate) fn check_checkpoints<'e, 's, 'b, 'r>(
    entries: &'e [MatchedEntry<'s, 'b>],
    times: &[VerifiedTime],
    root: &'r TrustedRoot,
) -> Result<Vec<VerifiedCheckpoint<'e, 's, 'b, 'r>>, VerifyError> {
    let mut verified = Vec::new();
    for entry in entries {
        let log_id = &entry.claim().entry.log_id;
        let logs = root.tlogs.iter().filter(|log| log.log_id == *log_id);
        let how_far = |error: &VerifyError| match error {
            VerifyError::Checkpoint(CheckpointStepError::NotVerified { .. }) => 2,
            VerifyError::Checkpoint(_) => 1,
            _ => 0,
        };
        let outcomes = logs.map(|log| of_log(entry, log, times));
        let Some(outcome) = authority::any_listing(outcomes, how_far) else { continue };
        verified.push(outcome?);
    }
    if verified.is_empty() {
        let found = entries.first().map(|entry| hex::encode(&entry.claim().entry.log_id));
        return Err(CheckpointStepError::UnknownLog { found: found.unwrap_or_default() }.into());
    }
    Ok(verified)
}

fn of_log<'e, 's, 'b, 'r>(
    entry: &'e MatchedEntry<'s, 'b>,
    log: &'r TransparencyLog,
    times: &[VerifiedTime],
) -> Result<VerifiedCheckpoint<'e, 's, 'b, 'r>, VerifyError> {
    let url = || log.base_url.clone();
    let key = authority::log_key(log)?;
    // A checkpoint states no time. The log must have been trusted when the signature was made.
    if let Some(time) = times.iter().find(|t| !log.valid_for.contains(t.time())) {
        return Err(CheckpointStepError::OutsideWindow { log: url(), time: time.time() }.into());
    }
    let no_name = || CheckpointStepError::NoName { log: url() };
    let name = match entry.claim().kind {
        EntryKind::RekorV1 => log.authority(),
        EntryKind::RekorV2 => log.host(),
    };
    let name = name.ok_or_else(no_name)?;
    let verifier = note::KeyVerifier::for_log(name, key).map_err(|_| no_name())?;
    let not_verified = |source| CheckpointStepError::NotVerified { log: url(), source: Box::new(source) };
    let claim = entry.claim();
    let signed = SignedCheckpoint::parse(claim.proof.checkpoint.as_bytes()).map_err(not_verified)?;
    signed.note.verify(&verifier).map_err(|error| not_verified(error.into()))?;
    let Checkpoint { origin, size, root, .. } = signed.checkpoint;
    // The key's name is the origin; Rekor v1 adds the shard's number.
    let shard = origin.strip_prefix(name).and_then(|rest| rest.strip_prefix(" - "));
    let is_shard = shard.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    if origin != name && !(claim.kind == EntryKind::RekorV1 && is_shard) {
        let (expected, found) = (name.into(), origin);
        return Err(not_verified(CheckpointError::Origin { expected, found }).into());
    }
    Ok(VerifiedCheckpoint { entry, log, size, root, origin })
}

/// Holds every entry against its checkpoint; what is told is the first.
pub(crate) fn check_inclusion(
    checkpoints: Vec<VerifiedCheckpoint<'_, '_, '_, '_>>,
) -> Result<VerifiedInclusion, VerifyError> {
    let mut first = None;
    for VerifiedCheckpoint { entry, log, size, root, origin } in checkpoints {
        let claim = entry.claim();
        let (index, proof) = (claim.entry.log_index, claim.proof);
        // Rekor v1 counts entries across shards, and in the proof within one.
        if claim.kind == EntryKind::RekorV2 && proof.log_index != index {
            return Err(InclusionStepError::Index { expected: index, found: proof.log_index }.into());
        }
        if proof.tree_size != size {
            return Err(InclusionStepError::Size { expected: size, found: proof.tree_size }.into());
        }
        if proof.root_hash != *root.as_bytes() {
            return Err(InclusionStepError::Root { expected: root, found: Hash(proof.root_hash) }.into());
        }
        let hashes: Vec<Hash> = proof.hashes.iter().copied().map(Hash).collect();
        verify_inclusion(&leaf_hash(entry.leaf()), proof.log_index, size, &hashes, &root)
            .map_err(InclusionStepError::Proof)?;
        // An index across shards is only as good as the promise it is signed in.
        let proven = if claim.entry.inclusion_promise.is_some() { index } else { proof.log_index };
        first.get_or_insert(VerifiedInclusion { origin, url: log.base_url.clone(), index: proven });
    }
    first.ok_or_else(|| CheckpointStepError::UnknownLog { found: String::new() }.into())
}
