//! Certificate logs: the leaf of static-ct (C2SP static-ct-api on RFC 6962) and what it is made of.
//!
//! Certificates are opaque DER here; cutting a TBS out of one is `pki`'s work. Signed certificate
//! timestamps are in [`sct`].

pub mod sct;

pub use sct::{
    DigitallySigned, Sct, SctError, SctList, SignSctError, log_id, sct_signature_input,
    tree_head_signature_input,
};

use crate::leaf::{Leaf, LeafError, Placed};
use crate::merkle::{self, Hash};
use crate::tile::DATA_DIR;
use crate::wire::{Reader, Short, put_vec16, put_vec24};
use alloc::{format, string::String, vec::Vec};
use sealog_crypto::sha256;

/// Largest leaf index that fits the extension: 40 bits.
pub const MAX_LEAF_INDEX: u64 = (1 << 40) - 1;

/// Longest certificate: its length prefix has three bytes.
const MAX_CERTIFICATE_LEN: usize = (1 << 24) - 1;

/// Most issuers of a chain: the list's length prefix has two bytes.
const MAX_ISSUERS_LEN: usize = 65_535;

/// `LogEntryType` of RFC 6962 §3.1.
const X509_ENTRY: u16 = 0;
const PRECERT_ENTRY: u16 = 1;

/// `ExtensionType` of static-ct-api.
const LEAF_INDEX_EXTENSION: u8 = 0;

/// What was submitted: a certificate, or what comes before one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CtEntry {
    /// A precertificate: the log signs the TBS without the poison, under the issuer's key.
    Precert {
        /// SHA-256 of the issuer's SPKI.
        issuer_key_hash: [u8; 32],
        /// TBSCertificate in DER, poison and SCT list taken out.
        tbs: Vec<u8>,
        /// The precertificate in DER; kept by the log but not covered by the leaf hash.
        precert: Vec<u8>,
    },
    /// A final certificate.
    X509 {
        /// Certificate in DER.
        cert: Vec<u8>,
    },
}

/// A submission: the entry and the certificates that lead to an accepted root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CtSubmission {
    /// The entry.
    pub entry: CtEntry,
    /// Issuers in DER, the entry's own first.
    pub issuers: Vec<Vec<u8>>,
}

/// Where the log serves an issuer's certificate.
#[must_use]
pub fn issuer_path(der: &[u8]) -> String {
    path_of_issuer(&sha256(der))
}

fn path_of_issuer(fingerprint: &[u8; 32]) -> String {
    format!("issuer/{}", Hash(*fingerprint))
}

impl CtEntry {
    /// Entry type and the entry as the log signs it.
    fn encode(&self) -> Result<Vec<u8>, LeafError> {
        let mut out = Vec::new();
        match self {
            Self::X509 { cert } => {
                out.extend_from_slice(&X509_ENTRY.to_be_bytes());
                put_certificate(&mut out, "a certificate", cert)?;
            }
            Self::Precert { issuer_key_hash, tbs, .. } => {
                out.extend_from_slice(&PRECERT_ENTRY.to_be_bytes());
                out.extend_from_slice(issuer_key_hash);
                put_certificate(&mut out, "a TBSCertificate", tbs)?;
            }
        }
        Ok(out)
    }
}

fn put_certificate(out: &mut Vec<u8>, part: &'static str, der: &[u8]) -> Result<(), LeafError> {
    let too_long = LeafError::TooLong { part, limit: MAX_CERTIFICATE_LEN, found: der.len() };
    put_vec24(out, der).ok_or(too_long)
}

/// The extension by which an SCT says where its leaf stands.
///
/// # Errors
/// When the index has more than 40 bits.
pub fn leaf_index_extension(index: u64) -> Result<Vec<u8>, LeafError> {
    if index > MAX_LEAF_INDEX {
        return Err(LeafError::Index(index));
    }
    let [_, _, _, forty_bits @ ..] = index.to_be_bytes();
    let mut out = alloc::vec![LEAF_INDEX_EXTENSION];
    put_vec16(&mut out, &forty_bits).ok_or(LeafError::Index(index))?;
    Ok(out)
}

