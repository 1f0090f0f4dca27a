//! Measures the inputs made to be slow, and bundles that need a Sigstore's keys to be made so.
//!
//! `cargo run --release -p sealog-fuzz-targets --bin worst`; exit status 1 if one takes longer than it may.

#![allow(clippy::print_stdout, reason = "a tool for a terminal")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a tool that is run by hand")]

#[path = "../../../../verify/tests/sigstore/mod.rs"]
mod sigstore;

use sealog_fuzz_targets::{TARGETS, worst};
use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

mod bundles;

/// The longest an input of a mebibyte may take.
const LIMIT: Duration = Duration::from_millis(50);
/// Times each is run; the shortest counts, so that a busy machine does not.
const RUNS: usize = 5;

struct Row {
    target: &'static str,
    what: String,
    bytes: usize,
    took: Duration,
}

fn main() -> ExitCode {
    let mut rows = Vec::new();
    for slow in worst::inputs() {
        let target = TARGETS.iter().find(|target| target.name == slow.target).unwrap();
        let took = shortest(|| (target.run)(&slow.input));
        target.check(&slow.input);
        rows.push(Row { target: slow.target, what: slow.what, bytes: slow.input.len(), took });
    }
    for (what, case) in bundles::all() {
        let took = shortest(|| case.ask());
        rows.push(Row { target: "verify", what: what.into(), bytes: case.bytes(), took });
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.took));
    println!("{:>10}  {:>9}  {:13} input", "took", "bytes", "target");
    for Row { target, what, bytes, took } in &rows {
        let mark = if *took > LIMIT { "  TOO SLOW" } else { "" };
        println!("{:>7.2} ms  {bytes:>9}  {target:13} {what}{mark}", took.as_secs_f64() * 1000.0);
    }
    ExitCode::from(u8::from(rows.iter().any(|row| row.took > LIMIT)))
}

fn shortest(mut run: impl FnMut()) -> Duration {
    let once = |_| {
        let started = Instant::now();
        run();
        started.elapsed()
    };
    (0..RUNS).map(once).min().unwrap_or_default()
}
