//! `cargo xtask bench log`: both logs and the timestamp authority under load, durable on every side, beside the peers.
//!
//! The same requests, made before any clock starts, go to `sealogd` and to each peer on the same machine in the same run:
//! one client alone; closed loops at several numbers of clients, of which each side's best is quoted; open loops
//! at shares of that best. After every run 1,000 answers, drawn evenly, are verified. `load` is the loader, `requests` what it
//! sends, `check` who judges the answers, `servers` who is measured, `measure` the order of it.
//!
//! Then ours alone: over an object store (`bucket`, and `way` to it), and with ten million entries (`large`).

mod answer;
mod bucket;
mod chain;
mod check;
mod large;
mod load;
mod measure;
mod requests;
mod servers;
mod tiles;
mod way;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::figures::Figures;
use crate::House;
use crate::peers::{self, Servers};
use crate::process;
use chain::Chains;
use measure::{Manner, Side};
use requests::{Kind, Requests};
use servers::{Server, Stage};

const KINDS: [Kind; 5] = [Kind::BareKey, Kind::Certificate, Kind::Chain, Kind::PreChain, Kind::Timestamp];
pub(crate) const USAGE: &str = "\
cargo xtask bench log [bare-key|certificate|add-chain|add-pre-chain|timestamp|tiles|store|ten-million]...
    store             our log of signatures in a bucket of versitygw, each PUT of which takes 2 ms more
    ten-million       our log of signatures filled to ten million entries (or --entries N), killed and started again;
                      takes 6 GB of disk and some minutes, and is left out unless it is asked for

    --quick           one number of clients, short runs
    --ours            no peers
    --clients N       one number of clients for ours, and for both who serve tiles
    --seconds S       how long each run of ours, or of both who serve tiles, is measured
    --entries N       fill our log of signatures to N entries before it is killed and started again
    --sealogd PATH    another build of ours
    --against-bin sunlight=PATH, --against-bin tesseract=PATH
                      logs of certificates, which are built by hand from their sources";

/// Ours answers in milliseconds.
const OURS: Manner = Manner {
    clients: &[64, 256, 512, 1024],
    warm_up: Duration::from_secs(2),
    measured: Duration::from_secs(8),
    open_clients: 1024,
    only: None,
};
/// A peer that answers in seconds needs thousands of clients, and longer runs.
const SLOW: Manner = Manner {
    clients: &[512, 4096],
    warm_up: Duration::from_secs(12),
    measured: Duration::from_secs(30),
    open_clients: 4096,
    only: None,
};
/// The same, tuned.
const TUNED: Manner = Manner {
    clients: &[512, 4096, 8192],
    warm_up: Duration::from_secs(5),
    measured: Duration::from_secs(20),
    open_clients: 8192,
    only: None,
};
/// Servers that answer without waiting for a disk.
const FAST: Manner = Manner {
    clients: &[16, 64, 256],
    warm_up: Duration::from_secs(1),
    measured: Duration::from_secs(6),
    open_clients: 256,
    only: None,
};
/// Entries of the log whose tiles are read.
const TILED: usize = 200_000;

/// Parts that are no kind of request.
const PARTS: [&str; 3] = ["tiles", "store", TEN_MILLION];
/// Only when it is asked for.
const TEN_MILLION: &str = "ten-million";

/// What was asked for.
#[derive(Debug, Default)]
struct Options {
    parts: Vec<String>,
    quick: bool,
    ours: bool,
    clients: Option<usize>,
    seconds: Option<u64>,
    entries: Option<usize>,
    sealogd: Option<PathBuf>,
    sunlight: Option<PathBuf>,
    tesseract: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[&str]) -> Result<Self> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match *argument {
                "--quick" => options.quick = true,
                "--ours" => options.ours = true,
                "--clients" => options.clients = Some(number(argument, arguments.next())?),
                "--seconds" => options.seconds = Some(number(argument, arguments.next())?.try_into()?),
                "--entries" => options.entries = Some(number(argument, arguments.next())?),
                "--sealogd" => {
                    let path = arguments.next().context("--sealogd takes a path")?;
                    options.sealogd = Some(PathBuf::from(path));
                }
                "--against-bin" => {
                    let (name, path) = arguments
                        .next()
                        .and_then(|pair| pair.split_once('='))
                        .context("--against-bin takes NAME=PATH")?;
                    match name {
                        "sunlight" => options.sunlight = Some(PathBuf::from(path)),
                        "tesseract" => options.tesseract = Some(PathBuf::from(path)),
                        other => bail!("`{other}` is not a log of certificates that can be measured"),
                    }
                }
                part if PARTS.contains(&part) || KINDS.iter().any(|kind| part_of(*kind) == part) => {
                    options.parts.push(part.to_owned());
                }
                other => bail!("`{other}` is not understood\n\n{USAGE}"),
            }
        }
        Ok(options)
    }

    fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() && part != TEN_MILLION || self.parts.iter().any(|wanted| wanted == part)
    }

    fn manner(&self, manner: Manner) -> Manner {
        if self.quick { manner.quick() } else { manner }
    }

    /// The same for a server of ours.
    fn ours(&self, manner: Manner) -> Manner {
        let mut manner = self.manner(manner);
        manner.only = self.clients;
        manner.measured = self.seconds.map_or(manner.measured, Duration::from_secs);
        manner
    }
}

fn number(option: &str, text: Option<&&str>) -> Result<usize> {
    let number = text.and_then(|text| text.replace('_', "").parse().ok());
    number.with_context(|| format!("{option} takes a number"))
}

fn part_of(kind: Kind) -> String {
    kind.name().replace(' ', "-")
}

