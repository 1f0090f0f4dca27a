//! What a refusal says to its caller, and what it leaves in the log.

use super::{
    ca::{SIGNING_CERT, issued, with_csr},
    grpc::Grpc,
    harness::Sealog,
    openssl::Key,
};
use serde_json::json;
use std::{
    io::Write,
    sync::{Mutex, Once},
};

/// Everything that any test of this process had logged since the first asked for it.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct ToLog;

impl Write for ToLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines that name this issuer.
fn logged(issuer: &str) -> String {
    let log = LOG.lock().unwrap();
    let text = String::from_utf8_lossy(&log).into_owned();
    text.lines().filter(|line| line.contains(issuer)).collect::<Vec<_>>().join("\n")
}

fn listen() {
    static LISTENING: Once = Once::new();
    LISTENING.call_once(|| {
        let _ = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(|| ToLog)
            .try_init();
    });
}

#[tokio::test]
async fn a_refused_token_leaves_its_issuer_and_the_cause_in_the_log_and_nothing_more() {
    listen();
    let sealog = Sealog::start().await;
    let key = Key::p256();
    let mut claims = sealog.issuer.email_claims("jane@example.com");
    claims["email_verified"] = json!(false);
    let unverified = sealog.issuer.sign(&claims);
    let mut claims = sealog.issuer.email_claims("jane@example.com");
    claims["exp"] = json!(1_700_000_000);
    let expired = sealog.issuer.sign(&claims);
    let good = sealog.issuer.email("jane@example.com");
    let (signed, _) = good.rsplit_once('.').unwrap();
    let forged = format!("{signed}.AAAA");
    let grpc = Grpc::to(&sealog).await;
    for (token, cause) in [
        (&unverified, "the issuer has not verified the address <address> the claim"),
        (&expired, "the identity token expired at 1700000000"),
        (&forged, "the identity token's signature does not verify with the issuer's key"),
    ] {
        let answer = sealog.post("ca", SIGNING_CERT, with_csr(token, &key).to_string()).await;
        assert_eq!(answer.status, 400);
        grpc.refuses_without_key(token).await;
        let lines = logged(&sealog.issuer.url);
        assert_eq!(lines.matches(cause).count(), 2, "over both wires: {cause} in {lines}");
        for line in lines.lines().filter(|line| line.contains(cause)) {
            assert!(line.contains("service=\"ca\"") && line.contains("status=400"), "{line}");
            assert!(line.contains(&format!("reason=\"a token of {}: ", sealog.issuer.url)), "{line}");
        }
    }
    // What was wrong with the key, too; and of what succeeds, nothing.
    sealog
        .post("ca", SIGNING_CERT, json!({ "credentials": { "oidcIdentityToken": good } }).to_string())
        .await;
    assert!(logged(&sealog.issuer.url).contains("could not be parsed: there is none"));
    let before = logged(&sealog.issuer.url);
    issued(&sealog.post("ca", SIGNING_CERT, with_csr(&good, &key).to_string()).await);
    assert_eq!(logged(&sealog.issuer.url), before);
    for secret in ["jane@example.com", "example.com"].into_iter().chain(good.split('.')) {
        assert!(!before.contains(secret), "{secret} in {before}");
    }
}

#[tokio::test]
async fn why_keys_cannot_be_fetched_is_the_operators_to_know() {
    const TOLD: &str = "There was an error processing the identity token: \
        its issuer's keys could not be fetched now; try again in a moment";
    listen();
    let sealog = Sealog::start_prepared(tempfile::tempdir().unwrap(), "", "", |path| {
        let more = "\n[[ca.issuers]]\nissuer = \"https://127.0.0.1:1/inner-tls\"\ntype = \"email\"\n\
                    \n[[ca.issuers]]\nissuer = \"https://127.0.0.1:1/inner-file\"\ntype = \"email\"\n\
                    bearer_token_file = \"/no/such/inner-secret\"\n";
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, text + more).unwrap();
    })
    .await;
    let key = Key::p256();
    sealog.issuer.is_down(true);
    let down = sealog.issuer.url.clone();
    for (issuer, cause) in [
        ("https://127.0.0.1:1/inner-tls", "could not be reached"),
        ("https://127.0.0.1:1/inner-file", "`bearer_token_file` cannot be read: No such file"),
        (down.as_str(), "answered 503"),
    ] {
        let mut claims = sealog.issuer.email_claims("jane@example.com");
        claims["iss"] = json!(issuer);
        let token = sealog.issuer.sign(&claims);
        let answer = sealog.post("ca", SIGNING_CERT, with_csr(&token, &key).to_string()).await;
        answer.refused(400, 3, TOLD);
        assert_eq!(answer.json()["message"], TOLD);
        let lines = logged(issuer);
        let refusal = lines.lines().find(|line| line.contains("reason=\"a token of ")).expect(&lines);
        assert!(refusal.contains(cause), "{cause} in {refusal}");
        assert!(lines.lines().any(|line| line.contains("WARN") && line.contains(cause)), "{lines}");
        assert!(!lines.contains("jane@"), "{lines}");
    }
}

#[tokio::test]
async fn pages_of_any_origin_may_submit_to_the_logs_and_only_by_post() {
    let sealog = Sealog::start().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |service: &str, method: &str, path: &str, body: String| {
        let url = format!("{}{path}", sealog.url(service));
        let response = client.request(method.parse().unwrap(), url).body(body).send().await.unwrap();
        let header =
            |name: &str| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
        (response.status().as_u16(), header("access-control-allow-origin"), header("allow"))
    };
    for (service, path) in
        [("rekor", "/api/v2/log/entries"), ("ctlog", "/ct/v1/add-chain"), ("ctlog", "/ct/v1/add-pre-chain")]
    {
        for (method, behind, status, origins, allowed) in [
            ("POST", "", 400, "*", ""),
            ("POST", "?a=b", 400, "*", ""),
            ("GET", "", 405, "*", "POST"),
            ("PUT", "", 405, "*", "POST"),
            ("OPTIONS", "", 204, "*", "POST"),
            ("POST", "/", 404, "", ""),
        ] {
            let answer = ask(service, method, &format!("{path}{behind}"), "{}".to_owned()).await;
            assert_eq!(answer, (status, origins.to_owned(), allowed.to_owned()), "{method} {path}{behind}");
        }
    }
    let request = Key::p256().log_request(b"from a page").to_string();
    let logged = ask("rekor", "POST", "/api/v2/log/entries", request).await;
    assert_eq!(logged, (201, "*".to_owned(), String::new()));
}
