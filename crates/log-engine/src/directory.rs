//! A log in a directory: the write-ahead log is its commit point, plain files are what readers see.
//!
//! `layout` says what lies where, `wal` how a batch becomes durable.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sealog_tlog::tile::CHECKPOINT_PATH;

use crate::disk::{Disk, RealDisk};
use crate::error::{Evidence, IoContext, OpenError};
use crate::files::{self, passes};
use crate::layout::Layout;
use crate::storage::{
    Begun, CLOSED, Commit, CommitError, CommitPoint, Objects, Storage, Torn, Upkeep, Visit,
};
use crate::tree::FullFile;
use crate::wal::{self, BLOCK, Closed, Damage, ScanError, Scanned, Segments, Wal};

/// Number of the first segment.
const FIRST_SEGMENT: u64 = 1;

/// Files written at one time.
const OPEN_AT_ONCE: usize = 128;

/// Directories remembered as durable; forgetting them costs a sync.
const MAX_SETTLED: usize = 1 << 12;

/// A directory with a log, or one that is to have one; locked for as long as it is held.
pub(crate) struct Directory {
    disk: Arc<dyn Disk>,
    layout: Layout,
    segment_bytes: u64,
    scanned: Option<Scanned>,
}

impl Directory {
    /// Takes an empty or absent directory for a new log.
    pub(crate) fn create(disk: Arc<dyn Disk>, root: &Path, segment_bytes: u64) -> Result<Self, OpenError> {
        let layout = Layout::create(disk.as_ref(), root)?;
        Ok(Self { disk, layout, segment_bytes, scanned: None })
    }

    /// Takes the directory of a log.
    pub(crate) fn open(disk: Arc<dyn Disk>, root: &Path, segment_bytes: u64) -> Result<Self, OpenError> {
        let layout = Layout::open(disk.as_ref(), root)?;
        Ok(Self { disk, layout, segment_bytes, scanned: None })
    }

    /// Takes a directory that is to become a log, and in which a copying was interrupted perhaps: `marker` is its file
    /// and what it says.
    pub(crate) fn receive(
        disk: Arc<dyn Disk>,
        root: &Path,
        segment_bytes: u64,
        marker: (&str, &[u8]),
    ) -> Result<Self, OpenError> {
        let layout = Layout::receive(disk.as_ref(), root, marker)?;
        // Of a first record that was not finished.
        for path in disk.list(&layout.wal()).at("list the directory", &layout.wal())? {
            disk.remove_file(&path).at("remove", &path)?;
        }
        Ok(Self { disk, layout, segment_bytes, scanned: None })
    }

    fn scanned(&self) -> Result<&Scanned, OpenError> {
        self.scanned.as_ref().ok_or_else(|| from_scan(ScanError::Damage(self.layout.wal(), Damage::Empty)))
    }
}

