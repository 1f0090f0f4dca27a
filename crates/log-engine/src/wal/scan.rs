//! Reading segments back after any kind of end: what was committed, what was torn, what is damaged.
//!
//! The sequencer writes a record only after the one before is synced. Hence the one legitimate imperfection: the very
//! last record may be incomplete, with nothing valid behind it. Whoever waited for it was never answered, so it is
//! dropped unseen. A bad record with a valid one behind it, a hole in the numbering or an unreadable head can only be
//! damage to committed data: recovery stops and says where.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Disk;

use super::record::{self, BLOCK, Record, SegmentHead};

/// A segment file as found.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    /// Tree size after its last record; `None` without one.
    pub(crate) size: Option<u64>,
    /// Where its last record begins, and its valid bytes end.
    pub(crate) last_at: u64,
    pub(crate) end: u64,
    /// Something other than zeros lies behind the last record.
    pub(crate) torn: bool,
}

/// What all segments together say.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) segments: Vec<Segment>,
    /// Greatest segment number and epoch seen, zero without segments.
    pub(crate) number: u64,
    pub(crate) epoch: u64,
    /// Number of the next record.
    pub(crate) next_sequence: u64,
}

/// Why the log cannot be started from these segments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Damage {
    #[error("the segment's first block is unreadable")]
    Head,
    #[error("the record at byte {at} is damaged, but a later one at byte {later} is whole")]
    Middle { at: u64, later: u64 },
    #[error("the record at byte {at} is number {found} where {expected} must follow")]
    Sequence { at: u64, expected: u64, found: u64 },
    #[error("the record at byte {at} continues a tree of {found} entries where it has {expected}")]
    First { at: u64, expected: u64, found: u64 },
    #[error("there is no record in any segment")]
    Empty,
}

/// Why reading the segments ended early.
#[derive(Debug)]
pub(crate) enum ScanError<E> {
    Io(PathBuf, io::Error),
    Damage(PathBuf, Damage),
    /// The visitor's own refusal.
    Visit(E),
}

/// Shows every committed record to `visit`, in order.
pub(crate) fn scan<E>(
    disk: &dyn Disk,
    dir: &Path,
    mut visit: impl FnMut(&Record<'_>) -> Result<(), E>,
) -> Result<Scanned, ScanError<E>> {
    let mut out = Scanned { segments: Vec::new(), number: 0, epoch: 0, next_sequence: 0 };
    let mut last: Option<(u64, u64)> = None;
    for (number, path) in super::list(disk, dir).map_err(|e| ScanError::Io(dir.to_owned(), e))? {
        let bytes = disk.read(&path).map_err(|e| ScanError::Io(path.clone(), e))?;
        let damage = |what| ScanError::Damage(path.clone(), what);
        let head =
            SegmentHead::parse(&bytes).filter(|head| head.number == number).ok_or(damage(Damage::Head))?;
        out.number = number;
        out.epoch = out.epoch.max(head.epoch);

        let (mut size, mut last_at, mut at) = (None, BLOCK, BLOCK);
        while let Some((record, len)) = record_at(&bytes, at, &head.salt) {
            let found = &record.head;
            if let Some((sequence, tree_size)) = last {
                if found.sequence != sequence + 1 {
                    return Err(damage(Damage::Sequence {
                        at,
                        expected: sequence + 1,
                        found: found.sequence,
                    }));
                }
                if found.first != tree_size {
                    return Err(damage(Damage::First { at, expected: tree_size, found: found.first }));
                }
            }
            visit(&record).map_err(ScanError::Visit)?;
            last = Some((found.sequence, found.size));
            size = Some(found.size);
            out.epoch = out.epoch.max(found.epoch);
            last_at = at;
            at += len;
        }
        if let Some(later) = whole_record_after(&bytes, at, &head.salt) {
            return Err(damage(Damage::Middle { at, later }));
        }
        let behind = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let torn = behind.iter().any(|b| *b != 0);
        out.segments.push(Segment { path, size, last_at, end: at, torn });
    }
    match last {
        Some((sequence, _)) => out.next_sequence = sequence + 1,
        None => return Err(ScanError::Damage(dir.to_owned(), Damage::Empty)),
    }
    Ok(out)
}

fn record_at<'a>(bytes: &'a [u8], at: u64, salt: &[u8; 16]) -> Option<(Record<'a>, u64)> {
    record::parse(bytes.get(usize::try_from(at).ok()?..)?, salt)
}

fn whole_record_after(bytes: &[u8], at: u64, salt: &[u8; 16]) -> Option<u64> {
    let mut later = at + BLOCK;
    while later < bytes.len() as u64 {
        if record_at(bytes, later, salt).is_some() {
            return Some(later);
        }
        later += BLOCK;
    }
    None
}
