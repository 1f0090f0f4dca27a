//! A log of ten million entries: memory, disk, duplicates, and how soon it is back after a kill.
//!
//! The engine's own library fills it (`log-engine`'s example `fill`), which is many times quicker than HTTP and leaves the same
//! files; then `sealogd` runs over them. A thousand of its entries, spread evenly, are those of real requests: sent
//! again, each must be found where it is.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sealog_bundle::entry::HashedRekord;
use sealog_bundle::{CreateEntryRequest, TransparencyLogEntry};
use sealog_crypto::{Digest, HashAlgorithm};

use super::load::{self, Pace, Run};
use super::measure::{Manner, Side};
use super::requests::Requests;
use super::servers::Stage;
use crate::bench::figures::Figures;
use crate::bench::usage;
use crate::process;

/// Entries of real requests among the others.
const KNOWN: usize = 1000;
/// More than an entry takes on the disk, with room for what is not in a tile yet.
const ROOM_EACH: u64 = 640;
/// The longest filling may take.
const FILL_LIMIT: Duration = Duration::from_secs(3600);
const LIMIT: Duration = Duration::from_secs(60);
/// Bytes of hashes in tiles for an entry: 32 for its own and what is above it.
const HASHES: f64 = 32.2;
/// The most that an entry may take in the index of duplicates.
const INDEX: f64 = 16.0;
/// What the entry's length takes in its bundle.
const LENGTH: f64 = 2.0;

/// Measures ours, of so many entries.
pub(super) fn measure(
    figures: &mut Figures,
    root: &Path,
    stage: &Stage<'_>,
    requests: &mut Requests,
    entries: usize,
    manner: Manner,
) -> Result<()> {
    let free = free_bytes(stage.scratch().path())?;
    let needed = u64::try_from(entries)? * ROOM_EACH;
    println!(
        "{entries} entries take up to {:.1} GB of {:.1} GB that are free",
        needed as f64 / 1e9,
        free as f64 / 1e9
    );
    ensure!(free > needed, "there is no room for a log of {entries} entries");
    requests.reach(KNOWN)?;
    let bodies = (0..KNOWN).map(|number| body(requests.body(number)?)).collect::<Result<Vec<_>>>()?;
    let length = bodies.first().map_or(0, Vec::len) as f64;
    let size = fill(figures, root, stage, &bodies, entries)?;

    let metric = |what: &str| format!("{entries} entries: {what}");
    let data = stage.data();
    let server = stage.ours()?;
    let index = usage::disk_bytes(&data.join("index"))? as f64;
    let public = usage::disk_bytes(&data.join("public"))? as f64;
    let mut side = Side::filled(server, requests, size);
    let (clients, open) = (manner.clients(), manner.open_clients);
    let clients = clients.last().copied().unwrap_or(open);
    let held = usage::resident_mb(side.server.service.id(), usage::NOW)?;
    figures.add("sealogd", &metric("memory after an orderly start"), held, "MB");

    // In this order: what was asked for already must not be known from the load.
    let again = duplicates(&side, size)?;
    figures.add("sealogd", &metric("of 1,000 sent again, found where they are"), again.0, "");
    figures.add("sealogd", &metric("sent again by one client: median"), again.1, "ms");
    side.skip(KNOWN);
    let outcome = side.run(clients, Pace::Closed, manner.warm_up, manner.measured, 40_000.0)?;
    figures.add("sealogd", &metric("answers under full load"), outcome.per_second, "/s");
    let id = side.server.service.id();
    figures.add("sealogd", &metric("memory under full load"), usage::resident_mb(id, usage::NOW)?, "MB");
    figures.add("sealogd", &metric("most memory"), usage::resident_mb(id, usage::PEAK)?, "MB");
    let first = side.killed()?;
    figures.add("sealogd", &metric("restart after a kill, to the first answer"), first, "s");
    side.run(clients, Pace::Closed, Duration::ZERO, manner.measured / 4, 40_000.0)?;
    let first = side.killed_and_forgotten(&data)?;
    figures.add("sealogd", &metric("the same, its files not in memory"), first, "s");
    let id = side.server.service.id();
    let held = usage::resident_mb(id, usage::NOW)?;
    figures.add("sealogd", &metric("memory after the restart"), held, "MB");
    let again = duplicates(&side, size)?;
    figures.add("sealogd", &metric("of 1,000 sent again after the kills, found"), again.0, "");
    figures.add(
        "sealogd",
        &metric("most memory after the restart"),
        usage::resident_mb(id, usage::PEAK)?,
        "MB",
    );

    let answered = side.answered() as f64;
    side.server.service.stop()?;
    let each = usage::disk_bytes(&data)? as f64 / answered;
    figures.add("sealogd", &metric("body, each"), length, "B");
    figures.add("sealogd", &metric("disk, each"), each, "B");
    figures.add("sealogd", &metric("disk, each: public files"), public / size as f64, "B");
    figures.add("sealogd", &metric("disk, each: index of duplicates"), index / size as f64, "B");
    figures.add("aim", &metric("disk, each"), length + LENGTH + HASHES + INDEX, "B");
    Ok(())
}

