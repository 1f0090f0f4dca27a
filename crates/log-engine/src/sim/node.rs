//! One process that runs the log, as the simulator drives it: the engine's own parts, step by step, without threads.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sealog_tlog::{EntryBytes, EntryLeaf, Leaf, SignedCheckpoint};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::bucket::SimBucket;
use super::disk::SimDisk;
use super::model::{Model, Outcome, broken};
use super::sabotage::Sabotage;
use crate::assembly::{Parts, assemble};
use crate::bucket::{InBucket, Local};
use crate::directory::Directory;
use crate::disk::Disk;
use crate::error::{AppendError, OpenError};
use crate::flusher::Next;
use crate::logged;
use crate::memory;
use crate::queue::Refused;
use crate::receipt::Receipt;
use crate::sequencer::{Answer, Item};
use crate::settings::Settings;
use crate::storage::Storage;

type Answered = oneshot::Receiver<Result<Answer, AppendError>>;

/// Where a node keeps the log.
#[derive(Clone)]
pub(super) enum Kept {
    Directory,
    Bucket(SimBucket),
}

pub(super) struct Node {
    root: PathBuf,
    pub(super) disk: SimDisk,
    pub(super) kept: Kept,
    settings: Settings,
    engine: Option<Engine>,
}

struct Engine {
    parts: Parts<EntryLeaf>,
    /// What the sequencer has taken from the queue and not yet looked at.
    waiting: VecDeque<Item<EntryBytes>>,
    asked: Vec<(Vec<u8>, Answered)>,
}

impl Node {
    pub(super) fn new(root: &Path, disk: SimDisk, kept: Kept, settings: Settings) -> Self {
        Self { root: root.to_owned(), disk, kept, settings, engine: None }
    }

    pub(super) fn is_up(&self) -> bool {
        self.engine.is_some()
    }

