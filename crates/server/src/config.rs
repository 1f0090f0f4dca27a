//! The configuration file: one TOML document, a table per service, unknown keys refused.
//!
//! Every key is described in `docs/reference/configuration.md`. What a service listens on and the URL the
//! world knows it by are two settings. Relative paths are taken from the file's own directory.

use crate::{
    files,
    kept::Store,
    keys::{self, Elsewhere, KeyStoreError, Protection},
    kms::{self, CloudKeys},
    periods,
    pkcs11::{self, Token},
    relay::{Listener, Role},
};
use sealog_crypto::Zeroizing;
use serde::{Deserialize, Deserializer, Serialize};
use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A longer file is not a configuration.
const MAX_FILE: u64 = 1024 * 1024;
/// Name of the listener that is no service.
pub const ADMIN: &str = "admin";
/// A longer passphrase is not typed by anyone.
const MAX_PASSPHRASE: u64 = 4096;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where logs lie: a directory per log.
    pub data_dir: PathBuf,
    /// Where keys lie; `keys` beside `data_dir`'s logs unless said.
    pub keys_dir: Option<PathBuf>,
    /// Where the files for clients are written; `client` under `data_dir` unless said.
    pub client_dir: Option<PathBuf>,
    /// The file whose first line opens the keys.
    pub passphrase_file: Option<PathBuf>,
    /// Or the systemd credential (`LoadCredential=`) that does.
    pub passphrase_credential: Option<String>,
    /// Keys in the clear: for `dev` and tests.
    #[serde(default)]
    pub plain_keys: bool,
    /// The security module in which some keys live.
    pub pkcs11: Option<pkcs11::config::Config>,
    /// AWS Key Management Service, in which some keys live.
    pub aws_kms: Option<kms::config::Aws>,
    /// And that of Google Cloud.
    pub google_kms: Option<kms::config::Google>,
    /// The organization in certificate subjects, and the operator in the signing configuration.
    #[serde(default = "default_organization")]
    pub organization: String,
    /// Numbers for monitoring.
    pub admin: Option<Admin>,
    /// The log of signatures.
    pub rekor: Option<crate::rekor::config::Config>,
    /// The log of certificates.
    pub ctlog: Option<crate::ctlog::config::Config>,
    /// The certificate authority.
    pub ca: Option<crate::ca::config::Config>,
    /// The timestamp authority.
    pub tsa: Option<crate::tsa::config::Config>,
    /// The identity provider.
    pub oidc: Option<crate::oidc::config::Config>,
}

/// The `[admin]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Where `/metrics` is served; not for the world.
    pub listen: Listen,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML of this shape.
    #[error("{} is not a valid configuration", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// Two settings that do not go together, or one that is missing.
    #[error("in {}: {what}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The passphrase or PIN file is exposed or unreadable, or the token refuses.
    #[error(transparent)]
    Passphrase(#[from] KeyStoreError),
}

fn default_organization() -> String {
    "Sealog".to_owned()
}

