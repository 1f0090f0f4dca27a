//! `sealog verify`: files and a policy in, a verdict for each out. No event loop, no network.

use crate::{
    args::{SignerArgs, VerifyArgs},
    artifact,
    failure::{Failure, Status, paint},
    inspect, output, trust,
};
use sealog_bundle::{Bundle, TrustedRoot};
use sealog_crypto::PublicKey;
use sealog_verify::{
    Artifact, Match, Pattern, Policy, Verified, VerifyError, digests_needed,
    verdict::{self, Report, Verdict},
};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// Longer key files are not read.
const MAX_KEY_BYTES: usize = 64 << 10;
/// Where a bundle is looked for, in this order.
const BUNDLE_SUFFIXES: [&str; 2] = [".sigstore.json", ".sigstore"];

/// Someone's word on an artifact, or why there is none.
type Outcome = Result<Verified, VerifyError>;

pub(crate) fn verify(args: &VerifyArgs) -> Result<Status, Failure> {
    if args.bundle.is_some() && args.artifacts.len() > 1 {
        return Err(Failure::usage("--bundle names one bundle, and there are several artifacts")
            .hint("without --bundle each bundle is looked for beside its file"));
    }
    let believed = policy(&args.signer).and_then(|policy| Ok((policy, trust::for_verifying(&args.trust)?)));
    let (policy, root) = match believed {
        Ok(believed) => believed,
        Err(failure) if args.json && failure.status == Status::Unable => {
            for artifact in &args.artifacts {
                tell_not_checked(artifact, &failure)?;
            }
            return Err(failure);
        }
        Err(failure) => return Err(failure),
    };
    let mut worst = Status::Done;
    for artifact in &args.artifacts {
        let status = match verify_one(artifact, args.bundle.as_deref(), &root, &policy) {
            Ok((bundle, outcome)) => tell(artifact, &bundle, &outcome, args.json)?,
            Err(failure) => {
                if args.json {
                    tell_not_checked(artifact, &failure)?;
                }
                failure.tell();
                failure.status
            }
        };
        // Refused outweighs unable, and both outweigh done.
        worst = match (worst, status) {
            (Status::Refused, _) | (_, Status::Refused) => Status::Refused,
            (Status::Done, other) => other,
            (other, _) => other,
        };
    }
    Ok(worst)
}

fn verify_one(
    artifact: &Path,
    bundle: Option<&Path>,
    root: &TrustedRoot,
    policy: &Policy,
) -> Result<(PathBuf, Outcome), Failure> {
    // A wrong digest is a wrong command line; it must not depend on what the bundle says.
    artifact::as_digest(artifact).transpose()?;
    let path = match bundle {
        Some(path) => path.to_owned(),
        None => find_bundle(artifact)?,
    };
    let outcome = match Bundle::parse(&inspect::read(&path)?) {
        Ok(bundle) => check(artifact, &bundle, root, policy)?,
        Err(error) => Err(error.into()),
    };
    Ok((path, outcome))
}

/// Verifies a bundle and the artifact it should be about.
pub(crate) fn check(
    artifact: &Path,
    bundle: &Bundle,
    root: &TrustedRoot,
    policy: &Policy,
) -> Result<Outcome, Failure> {
    let digests = match artifact::as_digest(artifact) {
        Some(digest) => vec![digest?],
        None => {
            artifact::digests(artifact, &digests_needed(bundle, policy), crate::progress::Show::ToPeople)?
        }
    };
    Ok(sealog_verify::verify(bundle, root, policy, &Artifact::from_digests(digests)))
}

/// The policy that was typed. None accepts anyone.
fn policy(args: &SignerArgs) -> Result<Policy, Failure> {
    if let Some(key) = &args.key {
        return Ok(Policy::key(read_key(key)?));
    }
    // Usually a variable of a script that was never set; no certificate has an empty name.
    for (option, given) in [
        ("--identity", &args.identity),
        ("--identity-regexp", &args.identity_regexp),
        ("--issuer", &args.issuer),
        ("--issuer-regexp", &args.issuer_regexp),
    ] {
        if given.as_deref() == Some("") {
            return Err(Failure::usage(format!("{option} is empty")));
        }
    }
    let identity = wanted(args.identity.as_ref(), args.identity_regexp.as_ref(), "--identity-regexp")?;
    let issuer = wanted(args.issuer.as_ref(), args.issuer_regexp.as_ref(), "--issuer-regexp")?;
    match (identity, issuer) {
        (Some(identity), Some(issuer)) => Ok(Policy::matching(identity, issuer)),
        (Some(_), None) => Err(Failure::usage("an identity means nothing without who vouches for it")
            .hint("add --issuer URL, the OpenID provider the signer signed in at")),
        (None, Some(_)) => Err(Failure::usage("nothing says who must have signed")
            .hint("add --identity ID, an email address or the URI of a workflow")),
        (None, None) => Err(Failure::usage("nothing says who must have signed").hint(
            "give --identity ID and --issuer URL, or --key PEM; `sealog inspect` shows what a bundle claims",
        )),
    }
}

