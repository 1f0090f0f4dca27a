//! Measures the inputs made to be slow, and bundles that need a Sigstore's keys to be made so.
//!
//! `cargo run --release -p sealog-fuzz-targets --example worst`; exit status 1 if one takes longer than it may, or
//! allocates more. `-- --times N` lets each take N times as long: for runs on machines that are busy with other
//! things, where only what is far from the limit says something.

#![allow(clippy::print_stdout, reason = "a tool for a terminal")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    reason = "a tool that is run by hand"
)]

use sealog_bundle::{Bundle, EntryBody, Statement, TrustedRoot, json::Value};
use sealog_crypto::{PublicKey, Scheme};
use sealog_fuzz_targets::{TARGETS, bound, evidence, good, messages, script::Script, worst};
use sealog_pki::{Certificate, timestamp::TimeStampResp};
use sealog_tlog::{SignedCheckpoint, note::KeyVerifier};
use sealog_verify::Policy;
use std::{
    fs,
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

mod bundles;

/// The longest an input of a mebibyte may take.
const LIMIT: Duration = Duration::from_millis(50);
/// Times each is run; the shortest counts, so that a busy machine does not.
const RUNS: usize = 7;

struct Row {
    target: &'static str,
    what: String,
    bytes: usize,
    took: Duration,
    memory: usize,
    allowed: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let limit = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => LIMIT,
        ["--times", times] => LIMIT * times.parse().expect("--times wants a number"),
        other => panic!("{other:?} is not known here; there is `--times N`"),
    };
    evidence::prepare();
    let mut rows = Vec::new();
    for slow in worst::inputs(worst::MEBIBYTE) {
        let target = TARGETS.iter().find(|target| target.name == slow.target).unwrap();
        let took = shortest(|| read(slow.target, &slow.input));
        let memory = bound::measured(|| (target.run)(&slow.input));
        let (bytes, allowed) = (slow.input.len(), target.bound.of(slow.input.len()));
        rows.push(Row { target: slow.target, what: slow.what, bytes, took, memory, allowed });
    }
    for (what, case) in bundles::all() {
        let took = shortest(|| case.ask());
        let memory = bound::measured(|| case.ask());
        let (bytes, allowed) = (case.bytes(), bound::VERIFY.of(case.bytes()));
        rows.push(Row { target: "verify", what: what.into(), bytes, took, memory, allowed });
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.took));
    println!("{:>10}  {:>10}  {:>9}  {:13} input", "took", "allocated", "bytes", "target");
    let mut good = !rows.is_empty();
    for Row { target, what, bytes, took, memory, allowed } in &rows {
        let slow = if *took > limit { "  TOO SLOW" } else { "" };
        let large = if memory > allowed { "  TOO MUCH" } else { "" };
        good &= slow.is_empty() && large.is_empty();
        let (millis, kibibytes) = (took.as_secs_f64() * 1000.0, memory / 1024);
        println!("{millis:>7.2} ms  {kibibytes:>6} KiB  {bytes:>9}  {target:13} {what}{slow}{large}");
    }
    ExitCode::from(u8::from(!good))
}

/// What a verifier does with such an input; the target itself does it several times over.
fn read(target: &str, input: &[u8]) {
    let text = || core::str::from_utf8(input).unwrap_or_default();
    match target {
        "bundle" => drop(black_box(Bundle::parse(input))),
        "trusted_root" => drop(black_box(TrustedRoot::parse(input))),
        "entry_body" => drop(black_box(EntryBody::parse(input))),
        "statement" => drop(black_box(Statement::parse(input))),
        "json" => drop(black_box(Value::parse(input, usize::MAX))),
        "certificate" if text().is_empty() => drop(black_box(Certificate::from_der(input))),
        "certificate" => drop(black_box(Certificate::chain_from_pem(text()))),
        "timestamp" => drop(black_box(TimeStampResp::parse(input))),
        "checkpoint" => {
            let log = &good::world().root.tlogs[0];
            let key = PublicKey::from_spki_der(&log.public_key).unwrap();
            let log = KeyVerifier::for_log(log.host().unwrap(), key).unwrap();
            drop(black_box(SignedCheckpoint::parse(input).map(|signed| signed.verify(&log).is_ok())));
            drop(black_box(KeyVerifier::from_vkey(text())));
        }
        "policy" => drop(black_box(Policy::from_toml(text()))),
        "public_key" => {
            let mut script = Script::new(input);
            let length = usize::from(script.word());
            let (key, signature) = (script.take(length), script.rest());
            let in_pem = core::str::from_utf8(key).ok().and_then(|text| PublicKey::from_pem(text).ok());
            if let Some(key) = PublicKey::from_spki_der(key).ok().or(in_pem) {
                let _ = black_box(key.verify(Scheme::default_for(key.kind()), b"message", signature));
            }
        }
        "checksums" => drop(black_box(sealog_cli::outside::checksums(input))),
        "inspect" => drop(black_box(sealog_cli::outside::inspection(input))),
        "relay_request" => messages::read_request(input),
        "relay_answer" => messages::read_answer(input),
        "head" => messages::read_head(input),
        other => panic!("how `{other}` is read is not known here"),
    }
}

/// The shortest of some runs, in time on a processor where the system tells it, so that a busy machine
/// does not count.
fn shortest(mut run: impl FnMut()) -> Duration {
    let once = |_| {
        let (on_processor, started) = (on_processor(), Instant::now());
        run();
        let took = started.elapsed();
        self::on_processor().zip(on_processor).map_or(took, |(after, before)| after.saturating_sub(before))
    };
    (0..RUNS).map(once).min().unwrap_or_default()
}

/// What this thread has had of a processor so far, as Linux counts it.
fn on_processor() -> Option<Duration> {
    // The count is brought up to date when the thread gives way, else only at every tick.
    std::thread::yield_now();
    let said = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    said.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
