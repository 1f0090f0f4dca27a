//! A whole log read from its public files, from the first entry to the last, and everything in them recomputed.
//!
//! Every entry is hashed into the tree, every tile compared with the recomputed one, every side object with its
//! fingerprint, and the root hash with the checkpoint's. Whoever reads (`fsck`, an export, a backup, a restore) is shown
//! each file once it is known to be right, and never one that is not.
//!
//! A file that disagrees is named, with the byte from which on it does. Where an entry and its leaf hash disagree, the
//! hashes above decide which of the two files was changed.

use std::collections::BTreeMap;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use sealog_crypto::sha256;
use sealog_tlog::checkpoint::CheckpointError;
use sealog_tlog::note::KeyVerifier;
use sealog_tlog::tile::{CHECKPOINT_PATH, EntryBundle, TILE_WIDTH, bundles_since};
use sealog_tlog::{Edge, Hash, Leaf, LeafError, SignedCheckpoint, Tile};

use crate::storage::Objects;
use crate::view::subtree_root;

/// Bundles read at a time: one request each, of up to 16 MiB.
const AT_A_TIME: usize = 16;
const HASH_LEN: usize = 32;

/// Where the public files of a log are read.
pub trait PublicFiles {
    /// The contents, in the order asked for; `None` where nothing is.
    ///
    /// # Errors
    /// When one of them cannot be read.
    fn read(&self, paths: &[String]) -> io::Result<Vec<Option<Bytes>>>;

    /// How a person finds one.
    fn name(&self, path: &str) -> String;
}

/// Those of a log's place.
pub(crate) struct Kept(pub(crate) Arc<dyn Objects>);

impl PublicFiles for Kept {
    fn read(&self, paths: &[String]) -> io::Result<Vec<Option<Bytes>>> {
        self.0.read_many(paths)
    }

    fn name(&self, path: &str) -> String {
        self.0.name(path).display().to_string()
    }
}

/// What of a log does not hold, or could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unsound {
    /// Something that the checkpoint promises is not there.
    #[error("{path} is missing")]
    Missing {
        /// The file.
        path: String,
    },
    /// A checkpoint that is none, or not by the log's key.
    #[error("{path} does not hold")]
    Checkpoint {
        /// The file.
        path: String,
        /// Why.
        source: CheckpointError,
    },
    /// A bundle that is not one.
    #[error("{path} cannot be read as entries from byte {byte} on")]
    Entries {
        /// The file.
        path: String,
        /// Where the first entry begins that is none.
        byte: usize,
        /// Why.
        source: LeafError,
    },
    /// A file of another length.
    #[error("{path} has {found} bytes, expected {expected}")]
    Length {
        /// The file.
        path: String,
        /// Bytes that its elements have.
        expected: usize,
        /// Bytes that it has.
        found: usize,
    },
    /// An entry that is not the one that was logged.
    #[error("{path}: entry {index}, bytes {} to {}, is not the one that was logged", bytes.start, bytes.end)]
    Entry {
        /// The bundle.
        path: String,
        /// The entry's leaf index.
        index: u64,
        /// Where it is in the bundle.
        bytes: Range<usize>,
    },
    /// What stands beside an entry, and is not covered by its leaf hash, does not belong to it.
    #[error("{path}: entry {index}, bytes {} to {}: {what}", bytes.start, bytes.end)]
    Beside {
        /// The bundle.
        path: String,
        /// The entry's leaf index.
        index: u64,
        /// Where it is in the bundle.
        bytes: Range<usize>,
        /// What of it.
        what: String,
    },
    /// A tile with other hashes than the entries lead to.
    #[error("{path} is not what its entries lead to, from byte {byte} on")]
    Tile {
        /// The tile.
        path: String,
        /// The first byte that is another one.
        byte: usize,
    },
    /// A side object with another content.
    #[error("{path} has SHA-256 {found}")]
    SideObject {
        /// The object.
        path: String,
        /// Of its content.
        found: Hash,
    },
    /// The tree of the entries is another than the one that was signed.
    #[error("{path}: root hash at tree size {size}: expected {expected} (signed), found {found} (entries)")]
    Root {
        /// The checkpoint.
        path: String,
        /// Entries.
        size: u64,
        /// In the checkpoint.
        expected: Hash,
        /// Recomputed.
        found: Hash,
    },
    /// Where a file was to be written is another one, which is left as it is.
    #[error("{path} is there, with another content")]
    Taken {
        /// The file.
        path: String,
    },
    /// A file could not be read or written.
    #[error("could not {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// The refusal.
        source: io::Error,
    },
}

/// A public file that is right.
#[derive(Debug, Clone)]
pub struct SoundFile {
    /// Relative to the log's URL.
    pub path: String,
    /// Exactly what a log of this checkpoint has there.
    pub bytes: Bytes,
}

