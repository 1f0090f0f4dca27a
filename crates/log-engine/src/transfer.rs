//! A whole log copied: to another place where it goes on, to a backup, and back.
//!
//! What is copied are the public files, every one of them recomputed from the entries before it is written; then the
//! checkpoint; then the first record or head, which makes the place a log. Until then it is none, and the copying can be
//! begun again: what is there already is compared and kept. Nothing is ever written over.
//!
//! What must hold: a log that was copied goes on from exactly what its key has signed last, and in one place. A backup that
//! is older is not put back, unless the log is frozen, which never signs again; nor one of which nobody can say whether it
//! is (`memory`). Before a copy becomes a log, the place that it came from is closed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sealog_tlog::merkle::EdgeError;
use sealog_tlog::note::KeyVerifier;
use sealog_tlog::tile::{CHECKPOINT_PATH, EntryBundle, TILE_WIDTH, bundle_path, partial_tiles};
use sealog_tlog::{Edge, Leaf, NoteVerifier as _, SignedCheckpoint};

use crate::bucket::{Bucket, HEAD, InBucket, Local, Object};
use crate::directory::{Directory, files_under};
use crate::disk::{Disk, RealDisk};
use crate::error::OpenError;
use crate::files;
use crate::inspect::{Identity, inspect, public_files};
use crate::memory::{self, Mark, Signing};
use crate::place::{BucketPlace, Place};
use crate::reading::{
    Beside, Kept, Known, PublicFiles, Sound, SoundFile, Unsound, failed, read_checkpoint, read_log,
    verify_checkpoint,
};
use crate::recovery::nodes;
use crate::settings::Settings;
use crate::storage::{CLOSED, Commit, CommitError, MAY_LACK, Objects, Storage};
use crate::tree::FullFile;
use crate::view::{LeafKind, Store};

/// Says whose log is being copied to where this file or object is.
const MARKER: &str = "copying";

/// Why a log was not copied. The log itself was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// One of the two places cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What is to be copied does not hold, or a file could not be read or written.
    #[error(transparent)]
    Unsound(#[from] Unsound),
    /// Older than what the key has signed.
    #[error("the copy has {found} entries, but the key of {origin} has signed {remembered} ({})", path.display())]
    Older {
        /// The log.
        origin: String,
        /// What the key has signed last.
        path: PathBuf,
        /// Its entries.
        remembered: u64,
        /// Entries of what was to be put back.
        found: u64,
    },
    /// Nothing says what the key has signed.
    #[error("the copy has {found} entries, and nothing says how many the key of {origin} has signed: there is no {}", path.display())]
    Unremembered {
        /// The log.
        origin: String,
        /// Where it would be remembered.
        path: PathBuf,
        /// Entries of what was to be put back.
        found: u64,
    },
    /// What the key remembers may not be all that it has signed.
    #[error("the copy has {found} entries, but the key of {origin} may have signed more than is remembered beside it: {why} ({})", path.display())]
    Unsure {
        /// The log.
        origin: String,
        /// What says so.
        path: PathBuf,
        /// Where it was signing, in words.
        why: String,
        /// Entries of what was to be put back.
        found: u64,
    },
    /// What was given as the newest checkpoint is older than what is remembered beside the key.
    #[error(
        "the newest checkpoint given of {origin} has {given} entries, but its key has signed {remembered} ({})",
        path.display()
    )]
    NewestTooOld {
        /// The log.
        origin: String,
        /// What remembers more.
        path: PathBuf,
        /// Entries of that.
        remembered: u64,
        /// Entries of the newest one given.
        given: u64,
    },
    /// A backup that is newer than its log.
    #[error("the backup has {backup} entries, the log only {found}")]
    Ahead {
        /// Entries of the backup.
        backup: u64,
        /// Entries of the log.
        found: u64,
    },
}

