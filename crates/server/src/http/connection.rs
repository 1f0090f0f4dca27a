//! One connection: HTTP/1.1, and HTTP/2 where a service speaks gRPC, told apart by their first bytes.
//!
//! HTTP/2 here is "prior knowledge" over plaintext (RFC 9113 §3.3), as gRPC clients speak it behind a proxy or on
//! loopback. Each protocol is held to the same bounds: a head in time, no idler, no reader that stops. HTTP/2
//! adds its own ways to ask for more than was paid for, each with a bound in [`Bounds`]: many streams, long
//! header lists, streams opened and reset at once (CVE-2023-44487), a preface and then silence, answers that are asked for
//! and given no window.

use super::{deadline::Deadlines, stall::Impatient, under_way::UnderWay};
use axum::body::Body;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    future::Future,
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    time::{Instant, sleep_until, timeout},
};

/// What begins every HTTP/2 connection (RFC 9113 §3.4), and no request of HTTP/1.1.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What one connection may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// A request's head, or the preface, must have come by then; an idle connection is closed after it.
    pub(super) head: Duration,
    /// An answer's reader must take something of it within this.
    pub(super) reader: Duration,
    /// An HTTP/2 connection that was told to go has so long to hear it.
    pub(super) grace: Duration,
    /// Bytes of a request's head, and of an HTTP/1.1 connection's read buffer.
    pub(super) head_bytes: u32,
    /// Requests of an HTTP/2 connection that are answered at one time. Fewer than a hundred would refuse those of
    /// honest clients, who assume so many until they are told (RFC 9113 §6.5.2).
    pub(super) streams: u32,
    /// Requests a client may take back before they are answered, once they outnumber the answered ones.
    pub(super) taken_back: u64,
}

impl Bounds {
    /// For servers.
    pub(super) const SERVING: Self = Self {
        head: Duration::from_secs(30),
        reader: Duration::from_secs(30),
        grace: Duration::from_secs(5),
        head_bytes: 32 * 1024,
        streams: 100,
        taken_back: 250,
    };
}

/// Bytes in flight towards one stream, and towards all of a connection: requests are a few kilobytes.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Bytes of answers kept for a stream whose reader is slow.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams reset before they were looked at, and those that we had to reset: beyond them the connection ends.
const PENDING_RESETS: usize = 20;
const OUR_RESETS: usize = 256;

/// Serves one connection until it ends, or until `stop` and then the end of what is being answered.
pub(super) async fn serve<T, H, A, S>(stream: T, both: bool, bounds: Bounds, handler: H, stop: S)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
    S: Future<Output = ()>,
{
    let mut stop = pin!(stop);
    if !both {
        return one(Begun::nothing(stream), bounds, handler, stop).await;
    }
    let told = tokio::select! {
        biased;
        () = &mut stop => return,
        told = timeout(bounds.head, tell_apart(stream)) => told,
    };
    match told {
        Ok(Ok((Protocol::One, stream))) => one(stream, bounds, handler, stop).await,
        Ok(Ok((Protocol::Two, stream))) => two(stream, bounds, handler, stop).await,
        // Nothing in time, or the end.
        Ok(Err(_)) | Err(_) => {}
    }
}

