//! A log in a bucket: an object store with conditional writes, and nothing else.
//!
//! | object | what |
//! |---|---|
//! | `head` | what is in the log, and whose it is: swapped, never overwritten (`head`) |
//! | `wal/…` | committed records whose entries are not under `public/` yet |
//! | `closed` | why nothing may be committed any more, if so |
//! | `public/…` | `checkpoint`, tiles, bundles, side objects: what any web server or CDN in front of the bucket may serve |
//!
//! A batch is committed by two writes: its record, under a name of its own, then the head that names the record, put in
//! place only if the head is still the one this sequencer wrote last. A newer sequencer begins by swapping the head for
//! one of its own epoch; whoever comes later with the old one finds it changed and must stop. Hence two can never both
//! commit, however long one was paused or cut off; leases only decide who tries.
//!
//! A swap whose answer was lost is settled by reading the head again: it is ours, or still the old one (then the same
//! swap is tried again: of the same bytes it does not matter which attempt arrives), or another's.

#[cfg(test)]
mod between;
pub(crate) mod head;
mod objects;
#[cfg(test)]
mod overtaken;
mod probe;
mod reader;
mod store;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sealog_tlog::{Hash, SignedCheckpoint};

use crate::disk::Disk;
use crate::error::{Evidence, IoContext, OpenError};
use crate::files;
use crate::storage::{Begun, CLOSED, Commit, CommitError, CommitPoint, Objects, Storage, Upkeep, Visit};
use crate::wal::Record;
use crate::wal::record::{self, RecordHead};
pub use probe::{ProbeError, probe};
pub use reader::{Reader, SequencerAt};
pub use store::{StoreBucket, StoreError};

use head::{Head, Holder, Segment};
pub(crate) use objects::BucketObjects;

pub(crate) const HEAD: &str = "head";
const WAL: &str = "wal/";
/// Committed records that wait to be published; with more, the head would take long to write, and longer to read.
const MAX_SEGMENTS: usize = 10_000;
/// Looks at the head within a lease, by whoever waits for it to end: a log that is let go is taken soon.
const LOOKS: u32 = 8;
/// Looks in vain, one after the other, before whoever stands by gives up.
const MAX_BLIND: u32 = 8 * LOOKS;

/// Names a state of an object, for writes that must not hit another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(pub String);

/// An object as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its content.
    pub bytes: Bytes,
    /// Its state.
    pub version: Version,
}

/// Why a conditional write was not done.
#[derive(Debug)]
pub enum PutError {
    /// The object is not in the state that was named.
    Changed,
    /// The store did not answer, or not well. The write may have been done, or be done later.
    Failed(io::Error),
}

/// An object store's part under one prefix. Calls block.
pub trait Bucket: Send + Sync {
    /// The object, or `None`.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn get(&self, key: &str) -> io::Result<Option<Object>>;

    /// Many objects at a time, in the order asked for.
    ///
    /// # Errors
    /// When one of them cannot be read.
    fn get_many(&self, keys: &[String]) -> io::Result<Vec<Option<Bytes>>>;

    /// Whether there is such an object.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn is_there(&self, key: &str) -> io::Result<bool>;

    /// Writes all of them, in any order, over whatever was there.
    ///
    /// # Errors
    /// When one of them may not have been written.
    fn put_many(&self, objects: &[(String, Bytes)]) -> io::Result<()>;

    /// Writes an object only if it is in this state; with `None`, only if it does not exist.
    ///
    /// # Errors
    /// See [`PutError`].
    fn put_if(&self, key: &str, bytes: &Bytes, state: Option<&Version>) -> Result<Version, PutError>;

    /// Removes those that are there.
    ///
    /// # Errors
    /// When one of them may still be there.
    fn delete_many(&self, keys: &[String]) -> io::Result<()>;

    /// All keys that begin with `prefix`.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn list(&self, prefix: &str) -> io::Result<Vec<String>>;

    /// How a person finds it.
    fn name(&self) -> String;

    /// Whether there is a log in it.
    ///
    /// # Errors
    /// When the store cannot be asked.
    fn has_log(&self) -> io::Result<bool> {
        self.is_there(HEAD)
    }

    /// Lets some time pass before the store is asked again, for the `attempt`th time. `false`: it was asked for long
    /// enough.
    fn pause(&self, attempt: u32) -> bool {
        if attempt < 9 {
            std::thread::sleep(Duration::from_millis(20 << attempt.min(8)));
        }
        attempt < 9
    }

