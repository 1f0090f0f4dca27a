//! The `[oidc]` table.

use crate::config::{Listen, PublicUrl};
use serde::Deserialize;

/// Settings of the identity provider.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub listen: Listen,
    /// The URL the world knows it by: its issuer.
    pub url: PublicUrl,
}
