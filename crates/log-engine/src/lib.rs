//! One transparency log: sequencing, storage, recovery, publication.
//!
//! A [`Log`] gives entries their place in a Merkle tree, makes them durable, publishes a signed checkpoint over them
//! and hands out receipts, in one order only: **stage, commit, apply, cosign, publish, answer** (`sequencer`). It keeps:
//!
//! - never two signed trees of one size; never a signature outside before its batch is durable (`wal`);
//! - never a published checkpoint whose tiles cannot be read (`view` for our own readers, `flusher` for others);
//! - one leaf for one entry, over the whole log and for ever (`index`, `recent`);
//! - nothing acknowledged is lost by a kill, a full disk or a failed write (`recovery`).
//!
//! What an entry means is the leaf kind's affair ([`sealog_tlog::Leaf`]); who may append, and how receipts look on the
//! wire, is the service's. The clock and the keys are handed in.

mod assembly;
mod bucket;
#[cfg(target_os = "linux")]
mod buffers;
mod directory;
mod disk;
mod error;
mod files;
mod flusher;
mod frozen;
mod health;
mod index;
mod inspect;
mod layout;
mod log;
mod logged;
mod memory;
mod outbox;
pub mod outside;
mod place;
mod queue;
mod reading;
mod receipt;
mod recent;
mod recovery;
mod reread;
mod sequencer;
mod settings;
mod storage;
mod transfer;
mod tree;
mod view;
mod wal;

pub use bucket::{
    Bucket, Object, ProbeError, PutError, Reader, SequencerAt, StoreBucket, StoreError, Version, probe,
};
pub use error::{AppendError, Cause, Evidence, Failure, OpenError, ReadError};
pub use frozen::Frozen;
pub use inspect::{Identity, Inspected, inspect, public_files};
pub use log::Log;
pub use place::{BucketPlace, Place};
pub use reading::{
    Beside, Known, PublicFiles, Show, Sound, SoundFile, Unsound, nothing_beside, read_checkpoint, read_log,
    verify_checkpoint,
};
pub use receipt::Receipt;
pub use settings::{Clock, Settings};
pub use transfer::{Copied, Restoring, TransferError, back_up, restore, transfer};
pub use view::View;

/// When a refused caller may try again.
const RETRY_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

#[cfg(test)]
extern crate self as sealog_log_engine;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod sim;
#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;