    /// Lets a lease pass.
    fn wait(&self, lease: Duration) {
        std::thread::sleep(lease);
    }
}

/// A bucket with a log, or one that is to have one.
pub(crate) struct InBucket {
    bucket: Arc<dyn Bucket>,
    local: Local,
    /// Whoever does not show itself for so long has lost the log.
    lease: Duration,
    /// As it was read, and is to be replaced.
    head: Option<(Head, Version)>,
}

/// What a log in a bucket keeps on the machine that its sequencer runs on: nothing that could not be lost.
pub(crate) struct Local {
    pub(crate) disk: Arc<dyn Disk>,
    /// Has the index; one sequencer at a time runs over it.
    pub(crate) dir: PathBuf,
    /// Who takes the log.
    pub(crate) id: String,
    /// Where front ends reach it, if anywhere.
    pub(crate) at: String,
    /// What front ends must show there.
    pub(crate) token: String,
    /// Ends the waiting for a log.
    pub(crate) given_up: Arc<AtomicBool>,
    /// Keeps others out of the directory.
    lock: Box<dyn std::any::Any + Send + Sync>,
}

impl Local {
    const LOCK: &'static str = "lock";
    const ID: &'static str = "holder";

    /// Takes a directory of this machine. Whoever has it is known by the id in it: a log held by that id was held from
    /// here, by a process that is no more.
    pub(crate) fn open(disk: Arc<dyn Disk>, dir: &Path, at: String) -> Result<Self, OpenError> {
        files::ensure_dir(disk.as_ref(), dir).at("create the directory", dir)?;
        let path = dir.join(Self::LOCK);
        let lock = disk.lock(&path).at("lock", &path)?;
        let lock = lock.ok_or_else(|| OpenError::Locked { dir: dir.to_owned() })?;
        let path = dir.join(Self::ID);
        let known = files::read_if_there(disk.as_ref(), &path).at("read", &path)?;
        let known = known.and_then(|bytes| String::from_utf8(bytes).ok());
        let id = match known.filter(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())) {
            Some(id) => id,
            None => {
                let id = random_text().at("name the holder of", dir)?;
                files::write_durable(disk.as_ref(), &path, id.as_bytes()).at("write", &path)?;
                id
            }
        };
        let (token, given_up) = (String::new(), Arc::default());
        Ok(Self { disk, dir: dir.to_owned(), id, at, token, given_up, lock })
    }
}

impl Local {
    /// The directory as it is, to look at a log only. Without one nobody on this machine has the log.
    pub(crate) fn look(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, OpenError> {
        match disk.is_dir(dir) {
            true => Self::open(disk, dir, String::new()),
            false => {
                let (dir, id, at, token) = (dir.to_owned(), String::new(), String::new(), String::new());
                Ok(Self { disk, dir, id, at, token, given_up: Arc::default(), lock: Box::new(()) })
            }
        }
    }
}

impl InBucket {
    /// A bucket with a log that nobody runs, to look at only; that of another one is not waited for.
    pub(crate) fn look(bucket: Arc<dyn Bucket>, local: Local, lease: Duration) -> Result<Self, OpenError> {
        let mut this = Self { bucket, local, lease, head: None };
        let seen = this.read_head()?;
        if let Some(holder) = seen.0.holder.as_ref().filter(|holder| holder.id != this.local.id) {
            return Err(OpenError::Held { place: this.name(), by: holder.at.clone() });
        }
        this.head = Some(seen);
        Ok(this)
    }

    /// A bucket for a new log: there must be none in it, nor anything of one.
    pub(crate) fn create(bucket: Arc<dyn Bucket>, local: Local, lease: Duration) -> Result<Self, OpenError> {
        let name = PathBuf::from(bucket.name());
        let this = Self::receive(bucket, local, lease)?;
        match this.bucket.is_there(CLOSED).at("look for a log in", &name)? {
            true => Err(OpenError::NotEmpty { found: name.join(CLOSED), dir: name }),
            false => Ok(this),
        }
    }