/// What was copied.
#[derive(Debug, Clone)]
pub struct Copied {
    /// What was read, and is there now.
    pub sound: Sound,
    /// Entries that were there before.
    pub before: u64,
    /// Files written now.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Copies a log that nobody runs to another place, where it goes on. Both are read whole.
///
/// # Errors
/// See [`TransferError`]. The copying can be begun again after an interruption.
pub fn transfer<L: Leaf>(
    from: &Place,
    to: &Place,
    identity: &Identity<'_>,
    beside: &Beside<'_>,
) -> Result<Copied, TransferError> {
    transfer_on::<L>(Arc::new(RealDisk), from, to, identity, beside)
}

pub(crate) fn transfer_on<L: Leaf>(
    disk: Arc<dyn Disk>,
    from: &Place,
    to: &Place,
    identity: &Identity<'_>,
    beside: &Beside<'_>,
) -> Result<Copied, TransferError> {
    let (first_seen, there) = (identity.first_seen, to.mark());
    let head = head_of(from)?;
    let source = inspect::<L>(from, identity, true)?;
    let _signing = Signing::begin(Arc::new(RealDisk), first_seen, &from.mark())?;
    source.refuse_unpublished()?;
    let words = format!("it was moved to {}", there.place.display());
    // What was interrupted is begun again, and to the same place.
    let closed = source.storage.closed()?;
    let again = closed.as_ref().is_some_and(|(_, found)| *found == words);
    if let Some((mark, words)) = closed.filter(|_| !again) {
        return Err(OpenError::Closed { place: source.storage.place(), mark, words }.into());
    }
    // A log has all that was signed in its own place; of what was signed elsewhere this may be an older copy.
    if let Some(mark) = memory::mark(&RealDisk, first_seen)?
        && mark != from.mark()
        && !(again && mark == there)
    {
        return Err(unsure(identity, mark, source.view.size()));
    }
    let known = known(identity)?;
    let mut target = Target::begin(disk, to, identity.key)?;
    let files = public_files(from);
    let (signed, bytes) = read_checkpoint(files.as_ref(), Some(identity.key))?;
    let copied = target.copy::<L>(files.as_ref(), &signed, known.as_slice(), beside)?;
    source.storage.close(&words)?;
    // A directory is locked; a bucket may have been taken by another meanwhile.
    if head_of(from)? != head {
        source.storage.reopen(&words)?;
        return Err(OpenError::Held { place: source.name, by: String::new() }.into());
    }
    remember(first_seen, &bytes)?;
    if there.shared {
        memory::set_mark(&RealDisk, first_seen, &there)?;
    }
    target.finish(&signed, &bytes, source.time_ms, None)?;
    if !there.shared {
        forget_mark(first_seen);
    }
    Ok(copied)
}

/// The memory is exact, and nobody signs.
fn forget_mark(first_seen: &Path) {
    if let Err(error) = memory::clear_mark(&RealDisk, first_seen) {
        tracing::warn!(%error, "the mark of a running log could not be removed; start the log once, and stop it");
    }
}

fn unsure(identity: &Identity<'_>, mark: Mark, found: u64) -> TransferError {
    let place = mark.place.display();
    let why = match mark.shared {
        true => format!("its log was in {place}, where other machines may have signed"),
        false => format!("the process that signed in {place} did not end in order"),
    };
    let origin = identity.key.name().to_owned();
    TransferError::Unsure { origin, path: memory::mark_path(identity.first_seen), why, found }
}

/// What shows whether a bucket's log was run meanwhile.
fn head_of(place: &Place) -> Result<Option<Object>, OpenError> {
    let Place::Bucket(BucketPlace { bucket, .. }) = place else { return Ok(None) };
    let path = PathBuf::from(bucket.name());
    bucket.get(HEAD).map_err(|source| OpenError::Io { action: "read", path, source })
}

/// What a log is put back with.
pub struct Restoring<'a> {
    /// Whose log it is.
    pub identity: Identity<'a>,
    /// It takes no more: then it may be older than what its key has signed.
    pub frozen: bool,
    /// The newest checkpoints that others have of it, and where each was found. Only with one of them is a log put back
    /// whose key may have signed more than it remembers.
    pub newest: &'a [(String, Bytes)],
    /// See [`Beside`].
    pub beside: &'a Beside<'a>,
}

