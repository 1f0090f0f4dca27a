//! What the services of one data directory share: the directory, its age and format, keys, clock.
//!
//! `instance.toml` is written by `init` and never again. It is public and cannot be rebuilt: back it up
//! with the keys. The lock on `lock` keeps a second process out for as long as the first one lives.

use crate::{
    clock::Clock,
    config::{Config, ConfigError},
    files,
    keys::{self, KeyStore, KeyStoreError},
};
use rustix::fs::FlockOperation;
use sealog_crypto::PublicKey;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The layout of the data directory that this program reads and writes.
const FORMAT: u32 = 1;
const DESCRIPTION: &str = "instance.toml";
const LOCK: &str = "lock";
const MAX_FILE: u64 = 64 * 1024;
/// Certificates and trusted periods begin this long before the instance was made: clients compare them
/// with whole-second timestamps by clocks that are not ours.
const BACKDATE_SECONDS: i64 = 300;

/// One data directory with its keys, opened.
#[derive(Debug)]
pub struct Instance {
    dir: PathBuf,
    created: i64,
    /// The private keys.
    pub keys: KeyStore,
    /// The time.
    pub clock: Clock,
    /// The organization in certificate subjects.
    pub organization: String,
    /// Held for its lock; none where nothing will be written.
    _lock: Option<Lock>,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// `init` was not run.
    #[error("there is no instance in {}", .0.display())]
    Missing(PathBuf),
    /// Another process has it.
    #[error("data directory {} is already in use by another process", .0.display())]
    InUse(PathBuf),
    /// Made by a newer program.
    #[error("{} has format {found}, this program knows formats up to {expected}", path.display())]
    Newer {
        /// The description file.
        path: PathBuf,
        /// Newest format known here.
        expected: u32,
        /// Format found.
        found: u32,
    },
    /// Not a file this program wrote.
    #[error("{} is damaged", .0.display())]
    Malformed(PathBuf),
    /// The file system's complaint.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The passphrase cannot be had.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The key store refuses.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    format: u32,
    /// Unix seconds.
    created: i64,
}

/// Only the format: the rest of a newer file may be anything.
#[derive(Deserialize)]
struct FormatOnly {
    format: u32,
}

impl Instance {
    /// Whether [`create`](Self::create) was here before.
    #[must_use]
    pub fn exists(config: &Config) -> bool {
        config.data_dir.join(DESCRIPTION).exists()
    }

    /// Makes the directory and key store where there are none, else opens them.
    ///
    /// # Errors
    /// See [`InstanceError`].
    pub fn create(config: &Config, clock: Clock) -> Result<Self, InstanceError> {
        let dir = &config.data_dir;
        files::create_secret_dir(dir).map_err(|e| io_error(dir, e))?;
        let lock = lock(dir)?;
        let path = dir.join(DESCRIPTION);
        let created = match path.exists() {
            true => read(&path)?.created,
            false => {
                let description = Description { format: FORMAT, created: clock.unix_seconds() };
                let text =
                    toml::to_string(&description).map_err(|_| InstanceError::Malformed(path.clone()))?;
                files::write_new(&path, text.as_bytes(), files::MODE_PUBLIC)
                    .map_err(|e| io_error(&path, e))?;
                description.created
            }
        };
        let keys = KeyStore::create(&config.keys_dir(), config.protection()?)?.with(config.elsewhere()?);
        Ok(Self::of(config, clock, created, keys, Some(lock)))
    }

    /// Opens what [`create`](Self::create) made.
    ///
    /// # Errors
    /// See [`InstanceError`].
    pub fn open(config: &Config, clock: Clock) -> Result<Self, InstanceError> {
        let path = config.data_dir.join(DESCRIPTION);
        if !path.exists() {
            return Err(InstanceError::Missing(config.data_dir.clone()));
        }
        // The format before anything else: a newer one may lock and seal in other ways.
        let created = read(&path)?.created;
        let lock = lock(&config.data_dir)?;
        let keys = KeyStore::open(&config.keys_dir(), config.protection()?)?.with(config.elsewhere()?);
        Ok(Self::of(config, clock, created, keys, Some(lock)))
    }

    /// Opens it to look only: another process may have it open for work.
    ///
    /// # Errors
    /// See [`InstanceError`].
    pub fn inspect(config: &Config, clock: Clock) -> Result<Self, InstanceError> {
        let path = config.data_dir.join(DESCRIPTION);
        if !path.exists() {
            return Err(InstanceError::Missing(config.data_dir.clone()));
        }
        let created = read(&path)?.created;
        let keys = KeyStore::open(&config.keys_dir(), config.protection()?)?.with(config.elsewhere()?);
        Ok(Self::of(config, clock, created, keys, None))
    }

    fn of(config: &Config, clock: Clock, created: i64, keys: KeyStore, lock: Option<Lock>) -> Self {
        Self {
            dir: config.data_dir.clone(),
            created,
            keys,
            clock,
            organization: config.organization.clone(),
            _lock: lock,
        }
    }

    /// A log's or service's own directory.
    #[must_use]
    pub fn dir_of(&self, service: &str) -> PathBuf {
        self.dir.join(service)
    }

    /// Where a configuration's log lies, without opening anything.
    #[must_use]
    pub fn log_dir(config: &Config, service: &str) -> PathBuf {
        config.data_dir.join(service)
    }

    /// The file that describes a configuration's data directory.
    #[must_use]
    pub fn description(config: &Config) -> PathBuf {
        config.data_dir.join(DESCRIPTION)
    }

    /// A configuration's public key, which needs no passphrase.
    ///
    /// # Errors
    /// See [`KeyStoreError`].
    pub fn public_key(config: &Config, name: &str) -> Result<PublicKey, KeyStoreError> {
        keys::read_public(&config.keys_dir(), name)
    }

    /// When everything made by `init` begins to be valid: a little before it was made, in Unix seconds.
    #[must_use]
    pub fn valid_from(&self) -> i64 {
        let backdated = self.created.saturating_sub(BACKDATE_SECONDS);
        backdated.saturating_sub(backdated.rem_euclid(60))
    }
}

fn read(path: &Path) -> Result<Description, InstanceError> {
    let content = files::read_bounded(path, MAX_FILE).map_err(|e| io_error(path, e))?;
    let malformed = || InstanceError::Malformed(path.to_owned());
    let text = std::str::from_utf8(&content).map_err(|_| malformed())?;
    let FormatOnly { format } = toml::from_str(text).map_err(|_| malformed())?;
    if format > FORMAT {
        return Err(InstanceError::Newer { path: path.to_owned(), expected: FORMAT, found: format });
    }
    toml::from_str(text).map_err(|_| malformed())
}

/// The data directory's lock.
#[derive(Debug)]
struct Lock(fs::File);

impl Drop for Lock {
    /// Closing is not enough: a process being started elsewhere in this one may hold a copy for a moment.
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.0, FlockOperation::Unlock);
    }
}

fn lock(dir: &Path) -> Result<Lock, InstanceError> {
    let path = dir.join(LOCK);
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| io_error(&path, e))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(InstanceError::InUse(dir.to_owned())),
        Err(errno) => Err(io_error(&path, errno.into())),
    }
}

fn io_error(path: &Path, source: io::Error) -> InstanceError {
    InstanceError::Io { path: path.to_owned(), source }
}
