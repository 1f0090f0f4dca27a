//! The same for bundles by others: those of the conformance suite that must be accepted.
//!
//! `tests/conformance.rs` says where they come from. Fewer bytes of each are changed.

use crate::{Used, every_change, shown, subject::Subject};
use sealog_bundle::{Bundle, KeyMaterial, TrustedRoot};
use sealog_crypto::PublicKey;
use sealog_verify::Policy;
use std::{env, fs, path::Path};

const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";
/// Of the bytes of a value, one in so many.
const STEP: usize = 11;

#[test]
fn every_change_of_bundles_by_others_is_refused_or_means_the_same() {
    let Some(dir) = env::var_os("SEALOG_CONFORMANCE_DIR") else {
        assert!(env::var_os("CI").is_none(), "CI must set SEALOG_CONFORMANCE_DIR");
        eprintln!("skipped: set SEALOG_CONFORMANCE_DIR to test/assets of sigstore/sigstore-conformance");
        return;
    };
    let dir = Path::new(&dir);
    let cases = dir.join("bundle-verify");
    let mut wrong = Vec::new();
    let mut good = 0;
    for case in fs::read_dir(&cases).unwrap().map(|entry| entry.unwrap().path()) {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        if !case.is_dir() || name.ends_with("_fail") {
            continue;
        }
        good += 1;
        let read = |own: &str, other: &Path| fs::read(case.join(own)).or_else(|_| fs::read(other)).unwrap();
        let root = read("trusted_root.json", &dir.join("public-good-trusted_root.json"));
        let root = TrustedRoot::parse(&root).unwrap();
        let text = |name: &str, default: &str| {
            fs::read_to_string(case.join(name)).map_or_else(|_| default.into(), |text| text.trim().to_owned())
        };
        let policy = match fs::read_to_string(case.join("key.pub")) {
            Ok(pem) => Policy::key(PublicKey::from_pem(&pem).unwrap()),
            Err(_) => Policy::identity(text("identity", IDENTITY), text("issuer", ISSUER)),
        };
        let bundle = Bundle::parse(&fs::read(case.join("bundle.sigstore.json")).unwrap()).unwrap();
        let name = format!("{name} ({})", kinds(&bundle));
        let subject = Subject::new(&name, &bundle, &root, policy, &read("artifact", &cases.join("a.txt")));
        let judge = |bundle: &Bundle| subject.judge(bundle);
        wrong.extend(every_change(&subject, &judge, STEP, &mut Used::new()).0);
    }
    assert!(good > 10, "{good} cases");
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), shown(&wrong));
}

/// What a bundle has, in the words by which the list of excuses knows ours.
fn kinds(bundle: &Bundle) -> String {
    let material = &bundle.material;
    let (key, stamped) = (&material.key, !material.timestamps.is_empty());
    let promised = material.log_entries.iter().any(|entry| entry.inclusion_promise.is_some());
    let v1 = material.log_entries.iter().any(|entry| entry.integrated_time != 0);
    let is_cosigned = material.log_entries.iter().any(|entry| {
        let lines = |text: &str| text.lines().filter(|line| line.starts_with("— ")).count();
        entry.inclusion_proof.as_ref().is_some_and(|proof| lines(&proof.checkpoint) > 1)
    });
    let kinds = [
        ("chain", matches!(key, KeyMaterial::Chain(_))),
        ("promised managed key", promised && matches!(key, KeyMaterial::PublicKey { .. })),
        ("managed key", matches!(key, KeyMaterial::PublicKey { .. })),
        ("promise and timestamp", promised && stamped),
        ("intoto v1, timestamp", v1 && !promised && stamped),
        ("cosigned", is_cosigned),
    ];
    let has = kinds.into_iter().filter_map(|(kind, has)| has.then_some(kind));
    has.collect::<Vec<_>>().join(", ")
}
