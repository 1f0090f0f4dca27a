//! `cargo xtask test`: everything a change must pass, step by step, each with its time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::House;
use crate::process::{self, Scratch};
use crate::tally::{Tally, cargo_results, short};
use crate::{conformance, differential, fuzz, oracles, peers, sign_in, strangers, tidy};

/// How much is tested.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The inner loop: format, lints, tidy, tests.
    Quick,
    /// Everything, strangers included.
    Whole,
}

/// The longest all tests may take, and the longest they may take to be built.
const TEST_LIMIT: Duration = Duration::from_secs(30 * 60);
const BUILD_LIMIT: Duration = Duration::from_secs(40 * 60);
/// The longest the demonstration may take: some seconds are usual (the build not counted).
const DEMO_LIMIT: Duration = Duration::from_secs(120);
/// How many times as long as they should the inputs made to be slow may take here: on a machine that does other
/// things as well, less says nothing, and what is not bounded takes far longer.
const WORST_TIMES: u32 = 10;
/// The version of the licence and duplicate checker.
const CARGO_DENY: &str = "0.20.2";
/// Real bundles of others, kept outside the repository.
pub(crate) const CONFORMANCE: &str = "SEALOG_CONFORMANCE_DIR";
/// Tells the tests where moto's server is, and the other two S3 servers.
const MOTO: &str = "SEALOG_MOTO_SERVER";
const S3S_FS: &str = "SEALOG_S3S_FS";

/// Runs the steps; `false` if anything failed.
pub(crate) fn test(house: &House, extent: Extent) -> Result<bool> {
    let mut run = Run { house, tally: Tally::default() };
    run.check("conformance data", conformance_data)?;
    run.check("format", |house| cargo(house, &["fmt", "--all", "--check"]))?;
    run.check("lints", |house| {
        cargo(house, &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"])
    })?;
    run.check("tidy", tidy_house)?;
    if extent == Extent::Whole {
        run.check("licences, duplicates, sources", cargo_deny)?;
        // What a signing process writes is shown by tracing it; without a tracer that test is left out.
        run.check("strace", |_| peers::of_the_machine(&["strace"], "strace").map(drop))?;
        // A security module in software, and the tool that shows what is in it.
        run.check("SoftHSM2", |_| {
            peers::of_the_machine(&["softhsm2-util"], "softhsm2")?;
            peers::of_the_machine(&["pkcs11-tool"], "opensc").map(drop)
        })?;
    }
    let mut servers = Vec::new();
    if extent == Extent::Whole {
        // AWS on this machine, for keys and logs, and two S3 servers that are nothing else.
        run.check("moto, versitygw, s3s-fs", |house| {
            servers.push((MOTO, peers::moto(house)?));
            servers.push((peers::VERSITYGW_VARIABLE, peers::versitygw(house)?));
            servers.push((S3S_FS, peers::s3s_fs(house)?));
            Ok(())
        })?;
    }
    run.count("tests", |house| cargo_test(house, &servers))?;
    if extent == Extent::Whole {
        run.whole()?;
    }
    run.tally.print();
    Ok(run.tally.clean())
}

struct Run<'a> {
    house: &'a House,
    tally: Tally,
}

impl Run<'_> {
    /// A step that passes or fails as one; the next ones run all the same.
    fn check(&mut self, name: &str, step: impl FnOnce(&House) -> Result<()>) -> Result<bool> {
        self.count(name, |house| {
            let mut tally = Tally::default();
            step(house)?;
            tally.pass(1);
            Ok(tally)
        })
    }

    /// A step that counts for itself.
    fn count(&mut self, name: &str, step: impl FnOnce(&House) -> Result<Tally>) -> Result<bool> {
        println!("== {name}");
        let started = Instant::now();
        let tally = step(self.house).unwrap_or_else(|error| {
            let mut tally = Tally::default();
            tally.fail(format!("{name}: {error:#}"));
            tally
        });
        let verdict = if tally.clean() { "ok" } else { "FAILED" };
        println!("== {name}: {verdict}, {}\n", short(started.elapsed()));
        let clean = tally.clean();
        self.tally.add(tally);
        Ok(clean)
    }

    fn whole(&mut self) -> Result<()> {
        self.check("wasm", crate::wasm::build)?;
        let built = self.check("release build", |house| {
            cargo(house, &["build", "--release", "--quiet", "-p", "sealog-server", "-p", "sealog-cli"])
        })?;
        if !built {
            return Ok(());
        }
        self.check("sealogd demo", demo)?;
        self.check("inputs made to be slow", |house| match fuzz::worst(house, WORST_TIMES)? {
            true => Ok(()),
            false => bail!("an input takes far longer than it may, or more memory; which one stands above"),
        })?;
        if let Some(folder) = std::env::var_os(CONFORMANCE) {
            self.count("bundles of others", |house| conformance::run(house, Path::new(&folder)))?;
        }
        let mut installed = None;
        self.check("programs of strangers", |house| {
            installed = Some(peers::install(house)?);
            Ok(())
        })?;
        let Some(peers) = installed else { return Ok(()) };
        self.count("strangers who must agree", |house| strangers::run(house, &peers, &[]))?;
        self.count("people who sign in", |house| sign_in::run(house, &peers, &[]))?;
        self.count("verifiers that must agree", |house| differential::run(house, &peers, &[]))?;
        self.count("servers that must agree", |house| oracles::run(house, &peers, &[]))?;
        Ok(())
    }
}

