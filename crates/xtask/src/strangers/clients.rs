//! The clients: how each is asked to sign and to verify, and the words it refuses with.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{Kind, Outcome, PREDICATE_TYPE, Reasons, Signer, Stage};
use crate::House;
use crate::peers::Peers;
use crate::process;

/// The longest one signature or verification may take.
const LIMIT: Duration = Duration::from_secs(300);

/// A program that signs, verifies, or both.
pub(crate) trait Client {
    /// Its row in the table.
    fn name(&self) -> &'static str;
    /// Whether it can sign this.
    fn signs(&self, kind: Kind) -> bool;
    /// Signs the stage's file with the signer's token.
    fn sign(&self, stage: &Stage<'_>, kind: Kind, signer: &Signer, bundle: &Path) -> Outcome;
    /// Verifies `file` with the bundle and the stage's trusted root.
    fn verify(
        &self,
        stage: &Stage<'_>,
        kind: Kind,
        file: &Path,
        bundle: &Path,
        identity: &str,
        issuer: &str,
    ) -> Outcome;
    /// The words of its refusals.
    fn reasons(&self, kind: Kind) -> Reasons;
}

/// Every client that is not ours.
pub(crate) fn all(peers: &Peers) -> Vec<Box<dyn Client>> {
    vec![
        Box::new(Cosign { program: peers.cosign.clone() }),
        Box::new(Python { program: peers.sigstore_python.clone() }),
        Box::new(JavaScript { node: peers.node.clone(), modules: peers.node_modules.clone() }),
        Box::new(Go { program: peers.sigstore_go.clone() }),
    ]
}

fn read_token(signer: &Signer) -> Result<String> {
    let file = &signer.token_file;
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

/// Our own client.
pub(crate) struct Sealog {
    program: PathBuf,
}

impl Sealog {
    pub(crate) fn new(house: &House) -> Self {
        Self { program: house.program("sealog") }
    }

    /// The program with a home of its own.
    pub(crate) fn command(&self, stage: &Stage<'_>) -> Command {
        let mut command = Command::new(&self.program);
        command.env("HOME", stage.home());
        command
    }

    /// `sealog sign` or `sealog attest` up to, but not including, the token.
    pub(crate) fn sign_command(&self, stage: &Stage<'_>, kind: Kind, bundle: &Path) -> Command {
        let mut command = self.command(stage);
        match kind {
            Kind::Blob => command.arg("sign").arg(&stage.file),
            Kind::Attestation => command
                .arg("attest")
                .arg(&stage.file)
                .arg("--predicate")
                .arg(&stage.predicate)
                .args(["--type", PREDICATE_TYPE]),
        };
        command.arg("--trust").arg(stage.dev.client_dir()).arg("--bundle").arg(bundle);
        command
    }
}

impl Client for Sealog {
    fn name(&self) -> &'static str {
        "sealog"
    }

    fn signs(&self, _: Kind) -> bool {
        true
    }

    fn sign(&self, stage: &Stage<'_>, kind: Kind, signer: &Signer, bundle: &Path) -> Outcome {
        let mut command = self.sign_command(stage, kind, bundle);
        command.arg("--identity-token").arg(format!("@{}", signer.token_file.display()));
        process::run(&mut command, LIMIT)
    }

    fn verify(
        &self,
        stage: &Stage<'_>,
        _: Kind,
        file: &Path,
        bundle: &Path,
        identity: &str,
        issuer: &str,
    ) -> Outcome {
        let mut command = self.command(stage);
        command.arg("verify").arg(file).arg("--bundle").arg(bundle);
        command.args(["--identity", identity, "--issuer", issuer, "--json", "--trusted-root"]);
        process::run(command.arg(stage.dev.client_file("trusted_root.json")), LIMIT)
    }

    /// Its JSON tells the three outcomes apart.
    fn reasons(&self, _: Kind) -> Reasons {
        Reasons {
            changed: &["\"verdict\":\"not-verified\""],
            identity: &["\"verdict\":\"wrong-signer\""],
            issuer: &["\"verdict\":\"wrong-signer\""],
        }
    }
}

/// cosign, the client most people have.
pub(crate) struct Cosign {
    pub(crate) program: PathBuf,
}

impl Cosign {
    /// `sign-blob` or `attest-blob` with everything but the token and the file.
    pub(crate) fn sign_command(&self, stage: &Stage<'_>, kind: Kind, bundle: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.env("HOME", stage.home());
        match kind {
            Kind::Blob => command.arg("sign-blob"),
            Kind::Attestation => command
                .args(["attest-blob", "--type", "slsaprovenance1", "--predicate"])
                .arg(&stage.predicate),
        };
        command.arg("--yes").arg("--bundle").arg(bundle);
        command.arg("--trusted-root").arg(stage.dev.client_file("trusted_root.json"));
        command.arg("--signing-config").arg(stage.dev.client_file("signing_config.json"));
        command
    }
}

impl Client for Cosign {
    fn name(&self) -> &'static str {
        "cosign"
    }

    fn signs(&self, _: Kind) -> bool {
        true
    }

    fn sign(&self, stage: &Stage<'_>, kind: Kind, signer: &Signer, bundle: &Path) -> Outcome {
        let mut command = self.sign_command(stage, kind, bundle);
        command.arg("--identity-token").arg(&signer.token_file).arg(&stage.file);
        process::run(&mut command, LIMIT)
    }

