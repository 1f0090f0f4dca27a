//! Where an entry was logged before: from a short tag of its dedup key to the leaves that may be it.
//!
//! The index is small and only nearly exact on purpose; a candidate counts when the entry read from its bundle has the
//! whole key. It is derived data: written behind the log, complete up to a watermark, and rebuilt where it is behind,
//! lost, or of another tree (the watermark carries the root hash there).

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use sealog_tlog::Hash;

use crate::files::passes;

/// Leading bytes of the dedup key that are kept.
const TAG_LEN: usize = 8;

/// Not as long as a tag, so never mistaken for one.
const WATERMARK: &[u8] = b"complete-to";

const CACHE_BYTES: u64 = 8 << 20;
const MEMTABLE_BYTES: u64 = 8 << 20;

type Tag = [u8; TAG_LEN];

/// An entry's dedup key and its leaf index.
pub(crate) type Keyed = ([u8; 32], u64);

pub(crate) struct Index {
    database: Database,
    tags: Keyspace,
    complete_to: AtomicU64,
}

impl Index {
    /// Opens the index in `dir`; it starts anew when it cannot be read or `belongs` denies the tree its watermark names.
    pub(crate) fn open<E>(
        dir: &Path,
        belongs: impl FnOnce(u64, &Hash) -> Result<bool, E>,
    ) -> Result<Self, OpenIndexError<E>> {
        let opened = Self::open_any(dir).and_then(|index| Ok((index.watermark()?, index)));
        match opened {
            Ok((None, index)) => return Ok(index),
            Ok((Some((size, root)), mut index)) => {
                if belongs(size, &root).map_err(OpenIndexError::Belongs)? {
                    index.complete_to = AtomicU64::new(size);
                    return Ok(index);
                }
                tracing::warn!(size, "the duplicate index is of another tree; it is rebuilt");
            }
            Err(error) if passes(&error) => return Err(error.into()),
            Err(error) => tracing::warn!(%error, "the duplicate index cannot be read; it is rebuilt"),
        }
        fs::remove_dir_all(dir)?;
        Ok(Self::open_any(dir)?)
    }

    fn open_any(dir: &Path) -> io::Result<Self> {
        let database =
            Database::builder(dir).cache_size(CACHE_BYTES).worker_threads(1).open().map_err(to_io)?;
        let tags = database
            .keyspace("tags", || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES))
            .map_err(to_io)?;
        Ok(Self { database, tags, complete_to: AtomicU64::new(0) })
    }

    /// Every leaf below this is in the index.
    pub(crate) fn complete_to(&self) -> u64 {
        self.complete_to.load(Ordering::Acquire)
    }

    /// Leaves that may hold the entry of this key, oldest first.
    pub(crate) fn candidates(&self, key: &[u8; 32]) -> io::Result<Vec<u64>> {
        let found = self.tags.get(tag(key)).map_err(to_io)?;
        Ok(found.map(|value| leaves(&value).collect()).unwrap_or_default())
    }

    /// Adds entries in order and moves the watermark, all or nothing.
    pub(crate) fn add(&self, entries: &[Keyed], size: u64, root: &Hash) -> io::Result<()> {
        // Two entries of one tag in one batch must both be found again.
        let mut values: HashMap<Tag, Vec<u8>> = HashMap::with_capacity(entries.len());
        for (key, leaf) in entries {
            let tag = tag(key);
            let value = match values.entry(tag) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => {
                    let stored = self.tags.get(tag).map_err(to_io)?;
                    new.insert(stored.map(|value| value.to_vec()).unwrap_or_default())
                }
            };
            // After a crash the same leaf may come again.
            if !leaves(value).any(|known| known == *leaf) {
                value.extend_from_slice(&leaf.to_be_bytes());
            }
        }
        let mut batch = self.database.batch();
        for (tag, value) in values {
            batch.insert(&self.tags, tag, value);
        }
        let mut watermark = size.to_be_bytes().to_vec();
        watermark.extend_from_slice(root.as_ref());
        batch.insert(&self.tags, WATERMARK, watermark);
        batch.commit().map_err(to_io)?;
        self.complete_to.store(size, Ordering::Release);
        Ok(())
    }

    /// Makes what was added durable. Without it a power cut only means more to replay.
    pub(crate) fn persist(&self) -> io::Result<()> {
        self.database.persist(PersistMode::SyncAll).map_err(to_io)
    }

    fn watermark(&self) -> io::Result<Option<(u64, Hash)>> {
        let Some(value) = self.tags.get(WATERMARK).map_err(to_io)? else { return Ok(None) };
        let parsed = value
            .split_first_chunk::<8>()
            .and_then(|(size, root)| Some((u64::from_be_bytes(*size), Hash(root.try_into().ok()?))));
        // An unreadable watermark is one that belongs to no tree.
        Ok(Some(parsed.unwrap_or((u64::MAX, Hash([0; 32])))))
    }
}

/// Why the index could not be opened.
#[derive(Debug)]
pub(crate) enum OpenIndexError<E> {
    Io(io::Error),
    Belongs(E),
}

impl<E> From<io::Error> for OpenIndexError<E> {
    fn from(source: io::Error) -> Self {
        Self::Io(source)
    }
}

fn tag(key: &[u8; 32]) -> Tag {
    let [a, b, c, d, e, f, g, h, ..] = *key;
    [a, b, c, d, e, f, g, h]
}

fn leaves(value: &[u8]) -> impl Iterator<Item = u64> + '_ {
    value.as_chunks::<8>().0.iter().map(|leaf| u64::from_be_bytes(*leaf))
}

fn to_io(error: fjall::Error) -> io::Error {
    match error {
        fjall::Error::Io(source) => source,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> Index {
        Index::open(dir, |_, root| Ok::<_, ()>(*root == Hash([7; 32]))).unwrap()
    }

    #[test]
    fn finds_every_leaf_of_a_tag_also_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let (mut one, mut same_tag) = ([1; 32], [1; 32]);
        one[31] = 0;
        same_tag[31] = 9;
        let index = open(dir.path());
        assert_eq!(index.complete_to(), 0);
        index.add(&[(one, 0), ([2; 32], 1), (same_tag, 2)], 3, &Hash([7; 32])).unwrap();
        index.add(&[(one, 3), (one, 0)], 4, &Hash([7; 32])).unwrap();
        index.persist().unwrap();
        drop(index);
        let index = open(dir.path());
        assert_eq!(index.complete_to(), 4);
        assert_eq!(index.candidates(&one).unwrap(), [0, 2, 3]);
        assert_eq!(index.candidates(&[2; 32]).unwrap(), [1]);
        assert!(index.candidates(&[3; 32]).unwrap().is_empty());
    }

    #[test]
    fn an_unreadable_index_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let index = open(dir.path());
        index.add(&[([2; 32], 0)], 1, &Hash([7; 32])).unwrap();
        drop(index);
        fs::write(dir.path().join("version"), b"junk").unwrap();
        let index = open(dir.path());
        assert_eq!(index.complete_to(), 0);
        index.add(&[([2; 32], 0)], 1, &Hash([7; 32])).unwrap();
    }

    #[test]
    fn an_index_of_another_tree_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let index = open(dir.path());
        index.add(&[([2; 32], 0)], 1, &Hash([8; 32])).unwrap();
        drop(index);
        let index = open(dir.path());
        assert_eq!(index.complete_to(), 0);
        assert!(index.candidates(&[2; 32]).unwrap().is_empty());
    }
}
