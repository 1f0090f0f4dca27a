//! What a key remembers after a kill, and that a log goes on in one place only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sealog_crypto::{KeyKind, PrivateKey};
use sealog_log_engine::{
    AppendError, Identity, Log, OpenError, Place, Restoring, TransferError, Unsound, back_up, inspect,
    nothing_beside, public_files, restore, transfer,
};
use sealog_tlog::EntryLeaf;
use sealog_tlog::ct::{CtEntry, CtLeaf, CtSubmission, TileLeaf};
use sealog_tlog::note::KeySigner;
use support::{Owner, append_all, copy_dir, entry, read_public, runtime};

const NOW: u64 = 1_700_000_000_000;

fn mark(owner: &Owner) -> PathBuf {
    owner.home.path().join("keys/log.key.running")
}

fn checkpoint(owner: &Owner) -> Bytes {
    fs::read(owner.public().join("checkpoint")).unwrap().into()
}

fn grow(owner: &Owner, dir: &Path, entries: std::ops::Range<usize>) {
    runtime().block_on(async {
        let log = Log::<EntryLeaf>::open(dir, owner.settings()).unwrap();
        append_all(&log, entries.map(entry).collect()).await;
        log.close().unwrap();
    });
}

fn back_up_to(owner: &Owner, name: &str) -> PathBuf {
    let to = owner.home.path().join(name);
    let files = public_files(&Place::from(&owner.dir()));
    back_up::<EntryLeaf>(files.as_ref(), &to, &owner.verifier(), &nothing_beside).unwrap();
    to
}

fn put_back(owner: &Owner, from: &Path, newest: &[Bytes], frozen: bool) -> Result<u64, TransferError> {
    let (key, seen) = (owner.verifier(), owner.first_seen());
    let newest: Vec<_> = newest.iter().map(|bytes| ("a mirror".to_owned(), bytes.clone())).collect();
    let identity = Identity { key: &key, first_seen: &seen };
    let with = Restoring { identity, frozen, newest: &newest, beside: &nothing_beside };
    let files = public_files(&Place::from(from));
    restore::<EntryLeaf>(files.as_ref(), &Place::from(&owner.dir()), &with).map(|copied| copied.sound.size)
}

/// A log of 310 entries whose process was killed before the last ten were remembered, and backups of 300 and 310.
struct Killed {
    owner: Owner,
    old: PathBuf,
    new: PathBuf,
    /// Checkpoints of 300 and 310 entries.
    seen: [Bytes; 2],
}

fn killed() -> Killed {
    let owner = Owner::new();
    owner.create().close().unwrap();
    grow(&owner, &owner.dir(), 1..300);
    assert!(!mark(&owner).exists(), "it ended in order");
    let old = back_up_to(&owner, "old");
    let (first, memory) = (checkpoint(&owner), fs::read(owner.first_seen()).unwrap());
    let copied = owner.home.path().join("copied");
    runtime().block_on(async {
        let log = owner.open();
        assert!(mark(&owner).exists(), "before anything is signed");
        append_all(&log, (300..310).map(entry).collect()).await;
        copy_dir(&owner.home.path().join("keys"), &copied);
        log.close().unwrap();
    });
    assert!(!mark(&owner).exists());
    let new = back_up_to(&owner, "new");
    // As the process would have left it.
    fs::copy(copied.join("log.key.running"), mark(&owner)).unwrap();
    fs::write(owner.first_seen(), memory).unwrap();
    let seen = [first, checkpoint(&owner)];
    Killed { owner, old, new, seen }
}

