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
//! Verification never touches the random generator. On wasm, verification and digests are all there is:
//! signing, sealing and random bytes are left out.

#![no_std]
extern crate alloc;

mod backend;
mod device;
mod digest;
mod key;
#[cfg(not(target_family = "wasm"))]
mod mac;
#[cfg(not(target_family = "wasm"))]
mod private_key;
#[cfg(not(target_family = "wasm"))]
mod random;
mod scheme;
#[cfg(not(target_family = "wasm"))]
mod seal;
mod signer;

pub use device::ecdsa_signature;
pub use digest::{Digest, DigestError, HashAlgorithm, Hasher, sha256, sha256_of_parts};
pub use key::{KeyError, KeyKind, PublicKey, SignatureError};
#[cfg(not(target_family = "wasm"))]
pub use mac::hmac_sha256;
#[cfg(not(target_family = "wasm"))]
pub use private_key::PrivateKey;
#[cfg(not(target_family = "wasm"))]
pub use random::{RandomError, fill, random_array};
pub use scheme::Scheme;
#[cfg(not(target_family = "wasm"))]
pub use seal::{SealError, SealingKey};
pub use signer::{SignError, Signer};
pub use zeroize::{Zeroize, Zeroizing};
