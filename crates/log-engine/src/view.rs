//! The published log as readers see it: one checkpoint and everything under it.
//!
//! A view never changes. What is unfinished in its tree it holds itself; what is finished is the same for every view
//! and comes from memory until the file is durable, and from the file afterwards. A partial tile or bundle is the
//! first elements of any wider one, so every width ever promised is served, also after the tile is full.
//!
//! Paths from outside are parsed into the few things a log has; nothing else is looked for, and nothing of what the
//! caller wrote is joined to a path.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::{Bytes, BytesMut};
use sealog_tlog::merkle::{NodeReader, ProveError, node_hash, prove_inclusion, root};
use sealog_tlog::tile::{CHECKPOINT_PATH, EntryBundle, Resource, TILE_HEIGHT, TILE_WIDTH, bundle_path};
use sealog_tlog::{Hash, InclusionProof, Leaf, LeafError, Tile};

use crate::error::ReadError;
use crate::reread::Reread;
use crate::storage::Objects;
use crate::tree::{FullFile, Tree};

const HASH_LEN: usize = 32;

/// Longest path segment of a side object.
const MAX_NAME_LEN: usize = 128;

/// What of the leaf kind reading needs.
#[derive(Clone, Copy)]
pub(crate) struct LeafKind {
    pub(crate) bundle_dir: &'static str,
    split_first: SplitFirst,
}

type SplitFirst = for<'a> fn(&'a [u8]) -> Result<(&'a [u8], &'a [u8]), LeafError>;

impl LeafKind {
    pub(crate) fn of<L: Leaf>() -> Self {
        Self { bundle_dir: L::BUNDLE_DIR, split_first: L::split_first }
    }
}

/// Finished files, shared by all views: those on their way to where they are kept, and there.
pub(crate) struct Store {
    objects: Arc<dyn Objects>,
    kind: LeafKind,
    /// By path, until the file is durable.
    fresh: RwLock<HashMap<String, Bytes>>,
    /// Files of the right length, read from where they are kept.
    reread: Reread,
}

impl Store {
    pub(crate) fn new(objects: Arc<dyn Objects>, kind: LeafKind) -> Self {
        Self { objects, kind, fresh: RwLock::new(HashMap::new()), reread: Reread::default() }
    }

    pub(crate) fn objects(&self) -> &dyn Objects {
        self.objects.as_ref()
    }

    /// How a person finds what readers ask for under `path`.
    pub(crate) fn path_of(&self, path: &str) -> PathBuf {
        self.objects.name(path)
    }

    pub(crate) fn kind(&self) -> LeafKind {
        self.kind
    }

    pub(crate) fn hold(&self, files: &[FullFile]) {
        if !files.is_empty() {
            let mut fresh = self.fresh.write().unwrap_or_else(PoisonError::into_inner);
            fresh.extend(files.iter().map(|file| (file.path.clone(), file.bytes.clone())));
        }
    }

    /// The files are durable: readers find them on the disk.
    pub(crate) fn release(&self, files: &[FullFile]) {
        let mut fresh = self.fresh.write().unwrap_or_else(PoisonError::into_inner);
        for file in files {
            fresh.remove(&file.path);
        }
    }

    /// A finished file, if it need not be read from where it is kept.
    fn held(&self, path: &str) -> Option<Bytes> {
        let fresh = self.fresh.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        fresh.or_else(|| self.reread.get(path))
    }

    /// A file that must be there, and look like `sound` says.
    fn full(&self, path: &str, sound: impl FnOnce(&Bytes) -> bool) -> Result<Bytes, ReadError> {
        if let Some(bytes) = self.held(path) {
            return Ok(bytes);
        }
        match self.kept(path)? {
            Some(bytes) if sound(&bytes) => {
                self.reread.put(path, bytes.clone());
                Ok(bytes)
            }
            _ => Err(ReadError::Damaged { path: self.path_of(path) }),
        }
    }