/// Measures, prints a table, then the same as JSON lines.
pub(crate) fn command(house: &House, arguments: &[&str]) -> Result<bool> {
    let options = Options::parse(arguments)?;
    if cfg!(debug_assertions) {
        return optimised(house, arguments);
    }
    raise_the_limit()?;
    let peers = match options.ours {
        true => None,
        false => Some(peers::servers(house)?),
    };
    let sealogd = options.sealogd.clone().unwrap_or_else(|| house.program("sealogd"));
    let bench = Bench { sealogd, options, peers, chains: Arc::new(Chains::new()?) };
    let mut figures = Figures::of("log");
    measure::machine(&mut figures, &std::env::temp_dir())?;
    for kind in KINDS {
        if bench.options.wants(&part_of(kind)) {
            bench.measure(&mut figures, kind)?;
        }
    }
    if bench.options.wants("tiles") {
        bench.tiles(&mut figures)?;
    }
    if bench.options.wants("store") {
        let versitygw = match std::env::var_os(peers::VERSITYGW_VARIABLE) {
            Some(program) => PathBuf::from(program),
            None => peers::versitygw(house)?,
        };
        bucket::measure(&mut figures, &versitygw, &bench.sealogd, &bench.chains, bench.options.ours(OURS))?;
    }
    if bench.options.wants(TEN_MILLION) {
        bench.large(house, &mut figures)?;
    }
    figures.compare("sealogd");
    figures.print();
    Ok(true)
}

/// A loader that is not optimised would measure itself: the same command again, by a release build of this program.
fn optimised(house: &House, arguments: &[&str]) -> Result<bool> {
    let mut again = Command::new(env!("CARGO"));
    again.args(["run", "--quiet", "--release", "--package", "xtask", "--", "bench", "log"]).args(arguments);
    process::show(again.current_dir(&house.root))
}

/// Thousands of clients are thousands of open files, here and in the servers, which inherit it.
fn raise_the_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}

struct Bench {
    sealogd: PathBuf,
    options: Options,
    peers: Option<Servers>,
    chains: Arc<Chains>,
}

impl Bench {
    fn measure(&self, figures: &mut Figures, kind: Kind) -> Result<()> {
        let stage = Stage::new(&self.sealogd, kind, &self.chains)?;
        let mut requests = Requests::new(kind, &self.chains)?;
        let ours = if kind == Kind::Timestamp { FAST } else { OURS };
        let mut side = Side::new(stage.ours()?, &mut requests)?;
        let (_, clients) = side.measure(figures, self.options.ours(ours), &mut |_, _| Ok(()))?;
        if kind == Kind::BareKey {
            if let Some(entries) = self.options.entries {
                side.fill(figures, entries, clients)?;
            }
            side.restart(figures)?;
        }
        side.end(figures)?;
        if matches!(kind, Kind::Chain | Kind::PreChain) {
            if let Some(program) = &self.options.tesseract {
                self.peer(figures, &mut requests, stage.tesseract(program)?, TUNED)?;
            }
            if let Some(program) = &self.options.sunlight {
                self.peer(figures, &mut requests, stage.sunlight(program)?, TUNED)?;
            }
            return Ok(());
        }
        let Some(peers) = &self.peers else { return Ok(()) };
        if kind == Kind::Timestamp {
            return self.peer(figures, &mut requests, stage.timestamp_server(&peers.timestamp_server)?, FAST);
        }
        self.peer(figures, &mut requests, stage.rekor_tiles(&peers.rekor, false)?, SLOW)?;
        self.peer(figures, &mut requests, stage.rekor_tiles(&peers.rekor, true)?, TUNED)
    }

    fn peer(
        &self,
        figures: &mut Figures,
        requests: &mut Requests,
        server: Server,
        manner: Manner,
    ) -> Result<()> {
        let mut side = Side::new(server, requests)?;
        side.measure(figures, self.options.manner(manner), &mut |_, _| Ok(()))?;
        side.end(figures)?;
        Ok(())
    }

    fn large(&self, house: &House, figures: &mut Figures) -> Result<()> {
        let stage = Stage::new(&self.sealogd, Kind::BareKey, &self.chains)?;
        let mut requests = Requests::new(Kind::BareKey, &self.chains)?;
        let entries = self.options.entries.unwrap_or(10_000_000);
        large::measure(figures, &house.root, &stage, &mut requests, entries, self.options.ours(OURS))
    }

    fn tiles(&self, figures: &mut Figures) -> Result<()> {
        let stage = Stage::new(&self.sealogd, Kind::BareKey, &self.chains)?;
        let mut requests = Requests::new(Kind::BareKey, &self.chains)?;
        let mut side = Side::new(stage.ours()?, &mut requests)?;
        let entries = if self.options.quick { TILED / 10 } else { TILED };
        side.fill(figures, entries, 256)?;
        side.end(figures)?;
        let server = stage.ours()?;
        let ours = (server.address, server.service.id());
        tiles::measure(figures, stage.scratch(), &stage.public_files(), ours, self.options.ours(FAST))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_understood() {
        let options = Options::parse(&["--quick", "bare-key", "--entries", "10_000_000", "tiles"]).unwrap();
        assert!(options.quick && !options.ours && options.entries == Some(10_000_000));
        assert!(options.wants("tiles") && options.wants("bare-key") && !options.wants("certificate"));
        let all = Options::parse(&[]).unwrap();
        assert!(all.wants("add-chain") && all.wants("store") && !all.wants("ten-million"));
        assert!(Options::parse(&["ten-million"]).unwrap().wants("ten-million"));
        for wrong in [["--entries"].as_slice(), &["--entries", "many"], &["rekor"], &["--fast"]] {
            assert!(Options::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
