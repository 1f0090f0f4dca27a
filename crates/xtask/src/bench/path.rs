//! `cargo xtask bench path`: token in hand to bundle written, start to ready, file to verdict.
//!
//! Whole processes are timed, start to exit, as a person or a job feels them. The shares of the hops are
//! what `sealog sign --json` says it waited for each. The same is then done with cosign against the same
//! services, and with the peers' log in place of ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::House;
use crate::dev::Dev;
use crate::peers::{self, Peers};
use crate::process::{self, Scratch, Service};
use crate::strangers::{Client, Cosign, Kind, Sealog, Stage};

/// Signatures of ours.
const SIGNATURES: usize = 200;
/// Signatures of cosign, for the ratio.
const COSIGN_SIGNATURES: usize = 50;
/// Signatures with the peers' log, which takes ten seconds each.
const OTHER_LOG_SIGNATURES: usize = 10;
/// Starts of all services.
const STARTS: usize = 10;
/// Verifications, each in a process of its own.
const VERIFICATIONS: usize = 50;
/// A token is used for so many signatures before the next is fetched.
const SIGNATURES_PER_TOKEN: usize = 20;
/// The longest any one of them may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Measures, prints a table, then the same as JSON lines.
pub(crate) fn command(house: &House) -> Result<bool> {
    let peers = peers::install(house)?;
    let mut table = Table::default();
    measure_start(house, &mut table)?;
    let stage = Stage::new(house, &peers)?;
    let ours = Sealog::new(house);
    let bundle = measure_signing(&stage, &ours, &mut table)?;
    measure_other_log(&stage, &peers, &ours, &mut table)?;
    measure_verifying(&stage, &ours, &bundle, &mut table)?;
    stage.dev.stop()?;
    table.print();
    Ok(true)
}

fn measure_start(house: &House, table: &mut Table) -> Result<()> {
    let scratch = Scratch::new("bench-start")?;
    let dir = scratch.file("dev");
    let first = Dev::start(house, &dir)?;
    table.add("sealogd dev", "start to ready, new directory", vec![millis(first.start_took())], None);
    first.stop()?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let dev = Dev::start(house, &dir)?;
        times.push(millis(dev.start_took()));
        dev.stop()?;
    }
    table.add("sealogd dev", "start to ready", times, None);
    Ok(())
}

/// Ours and cosign's signatures; gives back the last bundle of ours.
fn measure_signing(stage: &Stage<'_>, ours: &Sealog, table: &mut Table) -> Result<PathBuf> {
    let mut hops: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut times = Vec::new();
    let mut last = PathBuf::new();
    for number in 0..SIGNATURES {
        if number % SIGNATURES_PER_TOKEN == 0 {
            stage.renew_person()?;
        }
        last = stage.scratch.file(&format!("path-{number}.sigstore.json"));
        let (took, said) = sign(stage, ours, &last)?;
        times.push(took);
        for (hop, value) in hop_times(&said) {
            hops.entry(hop).or_default().push(value);
        }
    }
    let cosign = Cosign { program: stage.peers.cosign.clone() };
    let mut theirs = Vec::new();
    for number in 0..COSIGN_SIGNATURES {
        if number % SIGNATURES_PER_TOKEN == 0 {
            stage.renew_person()?;
        }
        let bundle = stage.scratch.file(&format!("cosign-{number}.sigstore.json"));
        let finished = cosign.sign(stage, Kind::Blob, &stage.person, &bundle)?;
        theirs.push(millis(finished.took));
        finished.expect_success("cosign sign-blob")?;
    }
    let reference = percentiles(&theirs);
    table.add("sealog", "token to bundle", times, Some(("cosign", reference)));
    for (hop, values) in hops {
        table.add("sealog", &format!("token to bundle: {hop}"), values, None);
    }
    table.add("cosign", "token to bundle", theirs, None);
    Ok(last)
}

/// One whole process, its time and its JSON line.
fn sign(stage: &Stage<'_>, ours: &Sealog, bundle: &Path) -> Result<(f64, String)> {
    let mut command = ours.sign_command(stage, Kind::Blob, bundle);
    command.arg("--json").arg("--identity-token").arg(format!("@{}", stage.person.token_file.display()));
    let finished = process::run(&mut command, LIMIT)?;
    let took = millis(finished.took);
    Ok((took, finished.expect_success("sealog sign")?))
}

/// The member `ms` of the line `sealog sign --json` prints: hop to milliseconds.
fn hop_times(said: &str) -> Vec<(String, f64)> {
    let line: Value =
        said.lines().next().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    let times = line.get("ms").and_then(Value::as_object);
    times.into_iter().flatten().filter_map(|(hop, value)| Some((hop.clone(), value.as_f64()?))).collect()
}

