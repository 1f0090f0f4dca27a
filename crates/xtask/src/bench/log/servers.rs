//! What is measured: ours and the peers', each over a fresh directory, and how its answers are judged.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use sealog_crypto::PublicKey;
use sealog_pki::{Certificate, TrustedChain};
use sealog_tlog::note::KeyVerifier;

use super::bucket;
use super::chain::Chains;
use super::check::{Judge, Place};
use super::requests::Kind;
use crate::dev::until_ready;
use crate::encoding::base64;
use crate::process::{self, Scratch, Service};

const INIT_LIMIT: Duration = Duration::from_secs(60);
/// How long a peer may take to listen.
const LISTEN_LIMIT: Duration = Duration::from_secs(60);
/// rekor-tiles with the best settings found for it.
const TUNED: [&str; 8] = [
    "--checkpoint-interval",
    "100ms",
    "--batch-max-size",
    "4096",
    "--batch-max-age",
    "50ms",
    "--pushback-max-outstanding",
    "40000",
];

/// TesseraCT takes a host with its port for a scheme.
const TESSERACT_ORIGIN: &str = "localhost/bench";
/// It likewise.
const TESSERACT: [&str; 4] = [
    "--checkpoint_interval=100ms",
    "--batch_max_size=4096",
    "--batch_max_age=50ms",
    "--pushback_max_outstanding=40000",
];

/// Ours, where its log is in an object store.
pub(super) const IN_A_BUCKET: &str = "sealogd, in a bucket";

/// A server at work.
pub(super) struct Server {
    pub(super) subject: &'static str,
    pub(super) service: Service,
    pub(super) address: SocketAddr,
    /// Where it keeps what it logs; none where it logs nothing.
    pub(super) data: Option<PathBuf>,
    pub(super) judge: Judge,
    /// Starts it again over the same directory.
    again: Option<Command>,
    log: PathBuf,
}

/// Keys and configuration for one kind of request.
pub(super) struct Stage<'a> {
    sealogd: &'a Path,
    kind: Kind,
    scratch: Scratch,
    port: u16,
    /// Where the object store is that its log is in, if it is in one.
    store: Option<SocketAddr>,
}

impl Server {
    pub(super) fn is_ours(&self) -> bool {
        self.again.is_some()
    }

    /// Lets its files be removed: Sunlight marks what never changes, so that not even its owner can.
    pub(super) fn let_go(&self) -> Result<()> {
        if let Some(data) = self.data.as_deref().filter(|_| self.subject == "Sunlight") {
            process::run(Command::new("chattr").args(["-R", "-i"]).arg(data), INIT_LIMIT)?;
        }
        Ok(())
    }

    /// Ends it at once, as a power cut would.
    pub(super) fn kill(&mut self) -> Result<()> {
        let id = self.service.id().to_string();
        process::run(Command::new("kill").args(["-KILL", &id]), INIT_LIMIT)?.expect_success("kill")?;
        self.service.stop()
    }

    /// Starts it over what it left.
    pub(super) fn start_again(&mut self) -> Result<()> {
        let command = self.again.as_mut().context("only ours is started again")?;
        self.service = until_ready(self.subject, command, &self.log)?.0;
        Ok(())
    }
}

impl<'a> Stage<'a> {
    pub(super) fn new(sealogd: &'a Path, kind: Kind, chains: &Chains) -> Result<Self> {
        Self::over(sealogd, kind, chains, None)
    }

    /// For a log in a bucket of an object store.
    pub(super) fn in_a_bucket(
        sealogd: &'a Path,
        kind: Kind,
        chains: &Chains,
        store: SocketAddr,
    ) -> Result<Self> {
        Self::over(sealogd, kind, chains, Some(store))
    }

