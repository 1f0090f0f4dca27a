//! What a log asks of the place it is kept in: to make a batch durable, and to hold what readers see.
//!
//! Two places answer: a directory (`directory`, whose commit point is a synced write-ahead log) and a bucket (`bucket`,
//! whose commit point is one small object, swapped only if nobody else did). The engine above knows neither.
//!
//! What must hold of both: a batch is committed exactly when [`CommitPoint::commit`] has returned `Ok`, and then for
//! ever; of two that take the same log, at most one can ever commit again.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::disk::Disk;
use crate::error::OpenError;
use crate::tree::FullFile;
use crate::wal::Record;

/// One batch as the sequencer hands it over.
pub(crate) struct Commit<'a> {
    pub(crate) first: u64,
    pub(crate) size: u64,
    pub(crate) time_ms: u64,
    pub(crate) root: [u8; 32],
    pub(crate) checkpoint: &'a [u8],
    /// The elements, framing included.
    pub(crate) entries: &'a [Bytes],
}

impl Commit<'_> {
    pub(crate) fn entry_bytes(&self) -> usize {
        self.entries.iter().map(Bytes::len).sum()
    }
}

/// Why a batch was not committed.
#[derive(Debug)]
pub(crate) enum CommitError {
    /// It is not in the log and never will be. The log is as before; the next batch may be tried.
    Refused(io::Error),
    /// It may be durable or not. Nothing more may be signed until the log has been read again.
    Unknown(io::Error),
    /// Another sequencer has taken the log. This one must never commit again.
    Superseded,
}

/// The one place where it is decided what is in the log. Owned by the sequencer.
pub(crate) trait CommitPoint: Send {
    /// Makes a batch durable, all of it or nothing.
    fn commit(&mut self, batch: &Commit<'_>) -> Result<(), CommitError>;

    /// Room that is needed no more may be given back: every full tile and bundle of the first `full` entries is
    /// durable, and everything under a checkpoint of `published` entries.
    fn retire(&mut self, full: u64, published: u64) -> io::Result<()>;

    /// Whether a commit takes so long that a batch gathers meanwhile, and need not be waited for.
    fn is_slow(&self) -> bool {
        false
    }

    /// How often others must be shown that the log is not abandoned, where they can see that.
    fn beat_interval(&self) -> Option<Duration> {
        None
    }

    /// Shows it, while nothing is committed.
    fn beat(&mut self) -> Result<(), CommitError> {
        Ok(())
    }

    /// Lets others have the log at once. Nothing may be committed afterwards.
    fn release(&mut self) -> Result<(), CommitError> {
        Ok(())
    }

    /// True when [`Upkeep::prepare`] should be called.
    fn wants_preparation(&self) -> bool;
}

/// What the flusher does for the commit point, which never waits for it.
pub(crate) trait Upkeep: Send + Sync {
    /// Makes room ahead of its use.
    fn prepare(&self) -> io::Result<()>;

    /// Removes what the commit point has given back.
    fn tidy(&self) -> io::Result<()>;
}

/// What readers see: `checkpoint`, tiles, bundles, side objects, by their paths.
pub(crate) trait Objects: Send + Sync {
    /// The content, or `None` where nothing is.
    fn read(&self, path: &str) -> io::Result<Option<Bytes>>;

    /// The content, if it need not be waited for and `may` agrees to its length in bytes.
    fn read_at_once(&self, _path: &str, _may: &mut dyn FnMut(u64) -> bool) -> Option<Bytes> {
        None
    }

    /// Whether they are asked for over a network.
    fn are_far(&self) -> bool {
        false
    }

    /// How many bytes [`read`](Self::read) would give, where that costs less than to read them.
    fn length(&self, _path: &str) -> io::Result<Option<u64>> {
        Ok(None)
    }

    /// Many at a time, in the order asked for.
    fn read_many(&self, paths: &[String]) -> io::Result<Vec<Option<Bytes>>> {
        paths.iter().map(|path| self.read(path)).collect()
    }

    /// Whether something is there.
    fn is_there(&self, path: &str) -> io::Result<bool>;

