//! Everything that can go wrong with a log, as closed lists with the values compared.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::storage::MAY_LACK;
use sealog_crypto::SignError;
use sealog_tlog::LeafError;

/// Why a log was not created or opened. Nothing was changed that a reader could see.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has the log open.
    #[error("the log in {} is in use by another process", dir.display())]
    Locked {
        /// The log's directory.
        dir: PathBuf,
    },
    /// Another sequencer has the log.
    #[error("the log in {} is held by another sequencer ({by})", place.display())]
    Held {
        /// The bucket.
        place: PathBuf,
        /// Where that one can be reached, if it said so.
        by: String,
    },
    /// Another process of this machine signs with the log's key.
    #[error("another process signs with this log's key, in {} ({})", place.display(), path.display())]
    KeyInUse {
        /// The lock beside the key.
        path: PathBuf,
        /// Where the log is that it has.
        place: PathBuf,
    },
    /// It was said that nothing may be signed here any more.
    #[error("the log in {} takes no more entries: {words} ({})", place.display(), mark.display())]
    Closed {
        /// The log's place.
        place: PathBuf,
        /// The file or object that says so.
        mark: PathBuf,
        /// Its words.
        words: String,
    },
    /// The directory holds no (completely created) log.
    #[error("there is no log in {}", dir.display())]
    NotALog {
        /// The directory.
        dir: PathBuf,
    },
    /// A log is there already.
    #[error("there is already a log in {}", dir.display())]
    AlreadyExists {
        /// The log's directory.
        dir: PathBuf,
    },
    /// A new log takes an empty directory only.
    #[error("{} is not empty: {} is there", dir.display(), found.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
        /// Something in it.
        found: PathBuf,
    },
    /// A newer program wrote the directory.
    #[error("{} says format {found}, this program knows up to {supported}", path.display())]
    NewerFormat {
        /// The format file.
        path: PathBuf,
        /// Version in it.
        found: u32,
        /// Newest version known here.
        supported: u32,
    },
    /// The format file is not one of ours.
    #[error("{} does not name a format", path.display())]
    UnknownFormat {
        /// The format file.
        path: PathBuf,
    },
    /// A new log was asked for where one was before.
    #[error("{} remembers a log of this name with {size} entries", path.display())]
    Remembered {
        /// The first-seen file.
        path: PathBuf,
        /// Entries of the log it remembers.
        size: u64,
    },
    /// What is stored does not fit together.
    #[error("{evidence} in {}: expected {expected}, found {found}", path.display())]
    Disagreement {
        /// The file that disagrees.
        path: PathBuf,
        /// What about it.
        evidence: Evidence,
        /// What the rest of the log says.
        expected: String,
        /// What the file says.
        found: String,
    },
    /// Entries are committed that the published checkpoint does not have.
    #[error("{committed} entries are committed in {}, but only {published} published", place.display())]
    Unpublished {
        /// Where the records are.
        place: PathBuf,
        /// Entries committed.
        committed: u64,
        /// Entries of the published checkpoint.
        published: u64,
    },
    /// The first entry of a new log is not one.
    #[error("the first entry cannot become a leaf")]
    Seed(#[source] LeafError),
    /// A checkpoint could not be signed.
    #[error("the first checkpoint could not be signed")]
    Sign(#[source] SignError),
    /// A setting that cannot work.
    #[error("the setting {name} cannot be {found}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        found: String,
    },
    /// The duplicate index could not be used (it may be deleted: it is rebuilt).
    #[error("the index in {} could not be opened", dir.display())]
    Index {
        /// Its directory.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file system refused.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The refusal.
        #[source]
        source: io::Error,
    },
}

/// Which of the things compared at the start does not agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Evidence {
    /// A write-ahead segment's first block.
    #[error("the head of a write-ahead segment")]
    SegmentHead,
    /// The object that says what is in a log in a bucket.
    #[error("the head")]
    Head,
    /// A committed record is damaged.
    #[error("a committed record")]
    Record,
    /// Records are missing, doubled or foreign.
    #[error("the order of the records")]
    Order,
    /// A record's entries are not what it announces.
    #[error("the entries of a record")]
    Entries,
    /// The tree recomputed from entries and tiles has another root hash than the signed checkpoint.
    #[error("the root hash")]
    RootHash,
    /// A checkpoint is not one, or not of its record.
    #[error("a checkpoint")]
    Checkpoint,
    /// The origin line.
    #[error("the origin")]
    Origin,
    /// The key that signed is not the configured one.
    #[error("the log's key")]
    SignerKey,
    /// The newest record's checkpoint is not signed by the key it names.
    #[error("the signature of the newest record's checkpoint")]
    Signature,
    /// A tile or entry bundle that must be there is not, or has other content.
    #[error("a full tile or entry bundle")]
    Tile,
    /// The published checkpoint is ahead of, or not of, the committed entries.
    #[error("the published checkpoint")]
    Published,
    /// The log is behind, or not, the one remembered beside the key.
    #[error("the remembered checkpoint")]
    FirstSeen,
}

