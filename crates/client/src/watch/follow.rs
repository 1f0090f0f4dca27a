//! One look at one log: from the checkpoint to what is new in it, each entry hashed into the signed root.

use super::{
    alarm::{Alarm, Misbehaviour},
    event::{Event, Interest},
    log::{LogDescription, LogKind},
    nodes::{TileFailure, tile_at, with_nodes},
    source::{FetchError, TileSource},
};
use sealog_tlog::{
    Hash, SignedCheckpoint,
    ct::{CtLeaf, TileLeaf},
    leaf::{EntryLeaf, Leaf as _, LeafError},
    merkle::{NodeReader as _, Peaks, prove_consistency, verify_consistency},
    tile::{EntryBundle, TILE_WIDTH},
};
use std::error::Error;

/// Most entries read in one look, so that memory stays small however far behind one is.
pub const MAX_ENTRIES_PER_STEP: u64 = 1 << 16;

/// How far a log has been read, and what it last signed.
#[derive(Clone, Debug, Default)]
pub struct LogState {
    /// The tree of all entries read.
    pub(super) peaks: Peaks,
    /// The last checkpoint seen, which may cover entries not read yet.
    pub(super) checkpoint: Option<SignedCheckpoint>,
}

impl LogState {
    /// Nothing read yet: the next look begins with the log's first entry.
    #[must_use]
    pub fn beginning() -> Self {
        Self::default()
    }

    /// Entries read.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.peaks.size()
    }

    /// The last checkpoint seen.
    #[must_use]
    pub const fn checkpoint(&self) -> Option<&SignedCheckpoint> {
        self.checkpoint.as_ref()
    }
}

/// What one look yielded. Tell the events, then keep the state: whoever stops in between hears them
/// twice, never not at all.
#[derive(Debug)]
pub struct Step {
    /// What was found, in the log's order.
    pub events: Vec<Event>,
    /// How far the log is read now.
    pub state: LogState,
    /// Whether the state differs from the one before.
    pub changed: bool,
    /// Whether there is more to read at once.
    pub more: bool,
}

/// Why a look was not completed. Nothing may be concluded from what was read in it.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// The log misbehaves.
    #[error(transparent)]
    Alarm(Box<Alarm>),
    /// The log could not be asked.
    #[error("log `{log}` could not be read")]
    Trouble {
        /// The log, by its origin.
        log: String,
        /// Why not.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
    },
}

/// Looks at a log once.
///
/// # Errors
/// [`Stop::Alarm`] when anything about the log is not as it must be, [`Stop::Trouble`] when it could
/// not be asked. The state given stays the one to use.
pub async fn follow_once<S: TileSource>(
    state: &LogState,
    log: &LogDescription,
    interest: &Interest,
    source: &S,
) -> Result<Step, Stop> {
    let mut look = Look { log, source, evidence: Vec::new() };
    look.evidence.extend(state.checkpoint.iter().map(|seen| seen.note.encode()));
    let signed = look.checkpoint().await?;
    let (size, root) = (signed.checkpoint.size, signed.checkpoint.root);

    if let Some(seen) = &state.checkpoint {
        let seen = &seen.checkpoint;
        if size < seen.size {
            return Err(look.alarm(Misbehaviour::Shrunk { expected: seen.size, found: size }));
        }
        if size == seen.size && root != seen.root {
            return Err(look.alarm(Misbehaviour::Forked { size, expected: seen.root, found: root }));
        }
        // Where everything seen was also read, the entries themselves will tell.
        if state.size() < seen.size && seen.size < size {
            look.check_extends((seen.size, seen.root), (size, root)).await?;
        }
    }

    let target = size.min((state.size() / MAX_ENTRIES_PER_STEP + 1).saturating_mul(MAX_ENTRIES_PER_STEP));
    let mut read = Read { peaks: state.peaks.clone(), hashes: Vec::new(), events: Vec::new() };
    while read.peaks.size() < target {
        look.read_bundle(&mut read, size, interest).await?;
    }

    let found = read.peaks.root();
    let proven = if target == size {
        found == root
    } else {
        look.is_extended((target, found), (size, root)).await?.is_ok()
    };
    if !proven {
        return Err(look.explain(state, &read, &signed).await);
    }
    let seen = state.checkpoint.as_ref().map(|seen| seen.checkpoint.size);
    Ok(Step {
        events: read.events,
        changed: target > state.size() || seen != Some(size),
        more: target < size,
        state: LogState { peaks: read.peaks, checkpoint: Some(signed) },
    })
}

