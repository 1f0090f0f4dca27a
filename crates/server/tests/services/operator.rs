//! `sealogd` as an operator meets it: the real program, its words and its exit status.

use super::openssl::{self, Key};
use sealog_testkit::Reserved;
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

pub(crate) fn sealogd(args: &[&str]) -> Output {
    sealogd_in(&[], args)
}

/// With more in its environment.
pub(crate) fn sealogd_in(environment: &[(&str, PathBuf)], args: &[&str]) -> Output {
    let environment = environment.iter().map(|(name, value)| (name, value));
    Command::new(env!("CARGO_BIN_EXE_sealogd")).args(args).envs(environment).output().unwrap()
}

#[track_caller]
pub(crate) fn said(output: &Output, status: i32) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{text}");
    text
}

/// One for each service of `dev`.
pub(crate) type DevPorts = [Reserved; 5];

/// A running `sealogd`, killed if a test fails.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) ready: Value,
}

impl Daemon {
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sealogd"))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut text = String::new();
            child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
            panic!("no ready line: {text}");
        }
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }

    pub(crate) fn dev(dir: &Path) -> Self {
        Self::start(&["dev", "--dir", dir.to_str().unwrap()])
    }

    /// A new one on these ports, which it comes back to whenever it is started again.
    pub(crate) fn dev_on(ports: &DevPorts, dir: &Path) -> Self {
        let base = ports[0].port().to_string();
        Self::start(&["dev", "--dir", dir.to_str().unwrap(), "--base-port", &base])
    }

    pub(crate) fn url(&self, service: &str) -> String {
        self.ready["services"][service].as_str().unwrap().to_owned()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Waits for the end; says how long it took and what was said.
    pub(crate) fn ended(mut self) -> (Option<i32>, Duration, String) {
        let begun = Instant::now();
        let status = self.child.wait().unwrap();
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (status.code(), begun.elapsed(), text)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn post(url: &str, body: String) -> (u16, Value) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client.post(url).body(body).send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
    })
}

#[test]
fn what_was_acknowledged_survives_every_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dev");
    let key = Key::p256();
    let ports = Reserved::in_a_row();
    let mut urls = None;
    for signal in ["-TERM", "-KILL", "-KILL", "-TERM"] {
        let daemon = if urls.is_none() { Daemon::dev_on(&ports, &path) } else { Daemon::dev(&path) };
        assert_eq!(daemon.ready["event"], "ready");
        // URLs never change.
        assert_eq!(urls.get_or_insert(daemon.ready["services"].clone()), &daemon.ready["services"]);
        let request = key.log_request(b"the same artifact each time");
        let url = format!("{}/api/v2/log/entries", daemon.url("rekor"));
        let (status, first) = post(&url, request.to_string());
        assert_eq!(status, 201);
        daemon.signal(signal);
        let (code, took, text) = daemon.ended();
        assert!(took < Duration::from_secs(15), "{took:?}");
        if signal == "-TERM" {
            assert_eq!(code, Some(0), "{text}");
        }
        assert!(text.contains("believes anyone") && text.contains("keys lie in plain"), "{text}");
        let daemon = Daemon::dev(&path);
        let (status, again) = post(&url, request.to_string());
        assert_eq!((status, &again["logIndex"]), (201, &first["logIndex"]));
        assert_eq!(again["canonicalizedBody"], first["canonicalizedBody"]);
        daemon.signal("-TERM");
        daemon.ended();
    }
    let client = path.join("client");
    for name in ["trusted_root.json", "signing_config.json", "client_trust_config.json", "services.json"] {
        assert!(client.join(name).exists(), "{name}");
    }
    for entry in fs::read_dir(path.join("keys")).unwrap() {
        let entry = entry.unwrap();
        if entry.path().extension().is_some_and(|x| x == "key") {
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        }
    }
}

