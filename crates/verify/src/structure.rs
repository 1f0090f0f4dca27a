//! Steps 0 and 1: whether a bundle has all that verification needs, once each.

use crate::{
    error::VerifyError,
    policy::{Evidence, Policy},
};
use alloc::{string::String, vec::Vec};
use sealog_bundle::{
    Bundle, Content, Envelope, InclusionProof, KeyMaterial, KindVersion, MessageSignature,
    TransparencyLogEntry, Version, dsse::EnvelopeSignature, json::decode_base64,
};
use sealog_crypto::{PublicKey, sha256};
use sealog_pki::{Certificate, CertificateError};

/// Bytes of a signature; the longest of the registry, ML-DSA-87's, have 4,627. Each timestamp hashes them again.
const MAX_SIGNATURE_BYTES: usize = 16 << 10;

/// What a bundle lacks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StructureError {
    /// A chain without certificates.
    #[error("the certificate chain is empty")]
    EmptyChain,
    /// A chain where the format has room for one certificate only.
    #[error("a version 0.3 bundle carries one certificate, not a chain")]
    ChainInV03,
    /// A certificate that cannot be read.
    #[error("certificate {at} of the bundle cannot be read: {source}")]
    Certificate {
        /// Which, the leaf being 0.
        at: usize,
        /// What is wrong.
        source: CertificateError,
    },
    /// A root certificate in the signer's place.
    #[error("the bundle's certificate is a root's, not a signer's")]
    RootForLeaf,
    /// Other than one signature.
    #[error("the envelope has {found} signatures instead of one")]
    SignatureCount {
        /// How many there are.
        found: usize,
    },
    /// Two hints which key it was.
    #[error("the bundle's key hint and the envelope's keyid differ")]
    TwoHints {
        /// In the bundle.
        hint: String,
        /// In the envelope.
        keyid: String,
    },
    /// Longer than any signature.
    #[error("a signature of {found} bytes is longer than any")]
    SignatureTooLong {
        /// How long it is.
        found: usize,
    },
    /// No log entry.
    #[error("the bundle has no transparency log entry")]
    NoLogEntry,
    /// The same log entry twice.
    #[error("log entry {at} is there twice")]
    EntryTwice {
        /// Which.
        at: usize,
    },
    /// No inclusion proof.
    #[error("log entry {at} has no inclusion proof")]
    NoInclusionProof {
        /// Which.
        at: usize,
        /// Whether the log at least promised to take it in.
        promised: bool,
    },
    /// No checkpoint.
    #[error("log entry {at} has no checkpoint")]
    NoCheckpoint {
        /// Which.
        at: usize,
    },
    /// A version 0.1 bundle without promise.
    #[error("log entry {at} has no inclusion promise")]
    NoPromise {
        /// Which.
        at: usize,
    },
    /// A promise by a log that makes none.
    #[error("log entry {at} has an inclusion promise, which Rekor v2 does not make")]
    UnknownPromise {
        /// Which.
        at: usize,
    },
    /// A time by a log that states none.
    #[error("log entry {at} has an integrated time, which Rekor v2 does not state")]
    UnknownTime {
        /// Which.
        at: usize,
    },
    /// The same timestamp twice.
    #[error("timestamp {at} is there twice")]
    TimestampTwice {
        /// Which.
        at: usize,
    },
}

/// Why policy and bundle speak of different kinds of signers, or keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyPolicyError {
    /// A key is needed and none was named.
    #[error("the bundle was signed with a key, and no key to verify it with was given")]
    NoKeyGiven,
    /// A key was named and a certificate was used.
    #[error("the bundle was signed with a certificate, and a key was given to verify it with")]
    KeyForCertificate,
    /// The bundle names another key.
    #[error("the bundle was signed with another key than the one given")]
    OtherKey {
        /// SHA-256 of the key given, in hex.
        expected: String,
        /// What the bundle says, in hex.
        found: String,
    },
    /// The registry has no algorithm for the key.
    #[error("{0} keys of this size are not in the algorithm registry")]
    NoAlgorithm(sealog_crypto::KeyKind),
}

/// A bundle that has what verification needs.
pub(crate) struct Structure<'b> {
    signature: &'b [u8],
    signed: Signed<'b>,
    signer: Signer<'b>,
    entries: Vec<LogEntry<'b>>,
    timestamps: &'b [Vec<u8>],
}

/// What was signed.
#[derive(Clone, Copy)]
pub(crate) enum Signed<'b> {
    Message(&'b MessageSignature),
    Envelope(&'b Envelope),
}

/// Who is said to have signed.
pub(crate) enum Signer<'b> {
    /// The holder of a certificate.
    Certificate {
        leaf: Certificate,
        /// Whatever else the bundle carries; untrusted.
        extra: Vec<Certificate>,
    },
    /// The holder of one of the keys that the policy names and the bundle's hint does not exclude.
    Keys(Vec<&'b PublicKey>),
}

/// Which logs hold entries of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    RekorV1,
    RekorV2,
}

