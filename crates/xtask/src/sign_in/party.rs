//! A certified relying party at ours, by every flow.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::House;
use crate::dev::Dev;
use crate::peers::Peers;
use crate::process::{self, Scratch};

const LIMIT: Duration = Duration::from_secs(300);

/// Each line that begins with `held:` is a thing that held.
pub(super) fn run(house: &House, peers: &Peers) -> Result<usize> {
    let scratch = Scratch::new("sign-in-party")?;
    let dev = Dev::start(house, &scratch.file("dev"))?;
    let mut command = Command::new(&peers.node);
    command.env("NODE_PATH", &peers.node_modules);
    command.arg(house.path("tests/strangers/identity/party.mjs")).arg(dev.url("oidc")?);
    let said = process::run(&mut command, LIMIT)?.expect_success("openid-client")?;
    let held = said.lines().filter(|line| line.starts_with("held: ")).count();
    ensure!(held == 11, "{held} of 11 things held:\n{said}");
    dev.stop()?;
    Ok(held)
}
