//! Bundles changed in what they say: bytes flipped, fields dropped, emptied, doubled, swapped, added.
//!
//! Nothing is drawn by lot: which byte is changed, and how, follows from its place, so that every run asks the same.

use serde_json::{Value, json};

use super::flips::Places;
use super::tree::{Place, places};
use crate::encoding;

/// Fields whose bytes stand in base64.
const BYTES: [&str; 13] = [
    "rawBytes",
    "signature",
    "sig",
    "digest",
    "payload",
    "keyId",
    "rootHash",
    "canonicalizedBody",
    "signedEntryTimestamp",
    "signedTimestamp",
    "hashes",
    "hint",
    "keyid",
];
/// Media types, known and not.
const MEDIA_TYPES: [&str; 18] = [
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle.v0.1+json",
    "application/vnd.dev.sigstore.bundle.v0.2+json",
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.sigstore.bundle.v0.3.0+json",
    "application/vnd.dev.sigstore.bundle.v0.3.1+json",
    "application/vnd.dev.sigstore.bundle.v0.4+json",
    "application/vnd.dev.sigstore.bundle.v1.0+json",
    "application/vnd.dev.sigstore.bundle+json;version=0.4",
    "application/vnd.dev.sigstore.bundle+json; version=0.3",
    "application/vnd.dev.sigstore.bundle+json",
    "Application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.sigstore.bundle.v0.3+json;charset=utf-8",
    " application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/json",
    "0.3",
];

/// A changed document, and what was done to it.
pub(super) type Mutant = (String, Value);

/// How densely bytes are changed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Flips {
    /// Every so many bytes of a field.
    Every(usize),
    /// About so many in each field.
    About(usize),
}

/// One bit of every chosen byte of every field.
pub(super) fn flips(document: &Value, density: Flips) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for place in places(document) {
        let Some(text) = place.get(document).and_then(Value::as_str) else { continue };
        let bytes =
            Some(place.name()).filter(|name| BYTES.contains(name)).and_then(|_| encoding::base64(text));
        let encoded = bytes.is_some();
        let bytes = bytes.unwrap_or_else(|| text.as_bytes().to_vec());
        // What is no DER has steady places only.
        let Places { steady, others } = Places::of(&bytes);
        let (step, others) = match density {
            Flips::Every(step) => (step, others),
            Flips::About(count) => (steady.len().div_ceil(count).max(1), Vec::new()),
        };
        for at in steady.into_iter().step_by(step).chain(others.into_iter().step_by(step)) {
            let mut changed = bytes.clone();
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= 1;
            }
            let text = if encoded {
                encoding::to_base64(&changed)
            } else {
                String::from_utf8_lossy(&changed).into()
            };
            mutants.extend(place.with(document, json!(text)).map(|new| (format!("flip {place} @{at}"), new)));
        }
    }
    mutants
}

/// Every field gone, empty, null; every element twice; with `types`, every field of another type.
pub(super) fn fields(document: &Value, types: bool) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for place in places(document) {
        let Some(value) = place.get(document) else { continue };
        let mut add = |what: &str, new: Option<Value>| {
            mutants.extend(new.filter(|new| new != document).map(|new| (format!("{what} {place}"), new)));
        };
        add("drop", place.without(document));
        add("null", place.with(document, Value::Null));
        let empty = match value {
            Value::Object(_) => json!({}),
            Value::Array(_) => json!([]),
            _ => json!(""),
        };
        add("empty", place.with(document, empty));
        if types {
            add("list of", place.with(document, json!([value])));
            add("true for", place.with(document, json!(true)));
        }
        match value {
            Value::Array(elements) => {
                for (index, element) in elements.iter().enumerate() {
                    let name = format!("double element {index} of");
                    add(&name, place.pushed(document, element.clone()));
                }
                if elements.len() > 1 {
                    add("reverse", place.with(document, elements.iter().rev().cloned().collect()));
                }
            }
            Value::String(text) if text.parse::<i64>().is_ok() => {
                let number: i64 = text.parse().unwrap_or_default();
                for (what, new) in [
                    ("one more than", json!((number + 1).to_string())),
                    ("one less than", json!((number - 1).to_string())),
                    ("zero for", json!("0")),
                    ("minus one for", json!("-1")),
                    ("2^63 for", json!("9223372036854775808")),
                ] {
                    add(what, place.with(document, new));
                }
            }
            Value::String(text) => {
                add("one letter more in", place.with(document, json!(format!("{text}A"))));
                add("one letter less in", place.with(document, json!(text.get(1..).unwrap_or_default())));
            }
            _ => {}
        }
    }
    mutants
}

