//! Bundles written whole or not at all, and data on standard output.
//!
//! A bundle appears under its name only when every byte of it is on the disk: written beside its place,
//! synced, then linked. What is already there is kept unless the user said otherwise.

use crate::{
    failure::{Failure, Status},
    progress,
};
use std::{
    fmt::Write as _,
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A bundle's place, looked at before anything is signed, so that what can fail fails before a name is
/// public.
#[derive(Debug)]
pub(crate) struct Reserved {
    path: PathBuf,
    /// The directory's one true name: two spellings of a path are one place.
    directory: PathBuf,
    force: bool,
}

/// Makes sure a bundle can be written at `path`.
pub(crate) fn reserve(path: &Path, force: bool) -> Result<Reserved, Failure> {
    match path.symlink_metadata() {
        Ok(_) if !force => return Err(exists(path)),
        Ok(there) if !there.is_file() && !there.is_symlink() => {
            let message = format!("`{}` is not a file that could be replaced", path.display());
            return Err(Failure::new(Status::Usage, "output", message));
        }
        _ => {}
    }
    // Without a name, so that nothing is left behind when somebody ends us while we wait for a browser.
    let directory = directory_of(path);
    let writable = tempfile::tempfile_in(directory).and_then(|_| directory.canonicalize());
    let directory = writable.map_err(|cause| {
        let message = format!("`{}` cannot be written: {}", path.display(), plain(&cause));
        let hint = "nothing was signed; give a place that can be written with --bundle";
        Failure::new(Status::Usage, "output", message).hint(hint)
    })?;
    Ok(Reserved { path: path.to_owned(), directory, force })
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// What the system said, without the temporary path that the `tempfile` crate adds.
fn plain(cause: &io::Error) -> String {
    match cause.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code).to_string(),
        None => cause.kind().to_string(),
    }
}

impl Reserved {
    /// Where the bundle will be.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether both are for one bundle.
    pub(crate) fn is_place_of(&self, other: &Self) -> bool {
        self.directory == other.directory && self.path.file_name() == other.path.file_name()
    }

    /// Writes the bundle and gives it its name.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<(), Failure> {
        let Self { path, force, .. } = self;
        let failed = |cause: io::Error| {
            let message = format!("the bundle `{}` could not be written: {}", path.display(), plain(&cause));
            let hint = "nothing was left behind; make room and sign again (the log keeps this signature too)";
            Failure::unable("output", message).hint(hint)
        };
        let directory = directory_of(&path);
        let mut builder = tempfile::Builder::new();
        builder.prefix(".sealog-").suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            // Bundles are public; the user's umask has the last word.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(directory).map_err(failed)?;
        let mut inner = file.as_file();
        inner.write_all(bytes).and_then(|()| inner.sync_all()).map_err(failed)?;
        if force {
            file.persist(&path).map_err(|e| failed(e.error))?;
        } else {
            file.persist_noclobber(&path).map_err(|e| match e.error.kind() {
                io::ErrorKind::AlreadyExists => exists(&path),
                _ => failed(e.error),
            })?;
        }
        // The name is durable once its directory is; a file system that cannot sync one has done its best.
        if let Ok(directory) = File::open(directory) {
            let _ = directory.sync_all();
        }
        Ok(())
    }
}

fn exists(path: &Path) -> Failure {
    Failure::new(Status::Usage, "output-exists", format!("the bundle `{}` exists already", path.display()))
        .hint("it was left as it is; --force replaces it, --bundle OUT writes elsewhere")
}

/// The name of a file's bundle.
pub(crate) fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Writes data to standard output. A reader that went away is not our failure.
pub(crate) fn data(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::unable("output", format!("standard output cannot be written: {cause}")))
        }
        _ => Ok(()),
    }
}

/// JSON in ASCII: what is outside it stands only in strings, where it can be spelled by number. No text from
/// outside can then do anything to the terminal it is printed on.
pub(crate) fn ascii_json(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut ascii, c| {
        if c.is_ascii() && c != '\u{7f}' {
            ascii.push(c);
        } else {
            let _ = c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(ascii, "\\u{unit:04x}"));
        }
        ascii
    })
}

/// Both streams of a command that prints much: data is gathered and written in large pieces, but never kept for
/// longer than people notice; what the terminal can show is found out once.
#[derive(Debug)]
pub(crate) struct Screen {
    data: String,
    flushed: Instant,
    plain: bool,
    plain_talk: bool,
}

