//! Large answers of one HTTP/2 connection that are not taken yet, and until when they must be.
//!
//! A stream whose reader gives it no window never shows at the connection beneath: its bytes are only kept. So they are
//! counted by themselves, until the last reference to them is gone, wherever the library has put them.

use super::stall::{LEAST_RATE, PATIENCE_FACTOR};
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;

/// Smaller answers are bounded by the number of streams.
const LARGE: u64 = 16 * 1024;

/// When each must be taken, by a number of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct UnderWay(Arc<Mutex<Places>>);

#[derive(Debug, Default)]
struct Places {
    due: BTreeSet<(Instant, u64)>,
    begun: u64,
}

impl UnderWay {
    /// Whether one should have been taken by now.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.places().due.first().is_some_and(|(due, _)| *due < now)
    }

    /// The answer, counted if it is large; `patience` is what a reader may take for nothing at all.
    pub(super) fn counted(&self, body: Body, patience: Duration) -> Body {
        let length = body.size_hint().lower();
        if length <= LARGE {
            return body;
        }
        let due = Instant::now() + patience * PATIENCE_FACTOR + Duration::from_secs(length / LEAST_RATE);
        let place = {
            let mut places = self.places();
            places.begun = places.begun.wrapping_add(1);
            (due, places.begun)
        };
        self.places().due.insert(place);
        Body::new(Counted { body, one: Arc::new(One { all: self.clone(), place }) })
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One answer; gone when nothing refers to its bytes.
struct One {
    all: UnderWay,
    place: (Instant, u64),
}

impl Drop for One {
    fn drop(&mut self) {
        self.all.places().due.remove(&self.place);
    }
}

struct Counted {
    body: Body,
    one: Arc<One>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let counted = |bytes| Bytes::from_owner(Piece { bytes, _one: Arc::clone(&self.one) });
        polled.map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(counted))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

struct Piece {
    bytes: Bytes,
    _one: Arc<One>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn an_answer_is_under_way_until_its_last_piece_is_gone() {
        let under_way = UnderWay::default();
        let later = || Instant::now() + Duration::from_secs(3600);
        let small = under_way.counted(Body::from(vec![7; 16 * 1024]), Duration::ZERO);
        assert!(!under_way.is_overdue(later()));
        let large = under_way.counted(Body::from(vec![7; 100_000]), Duration::from_secs(30));
        assert_eq!(large.size_hint().exact(), Some(100_000));
        assert!(!under_way.is_overdue(Instant::now() + Duration::from_secs(30)));
        assert!(under_way.is_overdue(later()));
        let bytes = large.collect().await.unwrap().to_bytes();
        let piece = bytes.slice(..1);
        drop((small, bytes));
        assert!(under_way.is_overdue(later()));
        drop(piece);
        assert!(!under_way.is_overdue(later()));
    }
}
