//! Who may have signed one bundle: an identity, a key, or rules put together.
//!
//! Must always hold: a rule that would take anybody is refused when it is made into a policy, unless it
//! was made by a function whose name says so.

use super::{
    Match, PolicyError,
    open::{self, Place},
    pattern::MAX_COST_OF_ALL,
};
use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::fmt;
use sealog_crypto::{PublicKey, sha256};
use sealog_pki::{
    Certificate, San,
    fulcio_extensions::{ExtensionValues, FulcioExtension, ISSUER, ISSUER_V2},
};

/// Rules within each other.
const MAX_DEPTH: usize = 8;
/// Rules in one policy, those within others included.
const MAX_RULES: usize = 256;

/// Who may have signed.
#[derive(Clone, Debug)]
pub struct SignerRule(Rule);

#[derive(Clone, Debug)]
enum Rule {
    Identity { identity: Match, issuer: Match, extensions: Vec<(&'static FulcioExtension, Match)> },
    Key(Box<PublicKey>),
    AnyOf(Vec<SignerRule>),
    AllOf(Vec<SignerRule>),
    AnyIdentity { extensions: Vec<(&'static FulcioExtension, Match)> },
}

/// Why a rule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It would take anybody.
    #[error("`{rule}` would accept anybody")]
    AcceptsAnybody {
        /// The rule.
        rule: String,
        /// What it takes, `…` being anything: nobody is named in it.
        taken: String,
    },
    /// It would take whoever runs a provider of identities.
    #[error("`{rule}` would accept an identity from any provider")]
    AcceptsAnyProvider {
        /// The rule.
        rule: String,
        /// What it takes, `…` being anything: no provider is named in it.
        taken: String,
    },
    /// A list of rules without any.
    #[error("a list of signers is empty")]
    Empty,
    /// Rules in rules in rules.
    #[error("more than {MAX_DEPTH} rules within each other, or {MAX_RULES} in all")]
    TooMany,
    /// Patterns that would take too long to be read.
    #[error("the patterns of all rules are too large together: {cost} of at most {MAX_COST_OF_ALL}")]
    TooLarge {
        /// What those cost that were looked at.
        cost: usize,
    },
    /// Keys have no extensions.
    #[error("a key has no certificate, so that nothing can be asked of its extensions")]
    ExtensionOfKey,
    /// More signers are wanted than are listed.
    #[error("{threshold} signers are wanted, and {listed} are listed")]
    Threshold {
        /// Wanted.
        threshold: usize,
        /// Listed.
        listed: usize,
    },
}

impl SignerRule {
    /// An identity, as an OIDC issuer knows it.
    #[must_use]
    pub const fn identity(identity: Match, issuer: Match) -> Self {
        Self(Rule::Identity { identity, issuer, extensions: Vec::new() })
    }

    /// The holder of a key.
    #[must_use]
    pub fn key(key: PublicKey) -> Self {
        Self(Rule::Key(Box::new(key)))
    }

    /// Anybody whom one of these rules takes.
    #[must_use]
    pub const fn any_of(rules: Vec<Self>) -> Self {
        Self(Rule::AnyOf(rules))
    }

    /// Whoever is taken by all of these rules.
    #[must_use]
    pub const fn all_of(rules: Vec<Self>) -> Self {
        Self(Rule::AllOf(rules))
    }

    /// Anybody with a certificate: who it was is told, and nothing says whether that is good.
    #[must_use]
    pub const fn any_identity_unsafe() -> Self {
        Self(Rule::AnyIdentity { extensions: Vec::new() })
    }

    /// Wants a certificate extension to have this value, too; in a list, of each rule in it.
    #[must_use]
    pub fn with_extension(mut self, extension: &'static FulcioExtension, value: Match) -> Self {
        match &mut self.0 {
            Rule::Identity { extensions, .. } | Rule::AnyIdentity { extensions } => {
                extensions.push((extension, value));
                self
            }
            // No identity is narrowed by it, and no key has one: nothing matches, as it should.
            Rule::Key(_) | Rule::AnyOf(_) | Rule::AllOf(_) => {
                let only = Rule::AnyIdentity { extensions: alloc::vec![(extension, value)] };
                Self::all_of(alloc::vec![self, Self(only)])
            }
        }
    }

    /// Refuses rules that cannot have been meant.
    ///
    /// # Errors
    /// See [`RuleError`].
    pub fn check(&self) -> Result<(), RuleError> {
        Self::check_all(core::slice::from_ref(self))
    }

    /// Whether somebody would be taken of whom a certificate says this: for those who want to try their rules.
    #[must_use]
    pub fn would_take(&self, identity: &str, oidc_issuer: &str, extensions: &ExtensionValues) -> bool {
        let (identity, oidc_issuer) = (identity.into(), oidc_issuer.into());
        self.matches(&Who::Certificate(Signer { identity, oidc_issuer, extensions })).is_ok()
    }

    /// Of all together, since each costs time with every bundle.
    pub(super) fn check_all(rules: &[Self]) -> Result<(), RuleError> {
        let mut room = Room::default();
        rules.iter().try_for_each(|rule| rule.check_size(MAX_DEPTH, &mut room))?;
        rules.iter().try_for_each(Self::check_open)
    }

    fn check_size(&self, depth: usize, room: &mut Room) -> Result<(), RuleError> {
        room.take_rule()?;
        let depth = depth.checked_sub(1).ok_or(RuleError::TooMany)?;
        match &self.0 {
            Rule::AnyOf(rules) | Rule::AllOf(rules) if rules.is_empty() => Err(RuleError::Empty),
            Rule::AnyOf(rules) | Rule::AllOf(rules) => {
                rules.iter().try_for_each(|rule| rule.check_size(depth, room))
            }
            Rule::Key(_) => Ok(()),
            Rule::Identity { identity, issuer, extensions } => {
                [identity, issuer].into_iter().try_for_each(|wanted| room.take(wanted))?;
                extensions.iter().try_for_each(|(_, wanted)| room.take(wanted))
            }
            Rule::AnyIdentity { extensions } => {
                extensions.iter().try_for_each(|(_, wanted)| room.take(wanted))
            }
        }
    }

    fn check_open(&self) -> Result<(), RuleError> {
        match &self.0 {
            Rule::Key(_) | Rule::AnyIdentity { .. } => Ok(()),
            Rule::Identity { identity, issuer, extensions } => {
                let told = |taken: &str| (format!("{self}"), taken.replace(super::shape::ANY, "…"));
                if let Some((rule, taken)) = identity.nobody(Place::Identity).map(told)
                    && !narrow(extensions)
                {
                    return Err(RuleError::AcceptsAnybody { rule, taken });
                }
                match issuer.nobody(Place::Provider).map(told) {
                    Some((rule, taken)) => Err(RuleError::AcceptsAnyProvider { rule, taken }),
                    None => Ok(()),
                }
            }
            // One that says who is enough, and one that says of which provider.
            Rule::AllOf(rules)
                if rules.iter().any(Self::says_who) && rules.iter().any(Self::says_which_provider) =>
            {
                Ok(())
            }
            Rule::AnyOf(rules) | Rule::AllOf(rules) => rules.iter().try_for_each(Self::check_open),
        }
    }

    /// Whether not everybody can meet it.
    fn says_who(&self) -> bool {
        match &self.0 {
            Rule::Key(_) => true,
            Rule::Identity { identity, extensions, .. } => {
                identity.nobody(Place::Identity).is_none() || narrow(extensions)
            }
            Rule::AnyIdentity { extensions } => narrow(extensions),
            Rule::AnyOf(rules) => rules.iter().all(Self::says_who),
            Rule::AllOf(rules) => rules.iter().any(Self::says_who),
        }
    }

    /// Whether not every provider's people can meet it.
    fn says_which_provider(&self) -> bool {
        match &self.0 {
            Rule::Key(_) => true,
            Rule::Identity { issuer, .. } => issuer.nobody(Place::Provider).is_none(),
            Rule::AnyIdentity { .. } => false,
            Rule::AnyOf(rules) => rules.iter().all(Self::says_which_provider),
            Rule::AllOf(rules) => rules.iter().any(Self::says_which_provider),
        }
    }

    /// Every key that is named.
    pub(crate) fn keys<'r>(&'r self, found: &mut Vec<&'r PublicKey>) {
        match &self.0 {
            Rule::Key(key) if !found.contains(&&**key) => found.push(key),
            Rule::AnyOf(rules) | Rule::AllOf(rules) => rules.iter().for_each(|rule| rule.keys(found)),
            Rule::Key(_) | Rule::Identity { .. } | Rule::AnyIdentity { .. } => {}
        }
    }

    /// Whether the holder of a certificate could be meant.
    pub(crate) fn names_identities(&self) -> bool {
        match &self.0 {
            Rule::Key(_) => false,
            Rule::Identity { .. } | Rule::AnyIdentity { .. } => true,
            Rule::AnyOf(rules) => rules.iter().any(Self::names_identities),
            Rule::AllOf(rules) => rules.iter().all(Self::names_identities),
        }
    }

    /// Whether this signer is meant; else how the signer differs.
    pub(crate) fn matches(&self, who: &Who<'_>) -> Result<(), PolicyError> {
        match (&self.0, who) {
            (Rule::Key(key), Who::Key(found)) if **key == **found => Ok(()),
            (Rule::Identity { identity, issuer, extensions }, Who::Certificate(signer)) => {
                if !identity.takes(Place::Identity, &signer.identity) {
                    let (expected, found) = (format!("{identity}"), signer.identity.clone());
                    return Err(PolicyError::Identity { expected, found });
                }
                if !issuer.takes(Place::Provider, &signer.oidc_issuer) {
                    let (expected, found) = (format!("{issuer}"), signer.oidc_issuer.clone());
                    return Err(PolicyError::Issuer { expected, found });
                }
                signer.have(extensions)
            }
            (Rule::AnyIdentity { extensions }, Who::Certificate(signer)) => signer.have(extensions),
            (Rule::AnyOf(rules), _) => any_of(rules, who),
            (Rule::AllOf(rules), _) => rules.iter().try_for_each(|rule| rule.matches(who)),
            (Rule::Key(_) | Rule::Identity { .. } | Rule::AnyIdentity { .. }, _) => {
                Err(PolicyError::NoneOf { expected: format!("{self}"), found: format!("{who}") })
            }
        }
    }
}

/// How much may still be asked for in one policy.
pub(super) struct Room {
    rules: usize,
    cost: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { rules: MAX_RULES, cost: 0 }
    }
}

impl Room {
    /// One more rule.
    pub(super) fn take_rule(&mut self) -> Result<(), RuleError> {
        self.rules = self.rules.checked_sub(1).ok_or(RuleError::TooMany)?;
        Ok(())
    }

