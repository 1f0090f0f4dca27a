//! A whole bundle, described part by part: what cannot be read of one part takes nothing from the others.

use super::{
    certificate, der, entry,
    parts::{
        Part, blob, bytes, field, hex, message, messages, or_why, string, text, unknown_fields, unreadable,
    },
};
use sealog_bundle::{
    Bundle, BundleError, JsonError, UnixTime, Version,
    bundle::MAX_BUNDLE_BYTES,
    dsse::IN_TOTO_PAYLOAD_TYPE,
    json::{JsonFault, Value, decode_base64, object},
    statement::MAX_STATEMENT_BYTES,
};
use sealog_pki::timestamp::TimeStampResp;
use std::convert::Infallible;

const BUNDLE_FIELDS: [&str; 4] = ["mediaType", "verificationMaterial", "messageSignature", "dsseEnvelope"];
const MATERIAL_FIELDS: [&str; 5] =
    ["publicKey", "x509CertificateChain", "certificate", "tlogEntries", "timestampVerificationData"];

/// Describes a document, or says why it is no bundle in any part.
pub(crate) fn describe(document: &[u8], line: Option<usize>) -> Result<Part, BundleError> {
    let value = Value::parse(document, MAX_BUNDLE_BYTES)?;
    if !BUNDLE_FIELDS.iter().any(|part| field(&value, part).is_some()) {
        return Err(JsonError::here(JsonFault::Missing).into());
    }
    let fault = Bundle::parse(document).err();
    if let (Some(fault), false) =
        (&fault, BUNDLE_FIELDS.iter().skip(1).any(|part| field(&value, part).is_some()))
    {
        return Err(fault.clone());
    }
    let material = field(&value, "verificationMaterial");
    let of_material = |describe: &dyn Fn(&Value<'_>) -> Option<Part>| material.and_then(describe);
    let (leaf, chain) = material.map(certificates).unwrap_or_default();
    let media_type = field(&value, "mediaType").and_then(Value::as_str);
    let note = match media_type.map(Version::from_media_type) {
        Some(None) => Some(text("a version this program does not know")),
        _ => None,
    };
    let stamps = |material: &Value<'_>| {
        let data = field(material, "timestampVerificationData")?;
        messages(data, "rfc3161Timestamps", timestamp)
    };
    Ok(object([
        ("line", line.map(|line| Value::Integer(i128::try_from(line).unwrap_or(i128::MAX)))),
        ("media_type", string(&value, "mediaType")),
        ("note", note),
        ("refused_because", fault.map(|fault| text(fault.to_string()))),
        ("content", content(&value)),
        ("certificate", leaf),
        ("chain", chain),
        ("key_hint", of_material(&|material| string(field(material, "publicKey")?, "hint"))),
        ("timestamps", of_material(&stamps)),
        ("log_entries", of_material(&|material| messages(material, "tlogEntries", entry::describe))),
        ("unknown_fields", unknown(&value, material)),
        ("checked", Some(Value::Bool(false))),
    ]))
}

fn unknown(value: &Value<'_>, material: Option<&Value<'_>>) -> Option<Part> {
    let of_material = material.and_then(|material| unknown_fields(material, &MATERIAL_FIELDS));
    let all = [unknown_fields(value, &BUNDLE_FIELDS), of_material].into_iter().flatten();
    let names = all.filter_map(|names| match names {
        Value::Array(names) => Some(names),
        _ => None,
    });
    Value::array_unless_empty(names.flatten().collect())
}

/// What was signed. Both kinds, if there are both: nobody says here which one counts.
fn content(value: &Value<'_>) -> Option<Part> {
    let signed = message(value, "messageSignature", |message| {
        object([
            ("kind", Some(text("message-signature"))),
            ("digest", self::message(message, "messageDigest", digest)),
            ("signature", bytes(message, "signature", |bytes| Ok::<_, Infallible>(blob(&bytes)))),
            ("unknown_fields", unknown_fields(message, &["messageDigest", "signature"])),
        ])
    });
    let enveloped = message(value, "dsseEnvelope", envelope);
    match (signed, enveloped) {
        (Some(signed), Some(enveloped)) => {
            Some(object([("message_signature", Some(signed)), ("dsse_envelope", Some(enveloped))]))
        }
        (one, other) => one.or(other),
    }
}

/// A digest as the format's numbers and names have it.
fn digest(digest: &Value<'_>) -> Part {
    let algorithm = match field(digest, "algorithm") {
        Some(Value::String(name)) => name.to_string(),
        Some(Value::Integer(number)) => format!("algorithm {number}"),
        _ => "an algorithm that is not named".to_owned(),
    };
    match field(digest, "digest").and_then(Value::as_str).and_then(decode_base64) {
        Some(bytes) => text(format!("{}:{}", algorithm.to_lowercase().replace("sha2_", "sha"), hex(&bytes))),
        None => unreadable("not base64"),
    }
}

