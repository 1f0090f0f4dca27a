//! Issuer rules: whose tokens are believed, and about what. An operator writes them as TOML tables.
//!
//! Spec: sigstore/fulcio docs/oidc.md and `pkg/config`. A rule that parsed is sound: everything that
//! can be known to be wrong without a token is refused when the configuration is read. Stricter than
//! Fulcio on purpose: constants of a template cannot be replaced by claims, the scheme and host of a
//! name are fixed by the operator, and only names that carry their issuer (`kubernetes`,
//! `ci-provider`, `chainguard-identity`) may come from a wildcard, since one such rule believes issuers not yet born.
//!
//! ```toml
//! [[ca.issuers]]
//! issuer = "https://accounts.example.com"
//! type = "email"
//!
//! [[ca.issuers]]
//! preset = "github-actions"
//! ```

mod table;

use crate::template::{Template, TemplateError};
use alloc::{
    borrow::ToOwned as _,
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use sealog_pki::FulcioExtension;
use serde::Deserialize;

/// An issuer URL longer than this is a mistake.
const MAX_URL_BYTES: usize = 2048;

/// Why a rule is unsound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Not a URL that tokens could name as their issuer.
    #[error("the issuer {0:?} is not a URL without query and fragment")]
    NotAUrl(String),
    /// Anyone on the way could give it other keys.
    #[error("the issuer {0:?} is neither https nor on this machine")]
    Unprotected(String),
    /// Two rules for one issuer.
    #[error("the issuer {0:?} has two rules")]
    Twice(String),
    /// A wildcard where it would believe too much.
    #[error("the issuer {issuer:?} of type {kind} cannot have a wildcard there")]
    Wildcard {
        /// The issuer.
        issuer: String,
        /// Its type.
        kind: &'static str,
    },
    /// Neither the rule nor a preset says whom it is about, or of what type that is.
    #[error("a rule for an issuer needs {setting:?}, or a preset{}", of(issuer))]
    Incomplete {
        /// The issuer, if it is said.
        issuer: String,
        /// The setting.
        setting: &'static str,
    },
    /// A setting that this type needs.
    #[error("the issuer {issuer:?} of type {kind} needs {setting:?}")]
    Needs {
        /// The issuer.
        issuer: String,
        /// Its type.
        kind: &'static str,
        /// The setting.
        setting: &'static str,
    },
    /// A setting that means nothing for this type.
    #[error("the issuer {issuer:?} of type {kind} has no setting {setting:?}")]
    Foreign {
        /// The issuer.
        issuer: String,
        /// Its type.
        kind: &'static str,
        /// The setting.
        setting: &'static str,
    },
    /// A setting with an unusable value.
    #[error("{setting:?} of the issuer {issuer:?} must be {expected}, not {found:?}")]
    Value {
        /// The issuer.
        issuer: String,
        /// The setting.
        setting: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A template that cannot be read.
    #[error("the template {name:?} of the issuer {issuer:?} cannot be read: {error}")]
    Template {
        /// The issuer.
        issuer: String,
        /// Which template.
        name: String,
        /// What is wrong.
        error: TemplateError,
    },
    /// An extension that is not in the table, or that always comes from the token itself.
    #[error("the issuer {issuer:?} cannot set the certificate extension {name:?}")]
    Extension {
        /// The issuer.
        issuer: String,
        /// The name it gives.
        name: String,
    },
    /// A token could choose the host of the name.
    #[error(
        "the names of the issuer {issuer:?} do not begin with a fixed scheme and host: \
         set \"subject_alternative_name_prefix\""
    )]
    OpenHost {
        /// The issuer.
        issuer: String,
    },
}

fn of(issuer: &str) -> String {
    match issuer {
        "" => String::new(),
        issuer => alloc::format!(" ({issuer})"),
    }
}

