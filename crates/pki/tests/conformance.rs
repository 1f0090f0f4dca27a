//! Real certificates and real tokens: the bundles of the Sigstore conformance suite.
//!
//! Reads them from `SEALOG_CONFORMANCE_DIR`, and skips with a word when that is not set. What a whole
//! bundle is worth is the verifier's to say; here only certificates, SCTs and timestamps are looked at.

#![allow(clippy::unwrap_used, reason = "tests")]

mod setting;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sealog_crypto::PublicKey;
use sealog_pki::{
    Certificate, Path, Purpose, TrustedChain, sct,
    timestamp::{self, TimeStampResp, TimestampError, VerifiedTimestamp},
    verify_chain,
};
use serde_json::Value;
use std::{fs, path::Path as FilePath};

fn json(path: &FilePath) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap_or_default()).unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn chain(authority: &Value) -> Vec<Certificate> {
    list(&authority["certChain"]["certificates"])
        .iter()
        .map(|certificate| Certificate::from_der(&bytes(&certificate["rawBytes"])).unwrap())
        .collect()
}

/// A bundle and the trusted root it is judged by.
struct Case {
    name: String,
    bundle: Value,
    trusted: Value,
}

fn cases() -> Vec<Case> {
    let Some(directory) = setting::conformance() else { return Vec::new() };
    let mut cases = Vec::new();
    for entry in fs::read_dir(directory.join("bundle-verify")).unwrap() {
        let folder = entry.unwrap().path();
        let trusted = json(&folder.join("trusted_root.json"))
            .or_else(|| json(&directory.join("public-good-trusted_root.json")));
        if let (Some(bundle), Some(trusted)) = (json(&folder.join("bundle.sigstore.json")), trusted) {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            cases.push(Case { name, bundle, trusted });
        }
    }
    assert!(cases.len() > 30, "only {} cases", cases.len());
    cases
}

impl Case {
    fn leaf(&self) -> Option<Certificate> {
        let material = &self.bundle["verificationMaterial"];
        let first = &list(&material["x509CertificateChain"]["certificates"]).first().cloned();
        let raw = first.as_ref().unwrap_or(&material["certificate"])["rawBytes"].clone();
        Certificate::from_der(&bytes(&raw)).ok()
    }

    fn path(&self, leaf: &Certificate) -> Option<Path> {
        list(&self.trusted["certificateAuthorities"]).iter().find_map(|authority| {
            let chain = chain(authority);
            let (anchor, between) = chain.split_last()?;
            let at = leaf.validity().0;
            verify_chain(leaf, between, std::slice::from_ref(anchor), at, Purpose::CodeSigning).ok()
        })
    }

    fn signature(&self) -> Vec<u8> {
        let message = bytes(&self.bundle["messageSignature"]["signature"]);
        let envelope = list(&self.bundle["dsseEnvelope"]["signatures"]).first();
        envelope.map_or(message, |signature| bytes(&signature["sig"]))
    }

    fn responses(&self) -> Vec<Vec<u8>> {
        let data = &self.bundle["verificationMaterial"]["timestampVerificationData"];
        list(&data["rfc3161Timestamps"]).iter().map(|t| bytes(&t["signedTimestamp"])).collect()
    }

    fn timestamp(&self, der: &[u8]) -> Result<VerifiedTimestamp, TimestampError> {
        let response = TimeStampResp::parse(der).unwrap();
        let mut outcome = Err(TimestampError::UnknownSigner);
        for authority in list(&self.trusted["timestampAuthorities"]) {
            outcome = timestamp::verify(
                &response,
                &self.signature(),
                &TrustedChain::new(chain(authority)).unwrap(),
            );
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }
}

#[test]
fn scts_of_real_certificates_verify() {
    let mut verified = 0;
    let mut with_extensions = 0;
    for case in cases() {
        let Some(leaf) = case.leaf() else { continue };
        let Some(path) = case.path(&leaf) else {
            assert!(case.name.ends_with("_fail"), "{}: no path", case.name);
            continue;
        };
        assert_eq!(Certificate::from_der(leaf.der()).as_ref(), Ok(&leaf));
        assert!(leaf.fulcio().oidc_issuer().is_some(), "{}", case.name);
        let Ok(scts) = sct::embedded_scts(&leaf) else {
            // Roots without a CT log go with leaves without SCT.
            assert!(
                list(&case.trusted["ctlogs"]).is_empty() || case.name.ends_with("_fail"),
                "{}",
                case.name
            );
            continue;
        };
        for found in scts {
            let keys = list(&case.trusted["ctlogs"]).iter().filter_map(|log| {
                let same = bytes(&log["logId"]["keyId"]) == found.log_id;
                same.then(|| PublicKey::from_spki_der(&bytes(&log["publicKey"]["rawBytes"])).ok())?
            });
            for key in keys {
                let outcome = sct::verify_sct(&found, &leaf, sct::sct_issuer(&path).unwrap(), &key);
                assert_eq!(outcome, Ok(()), "{}", case.name);
                verified += 1;
                with_extensions += usize::from(!found.extensions.is_empty());
            }
        }
    }
    if setting::conformance().is_some() {
        assert!(verified > 20 && with_extensions > 0, "{verified} SCTs, {with_extensions} with extensions");
    }
}

#[test]
fn timestamps_of_real_authorities_verify() {
    let mut verified = 0;
    for case in cases() {
        for der in case.responses() {
            if case.name.ends_with("_fail") {
                continue;
            }
            let outcome = case.timestamp(&der).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            assert!(outcome.gen_time_unix() > 1_600_000_000);
            verified += 1;
        }
    }
    assert!(verified > 5 || setting::conformance().is_none(), "{verified} timestamps");
}

#[test]
fn bent_timestamps_are_refused_for_the_stated_reason() {
    type Expected = fn(&TimestampError) -> bool;
    let expected: [(&str, Expected); 3] = [
        ("rekor2-timestamp-payload-mismatch_fail", |e| matches!(e, TimestampError::Imprint { .. })),
        ("rekor2-timestamp-untrusted-tsa-with-embedded-cert_fail", |e| {
            matches!(e, TimestampError::UntrustedSigner)
        }),
        ("rekor2-timestamp-untrusted-tsa-without-embedded-cert_fail", |e| {
            matches!(e, TimestampError::UnknownSigner)
        }),
    ];
    let mut refused = 0;
    for case in cases() {
        if let Some((_, expected)) = expected.iter().find(|(name, _)| *name == case.name) {
            let responses = case.responses();
            let errors: Vec<TimestampError> =
                responses.iter().filter_map(|der| case.timestamp(der).err()).collect();
            assert!(errors.iter().any(expected), "{}: {errors:?}", case.name);
            refused += 1;
        }
    }
    assert!(refused == expected.len() || setting::conformance().is_none(), "{refused} cases");
}
