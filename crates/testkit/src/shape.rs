//! The shapes a bundle can have: format version, key, entries, times.

use crate::{EntryForm, NOW};
use sealog_bundle::Version;

/// How a bundle says whose key it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// By one certificate.
    Certificate,
    /// By a certificate and those above it, but the root.
    Chain,
    /// By a hint to a key the verifier has.
    Managed,
}

/// A shape.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Format version.
    pub version: Version,
    /// Whose key it was.
    pub key: KeyForm,
    /// The entries, each in the log of its kind.
    pub entries: Vec<EntryForm>,
    /// Whether Rekor v1 promises its entries; they state no time then either.
    pub promise: bool,
    /// Whether there is a timestamp.
    pub timestamp: bool,
    /// Whether a certificate log promised the certificate.
    pub sct: bool,
    /// When it is signed.
    pub at: i64,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            version: Version::V03,
            key: KeyForm::Certificate,
            entries: vec![EntryForm::HashedRekordV002],
            promise: false,
            timestamp: true,
            sct: true,
            at: NOW,
        }
    }
}

impl Shape {
    /// An entry of Rekor v1, promised, and no timestamp: what clients made for years.
    #[must_use]
    pub fn rekor_v1(form: EntryForm) -> Self {
        Self { entries: vec![form], promise: true, timestamp: false, ..Self::default() }
    }

    /// As GitHub's instance for private repositories makes them: a timestamp, and no log of any kind.
    #[must_use]
    pub fn without_logs() -> Self {
        Self { entries: Vec::new(), sct: false, ..Self::default() }
    }

    /// By a key, with neither certificate nor time.
    #[must_use]
    pub fn managed_key() -> Self {
        Self { key: KeyForm::Managed, timestamp: false, ..Self::default() }
    }

    /// With a chain, in the last version that had them.
    #[must_use]
    pub fn chain() -> Self {
        Self { version: Version::V02, key: KeyForm::Chain, ..Self::default() }
    }

    /// Every shape that a bundle by an honest client can have, with whether it holds a statement in place
    /// of a file: the versions, the forms of key, the kinds of entry and the sources of time, as they go
    /// together.
    #[must_use]
    pub fn every() -> Vec<(Self, bool)> {
        let mut every = Vec::new();
        for version in [Version::V01, Version::V02, Version::V03] {
            for key in [KeyForm::Certificate, KeyForm::Chain, KeyForm::Managed] {
                for form in EntryForm::ALL {
                    for (promise, timestamp) in [(false, false), (false, true), (true, false), (true, true)] {
                        let entries = vec![form];
                        let shape = Self { version, key, entries, promise, timestamp, ..Self::default() };
                        let things = [false, true].into_iter().filter(|statement| form.goes_with(*statement));
                        every.extend(things.filter(|_| shape.is_usual()).map(|thing| (shape.clone(), thing)));
                    }
                }
            }
        }
        every
    }

    /// Whether its parts go together.
    fn is_usual(&self) -> bool {
        let v1 = self.entries.iter().any(|form| form.is_v1());
        let chain_in_v03 = self.version == Version::V03 && self.key == KeyForm::Chain;
        // The first version had promises only, and clients that keep to it want one.
        let unpromised = self.version == Version::V01 && !self.promise;
        let timeless = self.key != KeyForm::Managed && !self.promise && !self.timestamp;
        !chain_in_v03 && !unpromised && !timeless && (v1 || !self.promise)
    }
}
