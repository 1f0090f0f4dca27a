//! Files that are there whole, and durably, or not at all.
//!
//! Every file other readers may see is written under a private name, synced, renamed into place, and its directory
//! synced. A crash leaves either no file, a stray `.tmp`, or the complete file: never half of one.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::disk::{Disk, DiskFile};

/// Files written under private names that are not durable yet; dropped before they are named, they are removed.
struct Written<'a> {
    disk: &'a dyn Disk,
    files: Vec<Box<dyn DiskFile>>,
    names: Vec<(PathBuf, PathBuf)>,
}

impl Drop for Written<'_> {
    fn drop(&mut self) {
        for (temporary, _) in &self.names {
            // Nothing was promised under this name; the stray only takes room, which may be what we lack.
            let _ = self.disk.remove_file(temporary);
        }
    }
}

/// Writes each file beside its path, makes all of them durable together, and renames them into place. The names are
/// durable only after [`Disk::sync_dir`] on the parents.
pub(crate) fn write_whole<'a>(
    disk: &dyn Disk,
    below: &Path,
    files: impl Iterator<Item = (PathBuf, &'a [u8])>,
) -> io::Result<()> {
    let before = disk.before_writing(below)?;
    let mut written = Written { disk, files: Vec::new(), names: Vec::new() };
    for (path, bytes) in files {
        let temporary = temporary_name(&path)?;
        written.names.push((temporary.clone(), path));
        let mut file = disk.create(&temporary)?;
        file.write_all_at(bytes, 0)?;
        written.files.push(file);
    }
    disk.sync_together(&mut written.files, before.as_ref())?;
    while let Some((temporary, path)) = written.names.last() {
        disk.rename(temporary, path)?;
        written.names.pop();
    }
    Ok(())
}

/// Writes one file, and the directory entry too: when this returns, the file survives a power cut.
pub(crate) fn write_durable(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = parent(path)?;
    write_whole(disk, dir, std::iter::once((path.to_owned(), bytes)))?;
    disk.sync_dir(dir)
}

/// Creates `dir` and whatever above it is missing, and makes each durable in its parent. One that is there may have been
/// made by a process that ended before that, so it is synced too, up to the first that is surely older: `above`.
pub(crate) fn settle_dir(disk: &dyn Disk, dir: &Path, above: &Path) -> io::Result<()> {
    if dir == above || dir.as_os_str().is_empty() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        settle_dir(disk, parent, above)?;
    }
    match disk.create_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => disk.sync_dir(parent(dir)?),
    }
}

/// Creates `dir` and whatever above it is missing, each made durable in its parent.
pub(crate) fn ensure_dir(disk: &dyn Disk, dir: &Path) -> io::Result<()> {
    let mut there = dir;
    while !there.as_os_str().is_empty() && !disk.is_dir(there) {
        there = there.parent().unwrap_or(Path::new(""));
    }
    settle_dir(disk, dir, there)
}

/// The content of `path`, or `None` where no such file is.
pub(crate) fn read_if_there(disk: &dyn Disk, path: &Path) -> io::Result<Option<Vec<u8>>> {
    if_there(disk.read(path))
}

/// What was found, or `None` where no such file is.
pub(crate) fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        // `NotADirectory`: a partial's `N.p/W` asked for where `N.p` is no directory.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e),
    }
}

/// True for the error a full disk or an exhausted quota gives.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// True for errors that pass by themselves, and that no promise hangs on while nothing was written: no room on the
/// disk, or no file descriptors left in the process or the system (strangers' connections may have them all).
pub(crate) fn passes(error: &io::Error) -> bool {
    let no_descriptors = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    is_full(error) || no_descriptors.contains(&error.raw_os_error())
}

pub(crate) fn parent(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path has no parent"))
}

fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path has no name"))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(".tmp");
    Ok(path.with_file_name(hidden))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::disk::around::{Around, Between};
    use std::any::Any;
    use std::fs;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    #[test]
    fn a_file_replaces_its_predecessor_whole_and_leaves_no_stray() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/c");
        ensure_dir(&RealDisk, path.parent().unwrap()).unwrap();
        write_durable(&RealDisk, &path, b"one").unwrap();
        write_durable(&RealDisk, &path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn absence_is_not_an_error() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("f"), b"").unwrap();
        assert!(read_if_there(&RealDisk, &dir.path().join("x")).unwrap().is_none());
        assert!(read_if_there(&RealDisk, &dir.path().join("f/1")).unwrap().is_none());
    }

    /// A file system that tells of a write that failed as Linux does: whoever looked before it, once each.
    #[derive(Clone, Default)]
    struct Telling {
        failed: Arc<AtomicU64>,
        /// The next write fails, and somebody else's sync is told first.
        fails: Arc<AtomicBool>,
    }

    impl Between for Telling {
        fn write(&self, file: &mut dyn DiskFile, _: &Path, bytes: &[u8], offset: u64) -> io::Result<()> {
            file.write_all_at(bytes, offset)?;
            if self.fails.swap(false, Ordering::SeqCst) {
                let other = self.before_writing();
                self.failed.fetch_add(1, Ordering::SeqCst);
                assert!(self.sync_together(&mut [], other.as_ref()).is_err());
            }
            Ok(())
        }

        fn before_writing(&self) -> Box<dyn Any> {
            Box::new(self.failed.load(Ordering::SeqCst))
        }

        fn sync_together(&self, _: &mut [Box<dyn DiskFile>], before: &dyn Any) -> io::Result<()> {
            match before.downcast_ref::<u64>() {
                Some(seen) if *seen == self.failed.load(Ordering::SeqCst) => Ok(()),
                _ => Err(io::Error::from_raw_os_error(5)),
            }
        }
    }

    /// Two logs on one file system: the sync of one must not swallow what went wrong for the other.
    #[test]
    fn a_write_that_failed_is_told_to_everyone_whose_it_may_be() {
        let dir = tempfile::tempdir().unwrap();
        let telling = Telling::default();
        let disk = Around(telling.clone());
        let path = |n: usize| dir.path().join(n.to_string());
        let write = || write_whole(&disk, dir.path(), (0..5).map(|n| (path(n), b"new".as_slice())));
        write().unwrap();
        telling.fails.store(true, Ordering::SeqCst);
        assert!(write().is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 5, "no strays");
        write().unwrap();
    }
}