/// Every field taken from another good bundle: each holds there, but not here.
pub(super) fn swaps(document: &Value, other: &Value) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for place in places(document) {
        let (Some(mine), Some(theirs)) = (place.get(document), place.get(other)) else { continue };
        if mine != theirs {
            let swapped = place.with(document, theirs.clone());
            mutants.extend(swapped.map(|new| (format!("swap {place}"), new)));
        }
    }
    mutants
}

/// Other media types over the same document.
pub(super) fn media_types(document: &Value) -> Vec<Mutant> {
    let place = Place::of("mediaType");
    let change = |media_type: &&str| {
        let new = place.with(document, json!(media_type)).filter(|new| new != document)?;
        Some((format!("media type `{media_type}`"), new))
    };
    MEDIA_TYPES.iter().filter_map(change).collect()
}

/// Things from elsewhere that more can be made of than the signer meant.
pub(super) struct Spares {
    /// Certificates of the trusted root's last authority, issuer first, anchor last.
    pub(super) issuers: Vec<Value>,
    /// Another good bundle.
    pub(super) other: Option<Value>,
}

/// More certificates, timestamps, entries, signatures, lines than there should be, and fields where they should not
/// be.
pub(super) fn extras(document: &Value, spares: &Spares) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    let mut add = |what: &str, new: Option<Value>| mutants.extend(new.map(|new| (what.to_owned(), new)));
    certificates(document, spares, &mut add);
    let material = Place::of("verificationMaterial");
    let entries = Place::of("verificationMaterial.tlogEntries");
    let timestamps = Place::of("verificationMaterial.timestampVerificationData.rfc3161Timestamps");
    if let Some(other) = &spares.other {
        let entry = Place::of("verificationMaterial.tlogEntries[0]").get(other).cloned();
        add("extra entry of another bundle", entry.clone().and_then(|entry| entries.pushed(document, entry)));
        add(
            "extra entry of another bundle first",
            entry.and_then(|entry| entries.put_first(document, entry)),
        );
        let stamp = Place::of("verificationMaterial.timestampVerificationData.rfc3161Timestamps[0]")
            .get(other)
            .cloned();
        add(
            "extra timestamp of another bundle",
            stamp.clone().and_then(|stamp| timestamps.pushed(document, stamp)),
        );
        add(
            "extra timestamp of another bundle first",
            stamp.and_then(|stamp| timestamps.put_first(document, stamp)),
        );
    }
    let stamp = json!({"signedTimestamp": "MAMCAQI="});
    add("extra timestamp that is a refusal", timestamps.pushed(document, stamp.clone()));
    let first = json!({"rfc3161Timestamps": [stamp]});
    let data = Place::of("verificationMaterial.timestampVerificationData");
    add("only a timestamp that is a refusal", data.with(document, first));
    if let Some(entry) = Place::of("verificationMaterial.tlogEntries[0]").get(document) {
        let unknown = json!({"keyId": encoding::to_base64(&[7; 32])});
        let foreign = Place::of("logId").with(entry, unknown);
        add("extra entry by an unknown log", foreign.and_then(|entry| entries.pushed(document, entry)));
        let kind = Place::of("kindVersion").with(entry, json!({"kind": "rekord", "version": "0.0.1"}));
        add("extra entry of an unsupported kind", kind.and_then(|entry| entries.pushed(document, entry)));
        let promise = json!({"signedEntryTimestamp": encoding::to_base64(&[7; 70])});
        let promised = Place::of("verificationMaterial.tlogEntries[0].inclusionPromise");
        add("another inclusion promise", promised.with(document, promise));
        let time = Place::of("verificationMaterial.tlogEntries[0].integratedTime");
        add("integrated time of 2001", time.with(document, json!("1000000000")));
        add("integrated time of today", time.with(document, json!("1790000000")));
    }
    add("33 entries", repeated(document, &entries, 33));
    add("33 timestamps", repeated(document, &timestamps, 33));
    let key = json!({"hint": "aGludA=="});
    add(
        "a key beside the certificate",
        Place::of("verificationMaterial.publicKey").with(document, key.clone()),
    );
    let alone = json!({"publicKey": key, "tlogEntries": entries.get(document)});
    add("a key in place of the certificate", material.with(document, alone));
    let message = json!({"signature": "AAAA"});
    let envelope = json!({"payload": "e30=", "payloadType": "x", "signatures": [{"sig": "AAAA"}]});
    if Place::of("messageSignature").get(document).is_some() {
        add("an envelope beside the message", Place::of("dsseEnvelope").with(document, envelope));
    } else {
        add("a message beside the envelope", Place::of("messageSignature").with(document, message));
        let signatures = Place::of("dsseEnvelope.signatures");
        add("extra signature that is none", signatures.pushed(document, json!({"sig": "AAAA", "keyid": ""})));
        add("extra signature that is none first", signatures.put_first(document, json!({"sig": "AAAA"})));
    }
    checkpoints(document, &mut add);
    mutants
}

