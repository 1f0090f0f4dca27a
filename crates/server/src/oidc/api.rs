//! The wire of the identity provider: routes, headers, forms, errors, as sigstore's clients expect them.
//!
//! Two faces. Programs get JSON, open to pages of any origin, since nothing there goes by cookies. People
//! get pages that no other site can frame or submit: a form repeats the token of a cookie that other sites
//! cannot read and that browsers do not send for them. The cookie holds nothing else, and nobody stays
//! signed in.

use super::{
    grants::{
        Answer, AuthError, AuthRequest, CLIENT_ID, DEVICE_INTERVAL, DEVICE_SECONDS, GrantError, Grants,
        NoDevice, Params, Redirect, secret,
    },
    pages::{self, Complaint, FORM_TOKEN},
    token::{CI_PATH, Issuer, LIFETIME_SECONDS, Tokens},
};
use crate::{
    clock::Clock,
    http::{content, json, read_body, with_cors},
};
use axum::{
    Router,
    extract::{RawQuery, Request, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use maud::Markup;
use sealog_identity::is_email;
use serde_json::json as object;
use std::sync::Arc;

/// A form here has a dozen short fields.
const MAX_FORM: usize = 16 * 1024;
/// The token's cookie; a browser takes the prefixed name only over https, from this very host.
const COOKIE: &str = "sealog_form";
const COOKIE_SECURE: &str = "__Host-sealog_form";
/// RFC 8628 §3.4.
pub(super) const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What the handlers share.
pub(super) struct Provider {
    pub(super) issuer: Issuer,
    pub(super) grants: Grants,
    pub(super) clock: Clock,
    /// The provider's URL: also the origin of its own forms.
    pub(super) url: String,
    pub(super) secure: bool,
}

type Shared = State<Arc<Provider>>;

pub(super) fn router(provider: Arc<Provider>) -> Router {
    let programs = Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/keys", get(keys))
        .route(&format!("{CI_PATH}/.well-known/openid-configuration"), get(ci_discovery))
        .route(&format!("{CI_PATH}/keys"), get(keys))
        .route("/token", post(token))
        .route("/userinfo", get(userinfo).post(userinfo))
        .route("/device/code", post(device_code))
        .with_state(Arc::clone(&provider));
    let people = Router::new()
        .route("/", get(about))
        .route("/auth", get(auth_page).post(auth_answer))
        .route("/device", get(device_page).post(device_answer))
        .route(pages::STYLE_PATH, get(style))
        .with_state(provider);
    with_cors(programs).merge(people)
}

async fn discovery(State(provider): Shared) -> Response {
    public(json(StatusCode::OK, provider.issuer.discovery()))
}

async fn ci_discovery(State(provider): Shared) -> Response {
    public(json(StatusCode::OK, provider.issuer.ci_discovery()))
}

async fn keys(State(provider): Shared) -> Response {
    public(json(StatusCode::OK, provider.issuer.jwks()))
}

/// An error as OAuth writes it (RFC 6749 §5.2).
struct OAuthError {
    status: StatusCode,
    error: &'static str,
    description: String,
}

impl OAuthError {
    fn new(error: &'static str, description: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, error, description: description.into() }
    }

    fn client(description: &str) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, ..Self::new("invalid_client", description) }
    }
}

impl From<GrantError> for OAuthError {
    fn from(error: GrantError) -> Self {
        let name = match error {
            GrantError::Invalid => "invalid_grant",
            GrantError::Pending => "authorization_pending",
            GrantError::SlowDown => "slow_down",
            GrantError::Expired => "expired_token",
            GrantError::Denied => "access_denied",
            GrantError::Request(_) => "invalid_request",
            GrantError::Full => "temporarily_unavailable",
            GrantError::Random => "server_error",
        };
        let status = match error {
            GrantError::Full => StatusCode::SERVICE_UNAVAILABLE,
            GrantError::Random => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        Self { status, ..Self::new(name, error.to_string()) }
    }
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let body = object!({"error": self.error, "error_description": self.description});
        let mut response = secret_json(self.status, &body);
        if self.status == StatusCode::UNAUTHORIZED {
            put(&mut response, header::WWW_AUTHENTICATE, "Basic realm=\"sealog\"");
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            put(&mut response, header::RETRY_AFTER, "60");
        }
        response
    }
}

