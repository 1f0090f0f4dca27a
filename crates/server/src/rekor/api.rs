//! The wire of the log of signatures: `POST /api/v2/log/entries` (rekor-v2, gRPC gateway conventions).
//!
//! 201 is the only success. The answer is complete: inclusion proof, checkpoint, every field present. A
//! duplicate is answered like the first time, with a current proof, because clients retry.

use crate::{
    http::{ApiError, Code, json, read_body},
    logs,
};
use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::{any, post},
};
use http::StatusCode;
use sealog_bundle::{
    CreateEntryRequest, InclusionProof, JsonError, KindVersion, TransparencyLogEntry,
    admission::{DEFAULT_ALGORITHMS, admit},
    json::JsonFault,
    request::MAX_REQUEST_BYTES,
};
use sealog_log_engine::{Log, Receipt};
use sealog_tlog::{EntryBytes, EntryLeaf};
use std::sync::Arc;

const INVALID: &str = "invalid hashedrekord request";
const WRONG_TYPE: &str = "invalid type, must be hashedrekord";
const OVERLOADED: &str = "reached max pushback; retry";

/// What the handlers share.
pub(super) struct RekorApi {
    pub(super) log: Log<EntryLeaf>,
    pub(super) log_id: [u8; 32],
}

pub(super) fn router(api: Arc<RekorApi>) -> Router {
    Router::new()
        .route("/api/v2/log/entries", post(create_entry))
        // Old clients must fail fast and legibly.
        .route(
            "/api/v1/{*rest}",
            any(async || ApiError::new(Code::NotFound, "this log speaks the Rekor v2 API only: /api/v2")),
        )
        .with_state(api)
}

async fn create_entry(State(api): State<Arc<RekorApi>>, request: Request) -> Result<Response, ApiError> {
    let body = read_body(request.into_body(), MAX_REQUEST_BYTES).await?;
    let request = CreateEntryRequest::parse(&body).map_err(refuse_document)?;
    let admitted = admit(request, &DEFAULT_ALGORITHMS)
        .map_err(|error| ApiError::invalid(format!("{INVALID}: {error}")))?;
    let receipt = api
        .log
        .append(EntryBytes(admitted.into_canonical()))
        .await
        .map_err(|error| logs::refuse(error, OVERLOADED))?;
    let entry = api.entry(&receipt)?;
    Ok(json(StatusCode::CREATED, entry.to_json()))
}

fn refuse_document(error: JsonError) -> ApiError {
    // At the top a missing or doubled arm is told of both arms at once.
    if error.path.starts_with("hashedRekordRequestV002, ") {
        return ApiError::invalid(WRONG_TYPE);
    }
    let in_an_arm =
        ["hashedRekordRequestV002", "dsseRequestV002"].iter().any(|arm| error.path.starts_with(arm));
    match error.fault {
        JsonFault::UnknownField => ApiError::invalid(format!("invalid request: {error}")),
        _ if in_an_arm => ApiError::invalid(format!("{INVALID}: {error}")),
        _ => ApiError::invalid(format!("invalid request: {error}")),
    }
}

impl RekorApi {
    fn entry(&self, receipt: &Receipt) -> Result<TransparencyLogEntry, ApiError> {
        let broken = |what: &dyn std::fmt::Display| ApiError::internal("the log failed").because(what);
        let body = EntryLeaf::entry(&receipt.encoded).map_err(|e| broken(&e))?;
        let checkpoint = std::str::from_utf8(&receipt.checkpoint).map_err(|e| broken(&e))?;
        Ok(TransparencyLogEntry {
            log_index: receipt.index,
            log_id: self.log_id.to_vec(),
            kind_version: KindVersion::hashedrekord_v002(),
            integrated_time: 0,
            inclusion_promise: None,
            inclusion_proof: Some(InclusionProof {
                log_index: receipt.index,
                root_hash: receipt.root.0,
                tree_size: receipt.proof.size,
                hashes: receipt.proof.hashes.iter().map(|hash| hash.0).collect(),
                checkpoint: checkpoint.to_owned(),
            }),
            canonicalized_body: body.to_vec(),
        })
    }
}
