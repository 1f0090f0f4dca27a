//! The house's own tools: one command to test everything, one to keep the house tidy, one to measure.
//!
//! Nothing here is shipped. The programs of strangers are installed under `target/peers`, every run
//! works in a temporary directory, and what is printed last is the verdict.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for a terminal")]

mod bench;
mod conformance;
mod dev;
mod differential;
mod encoding;
mod endure;
mod fuzz;
mod http;
mod oracles;
mod peers;
mod process;
mod sign_in;
mod steps;
mod strangers;
mod tally;
mod tidy;
mod wasm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const USAGE: &str = "\
cargo xtask test [--quick]      everything a change must pass; --quick leaves out release builds and strangers
cargo xtask tidy                the rules of the house
cargo xtask bench path          token in hand to bundle written, beside the peers
cargo xtask bench verify [PART] bundle to verdict, beside the peers: warm, cold, large, many
cargo xtask bench ca            certificates in a second, beside Fulcio
cargo xtask bench log [PART]    both logs and the timestamp authority under load, beside the peers
cargo xtask conformance DIR     the verifier against the conformance bundles in DIR
cargo xtask strangers [NAME]    only the programs of others: cosign, python, js, go, grpc, nginx, spiffe, logs, openssl, browser
cargo xtask sign-in [NAME]      only people who sign in: mail, mail-without-tls, upstream, party, keycloak
cargo xtask oracles [NAME] [--seed N]   only the comparison with the peers' own servers: rekor, ca, claims, tsa
cargo xtask fuzz [--seconds N] [TARGET...]   look for inputs that a parser or the verifier does not stand
cargo xtask fuzz --merge [TARGET...]         keep in fuzz/corpus the few inputs that reach what was reached
cargo xtask fuzz --worst        measure the inputs made to be slow
cargo xtask simulate [--seeds N] [--first N] [--seed N]   the log engine through 100,000 runs of mishaps
cargo xtask kill [--files N] [--bucket N]    the log engine killed 1,000 times over files, 200 times over an S3 server
cargo xtask differential [NAME] only the comparison with other verifiers: rust, python, js, go, cosign
cargo xtask wasm                the verifier builds for wasm32-unknown-unknown
cargo xtask peers               install the programs of others into target/peers, and nothing else";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs one command; `false` means that it ran and something was not as it must be.
fn dispatch(arguments: &[String]) -> Result<bool> {
    let house = House::find()?;
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if words.iter().any(|word| ["--help", "-h"].contains(word)) {
        let log = words.starts_with(&["bench", "log"]);
        println!("{}", if log { bench::log::USAGE } else { USAGE });
        return Ok(true);
    }
    match words.as_slice() {
        ["test"] => steps::test(&house, steps::Extent::Whole),
        ["test", "--quick"] => steps::test(&house, steps::Extent::Quick),
        ["tidy"] => tidy::command(&house),
        ["bench", "path"] => bench::path::command(&house),
        ["bench", "verify", only @ ..] => bench::verify::command(&house, only),
        ["bench", "ca"] => bench::ca::command(&house),
        ["bench", "log", rest @ ..] => bench::log::command(&house, rest),
        ["bench", name, ..] => bail!("there is no bench named `{name}`; there are: path, verify, ca, log"),
        ["conformance", folder] => conformance::command(&house, Path::new(folder)),
        ["strangers", only @ ..] => strangers::command(&house, only),
        ["sign-in", only @ ..] => sign_in::command(&house, only),
        ["oracles", only @ ..] => oracles::command(&house, only),
        ["fuzz", rest @ ..] => fuzz::command(&house, rest),
        ["simulate", rest @ ..] => endure::simulate(&house, rest),
        ["kill", rest @ ..] => endure::kill(&house, rest),
        ["differential", only @ ..] => differential::command(&house, only),
        ["wasm"] => wasm::command(&house),
        ["peers"] => peers::command(&house),
        _ => bail!("unknown command\n\n{USAGE}"),
    }
}

/// Where things are: the project's root and what hangs from it.
pub(crate) struct House {
    /// The directory of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
}

impl House {
    fn find() -> Result<Self> {
        let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.ancestors().nth(2).context("xtask lives two levels below the root")?;
        Ok(Self { root: root.to_path_buf() })
    }

    /// A file or folder, from the root.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A program of ours, as the release build leaves it.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.root.join("target/release").join(name)
    }
}
