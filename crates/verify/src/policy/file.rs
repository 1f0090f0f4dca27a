//! Policies as TOML files: a few tables, documented in docs/reference/policy.md.
//!
//! Must always hold: unknown keys are refused, so that a misspelled condition is never a missing one; what
//! accepts anybody, or wants no log, has to be written in words that say `unsafe`.

use super::{
    Evidence, Match, PatternError, Policy, RuleError, SignerRule, WitnessError, Witnesses, evidence,
    signer::Room,
};
use alloc::{
    collections::BTreeMap,
    string::{String, ToString as _},
    vec::Vec,
};
use core::num::NonZeroUsize;
use sealog_crypto::{KeyError, PublicKey};
use sealog_pki::fulcio_extensions::FulcioExtension;
use sealog_tlog::note::KeyVerifier;
use serde::Deserialize;

/// Bytes in a policy file.
const MAX_POLICY_BYTES: usize = 256 << 10;
/// The version of the format.
const VERSION: i64 = 1;

/// Why a text is not a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyFileError {
    /// Not TOML, or not of this shape: line, column and reason.
    #[error("{0}")]
    Toml(String),
    /// Longer than any policy.
    #[error("a policy of {0} bytes is longer than {MAX_POLICY_BYTES}")]
    TooLong(usize),
    /// Not this version of the format.
    #[error("policy version {0} is not known; this program reads version {VERSION}")]
    Version(i64),
    /// A signer's table that says too little or too much.
    #[error("a signer is one of: identity with issuer, key, any-of, all-of, unsafe-any-identity")]
    NotOneSigner,
    /// A name without who vouches for it, or the other way round.
    #[error("an identity and an issuer belong together, each given once: exactly or as a pattern")]
    NotOneIdentity,
    /// Not a pattern.
    #[error("`{pattern}` is {source}")]
    Pattern {
        /// The text.
        pattern: String,
        /// What is wrong with it.
        source: PatternError,
    },
    /// Not a key.
    #[error("a signer's key: {0}")]
    Key(#[from] KeyError),
    /// No such certificate extension.
    #[error("`{0}` is not the name of a certificate extension")]
    UnknownExtension(String),
    /// A rule that cannot be meant.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// Not a witness's key.
    #[error("`{0}` is not the key of a witness in the form name+hash+key")]
    WitnessKey(String),
    /// Witnesses that cannot be asked for.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// Zero, where that must be said in other words.
    #[error("`{what} = 0` must be written as `{instead} = true`")]
    Zero {
        /// What is zero.
        what: &'static str,
        /// What to write.
        instead: &'static str,
    },
    /// What is wanted, and the words that it does not matter.
    #[error("`{what}` and `{instead}` contradict each other")]
    Contradiction {
        /// What is wanted.
        what: &'static str,
        /// The words.
        instead: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    version: i64,
    threshold: Option<usize>,
    signer: Vec<SignerTable>,
    #[serde(default)]
    evidence: EvidenceTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct SignerTable {
    identity: Option<String>,
    identity_pattern: Option<String>,
    issuer: Option<String>,
    issuer_pattern: Option<String>,
    #[serde(default)]
    extensions: BTreeMap<String, String>,
    #[serde(default)]
    extension_patterns: BTreeMap<String, String>,
    key: Option<String>,
    any_of: Option<Vec<SignerTable>>,
    all_of: Option<Vec<SignerTable>>,
    #[serde(default)]
    unsafe_any_identity: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct EvidenceTable {
    logs: Option<usize>,
    scts: Option<usize>,
    timestamps: Option<usize>,
    witnesses: Option<WitnessTable>,
    #[serde(default)]
    accept_promises: bool,
    #[serde(default)]
    unsafe_without_log: bool,
    #[serde(default)]
    unsafe_without_sct: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WitnessTable {
    threshold: NonZeroUsize,
    keys: Vec<String>,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// See [`PolicyFileError`]; a policy that would accept anybody, or nobody, is refused.
    pub fn from_toml(text: &str) -> Result<Self, PolicyFileError> {
        if text.len() > MAX_POLICY_BYTES {
            return Err(PolicyFileError::TooLong(text.len()));
        }
        let toml = |error: toml::de::Error| PolicyFileError::Toml(error.to_string().trim_end().into());
        // The version first: of a later format, unknown keys are not what is wrong.
        #[derive(Deserialize)]
        struct VersionOnly {
            version: i64,
        }
        let VersionOnly { version } = toml::from_str(text).map_err(toml)?;
        if version != VERSION {
            return Err(PolicyFileError::Version(version));
        }
        let file: File = toml::from_str(text).map_err(toml)?;
        debug_assert_eq!(file.version, VERSION, "it was read twice");
        let mut room = Room::default();
        let rules = file.signer.into_iter().map(|table| table.rule(&mut room));
        let rules = rules.collect::<Result<_, _>>()?;
        let policy = Self::signers(file.threshold.unwrap_or(1), rules)?;
        Ok(policy.with_evidence(file.evidence.evidence()?))
    }
}

impl SignerTable {
    /// Depth is bounded by the parser of TOML; what else a file may ask for, by the room that is left.
    fn rule(self, room: &mut Room) -> Result<SignerRule, PolicyFileError> {
        room.take_rule()?;
        let named = self.identity.is_some() || self.identity_pattern.is_some();
        let vouched = self.issuer.is_some() || self.issuer_pattern.is_some();
        let kinds = [
            named || vouched,
            self.key.is_some(),
            self.any_of.is_some(),
            self.all_of.is_some(),
            self.unsafe_any_identity,
        ];
        if kinds.into_iter().filter(|there| *there).count() != 1 {
            return Err(PolicyFileError::NotOneSigner);
        }
        let list = |rules: Vec<Self>, room: &mut Room| {
            rules.into_iter().map(|table| table.rule(room)).collect::<Result<Vec<_>, _>>()
        };
        let is_key = self.key.is_some();
        let rule = match (self.key, self.any_of, self.all_of) {
            (Some(pem), ..) => SignerRule::key(PublicKey::from_pem(&pem)?),
            (_, Some(rules), _) => SignerRule::any_of(list(rules, room)?),
            (.., Some(rules)) => SignerRule::all_of(list(rules, room)?),
            _ if self.unsafe_any_identity => SignerRule::any_identity_unsafe(),
            _ => SignerRule::identity(
                one_match(self.identity, self.identity_pattern, room)?,
                one_match(self.issuer, self.issuer_pattern, room)?,
            ),
        };
        let exact = self.extensions.into_iter().map(|(name, value)| Ok((name, Match::Exact(value))));
        let patterns = self.extension_patterns.into_iter();
        let patterns = patterns.map(|(name, text)| Ok((name, pattern(&text, room)?)));
        exact.chain(patterns).try_fold(rule, |rule, wanted: Result<_, PolicyFileError>| {
            let (name, value) = wanted?;
            let extension = FulcioExtension::by_name(&name);
            let extension = extension.ok_or(PolicyFileError::UnknownExtension(name))?;
            match is_key {
                true => Err(RuleError::ExtensionOfKey.into()),
                false => Ok(rule.with_extension(extension, value)),
            }
        })
    }
}

fn one_match(exact: Option<String>, text: Option<String>, room: &mut Room) -> Result<Match, PolicyFileError> {
    match (exact, text) {
        // No certificate has an empty name: it is a variable that was never set.
        (Some(exact), None) if !exact.is_empty() => Ok(Match::Exact(exact)),
        (None, Some(text)) => pattern(&text, room),
        _ => Err(PolicyFileError::NotOneIdentity),
    }
}

fn pattern(text: &str, room: &mut Room) -> Result<Match, PolicyFileError> {
    let wanted =
        Match::pattern(text).map_err(|source| PolicyFileError::Pattern { pattern: text.into(), source })?;
    room.take(&wanted)?;
    Ok(wanted)
}

impl EvidenceTable {
    fn evidence(self) -> Result<Evidence, PolicyFileError> {
        let mut evidence = Evidence::default();
        match number("logs", self.logs, "unsafe-without-log", self.unsafe_without_log)? {
            Wanted::Default => {}
            Wanted::None => evidence = evidence.without_log_unsafe(),
            Wanted::Number(number) => evidence = evidence.with_logs(number),
        }
        match number("scts", self.scts, "unsafe-without-sct", self.unsafe_without_sct)? {
            Wanted::Default => {}
            Wanted::None => evidence = evidence.without_sct_unsafe(),
            Wanted::Number(number) => evidence = evidence.with_scts(number),
        }
        evidence = evidence.with_timestamps(self.timestamps.unwrap_or(0));
        if let Some(table) = self.witnesses {
            if self.unsafe_without_log {
                let (what, instead) = ("witnesses", "unsafe-without-log");
                return Err(PolicyFileError::Contradiction { what, instead });
            }
            evidence = evidence.with_witnesses(table.witnesses()?);
        }
        Ok(if self.accept_promises { evidence.accepting_promises() } else { evidence })
    }
}

enum Wanted {
    Default,
    None,
    Number(NonZeroUsize),
}

fn number(
    what: &'static str,
    given: Option<usize>,
    instead: &'static str,
    without: bool,
) -> Result<Wanted, PolicyFileError> {
    match (given, without) {
        (None, false) => Ok(Wanted::Default),
        (None, true) => Ok(Wanted::None),
        (Some(_), true) => Err(PolicyFileError::Contradiction { what, instead }),
        (Some(number), false) => {
            NonZeroUsize::new(number).map(Wanted::Number).ok_or(PolicyFileError::Zero { what, instead })
        }
    }
}

impl WitnessTable {
    fn witnesses(self) -> Result<Witnesses, PolicyFileError> {
        Witnesses::check_number(self.keys.len())?;
        let key = |text: String| KeyVerifier::from_vkey(&text).map_err(|_| PolicyFileError::WitnessKey(text));
        let keys = self.keys.into_iter().map(key).collect::<Result<_, _>>()?;
        Ok(evidence::Witnesses::new(self.threshold.get(), keys)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const ANN: &str = "[[signer]]\nidentity = \"ann@example.org\"\nissuer = \"https://i.example\"\n";
    const KEY: &str = "[[signer]]\nkey = \"\"\"\n-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n\"\"\"\n";

    fn read(text: &str) -> Result<Policy, PolicyFileError> {
        Policy::from_toml(&format!("version = 1\n{text}"))
    }

    #[test]
    fn the_shortest_policy_names_one_signer() {
        let policy = read(ANN).unwrap();
        assert_eq!((policy.threshold(), policy.keys().len()), (1, 0));
        assert_eq!(read(KEY).unwrap().keys().len(), 1);
        let policy = read(&format!("threshold = 2\n{ANN}{KEY}")).unwrap();
        assert_eq!((policy.threshold(), policy.keys().len()), (2, 1));
    }

    #[test]
    fn everything_that_can_be_said() {
        let text = r#"
            [[signer]]
            identity-pattern = 'https://github\.com/org/app/\.github/workflows/.*@refs/tags/v.*'
            issuer = "https://token.actions.githubusercontent.com"
            extensions = { source-repository-uri = "https://github.com/org/app", trigger = "push" }
            extension-patterns = { SourceRepositoryRef = "refs/tags/v[0-9.]+" }
            [[signer]]
            any-of = [
                { identity = "ann@example.org", issuer = "https://i.example" },
                { all-of = [{ unsafe-any-identity = true }, { identity = "b@example.org", issuer-pattern = 'https://(i|j)\.example' }] },
            ]
            [evidence]
            logs = 2
            scts = 1
            timestamps = 1
            accept-promises = true
        "#;
        let policy = read(text).unwrap();
        let evidence = policy.evidence();
        assert_eq!((evidence.logs, evidence.scts, evidence.timestamps), (2, 1, 1));
        assert!(evidence.promise_is_enough);
        let policy =
            read(&format!("{ANN}[evidence]\nunsafe-without-log = true\nunsafe-without-sct = true\n"));
        let policy = policy.unwrap();
        assert_eq!((policy.evidence().logs, policy.evidence().scts), (0, 0));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        type Reason = fn(&PolicyFileError) -> bool;
        let toml: Reason = |error| matches!(error, PolicyFileError::Toml(_));
        let cases: [(&str, Reason); 23] = [
            ("", toml),
            ("signer = []", |e| matches!(e, PolicyFileError::Rule(RuleError::Empty))),
            ("[[signer]]", |e| matches!(e, PolicyFileError::NotOneSigner)),
            ("[[signer]]\nidentity = 'a'", |e| matches!(e, PolicyFileError::NotOneIdentity)),
            ("[[signer]]\nissuer = 'a'", |e| matches!(e, PolicyFileError::NotOneIdentity)),
            ("[[signer]]\nidentity = ''\nissuer = 'a'", |e| matches!(e, PolicyFileError::NotOneIdentity)),
            ("[[signer]]\nidentity = 'a'\nidentity-pattern = 'a'\nissuer = 'a'", |e| {
                matches!(e, PolicyFileError::NotOneIdentity)
            }),
            ("[[signer]]\nidentity = 'a'\nissuer = 'a'\nkey = 'k'", |e| {
                matches!(e, PolicyFileError::NotOneSigner)
            }),
            ("[[signer]]\nidentity = 'a'\nissuer = 'b'\nidentitty-pattern = 'c'", toml),
            ("[[signer]]\nidentity-pattern = '('\nissuer = 'b'", |e| {
                matches!(e, PolicyFileError::Pattern { .. })
            }),
            ("[[signer]]\nidentity-pattern = '.*'\nissuer = 'b'", |e| {
                matches!(e, PolicyFileError::Rule(RuleError::AcceptsAnybody { .. }))
            }),
            ("[[signer]]\nidentity = 'a'\nissuer-pattern = '.*'", |e| {
                matches!(e, PolicyFileError::Rule(RuleError::AcceptsAnyProvider { .. }))
            }),
            ("[[signer]]\nkey = 'k'", |e| matches!(e, PolicyFileError::Key(_))),
            ("[[signer]]\nunsafe-any-identity = false", |e| matches!(e, PolicyFileError::NotOneSigner)),
            ("[[signer]]\nany-of = []", |e| matches!(e, PolicyFileError::Rule(RuleError::Empty))),
            ("[[signer]]\nidentity = 'a'\nissuer = 'b'\nextensions = { colour = 'red' }", |e| {
                matches!(e, PolicyFileError::UnknownExtension(_))
            }),
            ("threshold = 0\nsigner = [{ identity = 'a', issuer = 'b' }]", |e| {
                matches!(e, PolicyFileError::Rule(RuleError::Threshold { .. }))
            }),
            ("threshold = 2\nsigner = [{ identity = 'a', issuer = 'b' }]", |e| {
                matches!(e, PolicyFileError::Rule(RuleError::Threshold { .. }))
            }),
            ("signer = [{ identity = 'a', issuer = 'b' }]\n[evidence]\nlogs = 0", |e| {
                matches!(e, PolicyFileError::Zero { .. })
            }),
            (
                "signer = [{ identity = 'a', issuer = 'b' }]\n[evidence]\nlogs = 1\nunsafe-without-log = true",
                |e| matches!(e, PolicyFileError::Contradiction { .. }),
            ),
            (
                "signer = [{ identity = 'a', issuer = 'b' }]\n[evidence]\nunsafe-without-log = true\n\
                 witnesses = { threshold = 1, keys = ['w'] }",
                |e| matches!(e, PolicyFileError::Contradiction { .. }),
            ),
            (
                "signer = [{ identity = 'a', issuer = 'b' }]\n[evidence.witnesses]\nthreshold = 1\nkeys = ['w']",
                |e| matches!(e, PolicyFileError::WitnessKey(_)),
            ),
            (
                "signer = [{ identity = 'a', issuer = 'b' }]\n[evidence.witnesses]\nthreshold = 1\nkeys = []",
                |e| matches!(e, PolicyFileError::Witness(_)),
            ),
        ];
        for (text, reason) in cases {
            let error = read(text).map(|_| ()).unwrap_err();
            assert!(reason(&error), "{text}: {error:?}");
        }
        assert_eq!(Policy::from_toml("version = 2\nnew = 1").unwrap_err(), PolicyFileError::Version(2));
        let key = KEY.trim_end().to_string() + "\nextensions = { trigger = 'push' }";
        assert_eq!(read(&key).unwrap_err(), PolicyFileError::Rule(RuleError::ExtensionOfKey));
        let large = "{ identity-pattern = '.{3000}@example.org', issuer = 'b' },".repeat(40);
        let error = read(&format!("signer = [{large}]")).unwrap_err();
        assert!(matches!(error, PolicyFileError::Rule(RuleError::TooLarge { .. })), "{error:?}");
        let many = format!("signer = [{}]", "{ identity = 'a', issuer = 'b' },".repeat(257));
        assert_eq!(read(&many).unwrap_err(), PolicyFileError::Rule(RuleError::TooMany));
        let witnesses = format!("{ANN}[evidence.witnesses]\nthreshold = 1\nkeys = [{}]", "'w',".repeat(257));
        assert_eq!(
            read(&witnesses).unwrap_err(),
            PolicyFileError::Witness(WitnessError::TooMany { listed: 257 })
        );
        let deep = format!("signer = [{}{}]", "{ any-of = [".repeat(300), "] }".repeat(300));
        assert!(read(&deep).is_err());
        assert_eq!(
            read(&" ".repeat(MAX_POLICY_BYTES)).unwrap_err(),
            PolicyFileError::TooLong(MAX_POLICY_BYTES + 12)
        );
    }
}
