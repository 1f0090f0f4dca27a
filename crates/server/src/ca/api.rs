//! The wire of the certificate authority: `dev.sigstore.fulcio.v2.CA` by its HTTP annotations.
//!
//! Beside it the two paths of its first version that clients of old still ask: they carry PEM, and the token in
//! the header alone.

use super::{
    answer::{Believed, CaApi, MAX_REQUEST},
    request::{Asked, RequestError},
};
use crate::http::{ApiError, content, json, read_body};
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
use http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json as value};
use std::sync::Arc;

/// What the first version answers with.
const PEM_CHAIN: &str = "application/pem-certificate-chain";

/// ProtoJSON: either alphabet, padding or not.
const fn lenient(alphabet: &alphabet::Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(alphabet, config)
}
const STANDARD: GeneralPurpose = lenient(&alphabet::STANDARD);
const URL_SAFE: GeneralPurpose = lenient(&alphabet::URL_SAFE);

pub(super) fn router(api: Arc<CaApi>) -> Router {
    Router::new()
        .route("/api/v2/signingCert", post(signing_cert))
        .route("/api/v2/trustBundle", get(trust_bundle))
        .route("/api/v2/configuration", get(configuration))
        .route("/api/v1/signingCert", post(signing_cert_v1))
        .route("/api/v1/rootCert", get(root_cert_v1))
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

/// The first version's `CreateSigningCertificateRequest`: the token is in the header.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SigningRequestV1 {
    #[serde(alias = "public_key")]
    public_key: Option<PublicKeyField>,
    #[serde(alias = "signed_email_address")]
    signed_email_address: Option<String>,
    #[serde(alias = "certificate_signing_request")]
    certificate_signing_request: Option<String>,
}

async fn signing_cert(State(api): State<Arc<CaApi>>, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let request: SigningRequest = parse(&read_body(body, MAX_REQUEST).await?)?;
    let token = request.credentials.as_ref().and_then(|credentials| credentials.token.as_deref());
    let chain = api.certify(token, &parts.headers, || asked(&request)).await?;
    let answer = value!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": chain } } });
    Ok(json(StatusCode::OK, answer.to_string()))
}

async fn signing_cert_v1(State(api): State<Arc<CaApi>>, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let request: SigningRequestV1 = parse(&read_body(body, MAX_REQUEST).await?)?;
    let chain = api.certify(None, &parts.headers, || asked_v1(&request)).await?;
    Ok(content(StatusCode::CREATED, PEM_CHAIN, chain.join("\n")))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|error| ApiError::invalid(format!("invalid request: {error}")))
}

fn asked(request: &SigningRequest) -> Result<Asked, RequestError> {
    let csr = request.certificate_signing_request.as_deref().filter(|csr| !csr.is_empty());
    match (&request.public_key_request, csr) {
        (Some(_), Some(_)) => Err(RequestError::TwoKeys),
        (None, None) => Err(RequestError::NoKey),
        (None, Some(csr)) => Asked::csr(&base64(csr).ok_or(RequestError::CsrEncoding)?),
        (Some(asked), None) => {
            let content = asked.public_key.as_ref().and_then(|key| key.content.as_deref());
            let proof = base64(asked.proof_of_possession.as_deref().unwrap_or_default());
            // Not base64 is no signature either.
            Asked::key(content.ok_or(RequestError::NoKey)?.as_bytes(), proof.unwrap_or_default())
        }
    }
}

fn asked_v1(request: &SigningRequestV1) -> Result<Asked, RequestError> {
    let csr = request.certificate_signing_request.as_deref().filter(|csr| !csr.is_empty());
    match (&request.public_key, csr) {
        (Some(_), Some(_)) => Err(RequestError::TwoKeys),
        (None, None) => Err(RequestError::NoKey),
        (None, Some(csr)) => Asked::csr(&base64(csr).ok_or(RequestError::CsrEncoding)?),
        (Some(key), None) => {
            let content = key.content.as_deref().and_then(base64).unwrap_or_default();
            let proof = base64(request.signed_email_address.as_deref().unwrap_or_default());
            Asked::key(&content, proof.unwrap_or_default())
        }
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

async fn trust_bundle(State(api): State<Arc<CaApi>>) -> Response {
    let chains: Vec<Value> =
        api.chains().into_iter().map(|chain| value!({ "certificates": chain })).collect();
    json(StatusCode::OK, value!({ "chains": chains }).to_string())
}

async fn root_cert_v1(State(api): State<Arc<CaApi>>) -> Response {
    content(StatusCode::OK, PEM_CHAIN, api.chains().first().map(|chain| chain.join("\n")).unwrap_or_default())
}

async fn configuration(State(api): State<Arc<CaApi>>) -> Response {
    let issuers: Vec<Value> = api.believed().map(|issuer| describe(&issuer)).collect();
    json(StatusCode::OK, value!({ "issuers": issuers }).to_string())
}

fn describe(issuer: &Believed<'_>) -> Value {
    let url = if issuer.is_wildcard { "wildcardIssuerUrl" } else { "issuerUrl" };
    value!({
        url: issuer.url,
        "audience": issuer.audience,
        "challengeClaim": issuer.challenge_claim,
        "spiffeTrustDomain": issuer.spiffe_trust_domain,
        "issuerType": issuer.issuer_type,
        "subjectDomain": issuer.subject_domain,
        "skipEmailVerification": issuer.skip_email_verification,
    })
}
