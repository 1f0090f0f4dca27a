//! The bundles of one artifact: where they are looked for, and how a file that holds several is read.
//!
//! Collected here, judged elsewhere. A document that is no bundle is collected too: whether that matters
//! depends on what the others are worth.

use crate::{
    artifact,
    failure::{Failure, Status, quoted},
    inspect, output,
};
use sealog_bundle::{Bundle, BundleError, bundle::MAX_BUNDLE_BYTES, json::Value};
use sealog_verify::MAX_BUNDLES;
use std::path::{Path, PathBuf};

/// What a bundle's name adds to its file's, in the order in which they are looked for. The last one holds a
/// bundle on each line.
const SUFFIXES: [&str; 3] = [".sigstore.json", ".sigstore", ".sigstore.jsonl"];

/// A document that should be a bundle, and where it was.
#[derive(Debug)]
pub(crate) struct Found {
    /// The file.
    pub(crate) path: PathBuf,
    /// The line, in a file of several.
    pub(crate) line: Option<usize>,
    /// The bundle, or why it is none.
    pub(crate) bundle: Result<Bundle, BundleError>,
}

/// The bundles in the files that were named. At least one document.
pub(crate) fn named(paths: &[PathBuf]) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        read(path, &mut found)?;
    }
    Ok(found)
}

/// The bundles beside a file, which itself need not be there. At least one document.
pub(crate) fn beside(artifact: &Path) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    for place in places(artifact).iter().filter(|place| place.exists()) {
        // Nobody named it: a pipe that happens to have the name would be waited for without end.
        artifact::check_is_file(place)?;
        read(place, &mut found)?;
    }
    if found.is_empty() {
        return Err(none(artifact));
    }
    Ok(found)
}

/// The file whose bundle has this name, if it is a bundle's name.
pub(crate) fn artifact_of(bundle: &Path) -> Option<PathBuf> {
    let name = bundle.file_name()?.as_encoded_bytes();
    let suffix =
        SUFFIXES.iter().find(|suffix| name.len() > suffix.len() && name.ends_with(suffix.as_bytes()))?;
    Some(bundle.with_file_name(without(bundle.file_name()?, suffix)?))
}

#[cfg(unix)]
fn without(name: &std::ffi::OsStr, suffix: &str) -> Option<std::ffi::OsString> {
    use std::os::unix::ffi::OsStrExt as _;
    let stem = name.as_bytes().strip_suffix(suffix.as_bytes())?;
    Some(std::ffi::OsStr::from_bytes(stem).to_owned())
}

#[cfg(not(unix))]
fn without(name: &std::ffi::OsStr, suffix: &str) -> Option<std::ffi::OsString> {
    Some(name.to_str()?.strip_suffix(suffix)?.into())
}

fn places(artifact: &Path) -> [PathBuf; 3] {
    SUFFIXES.map(|suffix| output::beside(artifact, suffix))
}

fn none(artifact: &Path) -> Failure {
    let name = quoted(artifact);
    if artifact::is_standard_input(artifact) {
        return Failure::usage("standard input has no bundle beside it")
            .hint("give the bundle with --bundle");
    }
    // A file that is not there has no bundle for that reason.
    if let Err(failure) = artifact::check_readable(artifact) {
        return failure;
    }
    let [first, second, third] = places(artifact).map(|place| quoted(&place));
    Failure::unable("no-bundle", format!("there is no bundle for {name}"))
        .expected(format!("{first}, {second} or {third}"))
        .found("none of them")
        .hint("give the bundle with --bundle if it is elsewhere; without one the file is not signed")
}

fn read(path: &Path, found: &mut Vec<Found>) -> Result<(), Failure> {
    let bytes = inspect::read(path)?;
    for (line, document) in documents(&bytes) {
        if found.len() >= MAX_BUNDLES {
            let message = format!("{} holds more bundles than are judged for one file", quoted(path));
            return Err(Failure::new(Status::Unable, "too-many-bundles", message)
                .expected(format!("at most {MAX_BUNDLES}")));
        }
        found.push(Found { path: path.to_owned(), line, bundle: Bundle::parse(document) });
    }
    Ok(())
}

/// The documents in a bundle's file: one on each line when the first line is one by itself and more follow,
/// else the whole. Never empty.
pub(crate) fn documents(bytes: &[u8]) -> Vec<(Option<usize>, &[u8])> {
    let lines = || {
        let numbered = bytes.split(|byte| *byte == b'\n').zip(1..);
        numbered.filter(|(line, _)| !line.trim_ascii().is_empty()).map(|(line, number)| (Some(number), line))
    };
    let mut first = lines();
    match (first.next(), first.next()) {
        (Some((_, line)), Some(_)) if Value::parse(line, MAX_BUNDLE_BYTES).is_ok() => lines().collect(),
        _ => vec![(None, bytes)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_documents_are_told_from_one_on_several_lines() {
        let split = |text: &'static str| -> Vec<(Option<usize>, &str)> {
            let documents = documents(text.as_bytes()).into_iter();
            documents.map(|(line, text)| (line, std::str::from_utf8(text).unwrap())).collect()
        };
        for whole in ["", "\n\n", "{}", "{}\n", "{\n}\n", "x\n{}\n"] {
            assert_eq!(split(whole), [(None, whole)], "{whole:?}");
        }
        assert_eq!(split("{}\n{}"), [(Some(1), "{}"), (Some(2), "{}")]);
        assert_eq!(split("\n{}\r\n \nx\n"), [(Some(2), "{}\r"), (Some(4), "x")]);
    }

    #[test]
    fn a_bundles_name_says_whose_it_is() {
        let of = |name: &str| artifact_of(Path::new(name)).map(|path| path.display().to_string());
        assert_eq!(of("d/a.txt.sigstore.json").as_deref(), Some("d/a.txt"));
        assert_eq!(of("a.sigstore").as_deref(), Some("a"));
        assert_eq!(of("a.sigstore.jsonl").as_deref(), Some("a"));
        assert_eq!(of("a.sigstore.json.sigstore").as_deref(), Some("a.sigstore.json"));
        for name in ["a.txt", ".sigstore", ".sigstore.json", "sigstore.json", "a.SIGSTORE", "a.sigstore.txt"]
        {
            assert_eq!(of(name), None, "{name}");
        }
    }
}
