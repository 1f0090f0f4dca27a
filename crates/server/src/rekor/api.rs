//! The wire of the log of signatures: `POST /api/v2/log/entries` (rekor-v2, gRPC gateway conventions).
//!
//! 201 is the only success. Reading is `logs`' affair, the decision `answer`'s.

use super::answer::{MAX_REQUEST, RekorApi};
use crate::{
    http::{ApiError, Code, Direct, json, read_body},
    logs::FROZEN,
};
use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse as _, Response},
    routing::{any, post},
};
use http::StatusCode;
use sealog_bundle::CreateEntryRequest;
use std::sync::Arc;

const ENTRIES: &str = "/api/v2/log/entries";

pub(super) fn direct(api: Arc<RekorApi>) -> Direct {
    Direct::default().post(ENTRIES, move |request| create_entry(State(Arc::clone(&api)), request))
}

pub(super) fn router(api: Arc<RekorApi>) -> Router {
    Router::new()
        .route(ENTRIES, post(create_entry))
        // Old clients must fail fast and legibly.
        .route(
            "/api/v1/{*rest}",
            any(async || ApiError::new(Code::NotFound, "this log speaks the Rekor v2 API only: /api/v2")),
        )
        .with_state(api)
}

async fn create_entry(State(api): State<Arc<RekorApi>>, request: Request) -> Result<Response, ApiError> {
    if api.log.is_frozen() {
        return Ok(frozen());
    }
    let request = {
        let body = read_body(request.into_body(), MAX_REQUEST).await?;
        CreateEntryRequest::parse(&body)
    };
    match api.create_json(request).await {
        // It ended meanwhile, or by the clock of its sequencer.
        Err(error) if error.status() == StatusCode::METHOD_NOT_ALLOWED => Ok(frozen()),
        created => Ok(json(StatusCode::CREATED, created?)),
    }
}

/// In plain words, as the reference server says it.
fn frozen() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, format!("{FROZEN}\n")).into_response()
}
