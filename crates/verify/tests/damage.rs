//! Every value of a good bundle, damaged in turn: each bundle that results must be refused.
//!
//! The bundles are those of the conformance suite; see `conformance.rs` for where they come from.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use sealog_bundle::{Bundle, TrustedRoot};
use sealog_verify::{Artifact, Policy, verify};
use serde_json::Value;
use std::{env, fs, path::Path};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const CASES: [&str; 4] = [
    "rekor2-timestamp-with-embedded-cert",
    "rekor2-dsse-happy-path",
    "happy-path-v0.3-new-mediaType",
    "happy-path-intoto-in-dsse-v3",
];
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// A token whose signature covers all but its head.
const TOKEN_WITHOUT_CERTIFICATE: &str = "rekor2-dsse-happy-path";
/// Base64 characters before the signed part of that token: status, and a list of digest algorithms that
/// its format repeats from further in.
const TOKEN_HEAD: usize = 80;

/// The path of every scalar in the document.
fn scalars(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, v)| scalars(v, &format!("{path}/{name}"), found))
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, v)| scalars(v, &format!("{path}/{at}"), found));
        }
        _ => found.push(path.to_owned()),
    }
}

/// Every field of every object: the object's path and the field's name.
fn objects(value: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, v)| {
            found.push((path.to_owned(), name.clone()));
            objects(v, &format!("{path}/{name}"), found);
        }),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(at, v)| objects(v, &format!("{path}/{at}"), found));
        }
        _ => {}
    }
}

/// The text with another character at a place.
fn altered(text: &str, at: usize) -> String {
    let mut bytes: Vec<char> = text.chars().collect();
    bytes[at] = match bytes[at] {
        'A' => 'B',
        '0'..='8' => char::from_u32(u32::from(bytes[at]) + 1).unwrap(),
        _ => 'A',
    };
    bytes.into_iter().collect()
}

/// Texts that must not be taken for this one.
fn damages(path: &str, text: &str, from: usize) -> Vec<String> {
    // Of a checkpoint, what the log signed and its own signature; other signatures are not ours to judge.
    let length = match path.ends_with("/envelope") {
        true => text.match_indices('\n').nth(4).map_or(text.len(), |(at, _)| text[..at].chars().count()),
        false => text.chars().count(),
    };
    // Base64 padding is optional, so the damage stays before it.
    let length = text.chars().take(length).collect::<String>().trim_end_matches(['=', '\n']).chars().count();
    let steps = 41;
    let places = (0..steps).map(|n| from + n * (length - from) / steps).chain([length - 1]);
    let mut places: Vec<usize> = places.collect();
    places.dedup();
    places.into_iter().map(|at| altered(text, at)).chain([String::new(), format!("{text}A")]).collect()
}

#[test]
fn every_damaged_value_is_refused() {
    let Some(dir) = env::var_os("SEALOG_CONFORMANCE_DIR") else {
        assert!(env::var_os("CI").is_none(), "CI must set SEALOG_CONFORMANCE_DIR");
        eprintln!("skipped: set SEALOG_CONFORMANCE_DIR to test/assets of sigstore/sigstore-conformance");
        return;
    };
    let cases = Path::new(&dir).join("bundle-verify");
    let artifact = fs::read(cases.join("a.txt")).unwrap();
    let public_good = Path::new(&dir).join("public-good-trusted_root.json");
    let mut accepted = Vec::new();
    for case in CASES {
        let dir = cases.join(case);
        let own = dir.join("trusted_root.json");
        let root = if own.exists() { own } else { public_good.clone() };
        let root = TrustedRoot::parse(&fs::read(root).unwrap()).unwrap();
        let policy = Policy::identity(IDENTITY, ISSUER);
        let good: Value =
            serde_json::from_slice(&fs::read(dir.join("bundle.sigstore.json")).unwrap()).unwrap();
        let verifies = |document: &Value| {
            Bundle::parse(document.to_string().as_bytes())
                .is_ok_and(|b| verify(&b, &root, &policy, &Artifact::from_bytes(&artifact)).is_ok())
        };
        assert!(verifies(&good), "{case}");
        let mut fields = Vec::new();
        objects(&good, "", &mut fields);
        for (path, name) in fields {
            let mut document = good.clone();
            document.pointer_mut(&path).unwrap().as_object_mut().unwrap().remove(&name);
            // What the signer says the digest is may be left out; the entry says it too.
            if name != "messageDigest" && verifies(&document) {
                accepted.push(format!("{case}{path} without {name}"));
            }
        }
        let mut paths = Vec::new();
        scalars(&good, "", &mut paths);
        assert!(paths.len() > 15, "{paths:?}");
        for path in paths {
            let text = good.pointer(&path).unwrap().as_str().unwrap().to_owned();
            // No signature covers certificates that come with a token: they are compared or passed over.
            let token = path.ends_with("/signedTimestamp");
            if token && case != TOKEN_WITHOUT_CERTIFICATE {
                continue;
            }
            let from = if token { TOKEN_HEAD } else { 0 };
            for damaged in damages(&path, &text, from) {
                let mut document = good.clone();
                *document.pointer_mut(&path).unwrap() = Value::String(damaged.clone());
                if damaged != text && verifies(&document) {
                    accepted.push(format!("{case}{path}: {damaged:.60}"));
                }
            }
        }
    }
    assert!(accepted.is_empty(), "{}", accepted.join("\n"));
}