async fn token(State(provider): Shared, request: Request) -> Result<Response, OAuthError> {
    let headers = request.headers().clone();
    let form = form(request).await?;
    check_client(&headers, &form)?;
    let now_ms = provider.clock.unix_ms();
    let grant = match form.get("grant_type") {
        Some("authorization_code") => provider.grants.redeem(&form, now_ms)?,
        Some(DEVICE_GRANT) => provider.grants.poll_device(&form, now_ms)?,
        Some(_) => {
            let description = "grant_type must be authorization_code or the device code's";
            return Err(OAuthError::new("unsupported_grant_type", description));
        }
        None => return Err(OAuthError::new("invalid_request", "grant_type is missing")),
    };
    let signed = provider.issuer.for_grant(&grant, provider.clock.unix_seconds());
    let Tokens { id_token, access_token } = signed.map_err(|error| {
        tracing::error!(service = "oidc", %error, "cannot sign a token");
        OAuthError {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            ..OAuthError::new("server_error", "the token could not be signed")
        }
    })?;
    let body = object!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": LIFETIME_SECONDS,
        "id_token": id_token,
        "scope": "openid email",
    });
    Ok(secret_json(StatusCode::OK, &body))
}

/// The one client has no secret; it says its name by Basic, in the form, or (a polling device) not at all.
fn check_client(headers: &HeaderMap, form: &Params) -> Result<(), OAuthError> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let credentials = value.to_str().ok().and_then(|text| text.split_once(' '));
        let named = credentials.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
        let decoded = named.and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok());
        let wanted = format!("{CLIENT_ID}:");
        if decoded.as_deref() != Some(wanted.as_bytes()) {
            return Err(OAuthError::client("the client is \"sigstore\", with an empty secret"));
        }
    }
    let named_otherwise = form.get("client_id").is_some_and(|id| id != CLIENT_ID);
    if named_otherwise || form.get("client_secret").is_some() {
        return Err(OAuthError::client("the client is \"sigstore\", with an empty secret"));
    }
    Ok(())
}

async fn device_code(State(provider): Shared, request: Request) -> Result<Response, OAuthError> {
    let headers = request.headers().clone();
    let form = form(request).await?;
    check_client(&headers, &form)?;
    if !form.get("scope").is_some_and(|scope| scope.split(' ').any(|one| one == "openid")) {
        return Err(OAuthError::new("invalid_scope", "scope must include openid"));
    }
    let start = provider.grants.begin_device(&form, provider.clock.unix_ms())?;
    let page = format!("{}/device", provider.url);
    let body = object!({
        "device_code": start.device_code,
        "user_code": start.user_code,
        "verification_uri": page,
        // The name Google and old Dex used.
        "verification_url": page,
        "verification_uri_complete": format!("{page}?user_code={}", start.user_code),
        "expires_in": DEVICE_SECONDS,
        "interval": DEVICE_INTERVAL,
    });
    Ok(secret_json(StatusCode::OK, &body))
}

async fn userinfo(State(provider): Shared, headers: HeaderMap) -> Response {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token =
        bearer.and_then(|text| text.split_once(' ')).filter(|(s, _)| s.eq_ignore_ascii_case("bearer"));
    let claims = token.map(|(_, token)| provider.issuer.verify(token.trim(), provider.clock.unix_seconds()));
    let challenge = match claims {
        Some(Ok(claims)) => {
            let address = claims.get("email").and_then(|value| value.as_text()).unwrap_or_default();
            let body = object!({"sub": claims.subject(), "email": address, "email_verified": true});
            return secret_json(StatusCode::OK, &body);
        }
        // RFC 6750 §3.1: no reason is given to whoever brought no token at all.
        None => "Bearer",
        Some(Err(_)) => "Bearer error=\"invalid_token\"",
    };
    let mut response = secret_json(StatusCode::UNAUTHORIZED, &object!({"error": "invalid_token"}));
    put(&mut response, header::WWW_AUTHENTICATE, challenge);
    response
}

