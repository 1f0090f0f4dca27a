//! The way of a precertificate to the certificate log, and of the SCT back: RFC 6962 §4.2.

use super::CtLog;
use crate::{
    clock::Clock,
    http::{SignedHere, Within},
};
use anyhow::Context as _;
use axum::body::{Body, to_bytes};
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use sealog_client::{
    ct::{CtError, add_pre_chain, parse_answer, request_body},
    http::{Client, parse_url},
};
use sealog_crypto::PublicKey;
use sealog_tlog::ct::{CtEntry, Sct, SctError};
use std::time::Duration;
use url::Url;

/// The log answers in milliseconds; sigstore-js gives the whole request five seconds.
const TIMEOUT: Duration = Duration::from_secs(4);
/// An SCT is shorter, and a refusal too.
const MAX_ANSWER: usize = 64 * 1024;

/// Why there is no SCT.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    /// Asked over the network.
    #[error("the certificate log did not answer with an SCT")]
    Asked(#[from] CtError),
    /// Asked within the process.
    #[error("the certificate log answered {status}: {text}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// What it said.
        text: String,
    },
    /// None has begun.
    #[error("no certificate log has begun")]
    NotBegun,
    /// Not in time.
    #[error("the certificate log did not answer within {} s", TIMEOUT.as_secs())]
    TimedOut,
    /// What it answered is no promise about this certificate.
    #[error("the certificate log's SCT does not verify")]
    Sct(#[from] SctError),
}

/// The log, as the authority asks it.
pub(super) enum Log {
    Elsewhere {
        client: Client,
        url: Url,
        key: PublicKey,
    },
    /// Each with its start, in their order.
    Within {
        logs: Vec<(i64, Within)>,
        clock: Clock,
    },
}

impl Log {
    pub(super) fn new(log: CtLog, clock: Clock) -> anyhow::Result<Self> {
        Ok(match log {
            CtLog::Elsewhere { url, key } => {
                let url = parse_url(&url).context("the certificate log's URL")?;
                Self::Elsewhere { client: Client::new(), url, key }
            }
            CtLog::Within(logs) => Self::Within { logs, clock },
        })
    }

    /// Logs a precertificate, which comes first in `chain`, and gives the promise about `entry`: checked,
    /// where it came over the network.
    pub(super) async fn submit(&self, chain: &[&[u8]], entry: &CtEntry) -> Result<Sct, LogError> {
        let asked = async {
            match self {
                Self::Elsewhere { client, url, key } => {
                    let sct = add_pre_chain(client, url, chain).await?;
                    sct.verify(entry, key)?;
                    Ok(sct)
                }
                // Signed in this process a moment ago: a second look would cost as much as all the signing.
                Self::Within { logs, clock } => {
                    let now = clock.unix_seconds();
                    let at_work = logs.iter().rfind(|(start, _)| *start <= now);
                    ask(&at_work.ok_or(LogError::NotBegun)?.1, chain).await
                }
            }
        };
        tokio::time::timeout(TIMEOUT, asked).await.map_err(|_| LogError::TimedOut)?
    }
}

async fn ask(service: &Within, chain: &[&[u8]]) -> Result<Sct, LogError> {
    let mut request = Request::new(Body::from(request_body(chain)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("/ct/v1/add-pre-chain");
    request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request.extensions_mut().insert(SignedHere);
    let response = service.call(request).await;
    let status = response.status();
    let body = to_bytes(response.into_body(), MAX_ANSWER).await.unwrap_or_default();
    let refused = || LogError::Refused { status, text: String::from_utf8_lossy(&body).into_owned() };
    if !status.is_success() {
        return Err(refused());
    }
    parse_answer(&body).ok_or_else(refused)
}
