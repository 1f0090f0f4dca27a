//! `sealog inspect`: every part of a bundle in words, broken parts and hostile texts, and never a verdict.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod signed;

use signed::{Home, SIGNER, bundle, sha256, statement};
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

#[test]
fn inspect_tells_everything_without_a_verdict() {
    let home = Home::new();
    home.write("a.json", bundle("a.txt"));
    let screen = home.run(&["inspect", "a.json"].map(OsStr::new));
    assert_eq!((screen.1.as_str(), screen.2), ("", 0));
    for told in [
        "media type           application/vnd.dev.sigstore.bundle.v0.3+json\n",
        &format!("  digest               sha256:{}\n", sha256("a.txt")),
        "certificate\n  name                 ann@example.org\n",
        "  extension            key usage (critical): digital signature\n",
        "extended key usage: code signing\n",
        "  SCT 1 of 1\n    time                 20",
        "timestamp 1 of 1\n  time                 20",
        "  imprint              sha256:",
        "log entry 1 of 1\n  kind                 hashedrekord\n  version              0.0.2\n",
        "      key details          PKIX_ECDSA_P256_SHA_256\n".trim_start(),
        "    checkpoint\n      origin               localhost\n",
        "      signature 1 of 1\n        by                   localhost\n        key id               ",
        "\nNothing of this was checked: `sealog verify` does that.\n",
    ] {
        assert!(screen.0.contains(told), "{told:?} is not in\n{}", screen.0);
    }
    let line = home.run(&["inspect", "a.json", "--json"].map(OsStr::new)).0;
    let read: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(read["checked"], false);
    assert_eq!(read["certificate"]["names"][0], SIGNER);
    assert_eq!(read["log_entries"][0]["body"]["signatures"][0]["key"]["key"], read["certificate"]["key"]);

    let line = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    home.write("two.jsonl", format!("{}\n{}\n", line(bundle("a.txt")), line(statement())));
    let screen = home.run(&["inspect", "two.jsonl"].map(OsStr::new));
    assert_eq!(screen.2, 0);
    for told in [
        "bundle 1 of 2\nline                 1\n",
        "bundle 2 of 2\nline                 2\n",
        "    subject 1 of 1\n      name                 a.txt\n",
    ] {
        assert!(screen.0.contains(told), "{told:?} is not in\n{}", screen.0);
    }
    let lines = home.run(&["inspect", "two.jsonl", "--json"].map(OsStr::new)).0;
    assert_eq!(lines.lines().count(), 2);
}

#[test]
fn a_broken_part_takes_nothing_from_the_others() {
    let home = Home::new();
    let whole: serde_json::Value = serde_json::from_slice(&bundle("a.txt")).unwrap();
    let hostile = "x\nlog entry 9 of 9\u{1b}[2J\u{202e}";
    for (pointer, told) in [
        ("/verificationMaterial/certificate/rawBytes", "certificate          cannot be read: "),
        ("/verificationMaterial/tlogEntries/0/logIndex", "log index            cannot be read: "),
        ("/verificationMaterial/tlogEntries/0/canonicalizedBody", "body                 cannot be read: "),
        ("/verificationMaterial/tlogEntries/0/inclusionProof", "inclusion proof      cannot be read: "),
        (
            "/verificationMaterial/tlogEntries/0/inclusionProof/rootHash",
            "root hash            cannot be read: ",
        ),
        ("/verificationMaterial/tlogEntries/0/inclusionProof/checkpoint/envelope", "cannot be read       "),
        (
            "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp",
            "timestamp            cannot be read: ",
        ),
        ("/messageSignature/signature", "signature            cannot be read: "),
        ("/messageSignature/messageDigest/digest", "digest               cannot be read: "),
    ] {
        let mut broken = whole.clone();
        *broken.pointer_mut(pointer).unwrap() = hostile.into();
        home.write("b.json", broken.to_string());
        let screen = home.run(&["inspect", "b.json"].map(OsStr::new));
        assert_eq!(screen.2, 1, "{pointer}");
        assert_eq!(screen.1, "error: one part of `b.json` cannot be read\n", "{pointer}\n{}", screen.0);
        assert!(screen.0.contains(told), "{pointer}: {told:?} is not in\n{}", screen.0);
        // All the others are there.
        for other in ["certificate", "timestamp", "log entry 1 of 1", "body", "content"] {
            assert!(screen.0.contains(other), "{pointer}: {other}");
        }
        assert!(
            !screen.0.contains("\nlog entry 9") && !screen.0.contains(['\u{1b}', '\u{202e}']),
            "{}",
            screen.0
        );
        let json = home.run(&["inspect", "b.json", "--json"].map(OsStr::new));
        let read: serde_json::Value = serde_json::from_str(&json.0).unwrap();
        assert!(json.0.contains("\"unreadable\":") && json.0.is_ascii(), "{}", json.0);
        assert_eq!((read["checked"].as_bool(), json.2), (Some(false), 1));
    }
    let mut odd = whole;
    odd["mediaType"] = "application/vnd.dev.sigstore.bundle.v9+json".into();
    odd[hostile] = 1.into();
    home.write("b.json", odd.to_string());
    let screen = home.run(&["inspect", "b.json"].map(OsStr::new));
    for told in [
        "note                 a version this program does not know\n",
        "unknown field        x\\u{a}log entry 9",
        "refused for          ",
    ] {
        assert!(screen.0.contains(told), "{told:?} is not in\n{}", screen.0);
    }
    assert_eq!(screen.2, 0);
}

/// The words that would read as a verdict.
const VERDICTS: [&str; 4] = ["verified", "valid", "good", "ok"];

fn has_verdict(text: &str) -> bool {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).any(|word| VERDICTS.contains(&word))
}

#[test]
fn inspect_never_says_that_a_bundle_is_good() {
    assert!(has_verdict("it is OK.") && !has_verdict("`sealog verify` invalidates okra"));
    let home = Home::new();
    home.write("a.json", bundle("a.txt"));
    home.write("s.json", statement());
    let mut bundles: Vec<PathBuf> = ["a.json", "s.json"].map(|name| home.path(name)).into();
    if let Some(data) = std::env::var_os("SEALOG_CONFORMANCE_DIR") {
        let cases = fs::read_dir(Path::new(&data).join("bundle-verify")).unwrap();
        let of_case = cases.map(|case| case.unwrap().path().join("bundle.sigstore.json"));
        bundles.extend(of_case.filter(|bundle| bundle.is_file()));
        assert!(bundles.len() > 50, "only {} bundles", bundles.len());
    }
    for bundle in bundles {
        for more in [&[][..], &["--json"]] {
            let mut args = vec![OsStr::new("inspect"), bundle.as_os_str()];
            args.extend(more.iter().map(OsStr::new));
            let output = home.command(&args).output().unwrap();
            let name = bundle.display();
            assert!(matches!(output.status.code(), Some(0 | 1)), "{name}");
            for stream in [output.stdout, output.stderr] {
                let text = String::from_utf8(stream).unwrap();
                assert!(!has_verdict(&text), "{name}: {text}");
            }
        }
    }
}
