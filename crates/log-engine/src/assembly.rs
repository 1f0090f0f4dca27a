//! Puts a log together: the first record of a new one, and the parts of one that is to run.
//!
//! Nothing here starts a thread: [`Parts`] can as well be driven step by step.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use sealog_tlog::tile::TILE_WIDTH;
use sealog_tlog::{Edge, Leaf, SideObject, SignedCheckpoint};

use crate::disk::Disk;
use crate::error::{IoContext, OpenError};
use crate::flusher::{Backlog, Flusher, is_published, publish};
use crate::health::Health;
use crate::index::{Index, Worker};
use crate::memory::{self, Mark, Signing};
use crate::outbox::Outbox;
use crate::queue::Queue;
use crate::recent::Recent;
use crate::recovery::{self, Recovered};
use crate::sequencer::{self, Item, NoCosigners, Sequencer};
use crate::settings::Settings;
use crate::storage::{Begun, Commit, CommitError, Storage};
use crate::tree::{FullFile, Tree};
use crate::view::{LeafKind, Store, View};

/// A log that is ready to run: who changes it, who writes behind it, and what is shared with everyone who asks.
pub(crate) struct Parts<L: Leaf> {
    pub(crate) sequencer: Sequencer<L>,
    pub(crate) flusher: Flusher,
    pub(crate) indexer: Worker,
    pub(crate) queue: Arc<Queue<Item<L::Pending>>>,
    pub(crate) view: Arc<ArcSwap<View>>,
    pub(crate) index: Arc<Index>,
    pub(crate) health: Arc<Health>,
    /// Told of the orderly end.
    pub(crate) signing: Arc<Signing>,
    /// Whatever must live until the log is closed.
    pub(crate) hold: Box<dyn Send>,
}

/// Reads the log back, takes it, and makes the parts.
pub(crate) fn assemble<L: Leaf>(
    mut storage: Box<dyn Storage>,
    settings: Settings,
) -> Result<Parts<L>, OpenError> {
    refuse_closed(storage.as_ref())?;
    let mark = Mark::of(storage.as_ref());
    let signing = Arc::new(Signing::begin(storage.disk(), &settings.first_seen, &mark)?);
    let store = Arc::new(Store::new(storage.objects(), LeafKind::of::<L>()));
    // Another sequencer at work looks like damage to whoever reads meanwhile.
    let overtaken = |storage: &dyn Storage, error| {
        let changed = matches!(error, OpenError::Disagreement { .. }).then(|| storage.changed_by()).flatten();
        changed.map_or(error, |by| OpenError::Held { place: storage.name(), by })
    };
    let recovered = recovery::recover::<L>(storage.as_mut(), &store, &settings);
    let Recovered { tree, view, last_time_ms } =
        recovered.map_err(|error| overtaken(storage.as_ref(), error))?;
    let shape = settings.index_shape;
    let indexer = recovery::open_index::<L>(storage.disk(), &storage.index(), shape, &store, &view)
        .map_err(|error| overtaken(storage.as_ref(), error))?;
    let index = Arc::clone(indexer.index());
    let published = is_published(&view).map_err(recovery::from_read);
    if !published.map_err(|error| overtaken(storage.as_ref(), error))? {
        match publish(&view) {
            Ok(()) => {}
            // Whoever has published more has taken the log since.
            Err(CommitError::Superseded) => {
                let by = storage.changed_by().unwrap_or_default();
                return Err(OpenError::Held { place: storage.name(), by });
            }
            Err(CommitError::Refused(error) | CommitError::Unknown(error)) => {
                return Err(error).at("publish under", &store.path_of(""));
            }
        }
    }
    // Where the log is shared, somebody may have put it elsewhere while it was not taken yet.
    refuse_closed(storage.as_ref())?;
    let disk = storage.disk();
    // A log that cannot remember its newest checkpoint must not start.
    let path = &settings.first_seen;
    memory::remember(disk.as_ref(), path, view.checkpoint()).at("write", path)?;
    let Begun { commit, upkeep, hold } = storage.begin()?;
    let linger = if commit.is_slow() { Duration::ZERO } else { settings.linger };

    // From here on more may be signed than is remembered.
    memory::set_mark(disk.as_ref(), &settings.first_seen, &mark)?;
    let queue = Arc::new(Queue::new(settings.max_pending));
    let size = view.size();
    let outbox = Arc::new(Outbox::new(size - size % u64::from(TILE_WIDTH), size));
    let health = Arc::new(Health::default());
    let view = Arc::new(ArcSwap::new(view));
    let flusher = Flusher {
        outbox: Arc::clone(&outbox),
        view: Arc::clone(&view),
        store: Arc::clone(&store),
        index: Arc::clone(&index),
        upkeep,
        health: Arc::clone(&health),
        signing: Arc::clone(&signing),
        publish_interval: settings.publish_interval,
        stop: {
            let queue = Arc::clone(&queue);
            Arc::new(move || queue.close())
        },
        backlog: Backlog::default(),
    };
    let mut sequencer = Sequencer::<L> {
        settings: Settings { linger, ..settings },
        tree,
        commit_point: commit,
        recent: Recent::new(size),
        last_time_ms,
        cosigners: Box::new(NoCosigners),
        known_objects: std::collections::HashSet::new(),
        refusing: false,
        clock_behind: false,
        queue: Arc::clone(&queue),
        outbox,
        view: Arc::clone(&view),
        store,
        index: Arc::clone(&index),
        health: Arc::clone(&health),
    };
    sequencer.look_at_clock();
    Ok(Parts { sequencer, flusher, indexer, queue, view, index, health, signing, hold })
}

