//! The directory of one log: what lies where, who may use it, and which program wrote it.
//!
//! | path | what | may be lost? |
//! |---|---|---|
//! | `format` | version of this layout; written last when a log is created | no (the log is refused without it) |
//! | `wal/` | committed batches whose tiles may not be files yet | **never**: it is the log's newest entries |
//! | `public/` | `checkpoint`, `tile/…`, side objects: what any static web server may serve | **never** (full tiles) |
//! | `index/` | where an entry was logged before | yes: rebuilt from `public/` at the next start |
//! | `lock` | held while a process has the log open | yes |

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::{IoContext, OpenError};
use crate::files;

/// Version of the directory layout and of the write-ahead log's records this program writes and reads.
pub(crate) const FORMAT_VERSION: u32 = 1;

const FORMAT_PREFIX: &str = "sealog log format ";

/// A log's directory, locked for as long as this value lives.
pub(crate) struct Layout {
    root: PathBuf,
    /// Holds the advisory lock; the kernel releases it when the descriptor closes, however the process ends.
    lock: File,
}

impl Layout {
    /// Takes an empty or absent directory for a new log.
    pub(crate) fn create(root: &Path) -> Result<Self, OpenError> {
        files::ensure_dir(root).at("create the directory", root)?;
        let layout = Self::lock(root)?;
        if layout.format_file().exists() {
            return Err(OpenError::AlreadyExists { dir: root.to_owned() });
        }
        for entry in fs::read_dir(root).at("list the directory", root)? {
            let entry = entry.at("list the directory", root)?;
            if entry.file_name() != "lock" {
                return Err(OpenError::NotEmpty { dir: root.to_owned(), found: entry.path() });
            }
        }
        for dir in [layout.wal(), layout.public()] {
            files::ensure_dir(&dir).at("create the directory", &dir)?;
        }
        Ok(layout)
    }

    /// Takes the directory of an existing log.
    pub(crate) fn open(root: &Path) -> Result<Self, OpenError> {
        if !root.join("format").is_file() {
            return Err(OpenError::NotALog { dir: root.to_owned() });
        }
        let layout = Self::lock(root)?;
        let path = layout.format_file();
        let text = fs::read_to_string(&path).at("read", &path)?;
        let found = text
            .strip_prefix(FORMAT_PREFIX)
            .and_then(|rest| rest.trim_end().parse::<u32>().ok())
            .ok_or_else(|| OpenError::UnknownFormat { path: path.clone() })?;
        if found > FORMAT_VERSION {
            return Err(OpenError::NewerFormat { path, found, supported: FORMAT_VERSION });
        }
        Ok(layout)
    }

    /// The last act of creation: from here on the directory is a log.
    pub(crate) fn write_format(&self) -> Result<(), OpenError> {
        let path = self.format_file();
        files::write_durable(&path, format!("{FORMAT_PREFIX}{FORMAT_VERSION}\n").as_bytes())
            .at("write", &path)
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.root.join("wal")
    }

    pub(crate) fn public(&self) -> PathBuf {
        self.root.join("public")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    fn format_file(&self) -> PathBuf {
        self.root.join("format")
    }

    /// Two processes appending to one directory would sign two trees: the lock is taken before anything is read.
    fn lock(root: &Path) -> Result<Self, OpenError> {
        let path = root.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .read(true)
            .open(&path)
            .at("open the lock", &path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { root: root.to_owned(), lock: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked { dir: root.to_owned() }),
            Err(e) => Err(io::Error::from(e)).at("lock", &path),
        }
    }
}

impl Drop for Layout {
    /// Closing is not enough: a process that this one is just starting may hold a copy of the descriptor for a moment.
    fn drop(&mut self) {
        let _ = flock(&self.lock, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("log");
        let first = Layout::create(&root).unwrap();
        first.write_format().unwrap();
        let again = Layout::open(&root).err().unwrap();
        assert!(matches!(&again, OpenError::Locked { dir } if *dir == root), "{again}");
        assert!(
            again.to_string().contains(root.to_str().unwrap())
                && again.to_string().contains("another process")
        );
        drop(first);
        Layout::open(&root).unwrap();
    }

    #[test]
    fn only_an_empty_directory_becomes_a_log_and_only_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letter.txt"), b"dear").unwrap();
        assert!(matches!(Layout::create(dir.path()), Err(OpenError::NotEmpty { .. })));
        let root = dir.path().join("log");
        assert!(matches!(Layout::open(&root), Err(OpenError::NotALog { .. })));
        Layout::create(&root).unwrap().write_format().unwrap();
        assert!(matches!(Layout::create(&root), Err(OpenError::AlreadyExists { .. })));
    }

    #[test]
    fn a_newer_or_unreadable_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("log");
        Layout::create(&root).unwrap().write_format().unwrap();
        fs::write(root.join("format"), "sealog log format 2\n").unwrap();
        assert!(matches!(Layout::open(&root), Err(OpenError::NewerFormat { found: 2, supported: 1, .. })));
        fs::write(root.join("format"), "something else\n").unwrap();
        assert!(matches!(Layout::open(&root), Err(OpenError::UnknownFormat { .. })));
    }
}