    fn over(sealogd: &'a Path, kind: Kind, chains: &Chains, store: Option<SocketAddr>) -> Result<Self> {
        let scratch = Scratch::new(&format!("bench-log-{}", kind.name().replace(' ', "-")))?;
        let port = process::free_port()?;
        let stage = Self { sealogd, kind, scratch, port, store };
        std::fs::write(stage.scratch.file("root.pem"), chains.root_pem())?;
        let table = stage.table();
        let roots = if table == "ctlog" { "roots = [\"root.pem\"]\n" } else { "" };
        let mut text = format!(
            "data_dir = \"data\"\nkeys_dir = \"keys\"\nclient_dir = \"client\"\nplain_keys = true\norganization = \"bench\"\n\n\
             [{table}]\nlisten = \"127.0.0.1:{port}\"\nurl = \"http://localhost:{port}\"\n{roots}"
        );
        if let Some(store) = store {
            text.push_str(&format!(
                "\n[{table}.store]\nurl = \"s3://{}/{table}\"\n\
                 options = {{ endpoint = \"http://{store}\", allow_http = \"true\", region = \"{}\" }}\n",
                bucket::BUCKET,
                bucket::REGION,
            ));
        }
        std::fs::write(stage.scratch.file("sealog.toml"), text)?;
        ensure!(sealogd.exists(), "nothing is built: cargo build --release -p sealog-server");
        process::run(&mut stage.sealogd("init"), INIT_LIMIT)?.expect_success("sealogd init")?;
        Ok(stage)
    }

    /// One of its commands.
    fn sealogd(&self, word: &str) -> Command {
        let mut command = Command::new(self.sealogd);
        command.arg(word).arg("--config").arg(self.scratch.file("sealog.toml")).env("RUST_LOG", "warn");
        if self.store.is_some() {
            command.envs(bucket::credentials());
        }
        command
    }

