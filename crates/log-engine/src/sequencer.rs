//! The one thread that gives entries their place, in the one order: stage, commit, apply, cosign, publish, answer.
//!
//! A batch is whatever arrived while the last one was being made durable. Crash states, by the last step done:
//!
//! | killed after | the next start finds | whoever waited |
//! |---|---|---|
//! | stage | nothing of the batch; the signature was made but never left the process | has no answer; nothing is promised |
//! | write, before the sync returned | all of the record (then the batch is logged), or a torn tail (then it is dropped unseen) | has no answer |
//! | commit | the record: same entries, same indexes, same signed checkpoint | has no answer, finds its entry by sending it again |
//! | publish, answer | the same; tiles and `checkpoint` files may lag and are written again | has a receipt, and it holds |
//!
//! Hence at no moment two signed trees of one size can leave the process: a checkpoint leaves only after the commit,
//! and a committed batch is never replaced by another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use sealog_crypto::SignError;
use sealog_tlog::note::NoteSignature;
use sealog_tlog::{Checkpoint, Hash, InclusionProof, Leaf, SignedNote};
use tokio::sync::oneshot;

use crate::error::{AppendError, Cause};
use crate::health::Health;
use crate::index::{Index, Keyed};
use crate::outbox::{Outbox, Room};
use crate::queue::Queue;
use crate::recent::Recent;
use crate::settings::Settings;
use crate::storage::{Commit, CommitError, CommitPoint};
use crate::tree::{FullFile, Staged, Tree};
use crate::view::{Store, View, is_side_object};
use crate::{RETRY_AFTER, logged};

/// A batch of at least so many entries means load: the next one is worth a short wait.
const LOADED: usize = 16;

/// Side objects remembered as written; forgetting them costs a look at the disk.
const MAX_KNOWN_OBJECTS: usize = 1 << 16;

/// A log of timed leaves gives its last time again while the clock is behind it by no more than this, as after a small
/// correction. Further on, whoever trusts the log would be told times that have not come.
const MAX_AHEAD_MS: u64 = 60_000;

/// An entry on its way to a place.
pub(crate) struct Item<P> {
    pub(crate) pending: P,
    pub(crate) key: [u8; 32],
    /// The caller has looked for the key in every leaf below this.
    pub(crate) checked_to: u64,
    pub(crate) answer: oneshot::Sender<Result<Answer, AppendError>>,
}

/// What the sequencer tells a caller.
pub(crate) enum Answer {
    Placed(Placement),
    /// Logged before, or earlier in the same batch: readable in the current view.
    Logged {
        index: u64,
    },
}

/// A new entry and all that proves it.
pub(crate) struct Placement {
    pub(crate) time_ms: u64,
    pub(crate) encoded: Bytes,
    pub(crate) proof: InclusionProof,
    pub(crate) view: Arc<View>,
}

/// Asks others to stand by a committed checkpoint before it is published.
pub(crate) trait Cosigners: Send {
    /// Their signature lines, in the order they are to be added.
    fn cosign(&mut self, committed: &SignedNote) -> Vec<NoteSignature>;
}

/// Nobody to ask: the step is skipped.
pub(crate) struct NoCosigners;

impl Cosigners for NoCosigners {
    fn cosign(&mut self, _: &SignedNote) -> Vec<NoteSignature> {
        Vec::new()
    }
}

/// All of a log's changing state. Owned by its thread; readers see only the views it publishes.
pub(crate) struct Sequencer<L: Leaf> {
    pub(crate) settings: Settings,
    pub(crate) tree: Tree,
    pub(crate) commit_point: Box<dyn CommitPoint>,
    pub(crate) recent: Recent,
    /// No leaf gets an earlier time.
    pub(crate) last_time_ms: u64,
    pub(crate) cosigners: Box<dyn Cosigners>,
    pub(crate) known_objects: std::collections::HashSet<String>,
    /// The last batch could not be made durable, and that was said.
    pub(crate) refusing: bool,
    /// The clock is far behind the last leaf, and that was said.
    pub(crate) clock_behind: bool,
    pub(crate) queue: Arc<Queue<Item<L::Pending>>>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) view: Arc<ArcSwap<View>>,
    pub(crate) store: Arc<Store>,
    pub(crate) index: Arc<Index>,
    pub(crate) health: Arc<Health>,
}

