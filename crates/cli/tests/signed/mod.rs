//! Signed files for tests: made by the program itself, against services that are gone again when they are verified.

#![allow(dead_code, reason = "each test needs a part of it")]

use sealog_crypto::HashAlgorithm;
use sealog_server::{
    clock::Clock,
    dev,
    oidc::{DevToken, dev_token},
    run::Running,
};
use std::{
    ffi::OsStr,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::OnceLock,
};
use tempfile::TempDir;

pub(crate) const SIGNER: &str = "ann@example.org";
/// The files that are signed, each with its own name and an end of line in it.
const FILES: [&str; 3] = ["a.txt", "b.txt", "c.txt"];

/// Signed files and what they are verified with.
pub(crate) struct Signed {
    home: TempDir,
    issuer: String,
}

/// Signed once for all tests.
pub(crate) fn signed() -> &'static Signed {
    static SIGNED: OnceLock<Signed> = OnceLock::new();
    SIGNED.get_or_init(|| {
        let home = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let issuer = runtime.block_on(async {
            let dir = home.path().join("dev");
            let (config, sockets) = dev::prepare(&dir, 0, Clock::system()).unwrap();
            let running = Running::start(&config, Clock::system(), sockets).await.unwrap();
            let asked = DevToken::Email(SIGNER.to_owned());
            let token = dev_token(&config, &Clock::system(), &asked, "sigstore").unwrap();
            for name in FILES {
                fs::write(home.path().join(name), format!("{name}\n")).unwrap();
            }
            fs::write(home.path().join("predicate"), "{\"a\":1}").unwrap();
            let client = config.client_dir();
            let sign = |args: &[&str]| {
                let mut command = Command::new(env!("CARGO_BIN_EXE_sealog"));
                command.args(args).arg("--trust").arg(&client).arg("--identity-token").arg(&token);
                let output = command.current_dir(home.path()).env_clear().output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            };
            sign(&["sign", "a.txt", "b.txt", "c.txt"]);
            sign(&[
                "attest",
                "a.txt",
                "--predicate",
                "predicate",
                "--type",
                "custom",
                "--bundle",
                "statement.json",
            ]);
            fs::copy(client.join("trusted_root.json"), home.path().join("root.json")).unwrap();
            running.stop().await;
            let bundle = fs::read_to_string(client.join("services.json")).unwrap();
            let ready: serde_json::Value = serde_json::from_str(&bundle).unwrap();
            ready["services"]["oidc"].as_str().unwrap().to_owned()
        });
        Signed { home, issuer }
    })
}

/// An empty directory for one test.
pub(crate) struct Home(pub(crate) TempDir);

/// Standard output, standard error and exit status.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Screen(pub(crate) String, pub(crate) String, pub(crate) i32);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// A signed file, and its bundle beside it.
    pub(crate) fn put(&self, name: &str, as_name: &str) {
        self.put_file(name, as_name);
        self.write(&format!("{as_name}.sigstore.json"), bundle(name));
    }

    pub(crate) fn put_file(&self, name: &str, as_name: &str) {
        self.write(as_name, format!("{name}\n"));
    }

    pub(crate) fn command(&self, args: &[&OsStr]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealog"));
        command.args(args).current_dir(self.0.path()).env_clear().stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&OsStr]) -> Screen {
        let output = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Screen(text(output.stdout), text(output.stderr), output.status.code().unwrap())
    }

    /// `sealog verify`, by ann.
    pub(crate) fn verify(&self, line: &str) -> Screen {
        self.run(&policy(line.split(' ').map(OsStr::new)))
    }

    /// The lines of JSON, as file, verdict and the error's class.
    pub(crate) fn json(&self, line: &str) -> (Vec<(String, String, String)>, i32) {
        let screen = self.verify(&format!("{line} --json"));
        let read = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            (text(&line["file"]), text(&line["verdict"]), text(&line["error"]["class"]))
        };
        (screen.0.lines().map(read).collect(), screen.2)
    }
}

pub(crate) fn policy<'a>(words: impl Iterator<Item = &'a OsStr>) -> Vec<&'a OsStr> {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    let root = ROOT.get_or_init(|| signed().home.path().join("root.json"));
    let before = ["verify", "--identity", SIGNER, "--issuer", &signed().issuer, "--trusted-root"];
    before.into_iter().map(OsStr::new).chain([root.as_os_str()]).chain(words).collect()
}

pub(crate) fn bundle(name: &str) -> Vec<u8> {
    fs::read(signed().home.path().join(format!("{name}.sigstore.json"))).unwrap()
}

pub(crate) fn statement() -> Vec<u8> {
    fs::read(signed().home.path().join("statement.json")).unwrap()
}

pub(crate) fn hex(name: &str, algorithm: HashAlgorithm) -> String {
    algorithm.digest(format!("{name}\n").as_bytes()).to_string().split(':').next_back().unwrap().to_owned()
}

pub(crate) fn sha256(name: &str) -> String {
    hex(name, HashAlgorithm::Sha256)
}

/// What a line of JSON says.
pub(crate) fn row(file: &str, verdict: &str, class: &str) -> (String, String, String) {
    (file.to_owned(), verdict.to_owned(), class.to_owned())
}