async fn one<T, H, A, S>(stream: Begun<T>, bounds: Bounds, handler: H, mut stop: Pin<&mut S>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> A,
    A: Future<Output = Response<Body>>,
    S: Future<Output = ()>,
{
    let handler = service_fn(|request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(Deadlines::default())
        .header_read_timeout(bounds.head)
        .max_buf_size(usize::try_from(bounds.head_bytes).unwrap_or(usize::MAX))
        .serve_connection(TokioIo::new(Impatient::new(stream, bounds.reader)), handler);
    let mut connection = pin!(connection);
    tokio::select! {
        // A broken connection is the client's affair.
        _ = connection.as_mut() => return,
        () = &mut stop => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn two<T, H, A, S>(stream: Begun<T>, bounds: Bounds, handler: H, mut stop: Pin<&mut S>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
    S: Future<Output = ()>,
{
    let activity = Arc::new(Activity::default());
    let counted = Arc::clone(&activity);
    let under_way = UnderWay::default();
    let answers = under_way.clone();
    let handler = service_fn(move |request| {
        let answering = Answering::begin(&counted);
        let answer = handler(request);
        let answers = answers.clone();
        async move {
            let answer = answer.await.map(|body| answers.counted(body, bounds.reader));
            answering.end();
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(bounds.streams)
        .max_header_list_size(bounds.head_bytes)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(OUR_RESETS)
        .serve_connection(TokioIo::new(Impatient::new(stream, bounds.reader)), handler);
    let mut connection = pin!(connection);
    let mut patience = bounds.head;
    let mut look = Instant::now() + patience;
    let mut seen = activity.moves();
    let mut ending = false;
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = &mut stop, if !ending => {
                connection.as_mut().graceful_shutdown();
                (ending, patience) = (true, bounds.grace);
                look = Instant::now() + patience;
            }
            () = activity.abused.notified() => {}
            () = sleep_until(look) => {
                let now = activity.moves();
                let idle = activity.answering() == 0 && now == seen;
                if (idle && ending) || under_way.is_overdue(Instant::now()) {
                    return;
                }
                if idle {
                    connection.as_mut().graceful_shutdown();
                    (ending, patience) = (true, bounds.grace);
                }
                seen = now;
                look = Instant::now() + patience;
            }
        }
        // Who takes back more than is ever answered is not asking.
        if activity.takes_back_too_much(bounds.taken_back) {
            return;
        }
    }
}

/// What goes on in an HTTP/2 connection, where every request is a task of its own.
#[derive(Debug, Default)]
struct Activity {
    begun: AtomicU64,
    answered: AtomicU64,
    taken_back: AtomicU64,
    abused: tokio::sync::Notify,
}

impl Activity {
    fn answering(&self) -> u64 {
        let ended = self.answered.load(Relaxed).saturating_add(self.taken_back.load(Relaxed));
        self.begun.load(Relaxed).saturating_sub(ended)
    }

    /// Grows with everything that happens.
    fn moves(&self) -> u64 {
        let [begun, answered, taken_back] = [&self.begun, &self.answered, &self.taken_back];
        [begun, answered, taken_back].map(|count| count.load(Relaxed)).into_iter().sum()
    }

    fn takes_back_too_much(&self, bound: u64) -> bool {
        let taken_back = self.taken_back.load(Relaxed);
        taken_back > bound && taken_back > self.answered.load(Relaxed)
    }
}

/// One request being answered; dropped before its end, the client took it back.
struct Answering {
    activity: Arc<Activity>,
    ended: bool,
}

impl Answering {
    fn begin(activity: &Arc<Activity>) -> Self {
        activity.begun.fetch_add(1, Relaxed);
        Self { activity: Arc::clone(activity), ended: false }
    }

    fn end(mut self) {
        self.ended = true;
        self.activity.answered.fetch_add(1, Relaxed);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if !self.ended {
            self.activity.taken_back.fetch_add(1, Relaxed);
            self.activity.abused.notify_one();
        }
    }
}

enum Protocol {
    One,
    Two,
}

/// Reads until the first bytes can only be the one or the other.
async fn tell_apart<T: AsyncRead + Unpin>(mut stream: T) -> io::Result<(Protocol, Begun<T>)> {
    let mut first = [0; PREFACE.len()];
    let mut length = 0;
    loop {
        let Some(room) = first.get_mut(length..).filter(|room| !room.is_empty()) else {
            return Ok((Protocol::Two, Begun::new(stream, first, length)));
        };
        match stream.read(room).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            more => length += more,
        }
        if first.get(..length) != PREFACE.get(..length) {
            return Ok((Protocol::One, Begun::new(stream, first, length)));
        }
    }
}

/// A stream whose first bytes were read to see what it speaks.
struct Begun<T> {
    inner: T,
    first: [u8; PREFACE.len()],
    given: usize,
    length: usize,
}

impl<T> Begun<T> {
    fn new(inner: T, first: [u8; PREFACE.len()], length: usize) -> Self {
        Self { inner, first, given: 0, length }
    }

    fn nothing(inner: T) -> Self {
        Self::new(inner, [0; PREFACE.len()], 0)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Begun<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (given, length) = (self.given, self.length);
        match self.first.get(given..length).filter(|rest| !rest.is_empty()) {
            Some(rest) => {
                let now = rest.get(..buf.remaining()).unwrap_or(rest);
                buf.put_slice(now);
                let taken = now.len();
                self.given += taken;
                Poll::Ready(Ok(()))
            }
            None => Pin::new(&mut self.inner).poll_read(cx, buf),
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Begun<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests;
