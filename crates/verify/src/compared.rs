//! For each reason why a bundle does not verify: what was expected, and what was found instead.

use crate::{
    anchors::TrustRootError,
    chain::ChainStepError,
    content::ContentError,
    entry::EntryMismatch,
    error::VerifyError,
    inclusion::{CheckpointStepError, InclusionStepError},
    policy::{EvidenceError, PolicyError},
    promise::PromiseError,
    sct::SctStepError,
    signature::SignatureStepError,
    statement::StatementError,
    structure::{KeyPolicyError, StructureError},
    time::TimeError,
    verdict::causes,
};
use alloc::{
    format,
    string::{String, ToString as _},
};
use sealog_bundle::{BundleError, Version, dsse::IN_TOTO_PAYLOAD_TYPE, statement::STATEMENT_V1};
use sealog_pki::{ChainError, sct::EmbeddedSctError, timestamp::TimestampError};
use sealog_tlog::{CheckpointError, ct::SctError, merkle::ProofError, note::NoteError};

/// Two values that should be equal and are not, or what should be there and what is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// The value wanted.
    pub expected: String,
    /// Where it is from; empty when that needs no saying.
    pub expected_from: &'static str,
    /// The value found.
    pub found: String,
    /// Where it is from; empty when that needs no saying.
    pub found_from: &'static str,
}

fn pair(
    expected: impl Into<String>,
    expected_from: &'static str,
    found: impl Into<String>,
    found_from: &'static str,
) -> Compared {
    let said = |text: String| if text.is_empty() { String::from("nothing") } else { text };
    Compared { expected: said(expected.into()), expected_from, found: said(found.into()), found_from }
}

/// What should be there, and what is.
fn instead(expected: impl Into<String>, found: impl Into<String>) -> Compared {
    pair(expected, "", found, "")
}

impl VerifyError {
    /// The values that were compared; where nothing was, what should be there and what is.
    #[must_use]
    pub fn compared(&self) -> Compared {
        match self {
            Self::Bundle(BundleError::UnknownVersion { found }) => {
                pair(Version::V03.media_type(), "or an earlier version", found.as_str(), "media type")
            }
            Self::Bundle(error) => instead("a Sigstore bundle in JSON", error.to_string()),
            Self::TrustedRootDocument(error) => instead("a Sigstore trusted root in JSON", error.to_string()),
            Self::Structure(error) => structure(error),
            Self::TrustRoot(error) => match error {
                TrustRootError::None { what } => instead(format!("a {what} that can be used"), "none"),
                TrustRootError::LogKey { source, .. } => {
                    instead("a key that can be used", source.to_string())
                }
                TrustRootError::LogAlgorithm { details, .. } => {
                    instead(format!("a key that signs with {details}"), "a key of another kind")
                }
                TrustRootError::LogHash { algorithm, .. } => instead("sha256", algorithm.name()),
            },
            Self::Time(error) => time(error),
            Self::Promise(PromiseError::NotVerified { log, source }) => {
                pair(format!("a promise signed by {log}"), "", source.to_string(), "inclusion promise")
            }
            Self::Promise(PromiseError::OutsideWindow { time, .. }) => {
                pair("a time at which the log was trusted", "", time.to_string(), "integrated time")
            }
            Self::Chain(error) => chain(error),
            Self::Sct(error) => sct(error),
            Self::Inclusion(error) => inclusion(error),
            Self::Checkpoint(error) => checkpoint(error),
            Self::Entry(error) => entry(error),
            Self::UnsupportedEntry(kind) => pair(
                "hashedrekord 0.0.1 or 0.0.2, dsse 0.0.1, intoto 0.0.2",
                "kinds this verifier knows",
                kind.to_string(),
                "in the bundle",
            ),
            Self::Signature(SignatureStepError::Invalid(error)) => {
                instead("a signature by the signer's key over this content", error.to_string())
            }
            Self::Content(error) => content(error),
            Self::Statement(error) => statement(error),
            Self::Key(error) => key(error),
            Self::Evidence(error) => evidence(error),
            Self::BundleCount { found } => {
                instead(format!("1 to {} bundles", crate::MAX_BUNDLES), found.to_string())
            }
            Self::Policy { error, .. } => policy(error),
        }
    }
}

