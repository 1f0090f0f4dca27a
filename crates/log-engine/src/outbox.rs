//! What the sequencer hands to the flusher: finished files, dedup keys, and the wish for a new segment.
//!
//! The sequencer never waits for a file, except when so much is unwritten that memory would grow with the backlog.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sealog_tlog::Hash;

use crate::index::Keyed;
use crate::tree::FullFile;

/// Finished files are written with the next publication, many by one sync; beyond this, at once.
const URGENT_BYTES: usize = 4 << 20;

/// Unwritten finished files beyond this hold the next batch back.
const MAX_BACKLOG_BYTES: usize = 16 << 20;

pub(crate) struct Outbox {
    inner: Mutex<Inner>,
    /// The flusher waits here for work.
    work: Condvar,
    /// The sequencer waits here for room.
    room: Condvar,
    /// Every full tile and bundle of the first so many entries survives a power cut.
    durable: AtomicU64,
    /// Everything under a checkpoint of so many entries does.
    published: AtomicU64,
}

#[derive(Default)]
struct Inner {
    job: Job,
    /// Bytes handed over and not yet durable, including those the flusher has taken.
    backlog: usize,
    disk_full: bool,
    /// Something was committed since the flusher last looked.
    changed: bool,
    closed: bool,
}

/// Work taken at once.
#[derive(Default)]
pub(crate) struct Job {
    pub(crate) files: Vec<FullFile>,
    pub(crate) keys: Vec<Keyed>,
    /// Tree size and root hash after the newest batch of the job.
    pub(crate) reached: Option<(u64, Hash)>,
    pub(crate) wants_segment: bool,
}

/// What woke the flusher.
pub(crate) struct Woken {
    pub(crate) job: Job,
    pub(crate) changed: bool,
    pub(crate) closed: bool,
}

/// Whether the next batch may be made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Room {
    Enough,
    /// The backlog cannot be written because the disk is full.
    DiskFull,
}

impl Outbox {
    pub(crate) fn new(durable: u64, published: u64) -> Self {
        Self {
            inner: Mutex::default(),
            work: Condvar::new(),
            room: Condvar::new(),
            durable: AtomicU64::new(durable),
            published: AtomicU64::new(published),
        }
    }

    pub(crate) fn hand_over(&self, mut files: Vec<FullFile>, mut keys: Vec<Keyed>, size: u64, root: Hash) {
        let mut inner = self.lock();
        inner.backlog += files.iter().map(|file| file.bytes.len()).sum::<usize>();
        let wake = inner.backlog > URGENT_BYTES || !inner.changed;
        inner.job.files.append(&mut files);
        inner.job.keys.append(&mut keys);
        inner.job.reached = Some((size, root));
        inner.changed = true;
        drop(inner);
        if wake {
            self.work.notify_one();
        }
    }

    pub(crate) fn want_segment(&self) {
        let mut inner = self.lock();
        if !inner.job.wants_segment {
            inner.job.wants_segment = true;
            self.work.notify_one();
        }
    }

    /// Waits while too much is unwritten (or the outbox is closed, which ends the wait), up to `limit`; `None`: it still is.
    pub(crate) fn wait_for_room(&self, limit: Option<Duration>) -> Option<Room> {
        let end = limit.map(|limit| Instant::now() + limit);
        let mut inner = self.lock();
        while inner.backlog > MAX_BACKLOG_BYTES && !inner.closed {
            if inner.disk_full {
                return Some(Room::DiskFull);
            }
            inner = match end.map(|end| end.saturating_duration_since(Instant::now())) {
                None => self.room.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return None,
                Some(left) => self.room.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        Some(Room::Enough)
    }

    /// Waits for many files, a wish, the end, or the deadline; without one, for any change.
    pub(crate) fn wait_for_work(&self, deadline: Option<Instant>) {
        let mut inner = self.lock();
        loop {
            let many = !inner.job.files.is_empty() && inner.backlog > URGENT_BYTES;
            let urgent = many || inner.job.wants_segment || inner.closed;
            if urgent || (deadline.is_none() && inner.changed) {
                break;
            }
            inner = match deadline {
                None => self.work.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    self.work.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// What is there, without waiting.
    pub(crate) fn take_work(&self) -> Woken {
        let mut inner = self.lock();
        let job = std::mem::take(&mut inner.job);
        let changed = std::mem::take(&mut inner.changed);
        Woken { job, changed, closed: inner.closed }
    }

    /// So many bytes are durable.
    pub(crate) fn written(&self, bytes: usize) {
        let mut inner = self.lock();
        inner.backlog = inner.backlog.saturating_sub(bytes);
        inner.disk_full = false;
        self.room.notify_all();
    }

    pub(crate) fn disk_is_full(&self) {
        self.lock().disk_full = true;
        self.room.notify_all();
    }

    pub(crate) fn set_durable(&self, entries: u64) {
        self.durable.store(entries, Ordering::Release);
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn set_published(&self, entries: u64) {
        self.published.store(entries, Ordering::Release);
    }

    pub(crate) fn published(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    /// Nothing more comes; the flusher finishes what is here.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
        self.room.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
