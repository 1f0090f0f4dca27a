//! Starting from what a directory holds, however the last process ended.
//!
//! The write-ahead log is replayed through the same stage and apply that made it, and everything recomputed is compared
//! with everything remembered: each record's signed checkpoint, the full tiles, the published checkpoint, the one kept
//! beside the key. Only after all of it agrees is anything changed. The one thing dropped is a torn last record, which
//! nobody was ever told of.

use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sealog_tlog::merkle::EdgeError;
use sealog_tlog::tile::{CHECKPOINT_PATH, EntryBundle, TILE_WIDTH, bundle_path};
use sealog_tlog::{Edge, Hash, Leaf, SignedCheckpoint, Tile};

use crate::error::{Evidence, IoContext, OpenError, ReadError};
use crate::files;
use crate::flusher::write_full;
use crate::index::{DiskDir, OpenIndexError, Shape, Stop, Worker};
use crate::layout::Layout;
use crate::settings::Settings;
use crate::tree::{FullFile, Tree};
use crate::view::{Store, View, subtree_root};
use crate::wal::{self, BLOCK, Closed, Damage, Record, ScanError, Scanned};

/// The committed log, read back and found right.
pub(crate) struct Recovered {
    pub(crate) tree: Tree,
    pub(crate) view: Arc<View>,
    pub(crate) last_time_ms: u64,
    pub(crate) scanned: Scanned,
}

/// Reads the log back and compares; then writes what had not become files yet.
pub(crate) fn recover<L: Leaf>(
    layout: &Layout,
    store: &Arc<Store>,
    settings: &Settings,
) -> Result<Recovered, OpenError> {
    let (tree, replay, scanned) = replay::<L>(layout, store, settings)?;
    store.hold(&replay.full);
    let view = Arc::new(View::new(&tree, replay.root, replay.checkpoint, Arc::clone(store)));

    let published =
        compare_remembered(&view, &store.path_of(CHECKPOINT_PATH), Evidence::Published, settings)?;
    let remembered = compare_remembered(&view, &settings.first_seen, Evidence::FirstSeen, settings)?;
    // A log that was made just now has published nothing yet.
    if published && !remembered {
        tracing::warn!(
            path = %settings.first_seen.display(), size = view.size(),
            "no checkpoint of this log is remembered beside its key; an old backup could not be told from the log"
        );
    }
    refuse_tiles_beyond(&view)?;
    compare_full(store, &replay.full)?;

    make_committed_durable(&scanned)?;
    write_full(store, &replay.full).at("write tiles under", store.public())?;
    store.release(&replay.full);
    Ok(Recovered { tree, view, last_time_ms: replay.time_ms, scanned })
}

/// What replaying the records leaves besides the tree.
struct Replay {
    root: Hash,
    checkpoint: Bytes,
    time_ms: u64,
    full: Vec<FullFile>,
}

