//! What the provider remembers, most of it for minutes: a small file for each record, in a directory that survives a
//! restart and that several processes may share.
//!
//! Records are found by names that are secrets, or are made of them, so a file's name is the hash of its record's. The time
//! of a file's last change is the time at which its record ends. Every change happens under the lock of the record's
//! shard (`flock`, which processes on one machine and clients of one NFS server respect), so that a code is taken once,
//! whoever asks, and a try is counted before it is answered.
//!
//! Nothing is synced: after a power cut people sign in again. The number of records of a kind is bounded, and what has ended
//! is swept away, so strangers fill neither memory nor disk.

use crate::files;
use sealog_crypto::sha256;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

/// Records of one kind at a time.
const MAX_RECORDS: usize = 20_000;
/// A longer record is none of ours.
const MAX_BYTES: u64 = 32 * 1024;
/// How often what has ended is swept away.
const SWEEP_MS: u64 = 30 * 1000;
/// Locks in the directory; two records that share one wait for each other, and nothing worse.
const SHARDS: u8 = 64;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// An authorization code.
    Code,
    /// A device that waits, by its device code.
    Device,
    /// The same by its user code.
    UserCode,
    /// A code that was sent by mail.
    Mail,
    /// A sign-in at a provider behind this one.
    Upstream,
    /// A person who is known and has not agreed yet.
    Consent,
    /// How often something happened.
    Limit,
    /// A passkey, and a question to one.
    Passkey,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Code,
        Self::Device,
        Self::UserCode,
        Self::Mail,
        Self::Upstream,
        Self::Consent,
        Self::Limit,
        Self::Passkey,
    ];

    /// How many there may be, and how often those that have ended are swept away.
    const fn bounds(self) -> (usize, u64) {
        match self {
            // One for each network, address and domain: were they few, networks in plenty would stop everyone.
            Self::Limit => (200_000, 2 * 60 * 1000),
            // They last for weeks.
            Self::Passkey => (500_000, 10 * 60 * 1000),
            _ => (MAX_RECORDS, SWEEP_MS),
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Device => "device",
            Self::UserCode => "user-code",
            Self::Mail => "mail",
            Self::Upstream => "upstream",
            Self::Consent => "consent",
            Self::Limit => "limit",
            Self::Passkey => "passkey",
        }
    }
}

/// Why something cannot be remembered or recalled.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// As many as may be.
    #[error("too many sign-ins are waiting")]
    Full,
    /// The file system's complaint.
    #[error("the provider's state cannot be read or written")]
    Io(#[from] io::Error),
    /// Not a record of ours.
    #[error("a record of the provider's state is malformed")]
    Malformed(#[from] serde_json::Error),
}

/// The records.
#[derive(Clone, Debug)]
pub(super) struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    counts: [AtomicUsize; Kind::ALL.len()],
    swept_ms: [AtomicU64; Kind::ALL.len()],
}

/// A record as it is, and when it ends.
type Kept<T> = Option<(T, u64)>;

impl Store {
    /// Opens the directory, making what is missing.
    ///
    /// # Errors
    /// As the file system says.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        for kind in Kind::ALL {
            files::create_secret_dir(&dir.join(kind.name()))?;
        }
        files::create_secret_dir(&dir.join("locks"))?;
        Ok(Self(Arc::new(Inner {
            dir: dir.to_owned(),
            counts: std::array::from_fn(|_| AtomicUsize::new(0)),
            swept_ms: std::array::from_fn(|_| AtomicU64::new(0)),
        })))
    }

    /// Remembers a record until it ends.
    pub(super) async fn put<T: Serialize>(
        &self,
        kind: Kind,
        name: &str,
        record: &T,
        now_ms: u64,
        for_ms: u64,
    ) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(record)?;
        let ends_ms = now_ms.saturating_add(for_ms);
        self.locked(kind, name, move |inner, path| {
            inner.make_room(kind, now_ms)?;
            inner.write(path, &bytes, ends_ms)?;
            inner.count(kind).fetch_add(1, Relaxed);
            Ok(())
        })
        .await
    }

    /// Recalls a record.
    pub(super) async fn get<T: DeserializeOwned + Send + 'static>(
        &self,
        kind: Kind,
        name: &str,
        now_ms: u64,
    ) -> Result<Option<T>, StoreError> {
        let found = self.locked(kind, name, move |_, path| read(path, now_ms)).await?;
        Ok(found.map(|bytes| serde_json::from_slice(&bytes.0)).transpose()?)
    }

    /// Recalls a record and forgets it: of all who ask, one gets it.
    pub(super) async fn take<T: DeserializeOwned + Send + 'static>(
        &self,
        kind: Kind,
        name: &str,
        now_ms: u64,
    ) -> Result<Option<T>, StoreError> {
        let found = self
            .locked(kind, name, move |inner, path| {
                let found = read(path, now_ms)?;
                inner.forget(kind, path)?;
                Ok(found)
            })
            .await?;
        Ok(found.map(|bytes| serde_json::from_slice(&bytes.0)).transpose()?)
    }

    /// Changes a record, or makes or forgets it, in one step; and says what `change` says.
    pub(super) async fn update<T, R>(
        &self,
        kind: Kind,
        name: &str,
        now_ms: u64,
        change: impl FnOnce(Kept<T>) -> (Kept<T>, R) + Send + 'static,
    ) -> Result<R, StoreError>
    where
        T: Serialize + DeserializeOwned,
        R: Send + 'static,
    {
        self.locked(kind, name, move |inner, path| {
            let found = read(path, now_ms)?;
            let was_there = found.is_some();
            let found =
                found.map(|(bytes, ends)| Ok::<_, StoreError>((serde_json::from_slice(&bytes)?, ends)));
            let (kept, said) = change(found.transpose()?);
            match kept {
                Some((record, ends_ms)) => {
                    if !was_there {
                        inner.make_room(kind, now_ms)?;
                        inner.count(kind).fetch_add(1, Relaxed);
                    }
                    inner.write(path, &serde_json::to_vec(&record)?, ends_ms)?;
                }
                None => inner.forget(kind, path)?,
            }
            Ok(said)
        })
        .await
    }

    /// Does something with one record while nobody else does, away from the threads that serve.
    async fn locked<R: Send + 'static>(
        &self,
        kind: Kind,
        name: &str,
        act: impl FnOnce(&Inner, &Path) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, StoreError> {
        let hash = sha256(name.as_bytes());
        let shard = hash.first().copied().unwrap_or_default() % SHARDS;
        let inner = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            let path = inner.dir.join(kind.name()).join(hex::encode(hash));
            let lock = fs::File::create(inner.lock(shard))?;
            lock.lock()?;
            act(&inner, &path)
        });
        done.await.map_err(io::Error::other)?
    }
}