    /// A bucket that a log is copied to, maybe not for the first time: there must be none in it.
    pub(crate) fn receive(bucket: Arc<dyn Bucket>, local: Local, lease: Duration) -> Result<Self, OpenError> {
        let name = PathBuf::from(bucket.name());
        match bucket.is_there(HEAD).at("look for a log in", &name)? {
            true => Err(OpenError::AlreadyExists { dir: name }),
            false => Ok(Self { bucket, local, lease, head: None }),
        }
    }

    /// A bucket with a log. One that another sequencer holds is refused, unless this one is to stand by: then it waits
    /// until the head has not changed for as long as the lease.
    pub(crate) fn open(
        bucket: Arc<dyn Bucket>,
        local: Local,
        lease: Duration,
        stand_by: bool,
    ) -> Result<Self, OpenError> {
        let mut this = Self { bucket, local, lease, head: None };
        let mut seen = this.read_head()?;
        let (mut unchanged, mut blind) = (0, 0);
        while let Some(holder) = &seen.0.holder
            && holder.id != this.local.id
            && unchanged < LOOKS
        {
            let held = OpenError::Held { place: this.name(), by: holder.at.clone() };
            if this.local.given_up.load(Ordering::Relaxed) {
                return Err(held);
            }
            this.bucket.wait(this.lease / LOOKS);
            match this.read_head() {
                Ok(now) if now.1 == seen.1 => (unchanged, blind) = (unchanged + 1, 0),
                Ok(_) if !stand_by => return Err(held),
                Ok(now) => (seen, unchanged, blind) = (now, 0, 0),
                // What was not seen cannot be called unchanged.
                Err(OpenError::Io { .. }) if stand_by && blind < MAX_BLIND => {
                    (unchanged, blind) = (0, blind + 1);
                }
                Err(error) => return Err(error),
            }
        }
        this.head = Some(seen);
        Ok(this)
    }

    fn read_head(&self) -> Result<(Head, Version), OpenError> {
        let place = self.name();
        let object = self.bucket.get(HEAD).at("read", &place)?;
        let Object { bytes, version } = object.ok_or_else(|| OpenError::NotALog { dir: place.clone() })?;
        let head = Head::parse(&bytes).map_err(|error| {
            disagree(&place, Evidence::Head, "a head of a log".to_owned(), error.to_string())
        })?;
        Ok((head, version))
    }

    /// Records of earlier epochs that the head does not name, and no later one ever will: of a batch that was refused,
    /// or of a sequencer that ended before it could remove them. What is of a later epoch is another's, and is left.
    fn left_behind(&self, head: &Head) -> Result<Vec<String>, OpenError> {
        let keys = self.bucket.list(WAL).at("list the records of", &self.name())?;
        let is_old = |name: &str| {
            let epoch = name.split('-').nth(1).and_then(|epoch| epoch.parse::<u64>().ok());
            epoch.is_some_and(|epoch| epoch < head.epoch) && head.segments.iter().all(|s| s.name != name)
        };
        Ok(keys.into_iter().filter(|key| key.strip_prefix(WAL).is_some_and(is_old)).collect())
    }

    fn head(&self) -> Result<&(Head, Version), OpenError> {
        let none = || disagree(&self.name(), Evidence::Head, "a head".to_owned(), "none".to_owned());
        self.head.as_ref().ok_or_else(none)
    }
}

impl Storage for InBucket {
    fn objects(&self) -> Arc<dyn Objects> {
        Arc::new(BucketObjects::new(Arc::clone(&self.bucket)))
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.local.disk)
    }

    fn index(&self) -> PathBuf {
        self.local.dir.join("index")
    }

    fn name(&self) -> PathBuf {
        PathBuf::from(self.bucket.name())
    }

