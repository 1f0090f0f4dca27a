//! The `[oidc]` table.

use crate::{
    config::{ConfigError, Listen, PublicUrl},
    keys::refuse_exposed,
};
use anyhow::Context as _;
use sealog_crypto::Zeroizing;
use sealog_pki::Certificate;
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    net::IpAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

/// A longer file holds no secret.
const MAX_SECRET: u64 = 4096;
/// Ports for submitting mail (RFC 8314 §7.3, RFC 6409).
const SUBMISSIONS: u16 = 465;
const SUBMISSION: u16 = 587;

/// For its owner alone.
const MODE_STATE: u32 = 0o700;
/// A key that signed for longer than these would not be changed in anybody's time here.
const KEY_DAYS: RangeInclusive<u32> = 1..=3650;

/// Settings of the identity provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub listen: Listen,
    /// The URL the world knows it by: its issuer.
    pub url: PublicUrl,
    /// Whoever reaches it may sign in under any address; for development. On where nothing else is configured.
    pub believe_anyone: Option<bool>,
    /// Addresses are proven by a mail to them.
    pub mail: Option<Mail>,
    /// Providers behind this one.
    #[serde(default)]
    pub upstreams: Vec<Upstream>,
    /// Only addresses of these domains may sign in; empty for all.
    #[serde(default)]
    pub domains: Vec<String>,
    /// How many days one key signs tokens.
    #[serde(default = "default_key_days")]
    pub key_days: u32,
    /// Where what waits for people is remembered; `oidc` under the data directory unless said. Instances share it.
    pub state_dir: Option<PathBuf>,
    /// Who stands before this service and says in `X-Forwarded-For` where requests come from.
    #[serde(default)]
    pub trusted_proxies: Vec<IpAddr>,
}

/// How addresses are proven by mail.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// Who writes: `Name <address>`, or an address.
    pub from: String,
    /// The server that takes the mail: a host name, and a port where it is not the usual one.
    pub server: String,
    /// How the way to it is protected.
    #[serde(default)]
    pub tls: Protection,
    /// Who we are to it.
    pub user: Option<String>,
    /// The file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// Certificates (PEM) that may vouch for it beside those the machine trusts.
    pub ca_certificates: Option<String>,
    /// How many days a passkey may stand in for a mail; 0 for never.
    #[serde(default = "default_passkey_days")]
    pub passkey_days: u32,
    /// How many codes go to addresses of one domain in an hour.
    #[serde(default = "default_mails_to_domain")]
    pub mails_to_domain: u32,
}

fn default_key_days() -> u32 {
    30
}

fn default_passkey_days() -> u32 {
    30
}

fn default_mails_to_domain() -> u32 {
    1_000
}

/// How the way to the mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// TLS after a greeting in the clear, and nothing without it.
    #[default]
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// None: codes can be read on the way.
    PlainUnsafe,
}

impl Mail {
    /// Host and port.
    pub(super) fn place(&self) -> anyhow::Result<(String, u16)> {
        let usual = if self.tls == Protection::Tls { SUBMISSIONS } else { SUBMISSION };
        let (host, port) = match self.server.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, port.parse().ok()),
            _ => (self.server.as_str(), Some(usual)),
        };
        let port = port.filter(|_| !host.is_empty());
        let port = port
            .with_context(|| format!("`server` of [oidc.mail] is not HOST or HOST:PORT: {}", self.server))?;
        Ok((host.to_owned(), port))
    }

    /// User and password.
    pub(super) fn credentials(&self) -> anyhow::Result<Option<(String, Zeroizing<String>)>> {
        match (&self.user, &self.password_file) {
            (Some(user), Some(file)) => Ok(Some((user.clone(), secret_in(file)?))),
            (None, None) => Ok(None),
            _ => anyhow::bail!("[oidc.mail] needs `user` and `password_file` together"),
        }
    }
}

/// A provider behind this one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Its short name, in addresses: letters, digits, `-`.
    pub name: String,
    /// What people are shown; the name where nothing is said.
    pub label: Option<String>,
    /// What it speaks.
    #[serde(rename = "type", default)]
    pub kind: UpstreamKind,
    /// Its issuer, or the address of a GitHub.
    pub issuer: Option<String>,
    /// The name that it gave to this provider.
    pub client_id: String,
    /// The file whose first line is the secret that goes with it.
    pub client_secret_file: Option<PathBuf>,
    /// What clients call it in `connector_id`, and what its people's tokens say; its issuer unless said.
    pub connector_id: Option<String>,
    /// Believe addresses that it does not say it verified.
    #[serde(default)]
    pub skip_email_verification: bool,
    /// It may be within a private network.
    #[serde(default)]
    pub private_addresses: bool,
    /// Certificates (PEM) that may vouch for it beside those the machine trusts.
    #[serde(default)]
    pub ca_certificates: String,
}

