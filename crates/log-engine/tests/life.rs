//! What an operator does with a whole log: look at it, copy it, back it up, put it back, freeze it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use sealog_log_engine::{
    Bucket, BucketPlace, Frozen, Identity, Log, Object, OpenError, Place, PutError, Restoring, TransferError,
    Unsound, Version, back_up, inspect, nothing_beside, public_files, read_checkpoint, read_log, restore,
    transfer,
};
use sealog_tlog::{Edge, EntryBytes, EntryLeaf};
use support::{EntryLog, Owner, append_all, entry, runtime};

/// Objects in memory, by their keys.
#[derive(Default)]
struct Memory(Mutex<(Kept, u64, Option<usize>)>);

/// Objects by key, each with the number of its state.
type Kept = BTreeMap<String, (Bytes, u64)>;

impl Memory {
    fn objects(&self) -> BTreeMap<String, Bytes> {
        self.0.lock().unwrap().0.iter().map(|(key, (bytes, _))| (key.clone(), bytes.clone())).collect()
    }

    fn set(&self, key: &str, bytes: Vec<u8>) {
        let mut all = self.0.lock().unwrap();
        all.1 += 1;
        let version = all.1;
        all.0.insert(key.to_owned(), (bytes.into(), version));
    }

    /// So many more writes are done.
    fn fail_after(&self, writes: Option<usize>) {
        self.0.lock().unwrap().2 = writes;
    }

