//! What people do on the pages: say who they are, prove it, agree or refuse. The decisions are in `grants`, `proof` and
//! `upstream`; here is which page follows which.

use super::{
    address::{Address, NoAddress},
    api::{Provider, Shared, address_of, form, public, put, secret_json},
    browser::{
        back, by_get, form_cookie, own_form, page, see_other, session, shortened, with_cookie,
        with_form_token,
    },
    grants::{Answer, NoDevice, Person, Purpose, secret},
    limits::{Limit, network},
    pages::{self, Complaint, SESSION, Typed, TypedCode, UPSTREAM, Ways},
    passkey::{self, PasskeyError, Passkeys, Proven},
    proof::{Origin, ProofError},
    request::{AuthError, AuthRequest, Params, Redirect},
    store::{Kind, StoreError},
    upstream::{CALLBACK_PATH, Return, UpstreamError},
};
use crate::http::{chain, content};
use axum::{
    Router,
    extract::{RawQuery, Request, State},
    response::Response,
    routing::{get, post},
};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use sealog_bundle::UnixTime;
use sealog_crypto::sha256;
use serde::{Deserialize, Serialize};
use std::{net::IpAddr, sync::Arc};

/// How long somebody may think about agreeing.
const CONSENT_MS: u64 = 10 * 60 * 1000;
const BUSY: &str = "The provider cannot take another sign-in at the moment. Wait a minute, then try again.";
pub(super) const TOO_MANY_MAILS: &str =
    "Too many codes were asked for from your network in the last hour. Try again later.";
const LOST: &str = "This sign-in was begun in another browser, is too old, or has ended already.";

pub(super) fn router(provider: Arc<Provider>) -> Router {
    Router::new()
        .route("/", get(about))
        .route("/auth", get(auth_page).post(auth_page))
        .route("/auth/answer", post(auth_answer))
        .route("/device", get(device_page).post(device_answer))
        .route("/mail", post(mail_answer))
        .route("/passkey", post(passkey_question))
        .route("/passkey/new", post(passkey_made))
        .route(pages::SCRIPT_PATH, get(script))
        .route("/consent", post(consent_answer))
        .route(CALLBACK_PATH, get(callback))
        .route(&format!("{CALLBACK_PATH}/{{name}}"), get(callback))
        .route(pages::STYLE_PATH, get(style))
        .with_state(provider)
}

/// A person whom another provider knows, until they agree.
#[derive(Serialize, Deserialize)]
struct Known {
    person: Person,
    purpose: Purpose,
    /// Hash of the browser's session.
    browser: String,
}

/// A form of ours, with everything that is known of whoever sent it.
struct Visit {
    form: Params,
    headers: HeaderMap,
    /// The browser's session.
    session: String,
    from: IpAddr,
    now_ms: u64,
}

impl Visit {
    async fn of(provider: &Provider, request: Request) -> Result<Self, Response> {
        let (headers, from) = (request.headers().clone(), address_of(provider, &request));
        let own = own_form(provider, request).await?;
        Ok(Self { form: own.form, headers, session: own.session, from, now_ms: provider.clock.unix_ms() })
    }
}

async fn about(State(provider): Shared) -> Response {
    page(StatusCode::OK, &pages::about(&provider.url, provider.config.believes_anyone), None)
}

