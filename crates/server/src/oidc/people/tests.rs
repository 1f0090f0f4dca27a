//! People who prove an address by mail, or come from another provider: whole ways through the pages, and what must not work.

use super::*;
use crate::{
    clock::Clock,
    http::Peer,
    oidc::{
        Checked, api, config::Config, grants::Grants, keys::SigningKeys, limits::Limits, mail::Post,
        passkey::Passkeys, proof::Proofs, store::Store, token::Issuer, upstream::Upstreams,
    },
};
use axum::body::Body;
use http_body_util::BodyExt as _;
use sealog_crypto::{KeyKind, PrivateKey};
use std::sync::{
    LazyLock, Mutex,
    atomic::{AtomicU64, Ordering::SeqCst},
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tower::ServiceExt as _;

mod passkeys;
mod terminal;
mod upstreams;

const NOW_MS: u64 = 1_700_000_000_000;
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const CALLBACK: &str = "http://localhost:4711/auth/callback";

static KEY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    PrivateKey::generate(KeyKind::Rsa { bits: 2048 }).unwrap().to_pkcs8_der().unwrap().to_vec()
});

/// Letters as the mail server got them.
type Mailbox = Arc<Mutex<Vec<String>>>;

/// A mail server that takes everything, without TLS.
async fn mail_server() -> (u16, Mailbox) {
    let mailbox = Mailbox::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let letters = Arc::clone(&mailbox);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let letters = Arc::clone(&letters);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                stream.write_all(b"220 here\r\n").await.unwrap();
                let (mut letter, mut in_data) = (String::new(), false);
                let mut line = String::new();
                while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
                    if in_data && line != ".\r\n" {
                        letter.push_str(&line);
                    } else {
                        let answer: &[u8] = match line.get(..4).unwrap_or_default() {
                            "DATA" => b"354 go on\r\n",
                            _ => b"250 fine\r\n",
                        };
                        if in_data {
                            letters.lock().unwrap().push(std::mem::take(&mut letter));
                        }
                        in_data = line.starts_with("DATA");
                        stream.write_all(answer).await.unwrap();
                    }
                    line.clear();
                }
            });
        }
    });
    (port, mailbox)
}

/// A provider, its clock, and the letters it sent.
struct World {
    app: Router,
    now_ms: Arc<AtomicU64>,
    mailbox: Mailbox,
    url: String,
    _dir: tempfile::TempDir,
}

impl World {
    /// A provider with these settings; `MAIL` stands for its mail server's port. It listens, so that others can ask it.
    async fn new(settings: &str) -> Self {
        let (port, mailbox) = mail_server().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        let text =
            format!("listen = 'localhost:0'\nurl = '{url}'\n{}", settings.replace("MAIL", &port.to_string()));
        let config: Config = toml::from_str(&text).unwrap();
        config.check().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let limits = Limits::new(store.clone());
        let now_ms = Arc::new(AtomicU64::new(NOW_MS));
        let time = Arc::clone(&now_ms);
        let clock = Clock::of(move || time.load(SeqCst));
        let proofs = config.mail.as_ref().map(|mail| Proofs {
            store: store.clone(),
            limits: limits.clone(),
            mails_to_domain: mail.mails_to_domain,
            post: Post::start(mail, &url, "localhost").unwrap(),
            issuer: url.clone(),
        });
        let days = config.mail.as_ref().map_or(0, |mail| mail.passkey_days);
        let passkeys = (days > 0).then(|| Passkeys {
            store: store.clone(),
            days,
            origin: url.clone(),
            host: "localhost".to_owned(),
        });
        let provider = Provider {
            passkeys,
            issuer: Issuer::new(&url, SigningKeys::of(&KEY)),
            grants: Grants::new(store.clone(), limits.clone()),
            limits,
            proofs,
            upstreams: Upstreams::new(&config, store.clone(), clock.clone()).unwrap(),
            store,
            clock,
            config: Checked {
                believes_anyone: config.believes_anyone(),
                domains: config.domains.clone(),
                trusted_proxies: Vec::new(),
            },
            url: url.clone(),
            secure: false,
        };
        let app = api::router(Arc::new(provider));
        let served = app.clone();
        tokio::spawn(async move { axum::serve(listener, served).await.unwrap() });
        Self { app, now_ms, mailbox, url, _dir: dir }
    }

    async fn with_mail() -> Self {
        Self::new(MAIL).await
    }

    fn wait(&self, ms: u64) {
        self.now_ms.fetch_add(ms, SeqCst);
    }

