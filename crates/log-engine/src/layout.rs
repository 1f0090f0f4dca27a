//! The directory of one log: what lies where, who may use it, and which program wrote it.
//!
//! | path | what | may be lost? |
//! |---|---|---|
//! | `format` | version of this layout; written last when a log is created | no (the log is refused without it) |
//! | `wal/` | committed batches whose tiles may not be files yet | **never**: it is the log's newest entries |
//! | `public/` | `checkpoint`, `tile/…`, side objects: what any static web server may serve | **never** (full tiles) |
//! | `index/` | where an entry was logged before | yes: rebuilt from `public/` at the next start |
//! | `closed` | why nothing may be appended any more, if so | no (a twin of the log could go on) |
//! | `lock` | held while a process has the log open | yes |

use std::any::Any;
use std::path::{Path, PathBuf};

use crate::disk::Disk;
use crate::error::{IoContext, OpenError};
use crate::files;

/// Version of the directory layout and of the write-ahead log's records this program writes and reads.
pub(crate) const FORMAT_VERSION: u32 = 1;

const FORMAT: &str = "format";
const LOCK: &str = "lock";
const FORMAT_PREFIX: &str = "sealog log format ";

/// A log's directory, locked for as long as this value lives.
pub(crate) struct Layout {
    root: PathBuf,
    _lock: Box<dyn Any + Send + Sync>,
}

impl Layout {
    /// Takes an empty or absent directory for a new log.
    pub(crate) fn create(disk: &dyn Disk, root: &Path) -> Result<Self, OpenError> {
        Self::create_but_for(disk, root, None)
    }

    /// The same for a log that is copied; if not for the first time, a file says so, in the same words.
    pub(crate) fn receive(disk: &dyn Disk, root: &Path, marker: (&str, &[u8])) -> Result<Self, OpenError> {
        Self::create_but_for(disk, root, Some(marker))
    }

    fn create_but_for(
        disk: &dyn Disk,
        root: &Path,
        marker: Option<(&str, &[u8])>,
    ) -> Result<Self, OpenError> {
        files::ensure_dir(disk, root).at("create the directory", root)?;
        let layout = Self::lock(disk, root)?;
        if disk.is_file(&layout.format_file()) {
            return Err(OpenError::AlreadyExists { dir: root.to_owned() });
        }
        let marker = marker.map(|(name, words)| (root.join(name), words));
        let begun = match &marker {
            Some((path, words)) => {
                files::read_if_there(disk, path).at("read", path)?.as_deref() == Some(*words)
            }
            None => false,
        };
        for found in disk.list(root).at("list the directory", root)? {
            if !begun && found.file_name() != Some(LOCK.as_ref()) {
                return Err(OpenError::NotEmpty { dir: root.to_owned(), found });
            }
        }
        if let Some((path, words)) = marker.filter(|_| !begun) {
            files::write_durable(disk, &path, words).at("write", &path)?;
        }
        for dir in [layout.wal(), layout.public()] {
            files::ensure_dir(disk, &dir).at("create the directory", &dir)?;
        }
        Ok(layout)
    }

    /// Takes the directory of an existing log.
    pub(crate) fn open(disk: &dyn Disk, root: &Path) -> Result<Self, OpenError> {
        if !Self::is_log(disk, root) {
            return Err(OpenError::NotALog { dir: root.to_owned() });
        }
        let layout = Self::lock(disk, root)?;
        let path = layout.format_file();
        let text = disk.read(&path).at("read", &path)?;
        let found = std::str::from_utf8(&text)
            .ok()
            .and_then(|text| text.strip_prefix(FORMAT_PREFIX))
            .and_then(|rest| rest.strip_suffix('\n')?.parse::<u32>().ok())
            .ok_or_else(|| OpenError::UnknownFormat { path: path.clone() })?;
        if found > FORMAT_VERSION {
            return Err(OpenError::NewerFormat { path, found, supported: FORMAT_VERSION });
        }
        Ok(layout)
    }

    /// Whether a log was completely created there.
    pub(crate) fn is_log(disk: &dyn Disk, root: &Path) -> bool {
        disk.is_file(&root.join(FORMAT))
    }

    /// The last act of creation: from here on the directory is a log.
    pub(crate) fn write_format(&self, disk: &dyn Disk) -> Result<(), OpenError> {
        let path = self.format_file();
        files::write_durable(disk, &path, format!("{FORMAT_PREFIX}{FORMAT_VERSION}\n").as_bytes())
            .at("write", &path)
    }

    pub(crate) fn wal(&self) -> PathBuf {
        self.root.join("wal")
    }

    pub(crate) fn public(&self) -> PathBuf {
        Self::public_of(&self.root)
    }

    /// The public files of a log in this directory.
    pub(crate) fn public_of(root: &Path) -> PathBuf {
        root.join("public")
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    fn format_file(&self) -> PathBuf {
        self.root.join(FORMAT)
    }

    /// Two processes appending to one directory would sign two trees: the lock is taken before anything is read.
    fn lock(disk: &dyn Disk, root: &Path) -> Result<Self, OpenError> {
        let path = root.join(LOCK);
        match disk.lock(&path).at("lock", &path)? {
            Some(lock) => Ok(Self { root: root.to_owned(), _lock: lock }),
            None => Err(OpenError::Locked { dir: root.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use std::fs;

    #[test]
    fn one_user_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("log");
        let first = Layout::create(&RealDisk, &root).unwrap();
        first.write_format(&RealDisk).unwrap();
        let again = Layout::open(&RealDisk, &root).err().unwrap();
        assert!(matches!(&again, OpenError::Locked { dir } if *dir == root), "{again}");
        assert!(
            again.to_string().contains(root.to_str().unwrap())
                && again.to_string().contains("another process")
        );
        drop(first);
        Layout::open(&RealDisk, &root).unwrap();
    }

    #[test]
    fn only_an_empty_directory_becomes_a_log_and_only_once() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("letter.txt"), b"dear").unwrap();
        assert!(matches!(Layout::create(&RealDisk, dir.path()), Err(OpenError::NotEmpty { .. })));
        let root = dir.path().join("log");
        assert!(matches!(Layout::open(&RealDisk, &root), Err(OpenError::NotALog { .. })));
        Layout::create(&RealDisk, &root).unwrap().write_format(&RealDisk).unwrap();
        assert!(matches!(Layout::create(&RealDisk, &root), Err(OpenError::AlreadyExists { .. })));
    }

    #[test]
    fn a_newer_or_unreadable_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("log");
        Layout::create(&RealDisk, &root).unwrap().write_format(&RealDisk).unwrap();
        fs::write(root.join("format"), "sealog log format 2\n").unwrap();
        assert!(matches!(
            Layout::open(&RealDisk, &root),
            Err(OpenError::NewerFormat { found: 2, supported: 1, .. })
        ));
        fs::write(root.join("format"), "something else\n").unwrap();
        assert!(matches!(Layout::open(&RealDisk, &root), Err(OpenError::UnknownFormat { .. })));
    }
}