fn replay<L: Leaf>(
    layout: &Layout,
    store: &Store,
    settings: &Settings,
) -> Result<(Tree, Replay, Scanned), OpenError> {
    let dir = layout.wal();
    let mut state: Option<(Tree, Replay)> = None;
    let scanned = wal::scan(&dir, |record| {
        let (mut tree, mut replay) = match state.take() {
            Some(state) => state,
            None => {
                let tree = tree_before(store, record.head.first)?;
                let nothing =
                    Replay { root: Hash([0; 32]), checkpoint: Bytes::new(), time_ms: 0, full: Vec::new() };
                (tree, nothing)
            }
        };
        apply_record::<L>(&mut tree, &mut replay, record, &dir, settings)?;
        state = Some((tree, replay));
        Ok(())
    })
    .map_err(from_scan)?;
    let (tree, replay) = state.ok_or_else(|| from_scan(ScanError::Damage(dir, Damage::Empty)))?;
    Ok((tree, replay, scanned))
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
    if let (Some(key), line) = (settings.signers.first(), signed.note.signatures.first())
        && line.is_none_or(|line| line.name != key.name() || line.key_id != key.key_id())
    {
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
fn tree_before(store: &Store, size: u64) -> Result<Tree, OpenError> {
    let width = u64::from(TILE_WIDTH);
    let edge = Edge::from_tiles(size, |tile| nodes(store, tile)).map_err(|error| match error {
        EdgeError::Read { source, .. } => source,
        EdgeError::TooLarge(size) => missing(store, "tile", format!("a tree of {size} entries")),
        EdgeError::Width { tile, .. } => missing(store, &tile.path(), "too few hashes".to_owned()),
    })?;
    let mut tail = Vec::new();
    if !size.is_multiple_of(width) {
        let bundle = EntryBundle::new(size / width, TILE_WIDTH)
            .map_err(|error| missing(store, "tile", error.to_string()))?;
        tail = store.elements(bundle).map_err(from_read)?;
        tail.truncate(usize::try_from(size % width).unwrap_or(0));
    }
    Ok(Tree::new(edge, tail, store.kind().bundle_dir))
}

/// The first `width` nodes of a tile: from the full tile if it was finished, else computed from the finished tiles below.
fn nodes(store: &Store, tile: Tile) -> Result<Vec<Hash>, OpenError> {
    let not_there = |tile: Tile| missing(store, &tile.full().path(), "no such file".to_owned());
    match store.full_tile(tile) {
        Ok(bytes) => {
            let hashes = bytes.as_chunks::<32>().0.iter().take(usize::from(tile.width()));
            return Ok(hashes.copied().map(Hash).collect());
        }
        Err(ReadError::Damaged { .. })
            if tile.level() > 0 && !store.path_of(&tile.full().path()).exists() => {}
        Err(error) => return Err(from_read(error)),
    }
    let first = tile.index() * u64::from(TILE_WIDTH);
    (first..first + u64::from(tile.width()))
        .map(|index| {
            let below = Tile::new(tile.level() - 1, index, TILE_WIDTH).map_err(|_| not_there(tile))?;
            let hashes: Vec<_> = nodes(store, below)?.into_iter().map(|hash| hash.0).collect();
            subtree_root(&hashes).ok_or_else(|| not_there(below))
        })
        .collect()
}

/// Compares with a checkpoint written earlier, if there is one. It may be older than the log, never newer or other.
fn compare_remembered(
    view: &View,
    path: &Path,
    evidence: Evidence,
    settings: &Settings,
) -> Result<bool, OpenError> {
    let Some(bytes) = files::read_if_there(path).at("read", path)? else { return Ok(false) };
    let disagree = |expected: String, found: String| {
        Err(OpenError::Disagreement { path: path.to_owned(), evidence, expected, found })
    };
    let remembered = match SignedCheckpoint::parse(&bytes) {
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
        let path = store.path_of(&path);
        if path.is_file() {
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

/// Finished files that are there already must be what the records give.
fn compare_full(store: &Store, full: &[FullFile]) -> Result<(), OpenError> {
    for file in full {
        let path = store.path_of(&file.path);
        if let Some(found) = files::read_if_there(&path).at("read", &path)?
            && found != file.bytes
        {
            let differs = found.iter().zip(&file.bytes).take_while(|(a, b)| a == b).count();
            return Err(OpenError::Disagreement {
                path,
                evidence: Evidence::Tile,
                expected: format!("{} bytes as in the write-ahead log", file.bytes.len()),
                found: format!("{} bytes, other from byte {differs} on", found.len()),
            });
        }
    }
    Ok(())
}

/// From here on the log answers for what it read, so it must survive a power cut.
///
/// The last record may have been written but never synced (the process was killed), or synced in vain (the device
/// failed and the kernel keeps pages it could not write, marked clean). Writing the same bytes once more makes both
/// cases plain: either the device takes them now, or the log does not open.
fn make_committed_durable(scanned: &Scanned) -> Result<(), OpenError> {
    let last = scanned.segments.iter().rposition(|segment| segment.size.is_some());
    for (n, segment) in scanned.segments.iter().enumerate() {
        let path = &segment.path;
        if segment.size.is_none() {
            fs::remove_file(path).at("remove", path)?;
            continue;
        }
        if segment.torn {
            tracing::warn!(path = %path.display(), at = segment.end, "an incomplete last record was dropped");
        }
        let settle = || -> io::Result<()> {
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            file.set_len(segment.end)?;
            if Some(n) == last {
                let len = usize::try_from(segment.end - segment.last_at).map_err(io::Error::other)?;
                let mut record = vec![0; len];
                file.read_exact_at(&mut record, segment.last_at)?;
                file.write_all_at(&record, segment.last_at)?;
            }
            file.sync_all()
        };
        settle().at("settle", path)?;
    }
    Ok(())
}

/// Earlier segments as the new write-ahead log keeps them.
pub(crate) fn closed_segments(scanned: &Scanned) -> VecDeque<Closed> {
    let kept = scanned.segments.iter().filter_map(|s| Some(Closed { path: s.path.clone(), size: s.size? }));
    kept.collect()
}

/// Opens the index and brings it up to the log.
pub(crate) fn open_index<L: Leaf>(
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
        Box::new(DiskDir(dir.to_owned())),
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

/// Dedup keys of the leaves of full bundles.
fn keys_of<L: Leaf>(store: &Store, leaves: Range<u64>) -> Result<Vec<[u8; 32]>, ReadError> {
    let width = u64::from(TILE_WIDTH);
    let mut keys = Vec::new();
    for first in leaves.step_by(usize::from(TILE_WIDTH)) {
        let bundle = EntryBundle::new(first / width, TILE_WIDTH).map_err(|_| damaged::<L>(store, first))?;
        for element in store.elements(bundle)? {
            keys.push(key_of::<L>(store, first, &element)?);
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

fn from_read(error: ReadError) -> OpenError {
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

fn from_scan(error: ScanError<OpenError>) -> OpenError {
    match error {
        ScanError::Io(path, source) => OpenError::Io { action: "read", path, source },
        ScanError::Visit(error) => error,
        ScanError::Damage(path, damage) => {
            let (evidence, expected) = match damage {
                Damage::Head => (Evidence::SegmentHead, "a segment head"),
                Damage::Middle { .. } => (Evidence::Record, "whole records up to the last"),
                Damage::Sequence { .. } | Damage::First { .. } => {
                    (Evidence::Order, "records that continue each other")
                }
                Damage::Empty => (Evidence::Order, "at least one record"),
            };
            OpenError::Disagreement {
                path,
                evidence,
                expected: expected.to_owned(),
                found: damage.to_string(),
            }
        }
    }
}

/// Where a new segment's numbers begin.
pub(crate) const FIRST_SEGMENT: u64 = 1;

const _: () = assert!(BLOCK >= 512, "a record must never share a sector with another");
