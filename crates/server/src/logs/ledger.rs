//! A log as the services of this process have it: kept here, still held by another sequencer, handed on to one, or frozen.
//!
//! A frozen log needs nobody who holds it. One that still is held by another sequencer, alive or not, is read as front ends
//! read it; whoever has its key takes it when it is free, publishes what is not published yet, and lets it go for ever.

use super::{FROZEN, local, refuse};
use crate::{
    clock::Clock,
    http::{ApiError, Code, Room, Service, chain},
    kept::Kept,
    periods::Period,
    relay::{Carried, FrontEnd, Refusal, Trust, Vouch},
};
use bytes::Bytes;
use sealog_log_engine::{Frozen, Identity, Log, OpenError, Receipt, Settings, View};
use sealog_tlog::note::{KeyVerifier, NoteVerifier};
use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::Mutex, task::JoinHandle};

/// The longest path of any resource: `tile/entries/x000/…/000.p/255` of a 2^63 tree is shorter.
const MAX_PATH: usize = 128;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A handle on a log; clones are of the same one.
pub struct Ledger<L: Carried> {
    inner: Arc<Inner<L>>,
    /// When it takes no more, in Unix seconds, and by which clock.
    end: Option<(i64, Clock)>,
}

impl<L: Carried> Clone for Ledger<L> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), end: self.end.clone() }
    }
}

enum Inner<L: Carried> {
    Here(Here<L>),
    Elsewhere(FrontEnd<L>),
    /// It is only read.
    Frozen(Frozen),
    /// The same, while another sequencer has it.
    Ended(Ended<L>),
}

/// A log that takes no more, and that another sequencer had when it was opened.
struct Ended<L: Carried> {
    reading: FrontEnd<L>,
    /// Set once nobody has it any more.
    frozen: OnceLock<Frozen>,
    /// Why it cannot be taken over.
    failed: OnceLock<String>,
    given_up: Arc<AtomicBool>,
    taking: Mutex<Option<JoinHandle<()>>>,
}

/// A log whose sequencer is, or is to be, this process.
struct Here<L: Carried> {
    /// Set once the log is held.
    log: OnceLock<Log<L>>,
    /// Why it never will be.
    failed: OnceLock<String>,
    given_up: Arc<AtomicBool>,
    opening: Mutex<Option<JoinHandle<()>>>,
    vouch: Vouch,
}

impl<L: Carried> Here<L> {
    fn failure(&self) -> Option<String> {
        let failure = self.log.get().and_then(|log| log.failure().map(|failure| chain(&failure)));
        failure.or_else(|| self.failed.get().cloned())
    }

    fn held(&self) -> Result<&Log<L>, ApiError> {
        self.log.get().ok_or_else(|| {
            let words = "this sequencer stands by: another one has the log";
            ApiError::new(Code::Unavailable, words).retry_after(RETRY_AFTER)
        })
    }
}

