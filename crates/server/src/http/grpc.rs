//! gRPC as every service serves it: unary calls, their statuses, and the health service.
//!
//! Spec: grpc/grpc doc/PROTOCOL-HTTP2.md, doc/statuscodes.md and doc/health-checking.md. A message is read as any
//! other body is, within the same bounds of size, time and memory; an error is an [`ApiError`], with the code and
//! the words it has over HTTP. No compression (a small bomb is a large message), no streams of messages.

use super::{ApiError, BodyError, Code, Failure, Reason, Room, read_body};
use axum::{Router, body::Body, extract::Request, response::Response, routing::post};
use http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use http_body_util::{BodyExt as _, Full};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use prost::{
    Message,
    bytes::{BufMut as _, Bytes, BytesMut},
};
use std::future::Future;

const CONTENT_TYPE: &str = "application/grpc";
const STATUS: &str = "grpc-status";
const MESSAGE: &str = "grpc-message";
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";
/// What `Retry-After` is over HTTP (grpc/proposal A6-client-retries), in milliseconds.
const RETRY_PUSHBACK: &str = "grpc-retry-pushback-ms";
const OK: HeaderValue = HeaderValue::from_static("0");
/// A flag and the length in four bytes come before each message.
const PREFIX: usize = 5;
/// Bytes of a status message: it travels in a header.
const MAX_STATUS_MESSAGE: usize = 2048;
/// What stands for itself in a status message.
const PLAIN: &AsciiSet = &CONTROLS.add(b'%');
/// A request for health is a name.
const MAX_HEALTH: usize = 1024;

/// The status that counts, where the HTTP status is 200 whatever happened.
#[derive(Clone, Copy)]
pub(super) struct Counted(pub(super) StatusCode);

/// Whether a request speaks gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.strip_prefix(CONTENT_TYPE).is_some_and(|rest| matches!(rest.as_bytes(), [] | [b'+' | b';', ..]))
}

/// Answers a unary call: one message of at most `limit` bytes in, one out or an error.
pub async fn unary<M, R, F, A>(request: Request, limit: usize, answer: F) -> Response
where
    M: Message + Default,
    R: Message,
    F: FnOnce(HeaderMap, M) -> A,
    A: Future<Output = Result<R, ApiError>>,
{
    let (parts, body) = request.into_parts();
    if !is_grpc(&parts.headers) {
        let wrong = "this path takes calls of gRPC only, content type application/grpc";
        return axum::response::IntoResponse::into_response(ApiError::with_status(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            wrong,
        ));
    }
    if parts.version != Version::HTTP_2 {
        let wrong = "gRPC is spoken over HTTP/2";
        return axum::response::IntoResponse::into_response(ApiError::with_status(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            wrong,
        ));
    }
    let answered = async {
        let message = {
            let body = read_body(body, limit.saturating_add(PREFIX)).await.map_err(|error| match error {
                BodyError::TooLarge(_) => BodyError::TooLarge(limit),
                other => other,
            })?;
            M::decode(unframed(&body)?)
                .map_err(|error| ApiError::invalid(format!("invalid request: {error}")))?
        };
        answer(parts.headers, message).await
    };
    match answered.await {
        Ok(message) => message_response(message).await.unwrap_or_else(ApiError::into_grpc),
        Err(error) => error.into_grpc(),
    }
}

/// The one message of a unary call.
fn unframed(body: &[u8]) -> Result<&[u8], ApiError> {
    let framing = || ApiError::invalid("invalid request: not one message with its length");
    let (prefix, message) = body.split_first_chunk::<PREFIX>().ok_or_else(framing)?;
    let [compressed, length @ ..] = prefix;
    if *compressed != 0 {
        return Err(ApiError::new(Code::Unimplemented, "messages are not taken compressed"));
    }
    match usize::try_from(u32::from_be_bytes(*length)) == Ok(message.len()) {
        true => Ok(message),
        false => Err(framing()),
    }
}

async fn message_response<M: Message>(message: M) -> Result<Response, ApiError> {
    let encoded = message.encoded_len();
    let length = u32::try_from(encoded).map_err(|_| ApiError::internal("the answer is too long"))?;
    let mut framed = BytesMut::with_capacity(encoded.saturating_add(PREFIX));
    framed.put_u8(0);
    framed.put_u32(length);
    message.encode(&mut framed).map_err(|_| ApiError::internal("the answer has no room"))?;
    // It may hold the room that its bytes are to have now.
    drop(message);
    let trailers = HeaderMap::from_iter([(http::HeaderName::from_static(STATUS), OK)]);
    let framed = Room::default().hold_all(framed.freeze()).await?;
    let body = Full::<Bytes>::new(framed).with_trailers(async move { Some(Ok(trailers)) });
    Ok(headed(Body::new(body)))
}

