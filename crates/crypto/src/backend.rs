//! Which library computes: `aws-lc-rs` where it builds, the RustCrypto crates on wasm.
//!
//! One file per library, behind one trait. What can be decided without arithmetic (the form of a key, which
//! key signs with which scheme, which digest a scheme wants) is decided in `key`, once for both, so that a
//! backend only answers yes or no. Both give the same answers; `backend/tests.rs` asks them side by side.

use crate::{Digest, KeyKind, Scheme};

#[cfg(not(target_family = "wasm"))]
pub(crate) mod aws_lc;
pub(crate) mod ed25519;
// Never in a native program: the tests compile it in to compare, with crates that only tests depend on.
#[cfg(any(target_family = "wasm", test))]
pub(crate) mod rust_crypto;
#[cfg(test)]
mod tests;

#[cfg(not(target_family = "wasm"))]
pub(crate) use aws_lc::Key as Chosen;
#[cfg(target_family = "wasm")]
pub(crate) use rust_crypto::Key as Chosen;

/// A public key as one library holds it. Parsed once: that is also the check that it is a key.
pub(crate) trait Backend: Sized {
    /// The key, if the bytes are one. Kind, lengths and form are right already, as far as the kind has them.
    fn parse(kind: KeyKind, spki: &[u8], bits: &[u8]) -> Option<Self>;

    /// Whether the signature is by this key over this message, with a scheme that signs the message itself.
    fn verifies_message(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> bool;

    /// Whether the signature is by this key over the message of that digest, which is the scheme's.
    fn verifies_digest(&self, scheme: Scheme, digest: &Digest, signature: &[u8]) -> bool;
}
