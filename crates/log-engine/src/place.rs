//! Where a log is kept, as its owner says it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::bucket::{Bucket, InBucket, Local};
use crate::directory::Directory;
use crate::disk::{Disk, RealDisk};
use crate::error::OpenError;
use crate::layout::Layout;
use crate::memory::Mark;
use crate::settings::Settings;
use crate::storage::Storage;

/// A place for one log.
#[derive(Clone)]
pub enum Place {
    /// A directory of this machine.
    Directory(PathBuf),
    /// An object store, and whoever runs the sequencer.
    Bucket(BucketPlace),
}

/// A log in a bucket.
#[derive(Clone)]
pub struct BucketPlace {
    /// The part of an object store that is the log's alone.
    pub bucket: Arc<dyn Bucket>,
    /// A directory of this machine for what may be lost: the index, and by which name this sequencer is known.
    pub local: PathBuf,
    /// Where this sequencer can be asked, for front ends; may be empty.
    pub at: String,
    /// What front ends must show to be heard there; it is kept where only they can read it.
    pub token: String,
    /// Wait while another sequencer has the log, and take it when that one no longer shows itself; else it is refused.
    pub stand_by: bool,
    /// Set, it ends the waiting: the log is then said to be held.
    pub given_up: Arc<AtomicBool>,
}

impl BucketPlace {
    fn local(&self) -> Result<Local, OpenError> {
        let mut local = Local::open(Arc::new(RealDisk), &self.local, self.at.clone())?;
        local.token.clone_from(&self.token);
        local.given_up = Arc::clone(&self.given_up);
        Ok(local)
    }
}

impl Place {
    /// Whether there is a (completely created) log.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub fn has_log(&self) -> std::io::Result<bool> {
        match self {
            Self::Directory(dir) => Ok(Layout::is_log(&RealDisk, dir)),
            Self::Bucket(BucketPlace { bucket, .. }) => bucket.has_log(),
        }
    }

    /// A place without a log.
    pub(crate) fn create(&self, settings: &Settings) -> Result<Box<dyn Storage>, OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        Ok(match self {
            Self::Directory(dir) => Box::new(Directory::create(disk, dir, settings.segment_bytes)?),
            Self::Bucket(place) => {
                Box::new(InBucket::create(Arc::clone(&place.bucket), place.local()?, settings.lease)?)
            }
        })
    }

    /// A place with one.
    pub(crate) fn open(&self, settings: &Settings) -> Result<Box<dyn Storage>, OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        Ok(match self {
            Self::Directory(dir) => Box::new(Directory::open(disk, dir, settings.segment_bytes)?),
            Self::Bucket(place) => {
                let bucket = Arc::clone(&place.bucket);
                Box::new(InBucket::open(bucket, place.local()?, settings.lease, place.stand_by)?)
            }
        })
    }

    /// By a name that is the same from wherever it is asked.
    pub(crate) fn mark(&self) -> Mark {
        match self {
            Self::Directory(dir) => {
                let place = std::path::absolute(dir).unwrap_or_else(|_| dir.clone());
                Mark { place, shared: false }
            }
            Self::Bucket(place) => Mark { place: place.bucket.name().into(), shared: true },
        }
    }

    /// Whether one that another holds is to be waited for.
    pub(crate) fn stands_by(&self) -> bool {
        matches!(self, Self::Bucket(place) if place.stand_by && !place.given_up.load(Ordering::Relaxed))
    }
}

impl From<&Path> for Place {
    fn from(dir: &Path) -> Self {
        Self::Directory(dir.to_owned())
    }
}

impl From<&PathBuf> for Place {
    fn from(dir: &PathBuf) -> Self {
        Self::Directory(dir.clone())
    }
}

impl From<BucketPlace> for Place {
    fn from(place: BucketPlace) -> Self {
        Self::Bucket(place)
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(dir) => f.debug_tuple("Directory").field(dir).finish(),
            Self::Bucket(place) => f.debug_tuple("Bucket").field(&place.bucket.name()).finish(),
        }
    }
}
