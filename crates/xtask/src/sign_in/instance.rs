//! An instance with a provider that asks who people are, a program that signs there, and the browser on its way.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::House;
use crate::dev::until_ready;
use crate::peers::Peers;
use crate::process::{self, Scratch, Service, free_port};
use crate::strangers::browser::{Opener, whole_lines};

/// The longest one sign-in may take.
const LIMIT: Duration = Duration::from_secs(300);
/// The longest a program may take to listen, to ask for something, or to write a letter.
pub(super) const ASK_LIMIT: Duration = Duration::from_secs(120);
/// How often it is looked whether it has.
const POLL: Duration = Duration::from_millis(50);

/// All services of one configuration.
pub(super) struct Instance<'a> {
    house: &'a House,
    peers: &'a Peers,
    pub(super) scratch: Scratch,
    /// The provider's URL.
    pub(super) oidc: String,
    service: Service,
    name: &'static str,
}

/// A program that waits for a person.
pub(super) struct Waiting {
    service: Service,
    keyboard: ChildStdin,
    opener: Opener,
    log: PathBuf,
    bundle: PathBuf,
}

impl<'a> Instance<'a> {
    /// Makes and starts one; `oidc` is what the provider's table says beside where it is.
    pub(super) fn start(
        house: &'a House,
        peers: &'a Peers,
        name: &'static str,
        scratch: Scratch,
        port: u16,
        oidc: &str,
    ) -> Result<Self> {
        let url = format!("http://localhost:{port}");
        let tables = format!(
            "\n[oidc]\nlisten = \"localhost:{port}\"\nurl = \"{url}\"\n{oidc}\n\
             \n[[ca.issuers]]\nissuer = \"{url}\"\ntype = \"email\"\n\
             issuer_claim = \"$.federated_claims.connector_id\"\n"
        );
        Self::start_with(house, peers, name, scratch, url, &tables)
    }

    /// Makes and starts one where people sign in at that provider; `tables` is what the configuration says of it.
    pub(super) fn start_with(
        house: &'a House,
        peers: &'a Peers,
        name: &'static str,
        scratch: Scratch,
        oidc: String,
        tables: &str,
    ) -> Result<Self> {
        let mut text = String::from(
            "data_dir = \"data\"\nkeys_dir = \"keys\"\nclient_dir = \"client\"\nplain_keys = true\norganization = \"test\"\n",
        );
        for service in ["rekor", "ctlog", "tsa", "ca"] {
            let port = free_port()?;
            text.push_str(&format!(
                "\n[{service}]\nlisten = \"localhost:{port}\"\nurl = \"http://localhost:{port}\"\n"
            ));
        }
        text.push_str(tables);
        let config = scratch.file("sealog.toml");
        std::fs::write(&config, text)?;
        std::fs::create_dir_all(scratch.file("home"))?;
        std::fs::write(scratch.file("file"), "something to sign\n")?;
        let sealogd = house.program("sealogd");
        let mut init = Command::new(&sealogd);
        process::run(init.arg("init").arg("--config").arg(&config), LIMIT)?.expect_success("sealogd init")?;
        let mut check = Command::new(&sealogd);
        process::run(check.arg("check").arg("--config").arg(&config), LIMIT)?
            .expect_success("sealogd check")?;
        let mut run = Command::new(&sealogd);
        run.arg("run").arg("--config").arg(&config);
        let (service, _) = until_ready("sealogd run", &mut run, &scratch.file("sealogd.log"))?;
        Ok(Self { house, peers, scratch, oidc, service, name })
    }

