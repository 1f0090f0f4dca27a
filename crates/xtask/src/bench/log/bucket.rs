//! A log in a bucket: our log of signatures over an S3 server on this machine, each PUT of which takes 2 ms more.
//!
//! The server is versitygw over a directory; it does not sync what it writes, so its own time is short, and the two milliseconds
//! stand for a store that does. Server, way and loader share the processors with `sealogd`: what they take is a row of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::chain::Chains;
use super::load::Outcome;
use super::measure::{Manner, Side};
use super::requests::{Kind, Requests};
use super::servers::{IN_A_BUCKET, Stage};
use super::way::{Asked, Seen, Way};
use crate::bench::figures::Figures;
use crate::bench::usage;
use crate::process::{self, Scratch, Service};

/// What a PUT takes more than the server needs for it.
const HOLD: Duration = Duration::from_millis(2);
/// The aim: two round trips and this.
const BESIDES_MS: f64 = 5.0;
const LISTEN_LIMIT: Duration = Duration::from_secs(20);
const ACCESS_KEY: &str = "bench";
const SECRET: &str = "a secret of nobody";
pub(super) const BUCKET: &str = "logs";
pub(super) const REGION: &str = "us-east-1";

/// Who may use the bucket.
pub(super) const fn credentials() -> [(&'static str, &'static str); 2] {
    [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET)]
}

/// The S3 server with its one bucket.
struct Gateway {
    service: Service,
    address: SocketAddr,
    scratch: Scratch,
}

/// One run, as the bucket saw it.
struct Run {
    name: String,
    entries: usize,
    seen: Seen,
    /// The S3 server's CPU time.
    gateway: f64,
}

impl Gateway {
    fn start(program: &Path) -> Result<Self> {
        let scratch = Scratch::new("bench-log-bucket")?;
        let (files, port) = (scratch.file("files"), process::free_port()?);
        std::fs::create_dir_all(files.join(BUCKET))?;
        let mut command = Command::new(program);
        command.args(["--access", ACCESS_KEY, "--secret", SECRET, "--region", REGION]);
        command.args(["--quiet", "--keep-alive", "--port", &format!("127.0.0.1:{port}"), "posix"]);
        let log = scratch.file("versitygw.log");
        let mut service = Service::start("versitygw", command.arg(&files), &log)?;
        service.wait_for_port(port, LISTEN_LIMIT)?;
        Ok(Self { service, address: ([127, 0, 0, 1], port).into(), scratch })
    }

    fn cpu(&self) -> Result<f64> {
        usage::cpu_seconds(self.service.id())
    }

    fn objects(&self) -> PathBuf {
        self.scratch.file("files").join(BUCKET)
    }
}

/// Measures ours there.
pub(super) fn measure(
    figures: &mut Figures,
    versitygw: &Path,
    sealogd: &Path,
    chains: &Arc<Chains>,
    manner: Manner,
) -> Result<()> {
    let gateway = Gateway::start(versitygw)?;
    let way = Way::to(gateway.address, HOLD)?;
    let stage = Stage::in_a_bucket(sealogd, Kind::BareKey, chains, way.address())?;
    let mut requests = Requests::new(Kind::BareKey, chains)?;
    let mut side = Side::new(stage.ours()?, &mut requests)?;
    let mut runs = Vec::new();
    let mut before = gateway.cpu()?;
    way.take()?;
    let (_, clients) = side.measure(figures, manner, &mut |name, outcome: &Outcome| {
        let now = gateway.cpu()?;
        let run =
            Run { name: name.to_owned(), entries: outcome.sent, seen: way.take()?, gateway: now - before };
        println!("  {:>14}  {}", "", run.text());
        runs.push(run);
        before = now;
        Ok(())
    })?;
    let run = |name: &str| runs.iter().find(|run| run.name == name).with_context(|| format!("no run {name}"));
    let best = format!("{clients} clients");
    figures.add("two PUTs", "a record and the head, one client alone", run("alone")?.round_trips(), "ms");
    let aim = run("alone")?.round_trips() + BESIDES_MS;
    figures.add("two PUTs", "and 5 ms: aim for the median at 50 %", aim, "ms");
    for (name, called) in
        [("alone", "one client alone"), ("open, 50 %", "at 50 % of its best"), (best.as_str(), "at its best")]
    {
        run(name)?.tell(figures, called);
    }
    side.restart(figures)?;
    let entries = side.answered() as f64;
    side.end(figures)?;
    // Whatever is under way when the log ends belongs to it.
    let (mut objects, mut bytes) = (0, 0);
    count(&gateway.objects(), &mut objects, &mut bytes)?;
    figures.add(IN_A_BUCKET, "objects, each 1,000 entries", objects as f64 * 1e3 / entries, "");
    figures.add(IN_A_BUCKET, "bytes in objects, each entry", bytes as f64 / entries, "B");
    Ok(())
}

