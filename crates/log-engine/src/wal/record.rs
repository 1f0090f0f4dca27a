//! The bytes of a segment: one head block, then records, each beginning on a block boundary.
//!
//! Blocks keep a record from sharing a sector with its predecessor: a torn write can damage only the record being
//! written, never one already committed. All integers are big-endian.
//!
//! ```text
//! segment head  magic "SEALSEG1" | number u64 | epoch u64 | salt 16 | crc32c u32
//! record        magic "SEALREC1" | salt 16 | sequence u64 | epoch u64 | first u64 | size u64 | time_ms u64 | root 32
//!               | checkpoint length u32 | entries length u32 | crc32c u32 of everything else | checkpoint | entries
//! ```
//! The salt is random for each segment and repeated in every record. Entries are chosen by strangers and could be
//! shaped like a record; without knowing the salt none can pass for one when recovery looks behind a torn tail.

use std::io;

/// Records begin at multiples of this: the largest sector or page a device writes in one piece.
pub(crate) const BLOCK: u64 = 4096;

const SEGMENT_MAGIC: &[u8; 8] = b"SEALSEG1";
const RECORD_MAGIC: &[u8; 8] = b"SEALREC1";

/// Offset of the checksum in a record, and of the checkpoint behind it.
const CHECKSUM_AT: usize = 8 + 16 + 5 * 8 + 32 + 4 + 4;
pub(crate) const HEAD_LEN: usize = CHECKSUM_AT + 4;

/// First block of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    pub(crate) number: u64,
    pub(crate) epoch: u64,
    pub(crate) salt: [u8; 16],
}

impl SegmentHead {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(44);
        out.extend_from_slice(SEGMENT_MAGIC);
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.epoch.to_be_bytes());
        out.extend_from_slice(&self.salt);
        let sum = crc32c::crc32c(&out);
        out.extend_from_slice(&sum.to_be_bytes());
        out
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader(bytes);
        r.expect(SEGMENT_MAGIC)?;
        let (number, epoch, salt) = (r.u64()?, r.u64()?, r.array()?);
        let head = Self { number, epoch, salt };
        (head.encode().get(40..) == Some(r.array::<4>()?.as_slice())).then_some(head)
    }
}

/// Everything a record says about its batch except the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordHead {
    /// One more than the record before, over the whole life of the log.
    pub(crate) sequence: u64,
    /// The process life that wrote it; greater at every start.
    pub(crate) epoch: u64,
    /// Tree size before the batch.
    pub(crate) first: u64,
    /// Tree size after the batch.
    pub(crate) size: u64,
    /// Time of the batch, and a floor for every later one.
    pub(crate) time_ms: u64,
    /// Root hash at `size`.
    pub(crate) root: [u8; 32],
}

/// A record read back.
#[derive(Debug)]
pub(crate) struct Record<'a> {
    pub(crate) head: RecordHead,
    pub(crate) checkpoint: &'a [u8],
    pub(crate) entries: &'a [u8],
}

/// Room a record takes in its segment.
pub(crate) fn padded_len(checkpoint: usize, entries: usize) -> u64 {
    ((HEAD_LEN + checkpoint + entries) as u64).next_multiple_of(BLOCK)
}

/// Fills `buffer` with the record, padded to whole blocks.
pub(crate) fn encode<'a>(
    buffer: &mut Vec<u8>,
    salt: &[u8; 16],
    head: &RecordHead,
    checkpoint: &[u8],
    entries: impl Iterator<Item = &'a [u8]>,
) -> io::Result<()> {
    let too_long =
        |_| io::Error::new(io::ErrorKind::InvalidInput, "the batch is larger than a record can say");
    buffer.clear();
    buffer.extend_from_slice(RECORD_MAGIC);
    buffer.extend_from_slice(salt);
    for word in [head.sequence, head.epoch, head.first, head.size, head.time_ms] {
        buffer.extend_from_slice(&word.to_be_bytes());
    }
    buffer.extend_from_slice(&head.root);
    buffer.extend_from_slice(&u32::try_from(checkpoint.len()).map_err(too_long)?.to_be_bytes());
    let lengths_end = buffer.len() + 4;
    buffer.extend_from_slice(&[0; 8]);
    buffer.extend_from_slice(checkpoint);
    let entries_at = buffer.len();
    for entry in entries {
        buffer.extend_from_slice(entry);
    }
    let entries_len = u32::try_from(buffer.len() - entries_at).map_err(too_long)?;
    if let Some(room) = buffer.get_mut(lengths_end - 4..lengths_end) {
        room.copy_from_slice(&entries_len.to_be_bytes());
    }
    let sum = checksum(buffer).unwrap_or_default();
    if let Some(room) = buffer.get_mut(CHECKSUM_AT..HEAD_LEN) {
        room.copy_from_slice(&sum.to_be_bytes());
    }
    let blocks = (buffer.len() as u64).next_multiple_of(BLOCK);
    buffer.resize(usize::try_from(blocks).map_err(too_long)?, 0);
    Ok(())
}

/// The record at the beginning of `bytes` and the room it takes, if it is whole and belongs to the segment of `salt`.
pub(crate) fn parse<'a>(bytes: &'a [u8], salt: &[u8; 16]) -> Option<(Record<'a>, u64)> {
    let mut r = Reader(bytes);
    r.expect(RECORD_MAGIC)?;
    r.expect(salt)?;
    let head = RecordHead {
        sequence: r.u64()?,
        epoch: r.u64()?,
        first: r.u64()?,
        size: r.u64()?,
        time_ms: r.u64()?,
        root: r.array()?,
    };
    let checkpoint_len = usize::try_from(r.u32()?).ok()?;
    let entries_len = usize::try_from(r.u32()?).ok()?;
    let sum = r.u32()?;
    let len = HEAD_LEN.checked_add(checkpoint_len)?.checked_add(entries_len)?;
    let checkpoint = r.take(checkpoint_len)?;
    let entries = r.take(entries_len)?;
    (checksum(bytes.get(..len)?)? == sum)
        .then_some((Record { head, checkpoint, entries }, padded_len(checkpoint_len, entries_len)))
}

/// Over the whole record except the checksum itself.
fn checksum(record: &[u8]) -> Option<u32> {
    let sum = crc32c::crc32c(record.get(..CHECKSUM_AT)?);
    Some(crc32c::crc32c_append(sum, record.get(HEAD_LEN..)?))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        (self.take(bytes.len())? == bytes).then_some(())
    }
}
