//! Everything running in this process, on ports of its own, with an issuer that signs whatever a test asks.

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sealog_crypto::{KeyKind, PrivateKey, Signer as _};
use sealog_identity::{Algorithm, jwk};
use sealog_server::{
    clock::Clock,
    config::{Config, Listen},
    listen::Bound,
    run::{Running, Sockets},
    setup,
};
use sealog_testkit::Reserved;
use serde_json::{Value, json};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
};
use std::time::{Duration, Instant};

/// A running instance.
pub(crate) struct Sealog {
    pub(crate) issuer: Issuer,
    pub(crate) dir: tempfile::TempDir,
    running: Option<Running>,
    admin: u16,
    /// Of all of them, to come back to.
    _ports: Vec<Reserved>,
    time: Arc<Time>,
    pub(crate) client: reqwest::Client,
}

/// What time it is for the services.
#[derive(Default)]
struct Time {
    /// How much later than for everyone else.
    later_ms: AtomicU64,
    /// When it stopped, if it did.
    stopped_ms: AtomicU64,
}

impl Time {
    fn clock(self: &Arc<Self>) -> Clock {
        let this = Arc::clone(self);
        Clock::of(move || {
            let now = match this.stopped_ms.load(SeqCst) {
                0 => Clock::system().unix_ms(),
                stopped => stopped,
            };
            now + this.later_ms.load(SeqCst)
        })
    }
}

impl Sealog {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more settings for the log of signatures.
    pub(crate) async fn start_with(rekor: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), "", rekor).await
    }

    /// With one issuer more, under the tests' own.
    pub(crate) async fn start_with_issuer(name: &str, rule: &str) -> Self {
        let issuer = |text: String| {
            let (_, behind) = text.split_once("[[ca.issuers]]\nissuer = \"").unwrap();
            let (url, _) = behind.split_once('"').unwrap();
            format!("{text}\n[[ca.issuers]]\nissuer = \"{url}/{name}\"\n{rule}\n")
        };
        Self::start_prepared(tempfile::tempdir().unwrap(), "", "", |path| {
            std::fs::write(path, issuer(std::fs::read_to_string(path).unwrap())).unwrap();
        })
        .await
    }

    /// In a directory of the test's, with more settings at the top and for the log of signatures.
    pub(crate) async fn start_in(dir: tempfile::TempDir, top: &str, rekor: &str) -> Self {
        Self::start_prepared(dir, top, rekor, |_| ()).await
    }

    /// The same, and something to be done with the configuration's file before `init`.
    pub(crate) async fn start_prepared(
        dir: tempfile::TempDir,
        top: &str,
        rekor: &str,
        prepare: impl FnOnce(&std::path::Path),
    ) -> Self {
        let issuer = Issuer::start("").await;
        let (mut sockets, mut ports) = (Sockets::new(), Vec::new());
        for name in ["ca", "rekor", "ctlog", "tsa", "admin"] {
            let port = Reserved::new();
            sockets.insert(name, Bound::bind(Listen::Localhost(port.port())).unwrap());
            ports.push(port);
        }
        let admin = sockets["admin"].port();
        let path = dir.path().join("sealog.toml");
        std::fs::write(&path, configuration(&sockets, &issuer, top, rekor)).unwrap();
        prepare(&path);
        let config = Config::load(&path).unwrap();
        setup::init(&config, Clock::system()).unwrap();
        let time = Arc::<Time>::default();
        let running = Running::start(&config, time.clock(), sockets).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { issuer, dir, running: Some(running), admin, _ports: ports, time, client }
    }

    /// Some time goes by for the services.
    pub(crate) fn wait(&self, time: Duration) {
        self.time.later_ms.fetch_add(u64::try_from(time.as_millis()).unwrap(), SeqCst);
    }

    /// The services' clock is right again.
    pub(crate) fn correct_clock(&self) {
        self.time.later_ms.store(0, SeqCst);
    }

    /// From now on no time goes by for the services but what they [wait](Self::wait): nothing depends on how fast we are.
    /// Says what time it is for them, in seconds.
    pub(crate) fn stop_clock(&self) -> i64 {
        self.time.stopped_ms.store(Clock::system().unix_ms(), SeqCst);
        self.time.clock().unix_seconds()
    }

    pub(crate) fn url(&self, service: &str) -> String {
        self.running.as_ref().unwrap().ready().services[service].to_string()
    }

    pub(crate) async fn post(&self, service: &str, path: &str, body: impl Into<String>) -> Answer {
        let url = format!("{}{path}", self.url(service));
        let request = self.client.post(url).header("content-type", "application/json").body(body.into());
        Answer::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, service: &str, path: &str) -> Answer {
        Answer::of(self.client.get(format!("{}{path}", self.url(service))).send().await.unwrap()).await
    }

    /// A counter, as the operator's monitoring reads it.
    pub(crate) async fn count(&self, name: &str) -> u64 {
        let url = format!("http://localhost:{}/metrics", self.admin);
        let text = self.client.get(url).send().await.unwrap().text().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
    }

    /// Stops, and starts again from what is on disk, on the same ports.
    pub(crate) async fn restart(&mut self) {
        let ports: Vec<(&'static str, u16)> = self
            .running
            .as_ref()
            .unwrap()
            .ready()
            .services
            .iter()
            .map(|(name, url)| (*name, url.authority().rsplit(':').next().unwrap().parse().unwrap()))
            .collect();
        self.running.take().unwrap().stop().await;
        let mut sockets = Sockets::new();
        for (name, port) in ports {
            sockets.insert(name, bound_again(port).await);
        }
        let config = Config::load(&self.dir.path().join("sealog.toml")).unwrap();
        self.running = Some(Running::start(&config, self.time.clock(), sockets).await.unwrap());
    }

    pub(crate) fn client_dir(&self) -> std::path::PathBuf {
        self.dir.path().join("client")
    }
}