/// What a provider behind this one speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpstreamKind {
    /// OpenID Connect, found by discovery.
    #[default]
    Oidc,
    /// GitHub's OAuth and its list of addresses.
    Github,
    /// Google accounts.
    Google,
    /// GitLab.
    Gitlab,
    /// Codeberg, which is a Forgejo.
    Codeberg,
    /// A Forgejo, named by its `issuer`.
    Forgejo,
    /// A realm of a Keycloak, named by its `issuer`.
    Keycloak,
    /// One tenant of Microsoft Entra, named by its `issuer`.
    Microsoft,
}

/// Paths of issuers that are none: whoever signs in there comes back with an issuer of their own tenant's.
const TENANTS: [&str; 3] = ["common", "organizations", "consumers"];

/// GitHub, where no other is named.
pub(super) const GITHUB: &str = "https://github.com";

impl Upstream {
    /// The issuer it must be.
    pub(super) fn issuer(&self) -> Option<&str> {
        let usual = match self.kind {
            UpstreamKind::Oidc | UpstreamKind::Microsoft | UpstreamKind::Keycloak | UpstreamKind::Forgejo => {
                None
            }
            UpstreamKind::Github => Some(GITHUB),
            UpstreamKind::Google => Some("https://accounts.google.com"),
            UpstreamKind::Gitlab => Some("https://gitlab.com"),
            UpstreamKind::Codeberg => Some("https://codeberg.org"),
        };
        self.issuer.as_deref().or(usual)
    }

    /// What tokens and clients call it.
    pub(super) fn connector_id(&self) -> String {
        let issuer = self.issuer().unwrap_or_default();
        match (&self.connector_id, self.kind) {
            (Some(named), _) => named.clone(),
            // What the public instance's certificates call it.
            (None, UpstreamKind::Github) => format!("{}/login/oauth", issuer.trim_end_matches('/')),
            (None, _) => issuer.to_owned(),
        }
    }

    /// What is wrong with its issuer, of a kind whose issuers have a shape: at the first sign-in it would be another's.
    fn misnamed(&self, issuer: &url::Url) -> Option<String> {
        let path: Vec<&str> = issuer.path_segments().into_iter().flatten().collect();
        let named = self.issuer().unwrap_or_default();
        match (self.kind, path.as_slice()) {
            (UpstreamKind::Microsoft, [tenant, ..]) if TENANTS.contains(tenant) => Some(
                "stands for anybody's tenant: its `issuer` must name one, \
                 https://login.microsoftonline.com/TENANT/v2.0 with the tenant's number"
                    .to_owned(),
            ),
            (UpstreamKind::Keycloak, [.., "realms", realm]) if !realm.is_empty() => None,
            (UpstreamKind::Keycloak, _) => Some(format!(
                "names no realm: people sign in at one, so the `issuer` of a Keycloak ends in /realms/NAME, and is not {named:?}"
            )),
            (UpstreamKind::Forgejo | UpstreamKind::Codeberg, _) if named.ends_with('/') => Some(format!(
                "has a slash at its end, which a Forgejo leaves away in its own name: `issuer` = {:?}",
                named.trim_end_matches('/')
            )),
            _ => None,
        }
    }

    /// The secret that goes with the client's name.
    pub(super) fn secret(&self) -> anyhow::Result<Option<Zeroizing<String>>> {
        self.client_secret_file.as_ref().map(|file| secret_in(file)).transpose()
    }
}

fn secret_in(file: &Path) -> anyhow::Result<Zeroizing<String>> {
    refuse_exposed(file, crate::files::MODE_SECRET)?;
    let bytes = crate::files::read_bounded(file, MAX_SECRET).map(Zeroizing::new);
    let bytes = bytes.with_context(|| format!("cannot read {}", file.display()))?;
    let text = std::str::from_utf8(&bytes).with_context(|| format!("{} is no text", file.display()))?;
    let line = text.lines().next().unwrap_or_default().trim();
    anyhow::ensure!(!line.is_empty(), "{} is empty", file.display());
    Ok(Zeroizing::new(line.to_owned()))
}

impl Config {
    /// Whether anyone is believed.
    #[must_use]
    pub fn believes_anyone(&self) -> bool {
        self.believe_anyone.unwrap_or(self.mail.is_none() && self.upstreams.is_empty())
    }

