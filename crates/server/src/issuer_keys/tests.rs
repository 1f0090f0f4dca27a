use super::*;
use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};
use sealog_crypto::{KeyKind, PrivateKey, Signer as _};
use sealog_identity::{Algorithm, jwk};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};

/// An issuer whose keys, health and manners a test can change.
#[derive(Default)]
struct Issuer {
    asked: AtomicUsize,
    /// How many keys it has.
    keys: AtomicUsize,
    broken: AtomicBool,
    /// Where it says its keys are, if not where they are.
    keys_at: Mutex<Option<String>>,
    /// Who it says it is, if not who it is.
    names: Mutex<Option<String>>,
    redirect: AtomicBool,
    /// The authorizations that came with requests for the document.
    bearers: Mutex<Vec<String>>,
    /// While closed, nobody gets an answer.
    slow: AtomicBool,
}

struct World {
    issuer: Arc<Issuer>,
    url: String,
    now_ms: Arc<AtomicU64>,
    cache: KeyCache,
}

impl World {
    async fn new() -> Self {
        let issuer = Arc::new(Issuer::default());
        issuer.keys.store(1, SeqCst);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (first, second, own) = (Arc::clone(&issuer), Arc::clone(&issuer), url.clone());
        let router = Router::new()
            .route(
                "/.well-known/openid-configuration",
                get(async move |headers| first.seen(&headers).slowly(&own).await),
            )
            .route("/keys", get(async move || second.key_set()));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let now_ms = Arc::new(AtomicU64::new(1_000_000));
        let clock = Arc::clone(&now_ms);
        let cache = KeyCache::new(Clock::of(move || clock.load(SeqCst)));
        Self { issuer, url, now_ms, cache }
    }

    fn wait(&self, ms: u64) {
        self.now_ms.fetch_add(ms, SeqCst);
    }

    fn asked(&self) -> usize {
        self.issuer.asked.load(SeqCst)
    }
}

impl Issuer {
    fn seen(&self, headers: &http::HeaderMap) -> &Self {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        self.bearers.lock().unwrap().extend(bearer.map(str::to_owned));
        self
    }