fn headed(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    // How a client whose compressed message is refused learns what to send (doc/compression.md).
    response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    response
}

impl ApiError {
    /// As the trailers of a call that gives no message.
    #[must_use]
    pub fn into_grpc(self) -> Response {
        /// gRPC's own codes; services that carry HTTP statuses in their bodies have none of them.
        const LAST: u16 = 16;
        const UNKNOWN: u16 = 2;
        let mut response = headed(Body::empty());
        let code = if self.code <= LAST { self.code } else { UNKNOWN };
        response.headers_mut().insert(STATUS, HeaderValue::from(code));
        let end = self.message.floor_char_boundary(MAX_STATUS_MESSAGE);
        let message = self.message.get(..end).unwrap_or_default();
        if let Ok(value) = HeaderValue::from_str(&utf8_percent_encode(message, PLAIN).to_string()) {
            response.headers_mut().insert(MESSAGE, value);
        }
        if let Some(after) = self.retry_after {
            let milliseconds = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            response.headers_mut().insert(RETRY_PUSHBACK, HeaderValue::from(milliseconds));
        }
        response.extensions_mut().insert(Counted(self.status));
        if let Some(reason) = self.reason {
            response.extensions_mut().insert(Reason(reason));
        }
        response
    }
}

#[derive(Clone, PartialEq, Message)]
struct HealthRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, Message)]
struct HealthAnswer {
    #[prost(enumeration = "Health", tag = "1")]
    status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum Health {
    Unknown = 0,
    Serving = 1,
    NotServing = 2,
}

/// `grpc.health.v1.Health` about the services of these names, and about the whole by the empty one.
pub(super) fn health(names: &'static [&'static str], failure: Failure) -> Router {
    let check = async move |request: Request| {
        unary(request, MAX_HEALTH, async move |_, asked: HealthRequest| {
            if !asked.service.is_empty() && !names.contains(&asked.service.as_str()) {
                return Err(ApiError::not_found());
            }
            let status = if failure().is_none() { Health::Serving } else { Health::NotServing };
            Ok(HealthAnswer { status: status.into() })
        })
        .await
    };
    // A watcher would hold a connection for ever; the protocol lets it be told to ask instead.
    let watch = async || ApiError::new(Code::Unimplemented, "ask with Check").into_grpc();
    Router::new()
        .route("/grpc.health.v1.Health/Check", post(check))
        .route("/grpc.health.v1.Health/Watch", post(watch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_one_whole_message_that_is_not_compressed() {
        assert_eq!(unframed(&[0, 0, 0, 0, 2, 7, 8]).unwrap(), [7, 8]);
        assert_eq!(unframed(&[0, 0, 0, 0, 0]).unwrap(), [0_u8; 0]);
        for (bytes, code) in [
            (&[][..], 3),
            (&[0, 0, 0, 0], 3),
            (&[0, 0, 0, 0, 2, 7], 3),
            (&[0, 0, 0, 0, 2, 7, 8, 9], 3),
            (&[0, 255, 255, 255, 255, 7], 3),
            (&[1, 0, 0, 0, 1, 7], 12),
            (&[2, 0, 0, 0, 1, 7], 12),
        ] {
            assert_eq!(unframed(bytes).unwrap_err().code, code, "{bytes:?}");
        }
    }

    #[test]
    fn an_error_keeps_its_code_and_words() {
        let response = ApiError::invalid("50 % of «ü»\r\n").into_grpc();
        let header = |name| response.headers()[name].to_str().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!((header("content-type"), header(STATUS)), ("application/grpc", "3"));
        assert_eq!(header(MESSAGE), "50 %25 of %C2%AB%C3%BC%C2%BB%0D%0A");
        let later = ApiError::new(Code::Unavailable, "").retry_after(std::time::Duration::from_millis(250));
        assert_eq!(later.into_grpc().headers()[RETRY_PUSHBACK], "250");
        let long = ApiError::invalid("ü".repeat(9000)).into_grpc();
        assert!(long.headers()[MESSAGE].len() <= 3 * MAX_STATUS_MESSAGE);
        let other = ApiError::with_status(StatusCode::PAYLOAD_TOO_LARGE, "").into_grpc();
        assert_eq!(other.headers()[STATUS], "2");
    }

    #[test]
    fn only_its_own_content_types_are_grpc() {
        let of = |value: &'static str| {
            is_grpc(&HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]))
        };
        assert!(of("application/grpc") && of("application/grpc+proto") && of("application/grpc;x=y"));
        assert!(!of("application/json") && !of("application/grpc-web") && !is_grpc(&HeaderMap::new()));
    }
}
