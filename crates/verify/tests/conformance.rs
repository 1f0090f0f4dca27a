//! The bundles of the sigstore-conformance suite, each by path and by digest, and for each that must
//! be refused the reason.
//!
//! The data is not in this repository: set `SEALOG_CONFORMANCE_DIR` to a folder laid out like the
//! suite's `test/assets`, all of it or a part. Without it the tests say so and check nothing, except in CI.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "helpers of tests")]

use ErrorClass::{
    Checkpoint, Digest, EntryMismatch, InclusionProof, InvalidBundle, Key, NoVerifiedTime, Parse, Promise,
    Sct, Signature, TimeOutsideCertificate, Timestamp, TrustRoot,
};
use sealog_bundle::{Bundle, KeyMaterial, TrustedRoot};
use sealog_crypto::{HashAlgorithm, KeyKind, PublicKey, Signer as _};
use sealog_verify::{
    Artifact, ErrorClass, KeyPolicyError, Policy, StructureError, Verified, VerifyError, verify,
};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// Every case of the suite, and why it is refused, if it must be. `docs/reference/conformance.md` has the
/// same list with reasons.
const CASES: &[(&str, Option<ErrorClass>)] = &[
    ("bundle-empty-certificate-chain_fail", Some(InvalidBundle)),
    ("bundle-from-wrong-instance_fail", Some(NoVerifiedTime)),
    ("bundle-invalid-base64-signature_fail", Some(Parse)),
    ("bundle-malformed-json_fail", Some(Parse)),
    ("bundle-negative-log-index_fail", Some(Parse)),
    ("bundle-unknown-version_fail", Some(InvalidBundle)),
    ("bundle-with-root-cert_fail", Some(InvalidBundle)),
    ("bundle-with-sct-with-extensions", None),
    ("checkpoint-bad-keyhint_fail", Some(Checkpoint)),
    ("checkpoint-wrong-roothash_fail", Some(InclusionProof)),
    ("dsse-invalid-sig_fail", Some(Signature)),
    ("dsse-mismatch-envelope_fail", Some(EntryMismatch)),
    ("dsse-mismatch-sig_fail", Some(EntryMismatch)),
    ("happy-path-intoto-in-dsse-v3", None),
    ("happy-path-v0.1", None),
    ("happy-path-v0.2", None),
    ("happy-path-v0.3", None),
    ("happy-path-v0.3-new-mediaType", None),
    ("inclusion-proof-corrupted-hash_fail", Some(InclusionProof)),
    ("incorrect-public-key_fail", Some(Promise)),
    ("integrated-time-in-future_fail", Some(TimeOutsideCertificate)),
    ("intoto-expired-certificate_fail", Some(TimeOutsideCertificate)),
    ("intoto-log-entry-mismatch_fail", Some(EntryMismatch)),
    ("intoto-missing-inclusion-proof_fail", Some(InvalidBundle)),
    ("intoto-set-outside-signing-cert-validity_fail", Some(TimeOutsideCertificate)),
    ("intoto-tsa-timestamp-outside-cert-validity_fail", Some(TimeOutsideCertificate)),
    ("intoto-with-custom-trust-root", None),
    ("invalid-checkpoint-signature_fail", Some(Checkpoint)),
    ("invalid-ct-key_fail", Some(Sct)),
    ("invalid-inclusion-proof_fail", Some(InvalidBundle)),
    ("managed-key-and-trusted-root", None),
    ("managed-key-happy-path", None),
    ("managed-key-no-key_fail", Some(Key)),
    ("managed-key-wrong-key_fail", Some(Key)),
    ("message-digest-mismatch_fail", Some(Digest)),
    ("rekor2-checkpoint-cosigned", None),
    ("rekor2-checkpoint-missing-log-signature_fail", Some(Checkpoint)),
    ("rekor2-checkpoint-missing-origin_fail", Some(Checkpoint)),
    ("rekor2-checkpoint-missing-root-hash_fail", Some(Checkpoint)),
    ("rekor2-checkpoint-missing-size_fail", Some(Checkpoint)),
    ("rekor2-checkpoint-multiple-cosigs", None),
    ("rekor2-checkpoint-no-matching-signature_fail", Some(Checkpoint)),
    ("rekor2-checkpoint-origin-not-first", None),
    ("rekor2-checkpoint-two-sigs-cosigned", None),
    ("rekor2-checkpoint-two-sigs-from-origin", None),
    ("rekor2-dsse-happy-path", None),
    ("rekor2-dsse-invalid-sig_fail", Some(Signature)),
    ("rekor2-dsse-mismatch-envelope_fail", Some(EntryMismatch)),
    ("rekor2-dsse-mismatch-sig_fail", Some(EntryMismatch)),
    ("rekor2-happy-path", None),
    ("rekor2-no-inclusion-proof_fail", Some(InvalidBundle)),
    ("rekor2-no-timestamp_fail", Some(NoVerifiedTime)),
    ("rekor2-timestamp-outside-trust-root-tsa-validity_fail", Some(Timestamp)),
    ("rekor2-timestamp-outside-tsa-cert-validity_fail", Some(Timestamp)),
    ("rekor2-timestamp-payload-mismatch_fail", Some(Timestamp)),
    ("rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail", Some(Timestamp)),
    ("rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail", Some(Timestamp)),
    ("rekor2-timestamp-with-embedded-cert", None),
    ("rekor2-timestamp-with-expired-cert-chain", None),
    ("rekor2-timestamp-with-incorrect-time_fail", Some(TimeOutsideCertificate)),
    ("rekor2-timestamp-without-embedded-cert", None),
    ("set-invalid-signature_fail", Some(Promise)),
    ("signature-mismatch_fail", Some(Signature)),
    ("trust-root-tlog-missing-validity-start_fail", Some(TrustRoot)),
    ("trust-root-tlog-validity-end-inclusive", None),
    ("trust-root-tsa-validity-end-inclusive", None),
    ("wrong-hashedrekord-artifact_fail", Some(EntryMismatch)),
    ("wrong-hashedrekord-cert-and-sig_fail", Some(EntryMismatch)),
    ("wrong-hashedrekord-entry_fail", Some(EntryMismatch)),
    ("wrong-material_fail", Some(Digest)),
];

