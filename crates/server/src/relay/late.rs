//! Entries that an answer left without: what becomes of them is kept until they are asked for again.
//!
//! Whoever asks again waits on where it had waited, so that an entry makes way however slow it is. Nothing depends on
//! this being kept: what is lost of it is asked of the log anew, which knows its entries.

use sealog_crypto::sha256;
use sealog_log_engine::{AppendError, Receipt};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinSet};

/// Entries kept at a time. Asked for again at once, those beyond would be looked for twice.
const MAX_KEPT: usize = 4096;
/// How long after the last one of an answer is known: whoever wants to know asks again at once.
const KEPT: Duration = Duration::from_secs(5);

/// What the log said of an entry.
pub(super) type Appended = Result<Receipt, AppendError>;

/// An entry on its way into the log, by its place in the request.
pub(super) type Appending = JoinSet<(usize, Appended)>;

#[derive(Default)]
pub(super) struct Late {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By the digest of the bytes they came in, each with the answer that left it out.
    kept: HashMap<[u8; 32], (u64, oneshot::Receiver<Appended>)>,
    answers: u64,
}

impl Late {
    /// Whether there are any: then it is worth asking for each entry.
    pub(super) fn is_empty(&self) -> bool {
        self.inner().kept.is_empty()
    }

    /// What becomes of this entry, if it was left out.
    pub(super) fn take(&self, entry: &[u8]) -> Option<oneshot::Receiver<Appended>> {
        self.inner().kept.remove(&sha256(entry)).map(|(_, known)| known)
    }

    /// Keeps what becomes of these entries (by their places) of a request that is answered now. Returns those there is no place
    /// for.
    pub(super) fn keep<'a>(
        self: &Arc<Self>,
        mut appending: Appending,
        left: impl Iterator<Item = (usize, &'a [u8])>,
    ) -> Vec<usize> {
        let (mut tell, mut beyond) = (HashMap::new(), Vec::new());
        let answer = {
            let mut inner = self.inner();
            inner.answers = inner.answers.wrapping_add(1);
            let answer = inner.answers;
            for (n, entry) in left {
                if inner.kept.len() >= MAX_KEPT {
                    beyond.push(n);
                    continue;
                }
                let (sender, known) = oneshot::channel();
                inner.kept.insert(sha256(entry), (answer, known));
                tell.insert(n, sender);
            }
            answer
        };
        let this = Arc::clone(self);
        tokio::spawn(async move {
            while let Some(appended) = appending.join_next().await {
                if let Ok((n, appended)) = appended
                    && let Some(sender) = tell.remove(&n)
                {
                    // Whoever took it may have gone.
                    let _ = sender.send(appended);
                }
            }
            drop(tell);
            tokio::time::sleep(KEPT).await;
            this.inner().kept.retain(|_, (of, _)| *of != answer);
        });
        beyond
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
