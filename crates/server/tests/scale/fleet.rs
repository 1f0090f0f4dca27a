//! The processes of one log: sequencers and front ends, each with its own directory, as on machines of their own.

use super::s3::{BUCKET, credentials};
use sealog_crypto::PublicKey;
use sealog_testkit::Reserved;
use sealog_tlog::note::KeyVerifier;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

/// Short, for tests, but no machine stands still for so long: three missed signs of life and the log is somebody else's.
pub(crate) const LEASE: Duration = Duration::from_secs(6);
/// The log's name.
pub(crate) const HOST: &str = "localhost";
/// That of the log which takes over from it.
pub(crate) const SUCCESSOR: &str = "127.0.0.1";

/// A place for the machines of one test.
pub(crate) struct Fleet {
    dir: tempfile::TempDir,
    /// The log's table, and more of what stands in it.
    log: &'static str,
    more: String,
    pub(crate) lease: Duration,
    /// Its machines' ports: they are started late, and again.
    ports: Mutex<Vec<Reserved>>,
}

/// How a machine is set up.
pub(crate) struct Machine {
    pub(crate) config: PathBuf,
    pub(crate) url: String,
    pub(crate) internal: String,
    dir: PathBuf,
}

impl Fleet {
    pub(crate) fn new() -> Self {
        Self::of("rekor", String::new())
    }

    /// Of the log of this table, with more in it.
    pub(crate) fn of(log: &'static str, more: String) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), log, more, lease: LEASE, ports: Mutex::default() }
    }

    pub(crate) fn with_lease(lease: Duration) -> Self {
        Self { lease, ..Self::new() }
    }

    /// A port that is kept for as long as this is.
    fn port(&self) -> u16 {
        let kept = Reserved::new();
        let port = kept.port();
        self.ports.lock().unwrap().push(kept);
        port
    }

    fn machine(&self, name: &str, table: &str, s3: &str, store: &str, sequencer: bool) -> Machine {
        let dir = self.dir.path().join(name);
        fs::create_dir_all(&dir).unwrap();
        let (port, internal) = (self.port(), self.port());
        let (log, more) = (self.log, &self.more);
        let mut text = format!(
            "data_dir = \"data\"\nkeys_dir = \"keys\"\nplain_keys = true\n\n[{log}]\nlisten = \"127.0.0.1:{port}\"\n\
             url = \"http://{HOST}:1\"\n{more}\n{table}\n\n[{log}.store]\nurl = \"s3://{BUCKET}/{log}\"\nlease_seconds = {}\n{store}\n\
             options = {{ endpoint = \"{s3}\", allow_http = \"true\", region = \"us-east-1\" }}\n",
            self.lease.as_secs()
        );
        let internal_url = format!("http://127.0.0.1:{internal}");
        if sequencer {
            text.push_str(&format!(
                "\n[{log}.sequencer]\nlisten = \"127.0.0.1:{internal}\"\nurl = \"{internal_url}\"\n"
            ));
        }
        let config = dir.join("sealog.toml");
        fs::write(&config, text).unwrap();
        Machine { config, url: format!("http://127.0.0.1:{port}"), internal: internal_url, dir }
    }

    /// A sequencer; the second has the first's key.
    pub(crate) fn sequencer(&self, name: &str, s3: &str, stand_by: bool, like: Option<&Machine>) -> Machine {
        let machine = self.machine(name, "", s3, &format!("stand_by = {stand_by}"), true);
        if let Some(like) = like {
            copy(
                &like.dir.join("keys"),
                &machine.dir.join("keys"),
                &[format!("{}.key", self.log), format!("{}.pub", self.log)],
            );
        }
        init(&machine);
        machine
    }

    /// A sequencer before `init`.
    pub(crate) fn unmade(&self, name: &str, s3: &str) -> Machine {
        self.machine(name, "", s3, "", true)
    }

    /// A front end, with the log's public key alone.
    pub(crate) fn front_end(&self, name: &str, s3: &str, like: &Machine) -> Machine {
        let machine = self.machine(name, "role = \"front-end\"", s3, "", false);
        copy(&like.dir.join("keys"), &machine.dir.join("keys"), &[format!("{}.pub", self.log)]);
        init(&machine);
        machine
    }

