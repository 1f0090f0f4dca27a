//! `sealogd fsck`: whole logs read again, from their public files and from within, and everything recomputed.
//!
//! Every entry is hashed into the tree, every tile compared with the recomputed one, the root hash with the checkpoint's,
//! every checkpoint's signature with the log's key; of a log of certificates every issuer with its fingerprint, and
//! precertificate and issuers with their leaf. While nobody
//! runs the log its records, or its head, are read too, and what is remembered beside the key. Nothing is changed, and a
//! log that is running may be read: its public files only grow.

use crate::{
    clock::Clock,
    config::Config,
    periods::{Described, Leaves, describe},
};
use anyhow::Context as _;
use bytes::Bytes;
use sealog_client::http::{Client, Request, below, parse_url};
use sealog_log_engine::{
    Identity, OpenError, PublicFiles, Sound, Unsound, inspect, public_files, read_checkpoint, read_log,
};
use sealog_tlog::{
    Edge, EntryLeaf, Leaf,
    ct::CtLeaf,
    note::KeyVerifier,
    tile::{DATA_DIR, ENTRIES_DIR, TILE_WIDTH, bundle_path},
};
use std::{io, path::PathBuf};
use tokio::runtime::Handle;
use url::Url;

/// An entry bundle of 256 certificate entries at their largest is shorter.
const MAX_FILE: usize = 64 << 20;

/// What does not hold.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// Of the public files.
    #[error("{log} is not sound")]
    Public {
        /// The log.
        log: String,
        /// What, and where.
        source: Unsound,
    },
    /// Of what only the log itself reads.
    #[error("{log} is not sound")]
    Within {
        /// The log.
        log: String,
        /// What, and where.
        source: OpenError,
    },
}

/// What was found in order, in one line.
#[derive(Debug)]
pub struct Report {
    sound: Sound,
    signed: bool,
    within: Option<String>,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Sound { origin, size, root, tiles, .. } = &self.sound;
        write!(f, "{origin}: {size} entries, {tiles} tiles and root hash {root} agree")?;
        f.write_str(if self.signed {
            ", signed by the log's key"
        } else {
            "; the signature was not checked"
        })?;
        self.within.iter().try_for_each(|within| write!(f, "; {within}"))
    }
}

/// Checks the logs of a configuration, in their directories and buckets.
///
/// # Errors
/// [`FsckError`] for the first thing that does not hold; others when something cannot be read.
pub async fn of_config(config: &Config, clock: &Clock) -> anyhow::Result<Vec<Report>> {
    let logs = describe(config, clock)?;
    blocking(move || logs.iter().map(of_log).collect()).await
}

/// Checks a backup of the logs of a configuration.
///
/// # Errors
/// As [`of_config`].
pub async fn of_backup(config: &Config, clock: &Clock, backup: PathBuf) -> anyhow::Result<Vec<Report>> {
    let logs = describe(config, clock)?;
    let check = move |log: &Described| {
        let files = public_files(&backup.join(log.name).as_path().into());
        of_files(files.as_ref(), log.leaves, Some(&log.key), log.name)
    };
    blocking(move || logs.iter().map(check).collect()).await
}

/// Checks any log of either kind over HTTP. Without its key, its signature is not checked.
///
/// # Errors
/// As [`of_config`].
pub async fn of_url(url: &str) -> anyhow::Result<Report> {
    let files = Http::new(url)?;
    let url = url.to_owned();
    blocking(move || {
        let paths = [(DATA_DIR, TILE_WIDTH), (DATA_DIR, 1), (ENTRIES_DIR, TILE_WIDTH), (ENTRIES_DIR, 1)];
        let mut leaves = Leaves::Entries;
        for (dir, width) in paths {
            if files.read(&[bundle_path(dir, 0, width)])?.iter().any(Option::is_some) {
                leaves = if dir == DATA_DIR { Leaves::Certificates } else { Leaves::Entries };
                break;
            }
        }
        // No entries: of either kind it is the same.
        of_files(&files, leaves, None, &url)
    })
    .await
}

/// Reading takes its time, and blocks.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work).await.context("the work ended unexpectedly")?
}

fn of_log(log: &Described) -> anyhow::Result<Report> {
    let files = public_files(&log.kept.place);
    let mut report = of_files(files.as_ref(), log.leaves, Some(&log.key), log.name)?;
    report.within = Some(match log.leaves {
        Leaves::Entries => of_private::<EntryLeaf>(log)?,
        Leaves::Certificates => of_private::<CtLeaf>(log)?,
    });
    Ok(report)
}

pub(crate) fn of_files(
    files: &dyn PublicFiles,
    leaves: Leaves,
    key: Option<&KeyVerifier>,
    log: &str,
) -> anyhow::Result<Report> {
    let read = match leaves {
        Leaves::Entries => read_whole::<EntryLeaf>(files, key, leaves),
        Leaves::Certificates => read_whole::<CtLeaf>(files, key, leaves),
    };
    let sound = read.map_err(|source| FsckError::Public { log: log.to_owned(), source })?;
    Ok(Report { sound, signed: key.is_some(), within: None })
}

fn read_whole<L: Leaf>(
    files: &dyn PublicFiles,
    key: Option<&KeyVerifier>,
    leaves: Leaves,
) -> Result<Sound, Unsound> {
    let (signed, _) = read_checkpoint(files, key)?;
    let beside = leaves.beside(key.is_some());
    read_log::<L>(files, &signed, Edge::new(), &[], &beside, &mut |_| Ok(()))
}

fn of_private<L: Leaf>(log: &Described) -> anyhow::Result<String> {
    let identity = Identity { key: &log.key, first_seen: &log.first_seen };
    let inspected = match inspect::<L>(&log.kept.place, &identity, !log.frozen) {
        Ok(inspected) => inspected,
        Err(busy @ (OpenError::Locked { .. } | OpenError::Held { .. })) => {
            return Ok(format!("not read from within: {busy}"));
        }
        Err(source) => return Err(FsckError::Within { log: log.name.to_owned(), source }.into()),
    };
    let committed = inspected.view.size();
    let mut words = match inspected.remembered {
        Some(remembered) => format!("{committed} committed, {remembered} remembered beside the key"),
        None => format!("{committed} committed, nothing remembered beside the key"),
    };
    if let Some(closed) = inspected.closed {
        words.push_str("; it takes no more entries: ");
        words.push_str(&closed);
    }
    Ok(words)
}

/// A log's public files over HTTP. Blocks: for threads that may.
pub(crate) struct Http {
    client: Client,
    base: Url,
    runtime: Handle,
}

impl Http {
    /// Within a runtime.
    ///
    /// # Errors
    /// When it is no URL.
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        Ok(Self { client: Client::new(), base: parse_url(url)?, runtime: Handle::current() })
    }

    async fn fetch(&self, path: &str) -> io::Result<Option<Bytes>> {
        let request = Request::get(below(&self.base, path)).limit(MAX_FILE);
        let response = self.client.exchange(&request).await.map_err(io::Error::other)?;
        match response.status {
            200 => Ok(Some(response.body.into())),
            404 => Ok(None),
            status => Err(io::Error::other(format!("{} answered {status}", below(&self.base, path)))),
        }
    }
}

impl PublicFiles for Http {
    fn read(&self, paths: &[String]) -> io::Result<Vec<Option<Bytes>>> {
        paths.iter().map(|path| self.runtime.block_on(self.fetch(path))).collect()
    }

    fn name(&self, path: &str) -> String {
        below(&self.base, path).to_string()
    }
}