#[test]
fn after_a_kill_nothing_is_put_back_on_the_word_of_the_memory_alone() {
    let Killed { owner, old, new, seen: [first, last] } = killed();
    fs::remove_dir_all(owner.dir()).unwrap();
    for backup in [&old, &new] {
        let refused = put_back(&owner, backup, &[], false).unwrap_err();
        assert!(matches!(refused, TransferError::Unsure { .. }), "{refused}");
        let (said, dir) = (refused.to_string(), owner.dir());
        assert!(said.contains(&format!("signed in {} did not end in order", dir.display())), "{said}");
        assert!(!dir.exists(), "nothing was begun");
    }
    // What others have is newer than the old backup.
    let refused = put_back(&owner, &old, &[first.clone(), last.clone()], false).unwrap_err();
    assert!(matches!(refused, TransferError::Older { remembered: 310, found: 300, .. }), "{refused}");
    assert!(refused.to_string().contains("(a mirror)"), "{refused}");
    // Nobody's word but the key's, and of the same tree.
    let stranger = Owner::new();
    stranger.create().close().unwrap();
    let refused = put_back(&owner, &new, &[checkpoint(&stranger)], false).unwrap_err();
    assert!(matches!(refused, TransferError::Unsound(Unsound::Checkpoint { .. })), "{refused}");
    let fork = Owner { home: tempfile::tempdir().unwrap(), signer: Arc::clone(&owner.signer) };
    fork.create().close().unwrap();
    grow(&fork, &fork.dir(), 1000..1304);
    let refused = put_back(&owner, &new, &[checkpoint(&fork)], false).unwrap_err();
    assert!(matches!(refused, TransferError::Unsound(Unsound::Root { size: 305, .. })), "{refused}");
    assert!(!owner.dir().join("format").exists());

    assert_eq!(put_back(&owner, &new, &[last], false).unwrap(), 310);
    grow(&owner, &owner.dir(), 310..315);
    assert_eq!(read_public(&owner.public(), &owner.verifier()).size, 315);
    assert!(!mark(&owner).exists());
}

#[test]
fn a_newest_checkpoint_stands_for_a_memory_that_is_lost() {
    let Killed { owner, new, seen: [_, last], .. } = killed();
    fs::remove_dir_all(owner.dir()).unwrap();
    fs::remove_file(owner.first_seen()).unwrap();
    assert!(matches!(put_back(&owner, &new, &[], false), Err(TransferError::Unsure { .. })));
    // The key has signed: no new log is made under it.
    let refused = Log::<EntryLeaf>::create(&owner.dir(), owner.settings(), None).unwrap_err();
    assert!(matches!(refused, OpenError::Remembered { .. }), "{refused}");
    fs::remove_file(mark(&owner)).unwrap();
    assert!(matches!(put_back(&owner, &new, &[], false), Err(TransferError::Unremembered { .. })));
    assert_eq!(put_back(&owner, &new, &[last], false).unwrap(), 310);
    assert_eq!(fs::read(owner.first_seen()).unwrap(), fs::read(owner.public().join("checkpoint")).unwrap());
}

/// A log has all that was signed in its own directory, whatever is remembered.
#[test]
fn a_log_that_was_killed_starts_again_over_its_own_directory() {
    let Killed { owner, .. } = killed();
    let log = owner.open();
    assert_eq!(log.view().size(), 310);
    log.close().unwrap();
    assert!(!mark(&owner).exists());
    assert_eq!(fs::read(owner.first_seen()).unwrap(), fs::read(owner.public().join("checkpoint")).unwrap());
}

/// It may be read, and never goes on: not even when it is no longer said to be frozen.
#[test]
fn a_frozen_log_that_may_lack_entries_is_closed() {
    let Killed { owner, old, .. } = killed();
    fs::remove_dir_all(owner.dir()).unwrap();
    assert_eq!(put_back(&owner, &old, &[], true).unwrap(), 300);
    let refused = owner.try_open().unwrap_err();
    assert!(matches!(&refused, OpenError::Closed { words, .. } if words.contains("may have signed more")));
    let (key, seen) = (owner.verifier(), owner.first_seen());
    let place = Place::from(&owner.dir());
    let inspected = inspect::<EntryLeaf>(&place, &Identity { key: &key, first_seen: &seen }, true).unwrap();
    assert!(inspected.closed.is_some());
}

fn move_to(owner: &Owner, from: &Path, to: &Path) -> Result<u64, TransferError> {
    let (key, seen) = (owner.verifier(), owner.first_seen());
    let identity = Identity { key: &key, first_seen: &seen };
    transfer::<EntryLeaf>(&from.into(), &to.into(), &identity, &nothing_beside)
        .map(|copied| copied.sound.size)
}