/// A port that was listened on: programs that other tests start may hold our sockets for a moment before they begin.
pub(crate) async fn bound_again(port: u16) -> Bound {
    let begun = Instant::now();
    loop {
        match Bound::bind(Listen::Localhost(port)) {
            Err(error)
                if error.source.kind() == std::io::ErrorKind::AddrInUse
                    && begun.elapsed() < Duration::from_secs(10) =>
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            bound => return bound.unwrap(),
        }
    }
}

fn configuration(sockets: &Sockets, issuer: &Issuer, top: &str, rekor: &str) -> String {
    let mut text = String::from(
        "data_dir = \"data\"\nkeys_dir = \"keys\"\nclient_dir = \"client\"\nplain_keys = true\norganization = \"tests\"\n",
    );
    text.push_str(top);
    for (name, bound) in sockets {
        let port = bound.port();
        text.push_str(&format!("\n[{name}]\nlisten = \"localhost:{port}\"\n"));
        if *name != "admin" {
            text.push_str(&format!("url = \"http://localhost:{port}\"\n"));
        }
        if *name == "rekor" {
            text.push_str(rekor);
        }
        if *name == "ca" {
            let url = &issuer.url;
            text.push_str(&format!(
                "\n[[ca.issuers]]\nissuer = \"{url}\"\ntype = \"email\"\n\
                 \n[[ca.issuers]]\nissuer = \"{url}/ci\"\ntype = \"ci-provider\"\npreset = \"github-actions\"\n"
            ));
        }
    }
    text
}

/// An answer, whole.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) cache: String,
    pub(crate) retry_after: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    async fn of(response: reqwest::Response) -> Self {
        let text = |name: &str| {
            let value = response.headers().get(name);
            value.map(|v| v.to_str().unwrap().to_owned()).unwrap_or_default()
        };
        let (content_type, cache) = (text("content-type"), text("cache-control"));
        let retry_after = text("retry-after");
        Self {
            status: response.status().as_u16(),
            content_type,
            cache,
            retry_after,
            body: response.bytes().await.unwrap().to_vec(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// An error in the protocol's form, with this status and a message that begins so.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: u64, message: &str) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.content_type, "application/json");
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["details"], json!([]));
        let found = body["message"].as_str().unwrap();
        assert!(found.starts_with(message), "expected {message:?}, found {found:?}");
    }
}

/// An OpenID issuer that signs what it is told, for itself and for every path under it.
pub(crate) struct Issuer {
    pub(crate) url: String,
    key: PrivateKey,
    public: Arc<Public>,
}

/// Its side that the world sees.
struct Public {
    keys: Mutex<Value>,
    down: AtomicBool,
    slow: AtomicBool,
    asked: AtomicUsize,
}

const KEY_ID: &str = "one";
const DISCOVERY: &str = "/.well-known/openid-configuration";