fn structure(error: &StructureError) -> Compared {
    let one = |what: &str, at: &usize| instead(format!("{what} in log entry {at}"), "none");
    match error {
        StructureError::EmptyChain => instead("the signer's certificate", "an empty chain"),
        StructureError::ChainInV03 => instead("one certificate", "a chain"),
        StructureError::Certificate { source, .. } => instead("an X.509 certificate", source.to_string()),
        StructureError::RootForLeaf => instead("the signer's certificate", "a root's"),
        StructureError::SignatureCount { found } => instead("1 signature", found.to_string()),
        StructureError::TwoHints { hint, keyid } => {
            pair(hint.as_str(), "key hint of the bundle", keyid.as_str(), "keyid of the envelope")
        }
        StructureError::SignatureTooLong { found } => instead("a signature", format!("{found} bytes")),
        StructureError::NoLogEntry => instead("a transparency log entry", "none"),
        StructureError::EntryTwice { .. } => instead("each log entry once", "one twice"),
        StructureError::NoInclusionProof { at, promised: true } => {
            instead(format!("an inclusion proof in log entry {at}"), "the log's promise only")
        }
        StructureError::NoInclusionProof { at, .. } => one("an inclusion proof", at),
        StructureError::NoCheckpoint { at } => one("a checkpoint", at),
        StructureError::NoPromise { at } => one("an inclusion promise, as version 0.1 wants it,", at),
        StructureError::UnknownPromise { .. } => instead("no inclusion promise", "one"),
        StructureError::UnknownTime { .. } => instead("no integrated time", "one"),
        StructureError::TimestampTwice { .. } => instead("each timestamp once", "one twice"),
    }
}

fn time(error: &TimeError) -> Compared {
    match error {
        TimeError::None => instead("a timestamp, or a promise with a time, by a trusted service", "none"),
        TimeError::Malformed { source, .. } => instead("an RFC 3161 response", source.to_string()),
        TimeError::OutsideWindow { time, .. } => {
            instead("a time at which the authority was trusted", time.to_string())
        }
        TimeError::NotVerified { source, .. } => match &**source {
            TimestampError::Imprint { expected, found } => pair(
                expected.to_string(),
                "digest of the signature",
                found.to_string(),
                "in the signed timestamp",
            ),
            TimestampError::UnknownSigner | TimestampError::UntrustedSigner => {
                instead("a timestamp authority of the trusted root", "another")
            }
            other => instead("a timestamp by a trusted authority", causes(other)),
        },
    }
}

fn chain(error: &ChainStepError) -> Compared {
    match error {
        ChainStepError::OutsideCertificate { time, not_before, not_after, .. } => pair(
            format!("{not_before} to {not_after}"),
            "validity of the certificate",
            time.to_string(),
            "verified time",
        ),
        ChainStepError::NoAuthority { time } => {
            instead(format!("a certificate authority trusted at {time}"), "none in the trusted root")
        }
        ChainStepError::TwoIssuers => instead("one issuer at all times", "two"),
        ChainStepError::Path(error) => match &**error {
            ChainError::UnknownIssuer { .. } => {
                instead("an issuer among the trusted root's authorities", "another")
            }
            other => instead("a certificate by a trusted authority, for signing code", causes(other)),
        },
    }
}

fn sct(error: &SctStepError) -> Compared {
    let promise = "a signed certificate timestamp by a log of the trusted root";
    match error {
        SctStepError::Embedded(EmbeddedSctError::Missing) => instead(promise, "none"),
        SctStepError::NoKnownLog => instead(promise, "by other logs only"),
        SctStepError::Embedded(error) => instead(promise, error.to_string()),
        SctStepError::NotVerified { source, .. } => match &**source {
            SctError::Signature(_) => instead(promise, "one that the log did not sign for this certificate"),
            other => instead(promise, other.to_string()),
        },
        SctStepError::OutsideWindow { time, .. } => {
            instead("a time at which the log was trusted", time.to_string())
        }
    }
}

fn inclusion(error: &InclusionStepError) -> Compared {
    match error {
        InclusionStepError::Index { expected, found } => {
            pair(expected.to_string(), "log index of the entry", found.to_string(), "in its inclusion proof")
        }
        InclusionStepError::Size { expected, found } => {
            pair(expected.to_string(), "checkpoint", found.to_string(), "inclusion proof")
        }
        InclusionStepError::Root { expected, found } => {
            pair(expected.to_string(), "checkpoint", found.to_string(), "inclusion proof")
        }
        InclusionStepError::Proof(ProofError::Root { expected, found }) => pair(
            expected.to_string(),
            "checkpoint",
            found.to_string(),
            "where the proof leads from the entry",
        ),
        InclusionStepError::Proof(other) => instead("a proof from the entry to the root", other.to_string()),
    }
}

fn checkpoint(error: &CheckpointStepError) -> Compared {
    match error {
        CheckpointStepError::UnknownLog { found } => {
            pair("a log of the trusted root", "", found.as_str(), "log id in the bundle")
        }
        CheckpointStepError::NoName { log } => {
            pair("a URL with a host", "", log.as_str(), "in the trusted root")
        }
        CheckpointStepError::OutsideWindow { time, .. } => {
            instead("a time at which the log was trusted", time.to_string())
        }
        CheckpointStepError::NotVerified { log, source } => match &**source {
            CheckpointError::Origin { expected, found } => {
                pair(expected.as_str(), "the log's name", found.as_str(), "origin of the checkpoint")
            }
            CheckpointError::Note(NoteError::Unsigned { .. }) => {
                instead(format!("a checkpoint signed by {log}"), "no signature of that log's key")
            }
            CheckpointError::Note(NoteError::BadSignature { name, .. }) => instead(
                format!("a checkpoint signed by {log}"),
                format!("a signature of `{name}` that does not verify"),
            ),
            other => instead("a signed checkpoint", other.to_string()),
        },
    }
}

