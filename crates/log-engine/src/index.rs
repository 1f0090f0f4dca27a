//! Where an entry was logged before: from a short tag of its dedup key to the leaves that may be it.
//!
//! The index is small and only nearly exact on purpose; a candidate counts when the entry read from its bundle has the
//! whole key. It is derived from the log: the tags of each 2^16 leaves become a file that never changes, a *run*, and
//! sixteen neighbours become one of the next level (`worker`, `run`). Leaves behind the last run are held in memory and
//! read from the log again at the next start. Nothing of it is worth a backup: a run that is missing, damaged or of
//! another tree is made again from the log.
//!
//! A look-up asks every run's filter, in memory, and reads one page of 4 KiB from each run that does not say no. There
//! are at most fifteen runs of a level, besides those on their way to the next: 17 at ten million leaves.
//!
//! *Who grinds entries.* Tags are leading bits of a hash, so a submitter can choose them at a cost. Skewed ones (2^n
//! hashes an entry for n bits) overload a few blocks of a filter, and then *look-ups in these blocks* read a page of each
//! run: nobody else's. Equal ones (2^48 hashes an entry) each cost whoever looks that tag up one more bundle to read, in
//! `logged`, where only so many read at a time. Nothing sorts, merges or stores in more than the time and room of
//! random tags.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use sealog_tlog::Hash;

pub(crate) use dir::{Dir, DiskDir};
pub(crate) use worker::{OpenIndexError, Stop, Worker};

use run::{OfTree, Run, RunError};

mod dir;
mod filter;
mod page;
mod run;
mod worker;

/// Leading bits of the dedup key that are kept.
const TAG_BITS: u32 = 48;

/// Runs are not merged beyond so many leaves (a log of certificates ends there).
const MAX_RUN_BITS: u32 = 40;

/// Entries added under one lock: readers wait no longer than that takes.
const ADD_STEP: usize = 256;

/// Full parts that may wait in memory while the disk takes nothing.
const MAX_WAITING_PARTS: usize = 16;

/// An entry's dedup key and its leaf index.
pub(crate) type Keyed = ([u8; 32], u64);

/// How leaves are divided into runs: 2^`base_bits` in one of level 0, 2^`fan_bits` of a level in one of the next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    base_bits: u8,
    fan_bits: u8,
}

impl Shape {
    pub(crate) const LOG: Self = Self { base_bits: 16, fan_bits: 4 };
    /// The smallest whose runs begin where bundles do.
    #[cfg(test)]
    pub(crate) const SMALL: Self = Self { base_bits: 8, fan_bits: 1 };
}

/// The leaves of one run: the `number`th so many of its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Extent {
    level: u8,
    number: u64,
}

impl Extent {
    fn bits(self, shape: Shape) -> u32 {
        u32::from(shape.base_bits) + u32::from(shape.fan_bits) * u32::from(self.level)
    }

    fn leaves(self, shape: Shape) -> u64 {
        1 << self.bits(shape)
    }

    fn first(self, shape: Shape) -> u64 {
        self.number << self.bits(shape)
    }

    fn end(self, shape: Shape) -> u64 {
        self.first(shape) + self.leaves(shape)
    }

    /// Those it is merged from.
    fn below(self, shape: Shape) -> impl Iterator<Item = Self> {
        let first = self.number << shape.fan_bits;
        (first..first + (1 << shape.fan_bits)).map(move |number| Self { level: self.level - 1, number })
    }

    fn name(self) -> String {
        format!("{}-{:010}.run", self.level, self.number)
    }

    /// `None` for any other name than those that [`name`](Self::name) gives.
    fn parse(name: &str, shape: Shape) -> Option<Self> {
        let (level, number) = name.strip_suffix(".run")?.split_once('-')?;
        let extent = Self { level: level.parse().ok()?, number: number.parse().ok()? };
        let bits = extent.bits(shape);
        let sound = extent.name() == name && bits <= MAX_RUN_BITS && extent.number < u64::MAX >> bits;
        sound.then_some(extent)
    }
}

pub(crate) struct Index {
    shape: Shape,
    state: RwLock<State>,
    complete_to: AtomicU64,
    signals: Mutex<Signals>,
    bell: Condvar,
}

struct State {
    /// In leaf order, without gaps once the log is open.
    runs: Vec<Arc<Run>>,
    /// What no run has yet, in leaf order; all but the last are full.
    tail: VecDeque<Arc<Part>>,
    /// The next leaf.
    next: u64,
    /// The newest tree there was.
    newest: OfTree,
}

/// What will be a run of level 0.
#[derive(Clone)]
struct Part {
    extent: Extent,
    /// Tag and offset. In order already: a list of hashes under an attacker's choice is best not hashed again.
    entries: BTreeSet<(u64, u64)>,
}

/// What the worker is told.
#[derive(Default)]
struct Signals {
    /// Something new to do.
    rung: bool,
    damaged: Vec<Arc<Run>>,
    closed: bool,
    /// The worker ended with this.
    failed: Option<io::Error>,
    /// The worker waits for this to pass.
    stuck: Option<io::Error>,
}

impl Index {
    /// Every leaf below this is in the index.
    pub(crate) fn complete_to(&self) -> u64 {
        self.complete_to.load(Ordering::Acquire)
    }

