//! `sealog inspect`: what a bundle says, in words. Nothing here is checked, and it says so.
//!
//! Must always hold: no word of it can be taken for a verdict. A bundle whose every part can be read may still be
//! a lie from end to end.

mod certificate;
mod der;
pub(crate) mod document;
mod entry;
mod parts;
pub(crate) mod words;

use crate::{
    args::InspectArgs,
    artifact,
    failure::{Failure, Status, quoted},
    output,
    verify::documents,
};
use sealog_bundle::{Bundle, BundleError, Version, bundle::MAX_BUNDLE_BYTES};
use std::path::Path;

/// More bundles of one file are not described.
const MAX_DOCUMENTS: usize = 4096;

/// So much of a file is looked at to tell what else it may be.
const MAX_OLDER_BYTES: usize = 256 << 10;

pub(crate) fn inspect(args: &InspectArgs) -> Result<Status, Failure> {
    let path = &args.bundle;
    let bytes = read(path)?;
    let documents = documents(&bytes);
    let count = documents.len();
    if count > MAX_DOCUMENTS {
        let message = format!("{} holds more bundles than are described at once", quoted(path));
        return Err(Failure::new(Status::Unable, "too-many-bundles", message)
            .expected(format!("at most {MAX_DOCUMENTS}"))
            .found(count.to_string()));
    }
    let mut broken = 0_usize;
    let mut screen = output::Screen::new();
    for (at, (line, document)) in documents.into_iter().enumerate() {
        let described = match document::describe(document, line) {
            Ok(described) => described,
            Err(error) if line.is_some() => {
                broken += 1;
                screen.tell(&not_a_bundle(path, line, &error).to_string())?;
                continue;
            }
            Err(error) => return Err(not_a_bundle(path, line, &error)),
        };
        broken += words::unreadable_parts(&described);
        let text = if args.json {
            format!("{}\n", output::ascii_json(&described.to_compact()))
        } else {
            let head = if line.is_some() { format!("bundle {} of {count}\n", at + 1) } else { String::new() };
            format!("{head}{}\n", words::words(&described))
        };
        screen.data(&text)?;
    }
    if !args.json {
        screen.data("Nothing of this was checked: `sealog verify` does that.\n")?;
    }
    screen.flush()?;
    if broken == 0 {
        return Ok(Status::Done);
    }
    let parts = if broken == 1 { "one part".to_owned() } else { format!("{broken} parts") };
    Err(Failure::new(
        Status::Refused,
        "invalid-bundle",
        format!("{parts} of {} cannot be read", quoted(path)),
    ))
}

/// Reads a bundle from a file.
pub(crate) fn read_bundle(path: &Path) -> Result<Bundle, Failure> {
    Bundle::parse(&read(path)?).map_err(|error| not_a_bundle(path, None, &error))
}

/// The bytes of a bundle's file; of one that is too long enough for the parser to see that it is.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    artifact::read_up_to(path, MAX_BUNDLE_BYTES.saturating_add(1))
}

/// Whether a file is what cosign's `--bundle` wrote up to version 2: a signature, a certificate and an entry.
fn is_cosigns_older_format(path: &Path) -> bool {
    const MEMBER: &[u8] = b"\"base64Signature\"";
    artifact::read_up_to(path, MAX_OLDER_BYTES)
        .is_ok_and(|bytes| bytes.windows(MEMBER.len()).any(|window| window == MEMBER))
}

/// Why a file, or a line of it, is not a bundle.
pub(crate) fn not_a_bundle(path: &Path, line: Option<usize>, error: &BundleError) -> Failure {
    let failure = |message: String| Failure::new(Status::Refused, "invalid-bundle", message);
    let line = line.map(|line| format!("line {line} of ")).unwrap_or_default();
    let name = format!("{line}{}", quoted(path));
    match error {
        _ if path.metadata().is_ok_and(|file| file.is_file() && file.len() == 0) => {
            failure(format!("{name} is empty, so not a bundle"))
        }
        BundleError::UnknownVersion { found } => {
            failure(format!("{name} is a bundle of a version this program does not know"))
                .expected(Version::V03.media_type())
                .found(found.as_str())
                .hint("a newer sealog may know it")
        }
        _ if is_cosigns_older_format(path) => failure(format!("{name} is not a Sigstore bundle: {error}"))
            .hint("it is what cosign wrote before there were bundles; `cosign bundle create` makes a bundle of it"),
        _ => failure(format!("{name} is not a Sigstore bundle: {error}"))
            .hint("bundles are JSON documents, usually named FILE.sigstore.json"),
    }
}