/// What a whole reading found.
#[derive(Debug, Clone)]
pub struct Sound {
    /// The log's name.
    pub origin: String,
    /// Entries.
    pub size: u64,
    /// The root hash, as signed and as recomputed.
    pub root: Hash,
    /// Tiles compared.
    pub tiles: u64,
    /// Side objects compared.
    pub side_objects: u64,
    /// The latest time of a leaf, in milliseconds since 1970, where leaves have one.
    pub latest_ms: Option<u64>,
}

/// Is shown files that are right, those of a bundle together.
pub type Show<'a> = dyn FnMut(Vec<SoundFile>) -> Result<(), Unsound> + 'a;

/// Holds what a leaf hash does not cover of an element (the bytes of a precertificate, the fingerprints of issuers) against
/// what it does: asked with the element and the contents of its side objects, it says what is wrong.
pub type Beside<'a> = dyn Fn(&[u8], &[Bytes]) -> Result<(), String> + 'a;

/// [`Beside`] for leaves whose hash covers all of them.
///
/// # Errors
/// Never.
pub const fn nothing_beside(_element: &[u8], _side_objects: &[Bytes]) -> Result<(), String> {
    Ok(())
}

/// Another checkpoint of the log, which must be one of the same tree.
#[derive(Debug, Clone)]
pub struct Known {
    /// Where it is remembered.
    pub path: String,
    /// Its size.
    pub size: u64,
    /// Its root hash.
    pub root: Hash,
}

/// The published checkpoint; verified, if the key is known.
///
/// # Errors
/// See [`Unsound`].
pub fn read_checkpoint(
    files: &dyn PublicFiles,
    key: Option<&KeyVerifier>,
) -> Result<(SignedCheckpoint, Bytes), Unsound> {
    let path = CHECKPOINT_PATH.to_owned();
    let bytes = read_one(files, &path)?.ok_or_else(|| Unsound::Missing { path: files.name(&path) })?;
    Ok((verify_checkpoint(&bytes, &files.name(&path), key)?, bytes))
}

/// The checkpoint in these bytes, which were read at `path`.
///
/// # Errors
/// When it is none, or not signed by the key.
pub fn verify_checkpoint(
    bytes: &[u8],
    path: &str,
    key: Option<&KeyVerifier>,
) -> Result<SignedCheckpoint, Unsound> {
    let wrong = |source| Unsound::Checkpoint { path: path.to_owned(), source };
    let signed = SignedCheckpoint::parse(bytes).map_err(wrong)?;
    if let Some(key) = key {
        signed.verify(key).map_err(wrong)?;
    }
    Ok(signed)
}

fn read_one(files: &dyn PublicFiles, path: &str) -> Result<Option<Bytes>, Unsound> {
    let read = files.read(&[path.to_owned()]).map_err(|source| failed("read", files.name(path), source))?;
    Ok(read.into_iter().next().flatten())
}

pub(crate) fn failed(action: &'static str, path: String, source: io::Error) -> Unsound {
    Unsound::Io { action, path, source }
}

/// Reads everything under a checkpoint and shows it, but for the checkpoint itself. With `before`, only what is behind
/// that tree, whose size is a multiple of 256. Trees that are known besides must be passed on the way.
///
/// # Errors
/// For the first thing that does not hold, or that could not be read or shown.
pub fn read_log<L: Leaf>(
    files: &dyn PublicFiles,
    signed: &SignedCheckpoint,
    before: Edge,
    known: &[Known],
    beside: &Beside<'_>,
    show: &mut Show<'_>,
) -> Result<Sound, Unsound> {
    let checkpoint = &signed.checkpoint;
    let from = before.size();
    let sound = Sound {
        origin: checkpoint.origin.clone(),
        size: checkpoint.size,
        root: checkpoint.root,
        tiles: 0,
        side_objects: 0,
        latest_ms: None,
    };
    let mut reading = Reading::<L> {
        files,
        signed,
        known,
        beside,
        edge: before,
        seen: BTreeMap::new(),
        ready: Vec::new(),
        show,
        sound,
        leaf: PhantomData,
    };
    reading.pass_known()?;
    let mut bundles = bundles_since(from, checkpoint.size).peekable();
    while bundles.peek().is_some() {
        let some: Vec<EntryBundle> = bundles.by_ref().take(AT_A_TIME).collect();
        let paths: Vec<String> = some.iter().map(|bundle| bundle.path(L::BUNDLE_DIR)).collect();
        let read = files.read(&paths).map_err(|source| failed("read", files.name("tile"), source))?;
        for ((bundle, path), bytes) in some.into_iter().zip(paths).zip(read) {
            let full = bundle.full().path(L::BUNDLE_DIR);
            let (bytes, path) = reading.or_full(bytes, path, full)?;
            reading.take(bundle, bytes, &path)?;
        }
    }
    reading.finish()
}

