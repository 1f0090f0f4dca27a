//! A SPIFFE agent as go-spiffe and grpc-go serve it: `sealog sign` takes its identity from there.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::report::{Check, Report};
use super::{Kind, Outcome, Sealog, Stage};
use crate::process::{self, Service};

const LIMIT: Duration = Duration::from_secs(300);
const START_LIMIT: Duration = Duration::from_secs(120);

/// The row of SPIFFE.
pub(super) fn run(stage: &Stage<'_>, ours: &Sealog, report: &mut Report) {
    let check = |does: &'static str, case: &str| Check::new("go SPIFFE", does, case.to_owned());
    let token = &stage.job.token_file;
    report.accepts(
        check("names sealog", "CI job"),
        with_agent(stage, token, |socket| sign(stage, ours, socket)),
    );
    let nobody = stage.scratch.file("no.token");
    let refused = with_agent(stage, &nobody, |socket| sign(stage, ours, socket));
    let words = ["the agent refused with gRPC status 7: no identity issued"];
    report.refuses(check("names sealog", "nobody it knows"), refused, &words);
    let nowhere = sign(stage, ours, &stage.scratch.file("nowhere.sock"));
    report.refuses(check("names sealog", "no agent there"), nowhere, &["no agent answers at unix:///"]);
}

/// Signs as what the agent says, and verifies that.
fn sign(stage: &Stage<'_>, ours: &Sealog, socket: &Path) -> Outcome {
    let bundle = stage.bundle("spiffe", Kind::Blob);
    let _ = std::fs::remove_file(&bundle);
    let mut command = ours.sign_command(stage, Kind::Blob, &bundle);
    // The machine this runs on may be a build system itself.
    command
        .env_clear()
        .env("HOME", stage.home())
        .env("SPIFFE_ENDPOINT_SOCKET", format!("unix://{}", socket.display()));
    let signed = process::run(&mut command, LIMIT)?;
    if signed.status != Some(0) {
        return Ok(signed);
    }
    let said = &signed.stderr;
    ensure!(
        said.contains("the SPIFFE agent of this machine"),
        "it is not said where the identity is from: {said}"
    );
    super::Client::verify(
        ours,
        stage,
        Kind::Blob,
        &stage.file,
        &bundle,
        &stage.job.identity,
        &stage.job.issuer,
    )
}

fn with_agent<T>(stage: &Stage<'_>, token: &Path, then: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let socket = stage.scratch.file("agent.sock");
    let mut agent = Command::new(&stage.peers.spiffe_agent);
    agent.arg(&socket).arg(token);
    let mut agent = Service::start("spiffe-agent", &mut agent, &stage.scratch.file("agent.log"))?;
    let begun = Instant::now();
    while !socket.exists() {
        ensure!(begun.elapsed() < START_LIMIT, "the agent makes no socket: {}", agent.last_words());
        thread::sleep(Duration::from_millis(10));
    }
    let outcome = then(&socket);
    agent.stop()?;
    // An agent that was killed leaves it.
    let _ = std::fs::remove_file(&socket);
    outcome
}
