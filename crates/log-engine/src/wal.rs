//! The commit point on a filesystem: a write-ahead log of batches, one record and one sync each.
//!
//! What must hold: a batch is committed exactly when [`Wal::commit`] has returned `Ok`. Everything else the log stores
//! (tiles, bundles, checkpoint, index) is a consequence of the records and may lag behind them.
//!
//! A segment is one preallocated file, written by one process life only: every start begins a new one, so no process
//! ever overwrites what another committed. Room is found, and written to, before a batch is promised anything
//! ([`Wal::reserve`]); a full disk is therefore a refusal and never a broken promise. Segments whose entries are all
//! in durable full tiles are removed ([`Wal::retire`]); the one holding the newest record always stays.
//!
//! `record` says what the bytes are; `scan` reads them back and tells a torn tail from damage.

pub(crate) mod record;
mod scan;

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use record::{BLOCK, Record, RecordHead, padded_len};
pub(crate) use scan::{Damage, ScanError, Scanned, scan};

use crate::disk::{Disk, DiskFile};
use crate::files;
use crate::storage::Commit;
use record::{SegmentHead, encode};

/// Bytes of zeros written at a time when a segment is preallocated.
static ZEROS: [u8; 256 * 1024] = [0; 256 * 1024];

/// Where new segments come from: made ahead by whoever has time, or on the spot.
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    epoch: u64,
    bytes: u64,
    made: Mutex<Made>,
}

struct Made {
    next_number: u64,
    spare: Option<Blank>,
}

/// A preallocated segment without a record.
struct Blank {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    salt: [u8; 16],
}

