//! The Merkle tree of RFC 6962 §2.1: hashes, roots, and proofs made and checked.
//!
//! A node is named by its binary level (0 for leaves) and its index in that level; only complete
//! subtrees are nodes. [`edge`] grows a tree in memory; [`peaks`] is the least that must be kept to
//! go on hashing one.
//!
//! Any `u64` is a legal size or index here: sizes come from the network.

mod edge;
mod peaks;
mod prove;
mod verify;

pub use edge::{Edge, EdgeError, NotHeld};
pub use peaks::{Peaks, PeaksError};
pub use prove::{NodeReader, ProveError, prove_consistency, prove_inclusion, range_root, root};
pub use verify::{ProofError, root_from_inclusion, verify_consistency, verify_inclusion};

use alloc::vec::Vec;
use core::fmt;
use sealog_crypto::{sha256, sha256_of_parts};

/// Bytes of a hash.
pub const HASH_LEN: usize = 32;

/// Most hashes a proof can hold: one for each level of a tree of `u64::MAX` leaves, and one more
/// where a consistency proof starts below its first common node.
pub const MAX_PROOF_HASHES: usize = 65;

/// Largest tree this crate grows (proofs may speak of larger ones). Nobody fills it; it keeps every
/// `size + 1` in range.
pub const MAX_TREE_SIZE: u64 = 1 << 62;

/// A node of a Merkle tree: SHA-256 with the domain separation of RFC 6962.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; HASH_LEN]);

impl Hash {
    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; HASH_LEN] {
        &self.0
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<[u8; HASH_LEN]> for Hash {
    fn from(bytes: [u8; HASH_LEN]) -> Self {
        Self(bytes)
    }
}

impl TryFrom<&[u8]> for Hash {
    type Error = core::array::TryFromSliceError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self)
    }
}

impl fmt::Display for Hash {
    /// All digits, lower-case hex.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of a leaf: `SHA-256(0x00 ‖ leaf)`.
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    leaf_hash_of_parts(&[leaf])
}

/// [`leaf_hash`] of the concatenation of `parts`.
#[must_use]
pub fn leaf_hash_of_parts(parts: &[&[u8]]) -> Hash {
    Hash(sha256_of_parts([[0].as_slice()].into_iter().chain(parts.iter().copied())))
}

/// The hash of an inner node: `SHA-256(0x01 ‖ left ‖ right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [1; 1 + 2 * HASH_LEN];
    let children = left.0.iter().chain(&right.0);
    input.iter_mut().skip(1).zip(children).for_each(|(to, from)| *to = *from);
    Hash(sha256(&input))
}

/// The root of the empty tree: `SHA-256("")`.
#[must_use]
pub fn empty_root() -> Hash {
    Hash(sha256(&[]))
}

/// A proof that a leaf stands at `index` in a tree of `size` leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// Where the leaf stands, counted from 0.
    pub index: u64,
    /// Leaves in the tree.
    pub size: u64,
    /// The leaf's sibling first, the root's child last.
    pub hashes: Vec<Hash>,
}

impl InclusionProof {
    /// Checks it for this leaf hash and root.
    ///
    /// # Errors
    /// See [`verify_inclusion`].
    pub fn verify(&self, leaf_hash: &Hash, root: &Hash) -> Result<(), ProofError> {
        verify_inclusion(leaf_hash, self.index, self.size, &self.hashes, root)
    }
}

#[cfg(test)]
mod tests;
