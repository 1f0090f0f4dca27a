//! The verifier against bundles of others: the `test/assets` tree of the sigstore-conformance suite.
//!
//! A case whose name ends in `_fail` must be refused, every other accepted, by path and by digest.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::House;
use crate::encoding;
use crate::process;
use crate::tally::Tally;

/// The longest one verification may take.
const LIMIT: Duration = Duration::from_secs(120);
/// Who signed the cases that do not say so themselves.
pub(crate) const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/\
    .github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main";
/// Whose token they used.
pub(crate) const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// Runs every case of a folder; `false` if one of those that count went wrong.
pub(crate) fn command(house: &House, folder: &Path) -> Result<bool> {
    let tally = run(house, folder)?;
    tally.print();
    Ok(tally.clean())
}

/// Runs every case of a folder and counts.
pub(crate) fn run(house: &House, folder: &Path) -> Result<Tally> {
    let program = house.program("sealog-conformance");
    if !program.exists() {
        bail!("{} is not built: cargo build --release -p sealog-cli", program.display());
    }
    let cases = folder.join("bundle-verify");
    let mut names: Vec<String> = std::fs::read_dir(&cases)
        .with_context(|| format!("{} is not laid out like the suite's test/assets", folder.display()))?
        .filter_map(|entry| entry.ok().filter(|entry| entry.path().is_dir()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut tally = Tally::default();
    for name in &names {
        for by_digest in [false, true] {
            let status = verify(&program, folder, &cases.join(name), by_digest)?;
            let must_refuse = name.ends_with("_fail");
            // A crash is no refusal, though the suite takes it for one.
            let refused = status.is_some_and(|status| (1..=3).contains(&status));
            if if must_refuse { refused } else { status == Some(0) } {
                tally.pass(1);
            } else {
                let how = if by_digest { "DIGEST" } else { "PATH" };
                let wanted = if must_refuse { "refused" } else { "accepted" };
                tally.fail(format!("{name} {how}: must be {wanted}, exit status {status:?}"));
            }
        }
    }
    println!("  {} cases, by path and by digest", names.len());
    Ok(tally)
}

/// In the order of the suite's protocol.
fn verify(program: &Path, folder: &Path, case: &Path, by_digest: bool) -> Result<Option<i32>> {
    let own = case.join("artifact");
    let artifact = if own.exists() { own } else { folder.join("bundle-verify/a.txt") };
    let mut command = Command::new(program);
    command.args(["verify-bundle", "--bundle"]).arg(case.join("bundle.sigstore.json"));
    let key = case.join("key.pub");
    if key.exists() {
        command.arg("--key").arg(key);
    } else {
        command.args(["--certificate-identity", &said(case.join("identity"), IDENTITY)]);
        command.args(["--certificate-oidc-issuer", &said(case.join("issuer"), ISSUER)]);
    }
    let root = case.join("trusted_root.json");
    let shared = folder.join("public-good-trusted_root.json");
    command.arg("--trusted-root").arg(if root.exists() { root } else { shared });
    if by_digest {
        command.arg(format!("sha256:{}", encoding::sha256_hex(&artifact)?));
    } else {
        command.arg(&artifact);
    }
    Ok(process::run(&mut command, LIMIT)?.status)
}

fn said(file: PathBuf, otherwise: &str) -> String {
    std::fs::read_to_string(file).map_or_else(|_| otherwise.to_owned(), |text| text.trim().to_owned())
}
