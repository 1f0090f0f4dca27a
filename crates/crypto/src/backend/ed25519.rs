//! Ed25519 with `ed25519-dalek`: the check of points, and Ed25519ph, which `aws-lc-rs` does not have.

use crate::Digest;
use ed25519_dalek::{Signature, VerifyingKey};

/// A point that is a key.
pub(crate) struct Point(VerifyingKey);

impl Point {
    /// The key, if the bytes are a point in its only right encoding (RFC 8032 §5.1.3) and not of small
    /// order: under a point of small order anybody can sign anything.
    pub(crate) fn parse(bits: &[u8]) -> Option<Self> {
        let bytes: &[u8; 32] = bits.try_into().ok()?;
        let key = VerifyingKey::from_bytes(bytes).ok()?;
        // Points whose x is zero could be written with either sign; all of them are of small order.
        (is_below_p(bytes) && !key.is_weak()).then_some(Self(key))
    }

    /// Ed25519 over the message itself.
    #[cfg(any(target_family = "wasm", test))]
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        use ed25519_dalek::Verifier as _;
        Signature::from_slice(signature).is_ok_and(|signature| self.0.verify(message, &signature).is_ok())
    }

    /// Ed25519ph over a message's SHA-512.
    pub(crate) fn verifies_prehashed(&self, digest: &Digest, signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| {
            self.0.verify_prehashed(FinishedSha512::from(digest), None, &signature).is_ok()
        })
    }
}

/// Whether the y coordinate, little-endian under the sign bit, is less than p = 2²⁵⁵ − 19.
fn is_below_p([low, middle @ .., high]: &[u8; 32]) -> bool {
    *low < 0xed || high & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

/// A SHA-512 that is already finished, in the shape `ed25519-dalek` asks for.
#[derive(Clone)]
pub(crate) struct FinishedSha512([u8; 64]);

impl From<&Digest> for FinishedSha512 {
    fn from(digest: &Digest) -> Self {
        let mut bytes = [0; 64];
        bytes.iter_mut().zip(digest.as_bytes()).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }
}

impl Default for FinishedSha512 {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl sha2::digest::OutputSizeUser for FinishedSha512 {
    type OutputSize = sha2::digest::consts::U64;
}

impl sha2::digest::Update for FinishedSha512 {
    fn update(&mut self, _: &[u8]) {}
}

impl sha2::digest::FixedOutput for FinishedSha512 {
    fn finalize_into(self, out: &mut sha2::digest::Output<Self>) {
        out.copy_from_slice(&self.0);
    }
}

impl sha2::digest::HashMarker for FinishedSha512 {}
