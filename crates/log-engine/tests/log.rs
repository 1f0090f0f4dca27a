//! A log as its owner and its readers see it while nothing goes wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::HashSet;

use sealog_log_engine::{AppendError, Log};
use sealog_tlog::{EntryBytes, EntryLeaf};
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
