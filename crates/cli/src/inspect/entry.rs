//! A log entry, described: where it says it is, what its body says, the proof, the checkpoint.

use super::parts::{
    Part, blob, bytes, count, field, hex, key, message, number, or_why, seconds, string, text,
    unknown_fields, unreadable,
};
use sealog_bundle::{
    EntryBody, Verifier,
    entry::SignatureAndKey,
    json::{Value, decode_base64, object},
};
use sealog_crypto::PublicKey;
use sealog_pki::Certificate;
use sealog_tlog::checkpoint::SignedCheckpoint;
use std::convert::Infallible;

const ENTRY_FIELDS: [&str; 7] = [
    "logIndex",
    "logId",
    "kindVersion",
    "integratedTime",
    "inclusionPromise",
    "inclusionProof",
    "canonicalizedBody",
];
const PROOF_FIELDS: [&str; 5] = ["logIndex", "rootHash", "treeSize", "hashes", "checkpoint"];

/// An element of `tlogEntries`.
pub(super) fn describe(entry: &Value<'_>) -> Part {
    let kind = field(entry, "kindVersion");
    let of_kind = |name| kind.and_then(|kind| string(kind, name));
    let id =
        field(entry, "logId").and_then(|id| bytes(id, "keyId", |id| Ok::<_, Infallible>(text(hex(&id)))));
    let time = number(entry, "integratedTime").filter(|time| *time != Ok(0));
    let promise = field(entry, "inclusionPromise").and_then(|promise| {
        bytes(promise, "signedEntryTimestamp", |promise| Ok::<_, Infallible>(blob(&promise)))
    });
    object([
        ("kind", of_kind("kind")),
        ("version", of_kind("version")),
        ("log_index", count(entry, "logIndex")),
        ("log_id", id),
        ("integrated_time", time.map(|time| or_why(time.map(seconds)))),
        ("inclusion_promise", promise),
        (
            "body",
            bytes(entry, "canonicalizedBody", |der| EntryBody::parse(&der).map(|read| body(&read, &der))),
        ),
        ("inclusion_proof", message(entry, "inclusionProof", proof)),
        ("unknown_fields", unknown_fields(entry, &ENTRY_FIELDS)),
    ])
}

fn body(read: &EntryBody, whole: &[u8]) -> Part {
    let said = read.kind_version();
    let (note, digest, signatures, details) = match read {
        EntryBody::HashedRekord(entry) => {
            let key = match &entry.verifier {
                Verifier::Certificate(der) => certified(der),
                Verifier::PublicKey(spki) => key(spki),
            };
            let signature = object([("signature", Some(blob(&entry.signature))), ("key", Some(key))]);
            (None, Some(entry.digest), vec![signature], Some(entry.key_details.name()))
        }
        EntryBody::HashedRekordV001(entry) => {
            (None, Some(entry.digest), vec![signature(&entry.signature)], None)
        }
        EntryBody::DsseV001(entry) | EntryBody::IntotoV002(entry) => {
            (None, Some(entry.payload_digest), entry.signatures.iter().map(signature).collect(), None)
        }
        EntryBody::Unsupported(_) => {
            (Some("entries of this kind are not supported; what it says is not read"), None, Vec::new(), None)
        }
    };
    object([
        ("kind", Some(text(said.kind))),
        ("version", Some(text(said.version))),
        ("note", note.map(text)),
        ("digest", digest.map(|digest| text(digest.to_string()))),
        ("key_details", details.map(text)),
        ("signatures", Value::array_unless_empty(signatures)),
        ("content", Some(blob(whole))),
    ])
}

fn signature(entry: &SignatureAndKey) -> Part {
    let pem = String::from_utf8_lossy(&entry.key_pem);
    let key = match (Certificate::from_pem(&pem), PublicKey::from_pem(&pem)) {
        (Ok(certificate), _) => certified(certificate.der()),
        (_, Ok(public)) => key(public.spki_der()),
        (Err(error), Err(_)) => unreadable(format!("neither a certificate nor a key in PEM: {error}")),
    };
    object([("signature", Some(blob(&entry.signature))), ("key", Some(key))])
}

/// The key in a certificate, and which certificate.
fn certified(der: &[u8]) -> Part {
    match Certificate::from_der(der) {
        Ok(certificate) => {
            object([("of_certificate", Some(blob(der))), ("key", Some(key(certificate.spki_der())))])
        }
        Err(error) => unreadable(error),
    }
}

fn proof(proof: &Value<'_>) -> Part {
    let hash = |value: &Value<'_>| match value.as_str().and_then(decode_base64) {
        Some(hash) if hash.len() == 32 => text(hex(&hash)),
        Some(other) => unreadable(format!("{} bytes are not a hash", other.len())),
        None => unreadable("not base64"),
    };
    let hashes = field(proof, "hashes").map(|hashes| match hashes {
        Value::Array(hashes) => Value::Array(hashes.iter().map(hash).collect()),
        _ => unreadable("not an array"),
    });
    let checkpoint = field(proof, "checkpoint").map(|checkpoint| match field(checkpoint, "envelope") {
        Some(Value::String(note)) => self::checkpoint(note),
        _ => unreadable("there is no signed note in it"),
    });
    object([
        ("log_index", count(proof, "logIndex")),
        ("tree_size", count(proof, "treeSize")),
        ("root_hash", field(proof, "rootHash").map(hash)),
        ("hashes", hashes),
        ("checkpoint", checkpoint),
        ("unknown_fields", unknown_fields(proof, &PROOF_FIELDS)),
    ])
}

fn checkpoint(note: &str) -> Part {
    let SignedCheckpoint { checkpoint, note } = match SignedCheckpoint::parse(note) {
        Ok(read) => read,
        Err(error) => {
            let lines = note.lines().map(text).collect();
            return object([
                (super::parts::UNREADABLE, Some(text(error.to_string()))),
                ("lines", Value::array_unless_empty(lines)),
            ]);
        }
    };
    let signatures = note.signatures.iter().map(|line| {
        object([
            ("by", Some(text(line.name.clone()))),
            ("key_id", Some(text(hex(&line.key_id)))),
            ("signature", Some(blob(&line.bytes))),
        ])
    });
    object([
        ("origin", Some(text(checkpoint.origin))),
        ("tree_size", Some(Value::Integer(checkpoint.size.into()))),
        ("root_hash", Some(text(hex(checkpoint.root.as_ref())))),
        ("lines", Value::array_unless_empty(checkpoint.extensions.into_iter().map(text).collect())),
        ("signatures", Value::array_unless_empty(signatures.collect())),
    ])
}
