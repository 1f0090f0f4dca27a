//! The wire of the certificate authority: `dev.sigstore.fulcio.v2.CA` by its HTTP annotations.
//!
//! Everything the caller did wrong is 400 with code 3, a bad token included; faults of ours and of the
//! certificate log are 500 with code 13. The reference server's words come first, details after them.

use super::{
    issue::Issuance,
    request::Asked,
    trust_token::{AUDIENCE, Disbelief, Tokens},
};
use crate::http::{ApiError, json, read_body};
use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::{get, post},
};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use http::{HeaderMap, StatusCode, header};
use sealog_identity::IssuerRule;
use sealog_pki::{Certificate, IssueError};
use serde::Deserialize;
use serde_json::{Value, json as value};
use std::sync::Arc;

/// The reference server takes 4 MiB; no request has more than a few kilobytes, tokens 64 KiB.
const MAX_BODY: usize = 4 * 1024 * 1024;
const BAD_TOKEN: &str = "There was an error processing the identity token";
const LOG_FAILED: &str = "Error entering certificate in CTL";
const FAILED: &str = "error communicating with CA backend";

/// ProtoJSON: either alphabet, padding or not.
const fn lenient(alphabet: &alphabet::Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config)
}
const STANDARD: GeneralPurpose = lenient(&alphabet::STANDARD);
const URL_SAFE: GeneralPurpose = lenient(&alphabet::URL_SAFE);

/// What the handlers share.
pub(super) struct CaApi {
    pub(super) issuance: Issuance,
    pub(super) tokens: Tokens,
}

pub(super) fn router(api: Arc<CaApi>) -> Router {
    Router::new()
        .route("/api/v2/signingCert", post(signing_cert))
        .route("/api/v2/trustBundle", get(trust_bundle))
        .route("/api/v2/configuration", get(configuration))
        .with_state(api)
}

/// `CreateSigningCertificateRequest`. Unknown fields are ignored, as by the reference gateway.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SigningRequest {
    credentials: Option<Credentials>,
    #[serde(alias = "public_key_request")]
    public_key_request: Option<PublicKeyRequest>,
    #[serde(alias = "certificate_signing_request")]
    certificate_signing_request: Option<String>,
}

#[derive(Deserialize)]
struct Credentials {
    #[serde(rename = "oidcIdentityToken", alias = "oidc_identity_token")]
    token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PublicKeyRequest {
    #[serde(alias = "public_key")]
    public_key: Option<PublicKeyField>,
    #[serde(alias = "proof_of_possession")]
    proof_of_possession: Option<String>,
}

#[derive(Deserialize)]
struct PublicKeyField {
    content: Option<String>,
}

async fn signing_cert(State(api): State<Arc<CaApi>>, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let body = read_body(body, MAX_BODY).await?;
    let request: SigningRequest =
        serde_json::from_slice(&body).map_err(|e| ApiError::invalid(format!("invalid request: {e}")))?;
    let in_body = request.credentials.as_ref().and_then(|c| c.token.as_deref()).filter(|t| !t.is_empty());
    let token = in_body.or_else(|| bearer(&parts.headers)).ok_or_else(|| disbelief(&Disbelief::NoToken))?;
    let principal = api.tokens.principal(token).await.map_err(|e| disbelief(&e))?;
    let asked = asked(&request)?;
    let key = asked.proven(&principal.challenge).map_err(|e| ApiError::invalid(e.to_string()))?;
    let issued = api.issuance.issue(&principal, key).await.map_err(|error| match &error {
        // A name the rules let through but X.509 cannot say.
        super::issue::IssuanceError::Issue(IssueError::San(_)) => {
            ApiError::invalid(format!("{BAD_TOKEN}: {error}"))
        }
        _ if error.is_log() => ApiError::internal(LOG_FAILED).because(error.reason()),
        _ => ApiError::internal(FAILED).because(error.reason()),
    })?;
    let chain: Vec<String> = issued.iter().map(pem).collect();
    let answer = value!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": chain } } });
    Ok(json(StatusCode::OK, answer.to_string()))
}

/// What a caller did to its token is told; what an issuer did is told too, it is the caller's issuer.
fn disbelief(error: &Disbelief) -> ApiError {
    ApiError::invalid(format!("{BAD_TOKEN}: {error}"))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim()).filter(|token| !token.is_empty())
}

fn asked(request: &SigningRequest) -> Result<Asked, ApiError> {
    use super::request::RequestError;
    let refuse = |error: RequestError| ApiError::invalid(error.to_string());
    let csr = request.certificate_signing_request.as_deref().filter(|csr| !csr.is_empty());
    match (&request.public_key_request, csr) {
        (Some(_), Some(_)) => Err(refuse(RequestError::TwoKeys)),
        (None, None) => Err(refuse(RequestError::NoKey)),
        (None, Some(csr)) => {
            let pem = base64(csr).and_then(|bytes| String::from_utf8(bytes).ok());
            Asked::csr(&pem.ok_or_else(|| refuse(RequestError::CsrEncoding))?).map_err(refuse)
        }
        (Some(asked), None) => {
            let content = asked.public_key.as_ref().and_then(|key| key.content.as_deref());
            let content = content.ok_or_else(|| refuse(RequestError::NoKey))?;
            let proof = base64(asked.proof_of_possession.as_deref().unwrap_or_default());
            // Not base64 is no signature either.
            Asked::key(content, proof.unwrap_or_default()).map_err(refuse)
        }
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

async fn trust_bundle(State(api): State<Arc<CaApi>>) -> Response {
    let chains = api.issuance.authority.chains();
    let chains =
        chains.iter().map(|chain| value!({ "certificates": chain.iter().map(pem).collect::<Vec<_>>() }));
    json(StatusCode::OK, value!({ "chains": chains.collect::<Vec<_>>() }).to_string())
}

async fn configuration(State(api): State<Arc<CaApi>>) -> Response {
    let issuers: Vec<Value> = api.tokens.rules.iter().map(describe).collect();
    json(StatusCode::OK, value!({ "issuers": issuers }).to_string())
}

fn describe(rule: &IssuerRule) -> Value {
    let url = if rule.is_wildcard() { "wildcardIssuerUrl" } else { "issuerUrl" };
    value!({
        url: rule.issuer(),
        "audience": rule.audience().unwrap_or(AUDIENCE),
        "challengeClaim": rule.challenge_claim(),
        "spiffeTrustDomain": rule.spiffe_trust_domain().unwrap_or_default(),
        "issuerType": rule.type_name(),
        "subjectDomain": rule.subject_domain().unwrap_or_default(),
        "skipEmailVerification": rule.skips_email_verification(),
    })
}

/// Without the final newline, as the reference server sends it.
fn pem(certificate: &Certificate) -> String {
    certificate.to_pem().trim_end().to_owned()
}