impl Storage for Directory {
    fn objects(&self) -> Arc<dyn Objects> {
        let (disk, public) = (Arc::clone(&self.disk), self.layout.public());
        Arc::new(Files { disk, public, settled: Mutex::default() })
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    fn index(&self) -> PathBuf {
        self.layout.index()
    }

    fn name(&self) -> PathBuf {
        self.layout.wal()
    }

    fn place(&self) -> PathBuf {
        let root = self.layout.root();
        std::path::absolute(root).unwrap_or_else(|_| root.to_owned())
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn closed(&self) -> Result<Option<(PathBuf, String)>, OpenError> {
        let path = self.layout.root().join(CLOSED);
        let words = files::read_if_there(self.disk.as_ref(), &path).at("read", &path)?;
        Ok(words.map(|words| (path, String::from_utf8_lossy(&words).trim_end().to_owned())))
    }

    fn close(&self, words: &str) -> Result<(), OpenError> {
        let path = self.layout.root().join(CLOSED);
        if let Some((mark, said)) = self.closed()?.filter(|(_, said)| said != words) {
            return Err(OpenError::Closed { place: self.place(), mark, words: said });
        }
        files::write_durable(self.disk.as_ref(), &path, format!("{words}\n").as_bytes()).at("write", &path)
    }

    fn reopen(&self, words: &str) -> Result<(), OpenError> {
        let path = self.layout.root().join(CLOSED);
        if self.closed()?.is_none_or(|(_, said)| said != words) {
            return Ok(());
        }
        match self.disk.remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", &path),
            _ => self.disk.sync_dir(self.layout.root()).at("sync", self.layout.root()),
        }
    }

    fn found(&mut self, first: &Commit<'_>) -> Result<(), OpenError> {
        let dir = self.layout.wal();
        let write = || {
            let bytes = wal::padded_len(first.checkpoint.len(), first.entry_bytes()) + BLOCK;
            let segments = Segments::new(Arc::clone(&self.disk), dir.clone(), FIRST_SEGMENT, 0, bytes);
            Wal::start(Arc::new(segments), VecDeque::new(), 0)?.commit(first)
        };
        write().at("write the first record in", &dir)?;
        self.layout.write_format(self.disk.as_ref())
    }

    fn scan(&mut self, visit: &mut Visit<'_>) -> Result<(), OpenError> {
        let scanned = wal::scan(self.disk.as_ref(), &self.layout.wal(), visit).map_err(from_scan)?;
        self.scanned = Some(scanned);
        Ok(())
    }

    /// Where the records before it are there, the later ones were found to continue them (`wal::scan`): then the bytes are
    /// only in the room that is left over.
    fn torn(&self) -> Option<Torn> {
        let segments = self.scanned.iter().flat_map(|scanned| &scanned.segments);
        let mut behind = segments.skip_while(|segment| !segment.torn);
        let torn = behind.next()?;
        let followed = behind.any(|segment| segment.size.is_some());
        let was_record = followed && torn.size.is_none();
        Some(Torn { path: torn.path.clone(), at: torn.end, followed, was_record })
    }

    /// The last record may have been written but never synced (the process was killed), or synced in vain (the device
    /// failed and the kernel keeps pages it could not write, marked clean). Writing the same bytes once more makes both
    /// cases plain: either the device takes them now, or the log does not open.
    fn take(&mut self) -> Result<(), OpenError> {
        let disk = self.disk.as_ref();
        let segments = &self.scanned()?.segments;
        let last = segments.iter().rposition(|segment| segment.size.is_some());
        for (n, segment) in segments.iter().enumerate() {
            let path = &segment.path;
            if segment.size.is_none() {
                disk.remove_file(path).at("remove", path)?;
                continue;
            }
            if segment.torn {
                let what = match last {
                    Some(last) if n < last => {
                        "bytes that are none of a record were cut off: the file is damaged"
                    }
                    _ => "an incomplete last record was dropped",
                };
                tracing::warn!(path = %path.display(), at = segment.end, "{what}");
            }
            let settle = || -> io::Result<()> {
                let mut file = disk.open(path)?;
                file.set_len(segment.end)?;
                if Some(n) == last {
                    let len = usize::try_from(segment.end - segment.last_at).map_err(io::Error::other)?;
                    let mut record = vec![0; len];
                    file.read_exact_at(&mut record, segment.last_at)?;
                    file.write_all_at(&record, segment.last_at)?;
                }
                file.sync()
            };
            settle().at("settle", path)?;
        }
        Ok(())
    }

    fn begin(self: Box<Self>) -> Result<Begun, OpenError> {
        let scanned = self.scanned()?;
        let dir = self.layout.wal();
        let kept =
            scanned.segments.iter().filter_map(|s| Some(Closed { path: s.path.clone(), size: s.size? }));
        let (number, epoch) = (scanned.number + 1, scanned.epoch + 1);
        let disk = Arc::clone(&self.disk);
        let segments = Arc::new(Segments::new(disk, dir.clone(), number, epoch, self.segment_bytes));
        let wal = Wal::start(Arc::clone(&segments), kept.collect(), scanned.next_sequence)
            .at("preallocate a segment in", &dir)?;
        Ok(Begun { commit: Box::new(wal), upkeep: segments, hold: Box::new(self.layout) })
    }
}

impl CommitPoint for Wal {
    /// Room is found first, so that a full disk is a refusal of a batch nobody was promised; from the first byte
    /// written on, every error is final.
    fn commit(&mut self, batch: &Commit<'_>) -> Result<(), CommitError> {
        self.reserve(batch.checkpoint.len(), batch.entry_bytes()).map_err(|error| match passes(&error) {
            true => CommitError::Refused(error),
            false => CommitError::Unknown(error),
        })?;
        Self::commit(self, batch).map_err(CommitError::Unknown)
    }

    fn retire(&mut self, full: u64, _published: u64) -> io::Result<()> {
        Self::retire(self, full)
    }

    fn wants_preparation(&self) -> bool {
        self.wants_spare()
    }
}

impl Upkeep for Segments {
    fn prepare(&self) -> io::Result<()> {
        Self::prepare(self)
    }

