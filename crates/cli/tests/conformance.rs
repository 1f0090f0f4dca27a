//! The bundles of the sigstore-conformance suite, through its own protocol, each by path and by digest.
//!
//! `SEALOG_CONFORMANCE_DIR` names the data. Cases that are not expected to come out right stand in a list with
//! the reason; one of them coming out right fails too, so that the list cannot rot.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stderr, reason = "says why it was skipped")]

use sealog_crypto::HashAlgorithm;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Cases that do not come out right, each with its reason.
const EXCEPTIONS: &[(&str, &str)] = &[];
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

/// Whether a case's bundle is accepted for `artifact`, and what was said.
fn accepted(data: &Path, case: &Path, artifact: &str) -> (bool, String) {
    let root = either(case.join("trusted_root.json"), data.join("public-good-trusted_root.json"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_sealog-conformance"));
    command.arg("verify-bundle").arg("--bundle").arg(case.join("bundle.sigstore.json"));
    if case.join("key.pub").is_file() {
        command.arg("--key").arg(case.join("key.pub"));
    } else {
        command.args(["--certificate-identity", &text(&case.join("identity"), IDENTITY)]);
        command.args(["--certificate-oidc-issuer", &text(&case.join("issuer"), ISSUER)]);
    }
    let output = command.arg("--trusted-root").arg(root).arg(artifact).output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    // Refused with words, not with a crash.
    let code = output.status.code().unwrap_or_else(|| panic!("{}: {words}", case.display()));
    assert!(matches!(code, 0..=3), "{}: {code} {words}", case.display());
    (code == 0, words)
}

#[test]
fn every_case_comes_out_as_it_should() {
    let Some(data) = data() else { return };
    let cases = data.join("bundle-verify");
    let mut wrong = Vec::new();
    let mut counted = 0;
    for entry in fs::read_dir(&cases).unwrap() {
        let case = entry.unwrap().path();
        if !case.join("bundle.sigstore.json").is_file() {
            continue;
        }
        counted += 1;
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        let excepted = EXCEPTIONS.iter().any(|(case, _)| *case == name);
        let good = name.ends_with("_fail") == excepted;
        let artifact = either(case.join("artifact"), cases.join("a.txt"));
        let digest = HashAlgorithm::Sha256.digest(&fs::read(&artifact).unwrap()).to_string();
        for artifact in [artifact.to_str().unwrap(), &digest] {
            let (accepted, words) = accepted(&data, &case, artifact);
            if accepted != good {
                wrong.push(format!("{name} ({artifact}): accepted is {accepted}: {words}"));
            }
        }
    }
    assert!(counted >= 50, "only {counted} cases were found");
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
