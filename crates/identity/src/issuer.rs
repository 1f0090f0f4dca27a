//! Issuer rules: whose tokens are believed, and about what. An operator writes them as TOML tables.
//!
//! Spec: sigstore/fulcio docs/oidc.md and `pkg/config`. A rule that parsed is sound: everything that
//! can be known to be wrong without a token is refused when the configuration is read. Stricter than
//! Fulcio on purpose: constants of a template cannot be replaced by claims, the scheme and host of a
//! name are fixed by the operator, and only names that carry their issuer (`kubernetes`,
//! `ci-provider`) may come from a wildcard, since one such rule believes issuers not yet born.
//!
//! ```toml
//! [[ca.issuers]]
//! issuer = "https://accounts.example.com"
//! type = "email"
//!
//! [[ca.issuers]]
//! issuer = "https://token.actions.githubusercontent.com"
//! type = "ci-provider"
//! preset = "github-actions"
//! ```

use crate::{
    preset::Preset,
    template::{Template, TemplateError},
    uri::{Uri, same_site},
};
use alloc::{
    borrow::ToOwned as _,
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use sealog_pki::{
    FulcioExtension,
    fulcio_extensions::{ISSUER, ISSUER_V2, TOKEN_SUBJECT},
};
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

/// One issuer, or a family of them, and how its tokens become names.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Table")]
pub struct IssuerRule {
    issuer: String,
    audience: Option<String>,
    kind: IssuerKind,
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
        match rules.iter().find(|rule| !seen.insert(rule.issuer.as_str())) {
            Some(again) => Err(RuleError::Twice(again.issuer.clone())),
            None => Ok(Self(rules)),
        }
    }
}

impl IssuerRules {
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

/// A rule as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    issuer: String,
    #[serde(rename = "type")]
    kind: TypeName,
    audience: Option<String>,
    issuer_claim: Option<String>,
    skip_email_verification: Option<bool>,
    subject_domain: Option<String>,
    spiffe_trust_domain: Option<String>,
    preset: Option<Preset>,
    constants: Option<BTreeMap<String, String>>,
    optional: Option<BTreeSet<String>>,
    subject_alternative_name: Option<String>,
    subject_alternative_name_prefix: Option<String>,
    extensions: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TypeName {
    Email,
    Uri,
    Username,
    Spiffe,
    Kubernetes,
    CiProvider,
}

impl TypeName {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Uri => "uri",
            Self::Username => "username",
            Self::Spiffe => "spiffe",
            Self::Kubernetes => "kubernetes",
            Self::CiProvider => "ci-provider",
        }
    }
}

impl TryFrom<Table> for IssuerRule {
    type Error = RuleError;

    fn try_from(table: Table) -> Result<Self, RuleError> {
        table.check_issuer()?;
        table.check_settings()?;
        if table.audience.as_deref() == Some("") {
            return Err(table.value("audience", "a name", ""));
        }
        let kind = match table.kind {
            TypeName::Email => IssuerKind::Email {
                issuer_claim: table.issuer_claim()?,
                skip_email_verification: table.skip_email_verification.unwrap_or(false),
            },
            TypeName::Uri => IssuerKind::Uri { subject_domain: table.uri_domain()? },
            TypeName::Username => IssuerKind::Username { subject_domain: table.username_domain()? },
            TypeName::Spiffe => IssuerKind::Spiffe { trust_domain: table.trust_domain()? },
            TypeName::Kubernetes => IssuerKind::Kubernetes,
            TypeName::CiProvider => IssuerKind::CiProvider(table.ci_provider()?),
        };
        Ok(Self { issuer: table.issuer, audience: table.audience, kind })
    }
}

impl Table {
    fn check_issuer(&self) -> Result<(), RuleError> {
        let text = &self.issuer;
        let uri = Uri::parse(text)
            .filter(|uri| text.len() <= MAX_URL_BYTES && text.is_ascii() && !uri.rest.contains(['?', '#']))
            .ok_or_else(|| RuleError::NotAUrl(text.clone()))?;
        if !uri.is_confidential() {
            return Err(RuleError::Unprotected(text.clone()));
        }
        if text.contains('*') {
            // Anyone can have a name right under a public suffix.
            let in_domain = uri.host().rsplit('.').take(2).any(|label| label.contains('*'));
            let carries_issuer = matches!(self.kind, TypeName::Kubernetes | TypeName::CiProvider);
            if in_domain || !carries_issuer {
                return Err(RuleError::Wildcard { issuer: text.clone(), kind: self.kind.as_str() });
            }
        }
        Ok(())
    }

