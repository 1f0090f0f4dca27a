//! What a log does with a directory that is not as the last process left it in peace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sealog_crypto::{KeyKind, PrivateKey};
use sealog_log_engine::{Evidence, Log, OpenError};
use sealog_tlog::EntryLeaf;
use sealog_tlog::note::KeySigner;
use support::{Owner, append_all, check_receipt, copy_dir, entry, read_public, runtime, settings};

fn evidence(result: Result<support::EntryLog, OpenError>) -> (Evidence, String) {
    match result {
        Err(error @ OpenError::Disagreement { evidence, .. }) => {
            assert!(error.hint().is_some());
            (evidence, error.to_string())
        }
        other => panic!("{other:?}"),
    }
}

/// The segment that holds the newest record, where that record begins, and where it ends.
fn last_record(wal: &Path) -> (PathBuf, usize, usize) {
    let mut segments: Vec<_> = std::fs::read_dir(wal).unwrap().map(|found| found.unwrap().path()).collect();
    segments.sort();
    for segment in segments.into_iter().rev() {
        let bytes = std::fs::read(&segment).unwrap();
        let start = (4096..bytes.len()).step_by(4096).rfind(|at| bytes[*at..].starts_with(b"SEALREC1"));
        if let Some(start) = start {
            let end = start + bytes[start..].iter().rposition(|b| *b != 0).unwrap() + 1;
            return (segment, start, end);
        }
    }
    panic!("no record in {}", wal.display());
}

/// What a machine that loses power would leave of a living log. Whatever the segments have is in them in order, so each block
/// is read before those that come earlier: what is written meanwhile may end in the middle, but has no gaps.
fn copy_at_a_moment(log: &Path, to: &Path) {
    let segments = || {
        let mut names: Vec<_> =
            std::fs::read_dir(log.join("wal")).unwrap().map(|found| found.unwrap().file_name()).collect();
        names.sort();
        names
    };
    for _ in 0..100 {
        let names = segments();
        copy_dir(&log.join("public"), &to.join("public"));
        let _ = std::fs::remove_dir_all(to.join("wal"));
        std::fs::create_dir_all(to.join("wal")).unwrap();
        for name in names.iter().rev() {
            let Ok(segment) = std::fs::File::open(log.join("wal").join(name)) else { continue };
            let mut bytes = vec![0; usize::try_from(segment.metadata().unwrap().len()).unwrap()];
            for (block, room) in bytes.chunks_mut(4096).enumerate().rev() {
                segment.read_exact_at(room, 4096 * block as u64).unwrap();
            }
            std::fs::write(to.join("wal").join(name), bytes).unwrap();
        }
        // A segment is removed when all of it is published, perhaps after that was copied.
        if segments().first() == names.first() {
            return;
        }
    }
    panic!("segments come and go faster than they can be copied");
}

/// The machine lost power while a record was being written, at every byte of it: the entry nobody was told of is gone,
/// everything else is there, and the log goes on. (The scan alone is tried at each byte in the crate's own tests.)
#[test]
fn a_torn_last_record_is_dropped_and_the_log_goes_on() {
    let owner = Owner::new();
    let rt = runtime();
    let log = owner.create();
    rt.block_on(append_all(&log, (0..300).map(entry).collect()));
    drop(log);
    let before = owner.home.path().join("before");
    copy_dir(&owner.dir(), &before);
    let seen_before = std::fs::read(owner.first_seen()).unwrap();
    let log = owner.open();
    rt.block_on(log.append(entry("in flight"))).unwrap();
    drop(log);
    let (segment, start, end) = last_record(&owner.dir().join("wal"));
    let segment_name = segment.file_name().unwrap().to_owned();
    let whole = std::fs::read(&segment).unwrap();

    // Everything but the write-ahead log is as before the append: nothing of it had been published.
    let step = if std::env::var_os("SEALOG_EVERY_BYTE").is_some() { 1 } else { 29 };
    for cut in (start..end).step_by(step).chain([end - 1, end]) {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("log");
        copy_dir(&before, &dir);
        std::fs::remove_dir_all(dir.join("wal")).unwrap();
        copy_dir(&owner.dir().join("wal"), &dir.join("wal"));
        std::fs::write(dir.join("wal").join(&segment_name), &whole[..cut]).unwrap();
        let first_seen = home.path().join("seen");
        std::fs::write(&first_seen, &seen_before).unwrap();

        let log = Log::<EntryLeaf>::open(&dir, settings(owner.signer.clone(), first_seen)).unwrap();
        assert_eq!(log.view().size(), if cut < end { 301 } else { 302 }, "cut at {}", cut - start);
        let receipt = rt.block_on(log.append(entry("in flight"))).unwrap();
        assert_eq!((receipt.index, receipt.duplicate), (301, cut == end));
        check_receipt(&receipt, &entry("in flight"), &owner.verifier());
        drop(log);
        assert_eq!(read_public(&dir.join("public"), &owner.verifier()).size, 302);
    }
}

