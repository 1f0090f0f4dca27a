//! The logs of one kind, each for its time: the first, and those that take over from it.
//!
//! A log grows for ever and its key cannot be changed, so that a new one is begun from time to time, with a name, key and
//! URL of its own. It is made ahead by `init` and taken into the trusted root at once; the signing configuration names it
//! from its `start` on. The one before goes on until its `end`; then it takes no more, and is read for ever without its
//! key. None is ever removed from the trusted root.

use crate::{
    clock::Clock,
    config::{Config, Listen, PublicUrl},
    ctlog,
    instance::Instance,
    kept::{Kept, Store},
    keys::KeyStoreError,
    rekor,
    relay::{Listener, Role},
};
use sealog_bundle::{UnixTime, ValidFor};
use sealog_log_engine::{Beside, Settings, nothing_beside};
use sealog_tlog::note::{KeyVerifier, NoteSigner};
use serde::{Deserialize, Deserializer};
use std::{path::PathBuf, sync::Arc};

/// Beside a log's key: the newest checkpoint that it has signed, and a mark while it may have signed more.
pub(crate) const SEEN: &str = "seen";
pub(crate) const RUNNING: &str = "running";

/// Entries waiting to be made durable before newcomers are asked to come back (the peers' default).
const DEFAULT_MAX_PENDING: usize = 4096;
/// Clocks that differ by less agree on whether a log has begun.
const BEGINS_BEFORE_SECONDS: i64 = 300;
/// A signature's timestamp may be a little later than its entry; and clients hold that against the log.
const ENDS_AFTER_SECONDS: i64 = 3600;

/// The tables `[[rekor.shards]]` and `[[ctlog.shards]]`: a log that takes over from the one before it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// The name of its key, its directory and its service: `rekor-…` or `ctlog-…`.
    pub name: Name,
    /// When it takes over.
    pub start: Moment,
    /// When it takes no more.
    pub end: Option<Moment>,
    /// Where it listens.
    pub listen: Listen,
    /// The URL the world knows it by.
    pub url: PublicUrl,
    /// Most entries waiting at once; more are answered 503.
    #[serde(default = "default_max_pending")]
    pub max_pending: usize,
    /// The bucket it is kept in; its directory under `data_dir` unless said.
    pub store: Option<Store>,
    /// What of the log this process does.
    #[serde(default)]
    pub role: Role,
    /// Where front ends of other processes reach its sequencer, if there are any.
    pub sequencer: Option<Listener>,
}

/// The default of `max_pending`.
pub(crate) const fn default_max_pending() -> usize {
    DEFAULT_MAX_PENDING
}

/// The names of a log and of its listener for front ends. They live as long as the process.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    log: &'static str,
    sequencer: &'static str,
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let log = String::deserialize(deserializer)?;
        let sequencer = format!("{log}-sequencer");
        Ok(Self { log: log.leak(), sequencer: sequencer.leak() })
    }
}

/// A point in time, as in `2027-01-01T00:00:00Z`, in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        UnixTime::parse_rfc3339(&text).map(|time| Self(time.seconds())).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` is not a time: expected something like 2027-01-01T00:00:00Z"
            ))
        })
    }
}

/// The logs of a table, in their order: the first has its settings in the table itself, among those of its kind, and its
/// names in the service's `mod.rs`.
macro_rules! periods_of {
    ($table:expr) => {{
        let table = $table;
        let first = $crate::periods::Period {
            name: super::KEY,
            start: None,
            end: table.end,
            listen: &table.listen,
            url: &table.url,
            max_pending: table.max_pending,
            store: table.store.as_ref(),
            role: table.role,
            sequencer: table.sequencer.as_ref(),
            sequencer_name: super::SEQUENCER,
        };
        std::iter::once(first).chain(table.shards.iter().map($crate::periods::Period::from)).collect()
    }};
}
pub(crate) use periods_of;

/// One log and its time.
#[derive(Clone, Copy, Debug)]
pub struct Period<'a> {
    /// Of its key, directory and service.
    pub name: &'static str,
    /// When it takes over from the one before; `None` for the first.
    pub start: Option<Moment>,
    /// When it takes no more.
    pub end: Option<Moment>,
    /// Where it listens.
    pub listen: &'a Listen,
    /// The URL the world knows it by.
    pub url: &'a PublicUrl,
    /// Most entries waiting at once.
    pub max_pending: usize,
    /// The bucket it is kept in.
    pub store: Option<&'a Store>,
    /// What of the log this process does.
    pub role: Role,
    /// Where front ends reach its sequencer.
    pub sequencer: Option<&'a Listener>,
    /// The name of that listener.
    pub sequencer_name: &'static str,
}

impl<'a> From<&'a Shard> for Period<'a> {
    fn from(shard: &'a Shard) -> Self {
        Self {
            name: shard.name.log,
            start: Some(shard.start),
            end: shard.end,
            listen: &shard.listen,
            url: &shard.url,
            max_pending: shard.max_pending,
            store: shard.store.as_ref(),
            role: shard.role,
            sequencer: shard.sequencer.as_ref(),
            sequencer_name: shard.name.sequencer,
        }
    }
}

