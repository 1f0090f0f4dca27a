//! The trust files on disk: whose word counts, and which services to use.
//!
//! A file (`trusted_root.json`, or a client trust config that holds both documents), or a directory with
//! both, as `sealogd` makes it. Nothing is fetched, and nothing is believed that was not named.

use crate::http::{self, HttpError};
use sealog_bundle::{
    ClientTrustConfig, JsonError, SigningConfig, TrustedRoot, UnixTime,
    client_trust_config::MAX_CLIENT_TRUST_CONFIG_BYTES, signing_config::SelectError,
};
use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};
use url::Url;

/// The trusted root's name in a trust directory.
pub const TRUSTED_ROOT_FILE: &str = "trusted_root.json";
/// The signing config's name in a trust directory.
pub const SIGNING_CONFIG_FILE: &str = "signing_config.json";

/// Why the trust files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not there.
    #[error("`{path}` does not exist", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// There, but not readable.
    #[error("`{path}` cannot be read", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
    /// Not the document it should be.
    #[error("`{path}` is not a {what}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
        /// Why it is not.
        #[source]
        cause: JsonError,
    },
    /// No service to use.
    #[error(transparent)]
    Select(#[from] SelectError),
    /// A service at an address that is none.
    #[error("the signing config names a service at an unusable address")]
    Service(#[source] HttpError),
}

/// What signing needs: whose word counts, and whom to ask.
#[derive(Clone, Debug)]
pub struct TrustConfig {
    /// Whose word counts.
    pub trusted_root: TrustedRoot,
    /// Which services there are.
    pub signing_config: SigningConfig,
}

/// The services chosen for one signing.
#[derive(Clone, Debug)]
pub struct Services {
    /// Certificate authority, base URL.
    pub ca: Url,
    /// Where people sign in: the provider's issuer string. None where only build systems sign.
    pub oidc: Option<String>,
    /// Signature logs, base URLs; at least one.
    pub rekor: Vec<Url>,
    /// Timestamp authorities, full URLs; may be none.
    pub tsa: Vec<Url>,
}

/// Reads a trusted root.
///
/// # Errors
/// See [`TrustError`].
pub fn read_trusted_root(path: &Path) -> Result<TrustedRoot, TrustError> {
    let invalid = |cause| TrustError::Invalid { path: path.to_owned(), what: "trusted root", cause };
    TrustedRoot::parse(&read(path)?).map_err(invalid)
}

/// Reads the trusted root of a trust directory.
///
/// # Errors
/// See [`TrustError`].
pub fn read_trusted_root_in(directory: &Path) -> Result<TrustedRoot, TrustError> {
    read_trusted_root(&directory.join(TRUSTED_ROOT_FILE))
}

impl TrustConfig {
    /// Reads a client trust config.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn from_file(path: &Path) -> Result<Self, TrustError> {
        let invalid =
            |cause| TrustError::Invalid { path: path.to_owned(), what: "client trust config", cause };
        let config = ClientTrustConfig::parse(&read(path)?).map_err(invalid)?;
        Ok(Self { trusted_root: config.trusted_root, signing_config: config.signing_config })
    }

    /// Reads the two files apart.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn from_files(trusted_root: &Path, signing_config: &Path) -> Result<Self, TrustError> {
        let invalid =
            |cause| TrustError::Invalid { path: signing_config.to_owned(), what: "signing config", cause };
        Ok(Self {
            trusted_root: read_trusted_root(trusted_root)?,
            signing_config: SigningConfig::parse(&read(signing_config)?).map_err(invalid)?,
        })
    }

    /// Reads a trust directory.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn from_directory(directory: &Path) -> Result<Self, TrustError> {
        Self::from_files(&directory.join(TRUSTED_ROOT_FILE), &directory.join(SIGNING_CONFIG_FILE))
    }

    /// The services to use at a moment.
    ///
    /// # Errors
    /// When a kind is missing, or an address is none.
    pub fn services(&self, now_unix_millis: i64) -> Result<Services, TrustError> {
        let selected = self.signing_config.select(UnixTime::from_millis(now_unix_millis))?;
        let url = |text: &str| http::parse_url(text).map_err(TrustError::Service);
        Ok(Services {
            ca: url(&selected.ca.url)?,
            oidc: selected.oidc.map(|service| service.url.clone()),
            rekor: selected.rekor.iter().map(|s| url(&s.url)).collect::<Result<_, _>>()?,
            tsa: selected.tsa.iter().map(|s| url(&s.url)).collect::<Result<_, _>>()?,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TrustError> {
    let failed = |cause: std::io::Error| match cause.kind() {
        std::io::ErrorKind::NotFound => TrustError::Missing { path: path.to_owned() },
        _ => TrustError::Unreadable { path: path.to_owned(), cause },
    };
    // One byte past the bound is read, so that the parser sees that it is too long and says so.
    let bound = MAX_CLIENT_TRUST_CONFIG_BYTES.saturating_add(1);
    let file = File::open(path).map_err(failed)?;
    // What is there, and a byte to see that it is all.
    let length = file.metadata().map_or(0, |there| usize::try_from(there.len()).unwrap_or(usize::MAX));
    let mut bytes = Vec::with_capacity(length.min(bound).saturating_add(1));
    file.take(bound as u64).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_not_there_or_not_it_are_told_apart() {
        let directory = tempfile::tempdir().unwrap();
        let missing = read_trusted_root_in(directory.path()).unwrap_err();
        assert!(matches!(missing, TrustError::Missing { .. }), "{missing}");
        assert!(missing.to_string().ends_with("trusted_root.json` does not exist"), "{missing}");
        let unreadable = read_trusted_root(directory.path()).unwrap_err();
        assert!(matches!(unreadable, TrustError::Unreadable { .. }), "{unreadable}");
        std::fs::write(directory.path().join(TRUSTED_ROOT_FILE), "{}").unwrap();
        let invalid = TrustConfig::from_directory(directory.path()).unwrap_err();
        assert!(matches!(invalid, TrustError::Invalid { what: "trusted root", .. }), "{invalid}");
        let invalid = TrustConfig::from_file(&directory.path().join(TRUSTED_ROOT_FILE)).unwrap_err();
        assert!(matches!(invalid, TrustError::Invalid { what: "client trust config", .. }), "{invalid}");
    }
}