    /// The code in the newest letter, once there are so many.
    async fn code(&self, letters: usize) -> String {
        for _ in 0..3000 {
            if let Some(letter) = self.mailbox.lock().unwrap().get(letters - 1) {
                let line = letter.lines().skip_while(|line| *line != "Your code is").nth(2).unwrap();
                return line.trim().to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("no letter");
    }

    fn letters(&self) -> usize {
        self.mailbox.lock().unwrap().len()
    }
}

const MAIL: &str =
    "[mail]\nfrom = 'Sealog <id@example.org>'\nserver = 'localhost:MAIL'\ntls = 'plain-unsafe'\n";

/// Somebody's browser: a cookie, and the address it comes from.
struct Browser<'a> {
    world: &'a World,
    cookie: Mutex<Option<String>>,
    from: IpAddr,
}

struct Page {
    status: StatusCode,
    location: String,
    policy: String,
    body: String,
}

impl Page {
    fn fields(&self) -> Vec<(String, String)> {
        let attribute = |tag: &str, name: &str| {
            let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
            Some(rest.split('"').next()?.replace("&amp;", "&"))
        };
        let tags = self.body.split("<input").skip(1).map(|rest| rest.split('>').next().unwrap());
        // Browsers send those alone that somebody checked.
        let tags = tags.filter(|tag| !tag.contains("type=\"checkbox\"") || tag.contains(" checked"));
        tags.filter_map(|tag| Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default())))
            .collect()
    }

    fn action(&self) -> String {
        self.body.split("action=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    }

    /// Where the page leads by itself.
    fn leads_to(&self) -> String {
        self.body.split("; url=").nth(1).unwrap().split('"').next().unwrap().replace("&amp;", "&")
    }

    fn sent_back(&self) -> std::collections::HashMap<String, String> {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.body);
        assert!(self.location.starts_with(CALLBACK), "{}", self.location);
        url::Url::parse(&self.location).unwrap().query_pairs().into_owned().collect()
    }
}

impl<'a> Browser<'a> {
    fn new(world: &'a World) -> Self {
        Self::from(world, "192.0.2.1")
    }

    fn from(world: &'a World, address: &str) -> Self {
        Self { world, cookie: Mutex::new(None), from: address.parse().unwrap() }
    }

    async fn send(&self, mut request: Request) -> Page {
        if let Some(cookie) = &*self.cookie.lock().unwrap() {
            request.headers_mut().insert(header::COOKIE, cookie.parse().unwrap());
        }
        request.extensions_mut().insert(Peer(self.from));
        let response = self.world.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = |name| parts.headers.get(name).map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default();
        if let Some(cookie) = parts.headers.get(header::SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
            *self.cookie.lock().unwrap() = Some(pair);
        }
        Page {
            status: parts.status,
            location: text(header::LOCATION),
            policy: text(header::CONTENT_SECURITY_POLICY),
            body: String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap(),
        }
    }

