//! The wire: what browsers and sigstore's clients send, and what they get.

use super::*;
use crate::clock::Clock;
use crate::oidc::{
    config::Config,
    keys::SigningKeys,
    pages::{self, FORM_TOKEN},
    store::Store,
};
use axum::body::Body;
use http::{Method, Request as HttpRequest};
use http_body_util::BodyExt as _;
use sealog_crypto::{KeyKind, PrivateKey};
use sealog_identity::{Checks, Claims, Discovery, IssuerRule, Jwks, UnverifiedToken, verify};
use serde_json::Value;
use std::{collections::HashMap, sync::LazyLock};
use tower::ServiceExt as _;

const NOW: i64 = 1_700_000_000;
const URL: &str = "http://localhost:5556";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const CALLBACK: &str = "http://localhost:4711/auth/callback";

/// One key for all tests: making an RSA key takes a while.
static KEY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let key = PrivateKey::generate(KeyKind::Rsa { bits: 2048 }).unwrap();
    key.to_pkcs8_der().unwrap().to_vec()
});

fn issuer() -> Issuer {
    Issuer::new(URL, SigningKeys::of(&KEY))
}

/// A provider that believes anyone; its state goes with the test's process.
fn app() -> Router {
    let dir = tempfile::tempdir().unwrap().keep();
    let store = Store::open(&dir).unwrap();
    let limits = limits::Limits::new(store.clone());
    let clock = Clock::fixed(u64::try_from(NOW).unwrap() * 1000);
    let config: Config = toml::from_str(&format!("listen = 'localhost:0'\nurl = '{URL}'")).unwrap();
    router(Arc::new(Provider {
        issuer: issuer(),
        grants: Grants::new(store.clone(), limits.clone()),
        limits,
        proofs: None,
        passkeys: None,
        upstreams: Upstreams::new(&config, store.clone(), clock.clone()).unwrap(),
        store,
        clock,
        config: Checked {
            believes_anyone: true,
            domains: Vec::new(),
            trusted_proxies: vec![[127, 0, 0, 9].into()],
        },
        url: URL.to_owned(),
        secure: false,
    }))
}

struct Answered {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answered {
    fn header(&self, name: HeaderName) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The redirect's parameters.
    fn sent_back(&self) -> HashMap<String, String> {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.body);
        let location = url::Url::parse(self.header(header::LOCATION)).unwrap();
        assert!(location.as_str().starts_with(CALLBACK));
        let said: HashMap<String, String> = location.query_pairs().into_owned().collect();
        // RFC 9207, with errors too.
        assert_eq!(said["iss"], URL);
        said
    }

    /// The fields of the page's form.
    fn fields(&self) -> Vec<(String, String)> {
        let attribute = |tag: &str, name: &str| {
            let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
            Some(rest.split('"').next()?.replace("&amp;", "&"))
        };
        let tags = self.body.split("<input").skip(1).map(|rest| rest.split('>').next().unwrap());
        tags.filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default())))
            .collect()
    }

    fn cookie(&self) -> String {
        self.header(header::SET_COOKIE).split(';').next().unwrap().to_owned()
    }
}

