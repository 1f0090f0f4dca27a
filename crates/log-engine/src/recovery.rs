//! Starting from what a directory holds, however the last process ended.
//!
//! The write-ahead log is replayed through the same stage and apply that made it, and everything recomputed is compared
//! with everything remembered: each record's signed checkpoint, the full tiles, the published checkpoint, the one kept
//! beside the key, and the newest record's signature is verified. Only after all of it agrees is anything changed. The one
//! thing dropped is a torn last record, which nobody was ever told of.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sealog_tlog::merkle::EdgeError;
use sealog_tlog::tile::{CHECKPOINT_PATH, EntryBundle, TILE_WIDTH, bundle_path};
use sealog_tlog::{Edge, Hash, Leaf, SignedCheckpoint, Tile};

use crate::disk::Disk;
use crate::error::{Evidence, IoContext, OpenError, ReadError};
use crate::files;
use crate::flusher::write_full;
use crate::index::{DiskDir, OpenIndexError, Shape, Stop, Worker};
use crate::settings::Settings;
use crate::storage::{Storage, Torn};
use crate::tree::{FullFile, Tree};
use crate::view::{Store, View, subtree_root};
use crate::wal::Record;

/// Bundles read at one time to fill the index: some megabytes.
const READ_AT_ONCE: usize = 32;

/// The committed log, read back and found right.
pub(crate) struct Recovered {
    pub(crate) tree: Tree,
    pub(crate) view: Arc<View>,
    pub(crate) last_time_ms: u64,
}

/// Reads the log back and compares; then takes it, and writes what had not become files yet.
pub(crate) fn recover<L: Leaf>(
    storage: &mut dyn Storage,
    store: &Arc<Store>,
    settings: &Settings,
) -> Result<Recovered, OpenError> {
    let ReadBack { tree, view, last_time_ms, published, remembered, there, missing } =
        read_back::<L>(storage, store, settings)?;
    // Its entries may be in tiles, and then nothing is lost; but whether they are, nobody can tell from here.
    if let Some(torn) = storage.torn().filter(|torn| torn.was_record) {
        return Err(damaged_record(torn, "there are later ones"));
    }
    // A log that was made just now has published nothing yet.
    if published && !remembered {
        tracing::warn!(
            path = %settings.first_seen.display(), size = view.size(),
            "no checkpoint of this log is remembered beside its key; an old backup could not be told from the log"
        );
    }

    // From here on the log answers for what it read.
    storage.take()?;
    let failed = |error: io::Result<()>| error.at("write tiles under", &store.path_of(""));
    failed(write_full(store, &missing))?;
    // A file is synced before it gets its name, but the last process may have ended before the name was durable.
    failed(store.objects().keep_names(&there))?;
    store.release(&there);
    store.release(&missing);
    Ok(Recovered { tree, view, last_time_ms })
}

/// The committed log as it was read back and found right; nothing was changed.
pub(crate) struct ReadBack {
    pub(crate) tree: Tree,
    pub(crate) view: Arc<View>,
    pub(crate) last_time_ms: u64,
    /// Whether there is a published checkpoint, and one beside the key.
    pub(crate) published: bool,
    pub(crate) remembered: bool,
    /// Finished files of the records that are where they belong, and those that are not yet.
    there: Vec<FullFile>,
    missing: Vec<FullFile>,
}

/// Reads the log back and compares. Until they are released, finished files are read from memory.
pub(crate) fn read_back<L: Leaf>(
    storage: &mut dyn Storage,
    store: &Arc<Store>,
    settings: &Settings,
) -> Result<ReadBack, OpenError> {
    let (tree, replay) = replay::<L>(storage, store, settings)?;
    store.hold(&replay.full);
    let view = Arc::new(View::new(&tree, replay.root, replay.checkpoint, Arc::clone(store)));

    let checkpoint = store.kept(CHECKPOINT_PATH).map_err(from_read)?;
    let path = store.path_of(CHECKPOINT_PATH);
    let published = compare_remembered(&view, checkpoint.as_deref(), &path, Evidence::Published, settings)?;
    let path = &settings.first_seen;
    let seen = files::read_if_there(storage.disk().as_ref(), path).at("read", path)?;
    let remembered = compare_remembered(&view, seen.as_deref(), path, Evidence::FirstSeen, settings)?;
    refuse_tiles_beyond(&view)?;
    let (there, missing) = compare_full(store, replay.full)?;
    Ok(ReadBack { tree, view, last_time_ms: replay.time_ms, published, remembered, there, missing })
}