    async fn open(&self, path: &str) -> Page {
        let path = path.strip_prefix(&self.world.url).unwrap_or(path);
        self.send(http::Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// Fills a page's form and presses a button.
    async fn press(&self, page: &Page, typed: &[(&str, &str)]) -> Page {
        let mut fields = page.fields();
        fields.retain(|(name, _)| !typed.iter().any(|(typed, _)| typed == name));
        fields.extend(typed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
        let request = http::Request::post(page.action())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ORIGIN, &self.world.url);
        self.send(request.body(Body::from(form)).unwrap()).await
    }

    /// To the page that asks for the code in the mailbox.
    async fn mailed(&self, address: &str) -> Page {
        let page = self.open(&auth_path("")).await;
        self.press(&page, &[("email", address), ("answer", "mail")]).await
    }

    async fn typed(&self, page: &Page, code: &str) -> Page {
        self.press(page, &[("code", code), ("answer", "allow")]).await
    }

    /// The claims of the token that a code is exchanged for.
    async fn claims(&self, code: &str) -> serde_json::Value {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request =
            http::Request::post("/token").header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = self.send(request.body(Body::from(form)).unwrap()).await;
        let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let payload = answer["id_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    }
}

fn auth_path(more: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("client_id", "sigstore"),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "openid email"),
            ("state", "st"),
            ("nonce", "no"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ])
        .finish();
    format!("/auth?{query}{more}")
}

#[tokio::test]
async fn an_address_is_proven_by_what_was_sent_there() {
    let world = World::with_mail().await;
    let browser = Browser::new(&world);
    let page = browser.open(&auth_path(&format!("&dpop_jkt={CHALLENGE}"))).await;
    assert!(!page.body.contains("believes anyone") && page.body.contains("Send me a code"), "{}", page.body);
    let allowed = browser.press(&page, &[("email", "jane@example.org"), ("answer", "allow")]).await;
    assert!(allowed.location.is_empty(), "nobody is believed for saying so");
    let page = browser.press(&page, &[("email", " Jane@Example.ORG "), ("answer", "mail")]).await;
    assert!(
        page.status == StatusCode::OK && page.body.contains("<strong>Jane@example.org</strong>"),
        "{}",
        page.body
    );
    assert!(page.policy.contains("form-action 'self' http://localhost:4711;"), "{}", page.policy);
    let code = world.code(1).await;
    let letter = world.mailbox.lock().unwrap()[0].clone();
    for wanted in [
        "To: Jane@example.org\r\n",
        "From: Sealog <id@example.org>\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "192.0.2.1",
        "2023-11-14 22:13 UTC",
    ] {
        assert!(letter.contains(wanted), "{wanted}: {letter}");
    }
    assert!(!page.body.contains(&code) && !page.body.contains(&code.replace(' ', "")));
    let sent = browser.typed(&page, &format!(" {code}\n")).await.sent_back();
    assert_eq!(sent["state"], "st");
    let claims = browser.claims(&sent["code"]).await;
    assert_eq!((claims["email"].as_str(), claims["nonce"].as_str()), (Some("Jane@example.org"), Some("no")));
    assert_eq!(claims["federated_claims"]["connector_id"], world.url.as_str());
    assert_eq!(claims["cnf"]["jkt"], CHALLENGE);
    let again = browser.typed(&page, &code).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST, "once");
}

#[tokio::test]
async fn a_code_belongs_to_the_session_that_asked_for_it() {
    let world = World::with_mail().await;
    let (jane, eve) = (Browser::new(&world), Browser::from(&world, "192.0.2.2"));
    let janes = jane.mailed("jane@example.org").await;
    let first = world.code(1).await;
    // Eve asks for Jane's address herself, and has Jane read the code of another letter to her.
    let eves = eve.mailed("jane@example.org").await;
    world.code(2).await;
    let stolen = eve.typed(&eves, &first).await;
    assert_eq!((stolen.status, stolen.location.as_str()), (StatusCode::BAD_REQUEST, ""));
    // Nor do two sessions of one browser share a code.
    let second = jane.mailed("jane@example.org").await;
    world.code(3).await;
    assert_eq!(jane.typed(&second, &first).await.status, StatusCode::BAD_REQUEST);
    assert!(jane.typed(&janes, &first).await.sent_back().contains_key("code"), "it was not used up by that");
}

#[tokio::test]
async fn another_sites_form_ends_no_sign_in() {
    let world = World::with_mail().await;
    let jane = Browser::new(&world);
    let page = jane.mailed("jane@example.org").await;
    let code = world.code(1).await;
    // Her browser is made to send a form from elsewhere, without the cookie, and keeps whatever it is given.
    let held = jane.cookie.lock().unwrap().take();
    let path = auth_path("");
    let form = path.split_once('?').unwrap().1.to_owned();
    let foreign = http::Request::post("/auth")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ORIGIN, "https://evil.example");
    let answer = jane.send(foreign.body(Body::from(form)).unwrap()).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let given = jane.cookie.lock().unwrap().take();
    *jane.cookie.lock().unwrap() = given.or(held);
    assert!(jane.open(&answer.location).await.body.contains("Send me a code"));
    assert!(jane.typed(&page, &code).await.sent_back().contains_key("code"));
}

#[tokio::test]
async fn a_device_is_shown_with_its_name_and_address() {
    let world = World::with_mail().await;
    let (device, person) = (Browser::from(&world, "203.0.113.9"), Browser::new(&world));
    let form = "client_id=sigstore&scope=openid+email&code_challenge_method=S256&code_challenge=";
    let asked = http::Request::post("/device/code")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::USER_AGENT, "<script>alert(1)</script>");
    let answer = device.send(asked.body(Body::from(format!("{form}{CHALLENGE}"))).unwrap()).await;
    let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    let page = person.open(answer["verification_uri_complete"].as_str().unwrap()).await;
    let page = person.press(&page, &[]).await;
    for shown in ["203.0.113.9", "&lt;script&gt;alert(1)", "only if you started it yourself"] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    assert!(!page.body.contains("<script>alert"), "{}", page.body);
    let page = person.press(&page, &[("email", "jane@example.org"), ("answer", "mail")]).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    world.code(1).await;
    let letter = world.mailbox.lock().unwrap()[0].clone();
    assert!(letter.contains("203.0.113.9"), "whoever reads it sees who asks: {letter}");
}

