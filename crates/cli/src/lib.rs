//! `sealog`: the terminal and the user's files. Sign, attest, verify, inspect, watch.
//!
//! In scope: what can be typed, how it is said, where files go, the exit status. Not in scope: what makes a
//! signature good (`sealog-verify`), how services are asked (`sealog-client`).
//!
//! Must always hold: data goes to standard output and talk to standard error; `verify` starts no event loop
//! and asks no network; the exit status is the contract of [`run`].

mod args;
mod artifact;
mod conformance;
mod failure;
mod identity;
mod inspect;
mod output;
#[doc(hidden)]
pub mod outside;
mod progress;
mod sign;
mod trust;
mod verify;
mod watch;

pub use conformance::run_conformance;

use args::{Cli, Command};
use clap::Parser as _;
use failure::Status;
use std::process::ExitCode;

/// Runs `sealog` with the arguments of this process.
///
/// Exit status: 0 verified or done; 1 refused: checked, and it is not what was asked for; 2 usage or
/// configuration; 3 could not check or could not reach.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let ended = match &cli.command {
        Command::Sign(args) => sign::sign(args).map(|()| Status::Done),
        Command::Attest(args) => sign::attest(args).map(|()| Status::Done),
        Command::Verify(args) => verify::verify(args),
        Command::Inspect(args) => inspect::inspect(args),
        Command::Watch(args) => watch::watch(args),
    };
    match ended {
        Ok(status) => status.into(),
        Err(failure) => {
            failure.tell();
            failure.status.into()
        }
    }
}
