//! Names the resources of a tiled log (C2SP tlog-tiles; entry bundles in `tile/data` for static-ct).
//!
//! Paths are relative to the log's prefix. Parsing is strict: every resource has one spelling.
//! The elements inside an entry bundle are the leaf kind's affair ([`crate::leaf`]).

use crate::merkle::Hash;
use alloc::{format, string::String, vec::Vec};
use core::fmt;

/// Binary levels that a tile spans.
pub const TILE_HEIGHT: u8 = 8;

/// Hashes in a full tile and entries in a full bundle.
pub const TILE_WIDTH: u16 = 1 << TILE_HEIGHT;

/// Highest tile level a path may name.
pub const MAX_TILE_LEVEL: u8 = 63;

/// Bundles of a log of opaque entries.
pub const ENTRIES_DIR: &str = "entries";

/// Bundles of a static-ct log.
pub const DATA_DIR: &str = "data";

/// Where the checkpoint is served.
pub const CHECKPOINT_PATH: &str = "checkpoint";

/// A tile of hashes: `width` nodes of binary level `8 * level`, from node `256 * index` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    level: u8,
    span: Span,
}

/// A bundle of `width` entries, from entry `256 * index` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryBundle {
    span: Span,
}

/// Which elements: index below 2⁵⁶, width 1 to 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Span {
    index: u64,
    width: u16,
}

/// Why something is not a tile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// Level above 63.
    #[error("tile level {0} is above {MAX_TILE_LEVEL}")]
    Level(u8),
    /// Index that no tree reaches.
    #[error("tile index {0} is beyond every tree")]
    Index(u64),
    /// Empty, or more than 256.
    #[error("a tile has 1 to {TILE_WIDTH} elements, not {0}")]
    Width(u16),
    /// Not the one spelling of a tile's path.
    #[error("not the path of a tile or an entry bundle")]
    Path,
    /// The bytes are not the hashes.
    #[error("tile {tile} should have {expected} bytes and has {found}")]
    Length {
        /// The tile.
        tile: Tile,
        /// 32 for each hash.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
}

impl Tile {
    /// The tile of that level, index and width.
    ///
    /// # Errors
    /// When one of them is out of range.
    pub const fn new(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        if level > MAX_TILE_LEVEL {
            return Err(TileError::Level(level));
        }
        match Span::new(index, width) {
            Ok(span) => Ok(Self { level, span }),
            Err(error) => Err(error),
        }
    }

    /// Tile level: 0 holds leaf hashes, each next one every 8th binary level.
    #[must_use]
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// Index in the level.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.span.index
    }

    /// Hashes in it, 1 to 256.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.span.width
    }

    /// Whether it has all 256 hashes and so never changes.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.span.width == TILE_WIDTH
    }

    /// The same tile when full.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { level: self.level, span: Span { width: TILE_WIDTH, ..self.span } }
    }

    /// `tile/0/x001/x234/067` or `tile/0/x001/x234/067.p/8`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{self}")
    }

    /// Reads such a path.
    ///
    /// # Errors
    /// When it is spelled in any other way.
    pub fn parse(path: &str) -> Result<Self, TileError> {
        let rest = path.strip_prefix("tile/").ok_or(TileError::Path)?;
        let (level, rest) = rest.split_once('/').ok_or(TileError::Path)?;
        let level = decimal(level, 2).and_then(|level| u8::try_from(level).ok()).ok_or(TileError::Path)?;
        if level > MAX_TILE_LEVEL {
            return Err(TileError::Level(level));
        }
        Ok(Self { level, span: Span::parse(rest)? })
    }

    /// The hashes in the tile's bytes.
    ///
    /// # Errors
    /// When there are not exactly `width` of them.
    pub fn decode(&self, bytes: &[u8]) -> Result<Vec<Hash>, TileError> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        if hashes.len() != usize::from(self.width()) || !rest.is_empty() {
            let expected = usize::from(self.width()) * 32;
            return Err(TileError::Length { tile: *self, expected, found: bytes.len() });
        }
        Ok(hashes.iter().copied().map(Hash).collect())
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tile/{}/{}", self.level, self.span)
    }
}

impl EntryBundle {
    /// The bundle of that index and width.
    ///
    /// # Errors
    /// When one of them is out of range.
    pub const fn new(index: u64, width: u16) -> Result<Self, TileError> {
        match Span::new(index, width) {
            Ok(span) => Ok(Self { span }),
            Err(error) => Err(error),
        }
    }

    /// Index of the bundle.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.span.index
    }

    /// Entries in it, 1 to 256.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.span.width
    }

    /// Whether it has all 256 entries and so never changes.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.span.width == TILE_WIDTH
    }

    /// The same bundle when full.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { span: Span { width: TILE_WIDTH, ..self.span } }
    }

    /// `tile/<dir>/x001/x234/067[.p/8]`, where `dir` is [`ENTRIES_DIR`] or [`DATA_DIR`].
    #[must_use]
    pub fn path(&self, dir: &str) -> String {
        format!("tile/{dir}/{}", self.span)
    }

    /// Reads such a path.
    ///
    /// # Errors
    /// When it is spelled in any other way.
    pub fn parse(path: &str, dir: &str) -> Result<Self, TileError> {
        let rest = path.strip_prefix("tile/").and_then(|rest| rest.strip_prefix(dir));
        let rest = rest.and_then(|rest| rest.strip_prefix('/')).ok_or(TileError::Path)?;
        Ok(Self { span: Span::parse(rest)? })
    }
}

