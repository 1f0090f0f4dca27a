//! The signed certificate timestamp of a leaf: made where the log's key is, checked where it is not.
//!
//! Its time and extensions are the leaf's as it is stored: a duplicate is told those of the first time.

use anyhow::ensure;
use sealog_crypto::{PublicKey, Signer};
use sealog_log_engine::Receipt;
use sealog_tlog::ct::{Sct, TileLeaf};

/// The promise for what this receipt is of.
pub(super) fn make(receipt: &Receipt, key: &dyn Signer) -> anyhow::Result<Vec<u8>> {
    Ok(Sct::sign_leaf(&TileLeaf::parse(&receipt.encoded)?, key)?.encode()?)
}

/// Whether it is one, by this log.
pub(super) fn check(receipt: &Receipt, sct: &[u8], key: &PublicKey) -> anyhow::Result<()> {
    let leaf = TileLeaf::parse(&receipt.encoded)?;
    let sct = Sct::parse(sct)?;
    ensure!(sct.timestamp_ms == leaf.timestamp_ms, "the timestamp's time is not the leaf's");
    ensure!(sct.extensions == leaf.extensions, "the timestamp's extensions are not the leaf's");
    ensure!(leaf.index()? == receipt.index, "the leaf says that it stands elsewhere");
    Ok(sct.verify(&leaf.entry.to_owned(), key)?)
}