/// What replaying the records leaves besides the tree.
struct Replay {
    root: Hash,
    checkpoint: Bytes,
    time_ms: u64,
    full: Vec<FullFile>,
}

fn replay<L: Leaf>(
    storage: &mut dyn Storage,
    store: &Store,
    settings: &Settings,
) -> Result<(Tree, Replay), OpenError> {
    let name = storage.name();
    let mut state: Option<(Tree, Replay)> = None;
    storage.scan(&mut |record| {
        let (mut tree, mut replay) = match state.take() {
            Some(state) => state,
            None => {
                let tree = tree_before::<L>(store, record.head.first)?;
                let nothing =
                    Replay { root: Hash([0; 32]), checkpoint: Bytes::new(), time_ms: 0, full: Vec::new() };
                (tree, nothing)
            }
        };
        apply_record::<L>(&mut tree, &mut replay, record, &name, settings)?;
        state = Some((tree, replay));
        Ok(())
    })?;
    let (tree, replay) = state.ok_or_else(|| OpenError::Disagreement {
        path: name.clone(),
        evidence: Evidence::Order,
        expected: "at least one record".to_owned(),
        found: "none".to_owned(),
    })?;
    refuse_unsigned(&replay.checkpoint, &name, settings)?;
    Ok((tree, replay))
}

/// The newest checkpoint is published again, and served as the log's word, without being made again: so its signature is
/// looked at. Those of the records before it nobody will ever be shown; their roots were compared.
fn refuse_unsigned(checkpoint: &[u8], name: &Path, settings: &Settings) -> Result<(), OpenError> {
    let Some(key) = settings.signers.first() else { return Ok(()) };
    let signed = SignedCheckpoint::parse(checkpoint).ok();
    let holds = signed.as_ref().is_some_and(|signed| {
        // Of a copy, others' lines may stand before it.
        let mut lines = signed.note.signatures.iter();
        let ours = lines.find(|line| line.name == key.name() && line.key_id == key.key_id());
        ours.is_some_and(|line| key.has_signed(&signed.note.text, &line.bytes))
    });
    match holds {
        true => Ok(()),
        false => Err(OpenError::Disagreement {
            path: name.to_owned(),
            evidence: Evidence::Signature,
            expected: format!("one that {} made", key_text(key.name(), key.key_id())),
            found: format!("other bytes, at tree size {}", signed.map_or(0, |signed| signed.checkpoint.size)),
        }),
    }
}

/// What was committed is there, and not as it was written.
pub(crate) fn damaged_record(Torn { path, at, .. }: Torn, because: &str) -> OpenError {
    OpenError::Disagreement {
        path,
        evidence: Evidence::Record,
        expected: format!("a whole record at byte {at} ({because})"),
        found: "other bytes".to_owned(),
    }
}

