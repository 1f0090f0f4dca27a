//! The wire of the identity provider: routes, headers, forms, errors, as sigstore's clients expect them.
//!
//! Two faces. Programs get JSON, open to pages of any origin, since nothing there goes by cookies: that is here, and, closed to
//! pages, in `terminal`. People get pages: `people`, `browser`.

use super::{
    Checked,
    grants::{Asker, DEVICE_INTERVAL, DEVICE_SECONDS, GrantError, Grants},
    limits::{self, Limits},
    passkey::Passkeys,
    people,
    proof::Proofs,
    request::{CLIENT_ID, Params},
    store::StoreError,
    terminal,
    token::{CI_PATH, Issuer, LIFETIME_SECONDS, Tokens},
    upstream::Upstreams,
};
use crate::{
    clock::Clock,
    http::{Peer, json, read_body, with_cors},
};
use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use sealog_client::http::readable;
use serde_json::json as object;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// A form here has a dozen short fields.
const MAX_FORM: usize = 16 * 1024;
/// RFC 8628 §3.4.
pub(super) const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What the handlers share.
pub(super) struct Provider {
    pub(super) issuer: Issuer,
    pub(super) grants: Grants,
    /// How addresses are proven, where they are.
    pub(super) proofs: Option<Proofs>,
    /// What may stand in for a mail.
    pub(super) passkeys: Option<Passkeys>,
    pub(super) upstreams: Upstreams,
    pub(super) limits: Limits,
    pub(super) store: super::store::Store,
    pub(super) clock: Clock,
    pub(super) config: Checked,
    /// The provider's URL: also the origin of its own forms.
    pub(super) url: String,
    pub(super) secure: bool,
}

pub(super) type Shared = State<Arc<Provider>>;

pub(super) fn router(provider: Arc<Provider>) -> Router {
    let mut programs = Router::new()
        .route("/.well-known/openid-configuration", get(discovery))
        .route("/keys", get(keys))
        .route("/token", post(token))
        .route("/userinfo", get(userinfo).post(userinfo))
        .route("/device/code", post(device_code));
    if provider.config.believes_anyone {
        programs = programs
            .route(&format!("{CI_PATH}/.well-known/openid-configuration"), get(ci_discovery))
            .route(&format!("{CI_PATH}/keys"), get(keys));
    }
    let programs = with_cors(programs.with_state(Arc::clone(&provider)));
    programs.merge(terminal::router(Arc::clone(&provider))).merge(people::router(provider))
}

/// Where a request comes from: the peer, or what a proxy that is trusted says of it.
pub(super) fn address_of(provider: &Provider, request: &Request) -> IpAddr {
    let unknown = IpAddr::from([0, 0, 0, 0]);
    let mut address = request.extensions().get::<Peer>().map_or(unknown, |peer| peer.0).to_canonical();
    let said = request.headers().get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let said: Vec<&str> = said.flat_map(|text| text.split(',')).map(str::trim).collect();
    // Each proxy adds the one it was asked by; the first that is not one of ours is the caller.
    for one in said.iter().rev() {
        if !provider.config.trusted_proxies.contains(&address) {
            break;
        }
        // Some write the port as well.
        match one.parse().or_else(|_| one.parse::<SocketAddr>().map(|one| one.ip())) {
            Ok(one) => address = one.to_canonical(),
            Err(_) => break,
        }
    }
    address
}

async fn discovery(State(provider): Shared) -> Response {
    public(json(StatusCode::OK, provider.issuer.discovery(provider.proofs.is_some())))
}

async fn ci_discovery(State(provider): Shared) -> Response {
    public(json(StatusCode::OK, provider.issuer.ci_discovery()))
}

async fn keys(State(provider): Shared) -> Response {
    public(json(StatusCode::OK, provider.issuer.jwks()))
}

/// An error as OAuth writes it (RFC 6749 §5.2).
pub(super) struct OAuthError {
    pub(super) status: StatusCode,
    pub(super) error: &'static str,
    pub(super) description: String,
}

impl OAuthError {
    pub(super) fn new(error: &'static str, description: impl Into<String>) -> Self {
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
            GrantError::TooMany | GrantError::Store(StoreError::Full) => "temporarily_unavailable",
            GrantError::Random | GrantError::Store(_) => "server_error",
        };
        let status = match error {
            GrantError::TooMany => StatusCode::TOO_MANY_REQUESTS,
            GrantError::Store(StoreError::Full) => StatusCode::SERVICE_UNAVAILABLE,
            GrantError::Random | GrantError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(service = "oidc", reason = crate::http::chain(&error), "cannot grant a sign-in");
        }
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
        if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&self.status) {
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
        Some("authorization_code") => provider.grants.redeem(&form, now_ms).await?,
        Some(DEVICE_GRANT) => provider.grants.poll_device(&form, now_ms).await?,
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
pub(super) fn check_client(headers: &HeaderMap, form: &Params) -> Result<(), OAuthError> {
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
    let from = address_of(&provider, &request);
    let form = form(request).await?;
    check_client(&headers, &form)?;
    if !form.get("scope").is_some_and(|scope| scope.split(' ').any(|one| one == "openid")) {
        return Err(OAuthError::new("invalid_scope", "scope must include openid"));
    }
    let now_ms = provider.clock.unix_ms();
    let program = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let known = |id: &&str| provider.upstreams.by_connector(id).is_some();
    let asker = Asker {
        from: from.to_string(),
        program: readable(program).into(),
        at_ms: now_ms,
        connector_id: form.get("connector_id").filter(known).map(str::to_owned),
    };
    let start = provider.grants.begin_device(&form, &limits::network(from), asker, now_ms).await?;
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

/// Reads a form.
pub(super) async fn form(request: Request) -> Result<Params, OAuthError> {
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

pub(super) fn secret_json(status: StatusCode, body: &serde_json::Value) -> Response {
    let mut response = json(status, body.to_string());
    put(&mut response, header::CACHE_CONTROL, "no-store");
    put(&mut response, header::PRAGMA, "no-cache");
    response
}

pub(super) fn public(mut response: Response) -> Response {
    put(&mut response, header::CACHE_CONTROL, "public, max-age=60");
    response
}

pub(super) fn put(response: &mut Response, name: HeaderName, value: &'static str) {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}

#[cfg(test)]
mod tests;
