//! The `[aws_kms]` table: which keys live in AWS Key Management Service.

use crate::keys;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A key's ARN is shorter.
const MAX_ID: usize = 2048;

/// Settings of the service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The region.
    pub region: String,
    /// Where the service is asked, if not at its usual address.
    pub endpoint: Option<String>,
    /// The id, ARN or alias of each key that lives there, by the key's name.
    pub keys: BTreeMap<String, String>,
}

impl Config {
    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// In words, for a person who wrote it into the configuration.
    pub fn check(&self) -> Result<(), String> {
        let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.region.is_empty() || !self.region.chars().all(letters) {
            return Err(format!(
                "[aws_kms] `region` is `{}`, expected one such as eu-central-1",
                self.region
            ));
        }
        keys::check_table("aws_kms", &self.keys, MAX_ID)
    }
}
