//! Verifies bundles with the crate sigstore-verify and its default options, as a user of that crate would.
//!
//!   sigstore-rust-verify batch                  cases as JSON lines in, answers as JSON lines out
//!   sigstore-rust-verify warm SECONDS           one case in, how often it was verified in that time out
//!   sigstore-rust-verify verify-bundle …        one case, in the words of the conformance suite
//!   sigstore-rust-verify sha256 FILE            no verification: the least that a verifier of a file must do

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, Read, Write};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::{Artifact, Bundle, DerPublicKey, Sha256Hash};
use sigstore_verify::{PublicKeyVerificationPolicy, VerificationPolicy, Verifier};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["batch"] => batch(),
        ["warm", seconds] => warm(seconds),
        ["verify-bundle", options @ ..] => verify_bundle(options),
        ["sha256", file] => sha256(file),
        _ => Err("usage: sigstore-rust-verify batch | warm SECONDS | verify-bundle … | sha256 FILE".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn batch() -> Outcome<()> {
    std::panic::set_hook(Box::new(|_| {}));
    let mut verifiers = HashMap::new();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let case: Value = serde_json::from_str(&line?)?;
        let judged = std::panic::catch_unwind(AssertUnwindSafe(|| judge(&case, &mut verifiers)));
        let id = case["id"].clone();
        let answer = match judged {
            Ok(Ok(())) => json!({"id": id, "ok": true}),
            Ok(Err(error)) => json!({"id": id, "ok": false, "error": error.to_string()}),
            Err(_) => json!({"id": id, "ok": false, "crash": true, "error": "panic"}),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn text<'c>(case: &'c Value, name: &str) -> Option<&'c str> {
    case.get(name).and_then(Value::as_str)
}

/// One case; trusted roots are prepared once.
fn judge(case: &Value, verifiers: &mut HashMap<String, Result<Verifier, String>>) -> Outcome<()> {
    let root = text(case, "trusted_root").ok_or("no trusted root")?;
    if !verifiers.contains_key(root) {
        verifiers.insert(root.to_owned(), prepare(root).map_err(|error| error.to_string()));
    }
    let verifier = verifiers[root].as_ref().map_err(Clone::clone)?;
    let bundle = Bundle::from_json(&std::fs::read_to_string(text(case, "bundle").ok_or("no bundle")?)?)?;
    let bytes;
    let artifact = match text(case, "digest") {
        Some(digest) => {
            Artifact::from(Sha256Hash::from_hex(digest.strip_prefix("sha256:").unwrap_or(digest))?)
        }
        None => {
            bytes = std::fs::read(text(case, "artifact").ok_or("no artifact")?)?;
            Artifact::from(&bytes)
        }
    };
    check(verifier, artifact, &bundle, case)
}

fn prepare(root: &str) -> Outcome<Verifier> {
    Ok(Verifier::new(&TrustedRoot::from_file(root)?)?)
}

fn check(verifier: &Verifier, artifact: Artifact<'_>, bundle: &Bundle, case: &Value) -> Outcome<()> {
    match text(case, "key") {
        Some(key) => {
            let key = DerPublicKey::from_pem(&std::fs::read_to_string(key)?)?;
            verifier.verify(artifact, bundle, &PublicKeyVerificationPolicy::new(key))?;
        }
        None => {
            let identity = text(case, "identity").ok_or("no identity")?;
            let issuer = text(case, "issuer").ok_or("no issuer")?;
            verifier.verify(artifact, bundle, &VerificationPolicy::new(identity, issuer))?;
        }
    }
    Ok(())
}

/// The document is parsed each time, the trusted root was prepared before.
fn warm(seconds: &str) -> Outcome<()> {
    let limit = Duration::from_secs_f64(seconds.parse()?);
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let case: Value = serde_json::from_str(&line)?;
    let verifier = prepare(text(&case, "trusted_root").ok_or("no trusted root")?)?;
    let document = std::fs::read_to_string(text(&case, "bundle").ok_or("no bundle")?)?;
    let artifact = std::fs::read(text(&case, "artifact").ok_or("no artifact")?)?;
    let once = || check(&verifier, Artifact::from(&artifact), &Bundle::from_json(&document)?, &case);
    let started = Instant::now();
    let mut count = 0_u64;
    while started.elapsed() < limit {
        once()?;
        count += 1;
    }
    println!("{}", json!({"verifications": count, "seconds": started.elapsed().as_secs_f64()}));
    Ok(())
}

/// The suite's own client for this crate is not published; the file is read as the crate reads large ones.
fn verify_bundle(options: &[&str]) -> Outcome<()> {
    let [
        "--bundle",
        bundle,
        "--certificate-identity",
        identity,
        "--certificate-oidc-issuer",
        issuer,
        "--trusted-root",
        root,
        file,
    ] = options
    else {
        return Err("usage: verify-bundle --bundle FILE --certificate-identity ID \
                    --certificate-oidc-issuer URL --trusted-root FILE FILE"
            .into());
    };
    let verifier = prepare(root)?;
    let bundle = Bundle::from_json(&std::fs::read_to_string(bundle)?)?;
    verifier.verify_reader(File::open(file)?, &bundle, &VerificationPolicy::new(*identity, *issuer))?;
    Ok(())
}

/// The digest of a file and nothing else.
fn sha256(file: &str) -> Outcome<()> {
    let mut file = File::open(file)?;
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => context.update(&buffer[..length]),
        }
    }
    println!("{:02x?}", context.finish().as_ref());
    Ok(())
}
