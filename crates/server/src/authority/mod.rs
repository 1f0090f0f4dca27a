//! An authority: the key that works, the certificates above it up to a self-signed root, and their renewal.
//!
//! A key and its chain are a generation ([`generation`]); the next one is put in place while the current one
//! works, and follows it at a time that was set beforehand ([`work`]). The root's key is best never on this
//! machine: it signs the request that [`renewal`] writes, elsewhere ([`offline`]). `init` makes a root of its
//! own where there is none, for a first hour and for tests.

pub mod command;
pub mod generation;
pub mod offline;
pub mod renewal;
pub mod rules;
mod work;

pub use work::{Authority, Working};

use crate::{instance::Instance, setup::Made};
use generation::Generation;
use sealog_bundle::UnixTime;
use sealog_crypto::{KeyKind, PublicKey, Signer, random_array};
use sealog_pki::{
    Certificate, IssueError, Purpose,
    csr::Asked,
    issue::{AuthorityProfile, Below, Serial, intermediate, self_signed_root, tsa_leaf},
};
use std::sync::Arc;

/// How long an authority made by `init` lasts.
const VALIDITY_SECONDS: i64 = 15 * 365 * 86_400;
/// `check` reminds of a renewal this long before the end.
const REMIND_SECONDS: i64 = 180 * 86_400;

/// What an authority is made of.
#[derive(Clone, Copy)]
pub struct Kind {
    /// The service it is for.
    pub service: &'static str,
    /// Name of the first key that works, and of its chain's file.
    pub key: &'static str,
    /// Name of the root's key where `init` makes one.
    pub root_key: &'static str,
    /// Common name of the certificate below the root.
    pub common_name: &'static str,
    /// Common name of the root.
    pub root_common_name: &'static str,
    /// The working key's kind.
    pub key_kind: KeyKind,
    /// The root key's kind.
    pub root_key_kind: KeyKind,
    /// What it asks to be certified as.
    pub asked: Asked,
    /// What the end of its paths is for.
    pub purpose: Purpose,
    /// Makes the certificate below the root.
    pub issue:
        fn(&AuthorityProfile<'_>, &PublicKey, &Certificate, &dyn Signer) -> Result<Certificate, IssueError>,
}

/// The code signing authority: P-384 twice, one signature family down the chain.
pub const SIGNING: Kind = Kind {
    service: "ca",
    key: "ca",
    root_key: "ca-root",
    common_name: "signing authority",
    root_common_name: "signing root",
    key_kind: KeyKind::EcdsaP384,
    root_key_kind: KeyKind::EcdsaP384,
    asked: Asked::Intermediate(Below::CodeSigning),
    purpose: Purpose::CodeSigning,
    issue: |profile, key, issuer, signer| intermediate(profile, Below::CodeSigning, key, issuer, signer),
};

/// The timestamp authority: P-384 above, P-256 at work, both ECDSA because sigstore-js reads nothing else.
pub const TIMESTAMPING: Kind = Kind {
    service: "tsa",
    key: "tsa",
    root_key: "tsa-root",
    common_name: "timestamp authority",
    root_common_name: "timestamp root",
    key_kind: KeyKind::EcdsaP256,
    root_key_kind: KeyKind::EcdsaP384,
    asked: Asked::TimestampAuthority,
    purpose: Purpose::TimeStamping,
    issue: tsa_leaf,
};

/// A fresh serial number.
///
/// # Errors
/// When no random bytes are to be had.
pub fn serial() -> Result<Serial, sealog_crypto::RandomError> {
    random_array().map(Serial::from_random)
}

/// Makes keys, root and chain where there are none.
///
/// # Errors
/// When a chain has lost its key, a key waits for its chain, or nothing can be made or stored.
pub fn init(instance: &Instance, kind: &Kind) -> anyhow::Result<Made> {
    if instance.keys.path(kind.key, "pem").exists() {
        Authority::open(instance, kind)?;
        return Ok(Made::Existing);
    }
    // An interrupted `init` leaves the root's key, or both; the working one alone waits for its certificate.
    if instance.keys.contains(kind.key) && !instance.keys.contains(kind.root_key) {
        return Err(renewal::RenewalError::WaitsForChain(instance.keys.place(kind.key)).into());
    }
    let root_key = key(instance, kind.root_key, kind.root_key_kind)?;
    let key = key(instance, kind.key, kind.key_kind)?;
    let not_before = instance.valid_from();
    let profile = |common_name| {
        anyhow::Ok(AuthorityProfile {
            organization: &instance.organization,
            common_name,
            serial: serial()?,
            not_before,
            not_after: not_before.saturating_add(VALIDITY_SECONDS),
        })
    };
    let root_cert = self_signed_root(&profile(kind.root_common_name)?, root_key.as_ref())?;
    let below = (kind.issue)(&profile(kind.common_name)?, key.public_key(), &root_cert, root_key.as_ref())?;
    // The chain last: without it the authority does not exist, and `init` goes on where it stopped.
    instance.keys.store_chain(kind.key, &format!("{}{}", below.to_pem(), root_cert.to_pem()))?;
    Ok(Made::New)
}

/// A key, made unless it is there already, left by something that was interrupted.
fn key(instance: &Instance, name: &str, kind: KeyKind) -> anyhow::Result<Arc<dyn Signer>> {
    Ok(match instance.keys.contains(name) {
        true => instance.keys.signer(name)?,
        false => instance.keys.make(name, kind)?,
    })
}

/// Lines for `check`: what is at work, what comes, and what ought to be done about it.
///
/// # Errors
/// When it could not work.
pub fn check(instance: &Instance, kind: &Kind) -> anyhow::Result<Vec<String>> {
    let authority = Authority::open(instance, kind)?;
    let service = kind.service;
    let now = instance.clock.unix_seconds();
    let mut lines = Vec::new();
    let mut last_day = i64::MAX;
    for generation in generation::all(&instance.keys, kind)? {
        let Some(certificate) = generation.chain.first() else { continue };
        let when = if generation.is(&authority.at_work()) {
            String::new()
        } else if generation.starts > now {
            format!(", from {}", UnixTime::from_seconds(generation.starts))
        } else {
            // Superseded: in the trusted root, and nowhere else.
            continue;
        };
        last_day = last_not_after(&generation);
        lines.push(format!(
            "{service:<8} {}certificate \"{}\", {}, valid until {}{when}",
            if when.is_empty() { "" } else { "next: " },
            certificate.common_name().unwrap_or_default(),
            certificate.public_key()?.kind(),
            UnixTime::from_seconds(certificate.validity().1)
        ));
        if generation.chain.len() > 2 {
            let names = generation.chain.iter().skip(1).map(|c| c.common_name().unwrap_or_default());
            lines.push(format!("{service:<8} below {}", names.collect::<Vec<_>>().join(", ")));
        }
    }
    if last_day < now.saturating_add(REMIND_SECONDS) {
        lines.push(format!(
            "{service:<8} its chain ends on {}: renew it with `sealogd authority request`",
            UnixTime::from_seconds(last_day)
        ));
    }
    if instance.keys.path(kind.root_key, "key").exists() {
        lines.push(format!(
            "{service:<8} the root's key is on this machine, and only a renewal needs it: move {} away",
            instance.keys.path(kind.root_key, "key").display()
        ));
    }
    Ok(lines)
}

fn last_not_after(generation: &Generation) -> i64 {
    generation.chain.iter().map(|certificate| certificate.validity().1).min().unwrap_or(i64::MIN)
}
