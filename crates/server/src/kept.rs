//! Where a log is kept: in its directory under `data_dir`, or in a bucket (`[rekor.store]`, `[ctlog.store]`).
//!
//! In a bucket nothing may be lost of what is under the URL; the directory then only has the index, which is rebuilt.

use crate::relay::{Carried, Listener};
use anyhow::Context as _;
use sealog_log_engine::{Bucket as _, BucketPlace, Place, Reader, Settings, StoreBucket, probe};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

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
    /// How long a sequencer may not show itself before another one may take the log; the same at all of them.
    pub lease_seconds: Option<u32>,
}

impl Store {
    /// Tells the engine of the lease.
    pub fn set_lease(&self, settings: &mut Settings) {
        if let Some(seconds) = self.lease_seconds {
            settings.lease = Duration::from_secs(seconds.into());
        }
    }
}

/// A log's place, looked up and not opened.
pub struct Kept {
    /// For the engine.
    pub place: Place,
    bucket: Option<Arc<StoreBucket>>,
    dir: PathBuf,
    stands_by: bool,
    given_up: Arc<AtomicBool>,
    token: String,
}

impl Kept {
    /// The place of the log whose directory is this one. Its sequencer says in it where front ends find it, and what they
    /// must show.
    ///
    /// # Errors
    /// When the table names no store.
    pub fn at(dir: PathBuf, store: Option<&Store>, listener: Option<&Listener>) -> anyhow::Result<Self> {
        let Some(store) = store else {
            let place = Place::Directory(dir.clone());
            let (given_up, token) = (Arc::default(), String::new());
            return Ok(Self { place, bucket: None, dir, stands_by: false, given_up, token });
        };
        let bucket = Arc::new(open(store)?);
        let given_up = Arc::new(AtomicBool::new(false));
        let token = match listener {
            Some(_) => hex::encode(sealog_crypto::random_array::<32>()?),
            None => String::new(),
        };
        let place = BucketPlace {
            bucket: Arc::clone(&bucket) as _,
            local: dir.clone(),
            at: listener.map(|listener| listener.url.as_str().to_owned()).unwrap_or_default(),
            token: token.clone(),
            stand_by: store.stand_by,
            given_up: Arc::clone(&given_up),
        };
        let (place, stands_by) = (place.into(), store.stand_by);
        Ok(Self { place, bucket: Some(bucket), dir, stands_by, given_up, token })
    }

    /// A place that no table names.
    #[cfg(test)]
    pub(crate) fn of(place: BucketPlace) -> Self {
        let (dir, stands_by) = (place.local.clone(), place.stand_by);
        let (given_up, token) = (Arc::clone(&place.given_up), place.token.clone());
        Self { place: place.into(), bucket: None, dir, stands_by, given_up, token }
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

    /// The log as those see it who do not run it, if it is in a bucket.
    #[must_use]
    pub fn reader<L: Carried>(&self) -> Option<Reader> {
        self.bucket.as_ref().map(|bucket| Reader::of::<L>(Arc::clone(bucket) as _))
    }

    /// The same place, where a log that another sequencer has is waited for, or is not.
    #[must_use]
    pub fn standing_by(&self, stand_by: bool) -> Place {
        match &self.place {
            Place::Bucket(place) => BucketPlace { stand_by, ..place.clone() }.into(),
            place @ Place::Directory(_) => place.clone(),
        }
    }

    /// Whether a log that another sequencer has is to be waited for.
    #[must_use]
    pub fn stands_by(&self) -> bool {
        self.stands_by
    }

    /// Set, it ends that waiting.
    #[must_use]
    pub fn given_up(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.given_up)
    }

    /// What front ends must show to this sequencer.
    #[must_use]
    pub fn token(&self) -> String {
        self.token.clone()
    }

    /// Whether other machines may have the same place.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.bucket.is_some()
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

/// A log in a bucket, for those who only read it.
///
/// # Errors
/// When the table names no store.
pub fn reader<L: Carried>(store: &Store) -> anyhow::Result<Reader> {
    Ok(Reader::of::<L>(Arc::new(open(store)?)))
}

/// The bucket a table names.
///
/// # Errors
/// When it names none.
pub fn open(store: &Store) -> anyhow::Result<StoreBucket> {
    let options: Vec<_> = store.options.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(StoreBucket::open(&store.url, &options)?)
}
