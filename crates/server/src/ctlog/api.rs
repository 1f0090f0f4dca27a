//! The wire of the certificate log: RFC 6962 §4.1, §4.2 and §4.7.
//!
//! The SCT's timestamp is the leaf's, and its extension says where the leaf stands (static-ct-api), so an
//! identical resubmission is told the same time and place as the first.

use super::{
    admission::{AdmissionError, Endpoint, Leaf},
    roots::Accepted,
};
use crate::{
    http::{ApiError, Code, Direct, SignedHere, json, read_body},
    logs::Ledger,
};
use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::StatusCode;
use sealog_pki::Certificate;
use sealog_tlog::ct::{CtLeaf, Sct};
use serde::Deserialize;
use std::sync::Arc;

/// Sunlight's bound; our chains have three certificates of 1 KB.
const MAX_BODY: usize = 128 * 1024;
const OVERLOADED: &str = "the log has as many submissions waiting as it may hold; retry";

/// What the handlers share.
pub(super) struct CtApi {
    pub(super) log: Ledger<CtLeaf>,
    pub(super) roots: Accepted,
}

const SUBMISSIONS: [(&str, Endpoint); 2] =
    [("/ct/v1/add-chain", Endpoint::Chain), ("/ct/v1/add-pre-chain", Endpoint::PreChain)];

pub(super) fn direct(api: &Arc<CtApi>) -> Direct {
    SUBMISSIONS.into_iter().fold(Direct::default(), |direct, (path, endpoint)| {
        let api = Arc::clone(api);
        direct.post(path, move |request| add(Arc::clone(&api), request, endpoint))
    })
}

pub(super) fn router(api: Arc<CtApi>) -> Router {
    SUBMISSIONS
        .into_iter()
        .fold(Router::new(), |router, (path, endpoint)| {
            let handler = move |State(api): State<Arc<CtApi>>, request| add(api, request, endpoint);
            router.route(path, post(handler))
        })
        .route("/ct/v1/get-roots", get(get_roots))
        .with_state(api)
}

#[derive(Deserialize)]
struct AddChain {
    chain: Vec<String>,
}

/// A read-only log of the reference implementation has no such path.
fn frozen() -> ApiError {
    ApiError::new(Code::NotFound, "this log is frozen: it takes no more certificates")
}

async fn add(api: Arc<CtApi>, request: Request, endpoint: Endpoint) -> Result<Response, ApiError> {
    if api.log.is_frozen() {
        return Err(frozen());
    }
    let whose = match request.extensions().get::<SignedHere>() {
        Some(SignedHere) => Leaf::Ours,
        None => Leaf::Unknown,
    };
    let body = read_body(request.into_body(), MAX_BODY).await?;
    let AddChain { chain } = serde_json::from_slice(&body)
        .map_err(|e| ApiError::invalid(format!("the request is not an add-chain document: {e}")))?;
    let chain: Vec<Vec<u8>> = chain
        .iter()
        .map(|element| BASE64.decode(element))
        .collect::<Result<_, _>>()
        .map_err(|_| ApiError::invalid("an element of the chain is not base64"))?;
    let known = api.roots.known();
    let admitted = match known.admit(&chain, endpoint, whose) {
        Err(AdmissionError::UnknownRoot) => match api.roots.newer_than(&known) {
            Some(roots) => roots.admit(&chain, endpoint, whose),
            None => Err(AdmissionError::UnknownRoot),
        },
        admitted => admitted,
    };
    let submission = admitted.map_err(|e| ApiError::invalid(e.to_string()))?;
    let appended = api.log.append(submission, OVERLOADED).await;
    let (_, promise) = appended.map_err(|error| match error.status() {
        // It ended meanwhile, or by the clock of its sequencer.
        StatusCode::METHOD_NOT_ALLOWED => frozen(),
        _ => error,
    })?;
    let sct = Sct::parse(&promise).map_err(|e| ApiError::internal("the log failed").because(e))?;
    let sct = serde_json::json!({
        "sct_version": sct.version,
        "id": BASE64.encode(sct.log_id),
        "timestamp": sct.timestamp_ms,
        "extensions": BASE64.encode(&sct.extensions),
        "signature": BASE64.encode(sct.signed.encode()),
    });
    Ok(json(StatusCode::OK, sct.to_string()))
}

async fn get_roots(State(api): State<Arc<CtApi>>) -> Response {
    let known = api.roots.known();
    let roots: Vec<String> = known.iter().map(Certificate::der).map(|der| BASE64.encode(der)).collect();
    json(StatusCode::OK, serde_json::json!({ "certificates": roots }).to_string())
}
