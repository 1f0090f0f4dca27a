//! What must prove a signature, beside the signer: how many logs, timestamp authorities, certificate
//! logs and witnesses.
//!
//! Operators are counted, not instances: two shards of one log are one log. Where a trusted root names
//! no operators, logs count by their key and timestamp authorities by their address.

use alloc::{string::String, vec::Vec};
use core::num::NonZeroUsize;
use sealog_tlog::note::{KeyType, KeyVerifier, NoteVerifier as _};

/// Witnesses of one policy: each is looked for among the cosignatures of every checkpoint.
const MAX_WITNESSES: usize = 256;

/// What must be proven of every signature.
#[derive(Clone, Debug)]
pub struct Evidence {
    pub(crate) logs: usize,
    pub(crate) scts: usize,
    pub(crate) timestamps: usize,
    pub(crate) witnesses: Witnesses,
    pub(crate) promise_is_enough: bool,
}

/// Witnesses, and how many of them must have cosigned a log's checkpoint (C2SP tlog-cosignature).
#[derive(Clone, Debug, Default)]
pub struct Witnesses {
    threshold: usize,
    keys: Vec<KeyVerifier>,
}

/// Why witnesses cannot be asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// More than any policy needs.
    #[error("{listed} witnesses are listed; at most {MAX_WITNESSES} can be")]
    TooMany {
        /// Listed.
        listed: usize,
    },
    /// A key that signs otherwise.
    #[error("the key of `{name}` makes no cosignatures")]
    NotAWitness {
        /// Its name.
        name: String,
    },
    /// A key that is there twice would count twice.
    #[error("the key of `{name}` is listed twice")]
    Twice {
        /// Its name.
        name: String,
    },
    /// More are wanted than there are.
    #[error("{threshold} witnesses are wanted, and {listed} are listed")]
    Threshold {
        /// Wanted.
        threshold: usize,
        /// Listed.
        listed: usize,
    },
}

/// Less is proven than the policy wants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Too few logs.
    #[error("the signature is proven to be in fewer transparency logs than the policy wants")]
    Logs {
        /// Wanted.
        expected: usize,
        /// Proven.
        found: usize,
    },
    /// Too few timestamp authorities.
    #[error("fewer timestamp authorities state a time than the policy wants")]
    Timestamps {
        /// Wanted.
        expected: usize,
        /// Proven.
        found: usize,
    },
    /// Too few certificate logs.
    #[error("fewer certificate logs promised to show the certificate than the policy wants")]
    Scts {
        /// Wanted.
        expected: usize,
        /// Proven.
        found: usize,
    },
    /// Witnesses, and nothing that they could have cosigned.
    #[error("the policy wants witnesses, and no checkpoint of a trusted log is there for them to cosign")]
    NothingToWitness {
        /// Wanted.
        expected: usize,
    },
    /// Too few witnesses.
    #[error("fewer witnesses cosigned the checkpoint of {log} than the policy wants")]
    Witnesses {
        /// The log's URL.
        log: String,
        /// Wanted.
        expected: usize,
        /// Proven.
        found: usize,
    },
}

impl Default for Evidence {
    /// One log, one certificate log, one time by a timestamp authority or a log's promise. (The last is
    /// wanted of every signature by certificate, whatever the policy says.)
    fn default() -> Self {
        Self { logs: 1, scts: 1, timestamps: 0, witnesses: Witnesses::default(), promise_is_enough: false }
    }
}

impl Evidence {
    /// Wants the signature in so many transparency logs.
    #[must_use]
    pub const fn with_logs(mut self, number: NonZeroUsize) -> Self {
        self.logs = number.get();
        self
    }

    /// Wants no transparency log: nobody can find out that the signature exists, and a stolen identity
    /// leaves no trace. For instances that have none, such as GitHub's for private repositories.
    #[must_use]
    pub const fn without_log_unsafe(mut self) -> Self {
        self.logs = 0;
        self
    }

    /// Wants promises by so many certificate logs.
    #[must_use]
    pub const fn with_scts(mut self, number: NonZeroUsize) -> Self {
        self.scts = number.get();
        self
    }

    /// Wants no promise to show the certificate: nobody can find out that it was issued.
    #[must_use]
    pub const fn without_sct_unsafe(mut self) -> Self {
        self.scts = 0;
        self
    }

    /// Wants times by so many timestamp authorities, logs' promises not counted.
    #[must_use]
    pub const fn with_timestamps(mut self, number: usize) -> Self {
        self.timestamps = number;
        self
    }

    /// Wants the checkpoint of every log that counts cosigned by witnesses. A promise has no checkpoint, so that
    /// none is taken for a proof then, and there must be one log even where none is wanted.
    #[must_use]
    pub fn with_witnesses(mut self, witnesses: Witnesses) -> Self {
        self.witnesses = witnesses;
        self
    }

    /// Takes the word of a Rekor v1 log that an entry will be there, in bundles of version 0.1 that carry
    /// no proof that it is (as tools wrote them in 2022 and 2023).
    #[must_use]
    pub const fn accepting_promises(mut self) -> Self {
        self.promise_is_enough = true;
        self
    }
}

impl Witnesses {
    /// So many of these keys, each in the form `name+hash+key` (C2SP signed-note) of type 0x04.
    ///
    /// # Errors
    /// When a key is no witness's or listed twice, or there are too few.
    pub fn new(threshold: usize, keys: Vec<KeyVerifier>) -> Result<Self, WitnessError> {
        Self::check_number(keys.len())?;
        for (at, key) in keys.iter().enumerate() {
            let name = || String::from(key.name());
            if key.key_type() != KeyType::Cosignature {
                return Err(WitnessError::NotAWitness { name: name() });
            }
            if keys.iter().take(at).any(|earlier| earlier.public_key() == key.public_key()) {
                return Err(WitnessError::Twice { name: name() });
            }
        }
        match keys.len() {
            listed if threshold > listed => Err(WitnessError::Threshold { threshold, listed }),
            _ => Ok(Self { threshold, keys }),
        }
    }

    /// Of keys, before they are read.
    pub(super) const fn check_number(listed: usize) -> Result<(), WitnessError> {
        if listed > MAX_WITNESSES { Err(WitnessError::TooMany { listed }) } else { Ok(()) }
    }

    pub(crate) const fn threshold(&self) -> usize {
        self.threshold
    }

    pub(crate) fn keys(&self) -> &[KeyVerifier] {
        &self.keys
    }
}
