//! A log as its owner and its readers see it while nothing goes wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sealog_log_engine::{AppendError, Cause, Log, OpenError};
use sealog_tlog::{EntryBytes, EntryLeaf, Hash, Leaf, LeafError, Placed, SignedCheckpoint};
use support::{Owner, append_all, check_receipt, entry, naive_paths, read_public, read_through, runtime};

#[test]
fn what_is_appended_is_proven_published_and_there_after_reopening() {
    let owner = Owner::new();
    runtime().block_on(async {
        let log = owner.create();
        let mut expected = vec![entry("seed").0];
        for round in [1usize, 3, 250, 1, 1, 256, 700] {
            let entries: Vec<_> =
                (0..round).map(|n| entry(format!("{round} {n} {}", expected.len()))).collect();
            let receipts = append_all(&log, entries.clone()).await;
            let mut placed: Vec<_> = receipts.iter().zip(&entries).collect();
            placed.sort_by_key(|(receipt, _)| receipt.index);
            for (receipt, entry) in placed {
                check_receipt(receipt, entry, &owner.verifier());
                assert_eq!(receipt.index, expected.len() as u64);
                assert!(!receipt.duplicate && receipt.time_ms.is_some());
                expected.push(entry.0.clone());
            }
        }
        // Through the view, while running.
        let view = log.view();
        let read = read_through(view.checkpoint(), &owner.verifier(), |path| {
            view.read(path).unwrap().map(|bytes| bytes.to_vec())
        });
        assert_eq!(read.entries, expected);

        log.close().unwrap();
        assert!(matches!(log.append(entry("late")).await, Err(AppendError::Closed)));
        // From the files alone, as a static web server would serve them.
        assert_eq!(read_public(&owner.public(), &owner.verifier()).entries, expected);

        let log = owner.open();
        assert_eq!(log.view().size(), expected.len() as u64);
        let receipt = log.append(entry("after")).await.unwrap();
        check_receipt(&receipt, &entry("after"), &owner.verifier());
        assert_eq!(receipt.index, expected.len() as u64);
    });
}