    /// The same, if it need not be waited for and `may` agrees to its length.
    fn full_at_once(
        &self,
        path: &str,
        may: &mut dyn FnMut(u64) -> bool,
        sound: impl FnOnce(&Bytes) -> bool,
    ) -> Option<Bytes> {
        if let Some(bytes) = self.held(path) {
            return may(bytes.len() as u64).then_some(bytes);
        }
        // What is not sound is read once more by whoever waits, and told as an error.
        let bytes = self.objects.read_at_once(path, may).filter(sound)?;
        self.reread.put(path, bytes.clone());
        Some(bytes)
    }

    /// What is kept under `path`.
    pub(crate) fn kept(&self, path: &str) -> Result<Option<Bytes>, ReadError> {
        self.objects.read(path).map_err(|source| ReadError::Io { path: self.path_of(path), source })
    }

    pub(crate) fn full_tile(&self, tile: Tile) -> Result<Bytes, ReadError> {
        self.full(&tile.full().path(), is_full_tile)
    }

    /// The nodes of `tile`, read from the one of the same place that is as wide as `kept`; `None` if it is not there.
    pub(crate) fn first_nodes(&self, tile: Tile, kept: Tile) -> Result<Option<Vec<Hash>>, ReadError> {
        let path = kept.path();
        let bytes = self.kept(&path)?;
        bytes.map(|bytes| self.hashes(&path, &bytes, tile.width())).transpose()
    }

    /// The nodes of many full tiles, those that are there.
    pub(crate) fn full_tiles(&self, tiles: &[Tile]) -> Result<Vec<Option<Vec<Hash>>>, ReadError> {
        let paths: Vec<_> = tiles.iter().map(|tile| tile.full().path()).collect();
        let read = self.objects.read_many(&paths);
        let read = read.map_err(|source| ReadError::Io { path: self.path_of("tile"), source })?;
        let hashes = paths
            .iter()
            .zip(read)
            .map(|(path, bytes)| bytes.map(|bytes| self.hashes(path, &bytes, TILE_WIDTH)).transpose());
        hashes.collect()
    }

    fn hashes(&self, path: &str, bytes: &[u8], width: u16) -> Result<Vec<Hash>, ReadError> {
        let hashes = bytes.as_chunks::<HASH_LEN>().0.get(..usize::from(width));
        let hashes = hashes.ok_or_else(|| ReadError::Damaged { path: self.path_of(path) })?;
        Ok(hashes.iter().copied().map(Hash).collect())
    }

    /// The first elements of a bundle, as many as it is wide: from the full bundle, else from the one of that width. And the
    /// path they were found under.
    pub(crate) fn first_elements(&self, bundle: EntryBundle) -> Result<(Vec<Bytes>, String), ReadError> {
        let [full, partial] = [bundle.full(), bundle].map(|bundle| bundle.path(self.kind.bundle_dir));
        // Another sequencer at work may have filled it meanwhile; only then does the partial one go.
        let mut found = None;
        for path in [&full, &partial, &full] {
            if let Some(bytes) = self.kept(path)? {
                found = Some((bytes, path.clone()));
                break;
            }
        }
        let damaged = |path: &str| ReadError::Damaged { path: self.path_of(path) };
        let (bytes, path) = found.ok_or_else(|| damaged(&partial))?;
        let mut elements = Vec::with_capacity(usize::from(bundle.width()));
        let mut rest: &[u8] = &bytes;
        for _ in 0..bundle.width() {
            let (element, behind) = (self.kind.split_first)(rest).map_err(|_| damaged(&path))?;
            elements.push(bytes.slice_ref(element));
            rest = behind;
        }
        Ok((elements, path))
    }

    pub(crate) fn full_bundle(&self, bundle: EntryBundle) -> Result<Bytes, ReadError> {
        self.full_bundle_at(&bundle.full().path(self.kind.bundle_dir))
    }

    fn full_bundle_at(&self, path: &str) -> Result<Bytes, ReadError> {
        self.full(path, |bytes| self.is_full_bundle(bytes))
    }