/// One issuer, or a family of them, and how its tokens become names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "table::Table")]
pub struct IssuerRule {
    issuer: String,
    /// Other issuers of the same provider, for which [`IssuerRules`] has rules as well.
    also: &'static [&'static str],
    audience: Option<String>,
    /// Claims that a token must have, with these values.
    required: BTreeMap<String, String>,
    kind: IssuerKind,
    asking: Asking,
}

/// How an issuer is asked for its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// It, or the keys it points at, may be within a private network.
    pub private_addresses: bool,
    /// Certificates (PEM) that may vouch for it beside those the machine trusts; empty for none.
    pub ca_certificates: String,
    /// A file whose content it wants to see as a bearer token.
    pub bearer_token_file: Option<String>,
}

/// How tokens become names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerKind {
    /// A verified address.
    Email {
        /// The claim, by its path, that names the provider behind this one (`federated_claims`,
        /// `connector_id`); it becomes the issuer in the certificate.
        issuer_claim: Option<Vec<String>>,
        /// Believe addresses that the issuer does not say it verified.
        skip_email_verification: bool,
    },
    /// The subject is a URI under this scheme and host.
    Uri {
        /// `https://example.com`
        subject_domain: String,
    },
    /// The subject is a username within this domain.
    Username {
        /// `example.com`
        subject_domain: String,
    },
    /// The subject is a SPIFFE id within this trust domain.
    Spiffe {
        /// `example.org`
        trust_domain: String,
    },
    /// A Kubernetes service account.
    Kubernetes,
    /// The subject under the issuer's own URL.
    ChainguardIdentity,
    /// A build system: names and extensions by templates.
    CiProvider(CiProvider),
}

/// Templates of a build system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiProvider {
    /// Values that templates use and no claim replaces.
    pub(crate) constants: BTreeMap<String, String>,
    /// Claims that may be missing, null or empty, and then count as empty.
    pub(crate) optional: BTreeSet<String>,
    pub(crate) subject_alternative_name: Template,
    /// Every name begins with this: at least a scheme, a host and a slash.
    pub(crate) prefix: String,
    pub(crate) extensions: Vec<(&'static FulcioExtension, Template)>,
}

impl IssuerRule {
    /// The issuer, or the pattern of issuers: `*` stands for letters, digits, `-` and `_`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whether it is a pattern.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.issuer.contains('*')
    }

    /// For whom tokens must be, where this issuer's differ from the service's.
    #[must_use]
    pub fn audience(&self) -> Option<&str> {
        self.audience.as_deref()
    }

    /// How it is asked for its keys.
    #[must_use]
    pub const fn asking(&self) -> &Asking {
        &self.asking
    }

    /// How tokens become names.
    #[must_use]
    pub const fn kind(&self) -> &IssuerKind {
        &self.kind
    }

    /// The type as it is written in configurations.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self.kind {
            IssuerKind::Email { .. } => "email",
            IssuerKind::Uri { .. } => "uri",
            IssuerKind::Username { .. } => "username",
            IssuerKind::Spiffe { .. } => "spiffe",
            IssuerKind::Kubernetes => "kubernetes",
            IssuerKind::ChainguardIdentity => "chainguard-identity",
            IssuerKind::CiProvider(_) => "ci-provider",
        }
    }

    /// The claim whose text a client signs to prove that it holds the key.
    #[must_use]
    pub const fn challenge_claim(&self) -> &'static str {
        match self.kind {
            IssuerKind::Email { .. } => "email",
            _ => "sub",
        }
    }

    /// The domain of a `uri` or `username` issuer.
    #[must_use]
    pub fn subject_domain(&self) -> Option<&str> {
        match &self.kind {
            IssuerKind::Uri { subject_domain } | IssuerKind::Username { subject_domain } => {
                Some(subject_domain)
            }
            _ => None,
        }
    }

    /// The trust domain of a `spiffe` issuer.
    #[must_use]
    pub fn spiffe_trust_domain(&self) -> Option<&str> {
        match &self.kind {
            IssuerKind::Spiffe { trust_domain } => Some(trust_domain),
            _ => None,
        }
    }

    /// Whether addresses are believed that the issuer does not say it verified.
    #[must_use]
    pub const fn skips_email_verification(&self) -> bool {
        matches!(self.kind, IssuerKind::Email { skip_email_verification: true, .. })
    }

    /// Claims that a token must have, and their values.
    #[must_use]
    pub const fn required(&self) -> &BTreeMap<String, String> {
        &self.required
    }

    /// Whether this rule makes the same of every token that the other takes; it may let more be missing.
    #[must_use]
    pub fn makes_the_same_as(&self, other: &Self) -> bool {
        let kinds = match (&self.kind, &other.kind) {
            (IssuerKind::CiProvider(one), IssuerKind::CiProvider(two)) => {
                let optional = one.optional.clone();
                one.optional.is_superset(&two.optional) && *one == CiProvider { optional, ..two.clone() }
            }
            (one, two) => one == two,
        };
        let of = |rule: &Self| {
            (rule.issuer.clone(), rule.audience.clone(), rule.required.clone(), rule.asking.clone())
        };
        kinds && of(self) == of(other)
    }

    /// Whether this rule is about that issuer.
    #[must_use]
    pub fn matches(&self, issuer: &str) -> bool {
        matches_wildcard(&self.issuer, issuer)
    }
}

