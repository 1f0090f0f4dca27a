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

/// Paths whose POSTs are answered so, of a service that pages of any origin may call.
#[derive(Clone, Default)]
pub struct Direct(Vec<(&'static str, Handler)>);

impl Direct {
    /// Adds a path.
    #[must_use]
    pub fn post<F, A, R>(mut self, path: &'static str, handler: F) -> Self
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
        self.0.push((path, Arc::new(handler)));
        self
    }

    /// Begins the answer, if this request is one of them.
    #[expect(clippy::result_large_err, reason = "no error: the request itself, which goes on to the router")]
    pub(super) fn answer(&self, request: Request) -> Result<Answer, Request> {
        if request.method() != Method::POST {
            return Err(request);
        }
        match self.0.iter().find(|(path, _)| *path == request.uri().path()) {
            Some((_, handler)) => Ok(handler(request)),
            None => Err(request),
        }
    }
}

impl std::fmt::Debug for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(path, _)| path)).finish()
    }
}