    /// What the services said so far.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.file("sealogd.log")).unwrap_or_default()
    }

    /// Stops the services.
    pub(super) fn stop(mut self) -> Result<()> {
        self.service.stop()
    }

    /// Starts `sealog sign` with these options.
    pub(super) fn sign(&self, name: &str, options: &[&str]) -> Result<Waiting> {
        let folder = self.scratch.file(&format!("sign-{name}"));
        let opener = Opener::new(&folder)?;
        let (log, bundle) = (folder.join("log"), folder.join("bundle"));
        let file = File::create(&log)?;
        let mut command = Command::new(self.house.program("sealog"));
        command.arg("sign").arg(self.scratch.file("file")).args(["--no-ambient", "--trust"]);
        command.arg(self.scratch.file("client")).arg("--bundle").arg(&bundle).args(options);
        let mut child = command
            .env("HOME", self.scratch.file("home"))
            .env("BROWSER", &opener.script)
            .env("PATH", opener.path()?)
            .stdin(Stdio::piped())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .context("cannot start sealog")?;
        let keyboard = child.stdin.take().context("standard input was piped")?;
        Ok(Waiting { service: Service::adopt("sealog sign", child, &log), keyboard, opener, log, bundle })
    }

    /// Walks through pages from an address on; what they said.
    pub(super) fn walk(&self, name: &str, url: &str, steps: &Value) -> Result<String> {
        let file = self.scratch.file(&format!("steps-{name}.json"));
        std::fs::write(&file, steps.to_string())?;
        let mut walk = Command::new(&self.peers.node);
        walk.env("NODE_PATH", &self.peers.node_modules).env("HOME", self.scratch.file("home"));
        walk.arg(self.house.path("tests/strangers/identity/walk.cjs")).arg(&self.peers.chromium).arg(url);
        walk.arg(&file).arg(self.house.path("target/sign-in").join(self.name).join(name)).arg(&self.oidc);
        let walked = process::run(&mut walk, LIMIT)?.expect_success(&format!("the browser at {url}"));
        walked.with_context(|| format!("the services said:\n{}", self.log()))
    }

    /// The bundle must verify for this person.
    pub(super) fn verify(&self, bundle: &Path, identity: &str, issuer: &str) -> Result<()> {
        let mut command = Command::new(self.house.program("sealog"));
        command.arg("verify").arg(self.scratch.file("file")).arg("--bundle").arg(bundle);
        command
            .args(["--identity", identity, "--issuer", issuer, "--trust"])
            .arg(self.scratch.file("client"));
        process::run(&mut command, LIMIT)?.expect_success("sealog verify")?;
        Ok(())
    }
}

impl Waiting {
    /// The address it opened.
    pub(super) fn address(&self) -> Result<String> {
        self.opener.address(&self.log)
    }

    /// The page and the code of a device, as it printed them.
    pub(super) fn device(&self) -> Result<(String, String)> {
        let deadline = Instant::now() + ASK_LIMIT;
        while Instant::now() < deadline {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            // It writes piece by piece: half a code is a code.
            let mut lines =
                whole_lines(&said).lines().map(str::trim).skip_while(|line| !line.starts_with("to sign in"));
            if let (Some(_), Some(page), Some(_), Some(code)) =
                (lines.next(), lines.next(), lines.next(), lines.next())
            {
                return Ok((page.to_owned(), code.to_owned()));
            }
            std::thread::sleep(POLL);
        }
        bail!("no device code:\n{}", std::fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// Types a line into its terminal once it has asked `times` times for one.
    pub(super) fn types(&mut self, times: usize, line: &str) -> Result<()> {
        let deadline = Instant::now() + ASK_LIMIT;
        while Instant::now() < deadline {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            if said.matches("then Enter:").count() >= times {
                return writeln!(self.keyboard, "{line}").context("nobody reads what is typed");
            }
            std::thread::sleep(POLL);
        }
        bail!("nothing was asked for:\n{}", std::fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// Waits until it has signed; where the bundle is.
    pub(super) fn signed(mut self) -> Result<PathBuf> {
        match self.service.wait(LIMIT)? {
            Some(0) => Ok(self.bundle),
            status => bail!("sealog sign ended with {status:?}:\n{}", self.service.last_words()),
        }
    }
}

/// A program of Node's that says in JSON where it listens.
pub(super) fn node(
    house: &House,
    peers: &Peers,
    script: &str,
    arguments: &[&str],
    log: &Path,
) -> Result<(Service, Value)> {
    let mut command = Command::new(&peers.node);
    command.env("NODE_PATH", &peers.node_modules).arg(house.path("tests/strangers/identity").join(script));
    let mut child = command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(File::create(log)?)
        .spawn()
        .with_context(|| format!("cannot start {script}"))?;
    let stdout = child.stdout.take().context("standard output was piped")?;
    let service = Service::adopt(script, child, log);
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        use std::io::{BufRead as _, BufReader};
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Ok(said) = serde_json::from_str::<Value>(&line) {
                // Nobody waits any more after the first one.
                let _ = sender.send(said);
            }
        }
    });
    match receiver.recv_timeout(ASK_LIMIT) {
        Ok(said) => Ok((service, said)),
        Err(_) => bail!("{script} did not say where it listens:\n{}", service.last_words()),
    }
}
