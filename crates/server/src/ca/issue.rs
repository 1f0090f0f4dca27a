//! From a principal and its key to a certificate that a log has seen.
//!
//! Precertificate, submission, SCT, final certificate: RFC 6962 §3.1. A
//! certificate without an SCT never leaves this file.

use super::submission::{Log, LogError};
use crate::{
    authority::{self, Authority},
    clock::Clock,
};
use sealog_crypto::{PublicKey, RandomError, sha256};
use sealog_identity::Principal;
use sealog_pki::{Certificate, IssueError, LeafProfile, issue};
use sealog_tlog::ct::{CtEntry, SctList};

/// A certificate's life, from its first second to its last.
const LIFETIME_SECONDS: i64 = 10 * 60;
/// It begins this long before now, floored: timestamps have whole seconds, and a fast signing, or a client
/// whose clock is a little behind ours, must not find its certificate in the future.
const BACKDATE_SECONDS: i64 = 5;

/// The authority at work.
pub(super) struct Issuance {
    pub(super) authority: Authority,
    pub(super) clock: Clock,
    pub(super) log: Log,
}

/// Why no certificate was issued; none of it is the caller's doing but a name that cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum IssuanceError {
    /// The certificate could not be made.
    #[error(transparent)]
    Issue(#[from] IssueError),
    /// No serial number.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// No certificate of our own.
    #[error("the authority has no certificate")]
    NoCertificate,
    /// The log made no promise about it.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl IssuanceError {
    /// Whether the log is at fault.
    pub(super) fn is_log(&self) -> bool {
        matches!(self, Self::Log(_))
    }

    /// Whether the rules let a name through that X.509 cannot say.
    pub(super) fn is_name(&self) -> bool {
        matches!(self, Self::Issue(IssueError::San(_)))
    }
}

impl Issuance {
    /// Issues a certificate, which comes first, with the chain that it was issued below.
    pub(super) async fn issue(
        &self,
        principal: &Principal,
        key: &PublicKey,
    ) -> Result<Vec<Certificate>, IssuanceError> {
        // One generation from here to the end.
        let working = self.authority.at_work();
        let issuer = working.chain.first().ok_or(IssuanceError::NoCertificate)?;
        // But not before its issuer, which may be of this very second.
        let (issuer_from, _) = issuer.validity();
        let not_before = self.clock.unix_seconds().saturating_sub(BACKDATE_SECONDS).max(issuer_from);
        let profile = LeafProfile {
            serial: authority::serial()?,
            not_before,
            not_after: not_before.saturating_add(LIFETIME_SECONDS),
            public_key: key,
            san: &principal.san,
            extensions: &principal.extensions,
        };
        let precert = issue::precertificate(&profile, issuer, working.signer.as_ref())?;
        let mut submitted = vec![precert.certificate().der()];
        submitted.extend(working.chain.iter().map(Certificate::der));
        let entry = CtEntry::Precert {
            issuer_key_hash: sha256(issuer.spki_der()),
            tbs: precert.tbs_for_ct(),
            precert: Vec::new(),
        };
        let sct = self.log.submit(&submitted, &entry).await?;
        let leaf = issue::finish(&precert, &SctList(vec![sct]), issuer, working.signer.as_ref())?;
        Ok(std::iter::once(leaf).chain(working.chain.iter().cloned()).collect())
    }
}
