//! What is signed or verified: a file, read once in pieces, or a digest given in its place.

mod pass;

use crate::{
    failure::{Failure, Status, quoted},
    progress::{Progress, Show},
};
use pass::Pass;
use sealog_crypto::{Digest, HashAlgorithm};
use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    time::SystemTime,
};

/// The name that stands for standard input. A file of that name is `./-`.
const STANDARD_INPUT: &str = "-";

/// The digest in `sha256:HEX`, unless a file of that name exists.
pub(crate) fn as_digest(artifact: &Path) -> Option<Result<Digest, Failure>> {
    let (name, hex) = artifact.to_str()?.split_once(':')?;
    let algorithm = HashAlgorithm::from_name(name)?;
    if artifact.exists() {
        return None;
    }
    let malformed = || {
        let digits = algorithm.len().saturating_mul(2);
        Failure::usage(format!("{} is not a digest", quoted(artifact)))
            .expected(format!("{algorithm}: and {digits} hexadecimal digits"))
            .found(format!("{} characters after {algorithm}:", hex.chars().count()))
    };
    Some(decode_hex(hex).and_then(|bytes| Digest::new(algorithm, &bytes).ok()).ok_or_else(malformed))
}

/// How a name that looks like a digest, and is no file, should have been spelled: hex alone, or the algorithm in
/// capitals.
fn like_a_digest(name: &Path) -> Option<String> {
    let name = name.to_str()?;
    let (algorithm, hex) = match name.split_once(':') {
        Some((algorithm, hex)) => (HashAlgorithm::from_name(&algorithm.to_ascii_lowercase())?, hex),
        None => {
            let fits = |algorithm: &HashAlgorithm| algorithm.len().saturating_mul(2) == name.len();
            (HashAlgorithm::ALL.into_iter().find(fits)?, name)
        }
    };
    let digest = Digest::new(algorithm, &decode_hex(hex)?).ok()?;
    Some(digest.to_string())
}

pub(crate) fn decode_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// What one pass over a file tells.
pub(crate) struct Contents {
    /// The digests asked for, in that order.
    pub(crate) digests: Vec<Digest>,
    /// Whether the file is, or could be taken for, what a DSSE signature signs.
    pub(crate) is_envelope_encoding: bool,
}

/// The file's digests by each of `algorithms`, from one pass over it.
pub(crate) fn digests(path: &Path, algorithms: &[HashAlgorithm], show: Show) -> Result<Vec<Digest>, Failure> {
    read(path, algorithms, show).map(|contents| contents.digests)
}

/// Reads a file once.
pub(crate) fn read(path: &Path, algorithms: &[HashAlgorithm], show: Show) -> Result<Contents, Failure> {
    let failed = |cause: io::Error| unreadable(path, &cause);
    let file = open(path)?;
    let before = version(&file).map_err(failed)?;
    let length = before.map(|(length, _)| length);
    let progress = Progress::of(path, length, show);
    let pass = Pass::new(algorithms, progress).over(&file, length).map_err(failed)?;
    // Of a file that somebody writes at the same time, what was read may never have been its content.
    // (Files that the system makes up as they are read, as in /proc, have no length of their own.)
    let whole = length.is_none_or(|length| length == pass.bytes() || length == 0);
    if !whole || version(&file).map_err(failed)? != before {
        let message = format!("{} changed while it was read", quoted(path));
        return Err(Failure::unable("input", message).hint("try again when nothing writes to it any more"));
    }
    Ok(pass.finish())
}

/// What differs once a file was written to; pipes and devices have nothing of the kind.
fn version(file: &File) -> io::Result<Option<(u64, SystemTime)>> {
    let now = file.metadata()?;
    if now.is_file() { Ok(Some((now.len(), now.modified()?))) } else { Ok(None) }
}

/// A file that cannot be read.
pub(crate) fn unreadable(path: &Path, cause: &io::Error) -> Failure {
    let name = quoted(path);
    match cause.kind() {
        io::ErrorKind::NotFound => {
            let failure = Failure::unable("input", format!("{name} does not exist"));
            match like_a_digest(path) {
                Some(spelled) => failure.hint(format!("a digest is given as {spelled}")),
                None => failure,
            }
        }
        io::ErrorKind::IsADirectory => Failure::unable("input", format!("{name} is a directory, not a file")),
        _ => Failure::unable("input", format!("{name} cannot be read: {cause}")),
    }
}

