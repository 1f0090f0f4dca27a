//! A log's answers, written for speed: what all entries under one checkpoint share is written once.
//!
//! Byte for byte what [`TransparencyLogEntry::to_json`](super::TransparencyLogEntry::to_json) writes for the same entry.

use super::KindVersion;
use crate::json::{Value, encode_base64, engine::put_base64, object};
use alloc::{
    format,
    string::{String, ToString as _},
    vec::Vec,
};

const AFTER_INDEX: &str = r#"","logId":"#;
const BEFORE_PROOF: &str = r#","integratedTime":"0","inclusionPromise":null,"inclusionProof":{"logIndex":""#;
/// A decimal `u64`, and 32 bytes in base64 with quotes and comma.
const INDEX_LEN: usize = 20;
const HASH_LEN: usize = 47;

/// Everything of a Rekor v2 log's answers under one checkpoint but the entry and its path.
#[derive(Clone, Debug)]
pub struct Answers {
    /// Between the two indexes.
    between: String,
    /// From the proof's index to its hashes.
    before_hashes: String,
    /// From its hashes to the entry.
    before_body: String,
}

impl Answers {
    /// Of the log with this key id, under the signed checkpoint that has this root hash and tree size.
    #[must_use]
    pub fn new(
        log_id: &[u8],
        kind_version: &KindVersion,
        root_hash: &[u8; 32],
        tree_size: u64,
        checkpoint: &str,
    ) -> Self {
        let text = |text: &str| Value::text(text).to_compact();
        let log_id = object([("keyId", Some(Value::bytes(log_id)))]).to_compact();
        let KindVersion { kind, version } = kind_version;
        let kind_version = format!(r#"{{"kind":{},"version":{}}}"#, text(kind), text(version));
        let root_hash = encode_base64(root_hash);
        Self {
            between: format!(r#"{AFTER_INDEX}{log_id},"kindVersion":{kind_version}{BEFORE_PROOF}"#),
            before_hashes: format!(r#"","rootHash":"{root_hash}","treeSize":"{tree_size}","hashes":["#),
            before_body: format!(
                r#"],"checkpoint":{{"envelope":{}}}}},"canonicalizedBody":""#,
                text(checkpoint)
            ),
        }
    }

    /// The answer for the entry at this index: its path, the leaf's sibling first, and the entry as it is stored.
    #[must_use]
    pub fn json<'h>(
        &self,
        index: u64,
        hashes: impl ExactSizeIterator<Item = &'h [u8; 32]>,
        body: &[u8],
    ) -> Vec<u8> {
        let index = index.to_string();
        let shared = self.between.len() + self.before_hashes.len() + self.before_body.len();
        let own = 2 * INDEX_LEN + hashes.len() * HASH_LEN + body.len().div_ceil(3) * 4;
        let mut out = Vec::with_capacity(shared + own + 32);
        out.extend_from_slice(br#"{"logIndex":""#);
        out.extend_from_slice(index.as_bytes());
        out.extend_from_slice(self.between.as_bytes());
        out.extend_from_slice(index.as_bytes());
        out.extend_from_slice(self.before_hashes.as_bytes());
        for (at, hash) in hashes.enumerate() {
            out.extend_from_slice(if at > 0 { br#",""# } else { br#"""# });
            put_base64(&mut out, hash);
            out.push(b'"');
        }
        out.extend_from_slice(self.before_body.as_bytes());
        put_base64(&mut out, body);
        out.extend_from_slice(br#""}"#);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_entry::{InclusionProof, TransparencyLogEntry};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn answers_are_what_the_entry_writes_of_itself(
            log_index: u64,
            tree_size: u64,
            log_id: Vec<u8>,
            kind in ".{0,8}",
            version in ".{0,8}",
            root_hash: [u8; 32],
            hashes in prop::collection::vec(any::<[u8; 32]>(), 0..8),
            checkpoint in any::<String>(),
            canonicalized_body: Vec<u8>,
        ) {
            let kind_version = KindVersion { kind, version };
            let answers = Answers::new(&log_id, &kind_version, &root_hash, tree_size, &checkpoint);
            let json = answers.json(log_index, hashes.iter(), &canonicalized_body);
            let proof = InclusionProof { log_index, root_hash, tree_size, hashes, checkpoint };
            let entry = TransparencyLogEntry {
                log_index,
                log_id,
                kind_version,
                integrated_time: 0,
                inclusion_promise: None,
                inclusion_proof: Some(proof),
                canonicalized_body,
            };
            prop_assert_eq!(String::from_utf8(json).unwrap(), entry.to_json());
        }
    }

    #[test]
    fn an_answer_takes_no_more_room_than_it_was_given() {
        let answers = Answers::new(&[7; 32], &KindVersion::hashedrekord_v002(), &[1; 32], u64::MAX, "o\n");
        for body in 0..5 {
            let json = answers.json(u64::MAX, [[9; 32]; 64].iter(), &[b'x'; 600][..body]);
            assert!(json.capacity() - json.len() < 64, "{} in {}", json.len(), json.capacity());
        }
    }
}
