//! The whole verifier: whatever is done to good bundles, it refuses, or says of a file what is true and no more.
//!
//! An input is either a document (it begins with `{`), or a [`Script`]: which bundle of the world, which
//! policy and evidence, what of the trusted root is left out, and the edits.

use crate::{
    edit,
    good::{FILES, ISSUER, Said, World, lax, world},
    script::Script,
};
use core::num::NonZeroUsize;
use sealog_bundle::{Bundle, TrustedRoot};
use sealog_crypto::sha256;
use sealog_pki::fulcio_extensions::ExtensionValues;
use sealog_verify::{
    Artifact, Evidence, Match, Policy, Report, SignerRule, Verified, Verifier, VerifyError, digests_needed,
    verdict::json_line,
};
use std::collections::BTreeSet;

const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

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
        let asked = Asked { world, verifier: &world.verifier, policy: &policy, file };
        let _ = asked.judge(&bundle, &Artifact::from_bytes(file));
    }
}

fn edited(world: &World, script: &mut Script<'_>) {
    let Some(base) = world.bundles.get(script.below(world.bundles.len())) else { return };
    let mut bundle = base.bundle.clone();
    let (asked_for, wanted, dropped) = (script.byte(), script.byte(), script.word());
    edit::edit(&mut bundle, world, script);
    let policy = match asked_for & 3 {
        0 => world.anyone_like(&bundle),
        1 => Policy::identity("alice@example.com", ISSUER),
        2 => Policy::identity("mallory@example.com", ISSUER),
        _ => Policy::key(world.key.clone()),
    };
    let policy = policy.with_evidence(evidence(wanted));
    let file = FILES.get(if asked_for & 4 == 0 { base.file } else { 1 - base.file });
    let file = file.copied().unwrap_or_default();
    let prepared = (dropped != 0).then(|| Verifier::new(&without(&world.root, dropped)));
    let verifier = prepared.as_ref().unwrap_or(&world.verifier);
    let asked = Asked { world, verifier, policy: &policy, file };
    let by_bytes = asked.judge(&bundle, &Artifact::from_bytes(file));
    if let Ok(verified) = &by_bytes {
        asked.enough(verified, wanted);
    }
    if asked_for & 8 != 0 {
        // Who knows only the digests that are asked for is told the same.
        let digests = digests_needed(&bundle, &policy).into_iter().map(|algorithm| algorithm.digest(file));
        let by_digests = asked.judge(&bundle, &Artifact::from_digests(digests));
        assert_eq!(summary(&by_bytes), summary(&by_digests), "{bundle:?}");
    }
    if asked_for & 16 != 0 {
        asked.several(&bundle, asked_for);
    }
    // What is believed and can be written (an entry nobody looks at may hold numbers that cannot) is read
    // again as it was, and believed again.
    if by_bytes.is_ok()
        && let Ok(again) = Bundle::parse(bundle.to_json().as_bytes())
    {
        assert_eq!(again, bundle);
        let outcome = asked.judge(&again, &Artifact::from_bytes(file));
        assert_eq!(summary(&outcome), summary(&by_bytes));
    }
}

/// What evidence a policy wants.
fn evidence(wanted: u8) -> Evidence {
    match wanted % 8 {
        0 => Evidence::default(),
        1 => Evidence::default().without_log_unsafe(),
        2 => Evidence::default().without_sct_unsafe(),
        3 => Evidence::default().accepting_promises(),
        4 => Evidence::default().with_logs(TWO),
        5 => Evidence::default().with_timestamps(2),
        6 => Evidence::default().with_scts(TWO),
        _ => lax(),
    }
}

/// A question to the verifier.
struct Asked<'a> {
    world: &'a World,
    verifier: &'a Verifier,
    policy: &'a Policy,
    file: &'a [u8],
}

