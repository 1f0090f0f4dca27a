//! One side, measured: alone, in closed loops, in open loops; verified after each; then its memory and disk.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::time::ClockId;
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, PublicKey, Signer as _};

use super::large::forget_files;
use super::load::{self, Outcome, Pace, Run};
use super::requests::Requests;
use super::servers::Server;
use crate::bench::figures::{Figures, median};
use crate::bench::usage;

/// Shares of a side's best at which latency is measured, with what they are called.
const SHARES: [(f64, &str); 3] = [(0.25, "25 %"), (0.5, "50 %"), (0.8, "80 %")];
/// Requests are made for this rate until one was measured.
const FIRST_GUESS: f64 = 15_000.0;
/// No side takes more than this many times its best so far.
const GROWTH: f64 = 3.0;
/// Filling a log to a size: requests that are made at a time.
const CHUNK: usize = 200_000;
/// How often a verification is measured.
const VERIFICATIONS: usize = 4000;

/// How long, and with how many clients.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    pub(super) clients: &'static [usize],
    pub(super) warm_up: Duration,
    pub(super) measured: Duration,
    /// Connections in the open loops.
    pub(super) open_clients: usize,
    /// The one number of clients that was asked for.
    pub(super) only: Option<usize>,
}

impl Manner {
    /// For a first look.
    pub(super) fn quick(self) -> Self {
        let clients = self.clients.get(self.clients.len().saturating_sub(1)..).unwrap_or_default();
        Self { clients, warm_up: self.warm_up / 2, measured: self.measured / 4, ..self }
    }

    /// Numbers of clients in the closed loops.
    pub(super) fn clients(&self) -> Vec<usize> {
        self.only.map_or_else(|| self.clients.to_vec(), |only| vec![only])
    }
}

/// A side at work: which requests it had so far.
pub(super) struct Side<'a> {
    pub(super) server: Server,
    pub(super) requests: &'a mut Requests,
    next: usize,
    answered: usize,
    disk_before: u64,
}

impl<'a> Side<'a> {
    pub(super) fn new(server: Server, requests: &'a mut Requests) -> Result<Self> {
        requests.rewind();
        let disk_before = server.data.as_deref().map(usage::disk_bytes).transpose()?.unwrap_or_default();
        Ok(Self { server, requests, next: 0, answered: 0, disk_before })
    }

    /// Over a log that was filled with so many entries before, all of which count, and so does what they take on the disk.
    pub(super) fn filled(server: Server, requests: &'a mut Requests, entries: usize) -> Self {
        requests.rewind();
        Self { server, requests, next: 0, answered: entries, disk_before: 0 }
    }

    /// Leaves out the first so many requests.
    pub(super) fn skip(&mut self, requests: usize) {
        self.next = self.next.max(requests);
    }

    pub(super) const fn answered(&self) -> usize {
        self.answered
    }

    /// One run, verified.
    pub(super) fn run(
        &mut self,
        clients: usize,
        pace: Pace,
        warm_up: Duration,
        measured: Duration,
        rate: f64,
    ) -> Result<Outcome> {
        let seconds = (warm_up + measured).as_secs_f64();
        let needed = (rate * seconds) as usize + 2 * clients;
        self.requests.reach(self.next + needed)?;
        let run = Run {
            address: self.server.address,
            connections: clients,
            pace,
            warm_up,
            measured,
            requests: self.requests.from(self.next),
            again: false,
            servers: &[self.server.service.id()],
        };
        let mut outcome = load::run(&run).with_context(|| {
            format!(
                "{} under load by {clients} clients; it said:\n{}",
                self.server.subject,
                self.server.service.last_words()
            )
        })?;
        for (number, _) in &mut outcome.kept {
            *number += self.next;
        }
        self.next += outcome.sent;
        self.answered += outcome.sent - usize::try_from(outcome.refused + outcome.failed)?;
        if let Some(how) = outcome.first_failure.as_ref().filter(|_| self.server.is_ours()) {
            bail!("{} of {} requests failed, the first with {how}", outcome.failed, outcome.sent);
        }
        self.server.judge.verify(self.requests, &outcome.kept).context(self.server.subject)?;
        Ok(outcome)
    }

