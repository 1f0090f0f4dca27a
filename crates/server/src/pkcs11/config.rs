//! The `[pkcs11]` table: which token, and which keys live in it.

use crate::{config::ConfigError, files, keys};
use sealog_crypto::Zeroizing;
use serde::Deserialize;
use std::{collections::BTreeMap, path::PathBuf};

/// Sessions opened at most unless the table says otherwise: a signature in a module takes a fraction of a
/// millisecond to some milliseconds, and few modules do more than a handful at a time.
const DEFAULT_SESSIONS: usize = 8;
/// More would be threads that wait.
const MAX_SESSIONS: usize = 128;
/// A longer PIN is not a PIN.
const MAX_PIN: u64 = 256;
/// CK_TOKEN_INFO has room for so many bytes.
const MAX_TOKEN_LABEL: usize = 32;
const MAX_KEY_LABEL: usize = 128;

/// Settings of the security module.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The module's library.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The file (mode 0600) whose first line is the PIN of the token's user.
    pub pin_file: PathBuf,
    /// Sessions opened at most.
    #[serde(default = "default_sessions")]
    pub sessions: usize,
    /// The label in the token of each key that lives there, by the key's name.
    pub keys: BTreeMap<String, String>,
}

fn default_sessions() -> usize {
    DEFAULT_SESSIONS
}

impl Config {
    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// In words, for a person who wrote it into the configuration.
    pub fn check(&self) -> Result<(), String> {
        if self.token.is_empty() || self.token.len() > MAX_TOKEN_LABEL {
            return Err(format!("[pkcs11] `token` is the token's label, of 1 to {MAX_TOKEN_LABEL} bytes"));
        }
        if !(1..=MAX_SESSIONS).contains(&self.sessions) {
            return Err(format!("[pkcs11] `sessions` must be from 1 to {MAX_SESSIONS}"));
        }
        keys::check_table("pkcs11", &self.keys, MAX_KEY_LABEL)
    }

    /// The label of a key: as the table says, with the generation of a renewed key at its end.
    #[must_use]
    pub fn label(&self, name: &str) -> Option<String> {
        if let Some(label) = self.keys.get(name) {
            return Some(label.clone());
        }
        let first = keys::generation_of(name)?;
        let generation = name.strip_prefix(first)?;
        self.keys.get(first).map(|label| format!("{label}{generation}"))
    }

    /// Reads the PIN.
    ///
    /// # Errors
    /// When the file is exposed, cannot be read, or holds none.
    pub fn pin(&self) -> Result<Zeroizing<String>, ConfigError> {
        let path = &self.pin_file;
        keys::refuse_exposed(path, files::MODE_SECRET)?;
        let content = files::read_bounded(path, MAX_PIN)
            .map(Zeroizing::new)
            .map_err(|source| ConfigError::Io { path: path.clone(), source })?;
        let wrong = |what: &str| ConfigError::Wrong { path: path.clone(), what: what.to_owned() };
        let text = std::str::from_utf8(&content).map_err(|_| wrong("the PIN is not UTF-8 text"))?;
        let line = text.lines().next().unwrap_or_default();
        match line.is_empty() {
            true => Err(wrong("the PIN is empty")),
            false => Ok(Zeroizing::new(line.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(keys: &str) -> Config {
        toml::from_str(&format!("module = \"m.so\"\ntoken = \"t\"\npin_file = \"p\"\n[keys]\n{keys}"))
            .unwrap()
    }

    #[test]
    fn a_renewed_key_has_its_generation_in_its_label() {
        let table = table("ca = \"signing\"\n\"ca-root\" = \"root\"");
        table.check().unwrap();
        for (name, label) in [
            ("ca", Some("signing")),
            ("ca-2", Some("signing-2")),
            ("ca-root", Some("root")),
            ("tsa", None),
            ("tsa-2", None),
        ] {
            assert_eq!(table.label(name).as_deref(), label, "{name}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (keys, expected) in [
            ("", "names no key"),
            ("oidc = \"o\"", "lives in a file"),
            ("rekro = \"o\"", "`rekro` is no key: expected one of ca, ca-root,"),
            ("ca = \"\"", "what stands for `ca` must have"),
            ("ca = \"x\"\ntsa = \"x\"", "are the same key"),
        ] {
            let found = table(keys).check().unwrap_err();
            assert!(found.contains(expected), "{found}");
        }
    }
}