/// A tile or an entry bundle, for those who serve both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// Hashes.
    Tile(Tile),
    /// Entries.
    Bundle(EntryBundle),
}

impl Resource {
    /// Reads the path of either, in a log whose bundles are in `bundle_dir`.
    ///
    /// # Errors
    /// When it is the path of neither.
    pub fn parse(path: &str, bundle_dir: &str) -> Result<Self, TileError> {
        match EntryBundle::parse(path, bundle_dir) {
            Ok(bundle) => Ok(Self::Bundle(bundle)),
            Err(_) => Tile::parse(path).map(Self::Tile),
        }
    }
}

/// [`EntryBundle::path`] in a log of opaque entries; out-of-range widths and indices give a path that
/// nothing parses.
#[must_use]
pub fn entries_path(index: u64, width: u16) -> String {
    bundle_path(ENTRIES_DIR, index, width)
}

/// [`EntryBundle::path`] in a static-ct log.
#[must_use]
pub fn data_path(index: u64, width: u16) -> String {
    bundle_path(DATA_DIR, index, width)
}

/// [`EntryBundle::path`] under any directory ([`crate::leaf::Leaf::BUNDLE_DIR`]).
#[must_use]
pub fn bundle_path(dir: &str, index: u64, width: u16) -> String {
    EntryBundle { span: Span { index, width } }.path(dir)
}

/// The unfinished tile of each level of a tree of `size` leaves, lowest level first.
pub fn partial_tiles(size: u64) -> impl Iterator<Item = Tile> {
    levels().filter_map(move |level| {
        let nodes = nodes_at(size, level);
        Tile::new(level, nodes / u64::from(TILE_WIDTH), width(nodes % u64::from(TILE_WIDTH))).ok()
    })
}

/// Every tile of a tree of `size` leaves, level by level, lowest first; each level's unfinished tile
/// comes last in it.
pub fn tiles_for_size(size: u64) -> impl Iterator<Item = Tile> {
    tiles_since(0, size)
}

/// Every tile of a tree of `new` leaves that a tree of `old` leaves does not have.
pub fn tiles_since(old: u64, new: u64) -> impl Iterator<Item = Tile> {
    levels().flat_map(move |level| {
        spans_since(nodes_at(old, level), nodes_at(new, level)).map(move |span| Tile { level, span })
    })
}

/// Every entry bundle of a log of `new` entries that a log of `old` entries does not have.
pub fn bundles_since(old: u64, new: u64) -> impl Iterator<Item = EntryBundle> {
    spans_since(old, new).map(|span| EntryBundle { span })
}

/// Tile levels that a `u64` of leaves can reach.
fn levels() -> impl Iterator<Item = u8> {
    0..=u8::try_from(u64::BITS / u32::from(TILE_HEIGHT)).unwrap_or(TILE_HEIGHT)
}

/// Complete nodes that stand in tiles of this level.
fn nodes_at(size: u64, level: u8) -> u64 {
    size.checked_shr(u32::from(level) * u32::from(TILE_HEIGHT)).unwrap_or(0)
}

fn spans_since(old: u64, new: u64) -> impl Iterator<Item = Span> {
    let full = u64::from(TILE_WIDTH);
    let finished = (old / full..new / full).map(|index| Span { index, width: TILE_WIDTH });
    let last = if new > old { Span::new(new / full, width(new % full)).ok() } else { None };
    finished.chain(last)
}

/// A remainder by 256 as a width; 0 is the width of no tile.
fn width(remainder: u64) -> u16 {
    u16::try_from(remainder).unwrap_or(0)
}

impl Span {
    const fn new(index: u64, width: u16) -> Result<Self, TileError> {
        if index >= 1 << 56 {
            return Err(TileError::Index(index));
        }
        if width == 0 || width > TILE_WIDTH {
            return Err(TileError::Width(width));
        }
        Ok(Self { index, width })
    }

    /// Reads `x001/x234/067[.p/8]`.
    fn parse(text: &str) -> Result<Self, TileError> {
        let (index, width) = match text.split_once(".p/") {
            None => (text, TILE_WIDTH),
            Some((index, width)) => {
                let width = decimal(width, 3).and_then(|width| u16::try_from(width).ok());
                (index, width.filter(|width| (1..TILE_WIDTH).contains(width)).ok_or(TileError::Path)?)
            }
        };
        let mut groups = index.split('/').peekable();
        let mut value: u64 = 0;
        let mut first = true;
        while let Some(group) = groups.next() {
            let more = groups.peek().is_some();
            let digits = if more { group.strip_prefix('x') } else { Some(group) }.ok_or(TileError::Path)?;
            if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(TileError::Path);
            }
            let digits: u64 = digits.parse().map_err(|_| TileError::Path)?;
            // A leading x000 would be a second spelling.
            if first && more && digits == 0 {
                return Err(TileError::Path);
            }
            first = false;
            value = value
                .checked_mul(1000)
                .and_then(|v| v.checked_add(digits))
                .ok_or(TileError::Index(u64::MAX))?;
        }
        Self::new(value, width)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut divisor: u64 = 1;
        while self.index / divisor >= 1000 {
            divisor *= 1000;
        }
        while divisor > 1 {
            write!(f, "x{:03}/", self.index / divisor % 1000)?;
            divisor /= 1000;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if self.width == TILE_WIDTH { Ok(()) } else { write!(f, ".p/{}", self.width) }
    }
}

/// A decimal number in its shortest spelling, at most that many digits.
fn decimal(text: &str, most: usize) -> Option<u64> {
    let shortest = text == "0" || !text.starts_with('0');
    let digits = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if shortest && digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
