//! A disk that forgets as badly as a real one may.
//!
//! What a process sees is the page cache; what a power cut leaves is, for each file, the bytes that were synced and any
//! of the 512-byte sectors written since, and for each directory the names that were synced and a beginning of the changes
//! since. A sync that fails leaves the bytes visible and forgets that they must still be written. Any operation may fail,
//! before or after it had its effect; from a chosen operation on every one fails: the process was killed there.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::random::Random;
use crate::disk::{Disk, DiskFile};

const SECTOR: usize = 512;

/// What goes wrong, besides being killed; chances are one in so many operations, zero for never.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) struct Faults {
    /// An operation that changes something fails without effect.
    pub(super) before: u64,
    /// It fails, and has been done all the same.
    pub(super) after: u64,
    /// A sync fails.
    pub(super) sync: u64,
    /// No new blocks are to be had.
    pub(super) full: bool,
    /// Nothing may be changed.
    pub(super) read_only: bool,
}

#[derive(Clone)]
pub(super) struct SimDisk(Arc<Mutex<State>>);

struct State {
    random: Random,
    faults: Faults,
    /// Operations until the process is killed.
    lives: Option<u64>,
    /// It is not the process that reads, but whoever checks what it has told.
    calm: bool,
    /// Of which life the engine at work is: an older one's are void.
    life: u64,
    files: BTreeMap<u64, Inode>,
    next_inode: u64,
    names: BTreeMap<PathBuf, u64>,
    dirs: BTreeSet<PathBuf>,
    /// Names as they survive a power cut, and the changes since, by directory.
    durable: BTreeMap<PathBuf, u64>,
    durable_dirs: BTreeSet<PathBuf>,
    changes: BTreeMap<PathBuf, Vec<Change>>,
    locked: BTreeSet<PathBuf>,
}

#[derive(Default, Clone)]
struct Inode {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that were written and not synced, by number.
    dirty: BTreeSet<usize>,
    /// The length is not synced.
    resized: bool,
}

#[derive(Clone)]
enum Change {
    Link(PathBuf, u64),
    Unlink(PathBuf),
    Rename(PathBuf, PathBuf, u64),
    MakeDir(PathBuf),
    RemoveDir(PathBuf),
}

