//! A log looked at from within, while nobody runs it: its records or head, and what is remembered of it elsewhere.
//!
//! The records are replayed as at a start, and compared with the published files and with the checkpoint beside the key;
//! every checkpoint that is met must be signed by the log's key. Nothing is changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sealog_tlog::Leaf;
use sealog_tlog::note::KeyVerifier;

use crate::bucket::{Bucket, InBucket, Local};
use crate::directory::Directory;
use crate::disk::{Disk, RealDisk};
use crate::error::{Evidence, OpenError};
use crate::memory;
use crate::place::{BucketPlace, Place};
use crate::reading::{Kept, PublicFiles, verify_checkpoint};
use crate::recovery::{ReadBack, damaged_record, read_back};
use crate::settings::Settings;
use crate::storage::{Begun, Commit, Objects, Storage, Torn, Visit};
use crate::view::{LeafKind, Store, View};

/// Whose log it is.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// Its key; its name is the log's origin.
    pub key: &'a KeyVerifier,
    /// Where the newest checkpoint that the key signed is remembered.
    pub first_seen: &'a Path,
}

/// A log that was looked at, kept from others for as long as this lives (in a directory; a bucket has no such lock).
pub struct Inspected {
    /// Everything committed.
    pub view: Arc<View>,
    /// Whether the published checkpoint is the newest committed one.
    pub all_published: bool,
    /// Entries of the published checkpoint.
    pub published: Option<u64>,
    /// Entries of the checkpoint beside the key.
    pub remembered: Option<u64>,
    /// Why nothing may be appended to it any more, if that was said.
    pub closed: Option<String>,
    /// Where the records are.
    pub name: PathBuf,
    pub(crate) time_ms: u64,
    pub(crate) storage: Box<dyn Storage>,
}

impl Inspected {
    /// Everything committed must be published: a copy, and a log that is frozen, has what is published.
    pub(crate) fn refuse_unpublished(&self) -> Result<(), OpenError> {
        if self.all_published {
            return Ok(());
        }
        let (committed, published) = (self.view.size(), self.published.unwrap_or_default());
        Err(OpenError::Unpublished { place: self.name.clone(), committed, published })
    }
}

/// Looks at the log of this place. With `with_memory`, also at what is remembered beside the key.
///
/// # Errors
/// [`OpenError::Locked`] or [`OpenError::Held`] while somebody runs it; for the rest see [`OpenError`].
pub fn inspect<L: Leaf>(
    place: &Place,
    identity: &Identity<'_>,
    with_memory: bool,
) -> Result<Inspected, OpenError> {
    let settings = settings(identity, with_memory);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let inner: Box<dyn Storage> = match place {
        Place::Directory(dir) => Box::new(Directory::open(disk, dir, settings.segment_bytes)?),
        Place::Bucket(BucketPlace { bucket, local, .. }) => {
            let local = Local::look(disk, local)?;
            Box::new(InBucket::look(Arc::clone(bucket), local, settings.lease)?)
        }
    };
    let mut storage = Verifying { inner, key: identity.key.clone() };
    let store = Arc::new(Store::new(storage.objects(), LeafKind::of::<L>()));
    let read = read_back::<L>(&mut storage, &store, &settings);
    let ReadBack { view, last_time_ms: time_ms, .. } = read.map_err(|error| damaged_end(error, &storage))?;
    if let Some(torn) = storage.torn().filter(|torn| torn.followed) {
        return Err(damaged_record(torn, "there are later ones"));
    }

    let name = storage.name();
    let size_at = |path: &Path, bytes: Option<Bytes>| match bytes {
        Some(bytes) => verify(&bytes, path, identity.key).map(Some),
        None => Ok(None),
    };
    let path = store.path_of(sealog_tlog::tile::CHECKPOINT_PATH);
    let checkpoint = store.kept(sealog_tlog::tile::CHECKPOINT_PATH).map_err(crate::recovery::from_read)?;
    let all_published = checkpoint.as_ref() == Some(view.checkpoint());
    let published = size_at(&path, checkpoint)?;
    let seen = match with_memory {
        true => memory::read(&RealDisk, &settings.first_seen)?,
        false => None,
    };
    let remembered = size_at(&settings.first_seen, seen)?;
    let closed = storage.closed()?.map(|(_, words)| words);
    Ok(Inspected {
        view,
        all_published,
        published,
        remembered,
        closed,
        name,
        time_ms,
        storage: storage.inner,
    })
}

