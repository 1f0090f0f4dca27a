//! Sigstore documents: what they hold, how they are read, how they are written.
//!
//! In scope: the bundle, DSSE envelopes, in-toto statements, log entries (as submitted, as stored and
//! as answered), the trusted root, the signing config. Documents are read strictly: unknown and
//! repeated fields are refused, sizes and depths are bounded, see [`json`].
//!
//! Not in scope: whether any of it is true. Signatures, proofs, certificates and policy are weighed in
//! `verify`; which entries a log takes in is decided here ([`admission`]) because it needs nothing else.

#![no_std]
extern crate alloc;

pub mod admission;
pub mod bundle;
pub mod client_trust_config;
pub mod dsse;
pub mod entry;
pub mod json;
pub mod key_details;
pub mod log_entry;
pub mod request;
pub mod signing_config;
pub mod statement;
pub mod time;
pub mod trusted_root;

pub use bundle::{
    Bundle, BundleError, Content, KeyMaterial, MessageSignature, VerificationMaterial, Version,
};
pub use client_trust_config::ClientTrustConfig;
pub use dsse::Envelope;
pub use entry::{EntryBody, EntryError, HashedRekord, Verifier};
pub use json::JsonError;
pub use key_details::KeyDetails;
pub use log_entry::{Answers, InclusionProof, KindVersion, TransparencyLogEntry};
pub use request::CreateEntryRequest;
pub use signing_config::SigningConfig;
pub use statement::Statement;
pub use time::UnixTime;
pub use trusted_root::{CertificateAuthority, TransparencyLog, TrustedRoot, ValidFor};