    /// Writes all of them; each is durable and whole on return, and readers never see half of one.
    fn write(&self, files: &[FullFile]) -> io::Result<()>;

    /// These are there, whole and with durable content; makes their names durable as well.
    fn keep_names(&self, _files: &[FullFile]) -> io::Result<()> {
        Ok(())
    }

    /// The partial tiles and bundles of these full ones may go: readers are served from the full ones.
    fn drop_partials(&self, full: &[FullFile]) -> io::Result<()>;

    /// Makes `checkpoint` durable, never in place of a newer one by another sequencer.
    fn publish_checkpoint(&self, bytes: &Bytes) -> Result<(), CommitError>;

    /// Whether an error passes by itself, with nothing promised and nothing half done.
    fn passes(&self, error: &io::Error) -> bool;

    /// How a person finds it.
    fn name(&self, path: &str) -> PathBuf;
}

/// The file or object that says that nothing may be committed any more.
pub(crate) const CLOSED: &str = "closed";
/// What it says of a log that was put back to be read only: why it must not go on.
pub(crate) const MAY_LACK: &str = "it was put back to be read, and its key may have signed more than it has";

/// What each committed record is shown to.
pub(crate) type Visit<'a> = dyn FnMut(&Record<'_>) -> Result<(), OpenError> + 'a;

/// Bytes that are no record where one could be: of a batch that nobody was ever told of, or of a record that is damaged.
pub(crate) struct Torn {
    pub(crate) path: PathBuf,
    pub(crate) at: u64,
    /// There are records in a later file: then it can only be damage, as every start cuts off what is torn.
    pub(crate) followed: bool,
    /// And they stand where a record must have been: where none was lost, the later ones would continue what is before.
    pub(crate) was_record: bool,
}

/// A log's place, before the log is running.
pub(crate) trait Storage: Send {
    /// What readers see.
    fn objects(&self) -> Arc<dyn Objects>;

    /// The file system of this machine, for the index and what is remembered beside the key.
    fn disk(&self) -> Arc<dyn Disk>;

    /// A directory on it for the index.
    fn index(&self) -> PathBuf;

    /// How a person finds the committed records.
    fn name(&self) -> PathBuf;

    /// The place itself, by a name that is the same from wherever it is asked.
    fn place(&self) -> PathBuf;

    /// Whether other machines may commit to it as well.
    fn is_shared(&self) -> bool;

    /// Why nothing may be committed here any more, if that was said; and where.
    fn closed(&self) -> Result<Option<(PathBuf, String)>, OpenError>;

    /// Says so, durably; not where it was said in other words.
    fn close(&self, words: &str) -> Result<(), OpenError>;

    /// Takes it back, where it was said in these words.
    fn reopen(&self, words: &str) -> Result<(), OpenError>;

    /// Makes an empty place a log: its first record. A crash before the end leaves none.
    fn found(&mut self, first: &Commit<'_>) -> Result<(), OpenError>;

    /// Shows every committed record that is still needed, in order; at least one, which may be empty. Changes nothing.
    fn scan(&mut self, visit: &mut Visit<'_>) -> Result<(), OpenError>;

    /// Where bytes follow the last record that are none, once it was scanned.
    fn torn(&self) -> Option<Torn> {
        None
    }

    /// Makes sure that nobody else can commit any more and that what [`scan`](Self::scan) has shown is durable.
    fn take(&mut self) -> Result<(), OpenError>;

    /// Where whoever changed the log since it was looked at can be asked, if somebody did: then what was read of it need
    /// not fit together.
    fn changed_by(&self) -> Option<String> {
        None
    }

    /// Ready to commit. After [`take`](Self::take) only.
    fn begin(self: Box<Self>) -> Result<Begun, OpenError>;
}

/// The parts of a running log's place.
pub(crate) struct Begun {
    pub(crate) commit: Box<dyn CommitPoint>,
    pub(crate) upkeep: Arc<dyn Upkeep>,
    /// Whatever must live until the log is closed.
    pub(crate) hold: Box<dyn Send>,
}
