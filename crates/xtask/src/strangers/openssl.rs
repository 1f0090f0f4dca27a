//! OpenSSL on the parts it understands: the certificate chain and the timestamp token of a bundle.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::report::{Check, Report};
use super::{Outcome, Signed, Stage};
use crate::{encoding, process};

/// The longest one question may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The row of OpenSSL.
pub(super) fn run(stage: &Stage<'_>, signed: &[Signed<'_>], report: &mut Report) {
    for bundle in signed {
        let label = format!("{} by {}", bundle.kind.word(), bundle.label);
        match Parts::take_apart(stage, bundle) {
            Ok(parts) => parts.check(&label, report),
            Err(error) => {
                report.accepts(Check::new("openssl", "verifies sealog's", label), Err(error));
            }
        }
    }
}

/// The pieces of one bundle and of the trusted root, as files.
struct Parts {
    leaf: PathBuf,
    damaged_leaf: PathBuf,
    ca_root: PathBuf,
    ca_intermediates: PathBuf,
    reply: PathBuf,
    signature: PathBuf,
    damaged_signature: PathBuf,
    tsa_root: PathBuf,
    tsa_others: PathBuf,
}

impl Parts {
    fn take_apart(stage: &Stage<'_>, signed: &Signed<'_>) -> Result<Self> {
        let folder = signed.bundle.with_extension("parts");
        std::fs::create_dir_all(&folder)?;
        let bundle = read_json(&signed.bundle)?;
        let root = read_json(&stage.dev.client_file("trusted_root.json"))?;
        let leaf = bytes_at(&bundle, "/verificationMaterial/certificate/rawBytes")?;
        let reply = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";
        let signature = bytes_at(&bundle, "/messageSignature/signature")
            .or_else(|_| bytes_at(&bundle, "/dsseEnvelope/signatures/0/sig"))?;
        let ca = chain(&root, "certificateAuthorities")?;
        let tsa = chain(&root, "timestampAuthorities")?;
        let (ca_root, ca_others) = ca.split_last().context("the CA has no certificate")?;
        let (tsa_root, tsa_others) = tsa.split_last().context("the TSA has no certificate")?;
        Ok(Self {
            leaf: write_pem(&folder, "leaf", std::slice::from_ref(&leaf))?,
            damaged_leaf: write_pem(&folder, "damaged-leaf", &[damaged(&leaf)])?,
            ca_root: write_pem(&folder, "ca-root", std::slice::from_ref(ca_root))?,
            ca_intermediates: write_pem(&folder, "ca-intermediates", ca_others)?,
            reply: write(&folder, "reply.tsr", &bytes_at(&bundle, reply)?)?,
            signature: write(&folder, "signature.bin", &signature)?,
            damaged_signature: write(&folder, "damaged-signature.bin", &damaged(&signature))?,
            tsa_root: write_pem(&folder, "tsa-root", std::slice::from_ref(tsa_root))?,
            tsa_others: write_pem(&folder, "tsa-others", tsa_others)?,
        })
    }

    fn check(&self, label: &str, report: &mut Report) {
        let chain = |case: &str| Check::new("openssl", "verifies CA chain", format!("{label}{case}"));
        report.accepts(chain(""), self.chain(&self.leaf, &self.ca_root));
        let damaged = self.chain(&self.damaged_leaf, &self.ca_root);
        report.refuses(
            chain(", certificate damaged"),
            damaged,
            &["signature failure", "unable to get local"],
        );
        let elsewhere = self.chain(&self.leaf, &self.tsa_root);
        report.refuses(chain(", another root"), elsewhere, &["unable to get", "self-signed certificate"]);

        let token = |case: &str| Check::new("openssl", "verifies timestamp", format!("{label}{case}"));
        report.accepts(token(""), self.timestamp(&self.signature, &self.tsa_root));
        let changed = self.timestamp(&self.damaged_signature, &self.tsa_root);
        report.refuses(token(", one byte changed"), changed, &["message imprint mismatch"]);
        let elsewhere = self.timestamp(&self.signature, &self.ca_root);
        report.refuses(token(", another root"), elsewhere, &["certificate verify error"]);
    }

    fn chain(&self, leaf: &Path, anchor: &Path) -> Outcome {
        let mut command = Command::new("openssl");
        command.args(["verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile"]).arg(anchor);
        process::run(command.arg("-untrusted").arg(&self.ca_intermediates).arg(leaf), LIMIT)
    }

    fn timestamp(&self, data: &Path, anchor: &Path) -> Outcome {
        let mut command = Command::new("openssl");
        command.args(["ts", "-verify", "-in"]).arg(&self.reply).arg("-data").arg(data);
        command.arg("-CAfile").arg(anchor).arg("-untrusted").arg(&self.tsa_others);
        process::run(&mut command, LIMIT)
    }
}

fn read_json(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

fn bytes_at(value: &Value, pointer: &str) -> Result<Vec<u8>> {
    let text =
        value.pointer(pointer).and_then(Value::as_str).with_context(|| format!("nothing at {pointer}"))?;
    encoding::base64(text).with_context(|| format!("no base64 at {pointer}"))
}

/// The certificates of the last authority of this kind, leaf or issuer first.
fn chain(root: &Value, kind: &str) -> Result<Vec<Vec<u8>>> {
    let authorities = root.get(kind).and_then(Value::as_array).with_context(|| format!("no {kind}"))?;
    let authority = authorities.last().with_context(|| format!("{kind} is empty"))?;
    let certificates = authority.pointer("/certChain/certificates").and_then(Value::as_array);
    certificates.context("no certificates")?.iter().map(|one| bytes_at(one, "/rawBytes")).collect()
}

/// The same bytes with the last one changed: in DER the end of a signature.
fn damaged(bytes: &[u8]) -> Vec<u8> {
    let mut copy = bytes.to_vec();
    if let Some(last) = copy.last_mut() {
        *last ^= 1;
    }
    copy
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, bytes)?;
    Ok(path)
}

fn write_pem(folder: &Path, name: &str, certificates: &[Vec<u8>]) -> Result<PathBuf> {
    let mut text = String::new();
    for (index, der) in certificates.iter().enumerate() {
        let file = write(folder, &format!("{name}-{index}.der"), der)?;
        let mut command = Command::new("openssl");
        command.args(["x509", "-inform", "DER", "-in"]).arg(&file);
        text.push_str(&process::run(&mut command, LIMIT)?.expect_success("openssl x509")?);
    }
    write(folder, &format!("{name}.pem"), text.as_bytes())
}
