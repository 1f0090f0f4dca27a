//! A code from a mailbox, typed into the terminal that asked for it: what the page does, for a program that began a device code
//! (RFC 8628) and has no browser to send its person to.
//!
//! The one endpoint is our own, named in the discovery document as `mail_proof_endpoint`: with `email` it has a letter sent and
//! names a session, with `session` and `code` it takes what came back. Then the program gets its token by the device grant.
//!
//! Must always hold: what the page promises (`proof`), with the secret of the device code in the place of the browser's
//! session. No page of another site has letters sent from its visitors' networks: browsers are refused.

use super::{
    api::{OAuthError, Provider, Shared, address_of, check_client, form, secret_json},
    grants::{Answer, Asker, GrantError, NoDevice, Purpose},
    limits::network,
    pages::{self, Complaint},
    people::{TOO_MANY_MAILS, address_in, when},
    proof::{LIFE_MS, Origin, ProofError, Proofs, Typed},
};
use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::post,
};
use http::{HeaderMap, StatusCode, header};
use serde_json::json;
use std::{net::IpAddr, sync::Arc};

/// Where it is.
pub(super) const PATH: &str = "/device/mail";
/// The most of a program's name that stands in a letter.
const MAX_NAME: usize = 24;

/// Without headers for pages of other origins; where no address is proven by mail it is not there.
pub(super) fn router(provider: Arc<Provider>) -> Router {
    match provider.proofs.is_some() {
        true => Router::new().route(PATH, post(mail)).with_state(provider),
        false => Router::new(),
    }
}

async fn mail(State(provider): Shared, request: Request) -> Result<Response, OAuthError> {
    refuse_browsers(request.headers())?;
    let (headers, from) = (request.headers().clone(), address_of(&provider, &request));
    let form = form(request).await?;
    check_client(&headers, &form)?;
    let invalid = |description| Err(OAuthError::new("invalid_request", description));
    let Some(proofs) = &provider.proofs else { return invalid("no address is proven by mail here") };
    let Some(device_code) = form.get("device_code") else { return invalid("device_code is missing") };
    match (form.get("email"), form.get("session"), form.get("code")) {
        (Some(email), None, None) => begin(&provider, proofs, device_code, email, from).await,
        (None, Some(session), Some(code)) => answer(&provider, proofs, device_code, session, code).await,
        _ => invalid("there must be either email, or session and code"),
    }
}

async fn begin(
    provider: &Provider,
    proofs: &Proofs,
    device_code: &str,
    email: &str,
    from: IpAddr,
) -> Result<Response, OAuthError> {
    let now_ms = provider.clock.unix_ms();
    let (user_code, asker) = waiting(provider, device_code, now_ms).await?;
    let address = address_in(provider, email).map_err(|complaint| {
        let error = match complaint {
            Complaint::Domain(_) => "access_denied",
            _ => "invalid_request",
        };
        OAuthError::new(error, pages::complaint(&complaint))
    })?;
    let from_text = from.to_string();
    let origin = Origin {
        network: &network(from),
        from: &from_text,
        browser: &bound(device_code),
        asked_by: &asked_by(&asker, &from_text),
        at: &when(now_ms),
    };
    let begun = proofs.begin(&address, Purpose::Device { user_code }, &origin, now_ms).await;
    let session = begun.map_err(|error| match error {
        ProofError::TooMany => OAuthError {
            status: StatusCode::TOO_MANY_REQUESTS,
            ..OAuthError::new("temporarily_unavailable", TOO_MANY_MAILS)
        },
        ProofError::Busy => OAuthError {
            status: StatusCode::SERVICE_UNAVAILABLE,
            ..OAuthError::new("temporarily_unavailable", error.to_string())
        },
        ProofError::Store(error) => GrantError::Store(error).into(),
        ProofError::Random(error) => GrantError::from(error).into(),
    })?;
    Ok(secret_json(StatusCode::OK, &json!({ "session": session, "expires_in": LIFE_MS / 1000 })))
}

async fn answer(
    provider: &Provider,
    proofs: &Proofs,
    device_code: &str,
    session: &str,
    code: &str,
) -> Result<Response, OAuthError> {
    let now_ms = provider.clock.unix_ms();
    // Who refused on the page in the meantime has ended this, too.
    let (user_code, _) = waiting(provider, device_code, now_ms).await?;
    let typed = proofs.answer(session, &bound(device_code), code, now_ms).await;
    match typed.map_err(GrantError::Store)? {
        Typed::Proven(proven) => {
            let answer = Answer::Allow(proven.0);
            provider.grants.answer_device(&user_code, answer, now_ms).await.map_err(|error| match error {
                NoDevice::Store(error) => GrantError::Store(error),
                _ => GrantError::Expired,
            })?;
            Ok(secret_json(StatusCode::OK, &json!({ "status": "proven" })))
        }
        Typed::Wrong { left, .. } => {
            let tries = if left == 1 { "1 try is".to_owned() } else { format!("{left} tries are") };
            let body = json!({
                "error": "invalid_grant",
                "error_description": format!("the code is wrong; {tries} left"),
                "tries_left": left,
            });
            Ok(secret_json(StatusCode::BAD_REQUEST, &body))
        }
        Typed::Gone => {
            let text = "this session was begun by another program, is too old, or has ended already";
            Err(OAuthError::new("expired_token", text))
        }
    }
}

/// The device's user code, and who asks.
async fn waiting(provider: &Provider, device_code: &str, now_ms: u64) -> Result<(String, Asker), GrantError> {
    provider.grants.waiting_with(device_code, now_ms).await?.ok_or(GrantError::Expired)
}

/// What stands in the place of the browser's session. No cookie has a space in it, so none passes for it.
fn bound(device_code: &str) -> String {
    format!("device {device_code}")
}

fn refuse_browsers(headers: &HeaderMap) -> Result<(), OAuthError> {
    let of_browsers = [header::ORIGIN, header::HeaderName::from_static("sec-fetch-site")];
    match of_browsers.iter().any(|name| headers.contains_key(name)) {
        true => Err(OAuthError {
            status: StatusCode::FORBIDDEN,
            ..OAuthError::new("access_denied", "this is for programs in a terminal, not for pages")
        }),
        false => Ok(()),
    }
}

/// What asks, as the letter says it.
fn asked_by(asker: &Asker, from: &str) -> String {
    let name = match name_of(&asker.program) {
        "" => "which gives no name".to_owned(),
        name => format!("which calls itself {name}"),
    };
    match asker.from == from {
        true => format!("for a program in a terminal, {name}"),
        false => format!("for a program in a terminal, {name},\nat {}", asker.from),
    }
}

/// The first word of what a program calls itself. Anybody chooses it, and the letter is from us: nothing in it may read
/// like our own words, or be made a link or a telephone number.
fn name_of(program: &str) -> &str {
    let ends = program.find(|c: char| !c.is_ascii_alphabetic() && c != '-');
    let name = program.get(..ends.unwrap_or(program.len())).unwrap_or_default();
    let name = name.split("--").next().unwrap_or_default();
    name.get(..MAX_NAME).unwrap_or(name).trim_end_matches('-')
}
