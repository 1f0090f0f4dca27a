//! What a log must not do, in words and values: what was expected, what was found.

use sealog_tlog::{Hash, checkpoint::CheckpointError, leaf::LeafError, merkle::ProofError, tile::TileError};
use std::fmt;

/// A log was caught. The state is where it was before.
#[derive(Debug)]
pub struct Alarm {
    /// The log, by its origin.
    pub log: String,
    /// What it did.
    pub misbehaviour: Misbehaviour,
    /// The signed checkpoints that show it, oldest first: worth keeping.
    pub evidence: Vec<String>,
}

/// What a log did.
#[derive(Debug, thiserror::Error)]
pub enum Misbehaviour {
    /// What it serves as its checkpoint is none, or not signed with its key.
    #[error("serves a checkpoint that it did not sign")]
    Unverified(#[source] CheckpointError),
    /// It has fewer entries than it had.
    #[error("shrank")]
    Shrunk {
        /// Entries in the last checkpoint seen.
        expected: u64,
        /// Entries now.
        found: u64,
    },
    /// It signed two trees of one size.
    #[error("signed two different trees of {size} entries")]
    Forked {
        /// Entries in both.
        size: u64,
        /// The root seen first.
        expected: Hash,
        /// The root seen now.
        found: Hash,
    },
    /// Its tree no longer begins with the tree it signed before.
    #[error("rewrote its past: its {new} entries do not begin with the {old} seen before")]
    Rewritten {
        /// Entries in the last checkpoint seen.
        old: u64,
        /// Its root.
        old_root: Hash,
        /// Entries now.
        new: u64,
        /// How the proof fails.
        #[source]
        cause: ProofError,
    },
    /// The entries it serves do not make the tree it signed.
    #[error("serves entries that do not make the tree it signed")]
    OtherTree {
        /// Entries in the tree.
        size: u64,
        /// The signed root.
        expected: Hash,
        /// The root of the entries served.
        found: Hash,
    },
    /// It serves another entry than the one in its tree.
    #[error("serves another entry {index} than the one in its tree")]
    Swapped {
        /// Which entry.
        index: u64,
        /// The leaf hash in the tree.
        expected: Hash,
        /// The leaf hash of the entry served.
        found: Hash,
    },
    /// It does not serve what its checkpoint promises.
    #[error("has a gap: `{path}` is not there")]
    Missing {
        /// What is missing.
        path: String,
        /// Entries in the checkpoint that promises it.
        size: u64,
    },
    /// It serves less than its checkpoint promises.
    #[error("has a gap: `{path}` ends early")]
    Short {
        /// What is short.
        path: String,
        /// Entries promised in it.
        expected: u64,
        /// Entries found in it.
        found: u64,
    },
    /// A tile is not one.
    #[error("serves a malformed tile")]
    Tile(#[source] TileError),
    /// An entry is none of its kind.
    #[error("serves a malformed entry {index}")]
    Entry {
        /// Which entry.
        index: u64,
        /// What is wrong with it.
        #[source]
        cause: LeafError,
    },
    /// A certificate entry says it stands elsewhere.
    #[error("promised another place for entry {expected}")]
    Misplaced {
        /// Where it stands.
        expected: u64,
        /// Where it says it stands.
        found: u64,
    },
}

impl Misbehaviour {
    /// A stable word for scripts.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Unverified(_) => "log-checkpoint",
            Self::Shrunk { .. } => "log-shrunk",
            Self::Forked { .. } | Self::Rewritten { .. } | Self::OtherTree { .. } => "log-forked",
            Self::Swapped { .. } => "log-entry-swapped",
            Self::Missing { .. } | Self::Short { .. } => "log-gap",
            Self::Tile(_) | Self::Entry { .. } | Self::Misplaced { .. } => "log-malformed",
        }
    }

    /// What should have been there.
    #[must_use]
    pub fn expected(&self) -> String {
        match self {
            Self::Unverified(_) => "a checkpoint with a signature of the key in the trusted root".to_owned(),
            Self::Shrunk { expected, .. } => format!("at least {}, as signed before", entries(*expected)),
            Self::Forked { expected, .. } => format!("root {expected}, as signed before"),
            Self::Rewritten { old, old_root, .. } => format!("root {old_root} of the first {old} entries"),
            Self::OtherTree { size, expected, .. } => format!("root {expected} of {size} entries, as signed"),
            Self::Swapped { expected, .. } => format!("leaf hash {expected}, as in the tree"),
            Self::Missing { size, .. } => format!("everything under its checkpoint of {size} entries"),
            Self::Short { expected, .. } => entries(*expected),
            Self::Tile(_) => "a tile as C2SP tlog-tiles describes it".to_owned(),
            Self::Entry { .. } => "an entry of the log's kind".to_owned(),
            Self::Misplaced { expected, .. } => format!("leaf index {expected}"),
        }
    }

    /// What was there.
    #[must_use]
    pub fn found(&self) -> String {
        match self {
            Self::Unverified(cause) => cause.to_string(),
            Self::Shrunk { found, .. } | Self::Short { found, .. } => entries(*found),
            Self::Forked { found, .. } | Self::OtherTree { found, .. } => format!("root {found}"),
            Self::Rewritten { cause: ProofError::OldRoot { found, .. }, old, .. } => {
                format!("root {found} of the first {old} entries")
            }
            Self::Rewritten { cause, .. } => cause.to_string(),
            Self::Swapped { found, .. } => format!("leaf hash {found} of the entry served"),
            Self::Missing { .. } => "not found".to_owned(),
            Self::Tile(cause) => cause.to_string(),
            Self::Entry { cause, .. } => cause.to_string(),
            Self::Misplaced { found, .. } => format!("leaf index {found}"),
        }
    }
}

fn entries(count: u64) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "log `{}` {}", self.log, self.misbehaviour)
    }
}

impl std::error::Error for Alarm {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.misbehaviour)
    }
}