#[tokio::test]
async fn a_code_is_for_five_tries_ten_minutes_and_one_browser() {
    let world = World::with_mail().await;
    let (browser, other) = (Browser::new(&world), Browser::from(&world, "192.0.2.2"));
    let page = browser.mailed("jane@example.org").await;
    let code = world.code(1).await;
    let wrong = if code.starts_with('0') { "1111 1111" } else { "0000 0000" };

    // Forwarded to, or phished by, somebody else: their browser is another.
    other.open(&auth_path("")).await;
    let token = other.cookie.lock().unwrap().clone().unwrap().split_once('=').unwrap().1.to_owned();
    let stolen = other.press(&page, &[("form_token", &token), ("code", &code), ("answer", "allow")]).await;
    assert_eq!((stolen.status, stolen.location.as_str()), (StatusCode::BAD_REQUEST, ""));

    for left in [4, 3, 2, 1] {
        let answer = browser.typed(&page, wrong).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let words = if left == 1 { "one more try".to_owned() } else { format!("{left} more tries") };
        assert!(answer.body.contains(&words) && answer.body.contains("role=\"alert\""), "{}", answer.body);
    }
    assert!(browser.typed(&page, wrong).await.body.contains("has ended already"));
    assert!(browser.typed(&page, &code).await.location.is_empty(), "the right one comes too late");

    let page = browser.mailed("jane@example.org").await;
    let code = world.code(2).await;
    world.wait(super::super::proof::LIFE_MS);
    assert!(browser.typed(&page, &code).await.location.is_empty(), "ten minutes");

    let page = browser.mailed("jane@example.org").await;
    let code = world.code(3).await;
    let refused = browser.press(&page, &[("answer", "refuse")]).await.sent_back();
    assert_eq!(refused["error"], "access_denied");
    assert!(browser.typed(&page, &code).await.location.is_empty(), "refused");
}

#[tokio::test]
async fn limits_tell_nothing_of_an_address() {
    let world = World::with_mail().await;
    let shown = |page: &Page, address: &str| {
        let session: Vec<_> =
            page.fields().into_iter().map(|(_, value)| value).filter(|v| v.len() == 43).collect();
        let hidden = session.iter().fold(page.body.clone(), |body, secret| body.replace(secret, "SECRET"));
        (page.status, hidden.replace(address, "ADDRESS"))
    };
    let first = Browser::new(&world).mailed("often@example.org").await;
    for number in 0..10 {
        Browser::from(&world, &format!("198.51.100.{number}")).mailed("often@example.org").await;
    }
    // Ten went out, the eleventh did not; nobody can tell, nor whether an address was ever here.
    let eleventh = Browser::from(&world, "203.0.113.1").mailed("often@example.org").await;
    let never = Browser::from(&world, "203.0.113.2").mailed("never@example.org").await;
    assert_eq!(shown(&eleventh, "often@example.org"), shown(&never, "never@example.org"));
    assert_eq!(shown(&first, "often@example.org"), shown(&never, "never@example.org"));
    world.code(11).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(world.letters(), 11);

    let busy = Browser::from(&world, "203.0.113.3");
    for number in 0..20 {
        assert_eq!(busy.mailed(&format!("a{number}@example.org")).await.status, StatusCode::OK);
    }
    let refused = busy.mailed("a20@example.org").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.body.contains("from your network"), "{}", refused.body);
}

#[tokio::test]
async fn what_was_typed_begins_no_header() {
    let world = World::with_mail().await;
    let browser = Browser::new(&world);
    for evil in [
        "jane@example.org\r\nBcc: eve@example.net",
        "jane@example.org%0d%0aBcc: eve@example.net",
        "jane@example.org, eve@example.net",
        "\"jane\\\r\n\"@example.org",
        "jane@example.org\0",
        "<jane@example.org>",
    ] {
        let page = browser.mailed(evil).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{evil:?}");
        assert!(page.body.contains("aria-invalid=\"true\""));
    }
    let page = browser.mailed("j\u{e4}ne@example.org").await;
    assert!(page.body.contains("only plain letters"), "{}", page.body);
    let page = browser.mailed("jane@\u{430}pple.com").await;
    assert!(
        page.body.contains("jane@xn--pple-43d.com") && page.body.contains("may look like another"),
        "{}",
        page.body
    );
    world.code(1).await;
    assert_eq!(world.letters(), 1);
}

#[tokio::test]
async fn only_some_domains_where_it_says_so() {
    let world = World::new(&format!("domains = ['example.org']\n{MAIL}")).await;
    let browser = Browser::new(&world);
    for elsewhere in ["jane@example.net", "jane@sub.example.org", "jane@example.org.evil.example"] {
        let page = browser.mailed(elsewhere).await;
        assert!(
            page.status == StatusCode::BAD_REQUEST && page.body.contains("Only addresses of"),
            "{elsewhere}"
        );
    }
    assert_eq!(browser.mailed("jane@EXAMPLE.org").await.status, StatusCode::OK);
}
