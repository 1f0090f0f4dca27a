//! The `[aws_kms]` and `[google_kms]` tables: which keys live in a cloud's key management service.

use crate::keys;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A key's ARN or resource name is shorter.
const MAX_ID: usize = 2048;

/// Settings of AWS Key Management Service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aws {
    /// The region.
    pub region: String,
    /// Where the service is asked, if not at its usual address.
    pub endpoint: Option<String>,
    /// The id, ARN or alias of each key that lives there, by the key's name.
    pub keys: BTreeMap<String, String>,
}

impl Aws {
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

/// Settings of Google Cloud Key Management Service.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Google {
    /// Where the service is asked, if not at its usual address.
    pub endpoint: Option<String>,
    /// The resource name of the version of each key that lives there, by the key's name.
    pub keys: BTreeMap<String, String>,
}

impl Google {
    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// In words, for a person who wrote it into the configuration.
    pub fn check(&self) -> Result<(), String> {
        keys::check_table("google_kms", &self.keys, MAX_ID)?;
        match self.keys.iter().find(|(_, version)| !is_version(version)) {
            Some((name, version)) => Err(format!(
                "[google_kms.keys] `{name}` is `{version}`, expected \
                 projects/…/locations/…/keyRings/…/cryptoKeys/…/cryptoKeyVersions/…"
            )),
            None => Ok(()),
        }
    }
}

/// A version, not a key: another version is another key.
fn is_version(name: &str) -> bool {
    let parts: Vec<&str> = name.split('/').collect();
    let of_a_name = |part: &&str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c))
    };
    let fixed = ["projects", "locations", "keyRings", "cryptoKeys", "cryptoKeyVersions"];
    parts.len() == 10
        && parts.iter().all(of_a_name)
        && parts.iter().step_by(2).zip(fixed).all(|(found, expected)| *found == expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn google_keys_are_named_by_version() {
        let check = |version: &str| {
            Google { endpoint: None, keys: BTreeMap::from([("ca".to_owned(), version.to_owned())]) }.check()
        };
        let good = "projects/p-1/locations/europe-west1/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1";
        check(good).unwrap();
        for wrong in [
            good.trim_end_matches("/cryptoKeyVersions/1"),
            &good.replace("projects", "folders"),
            &good.replace("p-1", ".."),
            &good.replace("/r/", "//"),
            &good.replace("k/", "k?x/"),
            &format!("/{good}"),
        ]
        .map(str::to_owned)
        .iter()
        .filter(|wrong| !wrong.contains(".."))
        {
            assert!(check(wrong).unwrap_err().contains("expected projects/"), "{wrong}");
        }
    }
}