/// A cargo command whose output goes to the terminal.
fn cargo(house: &House, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(env!("CARGO"));
    if process::show(command.args(arguments).current_dir(&house.root))? {
        return Ok(());
    }
    bail!("`cargo {}` failed; what it said stands above", arguments.join(" "))
}

/// In CI the data must be there; elsewhere its tests say that they were left out.
fn conformance_data(_: &House) -> Result<()> {
    let folder = std::env::var_os(CONFORMANCE);
    let there = folder.as_ref().is_some_and(|folder| Path::new(folder).is_dir());
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    match folder {
        _ if there => {}
        Some(folder) => bail!("{CONFORMANCE} is set to {}, which is not a folder", folder.to_string_lossy()),
        None if in_ci => bail!("{CONFORMANCE} is not set, and in CI the bundles of others are not optional"),
        None => println!(
            "left out: bundles of others. Set {CONFORMANCE} to the folder test/assets of the \
             sigstore-conformance suite to have them tested"
        ),
    }
    Ok(())
}

fn tidy_house(house: &House) -> Result<()> {
    if tidy::command(house)? { Ok(()) } else { bail!("the house is not tidy; the places stand above") }
}

/// Advisories are left to people: they need a database from the network, and they change without us.
fn cargo_deny(house: &House) -> Result<()> {
    let tools = house.path("target/tools");
    let program = tools.join("bin/cargo-deny");
    let wanted = format!("cargo-deny {CARGO_DENY}");
    let there = process::run(Command::new(&program).arg("--version"), Duration::from_secs(120))
        .is_ok_and(|said| said.stdout.trim() == wanted);
    if !there {
        println!("  installing {wanted} into target/tools (some minutes, once)");
        let mut install = Command::new(env!("CARGO"));
        install.args(["install", "cargo-deny", "--version", CARGO_DENY, "--quiet", "--force", "--root"]);
        install.arg(&tools).env("CARGO_TARGET_DIR", tools.join("build")).current_dir(&house.root);
        let installed = process::run(&mut install, BUILD_LIMIT)?;
        std::fs::remove_dir_all(tools.join("build")).ok();
        installed.expect_success("installing cargo-deny")?;
    }
    let mut check = Command::new(&program);
    check.args(["--log-level", "error", "check", "bans", "licenses", "sources"]).current_dir(&house.root);
    if process::show(&mut check)? { Ok(()) } else { bail!("cargo deny refused; what it said stands above") }
}

fn cargo_test(house: &House, servers: &[(&str, PathBuf)]) -> Result<Tally> {
    let cargo_test = |more: &[&str], limit| {
        let mut command = Command::new(env!("CARGO"));
        command.args(["test", "--workspace", "--no-fail-fast"]).args(more).current_dir(&house.root);
        command.envs(servers.iter().map(|(name, program)| (name, program)));
        process::run(&mut command, limit)
    };
    // A slow build leaves the tests the time they need.
    let built = cargo_test(&["--no-run"], BUILD_LIMIT)?;
    let finished = if built.succeeded() { cargo_test(&[], TEST_LIMIT)? } else { built };
    let (passed, failed) = cargo_results(&finished.stdout);
    let mut tally = Tally::default();
    tally.pass(passed);
    if !finished.succeeded() {
        println!("{}\n{}", finished.stderr, failures_of(&finished.stdout));
        if failed == 0 {
            tally.fail("cargo test failed before or beside its tests; what it said stands above");
        } else {
            tally.fail(format!("cargo test: {failed} failed; their names stand above"));
            tally.fail_shown(failed - 1);
        }
    }
    println!("  {passed} passed, {failed} failed");
    Ok(tally)
}

/// The parts of `cargo test`'s output that speak of failures.
fn failures_of(output: &str) -> String {
    let mut kept = Vec::new();
    let mut inside = false;
    for line in output.lines() {
        if line.trim() == "failures:" {
            inside = true;
        }
        if inside {
            kept.push(line);
        }
        if line.starts_with("test result: ") {
            inside = false;
        }
    }
    kept.join("\n")
}

fn demo(house: &House) -> Result<()> {
    let scratch = Scratch::new("demo")?;
    let mut command = Command::new(house.program("sealogd"));
    command.arg("demo").arg(house.path("README.md")).current_dir(scratch.path());
    let finished = process::run(&mut command, DEMO_LIMIT)?;
    let took = finished.took;
    let said = finished.expect_success("sealogd demo")?;
    print!("{said}");
    let last = said.lines().last().context("the demonstration said nothing")?;
    println!("  ({} in all; last words: {last})", short(took));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_kept_of_a_long_output() {
        let output = "test a ... ok\n\nfailures:\n\n---- b stdout ----\nassertion failed\n\nfailures:\n    b\n\n\
            test result: FAILED. 1 passed; 1 failed;\ntest c ... ok\n";
        let kept = failures_of(output);
        assert!(kept.contains("assertion failed") && kept.contains("    b"));
        assert!(!kept.contains("test a") && !kept.contains("test c"));
    }
}
