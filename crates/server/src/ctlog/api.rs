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
use http::StatusCode;
use sealog_bundle::json::{decode_padded_base64, encode_base64};
use sealog_pki::Certificate;
use sealog_tlog::ct::{CtLeaf, CtSubmission, Sct};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, sync::Arc};

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
struct AddChain<'a> {
    #[serde(borrow)]
    chain: Vec<Element<'a>>,
}

/// One certificate, where it stands in the request.
#[derive(Deserialize)]
struct Element<'a>(#[serde(borrow)] Cow<'a, str>);

/// The answer (RFC 6962 §4.1), its fields in the order of their names.
#[derive(Serialize)]
struct AddChainResponse {
    extensions: String,
    id: String,
    sct_version: u8,
    signature: String,
    timestamp: u64,
}

impl From<&Sct> for AddChainResponse {
    fn from(sct: &Sct) -> Self {
        Self {
            extensions: encode_base64(&sct.extensions),
            id: encode_base64(&sct.log_id),
            sct_version: sct.version,
            signature: encode_base64(&sct.signed.encode()),
            timestamp: sct.timestamp_ms,
        }
    }
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
    let submission = {
        let body = read_body(request.into_body(), MAX_BODY).await?;
        admit(&api.roots, &body, endpoint, whose)?
    };
    let appended = api.log.append(submission, OVERLOADED).await;
    let (_, promise) = appended.map_err(|error| match error.status() {
        // It ended meanwhile, or by the clock of its sequencer.
        StatusCode::METHOD_NOT_ALLOWED => frozen(),
        _ => error,
    })?;
    let sct = Sct::parse(&promise).map_err(|e| ApiError::internal("the log failed").because(e))?;
    let sct = serde_json::to_vec(&AddChainResponse::from(&sct))
        .map_err(|e| ApiError::internal("the log failed").because(e))?;
    Ok(json(StatusCode::OK, sct))
}

/// What is to be logged of this request, if it may be.
fn admit(roots: &Accepted, body: &[u8], endpoint: Endpoint, whose: Leaf) -> Result<CtSubmission, ApiError> {
    let AddChain { chain } = serde_json::from_slice(body)
        .map_err(|e| ApiError::invalid(format!("the request is not an add-chain document: {e}")))?;
    let chain: Vec<Vec<u8>> = chain
        .iter()
        .map(|Element(text)| decode_padded_base64(text))
        .collect::<Option<_>>()
        .ok_or_else(|| ApiError::invalid("an element of the chain is not base64"))?;
    let known = roots.known();
    let admitted = match known.admit(&chain, endpoint, whose) {
        Err(AdmissionError::UnknownRoot) => match roots.newer_than(&known) {
            Some(newer) => newer.admit(&chain, endpoint, whose),
            None => Err(AdmissionError::UnknownRoot),
        },
        admitted => admitted,
    };
    admitted.map_err(|e| ApiError::invalid(e.to_string()))
}

async fn get_roots(State(api): State<Arc<CtApi>>) -> Response {
    let known = api.roots.known();
    let roots: Vec<String> = known.iter().map(Certificate::der).map(encode_base64).collect();
    json(StatusCode::OK, serde_json::json!({ "certificates": roots }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealog_tlog::ct::DigitallySigned;

    #[test]
    fn the_answer_is_written_as_it_always_was() {
        let signed = DigitallySigned { hash_alg: 4, sig_alg: 3, signature: vec![9; 70] };
        let sct = Sct {
            version: 0,
            log_id: [7; 32],
            timestamp_ms: 1_800_000_000_123,
            extensions: vec![0, 0, 5, 0, 0, 0, 0, 3],
            signed,
        };
        let value = serde_json::json!({
            "sct_version": 0,
            "id": encode_base64(&[7; 32]),
            "timestamp": 1_800_000_000_123_u64,
            "extensions": "AAAFAAAAAAM=",
            "signature": encode_base64(&sct.signed.encode()),
        });
        assert_eq!(serde_json::to_string(&AddChainResponse::from(&sct)).unwrap(), value.to_string());
    }

    #[test]
    fn an_element_of_a_chain_may_be_escaped_and_must_be_a_string() {
        let read =
            |text: &'static str| serde_json::from_str::<AddChain<'_>>(text).map(|read| read.chain.len());
        assert_eq!(read(r#"{"chain":["\u0041AAA","AAAA"],"other":1}"#).unwrap(), 2);
        assert_eq!(
            read(r#"{"chain":[1]}"#).unwrap_err().to_string(),
            "invalid type: integer `1`, expected a string at line 1 column 11"
        );
        assert!(read("{}").is_err());
    }
}
