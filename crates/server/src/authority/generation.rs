//! The generations of an authority on disk: names, chains, and from when each one works.
//!
//! The first is `ca` (`tsa`), the next `ca-2` and so on. `NAME.pem` is the chain, the working certificate
//! first and the root last; `NAME.toml` of every later one says when it starts, and is written last: without
//! it the generation does not exist. All of it is public, and nothing is ever changed or removed: clients
//! need old generations for as long as there are old signatures.

use super::{Kind, Working};
use crate::{files, instance::Instance, keys::KeyStore};
use anyhow::Context as _;
use sealog_bundle::{UnixTime, ValidFor};
use sealog_pki::Certificate;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// More generations than anybody needs; the number ends a loop over files.
const MOST: u32 = 1000;
const MAX_FILE: u64 = 4096;
const FORMAT: u32 = 1;
/// A certificate of the old generation lives for ten minutes after the new one took over, and whoever signs or
/// stamps with it has a clock of their own.
const OLD_ENDS_AFTER_SECONDS: i64 = 3600;
/// Certificates begin some seconds before they are made, by clocks that are not the clients'.
const NEW_BEGINS_BEFORE_SECONDS: i64 = 300;

/// One key's time as the authority, as far as it is public.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Name of the key and the files.
    pub name: String,
    /// The working certificate first, the root last.
    pub chain: Vec<Certificate>,
    /// When it takes over, Unix seconds; the first one was there from the beginning.
    pub starts: i64,
}

impl Generation {
    /// Whether this is what works.
    pub(super) fn is(&self, working: &Working) -> bool {
        self.chain == working.chain
    }
}

/// `NAME.toml`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Start {
    format: u32,
    /// RFC 3339.
    starts: String,
}

/// The name of a generation, counted from 1.
#[must_use]
pub fn name(kind: &Kind, number: u32) -> String {
    match number {
        1 => kind.key.to_owned(),
        _ => format!("{}-{number}", kind.key),
    }
}

/// One generation; none where it was not installed.
///
/// # Errors
/// When its files are damaged.
pub fn read(keys: &KeyStore, kind: &Kind, number: u32) -> anyhow::Result<Option<Generation>> {
    let name = name(kind, number);
    let starts = match number {
        1 if !keys.path(&name, "pem").exists() => return Ok(None),
        1 => i64::MIN,
        _ if !start_path(keys, &name).exists() => return Ok(None),
        _ => read_start(keys, &name)?,
    };
    let path = keys.path(&name, "pem");
    let chain = Certificate::chain_from_pem(&keys.chain(&name)?)
        .with_context(|| format!("reading {}", path.display()))?;
    anyhow::ensure!(!chain.is_empty(), "{} holds no certificate", path.display());
    Ok(Some(Generation { name, chain, starts }))
}

/// Whether a generation was installed: one look at the file system.
pub(super) fn exists(keys: &KeyStore, kind: &Kind, number: u32) -> bool {
    start_path(keys, &name(kind, number)).exists()
}

/// Every generation, the first one first.
///
/// # Errors
/// When there is none, or files are damaged.
pub fn all(keys: &KeyStore, kind: &Kind) -> anyhow::Result<Vec<Generation>> {
    let mut found = Vec::new();
    for number in 1..=MOST {
        match read(keys, kind, number)? {
            Some(generation) => found.push(generation),
            None => break,
        }
    }
    if found.is_empty() {
        // In the words of any other file that is missing.
        keys.chain(kind.key)?;
    }
    Ok(found)
}

/// Every generation with the time in which clients are to believe it: the windows overlap, and close behind
/// those that were superseded.
///
/// # Errors
/// As [`all`].
pub fn windows(instance: &Instance, kind: &Kind) -> anyhow::Result<Vec<(Generation, ValidFor)>> {
    let all = all(&instance.keys, kind)?;
    let ends: Vec<Option<UnixTime>> = all
        .iter()
        .skip(1)
        .map(|next| Some(UnixTime::from_seconds(next.starts.saturating_add(OLD_ENDS_AFTER_SECONDS))))
        .chain([None])
        .collect();
    let windows = all.into_iter().zip(ends).map(|(generation, end)| {
        let start = generation.starts.saturating_sub(NEW_BEGINS_BEFORE_SECONDS).max(instance.valid_from());
        (generation, ValidFor { start: UnixTime::from_seconds(start), end })
    });
    Ok(windows.collect())
}

/// Puts a chain in place as the given generation.
///
/// # Errors
/// When a file cannot be written, or other ones are there.
pub(super) fn store(keys: &KeyStore, kind: &Kind, number: u32, pem: &str, starts: i64) -> anyhow::Result<()> {
    let name = name(kind, number);
    // An interrupted installation left it there.
    if !keys.chain(&name).is_ok_and(|there| there == pem) {
        keys.store_chain(&name, pem)?;
    }
    if number > 1 {
        let start = Start { format: FORMAT, starts: UnixTime::from_seconds(starts).to_string() };
        let path = start_path(keys, &name);
        files::write_new(&path, toml::to_string(&start)?.as_bytes(), files::MODE_PUBLIC)
            .with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

fn read_start(keys: &KeyStore, name: &str) -> anyhow::Result<i64> {
    let path = start_path(keys, name);
    let context = || format!("reading {}", path.display());
    let content = files::read_bounded(&path, MAX_FILE).with_context(context)?;
    let start: Start =
        toml::from_str(std::str::from_utf8(&content).with_context(context)?).with_context(|| {
            format!("{} does not say when the authority's next certificate starts", path.display())
        })?;
    anyhow::ensure!(start.format <= FORMAT, "{} was written by a newer program", path.display());
    let starts = UnixTime::parse_rfc3339(&start.starts)
        .with_context(|| format!("{}: `{}` is not a time", path.display(), start.starts))?;
    Ok(starts.seconds())
}

fn start_path(keys: &KeyStore, name: &str) -> PathBuf {
    keys.path(name, "toml")
}
