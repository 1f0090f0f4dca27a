//! The peers' own servers beside ours: the same requests must get the same answers.
//!
//! The requests, good and malformed, and the comparison are programs in Python
//! (`tests/strangers/oracles`), with a cryptography library that is not ours. They start `sealogd run` and the
//! peer over the same keys and print one JSON line per thing compared. What may differ stands, with both
//! values and the reason, in `docs/reference/differences.md`; any other difference fails, and so does a
//! difference that is listed but no longer there.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::House;
use crate::peers::{self, Peers};
use crate::process::{self, Scratch};
use crate::tally::{Tally, short};

mod differences;

use differences::Differences;

/// The longest one server's comparison may take: under a minute on an idle machine.
const LIMIT: Duration = Duration::from_secs(20 * 60);
/// The servers, by the name of the program that compares them.
const SERVERS: [&str; 4] = ["rekor", "ca", "claims", "tsa"];
/// What the generated requests follow from, unless another seed is asked for.
const SEED: u64 = 6;
/// Where accepted differences stand.
const DOCUMENT: &str = "docs/reference/differences.md";

/// Installs the peers and compares the servers asked for (none: all), with the requests of another seed after `--seed`.
pub(crate) fn command(house: &House, words: &[&str]) -> Result<bool> {
    let (only, seed) = match words {
        [only @ .., "--seed", seed] => {
            (only, seed.parse().with_context(|| format!("`{seed}` is no seed: a whole number"))?)
        }
        only => (only, SEED),
    };
    let peers = peers::install(house)?;
    let tally = run_seed(house, &peers, only, seed)?;
    tally.print();
    Ok(tally.clean())
}

/// Compares, prints what differs, and counts.
pub(crate) fn run(house: &House, peers: &Peers, only: &[&str]) -> Result<Tally> {
    run_seed(house, peers, only, SEED)
}

fn run_seed(house: &House, peers: &Peers, only: &[&str], seed: u64) -> Result<Tally> {
    if let Some(unknown) = only.iter().find(|name| !SERVERS.contains(name)) {
        bail!("there is no server `{unknown}`; there are: {}", SERVERS.join(", "));
    }
    let text = std::fs::read_to_string(house.path(DOCUMENT)).with_context(|| DOCUMENT.to_owned())?;
    let mut tally = Tally::default();
    for server in SERVERS.iter().filter(|server| only.is_empty() || only.contains(server)) {
        let mut differences = Differences::parse(&text, server)?;
        match compare(house, peers, server, seed) {
            Ok((lines, took)) => judge(server, &lines, &mut differences, took, &mut tally),
            Err(error) => tally.fail(format!("{server}: {error:#}")),
        }
    }
    Ok(tally)
}

/// One server's lines, as its program printed them.
fn compare(house: &House, peers: &Peers, server: &str, seed: u64) -> Result<(Vec<Value>, Duration)> {
    let scratch = Scratch::new(&format!("oracle-{server}"))?;
    let programs = match server {
        "rekor" => vec![&peers.rekor, &peers.fsck, &peers.log_reader],
        "ca" => vec![&peers.fulcio, &peers.fulcio_grpc],
        "claims" => vec![&peers.fulcio, &peers.fulcio_config, &peers.certificates],
        _ => vec![&peers.timestamp_server],
    };
    let mut command = Command::new(&peers.python);
    command.arg("-B").arg(house.path("tests/strangers/oracles").join(format!("{server}.py")));
    command.arg(house.program("sealogd")).args(programs).arg(scratch.path());
    if server == "rekor" {
        println!("  requests of seed {seed}; again: cargo xtask oracles rekor --seed {seed}");
        command.arg(seed.to_string());
    }
    let finished = process::run(&mut command, LIMIT)?;
    let took = finished.took;
    let said = finished.expect_success(&format!("the comparison of {server}"))?;
    let lines = said.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
    Ok((lines, took))
}

fn judge(server: &str, lines: &[Value], differences: &mut Differences, took: Duration, tally: &mut Tally) {
    let mut agreed = 0;
    let mut explained = 0;
    for line in lines {
        let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or_default();
        let (case, aspect, ours, theirs) = (text("case"), text("aspect"), text("ours"), text("theirs"));
        if ours == theirs {
            agreed += 1;
        } else if differences.explain(case, aspect, ours, theirs) {
            explained += 1;
        } else {
            println!("  DIFFERS {server} {case}, {aspect}\n    ours   {ours}\n    theirs {theirs}");
            tally.fail(format!(
                "{server} {case}, {aspect}: ours `{ours}`, theirs `{theirs}`, and no reason listed"
            ));
            continue;
        }
        tally.pass(1);
    }
    for unused in differences.unused() {
        tally.fail(format!("{server}: {DOCUMENT} lists a difference that is not there: {unused}"));
    }
    println!(
        "  {server}: {} compared, {agreed} agree, {explained} differ for a listed reason, {}",
        lines.len(),
        short(took)
    );
}
