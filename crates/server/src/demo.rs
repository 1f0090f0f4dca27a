//! `sealogd demo`: the whole journey in a temporary directory.

use std::path::Path;

/// Some step of the demonstration went otherwise than it must.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotAsItMustBe(pub String);

/// Runs the demonstration on `file`, or on the README.
///
/// # Errors
/// When anything is not as it must be.
#[expect(clippy::unused_async, reason = "its steps will wait for services")]
pub async fn run(_file: Option<&Path>) -> anyhow::Result<()> {
    anyhow::bail!("the demonstration is not part of this build")
}