impl Segments {
    /// `next_number` is above every segment in `dir`; `epoch` above every one that ever wrote there.
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf, next_number: u64, epoch: u64, bytes: u64) -> Self {
        Self { disk, dir, epoch, bytes, made: Mutex::new(Made { next_number, spare: None }) }
    }

    /// Makes the next segment if there is none yet. Slow (it writes the whole segment): not for the sequencer.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        let mut made = self.lock();
        if made.spare.is_none() {
            made.spare = Some(self.make(&mut made)?);
        }
        Ok(())
    }

    fn take(&self) -> io::Result<Blank> {
        let mut made = self.lock();
        match made.spare.take() {
            Some(blank) => Ok(blank),
            None => self.make(&mut made),
        }
    }

    /// Zeros to the end, so that the disk has promised every block and a commit changes no file metadata; only then
    /// the name recovery looks for.
    fn make(&self, made: &mut Made) -> io::Result<Blank> {
        let number = made.next_number;
        let salt = sealog_crypto::random_array::<16>().map_err(io::Error::other)?;
        let temporary = self.dir.join("next.tmp");
        let path = self.dir.join(segment_name(number));
        let written = (|| {
            let mut file = self.disk.create(&temporary)?;
            file.write_all_at(&SegmentHead { number, epoch: self.epoch, salt }.encode(), 0)?;
            let mut at = BLOCK;
            while at < self.bytes {
                let n = usize::try_from(self.bytes - at).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
                let zeros = ZEROS.get(..n).unwrap_or(&ZEROS);
                file.write_all_at(zeros, at)?;
                at += zeros.len() as u64;
            }
            file.sync()?;
            self.disk.rename(&temporary, &path)?;
            self.disk.sync_dir(&self.dir)?;
            Ok(file)
        })();
        match written {
            Ok(file) => {
                made.next_number = number + 1;
                Ok(Blank { file, path, salt })
            }
            Err(e) => {
                let _ = self.disk.remove_file(&temporary);
                Err(e)
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Owned by the sequencer; nobody else writes records.
pub(crate) struct Wal {
    segments: Arc<Segments>,
    active: Active,
    /// Earlier segments, oldest first, waiting for their entries to be in durable full tiles.
    closed: VecDeque<Closed>,
    /// Number of the next record over the whole life of the log.
    next_sequence: u64,
    buffer: Vec<u8>,
}

struct Active {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    salt: [u8; 16],
    at: u64,
    /// Tree size after the last record in it.
    size: u64,
}

/// A segment no record will be added to.
pub(crate) struct Closed {
    pub(crate) path: PathBuf,
    /// Tree size after its last record.
    pub(crate) size: u64,
}

impl Wal {
    pub(crate) fn start(
        segments: Arc<Segments>,
        closed: VecDeque<Closed>,
        next_sequence: u64,
    ) -> io::Result<Self> {
        let active = Active::start(&segments)?;
        Ok(Self { segments, active, closed, next_sequence, buffer: Vec::new() })
    }

    /// Makes sure a record of `checkpoint` and `entries` bytes fits, before anything is promised to anyone.
    ///
    /// An error here leaves the log as it was: the batch can be refused and the next one tried.
    pub(crate) fn reserve(&mut self, checkpoint: usize, entries: usize) -> io::Result<()> {
        let needed = padded_len(checkpoint, entries);
        if needed > self.capacity() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the batch is larger than a segment"));
        }
        if self.active.at + needed > self.segments.bytes {
            let next = Active::start(&self.segments)?;
            let full = std::mem::replace(&mut self.active, next);
            self.closed.push_back(Closed { path: full.path, size: full.size });
        }
        Ok(())
    }

    /// The one sync of a batch. After an error the state on disk is unknown: the caller must stop for good, because a
    /// second sync may report success for data the kernel has already dropped. The next start re-reads the file.
    pub(crate) fn commit(&mut self, batch: &Commit<'_>) -> io::Result<()> {
        let head = RecordHead {
            sequence: self.next_sequence,
            epoch: self.segments.epoch,
            first: batch.first,
            size: batch.size,
            time_ms: batch.time_ms,
            root: batch.root,
        };
        let entries = batch.entries.iter().map(AsRef::as_ref);
        encode(&mut self.buffer, &self.active.salt, &head, batch.checkpoint, entries)?;
        self.active.file.write_all_at(&self.buffer, self.active.at)?;
        self.active.file.sync()?;
        self.active.at += self.buffer.len() as u64;
        self.active.size = batch.size;
        self.next_sequence += 1;
        Ok(())
    }

    /// Removes segments all of whose entries are in full tiles that survive a power cut.
    pub(crate) fn retire(&mut self, durable: u64) -> io::Result<()> {
        // The newest record names the committed size and root: while the active segment has none, the last closed
        // segment is where recovery finds it.
        let keep = usize::from(self.active.at == BLOCK);
        let disk = &self.segments.disk;
        while self.closed.len() > keep
            && let Some(oldest) = self.closed.front()
            && oldest.size <= durable
        {
            // Durable one by one, and none before its predecessor is certainly gone: a hole in the middle would look
            // like lost records.
            match disk.remove_file(&oldest.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => disk.sync_dir(files::parent(&oldest.path)?)?,
            }
            self.closed.pop_front();
        }
        Ok(())
    }

    /// True when the next segment should be made ready ahead of its use.
    pub(crate) fn wants_spare(&self) -> bool {
        self.active.at > self.segments.bytes / 2
    }

    fn capacity(&self) -> u64 {
        self.segments.bytes.saturating_sub(BLOCK)
    }
}

impl Active {
    fn start(segments: &Segments) -> io::Result<Self> {
        let blank = segments.take()?;
        Ok(Self { file: blank.file, path: blank.path, salt: blank.salt, at: BLOCK, size: 0 })
    }
}

fn segment_name(number: u64) -> String {
    format!("{number:010}.wal")
}

/// Segment files in `dir` by number; strays of an interrupted preallocation are left out.
pub(crate) fn list(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for path in disk.list(dir)? {
        if path.extension().is_some_and(|e| e == "wal")
            && let Some(number) = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok())
        {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests;
