//! The log's tree in memory: what a batch makes of it, and what becomes whole by that.
//!
//! [`Tree::stage`] computes and changes nothing; [`Tree::apply`] is done only to what is committed. Recovery goes the
//! same two steps, so a log read back cannot differ from the log that was written.

use bytes::Bytes;
use sealog_tlog::merkle::prove_inclusion;
use sealog_tlog::tile::{TILE_WIDTH, bundle_path};
use sealog_tlog::{Edge, Hash, InclusionProof};

/// A file that never changes once written: a full tile or a full entry bundle.
#[derive(Debug, Clone)]
pub(crate) struct FullFile {
    /// Relative to the public directory.
    pub(crate) path: String,
    pub(crate) bytes: Bytes,
}

/// The committed tree.
pub(crate) struct Tree {
    edge: Edge,
    /// Elements of the unfinished entry bundle.
    tail: Vec<Bytes>,
    bundle_dir: &'static str,
}

/// The tree as it will be when the batch is committed.
pub(crate) struct Staged {
    edge: Edge,
    entries: Vec<Bytes>,
    root: Hash,
}

impl Tree {
    /// The tree of `edge.size()` leaves whose last elements are `tail`.
    pub(crate) fn new(edge: Edge, tail: Vec<Bytes>, bundle_dir: &'static str) -> Self {
        Self { edge, tail, bundle_dir }
    }

    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    pub(crate) fn tail(&self) -> &[Bytes] {
        &self.tail
    }

    /// Bytes of the unfinished tile of each level that has one, by level.
    pub(crate) fn partial_tiles(&self) -> Vec<(u8, Bytes)> {
        self.edge.partial_tiles().into_iter().map(|(tile, bytes)| (tile.level(), bytes.into())).collect()
    }

    pub(crate) fn stage(&self, leaf_hashes: impl Iterator<Item = Hash>, entries: Vec<Bytes>) -> Staged {
        let mut edge = self.edge.clone();
        leaf_hashes.for_each(|hash| edge.push(hash));
        let root = edge.root();
        Staged { edge, entries, root }
    }

    /// Takes the batch over and returns what it made whole: bundles first, then tiles from the lowest level up.
    pub(crate) fn apply(&mut self, staged: Staged) -> Vec<FullFile> {
        let before = self.edge.size();
        let mut full = Vec::new();
        let mut bundle = before / u64::from(TILE_WIDTH);
        for entry in staged.entries {
            self.tail.push(entry);
            if self.tail.len() == usize::from(TILE_WIDTH) {
                let bytes = self.tail.concat().into();
                full.push(FullFile { path: bundle_path(self.bundle_dir, bundle, TILE_WIDTH), bytes });
                self.tail.clear();
                bundle += 1;
            }
        }
        self.edge = staged.edge;
        let tiles = self.edge.full_tiles_since(before).into_iter();
        full.extend(tiles.map(|(tile, bytes)| FullFile { path: tile.path(), bytes: bytes.into() }));
        self.edge.trim();
        full
    }
}

impl Staged {
    pub(crate) fn size(&self) -> u64 {
        self.edge.size()
    }

    pub(crate) fn root(&self) -> Hash {
        self.root
    }

    pub(crate) fn entries(&self) -> &[Bytes] {
        &self.entries
    }

    /// Proof of a leaf of this batch in the tree of this batch; `None` would be a defect of ours.
    pub(crate) fn prove(&self, index: u64) -> Option<InclusionProof> {
        prove_inclusion(index, self.edge.size(), &self.edge).ok()
    }
}
