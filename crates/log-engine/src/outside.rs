//! What reads bytes from outside, for the fuzzer: as the log calls it.

use crate::bucket::head::Head;

/// A `head` as it is read from a bucket, written again; the refusal's words where it is none.
///
/// # Errors
/// What is wrong with it.
pub fn head(bytes: &[u8]) -> Result<Vec<u8>, String> {
    match Head::parse(bytes) {
        Ok(head) => Ok(head.encode()),
        Err(error) => Err(error.to_string()),
    }
}
