//! X.509 as bytes: certificates, chains, extensions, SCTs and RFC 3161 timestamps.
//!
//! In scope: parsing and issuing certificates (RFC 5280), requests for them (PKCS#10), the path from
//! a leaf to an anchor, the Fulcio extensions, embedded SCTs (RFC 6962) and timestamp requests,
//! responses and tokens (RFC 3161). Not in scope: which anchors are trusted and when (`verify`), how a
//! token becomes a certificate's names (`identity`), where CA keys live (`server`).
//!
//! Must always hold: whatever a signature covers is kept and checked as the bytes that arrived, never
//! as a re-encoding of what was understood. Every input is bounded, nothing here panics, and the
//! present time is always an argument.

#![no_std]
extern crate alloc;

mod algorithm;
mod asn1;
pub mod certificate;
pub mod chain;
pub mod csr;
mod extension;
pub mod fulcio_extensions;
pub mod issue;
mod name;
mod oids;
mod pem;
mod san;
pub mod sct;
pub mod timestamp;

pub use asn1::DerError;
pub use certificate::{Certificate, CertificateError};
pub use chain::{ChainError, Path, Purpose, TrustedChain, verify_chain};
pub use const_oid::ObjectIdentifier;
pub use csr::{Csr, CsrError};
pub use extension::{BasicConstraints, Extension, KeyUsage};
pub use fulcio_extensions::{ExtensionValues, FulcioExtension};
pub use issue::{IssueError, LeafProfile, Precert, Serial};
pub use pem::PemError;
pub use san::San;

#[cfg(test)]
extern crate std;
#[cfg(test)]
mod testing;
