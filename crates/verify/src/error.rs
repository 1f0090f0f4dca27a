//! The closed list of reasons why a bundle does not verify, with the values that were compared.

use crate::{
    authority::TrustRootError,
    chain::ChainStepError,
    content::ContentError,
    entry::EntryMismatch,
    inclusion::{CheckpointStepError, InclusionStepError},
    policy::PolicyError,
    promise::PromiseError,
    sct::SctStepError,
    signature::SignatureStepError,
    statement::StatementError,
    structure::{KeyPolicyError, StructureError},
    time::TimeError,
    verified::Verified,
};
use alloc::{
    boxed::Box,
    format,
    string::{String, ToString as _},
};
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
            Self::Policy => "policy",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Two values that should be equal and are not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The value wanted.
    pub expected: String,
    /// Where it is from.
    pub expected_from: &'static str,
    /// The value found.
    pub found: String,
    /// Where it is from.
    pub found_from: &'static str,
}

impl VerifyError {
    /// The class.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Bundle(BundleError::UnknownVersion { .. }) | Self::Structure(_) => {
                ErrorClass::InvalidBundle
            }
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
            Self::Policy { .. } => ErrorClass::Policy,
        }
    }

    /// The values that were compared, where two were.
    #[must_use]
    pub fn compared(&self) -> Option<Compared> {
        let compared = |expected: String, expected_from, found: String, found_from| {
            Some(Compared { expected, expected_from, found, found_from })
        };
        match self {
            Self::Content(ContentError::OtherArtifact { expected, found }) => {
                let (expected, found) = (expected.to_string(), found.to_string());
                compared(expected, "message digest in the bundle", found, "computed from the file")
            }
            Self::Statement(StatementError::OtherArtifact { expected, found }) => compared(
                expected.clone(),
                "first subject of the statement",
                found.clone(),
                "computed from the file",
            ),
            Self::Statement(StatementError::PayloadType { found }) => {
                let expected = sealog_bundle::dsse::IN_TOTO_PAYLOAD_TYPE.into();
                compared(expected, "payload type", found.clone(), "payload type of the envelope")
            }
            Self::Statement(StatementError::StatementType { found }) => {
                let expected = sealog_bundle::statement::STATEMENT_V1.into();
                compared(expected, "statement type", found.clone(), "in the envelope")
            }
            Self::Key(KeyPolicyError::OtherKey { expected, found }) => compared(
                expected.clone(),
                "SHA-256 of the key given",
                found.clone(),
                "key hint in the bundle",
            ),
            Self::Chain(ChainStepError::OutsideCertificate { time, not_before, not_after, .. }) => {
                let expected = format!("{not_before} to {not_after}");
                compared(expected, "validity of the certificate", time.to_string(), "verified time")
            }
            Self::Inclusion(InclusionStepError::Index { expected, found }) => compared(
                expected.to_string(),
                "log index of the entry",
                found.to_string(),
                "in its inclusion proof",
            ),
            Self::Inclusion(InclusionStepError::Size { expected, found }) => {
                compared(expected.to_string(), "checkpoint", found.to_string(), "inclusion proof")
            }
            Self::Inclusion(InclusionStepError::Root { expected, found }) => {
                compared(expected.to_string(), "checkpoint", found.to_string(), "inclusion proof")
            }
            Self::Entry(mismatch) => compare_entry(mismatch),
            Self::Policy { error, .. } => compare_policy(error),
            Self::Time(TimeError::NotVerified { source, .. }) => match &**source {
                sealog_pki::timestamp::TimestampError::Imprint { expected, found } => compared(
                    expected.to_string(),
                    "digest of the signature",
                    found.to_string(),
                    "in the signed timestamp",
                ),
                _ => None,
            },
            Self::Bundle(_)
            | Self::TrustedRootDocument(_)
            | Self::Structure(_)
            | Self::TrustRoot(_)
            | Self::Time(_)
            | Self::Promise(_)
            | Self::Chain(_)
            | Self::Sct(_)
            | Self::Inclusion(_)
            | Self::Checkpoint(_)
            | Self::UnsupportedEntry(_)
            | Self::Signature(_)
            | Self::Content(_)
            | Self::Statement(_)
            | Self::Key(_) => None,
        }
    }
}

fn compare_entry(mismatch: &EntryMismatch) -> Option<Compared> {
    let (expected, found) = match mismatch {
        EntryMismatch::Digest { expected, found }
        | EntryMismatch::Signature { expected, found }
        | EntryMismatch::Key { expected, found }
        | EntryMismatch::Kind { expected, found } => (expected.clone(), found.clone()),
        EntryMismatch::Algorithm { expected, found } => (expected.to_string(), found.to_string()),
        EntryMismatch::Unreadable(_) | EntryMismatch::WrongContent { .. } | EntryMismatch::NotCanonical => {
            return None;
        }
    };
    Some(Compared { expected, expected_from: "from the bundle", found, found_from: "in the log entry" })
}

fn compare_policy(error: &PolicyError) -> Option<Compared> {
    let (expected, found, expected_from, found_from) = match error {
        PolicyError::Identity { expected, found }
        | PolicyError::Issuer { expected, found }
        | PolicyError::Extension { expected, found, .. } => {
            (expected, found, "asked for", "in the certificate")
        }
        PolicyError::TwoIssuers { newer, older } => (newer, older, "newer extension", "older extension"),
        PolicyError::NotOneIdentity { .. } | PolicyError::NoIssuer => return None,
    };
    Some(Compared { expected: expected.clone(), expected_from, found: found.clone(), found_from })
}