    fn tidy(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The public files of a log in this directory, whoever has it.
pub(crate) fn public_files(root: &Path) -> Arc<dyn Objects> {
    files_under(Arc::new(RealDisk), Layout::public_of(root))
}

/// Files under `public` as a log writes them.
pub(crate) fn files_under(disk: Arc<dyn Disk>, public: PathBuf) -> Arc<dyn Objects> {
    Arc::new(Files { disk, public, settled: Mutex::default() })
}

/// The public files.
struct Files {
    disk: Arc<dyn Disk>,
    public: PathBuf,
    /// Directories that are certainly durable.
    settled: Mutex<BTreeSet<PathBuf>>,
}

impl Files {
    fn settle(&self, dir: &Path) -> io::Result<()> {
        let mut settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        if !settled.contains(dir) {
            files::settle_dir(self.disk.as_ref(), dir, &self.public)?;
            // Those of partial tiles come and go.
            if settled.len() >= MAX_SETTLED {
                settled.clear();
            }
            settled.insert(dir.to_owned());
        }
        Ok(())
    }
}

impl Objects for Files {
    fn read(&self, path: &str) -> io::Result<Option<Bytes>> {
        Ok(files::read_if_there(self.disk.as_ref(), &self.name(path))?.map(Bytes::from))
    }

    fn read_at_once(&self, path: &str, may: &mut dyn FnMut(u64) -> bool) -> Option<Bytes> {
        self.disk.read_at_once(&self.name(path), may)
    }

    fn length(&self, path: &str) -> io::Result<Option<u64>> {
        files::if_there(self.disk.length(&self.name(path)))
    }

    fn is_there(&self, path: &str) -> io::Result<bool> {
        Ok(self.disk.is_file(&self.name(path)))
    }

    fn write(&self, files: &[FullFile]) -> io::Result<()> {
        for files in files.chunks(OPEN_AT_ONCE) {
            let paths: Vec<_> = files.iter().map(|file| self.name(&file.path)).collect();
            let dirs = paths.iter().map(|path| files::parent(path)).collect::<io::Result<BTreeSet<_>>>()?;
            dirs.iter().try_for_each(|dir| self.settle(dir))?;
            let bytes = files.iter().map(|file| file.bytes.as_ref());
            files::write_whole(self.disk.as_ref(), &self.public, paths.iter().cloned().zip(bytes))?;
            dirs.iter().try_for_each(|dir| self.disk.sync_dir(dir))?;
        }
        Ok(())
    }

    fn keep_names(&self, files: &[FullFile]) -> io::Result<()> {
        let paths: Vec<_> = files.iter().map(|file| self.name(&file.path)).collect();
        let dirs: BTreeSet<&Path> = paths.iter().filter_map(|path| path.parent()).collect();
        dirs.iter().try_for_each(|dir| self.disk.sync_dir(dir))
    }

    fn drop_partials(&self, full: &[FullFile]) -> io::Result<()> {
        for file in full {
            let partials = self.name(&format!("{}.p", file.path));
            self.settled.lock().unwrap_or_else(PoisonError::into_inner).remove(&partials);
            match self.disk.remove_dir_all(&partials) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn publish_checkpoint(&self, bytes: &Bytes) -> Result<(), CommitError> {
        let path = self.name(CHECKPOINT_PATH);
        files::write_durable(self.disk.as_ref(), &path, bytes).map_err(CommitError::Unknown)
    }

    fn passes(&self, error: &io::Error) -> bool {
        passes(error)
    }

    fn name(&self, path: &str) -> PathBuf {
        self.public.join(path)
    }
}

fn from_scan(error: ScanError<OpenError>) -> OpenError {
    match error {
        ScanError::Io(path, source) => OpenError::Io { action: "read", path, source },
        ScanError::Visit(error) => error,
        ScanError::Damage(path, damage) => {
            let (evidence, expected) = match damage {
                Damage::Head => (Evidence::SegmentHead, "a segment head"),
                Damage::Middle { .. } => (Evidence::Record, "whole records up to the last"),
                Damage::Sequence { .. } | Damage::First { .. } => {
                    (Evidence::Order, "records that continue each other")
                }
                Damage::Empty => (Evidence::Order, "at least one record"),
            };
            OpenError::Disagreement {
                path,
                evidence,
                expected: expected.to_owned(),
                found: damage.to_string(),
            }
        }
    }
}

const _: () = assert!(BLOCK >= 512, "a record must never share a sector with another");
