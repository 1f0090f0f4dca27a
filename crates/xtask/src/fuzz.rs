//! `cargo xtask fuzz`: runs the fuzzer's programs, adds up their minutes, keeps the corpora small.
//!
//! No further tool is needed: libFuzzer comes with the programs, and what `cargo fuzz` would pass to the
//! compiler is passed here (without a sanitizer: the parsers have no `unsafe` of ours, and memory is counted by
//! the targets themselves). `cargo fuzz run TARGET` works as well.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::House;
use crate::process;

/// The targets, those first that matter most, and the longest input of each.
const TARGETS: [(&str, u32); 16] = [
    ("verify", 1 << 14),
    ("bundle", 1 << 20),
    ("certificate", 1 << 17),
    ("timestamp", 1 << 19),
    ("entry_body", 1 << 20),
    ("checkpoint", 1 << 17),
    ("statement", 1 << 20),
    ("trusted_root", 1 << 20),
    ("json", 1 << 20),
    ("policy", 1 << 13),
    ("public_key", 1 << 16),
    ("checksums", 1 << 16),
    ("inspect", 1 << 18),
    ("relay_request", 1 << 16),
    ("relay_answer", 1 << 16),
    ("head", 1 << 16),
];
/// What the compiler is told: where the program's paths part, and what it compares, is seen by libFuzzer.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
/// Seconds for each target unless asked otherwise.
const SECONDS: u64 = 60;
/// The longest one input may take, in seconds; more is a finding.
const INPUT_SECONDS: u32 = 20;
/// Mebibytes a program may have; more is a finding.
const MEMORY: u32 = 2048;
/// Files a corpus keeps: the replay holds the same number.
const MAX_FILES: usize = 500;
/// Bytes one corpus keeps.
const MAX_BYTES: u64 = 280 << 10;
/// Where the minutes are added up.
const MINUTES: &str = "fuzz/minutes.md";
/// How often a program's time is looked at.
const POLL: Duration = Duration::from_millis(200);

/// What is asked for.
struct Wish<'a> {
    seconds: u64,
    merge: bool,
    targets: Vec<&'a str>,
}

/// Runs what the arguments ask for; `false` when something was found.
pub(crate) fn command(house: &House, arguments: &[&str]) -> Result<bool> {
    if arguments == ["--worst"] {
        return worst(house, 1);
    }
    let wish = wish(arguments)?;
    let programs = build(house)?;
    let mut clean = true;
    for target in &wish.targets {
        let (name, longest) = known(target)?;
        let run = Run { house, name, longest, program: programs.join(name) };
        if wish.merge {
            run.merge()?;
        } else {
            clean &= run.fuzz(wish.seconds)?;
        }
    }
    Ok(clean)
}

fn known(target: &str) -> Result<(&'static str, u32)> {
    let found = TARGETS.into_iter().find(|(name, _)| *name == target);
    let names = TARGETS.map(|(name, _)| name).join(", ");
    found.with_context(|| format!("there is no target `{target}`; there are: {names}"))
}

fn wish<'a>(arguments: &[&'a str]) -> Result<Wish<'a>> {
    let mut wish = Wish { seconds: SECONDS, merge: false, targets: Vec::new() };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match *argument {
            "--seconds" => {
                let number = rest.next().context("--seconds wants a number")?;
                wish.seconds = number.parse().context("--seconds wants a number")?;
            }
            "--merge" => wish.merge = true,
            other if other.starts_with('-') => bail!("unknown option `{other}`"),
            target => wish.targets.push(known(target)?.0),
        }
    }
    if wish.targets.is_empty() {
        wish.targets.extend(TARGETS.map(|(name, _)| name));
    }
    Ok(wish)
}

/// The inputs made to be slow. Each may take so many times as long as it should.
pub(crate) fn worst(house: &House, times: u32) -> Result<bool> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--release", "--quiet", "-p", "sealog-fuzz-targets", "--example", "worst"]);
    command.args(["--", "--times", &times.to_string()]);
    process::show(command.current_dir(&house.root))
}

/// Builds every program; the folder they are in.
fn build(house: &House) -> Result<PathBuf> {
    let said = process::run(Command::new("rustc").args(["+nightly", "-vV"]), Duration::from_secs(60))?;
    let said = said.expect_success("asking for the nightly compiler (`rustup toolchain install nightly`)")?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    let mut command = Command::new("cargo");
    // With a target named, the flags are not for build scripts.
    command.args(["+nightly", "build", "--release", "--quiet", "--target", host]);
    command.env("RUSTFLAGS", COVERAGE).env_remove("CARGO_TARGET_DIR").current_dir(house.path("fuzz"));
    if !process::show(&mut command)? {
        bail!("the fuzzer's programs do not build; what the compiler said stands above");
    }
    Ok(house.path("fuzz/target").join(host).join("release"))
}

struct Run<'a> {
    house: &'a House,
    name: &'static str,
    longest: u32,
    program: PathBuf,
}

