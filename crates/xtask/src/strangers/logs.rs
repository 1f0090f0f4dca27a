//! Both logs read whole with the libraries of others, over HTTP and from their files; and copies of the files with one
//! thing wrong each, which must be noticed, since a reader that takes everything says nothing about ours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::report::{Check, Report};
use super::{Kind, Outcome, Signed, Stage};
use crate::House;
use crate::dev::Dev;
use crate::{http, process};

/// The longest one reading may take, the growing log's included.
const LIMIT: Duration = Duration::from_secs(600);
/// How long files may take to follow a log that does not grow.
const SETTLE_LIMIT: Duration = Duration::from_secs(60);
/// Sizes at the edges of tiles, at which a growing log is read. It begins with one entry.
const SIZES: [&str; 10] = ["1", "2", "3", "255", "256", "257", "511", "512", "513", "600"];
/// How the checkpoints of a log of signatures are named on this machine.
const REKOR_ORIGIN: &str = "localhost";
/// Every refusal of the reader begins so; a reader that fell over does not say it.
const REFUSED: &str = "refused:";
/// At how many places of a tile of certificates a byte is changed.
const PLACES: usize = 12;

/// The rows of the log readers.
pub(super) fn run(house: &House, stage: &Stage<'_>, signed: &[Signed<'_>], report: &mut Report) {
    if let Err(error) = rekor(house, stage, report) {
        report.accepts(Check::new("go log readers", "reads signatures", "at all".to_owned()), Err(error));
    }
    if let Err(error) = certificates(stage, signed, report) {
        report.accepts(Check::new("go log readers", "reads certificates", "at all".to_owned()), Err(error));
    }
}