fn apply_record<L: Leaf>(
    tree: &mut Tree,
    replay: &mut Replay,
    record: &Record<'_>,
    dir: &Path,
    settings: &Settings,
) -> Result<(), OpenError> {
    let head = &record.head;
    let disagree = |evidence, expected: String, found: String| {
        Err(OpenError::Disagreement { path: dir.to_owned(), evidence, expected, found })
    };
    let of_record = format!("record {}", head.sequence);

    let mut entries = Vec::new();
    let mut leaf_hashes = Vec::new();
    let mut rest = record.entries;
    while !rest.is_empty() {
        let split =
            L::split_first(rest).and_then(|(entry, behind)| Ok((entry, behind, L::leaf_hash(entry)?)));
        match split {
            Ok((entry, behind, leaf_hash)) => {
                entries.push(Bytes::copy_from_slice(entry));
                leaf_hashes.push(leaf_hash);
                rest = behind;
            }
            Err(error) => {
                return disagree(Evidence::Entries, format!("an entry in {of_record}"), error.to_string());
            }
        }
    }
    let announced = head.size.checked_sub(head.first);
    if announced != Some(entries.len() as u64) {
        let expected = format!("entries {}..{} in {of_record}", head.first, head.size);
        return disagree(Evidence::Entries, expected, format!("{} entries", entries.len()));
    }

    let staged = tree.stage(leaf_hashes.into_iter(), entries);
    let signed = match SignedCheckpoint::parse(record.checkpoint) {
        Ok(signed) => signed,
        Err(error) => {
            return disagree(Evidence::Checkpoint, format!("a checkpoint in {of_record}"), error.to_string());
        }
    };
    let checkpoint = &signed.checkpoint;
    if checkpoint.origin != settings.origin {
        return disagree(Evidence::Origin, settings.origin.clone(), checkpoint.origin.clone());
    }
    if let (Some(key), lines) = (settings.signers.first(), &signed.note.signatures)
        && !lines.iter().any(|line| line.name == key.name() && line.key_id == key.key_id())
    {
        let line = lines.first();
        let found = line.map_or_else(|| "none".to_owned(), |line| key_text(&line.name, line.key_id));
        return disagree(Evidence::SignerKey, key_text(key.name(), key.key_id()), found);
    }
    if checkpoint.size != head.size {
        let expected = format!("tree size {} in {of_record}", head.size);
        return disagree(Evidence::Checkpoint, expected, format!("tree size {}", checkpoint.size));
    }
    for signed_root in [checkpoint.root, Hash(head.root)] {
        if staged.root() != signed_root {
            let expected = format!("{signed_root} (signed, {of_record}, tree size {})", head.size);
            return disagree(Evidence::RootHash, expected, format!("{} (recomputed)", staged.root()));
        }
    }

    replay.root = staged.root();
    replay.checkpoint = Bytes::copy_from_slice(record.checkpoint);
    replay.time_ms = replay.time_ms.max(head.time_ms);
    replay.full.extend(tree.apply(staged));
    Ok(())
}

/// The tree the oldest record continues: its entries are all in full tiles, or their segment would still be here.
fn tree_before<L: Leaf>(store: &Store, size: u64) -> Result<Tree, OpenError> {
    let width = u64::from(TILE_WIDTH);
    let edge = Edge::from_tiles(size, |tile| nodes(store, tile)).map_err(|error| match error {
        EdgeError::Read { source, .. } => source,
        EdgeError::TooLarge(size) => missing(store, "tile", format!("a tree of {size} entries")),
        EdgeError::Width { tile, .. } => missing(store, &tile.path(), "too few hashes".to_owned()),
    })?;
    let mut tail = Vec::new();
    if let Ok(wanted) = u16::try_from(size % width)
        && wanted > 0
    {
        let bundle = EntryBundle::new(size / width, wanted)
            .map_err(|error| missing(store, "tile", error.to_string()))?;
        let path;
        (tail, path) = store.first_elements(bundle).map_err(from_read)?;
        // They will be in the full bundle one day, under hashes that are in the tree already.
        let tile =
            Tile::new(0, size / width, wanted).map_err(|_| missing(store, "tile", size.to_string()))?;
        let expected = nodes(store, tile)?;
        if let Some(at) = (tail.iter().map(|element| L::leaf_hash(element).ok()))
            .zip(expected)
            .position(|(found, expected)| found != Some(expected))
        {
            let found = format!("another entry at leaf {}", size / width * width + at as u64);
            return Err(missing(store, &path, found));
        }
    }
    Ok(Tree::new(edge, tail, store.kind().bundle_dir))
}

/// The first `width` nodes of a tile: from the full tile if it was finished; else computed from the finished tiles below
/// (which shows whether these are what was signed), or at the lowest level from the partial one of just that width.
pub(crate) fn nodes(store: &Store, tile: Tile) -> Result<Vec<Hash>, OpenError> {
    let not_there = |tile: Tile| missing(store, &tile.full().path(), "no such file".to_owned());
    if let Some(hashes) = store.first_nodes(tile, tile.full()).map_err(from_read)? {
        return Ok(hashes);
    }
    if tile.level() == 0 {
        let partial = store.first_nodes(tile, tile).map_err(from_read)?;
        // Another sequencer at work may have filled the tile meanwhile; only then does the partial one go.
        let filled = || store.first_nodes(tile, tile.full()).map_err(from_read);
        return partial.map_or_else(filled, |hashes| Ok(Some(hashes)))?.ok_or_else(|| not_there(tile));
    }
    let first = tile.index() * u64::from(TILE_WIDTH);
    let below: Vec<Tile> = (first..first + u64::from(tile.width()))
        .map(|index| Tile::new(tile.level() - 1, index, TILE_WIDTH).map_err(|_| not_there(tile)))
        .collect::<Result<_, _>>()?;
    let found = store.full_tiles(&below).map_err(from_read)?;
    let roots = below.into_iter().zip(found).map(|(tile, found)| {
        let hashes = match found {
            Some(hashes) => hashes,
            None => nodes(store, tile)?,
        };
        let hashes: Vec<_> = hashes.into_iter().map(|hash| hash.0).collect();
        subtree_root(&hashes).ok_or_else(|| not_there(tile))
    });
    roots.collect()
}

