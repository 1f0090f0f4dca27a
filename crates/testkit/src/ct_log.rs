//! Certificate logs: promises to show a certificate, with a place in them or without.

use crate::{Draft, Holder, seed, usual_window};
use sealog_bundle::{KeyDetails, TransparencyLog, ValidFor};
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, Signer as _};
use sealog_tlog::ct::{CtEntry, Sct, leaf_index_extension, log_id};
use std::sync::Arc;

/// What a log's promises say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SctForm {
    /// No extensions, as RFC 6962 logs have it.
    Rfc6962,
    /// This leaf index in the extensions, as static-ct logs have it.
    LeafIndex(u64),
}

/// A certificate log.
#[derive(Clone)]
pub struct CtLog {
    /// Where it is.
    pub url: String,
    /// Its key.
    pub key: Arc<PrivateKey>,
    /// What its promises say.
    pub form: SctForm,
    /// When it is trusted.
    pub valid_for: ValidFor,
}

impl CtLog {
    /// A static-ct log with an ECDSA P-256 key.
    #[must_use]
    pub fn new(label: &str) -> Self {
        Self::with_key(label, KeyKind::EcdsaP256)
    }

    /// A static-ct log with a key of this kind.
    #[must_use]
    pub fn with_key(label: &str, kind: KeyKind) -> Self {
        Self {
            url: "https://ct.example".into(),
            key: seed::key(&format!("{label} ct log"), kind),
            form: SctForm::LeafIndex(7),
            valid_for: usual_window(),
        }
    }

    /// A promise to show what a draft becomes when this authority issues it.
    #[must_use]
    pub fn sct(&self, draft: &Draft, by: &Holder, at: i64) -> Sct {
        self.sct_of(&draft.ct_entry(by), at * 1000)
    }

    /// A promise about an entry, at a time in milliseconds.
    #[must_use]
    pub fn sct_of(&self, entry: &CtEntry, at_ms: i64) -> Sct {
        let extensions = match self.form {
            SctForm::Rfc6962 => Vec::new(),
            SctForm::LeafIndex(index) => leaf_index_extension(index).unwrap(),
        };
        Sct::sign(u64::try_from(at_ms).unwrap(), entry, extensions, self.key.as_ref()).unwrap()
    }

    /// As the trusted root has it.
    #[must_use]
    pub fn listed(&self) -> TransparencyLog {
        let key = self.key.public_key();
        TransparencyLog {
            base_url: self.url.clone(),
            hash_algorithm: HashAlgorithm::Sha256,
            public_key: key.spki_der().to_vec(),
            key_details: KeyDetails::for_log_key(key).unwrap(),
            valid_for: self.valid_for,
            log_id: log_id(key).to_vec(),
            checkpoint_key_id: Vec::new(),
            operator: String::new(),
        }
    }
}
