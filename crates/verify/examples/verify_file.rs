//! A whole program that verifies a file: reads it once, in pieces, and ends with a status that scripts understand.
//!
//!   verify_file FILE BUNDLE IDENTITY ISSUER [TRUSTED_ROOT]
//!
//! Without a trusted root that of Sigstore's public good instance counts, which is built in. Exit status: 0 verified,
//! 1 not verified or signed by somebody else, 2 something could not be read.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use sealog_verify::{
    Artifact, Bundle, Hasher, Instance, Policy, Report, TrustedRoot, Verdict, Verified, Verifier,
    VerifyError, digests_needed,
};
use std::{
    error::Error,
    fs::{self, File},
    io::{self, Read as _},
    process::ExitCode,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok((verdict, words)) => {
            println!("{words}");
            ExitCode::from(u8::from(verdict != Verdict::Verified))
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// The verdict, and the words for it.
pub(crate) fn run(arguments: &[&str]) -> Result<(Verdict, String), Box<dyn Error>> {
    let (file, bundle, identity, issuer, root) = match *arguments {
        [file, bundle, identity, issuer] => (file, bundle, identity, issuer, None),
        [file, bundle, identity, issuer, root] => (file, bundle, identity, issuer, Some(root)),
        _ => return Err("usage: verify_file FILE BUNDLE IDENTITY ISSUER [TRUSTED_ROOT]".into()),
    };
    let root = match root {
        Some(path) => TrustedRoot::parse(&fs::read(path)?)?,
        None => Instance::named("public-good").ok_or("this build has no such instance")?.trusted_root()?,
    };
    let policy = Policy::identity(identity, issuer);
    let outcome = verify(file, &fs::read(bundle)?, &root, &policy)?;
    // The same words as in every other program, each value made safe to show.
    let report = Report::of(file, &outcome);
    Ok((report.verdict, report.to_string()))
}

/// Errors on the outside mean that nothing was found out, those on the inside that it does not verify.
fn verify(
    file: &str,
    bundle: &[u8],
    root: &TrustedRoot,
    policy: &Policy,
) -> io::Result<Result<Verified, VerifyError>> {
    let bundle = match Bundle::parse(bundle) {
        Ok(bundle) => bundle,
        Err(error) => return Ok(Err(error.into())),
    };
    let mut hashers: Vec<Hasher> = digests_needed(&bundle, policy).into_iter().map(Hasher::new).collect();
    let mut opened = File::open(file)?;
    let mut piece = vec![0; 1 << 16];
    loop {
        match opened.read(&mut piece)? {
            0 => break,
            read => {
                hashers.iter_mut().for_each(|hasher| hasher.update(piece.get(..read).unwrap_or_default()))
            }
        }
    }
    let artifact = Artifact::from_digests(hashers.into_iter().map(Hasher::finish));
    Ok(Verifier::new(root).verify(&bundle, policy, &artifact))
}