    fn is_full_bundle(&self, bytes: &Bytes) -> bool {
        self.element(bytes, TILE_WIDTH - 1).is_some_and(|(_, end)| end == bytes.len())
    }

    /// Byte range of element `n` in a bundle.
    pub(crate) fn element(&self, bytes: &[u8], n: u16) -> Option<(usize, usize)> {
        let mut rest = bytes;
        let mut start = 0;
        for _ in 0..n {
            let (element, behind) = (self.kind.split_first)(rest).ok()?;
            start += element.len();
            rest = behind;
        }
        let (element, _) = (self.kind.split_first)(rest).ok()?;
        Some((start, start + element.len()))
    }

    /// The first bytes of a full bundle, as many elements as `bundle` is wide.
    fn first_of(&self, bytes: &Bytes, bundle: EntryBundle) -> Option<Bytes> {
        if bundle.is_full() {
            return Some(bytes.clone());
        }
        self.element(bytes, bundle.width() - 1).map(|(_, end)| bytes.slice(..end))
    }

    /// All elements of full bundles that are kept, in the order asked for.
    pub(crate) fn elements(&self, bundles: &[EntryBundle]) -> Result<Vec<Vec<Bytes>>, ReadError> {
        let paths: Vec<_> = bundles.iter().map(|bundle| bundle.full().path(self.kind.bundle_dir)).collect();
        let read = self.objects.read_many(&paths);
        let read = read.map_err(|source| ReadError::Io { path: self.path_of("tile"), source })?;
        let elements = paths.iter().zip(read).map(|(path, bytes)| {
            let damaged = || ReadError::Damaged { path: self.path_of(path) };
            // On its way, perhaps, and not kept yet.
            let bytes = bytes.map_or_else(|| self.full_bundle_at(path), Ok)?;
            let mut elements = Vec::with_capacity(usize::from(TILE_WIDTH));
            let mut rest: &[u8] = &bytes;
            while !rest.is_empty() {
                let (element, behind) = (self.kind.split_first)(rest).map_err(|_| damaged())?;
                elements.push(bytes.slice_ref(element));
                rest = behind;
            }
            if elements.len() == usize::from(TILE_WIDTH) { Ok(elements) } else { Err(damaged()) }
        });
        elements.collect()
    }
}

/// One published state of the log. Cheap to hold; everything it names stays readable for ever.
pub struct View {
    checkpoint: Bytes,
    size: u64,
    root: Hash,
    /// Unfinished tiles by level.
    tiles: Vec<(u8, Bytes)>,
    /// Elements of the unfinished bundle.
    tail: Box<[Bytes]>,
    store: Arc<Store>,
}

impl View {
    pub(crate) fn new(tree: &Tree, root: Hash, checkpoint: Bytes, store: Arc<Store>) -> Self {
        Self {
            checkpoint,
            size: tree.size(),
            root,
            tiles: tree.partial_tiles(),
            tail: tree.tail().into(),
            store,
        }
    }