/// When others last saw that the log has a sequencer.
struct Pulse {
    /// How often they want to, if they can.
    interval: Option<Duration>,
    last: Instant,
}

impl Pulse {
    fn felt(&mut self) {
        self.last = Instant::now();
    }

    /// Until the next beat.
    fn left(&self) -> Option<Duration> {
        self.interval.map(|interval| interval.saturating_sub(self.last.elapsed()))
    }

    fn is_due(&self) -> bool {
        self.left() == Some(Duration::ZERO)
    }
}

type Waiter = oneshot::Sender<Result<Answer, AppendError>>;

/// Entries that have a place in a batch not yet committed.
struct Batch {
    first: u64,
    time_ms: u64,
    bytes: usize,
    entries: Vec<Bytes>,
    leaf_hashes: Vec<Hash>,
    keys: Vec<Keyed>,
    /// One for each entry.
    waiters: Vec<Waiter>,
    /// Entries found again, with the leaf they are.
    duplicates: Vec<(u64, Waiter)>,
}

impl<L: Leaf> Sequencer<L> {
    /// Until the queue is closed and empty, or nothing may be signed any more. Gives back the commit point.
    pub(crate) fn run(mut self) -> Box<dyn CommitPoint> {
        // However this thread ends, nobody is left waiting.
        let _ending = Ending {
            queue: Arc::clone(&self.queue),
            health: Arc::clone(&self.health),
            outbox: Arc::clone(&self.outbox),
        };
        let mut arrived = Vec::new();
        let mut waiting: VecDeque<Item<L::Pending>> = VecDeque::new();
        let mut last_len = 0;
        let mut pulse = Pulse { interval: self.commit_point.beat_interval(), last: Instant::now() };
        loop {
            if waiting.is_empty() {
                let linger = if last_len >= LOADED { self.settings.linger } else { Duration::ZERO };
                if !self.queue.take(&mut arrived, pulse.left(), linger, last_len) {
                    return self.commit_point;
                }
            } else {
                self.queue.take_more(&mut arrived);
            }
            waiting.extend(arrived.drain(..));
            let room = loop {
                // Whatever comes in, and if all of it is refused: only a commit shows as much.
                if pulse.is_due() {
                    self.beat();
                    pulse.felt();
                }
                if let Some(room) = self.outbox.wait_for_room(pulse.left()) {
                    break room;
                }
            };
            if waiting.is_empty() {
                continue;
            }
            let refusal = match (self.health.failure(), room) {
                (Some(failure), _) => Some(AppendError::Stopped(failure.clone())),
                (None, Room::DiskFull) => Some(AppendError::StorageFull { retry_after: RETRY_AFTER }),
                (None, Room::Enough) => None,
            };
            if let Some(error) = refusal {
                refuse(waiting.drain(..).map(|item| item.answer), &error);
                continue;
            }
            let size = self.tree.size();
            last_len = self.make_batch(&mut waiting);
            if self.tree.size() > size {
                pulse.felt();
            }
        }
    }

    /// Nothing was committed for a while: others are shown that the log has a sequencer, and this one learns whether it still is it.
    pub(crate) fn beat(&mut self) {
        if self.health.failure().is_some() {
            return;
        }
        self.retire();
        if let Err(error) = self.commit_point.beat() {
            let (cause, error) = match error {
                CommitError::Superseded => (Cause::Superseded, None),
                CommitError::Refused(error) | CommitError::Unknown(error) => (Cause::Commit, Some(error)),
            };
            self.health.fail(cause, error);
            self.queue.close();
        }
    }