/// As much data is gathered at most.
const GATHERED_BYTES: usize = 32 << 10;
/// And for so long.
const GATHERED_FOR: Duration = Duration::from_millis(50);

impl Screen {
    pub(crate) fn new() -> Self {
        let is_plain = |choice| choice == anstream::ColorChoice::Never;
        Self {
            data: String::new(),
            flushed: Instant::now(),
            plain: is_plain(anstream::AutoStream::choice(&io::stdout())),
            plain_talk: is_plain(anstream::AutoStream::choice(&io::stderr())),
        }
    }

    /// Data, for standard output.
    pub(crate) fn data(&mut self, text: &str) -> Result<(), Failure> {
        match self.plain {
            true => self.data.extend(anstream::adapter::strip_str(text)),
            false => self.data.push_str(text),
        }
        if self.data.len() >= GATHERED_BYTES || self.flushed.elapsed() >= GATHERED_FOR {
            self.flush()?;
        }
        Ok(())
    }

    /// Finished lines, for standard error, after the data before them.
    pub(crate) fn tell(&mut self, lines: &str) -> Result<(), Failure> {
        self.flush()?;
        let _aside = progress::step_aside();
        let mut err = io::stderr().lock();
        let _ = match self.plain_talk {
            true => err.write_all(anstream::adapter::strip_str(lines).to_string().as_bytes()),
            false => anstream::AutoStream::always(err).write_all(lines.as_bytes()),
        };
        Ok(())
    }

    /// Writes what was gathered. A reader that went away is not our failure.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.flushed = Instant::now();
        if self.data.is_empty() {
            return Ok(());
        }
        let text = std::mem::take(&mut self.data);
        let _aside = progress::step_aside();
        let mut out = io::stdout().lock();
        let written = match self.plain {
            true => out.write_all(text.as_bytes()).and_then(|()| out.flush()),
            false => {
                let mut out = anstream::AutoStream::always(out);
                out.write_all(text.as_bytes()).and_then(|()| out.flush())
            }
        };
        match written {
            Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::unable("output", format!("standard output cannot be written: {cause}")))
            }
            _ => Ok(()),
        }
    }

    /// Whether there is something that was not written yet.
    pub(crate) fn is_behind(&self) -> bool {
        !self.data.is_empty()
    }
}

/// Writes what must reach somebody to standard output: a reader that went away is a failure.
pub(crate) fn deliver(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|cause| match cause.kind() {
        io::ErrorKind::BrokenPipe => Failure::unable("output", "nobody reads standard output any more"),
        _ => Failure::unable("output", format!("standard output cannot be written: {cause}")),
    })
}

/// Says something to the person, on standard error.
pub(crate) fn talk(text: &str) {
    let mut err = anstream::stderr().lock();
    let _ = writeln!(err, "{text}");
}

/// Prints finished lines on standard error.
pub(crate) fn tell(lines: &str) {
    let mut err = anstream::stderr().lock();
    let _ = err.write_all(lines.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_bundle_is_there_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f.sigstore.json");
        let reserved = reserve(&path, false).unwrap();
        assert_eq!(names(directory.path()), Vec::<String>::new());
        reserved.write(b"one").unwrap();
        assert_eq!(names(directory.path()), ["f.sigstore.json"]);
        assert_eq!(reserve(&path, false).unwrap_err().status, Status::Usage);
        reserve(&path, true).unwrap().write(b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
    }

    #[test]
    fn what_appears_meanwhile_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f.sigstore.json");
        let reserved = reserve(&path, false).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        assert_eq!(reserved.write(b"ours").unwrap_err().class, "output-exists");
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
        assert_eq!(names(directory.path()), ["f.sigstore.json"]);
    }

    #[test]
    fn places_that_cannot_be_written_fail_before_signing() {
        let directory = tempfile::tempdir().unwrap();
        let nowhere = directory.path().join("no/such/f.sigstore.json");
        assert_eq!(reserve(&nowhere, false).unwrap_err().status, Status::Usage);
        assert_eq!(reserve(directory.path(), true).unwrap_err().status, Status::Usage);
        #[cfg(unix)]
        assert_eq!(reserve(Path::new("/dev/null"), true).unwrap_err().status, Status::Usage);
    }
}