fn entry(mismatch: &EntryMismatch) -> Compared {
    let (expected, found) = match mismatch {
        EntryMismatch::Digest { expected, found }
        | EntryMismatch::Signature { expected, found }
        | EntryMismatch::Key { expected, found }
        | EntryMismatch::Kind { expected, found } => (expected.clone(), found.clone()),
        EntryMismatch::Algorithm { expected, found } => (expected.to_string(), found.to_string()),
        EntryMismatch::Unreadable(error) => {
            return instead("an entry in JSON of its kind", error.to_string());
        }
        EntryMismatch::WrongContent { kind } => {
            return instead("a kind that goes with what was signed", kind.as_str());
        }
        EntryMismatch::NotCanonical => {
            return instead("the one canonical form (RFC 8785)", "another spelling of the same");
        }
    };
    let found = if found.is_empty() { "none, or several".into() } else { found };
    pair(expected, "from the bundle", found, "in the log entry")
}

fn content(error: &ContentError) -> Compared {
    match error {
        ContentError::OtherArtifact { expected, found } => pair(
            expected.to_string(),
            "message digest in the bundle",
            found.to_string(),
            "computed from the file",
        ),
        ContentError::DigestNotKnown { needed } => {
            instead(format!("the {needed} digest, or the file"), "digests by other algorithms")
        }
        ContentError::BytesNotKnown => instead("the file itself", "a digest"),
    }
}

fn statement(error: &StatementError) -> Compared {
    match error {
        StatementError::OtherArtifact { expected, found } => pair(
            expected.as_str(),
            "first subject of the statement",
            found.as_str(),
            "computed from the file",
        ),
        StatementError::PayloadType { found } => {
            pair(IN_TOTO_PAYLOAD_TYPE, "payload type", found.as_str(), "payload type of the envelope")
        }
        StatementError::StatementType { found } => {
            pair(STATEMENT_V1, "statement type", found.as_str(), "in the envelope")
        }
        StatementError::Unreadable(error) => instead("an in-toto statement in JSON", error.to_string()),
        StatementError::NoSubject => instead("a subject with a sha256, sha384 or sha512 digest", "none"),
    }
}

fn key(error: &KeyPolicyError) -> Compared {
    match error {
        KeyPolicyError::OtherKey { expected, found } => {
            pair(expected.as_str(), "SHA-256 of the key given", found.as_str(), "key hint in the bundle")
        }
        KeyPolicyError::NoKeyGiven => instead("a certificate that names the signer", "a signature by a key"),
        KeyPolicyError::KeyForCertificate => instead("a signature by the key given", "a certificate"),
        KeyPolicyError::NoAlgorithm(kind) => instead("a key of the algorithm registry", kind.to_string()),
    }
}

fn evidence(error: &EvidenceError) -> Compared {
    let (expected, found, what) = match error {
        EvidenceError::Logs { expected, found } => (expected, found, "transparency logs"),
        EvidenceError::Timestamps { expected, found } => (expected, found, "timestamp authorities"),
        EvidenceError::Scts { expected, found } => (expected, found, "certificate logs"),
        EvidenceError::NothingToWitness { expected } => (expected, &0, "witnesses"),
        EvidenceError::Witnesses { expected, found, .. } => (expected, found, "witnesses"),
    };
    pair(expected.to_string(), what, found.to_string(), "of different operators")
}

fn policy(error: &PolicyError) -> Compared {
    let asked = |expected: &str, found: &str| pair(expected, "asked for", found, "in the certificate");
    match error {
        PolicyError::Identity { expected, found } | PolicyError::Issuer { expected, found } => {
            asked(expected, found)
        }
        PolicyError::Extension { expected, found, .. } => {
            asked(expected, if found.is_empty() { "none" } else { found })
        }
        PolicyError::NoneOf { expected, found } => {
            pair(expected.as_str(), "asked for", found.as_str(), "the signer")
        }
        PolicyError::TwoIssuers { newer, older } => {
            pair(newer.as_str(), "newer extension", older.as_str(), "older extension")
        }
        PolicyError::NotOneIdentity { found } => instead("one name", found.to_string()),
        PolicyError::NoIssuer => instead("the OIDC issuer that vouched for the signer", "none"),
        PolicyError::TooFewSigners { needed, heard, .. } => {
            pair(format!("{needed} different signers"), "", heard.as_str(), "")
        }
    }
}