/// The peers' log, at its defaults and over the same key and host name, in place of ours.
fn measure_other_log(stage: &Stage<'_>, peers: &Peers, ours: &Sealog, table: &mut Table) -> Result<()> {
    let key = stage.scratch.file("dev/keys/rekor.key");
    if !key.exists() {
        bail!("{} is not where the log's key is kept", key.display());
    }
    let port = process::free_port()?;
    let storage = stage.scratch.file("other-log");
    std::fs::create_dir(&storage)?;
    let mut command = Command::new(&peers.rekor);
    command.args(["serve", "--hostname", "localhost", "--http-port", &port.to_string()]);
    command.args(["--grpc-port", &process::free_port()?.to_string()]);
    command.args(["--http-metrics-port", &process::free_port()?.to_string()]);
    command.arg("--storage-dir").arg(&storage).arg("--signer-filepath").arg(&key);
    let mut log = Service::start("rekor-server-posix", &mut command, &stage.scratch.file("other-log.log"))?;
    log.wait_for_port(port, Duration::from_secs(20))?;
    let trust = trust_with_log(stage, &format!("http://localhost:{port}"))?;
    let mut times = Vec::new();
    // The first entry has index 0, which clients cannot read: it is the seed and does not count.
    for number in 0..=OTHER_LOG_SIGNATURES {
        stage.renew_person()?;
        let bundle = stage.scratch.file(&format!("other-{number}.sigstore.json"));
        let mut command = ours.command(stage);
        command.arg("sign").arg(&stage.file).arg("--trust").arg(&trust).arg("--bundle").arg(&bundle);
        command.arg("--identity-token").arg(format!("@{}", stage.person.token_file.display()));
        let finished = process::run(&mut command, LIMIT)?;
        let took = millis(finished.took);
        if number > 0 {
            finished.expect_success("sealog sign with the peers' log")?;
            times.push(took);
        }
    }
    table.add("sealog with rekor-server-posix", "token to bundle", times, None);
    log.stop()
}

/// The client's files with another log to write to.
fn trust_with_log(stage: &Stage<'_>, url: &str) -> Result<PathBuf> {
    let folder = stage.scratch.file("other-trust");
    std::fs::create_dir(&folder)?;
    std::fs::copy(stage.dev.client_file("trusted_root.json"), folder.join("trusted_root.json"))?;
    let text = std::fs::read_to_string(stage.dev.client_file("signing_config.json"))?;
    let mut config: Value = serde_json::from_str(&text)?;
    *config.pointer_mut("/rekorTlogUrls/0/url").context("the signing config names no log")? = json!(url);
    std::fs::write(folder.join("signing_config.json"), config.to_string())?;
    Ok(folder)
}

fn measure_verifying(stage: &Stage<'_>, ours: &Sealog, bundle: &Path, table: &mut Table) -> Result<()> {
    let cosign = Cosign { program: stage.peers.cosign.clone() };
    let person = &stage.person;
    let verify = |client: &dyn Client| -> Result<f64> {
        let finished =
            client.verify(stage, Kind::Blob, &stage.file, bundle, &person.identity, &person.issuer)?;
        let took = millis(finished.took);
        finished.expect_success(client.name())?;
        Ok(took)
    };
    let mut times = Vec::new();
    let mut theirs = Vec::new();
    for _ in 0..VERIFICATIONS {
        times.push(verify(ours)?);
    }
    for _ in 0..VERIFICATIONS {
        theirs.push(verify(&cosign)?);
    }
    let reference = percentiles(&theirs);
    table.add("sealog", "cold verify", times, Some(("cosign", reference)));
    table.add("cosign", "cold verify", theirs, None);
    Ok(())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// The median and the 99th percentile, by nearest rank.
fn percentiles(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |percent: usize| {
        let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(rank).copied().unwrap_or(f64::NAN)
    };
    (at(50), at(99))
}

struct Row {
    subject: String,
    metric: String,
    values: Vec<f64>,
    against: Option<(&'static str, (f64, f64))>,
}

#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    fn add(
        &mut self,
        subject: &str,
        metric: &str,
        values: Vec<f64>,
        against: Option<(&'static str, (f64, f64))>,
    ) {
        self.0.push(Row { subject: subject.to_owned(), metric: metric.to_owned(), values, against });
    }

    fn print(&self) {
        println!("{:<31} {:<32} {:>5} {:>10} {:>10}", "subject", "metric", "times", "p50 ms", "p99 ms");
        for row in &self.0 {
            let (median, tail) = percentiles(&row.values);
            let Row { subject, metric, values, .. } = row;
            println!("{subject:<31} {metric:<32} {:>5} {median:>10.1} {tail:>10.1}", values.len());
        }
        println!();
        for row in &self.0 {
            let (median, tail) = percentiles(&row.values);
            for (name, value, pick) in [("p50", median, 0), ("p99", tail, 1)] {
                let ratio = row.against.map(|(peer, reference)| {
                    let base = if pick == 0 { reference.0 } else { reference.1 };
                    json!({ peer: value / base })
                });
                let line = json!({
                    "bench": "path",
                    "subject": row.subject,
                    "metric": format!("{} {name}", row.metric),
                    "value": value,
                    "unit": "ms",
                    "ratio_to": ratio,
                });
                println!("{line}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentiles(&values), (100.0, 198.0));
        assert_eq!(percentiles(&[7.0]), (7.0, 7.0));
    }

    #[test]
    fn hop_times_are_read_from_the_line_of_json() {
        let said = "{\"file\":\"a\",\"ms\":{\"ca\":1.5,\"tsa\":2}}\n";
        assert_eq!(hop_times(said), [("ca".to_owned(), 1.5), ("tsa".to_owned(), 2.0)]);
    }
}
