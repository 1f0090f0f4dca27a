//! People who sign in, with everything on the way that we did not write: a mail server, a certified provider and a
//! Keycloak behind ours, a certified relying party at ours, and a real browser without JavaScript.
//!
//! Every page is photographed into `target/sign-in/`, to be looked at.

mod instance;
mod keycloak;
mod mail;
mod party;
mod upstream;

use std::time::Instant;

use anyhow::{Result, bail};

use crate::House;
use crate::peers::{self, Peers};
use crate::tally::{Tally, short};

/// One part: how many things held.
type Part = fn(&House, &Peers) -> Result<usize>;

const PARTS: [(&str, Part); 6] = [
    ("mail", mail::proven),
    ("mail-tls", mail::tls_first),
    ("mail-without-tls", mail::without_tls),
    ("upstream", upstream::run),
    ("party", party::run),
    ("keycloak", keycloak::run),
];

/// Installs the peers and runs the parts asked for (none: all).
pub(crate) fn command(house: &House, only: &[&str]) -> Result<bool> {
    let peers = peers::install(house)?;
    let tally = run(house, &peers, only)?;
    tally.print();
    Ok(tally.clean())
}

/// Runs the parts asked for (none: all).
pub(crate) fn run(house: &House, peers: &Peers, only: &[&str]) -> Result<Tally> {
    if let Some(unknown) = only.iter().find(|name| !PARTS.iter().any(|(part, _)| part == *name)) {
        let names: Vec<_> = PARTS.iter().map(|(name, _)| *name).collect();
        bail!("there is no sign-in `{unknown}`; there are: {}", names.join(", "));
    }
    let mut tally = Tally::default();
    for (name, part) in PARTS.iter().filter(|(name, _)| only.is_empty() || only.contains(name)) {
        let started = Instant::now();
        match part(house, peers) {
            Ok(held) => {
                println!("  {name:18} {held} held, {}", short(started.elapsed()));
                tally.pass(held);
            }
            Err(error) => {
                println!("  {name:18} FAILED");
                tally.fail(format!("sign-in, {name}: {error:#}"));
            }
        }
    }
    Ok(tally)
}