/// The state of someone who is interested in what comes after now only. Entries before now are not
/// read, so what they say is not checked; that the log keeps them from now on is.
///
/// # Errors
/// As [`follow_once`].
pub async fn start_from_now<S: TileSource>(log: &LogDescription, source: &S) -> Result<LogState, Stop> {
    let mut look = Look { log, source, evidence: Vec::new() };
    let signed = look.checkpoint().await?;
    let (size, expected) = (signed.checkpoint.size, signed.checkpoint.root);
    let peaks = with_nodes(source, size, |nodes| {
        let levels = (0..64_u8).rev().filter(|level| size >> level & 1 == 1);
        let peaks = levels.map(|level| nodes.node(level, (size >> level) - 1));
        peaks.collect::<Result<Vec<Hash>, _>>()
    });
    let peaks = match peaks.await {
        Ok(hashes) => hashes.ok().and_then(|hashes| Peaks::from_parts(size, hashes).ok()),
        Err(failure) => return Err(look.tile_failure(size, failure)),
    };
    match peaks {
        Some(peaks) if peaks.root() == expected => Ok(LogState { peaks, checkpoint: Some(signed) }),
        other => {
            let found = other.unwrap_or_default().root();
            Err(look.alarm(Misbehaviour::OtherTree { size, expected, found }))
        }
    }
}

/// A tree by its size and root.
type Tree = (u64, Hash);

/// What has been read so far, not proven yet.
struct Read {
    peaks: Peaks,
    /// Leaf hashes of the entries read in this look.
    hashes: Vec<Hash>,
    events: Vec<Event>,
}

struct Look<'a, S> {
    log: &'a LogDescription,
    source: &'a S,
    evidence: Vec<String>,
}

