//! Many verifications in one process: for comparing with other verifiers, and for measuring.
//!
//!   batch                 cases as JSON lines in, answers as JSON lines out
//!   batch warm SECONDS    one case in, how often it was verified in that time out
//!
//! A case is `{"id", "bundle", "trusted_root", "artifact" or "digest", "identity" and "issuer" or "key"}`, all but
//! the first, the digest and the names being paths. An answer is `{"id", "ok", "error"}`.

#![allow(missing_docs, clippy::print_stdout, reason = "a program for a terminal")]

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use sealog_bundle::{Bundle, TrustedRoot};
use sealog_crypto::{Digest, HashAlgorithm, PublicKey};
use sealog_verify::{Artifact, ErrorClass, Policy, Verifier, VerifyError};
use serde_json::{Value, json};

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => batch(),
        ["warm", seconds] => warm(Duration::from_secs_f64(seconds.parse()?)),
        _ => Err("usage: batch [warm SECONDS]".into()),
    }
}

fn batch() -> Outcome<()> {
    std::panic::set_hook(Box::new(|_| {}));
    let mut roots = HashMap::new();
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let case = Case(serde_json::from_str(&line?)?);
        let judged = std::panic::catch_unwind(AssertUnwindSafe(|| case.judge(&mut roots)));
        let answer = match judged {
            Ok(Ok(())) => json!({"id": case.0["id"], "ok": true}),
            Ok(Err(error)) => json!({"id": case.0["id"], "ok": false, "error": error.to_string()}),
            Err(_) => json!({"id": case.0["id"], "ok": false, "crash": true, "error": "panic"}),
        };
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

/// The document is parsed each time, the trusted root was made ready before.
fn warm(limit: Duration) -> Outcome<()> {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    let case = Case(serde_json::from_str(&line)?);
    let verifier = Verifier::new(&TrustedRoot::parse(&case.file("trusted_root")?)?);
    let document = case.file("bundle")?;
    let artifact = case.file("artifact")?;
    let policy = case.policy()?;
    let started = Instant::now();
    let mut count = 0_u64;
    while started.elapsed() < limit {
        let bundle = Bundle::parse(&document)?;
        verifier.verify(&bundle, &policy, &Artifact::from_bytes(&artifact)).map_err(said)?;
        count += 1;
    }
    println!("{}", json!({"verifications": count, "seconds": started.elapsed().as_secs_f64()}));
    Ok(())
}

struct Case(Value);

impl Case {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    fn file(&self, name: &str) -> Outcome<Vec<u8>> {
        let path = self.text(name).ok_or_else(|| format!("the case has no {name}"))?;
        std::fs::read(path).map_err(|error| format!("{path}: {error}").into())
    }

    /// Trusted roots are read once.
    fn judge(&self, roots: &mut HashMap<String, Result<Verifier, String>>) -> Outcome<()> {
        let path = self.text("trusted_root").ok_or("the case has no trusted_root")?;
        if !roots.contains_key(path) {
            let read = TrustedRoot::parse(&self.file("trusted_root")?);
            let read = read.map(|root| Verifier::new(&root));
            roots.insert(path.to_owned(), read.map_err(|error| format!("trusted root: {error}")));
        }
        let verifier = roots[path].as_ref().map_err(Clone::clone)?;
        let bundle = Bundle::parse(&self.file("bundle")?).map_err(|error| said(error.into()))?;
        let bytes;
        let artifact = match self.text("digest") {
            Some(text) => Artifact::from_digests([sha256(text)?]),
            None => {
                bytes = self.file("artifact")?;
                Artifact::from_bytes(&bytes)
            }
        };
        verifier.verify(&bundle, &self.policy()?, &artifact).map_err(said)?;
        Ok(())
    }

    fn policy(&self) -> Outcome<Policy> {
        if self.text("key").is_some() {
            return Ok(Policy::key(PublicKey::from_pem(&String::from_utf8(self.file("key")?)?)?));
        }
        let identity = self.text("identity").ok_or("the case has neither identity nor key")?;
        Ok(Policy::identity(identity, self.text("issuer").ok_or("the case has no issuer")?))
    }
}

fn sha256(text: &str) -> Outcome<Digest> {
    let text = text.strip_prefix("sha256:").unwrap_or(text);
    let bytes = hex::decode(text).map_err(|error| format!("`{text}`: {error}"))?;
    Ok(Digest::new(HashAlgorithm::Sha256, &bytes)?)
}

/// The class, and the words.
fn said(error: VerifyError) -> String {
    let class: ErrorClass = error.class();
    format!("{}: {error}", class.name())
}
