//! Where a log is kept: in its directory under `data_dir`, or in a bucket (`[rekor.store]`, `[ctlog.store]`).
//!
//! In a bucket nothing may be lost of what is under the URL; the directory then only has the index, which is rebuilt.

use anyhow::Context as _;
use sealog_log_engine::{Bucket as _, BucketPlace, Place, StoreBucket, probe};
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// Races before a log is made in a bucket, and each time it is opened.
const ROUNDS_AT_INIT: usize = 16;
const ROUNDS_AT_START: usize = 2;

/// The `[rekor.store]` or `[ctlog.store]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `az://CONTAINER/PREFIX`; the prefix is this log's alone.
    pub url: String,
    /// What the store's library is to be told besides (`endpoint`, `region`, `allow_http`, …); never a secret.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Wait while another sequencer has the log, and take over when that one no longer shows itself.
    #[serde(default)]
    pub stand_by: bool,
}

/// A log's place, looked up and not opened.
pub struct Kept {
    /// For the engine.
    pub place: Place,
    bucket: Option<Arc<StoreBucket>>,
    dir: PathBuf,
}

impl Kept {
    /// The place of the log whose directory is this one.
    ///
    /// # Errors
    /// When the table names no store.
    pub fn at(dir: PathBuf, store: Option<&Store>) -> anyhow::Result<Self> {
        let Some(store) = store else {
            return Ok(Self { place: Place::Directory(dir.clone()), bucket: None, dir });
        };
        let bucket = Arc::new(open(store)?);
        let place = BucketPlace {
            bucket: Arc::clone(&bucket) as _,
            local: dir.clone(),
            at: String::new(),
            stand_by: store.stand_by,
        };
        Ok(Self { place: place.into(), bucket: Some(bucket), dir })
    }

    /// Whether a log is there.
    ///
    /// # Errors
    /// When the store cannot be asked.
    pub fn exists(&self) -> anyhow::Result<bool> {
        match &self.bucket {
            None => Ok(self.dir.exists()),
            Some(bucket) => {
                bucket.has_log().with_context(|| format!("looking for a log in {}", bucket.name()))
            }
        }
    }

    /// How a person finds it.
    #[must_use]
    pub fn name(&self) -> String {
        self.bucket.as_ref().map_or_else(|| self.dir.display().to_string(), |bucket| bucket.name())
    }

    /// Refuses a store whose conditional writes are not atomic: two sequencers could then sign two logs.
    ///
    /// # Errors
    /// When it is not, or cannot be asked.
    pub fn probe_before_init(&self) -> anyhow::Result<()> {
        self.probe(ROUNDS_AT_INIT)
    }

    /// The same, shorter: a store is not changed often.
    ///
    /// # Errors
    /// As [`probe_before_init`](Self::probe_before_init).
    pub fn probe_before_start(&self) -> anyhow::Result<()> {
        self.probe(ROUNDS_AT_START)
    }

    fn probe(&self, rounds: usize) -> anyhow::Result<()> {
        match &self.bucket {
            Some(bucket) => probe(bucket.as_ref(), rounds).context("no log may be kept there"),
            None => Ok(()),
        }
    }
}

/// The bucket a table names.
///
/// # Errors
/// When it names none.
pub fn open(store: &Store) -> anyhow::Result<StoreBucket> {
    let options: Vec<_> = store.options.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(StoreBucket::open(&store.url, &options)?)
}
