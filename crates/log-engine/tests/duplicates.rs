//! One entry, one leaf, for ever: whoever sends it again gets the first place and a proof of today.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::Arc;

use sealog_log_engine::Log;
use sealog_tlog::ct::{CtEntry, CtLeaf, CtSubmission, TileLeaf, issuer_path};
use support::{Owner, append_all, check_receipt, entry, read_public, runtime};

#[test]
fn an_entry_sent_again_has_its_first_place_and_a_current_proof() {
    let owner = Owner::new();
    runtime().block_on(async {
        let log = owner.create();
        let first = log.append(entry("twice")).await.unwrap();
        append_all(&log, (0..600).map(entry).collect()).await;
        for round in 0..3 {
            let again = log.append(entry("twice")).await.unwrap();
            assert!(again.duplicate && again.time_ms.is_none());
            assert_eq!((again.index, &again.encoded), (first.index, &first.encoded), "round {round}");
            assert_eq!(again.proof.size, log.view().size());
            check_receipt(&again, &entry("twice"), &owner.verifier());
            append_all(&log, (0..7).map(|n| entry(format!("{round} {n}"))).collect()).await;
        }
        assert_eq!(log.append(entry("seed")).await.unwrap().index, 0);
        assert_eq!(log.view().size(), 1 + 1 + 600 + 21);
    });
}

#[test]
fn many_at_once_become_one_leaf() {
    let owner = Owner::new();
    runtime().block_on(async {
        let log = owner.create();
        for round in 0..20 {
            let receipts =
                append_all(&log, (0..64).map(|n| entry(format!("{round} {}", n % 3))).collect()).await;
            let new = receipts.iter().filter(|receipt| !receipt.duplicate).count();
            assert_eq!(new, 3);
            for (n, receipt) in receipts.iter().enumerate() {
                check_receipt(receipt, &entry(format!("{round} {}", n % 3)), &owner.verifier());
                assert_eq!(receipt.index, receipts[n % 3].index);
            }
        }
        log.close().unwrap();
        assert_eq!(read_public(&owner.public(), &owner.verifier()).size, 61);
    });
}

#[test]
fn known_after_a_restart_also_without_the_index() {
    let owner = Owner::new();
    runtime().block_on(async {
        let log = owner.create();
        let receipts = append_all(&log, (0..900).map(entry).collect()).await;
        log.close().unwrap();
        for lost in ["nothing", "the index", "part of the index"] {
            match lost {
                "the index" => std::fs::remove_dir_all(owner.dir().join("index")).unwrap(),
                "part of the index" => {
                    // The index of an earlier day: complete up to fewer entries.
                    std::fs::remove_dir_all(owner.dir().join("index")).unwrap();
                    let other =
                        Owner { home: tempfile::tempdir().unwrap(), signer: Arc::clone(&owner.signer) };
                    let log = other.create();
                    for n in 0..5 {
                        log.append(entry(format!("elsewhere {n}"))).await.unwrap();
                    }
                    log.close().unwrap();
                    support::copy_dir(&other.dir().join("index"), &owner.dir().join("index"));
                }
                _ => {}
            }
            let log = owner.open();
            let again = append_all(&log, (0..900).map(entry).collect()).await;
            for ((n, again), first) in again.iter().enumerate().zip(&receipts) {
                assert_eq!((again.index, again.duplicate), (first.index, true), "{lost}: {n}");
            }
            check_receipt(&again[17], &entry(17), &owner.verifier());
            assert_eq!(log.view().size(), 901);
            log.close().unwrap();
        }
    });
}

#[test]
fn a_certificate_keeps_its_first_time_and_its_issuers_are_served() {
    let owner = Owner::new();
    let dir = owner.home.path().join("ct");
    let settings = || {
        let mut settings = owner.settings();
        settings.first_seen = owner.home.path().join("ct.seen");
        settings
    };
    let submission = |n: u8| CtSubmission {
        entry: CtEntry::X509 { cert: vec![0x30, n] },
        issuers: vec![b"intermediate".to_vec(), vec![b'r', n]],
    };
    runtime().block_on(async {
        let log = Log::<CtLeaf>::create(&dir, settings(), None).unwrap();
        assert_eq!(log.view().size(), 0);
        let first = log.append(submission(1)).await.unwrap();
        let second = log.append(submission(2)).await.unwrap();
        assert!(second.time_ms > first.time_ms);
        let leaf = TileLeaf::parse(&first.encoded).unwrap();
        assert_eq!((leaf.index().unwrap(), Some(leaf.timestamp_ms)), (0, first.time_ms));
        let read = |path: &str| log.view().read(path).unwrap().map(|bytes| bytes.to_vec());
        for der in [b"intermediate".to_vec(), vec![b'r', 1], vec![b'r', 2]] {
            assert_eq!(read(&issuer_path(&der)), Some(der));
        }
        assert_eq!(read(&issuer_path(b"nobody")), None);
        assert_eq!(read("tile/data/000.p/2").unwrap(), [first.encoded.clone(), second.encoded].concat());
        assert_eq!(read("tile/entries/000.p/2"), None);
        log.close().unwrap();

        let log = Log::<CtLeaf>::open(&dir, settings()).unwrap();
        let again = log.append(submission(1)).await.unwrap();
        assert!(again.duplicate);
        assert_eq!((again.index, again.encoded), (0, first.encoded));
    });
}