impl Public {
    async fn answer(&self, base: &str, path: &str) -> Response {
        self.asked.fetch_add(1, SeqCst);
        while self.slow.load(SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if self.down.load(SeqCst) {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let said = match path.strip_suffix(DISCOVERY) {
            Some(name) => json!({
                "issuer": format!("{base}{name}"), "jwks_uri": format!("{base}{name}/keys"),
                "id_token_signing_alg_values_supported": ["ES256"],
            }),
            None if path.ends_with("/keys") => json!({ "keys": *self.keys.lock().unwrap() }),
            None => return StatusCode::NOT_FOUND.into_response(),
        };
        ([(header::CONTENT_TYPE, "application/json")], said.to_string()).into_response()
    }
}

impl Issuer {
    pub(crate) async fn start(path: &str) -> Self {
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let url = format!("{base}{path}");
        let public = Arc::new(Public {
            keys: Mutex::new(json!([published(&key, Some(KEY_ID))])),
            down: AtomicBool::new(false),
            slow: AtomicBool::new(false),
            asked: AtomicUsize::new(0),
        });
        let answering = Arc::clone(&public);
        let router = Router::new()
            .fallback(async move |request: Request| answering.answer(&base, request.uri().path()).await);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, key, public }
    }

    /// How often anybody asked it for anything.
    pub(crate) fn asked(&self) -> usize {
        self.public.asked.load(SeqCst)
    }

    /// Signs with a new key from now on, and publishes that alone, under this name if it has one.
    pub(crate) fn rotate(&mut self, key_id: Option<&str>) {
        self.key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        self.publish(json!([published(&self.key, key_id)]));
    }

    /// Publishes these keys, and gives back the others.
    pub(crate) fn publish(&self, keys: Value) -> Value {
        std::mem::replace(&mut *self.public.keys.lock().unwrap(), keys)
    }

    pub(crate) fn is_down(&self, down: bool) {
        self.public.down.store(down, SeqCst);
    }

    /// While it is slow, nobody gets an answer.
    pub(crate) fn is_slow(&self, slow: bool) {
        self.public.slow.store(slow, SeqCst);
    }

    /// Signs these claims as they are.
    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&json!({ "alg": "ES256", "typ": "JWT", "kid": KEY_ID }), claims)
    }

    pub(crate) fn sign_with(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", part(header), part(claims));
        let der = self.key.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(raw_signature(&der)))
    }

    /// A good token about an address.
    pub(crate) fn email(&self, address: &str) -> String {
        self.sign(&self.email_claims(address))
    }

    pub(crate) fn email_claims(&self, address: &str) -> Value {
        let now = Clock::system().unix_seconds();
        json!({
            "iss": self.url, "sub": "subject-1", "aud": "sigstore", "iat": now, "exp": now + 60,
            "email": address, "email_verified": true,
        })
    }

    pub(crate) fn ci_claims(&self) -> Value {
        let now = Clock::system().unix_seconds();
        json!({
            "iss": format!("{}/ci", self.url), "aud": "sigstore", "iat": now, "nbf": now, "exp": now + 60,
            "sub": "repo:octo/demo:ref:refs/heads/main",
            "event_name": "push", "sha": "0123456789012345678901234567890123456789", "workflow": "release",
            "repository": "octo/demo", "ref": "refs/heads/main",
            "job_workflow_ref": "octo/demo/.github/workflows/release.yml@refs/heads/main",
            "job_workflow_sha": "0123456789012345678901234567890123456789",
            "runner_environment": "github-hosted", "repository_id": "1", "repository_owner": "octo",
            "repository_owner_id": "2", "repository_visibility": "public",
            "workflow_ref": "octo/demo/.github/workflows/release.yml@refs/heads/main",
            "workflow_sha": "0123456789012345678901234567890123456789", "run_id": "77", "run_attempt": "1",
        })
    }
}

/// A key as an issuer publishes it.
fn published(key: &PrivateKey, key_id: Option<&str>) -> Value {
    let mut jwk = jwk::encode(key.public_key(), key_id.unwrap_or_default(), Algorithm::Es256).unwrap();
    if key_id.is_none() {
        jwk.as_object_mut().unwrap().remove("kid");
    }
    jwk
}

pub(crate) fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// r ‖ s of a P-256 signature in DER, as JWS has it.
fn raw_signature(der: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = &der[2..];
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        let number = &number[number.len().saturating_sub(32)..];
        out.extend(std::iter::repeat_n(0, 32 - number.len()));
        out.extend_from_slice(number);
        rest = &rest[2 + length..];
    }
    out
}