    /// One round; returns the number of entries it took.
    pub(crate) fn make_batch(&mut self, waiting: &mut VecDeque<Item<L::Pending>>) -> usize {
        let batch = self.stage(waiting);
        let taken = batch.entries.len() + batch.duplicates.len();
        if batch.entries.is_empty() {
            answer_duplicates(batch.duplicates);
            return taken;
        }
        let staged = self.tree.stage(batch.leaf_hashes.iter().copied(), batch.entries.clone());
        let Some(proofs) = prove::<L>(&batch, &staged) else {
            // A log whose proofs do not verify must not go on signing.
            self.stop(batch, Cause::Proof, None);
            return taken;
        };
        let signed = match sign(&self.settings, &staged, batch.time_ms) {
            Ok(signed) => signed,
            Err(error) => {
                self.refuse_batch(batch, &AppendError::Sign(error));
                return taken;
            }
        };
        match self.commit(&batch, &staged, &signed) {
            Ok(()) => {
                self.refusing = false;
                self.apply_and_publish(batch, staged, proofs, signed);
            }
            Err(CommitError::Refused(error)) => {
                if !std::mem::replace(&mut self.refusing, true) {
                    tracing::warn!(%error, "entries are refused: they cannot be made durable for now");
                }
                self.refuse_batch(batch, &AppendError::StorageFull { retry_after: RETRY_AFTER });
            }
            Err(CommitError::Superseded) => self.stop(batch, Cause::Superseded, None),
            Err(CommitError::Unknown(error)) => self.stop(batch, Cause::Commit, Some(error)),
        }
        taken
    }

    fn stop(&mut self, batch: Batch, cause: Cause, error: Option<std::io::Error>) {
        let failure = self.health.fail(cause, error);
        self.queue.close();
        self.refuse_batch(batch, &AppendError::Stopped(failure));
    }

    /// Gives waiting entries their places, up to the size of a batch.
    fn stage(&mut self, waiting: &mut VecDeque<Item<L::Pending>>) -> Batch {
        let first = self.tree.size();
        let now_ms = (self.settings.clock)();
        let time_ms = now_ms.max(self.last_time_ms);
        let behind = clock_behind::<L>(self.last_time_ms, now_ms);
        self.tell_of_clock(behind.as_ref());
        let mut batch = Batch {
            first,
            time_ms,
            bytes: 0,
            entries: Vec::with_capacity(waiting.len()),
            leaf_hashes: Vec::with_capacity(waiting.len()),
            keys: Vec::with_capacity(waiting.len()),
            waiters: Vec::with_capacity(waiting.len()),
            duplicates: Vec::new(),
        };
        while batch.bytes < self.settings.max_batch_bytes
            && let Some(item) = waiting.pop_front()
        {
            let index = first + batch.entries.len() as u64;
            match self.place(&item, index, time_ms, behind.as_ref()) {
                Ok(Place::Logged(index)) => batch.duplicates.push((index, item.answer)),
                Ok(Place::New { leaf_hash, encoded }) => {
                    batch.keys.push((item.key, first + batch.entries.len() as u64));
                    batch.bytes += encoded.len();
                    batch.leaf_hashes.push(leaf_hash);
                    batch.entries.push(encoded);
                    batch.waiters.push(item.answer);
                    self.recent.push(item.key);
                }
                Err(error) => refuse([item.answer], &error),
            }
        }
        batch
    }

    /// Says at once what the first entry would meet.
    pub(crate) fn look_at_clock(&mut self) {
        let behind = clock_behind::<L>(self.last_time_ms, (self.settings.clock)());
        self.tell_of_clock(behind.as_ref());
    }

    fn tell_of_clock(&mut self, behind: Option<&AppendError>) {
        match (behind, std::mem::replace(&mut self.clock_behind, behind.is_some())) {
            (Some(error), false) => tracing::error!(%error, "entries are refused: {CLOCK_HINT}"),
            (None, true) => {
                tracing::info!("the clock has reached the log's last entry: entries are taken again")
            }
            _ => {}
        }
    }

