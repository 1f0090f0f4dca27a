//! What every log shares towards HTTP: its public files, its refusals, its end.
//!
//! C2SP tlog-tiles and static-ct: the checkpoint is never cached, everything else never changes. Clients
//! ask for a partial tile first and take 404, and only 404, as the word to try the full one.

use crate::http::{ApiError, Code, Service, chain, content};
use axum::{Router, response::Response, routing::get};
use http::{HeaderValue, StatusCode, Uri, header};
use sealog_log_engine::{AppendError, Log, View};
use sealog_tlog::Leaf;
use std::sync::Arc;

/// A week, as the reference servers say; the content is fixed for ever.
const IMMUTABLE: &str = "public, max-age=604800, immutable";
/// The longest path of any resource: `tile/entries/x000/…/000.p/255` of a 2^63 tree is shorter.
const MAX_PATH: usize = 128;
const STORAGE_FAILED: &str = "the log's storage failed";

/// Content type of tiles and bundles.
pub const TILE_TYPE: &str = "application/octet-stream";

/// Gives the newest published state of a log.
pub type Newest = Arc<dyn Fn() -> Arc<View> + Send + Sync>;

/// The newest published state of this log, whenever asked.
#[must_use]
pub fn newest<L: Leaf>(log: &Log<L>) -> Newest {
    let log = log.clone();
    Arc::new(move || log.view())
}

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

/// Adds the routes of a log's files under `prefix` (empty, or `/api/v2`). `kinds` are the first path
/// segments served, each with its content type.
pub fn routes(
    mut router: Router,
    prefix: &str,
    kinds: &[(&'static str, &'static str)],
    newest: &Newest,
) -> Router {
    let log = Arc::clone(newest);
    router = router.route(
        &format!("{prefix}/checkpoint"),
        get(async move || {
            let checkpoint = log().checkpoint().clone();
            let mut response = content(StatusCode::OK, "text/plain; charset=utf-8", checkpoint);
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            response
        }),
    );
    for &(kind, content_type) in kinds {
        let log = Arc::clone(newest);
        let skipped = prefix.len() + 1;
        router = router.route(
            &format!("{prefix}/{kind}/{{*rest}}"),
            get(async move |uri: Uri| {
                // As it was written, not decoded: every resource has one spelling, also for caches.
                let path = uri.path().get(skipped..).unwrap_or_default().to_owned();
                file(log(), path, content_type).await
            }),
        );
    }
    router
}

async fn file(view: Arc<View>, path: String, content_type: &'static str) -> Result<Response, ApiError> {
    if path.len() > MAX_PATH {
        return Err(ApiError::not_found());
    }
    let found = if view.is_in_memory(&path) {
        view.read(&path)
    } else {
        // A cold disk must not hold up the others.
        tokio::task::spawn_blocking(move || view.read(&path))
            .await
            .map_err(|e| ApiError::internal(STORAGE_FAILED).because(e))?
    };
    let bytes = found
        .map_err(|e| ApiError::internal(STORAGE_FAILED).because(chain(&e)))?
        .ok_or_else(ApiError::not_found)?;
    let mut response = content(StatusCode::OK, content_type, bytes);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(IMMUTABLE));
    Ok(response)
}