    /// The address to which a provider sends people back: its own where there are several, so that no answer of one can
    /// pass for another's (RFC 9700 §4.4.2.2).
    pub(super) fn callback(&self, upstream: &Upstream) -> String {
        match self.upstreams.len() {
            0 | 1 => format!("{}{}", self.url, super::upstream::CALLBACK_PATH),
            _ => format!("{}{}/{}", self.url, super::upstream::CALLBACK_PATH, upstream.name),
        }
    }

    /// Where what waits is remembered.
    #[must_use]
    pub fn state_dir(&self, data_dir: &Path) -> PathBuf {
        self.state_dir.clone().unwrap_or_else(|| data_dir.join("oidc"))
    }

    /// Refuses a named directory that is not there, so that instances whose directory was not mounted do not part
    /// silently, and one that others can look into.
    pub(super) fn check_state(&self) -> Result<(), ConfigError> {
        let Some(dir) = &self.state_dir else { return Ok(()) };
        if !dir.is_dir() {
            let what =
                "[oidc] `state_dir` is no directory: mount it, or have `sealogd init` make it".to_owned();
            return Err(ConfigError::Wrong { path: dir.clone(), what });
        }
        Ok(refuse_exposed(dir, MODE_STATE)?)
    }

    /// Files are named from the configuration's directory.
    pub(crate) fn resolve(&mut self, absolute: impl Fn(&mut PathBuf)) {
        self.state_dir.iter_mut().for_each(&absolute);
        self.mail.iter_mut().filter_map(|mail| mail.password_file.as_mut()).for_each(&absolute);
        self.upstreams.iter_mut().filter_map(|one| one.client_secret_file.as_mut()).for_each(&absolute);
    }

