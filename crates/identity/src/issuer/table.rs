//! A rule as an operator writes it, and everything that can be wrong with it before a token comes.

use super::{Asking, CiProvider, IssuerKind, IssuerRule, MAX_URL_BYTES, RuleError};
use crate::{
    preset::{Build, Kind, Preset},
    template::Template,
    uri::{Uri, same_site},
};
use alloc::{
    borrow::ToOwned as _,
    collections::{BTreeMap, BTreeSet},
    string::String,
    vec::Vec,
};
use sealog_pki::{
    Certificate, FulcioExtension,
    fulcio_extensions::{ISSUER, ISSUER_V2, TOKEN_SUBJECT},
};
use serde::Deserialize;

/// A rule as it is written; what a preset says is filled in first.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    #[serde(default)]
    issuer: String,
    #[serde(default, rename = "type")]
    kind: TypeName,
    audience: Option<String>,
    #[serde(default)]
    private_addresses: bool,
    #[serde(default)]
    ca_certificates: String,
    bearer_token_file: Option<String>,
    /// The preset's, where its issuer is not named: never written.
    #[serde(skip)]
    also: &'static [&'static str],
    #[serde(default)]
    claims: BTreeMap<String, String>,
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

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TypeName {
    /// Neither the rule nor a preset says it.
    #[default]
    #[serde(skip)]
    Unsaid,
    Email,
    Uri,
    Username,
    Spiffe,
    Kubernetes,
    ChainguardIdentity,
    CiProvider,
}

impl TypeName {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Unsaid => "unsaid",
            Self::Email => "email",
            Self::Uri => "uri",
            Self::Username => "username",
            Self::Spiffe => "spiffe",
            Self::Kubernetes => "kubernetes",
            Self::ChainguardIdentity => "chainguard-identity",
            Self::CiProvider => "ci-provider",
        }
    }

    const fn of(preset: &Kind) -> Self {
        match preset {
            Kind::Email { .. } => Self::Email,
            Kind::Chainguard => Self::ChainguardIdentity,
            Kind::Kubernetes => Self::Kubernetes,
            Kind::Build(_) => Self::CiProvider,
        }
    }
}

impl TryFrom<Table> for IssuerRule {
    type Error = RuleError;

    fn try_from(mut table: Table) -> Result<Self, RuleError> {
        table.fill_in()?;
        table.check_issuer()?;
        table.check_settings()?;
        if table.audience.as_deref() == Some("") {
            return Err(table.value("audience", "a name", ""));
        }
        if let Some((name, _)) = table.claims.iter().find(|(name, value)| name.is_empty() || value.is_empty())
        {
            return Err(table.value("claims", "a value for each that is not empty", name));
        }
        let kind = match table.kind {
            TypeName::Unsaid => return Err(RuleError::Incomplete { issuer: table.issuer, setting: "type" }),
            TypeName::Email => IssuerKind::Email {
                issuer_claim: table.issuer_claim()?,
                skip_email_verification: table.skip_email_verification.unwrap_or(false),
            },
            TypeName::Uri => IssuerKind::Uri { subject_domain: table.uri_domain()? },
            TypeName::Username => IssuerKind::Username { subject_domain: table.username_domain()? },
            TypeName::Spiffe => IssuerKind::Spiffe { trust_domain: table.trust_domain()? },
            TypeName::Kubernetes => IssuerKind::Kubernetes,
            TypeName::ChainguardIdentity => IssuerKind::ChainguardIdentity,
            TypeName::CiProvider => IssuerKind::CiProvider(table.ci_provider()?),
        };
        let asking = table.asking()?;
        let Table { issuer, also, audience, claims: required, .. } = table;
        Ok(Self { issuer, also, audience, required, kind, asking })
    }
}

