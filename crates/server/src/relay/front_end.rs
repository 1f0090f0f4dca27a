//! The side that hands entries on, and believes nothing of what comes back.
//!
//! An entry waits in a bounded queue, goes out with those that came with it, and is sent again, to whoever has the log by
//! then, until it has a receipt that holds or its caller's time is up. What the sequencer does not know yet is asked for
//! again apart from the others, which it would hold up. A caller that is told nothing may have its entry in
//! the log; asking again says where. Reading is from the bucket, whose `checkpoint` is only replaced once everything under
//! it is there; what a receipt's newer checkpoint promises besides is asked of the sequencer.

use super::{
    Carried,
    finder::{Finder, Target},
    sequencer,
    wire::{self, Answer, Logged, Outcome},
};
use crate::http::{ApiError, Code, chain};
use bytes::Bytes;
use http::StatusCode;
use sealog_client::http::{Client, Request, below};
use sealog_log_engine::{AppendError, ReadError, Reader, Receipt};
use sealog_tlog::{Hash, InclusionProof, SignedCheckpoint, note::NoteVerifier, tile::CHECKPOINT_PATH};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};

/// A caller's patience: longer than a lease and what comes after it, shorter than clients wait.
const APPEND_TIME: Duration = Duration::from_secs(25);
/// Requests under way at a time, and bytes of entries in one.
const SLOTS: usize = 8;
/// And of those that ask again for what was not known yet.
const LATE_SLOTS: usize = 2;
const REQUEST_BYTES: usize = 1 << 20;
/// Pauses before the next attempt.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LAST_PAUSE: Duration = Duration::from_secs(1);
/// While an answer is waited for, the head is looked at so often: whoever was asked may have lost the log.
const LOOK: Duration = Duration::from_secs(1);
/// How old a checkpoint may be that is read.
const CHECKPOINT_AGE: Duration = Duration::from_millis(200);
/// Reads that go to the sequencer at a time, the time for one, and bytes of one.
const READS: usize = 16;
const READ_TIME: Duration = Duration::from_secs(5);
const MAX_READ: usize = 64 << 20;
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Reads from buckets at one time, in this process.
static BUCKET_READS: Semaphore = Semaphore::const_new(32);

/// Whether what is said of a receipt besides holds.
type Check = Arc<dyn Fn(&Receipt, &[u8]) -> anyhow::Result<()> + Send + Sync>;

/// By what a front end knows its log.
#[derive(Clone)]
pub struct Trust {
    /// Whose checkpoints count.
    pub log: Arc<dyn NoteVerifier + Send + Sync>,
    /// Whether a receipt's voucher holds.
    pub voucher: Check,
}

/// Why an entry got no receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It never will.
    Invalid(String),
    /// As many wait as may wait.
    Overloaded(Duration),
    /// Nothing can be written for now.
    StorageFull(Duration),
    /// The log takes no more.
    Ended,
    /// No sequencer gave one in time; the entry may be in the log.
    Late,
}

struct Waiting {
    key: [u8; 32],
    /// How often it came back.
    returns: u32,
    bytes: Vec<u8>,
    answer: oneshot::Sender<Result<(Receipt, Vec<u8>), Refusal>>,
}

/// Those of a batch that got no answer.
#[derive(Default)]
struct Left {
    /// Whoever has the log then is to be asked.
    elsewhere: Vec<Waiting>,
    /// The same one is to be asked again.
    later: Vec<Waiting>,
}

fn not_the_logs() -> ApiError {
    ApiError::internal("the log failed").because("the checkpoint in the bucket is not the log's")
}

fn queue_up(queue: &mpsc::Sender<Waiting>, waiting: Waiting) {
    if let Err(mpsc::error::TrySendError::Full(waiting)) = queue.try_send(waiting) {
        // Whoever asked may have gone.
        let _ = waiting.answer.send(Err(Refusal::Overloaded(RETRY_AFTER)));
    }
}

/// A log whose sequencer is another process.
pub struct FrontEnd<L: Carried> {
    queue: mpsc::Sender<Waiting>,
    _late: mpsc::Sender<Waiting>,
    patience: Duration,
    inner: Arc<Inner<L>>,
}

struct Inner<L: Carried> {
    service: &'static str,
    finder: Finder,
    client: Client,
    trust: Trust,
    reader: Arc<Reader>,
    /// The newest that was read, and when.
    checkpoint: Mutex<Option<(Instant, u64, Bytes)>>,
    reads: Semaphore,
    /// For entries that come back.
    queue: mpsc::WeakSender<Waiting>,
    /// For those that are to be asked for again.
    late: mpsc::WeakSender<Waiting>,
    kind: std::marker::PhantomData<fn() -> L>,
}

