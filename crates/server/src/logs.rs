//! What every log shares towards HTTP: its public files, its refusals, its end.
//!
//! C2SP tlog-tiles and static-ct: the checkpoint is never cached, everything else never changes. Clients
//! ask for a partial tile first and take 404, and only 404, as the word to try the full one. Bundles go out gzipped to
//! those who ask for it ([`compressed`]); tiles are hashes, which nothing makes shorter.
//!
//! No `ETag`: what never changes needs none, and a checkpoint is shorter than the headers that would spare it.

mod compressed;

use crate::http::{ApiError, Code, Direct, Service, chain, content};
use axum::{
    Router,
    extract::Request,
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::Bytes;
use compressed::{Compressed, wants_gzip};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sealog_log_engine::{AppendError, Log, View};
use sealog_tlog::Leaf;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// A week, as the reference servers say; the content is fixed for ever.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=604800, immutable");
/// The newest, whoever stands between.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
/// What is not there may be there in a moment: caches keep a 404 for minutes unless they are told otherwise.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// The longest path of any resource: `tile/entries/x000/…/000.p/255` of a 2^63 tree is shorter.
const MAX_PATH: usize = 128;
/// Reads from disk at one time, in this process: each takes a thread, and a thread takes megabytes.
const DISK_READS: usize = 16;
static DISK: Semaphore = Semaphore::const_new(DISK_READS);
const STORAGE_FAILED: &str = "the log's storage failed";

/// Content type of tiles and bundles.
pub const TILE_TYPE: &str = "application/octet-stream";
/// Content type of checkpoints.
pub const CHECKPOINT_TYPE: &str = "text/plain; charset=utf-8";

/// Makes a service as sound as its log, and closes the log when the service has ended.
#[must_use]
pub fn service<L: Leaf>(mut service: Service, log: Log<L>) -> Service {
    let name = service.name;
    let watched = log.clone();
    service.failure = Arc::new(move || watched.failure().map(|failure| chain(&failure)));
    let counted = log.clone();
    service.entries = Some(Arc::new(move || counted.view().size()));
    service.close = Some(Box::pin(async move {
        match tokio::task::spawn_blocking(move || log.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(service = name, error = chain(&error), "the log did not close cleanly");
            }
            Err(error) => tracing::error!(service = name, %error, "the log did not close cleanly"),
        }
    }));
    service
}

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
        AppendError::TooLarge { .. } | AppendError::Entry(_) => ApiError::invalid(reason),
        AppendError::Closed => ApiError::new(Code::Unavailable, "the log is being stopped"),
        _ => ApiError::internal("the log failed").because(reason),
    }
}

/// What the newest published state has under this path.
///
/// # Errors
/// 404, or 500 when what was promised cannot be read.
pub async fn read(view: Arc<View>, path: String) -> Result<Bytes, ApiError> {
    if path.len() > MAX_PATH {
        return Err(ApiError::not_found());
    }
    if let Some(found) = view.read_held(&path) {
        return found.ok_or_else(ApiError::not_found);
    }
    // A cold disk must not hold up the others.
    let turn = DISK.acquire().await.map_err(|e| ApiError::internal(STORAGE_FAILED).because(e))?;
    if let Some(found) = view.read_held(&path) {
        return found.ok_or_else(ApiError::not_found);
    }
    let reading = tokio::task::spawn_blocking(move || {
        // Not given up when the client is: the thread is busy until the end.
        let _turn = turn;
        view.read(&path)
    });
    let found = reading.await.map_err(|e| ApiError::internal(STORAGE_FAILED).because(e))?;
    found.map_err(|e| ApiError::internal(STORAGE_FAILED).because(chain(&e)))?.ok_or_else(ApiError::not_found)
}

/// The public files of a log, as they are served.
#[derive(Clone)]
pub struct Files {
    /// Gives the newest published state.
    newest: Arc<dyn Fn() -> Arc<View> + Send + Sync>,
    /// The first path segments served, each with its content type.
    kinds: &'static [(&'static str, &'static str)],
    /// How the paths of bundles begin.
    bundles: Arc<str>,
    compressed: Arc<Compressed>,
}

impl Files {
    /// Those of this log, of these kinds (first path segment, content type).
    #[must_use]
    pub fn of<L: Leaf>(log: &Log<L>, kinds: &'static [(&'static str, &'static str)]) -> Self {
        let log = log.clone();
        Self {
            newest: Arc::new(move || log.view()),
            kinds,
            bundles: format!("tile/{}/", L::BUNDLE_DIR).into(),
            compressed: Arc::default(),
        }
    }

    /// Adds their routes under `prefix` (empty, or `/api/v2`).
    pub fn routes(&self, mut router: Router, prefix: &str) -> Router {
        let newest = Arc::clone(&self.newest);
        router = router.route(
            &format!("{prefix}/checkpoint"),
            get(async move || {
                let mut response = content(StatusCode::OK, CHECKPOINT_TYPE, newest().checkpoint().clone());
                response.headers_mut().insert(header::CACHE_CONTROL, NO_CACHE);
                response
            }),
        );
        for &(kind, content_type) in self.kinds {
            let (files, skipped) = (self.clone(), prefix.len().saturating_add(1));
            let handler = async move |request: Request| files.answer(request, skipped, content_type).await;
            router = router.route(&format!("{prefix}/{kind}/{{*rest}}"), get(handler));
        }
        router
    }

    /// Adds the same but the checkpoint, to be answered before a router is asked.
    #[must_use]
    pub fn direct(&self, mut direct: Direct, prefix: &str) -> Direct {
        for &(kind, content_type) in self.kinds {
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
        let path = asked.uri.path().get(skipped..).unwrap_or_default().to_owned();
        self.file(path, content_type, &asked.headers).await.unwrap_or_else(|error| {
            let mut response = error.into_response();
            response.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
            response
        })
    }

    async fn file(
        &self,
        path: String,
        content_type: &'static str,
        headers: &HeaderMap,
    ) -> Result<Response, ApiError> {
        let is_bundle = path.starts_with(&*self.bundles);
        let gzip = is_bundle && wants_gzip(headers);
        let (bytes, encoded) = match gzip.then(|| self.compressed.get(&path)).flatten() {
            Some(held) => (held, true),
            None if gzip => {
                let bytes = read((self.newest)(), path.clone()).await?;
                match self.compressed.now(path, bytes.clone()).await {
                    Some(shorter) => (shorter, true),
                    None => (bytes, false),
                }
            }
            None => (read((self.newest)(), path).await?, false),
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
