//! Whoever writes the index: makes runs of what is in memory, merges them, makes damaged ones again.
//!
//! | killed while | the next start finds |
//! |---|---|
//! | a run is written | a stray, which is removed; the runs it was made of, or the log itself |
//! | the runs behind a merged one are removed | some of them, inside the merged one: removed |
//!
//! A run under its name is always whole and durable, and says nothing that the log does not: whichever are there can be
//! used, and what is missing between them is read from the log.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::time::Duration;

use sealog_tlog::Hash;

use super::run::{Entries, OfTree, Run, RunError, RunWriter};
use super::{Dir, Extent, Index, MAX_RUN_BITS, Part, Shape, State, tag};
use crate::error::ReadError;
use crate::files::passes;

/// Pause before a write is tried again for which there was no room.
const PAUSE: Duration = Duration::from_secs(1);

/// Entries merged between two looks at what else is to be done.
const BREATH: u64 = 1 << 15;

/// Reads the dedup keys of committed leaves, in full bundles, from the log.
pub(crate) type Keys = dyn Fn(Range<u64>) -> Result<Vec<[u8; 32]>, ReadError> + Send;

pub(crate) struct Worker {
    index: Arc<Index>,
    dir: Box<dyn Dir>,
    keys: Box<Keys>,
}

/// Why the work was left.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The log is being closed.
    Closed,
    Io(io::Error),
    /// The log could not be read.
    Log(ReadError),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Why the index could not be opened.
#[derive(Debug)]
pub(crate) enum OpenIndexError<E> {
    Io(io::Error),
    Belongs(E),
}

impl<E> From<io::Error> for OpenIndexError<E> {
    fn from(source: io::Error) -> Self {
        Self::Io(source)
    }
}

impl Worker {
    /// Takes what `dir` has of the index of this log, now of size and root `of`; everything else in it is removed.
    /// `belongs` says whether the log had this root hash at this size.
    pub(crate) fn open<E>(
        dir: Box<dyn Dir>,
        shape: Shape,
        of: OfTree,
        keys: Box<Keys>,
        belongs: impl Fn(u64, &Hash) -> Result<bool, E>,
    ) -> Result<Self, OpenIndexError<E>> {
        let mut extents = Vec::new();
        for name in dir.list()? {
            match Extent::parse(&name, shape) {
                Some(extent) => extents.push(extent),
                None => {
                    tracing::warn!(name, "not of the duplicate index, where it lies; removed");
                    dir.remove(&name)?;
                }
            }
        }
        // The largest first: what lies inside one of them is left over from its making.
        extents.sort_by_key(|extent| (Reverse(extent.level), extent.number));
        let mut runs: Vec<Arc<Run>> = Vec::new();
        for extent in extents {
            let inside = |run: &Arc<Run>| {
                (run.extent.first(shape)..run.extent.end(shape)).contains(&extent.first(shape))
            };
            if runs.iter().any(inside) {
                dir.remove(&extent.name())?;
                continue;
            }
            let reason = match Run::open(dir.as_ref(), shape, extent) {
                Ok(run) if run.of.0 < extent.end(shape) || run.of.0 > of.0 => {
                    "it is of another tree".to_owned()
                }
                Ok(run) if belongs(run.of.0, &run.of.1).map_err(OpenIndexError::Belongs)? => {
                    runs.push(Arc::new(run));
                    continue;
                }
                Ok(_) => "it is of another tree".to_owned(),
                Err(RunError::Io(error)) if passes(&error) => return Err(error.into()),
                Err(error) => error.to_string(),
            };
            tracing::warn!(run = extent.name(), reason, "a part of the duplicate index is made again");
            dir.remove(&extent.name())?;
        }
        runs.sort_by_key(|run| run.extent.first(shape));
        let next = (of.0 >> shape.base_bits) << shape.base_bits;
        let state = State { runs, tail: VecDeque::new(), next, newest: of };
        let index = Arc::new(Index {
            shape,
            state: RwLock::new(state),
            complete_to: AtomicU64::new(0),
            signals: Mutex::default(),
            bell: Condvar::new(),
        });
        Ok(Self { index, dir, keys })
    }