    /// One more pattern, perhaps.
    pub(super) fn take(&mut self, wanted: &Match) -> Result<(), RuleError> {
        self.cost = self.cost.saturating_add(wanted.cost());
        match self.cost > MAX_COST_OF_ALL {
            true => Err(RuleError::TooLarge { cost: self.cost }),
            false => Ok(()),
        }
    }
}

/// Whether one of the extensions says whose it is.
fn narrow(extensions: &[(&FulcioExtension, Match)]) -> bool {
    extensions.iter().any(|(extension, value)| open::says_whose(extension, value))
}

/// That one rule takes the signer, else how: with a single rule exactly, with several in a list.
pub(crate) fn any_of(rules: &[SignerRule], who: &Who<'_>) -> Result<(), PolicyError> {
    let mut errors = Vec::new();
    for rule in rules {
        match rule.matches(who) {
            Ok(()) => return Ok(()),
            Err(error) => errors.push(error),
        }
    }
    match errors.as_slice() {
        [one] => Err(one.clone()),
        _ => Err(PolicyError::NoneOf { expected: listed(rules, " or "), found: format!("{who}") }),
    }
}

/// How many rules of a list are told.
const TOLD: usize = 4;

fn listed(rules: &[SignerRule], between: &str) -> String {
    let told: Vec<String> = rules.iter().take(TOLD).map(|rule| format!("{rule}")).collect();
    match rules.len().saturating_sub(TOLD) {
        0 => told.join(between),
        more => format!("{}{between}{more} more", told.join(between)),
    }
}

impl fmt::Display for SignerRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = |f: &mut fmt::Formatter<'_>, extensions: &[(&FulcioExtension, Match)]| {
            extensions.iter().try_for_each(|(extension, value)| write!(f, ", {} {value}", extension.name))
        };
        match &self.0 {
            Rule::Identity { identity, issuer, extensions } => {
                write!(f, "{identity} ({issuer})")?;
                with(f, extensions)
            }
            Rule::AnyIdentity { extensions } => {
                f.write_str("anybody")?;
                with(f, extensions)
            }
            Rule::Key(key) => write!(f, "key sha256:{}", hex::encode(sha256(key.spki_der()))),
            Rule::AnyOf(rules) => f.write_str(&listed(rules, " or ")),
            Rule::AllOf(rules) => f.write_str(&listed(rules, " and ")),
        }
    }
}