impl Config {
    /// Loads and checks the file.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let content = files::read_bounded(path, MAX_FILE)
            .map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
        let wrong = |what: String| ConfigError::Wrong { path: path.to_owned(), what };
        let text = std::str::from_utf8(&content).map_err(|_| wrong("it is not UTF-8 text".to_owned()))?;
        let mut config: Self = toml::from_str(text)
            .map_err(|e| ConfigError::Toml { path: path.to_owned(), source: Box::new(e) })?;
        let base = path.parent().unwrap_or(Path::new("."));
        config.resolve(base);
        config.check().map_err(wrong)?;
        Ok(config)
    }

    /// Where keys lie.
    #[must_use]
    pub fn keys_dir(&self) -> PathBuf {
        self.keys_dir.clone().unwrap_or_else(|| self.data_dir.join("keys"))
    }

    /// Where the files for clients are written.
    #[must_use]
    pub fn client_dir(&self) -> PathBuf {
        self.client_dir.clone().unwrap_or_else(|| self.data_dir.join("client"))
    }

    /// How the keys lie on disk, with the passphrase read from where the file says.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn protection(&self) -> Result<Protection, ConfigError> {
        if self.plain_keys {
            return Ok(Protection::Plain);
        }
        match (&self.passphrase_file, &self.passphrase_credential) {
            (Some(path), _) => passphrase(path),
            // systemd guards its credentials directory itself.
            (None, Some(name)) => read_passphrase(credentials_dir()?.join(name)),
            (None, None) => Err(ConfigError::Wrong {
                path: self.keys_dir(),
                what: "no passphrase is configured for the keys".to_owned(),
            }),
        }
    }

    /// Those who have the keys that lie in no file, opened.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub fn elsewhere(&self) -> Result<Vec<Arc<dyn Elsewhere>>, ConfigError> {
        let mut all: Vec<Arc<dyn Elsewhere>> = Vec::new();
        if let Some(table) = &self.pkcs11 {
            all.push(Arc::new(Token::open(table, table.pin()?).map_err(KeyStoreError::from)?));
        }
        if let Some(table) = &self.aws_kms {
            all.push(Arc::new(CloudKeys::aws(table).map_err(KeyStoreError::from)?));
        }
        if let Some(table) = &self.google_kms {
            all.push(Arc::new(CloudKeys::google(table).map_err(KeyStoreError::from)?));
        }
        Ok(all)
    }

    fn resolve(&mut self, base: &Path) {
        let absolute = |path: &mut PathBuf| *path = base.join(&*path);
        absolute(&mut self.data_dir);
        self.keys_dir.iter_mut().for_each(absolute);
        self.client_dir.iter_mut().for_each(absolute);
        self.passphrase_file.iter_mut().for_each(absolute);
        if let Some(pkcs11) = &mut self.pkcs11 {
            absolute(&mut pkcs11.module);
            absolute(&mut pkcs11.pin_file);
        }
        if let Some(ctlog) = &mut self.ctlog {
            ctlog.roots.iter_mut().for_each(absolute);
        }
        if let Some(ca) = &mut self.ca {
            ca.ctlog_key.iter_mut().for_each(absolute);
        }
        if let Some(oidc) = &mut self.oidc {
            oidc.resolve(absolute);
        }
    }

    fn check(&self) -> Result<(), String> {
        let ways = [self.plain_keys, self.passphrase_file.is_some(), self.passphrase_credential.is_some()];
        if ways.into_iter().filter(|on| *on).count() != 1 {
            return Err("exactly one of `passphrase_file`, `passphrase_credential` and `plain_keys = true` \
                        must be set"
                .to_owned());
        }
        if self.passphrase_credential.as_deref().is_some_and(|n| n.is_empty() || n.contains(['/', '\0'])) {
            return Err("`passphrase_credential` is the name of a credential, not a path".to_owned());
        }
        self.check_places()?;
        if self.organization.is_empty() || self.organization.len() > 64 {
            return Err("`organization` must have 1 to 64 bytes (RFC 5280 upper bound)".to_owned());
        }
        if let Some(oidc) = &self.oidc {
            oidc.check()?;
        }
        if let Some(ca) = &self.ca {
            ca.check(self.ctlog.is_some())?;
        }
        let rekors = self.rekor.as_ref().map(crate::rekor::config::Config::periods).unwrap_or_default();
        let ctlogs = self.ctlog.as_ref().map(crate::ctlog::config::Config::periods).unwrap_or_default();
        periods::check("rekor", &rekors, |period| period.url.host().to_owned())?;
        periods::check("ctlog", &ctlogs, |period| period.url.authority().to_owned())?;
        for period in rekors.iter().chain(&ctlogs) {
            check_role(period.name, period.role, period.store, period.sequencer)?;
        }
        let mut seen: Vec<(&'static str, &Listen)> = Vec::new();
        for (name, listen) in self.listens() {
            if let Some((other, _)) = seen.iter().find(|(_, l)| *l == listen && listen.port() != 0) {
                return Err(format!("[{name}] and [{other}] both listen on {listen}"));
            }
            seen.push((name, listen));
        }
        match seen.iter().all(|(name, _)| *name == ADMIN) {
            true => Err("no service is configured: add a table such as [rekor]".to_owned()),
            false => Ok(()),
        }
    }

    /// The tables of keys that lie in no file.
    fn check_places(&self) -> Result<(), String> {
        let mut in_clouds: Vec<(&str, &str)> = Vec::new();
        if let Some(table) = &self.aws_kms {
            table.check()?;
            in_clouds.extend(table.keys.keys().map(|name| (name.as_str(), "aws_kms")));
        }
        if let Some(table) = &self.google_kms {
            table.check()?;
            in_clouds.extend(table.keys.keys().map(|name| (name.as_str(), "google_kms")));
        }
        let both = |one: &str, two: &str, name: &str| {
            Err(format!("[{one}.keys] and [{two}.keys] both name `{name}`"))
        };
        if let Some(token) = &self.pkcs11 {
            token.check()?;
            if let Some((name, table)) = in_clouds.iter().find(|(name, _)| token.label(name).is_some()) {
                return both("pkcs11", table, name);
            }
        }
        in_clouds.sort_unstable();
        match in_clouds.array_windows().find(|[(name, _), (other, _)]| name == other) {
            Some([(name, one), (_, two)]) => both(one, two, name),
            None => Ok(()),
        }
    }

    /// Name and listener of every configured service, and of the admin listener.
    pub fn listens(&self) -> impl Iterator<Item = (&'static str, &Listen)> {
        let logs = self.rekor.iter().flat_map(crate::rekor::config::Config::periods);
        let logs = logs.chain(self.ctlog.iter().flat_map(crate::ctlog::config::Config::periods));
        [
            self.oidc.as_ref().map(|c| ("oidc", &c.listen)),
            self.ca.as_ref().map(|c| ("ca", &c.listen)),
            self.tsa.as_ref().map(|c| ("tsa", &c.listen)),
            self.admin.as_ref().map(|c| (ADMIN, &c.listen)),
        ]
        .into_iter()
        .flatten()
        .chain(logs.flat_map(|period| {
            let internal = period.sequencer.map(|sequencer| (period.sequencer_name, &sequencer.listen));
            std::iter::once((period.name, period.listen)).chain(internal)
        }))
    }
}

