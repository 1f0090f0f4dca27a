//! The `[ca]` table.

use super::permitted::Permitted;
use crate::config::{Listen, PublicUrl};
use sealog_identity::issuer::IssuerRules;
use serde::Deserialize;
use std::path::PathBuf;

/// A public key in PEM is shorter.
pub const MAX_KEY_FILE: u64 = 64 * 1024;

/// Settings of the certificate authority.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub listen: Listen,
    /// The URL the world knows it by.
    pub url: PublicUrl,
    /// Where precertificates are submitted; our own `[ctlog]` unless said.
    pub ctlog_url: Option<PublicUrl>,
    /// That log's public key in PEM.
    pub ctlog_key: Option<PathBuf>,
    /// By which algorithms of the registry a key may prove itself; Fulcio's unless said.
    #[serde(default)]
    pub algorithms: Permitted,
    /// Whom to believe about what.
    pub issuers: IssuerRules,
}

impl Config {
    /// What cannot be said in types.
    pub(crate) fn check(&self, has_ctlog: bool) -> Result<(), String> {
        match (self.ctlog_url.is_some(), self.ctlog_key.is_some(), has_ctlog) {
            (true, true, _) | (false, false, true) => Ok(()),
            (false, false, false) => {
                Err("[ca] needs a log for its certificates: add [ctlog], or set `ctlog_url` and `ctlog_key`"
                    .to_owned())
            }
            _ => Err("[ca] needs `ctlog_url` and `ctlog_key` together".to_owned()),
        }
    }
}
