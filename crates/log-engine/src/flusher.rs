//! Writes, behind the sequencer, what follows from the committed batches: full tiles and bundles as soon as they are
//! whole, the rest at the publication cadence, in the order other readers rely on.
//!
//! At every moment the `checkpoint` file names only tiles that are files: full tiles, then partial ones, then
//! `checkpoint`, each durable before the next. A crash between any two leaves the older checkpoint, whose tiles are all
//! still there; recovery writes the newer ones again from the write-ahead log.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use sealog_tlog::Hash;
use sealog_tlog::tile::{CHECKPOINT_PATH, TILE_WIDTH};

use crate::error::{Cause, ReadError};
use crate::files;
use crate::health::Health;
use crate::index::{Index, Keyed};
use crate::memory::Signing;
use crate::outbox::Outbox;
use crate::storage::{CommitError, Upkeep};
use crate::tree::FullFile;
use crate::view::{Store, View};

/// The remembered checkpoint is never older than this (the specification's second, with room to spare).
const REMEMBER_INTERVAL: Duration = Duration::from_millis(500);

/// Pause before a write is tried again, on a full disk or after a failure of the bucket.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Flusher {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) view: Arc<ArcSwap<View>>,
    pub(crate) store: Arc<Store>,
    pub(crate) index: Arc<Index>,
    pub(crate) upkeep: Arc<dyn Upkeep>,
    pub(crate) health: Arc<Health>,
    /// What remembers the newest checkpoint.
    pub(crate) signing: Arc<Signing>,
    pub(crate) publish_interval: Duration,
    /// Ends the intake of the log after a failure here.
    pub(crate) stop: Arc<dyn Fn() + Send + Sync>,
    pub(crate) backlog: Backlog,
}

/// Runs when the thread ends, also by a panic: the sequencer neither takes more nor waits for room.
struct Ending {
    health: Arc<Health>,
    outbox: Arc<Outbox>,
    stop: Arc<dyn Fn() + Send + Sync>,
}

impl Ending {
    fn of(flusher: &Flusher) -> Self {
        let Flusher { health, outbox, stop, .. } = flusher;
        Self { health: Arc::clone(health), outbox: Arc::clone(outbox), stop: Arc::clone(stop) }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.health.fail(Cause::Thread, None);
        }
        (self.stop)();
        self.outbox.close();
    }
}

/// What is still to be written.
#[derive(Default)]
pub(crate) struct Backlog {
    files: Vec<FullFile>,
    keys: Vec<Keyed>,
    reached: Option<(u64, Hash)>,
    /// Tree size after the newest batch handed over.
    newest: u64,
    /// When the next publication and the next remembering are due, if anything is new.
    publish_at: Option<Instant>,
    remember_at: Option<Instant>,
}

/// Something could not be written.
struct Trouble {
    cause: Cause,
    error: io::Error,
    /// It can be tried again.
    passes: bool,
}

/// How the flusher goes on after a step.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Go,
    /// Not before this has passed.
    Pause(Duration),
    End,
}

impl Flusher {
    pub(crate) fn run(mut self) {
        let _ending = Ending::of(&self);
        loop {
            self.outbox.wait_for_work(self.deadline());
            match self.step(Instant::now()) {
                Next::Go => {}
                Next::Pause(pause) => std::thread::sleep(pause),
                Next::End => return,
            }
        }
    }

