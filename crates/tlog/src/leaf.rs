//! What the log engine must know about a leaf, and the plainest leaf: opaque entry bytes.
//!
//! [`Leaf`] is the whole difference between two logs of one engine. [`EntryLeaf`] is the leaf of
//! C2SP tlog-tiles as Rekor v2 uses it; the certificate leaf is [`crate::ct::CtLeaf`].

use crate::merkle::{self, Hash};
use crate::tile::ENTRIES_DIR;
use crate::wire::{Reader, Short, put_vec16};
use alloc::{string::String, vec::Vec};
use sealog_crypto::sha256;

/// Longest opaque entry: its length prefix has two bytes.
pub const MAX_ENTRY_LEN: usize = 65_535;

/// A kind of leaf.
pub trait Leaf: Send + Sync + 'static {
    /// What is submitted: everything but its place.
    type Pending: Send + Sync + 'static;

    /// Directory of the entry bundles under `tile/`.
    const BUNDLE_DIR: &'static str;

    /// Whether the time of [`place`](Self::place) becomes part of the leaf.
    const TIMED: bool = false;

    /// Two submissions with one key are the same submission.
    fn dedup_key(pending: &Self::Pending) -> [u8; 32];

    /// Gives a submission its place.
    ///
    /// # Errors
    /// When it cannot be encoded there.
    fn place(pending: &Self::Pending, index: u64, time_ms: u64) -> Result<Placed, LeafError>;

    /// Splits the first element off a bundle: its bytes, framing included, and the rest.
    ///
    /// # Errors
    /// When the bundle does not begin with an element.
    fn split_first(bundle: &[u8]) -> Result<(&[u8], &[u8]), LeafError>;

    /// The leaf hash of an element of a bundle.
    ///
    /// # Errors
    /// When it is not exactly one element.
    fn leaf_hash(encoded: &[u8]) -> Result<Hash, LeafError>;

    /// The [`dedup_key`](Self::dedup_key) of the submission that became this element.
    ///
    /// # Errors
    /// When it is not exactly one element.
    fn dedup_key_of(encoded: &[u8]) -> Result<[u8; 32], LeafError>;

    /// The time in an element, in milliseconds since 1970, where leaves have one.
    ///
    /// # Errors
    /// When it is not exactly one element.
    fn time_of(_encoded: &[u8]) -> Result<Option<u64>, LeafError> {
        Ok(None)
    }

    /// What else the log must serve for this submission: paths and contents.
    fn side_objects(pending: &Self::Pending) -> Vec<(String, Vec<u8>)>;

    /// The paths of what else must be served for the submission that became this element, and the SHA-256 of each.
    ///
    /// # Errors
    /// When it is not exactly one element.
    fn side_paths(encoded: &[u8]) -> Result<Vec<(String, [u8; 32])>, LeafError>;
}

/// A submission that has its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// What enters the tree.
    pub leaf_hash: Hash,
    /// Its element of an entry bundle, framing included.
    pub encoded: Vec<u8>,
}

/// Why bytes are no leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// A part is longer than its length prefix can say.
    #[error("{part} of {found} bytes is longer than {limit}")]
    TooLong {
        /// Which part.
        part: &'static str,
        /// The most it may have.
        limit: usize,
        /// What it has.
        found: usize,
    },
    /// The bytes end inside a leaf.
    #[error("the bundle ends inside an entry")]
    Truncated,
    /// There are bytes behind the leaf.
    #[error("{0} bytes follow the entry")]
    Trailing(usize),
    /// The index does not fit its field.
    #[error("leaf index {0} does not fit")]
    Index(u64),
    /// A part says what it must not.
    #[error("the entry is malformed: {0}")]
    Malformed(&'static str),
}

impl From<Short> for LeafError {
    fn from(Short: Short) -> Self {
        Self::Truncated
    }
}

/// Reads a bundle element by element; after an error, which is yielded once, nothing more.
pub fn split<L: Leaf>(bundle: &[u8]) -> impl Iterator<Item = Result<&[u8], LeafError>> {
    let mut rest = bundle;
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let split = L::split_first(rest);
        rest = split.map_or(&[], |(_, after)| after);
        Some(split.map(|(first, _)| first))
    })
}

/// Opaque entry bytes, at most [`MAX_ENTRY_LEN`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryBytes(pub Vec<u8>);

/// Leaf of a log of opaque entries: in a bundle a two-byte length stands before each, and the leaf
/// hash is over the entry alone.
#[derive(Clone, Copy, Debug)]
pub struct EntryLeaf;

impl EntryLeaf {
    /// The entry inside an element of a bundle.
    ///
    /// # Errors
    /// When it is not exactly one element.
    pub fn entry(encoded: &[u8]) -> Result<&[u8], LeafError> {
        let mut reader = Reader(encoded);
        let entry = reader.vec16()?;
        if reader.0.is_empty() { Ok(entry) } else { Err(LeafError::Trailing(reader.0.len())) }
    }
}

impl Leaf for EntryLeaf {
    type Pending = EntryBytes;

    const BUNDLE_DIR: &'static str = ENTRIES_DIR;

    fn dedup_key(pending: &EntryBytes) -> [u8; 32] {
        sha256(&pending.0)
    }

    fn place(pending: &EntryBytes, _index: u64, _time_ms: u64) -> Result<Placed, LeafError> {
        let mut encoded = Vec::with_capacity(2 + pending.0.len());
        let too_long = LeafError::TooLong { part: "an entry", limit: MAX_ENTRY_LEN, found: pending.0.len() };
        put_vec16(&mut encoded, &pending.0).ok_or(too_long)?;
        Ok(Placed { leaf_hash: merkle::leaf_hash(&pending.0), encoded })
    }

    fn split_first(bundle: &[u8]) -> Result<(&[u8], &[u8]), LeafError> {
        let entry = Reader(bundle).vec16()?;
        bundle.split_at_checked(2 + entry.len()).ok_or(LeafError::Truncated)
    }

    fn leaf_hash(encoded: &[u8]) -> Result<Hash, LeafError> {
        Self::entry(encoded).map(merkle::leaf_hash)
    }

    fn dedup_key_of(encoded: &[u8]) -> Result<[u8; 32], LeafError> {
        Self::entry(encoded).map(sha256)
    }

    fn side_objects(_pending: &EntryBytes) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }

    fn side_paths(encoded: &[u8]) -> Result<Vec<(String, [u8; 32])>, LeafError> {
        Self::entry(encoded).map(|_| Vec::new())
    }
}

#[cfg(test)]
mod tests;
