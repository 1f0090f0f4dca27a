use super::*;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

async fn serve(router: Router) -> Url {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = parse_url(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn refusals_carry_url_status_and_the_services_words() {
    let url = serve(
        Router::new()
            .route(
                "/json",
                post(|| async {
                    let body = r#"{"code":3,"message":"bad\u001b[31m token","details":[]}"#;
                    (StatusCode::BAD_REQUEST, [("content-type", "application/json")], body)
                }),
            )
            .route("/text", get(|| async { (StatusCode::NOT_FOUND, "no such tile\nmore") }))
            .route(
                "/html",
                get(|| async { (StatusCode::BAD_GATEWAY, [("content-type", "text/html")], "<h1>oops</h1>") }),
            ),
    )
    .await;
    let client = Client::new();
    let secret = url.join("/json?token=secret").unwrap();
    let error = client.send(Request::post(secret, "text/plain", vec![])).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{url}json answered 400: bad[31m token"));
    assert!(!error.is_unreachable());
    let error = client.send(Request::get(below(&url, "text"))).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{url}text answered 404: no such tile"));
    let error = client.send(Request::get(below(&url, "html"))).await.unwrap_err();
    assert_eq!(error.to_string(), format!("{url}html answered 502"));
    assert!(error.is_unreachable());
}

#[tokio::test]
async fn answers_are_bounded_and_timed() {
    let url = serve(
        Router::new()
            .route("/big", get(|| async { vec![0_u8; 5000] }))
            .route("/slow", get(|| async { tokio::time::sleep(Duration::from_secs(30)).await })),
    )
    .await;
    let client = Client::new();
    let error = client.send(Request::get(below(&url, "big")).limit(4999)).await.unwrap_err();
    assert!(matches!(error, HttpError::TooLarge { limit: 4999, .. }), "{error}");
    assert_eq!(client.send(Request::get(below(&url, "big")).limit(5000)).await.unwrap().body.len(), 5000);
    let slow = Request::get(below(&url, "slow")).timeout(Duration::from_millis(50));
    assert!(matches!(client.send(slow).await.unwrap_err(), HttpError::TimedOut { .. }));
}

#[tokio::test]
async fn writes_are_never_redirected_and_reads_stay_on_their_host() {
    let hits = Arc::new(AtomicU32::new(0));
    let to = |place: &'static str| (StatusCode::FOUND, [("location", place)]);
    let url = serve(
        Router::new()
            .route("/write", post(move || async move { to("/there") }))
            .route("/read", get(move || async move { to("/there") }))
            .route("/away", get(move || async move { to("http://other.invalid/") }))
            .route("/round", get(move || async move { to("/round") }))
            .route(
                "/there",
                get(|State(hits): State<Arc<AtomicU32>>| async move {
                    hits.fetch_add(1, Ordering::SeqCst);
                    "here"
                }),
            )
            .with_state(hits.clone()),
    )
    .await;
    let client = Client::new();
    let write = Request::post(below(&url, "write"), "text/plain", b"x".to_vec());
    let error = client.send(write).await.unwrap_err();
    assert!(matches!(error, HttpError::Redirected { status: 302, .. }), "{error}");
    assert_eq!(hits.load(Ordering::SeqCst), 0);
    let error = client.send(Request::get(below(&url, "read")).never_redirected()).await.unwrap_err();
    assert!(matches!(error, HttpError::Redirected { status: 302, .. }), "{error}");
    assert_eq!(hits.load(Ordering::SeqCst), 0);
    assert_eq!(client.send(Request::get(below(&url, "read"))).await.unwrap().body, b"here");
    for path in ["away", "round"] {
        let error = client.send(Request::get(below(&url, path))).await.unwrap_err();
        assert!(matches!(error, HttpError::Redirected { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_busy_service_is_asked_again() {
    let url = serve(
        Router::new()
            .route(
                "/",
                post(|State(hits): State<Arc<AtomicU32>>, headers: HeaderMap, body: Bytes| async move {
                    assert_eq!(headers["content-type"], "a/b");
                    assert_eq!(body, "x");
                    match hits.fetch_add(1, Ordering::SeqCst) {
                        0 => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]),
                        _ => (StatusCode::CREATED, [("x", "y")]),
                    }
                }),
            )
            .with_state(Arc::new(AtomicU32::new(0))),
    )
    .await;
    let sent = Client::new().send(Request::post(url, "a/b", b"x".to_vec())).await.unwrap();
    assert_eq!(sent.status, 201);
}

#[tokio::test]
async fn a_closed_port_is_unreachable_and_says_why() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = parse_url(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let error = Client::new().send(Request::get(url.clone())).await.unwrap_err();
    assert!(error.is_unreachable());
    assert!(
        error.to_string().starts_with(&format!("{url} could not be reached: Connection refused")),
        "{error}"
    );
}

#[test]
fn urls_join_below_their_base_and_secrets_stay_home() {
    let base = parse_url("https://h.example/base/").unwrap();
    assert_eq!(below(&base, "/api/v2/x").as_str(), "https://h.example/base/api/v2/x");
    assert_eq!(below(&parse_url("https://h.example").unwrap(), "x").as_str(), "https://h.example/x");
    for bad in ["ftp://h", "h:80", "", "http://", "/x"] {
        assert!(parse_url(bad).is_err(), "{bad}");
    }
    for (url, keeps) in [
        ("https://h.example", true),
        ("http://localhost:1", true),
        ("http://ca.localhost", true),
        ("http://127.0.0.1:1", true),
        ("http://[::1]:1", true),
        ("http://h.example", false),
        ("http://localhost.example", false),
    ] {
        assert_eq!(keeps_secrets(&parse_url(url).unwrap()).is_ok(), keeps, "{url}");
    }
    let shown = Shown::from(&parse_url("https://u:p@h.example/x?code=1#f").unwrap());
    assert_eq!(shown.to_string(), "https://h.example/x");
    assert_eq!(&*readable("a\u{202e}b\u{7}c"), "abc");
}

#[test]
fn what_a_cloud_says_of_its_machine_passes_no_proxy() {
    let of_the_machine = |text: &str| is_of_the_machine(&parse_url(text).unwrap());
    for url in [
        "http://metadata.google.internal/computeMetadata/v1/",
        "http://METADATA.google.internal./",
        "http://169.254.169.254/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://[fd20:ce::254]/",
        "http://[::ffff:169.254.169.254]/",
    ] {
        assert!(of_the_machine(url), "{url}");
    }
    let client = Client::new();
    client.client_for(&parse_url("http://metadata/").unwrap(), true).unwrap();
    assert!(client.direct.get().is_some() && client.outward.get().is_none(), "asked to go past it");
    for url in ["http://metadata.google.internal.example.com/", "http://10.0.0.1/", "http://[fd00::1]/"] {
        assert!(!of_the_machine(url), "{url}");
    }
}