    fn write(&self) -> io::Result<()> {
        let mut all = self.0.lock().unwrap();
        match &mut all.2 {
            Some(0) => Err(io::ErrorKind::StorageFull.into()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Bucket for Memory {
    fn get(&self, key: &str) -> io::Result<Option<Object>> {
        let all = self.0.lock().unwrap();
        Ok(all.0.get(key).map(|(bytes, v)| Object { bytes: bytes.clone(), version: Version(v.to_string()) }))
    }
    fn get_many(&self, keys: &[String]) -> io::Result<Vec<Option<Bytes>>> {
        keys.iter().map(|key| Ok(self.get(key)?.map(|object| object.bytes))).collect()
    }
    fn is_there(&self, key: &str) -> io::Result<bool> {
        Ok(self.get(key)?.is_some())
    }
    fn put_many(&self, objects: &[(String, Bytes)]) -> io::Result<()> {
        for (key, bytes) in objects {
            self.write()?;
            self.set(key, bytes.to_vec());
        }
        Ok(())
    }
    fn put_if(&self, key: &str, bytes: &Bytes, state: Option<&Version>) -> Result<Version, PutError> {
        self.write().map_err(PutError::Failed)?;
        if self.get(key).unwrap().map(|object| object.version).as_ref() != state {
            return Err(PutError::Changed);
        }
        self.set(key, bytes.to_vec());
        Ok(self.get(key).unwrap().unwrap().version)
    }
    fn delete_many(&self, keys: &[String]) -> io::Result<()> {
        keys.iter().for_each(|key| drop(self.0.lock().unwrap().0.remove(key)));
        Ok(())
    }
    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        Ok(self.objects().into_keys().filter(|key| key.starts_with(prefix)).collect())
    }
    fn name(&self) -> String {
        "memory".to_owned()
    }
    fn pause(&self, attempt: u32) -> bool {
        attempt < 1
    }
}

fn in_bucket(bucket: &Arc<Memory>, owner: &Owner) -> Place {
    let bucket: Arc<dyn Bucket> = Arc::clone(bucket) as _;
    BucketPlace {
        bucket,
        local: owner.home.path().join("local"),
        at: String::new(),
        token: String::new(),
        stand_by: false,
        given_up: Arc::default(),
    }
    .into()
}

fn identity<'a>(owner: &Owner, seen: &'a Path, key: &'a sealog_tlog::note::KeyVerifier) -> Identity<'a> {
    assert_eq!(owner.first_seen().as_path(), seen);
    Identity { key, first_seen: seen }
}

/// A closed log of so many entries.
fn closed_log(owner: &Owner, entries: usize) {
    owner.create().close().unwrap();
    grow(owner, &Place::from(&owner.dir()), 0..entries - 1);
}

fn grow(owner: &Owner, place: &Place, entries: std::ops::Range<usize>) {
    runtime().block_on(async {
        let log = Log::<EntryLeaf>::open(place.clone(), owner.settings()).unwrap();
        append_all(&log, entries.map(entry).collect()).await;
        log.close().unwrap();
    });
}

/// All files under a directory, by their paths.
fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn walk(dir: &Path, top: &Path, all: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, top, all),
                false => {
                    let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
                    all.insert(name, fs::read(&path).unwrap());
                }
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(dir, dir, &mut all);
    all
}

/// The public files that the newest checkpoint needs.
fn public(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    tree(&dir.join("public"))
}

/// As `fsck` reads: the public files, then what is within.
fn check(owner: &Owner, place: &Place) -> Result<u64, String> {
    let (key, seen) = (owner.verifier(), owner.first_seen());
    let files = public_files(place);
    let chain = |error: &dyn std::error::Error| {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    };
    let read = || {
        let (signed, _) = read_checkpoint(files.as_ref(), Some(&key))?;
        read_log::<EntryLeaf>(files.as_ref(), &signed, Edge::new(), &[], &nothing_beside, &mut |_| Ok(()))
    };
    let sound = read().map_err(|error: Unsound| chain(&error))?;
    let inside = inspect::<EntryLeaf>(place, &identity(owner, &seen, &key), true).map_err(|e| chain(&e))?;
    assert!(inside.view.size() >= sound.size);
    Ok(sound.size)
}

#[test]
fn a_flipped_byte_of_every_file_is_found_and_its_file_named() {
    let owner = Owner::new();
    closed_log(&owner, 600);
    let place = Place::from(&owner.dir());
    assert_eq!(check(&owner, &place), Ok(600));
    let mut kinds = Vec::new();
    for (name, good) in tree(&owner.dir()) {
        // What may be lost, and what has nothing in it; other widths than the newest checkpoint's are for others to read.
        let stale = name.contains(".p/") && !(name.ends_with(".p/88") || name.ends_with("1/000.p/2"));
        if name.starts_with("index/") || name == "lock" || stale {
            continue;
        }
        kinds.push(name.clone());
        let path = owner.dir().join(&name);
        let is_wal = name.starts_with("wal/");
        let last = if is_wal { good.iter().rposition(|b| *b != 0).unwrap() + 1 } else { good.len() };
        for at in [0, last / 3, last / 2, last - 1] {
            // Behind a segment's head and behind each record there are zeros up to the next block, which nobody reads.
            let at = if is_wal { at + good[at..].iter().position(|b| *b != 0).unwrap() } else { at };
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            let said = check(&owner, &place).expect_err(&format!("{name}, byte {at}"));
            assert!(said.contains(&name) || (is_wal && said.contains("/wal")), "{name}, byte {at}: {said}");
            fs::write(&path, &good).unwrap();
        }
    }
    for kind in [
        "format",
        "wal/",
        "public/checkpoint",
        "tile/0/000",
        "tile/1/000.p/2",
        "entries/000",
        "entries/002.p/88",
    ] {
        assert!(kinds.iter().any(|name| name.contains(kind)), "{kind} is not in {kinds:?}");
    }
    // Which entry, and where: appended all at once, it may stand anywhere.
    let bundles = tree(&owner.public().join("tile/entries"));
    let widest = ["000", "001", "002.p/88"];
    let found = widest.iter().zip([0u64, 256, 512]).find_map(|(name, first)| {
        let at = bundles[*name].windows(9).position(|w| w == b"entry 300")?;
        Some((*name, first, at))
    });
    let (name, first, at) = found.unwrap();
    let path = owner.public().join("tile/entries").join(name);
    let mut bad = bundles[name].clone();
    let (mut index, mut before) = (first, 0);
    while before + 2 < at {
        before += 2 + usize::from(u16::from_be_bytes([bad[before], bad[before + 1]]));
        index += 1;
    }
    bad[at + 8] ^= 1;
    fs::write(&path, &bad).unwrap();
    let said = check(&owner, &place).unwrap_err();
    let expected = format!("tile/entries/{name}: entry {index}, bytes {} to {}, is not", at - 2, at + 9);
    assert!(said.contains(&expected), "{said}");
    bad[at + 8] ^= 1;
    fs::write(&path, &bad).unwrap();
    // Which byte of a tile.
    let path = owner.public().join("tile/0/001");
    let mut bad = fs::read(&path).unwrap();
    bad[1234] ^= 1;
    fs::write(&path, &bad).unwrap();
    let said = check(&owner, &place).unwrap_err();
    assert!(said.contains("tile/0/001 is not what its entries lead to, from byte 1234 on"), "{said}");
    bad[1234] ^= 1;
    fs::write(&path, &bad).unwrap();
    // What is remembered beside the key.
    let mut bad = fs::read(owner.first_seen()).unwrap();
    let last = bad.len() - 10;
    bad[last] ^= 1;
    fs::write(owner.first_seen(), &bad).unwrap();
    let said = check(&owner, &place).unwrap_err();
    assert!(said.contains("log.key.seen"), "{said}");
}

#[test]
fn a_flipped_byte_of_every_object_is_found_and_its_object_named() {
    let owner = Owner::new();
    let bucket = Arc::new(Memory::default());
    let place = in_bucket(&bucket, &owner);
    Log::<EntryLeaf>::create(place.clone(), owner.settings(), Some(entry("seed"))).unwrap().close().unwrap();
    grow(&owner, &place, 0..279);
    // As it is while the newest entries are in records alone, and whoever wrote them is no more.
    let (left, from) = (Arc::new(Memory::default()), bucket);
    runtime().block_on(async {
        let mut settings = owner.settings();
        settings.publish_interval = std::time::Duration::from_secs(3600);
        let log = Log::<EntryLeaf>::open(place.clone(), settings).unwrap();
        append_all(&log, (280..300).map(entry).collect()).await;
        from.objects().into_iter().for_each(|(key, bytes)| left.set(&key, bytes.to_vec()));
        log.close().unwrap();
    });
    let (bucket, place) = (Arc::clone(&left), in_bucket(&left, &owner));
    let inside = || {
        let (key, seen) = (owner.verifier(), owner.first_seen());
        let inside = inspect::<EntryLeaf>(&place, &identity(&owner, &seen, &key), true).unwrap();
        (inside.view.size(), inside.published)
    };
    assert_eq!(inside(), (300, Some(280)));
    let head = String::from_utf8(bucket.objects()["head"].to_vec()).unwrap();
    let mut kinds = Vec::new();
    for (name, good) in bucket.objects() {
        let stale = name.contains(".p/") && !(name.ends_with(".p/24") || name.ends_with("1/000.p/1"));
        // Records that the head does not name are waste.
        if stale || name.strip_prefix("wal/").is_some_and(|name| !head.contains(name)) {
            continue;
        }
        kinds.push(name.clone());
        for at in [0, good.len() / 3, good.len() / 2, good.len() - 1] {
            let mut bad = good.to_vec();
            bad[at] ^= 1;
            bucket.set(&name, bad);
            let said = check(&owner, &place).expect_err(&format!("{name}, byte {at}"));
            // The head is found under the bucket's own name.
            assert!(
                said.contains(&name) || (name == "head" && said.contains("the head in memory")),
                "{name}, byte {at}: {said}"
            );
            bucket.set(&name, good.to_vec());
        }
    }
    for kind in ["head", "wal/", "public/checkpoint", "tile/0/000", "tile/1/000.p/1", "entries/001.p/24"] {
        assert!(kinds.iter().any(|name| name.contains(kind)), "{kind} is not in {kinds:?}");
    }
    assert_eq!(inside(), (300, Some(280)));
}

#[test]
fn a_log_that_runs_is_read_from_outside_only() {
    let owner = Owner::new();
    closed_log(&owner, 3);
    let log = owner.open();
    let (key, seen) = (owner.verifier(), owner.first_seen());
    let place = Place::from(&owner.dir());
    let inside = inspect::<EntryLeaf>(&place, &identity(&owner, &seen, &key), true);
    assert!(matches!(inside, Err(OpenError::Locked { .. })));
    let to = Place::from(owner.home.path().join("copy").as_path());
    let copied = transfer::<EntryLeaf>(&place, &to, &identity(&owner, &seen, &key), &nothing_beside);
    assert!(matches!(copied, Err(TransferError::Open(OpenError::Locked { .. }))));
    assert!(!owner.home.path().join("copy").exists());
    log.close().unwrap();
}

/// There and back: the same bytes, and the log goes on at each end.
#[test]
fn a_log_moves_to_a_bucket_and_back_with_identical_tiles() {
    let owner = Owner::new();
    closed_log(&owner, 700);
    let (key, seen) = (owner.verifier(), owner.first_seen());
    let identity = identity(&owner, &seen, &key);
    let dir = Place::from(&owner.dir());
    let bucket = Arc::new(Memory::default());
    let there = in_bucket(&bucket, &owner);
    let copied = transfer::<EntryLeaf>(&dir, &there, &identity, &nothing_beside).unwrap();
    assert_eq!(copied.sound.size, 700);
    for (name, bytes) in bucket.objects() {
        if let Some(name) = name.strip_prefix("public/") {
            assert_eq!(fs::read(owner.public().join(name)).unwrap(), bytes, "{name}");
        }
    }
    assert_eq!(check(&owner, &there), Ok(700));
    assert!(!bucket.objects().contains_key("copying"));

    // Never over a log that is there.
    let again = transfer::<EntryLeaf>(&dir, &there, &identity, &nothing_beside);
    assert!(matches!(again, Err(TransferError::Open(OpenError::AlreadyExists { .. }))));

    grow(&owner, &there, 700..1000);
    // The old place takes no more, and is behind what the key has signed by now.
    let old = Log::<EntryLeaf>::open(dir.clone(), owner.settings()).unwrap_err();
    assert!(matches!(&old, OpenError::Closed { words, .. } if words == "it was moved to memory"), "{old}");
    fs::remove_file(owner.dir().join("closed")).unwrap();
    let old = Log::<EntryLeaf>::open(dir.clone(), owner.settings()).unwrap_err();
    assert!(old.to_string().contains("the remembered checkpoint"), "{old}");
    let back = owner.home.path().join("back");
    let moved = transfer::<EntryLeaf>(&there, &Place::from(&back), &identity, &nothing_beside).unwrap();
    assert_eq!(moved.sound.size, 1000);
    for (name, bytes) in public(&back) {
        assert_eq!(bucket.objects()[&format!("public/{name}")], bytes, "{name}");
    }
    grow(&owner, &Place::from(&back), 1000..1010);
    assert_eq!(check(&owner, &Place::from(&back)), Ok(1010));
    // Entries of before are known.
    runtime().block_on(async {
        let log = Log::<EntryLeaf>::open(&back, owner.settings()).unwrap();
        let receipt = log.append(entry(5)).await.unwrap();
        assert!(receipt.duplicate);
        log.close().unwrap();
    });
}

#[test]
fn an_interrupted_copy_is_no_log_and_goes_on() {
    let owner = Owner::new();
    closed_log(&owner, 600);
    let (key, seen) = (owner.verifier(), owner.first_seen());
    let identity = identity(&owner, &seen, &key);
    let dir = Place::from(&owner.dir());
    let bucket = Arc::new(Memory::default());
    let there = in_bucket(&bucket, &owner);
    let mut attempts = 0;
    // A store that is full after ever more writes: every step is the last one once.
    let copied = loop {
        bucket.fail_after(Some(2));
        match transfer::<EntryLeaf>(&dir, &there, &identity, &nothing_beside) {
            Ok(copied) => break copied,
            Err(error) => {
                assert!(matches!(
                    error,
                    TransferError::Unsound(Unsound::Io { .. }) | TransferError::Open(OpenError::Io { .. })
                ));
                assert!(!bucket.objects().contains_key("head"), "half a log");
                let open = Log::<EntryLeaf>::open(there.clone(), owner.settings());
                assert!(matches!(open, Err(OpenError::NotALog { .. })));
            }
        }
        attempts += 1;
        assert!(attempts < 50);
    };
    bucket.fail_after(None);
    assert!(attempts > 3, "{attempts}");
    assert!(copied.files < 9, "only what was missing: {copied:?}");
    assert_eq!(check(&owner, &there), Ok(600));
    grow(&owner, &there, 600..605);

    // What was written by another hand is left as it is, and named.
    let other = owner.home.path().join("other");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("letter"), "dear").unwrap();
    let refused = transfer::<EntryLeaf>(&there, &Place::from(&other), &identity, &nothing_beside);
    assert!(matches!(refused, Err(TransferError::Open(OpenError::NotEmpty { .. }))));
}

#[test]
fn a_damaged_log_is_not_copied() {
    let owner = Owner::new();
    closed_log(&owner, 300);
    let (key, seen) = (owner.verifier(), owner.first_seen());
    let path = owner.public().join("tile/entries/000");
    let mut bytes = fs::read(&path).unwrap();
    bytes[10] ^= 1;
    fs::write(&path, bytes).unwrap();
    let bucket = Arc::new(Memory::default());
    let there = in_bucket(&bucket, &owner);
    let refused = transfer::<EntryLeaf>(
        &Place::from(&owner.dir()),
        &there,
        &identity(&owner, &seen, &key),
        &nothing_beside,
    );
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("tile/entries/000: ") && said.contains("found another entry at leaf 0"), "{said}");
    assert!(!bucket.objects().keys().any(|key| key.starts_with("public/")), "{:?}", bucket.objects().keys());
}