impl Run {
    fn put_ms(&self, asked: Asked) -> f64 {
        self.seen.took_ms(asked, 0.5)
    }

    /// What a commit waits for.
    fn round_trips(&self) -> f64 {
        self.put_ms(Asked::Record) + self.put_ms(Asked::Head)
    }

    fn entries(&self) -> f64 {
        self.entries.max(1) as f64
    }

    fn text(&self) -> String {
        format!(
            "{:.0} entries a batch; PUT of a record {:.2} ms, of the head {:.2} ms; an entry: {:.1} us of versitygw's CPU, {:.1} us on the way",
            self.entries() / self.seen.count(Asked::Head).max(1) as f64,
            self.put_ms(Asked::Record),
            self.put_ms(Asked::Head),
            self.gateway * 1e6 / self.entries(),
            self.seen.cpu().as_secs_f64() * 1e6 / self.entries(),
        )
    }

    fn tell(&self, figures: &mut Figures, called: &str) {
        let mut add = |subject: &str, what: &str, value: f64, unit: &'static str| {
            figures.add(subject, &format!("{called}: {what}"), value, unit);
        };
        for asked in [Asked::Record, Asked::Head, Asked::Public] {
            add("one PUT", &format!("{}, median", asked.name()), self.put_ms(asked), "ms");
            add(
                "one PUT",
                &format!("{}, slowest of a hundred", asked.name()),
                self.seen.took_ms(asked, 0.99),
                "ms",
            );
        }
        for asked in Asked::ALL {
            let each = self.seen.count(asked) as f64 * 1e3 / self.entries();
            add("requests", &format!("{}, each 1,000 entries", asked.name()), each, "");
        }
        let batches = self.seen.count(Asked::Record).max(1) as f64;
        add("requests", "entries a batch", self.entries() / batches, "");
        add("versitygw", "its CPU each entry", self.gateway * 1e6 / self.entries(), "us");
        add(
            "the way to it",
            "its CPU each entry, among the loader's",
            self.seen.cpu().as_secs_f64() * 1e6 / self.entries(),
            "us",
        );
    }
}

/// What the store would be paid for: objects and their lengths. What it keeps for itself begins with a dot.
fn count(dir: &Path, objects: &mut u64, bytes: &mut u64) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            count(&entry.path(), objects, bytes)?;
        } else {
            *objects += 1;
            *bytes += metadata.len();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_counted_and_what_the_server_keeps_for_itself_is_not() {
        let scratch = Scratch::new("bucket-count").unwrap();
        std::fs::create_dir_all(scratch.file("a/b")).unwrap();
        std::fs::create_dir(scratch.file(".sgwtmp")).unwrap();
        for (name, length) in [("a/b/c", 300), ("head", 20), (".sgwtmp/lock", 7)] {
            std::fs::write(scratch.file(name), vec![1; length]).unwrap();
        }
        let (mut objects, mut bytes) = (0, 0);
        count(scratch.path(), &mut objects, &mut bytes).unwrap();
        assert_eq!((objects, bytes), (2, 320));
    }
}
