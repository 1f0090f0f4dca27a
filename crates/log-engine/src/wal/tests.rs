#![allow(clippy::indexing_slicing)]

use super::record::HEAD_LEN;
use super::*;
use crate::disk::RealDisk;
use crate::disk::around::{Around, Between, Change};
use bytes::Bytes;
use std::cell::RefCell;
use std::fs::{self, File};
use std::sync::atomic::{AtomicBool, Ordering};

type Batch = (u64, Vec<u8>, Vec<u8>);

fn write(dir: &Path, number: u64, batches: &[(u64, u64, &[u8])], sequence: u64) -> Wal {
    let segments = Arc::new(Segments::new(Arc::new(RealDisk), dir.to_owned(), number, number, 64 << 10));
    let mut wal = Wal::start(segments, VecDeque::new(), sequence).unwrap();
    for (first, size, entries) in batches {
        commit(&mut wal, *first, *size, entries).unwrap();
    }
    wal
}

fn commit(wal: &mut Wal, first: u64, size: u64, entries: &[u8]) -> io::Result<()> {
    let entries: Vec<_> = entries.chunks(7).map(Bytes::copy_from_slice).collect();
    let (root, checkpoint) = ([size as u8; 32], b"checkpoint\n");
    let batch = Commit { first, size, time_ms: 5, root, checkpoint, entries: &entries };
    wal.reserve(batch.checkpoint.len(), batch.entry_bytes())?;
    wal.commit(&batch)
}

fn read(dir: &Path) -> Result<(Vec<Batch>, Scanned), ScanError<()>> {
    let found = RefCell::new(Vec::new());
    let scanned = scan(&RealDisk, dir, |record| {
        let entry = (record.head.size, record.checkpoint.to_vec(), record.entries.to_vec());
        found.borrow_mut().push(entry);
        Ok(())
    })?;
    Ok((found.into_inner(), scanned))
}

fn sizes(dir: &Path) -> Result<Vec<u64>, Damage> {
    match read(dir) {
        Ok((found, _)) => Ok(found.into_iter().map(|(size, ..)| size).collect()),
        Err(ScanError::Damage(_, damage)) => Err(damage),
        Err(other) => panic!("{other:?}"),
    }
}

/// Three records: small, larger than a block, small. Returns the segment and where the last two begin.
fn three(dir: &Path) -> (PathBuf, u64, u64) {
    let long = vec![9; 5000];
    drop(write(dir, 1, &[(0, 1, b"one"), (1, 2, &long), (2, 3, b"three, the last")], 0));
    let (_, scanned) = read(dir).unwrap();
    (scanned.segments[0].path.clone(), 2 * BLOCK, scanned.segments[0].last_at)
}

#[test]
fn records_come_back_in_order_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    drop(write(dir.path(), 1, &[(0, 0, b""), (0, 3, b"abc")], 0));
    drop(write(dir.path(), 2, &[(3, 4, b"d")], 2));
    let (found, scanned) = read(dir.path()).unwrap();
    let checkpoint = b"checkpoint\n".to_vec();
    assert_eq!(
        found,
        [
            (0, checkpoint.clone(), vec![]),
            (3, checkpoint.clone(), b"abc".to_vec()),
            (4, checkpoint, b"d".to_vec())
        ]
    );
    assert_eq!((scanned.number, scanned.epoch, scanned.next_sequence), (2, 2, 3));
    assert!(scanned.segments.iter().all(|segment| !segment.torn));
}

#[test]
fn a_tear_at_any_byte_of_the_last_record_loses_that_record_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, _, last_at) = three(dir.path());
    let whole = fs::read(&segment).unwrap();
    let last_at = usize::try_from(last_at).unwrap();
    let end = last_at + whole[last_at..].iter().rposition(|b| *b != 0).unwrap() + 1;
    for cut in last_at..=end {
        // The file ends there, or the rest of the blocks was never written.
        let mut zeroed = whole.clone();
        zeroed[cut..].fill(0);
        for (what, bytes) in [("short", whole[..cut].to_vec()), ("zeroed", zeroed)] {
            fs::write(&segment, bytes).unwrap();
            let expected: &[u64] = if cut < end { &[1, 2] } else { &[1, 2, 3] };
            assert_eq!(sizes(dir.path()).unwrap(), expected, "{what} at {cut}");
        }
    }
}