    fn storage(&self, create: bool) -> Result<Box<dyn Storage>, OpenError> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let bytes = self.settings.segment_bytes;
        Ok(match (&self.kept, create) {
            (Kept::Directory, true) => Box::new(Directory::create(disk, &self.root.join("log"), bytes)?),
            (Kept::Directory, false) => Box::new(Directory::open(disk, &self.root.join("log"), bytes)?),
            (Kept::Bucket(bucket), create) => {
                let local = Local::open(disk, &self.root.join("local"), String::new())?;
                let (bucket, lease) = (Arc::new(bucket.clone()), self.settings.lease);
                match create {
                    true => Box::new(InBucket::create(bucket, local, lease)?),
                    false => Box::new(InBucket::open(bucket, local, lease, true)?),
                }
            }
        })
    }

    pub(super) fn create(&self, seed: &[u8]) -> Result<(), OpenError> {
        let mut storage = self.storage(true)?;
        crate::assembly::found::<EntryLeaf>(
            storage.as_mut(),
            &self.settings,
            Some(&EntryBytes(seed.to_vec())),
        )
    }

    /// Starts the process, which reads the log back.
    pub(super) fn open(&mut self, sabotage: Option<&Sabotage>) -> Result<(), OpenError> {
        let mut parts = assemble::<EntryLeaf>(self.storage(false)?, self.settings.clone())?;
        if let Some(sabotage) = sabotage {
            let honest =
                std::mem::replace(&mut parts.sequencer.commit_point, Box::new(super::sabotage::Nothing));
            parts.sequencer.commit_point = sabotage.around(honest);
        }
        self.engine = Some(Engine { parts, waiting: VecDeque::new(), asked: Vec::new() });
        Ok(())
    }

    fn set_calm(&self, calm: bool) {
        self.disk.set_calm(calm);
        if let Kept::Bucket(bucket) = &self.kept {
            bucket.set_calm(calm);
        }
    }

    /// The recovered log holds all that was seen of it when it was taken: so many entries.
    pub(super) fn check_opened(&self, model: &mut Model, known: usize) -> Outcome {
        let Some(engine) = &self.engine else { return Ok(()) };
        self.set_calm(true);
        let opened = model.opened(&engine.parts.view.load(), known);
        self.set_calm(false);
        opened
    }

    /// The process ends at once.
    pub(super) fn kill(&mut self) {
        self.engine = None;
    }

    /// A caller sends an entry, the way `Log::append` takes it.
    pub(super) fn append(&mut self, entry: &[u8], model: &mut Model) -> Outcome {
        let Some(engine) = &mut self.engine else { return Ok(()) };
        let Parts { index, view, queue, health, .. } = &engine.parts;
        if health.failure().is_some() {
            return Ok(());
        }
        let pending = EntryBytes(entry.to_vec());
        let key = EntryLeaf::dedup_key(&pending);
        let checked_to = index.complete_to();
        let view = view.load_full();
        match logged::find::<EntryLeaf>(index, &view, &key) {
            Ok(None) => {}
            Ok(Some(found)) => {
                return match logged::receipt::<EntryLeaf>(&view, found) {
                    Ok(receipt) => model.told(entry, &receipt, &view),
                    // Damaged: the caller is told.
                    Err(_) => Ok(()),
                };
            }
            // The caller is told that it could not be looked for.
            Err(_) => return Ok(()),
        }
        let (answer, answered) = oneshot::channel();
        match queue.push(Item { pending, key, checked_to, answer }) {
            Ok(()) => engine.asked.push((entry.to_vec(), answered)),
            Err(Refused::Full | Refused::Closed) => {}
        }
        Ok(())
    }

    /// One batch, or a sign of life.
    pub(super) fn make_batch(&mut self) {
        let Some(engine) = &mut self.engine else { return };
        let mut arrived = Vec::new();
        engine.parts.queue.take_more(&mut arrived);
        engine.waiting.extend(arrived);
        let sequencer = &mut engine.parts.sequencer;
        if engine.parts.health.failure().is_none() {
            match engine.waiting.is_empty() {
                true => sequencer.beat(),
                false => drop(sequencer.make_batch(&mut engine.waiting)),
            }
        }
    }

    /// What callers hear, and what readers of the process see.
    pub(super) fn listen(&mut self, model: &mut Model) -> Outcome {
        self.set_calm(true);
        let heard = self.hear(model);
        self.set_calm(false);
        heard
    }

    fn hear(&mut self, model: &mut Model) -> Outcome {
        let Some(engine) = &mut self.engine else { return Ok(()) };
        let view = engine.parts.view.load_full();
        model.saw(view.checkpoint(), Some(&view))?;
        let mut still = Vec::new();
        for (entry, mut answered) in std::mem::take(&mut engine.asked) {
            match answered.try_recv() {
                Err(TryRecvError::Empty) => still.push((entry, answered)),
                Err(TryRecvError::Closed) | Ok(Err(AppendError::Stopped(_) | AppendError::Read(_))) => {}
                Ok(Err(AppendError::StorageFull { .. } | AppendError::Overloaded { .. })) => {
                    model.was_refused(entry);
                }
                Ok(Err(other)) => return broken!("an entry was refused: {other}"),
                Ok(Ok(Answer::Placed(placed))) => {
                    let receipt = Receipt {
                        index: placed.proof.index,
                        time_ms: Some(placed.time_ms),
                        encoded: placed.encoded,
                        duplicate: false,
                        proof: placed.proof,
                        root: placed.view.root(),
                        checkpoint: placed.view.checkpoint().clone(),
                    };
                    model.told(&entry, &receipt, &placed.view)?;
                }
                Ok(Ok(Answer::Logged { index })) => {
                    // Damaged: the caller is told.
                    if let Ok(receipt) = logged::receipt::<EntryLeaf>(&view, index) {
                        model.told(&entry, &receipt, &view)?;
                    }
                }
            }
        }
        engine.asked = still;
        Ok(())
    }

    /// The flusher wakes at this time.
    pub(super) fn flush(&mut self, now: Instant) {
        if let Some(engine) = &mut self.engine {
            // What it cannot do it says to the flusher, the way its thread would.
            if engine.parts.indexer.step().is_err() {
                engine.parts.queue.close();
            }
            if engine.parts.flusher.step(now) == Next::End {
                engine.parts.queue.close();
            }
        }
    }

    /// The process has found that it must stop.
    pub(super) fn has_failed(&self) -> bool {
        self.engine.as_ref().is_some_and(|engine| engine.parts.health.failure().is_some())
    }

    /// An orderly end: what was accepted is answered, everything is written, the log is let go. True if it was one.
    pub(super) fn finish(&mut self, now: Instant) -> bool {
        let Some(engine) = &mut self.engine else { return false };
        engine.parts.queue.close();
        for _ in 0..100 {
            self.make_batch();
            match &self.engine {
                Some(engine) if !engine.waiting.is_empty() && engine.parts.health.failure().is_none() => {}
                _ => break,
            }
        }
        let Some(Engine { parts, .. }) = &mut self.engine else { return false };
        let Parts { sequencer, flusher, health, view, signing, .. } = parts;
        sequencer.outbox.close();
        flusher.step(now + Duration::from_secs(1));
        if health.failure().is_some() {
            return false;
        }
        let (durable, published) = (sequencer.outbox.durable(), sequencer.outbox.published());
        // Failing, it leaves an old record or the mark where they are.
        let _ = sequencer.commit_point.retire(durable, published);
        let released = sequencer.commit_point.release().is_ok();
        let _ = signing.ended(view.load().checkpoint());
        released
    }

    /// What the key remembers on this machine is all that it has signed, unless the mark beside it stands.
    pub(super) fn check_memory(&self, model: &Model) -> Outcome {
        let seen = &self.settings.first_seen;
        let Kept::Directory = self.kept else { return Ok(()) };
        if self.disk.look(&memory::mark_path(seen)).is_some() {
            return Ok(());
        }
        let remembered = self.disk.look(seen).and_then(|bytes| SignedCheckpoint::parse(&bytes).ok());
        let (remembered, signed) =
            (remembered.map_or(0, |signed| signed.checkpoint.size), model.entries.len() as u64);
        match remembered < signed {
            true => broken!("{signed} entries were signed, {remembered} are remembered, and no mark stands"),
            false => Ok(()),
        }
    }

    /// What somebody reads who has only what is published in its directory.
    pub(super) fn public(&self, path: &str) -> Option<Vec<u8>> {
        self.disk.look(&self.root.join("log/public").join(path))
    }
}
