//! The side that front ends ask: a listener of its own, where the token of the head opens.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/append`, [`wire`] | 200 with an outcome for each entry |
//! | `GET /v1/read/PATH` | 200, or 404 |
//!
//! 401: that token is not this sequencer's. 503: it does not have the log, or not yet.
//!
//! New entries of a request come into the log together; old ones among them are looked for in the store, a few at a time.
//! So nobody waits for all: what is not known in time is said to be known later, and asked for again ([`Late`]).

use super::{
    Carried,
    late::{Appended, Appending, Late},
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
use sealog_log_engine::{AppendError, Log, Receipt};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Where entries are taken.
pub const APPEND: &str = "/v1/append";
/// Below this is what the log has.
pub const READ: &str = "/v1/read";
/// Of messages.
pub const CONTENT_TYPE: &str = "application/octet-stream";

/// How long an answer waits for all of its entries once one is known, and for the others of a batch in any case.
const PATIENCE: Duration = Duration::from_millis(100);
const GRACE: Duration = Duration::from_millis(20);
/// How long it waits for the first one.
const SILENCE: Duration = Duration::from_secs(1);

/// When to come back whose entry is neither known nor kept.
const NO_PLACE: Duration = Duration::from_secs(1);

struct Api<L: Carried> {
    ledger: Ledger<L>,
    token: String,
    late: Arc<Late>,
}

/// The routes by which front ends reach this log; they show this token.
pub fn router<L: Carried>(ledger: Ledger<L>, token: String) -> Router {
    Router::new()
        .route(APPEND, post(append::<L>))
        .route(&format!("{READ}/{{*path}}"), get(read::<L>))
        .with_state(Arc::new(Api { ledger, token, late: Arc::default() }))
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
        let log = self.ledger.held().filter(|log| log.failure().is_none());
        log.ok_or_else(|| ApiError::new(Code::Unavailable, "this sequencer does not have the log"))
    }

    fn outcome(&self, checkpoints: &mut Vec<Bytes>, appended: Appended) -> Outcome {
        match appended {
            Ok(receipt) => match (self.ledger.vouch())(&receipt) {
                Ok(voucher) => Outcome::Logged(Logged {
                    index: receipt.index,
                    time_ms: receipt.time_ms,
                    duplicate: receipt.duplicate,
                    checkpoint: number_of(checkpoints, receipt.checkpoint),
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
            // Nobody else's clock stands between: the same words as for too many.
            Err(AppendError::ClockBehind { retry_after, .. }) => Outcome::Overloaded(retry_after),
            Err(AppendError::StorageFull { retry_after }) => Outcome::StorageFull(retry_after),
            Err(error @ (AppendError::TooLarge { .. } | AppendError::Entry(_))) => {
                Outcome::Invalid(crate::http::chain(&error))
            }
            // Closed, stopped, or unable to read what it has: there may be another one soon.
            Err(_) => Outcome::Elsewhere,
        }
    }
}

async fn append<L: Carried>(State(api): State<Arc<Api<L>>>, request: Request) -> Result<Response, ApiError> {
    let log = api.admit(request.headers())?;
    let body = read_body(request.into_body(), wire::MAX_REQUEST).await?;
    let entries = wire::parse_request(&body).map_err(|error| ApiError::invalid(error.to_string()))?;
    if api.ledger.is_frozen() {
        return said(Answer { checkpoints: Vec::new(), outcomes: vec![Outcome::Ended; entries.len()] });
    }
    let pending: Option<Vec<_>> = entries.iter().map(|entry| L::decode(entry)).collect();
    let pending = pending.ok_or_else(|| ApiError::invalid("an entry cannot be read"))?;
    let mut appending = Appending::new();
    let none_is_late = api.late.is_empty();
    for ((n, pending), entry) in pending.into_iter().enumerate().zip(&entries) {
        let known = if none_is_late { None } else { api.late.take(entry) };
        match known {
            Some(known) => {
                appending.spawn(async move { (n, known.await.unwrap_or(Err(AppendError::Closed))) })
            }
            None => {
                let appended = log.append(pending);
                appending.spawn(async move { (n, appended.await.map(alone)) })
            }
        };
    }
    let mut answer = Answer { checkpoints: Vec::new(), outcomes: vec![Outcome::Later; entries.len()] };
    let begun = Instant::now();
    let (mut heard, mut end) = (false, begun + SILENCE);
    while let Ok(Some(appended)) = tokio::time::timeout_at(end, appending.join_next()).await {
        if !std::mem::replace(&mut heard, true) {
            end = (begun + PATIENCE).max(Instant::now() + GRACE);
        }
        // Whoever panicked has logged nothing, or it is found.
        let Ok((n, appended)) = appended else { continue };
        let outcome = api.outcome(&mut answer.checkpoints, appended);
        if let Some(place) = answer.outcomes.get_mut(n) {
            *place = outcome;
        }
    }
    if !appending.is_empty() {
        let left = entries.into_iter().enumerate().zip(&answer.outcomes);
        let left = left.filter(|(_, outcome)| **outcome == Outcome::Later).map(|(entry, _)| entry);
        for n in api.late.keep(appending, left) {
            if let Some(outcome) = answer.outcomes.get_mut(n) {
                *outcome = Outcome::Overloaded(NO_PLACE);
            }
        }
    }
    said(answer)
}

fn said(answer: Answer) -> Result<Response, ApiError> {
    let bytes = answer.encode().filter(|bytes| bytes.len() <= wire::MAX_ANSWER);
    let bytes = bytes.ok_or_else(|| ApiError::internal("the answer is too long"))?;
    Ok(content(StatusCode::OK, CONTENT_TYPE, bytes))
}

/// An entry logged before comes out of a bundle of mebibytes, which must not be held as long as it is.
fn alone(mut receipt: Receipt) -> Receipt {
    if receipt.duplicate {
        receipt.encoded = Bytes::copy_from_slice(&receipt.encoded);
    }
    receipt
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

#[cfg(test)]
mod tests;
