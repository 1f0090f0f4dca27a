//! A timestamp authority as a signer asks it: a signature in, a signed time out.
//!
//! RFC 3161 §3.4 over HTTP. The nonce is checked here, because it is forgotten afterwards; everything else
//! about the token is verified in [`crate::sign`] with the trusted root.

use crate::http::{self, Client, HttpError, Request};
use sealog_crypto::{HashAlgorithm, RandomError, random_array};
use sealog_pki::timestamp::{ResponseError, TimeStampReq, TimeStampResp};
use std::time::Duration;
use url::Url;

const MAX_ANSWER_BYTES: usize = 64 << 10;
const TIMEOUT: Duration = Duration::from_secs(15);

/// Why no time was obtained.
#[derive(Debug, thiserror::Error)]
pub enum TsaError {
    /// The authority could not be asked, or refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Not the answer of a timestamp authority, or a refusal.
    #[error("{url} answered something that is not a timestamp")]
    NotATimestamp {
        /// Who.
        url: http::Shown,
        /// What is wrong with it.
        #[source]
        cause: ResponseError,
    },
    /// An answer to another question.
    #[error("{url} answered another request: its nonce is not ours")]
    OtherNonce {
        /// Who.
        url: http::Shown,
    },
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// Has `signature` stamped by the authority at `url` and hands back the whole TimeStampResp in DER.
///
/// # Errors
/// See [`TsaError`].
pub async fn timestamp(client: &Client, url: &Url, signature: &[u8]) -> Result<Vec<u8>, TsaError> {
    // Without the certificate in the answer: the trusted root has it, and bundles stay small.
    let question =
        TimeStampReq::new(HashAlgorithm::Sha256.digest(signature)).with_nonce(&random_array::<16>()?);
    let request = Request::post(url.clone(), "application/timestamp-query", question.encode())
        .accept("application/timestamp-reply")
        .limit(MAX_ANSWER_BYTES)
        .timeout(TIMEOUT);
    let answer = client.send(request).await?.body;
    let response =
        TimeStampResp::parse(&answer).map_err(|cause| TsaError::NotATimestamp { url: url.into(), cause })?;
    if response.nonce() != question.nonce.as_deref() {
        return Err(TsaError::OtherNonce { url: url.into() });
    }
    Ok(answer)
}
