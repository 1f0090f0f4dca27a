//! What a front end and a sequencer say to each other, in bytes.
//!
//! Integers are big-endian, and bytes stand behind their length in four. A request is [`REQUEST`], the number of entries,
//! the entries. An answer is [`ANSWER`], the number of checkpoints, the checkpoints, the number of outcomes (one for each
//! entry, in their order), the outcomes. Both end with the CRC-32C of everything before it: what was damaged on the way
//! must not be logged. Lengths are believed only as far as there are bytes.

use bytes::Bytes;
use std::time::Duration;

/// Most entries in a request, and most bytes of it; an entry may be as long as a body that a service takes.
pub const MAX_ENTRIES: usize = 1024;
/// See above.
pub const MAX_REQUEST: usize = 8 << 20;
/// Most bytes of an answer: every entry comes back, with its proof.
pub const MAX_ANSWER: usize = 2 * MAX_REQUEST;
/// A proof in a tree of 2^64 leaves has so many hashes.
const MAX_PROOF: usize = 64;
/// Bytes of a refusal's words.
const MAX_WORDS: usize = 1024;

const REQUEST: &[u8] = b"sealog append 1\n";
const ANSWER: &[u8] = b"sealog receipts 1\n";

/// What became of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the log.
    Logged(Logged),
    /// It is no entry for this log, and never will be.
    Invalid(String),
    /// As many wait as may wait.
    Overloaded(Duration),
    /// Nothing can be written for now.
    StorageFull(Duration),
    /// Not here, or not any more: whoever has the log now must be asked.
    Elsewhere,
    /// Not known yet, and no reason to let the others wait: it is to be asked for again.
    Later,
    /// The log takes no more.
    Ended,
}

/// A receipt without what its checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Leaf index.
    pub index: u64,
    /// Time given to a new entry.
    pub time_ms: Option<u64>,
    /// It was logged before.
    pub duplicate: bool,
    /// Which of the answer's checkpoints it is proven under.
    pub checkpoint: usize,
    /// The proof's hashes.
    pub proof: Vec<[u8; 32]>,
    /// The element of its bundle.
    pub encoded: Bytes,
    /// What the log's key says of it besides.
    pub voucher: Vec<u8>,
}

/// What became of the entries of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The checkpoints of all outcomes.
    pub checkpoints: Vec<Bytes>,
    /// One for each entry.
    pub outcomes: Vec<Outcome>,
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Another kind of message, or none.
    #[error("not a message of this kind and version")]
    Kind,
    /// Damaged on the way.
    #[error("the checksum is another")]
    Checksum,
    /// It ends too early, goes on too long, or says what cannot be.
    #[error("the message is malformed")]
    Malformed,
    /// More than a message may hold.
    #[error("the message holds more than it may")]
    TooMuch,
}

/// A request's bytes; `None` if an entry is longer than 4 GiB.
#[must_use]
pub fn request<'a>(entries: impl ExactSizeIterator<Item = &'a [u8]>) -> Option<Vec<u8>> {
    let mut writer = Writer(REQUEST.to_vec());
    writer.count(entries.len())?;
    for entry in entries {
        writer.bytes(entry)?;
    }
    Some(writer.sealed())
}

/// The entries of a request.
///
/// # Errors
/// See [`WireError`].
pub fn parse_request(bytes: &[u8]) -> Result<Vec<&[u8]>, WireError> {
    let mut reader = open(bytes, REQUEST)?;
    let count = reader.length().ok_or(WireError::Malformed)?;
    if count > MAX_ENTRIES {
        return Err(WireError::TooMuch);
    }
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push(reader.bytes().ok_or(WireError::Malformed)?);
    }
    if reader.is_empty() { Ok(entries) } else { Err(WireError::Malformed) }
}

impl Answer {
    /// The bytes; `None` if something in it is longer than 4 GiB.
    #[must_use]
    pub fn encode(&self) -> Option<Vec<u8>> {
        let mut writer = Writer(ANSWER.to_vec());
        writer.count(self.checkpoints.len())?;
        for checkpoint in &self.checkpoints {
            writer.bytes(checkpoint)?;
        }
        writer.count(self.outcomes.len())?;
        for outcome in &self.outcomes {
            outcome.write(&mut writer)?;
        }
        Some(writer.sealed())
    }

    /// Reads the answer to a request of so many entries.
    ///
    /// # Errors
    /// See [`WireError`].
    pub fn parse(bytes: &Bytes, entries: usize) -> Result<Self, WireError> {
        let mut reader = open(bytes, ANSWER)?;
        let answer = Self::read(&mut reader, bytes, entries).ok_or(WireError::Malformed)?;
        match reader.is_empty() {
            true => Ok(answer),
            false => Err(WireError::Malformed),
        }
    }

