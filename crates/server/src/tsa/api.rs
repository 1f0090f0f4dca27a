//! The wire of the timestamp authority: RFC 3161 §3.4, and the reference server's JSON form and messages.
//!
//! Errors are HTTP errors, never a TimeStampResp with status rejection: clients show the former.

use super::stamp::{StampError, Stamper};
use crate::http::{ApiError, BodyError, Direct, content, read_body, with_cors};
use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sealog_crypto::{Digest, HashAlgorithm};
use sealog_pki::{
    ObjectIdentifier,
    timestamp::{RequestError, RespondError, TimeStampReq},
};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};

/// The reference server cuts here.
const MAX_BODY: usize = 1024 * 1024;
/// Whoever is turned away because others have all the room tries again after this.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// The JSON form has a handful of short fields.
const MAX_JSON: usize = 1024;
const NOT_MADE: &str = "Error generating timestamp response";
const WEAK_HASH: &str = "Weak hash algorithm in timestamp request";
const DIGEST_LENGTH: &str = "Message digest has incorrect length for specified algorithm";
const TOO_LARGE: &str = "timestamp request is too large";

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const TIMESTAMP: &str = "/api/v1/timestamp";

pub(super) fn direct(stamper: Arc<Stamper>) -> Direct {
    Direct::default().post(TIMESTAMP, move |request| timestamp(State(Arc::clone(&stamper)), request))
}

pub(super) fn router(stamper: Arc<Stamper>) -> Router {
    let router = Router::new()
        .route(TIMESTAMP, post(timestamp))
        .route("/api/v1/timestamp/certchain", get(chain))
        .route("/ping", get(async || content(StatusCode::OK, "text/plain", ".")))
        .with_state(stamper);
    with_cors(router)
}

async fn timestamp(State(stamper): State<Arc<Stamper>>, request: Request) -> Result<Response, ApiError> {
    let form = form_of(request.headers())?;
    let limit = match form {
        Form::Der => MAX_BODY,
        Form::Json => MAX_JSON,
    };
    let body = read_body(request.into_body(), limit).await.map_err(|error| match (error, &form) {
        (BodyError::TooLarge(_), Form::Der) => {
            ApiError::with_status(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE)
        }
        (BodyError::TooLarge(_), Form::Json) => refuse(TOO_LARGE),
        (busy @ BodyError::Busy, _) => {
            ApiError::with_status(StatusCode::SERVICE_UNAVAILABLE, busy.to_string()).retry_after(RETRY_AFTER)
        }
        (other, _) => ApiError::with_status(StatusCode::BAD_REQUEST, other.to_string()),
    })?;
    let request = match form {
        Form::Der => TimeStampReq::parse(&body).map_err(refuse_request)?,
        Form::Json => parse_json(&body)?,
    };
    let reply = stamper.stamp(&request).map_err(|error| match error {
        StampError::Respond(RespondError::Policy(oid)) => refuse(format!("unaccepted policy: {oid}")),
        StampError::Respond(RespondError::Extension(oid)) => refuse(format!("unaccepted extension: {oid}")),
        other => ApiError::with_status(StatusCode::INTERNAL_SERVER_ERROR, NOT_MADE).because(other),
    })?;
    let mut response = content(StatusCode::OK, "application/timestamp-reply", reply);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn chain(State(stamper): State<Arc<Stamper>>) -> Response {
    let mut response = content(StatusCode::OK, "application/pem-certificate-chain", stamper.chain_pem());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400"));
    response.into_response()
}

enum Form {
    Der,
    Json,
}

fn form_of(headers: &HeaderMap) -> Result<Form, ApiError> {
    let named = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let bare = named.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match bare.as_str() {
        "application/timestamp-query" => Ok(Form::Der),
        "application/json" => Ok(Form::Json),
        _ => Err(ApiError::with_status(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported media type, only [application/json application/timestamp-query] are allowed",
        )),
    }
}

/// The reference server's JSON request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct JsonRequest {
    artifact_hash: String,
    hash_algorithm: String,
    #[serde(default)]
    certificates: bool,
    nonce: Option<u128>,
    #[serde(rename = "tsaPolicyOID")]
    tsa_policy_oid: Option<String>,
}

fn parse_json(body: &[u8]) -> Result<TimeStampReq, ApiError> {
    let request: JsonRequest =
        serde_json::from_slice(body).map_err(|e| refuse(format!("{NOT_MADE}: {e}")))?;
    let algorithm = match request.hash_algorithm.to_ascii_lowercase().as_str() {
        "sha1" | "md5" => return Err(refuse(WEAK_HASH)),
        name => HashAlgorithm::from_name(name)
            .ok_or_else(|| refuse(format!("{NOT_MADE}: expected hash algorithm sha256, sha384 or sha512")))?,
    };
    let digest = BASE64
        .decode(&request.artifact_hash)
        .map_err(|_| refuse(format!("{NOT_MADE}: artifactHash is not base64")))?;
    let imprint = Digest::new(algorithm, &digest).map_err(|_| refuse(DIGEST_LENGTH))?;
    let mut made = TimeStampReq::new(imprint);
    if request.certificates {
        made = made.with_certificate();
    }
    if let Some(nonce) = request.nonce {
        made = made.with_nonce(&nonce.to_be_bytes());
    }
    if let Some(policy) = request.tsa_policy_oid.filter(|policy| !policy.is_empty()) {
        made.policy = Some(
            ObjectIdentifier::new(&policy)
                .map_err(|_| refuse(format!("{NOT_MADE}: tsaPolicyOID is not an object identifier")))?,
        );
    }
    Ok(made)
}

fn refuse_request(error: RequestError) -> ApiError {
    match error {
        RequestError::WeakHash(_) => refuse(WEAK_HASH),
        RequestError::DigestLength(_) => refuse(DIGEST_LENGTH),
        RequestError::TooLarge { .. } => refuse(TOO_LARGE),
        other => refuse(format!("{NOT_MADE}: {other}")),
    }
}

fn refuse(message: impl Into<std::borrow::Cow<'static, str>>) -> ApiError {
    ApiError::with_status(StatusCode::BAD_REQUEST, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<TimeStampReq, String> {
        parse_json(text.as_bytes()).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn the_json_form_is_read_as_sigstore_js_sends_it() {
        let hash = "n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=";
        let made = json(&format!(r#"{{"artifactHash":"{hash}","hashAlgorithm":"sha256"}}"#)).unwrap();
        assert_eq!(made.imprint.algorithm(), HashAlgorithm::Sha256);
        assert!(made.nonce.is_none() && !made.cert_req);
        let made = json(&format!(
            r#"{{"artifactHash":"{hash}","hashAlgorithm":"sha256","nonce":128,"certificates":true}}"#
        ))
        .unwrap();
        assert_eq!(made.nonce.as_deref(), Some([0, 128].as_slice()));
        assert!(made.cert_req);
    }

    #[test]
    fn the_json_form_is_refused_in_the_reference_words() {
        assert_eq!(json(r#"{"artifactHash":"AAAA","hashAlgorithm":"sha1"}"#).unwrap_err(), WEAK_HASH);
        assert_eq!(json(r#"{"artifactHash":"AAAA","hashAlgorithm":"sha256"}"#).unwrap_err(), DIGEST_LENGTH);
        assert!(json("{").unwrap_err().starts_with(NOT_MADE));
    }
}
