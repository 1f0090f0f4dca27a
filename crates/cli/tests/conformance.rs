//! The bundles of the sigstore-conformance suite, through its own protocol and through `sealog verify
//! --json`, each by path and by digest.
//!
//! `SEALOG_CONFORMANCE_DIR` names the data, `docs/reference/conformance.md` says how each case ends. What is not
//! the class, the verdict and the exit status that the page promises fails.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "says why it was skipped")]

use sealog_crypto::HashAlgorithm;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/\
                        .github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

fn data() -> Option<PathBuf> {
    let named = std::env::var_os("SEALOG_CONFORMANCE_DIR").map(PathBuf::from);
    let found = named.filter(|dir| dir.join("bundle-verify").is_dir());
    if found.is_none() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "SEALOG_CONFORMANCE_DIR names no conformance data"
        );
        eprintln!(
            "skipped: set SEALOG_CONFORMANCE_DIR to test/assets of github.com/sigstore/sigstore-conformance"
        );
    }
    found
}

fn either(preferred: PathBuf, other: PathBuf) -> PathBuf {
    if preferred.is_file() { preferred } else { other }
}

fn text(file: &Path, default: &str) -> String {
    fs::read_to_string(file).map_or_else(|_| default.to_owned(), |text| text.trim().to_owned())
}

/// What the page says of every case: its class, none when it is accepted; and whether each folder of data has it.
fn rows() -> BTreeMap<&'static str, (Option<&'static str>, bool)> {
    let page = include_str!("../../../docs/reference/conformance.md");
    let row = |line: &'static str| {
        let (name, rest) = line.strip_prefix("| `")?.split_once('`')?;
        let (mark, rest) = rest.split_once('|')?;
        let class = rest.split('|').next()?.trim();
        let class = class.strip_prefix('`').map(|class| class.trim_end_matches('`'));
        Some((name, (class, !mark.contains('†'))))
    };
    page.lines().filter_map(row).collect()
}

/// Cases that are refused before there is a bundle to judge, and the exit status.
const NOT_CHECKED: [(&str, i32); 2] =
    [("managed-key-wrong-key_fail", 2), ("trust-root-tlog-missing-validity-start_fail", 3)];

/// How one of our programs ended for a case, and what it wrote.
struct Ended {
    code: i32,
    data: String,
    words: String,
}

fn run(program: &str, verb: &[&str], data: &Path, case: &Path, artifact: &str) -> Ended {
    let root = either(case.join("trusted_root.json"), data.join("public-good-trusted_root.json"));
    let mut command = Command::new(program);
    command.args(verb).arg("--bundle").arg(case.join("bundle.sigstore.json"));
    if case.join("key.pub").is_file() {
        command.arg("--key").arg(case.join("key.pub"));
    } else {
        command.args(["--certificate-identity", &text(&case.join("identity"), IDENTITY)]);
        command.args(["--certificate-oidc-issuer", &text(&case.join("issuer"), ISSUER)]);
    }
    let output = command.arg("--trusted-root").arg(root).arg(artifact).output().unwrap();
    let [data, words] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    // Refused with words, not with a crash.
    let code = output.status.code().unwrap_or_else(|| panic!("{}: {words}", case.display()));
    Ended { code, data, words }
}

/// The verdict and class in the line of JSON that there must be.
fn verdict(ended: &Ended) -> (String, Option<String>) {
    let [line] = ended.data.lines().collect::<Vec<_>>()[..] else {
        return (format!("{} lines", ended.data.lines().count()), None);
    };
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    (text(&line["verdict"]).unwrap(), text(&line["error"]["class"]))
}

#[test]
fn every_case_ends_as_the_page_says_in_both_programs() {
    let Some(data) = data() else { return };
    let (cases, mut rows, mut wrong) = (data.join("bundle-verify"), rows(), Vec::new());
    assert_eq!(rows.len(), 70);
    for entry in fs::read_dir(&cases).unwrap() {
        let case = entry.unwrap().path();
        if !case.is_dir() {
            continue;
        }
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        let (class, _) = rows.remove(name.as_str()).unwrap_or_else(|| panic!("the page has no {name}"));
        assert_eq!(class.is_some(), name.ends_with("_fail"), "{name}");
        let not_checked = NOT_CHECKED.iter().find(|(case, _)| *case == name);
        let (said, code) = match (class, not_checked) {
            (None, _) => ("verified", 0),
            (Some(_), Some((_, code))) => ("not-checked", *code),
            (Some(_), None) => ("not-verified", 1),
        };
        let expected = (said.to_owned(), class.map(str::to_owned));
        let artifact = either(case.join("artifact"), cases.join("a.txt"));
        let digest = HashAlgorithm::Sha256.digest(&fs::read(&artifact).unwrap()).to_string();
        for artifact in [artifact.to_str().unwrap(), &digest] {
            let by_words =
                run(env!("CARGO_BIN_EXE_sealog-conformance"), &["verify-bundle"], &data, &case, artifact);
            let by_line = run(env!("CARGO_BIN_EXE_sealog"), &["verify", "--json"], &data, &case, artifact);
            let found = verdict(&by_line);
            if (by_words.code, by_line.code) != (code, code) || found != expected {
                let codes = (by_words.code, by_line.code);
                wrong.push(format!("{name} ({artifact}): {codes:?} {found:?}, expected {code} {expected:?}"));
            }
            assert!(code == 0 || by_words.words.starts_with("error: "), "{name}: {}", by_words.words);
        }
    }
    rows.retain(|_, (_, always_there)| *always_there);
    assert!(rows.is_empty(), "{} lacks {:?}", cases.display(), rows.keys());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is said of a command without `--trusted-root`.
fn said(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealog-conformance"));
    let output = command.args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn without_services_there_is_no_signing_and_a_way_out() {
    let expected = "error: no services of Sigstore's public instance are built into this program\n\
                    hint: give --trusted-root FILE\n";
    let signing = ["sign-bundle", "--identity-token", "t", "--bundle", "b", "f"];
    assert_eq!(said(&signing), (Some(2), expected.to_owned()));
}

#[test]
fn without_a_trusted_root_the_public_instances_counts_and_its_staging_instances_if_asked() {
    let Some(data) = data() else { return };
    let case = data.join("bundle-verify/happy-path-v0.3");
    let (bundle, file) = (case.join("bundle.sigstore.json"), data.join("bundle-verify/a.txt"));
    let [bundle, file] = [&bundle, &file].map(|path| path.to_str().unwrap());
    let verify = |first: &[&str]| {
        let rest = [
            "--bundle",
            bundle,
            "--certificate-identity",
            IDENTITY,
            "--certificate-oidc-issuer",
            ISSUER,
            file,
        ];
        said(&[&["verify-bundle"], first, &rest].concat()).0
    };
    assert_eq!((verify(&[]), verify(&["--staging"])), (Some(0), Some(1)));
}