impl EntryKind {
    fn of(kind: &KindVersion) -> Option<Self> {
        match (kind.kind.as_str(), kind.version.as_str()) {
            ("hashedrekord", "0.0.2") => Some(Self::RekorV2),
            ("hashedrekord" | "dsse", "0.0.1") | ("intoto", "0.0.2") => Some(Self::RekorV1),
            _ => None,
        }
    }
}

/// An entry with the proof it must have; without one only where the policy takes a promise for it.
pub(crate) struct LogEntry<'b> {
    pub(crate) kind: EntryKind,
    pub(crate) entry: &'b TransparencyLogEntry,
    pub(crate) proof: Option<&'b InclusionProof>,
}

impl<'b> Structure<'b> {
    /// The one signature.
    pub(crate) const fn signature(&self) -> &'b [u8] {
        self.signature
    }

    pub(crate) const fn signed(&self) -> Signed<'b> {
        self.signed
    }

    pub(crate) const fn signer(&self) -> &Signer<'b> {
        &self.signer
    }

    /// Empty only where the policy wants no log.
    pub(crate) fn entries(&self) -> &[LogEntry<'b>] {
        &self.entries
    }

    pub(crate) const fn timestamps(&self) -> &'b [Vec<u8>] {
        self.timestamps
    }
}

pub(crate) fn check<'b>(bundle: &'b Bundle, policy: &'b Policy) -> Result<Structure<'b>, VerifyError> {
    let (signed, signature) = the_one_signature(&bundle.content)?;
    let certificates = certificates(bundle)?;
    let entries = entries(bundle, policy.evidence())?;
    let timestamps = &bundle.material.timestamps;
    for (at, timestamp) in timestamps.iter().enumerate() {
        if timestamps.iter().take(at).any(|earlier| earlier == timestamp) {
            return Err(StructureError::TimestampTwice { at }.into());
        }
    }
    same_hints(bundle)?;
    let keys = policy.keys();
    let signer = match &bundle.material.key {
        KeyMaterial::PublicKey { .. } if keys.is_empty() => return Err(KeyPolicyError::NoKeyGiven.into()),
        KeyMaterial::PublicKey { hint } => Signer::Keys(not_excluded(hint, &keys)?),
        _ if !policy.names_identities() => return Err(KeyPolicyError::KeyForCertificate.into()),
        _ => {
            let mut certificates = certificates.into_iter();
            let leaf = certificates.next().ok_or(StructureError::EmptyChain)?;
            Signer::Certificate { leaf, extra: certificates.collect() }
        }
    };
    Ok(Structure { signature, signed, signer, entries, timestamps })
}

/// Where both name the key they must name it alike (sigstore_bundle.proto, `dsse_envelope`).
fn same_hints(bundle: &Bundle) -> Result<(), StructureError> {
    let (KeyMaterial::PublicKey { hint }, Content::Envelope(envelope)) =
        (&bundle.material.key, &bundle.content)
    else {
        return Ok(());
    };
    let named = |signature: &&EnvelopeSignature| !signature.keyid.is_empty() && signature.keyid != *hint;
    match envelope.signatures.iter().find(named) {
        Some(other) if !hint.is_empty() => {
            Err(StructureError::TwoHints { hint: hint.clone(), keyid: other.keyid.clone() })
        }
        _ => Ok(()),
    }
}

/// The keys that the hint may speak of; when it speaks of none, how it differs from the first.
fn not_excluded<'b>(hint: &str, keys: &[&'b PublicKey]) -> Result<Vec<&'b PublicKey>, KeyPolicyError> {
    let mut excluded = None;
    let mut left = Vec::new();
    for key in keys {
        match same_key(hint, key) {
            Ok(()) => left.push(*key),
            Err(error) => excluded = excluded.or(Some(error)),
        }
    }
    match excluded {
        Some(error) if left.is_empty() => Err(error),
        _ => Ok(left),
    }
}

fn the_one_signature(content: &Content) -> Result<(Signed<'_>, &[u8]), StructureError> {
    let (signed, signature) = match content {
        Content::Message(message) => (Signed::Message(message), &message.signature),
        Content::Envelope(envelope) => match envelope.signatures.as_slice() {
            [one] => (Signed::Envelope(envelope), &one.sig),
            several => return Err(StructureError::SignatureCount { found: several.len() }),
        },
    };
    match signature.len() {
        0..=MAX_SIGNATURE_BYTES => Ok((signed, signature)),
        found => Err(StructureError::SignatureTooLong { found }),
    }
}

