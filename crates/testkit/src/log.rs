//! Signature logs of both kinds: a tree, checkpoints, proofs, and promises where the kind makes them.

use crate::{EntryForm, NOW, Signed, seed, usual_window};
use sealog_bundle::{
    InclusionProof, KeyDetails, KindVersion, TransparencyLog, TransparencyLogEntry, ValidFor,
    json::encode_base64,
};
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, Signer as _, sha256};
use sealog_tlog::{
    Checkpoint, SignedNote,
    merkle::{Edge, leaf_hash, prove_inclusion},
    note::{KeySigner, KeyType, key_id_full},
};
use std::sync::Arc;

/// Leaves a log has before anybody signs, so that proofs are not empty.
const EARLIER_LEAVES: u8 = 5;
/// Entries in the shards before a Rekor v1 log's: its two indices differ by as much.
const EARLIER_SHARDS: u64 = 1000;

/// Which kind of log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// Shards, promises, checkpoints of `host - number`.
    RekorV1 {
        /// The shard's number in the origin.
        tree_id: u64,
        /// Entries in earlier shards.
        earlier: u64,
    },
    /// Tiles; the host is the origin.
    RekorV2,
}

/// A signature log.
#[derive(Clone)]
pub struct Log {
    /// Which kind.
    pub kind: LogKind,
    /// Name of its host, by which it signs.
    pub host: String,
    /// Its key.
    pub key: Arc<PrivateKey>,
    /// What it holds.
    pub tree: Edge,
    /// When it is trusted.
    pub valid_for: ValidFor,
    witnesses: Vec<KeySigner>,
}

impl Log {
    /// A log of Rekor v2, with an Ed25519 key.
    #[must_use]
    pub fn rekor_v2(label: &str, host: &str) -> Self {
        Self::new(LogKind::RekorV2, host, seed::key(&format!("{label} {host}"), KeyKind::Ed25519))
    }

    /// A log of Rekor v1, with an ECDSA P-256 key.
    #[must_use]
    pub fn rekor_v1(label: &str, host: &str) -> Self {
        let kind = LogKind::RekorV1 { tree_id: 1_193_050_959_916_656_506, earlier: EARLIER_SHARDS };
        Self::new(kind, host, seed::key(&format!("{label} {host}"), KeyKind::EcdsaP256))
    }

    /// A log with this key.
    #[must_use]
    pub fn new(kind: LogKind, host: &str, key: Arc<PrivateKey>) -> Self {
        let mut tree = Edge::new();
        (0..EARLIER_LEAVES).for_each(|n| tree.push(leaf_hash(&[n])));
        Self { kind, host: host.into(), key, tree, valid_for: usual_window(), witnesses: Vec::new() }
    }

    /// Lets a witness cosign every checkpoint from now on (C2SP tlog-cosignature).
    pub fn witnessed_by(&mut self, name: &str) -> &mut Self {
        let key = seed::key(name, KeyKind::Ed25519);
        self.witnesses.push(KeySigner::new(name, KeyType::Cosignature, key).unwrap());
        self
    }

    /// Its id as entries name it.
    #[must_use]
    pub fn id(&self) -> Vec<u8> {
        match self.kind {
            LogKind::RekorV1 { .. } => sha256(self.key.public_key().spki_der()).to_vec(),
            LogKind::RekorV2 => key_id_full(&self.host, self.key.public_key()).unwrap().to_vec(),
        }
    }

    /// As the trusted root has it.
    #[must_use]
    pub fn listed(&self) -> TransparencyLog {
        let key = self.key.public_key();
        TransparencyLog {
            base_url: format!("https://{}", self.host),
            hash_algorithm: HashAlgorithm::Sha256,
            public_key: key.spki_der().to_vec(),
            key_details: KeyDetails::for_log_key(key).unwrap(),
            valid_for: self.valid_for,
            log_id: self.id(),
            checkpoint_key_id: Vec::new(),
            operator: String::new(),
        }
    }

    /// The origin of its checkpoints.
    #[must_use]
    pub fn origin(&self) -> String {
        match self.kind {
            LogKind::RekorV1 { tree_id, .. } => format!("{} - {tree_id}", self.host),
            LogKind::RekorV2 => self.host.clone(),
        }
    }

    /// A checkpoint of the tree as it is.
    #[must_use]
    pub fn checkpoint(&self) -> String {
        self.checkpoint_of(&self.origin())
    }

    /// A checkpoint of the tree as it is, for whatever origin.
    #[must_use]
    pub fn checkpoint_of(&self, origin: &str) -> String {
        let (size, root) = (self.tree.size(), self.tree.root());
        let checkpoint = Checkpoint { origin: origin.into(), size, root, extensions: Vec::new() };
        let mut note = SignedNote::new(checkpoint.encode());
        note.sign(&KeySigner::for_log(&self.host, self.key.clone()).unwrap(), 0).unwrap();
        for witness in &self.witnesses {
            note.sign(witness, u64::try_from(NOW).unwrap() * 1000).unwrap();
        }
        note.encode()
    }

    /// Takes a leaf in; its leaf index.
    pub fn append(&mut self, body: &[u8]) -> u64 {
        self.tree.push(leaf_hash(body));
        self.tree.size() - 1
    }

    /// The proof of a leaf in the tree as it is.
    #[must_use]
    pub fn proof(&self, index: u64) -> InclusionProof {
        let proof = prove_inclusion(index, self.tree.size(), &self.tree).unwrap();
        InclusionProof {
            log_index: index,
            root_hash: *self.tree.root().as_bytes(),
            tree_size: self.tree.size(),
            hashes: proof.hashes.iter().map(|hash| hash.0).collect(),
            checkpoint: self.checkpoint(),
        }
    }

    /// The entry of a leaf that was appended, without a promise.
    #[must_use]
    pub fn entry(&self, kind_version: KindVersion, body: Vec<u8>, index: u64) -> TransparencyLogEntry {
        let earlier = match self.kind {
            LogKind::RekorV1 { earlier, .. } => earlier,
            LogKind::RekorV2 => 0,
        };
        TransparencyLogEntry {
            log_index: earlier + index,
            log_id: self.id(),
            kind_version,
            integrated_time: 0,
            inclusion_promise: None,
            inclusion_proof: Some(self.proof(index)),
            canonicalized_body: body,
        }
    }

    /// Takes a bundle's signature in, as an entry of this form.
    pub fn take(&mut self, signed: &Signed, form: EntryForm) -> TransparencyLogEntry {
        let body = form.body(signed);
        let index = self.append(&body);
        self.entry(form.kind_version(), body, index)
    }

    /// Promises an entry, as taken in at a time (Rekor v1).
    pub fn promise(&self, entry: &mut TransparencyLogEntry, at: i64) {
        entry.integrated_time = at;
        let promised = format!(
            r#"{{"body":"{}","integratedTime":{at},"logID":"{}","logIndex":{}}}"#,
            encode_base64(&entry.canonicalized_body),
            hex::encode(&entry.log_id),
            entry.log_index,
        );
        entry.inclusion_promise = Some(self.key.sign(promised.as_bytes()).unwrap());
    }
}
