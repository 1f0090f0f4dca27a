//! The directory of the index: all that is asked of a file system for it, in one place.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

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

/// A directory of the operating system.
pub(crate) struct DiskDir(pub(crate) PathBuf);

impl Dir for DiskDir {
    fn list(&self) -> io::Result<Vec<String>> {
        files::ensure_dir(&self.0)?;
        let names = fs::read_dir(&self.0)?.map(|entry| Ok(entry?.file_name().into_string().ok()));
        // A name that is no text is none of ours and in nobody's way.
        names.filter_map(io::Result::transpose).collect()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn ReadAt>> {
        Ok(Box::new(File::open(self.0.join(name))?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>> {
        let path = self.0.join(name);
        let temporary = self.0.join(format!(".{name}.tmp"));
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&temporary)?;
        Ok(Box::new(Unfinished { file: Some(file), path, temporary }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let path = self.0.join(name);
        let removed = match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(&path),
            Ok(_) => fs::remove_file(&path),
            Err(error) => Err(error),
        };
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }
}

impl ReadAt for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, bytes, offset)
    }
}

struct Unfinished {
    /// Taken when finished.
    file: Option<File>,
    path: PathBuf,
    temporary: PathBuf,
}

impl NewFile for Unfinished {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }

    fn finish(mut self: Box<Self>) -> io::Result<Box<dyn ReadAt>> {
        let parent: &Path = files::parent(&self.path)?;
        if let Some(file) = &self.file {
            file.sync_data()?;
            fs::rename(&self.temporary, &self.path)?;
            files::sync_dir(parent)?;
        }
        match self.file.take() {
            Some(file) => Ok(Box::new(file)),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.file.is_some() {
            // The stray only takes room, which may be what we lack.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}