async fn style() -> Response {
    let mut response = content(StatusCode::OK, "text/css; charset=utf-8", pages::STYLE);
    put(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    public(response)
}

async fn script() -> Response {
    let mut response = content(StatusCode::OK, "text/javascript; charset=utf-8", pages::SCRIPT);
    put(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    public(response)
}

/// What a program asks, by either method (Core §3.1.2.1).
async fn auth_page(State(provider): Shared, RawQuery(query): RawQuery, request: Request) -> Response {
    let (headers, from) = (request.headers().clone(), address_of(&provider, &request));
    let posted = request.method() == Method::POST;
    let params = match posted {
        true => form(request).await.ok(),
        false => Params::parse(query.unwrap_or_default().as_bytes()),
    };
    let request = params
        .ok_or(AuthError::Page(
            "What the program that sent you here asks cannot be read, or says one thing twice.",
        ))
        .and_then(|params| AuthRequest::parse(&params));
    match request {
        Ok(request) if posted && form_cookie(&provider, &headers).is_none() => by_get(&provider, &request),
        Ok(request) => {
            let wanted = request.connector_id.as_deref();
            // Only on the way in: whoever comes back to this page wants to choose.
            let wanted = wanted.and_then(|id| provider.upstreams.by_connector(id)).map(str::to_owned);
            let purpose = Purpose::Request(Box::new(request));
            match wanted {
                Some(name) => straight_away(&provider, &headers, &name, purpose, from).await,
                None => ask(&provider, &headers, StatusCode::OK, &purpose, from, &Typed::default()).await,
            }
        }
        Err(error) => auth_error(&provider, &error),
    }
}

async fn auth_answer(State(provider): Shared, request: Request) -> Response {
    let visit = match Visit::of(&provider, request).await {
        Ok(visit) => visit,
        Err(refusal) => return refusal,
    };
    match AuthRequest::parse(&visit.form) {
        Ok(request) => chosen(&provider, visit, Purpose::Request(Box::new(request))).await,
        Err(error) => auth_error(&provider, &error),
    }
}

async fn device_page(State(provider): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Response {
    let params = Params::parse(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let code = shortened(params.get("user_code").unwrap_or_default());
    with_form_token(&provider, &headers, |token| {
        page(StatusCode::OK, &pages::device(token, &code, None), None)
    })
}

async fn device_answer(State(provider): Shared, request: Request) -> Response {
    let visit = match Visit::of(&provider, request).await {
        Ok(visit) => visit,
        Err(refusal) => return refusal,
    };
    let typed = shortened(visit.form.get("user_code").unwrap_or_default());
    let complaint = match provider.grants.asking_device(&typed, &network(visit.from), visit.now_ms).await {
        Ok((user_code, _)) => return chosen(&provider, visit, Purpose::Device { user_code }).await,
        Err(NoDevice::Unknown) => Complaint::UserCode,
        Err(NoDevice::TooManyGuesses) => Complaint::TooManyGuesses,
        Err(NoDevice::Store(error)) => return broken(&error),
    };
    with_form_token(&provider, &visit.headers, |token| {
        page(StatusCode::BAD_REQUEST, &pages::device(token, &typed, Some(&complaint)), None)
    })
}

/// What somebody chose on the page that asks who they are.
async fn chosen(provider: &Provider, visit: Visit, purpose: Purpose) -> Response {
    let answer = visit.form.get("answer").unwrap_or_default();
    if answer == "refuse" {
        return refused(provider, &purpose, visit.now_ms).await;
    }
    if let Some(name) = answer.strip_prefix(UPSTREAM) {
        return away(provider, name, purpose, &visit).await;
    }
    if let ("passkey", Some(passkeys)) = (answer, &provider.passkeys) {
        return match passkeys.used(&visit.session, &passkey_in(&visit.form), visit.now_ms).await {
            Ok(person) if !accepts(provider, &person) => elsewhere(provider),
            Ok(person) => {
                consent(provider, person, purpose, "a passkey, after a mail to that address", &visit).await
            }
            Err(error) => passkey_failed(&error),
        };
    }
    let by_mail = answer == "mail" && provider.proofs.is_some();
    let believed = answer == "allow" && provider.config.believes_anyone;
    if !by_mail && !believed {
        return ask(provider, &visit.headers, StatusCode::OK, &purpose, visit.from, &Typed::default()).await;
    }
    let typed = visit.form.get("email").unwrap_or_default();
    let address = match address_in(provider, typed) {
        Ok(address) => address,
        Err(complaint) => {
            let typed = Typed { address: shortened(typed), complaint: Some(complaint) };
            return ask(provider, &visit.headers, StatusCode::BAD_REQUEST, &purpose, visit.from, &typed)
                .await;
        }
    };
    match (believed, &provider.proofs) {
        (false, Some(proofs)) => {
            let from = visit.from.to_string();
            let asks = asked_by(provider, &purpose, "the computer with that browser", visit.now_ms).await;
            let asked_by = format!("for {asks}");
            let origin = Origin {
                network: &network(visit.from),
                from: &from,
                browser: &visit.session,
                asked_by: &asked_by,
                at: &when(visit.now_ms),
            };
            match proofs.begin(&address, purpose.clone(), &origin, visit.now_ms).await {
                Ok(session) => {
                    let typed = TypedCode::default();
                    mail_page(provider, StatusCode::OK, &address, &session, &visit.session, &typed, &purpose)
                }
                Err(ProofError::TooMany) => {
                    page(StatusCode::TOO_MANY_REQUESTS, &pages::sorry(TOO_MANY_MAILS), None)
                }
                Err(error) => broken(&error),
            }
        }
        _ => {
            let text = address.as_str().to_owned();
            let person = Person { user_id: text.clone(), address: text, connector_id: provider.url.clone() };
            agreed(provider, &purpose, &person, visit.now_ms).await
        }
    }
}

/// The address that somebody typed, if it may sign in here.
pub(super) fn address_in(provider: &Provider, typed: &str) -> Result<Address, Complaint> {
    match Address::parse(typed) {
        Ok(address) if provider.config.accepts(&address) => Ok(address),
        Ok(_) => Err(Complaint::Domain(provider.config.domains.clone())),
        Err(NoAddress::Shape) => Err(Complaint::Address),
        Err(NoAddress::Name) => Err(Complaint::NameLetters),
    }
}

/// The page that asks who somebody is.
async fn ask(
    provider: &Provider,
    headers: &HeaderMap,
    status: StatusCode,
    purpose: &Purpose,
    from: IpAddr,
    typed: &Typed,
) -> Response {
    let ways = ways(provider);
    let now_ms = provider.clock.unix_ms();
    match purpose {
        Purpose::Request(request) => with_form_token(provider, headers, |token| {
            page(status, &pages::sign_in(request, &ways, token, typed), Some(&request.redirect))
        }),
        Purpose::Device { user_code } => {
            match provider.grants.asking_device(user_code, &network(from), now_ms).await {
                Ok((user_code, asker)) => with_form_token(provider, headers, |token| {
                    let at = when(asker.at_ms);
                    let wanted = asker.connector_id.as_deref();
                    let wanted = wanted.and_then(|id| provider.upstreams.by_connector(id));
                    let ways = wanted.map_or(ways, |name| only(provider, name));
                    page(status, &pages::device_asks(&asker, &at, &user_code, &ways, token, typed), None)
                }),
                Err(NoDevice::Store(error)) => broken(&error),
                Err(_) => page(StatusCode::BAD_REQUEST, &pages::sorry(LOST), None),
            }
        }
    }
}

/// All ways that are configured.
fn ways(provider: &Provider) -> Ways<'_> {
    Ways {
        believes_anyone: provider.config.believes_anyone,
        mail: provider.proofs.is_some(),
        passkey: provider.passkeys.is_some(),
        upstreams: provider.upstreams.labels().collect(),
        domains: &provider.config.domains,
    }
}

/// The one that a program named. No way round the page for it: there a person sees which device asks.
fn only<'a>(provider: &'a Provider, upstream: &str) -> Ways<'a> {
    let mut upstreams: Vec<_> = provider.upstreams.labels().collect();
    upstreams.retain(|(name, _)| *name == upstream);
    Ways { believes_anyone: false, mail: false, passkey: false, upstreams, domains: &[] }
}

async fn mail_answer(State(provider): Shared, request: Request) -> Response {
    let visit = match Visit::of(&provider, request).await {
        Ok(visit) => visit,
        Err(refusal) => return refusal,
    };
    let lost = || page(StatusCode::BAD_REQUEST, &pages::sorry(LOST), None);
    let (Some(proofs), Some(session)) = (&provider.proofs, visit.form.get(SESSION)) else { return lost() };
    if visit.form.get("answer") == Some("refuse") {
        return match proofs.refuse(session, &visit.session, visit.now_ms).await {
            Ok(Some(purpose)) => refused(&provider, &purpose, visit.now_ms).await,
            Ok(None) => lost(),
            Err(error) => broken(&error),
        };
    }
    let ticked = TypedCode {
        complaint: None,
        passkey: visit.form.get("passkey") == Some("offer"),
        forget: visit.form.get("forget") == Some("passkeys"),
    };
    let typed = visit.form.get("code").unwrap_or_default();
    match proofs.answer(session, &visit.session, typed, visit.now_ms).await {
        Ok(super::proof::Typed::Proven(proven)) => {
            let (person, purpose, mut asked_ms) = *proven;
            let mut forgotten = false;
            if let Some(passkeys) = provider.passkeys.as_ref().filter(|_| ticked.forget) {
                match passkeys.forget(&person.address, asked_ms, visit.now_ms).await {
                    Ok(counts_ms) => {
                        forgotten = counts_ms.is_some();
                        asked_ms = counts_ms.unwrap_or(asked_ms);
                    }
                    Err(error) => return broken(&error),
                }
            }
            match provider.passkeys.as_ref().filter(|_| ticked.passkey) {
                Some(passkeys) => {
                    let proven = Proven { person, purpose, asked_ms };
                    offer_passkey(passkeys, proven, forgotten, &visit).await
                }
                None => agreed(&provider, &purpose, &person, visit.now_ms).await,
            }
        }
        Ok(super::proof::Typed::Wrong { address, left, purpose }) => match Address::parse(&address) {
            Ok(address) => {
                let typed = TypedCode { complaint: Some(Complaint::Code(left)), ..ticked };
                let status = StatusCode::BAD_REQUEST;
                mail_page(&provider, status, &address, session, &visit.session, &typed, &purpose)
            }
            Err(_) => lost(),
        },
        Ok(super::proof::Typed::Gone) => lost(),
        Err(error) => broken(&error),
    }
}

fn mail_page(
    provider: &Provider,
    status: StatusCode,
    address: &Address,
    session: &str,
    token: &str,
    typed: &TypedCode,
    purpose: &Purpose,
) -> Response {
    let (offers, other) = (provider.passkeys.is_some(), address.is_internationalized());
    let shown = pages::mail_code(address.as_str(), other, session, token, typed, offers);
    page(status, &shown, next(purpose))
}

/// Where the form of a page leads in the end.
fn next(purpose: &Purpose) -> Option<&Redirect> {
    match purpose {
        Purpose::Request(request) => Some(&request.redirect),
        Purpose::Device { .. } => None,
    }
}

/// To a provider behind this one. Browsers hold the redirects of a form to the page's policy, which does not know where that
/// provider's page is; so a page of ours leads there.
async fn away(provider: &Provider, name: &str, purpose: Purpose, visit: &Visit) -> Response {
    if let Err(refusal) = may_begin(provider, visit.from, visit.now_ms).await {
        return refusal;
    }
    match provider.upstreams.begin(name, purpose, &visit.session, visit.now_ms).await {
        Ok(url) => {
            page(StatusCode::OK, &pages::going_to(url.as_str(), url.host_str().unwrap_or_default()), None)
        }
        Err(error) => upstream_failed(&error),
    }
}

/// The same without a page of ours: a program that names the provider behind this one is taken at its word.
async fn straight_away(
    provider: &Provider,
    headers: &HeaderMap,
    name: &str,
    purpose: Purpose,
    from: IpAddr,
) -> Response {
    let now_ms = provider.clock.unix_ms();
    if let Err(refusal) = may_begin(provider, from, now_ms).await {
        return refusal;
    }
    let Some((session, cookie)) = session(provider, headers) else {
        return page(StatusCode::INTERNAL_SERVER_ERROR, &pages::sorry(BUSY), None);
    };
    let there = provider.upstreams.begin(name, purpose, &session, now_ms).await;
    match there.map(|url| see_other(url.as_str())) {
        Ok(Some(response)) => with_cookie(response, cookie),
        Ok(None) => page(StatusCode::BAD_GATEWAY, &pages::sorry(BUSY), None),
        Err(error) => upstream_failed(&error),
    }
}

/// Something is kept of whoever goes to another provider, or is asked for a passkey; no network fills the place of all.
async fn may_begin(provider: &Provider, from: IpAddr, now_ms: u64) -> Result<(), Response> {
    match provider.limits.allows(Limit::Begun, &network(from), now_ms).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            let text = "Too many sign-ins were begun from your network. Try again in a quarter of an hour.";
            Err(page(StatusCode::TOO_MANY_REQUESTS, &pages::sorry(text), None))
        }
        Err(error) => Err(broken(&error)),
    }
}

