//! The `[tsa]` table.

use crate::config::{Listen, PublicUrl};
use serde::Deserialize;

/// Settings of the timestamp authority.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub listen: Listen,
    /// The URL the world knows it by; requests go to `/api/v1/timestamp` under it.
    pub url: PublicUrl,
}
