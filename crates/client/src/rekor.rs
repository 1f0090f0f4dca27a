//! The signature log as a signer asks it: one entry in, the entry with its proof of inclusion out.
//!
//! Rekor v2 over HTTP (`POST /api/v2/log/entries`). The proof is **not** verified here: [`crate::sign`] does
//! so with the trusted root.

use crate::http::{self, Client, HttpError, Request};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sealog_bundle::{HashedRekord, JsonError, TransparencyLogEntry, Verifier};
use std::time::Duration;
use url::Url;

/// An entry with its proof and a checkpoint with many signatures stays far below.
const MAX_ANSWER_BYTES: usize = 1 << 20;
/// Logs may wait for their next checkpoint before they answer.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Why an entry was not made.
#[derive(Debug, thiserror::Error)]
pub enum RekorError {
    /// The log could not be asked, or refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Not the answer of a log.
    #[error("{url} answered something that is not a log entry")]
    NotAnEntry {
        /// Who.
        url: http::Shown,
        /// What is wrong with it.
        #[source]
        cause: JsonError,
    },
}

/// Appends an entry to the log at `log`.
///
/// # Errors
/// See [`RekorError`].
pub async fn create_entry(
    client: &Client,
    log: &Url,
    entry: &HashedRekord,
) -> Result<TransparencyLogEntry, RekorError> {
    let url = http::below(log, "api/v2/log/entries");
    let request = Request::post(url.clone(), "application/json", request_body(entry).into_bytes())
        .accept("application/json")
        .limit(MAX_ANSWER_BYTES)
        .timeout(TIMEOUT);
    let response = client.send(request).await?;
    TransparencyLogEntry::parse(&response.body)
        .map_err(|cause| RekorError::NotAnEntry { url: (&url).into(), cause })
}

fn request_body(entry: &HashedRekord) -> String {
    let (member, der) = match &entry.verifier {
        Verifier::Certificate(der) => ("x509Certificate", der),
        Verifier::PublicKey(spki) => ("publicKey", spki),
    };
    serde_json::json!({
        "hashedRekordRequestV002": {
            "digest": STANDARD.encode(entry.digest.as_bytes()),
            "signature": {
                "content": STANDARD.encode(&entry.signature),
                "verifier": {
                    member: { "rawBytes": STANDARD.encode(der) },
                    "keyDetails": entry.key_details.name(),
                },
            },
        },
    })
    .to_string()
}
