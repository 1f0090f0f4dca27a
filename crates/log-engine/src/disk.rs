//! The few things a log asks of a file system, apart so that a simulated one can stand beneath the real engine.
//!
//! What holds of a real disk is all that may be relied on: bytes survive a power cut only after the file was synced, a
//! name only after its directory was; a rename replaces whole; everything else may be torn, or fail, at any moment.

use std::any::Any;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{FlockOperation, flock};
#[cfg(target_os = "linux")]
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2},
    io::{ReadWriteFlags, preadv2},
};

#[cfg(target_os = "linux")]
use crate::buffers;

#[cfg(test)]
pub(crate) mod around;

/// A file system.
pub(crate) trait Disk: Send + Sync {
    /// The whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The whole file, if it need not be waited for and `may` agrees to its length in bytes.
    fn read_at_once(&self, _path: &Path, _may: &mut dyn FnMut(u64) -> bool) -> Option<Bytes> {
        None
    }

    /// The length of a file in bytes.
    fn length(&self, path: &Path) -> io::Result<u64> {
        self.open(path)?.len()
    }

    /// Whether there is a file of this name.
    fn is_file(&self, path: &Path) -> bool;

    /// Whether there is a directory of this name.
    fn is_dir(&self, path: &Path) -> bool;

    /// Everything directly in a directory, in no order.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// An empty file of this name, whatever was there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// A file that is there, to read and write.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name; one that had it is gone.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with everything in it.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Makes one directory; an error if the name is taken.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// What [`sync_together`](Self::sync_together) needs of files that are about to be written below `dir`.
    fn before_writing(&self, _dir: &Path) -> io::Result<Box<dyn Any>> {
        Ok(Box::new(()))
    }

    /// Makes the bytes of many files durable; faster than one after the other.
    fn sync_together(&self, files: &mut [Box<dyn DiskFile>], _before: &dyn Any) -> io::Result<()> {
        files.iter_mut().try_for_each(|file| file.sync())
    }

    /// Keeps others out for as long as the value lives; `None` while another has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>>;
}

/// An open file.
pub(crate) trait DiskFile: Send + Sync {
    fn len(&self) -> io::Result<u64>;

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;

    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Makes the bytes durable, and the length.
    fn sync(&mut self) -> io::Result<()>;
}

/// So many files are synced one by one.
#[cfg(target_os = "linux")]
const FEW: usize = 3;

/// The machine's own.
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    /// From what the kernel has in memory, names included: it is told to say no where it would have to ask the device. File
    /// systems and kernels (before 5.12) that cannot promise that say no always.
    #[cfg(target_os = "linux")]
    fn read_at_once(&self, path: &Path, may: &mut dyn FnMut(u64) -> bool) -> Option<Bytes> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok()?;
        let length = u64::try_from(fstat(&file).ok()?.st_size).ok().filter(|length| may(*length))?;
        buffers::filled(usize::try_from(length).ok()?, |bytes| {
            let length = bytes.len();
            let read = preadv2(&file, &mut [io::IoSliceMut::new(bytes)], 0, ReadWriteFlags::NOWAIT);
            read.is_ok_and(|read| read == length)
        })
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        Ok(Box::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir_all(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        // An empty parent is the current directory.
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        File::open(dir)?.sync_all()
    }

    /// A descriptor from before: an error that somebody else's sync is told of in between, this one is told of as well.
    #[cfg(target_os = "linux")]
    fn before_writing(&self, dir: &Path) -> io::Result<Box<dyn Any>> {
        Ok(Box::new(File::open(dir)?))
    }

    /// One sync of the whole file system, which also tells of every write to it that failed.
    #[cfg(target_os = "linux")]
    fn sync_together(&self, files: &mut [Box<dyn DiskFile>], before: &dyn Any) -> io::Result<()> {
        match before.downcast_ref::<File>() {
            Some(dir) if files.len() > FEW => Ok(rustix::fs::syncfs(dir)?),
            _ => files.iter_mut().try_for_each(|file| file.sync()),
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).read(true).open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(Locked(file)))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// An advisory lock; the kernel releases it when the descriptor closes, however the process ends.
struct Locked(File);

impl Drop for Locked {
    /// Closing is not enough: a process that this one is just starting may hold a copy of the descriptor for a moment.
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_once_is_the_whole_file_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, [7; 100_000]).unwrap();
        assert_eq!(RealDisk.length(&path).unwrap(), 100_000);
        let mut asked = Vec::new();
        let found = RealDisk.read_at_once(&path, &mut |length| {
            asked.push(length);
            true
        });
        // Not every file system can.
        assert!(found.is_none_or(|bytes| bytes == vec![7; 100_000]));
        assert!(asked.is_empty() || asked == [100_000]);
        assert_eq!(RealDisk.read_at_once(&path, &mut |_| false), None);
        for other in [dir.path(), &dir.path().join("missing"), &path.join("below")] {
            assert_eq!(RealDisk.read_at_once(other, &mut |_| true), None, "{}", other.display());
        }
    }
}