    fn place(
        &mut self,
        item: &Item<L::Pending>,
        index: u64,
        time_ms: u64,
        behind: Option<&AppendError>,
    ) -> Result<Place, AppendError> {
        if let Some(index) = self.recent.find(&item.key) {
            return Ok(Place::Logged(index));
        }
        if item.checked_to < self.recent.floor()
            && let Some(index) = logged::find::<L>(&self.index, &self.view.load(), &item.key)
                .map_err(|error| AppendError::Read(Arc::new(error)))?
        {
            return Ok(Place::Logged(index));
        }
        if let Some(behind) = behind {
            return Err(behind.clone());
        }
        let placed = L::place(&item.pending, index, time_ms).map_err(AppendError::Entry)?;
        let (size, limit) = (placed.encoded.len(), self.settings.max_batch_bytes);
        if size > limit {
            return Err(AppendError::TooLarge { size, limit });
        }
        for (path, bytes) in L::side_objects(&item.pending) {
            self.write_side_object(path, &bytes)?;
        }
        Ok(Place::New { leaf_hash: placed.leaf_hash, encoded: placed.encoded.into() })
    }

    /// Durable before the commit that needs it: a published entry's side objects can always be read. One too many,
    /// left by a batch that was refused, harms nobody.
    fn write_side_object(&mut self, path: String, bytes: &[u8]) -> Result<(), AppendError> {
        if self.known_objects.contains(&path) || !is_side_object(&path) {
            debug_assert!(is_side_object(&path), "{path} cannot be read back");
            return Ok(());
        }
        let objects = self.store.objects();
        match objects.write(&[FullFile { path: path.clone(), bytes: Bytes::copy_from_slice(bytes) }]) {
            Ok(()) => {}
            Err(error) if objects.passes(&error) => {
                return Err(AppendError::StorageFull { retry_after: RETRY_AFTER });
            }
            Err(error) => {
                self.queue.close();
                return Err(AppendError::Stopped(self.health.fail(Cause::PublicFile, Some(error))));
            }
        }
        if self.known_objects.len() >= MAX_KNOWN_OBJECTS {
            self.known_objects.clear();
        }
        self.known_objects.insert(path);
        Ok(())
    }

    /// The one step that decides.
    fn commit(&mut self, batch: &Batch, staged: &Staged, signed: &SignedNote) -> Result<(), CommitError> {
        // A side object may have failed for good while the batch was staged.
        if let Some(failure) = self.health.failure() {
            return Err(CommitError::Unknown(std::io::Error::other(failure.clone())));
        }
        self.commit_point.commit(&Commit {
            first: batch.first,
            size: staged.size(),
            time_ms: batch.time_ms,
            root: staged.root().0,
            checkpoint: signed.encode().as_bytes(),
            entries: staged.entries(),
        })
    }

    /// Everything after the commit. Nothing here can fail; it only has to happen in this order.
    fn apply_and_publish(
        &mut self,
        batch: Batch,
        staged: Staged,
        proofs: Vec<InclusionProof>,
        mut signed: SignedNote,
    ) {
        let (size, root) = (staged.size(), staged.root());
        self.last_time_ms = batch.time_ms;
        let full = self.tree.apply(staged);

        let cosignatures = self.cosigners.cosign(&signed);
        signed.signatures.extend(cosignatures);

        // Finished tiles are readable before the checkpoint that names them.
        self.store.hold(&full);
        self.outbox.hand_over(full, batch.keys, size, root);
        let view = Arc::new(View::new(&self.tree, root, signed.encode().into(), Arc::clone(&self.store)));
        self.view.store(Arc::clone(&view));

        let placed = batch.waiters.into_iter().zip(batch.entries).zip(proofs);
        for ((waiter, encoded), proof) in placed {
            let view = Arc::clone(&view);
            let placement = Placement { time_ms: batch.time_ms, encoded, proof, view };
            // A caller that has gone away finds its entry when it asks again.
            let _ = waiter.send(Ok(Answer::Placed(placement)));
        }
        answer_duplicates(batch.duplicates);
        self.tidy();
    }

