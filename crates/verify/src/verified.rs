//! The answer when everything holds.

use crate::{
    chain::VerifiedChain,
    error::VerifyError,
    inclusion::{Logged, VerifiedInclusion},
    policy::{Matched, Person, Policy, PolicyError, Signer, Who},
    sct::VerifiedScts,
    signature::VerifiedSignature,
    statement::VerifiedStatement,
    time::{SigningTimes, TimeSource, VerifiedTime, VerifiedTimes},
};
use alloc::{boxed::Box, string::String, vec::Vec};
use sealog_bundle::{Statement, UnixTime};
use sealog_crypto::sha256;
use sealog_pki::Certificate;

/// A signature that was verified by every step.
#[derive(Clone, Debug)]
pub struct Verified {
    signed_by: SignedBy,
    /// Earliest first.
    times: Vec<(UnixTime, TimeSource)>,
    logs: Vec<Logged>,
    statement: Option<Statement>,
    person: Person,
    matched: Matched,
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
        self.times.first().map(|(time, _)| *time)
    }

    /// Whose clock that was.
    #[must_use]
    pub fn time_source(&self) -> Option<&TimeSource> {
        self.times.first().map(|(_, source)| source)
    }

    /// Every time that a trusted authority or log put to the signature, earliest first.
    #[must_use]
    pub fn times(&self) -> &[(UnixTime, TimeSource)] {
        &self.times
    }

    /// The logs that hold the signature; none only where the policy wants none.
    #[must_use]
    pub fn logs(&self) -> &[Logged] {
        &self.logs
    }

    /// The origin of the first log that holds the signature.
    #[must_use]
    pub fn log(&self) -> Option<&str> {
        self.logs.first().map(|log| log.origin.as_str())
    }

    /// That log's base URL as the trusted root has it.
    #[must_use]
    pub fn log_url(&self) -> Option<&str> {
        self.logs.first().map(|log| log.url.as_str())
    }

    /// Where in that log.
    #[must_use]
    pub fn log_index(&self) -> Option<u64> {
        self.logs.first().map(|log| log.index)
    }

    /// Who counts as one with another signer, and which rules of the policy took this one.
    pub(crate) fn counts_as(&self) -> (Person, &[usize]) {
        (self.person.clone(), &self.matched.rules)
    }

    /// The statement, if one was signed.
    #[must_use]
    pub const fn statement(&self) -> Option<&Statement> {
        self.statement.as_ref()
    }
}

/// Everything that must have been verified before the policy is asked: one field for each finished step.
pub(crate) struct Evidence {
    pub(crate) signer: Trusted,
    pub(crate) inclusion: VerifiedInclusion,
    pub(crate) signature: VerifiedSignature,
    pub(crate) statement: VerifiedStatement,
}

/// What had to be verified of the signer.
pub(crate) enum Trusted {
    /// A certificate.
    Certificate { times: SigningTimes, chain: VerifiedChain, scts: VerifiedScts },
    /// A key, which the policy names.
    Key { times: VerifiedTimes },
}

impl Trusted {
    pub(crate) fn times(&self) -> &[VerifiedTime] {
        match self {
            Self::Certificate { times, .. } => times.all(),
            Self::Key { times } => times.all(),
        }
    }
}

impl Evidence {
    /// Step 12, and the verdict.
    pub(crate) fn match_policy(self, policy: &Policy) -> Result<Verified, VerifyError> {
        let Self { signer, inclusion, signature, statement } = self;
        let mut times: Vec<_> = signer.times().iter().map(|t| (t.time(), t.source().clone())).collect();
        times.sort_by_key(|(time, _)| *time);
        let (who, signed_by) = match &signer {
            Trusted::Certificate { chain, scts: VerifiedScts { .. }, times: _ } => {
                let who = Signer::of(chain.leaf());
                let who = who.map_err(|error| VerifyError::Policy { error, signed: None })?;
                let signed_by = SignedBy::Identity {
                    identity: who.identity.clone(),
                    oidc_issuer: who.oidc_issuer.clone(),
                    certificate: chain.leaf().clone(),
                };
                (Who::Certificate(who), signed_by)
            }
            Trusted::Key { times: _ } => {
                let fingerprint = hex::encode(sha256(signature.key().spki_der()));
                (Who::Key(signature.key()), SignedBy::Key { fingerprint })
            }
        };
        let person = match &who {
            Who::Certificate(who) => Person::of(Some(&who.identity), signature.key()),
            Who::Key(key) => Person::of(None, key),
        };
        let (logs, statement) = (inclusion.into_inner(), statement.into_inner());
        let verified = |matched| Verified { signed_by, times, logs, statement, person, matched };
        match policy.matches(&who) {
            Ok(matched) => Ok(verified(matched)),
            Err(error) => Err(wrong_signer(error, verified(Matched::default()))),
        }
    }
}

fn wrong_signer(error: PolicyError, verified: Verified) -> VerifyError {
    VerifyError::Policy { error, signed: Some(Box::new(verified)) }
}
