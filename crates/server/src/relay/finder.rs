//! Who has a log now: read from its head, once for all who ask at the same time.

use crate::http::chain;
use sealog_log_engine::{Reader, SequencerAt};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use url::Url;

/// A sequencer that can be asked.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) url: Url,
    sequencer: SequencerAt,
}

impl Target {
    pub(super) fn authorization(&self) -> String {
        format!("Bearer {}", self.sequencer.token)
    }

    /// Whether it is the same process, at the same work.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.sequencer == other.sequencer
    }
}

/// What the head said last.
#[derive(Default)]
struct Seen {
    at: Option<Instant>,
    target: Option<Arc<Target>>,
}

pub(super) struct Finder {
    service: &'static str,
    reader: Arc<Reader>,
    seen: Mutex<Seen>,
    /// Held by whoever reads the head.
    reading: tokio::sync::Mutex<()>,
}

impl Finder {
    pub(super) fn new(service: &'static str, reader: Arc<Reader>) -> Self {
        Self { service, reader, seen: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }

    /// The one that was found last, or is found now.
    pub(super) async fn any(&self) -> Option<Arc<Target>> {
        let known = self.seen().target.clone();
        match known {
            Some(target) => Some(target),
            None => self.since(Instant::now()).await,
        }
    }

    /// Whoever had the log at that moment or later; `None`: nobody who can be asked, or the head cannot be read.
    pub(super) async fn since(&self, moment: Instant) -> Option<Arc<Target>> {
        let _reading = self.reading.lock().await;
        if self.seen().at.is_some_and(|at| at >= moment) {
            return self.seen().target.clone();
        }
        let at = Instant::now();
        let reader = Arc::clone(&self.reader);
        let found = match tokio::task::spawn_blocking(move || reader.sequencer()).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                tracing::warn!(
                    service = self.service,
                    error = chain(&error),
                    "the log's head cannot be read"
                );
                // Whoever had it may have it still; the next who asks looks again.
                return self.seen().target.clone();
            }
            Err(_) => None,
        };
        let target = found.and_then(|sequencer| {
            let url = Url::parse(&sequencer.url).ok()?;
            Some(Arc::new(Target { url, sequencer }))
        });
        let mut seen = self.seen();
        let known = seen.target.take();
        seen.at = Some(at);
        seen.target = match (known, target) {
            (Some(known), Some(target)) if known.is(&target) => Some(known),
            (known, Some(target)) => {
                let Target { url, sequencer } = target.as_ref();
                tracing::info!(service = self.service, %url, epoch = sequencer.epoch, again = known.is_some(), "found the sequencer");
                Some(target)
            }
            (_, None) => None,
        };
        seen.target.clone()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
