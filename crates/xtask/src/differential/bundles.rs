//! Good bundles to ask about and to change: made by every client against our own services, and those of others.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::cases::{Case, Signer};
use super::mutants::Flips;
use crate::process;
use crate::strangers::{Client, Kind, Sealog, Stage, clients};

/// Every so many bytes of our own bundles are changed, and about so many in each field of the others.
const THOROUGH: Flips = Flips::Every(3);
const SPARSE: Flips = Flips::About(5);
/// The longest one signature may take.
const LIMIT: Duration = Duration::from_secs(300);
/// Of the suite's good bundles those that are changed, by shape: Rekor v1 and v2, messages and envelopes, keys.
const CHANGED: [&str; 8] = [
    "happy-path-v0.1",
    "happy-path-v0.3",
    "happy-path-intoto-in-dsse-v3",
    "intoto-with-custom-trust-root",
    "managed-key-and-trusted-root",
    "rekor2-checkpoint-cosigned",
    "rekor2-dsse-happy-path",
    "rekor2-timestamp-with-embedded-cert",
];

/// Of these the ones with all the fields that ours never have.
const SPELLED: [&str; 2] = ["happy-path-v0.1", "managed-key-and-trusted-root"];

/// A good bundle, and another of the same shape to swap fields with.
pub(super) struct Base {
    pub(super) case: Case,
    pub(super) other: Option<PathBuf>,
    /// How densely its bytes are changed.
    pub(super) flips: Flips,
    /// Whether each of its fields is spelled in every way, too.
    pub(super) spelled: bool,
}

/// Everybody signs the stage's file, as a blob and as an attestation; cosign also with a key.
pub(super) fn made(stage: &Stage<'_>, ours: &Sealog) -> Result<Vec<Base>> {
    let mut bases = Vec::new();
    let others = [ours as &dyn Client];
    let all = clients::all(stage.peers);
    for kind in [Kind::Blob, Kind::Attestation] {
        let other = of_another_file(stage, ours, kind)?;
        for client in others.into_iter().chain(all.iter().map(Box::as_ref)).filter(|one| one.signs(kind)) {
            stage.renew_person()?;
            let name = format!("{} {}", client.name(), kind.word());
            let bundle = stage.scratch.file(&format!("{}.json", name.replace(' ', "-")));
            client.sign(stage, kind, &stage.person, &bundle)?.expect_success(&format!("signing: {name}"))?;
            let person = &stage.person;
            let signer =
                Signer::Identity { identity: person.identity.clone(), issuer: person.issuer.clone() };
            let case = of_stage(stage, &name, bundle, signer);
            let ours = client.name() == ours.name();
            let flips = if ours { THOROUGH } else { SPARSE };
            bases.push(Base { case, other: Some(other.clone()), flips, spelled: ours });
        }
    }
    let (bundles, key) = with_a_key(stage)?;
    for (name, bundle) in ["cosign key", "cosign key attestation"].into_iter().zip(bundles) {
        let case = of_stage(stage, name, bundle, Signer::Key(key.clone()));
        bases.push(Base { case, other: None, flips: SPARSE, spelled: false });
    }
    Ok(bases)
}

fn of_stage(stage: &Stage<'_>, name: &str, bundle: PathBuf, signer: Signer) -> Case {
    Case {
        id: format!("{name}: as it is"),
        bundle,
        trusted_root: stage.dev.client_file("trusted_root.json"),
        artifact: stage.file.clone(),
        digest: None,
        signer,
    }
}

/// `sealog` signs the stage's other file as the same person.
fn of_another_file(stage: &Stage<'_>, ours: &Sealog, kind: Kind) -> Result<PathBuf> {
    stage.renew_person()?;
    let bundle = stage.scratch.file(&format!("other-{}.json", kind.word()));
    let mut command = ours.command(stage);
    match kind {
        Kind::Blob => command.arg("sign").arg(&stage.changed),
        Kind::Attestation => {
            command.arg("attest").arg(&stage.changed).arg("--predicate").arg(&stage.predicate);
            command.args(["--type", crate::strangers::PREDICATE_TYPE])
        }
    };
    command.arg("--trust").arg(stage.dev.client_dir()).arg("--bundle").arg(&bundle);
    command.arg("--identity-token").arg(format!("@{}", stage.person.token_file.display()));
    process::run(&mut command, LIMIT)?.expect_success("sealog signing another file")?;
    Ok(bundle)
}

/// cosign makes a key and signs with it: the bundles of a blob and of an attestation, and the public key.
fn with_a_key(stage: &Stage<'_>) -> Result<([PathBuf; 2], PathBuf)> {
    let command = || {
        let mut command = Command::new(&stage.peers.cosign);
        command.env("HOME", stage.home()).env("COSIGN_PASSWORD", "").current_dir(stage.scratch.path());
        command
    };
    let mut generate = command();
    generate.args(["generate-key-pair", "--output-key-prefix", "managed"]);
    process::run(&mut generate, LIMIT)?.expect_success("cosign generate-key-pair")?;
    let bundles = ["key-blob.json", "key-attestation.json"].map(|name| stage.scratch.file(name));
    for bundle in &bundles {
        let mut sign = command();
        if bundle.ends_with("key-blob.json") {
            sign.arg("sign-blob");
        } else {
            sign.args(["attest-blob", "--type", "slsaprovenance1", "--predicate"]).arg(&stage.predicate);
        }
        sign.args(["--yes", "--key", "managed.key", "--bundle"]).arg(bundle);
        sign.arg("--trusted-root").arg(stage.dev.client_file("trusted_root.json"));
        sign.arg("--signing-config").arg(stage.dev.client_file("signing_config.json"));
        process::run(sign.arg(&stage.file), LIMIT)?.expect_success("cosign signing with a key")?;
    }
    Ok((bundles, stage.scratch.file("managed.pub")))
}

/// The good bundles of the suite that are changed, each to be swapped with the next of its shape.
pub(super) fn of_others(cases: &[Case], folder: &Path) -> Result<Vec<Base>> {
    let named = |name: &str| {
        let id = format!("conformance {name}: as it is");
        let found = cases.iter().find(|case| case.id == id).cloned();
        found.with_context(|| format!("{} has no case {name}", folder.display()))
    };
    let partner = |name: &str| {
        Some(match name {
            "happy-path-v0.1" => "happy-path-v0.3",
            "happy-path-v0.3" => "happy-path-v0.1",
            "rekor2-checkpoint-cosigned" => "rekor2-timestamp-with-embedded-cert",
            "rekor2-timestamp-with-embedded-cert" => "rekor2-checkpoint-cosigned",
            _ => return None,
        })
    };
    let base = |name: &&str| {
        let other = partner(name).map(&named).transpose()?.map(|case| case.bundle);
        Ok(Base { case: named(name)?, other, flips: SPARSE, spelled: SPELLED.contains(name) })
    };
    CHANGED.iter().map(base).collect()
}
