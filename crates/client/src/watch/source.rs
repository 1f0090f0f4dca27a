//! Where a watched log is read from: over HTTP, or from wherever a test keeps it.

use crate::{
    http::Client,
    tiles::{TileReader, TilesError},
};
use sealog_tlog::{
    Hash, SignedCheckpoint, Tile,
    checkpoint::CheckpointError,
    tile::{EntryBundle, TileError},
};
use std::{error::Error, future::Future, sync::Arc};
use url::Url;

/// Why something could not be had from a log.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The log answers, but does not have it.
    #[error("it is not there")]
    Missing,
    /// It is not a checkpoint.
    #[error(transparent)]
    Checkpoint(CheckpointError),
    /// It is not that tile.
    #[error(transparent)]
    Tile(TileError),
    /// The log could not be asked. Says nothing about the log.
    #[error(transparent)]
    Trouble(Box<dyn Error + Send + Sync>),
}

/// The public files of one log.
pub trait TileSource: Sync {
    /// The checkpoint, as it is now.
    fn checkpoint(&self) -> impl Future<Output = Result<SignedCheckpoint, FetchError>> + Send;

    /// The hashes of a tile.
    fn tile(&self, tile: Tile) -> impl Future<Output = Result<Vec<Hash>, FetchError>> + Send;

    /// The bytes of an entry bundle, or of a wider one in its place.
    fn bundle(
        &self,
        bundle: EntryBundle,
        dir: &str,
    ) -> impl Future<Output = Result<Vec<u8>, FetchError>> + Send;
}

/// A log served over HTTP.
#[derive(Clone, Debug)]
pub struct HttpSource {
    client: Arc<Client>,
    base: Url,
}

impl HttpSource {
    /// The log whose files are below `base`.
    #[must_use]
    pub const fn new(client: Arc<Client>, base: Url) -> Self {
        Self { client, base }
    }

    fn reader(&self) -> TileReader<'_> {
        TileReader::new(&self.client, &self.base)
    }
}

impl TileSource for HttpSource {
    async fn checkpoint(&self) -> Result<SignedCheckpoint, FetchError> {
        self.reader().checkpoint().await.map_err(FetchError::from)
    }

    async fn tile(&self, tile: Tile) -> Result<Vec<Hash>, FetchError> {
        self.reader().tile(tile).await.map_err(FetchError::from)
    }

    async fn bundle(&self, bundle: EntryBundle, dir: &str) -> Result<Vec<u8>, FetchError> {
        self.reader().bundle(bundle, dir).await.map_err(FetchError::from)
    }
}

impl From<TilesError> for FetchError {
    fn from(error: TilesError) -> Self {
        match error {
            TilesError::Http(error) if matches!(error.status(), Some(404 | 410)) => Self::Missing,
            TilesError::Http(error) => Self::Trouble(error.into()),
            TilesError::Checkpoint { cause, .. } => Self::Checkpoint(cause),
            TilesError::Tile { cause, .. } => Self::Tile(cause),
        }
    }
}
