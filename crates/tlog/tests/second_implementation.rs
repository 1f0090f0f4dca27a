//! Compares with what other people's implementations made of the same trees, paths, notes and certificates.
//!
//! `testdata/tlog/README.md` says whose they are and how the vectors were generated.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use sealog_crypto::{PrivateKey, PublicKey, sha256};
use sealog_tlog::checkpoint::{self, SignedCheckpoint};
use sealog_tlog::ct::{CtEntry, CtLeaf, CtSubmission, Sct, SctList, TileLeaf, sct_signature_input};
use sealog_tlog::merkle::{
    Edge, Hash, leaf_hash, prove_consistency, prove_inclusion, verify_consistency, verify_inclusion,
};
use sealog_tlog::note::{KeySigner, KeyType, KeyVerifier, NoteSigner as _, NoteVerifier as _, SignedNote};
use sealog_tlog::tile::{Tile, tiles_for_size};
use sealog_tlog::{Leaf as _, leaf::split};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/tlog/vectors.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

fn hash(value: &Value) -> Hash {
    Hash(bytes(value).try_into().unwrap())
}

fn hashes(value: &Value) -> Vec<Hash> {
    list(value).iter().map(hash).collect()
}

fn leaf(index: u64) -> Hash {
    leaf_hash(format!("leaf {index}").as_bytes())
}

#[test]
fn trees_proofs_and_tiles() {
    let vectors = &vectors()["tree"];
    let roots: BTreeMap<u64, Hash> =
        list(&vectors["roots"]).iter().map(|root| (number(&root["size"]), hash(&root["root"]))).collect();
    let mut edge = Edge::new();
    for index in 0..number(&vectors["tiles_of"]) {
        edge.push(leaf(index));
        if let Some(root) = roots.get(&edge.size()) {
            assert_eq!(edge.root(), *root, "size {}", edge.size());
        }
    }
    for vector in list(&vectors["inclusion"]) {
        let (index, size, theirs) =
            (number(&vector["index"]), number(&vector["size"]), hashes(&vector["hashes"]));
        verify_inclusion(&leaf(index), index, size, &theirs, &roots[&size]).unwrap();
        assert_eq!(prove_inclusion(index, size, &edge).unwrap().hashes, theirs, "leaf {index} of {size}");
    }
    for vector in list(&vectors["consistency"]) {
        let (old, new, theirs) = (number(&vector["old"]), number(&vector["new"]), hashes(&vector["hashes"]));
        verify_consistency(old, &roots[&old], new, &roots[&new], &theirs).unwrap();
        assert_eq!(prove_consistency(old, new, &edge).unwrap(), theirs, "{old} to {new}");
    }
    let theirs: BTreeMap<String, Vec<u8>> = list(&vectors["tiles"])
        .iter()
        .map(|tile| (text(&tile["path"]).to_owned(), bytes(&tile["sha256"])))
        .collect();
    let ours: BTreeMap<String, Vec<u8>> = tiles_for_size(edge.size())
        .map(|tile| (tile.path(), sha256(&edge.tile_bytes(&tile).unwrap()).to_vec()))
        .collect();
    assert_eq!(ours, theirs);
}

#[test]
fn paths() {
    for vector in list(&vectors()["paths"]) {
        let level = number(&vector["level"]).try_into().unwrap();
        let width = number(&vector["width"]).try_into().unwrap();
        let tile = Tile::new(level, number(&vector["index"]), width).unwrap();
        assert_eq!(tile.path(), text(&vector["path"]));
        assert_eq!(Tile::parse(text(&vector["path"])), Ok(tile));
    }
}