/// What of a log a process does, and what it needs for that.
fn check_role(
    name: &str,
    role: Role,
    store: Option<&Store>,
    sequencer: Option<&Listener>,
) -> Result<(), String> {
    if store.is_some_and(|store| store.lease_seconds == Some(0)) {
        return Err(format!("[{name}.store] `lease_seconds` must be at least 1"));
    }
    match (role, store, sequencer) {
        (Role::FrontEnd, None, _) => {
            Err(format!("[{name}] is a front end: [{name}.store] must say where its log is"))
        }
        (Role::FrontEnd, Some(store), None) if !store.stand_by => Ok(()),
        (Role::FrontEnd, ..) => {
            Err(format!("[{name}] is a front end: [{name}.sequencer] and `stand_by` are for sequencers"))
        }
        (Role::Sequencer, None, Some(_)) => Err(format!(
            "[{name}.sequencer] is for front ends, which read the log in a bucket: [{name}.store] is missing"
        )),
        (Role::Sequencer, ..) => Ok(()),
    }
}

/// What the first line of this file seals and opens.
///
/// # Errors
/// When it is exposed, empty, or cannot be read.
pub fn passphrase(path: &Path) -> Result<Protection, ConfigError> {
    keys::refuse_exposed(path, files::MODE_SECRET)?;
    read_passphrase(path.to_owned())
}

fn read_passphrase(path: PathBuf) -> Result<Protection, ConfigError> {
    let content = files::read_bounded(&path, MAX_PASSPHRASE)
        .map(Zeroizing::new)
        .map_err(|source| ConfigError::Io { path: path.clone(), source })?;
    let line = content.split(|b| *b == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(ConfigError::Wrong { path, what: "the passphrase is empty".to_owned() });
    }
    Ok(Protection::Passphrase(Zeroizing::new(line.to_vec())))
}

