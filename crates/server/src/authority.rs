//! An authority's two certificates, a self-signed root and what stands below it: made once, loaded at
//! every start.
//!
//! The root's private key is used by `init` alone; an operator may move it away afterwards.

use crate::{instance::Instance, setup::Made};
use anyhow::Context as _;
use sealog_crypto::{KeyKind, PublicKey, Signer, random_array};
use sealog_pki::{
    Certificate, IssueError,
    issue::{AuthorityProfile, Below, Serial, intermediate, self_signed_root, tsa_leaf},
};
use std::sync::Arc;

/// How long an authority lasts.
const VALIDITY_SECONDS: i64 = 15 * 365 * 86_400;

/// What an authority is made of.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Name of the key that works, and of the chain's file.
    pub key: &'static str,
    /// Name of the root's key.
    pub root_key: &'static str,
    /// Common name of the certificate below the root.
    pub common_name: &'static str,
    /// Common name of the root.
    pub root_common_name: &'static str,
    /// The working key's kind.
    pub key_kind: KeyKind,
    /// The root key's kind.
    pub root_key_kind: KeyKind,
    /// Makes the certificate below the root.
    pub issue:
        fn(&AuthorityProfile<'_>, &PublicKey, &Certificate, &dyn Signer) -> Result<Certificate, IssueError>,
}

/// The code signing authority: P-384 twice, one signature family down the chain.
pub const SIGNING: Kind = Kind {
    key: "ca",
    root_key: "ca-root",
    common_name: "signing authority",
    root_common_name: "signing root",
    key_kind: KeyKind::EcdsaP384,
    root_key_kind: KeyKind::EcdsaP384,
    issue: |profile, key, issuer, signer| intermediate(profile, Below::CodeSigning, key, issuer, signer),
};

/// The timestamp authority: P-384 above, P-256 at work, both ECDSA because sigstore-js reads nothing else.
pub const TIMESTAMPING: Kind = Kind {
    key: "tsa",
    root_key: "tsa-root",
    common_name: "timestamp authority",
    root_common_name: "timestamp root",
    key_kind: KeyKind::EcdsaP256,
    root_key_kind: KeyKind::EcdsaP384,
    issue: tsa_leaf,
};

/// A fresh serial number.
///
/// # Errors
/// When no random bytes are to be had.
pub fn serial() -> Result<Serial, sealog_crypto::RandomError> {
    random_array().map(Serial::from_random)
}

/// Makes keys and chain where there are none.
///
/// # Errors
/// When a chain has lost its key, or nothing can be made or stored.
pub fn init(instance: &Instance, kind: &Kind) -> anyhow::Result<Made> {
    let chain = instance.keys.path(kind.key, "pem");
    if chain.exists() {
        load(instance, kind)?;
        return Ok(Made::Existing);
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

/// The working key and its chain, root last.
///
/// # Errors
/// When they are missing or do not belong together.
pub fn load(instance: &Instance, kind: &Kind) -> anyhow::Result<(Arc<dyn Signer>, Vec<Certificate>)> {
    let key = instance.keys.signer(kind.key)?;
    let chain = chain(instance, kind)?;
    let path = instance.keys.path(kind.key, "pem");
    let Some(first) = chain.first() else { anyhow::bail!("{} holds no certificate", path.display()) };
    if first.spki_der() != key.public_key().spki_der() {
        anyhow::bail!(
            "the first certificate in {} is not for the key {}",
            path.display(),
            instance.keys.place(kind.key)
        );
    }
    for (below, above) in chain.iter().zip(chain.iter().skip(1)) {
        below
            .verify_signed_by(above)
            .with_context(|| format!("the certificates in {} are not a chain", path.display()))?;
    }
    Ok((key, chain))
}

/// The chain alone, root last: public.
///
/// # Errors
/// When it is missing or damaged.
pub fn chain(instance: &Instance, kind: &Kind) -> anyhow::Result<Vec<Certificate>> {
    let pem = instance.keys.chain(kind.key)?;
    Certificate::chain_from_pem(&pem)
        .with_context(|| format!("reading {}", instance.keys.path(kind.key, "pem").display()))
}

fn key(instance: &Instance, name: &str, kind: KeyKind) -> anyhow::Result<Arc<dyn Signer>> {
    Ok(match instance.keys.contains(name) {
        // Left by an `init` that was interrupted before there was a chain.
        true => instance.keys.signer(name)?,
        false => instance.keys.make(name, kind)?,
    })
}

/// Lines for `check`: the working certificate's name, key and last day.
#[must_use]
pub fn describe(service: &str, key: &dyn Signer, chain: &[Certificate]) -> Vec<String> {
    chain
        .first()
        .map(|certificate| {
            let (_, not_after) = certificate.validity();
            format!(
                "{service:<8} certificate \"{}\", {}, valid until {}",
                certificate.common_name().unwrap_or_default(),
                key.public_key().kind(),
                sealog_bundle::UnixTime::from_seconds(not_after)
            )
        })
        .into_iter()
        .collect()
}