/// The list at `place` with its first element so many times.
fn repeated(document: &Value, place: &Place, count: usize) -> Option<Value> {
    let first = place.get(document)?.get(0)?.clone();
    place.with(document, Value::Array(vec![first; count]))
}

fn certificates(document: &Value, spares: &Spares, add: &mut impl FnMut(&str, Option<Value>)) {
    let single = Place::of("verificationMaterial.certificate");
    let chain = Place::of("verificationMaterial.x509CertificateChain");
    let old = json!("application/vnd.dev.sigstore.bundle+json;version=0.2");
    let leaf =
        single.get(document).or_else(|| Place::of("certificates[0]").get(chain.get(document)?)).cloned();
    let Some(leaf) = leaf else { return };
    let bare = single.without(document).or_else(|| chain.without(document));
    let Some(bare) = bare else { return };
    let with = |certificates: Vec<Value>| chain.with(&bare, json!({"certificates": certificates}));
    let older = |new: Option<Value>| new.and_then(|new| Place::of("mediaType").with(&new, old.clone()));
    add("a single certificate", single.with(&bare, leaf.clone()));
    add("a single certificate in version 0.2", older(single.with(&bare, leaf.clone())));
    add("a chain of one", with(vec![leaf.clone()]));
    add("a chain of one in version 0.2", older(with(vec![leaf.clone()])));
    add(
        "a chain and a single certificate",
        with(vec![leaf.clone()]).and_then(|new| single.with(&new, leaf.clone())),
    );
    let mut all = vec![leaf.clone()];
    all.extend(spares.issuers.iter().cloned());
    add("a chain with the root in version 0.2", older(with(all)));
    if let Some((root, intermediates)) = spares.issuers.split_last() {
        let mut chain = vec![leaf.clone()];
        chain.extend(intermediates.iter().cloned());
        add("a chain with the intermediate in version 0.2", older(with(chain.clone())));
        chain.reverse();
        add("a chain the wrong way round in version 0.2", older(with(chain)));
        add("the root as the certificate", single.with(&bare, root.clone()));
    }
    let broken = json!({"rawBytes": "MAA="});
    add("a chain with what is no certificate in version 0.2", older(with(vec![leaf.clone(), broken])));
    add("a chain with the leaf twice in version 0.2", older(with(vec![leaf.clone(), leaf.clone()])));
    if let Some(other) = spares.other.as_ref().and_then(|other| single.get(other)) {
        add("a chain with another leaf in version 0.2", older(with(vec![leaf, other.clone()])));
    }
}