    fn place(&self) -> PathBuf {
        self.name()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn closed(&self) -> Result<Option<(PathBuf, String)>, OpenError> {
        let path = self.name().join(CLOSED);
        let object = self.bucket.get(CLOSED).at("read", &path)?;
        Ok(object.map(|object| (path, String::from_utf8_lossy(&object.bytes).trim_end().to_owned())))
    }

    fn close(&self, words: &str) -> Result<(), OpenError> {
        let path = self.name().join(CLOSED);
        match self.bucket.put_if(CLOSED, &format!("{words}\n").into(), None) {
            Ok(_) => Ok(()),
            // By ourselves, or by somebody who moves the log as well: one of us must not.
            Err(PutError::Changed) => match self.closed()? {
                Some((_, said)) if said == words => Ok(()),
                Some((mark, words)) => Err(OpenError::Closed { place: self.place(), mark, words }),
                None => Err(OpenError::Held { place: self.name(), by: String::new() }),
            },
            Err(PutError::Failed(error)) => Err(error).at("write", &path),
        }
    }

    fn reopen(&self, words: &str) -> Result<(), OpenError> {
        match self.closed()? {
            Some((path, said)) if said == words => {
                self.bucket.delete_many(&[CLOSED.to_owned()]).at("remove", &path)
            }
            _ => Ok(()),
        }
    }

    fn found(&mut self, first: &Commit<'_>) -> Result<(), OpenError> {
        let place = self.name();
        let mut head = Head {
            epoch: 0,
            holder: None,
            beat: 0,
            sequence: 1,
            time_ms: first.time_ms,
            base: first.first,
            segments: Vec::new(),
            checkpoint: first.checkpoint.to_vec(),
        };
        let name = format!("{:012}-0-{}", 0, crc32c::crc32c(first.checkpoint));
        let bytes = record_bytes(&head_of(first, 0, 0), first).at("write the first record in", &place)?;
        self.bucket.put_many(&[(format!("{WAL}{name}"), bytes)]).at("write the first record in", &place)?;
        head.segments.push(Segment { size: first.size, name });
        let bytes = head.encode().into();
        match swap(self.bucket.as_ref(), HEAD, &bytes, None) {
            Ok(version) => {
                self.head = Some((head, version));
                Ok(())
            }
            Err(CommitError::Superseded) => Err(OpenError::AlreadyExists { dir: place }),
            Err(CommitError::Refused(error) | CommitError::Unknown(error)) => {
                Err(error).at("create the head in", &place)
            }
        }
    }

    fn scan(&mut self, visit: &mut Visit<'_>) -> Result<(), OpenError> {
        let place = self.name();
        let (head, _) = self.head()?;
        let signed = SignedCheckpoint::parse(&head.checkpoint).map_err(|error| {
            disagree(&place, Evidence::Checkpoint, "a checkpoint in the head".to_owned(), error.to_string())
        })?;
        let (size, root) = (signed.checkpoint.size, signed.checkpoint.root);
        let end = head.segments.last().map_or(head.base, |segment| segment.size);
        if size != end {
            let expected = format!("a checkpoint of {end} entries in the head");
            return Err(disagree(&place, Evidence::Checkpoint, expected, format!("one of {size}")));
        }
        if head.segments.is_empty() {
            let nothing = RecordHead {
                sequence: head.sequence.saturating_sub(1),
                epoch: head.epoch,
                first: size,
                size,
                time_ms: head.time_ms,
                root: root.0,
            };
            return visit(&Record { head: nothing, checkpoint: &head.checkpoint, entries: &[] });
        }
        let keys: Vec<_> = head.segments.iter().map(|segment| format!("{WAL}{}", segment.name)).collect();
        let read = self.bucket.get_many(&keys).at("read the records of", &place)?;
        let count = head.segments.len() as u64;
        let mut tree_size = head.base;
        let sequences = head.sequence.saturating_sub(count)..;
        for (((segment, key), bytes), sequence) in head.segments.iter().zip(&keys).zip(read).zip(sequences) {
            let path = place.join(key);
            let bytes = bytes.ok_or_else(|| {
                disagree(
                    &path,
                    Evidence::Record,
                    "a committed record".to_owned(),
                    "no such object".to_owned(),
                )
            })?;
            let whole = record::parse(&bytes, &SALT).map(|(record, _)| record);
            let record = whole.ok_or_else(|| {
                disagree(&path, Evidence::Record, "a whole record".to_owned(), "other bytes".to_owned())
            })?;
            let found = &record.head;
            if (found.sequence, found.first, found.size) != (sequence, tree_size, segment.size) {
                let expected = format!("record {sequence}, entries {tree_size}..{}", segment.size);
                let found = format!("record {}, entries {}..{}", found.sequence, found.first, found.size);
                return Err(disagree(&path, Evidence::Order, expected, found));
            }
            visit(&record)?;
            tree_size = segment.size;
            if tree_size == size && (record.checkpoint != head.checkpoint || found_root(&record) != root) {
                let (expected, found) = ("the checkpoint of its last record", "another one");
                return Err(disagree(&place, Evidence::Head, expected.to_owned(), found.to_owned()));
            }
        }
        Ok(())
    }

    /// Its own epoch in the head: from here on a sequencer of an older one finds the head changed.
    fn take(&mut self) -> Result<(), OpenError> {
        let place = self.name();
        let (head, version) = self.head()?;
        let mut head = head.clone();
        head.epoch += 1;
        let Local { id, at, token, .. } = &self.local;
        // Never the same bytes twice: whoever finds its own in the head must know that nobody else wrote them, also
        // where two machines were made from one image and have one id.
        let token = match token.is_empty() {
            true => random_text().at("name the holder of", &place)?,
            false => token.clone(),
        };
        head.holder = Some(Holder { id: id.clone(), at: at.clone(), token });
        match swap(self.bucket.as_ref(), HEAD, &head.encode().into(), Some(version)) {
            Ok(version) => {
                self.head = Some((head, version));
                Ok(())
            }
            Err(CommitError::Superseded) => {
                let by = self.read_head().ok().and_then(|(head, _)| Some(head.holder?.at));
                Err(OpenError::Held { place, by: by.unwrap_or_default() })
            }
            Err(CommitError::Refused(error) | CommitError::Unknown(error)) => {
                Err(error).at("take the head of", &place)
            }
        }
    }

    fn changed_by(&self) -> Option<String> {
        let (head, version) = self.read_head().ok()?;
        let changed = self.head.as_ref().is_some_and(|(_, own)| *own != version);
        changed.then(|| head.holder.map(|holder| holder.at).unwrap_or_default())
    }

    fn begin(self: Box<Self>) -> Result<Begun, OpenError> {
        let (head, version) = self.head()?.clone();
        let given_back = Mutex::new(self.left_behind(&head)?);
        let garbage = Arc::new(Garbage { bucket: Arc::clone(&self.bucket), given_back });
        let commit = HeadCommit {
            bucket: self.bucket,
            head,
            version,
            attempt: 0,
            beat_interval: self.lease / 4,
            published: 0,
            garbage: Arc::clone(&garbage),
        };
        Ok(Begun { commit: Box::new(commit), upkeep: garbage, hold: Box::new(self.local.lock) })
    }
}

/// Records in objects of their own need no salt: nothing is searched for in them.
const SALT: [u8; 16] = *b"in a bucket: own";

fn head_of(batch: &Commit<'_>, sequence: u64, epoch: u64) -> RecordHead {
    let Commit { first, size, time_ms, root, .. } = *batch;
    RecordHead { sequence, epoch, first, size, time_ms, root }
}

fn record_bytes(head: &RecordHead, batch: &Commit<'_>) -> io::Result<Bytes> {
    let mut buffer = Vec::new();
    let entries = batch.entries.iter().map(AsRef::as_ref);
    record::encode(&mut buffer, &SALT, head, batch.checkpoint, entries)?;
    buffer.truncate(record::HEAD_LEN + batch.checkpoint.len() + batch.entry_bytes());
    Ok(buffer.into())
}

fn found_root(record: &Record<'_>) -> Hash {
    Hash(record.head.root)
}

/// Puts `bytes` in the place of what was there in that state, for certain or not at all.
///
/// # Errors
/// `Superseded`: something else is there now. `Unknown`: the store did not say for too long.
fn swap(
    bucket: &dyn Bucket,
    key: &str,
    bytes: &Bytes,
    state: Option<&Version>,
) -> Result<Version, CommitError> {
    let mut last = match bucket.put_if(key, bytes, state) {
        Ok(version) => return Ok(version),
        Err(PutError::Changed) => io::Error::other("the object was changed"),
        Err(PutError::Failed(error)) => error,
    };
    for attempt in 0.. {
        match bucket.get(key) {
            Ok(Some(found)) if found.bytes == *bytes => return Ok(found.version),
            Ok(found) if found.as_ref().map(|object| &object.version) == state => {
                match bucket.put_if(key, bytes, state) {
                    Ok(version) => return Ok(version),
                    Err(PutError::Changed) => {}
                    Err(PutError::Failed(error)) => last = error,
                }
            }
            Ok(_) => return Err(CommitError::Superseded),
            Err(error) => last = error,
        }
        if !bucket.pause(attempt) {
            break;
        }
    }
    Err(CommitError::Unknown(last))
}

/// The commit point of a running log.
struct HeadCommit {
    bucket: Arc<dyn Bucket>,
    /// As it stands in the bucket, in state `version`.
    head: Head,
    version: Version,
    /// Records written, in vain or not: no two objects get one name, so that a write which arrives late harms nothing.
    attempt: u64,
    beat_interval: Duration,
    published: u64,
    garbage: Arc<Garbage>,
}

impl CommitPoint for HeadCommit {
    fn commit(&mut self, batch: &Commit<'_>) -> Result<(), CommitError> {
        let sequence = self.head.sequence;
        let name = format!("{sequence:012}-{}-{}", self.head.epoch, self.attempt);
        self.attempt += 1;
        let key = format!("{WAL}{name}");
        let bytes =
            record_bytes(&head_of(batch, sequence, self.head.epoch), batch).map_err(CommitError::Refused)?;
        if self.head.segments.len() >= MAX_SEGMENTS {
            let text = "what is committed cannot be published, and the head has no room for more";
            return Err(CommitError::Refused(io::Error::other(text)));
        }
        // Created, never written over: a name that is taken belongs to a record somebody may have committed.
        if let Err(error) = self.bucket.put_if(&key, &bytes, None) {
            let error = match error {
                PutError::Changed => io::Error::other(format!("there is already an object {key}")),
                PutError::Failed(error) => {
                    self.garbage.give_back([key]);
                    error
                }
            };
            return Err(CommitError::Refused(error));
        }
        let mut head = self.head.clone();
        head.sequence = sequence + 1;
        head.time_ms = batch.time_ms;
        head.checkpoint = batch.checkpoint.to_vec();
        head.segments.push(Segment { size: batch.size, name });
        self.replace(head)
    }