fn credentials_dir() -> Result<PathBuf, ConfigError> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from).ok_or_else(|| ConfigError::Wrong {
        path: PathBuf::from("CREDENTIALS_DIRECTORY"),
        what: "`passphrase_credential` is set, but systemd passed no credentials: use LoadCredential= or \
               `passphrase_file`"
            .to_owned(),
    })
}

/// Where a service listens: an address and port, or `localhost:PORT` for both loopback addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `127.0.0.1` and, where the machine has it, `::1`.
    Localhost(u16),
    /// One address.
    Address(SocketAddr),
}

impl Listen {
    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        match self {
            Self::Localhost(port) => *port,
            Self::Address(address) => address.port(),
        }
    }

    /// Whether only this machine can reach it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Localhost(_) => true,
            Self::Address(address) => address.ip().is_loopback(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("localhost:") {
            Some(port) => port.parse().ok().map(Self::Localhost),
            None => text.parse().ok().map(Self::Address),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Localhost(port) => write!(f, "localhost:{port}"),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` is not an address to listen on: expected IP:PORT, [IPv6]:PORT or localhost:PORT"
            ))
        })
    }
}

/// The URL the world knows a service by: scheme, host and port, nothing after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Without a trailing slash.
    text: String,
    host: String,
    authority: String,
    secure: bool,
}

impl PublicUrl {
    /// Parses `https://HOST[:PORT]`, or `http://` of the same.
    ///
    /// # Errors
    /// In words, for a person who wrote it into the configuration.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = url::Url::parse(text).map_err(|e| format!("`{text}` is not a URL: {e}"))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            other => return Err(format!("`{text}`: scheme {other} is not http or https")),
        };
        let authority = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.clone(),
        };
        let plain = format!("{}://{authority}", url.scheme());
        if host.is_empty() || text != plain {
            return Err(format!(
                "`{text}` must be scheme and host (and port) only, in lower case, with nothing after it: \
                 expected something like `{plain}`"
            ));
        }
        Ok(Self { text: plain, host, authority, secure })
    }

    /// The URL, without a trailing slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The bare host name.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Host, and port when it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether it is https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.secure
    }

    /// Whether it names this machine's loopback.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        self.host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for PublicUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for PublicUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_an_origin() {
        for (text, host, authority) in [
            ("https://rekor.example.com", "rekor.example.com", "rekor.example.com"),
            ("http://localhost:3000", "localhost", "localhost:3000"),
            ("http://[::1]:3000", "[::1]", "[::1]:3000"),
        ] {
            let url = PublicUrl::parse(text).unwrap();
            assert_eq!((url.as_str(), url.host(), url.authority()), (text, host, authority));
        }
        for text in [
            "",
            "rekor.example.com",
            "ftp://rekor.example.com",
            "https://rekor.example.com/",
            "https://rekor.example.com/path",
            "https://rekor.example.com?query",
            "https://user@rekor.example.com",
            "https://REKOR.example.com",
            "https://rekor.example.com:443",
        ] {
            assert!(PublicUrl::parse(text).is_err(), "{text}");
        }
        assert!(PublicUrl::parse("http://[::1]:1").unwrap().is_loopback());
        assert!(!PublicUrl::parse("http://192.0.2.1").unwrap().is_loopback());
    }

    #[test]
    fn an_address_to_listen_on_is_unambiguous() {
        assert_eq!(Listen::parse("localhost:80"), Some(Listen::Localhost(80)));
        assert!(Listen::parse("[::]:80").is_some_and(|listen| !listen.is_loopback()));
        assert!(Listen::parse("127.0.0.1:80").is_some_and(|listen| listen.is_loopback()));
        for text in ["", "80", ":80", "localhost", "example.com:80", "::1:80", "127.0.0.1:99999"] {
            assert_eq!(Listen::parse(text), None, "{text}");
        }
    }
}
