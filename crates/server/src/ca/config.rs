//! The `[ca]` table.

use crate::config::{Listen, PublicUrl};
use sealog_identity::issuer::IssuerRules;
use serde::Deserialize;

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
    /// The audience a token must name.
    #[serde(default = "default_audience")]
    pub audience: String,
    /// Whom to believe about what.
    pub issuers: IssuerRules,
}

fn default_audience() -> String {
    "sigstore".to_owned()
}

impl Config {
    /// What cannot be said in types.
    pub(crate) fn check(&self, has_ctlog: bool) -> Result<(), String> {
        match self.ctlog_url.is_some() || has_ctlog {
            true => Ok(()),
            false => Err("[ca] needs a log for its certificates: add [ctlog] or set `ctlog_url`".to_owned()),
        }
    }
}
