//! A log as its owner holds it: create, open, append, read, close.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use sealog_tlog::tile::TILE_WIDTH;
use sealog_tlog::{Edge, Leaf, SignedCheckpoint};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinError;

use crate::RETRY_AFTER;
use crate::error::{AppendError, Cause, Failure, IoContext, OpenError, ReadError};
use crate::files;
use crate::flusher::{Flusher, is_published, publish};
use crate::health::Health;
use crate::index::{Index, Shape};
use crate::layout::Layout;
use crate::logged;
use crate::outbox::Outbox;
use crate::queue::{Queue, Refused};
use crate::receipt::Receipt;
use crate::recent::Recent;
use crate::recovery::{self, FIRST_SEGMENT, Recovered};
use crate::sequencer::{self, Answer, Item, NoCosigners, Sequencer};
use crate::settings::Settings;
use crate::tree::Tree;
use crate::view::{LeafKind, Store, View};
use crate::wal::{self, Commit, Segments, Wal, Wrap};

/// Look-ups of earlier entries at one time.
const MAX_LOOKUPS: usize = 8;

/// A running log. Clones are handles on the same one; the last to go closes it.
pub struct Log<L: Leaf> {
    inner: Arc<Inner<L>>,
}

impl<L: Leaf> Clone for Log<L> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

struct Inner<L: Leaf> {
    queue: Arc<Queue<Item<L::Pending>>>,
    view: Arc<ArcSwap<View>>,
    /// Let go when the log is closed.
    index: ArcSwapOption<Index>,
    health: Arc<Health>,
    lookups: Lookups,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Held until the threads have ended: another process may only then read the directory.
    layout: Mutex<Option<Layout>>,
}

/// Entries logged before are read back from their bundles, up to 16 MiB each: only so many at once, and only so many
/// callers waiting for that. Without the bounds, sending one old entry again and again would fill the memory.
struct Lookups {
    running: Semaphore,
    waiting: Semaphore,
}

impl Lookups {
    fn new(max_waiting: usize) -> Self {
        Self { running: Semaphore::new(MAX_LOOKUPS), waiting: Semaphore::new(max_waiting) }
    }

    async fn run<T: Send + 'static>(
        &self,
        look_up: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Result<T, JoinError>, AppendError> {
        let overloaded = |_| AppendError::Overloaded { retry_after: RETRY_AFTER };
        let _waiting = self.waiting.try_acquire().map_err(overloaded)?;
        let _running = self.running.acquire().await.map_err(|_| AppendError::Closed)?;
        Ok(tokio::task::spawn_blocking(look_up).await)
    }
}

impl<L: Leaf> Log<L> {
    /// Makes a new log in an empty or absent directory and opens it. With a `seed` its first entry is that one:
    /// clients in use cannot read an entry at index 0, so nobody's should be there.
    ///
    /// # Errors
    /// See [`OpenError`]. A second log of a name that is remembered beside the key is refused.
    pub fn create(dir: &Path, settings: Settings, seed: Option<L::Pending>) -> Result<Self, OpenError> {
        check(&settings)?;
        refuse_remembered(&settings)?;
        let layout = Layout::create(dir)?;
        write_first_record::<L>(&layout, &settings, seed.as_ref())?;
        layout.write_format()?;
        Self::start(layout, settings, wal::unwrapped())
    }

    /// Opens the log in `dir` and brings it to the state it had promised.
    ///
    /// # Errors
    /// When another process has it, when a newer program wrote it, and when anything but an incomplete last record
    /// disagrees with what was signed.
    pub fn open(dir: &Path, settings: Settings) -> Result<Self, OpenError> {
        Self::open_with(dir, settings, wal::unwrapped())
    }

    pub(crate) fn open_with(dir: &Path, settings: Settings, wrap: Wrap) -> Result<Self, OpenError> {
        check(&settings)?;
        Self::start(Layout::open(dir)?, settings, wrap)
    }

