//! The roots of the complete subtrees a tree decomposes into: all that must be kept to grow it further.

use super::{Hash, MAX_TREE_SIZE, empty_root, node_hash};
use alloc::vec::Vec;

/// A tree remembered by its size and at most 62 hashes ("compact range"). It can grow and tell its
/// root, but prove nothing about single leaves. What a monitor keeps between two looks.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Peaks {
    size: u64,
    /// One hash for each bit set in `size`, largest subtree first.
    hashes: Vec<Hash>,
}

/// A size and hashes that do not belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeaksError {
    /// One hash is needed for each bit set in the size.
    #[error("a tree of {size} leaves has {expected} peaks, not {found}")]
    Count {
        /// Leaves in the tree.
        size: u64,
        /// Bits set in the size.
        expected: u32,
        /// Hashes given.
        found: usize,
    },
    /// Larger than anyone's tree.
    #[error("a tree of {0} leaves is beyond the largest supported")]
    TooLarge(u64),
}

impl Peaks {
    /// The empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, hashes: Vec::new() }
    }

    /// Takes up a tree left earlier. The caller compares [`root`](Self::root) with a root it trusts.
    ///
    /// # Errors
    /// When the number of hashes does not fit the size, or the size is beyond [`MAX_TREE_SIZE`].
    pub fn from_parts(size: u64, hashes: Vec<Hash>) -> Result<Self, PeaksError> {
        if size > MAX_TREE_SIZE {
            return Err(PeaksError::TooLarge(size));
        }
        let expected = size.count_ones();
        if u32::try_from(hashes.len()) != Ok(expected) {
            return Err(PeaksError::Count { size, expected, found: hashes.len() });
        }
        Ok(Self { size, hashes })
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf_hash: Hash) {
        let mut hash = leaf_hash;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.hashes.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.hashes.push(hash);
        self.size = self.size.saturating_add(1);
    }

    /// Leaves in the tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The peaks, largest subtree first.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.hashes.split_last().map_or_else(empty_root, |(last, left)| {
            left.iter().rfold(*last, |right, left| node_hash(left, &right))
        })
    }
}
