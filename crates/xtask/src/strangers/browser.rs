//! A real browser on the sign-in page, led there by four programs: `sealog`, cosign by code and by device,
//! sigstore-python. Each ends with a bundle that `sealog` verifies.
//!
//! A small script stands in for the person's browser: `BROWSER` and `xdg-open` point at it, and it notes
//! the address. A headless Chromium then opens that address, types and agrees.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::clients::Client;
use super::report::{Check, Report};
use super::{Cosign, Kind, Outcome, Sealog, Stage};
use crate::House;
use crate::dev::EMAIL;
use crate::process::{self, Finished, Service};

/// How long a program may take to name the address to open.
const ADDRESS_LIMIT: Duration = Duration::from_secs(120);
/// How long the whole sign-in may take.
const LIMIT: Duration = Duration::from_secs(300);

/// What a person must have read before agreeing.
const MUST_SAY: [&str; 2] = ["believes anyone", "public, for ever"];

/// How a program is started that is to leave its bundle at this path.
type Start<'a> = Box<dyn Fn(&Path) -> Command + 'a>;

/// The row of the browser.
pub(super) fn run(stage: &Stage<'_>, ours: &Sealog, report: &mut Report) {
    let cosign = Cosign { program: stage.peers.cosign.clone() };
    let flows: [(&'static str, &'static str, Start<'_>); 4] = [
        (
            "sealog",
            "code + PKCE",
            Box::new(|out| {
                let mut command = ours.sign_command(stage, Kind::Blob, out);
                // Where these tests run, something may vouch for the job.
                command.arg("--no-ambient");
                command
            }),
        ),
        (
            "cosign",
            "code + PKCE",
            Box::new(|out| {
                let mut command = cosign.sign_command(stage, Kind::Blob, out);
                command.args(["--fulcio-auth-flow", "normal"]).arg(&stage.file);
                command
            }),
        ),
        (
            "cosign",
            "device",
            Box::new(|out| {
                let mut command = cosign.sign_command(stage, Kind::Blob, out);
                command.args(["--fulcio-auth-flow", "device"]).arg(&stage.file);
                command
            }),
        ),
        (
            "python",
            "code + PKCE",
            Box::new(|out| {
                let mut command = Command::new(&stage.peers.sigstore_python);
                command.env("HOME", stage.home());
                command.arg("--trust-config").arg(stage.dev.client_file("client_trust_config.json"));
                command
                    .args(["sign", "--oidc-disable-ambient-providers", "--bundle"])
                    .arg(out)
                    .arg(&stage.file);
                command
            }),
        ),
    ];
    for (program, flow, command) in flows {
        let name = format!("{program}-{}", flow.split(' ').next().unwrap_or(flow));
        let bundle = stage.scratch.file(&format!("browser-{name}.sigstore.json"));
        let outcome = sign_in(stage, &name, command(&bundle), "allow");
        let label = format!("{program} by {flow}");
        if report.accepts(Check::new("browser", "signs in for", label.clone()), outcome) {
            let person = &stage.person;
            let verified =
                ours.verify(stage, Kind::Blob, &stage.file, &bundle, &person.identity, &person.issuer);
            report.accepts(Check::new("browser", "sealog verifies", label), verified);
        }
    }
    let bundle = stage.scratch.file("browser-refused.sigstore.json");
    let mut command = ours.sign_command(stage, Kind::Blob, &bundle);
    command.arg("--no-ambient");
    let refused = sign_in(stage, "refused", command, "refuse");
    let check = Check::new("browser", "refuses to sign in", "sealog by code + PKCE".to_owned());
    report.refuses(check, refused, &["refused", "denied"]);
}

/// Runs a program that needs a sign-in, signs in for it, and waits for it to end.
fn sign_in(stage: &Stage<'_>, name: &str, mut command: Command, answer: &str) -> Outcome {
    let folder = stage.scratch.file(&format!("browser-{name}"));
    let opener = Opener::new(&folder)?;
    let log = folder.join("log");
    let file = File::create(&log)?;
    let started = Instant::now();
    let child = command
        .env("BROWSER", &opener.script)
        .env("PATH", opener.path()?)
        .env_remove("CI")
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let mut service = Service::adopt(name, child, &log);
    let address = opener.address(&log)?;
    let mut browser = Command::new(&stage.peers.node);
    browser.env("NODE_PATH", &stage.peers.node_modules).env("HOME", stage.home());
    browser.arg(House::find()?.path("tests/strangers/browser/sign_in.cjs"));
    browser.arg(&stage.peers.chromium).arg(&address).args([EMAIL, answer]);
    let pages = process::run(&mut browser, LIMIT)?.expect_success(&format!("the browser at {address}"))?;
    if let Some(unsaid) = MUST_SAY.iter().find(|words| !pages.contains(**words)) {
        bail!("the page does not say «{unsaid}»:\n{pages}");
    }
    let status = service.wait(LIMIT)?;
    let stderr = std::fs::read_to_string(&log).unwrap_or_default();
    Ok(Finished { status, stdout: pages, stderr, took: started.elapsed(), timed_out: status.is_none() })
}

/// What the programs take for the person's browser.
pub(crate) struct Opener {
    folder: PathBuf,
    pub(crate) script: PathBuf,
    noted: PathBuf,
}

impl Opener {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt;
        std::fs::create_dir_all(folder)?;
        let noted = folder.join("address");
        let script = folder.join("xdg-open");
        std::fs::write(&script, format!("#!/bin/sh\nprintf '%s\\n' \"$1\" > '{}'\n", noted.display()))?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
        Ok(Self { folder: folder.to_path_buf(), script, noted })
    }

    pub(crate) fn path(&self) -> Result<std::ffi::OsString> {
        let old = std::env::var_os("PATH").unwrap_or_default();
        Ok(std::env::join_paths(std::iter::once(self.folder.clone()).chain(std::env::split_paths(&old)))?)
    }

    /// The address the program opened, or, in the device flow, the one it printed.
    pub(crate) fn address(&self, log: &Path) -> Result<String> {
        let deadline = Instant::now() + ADDRESS_LIMIT;
        while Instant::now() < deadline {
            let opened = std::fs::read_to_string(&self.noted).unwrap_or_default();
            if let Some(address) = whole_lines(&opened).lines().next() {
                return Ok(address.to_owned());
            }
            let said = std::fs::read_to_string(log).unwrap_or_default();
            if let Some(printed) = device_address(&said) {
                return Ok(printed);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let said = std::fs::read_to_string(log).unwrap_or_default();
        bail!("no address to open after {} s:\n{said}", ADDRESS_LIMIT.as_secs())
    }
}

/// What was written up to the last line end: what follows may be half of something.
pub(crate) fn whole_lines(said: &str) -> &str {
    said.rfind('\n').and_then(|end| said.get(..=end)).unwrap_or_default()
}

/// The first address in what a program printed that leads to a device page.
fn device_address(said: &str) -> Option<String> {
    whole_lines(said)
        .split_whitespace()
        .find(|word| word.starts_with("http") && word.contains("/device") && word.contains('='))
        .map(|word| word.trim_end_matches(['.', ',']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_address_is_found_in_what_was_said() {
        let said = "Enter the verification code ABCD in your browser at: \
            http://localhost:1/device?user_code=ABCD\nCode will be valid for 300 seconds";
        assert_eq!(device_address(said).as_deref(), Some("http://localhost:1/device?user_code=ABCD"));
        assert_eq!(device_address("see http://localhost:1/auth?x=y\n"), None);
        // As far as it is written by now.
        assert_eq!(device_address("go to\nhttp://localhost:1/device?user_code=AB"), None);
    }
}