    fn start(layout: Layout, settings: Settings, wrap: Wrap) -> Result<Self, OpenError> {
        let store = Arc::new(Store::new(layout.public(), LeafKind::of::<L>()));
        let Recovered { tree, view, last_time_ms, scanned } =
            recovery::recover::<L>(&layout, &store, &settings)?;
        let indexer = recovery::open_index::<L>(&layout.index(), Shape::LOG, &store, &view)?;
        let index = Arc::clone(indexer.index());
        if !is_published(&view).at("read", store.public())? {
            publish(&view).at("publish under", store.public())?;
        }
        remember(&view, &settings.first_seen)?;

        let wal_dir = layout.wal();
        let (number, epoch) = (scanned.number + 1, scanned.epoch + 1);
        let segments = Arc::new(Segments::new(wal_dir.clone(), number, epoch, settings.segment_bytes, wrap));
        let closed = recovery::closed_segments(&scanned);
        let wal = Wal::start(Arc::clone(&segments), closed, scanned.next_sequence)
            .at("preallocate a segment in", &wal_dir)?;

        let queue = Arc::new(Queue::new(settings.max_pending));
        let lookups = Lookups::new(settings.max_pending.min(Semaphore::MAX_PERMITS));
        let outbox = Arc::new(Outbox::new(view.size() - view.size() % u64::from(TILE_WIDTH)));
        let health = Arc::new(Health::default());
        let size = view.size();
        let view = Arc::new(ArcSwap::new(view));
        let flusher = Flusher {
            outbox: Arc::clone(&outbox),
            view: Arc::clone(&view),
            store: Arc::clone(&store),
            index: Arc::clone(&index),
            segments,
            health: Arc::clone(&health),
            first_seen: settings.first_seen.clone(),
            publish_interval: settings.publish_interval,
            stop: {
                let queue = Arc::clone(&queue);
                Box::new(move || queue.close())
            },
        };
        let sequencer = Sequencer::<L> {
            settings,
            tree,
            wal,
            recent: Recent::new(size),
            last_time_ms,
            cosigners: Box::new(NoCosigners),
            known_objects: std::collections::HashSet::new(),
            queue: Arc::clone(&queue),
            outbox: Arc::clone(&outbox),
            view: Arc::clone(&view),
            store,
            index: Arc::clone(&index),
            health: Arc::clone(&health),
        };
        let spawned = (|| {
            Ok([
                spawn("sealog-indexer", &wal_dir, || indexer.run())?,
                spawn("sealog-flusher", &wal_dir, || flusher.run())?,
                spawn("sealog-sequencer", &wal_dir, || sequencer.run())?,
            ])
        })();
        let threads = Mutex::new(Vec::from(spawned.inspect_err(|_| {
            index.close();
            outbox.close();
        })?));
        let layout = Mutex::new(Some(layout));
        let index = ArcSwapOption::new(Some(index));
        Ok(Self { inner: Arc::new(Inner { queue, view, index, health, lookups, threads, layout }) })
    }

    /// Logs an entry and returns once it is durable, published and proven. An entry logged before, ever, gets its old
    /// place and a proof of today. Needs a tokio runtime.
    ///
    /// Dropping the future does not take the entry back.
    ///
    /// # Errors
    /// See [`AppendError`]; each variant says whether the entry may be in the log.
    pub fn append(
        &self,
        pending: L::Pending,
    ) -> impl Future<Output = Result<Receipt, AppendError>> + Send + use<L> {
        let inner = Arc::clone(&self.inner);
        async move { inner.append(pending).await }
    }

    /// The published log of this moment.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.inner.view.load_full()
    }

    /// Why the log answers no more, if so.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.inner.health.failure().cloned()
    }

    /// Answers what was accepted, writes everything to files and lets the directory go. What is there then can be
    /// served by any static web server. Blocks; later calls return at once.
    ///
    /// # Errors
    /// When the log had stopped, or stops now. What was acknowledged is in the write-ahead log even so.
    pub fn close(&self) -> Result<(), Failure> {
        self.inner.close()
    }
}

impl<L: Leaf> std::fmt::Debug for Log<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("view", &self.view()).finish_non_exhaustive()
    }
}

impl<L: Leaf> Inner<L> {
    async fn append(self: Arc<Self>, pending: L::Pending) -> Result<Receipt, AppendError> {
        if let Some(failure) = self.health.failure() {
            return Err(AppendError::Stopped(failure.clone()));
        }
        let key = L::dedup_key(&pending);
        // Read before the look-up: of what comes into the index later, the sequencer knows.
        let Some(index) = self.index.load_full() else { return Err(self.gone()) };
        let checked_to = index.complete_to();
        let known =
            index.candidates(&key).map_err(|error| AppendError::Read(Arc::new(ReadError::Index(error))))?;
        if !known.is_empty()
            && let Some(receipt) = self.logged_before(index, key).await?
        {
            return Ok(receipt);
        }
        let (answer, answered) = oneshot::channel();
        self.queue.push(Item { pending, key, checked_to, answer }).map_err(|refused| match refused {
            Refused::Full => AppendError::Overloaded { retry_after: RETRY_AFTER },
            Refused::Closed => self.gone(),
        })?;
        match answered.await {
            Ok(Ok(Answer::Placed(placed))) => {
                let (view, proof) = (placed.view, placed.proof);
                if proof.verify(&placed.leaf_hash, &view.root()).is_err() {
                    return Err(self.broken_proof());
                }
                Ok(Receipt {
                    index: proof.index,
                    time_ms: Some(placed.time_ms),
                    encoded: placed.encoded,
                    duplicate: false,
                    proof,
                    root: view.root(),
                    checkpoint: view.checkpoint().clone(),
                })
            }
            Ok(Ok(Answer::Logged { index })) => self.receipt_of(index).await,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.gone()),
        }
    }

    /// Bundles are read from disk for this: on a thread that may wait.
    async fn logged_before(&self, index: Arc<Index>, key: [u8; 32]) -> Result<Option<Receipt>, AppendError> {
        let view = self.view.load_full();
        let found = self.lookups.run(move || match logged::find::<L>(&index, &view, &key)? {
            Some(index) => logged::receipt::<L>(&view, index).map(|receipt| receipt.ok_or(()).map(Some)),
            None => Ok(Ok(None)),
        });
        self.sound(found.await?)
    }

    async fn receipt_of(&self, index: u64) -> Result<Receipt, AppendError> {
        let view = self.view.load_full();
        let found =
            self.lookups.run(move || logged::receipt::<L>(&view, index).map(|receipt| receipt.ok_or(())));
        self.sound(found.await?)
    }

    /// `Err(())` inside: the log's own proof did not verify.
    fn sound<T>(&self, found: Result<Result<Result<T, ()>, ReadError>, JoinError>) -> Result<T, AppendError> {
        match found {
            Ok(Ok(Ok(found))) => Ok(found),
            Ok(Ok(Err(()))) => Err(self.broken_proof()),
            Ok(Err(error)) => Err(AppendError::Read(Arc::new(error))),
            Err(_) => Err(self.gone()),
        }
    }

    /// A log whose proofs do not verify must not go on signing.
    fn broken_proof(&self) -> AppendError {
        let failure = self.health.fail(Cause::Proof, None);
        self.queue.close();
        AppendError::Stopped(failure)
    }

    fn gone(&self) -> AppendError {
        self.health.failure().map_or(AppendError::Closed, |failure| AppendError::Stopped(failure.clone()))
    }

    fn close(&self) -> Result<(), Failure> {
        self.queue.close();
        if let Some(index) = self.index.load_full() {
            index.close();
        }
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                self.health.fail(Cause::Thread, None);
            }
        }
        self.index.store(None);
        self.layout.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.health.failure().map_or(Ok(()), |failure| Err(failure.clone()))
    }
}

