//! A small world that stays the same: bundles made once by the virtual Sigstore, and its trusted root.
//!
//! `cargo run -p sealog-fuzz-targets --example seeds` made the documents under `fuzz/good/`. Some of them do
//! not verify on purpose: an attacker has such pieces as well.

use sealog_bundle::{Bundle, KeyMaterial, TrustedRoot, Version};
use sealog_crypto::PublicKey;
use sealog_pki::Certificate;
use sealog_verify::{Artifact, Evidence, Logged, Policy, SignedBy, Verified, Verifier};
use std::{collections::BTreeSet, sync::OnceLock};

/// What is signed.
pub const FILES: [&[u8]; 2] = [b"the file", b"another file"];
/// What the virtual Sigstore's clock said when the examples were made.
pub const NOW: i64 = 1_800_000_000;
/// Who cosigns the checkpoints of the Rekor v2 log.
pub const WITNESS: &str = "witness.example";
/// The OIDC issuer of everybody.
pub const ISSUER: &str = "https://accounts.example.com";

macro_rules! documents {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../fuzz/good/", $name, ".json")))),*]
    };
}

/// The bundles by their names under `fuzz/good/`; those that the usual policy refuses begin with `bad-`,
/// those that it refuses for want of logs alone with `lax-`.
const EXAMPLES: [(&str, &str); 20] = documents![
    "v2",
    "v2-twice",
    "v2-statement",
    "v2-sha384-statement",
    "v2-other-file",
    "v2-other-person",
    "v2-p384-chain",
    "v2-fraction",
    "v2-key",
    "v1-promise",
    "v1-timestamp",
    "v1-dsse",
    "v1-intoto",
    "v1-chain",
    "both-logs",
    "lax-without-logs",
    "lax-unknown-log",
    "bad-late",
    "bad-authority",
    "bad-timestamp-of-other",
];
const ROOT: &str = include_str!("../../../fuzz/good/root.json");
/// The key of `v2-key`, in PEM.
pub const KEY: &str = include_str!("../../../fuzz/good/key.pem");

/// The names of the bundles, in their order.
pub fn names() -> impl Iterator<Item = &'static str> {
    EXAMPLES.into_iter().map(|(name, _)| name)
}

/// The world.
pub struct World {
    /// Its trusted root: two certificate authorities of one name, two logs, two timestamp authorities.
    pub root: TrustedRoot,
    /// The same made ready.
    pub verifier: Verifier,
    /// The bundles.
    pub bundles: Vec<Example>,
    /// The key that one of them was signed with.
    pub key: PublicKey,
}

/// A bundle and what is true of it.
pub struct Example {
    /// Its name under `fuzz/good/`.
    pub name: &'static str,
    /// The bundle.
    pub bundle: Bundle,
    /// Which of [`FILES`] it is about.
    pub file: usize,
    /// All that may be said of its signature; none when nothing may.
    pub truth: Option<Said>,
}

/// What the verifier says, or may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Identity and issuer, or a key and nothing.
    pub who: (String, String),
    /// The one time that is told.
    pub when: Option<(i64, String)>,
    /// Every time, and whose clock said so.
    pub times: BTreeSet<(i64, String)>,
    /// Every log by its address, and the place in it. (Of the origin a promise without proof says nothing.)
    pub logs: BTreeSet<(String, u64)>,
    /// Whoever cosigned a checkpoint.
    pub witnesses: BTreeSet<String>,
    /// The statement.
    pub statement: Option<String>,
}

impl Said {
    /// What a verdict says.
    #[must_use]
    pub fn of(verified: &Verified) -> Self {
        let who = match verified.signed_by() {
            SignedBy::Identity { identity, oidc_issuer, .. } => (identity.clone(), oidc_issuer.clone()),
            SignedBy::Key { fingerprint } => (fingerprint.clone(), String::new()),
        };
        let time = |time: sealog_bundle::UnixTime, authority: &str| (time.seconds(), authority.to_owned());
        let place = |log: &Logged| (log.url.clone(), log.index);
        let when = verified.signed_at().zip(verified.time_source());
        Self {
            who,
            when: when.map(|(at, source)| time(at, &source.authority)),
            times: verified.times().iter().map(|(at, source)| time(*at, &source.authority)).collect(),
            logs: verified.logs().iter().map(place).collect(),
            witnesses: verified.logs().iter().flat_map(|log| log.witnesses.clone()).collect(),
            statement: verified.statement().map(|statement| format!("{statement:?}")),
        }
    }

    /// Whether this is no more than that, which is true; less evidence may tell less of it.
    #[must_use]
    pub fn is_within(&self, truth: &Self) -> bool {
        self.who == truth.who
            && self.statement == truth.statement
            && self.times.is_subset(&truth.times)
            && self.logs.is_subset(&truth.logs)
            && self.witnesses.iter().all(|name| name == WITNESS)
            // The earliest of the clocks that were heard is told, and nothing else.
            && self.when.as_ref().map(|(at, _)| *at) == self.times.first().map(|(at, _)| *at)
            && self.when.as_ref().is_none_or(|when| self.times.contains(when))
    }
}

/// What asks least of the proofs, and nothing less of the signer.
#[must_use]
pub fn lax() -> Evidence {
    Evidence::default().without_log_unsafe().without_sct_unsafe().accepting_promises()
}

impl World {
    /// A policy that accepts the signer of this bundle and, but for a key's, everybody else.
    #[must_use]
    pub fn anyone_like(&self, bundle: &Bundle) -> Policy {
        match bundle.material.key {
            KeyMaterial::PublicKey { .. } => Policy::key(self.key.clone()),
            _ => Policy::any_identity_unsafe(),
        }
    }

