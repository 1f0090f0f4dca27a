//! HTTP as every service serves it: limits, time-outs, error bodies, health, and a drain that ends.
//!
//! A service hands over a [`Service`] (a router and how to close what is behind it); everything a client
//! can do to a connection is bounded here. Errors have two texts: the caller's, in the body, and the
//! log's ([`ApiError::because`]). No header, query or body is ever logged: they carry tokens.
//!
//! No handler here redirects: HTTP libraries turn a redirected POST into a GET.

mod body;
mod connection;
mod deadline;
mod direct;
pub mod grpc;
mod room;
mod stall;
mod under_way;

pub use body::{BodyError, Received, read_body};
pub use direct::Direct;
pub(crate) use room::{Room, busy};

use crate::{
    config::PublicUrl,
    listen::Bound,
    metrics::{Count, Counters, Gauge},
};
use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use connection::Bounds;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use std::{
    borrow::Cow,
    future::{Future, poll_fn},
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, watch},
    task::JoinSet,
};

/// No answer takes longer to make.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Connections that are busy when asked to stop have this long; the whole stop must fit 10 s.
const DRAIN: Duration = Duration::from_secs(7);
/// Connections one service holds at a time; more wait in the kernel's queue.
const MAX_CONNECTIONS: u64 = 8192;
/// The services, the logs' listeners for front ends, and the listener for numbers.
const LISTENERS: u64 = 8;
/// After a failure to accept (no file descriptors left, say) the listener pauses this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// gRPC status codes as they stand in error bodies, with the HTTP status each maps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The caller's request is at fault.
    InvalidArgument,
    /// No such thing.
    NotFound,
    /// Not by this method.
    Unimplemented,
    /// Our fault.
    Internal,
    /// Come back later.
    Unavailable,
}

impl Code {
    /// The number in the body.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::InvalidArgument => 3,
            Self::NotFound => 5,
            Self::Unimplemented => 12,
            Self::Internal => 13,
            Self::Unavailable => 14,
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::InvalidArgument => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Unimplemented => StatusCode::METHOD_NOT_ALLOWED,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// An answer that is not success: one text for the caller, one for the log.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    code: u16,
    message: Cow<'static, str>,
    reason: Option<String>,
    retry_after: Option<Duration>,
}

impl ApiError {
    /// With the status that belongs to `code`.
    #[must_use]
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: code.status(),
            code: code.number(),
            message: message.into(),
            reason: None,
            retry_after: None,
        }
    }

    /// For services whose bodies carry the HTTP status as their code.
    #[must_use]
    pub fn with_status(status: StatusCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { status, code: status.as_u16(), message: message.into(), reason: None, retry_after: None }
    }

    /// 400, code 3.
    #[must_use]
    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// 500, code 13.
    #[must_use]
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::Internal, message)
    }

    /// 404, code 5.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "Not Found")
    }

    /// What the operator reads in the log; never sent. It must not hold a token or a key.
    #[must_use]
    pub fn because(mut self, reason: impl std::fmt::Display) -> Self {
        self.reason = Some(reason.to_string());
        self
    }

    /// Adds `Retry-After`, rounded up to a second.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The caller's text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// An error with its causes, for the log.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        // Many libraries tell the cause in their own words already.
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = inner.source();
    }
    text
}

/// Who sent a request: the other end of its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The log's text, carried beside a response to where requests are logged.
#[derive(Clone)]
struct Reason(String);

/// In the order of the protocol's fields.
#[derive(Serialize)]
struct ErrorBody<'a> {
    code: u16,
    message: &'a str,
    details: [(); 0],
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = ErrorBody { code: self.code, message: &self.message, details: [] };
        let mut response = json(self.status, serde_json::to_string(&body).unwrap_or_default());
        if let Some(after) = self.retry_after {
            let seconds = after.as_millis().div_ceil(1000).max(1);
            if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        if let Some(reason) = self.reason {
            response.extensions_mut().insert(Reason(reason));
        }
        response
    }
}

/// A response with a JSON body that is already text.
pub fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    content(status, "application/json", body)
}

