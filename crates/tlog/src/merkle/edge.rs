//! A growing tree in memory: its right edge, from which come roots, proofs and finished tiles.

use super::{Hash, MAX_TREE_SIZE, NodeReader, empty_root, root};
use crate::merkle::node_hash;
use crate::tile::{TILE_HEIGHT, TILE_WIDTH, Tile, partial_tiles};
use alloc::vec::Vec;

/// The right edge of a growing tree.
///
/// For every binary level it holds the nodes from the start of the rightmost tile on that was still
/// unfinished at the last [`trim`](Self::trim). That is enough to prove every leaf pushed since
/// then, to prove consistency with the tree of that moment, and to write every tile finished since.
///
/// A push costs one node hash on average; after a trim at most 511 hashes are held for each tile
/// level.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    size: u64,
    /// By binary level.
    levels: Vec<Row>,
}

/// Consecutive nodes of one binary level, up to the last complete one.
#[derive(Clone, Debug, Default)]
struct Row {
    /// Index of the first node held. Always even, so that siblings are held together.
    start: u64,
    nodes: Vec<Hash>,
}

/// Why a right edge cannot be taken up or asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EdgeError<E> {
    /// Larger than anyone's tree.
    #[error("a tree of {0} leaves is beyond the largest supported")]
    TooLarge(u64),
    /// A tile holds more or fewer hashes than asked for.
    #[error("tile {tile} should hold {expected} hashes and holds {found}")]
    Width {
        /// The tile.
        tile: Tile,
        /// Its width.
        expected: u16,
        /// Hashes found.
        found: usize,
    },
    /// A tile could not be read.
    #[error("tile {tile} could not be read")]
    Read {
        /// The tile.
        tile: Tile,
        /// Why not.
        #[source]
        source: E,
    },
}

/// The node is no longer held (or not yet complete).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("node {index} of level {level} is not in the right edge")]
pub struct NotHeld {
    /// Binary level.
    pub level: u8,
    /// Index in the level.
    pub index: u64,
}