struct Reading<'a, L: Leaf> {
    files: &'a dyn PublicFiles,
    signed: &'a SignedCheckpoint,
    known: &'a [Known],
    beside: &'a Beside<'a>,
    edge: Edge,
    /// Side objects by their fingerprints.
    seen: BTreeMap<[u8; HASH_LEN], Bytes>,
    /// Right, and to be shown when all of its bundle is.
    ready: Vec<SoundFile>,
    show: &'a mut Show<'a>,
    sound: Sound,
    leaf: PhantomData<L>,
}

/// An entry and where it stands in its bundle.
struct Element {
    bytes: Range<usize>,
    leaf_hash: Hash,
    /// Its side objects, with their fingerprints.
    sides: Vec<(String, [u8; HASH_LEN])>,
}

impl<L: Leaf> Reading<'_, L> {
    /// Hashes a bundle's entries into the tree and compares the tiles they finish.
    fn take(&mut self, bundle: EntryBundle, bytes: Bytes, path: &str) -> Result<(), Unsound> {
        let before = self.edge.clone();
        let wanted = usize::from(bundle.width());
        let mut elements: Vec<Element> = Vec::with_capacity(wanted);
        let mut at = 0;
        while elements.len() < wanted {
            let wrong = |source| Unsound::Entries { path: self.files.name(path), byte: at, source };
            let rest = bytes.get(at..).unwrap_or_default();
            let (element, _) = L::split_first(rest).map_err(wrong)?;
            let leaf_hash = L::leaf_hash(element).map_err(wrong)?;
            let sides = L::side_paths(element).map_err(wrong)?;
            self.sound.latest_ms = self.sound.latest_ms.max(L::time_of(element).map_err(wrong)?);
            elements.push(Element { bytes: at..at + element.len(), leaf_hash, sides });
            at += element.len();
        }
        // A full bundle may stand for the partial one that it grew from.
        let is_own = *path == bundle.path(L::BUNDLE_DIR);
        if is_own && at != bytes.len() {
            return Err(Unsound::Length { path: self.files.name(path), expected: at, found: bytes.len() });
        }
        let mut other = Ok(());
        for element in &elements {
            self.edge.push(element.leaf_hash);
            other = other.and_then(|()| self.pass_known());
        }
        // A changed entry is said first: it makes another tree of the whole.
        self.compare_leaves(bundle, &before, &elements, path)?;
        other?;
        for (tile, recomputed) in self.edge.full_tiles_since(before.size()) {
            self.compare(tile, recomputed)?;
        }
        self.edge.trim();
        let first = bundle.index() * u64::from(TILE_WIDTH);
        for (index, element) in (first..).zip(elements) {
            let sides = self.compare_sides(element.sides)?;
            let of_element = bytes.get(element.bytes.clone()).unwrap_or_default();
            (self.beside)(of_element, &sides).map_err(|what| {
                let (path, bytes) = (self.files.name(path), element.bytes);
                Unsound::Beside { path, index, bytes, what }
            })?;
        }
        self.ready.push(SoundFile { path: bundle.path(L::BUNDLE_DIR), bytes: bytes.slice(..at) });
        if bundle.is_full() {
            (self.show)(std::mem::take(&mut self.ready))?;
        }
        Ok(())
    }

    /// The leaf hashes of a bundle against their tile; where they disagree, whatever is above says which is wrong.
    fn compare_leaves(
        &mut self,
        bundle: EntryBundle,
        before: &Edge,
        elements: &[Element],
        path: &str,
    ) -> Result<(), Unsound> {
        let Ok(tile) = Tile::new(0, bundle.index(), bundle.width()) else { return Ok(()) };
        let (published, tile_path) = self.read_tile(tile)?;
        let hashes = published.as_chunks::<HASH_LEN>().0;
        let differs = elements.iter().zip(hashes).position(|(element, hash)| element.leaf_hash.0 != *hash);
        let Some(n) = differs else { return Ok(()) };
        let first = elements.iter().zip(hashes).nth(n);
        let wrong_tile = || {
            let within = first.map_or(0, |(element, hash)| {
                element.leaf_hash.0.iter().zip(hash).take_while(|(a, b)| a == b).count()
            });
            Unsound::Tile { path: self.files.name(&tile_path), byte: n * HASH_LEN + within }
        };
        let Some(published) = hashes.get(..elements.len()) else { return Err(wrong_tile()) };
        if !self.vouched_for(tile, before, published)? {
            return Err(wrong_tile());
        }
        let bytes = first.map_or(0..0, |(element, _)| element.bytes.clone());
        let index = bundle.index() * u64::from(TILE_WIDTH) + n as u64;
        Err(Unsound::Entry { path: self.files.name(path), index, bytes })
    }

    /// Whether the tile above, or the root hash, is made of these leaf hashes.
    fn vouched_for(&self, tile: Tile, before: &Edge, published: &[[u8; HASH_LEN]]) -> Result<bool, Unsound> {
        let checkpoint = &self.signed.checkpoint;
        if !tile.is_full() || checkpoint.size == before.size() + u64::from(TILE_WIDTH) {
            let mut edge = before.clone();
            published.iter().for_each(|hash| edge.push(Hash(*hash)));
            return Ok(edge.root() == checkpoint.root);
        }
        let width = u64::from(TILE_WIDTH);
        let above = (checkpoint.size / width).saturating_sub(tile.index() / width * width).min(width);
        let above =
            u16::try_from(above).ok().and_then(|above| Tile::new(1, tile.index() / width, above).ok());
        let Some(above) = above else { return Ok(false) };
        let (hashes, _) = self.read_tile(above)?;
        let at = usize::try_from(tile.index() % width).unwrap_or(usize::MAX);
        let hash = hashes.as_chunks::<HASH_LEN>().0.get(at);
        Ok(hash.is_some() && subtree_root(published).map(|hash| hash.0).as_ref() == hash)
    }

    /// The published tile must be the recomputed one.
    fn compare(&mut self, tile: Tile, recomputed: Vec<u8>) -> Result<(), Unsound> {
        // Those of the lowest level were compared with their bundle.
        if tile.level() > 0 {
            let (published, path) = self.read_tile(tile)?;
            if published.get(..recomputed.len()) != Some(recomputed.as_slice()) {
                let byte = published.iter().zip(&recomputed).take_while(|(a, b)| a == b).count();
                return Err(Unsound::Tile { path: self.files.name(&path), byte });
            }
        }
        self.sound.tiles += 1;
        self.ready.push(SoundFile { path: tile.path(), bytes: recomputed.into() });
        Ok(())
    }

    /// A tile, or the full one that it has become, and its path.
    fn read_tile(&self, tile: Tile) -> Result<(Bytes, String), Unsound> {
        let path = tile.path();
        let (bytes, path) = self.or_full(read_one(self.files, &path)?, path, tile.full().path())?;
        let is_own = path == tile.path();
        let expected = usize::from(if is_own { tile.width() } else { TILE_WIDTH }) * HASH_LEN;
        match bytes.len() == expected {
            true => Ok((bytes, path)),
            false => Err(Unsound::Length { path: self.files.name(&path), expected, found: bytes.len() }),
        }
    }

    /// A partial file may have given way to the full one, which begins with it.
    fn or_full(&self, read: Option<Bytes>, path: String, full: String) -> Result<(Bytes, String), Unsound> {
        if let Some(bytes) = read {
            return Ok((bytes, path));
        }
        match read_one(self.files, &full)? {
            Some(bytes) => Ok((bytes, full)),
            None => Err(Unsound::Missing { path: self.files.name(&path) }),
        }
    }

    /// The side objects of an element.
    fn compare_sides(&mut self, sides: Vec<(String, [u8; HASH_LEN])>) -> Result<Vec<Bytes>, Unsound> {
        let mut contents = Vec::with_capacity(sides.len());
        for (path, fingerprint) in sides {
            if let Some(bytes) = self.seen.get(&fingerprint) {
                contents.push(bytes.clone());
                continue;
            }
            let missing = || Unsound::Missing { path: self.files.name(&path) };
            let bytes = read_one(self.files, &path)?.ok_or_else(missing)?;
            let found = sha256(&bytes);
            if found != fingerprint {
                return Err(Unsound::SideObject { path: self.files.name(&path), found: Hash(found) });
            }
            self.seen.insert(fingerprint, bytes.clone());
            self.sound.side_objects += 1;
            contents.push(bytes.clone());
            self.ready.push(SoundFile { path, bytes });
        }
        Ok(contents)
    }

    /// The trees that are known besides.
    fn pass_known(&self) -> Result<(), Unsound> {
        for Known { path, size, root } in self.known {
            if *size == self.edge.size() && self.edge.root() != *root {
                let (path, expected, found) = (path.clone(), *root, self.edge.root());
                return Err(Unsound::Root { path, size: *size, expected, found });
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Sound, Unsound> {
        for (tile, bytes) in self.edge.partial_tiles() {
            self.compare(tile, bytes)?;
        }
        let found = self.edge.root();
        if found != self.sound.root {
            let (path, expected) = (self.files.name(CHECKPOINT_PATH), self.sound.root);
            return Err(Unsound::Root { path, size: self.sound.size, expected, found });
        }
        if !self.ready.is_empty() {
            (self.show)(std::mem::take(&mut self.ready))?;
        }
        Ok(self.sound)
    }
}
