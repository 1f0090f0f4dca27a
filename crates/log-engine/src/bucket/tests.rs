use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::between::{Asked, Between};
use super::*;
use crate::disk::RealDisk;
use crate::place::BucketPlace;
use crate::sim::bucket::SimBucket;
use crate::storage::{Commit, Objects as _, Storage};
use crate::support::{EntryLog, Owner, entry, runtime};
use crate::tree::FullFile;
use sealog_tlog::{EntryBytes, EntryLeaf};
use std::time::Instant;

const LEASE: Duration = Duration::from_secs(1);

fn local(dir: &Path) -> Local {
    Local::open(Arc::new(RealDisk), dir, String::new()).unwrap()
}

fn commit<'a>(first: u64, checkpoint: &'a [u8], entries: &'a [Bytes]) -> Commit<'a> {
    let size = first + entries.len() as u64;
    Commit { first, size, time_ms: 7, root: [0; 32], checkpoint, entries }
}

/// Of two machines made from one image, which have one id, only one has the log.
#[test]
fn whoever_has_the_same_name_is_not_the_same() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bucket = Arc::new(SimBucket::new(1));
    drop(local(one.path()));
    std::fs::copy(one.path().join("holder"), other.path().join("holder")).unwrap();

    let mut new = InBucket::create(Arc::clone(&bucket) as _, local(one.path()), LEASE).unwrap();
    new.found(&commit(0, b"log\n0\n\n", &[])).unwrap();
    drop(new);
    let open = |dir: &Path| InBucket::open(Arc::clone(&bucket) as _, local(dir), LEASE, false).unwrap();
    let (mut first, mut second) = (open(one.path()), open(other.path()));
    first.take().unwrap();
    assert!(matches!(second.take(), Err(OpenError::Held { .. })));

    let entries = [Bytes::from_static(b"entry")];
    let mut begun = Box::new(first).begin().unwrap();
    begun.commit.commit(&commit(0, b"log\n1\n\n", &entries)).unwrap();
}

/// A record is never written over, whoever wrote it under that name.
#[test]
fn a_record_that_is_there_stays() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = Arc::new(SimBucket::new(1));
    let mut new = InBucket::create(Arc::clone(&bucket) as _, local(dir.path()), LEASE).unwrap();
    new.found(&commit(0, b"log\n0\n\n", &[])).unwrap();
    new.take().unwrap();
    let mut begun = Box::new(new).begin().unwrap();
    let name = format!("{WAL}{:012}-1-0", 1);
    bucket.put_many(&[(name.clone(), Bytes::from_static(b"another's"))]).unwrap();
    let entries = [Bytes::from_static(b"entry")];
    let refused = begun.commit.commit(&commit(0, b"log\n1\n\n", &entries));
    assert!(matches!(refused, Err(CommitError::Refused(_))));
    assert_eq!(bucket.look(&name).unwrap(), "another's");
    // The next attempt has another name.
    begun.commit.commit(&commit(0, b"log\n1\n\n", &entries)).unwrap();
}

/// What cannot be published for long makes the head no longer than can be read again.
#[test]
fn a_head_of_too_many_records_takes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = Arc::new(SimBucket::new(1));
    let last = MAX_SEGMENTS as u64;
    // The longest names there are.
    let name = |n: u64| format!("{n:012}-{}-{}", u64::MAX, u64::MAX - n);
    let segments = (1..last).map(|n| Segment { size: u64::MAX - last + n, name: name(n) }).collect();
    let head = Head {
        epoch: 1,
        holder: None,
        beat: 0,
        sequence: last,
        time_ms: 7,
        base: 0,
        segments,
        checkpoint: b"log\n9999\n\n".to_vec(),
    };
    bucket.put_if(HEAD, &head.encode().into(), None).unwrap();
    let mut log = InBucket::open(Arc::clone(&bucket) as _, local(dir.path()), LEASE, false).unwrap();
    log.take().unwrap();
    let mut commit_point = Box::new(log).begin().unwrap().commit;
    let entries = [Bytes::from_static(b"entry")];
    let batch = commit(u64::MAX - 1, b"log\n10000\n\n", &entries);
    commit_point.commit(&batch).unwrap();
    let full = bucket.look(HEAD).unwrap();
    assert_eq!(Head::parse(&full).unwrap().segments.len(), MAX_SEGMENTS);

    assert!(matches!(commit_point.commit(&batch), Err(CommitError::Refused(_))));
    assert_eq!(bucket.look(HEAD).unwrap(), full);
    assert_eq!(bucket.list(WAL).unwrap().len(), 1, "a record was written in vain");
    // It still shows itself, and takes more once what is there has been published.
    commit_point.beat().unwrap();
    commit_point.retire(0, u64::MAX - 1).unwrap();
    commit_point.beat().unwrap();
    commit_point.commit(&batch).unwrap();
    assert_eq!(Head::parse(&bucket.look(HEAD).unwrap()).unwrap().segments.len(), 2);
}