impl Run<'_> {
    /// What is in the repository.
    fn corpus(&self) -> PathBuf {
        self.house.path("fuzz/corpus").join(self.name)
    }

    /// What was found since, on this machine.
    fn grown(&self) -> Result<PathBuf> {
        self.folder("grown")
    }

    fn folder(&self, what: &str) -> Result<PathBuf> {
        let folder = self.house.path("fuzz/target").join(what).join(self.name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// Looks for inputs that the target does not stand; `false` when one was found.
    fn fuzz(&self, seconds: u64) -> Result<bool> {
        let found = self.folder("found")?;
        let log = self.house.path("fuzz/target").join(format!("{}.log", self.name));
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(&self.program).arg(self.grown()?).arg(self.corpus());
        command.arg(format!("-max_total_time={seconds}")).arg(format!("-max_len={}", self.longest));
        command.arg(format!("-timeout={INPUT_SECONDS}")).arg(format!("-rss_limit_mb={MEMORY}"));
        command.arg(format!("-artifact_prefix={}/", found.display())).arg("-print_final_stats=1");
        let output = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).spawn();
        let (clean, took) = wait(child.context("cannot start nice")?)?;
        let said = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let inputs = inputs_run(&said);
        let minutes = took.as_secs_f64() / 60.0;
        let verdict = if clean { "nothing found" } else { "FOUND SOMETHING" };
        println!("{:13} {minutes:6.2} minutes of processor, {inputs} inputs: {verdict}", self.name);
        if !clean {
            println!("  input in {}, words in {}", found.display(), log.display());
        }
        add_up(&self.house.path(MINUTES), &self.house.path("fuzz/target"), self.name, minutes, inputs)
            .with_context(|| format!("cannot write {MINUTES}"))?;
        Ok(clean)
    }

    /// Puts into the repository the few inputs that reach all that was reached.
    fn merge(&self) -> Result<()> {
        let chosen = self.folder("chosen")?;
        fs::remove_dir_all(&chosen)?;
        fs::create_dir_all(&chosen)?;
        let mut command = Command::new(&self.program);
        command.arg("-set_cover_merge=1").arg(format!("-max_len={}", self.longest)).arg(&chosen);
        command.arg(self.corpus()).arg(self.grown()?).stdout(Stdio::null()).stderr(Stdio::null());
        if !process::show(&mut command)? {
            bail!("{} cannot merge its corpus: one of the inputs is a finding", self.name);
        }
        let kept = keep(&self.corpus(), &chosen)?;
        println!("{:13} {} inputs, {} bytes kept", self.name, kept.0, kept.1);
        Ok(())
    }
}

/// Inputs that stay whatever they reach: those made by hand, and those that were findings once.
fn stays(name: &str) -> bool {
    name.starts_with("seed-") || name.starts_with("found-")
}

/// Replaces what a corpus has by what was chosen, the smallest first; how many files and bytes it has then.
fn keep(corpus: &Path, chosen: &Path) -> Result<(usize, u64)> {
    let list = |folder: &Path| -> Result<Vec<(u64, PathBuf)>> {
        let sized =
            |entry: std::io::Result<fs::DirEntry>| Ok((entry.as_ref().map_or(0, size), entry?.path()));
        fs::read_dir(folder)?.map(sized).collect()
    };
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (mut files, mut bytes) = (0, 0);
    for (size, path) in list(corpus)? {
        if stays(&name(&path)) {
            (files, bytes) = (files + 1, bytes + size);
        } else {
            fs::remove_file(path)?;
        }
    }
    let mut new = list(chosen)?;
    new.sort();
    for (size, path) in new {
        if files < MAX_FILES && bytes + size <= MAX_BYTES {
            fs::copy(&path, corpus.join(name(&path)))?;
            (files, bytes) = (files + 1, bytes + size);
        }
    }
    Ok((files, bytes))
}

fn size(entry: &fs::DirEntry) -> u64 {
    entry.metadata().map_or(0, |metadata| metadata.len())
}

/// Waits for a program; whether it ended well, and the time it had on a processor.
fn wait(mut child: Child) -> Result<(bool, Duration)> {
    let started = Instant::now();
    let counted = PathBuf::from(format!("/proc/{}/schedstat", child.id()));
    let mut on_processor = None;
    loop {
        // Linux counts it for us; elsewhere the time that passed has to do.
        let count = fs::read_to_string(&counted).ok();
        let count = count.and_then(|said| said.split(' ').next()?.parse().ok()).map(Duration::from_nanos);
        on_processor = count.filter(|count| !count.is_zero()).or(on_processor);
        if let Some(status) = child.try_wait()? {
            return Ok((status.success(), on_processor.unwrap_or_else(|| started.elapsed())));
        }
        thread::sleep(POLL);
    }
}