fn backup_of(owner: &Owner) -> PathBuf {
    owner.home.path().join("backup")
}

fn back_up_now(owner: &Owner) -> sealog_log_engine::Copied {
    let files = public_files(&Place::from(&owner.dir()));
    back_up::<EntryLeaf>(files.as_ref(), &backup_of(owner), &owner.verifier(), &nothing_beside).unwrap()
}

fn restore_now(owner: &Owner, to: &Path, frozen: bool) -> Result<u64, TransferError> {
    let (key, seen) = (owner.verifier(), owner.first_seen());
    let files = public_files(&Place::from(&backup_of(owner)));
    let identity = Identity { key: &key, first_seen: &seen };
    let with = Restoring { identity, frozen, newest: &[], beside: &nothing_beside };
    restore::<EntryLeaf>(files.as_ref(), &Place::from(to), &with).map(|c| c.sound.size)
}

#[test]
fn a_backup_grows_with_its_log_and_comes_back() {
    let owner = Owner::new();
    closed_log(&owner, 300);
    let first = back_up_now(&owner);
    assert_eq!((first.before, first.sound.size), (0, 300));
    // While the log runs.
    runtime().block_on(async {
        let log = owner.open();
        for round in 0..4 {
            append_all(&log, (0..200).map(|n| entry(format!("{round} {n}"))).collect()).await;
            let copied = back_up_now(&owner);
            assert!(copied.files < 12, "{copied:?}");
            let found = public_files(&Place::from(&backup_of(&owner)));
            let (signed, _) = read_checkpoint(found.as_ref(), Some(&owner.verifier())).unwrap();
            read_log::<EntryLeaf>(
                found.as_ref(),
                &signed,
                Edge::new(),
                &[],
                &nothing_beside,
                &mut |_| Ok(()),
            )
            .unwrap();
        }
        log.close().unwrap();
    });
    let last = back_up_now(&owner);
    assert_eq!(last.sound.size, 1100);
    assert_eq!(back_up_now(&owner).files, 0);
    // No more than the newest checkpoint needs, and every byte the log's.
    let (backup, log) = (public(&backup_of(&owner)), public(&owner.dir()));
    for (name, bytes) in &backup {
        assert_eq!(log.get(name), Some(bytes), "{name}");
    }
    assert_eq!(backup.keys().filter(|name| name.contains(".p/")).count(), 3, "{:?}", backup.keys());

    // The disk dies.
    fs::remove_dir_all(owner.dir()).unwrap();
    assert_eq!(restore_now(&owner, &owner.dir(), false).unwrap(), 1100);
    assert_eq!(public(&owner.dir()), backup);
    assert_eq!(check(&owner, &Place::from(&owner.dir())), Ok(1100));
    grow(&owner, &Place::from(&owner.dir()), 5000..5003);
    assert_eq!(check(&owner, &Place::from(&owner.dir())), Ok(1103));
    // Never over what is there.
    let again = restore_now(&owner, &owner.dir(), false);
    assert!(matches!(again, Err(TransferError::Older { remembered: 1103, found: 1100, .. })), "{again:?}");
}

