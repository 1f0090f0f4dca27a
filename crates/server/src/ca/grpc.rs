//! The certificate authority over gRPC: `dev.sigstore.fulcio.v2.CA`.
//!
//! The messages are those of fulcio.proto, written out: there are ten, they will not change their numbers, and
//! a generator with its parser of protocols would take longer to build than this service. Field numbers that are
//! not here (the algorithm of a public key, say) are read over, as any that come later.

use super::{
    answer::{Believed, CaApi, MAX_REQUEST},
    request::{Asked, RequestError},
};
use crate::http::grpc::unary;
use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::post,
};
use prost::{Message, Oneof};
use std::sync::Arc;

/// The service's name, for those who ask whether it is well.
pub(super) const SERVICE: &str = "dev.sigstore.fulcio.v2.CA";

/// Where the reference server's own gateway puts a token; `authorization` does as well.
const TOKEN_METADATA: &str = "oidcidentitytoken";

pub(super) fn router(api: Arc<CaApi>) -> Router {
    let method = |name: &str| format!("/{SERVICE}/{name}");
    Router::new()
        .route(&method("CreateSigningCertificate"), post(create_signing_certificate))
        .route(&method("GetTrustBundle"), post(get_trust_bundle))
        .route(&method("GetConfiguration"), post(get_configuration))
        .with_state(api)
}

async fn create_signing_certificate(State(api): State<Arc<CaApi>>, request: Request) -> Response {
    unary(request, MAX_REQUEST, async move |headers, message: CreateSigningCertificateRequest| {
        let token = message.credentials.and_then(|credentials| credentials.credentials);
        let token = token.map(|Token::OidcIdentityToken(token)| token).filter(|token| !token.is_empty());
        let token = token.or_else(|| Some(headers.get(TOKEN_METADATA)?.to_str().ok()?.to_owned()));
        let certificates = api.certify(token.as_deref(), &headers, || asked(message.key)).await?;
        let chain = Some(CertificateChain { certificates });
        let embedded = SigningCertificateEmbeddedSct { chain };
        Ok(SigningCertificate { certificate: Some(Issued::SignedCertificateEmbeddedSct(embedded)) })
    })
    .await
}

/// Of two keys only the last can be seen: that is what a `oneof` on the wire means.
fn asked(key: Option<Key>) -> Result<Asked, RequestError> {
    match key {
        Some(Key::CertificateSigningRequest(csr)) if !csr.is_empty() => Asked::csr(&csr),
        Some(Key::PublicKeyRequest(PublicKeyRequest { public_key: Some(key), proof_of_possession })) => {
            Asked::key(key.content.as_bytes(), proof_of_possession)
        }
        _ => Err(RequestError::NoKey),
    }
}

async fn get_trust_bundle(State(api): State<Arc<CaApi>>, request: Request) -> Response {
    unary(request, MAX_REQUEST, async move |_, _: Empty| {
        let chains = api.chains().into_iter().map(|certificates| CertificateChain { certificates });
        Ok(TrustBundle { chains: chains.collect() })
    })
    .await
}

async fn get_configuration(State(api): State<Arc<CaApi>>, request: Request) -> Response {
    unary(request, MAX_REQUEST, async move |_, _: Empty| {
        Ok(Configuration { issuers: api.believed().map(OidcIssuer::from).collect() })
    })
    .await
}

/// `GetTrustBundleRequest` and `GetConfigurationRequest`.
#[derive(Clone, PartialEq, Message)]
struct Empty {}

#[derive(Clone, PartialEq, Message)]
struct CreateSigningCertificateRequest {
    #[prost(message, optional, tag = "1")]
    credentials: Option<Credentials>,
    #[prost(oneof = "Key", tags = "2, 3")]
    key: Option<Key>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Key {
    #[prost(message, tag = "2")]
    PublicKeyRequest(PublicKeyRequest),
    #[prost(bytes, tag = "3")]
    CertificateSigningRequest(Vec<u8>),
}

#[derive(Clone, PartialEq, Message)]
struct Credentials {
    #[prost(oneof = "Token", tags = "1")]
    credentials: Option<Token>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Token {
    #[prost(string, tag = "1")]
    OidcIdentityToken(String),
}

#[derive(Clone, PartialEq, Message)]
struct PublicKeyRequest {
    #[prost(message, optional, tag = "1")]
    public_key: Option<PublicKey>,
    #[prost(bytes, tag = "2")]
    proof_of_possession: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct PublicKey {
    #[prost(string, tag = "2")]
    content: String,
}

/// Its first arm, a certificate with the SCT beside it, is never ours.
#[derive(Clone, PartialEq, Message)]
struct SigningCertificate {
    #[prost(oneof = "Issued", tags = "2")]
    certificate: Option<Issued>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Issued {
    #[prost(message, tag = "2")]
    SignedCertificateEmbeddedSct(SigningCertificateEmbeddedSct),
}

#[derive(Clone, PartialEq, Message)]
struct SigningCertificateEmbeddedSct {
    #[prost(message, optional, tag = "1")]
    chain: Option<CertificateChain>,
}

#[derive(Clone, PartialEq, Message)]
struct TrustBundle {
    #[prost(message, repeated, tag = "1")]
    chains: Vec<CertificateChain>,
}

#[derive(Clone, PartialEq, Message)]
struct CertificateChain {
    #[prost(string, repeated, tag = "1")]
    certificates: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Configuration {
    #[prost(message, repeated, tag = "1")]
    issuers: Vec<OidcIssuer>,
}

#[derive(Clone, PartialEq, Message)]
struct OidcIssuer {
    #[prost(oneof = "IssuerUrl", tags = "1, 2")]
    issuer: Option<IssuerUrl>,
    #[prost(string, tag = "3")]
    audience: String,
    #[prost(string, tag = "4")]
    challenge_claim: String,
    #[prost(string, tag = "5")]
    spiffe_trust_domain: String,
    #[prost(string, tag = "6")]
    issuer_type: String,
    #[prost(string, tag = "7")]
    subject_domain: String,
    #[prost(bool, tag = "8")]
    skip_email_verification: bool,
}

#[derive(Clone, PartialEq, Oneof)]
enum IssuerUrl {
    #[prost(string, tag = "1")]
    IssuerUrl(String),
    #[prost(string, tag = "2")]
    WildcardIssuerUrl(String),
}

impl From<Believed<'_>> for OidcIssuer {
    fn from(issuer: Believed<'_>) -> Self {
        let url = if issuer.is_wildcard { IssuerUrl::WildcardIssuerUrl } else { IssuerUrl::IssuerUrl };
        Self {
            issuer: Some(url(issuer.url.to_owned())),
            audience: issuer.audience.to_owned(),
            challenge_claim: issuer.challenge_claim.to_owned(),
            spiffe_trust_domain: issuer.spiffe_trust_domain.to_owned(),
            issuer_type: issuer.issuer_type.to_owned(),
            subject_domain: issuer.subject_domain.to_owned(),
            skip_email_verification: issuer.skip_email_verification,
        }
    }
}