    /// Leaves that may hold the entry of this key, oldest first.
    ///
    /// When a run turns out to be damaged here, this one look-up fails, and the run is made again meanwhile.
    pub(crate) fn candidates(&self, key: &[u8; 32]) -> io::Result<Vec<u64>> {
        let tag = tag(key);
        let (mut found, mut newest) = (Vec::new(), Vec::new());
        let runs: Vec<_> = {
            let state = self.read();
            state.tail.iter().for_each(|part| part.find(tag, self.shape, &mut newest));
            state.runs.iter().filter(|run| run.may_have(tag)).map(Arc::clone).collect()
        };
        let mut damaged = None;
        for run in runs {
            if let Err(error) = run.find(tag, &mut found) {
                self.report(run, &error);
                damaged = Some(error);
            }
        }
        found.append(&mut newest);
        let text = |error| format!("the duplicate index is damaged ({error}); it is made again there");
        damaged.map_or(Ok(found), |error| Err(io::Error::other(text(error))))
    }

    /// Adds the entries of committed leaves in order, up to a tree of this size. Those known already may come again.
    pub(crate) fn add(&self, entries: &[Keyed], size: u64, root: &Hash) -> io::Result<()> {
        self.check_worker()?;
        for step in entries.chunks(ADD_STEP) {
            let mut state = self.write();
            for (key, leaf) in step {
                if *leaf < state.next {
                    continue;
                }
                if *leaf > state.next {
                    let text = format!("leaf {leaf} came before leaf {}", state.next);
                    return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
                }
                state.push(tag(key), self.shape);
            }
        }
        let mut state = self.write();
        if state.next != size {
            let text = format!("a tree of {size} leaves, of which {} came", state.next);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        state.newest = (size, *root);
        let full = state.full_part(self.shape).is_some();
        drop(state);
        self.complete_to.store(size, Ordering::Release);
        if full {
            self.signals().rung = true;
            self.bell.notify_one();
        }
        Ok(())
    }

    /// Nothing more is written. The worker ends soon, and what it was writing is lost.
    pub(crate) fn close(&self) {
        self.signals().closed = true;
        self.bell.notify_all();
    }

    fn is_closed(&self) -> bool {
        self.signals().closed
    }

    fn report(&self, run: Arc<Run>, error: &RunError) {
        let mut signals = self.signals();
        if !signals.damaged.iter().any(|known| Arc::ptr_eq(known, &run)) {
            tracing::warn!(run = run.extent.name(), %error, "the duplicate index is damaged; it is made again there");
            signals.damaged.push(run);
            signals.rung = true;
            self.bell.notify_one();
        }
    }

    /// The errors of the worker, where the log hears them: it stops at one that stays, and waits for one that passes
    /// when too much is in memory.
    fn check_worker(&self) -> io::Result<()> {
        let signals = self.signals();
        let waits = |_: &&io::Error| self.read().tail.len() > MAX_WAITING_PARTS;
        match signals.failed.as_ref().or(signals.stuck.as_ref().filter(waits)) {
            Some(error) => Err(again(error)),
            None => Ok(()),
        }
    }

    /// Waits for something to do, or the close.
    fn wait(&self) {
        let nothing = |signals: &mut Signals| !signals.rung && !signals.closed;
        let waited = self.bell.wait_while(self.signals(), nothing);
        waited.unwrap_or_else(PoisonError::into_inner).rung = false;
    }

    /// Waits so long, or for the close.
    fn pause(&self, pause: Duration) {
        drop(self.bell.wait_timeout_while(self.signals(), pause, |signals| !signals.closed));
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn signals(&self) -> MutexGuard<'_, Signals> {
        self.signals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, tag: u64, shape: Shape) {
        let extent = Extent { level: 0, number: self.next >> shape.base_bits };
        if self.tail.back().is_none_or(|part| part.extent != extent) {
            self.tail.push_back(Arc::new(Part { extent, entries: BTreeSet::new() }));
        }
        if let Some(part) = self.tail.back_mut() {
            // Nobody else holds a part that is not full.
            Arc::make_mut(part).entries.insert((tag, self.next - extent.first(shape)));
        }
        self.next += 1;
    }

    /// The oldest part, if all its leaves are there and the newest tree has them.
    fn full_part(&self, shape: Shape) -> Option<&Arc<Part>> {
        self.tail.front().filter(|part| part.extent.end(shape) <= self.next.min(self.newest.0))
    }

    /// The lowest complete set of neighbours, and what becomes of it.
    fn mergeable(&self, shape: Shape) -> Option<(Extent, Vec<Arc<Run>>)> {
        let sets = self.runs.windows(1 << shape.fan_bits).filter_map(|set| {
            let first = set.first()?.extent;
            let into = Extent { level: first.level.checked_add(1)?, number: first.number >> shape.fan_bits };
            let whole = into.bits(shape) <= MAX_RUN_BITS
                && first.first(shape) == into.first(shape)
                && set.iter().all(|run| run.extent.level == first.level);
            whole.then_some((into, set))
        });
        sets.min_by_key(|(into, _)| into.level).map(|(into, set)| (into, set.to_vec()))
    }
}

impl Part {
    fn find(&self, tag: u64, shape: Shape, found: &mut Vec<u64>) {
        let first = self.extent.first(shape);
        found.extend(self.entries.range((tag, 0)..=(tag, u64::MAX)).map(|(_, offset)| first + offset));
    }
}

fn tag(key: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, ..] = *key;
    u64::from_be_bytes([0, 0, a, b, c, d, e, f])
}

/// The same error once more.
fn again(error: &io::Error) -> io::Error {
    error
        .raw_os_error()
        .map_or_else(|| io::Error::new(error.kind(), error.to_string()), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod measure;
#[cfg(test)]
mod tests;