#[test]
fn a_log_that_was_moved_goes_on_in_one_place() {
    let owner = Owner::new();
    owner.create().close().unwrap();
    grow(&owner, &owner.dir(), 1..30);
    let [there, other] = ["there", "other"].map(|name| owner.home.path().join(name));
    assert_eq!(move_to(&owner, &owner.dir(), &there).unwrap(), 30);
    let refused = owner.try_open().unwrap_err();
    let expected = format!("takes no more entries: it was moved to {} (", there.display());
    assert!(refused.to_string().contains(&expected), "{refused}");
    assert!(refused.hint().unwrap().contains("run the log where it went"));
    // Nor is a second copy made of it.
    let refused = move_to(&owner, &owner.dir(), &other).unwrap_err();
    assert!(matches!(refused, TransferError::Open(OpenError::Closed { .. })), "{refused}");
    // It goes on there, and comes back.
    grow(&owner, &there, 30..40);
    assert_eq!(move_to(&owner, &there, &other).unwrap(), 40);
    assert!(matches!(Log::<EntryLeaf>::open(&there, owner.settings()), Err(OpenError::Closed { .. })));
    grow(&owner, &other, 40..50);
    // As the error says, for one who knows that the copy never ran.
    let [back, copy] = ["back", "copy"].map(|name| owner.home.path().join(name));
    assert_eq!(move_to(&owner, &other, &back).unwrap(), 50);
    fs::rename(&back, &copy).unwrap();
    fs::remove_file(other.join("closed")).unwrap();
    grow(&owner, &other, 50..60);
    // The copy is behind what the key remembers.
    let refused = Log::<EntryLeaf>::open(&copy, owner.settings()).unwrap_err();
    assert!(refused.to_string().contains("the remembered checkpoint"), "{refused}");
}

/// Copied by hand, where nothing could be marked.
#[test]
fn twins_do_not_run_at_once_beside_one_key() {
    let owner = Owner::new();
    owner.create().close().unwrap();
    let twin = owner.home.path().join("twin");
    copy_dir(&owner.dir(), &twin);
    let log = owner.open();
    let refused = Log::<EntryLeaf>::open(&twin, owner.settings()).unwrap_err();
    assert!(matches!(&refused, OpenError::KeyInUse { place, .. } if *place == owner.dir()), "{refused}");
    assert!(matches!(
        move_to(&owner, &twin, &owner.home.path().join("other")),
        Err(TransferError::Open(OpenError::KeyInUse { .. }))
    ));
    log.close().unwrap();
    Log::<EntryLeaf>::open(&twin, owner.settings()).unwrap().close().unwrap();
}

/// A copy that was made by hand may lack what was signed in a place that was not left in order.
#[test]
fn a_copy_of_a_log_that_was_killed_elsewhere_is_not_gone_on_with() {
    let Killed { owner, .. } = killed();
    let copy = owner.home.path().join("copy");
    copy_dir(&owner.dir(), &copy);
    let refused = move_to(&owner, &copy, &owner.home.path().join("other")).unwrap_err();
    assert!(matches!(refused, TransferError::Unsure { .. }), "{refused}");
    // Of the place itself everything is known.
    assert_eq!(move_to(&owner, &owner.dir(), &owner.home.path().join("other")).unwrap(), 310);
    assert!(!mark(&owner).exists());
}