/// Back from a provider behind this one.
async fn callback(State(provider): Shared, uri: Uri, headers: HeaderMap) -> Response {
    let now_ms = provider.clock.unix_ms();
    let params = Params::parse(uri.query().unwrap_or_default().as_bytes()).unwrap_or_default();
    let (Some(state), Some(session)) = (params.get("state"), form_cookie(&provider, &headers)) else {
        return page(StatusCode::BAD_REQUEST, &pages::sorry(LOST), None);
    };
    let said = Return {
        path: uri.path(),
        state,
        code: params.get("code"),
        error: params.get("error_description").or_else(|| params.get("error")),
        issuer: params.get("iss"),
    };
    let (person, purpose) = match provider.upstreams.finish(&said, session, now_ms).await {
        Ok(known) => known,
        Err(error) => return upstream_failed(&error),
    };
    if !accepts(&provider, &person) {
        return elsewhere(&provider);
    }
    let vouched_by = provider.upstreams.label_of(&person.connector_id).unwrap_or_default().to_owned();
    let visit = Visit {
        form: Params::default(),
        session: session.to_owned(),
        from: IpAddr::from([0, 0, 0, 0]),
        headers,
        now_ms,
    };
    consent(&provider, person, purpose, &vouched_by, &visit).await
}

/// Whether addresses of the person's domain may sign in, as the configuration is now.
fn accepts(provider: &Provider, person: &Person) -> bool {
    Address::parse(&person.address).is_ok_and(|address| provider.config.accepts(&address))
}