/// Puts the public files of a log back as a log that goes on; a frozen one may be older than what its key has signed, and
/// is closed then.
///
/// # Errors
/// See [`TransferError`]. It can be begun again after an interruption.
pub fn restore<L: Leaf>(
    from: &dyn PublicFiles,
    to: &Place,
    with: &Restoring<'_>,
) -> Result<Copied, TransferError> {
    restore_on::<L>(Arc::new(RealDisk), from, to, with)
}

pub(crate) fn restore_on<L: Leaf>(
    disk: Arc<dyn Disk>,
    from: &dyn PublicFiles,
    to: &Place,
    with: &Restoring<'_>,
) -> Result<Copied, TransferError> {
    let Restoring { identity, frozen, beside, .. } = with;
    let (first_seen, there) = (identity.first_seen, to.mark());
    let _signing = match frozen {
        true => None,
        false => Some(Signing::begin(Arc::new(RealDisk), first_seen, &there)?),
    };
    let (signed, bytes) = read_checkpoint(from, Some(identity.key))?;
    let found = signed.checkpoint.size;
    let (mut known, doubt) = all_known(with, found)?;
    let older = known.iter().find(|known| known.size > found).map(|known| TransferError::Older {
        origin: signed.checkpoint.origin.clone(),
        path: known.path.clone().into(),
        remembered: known.size,
        found,
    });
    let refusal = older.or(doubt);
    let closed = refusal.is_some().then_some(MAY_LACK);
    if let Some(refusal) = refusal.filter(|_| !frozen) {
        return Err(refusal);
    }
    known.retain(|known| known.size <= found);
    let mut target = Target::begin(disk, to, identity.key)?;
    let copied = target.copy::<L>(from, &signed, &known, beside)?;
    if closed.is_none() {
        remember(first_seen, &bytes)?;
        if there.shared {
            memory::set_mark(&RealDisk, first_seen, &there)?;
        }
    }
    // What the clock says now is no time of the log.
    target.finish(&signed, &bytes, copied.sound.latest_ms.unwrap_or_default(), closed)?;
    Ok(copied)
}

/// Everything that is known of what the key has signed; and why that may not be all, if so.
fn all_known(with: &Restoring<'_>, found: u64) -> Result<(Vec<Known>, Option<TransferError>), TransferError> {
    let Restoring { identity, newest, .. } = with;
    let remembered = known(identity)?;
    let mark = memory::mark(&RealDisk, identity.first_seen)?;
    let is_marked = mark.is_some();
    let doubt = match (newest.is_empty(), mark, &remembered) {
        (false, _, _) | (true, None, Some(_)) => None,
        (true, Some(mark), _) => Some(unsure(identity, mark, found)),
        (true, None, None) => {
            let (origin, path) = (identity.key.name().to_owned(), identity.first_seen.to_owned());
            Some(TransferError::Unremembered { origin, path, found })
        }
    };
    let least = remembered.as_ref().map_or(0, |remembered| remembered.size);
    let mut known = Vec::from_iter(remembered);
    let mut given = None;
    for (path, bytes) in *newest {
        let checkpoint = verify_checkpoint(bytes, path, Some(identity.key))?.checkpoint;
        given = given.max(Some(checkpoint.size));
        known.push(Known { path: path.clone(), size: checkpoint.size, root: checkpoint.root });
    }
    // What is older than the memory says nothing of what came after it.
    if let Some(given) = given.filter(|given| is_marked && *given < least) {
        let path = identity.first_seen.to_owned();
        let too_old = TransferError::NewestTooOld {
            origin: identity.key.name().to_owned(),
            path,
            remembered: least,
            given,
        };
        return Ok((known, Some(too_old)));
    }
    Ok((known, doubt))
}