/// What can be done to a folder of files.
enum Damage {
    /// One bit at this place of the file, from its end where negative; `*` is the widest of a partial tile's files,
    /// which is the one that is read.
    Flip(&'static str, i64),
    /// Without its last byte.
    Cut(&'static str),
    /// Gone.
    Remove(&'static str),
    /// A line of a checkpoint replaced.
    Line(usize, &'static str),
}

/// Damage to a log of more than two full tiles, and a word of the reason.
const REKOR_DAMAGES: [(&str, Damage, &str); 11] = [
    ("a bit of an entry", Damage::Flip("tile/entries/001", 300), "root"),
    ("a bit of the last entry of a bundle", Damage::Flip("tile/entries/000", -7), "root"),
    ("a length of an entry", Damage::Flip("tile/entries/001", 1), REFUSED),
    ("a bundle cut short", Damage::Cut("tile/entries/001"), REFUSED),
    ("a bundle gone", Damage::Remove("tile/entries/000"), REFUSED),
    ("a bit of a tile", Damage::Flip("tile/0/001", 32 * 40), "entry 296 has another hash than its tile says"),
    ("a bit of a tile of tiles", Damage::Flip("tile/1/000.p/*", 40), "inclusion of"),
    ("a tile cut short", Damage::Cut("tile/0/000"), REFUSED),
    ("a tile gone", Damage::Remove("tile/0/001"), REFUSED),
    ("another size", Damage::Line(1, "599"), "signature"),
    ("another name", Damage::Line(0, "elsewhere"), "checkpoint"),
];

/// A log of its own, from its first entry.
fn rekor(house: &House, stage: &Stage<'_>, report: &mut Report) -> Result<()> {
    let check = |case: &str| Check::new("go log readers", "reads signatures", case.to_owned());
    let dir = stage.scratch.file("growing");
    let dev = Dev::start(house, &dir)?;
    let (key, seen) = (dir.join("keys/rekor.pub"), stage.scratch.file("seen.json"));
    let files = dir.join("data/rekor/public");
    let url = dev.url("rekor")?;
    let url = url.trim_end_matches('/');
    let mut grow = reader(stage, "grow");
    grow.arg(url).arg(&files).arg(&key).arg(REKOR_ORIGIN).arg(&seen).args(SIZES);
    if !report.accepts(check("growing, at the edges of tiles"), process::run(&mut grow, LIMIT)) {
        return Ok(());
    }
    let read = |place: &Path, seen: &Path| {
        let mut command = reader(stage, "read");
        process::run(command.arg(place).arg(&key).arg(REKOR_ORIGIN).arg(seen), LIMIT)
    };
    report.accepts(check("every two checkpoints, over HTTP"), read(Path::new(url), &seen));
    let prefixed = format!("{url}/api/v2");
    report.accepts(check("every two checkpoints, over HTTP at /api/v2"), read(Path::new(&prefixed), &seen));
    report.accepts(check("every two checkpoints, from files"), read(&files, &seen));
    let forged = stage.scratch.file("forged.json");
    std::fs::copy(&seen, &forged)?;
    let mut forge = reader(stage, "forge");
    forge.arg(&forged).arg(dir.join("keys/rekor.key")).arg(REKOR_ORIGIN);
    process::run(&mut forge, LIMIT)?.expect_success("forging a checkpoint")?;
    report.refuses(check("a checkpoint of another tree"), read(&files, &forged), &["consistency of"]);
    for (case, damage, word) in &REKOR_DAMAGES {
        let outcome = damaged(stage, &files, damage).and_then(|copy| read(&copy, &seen));
        report.refuses(check(case), outcome, &[word]);
    }
    dev.stop()
}

/// Damage to a log of certificates of more than one full tile; every byte of an entry counts.
const CT_DAMAGES: [(&str, Damage); 6] = [
    ("a bit of a tile", Damage::Flip("tile/0/000", 32 * 40)),
    ("a bit of a tile of tiles", Damage::Flip("tile/1/000.p/*", 9)),
    ("entries cut short", Damage::Cut("tile/data/000")),
    ("entries gone", Damage::Remove("tile/data/000")),
    ("another size", Damage::Line(1, "256")),
    ("another root", Damage::Line(2, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")),
];

/// The log of certificates of everybody who signed so far, and of hundreds more.
fn certificates(stage: &Stage<'_>, signed: &[Signed<'_>], report: &mut Report) -> Result<()> {
    let check = |case: String| Check::new("go log readers", "reads certificates", case);
    stage.renew_person()?;
    let mut many = Command::new(&stage.peers.fulcio_grpc);
    many.env("HOME", stage.home()).arg("many").arg(stage.dev.authority("ca")?);
    process::run(many.arg(&stage.person.token_file), LIMIT)?.expect_success("hundreds of certificates")?;
    let dir = stage.scratch.file("dev");
    let (key, files) = (dir.join("keys/ctlog.pub"), dir.join("data/ctlog/public"));
    let (url, origin) = (stage.dev.url("ctlog")?, stage.dev.authority("ctlog")?);
    let url = url.trim_end_matches('/');
    let read = |place: &Path| {
        let mut command = reader(stage, "ct");
        process::run(command.arg(place).arg(&key).arg(&origin), LIMIT)
    };
    report.accepts(check("over HTTP".to_owned()), read(Path::new(url)));
    let mut submit = reader(stage, "submit");
    submit.arg(url).arg(&key).arg(&origin);
    // The certificates of bundles have not been logged in their final form; each has the timestamp of its first.
    let bundles = signed.iter().filter(|signed| signed.kind == Kind::Blob).map(|signed| &signed.bundle);
    let again = process::run(submit.args(bundles), LIMIT);
    let newest = newest(&again);
    report.accepts(check("logged again".to_owned()), again);
    let port = origin.rsplit(':').next().context("an address has a port")?.parse()?;
    let read_files = || settled(&files, port, newest?).and_then(|()| read(&files));
    report.accepts(check("from files".to_owned()), read_files());
    for (case, damage) in &CT_DAMAGES {
        let outcome = damaged(stage, &files, damage).and_then(|copy| read(&copy));
        report.refuses(check((*case).to_owned()), outcome, &[REFUSED]);
    }
    let length = std::fs::metadata(files.join("tile/data/000"))?.len();
    for place in 0..PLACES {
        // Spread over the whole tile, and never twice at one part of an entry.
        let at =
            i64::try_from(length)? * i64::try_from(place)? / i64::try_from(PLACES)? + i64::try_from(place)?;
        let outcome = damaged(stage, &files, &Damage::Flip("tile/data/000", at)).and_then(|copy| read(&copy));
        report.refuses(check(format!("a bit of byte {at} of the entries")), outcome, &[REFUSED]);
    }
    for (case, change) in [("a bit of an issuer", true), ("an issuer gone", false)] {
        let copy = copied(stage, &files)?;
        let issuer = std::fs::read_dir(copy.join("issuer"))?.next().context("no issuer")??.path();
        if change {
            flip(&issuer, -1)?;
        } else {
            std::fs::remove_file(&issuer)?;
        }
        report.refuses(check(case.to_owned()), read(&copy), &["issuer", "no such file"]);
    }
    Ok(())
}

fn reader(stage: &Stage<'_>, mode: &str) -> Command {
    let mut command = Command::new(&stage.peers.log_reader);
    command.env("HOME", stage.home()).arg(mode);
    command
}

/// Where the newest of the entries stands that a program had logged, as it says itself.
pub(super) fn newest(outcome: &Outcome) -> Result<u64> {
    let said = outcome.as_ref().map(|finished| finished.stdout.as_str()).unwrap_or_default();
    let newest = said.lines().find_map(|line| line.strip_prefix("newest "));
    Ok(newest.context("nobody says where the newest entry stands")?.parse()?)
}

/// Waits until the files show all up to that entry, and are what the log itself, at that port, says: they follow it at
/// their own pace, tiles before the checkpoint.
pub(super) fn settled(files: &Path, port: u16, newest: u64) -> Result<()> {
    let deadline = Instant::now() + SETTLE_LIMIT;
    loop {
        let file = std::fs::read(files.join("checkpoint"))?;
        let size = String::from_utf8_lossy(&file).lines().nth(1).map(str::to_owned).unwrap_or_default();
        let says = http::ask(port, "GET", "/checkpoint", &[])?;
        ensure!(says.status == 200, "the log's own checkpoint: {}", says.status);
        if file == says.body && size.parse::<u64>()? > newest {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "the files still have {size} entries {} s after entry {newest}",
            SETTLE_LIMIT.as_secs()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A copy of the files with one thing wrong.
fn damaged(stage: &Stage<'_>, files: &Path, damage: &Damage) -> Result<PathBuf> {
    let copy = copied(stage, files)?;
    match damage {
        Damage::Flip(name, at) => match name.strip_suffix('*') {
            Some(folder) => flip(&widest(&copy.join(folder))?, *at)?,
            None => flip(&copy.join(name), *at)?,
        },
        Damage::Cut(name) => {
            let mut bytes = std::fs::read(copy.join(name))?;
            bytes.pop();
            std::fs::write(copy.join(name), bytes)?;
        }
        Damage::Remove(name) => std::fs::remove_file(copy.join(name))?,
        Damage::Line(number, text) => {
            let path = copy.join("checkpoint");
            let whole = std::fs::read_to_string(&path)?;
            let lines = whole.split('\n').enumerate();
            let lines: Vec<&str> = lines.map(|(at, line)| if at == *number { *text } else { line }).collect();
            std::fs::write(path, lines.join("\n"))?;
        }
    }
    Ok(copy)
}

fn widest(folder: &Path) -> Result<PathBuf> {
    let mut widths = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let name = entry?.file_name();
        widths.push(name.to_str().and_then(|name| name.parse::<u16>().ok()).context("a width that is none")?);
    }
    let width = widths.iter().max().context("a partial tile without files")?;
    Ok(folder.join(width.to_string()))
}

fn flip(path: &Path, at: i64) -> Result<()> {
    let mut bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let from = if at < 0 { i64::try_from(bytes.len())? } else { 0 };
    let byte = bytes.get_mut(usize::try_from(from + at)?).with_context(|| format!("no byte {at}"))?;
    *byte ^= 1;
    Ok(std::fs::write(path, bytes)?)
}

fn copied(stage: &Stage<'_>, files: &Path) -> Result<PathBuf> {
    let copy = stage.scratch.file("copy");
    if copy.exists() {
        std::fs::remove_dir_all(&copy)?;
    }
    copy_tree(files, &copy)?;
    Ok(copy)
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
