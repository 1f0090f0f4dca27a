//! `export`, `import`, `backup`, `restore`: whole logs copied, every byte verified on the way.
//!
//! Private keys are never among what is copied. What the key of a log has signed is remembered beside the key, and decides
//! what may be put back.

use crate::{
    clock::Clock,
    config::Config,
    files,
    fsck::{Http, blocking},
    instance::Instance,
    kept::{Kept, Store},
    periods::{Described, Leaves, describe},
};
use anyhow::Context as _;
use bytes::Bytes;
use sealog_log_engine::{
    Copied, Identity, OpenError, Place, PublicFiles, Restoring, TransferError, back_up, inspect,
    public_files, restore, transfer,
};
use sealog_tlog::{EntryLeaf, Leaf, NoteVerifier as _, SignedCheckpoint, ct::CtLeaf, tile::CHECKPOINT_PATH};
use std::path::{Path, PathBuf};

/// A file with a checkpoint, or a bundle, is shorter.
const MAX_EVIDENCE: u64 = 16 << 20;

/// Which way a log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From where it is kept.
    Out,
    /// To where it is to be kept.
    In,
}

/// A place that is not in the configuration.
#[derive(Debug, clap::Args)]
pub struct Elsewhere {
    /// An option of the store at that URL, such as endpoint=URL or region=NAME; may be repeated
    #[arg(long = "option", value_name = "NAME=VALUE", value_parser = option)]
    options: Vec<(String, String)>,
}

fn option(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// There is no log of that name in the configuration.
#[derive(Debug, thiserror::Error)]
#[error("there is no log `{asked}` in the configuration: it has {has}")]
pub struct UnknownLog {
    asked: String,
    has: String,
}

/// Every log is there.
#[derive(Debug, thiserror::Error)]
#[error("there is a log in each of its places already; nothing was changed")]
pub struct NothingMissing;

/// What was given as the newest checkpoint that others have is none.
#[derive(Debug, thiserror::Error)]
pub enum NotNewest {
    /// Of another log, or something else.
    #[error("there is no checkpoint of {origin} in {given}")]
    Absent {
        /// The name of the log's key.
        origin: String,
        /// The file or URL.
        given: String,
    },
    /// A file that cannot be read.
    #[error("reading {given}")]
    Unread {
        /// The file.
        given: String,
        /// Why.
        source: std::io::Error,
    },
}

fn one_of(logs: Vec<Described>, name: &str) -> Result<Described, UnknownLog> {
    let has = logs.iter().map(|log| log.name).collect::<Vec<_>>().join(", ");
    logs.into_iter().find(|log| log.name == name).ok_or_else(|| UnknownLog { asked: name.to_owned(), has })
}

/// A directory, or the URL of a part of an object store.
fn place_at(text: &str, options: &Elsewhere) -> anyhow::Result<Kept> {
    if !text.contains("://") {
        return Kept::at(PathBuf::from(text), None, None);
    }
    let options = options.options.iter().cloned().collect();
    // Nothing of it is kept on this machine.
    let store = Store { url: text.to_owned(), options, stand_by: false, lease_seconds: None };
    Kept::at(PathBuf::new(), Some(&store), None)
}

/// Copies a log between where the configuration keeps it and another place, where it is a log too.
///
/// # Errors
/// [`TransferError`]; others when a place cannot be used at all.
pub async fn carry(
    config: &Config,
    clock: &Clock,
    name: &str,
    way: Way,
    other: &str,
    options: &Elsewhere,
) -> anyhow::Result<String> {
    let log = one_of(describe(config, clock)?, name)?;
    let there = place_at(other, options)?;
    let (from, to) = match way {
        Way::Out => (&log.kept, &there),
        Way::In => (&there, &log.kept),
    };
    let (from, names) = (from.place.clone(), (from.name(), to.name()));
    to.probe_before_init()?;
    let to = to.place.clone();
    blocking(move || {
        let identity = Identity { key: &log.key, first_seen: &log.first_seen };
        let beside = log.leaves.beside(true);
        let copied = match log.leaves {
            Leaves::Entries => transfer::<EntryLeaf>(&from, &to, &identity, &beside),
            Leaves::Certificates => transfer::<CtLeaf>(&from, &to, &identity, &beside),
        }?;
        let (from, to) = names;
        Ok(format!(
            "{}: {} entries copied from {from} to {to}, {}",
            log.name,
            copied.sound.size,
            written(&copied)
        ))
    })
    .await
}

fn written(copied: &Copied) -> String {
    format!("{} files and {} bytes written", copied.files, copied.bytes)
}

/// Copies what a backup lacks of every log, and the instance's description. Returns a line for each log, and warnings.
///
/// # Errors
/// As [`carry`].
pub async fn backup(config: &Config, clock: &Clock, to: &Path) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let logs = describe(config, clock)?;
    let description = Instance::description(config);
    let to = to.to_owned();
    blocking(move || {
        std::fs::create_dir_all(&to).with_context(|| format!("creating {}", to.display()))?;
        copy_file(&description, &to)?;
        let (mut lines, mut warnings) = (Vec::new(), Vec::new());
        for log in &logs {
            let copied = match log.leaves {
                Leaves::Entries => back_up_log::<EntryLeaf>(log, &to, &mut warnings),
                Leaves::Certificates => back_up_log::<CtLeaf>(log, &to, &mut warnings),
            };
            let copied = copied.with_context(|| format!("backing up {}", log.name))?;
            let (size, before) = (copied.sound.size, copied.before);
            lines.push(format!(
                "{}: {size} entries, {before} of them before, {}",
                log.name,
                written(&copied)
            ));
        }
        Ok((lines, warnings))
    })
    .await
}

