//! The identity provider: OpenID Connect for people, who prove a mail address by a code sent there, or sign in at a provider
//! behind this one; and, in a development instance, for anyone who says a name, and for a pretended build system.
//!
//! Spec: OpenID Connect Core and Discovery 1.0, RFC 6749, 7636, 8252, 8628, in the shape of Dex, which
//! sigstore's clients were written against. People get codes through a browser page or a device code;
//! the second issuer, under `/ci`, has keys only and tokens by [`dev_token`], and is there for development alone.
//!
//! What may be lost: `oidc/` under the data directory, or `state_dir`, which remembers sign-ins for minutes: people sign in
//! again. It may be shared by several instances, and the directory of keys with it. `oidc.key` and those that follow it may be lost too: tokens live for five minutes.

mod address;
mod api;
mod browser;
pub mod config;
mod grants;
mod keys;
mod limits;
mod mail;
mod pages;
mod passkey;
mod people;
mod proof;
mod request;
mod store;
mod terminal;
mod token;
mod upstream;
mod webauthn;

use crate::{
    clock::Clock,
    config::Config as WholeConfig,
    files,
    http::Service,
    instance::Instance,
    keys::{KeyStore, KeyStoreError},
    setup::Made,
};
use address::Address;
use anyhow::Context as _;
use config::Config;
use keys::SigningKeys;
use sealog_crypto::KeyKind;
use sealog_identity::{IssuerKind, IssuerRule, IssuerRules, is_email};
use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use token::Issuer;

/// The key's name in the key store.
pub const KEY: &str = "oidc";
/// RS256: cosign takes nothing else for an identity token given by hand.
const KEY_KIND: KeyKind = KeyKind::Rsa { bits: 2048 };
/// When the keys are looked after for the first time, and how often from then on.
const FIRST_TURN: Duration = Duration::from_secs(60);
const TURN_INTERVAL: Duration = Duration::from_secs(10 * 60);
/// A longer file holds no claims.
const MAX_CLAIMS: u64 = 64 * 1024;

/// What a development token is to say.
#[derive(Clone, Debug)]
pub enum DevToken {
    /// An address.
    Email(String),
    /// The claims in this JSON file, as a build system would sign them.
    Claims(PathBuf),
}

