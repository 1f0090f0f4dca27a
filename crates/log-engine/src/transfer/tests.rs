//! Copies to a disk that is full, or may not be written to.

use std::sync::atomic::{AtomicI64, Ordering};

use sealog_tlog::EntryLeaf;

use super::*;
use crate::disk::DiskFile;
use crate::disk::around::{Around, Between, Change};

use crate::support::{Owner, append_all, entry, runtime};
use crate::{Log, inspect, nothing_beside};

/// A disk on which so many more changes can be made, and then none.
#[derive(Clone)]
struct Limited {
    changes: Arc<AtomicI64>,
    then: io::ErrorKind,
}

impl Limited {
    fn new(changes: i64, then: io::ErrorKind) -> Arc<Around<Self>> {
        Arc::new(Around(Self { changes: Arc::new(AtomicI64::new(changes)), then }))
    }

    fn spend(&self) -> io::Result<()> {
        match self.changes.fetch_sub(1, Ordering::SeqCst) > 0 {
            true => Ok(()),
            false => Err(self.then.into()),
        }
    }
}

impl Between for Limited {
    fn change(&self, what: Change, _: &Path) -> io::Result<()> {
        match what {
            Change::Create | Change::Rename | Change::CreateDir => self.spend(),
            Change::Remove | Change::SyncDir => Ok(()),
        }
    }

    fn write(&self, file: &mut dyn DiskFile, _: &Path, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.spend()?;
        file.write_all_at(bytes, offset)
    }
}

fn log_of(entries: usize) -> Owner {
    let owner = Owner::new();
    owner.create().close().unwrap();
    grow(&owner, 1..entries);
    owner
}

fn grow(owner: &Owner, entries: std::ops::Range<usize>) {
    runtime().block_on(async {
        let log = owner.open();
        append_all(&log, entries.map(entry).collect()).await;
        log.close().unwrap();
    });
}

fn is_refused_by_disk(error: &TransferError, kind: io::ErrorKind) -> bool {
    match error {
        TransferError::Unsound(Unsound::Io { source, .. })
        | TransferError::Open(OpenError::Io { source, .. }) => source.kind() == kind,
        _ => false,
    }
}

const REFUSALS: [io::ErrorKind; 2] = [io::ErrorKind::StorageFull, io::ErrorKind::ReadOnlyFilesystem];

/// Whichever change is the first that fails: there is no half log, and the next attempt ends it.
#[test]
fn a_copy_to_a_full_or_read_only_disk_is_no_log_until_it_is_whole() {
    let owner = log_of(300);
    let (key, seen) = (owner.verifier(), owner.first_seen());
    let identity = Identity { key: &key, first_seen: &seen };
    let from = Place::from(&owner.dir());
    for then in REFUSALS {
        let (mut failures, mut changes) = (0, 0);
        loop {
            let to = owner.home.path().join(format!("copy {then} {changes}"));
            let place = Place::from(&to);
            // Of the copy before.
            let _ = std::fs::remove_file(owner.dir().join(CLOSED));
            let disk = Limited::new(changes, then);
            let done = transfer_on::<EntryLeaf>(disk, &from, &place, &identity, &nothing_beside);
            if let Err(error) = done {
                failures += 1;
                assert!(is_refused_by_disk(&error, then), "after {changes} changes: {error}");
                let there = Log::<EntryLeaf>::open(&to, owner.settings());
                assert!(matches!(there, Err(OpenError::NotALog { .. })), "after {changes} changes");
                let again = transfer::<EntryLeaf>(&from, &place, &identity, &nothing_beside).unwrap();
                assert_eq!(again.sound.size, 300);
            }
            let whole = inspect::<EntryLeaf>(&place, &identity, true).unwrap();
            assert!(whole.all_published && whole.view.size() == 300);
            assert!(!to.join(MARKER).exists());
            if changes > 100 {
                break;
            }
            // Each of the first, and fewer of the many files behind them.
            changes += 1 + changes / 6;
        }
        assert!(failures > 8, "{failures}");
    }
}

#[test]
fn a_backup_on_a_full_or_read_only_disk_stays_what_it_was() {
    for then in REFUSALS {
        let owner = log_of(250);
        let to = owner.home.path().join("backup");
        let from = public_files(&Place::from(&owner.dir()));
        back_up::<EntryLeaf>(from.as_ref(), &to, &owner.verifier(), &nothing_beside).unwrap();
        grow(&owner, 250..300);
        let mut failures = 0;
        for changes in 0.. {
            let done = back_up_on::<EntryLeaf>(
                Limited::new(changes, then),
                from.as_ref(),
                &to,
                &owner.verifier(),
                &nothing_beside,
            );
            let there = public_files(&Place::from(&to));
            let (signed, _) = read_checkpoint(there.as_ref(), Some(&owner.verifier())).unwrap();
            let sound = read_log::<EntryLeaf>(
                there.as_ref(),
                &signed,
                Edge::new(),
                &[],
                &nothing_beside,
                &mut |_| Ok(()),
            )
            .unwrap();
            match done {
                Err(error) => {
                    failures += 1;
                    assert!(is_refused_by_disk(&error, then), "after {changes} changes: {error}");
                    assert_eq!(sound.size, 250, "after {changes} changes");
                }
                Ok(_) => {
                    assert_eq!(sound.size, 300);
                    break;
                }
            }
        }
        assert!(failures > 5, "{failures}");
    }
}

#[test]
fn a_restore_to_a_full_disk_is_begun_again() {
    let owner = log_of(300);
    let (key, seen) = (owner.verifier(), owner.first_seen());
    let identity = Identity { key: &key, first_seen: &seen };
    let backup = owner.home.path().join("backup");
    back_up::<EntryLeaf>(public_files(&Place::from(&owner.dir())).as_ref(), &backup, &key, &nothing_beside)
        .unwrap();
    std::fs::remove_dir_all(owner.dir()).unwrap();
    let from = public_files(&Place::from(&backup));
    let to = Place::from(&owner.dir());
    let disk = Limited::new(9, io::ErrorKind::StorageFull);
    let with = Restoring { identity, frozen: false, newest: &[], beside: &nothing_beside };
    let refused = restore_on::<EntryLeaf>(disk, from.as_ref(), &to, &with).unwrap_err();
    assert!(is_refused_by_disk(&refused, io::ErrorKind::StorageFull), "{refused}");
    assert!(matches!(owner.try_open(), Err(OpenError::NotALog { .. })));
    restore::<EntryLeaf>(from.as_ref(), &to, &with).unwrap();
    grow(&owner, 300..310);
}