impl<L: Carried> FrontEnd<L> {
    /// Of the log that is read there. Up to `max_pending` entries may wait.
    #[must_use]
    pub fn start(service: &'static str, reader: Reader, trust: Trust, max_pending: usize) -> Self {
        let reader = Arc::new(reader);
        let max_pending = max_pending.clamp(1, Semaphore::MAX_PERMITS);
        let (queue, waiting) = mpsc::channel(max_pending);
        let (late, waiting_longer) = mpsc::channel(max_pending);
        let inner = Arc::new(Inner {
            service,
            finder: Finder::new(service, Arc::clone(&reader)),
            client: Client::new(),
            trust,
            reader,
            checkpoint: Mutex::default(),
            reads: Semaphore::new(READS),
            queue: queue.downgrade(),
            late: late.downgrade(),
            kind: std::marker::PhantomData,
        });
        tokio::spawn(Arc::clone(&inner).hand_on(waiting, SLOTS));
        tokio::spawn(Arc::clone(&inner).hand_on(waiting_longer, LATE_SLOTS));
        Self { queue, _late: late, patience: APPEND_TIME, inner }
    }

    /// Hands an entry on, and waits for a receipt that holds.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn append(&self, pending: L::Pending) -> Result<(Receipt, Vec<u8>), Refusal> {
        let invalid = |error| Refusal::Invalid(chain(&AppendError::Entry(error)));
        let bytes = L::encode(&pending).map_err(invalid)?;
        if bytes.len() > wire::MAX_REQUEST / 2 {
            return Err(Refusal::Invalid("the entry is too long".to_owned()));
        }
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { key: L::dedup_key(&pending), returns: 0, bytes, answer };
        self.queue.try_send(waiting).map_err(|_| Refusal::Overloaded(RETRY_AFTER))?;
        match tokio::time::timeout(self.patience, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(Refusal::Late),
        }
    }

    /// What the log has under this path; one that has ended most likely has nothing but what is published.
    ///
    /// # Errors
    /// 404; 503 when whoever has it cannot be asked.
    pub async fn read(&self, path: String, ended: bool) -> Result<Bytes, ApiError> {
        match path == CHECKPOINT_PATH {
            true => self.inner.checkpoint().await,
            false => self.inner.read(path, ended).await,
        }
    }

    /// Entries under the newest checkpoint that was read here.
    #[must_use]
    pub fn size(&self) -> u64 {
        let held = self.inner.checkpoint.try_lock();
        held.ok().and_then(|held| held.as_ref().map(|(_, size, _)| *size)).unwrap_or_default()
    }
}

impl<L: Carried> Inner<L> {
    /// Until there is nobody left who could send anything.
    async fn hand_on(self: Arc<Self>, mut waiting: mpsc::Receiver<Waiting>, slots: usize) {
        let slots = Arc::new(Semaphore::new(slots));
        while let Some(first) = waiting.recv().await {
            let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
            let mut bytes = first.bytes.len();
            let mut batch = vec![first];
            while batch.len() < wire::MAX_ENTRIES && bytes < REQUEST_BYTES {
                let Ok(next) = waiting.try_recv() else { break };
                bytes = bytes.saturating_add(next.bytes.len());
                batch.push(next);
            }
            let this = Arc::clone(&self);
            tokio::spawn(async move {
                this.deliver(batch).await;
                drop(slot);
            });
        }
    }

    /// Until they were all heard, or nobody waits for an answer.
    async fn deliver(self: Arc<Self>, mut batch: Vec<Waiting>) {
        let mut pause = FIRST_PAUSE;
        let mut target = self.finder.any().await;
        loop {
            batch.retain(|waiting| !waiting.answer.is_closed());
            if batch.is_empty() {
                return;
            }
            if let Some(target) = &target {
                match self.ask(target, &batch).await {
                    Ok(answer) => {
                        let asked = Instant::now();
                        let Left { elsewhere, later } = self.hand_out(answer, batch);
                        // Not here, where others would wait behind those that nobody can answer.
                        for waiting in elsewhere {
                            tokio::spawn(Arc::clone(&self).again(waiting, asked));
                        }
                        if !later.is_empty() {
                            tokio::spawn(Arc::clone(&self).later(later));
                        }
                        return;
                    }
                    Err(reason) => {
                        let entries = batch.len();
                        tracing::warn!(service = self.service, url = %target.url, entries, reason, "no receipts");
                    }
                }
            }
            let asked = Instant::now();
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(LAST_PAUSE);
            target = self.finder.since(asked).await;
        }
    }