#[test]
fn nothing_older_or_other_than_what_the_key_signed_comes_back() {
    let owner = Owner::new();
    closed_log(&owner, 300);
    back_up_now(&owner);
    grow(&owner, &Place::from(&owner.dir()), 300..310);
    let to = owner.home.path().join("restored");
    let refused = restore_now(&owner, &to, false).unwrap_err().to_string();
    assert!(refused.contains("has 300 entries, but the key of log.example has signed 310"), "{refused}");
    assert!(!to.exists(), "nothing was begun");

    // Frozen it may be read again, and is never signed upon: not even when it is no longer said to be frozen.
    assert_eq!(restore_now(&owner, &to, true).unwrap(), 300);
    let (key, seen) = (owner.verifier(), owner.first_seen());
    let identity = Identity { key: &key, first_seen: &seen };
    let frozen = Frozen::open::<EntryLeaf>(&Place::from(&to), &identity).unwrap();
    assert_eq!(frozen.view().size(), 300);
    drop(frozen);
    let opened = Log::<EntryLeaf>::open(&to, owner.settings()).unwrap_err();
    assert!(matches!(opened, OpenError::Closed { .. }), "{opened}");
    fs::remove_file(to.join("closed")).unwrap();
    let opened = Log::<EntryLeaf>::open(&to, owner.settings()).unwrap_err();
    assert!(opened.to_string().contains("the remembered checkpoint"), "{opened}");

    // Another log of the same name and key, as large as the one it forgot.
    let memory = fs::read(&seen).unwrap();
    let fork = Owner { home: tempfile::tempdir().unwrap(), signer: Arc::clone(&owner.signer) };
    closed_log(&fork, 311);
    grow(&fork, &Place::from(&fork.dir()), 9000..9001);
    back_up_now(&fork);
    fs::write(fork.first_seen(), &memory).unwrap();
    let other = fork.home.path().join("other");
    let refused = restore_now(&fork, &other, false).unwrap_err();
    assert!(matches!(refused, TransferError::Unsound(Unsound::Root { size: 310, .. })), "{refused}");
    assert!(!other.join("format").exists());

    // Nobody knows what the key has signed.
    fs::remove_file(fork.first_seen()).unwrap();
    let refused = restore_now(&fork, &other, false).unwrap_err();
    assert!(matches!(refused, TransferError::Unremembered { found: 312, .. }), "{refused}");
}

