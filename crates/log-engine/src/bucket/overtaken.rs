//! Two sequencers of one bucket, one of them in the middle of opening the log: found by the simulator, held here.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use sealog_tlog::{EntryLeaf, Leaf as _};
use tokio::sync::oneshot;

use super::between::{Asked, Between};
use super::*;
use crate::Log;
use crate::assembly::{Parts, assemble};
use crate::disk::RealDisk;
use crate::place::{BucketPlace, Place};
use crate::sequencer::Item;
use crate::sim::bucket::SimBucket;
use crate::support::{Owner, entry, runtime};

/// A way to the bucket on which something happens just before an object is asked for the `nth` time, and whether it has.
fn meanwhile(
    bucket: &SimBucket,
    key: &str,
    nth: usize,
    what: impl FnOnce() + Send + 'static,
) -> (Arc<dyn Bucket>, Arc<AtomicBool>) {
    let (key, asked, what) = (key.to_owned(), AtomicUsize::new(0), Mutex::new(Some(what)));
    let happened = Arc::<AtomicBool>::default();
    let happens = Arc::clone(&happened);
    let look = move |asking: Asked<'_>| {
        let it_is = matches!(asking, Asked::Get(name) if name == key);
        if it_is && asked.fetch_add(1, Ordering::SeqCst) + 1 == nth {
            what.lock().unwrap().take().unwrap()();
            happens.store(true, Ordering::SeqCst);
        }
        Ok(())
    };
    (Arc::new(Between { bucket: bucket.clone(), look }), happened)
}

fn place(bucket: Arc<dyn Bucket>, local: &Path) -> Place {
    let (at, token, given_up) = (String::new(), String::new(), Arc::default());
    BucketPlace { bucket, local: local.to_owned(), at, token, stand_by: false, given_up }.into()
}

/// A sequencer that does nothing by itself.
fn parts(bucket: &SimBucket, local: &Path, owner: &Owner) -> Parts<EntryLeaf> {
    let local = Local::open(Arc::new(RealDisk), local, String::new()).unwrap();
    let settings = owner.settings();
    let storage = InBucket::open(Arc::new(bucket.clone()), local, settings.lease, false).unwrap();
    assemble(Box::new(storage), settings).unwrap()
}

fn commit(parts: &mut Parts<EntryLeaf>, entries: std::ops::Range<usize>) {
    let mut waiting = entries
        .map(|n| {
            let pending = entry(n);
            let key = EntryLeaf::dedup_key(&pending);
            Item { pending, key, checked_to: 0, answer: oneshot::channel().0 }
        })
        .collect();
    parts.sequencer.make_batch(&mut waiting);
    assert!(waiting.is_empty() && parts.health.failure().is_none());
}

struct Machines {
    owner: Owner,
    other: Owner,
    bucket: SimBucket,
}

/// A new log, and two who know its key.
fn machines() -> Machines {
    let (owner, mut other, bucket) = (Owner::new(), Owner::new(), SimBucket::new(1));
    other.signer = Arc::clone(&owner.signer);
    let place = place(Arc::new(bucket.clone()), &owner.home.path().join("local"));
    Log::<EntryLeaf>::create(place, owner.settings(), Some(entry("seed"))).unwrap().close().unwrap();
    Machines { owner, other, bucket }
}

/// It has the log, and somebody else takes it and publishes more before it has published anything: it is not the
/// sequencer, which is no failure.
#[test]
fn who_is_overtaken_before_it_has_published_stands_by() {
    let Machines { owner, other, bucket } = machines();
    // Something is committed that is not published.
    let mut first = parts(&bucket, &owner.home.path().join("local"), &owner);
    commit(&mut first, 0..10);
    drop(first);

    let (others_bucket, others_local) = (bucket.clone(), other.home.path().join("local"));
    let others_settings = other.settings();
    let overtake = move || {
        let place = place(Arc::new(others_bucket), &others_local);
        let log = Log::<EntryLeaf>::open(place, others_settings).unwrap();
        runtime().block_on(log.append(entry("more"))).unwrap();
        log.close().unwrap();
    };
    // Read to be compared, to see whether there is something to publish, and to be replaced.
    let (way, happened) = meanwhile(&bucket, "public/checkpoint", 3, overtake);
    let place = place(Arc::clone(&way) as _, &owner.home.path().join("local"));
    let opened = Log::<EntryLeaf>::open(place, owner.settings());
    assert!(happened.load(Ordering::SeqCst));
    assert!(matches!(opened, Err(OpenError::Held { .. })), "{opened:?}");
}

/// The tile in which the log ended is filled, and the partial one removed, between a look for the one and for the other.
#[test]
fn a_tile_that_is_filled_meanwhile_is_found() {
    for path in ["tile/0/000.p/201", "tile/entries/000.p/201"] {
        let Machines { owner, other, bucket } = machines();
        let mut running = parts(&bucket, &other.home.path().join("local"), &other);
        let later = Instant::now() + Duration::from_secs(9);
        commit(&mut running, 0..200);
        running.flusher.step(Instant::now());
        running.flusher.step(later);
        commit(&mut running, 200..300);
        // What is published is named no more.
        running.sequencer.beat();
        let flush = move || {
            running.flusher.step(Instant::now());
            running.flusher.step(later);
        };
        let (way, happened) = meanwhile(&bucket, &format!("public/{path}"), 1, flush);
        let place = place(Arc::clone(&way) as _, &owner.home.path().join("local"));
        let log = Log::<EntryLeaf>::open(place, owner.settings()).unwrap();
        assert!(happened.load(Ordering::SeqCst), "{path}");
        assert!(bucket.look(&format!("public/{path}")).is_none(), "{path}");
        assert_eq!(log.view().size(), 301);
        log.close().unwrap();
    }
}
