//! What every verifier is asked: a bundle, an artifact, a trusted root, and who should have signed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::conformance::{IDENTITY, ISSUER};
use crate::encoding;

/// Who should have signed.
#[derive(Clone, Debug)]
pub(super) enum Signer {
    /// A name, and who vouches for it.
    Identity {
        /// The certificate's subject alternative name.
        identity: String,
        /// The OIDC issuer.
        issuer: String,
    },
    /// The holder of the key in this PEM file.
    Key(PathBuf),
}

/// One question.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// `BUNDLE: WHAT WAS DONE TO IT`.
    pub(super) id: String,
    pub(super) bundle: PathBuf,
    pub(super) trusted_root: PathBuf,
    pub(super) artifact: PathBuf,
    /// Asked for in place of the artifact: `sha256:` and hex.
    pub(super) digest: Option<String>,
    pub(super) signer: Signer,
}

impl Case {
    /// The line that the batch programs read.
    pub(super) fn line(&self) -> String {
        let mut line = json!({
            "id": self.id,
            "bundle": self.bundle.to_string_lossy(),
            "trusted_root": self.trusted_root.to_string_lossy(),
            "artifact": self.artifact.to_string_lossy(),
        });
        if let Some(digest) = &self.digest {
            line["digest"] = json!(digest);
        }
        match &self.signer {
            Signer::Identity { identity, issuer } => {
                line["identity"] = json!(identity);
                line["issuer"] = json!(issuer);
            }
            Signer::Key(key) => line["key"] = json!(key.to_string_lossy()),
        }
        line.to_string()
    }

    /// The same question under another name.
    pub(super) fn named(&self, what: &str) -> Self {
        Self { id: format!("{}: {what}", base_of(&self.id)), ..self.clone() }
    }

    /// The bundle as it is; `None` when it is no JSON.
    pub(super) fn document(&self) -> Option<Value> {
        serde_json::from_slice(&std::fs::read(&self.bundle).ok()?).ok()
    }
}

/// What stands before the colon: whose bundle it is.
pub(super) fn base_of(id: &str) -> &str {
    id.split_once(": ").map_or(id, |(base, _)| base)
}

/// The cases of a folder laid out like the suite's `test/assets/bundle-verify`, by path and by digest. `of` comes
/// before each name; `shared` is the trusted root of those that bring none.
pub(super) fn of_folder(folder: &Path, of: &str, shared: &Path) -> Result<Vec<Case>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok().filter(|entry| entry.path().is_dir()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut cases = Vec::new();
    for name in &names {
        let place = folder.join(name);
        let own = |file: &str| Some(place.join(file)).filter(|path| path.exists());
        let said = |file: &str, otherwise: &str| {
            let text = std::fs::read_to_string(place.join(file));
            text.map_or_else(|_| otherwise.to_owned(), |text| text.trim().to_owned())
        };
        let signer = own("key.pub").map_or_else(
            || Signer::Identity { identity: said("identity", IDENTITY), issuer: said("issuer", ISSUER) },
            Signer::Key,
        );
        let case = Case {
            id: format!("{of}{name}: as it is"),
            bundle: place.join("bundle.sigstore.json"),
            trusted_root: own("trusted_root.json").unwrap_or_else(|| shared.to_path_buf()),
            artifact: own("artifact").unwrap_or_else(|| folder.join("a.txt")),
            digest: None,
            signer,
        };
        let digest = Some(format!("sha256:{}", encoding::sha256_hex(&case.artifact)?));
        cases.push(Case { digest, ..case.named("by digest") });
        cases.push(case);
    }
    Ok(cases)
}
