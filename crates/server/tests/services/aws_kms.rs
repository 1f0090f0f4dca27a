//! Keys in AWS Key Management Service, which moto plays on this machine.
#![allow(clippy::print_stderr, reason = "says why it was skipped")]

use super::{
    harness::Sealog,
    hsm::again,
    operator::{said, sealogd_in},
    pkcs11::{certificate_verifies, runtime, timestamp_verifies},
};
use sealog_testkit::Reserved;
use serde_json::{Value, json};
use std::{
    fs,
    net::TcpStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// moto's server, as `cargo xtask test` installs it.
const PROGRAM: &str = "SEALOG_MOTO_SERVER";
/// Tells a test that it is in a process of its own, and where the service is.
const SERVICE: &str = "SEALOG_TEST_AWS";

struct Moto {
    child: Child,
    port: Reserved,
}

impl Moto {
    /// None where it is not installed, which is a failure in CI.
    fn start() -> Option<Self> {
        let Some(program) = std::env::var_os(PROGRAM) else {
            assert!(std::env::var("CI").is_err(), "{PROGRAM} is not set: run `cargo xtask test`");
            eprintln!("skipped: {PROGRAM} does not name moto's server (PyPI: moto[kms], flask, flask-cors)");
            return None;
        };
        let port = Reserved::new();
        let child = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", &port.port().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut moto = Self { child, port };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", moto.port.port())).is_err() {
            assert!(moto.child.try_wait().unwrap().is_none(), "moto has ended");
            assert!(begun.elapsed() < Duration::from_secs(90), "moto does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(moto)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.port())
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks the service as an administrator does.
async fn administer(url: &str, operation: &str, asked: Value) -> Value {
    let authorization = "AWS4-HMAC-SHA256 Credential=admin/20260101/eu-north-1/kms/aws4_request, \
                         SignedHeaders=host, Signature=0";
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client
        .post(url)
        .header("content-type", "application/x-amz-json-1.1")
        .header("x-amz-target", format!("TrentService.{operation}"))
        .header("authorization", authorization)
        .body(asked.to_string());
    let answer = answer.send().await.unwrap();
    assert!(answer.status().is_success(), "{operation}: {:?}", answer.text().await);
    serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()
}

async fn key(url: &str, spec: &str) -> String {
    let asked = json!({ "KeySpec": spec, "KeyUsage": "SIGN_VERIFY" });
    administer(url, "CreateKey", asked).await["KeyMetadata"]["Arn"].as_str().unwrap().to_owned()
}

fn credentials() -> [(&'static str, PathBuf); 2] {
    [("AWS_ACCESS_KEY_ID", PathBuf::from("AKIDTEST")), ("AWS_SECRET_ACCESS_KEY", PathBuf::from("secret"))]
}

#[test]
fn certificates_and_timestamps_are_signed_by_the_service() {
    let test = "aws_kms::certificates_and_timestamps_are_signed_by_the_service";
    let Ok(url) = std::env::var(SERVICE) else {
        let Some(moto) = Moto::start() else { return };
        let [id, secret] = credentials();
        return again(test, &[id, secret, (SERVICE, PathBuf::from(moto.url()))]);
    };
    runtime().block_on(async {
        let (ca, tsa, ctlog) = (
            key(&url, "ECC_NIST_P384").await,
            key(&url, "ECC_NIST_P256").await,
            key(&url, "ECC_NIST_P256").await,
        );
        administer(&url, "CreateAlias", json!({ "AliasName": "alias/time", "TargetKeyId": tsa })).await;
        let table = format!(
            "\n[aws_kms]\nregion = \"eu-north-1\"\nendpoint = \"{url}\"\n\
             [aws_kms.keys]\nca = \"{ca}\"\ntsa = \"alias/time\"\nctlog = \"{ctlog}\"\n"
        );
        let mut sealog = Sealog::start_in(tempfile::tempdir().unwrap(), &table, "").await;
        certificate_verifies(&sealog).await;
        timestamp_verifies(&sealog).await;
        sealog.restart().await;
        certificate_verifies(&sealog).await;
        for name in ["ca", "tsa", "ctlog"] {
            assert!(!sealog.dir.path().join(format!("keys/{name}.key")).exists(), "{name}");
        }

        // What is wrong is told before anything runs.
        let config = sealog.dir.path().join("sealog.toml");
        let good = fs::read_to_string(&config).unwrap();
        let wrong = |from: &str, to: &str, status: i32, expected: &str| {
            fs::write(&config, good.replace(from, to)).unwrap();
            let told =
                said(&sealogd_in(&credentials(), &["check", "--config", config.to_str().unwrap()]), status);
            assert!(told.contains(expected), "{expected} is not in {told}");
        };
        let other = key(&url, "ECC_NIST_P384").await;
        wrong(&ca, &other, 2, "is not the one of");
        wrong(&ca, "alias/nothing", 2, "AWS KMS refused with NotFoundException");
        wrong(&url, "http://127.0.0.1:9", 3, "could not be reached");
        wrong(&url, "http://kms.example.com", 2, "`endpoint` in [aws_kms] cannot be asked");
        wrong("eu-north-1", "Europe", 2, "`region` is `Europe`");
        wrong("tsa = \"alias/time\"", &format!("tsa = \"{ca}\""), 2, "`ca` and `tsa` are the same key");
    });
}