/// Fills it by the engine's library; the tree size then.
fn fill(
    figures: &mut Figures,
    root: &Path,
    stage: &Stage<'_>,
    bodies: &[Vec<u8>],
    entries: usize,
) -> Result<usize> {
    let (key, file) = (stage.scratch().file("key.der"), stage.scratch().file("bodies"));
    let keys = stage.scratch().file("keys");
    let mut convert = Command::new("openssl");
    convert.args(["pkcs8", "-topk8", "-nocrypt", "-outform", "DER", "-in"]).arg(keys.join("rekor.key"));
    process::run(convert.arg("-out").arg(&key), LIMIT)?.expect_success("openssl pkcs8")?;
    std::fs::write(&file, bodies.join(b"\n".as_slice()))?;
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--release", "--package", "sealog-log-engine", "--example", "fill"]);
    ensure!(process::show(build.current_dir(root))?, "the program that fills a log cannot be built");
    let mut fill = Command::new(root.join("target/release/examples/fill"));
    fill.arg(stage.data()).arg(&key).arg(keys.join("rekor.seen")).arg("localhost");
    fill.arg(entries.to_string()).arg(&file);
    let said = process::run(&mut fill, FILL_LIMIT)?.expect_success("filling the log")?;
    let words: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [before, size, seconds] = words.as_slice() else { bail!("fill said {said}") };
    let name = format!("{entries} entries: appended by the library alone, in two threads");
    figures.add("log-engine", &name, (size - before) / seconds, "/s");
    println!("  filled to {size} entries in {seconds:.0} s");
    Ok(*size as usize)
}

/// What is logged for a request.
fn body(request: &[u8]) -> Result<Vec<u8>> {
    let CreateEntryRequest::HashedRekord(request) = CreateEntryRequest::parse(request)? else {
        bail!("not a hashedrekord")
    };
    let entry = HashedRekord {
        digest: Digest::new(HashAlgorithm::Sha256, &request.digest)?,
        signature: request.signature,
        verifier: request.verifier,
        key_details: request.key_details,
    };
    Ok(entry.canonical())
}

/// Sends the known ones again: how many were found in the log that was filled, and the median latency. All others would
/// have been logged anew, behind it.
fn duplicates(side: &Side<'_>, size: usize) -> Result<(f64, f64)> {
    let run = Run {
        address: side.server.address,
        connections: 1,
        pace: Pace::Closed,
        warm_up: Duration::ZERO,
        measured: Duration::from_secs(600),
        requests: side.requests.from(0).get(..KNOWN).context("the requests are gone")?,
        again: false,
        servers: &[side.server.service.id()],
    };
    let outcome = load::run(&run)?;
    ensure!(outcome.failed + outcome.refused == 0, "{:?}", outcome.first_failure);
    side.server.judge.verify(side.requests, &outcome.kept)?;
    let mut places = std::collections::BTreeSet::new();
    for (number, answer) in &outcome.kept {
        let index = TransparencyLogEntry::parse(answer)?.log_index;
        ensure!(index < u64::try_from(size)?, "request {number} was logged again, at {index}");
        places.insert(index);
    }
    Ok((places.len() as f64, outcome.latency_ms(0.5)))
}

fn free_bytes(dir: &Path) -> Result<u64> {
    let found = rustix::fs::statvfs(dir)?;
    Ok(found.f_bavail * found.f_frsize)
}

/// Lets the kernel forget what it holds of all files: as after the machine was switched off.
pub(super) fn forget_files(dir: &Path) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    let paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    for path in paths {
        if path.is_dir() {
            forget_files(&path)?;
            continue;
        }
        let file = std::fs::File::open(&path)?;
        // Only what is on the disk can be let go.
        rustix::fs::fdatasync(&file)?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}