impl<L: Leaf> Drop for Inner<L> {
    fn drop(&mut self) {
        // The failure, if any, was logged where it happened.
        let _ = self.close();
    }
}

fn spawn(name: &str, dir: &Path, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, OpenError> {
    thread::Builder::new().name(name.to_owned()).spawn(run).at("start a thread for", dir)
}

fn check(settings: &Settings) -> Result<(), OpenError> {
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

fn refuse_remembered(settings: &Settings) -> Result<(), OpenError> {
    let path = &settings.first_seen;
    match files::read_if_there(path).at("read", path)? {
        None => Ok(()),
        Some(bytes) => {
            let size = SignedCheckpoint::parse(&bytes).map_or(0, |signed| signed.checkpoint.size);
            Err(OpenError::Remembered { path: path.clone(), size })
        }
    }
}

/// A log that cannot remember its newest checkpoint must not start.
fn remember(view: &View, path: &Path) -> Result<(), OpenError> {
    if files::read_if_there(path).at("read", path)?.as_deref() == Some(view.checkpoint().as_ref()) {
        return Ok(());
    }
    let dir = files::parent(path).at("find the directory of", path)?;
    files::ensure_dir(dir).at("create the directory", dir)?;
    files::write_durable(path, view.checkpoint()).at("write", path)
}

/// The record that makes the directory a log: the empty tree, or the seed.
fn write_first_record<L: Leaf>(
    layout: &Layout,
    settings: &Settings,
    seed: Option<&L::Pending>,
) -> Result<(), OpenError> {
    let time_ms = (settings.clock)();
    let tree = Tree::new(Edge::new(), Vec::new(), L::BUNDLE_DIR);
    let placed = seed.map(|seed| L::place(seed, 0, time_ms)).transpose().map_err(OpenError::Seed)?;
    for (path, bytes) in seed.map(L::side_objects).unwrap_or_default() {
        let file = layout.public().join(path);
        let dir = files::parent(&file).at("find the directory of", &file)?;
        files::ensure_dir(dir).at("create the directory", dir)?;
        files::write_durable(&file, &bytes).at("write", &file)?;
    }
    let leaf_hash = placed.as_ref().map(|placed| placed.leaf_hash);
    let entries: Vec<Bytes> = placed.map(|placed| placed.encoded.into()).into_iter().collect();
    let staged = tree.stage(leaf_hash.into_iter(), entries);
    let signed = sequencer::sign(settings, &staged, time_ms).map_err(OpenError::Sign)?.encode();

    let dir = layout.wal();
    let write = || {
        let bytes = wal::padded_len(signed.len(), staged.entries().iter().map(Bytes::len).sum()) + wal::BLOCK;
        let segments = Arc::new(Segments::new(dir.clone(), FIRST_SEGMENT, 0, bytes, wal::unwrapped()));
        let mut wal = Wal::start(segments, std::collections::VecDeque::new(), 0)?;
        let record = Commit {
            first: 0,
            size: staged.size(),
            time_ms,
            root: staged.root().0,
            checkpoint: signed.as_bytes(),
        };
        wal.commit(&record, staged.entries().iter().map(AsRef::as_ref))
    };
    write().at("write the first record in", &dir)
}
