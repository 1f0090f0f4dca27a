//! `init` and `check`: what is made once, and what would run.
//!
//! `init` makes what is missing and never touches what exists; `run` makes nothing. A log without its key,
//! or a key without its log, is neither: that is a restore gone wrong, and refused.

use crate::{
    ca,
    clock::Clock,
    config::Config,
    ctlog,
    instance::Instance,
    kept::Kept,
    oidc,
    periods::{Period, RUNNING, SEEN},
    rekor, trust, tsa,
};
use anyhow::Context as _;
use sealog_crypto::{KeyKind, Signer};
use std::sync::Arc;

/// Whether a service's keys were made just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// Now.
    New,
    /// Earlier, and left as they were.
    Existing,
}

/// Whether a log is still to be made, from what is there of its key, its place and its memory.
///
/// # Errors
/// When a log has lost its key, or a key its log, or its place cannot be asked.
pub fn state_of_log(instance: &Instance, period: &Period<'_>, kept: &Kept) -> anyhow::Result<Made> {
    let key = period.name;
    let remembered = [SEEN, RUNNING].iter().any(|kind| instance.keys.path(key, kind).exists());
    let place = instance.keys.place(key);
    match (instance.keys.contains(key), kept.exists()?) {
        (true, true) => Ok(Made::Existing),
        // Where others may have made the log, a key that is there already was perhaps brought here to join them; then
        // the store's name is wrong, or the store is. A second log under one key would be a fork.
        (true, false) if kept.is_shared() && !remembered => anyhow::bail!(
            "key {place} is there, and no log in {}: correct `url` and `options` of the store if the log is \
             elsewhere; if an earlier `init` was interrupted before it made the log, remove the key and begin again",
            kept.name()
        ),
        // A key that never signed a checkpoint was left by an `init` that was interrupted.
        (_, false) if !remembered => Ok(Made::New),
        (_, false) => anyhow::bail!(
            "key {place} has signed for a log, but {} does not exist: restore the log from a backup; a new log \
             needs a new name and a new key",
            kept.name()
        ),
        // It is read without.
        (false, true) if period.is_frozen(&instance.clock) => Ok(Made::Existing),
        (false, true) => anyhow::bail!(
            "log {} exists, but its key {place} does not: restore the key from a backup; another key cannot \
             continue the log",
            kept.name(),
        ),
    }
}

/// That a log which another process is the sequencer of is known here: by its public key, and nothing else of it.
///
/// # Errors
/// When its public key is not there.
pub fn log_elsewhere(instance: &Instance, key: &str) -> anyhow::Result<Made> {
    let path = instance.keys.path(key, "pub");
    anyhow::ensure!(
        path.exists(),
        "{} does not exist: copy it from the keys of the log's sequencer",
        path.display()
    );
    instance.keys.public(key)?;
    Ok(Made::Existing)
}

/// A log's key: made now, unless an interrupted `init` made it.
///
/// # Errors
/// When it can be neither made nor loaded.
pub fn key_of_log(instance: &Instance, name: &str, kind: KeyKind) -> anyhow::Result<Arc<dyn Signer>> {
    Ok(match instance.keys.contains(name) {
        true => instance.keys.signer(name)?,
        false => instance.keys.make(name, kind)?,
    })
}

/// Makes the keys, certificates and logs that are missing, then the files for clients.
///
/// # Errors
/// When anything cannot be made; what was made stays, and another `init` goes on from there.
pub fn init(config: &Config, clock: Clock) -> anyhow::Result<Vec<(&'static str, Made)>> {
    let new = !Instance::exists(config);
    let instance = Instance::create(config, clock)?;
    let mut done = Vec::new();
    if let Some(table) = &config.oidc {
        done.push(("oidc", oidc::init(&instance, table).context("making oidc")?));
    }
    // The authority before the log that accepts its root certificate.
    if config.ca.is_some() {
        done.push(("ca", ca::init(&instance).context("making ca")?));
    }
    if let Some(table) = &config.rekor {
        for period in table.periods() {
            let made = rekor::init(&instance, &period).with_context(|| format!("making {}", period.name))?;
            done.push((period.name, made));
        }
    }
    if let Some(table) = &config.ctlog {
        for period in table.periods() {
            let made = ctlog::init(&instance, &period).with_context(|| format!("making {}", period.name))?;
            done.push((period.name, made));
        }
    }
    if config.tsa.is_some() {
        done.push(("tsa", tsa::init(&instance).context("making tsa")?));
    }
    // An instance beside others, whose keys it shares.
    if new && done.iter().all(|(_, made)| *made == Made::Existing) {
        done.push(("data", Made::New));
    }
    trust::write(config, &instance, &config.client_dir()).context("writing the files for clients")?;
    Ok(done)
}

/// One line per fact about what would run, in the order an operator reads them.
///
/// # Errors
/// At the first thing that would keep `run` from starting.
pub fn check(config: &Config, clock: Clock) -> anyhow::Result<Vec<String>> {
    let instance = Instance::inspect(config, clock)?;
    let mut lines = vec![
        format!("data     {}", config.data_dir.display()),
        format!(
            "keys     {} ({})",
            instance.keys.dir().display(),
            if instance.keys.is_plain() { "in plain: not for production" } else { "sealed" }
        ),
        format!("clients  {}", config.client_dir().display()),
    ];
    if let Some(table) = &config.pkcs11 {
        let keys: Vec<String> =
            table.keys.iter().map(|(name, label)| format!("{name} \"{label}\"")).collect();
        lines.push(format!("pkcs11   token \"{}\" with {}", table.token, keys.join(", ")));
    }
    let cloud = config.aws_kms.iter().map(|table| ("aws_kms", &table.keys));
    for (table, ids) in cloud.chain(config.google_kms.iter().map(|table| ("google_kms", &table.keys))) {
        lines.extend(ids.iter().map(|(name, id)| format!("{table:<8} {name} is {id}")));
    }
    let mut say = |name: &str, url: &dyn std::fmt::Display, listen: &dyn std::fmt::Display| {
        lines.push(format!("{name:<8} {url} listening on {listen}"));
    };
    if let Some(table) = &config.oidc {
        say("oidc", &table.url, &table.listen);
    }
    if let Some(table) = &config.ca {
        say("ca", &table.url, &table.listen);
    }
    if let Some(table) = &config.rekor {
        table.periods().iter().for_each(|period| say(period.name, period.url, period.listen));
    }
    if let Some(table) = &config.ctlog {
        table.periods().iter().for_each(|period| say(period.name, period.url, period.listen));
    }
    if let Some(table) = &config.tsa {
        say("tsa", &table.url, &table.listen);
    }
    if let Some(table) = &config.rekor {
        for period in table.periods() {
            let found = rekor::check(&instance, &period);
            lines.extend(found.with_context(|| format!("checking {}", period.name))?);
        }
    }
    if let Some(table) = &config.ctlog {
        for period in table.periods() {
            let found = ctlog::check(&instance, table, &period);
            lines.extend(found.with_context(|| format!("checking {}", period.name))?);
        }
    }
    if let Some(table) = &config.ca {
        lines.extend(ca::check(&instance, table).context("checking ca")?);
    }
    if let Some(table) = &config.oidc {
        let believed = config.ca.as_ref().map(|ca| &ca.issuers);
        lines.extend(oidc::check(&instance, table, believed).context("checking oidc")?);
    }
    if config.tsa.is_some() {
        lines.extend(tsa::check(&instance).context("checking tsa")?);
    }
    Ok(lines)
}

#[cfg(test)]
mod tests;