#[test]
fn the_files_follow_while_the_log_runs_and_never_name_what_is_not_there() {
    let owner = Owner::new();
    let log = owner.create();
    runtime().block_on(async {
        for n in 0..60 {
            append_all(&log, (0..20).map(|m| entry(format!("{n} {m}"))).collect()).await;
            let checkpoint = std::fs::read(owner.public().join("checkpoint")).unwrap();
            // A tile that became full meanwhile took the place of its partial; readers then ask for the full one.
            read_through(&checkpoint, &owner.verifier(), |path| {
                let (full, width) = path.split_once(".p/").unwrap_or((path, "256"));
                std::fs::read(owner.public().join(path)).ok().or_else(|| {
                    let view = log.view();
                    assert!(view.read(full).unwrap().is_some(), "{path} is neither partial nor full");
                    assert_ne!(width, "256", "{path}");
                    view.read(path).unwrap().map(|bytes| bytes.to_vec())
                })
            });
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while read_public_size(&owner) < log.view().size() {
            assert!(std::time::Instant::now() < deadline, "the files do not follow");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        while std::fs::read(owner.first_seen()).unwrap() != *log.view().checkpoint() {
            assert!(std::time::Instant::now() < deadline, "the newest checkpoint is not remembered");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    });
}

fn read_public_size(owner: &Owner) -> u64 {
    let checkpoint = std::fs::read(owner.public().join("checkpoint")).unwrap();
    SignedCheckpoint::parse(checkpoint).unwrap().checkpoint.size
}

#[test]
fn every_partial_ever_promised_is_served_for_ever() {
    let owner = Owner::new();
    runtime().block_on(async {
        let log = owner.create();
        let mut promised: HashMap<String, Vec<u8>> = HashMap::new();
        let mut old_views = Vec::new();
        for n in 0..300u64 {
            log.append(entry(n)).await.unwrap();
            let view = log.view();
            let size = view.size();
            for (path, _) in naive_paths("entries", size).into_iter().chain(naive_paths("0", size)) {
                let bytes = view.read(&path).unwrap().unwrap_or_else(|| panic!("{path} at {size}"));
                promised.insert(path, bytes.to_vec());
            }
            if n % 50 == 0 {
                old_views.push(view);
            }
        }
        append_all(&log, (300..700).map(entry).collect()).await;
        for round in 0..2 {
            for (path, bytes) in &promised {
                assert_eq!(log.view().read(path).unwrap().unwrap(), bytes, "{path}, round {round}");
            }
            // The second time from files.
            std::thread::sleep(std::time::Duration::from_millis(150));
        }
        for view in old_views {
            read_through(view.checkpoint(), &owner.verifier(), |path| {
                view.read(path).unwrap().map(|bytes| bytes.to_vec())
            });
        }
        log.close().unwrap();
        let log = owner.open();
        for (path, bytes) in &promised {
            assert_eq!(log.view().read(path).unwrap().unwrap(), bytes, "{path}, reopened");
        }
    });
}

#[test]
fn only_what_a_log_has_can_be_read() {
    let owner = Owner::new();
    let log = owner.create();
    runtime().block_on(append_all(&log, (0..300).map(entry).collect()));
    std::fs::write(owner.public().join("notes.txt"), b"private").unwrap();
    let view = log.view();
    for path in [
        "",
        "/",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/002",
        "tile/0/001.p/46",
        "tile/0/001.p/0",
        "tile/0/000.p/256",
        "tile/0/0",
        "tile/0/x000/000",
        "tile/1/000",
        "tile/1/000.p/2",
        "tile/2/000.p/1",
        "tile/64/000",
        "tile/entries/002",
        "tile/entries/001.p/46",
        "tile/data/000",
        "notes.txt",
        "../format",
        "issuer/../../format",
        "tile/0/../../format",
        "/etc/passwd",
        "issuer/nobody",
        "checkpoint/",
        "Checkpoint",
        "tile/0/000\0",
        "wal/0000000001.wal",
    ] {
        assert_eq!(view.read(path).unwrap(), None, "{path}");
    }
    for path in ["checkpoint", "tile/0/000", "tile/0/001.p/45", "tile/1/000.p/1", "tile/entries/000.p/255"] {
        assert!(view.read(path).unwrap().is_some(), "{path}");
    }
}

#[test]
fn many_tasks_get_consecutive_places_and_true_proofs() {
    let owner = Owner::new();
    runtime().block_on(async {
        let log = owner.create();
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let (log, verifier) = (log.clone(), owner.verifier());
                tokio::spawn(async move {
                    let mut places = Vec::new();
                    for n in 0..60 {
                        let entry = entry(format!("{task} {n}"));
                        let receipt = log.append(entry.clone()).await.unwrap();
                        check_receipt(&receipt, &entry, &verifier);
                        // Published means readable at once.
                        assert!(log.view().size() > receipt.index);
                        assert_eq!(log.view().element(receipt.index).unwrap().unwrap(), receipt.encoded);
                        places.push(receipt.index);
                    }
                    assert!(places.is_sorted());
                    places
                })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.extend(task.await.unwrap());
        }
        all.sort_unstable();
        assert_eq!(all, (1..=64 * 60).collect::<Vec<u64>>());
        log.close().unwrap();
        assert_eq!(read_public(&owner.public(), &owner.verifier()).size, 1 + 64 * 60);
    });
}

#[test]
fn segments_come_and_go_and_the_log_opens_from_its_tiles() {
    let owner = Owner::new();
    runtime().block_on(async {
        let log = owner.create();
        let big = |n: usize| EntryBytes(format!("{n} {}", "x".repeat(9000)).into_bytes());
        for round in 0..7 {
            append_all(&log, (round * 100..(round + 1) * 100).map(big).collect()).await;
            tokio::time::sleep(std::time::Duration::from_millis(60)).await;
        }
        // 6 MB went through segments of 512 KiB. A segment goes with the first batch after its entries are in
        // durable full tiles, so those below entry 512 go in the end, however slow the disk is.
        let mut more = 0;
        loop {
            log.append(entry(format!("{more} more"))).await.unwrap();
            more += 1;
            let segments = std::fs::read_dir(owner.dir().join("wal")).unwrap().count();
            if (2..=7).contains(&segments) {
                break;
            }
            assert!(more < 1000, "{segments} segments");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        log.close().unwrap();
        for lost in ["nothing", "the index"] {
            if lost == "the index" {
                std::fs::remove_dir_all(owner.dir().join("index")).unwrap();
            }
            let log = owner.open();
            assert_eq!(log.view().size(), 701 + more);
            let again = append_all(&log, (0..700).step_by(31).map(big).collect()).await;
            assert!(again.iter().all(|receipt| receipt.duplicate), "{lost}");
            log.close().unwrap();
        }
        assert_eq!(read_public(&owner.public(), &owner.verifier()).size, 701 + more);
    });
}

#[test]
fn time_never_goes_back_within_a_log() {
    let owner = Owner::new();
    runtime().block_on(async {
        let now = Arc::new(AtomicU64::new(5_000));
        let settings = || {
            let (mut settings, now) = (owner.settings(), Arc::clone(&now));
            settings.clock = Arc::new(move || now.load(Ordering::Relaxed));
            settings
        };
        let log = Log::<EntryLeaf>::create(&owner.dir(), settings(), None).unwrap();
        assert_eq!(log.append(entry(1)).await.unwrap().time_ms, Some(5_000));
        now.store(6_000, Ordering::Relaxed);
        assert_eq!(log.append(entry(2)).await.unwrap().time_ms, Some(6_000));
        now.store(1_000, Ordering::Relaxed);
        assert_eq!(log.append(entry(3)).await.unwrap().time_ms, Some(6_000));
        log.close().unwrap();
        let log = Log::<EntryLeaf>::open(&owner.dir(), settings()).unwrap();
        assert_eq!(log.append(entry(4)).await.unwrap().time_ms, Some(6_000));
    });
}

#[test]
fn an_empty_log_has_a_checkpoint_and_its_first_entry_a_proof() {
    let owner = Owner::new();
    runtime().block_on(async {
        let log = Log::<EntryLeaf>::create(&owner.dir(), owner.settings(), None).unwrap();
        assert_eq!(read_public(&owner.public(), &owner.verifier()).size, 0);
        let receipt = log.append(entry(1)).await.unwrap();
        assert!(receipt.proof.hashes.is_empty());
        check_receipt(&receipt, &entry(1), &owner.verifier());
        assert!(log.append(EntryBytes(Vec::new())).await.is_ok());
        let too_long = log.append(EntryBytes(vec![0; 65_536])).await;
        assert!(matches!(too_long, Err(AppendError::Entry(_))), "{too_long:?}");
    });
}

#[test]
fn a_log_is_created_once_and_only_under_settings_that_can_work() {
    let owner = Owner::new();
    let log = owner.create();
    let again = Log::<EntryLeaf>::create(&owner.home.path().join("other"), owner.settings(), None);
    assert!(matches!(again, Err(OpenError::Remembered { size: 1, .. })), "{again:?}");
    let mut settings = owner.settings();
    settings.first_seen = owner.home.path().join("elsewhere");
    let again = Log::<EntryLeaf>::create(&owner.dir(), settings.clone(), None);
    assert!(matches!(again, Err(OpenError::Locked { .. })), "{again:?}");
    drop(log);
    let again = Log::<EntryLeaf>::create(&owner.dir(), settings.clone(), None);
    assert!(matches!(again, Err(OpenError::AlreadyExists { .. })), "{again:?}");
    settings.segment_bytes = 1000;
    let wrong = Log::<EntryLeaf>::open(&owner.dir(), settings.clone());
    assert!(matches!(wrong, Err(OpenError::Setting { name: "segment_bytes", .. })), "{wrong:?}");
    settings.signers.clear();
    let wrong = Log::<EntryLeaf>::open(&owner.dir(), settings);
    assert!(matches!(wrong, Err(OpenError::Setting { name: "signers", .. })), "{wrong:?}");
}

/// Puts something else into the tree than it serves, once it is asked to.
struct FalseLeaf;

impl Leaf for FalseLeaf {
    type Pending = EntryBytes;
    const BUNDLE_DIR: &'static str = EntryLeaf::BUNDLE_DIR;

    fn dedup_key(pending: &EntryBytes) -> [u8; 32] {
        EntryLeaf::dedup_key(pending)
    }
    fn place(pending: &EntryBytes, index: u64, time_ms: u64) -> Result<Placed, LeafError> {
        let placed = EntryLeaf::place(pending, index, time_ms)?;
        let leaf_hash = if pending.0.starts_with(b"entry false") { Hash([7; 32]) } else { placed.leaf_hash };
        Ok(Placed { leaf_hash, ..placed })
    }
    fn split_first(bundle: &[u8]) -> Result<(&[u8], &[u8]), LeafError> {
        EntryLeaf::split_first(bundle)
    }
    fn leaf_hash(encoded: &[u8]) -> Result<Hash, LeafError> {
        EntryLeaf::leaf_hash(encoded)
    }
    fn dedup_key_of(encoded: &[u8]) -> Result<[u8; 32], LeafError> {
        EntryLeaf::dedup_key_of(encoded)
    }
    fn side_objects(_: &EntryBytes) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }
    fn side_paths(encoded: &[u8]) -> Result<Vec<(String, [u8; 32])>, LeafError> {
        EntryLeaf::side_paths(encoded)
    }
}

#[test]
fn a_log_whose_proofs_do_not_verify_stops_before_it_commits_to_them() {
    let owner = Owner::new();
    runtime().block_on(async {
        let log = Log::<FalseLeaf>::create(&owner.dir(), owner.settings(), None).unwrap();
        log.append(entry("true")).await.unwrap();
        for late in ["false", "true again"] {
            let refused = log.append(entry(late)).await;
            assert!(
                matches!(&refused, Err(AppendError::Stopped(failure)) if failure.cause() == Cause::Proof),
                "{refused:?}"
            );
        }
        assert_eq!((log.view().size(), log.close().unwrap_err().cause()), (1, Cause::Proof));
        // Nothing of it is anywhere.
        let log = owner.open();
        assert_eq!(log.view().size(), 1);
        assert!(log.append(entry("false")).await.is_ok());
    });
}

#[test]
fn what_was_read_from_disk_once_is_held_and_only_if_it_is_whole() {
    let owner = Owner::new();
    runtime().block_on(async {
        let log = owner.create();
        append_all(&log, (0..600).map(entry).collect()).await;
        log.close().unwrap();
        let log = owner.open();
        let view = log.view();
        let (tile, bundle) = ("tile/0/000", "tile/entries/000");
        for (full, partial) in [(tile, "tile/0/000.p/7"), (bundle, "tile/entries/000.p/7")] {
            let length = std::fs::metadata(owner.public().join(full)).unwrap().len();
            assert_eq!(view.length(partial).unwrap(), Some(length), "{partial}");
            // Whoever has no room for all of it gets nothing, and nothing is read.
            let asked_for = std::cell::Cell::new(0);
            let refuse = |asked| {
                asked_for.set(asked);
                false
            };
            assert_eq!(view.read_at_once(partial, refuse), None);
            assert!([0, length].contains(&asked_for.get()), "{partial}: {asked_for:?}");
            let first = view.read(partial).unwrap();
            assert!(first.as_ref().is_some_and(|first| !first.is_empty()), "{partial}");
            // It never changes, so nobody looks again.
            std::fs::remove_file(owner.public().join(full)).unwrap();
            assert_eq!(view.read_at_once(partial, |asked| asked == length), Some(first));
            assert_eq!(view.read_at_once(full, |asked| asked == length), Some(view.read(full).unwrap()));
            assert_eq!(view.read_at_once(full, |_| false), None);
        }
        for (held, there) in [
            ("checkpoint", true),
            ("tile/0/002.p/5", true),
            ("tile/0/002.p/250", false),
            ("tile/0/003", false),
            ("tile/entries/002", false),
            ("../keys", false),
        ] {
            let found = view.read_at_once(held, |_| true).unwrap();
            assert_eq!((found.is_some(), &found), (there, &view.read(held).unwrap()), "{held}");
        }
        for damaged in ["tile/0/001", "tile/entries/001"] {
            let path = owner.public().join(damaged);
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
            assert!(
                view.read(damaged).is_err() && view.read_at_once(damaged, |_| true).is_none(),
                "{damaged}"
            );
            std::fs::write(&path, &whole).unwrap();
            assert_eq!(view.read(damaged).unwrap().as_deref(), Some(whole.as_slice()), "{damaged}");
        }
    });
}