/// A development token that would be of no use: whoever asked must ask differently.
#[derive(Debug, thiserror::Error)]
pub enum DevTokenError {
    /// Not an address.
    #[error("`{0}` is not an email address")]
    NotAnAddress(String),
    /// The claims cannot be signed.
    #[error("{} holds no claims of a build system", path.display())]
    Claims {
        /// Their file.
        path: PathBuf,
        /// What is wrong with them.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Makes the signing key, and the directory of what waits where one is named.
///
/// # Errors
/// When they cannot be made.
pub fn init(instance: &Instance, config: &Config) -> anyhow::Result<Made> {
    let mut made = Made::Existing;
    if let Some(dir) = config.state_dir.as_ref().filter(|dir| !dir.exists()) {
        files::create_secret_dir(dir).with_context(|| format!("making {}", dir.display()))?;
        made = Made::New;
    }
    if !instance.keys.contains(KEY) {
        instance.keys.generate(KEY, KEY_KIND)?;
        made = Made::New;
    }
    Ok(made)
}

/// What the handlers need of the configuration.
#[derive(Debug)]
struct Checked {
    believes_anyone: bool,
    domains: Vec<String>,
    trusted_proxies: Vec<IpAddr>,
}

impl Checked {
    fn accepts(&self, address: &Address) -> bool {
        self.domains.is_empty() || self.domains.iter().any(|domain| domain == address.domain())
    }
}

/// What an operator wants to see before it runs, beside what our own authority believes.
///
/// # Errors
/// When it could not start.
pub fn check(
    instance: &Instance,
    config: &Config,
    believed: Option<&IssuerRules>,
) -> anyhow::Result<Vec<String>> {
    let mut lines = Vec::new();
    if !instance.keys.contains(KEY) {
        return Err(KeyStoreError::Missing(instance.keys.path(KEY, "key")).into());
    }
    if config.believes_anyone() {
        lines.push("oidc     believes anyone: for development".to_owned());
    }
    config.check_state()?;
    if let Some(dir) = &config.state_dir {
        lines.push(format!("oidc     remembers what waits in {}", dir.display()));
    }
    if let Some(mail) = &config.mail {
        mail::check(mail)?;
        lines.push(format!("oidc     proves addresses by mail through {}", mail.server));
    }
    for upstream in &config.upstreams {
        upstream.secret()?;
        let issuer = upstream.issuer().unwrap_or_default();
        lines.push(format!(
            "oidc     signs people in at {issuer}, which comes back to {}",
            config.callback(upstream)
        ));
    }
    let url = config.url.as_str();
    let rule = believed.and_then(|rules| rules.find(url)).map(IssuerRule::kind);
    if let (false, Some(IssuerKind::Email { issuer_claim: None, .. })) = (config.upstreams.is_empty(), rule) {
        lines.push(format!(
            "oidc     any upstream can vouch for any address: [[ca.issuers]] of {url} has no `issuer_claim`"
        ));
    }
    Ok(lines)
}

/// Loads the key and gives the service.
///
/// # Errors
/// When it cannot be loaded.
pub fn start(instance: &Instance, config: &Config, data_dir: &Path) -> anyhow::Result<Service> {
    config.check_state()?;
    let state = config.state_dir(data_dir);
    let url = config.url.as_str();
    let keys =
        Arc::new(SigningKeys::open(instance.keys.clone(), config.key_days, instance.clock.unix_seconds())?);
    tokio::spawn(turn_keys(Arc::clone(&keys), instance.clock.clone()));
    let issuer = Issuer::new(url, keys);
    let store = store::Store::open(&state).with_context(|| format!("opening {}", state.display()))?;
    let limits = limits::Limits::new(store.clone());
    let proofs = match &config.mail {
        Some(mail) => Some(proof::Proofs {
            store: store.clone(),
            limits: limits.clone(),
            post: mail::Post::start(mail, url, config.url.host())?,
            mails_to_domain: mail.mails_to_domain,
            issuer: url.to_owned(),
        }),
        None => None,
    };
    let days = config.mail.as_ref().map_or(0, |mail| mail.passkey_days);
    let passkeys = (days > 0).then(|| passkey::Passkeys {
        store: store.clone(),
        days,
        origin: url.to_owned(),
        host: config.url.host().to_owned(),
    });
    let provider = api::Provider {
        issuer,
        passkeys,
        grants: grants::Grants::new(store.clone(), limits.clone()),
        limits,
        proofs,
        upstreams: upstream::Upstreams::new(config, store.clone(), instance.clock.clone())?,
        store,
        clock: instance.clock.clone(),
        config: Checked {
            believes_anyone: config.believes_anyone(),
            domains: config.domains.iter().map(|domain| domain.to_ascii_lowercase()).collect(),
            trusted_proxies: config.trusted_proxies.iter().map(IpAddr::to_canonical).collect(),
        },
        url: url.to_owned(),
        secure: config.url.is_https(),
    };
    Ok(Service::new(KEY, config.url.clone(), api::router(Arc::new(provider))))
}

/// Looks after the keys for as long as the process lives.
async fn turn_keys(keys: Arc<SigningKeys>, clock: Clock) {
    // Not at once: a start has better things to do.
    tokio::time::sleep(FIRST_TURN).await;
    loop {
        let (turned, now) = (Arc::clone(&keys), clock.unix_seconds());
        let turned = tokio::task::spawn_blocking(move || turned.turn(now)).await;
        if let Ok(Err(error)) = turned {
            let error = crate::http::chain(&error);
            tracing::warn!(
                service = KEY,
                error,
                "the signing keys cannot be changed; those that are there go on"
            );
        }
        tokio::time::sleep(TURN_INTERVAL).await;
    }
}

/// Signs a token with the provider's key, also while the provider runs.
///
/// # Errors
/// When there is no provider, its key cannot be read, or the token would be of no use.
pub fn dev_token(
    config: &WholeConfig,
    clock: &Clock,
    asked: &DevToken,
    audience: &str,
) -> anyhow::Result<String> {
    let table =
        config.oidc.as_ref().context("no identity provider is configured: there is no [oidc] table")?;
    let keys = KeyStore::open(&config.keys_dir(), config.protection()?)?;
    let now = clock.unix_seconds();
    let issuer = Issuer::new(table.url.as_str(), Arc::new(SigningKeys::open(keys, table.key_days, now)?));
    match asked {
        DevToken::Email(address) if is_email(address) => Ok(issuer.for_address(address, audience, now)?),
        DevToken::Email(address) => Err(DevTokenError::NotAnAddress(address.clone()).into()),
        DevToken::Claims(path) => {
            let wrong = |source: Box<dyn std::error::Error + Send + Sync>| DevTokenError::Claims {
                path: path.clone(),
                source,
            };
            let text = files::read_bounded(path, MAX_CLAIMS).map_err(|e| wrong(e.into()))?;
            let claims = serde_json::from_slice(&text).map_err(|e| wrong(e.into()))?;
            Ok(issuer.for_claims(claims, audience, now).map_err(|e| wrong(e.into()))?)
        }
    }
}