/// Settings that cannot work are refused before anything is touched.
pub(crate) fn check(settings: &Settings) -> Result<(), OpenError> {
    let wrong = |name, found: String| Err(OpenError::Setting { name, found });
    if settings.origin.is_empty() {
        return wrong("origin", "empty".to_owned());
    }
    if settings.signers.is_empty() {
        return wrong("signers", "empty".to_owned());
    }
    if settings.max_pending == 0 {
        return wrong("max_pending", "0".to_owned());
    }
    // A batch may end with an entry as large as itself, and a checkpoint comes on top.
    let room =
        u64::try_from(settings.max_batch_bytes).ok().and_then(|bytes| bytes.max(64 << 10).checked_mul(4));
    if room.is_none_or(|room| settings.segment_bytes < room) {
        let found = format!("{}, less than four batches", settings.segment_bytes);
        return wrong("segment_bytes", found);
    }
    Ok(())
}

/// A second log of one name and key would be a fork.
pub(crate) fn refuse_remembered(disk: &dyn Disk, settings: &Settings) -> Result<(), OpenError> {
    let path = &settings.first_seen;
    if let Some(bytes) = memory::read(disk, path)? {
        let size = SignedCheckpoint::parse(&bytes).map_or(0, |signed| signed.checkpoint.size);
        return Err(OpenError::Remembered { path: path.clone(), size });
    }
    match memory::mark(disk, path)? {
        Some(_) => Err(OpenError::Remembered { path: memory::mark_path(path), size: 0 }),
        None => Ok(()),
    }
}

/// A log that was put elsewhere goes on there, or nowhere.
fn refuse_closed(storage: &dyn Storage) -> Result<(), OpenError> {
    match storage.closed()? {
        Some((mark, words)) => Err(OpenError::Closed { place: storage.place(), mark, words }),
        None => Ok(()),
    }
}

/// The record that makes a place a log: the empty tree, or the seed.
pub(crate) fn found<L: Leaf>(
    storage: &mut dyn Storage,
    settings: &Settings,
    seed: Option<&L::Pending>,
) -> Result<(), OpenError> {
    let time_ms = (settings.clock)();
    let tree = Tree::new(Edge::new(), Vec::new(), L::BUNDLE_DIR);
    let placed = seed.map(|seed| L::place(seed, 0, time_ms)).transpose().map_err(OpenError::Seed)?;
    let objects = storage.objects();
    let side_objects = match seed.zip(placed.as_ref()) {
        Some((seed, placed)) => L::side_objects(seed, &placed.encoded).map_err(OpenError::Seed)?,
        None => Vec::new(),
    };
    let file = |object: &SideObject<'_>| FullFile {
        path: object.path(),
        bytes: Bytes::copy_from_slice(object.bytes),
    };
    let files: Vec<_> = side_objects.iter().map(file).collect();
    objects.write(&files).at("write under", &objects.name(""))?;
    let leaf_hash = placed.as_ref().map(|placed| placed.leaf_hash);
    let entries: Vec<Bytes> = placed.map(|placed| placed.encoded.into()).into_iter().collect();
    let staged = tree.stage(leaf_hash.into_iter(), entries);
    let signed = sequencer::sign(settings, &staged, time_ms).map_err(OpenError::Sign)?.encode();
    storage.found(&Commit {
        first: 0,
        size: staged.size(),
        time_ms,
        root: staged.root().0,
        checkpoint: signed.as_bytes(),
        entries: staged.entries(),
    })
}