fn back_up_log<L: Leaf>(
    log: &Described,
    to: &Path,
    warnings: &mut Vec<String>,
) -> Result<Copied, TransferError> {
    // Only where nobody runs it, something may be committed that will not be published in a moment.
    let identity = Identity { key: &log.key, first_seen: &log.first_seen };
    if let Ok(inspected) = inspect::<L>(&log.kept.place, &identity, false)
        && !inspected.all_published
    {
        warnings.push(format!(
            "{}: {} entries are committed, but only {} published, and no more are in the backup: run the log, stop \
             it, and back up again",
            log.name,
            inspected.view.size(),
            inspected.published.unwrap_or_default()
        ));
    }
    let files = public_files(&log.kept.place);
    back_up::<L>(files.as_ref(), &to.join(log.name), &log.key, &log.leaves.beside(true))
}

/// Copies a small file that never changes, if it is not there.
fn copy_file(from: &Path, to: &Path) -> anyhow::Result<()> {
    const MAX: u64 = 64 * 1024;
    let to = to.join(from.file_name().unwrap_or_default());
    if !to.exists() {
        let content =
            files::read_bounded(from, MAX).with_context(|| format!("reading {}", from.display()))?;
        files::write_new(&to, &content, files::MODE_PUBLIC)
            .with_context(|| format!("writing {}", to.display()))?;
    }
    Ok(())
}

/// The checkpoints that others have of a log: of a log at a URL, or in a file, which may be a bundle too.
fn found_elsewhere(
    given: &[(String, Option<Http>)],
    log: &Described,
) -> anyhow::Result<Vec<(String, Bytes)>> {
    let mut found = Vec::new();
    for (name, at) in given {
        let absent = || NotNewest::Absent { origin: log.key.name().to_owned(), given: name.clone() };
        let content = match at {
            Some(at) => {
                let read =
                    at.read(&[CHECKPOINT_PATH.to_owned()]).with_context(|| format!("reading {name}"))?;
                read.into_iter().next().flatten().with_context(absent)?
            }
            None => files::read_bounded(Path::new(name), MAX_EVIDENCE)
                .map_err(|source| NotNewest::Unread { given: name.clone(), source })?
                .into(),
        };
        let checkpoints = checkpoints_in(content, log.key.name());
        let are_some = checkpoints.iter().all(|bytes| SignedCheckpoint::parse(bytes).is_ok());
        anyhow::ensure!(are_some && !checkpoints.is_empty(), absent());
        found.extend(checkpoints.into_iter().map(|bytes| (name.clone(), bytes)));
    }
    Ok(found)
}

/// A file with a checkpoint is one; in a bundle there is one with each entry.
fn checkpoints_in(content: Bytes, origin: &str) -> Vec<Bytes> {
    let Ok(bundle) = serde_json::from_slice::<serde_json::Value>(&content) else {
        return vec![content];
    };
    let entries = bundle.pointer("/verificationMaterial/tlogEntries").and_then(|entries| entries.as_array());
    let checkpoints = entries.into_iter().flatten().filter_map(|entry| {
        let text = entry.pointer("/inclusionProof/checkpoint/envelope")?.as_str()?;
        (text.lines().next() == Some(origin)).then(|| Bytes::copy_from_slice(text.as_bytes()))
    });
    checkpoints.collect()
}

