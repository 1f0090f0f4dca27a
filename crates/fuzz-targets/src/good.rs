//! A small world that stays the same: bundles made once by the virtual Sigstore, and its trusted root.
//!
//! `cargo run -p sealog-fuzz-targets --bin seeds` made the documents under `fuzz/good/`; the keys that
//! signed them are gone. Some of them do not verify on purpose: an attacker has such pieces as well.

use sealog_bundle::{Bundle, KeyMaterial, TrustedRoot};
use sealog_crypto::PublicKey;
use sealog_verify::{Artifact, Logged, Policy, SignedBy, TimeSource, Verified, verify};
use std::{collections::BTreeSet, sync::OnceLock};

/// What is signed.
pub const FILES: [&[u8]; 2] = [b"the file", b"another file"];
/// What the virtual Sigstore's clock said when the examples were made.
pub const NOW: i64 = 1_800_000_000;
/// The OIDC issuer of everybody.
pub const ISSUER: &str = "https://accounts.example.com";

macro_rules! documents {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../../fuzz/good/", $name, ".json")))),*]
    };
}

/// The bundles that verify, by their names under `fuzz/good/`.
const GOOD: [(&str, &str); 12] = documents![
    "v2",
    "v2-twice",
    "v2-statement",
    "v2-other-file",
    "v2-other-person",
    "v2-p384-chain",
    "v2-key",
    "v1-promise",
    "v1-timestamp",
    "v1-dsse",
    "v1-intoto",
    "v1-chain",
];
/// Those that must not.
const BAD: [(&str, &str); 4] = documents!["bad-late", "bad-authority", "bad-log", "bad-timestamp-of-other"];
const ROOT: &str = include_str!("../../../fuzz/good/root.json");
/// The key of `v2-key`, in PEM.
pub const KEY: &str = include_str!("../../../fuzz/good/key.pem");

/// The world.
pub struct World {
    /// Its trusted root: two certificate authorities of one name, two logs, two timestamp authorities.
    pub root: TrustedRoot,
    /// The bundles, those that verify first.
    pub bundles: Vec<Example>,
    /// How many of them verify.
    pub good: usize,
    /// The key that one of them was signed with.
    pub key: PublicKey,
}

/// A bundle and what is true of it.
pub struct Example {
    /// Its name under `fuzz/good/`.
    pub name: &'static str,
    /// The bundle.
    pub bundle: Bundle,
    /// Its document.
    pub json: &'static str,
    /// Which of [`FILES`] it is about.
    pub file: usize,
    /// All that the verifier may say of its signature: with one timestamp the time is another than with two.
    pub verdicts: BTreeSet<Said>,
}

/// What the verifier says, all of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    who: (String, String),
    when: Option<(i64, String)>,
    logs: Vec<Logged>,
    statement: Option<String>,
}

impl Said {
    /// What a verdict says.
    #[must_use]
    pub fn of(verified: &Verified) -> Self {
        let who = match verified.signed_by() {
            SignedBy::Identity { identity, oidc_issuer, .. } => (identity.clone(), oidc_issuer.clone()),
            SignedBy::Key { fingerprint } => (fingerprint.clone(), String::new()),
        };
        let clock = |source: &TimeSource| source.authority.clone();
        let when = verified.signed_at().zip(verified.time_source());
        Self {
            who,
            when: when.map(|(time, source)| (time.seconds(), clock(source))),
            logs: verified.logs().to_vec(),
            statement: verified.statement().map(|statement| format!("{statement:?}")),
        }
    }

    /// When, in Unix seconds.
    #[must_use]
    pub fn time(&self) -> Option<i64> {
        self.when.as_ref().map(|(time, _)| *time)
    }
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

    fn verdict(&self, bundle: &Bundle, file: usize) -> Option<Said> {
        let artifact = Artifact::from_bytes(FILES.get(file)?);
        let verified = verify(bundle, &self.root, &self.anyone_like(bundle), &artifact);
        verified.ok().map(|verified| Said::of(&verified))
    }

    /// The verdicts on a bundle and on those with less evidence of the same things.
    fn verdicts(&self, bundle: &Bundle, file: usize) -> BTreeSet<Said> {
        let material = &bundle.material;
        let (entries, timestamps) = (material.log_entries.len(), material.timestamps.len());
        let mut verdicts = BTreeSet::new();
        for kept in 0_u32..1 << (2 * entries + timestamps) {
            let keeps = |bit: usize| kept >> bit & 1 == 0;
            let mut less = bundle.clone();
            for (at, entry) in less.material.log_entries.iter_mut().enumerate() {
                if !keeps(entries + timestamps + at) {
                    entry.inclusion_promise = None;
                }
            }
            let mut at = 0..entries;
            less.material.log_entries.retain(|_| at.next().is_some_and(&keeps));
            let mut at = entries..entries + timestamps;
            less.material.timestamps.retain(|_| at.next().is_some_and(&keeps));
            // What is told of several entries is the first; they may stand the other way round.
            verdicts.extend(self.verdict(&less, file));
            less.material.log_entries.reverse();
            verdicts.extend(self.verdict(&less, file));
        }
        verdicts
    }
}

/// Which of [`FILES`] a bundle is about.
fn file_of(name: &str) -> usize {
    usize::from(name == "v2-other-file")
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
        let mut world = World { root, bundles: Vec::new(), good: GOOD.len(), key };
        for (name, json) in GOOD.into_iter().chain(BAD) {
            let bundle = Bundle::parse(json.as_bytes()).unwrap_or_else(|error| refused(name, &error));
            let file = file_of(name);
            let verdicts = world.verdicts(&bundle, file);
            let verifies = world.verdict(&bundle, file).is_some();
            assert_eq!(verifies, !name.starts_with("bad-"), "fuzz/good/{name}");
            world.bundles.push(Example { name, bundle, json, file, verdicts });
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
        for example in &world.bundles {
            let Example { name, verdicts, .. } = example;
            assert_eq!(verdicts.is_empty(), name.starts_with("bad-"), "{name}");
            for said in verdicts {
                let person =
                    if *name == "v2-other-person" { "mallory@example.com" } else { "alice@example.com" };
                match *name {
                    "v2-key" => assert!(said.who.0.len() == 64 && said.when.is_none(), "{said:?}"),
                    "v2-p384-chain" => assert_eq!(said.who.0, "https://bob.example.com/build"),
                    _ => assert_eq!(said.who, (person.to_owned(), ISSUER.to_owned()), "{name}"),
                }
                assert!(said.time().is_none_or(|time| (NOW..NOW + 300).contains(&time)), "{name}: {said:?}");
            }
        }
        let twice = world.bundles.iter().find(|example| example.name == "v2-twice").unwrap();
        assert_eq!(twice.verdicts.len(), 4, "two times, two places: {:?}", twice.verdicts);
    }
}