/// Times that have not come are told to nobody: not for as long as a clock was ahead once.
#[test]
fn a_clock_that_was_far_ahead_holds_certificates_back() {
    let owner = Owner::new();
    let dir = owner.home.path().join("ct");
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let signer = Arc::new(KeySigner::tree_head(support::ORIGIN, Arc::new(key)).unwrap());
    let time = Arc::new(AtomicU64::new(NOW));
    let settings = || {
        let mut settings = support::settings(signer.clone(), owner.home.path().join("ct.seen"));
        let time = Arc::clone(&time);
        settings.clock = Arc::new(move || time.load(Ordering::Relaxed));
        settings
    };
    let submission =
        |n: u8| CtSubmission { entry: CtEntry::X509 { cert: vec![0x30, n] }, issuers: Vec::new() };
    let day = 86_400_000;
    runtime().block_on(async {
        let log = Log::<CtLeaf>::create(&dir, settings(), None).unwrap();
        log.append(submission(1)).await.unwrap();
        // A clock that is corrected by a little.
        time.store(NOW - 60_000, Ordering::Relaxed);
        assert_eq!(log.append(submission(2)).await.unwrap().time_ms, Some(NOW));
        time.store(NOW + day, Ordering::Relaxed);
        log.append(submission(3)).await.unwrap();
        time.store(NOW, Ordering::Relaxed);
        for log in [log.clone(), log] {
            let refused = log.append(submission(4)).await.unwrap_err();
            assert!(
                matches!(refused, AppendError::ClockBehind { last_ms, now_ms, .. }
                    if (last_ms, now_ms) == (NOW + day, NOW)),
                "{refused}"
            );
            // What is there keeps its time, and is read.
            let again = log.append(submission(1)).await.unwrap();
            assert_eq!(TileLeaf::parse(&again.encoded).unwrap().timestamp_ms, NOW);
            assert_eq!(log.view().size(), 3);
        }
        let log = Log::<CtLeaf>::open(&dir, settings()).unwrap();
        assert!(matches!(log.append(submission(4)).await, Err(AppendError::ClockBehind { .. })));
        time.store(NOW + day - 60_000, Ordering::Relaxed);
        assert_eq!(log.append(submission(4)).await.unwrap().time_ms, Some(NOW + day));
        log.close().unwrap();

        // Put back, it has the time of its entries, and no clock's.
        let (key, seen) = (signer.verifier(), owner.home.path().join("ct.seen"));
        let identity = Identity { key: &key, first_seen: &seen };
        let with = Restoring { identity, frozen: false, newest: &[], beside: &nothing_beside };
        let back = Place::from(&owner.home.path().join("back"));
        restore::<CtLeaf>(public_files(&Place::from(&dir)).as_ref(), &back, &with).unwrap();
        time.store(NOW, Ordering::Relaxed);
        let log = Log::<CtLeaf>::open(back, settings()).unwrap();
        assert!(matches!(log.append(submission(5)).await, Err(AppendError::ClockBehind { .. })));
        log.close().unwrap();
    });

    // Where leaves have no time, the clock holds nothing up.
    let mut plain = owner.settings();
    let clock = Arc::clone(&time);
    plain.clock = Arc::new(move || clock.load(Ordering::Relaxed));
    runtime().block_on(async {
        let log = Log::<EntryLeaf>::create(&owner.dir(), plain, Some(entry("seed"))).unwrap();
        time.store(NOW - day, Ordering::Relaxed);
        log.append(entry(1)).await.unwrap();
        log.close().unwrap();
    });
}

/// What is older than the memory says nothing of what was signed after it.
#[test]
fn a_newest_checkpoint_that_the_memory_is_ahead_of_lifts_no_doubt() {
    let owner = Owner::new();
    owner.create().close().unwrap();
    grow(&owner, &owner.dir(), 1..200);
    let early = checkpoint(&owner);
    grow(&owner, &owner.dir(), 200..300);
    let (backup, last) = (back_up_to(&owner, "backup"), checkpoint(&owner));
    fs::write(mark(&owner), "running in elsewhere\n").unwrap();
    fs::remove_dir_all(owner.dir()).unwrap();
    let refused = put_back(&owner, &backup, std::slice::from_ref(&early), false).unwrap_err();
    let too_old = matches!(refused, TransferError::NewestTooOld { given: 200, remembered: 300, .. });
    assert!(too_old && !owner.dir().exists(), "{refused}");
    assert_eq!(put_back(&owner, &backup, &[early, last], false).unwrap(), 300);
    grow(&owner, &owner.dir(), 300..310);
}

/// A mirror may serve what witnesses have signed as well, in any order.
#[test]
fn a_checkpoint_with_another_signature_first_is_gone_on_from() {
    let owner = Owner::new();
    owner.create().close().unwrap();
    grow(&owner, &owner.dir(), 1..300);
    let backup = back_up_to(&owner, "backup");
    let path = backup.join("checkpoint");
    let path = if path.is_file() { path } else { backup.join("public/checkpoint") };
    let text = fs::read_to_string(&path).unwrap();
    let (body, lines) = text.split_once("\n\n").unwrap();
    fs::write(&path, format!("{body}\n\n\u{2014} witness.example AAAAAAAAAAAAAAAAAAAA\n{lines}")).unwrap();
    fs::remove_dir_all(owner.dir()).unwrap();
    assert_eq!(put_back(&owner, &backup, &[], false).unwrap(), 300);
    grow(&owner, &owner.dir(), 300..310);
    // A line in its name that is not its own is none.
    let first = fs::read_to_string(owner.public().join("checkpoint")).unwrap();
    assert!(!first.contains("witness.example"));
}