fn settings(identity: &Identity<'_>, memory: bool) -> Settings {
    use sealog_tlog::NoteVerifier as _;
    let seen = match memory {
        true => identity.first_seen.to_owned(),
        false => PathBuf::new(),
    };
    Settings::new(identity.key.name(), Vec::new(), Arc::new(|| 0), seen)
}

/// Bytes behind the last record are those of a batch that nobody was told of, unless more is known to be committed: then
/// they were a record.
fn damaged_end(error: OpenError, storage: &Verifying) -> OpenError {
    match (error, storage.torn()) {
        (
            OpenError::Disagreement {
                evidence: Evidence::Published | Evidence::FirstSeen | Evidence::Tile,
                expected,
                ..
            },
            Some(torn),
        ) => damaged_record(torn, &expected),
        (error, _) => error,
    }
}

/// The checkpoint's size, if the key has signed it.
fn verify(bytes: &[u8], path: &Path, key: &KeyVerifier) -> Result<u64, OpenError> {
    let signed = verify_checkpoint(bytes, "", Some(key)).map_err(|error| {
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        OpenError::Disagreement {
            path: path.to_owned(),
            evidence: Evidence::Checkpoint,
            expected: "one signed by the log's key".to_owned(),
            found: cause,
        }
    })?;
    Ok(signed.checkpoint.size)
}

/// A log's place that shows no record whose checkpoint the log's key has not signed.
struct Verifying {
    inner: Box<dyn Storage>,
    key: KeyVerifier,
}

impl Storage for Verifying {
    fn objects(&self) -> Arc<dyn Objects> {
        self.inner.objects()
    }

    fn disk(&self) -> Arc<dyn Disk> {
        self.inner.disk()
    }

    fn index(&self) -> PathBuf {
        self.inner.index()
    }

    fn name(&self) -> PathBuf {
        self.inner.name()
    }

    fn place(&self) -> PathBuf {
        self.inner.place()
    }

    fn is_shared(&self) -> bool {
        self.inner.is_shared()
    }

    fn closed(&self) -> Result<Option<(PathBuf, String)>, OpenError> {
        self.inner.closed()
    }

    fn close(&self, words: &str) -> Result<(), OpenError> {
        self.inner.close(words)
    }

    fn reopen(&self, words: &str) -> Result<(), OpenError> {
        self.inner.reopen(words)
    }

    fn found(&mut self, first: &Commit<'_>) -> Result<(), OpenError> {
        self.inner.found(first)
    }

    fn scan(&mut self, visit: &mut Visit<'_>) -> Result<(), OpenError> {
        let (key, name) = (&self.key, self.inner.name());
        self.inner.scan(&mut |record| {
            verify(record.checkpoint, &name, key)?;
            visit(record)
        })
    }

    fn torn(&self) -> Option<Torn> {
        self.inner.torn()
    }

    fn take(&mut self) -> Result<(), OpenError> {
        self.inner.take()
    }

    fn begin(self: Box<Self>) -> Result<Begun, OpenError> {
        self.inner.begin()
    }
}

/// The public files of a place, whoever runs it.
#[must_use]
pub fn public_files(place: &Place) -> Box<dyn PublicFiles + Send> {
    let objects: Arc<dyn Objects> = match place {
        Place::Directory(dir) => crate::directory::public_files(dir),
        Place::Bucket(BucketPlace { bucket, .. }) => bucket_objects(bucket),
    };
    Box::new(Kept(objects))
}

fn bucket_objects(bucket: &Arc<dyn Bucket>) -> Arc<dyn Objects> {
    Arc::new(crate::bucket::BucketObjects::new(Arc::clone(bucket)))
}