impl<S: TileSource> Look<'_, S> {
    async fn checkpoint(&mut self) -> Result<SignedCheckpoint, Stop> {
        let signed = match self.source.checkpoint().await {
            Ok(signed) => signed,
            Err(FetchError::Checkpoint(cause)) => return Err(self.alarm(Misbehaviour::Unverified(cause))),
            // A log that serves no checkpoint promises nothing: there is nothing to hold against it.
            Err(cause) => return Err(self.trouble(cause.into())),
        };
        self.evidence.push(signed.note.encode());
        match signed.verify(&self.log.key) {
            Ok(_) => Ok(signed),
            Err(cause) => Err(self.alarm(Misbehaviour::Unverified(cause))),
        }
    }

    /// Reads the bundle in which the next entry stands.
    async fn read_bundle(&self, read: &mut Read, size: u64, interest: &Interest) -> Result<(), Stop> {
        let full = u64::from(TILE_WIDTH);
        let first = read.peaks.size() / full * full;
        let promised = (size - first).min(full);
        let width = u16::try_from(promised).unwrap_or(TILE_WIDTH);
        let bundle = EntryBundle::new(first / full, width).map_err(|e| self.alarm(Misbehaviour::Tile(e)))?;
        let dir = self.log.kind.bundle_dir();
        let bytes = match self.source.bundle(bundle, dir).await {
            Ok(bytes) => bytes,
            Err(cause) => return Err(self.fetch_failure(bundle.path(dir), size, cause)),
        };
        let mut rest = bytes.as_slice();
        for index in first..first + promised {
            if rest.is_empty() {
                let (path, found) = (bundle.path(dir), index - first);
                return Err(self.alarm(Misbehaviour::Short { path, expected: promised, found }));
            }
            let malformed = |cause| self.alarm(Misbehaviour::Entry { index, cause });
            let (encoded, after) = self.split_first(rest).map_err(malformed)?;
            rest = after;
            // Entries before were read, and proven, in an earlier look.
            if index < read.peaks.size() {
                continue;
            }
            let hash = self.leaf_hash(encoded, index)?;
            let event = interest.examine(self.log, index, hash, encoded).map_err(malformed)?;
            read.events.extend(event);
            read.hashes.push(hash);
            read.peaks.push(hash);
        }
        Ok(())
    }

    fn split_first<'b>(&self, bundle: &'b [u8]) -> Result<(&'b [u8], &'b [u8]), LeafError> {
        match self.log.kind {
            LogKind::Signatures => EntryLeaf::split_first(bundle),
            LogKind::Certificates => CtLeaf::split_first(bundle),
        }
    }

    fn leaf_hash(&self, encoded: &[u8], index: u64) -> Result<Hash, Stop> {
        let malformed = |cause| self.alarm(Misbehaviour::Entry { index, cause });
        match self.log.kind {
            LogKind::Signatures => EntryLeaf::leaf_hash(encoded).map_err(malformed),
            LogKind::Certificates => {
                let leaf = TileLeaf::parse(encoded).map_err(malformed)?;
                // The log signed this index in the SCT: verifiers who look the certificate up by it
                // must find it.
                match leaf.index().map_err(malformed)? {
                    found if found == index => Ok(leaf.leaf_hash()),
                    found => Err(self.alarm(Misbehaviour::Misplaced { expected: index, found })),
                }
            }
        }
    }

    /// Whether the log's tiles prove that the new tree begins with the old one.
    async fn is_extended(
        &self,
        (old, old_root): Tree,
        (new, new_root): Tree,
    ) -> Result<Result<(), Misbehaviour>, Stop> {
        let proof = with_nodes(self.source, new, |nodes| prove_consistency(old, new, nodes)).await;
        let proof = proof.map_err(|failure| self.tile_failure(new, failure))?;
        // A node in none of the tiles is missing from the proof, which then does not fit the sizes.
        let proof = proof.unwrap_or_default();
        let verified = verify_consistency(old, &old_root, new, &new_root, &proof);
        Ok(verified.map_err(|cause| Misbehaviour::Rewritten { old, old_root, new, cause }))
    }

    async fn check_extends(&self, old: Tree, new: Tree) -> Result<(), Stop> {
        self.is_extended(old, new).await?.map_err(|misbehaviour| self.alarm(misbehaviour))
    }

    /// Finds out why the entries read do not make the signed tree.
    async fn explain(&self, state: &LogState, read: &Read, signed: &SignedCheckpoint) -> Stop {
        let (size, expected) = (signed.checkpoint.size, signed.checkpoint.root);
        let full = u64::from(TILE_WIDTH);
        // An entry that is not the one in the tree.
        for tile_index in state.size() / full..=read.peaks.size() / full {
            let Some(tile) = tile_at(0, tile_index, size) else { continue };
            let Ok(hashes) = self.source.tile(tile).await else { continue };
            for (index, expected) in (tile_index * full..).zip(hashes) {
                let at = index.checked_sub(state.size()).and_then(|at| usize::try_from(at).ok());
                match at.and_then(|at| read.hashes.get(at)) {
                    Some(found) if *found != expected => {
                        return self.alarm(Misbehaviour::Swapped { index, expected, found: *found });
                    }
                    _ => {}
                }
            }
        }
        // Another past than the one seen.
        if let Some(seen) =
            state.checkpoint.as_ref().map(|seen| &seen.checkpoint).filter(|seen| seen.size > 0)
        {
            let extended = self.is_extended((seen.size, seen.root), (size, expected)).await;
            if let Ok(Err(misbehaviour)) = extended {
                return self.alarm(misbehaviour);
            }
        }
        self.alarm(Misbehaviour::OtherTree { size, expected, found: read.peaks.root() })
    }

    fn tile_failure(&self, size: u64, failure: TileFailure) -> Stop {
        self.fetch_failure(failure.tile.path(), size, failure.cause)
    }

    fn fetch_failure(&self, path: String, size: u64, cause: FetchError) -> Stop {
        match cause {
            FetchError::Missing => self.alarm(Misbehaviour::Missing { path, size }),
            FetchError::Checkpoint(cause) => self.alarm(Misbehaviour::Unverified(cause)),
            FetchError::Tile(cause) => self.alarm(Misbehaviour::Tile(cause)),
            FetchError::Trouble(cause) => self.trouble(cause),
        }
    }

    fn alarm(&self, misbehaviour: Misbehaviour) -> Stop {
        let alarm = Alarm { log: self.log.origin.clone(), misbehaviour, evidence: self.evidence.clone() };
        Stop::Alarm(Box::new(alarm))
    }

    fn trouble(&self, cause: Box<dyn Error + Send + Sync>) -> Stop {
        Stop::Trouble { log: self.log.origin.clone(), cause }
    }
}