#[test]
fn notes() {
    for vector in list(&vectors()["notes"]) {
        let kind = text(&vector["kind"]);
        let key_type = match kind {
            "ed25519" => KeyType::Ed25519,
            "cosignature" => KeyType::Cosignature,
            "ecdsa" => KeyType::Ecdsa,
            "tree-head" => KeyType::TreeHead,
            other => panic!("unknown kind {other}"),
        };
        let key = PublicKey::from_spki_der(&bytes(&vector["spki"])).unwrap();
        let verifier = KeyVerifier::new(text(&vector["name"]), key_type, key).unwrap();
        assert_eq!(verifier.to_vkey().as_deref(), Some(text(&vector["vkey"])), "{kind}");
        let parsed = KeyVerifier::from_vkey(text(&vector["vkey"])).unwrap();
        assert_eq!(parsed.key_id(), verifier.key_id());

        let signed = SignedCheckpoint::parse(text(&vector["note"])).unwrap();
        assert_eq!(signed.note.encode(), text(&vector["note"]), "{kind}");
        assert_eq!(signed.checkpoint.encode(), signed.note.text, "{kind}");
        assert_eq!(signed.note.verify(&verifier), Ok(()), "{kind}");
        // A witness's line does not make the log's checkpoint; the log's own key does.
        assert_eq!(checkpoint::verify(&signed.note, &verifier).is_ok(), kind != "cosignature");

        // Ed25519 is deterministic: the same key must make the same line.
        let Some(pkcs8) = vector.get("pkcs8") else { continue };
        let key = Arc::new(PrivateKey::from_pkcs8_der(&bytes(pkcs8)).unwrap());
        let signer = KeySigner::new(text(&vector["name"]), key_type, key).unwrap();
        let theirs = signed.note.signatures.last().unwrap();
        assert_eq!((signer.name(), signer.key_id()), (theirs.name.as_str(), theirs.key_id));
        let time = theirs.bytes.first_chunk().map_or(0, |time| u64::from_be_bytes(*time));
        let mut ours = SignedNote::new(signed.note.text.clone());
        ours.sign(&signer, time.saturating_mul(1000)).unwrap();
        assert_eq!(&ours.signatures[0], theirs, "{kind}");
    }
}

#[test]
fn certificates() {
    let vectors = &vectors()["ct"];
    let key = PublicKey::from_spki_der(&bytes(&vectors["spki"])).unwrap();
    let issuers: Vec<_> = list(&vectors["issuers"]).iter().map(bytes).collect();
    let (mut bundle, mut scts) = (Vec::new(), Vec::new());
    for vector in list(&vectors["entries"]) {
        let (cert, precert) = (bytes(&vector["certificate"]), bytes(&vector["precertificate"]));
        let issuer_key_hash = bytes(&vector["issuer_key_hash"]).try_into().unwrap();
        let entry = if vector["precert"] == true {
            CtEntry::Precert { issuer_key_hash, tbs: cert, precert }
        } else {
            CtEntry::X509 { cert }
        };
        let (index, timestamp) = (number(&vector["index"]), number(&vector["timestamp"]));
        let submission = CtSubmission { entry: entry.clone(), issuers: issuers.clone() };
        let placed = CtLeaf::place(&submission, index, timestamp).unwrap();
        assert_eq!(placed.encoded, bytes(&vector["encoded"]));
        assert_eq!(placed.leaf_hash, hash(&vector["leaf_hash"]));
        let leaf = TileLeaf::parse(&placed.encoded).unwrap();
        assert_eq!((leaf.entry.to_owned(), leaf.index()), (entry.clone(), Ok(index)));
        let input = sct_signature_input(timestamp, &entry, leaf.extensions).unwrap();
        assert_eq!(input, bytes(&vector["signature_input"]));
        let sct = Sct::parse(&bytes(&vector["sct"])).unwrap();
        assert_eq!(sct.verify(&entry, &key), Ok(()));
        assert_eq!(sct.encode().unwrap(), bytes(&vector["sct"]));
        bundle.extend_from_slice(&placed.encoded);
        scts.push(sct);
    }
    assert_eq!(split::<CtLeaf>(&bundle).map(Result::unwrap).count(), scts.len());
    assert_eq!(SctList::parse(&bytes(&vectors["list"])), Ok(SctList(scts.clone())));
    assert_eq!(SctList(scts).encode().unwrap(), bytes(&vectors["list"]));
}