impl Period<'_> {
    /// Whether it takes no more.
    #[must_use]
    pub fn is_frozen(&self, clock: &Clock) -> bool {
        self.end.is_some_and(|end| end.0 <= clock.unix_seconds())
    }

    /// Where it is kept.
    ///
    /// # Errors
    /// When its table names no store.
    pub fn kept(&self, instance: &Instance) -> anyhow::Result<Kept> {
        Kept::at(instance.dir_of(self.name), self.store, self.sequencer)
    }

    /// How the engine runs it, under this name and key.
    #[must_use]
    pub fn settings(&self, instance: &Instance, origin: &str, signer: Arc<dyn NoteSigner>) -> Settings {
        let seen = instance.keys.path(self.name, SEEN);
        let mut settings = Settings::new(origin, vec![signer], instance.clock.as_fn(), seen);
        settings.max_pending = self.max_pending;
        if let Some(store) = self.store {
            store.set_lease(&mut settings);
        }
        settings
    }

    /// The time for which a trusted root names it.
    #[must_use]
    pub fn valid_for(&self, valid_from: i64) -> ValidFor {
        let start = self.start.map_or(valid_from, |start| start.0.saturating_sub(BEGINS_BEFORE_SECONDS));
        let end = self.end.map(|end| UnixTime::from_seconds(end.0.saturating_add(ENDS_AFTER_SECONDS)));
        ValidFor { start: UnixTime::from_seconds(start), end }
    }
}

/// The one that is to be written to: the last that has begun.
#[must_use]
pub fn at_work<'p, 'a>(periods: &'p [Period<'a>], now: i64) -> Option<&'p Period<'a>> {
    periods.iter().rfind(|period| period.start.is_none_or(|start| start.0 <= now))
}

/// When the next one takes over.
#[must_use]
pub fn next_start(config: &Config, now: i64) -> Option<i64> {
    let tables = config.rekor.iter().flat_map(|table| &table.shards);
    let tables = tables.chain(config.ctlog.iter().flat_map(|table| &table.shards));
    tables.map(|shard| shard.start.0).filter(|start| *start > now).min()
}

/// What is wrong with the logs of a kind, in words.
///
/// # Errors
/// The words.
pub(crate) fn check(
    table: &str,
    periods: &[Period<'_>],
    origin: impl Fn(&Period<'_>) -> String,
) -> Result<(), String> {
    for (n, period) in periods.iter().enumerate() {
        let Period { name, start, end, .. } = period;
        if let Some(part) = (n > 0).then(|| name.strip_prefix(table).and_then(|rest| rest.strip_prefix('-')))
        {
            let plain = |part: &&str| {
                let digits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                !part.is_empty()
                    && !part.ends_with("sequencer")
                    && part.len() <= 32
                    && part.bytes().all(digits)
            };
            if part.filter(plain).is_none() {
                return Err(format!(
                    "[[{table}.shards]]: `name` must be `{table}-` and letters, digits or `-`, not `{name}`"
                ));
            }
        }
        let earlier = periods.get(..n).unwrap_or_default();
        if earlier.iter().any(|other| other.name == *name) {
            return Err(format!("[[{table}.shards]]: two have the name `{name}`"));
        }
        if earlier.iter().any(|other| origin(other) == origin(period)) {
            let origin = origin(period);
            return Err(format!("[[{table}.shards]]: `{name}` and an earlier log have one origin, {origin}"));
        }
        if earlier.last().is_some_and(|before| before.start >= *start) {
            return Err(format!("[[{table}.shards]]: `{name}` must start later than the log before it"));
        }
        if end.is_some() && *end <= *start {
            return Err(format!("[[{table}.shards]]: `{name}` must end after its start"));
        }
        let gap = periods.get(n + 1).is_some_and(|next| end.is_some_and(|end| Some(end) < next.start));
        if gap {
            return Err(format!("[{table}]: `{name}` must not end before the next one starts"));
        }
    }
    Ok(())
}

/// The leaves of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// Of signatures.
    Entries,
    /// Of certificates.
    Certificates,
}

impl Leaves {
    /// What is asked of what stands beside a leaf: all that a log of ours holds, or, of somebody's, what we can judge.
    #[must_use]
    pub fn beside(self, ours: bool) -> Box<Beside<'static>> {
        match self {
            Self::Entries => Box::new(nothing_beside),
            Self::Certificates => Box::new(ctlog::beside(ours)),
        }
    }
}

/// A log as an operator's commands see it: nothing of its private key.
pub struct Described {
    /// Of its key, directory and service.
    pub name: &'static str,
    /// What is in it.
    pub leaves: Leaves,
    /// Its key.
    pub key: KeyVerifier,
    /// Where the newest checkpoint of the key is remembered.
    pub first_seen: PathBuf,
    /// Where it is kept.
    pub kept: Kept,
    /// Whether it takes no more.
    pub frozen: bool,
}

/// The logs of a configuration.
///
/// # Errors
/// When a public key cannot be read, or a table names no store.
pub fn describe(config: &Config, clock: &Clock) -> anyhow::Result<Vec<Described>> {
    let key = |name: &str| -> Result<_, KeyStoreError> { Instance::public_key(config, name) };
    let mut all = Vec::new();
    let mut add = |period: &Period<'_>, leaves, key| {
        all.push(Described {
            name: period.name,
            leaves,
            key,
            first_seen: config.keys_dir().join(format!("{}.{SEEN}", period.name)),
            kept: Kept::at(Instance::log_dir(config, period.name), period.store, None)?,
            frozen: period.is_frozen(clock),
        });
        anyhow::Ok(())
    };
    for period in config.rekor.iter().flat_map(rekor::config::Config::periods) {
        let key = KeyVerifier::for_log(rekor::origin(&period), key(period.name)?)?;
        add(&period, Leaves::Entries, key)?;
    }
    for period in config.ctlog.iter().flat_map(ctlog::config::Config::periods) {
        let key = KeyVerifier::tree_head(ctlog::origin(&period), key(period.name)?)?;
        add(&period, Leaves::Certificates, key)?;
    }
    anyhow::ensure!(!all.is_empty(), "the configuration has no log");
    Ok(all)
}
