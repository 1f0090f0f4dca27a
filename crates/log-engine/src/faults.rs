//! What the log does when the disk does not: failing syncs, short writes, full disks, and what is left afterwards.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sealog_tlog::{EntryBytes, EntryLeaf, SignedCheckpoint};

use crate::disk::DiskFile;
use crate::disk::around::{Around, Between};
use crate::support::{Owner, append_all, check_receipt, entry, read_public, runtime};
use crate::{AppendError, Cause, Log, ReadError};

/// How the next write of a record, or its sync, goes wrong.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Sync,
    /// Only so many bytes reach the file, then the write fails.
    Short(usize),
    /// The file system had promised room and has none.
    FullOnWrite,
    /// Written blocks may be written again, but there are no more.
    NoNewBlocks,
    /// Another segment cannot even be opened.
    NoDescriptors,
}

/// A disk that fails once after some more syncs, and is slow on demand.
#[derive(Clone, Default)]
struct Disk {
    syncs_left: Arc<AtomicI64>,
    fault: Arc<Mutex<Option<Fault>>>,
    syncs_after_fault: Arc<AtomicU64>,
    slow: Arc<Mutex<Duration>>,
}

impl Disk {
    fn fail_after(&self, syncs: i64, fault: Fault) {
        self.syncs_left.store(syncs, Ordering::SeqCst);
        *self.fault.lock().unwrap() = Some(fault);
    }

    fn armed(&self) -> Option<Fault> {
        let fault = *self.fault.lock().unwrap();
        fault.filter(|_| self.syncs_left.load(Ordering::SeqCst) <= 0)
    }
}

/// Only the write-ahead log is in trouble.
impl Between for Disk {
    fn write(&self, file: &mut dyn DiskFile, path: &Path, bytes: &[u8], offset: u64) -> io::Result<()> {
        let zeros = || bytes.iter().all(|b| *b == 0);
        match self.armed().filter(|_| in_wal(path)) {
            Some(Fault::Short(len)) => {
                file.write_all_at(&bytes[..len.min(bytes.len())], offset)?;
                Err(io::Error::from_raw_os_error(5))
            }
            Some(Fault::NoNewBlocks) if zeros() => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::NoDescriptors) if zeros() => Err(rustix::io::Errno::MFILE.into()),
            Some(Fault::FullOnWrite) => Err(io::ErrorKind::StorageFull.into()),
            _ => file.write_all_at(bytes, offset),
        }
    }

    fn sync(&self, file: &mut dyn DiskFile, path: &Path) -> io::Result<()> {
        if !in_wal(path) {
            return file.sync();
        }
        std::thread::sleep(*self.slow.lock().unwrap());
        if self.armed().is_some_and(|fault| !matches!(fault, Fault::NoNewBlocks | Fault::NoDescriptors)) {
            self.syncs_after_fault.fetch_add(1, Ordering::SeqCst);
            return Err(io::Error::from_raw_os_error(5));
        }
        self.syncs_left.fetch_sub(1, Ordering::SeqCst);
        file.sync()
    }
}

fn in_wal(path: &Path) -> bool {
    path.parent().is_some_and(|dir| dir.ends_with("wal"))
}

#[test]
fn a_failed_commit_stops_the_log_for_good_and_loses_nothing_acknowledged() {
    let faults = [
        Fault::Sync,
        Fault::FullOnWrite,
        Fault::Short(0),
        Fault::Short(1),
        Fault::Short(100),
        Fault::Short(1000),
    ];
    for fault in faults {
        let owner = Owner::new();
        owner.create().close().unwrap();
        runtime().block_on(async {
            let disk = Disk::default();
            let log =
                Log::<EntryLeaf>::open_on(Arc::new(Around(disk.clone())), &owner.dir(), owner.settings())
                    .unwrap();
            let mut acknowledged = Vec::new();
            for n in 0..5 {
                acknowledged.push((log.append(entry(n)).await.unwrap(), entry(n)));
            }
            let size_before = log.view().size();
            disk.fail_after(0, fault);
            let waiting: Vec<_> = (5..25).map(|n| tokio::spawn(log.append(entry(n)))).collect();
            for waiter in waiting {
                let error = waiter.await.unwrap().unwrap_err();
                assert!(
                    matches!(&error, AppendError::Stopped(f) if f.cause() == Cause::Commit),
                    "{fault:?}: {error}"
                );
            }
            assert!(matches!(log.append(entry("later")).await, Err(AppendError::Stopped(_))));
            assert_eq!(log.failure().unwrap().cause(), Cause::Commit);
            // Never a second sync of the same data, never a checkpoint over what may not be there.
            assert!(disk.syncs_after_fault.load(Ordering::SeqCst) <= 1);
            assert_eq!(log.view().size(), size_before);
            assert!(log.close().is_err());

            let log = owner.open();
            for (receipt, entry) in acknowledged {
                let again = log.append(entry.clone()).await.unwrap();
                assert_eq!((again.index, again.duplicate), (receipt.index, true), "{fault:?}");
                check_receipt(&again, &entry, &owner.verifier());
            }
            // The fate of the failed batch is one or the other; a written record whose sync failed is read back.
            assert!(log.view().size() >= size_before);
            let retried = append_all(&log, (5..25).map(entry).collect()).await;
            assert_eq!(retried.len(), 20);
            log.close().unwrap();
            assert_eq!(read_public(&owner.public(), &owner.verifier()).size, 26);
        });
    }
}