fn elsewhere(provider: &Provider) -> Response {
    let text = Complaint::Domain(provider.config.domains.clone());
    page(StatusCode::FORBIDDEN, &pages::sorry(&pages::complaint(&text)), None)
}

/// Asks somebody who is known whether they agree.
async fn consent(
    provider: &Provider,
    person: Person,
    purpose: Purpose,
    vouched_by: &str,
    visit: &Visit,
) -> Response {
    let name = match secret() {
        Ok(name) => name,
        Err(error) => return broken(&error),
    };
    let known = Known { person, purpose, browser: bound(&name, &visit.session) };
    if let Err(error) = provider.store.put(Kind::Consent, &name, &known, visit.now_ms, CONSENT_MS).await {
        return broken(&error);
    }
    let asks = asked_by(provider, &known.purpose, "this computer", visit.now_ms).await;
    let shown = pages::consent(&known.person, vouched_by, &asks, &name, &visit.session);
    page(StatusCode::OK, &shown, next(&known.purpose))
}

/// A question for the script of a page where a passkey may be used.
async fn passkey_question(State(provider): Shared, request: Request) -> Response {
    let visit = match Visit::of(&provider, request).await {
        Ok(visit) => visit,
        Err(refusal) => return refusal,
    };
    let Some(passkeys) = &provider.passkeys else {
        return page(StatusCode::NOT_FOUND, &pages::sorry(LOST), None);
    };
    if let Err(refusal) = may_begin(&provider, visit.from, visit.now_ms).await {
        return refusal;
    }
    match passkeys.ask(None, &visit.session, visit.now_ms).await {
        Ok(asked) => {
            let body = serde_json::json!({
                "challenge": asked.challenge, "session": asked.session, "host": passkeys.host,
            });
            secret_json(StatusCode::OK, &body)
        }
        Err(error) => broken(&error),
    }
}