/// The checkpoint beside the key.
fn known(identity: &Identity<'_>) -> Result<Option<Known>, TransferError> {
    let Some(bytes) = memory::read(&RealDisk, identity.first_seen)? else { return Ok(None) };
    let path = identity.first_seen.display().to_string();
    let checkpoint = verify_checkpoint(&bytes, &path, Some(identity.key))?.checkpoint;
    Ok(Some(Known { path, size: checkpoint.size, root: checkpoint.root }))
}

fn remember(path: &Path, checkpoint: &[u8]) -> Result<(), TransferError> {
    let write = || {
        files::ensure_dir(&RealDisk, files::parent(path)?)?;
        memory::remember(&RealDisk, path, checkpoint)
    };
    Ok(write().map_err(|source| failed("write", path.display().to_string(), source))?)
}

/// Copies what a backup lacks of a log's public files, which may grow meanwhile, into the directory `to`. What it has is
/// not read again, but must be of the same tree.
///
/// # Errors
/// See [`TransferError`]. The backup stays what it was until the new checkpoint is in it, which is written last.
pub fn back_up<L: Leaf>(
    from: &dyn PublicFiles,
    to: &Path,
    key: &KeyVerifier,
    beside: &Beside<'_>,
) -> Result<Copied, TransferError> {
    back_up_on::<L>(Arc::new(RealDisk), from, to, key, beside)
}

pub(crate) fn back_up_on<L: Leaf>(
    disk: Arc<dyn Disk>,
    from: &dyn PublicFiles,
    to: &Path,
    key: &KeyVerifier,
    beside: &Beside<'_>,
) -> Result<Copied, TransferError> {
    let at = |action| move |source| failed(action, to.display().to_string(), source);
    files::ensure_dir(disk.as_ref(), &to.join("public")).map_err(at("create"))?;
    let lock = disk.lock(&to.join("lock")).map_err(at("lock"))?;
    let _lock = lock.ok_or_else(|| OpenError::Locked { dir: to.to_owned() })?;
    let objects = files_under(Arc::clone(&disk), to.join("public"));

    // The checkpoint first, then what is under it: what comes later is not looked at.
    let (signed, bytes) = read_checkpoint(from, Some(key))?;
    let size = signed.checkpoint.size;
    let has = objects.read(CHECKPOINT_PATH).map_err(at("read"))?;
    let path = objects.name(CHECKPOINT_PATH).display().to_string();
    let has = has.map(|bytes| verify_checkpoint(&bytes, &path, Some(key))).transpose()?;
    let (mut edge, mut known, mut before) = (Edge::new(), Vec::new(), 0);
    if let Some(SignedCheckpoint { checkpoint, .. }) = &has {
        before = checkpoint.size;
        if before > size {
            return Err(TransferError::Ahead { backup: before, found: size });
        }
        let store = Store::new(Arc::clone(&objects), LeafKind::of::<L>());
        let full = before - before % u64::from(TILE_WIDTH);
        edge = Edge::from_tiles(full, |tile| nodes(&store, tile)).map_err(|error| match error {
            EdgeError::Read { source, .. } => TransferError::Open(source),
            EdgeError::TooLarge(_) | EdgeError::Width { .. } => {
                Unsound::Missing { path: path.clone() }.into()
            }
        })?;
        known.push(Known { path, size: before, root: checkpoint.root });
    }
    let mut writer =
        Writer { objects: Arc::clone(&objects), compare: true, files: 0, bytes: 0, full: Vec::new() };
    let sound = read_log::<L>(from, &signed, edge, &known, beside, &mut |some| writer.write(some))?;
    let published = objects.publish_checkpoint(&bytes);
    published.map_err(|error| failed("write", to.display().to_string(), not_written(error)))?;
    // Only now nobody needs them.
    let strays = writer.drop_partials().and_then(|()| drop_old_partials::<L>(&disk, &objects, before, size));
    if let Err(error) = strays {
        tracing::warn!(%error, "old partial tiles of the backup could not be removed");
    }
    Ok(Copied { sound, before, files: writer.files, bytes: writer.bytes })
}

