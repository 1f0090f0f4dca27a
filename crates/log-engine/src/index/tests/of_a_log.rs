//! The index of a real log, with runs so small that it has some: what is missing comes from the bundles.

use std::path::Path;
use std::sync::Arc;

use sealog_tlog::{EntryBytes, EntryLeaf, Leaf};

use crate::directory::Directory;
use crate::disk::{Disk, RealDisk};
use crate::error::OpenError;
use crate::index::{Shape, Worker};
use crate::recovery::{self, Recovered};
use crate::storage::Storage;
use crate::support::{Owner, append_all, entry, runtime};
use crate::view::{LeafKind, Store, View};
use crate::{Evidence, logged};

const ENTRIES: u64 = 900;

fn leaf_of(worker: &Worker, view: &View, entry: &EntryBytes) -> Option<u64> {
    logged::find::<EntryLeaf>(worker.index(), view, &EntryLeaf::dedup_key(entry)).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let found =
        std::fs::read_dir(dir).unwrap().map(|found| found.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = found.collect();
    names.sort();
    names
}

#[test]
fn what_is_missing_comes_from_the_bundles() {
    let owner = Owner::new();
    let log = owner.create();
    runtime().block_on(append_all(&log, (1..ENTRIES).map(entry).collect()));
    log.close().unwrap();
    drop(log);

    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let settings = owner.settings();
    let mut storage = Directory::open(Arc::clone(&disk), &owner.dir(), settings.segment_bytes).unwrap();
    let store = Arc::new(Store::new(storage.objects(), LeafKind::of::<EntryLeaf>()));
    let Recovered { view, .. } = recovery::recover::<EntryLeaf>(&mut storage, &store, &settings).unwrap();
    assert_eq!(view.size(), ENTRIES);
    let dir = owner.home.path().join("small index");
    let open = || recovery::open_index::<EntryLeaf>(Arc::clone(&disk), &dir, Shape::SMALL, &store, &view);
    let check = || {
        let worker = open().unwrap();
        while worker.step().unwrap() {}
        assert_eq!(worker.index().complete_to(), ENTRIES);
        let all = std::iter::once(entry("seed")).chain((1..ENTRIES).map(entry));
        let mut leaves: Vec<_> = all.map(|entry| leaf_of(&worker, &view, &entry).unwrap()).collect();
        leaves.sort_unstable();
        assert!(leaves.into_iter().eq(0..ENTRIES));
        assert_eq!(leaf_of(&worker, &view, &entry("new")), None);
        assert_eq!(names(&dir), ["0-0000000002.run", "1-0000000000.run"]);
        worker
    };
    let worker = check();
    for lost in ["0-0000000002.run", "1-0000000000.run"] {
        std::fs::remove_file(dir.join(lost)).unwrap();
        check();
    }
    // Hit while in use: the look-ups that meet the page fail until the run is made again.
    let path = dir.join("1-0000000000.run");
    let good = std::fs::read(&path).unwrap();
    drop(worker);
    let worker = check();
    let mut bad = good.clone();
    bad[2000] ^= 1;
    std::fs::write(&path, bad).unwrap();
    assert!((1..ENTRIES).any(|n| worker.index().candidates(&EntryLeaf::dedup_key(&entry(n))).is_err()));
    while worker.step().unwrap() {}
    assert!(std::fs::read(&path).unwrap() == good);
    assert!((1..ENTRIES).all(|n| leaf_of(&worker, &view, &entry(n)).is_some()));

    // Not from a bundle that is damaged itself, in a length or in an entry.
    std::fs::remove_file(&path).unwrap();
    let bundle = owner.public().join("tile/entries/001");
    let good = std::fs::read(&bundle).unwrap();
    for at in [0, 1000] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        std::fs::write(&bundle, bytes).unwrap();
        let error = open().err().unwrap();
        assert!(error.to_string().contains("tile/entries/001"), "{error}");
        assert!(matches!(error, OpenError::Disagreement { evidence: Evidence::Tile, .. }));
    }
    std::fs::write(&bundle, good).unwrap();
    drop(open().unwrap());
}
