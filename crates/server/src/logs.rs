//! What every log shares towards HTTP: its public files, its refusals, its end.
//!
//! C2SP tlog-tiles and static-ct: the checkpoint is never cached, everything else never changes. Clients
//! ask for a partial tile first and take 404, and only 404, as the word to try the full one. Bundles go out gzipped to
//! those who ask for it ([`compressed`]); tiles are hashes, which nothing makes shorter.
//!
//! No `ETag`: what never changes needs none, and a checkpoint is shorter than the headers that would spare it.

mod compressed;
mod ledger;
mod local;

pub use ledger::Ledger;

use crate::{
    http::{ApiError, Code, Direct, Room, Service, chain, content},
    relay::{Carried, Listener, sequencer},
};
use axum::{
    Router,
    extract::Request,
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::Bytes;
use compressed::{Compressed, wants_gzip};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sealog_log_engine::AppendError;
use sealog_tlog::tile::CHECKPOINT_PATH;
use std::{future::Future, pin::Pin, sync::Arc};

/// A week, as the reference servers say; the content is fixed for ever.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=604800, immutable");
/// The newest, whoever stands between.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
/// What is not there may be there in a moment: caches keep a 404 for minutes unless they are told otherwise.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const STORAGE_FAILED: &str = "the log's storage failed";

/// Content type of tiles and bundles.
pub const TILE_TYPE: &str = "application/octet-stream";
/// Content type of checkpoints.
pub const CHECKPOINT_TYPE: &str = "text/plain; charset=utf-8";

/// The service by which front ends of other processes reach a log that is held here.
#[must_use]
pub fn for_front_ends<L: Carried>(
    name: &'static str,
    listener: &Listener,
    log: &Ledger<L>,
    token: String,
) -> Service {
    let router = sequencer::router(log.clone(), token);
    let service = Service::new(name, listener.url.clone(), router);
    Service { internal: true, stands_by: log.stands_by(), ..service }
}

/// What is said to those who still write to a log that takes no more (the reference server's words).
pub const FROZEN: &str = "This log has been frozen, please switch to the latest log.";

/// What a caller is told whose entry was not logged.
#[must_use]
pub fn refuse(error: AppendError, overloaded: &'static str) -> ApiError {
    let reason = chain(&error);
    match error {
        AppendError::Overloaded { retry_after } => {
            ApiError::new(Code::Unavailable, overloaded).retry_after(retry_after)
        }
        AppendError::StorageFull { retry_after } => {
            ApiError::new(Code::Unavailable, "the log's storage is full")
                .retry_after(retry_after)
                .because(reason)
        }
        AppendError::ClockBehind { retry_after, .. } => {
            let words = "the log's clock is behind its last entry";
            ApiError::new(Code::Unavailable, words).retry_after(retry_after).because(reason)
        }
        AppendError::TooLarge { .. } | AppendError::Entry(_) => ApiError::invalid(reason),
        AppendError::Closed => ApiError::new(Code::Unavailable, "the log is being stopped"),
        _ => ApiError::internal("the log failed").because(reason),
    }
}

/// What the newest published state has under a path.
trait Read: Send + Sync {
    /// If it need not be waited for.
    fn at_once(&self, path: &str) -> Option<Result<Bytes, ApiError>>;
    fn read(&self, path: String) -> Reading;
}

type Reading = Pin<Box<dyn Future<Output = Result<Bytes, ApiError>> + Send>>;

impl<L: Carried> Read for Ledger<L> {
    fn at_once(&self, path: &str) -> Option<Result<Bytes, ApiError>> {
        self.read_at_once(path)
    }

    fn read(&self, path: String) -> Reading {
        let log = self.clone();
        Box::pin(async move { Self::read(&log, path).await })
    }
}

/// The public files of a log, as they are served.
#[derive(Clone)]
pub struct Files(Arc<Shared>);

struct Shared {
    log: Box<dyn Read>,
    /// The first path segments served, each with its content type.
    kinds: &'static [(&'static str, &'static str)],
    /// How the paths of bundles begin.
    bundles: String,
    compressed: Arc<Compressed>,
}

impl Files {
    /// Those of this log, of these kinds (first path segment, content type).
    #[must_use]
    pub fn of<L: Carried>(log: &Ledger<L>, kinds: &'static [(&'static str, &'static str)]) -> Self {
        let bundles = format!("tile/{}/", L::BUNDLE_DIR);
        Self(Arc::new(Shared { log: Box::new(log.clone()), kinds, bundles, compressed: Arc::default() }))
    }

    /// Adds their routes under `prefix` (empty, or `/api/v2`).
    pub fn routes(&self, mut router: Router, prefix: &str) -> Router {
        let files = self.clone();
        router = router.route(
            &format!("{prefix}/checkpoint"),
            get(async move || {
                let (mut response, cache) = match files.0.read(CHECKPOINT_PATH).await {
                    Ok(bytes) => (content(StatusCode::OK, CHECKPOINT_TYPE, bytes), NO_CACHE),
                    Err(error) => (error.into_response(), NO_STORE),
                };
                response.headers_mut().insert(header::CACHE_CONTROL, cache);
                response
            }),
        );
        for &(kind, content_type) in self.0.kinds {
            let (files, skipped) = (self.clone(), prefix.len().saturating_add(1));
            let handler = async move |request: Request| files.answer(request, skipped, content_type).await;
            router = router.route(&format!("{prefix}/{kind}/{{*rest}}"), get(handler));
        }
        router
    }

    /// Adds the same but the checkpoint, to be answered before a router is asked.
    #[must_use]
    pub fn direct(&self, mut direct: Direct, prefix: &str) -> Direct {
        for &(kind, content_type) in self.0.kinds {
            let (files, skipped) = (self.clone(), prefix.len().saturating_add(1));
            direct = direct.get_under(format!("{prefix}/{kind}/"), move |request| {
                let files = files.clone();
                async move { files.answer(request, skipped, content_type).await }
            });
        }
        direct
    }

    async fn answer(&self, request: Request, skipped: usize, content_type: &'static str) -> Response {
        let (asked, _) = request.into_parts();
        // As it was written, not decoded: every resource has one spelling, also for caches.
        let path = asked.uri.path().get(skipped..).unwrap_or_default();
        self.0.file(path, content_type, &asked.headers).await.unwrap_or_else(|error| {
            let mut response = error.into_response();
            response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
            response
        })
    }
}

impl Shared {
    async fn read(&self, path: &str) -> Result<Bytes, ApiError> {
        match self.log.at_once(path) {
            Some(answer) => answer,
            None => self.log.read(path.to_owned()).await,
        }
    }

    /// Those of a bundle, and whether they are compressed.
    async fn gzipped(&self, path: &str) -> Result<(Bytes, bool), ApiError> {
        let shorter = match self.compressed.get(path) {
            Some(held) => held,
            None => {
                let bytes = self.read(path).await?;
                match self.compressed.now(path.to_owned(), bytes.clone()).await {
                    Some(shorter) => shorter,
                    None => return Ok((bytes, false)),
                }
            }
        };
        let length = shorter.len() as u64;
        let room = match Room::at_once(length) {
            Some(room) => room,
            None => Room::wait(Some(length)).await?,
        };
        Ok((room.hold(shorter)?, true))
    }

    async fn file(
        &self,
        path: &str,
        content_type: &'static str,
        headers: &HeaderMap,
    ) -> Result<Response, ApiError> {
        let is_bundle = path.starts_with(&self.bundles);
        let (bytes, encoded) = match is_bundle && wants_gzip(headers) {
            true => self.gzipped(path).await?,
            false => (self.read(path).await?, false),
        };
        let mut response = content(StatusCode::OK, content_type, bytes);
        let put = response.headers_mut();
        put.insert(header::CACHE_CONTROL, IMMUTABLE);
        if is_bundle {
            put.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        if encoded {
            put.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(response)
    }
}
