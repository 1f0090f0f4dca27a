//! What a caller gets for an entry: its place, and the proof of it under a published checkpoint.

use bytes::Bytes;
use sealog_tlog::{Hash, InclusionProof};

/// An entry is logged, durable and readable; this proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Leaf index of the entry.
    pub index: u64,
    /// Time given to a new entry. `None` for one logged before: where its kind has a time, it is in `encoded`.
    pub time_ms: Option<u64>,
    /// The entry as it stands in its bundle, framing included; of a duplicate, as first logged.
    pub encoded: Bytes,
    /// The same entry was logged before.
    pub duplicate: bool,
    /// Proof under `checkpoint`, verified before the answer: of a new entry with its batch, of an earlier one by itself.
    pub proof: InclusionProof,
    /// Root hash in `checkpoint`.
    pub root: Hash,
    /// A published signed checkpoint that includes the entry.
    pub checkpoint: Bytes,
}
