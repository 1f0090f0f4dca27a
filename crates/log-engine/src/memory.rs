//! What a log's key remembers on this machine: files beside it, which belong to the key and not to the log's directory.
//!
//! | file | what |
//! |---|---|
//! | `NAME.seen` | the newest checkpoint that the key has signed; at most half a second old while the log runs |
//! | `NAME.running` | there while the key may have signed more than `NAME.seen` says: a process signs, or was killed |
//! | `NAME.lock` | held while a process signs with the key, or puts its log elsewhere |
//!
//! The mark stands before the first signature leaves the process, and goes at an orderly end, once `NAME.seen` is exact. Of
//! a log in a bucket it never goes: another machine may take the log at any moment, and what it signs is not remembered here.
//!
//! Whoever opens a log asks nothing of the mark: the log itself has all that was signed. Whoever brings an older state of it
//! back (`transfer`) has only this memory, and must not believe it while the mark stands.

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sealog_tlog::SignedCheckpoint;

use crate::disk::Disk;
use crate::error::{IoContext, OpenError};
use crate::files;
use crate::storage::Storage;

const RUNNING: &str = "running in ";
const SHARED: &str = "shared in ";

/// Where a log is that the key may have signed more of than is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The directory or bucket.
    pub(crate) place: PathBuf,
    /// Other machines may have it.
    pub(crate) shared: bool,
}

impl Mark {
    /// That of a log which is to be signed in this place.
    pub(crate) fn of(storage: &dyn Storage) -> Self {
        Self { place: storage.place(), shared: storage.is_shared() }
    }

    fn encode(&self) -> String {
        format!("{}{}\n", if self.shared { SHARED } else { RUNNING }, self.place.display())
    }

    /// A mark that cannot be read is one all the same.
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end_matches('\n');
        match (text.strip_prefix(SHARED), text.strip_prefix(RUNNING)) {
            (Some(place), _) => Self { place: place.into(), shared: true },
            (None, place) => Self { place: place.unwrap_or(text).into(), shared: false },
        }
    }
}

/// Where the mark is, for the checkpoint that is remembered here.
pub(crate) fn mark_path(first_seen: &Path) -> PathBuf {
    first_seen.with_extension("running")
}

/// The mark, if it stands.
pub(crate) fn mark(disk: &dyn Disk, first_seen: &Path) -> Result<Option<Mark>, OpenError> {
    let path = mark_path(first_seen);
    let read = files::read_if_there(disk, &path).at("read", &path)?;
    Ok(read.map(|bytes| Mark::parse(&bytes)))
}

/// Sets the mark, unless just this one stands.
pub(crate) fn set_mark(disk: &dyn Disk, first_seen: &Path, wanted: &Mark) -> Result<(), OpenError> {
    let path = mark_path(first_seen);
    if mark(disk, first_seen)?.as_ref() == Some(wanted) {
        return name_is_durable(disk, &path).at("sync the directory of", &path);
    }
    files::write_durable(disk, &path, wanted.encode().as_bytes()).at("write", &path)
}

/// Removes the mark. It may come back in a power cut, which harms nobody.
pub(crate) fn clear_mark(disk: &dyn Disk, first_seen: &Path) -> io::Result<()> {
    match disk.remove_file(&mark_path(first_seen)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// What is remembered, if anything.
pub(crate) fn read(disk: &dyn Disk, first_seen: &Path) -> Result<Option<Bytes>, OpenError> {
    let read = files::read_if_there(disk, first_seen).at("read", first_seen)?;
    Ok(read.map(Bytes::from))
}

/// Remembers a checkpoint of the log, durably; never in place of a larger one, which another process wrote meanwhile.
///
/// # Errors
/// When it cannot be written, or another tree of the same size is remembered.
pub(crate) fn remember(disk: &dyn Disk, first_seen: &Path, checkpoint: &[u8]) -> io::Result<()> {
    if let Some(there) = files::read_if_there(disk, first_seen)? {
        if there == checkpoint {
            return name_is_durable(disk, first_seen);
        }
        let parse = |bytes: &[u8]| SignedCheckpoint::parse(bytes).ok().map(|signed| signed.checkpoint);
        if let (Some(there), Some(new)) = (parse(&there), parse(checkpoint))
            && there.origin == new.origin
        {
            if there.size > new.size {
                return Ok(());
            }
            if there.size == new.size && there.root != new.root {
                let words = format!("another tree of {} entries is remembered there", there.size);
                return Err(io::Error::other(words));
            }
        }
    }
    files::write_durable(disk, first_seen, checkpoint)
}

/// A process that was killed may have put the file there, and no power cut must take it back.
fn name_is_durable(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.sync_dir(files::parent(path)?)
}

/// The directory of the memory. A process that was killed may have made it, and its name may not be durable.
fn ensure_dir(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    files::ensure_dir(disk, dir)?;
    match disk.sync_dir(files::parent(dir)?) {
        // Where we may not even look, we have made nothing.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

/// A process that signs with a key, for as long as this lives.
pub(crate) struct Signing {
    disk: Arc<dyn Disk>,
    first_seen: PathBuf,
    shared: bool,
    lock: Mutex<Option<Box<dyn Any + Send + Sync>>>,
}

impl Signing {
    /// Keeps other processes of this machine from signing with the key, wherever the log that they have is. In one bucket
    /// its head decides between them, so there they may wait for each other.
    pub(crate) fn begin(disk: Arc<dyn Disk>, first_seen: &Path, place: &Mark) -> Result<Self, OpenError> {
        let dir = files::parent(first_seen).at("find the directory of", first_seen)?;
        ensure_dir(disk.as_ref(), dir).at("create the directory", dir)?;
        let path = first_seen.with_extension("lock");
        let lock = disk.lock(&path).at("lock", &path)?;
        if lock.is_none() {
            match mark(disk.as_ref(), first_seen)? {
                Some(other) if place.shared && other == *place => {}
                // It is just beginning, or ending; in which place is not known yet.
                None if place.shared => {
                    return Err(OpenError::Held { place: place.place.clone(), by: String::new() });
                }
                other => {
                    let place = other.map(|mark| mark.place).unwrap_or_default();
                    return Err(OpenError::KeyInUse { path, place });
                }
            }
        }
        Ok(Self { disk, first_seen: first_seen.to_owned(), shared: place.shared, lock: Mutex::new(lock) })
    }

    /// Remembers a checkpoint as [`remember`] does. And whoever began in a bucket while another process of this machine was
    /// ending has the lock from the moment on that the other one is gone.
    ///
    /// # Errors
    /// As [`remember`].
    pub(crate) fn remember(&self, checkpoint: &[u8]) -> io::Result<()> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            *lock = self.disk.lock(&self.first_seen.with_extension("lock"))?;
        }
        drop(lock);
        remember(self.disk.as_ref(), &self.first_seen, checkpoint)
    }

    /// The log has ended in order with this checkpoint: where nobody else signs, the memory is exact now.
    pub(crate) fn ended(&self, checkpoint: &[u8]) -> io::Result<()> {
        let exact = || -> io::Result<bool> {
            let there = files::read_if_there(self.disk.as_ref(), &self.first_seen)?;
            Ok(there.as_deref() == Some(checkpoint))
        };
        if self.shared || !exact()? {
            return Ok(());
        }
        clear_mark(self.disk.as_ref(), &self.first_seen)
    }
}

#[cfg(test)]
mod tests;