/// Whoever proved an address just now may make a passkey, and goes on in any case.
async fn offer_passkey(passkeys: &Passkeys, proven: Proven, forgot: bool, visit: &Visit) -> Response {
    let (address, purpose) = (proven.person.address.clone(), proven.purpose.clone());
    match passkeys.ask(Some(proven), &visit.session, visit.now_ms).await {
        Ok(asked) => {
            let (days, host) = (passkeys.days, &passkeys.host);
            let shown = pages::make_passkey(&address, days, &asked, host, &visit.session, forgot);
            page(StatusCode::OK, &shown, next(&purpose))
        }
        Err(error) => broken(&error),
    }
}

async fn passkey_made(State(provider): Shared, request: Request) -> Response {
    let visit = match Visit::of(&provider, request).await {
        Ok(visit) => visit,
        Err(refusal) => return refusal,
    };
    let lost = || page(StatusCode::BAD_REQUEST, &pages::sorry(LOST), None);
    let (Some(passkeys), Some(session)) = (&provider.passkeys, visit.form.get(SESSION)) else {
        return lost();
    };
    let (proven, challenge) = match passkeys.proven(session, &visit.session, visit.now_ms).await {
        Ok(proven) => proven,
        Err(error) => return passkey_failed(&error),
    };
    if visit.form.get("answer") == Some("keep") {
        // The address is proven whether or not the device made a passkey that counts.
        if let Err(error) = passkeys.keep(&proven, &challenge, &passkey_in(&visit.form), visit.now_ms).await {
            tracing::warn!(service = "oidc", reason = chain(&error), "a passkey was not kept");
        }
    }
    agreed(&provider, &proven.purpose, &proven.person, visit.now_ms).await
}

