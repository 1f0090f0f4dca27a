//! Clients that mean ill: what they may cost, and that nobody else pays for it.

use super::harness::Sealog;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sealog_crypto::{KeyKind, PrivateKey, Signer as _, sha256};
use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

const ENTRIES: &str = "/api/v2/log/entries";

fn log_request(key: &PrivateKey, message: &[u8]) -> String {
    json!({ "hashedRekordRequestV002": {
        "digest": STANDARD.encode(sha256(message)),
        "signature": {
            "content": STANDARD.encode(key.sign(message).unwrap()),
            "verifier": {
                "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                "publicKey": { "rawBytes": STANDARD.encode(key.public_key().spki_der()) },
            },
        },
    } })
    .to_string()
}

/// `sealogd dev` that may have only so many files open; killed at the end.
struct Cramped(Child, Value);

impl Cramped {
    fn dev(dir: &std::path::Path, files: u32) -> Self {
        let script = format!("ulimit -n {files} && exec \"$0\" dev --dir \"$1\"");
        let mut child = Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_sealogd")])
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self(child, serde_json::from_str(&line).unwrap())
    }

    fn connect(&self, service: &str) -> std::io::Result<TcpStream> {
        let url = self.1["services"][service].as_str().unwrap();
        let port: u16 = url.rsplit(':').next().unwrap().parse().unwrap();
        let stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(stream)
    }
}

impl Drop for Cramped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Posts on a connection and leaves it open; the status.
fn post(stream: &mut TcpStream, path: &str, body: &str) -> u16 {
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    let mut answer = BufReader::new(stream);
    let (mut status, mut length) = (0, 0);
    loop {
        let mut line = String::new();
        assert!(answer.read_line(&mut line).unwrap() > 0, "the connection was closed");
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest[..3].parse().unwrap();
        }
        if let Some(rest) = line.strip_prefix("content-length: ") {
            length = rest.parse().unwrap();
        }
    }
    answer.read_exact(&mut vec![0; length]).unwrap();
    status
}

#[test]
fn connections_that_want_every_file_stop_no_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut sealogd = Cramped::dev(&dir.path().join("dev"), 160);
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let mut flood = Vec::new();
    for service in ["tsa", "oidc", "ca", "ctlog"] {
        flood.extend((0..100).map_while(|_| sealogd.connect(service).ok()));
    }
    assert!(flood.len() > 160);
    // The others' flood costs the log nothing: neither newcomers nor its own files.
    let mut mine = sealogd.connect("rekor").unwrap();
    for n in 0..300 {
        let request = log_request(&key, format!("entry {n}").as_bytes());
        assert_eq!(post(&mut mine, ENTRIES, &request), 201);
    }
    // Long enough for every file that follows from them, and for a log that stopped to end the program.
    std::thread::sleep(Duration::from_millis(1200));
    assert!(sealogd.0.try_wait().unwrap().is_none(), "the program has ended");
    assert_eq!(post(&mut mine, ENTRIES, &log_request(&key, b"and on")), 201);
}

#[tokio::test]
async fn a_tile_has_one_spelling_and_everything_else_is_not_found() {
    let sealog = Sealog::start().await;
    for path in ["/tile/0/000.p/1", "/api/v2/tile/0/000.p/1", "/tile/entries/000.p/1"] {
        assert_eq!(sealog.get("rekor", path).await.status, 200, "{path}");
    }
    for path in [
        "/tile/0%2F000.p/1",
        "/tile/0/%30%30%30.p/1",
        "/tile/0/000.p/%31",
        "/tile/0/000.p%2F1",
        "/tile/0/%ff",
        "/tile/%00",
        "/tile/..%2f..%2f..%2fkeys%2frekor.key",
        "/tile/0//000.p/1",
        "/tile//0/000.p/1",
        "//tile/0/000.p/1",
        "/tile/0/000.p/1/",
        "/tile/0/000.p/0",
        "/tile/0/000.p/01",
        "/tile/0/000.p/256",
        "/tile/0/x000/000.p/1",
        "/tile/0/0.p/1",
        "/tile/00/000.p/1",
        "/tile/data/000.p/1",
    ] {
        let answer = sealog.get("rekor", path).await;
        answer.refused(404, 5, "Not Found");
    }
    sealog.get("ctlog", "/issuer/%ff").await.refused(404, 5, "Not Found");
    sealog.get("ctlog", "/issuer/%2e%2e%2fcheckpoint").await.refused(404, 5, "Not Found");
}
