//! Encryption of keys at rest under a passphrase: PBKDF2-HMAC-SHA256 (RFC 8018), then AES-256-GCM.
//!
//! One derivation opens every key sealed with the same salt. What is sealed is bound to a label (the
//! file's name), so that two sealed files cannot be exchanged.

use crate::{RandomError, random_array};
use alloc::vec::Vec;
use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    pbkdf2,
};
use core::{fmt, num::NonZeroU32};
use zeroize::Zeroizing;

const NONCE_LEN: usize = 12;

/// A key that seals other keys.
pub struct SealingKey(LessSafeKey);

/// Why sealed bytes cannot be made or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Wrong passphrase, wrong label, or the bytes were changed.
    #[error("the passphrase does not open this, or it was changed")]
    DoesNotOpen,
    /// No random nonce to be had.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The library refused to encrypt.
    #[error("encryption failed")]
    Failed,
}

impl SealingKey {
    /// Derives the key from a passphrase: deliberately slow, some 0.1 s at 600,000 `iterations`.
    ///
    /// # Errors
    /// Only if the library refuses a 32-byte key.
    pub fn derive(passphrase: &[u8], salt: &[u8; 32], iterations: NonZeroU32) -> Result<Self, SealError> {
        let mut key = Zeroizing::new([0u8; 32]);
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, passphrase, key.as_mut());
        let unbound = UnboundKey::new(&AES_256_GCM, key.as_ref()).map_err(|_| SealError::Failed)?;
        Ok(Self(LessSafeKey::new(unbound)))
    }

    /// Encrypts `secret`: 12-byte nonce, ciphertext, 16-byte tag.
    ///
    /// # Errors
    /// When no random nonce is to be had.
    pub fn seal(&self, label: &str, secret: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LEN] = random_array()?;
        let mut inside = Zeroizing::new(secret.to_vec());
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(label.as_bytes()),
                &mut inside,
            )
            .map_err(|_| SealError::Failed)?;
        let mut out = Vec::with_capacity(NONCE_LEN + inside.len() + tag.as_ref().len());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&inside);
        out.extend_from_slice(tag.as_ref());
        Ok(out)
    }

    /// Decrypts what [`seal`](Self::seal) made under the same label.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`] for anything else.
    pub fn open(&self, label: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, inside) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError::DoesNotOpen)?;
        let mut room = Zeroizing::new(inside.to_vec());
        let len = self
            .0
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(label.as_bytes()), &mut room)
            .map_err(|_| SealError::DoesNotOpen)?
            .len();
        room.truncate(len);
        Ok(room)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey")
    }
}