    /// Everything that is asked of a side while it runs; its best rate and the clients for it. `after` is told of each
    /// run by its name.
    pub(super) fn measure(
        &mut self,
        figures: &mut Figures,
        manner: Manner,
        after: &mut dyn FnMut(&str, &Outcome) -> Result<()>,
    ) -> Result<(f64, usize)> {
        let mut say = |what: &str, outcome: &Outcome| {
            say(what, outcome);
            after(what, outcome)
        };
        let subject = self.server.subject;
        let kind = self.requests.kind().name();
        let metric = |what: &str| format!("{kind}: {what}");
        println!("{kind}: {subject}");
        let alone = self.run(1, Pace::Closed, Duration::ZERO, manner.measured / 2, FIRST_GUESS / 20.0)?;
        say("alone", &alone)?;
        let mut best: Option<(usize, Outcome)> = None;
        for clients in manner.clients() {
            let so_far = best.as_ref().map_or(FIRST_GUESS, |(_, best)| best.per_second * GROWTH);
            let outcome =
                self.run(clients, Pace::Closed, manner.warm_up, manner.measured, so_far.min(60_000.0))?;
            say(&format!("{clients} clients"), &outcome)?;
            if best.as_ref().is_none_or(|(_, other)| outcome.per_second > other.per_second) {
                best = Some((clients, outcome));
            }
        }
        let (clients, best) = best.context("no number of clients")?;
        let rate = best.per_second;
        figures.add(subject, &metric("answers, at its best"), rate, "/s");
        figures.add(subject, &metric("clients, at its best"), clients as f64, "");
        if best.refused + best.failed > 0 {
            figures.add(subject, &metric("refused, at its best"), best.refused as f64, "");
            figures.add(subject, &metric("failed, at its best"), best.failed as f64, "");
        }
        figures.add(subject, &metric("server's CPU each"), best.cpu_us, "us");
        figures.add(subject, &metric("loader's CPU each"), best.loader_us, "us");
        latencies(figures, subject, &metric("at its best"), &best);
        latencies(figures, subject, &metric("one client alone"), &alone);
        for (share, name) in SHARES {
            let open = Pace::Open(rate * share);
            let outcome =
                self.run(manner.open_clients, open, manner.warm_up, manner.measured, rate * share * 1.01)?;
            say(&format!("open, {name}"), &outcome)?;
            latencies(figures, subject, &metric(&format!("at {name} of its best")), &outcome);
            figures.add(subject, &metric(&format!("server's CPU each at {name}")), outcome.cpu_us, "us");
        }
        figures.add(
            subject,
            &metric("most memory"),
            usage::resident_mb(self.server.service.id(), usage::PEAK)?,
            "MB",
        );
        Ok((rate, clients))
    }

    /// Sends until the log has so many entries.
    pub(super) fn fill(&mut self, figures: &mut Figures, entries: usize, clients: usize) -> Result<()> {
        let begun = Instant::now();
        let from = self.answered;
        while self.answered < entries {
            self.requests.forget_before(self.next);
            let count = CHUNK.min(entries - self.answered).max(clients);
            self.requests.reach(self.next + count)?;
            let run = Run {
                address: self.server.address,
                connections: clients,
                pace: Pace::Closed,
                warm_up: Duration::ZERO,
                measured: Duration::from_secs(3600),
                requests: self.requests.from(self.next).get(..count).unwrap_or_default(),
                again: false,
                servers: &[self.server.service.id()],
            };
            let outcome = load::run(&run)?;
            if let Some(how) = outcome.first_failure {
                bail!("{} of {} requests failed, the first with {how}", outcome.failed, outcome.sent);
            }
            self.next += outcome.sent;
            self.answered += outcome.sent - usize::try_from(outcome.refused + outcome.failed)?;
            println!("  filled to {} entries, {:.0} /s", self.answered, outcome.per_second);
        }
        if self.answered > from {
            let name = format!(
                "{}: filling to {entries} entries, requests made between",
                self.requests.kind().name()
            );
            figures.add(self.server.subject, &name, begun.elapsed().as_secs_f64(), "s");
        }
        Ok(())
    }

