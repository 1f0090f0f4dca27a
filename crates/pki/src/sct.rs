//! Signed certificate timestamps inside certificates (RFC 6962 §3.2, §3.3), and what a log is given to sign.
//!
//! The promise itself (its encoding and its signature input) is `tlog`'s; this file knows which bytes
//! of a certificate it speaks about: the TBSCertificate as it was encoded, one extension cut out.

use crate::{Certificate, DerError, Path, oids};
use alloc::vec::Vec;
use sealog_crypto::{PublicKey, sha256};
use sealog_tlog::ct::{CtEntry, Sct, SctError, SctList};

/// More SCTs than this in one certificate are refused.
const MAX_SCTS: usize = 16;

/// Why a certificate's SCTs are not read or not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmbeddedSctError {
    /// The extension holds no OCTET STRING.
    #[error(transparent)]
    Malformed(#[from] DerError),
    /// The list or one of its members is not what the standard says, or does not verify.
    #[error(transparent)]
    Sct(#[from] SctError),
    /// There is no such extension.
    #[error("the certificate has no signed certificate timestamp")]
    Missing,
    /// More than are read.
    #[error("the certificate has {found} signed certificate timestamps, more than {limit}")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many are read at most.
        limit: usize,
    },
    /// The leaf is itself the anchor, so that no issuer is known.
    #[error("the certificate's issuer is not known")]
    NoIssuer,
    /// Precertificates signed by a delegate are not taken.
    #[error("precertificates must be signed by the issuing CA itself")]
    DelegatedPrecertificate,
}

/// The SCTs embedded in a certificate, at least one.
///
/// # Errors
/// See [`EmbeddedSctError`].
pub fn embedded_scts(leaf: &Certificate) -> Result<Vec<Sct>, EmbeddedSctError> {
    let list = leaf.sct_list()?.ok_or(EmbeddedSctError::Missing)?;
    let SctList(scts) = SctList::parse(list)?;
    if scts.len() > MAX_SCTS {
        return Err(EmbeddedSctError::TooMany { found: scts.len(), limit: MAX_SCTS });
    }
    Ok(scts)
}

/// Verifies that the log of `log_key` promised to hold `leaf`, which `issuer` issued.
///
/// Whether the log was trusted at the SCT's time is the caller's question.
///
/// # Errors
/// See [`SctError`].
pub fn verify_sct(
    sct: &Sct,
    leaf: &Certificate,
    issuer: &Certificate,
    log_key: &PublicKey,
) -> Result<(), SctError> {
    sct.verify(&logged_entry(leaf, issuer), log_key)
}

/// The certificate whose key the SCTs name: the leaf's issuer on the verified path, and where that may
/// only sign precertificates, the one above it.
///
/// Never chosen by name: several issuers may share one.
#[must_use]
pub fn sct_issuer(path: &Path) -> Option<&Certificate> {
    let mut above = path.certificates().skip(1);
    above.find(|issuer| !issuer.is_precertificate_signer())
}

/// What a log is asked to hold: the precertificate or certificate of a verified path.
///
/// # Errors
/// When there is no issuer, or a delegate signed the precertificate.
pub fn submitted_entry(path: &Path) -> Result<CtEntry, EmbeddedSctError> {
    let issuer = path.issuer().ok_or(EmbeddedSctError::NoIssuer)?;
    if !path.leaf().is_precertificate() {
        return Ok(CtEntry::X509 { cert: path.leaf().der().to_vec() });
    }
    // A delegate's precertificate would need its issuer's name put in (RFC 6962 §3.2): that is a
    // re-encoding, and no CA of ours asks for it.
    if issuer.is_precertificate_signer() {
        return Err(EmbeddedSctError::DelegatedPrecertificate);
    }
    Ok(CtEntry::Precert {
        issuer_key_hash: sha256(issuer.spki_der()),
        tbs: path.leaf().tbs_without(&oids::CT_PRECERT_POISON),
        precert: path.leaf().der().to_vec(),
    })
}

/// What a log had signed before its answer was embedded in `leaf`.
///
/// The precertificate itself is not known any more; no signature covers it.
fn logged_entry(leaf: &Certificate, issuer: &Certificate) -> CtEntry {
    CtEntry::Precert {
        issuer_key_hash: sha256(issuer.spki_der()),
        tbs: leaf.tbs_without(&oids::CT_PRECERT_SCTS),
        precert: Vec::new(),
    }
}