impl Asked<'_> {
    /// Asks, and holds the answer against what is true in this world.
    fn judge(&self, bundle: &Bundle, artifact: &Artifact<'_>) -> Result<Verified, VerifyError> {
        let outcome = self.verifier.verify(bundle, self.policy, artifact);
        assert!(!Report::of("file", &outcome).to_string().is_empty());
        assert!(json_line("file", &outcome).starts_with('{'));
        // "Signed, but not by whom you asked" says that all else was verified: it must be as true.
        match &outcome {
            Ok(verified) => self.must_be_true(verified, bundle),
            Err(VerifyError::Policy { signed: Some(verified), .. }) => self.must_be_true(verified, bundle),
            Err(error) => {
                let _ = (error.class(), error.compared());
            }
        }
        outcome
    }

    fn must_be_true(&self, verified: &Verified, bundle: &Bundle) {
        let said = Said::of(verified);
        let is_true = self.world.bundles.iter().any(|example| {
            FILES.get(example.file) == Some(&self.file)
                && example.bundle.signature() == bundle.signature()
                && example.truth.as_ref().is_some_and(|truth| said.is_within(truth))
        });
        assert!(is_true, "nobody signed that: {said:?} for {}", bundle.to_json());
    }

    /// Whether as much was proven as was wanted.
    fn enough(&self, verified: &Verified, wanted: u8) {
        let said = Said::of(verified);
        let logs: BTreeSet<&str> = said.logs.iter().map(|(url, _)| url.as_str()).collect();
        let clocks: BTreeSet<&str> = said.times.iter().map(|(_, clock)| clock.as_str()).collect();
        let needed = match wanted % 8 {
            1 | 7 => 0,
            4 => 2,
            _ => 1,
        };
        assert!(logs.len() >= needed, "{needed} logs were wanted: {said:?}");
        assert!(clocks.len() >= 2 || wanted % 8 != 5, "two clocks were wanted: {said:?}");
        assert!(!clocks.is_empty() || said.who.1.is_empty(), "nobody says when: {said:?}");
    }

    /// Two different signers are wanted, of this bundle and all others: who counts is true, and two people.
    fn several(&self, bundle: &Bundle, asked_for: u8) {
        let anyone = |rule: SignerRule| vec![rule.clone(), rule];
        let rules = match asked_for & 32 {
            0 => anyone(SignerRule::any_identity_unsafe()),
            _ => ["alice@example.com", "mallory@example.com"]
                .map(|name| SignerRule::identity(Match::exact(name), Match::exact(ISSUER)))
                .to_vec(),
        };
        let Ok(policy) = Policy::signers(2, rules) else { panic!("two rules for two signers are refused") };
        // The edited one stands among good ones; at times all of those are by one person.
        let mut bundles = vec![bundle.clone()];
        let others = self.world.bundles.iter().filter(|example| {
            ["v2", "v1-promise"].contains(&example.name) || (asked_for & 64 == 0 && is_other(example.name))
        });
        bundles.extend(others.map(|example| example.bundle.clone()));
        bundles.swap(0, usize::from(asked_for >> 7));
        let Ok(verified) = self.verifier.verify_all(&bundles, &policy, &Artifact::from_bytes(self.file))
        else {
            return;
        };
        let people: BTreeSet<String> = verified.iter().map(|one| Said::of(one).who.0).collect();
        assert!(people.len() >= 2 && people.len() == verified.len(), "one person counts once: {people:?}");
        for one in &verified {
            let said = Said::of(one);
            let mut truths = self.world.bundles.iter().filter_map(|example| example.truth.as_ref());
            assert!(truths.any(|truth| said.is_within(truth)), "nobody signed that: {said:?}");
        }
    }
}

