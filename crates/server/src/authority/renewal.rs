//! A new key and its chain beside the ones at work: asked for, checked, put in place.
//!
//! `request` makes the key where the configuration says that keys live, and the PKCS#10 request for it;
//! whoever holds the key above signs that elsewhere; `install` takes the chain. Both may be done while
//! `sealogd run` is at work on the same directory: they add files and change none.

use super::{
    Kind,
    generation::{self, name},
    rules::{self, ChainRule},
};
use crate::{instance::Instance, keys::KeyStoreError};
use sealog_bundle::UnixTime;
use sealog_crypto::{PrivateKey, PublicKey};
use sealog_pki::{Certificate, CertificateError, Csr, csr::BuildCsrError};

/// How long clients have, unless said otherwise, to fetch the trusted root that names a new chain.
pub const NOTICE_SECONDS: i64 = 7 * 86_400;

/// Why there is no request or no new chain.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// `init` found the key of a request.
    #[error("the key {0} waits for its certificate chain")]
    WaitsForChain(String),
    /// No request was made, and no key was given.
    #[error("there is no key {0} for this chain")]
    NoKey(String),
    /// A key for a name that has one.
    #[error("the key {0} exists already, so none is taken from a file")]
    KeyExists(String),
    /// A file with a private key for a name that lives elsewhere.
    #[error("the configuration says that this key is {0}: import it there with that place's own tools")]
    KeyElsewhere(String),
    /// The chain breaks a rule.
    #[error("this chain cannot be put to work; nothing was changed")]
    Chain(#[from] ChainRule),
    /// Not certificates.
    #[error("the chain cannot be read")]
    Certificates(#[from] CertificateError),
    /// A key that is at work already.
    #[error("this chain is for the key of {0}: a renewal needs a new key")]
    SameKey(String),
    /// A start that has passed, or comes before another one.
    #[error("it would start at {found}, which must be after {after}")]
    Start {
        /// Asked for.
        found: UnixTime,
        /// The earliest.
        after: UnixTime,
    },
    /// The first chain starts when it is installed.
    #[error(
        "this is the authority's first chain, which works from the beginning: --starts is for its successors"
    )]
    FirstStarts,
    /// No request could be written.
    #[error(transparent)]
    Request(#[from] BuildCsrError),
    /// The key store refuses.
    #[error(transparent)]
    Keys(#[from] KeyStoreError),
}

impl RenewalError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::WaitsForChain(_) => {
                "put it in place with `sealogd authority install`, see docs/operations/authority.md"
            }
            Self::NoKey(_) => "make it with `sealogd authority request`, or bring it with --key",
            Self::KeyExists(_) => "leave --key out, or have this chain's request signed anew",
            Self::SameKey(_) => "start with `sealogd authority request`",
            Self::Chain(_) | Self::Certificates(_) => {
                "one PEM file: the certificate of the working key first, each one's issuer after it, the root last"
            }
            Self::Start { .. } => "give --starts as 2027-01-31T12:00:00Z",
            _ => return None,
        })
    }
}

/// A request, and the key it is for.
pub struct Request {
    /// PKCS#10 in PEM.
    pub pem: String,
    /// The key's name.
    pub name: String,
    /// Where it lives.
    pub place: String,
    /// What it verifies with: to be compared where the request is signed.
    pub public_key: PublicKey,
}

/// Makes the next generation's key, unless it is there already, and a request for it.
///
/// # Errors
/// When neither can be made.
pub fn request(instance: &Instance, kind: &Kind) -> anyhow::Result<Request> {
    let name = name(kind, next(instance, kind)?);
    let key = super::key(instance, &name, kind.key_kind)?;
    let der = Csr::build_for_authority(&instance.organization, kind.common_name, kind.asked, key.as_ref())
        .map_err(RenewalError::from)?;
    Ok(Request {
        pem: Csr::pem_of(&der),
        place: instance.keys.place(&name),
        name,
        public_key: key.public_key().clone(),
    })
}

/// What was installed.
pub struct Installed {
    /// Name of its key and files.
    pub name: String,
    /// When it starts; none for the first.
    pub starts: Option<UnixTime>,
}

/// Checks a chain and puts it in place; with `key`, that private key as well. The first chain works from now on,
/// a later one from `starts` on.
///
/// # Errors
/// See [`RenewalError`]; nothing is changed then, but that a key in a token or file was taken in.
pub fn install(
    instance: &Instance,
    kind: &Kind,
    pem: &str,
    key: Option<&PrivateKey>,
    starts: Option<UnixTime>,
) -> anyhow::Result<Installed> {
    let number = next(instance, kind)?;
    let name = name(kind, number);
    let keys = &instance.keys;
    let now = instance.clock.unix_seconds();
    let earlier = if number == 1 { Vec::new() } else { generation::all(&instance.keys, kind)? };
    let starts = match (starts, earlier.last()) {
        (None, None) => now,
        (Some(_), None) => return Err(RenewalError::FirstStarts.into()),
        (asked, Some(last)) => {
            let found = asked.map_or_else(|| now.saturating_add(NOTICE_SECONDS), UnixTime::seconds);
            let after = now.max(last.starts);
            if found < after {
                let [found, after] = [found, after].map(UnixTime::from_seconds);
                return Err(RenewalError::Start { found, after }.into());
            }
            found
        }
    };
    let chain = Certificate::chain_from_pem(pem).map_err(RenewalError::from)?;
    let same = |generation: &&generation::Generation| {
        chain
            .first()
            .is_some_and(|new| generation.chain.first().is_some_and(|c| c.spki_der() == new.spki_der()))
    };
    if let Some(old) = earlier.iter().find(same) {
        return Err(RenewalError::SameKey(old.name.clone()).into());
    }
    // Every rule before anything is written.
    let place = keys.place(&name);
    match (key, keys.contains(&name)) {
        (Some(_), true) => return Err(RenewalError::KeyExists(place).into()),
        (Some(_), false) if keys.is_elsewhere(&name) => return Err(RenewalError::KeyElsewhere(place).into()),
        (Some(key), false) => {
            rules::check(kind, key, &place, &chain, starts).map_err(RenewalError::from)?;
            keys.import(&name, key)?;
        }
        (None, true) => {
            let key = keys.signer(&name)?;
            rules::check(kind, key.as_ref(), &place, &chain, starts).map_err(RenewalError::from)?;
        }
        (None, false) => return Err(RenewalError::NoKey(place).into()),
    }
    // As we write PEM, without what else may stand in the file.
    let pem: String = chain.iter().map(Certificate::to_pem).collect();
    generation::store(keys, kind, number, &pem, starts)?;
    Ok(Installed { name, starts: (number > 1).then(|| UnixTime::from_seconds(starts)) })
}

/// The number of the generation that is not installed yet.
fn next(instance: &Instance, kind: &Kind) -> anyhow::Result<u32> {
    if !instance.keys.path(kind.key, "pem").exists() {
        return Ok(1);
    }
    Ok(u32::try_from(generation::all(&instance.keys, kind)?.len()).unwrap_or(u32::MAX).saturating_add(1))
}
