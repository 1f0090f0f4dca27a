//! `sealogd fsck`: a whole log read again from its public files, and everything recomputed.
//!
//! Every entry is hashed into the tree, every tile compared with the recomputed one, the root hash with the
//! checkpoint's, the checkpoint's signature with the log's key, and every issuer of a certificate log with
//! its fingerprint. Nothing is written, and a log that is running may be read: its files only grow.

use crate::{config::Config, ctlog, instance::Instance, rekor};
use anyhow::Context as _;
use sealog_client::http::{Client, Request, below};
use sealog_crypto::sha256;
use sealog_tlog::{
    Edge, EntryLeaf, Hash, Leaf, LeafError, SignedCheckpoint, Tile,
    checkpoint::CheckpointError,
    ct::{CtLeaf, TileLeaf},
    note::KeyVerifier,
    tile::{CHECKPOINT_PATH, DATA_DIR, ENTRIES_DIR, EntryBundle, TILE_WIDTH, bundle_path, bundles_since},
};
use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};
use url::Url;

/// An entry bundle of 256 certificate entries at their largest is shorter.
const MAX_FILE: usize = 64 << 20;

/// What does not hold.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// Something the checkpoint promises is not there.
    #[error("{origin}: {path} is missing")]
    Missing {
        /// The log.
        origin: String,
        /// The file.
        path: String,
    },
    /// A checkpoint that is none, or not by the log's key.
    #[error("{place}: the checkpoint does not hold")]
    Checkpoint {
        /// Where it was read.
        place: String,
        /// Why.
        source: CheckpointError,
    },
    /// A bundle that is not one.
    #[error("{origin}: {path} cannot be read as entries")]
    Entries {
        /// The log.
        origin: String,
        /// The file.
        path: String,
        /// Why.
        source: LeafError,
    },
    /// A file of another length.
    #[error("{origin}: {path} holds {found} elements, expected {expected}")]
    Count {
        /// The log.
        origin: String,
        /// The file.
        path: String,
        /// Elements promised.
        expected: usize,
        /// Elements found.
        found: usize,
    },
    /// A file with other content than was recomputed from the entries.
    #[error("{origin}: {path} is not what its entries lead to")]
    Tile {
        /// The log.
        origin: String,
        /// The file.
        path: String,
    },
    /// The tree of the entries is another than the signed one.
    #[error(
        "{origin}: root hash at tree size {size}: expected {expected} (checkpoint), found {found} (entries)"
    )]
    Root {
        /// The log.
        origin: String,
        /// Entries.
        size: u64,
        /// In the checkpoint.
        expected: Hash,
        /// Recomputed.
        found: Hash,
    },
}

/// What was found in order.
#[derive(Debug)]
pub struct Sound {
    origin: String,
    size: u64,
    root_hash: Hash,
    tiles: usize,
    signed: bool,
}

impl std::fmt::Display for Sound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { origin, size, root_hash, tiles, signed } = self;
        write!(f, "{origin}: {size} entries, {tiles} tiles and root hash {root_hash} agree")?;
        f.write_str(if *signed { ", signed by the log's key" } else { "; the signature was not checked" })
    }
}

/// Checks the logs of a configuration, from their files.
///
/// # Errors
/// [`FsckError`] for the first thing that does not hold; others when something cannot be read.
pub async fn of_config(config: &Config) -> anyhow::Result<Vec<Sound>> {
    let mut sound = Vec::new();
    let public = |name: &str| Instance::log_dir(config, name).join("public");
    if let Some(table) = &config.rekor {
        let key = Instance::public_key(config, rekor::KEY)?;
        let key = KeyVerifier::for_log(rekor::origin(table), key)?;
        let source = Source::Dir(public(rekor::KEY));
        sound.push(check::<EntryLeaf>(&source, Some(&key), |_| Ok(Vec::new())).await?);
    }
    if let Some(table) = &config.ctlog {
        let key = Instance::public_key(config, ctlog::KEY)?;
        let key = KeyVerifier::tree_head(ctlog::origin(table), key)?;
        let source = Source::Dir(public(ctlog::KEY));
        sound.push(check::<CtLeaf>(&source, Some(&key), issuers).await?);
    }
    anyhow::ensure!(!sound.is_empty(), "the configuration has no log");
    Ok(sound)
}

/// Checks any log of either kind over HTTP. Without its key, its signature is not checked.
///
/// # Errors
/// As [`of_config`].
pub async fn of_url(url: &str) -> anyhow::Result<Sound> {
    let source = Source::Http(Client::new(), sealog_client::http::parse_url(url)?);
    for (dir, width) in [(DATA_DIR, TILE_WIDTH), (DATA_DIR, 1), (ENTRIES_DIR, TILE_WIDTH), (ENTRIES_DIR, 1)] {
        if source.read(&bundle_path(dir, 0, width)).await?.is_some() {
            return match dir {
                DATA_DIR => check::<CtLeaf>(&source, None, issuers).await,
                _ => check::<EntryLeaf>(&source, None, |_| Ok(Vec::new())).await,
            };
        }
    }
    // No entries: of either kind it is the same.
    check::<EntryLeaf>(&source, None, |_| Ok(Vec::new())).await
}

/// Fingerprints of the issuers that must be served beside a certificate entry.
type IssuersOf = fn(&[u8]) -> Result<Vec<[u8; 32]>, LeafError>;