#[test]
fn tokens_of_a_running_dev_instance_become_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dev");
    let daemon = Daemon::dev(&path);
    let claims = dir.path().join("claims.json");
    let workflow = "octo/demo/.github/workflows/release.yml@refs/heads/main";
    let build = serde_json::json!({
        "sub": "repo:octo/demo:ref:refs/heads/main", "event_name": "push", "sha": "0123", "workflow": "release",
        "repository": "octo/demo", "ref": "refs/heads/main", "job_workflow_ref": workflow,
        "job_workflow_sha": "0123", "runner_environment": "github-hosted", "repository_id": "1",
        "repository_owner": "octo", "repository_owner_id": "2", "repository_visibility": "public",
        "workflow_ref": workflow, "workflow_sha": "0123", "run_id": "77", "run_attempt": "1",
    });
    fs::write(&claims, build.to_string()).unwrap();
    let dir = path.to_str().unwrap();
    for (who, expected) in [
        (["--email", "jane@example.com"], "email:jane@example.com"),
        (["--claims", claims.to_str().unwrap()], workflow),
    ] {
        let token = sealogd(&["token", "--dir", dir, who[0], who[1]]);
        said(&token, 0);
        let token = String::from_utf8(token.stdout).unwrap();
        let key = Key::p256();
        let request = serde_json::json!({
            "credentials": { "oidcIdentityToken": token.trim_end() },
            "certificateSigningRequest": base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key.csr()),
        });
        let (status, answer) = post(&format!("{}/api/v2/signingCert", daemon.url("ca")), request.to_string());
        assert_eq!(status, 200, "{answer}");
        let leaf = answer.pointer("/signedCertificateEmbeddedSct/chain/certificates/0").unwrap();
        fs::write(key.path("leaf.pem"), leaf.as_str().unwrap()).unwrap();
        let text = openssl::run(key.dir.path(), &["x509", "-in", "leaf.pem", "-noout", "-text"]);
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    said(&sealogd(&["token", "--dir", dir]), 2);
    said(&sealogd(&["token", "--dir", dir, "--email", "not an address"]), 3);
}

#[test]
fn a_directory_in_use_and_a_port_taken_are_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dev");
    let ports = Reserved::in_a_row();
    let daemon = Daemon::dev_on(&ports, &path);
    let text = said(&sealogd(&["dev", "--dir", path.to_str().unwrap()]), 3);
    assert!(text.contains("already in use by another process") && text.contains("hint: "), "{text}");
    daemon.signal("-TERM");
    let port: u16 = daemon.url("rekor").rsplit(':').next().unwrap().parse().unwrap();
    daemon.ended();
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let text = said(&sealogd(&["dev", "--dir", path.to_str().unwrap()]), 3);
    assert!(text.contains(&format!("cannot listen on localhost:{port}")), "{text}");
    drop(taken);
    let text = said(&sealogd(&["dev", "--dir", path.to_str().unwrap(), "--base-port", "1024"]), 3);
    assert!(text.contains("URLs never change"), "{text}");
    fs::write(path.join("data/instance.toml"), "format = 99\nfrom_the_future = true\n").unwrap();
    let text = said(&sealogd(&["dev", "--dir", path.to_str().unwrap()]), 2);
    assert!(text.contains("has format 99, this program knows formats up to 1"), "{text}");
}

/// A configuration with sealed keys and no identity provider, and its ports.
pub(crate) fn configured(dir: &Path) -> (String, [Reserved; 5]) {
    let ports = [(); 5].map(|()| Reserved::new());
    let mut text = String::from(
        "data_dir = \"data\"\nkeys_dir = \"keys\"\nclient_dir = \"client\"\npassphrase_file = \"passphrase\"\n",
    );
    for (name, port) in ["rekor", "ctlog", "ca", "tsa"].iter().zip(&ports) {
        let port = port.port();
        text.push_str(&format!(
            "[{name}]\nlisten = \"127.0.0.1:{port}\"\nurl = \"https://{name}.example.com\"\n"
        ));
        if *name == "ca" {
            text.push_str("[[ca.issuers]]\nissuer = \"https://accounts.example.com\"\ntype = \"email\"\n");
        }
    }
    let admin = format!("127.0.0.1:{}", ports[4].port());
    text.push_str(&format!("[admin]\nlisten = \"{admin}\"\n"));
    let path = dir.join("sealog.toml");
    fs::write(&path, text).unwrap();
    fs::write(dir.join("admin"), admin).unwrap();
    let passphrase = dir.join("passphrase");
    fs::write(&passphrase, "correct horse battery staple\n").unwrap();
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
    (path.to_str().unwrap().to_owned(), ports)
}

#[test]
fn check_says_where_any_upstream_vouches_for_anybody() {
    let dir = tempfile::tempdir().unwrap();
    let (config, _ports) = configured(dir.path());
    let plain = fs::read_to_string(&config).unwrap();
    let upstream = "[[oidc.upstreams]]\nname = 'corp'\ntype = 'keycloak'\nissuer = 'https://a.example/realms/corp'\n\
                    client_id = 'sealog'\n";
    let mail = "[oidc.mail]\nfrom = 'id@example.com'\nserver = 'localhost'\n";
    let checked = |issuer: &str, more: &str, ways: &str| {
        let rule = format!("issuer = '{issuer}'\ntype = 'email'\n{more}\n");
        let text = plain.replace("issuer = \"https://accounts.example.com\"\ntype = \"email\"\n", &rule);
        let oidc = "[oidc]\nlisten = '127.0.0.1:5556'\nurl = 'https://id.example.com'\n";
        fs::write(&config, format!("{text}{oidc}{ways}")).unwrap();
        sealogd(&["init", "--config", &config]);
        let output = sealogd(&["check", "--config", &config]);
        said(&output, 0);
        String::from_utf8(output.stdout).unwrap()
    };
    let warning = "oidc     any upstream can vouch for any address: [[ca.issuers]] of https://id.example.com has no \
                   `issuer_claim`\n";
    let (own, claim) = ("https://id.example.com", "issuer_claim = '$.federated_claims.connector_id'");
    let text = checked(own, "", upstream);
    assert!(
        text.contains(warning) && text.contains("comes back to https://id.example.com/callback\n"),
        "{text}"
    );
    for (issuer, more, ways) in
        [(own, claim, upstream), (own, "", mail), ("https://accounts.example.com", "", upstream)]
    {
        let text = checked(issuer, more, ways);
        assert!(!text.contains("any upstream"), "{text}");
    }
}