const PAGE: &str = include_str!("../../../docs/reference/conformance.md");

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
    // A folder of something else proves nothing, and must not pass for one that does.
    let is_there = |name: &&str| found.iter().any(|case| case.name() == **name);
    let missing: Vec<_> = always_there().into_iter().filter(|name| !is_there(name)).collect();
    assert!(missing.is_empty(), "{} has no {missing:?}", cases.display());
    found
}

/// The cases of every folder of data: those that the page does not mark.
fn always_there() -> Vec<&'static str> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let names: Vec<_> = rows.map(|(name, _)| name).filter(|name| !name.contains('`')).collect();
    assert!(names.len() >= 53, "{}", names.len());
    names
}

/// What the list says of a case.
fn expected(name: &str) -> Option<ErrorClass> {
    let row = CASES.iter().find(|(case, _)| *case == name);
    row.unwrap_or_else(|| panic!("{name} is a case that the list does not have")).1
}

#[test]
fn every_case_ends_as_it_must_and_for_the_right_reason() {
    let mut wrong = Vec::new();
    for case in &cases() {
        let expected = expected(&case.name());
        for (way, artifact) in case.both_ways() {
            // Without a key there is nothing to ask; what people are told then is the command's to say, and
            // `crates/cli/tests/conformance.rs` asks it.
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
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_list_is_the_suites_and_the_pages() {
    for (name, class) in CASES {
        assert_eq!(name.ends_with("_fail"), class.is_some(), "{name}");
    }
    assert!(CASES.is_sorted_by(|(a, _), (b, _)| a < b), "the list is sorted and names no case twice");
    let row = |line: &str| -> Option<(String, String)> {
        let mut cells = line.strip_prefix("| `")?.split('|');
        let (name, class) = (cells.next()?, cells.next()?);
        assert!(cells.next().is_some_and(|why| why.trim().len() > 10), "{name} without a reason");
        Some((name.trim().trim_end_matches(['†', ' ', '`']).into(), class.trim().trim_matches('`').into()))
    };
    let of_page: Vec<_> = PAGE.lines().filter_map(row).collect();
    let accepted = || "accepted".to_owned();
    let ours = CASES
        .iter()
        .map(|(name, class)| ((*name).to_owned(), class.map_or_else(accepted, |class| class.to_string())));
    assert_eq!(of_page, ours.collect::<Vec<_>>());
}

/// A case, if the folder has it.
fn case<'c>(cases: &'c [Case], name: &str) -> Option<&'c Case> {
    assert!(CASES.iter().any(|(case, _)| *case == name), "{name}");
    cases.iter().find(|case| case.name() == name)
}

impl Case {
    /// What is said of a bundle in place of the case's own.
    fn verdict(&self, bundle: &Bundle, policy: &Policy) -> Result<Verified, VerifyError> {
        let root = TrustedRoot::parse(&fs::read(&self.root).unwrap()).unwrap();
        verify(bundle, &root, policy, &Artifact::from_bytes(&self.artifact))
    }

    fn document(&self) -> String {
        fs::read_to_string(self.dir.join("bundle.sigstore.json")).unwrap()
    }