    async fn slowly(&self, own: &str) -> Response {
        let answer = self.document(own);
        while self.slow.load(SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        answer
    }

    fn document(&self, own: &str) -> Response {
        self.asked.fetch_add(1, SeqCst);
        if self.broken.load(SeqCst) {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        if self.redirect.load(SeqCst) {
            let to = [(header::LOCATION, "http://127.0.0.2:1/.well-known/openid-configuration")];
            return (StatusCode::FOUND, to).into_response();
        }
        let keys_at = self.keys_at.lock().unwrap().clone().unwrap_or(format!("{own}/keys"));
        let name = self.names.lock().unwrap().clone().unwrap_or(own.to_owned());
        serde_json::json!({ "issuer": name, "jwks_uri": keys_at }).to_string().into_response()
    }

    fn key_set(&self) -> Response {
        let key = PrivateKey::generate(KeyKind::Rsa { bits: 2048 }).unwrap();
        let keys: Vec<_> = (0..self.keys.load(SeqCst))
            .map(|n| jwk::encode(key.public_key(), &format!("key-{n}"), Algorithm::Rs256).unwrap())
            .collect();
        serde_json::json!({ "keys": keys }).to_string().into_response()
    }
}

#[tokio::test]
async fn keys_are_kept_and_fetched_anew_but_not_at_will() {
    let world = World::new().await;
    let first = world.cache.of(&world.url, &Asking::default()).await.unwrap();
    world.cache.of(&world.url, &Asking::default()).await.unwrap();
    assert_eq!((first.keys.keys().len(), world.asked()), (1, 1));
    // A token names a key we do not know: the issuer is asked, but not every time anyone wishes.
    world.issuer.keys.store(2, SeqCst);
    for _ in 0..10 {
        assert_eq!(
            world.cache.newer(&world.url, &Asking::default(), &first).await.unwrap().keys.keys().len(),
            1
        );
    }
    assert_eq!(world.asked(), 1);
    world.wait(MIN_INTERVAL_MS);
    let second = world.cache.newer(&world.url, &Asking::default(), &first).await.unwrap();
    assert_eq!((second.keys.keys().len(), world.asked()), (2, 2));
    // Whoever asks about the old set is given the new one.
    world.cache.newer(&world.url, &Asking::default(), &first).await.unwrap();
    assert_eq!(world.asked(), 2);
    world.wait(FRESH_MS);
    world.cache.of(&world.url, &Asking::default()).await.unwrap();
    assert_eq!(world.asked(), 3);
}

#[tokio::test]
async fn an_issuer_that_is_down_is_believed_for_a_day_and_not_flooded() {
    let world = World::new().await;
    world.cache.of(&world.url, &Asking::default()).await.unwrap();
    world.issuer.broken.store(true, SeqCst);
    world.wait(FRESH_MS);
    for _ in 0..10 {
        world.cache.of(&world.url, &Asking::default()).await.unwrap();
    }
    assert_eq!(world.asked(), 2);
    world.wait(STALE_MS);
    for _ in 0..10 {
        let error = world.cache.of(&world.url, &Asking::default()).await.unwrap_err();
        assert!(matches!(error, FetchError::Status { status: 500, .. }), "{error}");
    }
    assert_eq!(world.asked(), 3);
    world.issuer.broken.store(false, SeqCst);
    world.wait(MIN_INTERVAL_MS);
    world.cache.of(&world.url, &Asking::default()).await.unwrap();
}

#[tokio::test]
async fn many_tokens_at_once_ask_once() {
    let world = Arc::new(World::new().await);
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let world = Arc::clone(&world);
        asking.spawn(async move { world.cache.of(&world.url, &Asking::default()).await.map(|_| ()) });
    }
    while let Some(done) = asking.join_next().await {
        done.unwrap().unwrap();
    }
    assert_eq!(world.asked(), 1);
}

#[tokio::test]
async fn a_slow_issuer_holds_up_nobody_whose_keys_are_known() {
    /// Before the slow one is given up.
    const SOON: Duration = Duration::from_secs(8);
    let world = Arc::new(World::new().await);
    let known = world.cache.of(&world.url, &Asking::default()).await.unwrap();
    world.issuer.slow.store(true, SeqCst);
    world.wait(MIN_INTERVAL_MS);
    // A stranger's token names a key that nobody has ...
    let stranger = {
        let (world, known) = (Arc::clone(&world), Arc::clone(&known));
        tokio::spawn(
            async move { world.cache.newer(&world.url, &Asking::default(), &known).await.map(|_| ()) },
        )
    };
    while world.asked() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // ... and everyone else's tokens are checked meanwhile, with fresh keys and with older ones.
    tokio::time::timeout(SOON, world.cache.of(&world.url, &Asking::default())).await.unwrap().unwrap();
    world.wait(FRESH_MS);
    tokio::time::timeout(SOON, world.cache.of(&world.url, &Asking::default())).await.unwrap().unwrap();
    world.issuer.slow.store(false, SeqCst);
    stranger.await.unwrap().unwrap();
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn hanging_up_does_not_make_us_ask_again() {
    let world = Arc::new(World::new().await);
    let known = world.cache.of(&world.url, &Asking::default()).await.unwrap();
    world.issuer.slow.store(true, SeqCst);
    world.wait(MIN_INTERVAL_MS);
    for _ in 0..10 {
        let plain = Asking::default();
        let asking = world.cache.newer(&world.url, &plain, &known);
        assert!(tokio::time::timeout(Duration::from_millis(30), asking).await.is_err());
    }
    world.issuer.slow.store(false, SeqCst);
    world.cache.newer(&world.url, &Asking::default(), &known).await.unwrap();
    assert_eq!(world.asked(), 2);
}

#[tokio::test]
async fn nobody_is_led_elsewhere() {
    let world = World::new().await;
    world.issuer.redirect.store(true, SeqCst);
    let error = world.cache.of(&world.url, &Asking::default()).await.unwrap_err();
    assert!(matches!(error, FetchError::Status { status: 302, .. }), "{error}");
    for issuer in ["http://issuer.example", "ftp://localhost", "nonsense"] {
        let error = world.cache.of(issuer, &Asking::default()).await.unwrap_err();
        assert!(matches!(error, FetchError::Unprotected(_)), "{issuer}: {error}");
    }
    // The service that knows the secrets of a machine in a cloud; and the neighbours.
    for issuer in ["https://169.254.169.254/latest", "https://10.0.0.1", "https://[fd00:ec2::254]"] {
        let error = world.cache.of(issuer, &Asking::default()).await.unwrap_err();
        let inside = matches!(&error, FetchError::Http(http) if matches!(**http, HttpError::Inside(_)));
        assert!(inside, "{issuer}: {error}");
    }
    world.issuer.redirect.store(false, SeqCst);
    world.wait(MIN_INTERVAL_MS);
    *world.issuer.keys_at.lock().unwrap() = Some("http://keys.example/keys".to_owned());
    let error = world.cache.of(&world.url, &Asking::default()).await.unwrap_err();
    assert!(matches!(error, FetchError::Discovery(_)), "{error}");
}

#[tokio::test]
async fn an_issuer_speaks_for_itself_alone() {
    let world = World::new().await;
    let upper = world.url.replace("http", "HTTP");
    for other in
        ["https://issuer.example".to_owned(), format!("{}/", world.url), format!("{}/x", world.url), upper]
    {
        *world.issuer.names.lock().unwrap() = Some(other.clone());
        world.wait(MIN_INTERVAL_MS);
        let error = world.cache.of(&world.url, &Asking::default()).await.unwrap_err();
        assert!(matches!(error, FetchError::Discovery(_)), "{other}: {error}");
    }
}

#[tokio::test]
async fn an_issuer_out_there_leads_to_no_service_of_this_machine() {
    let url = |text: &str| Url::parse(text).unwrap();
    let out_there = url("https://issuer.example");
    for inside in ["http://localhost:1/keys", "http://127.0.0.1/keys", "http://[::1]/keys"] {
        assert!(matches!(keys_at(&out_there, inside), Err(FetchError::Unprotected(_))), "{inside}");
        assert!(keys_at(&url("http://localhost"), inside).is_ok());
    }
    assert!(keys_at(&out_there, "https://keys.example/keys").is_ok());
    let world = World::new().await;
    let client = world.cache.fetcher.client_for(&out_there, &Asking::default());
    let asked = Asked { client, bearer: None, base: &out_there };
    for inside in ["https://10.0.0.1/keys", "https://169.254.169.254/keys", "https://127.0.0.1/keys"] {
        let error = asked.get(url(inside), 1000).await.unwrap_err();
        let refused = matches!(&error, FetchError::Http(http) if matches!(**http, HttpError::Inside(_)));
        assert!(refused, "{inside}: {error}");
    }
}

#[tokio::test]
async fn the_token_an_issuer_wants_to_see_is_for_it_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "secret").unwrap();
    let asking = Asking { bearer_token_file: Some(file.display().to_string()), ..Asking::default() };
    let (world, other) = (World::new().await, World::new().await);
    let elsewhere = format!("{}/.well-known/openid-configuration", other.url);
    *world.issuer.keys_at.lock().unwrap() = Some(elsewhere);
    // What is there are no keys; it was asked for them, and saw no secret.
    world.cache.of(&world.url, &asking).await.unwrap_err();
    assert_eq!((world.issuer.bearers.lock().unwrap().len(), other.asked()), (1, 1));
    assert_eq!(*other.issuer.bearers.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn the_token_an_issuer_wants_to_see_is_read_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let asking = Asking { bearer_token_file: Some(file.display().to_string()), ..Asking::default() };
    let world = World::new().await;
    let error = world.cache.of(&world.url, &asking).await.unwrap_err();
    assert!(error.to_string().contains("`bearer_token_file` cannot be read"), "{error}");
    std::fs::write(&file, "first\n").unwrap();
    world.wait(MIN_INTERVAL_MS);
    let known = world.cache.of(&world.url, &asking).await.unwrap();
    std::fs::write(&file, "second\n").unwrap();
    world.wait(MIN_INTERVAL_MS);
    world.cache.newer(&world.url, &asking, &known).await.unwrap();
    let seen = world.issuer.bearers.lock().unwrap().clone();
    assert_eq!(seen, ["Bearer first", "Bearer second"]);
}

#[tokio::test]
async fn names_that_anyone_made_up_push_out_no_keys() {
    let world = World::new().await;
    let asking = Asking::default();
    world.cache.of(&world.url, &asking).await.unwrap();
    let asked = world.asked();
    for number in 0..2 * MAX_ISSUERS {
        world.cache.slot(&format!("https://oidc.example/org/{number}"));
    }
    assert!(world.cache.slots.lock().unwrap().len() <= MAX_ISSUERS);
    world.cache.of(&world.url, &asking).await.unwrap();
    assert_eq!(world.asked(), asked, "its keys are known still");
}
