//! OpenSSL's command line as a client that shares no code with us.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Runs `openssl` in a directory; says what it said when it fails.
#[track_caller]
pub(crate) fn run(dir: &Path, args: &[&str]) -> String {
    let (ok, said) = try_run(dir, args);
    assert!(ok, "openssl {args:?}: {said}");
    said
}

pub(crate) fn try_run(dir: &Path, args: &[&str]) -> (bool, String) {
    let output = Command::new("openssl").args(args).current_dir(dir).output().expect("openssl is needed");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

/// A key on disk, as a stranger has it.
pub(crate) struct Key {
    pub(crate) dir: tempfile::TempDir,
    key_details: &'static str,
    digest: &'static str,
}

impl Key {
    pub(crate) fn p256() -> Self {
        Self::ec("prime256v1", "PKIX_ECDSA_P256_SHA_256", "-sha256")
    }

    pub(crate) fn ec(curve: &str, key_details: &'static str, digest: &'static str) -> Self {
        Self::made(&["ecparam", "-name", curve, "-genkey", "-noout", "-out", "key.pem"], key_details, digest)
    }

    pub(crate) fn rsa(bits: &str, key_details: &'static str) -> Self {
        Self::made(&["genrsa", "-out", "key.pem", bits], key_details, "-sha256")
    }

    fn made(args: &[&str], key_details: &'static str, digest: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path(), args);
        run(dir.path(), &["pkey", "-in", "key.pem", "-pubout", "-outform", "DER", "-out", "pub.der"]);
        run(dir.path(), &["pkey", "-in", "key.pem", "-pubout", "-out", "pub.pem"]);
        Self { dir, key_details, digest }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn public_pem(&self) -> String {
        String::from_utf8(self.read("pub.pem")).unwrap()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        std::fs::write(self.path("message"), message).unwrap();
        run(self.dir.path(), &["dgst", self.digest, "-sign", "key.pem", "-out", "signature", "message"]);
        self.read("signature")
    }

    pub(crate) fn digest(&self, message: &[u8]) -> Vec<u8> {
        std::fs::write(self.path("message"), message).unwrap();
        run(self.dir.path(), &["dgst", self.digest, "-binary", "-out", "digest", "message"]);
        self.read("digest")
    }

    /// A request to log a signature over `message`.
    pub(crate) fn log_request(&self, message: &[u8]) -> Value {
        json!({ "hashedRekordRequestV002": {
            "digest": STANDARD.encode(self.digest(message)),
            "signature": {
                "content": STANDARD.encode(self.sign(message)),
                "verifier": {
                    "keyDetails": self.key_details,
                    "publicKey": { "rawBytes": STANDARD.encode(self.read("pub.der")) },
                },
            },
        } })
    }

    /// A certificate request, PEM.
    pub(crate) fn csr(&self) -> String {
        self.csr_with(&[])
    }

    /// One that is signed in another way.
    pub(crate) fn csr_with(&self, options: &[&str]) -> String {
        let usual =
            ["req", "-new", "-key", "key.pem", "-subj", "/CN=ignored", self.digest, "-out", "request.pem"];
        run(self.dir.path(), &[&usual, options].concat());
        String::from_utf8(self.read("request.pem")).unwrap()
    }
}
