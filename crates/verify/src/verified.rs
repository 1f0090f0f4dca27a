//! The answer when everything holds.

use crate::{
    chain::VerifiedChain,
    error::VerifyError,
    inclusion::VerifiedInclusion,
    policy::{self, Policy, PolicyError},
    sct::VerifiedScts,
    signature::VerifiedSignature,
    statement::VerifiedStatement,
    time::{SigningTimes, TimeSource, VerifiedTime, VerifiedTimes},
};
use alloc::{boxed::Box, string::String};
use sealog_bundle::{Statement, UnixTime};
use sealog_crypto::{PublicKey, sha256};
use sealog_pki::Certificate;

/// A signature that was verified by every step.
#[derive(Clone, Debug)]
pub struct Verified {
    signed_by: SignedBy,
    time: Option<(UnixTime, TimeSource)>,
    log: String,
    log_url: String,
    log_index: u64,
    statement: Option<Statement>,
}

/// Who signed.
#[derive(Clone, Debug)]
pub enum SignedBy {
    /// The holder of a certificate.
    Identity {
        /// The certificate's one name.
        identity: String,
        /// Who vouched for it.
        oidc_issuer: String,
        /// The certificate, for whatever else it says.
        certificate: Certificate,
    },
    /// The holder of the key given.
    Key {
        /// SHA-256 of the key, in hex.
        fingerprint: String,
    },
}

impl Verified {
    /// Who signed.
    #[must_use]
    pub const fn signed_by(&self) -> &SignedBy {
        &self.signed_by
    }

    /// The signer's identity; none for keys.
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        match &self.signed_by {
            SignedBy::Identity { identity, .. } => Some(identity),
            SignedBy::Key { .. } => None,
        }
    }

    /// The OIDC issuer that vouched for the identity; none for keys.
    #[must_use]
    pub fn oidc_issuer(&self) -> Option<&str> {
        match &self.signed_by {
            SignedBy::Identity { oidc_issuer, .. } => Some(oidc_issuer),
            SignedBy::Key { .. } => None,
        }
    }

    /// When the signature existed at the latest, by the earliest clock; none for keys without timestamps.
    #[must_use]
    pub fn signed_at(&self) -> Option<UnixTime> {
        self.time.as_ref().map(|(time, _)| *time)
    }

    /// Whose clock that was.
    #[must_use]
    pub fn time_source(&self) -> Option<&TimeSource> {
        self.time.as_ref().map(|(_, source)| source)
    }

    /// The origin of the log that holds the signature.
    #[must_use]
    pub fn log(&self) -> &str {
        &self.log
    }

    /// The log's base URL as the trusted root has it.
    #[must_use]
    pub fn log_url(&self) -> &str {
        &self.log_url
    }

    /// Where in the log.
    #[must_use]
    pub const fn log_index(&self) -> u64 {
        self.log_index
    }

    /// The statement, if one was signed.
    #[must_use]
    pub const fn statement(&self) -> Option<&Statement> {
        self.statement.as_ref()
    }
}

/// Everything that must have been verified before the policy is asked: one field for each finished step.
pub(crate) struct Evidence {
    pub(crate) signer: Signer,
    pub(crate) inclusion: VerifiedInclusion,
    pub(crate) signature: VerifiedSignature,
    pub(crate) statement: VerifiedStatement,
}

/// The signer, and what had to be verified of it.
pub(crate) enum Signer {
    Certificate { times: SigningTimes, chain: VerifiedChain, scts: VerifiedScts },
    Key { times: VerifiedTimes, key: PublicKey },
}

impl Signer {
    pub(crate) fn times(&self) -> &[VerifiedTime] {
        match self {
            Self::Certificate { times, .. } => times.all(),
            Self::Key { times, .. } => times.all(),
        }
    }
}

impl Evidence {
    /// Step 12, and the verdict.
    pub(crate) fn match_policy(self, policy: &Policy) -> Result<Verified, VerifyError> {
        let Self { signer, inclusion, signature: VerifiedSignature { .. }, statement } = self;
        let (log, log_url, log_index) = inclusion.into_parts();
        let (who, signed_by, time) = match signer {
            Signer::Certificate { times, chain, scts: VerifiedScts { .. } } => {
                let who = policy::Signer::of(chain.leaf());
                let earliest = times.earliest();
                let time = Some((earliest.time(), earliest.source().clone()));
                let who = who.map_err(|error| VerifyError::Policy { error, signed: None })?;
                let signed_by = SignedBy::Identity {
                    identity: who.identity.clone(),
                    oidc_issuer: who.oidc_issuer.clone(),
                    certificate: who.certificate.clone(),
                };
                (Some(who), signed_by, time)
            }
            Signer::Key { times, key } => {
                let earliest = times.all().iter().min_by_key(|t| t.time());
                let time = earliest.map(|t| (t.time(), t.source().clone()));
                let fingerprint = hex::encode(sha256(key.spki_der()));
                (None, SignedBy::Key { fingerprint }, time)
            }
        };
        let statement = statement.into_inner();
        let verified = Verified { signed_by, time, log, log_url, log_index, statement };
        match policy.matches(who.as_ref()) {
            Ok(policy::Matched { .. }) => Ok(verified),
            Err(error) => Err(wrong_signer(error, verified)),
        }
    }
}

fn wrong_signer(error: PolicyError, verified: Verified) -> VerifyError {
    VerifyError::Policy { error, signed: Some(Box::new(verified)) }
}