#[test]
fn a_backup_of_another_tree_is_not_gone_on_with() {
    let owner = Owner::new();
    closed_log(&owner, 300);
    back_up_now(&owner);
    let fork = Owner { home: tempfile::tempdir().unwrap(), signer: Arc::clone(&owner.signer) };
    fork.create().close().unwrap();
    grow(&fork, &Place::from(&fork.dir()), 1000..1400);
    let files = public_files(&Place::from(&fork.dir()));
    let before = tree(&backup_of(&owner));
    let refused =
        back_up::<EntryLeaf>(files.as_ref(), &backup_of(&owner), &owner.verifier(), &nothing_beside)
            .unwrap_err();
    assert!(matches!(refused, TransferError::Unsound(_)), "{refused}");
    assert_eq!(tree(&backup_of(&owner)).len(), before.len());
    // And one that is ahead of its log says so.
    let short = Owner { home: tempfile::tempdir().unwrap(), signer: Arc::clone(&owner.signer) };
    closed_log(&short, 10);
    let files = public_files(&Place::from(&short.dir()));
    let refused =
        back_up::<EntryLeaf>(files.as_ref(), &backup_of(&owner), &owner.verifier(), &nothing_beside)
            .unwrap_err();
    assert!(matches!(refused, TransferError::Ahead { backup: 300, found: 10 }), "{refused}");
}