/// A response with a body of this type.
pub fn content(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Lets pages of any origin call these routes, as the reference servers do: nothing here goes by cookies.
pub fn with_cors(router: Router) -> Router {
    // Set here, so that the layer wraps it: a preflight is a method no route knows.
    router.method_not_allowed_fallback(wrong_method).layer(middleware::from_fn(
        async |request: Request, next: Next| {
            let preflight = request.method() == Method::OPTIONS;
            let mut response = match preflight {
                true => StatusCode::NO_CONTENT.into_response(),
                false => next.run(request).await,
            };
            let headers = response.headers_mut();
            open_to_pages(headers);
            if preflight {
                let mut put = |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
                put(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST");
                put(header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type");
                put(header::ACCESS_CONTROL_MAX_AGE, "600");
            }
            response
        },
    ))
}

fn open_to_pages(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// Closes what is behind a service once its last request is answered.
pub type Close = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Says why a service can serve no more, if so.
pub type Failure = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// One service, ready to be served.
pub struct Service {
    /// Its table's name.
    pub name: &'static str,
    /// The URL the world knows it by.
    pub url: PublicUrl,
    /// Its routes; health and the JSON 404 are added by [`serve`].
    pub router: Router,
    /// Those of its routes that are asked for most.
    pub direct: Direct,
    /// The gRPC services among them, by their full names; where there are none, HTTP/2 is not spoken.
    pub grpc: &'static [&'static str],
    /// Why it can serve no more, if so: only a restart helps then.
    pub failure: Failure,
    /// Whether it waits for another one to end, and will do its work only then.
    pub stands_by: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Not for the world: its URL is told nobody.
    pub internal: bool,
    /// Run after the drain.
    pub close: Option<Close>,
    /// What it counts.
    pub counters: Arc<Counters>,
    /// Entries of its log, if it has one.
    pub entries: Option<Gauge>,
    /// What only it counts.
    pub counts: Vec<Count>,
}

impl Service {
    /// A service that never fails, with nothing to close.
    #[must_use]
    pub fn new(name: &'static str, url: PublicUrl, router: Router) -> Self {
        Self {
            name,
            url,
            router,
            direct: Direct::default(),
            grpc: &[],
            failure: Arc::new(|| None),
            stands_by: Arc::new(|| false),
            internal: false,
            close: None,
            counters: Arc::default(),
            entries: None,
            counts: Vec::new(),
        }
    }

    /// The way in for a service of the same process.
    #[must_use]
    pub fn within(&self) -> Within {
        Within(Arc::new(Routes {
            name: self.name,
            router: self.router.clone(),
            direct: self.direct.clone(),
            counters: Arc::clone(&self.counters),
        }))
    }
}

/// In a request's extensions, which nobody can send: the certificate that is handed in was signed in this process, a moment
/// ago, with the key that its chain names.
#[derive(Clone, Copy, Debug)]
pub struct SignedHere;

/// A service as the others in its process ask it: the same routes, bounds and counters, and no connection.
#[derive(Clone)]
pub struct Within(Arc<Routes>);

/// What a request is asked of.
struct Routes {
    name: &'static str,
    router: Router,
    direct: Direct,
    counters: Arc<Counters>,
}

impl Within {
    /// Asks it. Nothing of the answer is checked.
    pub async fn call(&self, request: Request) -> Response {
        answer(&self.0, request).await
    }
}

impl std::fmt::Debug for Within {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Within").field(&self.0.name).finish()
    }
}

/// Tells every listener to stop; cheap to clone.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Sender<bool>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Shutdown {
    /// Asks everything to stop.
    pub fn trigger(&self) {
        self.0.send_replace(true);
    }

    /// Resolves once stopping was asked for.
    pub async fn asked(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|stop| *stop).await;
    }
}

/// Serves until asked to stop, then drains and closes what is behind the service.
pub async fn serve(bound: Bound, service: Service, shutdown: Shutdown) {
    let Service { name, router, direct, grpc, failure, stands_by, close, counters, .. } = service;
    let router = finish(router, grpc, failure, stands_by);
    let routes = Arc::new(Routes { name, router, direct, counters });
    let room = Arc::new(Semaphore::new(most_connections(getrlimit(Resource::Nofile).current)));
    let mut connections = JoinSet::new();
    let mut accepting = JoinSet::new();
    let (give, mut take) = tokio::sync::mpsc::channel(1);
    for listener in bound.listeners {
        let give = give.clone();
        accepting.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        if give.send(stream).await.is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::warn!(service = name, %error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        });
    }
    let stop = shutdown.asked();
    tokio::pin!(stop);
    loop {
        let permit = tokio::select! {
            biased;
            () = &mut stop => break,
            permit = Arc::clone(&room).acquire_owned() => permit,
        };
        let stream: TcpStream = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            Some(stream) = take.recv() => stream,
        };
        let _ = stream.set_nodelay(true);
        let peer = stream.peer_addr().ok().map(|address| Peer(address.ip()));
        let routes = Arc::clone(&routes);
        let handler = move |mut request: http::Request<hyper::body::Incoming>| {
            if let Some(peer) = peer {
                request.extensions_mut().insert(peer);
            }
            let routes = Arc::clone(&routes);
            async move { answer(&routes, request.map(Body::new)).await }
        };
        let both = !grpc.is_empty();
        let stop = shutdown.clone();
        connections.spawn(async move {
            let _permit = permit;
            connection::serve(stream, both, Bounds::SERVING, handler, stop.asked()).await;
        });
    }
    accepting.shutdown().await;
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::warn!(service = name, "connections still busy after {DRAIN:?} were cut");
    }
    connections.shutdown().await;
    if let Some(close) = close {
        close.await;
    }
}

