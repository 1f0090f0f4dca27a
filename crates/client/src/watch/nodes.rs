//! Nodes of a log's tree, computed from its tiles.
//!
//! Proof makers ask for nodes one at a time and know nothing of networks. So they run twice: once to
//! hear which nodes they want, and again when these have been fetched.

use super::source::{FetchError, TileSource};
use sealog_tlog::{
    Hash, Tile,
    merkle::{NodeReader, Peaks},
    tile::{TILE_HEIGHT, TILE_WIDTH},
};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
};

/// A node: binary level and index.
type Place = (u8, u64);

/// The node was not among the wanted ones, or is in no tree of that size.
#[derive(Debug, thiserror::Error)]
#[error("node {index} of level {level} was not fetched")]
pub(super) struct Unknown {
    level: u8,
    index: u64,
}

/// Known nodes; writes down the others that are asked for.
#[derive(Default)]
pub(super) struct Nodes {
    known: BTreeMap<Place, Hash>,
    wanted: Option<RefCell<BTreeSet<Place>>>,
}

impl NodeReader for Nodes {
    type Error = Unknown;

    fn node(&self, level: u8, index: u64) -> Result<Hash, Unknown> {
        if let Some(wanted) = &self.wanted {
            wanted.borrow_mut().insert((level, index));
            return Ok(Hash([0; 32]));
        }
        self.known.get(&(level, index)).copied().ok_or(Unknown { level, index })
    }
}

/// A tile could not be had.
pub(super) struct TileFailure {
    pub(super) tile: Tile,
    pub(super) cause: FetchError,
}

/// What `make` makes of the nodes of a tree of `size` leaves.
pub(super) async fn with_nodes<S: TileSource, T>(
    source: &S,
    size: u64,
    make: impl Fn(&Nodes) -> T + Send,
) -> Result<T, TileFailure> {
    let wanted = {
        let asking = Nodes { wanted: Some(RefCell::default()), ..Nodes::default() };
        make(&asking);
        asking.wanted.map(RefCell::into_inner).unwrap_or_default()
    };
    let mut tiles: BTreeMap<Tile, Vec<Hash>> = BTreeMap::new();
    let mut known = BTreeMap::new();
    for place in wanted {
        let Some((tile, from, count)) = locate(place, size) else { continue };
        let hashes = match tiles.entry(tile) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(room) => {
                room.insert(source.tile(tile).await.map_err(|cause| TileFailure { tile, cause })?)
            }
        };
        let hashes = hashes.get(from..).and_then(|hashes| hashes.get(..count));
        if let Some(hashes) = hashes {
            let mut subtree = Peaks::new();
            hashes.iter().for_each(|hash| subtree.push(*hash));
            known.insert(place, subtree.root());
        }
    }
    Ok(make(&Nodes { known, wanted: None }))
}

/// The tile under a node, where the node's children begin in it, and how many they are.
fn locate((level, index): Place, size: u64) -> Option<(Tile, usize, usize)> {
    let (tile_level, height) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
    let first = index.checked_mul(1 << height)?;
    let tile = tile_at(tile_level, first / u64::from(TILE_WIDTH), size)?;
    let from = usize::try_from(first % u64::from(TILE_WIDTH)).ok()?;
    Some((tile, from, 1 << height))
}

/// That tile, as wide as it is in a tree of `size` leaves.
pub(super) fn tile_at(level: u8, index: u64, size: u64) -> Option<Tile> {
    let nodes = size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT))?;
    let left = nodes.checked_sub(index.checked_mul(u64::from(TILE_WIDTH))?)?;
    Tile::new(level, index, u16::try_from(left).unwrap_or(TILE_WIDTH).min(TILE_WIDTH)).ok()
}