    /// The signed checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> &Bytes {
        &self.checkpoint
    }

    /// Entries in the log.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Root hash at [`size`](Self::size).
    #[must_use]
    pub const fn root(&self) -> Hash {
        self.root
    }

    /// What the log serves under `path`: `checkpoint`, `tile/…`, or a side object. `None`: no such thing.
    ///
    /// Finished tiles may be read from disk: not for an async thread that must not wait.
    ///
    /// # Errors
    /// When something the log promised cannot be read.
    pub fn read(&self, path: &str) -> Result<Option<Bytes>, ReadError> {
        if path == CHECKPOINT_PATH {
            return Ok(Some(self.checkpoint.clone()));
        }
        match Resource::parse(path, self.store.kind.bundle_dir) {
            Ok(Resource::Tile(tile)) => self.tile(tile),
            Ok(Resource::Bundle(bundle)) => self.bundle(bundle),
            Err(_) if is_side_object(path) => self.store.kept(path),
            Err(_) => Ok(None),
        }
    }

    /// What [`read`](Self::read) of this path says, if that need not be waited for: it is held here, or the kernel has it in
    /// memory. `may` is asked before anything is read, with the bytes of the file that the answer is a part of; where it says
    /// no, nothing is read.
    #[must_use]
    pub fn read_at_once(&self, path: &str, mut may: impl FnMut(u64) -> bool) -> Option<Option<Bytes>> {
        let store = &self.store;
        match Resource::parse(path, store.kind.bundle_dir) {
            Ok(Resource::Tile(tile)) if tile.index() < self.full_count(tile.level()) => {
                let full = full_path(path, tile.width(), || tile.full().path());
                let bytes = store.full_at_once(&full, &mut may, is_full_tile)?;
                Some(first_hashes(&bytes, tile.width()))
            }
            Ok(Resource::Bundle(bundle)) if bundle.index() < self.full_count(0) => {
                let full = full_path(path, bundle.width(), || bundle.full().path(store.kind.bundle_dir));
                let bytes = store.full_at_once(&full, &mut may, |bytes| store.is_full_bundle(bytes))?;
                store.first_of(&bytes, bundle).map(Some)
            }
            Err(_) if is_side_object(path) => store.objects.read_at_once(path, &mut may).map(Some),
            // In this view, or nowhere.
            _ => match self.read(path).ok()? {
                Some(bytes) => may(bytes.len() as u64).then_some(Some(bytes)),
                None => Some(None),
            },
        }
    }

    /// Bytes of the file that the answer to [`read`](Self::read) is a part of, where that can be told without reading it.
    ///
    /// May ask the disk, as [`read`](Self::read) does.
    ///
    /// # Errors
    /// When something the log promised cannot be looked at.
    pub fn length(&self, path: &str) -> Result<Option<u64>, ReadError> {
        let store = &self.store;
        let kept = match Resource::parse(path, store.kind.bundle_dir) {
            Ok(Resource::Bundle(bundle)) if bundle.index() < self.full_count(0) => {
                bundle.full().path(store.kind.bundle_dir)
            }
            Ok(Resource::Tile(_)) => return Ok(Some(u64::from(TILE_WIDTH) * HASH_LEN as u64)),
            Err(_) if is_side_object(path) => path.to_owned(),
            _ => return Ok(None),
        };
        let length = store.objects.length(&kept);
        length.map_err(|source| ReadError::Io { path: store.path_of(&kept), source })
    }

    /// Whether files are asked for over a network, where each may take seconds.
    #[must_use]
    pub fn is_far(&self) -> bool {
        self.store.objects.are_far()
    }

    /// The element at this leaf index as it stands in its bundle, framing included.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn element(&self, index: u64) -> Result<Option<Bytes>, ReadError> {
        if index >= self.size {
            return Ok(None);
        }
        let (bundle, n) = (index / u64::from(TILE_WIDTH), index % u64::from(TILE_WIDTH));
        if bundle >= self.full_count(0) {
            return Ok(usize::try_from(n).ok().and_then(|n| self.tail.get(n)).cloned());
        }
        let Ok(bundle) = EntryBundle::new(bundle, TILE_WIDTH) else { return Ok(None) };
        let bytes = self.store.full_bundle(bundle)?;
        let (start, end) =
            u16::try_from(n).ok().and_then(|n| self.store.element(&bytes, n)).ok_or_else(|| {
                ReadError::Damaged { path: self.store.path_of(&bundle.path(self.store.kind.bundle_dir)) }
            })?;
        Ok(Some(bytes.slice(start..end)))
    }

    /// The hash of this leaf as its tile has it; `None` if the view does not have the leaf.
    pub(crate) fn leaf_hash(&self, index: u64) -> Result<Option<Hash>, ReadError> {
        if index >= self.size {
            return Ok(None);
        }
        Nodes::of(self).node(0, index).map(Some)
    }

    /// The bundle of this leaf does not have what was signed.
    pub(crate) fn damaged_bundle(&self, index: u64) -> ReadError {
        let path = bundle_path(self.store.kind.bundle_dir, index / u64::from(TILE_WIDTH), TILE_WIDTH);
        ReadError::Damaged { path: self.store.path_of(&path) }
    }

    /// The proof of this leaf, made from the tiles that are kept, is not one of what was signed.
    pub(crate) fn damaged_proof(&self, index: u64) -> ReadError {
        let path = format!("a tile in the proof of leaf {index}");
        ReadError::Damaged { path: self.store.path_of("tile").join(path) }
    }

    /// Proof that leaf `index` is under this view's checkpoint; `None` if it is not.
    ///
    /// # Errors
    /// When a tile cannot be read.
    pub fn prove_inclusion(&self, index: u64) -> Result<Option<InclusionProof>, ReadError> {
        match prove_inclusion(index, self.size, &Nodes::of(self)) {
            Ok(proof) => Ok(Some(proof)),
            Err(ProveError::Read(e)) => Err(e),
            Err(_) => Ok(None),
        }
    }

    /// Root hash of the first `size` entries; `None` if the log is smaller.
    ///
    /// # Errors
    /// When a tile cannot be read.
    pub fn root_at(&self, size: u64) -> Result<Option<Hash>, ReadError> {
        if size > self.size {
            return Ok(None);
        }
        root(size, &Nodes::of(self)).map(Some)
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Unfinished files under this checkpoint, as other readers need them.
    pub(crate) fn partial_files(&self) -> Vec<FullFile> {
        let mut files = Vec::new();
        if let Ok(width) = u16::try_from(self.tail.len())
            && let Ok(bundle) = EntryBundle::new(self.full_count(0), width)
        {
            let path = bundle.path(self.store.kind.bundle_dir);
            files.push(FullFile { path, bytes: self.tail.concat().into() });
        }
        for (level, bytes) in &self.tiles {
            if let Ok(width) = u16::try_from(bytes.len() / HASH_LEN)
                && let Ok(tile) = Tile::new(*level, self.full_count(*level), width)
            {
                files.push(FullFile { path: tile.path(), bytes: bytes.clone() });
            }
        }
        files
    }

    fn tile(&self, tile: Tile) -> Result<Option<Bytes>, ReadError> {
        let bytes = if tile.index() < self.full_count(tile.level()) {
            self.store.full_tile(tile)?
        } else if tile.index() == self.full_count(tile.level()) {
            match self.tiles.iter().find(|(level, _)| *level == tile.level()) {
                Some((_, bytes)) => bytes.clone(),
                None => return Ok(None),
            }
        } else {
            return Ok(None);
        };
        Ok(first_hashes(&bytes, tile.width()))
    }

    fn bundle(&self, bundle: EntryBundle) -> Result<Option<Bytes>, ReadError> {
        let full = self.full_count(0);
        if bundle.index() == full {
            let elements = self.tail.get(..usize::from(bundle.width()));
            return Ok(elements.map(|elements| {
                let mut out = BytesMut::with_capacity(elements.iter().map(Bytes::len).sum());
                elements.iter().for_each(|element| out.extend_from_slice(element));
                out.freeze()
            }));
        }
        if bundle.index() > full {
            return Ok(None);
        }
        let bytes = self.store.full_bundle(bundle)?;
        let first = self.store.first_of(&bytes, bundle).ok_or_else(|| ReadError::Damaged {
            path: self.store.path_of(&bundle.full().path(self.store.kind.bundle_dir)),
        })?;
        Ok(Some(first))
    }

    /// Finished tiles of a tile level.
    fn full_count(&self, level: u8) -> u64 {
        let bits = (u32::from(level) + 1) * u32::from(TILE_HEIGHT);
        self.size.checked_shr(bits).unwrap_or(0)
    }
}

