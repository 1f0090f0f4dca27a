//! The directory of the index: all that is asked of a file system for it, in one place.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::{Disk, DiskFile};
use crate::files;

/// A directory whose files are written once, whole, and read at any offset.
pub(crate) trait Dir: Send + Sync {
    /// Makes the directory if it is missing and names what is in it.
    fn list(&self) -> io::Result<Vec<String>>;
    fn open(&self, name: &str) -> io::Result<Box<dyn ReadAt>>;
    /// A file that has its name, and is durable, only once it is finished.
    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>>;
    /// Removes a file, or whatever else has the name. Need not be durable.
    fn remove(&self, name: &str) -> io::Result<()>;
}

/// A file that does not change any more.
pub(crate) trait ReadAt: Send + Sync {
    fn len(&self) -> io::Result<u64>;
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
}

/// A file on its way. Dropped before it is finished, it leaves nothing, or a stray that [`Dir::list`] names.
pub(crate) trait NewFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// When this returns, the file survives a power cut under its name.
    fn finish(self: Box<Self>) -> io::Result<Box<dyn ReadAt>>;
}

/// A directory of a disk.
pub(crate) struct DiskDir {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) path: PathBuf,
}

impl Dir for DiskDir {
    fn list(&self) -> io::Result<Vec<String>> {
        files::ensure_dir(self.disk.as_ref(), &self.path)?;
        let found = self.disk.list(&self.path)?;
        // A name that is no text is none of ours and in nobody's way.
        Ok(found.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn ReadAt>> {
        Ok(Box::new(Finished(self.disk.open(&self.path.join(name))?)))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>> {
        let temporary = self.path.join(format!(".{name}.tmp"));
        let file = self.disk.create(&temporary)?;
        let path = self.path.join(name);
        Ok(Box::new(Unfinished { disk: Arc::clone(&self.disk), file: Some(file), end: 0, path, temporary }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.path.join(name);
        let removed = match self.disk.is_dir(&path) {
            true => self.disk.remove_dir_all(&path),
            false => self.disk.remove_file(&path),
        };
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }
}

struct Finished(Box<dyn DiskFile>);

impl ReadAt for Finished {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }
}

struct Unfinished {
    disk: Arc<dyn Disk>,
    /// Taken when finished.
    file: Option<Box<dyn DiskFile>>,
    end: u64,
    path: PathBuf,
    temporary: PathBuf,
}

impl NewFile for Unfinished {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write_all_at(bytes, self.end)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> io::Result<Box<dyn ReadAt>> {
        if let Some(file) = &mut self.file {
            file.sync()?;
            self.disk.rename(&self.temporary, &self.path)?;
            self.disk.sync_dir(files::parent(&self.path)?)?;
        }
        match self.file.take() {
            Some(file) => Ok(Box::new(Finished(file))),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.file.is_some() {
            // The stray only takes room, which may be what we lack.
            let _ = self.disk.remove_file(&self.temporary);
        }
    }
}