/// How many connections a service may hold where the process may have so many files open: each service has
/// a share of its own, so that a flood at one leaves the others theirs, and a quarter is for our own files.
fn most_connections(files: Option<u64>) -> usize {
    let share = files.map_or(MAX_CONNECTIONS, |files| files / 4 * 3 / LISTENERS);
    usize::try_from(share.clamp(1, MAX_CONNECTIONS)).unwrap_or(1)
}

fn finish(
    router: Router,
    grpc: &'static [&'static str],
    failure: Failure,
    stands_by: Arc<dyn Fn() -> bool + Send + Sync>,
) -> Router {
    const SERVING: &str = r#"{"status":"SERVING"}"#;
    const STANDING_BY: &str = r#"{"status":"STANDING_BY"}"#;
    let (failed, waits) = (Arc::clone(&failure), Arc::clone(&stands_by));
    let unready: Failure = Arc::new(move || failed().or_else(|| waits().then(|| "standing by".to_owned())));
    let router = match grpc {
        [] => router,
        names => router.merge(grpc::health(names, unready)),
    };
    router
        .route("/healthz", get(async || json(StatusCode::OK, SERVING)))
        .route(
            "/readyz",
            get(async move || match (failure(), stands_by()) {
                (Some(_), _) => json(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"NOT_SERVING"}"#),
                (None, true) => json(StatusCode::SERVICE_UNAVAILABLE, STANDING_BY),
                (None, false) => json(StatusCode::OK, SERVING),
            }),
        )
        .fallback(async |headers: HeaderMap| match grpc::is_grpc(&headers) {
            true => ApiError::new(Code::Unimplemented, "no such method").into_grpc(),
            false => ApiError::not_found().into_response(),
        })
        .method_not_allowed_fallback(wrong_method)
}

async fn wrong_method() -> ApiError {
    ApiError::new(Code::Unimplemented, "Method Not Allowed")
}

async fn answer(routes: &Routes, request: Request) -> Response {
    let service = routes.name;
    let begun = Instant::now();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let grpc = grpc::is_grpc(request.headers());
    let answered = async {
        match routes.direct.answer(request) {
            Ok(answer) => answer.await,
            Err(request) => match tower::Service::call(&mut routes.router.clone(), request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
        }
    };
    let mut answered = pin!(answered);
    // Most tiles are answered at once: they need no timer.
    let at_once = poll_fn(|cx| Poll::Ready(answered.as_mut().poll(cx))).await;
    let mut response = match at_once {
        Poll::Ready(response) => response,
        Poll::Pending => match tokio::time::timeout(ANSWER_TIMEOUT, answered).await {
            Ok(response) => response,
            Err(_) => {
                let late = ApiError::internal("the answer took too long");
                if grpc { late.into_grpc() } else { late.into_response() }
            }
        },
    };
    let reason = response.extensions_mut().remove::<Reason>().map(|Reason(text)| text);
    let reason = reason.as_deref().unwrap_or_default();
    let status = response.extensions().get::<grpc::Counted>().map_or(response.status(), |counted| counted.0);
    let took = begun.elapsed();
    routes.counters.answered(status, took);
    let took_us = took.as_micros();
    // Never the query: authorization codes travel there.
    let path = uri.path();
    match status.as_u16() {
        // Refused for now, by design: a full disk or a flood must not drown what is wrong.
        503 => tracing::warn!(service, %method, path, status = 503, took_us, reason),
        500.. => tracing::error!(service, %method, path, status = status.as_u16(), took_us, reason),
        400..500 => tracing::info!(service, %method, path, status = status.as_u16(), took_us, reason),
        _ => tracing::debug!(service, %method, path, status = status.as_u16(), took_us),
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_everything_else() {
        assert_eq!(most_connections(Some(1024)), 96);
        assert_eq!(most_connections(Some(131_072)), 8192);
        assert_eq!(most_connections(Some(1)), 1);
        assert_eq!(most_connections(None), 8192);
    }

    #[test]
    fn a_cause_is_told_once() {
        #[derive(Debug, thiserror::Error)]
        enum Nested {
            #[error("no route")]
            Inner,
            #[error("cannot send: {0}")]
            Repeats(#[source] Box<Self>),
            #[error("cannot greet")]
            Outer(#[source] Box<Self>),
        }
        let error = Nested::Outer(Nested::Repeats(Nested::Inner.into()).into());
        assert_eq!(chain(&error), "cannot greet: cannot send: no route");
    }
}