fn is_full_tile(bytes: &Bytes) -> bool {
    bytes.len() == usize::from(TILE_WIDTH) * HASH_LEN
}

/// The path of the full tile or bundle of this one, which has so many elements. Every resource has one spelling.
fn full_path(path: &str, width: u16, full: impl FnOnce() -> String) -> Cow<'_, str> {
    if width == TILE_WIDTH { Cow::Borrowed(path) } else { Cow::Owned(full()) }
}

/// The first hashes of a tile, as many as asked for, if it has them.
fn first_hashes(bytes: &Bytes, width: u16) -> Option<Bytes> {
    let wanted = usize::from(width) * HASH_LEN;
    (wanted <= bytes.len()).then(|| bytes.slice(..wanted))
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("size", &self.size).field("root", &self.root).finish_non_exhaustive()
    }
}

/// The nodes of a view's tree, each tile read once.
struct Nodes<'a> {
    view: &'a View,
    read: RefCell<HashMap<(u8, u64), Bytes>>,
}

impl<'a> Nodes<'a> {
    fn of(view: &'a View) -> Self {
        Self { view, read: RefCell::new(HashMap::new()) }
    }

    fn bytes(&self, level: u8, index: u64) -> Result<Bytes, ReadError> {
        if let Some(bytes) = self.read.borrow().get(&(level, index)) {
            return Ok(bytes.clone());
        }
        let view = self.view;
        let bytes = if index < view.full_count(level) {
            let tile = Tile::new(level, index, TILE_WIDTH).map_err(|_| self.damaged(level, index))?;
            view.store.full_tile(tile)?
        } else {
            let held = view.tiles.iter().find(|(held, _)| *held == level);
            held.map(|(_, bytes)| bytes.clone()).ok_or_else(|| self.damaged(level, index))?
        };
        self.read.borrow_mut().insert((level, index), bytes.clone());
        Ok(bytes)
    }