/// The rules of one authority, each issuer at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<IssuerRule>")]
pub struct IssuerRules(Vec<IssuerRule>);

impl TryFrom<Vec<IssuerRule>> for IssuerRules {
    type Error = RuleError;

    fn try_from(rules: Vec<IssuerRule>) -> Result<Self, RuleError> {
        let mut seen = BTreeSet::new();
        if let Some(again) = rules.iter().find(|rule| !seen.insert(rule.issuer.clone())) {
            return Err(RuleError::Twice(again.issuer.clone()));
        }
        let mut all = Vec::new();
        for rule in rules {
            // What the operator says of one of a preset's issuers goes before what the preset says of all.
            let also = rule.also.iter().filter(|issuer| seen.insert((**issuer).to_owned()));
            let also: Vec<_> = also.map(|issuer| Self::for_another(&rule, issuer)).collect();
            all.push(rule);
            all.extend(also);
        }
        Ok(Self(all))
    }
}

impl IssuerRules {
    fn for_another(rule: &IssuerRule, issuer: &str) -> IssuerRule {
        IssuerRule { issuer: issuer.to_owned(), also: &[], ..rule.clone() }
    }

    /// The rule for an issuer: one that names it, else the first pattern that fits.
    #[must_use]
    pub fn find(&self, issuer: &str) -> Option<&IssuerRule> {
        let named = self.0.iter().find(|rule| rule.issuer == issuer && !rule.is_wildcard());
        named.or_else(|| self.0.iter().find(|rule| rule.is_wildcard() && rule.matches(issuer)))
    }

    /// All of them, in the configuration's order.
    pub fn iter(&self) -> impl Iterator<Item = &IssuerRule> {
        self.0.iter()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Fulcio's rule: `*` is one or more of `[-_a-zA-Z0-9]`, everything else is itself, from end to end.
///
/// The text comes from a token nobody verified yet: the work is its length times the pattern's.
fn matches_wildcard(pattern: &str, text: &str) -> bool {
    if text.len() > MAX_URL_BYTES {
        return false;
    }
    let stands_for = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    // Whether the pattern so far can have eaten exactly this many bytes.
    let mut reached = alloc::vec![false; text.len() + 1];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for wanted in pattern.bytes() {
        let mut next = alloc::vec![false];
        for (found, before) in text.bytes().zip(reached) {
            let longer = wanted == b'*' && stands_for(found) && next.last() == Some(&true);
            let here = if wanted == b'*' { stands_for(found) } else { wanted == found };
            next.push(longer || (here && before));
        }
        reached = next;
    }
    reached.last() == Some(&true)
}

#[cfg(test)]
mod tests;
