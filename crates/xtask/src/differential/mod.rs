//! Other verifiers beside ours: the same bundle, artifact and policy must get the same verdict.
//!
//! Asked about: the bundles of the sigstore-conformance suite; bundles that cosign, sigstore-python, sigstore-js and
//! `sealog` make against our own services; all of them, and trusted roots, changed in thousands of ways; and a corpus of
//! hard cases that `testkit` makes. Where we disagree with somebody stands, with who is right
//! and by which paragraph, in `docs/reference/disagreements.md`; any other disagreement fails, and so does a row that
//! nothing needs.

mod bundles;
mod cases;
mod disagreements;
mod flips;
mod mutants;
mod roots;
mod spelling;
mod tree;
mod verifiers;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::House;
use crate::peers::{self, Peers};
use crate::process::{self, Scratch};
use crate::steps::CONFORMANCE;
use crate::strangers::{Sealog, Stage};
use crate::tally::{Tally, short};

use bundles::Base;
use cases::{Case, Signer};
use disagreements::{Disagreements, Verdict};
use mutants::Spares;
use tree::Place;
use verifiers::Answers;

/// Where disagreements stand.
const DOCUMENT: &str = "docs/reference/disagreements.md";
/// Hard cases that the corpus has at least.
const MIN_CORPUS: usize = 100;
/// The longest it may take to write them: RSA keys are made.
const WRITING_LIMIT: Duration = Duration::from_secs(600);

/// Installs the peers and compares the verifiers asked for (none: all).
pub(crate) fn command(house: &House, only: &[&str]) -> Result<bool> {
    let peers = peers::install(house)?;
    let tally = run(house, &peers, only)?;
    tally.print();
    Ok(tally.clean())
}

/// Asks everybody everything, judges, leaves what was found in `target/differential.json`.
pub(crate) fn run(house: &House, peers: &Peers, only: &[&str]) -> Result<Tally> {
    if let Some(unknown) = only.iter().find(|name| !disagreements::PEERS.contains(name)) {
        bail!("there is no verifier `{unknown}`; there are: {}", disagreements::PEERS.join(", "));
    }
    build_ours(house)?;
    let text = std::fs::read_to_string(house.path(DOCUMENT)).with_context(|| DOCUMENT.to_owned())?;
    let mut table = Disagreements::parse(&text)?;
    let stage = Stage::new(house, peers)?;
    let asked = questions(house, &stage)?;
    let answers = everybody(house, peers, &asked, &stage.scratch, only)?;
    stage.dev.stop()?;
    let (ours, theirs) = answers.split_first().context("ours is always asked")?;
    let mut tally = Tally::default();
    hold_bases(&asked, ours, &mut tally);
    let found = judge(ours, theirs, &mut table, &mut tally);
    std::fs::write(house.path("target/differential.json"), serde_json::to_string_pretty(&found)?)?;
    // With some verifiers or bundles left out, rows are idle that are not wrong.
    if only.is_empty() && std::env::var_os(CONFORMANCE).is_some() {
        for unused in table.unused() {
            tally.fail(format!("{DOCUMENT} lists a disagreement that is not there: {unused}"));
        }
    }
    for (row, count) in table.counts() {
        println!("    {count:>5}  {row}");
    }
    Ok(tally)
}

fn build_ours(house: &House) -> Result<()> {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--release", "--quiet", "-p", "sealog-verify", "--example", "batch"]);
    build.args(["-p", "sealog-testkit", "--example", "corpus"]);
    if process::show(build.current_dir(&house.root))? {
        return Ok(());
    }
    bail!("the examples `batch` and `corpus` do not build; what cargo said stands above")
}

/// Every case there is.
fn questions(house: &House, stage: &Stage<'_>) -> Result<Vec<Case>> {
    let ours = Sealog::new(house);
    let mut bases = bundles::made(stage, &ours)?;
    let mut cases = Vec::new();
    if let Some(folder) = std::env::var_os(CONFORMANCE) {
        let folder = Path::new(&folder);
        let root = folder.join("public-good-trusted_root.json");
        cases.extend(cases::of_folder(&folder.join("bundle-verify"), "conformance ", &root)?);
        bases.extend(bundles::of_others(&cases, folder)?);
    }
    cases.extend(corpus(house, &stage.scratch)?);
    let folder = stage.scratch.file("mutants");
    std::fs::create_dir(&folder)?;
    for base in &bases {
        if !cases.iter().any(|case| case.id == base.case.id) {
            cases.push(base.case.clone());
        }
        cases.extend(policies(stage, base)?);
        cases.extend(changed(base, &folder, cases.len())?);
        if base.spelled {
            cases.extend(rooted(base, &folder, cases.len())?);
        }
    }
    Ok(cases)
}