fn passkey_in(form: &Params) -> passkey::Answer<'_> {
    let field = |name| form.get(name).unwrap_or_default();
    passkey::Answer {
        session: field(SESSION),
        id: field("passkey"),
        client_data: field("client_data"),
        data: field("data"),
        signature: field("signature"),
    }
}

fn passkey_failed(error: &PasskeyError) -> Response {
    match error {
        PasskeyError::Store(_) | PasskeyError::Random(_) => broken(error),
        PasskeyError::Gone => page(StatusCode::BAD_REQUEST, &pages::sorry(LOST), None),
        _ => {
            tracing::warn!(service = "oidc", reason = chain(error), "a passkey was refused");
            let text = "That passkey is not known here, or its time has ended: the address must be proven by mail again.";
            page(StatusCode::FORBIDDEN, &pages::sorry(text), None)
        }
    }
}

async fn consent_answer(State(provider): Shared, request: Request) -> Response {
    let visit = match Visit::of(&provider, request).await {
        Ok(visit) => visit,
        Err(refusal) => return refusal,
    };
    let lost = || page(StatusCode::BAD_REQUEST, &pages::sorry(LOST), None);
    let Some(name) = visit.form.get(SESSION) else { return lost() };
    let known: Option<Known> = match provider.store.take(Kind::Consent, name, visit.now_ms).await {
        Ok(known) => known,
        Err(error) => return broken(&error),
    };
    let Some(known) = known.filter(|known| known.browser == bound(name, &visit.session)) else {
        return lost();
    };
    match visit.form.get("answer") {
        Some("allow") => agreed(&provider, &known.purpose, &known.person, visit.now_ms).await,
        _ => refused(&provider, &known.purpose, visit.now_ms).await,
    }
}

/// Somebody is known, and agrees.
async fn agreed(provider: &Provider, purpose: &Purpose, person: &Person, now_ms: u64) -> Response {
    match purpose {
        Purpose::Request(request) => match provider.grants.approve(request, person, now_ms).await {
            Ok(code) => back(&provider.url, &request.redirect, request.state.as_deref(), &[("code", &code)])
                .unwrap_or_else(|| page(StatusCode::OK, &pages::show_code(&code), None)),
            Err(error) => broken(&error),
        },
        Purpose::Device { user_code } => {
            let answer = Answer::Allow(person.clone());
            device_told(provider.grants.answer_device(user_code, answer, now_ms).await, true)
        }
    }
}

async fn refused(provider: &Provider, purpose: &Purpose, now_ms: u64) -> Response {
    match purpose {
        Purpose::Request(request) => {
            let words = [("error", "access_denied"), ("error_description", "the person refused")];
            back(&provider.url, &request.redirect, request.state.as_deref(), &words)
                .unwrap_or_else(|| page(StatusCode::OK, &pages::refused(), None))
        }
        Purpose::Device { user_code } => {
            device_told(provider.grants.answer_device(user_code, Answer::Refuse, now_ms).await, false)
        }
    }
}