    /// Sends an entry off once more, after some time, to whoever has the log then.
    async fn again(self: Arc<Self>, mut waiting: Waiting, asked: Instant) {
        let pause = FIRST_PAUSE.saturating_mul(1 << waiting.returns.min(16)).min(LAST_PAUSE);
        tokio::time::sleep(pause).await;
        self.finder.since(asked).await;
        waiting.returns = waiting.returns.saturating_add(1);
        let Some(queue) = self.queue.upgrade() else { return };
        queue_up(&queue, waiting);
    }

    /// Asks again for what was not known yet.
    async fn later(self: Arc<Self>, left: Vec<Waiting>) {
        // A sequencer that is asked does not answer before it knows one of them, or for long; one that does is not believed.
        tokio::time::sleep(FIRST_PAUSE).await;
        let Some(queue) = self.late.upgrade() else { return };
        left.into_iter().for_each(|waiting| queue_up(&queue, waiting));
    }

    /// One request; given up when another sequencer has the log.
    async fn ask(&self, target: &Arc<Target>, batch: &[Waiting]) -> Result<Answer, String> {
        let entries = batch.iter().map(|waiting| waiting.bytes.as_slice());
        let message = wire::request(entries).ok_or("an entry is too long")?;
        let request = Request::post(below(&target.url, sequencer::APPEND), sequencer::CONTENT_TYPE, message)
            .authorization(&target.authorization())
            .past_proxy()
            .limit(wire::MAX_ANSWER)
            .timeout(APPEND_TIME);
        let replaced = async {
            loop {
                tokio::time::sleep(LOOK).await;
                let now = self.finder.since(Instant::now()).await;
                if now.is_some_and(|now| !now.is(target)) {
                    return;
                }
            }
        };
        let response = tokio::select! {
            response = self.client.exchange(&request) => response.map_err(|error| chain(&error))?,
            () = replaced => return Err("another sequencer has the log".to_owned()),
        };
        if response.status != 200 {
            return Err(format!("it answered {}", response.status));
        }
        Answer::parse(&response.body.into(), batch.len()).map_err(|error| error.to_string())
    }

    /// Tells everyone who has an answer; gives back the others.
    fn hand_out(&self, answer: Answer, batch: Vec<Waiting>) -> Left {
        let mut left = Left::default();
        let signed: Vec<_> =
            answer.checkpoints.into_iter().map(|bytes| (self.signed(&bytes), bytes)).collect();
        for (outcome, waiting) in answer.outcomes.into_iter().zip(batch) {
            let told = match outcome {
                Outcome::Logged(logged) => match self.receipt(logged, &signed, &waiting.key) {
                    Ok(receipt) => Ok(receipt),
                    Err(reason) => {
                        tracing::error!(service = self.service, reason, "a receipt does not hold");
                        left.elsewhere.push(waiting);
                        continue;
                    }
                },
                Outcome::Elsewhere => {
                    left.elsewhere.push(waiting);
                    continue;
                }
                Outcome::Later => {
                    left.later.push(waiting);
                    continue;
                }
                Outcome::Ended => Err(Refusal::Ended),
                Outcome::Invalid(words) => Err(Refusal::Invalid(words)),
                Outcome::Overloaded(after) => Err(Refusal::Overloaded(after)),
                Outcome::StorageFull(after) => Err(Refusal::StorageFull(after)),
            };
            // Whoever asked may have gone.
            let _ = waiting.answer.send(told);
        }
        left
    }

    /// Size and root hash that the log signed.
    fn signed(&self, checkpoint: &[u8]) -> Option<(u64, Hash)> {
        let signed = SignedCheckpoint::parse(checkpoint).ok()?;
        let checkpoint = signed.verify(self.trust.log.as_ref()).ok()?;
        Some((checkpoint.size, checkpoint.root))
    }

    fn receipt(
        &self,
        logged: Logged,
        signed: &[(Option<(u64, Hash)>, Bytes)],
        key: &[u8; 32],
    ) -> Result<(Receipt, Vec<u8>), String> {
        let (signed, checkpoint) = signed.get(logged.checkpoint).ok_or("there is no such checkpoint")?;
        let (size, root) = signed.ok_or("its checkpoint is not signed by the log")?;
        let found = L::dedup_key_of(&logged.encoded).map_err(|error| error.to_string())?;
        if found != *key {
            return Err("it is of another entry".to_owned());
        }
        let leaf = L::leaf_hash(&logged.encoded).map_err(|error| error.to_string())?;
        let hashes = logged.proof.into_iter().map(Hash).collect();
        let proof = InclusionProof { index: logged.index, size, hashes };
        proof.verify(&leaf, &root).map_err(|error| error.to_string())?;
        let receipt = Receipt {
            index: logged.index,
            time_ms: logged.time_ms,
            encoded: logged.encoded,
            duplicate: logged.duplicate,
            proof,
            root,
            checkpoint: checkpoint.clone(),
        };
        (self.trust.voucher)(&receipt, &logged.voucher).map_err(|error| format!("{error:#}"))?;
        Ok((receipt, logged.voucher))
    }