#[test]
fn a_tear_that_wrote_only_later_blocks_is_a_tear() {
    let dir = tempfile::tempdir().unwrap();
    let long = vec![7; 20_000];
    drop(write(dir.path(), 1, &[(0, 1, b"one"), (1, 2, &long)], 0));
    let segment = dir.path().join(segment_name(1));
    let mut bytes = fs::read(&segment).unwrap();
    bytes[8192..12288].fill(0);
    fs::write(&segment, bytes).unwrap();
    assert_eq!(sizes(dir.path()).unwrap(), [1]);
    assert!(read(dir.path()).unwrap().1.segments[0].torn);
}

#[test]
fn damage_to_any_byte_of_an_earlier_record_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, second_at, last_at) = three(dir.path());
    let whole = fs::read(&segment).unwrap();
    let content =
        usize::try_from(second_at).unwrap()..usize::try_from(second_at).unwrap() + HEAD_LEN + 11 + 5000;
    for at in content {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&segment, bytes).unwrap();
        assert_eq!(sizes(dir.path()), Err(Damage::Middle { at: second_at, later: last_at }), "byte {at}");
    }
    for at in 0..44 {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&segment, bytes).unwrap();
        assert_eq!(sizes(dir.path()), Err(Damage::Head), "byte {at}");
    }
}

#[test]
fn a_lost_tail_or_segment_is_noticed_by_the_next_segment() {
    let dir = tempfile::tempdir().unwrap();
    let (segment, _, last_at) = three(dir.path());
    drop(write(dir.path(), 2, &[(3, 4, b"four")], 3));
    drop(write(dir.path(), 3, &[(4, 5, b"five")], 4));
    assert_eq!(sizes(dir.path()).unwrap(), [1, 2, 3, 4, 5]);

    fs::rename(dir.path().join(segment_name(2)), dir.path().join("kept")).unwrap();
    assert_eq!(sizes(dir.path()), Err(Damage::Sequence { at: BLOCK, expected: 3, found: 4 }));
    fs::rename(dir.path().join("kept"), dir.path().join(segment_name(2))).unwrap();

    File::options().write(true).open(&segment).unwrap().set_len(last_at).unwrap();
    assert_eq!(sizes(dir.path()), Err(Damage::Sequence { at: BLOCK, expected: 2, found: 3 }));
}

#[test]
fn no_entry_can_pass_for_a_record() {
    let dir = tempfile::tempdir().unwrap();
    // A stranger's entry that is a record of an earlier segment, placed on a block boundary of a torn record.
    drop(write(dir.path(), 1, &[(0, 1, b"one")], 0));
    let old = fs::read(dir.path().join(segment_name(1))).unwrap();
    let mut entry = vec![0; 4096 - HEAD_LEN - 11];
    entry.extend_from_slice(&old[4096..8192]);
    drop(write(dir.path(), 2, &[(1, 2, &entry)], 1));
    let segment = dir.path().join(segment_name(2));
    let mut bytes = fs::read(&segment).unwrap();
    assert_eq!(bytes[8192..8200], *b"SEALREC1", "the test must place it on a block");
    bytes[4096 + 130] ^= 1;
    fs::write(&segment, bytes).unwrap();
    assert_eq!(sizes(dir.path()).unwrap(), [1]);
}

#[test]
fn nothing_but_records_is_damage_or_absence() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(sizes(dir.path()), Err(Damage::Empty));
    drop(write(dir.path(), 1, &[], 0));
    assert_eq!(sizes(dir.path()), Err(Damage::Empty));
    // What an interrupted preallocation leaves is not looked at.
    fs::write(dir.path().join("next.tmp"), b"junk").unwrap();
    drop(write(dir.path(), 2, &[(0, 1, b"x")], 0));
    assert_eq!(sizes(dir.path()).unwrap(), [1]);
}