/// The hard cases of `testkit`, each in a world of its own.
fn corpus(house: &House, scratch: &Scratch) -> Result<Vec<Case>> {
    let folder = scratch.file("corpus");
    let mut write = Command::new(house.path("target/release/examples/corpus"));
    process::run(write.arg(&folder), WRITING_LIMIT)?.expect_success("writing the corpus")?;
    // Every case brings its own trusted root.
    let cases = cases::of_folder(&folder, "corpus ", &folder.join("trusted_root.json"))?;
    if cases.len() < 2 * MIN_CORPUS {
        bail!("the corpus has only {} cases, each asked in two ways", cases.len() / 2);
    }
    Ok(cases)
}

/// The same bundle, with another question.
fn policies(stage: &Stage<'_>, base: &Base) -> Result<Vec<Case>> {
    let case = &base.case;
    let digest = |file: &Path| crate::encoding::sha256_hex(file).map(|hex| Some(format!("sha256:{hex}")));
    let mut asked = vec![
        Case { artifact: stage.changed.clone(), ..case.named("wrong file") },
        Case { digest: digest(&stage.changed)?, ..case.named("wrong digest") },
    ];
    if !case.id.starts_with("conformance ") {
        asked.push(Case { digest: digest(&case.artifact)?, ..case.named("by digest") });
    }
    if let Signer::Identity { identity, issuer } = &case.signer {
        let mut ask = |what: &str, identity: &str, issuer: &str| {
            let signer = Signer::Identity { identity: identity.to_owned(), issuer: issuer.to_owned() };
            asked.push(Case { signer, ..case.named(what) });
        };
        ask("wrong identity", "mallory@example.com", issuer);
        ask("wrong issuer", identity, "https://accounts.example.com");
        ask("identity in upper case", &identity.to_uppercase(), issuer);
        ask("identity cut short", identity.get(1..).unwrap_or_default(), issuer);
        ask(
            "identity as a pattern",
            &format!("{}.", identity.get(..identity.len() - 1).unwrap_or_default()),
            issuer,
        );
        ask("issuer with a slash", identity, &format!("{issuer}/"));
        ask("no identity", "", issuer);
        ask("no issuer", identity, "");
    }
    Ok(asked)
}

/// The changed forms of a bundle, written to the folder and numbered from `first`.
fn changed(base: &Base, folder: &Path, first: usize) -> Result<Vec<Case>> {
    let document = base.case.document().with_context(|| format!("{} is no JSON", base.case.id))?;
    let other = base.other.as_ref().map(std::fs::read).transpose()?;
    let other: Option<Value> = other.map(|bytes| serde_json::from_slice(&bytes)).transpose()?;
    let root: Value = serde_json::from_slice(&std::fs::read(&base.case.trusted_root)?)?;
    let mut mutants = mutants::flips(&document, base.flips);
    mutants.extend(mutants::fields(&document, base.spelled));
    mutants.extend(mutants::media_types(&document));
    mutants.extend(other.iter().flat_map(|other| mutants::swaps(&document, other)));
    mutants.extend(mutants::extras(&document, &Spares { issuers: issuers(&root), other }));
    let texts = mutants.into_iter().map(|(what, mutant)| (what, mutant.to_string().into_bytes()));
    let spellings = if base.spelled { spelling::all(&document) } else { spelling::of_the_whole(&document) };
    let mut cases = Vec::new();
    for (what, text) in texts.chain(spellings) {
        let bundle = verifiers::written(folder, first + cases.len(), &text)?;
        cases.push(Case { bundle, ..base.case.named(&what) });
    }
    Ok(cases)
}