/// The leaf index in the extensions of an SCT or a leaf. Extensions of other types are passed over.
///
/// # Errors
/// When the extensions are malformed, or there is not exactly one leaf index.
pub fn leaf_index(extensions: &[u8]) -> Result<u64, LeafError> {
    let mut reader = Reader(extensions);
    let mut index = None;
    while !reader.0.is_empty() {
        let extension = reader.u8()?;
        let data = reader.vec16()?;
        if extension != LEAF_INDEX_EXTENSION {
            continue;
        }
        let [a, b, c, d, e] = data else { return Err(LeafError::Malformed("the leaf index is not 40 bits")) };
        if index.replace(u64::from_be_bytes([0, 0, 0, *a, *b, *c, *d, *e])).is_some() {
            return Err(LeafError::Malformed("there are two leaf indices"));
        }
    }
    index.ok_or(LeafError::Malformed("there is no leaf index"))
}

/// An element of a data tile, read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileLeaf<'a> {
    /// When the log took it, in milliseconds since 1970.
    pub timestamp_ms: u64,
    /// The entry.
    pub entry: CtEntryRef<'a>,
    /// Extensions of the SCT.
    pub extensions: &'a [u8],
    /// SHA-256 of each issuer's DER, the entry's own first.
    pub issuers: &'a [[u8; 32]],
    /// The `TimestampedEntry` that the leaf hash covers.
    timestamped: &'a [u8],
    /// Entry type and entry as the log signs it: part of the above.
    signed: &'a [u8],
}

/// [`CtEntry`], read in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CtEntryRef<'a> {
    /// See [`CtEntry::Precert`].
    Precert {
        /// SHA-256 of the issuer's SPKI.
        issuer_key_hash: [u8; 32],
        /// TBSCertificate in DER, poison taken out.
        tbs: &'a [u8],
        /// The precertificate in DER. The leaf hash does not cover it.
        precert: &'a [u8],
    },
    /// See [`CtEntry::X509`].
    X509 {
        /// Certificate in DER.
        cert: &'a [u8],
    },
}

impl CtEntryRef<'_> {
    /// An owned copy.
    #[must_use]
    pub fn to_owned(&self) -> CtEntry {
        match *self {
            Self::X509 { cert } => CtEntry::X509 { cert: cert.to_vec() },
            Self::Precert { issuer_key_hash, tbs, precert } => {
                CtEntry::Precert { issuer_key_hash, tbs: tbs.to_vec(), precert: precert.to_vec() }
            }
        }
    }
}

impl<'a> TileLeaf<'a> {
    /// Reads exactly one element.
    ///
    /// # Errors
    /// When it is malformed or bytes follow.
    pub fn parse(encoded: &'a [u8]) -> Result<Self, LeafError> {
        let (leaf, rest) = Self::parse_first(encoded)?;
        if rest.is_empty() { Ok(leaf) } else { Err(LeafError::Trailing(rest.len())) }
    }

    /// Reads the first element of a bundle; the rest is returned as well.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn parse_first(bundle: &'a [u8]) -> Result<(Self, &'a [u8]), LeafError> {
        let taken = |reader: &Reader<'_>| bundle.get(..bundle.len() - reader.0.len()).unwrap_or(bundle);
        let mut reader = Reader(bundle);
        let timestamp_ms = reader.u64()?;
        let entry_type = reader.u16()?;
        let (issuer_key_hash, certificate) = match entry_type {
            X509_ENTRY => (None, reader.vec24()?),
            PRECERT_ENTRY => (Some(reader.array()?), reader.vec24()?),
            _ => return Err(LeafError::Malformed("the entry type is unknown")),
        };
        let signed = taken(&reader).get(8..).unwrap_or_default();
        let extensions = reader.vec16()?;
        let timestamped = taken(&reader);
        let entry = match issuer_key_hash {
            None => CtEntryRef::X509 { cert: certificate },
            Some(issuer_key_hash) => {
                CtEntryRef::Precert { issuer_key_hash, tbs: certificate, precert: reader.vec24()? }
            }
        };
        let (issuers, rest) = reader.vec16()?.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(LeafError::Malformed("an issuer's fingerprint is not 32 bytes"));
        }
        Ok((Self { timestamp_ms, entry, extensions, issuers, timestamped, signed }, reader.0))
    }

    /// The index the leaf says it has.
    ///
    /// # Errors
    /// See [`leaf_index`].
    pub fn index(&self) -> Result<u64, LeafError> {
        leaf_index(self.extensions)
    }

    /// The leaf hash: over the `MerkleTreeLeaf` of RFC 6962 §3.4.
    #[must_use]
    pub fn leaf_hash(&self) -> Hash {
        // Version v1 and leaf type timestamped_entry, then the entry.
        merkle::leaf_hash_of_parts(&[&[0, 0], self.timestamped])
    }
}