    /// A setting of another type is a misunderstanding: it would look as if it had an effect.
    fn check_settings(&self) -> Result<(), RuleError> {
        use TypeName::{CiProvider, Email, Spiffe, Uri, Username};
        let settings: [(&'static str, bool, &[TypeName]); 10] = [
            ("issuer_claim", self.issuer_claim.is_some(), &[Email]),
            ("skip_email_verification", self.skip_email_verification.is_some(), &[Email]),
            ("subject_domain", self.subject_domain.is_some(), &[Uri, Username]),
            ("spiffe_trust_domain", self.spiffe_trust_domain.is_some(), &[Spiffe]),
            ("preset", self.preset.is_some(), &[CiProvider]),
            ("constants", self.constants.is_some(), &[CiProvider]),
            ("optional", self.optional.is_some(), &[CiProvider]),
            ("subject_alternative_name", self.subject_alternative_name.is_some(), &[CiProvider]),
            (
                "subject_alternative_name_prefix",
                self.subject_alternative_name_prefix.is_some(),
                &[CiProvider],
            ),
            ("extensions", self.extensions.is_some(), &[CiProvider]),
        ];
        match settings.iter().find(|(_, set, kinds)| *set && !kinds.contains(&self.kind)) {
            Some((setting, ..)) => Err(self.foreign(setting)),
            None => Ok(()),
        }
    }

    /// `$.a.b`: the part of JSONPath that points at one member.
    fn issuer_claim(&self) -> Result<Option<Vec<String>>, RuleError> {
        let Some(path) = &self.issuer_claim else { return Ok(None) };
        let names: Option<Vec<_>> = path.strip_prefix("$.").map(|rest| rest.split('.').collect());
        let word = |name: &&str| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        };
        match names {
            Some(names) if names.iter().all(word) => Ok(Some(names.into_iter().map(str::to_owned).collect())),
            _ => Err(self.value("issuer_claim", "a path such as $.federated_claims.connector_id", path)),
        }
    }

    fn uri_domain(&self) -> Result<String, RuleError> {
        let domain = self.subject_domain.as_ref().ok_or_else(|| self.needs("subject_domain"))?;
        let issuer = Uri::parse(&self.issuer).ok_or_else(|| RuleError::NotAUrl(self.issuer.clone()))?;
        let good = Uri::parse(domain).filter(|uri| {
            uri.rest.is_empty()
                && !uri.authority.contains('*')
                && uri.scheme == issuer.scheme
                && same_site(uri.host(), issuer.host())
        });
        let expected = "a scheme and host like the issuer's (same scheme, same last two labels)";
        good.map(|_| domain.clone()).ok_or_else(|| self.value("subject_domain", expected, domain))
    }

    fn username_domain(&self) -> Result<String, RuleError> {
        let domain = self.subject_domain.as_ref().ok_or_else(|| self.needs("subject_domain"))?;
        let issuer = Uri::parse(&self.issuer).ok_or_else(|| RuleError::NotAUrl(self.issuer.clone()))?;
        let bare = domain.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
        let expected = "a bare host name with the issuer's last two labels";
        match bare && same_site(domain, issuer.host()) {
            true => Ok(domain.clone()),
            false => Err(self.value("subject_domain", expected, domain)),
        }
    }

    fn trust_domain(&self) -> Result<String, RuleError> {
        let domain = self.spiffe_trust_domain.as_ref().ok_or_else(|| self.needs("spiffe_trust_domain"))?;
        match crate::principal::is_trust_domain(domain) {
            true => Ok(domain.clone()),
            false => Err(self.value("spiffe_trust_domain", "a SPIFFE trust domain", domain)),
        }
    }

    fn ci_provider(&self) -> Result<CiProvider, RuleError> {
        let mut ci = match self.preset {
            Some(preset) => self.by_preset(preset)?,
            None => self.by_templates()?,
        };
        ci.prefix = self.fixed_prefix(&ci)?;
        Ok(ci)
    }

