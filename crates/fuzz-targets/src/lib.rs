//! What the fuzzer calls: one function for each parser of outside bytes, and one for the whole verifier.
//!
//! The programs of `fuzz/` (nightly, libFuzzer) and the test that replays the corpora on stable call the
//! very same functions, so that whatever the fuzzer once found stays found. Every target asks more than
//! that nothing falls over: what was read and written again must be the same ([`parsers`], [`evidence`]),
//! and what verifies must be what was signed ([`soundness`]).
//!
//! How much memory an input may cost is stated once, in [`bound`], and held for every input.
//!
//! A target that finds something panics: that is how it tells the fuzzer and the test.

#![allow(clippy::panic, reason = "a finding is told to the fuzzer, and to the test, by a panic")]

pub mod bound;
pub mod der;
pub mod edit;
pub mod evidence;
pub mod files;
pub mod good;
pub mod messages;
pub mod parsers;
pub mod script;
pub mod soundness;
pub mod worst;

use bound::Bound;

/// A function for outside bytes.
pub struct Target {
    /// Its name: of the fuzzer's program and of the corpus' folder.
    pub name: &'static str,
    /// What takes the bytes.
    pub run: fn(&[u8]),
    /// What an input may cost.
    pub bound: Bound,
}

/// Every target, those first that matter most.
pub const TARGETS: [Target; 16] = [
    Target { name: "verify", run: soundness::verify, bound: bound::VERIFY },
    Target { name: "bundle", run: parsers::bundle, bound: bound::JSON },
    Target { name: "certificate", run: evidence::certificate, bound: bound::BYTES },
    Target { name: "timestamp", run: evidence::timestamp, bound: bound::BYTES },
    Target { name: "entry_body", run: parsers::entry_body, bound: bound::JSON },
    Target { name: "checkpoint", run: evidence::checkpoint, bound: bound::BYTES },
    Target { name: "statement", run: parsers::statement, bound: bound::JSON },
    Target { name: "trusted_root", run: parsers::trusted_root, bound: bound::JSON },
    Target { name: "json", run: parsers::json, bound: bound::JSON },
    Target { name: "policy", run: soundness::policy, bound: bound::POLICY },
    Target { name: "public_key", run: evidence::public_key, bound: bound::BYTES },
    Target { name: "checksums", run: files::checksums, bound: bound::LISTS },
    Target { name: "inspect", run: files::inspect, bound: bound::WORDS },
    Target { name: "relay_request", run: messages::relay_request, bound: bound::BYTES },
    Target { name: "relay_answer", run: messages::relay_answer, bound: bound::BYTES },
    Target { name: "head", run: messages::head, bound: bound::BYTES },
];

/// Runs the target of that name and holds its bound.
///
/// # Panics
/// When there is none of that name, and when the target finds something.
pub fn run(name: &str, input: &[u8]) {
    match TARGETS.iter().find(|target| target.name == name) {
        Some(target) => drop(target.check(input)),
        None => panic!("there is no target `{name}`"),
    }
}

impl Target {
    /// Runs it and holds its bound; the bytes it had at the most.
    ///
    /// # Panics
    /// When the target finds something, or needs more than its bound.
    pub fn check(&self, input: &[u8]) -> usize {
        evidence::prepare();
        let most = bound::measured(|| (self.run)(input));
        let allowed = self.bound.of(input.len());
        let (name, length) = (self.name, input.len());
        assert!(most <= allowed, "{name}: {most} bytes allocated for {length}, more than {allowed}");
        most
    }
}