    const fn table(&self) -> &'static str {
        match self.kind {
            Kind::BareKey | Kind::Certificate => "rekor",
            Kind::Chain | Kind::PreChain => "ctlog",
            Kind::Timestamp => "tsa",
        }
    }

    pub(super) const fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    fn key(&self, name: &str) -> Result<String> {
        let path = self.scratch.file("keys").join(name);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    fn judge(&self, address: SocketAddr) -> Result<Judge> {
        Ok(match self.table() {
            "rekor" => Judge::Rekor(KeyVerifier::for_log(
                "localhost",
                PublicKey::from_pem(&self.key("rekor.pub")?)?,
            )?),
            "ctlog" => {
                let key = PublicKey::from_pem(&self.key("ctlog.pub")?)?;
                let checkpoints = KeyVerifier::tree_head(&self.origin(), key.clone())?;
                Judge::Ct { key, checkpoints, tiles: Place::Server(address) }
            }
            _ => {
                let certificates = Certificate::chain_from_pem(&self.key("tsa.pem")?)?;
                Judge::Tsa(TrustedChain::new(certificates).context("no chain of the timestamp authority")?)
            }
        })
    }

    /// Of the log of certificates.
    fn origin(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Ours.
    pub(super) fn ours(&self) -> Result<Server> {
        let log = self.scratch.file("sealogd.log");
        let (service, _) = until_ready("sealogd", &mut self.sealogd("run"), &log)?;
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        Ok(Server {
            subject: if self.store.is_some() { IN_A_BUCKET } else { "sealogd" },
            service,
            address,
            data: (self.table() != "tsa").then(|| self.scratch.file("data")),
            judge: self.judge(address)?,
            again: Some(self.sealogd("run")),
            log,
        })
    }

    /// The directory of our log.
    pub(super) fn data(&self) -> PathBuf {
        self.scratch.file("data").join(self.table())
    }

    /// The public files of our log.
    pub(super) fn public_files(&self) -> PathBuf {
        self.data().join("public")
    }

    /// rekor-tiles over the same key.
    pub(super) fn rekor_tiles(&self, program: &Path, tuned: bool) -> Result<Server> {
        let subject = if tuned { "rekor-tiles, tuned" } else { "rekor-tiles" };
        let storage = self.scratch.file(if tuned { "tuned" } else { "storage" });
        std::fs::create_dir(&storage)?;
        let port = process::free_port()?;
        let mut command = Command::new(program);
        command.args(["serve", "--hostname", "localhost"]);
        for (option, port) in [
            ("--http-port", port),
            ("--grpc-port", process::free_port()?),
            ("--http-metrics-port", process::free_port()?),
        ] {
            command.arg(option).arg(port.to_string());
        }
        command
            .arg("--storage-dir")
            .arg(&storage)
            .arg("--signer-filepath")
            .arg(self.scratch.file("keys/rekor.key"));
        if tuned {
            command.args(TUNED);
        }
        self.peer(subject, command, port, Some(storage))
    }

    /// timestamp-server over the same key and chain.
    pub(super) fn timestamp_server(&self, program: &Path) -> Result<Server> {
        let port = process::free_port()?;
        let mut command = Command::new(program);
        command.args(["serve", "--host", "127.0.0.1", "--port", &port.to_string(), "--scheme", "http"]);
        command.args([
            "--disable-ntp-monitoring",
            "--timestamp-signer",
            "file",
            "--file-signer-passwd",
            "none",
        ]);
        command.arg("--file-signer-key-path").arg(self.scratch.file("keys/tsa.key"));
        command.arg("--certificate-chain-path").arg(self.scratch.file("keys/tsa.pem"));
        self.peer("timestamp-server", command, port, None)
    }

    /// TesseraCT on a POSIX file system, over the same key, with the best settings found for it.
    pub(super) fn tesseract(&self, program: &Path) -> Result<Server> {
        let storage = self.scratch.file("tesseract");
        std::fs::create_dir(&storage)?;
        let mut convert = Command::new("openssl");
        convert.args(["ec", "-in"]).arg(self.scratch.file("keys/ctlog.key"));
        convert.arg("-out").arg(self.scratch.file("sec1.key"));
        process::run(&mut convert, INIT_LIMIT)?.expect_success("openssl ec")?;
        let port = process::free_port()?;
        let mut command = Command::new(program);
        command.arg(format!("--http_endpoint=127.0.0.1:{port}")).arg(format!("--origin={TESSERACT_ORIGIN}"));
        command.arg("--storage_dir").arg(&storage).arg("--private_key").arg(self.scratch.file("sec1.key"));
        command.arg("--roots_pem_file").arg(self.scratch.file("root.pem"));
        command.args(TESSERACT);
        let mut server = self.peer("TesseraCT", command, port, Some(storage.clone()))?;
        if let Judge::Ct { key, checkpoints, tiles } = &mut server.judge {
            *checkpoints = KeyVerifier::tree_head(TESSERACT_ORIGIN, key.clone())?;
            *tiles = Place::Directory(storage);
        }
        Ok(server)
    }

    /// Sunlight in a local directory, with a key of its own, and a tenth of its usual period.
    pub(super) fn sunlight(&self, program: &Path) -> Result<Server> {
        let (home, port) = (self.scratch.path().display(), process::free_port()?);
        let data = self.scratch.file("sunlight");
        std::fs::write(self.scratch.file("seed"), sealog_crypto::random_array::<32>()?)?;
        let mut table = Command::new("sqlite3");
        table.arg(self.scratch.file("checkpoints.db"));
        table.arg("CREATE TABLE checkpoints (logID BLOB PRIMARY KEY, body BLOB NOT NULL) STRICT");
        process::run(&mut table, INIT_LIMIT)?.expect_success("sqlite3")?;
        let today =
            process::run(Command::new("date").args(["-u", "+%F"]), INIT_LIMIT)?.expect_success("date")?;
        let config = format!(
            "listen: [\"127.0.0.1:{port}\"]\ncheckpoints: {home}/checkpoints.db\nlogs:\n  - shortname: bench\n    inception: {}\n\
             \x20   period: 100\n    submissionprefix: https://localhost\n    monitoringprefix: https://localhost/read\n\
             \x20   roots: {home}/root.pem\n    secret: {home}/seed\n    cache: {home}/cache.db\n\
             \x20   localdirectory: {}\n    notafterstart: 2020-01-01T00:00:00Z\n    notafterlimit: 2100-01-01T00:00:00Z\n",
            today.trim(),
            data.display(),
        );
        std::fs::write(self.scratch.file("sunlight.yaml"), config)?;
        let mut command = Command::new(program);
        command.arg("-c").arg(self.scratch.file("sunlight.yaml"));
        let mut server = self.peer("Sunlight", command, port, Some(data.clone()))?;
        let described: serde_json::Value =
            serde_json::from_slice(&super::check::ask(server.address, "log.v3.json")?)?;
        let key =
            described.get("key").and_then(serde_json::Value::as_str).and_then(base64).context("no key")?;
        let key = PublicKey::from_spki_der(&key)?;
        let checkpoints = KeyVerifier::tree_head("localhost", key.clone())?;
        server.judge = Judge::Ct { key, checkpoints, tiles: Place::Directory(data) };
        Ok(server)
    }

    fn peer(
        &self,
        subject: &'static str,
        mut command: Command,
        port: u16,
        data: Option<PathBuf>,
    ) -> Result<Server> {
        let log = self.scratch.file(&format!("{port}.log"));
        let mut service = Service::start(subject, &mut command, &log)?;
        service.wait_for_port(port, LISTEN_LIMIT)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Ok(Server { subject, service, address, data, judge: self.judge(address)?, again: None, log })
    }
}