/// The directory as a crash leaves it, at many moments under load: copied while the log runs, the write-ahead log last,
/// so that the copy is never older inside than outside, and first, so that no segment is missed that was removed when
/// its tiles had become files.
#[test]
fn at_any_moment_the_directory_holds_everything_acknowledged() {
    let owner = Owner::new();
    let mut own = owner.settings();
    own.segment_bytes = 2 << 20;
    runtime().block_on(async {
        let log = Log::<EntryLeaf>::create(&owner.dir(), own, Some(entry("seed"))).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(std::sync::Mutex::new(Vec::new()));
        let callers: Vec<_> = (0..8)
            .map(|caller| {
                let (log, stop, acknowledged) = (log.clone(), Arc::clone(&stop), Arc::clone(&acknowledged));
                tokio::spawn(async move {
                    for n in 0.. {
                        if stop.load(Ordering::Relaxed) {
                            break;
                        }
                        let entry = entry(format!("{caller} {n}"));
                        let receipt = log.append(entry.clone()).await.unwrap();
                        acknowledged.lock().unwrap().push((receipt.index, entry));
                    }
                })
            })
            .collect();
        let mut old_index = tempfile::tempdir().unwrap();
        for round in 0..12 {
            tokio::time::sleep(Duration::from_millis(13 + 7 * round)).await;
            // A busy machine may need longer for the first.
            while acknowledged.lock().unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let told: Vec<_> = acknowledged.lock().unwrap().clone();
            let home = tempfile::tempdir().unwrap();
            let dir = home.path().join("log");
            copy_at_a_moment(&owner.dir(), &dir);
            std::fs::copy(owner.dir().join("format"), dir.join("format")).unwrap();
            // The index of a moment before; a copy taken while it changes would be none.
            if round % 3 != 0 {
                copy_dir(&old_index.path().join("index"), &dir.join("index"));
            }
            let copy = Log::<EntryLeaf>::open(&dir, settings(owner.signer.clone(), home.path().join("seen")))
                .unwrap();
            let public = read_public(&dir.join("public"), &owner.verifier());
            for (index, entry) in &told {
                let index = usize::try_from(*index).unwrap();
                assert_eq!(public.entries.get(index), Some(&entry.0), "round {round}, entry {index}");
            }
            let (index, entry) = told[told.len() / 2].clone();
            let again = copy.append(entry).await.unwrap();
            assert_eq!((again.index, again.duplicate), (index, true));
            drop(copy);
            old_index = tempfile::tempdir().unwrap();
            copy_dir(&dir.join("index"), &old_index.path().join("index"));
        }
        stop.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.await.unwrap();
        }
    });
}

#[test]
fn a_rolled_back_or_forked_log_is_refused_by_what_is_remembered() {
    let owner = Owner::new();
    let rt = runtime();
    let log = owner.create();
    rt.block_on(append_all(&log, (0..20).map(entry).collect()));
    drop(log);
    let backup = owner.home.path().join("backup");
    copy_dir(&owner.dir(), &backup);
    let log = owner.open();
    rt.block_on(log.append(entry("after the backup"))).unwrap();
    drop(log);

    let current = owner.home.path().join("current");
    std::fs::rename(owner.dir(), &current).unwrap();
    copy_dir(&backup, &owner.dir());
    let (what, text) = evidence(owner.try_open());
    assert_eq!(what, Evidence::FirstSeen);
    assert!(text.contains("at least 22 entries") && text.contains("a log of 21 entries"), "{text}");

    // Grown past it on another branch: as large, and not the same.
    let remembered = std::fs::read(owner.first_seen()).unwrap();
    std::fs::remove_file(owner.first_seen()).unwrap();
    let log = owner.open();
    rt.block_on(append_all(&log, (100..150).map(entry).collect()));
    drop(log);
    std::fs::write(owner.first_seen(), remembered).unwrap();
    let (what, text) = evidence(owner.try_open());
    assert_eq!(what, Evidence::FirstSeen);
    assert!(text.contains("tree size 22"), "{text}");

    std::fs::remove_dir_all(owner.dir()).unwrap();
    std::fs::rename(&current, owner.dir()).unwrap();
    assert_eq!(owner.open().view().size(), 22);
}

