//! Timestamps (RFC 3161): requests, the responses an authority gives, and whether to believe one.
//!
//! The authority's side is [`respond`], the client's [`TimeStampReq::encode`], the verifier's
//! [`TimeStampResp::parse`] and [`verify`]. When an authority was trusted is `verify`'s question.

mod request;
mod respond;
mod response;
mod verify;

pub use request::{MAX_REQUEST_BYTES, RequestError, TimeStampReq};
pub use respond::{ACCURACY_SECONDS, POLICY, RespondError, TsaIdentity, respond};
pub use response::{MAX_RESPONSE_BYTES, ResponseError, TimeStampResp};
pub use verify::{TimestampError, VerifiedTimestamp, verify};

#[cfg(test)]
mod tests;
