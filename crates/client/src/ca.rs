//! The certificate authority as a client asks it: a token and a request in, a certificate out.
//!
//! Fulcio v2 over HTTP (`POST /api/v2/signingCert`). The key is proven by a PKCS#10 request with an empty
//! subject, because then nobody has to agree on which claim of the token to sign.
//! Whether the certificate is one to use is decided in [`crate::sign`].

use crate::{
    http::{self, Client, HttpError, Request},
    oidc::IdentityToken,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sealog_crypto::Signer;
use sealog_pki::{Certificate, CertificateError, Csr, csr::BuildCsrError};
use serde::Deserialize;
use std::time::Duration;
use url::Url;

/// The largest answer read: a chain of a few certificates.
const MAX_ANSWER_BYTES: usize = 256 << 10;
/// The authority waits for a log before it answers.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why no certificate was obtained.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The authority could not be asked, or refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The request could not be signed.
    #[error(transparent)]
    Request(#[from] BuildCsrError),
    /// Not the answer of an authority.
    #[error("{url} answered something that is not a certificate chain")]
    NotAChain {
        /// Who.
        url: http::Shown,
    },
    /// The certificate came without proof that it is logged.
    #[error("{url} issued a certificate without an embedded SCT")]
    DetachedSct {
        /// Who.
        url: http::Shown,
    },
    /// A certificate we cannot read.
    #[error("{url} issued a certificate that cannot be read")]
    Certificate {
        /// Who.
        url: http::Shown,
        /// What is wrong with it.
        #[source]
        cause: CertificateError,
    },
}

/// What the authority issued, **not yet verified**.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The signer's certificate.
    pub leaf: Certificate,
    /// Those above it, towards the root certificate.
    pub above: Vec<Certificate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    signed_certificate_embedded_sct: Option<WithChain>,
    signed_certificate_detached_sct: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct WithChain {
    chain: Chain,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<String>,
}

/// Asks for a certificate for `key` in the name the token stands for.
///
/// # Errors
/// See [`CaError`].
pub async fn request_certificate(
    client: &Client,
    ca: &Url,
    token: &IdentityToken,
    key: &dyn Signer,
) -> Result<Issued, CaError> {
    http::keeps_secrets(ca)?;
    let url = http::below(ca, "api/v2/signingCert");
    let request = Csr::pem_of(&Csr::build(key)?);
    let body = serde_json::json!({ "certificateSigningRequest": STANDARD.encode(request) });
    let request = Request::post(url.clone(), "application/json", body.to_string().into_bytes())
        .accept("application/json")
        .authorization(&format!("Bearer {}", token.secret()))
        .limit(MAX_ANSWER_BYTES)
        .timeout(TIMEOUT);
    let response = client.send(request).await?;
    parse_answer(&response.body, &url)
}

fn parse_answer(body: &[u8], url: &Url) -> Result<Issued, CaError> {
    let not_a_chain = || CaError::NotAChain { url: url.into() };
    let answer: Answer = serde_json::from_slice(body).map_err(|_| not_a_chain())?;
    let chain = match (answer.signed_certificate_embedded_sct, answer.signed_certificate_detached_sct) {
        (Some(embedded), _) => embedded.chain.certificates,
        (None, Some(_)) => return Err(CaError::DetachedSct { url: url.into() }),
        (None, None) => return Err(not_a_chain()),
    };
    let mut chain = chain.iter().map(|pem| {
        Certificate::from_pem(pem).map_err(|cause| CaError::Certificate { url: url.into(), cause })
    });
    let leaf = chain.next().ok_or_else(not_a_chain)??;
    Ok(Issued { leaf, above: chain.collect::<Result<_, _>>()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_are_no_chain_are_named() {
        let url = http::parse_url("https://ca.example/api/v2/signingCert").unwrap();
        let read = |body: &str| parse_answer(body.as_bytes(), &url).unwrap_err();
        assert!(matches!(read("<html>"), CaError::NotAChain { .. }));
        assert!(matches!(read("{}"), CaError::NotAChain { .. }));
        let empty = r#"{"signedCertificateEmbeddedSct":{"chain":{"certificates":[]}}}"#;
        assert!(matches!(read(empty), CaError::NotAChain { .. }));
        let detached = r#"{"signedCertificateDetachedSct":{"chain":{"certificates":[]}}}"#;
        assert!(matches!(read(detached), CaError::DetachedSct { .. }));
        let garbage = r#"{"signedCertificateEmbeddedSct":{"chain":{"certificates":["x"]}}}"#;
        let error = read(garbage);
        assert_eq!(
            error.to_string(),
            "https://ca.example/api/v2/signingCert issued a certificate that cannot be read"
        );
    }
}
