//! Steps 7 and 6: that a trusted log signed the checkpoint, and that the entry is in its tree.
//!
//! Entries by logs the trusted root does not know are passed over; one by a log it does know must
//! verify, and as many as the policy wants must be there.

use crate::{
    anchors::{self, Anchors, Log},
    entry::MatchedEntry,
    error::VerifyError,
    policy::{Evidence, EvidenceError, Witnesses},
    promise::VerifiedPromise,
    structure::EntryKind,
    time::VerifiedTime,
};
use alloc::{boxed::Box, string::String, vec::Vec};
use sealog_bundle::{InclusionProof, UnixTime};
use sealog_tlog::{
    Checkpoint, CheckpointError, SignedCheckpoint, SignedNote,
    merkle::{Hash, ProofError, leaf_hash, verify_inclusion},
    note::{self, NoteError, NoteVerifier as _},
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

/// A log that holds the signature.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Logged {
    /// The log's origin, as its checkpoint has it.
    pub origin: String,
    /// Its base URL as the trusted root has it.
    pub url: String,
    /// Where in the log.
    pub index: u64,
    /// Names of the policy's witnesses who cosigned the checkpoint.
    pub witnesses: Vec<String>,
    /// Whether a proof says so. Otherwise the log's promise does, and the policy takes it.
    pub proven: bool,
}

/// What trusted logs say of an entry.
pub(crate) enum VerifiedCheckpoint<'e, 's, 'b, 'a> {
    /// A checkpoint signed by a log, and the proof that must lead to it.
    Signed {
        entry: &'e MatchedEntry<'s, 'b>,
        proof: &'b InclusionProof,
        log: &'a Log,
        size: u64,
        root: Hash,
        origin: String,
        witnesses: Vec<String>,
    },
    /// No checkpoint; a promise, which the policy takes for one.
    Promised { entry: &'e MatchedEntry<'s, 'b>, log: &'a Log },
}

/// That the entry is in the trees of as many trusted logs as the policy wants.
pub(crate) struct VerifiedInclusion(Vec<Logged>);

impl VerifiedInclusion {
    pub(crate) fn into_inner(self) -> Vec<Logged> {
        self.0
    }
}