fn issuers(encoded: &[u8]) -> Result<Vec<[u8; 32]>, LeafError> {
    TileLeaf::parse(encoded).map(|leaf| leaf.issuers.to_vec())
}

/// Where files are read.
enum Source {
    Dir(PathBuf),
    Http(Client, Url),
}

impl Source {
    async fn read(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        match self {
            Self::Dir(dir) => read_file(&dir.join(path)),
            Self::Http(client, base) => {
                let request = Request::get(below(base, path)).limit(MAX_FILE);
                let response = client.exchange(&request).await?;
                match response.status {
                    200 => Ok(Some(response.body)),
                    404 => Ok(None),
                    status => anyhow::bail!("{} answered {status}", below(base, path)),
                }
            }
        }
    }

    fn place(&self) -> String {
        match self {
            Self::Dir(dir) => dir.display().to_string(),
            Self::Http(_, base) => base.to_string(),
        }
    }
}

fn read_file(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e).with_context(|| format!("reading {}", path.display())),
    }
}

/// Reads a log from its first entry to its last.
async fn check<L: Leaf>(
    source: &Source,
    key: Option<&KeyVerifier>,
    issuers_of: IssuersOf,
) -> anyhow::Result<Sound> {
    let origin = source.place();
    let bytes = source.read(CHECKPOINT_PATH).await?;
    let bytes =
        bytes.ok_or(FsckError::Missing { origin: origin.clone(), path: CHECKPOINT_PATH.to_owned() })?;
    let wrong = |source| FsckError::Checkpoint { place: origin.clone(), source };
    let signed = SignedCheckpoint::parse(&bytes).map_err(wrong)?;
    if let Some(key) = key {
        signed.verify(key).map_err(wrong)?;
    }
    let checkpoint = &signed.checkpoint;
    let mut log = Reading::<L> {
        source,
        origin: checkpoint.origin.clone(),
        edge: Edge::new(),
        tiles: 0,
        issuers: BTreeSet::new(),
        issuers_of,
        leaf: std::marker::PhantomData,
    };
    for bundle in bundles_since(0, checkpoint.size) {
        log.take(bundle).await?;
    }
    for (tile, bytes) in log.edge.partial_tiles() {
        log.compare(tile, &bytes).await?;
    }
    log.compare_issuers().await?;
    let found = log.edge.root();
    if found != checkpoint.root {
        let (size, expected) = (checkpoint.size, checkpoint.root);
        return Err(FsckError::Root { origin: log.origin, size, expected, found }.into());
    }
    let (origin, tiles) = (log.origin, log.tiles);
    Ok(Sound { origin, size: checkpoint.size, root_hash: found, tiles, signed: key.is_some() })
}

struct Reading<'a, L: Leaf> {
    source: &'a Source,
    origin: String,
    edge: Edge,
    tiles: usize,
    issuers: BTreeSet<[u8; 32]>,
    issuers_of: IssuersOf,
    leaf: std::marker::PhantomData<L>,
}

impl<L: Leaf> Reading<'_, L> {
    /// Hashes a bundle's entries into the tree and compares the tiles they finish.
    async fn take(&mut self, bundle: EntryBundle) -> anyhow::Result<()> {
        let path = bundle.path(L::BUNDLE_DIR);
        let bytes = self.read(&path, &bundle.full().path(L::BUNDLE_DIR)).await?;
        let wanted = usize::from(bundle.width());
        let before = self.edge.size();
        let mut rest = bytes.as_slice();
        let mut found = 0;
        while found < wanted && !rest.is_empty() {
            let wrong =
                |source| FsckError::Entries { origin: self.origin.clone(), path: path.clone(), source };
            let (element, behind) = L::split_first(rest).map_err(wrong)?;
            self.edge.push(L::leaf_hash(element).map_err(wrong)?);
            self.issuers.extend((self.issuers_of)(element).map_err(wrong)?);
            rest = behind;
            found += 1;
        }
        if found != wanted {
            let origin = self.origin.clone();
            return Err(FsckError::Count { origin, path, expected: wanted, found }.into());
        }
        for (tile, bytes) in self.edge.full_tiles_since(before) {
            self.compare(tile, &bytes).await?;
        }
        self.edge.trim();
        Ok(())
    }

    /// The published tile must be the recomputed one.
    async fn compare(&mut self, tile: Tile, recomputed: &[u8]) -> anyhow::Result<()> {
        let path = tile.path();
        let published = self.read(&path, &tile.full().path()).await?;
        self.tiles += 1;
        match published.get(..recomputed.len()) {
            Some(same) if same == recomputed => Ok(()),
            _ => Err(FsckError::Tile { origin: self.origin.clone(), path }.into()),
        }
    }

    async fn compare_issuers(&self) -> anyhow::Result<()> {
        for fingerprint in &self.issuers {
            let path = format!("issuer/{}", Hash(*fingerprint));
            let bytes = self.read(&path, &path).await?;
            if sha256(&bytes) != *fingerprint {
                return Err(FsckError::Tile { origin: self.origin.clone(), path }.into());
            }
        }
        Ok(())
    }

    /// A partial file may have given way to the full one, which begins with it.
    async fn read(&self, path: &str, full: &str) -> anyhow::Result<Vec<u8>> {
        if let Some(bytes) = self.source.read(path).await? {
            return Ok(bytes);
        }
        let found = self.source.read(full).await?;
        found.ok_or_else(|| FsckError::Missing { origin: self.origin.clone(), path: path.to_owned() }.into())
    }
}
