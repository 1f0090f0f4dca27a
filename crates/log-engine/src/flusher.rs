//! Writes, behind the sequencer, what follows from the committed batches: full tiles and bundles as soon as they are
//! whole, the rest at the publication cadence, in the order other readers rely on.
//!
//! At every moment the `checkpoint` file names only tiles that are files: full tiles, then partial ones, then
//! `checkpoint`, each durable before the next. A crash between any two leaves the older checkpoint, whose tiles are all
//! still there; recovery writes the newer ones again from the write-ahead log.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use sealog_tlog::Hash;
use sealog_tlog::tile::{CHECKPOINT_PATH, TILE_WIDTH};

use crate::error::Cause;
use crate::files::{self, passes};
use crate::health::Health;
use crate::index::{Index, Keyed};
use crate::outbox::Outbox;
use crate::tree::FullFile;
use crate::view::{Store, View};
use crate::wal::Segments;

/// The remembered checkpoint is never older than this (the specification's second, with room to spare).
const REMEMBER_INTERVAL: Duration = Duration::from_millis(500);

/// Pause before a write is tried again on a full disk.
const DISK_FULL_PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Flusher {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) view: Arc<ArcSwap<View>>,
    pub(crate) store: Arc<Store>,
    pub(crate) index: Arc<Index>,
    pub(crate) segments: Arc<Segments>,
    pub(crate) health: Arc<Health>,
    pub(crate) first_seen: PathBuf,
    pub(crate) publish_interval: Duration,
    /// Ends the intake of the log after a failure here.
    pub(crate) stop: Box<dyn Fn() + Send>,
}

/// Runs when the thread ends, also by a panic: the sequencer neither takes more nor waits for room.
struct Ending<'a>(&'a Flusher);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.health.fail(Cause::Thread, None);
        }
        (self.0.stop)();
        self.0.outbox.close();
    }
}

/// What is still to be written.
#[derive(Default)]
struct Backlog {
    files: Vec<FullFile>,
    keys: Vec<Keyed>,
    reached: Option<(u64, Hash)>,
    /// When the next publication and the next remembering are due, if anything is new.
    publish_at: Option<Instant>,
    remember_at: Option<Instant>,
}

impl Flusher {
    pub(crate) fn run(self) {
        let _ending = Ending(&self);
        let mut backlog = Backlog::default();
        loop {
            let deadline = [backlog.publish_at, backlog.remember_at].into_iter().flatten().min();
            let woken = self.outbox.wait_for_work(deadline);
            let now = Instant::now();
            if woken.changed {
                backlog.publish_at.get_or_insert(now + self.publish_interval);
                backlog.remember_at.get_or_insert(now + REMEMBER_INTERVAL);
            }
            backlog.files.extend(woken.job.files);
            backlog.keys.extend(woken.job.keys);
            backlog.reached = woken.job.reached.or(backlog.reached);
            if woken.job.wants_segment
                && let Err(error) = self.segments.prepare()
            {
                // The sequencer tries again when it needs one, and refuses entries if it must.
                tracing::warn!(%error, "the next write-ahead segment could not be prepared");
            }
            match self.write(&mut backlog, now, woken.closed) {
                Ok(()) if woken.closed => return,
                Ok(()) => {}
                Err((cause, error)) if passes(&error) && !woken.closed => {
                    tracing::warn!(%cause, %error, "no room to write; entries are refused once memory has no room for more");
                    self.outbox.disk_is_full();
                    std::thread::sleep(DISK_FULL_PAUSE);
                    backlog.publish_at.get_or_insert(now);
                }
                Err((cause, error)) => {
                    self.health.fail(cause, Some(error));
                    return;
                }
            }
        }
    }

    fn write(&self, backlog: &mut Backlog, now: Instant, closing: bool) -> Result<(), (Cause, io::Error)> {
        // Loaded before anything is written: all its full tiles were handed over before it was published.
        let view = self.view.load_full();
        let due = |at: Option<Instant>| at.is_some_and(|at| closing || at <= now);

        if !backlog.files.is_empty() {
            write_full(&self.store, &backlog.files).map_err(|e| (Cause::PublicFile, e))?;
            self.store.release(&backlog.files);
            self.outbox.written(backlog.files.iter().map(|file| file.bytes.len()).sum());
            backlog.files.clear();
        }
        if let Some((size, root)) = backlog.reached {
            self.outbox.set_durable(size - size % u64::from(TILE_WIDTH));
            if due(backlog.publish_at) || backlog.keys.len() >= 4 * usize::from(TILE_WIDTH) {
                self.index.add(&backlog.keys, size, &root).map_err(|e| (Cause::Index, e))?;
                backlog.keys.clear();
                backlog.reached = None;
            }
        }
        if due(backlog.publish_at) {
            publish(&view).map_err(|e| (Cause::PublicFile, e))?;
            backlog.publish_at = None;
        }
        if due(backlog.remember_at) {
            files::write_durable(&self.first_seen, view.checkpoint()).map_err(|e| (Cause::FirstSeen, e))?;
            backlog.remember_at = None;
        }
        Ok(())
    }
}

/// Full tiles and bundles, durable on return, and their partial predecessors gone.
pub(crate) fn write_full(store: &Store, files: &[FullFile]) -> io::Result<()> {
    write_all(store, files)?;
    for file in files {
        // Whoever asks for a partial is served from the full tile; of the files only the room they take is left.
        let partials = store.path_of(&format!("{}.p", file.path));
        if let Err(error) = fs::remove_dir_all(&partials)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %partials.display(), %error, "old partial tiles could not be removed");
        }
    }
    Ok(())
}

/// Makes the checkpoint of `view` readable for others. Its full tiles must be durable already.
pub(crate) fn publish(view: &View) -> io::Result<()> {
    let store = view.store();
    write_all(store, &view.partial_files())?;
    let checkpoint: &Bytes = view.checkpoint();
    files::write_durable(&store.path_of(CHECKPOINT_PATH), checkpoint)
}

/// True when [`publish`] has nothing to do: the files are as a clean end left them.
pub(crate) fn is_published(view: &View) -> io::Result<bool> {
    let store = view.store();
    let checkpoint = files::read_if_there(&store.path_of(CHECKPOINT_PATH))?;
    Ok(checkpoint.as_deref() == Some(view.checkpoint().as_ref())
        && view.partial_files().iter().all(|file| store.path_of(&file.path).is_file()))
}

fn write_all(store: &Store, files: &[FullFile]) -> io::Result<()> {
    let mut dirs = BTreeSet::new();
    for file in files {
        let path = store.path_of(&file.path);
        let dir = files::parent(&path)?;
        if !dirs.contains(dir) {
            files::ensure_dir(dir)?;
            dirs.insert(dir.to_owned());
        }
        files::write_whole(&path, &file.bytes)?;
    }
    dirs.iter().try_for_each(|dir| files::sync_dir(dir))
}
