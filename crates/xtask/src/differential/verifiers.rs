//! The verifiers: each is given all cases at once and answers one line for each.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::cases::{Case, Signer, base_of};
use super::disagreements::Verdict;
use crate::House;
use crate::peers::Peers;
use crate::process::{self, Finished, Scratch};

/// The longest one verifier may take for all cases.
const LIMIT: Duration = Duration::from_secs(30 * 60);
/// The longest one case may take in a process of its own, and how often it is tried: that a machine was slow is no verdict.
const CASE_LIMIT: Duration = Duration::from_secs(120);
const CASE_TRIES: usize = 2;
/// A program that ends more often than that before its last case is broken.
const MOST_ENDS: usize = 50;

/// A verdict and the words that came with it.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    pub(super) said: String,
}

/// What one verifier said, by case; cases it cannot be asked are left out.
pub(super) struct Answers {
    pub(super) name: &'static str,
    pub(super) by_case: BTreeMap<String, Answer>,
    pub(super) took: Duration,
}

impl Answers {
    /// Whether the case is a change of a bundle that this verifier refuses as it is: that it refuses the change too
    /// says nothing.
    pub(super) fn refuses_base_of(&self, case: &str) -> bool {
        let base = format!("{}: as it is", base_of(case));
        base != case && self.by_case.get(&base).is_some_and(|answer| answer.verdict != Verdict::Accepts)
    }
}

/// The batch programs, ours first.
pub(super) fn batch_programs(house: &House, peers: &Peers) -> Vec<(&'static str, Command)> {
    let script = |folder: &str, name: &str| house.path("tests/strangers").join(folder).join(name);
    let mut python = Command::new(&peers.python);
    python.arg("-B").arg(script("python", "verify_batch.py"));
    let mut js = Command::new(&peers.node);
    js.arg(script("js", "verify_batch.cjs")).env("NODE_PATH", &peers.node_modules);
    let mut go = Command::new(&peers.sigstore_go);
    go.arg("batch");
    let mut rust = Command::new(&peers.sigstore_rust);
    rust.arg("batch");
    let ours = Command::new(house.path("target/release/examples/batch"));
    vec![("sealog", ours), ("python", python), ("js", js), ("go", go), ("rust", rust)]
}

/// Asks a batch program; where it ends before its last case, the next one is what ended it.
pub(super) fn ask(
    name: &'static str,
    command: &mut Command,
    cases: &[Case],
    scratch: &Scratch,
) -> Result<Answers> {
    let started = Instant::now();
    let mut by_case = BTreeMap::new();
    let mut left = cases;
    command.env("HOME", scratch.file("home"));
    for _ in 0..MOST_ENDS {
        let questions = scratch.file(&format!("{name}.jsonl"));
        let lines: Vec<String> = left.iter().map(Case::line).collect();
        std::fs::write(&questions, lines.join("\n") + "\n")?;
        let finished = process::run_from(command, File::open(&questions)?.into(), LIMIT)?;
        let mut answered = 0;
        for line in finished.stdout.lines() {
            let Ok(answer) = serde_json::from_str::<Value>(line) else { break };
            let id = answer.get("id").and_then(Value::as_str).context("an answer without id")?;
            if left.get(answered).is_none_or(|case| case.id != id) {
                bail!("{name} answered {id} out of turn");
            }
            answered += 1;
            by_case.extend(read(&answer).map(|answer| (id.to_owned(), answer)));
        }
        let Some(culprit) = left.get(answered) else {
            return Ok(Answers { name, by_case, took: started.elapsed() });
        };
        if finished.timed_out {
            bail!("{name} was not done after {} s, at {}", LIMIT.as_secs(), culprit.id);
        }
        if answered == 0 && left.len() == cases.len() {
            bail!("{name} answered nothing:\n{}", finished.tail(10));
        }
        let said = format!("the program ended: {}", finished.tail(3));
        by_case.insert(culprit.id.clone(), Answer { verdict: Verdict::Crashes, said });
        left = left.get(answered + 1..).unwrap_or_default();
        if left.is_empty() {
            return Ok(Answers { name, by_case, took: started.elapsed() });
        }
    }
    bail!("{name} ended {MOST_ENDS} times before its last case")
}