fn device_told(told: Result<(), NoDevice>, allowed: bool) -> Response {
    match told {
        Ok(()) => page(StatusCode::OK, &pages::device_answered(allowed), None),
        Err(NoDevice::Store(error)) => broken(&error),
        Err(_) => page(StatusCode::BAD_REQUEST, &pages::sorry(LOST), None),
    }
}

/// What asks, as people are told before they agree.
async fn asked_by(provider: &Provider, purpose: &Purpose, here: &str, now_ms: u64) -> String {
    match purpose {
        // It may be anybody's: nothing but the person's hands leads there.
        Purpose::Request(request) if request.redirect == Redirect::OutOfBand => {
            "whoever is given the code that the page shows at the end".to_owned()
        }
        Purpose::Request(_) => format!("a program on {here}"),
        Purpose::Device { user_code } => match provider.grants.waiting_device(user_code, now_ms).await {
            Ok(Some(asker)) => format!("a program on another device, at {}", asker.from),
            _ => "a program on another device".to_owned(),
        },
    }
}

/// To the minute, as everyone reads it.
pub(super) fn when(ms: u64) -> String {
    let text = UnixTime::from_millis(i64::try_from(ms).unwrap_or(i64::MAX)).to_string();
    match text.get(..16) {
        Some(minute) => format!("{} UTC", minute.replace('T', " ")),
        None => text,
    }
}

/// The browser's session, as it is kept.
fn bound(name: &str, session: &str) -> String {
    hex::encode(sha256(format!("{name} {session}").as_bytes()))
}

fn auth_error(provider: &Provider, error: &AuthError) -> Response {
    match error {
        AuthError::Page(text) => page(StatusCode::BAD_REQUEST, &pages::sorry(text), None),
        AuthError::Back(sent) => {
            let params = [("error", sent.error), ("error_description", sent.description)];
            back(&provider.url, &sent.redirect, sent.state.as_deref(), &params)
                .unwrap_or_else(|| page(StatusCode::BAD_REQUEST, &pages::sorry(sent.description), None))
        }
    }
}

/// What a provider behind this one did, in words for the person; the rest is for the operator.
fn upstream_failed(error: &UpstreamError) -> Response {
    let (status, text) = match error {
        UpstreamError::Gone | UpstreamError::Unknown => (StatusCode::BAD_REQUEST, LOST.to_owned()),
        UpstreamError::Refused(_) => {
            (StatusCode::FORBIDDEN, "The provider did not sign you in, or you refused there.".to_owned())
        }
        UpstreamError::NoAddress => {
            let text = "The provider gave no email address of yours. Certificates for people name one.";
            (StatusCode::FORBIDDEN, text.to_owned())
        }
        UpstreamError::NotVerified => {
            let text = "The provider has not verified your email address. Confirm it there, then try again.";
            (StatusCode::FORBIDDEN, text.to_owned())
        }
        UpstreamError::NoWayForSecret => {
            let text =
                "This provider and that one agree on no way to know each other. Tell whoever runs this one.";
            (StatusCode::BAD_GATEWAY, text.to_owned())
        }
        UpstreamError::Store(_) | UpstreamError::Random(_) => return broken(error),
        _ => (
            StatusCode::BAD_GATEWAY,
            "The provider cannot be reached, or its answer is not to be believed.".to_owned(),
        ),
    };
    tracing::warn!(service = "oidc", reason = chain(error), "a sign-in at another provider failed");
    page(status, &pages::sorry(&text), None)
}

/// Too much at once, or trouble of ours.
fn broken(error: &(dyn std::error::Error + 'static)) -> Response {
    let mut causes = std::iter::successors(Some(error), |cause| cause.source());
    let full = causes.any(|cause| matches!(cause.downcast_ref(), Some(StoreError::Full)));
    let reason = chain(error);
    match full {
        true => tracing::warn!(service = "oidc", reason, "cannot grant a sign-in"),
        false => tracing::error!(service = "oidc", reason, "cannot grant a sign-in"),
    }
    page(StatusCode::SERVICE_UNAVAILABLE, &pages::sorry(BUSY), None)
}

#[cfg(test)]
mod tests;