    fn said(&self, bundle: &Bundle, file: usize, evidence: Evidence) -> Option<Said> {
        let artifact = Artifact::from_bytes(FILES.get(file)?);
        let policy = self.anyone_like(bundle).with_evidence(evidence);
        let verified = self.verifier.verify(bundle, &policy, &artifact);
        verified.ok().map(|verified| Said::of(&verified))
    }

    /// What is said of a bundle with all it carries, and with each promised entry once more without its
    /// promise, when its place is counted in another way. (Nobody signed the index then: any will do.)
    fn truth(&self, bundle: &Bundle, file: usize) -> Option<Said> {
        let mut whole = bundle.clone();
        let promised = bundle.material.log_entries.iter().filter(|entry| entry.inclusion_promise.is_some());
        whole.material.log_entries.extend(promised.cloned().map(|mut entry| {
            entry.inclusion_promise = None;
            entry.log_index = entry.log_index.wrapping_add(1 << 40);
            entry
        }));
        // In version 0.1 entries must have promises; nothing else is different in 0.2.
        whole.version = whole.version.max(Version::V02);
        self.said(&whole, file, lax())
    }

    /// What is true of a signature whose own certificate is not to be believed, but whose key a believed certificate names:
    /// with that one in its place and no log asked, all of it holds.
    fn truth_of_key(&self, example: &Example) -> Option<Said> {
        let key = public_key(&example.bundle)?;
        let certified =
            |other: &&Example| other.truth.is_some() && public_key(&other.bundle) == Some(key.clone());
        self.bundles.iter().filter(certified).find_map(|other| {
            let mut exchanged = example.bundle.clone();
            exchanged.material.key = other.bundle.material.key.clone();
            exchanged.material.log_entries.clear();
            self.said(&exchanged, example.file, lax())
        })
    }
}

/// The key in the certificate of a bundle.
fn public_key(bundle: &Bundle) -> Option<PublicKey> {
    Certificate::from_der(bundle.material.key.leaf()?).ok()?.public_key().ok()
}

/// The world, made when it is first asked for.
///
/// # Panics
/// When a document under `fuzz/good/` is not what it is said to be.
#[must_use]
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let refused =
            |name: &str, error: &dyn std::fmt::Display| -> ! { panic!("fuzz/good/{name}: {error}") };
        let root = TrustedRoot::parse(ROOT.as_bytes()).unwrap_or_else(|error| refused("root.json", &error));
        let key = PublicKey::from_pem(KEY).unwrap_or_else(|error| refused("key.pem", &error));
        let verifier = Verifier::new(&root);
        let mut world = World { root, verifier, bundles: Vec::new(), key };
        for (name, json) in EXAMPLES {
            let bundle = Bundle::parse(json.as_bytes()).unwrap_or_else(|error| refused(name, &error));
            let file = usize::from(name == "v2-other-file");
            let truth = world.truth(&bundle, file);
            world.bundles.push(Example { name, bundle, file, truth });
        }
        let of_keys = world.bundles.iter().map(|example| match example.truth {
            Some(_) => None,
            None => world.truth_of_key(example),
        });
        for (at, truth) in of_keys.collect::<Vec<_>>().into_iter().enumerate() {
            if let (Some(truth), Some(example)) = (truth, world.bundles.get_mut(at)) {
                example.truth = Some(truth);
            }
        }
        world
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_are_believed_for_what_they_say_and_the_bad_for_nothing() {
        let world = world();
        for Example { name, bundle, file, truth } in &world.bundles {
            let usual = world.said(bundle, *file, Evidence::default());
            assert_eq!(usual.is_some(), name.starts_with('v') || *name == "both-logs", "{name}");
            // The other authority certified the key that an authority of ours certified as well.
            assert_eq!(truth.is_none(), name.starts_with("bad-") && *name != "bad-authority", "{name}");
            let Some(said) = truth else { continue };
            let by = |identity: &str| (identity.to_owned(), ISSUER.to_owned());
            match *name {
                "v2-key" => assert!(said.who.0.len() == 64 && said.times.is_empty(), "{said:?}"),
                "v2-p384-chain" => assert_eq!(said.who, by("https://bob.example.com/build")),
                "v2-other-person" => assert_eq!(said.who, by("mallory@example.com")),
                _ => assert_eq!(said.who, by("alice@example.com"), "{name}"),
            }
            assert!(said.times.iter().all(|(time, _)| (NOW..NOW + 300).contains(time)), "{name}: {said:?}");
            assert_eq!(
                said.logs.is_empty(),
                !name.starts_with('v') && *name != "both-logs",
                "{name}: {said:?}"
            );
            assert!(said.is_within(said) && usual.is_none_or(|usual| usual.is_within(said)), "{name}");
        }
    }

    #[test]
    fn what_is_not_true_is_not_within_the_truth() {
        let truth = |name: &str| {
            let example = world().bundles.iter().find(|example| example.name == name).unwrap();
            example.truth.clone().unwrap()
        };
        let twice = truth("v2-twice");
        assert_eq!((twice.times.len(), twice.logs.len()), (2, 2), "{twice:?}");
        for lie in [
            (|said: &mut Said| said.who.0.push('x')) as fn(&mut Said),
            |said| said.times.extend([(NOW, "another clock".into())]),
            |said| drop(said.times.pop_first()),
            |said| said.when = None,
            |said| said.statement = Some("a statement".into()),
            |said| said.logs = world().bundles[0].truth.as_ref().unwrap().logs.clone(),
        ] {
            let mut said = twice.clone();
            lie(&mut said);
            assert!(!said.is_within(&twice), "{said:?}");
        }
    }
}
