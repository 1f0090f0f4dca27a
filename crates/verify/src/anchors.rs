//! What the trusted root says, parsed once for all bundles.
//!
//! One key or certificate that cannot be read must not take the others with it: such an authority is
//! passed over, and such a log is refused when a bundle needs it.

use alloc::{string::String, vec::Vec};
use sealog_bundle::{CertificateAuthority, KeyDetails, TransparencyLog, TrustedRoot, ValidFor};
use sealog_crypto::{HashAlgorithm, KeyError, PublicKey};
use sealog_pki::{Certificate, TrustedChain};

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
        log: String,
        /// What is wrong with it.
        source: KeyError,
    },
    /// The key of the log asked for is of another kind than is said of it.
    #[error("the trusted root says that log {log} signs with {details}, which its key does not")]
    LogAlgorithm {
        /// The log's URL.
        log: String,
        /// How it is said to sign.
        details: KeyDetails,
    },
    /// The log hashes its tree in another way.
    #[error("the trusted root says that log {log} hashes with {algorithm}, which is not supported")]
    LogHash {
        /// The log's URL.
        log: String,
        /// Its hash.
        algorithm: HashAlgorithm,
    },
}

/// A trusted root, ready for use.
#[derive(Debug)]
pub(crate) struct Anchors {
    pub(crate) tlogs: Vec<Log>,
    pub(crate) ctlogs: Vec<Log>,
    pub(crate) certificate_authorities: Vec<Authority>,
    pub(crate) timestamp_authorities: Vec<Authority>,
}

/// A log with its key.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) id: Vec<u8>,
    pub(crate) url: String,
    pub(crate) valid_for: ValidFor,
    /// Who counts as one with another.
    pub(crate) operator: Vec<u8>,
    /// Host and port of the URL: the name a Rekor v1 log signs with.
    pub(crate) authority: Option<String>,
    /// The bare host: the name a Rekor v2 log signs with.
    pub(crate) host: Option<String>,
    key: Result<PublicKey, TrustRootError>,
}

/// A certificate or timestamp authority.
#[derive(Debug)]
pub(crate) struct Authority {
    /// Its URL, or its name where it has none.
    pub(crate) name: String,
    pub(crate) valid_for: ValidFor,
    /// Who counts as one with another.
    pub(crate) operator: String,
    pub(crate) chain: TrustedChain,
}

impl Anchors {
    pub(crate) fn of(root: &TrustedRoot) -> Self {
        let authorities = root.timestamp_authorities.iter().filter_map(Authority::of);
        let mut timestamp_authorities: Vec<_> = authorities.collect();
        // Those that list their own certificate come first: their word is not to be counted as that of another
        // for whom a certificate above both is listed and any below it will do.
        timestamp_authorities.sort_by_key(|authority| authority.chain.first().is_ca());
        Self {
            tlogs: root.tlogs.iter().map(Log::of).collect(),
            ctlogs: root.ctlogs.iter().map(Log::of).collect(),
            certificate_authorities: root.certificate_authorities.iter().filter_map(Authority::of).collect(),
            timestamp_authorities,
        }
    }
}

impl Log {
    fn of(listed: &TransparencyLog) -> Self {
        let url = || listed.base_url.clone();
        let key = match listed.hash_algorithm {
            HashAlgorithm::Sha256 => match read_key(&listed.public_key, listed.key_details) {
                Ok(key) if fits(listed.key_details, &key) => Ok(key),
                Ok(_) => Err(TrustRootError::LogAlgorithm { log: url(), details: listed.key_details }),
                Err(source) => Err(TrustRootError::LogKey { log: url(), source }),
            },
            algorithm => Err(TrustRootError::LogHash { log: url(), algorithm }),
        };
        let operator = match listed.operator.as_str() {
            "" => listed.log_id.clone(),
            named => named.as_bytes().to_vec(),
        };
        Self {
            id: listed.log_id.clone(),
            url: url(),
            valid_for: listed.valid_for,
            operator,
            authority: listed.authority().map(String::from),
            host: listed.host().map(String::from),
            key,
        }
    }

    pub(crate) fn key(&self) -> Result<&PublicKey, TrustRootError> {
        self.key.as_ref().map_err(TrustRootError::clone)
    }
}

/// Whether a key can sign so. Retired algorithms, of old logs, say less than the key itself.
fn fits(details: KeyDetails, key: &PublicKey) -> bool {
    details.scheme().is_none() || details.fits(key)
}

fn read_key(der: &[u8], details: KeyDetails) -> Result<PublicKey, KeyError> {
    match details {
        KeyDetails::Pkcs1RsaPkcs1v5 => PublicKey::from_pkcs1_der(der),
        _ => PublicKey::from_spki_der(der),
    }
}

impl Authority {
    fn of(listed: &CertificateAuthority) -> Option<Self> {
        let parse = |der: &Vec<u8>| Certificate::from_der(der).ok();
        let certificates: Option<Vec<_>> = listed.cert_chain.iter().map(parse).collect();
        let name = if listed.uri.is_empty() { &listed.common_name } else { &listed.uri };
        let operator = if listed.operator.is_empty() { name } else { &listed.operator };
        Some(Self {
            name: name.clone(),
            valid_for: listed.valid_for,
            operator: operator.clone(),
            chain: TrustedChain::new(certificates?)?,
        })
    }
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

/// How many different ones there are.
pub(crate) fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> usize {
    let mut seen = Vec::new();
    for one in all {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen.len()
}
