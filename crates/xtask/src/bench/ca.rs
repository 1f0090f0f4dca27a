//! `cargo xtask bench ca`: certificates in a second, everything in them: token, possession, precertificate, CT log, SCT, signature.
//!
//! The same prepared requests go to `sealogd` and to Fulcio, over the same keys, from `wrk` on the same machine, in a closed loop at
//! several concurrencies; each side's best is quoted. Our certificate log is in all figures of ours; Fulcio is measured with it
//! and without any.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::figures::Figures;
use super::usage::cpu_seconds;
use crate::House;
use crate::dev::until_ready;
use crate::peers::{self, Peers};
use crate::process::{self, Scratch, Service};

/// Requests that are made before.
const REQUESTS: &str = "4000";
/// Callers at a time.
const CONCURRENCIES: [u32; 4] = [1, 16, 64, 128];
/// How long each is measured.
const SECONDS: u64 = 8;
const LIMIT: Duration = Duration::from_secs(120);

/// What one run gave.
struct Measured {
    per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_us: f64,
}

/// Measures, prints a table, then the same as JSON lines.
pub(crate) fn command(house: &House) -> Result<bool> {
    let peers = peers::install(house)?;
    peers::of_the_machine(&["wrk"], "wrk")?;
    let mut figures = Figures::of("ca");
    for curve in ["P-256", "P-384"] {
        let stage = Stage::new(house, &peers, curve)?;
        stage.measure(&mut figures)?;
    }
    figures.compare("sealogd");
    figures.print();
    Ok(true)
}

struct Stage<'a> {
    house: &'a House,
    peers: &'a Peers,
    curve: &'static str,
    scratch: Scratch,
    service: Service,
    urls: Value,
}

impl<'a> Stage<'a> {
    fn new(house: &'a House, peers: &'a Peers, curve: &'static str) -> Result<Self> {
        let scratch = Scratch::new("bench-ca")?;
        let mut text = String::from(
            "data_dir = \"data\"\nkeys_dir = \"keys\"\nclient_dir = \"client\"\nplain_keys = true\norganization = \"bench\"\n",
        );
        let oidc = process::free_port()?;
        for (name, port) in
            [("oidc", Some(oidc)), ("rekor", None), ("ctlog", None), ("tsa", None), ("ca", None)]
        {
            let port = port.map_or_else(process::free_port, Ok)?;
            text.push_str(&format!(
                "\n[{name}]\nlisten = \"localhost:{port}\"\nurl = \"http://localhost:{port}\"\n"
            ));
        }
        text.push_str(&format!("\n[[ca.issuers]]\nissuer = \"http://localhost:{oidc}\"\ntype = \"email\"\n"));
        let config = scratch.file("sealog.toml");
        std::fs::write(&config, text)?;
        let sealogd = house.program("sealogd");
        ensure!(sealogd.exists(), "nothing is built: cargo build --release -p sealog-server -p sealog-cli");
        make_authority(&scratch, curve)?;
        let mut install = Command::new(&sealogd);
        install
            .args(["authority", "install", "--config"])
            .arg(&config)
            .arg("--chain")
            .arg(scratch.file("chain.pem"));
        install.arg("--key").arg(scratch.file("ca.key"));
        process::run(&mut install, LIMIT)?.expect_success("sealogd authority install")?;
        let mut init = Command::new(&sealogd);
        process::run(init.arg("init").arg("--config").arg(&config), LIMIT)?.expect_success("sealogd init")?;
        let mut run = Command::new(&sealogd);
        run.arg("run").arg("--config").arg(&config).env("RUST_LOG", "warn");
        let (service, ready) = until_ready("sealogd run", &mut run, &scratch.file("sealogd.log"))?;
        let mut requests = Command::new(&peers.python);
        requests
            .arg(house.path("tests/strangers/oracles/requests.py"))
            .arg(REQUESTS)
            .arg(scratch.file("requests"));
        process::run(&mut requests, LIMIT)?.expect_success("making requests")?;
        let urls = ready.get("services").cloned().context("the ready line names no services")?;
        Ok(Self { house, peers, curve, scratch, service, urls })
    }

    fn url(&self, service: &str) -> Result<&str> {
        self.urls
            .get(service)
            .and_then(Value::as_str)
            .with_context(|| format!("no {service} in the ready line"))
    }

    fn measure(mut self, figures: &mut Figures) -> Result<()> {
        let fulcio = self.fulcio(true)?;
        let alone = self.fulcio(false)?;
        let ours = (self.service.id(), self.url("ca")?.to_owned());
        for (subject, (id, url)) in [
            ("sealogd", &ours),
            ("fulcio, our CT log", &(fulcio.0.id(), fulcio.1.clone())),
            ("fulcio, no CT log", &(alone.0.id(), alone.1.clone())),
        ] {
            println!("{}: {subject}", self.curve);
            let mut best: Option<(u32, Measured)> = None;
            for concurrency in CONCURRENCIES {
                let measured = self.load(url, *id, concurrency)?;
                println!(
                    "  {concurrency:4} callers: {:8.0} /s, p50 {:6.2} ms, p99 {:6.2} ms, {:5.0} us of CPU",
                    measured.per_second, measured.p50_ms, measured.p99_ms, measured.cpu_us
                );
                if best.as_ref().is_none_or(|(_, other)| measured.per_second > other.per_second) {
                    best = Some((concurrency, measured));
                }
            }
            let (_, best) = best.context("nothing was measured")?;
            let metric = |what: &str| format!("{}: {what}", self.curve);
            figures.add(subject, &metric("certificates, at its best"), best.per_second, "/s");
            figures.add(subject, &metric("median, at its best"), best.p50_ms, "ms");
            figures.add(subject, &metric("slowest of a hundred, at its best"), best.p99_ms, "ms");
            figures.add(subject, &metric("server's CPU each"), best.cpu_us, "us");
        }
        for (mut service, _) in [fulcio, alone] {
            service.stop()?;
        }
        self.service.stop()
    }