/// Each write is paid for; but only what is there for certain is left out.
#[test]
fn a_partial_is_written_once_and_one_that_may_be_missing_again() {
    let refuses = Arc::new(AtomicBool::new(true));
    let told = Arc::clone(&refuses);
    let look = move |asked: Asked<'_>| match asked {
        Asked::PutMany if told.load(Ordering::Relaxed) => Err(io::Error::other("no")),
        _ => Ok(()),
    };
    let bucket = Arc::new(Between { bucket: SimBucket::new(1), look });
    let objects = BucketObjects::new(Arc::clone(&bucket) as _);
    let file = |path: &str| FullFile { path: path.to_owned(), bytes: Bytes::from_static(b"hashes") };
    let (partial, full) = ("tile/1/000.p/7", "tile/1/000");
    let key = |path: &str| format!("public/{path}");

    objects.write(&[file(partial)]).unwrap_err();
    refuses.store(false, Ordering::Relaxed);
    objects.write(&[file(partial)]).unwrap();
    assert!(bucket.is_there(&key(partial)).unwrap());

    // Were it written a second time, it would be there again.
    bucket.delete_many(&[key(partial)]).unwrap();
    objects.write(&[file("tile/1/000.p/8"), file(partial)]).unwrap();
    assert!(!bucket.is_there(&key(partial)).unwrap() && bucket.is_there(&key("tile/1/000.p/8")).unwrap());

    // What is full is always written, and its partials go.
    for _ in 0..2 {
        objects.write(&[file(full)]).unwrap();
        assert!(bucket.is_there(&key(full)).unwrap());
        bucket.delete_many(&[key(full)]).unwrap();
    }
    objects.drop_partials(&[file(full)]).unwrap();
    assert_eq!(bucket.list("public/tile/1/000.p/").unwrap(), Vec::<String>::new());
}

/// Readers ask for what any checkpoint promised, and not every checkpoint was published.
#[test]
fn what_was_never_published_is_cut_from_what_is() {
    let bucket = Arc::new(SimBucket::new(1));
    let hashes: Vec<u8> = (0..5).flat_map(|n| [n; 32]).collect();
    let elements: Vec<u8> = (0..5).flat_map(|n| [0, 2, n, n]).collect();
    let put = |path: &str, bytes: &[u8]| {
        bucket.put_many(&[(format!("public/{path}"), Bytes::copy_from_slice(bytes))]).unwrap();
    };
    put("tile/0/001.p/5", &hashes);
    put("tile/entries/001.p/5", &elements);
    let reader = Reader::of::<EntryLeaf>(Arc::clone(&bucket) as _);
    for (kind, all, each) in [("tile/0", &hashes, 32), ("tile/entries", &elements, 4)] {
        let read = |width: usize, size| reader.read_at(&format!("{kind}/001.p/{width}"), size).unwrap();
        for width in 1..5 {
            assert_eq!(read(width, 261).unwrap(), &all[..width * each]);
            assert_eq!(read(width, 0), None);
        }
        assert_eq!(read(5, 261).unwrap(), all);
        assert_eq!(read(6, 261), None);
        assert_eq!(reader.read_at(&format!("{kind}/000.p/5"), 261).unwrap(), None);
        assert_eq!(reader.read_at(&format!("{kind}/002.p/5"), u64::MAX).unwrap(), None);
    }
    assert_eq!(reader.read_at("tile/63/001.p/5", u64::MAX).unwrap(), None);
    put("tile/0/001.p/5", &hashes[..40]);
    assert!(reader.read_at("tile/0/001.p/3", 261).is_err());
}

/// Whoever looks on sees that it lives, while it is asked nothing and while all it does is to refuse.
#[test]
fn it_shows_itself_whatever_it_is_asked() {
    let (owner, bucket) = (Owner::new(), Arc::new(SimBucket::new(1)));
    let place = BucketPlace {
        bucket: Arc::clone(&bucket) as _,
        local: owner.dir(),
        at: String::new(),
        token: String::new(),
        stand_by: false,
        given_up: Arc::default(),
    };
    let mut settings = owner.settings();
    settings.lease = LEASE;
    let log = EntryLog::create(place, settings, Some(entry("seed"))).unwrap();
    let runtime = runtime();
    let beat = || Head::parse(&bucket.look(HEAD).unwrap()).unwrap().beat;
    let shows_itself = |meanwhile: &dyn Fn()| {
        let (before, begun) = (beat(), Instant::now());
        while beat() < before + 2 {
            assert!(begun.elapsed() < 30 * LEASE, "it does not show itself");
            meanwhile();
        }
        let (beats, took) = (beat() - before, begun.elapsed());
        assert!(
            u128::from(beats) <= took.as_millis() / (LEASE.as_millis() / 4) + 1,
            "{beats} beats in {took:?}"
        );
    };
    shows_itself(&|| std::thread::sleep(LEASE / 100));
    // No leaf is so long, which the sequencer finds.
    let refused = || log.append(EntryBytes(vec![7; 70_000]));
    shows_itself(&|| drop(runtime.block_on(refused()).unwrap_err()));
    // What was published meanwhile need not be named any more.
    let head = || Head::parse(&bucket.look(HEAD).unwrap()).unwrap();
    assert_eq!((head().base, head().segments), (1, Vec::new()));
    runtime.block_on(log.append(entry("last"))).unwrap();
    log.close().unwrap();
    let head = head();
    assert_eq!((head.base, head.segments, head.holder), (2, Vec::new(), None));
    assert_eq!(bucket.list(WAL).unwrap(), Vec::<String>::new());
}

/// Whoever comes second does not move the log, nor opens it again.
#[test]
fn a_bucket_is_closed_in_one_way() {
    let dir = tempfile::tempdir().unwrap();
    let bucket = Arc::new(SimBucket::new(1));
    let mut new = InBucket::create(Arc::clone(&bucket) as _, local(dir.path()), LEASE).unwrap();
    new.found(&commit(0, b"log\n0\n\n", &[])).unwrap();
    new.close("it was moved to B").unwrap();
    new.close("it was moved to B").unwrap();
    let refused = new.close("it was moved to C").unwrap_err();
    assert!(matches!(&refused, OpenError::Closed { words, .. } if words == "it was moved to B"), "{refused}");
    new.reopen("it was moved to C").unwrap();
    assert_eq!(new.closed().unwrap().unwrap().1, "it was moved to B");
    new.reopen("it was moved to B").unwrap();
    assert_eq!(new.closed().unwrap(), None);
    new.close("it was moved to C").unwrap();
}