fn wanted(exact: Option<&String>, pattern: Option<&String>, option: &str) -> Result<Option<Match>, Failure> {
    if let Some(exact) = exact {
        return Ok(Some(Match::Exact(exact.clone())));
    }
    let compiled = pattern.map(|text| {
        Pattern::new(text).map_err(|error| Failure::usage(format!("{option} `{text}` is {error}")))
    });
    Ok(compiled.transpose()?.map(Match::Pattern))
}

/// Reads a public key in PEM.
pub(crate) fn read_key(path: &Path) -> Result<PublicKey, Failure> {
    let bytes = artifact::read_bounded(path, MAX_KEY_BYTES)?;
    let pem = String::from_utf8_lossy(&bytes);
    PublicKey::from_pem(&pem).map_err(|error| {
        let message = format!("`{}` holds no public key that can be used: {error}", path.display());
        Failure::new(Status::Usage, "key", message)
    })
}

fn find_bundle(artifact: &Path) -> Result<PathBuf, Failure> {
    let name = artifact.display();
    if artifact::as_digest(artifact).is_some() {
        return Err(Failure::usage(format!("`{name}` is a digest, which has no bundle beside it"))
            .hint("give the bundle with --bundle"));
    }
    let places = BUNDLE_SUFFIXES.map(|suffix| output::beside(artifact, suffix));
    if let Some(found) = places.iter().find(|place| place.exists()) {
        return Ok(found.clone());
    }
    // A file that is not there, or a directory, has no bundle for that reason.
    artifact::check_readable(artifact)?;
    let [first, second] = places.map(|place| place.display().to_string());
    Err(Failure::unable("no-bundle", format!("there is no bundle for `{name}`"))
        .expected(format!("`{first}` or `{second}`"))
        .found("neither")
        .hint("give the bundle with --bundle if it is elsewhere; without one the file is not signed"))
}

/// Prints a verdict and says what it means for the exit status.
fn tell(artifact: &Path, bundle: &Path, outcome: &Outcome, json: bool) -> Result<Status, Failure> {
    let file = artifact.display().to_string();
    let verdict = Verdict::of(outcome);
    if json {
        output::data(&format!("{}\n", verdict::json_line(&file, outcome)))?;
    }
    if verdict == Verdict::Verified {
        if !json {
            output::data(&rendered(&Report::of(&file, outcome)))?;
        }
        return Ok(Status::Done);
    }
    match outcome {
        // Of a document that is no bundle people must hear which document.
        Err(VerifyError::Bundle(error)) => inspect::not_a_bundle(bundle, error).tell(),
        _ => output::tell(&rendered(&Report::of(&file, outcome))),
    }
    Ok(Status::Refused)
}

fn tell_not_checked(artifact: &Path, failure: &Failure) -> Result<(), Failure> {
    let file = artifact.display().to_string();
    let (expected, found) = (failure.expected.as_deref(), failure.found.as_deref());
    let line = verdict::not_checked_json_line(&file, failure.class, &failure.message, expected, found);
    output::data(&format!("{line}\n"))
}

/// A report with the colours of the terminal; they are taken out where there is none.
pub(crate) fn rendered(report: &Report) -> String {
    let mut text = String::new();
    let head = match report.verdict {
        Verdict::Verified => paint::good(&report.headline),
        Verdict::WrongSigner | Verdict::NotVerified => {
            format!("{}: {}", paint::bad("error"), report.headline)
        }
    };
    let _ = writeln!(text, "{head}");
    let width = report.rows.iter().map(|row| row.label.len()).max().unwrap_or(0);
    for row in &report.rows {
        let label = paint::faint(&format!("{:width$}", row.label));
        let note = if row.note.is_empty() { String::new() } else { format!("  ({})", row.note) };
        let _ = writeln!(text, "  {label}  {}{note}", row.value);
    }
    if let Some(hint) = report.hint {
        let _ = writeln!(text, "{}: {hint}", paint::advice("hint"));
    }
    text
}
