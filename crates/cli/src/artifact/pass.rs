//! One pass over a file: read in pieces, hashed by every algorithm asked for, in constant memory.
//!
//! A small file is hashed by the thread that reads it. A long one is read by a thread of its own into a
//! ring of buffers while this one hashes: the disk and the processor work at the same time.

use super::Contents;
use crate::progress::Progress;
use sealog_bundle::dsse::PAE_START;
use sealog_crypto::{HashAlgorithm, Hasher};
use std::{
    fs::File,
    io::{self, Read as _},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
};

/// How much is read at a time.
const CHUNK_BYTES: usize = 128 << 10;
/// How many pieces there are at a time: one read, one hashed, and some waiting for the slower of the two.
const CHUNKS: usize = 6;
/// What is read before a second thread is worth its while.
const ALONE_BYTES: u64 = 8 << 20;

/// A pass under way.
pub(super) struct Pass {
    hashers: Vec<Hasher>,
    head: Vec<u8>,
    bytes: u64,
    progress: Progress,
}

/// A piece of the file.
struct Chunk {
    buffer: Box<[u8]>,
    filled: usize,
}

impl Chunk {
    fn new(length: usize) -> Self {
        Self { buffer: vec![0; length].into_boxed_slice(), filled: 0 }
    }

    /// Reads the next piece; an empty one is the end.
    fn fill(&mut self, mut file: &File) -> io::Result<usize> {
        loop {
            match file.read(&mut self.buffer) {
                Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
                read => {
                    self.filled = read?;
                    return Ok(self.filled);
                }
            }
        }
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.filled).unwrap_or_default()
    }
}

impl Pass {
    pub(super) fn new(algorithms: &[HashAlgorithm], progress: Progress) -> Self {
        let hashers = algorithms.iter().map(|a| Hasher::new(*a)).collect();
        Self { hashers, head: Vec::with_capacity(PAE_START.len()), bytes: 0, progress }
    }

    /// Reads the file to its end.
    pub(super) fn over(mut self, file: &File, length: Option<u64>) -> io::Result<Self> {
        // One byte more than there is, so that a small file and its end are two reads.
        let expected = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(CHUNK_BYTES);
        let mut chunk = Chunk::new(expected.saturating_add(1).clamp(512, CHUNK_BYTES));
        if length.is_some_and(|length| length > ALONE_BYTES) {
            announce_sequential(file);
        }
        while chunk.fill(file)? > 0 {
            self.take(chunk.bytes());
            if self.bytes >= ALONE_BYTES {
                drop(chunk);
                self.overlapped(file)?;
                break;
            }
        }
        Ok(self)
    }

    /// Reads the rest of the file in another thread.
    fn overlapped(&mut self, file: &File) -> io::Result<()> {
        let (to_hash, hash) = mpsc::sync_channel::<io::Result<Chunk>>(CHUNKS);
        let (to_read, read) = mpsc::sync_channel::<Chunk>(CHUNKS);
        for _ in 0..CHUNKS {
            // There is room for all of them.
            let _ = to_read.try_send(Chunk::new(CHUNK_BYTES));
        }
        let reader = move || {
            while let Ok(mut chunk) = read.recv() {
                let filled = chunk.fill(file).map(|filled| (filled > 0).then_some(chunk));
                let Some(piece) = filled.transpose() else { return };
                let failed = piece.is_err();
                if to_hash.send(piece).is_err() || failed {
                    return;
                }
            }
        };
        thread::scope(|scope| {
            thread::Builder::new().name("read".to_owned()).spawn_scoped(scope, reader)?;
            loop {
                let chunk = match hash.recv_timeout(self.progress.patience()) {
                    Ok(piece) => piece?,
                    // Nothing came for a while: there may be something to tell all the same.
                    Err(RecvTimeoutError::Timeout) => {
                        self.progress.at(self.bytes);
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                };
                self.take(chunk.bytes());
                let _ = to_read.try_send(chunk);
            }
        })
    }

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
        let alone = usize::try_from(ALONE_BYTES).unwrap();
        let around = [CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, alone - 1, alone, alone + 1];
        for length in [0, 1, 511, 512, 513].into_iter().chain(around).chain([alone + 20 * CHUNK_BYTES + 3]) {
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
        for length in [0, 1, 100_000, usize::try_from(ALONE_BYTES).unwrap() * 2 + 1] {
            let content: Vec<u8> = (0..length).map(|i| u8::try_from(i % 251).unwrap()).collect();
            let expected: Vec<_> = HashAlgorithm::ALL.iter().map(|a| a.digest(&content)).collect();
            let there = path.clone();
            let writer = thread::spawn(move || {
                File::options().write(true).open(there).unwrap().write_all(&content).unwrap();
            });
            assert_eq!(all(&path), expected, "{length} bytes");
            writer.join().unwrap();
        }
    }
}