/// Leaf of a certificate log.
#[derive(Clone, Copy, Debug)]
pub struct CtLeaf;

impl Leaf for CtLeaf {
    type Pending = CtSubmission;

    const BUNDLE_DIR: &'static str = DATA_DIR;
    const TIMED: bool = true;

    /// Of what the SCT covers, without time and place: not of the chain, nor of a precertificate's
    /// own signature.
    fn dedup_key(pending: &CtSubmission) -> [u8; 32] {
        // What cannot be encoded is refused by `place`; until then its key need only be its own.
        pending.entry.encode().map_or([0; 32], |entry| sha256(&entry))
    }

    fn place(pending: &CtSubmission, index: u64, time_ms: u64) -> Result<Placed, LeafError> {
        let mut encoded = Vec::new();
        encoded.extend_from_slice(&time_ms.to_be_bytes());
        encoded.extend_from_slice(&pending.entry.encode()?);
        put_vec16(&mut encoded, &leaf_index_extension(index)?).ok_or(LeafError::Index(index))?;
        let leaf_hash = merkle::leaf_hash_of_parts(&[&[0, 0], &encoded]);
        if let CtEntry::Precert { precert, .. } = &pending.entry {
            put_certificate(&mut encoded, "a precertificate", precert)?;
        }
        let issuers: Vec<u8> = pending.issuers.iter().flat_map(|der| sha256(der)).collect();
        let too_long =
            LeafError::TooLong { part: "an issuer list", limit: MAX_ISSUERS_LEN, found: issuers.len() };
        put_vec16(&mut encoded, &issuers).ok_or(too_long)?;
        Ok(Placed { leaf_hash, encoded })
    }

    fn split_first(bundle: &[u8]) -> Result<(&[u8], &[u8]), LeafError> {
        let (_, rest) = TileLeaf::parse_first(bundle)?;
        bundle.split_at_checked(bundle.len() - rest.len()).ok_or(LeafError::Truncated)
    }

    fn leaf_hash(encoded: &[u8]) -> Result<Hash, LeafError> {
        TileLeaf::parse(encoded).map(|leaf| leaf.leaf_hash())
    }

    fn dedup_key_of(encoded: &[u8]) -> Result<[u8; 32], LeafError> {
        TileLeaf::parse(encoded).map(|leaf| sha256(leaf.signed))
    }

    fn time_of(encoded: &[u8]) -> Result<Option<u64>, LeafError> {
        TileLeaf::parse(encoded).map(|leaf| Some(leaf.timestamp_ms))
    }

    fn side_objects(pending: &CtSubmission) -> Vec<(String, Vec<u8>)> {
        pending.issuers.iter().map(|der| (issuer_path(der), der.clone())).collect()
    }

    fn side_paths(encoded: &[u8]) -> Result<Vec<(String, [u8; 32])>, LeafError> {
        let leaf = TileLeaf::parse(encoded)?;
        Ok(leaf.issuers.iter().map(|fingerprint| (path_of_issuer(fingerprint), *fingerprint)).collect())
    }
}

impl From<Short> for SctError {
    fn from(Short: Short) -> Self {
        Self::Malformed
    }
}

#[cfg(test)]
mod tests;