/// Lines more, less and otherwise in the checkpoint of the first entry.
fn checkpoints(document: &Value, add: &mut impl FnMut(&str, Option<Value>)) {
    let place = Place::of("verificationMaterial.tlogEntries[0].inclusionProof.checkpoint.envelope");
    let Some(text) = place.get(document).and_then(Value::as_str) else { return };
    let Some((body, signatures)) = text.split_once("\n\n") else { return };
    let foreign = format!("\u{2014} other.example {}\n", encoding::to_base64(&[9; 68]));
    let first = signatures.lines().next().unwrap_or_default();
    let variants = [
        ("an unknown signature last", format!("{body}\n\n{signatures}{foreign}")),
        ("an unknown signature first", format!("{body}\n\n{foreign}{signatures}")),
        ("a signature line that is none", format!("{body}\n\n{signatures}\u{2014} other.example\n")),
        ("a signature line without a dash", format!("{body}\n\n{signatures}- other.example AAAAAAAA\n")),
        ("a signature of no bytes", format!("{body}\n\n{signatures}\u{2014} other.example AAAAAA==\n")),
        ("a signature that is no base64", format!("{body}\n\n{signatures}\u{2014} other.example !!!!\n")),
        ("its signature twice", format!("{body}\n\n{signatures}{first}\n")),
        ("no last line end", text.trim_end_matches('\n').to_owned()),
        ("one more line end", format!("{text}\n")),
        ("two empty lines", format!("{body}\n\n\n{signatures}")),
        ("carriage returns", text.replace('\n', "\r\n")),
        ("another line in its body", format!("{body}\nextension\n\n{signatures}")),
        ("no signature", format!("{body}\n\n")),
        ("17 signatures", format!("{body}\n\n{signatures}{}", foreign.repeat(16))),
        ("101 signatures", format!("{body}\n\n{signatures}{}", foreign.repeat(100))),
        (
            "a space after its size",
            body.lines().enumerate().map(space_after_size).collect::<String>() + "\n" + signatures,
        ),
    ];
    for (what, new) in variants {
        add(&format!("checkpoint with {what}"), place.with(document, json!(new)));
    }
}

fn space_after_size((index, line): (usize, &str)) -> String {
    if index == 1 { format!("{line} \n") } else { format!("{line}\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle() -> Value {
        json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": "AAEC"},
                "tlogEntries": [{
                    "logIndex": "7",
                    "inclusionProof": {"checkpoint": {"envelope": "o\n1\nr\n\n\u{2014} o AAAAAAAA\n"}},
                }],
            },
            "messageSignature": {"signature": "//8="},
        })
    }

    #[test]
    fn every_mutant_differs_and_says_how() {
        let document = bundle();
        let mut other = document.clone();
        other["messageSignature"]["signature"] = json!("AAAA");
        let spares = Spares { issuers: vec![json!({"rawBytes": "BA=="})], other: Some(other.clone()) };
        let mut mutants = flips(&document, Flips::Every(1));
        mutants.extend(fields(&document, true));
        mutants.extend(swaps(&document, &other));
        mutants.extend(media_types(&document));
        mutants.extend(
            extras(&document, &spares).into_iter().filter(|(what, _)| what != "a single certificate"),
        );
        assert!(mutants.iter().all(|(_, mutant)| *mutant != document));
        let mut names: Vec<&str> = mutants.iter().map(|(what, _)| what.as_str()).collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        for expected in [
            "flip messageSignature.signature @1",
            "drop verificationMaterial.tlogEntries[0].logIndex",
            "one more than verificationMaterial.tlogEntries[0].logIndex",
            "swap messageSignature",
            "a chain with the root in version 0.2",
            "checkpoint with two empty lines",
        ] {
            assert!(names.contains(&expected), "{expected}");
        }
    }

    #[test]
    fn a_flip_changes_one_bit_of_what_the_field_means() {
        let mutants = flips(&bundle(), Flips::Every(1));
        let (_, flipped) =
            mutants.iter().find(|(what, _)| what == "flip messageSignature.signature @0").unwrap();
        assert_eq!(flipped["messageSignature"]["signature"], "/v8=");
    }
}