    fn verify(
        &self,
        stage: &Stage<'_>,
        kind: Kind,
        file: &Path,
        bundle: &Path,
        identity: &str,
        issuer: &str,
    ) -> Outcome {
        let mut command = Command::new(&self.program);
        command.env("HOME", stage.home());
        match kind {
            Kind::Blob => command.arg("verify-blob"),
            Kind::Attestation => command.args(["verify-blob-attestation", "--type", "slsaprovenance1"]),
        };
        command.arg("--use-signed-timestamps").arg("--bundle").arg(bundle);
        command.arg("--trusted-root").arg(stage.dev.client_file("trusted_root.json"));
        command.args(["--certificate-identity", identity, "--certificate-oidc-issuer", issuer]);
        process::run(command.arg(file), LIMIT)
    }

    fn reasons(&self, kind: Kind) -> Reasons {
        Reasons {
            changed: match kind {
                Kind::Blob => &["invalid signature"],
                Kind::Attestation => &["digest", "subject"],
            },
            identity: &["expected SAN value"],
            issuer: &["expected issuer value"],
        }
    }
}

/// sigstore-python, by its command.
struct Python {
    program: PathBuf,
}

impl Python {
    fn command(&self, stage: &Stage<'_>) -> Command {
        let mut command = Command::new(&self.program);
        command.env("HOME", stage.home());
        command.arg("--trust-config").arg(stage.dev.client_file("client_trust_config.json"));
        command
    }
}

impl Client for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn signs(&self, _: Kind) -> bool {
        true
    }

    fn sign(&self, stage: &Stage<'_>, kind: Kind, signer: &Signer, bundle: &Path) -> Outcome {
        let mut command = self.command(stage);
        match kind {
            Kind::Blob => command.arg("sign"),
            Kind::Attestation => command
                .args(["attest", "--predicate-type", PREDICATE_TYPE, "--predicate"])
                .arg(&stage.predicate),
        };
        command.args(["--identity-token", &read_token(signer)?]).arg("--bundle").arg(bundle);
        process::run(command.arg(&stage.file), LIMIT)
    }

    fn verify(
        &self,
        stage: &Stage<'_>,
        _: Kind,
        file: &Path,
        bundle: &Path,
        identity: &str,
        issuer: &str,
    ) -> Outcome {
        let mut command = self.command(stage);
        command.args(["verify", "identity", "--offline", "--bundle"]).arg(bundle);
        command.args(["--cert-identity", identity, "--cert-oidc-issuer", issuer]);
        process::run(command.arg(file), LIMIT)
    }

    fn reasons(&self, kind: Kind) -> Reasons {
        Reasons {
            changed: match kind {
                Kind::Blob => &["signature is invalid", "doesn't match", "digest"],
                Kind::Attestation => &["digest", "subject"],
            },
            identity: &["SANs do not match"],
            issuer: &["issuer does not match", "OIDCIssuer", "does not match"],
        }
    }
}

/// sigstore-js, through the two small programs of `tests/strangers/js`.
struct JavaScript {
    node: PathBuf,
    modules: PathBuf,
}

impl JavaScript {
    fn command(&self, stage: &Stage<'_>, script: &str) -> Result<Command> {
        let house = House::find()?;
        let mut command = Command::new(&self.node);
        command.env("HOME", stage.home()).env("NODE_PATH", &self.modules);
        command.arg(house.path("tests/strangers/js").join(script));
        Ok(command)
    }
}

impl Client for JavaScript {
    fn name(&self) -> &'static str {
        "js"
    }

    fn signs(&self, _: Kind) -> bool {
        true
    }

    fn sign(&self, stage: &Stage<'_>, kind: Kind, signer: &Signer, bundle: &Path) -> Outcome {
        let (word, input) = match kind {
            Kind::Blob => ("blob", &stage.file),
            Kind::Attestation => ("dsse", &stage.statement),
        };
        let mut command = self.command(stage, "sign.cjs")?;
        command.arg(word).arg(stage.dev.client_file("signing_config.json"));
        process::run(command.arg(&signer.token_file).arg(input).arg(bundle), LIMIT)
    }

    fn verify(
        &self,
        stage: &Stage<'_>,
        _: Kind,
        file: &Path,
        bundle: &Path,
        identity: &str,
        issuer: &str,
    ) -> Outcome {
        let mut command = self.command(stage, "verify.cjs")?;
        command.arg(stage.dev.client_file("trusted_root.json")).arg(bundle).arg(file);
        process::run(command.args([identity, issuer]), LIMIT)
    }

    fn reasons(&self, kind: Kind) -> Reasons {
        Reasons {
            changed: match kind {
                Kind::Blob => &["SIGNATURE_ERROR", "TLOG_BODY_ERROR"],
                Kind::Attestation => &["SUBJECT_ERROR"],
            },
            identity: &["certificate identity error"],
            issuer: &["expected issuer="],
        }
    }
}

/// sigstore-go, through the small program of `tests/strangers/go`.
struct Go {
    program: PathBuf,
}

impl Client for Go {
    fn name(&self) -> &'static str {
        "go"
    }

    fn signs(&self, _: Kind) -> bool {
        false
    }

    fn sign(&self, _: &Stage<'_>, _: Kind, _: &Signer, _: &Path) -> Outcome {
        bail!("the program around sigstore-go only verifies")
    }

    fn verify(
        &self,
        stage: &Stage<'_>,
        _: Kind,
        file: &Path,
        bundle: &Path,
        identity: &str,
        issuer: &str,
    ) -> Outcome {
        let mut command = Command::new(&self.program);
        command.env("HOME", stage.home());
        command.arg(stage.dev.client_file("trusted_root.json")).arg(bundle).arg(file);
        process::run(command.args([identity, issuer]), LIMIT)
    }

    fn reasons(&self, kind: Kind) -> Reasons {
        Reasons {
            changed: match kind {
                Kind::Blob => &["invalid signature"],
                Kind::Attestation => &["digest", "subject"],
            },
            identity: &["expected SAN value"],
            issuer: &["expected issuer value"],
        }
    }
}