/// What is committed and not published would be missing from a copy.
#[test]
fn a_log_that_was_killed_is_opened_once_before_it_is_copied_or_frozen() {
    let owner = Owner::new();
    closed_log(&owner, 300);
    let old = fs::read(owner.public().join("checkpoint")).unwrap();
    grow(&owner, &Place::from(&owner.dir()), 300..310);
    // As if the process had ended before its files were written.
    fs::write(owner.public().join("checkpoint"), &old).unwrap();
    let (key, seen) = (owner.verifier(), owner.first_seen());
    let identity = Identity { key: &key, first_seen: &seen };
    let place = Place::from(&owner.dir());
    let bucket = Arc::new(Memory::default());
    let refused = transfer::<EntryLeaf>(&place, &in_bucket(&bucket, &owner), &identity, &nothing_beside);
    let unpublished = |error: &OpenError| {
        assert!(matches!(error, OpenError::Unpublished { committed: 310, published: 300, .. }), "{error}");
    };
    match refused {
        Err(TransferError::Open(error)) => unpublished(&error),
        other => panic!("{other:?}"),
    }
    unpublished(&Frozen::open::<EntryLeaf>(&place, &identity).unwrap_err());
    let log: EntryLog = owner.open();
    log.close().unwrap();
    let frozen = Frozen::open::<EntryLeaf>(&place, &identity).unwrap();
    assert_eq!(frozen.view().size(), 310);
    // Nobody else appends to it meanwhile.
    assert!(matches!(owner.try_open(), Err(OpenError::Locked { .. })));
    let element = frozen.view().element(309).unwrap().unwrap();
    assert!(EntryBytes(element[2..].to_vec()) == entry(309) || element.len() > 2);
}