    pub(crate) fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// Makes the runs that are missing. Afterwards the index is complete but for the last leaves, less than the
    /// smallest run has: they are to be added.
    pub(crate) fn complete(&self) -> Result<(), Stop> {
        let next = self.index.read().next;
        while let Some(missing) = self.missing(next) {
            tracing::info!(run = missing.name(), "a part of the duplicate index is made from the log");
            let run = Arc::new(self.remake(missing)?);
            let first = |run: &Arc<Run>| run.extent.first(self.index.shape);
            let mut state = self.index.write();
            let at = state.runs.partition_point(|other| first(other) < first(&run));
            state.runs.insert(at, run);
        }
        self.index.complete_to.store(next, Ordering::Release);
        Ok(())
    }

    /// The largest run that begins at the first gap below `end` and fits there.
    fn missing(&self, end: u64) -> Option<Extent> {
        let shape = self.index.shape;
        let state = self.index.read();
        let (mut from, mut to) = (0, end);
        for run in &state.runs {
            if run.extent.first(shape) > from {
                to = run.extent.first(shape);
                break;
            }
            from = run.extent.end(shape);
        }
        let levels = (0..=u8::MAX).map(|level| Extent { level, number: 0 });
        let extents = levels.take_while(|extent| extent.bits(shape) <= MAX_RUN_BITS);
        extents
            .map(|extent| Extent { number: from >> extent.bits(shape), ..extent })
            .take_while(|extent| extent.first(shape) == from && extent.end(shape) <= to)
            .last()
    }

    /// Works until the index is closed or fails for good.
    pub(crate) fn run(self) {
        let _ending = Ending(&self.index);
        loop {
            match self.step() {
                Ok(true) => self.index.signals().stuck = None,
                Ok(false) => self.index.wait(),
                Err(Stop::Closed) => return,
                Err(Stop::Io(error)) if passes(&error) => {
                    tracing::warn!(%error, "no room to write the duplicate index");
                    self.index.signals().stuck = Some(error);
                    self.index.pause(PAUSE);
                }
                Err(Stop::Io(error)) => return self.fail(error),
                Err(Stop::Log(error)) => return self.fail(io::Error::other(error)),
            }
        }
    }

    fn fail(&self, error: io::Error) {
        tracing::error!(%error, "the duplicate index cannot be written");
        self.index.signals().failed = Some(error);
    }

    /// Does the next thing there is to do; false when there is nothing.
    pub(crate) fn step(&self) -> Result<bool, Stop> {
        self.breathe()?;
        let damaged = self.index.signals().damaged.first().map(Arc::clone);
        if let Some(run) = damaged {
            let made = self.replace(&run);
            if made.is_ok() {
                self.index.signals().damaged.retain(|other| !Arc::ptr_eq(other, &run));
            }
            return made.map(|()| true);
        }
        let mergeable = self.index.read().mergeable(self.index.shape);
        match mergeable {
            Some((into, parts)) => self.merge_in_place(into, &parts).map(|()| true),
            None => Ok(false),
        }
    }

    /// What cannot wait for the end of longer work: the close, and entries in memory.
    fn breathe(&self) -> Result<(), Stop> {
        loop {
            if self.index.is_closed() {
                return Err(Stop::Closed);
            }
            let (part, of) = {
                let state = self.index.read();
                let Some(part) = state.full_part(self.index.shape) else { return Ok(()) };
                (Arc::clone(part), state.newest)
            };
            let run = self.write_part(&part, of)?;
            let mut state = self.index.write();
            state.runs.push(Arc::new(run));
            state.tail.pop_front();
        }
    }

    fn write_part(&self, part: &Part, of: OfTree) -> Result<Run, Stop> {
        let mut writer = RunWriter::new(self.dir.as_ref(), self.index.shape, part.extent, of)?;
        part.entries.iter().try_for_each(|(tag, offset)| writer.push(*tag, *offset))?;
        Ok(writer.finish()?)
    }

    fn merge_in_place(&self, into: Extent, parts: &[Arc<Run>]) -> Result<(), Stop> {
        let run = match self.merge(into, parts) {
            Ok(run) => run,
            Err(MergeError::Stop(stop)) => return Err(stop),
            Err(MergeError::Damaged(part, error)) => {
                self.index.report(part, &error);
                return Ok(());
            }
        };
        self.swap(run, |other| parts.iter().any(|part| Arc::ptr_eq(part, other)));
        self.remove(parts.iter().map(|part| part.extent));
        Ok(())
    }