async fn about(State(provider): Shared) -> Response {
    page(StatusCode::OK, &pages::about(&provider.url), None)
}

async fn style() -> Response {
    let mut response = content(StatusCode::OK, "text/css; charset=utf-8", pages::STYLE);
    put(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    public(response)
}

async fn auth_page(State(provider): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let request = Params::parse(query.unwrap_or_default().as_bytes())
        .ok_or(AuthError::Page("The program that sent you here gave one parameter twice."))
        .and_then(|params| AuthRequest::parse(&params));
    let request = match request {
        Ok(request) => request,
        Err(error) => return auth_error(&error),
    };
    with_form_token(&provider, &headers, |token| {
        page(StatusCode::OK, &pages::sign_in(&request, token, "", None), Some(&request.redirect))
    })
}

async fn auth_answer(State(provider): Shared, request: Request) -> Response {
    let headers = request.headers().clone();
    let form = match own_form(&provider, request).await {
        Ok(form) => form,
        Err(refusal) => return refusal,
    };
    let request = match AuthRequest::parse(&form) {
        Ok(request) => request,
        Err(error) => return auth_error(&error),
    };
    if form.get("answer") == Some("refuse") {
        let refused = [("error", "access_denied"), ("error_description", "the person refused")];
        return back(&request.redirect, request.state.as_deref(), &refused)
            .unwrap_or_else(|| page(StatusCode::OK, &pages::refused(), None));
    }
    let address = form.get("email").unwrap_or_default().trim();
    if !is_email(address) {
        let typed = shortened(address);
        return with_form_token(&provider, &headers, |token| {
            let again = pages::sign_in(&request, token, &typed, Some(Complaint::Address));
            page(StatusCode::BAD_REQUEST, &again, Some(&request.redirect))
        });
    }
    match provider.grants.approve(&request, address, provider.clock.unix_ms()) {
        Ok(code) => back(&request.redirect, request.state.as_deref(), &[("code", &code)])
            .unwrap_or_else(|| page(StatusCode::OK, &pages::show_code(&code), None)),
        Err(error) => {
            let text =
                "The provider cannot take another sign-in at the moment. Wait a minute, then try again.";
            tracing::warn!(service = "oidc", %error, "cannot grant a sign-in");
            page(StatusCode::SERVICE_UNAVAILABLE, &pages::sorry(text), None)
        }
    }
}

async fn device_page(State(provider): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let code = shortened(params.get("user_code").unwrap_or_default());
    with_form_token(&provider, &headers, |token| {
        page(StatusCode::OK, &pages::device(token, &code, "", None), None)
    })
}

async fn device_answer(State(provider): Shared, request: Request) -> Response {
    let headers = request.headers().clone();
    let form = match own_form(&provider, request).await {
        Ok(form) => form,
        Err(refusal) => return refusal,
    };
    let code = form.get("user_code").unwrap_or_default();
    let address = form.get("email").unwrap_or_default().trim();
    let answer = match form.get("answer") {
        Some("refuse") => Some(Answer::Refuse),
        _ if is_email(address) => Some(Answer::Allow(address.to_owned())),
        _ => None,
    };
    let refuses = answer == Some(Answer::Refuse);
    let complaint = match answer {
        None => Complaint::Address,
        Some(answer) => match provider.grants.answer_device(code, answer, provider.clock.unix_ms()) {
            Ok(()) => return page(StatusCode::OK, &pages::device_answered(!refuses), None),
            Err(NoDevice::Unknown) => Complaint::UserCode,
            Err(NoDevice::TooManyGuesses) => Complaint::TooManyGuesses,
        },
    };
    let (code, typed) = (shortened(code), shortened(address));
    with_form_token(&provider, &headers, |token| {
        page(StatusCode::BAD_REQUEST, &pages::device(token, &code, &typed, Some(complaint)), None)
    })
}

fn auth_error(error: &AuthError) -> Response {
    match error {
        AuthError::Page(text) => page(StatusCode::BAD_REQUEST, &pages::sorry(text), None),
        AuthError::Back(sent) => {
            let params = [("error", sent.error), ("error_description", sent.description)];
            back(&sent.redirect, sent.state.as_deref(), &params)
                .unwrap_or_else(|| page(StatusCode::BAD_REQUEST, &pages::sorry(sent.description), None))
        }
    }
}

/// Back to the program; none when it can only be told by hand.
fn back(redirect: &Redirect, state: Option<&str>, params: &[(&str, &str)]) -> Option<Response> {
    let state = state.map(|state| ("state", state));
    let params: Vec<_> = params.iter().copied().chain(state).collect();
    let location = HeaderValue::from_str(redirect.with(&params)?.as_str()).ok()?;
    // 303: whatever came here as POST goes there as GET.
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    put(&mut response, header::CACHE_CONTROL, "no-store");
    put(&mut response, header::REFERRER_POLICY, "no-referrer");
    Some(response)
}

/// Reads a form.
async fn form(request: Request) -> Result<Params, OAuthError> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let bare = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !bare.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let description = "the body must be application/x-www-form-urlencoded";
        return Err(OAuthError::new("invalid_request", description));
    }
    let body = read_body(request.into_body(), MAX_FORM)
        .await
        .map_err(|error| OAuthError::new("invalid_request", error.to_string()))?;
    Params::parse(&body).ok_or_else(|| OAuthError::new("invalid_request", "a parameter occurs twice"))
}