impl Inner {
    fn count(&self, kind: Kind) -> &AtomicUsize {
        of_kind(&self.counts, kind)
    }

    /// The file's name stays the same, so whoever reads sees the old record or the new.
    fn write(&self, path: &Path, bytes: &[u8], ends_ms: u64) -> io::Result<()> {
        use io::Write as _;
        let mut new = tempfile::Builder::new().prefix(".new-").tempfile_in(self.dir.join("locks"))?;
        new.write_all(bytes)?;
        new.as_file().set_modified(time(ends_ms))?;
        new.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    fn forget(&self, kind: Kind, path: &Path) -> io::Result<()> {
        match fs::remove_file(path) {
            Ok(()) => {
                let less = |count: usize| Some(count.saturating_sub(1));
                let _ = self.count(kind).fetch_update(Relaxed, Relaxed, less);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Refuses one more than may be. What other processes remember is counted when ended records are swept away.
    fn make_room(&self, kind: Kind, now_ms: u64) -> Result<(), StoreError> {
        let (most, every_ms) = kind.bounds();
        let swept_ms = of_kind(&self.swept_ms, kind);
        let last = swept_ms.load(Relaxed);
        let due = now_ms.abs_diff(last) >= every_ms;
        if due && swept_ms.compare_exchange(last, now_ms, Relaxed, Relaxed).is_ok() {
            self.count(kind).store(self.sweep(kind, now_ms)?, Relaxed);
        }
        match self.count(kind).load(Relaxed) < most {
            true => Ok(()),
            false => Err(StoreError::Full),
        }
    }

    /// Forgets one that has ended, unless somebody is at its shard, who may be making it anew: the next sweep finds it.
    fn swept(&self, entry: &fs::DirEntry, now_ms: u64) -> bool {
        let named = entry.file_name();
        let first = named.to_str().and_then(|name| u8::from_str_radix(name.get(..2)?, 16).ok());
        let lock = fs::File::create(self.lock(first.unwrap_or_default() % SHARDS));
        let Ok(lock) = lock.map(|file| file.try_lock().map(|()| file)) else { return false };
        lock.is_ok()
            && entry.metadata().and_then(|found| found.modified()).is_ok_and(|ends| ends <= time(now_ms))
            && fs::remove_file(entry.path()).is_ok()
    }

    fn lock(&self, shard: u8) -> PathBuf {
        self.dir.join("locks").join(format!("{shard:02}"))
    }

    /// Forgets what has ended; how many records are left.
    fn sweep(&self, kind: Kind, now_ms: u64) -> io::Result<usize> {
        let mut left = 0;
        for entry in fs::read_dir(self.dir.join(kind.name()))? {
            let entry = entry?;
            // Somebody else may have forgotten it since.
            let Ok(modified) = entry.metadata().and_then(|found| found.modified()) else { continue };
            match modified <= time(now_ms) {
                true if self.swept(&entry, now_ms) => {}
                _ => left += 1,
            }
        }
        Ok(left)
    }
}

fn of_kind<T>(all: &[T; Kind::ALL.len()], kind: Kind) -> &T {
    let [code, device, user_code, mail, upstream, consent, limit, passkey] = all;
    match kind {
        Kind::Code => code,
        Kind::Device => device,
        Kind::UserCode => user_code,
        Kind::Mail => mail,
        Kind::Upstream => upstream,
        Kind::Consent => consent,
        Kind::Limit => limit,
        Kind::Passkey => passkey,
    }
}

/// A record that has not ended.
fn read(path: &Path, now_ms: u64) -> Result<Option<(Vec<u8>, u64)>, StoreError> {
    let modified = match fs::metadata(path).and_then(|found| found.modified()) {
        Ok(modified) => modified,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if modified <= time(now_ms) {
        return Ok(None);
    }
    let ends = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let ends_ms = u64::try_from(ends).unwrap_or(u64::MAX);
    match files::read_bounded(path, MAX_BYTES) {
        Ok(bytes) => Ok(Some((bytes, ends_ms))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn time(ms: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000_000;

    fn store() -> (Store, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        (Store::open(dir.path()).unwrap(), dir)
    }

    #[tokio::test]
    async fn a_record_ends_and_is_taken_once_whoever_asks() {
        let (store, dir) = store();
        store.put(Kind::Code, "a", &7, NOW, 1000).await.unwrap();
        let other = Store::open(dir.path()).unwrap();
        assert_eq!(other.get::<u32>(Kind::Code, "a", NOW + 999).await.unwrap(), Some(7));
        assert_eq!(other.get::<u32>(Kind::Device, "a", NOW).await.unwrap(), None, "another kind");
        assert_eq!(store.get::<u32>(Kind::Code, "a", NOW + 1000).await.unwrap(), None);
        let mut takers = tokio::task::JoinSet::new();
        for number in 0..16 {
            let store = if number % 2 == 0 { store.clone() } else { other.clone() };
            takers.spawn(async move { store.take::<u32>(Kind::Code, "a", NOW).await.unwrap() });
        }
        let taken = takers.join_all().await;
        assert_eq!(taken.iter().flatten().count(), 1);
    }

    #[tokio::test]
    async fn changes_are_counted_one_by_one() {
        let (store, dir) = store();
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let store = Store::open(dir.path()).unwrap();
            tries.spawn(async move {
                let more = |found: Kept<u32>| {
                    let (count, ends) = found.unwrap_or((0, NOW + 1000));
                    (Some((count + 1, ends)), count + 1)
                };
                store.update(Kind::Limit, "x", NOW, more).await.unwrap()
            });
        }
        let mut seen = tries.join_all().await;
        seen.sort_unstable();
        assert_eq!(seen, (1..=20).collect::<Vec<u32>>());
        let ends =
            store.update(Kind::Limit, "x", NOW, |found: Kept<u32>| (None, found.unwrap().1)).await.unwrap();
        assert_eq!(ends, NOW + 1000, "what changes it does not lengthen it");
        assert_eq!(store.get::<u32>(Kind::Limit, "x", NOW).await.unwrap(), None);
    }

    #[tokio::test]
    async fn strangers_do_not_fill_the_disk() {
        let (store, dir) = store();
        store.put(Kind::Mail, "first", &1, NOW, 1000).await.unwrap();
        store.0.count(Kind::Mail).store(MAX_RECORDS, Relaxed);
        assert!(matches!(store.put(Kind::Mail, "more", &1, NOW, 1000).await, Err(StoreError::Full)));
        assert!(store.put(Kind::Code, "another kind", &1, NOW, 1000).await.is_ok());
        store.put(Kind::Mail, "more", &1, NOW + SWEEP_MS, 1000).await.unwrap();
        assert_eq!(fs::read_dir(dir.path().join("mail")).unwrap().count(), 1, "the first was swept away");
    }

    #[tokio::test]
    async fn what_is_made_anew_is_not_swept_away_with_what_ended() {
        let (store, dir) = store();
        store.put(Kind::Limit, "a", &1, NOW, 1000).await.unwrap();
        let entry = || fs::read_dir(dir.path().join("limit")).unwrap().next().unwrap().unwrap();
        let first = entry().file_name().to_str().map(|name| u8::from_str_radix(&name[..2], 16).unwrap());
        let lock = fs::File::create(store.0.lock(first.unwrap() % SHARDS)).unwrap();
        lock.lock().unwrap();
        assert!(!store.0.swept(&entry(), NOW + 1000), "somebody is at it");
        lock.unlock().unwrap();
        assert!(!store.0.swept(&entry(), NOW + 999), "it has not ended, or no longer");
        assert!(store.0.swept(&entry(), NOW + 1000));
    }

    #[tokio::test]
    async fn what_is_no_record_is_an_error_and_not_believed() {
        let (store, _dir) = store();
        store.put(Kind::Code, "a", &"text", NOW, 1000).await.unwrap();
        assert!(matches!(store.get::<u32>(Kind::Code, "a", NOW).await, Err(StoreError::Malformed(_))));
        assert!(matches!(store.take::<u32>(Kind::Code, "a", NOW).await, Err(StoreError::Malformed(_))));
        assert_eq!(store.get::<String>(Kind::Code, "a", NOW).await.unwrap(), None, "and it is gone");
    }
}