    /// What cannot be said in types.
    pub(crate) fn check(&self) -> Result<(), String> {
        if !KEY_DAYS.contains(&self.key_days) {
            let (from, to) = (KEY_DAYS.start(), KEY_DAYS.end());
            return Err(format!("[oidc] `key_days` is {}, expected {from} to {to}", self.key_days));
        }
        // A proxy leads the world to an address that only this machine reaches; its `url` tells.
        if self.believes_anyone() && !(self.listen.is_loopback() && self.url.is_loopback()) {
            return Err(
                "[oidc] believes anyone who reaches it, so both its `listen` and its `url` are of this \
                        machine alone: configure [oidc.mail] or [[oidc.upstreams]]"
                    .to_owned(),
            );
        }
        if !self.url.is_https() && !self.url.is_loopback() {
            return Err("[oidc] needs an https `url`: codes and tokens go there".to_owned());
        }
        if let Some(domain) = self.domains.iter().find(|domain| domain.is_empty() || !domain.is_ascii()) {
            return Err(format!("[oidc] `domains`: {domain:?} must be in ASCII, with xn-- where it is not"));
        }
        if self.mail.as_ref().is_some_and(|mail| mail.mails_to_domain == 0) {
            return Err(
                "[oidc.mail] `mails_to_domain` is 0, so no code would go out; expected 1 or more".to_owned()
            );
        }
        let mut names = BTreeSet::new();
        // Our own name in a token stands for a proof by mail.
        let mut connectors = BTreeSet::from([self.url.as_str().to_owned()]);
        for upstream in &self.upstreams {
            let name = &upstream.name;
            let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            if name.is_empty() || name.len() > 32 || !plain || !names.insert(name) {
                return Err(format!(
                    "[[oidc.upstreams]] need names of their own, of small letters, digits and `-`: {name:?}"
                ));
            }
            let issuer = upstream.issuer().ok_or_else(|| format!("the upstream {name:?} needs `issuer`"))?;
            let url = url::Url::parse(issuer)
                .ok()
                .filter(|url| url.scheme() == "https" || sealog_client::http::is_loopback(url));
            if url.is_none() {
                return Err(format!(
                    "the upstream {name:?} is neither https nor on this machine: {issuer:?}"
                ));
            }
            if let Some(what) = url.and_then(|url| upstream.misnamed(&url)) {
                return Err(format!("the upstream {name:?} {what}"));
            }
            let connector = upstream.connector_id();
            if !connectors.insert(connector.clone()) {
                return Err(format!(
                    "the upstream {name:?} needs a `connector_id` of its own: {connector:?} is this provider, or another \
                     upstream"
                ));
            }
            if !upstream.ca_certificates.is_empty() {
                Certificate::chain_from_pem(&upstream.ca_certificates)
                    .map_err(|error| format!("`ca_certificates` of the upstream {name:?}: {error}"))?;
            }
        }
        if let Some(mail) = &self.mail {
            mail.place().map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<(), String> {
        toml::from_str::<Config>(text).unwrap().check()
    }

    #[test]
    fn nobody_beyond_this_machine_is_believed_for_saying_so() {
        let mail = "[mail]\nfrom = 'a@example.org'\nserver = 'smtp.example.org'\n";
        let here = "listen = 'localhost:5556'\nurl = 'http://localhost:5556'\n";
        // As an operator writes it who stands behind a proxy.
        let proxied = "listen = '127.0.0.1:5556'\nurl = 'https://id.example.org'\n";
        let world = "listen = '0.0.0.0:5556'\nurl = 'http://localhost:5556'\n";
        assert_eq!(checked(here), Ok(()));
        for open in [proxied, world] {
            assert!(checked(open).unwrap_err().contains("believes anyone"), "{open}");
            assert!(checked(&format!("{open}believe_anyone = true\n{mail}")).is_err(), "{open}");
            assert_eq!(checked(&format!("{open}{mail}")), Ok(()));
        }
    }

    #[test]
    fn what_would_fail_at_the_first_sign_in_is_refused_before() {
        let here = "listen = 'localhost:5556'\nurl = 'http://localhost:5556'\n";
        let upstream = |name: &str, more: &str| {
            format!(
                "[[upstreams]]\nname = '{name}'\nissuer = 'https://{name}.example'\nclient_id = 'a'\n{more}\n"
            )
        };
        let two = |more: &str| checked(&format!("{here}{}{}", upstream("one", ""), upstream("two", more)));
        assert_eq!(two(""), Ok(()));
        for (more, words) in [
            ("connector_id = 'https://one.example'", "`connector_id` of its own"),
            ("connector_id = 'http://localhost:5556'", "`connector_id` of its own"),
            ("ca_certificates = 'no PEM'", "`ca_certificates` of the upstream"),
        ] {
            let refusal = two(more).unwrap_err();
            assert!(refusal.contains(words), "{refusal}");
        }
        // There are no pictures, so nobody's are fetched.
        let logo = format!("{here}{}", upstream("one", "logo_uri = 'http://169.254.169.254/'"));
        assert!(toml::from_str::<Config>(&logo).unwrap_err().message().contains("unknown field `logo_uri`"));
        let entra = |tenant: &str| {
            let table = "[[upstreams]]\nname = 'a'\nclient_id = 'b'\ntype = 'microsoft'\n";
            checked(&format!("{here}{table}issuer = 'https://login.microsoftonline.com/{tenant}/v2.0'"))
        };
        assert_eq!(entra("9188040d-6c67-4c5b-b112-36a304b66dad"), Ok(()));
        assert!(entra("common").unwrap_err().contains("anybody's tenant"));
        let of = |kind: &str, issuer: &str| {
            let table = format!("[[upstreams]]\nname = 'a'\nclient_id = 'b'\ntype = '{kind}'\n");
            checked(&format!("{here}{table}{issuer}"))
        };
        for realm in ["https://a.example/realms/corp", "https://a.example/auth/realms/corp"] {
            assert_eq!(of("keycloak", &format!("issuer = '{realm}'")), Ok(()));
        }
        for none in ["", "/", "/auth", "/realms/", "/realms", "/realms/corp/", "/realms/corp/account"] {
            let refusal = of("keycloak", &format!("issuer = 'https://a.example{none}'")).unwrap_err();
            assert!(refusal.contains("names no realm") && refusal.contains("/realms/NAME"), "{refusal}");
        }
        for path in ["", "/git"] {
            assert_eq!(of("forgejo", &format!("issuer = 'https://a.example{path}'")), Ok(()));
            let refusal = of("forgejo", &format!("issuer = 'https://a.example{path}/'")).unwrap_err();
            assert!(refusal.contains(&format!("`issuer` = \"https://a.example{path}\"")), "{refusal}");
        }
        for kind in ["keycloak", "forgejo"] {
            assert!(of(kind, "").unwrap_err().contains("needs `issuer`"), "{kind}");
        }
        let codeberg: Upstream = toml::from_str("name = 'a'\nclient_id = 'b'\ntype = 'codeberg'").unwrap();
        assert_eq!(codeberg.issuer(), Some("https://codeberg.org"), "as it names itself");
        let refusal = checked(&format!("{here}domains = ['bücher.example']")).unwrap_err();
        assert!(refusal.contains("xn--"), "{refusal}");
        let silent = format!("{here}[mail]\nfrom = 'a@example.org'\nserver = 'b'\nmails_to_domain = 0");
        assert!(checked(&silent).unwrap_err().contains("no code would go out"));
        assert!(checked(&format!("{here}key_days = 0")).unwrap_err().contains("1 to 3650"));
    }
}
