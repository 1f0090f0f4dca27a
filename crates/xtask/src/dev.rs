//! A running `sealogd dev`: started in a directory, its ready line read, tokens had from it.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::House;
use crate::process::{self, Service};

/// How long `dev` may take to say it is ready, keys and first log entries included.
const READY_LIMIT: Duration = Duration::from_secs(120);
/// The longest a token may take.
const TOKEN_LIMIT: Duration = Duration::from_secs(120);
/// The address whose owner signs in the tests.
pub(crate) const EMAIL: &str = "ada@example.com";

/// All services of one directory.
pub(crate) struct Dev {
    service: Service,
    sealogd: PathBuf,
    dir: PathBuf,
    ready: Value,
    took: Duration,
}

impl Dev {
    /// Starts the release build over `dir` and waits for its ready line.
    pub(crate) fn start(house: &House, dir: &Path) -> Result<Self> {
        let sealogd = house.program("sealogd");
        if !sealogd.exists() {
            bail!("{} is not built: cargo build --release -p sealog-server -p sealog-cli", sealogd.display());
        }
        let log = dir.with_extension("log");
        let mut command = Command::new(&sealogd);
        command.arg("dev").arg("--dir").arg(dir).args(["--base-port", "0"]);
        let started = Instant::now();
        let (service, ready) = until_ready("sealogd dev", &mut command, &log)?;
        Ok(Self { service, sealogd, dir: dir.to_path_buf(), ready, took: started.elapsed() })
    }

    /// The address of a service.
    pub(crate) fn url(&self, service: &str) -> Result<String> {
        let url = self.ready.get("services").and_then(|all| all.get(service)).and_then(Value::as_str);
        Ok(url.with_context(|| format!("the ready line names no {service}"))?.to_owned())
    }

    /// Its directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// From start to the ready line.
    pub(crate) fn start_took(&self) -> Duration {
        self.took
    }

    /// A file for clients.
    pub(crate) fn client_file(&self, name: &str) -> PathBuf {
        let told = self.ready.get("client").and_then(Value::as_str).map(PathBuf::from);
        told.unwrap_or_else(|| self.dir.join("client")).join(name)
    }

    /// The folder for clients.
    pub(crate) fn client_dir(&self) -> PathBuf {
        self.client_file("")
    }

    /// Host and port of a service.
    pub(crate) fn authority(&self, service: &str) -> Result<String> {
        let url = self.ready.pointer(&format!("/services/{service}")).and_then(Value::as_str);
        let url = url.with_context(|| format!("the ready line does not name {service}"))?;
        Ok(url.trim_start_matches("http://").trim_end_matches('/').to_owned())
    }

    /// An identity token for an address.
    pub(crate) fn email_token(&self, email: &str) -> Result<String> {
        self.token(&["--email", email])
    }

    /// A token with these claims.
    pub(crate) fn claims_token(&self, claims: &Path) -> Result<String> {
        let path = claims.to_str().context("the path is text")?;
        self.token(&["--claims", path])
    }

    /// `sealogd token` with these options.
    pub(crate) fn token(&self, options: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.sealogd);
        command.arg("token").arg("--dir").arg(&self.dir).args(options);
        let said = process::run(&mut command, TOKEN_LIMIT)?.expect_success("sealogd token")?;
        Ok(said.trim().to_owned())
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(mut self) -> Result<()> {
        self.service.stop()
    }
}

/// Starts services and waits for their ready line.
pub(crate) fn until_ready(name: &str, command: &mut Command, log: &Path) -> Result<(Service, Value)> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(log)?)
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let stdout = child.stdout.take().context("standard output was piped")?;
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || follow(stdout, &sender));
    let service = Service::adopt(name, child, log);
    match receiver.recv_timeout(READY_LIMIT) {
        Ok(ready) => Ok((service, ready)),
        Err(_) => bail!("{name} did not become ready:\n{}", service.last_words()),
    }
}

/// Reads standard output to its end, so that the server never waits for us, and passes on the ready line.
fn follow(stdout: impl std::io::Read, ready: &mpsc::Sender<Value>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Ok(value) = serde_json::from_str::<Value>(&line) else { continue };
        if value.get("event").and_then(Value::as_str) == Some("ready") {
            // Nobody waits any more after the first one.
            let _ = ready.send(value);
        }
    }
}

/// Writes a file that others may not read.
pub(crate) fn write_secret(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(())
}
