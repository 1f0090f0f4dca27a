//! `cargo xtask bench verify`: how fast bundles are verified, beside the peers in the same run.
//!
//! Warm: bundles in a second of CPU time on one core, the document parsed each time and the trusted root prepared
//! before. Cold: a whole process to its verdict. Large: CPU time and memory for files of gigabytes, beside bare SHA-256. Many: one
//! call for ten thousand files. Runs of different programs alternate, so that what else the machine does meets all
//! of them. What the figures were, and where the time goes, stands in `docs/reference/performance.md`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::figures::{Figures, median};
use crate::House;
use crate::conformance::{IDENTITY, ISSUER};
use crate::peers::{self, Peers};
use crate::process;
use crate::steps::CONFORMANCE;
use crate::strangers::{Sealog, Stage};

/// Warm rounds, and how long each program runs in one.
const WARM_ROUNDS: usize = 7;
const WARM_SECONDS: &str = "2";
/// Cold processes of each program.
const COLD_RUNS: usize = 60;
/// As many of one program follow each other where they do.
const COLD_ROW: usize = 10;
/// Passes over a large file, by size in GiB.
const LARGE: [(u64, usize); 2] = [(1, 5), (10, 2)];
/// A program that needs this much memory (KiB) for 1 GiB is not given ten.
const HOLDS_WHOLE_FILES: f64 = 512.0 * 1024.0;
/// Files in one call, and the cold calls that are scaled to as many.
const MANY: usize = 10_000;
const MANY_COLD: usize = 500;
/// The longest any one process may take.
const LIMIT: Duration = Duration::from_secs(600);
/// The parts, by name.
const PARTS: [&str; 4] = ["warm", "cold", "large", "many"];

/// Measures the parts asked for (none: all).
pub(crate) fn command(house: &House, only: &[&str]) -> Result<bool> {
    if let Some(unknown) = only.iter().find(|name| !PARTS.contains(name)) {
        bail!("there is no part `{unknown}`; there are: {}", PARTS.join(", "));
    }
    let wanted = |name: &str| only.is_empty() || only.contains(&name);
    let peers = peers::install(house)?;
    peers::of_the_machine(&["time"], "time")?;
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "--quiet", "-p", "sealog-verify", "--example", "batch"]);
    if !process::show(build.current_dir(&house.root))? {
        bail!("the example `batch` of sealog-verify does not build; what cargo said stands above");
    }
    let stage = Stage::new(house, &peers)?;
    let bench = Bench::new(house, &peers, &stage)?;
    let mut figures = Figures::of("verify");
    if wanted("warm") {
        bench.warm(&mut figures)?;
    }
    if wanted("cold") {
        bench.cold(&mut figures)?;
    }
    if wanted("large") {
        bench.large(&mut figures)?;
    }
    if wanted("many") {
        bench.many(&mut figures)?;
    }
    stage.dev.stop()?;
    figures.compare("sealog");
    figures.print();
    Ok(true)
}

/// A bundle, and what it is to be verified with.
struct Subject {
    bundle: PathBuf,
    trusted_root: PathBuf,
    artifact: PathBuf,
    identity: String,
    issuer: String,
}

impl Subject {
    fn line(&self) -> String {
        json!({
            "id": "warm",
            "bundle": self.bundle.to_string_lossy(),
            "trusted_root": self.trusted_root.to_string_lossy(),
            "artifact": self.artifact.to_string_lossy(),
            "identity": self.identity,
            "issuer": self.issuer,
        })
        .to_string()
    }
}

struct Bench<'a> {
    house: &'a House,
    peers: &'a Peers,
    stage: &'a Stage<'a>,
    ours: Sealog,
}

impl<'a> Bench<'a> {
    fn new(house: &'a House, peers: &'a Peers, stage: &'a Stage<'a>) -> Result<Self> {
        let ours = Sealog::new(house);
        if !house.program("sealog").exists() {
            bail!("nothing is built: cargo build --release -p sealog-server -p sealog-cli");
        }
        Ok(Self { house, peers, stage, ours })
    }