    /// Housekeeping between batches.
    fn tidy(&mut self) {
        self.recent.shrink(self.index.complete_to());
        if self.commit_point.wants_preparation() {
            self.outbox.want_segment();
        }
        self.retire();
    }

    fn retire(&mut self) {
        if let Err(error) = self.commit_point.retire(self.outbox.durable(), self.outbox.published()) {
            tracing::warn!(%error, "an old write-ahead segment could not be removed");
        }
    }

    /// Nothing of the batch was committed: the tree is as before, and so must be what we remember.
    fn refuse_batch(&mut self, batch: Batch, error: &AppendError) {
        self.recent.forget_from(batch.first);
        let (of_this_batch, of_earlier): (Vec<_>, Vec<_>) =
            batch.duplicates.into_iter().partition(|(index, _)| *index >= batch.first);
        refuse(batch.waiters.into_iter().chain(of_this_batch.into_iter().map(|(_, waiter)| waiter)), error);
        answer_duplicates(of_earlier);
    }
}

/// What to do about it.
const CLOCK_HINT: &str =
    "correct this machine's clock; if it was the last entry's that was wrong, wait, or begin a successor";

/// Why no entry is taken, if the clock is too far behind the last leaf.
fn clock_behind<L: Leaf>(last_ms: u64, now_ms: u64) -> Option<AppendError> {
    let behind_ms = last_ms.saturating_sub(now_ms);
    let retry_after = Duration::from_millis(behind_ms.min(MAX_AHEAD_MS));
    (L::TIMED && behind_ms > MAX_AHEAD_MS).then_some(AppendError::ClockBehind {
        last_ms,
        now_ms,
        retry_after,
    })
}

enum Place {
    New { leaf_hash: Hash, encoded: Bytes },
    Logged(u64),
}

/// A proof for each entry of the batch; `None` if they prove nothing, which would be a defect of ours.
///
/// All are read from one tree by one rule, so the first and the last are verified for all: from the bytes that will be
/// served to the root that will be signed.
fn prove<L: Leaf>(batch: &Batch, staged: &Staged) -> Option<Vec<InclusionProof>> {
    let proofs = (batch.first..staged.size()).map(|index| staged.prove(index)).collect::<Option<Vec<_>>>()?;
    let root = staged.root();
    let holds = |(entry, proof): (&Bytes, &InclusionProof)| {
        L::leaf_hash(entry).is_ok_and(|leaf_hash| proof.verify(&leaf_hash, &root).is_ok())
    };
    let mut proven = batch.entries.iter().zip(&proofs);
    let hold = proven.next().is_none_or(holds) && proven.next_back().is_none_or(holds);
    hold.then_some(proofs)
}

/// The checkpoint of the staged tree with the log's signatures. It must not leave the process before the commit.
pub(crate) fn sign(settings: &Settings, staged: &Staged, time_ms: u64) -> Result<SignedNote, SignError> {
    let checkpoint = Checkpoint {
        origin: settings.origin.clone(),
        size: staged.size(),
        root: staged.root(),
        extensions: Vec::new(),
    };
    let mut note = SignedNote::new(checkpoint.encode());
    settings.signers.iter().try_for_each(|signer| note.sign(signer.as_ref(), time_ms))?;
    Ok(note)
}

fn refuse(waiters: impl IntoIterator<Item = Waiter>, error: &AppendError) {
    for waiter in waiters {
        let _ = waiter.send(Err(error.clone()));
    }
}

fn answer_duplicates(duplicates: Vec<(u64, Waiter)>) {
    for (index, waiter) in duplicates {
        let _ = waiter.send(Ok(Answer::Logged { index }));
    }
}

/// Runs when the thread ends, also by a panic: the queue takes nothing more and holds nobody.
struct Ending<T> {
    queue: Arc<Queue<T>>,
    health: Arc<Health>,
    outbox: Arc<Outbox>,
}

impl<T> Drop for Ending<T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.health.fail(Cause::Thread, None);
        }
        self.queue.close();
        self.queue.take_more(&mut Vec::new());
        self.outbox.close();
    }
}