impl OpenError {
    /// What a person can do about it, if anything useful can be said.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Locked { .. } => {
                Some("stop the other process first; two writers would sign two different logs")
            }
            Self::KeyInUse { .. } => Some("stop that process first: two logs under one key would be a fork"),
            Self::Closed { words, .. } if words == MAY_LACK => Some(
                "it is there to be read: give it back its `end`. To take entries again, begin a successor with [[…shards]] \
                 (docs/operations/logs.md)",
            ),
            Self::Closed { .. } => Some(
                "run the log where it went. If it was never run there and never will be, remove that copy, then the file \
                 named: of two that go on under one key one is a fork",
            ),
            Self::Held { .. } => Some("stop the other one, or wait until it lets the log go"),
            Self::NotALog { .. } => Some("create the log first, or check the path"),
            Self::NotEmpty { .. } => {
                Some("give the log a directory of its own; after an interrupted creation, remove it")
            }
            Self::NewerFormat { .. } => Some("run the newer program that wrote it"),
            Self::Remembered { .. } => {
                Some("a second log under one name and key is a fork: use a new name and a new key")
            }
            Self::Unpublished { .. } => Some(
                "run the log once more, with its key, and stop it: then everything committed is published",
            ),
            Self::Index { .. } => Some("the index is derived data: remove its directory and start again"),
            Self::Disagreement { evidence, .. } => Some(match evidence {
                Evidence::FirstSeen | Evidence::Published => {
                    "the directory is older than what was published, as after restoring a backup: bring back the \
                     newest copy; signing from here would fork the log"
                }
                Evidence::Origin | Evidence::SignerKey => {
                    "configure the name and key this log was created with"
                }
                _ => {
                    "nothing was changed; keep a copy of the directory and restore the damaged file from a mirror or backup"
                }
            }),
            _ => None,
        }
    }
}

/// Why an entry got no receipt.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// As many entries wait as may wait. Nothing was logged.
    #[error("the log has as many entries waiting as it may hold")]
    Overloaded {
        /// When asking again makes sense.
        retry_after: Duration,
    },
    /// Nothing can be written for now: the disk is full, or no more files can be opened. Nothing was logged.
    #[error("the log's disk is full, or no more files can be opened")]
    StorageFull {
        /// When asking again makes sense.
        retry_after: Duration,
    },
    /// The clock is behind the log's last entry by more than clocks differ: an entry logged now would get a time that has not
    /// come. Nothing was logged.
    #[error("the clock is {} s behind the log's last entry ({now_ms} ms since 1970, and {last_ms})", (last_ms - now_ms) / 1000)]
    ClockBehind {
        /// The last entry's time, in milliseconds since 1970.
        last_ms: u64,
        /// The clock's.
        now_ms: u64,
        /// When asking again makes sense.
        retry_after: Duration,
    },
    /// More than one batch may hold. Nothing was logged.
    #[error("the entry has {size} bytes, the log takes up to {limit}")]
    TooLarge {
        /// Bytes of the encoded entry.
        size: usize,
        /// Most bytes accepted.
        limit: usize,
    },
    /// The entry has no leaf. Nothing was logged.
    #[error("the entry cannot become a leaf")]
    Entry(#[source] LeafError),
    /// The checkpoint could not be signed. Nothing was logged.
    #[error("the checkpoint could not be signed")]
    Sign(#[source] SignError),
    /// The log was closed before it took the entry.
    #[error("the log is closed")]
    Closed,
    /// The log has stopped for good. The entry may or may not be found in it after a restart.
    #[error("the log has stopped")]
    Stopped(#[source] Failure),
    /// The entry was logged before, and where it is stored could not be read.
    #[error("an earlier entry could not be read")]
    Read(#[source] Arc<ReadError>),
}

/// What stopped a log. It answers nothing more until it is opened again.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{cause}")]
pub struct Failure {
    pub(crate) cause: Cause,
    #[source]
    pub(crate) source: Option<Arc<io::Error>>,
}

impl Failure {
    /// Which part failed.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        self.cause
    }
}

/// The part of a log that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// The commit point: whether the last batch is durable is unknown until the segment is read again.
    #[error("the write-ahead log could not be written")]
    Commit,
    /// A tile, bundle, checkpoint or side object.
    #[error("a public file could not be written")]
    PublicFile,
    /// The first-seen file.
    #[error("the remembered checkpoint could not be written")]
    FirstSeen,
    /// The duplicate index.
    #[error("the index could not be written")]
    Index,
    /// The engine's own proof did not verify, or could not be made: memory or logic is broken.
    #[error("a proof made by the log does not verify")]
    Proof,
    /// Another process has taken the log over; this one must not sign any more.
    #[error("another sequencer has taken the log")]
    Superseded,
    /// A thread of the engine ended unexpectedly.
    #[error("a thread of the log ended unexpectedly")]
    Thread,
}

/// Why something promised could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file system refused.
    #[error("could not read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The refusal.
        #[source]
        source: io::Error,
    },
    /// The file is there but is not what it must be.
    #[error("{} is missing or damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The duplicate index failed.
    #[error("the index could not be read")]
    Index(#[source] io::Error),
}

/// Says what was tried and on which file.
pub(crate) trait IoContext<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, OpenError>;
}

impl<T> IoContext<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, OpenError> {
        self.map_err(|source| OpenError::Io { action, path: path.to_owned(), source })
    }
}
