//! Fulcio's configuration carried over: its YAML or JSON in, `[[ca.issuers]]` tables out, and what could not be carried.
//!
//! Spec: sigstore/fulcio `pkg/config`. What comes out is written as an operator would write it, by a preset where one says
//! the same. Every table was read back as a rule before it is given out, so what is printed is what `sealogd` accepts.
//!
//! Two things are not what they were, on purpose. A default of a template that is not empty becomes a constant: no claim
//! replaces it. And where a claim has the whole name, host included, the host is held to the issuer's own.

use sealog_identity::{IssuerRule, preset::Preset};
use sealog_pki::FulcioExtension;
use serde::Deserialize;
use serde_yaml_ng::Value;
use std::{collections::BTreeMap, fmt::Write as _};
use url::Url;

/// A longer file is not a configuration.
pub const MAX_FILE: u64 = 1024 * 1024;
/// The audience that needs not be said.
const AUDIENCE: &str = super::trust_token::AUDIENCE;

/// What came of a configuration.
#[derive(Debug)]
pub struct Imported {
    /// The tables, as TOML with comments.
    pub tables: String,
    /// What is not as it was, a line each.
    pub notes: Vec<String>,
    /// Issuers that have no table, with the reason.
    pub left_out: Vec<String>,
}

/// Not a configuration of Fulcio's.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not YAML or JSON of this shape.
    #[error("not a configuration of Fulcio's")]
    Shape(#[from] serde_yaml_ng::Error),
    /// No issuers in it.
    #[error("no issuers are in it (looked for `oidc-issuers`, `meta-issuers`, `OIDCIssuers`, `MetaIssuers`)")]
    Empty,
}

