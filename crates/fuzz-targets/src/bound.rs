//! What an input may cost in memory: `fixed + each × its length`, counted as bytes allocated at one time.
//!
//! Counted is the heap of the Rust code, with both the old and the new place of what grows; the C library
//! behind `crypto` is not, its keys and signatures being bounded by their parsers.

use peak_alloc::PeakAlloc;
use std::sync::{Mutex, PoisonError};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One measurement at a time: the counts are the whole process's.
static TURN: Mutex<()> = Mutex::new(());

/// A bound that grows with the input.
pub struct Bound {
    /// Bytes for any input, the empty one included.
    pub fixed: usize,
    /// Bytes for each byte of input.
    pub each: usize,
}

/// Documents become trees, and here a second one to compare with. The densest are lists of empty lists and
/// of digits: two or three bytes make a value of 32, in a list with up to twice the room it needs, the old
/// place of which is still there while it grows.
pub const JSON: Bound = Bound { fixed: 1 << 20, each: 64 };
/// What is in DER, in PEM or in lines is copied a few times and no more.
pub const BYTES: Bound = Bound { fixed: 1 << 20, each: 32 };
/// Each line becomes a name in a list and in an index of it, here a second time to compare with.
pub const LISTS: Bound = Bound { fixed: 1 << 20, each: 64 };
/// A document becomes a tree, its description another, and that is written in words and in JSON.
pub const WORDS: Bound = Bound { fixed: 1 << 20, each: 512 };
/// An input edits a bundle of some kilobytes, or is a document.
pub const VERIFY: Bound = Bound { fixed: 4 << 20, each: 64 };

/// All patterns of a policy together may become programs of some mebibytes, and want as much again for a name they
/// are compared with, however short they are written. The densest tables are lists of lists.
pub const POLICY: Bound = Bound { fixed: 16 << 20, each: 128 };

impl Bound {
    /// What an input of this length may cost.
    #[must_use]
    pub const fn of(&self, length: usize) -> usize {
        self.fixed.saturating_add(self.each.saturating_mul(length))
    }
}

/// The most bytes that were allocated at one time while this ran, beyond those before.
pub fn measured(run: impl FnOnce()) -> usize {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    run();
    MEMORY.peak_usage().saturating_sub(before)
}