fn is_other(name: &str) -> bool {
    ["v2-other-person", "v2-p384-chain"].contains(&name)
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

/// [`Policy::from_toml`]: what a policy file does not call unsafe, it does not do.
pub fn policy(input: &[u8]) {
    let Ok(text) = core::str::from_utf8(input) else { return };
    let policy = match Policy::from_toml(text) {
        Ok(policy) => policy,
        Err(error) => return drop(error.to_string()),
    };
    // Words can be spelled with escapes, too.
    let says = |word: &str| ["\\u", "\\U", "\\x", word].iter().any(|word| text.contains(word));
    let world = world();
    for example in &world.bundles {
        let file = FILES.get(example.file).copied().unwrap_or_default();
        let asked = Asked { world, verifier: &world.verifier, policy: &policy, file };
        if let Ok(verified) = asked.judge(&example.bundle, &Artifact::from_bytes(file)) {
            assert!(!verified.logs().is_empty() || says("unsafe-without-log"), "{text}");
        }
    }
    if !says("unsafe-any-identity") {
        nobody_is_taken(text, &policy);
    }
}

/// That nobody is taken whom the policy cannot mean: people whose names are made from a digest of its text, so that
/// they do not stand in it.
fn nobody_is_taken(text: &str, policy: &Policy) {
    let digest = sha256(text.as_bytes());
    // One that has letters only, and one that is long and has both.
    let letters = |each: fn(u8) -> u8| digest.iter().take(12).map(|byte| char::from(each(*byte))).collect();
    let short: String = letters(|byte| b'a' + byte % 26);
    let digits: String = letters(|byte| b'1' + byte % 9);
    let long = [digits.as_str(), &short].concat().repeat(10);
    for stranger in [short, long] {
        let identities = [
            format!("{stranger}@gmail.com"),
            format!("ann{stranger}@gmail.com"),
            format!("{stranger}@users.noreply.github.com"),
            format!("alice@{stranger}.com"),
            format!("alice@{stranger}example.com"),
            format!("alice@example.com.{stranger}.org"),
            format!("release!{stranger}.com"),
            stranger.clone(),
            format!("https://{stranger}.com/org/app"),
            format!("https://{stranger}example.com/org/app"),
            format!("https://github.com/{stranger}/app/.github/workflows/release.yml@refs/tags/v1.0"),
            format!("https://github.com/org{stranger}/app/.github/workflows/release.yml@refs/heads/main"),
            format!("https://github.com/{stranger}/x/.github/workflows/x.yml@refs/heads/alice@example.com"),
            format!("https://github.com/{stranger}/x/.github/workflows/x.yml@refs/heads/a.example.com/b"),
            format!("https://gitlab.com/{stranger}/app//.gitlab-ci.yml@refs/heads/main"),
            format!("spiffe://{stranger}/ns/release"),
        ];
        let owner = format!("https://github.com/{stranger}");
        let repository = format!("{owner}/{stranger}");
        let mut extensions = ExtensionValues::new();
        for (name, value) in [
            ("github-workflow-repository", format!("{stranger}/{stranger}")),
            ("build-signer-uri", format!("{repository}/.github/workflows/x.yml@refs/heads/main")),
            ("build-config-uri", format!("{repository}/.github/workflows/x.yml@refs/heads/main")),
            ("source-repository-uri", repository.clone()),
            ("source-repository-owner-uri", owner),
            ("source-repository-identifier", digits.clone()),
            ("source-repository-owner-identifier", digits.clone()),
            ("run-invocation-uri", format!("{repository}/actions/runs/1/attempts/1")),
            ("token-subject", format!("repo:{stranger}/{stranger}:ref:refs/heads/main")),
            ("build-trigger", "push".to_owned()),
            ("runner-environment", "github-hosted".to_owned()),
            ("source-repository-ref", "refs/heads/main".to_owned()),
            ("github-workflow-ref", "refs/heads/main".to_owned()),
        ] {
            let _ = extensions.set(name, value);
        }
        for identity in identities {
            for issuer in [ISSUER, "https://token.actions.githubusercontent.com"] {
                let taken = policy.would_take(&identity, issuer, &extensions);
                assert!(!taken, "{identity} is nobody, and taken by {text}");
            }
        }
        // Somebody, of a provider that nobody knows.
        for issuer in [format!("https://{stranger}.com"), format!("https://{stranger}.com/{stranger}")] {
            for identity in ["alice@example.com", "ann@example.org"] {
                let taken = policy.would_take(identity, &issuer, &extensions);
                assert!(!taken, "{issuer} is nobody, and believed by {text}");
            }
        }
    }
}
