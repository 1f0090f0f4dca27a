//! A connection whose other end stops reading does not live for ever.
//!
//! Hyper bounds how long a request may take to come, nothing how long an answer may take to be fetched: whoever
//! asked for tiles and never read them would hold a connection, and a place among them, until the end. Nor may an answer be taken
//! byte by byte for ever: its bytes are held as long.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// Bytes a second that a reader takes at least, of a large answer.
pub(super) const LEAST_RATE: u64 = 64 * 1024;
/// How many times the patience for nothing at all is what any answer may take, whatever its length.
pub(super) const PATIENCE_FACTOR: u32 = 2;

/// Gives up when nothing could be written for so long, and when what waits was not all taken at the least rate.
#[derive(Debug)]
pub(super) struct Impatient<T> {
    inner: T,
    patience: Duration,
    /// Runs while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
    /// Since when something waited to be written, and how many bytes went out since.
    slow: Option<(Instant, u64)>,
}

impl<T> Impatient<T> {
    pub(super) fn new(inner: T, patience: Duration) -> Self {
        Self { inner, patience, waiting: None, slow: None }
    }

    fn bounded<R>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.waiting = None;
            return polled;
        }
        let now = Instant::now();
        let (since, taken) = *self.slow.get_or_insert((now, 0));
        let all = self.patience * PATIENCE_FACTOR + Duration::from_secs(taken / LEAST_RATE);
        let end = (now + self.patience).min(since + all);
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep_until(end)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn written(&mut self, polled: &Poll<io::Result<usize>>) {
        if let (Some((_, taken)), Poll::Ready(Ok(more))) = (&mut self.slow, polled) {
            *taken = taken.saturating_add(*more as u64);
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Impatient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Impatient<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.written(&polled);
        self.bounded(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        if polled.is_ready() {
            self.slow = None;
        }
        self.bounded(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.bounded(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.written(&polled);
        self.bounded(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// Until it is given up, in time that stands still while anything is done.
    async fn given_up<T: AsyncWrite + Unpin>(ours: &mut Impatient<T>, bytes: usize) -> Duration {
        let begun = Instant::now();
        let error = ours.write_all(&vec![7; bytes]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stops_is_given_up_and_a_slow_one_is_not() {
        const PATIENCE: Duration = Duration::from_millis(300);
        let (ours, mut theirs) = tokio::io::duplex(10);
        let reading = tokio::spawn(async move {
            let mut byte = [0];
            for _ in 0..8 {
                tokio::time::sleep(PATIENCE / 5).await;
                theirs.read_exact(&mut byte).await.unwrap();
            }
            theirs
        });
        let mut ours = Impatient::new(ours, PATIENCE);
        ours.write_all(&[7; 18]).await.unwrap();
        ours.flush().await.unwrap();
        let _theirs = reading.await.unwrap();
        assert_eq!(given_up(&mut ours, 18).await, PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_byte_by_byte_is_given_up_in_the_end() {
        const PATIENCE: Duration = Duration::from_millis(100);
        let (ours, mut theirs) = tokio::io::duplex(10);
        let reading = tokio::spawn(async move {
            let mut byte = [0];
            while theirs.read_exact(&mut byte).await.is_ok() {
                tokio::time::sleep(PATIENCE / 10).await;
            }
        });
        let mut ours = Impatient::new(ours, PATIENCE);
        assert_eq!(given_up(&mut ours, 10_000).await, PATIENCE * PATIENCE_FACTOR);
        drop(ours);
        reading.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_taken_all_begins_anew() {
        const PATIENCE: Duration = Duration::from_millis(300);
        let (ours, mut theirs) = tokio::io::duplex(10);
        let reading = tokio::spawn(async move {
            let mut bytes = [0; 20];
            for _ in 0..8 {
                tokio::time::sleep(PATIENCE / 3).await;
                theirs.read_exact(&mut bytes).await.unwrap();
            }
            theirs
        });
        let mut ours = Impatient::new(ours, PATIENCE);
        for _ in 0..8 {
            ours.write_all(&[7; 20]).await.unwrap();
            ours.flush().await.unwrap();
        }
        reading.await.unwrap();
    }
}