impl<L: Carried> Ledger<L> {
    /// Opens the log. One that another sequencer has is waited for, if this one is to stand by; the others start meanwhile.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn open(
        service: &'static str,
        kept: Kept,
        settings: Settings,
        vouch: Vouch,
    ) -> anyhow::Result<Self> {
        let (stands_by, given_up) = (kept.stands_by(), kept.given_up());
        // Recovery reads what is kept and may take a while.
        let opened = tokio::task::spawn_blocking(move || {
            kept.probe_before_start()?;
            anyhow::Ok(Log::<L>::open(kept.place, settings)?)
        });
        let (log, failed, opening) = (OnceLock::new(), OnceLock::new(), Mutex::default());
        let inner = Arc::new(Inner::Here(Here { log, failed, given_up, opening, vouch }));
        let this = Self { inner, end: None };
        let Inner::Here(here) = this.inner.as_ref() else { return Ok(this) };
        if !stands_by {
            let _ = here.log.set(opened.await??);
            return Ok(this);
        }
        tracing::info!(service, "standing by until the log is free");
        let waiting = this.clone();
        let opening = tokio::spawn(async move {
            let Inner::Here(here) = waiting.inner.as_ref() else { return };
            let error = match opened.await {
                Ok(Ok(log)) => {
                    tracing::info!(service, entries = log.view().size(), "took the log");
                    let _ = here.log.set(log);
                    return;
                }
                Ok(Err(error)) => format!("{error:#}"),
                Err(error) => error.to_string(),
            };
            if !here.given_up.load(Relaxed) {
                let _ = here.failed.set(error);
            }
        });
        *here.opening.lock().await = Some(opening);
        Ok(this)
    }

    /// A log that another process is the sequencer of.
    #[must_use]
    pub fn elsewhere(front_end: FrontEnd<L>) -> Self {
        Self { inner: Arc::new(Inner::Elsewhere(front_end)), end: None }
    }

    /// Opens a log that takes no more, for reading. With settings, what was acknowledged before its end and is not published
    /// yet is published first; that needs its key. One that another sequencer has is read meanwhile.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn frozen(
        kept: Kept,
        key: KeyVerifier,
        first_seen: PathBuf,
        settings: Option<Settings>,
    ) -> anyhow::Result<Self> {
        let reader = kept.reader::<L>();
        let log: Arc<dyn NoteVerifier + Send + Sync> = Arc::new(key.clone());
        let given_up = kept.given_up();
        let freeze = Arc::new(Freeze { kept, key, first_seen, settings });
        let opening = Arc::clone(&freeze);
        let (place, reader) = match (blocking(move || opening.now::<L>()).await?, reader) {
            (Ok(frozen), _) => return Ok(Self::of(Inner::Frozen(frozen))),
            (Err(OpenError::Held { place, .. }), Some(reader)) => (place, reader),
            (Err(error), _) => return Err(error.into()),
        };
        tracing::info!(log = %place.display(), "a log that has ended is still another sequencer's");
        let trust = Trust { log, voucher: Arc::new(|_, _| anyhow::bail!("the log takes no more")) };
        let reading = FrontEnd::start("ended", reader, trust, 1);
        let (frozen, failed, taking) = (OnceLock::new(), OnceLock::new(), Mutex::default());
        let this = Self::of(Inner::Ended(Ended { reading, frozen, failed, given_up, taking }));
        if let Inner::Ended(ended) = this.inner.as_ref()
            && freeze.settings.is_some()
        {
            let waiting = this.clone();
            *ended.taking.lock().await = Some(tokio::spawn(async move { waiting.take(freeze).await }));
        }
        Ok(this)
    }

    fn of(inner: Inner<L>) -> Self {
        Self { inner: Arc::new(inner), end: None }
    }

    /// Waits until nobody has the log, and freezes it.
    async fn take(self, freeze: Arc<Freeze>) {
        let Inner::Ended(ended) = self.inner.as_ref() else { return };
        loop {
            let (taking, given_up) = (Arc::clone(&freeze), Arc::clone(&ended.given_up));
            let taken = blocking(move || taking.when_free::<L>()).await;
            if given_up.load(Relaxed) {
                return;
            }
            let error = match taken {
                Ok(Ok(frozen)) => {
                    tracing::info!(
                        entries = frozen.view().size(),
                        "the log that has ended is nobody's any more"
                    );
                    let _ = ended.frozen.set(frozen);
                    return;
                }
                // Somebody was a moment faster.
                Ok(Err(OpenError::Held { .. })) => continue,
                Ok(Err(error)) => chain(&error),
                Err(error) => format!("{error:#}"),
            };
            let _ = ended.failed.set(error);
            return;
        }
    }

    /// The same log, which takes no more from the period's end on.
    #[must_use]
    pub fn within(self, period: &Period<'_>, clock: &Clock) -> Self {
        Self { end: period.end.map(|end| (end.0, clock.clone())), ..self }
    }

    /// Whether it takes no more, by now.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        matches!(self.inner.as_ref(), Inner::Frozen(_) | Inner::Ended(_))
            || self.end.as_ref().is_some_and(|(end, clock)| *end <= clock.unix_seconds())
    }

    /// The log itself, if it is held here; it may have ended.
    #[must_use]
    pub fn held(&self) -> Option<Log<L>> {
        match self.inner.as_ref() {
            Inner::Here(here) => here.log.get().cloned(),
            Inner::Elsewhere(_) | Inner::Frozen(_) | Inner::Ended(_) => None,
        }
    }

    /// What the log's key says of its entries besides.
    #[must_use]
    pub fn vouch(&self) -> Vouch {
        match self.inner.as_ref() {
            Inner::Here(here) => Arc::clone(&here.vouch),
            Inner::Elsewhere(_) | Inner::Frozen(_) | Inner::Ended(_) => {
                Arc::new(|_| anyhow::bail!("this process does not have the log's key"))
            }
        }
    }

    /// Logs an entry; the second of what is returned is what the log's key says of it besides.
    ///
    /// # Errors
    /// What the caller is told; `overloaded` is said where too many wait.
    pub async fn append(
        &self,
        pending: L::Pending,
        overloaded: &'static str,
    ) -> Result<(Receipt, Vec<u8>), ApiError> {
        let frozen = || ApiError::new(Code::Unimplemented, FROZEN);
        if self.is_frozen() {
            return Err(frozen());
        }
        match self.inner.as_ref() {
            Inner::Frozen(_) | Inner::Ended(_) => Err(frozen()),
            Inner::Here(here) => {
                let appended = here.held()?.append(pending).await;
                let receipt = appended.map_err(|error| refuse(error, overloaded))?;
                let voucher = (here.vouch)(&receipt);
                let failed = |error| ApiError::internal("the log failed").because(format!("{error:#}"));
                Ok((receipt, voucher.map_err(failed)?))
            }
            Inner::Elsewhere(front_end) => front_end.append(pending).await.map_err(|refusal| {
                let unavailable = |words: &'static str| ApiError::new(Code::Unavailable, words);
                match refusal {
                    Refusal::Invalid(words) => ApiError::invalid(words),
                    Refusal::Overloaded(after) => unavailable(overloaded).retry_after(after),
                    Refusal::StorageFull(after) => {
                        unavailable("the log's storage is full").retry_after(after)
                    }
                    Refusal::Ended => frozen(),
                    // It ended while the entry waited.
                    Refusal::Late if self.is_frozen() => frozen(),
                    Refusal::Late => unavailable("the log's sequencer did not answer in time; retry")
                        .retry_after(RETRY_AFTER),
                }
            }),
        }
    }

    /// What the log has published under this path.
    ///
    /// # Errors
    /// 404; 500 when what was promised cannot be read, 503 when nobody can be asked for it.
    pub async fn read(&self, path: String) -> Result<Bytes, ApiError> {
        if path.len() > MAX_PATH {
            return Err(ApiError::not_found());
        }
        let far = match self.inner.as_ref() {
            Inner::Elsewhere(front_end) => Some((front_end, self.is_frozen())),
            Inner::Ended(ended) if ended.frozen.get().is_none() => Some((&ended.reading, true)),
            _ => None,
        };
        if let Some((reading, frozen)) = far {
            let is_bundle = path.strip_prefix("tile/").is_some_and(|rest| rest.starts_with(L::BUNDLE_DIR));
            let room = if is_bundle { Room::wait(None).await? } else { Room::default() };
            return room.hold_all(reading.read(path, frozen).await?).await;
        }
        match self.view_here()? {
            Some(view) => match local::at_once(&view, &path) {
                Some(answer) => answer,
                None => local::read(view, path).await,
            },
            None => Err(ApiError::not_found()),
        }
    }

    /// The same, if it need not be waited for.
    #[must_use]
    pub fn read_at_once(&self, path: &str) -> Option<Result<Bytes, ApiError>> {
        if path.len() > MAX_PATH {
            return Some(Err(ApiError::not_found()));
        }
        match self.view_here() {
            Ok(view) => local::at_once(&*view?, path),
            Err(error) => Some(Err(error)),
        }
    }

    /// The newest state, if the log is kept where this process reads.
    fn view_here(&self) -> Result<Option<Arc<View>>, ApiError> {
        Ok(match self.inner.as_ref() {
            Inner::Here(here) => Some(here.held()?.view()),
            Inner::Frozen(frozen) => Some(frozen.view()),
            Inner::Ended(ended) => ended.frozen.get().map(Frozen::view),
            Inner::Elsewhere(_) => None,
        })
    }

    /// Makes a service as sound as its log, and closes the log when the service has ended.
    #[must_use]
    pub fn service(self, mut service: Service) -> Service {
        let name = service.name;
        let watched = self.clone();
        service.failure = Arc::new(move || match watched.inner.as_ref() {
            Inner::Here(here) => here.failure(),
            Inner::Ended(ended) => ended.failed.get().cloned(),
            Inner::Elsewhere(_) | Inner::Frozen(_) => None,
        });
        service.stands_by = self.stands_by();
        let counted = self.clone();
        service.entries = Some(Arc::new(move || match counted.inner.as_ref() {
            Inner::Here(here) => here.log.get().map_or(0, |log| log.view().size()),
            Inner::Elsewhere(front_end) => front_end.size(),
            Inner::Frozen(frozen) => frozen.view().size(),
            Inner::Ended(ended) => {
                ended.frozen.get().map_or_else(|| ended.reading.size(), |frozen| frozen.view().size())
            }
        }));
        service.close = Some(Box::pin(async move { self.close(name).await }));
        service
    }

    /// Whether this process waits for the log, whenever asked.
    #[must_use]
    pub fn stands_by(&self) -> Arc<dyn Fn() -> bool + Send + Sync> {
        let this = self.clone();
        Arc::new(move || matches!(this.inner.as_ref(), Inner::Here(here) if here.log.get().is_none()))
    }

    async fn close(&self, name: &'static str) {
        let here = match self.inner.as_ref() {
            Inner::Here(here) => here,
            Inner::Ended(ended) => {
                ended.given_up.store(true, Relaxed);
                if let Some(taking) = ended.taking.lock().await.take() {
                    let _ = taking.await;
                }
                return;
            }
            Inner::Elsewhere(_) | Inner::Frozen(_) => return,
        };
        here.given_up.store(true, Relaxed);
        if let Some(opening) = here.opening.lock().await.take() {
            let _ = opening.await;
        }
        let Some(log) = here.log.get().cloned() else { return };
        match tokio::task::spawn_blocking(move || log.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(service = name, error = chain(&error), "the log did not close cleanly");
            }
            Err(error) => tracing::error!(service = name, %error, "the log did not close cleanly"),
        }
    }
}

