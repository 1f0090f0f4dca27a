//! What the trusted root says, parsed where it is needed.
//!
//! One key or certificate that cannot be read must not take the others with it: such instances are
//! passed over, and missed only by what needs them.

use alloc::vec::Vec;
use sealog_bundle::{CertificateAuthority, TransparencyLog};
use sealog_crypto::{HashAlgorithm, KeyError, PublicKey};
use sealog_pki::Certificate;

/// Why the trusted root cannot be used for this bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustRootError {
    /// No usable authority of a kind.
    #[error("the trusted root has no usable {what}")]
    None {
        /// The kind.
        what: &'static str,
    },
    /// The key of the log asked for cannot be used.
    #[error("the trusted root's key for log {log}: {source}")]
    LogKey {
        /// The log's URL.
        log: alloc::string::String,
        /// What is wrong with it.
        source: KeyError,
    },
    /// The log hashes its tree in another way.
    #[error("the trusted root says that log {log} hashes with {algorithm}, which is not supported")]
    LogHash {
        /// The log's URL.
        log: alloc::string::String,
        /// Its hash.
        algorithm: HashAlgorithm,
    },
}

/// A certificate or timestamp authority with its certificates parsed.
pub(crate) struct Authority<'r> {
    /// As the trusted root has it.
    pub(crate) listed: &'r CertificateAuthority,
    /// Never empty, the anchor last.
    pub(crate) certificates: Vec<Certificate>,
}

/// Those authorities whose certificates can be read.
pub(crate) fn usable(authorities: &[CertificateAuthority]) -> impl Iterator<Item = Authority<'_>> {
    authorities.iter().filter_map(|listed| {
        let parse = |der: &Vec<u8>| Certificate::from_der(der).ok();
        let certificates: Option<Vec<_>> = listed.cert_chain.iter().map(parse).collect();
        certificates.filter(|list| !list.is_empty()).map(|certificates| Authority { listed, certificates })
    })
}

/// The first success among the listings of one log, which may be there more than once, for different
/// times; else the failure that got furthest. None when the log is not listed.
pub(crate) fn any_listing<T, E>(
    outcomes: impl Iterator<Item = Result<T, E>>,
    how_far: impl Fn(&E) -> u8,
) -> Option<Result<T, E>> {
    let mut furthest: Option<E> = None;
    for outcome in outcomes {
        match outcome {
            Ok(found) => return Some(Ok(found)),
            Err(error) if furthest.as_ref().is_none_or(|old| how_far(old) < how_far(&error)) => {
                furthest = Some(error);
            }
            Err(_) => {}
        }
    }
    furthest.map(Err)
}

/// The key of a log.
pub(crate) fn log_key(log: &TransparencyLog) -> Result<PublicKey, TrustRootError> {
    if log.hash_algorithm != HashAlgorithm::Sha256 {
        return Err(TrustRootError::LogHash { log: log.base_url.clone(), algorithm: log.hash_algorithm });
    }
    PublicKey::from_spki_der(&log.public_key)
        .map_err(|source| TrustRootError::LogKey { log: log.base_url.clone(), source })
}