#[test]
fn a_full_disk_at_the_next_segment_refuses_and_the_log_goes_on() {
    refuses_and_goes_on(Fault::NoNewBlocks);
}

#[test]
fn no_file_descriptors_for_the_next_segment_refuses_and_the_log_goes_on() {
    refuses_and_goes_on(Fault::NoDescriptors);
}

fn refuses_and_goes_on(fault: Fault) {
    let owner = Owner::new();
    owner.create().close().unwrap();
    runtime().block_on(async {
        let disk = Disk::default();
        let log = Log::<EntryLeaf>::open_on(Arc::new(Around(disk.clone())), &owner.dir(), owner.settings())
            .unwrap();
        let big = |n: u8| EntryBytes(vec![n; 20_000]);
        disk.fail_after(0, fault);
        // What was preallocated takes some; then every entry is refused, and none is half logged.
        let mut logged = Vec::new();
        let refused = loop {
            let n = u8::try_from(logged.len()).unwrap();
            match log.append(big(n)).await {
                Ok(receipt) => logged.push(receipt.index),
                Err(AppendError::StorageFull { .. }) => break n,
                Err(other) => panic!("{other}"),
            }
        };
        assert!(logged.len() > 10);
        let size = log.view().size();
        assert!(matches!(log.append(big(refused)).await, Err(AppendError::StorageFull { .. })));
        assert!(log.failure().is_none());
        assert_eq!((log.view().size(), size), (size, 1 + logged.len() as u64));
        // Known entries still get their receipts.
        assert!(log.append(big(0)).await.unwrap().duplicate);
        // Room again: the refused entry is new.
        *disk.fault.lock().unwrap() = None;
        let receipt = log.append(big(refused)).await.unwrap();
        assert_eq!((receipt.index, receipt.duplicate), (size, false));
        log.close().unwrap();
        read_public(&owner.public(), &owner.verifier());
    });
}

/// Of the tree of a checkpoint in a file.
fn size_in(checkpoint: &Path) -> u64 {
    SignedCheckpoint::parse(std::fs::read(checkpoint).unwrap()).unwrap().checkpoint.size
}