/// Puts logs back from a backup: one of them, or all that are not there. Returns a line for each. What others have as the
/// newest checkpoints of the one says whether the backup is the whole log, where the key's own memory may not.
///
/// # Errors
/// As [`carry`].
pub async fn put_back(
    config: &Config,
    clock: &Clock,
    from: &str,
    only: Option<&str>,
    newest: &[String],
) -> anyhow::Result<Vec<String>> {
    let mut logs = describe(config, clock)?;
    if let Some(name) = only {
        logs = vec![one_of(logs, name)?];
    }
    let mirror = from.contains("://").then(|| Http::new(from)).transpose()?;
    anyhow::ensure!(mirror.is_none() || only.is_some(), "a URL is one log's: say with --log which");
    let newest = newest.iter().map(|given| {
        let url = given.contains("://").then(|| given.strip_suffix("/checkpoint").unwrap_or(given));
        Ok((given.clone(), url.map(Http::new).transpose()?))
    });
    let newest = newest.collect::<anyhow::Result<Vec<_>>>()?;
    let (data, description) = (config.data_dir.clone(), Instance::description(config));
    let from = PathBuf::from(from);
    blocking(move || {
        let mut lines = Vec::new();
        let mut done = 0;
        for log in &logs {
            let there = log.kept.place.has_log();
            if there.with_context(|| format!("looking for a log in {}", log.kept.name()))? {
                lines.push(format!("{}: there is a log in {}, left untouched", log.name, log.kept.name()));
                continue;
            }
            if !description.exists() && mirror.is_none() {
                files::create_secret_dir(&data).with_context(|| format!("creating {}", data.display()))?;
                let saved = from.join(description.file_name().unwrap_or_default());
                copy_file(&saved, &data)?;
            }
            log.kept.probe_before_init()?;
            let saved = public_files(&Place::from(&from.join(log.name)));
            let saved: &dyn PublicFiles = match &mirror {
                Some(mirror) => mirror,
                None => saved.as_ref(),
            };
            let (newest, beside) = (found_elsewhere(&newest, log)?, log.leaves.beside(true));
            let identity = Identity { key: &log.key, first_seen: &log.first_seen };
            let with = Restoring { identity, frozen: log.frozen, newest: &newest, beside: &beside };
            let copied = match log.leaves {
                Leaves::Entries => restore::<EntryLeaf>(saved, &log.kept.place, &with),
                Leaves::Certificates => restore::<CtLeaf>(saved, &log.kept.place, &with),
            };
            let copied = copied.with_context(|| format!("restoring {}", log.name))?;
            let (size, place) = (copied.sound.size, log.kept.name());
            lines.push(format!("{}: {size} entries put back to {place}, {}", log.name, written(&copied)));
            done += 1;
        }
        if done == 0 {
            return Err(NothingMissing.into());
        }
        Ok(lines)
    })
    .await
}

/// What to do about it.
#[must_use]
pub fn hint(error: &TransferError) -> Option<&'static str> {
    match error {
        TransferError::Older { .. } => Some(
            "bring a newer backup or mirror. If the newest entries are lost for good, the log must not go on under this \
             key: set its `end` to the present time, restore it so, and begin a new one with [[…shards]]: \
             docs/operations/logs.md",
        ),
        TransferError::Unremembered { .. } => Some(
            "give the newest checkpoint that anybody has of this log (a mirror, a monitor, somebody's bundle) with \
             --log NAME --newest-checkpoint FILE|URL",
        ),
        TransferError::NewestTooOld { .. } | TransferError::Unsure { .. } => Some(
            "if that place is still there, start the log there and stop it once. If it is lost, ask everybody who reads \
             the log (mirrors, monitors, the newest bundles) for the newest checkpoint, and put the newest copy back by \
             `sealogd restore` with --log NAME and a --newest-checkpoint FILE|URL for each: docs/operations/logs.md",
        ),
        TransferError::Ahead { .. } => {
            Some("the log went back, or the backup is another one's: keep both, and look with `sealogd fsck`")
        }
        TransferError::Open(error) => match error {
            OpenError::AlreadyExists { .. } => {
                Some("nothing is copied over a log: give another place, or rename the one that is there")
            }
            OpenError::NotEmpty { .. } => Some("give an empty or new place"),
            error => error.hint(),
        },
        _ => Some("nothing was changed; keep a copy before anything is repaired"),
    }
}
