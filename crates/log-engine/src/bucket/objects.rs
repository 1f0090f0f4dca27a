//! What readers see of a log in a bucket: objects under `public/`.
//!
//! Tiles and bundles are the same bytes whoever writes them, so they are simply written. `checkpoint` is not: a sequencer
//! that was paused and has lost the log meanwhile must not put its old one over a newer, so it is swapped.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sealog_tlog::SignedCheckpoint;
use sealog_tlog::tile::CHECKPOINT_PATH;

use super::{Bucket, Version, swap};
use crate::storage::{CommitError, Objects};
use crate::tree::FullFile;

const PUBLIC: &str = "public/";

pub(crate) struct BucketObjects {
    bucket: Arc<dyn Bucket>,
    /// As the checkpoint was last seen; outer `None`: not yet.
    checkpoint: Mutex<Option<Option<Version>>>,
    partials: Mutex<Partials>,
}

/// Partial tiles and bundles that are to go once they are full.
#[derive(Default)]
struct Partials {
    /// Keys that this process has begun to write, by the path of the full one, and whether they are there for certain.
    own: BTreeMap<String, BTreeMap<String, bool>>,
    /// Rows (`tile/0`, `tile/entries`) whose first tile to become full here is done: what comes behind it no earlier
    /// process has begun.
    swept: BTreeSet<String>,
}

impl BucketObjects {
    pub(crate) fn new(bucket: Arc<dyn Bucket>) -> Self {
        Self { bucket, checkpoint: Mutex::default(), partials: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Partials> {
        self.partials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is it an earlier state of the log that `new` is a checkpoint of?
    fn is_earlier(found: &[u8], new: &[u8]) -> bool {
        match (SignedCheckpoint::parse(found), SignedCheckpoint::parse(new)) {
            (Ok(found), Ok(new)) => {
                let (found, new) = (found.checkpoint, new.checkpoint);
                found.origin == new.origin && found.size <= new.size
            }
            _ => false,
        }
    }
}

fn key(path: &str) -> String {
    format!("{PUBLIC}{path}")
}

/// `tile/0/000` of `tile/0/000.p/7`.
fn full_of(path: &str) -> Option<&str> {
    path.rsplit_once(".p/").map(|(full, _)| full)
}

impl Objects for BucketObjects {
    fn are_far(&self) -> bool {
        true
    }

    fn read(&self, path: &str) -> io::Result<Option<Bytes>> {
        Ok(self.bucket.get(&key(path))?.map(|object| object.bytes))
    }

    fn read_many(&self, paths: &[String]) -> io::Result<Vec<Option<Bytes>>> {
        let keys: Vec<_> = paths.iter().map(|path| key(path)).collect();
        self.bucket.get_many(&keys)
    }

    fn is_there(&self, path: &str) -> io::Result<bool> {
        self.bucket.is_there(&key(path))
    }

    /// A partial that is there already is not written again: those of the upper levels stay as they are through many
    /// publications, and each write is paid for.
    fn write(&self, files: &[FullFile]) -> io::Result<()> {
        let mut objects = Vec::with_capacity(files.len());
        // Noted first: one that may have been written must be found again when it is to go.
        let mut partials = self.lock();
        for file in files {
            let key = key(&file.path);
            let is_there = full_of(&file.path).is_some_and(|full| {
                *partials.own.entry(full.to_owned()).or_default().entry(key.clone()).or_default()
            });
            if !is_there {
                objects.push((key, file.bytes.clone()));
            }
        }
        drop(partials);
        self.bucket.put_many(&objects)?;
        let mut partials = self.lock();
        for file in files {
            if let Some(own) = full_of(&file.path).and_then(|full| partials.own.get_mut(full)) {
                own.insert(key(&file.path), true);
            }
        }
        Ok(())
    }

    /// Lists only the first of each row, which an earlier process may have begun: a list costs as much as a write.
    fn drop_partials(&self, full: &[FullFile]) -> io::Result<()> {
        let (mut keys, mut rows) = (BTreeSet::new(), BTreeSet::new());
        for file in full {
            let row = file.path.split('/').take(2).collect::<Vec<_>>().join("/");
            let mut partials = self.lock();
            keys.extend(partials.own.remove(&file.path).unwrap_or_default().into_keys());
            let first = !partials.swept.contains(&row) && !rows.contains(&row);
            drop(partials);
            if first {
                keys.extend(self.bucket.list(&format!("{}.p/", key(&file.path)))?);
            }
            rows.insert(row);
        }
        if !keys.is_empty() {
            self.bucket.delete_many(&keys.into_iter().collect::<Vec<_>>())?;
        }
        self.lock().swept.append(&mut rows);
        Ok(())
    }

    fn publish_checkpoint(&self, bytes: &Bytes) -> Result<(), CommitError> {
        let key = key(CHECKPOINT_PATH);
        let mut seen = self.checkpoint.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..4 {
            let state = match seen.as_ref() {
                Some(state) => state.clone(),
                None => match self.bucket.get(&key).map_err(CommitError::Refused)? {
                    Some(object) if object.bytes == *bytes => {
                        *seen = Some(Some(object.version));
                        return Ok(());
                    }
                    Some(object) if !Self::is_earlier(&object.bytes, bytes) => {
                        return Err(CommitError::Superseded);
                    }
                    object => object.map(|object| object.version),
                },
            };
            match swap(self.bucket.as_ref(), &key, bytes, state.as_ref()) {
                Ok(version) => {
                    *seen = Some(Some(version));
                    return Ok(());
                }
                // Perhaps by a predecessor that was late; then it is older, and stays behind.
                Err(CommitError::Superseded) => *seen = None,
                // Whatever became of it, it is a checkpoint of a committed tree: to be published again later.
                Err(CommitError::Refused(error) | CommitError::Unknown(error)) => {
                    *seen = None;
                    return Err(CommitError::Refused(error));
                }
            }
        }
        Err(CommitError::Superseded)
    }

    /// A store that does not answer is asked again; only the commit decides about more.
    fn passes(&self, _: &io::Error) -> bool {
        true
    }

    fn name(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("{}/{PUBLIC}{path}", self.bucket.name()))
    }
}