#[test]
fn a_write_ahead_log_older_than_the_public_files_is_refused() {
    let owner = Owner::new();
    let rt = runtime();
    let log = owner.create();
    rt.block_on(append_all(&log, (0..20).map(entry).collect()));
    drop(log);
    let old_wal = owner.home.path().join("old wal");
    copy_dir(&owner.dir().join("wal"), &old_wal);
    let log = owner.open();
    rt.block_on(append_all(&log, (20..300).map(entry).collect()));
    drop(log);
    std::fs::remove_dir_all(owner.dir().join("wal")).unwrap();
    copy_dir(&old_wal, &owner.dir().join("wal"));
    std::fs::remove_file(owner.first_seen()).unwrap();
    assert_eq!(evidence(owner.try_open()).0, Evidence::Published);
    std::fs::remove_file(owner.public().join("checkpoint")).unwrap();
    assert_eq!(evidence(owner.try_open()).0, Evidence::Tile);
}

#[test]
fn damage_to_what_was_committed_is_refused_and_named() {
    let owner = Owner::new();
    let rt = runtime();
    // One segment for all of it.
    let mut own = owner.settings();
    own.segment_bytes = 8 << 20;
    let log = Log::<EntryLeaf>::create(&owner.dir(), own, Some(entry("seed"))).unwrap();
    for round in 0..4 {
        rt.block_on(append_all(&log, (0..150).map(|n| entry(format!("{round} {n}"))).collect()));
    }
    drop(log);
    let good = owner.home.path().join("good");
    copy_dir(&owner.dir(), &good);
    let restore = || {
        std::fs::remove_dir_all(owner.dir()).unwrap();
        copy_dir(&good, &owner.dir());
    };
    let flip = |path: &Path, at: usize| {
        let mut bytes = std::fs::read(path).unwrap();
        bytes[at] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    let wal = owner.dir().join("wal");

    let (segment, start, _) = last_record(&wal);
    for at in [4096, 4096 + 50, 4096 + 150] {
        assert!(at < start);
        flip(&segment, at);
        let (what, text) = evidence(owner.try_open());
        assert_eq!(what, Evidence::Record, "{text}");
        assert!(text.contains("0000000002.wal") && text.contains("byte 4096"), "{text}");
        restore();
    }
    flip(&segment, 3);
    assert_eq!(evidence(owner.try_open()).0, Evidence::SegmentHead);
    restore();

    // The newest record damaged: on its own it looks torn, but its checkpoint had been published.
    flip(&segment, start + 200);
    assert_eq!(evidence(owner.try_open()).0, Evidence::Published);
    restore();

    // (The seed's segment may be gone already, as its entry is in a full tile.)
    std::fs::remove_file(&segment).unwrap();
    assert!(matches!(evidence(owner.try_open()).0, Evidence::Published | Evidence::Order));
    restore();
    std::fs::remove_dir_all(&wal).unwrap();
    std::fs::create_dir(&wal).unwrap();
    assert_eq!(evidence(owner.try_open()).0, Evidence::Order);
    restore();

    for path in ["tile/0/001", "tile/entries/001"] {
        flip(&owner.public().join(path), 777);
        let (what, text) = evidence(owner.try_open());
        assert_eq!(what, Evidence::Tile);
        assert!(text.contains(path) && text.contains("from byte 777"), "{text}");
        restore();
        // Merely lost while the write-ahead log still has it: written again.
        std::fs::remove_file(owner.public().join(path)).unwrap();
        drop(owner.open());
        assert_eq!(read_public(&owner.public(), &owner.verifier()).size, 601);
        restore();
    }
    drop(owner.open());
}

#[test]
fn a_tile_damaged_after_its_records_are_gone_shows_in_the_root() {
    let owner = Owner::new();
    let rt = runtime();
    let log = owner.create();
    let big = |n: usize| sealog_tlog::EntryBytes(format!("{n} {}", "x".repeat(9000)).into_bytes());
    for round in 0..7 {
        rt.block_on(append_all(&log, (round * 100..(round + 1) * 100).map(big).collect()));
        std::thread::sleep(Duration::from_millis(60));
    }
    // It goes with the first batch after its entries are in durable full tiles, however slow the disk is.
    let segment = owner.dir().join("wal/0000000002.wal");
    for n in 0..1000 {
        if !segment.exists() {
            break;
        }
        rt.block_on(log.append(entry(format!("{n} more")))).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(log);
    assert!(!segment.exists());
    let tile = owner.public().join("tile/0/000");
    let good = std::fs::read(&tile).unwrap();
    let mut bad = good.clone();
    bad[40] ^= 1;
    std::fs::write(&tile, bad).unwrap();
    let (what, text) = evidence(owner.try_open());
    assert_eq!(what, Evidence::RootHash);
    assert!(text.contains("recomputed") && text.contains("signed"), "{text}");
    std::fs::remove_file(&tile).unwrap();
    assert_eq!(evidence(owner.try_open()).0, Evidence::Tile);
    std::fs::write(&tile, good).unwrap();
    drop(owner.open());
}

/// The only record of a segment, and its entries are in tiles: the log would open, and nobody would know.
#[test]
fn a_lone_damaged_record_before_others_is_refused_and_named() {
    let owner = Owner::new();
    let rt = runtime();
    drop(owner.create());
    let first = owner.dir().join("wal/0000000001.wal");
    let seed = std::fs::read(&first).unwrap();
    let log = owner.open();
    rt.block_on(append_all(&log, (0..300).map(entry).collect()));
    drop(log);
    // As if it could not have been removed, when the first tile was full.
    for damaged in [false, true] {
        let mut bytes = seed.clone();
        bytes[4096 + 200] ^= u8::from(damaged);
        std::fs::write(&first, bytes).unwrap();
        match damaged {
            false => assert_eq!(owner.open().view().size(), 301),
            true => {
                let (what, text) = evidence(owner.try_open());
                assert_eq!(what, Evidence::Record);
                assert!(text.contains("0000000001.wal") && text.contains("byte 4096"), "{text}");
                assert!(first.exists());
            }
        }
    }
}

/// Bytes in the room that is left over in an earlier segment: no record is missing, and the log opens.
#[test]
fn bytes_in_the_room_left_over_hinder_nobody() {
    let owner = Owner::new();
    let rt = runtime();
    let log = owner.create();
    rt.block_on(append_all(&log, (0..100).map(entry).collect()));
    drop(log);
    let (segment, ..) = last_record(&owner.dir().join("wal"));
    let log = owner.open();
    rt.block_on(append_all(&log, (100..120).map(entry).collect()));
    drop(log);
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes.resize(bytes.len() + 8192, 7);
    std::fs::write(&segment, bytes).unwrap();
    assert_eq!(owner.open().view().size(), 121);
}

/// Records are written by whoever has the disk; only the key signs.
#[test]
fn a_newest_record_that_the_key_did_not_sign_is_refused() {
    let owner = Owner::new();
    let rt = runtime();
    let log = owner.create();
    rt.block_on(append_all(&log, (0..20).map(entry).collect()));
    drop(log);
    let (segment, start, _) = last_record(&owner.dir().join("wal"));
    let good = std::fs::read(&segment).unwrap();
    let mut bytes = good.clone();
    // The last character of the signature but the padding; then the record's checksum is made again.
    let length = |at: usize| {
        usize::try_from(u32::from_be_bytes(bytes[start + at..start + at + 4].try_into().unwrap())).unwrap()
    };
    let (checkpoint, entries) = (length(96), length(100));
    let at = start + 108 + checkpoint - 12;
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    let sum = crc32c::crc32c(&bytes[start..start + 104]);
    let sum = crc32c::crc32c_append(sum, &bytes[start + 108..start + 108 + checkpoint + entries]);
    bytes[start + 104..start + 108].copy_from_slice(&sum.to_be_bytes());
    std::fs::write(&segment, bytes).unwrap();
    let (what, text) = evidence(owner.try_open());
    assert_eq!(what, Evidence::Signature, "{text}");
    assert!(text.contains("log.example with key ID") && text.contains("tree size 21"), "{text}");
    std::fs::write(&segment, good).unwrap();
    drop(owner.open());
}

#[test]
fn another_name_or_key_is_refused() {
    let owner = Owner::new();
    drop(owner.create());
    let mut other = owner.settings();
    other.origin = "other.example".to_owned();
    let (what, text) = evidence(Log::<EntryLeaf>::open(&owner.dir(), other));
    assert_eq!(what, Evidence::Origin);
    assert!(text.contains("expected other.example, found log.example"), "{text}");
    let key = Arc::new(PrivateKey::generate(KeyKind::Ed25519).unwrap());
    let mut other = owner.settings();
    other.signers = vec![Arc::new(KeySigner::for_log(support::ORIGIN, key).unwrap())];
    assert_eq!(evidence(Log::<EntryLeaf>::open(&owner.dir(), other)).0, Evidence::SignerKey);
}

#[test]
fn one_process_at_a_time_and_no_newer_format() {
    let owner = Owner::new();
    let log = owner.create();
    let error = owner.try_open().unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, OpenError::Locked { .. }));
    assert!(text.contains(owner.dir().to_str().unwrap()) && text.contains("another process"), "{text}");
    log.close().unwrap();
    // Closed but still held by someone: the directory is free.
    drop(owner.open());
    drop(log);
    std::fs::write(owner.dir().join("format"), "sealog log format 7\n").unwrap();
    let error = owner.try_open().unwrap_err();
    assert!(matches!(error, OpenError::NewerFormat { found: 7, .. }), "{error}");
    std::fs::remove_file(owner.dir().join("format")).unwrap();
    assert!(matches!(owner.try_open(), Err(OpenError::NotALog { .. })));
}
