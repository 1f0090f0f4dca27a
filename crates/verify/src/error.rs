//! The closed list of reasons why a bundle does not verify, with the values that were compared.

use crate::{
    anchors::TrustRootError,
    chain::ChainStepError,
    content::ContentError,
    entry::EntryMismatch,
    inclusion::{CheckpointStepError, InclusionStepError},
    policy::{EvidenceError, PolicyError},
    promise::PromiseError,
    sct::SctStepError,
    signature::SignatureStepError,
    statement::StatementError,
    structure::{KeyPolicyError, StructureError},
    time::TimeError,
    verified::Verified,
};
use alloc::boxed::Box;
use core::fmt;
use sealog_bundle::{BundleError, JsonError, KindVersion};

/// Why a bundle does not verify.
#[derive(Clone, Debug, thiserror::Error)]
pub enum VerifyError {
    /// The document is not a bundle. [`crate::verify`] takes parsed bundles and never says this; it is
    /// here so that one list covers the way from bytes to verdict.
    #[error("not a bundle: {0}")]
    Bundle(#[from] BundleError),
    /// The document is not a trusted root; likewise.
    #[error("not a trusted root: {0}")]
    TrustedRootDocument(JsonError),
    /// The bundle lacks something.
    #[error(transparent)]
    Structure(#[from] StructureError),
    /// The trusted root lacks something.
    #[error(transparent)]
    TrustRoot(#[from] TrustRootError),
    /// No time to verify at.
    #[error(transparent)]
    Time(#[from] TimeError),
    /// An inclusion promise is not the log's.
    #[error(transparent)]
    Promise(#[from] PromiseError),
    /// The certificate is not trusted.
    #[error(transparent)]
    Chain(#[from] ChainStepError),
    /// The certificate's logging is not proven.
    #[error(transparent)]
    Sct(#[from] SctStepError),
    /// The entry is not in the log.
    #[error(transparent)]
    Inclusion(#[from] InclusionStepError),
    /// The checkpoint is not the log's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointStepError),
    /// The entry is not the bundle's.
    #[error(transparent)]
    Entry(#[from] EntryMismatch),
    /// An entry of a kind this verifier does not know.
    #[error("{0} log entries are not supported")]
    UnsupportedEntry(KindVersion),
    /// The signature is not the signer's.
    #[error(transparent)]
    Signature(#[from] SignatureStepError),
    /// The artifact is another.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The statement is about something else.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The key is another, or none was given.
    #[error(transparent)]
    Key(#[from] KeyPolicyError),
    /// Each thing that was proven holds, but the policy wants more.
    #[error(transparent)]
    Evidence(#[from] EvidenceError),
    /// No bundle, or more than are looked at.
    #[error("{found} bundles for one artifact: 1 to {} are looked at", crate::MAX_BUNDLES)]
    BundleCount {
        /// How many there are.
        found: usize,
    },
    /// All is well, except that the signer is another.
    #[error("{error}")]
    Policy {
        /// How the signer differs.
        error: PolicyError,
        /// What was verified, when the certificate says who signed.
        signed: Option<Box<Verified>>,
    },
}

/// Classes of reasons, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Not a bundle.
    Parse,
    /// A bundle that cannot be verified as it is.
    InvalidBundle,
    /// A trusted root that cannot be used.
    TrustRoot,
    /// Nothing says when it was signed.
    NoVerifiedTime,
    /// A timestamp that does not verify.
    Timestamp,
    /// An inclusion promise that does not verify.
    Promise,
    /// A certificate of no trusted authority.
    Chain,
    /// Not signed in the certificate's life.
    TimeOutsideCertificate,
    /// The certificate's logging is not proven.
    Sct,
    /// The inclusion proof does not hold.
    InclusionProof,
    /// The checkpoint is not the log's.
    Checkpoint,
    /// The entry is not the bundle's.
    EntryMismatch,
    /// A kind of entry that is not supported.
    UnsupportedEntry,
    /// The signature does not verify.
    Signature,
    /// Another artifact than the bundle's.
    Digest,
    /// A statement about something else.
    Subject,
    /// Another key, or a key where a certificate should be.
    Key,
    /// Less is proven than the policy wants.
    Evidence,
    /// Another signer.
    Policy,
}

impl ErrorClass {
    /// The class as programs read it: `invalid-bundle`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Parse => "parse",
            Self::InvalidBundle => "invalid-bundle",
            Self::TrustRoot => "trust-root",
            Self::NoVerifiedTime => "no-verified-time",
            Self::Timestamp => "timestamp",
            Self::Promise => "promise",
            Self::Chain => "chain",
            Self::TimeOutsideCertificate => "time-outside-certificate",
            Self::Sct => "sct",
            Self::InclusionProof => "inclusion-proof",
            Self::Checkpoint => "checkpoint",
            Self::EntryMismatch => "entry-mismatch",
            Self::UnsupportedEntry => "unsupported-entry",
            Self::Signature => "signature",
            Self::Digest => "digest",
            Self::Subject => "subject",
            Self::Key => "key",
            Self::Evidence => "evidence",
            Self::Policy => "policy",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl VerifyError {
    /// The class.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Bundle(BundleError::UnknownVersion { .. })
            | Self::Structure(_)
            | Self::BundleCount { .. } => ErrorClass::InvalidBundle,
            Self::Bundle(_) => ErrorClass::Parse,
            Self::TrustedRootDocument(_) | Self::TrustRoot(_) => ErrorClass::TrustRoot,
            Self::Time(TimeError::None) => ErrorClass::NoVerifiedTime,
            Self::Time(_) => ErrorClass::Timestamp,
            Self::Promise(_) => ErrorClass::Promise,
            Self::Chain(ChainStepError::OutsideCertificate { .. }) => ErrorClass::TimeOutsideCertificate,
            Self::Chain(_) => ErrorClass::Chain,
            Self::Sct(_) => ErrorClass::Sct,
            Self::Inclusion(_) => ErrorClass::InclusionProof,
            Self::Checkpoint(_) => ErrorClass::Checkpoint,
            Self::Entry(_) => ErrorClass::EntryMismatch,
            Self::UnsupportedEntry(_) => ErrorClass::UnsupportedEntry,
            Self::Signature(_) => ErrorClass::Signature,
            Self::Content(_) => ErrorClass::Digest,
            Self::Statement(_) => ErrorClass::Subject,
            Self::Key(_) => ErrorClass::Key,
            Self::Evidence(_) => ErrorClass::Evidence,
            Self::Policy { .. } => ErrorClass::Policy,
        }
    }
}
