//! What people hear: every refusal says what was expected, what was found, and what to do next.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use sealog_testkit::{NOW, P256, Person, Signed, Sigstore, Thing};
use sealog_verify::{
    Artifact, Bundle, Policy, Report, TrustedRoot, Verdict, Verified, VerifyError, verdict::json_line, verify,
};
use std::{env, fs, path::Path};

const FILE: &[u8] = b"the file";

/// That a refusal in words, and as a line of JSON, has all that it must have.
fn is_told_in_full(outcome: &Result<Verified, VerifyError>) {
    let report = Report::of("file", outcome);
    assert_ne!(report.verdict, Verdict::Verified);
    let row = |label: &str| report.rows.iter().find(|row| row.label == label).map(|row| row.value.as_str());
    let wrong_signer = report.verdict == Verdict::WrongSigner;
    let found = row("found").or(row("signed by").filter(|_| wrong_signer));
    for (what, value) in [("expected", row("expected")), ("found", found)] {
        assert!(value.is_some_and(|value| !value.is_empty()), "{what} is missing: {report}");
    }
    assert_ne!(row("expected"), row("found"), "{report}");
    assert!(report.hint.is_some_and(|hint| !hint.is_empty()), "no hint: {report}");
    let shown = report.to_string();
    assert!(!shown.contains("is verified\n") && shown.starts_with("error: "), "{shown}");
    let line: serde_json::Value = serde_json::from_str(&json_line("file", outcome)).unwrap();
    for member in ["class", "message", "expected", "found"] {
        assert!(line["error"][member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {line}");
    }
    assert_eq!(line["verdict"], report.verdict.name());
}

type Damage = fn(&mut Signed, &mut Sigstore);

#[test]
fn every_refusal_says_expected_found_and_next() {
    let damages: &[Damage] = &[
        |s, _| s.file.push(0),
        |s, _| sealog_testkit::set_signature(&mut s.bundle.content, &[0; 20_000]),
        |s, _| s.bundle.material.log_entries.clear(),
        |s, _| s.bundle.material.timestamps.clear(),
        |s, _| s.bundle.material.timestamps.push(vec![0x30, 0]),
        |s, _| {
            let first = s.bundle.material.timestamps[0].clone();
            s.bundle.material.timestamps.push(first);
        },
        |s, _| s.bundle.material.log_entries[0].inclusion_proof = None,
        |s, _| s.bundle.material.log_entries[0].inclusion_proof.as_mut().unwrap().checkpoint.clear(),
        |s, _| s.bundle.material.log_entries[0].inclusion_proof.as_mut().unwrap().checkpoint.push('x'),
        |s, _| s.bundle.material.log_entries[0].inclusion_proof.as_mut().unwrap().hashes.clear(),
        |s, _| s.bundle.material.log_entries[0].inclusion_proof.as_mut().unwrap().tree_size += 1,
        |s, _| s.bundle.material.log_entries[0].inclusion_proof.as_mut().unwrap().root_hash[0] ^= 1,
        |s, _| s.bundle.material.log_entries[0].inclusion_proof.as_mut().unwrap().hashes[0][0] ^= 1,
        |s, _| s.bundle.material.log_entries[0].log_index += 1,
        |s, _| s.bundle.material.log_entries[0].log_id[0] ^= 1,
        |s, _| s.bundle.material.log_entries[0].canonicalized_body.push(b' '),
        |s, _| s.bundle.material.log_entries[0].canonicalized_body.clear(),
        |s, _| s.bundle.material.log_entries[0].kind_version.kind = "rekord".into(),
        |s, _| s.bundle.material.log_entries[0].integrated_time = NOW,
        |_, w| w.root.tlogs.clear(),
        |_, w| w.root.ctlogs.clear(),
        |_, w| w.root.timestamp_authorities.clear(),
        |_, w| w.root.certificate_authorities.clear(),
        |_, w| w.root.tlogs[0].public_key.clear(),
        |_, w| w.root.tlogs[0].base_url.clear(),
        |_, w| w.root.tlogs[0].valid_for = sealog_testkit::window(0, 1),
        |_, w| w.root.ctlogs[0].valid_for = sealog_testkit::window(0, 1),
        |_, w| w.root.timestamp_authorities[0].valid_for = sealog_testkit::window(0, 1),
        |_, w| w.root.certificate_authorities[0].valid_for = sealog_testkit::window(0, 1),
        |s, w| s.bundle.material.timestamps = vec![w.tsa.stamp(b"another signature", NOW)],
        |s, w| s.bundle.material.timestamps = vec![w.tsa.stamp(s.signature(), NOW + 86_400)],
        |s, _| s.bundle.material.timestamps = vec![Sigstore::other("x").tsa.stamp(s.signature(), NOW)],
        |s, _| {
            s.signer =
                sealog_testkit::Signer::Identity { identity: "eve@x".into(), issuer: "https://i".into() }
        },
        |s, _| s.bundle.material.key = sealog_bundle::KeyMaterial::PublicKey { hint: "x".into() },
        |s, _| s.bundle.material.key = sealog_bundle::KeyMaterial::Chain(Vec::new()),
        |s, _| s.bundle.material.key = sealog_bundle::KeyMaterial::Certificate(vec![0x30, 0]),
    ];
    for thing in [Thing::File(FILE), Thing::StatementAbout(FILE)] {
        for (at, damage) in damages.iter().enumerate() {
            let mut world = Sigstore::new();
            let mut signed = world.sign(&Person::new("ann@example.org", P256), thing);
            damage(&mut signed, &mut world);
            let outcome = world.verify(&signed);
            assert!(outcome.is_err(), "damage {at}");
            is_told_in_full(&outcome);
        }
    }
    for document in
        [&b"{}"[..], b"", b"[", br#"{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=9"}"#]
    {
        let outcome: Result<Verified, VerifyError> = Err(Bundle::parse(document).unwrap_err().into());
        is_told_in_full(&outcome);
    }
}

#[test]
fn every_refusal_of_the_conformance_suite_does_too() {
    let Some(dir) = env::var_os("SEALOG_CONFORMANCE_DIR") else {
        assert!(env::var_os("CI").is_none(), "CI must set SEALOG_CONFORMANCE_DIR");
        eprintln!("skipped: set SEALOG_CONFORMANCE_DIR to test/assets of sigstore/sigstore-conformance");
        return;
    };
    let dir = Path::new(&dir);
    let cases = dir.join("bundle-verify");
    let artifact = fs::read(cases.join("a.txt")).unwrap();
    let mut told = 0;
    for case in fs::read_dir(&cases).unwrap().map(|entry| entry.unwrap().path()) {
        let Ok(document) = fs::read(case.join("bundle.sigstore.json")) else { continue };
        let own = case.join("trusted_root.json");
        let root = if own.exists() { own } else { dir.join("public-good-trusted_root.json") };
        let Ok(root) = TrustedRoot::parse(&fs::read(root).unwrap()) else { continue };
        // Nobody is called so: what verifies is refused for its signer.
        let policy = Policy::identity("nobody@example.org", "https://accounts.example.org");
        let outcome = Bundle::parse(&document).map_err(VerifyError::from);
        let outcome = outcome.and_then(|b| verify(&b, &root, &policy, &Artifact::from_bytes(&artifact)));
        is_told_in_full(&outcome);
        told += 1;
    }
    assert!(told > 50, "{told}");
}
