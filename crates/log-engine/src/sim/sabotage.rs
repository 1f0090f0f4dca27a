//! Engines that are wrong on purpose: each must be found out, or the simulator proves nothing.

use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::storage::{Commit, CommitError, CommitPoint};

/// Checkpoints that were seen outside before their time.
pub(super) type Leaks = Arc<Mutex<Vec<Vec<u8>>>>;

/// What is done wrongly.
#[derive(Clone)]
pub(super) enum Sabotage {
    /// Callers are answered, and the batch is made durable when the next one comes.
    AnswerBeforeCommit,
    /// The signed checkpoint is shown to somebody before the sync.
    SignatureBeforeSync(Leaks),
}

impl Sabotage {
    pub(super) fn around(&self, honest: Box<dyn CommitPoint>) -> Box<dyn CommitPoint> {
        match self {
            Self::AnswerBeforeCommit => Box::new(Late { honest, owed: None }),
            Self::SignatureBeforeSync(leaks) => Box::new(Leaky { honest, leaks: Arc::clone(leaks) }),
        }
    }
}

/// A commit point that is about to be replaced.
pub(super) struct Nothing;

impl CommitPoint for Nothing {
    fn commit(&mut self, _: &Commit<'_>) -> Result<(), CommitError> {
        Err(CommitError::Superseded)
    }

    fn retire(&mut self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn wants_preparation(&self) -> bool {
        false
    }
}

struct Owed {
    first: u64,
    size: u64,
    time_ms: u64,
    root: [u8; 32],
    checkpoint: Vec<u8>,
    entries: Vec<Bytes>,
}

struct Late {
    honest: Box<dyn CommitPoint>,
    owed: Option<Owed>,
}

impl Late {
    fn pay(&mut self) -> Result<(), CommitError> {
        let Some(Owed { first, size, time_ms, root, checkpoint, entries }) = self.owed.take() else {
            return Ok(());
        };
        self.honest.commit(&Commit { first, size, time_ms, root, checkpoint: &checkpoint, entries: &entries })
    }
}

impl CommitPoint for Late {
    fn commit(&mut self, batch: &Commit<'_>) -> Result<(), CommitError> {
        self.pay()?;
        let Commit { first, size, time_ms, root, checkpoint, entries } = *batch;
        let (checkpoint, entries) = (checkpoint.to_vec(), entries.to_vec());
        self.owed = Some(Owed { first, size, time_ms, root, checkpoint, entries });
        Ok(())
    }

    fn retire(&mut self, full: u64, published: u64) -> io::Result<()> {
        self.honest.retire(full, published)
    }

    fn wants_preparation(&self) -> bool {
        self.honest.wants_preparation()
    }

    fn release(&mut self) -> Result<(), CommitError> {
        self.pay()?;
        self.honest.release()
    }
}

struct Leaky {
    honest: Box<dyn CommitPoint>,
    leaks: Leaks,
}

impl CommitPoint for Leaky {
    fn commit(&mut self, batch: &Commit<'_>) -> Result<(), CommitError> {
        self.leaks.lock().unwrap().push(batch.checkpoint.to_vec());
        self.honest.commit(batch)
    }

    fn retire(&mut self, full: u64, published: u64) -> io::Result<()> {
        self.honest.retire(full, published)
    }

    fn wants_preparation(&self) -> bool {
        self.honest.wants_preparation()
    }

    fn release(&mut self) -> Result<(), CommitError> {
        self.honest.release()
    }
}