#[test]
fn init_check_and_run_with_sealed_keys() {
    let dir = tempfile::tempdir().unwrap();
    let (config, _ports) = configured(dir.path());
    let text = said(&sealogd(&["run", "--config", &config]), 2);
    assert!(text.contains("there is no instance in") && text.contains("sealogd init"), "{text}");
    assert!(!dir.path().join("data").exists(), "run makes nothing");
    let text = said(&sealogd(&["init", "--config", &config]), 0);
    assert!(text.contains("rekor    created"), "{text}");
    let text = said(&sealogd(&["init", "--config", &config]), 2);
    assert!(text.contains("nothing was changed"), "{text}");
    let checked = sealogd(&["check", "--config", &config]);
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    for expected in ["sealed", "origin rekor.example.com, verifier key rekor.example.com+", "origin ct"] {
        let expected = expected.replace("origin ct", "origin ctlog.example.com, log id ");
        assert!(text.contains(&expected), "{expected} is not in {text}");
    }
    let daemon = Daemon::start(&["run", "--config", &config]);
    assert_eq!(daemon.url("rekor"), "https://rekor.example.com");
    assert_eq!(daemon.ready["services"].as_object().unwrap().len(), 4);
    let mut admin = TcpStream::connect(fs::read_to_string(dir.path().join("admin")).unwrap()).unwrap();
    admin.write_all(b"GET /metrics HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    admin.read_to_string(&mut text).unwrap();
    assert!(text.contains("sealog_log_entries{log=\"rekor\"} 1\n"), "{text}");
    daemon.signal("-TERM");
    assert_eq!(daemon.ended().0, Some(0));

    let passphrase = dir.path().join("passphrase");
    fs::write(&passphrase, "wrong\n").unwrap();
    let text = said(&sealogd(&["run", "--config", &config]), 2);
    assert!(text.contains("the configured passphrase does not open"), "{text}");
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o644)).unwrap();
    let text = said(&sealogd(&["run", "--config", &config]), 2);
    assert!(text.contains("has mode 0644, expected 0600"), "{text}");
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&passphrase, "correct horse battery staple\n").unwrap();
    let key = dir.path().join("keys/ca.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o604)).unwrap();
    let text = said(&sealogd(&["check", "--config", &config]), 2);
    assert!(text.contains("ca.key has mode 0604, expected 0600"), "{text}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();

    // A service that came later has no key before `init`.
    let more = dir.path().join("more.toml");
    let late = Reserved::new();
    let table = format!("[oidc]\nlisten = '127.0.0.1:{0}'\nurl = 'http://localhost:{0}'\n", late.port());
    fs::write(&more, format!("{}{table}", fs::read_to_string(&config).unwrap())).unwrap();
    for command in ["check", "run"] {
        let text = said(&sealogd(&[command, "--config", more.to_str().unwrap()]), 2);
        assert!(text.contains("no key at") && text.contains("run `sealogd init"), "{text}");
    }

    // A log without its key, and a key without its log, are a restore gone wrong.
    fs::rename(dir.path().join("keys/rekor.key"), dir.path().join("rekor.key")).unwrap();
    let text = said(&sealogd(&["init", "--config", &config]), 3);
    assert!(text.contains("restore the key from a backup"), "{text}");
    fs::rename(dir.path().join("rekor.key"), dir.path().join("keys/rekor.key")).unwrap();
    fs::rename(dir.path().join("data/rekor"), dir.path().join("rekor")).unwrap();
    let text = said(&sealogd(&["init", "--config", &config]), 3);
    assert!(text.contains("restore the log from a backup"), "{text}");
}

#[test]
fn a_whole_log_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dev");
    let config = path.join("sealog.toml");
    let config = config.to_str().unwrap();
    let daemon = Daemon::dev(&path);
    let url = daemon.url("rekor");
    for n in 0..3 {
        let request = Key::p256().log_request(format!("artifact {n}").as_bytes()).to_string();
        assert_eq!(post(&format!("{url}/api/v2/log/entries"), request).0, 201);
    }
    let checked = sealogd(&["fsck", "--url", &url]);
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(text.starts_with("localhost: 4 entries, 1 tiles and root hash "), "{text}");
    assert!(text.contains("the signature was not checked"), "{text}");
    daemon.signal("-TERM");
    daemon.ended();
    let checked = sealogd(&["fsck", "--config", config]);
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(text.matches("signed by the log's key").count(), 2, "{text}");

    // One byte of one entry, then of one tile.
    for (file, expected) in
        [("tile/entries/000.p/4", "000.p/4: entry "), ("tile/0/000.p/4", "tile/0/000.p/4 is not what")]
    {
        let file = path.join("data/rekor/public").join(file);
        let good = fs::read(&file).unwrap();
        let mut bad = good.clone();
        let inside = bad.len() / 3;
        bad[inside] ^= 1;
        fs::write(&file, &bad).unwrap();
        let text = said(&sealogd(&["fsck", "--config", config]), 1);
        assert!(text.contains(expected), "{text}");
        fs::remove_file(&file).unwrap();
        let text = said(&sealogd(&["fsck", "--config", config]), 1);
        assert!(text.contains("is missing"), "{text}");
        fs::write(&file, &good).unwrap();
    }
    assert!(sealogd(&["fsck", "--config", config]).status.success());
}