    fn read(reader: &mut Reader<'_>, all: &Bytes, entries: usize) -> Option<Self> {
        let mut answer = Self::default();
        // An outcome of one byte takes a hundred here: no more of them than there can be.
        for _ in 0..reader.length().filter(|checkpoints| *checkpoints <= entries)? {
            answer.checkpoints.push(all.slice_ref(reader.bytes()?));
        }
        for _ in 0..reader.length().filter(|outcomes| *outcomes == entries)? {
            let outcome = Outcome::read(reader, all)?;
            if matches!(&outcome, Outcome::Logged(logged) if logged.checkpoint >= answer.checkpoints.len()) {
                return None;
            }
            answer.outcomes.push(outcome);
        }
        Some(answer)
    }
}

const LOGGED: u8 = 0;
const INVALID: u8 = 1;
const OVERLOADED: u8 = 2;
const STORAGE_FULL: u8 = 3;
const ELSEWHERE: u8 = 4;
const LATER: u8 = 5;
const ENDED: u8 = 6;
/// Bits of a receipt.
const DUPLICATE: u8 = 1;
const TIMED: u8 = 2;

impl Outcome {
    fn write(&self, writer: &mut Writer) -> Option<()> {
        let millis = |after: &Duration| u32::try_from(after.as_millis()).unwrap_or(u32::MAX);
        match self {
            Self::Logged(logged) => {
                writer.u8(LOGGED);
                let timed = if logged.time_ms.is_some() { TIMED } else { 0 };
                writer.u8(timed | if logged.duplicate { DUPLICATE } else { 0 });
                writer.raw(&logged.index.to_be_bytes());
                writer.raw(&logged.time_ms.unwrap_or_default().to_be_bytes());
                writer.count(logged.checkpoint)?;
                writer.count(logged.proof.len())?;
                logged.proof.iter().for_each(|hash| writer.raw(hash));
                writer.bytes(&logged.encoded)?;
                writer.bytes(&logged.voucher)?;
            }
            Self::Invalid(words) => {
                writer.u8(INVALID);
                writer.bytes(words.get(..words.floor_char_boundary(MAX_WORDS))?.as_bytes())?;
            }
            Self::Overloaded(after) => {
                writer.u8(OVERLOADED);
                writer.raw(&millis(after).to_be_bytes());
            }
            Self::StorageFull(after) => {
                writer.u8(STORAGE_FULL);
                writer.raw(&millis(after).to_be_bytes());
            }
            Self::Elsewhere => writer.u8(ELSEWHERE),
            Self::Later => writer.u8(LATER),
            Self::Ended => writer.u8(ENDED),
        }
        Some(())
    }

    fn read(reader: &mut Reader<'_>, all: &Bytes) -> Option<Self> {
        let after = |reader: &mut Reader<'_>| Some(Duration::from_millis(reader.u32()?.into()));
        Some(match reader.u8()? {
            LOGGED => {
                let bits = reader.u8().filter(|bits| bits & !(DUPLICATE | TIMED) == 0)?;
                let index = u64::from_be_bytes(reader.array()?);
                let time_ms = u64::from_be_bytes(reader.array()?);
                let checkpoint = reader.length()?;
                let hashes = reader.length().filter(|hashes| *hashes <= MAX_PROOF)?;
                let mut proof = Vec::new();
                for _ in 0..hashes {
                    proof.push(reader.array()?);
                }
                Self::Logged(Logged {
                    index,
                    time_ms: (bits & TIMED != 0).then_some(time_ms),
                    duplicate: bits & DUPLICATE != 0,
                    checkpoint,
                    proof,
                    encoded: all.slice_ref(reader.bytes()?),
                    voucher: reader.bytes()?.to_vec(),
                })
            }
            INVALID => {
                let words = reader.bytes().filter(|words| words.len() <= MAX_WORDS)?;
                Self::Invalid(std::str::from_utf8(words).ok()?.to_owned())
            }
            OVERLOADED => Self::Overloaded(after(reader)?),
            STORAGE_FULL => Self::StorageFull(after(reader)?),
            ELSEWHERE => Self::Elsewhere,
            LATER => Self::Later,
            ENDED => Self::Ended,
            _ => return None,
        })
    }
}

/// What a sealed message of this kind holds.
fn open<'a>(bytes: &'a [u8], kind: &[u8]) -> Result<Reader<'a>, WireError> {
    let rest = bytes.strip_prefix(kind).ok_or(WireError::Kind)?;
    let (content, sum) = rest.split_last_chunk::<4>().ok_or(WireError::Malformed)?;
    let covered = bytes.split_last_chunk::<4>().map(|(covered, _)| covered).unwrap_or_default();
    match crc32c::crc32c(covered) == u32::from_be_bytes(*sum) {
        true => Ok(Reader(content)),
        false => Err(WireError::Checksum),
    }
}

/// Bytes being put together.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn u8(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn count(&mut self, count: usize) -> Option<()> {
        self.raw(&u32::try_from(count).ok()?.to_be_bytes());
        Some(())
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.count(bytes.len())?;
        self.raw(bytes);
        Some(())
    }

    pub(super) fn done(self) -> Vec<u8> {
        self.0
    }

    fn sealed(mut self) -> Vec<u8> {
        let sum = crc32c::crc32c(&self.0);
        self.raw(&sum.to_be_bytes());
        self.0
    }
}

/// What is left of some bytes.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.u32()?).ok()
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
