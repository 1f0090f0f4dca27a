//! Files written whole or not at all, with the mode they need.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
};

/// Readable and writable by the owner only.
pub const MODE_SECRET: u32 = 0o600;
/// Readable by all.
pub const MODE_PUBLIC: u32 = 0o644;

/// Creates a directory for the owner only, with its parents; an existing one is left as it is.
///
/// # Errors
/// As the file system says.
pub fn create_secret_dir(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Writes a new file and its directory entry durably; an existing file is never touched.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`] when there is one, else as the file system says.
pub fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let temporary = written(path, content, mode)?;
    temporary.persist_noclobber(path).map_err(|e| e.error)?;
    sync_parent(path)
}

/// Writes a file in place of any older one: readers see the old content or the new.
///
/// # Errors
/// As the file system says.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let temporary = written(path, content, mode)?;
    temporary.persist(path).map_err(|e| e.error)?;
    sync_parent(path)
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] past the limit, else as the file system says.
pub fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut content = Vec::new();
    fs::File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut content)?;
    if u64::try_from(content.len()).unwrap_or(u64::MAX) > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {limit} bytes")));
    }
    Ok(content)
}

fn written(path: &Path, content: &[u8], mode: u32) -> io::Result<tempfile::NamedTempFile> {
    let parent = parent_of(path);
    let mut temporary = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(fs::Permissions::from_mode(MODE_SECRET))
        .tempfile_in(parent)?;
    temporary.write_all(content)?;
    // Only now, and past any umask: a secret is never readable by others, not even for a moment.
    temporary.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    fs::File::open(parent_of(path))?.sync_all()
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
