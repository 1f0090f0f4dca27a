//! A log in a bucket, as those see it who do not run it: its public objects, and who has it.
//!
//! Nothing is verified here, and nothing is remembered.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use sealog_tlog::Leaf;
use sealog_tlog::Tile;
use sealog_tlog::tile::{CHECKPOINT_PATH, EntryBundle, Resource, TILE_HEIGHT, TILE_WIDTH};

use super::head::Head;
use super::objects::BucketObjects;
use super::{Bucket, HEAD};
use crate::error::ReadError;
use crate::view::{LeafKind, Store, is_side_object};

const HASH_LEN: usize = 32;

/// The sequencer that has a log.
#[derive(Clone, PartialEq, Eq)]
pub struct SequencerAt {
    /// Greater with every sequencer that took the log.
    pub epoch: u64,
    /// Where it can be asked; may be empty.
    pub url: String,
    /// What it wants to be shown.
    pub token: String,
}

impl std::fmt::Debug for SequencerAt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { epoch, url, .. } = self;
        f.debug_struct("SequencerAt").field("epoch", epoch).field("url", url).finish_non_exhaustive()
    }
}

/// Reads a log in a bucket. Calls block.
pub struct Reader {
    bucket: Arc<dyn Bucket>,
    store: Store,
}

impl Reader {
    /// Of the log of this kind of leaf in a bucket.
    #[must_use]
    pub fn of<L: Leaf>(bucket: Arc<dyn Bucket>) -> Self {
        let objects = Arc::new(BucketObjects::new(Arc::clone(&bucket)));
        Self { bucket, store: Store::new(objects, LeafKind::of::<L>()) }
    }

    /// Who has the log, if anybody.
    ///
    /// # Errors
    /// When the store cannot be asked, or there is no log in it.
    pub fn sequencer(&self) -> Result<Option<SequencerAt>, ReadError> {
        let Head { epoch, holder, .. } = self.head()?;
        Ok(holder.map(|holder| SequencerAt { epoch, url: holder.at, token: holder.token }))
    }

    /// Whether everything that was committed until now can be read here.
    ///
    /// # Errors
    /// When the store cannot be asked, or there is no log in it.
    pub fn all_is_published(&self) -> Result<bool, ReadError> {
        Ok(self.head()?.segments.is_empty())
    }

    fn head(&self) -> Result<Head, ReadError> {
        let path = || PathBuf::from(format!("{}/{HEAD}", self.bucket.name()));
        let object = self.bucket.get(HEAD).map_err(|source| ReadError::Io { path: path(), source })?;
        let head = object.and_then(|object| Head::parse(&object.bytes).ok());
        head.ok_or_else(|| ReadError::Damaged { path: path() })
    }

    /// Whether a log can have anything under this path.
    #[must_use]
    pub fn is_path(&self, path: &str) -> bool {
        path == CHECKPOINT_PATH
            || Resource::parse(path, self.store.kind().bundle_dir).is_ok()
            || is_side_object(path)
    }

    /// What is published under `path`: `checkpoint`, `tile/…`, or a side object. A partial tile or bundle that was
    /// removed is cut from the full one.
    ///
    /// # Errors
    /// When the store cannot be asked, or has something else there.
    pub fn read(&self, path: &str) -> Result<Option<Bytes>, ReadError> {
        self.read_at(path, 0)
    }

    /// The same under a published checkpoint of so many entries: whatever an earlier one promised is cut from what this one
    /// has, also if it was never published itself.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_at(&self, path: &str, size: u64) -> Result<Option<Bytes>, ReadError> {
        if !self.is_path(path) {
            return Ok(None);
        }
        if let Some(bytes) = self.store.kept(path)? {
            return Ok(Some(bytes));
        }
        let dir = self.store.kind().bundle_dir;
        match Resource::parse(path, dir) {
            Ok(Resource::Tile(tile)) if !tile.is_full() => {
                let newest = width_at(size, tile.level(), tile.index(), tile.width());
                let newest = newest.and_then(|width| Tile::new(tile.level(), tile.index(), width).ok());
                let wider = filled_meanwhile(tile.full(), newest).map(|tile| tile.path());
                self.cut(wider, |bytes| bytes.get(..usize::from(tile.width()) * HASH_LEN))
            }
            Ok(Resource::Bundle(bundle)) if !bundle.is_full() => {
                let newest = width_at(size, 0, bundle.index(), bundle.width());
                let newest = newest.and_then(|width| EntryBundle::new(bundle.index(), width).ok());
                let wider = filled_meanwhile(bundle.full(), newest).map(|bundle| bundle.path(dir));
                self.cut(wider, |bytes| {
                    let last = self.store.element(bytes, bundle.width().saturating_sub(1));
                    last.and_then(|(_, end)| bytes.get(..end))
                })
            }
            _ => Ok(None),
        }
    }

    /// The first part of the first of these that is there.
    fn cut(
        &self,
        wider: impl Iterator<Item = String>,
        part: impl for<'a> Fn(&'a Bytes) -> Option<&'a [u8]>,
    ) -> Result<Option<Bytes>, ReadError> {
        for path in wider {
            if let Some(bytes) = self.store.kept(&path)? {
                let damaged = || ReadError::Damaged { path: self.store.path_of(&path) };
                return part(&bytes).map(|part| Some(bytes.slice_ref(part))).ok_or_else(damaged);
            }
        }
        Ok(None)
    }
}

/// The full one, the newest partial one, and the full one again: it may be filled between, and the partial one goes then.
fn filled_meanwhile<T: Copy>(full: T, newest: Option<T>) -> impl Iterator<Item = T> {
    std::iter::once(full).chain(newest.into_iter().flat_map(move |newest| [newest, full]))
}

/// How wide the tile or bundle of this place is in a tree of so many entries, if it is wider than that.
fn width_at(size: u64, level: u8, index: u64, width: u16) -> Option<u16> {
    let nodes = size.checked_shr(u32::from(TILE_HEIGHT) * u32::from(level)).unwrap_or_default();
    let here = nodes.saturating_sub(index.saturating_mul(u64::from(TILE_WIDTH))).min(u64::from(TILE_WIDTH));
    u16::try_from(here).ok().filter(|here| *here > width)
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Reader").field(&self.bucket.name()).finish()
    }
}