    /// `sealog` signs a file as the stage's person.
    fn signed(&self, file: &Path) -> Result<Subject> {
        self.stage.renew_person()?;
        let person = &self.stage.person;
        let bundle = PathBuf::from(format!("{}.sigstore.json", file.display()));
        let mut command = self.ours.command(self.stage);
        command.arg("sign").arg(file).arg("--trust").arg(self.stage.dev.client_dir());
        command.arg("--identity-token").arg(format!("@{}", person.token_file.display()));
        process::run(command.arg("--bundle").arg(&bundle), LIMIT)?.expect_success("sealog sign")?;
        Ok(Subject {
            bundle,
            trusted_root: self.stage.dev.client_file("trusted_root.json"),
            artifact: file.to_path_buf(),
            identity: person.identity.clone(),
            issuer: person.issuer.clone(),
        })
    }

    fn warm(&self, figures: &mut Figures) -> Result<()> {
        let file = self.stage.scratch.file("warm.txt");
        std::fs::write(&file, "a small file\n")?;
        let mut subjects = vec![("Rekor v2 + TSA, sealogd's", self.signed(&file)?)];
        match std::env::var_os(CONFORMANCE) {
            None => println!("left out: bundles of the public instance, which {CONFORMANCE} leads to"),
            Some(folder) => {
                for (name, case) in [
                    ("Rekor v2 + TSA, public", "rekor2-timestamp-with-embedded-cert"),
                    ("Rekor v1, public", "happy-path-v0.3"),
                ] {
                    subjects.push((name, public(Path::new(&folder), case)));
                }
            }
        }
        let line = self.stage.scratch.file("warm.jsonl");
        for (name, subject) in subjects {
            println!("warm, {name}");
            std::fs::write(&line, subject.line() + "\n")?;
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..WARM_ROUNDS {
                ours.push(rate(&self.house.path("target/release/examples/batch"), &line)?);
                theirs.push(rate(&self.peers.sigstore_rust, &line)?);
            }
            let metric = format!("warm, one core: {name}");
            figures.add("sealog", &metric, median(&ours), "/s");
            figures.add("sigstore-verify", &metric, median(&theirs), "/s");
        }
        Ok(())
    }

    /// The programs that judge one file a process.
    fn programs(&self, subject: &Subject) -> Vec<(&'static str, Command)> {
        let Subject { bundle, trusted_root, artifact, identity, issuer } = subject;
        let home = self.stage.home();
        let mut sealog = Command::new(self.house.program("sealog"));
        sealog.arg("verify").arg(artifact).arg("--bundle").arg(bundle);
        sealog.args(["--identity", identity, "--issuer", issuer, "--trusted-root"]).arg(trusted_root);
        let mut cosign = Command::new(&self.peers.cosign);
        cosign.args(["verify-blob", "--use-signed-timestamps", "--bundle"]).arg(bundle);
        cosign.arg("--trusted-root").arg(trusted_root);
        cosign.args(["--certificate-identity", identity, "--certificate-oidc-issuer", issuer]).arg(artifact);
        let mut rust = Command::new(&self.peers.sigstore_rust);
        rust.args(["verify-bundle", "--bundle"]).arg(bundle).args(["--certificate-identity", identity]);
        rust.args(["--certificate-oidc-issuer", issuer, "--trusted-root"]).arg(trusted_root).arg(artifact);
        let mut python = Command::new(&self.peers.sigstore_python);
        python.arg("--trust-config").arg(self.stage.dev.client_file("client_trust_config.json"));
        python.args(["verify", "identity", "--offline", "--bundle"]).arg(bundle);
        python.args(["--cert-identity", identity, "--cert-oidc-issuer", issuer]).arg(artifact);
        let mut all = vec![
            ("sealog", sealog),
            ("cosign", cosign),
            ("sigstore-verify", rust),
            ("sigstore-python", python),
        ];
        for (_, command) in &mut all {
            command.env("HOME", &home);
        }
        all
    }