/// The certificates, leaf first; none for a key.
///
/// Early tools put the root's into the chain as well. The format asks verifiers to bear that
/// (sigstore_bundle.proto, `x509_certificate_chain`): such certificates are left out, since trust never
/// comes from the bundle.
fn certificates(bundle: &Bundle) -> Result<Vec<Certificate>, StructureError> {
    let chain = match &bundle.material.key {
        KeyMaterial::PublicKey { .. } => return Ok(Vec::new()),
        KeyMaterial::Certificate(der) => core::slice::from_ref(der),
        KeyMaterial::Chain(chain) if chain.is_empty() => return Err(StructureError::EmptyChain),
        KeyMaterial::Chain(_) if bundle.version == Version::V03 => return Err(StructureError::ChainInV03),
        KeyMaterial::Chain(chain) => chain.as_slice(),
    };
    let is_root = |certificate: &Certificate| certificate.is_ca() && certificate.names_issuer(certificate);
    let mut kept = Vec::new();
    for (at, der) in chain.iter().enumerate() {
        let parsed = Certificate::from_der(der);
        let certificate = parsed.map_err(|source| StructureError::Certificate { at, source })?;
        match (at, is_root(&certificate)) {
            (0, true) => return Err(StructureError::RootForLeaf),
            (_, true) => {}
            (_, false) => kept.push(certificate),
        }
    }
    Ok(kept)
}

/// The entries. All must have a proof and a checkpoint: the format's version 0.1 let a promise stand for
/// them, but a promise proves nothing about the log, so the policy must say that it is enough.
fn entries<'b>(bundle: &'b Bundle, evidence: &Evidence) -> Result<Vec<LogEntry<'b>>, VerifyError> {
    if bundle.material.log_entries.is_empty() && evidence.logs > 0 {
        return Err(StructureError::NoLogEntry.into());
    }
    let all = &bundle.material.log_entries;
    let read = |(at, entry): (usize, _)| {
        let entry: &TransparencyLogEntry = entry;
        let is_it = |earlier: &TransparencyLogEntry| {
            earlier.log_index == entry.log_index && earlier.log_id == entry.log_id
        };
        if all.iter().take(at).any(is_it) {
            return Err(StructureError::EntryTwice { at }.into());
        }
        let proof = entry.inclusion_proof.as_ref();
        let promised = entry.inclusion_promise.is_some() && bundle.version == Version::V01;
        let proof = match proof.filter(|proof| !proof.checkpoint.is_empty()) {
            None if promised && evidence.promise_is_enough => None,
            None if proof.is_some() && !promised => return Err(StructureError::NoCheckpoint { at }.into()),
            None => return Err(StructureError::NoInclusionProof { at, promised }.into()),
            proven => proven,
        };
        let unsupported = || VerifyError::UnsupportedEntry(entry.kind_version.clone());
        let kind = EntryKind::of(&entry.kind_version).ok_or_else(unsupported)?;
        match (kind, &entry.inclusion_promise, bundle.version) {
            (EntryKind::RekorV2, Some(_), _) => Err(StructureError::UnknownPromise { at }.into()),
            (EntryKind::RekorV2, None, _) if entry.integrated_time != 0 => {
                Err(StructureError::UnknownTime { at }.into())
            }
            (_, None, Version::V01) => Err(StructureError::NoPromise { at }.into()),
            _ => Ok(LogEntry { kind, entry, proof }),
        }
    };
    all.iter().enumerate().map(read).collect()
}

/// A hint that is a digest of a key, as tools write it in base64 or hex, must be this key's. Other
/// hints are names that mean something to somebody else.
fn same_key(hint: &str, key: &PublicKey) -> Result<(), KeyPolicyError> {
    let expected = sha256(key.spki_der());
    let in_hex = hex::decode(hint).ok().filter(|bytes| bytes.len() == expected.len());
    let digest = in_hex.or_else(|| decode_base64(hint).filter(|bytes| bytes.len() == expected.len()));
    match digest {
        Some(found) if found != expected => {
            Err(KeyPolicyError::OtherKey { expected: hex::encode(expected), found: hex::encode(found) })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_that_is_a_digest_must_be_the_keys() {
        let key = PublicKey::from_ed25519(&[
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
            0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
        ])
        .unwrap();
        let digest = sha256(key.spki_der());
        let base64 = sealog_bundle::json::encode_base64;
        for good in [hex::encode(digest), base64(&digest), "my release key".into(), String::new()] {
            assert_eq!(same_key(&good, &key), Ok(()), "{good}");
        }
        for bad in [hex::encode([0; 32]), base64(&[0; 32])] {
            assert!(same_key(&bad, &key).is_err(), "{bad}");
        }
    }
}
