//! Makes inclusion and consistency proofs from the nodes of a stored tree (RFC 6962 §2.1.1, §2.1.2).

use super::{Hash, InclusionProof, empty_root, node_hash};
use alloc::vec::Vec;

/// Something that knows the nodes of a tree.
pub trait NodeReader {
    /// Why a node could not be had.
    type Error;

    /// The root of the complete subtree over leaves `index << level .. (index + 1) << level`.
    ///
    /// # Errors
    /// When the node is not there or cannot be read.
    fn node(&self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

impl<R: NodeReader + ?Sized> NodeReader for &R {
    type Error = R::Error;

    fn node(&self, level: u8, index: u64) -> Result<Hash, Self::Error> {
        (**self).node(level, index)
    }
}

/// Why a proof could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProveError<E> {
    /// No such leaf.
    #[error("leaf {index} does not exist in a tree of {size} leaves")]
    IndexBeyondTree {
        /// The index asked for.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The newer tree is the smaller one.
    #[error("a tree of {new} leaves cannot extend one of {old}")]
    Shrunk {
        /// Leaves in the older tree.
        old: u64,
        /// Leaves in the newer tree.
        new: u64,
    },
    /// A node of the tree could not be read.
    #[error("a node of the tree could not be read")]
    Read(#[source] E),
}

/// The root of the tree's first `size` leaves.
///
/// # Errors
/// When a node cannot be read.
pub fn root<R: NodeReader + ?Sized>(size: u64, reader: &R) -> Result<Hash, R::Error> {
    range_root(0, size, reader)
}

/// The root of the subtree over leaves `start..end`, where `start` is a multiple of the power of two
/// that is not less than the range (as in every split of RFC 6962); an empty range has [`empty_root`].
///
/// # Errors
/// When a node cannot be read.
pub fn range_root<R: NodeReader + ?Sized>(mut start: u64, end: u64, reader: &R) -> Result<Hash, R::Error> {
    let length = end.saturating_sub(start);
    if length.is_power_of_two() {
        let level = length.ilog2();
        return reader.node(binary_level(level), start >> level);
    }
    let mut pieces = Vec::new();
    while let Some(level) = end.saturating_sub(start).checked_ilog2() {
        pieces.push(reader.node(binary_level(level), start >> level)?);
        start += 1 << level;
    }
    let last = pieces.pop();
    Ok(last.map_or_else(empty_root, |last| pieces.iter().rfold(last, |right, left| node_hash(left, &right))))
}

/// A proof that leaf `index` is in the tree of `size` leaves.
///
/// # Errors
/// When there is no such leaf or a node cannot be read.
pub fn prove_inclusion<R: NodeReader + ?Sized>(
    index: u64,
    size: u64,
    reader: &R,
) -> Result<InclusionProof, ProveError<R::Error>> {
    if index >= size {
        return Err(ProveError::IndexBeyondTree { index, size });
    }
    let read = |start, end| range_root(start, end, reader).map_err(ProveError::Read);
    let (mut start, mut end) = (0, size);
    // One for each level at most.
    let depth = u64::BITS - size.leading_zeros();
    let mut hashes = Vec::with_capacity(usize::try_from(depth).unwrap_or_default());
    while let Some(middle) = split(start, end) {
        if index < middle {
            hashes.push(read(middle, end)?);
            end = middle;
        } else {
            hashes.push(read(start, middle)?);
            start = middle;
        }
    }
    hashes.reverse();
    Ok(InclusionProof { index, size, hashes })
}

/// A proof that the tree of `new` leaves begins with the tree of `old` leaves.
///
/// # Errors
/// When `old` is larger than `new` or a node cannot be read.
pub fn prove_consistency<R: NodeReader + ?Sized>(
    old: u64,
    new: u64,
    reader: &R,
) -> Result<Vec<Hash>, ProveError<R::Error>> {
    if old > new {
        return Err(ProveError::Shrunk { old, new });
    }
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    let read = |start, end| range_root(start, end, reader).map_err(ProveError::Read);
    let (mut start, mut end) = (0, new);
    let mut hashes = Vec::new();
    // Descend along the old tree's right border until a subtree ends exactly there.
    while end != old {
        let Some(middle) = split(start, end) else { break };
        if old <= middle {
            hashes.push(read(middle, end)?);
            end = middle;
        } else {
            hashes.push(read(start, middle)?);
            start = middle;
        }
    }
    // If that subtree is the whole old tree, the verifier knows its root already.
    if start != 0 {
        hashes.push(read(start, end)?);
    }
    hashes.reverse();
    Ok(hashes)
}

/// Where RFC 6962 splits `start..end`: behind the largest power of two less than its length.
/// `None` for a single leaf.
fn split(start: u64, end: u64) -> Option<u64> {
    let below = end.saturating_sub(start).checked_sub(1)?;
    Some(start + (1 << below.checked_ilog2()?))
}

/// A logarithm of a `u64` is at most 63.
fn binary_level(log: u32) -> u8 {
    u8::try_from(log).unwrap_or(u8::MAX)
}