impl Table {
    /// What the preset says and the rule does not.
    fn fill_in(&mut self) -> Result<(), RuleError> {
        if let Some(row) = self.preset.map(Preset::row) {
            let kind = TypeName::of(&row.kind);
            if ![TypeName::Unsaid, kind].contains(&self.kind) {
                return Err(self.value("type", "the preset's, or left out", self.kind.as_str()));
            }
            self.kind = kind;
            if self.issuer.is_empty() {
                row.issuer.clone_into(&mut self.issuer);
                self.also = row.also;
            }
            if let (Kind::Email { issuer_claim: Some(path) }, None) = (&row.kind, &self.issuer_claim) {
                self.issuer_claim = Some((*path).to_owned());
            }
        }
        match (self.issuer.as_str(), self.kind) {
            ("", _) => Err(RuleError::Incomplete { issuer: String::new(), setting: "issuer" }),
            (_, TypeName::Unsaid) => {
                Err(RuleError::Incomplete { issuer: self.issuer.clone(), setting: "type" })
            }
            _ => Ok(()),
        }
    }

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
            use TypeName::{ChainguardIdentity, CiProvider, Kubernetes};
            let carries_issuer = matches!(self.kind, Kubernetes | CiProvider | ChainguardIdentity);
            if in_domain || !carries_issuer {
                return Err(RuleError::Wildcard { issuer: text.clone(), kind: self.kind.as_str() });
            }
        }
        Ok(())
    }

    fn asking(&self) -> Result<Asking, RuleError> {
        let pem = &self.ca_certificates;
        if !pem.is_empty() && !Certificate::chain_from_pem(pem).is_ok_and(|all| !all.is_empty()) {
            let found: String = pem.chars().take(40).collect();
            return Err(self.value("ca_certificates", "certificates in PEM", &found));
        }
        if let (Some(_), false) = (&self.bearer_token_file, self.issuer.starts_with("https://")) {
            return Err(self.value("bearer_token_file", "for an https issuer", &self.issuer));
        }
        Ok(Asking {
            private_addresses: self.private_addresses,
            ca_certificates: pem.clone(),
            bearer_token_file: self.bearer_token_file.clone(),
        })
    }

    /// A setting of another type is a misunderstanding: it would look as if it had an effect.
    fn check_settings(&self) -> Result<(), RuleError> {
        use TypeName::{CiProvider, Email, Spiffe, Uri, Username};
        let settings: [(&'static str, bool, &[TypeName]); 9] = [
            ("issuer_claim", self.issuer_claim.is_some(), &[Email]),
            ("skip_email_verification", self.skip_email_verification.is_some(), &[Email]),
            ("subject_domain", self.subject_domain.is_some(), &[Uri, Username]),
            ("spiffe_trust_domain", self.spiffe_trust_domain.is_some(), &[Spiffe]),
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
        let mut ci = match self.preset.map(|preset| (preset, preset.row().kind)) {
            Some((preset, Kind::Build(build))) => self.by_preset(preset, build)?,
            _ => self.by_templates()?,
        };
        ci.prefix = self.fixed_prefix(&ci)?;
        Ok(ci)
    }

    /// A preset's templates with this instance's constants: a build system run by oneself differs from
    /// the public one by its URL alone.
    fn by_preset(&self, preset: Preset, data: &Build) -> Result<CiProvider, RuleError> {
        let foreign = [
            ("optional", self.optional.is_some()),
            ("subject_alternative_name", self.subject_alternative_name.is_some()),
            ("extensions", self.extensions.is_some()),
        ];
        if let Some((setting, _)) = foreign.iter().find(|(_, set)| *set) {
            return Err(RuleError::Foreign { issuer: self.issuer.clone(), kind: preset.name(), setting });
        }
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
        // One that would be passed over looks as if it had an effect.
        if let Some(wrong) = setting.as_ref().filter(|prefix| !fixes_host(prefix)) {
            let expected = "a scheme, a host and a slash, and perhaps more";
            return Err(self.value("subject_alternative_name_prefix", expected, wrong));
        }
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