/// Reads a form that was sent by a page of ours, in the browser that we gave the page to.
async fn own_form(provider: &Provider, request: Request) -> Result<Params, Response> {
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
        (Some(cookie), Some(token)) if cookie == token => Ok(form),
        _ => Err(foreign()),
    }
}

/// Gives a page the token of the browser's cookie, or both a new one.
fn with_form_token(
    provider: &Provider,
    headers: &HeaderMap,
    page_with: impl FnOnce(&str) -> Response,
) -> Response {
    if let Some(token) = form_cookie(provider, headers) {
        return page_with(token);
    }
    let Ok(token) = secret() else {
        return page(StatusCode::INTERNAL_SERVER_ERROR, &pages::sorry("There are no random numbers."), None);
    };
    let mut response = page_with(&token);
    let (name, secure) = match provider.secure {
        true => (COOKIE_SECURE, "; Secure"),
        false => (COOKIE, ""),
    };
    let cookie = format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax{secure}");
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}

fn form_cookie<'a>(provider: &Provider, headers: &'a HeaderMap) -> Option<&'a str> {
    /// Base64url of 32 bytes.
    const LENGTH: usize = 43;
    let name = if provider.secure { COOKIE_SECURE } else { COOKIE };
    let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let value = pairs.find(|(found, _)| *found == name).map(|(_, value)| value)?;
    (value.len() == LENGTH && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'))
        .then_some(value)
}

fn page(status: StatusCode, markup: &Markup, next: Option<&Redirect>) -> Response {
    let mut response = content(status, "text/html; charset=utf-8", markup.0.clone());
    // Browsers hold a form's redirects to `form-action` too, so the program's own address is in it.
    let next = match next {
        Some(Redirect::Loopback(url)) if matches!(url.host(), Some(url::Host::Ipv6(_))) => {
            " http:".to_owned()
        }
        Some(Redirect::Loopback(url)) => format!(" {}", url.origin().ascii_serialization()),
        _ => String::new(),
    };
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'{next}; \
         frame-ancestors 'none'; base-uri 'none'"
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

fn secret_json(status: StatusCode, body: &serde_json::Value) -> Response {
    let mut response = json(status, body.to_string());
    put(&mut response, header::CACHE_CONTROL, "no-store");
    put(&mut response, header::PRAGMA, "no-cache");
    response
}

fn public(mut response: Response) -> Response {
    put(&mut response, header::CACHE_CONTROL, "public, max-age=60");
    response
}

fn put(response: &mut Response, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}

/// What someone typed, as a page repeats it.
fn shortened(text: &str) -> String {
    const MOST: usize = 254;
    text.chars().take(MOST).collect()
}

#[cfg(test)]
mod tests;