/// Compares with a checkpoint written earlier, if there is one. It may be older than the log, never newer or other.
fn compare_remembered(
    view: &View,
    bytes: Option<&[u8]>,
    path: &Path,
    evidence: Evidence,
    settings: &Settings,
) -> Result<bool, OpenError> {
    let Some(bytes) = bytes else { return Ok(false) };
    let disagree = |expected: String, found: String| {
        Err(OpenError::Disagreement { path: path.to_owned(), evidence, expected, found })
    };
    let remembered = match SignedCheckpoint::parse(bytes) {
        Ok(signed) => signed.checkpoint,
        Err(error) => return disagree("a signed checkpoint".to_owned(), error.to_string()),
    };
    if remembered.origin != settings.origin {
        return disagree(settings.origin.clone(), remembered.origin);
    }
    match view.root_at(remembered.size).map_err(from_read)? {
        None => disagree(
            format!("a log of at least {} entries", remembered.size),
            format!("a log of {} entries", view.size()),
        ),
        Some(root) if root != remembered.root => disagree(
            format!("root hash {} at tree size {}", remembered.root, remembered.size),
            format!("root hash {root} recomputed from the log"),
        ),
        Some(_) => Ok(true),
    }
}

/// A full tile of entries the write-ahead log does not have was committed once: the log went back in time.
fn refuse_tiles_beyond(view: &View) -> Result<(), OpenError> {
    let store = view.store();
    let next = view.size() / u64::from(TILE_WIDTH);
    let bundle = bundle_path(store.kind().bundle_dir, next, TILE_WIDTH);
    let tile = Tile::new(0, next, TILE_WIDTH).map(|tile| tile.path()).ok();
    for path in [Some(bundle), tile].into_iter().flatten() {
        let there = store.objects().is_there(&path);
        let path = store.path_of(&path);
        if there.at("look for", &path)? {
            return Err(OpenError::Disagreement {
                path,
                evidence: Evidence::Tile,
                expected: format!("no file, as the write-ahead log ends at {} entries", view.size()),
                found: "a full one".to_owned(),
            });
        }
    }
    Ok(())
}

/// Finished files that are there already must be what the records give. Returns those that are not there.
fn compare_full(store: &Store, full: Vec<FullFile>) -> Result<(Vec<FullFile>, Vec<FullFile>), OpenError> {
    let (mut there, mut missing) = (Vec::new(), Vec::new());
    for files in full.chunks(READ_AT_ONCE) {
        let paths: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
        let found = store.objects().read_many(&paths).at("read tiles under", &store.path_of(""))?;
        for (file, found) in files.iter().zip(found) {
            match found {
                None => missing.push(file.clone()),
                Some(found) if found == file.bytes => there.push(file.clone()),
                Some(found) => {
                    let differs = found.iter().zip(&file.bytes).take_while(|(a, b)| a == b).count();
                    return Err(OpenError::Disagreement {
                        path: store.path_of(&file.path),
                        evidence: Evidence::Tile,
                        expected: format!("{} bytes as in the write-ahead log", file.bytes.len()),
                        found: format!("{} bytes, other from byte {differs} on", found.len()),
                    });
                }
            }
        }
    }
    Ok((there, missing))
}

