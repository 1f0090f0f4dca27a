//! A small authority for the tests, and the conformance data where it is at hand.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests; a skip says so")]

use sealog_crypto::{KeyKind, PrivateKey, Signer as _, random_array};
use sealog_pki::{
    Certificate, ExtensionValues, LeafProfile, San, Serial,
    issue::{self, AuthorityProfile, Below},
};
use sealog_tlog::ct::{Sct, SctList};
use std::path::PathBuf;

pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const DAY: i64 = 86_400;

pub(crate) fn key(kind: KeyKind) -> PrivateKey {
    PrivateKey::generate(kind).unwrap()
}

pub(crate) fn serial() -> Serial {
    Serial::from_random(random_array().unwrap())
}

pub(crate) fn profile(common_name: &str, years: i64) -> AuthorityProfile<'_> {
    AuthorityProfile {
        organization: "sealog.example",
        common_name,
        serial: serial(),
        not_before: NOW - DAY,
        not_after: NOW + years * 365 * DAY,
    }
}

/// A root, an intermediate, and the intermediate's key.
pub(crate) struct Authority {
    pub(crate) root: Certificate,
    pub(crate) intermediate: Certificate,
    pub(crate) key: PrivateKey,
}

pub(crate) fn authority(kind: KeyKind, below: Below) -> Authority {
    let root_key = key(kind);
    let root = issue::self_signed_root(&profile("test root", 30), &root_key).unwrap();
    let key = key(kind);
    let profile = profile("test intermediate", 20);
    let intermediate = issue::intermediate(&profile, below, key.public_key(), &root, &root_key).unwrap();
    Authority { root, intermediate, key }
}

pub(crate) fn extensions() -> ExtensionValues {
    let mut extensions = ExtensionValues::new();
    extensions.set_oidc_issuer("https://accounts.example.com");
    extensions.set("build-trigger", "push").unwrap();
    extensions.set("GithubWorkflowName", "Zürich build").unwrap();
    extensions.set("token-subject", "repo:a/b").unwrap();
    extensions
}

/// A leaf with an SCT by `log`, over what the log really was shown.
pub(crate) fn leaf(authority: &Authority, public: &PrivateKey, san: &San, log: &PrivateKey) -> Certificate {
    let extensions = extensions();
    let profile = LeafProfile {
        serial: serial(),
        not_before: NOW,
        not_after: NOW + 600,
        public_key: public.public_key(),
        san,
        extensions: &extensions,
    };
    let issuer = &authority.intermediate;
    let precert = issue::precertificate(&profile, issuer, &authority.key).unwrap();
    let path = sealog_pki::verify_chain(
        precert.certificate(),
        std::slice::from_ref(issuer),
        std::slice::from_ref(&authority.root),
        NOW,
        sealog_pki::Purpose::Precertificate,
    )
    .unwrap();
    let entry = sealog_pki::sct::submitted_entry(&path).unwrap();
    let sct = Sct::sign(NOW as u64 * 1000, &entry, vec![0, 0, 5, 0, 0, 0, 0, 7], log).unwrap();
    issue::finish(&precert, &SctList(vec![sct]), issuer, &authority.key).unwrap()
}

/// Where the Sigstore conformance data lies; none, with a word about it, when it is not there.
pub(crate) fn conformance() -> Option<PathBuf> {
    let directory = std::env::var_os("SEALOG_CONFORMANCE_DIR").map(PathBuf::from);
    if directory.is_none() {
        eprintln!("skipped: SEALOG_CONFORMANCE_DIR is not set");
    }
    directory
}
