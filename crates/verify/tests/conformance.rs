//! The bundles of the sigstore-conformance suite, each by path and by digest, and for each that must
//! be refused the reason.
//!
//! The data is not in this repository: set `SEALOG_CONFORMANCE_DIR` to a folder laid out like the
//! suite's `test/assets`. Without it the test says so and checks nothing, except in CI.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use sealog_bundle::{Bundle, TrustedRoot};
use sealog_crypto::{HashAlgorithm, PublicKey};
use sealog_verify::{Artifact, ErrorClass, Policy, Verified, VerifyError, verify};
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// Why each case is refused; the rest must verify.
const REFUSED: &[(&str, ErrorClass)] = &[
    ("bundle-empty-certificate-chain_fail", ErrorClass::InvalidBundle),
    ("bundle-invalid-base64-signature_fail", ErrorClass::Parse),
    ("bundle-malformed-json_fail", ErrorClass::Parse),
    ("bundle-negative-log-index_fail", ErrorClass::Parse),
    ("bundle-unknown-version_fail", ErrorClass::InvalidBundle),
    ("rekor2-checkpoint-missing-log-signature_fail", ErrorClass::Checkpoint),
    ("rekor2-checkpoint-missing-origin_fail", ErrorClass::Checkpoint),
    ("rekor2-checkpoint-missing-size_fail", ErrorClass::Checkpoint),
    ("rekor2-checkpoint-no-matching-signature_fail", ErrorClass::Checkpoint),
    ("rekor2-dsse-invalid-sig_fail", ErrorClass::Signature),
    ("rekor2-dsse-mismatch-sig_fail", ErrorClass::EntryMismatch),
    ("rekor2-no-inclusion-proof_fail", ErrorClass::InvalidBundle),
    ("rekor2-timestamp-outside-trust-root-tsa-validity_fail", ErrorClass::Timestamp),
    ("rekor2-timestamp-payload-mismatch_fail", ErrorClass::Timestamp),
    ("rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail", ErrorClass::Timestamp),
    ("rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail", ErrorClass::Timestamp),
    ("rekor2-timestamp-with-incorrect-time_fail", ErrorClass::TimeOutsideCertificate),
    // Rekor v1 from here on.
    ("checkpoint-wrong-roothash_fail", ErrorClass::InclusionProof),
    ("dsse-invalid-sig_fail", ErrorClass::Signature),
    ("dsse-mismatch-envelope_fail", ErrorClass::EntryMismatch),
    ("dsse-mismatch-sig_fail", ErrorClass::EntryMismatch),
    ("inclusion-proof-corrupted-hash_fail", ErrorClass::InclusionProof),
    ("incorrect-public-key_fail", ErrorClass::Promise),
    ("intoto-expired-certificate_fail", ErrorClass::TimeOutsideCertificate),
    ("intoto-log-entry-mismatch_fail", ErrorClass::EntryMismatch),
    ("intoto-set-outside-signing-cert-validity_fail", ErrorClass::TimeOutsideCertificate),
    ("intoto-tsa-timestamp-outside-cert-validity_fail", ErrorClass::TimeOutsideCertificate),
    ("invalid-checkpoint-signature_fail", ErrorClass::Checkpoint),
    ("invalid-inclusion-proof_fail", ErrorClass::InvalidBundle),
    ("managed-key-no-key_fail", ErrorClass::Key),
    ("managed-key-wrong-key_fail", ErrorClass::Key),
    ("message-digest-mismatch_fail", ErrorClass::Digest),
    ("set-invalid-signature_fail", ErrorClass::Promise),
    ("signature-mismatch_fail", ErrorClass::Signature),
    ("wrong-hashedrekord-cert-and-sig_fail", ErrorClass::EntryMismatch),
    ("wrong-hashedrekord-entry_fail", ErrorClass::EntryMismatch),
    ("wrong-material_fail", ErrorClass::Digest),
];

struct Case {
    dir: PathBuf,
    artifact: Vec<u8>,
    root: PathBuf,
}

impl Case {
    fn name(&self) -> String {
        self.dir.file_name().unwrap().to_string_lossy().into_owned()
    }

    /// None when the key that the case wants used is no key at all.
    fn policy(&self) -> Option<Policy> {
        if let Ok(pem) = fs::read_to_string(self.dir.join("key.pub")) {
            return PublicKey::from_pem(&pem).ok().map(Policy::key);
        }
        let text = |name: &str, default: &str| {
            fs::read_to_string(self.dir.join(name)).map_or_else(|_| default.into(), |t| t.trim().to_owned())
        };
        Some(Policy::identity(text("identity", IDENTITY), text("issuer", ISSUER)))
    }