/// Opens the index and brings it up to the log.
pub(crate) fn open_index<L: Leaf>(
    disk: Arc<dyn Disk>,
    dir: &Path,
    shape: Shape,
    store: &Arc<Store>,
    view: &View,
) -> Result<Worker, OpenError> {
    let failed = |source| OpenError::Index { dir: dir.to_owned(), source };
    let of_log = {
        let store = Arc::clone(store);
        Box::new(move |leaves| keys_of::<L>(&store, leaves))
    };
    let worker = Worker::open(
        Box::new(DiskDir { disk, path: dir.to_owned() }),
        shape,
        (view.size(), view.root()),
        of_log,
        |size, root| Ok(view.root_at(size).map_err(from_read)?.as_ref() == Some(root)),
    )
    .map_err(|error| match error {
        OpenIndexError::Io(source) => failed(source),
        OpenIndexError::Belongs(error) => error,
    })?;
    worker.complete().map_err(|stop| match stop {
        Stop::Io(source) => failed(source),
        Stop::Log(error) => from_read(error),
        Stop::Closed => failed(io::ErrorKind::Interrupted.into()),
    })?;
    let (from, in_full) = (worker.index().complete_to(), view.size() - view.size() % u64::from(TILE_WIDTH));
    let mut keys = keys_of::<L>(store, from..in_full).map_err(from_read)?;
    for leaf in in_full..view.size() {
        if let Some(element) = view.element(leaf).map_err(from_read)? {
            keys.push(key_of::<L>(store, leaf, &element).map_err(from_read)?);
        }
    }
    let keyed: Vec<_> = keys.into_iter().zip(from..).collect();
    worker.index().add(&keyed, view.size(), &view.root()).map_err(failed)?;
    Ok(worker)
}

/// Dedup keys of the leaves of full bundles. Each is that of the entry in the tree: by the key of a damaged one, the entry would be
/// taken for new.
fn keys_of<L: Leaf>(store: &Store, leaves: Range<u64>) -> Result<Vec<[u8; 32]>, ReadError> {
    let width = u64::from(TILE_WIDTH);
    let bundles: Vec<_> = leaves
        .step_by(usize::from(TILE_WIDTH))
        .map(|first| EntryBundle::new(first / width, TILE_WIDTH).map_err(|_| damaged::<L>(store, first)))
        .collect::<Result<_, _>>()?;
    let mut keys = Vec::new();
    for bundles in bundles.chunks(READ_AT_ONCE) {
        let tiles: Vec<_> = bundles
            .iter()
            .map(|bundle| {
                Tile::new(0, bundle.index(), TILE_WIDTH)
                    .map_err(|_| damaged::<L>(store, bundle.index() * width))
            })
            .collect::<Result<_, _>>()?;
        let read = store.elements(bundles)?.into_iter().zip(store.full_tiles(&tiles)?);
        for (bundle, (elements, hashes)) in bundles.iter().zip(read) {
            let first = bundle.index() * width;
            let hashes = hashes.ok_or_else(|| damaged::<L>(store, first))?;
            if elements.len() != hashes.len() {
                return Err(damaged::<L>(store, first));
            }
            for (element, hash) in elements.iter().zip(hashes) {
                if L::leaf_hash(element).ok() != Some(hash) {
                    return Err(damaged::<L>(store, first));
                }
                keys.push(key_of::<L>(store, first, element)?);
            }
        }
    }
    Ok(keys)
}

fn key_of<L: Leaf>(store: &Store, leaf: u64, element: &[u8]) -> Result<[u8; 32], ReadError> {
    L::dedup_key_of(element).map_err(|_| damaged::<L>(store, leaf))
}

fn damaged<L: Leaf>(store: &Store, leaf: u64) -> ReadError {
    let path = bundle_path(L::BUNDLE_DIR, leaf / u64::from(TILE_WIDTH), TILE_WIDTH);
    ReadError::Damaged { path: store.path_of(&path) }
}

fn key_text(name: &str, id: [u8; 4]) -> String {
    format!("{name} with key ID {:08x}", u32::from_be_bytes(id))
}

fn missing(store: &Store, path: &str, found: String) -> OpenError {
    OpenError::Disagreement {
        path: store.path_of(path),
        evidence: Evidence::Tile,
        expected: "the full tile or bundle of committed entries".to_owned(),
        found,
    }
}

/// What cannot be read keeps a log from opening.
pub(crate) fn from_read(error: ReadError) -> OpenError {
    match error {
        ReadError::Io { path, source } => OpenError::Io { action: "read", path, source },
        ReadError::Index(source) => OpenError::Index { dir: PathBuf::new(), source },
        ReadError::Damaged { path } => OpenError::Disagreement {
            path,
            evidence: Evidence::Tile,
            expected: "the full tile or bundle of committed entries".to_owned(),
            found: "no such file, or other content".to_owned(),
        },
    }
}