    /// One run of `wrk`.
    fn load(&self, url: &str, id: u32, concurrency: u32) -> Result<Measured> {
        let mut token = Command::new(self.house.program("sealogd"));
        token.args(["token", "--email", "ada@example.com", "--dir"]).arg(self.scratch.path());
        let token = process::run(&mut token, LIMIT)?.expect_success("sealogd token")?;
        let token_file = self.scratch.file("token");
        crate::dev::write_secret(&token_file, &token)?;
        let before = cpu_seconds(id)?;
        let mut wrk = Command::new("wrk");
        wrk.args([
            "-t",
            "1",
            "-c",
            &concurrency.to_string(),
            "-d",
            &format!("{SECONDS}s"),
            "--timeout",
            "20s",
            "-s",
        ]);
        wrk.arg(self.house.path("tests/strangers/oracles/post.lua")).arg(format!("{url}/api/v2/signingCert"));
        wrk.arg("--").arg(self.scratch.file("requests")).arg(&token_file);
        let said = process::run(&mut wrk, LIMIT)?.expect_success("wrk")?;
        let spent = cpu_seconds(id)? - before;
        let line = said.lines().find(|line| line.starts_with('{')).context("wrk printed no figures")?;
        let line: Value = serde_json::from_str(line)?;
        let number =
            |name: &str| line.get(name).and_then(Value::as_f64).with_context(|| format!("no {name}"));
        if number("failed")? > 0.0 {
            bail!("{} of {} answers were no certificates", number("failed")?, number("requests")?);
        }
        let requests = number("requests")?.max(1.0);
        Ok(Measured {
            per_second: requests / number("seconds")?,
            p50_ms: number("p50_ms")?,
            p99_ms: number("p99_ms")?,
            cpu_us: spent * 1e6 / requests,
        })
    }

    /// Fulcio over the same key and chain, believing the same issuer.
    fn fulcio(&self, logs: bool) -> Result<(Service, String)> {
        let oidc = self.url("oidc")?;
        let config = self.scratch.file("fulcio.json");
        let issuers =
            json!({"OIDCIssuers": {oidc: {"IssuerURL": oidc, "ClientID": "sigstore", "Type": "email"}}});
        std::fs::write(&config, issuers.to_string())?;
        let (port, grpc) = (process::free_port()?, process::free_port()?);
        let log = if logs { self.url("ctlog")? } else { "" };
        let mut command = Command::new(&self.peers.fulcio);
        command.args(["serve", "--host=127.0.0.1", "--grpc-host=127.0.0.1", "--log_type=prod"]);
        command.arg(format!("--port={port}")).arg(format!("--grpc-port={grpc}"));
        command.arg(format!("--metrics-port={}", process::free_port()?));
        command.arg(format!("--legacy-unix-domain-socket=@sealog-bench-{port}"));
        command.arg("--config-path").arg(&config).arg(format!("--ct-log-url={log}"));
        command.args(["--ca", "fileca", "--fileca-watch=false", "--fileca-key-passwd", "none"]);
        command.arg("--fileca-cert").arg(self.scratch.file("chain.pem"));
        command.arg("--fileca-key").arg(self.scratch.file("ca.key"));
        let log = self.scratch.file(&format!("fulcio-{port}.log"));
        let mut service = Service::start("fulcio", &mut command, &log)?;
        service.wait_for_port(port, Duration::from_secs(20))?;
        Ok((service, format!("http://127.0.0.1:{port}")))
    }
}

/// A root and an intermediate of one curve, by OpenSSL, with the key as both sides read it.
fn make_authority(scratch: &Scratch, curve: &str) -> Result<()> {
    std::fs::write(
        scratch.file("extensions"),
        "basicConstraints=critical,CA:TRUE,pathlen:0\nkeyUsage=critical,keyCertSign,cRLSign\nextendedKeyUsage=codeSigning\n\
         subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
    )?;
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(scratch.path());
        process::run(&mut command, Duration::from_secs(30))?.expect_success("openssl").map(drop)
    };
    let key = |name: &str| {
        openssl(&format!("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{curve} -out {name}"))
    };
    key("root.key")?;
    key("ca.key")?;
    openssl("req -x509 -new -key root.key -days 3650 -subj /CN=root -out root.pem")?;
    openssl("req -new -key ca.key -subj /CN=authority -out ca.csr")?;
    openssl(
        "x509 -req -in ca.csr -CA root.pem -CAkey root.key -CAcreateserial -days 1825 -extfile extensions -out ca.pem",
    )?;
    let read = |name: &str| std::fs::read_to_string(scratch.file(name));
    std::fs::write(scratch.file("chain.pem"), read("ca.pem")? + &read("root.pem")?)?;
    only_owner(&scratch.file("ca.key"))
}

fn only_owner(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?)
}