    fn damaged(&self, level: u8, index: u64) -> ReadError {
        let path = format!("tile/{level}/{index}");
        ReadError::Damaged { path: self.view.store.path_of(&path) }
    }
}

impl NodeReader for Nodes<'_> {
    type Error = ReadError;

    fn node(&self, level: u8, index: u64) -> Result<Hash, ReadError> {
        let (tile_level, height) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        let first = index << height;
        let (tile, offset) = (first / u64::from(TILE_WIDTH), first % u64::from(TILE_WIDTH));
        let bytes = self.bytes(tile_level, tile)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let hashes = bytes.as_chunks::<HASH_LEN>().0.get(from..).and_then(|rest| rest.get(..1 << height));
        let hashes = hashes.ok_or_else(|| self.damaged(tile_level, tile))?;
        subtree_root(hashes).ok_or_else(|| self.damaged(tile_level, tile))
    }
}

/// Root over a power of two of nodes of one level.
pub(crate) fn subtree_root(hashes: &[[u8; HASH_LEN]]) -> Option<Hash> {
    match hashes {
        [] => None,
        [hash] => Some(Hash(*hash)),
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            Some(node_hash(&subtree_root(left)?, &subtree_root(right)?))
        }
    }
}

/// `<directory>/<name>`, both of plain lower-case words, and not where tiles are: what a leaf kind may store and a
/// reader may ask for. No dot can occur, so neither can a path outside.
pub(crate) fn is_side_object(path: &str) -> bool {
    let plain = |part: &str| {
        (1..=MAX_NAME_LEN).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    path.split_once('/').is_some_and(|(dir, name)| plain(dir) && plain(name) && dir != "tile")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn side_objects_have_plain_names() {
        assert!(is_side_object("issuer/0a1b"));
        for path in [
            "",
            "issuer",
            "issuer/",
            "/issuer",
            "issuer/../x",
            "issuer/a/b",
            "tile/0",
            "tile/x",
            "a/.b",
            "A/b",
            "a/b\0",
        ] {
            assert!(!is_side_object(path), "{path}");
        }
        assert!(!is_side_object(&format!("a/{}", "b".repeat(129))));
    }
}
