//! The machine's own disk with something in between, for tests: what fails there, and when, [`Between`] says.

use std::any::Any;
use std::io;
use std::path::{Path, PathBuf};

use super::{Disk, DiskFile, RealDisk};

/// A change of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Create,
    Rename,
    Remove,
    CreateDir,
    SyncDir,
}

/// Asked before the disk is; unless it says otherwise, everything is as without it.
pub(crate) trait Between: Clone + Send + Sync + 'static {
    fn change(&self, _what: Change, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, file: &mut dyn DiskFile, _path: &Path, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, file: &mut dyn DiskFile, _path: &Path) -> io::Result<()> {
        file.sync()
    }

    fn before_writing(&self) -> Box<dyn Any> {
        Box::new(())
    }

    fn sync_together(&self, files: &mut [Box<dyn DiskFile>], _before: &dyn Any) -> io::Result<()> {
        files.iter_mut().try_for_each(|file| file.sync())
    }
}

pub(crate) struct Around<B>(pub(crate) B);

struct FileAround<B> {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    between: B,
}

impl<B: Between> Around<B> {
    fn around(&self, file: Box<dyn DiskFile>, path: &Path) -> Box<dyn DiskFile> {
        Box::new(FileAround { file, path: path.to_owned(), between: self.0.clone() })
    }
}

impl<B: Between> Disk for Around<B> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealDisk.read(path)
    }

    fn is_file(&self, path: &Path) -> bool {
        RealDisk.is_file(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        RealDisk.is_dir(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        RealDisk.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.0.change(Change::Create, path)?;
        RealDisk.create(path).map(|file| self.around(file, path))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        RealDisk.open(path).map(|file| self.around(file, path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.change(Change::Rename, to)?;
        RealDisk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.change(Change::Remove, path)?;
        RealDisk.remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.change(Change::Remove, dir)?;
        RealDisk.remove_dir_all(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.change(Change::CreateDir, dir)?;
        RealDisk.create_dir(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.change(Change::SyncDir, dir)?;
        RealDisk.sync_dir(dir)
    }

    fn before_writing(&self, _: &Path) -> io::Result<Box<dyn Any>> {
        Ok(self.0.before_writing())
    }

    fn sync_together(&self, files: &mut [Box<dyn DiskFile>], before: &dyn Any) -> io::Result<()> {
        self.0.sync_together(files, before)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>> {
        RealDisk.lock(path)
    }
}

impl<B: Between> DiskFile for FileAround<B> {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.between.write(self.file.as_mut(), &self.path, bytes, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.between.sync(self.file.as_mut(), &self.path)
    }
}
