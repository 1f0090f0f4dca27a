//! Requests that come by the thousand, answered before the router and its layers are asked.
//!
//! A service's routes have them as well, for every other method and spelling: a caller sees no difference.

use super::open_to_pages;
use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use http::Method;
use std::{future::Future, pin::Pin, sync::Arc};

type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;
type Handler = Arc<dyn Fn(Request) -> Answer + Send + Sync>;

/// Those of a service that pages of any origin may call.
#[derive(Clone, Default)]
pub struct Direct(Vec<Place>);

#[derive(Clone)]
struct Place {
    method: Method,
    path: String,
    /// The path is how theirs begin, and never all of it.
    is_prefix: bool,
    handler: Handler,
}

impl Direct {
    /// Adds the POSTs to a path.
    #[must_use]
    pub fn post<F, A, R>(self, path: &str, handler: F) -> Self
    where
        F: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = R> + Send + 'static,
        R: IntoResponse,
    {
        self.with(Method::POST, path.to_owned(), false, handler)
    }

    /// Adds the GETs of everything whose path begins so.
    #[must_use]
    pub fn get_under<F, A, R>(self, prefix: String, handler: F) -> Self
    where
        F: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = R> + Send + 'static,
        R: IntoResponse,
    {
        self.with(Method::GET, prefix, true, handler)
    }

    fn with<F, A, R>(mut self, method: Method, path: String, is_prefix: bool, handler: F) -> Self
    where
        F: Fn(Request) -> A + Send + Sync + 'static,
        A: Future<Output = R> + Send + 'static,
        R: IntoResponse,
    {
        let handler = move |request| -> Answer {
            let answer = handler(request);
            Box::pin(async move {
                let mut response = answer.await.into_response();
                open_to_pages(response.headers_mut());
                response
            })
        };
        self.0.push(Place { method, path, is_prefix, handler: Arc::new(handler) });
        self
    }

    /// Begins the answer, if this request is one of them.
    #[expect(clippy::result_large_err, reason = "no error: the request itself, which goes on to the router")]
    pub(super) fn answer(&self, request: Request) -> Result<Answer, Request> {
        let path = request.uri().path();
        let is_here = |place: &&Place| {
            place.method == request.method()
                && match place.is_prefix {
                    true => path.strip_prefix(&place.path).is_some_and(|rest| !rest.is_empty()),
                    false => path == place.path,
                }
        };
        match self.0.iter().find(is_here) {
            Some(place) => Ok((place.handler)(request)),
            None => Err(request),
        }
    }
}

impl std::fmt::Debug for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|place| (&place.method, &place.path))).finish()
    }
}