    /// Killed under load's end, started again: how soon it takes an entry, and what it holds in memory then.
    pub(super) fn restart(&mut self, figures: &mut Figures) -> Result<()> {
        let kind = self.requests.kind().name();
        let first = self.killed()?;
        let subject = self.server.subject;
        let metric = |what: &str| format!("{kind}: {what}");
        figures.add(subject, &metric("entries when it was killed"), self.answered as f64, "");
        figures.add(subject, &metric("restart after the kill, to the first answer"), first, "s");
        let held = usage::resident_mb(self.server.service.id(), usage::NOW)?;
        figures.add(subject, &metric("memory after the restart"), held, "MB");
        Ok(())
    }

    /// Killed and started again: seconds to its first answer.
    pub(super) fn killed(&mut self) -> Result<f64> {
        self.server.kill()?;
        self.first_answer()
    }

    /// The same, and nothing of its files is in the kernel's memory.
    pub(super) fn killed_and_forgotten(&mut self, data: &Path) -> Result<f64> {
        self.server.kill()?;
        forget_files(data)?;
        self.first_answer()
    }

    fn first_answer(&mut self) -> Result<f64> {
        let started = Instant::now();
        self.server.start_again()?;
        let ready = started.elapsed();
        let outcome = self
            .run(1, Pace::Closed, Duration::ZERO, Duration::from_millis(1), 1000.0)
            .context("after a kill")?;
        Ok(ready.as_secs_f64() + outcome.latency_ms(0.0) / 1e3)
    }

    /// Stops it and looks at what it left on the disk.
    pub(super) fn end(mut self, figures: &mut Figures) -> Result<Server> {
        self.server.service.stop()?;
        if let Some(data) = &self.server.data {
            let name = format!("{}: disk, each", self.requests.kind().name());
            let each = (usage::disk_bytes(data)?.saturating_sub(self.disk_before)) as f64
                / self.answered.max(1) as f64;
            figures.add(self.server.subject, &name, each, "B");
        }
        self.server.let_go()?;
        Ok(self.server)
    }
}

fn latencies(figures: &mut Figures, subject: &str, metric: &str, outcome: &Outcome) {
    figures.add(subject, &format!("{metric}: median"), outcome.latency_ms(0.5), "ms");
    figures.add(subject, &format!("{metric}: slowest of a hundred"), outcome.latency_ms(0.99), "ms");
}

fn say(what: &str, outcome: &Outcome) {
    let mut refused =
        if outcome.refused > 0 { format!(", {} refused", outcome.refused) } else { String::new() };
    if let Some(how) = &outcome.first_failure {
        refused.push_str(&format!(", {} failed, first: {}", outcome.failed, how.trim()));
    }
    println!(
        "  {what:>14}: {:8.0} /s, p50 {:8.2} ms, p99 {:8.2} ms, {:5.1} us of CPU, {:4.1} us of the loader's{refused}",
        outcome.per_second,
        outcome.latency_ms(0.5),
        outcome.latency_ms(0.99),
        outcome.cpu_us,
        outcome.loader_us,
    );
}

/// What one verification costs here and now, with all else that the machine does: the largest part of an entry's cost, and so
/// the measure for all others when the machine is not quiet.
fn one_verification_us() -> Result<f64> {
    let key = PrivateKey::generate(KeyKind::EcdsaP256)?;
    let digest = HashAlgorithm::Sha256.digest(b"message");
    let signature = key.sign_digest(&digest)?;
    let spki = key.public_key().spki_der();
    let mut took = Vec::with_capacity(VERIFICATIONS);
    for _ in 0..VERIFICATIONS {
        let before = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
        PublicKey::from_spki_der(spki)?.verify_digest(key.scheme(), &digest, &signature)?;
        let after = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
        let spent = Duration::try_from(after)? - Duration::try_from(before)?;
        took.push(spent.as_secs_f64() * 1e6);
    }
    Ok(median(&took))
}

/// The floor: one sync on this disk, one verification, and how busy the machine was with other things.
pub(super) fn machine(figures: &mut Figures, dir: &Path) -> Result<()> {
    let syncs = usage::one_sync(dir)?;
    figures.add("this machine", "one sync", median(&syncs), "ms");
    figures.add("this machine", "one P-256 verification, CPU", one_verification_us()?, "us");
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load: f64 = load.split(' ').next().unwrap_or_default().parse()?;
    figures.add("this machine", "load average before", load, "");
    Ok(())
}