/// Checkpoints of all entries by logs we know.
pub(crate) fn check_checkpoints<'e, 's, 'b, 'a>(
    entries: &'e [MatchedEntry<'s, 'b>],
    promises: &[VerifiedPromise<'a>],
    times: &[VerifiedTime],
    anchors: &'a Anchors,
    evidence: &Evidence,
) -> Result<Vec<VerifiedCheckpoint<'e, 's, 'b, 'a>>, VerifyError> {
    let mut verified = Vec::new();
    for entry in entries {
        let Some(proof) = entry.claim().proof else {
            // Step 0 let it pass for its promise, which counts if its log is known.
            let promise = promises.iter().find(|promise| promise.entry() == entry.at());
            verified.extend(promise.map(|p| VerifiedCheckpoint::Promised { entry, log: p.log() }));
            // No witness stands by a promise, whoever takes it for a proof.
            match (promise, evidence.witnesses.threshold()) {
                (Some(_), expected @ 1..) => return Err(EvidenceError::NothingToWitness { expected }.into()),
                _ => continue,
            }
        };
        let log_id = &entry.claim().entry.log_id;
        let logs = anchors.tlogs.iter().filter(|log| log.id == *log_id);
        let how_far = |error: &VerifyError| match error {
            VerifyError::Evidence(_) => 3,
            VerifyError::Checkpoint(CheckpointStepError::NotVerified { .. }) => 2,
            VerifyError::Checkpoint(_) => 1,
            _ => 0,
        };
        let outcomes = logs.map(|log| of_log(entry, proof, log, times, &evidence.witnesses));
        let Some(outcome) = anchors::any_listing(outcomes, how_far) else { continue };
        verified.push(outcome?);
    }
    match entries.first() {
        Some(first) if verified.is_empty() && evidence.logs > 0 => {
            let found = hex::encode(&first.claim().entry.log_id);
            Err(CheckpointStepError::UnknownLog { found }.into())
        }
        // A policy that wants no log and witnesses wants what they can cosign.
        _ if verified.is_empty() && evidence.witnesses.threshold() > 0 => {
            Err(EvidenceError::NothingToWitness { expected: evidence.witnesses.threshold() }.into())
        }
        _ => Ok(verified),
    }
}

fn of_log<'e, 's, 'b, 'a>(
    entry: &'e MatchedEntry<'s, 'b>,
    proof: &'b InclusionProof,
    log: &'a Log,
    times: &[VerifiedTime],
    witnesses: &Witnesses,
) -> Result<VerifiedCheckpoint<'e, 's, 'b, 'a>, VerifyError> {
    let url = || log.url.clone();
    let key = log.key()?;
    // A checkpoint states no time. The log must have been trusted when the signature was made.
    if let Some(time) = times.iter().find(|t| !log.valid_for.contains(t.time())) {
        return Err(CheckpointStepError::OutsideWindow { log: url(), time: time.time() }.into());
    }
    let no_name = || CheckpointStepError::NoName { log: url() };
    let claim = entry.claim();
    let name = match claim.kind {
        EntryKind::RekorV1 => &log.authority,
        EntryKind::RekorV2 => &log.host,
    };
    let name = name.as_deref().ok_or_else(no_name)?;
    let verifier = note::KeyVerifier::for_log(name, key.clone()).map_err(|_| no_name())?;
    let not_verified = |source| CheckpointStepError::NotVerified { log: url(), source: Box::new(source) };
    let signed = SignedCheckpoint::parse(proof.checkpoint.as_bytes()).map_err(not_verified)?;
    signed.note.verify(&verifier).map_err(|error| not_verified(error.into()))?;
    let Checkpoint { origin, size, root, .. } = signed.checkpoint;
    // The key's name is the origin; Rekor v1 adds the shard's number.
    let shard = origin.strip_prefix(name).and_then(|rest| rest.strip_prefix(" - "));
    let is_shard = shard.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    if origin != name && !(claim.kind == EntryKind::RekorV1 && is_shard) {
        let (expected, found) = (name.into(), origin);
        return Err(not_verified(CheckpointError::Origin { expected, found }).into());
    }
    let cosigned = cosigned(&signed.note, witnesses).map_err(|error| not_verified(error.into()))?;
    let (expected, found) = (witnesses.threshold(), cosigned.len());
    if found < expected {
        return Err(EvidenceError::Witnesses { log: url(), expected, found }.into());
    }
    Ok(VerifiedCheckpoint::Signed { entry, proof, log, size, root, origin, witnesses: cosigned })
}

/// Names of the witnesses who cosigned. A line in a witness's name that it did not make is refused.
fn cosigned(note: &SignedNote, witnesses: &Witnesses) -> Result<Vec<String>, NoteError> {
    let mut names = Vec::new();
    for witness in witnesses.keys() {
        match note.verify(witness) {
            Ok(()) => names.push(String::from(witness.name())),
            Err(NoteError::Unsigned { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(names)
}

/// Holds every entry against its checkpoint, and counts.
pub(crate) fn check_inclusion(
    checkpoints: Vec<VerifiedCheckpoint<'_, '_, '_, '_>>,
    evidence: &Evidence,
) -> Result<VerifiedInclusion, VerifyError> {
    let expected = evidence.logs;
    let found = anchors::distinct(checkpoints.iter().map(|checkpoint| match checkpoint {
        VerifiedCheckpoint::Signed { log, .. } | VerifiedCheckpoint::Promised { log, .. } => &log.operator,
    }));
    let logged = checkpoints.into_iter().map(check_entry).collect::<Result<_, _>>()?;
    if found < expected {
        return Err(EvidenceError::Logs { expected, found }.into());
    }
    Ok(VerifiedInclusion(logged))
}

fn check_entry(checkpoint: VerifiedCheckpoint<'_, '_, '_, '_>) -> Result<Logged, InclusionStepError> {
    let (entry, proof, log, size, root, origin, witnesses) = match checkpoint {
        VerifiedCheckpoint::Signed { entry, proof, log, size, root, origin, witnesses } => {
            (entry, proof, log, size, root, origin, witnesses)
        }
        VerifiedCheckpoint::Promised { entry, log } => {
            let (url, index) = (log.url.clone(), entry.claim().entry.log_index);
            let origin = log.authority.clone().unwrap_or_default();
            return Ok(Logged { origin, url, index, witnesses: Vec::new(), proven: false });
        }
    };
    let claim = entry.claim();
    let index = claim.entry.log_index;
    // Rekor v1 counts entries across shards, and in the proof within one.
    if claim.kind == EntryKind::RekorV2 && proof.log_index != index {
        return Err(InclusionStepError::Index { expected: index, found: proof.log_index });
    }
    if proof.tree_size != size {
        return Err(InclusionStepError::Size { expected: size, found: proof.tree_size });
    }
    if proof.root_hash != *root.as_bytes() {
        return Err(InclusionStepError::Root { expected: root, found: Hash(proof.root_hash) });
    }
    let hashes: Vec<Hash> = proof.hashes.iter().copied().map(Hash).collect();
    verify_inclusion(&leaf_hash(entry.leaf()), proof.log_index, size, &hashes, &root)
        .map_err(InclusionStepError::Proof)?;
    // An index across shards is only as good as the promise it is signed in.
    let index = if claim.entry.inclusion_promise.is_some() { index } else { proof.log_index };
    Ok(Logged { origin, url: log.url.clone(), index, witnesses, proven: true })
}