#[test]
fn segments_are_changed_when_full_and_removed_when_their_entries_are_durable() {
    let dir = tempfile::tempdir().unwrap();
    let mut wal = write(dir.path(), 1, &[], 0);
    for n in 0..40 {
        commit(&mut wal, n, n + 1, &[1; 3000]).unwrap();
    }
    let count = || list(&RealDisk, dir.path()).unwrap().len();
    assert_eq!(count(), 3);
    assert_eq!(sizes(dir.path()).unwrap(), (1..=40).collect::<Vec<_>>());
    wal.retire(14).unwrap();
    assert_eq!(count(), 3, "the first segment holds entries up to 15");
    wal.retire(15).unwrap();
    assert_eq!(count(), 2);
    assert_eq!(sizes(dir.path()).unwrap(), (16..=40).collect::<Vec<_>>());
    wal.retire(u64::MAX).unwrap();
    assert_eq!(count(), 1);
}

#[test]
fn the_newest_record_is_never_removed() {
    let dir = tempfile::tempdir().unwrap();
    drop(write(dir.path(), 1, &[(0, 1, b"x")], 0));
    let closed = VecDeque::from([Closed { path: dir.path().join(segment_name(1)), size: 1 }]);
    let segments = Arc::new(Segments::new(Arc::new(RealDisk), dir.path().to_owned(), 2, 2, 64 << 10));
    let mut wal = Wal::start(segments, closed, 1).unwrap();
    wal.retire(u64::MAX).unwrap();
    assert_eq!(sizes(dir.path()).unwrap(), [1]);
    commit(&mut wal, 1, 2, b"y").unwrap();
    wal.retire(u64::MAX).unwrap();
    assert_eq!(sizes(dir.path()).unwrap(), [2]);
}

#[test]
fn a_full_disk_refuses_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut wal = write(dir.path(), 1, &[], 0);
    for n in 0..15 {
        commit(&mut wal, n, n + 1, &[1; 3000]).unwrap();
    }
    // Writing there fails as a full disk does.
    std::os::unix::fs::symlink("/dev/full", dir.path().join("next.tmp")).unwrap();
    let refused = commit(&mut wal, 15, 16, &[1; 3000]).unwrap_err();
    assert!(files::passes(&refused), "{refused}");
    assert_eq!(sizes(dir.path()).unwrap().len(), 15);
    // There is room again (the half-made segment was removed): the same batch goes in.
    commit(&mut wal, 15, 16, &[1; 3000]).unwrap();
    assert_eq!(sizes(dir.path()).unwrap().len(), 16);
}

/// Names cannot be removed, or their removal cannot be made durable, while one of these is set.
#[derive(Clone, Default)]
struct Stubborn {
    keeps: Arc<AtomicBool>,
    forgets: Arc<AtomicBool>,
}

impl Between for Stubborn {
    fn change(&self, what: Change, path: &Path) -> io::Result<()> {
        let fails = match what {
            Change::Remove => path.ends_with(segment_name(1)) && self.keeps.load(Ordering::SeqCst),
            Change::SyncDir => self.forgets.load(Ordering::SeqCst),
            _ => false,
        };
        if fails { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }
}

/// What comes behind it stays, too, until it is gone for certain: a hole would look like lost records.
#[test]
fn a_segment_that_cannot_be_removed_keeps_all_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let stubborn = Stubborn::default();
    let disk = Arc::new(Around(stubborn.clone()));
    let segments = Arc::new(Segments::new(disk, dir.path().to_owned(), 1, 1, 64 << 10));
    let mut wal = Wal::start(segments, VecDeque::new(), 0).unwrap();
    for n in 0..60 {
        commit(&mut wal, n, n + 1, &[1; 3000]).unwrap();
    }
    let all = || (1..=60).collect::<Vec<_>>();
    assert_eq!(list(&RealDisk, dir.path()).unwrap().len(), 4);
    stubborn.keeps.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        assert!(wal.retire(45).is_err());
        assert_eq!(sizes(dir.path()).unwrap(), all());
    }
    // Removed, and perhaps back after a power cut: the next one must wait.
    stubborn.keeps.store(false, Ordering::SeqCst);
    stubborn.forgets.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        assert!(wal.retire(45).is_err());
        assert_eq!(sizes(dir.path()).unwrap(), all()[15..]);
    }
    // Entries go on being made durable, and the next attempt removes all that may go.
    stubborn.forgets.store(false, Ordering::SeqCst);
    commit(&mut wal, 60, 61, &[1; 3000]).unwrap();
    wal.retire(45).unwrap();
    assert_eq!(sizes(dir.path()).unwrap(), (46..=61).collect::<Vec<_>>());
}
