//! A certificate log as an authority asks it: a chain in, a signed certificate timestamp out. The bodies have
//! functions of their own, for who is in one process with the log.
//!
//! RFC 6962 §4.1, §4.2. The SCT is **not** verified here; who asks holds the log's key.

use crate::http::{self, Client, HttpError, Request};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sealog_tlog::ct::{DigitallySigned, Sct};
use serde::Deserialize;
use std::time::Duration;
use url::Url;

const MAX_ANSWER_BYTES: usize = 64 << 10;
const TIMEOUT: Duration = Duration::from_secs(30);

/// Why no SCT was obtained.
#[derive(Debug, thiserror::Error)]
pub enum CtError {
    /// The log could not be asked, or refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Not the answer of a certificate log.
    #[error("{url} answered something that is not an SCT")]
    NotAnSct {
        /// Who.
        url: http::Shown,
    },
}

#[derive(Deserialize)]
struct Answer {
    sct_version: u8,
    id: String,
    timestamp: u64,
    #[serde(default)]
    extensions: String,
    signature: String,
}

/// Logs a certificate: the leaf first, then each issuer, in DER.
///
/// # Errors
/// See [`CtError`].
pub async fn add_chain(client: &Client, log: &Url, chain: &[&[u8]]) -> Result<Sct, CtError> {
    add(client, http::below(log, "ct/v1/add-chain"), chain).await
}

/// Logs a precertificate: it first, then each issuer, in DER.
///
/// # Errors
/// See [`CtError`].
pub async fn add_pre_chain(client: &Client, log: &Url, chain: &[&[u8]]) -> Result<Sct, CtError> {
    add(client, http::below(log, "ct/v1/add-pre-chain"), chain).await
}

async fn add(client: &Client, url: Url, chain: &[&[u8]]) -> Result<Sct, CtError> {
    let request = Request::post(url.clone(), "application/json", request_body(chain))
        .accept("application/json")
        .limit(MAX_ANSWER_BYTES)
        .timeout(TIMEOUT);
    let response = client.send(request).await?;
    parse_answer(&response.body).ok_or(CtError::NotAnSct { url: (&url).into() })
}

/// What is posted to `add-chain` and `add-pre-chain`: the leaf first, then each issuer, in DER.
#[must_use]
pub fn request_body(chain: &[&[u8]]) -> Vec<u8> {
    let chain: Vec<String> = chain.iter().map(|der| STANDARD.encode(der)).collect();
    serde_json::json!({ "chain": chain }).to_string().into_bytes()
}

/// Reads what a log answered; nothing, if it is not an SCT.
#[must_use]
pub fn parse_answer(body: &[u8]) -> Option<Sct> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    Some(Sct {
        version: answer.sct_version,
        log_id: STANDARD.decode(answer.id).ok()?.try_into().ok()?,
        timestamp_ms: answer.timestamp,
        extensions: STANDARD.decode(answer.extensions).ok()?,
        signed: DigitallySigned::parse(&STANDARD.decode(answer.signature).ok()?)?,
    })
    .filter(|sct| sct.version == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_sct_is_read_from_a_logs_answer() {
        let answer = |id: &[u8], version: u8| {
            serde_json::json!({
                "sct_version": version, "id": STANDARD.encode(id), "timestamp": 1_700_000_000_123_u64,
                "extensions": STANDARD.encode([0, 0, 5, 0, 0, 0, 0, 7]),
                "signature": STANDARD.encode([4, 3, 0, 2, 9, 9]),
            })
            .to_string()
        };
        let sct = parse_answer(answer(&[7; 32], 0).as_bytes()).unwrap();
        assert_eq!((sct.log_id, sct.timestamp_ms), ([7; 32], 1_700_000_000_123));
        assert_eq!((sct.signed.hash_alg, sct.signed.sig_alg), (4, 3));
        assert_eq!(sealog_tlog::ct::leaf_index(&sct.extensions).unwrap(), 7);
        assert_eq!(parse_answer(answer(&[7; 31], 0).as_bytes()), None);
        assert_eq!(parse_answer(answer(&[7; 32], 1).as_bytes()), None);
        assert_eq!(parse_answer(b"{}"), None);
    }
}
