//! Step 12: whose signature is wanted.
//!
//! A policy names an identity and its issuer, or a key. The one that names nobody says so in its name.

use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::fmt;
use sealog_crypto::PublicKey;
use sealog_pki::{
    Certificate, San,
    fulcio_extensions::{FulcioExtension, ISSUER, ISSUER_V2},
};

/// Bytes of compiled program a pattern may need.
const PATTERN_SIZE_LIMIT: usize = 1 << 20;
/// Bytes of a pattern's text.
const PATTERN_TEXT_LIMIT: usize = 4096;

/// Whose signature is wanted.
#[derive(Clone, Debug)]
pub struct Policy {
    wanted: Wanted,
    extensions: Vec<(&'static FulcioExtension, String)>,
}

#[derive(Clone, Debug)]
enum Wanted {
    Identity { identity: Match, issuer: Match },
    AnyIdentity,
    Key(Box<PublicKey>),
}

/// A text that is wanted, exactly or by pattern.
#[derive(Clone, Debug)]
pub enum Match {
    /// This text.
    Exact(String),
    /// Any text of this form.
    Pattern(Pattern),
}

/// A regular expression that must match the whole text.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Box<regex_lite::Regex>,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a regular expression that can be used: {reason}")]
pub struct PatternError {
    /// What is wrong with it.
    pub reason: String,
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
}

impl Policy {
    /// This identity, as this issuer knows it.
    #[must_use]
    pub fn identity(identity: impl Into<String>, issuer: impl Into<String>) -> Self {
        Self::matching(Match::Exact(identity.into()), Match::Exact(issuer.into()))
    }

    /// Any identity of this form, as any issuer of this form knows it.
    #[must_use]
    pub const fn matching(identity: Match, issuer: Match) -> Self {
        Self::of(Wanted::Identity { identity, issuer })
    }

    /// This key.
    #[must_use]
    pub fn key(key: PublicKey) -> Self {
        Self::of(Wanted::Key(Box::new(key)))
    }

    /// Anybody at all: the answer says who signed, and nothing says whether that is good.
    #[must_use]
    pub const fn any_identity_unsafe() -> Self {
        Self::of(Wanted::AnyIdentity)
    }

    const fn of(wanted: Wanted) -> Self {
        Self { wanted, extensions: Vec::new() }
    }

    /// Wants a certificate extension to have this value, too. Keys have no extensions, so a key's policy
    /// with one is met by nothing.
    #[must_use]
    pub fn with_extension(mut self, extension: &'static FulcioExtension, value: impl Into<String>) -> Self {
        self.extensions.push((extension, value.into()));
        self
    }

    /// The key, if one is wanted.
    #[must_use]
    pub fn required_key(&self) -> Option<&PublicKey> {
        match &self.wanted {
            Wanted::Key(key) => Some(key),
            Wanted::Identity { .. } | Wanted::AnyIdentity => None,
        }
    }

    /// Matches a signer; a key was already chosen by [`Policy::required_key`].
    pub(crate) fn matches(&self, signer: Option<&Signer>) -> Result<Matched, PolicyError> {
        if let Wanted::Identity { identity, issuer } = &self.wanted {
            let signer = signer.ok_or(PolicyError::NotOneIdentity { found: 0 })?;
            if !identity.matches(&signer.identity) {
                let (expected, found) = (format!("{identity}"), signer.identity.clone());
                return Err(PolicyError::Identity { expected, found });
            }
            if !issuer.matches(&signer.oidc_issuer) {
                let (expected, found) = (format!("{issuer}"), signer.oidc_issuer.clone());
                return Err(PolicyError::Issuer { expected, found });
            }
        }
        for (extension, expected) in &self.extensions {
            let found =
                signer.map(|signer| signer.certificate.fulcio().get(extension.number).unwrap_or_default());
            if found != Some(expected.as_str()) {
                let (expected, found) = (expected.clone(), String::from(found.unwrap_or_default()));
                return Err(PolicyError::Extension { name: extension.name, expected, found });
            }
        }
        Ok(Matched(()))
    }
}

/// That the policy was asked and agreed.
pub(crate) struct Matched(());

/// Who a certificate is for.
pub(crate) struct Signer {
    pub(crate) identity: String,
    pub(crate) oidc_issuer: String,
    pub(crate) certificate: Certificate,
}

impl Signer {
    /// Reads the one name and the issuer.
    pub(crate) fn of(certificate: &Certificate) -> Result<Self, PolicyError> {
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
        Ok(Self { identity: one.clone(), oidc_issuer: issuer.into(), certificate: certificate.clone() })
    }
}

impl Match {
    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(wanted) => wanted == text,
            Self::Pattern(pattern) => pattern.matches(text),
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(text),
            Self::Pattern(pattern) => write!(f, "/{}/", pattern.text),
        }
    }
}

impl Pattern {
    /// A pattern for whole texts: `a.*` does not match `ba`. Unanchored patterns accept whatever an
    /// attacker puts before or after a good name.
    ///
    /// # Errors
    /// When it is not a regular expression, or a costly one.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.len() > PATTERN_TEXT_LIMIT {
            return Err(PatternError { reason: format!("it is longer than {PATTERN_TEXT_LIMIT} bytes") });
        }
        let compile = |text: &str| {
            let mut builder = regex_lite::RegexBuilder::new(text);
            let regex = builder.size_limit(PATTERN_SIZE_LIMIT).build();
            regex.map_err(|error| PatternError { reason: format!("{error}") })
        };
        // On its own first: `a)|(b` is no expression, but would be one between the anchors' brackets.
        compile(text)?;
        let regex = Box::new(compile(&format!(r"\A(?:{text})\z"))?);
        Ok(Self { text: text.into(), regex })
    }

    /// Whether the whole text is of this form.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        let pattern = Pattern::new(r"https://github\.com/org/.*|.*@example\.com").unwrap();
        assert!(pattern.matches("https://github.com/org/x"));
        assert!(pattern.matches("a@example.com"));
        for bad in
            ["xhttps://github.com/org/x", "a@example.com.evil", "https://githubxcom/org/", "a@example.com\n"]
        {
            assert!(!pattern.matches(bad), "{bad}");
        }
        let lines = Pattern::new(r"(?m)^a$").unwrap();
        assert!(lines.matches("a") && !lines.matches("a\nb"));
    }

    #[test]
    fn a_pattern_cannot_break_out_of_its_anchors() {
        for bad in ["a)|(b", "(", "(?x) a # b", r"a{100000}"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
        assert!(Pattern::new(&"a".repeat(PATTERN_TEXT_LIMIT + 1)).is_err());
    }
}