#[test]
fn a_full_disk_under_the_tiles_delays_them_and_stops_nothing() {
    let owner = Owner::new();
    let log = owner.create();
    runtime().block_on(async {
        let stray = owner.public().join("tile/entries/.000.tmp");
        std::os::unix::fs::symlink("/dev/full", &stray).unwrap();
        let receipts = append_all(&log, (0..400).map(entry).collect()).await;
        assert_eq!(receipts.len(), 400);
        // Readable from memory at once, from the file a little later.
        assert_eq!(log.view().read("tile/0/000").unwrap().unwrap().len(), 8192);
        log.append(entry("and on")).await.unwrap();
        for _ in 0..100 {
            if owner.public().join("tile/entries/000").is_file() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(log.failure().is_none());
        log.close().unwrap();
    });
    assert_eq!(read_public(&owner.public(), &owner.verifier()).size, 402);
}

#[test]
fn a_file_that_cannot_be_written_stops_the_log_and_the_next_start_has_everything() {
    let owner = Owner::new();
    let log = owner.create();
    let blocked = owner.public().join("tile/0");
    runtime().block_on(async {
        log.append(entry(0)).await.unwrap();
        // So nothing is left to publish until there is another entry.
        while size_in(&owner.public().join("checkpoint")) < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Where a directory must be there is a file.
        let acknowledged = loop {
            std::fs::remove_dir_all(&blocked).ok();
            if std::fs::write(&blocked, b"").is_ok() {
                break log.append(entry(1)).await.unwrap();
            }
        };
        for n in 2.. {
            match log.append(entry(n)).await {
                Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(AppendError::Stopped(failure)) => {
                    assert_eq!(failure.cause(), Cause::PublicFile);
                    break;
                }
                Err(other) => panic!("{other}"),
            }
        }
        let size = log.view().size();
        assert!(log.close().is_err());
        std::fs::remove_file(&blocked).unwrap();
        let log = owner.open();
        assert_eq!(log.view().size(), size);
        let again = log.append(entry(1)).await.unwrap();
        assert_eq!((again.index, again.duplicate), (acknowledged.index, true));
        log.close().unwrap();
        assert_eq!(read_public(&owner.public(), &owner.verifier()).size, size);
    });
}

#[test]
fn a_full_queue_refuses_and_recovers() {
    let owner = Owner::new();
    owner.create().close().unwrap();
    runtime().block_on(async {
        let disk = Disk::default();
        let mut settings = owner.settings();
        settings.max_pending = 8;
        let log = Log::<EntryLeaf>::open_on(Arc::new(Around(disk.clone())), &owner.dir(), settings).unwrap();
        *disk.slow.lock().unwrap() = Duration::from_millis(150);
        let tasks: Vec<_> = (0..60).map(|n| tokio::spawn(log.append(entry(n)))).collect();
        let (mut accepted, mut refused) = (0, 0);
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => accepted += 1,
                Err(AppendError::Overloaded { retry_after }) => {
                    assert!(!retry_after.is_zero());
                    refused += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert!(refused > 0 && accepted >= 8, "{accepted} accepted, {refused} refused");
        assert_eq!(log.view().size(), 1 + accepted);
        *disk.slow.lock().unwrap() = Duration::ZERO;
        log.append(entry("now")).await.unwrap();
    });
}

/// While the disk takes its time, everything that arrives becomes one batch: one sync for many entries.
#[test]
fn entries_that_arrive_during_a_sync_share_the_next_one() {
    let owner = Owner::new();
    owner.create().close().unwrap();
    runtime().block_on(async {
        let disk = Disk::default();
        let log = Log::<EntryLeaf>::open_on(Arc::new(Around(disk.clone())), &owner.dir(), owner.settings())
            .unwrap();
        *disk.slow.lock().unwrap() = Duration::from_secs(1);
        let before = disk.syncs_left.load(Ordering::SeqCst);
        append_all(&log, (0..500).map(entry).collect()).await;
        let syncs = before - disk.syncs_left.load(Ordering::SeqCst);
        assert!(syncs <= 4, "{syncs} syncs");
    });
}

/// What was signed is remembered although none of it can be published: first of all, and not after everything else.
#[test]
fn what_cannot_be_published_is_remembered_all_the_same() {
    let owner = Owner::new();
    let log = owner.create();
    runtime().block_on(async {
        // Writing there fails as on a full disk. The flusher removes it whenever it has failed.
        let stray = owner.public().join("tile/entries/.000.tmp");
        let block = || drop(std::os::unix::fs::symlink("/dev/full", &stray));
        let remembered = || size_in(&owner.first_seen());
        block();
        let (mut blocked, mut slack) = (Instant::now(), Duration::ZERO);
        append_all(&log, (0..300).map(entry).collect()).await;
        for _ in 0..500 {
            slack = slack.max(blocked.elapsed());
            block();
            blocked = Instant::now();
            if remembered() == 301 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(remembered(), 301);
        // The flusher tries again after a second: on a busy machine it may find the way free.
        assert!(!owner.public().join("tile/entries/000").exists() || slack > Duration::from_millis(500));
        assert!(log.failure().is_none());
        let _ = std::fs::remove_file(&stray);
        log.close().unwrap();
    });
}

/// A tile was damaged long after its entries were logged. Whoever sends one of them again is told; the log goes on.
#[test]
fn an_old_damaged_tile_stops_nothing() {
    let owner = Owner::new();
    runtime().block_on(async {
        let log = owner.create();
        append_all(&log, (0..600).map(entry).collect()).await;
        log.close().unwrap();
        let log = owner.open();
        let tile = owner.public().join("tile/0/000");
        let good = std::fs::read(&tile).unwrap();
        let mut bad = good.clone();
        bad[40] ^= 1;
        std::fs::write(&tile, bad).unwrap();
        let error = log.append(entry(100)).await.unwrap_err();
        assert!(
            matches!(&error, AppendError::Read(read) if matches!(**read, ReadError::Damaged { .. })),
            "{error}"
        );
        assert!(log.failure().is_none());
        let receipt = log.append(entry("new")).await.unwrap();
        assert_eq!((receipt.index, receipt.duplicate), (601, false));
        check_receipt(&receipt, &entry("new"), &owner.verifier());
        log.close().unwrap();
        std::fs::write(&tile, good).unwrap();
        assert_eq!(read_public(&owner.public(), &owner.verifier()).size, 602);
    });
}
