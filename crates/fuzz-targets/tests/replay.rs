//! Every input the fuzzer ever kept, through the very functions it was found with, in every test run.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use sealog_fuzz_targets::{TARGETS, Target};
use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Files of one corpus; more are for the fuzzer, not for every test run.
const MAX_FILES: usize = 500;
/// Bytes of all corpora together.
const MAX_BYTES: u64 = 3 << 20;

/// Memory is counted for the whole process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus")
}

fn files(target: &Target) -> Vec<PathBuf> {
    let folder = corpora().join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_input_that_was_kept_is_harmless_and_within_its_bound() {
    let _alone = alone();
    let mut found = Vec::new();
    for target in &TARGETS {
        let files = files(target);
        assert!(!files.is_empty(), "{} has no corpus", target.name);
        let mut most = 0;
        for file in &files {
            let input = fs::read(file).unwrap();
            match catch_unwind(AssertUnwindSafe(|| target.check(&input))) {
                Ok(bytes) => most = most.max(bytes),
                Err(_) => found.push(format!("{} {}", target.name, file.display())),
            }
        }
        println!("{:13} {:4} inputs, {most:8} bytes allocated at the most", target.name, files.len());
    }
    assert!(found.is_empty(), "run these inputs again:\n{}", found.join("\n"));
}

#[test]
fn no_input_and_a_long_one_are_within_every_bound() {
    let _alone = alone();
    for target in &TARGETS {
        target.check(&[]);
        for fill in [0_u8, b'[', b'0', b'{', 0x30, 0xff, b'A', b'\n'] {
            target.check(&vec![fill; 1 << 18]);
        }
    }
}

#[test]
fn inputs_made_to_be_slow_are_within_every_bound() {
    let _alone = alone();
    for slow in sealog_fuzz_targets::worst::inputs(1 << 16) {
        let target = TARGETS.iter().find(|target| target.name == slow.target).unwrap();
        target.check(&slow.input);
    }
}

#[test]
fn the_corpora_stay_small() {
    let _alone = alone();
    let mut bytes = 0;
    for target in &TARGETS {
        let files = files(target);
        assert!(files.len() <= MAX_FILES, "{} has {} files", target.name, files.len());
        bytes += files.iter().map(|file| fs::metadata(file).unwrap().len()).sum::<u64>();
    }
    assert!(bytes <= MAX_BYTES, "{bytes} bytes");
    let folders = fs::read_dir(corpora()).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(folders.count(), TARGETS.len(), "a corpus belongs to a target");
}

#[test]
fn more_than_the_bound_is_a_finding() {
    let _alone = alone();
    let greedy = Target {
        name: "greedy",
        run: |input| drop(vec![1_u8; input.len() * 8]),
        bound: sealog_fuzz_targets::bound::Bound { fixed: 1_000_000, each: 4 },
    };
    // The bytes are the whole process's: whoever looks after the tests may free a few meanwhile.
    assert!(greedy.check(&[0; 200_000]) >= 1_500_000);
    assert!(catch_unwind(AssertUnwindSafe(|| greedy.check(&[0; 1_000_000]))).is_err());
}