    fn cold(&self, figures: &mut Figures) -> Result<()> {
        let file = self.stage.scratch.file("small.txt");
        std::fs::write(&file, "another small file\n")?;
        let mut programs = self.programs(&self.signed(&file)?);
        println!("cold, {COLD_RUNS} processes of each of {}", programs.len());
        // One each with their words read, to see that they verify and why not.
        for (name, command) in &mut programs {
            process::run(command, LIMIT)?.expect_success(name)?;
        }
        let milliseconds = |(name, command): &mut (&str, Command)| {
            let took = process::time(command)?.with_context(|| format!("{name} failed"))?;
            anyhow::Ok(took.as_secs_f64() * 1000.0)
        };
        let mut in_a_row = vec![Vec::new(); programs.len()];
        for _ in 0..COLD_RUNS / COLD_ROW {
            for (program, walls) in programs.iter_mut().zip(&mut in_a_row) {
                // The first finds the processor's caches as another program left them.
                milliseconds(program)?;
                for _ in 0..COLD_ROW {
                    walls.push(milliseconds(program)?);
                }
            }
        }
        // Who follows whom matters then: each follows one neighbour as often as the other.
        let mut between = vec![Vec::new(); programs.len()];
        for run in 0..COLD_RUNS {
            let mut round: Vec<_> = programs.iter_mut().zip(&mut between).collect();
            if run % 2 == 1 {
                round.reverse();
            }
            for (program, walls) in round {
                walls.push(milliseconds(program)?);
            }
        }
        for (((name, command), in_a_row), between) in programs.iter().zip(&in_a_row).zip(&between) {
            figures.add(name, "cold, small file: in a row", median(in_a_row), "ms");
            figures.add(name, "cold, small file: between others", median(between), "ms");
            let peaks: Vec<f64> = (0..5).map(|_| Ok(spent(command)?.peak_kib)).collect::<Result<_>>()?;
            figures.add(name, "cold, small file: peak memory", median(&peaks) / 1024.0, "MiB");
        }
        Ok(())
    }

    fn large(&self, figures: &mut Figures) -> Result<()> {
        let mut whole = Vec::new();
        for (gib, passes) in LARGE {
            let folder = self.house.path("target/bench-large");
            std::fs::create_dir_all(&folder)?;
            let file = folder.join(format!("{gib}-gib"));
            let done = self.large_file(&file, gib, passes, &mut whole, figures);
            std::fs::remove_dir_all(&folder)?;
            done?;
        }
        Ok(())
    }

    fn large_file(
        &self,
        file: &Path,
        gib: u64,
        passes: usize,
        whole: &mut Vec<&'static str>,
        figures: &mut Figures,
    ) -> Result<()> {
        println!("large, {gib} GiB, {passes} passes");
        // Without blocks on the disk: every byte is read and hashed all the same.
        File::create(file)?.set_len(gib << 30)?;
        let mut programs = self.programs(&self.signed(file)?);
        let mut openssl = Command::new("openssl");
        openssl.args(["dgst", "-sha256"]).arg(file);
        programs.push(("openssl dgst -sha256", openssl));
        let mut raw = Command::new(&self.peers.sigstore_rust);
        raw.arg("sha256").arg(file);
        programs.push(("bare SHA-256 (aws-lc)", raw));
        programs.retain(|(name, _)| {
            let kept = !whole.contains(name);
            if !kept {
                println!("left out: {name} for {gib} GiB, since it holds whole files in memory");
            }
            kept
        });
        // The first to read a file pays for bringing it into memory: that is none of the programs compared.
        if let Some((_, bare)) = programs.last() {
            spent(bare)?;
        }
        let mut all: Vec<Vec<Spent>> = programs.iter().map(|_| Vec::new()).collect();
        for _ in 0..passes {
            for ((name, command), spendings) in programs.iter().zip(&mut all) {
                spendings.push(spent(command).with_context(|| (*name).to_owned())?);
            }
        }
        for ((name, _), spendings) in programs.iter().zip(&all) {
            let of = |value: fn(&Spent) -> f64| median(&spendings.iter().map(value).collect::<Vec<_>>());
            let peak = of(|spent| spent.peak_kib);
            figures.add(name, &format!("{gib} GiB file: CPU time"), of(|spent| spent.cpu_seconds), "s");
            figures.add(
                name,
                &format!("{gib} GiB file: start to verdict"),
                of(|spent| spent.wall_seconds),
                "s",
            );
            figures.add(name, &format!("{gib} GiB file: peak memory"), peak / 1024.0, "MiB");
            if peak > HOLDS_WHOLE_FILES {
                whole.push(name);
            }
        }
        Ok(())
    }

