//! Signed certificate timestamps and tree heads: what a CT log signs (RFC 6962 §3.2, §3.3, §3.5).

use super::{CtEntry, TileLeaf};
use crate::leaf::LeafError;
use crate::merkle::Hash;
use crate::wire::{Reader, put_vec16};
use alloc::vec::Vec;
use sealog_crypto::{HashAlgorithm, KeyKind, PublicKey, Scheme, SignError, SignatureError, Signer, sha256};

/// `HashAlgorithm.sha256` of RFC 5246 §7.4.1.4.1.
const TLS_SHA256: u8 = 4;
/// `SignatureAlgorithm.rsa` and `.ecdsa` of the same.
const TLS_RSA: u8 = 1;
const TLS_ECDSA: u8 = 3;

/// `Version.v1`.
const V1: u8 = 0;
/// `SignatureType.certificate_timestamp` and `.tree_hash`.
const CERTIFICATE_TIMESTAMP: u8 = 0;
const TREE_HASH: u8 = 1;

/// Why an SCT is not read or not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SctError {
    /// Not an SCT, not a list of them, or bytes follow.
    #[error("the signed certificate timestamp is malformed")]
    Malformed,
    /// A version that does not exist.
    #[error("a signed certificate timestamp of unknown version {0}")]
    Version(u8),
    /// Made by another log.
    #[error("the signed certificate timestamp is of log {found}, not {expected}")]
    LogId {
        /// The log of the key given.
        expected: Hash,
        /// The log that it names.
        found: Hash,
    },
    /// Not SHA-256 with the key's algorithm.
    #[error("signature algorithm {hash}/{signature} is not SHA-256 with the log's key")]
    Algorithm {
        /// Hash algorithm of RFC 5246.
        hash: u8,
        /// Signature algorithm of RFC 5246.
        signature: u8,
    },
    /// The signature is of another key or over something else.
    #[error("the log's signature does not verify")]
    Signature(#[source] SignatureError),
    /// The entry cannot be what was signed.
    #[error("the entry cannot be encoded")]
    Entry(#[source] LeafError),
}

/// The log ID of a CT log's key: SHA-256 of its SPKI.
#[must_use]
pub fn log_id(key: &PublicKey) -> [u8; 32] {
    sha256(key.spki_der())
}

/// A signature that says how it was made (RFC 5246 §4.7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigitallySigned {
    /// Hash algorithm; 4 is SHA-256.
    pub hash_alg: u8,
    /// Signature algorithm; 3 is ECDSA, 1 is RSA.
    pub sig_alg: u8,
    /// The signature.
    pub signature: Vec<u8>,
}

impl DigitallySigned {
    /// Reads exactly one.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let signed = Self::read(&mut reader).ok()?;
        reader.0.is_empty().then_some(signed)
    }

    /// Signs with an ECDSA P-256 or RSA key.
    ///
    /// # Errors
    /// When the key is of another kind or cannot be used.
    pub fn sign(message: &[u8], signer: &dyn Signer) -> Result<Self, SignError> {
        let kind = signer.public_key().kind();
        match (tls_algorithm(kind), signer.scheme()) {
            (
                Some((sig_alg, _)),
                Scheme::Ecdsa(HashAlgorithm::Sha256) | Scheme::RsaPkcs1(HashAlgorithm::Sha256),
            ) => Ok(Self { hash_alg: TLS_SHA256, sig_alg, signature: signer.sign(message)? }),
            _ => Err(SignError::Unsupported(kind)),
        }
    }

    /// Checks it with the log's key.
    ///
    /// # Errors
    /// When it is not SHA-256 with that kind of key, or does not verify.
    pub fn verify(&self, message: &[u8], key: &PublicKey) -> Result<(), SctError> {
        match tls_algorithm(key.kind()) {
            Some((sig_alg, scheme)) if (self.hash_alg, self.sig_alg) == (TLS_SHA256, sig_alg) => {
                key.verify(scheme, message, &self.signature).map_err(SctError::Signature)
            }
            _ => Err(SctError::Algorithm { hash: self.hash_alg, signature: self.sig_alg }),
        }
    }

    /// The bytes. A signature beyond 65,535 bytes, which no key makes, is left out.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = alloc::vec![self.hash_alg, self.sig_alg];
        if put_vec16(&mut out, &self.signature).is_none() {
            out.extend_from_slice(&[0, 0]);
        }
        out
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, SctError> {
        Ok(Self { hash_alg: reader.u8()?, sig_alg: reader.u8()?, signature: reader.vec16()?.to_vec() })
    }
}

fn tls_algorithm(kind: KeyKind) -> Option<(u8, Scheme)> {
    match kind {
        KeyKind::EcdsaP256 => Some((TLS_ECDSA, Scheme::Ecdsa(HashAlgorithm::Sha256))),
        KeyKind::Rsa { .. } => Some((TLS_RSA, Scheme::RsaPkcs1(HashAlgorithm::Sha256))),
        _ => None,
    }
}

/// What a log signs for a certificate: its promise of a time and, in the extensions, of a place.
///
/// # Errors
/// When the entry or the extensions are too long.
pub fn sct_signature_input(
    timestamp_ms: u64,
    entry: &CtEntry,
    extensions: &[u8],
) -> Result<Vec<u8>, LeafError> {
    let mut out = alloc::vec![V1, CERTIFICATE_TIMESTAMP];
    out.extend_from_slice(&timestamp_ms.to_be_bytes());
    out.extend_from_slice(&entry.encode()?);
    let too_long = LeafError::TooLong { part: "SCT extensions", limit: 65_535, found: extensions.len() };
    put_vec16(&mut out, extensions).ok_or(too_long)?;
    Ok(out)
}

