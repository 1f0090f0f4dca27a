//! `cargo xtask simulate`, `cargo xtask kill`: the long runs of tests that `cargo xtask test` makes short.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::House;
use crate::{peers, process};

/// Seeds of a long run.
const SEEDS: u64 = 100_000;
/// Kills of a long run: over a directory, and over a bucket of a real S3 server.
const KILLS_OF_FILES: u64 = 1000;
const KILLS_OF_BUCKET: u64 = 200;

/// `--seeds N`, `--first N`, `--seed N`: the log engine in its simulator, and the engines that are wrong on purpose.
pub(crate) fn simulate(house: &House, rest: &[&str]) -> Result<bool> {
    let mut command = Command::new(env!("CARGO"));
    let arguments =
        ["test", "--profile", "sim", "-p", "sealog-log-engine", "--lib", "--", "sim::", "--nocapture"];
    command.args(arguments).current_dir(&house.root).env("SEALOG_SEEDS", SEEDS.to_string());
    for (name, value) in options(rest)? {
        match name {
            "--seeds" => command.env("SEALOG_SEEDS", value.to_string()),
            "--first" => command.env("SEALOG_FIRST_SEED", value.to_string()),
            "--seed" => command.env("SEALOG_SEED", value.to_string()),
            other => bail!("unknown option {other}; there are --seeds N, --first N, --seed N"),
        };
    }
    process::show(&mut command)
}

/// `--files N`, `--bucket N`: so many lives of a log, each ended by SIGKILL; zero leaves one out.
pub(crate) fn kill(house: &House, rest: &[&str]) -> Result<bool> {
    let (mut files, mut bucket) = (KILLS_OF_FILES, KILLS_OF_BUCKET);
    for (name, value) in options(rest)? {
        match name {
            "--files" => files = value,
            "--bucket" => bucket = value,
            other => bail!("unknown option {other}; there are --files N and --bucket N"),
        }
    }
    let tests = [
        ("whatever_was_acknowledged_survives_kill_9", files),
        ("whatever_was_acknowledged_survives_kill_9_in_a_bucket", bucket),
    ];
    let mut sound = true;
    for (test, kills) in tests.into_iter().filter(|(_, kills)| *kills > 0) {
        let mut command = Command::new(env!("CARGO"));
        command.args(["test", "--profile", "sim", "-p", "sealog-log-engine", "--test", "kill", "--"]);
        command.args(["--exact", test, "--nocapture"]).current_dir(&house.root);
        command.env("SEALOG_KILLS", kills.to_string());
        if test.ends_with("bucket") {
            command.env(peers::VERSITYGW_VARIABLE, peers::versitygw(house)?);
        }
        sound &= process::show(&mut command)?;
    }
    Ok(sound)
}

fn options<'a>(rest: &[&'a str]) -> Result<Vec<(&'a str, u64)>> {
    let (pairs, odd) = rest.as_chunks::<2>();
    if let [name] = odd {
        bail!("{name} needs a number");
    }
    let parse = |[name, value]: &[&'a str; 2]| {
        Ok((*name, value.parse().with_context(|| format!("{name} needs a number, not {value:?}"))?))
    };
    pairs.iter().map(parse).collect()
}
