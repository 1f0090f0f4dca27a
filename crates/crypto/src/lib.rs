//! Digests, keys and signatures.
//!
//! The only room that names a primitive library. Everything above it speaks of a [`PublicKey`], a
//! [`Scheme`] and a [`Digest`], and asks a [`Signer`] to sign; which library computes the answer is
//! decided here and nowhere else.
//!
//! In scope: hashing, parsing and checking public keys, signing and verifying, encryption of stored
//! keys, random bytes. Not in scope: certificates (`pki`), who may be trusted (`verify`), where keys
//! are stored (`server`).
//!
//! Verification never touches the random generator.

#![no_std]
extern crate alloc;

mod digest;
mod key;
mod random;
mod scheme;
mod seal;
mod signer;

pub use digest::{Digest, DigestError, HashAlgorithm, Hasher, sha256};
pub use key::{KeyError, KeyKind, PublicKey, SignatureError};
pub use random::{RandomError, fill, random_array};
pub use scheme::Scheme;
pub use seal::{SealError, SealingKey};
pub use signer::{PrivateKey, SignError, Signer};
pub use zeroize::{Zeroize, Zeroizing};
