//! The identity provider of a dev instance.

pub mod config;

use crate::{clock::Clock, config::Config as WholeConfig, http::Service, instance::Instance, setup::Made};
use std::path::PathBuf;

/// What a dev token is to say.
#[derive(Clone, Debug)]
pub enum DevToken {
    /// An address.
    Email(String),
    /// The claims in this JSON file.
    Claims(PathBuf),
}

/// Makes the signing key.
///
/// # Errors
/// When it cannot be made.
pub fn init(_instance: &Instance, _config: &config::Config) -> anyhow::Result<Made> {
    Ok(Made::Existing)
}

/// Gives the service.
///
/// # Errors
/// When it cannot start.
pub async fn start(_instance: &Instance, config: &config::Config) -> anyhow::Result<Service> {
    Ok(Service::new("oidc", config.url.clone(), axum::Router::new()))
}

/// Signs a token with the plain dev key.
///
/// # Errors
/// When the key cannot be read.
pub fn dev_token(
    _config: &WholeConfig,
    _clock: &Clock,
    _asked: &DevToken,
    _audience: &str,
) -> anyhow::Result<String> {
    anyhow::bail!("not yet")
}
