//! A log as its owner holds it: create, open, append, read, close.

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use arc_swap::{ArcSwap, ArcSwapOption};
use sealog_tlog::Leaf;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinError;

use crate::RETRY_AFTER;
use crate::assembly::{Parts, assemble, check, found, refuse_remembered};
use crate::disk::RealDisk;
use crate::error::{AppendError, Cause, Failure, IoContext, OpenError, ReadError};
use crate::health::Health;
use crate::index::Index;
use crate::logged;
use crate::memory::Signing;
use crate::outbox::Outbox;
use crate::place::Place;
use crate::queue::{Queue, Refused};
use crate::receipt::Receipt;
use crate::sequencer::{Answer, Item};
use crate::settings::Settings;
use crate::storage::{CommitPoint, Storage};
use crate::view::View;

/// Looks within a lease, by whoever was overtaken, or begins while another process of its machine is ending.
const PAUSES: u32 = 32;
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
    threads: Mutex<Option<Threads>>,
    /// Held until the threads have ended: another process may only then have the place.
    hold: Mutex<Option<Hold>>,
}

/// What keeps others out: of the key, and of the place.
type Hold = (Arc<Signing>, Box<dyn Send>);

struct Threads {
    sequencing: JoinHandle<Box<dyn CommitPoint>>,
    flushing: JoinHandle<()>,
    indexing: JoinHandle<()>,
    outbox: Arc<Outbox>,
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
    /// Makes a new log in an empty place and opens it. With a `seed` its first entry is that one:
    /// clients in use cannot read an entry at index 0, so nobody's should be there.
    ///
    /// # Errors
    /// See [`OpenError`]. A second log of a name that is remembered beside the key is refused.
    pub fn create(
        place: impl Into<Place>,
        settings: Settings,
        seed: Option<L::Pending>,
    ) -> Result<Self, OpenError> {
        check(&settings)?;
        refuse_remembered(&RealDisk, &settings)?;
        let mut storage = place.into().create(&settings)?;
        found::<L>(storage.as_mut(), &settings, seed.as_ref())?;
        Self::start(storage, settings)
    }

    /// Opens the log at `place` and brings it to the state it had promised.
    ///
    /// # Errors
    /// When another process has it, when a newer program wrote it, and when anything but an incomplete last record
    /// disagrees with what was signed.
    pub fn open(place: impl Into<Place>, settings: Settings) -> Result<Self, OpenError> {
        check(&settings)?;
        let place = place.into();
        loop {
            match place.open(&settings).and_then(|storage| Self::start(storage, settings.clone())) {
                // Somebody was a moment faster, or is not gone yet.
                Err(OpenError::Held { .. }) if place.stands_by() => {
                    std::thread::sleep(settings.lease / PAUSES)
                }
                opened => return opened,
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn open_on(
        disk: Arc<dyn crate::disk::Disk>,
        dir: &std::path::Path,
        settings: Settings,
    ) -> Result<Self, OpenError> {
        let storage = crate::directory::Directory::open(disk, dir, settings.segment_bytes)?;
        Self::start(Box::new(storage), settings)
    }

    fn start(storage: Box<dyn Storage>, settings: Settings) -> Result<Self, OpenError> {
        let lookups = Lookups::new(settings.max_pending.min(Semaphore::MAX_PERMITS));
        let place = storage.name();
        let Parts { sequencer, flusher, indexer, queue, view, index, health, signing, hold } =
            assemble::<L>(storage, settings)?;
        let outbox = Arc::clone(&sequencer.outbox);
        let spawned = (|| {
            let indexing = spawn("sealog-indexer", &place, || indexer.run())?;
            let flushing = spawn("sealog-flusher", &place, || flusher.run())?;
            let sequencing = spawn("sealog-sequencer", &place, || sequencer.run())?;
            Ok(Threads { sequencing, flushing, indexing, outbox: Arc::clone(&outbox) })
        })();
        let threads = Mutex::new(Some(spawned.inspect_err(|_| {
            index.close();
            outbox.close();
        })?));
        let hold = Mutex::new(Some((signing, hold)));
        let index = ArcSwapOption::new(Some(index));
        Ok(Self { inner: Arc::new(Inner { queue, view, index, health, lookups, threads, hold }) })
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
        // Read before the look-up: of what comes into the index later, the sequencer knows. And what the index has but
        // the view does not, cannot be looked at.
        let Some(index) = self.index.load_full() else { return Err(self.gone()) };
        let view = self.view.load_full();
        let checked_to = index.complete_to().min(view.size());
        let known =
            index.candidates(&key).map_err(|error| AppendError::Read(Arc::new(ReadError::Index(error))))?;
        if !known.is_empty()
            && let Some(receipt) = self.logged_before(index, view, key).await?
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
    async fn logged_before(
        &self,
        index: Arc<Index>,
        view: Arc<View>,
        key: [u8; 32],
    ) -> Result<Option<Receipt>, AppendError> {
        let found = self.lookups.run(move || match logged::find::<L>(&index, &view, &key)? {
            Some(index) => logged::receipt::<L>(&view, index).map(Some),
            None => Ok(None),
        });
        self.read(found.await?)
    }

    async fn receipt_of(&self, index: u64) -> Result<Receipt, AppendError> {
        let view = self.view.load_full();
        let found = self.lookups.run(move || logged::receipt::<L>(&view, index));
        self.read(found.await?)
    }

    fn read<T>(&self, found: Result<Result<T, ReadError>, JoinError>) -> Result<T, AppendError> {
        match found {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(AppendError::Read(Arc::new(error))),
            Err(_) => Err(self.gone()),
        }
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
        if let Some(Threads { sequencing, flushing, indexing, outbox }) = threads.take() {
            let commit_point = sequencing.join();
            if flushing.join().is_err() | indexing.join().is_err() | commit_point.is_err() {
                self.health.fail(Cause::Thread, None);
            }
            // Others may have the log once everything is published, and only if nothing is in doubt.
            if self.health.failure().is_none()
                && let Ok(mut commit_point) = commit_point
            {
                // Whoever looks at it afterwards sees that all is published.
                if let Err(error) = commit_point.retire(outbox.durable(), outbox.published()) {
                    tracing::warn!(%error, "an old write-ahead segment could not be removed");
                }
                if let Err(error) = commit_point.release() {
                    tracing::warn!(
                        ?error,
                        "the log could not be let go; others will wait for its lease to end"
                    );
                }
            }
        }
        self.index.store(None);
        if let Some((signing, _)) = self.hold.lock().unwrap_or_else(PoisonError::into_inner).take()
            && self.health.failure().is_none()
            && let Err(error) = signing.ended(self.view.load().checkpoint())
        {
            tracing::warn!(%error, "the mark of a running log could not be removed; a restore will ask for more than it needs");
        }
        self.health.failure().map_or(Ok(()), |failure| Err(failure.clone()))
    }
}

impl<L: Leaf> Drop for Inner<L> {
    fn drop(&mut self) {
        // The failure, if any, was logged where it happened.
        let _ = self.close();
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    dir: &Path,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, OpenError> {
    thread::Builder::new().name(name.to_owned()).spawn(run).at("start a thread for", dir)
}