#[test]
fn a_wrong_configuration_is_told_where_it_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sealog.toml");
    let config = path.to_str().unwrap();
    let text = said(&sealogd(&["run", "--config", config]), 2);
    assert!(text.contains("cannot read") && text.contains("hint: "), "{text}");
    let rekor = "[rekor]\nlisten = \"localhost:1\"\nurl = \"http://localhost:1\"\n";
    for (content, expected) in [
        (format!("data_dir = \"d\"\nplain_keys = true\nextra = 1\n{rekor}"), "unknown field `extra`"),
        (format!("data_dir = \"d\"\nplain_keys = true\n{rekor}color = 1\n"), "unknown field `color`"),
        (format!("data_dir = \"d\"\n{rekor}"), "exactly one of `passphrase_file`"),
        ("data_dir = \"d\"\nplain_keys = true\n".to_owned(), "no service is configured"),
        (
            format!("data_dir = \"d\"\nplain_keys = true\n{}", rekor.replace(":1\"\n", ":1/x\"\n")),
            "not an address",
        ),
        (
            format!(
                "data_dir = \"d\"\nplain_keys = true\n{}",
                rekor.replace("http://localhost:1", "http://h/path")
            ),
            "must be scheme and host",
        ),
        (
            format!("data_dir = \"d\"\nplain_keys = true\n{rekor}{}", rekor.replace("rekor", "tsa")),
            "both listen on localhost:1",
        ),
    ] {
        fs::write(&path, &content).unwrap();
        let text = said(&sealogd(&["run", "--config", config]), 2);
        assert!(text.contains(expected), "{expected} is not in {text}");
        assert!(text.contains("docs/reference/configuration.md"), "{text}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    said(&sealogd(&["run"]), 2);
    said(&sealogd(&["nonsense"]), 2);
}

#[test]
fn a_request_half_sent_is_answered_before_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&dir.path().join("dev"));
    let authority = daemon.url("rekor").strip_prefix("http://").unwrap().to_owned();
    let body = Key::p256().log_request(b"an artifact").to_string();
    let (first, second) = body.split_at(body.len() / 2);
    let mut stream = begun(&authority, body.len());
    stream.write_all(first.as_bytes()).unwrap();
    daemon.signal("-TERM");
    let asked = Instant::now();
    while TcpStream::connect(&authority).is_ok() {
        assert!(asked.elapsed() < Duration::from_secs(5), "somebody new is let in");
        std::thread::sleep(Duration::from_millis(20));
    }
    stream.write_all(second.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    let (code, took, text) = daemon.ended();
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains(CUT), "{text}");
    assert!(took < Duration::from_secs(15), "{took:?}");
}

/// What is said of connections that would have to be waited for too long.
const CUT: &str = "connections still busy after 7s were cut";

/// A request of which the service has read the head, and waits for the body.
fn begun(authority: &str, length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(authority).unwrap();
    let head = format!(
        "POST /api/v2/log/entries HTTP/1.1\r\nhost: {authority}\r\nexpect: 100-continue\r\n\
         content-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = vec![0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[test]
fn a_client_that_never_ends_does_not_hold_up_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::dev(&dir.path().join("dev"));
    let authority = daemon.url("rekor").strip_prefix("http://").unwrap().to_owned();
    let mut stream = begun(&authority, 100);
    stream.write_all(b"{").unwrap();
    daemon.signal("-TERM");
    let (code, took, text) = daemon.ended();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(CUT), "{text}");
    // Bodies alone have 20 seconds.
    assert!(took < Duration::from_secs(15), "{took:?}");
}