/// How many inputs libFuzzer says it ran: in its last words, or the last time it said where it was.
fn inputs_run(said: &str) -> u64 {
    let last_words = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let progress = || said.lines().rev().find_map(|line| line.strip_prefix('#')?.split_whitespace().next());
    last_words.map(str::trim).or_else(progress).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Adds to the table, one run after the other: several may work at once.
fn add_up(place: &Path, room: &Path, target: &str, minutes: f64, inputs: u64) -> Result<()> {
    let lock = fs::File::create(room.join("lock"))?;
    lock.lock()?;
    let mut sums = Minutes::read(&fs::read_to_string(place)?);
    sums.add(target, minutes, inputs);
    let written = room.join("minutes.md");
    fs::write(&written, sums.to_string())?;
    Ok(fs::rename(&written, place)?)
}

/// The table of what was run so far.
struct Minutes {
    /// What stands before the table.
    head: String,
    sums: BTreeMap<String, (f64, u64, String)>,
}

const TABLE_HEAD: &str = "| target | minutes of processor | inputs | last run |\n|---|---|---|---|\n";

impl Minutes {
    fn read(text: &str) -> Self {
        let (head, table) = text.split_once(TABLE_HEAD).unwrap_or((text, ""));
        let row = |line: &str| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [name, minutes, inputs, date] = cells.as_slice() else { return None };
            Some(((*name).to_owned(), (minutes.parse().ok()?, inputs.parse().ok()?, (*date).to_owned())))
        };
        Self { head: head.to_owned(), sums: table.lines().filter_map(row).collect() }
    }

    fn add(&mut self, target: &str, minutes: f64, inputs: u64) {
        let row = self.sums.entry(target.to_owned()).or_default();
        (row.0, row.1, row.2) = (row.0 + minutes, row.1 + inputs, today());
    }
}

impl std::fmt::Display for Minutes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{TABLE_HEAD}", self.head)?;
        for (name, _) in TARGETS {
            if let Some((minutes, inputs, date)) = self.sums.get(name) {
                writeln!(f, "| {name} | {minutes:.2} | {inputs} | {date} |")?;
            }
        }
        Ok(())
    }
}

/// The day as `date` knows it; empty where there is no such program.
fn today() -> String {
    let said = process::run(Command::new("date").args(["-u", "+%Y-%m-%d"]), Duration::from_secs(5));
    said.map(|said| said.stdout.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_add_up() {
        let mut sums = Minutes::read("# Minutes\n\nSome words.\n\n");
        sums.add("bundle", 1.5, 10);
        sums.add("verify", 2.0, 5);
        let mut again = Minutes::read(&sums.to_string());
        again.add("bundle", 1.25, 1);
        let text = again.to_string();
        assert!(text.starts_with("# Minutes\n\nSome words.\n\n| target |"), "{text}");
        assert!(
            text.contains("| verify | 2.00 | 5 | ") && text.contains("| bundle | 2.75 | 11 | "),
            "{text}"
        );
        assert!(text.find("verify") < text.find("bundle"));
    }

    #[test]
    fn runs_at_once_lose_no_minute() {
        let room = crate::process::Scratch::new("minutes").unwrap();
        let place = room.file("table.md");
        fs::write(&place, "# Minutes\n\n").unwrap();
        std::thread::scope(|scope| {
            for target in ["verify", "bundle", "json", "policy"] {
                let (place, room) = (&place, room.path());
                scope.spawn(move || (0..20).for_each(|_| add_up(place, room, target, 0.5, 1).unwrap()));
            }
        });
        let text = fs::read_to_string(&place).unwrap();
        for target in ["verify", "bundle", "json", "policy"] {
            assert!(text.contains(&format!("| {target} | 10.00 | 20 | ")), "{text}");
        }
    }

    #[test]
    fn what_libfuzzer_says_is_understood() {
        assert_eq!(inputs_run("#7\tNEW\nDone\nstat::number_of_executed_units: 1234\n"), 1234);
        assert_eq!(inputs_run("#7\tNEW\n#99\tREDUCE\nthread panicked\n"), 99);
        assert_eq!(inputs_run(""), 0);
    }

    #[test]
    fn arguments_are_understood() {
        assert_eq!(wish(&[]).unwrap().targets.len(), TARGETS.len());
        let two = wish(&["--seconds", "7", "json", "verify"]).unwrap();
        assert_eq!((two.seconds, two.targets.as_slice()), (7, ["json", "verify"].as_slice()));
        assert!(wish(&["--seconds"]).is_err() && wish(&["jason"]).is_err() && wish(&["--quick"]).is_err());
    }

    #[test]
    fn a_corpus_keeps_what_was_made_by_hand_and_the_smallest_of_the_rest() {
        let scratch = process::Scratch::new("fuzz-keep").unwrap();
        let (corpus, chosen) = (scratch.file("corpus"), scratch.file("chosen"));
        for folder in [&corpus, &chosen] {
            fs::create_dir(folder).unwrap();
        }
        fs::write(corpus.join("seed-a"), "a").unwrap();
        fs::write(corpus.join("0123"), "old").unwrap();
        fs::write(chosen.join("4567"), "new").unwrap();
        fs::write(chosen.join("89ab"), vec![0; usize::try_from(MAX_BYTES).unwrap()]).unwrap();
        assert_eq!(keep(&corpus, &chosen).unwrap(), (2, 4));
        assert!(corpus.join("seed-a").exists() && corpus.join("4567").exists());
        assert!(!corpus.join("0123").exists() && !corpus.join("89ab").exists());
    }
}