/// A small file, whole; anything longer than `limit` is not read to its end.
pub(crate) fn read_bounded(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let bytes = read_up_to(path, limit.saturating_add(1))?;
    if bytes.len() > limit {
        let message = format!("{} is larger than such a file can be", quoted(path));
        return Err(Failure::new(Status::Usage, "input", message).expected(format!("at most {limit} bytes")));
    }
    Ok(bytes)
}

/// The first `limit` bytes of a file, or all of it.
pub(crate) fn read_up_to(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let failed = |cause: io::Error| unreadable(path, &cause);
    let file = if is_standard_input(path) { standard_input() } else { File::open(path) }.map_err(failed)?;
    // What is there, and a byte to see that it is all.
    let length = file.metadata().map_or(0, |there| usize::try_from(there.len()).unwrap_or(usize::MAX));
    let mut bytes = Vec::with_capacity(length.min(limit).saturating_add(1));
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Fails when there is no file of that name to read. Of a pipe this cannot be known without taking
/// something out of it.
pub(crate) fn check_readable(path: &Path) -> Result<(), Failure> {
    if is_standard_input(path) || path.metadata().is_ok_and(|there| !there.is_file() && !there.is_dir()) {
        return Ok(());
    }
    open(path).map(|_| ())
}

/// Fails when what is there is a pipe, a device or the like: whoever was not named is not waited for.
pub(crate) fn check_is_file(path: &Path) -> Result<(), Failure> {
    let there = path.metadata().map_err(|cause| unreadable(path, &cause))?;
    if there.is_file() || there.is_dir() {
        return Ok(());
    }
    let message = format!("{} is neither a file nor a directory", quoted(path));
    Err(Failure::unable("input", message)
        .hint("pipes and devices are read only when they are named themselves"))
}

/// Whether the name stands for standard input.
pub(crate) fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == STANDARD_INPUT
}

fn open(path: &Path) -> Result<File, Failure> {
    let failed = |cause: io::Error| unreadable(path, &cause);
    if is_standard_input(path) {
        return standard_input().map_err(failed);
    }
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(Failure::unable("input", format!("{} is a directory, not a file", quoted(path)))
            .hint("sign and verify files; pack a directory into an archive first"));
    }
    Ok(file)
}

/// Standard input without the buffer that the standard library puts before it.
#[cfg(unix)]
fn standard_input() -> io::Result<File> {
    use std::os::fd::AsFd as _;
    io::stdin().as_fd().try_clone_to_owned().map(File::from)
}

#[cfg(windows)]
fn standard_input() -> io::Result<File> {
    use std::os::windows::io::AsHandle as _;
    io::stdin().as_handle().try_clone_to_owned().map(File::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_meanwhile_is_not_hashed() {
        use std::{io::Write as _, time::Duration};
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let mut file = File::create(&path).unwrap();
        file.set_len(1 << 28).unwrap();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let writer = std::thread::spawn(move || {
            while stopped.recv_timeout(Duration::from_millis(1)).is_err() {
                file.write_all(b"x").unwrap();
            }
        });
        let failure = digests(&path, &[HashAlgorithm::Sha256], Show::Nothing).unwrap_err();
        stop.send(()).unwrap();
        writer.join().unwrap();
        assert_eq!(failure.status, Status::Unable);
        assert!(failure.message.ends_with("` changed while it was read"), "{}", failure.message);
    }

    #[test]
    fn digests_are_told_from_files() {
        let digest = HashAlgorithm::Sha256.digest(b"x");
        let parsed = as_digest(Path::new(&digest.to_string())).unwrap().unwrap();
        assert_eq!(parsed, digest);
        let upper = digest.to_string().to_uppercase().replace("SHA256", "sha256");
        assert_eq!(as_digest(Path::new(&upper)).unwrap().unwrap(), digest);
        assert!(as_digest(Path::new("file.txt")).is_none());
        assert!(as_digest(Path::new("md5:00")).is_none());
        for bad in ["sha256:", "sha256:0", "sha256:zz", "sha256:é0", "sha512:00"] {
            assert_eq!(as_digest(Path::new(bad)).unwrap().unwrap_err().status, Status::Usage, "{bad}");
        }
    }
}