    fn bundle(&self) -> Bundle {
        Bundle::parse(self.document().as_bytes()).unwrap()
    }
}

/// Two cases lack a checkpoint, so that a verifier may stop at that and never see the fault they are named for.
#[test]
fn what_is_wrong_beside_the_named_fault_is_mended_and_the_fault_is_still_found() {
    let cases = cases();
    let (Some(empty), Some(old_proof), Some(good)) = (
        case(&cases, "bundle-empty-certificate-chain_fail"),
        case(&cases, "invalid-inclusion-proof_fail"),
        case(&cases, "happy-path-v0.1"),
    ) else {
        assert!(cases.is_empty(), "the three cases go together");
        return;
    };
    let policy = good.policy().unwrap();
    let whole = good.bundle();
    assert!(good.verdict(&whole, &policy).is_ok());
    let checkpoint = |bundle: &Bundle| {
        let proof = bundle.material.log_entries[0].inclusion_proof.clone();
        proof.map(|proof| proof.checkpoint).unwrap()
    };
    // A chain without certificates, in a bundle that lacks nothing else.
    let mut mended = empty.bundle();
    mended.material.log_entries = whole.material.log_entries.clone();
    mended.content = whole.content.clone();
    let error = empty.verdict(&mended, &policy).unwrap_err();
    assert!(matches!(error, VerifyError::Structure(StructureError::EmptyChain)), "{error}");
    mended.material.key = whole.material.key.clone();
    assert!(empty.verdict(&mended, &policy).is_ok());
    // A proof of an earlier tree, under a checkpoint that the log did sign.
    let mut mended = old_proof.bundle();
    assert_eq!(checkpoint(&mended), "");
    mended.material.log_entries[0].inclusion_proof.as_mut().unwrap().checkpoint = checkpoint(&whole);
    let error = old_proof.verdict(&mended, &policy).unwrap_err();
    assert_eq!(error.class(), ErrorClass::InclusionProof, "{error}");
    // And with the checkpoint's own size and root hash, so that only the path is of another tree.
    let of_whole = whole.material.log_entries[0].inclusion_proof.clone().unwrap();
    let proof = mended.material.log_entries[0].inclusion_proof.as_mut().unwrap();
    (proof.tree_size, proof.root_hash) = (of_whole.tree_size, of_whole.root_hash);
    let error = old_proof.verdict(&mended, &policy).unwrap_err();
    assert_eq!(error.class(), ErrorClass::InclusionProof, "{error}");
    mended.material.log_entries[0].inclusion_proof = Some(of_whole);
    assert!(old_proof.verdict(&mended, &policy).is_ok());
}

/// The case's key is no key at all.
#[test]
fn a_key_that_is_one_and_not_the_signers_is_refused() {
    let cases = cases();
    let Some(wrong) = case(&cases, "managed-key-wrong-key_fail") else { return };
    assert!(wrong.policy().is_none());
    let bundle = wrong.bundle();
    for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::Ed25519] {
        let other = sealog_testkit::key("not the signer's", kind);
        let error = wrong.verdict(&bundle, &Policy::key(other.public_key().clone())).unwrap_err();
        assert!(matches!(error, VerifyError::Key(KeyPolicyError::OtherKey { .. })), "{error}");
        // Where no hint says so, the signature does.
        let mut unhinted = bundle.clone();
        unhinted.material.key = KeyMaterial::PublicKey { hint: String::new() };
        let error = wrong.verdict(&unhinted, &Policy::key(other.public_key().clone())).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Signature, "{error}");
    }
}

/// The case's timestamp is broken into lines, which some decoders refuse before they look at the time.
#[test]
fn a_timestamp_on_one_line_is_of_the_same_wrong_time() {
    let cases = cases();
    let Some(case) = case(&cases, "rekor2-timestamp-with-incorrect-time_fail") else { return };
    let document = case.document();
    let (head, tail) = document.split_once("\"signedTimestamp\"").unwrap();
    let (value, rest) = tail.split_once('}').unwrap();
    assert!(value.contains("\\n"), "the timestamp is in lines");
    let mended = format!("{head}\"signedTimestamp\"{}}}{rest}", value.replace("\\n", ""));
    let bundle = Bundle::parse(mended.as_bytes()).unwrap();
    assert_eq!(bundle.to_json(), case.bundle().to_json());
    let error = case.verdict(&bundle, &case.policy().unwrap()).unwrap_err();
    assert_eq!(error.class(), ErrorClass::TimeOutsideCertificate, "{error}");
}

#[test]
fn a_good_bundle_is_refused_for_anybody_and_anything_else() {
    for case in cases().iter().filter(|case| expected(&case.name()).is_none()) {
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
