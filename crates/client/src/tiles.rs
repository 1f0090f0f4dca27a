//! A tiled log as its readers fetch it: checkpoint, tiles, entry bundles, issuer certificates.
//!
//! C2SP tlog-tiles and static-ct-api, over HTTP. Nothing is verified here; tiles are checked for their
//! length, and hashing them into a checkpoint is the caller's.

use crate::http::{self, Client, HttpError, Request};
use sealog_tlog::{
    Hash, Tile,
    checkpoint::{CheckpointError, SignedCheckpoint},
    tile::{CHECKPOINT_PATH, EntryBundle, TileError},
};
use std::time::Duration;
use url::Url;

/// A checkpoint with very many cosignatures.
const MAX_CHECKPOINT_BYTES: usize = 64 << 10;
/// A full tile: 256 hashes.
const MAX_TILE_BYTES: usize = 256 * 32;
/// A full bundle of the largest signature entries, 256 of 65,535 bytes with their lengths.
const MAX_BUNDLE_BYTES: usize = 256 * (65_535 + 2);
const MAX_ISSUER_BYTES: usize = 64 << 10;
const TIMEOUT: Duration = Duration::from_secs(20);

/// Why something could not be read from a log.
#[derive(Debug, thiserror::Error)]
pub enum TilesError {
    /// The log could not be asked, or does not have it.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Not a checkpoint.
    #[error("{url} is not a checkpoint")]
    Checkpoint {
        /// Where it was read.
        url: http::Shown,
        /// What is wrong with it.
        #[source]
        cause: CheckpointError,
    },
    /// Not a tile of that width.
    #[error("{url} is not the tile asked for")]
    Tile {
        /// Where it was read.
        url: http::Shown,
        /// What is wrong with it.
        #[source]
        cause: TileError,
    },
}

/// The public files of one log.
#[derive(Clone, Copy, Debug)]
pub struct TileReader<'a> {
    client: &'a Client,
    base: &'a Url,
}

impl<'a> TileReader<'a> {
    /// Reads the log whose files are below `base`.
    #[must_use]
    pub const fn new(client: &'a Client, base: &'a Url) -> Self {
        Self { client, base }
    }

    /// The checkpoint, as it is now.
    ///
    /// # Errors
    /// See [`TilesError`].
    pub async fn checkpoint(&self) -> Result<SignedCheckpoint, TilesError> {
        let url = http::below(self.base, CHECKPOINT_PATH);
        let bytes = self.get(url.clone(), MAX_CHECKPOINT_BYTES).await?;
        SignedCheckpoint::parse(&bytes).map_err(|cause| TilesError::Checkpoint { url: (&url).into(), cause })
    }

    /// The hashes of a tile, exactly as many as its width.
    ///
    /// # Errors
    /// See [`TilesError`].
    pub async fn tile(&self, tile: Tile) -> Result<Vec<Hash>, TilesError> {
        let (url, bytes) = self.partial_or_full(&tile.path(), &tile.full().path(), MAX_TILE_BYTES).await?;
        let wanted = usize::from(tile.width()).saturating_mul(32);
        // A log may have dropped a partial tile whose full one exists: the first hashes are the same.
        let bytes = match bytes.get(..wanted) {
            Some(first) if bytes.len() == MAX_TILE_BYTES => first,
            _ => &bytes,
        };
        tile.decode(bytes).map_err(|cause| TilesError::Tile { url: (&url).into(), cause })
    }

    /// The bytes of an entry bundle, or of the full one in its place: at least `width` entries.
    ///
    /// # Errors
    /// See [`TilesError`].
    pub async fn bundle(&self, bundle: EntryBundle, dir: &str) -> Result<Vec<u8>, TilesError> {
        let (partial, full) = (bundle.path(dir), bundle.full().path(dir));
        Ok(self.partial_or_full(&partial, &full, MAX_BUNDLE_BYTES).await?.1)
    }

    /// A certificate of a chain, in DER, by the path under which a static-ct log keeps it.
    ///
    /// # Errors
    /// See [`TilesError`].
    pub async fn issuer(&self, path: &str) -> Result<Vec<u8>, TilesError> {
        self.get(http::below(self.base, path), MAX_ISSUER_BYTES).await
    }

    /// The resource; when a partial one is gone (404, and nothing but 404), the full one.
    async fn partial_or_full(
        &self,
        path: &str,
        full: &str,
        limit: usize,
    ) -> Result<(Url, Vec<u8>), TilesError> {
        let url = http::below(self.base, path);
        match self.get(url.clone(), limit).await {
            Err(TilesError::Http(error)) if error.status() == Some(404) && path != full => {
                let url = http::below(self.base, full);
                let bytes = self.get(url.clone(), limit).await?;
                Ok((url, bytes))
            }
            other => Ok((url, other?)),
        }
    }

    async fn get(&self, url: Url, limit: usize) -> Result<Vec<u8>, TilesError> {
        Ok(self.client.send(Request::get(url).limit(limit).timeout(TIMEOUT)).await?.body)
    }
}