/// The partial tiles and bundles of a smaller tree that a larger one has in another width.
fn drop_old_partials<L: Leaf>(
    disk: &Arc<dyn Disk>,
    objects: &Arc<dyn Objects>,
    old: u64,
    new: u64,
) -> io::Result<()> {
    let kept = partials::<L>(new);
    for path in partials::<L>(old).into_iter().filter(|path| !kept.contains(path)) {
        match disk.remove_file(&objects.name(&path)) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(())
}

fn partials<L: Leaf>(size: u64) -> Vec<String> {
    let mut paths: Vec<String> = partial_tiles(size).map(|tile| tile.path()).collect();
    let width = u64::from(TILE_WIDTH);
    let tail = u16::try_from(size % width).ok().filter(|tail| *tail > 0);
    if let Some(Ok(bundle)) = tail.map(|tail| EntryBundle::new(size / width, tail)) {
        paths.push(bundle_path(L::BUNDLE_DIR, bundle.index(), bundle.width()));
    }
    paths
}

/// Writes files that are right to where they are not yet.
struct Writer {
    objects: Arc<dyn Objects>,
    /// Something may be there already.
    compare: bool,
    files: u64,
    bytes: u64,
    full: Vec<FullFile>,
}

impl Writer {
    fn write(&mut self, some: Vec<SoundFile>) -> Result<(), Unsound> {
        let name = |path: &str| self.objects.name(path).display().to_string();
        let mut there = Vec::new();
        if self.compare {
            let paths: Vec<String> = some.iter().map(|file| file.path.clone()).collect();
            let first = paths.first().map(|path| name(path)).unwrap_or_default();
            there = self.objects.read_many(&paths).map_err(|source| failed("read", first, source))?;
        }
        let mut new = Vec::new();
        for (SoundFile { path, bytes }, there) in
            some.into_iter().zip(there.into_iter().chain(std::iter::repeat(None)))
        {
            match there {
                Some(there) if there == bytes => {}
                Some(_) => return Err(Unsound::Taken { path: name(&path) }),
                None => new.push(FullFile { path, bytes }),
            }
        }
        let Some(first) = new.first().map(|file| name(&file.path)) else { return Ok(()) };
        self.objects.write(&new).map_err(|source| failed("write", first, source))?;
        self.files += new.len() as u64;
        self.bytes += new.iter().map(|file| file.bytes.len() as u64).sum::<u64>();
        if self.compare {
            let is_full = |file: &FullFile| file.path.starts_with("tile/") && !file.path.contains(".p/");
            let paths = new.into_iter().filter(is_full).map(|file| file.path);
            self.full.extend(paths.map(|path| FullFile { path, bytes: Bytes::new() }));
        }
        Ok(())
    }

    /// Of the tiles that became full.
    fn drop_partials(&self) -> io::Result<()> {
        self.objects.drop_partials(&self.full)
    }
}

fn not_written(error: CommitError) -> io::Error {
    match error {
        CommitError::Refused(error) | CommitError::Unknown(error) => error,
        CommitError::Superseded => io::Error::other("another checkpoint is there"),
    }
}

/// A place that is to become a log.
struct Target<'a> {
    place: &'a Place,
    disk: Arc<dyn Disk>,
    storage: Box<dyn Storage>,
    writer: Writer,
}

impl<'a> Target<'a> {
    /// An empty place, or one to which the same log was being copied.
    fn begin(disk: Arc<dyn Disk>, place: &'a Place, key: &KeyVerifier) -> Result<Self, OpenError> {
        let id = u32::from_be_bytes(key.key_id());
        let content = format!("a copy of {} with key ID {id:08x}, not whole yet\n", key.name());
        let compare;
        let storage: Box<dyn Storage> = match place {
            Place::Directory(dir) => {
                compare = disk.is_file(&dir.join(MARKER));
                let bytes = Settings::new("", Vec::new(), Arc::new(|| 0), PathBuf::new()).segment_bytes;
                Box::new(Directory::receive(Arc::clone(&disk), dir, bytes, (MARKER, content.as_bytes()))?)
            }
            Place::Bucket(BucketPlace { bucket, local, .. }) => {
                let local = Local::look(Arc::clone(&disk), local)?;
                let storage = InBucket::receive(Arc::clone(bucket), local, std::time::Duration::ZERO)?;
                compare = mark(bucket.as_ref(), &content.into())?;
                Box::new(storage)
            }
        };
        let objects = storage.objects();
        let writer = Writer { objects, compare, files: 0, bytes: 0, full: Vec::new() };
        Ok(Self { place, disk, storage, writer })
    }

