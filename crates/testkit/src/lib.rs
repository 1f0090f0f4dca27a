//! A whole Sigstore in memory, for tests: what every service would do, honest or not, and bundles of every shape.
//!
//! A good bundle is one line, and each hard case a few:
//!
//! ```
//! use sealog_testkit::{Person, Sigstore, Thing, NOW};
//!
//! let mut world = Sigstore::new();
//! let who = Person::new("alice@example.com", sealog_testkit::P256);
//! let signed = world.sign(&who, Thing::File(b"the file"));
//! assert!(world.verify(&signed).is_ok());
//!
//! // The root of the timestamp authority ended before the signature was made.
//! world.tsa.change(2, |root| root.until(NOW - 1));
//! world.relist();
//! let signed = world.sign(&who, Thing::File(b"the file"));
//! assert!(world.verify(&signed).is_err());
//! ```
//!
//! Certificates and timestamp tokens are written here byte by byte and not by `pki`, which refuses to
//! issue what could never verify: this crate must be able to write all of it.
//!
//! Keys follow from labels (RSA, P-521 and ML-DSA keys are drawn once in a process and label);
//! serial numbers are counted. ECDSA signatures are drawn anew. The time is always an argument.
//!
//! For tests with real servers there are [`Reserved`] ports.
//!
//! Only tests may depend on this crate; nothing that is shipped does.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set its stage should stop at once")]

mod authority;
mod ct_log;
pub mod der;
mod entry;
mod log;
mod person;
#[cfg(unix)]
mod reserved;
mod seed;
mod shape;
mod sigstore;
mod template;
mod token;

pub use authority::{Authority, Holder};
pub use ct_log::{CtLog, SctForm};
pub use entry::EntryForm;
pub use log::{Log, LogKind};
pub use person::{Person, Thing, content, set_signature, signature_of, statement};
#[cfg(unix)]
pub use reserved::Reserved;
pub use seed::{key, serial};
pub use shape::{KeyForm, Shape};
pub use sigstore::{Signed, Signer, Sigstore};
pub use template::{Draft, Template, oids};
pub use token::Token;

use sealog_bundle::{UnixTime, ValidFor};
use sealog_crypto::KeyKind;

/// When everything is signed unless a test says otherwise.
pub const NOW: i64 = 1_800_000_000;
/// A day of seconds.
pub const DAY: i64 = 86_400;
/// The OIDC issuer that vouches for people unless a test says otherwise.
pub const ISSUER: &str = "https://accounts.example.com";
/// The usual kind of key.
pub const P256: KeyKind = KeyKind::EcdsaP256;
/// Every kind of key that [`key`] makes.
pub const KEY_KINDS: [KeyKind; 10] = [
    KeyKind::EcdsaP256,
    KeyKind::EcdsaP384,
    KeyKind::EcdsaP521,
    KeyKind::Ed25519,
    KeyKind::Rsa { bits: 2048 },
    KeyKind::Rsa { bits: 3072 },
    KeyKind::Rsa { bits: 4096 },
    KeyKind::MlDsa44,
    KeyKind::MlDsa65,
    KeyKind::MlDsa87,
];

/// The window in which services are trusted unless a test says otherwise: from 50 days before [`NOW`].
#[must_use]
pub const fn usual_window() -> ValidFor {
    ValidFor::from(UnixTime::from_seconds(NOW - 50 * DAY))
}

/// A window of these seconds, both of them in it.
#[must_use]
pub const fn window(from: i64, to: i64) -> ValidFor {
    ValidFor { start: UnixTime::from_seconds(from), end: Some(UnixTime::from_seconds(to)) }
}