    fn run(&self, policy: &Policy, artifact: &Artifact<'_>) -> Result<Verified, VerifyError> {
        let bundle = Bundle::parse(&fs::read(self.dir.join("bundle.sigstore.json")).unwrap())?;
        let root = TrustedRoot::parse(&fs::read(&self.root).unwrap());
        verify(&bundle, &root.map_err(VerifyError::TrustedRootDocument)?, policy, artifact)
    }

    fn both_ways(&self) -> [(&'static str, Artifact<'_>); 2] {
        let digest = HashAlgorithm::Sha256.digest(&self.artifact);
        [("path", Artifact::from_bytes(&self.artifact)), ("digest", Artifact::from_digests([digest]))]
    }
}

/// Every case, or nothing and a line that says why.
fn cases() -> Vec<Case> {
    let Some(dir) = env::var_os("SEALOG_CONFORMANCE_DIR") else {
        assert!(env::var_os("CI").is_none(), "CI must set SEALOG_CONFORMANCE_DIR");
        eprintln!("skipped: set SEALOG_CONFORMANCE_DIR to test/assets of sigstore/sigstore-conformance");
        return Vec::new();
    };
    let dir = Path::new(&dir);
    let cases = dir.join("bundle-verify");
    let or = |own: PathBuf, other: PathBuf| if own.exists() { own } else { other };
    let case = |dir_of_case: PathBuf| Case {
        artifact: fs::read(or(dir_of_case.join("artifact"), cases.join("a.txt"))).unwrap(),
        root: or(dir_of_case.join("trusted_root.json"), dir.join("public-good-trusted_root.json")),
        dir: dir_of_case,
    };
    let mut found: Vec<Case> = fs::read_dir(&cases)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(case)
        .collect();
    found.sort_by(|a, b| a.dir.cmp(&b.dir));
    found
}

#[test]
fn every_case_ends_as_it_must_and_for_the_right_reason() {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    let cases = cases();
    for case in &cases {
        let expected = REFUSED.iter().find(|(name, _)| *name == case.name()).map(|(_, class)| *class);
        for (way, artifact) in case.both_ways() {
            let Some(policy) = case.policy() else {
                assert_eq!(expected, Some(ErrorClass::Key), "{}: not a key", case.name());
                continue;
            };
            let outcome = case.run(&policy, &artifact);
            let class = outcome.as_ref().err().map(VerifyError::class);
            if class != expected {
                let reason = outcome.err().map(|e| format!("{e} ({})", e.class()));
                wrong.push(format!("{} by {way}: {reason:?}, expected {expected:?}", case.name()));
            }
        }
        seen.insert(case.name());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A list that names cases nobody has any more would say nothing.
    let unknown: Vec<_> = REFUSED.iter().filter(|(name, _)| !seen.contains(*name)).collect();
    assert!(cases.is_empty() || unknown.is_empty(), "{unknown:?}");
}

#[test]
fn a_good_bundle_is_refused_for_anybody_and_anything_else() {
    for case in cases().iter().filter(|c| REFUSED.iter().all(|(name, _)| *name != c.name())) {
        let class = |policy: Policy, artifact: &Artifact<'_>| {
            case.run(&policy, artifact).map(|_| ()).map_err(|e| e.class())
        };
        let other_file = Artifact::from_bytes(b"another file");
        let refused = class(case.policy().unwrap(), &other_file);
        assert!(
            matches!(refused, Err(ErrorClass::Digest | ErrorClass::Subject)),
            "{}: {refused:?}",
            case.name()
        );
        let good = Artifact::from_bytes(&case.artifact);
        if case.dir.join("key.pub").exists() {
            assert_eq!(class(Policy::identity(IDENTITY, ISSUER), &good), Err(ErrorClass::Key));
            continue;
        }
        let someone_else = Policy::identity("mallory@example.com", ISSUER);
        assert_eq!(class(someone_else, &good), Err(ErrorClass::Policy));
        let part_of_the_name = Policy::identity(&IDENTITY[..IDENTITY.len() - 1], ISSUER);
        assert_eq!(class(part_of_the_name, &good), Err(ErrorClass::Policy));
        let other_issuer = Policy::identity(IDENTITY, "https://accounts.google.com");
        assert_eq!(class(other_issuer, &good), Err(ErrorClass::Policy));
    }
}