/// A log that is put back to be read says so before it is one; an interruption after that is none of the last word.
#[test]
fn an_interrupted_restore_to_be_read_goes_on_in_a_bucket() {
    let owner = Owner::new();
    closed_log(&owner, 300);
    back_up_now(&owner);
    grow(&owner, &Place::from(&owner.dir()), 300..310);
    let (key, seen) = (owner.verifier(), owner.first_seen());
    let bucket = Arc::new(Memory::default());
    let there = in_bucket(&bucket, &owner);
    let files = public_files(&Place::from(&backup_of(&owner)));
    let identity = Identity { key: &key, first_seen: &seen };
    let with = Restoring { identity, frozen: true, newest: &[], beside: &nothing_beside };
    let (mut closed, mut attempts) = (0, 0);
    let copied = loop {
        // Said again it counts again, so from then on each attempt may write one thing more.
        bucket.fail_after(Some(1 + closed));
        attempts += 1;
        match restore::<EntryLeaf>(files.as_ref(), &there, &with) {
            Ok(copied) => break copied,
            Err(error) => assert!(
                matches!(
                    error,
                    TransferError::Unsound(Unsound::Io { .. }) | TransferError::Open(OpenError::Io { .. })
                ),
                "{error}"
            ),
        }
        closed += usize::from(bucket.objects().contains_key("closed"));
        assert!(attempts < 50);
    };
    assert!(closed > 1 && copied.sound.size == 300, "{closed}");
    bucket.fail_after(None);
    assert!(matches!(Log::<EntryLeaf>::open(there, owner.settings()), Err(OpenError::Closed { .. })));
}