/// The same bundle under changed trusted roots.
fn rooted(base: &Base, folder: &Path, first: usize) -> Result<Vec<Case>> {
    let root: Value = serde_json::from_slice(&std::fs::read(&base.case.trusted_root)?)?;
    let mut cases = Vec::new();
    for (what, variant) in roots::variants(&root) {
        let trusted_root = verifiers::written(folder, first + cases.len(), variant.to_string().as_bytes())?;
        cases.push(Case { trusted_root, ..base.case.named(&what) });
    }
    Ok(cases)
}

/// The certificates of the trusted root's last authority.
fn issuers(root: &Value) -> Vec<Value> {
    let authorities = root.get("certificateAuthorities").and_then(Value::as_array);
    let last = authorities.and_then(|all| all.last());
    let chain = last.and_then(|last| Place::of("certChain.certificates").get(last)?.as_array().cloned());
    chain.unwrap_or_default()
}

/// Ours first, then the others, all at the same time.
fn everybody(
    house: &House,
    peers: &Peers,
    cases: &[Case],
    scratch: &Scratch,
    only: &[&str],
) -> Result<Vec<Answers>> {
    let wanted = |name: &str| name == "sealog" || only.is_empty() || only.contains(&name);
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        let programs = verifiers::batch_programs(house, peers);
        for (name, mut command) in programs.into_iter().filter(|(name, _)| wanted(name)) {
            running.push(scope.spawn(move || verifiers::ask(name, &mut command, cases, scratch)));
        }
        if wanted("cosign") {
            running.push(scope.spawn(|| verifiers::ask_cosign(&peers.cosign, cases, scratch)));
        }
        let joined = running.into_iter().map(|thread| match thread.join() {
            Ok(answers) => answers,
            Err(_) => bail!("a thread that asked a verifier panicked"),
        });
        joined.collect()
    })
}

/// A bundle that does not verify as it is has no changed forms worth refusing.
fn hold_bases(cases: &[Case], ours: &Answers, tally: &mut Tally) {
    for case in cases.iter().filter(|case| case.id.ends_with(": as it is") && !case.id.contains("_fail:")) {
        match ours.by_case.get(&case.id) {
            Some(answer) if answer.verdict == Verdict::Accepts => tally.pass(1),
            Some(answer) => tally.fail(format!("{}: ours {}: {}", case.id, answer.verdict, answer.said)),
            None => tally.fail(format!("{}: ours was not asked", case.id)),
        }
    }
}

/// Counts, prints what no row explains, and gives back every disagreement.
fn judge(ours: &Answers, theirs: &[Answers], table: &mut Disagreements, tally: &mut Tally) -> Vec<Value> {
    let mut found = Vec::new();
    let accepted = ours.by_case.values().filter(|answer| answer.verdict == Verdict::Accepts).count();
    println!("  sealog: {} cases, {accepted} accepted, {}", ours.by_case.len(), short(ours.took));
    for peer in theirs {
        let (mut agreed, mut explained, mut open, mut idle) = (0, 0, 0, 0);
        for (case, answer) in &peer.by_case {
            let Some(our) = ours.by_case.get(case) else { continue };
            if answer.verdict != Verdict::Accepts && peer.refuses_base_of(case) {
                idle += 1;
                continue;
            }
            if our.verdict == answer.verdict {
                agreed += 1;
                tally.pass(1);
                continue;
            }
            let listed = table.explain(case, our.verdict, peer.name, answer.verdict, &answer.said);
            found.push(json!({
                "case": case,
                "verifier": peer.name,
                "ours": our.verdict.to_string(),
                "theirs": answer.verdict.to_string(),
                "we said": our.said,
                "they said": answer.said,
                "listed": listed,
            }));
            if listed {
                explained += 1;
                tally.pass(1);
            } else {
                open += 1;
                let (our, their) = (&our.verdict, &answer.verdict);
                tally.fail(format!("{case}: sealog {our}, {} {their}, and no reason listed", peer.name));
            }
        }
        let asked = peer.by_case.len();
        println!(
            "  {}: {asked} asked, {agreed} agree, {explained} disagree for a listed reason, {open} for none, \
             {idle} of bundles it refuses anyway, {}",
            peer.name,
            short(peer.took)
        );
    }
    found
}