    /// The published one: what stands under it can be read whoever has died.
    async fn checkpoint(&self) -> Result<Bytes, ApiError> {
        let mut held = self.checkpoint.lock().await;
        if let Some((read, _, bytes)) = held.as_ref()
            && read.elapsed() < CHECKPOINT_AGE
        {
            return Ok(bytes.clone());
        }
        let now = Instant::now();
        let found = self.published(CHECKPOINT_PATH.to_owned()).await?.ok_or_else(ApiError::not_found)?;
        let (size, _) = self.signed(&found).ok_or_else(not_the_logs)?;
        // Stores may answer with what was there a moment ago; a log does not become shorter.
        let (size, bytes) = match held.take() {
            Some((_, known, bytes)) if known > size => (known, bytes),
            _ => (size, found),
        };
        *held = Some((now, size, bytes.clone()));
        Ok(bytes)
    }

    async fn read(&self, path: String, ended: bool) -> Result<Bytes, ApiError> {
        if !self.reader.is_path(&path) {
            return Err(ApiError::not_found());
        }
        if let Some(bytes) = self.published(path.clone()).await? {
            return Ok(bytes);
        }
        let settled = if ended { self.settled(&path).await? } else { None };
        let asked = match settled {
            Some(settled) => return settled.ok_or_else(ApiError::not_found),
            None => self.unpublished(&path).await,
        };
        match asked {
            Err(error) if error.status() != StatusCode::NOT_FOUND && !ended => {
                match self.settled(&path).await? {
                    Some(settled) => settled.ok_or_else(ApiError::not_found),
                    None => Err(error),
                }
            }
            asked => asked,
        }
    }

    /// What is under this path, or that nothing is, if all that was committed is published by now.
    async fn settled(&self, path: &str) -> Result<Option<Option<Bytes>>, ApiError> {
        if !self.ask_bucket(Reader::all_is_published).await? {
            return Ok(None);
        }
        // Under that checkpoint everything is that any receipt ever promised.
        let checkpoint = self.published(CHECKPOINT_PATH.to_owned()).await?.unwrap_or_default();
        let (size, _) = self.signed(&checkpoint).ok_or_else(not_the_logs)?;
        let path = path.to_owned();
        self.ask_bucket(move |reader| reader.read_at(&path, size)).await.map(Some)
    }

    async fn published(&self, path: String) -> Result<Option<Bytes>, ApiError> {
        self.ask_bucket(move |reader| reader.read(&path)).await
    }

    async fn ask_bucket<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let reader = Arc::clone(&self.reader);
        let failed = |reason: String| {
            ApiError::new(Code::Unavailable, "the log's storage does not answer")
                .retry_after(RETRY_AFTER)
                .because(reason)
        };
        // Each takes a thread, which heads and other logs need as well.
        let turn = BUCKET_READS.acquire().await.map_err(|error| failed(error.to_string()))?;
        let read = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            read(&reader)
        });
        let read = read.await;
        read.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(chain(&error)))
    }

    /// What the sequencer has beyond that. Not 404 when it cannot be asked: that would say that there is no such thing.
    async fn unpublished(&self, path: &str) -> Result<Bytes, ApiError> {
        let unavailable = |reason: String| {
            ApiError::new(Code::Unavailable, "the log's sequencer cannot be asked")
                .retry_after(RETRY_AFTER)
                .because(reason)
        };
        let _reading =
            self.reads.try_acquire().map_err(|_| unavailable("too many ask at once".to_owned()))?;
        let mut target = self.finder.any().await;
        for _ in 0..2 {
            let Some(now) = target else { break };
            let request = Request::get(below(&now.url, &format!("{}/{path}", sequencer::READ)))
                .authorization(&now.authorization())
                .past_proxy()
                .never_redirected()
                .limit(MAX_READ)
                .timeout(READ_TIME);
            let asked = Instant::now();
            match self.client.exchange(&request).await {
                Ok(response) if response.status == 200 => return Ok(response.body.into()),
                Ok(response) if response.status == 404 => return Err(ApiError::not_found()),
                Ok(_) | Err(_) => target = self.finder.since(asked).await,
            }
        }
        Err(unavailable("no sequencer answers".to_owned()))
    }
}

#[cfg(test)]
mod tests;
