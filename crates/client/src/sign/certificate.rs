//! What an authority issued, checked before anything is signed with it.
//!
//! A certificate that no verifier would accept must not reach a public log with a good signature beside it:
//! path, SCT, key, name and issuer are checked here, with the same trusted root verifiers have.

use crate::{ca::Issued, oidc::Claims};
use sealog_bundle::{TransparencyLog, TrustedRoot, UnixTime};
use sealog_crypto::PublicKey;
use sealog_pki::{
    Certificate, ChainError, Path, Purpose, San,
    sct::{self, EmbeddedSctError},
    verify_chain,
};

/// Why an issued certificate is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It certifies a key we do not have.
    #[error("the certificate is for another key")]
    OtherKey,
    /// No authority of the trusted root stands behind it.
    #[error("the certificate does not come from a certificate authority of the trusted root")]
    Untrusted(#[source] ChainError),
    /// The trusted root has no authority for the present.
    #[error("the trusted root has no certificate authority that is valid now")]
    NoAuthority,
    /// No log of the trusted root promised to hold it.
    #[error("no certificate log of the trusted root promised to hold the certificate")]
    NotLogged(#[source] Option<EmbeddedSctError>),
    /// It has no name, several, or one of a kind nobody verifies.
    #[error("the certificate does not hold exactly one name")]
    NoName,
    /// It is in another's name.
    #[error("the certificate is in the name of `{found}`, the token in that of `{expected}`")]
    OtherName {
        /// The token's.
        expected: String,
        /// The certificate's.
        found: String,
    },
    /// It names another OpenID provider.
    #[error("the certificate names the OpenID provider `{found}`, the token `{expected}`")]
    OtherIssuer {
        /// The token's.
        expected: String,
        /// The certificate's.
        found: String,
    },
}

/// A certificate fit for signing; made only by [`check`].
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) leaf: Certificate,
    pub(crate) identity: String,
    pub(crate) oidc_issuer: String,
}

/// Checks what was issued for `key` and the token with these claims.
pub(crate) fn check(
    issued: Issued,
    key: &PublicKey,
    claims: &Claims,
    root: &TrustedRoot,
    now_unix: i64,
) -> Result<Checked, CertificateError> {
    if issued.leaf.spki_der() != key.spki_der() {
        return Err(CertificateError::OtherKey);
    }
    // The authority's clock and ours need not agree to the second; timestamps will decide, not we.
    let (not_before, not_after) = issued.leaf.validity();
    let path = find_path(&issued, root, now_unix.max(not_before).min(not_after))?;
    check_logged(&path, root)?;
    let identity = check_name(&issued.leaf, claims)?;
    let oidc_issuer = check_issuer(&issued.leaf, claims)?;
    Ok(Checked { leaf: issued.leaf, identity, oidc_issuer })
}

fn find_path(issued: &Issued, root: &TrustedRoot, at_unix: i64) -> Result<Path, CertificateError> {
    let mut failure = CertificateError::NoAuthority;
    let at = UnixTime::from_seconds(at_unix);
    for authority in root.certificate_authorities.iter().filter(|a| a.valid_for.contains(at)) {
        let chain: Result<Vec<_>, _> =
            authority.cert_chain.iter().map(|der| Certificate::from_der(der)).collect();
        let Some((anchor, trusted)) = chain.as_ref().ok().and_then(|chain| chain.split_last()) else {
            continue;
        };
        let intermediates: Vec<_> = trusted.iter().chain(&issued.above).cloned().collect();
        let anchors = std::slice::from_ref(anchor);
        match verify_chain(&issued.leaf, &intermediates, anchors, at_unix, Purpose::CodeSigning) {
            Ok(path) => return Ok(path),
            Err(cause) => failure = CertificateError::Untrusted(cause),
        }
    }
    Err(failure)
}

fn check_logged(path: &Path, root: &TrustedRoot) -> Result<(), CertificateError> {
    let scts = sct::embedded_scts(path.leaf()).map_err(|cause| CertificateError::NotLogged(Some(cause)))?;
    let issuer = sct::sct_issuer(path).ok_or(CertificateError::NotLogged(None))?;
    let mut failure = None;
    for sct in &scts {
        let time = i64::try_from(sct.timestamp_ms).map(UnixTime::from_millis);
        let is_its_log = |log: &&TransparencyLog| {
            log.log_id == sct.log_id && time.is_ok_and(|time| log.valid_for.contains(time))
        };
        for log in root.ctlogs.iter().filter(is_its_log) {
            let Ok(key) = PublicKey::from_spki_der(&log.public_key) else { continue };
            match sct::verify_sct(sct, path.leaf(), issuer, &key) {
                Ok(()) => return Ok(()),
                Err(cause) => failure = Some(cause.into()),
            }
        }
    }
    Err(CertificateError::NotLogged(failure))
}

/// The certificate's one name, if it can be the token's. Which claim becomes a name is the authority's
/// configuration; an address must be the token's address, and the recorded subject the token's subject.
fn check_name(leaf: &Certificate, claims: &Claims) -> Result<String, CertificateError> {
    let [name] = leaf.san() else { return Err(CertificateError::NoName) };
    let found = name.as_text().ok_or(CertificateError::NoName)?;
    let other = |expected: &str, found: &str| {
        Err(CertificateError::OtherName { expected: expected.to_owned(), found: found.to_owned() })
    };
    match name {
        San::Dns(_) | San::Unread(_) => return Err(CertificateError::NoName),
        San::Email(address) if address != claims.shown_identity() => {
            return other(claims.shown_identity(), address);
        }
        San::Email(_) | San::Uri(_) | San::OtherName(_) => {}
    }
    match leaf.fulcio().get(sealog_pki::fulcio_extensions::TOKEN_SUBJECT) {
        Some(subject) if subject != claims.subject => other(&claims.subject, subject),
        _ => Ok(found.to_owned()),
    }
}

fn check_issuer(leaf: &Certificate, claims: &Claims) -> Result<String, CertificateError> {
    let found = leaf.fulcio().oidc_issuer().unwrap_or_default();
    // A federating provider's certificates name the provider behind it.
    let federated = claims.federated_issuer.as_deref();
    if found == claims.issuer || (federated == Some(found) && !found.is_empty()) {
        return Ok(found.to_owned());
    }
    Err(CertificateError::OtherIssuer {
        expected: federated.unwrap_or(&claims.issuer).to_owned(),
        found: found.to_owned(),
    })
}
