//! The `[ctlog]` table.

use crate::{
    config::{Listen, PublicUrl},
    kept::Store,
    relay::{Listener, Role},
};
use serde::Deserialize;
use std::path::PathBuf;

/// Submissions waiting to be made durable before newcomers are asked to come back.
const DEFAULT_MAX_PENDING: usize = 4096;

/// Settings of the log of certificates.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens.
    pub listen: Listen,
    /// The URL the world knows it by; without its scheme it is the checkpoint origin.
    pub url: PublicUrl,
    /// PEM files of root certificates accepted besides our own authority's.
    #[serde(default)]
    pub roots: Vec<PathBuf>,
    /// Most submissions waiting at once; more are answered 503.
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

fn default_max_pending() -> usize {
    DEFAULT_MAX_PENDING
}