    /// Copies, and reads the copy again.
    fn copy<L: Leaf>(
        &mut self,
        from: &dyn PublicFiles,
        signed: &SignedCheckpoint,
        known: &[Known],
        beside: &Beside<'_>,
    ) -> Result<Copied, Unsound> {
        let writer = &mut self.writer;
        read_log::<L>(from, signed, Edge::new(), known, beside, &mut |some| writer.write(some))?;
        let there = Kept(Arc::clone(&writer.objects));
        let sound = read_log::<L>(&there, signed, Edge::new(), known, beside, &mut |_| Ok(()))?;
        // Of a first attempt, when the log was smaller.
        if let Err(error) = writer.drop_partials() {
            tracing::warn!(%error, "old partial tiles could not be removed");
        }
        Ok(Copied { sound, before: 0, files: writer.files, bytes: writer.bytes })
    }

    /// Makes the place a log that continues this tree, or one that is only read.
    fn finish(
        mut self,
        signed: &SignedCheckpoint,
        bytes: &Bytes,
        time_ms: u64,
        closed: Option<&str>,
    ) -> Result<(), TransferError> {
        match closed {
            Some(words) => self.storage.close(words)?,
            // Of an attempt that was interrupted, when less was known.
            None if self.writer.compare => self.storage.reopen(MAY_LACK)?,
            None => {}
        }
        let objects = &self.writer.objects;
        let name = || objects.name(CHECKPOINT_PATH).display().to_string();
        let published = objects.publish_checkpoint(bytes);
        published.map_err(|error| failed("write", name(), not_written(error)))?;
        let checkpoint = &signed.checkpoint;
        self.storage.found(&Commit {
            first: checkpoint.size,
            size: checkpoint.size,
            time_ms,
            root: checkpoint.root.0,
            checkpoint: bytes,
            entries: &[],
        })?;
        let removed = match self.place {
            Place::Directory(dir) => self.disk.remove_file(&dir.join(MARKER)),
            Place::Bucket(BucketPlace { bucket, .. }) => bucket.delete_many(&[MARKER.to_owned()]),
        };
        if let Err(error) = removed {
            tracing::warn!(%error, "the mark of the copying could not be removed; it harms nothing");
        }
        Ok(())
    }
}

/// Marks a bucket without a log; true if it was marked before, by the same words.
fn mark(bucket: &dyn Bucket, content: &Bytes) -> Result<bool, OpenError> {
    let place = PathBuf::from(bucket.name());
    let io = |action| {
        let path = place.clone();
        move |source| OpenError::Io { action, path, source }
    };
    let taken = |found: &str| OpenError::NotEmpty { dir: place.clone(), found: place.join(found) };
    match bucket.get(MARKER).map_err(io("look into"))? {
        Some(marked) if marked.bytes == *content => return Ok(true),
        Some(_) => return Err(taken(MARKER)),
        None => {}
    }
    for prefix in [CLOSED, "public/", "wal/"] {
        if let Some(found) = bucket.list(prefix).map_err(io("list"))?.first() {
            return Err(taken(found));
        }
    }
    match bucket.put_if(MARKER, content, None) {
        Ok(_) => Ok(false),
        Err(crate::bucket::PutError::Changed) => Err(taken(MARKER)),
        Err(crate::bucket::PutError::Failed(source)) => Err(io("write to")(source)),
    }
}

#[cfg(test)]
mod tests;
