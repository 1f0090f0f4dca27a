//! The side that front ends ask: a listener of its own, where the token of the head opens.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/append`, [`wire`] | 200 with an outcome for each entry |
//! | `GET /v1/read/PATH` | 200, or 404 |
//!
//! 401: that token is not this sequencer's. 503: it does not have the log, or not yet.

use super::{
    Carried,
    wire::{self, Answer, Logged, Outcome},
};
use crate::{
    http::{ApiError, Code, content, read_body},
    logs::{Ledger, TILE_TYPE},
};
use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::{get, post},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use sealog_crypto::sha256;
use sealog_log_engine::{AppendError, Log};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Where entries are taken.
pub const APPEND: &str = "/v1/append";
/// Below this is what the log has.
pub const READ: &str = "/v1/read";
/// Of messages.
pub const CONTENT_TYPE: &str = "application/octet-stream";

struct Api<L: Carried> {
    ledger: Ledger<L>,
    token: String,
}

/// The routes by which front ends reach this log; they show this token.
pub fn router<L: Carried>(ledger: Ledger<L>, token: String) -> Router {
    Router::new()
        .route(APPEND, post(append::<L>))
        .route(&format!("{READ}/{{*path}}"), get(read::<L>))
        .with_state(Arc::new(Api { ledger, token }))
}

impl<L: Carried> Api<L> {
    fn admit(&self, headers: &HeaderMap) -> Result<Log<L>, ApiError> {
        let shown =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let shown = shown.strip_prefix("Bearer ").unwrap_or_default();
        // Digests take equally long to compare, whatever they are of.
        if self.token.is_empty() || sha256(shown.as_bytes()) != sha256(self.token.as_bytes()) {
            return Err(ApiError::with_status(StatusCode::UNAUTHORIZED, "not the token of this sequencer"));
        }
        let log = self.ledger.log().filter(|log| log.failure().is_none());
        log.ok_or_else(|| ApiError::new(Code::Unavailable, "this sequencer does not have the log"))
    }
}

async fn append<L: Carried>(State(api): State<Arc<Api<L>>>, request: Request) -> Result<Response, ApiError> {
    let log = api.admit(request.headers())?;
    let mut appending = JoinSet::new();
    let pending = {
        let body = read_body(request.into_body(), wire::MAX_REQUEST).await?;
        let entries = wire::parse_request(&body).map_err(|error| ApiError::invalid(error.to_string()))?;
        let pending: Option<Vec<_>> = entries.into_iter().map(L::decode).collect();
        pending.ok_or_else(|| ApiError::invalid("an entry cannot be read"))?
    };
    let count = pending.len();
    for (n, pending) in pending.into_iter().enumerate() {
        let appended = log.append(pending);
        appending.spawn(async move { (n, appended.await) });
    }
    let mut answer = Answer { checkpoints: Vec::new(), outcomes: vec![Outcome::Elsewhere; count] };
    while let Some(appended) = appending.join_next().await {
        let Ok((n, appended)) = appended else { continue };
        let outcome = match appended {
            Ok(receipt) => match (api.ledger.vouch())(&receipt) {
                Ok(voucher) => Outcome::Logged(Logged {
                    index: receipt.index,
                    time_ms: receipt.time_ms,
                    duplicate: receipt.duplicate,
                    checkpoint: number_of(&mut answer.checkpoints, receipt.checkpoint),
                    proof: receipt.proof.hashes.into_iter().map(|hash| hash.0).collect(),
                    encoded: receipt.encoded,
                    voucher,
                }),
                Err(error) => {
                    tracing::error!(error = format!("{error:#}"), "an entry cannot be vouched for");
                    Outcome::Elsewhere
                }
            },
            Err(AppendError::Overloaded { retry_after }) => Outcome::Overloaded(retry_after),
            Err(AppendError::StorageFull { retry_after }) => Outcome::StorageFull(retry_after),
            Err(error @ (AppendError::TooLarge { .. } | AppendError::Entry(_))) => {
                Outcome::Invalid(crate::http::chain(&error))
            }
            // Closed, stopped, or unable to read what it has: there may be another one soon.
            Err(_) => Outcome::Elsewhere,
        };
        if let Some(place) = answer.outcomes.get_mut(n) {
            *place = outcome;
        }
    }
    let bytes = answer.encode().filter(|bytes| bytes.len() <= wire::MAX_ANSWER);
    let bytes = bytes.ok_or_else(|| ApiError::internal("the answer is too long"))?;
    Ok(content(StatusCode::OK, CONTENT_TYPE, bytes))
}

fn number_of(checkpoints: &mut Vec<Bytes>, checkpoint: Bytes) -> usize {
    match checkpoints.iter().rposition(|known| *known == checkpoint) {
        Some(number) => number,
        None => {
            checkpoints.push(checkpoint);
            checkpoints.len().saturating_sub(1)
        }
    }
}

async fn read<L: Carried>(State(api): State<Arc<Api<L>>>, request: Request) -> Result<Response, ApiError> {
    api.admit(request.headers())?;
    // As it was written: every resource has one spelling.
    let path = request.uri().path().strip_prefix(READ).and_then(|path| path.strip_prefix('/'));
    let path = path.unwrap_or_default().to_owned();
    Ok(content(StatusCode::OK, TILE_TYPE, api.ledger.read(path).await?))
}
