//! SoftHSM2: a security module in software, with a token of its own for each test.
//!
//! Its library reads `SOFTHSM2_CONF` from the environment, which a running test must not change: a test that
//! needs the library in its own process runs again in a process of its own ([`alone`]).

#![allow(clippy::print_stderr, reason = "says why it was skipped")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) const PIN: &str = "correct-1234";
const CONF: &str = "SOFTHSM2_CONF";
/// Tells a test that it is in a process of its own, and where its token is.
const HOME: &str = "SEALOG_TEST_HSM";
const LIBRARIES: [&str; 6] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
    "/usr/lib/pkcs11/libsofthsm2.so",
];

/// A directory of tokens.
pub(crate) struct Hsm {
    pub(crate) dir: PathBuf,
    _own: Option<tempfile::TempDir>,
}

impl Hsm {
    /// With a token of this label; none where SoftHSM2 is not installed, which is a failure in CI.
    pub(crate) fn with_token(label: &str) -> Option<Self> {
        if !LIBRARIES.iter().any(|path| Path::new(path).exists())
            || Command::new("softhsm2-util").arg("--version").output().is_err()
        {
            assert!(
                std::env::var("CI").is_err(),
                "SoftHSM2 is needed (Debian: apt-get install softhsm2 opensc)"
            );
            eprintln!("skipped: no SoftHSM2 (Debian: apt-get install softhsm2 opensc)");
            return None;
        }
        let own = tempfile::tempdir().unwrap();
        let dir = own.path().to_owned();
        fs::create_dir(dir.join("tokens")).unwrap();
        let conf = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            dir.join("tokens").display()
        );
        fs::write(dir.join("softhsm2.conf"), conf).unwrap();
        let hsm = Self { dir, _own: Some(own) };
        hsm.add_token(label);
        hsm.write_pin(PIN);
        Some(hsm)
    }

    pub(crate) fn add_token(&self, label: &str) {
        let args = ["--init-token", "--free", "--label", label, "--so-pin", "so-pin-5678", "--pin", PIN];
        self.run("softhsm2-util", &args);
    }

    pub(crate) fn write_pin(&self, pin: &str) {
        let path = self.dir.join("pin");
        fs::write(&path, format!("{pin}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn library() -> &'static str {
        LIBRARIES.into_iter().find(|path| Path::new(path).exists()).unwrap()
    }

    pub(crate) fn conf(&self) -> (&'static str, PathBuf) {
        (CONF, self.dir.join("softhsm2.conf"))
    }

    /// The table of a configuration.
    pub(crate) fn table(&self, token: &str, keys: &str) -> String {
        format!(
            "\n[pkcs11]\nmodule = \"{}\"\ntoken = \"{token}\"\npin_file = \"{}\"\nsessions = 4\n\
             \n[pkcs11.keys]\n{keys}\n",
            Self::library(),
            self.dir.join("pin").display()
        )
    }

    /// Runs a program that uses the tokens.
    #[track_caller]
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> String {
        let (name, conf) = self.conf();
        let output =
            Command::new(program).args(args).env(name, conf).output().unwrap_or_else(|e| {
                panic!("{program} is needed (Debian: apt-get install softhsm2 opensc): {e}")
            });
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{program} {args:?}: {said}");
        said
    }

    /// OpenSC's tool, as the token's user.
    #[track_caller]
    pub(crate) fn tool(&self, args: &[&str]) -> String {
        let login = ["--module", Self::library(), "--token-label", "sealog", "--login", "--pin", PIN];
        self.run("pkcs11-tool", &[&login, args].concat())
    }
}

/// Runs a test's body in a process of its own that has a token "sealog".
#[track_caller]
pub(crate) fn alone(test: &str, body: impl FnOnce(&Hsm)) {
    if let Some(dir) = std::env::var_os(HOME) {
        let _ = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).try_init();
        return body(&Hsm { dir: PathBuf::from(dir), _own: None });
    }
    let Some(hsm) = Hsm::with_token("sealog") else { return };
    again(test, &[hsm.conf(), (HOME, hsm.dir.clone())]);
}

/// Runs a test again in a process of its own, with more in its environment.
#[track_caller]
pub(crate) fn again(test: &str, environment: &[(&str, PathBuf)]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{test} failed:\n{said}");
}