impl Edge {
    /// The empty tree.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, levels: Vec::new() }
    }

    /// Takes up a tree of `size` leaves from its rightmost partial tiles (at most one for each tile
    /// level). The caller compares [`root`](Self::root) with a root it trusts.
    ///
    /// # Errors
    /// When a tile cannot be read or has another width, or `size` is beyond [`MAX_TREE_SIZE`].
    pub fn from_tiles<E>(
        size: u64,
        mut read: impl FnMut(Tile) -> Result<Vec<Hash>, E>,
    ) -> Result<Self, EdgeError<E>> {
        if size > MAX_TREE_SIZE {
            return Err(EdgeError::TooLarge(size));
        }
        let mut edge = Self { size, levels: Vec::new() };
        let depth = size.checked_ilog2().map_or(0, |top| top + 1);
        edge.levels =
            (0..depth).map(|level| Row { start: row_start(size, level), nodes: Vec::new() }).collect();
        for tile in partial_tiles(size) {
            let mut nodes = read(tile).map_err(|source| EdgeError::Read { tile, source })?;
            if nodes.len() != usize::from(tile.width()) {
                return Err(EdgeError::Width { tile, expected: tile.width(), found: nodes.len() });
            }
            let bottom = usize::from(tile.level()) * usize::from(TILE_HEIGHT);
            for row in edge.levels.iter_mut().skip(bottom).take(usize::from(TILE_HEIGHT)) {
                let parents = nodes.chunks_exact(2).filter_map(parent).collect();
                row.nodes = core::mem::replace(&mut nodes, parents);
            }
        }
        Ok(edge)
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf_hash: Hash) {
        let mut node = leaf_hash;
        let mut index = self.size;
        for row in &mut self.levels {
            row.nodes.push(node);
            let pair = row.nodes.last_chunk::<2>();
            match pair.and_then(|pair| parent(pair)) {
                Some(above) if index & 1 == 1 => node = above,
                _ => {
                    self.size = self.size.saturating_add(1);
                    return;
                }
            }
            index >>= 1;
        }
        // The tree became a complete one, a level higher than before.
        self.levels.push(Row { start: 0, nodes: alloc::vec![node] });
        self.size = self.size.saturating_add(1);
    }

    /// Leaves in the tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        // Every node of the decomposition of the current size stands in the unfinished tiles.
        root(self.size, self).unwrap_or_else(|_| empty_root())
    }

    /// The tiles that were finished after the tree had `old_size` leaves, lowest level first, as they
    /// are served. Nothing is missing as long as there was no [`trim`](Self::trim) since.
    #[must_use]
    pub fn full_tiles_since(&self, old_size: u64) -> Vec<(Tile, Vec<u8>)> {
        let mut tiles = Vec::new();
        for level in 0..=u8::try_from(self.levels.len() / usize::from(TILE_HEIGHT)).unwrap_or(0) {
            let finished = |size: u64| size.checked_shr(bits_below(level + 1)).unwrap_or(0);
            for index in finished(old_size)..finished(self.size) {
                let Ok(tile) = Tile::new(level, index, TILE_WIDTH) else { continue };
                tiles.extend(self.tile_bytes(&tile).map(|bytes| (tile, bytes)));
            }
        }
        tiles
    }

    /// The unfinished tile of each level that has one, lowest level first, as it is served.
    #[must_use]
    pub fn partial_tiles(&self) -> Vec<(Tile, Vec<u8>)> {
        partial_tiles(self.size).filter_map(|tile| Some((tile, self.tile_bytes(&tile)?))).collect()
    }

    /// The bytes of a tile, full or of any width, if all of it is held and complete.
    #[must_use]
    pub fn tile_bytes(&self, tile: &Tile) -> Option<Vec<u8>> {
        let row = self.levels.get(usize::try_from(bits_below(tile.level())).ok()?)?;
        let first = tile.index().checked_mul(u64::from(TILE_WIDTH))?;
        let from = usize::try_from(first.checked_sub(row.start)?).ok()?;
        let nodes = row.nodes.get(from..)?.get(..usize::from(tile.width()))?;
        Some(nodes.iter().flat_map(|hash| hash.0).collect())
    }

    /// Hashes in memory.
    #[must_use]
    pub fn held(&self) -> usize {
        self.levels.iter().map(|row| row.nodes.len()).sum()
    }

    /// Forgets what only finished tiles need. Leaves pushed before can no longer be proven from here.
    pub fn trim(&mut self) {
        for (level, row) in (0..).zip(&mut self.levels) {
            let start = row_start(self.size, level);
            let finished = start.saturating_sub(row.start);
            row.nodes.drain(..usize::try_from(finished).unwrap_or(0).min(row.nodes.len()));
            row.start = start;
        }
    }
}

impl NodeReader for Edge {
    type Error = NotHeld;

    fn node(&self, level: u8, index: u64) -> Result<Hash, NotHeld> {
        let find = || {
            let row = self.levels.get(usize::from(level))?;
            row.nodes.get(usize::try_from(index.checked_sub(row.start)?).ok()?)
        };
        find().copied().ok_or(NotHeld { level, index })
    }
}

/// Index of the first node of `level` that stands in a tile unfinished in a tree of `size` leaves.
fn row_start(size: u64, level: u32) -> u64 {
    let tile_top = (level / u32::from(TILE_HEIGHT) + 1) * u32::from(TILE_HEIGHT);
    let finished_tiles = size.checked_shr(tile_top).unwrap_or(0);
    finished_tiles << (tile_top - level)
}

/// Binary levels below this tile level.
fn bits_below(tile_level: u8) -> u32 {
    u32::from(tile_level) * u32::from(TILE_HEIGHT)
}

fn parent(pair: &[Hash]) -> Option<Hash> {
    match pair {
        [left, right] => Some(node_hash(left, right)),
        _ => None,
    }
}