    fn retire(&mut self, _full: u64, published: u64) -> io::Result<()> {
        self.published = published;
        Ok(())
    }

    fn wants_preparation(&self) -> bool {
        false
    }

    fn is_slow(&self) -> bool {
        true
    }

    fn beat_interval(&self) -> Option<Duration> {
        Some(self.beat_interval)
    }

    fn beat(&mut self) -> Result<(), CommitError> {
        let mut head = self.head.clone();
        head.beat += 1;
        self.replace(head)
    }

    fn release(&mut self) -> Result<(), CommitError> {
        let mut head = self.head.clone();
        head.holder = None;
        self.replace(head)?;
        // What is left of it, whoever opens the log next removes.
        let _ = self.garbage.tidy();
        Ok(())
    }
}

impl HeadCommit {
    /// Records that are published need not be named any more; with the head that no longer names them they are given
    /// back.
    fn replace(&mut self, mut head: Head) -> Result<(), CommitError> {
        let keep = head.segments.iter().position(|segment| segment.size > self.published);
        let retired: Vec<Segment> = head.segments.drain(..keep.unwrap_or(head.segments.len())).collect();
        if let Some(last) = retired.last() {
            head.base = last.size;
        }
        self.version = swap(self.bucket.as_ref(), HEAD, &head.encode().into(), Some(&self.version))?;
        self.head = head;
        self.garbage.give_back(retired.into_iter().map(|segment| format!("{WAL}{}", segment.name)));
        Ok(())
    }
}

/// Records that no head names any more.
struct Garbage {
    bucket: Arc<dyn Bucket>,
    given_back: Mutex<Vec<String>>,
}

impl Garbage {
    fn give_back(&self, keys: impl IntoIterator<Item = String>) {
        self.given_back.lock().unwrap_or_else(PoisonError::into_inner).extend(keys);
    }
}

impl Upkeep for Garbage {
    fn prepare(&self) -> io::Result<()> {
        Ok(())
    }

    fn tidy(&self) -> io::Result<()> {
        let keys = std::mem::take(&mut *self.given_back.lock().unwrap_or_else(PoisonError::into_inner));
        if !keys.is_empty()
            && let Err(error) = self.bucket.delete_many(&keys)
        {
            self.give_back(keys);
            return Err(error);
        }
        Ok(())
    }
}

fn random_text() -> io::Result<String> {
    let random = sealog_crypto::random_array::<16>().map_err(io::Error::other)?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn disagree(path: &Path, evidence: Evidence, expected: String, found: String) -> OpenError {
    OpenError::Disagreement { path: path.to_owned(), evidence, expected, found }
}