    fn many(&self, figures: &mut Figures) -> Result<()> {
        println!("many, {MANY} files in one call and {MANY_COLD} cold calls");
        let folder = self.stage.scratch.file("many");
        std::fs::create_dir(&folder)?;
        let first = folder.join("file");
        std::fs::write(&first, "one of many\n")?;
        let subject = self.signed(&first)?;
        let mut files = Vec::new();
        for number in 0..MANY {
            let file = folder.join(format!("{number}"));
            std::fs::copy(&first, &file)?;
            std::fs::copy(&subject.bundle, folder.join(format!("{number}.sigstore.json")))?;
            files.push(file);
        }
        let command = || {
            let mut command = self.ours.command(self.stage);
            command.arg("verify").args(["--identity", &subject.identity, "--issuer", &subject.issuer]);
            command.arg("--trusted-root").arg(&subject.trusted_root);
            command
        };
        let mut one_call = Vec::new();
        let mut cold = Vec::new();
        for round in 0..3 {
            let finished = process::run(command().args(&files), LIMIT)?;
            one_call.push(finished.took.as_secs_f64());
            finished.expect_success("sealog verify with many files")?;
            for file in files.iter().skip(round * MANY_COLD).take(MANY_COLD) {
                let finished = process::run(command().arg(file), LIMIT)?;
                cold.push(finished.took.as_secs_f64());
                finished.expect_success("sealog verify")?;
            }
        }
        #[allow(clippy::cast_precision_loss, reason = "a small count")]
        let scaled = median(&cold) * MANY as f64;
        figures.add("sealog", &format!("{MANY} small files: time"), median(&one_call), "s");
        let name = format!("sealog, cold calls ({MANY_COLD} scaled)");
        figures.add(&name, &format!("{MANY} small files: time"), scaled, "s");
        Ok(())
    }
}

/// A good bundle of the suite.
fn public(folder: &Path, case: &str) -> Subject {
    let place = folder.join("bundle-verify").join(case);
    let own = |name: &str| Some(place.join(name)).filter(|path| path.exists());
    Subject {
        bundle: place.join("bundle.sigstore.json"),
        trusted_root: own("trusted_root.json")
            .unwrap_or_else(|| folder.join("public-good-trusted_root.json")),
        artifact: own("artifact").unwrap_or_else(|| folder.join("bundle-verify/a.txt")),
        identity: IDENTITY.to_owned(),
        issuer: ISSUER.to_owned(),
    }
}

/// Bundles in a second of CPU time, pinned to one core where the machine can: what else runs there costs no figure.
fn rate(program: &Path, line: &Path) -> Result<f64> {
    let mut command = Command::new("taskset");
    let pinned = process::run(command.arg("--version"), LIMIT).is_ok();
    let mut command = if pinned { Command::new("taskset") } else { Command::new(program) };
    if pinned {
        command.args(["-c", "0"]).arg(program);
    }
    command.args(["warm", WARM_SECONDS]);
    let (spent, said) = spent_reading(&command, File::open(line)?.into())?;
    let line: Value = serde_json::from_str(&said)?;
    let count = line.get("verifications").and_then(Value::as_f64).context("the loop printed no count")?;
    Ok(count / spent.cpu_seconds)
}

/// What a process cost.
struct Spent {
    cpu_seconds: f64,
    wall_seconds: f64,
    peak_kib: f64,
}

fn spent(command: &Command) -> Result<Spent> {
    Ok(spent_reading(command, Stdio::null())?.0)
}

/// Runs it under `time`, which the kernel tells what it cost; also gives what it printed.
fn spent_reading(command: &Command, input: Stdio) -> Result<(Spent, String)> {
    let mut timed = Command::new("time");
    timed.args(["-q", "-f", "%U %S %M"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timed.env(name, value),
            None => timed.env_remove(name),
        };
    }
    let finished = process::run_from(&mut timed, input, LIMIT)?;
    let wall_seconds = finished.took.as_secs_f64();
    let last = finished.stderr.lines().last().unwrap_or_default().to_owned();
    let said = finished.expect_success("a measured program")?;
    let numbers: Vec<f64> = last.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [user, system, peak_kib] = numbers[..] else { bail!("`time` printed `{last}`") };
    Ok((Spent { cpu_seconds: user + system, wall_seconds, peak_kib }, said))
}