/// A signer as rules see one.
pub(crate) enum Who<'a> {
    Certificate(Signer<'a>),
    Key(&'a PublicKey),
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(signer) => write!(f, "{} ({})", signer.identity, signer.oidc_issuer),
            Self::Key(key) => write!(f, "key sha256:{}", hex::encode(sha256(key.spki_der()))),
        }
    }
}

/// Who a certificate is for.
pub(crate) struct Signer<'c> {
    pub(crate) identity: String,
    pub(crate) oidc_issuer: String,
    extensions: &'c ExtensionValues,
}

impl<'c> Signer<'c> {
    /// Reads the one name and the issuer.
    pub(crate) fn of(certificate: &'c Certificate) -> Result<Self, PolicyError> {
        let one = match certificate.san() {
            [San::Email(name) | San::Uri(name) | San::OtherName(name)] if !name.is_empty() => name,
            several => return Err(PolicyError::NotOneIdentity { found: several.len() }),
        };
        let values = certificate.fulcio();
        let issuer = match (values.get(ISSUER_V2), values.get(ISSUER)) {
            (Some(newer), Some(older)) if newer != older => {
                return Err(PolicyError::TwoIssuers { newer: newer.into(), older: older.into() });
            }
            (Some(issuer), _) | (None, Some(issuer)) => issuer,
            (None, None) => return Err(PolicyError::NoIssuer),
        };
        Ok(Self { identity: one.clone(), oidc_issuer: issuer.into(), extensions: values })
    }