    /// A preset's templates with this instance's constants: a build system run by oneself differs from
    /// the public one by its URL alone.
    fn by_preset(&self, preset: Preset) -> Result<CiProvider, RuleError> {
        let foreign = [
            ("optional", self.optional.is_some()),
            ("subject_alternative_name", self.subject_alternative_name.is_some()),
            ("extensions", self.extensions.is_some()),
        ];
        if let Some((setting, _)) = foreign.iter().find(|(_, set)| *set) {
            return Err(RuleError::Foreign { issuer: self.issuer.clone(), kind: preset.name(), setting });
        }
        let data = preset.data();
        let own = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let mut constants = own(data.constants);
        for (name, value) in self.constants.iter().flatten() {
            match constants.get_mut(name) {
                Some(place) => place.clone_from(value),
                None => return Err(self.value("constants", "one of the preset's", name)),
            }
        }
        let optional = data.optional.iter().map(|name| (*name).to_owned()).collect();
        self.assemble(constants, optional, data.subject_alternative_name, &own(data.extensions))
    }

    fn by_templates(&self) -> Result<CiProvider, RuleError> {
        let name = self.subject_alternative_name.as_ref();
        let name = name.ok_or_else(|| self.needs("subject_alternative_name"))?;
        let extensions = self.extensions.clone().unwrap_or_default();
        let constants = self.constants.clone().unwrap_or_default();
        self.assemble(constants, self.optional.clone().unwrap_or_default(), name, &extensions)
    }

    fn assemble(
        &self,
        constants: BTreeMap<String, String>,
        optional: BTreeSet<String>,
        name: &str,
        extensions: &BTreeMap<String, String>,
    ) -> Result<CiProvider, RuleError> {
        if let Some((empty, _)) = constants.iter().find(|(_, value)| value.is_empty()) {
            return Err(self.value("constants", "not empty (list it as optional instead)", empty));
        }
        if let Some(both) = optional.iter().find(|name| constants.contains_key(*name)) {
            return Err(self.value("optional", "claims that are no constants", both));
        }
        let parse = |name: &str, text: &str| {
            Template::parse(text).map_err(|error| RuleError::Template {
                issuer: self.issuer.clone(),
                name: name.to_owned(),
                error,
            })
        };
        let mut rows: Vec<(&'static FulcioExtension, Template)> = Vec::new();
        for (name, text) in extensions {
            let wrong = || RuleError::Extension { issuer: self.issuer.clone(), name: name.clone() };
            let row = FulcioExtension::by_name(name).ok_or_else(wrong)?;
            let from_token = [ISSUER, ISSUER_V2, TOKEN_SUBJECT].contains(&row.number);
            // Both spellings of one name are two templates for one extension.
            if from_token || rows.iter().any(|(other, _)| other.number == row.number) {
                return Err(wrong());
            }
            rows.push((row, parse(name, text)?));
        }
        Ok(CiProvider {
            constants,
            optional,
            subject_alternative_name: parse("subject_alternative_name", name)?,
            prefix: String::new(),
            extensions: rows,
        })
    }

    /// What every name begins with, whatever a token says.
    fn fixed_prefix(&self, ci: &CiProvider) -> Result<String, RuleError> {
        let fixed =
            ci.subject_alternative_name.fixed_prefix(|name| ci.constants.get(name).map(String::as_str));
        let setting = self.subject_alternative_name_prefix.clone();
        // A preset whose names carry their host in a claim is held to the instance's URL.
        let from_url = self.preset.and(ci.constants.get("url")).map(|url| alloc::format!("{url}/"));
        let prefix = [setting, Some(fixed), from_url].into_iter().flatten().find(|p| fixes_host(p));
        prefix.ok_or_else(|| RuleError::OpenHost { issuer: self.issuer.clone() })
    }

    fn needs(&self, setting: &'static str) -> RuleError {
        RuleError::Needs { issuer: self.issuer.clone(), kind: self.kind.as_str(), setting }
    }

    fn foreign(&self, setting: &'static str) -> RuleError {
        RuleError::Foreign { issuer: self.issuer.clone(), kind: self.kind.as_str(), setting }
    }

    fn value(&self, setting: &'static str, expected: &'static str, found: &str) -> RuleError {
        RuleError::Value { issuer: self.issuer.clone(), setting, expected, found: found.to_owned() }
    }
}

/// Scheme, host, and the slash that ends the host.
fn fixes_host(prefix: &str) -> bool {
    Uri::parse(prefix).is_some_and(|uri| uri.rest.starts_with('/') && !uri.authority.contains('*'))
}

#[cfg(test)]
mod tests;