impl SimDisk {
    /// With these directories.
    pub(super) fn new(seed: u64, dir: &Path) -> Self {
        let dirs: BTreeSet<PathBuf> = dir.ancestors().map(Path::to_owned).collect();
        Self(Arc::new(Mutex::new(State {
            random: Random::new(seed),
            faults: Faults::default(),
            lives: None,
            calm: false,
            life: 0,
            files: BTreeMap::new(),
            next_inode: 0,
            names: BTreeMap::new(),
            dirs: dirs.clone(),
            durable: BTreeMap::new(),
            durable_dirs: dirs,
            changes: BTreeMap::new(),
            locked: BTreeSet::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// A file that was always there.
    pub(super) fn plant(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let state = &mut *state;
        let dirs: Vec<_> = parent(path).ancestors().map(Path::to_owned).collect();
        state.dirs.extend(dirs.iter().cloned());
        state.durable_dirs.extend(dirs);
        let inode = state.next_inode;
        state.next_inode += 1;
        state
            .files
            .insert(inode, Inode { bytes: bytes.to_vec(), durable: bytes.to_vec(), ..Inode::default() });
        state.names.insert(path.to_owned(), inode);
        state.durable.insert(path.to_owned(), inode);
    }

    /// What follows is read by the check.
    pub(super) fn set_calm(&self, calm: bool) {
        self.state().calm = calm;
    }

    pub(super) fn has_faults(&self) -> bool {
        let state = self.state();
        state.lives.is_some() || state.faults != Faults::default()
    }

    /// The process is killed at the `operations`th change from now.
    pub(super) fn kill_after(&self, operations: u64) {
        self.state().lives = Some(operations);
    }

    pub(super) fn is_killed(&self) -> bool {
        self.state().lives == Some(0)
    }

    /// A new process, over the same page cache.
    pub(super) fn revive(&self) {
        let mut state = self.state();
        state.lives = None;
        state.life += 1;
        state.locked.clear();
        state.faults = Faults::default();
    }

    /// The machine loses its power: what was not synced is there or not, as it happens.
    pub(super) fn cut_power(&self) {
        let mut state = self.state();
        let state = &mut *state;
        let random = &mut state.random;
        for (_, changes) in std::mem::take(&mut state.changes) {
            let kept = usize::try_from(random.below(changes.len() as u64 + 1)).unwrap();
            for change in changes.into_iter().take(kept) {
                apply(change, &mut state.durable, &mut state.durable_dirs);
            }
        }
        for inode in state.files.values_mut() {
            let len = match inode.resized && random.one_in(2) {
                true => inode.bytes.len(),
                false => inode.durable.len(),
            };
            let mut left = inode.durable.clone();
            left.resize(len, 0);
            for sector in std::mem::take(&mut inode.dirty) {
                let range =
                    (sector * SECTOR).min(len)..((sector + 1) * SECTOR).min(inode.bytes.len()).min(len);
                if !range.is_empty() && random.one_in(2) {
                    left[range.clone()].copy_from_slice(&inode.bytes[range]);
                }
            }
            inode.durable.clone_from(&left);
            inode.bytes = left;
            inode.resized = false;
        }
        state.names = state.durable.clone();
        state.dirs = state.durable_dirs.clone();
        // A name in a directory that is not there is not there.
        let dirs = state.dirs.clone();
        state.names.retain(|path, _| path.parent().is_some_and(|dir| dirs.contains(dir)));
        state.durable.clone_from(&state.names);
        let used: BTreeSet<u64> = state.names.values().copied().collect();
        state.files.retain(|inode, _| used.contains(inode));
    }

    /// Flips one bit of what is kept in a file whose name `wanted` likes. Returns which.
    pub(super) fn flip_bit(&self, wanted: impl Fn(&Path) -> bool) -> Option<(PathBuf, usize)> {
        let mut state = self.state();
        let state = &mut *state;
        let files: Vec<_> = state.names.iter().filter(|(path, _)| wanted(path)).collect();
        let (path, inode) =
            files.get(usize::try_from(state.random.below(files.len().max(1) as u64)).ok()?)?;
        let inode = state.files.get_mut(inode)?;
        let len = inode.bytes.len() as u64;
        if len == 0 {
            return None;
        }
        let at = usize::try_from(state.random.below(len)).ok()?;
        let bit = 1 << state.random.below(8);
        inode.bytes[at] ^= bit;
        if let Some(byte) = inode.durable.get_mut(at) {
            *byte ^= bit;
        }
        Some(((*path).clone(), at))
    }

    /// As a reader outside the process sees it, who meets no faults.
    pub(super) fn look(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).map(|inode| state.files[inode].bytes.clone())
    }
}

fn apply(change: Change, names: &mut BTreeMap<PathBuf, u64>, dirs: &mut BTreeSet<PathBuf>) {
    match change {
        Change::Link(path, inode) => drop(names.insert(path, inode)),
        Change::Unlink(path) => drop(names.remove(&path)),
        Change::Rename(from, to, inode) => {
            names.remove(&from);
            names.insert(to, inode);
        }
        Change::MakeDir(path) => drop(dirs.insert(path)),
        Change::RemoveDir(path) => {
            names.retain(|name, _| !name.starts_with(&path));
            dirs.retain(|dir| !dir.starts_with(&path));
        }
    }
}

fn killed() -> io::Error {
    io::Error::other("killed")
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl State {
    /// Before a change: may it happen, and must its outcome be called a failure?
    fn change(&mut self) -> io::Result<Result<(), io::Error>> {
        if let Some(lives) = &mut self.lives {
            if *lives == 0 {
                return Err(killed());
            }
            *lives -= 1;
            if *lives == 0 {
                // Killed in the middle of it: done or not.
                return if self.random.one_in(2) { Err(killed()) } else { Ok(Err(killed())) };
            }
        }
        if self.faults.read_only {
            return Err(io::Error::from_raw_os_error(30));
        }
        if self.faults.before > 0 && self.random.one_in(self.faults.before) {
            return Err(io::Error::from_raw_os_error(5));
        }
        if self.faults.after > 0 && self.random.one_in(self.faults.after) {
            return Ok(Err(io::Error::from_raw_os_error(5)));
        }
        Ok(Ok(()))
    }

    fn look(&self) -> io::Result<()> {
        if self.lives == Some(0) && !self.calm { Err(killed()) } else { Ok(()) }
    }

    fn record(&mut self, dir: &Path, change: Change) {
        apply(change.clone(), &mut self.names, &mut self.dirs);
        self.changes.entry(dir.to_owned()).or_default().push(change);
    }

    fn room(&self) -> io::Result<()> {
        if self.faults.full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

impl Disk for SimDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state();
        state.look()?;
        state.names.get(path).map(|inode| state.files[inode].bytes.clone()).ok_or_else(not_found)
    }

    fn is_file(&self, path: &Path) -> bool {
        self.state().names.contains_key(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        self.state().dirs.contains(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state();
        state.look()?;
        if !state.dirs.contains(dir) {
            return Err(not_found());
        }
        let all = state.names.keys().chain(&state.dirs);
        Ok(all.filter(|path| path.parent() == Some(dir)).cloned().collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        let outcome = state.change()?;
        state.room()?;
        if !state.dirs.contains(parent(path)) {
            return Err(not_found());
        }
        let inode = match state.names.get(path) {
            Some(inode) => *inode,
            None => {
                let inode = state.next_inode;
                state.next_inode += 1;
                state.record(parent(path), Change::Link(path.to_owned(), inode));
                inode
            }
        };
        let file = state.files.entry(inode).or_default();
        file.bytes.clear();
        file.resized = true;
        outcome?;
        Ok(Box::new(SimFile { disk: self.clone(), inode, life: state.life }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let state = self.state();
        state.look()?;
        let inode = *state.names.get(path).ok_or_else(not_found)?;
        Ok(Box::new(SimFile { disk: self.clone(), inode, life: state.life }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let outcome = state.change()?;
        let inode = *state.names.get(from).ok_or_else(not_found)?;
        assert_eq!(
            parent(from),
            parent(to),
            "one change of one directory: whole after a power cut, or not at all"
        );
        state.record(parent(to), Change::Rename(from.to_owned(), to.to_owned(), inode));
        outcome
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let outcome = state.change()?;
        if !state.names.contains_key(path) {
            return Err(not_found());
        }
        state.record(parent(path), Change::Unlink(path.to_owned()));
        outcome
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        let outcome = state.change()?;
        if !state.dirs.contains(dir) {
            return Err(not_found());
        }
        state.record(parent(dir), Change::RemoveDir(dir.to_owned()));
        outcome
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        let outcome = state.change()?;
        state.room()?;
        if state.dirs.contains(dir) || state.names.contains_key(dir) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.record(parent(dir), Change::MakeDir(dir.to_owned()));
        outcome
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        let outcome = state.change()?;
        let state = &mut *state;
        for change in state.changes.remove(dir).unwrap_or_default() {
            apply(change, &mut state.durable, &mut state.durable_dirs);
        }
        outcome
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        let mut state = self.state();
        state.look()?;
        if !state.locked.insert(path.to_owned()) {
            return Ok(None);
        }
        if !state.names.contains_key(path) {
            let inode = state.next_inode;
            state.next_inode += 1;
            state.files.insert(inode, Inode::default());
            state.record(parent(path), Change::Link(path.to_owned(), inode));
        }
        Ok(Some(Box::new(Lock { disk: self.clone(), path: path.to_owned(), held: AtomicBool::new(true) })))
    }
}

struct Lock {
    disk: SimDisk,
    path: PathBuf,
    held: AtomicBool,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.held.swap(false, Ordering::Relaxed) {
            self.disk.state().locked.remove(&self.path);
        }
    }
}

struct SimFile {
    disk: SimDisk,
    inode: u64,
    life: u64,
}

impl SimFile {
    fn with<T>(&self, act: impl FnOnce(&mut State, io::Result<()>) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.state();
        if state.life != self.life {
            return Err(killed());
        }
        let outcome = state.change()?;
        act(&mut state, outcome)
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.look()?;
        Ok(state.files.get(&self.inode).map_or(0, |file| file.bytes.len() as u64))
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.state();
        state.look()?;
        let from = usize::try_from(offset).unwrap();
        let bytes = state.files.get(&self.inode).and_then(|file| file.bytes.get(from..from + buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|state, outcome| {
            let from = usize::try_from(offset).unwrap();
            // A write that fails may have got somewhere.
            let len = match &outcome {
                Ok(()) => bytes.len(),
                Err(_) => usize::try_from(state.random.below(bytes.len() as u64 + 1)).unwrap(),
            };
            let full = state.room();
            let file = state.files.entry(self.inode).or_default();
            if file.bytes.len() < from + len {
                full?;
                file.bytes.resize(from + len, 0);
                file.resized = true;
            }
            file.bytes[from..from + len].copy_from_slice(&bytes[..len]);
            if len > 0 {
                file.dirty.extend(from / SECTOR..=(from + len - 1) / SECTOR);
            }
            outcome
        })
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.with(|state, outcome| {
            let file = state.files.entry(self.inode).or_default();
            file.bytes.resize(usize::try_from(len).unwrap(), 0);
            file.resized = true;
            outcome
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(|state, outcome| {
            let fails = state.faults.sync > 0 && state.random.one_in(state.faults.sync);
            let file = state.files.entry(self.inode).or_default();
            let dirty = std::mem::take(&mut file.dirty);
            if fails {
                // The pages are clean now, for all the kernel knows.
                return Err(io::Error::from_raw_os_error(5));
            }
            let len = file.bytes.len();
            file.durable.resize(len, 0);
            for sector in dirty {
                let range = (sector * SECTOR).min(len)..((sector + 1) * SECTOR).min(len);
                file.durable[range.clone()].copy_from_slice(&file.bytes[range]);
            }
            file.resized = false;
            outcome
        })
    }
}
