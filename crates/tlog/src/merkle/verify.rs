//! Checks inclusion and consistency proofs (RFC 9162 §2.1.3.2 and §2.1.4.2).

use super::{Hash, empty_root, node_hash};

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
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
    /// Too few or too many hashes for these sizes.
    #[error("a proof of {found} hashes does not fit these tree sizes")]
    Length {
        /// Hashes in the proof.
        found: usize,
    },
    /// The hashes lead to another root.
    #[error("the proof leads to root {found}, not {expected}")]
    Root {
        /// The root that was to be proven.
        expected: Hash,
        /// The root the proof leads to.
        found: Hash,
    },
    /// The hashes lead to another root of the older tree.
    #[error("the proof leads to old root {found}, not {expected}")]
    OldRoot {
        /// The older root that was to be proven.
        expected: Hash,
        /// The older root the proof leads to.
        found: Hash,
    },
}

/// Checks that the leaf hash stands at `index` under `root`.
///
/// # Errors
/// When the index is beyond the tree, the number of hashes is wrong, or they lead elsewhere.
pub fn verify_inclusion(
    leaf_hash: &Hash,
    index: u64,
    size: u64,
    hashes: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    let found = root_from_inclusion(leaf_hash, index, size, hashes)?;
    if found == *root { Ok(()) } else { Err(ProofError::Root { expected: *root, found }) }
}

/// The root to which this inclusion proof leads.
///
/// # Errors
/// When the index is beyond the tree or the number of hashes is wrong.
pub fn root_from_inclusion(
    leaf_hash: &Hash,
    index: u64,
    size: u64,
    hashes: &[Hash],
) -> Result<Hash, ProofError> {
    if index >= size {
        return Err(ProofError::IndexBeyondTree { index, size });
    }
    let wrong_length = ProofError::Length { found: hashes.len() };
    let mut place = Place { node: index, last: size - 1 };
    let mut root = *leaf_hash;
    for sibling in hashes {
        match place.side().ok_or(wrong_length)? {
            Side::Left => root = node_hash(sibling, &root),
            Side::Right => root = node_hash(&root, sibling),
        }
        place.climb();
    }
    if place.last == 0 { Ok(root) } else { Err(wrong_length) }
}

/// Checks that the tree of `new_size` leaves begins with all leaves of the tree of `old_size`.
///
/// Every tree extends the empty one, by an empty proof; the old root must then be [`empty_root`].
///
/// # Errors
/// When the newer tree is smaller, the number of hashes is wrong, or they lead to other roots.
pub fn verify_consistency(
    old_size: u64,
    old_root: &Hash,
    new_size: u64,
    new_root: &Hash,
    hashes: &[Hash],
) -> Result<(), ProofError> {
    let wrong_length = ProofError::Length { found: hashes.len() };
    if old_size > new_size {
        return Err(ProofError::Shrunk { old: old_size, new: new_size });
    }
    for (size, root) in [(old_size, old_root), (new_size, new_root)] {
        let empty = empty_root();
        if size == 0 && *root != empty {
            return Err(ProofError::Root { expected: empty, found: *root });
        }
    }
    if old_size == 0 || old_size == new_size {
        if !hashes.is_empty() {
            return Err(wrong_length);
        }
        if old_size == new_size && old_root != new_root {
            return Err(ProofError::Root { expected: *old_root, found: *new_root });
        }
        return Ok(());
    }

    // Start at the largest complete subtree that ends where the old tree ends.
    let mut place = Place { node: old_size - 1, last: new_size - 1 };
    let complete = place.node.trailing_ones();
    place.node = place.node.checked_shr(complete).unwrap_or(0);
    place.last = place.last.checked_shr(complete).unwrap_or(0);
    // It is the whole old tree, whose root we know, or it is the proof's first hash.
    let (seed, path) = if old_size.is_power_of_two() {
        (*old_root, hashes)
    } else {
        hashes.split_first().map(|(first, rest)| (*first, rest)).ok_or(wrong_length)?
    };

    let (mut old, mut new) = (seed, seed);
    for sibling in path {
        match place.side().ok_or(wrong_length)? {
            Side::Left => {
                old = node_hash(sibling, &old);
                new = node_hash(sibling, &new);
            }
            Side::Right => new = node_hash(&new, sibling),
        }
        place.climb();
    }
    if place.last != 0 {
        return Err(wrong_length);
    }
    if old != *old_root {
        return Err(ProofError::OldRoot { expected: *old_root, found: old });
    }
    if new != *new_root {
        return Err(ProofError::Root { expected: *new_root, found: new });
    }
    Ok(())
}

/// A node on the way up, and the last node of its level.
struct Place {
    node: u64,
    last: u64,
}

/// On which side of the path the next hash of a proof stands.
enum Side {
    Left,
    Right,
}

impl Place {
    /// Where the sibling stands; none at the root. A last node without a sibling is its own parent,
    /// so it first climbs to where it has one.
    fn side(&mut self) -> Option<Side> {
        if self.last == 0 {
            return None;
        }
        if self.node == self.last {
            let alone = self.node.trailing_zeros();
            self.node >>= alone;
            self.last >>= alone;
        }
        Some(if self.node & 1 == 1 { Side::Left } else { Side::Right })
    }

    fn climb(&mut self) {
        self.node >>= 1;
        self.last >>= 1;
    }
}
