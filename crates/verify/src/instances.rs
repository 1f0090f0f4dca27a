//! Trusted roots of instances that others run, built in and selected by name.
//!
//! They are documents that published packages carry; `roots/README.md` says which. None is a default:
//! whoever wants one asks for it.

use sealog_bundle::{JsonError, TrustedRoot};

/// An instance whose trusted root is built in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// What it is asked for by.
    pub name: &'static str,
    /// Whose it is, in a few words.
    pub about: &'static str,
    /// Its trusted root, as published.
    pub trusted_root_json: &'static str,
}

/// Every instance that is built in.
pub const INSTANCES: [Instance; 3] = [
    Instance {
        name: "public-good",
        about: "Sigstore's public good instance",
        trusted_root_json: include_str!("../roots/public-good.json"),
    },
    Instance {
        name: "staging",
        about: "Sigstore's staging instance, for tests of clients",
        trusted_root_json: include_str!("../roots/staging.json"),
    },
    Instance {
        name: "github",
        about: "GitHub's instance for private repositories, without transparency logs",
        trusted_root_json: include_str!("../roots/github.json"),
    },
];

impl Instance {
    /// The instance of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        INSTANCES.iter().find(|instance| instance.name == name)
    }

    /// Its trusted root.
    ///
    /// # Errors
    /// None in a build whose tests have passed.
    pub fn trusted_root(&self) -> Result<TrustedRoot, JsonError> {
        TrustedRoot::parse(self.trusted_root_json.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anchors::Anchors;
    use alloc::format;
    use sealog_crypto::sha256;

    const README: &str = include_str!("../roots/README.md");

    #[test]
    fn every_root_is_the_one_that_the_page_speaks_of() {
        for instance in INSTANCES {
            let digest = hex::encode(sha256(instance.trusted_root_json.as_bytes()));
            let row = README.lines().find(|line| line.starts_with(&format!("| `{}.json` |", instance.name)));
            assert!(row.unwrap().ends_with(&format!("| `{digest}` |")), "{}", instance.name);
            assert_eq!(Instance::named(instance.name), Some(&instance));
        }
        assert_eq!(Instance::named("public"), None);
    }

    #[test]
    fn every_key_and_certificate_of_the_public_roots_can_be_used() {
        for name in ["public-good", "github", "staging"] {
            let root = Instance::named(name).unwrap().trusted_root().unwrap();
            let anchors = Anchors::of(&root);
            // Staging lists one CT log with a bare PKCS#1 key; its id is that of the key in its usual form.
            for log in &anchors.ctlogs {
                assert_eq!(log.id, sha256(log.key().unwrap().spki_der()), "{}", log.url);
            }
            assert!(anchors.tlogs.iter().all(|log| log.key().is_ok()), "{name}");
            assert_eq!(anchors.certificate_authorities.len(), root.certificate_authorities.len(), "{name}");
            assert_eq!(anchors.timestamp_authorities.len(), root.timestamp_authorities.len(), "{name}");
            assert!(!anchors.certificate_authorities.is_empty(), "{name}");
        }
    }
}
