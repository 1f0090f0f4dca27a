//! The identity provider of a development instance: OpenID Connect, for people and for a pretended build
//! system. It believes anyone, and says so on every page.
//!
//! Spec: OpenID Connect Core and Discovery 1.0, RFC 6749, 7636, 8252, 8628, in the shape of Dex, which
//! sigstore's clients were written against. People get codes through a browser page or a device code;
//! the second issuer, under `/ci`, has keys only and tokens by [`dev_token`].
//!
//! What may be lost: waiting codes live in memory, so a restart asks people to sign in again; nothing that
//! was promised is lost with them. `oidc.key` may be lost too: tokens live for five minutes.

mod api;
pub mod config;
mod grants;
mod pages;
mod token;

use crate::{
    clock::Clock, config::Config as WholeConfig, files, http::Service, instance::Instance, keys::KeyStore,
    setup::Made,
};
use anyhow::Context as _;
use config::Config;
use sealog_crypto::KeyKind;
use sealog_identity::is_email;
use std::{path::PathBuf, sync::Arc};
use token::Issuer;

/// The key's name in the key store.
pub const KEY: &str = "oidc";
/// RS256: cosign takes nothing else for an identity token given by hand.
const KEY_KIND: KeyKind = KeyKind::Rsa { bits: 2048 };
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

/// Makes the signing key.
///
/// # Errors
/// When it cannot be made.
pub fn init(instance: &Instance, _config: &Config) -> anyhow::Result<Made> {
    if instance.keys.contains(KEY) {
        return Ok(Made::Existing);
    }
    instance.keys.generate(KEY, KEY_KIND)?;
    Ok(Made::New)
}

/// Loads the key and gives the service.
///
/// # Errors
/// When it cannot be loaded.
pub fn start(instance: &Instance, config: &Config) -> anyhow::Result<Service> {
    let url = config.url.as_str();
    let issuer = Issuer::new(url, instance.keys.load(KEY)?)?;
    let provider = api::Provider {
        issuer,
        grants: grants::Grants::default(),
        clock: instance.clock.clone(),
        url: url.to_owned(),
        secure: config.url.is_https(),
    };
    Ok(Service::new(KEY, config.url.clone(), api::router(Arc::new(provider))))
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
    let issuer = Issuer::new(table.url.as_str(), keys.load(KEY)?)?;
    let now = clock.unix_seconds();
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