/// `None` for a case the program cannot be asked.
fn read(answer: &Value) -> Option<Answer> {
    if answer.get("skip").is_some() {
        return None;
    }
    let is = |name: &str| answer.get(name).and_then(Value::as_bool) == Some(true);
    let verdict = match (is("crash"), is("ok")) {
        (true, _) => Verdict::Crashes,
        (_, true) => Verdict::Accepts,
        _ => Verdict::Refuses,
    };
    let said = answer.get("error").and_then(Value::as_str).unwrap_or_default();
    Some(Answer { verdict, said: said.chars().take(300).collect() })
}

/// What cosign, which judges one bundle a process, is not asked about.
const NOT_FOR_COSIGN: [&str; 5] =
    ["flip ", "list of ", "true for ", "spelling, base64 ", "spelling, unknown member in "];

/// cosign is asked about one bundle of each kind with most of what is done to it, and all others as they are.
pub(super) fn ask_cosign(program: &Path, cases: &[Case], scratch: &Scratch) -> Result<Answers> {
    let started = Instant::now();
    let thorough = ["sealog blob", "sealog attestation", "cosign key"];
    let mut by_case = BTreeMap::new();
    for case in cases {
        let what = case.id.split_once(": ").map_or("", |(_, what)| what);
        let asked =
            thorough.contains(&base_of(&case.id)) && !NOT_FOR_COSIGN.iter().any(|not| what.starts_with(not));
        // Attestations about a digest are another option of cosign's, and none of its plain command.
        let by_digest = case.digest.is_some() && base_of(&case.id).ends_with("attestation");
        if (!asked && what != "as it is") || by_digest {
            continue;
        }
        let text = std::fs::read_to_string(&case.bundle).unwrap_or_default();
        let mut tries = (0..CASE_TRIES).map(|_| {
            let mut command = cosign(program, case, &text);
            process::run(command.env("HOME", scratch.file("home")), CASE_LIMIT)
        });
        let in_time = |one: &Result<Finished>| one.as_ref().map_or(true, |finished| !finished.timed_out);
        let finished = tries.find(in_time).with_context(|| {
            format!("cosign gave no verdict on {} in {} s", case.id, CASE_LIMIT.as_secs())
        })??;
        let verdict = match finished.status {
            Some(0) => Verdict::Accepts,
            Some(2) | None => Verdict::Crashes,
            Some(_) => Verdict::Refuses,
        };
        by_case.insert(case.id.clone(), Answer { verdict, said: finished.tail(2) });
    }
    Ok(Answers { name: "cosign", by_case, took: started.elapsed() })
}

fn cosign(program: &Path, case: &Case, bundle: &str) -> Command {
    let mut command = Command::new(program);
    match predicate_type(bundle) {
        Some(predicate) => command.args(["verify-blob-attestation", "--type", &predicate]),
        None => command.arg("verify-blob"),
    };
    if bundle.contains("igned") && bundle.contains("imestamps") {
        command.arg("--use-signed-timestamps");
    }
    command.arg("--bundle").arg(&case.bundle).arg("--trusted-root").arg(&case.trusted_root);
    match &case.signer {
        Signer::Identity { identity, issuer } => {
            command.args(["--certificate-identity", identity, "--certificate-oidc-issuer", issuer])
        }
        Signer::Key(key) => command.arg("--key").arg(key),
    };
    match &case.digest {
        Some(digest) => command.arg(digest),
        None => command.arg(&case.artifact),
    };
    command
}

/// The predicate type of an attestation, which cosign must be told; of one that cannot be read, some type.
fn predicate_type(bundle: &str) -> Option<String> {
    let document: Value = serde_json::from_str(bundle).unwrap_or_default();
    let envelope = document.get("dsseEnvelope");
    if envelope.is_none() && !bundle.contains("dsseEnvelope") && !bundle.contains("dsse_envelope") {
        return None;
    }
    let payload = envelope.and_then(|envelope| envelope.get("payload")).and_then(Value::as_str);
    let statement = payload.and_then(crate::encoding::base64);
    let statement: Option<Value> = statement.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let named = statement.as_ref().and_then(|it| it.get("predicateType")).and_then(Value::as_str);
    Some(named.unwrap_or(crate::strangers::PREDICATE_TYPE).to_owned())
}

/// Where a changed document goes.
pub(super) fn written(folder: &Path, number: usize, document: &[u8]) -> Result<PathBuf> {
    let path = folder.join(format!("{number}.json"));
    std::fs::write(&path, document).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
