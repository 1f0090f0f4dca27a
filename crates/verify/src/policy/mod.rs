//! Step 12: whose signature is wanted, and what must prove it.
//!
//! A [`Policy`] names signers and how many different ones must have signed; usually one. The one that
//! names nobody says so in its name, and rules that would take anybody are refused.

mod count;
mod evidence;
#[cfg(feature = "policy-file")]
mod file;
mod open;
mod pattern;
mod shape;
mod signer;

pub use evidence::{Evidence, EvidenceError, WitnessError, Witnesses};
#[cfg(feature = "policy-file")]
pub use file::PolicyFileError;
pub use pattern::{Match, Pattern, PatternError};
pub use signer::{RuleError, SignerRule};

pub(crate) use count::{Person, distinct};
pub(crate) use signer::{Signer, Who};

use alloc::{string::String, vec::Vec};
use sealog_crypto::PublicKey;
use sealog_pki::fulcio_extensions::{ExtensionValues, FulcioExtension};

/// Whose signatures are wanted, and what must prove them.
#[derive(Clone, Debug)]
pub struct Policy {
    signers: Vec<SignerRule>,
    threshold: usize,
    evidence: Evidence,
}

/// Why the signer is not the one wanted. All else was verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// The certificate names nobody, several, or something that signs nothing, such as a host.
    #[error("the certificate's names ({found}) are not one mail address, URI or user name")]
    NotOneIdentity {
        /// How many there are.
        found: usize,
    },
    /// The certificate's two issuer fields disagree.
    #[error("the certificate names two different OIDC issuers")]
    TwoIssuers {
        /// The newer field.
        newer: String,
        /// The older field.
        older: String,
    },
    /// No issuer at all.
    #[error("the certificate names no OIDC issuer")]
    NoIssuer,
    /// Another identity.
    #[error("signed by another identity than the one named")]
    Identity {
        /// The one wanted.
        expected: String,
        /// The signer's.
        found: String,
    },
    /// Another issuer.
    #[error("signed by an identity of another OIDC issuer than the one named")]
    Issuer {
        /// The one wanted.
        expected: String,
        /// The signer's.
        found: String,
    },
    /// Another value of an extension.
    #[error("the certificate's {name} is not the one named")]
    Extension {
        /// The extension.
        name: &'static str,
        /// The value wanted.
        expected: String,
        /// The certificate's; empty when it has none.
        found: String,
    },
    /// None of several.
    #[error("signed by none of those named")]
    NoneOf {
        /// Those named.
        expected: String,
        /// The signer.
        found: String,
    },
    /// Too few different signers.
    #[error("{found} of the {needed} different signers that the policy wants have signed")]
    TooFewSigners {
        /// Wanted.
        needed: usize,
        /// Those who count.
        found: usize,
        /// Who signed, and what became of the other bundles, in words.
        heard: String,
    },
}

impl Policy {
    /// This identity, as this issuer knows it.
    #[must_use]
    pub fn identity(identity: impl Into<String>, issuer: impl Into<String>) -> Self {
        Self::one(SignerRule::identity(Match::exact(identity), Match::exact(issuer)))
    }

    /// This key.
    #[must_use]
    pub fn key(key: PublicKey) -> Self {
        Self::one(SignerRule::key(key))
    }

    /// Anybody at all: the answer says who signed, and nothing says whether that is good.
    #[must_use]
    pub fn any_identity_unsafe() -> Self {
        Self::one(SignerRule::any_identity_unsafe())
    }

    /// Whoever is taken by this rule.
    ///
    /// # Errors
    /// When the rule would take anybody, or nobody.
    pub fn signer(rule: SignerRule) -> Result<Self, RuleError> {
        Self::signers(1, alloc::vec![rule])
    }

    /// So many different signers, each taken by another of these rules. Two signatures by one person, or
    /// by one key, count once; of rules that take the same people, each counts once.
    ///
    /// # Errors
    /// When a rule would take anybody, or nobody, or there are fewer rules than signers wanted.
    pub fn signers(threshold: usize, rules: Vec<SignerRule>) -> Result<Self, RuleError> {
        if rules.is_empty() {
            return Err(RuleError::Empty);
        }
        if threshold == 0 || threshold > rules.len() {
            return Err(RuleError::Threshold { threshold, listed: rules.len() });
        }
        SignerRule::check_all(&rules)?;
        Ok(Self { signers: rules, threshold, evidence: Evidence::default() })
    }

    fn one(rule: SignerRule) -> Self {
        Self { signers: alloc::vec![rule], threshold: 1, evidence: Evidence::default() }
    }

    /// Wants a certificate extension of every signer to have this value, too. Keys have no extensions, so
    /// a key with one is nobody's.
    #[must_use]
    pub fn with_extension(mut self, extension: &'static FulcioExtension, value: impl Into<String>) -> Self {
        let value = Match::exact(value);
        self.signers =
            self.signers.into_iter().map(|rule| rule.with_extension(extension, value.clone())).collect();
        self
    }

    /// Wants other proof than one log and one certificate log.
    #[must_use]
    pub fn with_evidence(mut self, evidence: Evidence) -> Self {
        self.evidence = evidence;
        self
    }

    /// How many different signers must have signed.
    #[must_use]
    pub const fn threshold(&self) -> usize {
        self.threshold
    }

    /// What must prove each signature.
    #[must_use]
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Whether one signature by somebody of whom a certificate says this would count: for those who want to try
    /// their policies. How many must sign, and what must prove it, is not asked here.
    #[must_use]
    pub fn would_take(&self, identity: &str, oidc_issuer: &str, extensions: &ExtensionValues) -> bool {
        self.signers.iter().any(|rule| rule.would_take(identity, oidc_issuer, extensions))
    }

    /// Every key that is named.
    #[must_use]
    pub fn keys(&self) -> Vec<&PublicKey> {
        let mut keys = Vec::new();
        self.signers.iter().for_each(|rule| rule.keys(&mut keys));
        keys
    }

    /// Whether the holder of a certificate could be meant.
    pub(crate) fn names_identities(&self) -> bool {
        self.signers.iter().any(SignerRule::names_identities)
    }

    /// Which of the rules take this signer; else how the signer differs.
    pub(crate) fn matches(&self, who: &Who<'_>) -> Result<Matched, PolicyError> {
        signer::any_of(&self.signers, who)?;
        let rules = self.signers.iter().enumerate().filter(|(_, rule)| rule.matches(who).is_ok());
        Ok(Matched { rules: rules.map(|(at, _)| at).collect() })
    }
}

/// By which of its rules the policy takes a signer; none for one it does not take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matched {
    pub(crate) rules: Vec<usize>,
}