    fn have(&self, extensions: &[(&'static FulcioExtension, Match)]) -> Result<(), PolicyError> {
        for (extension, wanted) in extensions {
            let found = self.extensions.get(extension.number);
            if !found.is_some_and(|found| open::takes(extension, wanted, found)) {
                let (expected, found) = (format!("{wanted}"), String::from(found.unwrap_or_default()));
                return Err(PolicyError::Extension { name: extension.name, expected, found });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Match {
        Match::pattern(text).unwrap()
    }

    fn row(name: &str) -> &'static FulcioExtension {
        FulcioExtension::by_name(name).unwrap()
    }

    #[test]
    fn rules_that_take_anybody_are_refused() {
        let issuer = || Match::exact("https://token.actions.githubusercontent.com");
        for open in [
            ".*",
            ".+",
            ".*@.*",
            r".*@[a-z0-9.]+",
            r"[a-z]+@.+",
            r"[a-z]+",
            r"[a-z]+@[a-z]+\.[a-z]+",
            "https://.*",
            "https?://.*",
            r"(?s).*",
            r"https://github\.com/.*",
            r".*@gmail\.com",
            r"ann@example\.org|.*",
        ] {
            let rule = SignerRule::identity(pattern(open), issuer());
            assert!(matches!(rule.check(), Err(RuleError::AcceptsAnybody { .. })), "{open}");
            // In a list of choices, as well.
            let ann = SignerRule::identity(Match::exact("ann@example.org"), issuer());
            assert!(SignerRule::any_of(alloc::vec![ann.clone(), rule.clone()]).check().is_err(), "{open}");
            assert!(SignerRule::all_of(alloc::vec![ann, rule.clone()]).check().is_ok(), "{open}");
            assert!(SignerRule::all_of(alloc::vec![rule.clone(), rule.clone()]).check().is_err(), "{open}");
            // An extension narrows it if it has a value of its own.
            let owner = row("source-repository-owner-uri");
            let narrow = rule.clone().with_extension(owner, Match::exact("https://github.com/org"));
            assert!(narrow.check().is_ok(), "{open}");
            assert!(rule.clone().with_extension(owner, pattern(".*")).check().is_err(), "{open}");
            // How it was made says nothing of who made it.
            let made = rule.with_extension(row("trigger"), Match::exact("push"));
            let made = made.with_extension(row("runner"), Match::exact("github-hosted"));
            assert!(made.check().is_err(), "{open}");
        }
        for closed in [r".*@example\.org", r"https://github\.com/org/.*", r"ann@example\.org"] {
            assert!(SignerRule::identity(pattern(closed), issuer()).check().is_ok(), "{closed}");
        }
        let any_issuer = SignerRule::identity(Match::exact("ann@example.org"), pattern("https://.*"));
        assert!(matches!(any_issuer.check(), Err(RuleError::AcceptsAnyProvider { .. })));
        assert!(SignerRule::any_identity_unsafe().check().is_ok());
        // An extension that says whose it is does not say who vouches for it, in a list as little as alone.
        let owner = |rule: SignerRule| {
            rule.with_extension(row("owner"), Match::exact("https://github.com/org")).check()
        };
        let everybody = || SignerRule::identity(pattern(".*"), pattern(".*"));
        let here = || SignerRule::identity(pattern(".*"), issuer());
        assert!(owner(everybody()).is_err());
        for list in [SignerRule::any_of, SignerRule::all_of] {
            assert!(owner(list(alloc::vec![everybody()])).is_err());
            assert!(owner(list(alloc::vec![here()])).is_ok());
        }
        assert!(owner(SignerRule::any_of(alloc::vec![here(), everybody()])).is_err());
        assert!(owner(SignerRule::all_of(alloc::vec![here(), everybody()])).is_ok());
    }

    #[test]
    fn lists_are_bounded_and_never_empty() {
        assert_eq!(SignerRule::any_of(Vec::new()).check(), Err(RuleError::Empty));
        assert_eq!(SignerRule::all_of(Vec::new()).check(), Err(RuleError::Empty));
        let ann = SignerRule::identity(Match::exact("ann@example.org"), Match::exact("https://i.example"));
        let nested = (0..MAX_DEPTH).fold(ann.clone(), |rule, _| SignerRule::any_of(alloc::vec![rule]));
        assert_eq!(nested.check(), Err(RuleError::TooMany));
        let many = SignerRule::any_of(alloc::vec![ann; MAX_RULES]);
        assert_eq!(many.check(), Err(RuleError::TooMany));
        // Patterns are counted wherever they are.
        let large = || pattern(&format!("{}@example.org", "a".repeat(3000)));
        let by = |identity, issuer| SignerRule::identity(identity, issuer);
        let one = by(large(), Match::exact("https://i.example"));
        assert_eq!(SignerRule::any_of(alloc::vec![one.clone(); 28]).check(), Ok(()));
        let extended = || one.clone().with_extension(row("ref"), large());
        for rule in [
            SignerRule::any_of(alloc::vec![one.clone(); 30]),
            SignerRule::all_of(alloc::vec![by(large(), pattern("https://i.example(a{2900})?")); 16]),
            SignerRule::any_of((0..16).map(|_| extended()).collect()),
        ] {
            assert!(matches!(rule.check(), Err(RuleError::TooLarge { .. })), "{:?}", rule.check());
        }
    }
}
