//! One good bundle in the spellings that the Sigstore clients write: every one is accepted.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use sealog_bundle::Bundle;
use sealog_crypto::{HashAlgorithm, KeyKind};
use sealog_testkit::{EntryForm, KEY_KINDS, KeyForm, NOW, Person, Shape, Signed, Sigstore, Thing, statement};
use sealog_verify::ErrorClass;
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
fn every_shape_is_accepted() {
    let mut world = Sigstore::new();
    let who = Person::new("alice@example.com", KeyKind::EcdsaP256);
    let shapes = Shape::every();
    assert!(shapes.len() > 60, "{}", shapes.len());
    for (shape, statement) in shapes {
        let thing = if statement { Thing::StatementAbout(FILE) } else { Thing::File(FILE) };
        let signed = world.sign_as(&who, thing, &shape);
        let verified = world.verify(&signed).map_err(|error| format!("{shape:?}: {error}")).unwrap();
        let log = if shape.entries[0].is_v1() { world.rekor_v1.origin() } else { world.log.origin() };
        assert_eq!(verified.log(), Some(log.as_str()));
        let time = (shape.timestamp || shape.promise).then_some(NOW);
        assert_eq!(verified.signed_at().map(|time| time.seconds()), time);
        let identity = (shape.key != KeyForm::Managed).then_some("alice@example.com");
        assert_eq!(verified.identity(), identity);
        assert_eq!(verified.statement().is_some(), statement);
        // Sent and read again, it is the same.
        assert_eq!(Bundle::parse(signed.bundle.to_json().as_bytes()).as_ref(), Ok(&signed.bundle));
    }
}

#[test]
fn every_kind_of_key_signs_in_every_entry_that_can_hold_it() {
    let mut world = Sigstore::new();
    for kind in KEY_KINDS {
        let who = Person::new("https://example.com/workflow@main", kind);
        let statement = Thing::StatementAbout(FILE);
        for (thing, form) in [
            (Thing::File(FILE), EntryForm::HashedRekordV002),
            (statement, EntryForm::HashedRekordV002),
            (Thing::File(FILE), EntryForm::HashedRekordV001),
            (statement, EntryForm::DsseV001),
            (statement, EntryForm::IntotoV002),
        ] {
            for key in [KeyForm::Certificate, KeyForm::Managed] {
                let shape = Shape { key, entries: vec![form], ..Shape::default() };
                let signed = world.sign_as(&who, thing, &shape);
                // Entries of a digest want the prehashed form of Ed25519, which our keys do not sign; ML-DSA has none.
                let whole = matches!(form, EntryForm::DsseV001 | EntryForm::IntotoV002);
                let expected = match kind {
                    KeyKind::Ed25519 if !whole => Some(ErrorClass::Signature),
                    KeyKind::MlDsa44 | KeyKind::MlDsa65 | KeyKind::MlDsa87 if !whole => Some(ErrorClass::Key),
                    _ => None,
                };
                assert_eq!(world.class(&signed), expected, "{kind} {form:?} {key:?}");
            }
        }
    }
}

#[test]
fn statements_of_both_types_and_by_every_hash() {
    let mut world = Sigstore::new();
    let who = Person::new("alice@example.com", KeyKind::EcdsaP256);
    let subject = Some(ErrorClass::Subject);
    for (of_type, known) in [
        ("https://in-toto.io/Statement/v1", true),
        ("https://in-toto.io/Statement/v0.1", true),
        ("https://in-toto.io/Statement/v2", false),
        ("", false),
    ] {
        for by in [&HashAlgorithm::ALL[..], &[HashAlgorithm::Sha384], &[HashAlgorithm::Sha512], &[]] {
            let signed = world.sign(&who, Thing::Statement { about: FILE, of_type, by });
            let expected = if known && !by.is_empty() { None } else { subject };
            assert_eq!(world.class(&signed), expected, "{of_type} {by:?}");
            let other = Signed { file: b"another file".to_vec(), ..signed };
            assert_eq!(world.class(&other), subject);
        }
    }
    // What signs something else than a statement says nothing about a file.
    let payload = statement(FILE, "https://in-toto.io/Statement/v1", &[HashAlgorithm::Sha256]);
    for (payload, payload_type) in [
        (payload.as_slice(), "application/json"),
        (b"{}", "application/vnd.in-toto+json"),
        (FILE, "application/vnd.in-toto+json"),
        (b"", ""),
    ] {
        let signed = world.sign(&who, Thing::Envelope { payload, payload_type, file: FILE });
        assert_eq!(world.class(&signed), subject, "{payload_type}");
    }
}

#[test]
fn a_bundle_without_any_log_is_not_accepted_unasked() {
    let mut world = Sigstore::new();
    let who = Person::new("https://example.com/workflow@main", KeyKind::EcdsaP256);
    let signed = world.sign_as(&who, Thing::StatementAbout(FILE), &Shape::without_logs());
    assert_eq!(world.class(&signed), Some(ErrorClass::InvalidBundle));
    world.root.tlogs.clear();
    world.root.ctlogs.clear();
    assert_eq!(world.class(&signed), Some(ErrorClass::InvalidBundle));
}