fn envelope(envelope: &Value<'_>) -> Part {
    let payload_type = field(envelope, "payloadType").and_then(Value::as_str);
    let statement = field(envelope, "payload")
        .filter(|_| payload_type == Some(IN_TOTO_PAYLOAD_TYPE))
        .and_then(|payload| payload.as_str().and_then(decode_base64))
        .map(|payload| or_why(Value::parse(&payload, MAX_STATEMENT_BYTES).map(|read| statement(&read))));
    let signature = |signature: &Value<'_>| {
        object([
            ("signature", bytes(signature, "sig", |bytes| Ok::<_, Infallible>(blob(&bytes)))),
            ("key_id", string(signature, "keyid").filter(|id| id.as_str() != Some(""))),
            ("unknown_fields", unknown_fields(signature, &["sig", "keyid"])),
        ])
    };
    object([
        ("kind", Some(text("dsse-envelope"))),
        ("payload_type", string(envelope, "payloadType")),
        ("payload", bytes(envelope, "payload", |bytes| Ok::<_, Infallible>(blob(&bytes)))),
        ("statement", statement),
        ("signatures", messages(envelope, "signatures", signature)),
        ("unknown_fields", unknown_fields(envelope, &["payload", "payloadType", "signatures"])),
    ])
}

/// An in-toto statement: what it is about. What it states is for who knows its predicate.
fn statement(statement: &Value<'_>) -> Part {
    let subject = |subject: &Value<'_>| {
        let digests = field(subject, "digest").map(|digests| match digests {
            Value::Object(digests) => Value::Array(
                digests
                    .iter()
                    .map(|(algorithm, value)| match value.as_str() {
                        Some(value) => text(format!("{algorithm}:{value}")),
                        None => unreadable(format!("the digest by {algorithm} is not a string")),
                    })
                    .collect(),
            ),
            _ => unreadable("not an object"),
        });
        object([("name", string(subject, "name")), ("digests", digests)])
    };
    if !matches!(statement, Value::Object(_)) {
        return unreadable("not an object");
    }
    let predicate = field(statement, "predicate").map(|value| blob(value.to_compact().as_bytes()));
    object([
        ("type", string(statement, "_type")),
        ("predicate_type", string(statement, "predicateType")),
        ("subjects", messages(statement, "subject", subject)),
        ("predicate", predicate),
    ])
}

/// The leaf, and what came with it.
fn certificates(material: &Value<'_>) -> (Option<Part>, Option<Part>) {
    let raw = |certificate: &Value<'_>| {
        bytes(certificate, "rawBytes", |der| Ok::<_, Infallible>(certificate::describe(&der)))
            .unwrap_or_else(|| unreadable("there are no bytes in it"))
    };
    let chain = field(material, "x509CertificateChain");
    let chain = chain.and_then(|chain| messages(chain, "certificates", raw));
    let single = message(material, "certificate", raw);
    match (single, chain) {
        (None, Some(Value::Array(mut chain))) if !chain.is_empty() => {
            let leaf = chain.remove(0);
            (Some(leaf), Value::array_unless_empty(chain))
        }
        (None, Some(Value::Array(_))) => (None, Some(unreadable("the chain is empty"))),
        other => other,
    }
}

/// An element of `rfc3161Timestamps`.
fn timestamp(stamp: &Value<'_>) -> Part {
    let described =
        bytes(stamp, "signedTimestamp", |der| TimeStampResp::parse(&der).map(|read| token(&read, &der)));
    described.unwrap_or_else(|| unreadable("there are no bytes in it"))
}

fn token(read: &TimeStampResp, whole: &[u8]) -> Part {
    let (issuer, serial) = match der::token_signer(whole) {
        Some(der::TokenSigner::Certificate { issuer, serial }) => (Some(issuer), Some(serial)),
        Some(der::TokenSigner::KeyId(id)) => (Some(format!("the authority with key {}", hex(id))), None),
        None => (None, None),
    };
    let own = read.certificates().iter().find(|certificate| Some(certificate.serial()) == serial);
    let authority = own.and_then(|certificate| der::name(certificate.subject_name()));
    let certificates = read.certificates().iter().map(|c| certificate::describe(c.der())).collect();
    object([
        ("time", Some(text(UnixTime::from_millis(read.gen_time_unix_ms()).to_string()))),
        ("authority", authority.map(text)),
        ("authority_issued_by", issuer.map(text)),
        ("authority_serial", serial.map(|serial| text(hex(serial)))),
        ("serial", Some(text(hex(read.serial())))),
        ("policy", Some(text(read.policy().to_string()))),
        ("imprint", Some(text(read.imprint().to_string()))),
        ("nonce", read.nonce().map(|nonce| text(hex(nonce)))),
        ("certificates", Value::array_unless_empty(certificates)),
        ("content", Some(blob(whole))),
    ])
}