/// What it takes to open a log that takes no more.
struct Freeze {
    kept: Kept,
    key: KeyVerifier,
    first_seen: PathBuf,
    settings: Option<Settings>,
}

impl Freeze {
    fn open<L: Carried>(&self) -> Result<Frozen, OpenError> {
        Frozen::open::<L>(&self.kept.place, &Identity { key: &self.key, first_seen: &self.first_seen })
    }

    /// Opens it, or says that another sequencer has it.
    fn now<L: Carried>(&self) -> Result<Frozen, OpenError> {
        match (self.open::<L>(), &self.settings) {
            (Err(OpenError::Unpublished { .. }), Some(settings)) => self.publish::<L>(settings, false),
            (opened, _) => opened,
        }
    }

    /// Waits until no other one has it.
    fn when_free<L: Carried>(&self) -> Result<Frozen, OpenError> {
        match &self.settings {
            Some(settings) => self.publish::<L>(settings, true),
            None => self.open::<L>(),
        }
    }

    fn publish<L: Carried>(&self, settings: &Settings, stand_by: bool) -> Result<Frozen, OpenError> {
        let log = Log::<L>::open(self.kept.standing_by(stand_by), settings.clone())?;
        if let Err(failure) = log.close() {
            tracing::error!(error = chain(&failure), "the log that has ended did not close cleanly");
        }
        self.open::<L>()
    }
}

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> anyhow::Result<T> {
    Ok(tokio::task::spawn_blocking(act).await?)
}
