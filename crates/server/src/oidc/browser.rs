//! Browsers: the session that a cookie holds, forms that only our own pages can send, and the headers of every page.
//!
//! No other site can frame a page or send its form: a form repeats the token of a cookie that other sites cannot read and that
//! browsers do not send for them. The cookie holds nothing else, and nobody stays signed in; but what is proven on the way,
//! by mail or at another provider, counts only in the browser that began it, which the same token tells.

use super::{
    api::{Provider, form, put},
    grants::secret,
    pages::{self, FORM_TOKEN},
    request::{AuthRequest, Params, Redirect},
};
use crate::http::content;
use axum::{
    extract::Request,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use maud::Markup;
use url::form_urlencoded;

/// The token's cookie; a browser takes the prefixed name only over https, from this very host.
const COOKIE: &str = "sealog_form";
const COOKIE_SECURE: &str = "__Host-sealog_form";

/// A form, and the session of the browser that sent it.
pub(super) struct Own {
    pub(super) form: Params,
    pub(super) session: String,
}

/// Back to the program, with our name (RFC 9207); none when it can only be told by hand.
pub(super) fn back(
    issuer: &str,
    redirect: &Redirect,
    state: Option<&str>,
    params: &[(&str, &str)],
) -> Option<Response> {
    let state = state.map(|state| ("state", state));
    let params: Vec<_> = params.iter().copied().chain(state).chain([("iss", issuer)]).collect();
    see_other(redirect.with(&params)?.as_str())
}

/// Reads a form that was sent by a page of ours, in the browser that we gave the page to.
pub(super) async fn own_form(provider: &Provider, request: Request) -> Result<Own, Response> {
    let foreign = || {
        let text = "This answer did not come from our page in this browser, or the browser keeps no cookies.";
        page(StatusCode::FORBIDDEN, &pages::sorry(text), None)
    };
    let headers = request.headers().clone();
    let says = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let same_origin = says(header::ORIGIN).is_none_or(|origin| origin == provider.url);
    let same_site = says(HeaderName::from_static("sec-fetch-site")).is_none_or(|site| site == "same-origin");
    if !same_origin || !same_site {
        return Err(foreign());
    }
    let form =
        form(request).await.map_err(|error| page(error.status, &pages::sorry(&error.description), None))?;
    match (form_cookie(provider, &headers), form.get(FORM_TOKEN)) {
        (Some(cookie), Some(token)) if cookie == token => {
            let session = cookie.to_owned();
            Ok(Own { form, session })
        }
        _ => Err(foreign()),
    }
}

/// Gives a page the token of the browser's cookie, or both a new one.
pub(super) fn with_form_token(
    provider: &Provider,
    headers: &HeaderMap,
    page_with: impl FnOnce(&str) -> Response,
) -> Response {
    match session(provider, headers) {
        Some((token, cookie)) => with_cookie(page_with(&token), cookie),
        None => page(StatusCode::INTERNAL_SERVER_ERROR, &pages::sorry("There are no random numbers."), None),
    }
}

/// The browser's session, or a new one with its cookie; none without random numbers.
pub(super) fn session(provider: &Provider, headers: &HeaderMap) -> Option<(String, Option<HeaderValue>)> {
    if let Some(token) = form_cookie(provider, headers) {
        return Some((token.to_owned(), None));
    }
    let token = secret().ok()?;
    let (name, secure) = match provider.secure {
        true => (COOKIE_SECURE, "; Secure"),
        false => (COOKIE, ""),
    };
    let cookie =
        HeaderValue::from_str(&format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax{secure}")).ok()?;
    Some((token, Some(cookie)))
}

pub(super) fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

pub(super) fn form_cookie<'a>(provider: &Provider, headers: &'a HeaderMap) -> Option<&'a str> {
    /// Base64url of 32 bytes.
    const LENGTH: usize = 43;
    let name = if provider.secure { COOKIE_SECURE } else { COOKIE };
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let value = pairs.find(|(found, _)| *found == name).map(|(_, value)| value)?;
    (value.len() == LENGTH && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'))
        .then_some(value)
}

pub(super) fn page(status: StatusCode, markup: &Markup, next: Option<&Redirect>) -> Response {
    let mut response = content(status, "text/html; charset=utf-8", markup.0.clone());
    // Browsers hold a form's redirects to `form-action` too, so the program's own address is in it.
    let next = match next {
        Some(Redirect::Loopback(url)) if matches!(url.host(), Some(url::Host::Ipv6(_))) => {
            " http:".to_owned()
        }
        Some(Redirect::Loopback(url)) => format!(" {}", url.origin().ascii_serialization()),
        _ => String::new(),
    };
    // Pages without a script of ours run none.
    let scripts = match markup.0.contains(pages::SCRIPT_PATH) {
        true => "; script-src 'self'; connect-src 'self'",
        false => "",
    };
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'{next}; \
         frame-ancestors 'none'; base-uri 'none'{scripts}"
    );
    if let Ok(value) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, value);
    }
    put(&mut response, header::CACHE_CONTROL, "no-store");
    put(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(&mut response, header::X_FRAME_OPTIONS, "DENY");
    // Not `no-referrer`: with it browsers would send `Origin: null` with our own forms.
    put(&mut response, header::REFERRER_POLICY, "same-origin");
    response
}

/// To another page, after a form: whatever came here as POST goes there as GET.
pub(super) fn see_other(location: &str) -> Option<Response> {
    let location = HeaderValue::from_str(location).ok()?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    put(&mut response, header::CACHE_CONTROL, "no-store");
    put(&mut response, header::REFERRER_POLICY, "no-referrer");
    Some(response)
}

/// The same request, asked by GET. With a form of another site's, which it may be, browsers do not send our cookie: one set
/// then would end what was begun with the one they hold.
pub(super) fn by_get(provider: &Provider, request: &AuthRequest) -> Response {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(request.params()).finish();
    see_other(&format!("{}/auth?{query}", provider.url))
        .unwrap_or_else(|| page(StatusCode::BAD_REQUEST, &pages::sorry("The request is unreadable."), None))
}

/// What someone typed, as a page repeats it.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 254;
    text.chars().take(MOST).collect()
}