    /// The log that takes over from the machine's, on that machine and in its role: a front end has the key of `like`.
    pub(crate) fn successor(&self, machine: &Machine, s3: &str, like: Option<&Machine>) -> Machine {
        let (port, internal, log) = (self.port(), self.port(), self.log);
        let role = if like.is_some() { "role = \"front-end\"\n" } else { "" };
        let internal_url = format!("http://127.0.0.1:{internal}");
        let mut text = format!(
            "\n[[{log}.shards]]\nname = \"{log}-2\"\nstart = \"2026-01-01T00:00:00Z\"\nlisten = \"127.0.0.1:{port}\"\n\
             url = \"http://{SUCCESSOR}:1\"\n{role}\n[{log}.shards.store]\nurl = \"s3://{BUCKET}/{log}-2\"\nlease_seconds = {}\n\
             options = {{ endpoint = \"{s3}\", allow_http = \"true\", region = \"us-east-1\" }}\n",
            self.lease.as_secs()
        );
        match like {
            Some(like) => copy(&like.dir.join("keys"), &machine.dir.join("keys"), &[format!("{log}-2.pub")]),
            None => text.push_str(&format!(
                "\n[{log}.shards.sequencer]\nlisten = \"127.0.0.1:{internal}\"\nurl = \"{internal_url}\"\n"
            )),
        }
        let before = fs::read_to_string(&machine.config).unwrap();
        fs::write(&machine.config, before + &text).unwrap();
        if like.is_none() {
            init(machine);
        }
        let (config, dir) = (machine.config.clone(), machine.dir.clone());
        Machine { config, url: format!("http://127.0.0.1:{port}"), internal: internal_url, dir }
    }

    /// A machine made from a copy of another one's disk, to run beside it.
    pub(crate) fn clone_of(&self, name: &str, s3: &str, like: &Machine) -> Machine {
        let machine = self.machine(name, "", s3, "", true);
        let mut copied = Command::new("cp");
        copied.arg("-r").arg(like.dir.join("data")).arg(like.dir.join("keys")).arg(&machine.dir);
        assert!(copied.status().unwrap().success());
        machine
    }
}

fn copy(from: &Path, to: &Path, names: &[String]) {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().mode(0o700).recursive(true).create(to).unwrap();
    for name in names {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// Runs a command of `sealogd` to its end.
pub(crate) fn sealogd(machine: &Machine, command: &str) -> Output {
    let mut sealogd = Command::new(env!("CARGO_BIN_EXE_sealogd"));
    sealogd.args([command, "--config"]).arg(&machine.config).envs(credentials()).output().unwrap()
}

fn init(machine: &Machine) {
    let output = sealogd(machine, "init");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl Machine {
    /// The log's key.
    pub(crate) fn verifier(&self) -> KeyVerifier {
        KeyVerifier::for_log(HOST, self.public_key("rekor")).unwrap()
    }

    /// Gives the machine's log an end that is over.
    pub(crate) fn ends(&self) {
        self.ends_at("2026-01-02T00:00:00Z");
    }

    pub(crate) fn ends_at(&self, end: &str) {
        let text = fs::read_to_string(&self.config).unwrap();
        let ended = text.replacen("[rekor]\n", &format!("[rekor]\nend = \"{end}\"\n"), 1);
        assert_ne!(text, ended);
        fs::write(&self.config, ended).unwrap();
    }

    pub(crate) fn public_key(&self, log: &str) -> PublicKey {
        let pem = fs::read_to_string(self.dir.join(format!("keys/{log}.pub"))).unwrap();
        PublicKey::from_pem(&pem).unwrap()
    }

    /// Starts `sealogd run`, without waiting for anything.
    pub(crate) fn spawn(&self) -> Process {
        let log = self.dir.join("log.txt");
        let to = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_sealogd"));
        child.args(["run", "--config"]).arg(&self.config).envs(credentials()).env("NO_COLOR", "1");
        let child = child.stdout(Stdio::piped()).stderr(to).spawn().unwrap();
        Process { child, log, url: self.url.clone() }
    }

    /// And waits until its services are up.
    pub(crate) fn start(&self) -> Process {
        let mut process = self.spawn();
        let mut line = String::new();
        BufReader::new(process.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("ready"), "no ready line: {}", process.said());
        process
    }
}

/// A running `sealogd`, killed if a test fails.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
    url: String,
}

impl Process {
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Its exit status, once it has ended by itself.
    pub(crate) async fn ends_within(&mut self, limit: Duration) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < limit, "still running after {limit:?}: {}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until it answers: the socket is there before it does.
    pub(crate) async fn answers_within(&mut self, limit: Duration) {
        let begun = Instant::now();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(1)).build().unwrap();
        while client.get(format!("{}/readyz", self.url)).send().await.is_err() {
            assert!(begun.elapsed() < limit && self.runs(), "not up after {limit:?}: {}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it answers at `/readyz`.
    pub(crate) async fn readiness(&self) -> (u16, String) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("{}/readyz", self.url)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// How long it takes until it has the log.
    pub(crate) async fn serves_within(&self, limit: Duration) -> Duration {
        let begun = Instant::now();
        while self.readiness().await.0 != 200 {
            assert!(begun.elapsed() < limit, "not ready after {limit:?}: {}", self.said());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        begun.elapsed()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
