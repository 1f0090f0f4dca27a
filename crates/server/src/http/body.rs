//! Bodies of requests, read whole: bounded each by its service, and all together by the memory they may take.
//!
//! A bound for each alone is none: whoever opens a thousand connections and sends all but the last byte on each
//! would make us hold a thousand times the bound. Small bodies are always taken; the rest share what there is.

use super::{ApiError, Code};
use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use std::{ops::Deref, time::Duration};
use tokio::sync::{Semaphore, SemaphorePermit};

/// A request's body must have come by then (the reference servers' read time-out).
const BODY_TIMEOUT: Duration = Duration::from_secs(20);
/// Ordinary requests are smaller; so much of every body costs nothing of the shared room.
const FREE: usize = 16 * 1024;
/// Bytes of all large bodies together, in this process.
const SHARED: usize = 256 * 1024 * 1024;
/// Large bodies are gone as soon as they are answered.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Who is refused in the middle of sending would see a broken connection and not the refusal: so much more is read, and
/// dropped, for so long.
const DRAINED: usize = 8 * 1024 * 1024;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

static ROOM: Semaphore = Semaphore::const_new(SHARED);

/// Why a request's body could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// More bytes than the service takes.
    #[error("request body is larger than {0} bytes")]
    TooLarge(usize),
    /// It did not come in time.
    #[error("request body did not arrive in time")]
    TimedOut,
    /// The connection broke, or the framing is wrong.
    #[error("request body is incomplete")]
    Incomplete,
    /// The others have all the room there is.
    #[error("too many large requests at once; retry")]
    Busy,
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Busy => Self::new(Code::Unavailable, error.to_string()).retry_after(RETRY_AFTER),
            // The reference gateways answer 400 for a body over the limit as well.
            _ => Self::invalid(error.to_string()),
        }
    }
}

/// A request's body. Keep it no longer than it is needed: it holds room that others wait for.
#[derive(Debug)]
pub struct Received {
    bytes: Bytes,
    _room: Option<SemaphorePermit<'static>>,
}

impl Deref for Received {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a request's body of at most `limit` bytes.
///
/// # Errors
/// See [`BodyError`].
pub async fn read_body(mut body: Body, limit: usize) -> Result<Received, BodyError> {
    let read = tokio::time::timeout(BODY_TIMEOUT, read(&mut body, limit, &ROOM)).await;
    let read = read.unwrap_or(Err(BodyError::TimedOut));
    if matches!(read, Err(BodyError::TooLarge(_) | BodyError::Busy)) {
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, drain(&mut body)).await;
    }
    read
}

async fn drain(body: &mut Body) {
    let mut dropped = 0_usize;
    while let Some(Ok(frame)) = body.frame().await {
        dropped = dropped.saturating_add(frame.data_ref().map_or(0, |data| data.len()));
        if dropped > DRAINED {
            return;
        }
    }
}

async fn read(body: &mut Body, limit: usize, shared: &'static Semaphore) -> Result<Received, BodyError> {
    let mut bytes = Vec::new();
    let mut room: Option<SemaphorePermit<'static>> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Incomplete)?.into_data() else { continue };
        let length = bytes.len().saturating_add(data.len());
        if length > limit {
            return Err(BodyError::TooLarge(limit));
        }
        // What has come is counted, not what was announced: announcing costs nothing.
        let held = room.as_ref().map_or(0, SemaphorePermit::num_permits);
        let wanted = length.saturating_sub(FREE).saturating_sub(held);
        if wanted > 0 {
            let wanted = u32::try_from(wanted).map_err(|_| BodyError::TooLarge(limit))?;
            let more = shared.try_acquire_many(wanted).map_err(|_| BodyError::Busy)?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
        }
        // Most bodies come in one piece. One that is waited for must not hold what the connection reads into.
        if bytes.is_empty() && body.is_end_stream() {
            return Ok(Received { bytes: data, _room: room });
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Received { bytes: bytes.into(), _room: room })
}

#[cfg(test)]
mod tests {
    use super::*;

    static SMALL: Semaphore = Semaphore::const_new(10_000);

    #[tokio::test]
    async fn large_bodies_share_what_there_is_and_small_ones_always_pass() {
        const LIMIT: usize = 100_000;
        let take = async |length: usize| read(&mut Body::from(vec![b' '; length]), LIMIT, &SMALL).await;
        let first = take(FREE + 7_000).await.unwrap();
        assert_eq!(first.len(), FREE + 7_000);
        assert_eq!(take(FREE + 3_001).await.unwrap_err(), BodyError::Busy);
        assert_eq!(take(FREE).await.unwrap().len(), FREE);
        drop(first);
        assert!(take(FREE + 10_000).await.is_ok());
        // Nothing of a refused one is kept.
        assert_eq!(take(LIMIT + 1).await.unwrap_err(), BodyError::TooLarge(LIMIT));
        assert_eq!(SMALL.available_permits(), 10_000);
    }
}