#[derive(Deserialize)]
struct Fulcio {
    #[serde(default, rename = "oidc-issuers", alias = "OIDCIssuers")]
    issuers: BTreeMap<String, Issuer>,
    #[serde(default, rename = "meta-issuers", alias = "MetaIssuers")]
    meta_issuers: BTreeMap<String, Issuer>,
    #[serde(default, rename = "ci-issuer-metadata", alias = "CIIssuerMetadata")]
    metadata: BTreeMap<String, Metadata>,
    /// Where anchors are defined.
    #[serde(default, rename = "define")]
    _define: Value,
    #[serde(flatten)]
    unknown: BTreeMap<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Issuer {
    #[serde(alias = "IssuerURL")]
    issuer_url: String,
    #[serde(alias = "ClientID")]
    client_id: String,
    #[serde(rename = "type", alias = "Type")]
    kind: String,
    #[serde(alias = "CIProvider")]
    ci_provider: String,
    #[serde(alias = "IssuerClaim")]
    issuer_claim: String,
    #[serde(alias = "SubjectDomain")]
    subject_domain: String,
    #[serde(rename = "spiffe-trust-domain", alias = "SPIFFETrustDomain")]
    trust_domain: String,
    #[serde(alias = "ChallengeClaim")]
    challenge_claim: String,
    #[serde(alias = "Description")]
    description: String,
    #[serde(alias = "Contact")]
    contact: String,
    #[serde(alias = "Environment")]
    environment: String,
    #[serde(rename = "ca-cert", alias = "CACert")]
    ca_certificate: String,
    #[serde(alias = "SkipEmailVerification")]
    skip_email_verification: bool,
    #[serde(flatten)]
    unknown: BTreeMap<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Metadata {
    #[serde(alias = "DefaultTemplateValues")]
    default_template_values: BTreeMap<String, String>,
    #[serde(alias = "ExtensionTemplates")]
    extension_templates: BTreeMap<String, String>,
    #[serde(alias = "SubjectAlternativeNameTemplate")]
    subject_alternative_name_template: String,
    #[serde(flatten)]
    unknown: BTreeMap<String, Value>,
}

/// Reads a configuration and writes the tables.
///
/// # Errors
/// See [`ImportError`]. An issuer that cannot be carried is no error: it is in [`Imported::left_out`].
pub fn import(text: &str) -> Result<Imported, ImportError> {
    let fulcio: Fulcio = serde_yaml_ng::from_str(text)?;
    if fulcio.issuers.is_empty() && fulcio.meta_issuers.is_empty() {
        return Err(ImportError::Empty);
    }
    let mut out = Imported { tables: String::new(), notes: Vec::new(), left_out: Vec::new() };
    for key in fulcio.unknown.keys() {
        out.notes.push(format!("{key}: not known here, and not carried"));
    }
    for (name, metadata) in &fulcio.metadata {
        for key in metadata.unknown.keys() {
            out.notes.push(format!("ci-issuer-metadata {name}: {key} is not known here, and not carried"));
        }
    }
    // Fulcio looks into the first list first; here an issuer has one rule.
    let (again, families): (Vec<_>, Vec<_>) =
        fulcio.meta_issuers.iter().partition(|(url, _)| fulcio.issuers.contains_key(*url));
    out.left_out.extend(again.iter().map(|(url, _)| format!("{url}: it is among oidc-issuers already")));
    for (url, issuer) in fulcio.issuers.iter().chain(families) {
        let mut notes = Vec::new();
        let written = issuer.written(url, &fulcio.metadata, &mut notes);
        issuer.comments(&mut out.tables);
        let notes = notes.into_iter().map(|note| format!("{url}: {note}"));
        match written {
            Ok(table) => {
                for note in notes {
                    comment(&mut out.tables, &note);
                    out.notes.push(note);
                }
                out.tables.push_str(&format!("[[ca.issuers]]\n{table}\n"));
            }
            Err(reason) => {
                let reason = format!("{url}: {reason}");
                comment(&mut out.tables, &format!("left out: {reason}"));
                out.tables.push('\n');
                out.left_out.push(reason);
            }
        }
    }
    Ok(out)
}

/// Lines that TOML passes over, whatever stands in them.
fn comment(out: &mut String, text: &str) {
    for line in text.lines() {
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        out.push_str(&format!("# {line}\n"));
    }
}

impl Issuer {
    fn comments(&self, out: &mut String) {
        let parts = [
            ("", &self.description),
            ("contact: ", &self.contact),
            ("only for the environment ", &self.environment),
        ];
        for (name, text) in parts.into_iter().filter(|(_, text)| !text.is_empty()) {
            comment(out, &format!("{name}{text}"));
        }
    }

    /// The settings of one issuer: by a preset where one says the same.
    fn written(
        &self,
        url: &str,
        metadata: &BTreeMap<String, Metadata>,
        notes: &mut Vec<String>,
    ) -> Result<String, String> {
        if !self.issuer_url.is_empty() && self.issuer_url != url {
            return Err(format!("its issuer-url is another ({})", self.issuer_url));
        }
        for key in self.unknown.keys() {
            notes.push(format!("{key} is not known here, and not carried"));
        }
        let table = match self.kind.as_str() {
            "ci-provider" => {
                let metadata = metadata.get(&self.ci_provider);
                let metadata = metadata
                    .ok_or_else(|| format!("there is no ci-issuer-metadata {:?}", self.ci_provider))?;
                metadata.written(&self.head(url, "ci-provider"), url, notes)?
            }
            // What Fulcio had in code before it had templates.
            "github-workflow" => self.by_preset(url, Preset::GithubActions, notes),
            "gitlab-pipeline" => self.by_preset(url, Preset::Gitlab, notes),
            "buildkite-job" => self.by_preset(url, Preset::Buildkite, notes),
            "codefresh-workflow" => self.by_preset(url, Preset::Codefresh, notes),
            kind => self.plain(url, kind),
        };
        let rule = read(&table)?;
        if !self.challenge_claim.is_empty() && self.challenge_claim != rule.challenge_claim() {
            notes.push(format!(
                "challenge-claim {:?} is not carried: clients prove themselves by {:?}",
                self.challenge_claim,
                rule.challenge_claim()
            ));
        }
        Ok(self.shortest(url, &rule).unwrap_or(table))
    }

    fn head(&self, url: &str, kind: &str) -> String {
        let audience = match self.client_id.as_str() {
            "" | AUDIENCE => String::new(),
            other => format!("audience = {}\n", quoted(other)),
        };
        format!("issuer = {}\ntype = {}\n{audience}{}", quoted(url), quoted(kind), self.authority())
    }

    /// The certificate that may vouch for the issuer.
    fn authority(&self) -> String {
        match self.ca_certificate.as_str() {
            "" => String::new(),
            pem => format!("ca_certificates = {}\n", quoted(pem)),
        }
    }

    fn plain(&self, url: &str, kind: &str) -> String {
        let mut table = self.head(url, kind);
        let settings = [
            ("issuer_claim", &self.issuer_claim),
            ("subject_domain", &self.subject_domain),
            ("spiffe_trust_domain", &self.trust_domain),
        ];
        for (name, value) in settings.into_iter().filter(|(_, value)| !value.is_empty()) {
            let _ = writeln!(table, "{name} = {}", quoted(value));
        }
        if self.skip_email_verification {
            table.push_str("skip_email_verification = true\n");
        }
        table
    }

    fn by_preset(&self, url: &str, preset: Preset, notes: &mut Vec<String>) -> String {
        notes.push(format!("{} is carried as the preset {}", self.kind, preset.name()));
        let mut table = self.head(url, "ci-provider") + &format!("preset = {}\n", quoted(preset.name()));
        if preset == Preset::Gitlab && url != preset.issuer() {
            let _ = writeln!(table, "constants = {{ url = {} }}", quoted(url.trim_end_matches('/')));
        }
        table
    }

    /// A preset that makes the same rule: the issuer's own, or for a build system one that only the address sets apart.
    fn shortest(&self, url: &str, rule: &IssuerRule) -> Option<String> {
        let origin = origin(url);
        let is_build = rule.type_name() == "ci-provider";
        let fitting = Preset::ALL.into_iter().filter(|preset| is_build || preset.issuer() == url);
        fitting.into_iter().find_map(|preset| {
            let mut table = format!("preset = {}\n", quoted(preset.name()));
            // A preset that is about more would believe more.
            if preset.issuer() != url || !preset.also().is_empty() {
                let _ = writeln!(table, "issuer = {}", quoted(url));
            }
            if !["", AUDIENCE].contains(&self.client_id.as_str()) {
                let _ = writeln!(table, "audience = {}", quoted(&self.client_id));
            }
            table.push_str(&self.authority());
            let here = |origin| format!("{table}constants = {{ url = {} }}\n", quoted(origin));
            let own = origin.as_deref().map(here);
            let same = |table: &String| read(table).is_ok_and(|by_preset| by_preset.makes_the_same_as(rule));
            [Some(table), own].into_iter().flatten().find(same)
        })
    }
}

impl Metadata {
    fn written(&self, head: &str, url: &str, notes: &mut Vec<String>) -> Result<String, String> {
        let name = &self.subject_alternative_name_template;
        let mut constants: BTreeMap<&str, String> = BTreeMap::new();
        let mut optional = Vec::new();
        for (claim, value) in &self.default_template_values {
            match value.as_str() {
                "" => optional.push(quoted(claim)),
                value => drop(constants.insert(claim, value.to_owned())),
            }
        }
        for (claim, value) in constants.iter().filter(|(claim, _)| **claim != "url") {
            notes.push(format!("{claim} is {value} for every token: one that says otherwise is refused"));
        }
        let write = |constants: &BTreeMap<&str, String>, prefix: Option<&str>| {
            let mut table = format!("{head}subject_alternative_name = {}\n", quoted(name));
            if let Some(prefix) = prefix {
                let _ = writeln!(table, "subject_alternative_name_prefix = {}", quoted(prefix));
            }
            if !optional.is_empty() {
                let _ = writeln!(table, "optional = [{}]", optional.join(", "));
            }
            if !constants.is_empty() {
                table.push_str("[ca.issuers.constants]\n");
                constants.iter().for_each(|(name, value)| {
                    let _ = writeln!(table, "{} = {}", quoted(name), quoted(value));
                });
            }
            // Empty templates say nothing, and those two always come from the token.
            let set = self.extension_templates.iter().filter(|(name, template)| {
                !template.trim().is_empty()
                    && !["issuer", "Issuer", "subject", "Subject"].contains(&name.as_str())
            });
            let set: Vec<_> = set.collect();
            if !set.is_empty() {
                table.push_str("[ca.issuers.extensions]\n");
            }
            for (name, template) in set {
                let name = FulcioExtension::by_name(name).map_or(name.as_str(), |row| row.name);
                let _ = writeln!(table, "{} = {}", quoted(name), quoted(template));
            }
            table
        };
        let table = write(&constants, None);
        let Some(origin) = origin(url) else { return Ok(table) };
        if !matches!(read(&table), Err(error) if error.contains("do not begin with a fixed scheme and host"))
        {
            return Ok(table);
        }
        // The name's host is in a claim: the issuer speaks for its own host, and for no other.
        let foreign = constants.values_mut().filter(|value| is_origin(value) && **value != origin);
        for value in foreign {
            notes.push(format!(
                "{value} in its templates is another's address; {origin} is written in its place"
            ));
            value.clone_from(&origin);
        }
        notes.push(format!("names must begin with {origin}/: their host was whatever the token said"));
        Ok(write(&constants, Some(&format!("{origin}/"))))
    }
}

/// Reads a table back as `sealogd` will.
fn read(table: &str) -> Result<IssuerRule, String> {
    // Its parts are named as in the whole file.
    let alone = table.replace("[ca.issuers.", "[");
    toml::from_str(&alone).map_err(|error| error.message().to_owned())
}

/// Scheme, host and port of a URL without wildcards.
fn origin(url: &str) -> Option<String> {
    let url = Url::parse(url).ok().filter(|_| !url.contains('*'))?;
    Some(url.origin().ascii_serialization())
}

fn is_origin(text: &str) -> bool {
    origin(text).as_deref() == Some(text)
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests;