async fn send(app: &Router, request: HttpRequest<Body>) -> Answered {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answered { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

async fn get_at(app: &Router, path: &str) -> Answered {
    send(app, HttpRequest::get(path).body(Body::empty()).unwrap()).await
}

fn encoded<K: AsRef<str>, V: AsRef<str>>(pairs: &[(K, V)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

async fn post_form<K: AsRef<str>, V: AsRef<str>>(
    app: &Router,
    path: &str,
    pairs: &[(K, V)],
    headers: &[(HeaderName, &str)],
) -> Answered {
    let mut request =
        HttpRequest::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    send(app, request.body(Body::from(encoded(pairs))).unwrap()).await
}

fn auth_path(redirect: &str) -> String {
    let query = encoded(&[
        ("client_id", "sigstore"),
        ("client_secret", ""),
        ("redirect_uri", redirect),
        ("response_type", "code"),
        ("scope", "openid email"),
        ("state", "a&b"),
        ("nonce", "n-1"),
        ("access_type", "online"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    format!("/auth?{query}")
}

/// Opens the page, types an address, and presses a button.
async fn press(app: &Router, path: &str, action: &str, email: &str, answer: &str) -> Answered {
    let page = get_at(app, path).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    let mut fields = page.fields();
    fields.retain(|(name, _)| name != "email");
    fields.push(("email".into(), email.into()));
    fields.push(("answer".into(), answer.into()));
    let headers = [
        (header::COOKIE, page.cookie()),
        (header::ORIGIN, URL.to_owned()),
        (HeaderName::from_static("sec-fetch-site"), "same-origin".to_owned()),
    ];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.clone(), value.as_str())).collect();
    post_form(app, action, &fields, &headers).await
}

const BASIC: (HeaderName, &str) = (header::AUTHORIZATION, "Basic c2lnc3RvcmU6");

fn code_form(code: &str) -> Vec<(&'static str, String)> {
    vec![
        ("grant_type", "authorization_code".into()),
        ("code", code.into()),
        ("redirect_uri", CALLBACK.into()),
        ("code_verifier", VERIFIER.into()),
    ]
}

fn claims_of(token: &str, issuer_url: &str) -> Claims {
    let keys = Jwks::parse(issuer().jwks().as_bytes()).unwrap();
    let checks = Checks {
        issuer: issuer_url,
        audience: "sigstore",
        now_unix: NOW,
        leeway_seconds: 0,
        algorithms: &sealog_identity::Algorithm::DEFAULT,
    };
    verify(&UnverifiedToken::parse(token).unwrap(), &keys, &checks).unwrap()
}

fn payload(token: &str) -> Value {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

#[tokio::test]
async fn a_browser_sign_in_from_page_to_token() {
    let app = app();
    let sent = press(&app, &auth_path(CALLBACK), "/auth/answer", "Me@example.com", "allow").await.sent_back();
    assert_eq!(sent["state"], "a&b");
    let answer = post_form(&app, "/token", &code_form(&sent["code"]), &[BASIC]).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
    assert_eq!(answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "*");
    let body = answer.json();
    assert_eq!((body["token_type"].as_str(), body["expires_in"].as_i64()), (Some("Bearer"), Some(300)));
    let (id, access) = (body["id_token"].as_str().unwrap(), body["access_token"].as_str().unwrap());
    let mut expected = object!({
        "iss": URL, "sub": "Me@example.com", "aud": "sigstore", "iat": NOW, "exp": NOW + 300,
        "email": "Me@example.com", "email_verified": true,
        "federated_claims": {"connector_id": URL, "user_id": "Me@example.com"},
    });
    // sigstore-python reads its identity from the access token.
    assert_eq!(payload(access), expected);
    expected["nonce"] = object!("n-1");
    let half = &sealog_crypto::sha256(access.as_bytes())[..16];
    expected["at_hash"] = object!(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(half));
    assert_eq!(payload(id), expected);

    let rule: IssuerRule = toml::from_str(&format!("issuer = '{URL}'\ntype = 'email'")).unwrap();
    for token in [id, access] {
        let principal = rule.principal(&claims_of(token, URL)).unwrap();
        assert_eq!(principal.san.as_text(), Some("Me@example.com"));
        assert_eq!(principal.challenge, "Me@example.com");
    }
    let again = post_form(&app, "/token", &code_form(&sent["code"]), &[BASIC]).await;
    assert_eq!(
        (again.status, again.json()["error"].as_str()),
        (StatusCode::BAD_REQUEST, Some("invalid_grant"))
    );

    let bearer = format!("Bearer {access}");
    let request = HttpRequest::get("/userinfo").header(header::AUTHORIZATION, bearer).body(Body::empty());
    let info = send(&app, request.unwrap()).await;
    assert_eq!(info.json()["email"], "Me@example.com");
    let none = get_at(&app, "/userinfo").await;
    assert_eq!((none.status, none.header(header::WWW_AUTHENTICATE)), (StatusCode::UNAUTHORIZED, "Bearer"));
}

#[tokio::test]
async fn the_client_names_itself_in_any_of_three_ways() {
    for how in ["basic", "form", "nothing"] {
        let app = app();
        let sent = press(&app, &auth_path(CALLBACK), "/auth/answer", "a@b.co", "allow").await.sent_back();
        let mut form = code_form(&sent["code"]);
        let headers = if how == "basic" { vec![BASIC] } else { vec![] };
        if how == "form" {
            form.push(("client_id", "sigstore".into()));
            form.push(("client_secret", String::new()));
        }
        assert_eq!(post_form(&app, "/token", &form, &headers).await.status, StatusCode::OK, "{how}");
    }
    let app = app();
    let wrong = [(header::AUTHORIZATION, "Basic c2lnc3RvcmU6eA==")];
    let refused = post_form(&app, "/token", &code_form("x"), &wrong).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(refused.header(header::WWW_AUTHENTICATE).starts_with("Basic"));
    for (name, value) in [("client_id", "other"), ("client_secret", "x")] {
        let mut form = code_form("x");
        form.push((name, value.into()));
        let refused = post_form(&app, "/token", &form, &[]).await;
        assert_eq!(refused.json()["error"], "invalid_client");
    }
}

#[tokio::test]
async fn other_grants_are_refused() {
    let app = app();
    for grant in ["refresh_token", "client_credentials", "password"] {
        let refused = post_form(&app, "/token", &[("grant_type", grant)], &[BASIC]).await;
        assert_eq!(refused.json()["error"], "unsupported_grant_type");
    }
    let twice = [("grant_type", "authorization_code"), ("grant_type", "authorization_code")];
    assert_eq!(post_form(&app, "/token", &twice, &[]).await.json()["error"], "invalid_request");
    let json = HttpRequest::post("/token").header(header::CONTENT_TYPE, "application/json");
    let refused = send(&app, json.body(Body::from("{}")).unwrap()).await;
    assert_eq!(refused.json()["error"], "invalid_request");
    let huge = [("grant_type", "x".repeat(MAX_FORM))];
    assert_eq!(post_form(&app, "/token", &huge, &[]).await.json()["error"], "invalid_request");
}

#[tokio::test]
async fn the_page_says_what_must_be_known() {
    let page = get_at(&app(), &auth_path(CALLBACK)).await;
    for text in [
        "believes anyone",
        "development only",
        "for ever",
        "nothing can ever be removed",
        "lang=\"en\"",
        "<label for=\"email\">",
        "name=\"viewport\"",
        "type=\"email\"",
        ">Continue</button>",
    ] {
        assert!(page.body.contains(text), "{text}\n{}", page.body);
    }
    assert_eq!(page.body.matches("type=\"email\"").count(), 1);
    for text in ["<script", "style=", "onclick", "https://", "http-equiv"] {
        assert!(!page.body.contains(text), "{text}");
    }
    assert_eq!(
        page.header(header::CONTENT_SECURITY_POLICY),
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self' http://localhost:4711; \
         frame-ancestors 'none'; base-uri 'none'"
    );
    assert_eq!(page.header(header::X_FRAME_OPTIONS), "DENY");
    assert_eq!(page.header(header::CACHE_CONTROL), "no-store");
    assert!(page.header(header::SET_COOKIE).ends_with("; Path=/; HttpOnly; SameSite=Lax"));
    assert_eq!(page.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "", "pages are for nobody else's scripts");
    let style = get_at(&app(), pages::STYLE_PATH).await;
    assert_eq!(style.header(header::CONTENT_TYPE), "text/css; charset=utf-8");
    assert!(!style.body.contains("url("));
}

#[tokio::test]
async fn nothing_typed_or_sent_is_taken_for_markup() {
    let app = app();
    let evil = "\"><script>alert(1)</script>";
    let path = format!("/device?{}", encoded(&[("user_code", evil)]));
    let page = get_at(&app, &path).await;
    assert!(!page.body.contains("<script"), "{}", page.body);
    let again = press(&app, &auth_path(CALLBACK), "/auth/answer", evil, "allow").await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert!(again.body.contains("role=\"alert\"") && again.body.contains("aria-invalid=\"true\""));
    assert!(again.body.contains("&lt;script&gt;") && !again.body.contains("<script"));
}

#[tokio::test]
async fn a_form_of_another_site_is_refused() {
    let app = app();
    let page = get_at(&app, &auth_path(CALLBACK)).await;
    let mut fields = page.fields();
    fields.retain(|(name, _)| name != "email");
    fields.push(("email".into(), "a@b.co".into()));
    fields.push(("answer".into(), "allow".into()));
    let cookie = page.cookie();
    let site = HeaderName::from_static("sec-fetch-site");
    for headers in [
        vec![],
        vec![(header::COOKIE, "sealog_form=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")],
        vec![(header::COOKIE, cookie.as_str()), (header::ORIGIN, "http://evil.example")],
        vec![(header::COOKIE, cookie.as_str()), (header::ORIGIN, "null")],
        vec![(header::COOKIE, cookie.as_str()), (site.clone(), "cross-site")],
        vec![(header::COOKIE, cookie.as_str()), (site, "same-site")],
    ] {
        let refused = post_form(&app, "/auth/answer", &fields, &headers).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    let good = post_form(&app, "/auth/answer", &fields, &[(header::COOKIE, cookie.as_str())]).await;
    assert!(good.sent_back().contains_key("code"));
    fields.retain(|(name, _)| name != FORM_TOKEN);
    let refused = post_form(&app, "/auth/answer", &fields, &[(header::COOKIE, cookie.as_str())]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_program_may_post_its_request() {
    // Core §3.1.2.1: either method.
    let app = app();
    let path = auth_path(CALLBACK);
    let fields: Vec<(String, String)> =
        url::form_urlencoded::parse(path.split_once('?').unwrap().1.as_bytes()).into_owned().collect();
    let asked = get_at(&app, &path).await;
    let cookie = asked.cookie();
    let held = [(header::COOKIE, cookie.as_str())];
    let page = post_form(&app, "/auth", &fields, &held).await;
    assert_eq!((page.status, page.fields().len()), (StatusCode::OK, asked.fields().len()));
    // A browser that sends no cookie may hold one: it asks again with it, and gets none in its place.
    let page = post_form(&app, "/auth", &fields, &[]).await;
    assert_eq!((page.status, page.header(header::SET_COOKIE)), (StatusCode::SEE_OTHER, ""));
    let again = page.header(header::LOCATION).strip_prefix(URL).unwrap();
    let again = get_at(&app, again).await;
    assert_eq!((again.status, again.fields().len()), (StatusCode::OK, asked.fields().len()));
    let mut answered = fields.clone();
    answered.extend([("email".to_owned(), "a@b.co".to_owned()), ("answer".to_owned(), "allow".to_owned())]);
    let page = post_form(&app, "/auth", &answered, &held).await;
    assert_eq!(
        (page.status, page.header(header::LOCATION)),
        (StatusCode::OK, ""),
        "it answers nothing by itself"
    );
    let twice = [fields.clone(), fields].concat();
    assert_eq!(post_form(&app, "/auth", &twice, &[]).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn refusing_and_mistakes_go_back_to_the_client() {
    let app = app();
    let sent = press(&app, &auth_path(CALLBACK), "/auth/answer", "", "refuse").await.sent_back();
    assert_eq!((sent["error"].as_str(), sent["state"].as_str()), ("access_denied", "a&b"));
    let path = auth_path(CALLBACK).replace("S256", "plain");
    let sent = get_at(&app, &path).await.sent_back();
    assert_eq!(sent["error"], "invalid_request");
    // Nothing goes to an address that is not this machine's.
    let page = get_at(&app, &auth_path("https://evil.example/x")).await;
    assert_eq!((page.status, page.header(header::LOCATION)), (StatusCode::BAD_REQUEST, ""));
}

#[tokio::test]
async fn out_of_band_shows_the_code() {
    let app = app();
    let oob = "urn:ietf:wg:oauth:2.0:oob";
    let page = press(&app, &auth_path(oob), "/auth/answer", "a@b.co", "allow").await;
    assert_eq!(page.status, StatusCode::OK);
    let (_, rest) = page.body.split_once("aria-labelledby=\"code-label\">").unwrap();
    let code = rest.split('<').next().unwrap();
    let mut form = code_form(code);
    form.retain(|(name, _)| *name != "redirect_uri");
    form.push(("redirect_uri", oob.into()));
    assert_eq!(post_form(&app, "/token", &form, &[BASIC]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_device_signs_in_as_cosign_does() {
    let app = app();
    let form = [
        ("client_id", "sigstore"),
        ("scope", "openid email"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let start = post_form(&app, "/device/code", &form, &[(header::USER_AGENT, "a-signer/1.0")]).await.json();
    let poll = [
        ("grant_type", DEVICE_GRANT),
        ("device_code", start["device_code"].as_str().unwrap()),
        ("code_verifier", VERIFIER),
        ("scope", "openid email"),
    ];
    let waiting = post_form(&app, "/token", &poll, &[]).await;
    assert_eq!(waiting.json()["error"], "authorization_pending");
    let page = start["verification_uri_complete"].as_str().unwrap().strip_prefix(URL).unwrap();
    let asked = press(&app, page, "/device", "", "").await;
    for text in [
        "Go on only if you started it yourself",
        "Network address it asked from",
        "a-signer/1.0",
        "2023-11-14 22:13 UTC",
    ] {
        assert!(asked.body.contains(text), "{text}: {}", asked.body);
    }
    let done = press(&app, page, "/device", "a@b.co", "allow").await;
    assert!(done.status == StatusCode::OK && done.body.contains("goes on by itself"), "{}", done.body);
    let body = post_form(&app, "/token", &poll, &[]).await.json();
    assert_eq!(payload(body["id_token"].as_str().unwrap())["email"], "a@b.co");
    let wrong = press(&app, "/device?user_code=BBBB-BBBB", "/device", "a@b.co", "allow").await;
    assert!(wrong.status == StatusCode::BAD_REQUEST && wrong.body.contains("No program is waiting"));
}

#[tokio::test]
async fn both_issuers_are_discovered() {
    let app = app();
    for (prefix, issuer) in [("", URL.to_owned()), ("/ci", format!("{URL}/ci"))] {
        let answer = get_at(&app, &format!("{prefix}/.well-known/openid-configuration")).await;
        assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
        assert_eq!(answer.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "*");
        let found = Discovery::parse(answer.body.as_bytes(), &issuer).unwrap();
        let keys = get_at(&app, found.jwks_uri.strip_prefix(URL).unwrap()).await;
        let keys = Jwks::parse(keys.body.as_bytes()).unwrap();
        assert_eq!((keys.keys().len(), keys.unusable().len()), (1, 0));
    }
    let preflight = HttpRequest::builder().method(Method::OPTIONS).uri("/token").body(Body::empty());
    let preflight = send(&app, preflight.unwrap()).await;
    assert_eq!(preflight.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "*");
}

#[test]
fn tokens_by_hand() {
    let issuer = issuer();
    let ci = format!("{URL}/ci");
    let token = issuer.for_claims(object!({"sub": "repo:o/r", "sha": "a"}), "sigstore", NOW).unwrap();
    let claims = claims_of(&token, &ci);
    assert_eq!((claims.subject(), claims.expires()), ("repo:o/r", NOW + 300));
    let old = issuer.for_claims(object!({"sub": "x", "exp": 5}), "sigstore", NOW).unwrap();
    assert_eq!(payload(&old)["exp"], 5, "what the file says of time counts");
    for bad in [object!([]), object!({}), object!({"sub": ""}), object!({"sub": "x", "email": "a@b.co"})] {
        assert!(issuer.for_claims(bad.clone(), "sigstore", NOW).is_err(), "{bad}");
    }
    let token = issuer.for_address("a@b.co", "other", NOW).unwrap();
    assert_eq!(payload(&token)["aud"], "other");
}

#[tokio::test]
async fn proxies_are_believed_where_they_are_known() {
    let provider = |proxies: &[&str]| {
        let dir = tempfile::tempdir().unwrap().keep();
        let store = Store::open(&dir).unwrap();
        let clock = Clock::system();
        let config: Config = toml::from_str(&format!("listen = 'localhost:0'\nurl = '{URL}'")).unwrap();
        Provider {
            issuer: issuer(),
            grants: Grants::new(store.clone(), limits::Limits::new(store.clone())),
            limits: limits::Limits::new(store.clone()),
            proofs: None,
            passkeys: None,
            upstreams: Upstreams::new(&config, store.clone(), clock.clone()).unwrap(),
            store,
            clock,
            config: Checked {
                believes_anyone: true,
                domains: Vec::new(),
                trusted_proxies: proxies.iter().map(|text| text.parse().unwrap()).collect(),
            },
            url: URL.to_owned(),
            secure: false,
        }
    };
    let of = |proxies: &[&str], peer: &str, said: &[&str]| {
        let mut request = HttpRequest::get("/").body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer(peer.parse().unwrap()));
        for one in said {
            request.headers_mut().append("x-forwarded-for", one.parse().unwrap());
        }
        address_of(&provider(proxies), &request).to_string()
    };
    assert_eq!(of(&[], "192.0.2.1", &["198.51.100.7"]), "192.0.2.1", "anybody can say so");
    assert_eq!(of(&["192.0.2.1"], "192.0.2.1", &["198.51.100.7"]), "198.51.100.7");
    assert_eq!(of(&["192.0.2.1"], "::ffff:192.0.2.1", &["198.51.100.7"]), "198.51.100.7");
    let two = ["192.0.2.1", "192.0.2.2"];
    assert_eq!(
        of(&two, "192.0.2.1", &["203.0.113.9, 198.51.100.7", "192.0.2.2"]),
        "198.51.100.7",
        "what a caller adds"
    );
    assert_eq!(of(&two, "192.0.2.1", &["nonsense", "192.0.2.2"]), "192.0.2.2");
    assert_eq!(of(&two, "192.0.2.1", &[]), "192.0.2.1");
    assert_eq!(of(&two, "192.0.2.1", &["198.51.100.7:4711"]), "198.51.100.7");
    assert_eq!(of(&two, "192.0.2.1", &["[2001:db8::7]:4711", "192.0.2.2:80"]), "2001:db8::7");
}