    /// When there is something to do even if nothing more arrives.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        [self.backlog.publish_at, self.backlog.remember_at].into_iter().flatten().min()
    }

    /// Takes over what was handed over and writes what is due.
    pub(crate) fn step(&mut self, now: Instant) -> Next {
        // Before the work is taken: all full tiles of a view are handed over before it can be seen, so they are in what
        // is taken now or was before. The other way round, a newer view could be published ahead of its tiles.
        let mut view = self.view.load_full();
        let woken = self.outbox.take_work();
        if woken.closed {
            // Nothing comes any more, and everything was taken.
            view = self.view.load_full();
        }
        let backlog = &mut self.backlog;
        backlog.newest = woken.job.reached.map_or(backlog.newest, |(size, _)| size);
        if woken.changed {
            backlog.publish_at.get_or_insert(now + self.publish_interval);
            backlog.remember_at.get_or_insert(now + REMEMBER_INTERVAL);
        }
        backlog.files.extend(woken.job.files);
        backlog.keys.extend(woken.job.keys);
        backlog.reached = woken.job.reached.or(backlog.reached);
        if woken.job.wants_segment
            && let Err(error) = self.upkeep.prepare()
        {
            // The sequencer tries again when it needs one, and refuses entries if it must.
            tracing::warn!(%error, "the next write-ahead segment could not be prepared");
        }
        match self.write(&view, now, woken.closed) {
            Ok(()) if woken.closed => Next::End,
            Ok(()) => Next::Go,
            Err(Trouble { cause, error, passes: true }) if !woken.closed => {
                tracing::warn!(%cause, %error, "cannot write for now; entries are refused once memory has no room for more");
                self.outbox.disk_is_full();
                self.backlog.publish_at.get_or_insert(now);
                Next::Pause(PAUSE)
            }
            Err(Trouble { cause, error, .. }) => {
                self.health.fail(cause, Some(error));
                Next::End
            }
        }
    }

    fn write(&mut self, view: &View, now: Instant, closing: bool) -> Result<(), Trouble> {
        let (backlog, objects) = (&mut self.backlog, self.store.objects());
        let due = |at: Option<Instant>| at.is_some_and(|at| closing || at <= now);
        let public = |error| Trouble { cause: Cause::PublicFile, passes: objects.passes(&error), error };
        let local = |cause| move |error| Trouble { cause, passes: files::passes(&error), error };

        // First: whatever cannot be published, what was signed is remembered.
        if due(backlog.remember_at) {
            let checkpoint = view.checkpoint();
            self.signing.remember(checkpoint).map_err(local(Cause::FirstSeen))?;
            let more = backlog.newest > view.size();
            backlog.remember_at = more.then(|| now + REMEMBER_INTERVAL);
        }
        if !backlog.files.is_empty() {
            write_full(&self.store, &backlog.files).map_err(public)?;
            self.store.release(&backlog.files);
            self.outbox.written(backlog.files.iter().map(|file| file.bytes.len()).sum());
            backlog.files.clear();
        }
        if let Some((size, root)) = backlog.reached {
            self.outbox.set_durable(size - size % u64::from(TILE_WIDTH));
            if due(backlog.publish_at) || backlog.keys.len() >= 4 * usize::from(TILE_WIDTH) {
                self.index.add(&backlog.keys, size, &root).map_err(local(Cause::Index))?;
                backlog.keys.clear();
                backlog.reached = None;
            }
        }
        if due(backlog.publish_at) {
            publish(view).map_err(|error| match error {
                CommitError::Superseded => {
                    let error = io::Error::other("its checkpoint is newer");
                    Trouble { cause: Cause::Superseded, passes: false, error }
                }
                CommitError::Refused(error) | CommitError::Unknown(error) => public(error),
            })?;
            self.outbox.set_published(view.size());
            // What came in between waits for the next time.
            let more = backlog.newest > view.size();
            backlog.publish_at = more.then(|| now + self.publish_interval);
            if let Err(error) = self.upkeep.tidy() {
                tracing::warn!(%error, "what is needed no more could not be removed");
            }
        }
        Ok(())
    }
}

/// Full tiles and bundles, durable on return, and their partial predecessors gone.
pub(crate) fn write_full(store: &Store, files: &[FullFile]) -> io::Result<()> {
    store.objects().write(files)?;
    // Whoever asks for a partial is served from the full tile; of the files only the room they take is left.
    if let Err(error) = store.objects().drop_partials(files) {
        tracing::warn!(%error, "old partial tiles could not be removed");
    }
    Ok(())
}

/// Makes the checkpoint of `view` readable for others. Its full tiles must be durable already.
pub(crate) fn publish(view: &View) -> Result<(), CommitError> {
    let objects = view.store().objects();
    objects.write(&view.partial_files()).map_err(CommitError::Refused)?;
    objects.publish_checkpoint(view.checkpoint())
}

/// True when [`publish`] has nothing to do: the files are as a clean end left them.
pub(crate) fn is_published(view: &View) -> Result<bool, ReadError> {
    let store = view.store();
    if store.kept(CHECKPOINT_PATH)?.as_ref() != Some(view.checkpoint()) {
        return Ok(false);
    }
    for file in view.partial_files() {
        let there = store.objects().is_there(&file.path);
        if !there.map_err(|source| ReadError::Io { path: store.path_of(&file.path), source })? {
            return Ok(false);
        }
    }
    Ok(true)
}
