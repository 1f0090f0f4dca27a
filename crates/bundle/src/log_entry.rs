//! The transparency log entry: what a log answers and what a bundle carries to prove inclusion
//! (`dev.sigstore.rekor.v1.TransparencyLogEntry`, used by Rekor v1 and v2).

mod answers;

pub use answers::Answers;

use crate::json::{Fields, JsonError, Unknown, Value, fields, object};
use alloc::{
    string::{String, ToString as _},
    vec,
    vec::Vec,
};

/// Bytes in a log's answer.
pub const MAX_ANSWER_BYTES: usize = 10 << 20;
/// Hashes in an inclusion proof: a tree of 2^63 leaves has no longer path.
pub const MAX_PROOF_HASHES: usize = 64;

/// A transparency log entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransparencyLogEntry {
    /// Position in the log; for Rekor v1 across all of its shards.
    pub log_index: u64,
    /// Which log: its key id in full.
    pub log_id: Vec<u8>,
    /// What the body is said to be.
    pub kind_version: KindVersion,
    /// Rekor v1: when the entry was taken in, worth something only with the promise. Zero for Rekor v2.
    pub integrated_time: i64,
    /// Rekor v1: the log's signature over entry and time.
    pub inclusion_promise: Option<Vec<u8>>,
    /// Where the entry is in which tree.
    pub inclusion_proof: Option<InclusionProof>,
    /// The entry as the log stores and hashes it.
    pub canonicalized_body: Vec<u8>,
}

/// Kind and version of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindVersion {
    /// `hashedrekord`, …
    pub kind: String,
    /// `0.0.2`, …
    pub version: String,
}

/// An inclusion proof and the checkpoint it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// Leaf index in the tree.
    pub log_index: u64,
    /// The tree's root hash.
    pub root_hash: [u8; 32],
    /// The tree's size.
    pub tree_size: u64,
    /// The path, the leaf's sibling first.
    pub hashes: Vec<[u8; 32]>,
    /// The signed checkpoint; empty when there is none, as in early Rekor v1 bundles.
    pub checkpoint: String,
}

impl KindVersion {
    /// Of the entries Rekor v2 stores.
    #[must_use]
    pub fn hashedrekord_v002() -> Self {
        Self { kind: "hashedrekord".to_string(), version: "0.0.2".to_string() }
    }
}

impl core::fmt::Display for KindVersion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} {}", self.kind, self.version)
    }
}

impl TransparencyLogEntry {
    /// Reads a log's answer. Fields that a newer log may add are dropped.
    ///
    /// # Errors
    /// When it is not such an entry in ProtoJSON.
    pub fn parse(answer: &[u8]) -> Result<Self, JsonError> {
        Fields::document(answer, MAX_ANSWER_BYTES, Unknown::Ignore, Self::read)
    }

    /// As a log answers: every field is there, default or not, in the order of the protocol.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.to_value(true).to_compact()
    }

    pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        Ok(Self {
            log_index: fields.index("logIndex")?,
            log_id: fields.message("logId", |fields| fields.bytes("keyId"))?.unwrap_or_default(),
            kind_version: fields.required_message("kindVersion", |fields| {
                Ok(KindVersion {
                    kind: fields.required_text("kind")?,
                    version: fields.required_text("version")?,
                })
            })?,
            integrated_time: fields.int64("integratedTime")?,
            inclusion_promise: fields
                .message("inclusionPromise", |fields| fields.bytes("signedEntryTimestamp"))?
                .filter(|set| !set.is_empty()),
            inclusion_proof: fields.message("inclusionProof", InclusionProof::read)?,
            canonicalized_body: fields.bytes("canonicalizedBody")?,
        })
    }

    /// `everything`: default values are written too, as servers do and bundles do not.
    pub(crate) fn to_value(&self, everything: bool) -> Value<'_> {
        let or_default = |there: bool, value: Value<'static>| (there || everything).then_some(value);
        let or_null = |value: Option<Value<'static>>| value.or(everything.then_some(Value::Null));
        object([
            ("logIndex", or_default(self.log_index != 0, Value::int64(self.log_index))),
            ("logId", Some(object([("keyId", Some(Value::bytes(&self.log_id)))]))),
            (
                "kindVersion",
                Some(object([
                    ("kind", Some(Value::text(self.kind_version.kind.as_str()))),
                    ("version", Some(Value::text(self.kind_version.version.as_str()))),
                ])),
            ),
            ("integratedTime", or_default(self.integrated_time != 0, Value::int64(self.integrated_time))),
            (
                "inclusionPromise",
                or_null(
                    self.inclusion_promise
                        .as_ref()
                        .map(|set| object([("signedEntryTimestamp", Some(Value::bytes(set)))])),
                ),
            ),
            ("inclusionProof", or_null(self.inclusion_proof.as_ref().map(|p| p.to_value(everything)))),
            (
                "canonicalizedBody",
                or_default(!self.canonicalized_body.is_empty(), Value::bytes(&self.canonicalized_body)),
            ),
        ])
    }
}

