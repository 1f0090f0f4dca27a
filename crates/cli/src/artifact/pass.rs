//! One pass over a file: read in pieces, hashed by every algorithm asked for, in constant memory.
//!
//! The system reads ahead while a piece is hashed (it is told that the file will be read from end to end), so
//! the disk and the processor work at the same time without a second thread. Measured, of 1 GiB: a thread that
//! reads into a ring of buffers wins nothing over this when the file comes from the disk, and costs a tenth
//! to a half more processor time when it is in memory, for handing each piece to another core.

use super::Contents;
use crate::progress::Progress;
use sealog_bundle::dsse::PAE_START;
use sealog_crypto::{HashAlgorithm, Hasher};
use std::{
    fs::File,
    io::{self, Read as _},
};

/// How much is read at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// The system needs no advice on how to read files below this length.
const ADVISED_BYTES: u64 = 1 << 20;

/// A pass under way.
pub(super) struct Pass {
    hashers: Vec<Hasher>,
    head: Vec<u8>,
    bytes: u64,
    progress: Progress,
}

impl Pass {
    pub(super) fn new(algorithms: &[HashAlgorithm], progress: Progress) -> Self {
        let hashers = algorithms.iter().map(|a| Hasher::new(*a)).collect();
        Self { hashers, head: Vec::with_capacity(PAE_START.len()), bytes: 0, progress }
    }

    /// Reads the file to its end.
    pub(super) fn over(mut self, mut file: &File, length: Option<u64>) -> io::Result<Self> {
        if length.is_some_and(|length| length >= ADVISED_BYTES) {
            announce_sequential(file);
        }
        // One byte more than there is, so that a small file is whole after one read and at its end after two.
        let expected = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(CHUNK_BYTES);
        let mut chunk = vec![0; expected.saturating_add(1).clamp(512, CHUNK_BYTES)];
        loop {
            if length.is_none() {
                self.wait(file);
            }
            match file.read(&mut chunk) {
                Ok(0) => return Ok(self),
                Ok(read) => self.take(chunk.get(..read).unwrap_or_default()),
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(cause),
            }
        }
    }

    /// Waits until a pipe or device has something to read, or has ended. A read would wait as well, but take no
    /// notice of an interrupt that we promised to obey, nor keep the progress line going.
    #[cfg(unix)]
    fn wait(&mut self, file: &File) {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let patience = Timespec::try_from(self.progress.patience()).ok();
        // Whatever else happens, the read will tell.
        while let Ok(0) | Err(rustix::io::Errno::INTR) =
            poll(&mut [PollFd::new(file, PollFlags::IN)], patience.as_ref())
        {
            self.progress.at(self.bytes);
        }
    }

    #[cfg(not(unix))]
    fn wait(&mut self, _: &File) {}

    fn take(&mut self, piece: &[u8]) {
        let wanted = PAE_START.len().saturating_sub(self.head.len());
        self.head.extend(piece.iter().take(wanted));
        for hasher in &mut self.hashers {
            hasher.update(piece);
        }
        self.bytes = self.bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        self.progress.at(self.bytes);
    }

    /// How much was read.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn finish(self) -> Contents {
        Contents {
            digests: self.hashers.into_iter().map(Hasher::finish).collect(),
            is_envelope_encoding: self.head == PAE_START.as_bytes(),
        }
    }
}

/// Tells the system that the file will be read from end to end, so that it reads further ahead. Advice:
/// whether it is taken does not matter.
#[cfg(target_os = "linux")]
fn announce_sequential(file: &File) {
    let _ = rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::Sequential);
}

#[cfg(not(target_os = "linux"))]
fn announce_sequential(_: &File) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{artifact::digests, progress::Show};
    use std::{io::Write as _, path::Path};

    fn all(path: &Path) -> Vec<sealog_crypto::Digest> {
        digests(path, &HashAlgorithm::ALL, Show::Nothing).unwrap()
    }

    #[test]
    fn a_file_is_hashed_in_pieces_as_in_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        let around = [CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES, 5 * CHUNK_BYTES + 3];
        for length in [0, 1, 511, 512, 513].into_iter().chain(around) {
            let content: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
            std::fs::write(&path, &content).unwrap();
            let expected: Vec<_> = HashAlgorithm::ALL.iter().map(|a| a.digest(&content)).collect();
            assert_eq!(all(&path), expected, "{length} bytes");
        }
    }

    #[test]
    fn lengths_do_not_end_at_four_gibibytes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("f");
        File::create(&path).unwrap().set_len((4 << 30) + 1).unwrap();
        let digest = digests(&path, &[HashAlgorithm::Sha256], Show::Nothing).unwrap();
        let known = "sha256:fbb82f7b353676bb562eb82157fcf0ea42c36492ca13ee56dbf82c08b6802c5c";
        assert_eq!(digest[0].to_string(), known);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_is_read_once_and_to_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        for length in [0, 1, 100_000, 4 * CHUNK_BYTES + 1] {
            let content: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let expected: Vec<_> = HashAlgorithm::ALL.iter().map(|a| a.digest(&content)).collect();
            let there = path.clone();
            let writer = std::thread::spawn(move || {
                File::options().write(true).open(there).unwrap().write_all(&content).unwrap();
            });
            assert_eq!(all(&path), expected, "{length} bytes");
            writer.join().unwrap();
        }
    }
}