/// What a log signs for a tree (`TreeHeadSignature`).
#[must_use]
pub fn tree_head_signature_input(timestamp_ms: u64, size: u64, root: &Hash) -> Vec<u8> {
    let mut out = alloc::vec![V1, TREE_HASH];
    out.extend_from_slice(&timestamp_ms.to_be_bytes());
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(&root.0);
    out
}

/// A log's promise that it holds a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sct {
    /// 0 for v1.
    pub version: u8,
    /// SHA-256 of the log's SPKI.
    pub log_id: [u8; 32],
    /// When the log took it, in milliseconds since 1970.
    pub timestamp_ms: u64,
    /// Extensions; static-ct logs put the leaf index there.
    pub extensions: Vec<u8>,
    /// The log's signature.
    pub signed: DigitallySigned,
}

impl Sct {
    /// Makes the promise.
    ///
    /// # Errors
    /// When the entry cannot be encoded or the key cannot be used.
    pub fn sign(
        timestamp_ms: u64,
        entry: &CtEntry,
        extensions: Vec<u8>,
        signer: &dyn Signer,
    ) -> Result<Self, SignSctError> {
        let message = sct_signature_input(timestamp_ms, entry, &extensions)?;
        let signed = DigitallySigned::sign(&message, signer)?;
        Ok(Self { version: V1, log_id: log_id(signer.public_key()), timestamp_ms, extensions, signed })
    }

    /// Makes the promise for a leaf, of its time and place.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn sign_leaf(leaf: &TileLeaf<'_>, signer: &dyn Signer) -> Result<Self, SignError> {
        // Time, entry and extensions stand behind each other in the leaf as well (RFC 6962 §3.4).
        let message = [&[V1, CERTIFICATE_TIMESTAMP], leaf.timestamped].concat();
        let signed = DigitallySigned::sign(&message, signer)?;
        Ok(Self {
            version: V1,
            log_id: log_id(signer.public_key()),
            timestamp_ms: leaf.timestamp_ms,
            extensions: leaf.extensions.to_vec(),
            signed,
        })
    }

    /// Reads exactly one.
    ///
    /// # Errors
    /// When it is malformed or of another version.
    pub fn parse(bytes: &[u8]) -> Result<Self, SctError> {
        let mut reader = Reader(bytes);
        let version = reader.u8()?;
        if version != V1 {
            return Err(SctError::Version(version));
        }
        let sct = Self {
            version,
            log_id: reader.array()?,
            timestamp_ms: reader.u64()?,
            extensions: reader.vec16()?.to_vec(),
            signed: DigitallySigned::read(&mut reader)?,
        };
        if reader.0.is_empty() { Ok(sct) } else { Err(SctError::Malformed) }
    }

    /// The bytes.
    ///
    /// # Errors
    /// When extensions or signature are longer than 65,535 bytes.
    pub fn encode(&self) -> Result<Vec<u8>, SctError> {
        let mut out = alloc::vec![self.version];
        out.extend_from_slice(&self.log_id);
        out.extend_from_slice(&self.timestamp_ms.to_be_bytes());
        put_vec16(&mut out, &self.extensions).ok_or(SctError::Malformed)?;
        out.extend_from_slice(&[self.signed.hash_alg, self.signed.sig_alg]);
        put_vec16(&mut out, &self.signed.signature).ok_or(SctError::Malformed)?;
        Ok(out)
    }

    /// Checks that this log promised this entry.
    ///
    /// # Errors
    /// When it names another log, another algorithm, or the signature does not verify.
    pub fn verify(&self, entry: &CtEntry, log_key: &PublicKey) -> Result<(), SctError> {
        let expected = log_id(log_key);
        if self.log_id != expected {
            return Err(SctError::LogId { expected: Hash(expected), found: Hash(self.log_id) });
        }
        let message =
            sct_signature_input(self.timestamp_ms, entry, &self.extensions).map_err(SctError::Entry)?;
        self.signed.verify(&message, log_key)
    }
}

/// Why no promise could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignSctError {
    /// The entry cannot be encoded.
    #[error(transparent)]
    Entry(#[from] LeafError),
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] SignError),
}

/// `SignedCertificateTimestampList`: what a certificate's SCT extension holds (inside its OCTET STRING).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SctList(pub Vec<Sct>);

impl SctList {
    /// Reads exactly one list of at least one SCT.
    ///
    /// # Errors
    /// When the list or an SCT in it is malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, SctError> {
        let mut outer = Reader(bytes);
        let mut inner = Reader(outer.vec16()?);
        if !outer.0.is_empty() || inner.0.is_empty() {
            return Err(SctError::Malformed);
        }
        let mut scts = Vec::new();
        while !inner.0.is_empty() {
            scts.push(Sct::parse(inner.vec16()?)?);
        }
        Ok(Self(scts))
    }

    /// The bytes.
    ///
    /// # Errors
    /// When they are longer than 65,535.
    pub fn encode(&self) -> Result<Vec<u8>, SctError> {
        let mut inner = Vec::new();
        for sct in &self.0 {
            put_vec16(&mut inner, &sct.encode()?).ok_or(SctError::Malformed)?;
        }
        let mut out = Vec::new();
        put_vec16(&mut out, &inner).ok_or(SctError::Malformed)?;
        Ok(out)
    }
}
