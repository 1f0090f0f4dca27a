//! What a log is told by its owner: name, signers, clock, and the bounds it keeps.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sealog_tlog::note::NoteSigner;

use crate::index::Shape;

/// Milliseconds since the Unix epoch, from the one clock of the program.
pub type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How one log is run. The first four are its identity; the rest have defaults worth keeping.
#[derive(Clone)]
pub struct Settings {
    /// Origin line of every checkpoint.
    pub origin: String,
    /// Checkpoint signers, the log's own first: its line comes first in every checkpoint.
    pub signers: Vec<Arc<dyn NoteSigner>>,
    /// Gives leaves and checkpoints their time. May jump: the log never steps back behind a time it has used.
    pub clock: Clock,
    /// Where the newest committed checkpoint is remembered. Belongs beside the signing key, on storage that is not
    /// restored together with the log's directory: it is what refuses to fork after an old backup came back.
    pub first_seen: PathBuf,
    /// How often partial tiles and `checkpoint` become files for readers other than this process.
    pub publish_interval: Duration,
    /// Entries that may wait for the sequencer; one more is refused.
    pub max_pending: usize,
    /// Longest wait for more entries, under load only.
    pub linger: Duration,
    /// A batch ends at the entry that reaches this.
    pub max_batch_bytes: usize,
    /// Size of a write-ahead segment; at least four times `max_batch_bytes`.
    pub segment_bytes: u64,
    /// A sequencer of a log in a bucket that has not shown itself for so long may be replaced. It shows itself four
    /// times as often.
    pub lease: Duration,
    /// How the duplicate index is divided.
    pub(crate) index_shape: Shape,
}

impl Settings {
    /// The defaults, for a log of this identity.
    #[must_use]
    pub fn new(
        origin: impl Into<String>,
        signers: Vec<Arc<dyn NoteSigner>>,
        clock: Clock,
        first_seen: PathBuf,
    ) -> Self {
        Self {
            origin: origin.into(),
            signers,
            clock,
            first_seen,
            publish_interval: Duration::from_millis(100),
            max_pending: 4096,
            linger: Duration::from_millis(2),
            max_batch_bytes: 1 << 20,
            segment_bytes: 8 << 20,
            lease: Duration::from_secs(8),
            index_shape: Shape::LOG,
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("origin", &self.origin)
            .field("first_seen", &self.first_seen)
            .field("publish_interval", &self.publish_interval)
            .field("max_pending", &self.max_pending)
            .field("linger", &self.linger)
            .field("max_batch_bytes", &self.max_batch_bytes)
            .field("segment_bytes", &self.segment_bytes)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}
