//! One good bundle in the spellings that the Sigstore clients write: every one is accepted.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use sealog_bundle::Bundle;
use sealog_crypto::KeyKind;
use sealog_testkit::{Person, Sigstore, Thing};
use serde_json::{Value, json};

const FILE: &[u8] = b"the file";

type Change = fn(&mut Value);

/// Every field's name in `snake_case`, as old Python clients wrote them.
fn snake(value: &Value) -> Value {
    let name = |name: &String| {
        name.chars().fold(String::new(), |mut snake, c| {
            if c.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
            snake
        })
    };
    match value {
        Value::Object(fields) => fields.iter().map(|(key, value)| (name(key), snake(value))).collect(),
        Value::Array(list) => list.iter().map(snake).collect(),
        other => other.clone(),
    }
}

/// Base64 for URLs without padding, in every place where the text is base64.
fn url_safe(value: &mut Value) {
    const BASE64: [&str; 10] = [
        "rawBytes",
        "sig",
        "signature",
        "digest",
        "payload",
        "signedTimestamp",
        "rootHash",
        "keyId",
        "canonicalizedBody",
        "hashes",
    ];
    let spell = |value: &mut Value| {
        if let Value::String(text) = value {
            *text = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
        }
    };
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| match value {
            Value::Array(list) if name == "hashes" => list.iter_mut().for_each(spell),
            value if BASE64.contains(&name.as_str()) && value.is_string() => spell(value),
            value => url_safe(value),
        }),
        Value::Array(list) => list.iter_mut().for_each(url_safe),
        _ => {}
    }
}

const CHANGES: &[(&str, Change)] = &[
    ("as it is", |_| {}),
    ("the other media type of the version", |b| {
        b["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.3");
    }),
    ("the older format with a chain of one", |b| {
        b["mediaType"] = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
        let material = b["verificationMaterial"].as_object_mut().unwrap();
        let leaf = material.remove("certificate").unwrap();
        material.insert("x509CertificateChain".into(), json!({ "certificates": [leaf] }));
    }),
    ("null for what is not there", |b| {
        b["verificationMaterial"]["publicKey"] = Value::Null;
        b["verificationMaterial"]["x509CertificateChain"] = Value::Null;
        b["verificationMaterial"]["tlogEntries"][0]["inclusionPromise"] = Value::Null;
        b["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = Value::Null;
    }),
    ("zeros written out", |b| b["verificationMaterial"]["tlogEntries"][0]["integratedTime"] = json!("0")),
    ("a promise that is empty", |b| {
        b["verificationMaterial"]["tlogEntries"][0]["inclusionPromise"] = json!({});
    }),
    ("numbers as numbers", |b| {
        let entry = &mut b["verificationMaterial"]["tlogEntries"][0];
        for path in ["/logIndex", "/inclusionProof/logIndex", "/inclusionProof/treeSize"] {
            let number = entry.pointer_mut(path).unwrap();
            *number = json!(number.as_str().unwrap().parse::<u64>().unwrap());
        }
    }),
    ("snake case", |b| *b = snake(b)),
    ("base64 for URLs", url_safe),
    ("base64 in lines", |b| {
        let leaf = &mut b["verificationMaterial"]["certificate"]["rawBytes"];
        let (first, second) = leaf.as_str().unwrap().split_at(76);
        *leaf = json!(format!("{first}\n{second}\r\n"));
    }),
    ("no digest, a number for its algorithm, or no key id", |b| {
        if let Some(message) = b.get_mut("messageSignature") {
            message["messageDigest"]["algorithm"] = json!(1);
        }
        if let Some(envelope) = b.get_mut("dsseEnvelope") {
            envelope["signatures"][0]["keyid"] = json!("");
        }
    }),
    ("null for a digest and a key id", |b| {
        if let Some(message) = b.get_mut("messageSignature") {
            message["messageDigest"] = Value::Null;
        }
        if let Some(envelope) = b.get_mut("dsseEnvelope") {
            envelope["signatures"][0]["keyid"] = Value::Null;
        }
    }),
];

#[test]
fn every_spelling_of_a_good_bundle_is_accepted() {
    let mut world = Sigstore::new();
    let who = Person::new("alice@example.com", KeyKind::EcdsaP256);
    for thing in [Thing::File(FILE), Thing::StatementAbout(FILE)] {
        let good = world.sign(&who, thing);
        for (name, change) in CHANGES {
            let mut document: Value = serde_json::from_str(&good.bundle.to_json()).unwrap();
            change(&mut document);
            for text in [document.to_string(), serde_json::to_string_pretty(&document).unwrap() + "\n"] {
                let bundle =
                    Bundle::parse(text.as_bytes()).map_err(|error| format!("{name}: {error}")).unwrap();
                assert_eq!(world.class(&good.with(bundle)), None, "{name}");
            }
        }
    }
}

#[test]
fn all_kinds_of_signing_keys_we_hold_are_accepted() {
    for kind in
        [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::Rsa { bits: 2048 }, KeyKind::Rsa { bits: 3072 }]
    {
        let mut world = Sigstore::new();
        let who = Person::new("https://example.com/workflow@main", kind);
        for thing in [Thing::File(FILE), Thing::StatementAbout(FILE)] {
            let signed = world.sign(&who, thing);
            assert_eq!(world.class(&signed), None, "{kind}");
        }
    }
}
