//! The whole verifier: whatever is done to good bundles, it refuses, or says of a file exactly what is true.
//!
//! An input is either a document (it begins with `{`), or a [`Script`]: which bundle of the world, which
//! policy, what of the trusted root is left out, and the edits.

use crate::{
    edit,
    good::{FILES, Said, World, world},
    script::Script,
};
use sealog_bundle::{Bundle, TrustedRoot};
use sealog_verify::{
    Artifact, Policy, Report, Verified, VerifyError, digests_needed, verdict::json_line, verify as ask,
};

/// A bundle in JSON, or a script of edits; see the file's own words.
pub fn verify(input: &[u8]) {
    let world = world();
    match input.first() {
        Some(b'{') => document(world, input),
        _ => edited(world, &mut Script::new(input)),
    }
}

fn document(world: &World, input: &[u8]) {
    let Ok(bundle) = Bundle::parse(input) else { return };
    let policy = world.anyone_like(&bundle);
    for file in FILES {
        let _ = judge(world, &bundle, &world.root, &policy, file, &Artifact::from_bytes(file));
    }
}

fn edited(world: &World, script: &mut Script<'_>) {
    let Some(base) = world.bundles.get(script.below(world.bundles.len())) else { return };
    let mut bundle = base.bundle.clone();
    let asked = script.byte();
    let root = without(&world.root, script.word());
    edit::edit(&mut bundle, world, script);
    let policy = match asked & 3 {
        0 => world.anyone_like(&bundle),
        1 => Policy::identity("alice@example.com", crate::good::ISSUER),
        2 => Policy::identity("mallory@example.com", crate::good::ISSUER),
        _ => Policy::key(world.key.clone()),
    };
    let file = FILES.get(if asked & 4 == 0 { base.file } else { 1 - base.file }).copied().unwrap_or_default();
    let by_bytes = judge(world, &bundle, &root, &policy, file, &Artifact::from_bytes(file));
    if asked & 8 != 0 {
        // Who knows only the digests that are asked for is told the same.
        let digests = digests_needed(&bundle, &policy).into_iter().map(|algorithm| algorithm.digest(file));
        let by_digests = judge(world, &bundle, &root, &policy, file, &Artifact::from_digests(digests));
        assert_eq!(summary(&by_bytes), summary(&by_digests), "{bundle:?}");
    }
    // What is believed and can be written (an entry nobody looks at may hold numbers that cannot) is read
    // again as it was, and believed again.
    if by_bytes.is_ok()
        && let Ok(again) = Bundle::parse(bundle.to_json().as_bytes())
    {
        assert_eq!(again, bundle);
        let outcome = judge(world, &again, &root, &policy, file, &Artifact::from_bytes(file));
        assert_eq!(summary(&outcome), summary(&by_bytes));
    }
}

/// Asks the verifier and holds its answer against what is true in this world.
fn judge(
    world: &World,
    bundle: &Bundle,
    root: &TrustedRoot,
    policy: &Policy,
    file: &[u8],
    artifact: &Artifact<'_>,
) -> Result<Verified, VerifyError> {
    let outcome = ask(bundle, root, policy, artifact);
    assert!(!Report::of("file", &outcome).to_string().is_empty());
    assert!(json_line("file", &outcome).starts_with('{'));
    // "Signed, but not by whom you asked" says that all else was verified: it must be as true.
    let verified = match &outcome {
        Ok(verified) => verified,
        Err(VerifyError::Policy { signed: Some(verified), .. }) => verified,
        Err(error) => {
            let _ = (error.class(), error.compared());
            return outcome;
        }
    };
    let said = Said::of(verified);
    let is_true = world.bundles.iter().any(|example| {
        FILES.get(example.file) == Some(&file)
            && example.verdicts.contains(&said)
            && example.bundle.signature() == bundle.signature()
    });
    assert!(is_true, "nobody signed that: {said:?} for {}", bundle.to_json());
    outcome
}

/// What two answers have in common when they are the same.
fn summary(outcome: &Result<Verified, VerifyError>) -> Result<Said, String> {
    outcome.as_ref().map(Said::of).map_err(|error| format!("{}: {error}", error.class()))
}

/// The trusted root without those of its services whose bits are set.
fn without(root: &TrustedRoot, dropped: u16) -> TrustedRoot {
    let mut bits = (0..16).map(|bit| dropped >> bit & 1 == 0);
    let mut root = root.clone();
    root.tlogs.retain(|_| bits.next().unwrap_or(true));
    root.certificate_authorities.retain(|_| bits.next().unwrap_or(true));
    root.ctlogs.retain(|_| bits.next().unwrap_or(true));
    root.timestamp_authorities.retain(|_| bits.next().unwrap_or(true));
    root
}