impl InclusionProof {
    fn read(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        Ok(Self {
            log_index: fields.index("logIndex")?,
            root_hash: fields::array(&fields.required_bytes("rootHash")?).map_err(|e| e.at("rootHash"))?,
            tree_size: fields.index("treeSize")?,
            hashes: fields.list("hashes", MAX_PROOF_HASHES, |hash| fields::array(&fields::bytes(&hash)?))?,
            checkpoint: fields.message("checkpoint", |fields| fields.text("envelope"))?.unwrap_or_default(),
        })
    }

    fn to_value(&self, everything: bool) -> Value<'static> {
        let hashes: Vec<Value<'static>> = self.hashes.iter().map(|h| Value::bytes(h)).collect();
        let envelope = object([("envelope", Some(Value::text(self.checkpoint.clone())))]);
        let or_default = |there: bool, value: Value<'static>| (there || everything).then_some(value);
        object(vec![
            ("logIndex", or_default(self.log_index != 0, Value::int64(self.log_index))),
            ("rootHash", Some(Value::bytes(&self.root_hash))),
            ("treeSize", or_default(self.tree_size != 0, Value::int64(self.tree_size))),
            ("hashes", or_default(!hashes.is_empty(), Value::Array(hashes))),
            ("checkpoint", or_default(!self.checkpoint.is_empty(), envelope)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> TransparencyLogEntry {
        TransparencyLogEntry {
            log_index: 0,
            log_id: vec![7; 32],
            kind_version: KindVersion::hashedrekord_v002(),
            integrated_time: 0,
            inclusion_promise: None,
            inclusion_proof: Some(InclusionProof {
                log_index: 0,
                root_hash: [1; 32],
                tree_size: 1,
                hashes: vec![],
                checkpoint: "o\n1\nr\n\n— o s\n".to_string(),
            }),
            canonicalized_body: b"{}".to_vec(),
        }
    }

    #[test]
    fn a_log_answers_with_every_field() {
        let json = entry().to_json();
        assert!(json.starts_with(r#"{"logIndex":"0","logId":{"keyId":"BwcH"#), "{json}");
        assert!(
            json.contains(r#""integratedTime":"0","inclusionPromise":null,"inclusionProof":{"logIndex":"0""#)
        );
        assert!(
            json.contains(r#""treeSize":"1","hashes":[],"checkpoint":{"envelope":"o\n1\nr\n\n— o s\n"}}"#)
        );
        assert_eq!(TransparencyLogEntry::parse(json.as_bytes()).unwrap(), entry());
    }

    #[test]
    fn a_bundle_leaves_defaults_out() {
        let json = entry().to_value(false).to_compact();
        assert!(json.starts_with(r#"{"logId""#), "{json}");
        assert!(
            !json.contains("integratedTime")
                && !json.contains("inclusionPromise")
                && !json.contains("hashes")
        );
    }

    #[test]
    fn answers_are_read_as_protojson() {
        let json = entry()
            .to_json()
            .replace("\"logIndex\":\"0\"", "\"log_index\":3")
            .replace("{\"kind\"", "{\"new\":1,\"kind\"");
        let read = TransparencyLogEntry::parse(json.as_bytes()).unwrap();
        assert_eq!((read.log_index, read.inclusion_proof.unwrap().log_index), (3, 3));
        assert!(TransparencyLogEntry::parse(json.replace(":3", ":-3").as_bytes()).is_err());
    }
}