    /// Makes a damaged run again from the log. Meanwhile what is sound of it still answers.
    fn replace(&self, damaged: &Arc<Run>) -> Result<(), Stop> {
        if !self.index.read().runs.iter().any(|run| Arc::ptr_eq(run, damaged)) {
            return Ok(());
        }
        // If the process ends before the new one is there, the next start finds the gap.
        self.dir.remove(&damaged.extent.name())?;
        let run = self.remake(damaged.extent)?;
        self.swap(run, |other| Arc::ptr_eq(other, damaged));
        Ok(())
    }

    /// Puts a run in the place of those it has the leaves of.
    fn swap(&self, run: Run, replaced: impl Fn(&Arc<Run>) -> bool) {
        let mut state = self.index.write();
        if let Some(at) = state.runs.iter().position(&replaced) {
            state.runs.retain(|other| !replaced(other));
            state.runs.insert(at, Arc::new(run));
        }
    }

    /// A run of leaves that no other has, from the log, by way of the levels below.
    fn remake(&self, extent: Extent) -> Result<Run, Stop> {
        self.breathe()?;
        let shape = self.index.shape;
        if extent.level == 0 {
            let keys = (self.keys)(extent.first(shape)..extent.end(shape)).map_err(Stop::Log)?;
            let entries = keys.iter().zip(0..).map(|(key, offset)| (tag(key), offset)).collect();
            let of = self.index.read().newest;
            return self.write_part(&Part { extent, entries }, of);
        }
        let parts: Vec<_> =
            extent.below(shape).map(|below| self.remake(below).map(Arc::new)).collect::<Result<_, _>>()?;
        let run = self.merge(extent, &parts).map_err(|error| match error {
            MergeError::Stop(stop) => stop,
            MergeError::Damaged(_, RunError::Io(error)) => error.into(),
            MergeError::Damaged(_, error) => io::Error::other(error).into(),
        })?;
        self.remove(parts.iter().map(|part| part.extent));
        Ok(run)
    }

    /// Reads all parts side by side: memory for a few pages of each, and for the new filter.
    fn merge(&self, into: Extent, parts: &[Arc<Run>]) -> Result<Run, MergeError> {
        let shape = self.index.shape;
        let of = parts.iter().map(|part| part.of).max_by_key(|of| of.0).unwrap_or((0, Hash([0; 32])));
        let mut writer = RunWriter::new(self.dir.as_ref(), shape, into, of)?;
        let mut sources: Vec<_> = parts.iter().map(|part| (part, Entries::of(part))).collect();
        let next = |(part, entries): &mut (&Arc<Run>, Entries<'_>), n: u64| {
            let base = part.extent.first(shape) - into.first(shape);
            match entries.next() {
                Ok(entry) => Ok(entry.map(|(tag, offset)| Reverse((tag, base + offset, n)))),
                Err(error) => Err(MergeError::Damaged(Arc::clone(part), error)),
            }
        };
        let mut heads = BinaryHeap::with_capacity(sources.len());
        for (source, n) in sources.iter_mut().zip(0..) {
            heads.extend(next(source, n)?);
        }
        let mut count = 0_u64;
        while let Some(mut head) = heads.peek_mut() {
            let Reverse((tag, offset, n)) = *head;
            writer.push(tag, offset)?;
            let source = usize::try_from(n).ok().and_then(|n| sources.get_mut(n));
            match source.map(|source| next(source, n)).transpose()?.flatten() {
                Some(entry) => *head = entry,
                None => drop(PeekMut::pop(head)),
            }
            count += 1;
            if count.is_multiple_of(BREATH) {
                self.breathe().map_err(MergeError::Stop)?;
            }
        }
        Ok(writer.finish()?)
    }

    /// What is left after this the next start removes.
    fn remove(&self, extents: impl Iterator<Item = Extent>) {
        for name in extents.map(Extent::name) {
            if let Err(error) = self.dir.remove(&name) {
                tracing::warn!(name, %error, "a merged part of the duplicate index could not be removed");
            }
        }
    }
}

enum MergeError {
    Stop(Stop),
    Damaged(Arc<Run>, RunError),
}

impl From<io::Error> for MergeError {
    fn from(error: io::Error) -> Self {
        Self::Stop(Stop::Io(error))
    }
}

/// Runs when the worker's thread ends, also by a panic.
struct Ending<'a>(&'a Index);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.signals().failed =
                Some(io::Error::other("the thread of the duplicate index ended unexpectedly"));
        }
    }
}
