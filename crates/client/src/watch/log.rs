//! Which logs there are to follow: name, address and key, from the trusted root.

use crate::http::{self, HttpError};
use sealog_bundle::{TransparencyLog, TrustedRoot, UnixTime};
use sealog_crypto::PublicKey;
use sealog_tlog::{
    note::{self, KeyVerifier},
    tile::{DATA_DIR, ENTRIES_DIR},
};
use url::Url;

/// What a log's entries are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LogKind {
    /// Signatures: a Rekor v2 log.
    Signatures,
    /// Certificates: a static-ct log.
    Certificates,
}

impl LogKind {
    /// Directory of its entry bundles.
    #[must_use]
    pub const fn bundle_dir(self) -> &'static str {
        match self {
            Self::Signatures => ENTRIES_DIR,
            Self::Certificates => DATA_DIR,
        }
    }
}

/// A log to follow.
#[derive(Clone, Debug)]
pub struct LogDescription {
    /// What its entries are.
    pub kind: LogKind,
    /// The name in its checkpoints.
    pub origin: String,
    /// Where its files are.
    pub url: Url,
    /// What the trusted root calls it.
    pub log_id: Vec<u8>,
    /// The key that signs its checkpoints.
    pub key: KeyVerifier,
}

/// Why a log of the trusted root cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum LogDescriptionError {
    /// Its address is none.
    #[error(transparent)]
    Url(#[from] HttpError),
    /// Its key is none.
    #[error("the key of log `{url}` cannot be used")]
    Key {
        /// The log.
        url: String,
        /// Why not.
        #[source]
        cause: sealog_crypto::KeyError,
    },
    /// Its key signs no checkpoints.
    #[error("the key of log `{url}` cannot sign checkpoints")]
    Note {
        /// The log.
        url: String,
        /// Why not.
        #[source]
        cause: note::KeyError,
    },
}

impl LogDescription {
    /// A Rekor v2 log: its origin is its bare host name.
    ///
    /// # Errors
    /// When its address or key cannot be used.
    pub fn signatures(log: &TransparencyLog) -> Result<Self, LogDescriptionError> {
        let origin = log.host().unwrap_or_default();
        Self::new(LogKind::Signatures, origin, log, KeyVerifier::for_log)
    }

    /// A static-ct log: its origin is its address without the scheme.
    ///
    /// # Errors
    /// When its address or key cannot be used.
    pub fn certificates(log: &TransparencyLog) -> Result<Self, LogDescriptionError> {
        let origin = log.base_url.split_once("://").map_or("", |(_, rest)| rest.trim_end_matches('/'));
        Self::new(LogKind::Certificates, origin, log, KeyVerifier::tree_head)
    }

    /// Every log of the trusted root, also those whose validity has ended: what was logged last before
    /// the end may not have been read yet.
    ///
    /// # Errors
    /// When a log's address or key cannot be used.
    pub fn every(root: &TrustedRoot) -> Result<Vec<Self>, LogDescriptionError> {
        Self::those(root, |_| true)
    }

    /// Every log of the trusted root that can still grow.
    ///
    /// # Errors
    /// When a log's address or key cannot be used.
    pub fn all(root: &TrustedRoot, now: UnixTime) -> Result<Vec<Self>, LogDescriptionError> {
        Self::those(root, |log| log.valid_for.end.is_none_or(|end| now < end))
    }

    fn those(
        root: &TrustedRoot,
        wanted: impl Fn(&TransparencyLog) -> bool,
    ) -> Result<Vec<Self>, LogDescriptionError> {
        let signatures = root.tlogs.iter().filter(|log| wanted(log)).map(Self::signatures);
        let certificates = root.ctlogs.iter().filter(|log| wanted(log)).map(Self::certificates);
        signatures.chain(certificates).collect()
    }

    fn new(
        kind: LogKind,
        origin: &str,
        log: &TransparencyLog,
        verifier: impl FnOnce(&str, PublicKey) -> Result<KeyVerifier, note::KeyError>,
    ) -> Result<Self, LogDescriptionError> {
        let url = http::parse_url(&log.base_url)?;
        let name = || log.base_url.clone();
        let key = PublicKey::from_spki_der(&log.public_key)
            .map_err(|cause| LogDescriptionError::Key { url: name(), cause })?;
        let key = verifier(origin, key).map_err(|cause| LogDescriptionError::Note { url: name(), cause })?;
        Ok(Self { kind, origin: origin.to_owned(), url, log_id: log.log_id.clone(), key })
    }
}
