//! Entries that are in the log already: found by the index, believed only when the stored entry has the whole key.

use std::sync::Arc;

use sealog_tlog::Leaf;

use crate::error::ReadError;
use crate::index::Index;
use crate::receipt::Receipt;
use crate::view::View;

/// The leaf that holds the entry of this key, among those the index has. Reads bundles only for candidates.
pub(crate) fn find<L: Leaf>(index: &Index, view: &View, key: &[u8; 32]) -> Result<Option<u64>, ReadError> {
    for candidate in index.candidates(key).map_err(ReadError::Index)? {
        let Some(element) = view.element(candidate)? else { continue };
        if L::dedup_key_of(&element).is_ok_and(|found| found == *key) {
            return Ok(Some(candidate));
        }
        // Another entry of the same tag, or this one, damaged: then it would be logged a second time.
        if L::leaf_hash(&element).ok() != view.leaf_hash(candidate)? {
            return Err(view.damaged_bundle(candidate));
        }
    }
    Ok(None)
}

/// The receipt of a leaf logged before, against the view's checkpoint.
///
/// A tile that was damaged since makes a proof that does not verify. That is said, and no reason to stop: new entries
/// are proven from memory, and whoever sends an old one again must not be able to stop the log.
pub(crate) fn receipt<L: Leaf>(view: &Arc<View>, index: u64) -> Result<Receipt, ReadError> {
    let damaged = || view.damaged_proof(index);
    let encoded = view.element(index)?.ok_or_else(damaged)?;
    let proof = view.prove_inclusion(index)?.ok_or_else(damaged)?;
    if !L::leaf_hash(&encoded).is_ok_and(|leaf| proof.verify(&leaf, &view.root()).is_ok()) {
        return Err(damaged());
    }
    Ok(Receipt {
        index,
        time_ms: None,
        encoded,
        duplicate: true,
        proof,
        root: view.root(),
        checkpoint: view.checkpoint().clone(),
    })
}
