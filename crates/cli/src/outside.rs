//! What reads bytes from outside, for the fuzzer: as the commands call it.

use crate::{
    inspect::{document, not_a_bundle, words},
    output,
    verify::{bundles::documents, checksums},
};
use sealog_crypto::Digest;
use std::path::{Path, PathBuf};

/// What a list of checksums says of a file.
#[derive(Debug)]
pub struct Listed {
    /// Below the list's directory.
    pub name: PathBuf,
    /// Each by another algorithm.
    pub digests: Vec<Digest>,
}

/// A list of checksums as `sealog verify --checksums` reads it; the refusal's words where it is none.
///
/// # Errors
/// What is wrong with which line.
pub fn checksums(list: &[u8]) -> Result<Vec<Listed>, String> {
    match checksums::parse(list) {
        Ok(listed) => Ok(listed
            .into_iter()
            .map(|one| Listed {
                name: one.name,
                digests: one.digests.into_iter().map(|(_, digest)| digest).collect(),
            })
            .collect()),
        Err(bad) => Err(format!("line {} {}", bad.line, bad.fault)),
    }
}

/// What `sealog inspect` says of a file: for each document its words, and its line of JSON.
#[must_use]
pub fn inspection(file: &[u8]) -> Vec<(String, Option<String>)> {
    let told = |(line, document): (Option<usize>, &[u8])| match document::describe(document, line) {
        Ok(described) => {
            let _ = words::unreadable_parts(&described);
            (words::words(&described), Some(output::ascii_json(&described.to_compact())))
        }
        // Without the colours, which are ours.
        Err(error) => (not_a_bundle(Path::new("file"), line, &error).message, None),
    };
    documents(file).into_iter().map(told).collect()
}
