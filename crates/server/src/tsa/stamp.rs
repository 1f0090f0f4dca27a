//! What gets which time: the decision of the timestamp authority.
//!
//! RFC 3161 §2.2. It doubts its own clock: a time before the last one it put its name to is refused, since
//! one of the two must be wrong.

use crate::{
    authority::{self, Authority},
    clock::Clock,
};
use sealog_crypto::RandomError;
use sealog_pki::{
    Certificate,
    timestamp::{ACCURACY_SECONDS, POLICY, RespondError, TimeStampReq, TsaIdentity, respond},
};
use std::sync::atomic::{AtomicI64, Ordering};

/// The authority and its clock.
pub(super) struct Stamper {
    authority: Authority,
    clock: Clock,
    /// Latest second signed so far in this process.
    latest: AtomicI64,
}

/// Why there is no timestamp.
#[derive(Debug, thiserror::Error)]
pub(super) enum StampError {
    /// The clock went back.
    #[error("the clock says {found}, but a timestamp for {latest} was signed before")]
    ClockWentBack {
        /// Unix seconds now.
        found: i64,
        /// Latest signed.
        latest: i64,
    },
    /// No serial number.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// Refused or failed.
    #[error(transparent)]
    Respond(#[from] RespondError),
}

impl Stamper {
    pub(super) fn new(authority: Authority, clock: Clock) -> Self {
        Self { authority, clock, latest: AtomicI64::new(i64::MIN) }
    }

    /// Signs the present time: a TimeStampResp in DER.
    pub(super) fn stamp(&self, request: &TimeStampReq) -> Result<Vec<u8>, StampError> {
        let now = self.clock.unix_seconds();
        let latest = self.latest.fetch_max(now, Ordering::Relaxed);
        if now.saturating_add(i64::from(ACCURACY_SECONDS)) < latest {
            return Err(StampError::ClockWentBack { found: now, latest });
        }
        let working = self.authority.at_work();
        let tsa = TsaIdentity { signer: working.signer.as_ref(), chain: &working.chain };
        Ok(respond(request, &tsa, now, authority::serial()?.as_bytes(), &POLICY)?)
    }

    /// The chain in PEM, the working certificate first.
    pub(super) fn chain_pem(&self) -> String {
        self.authority.at_work().chain.iter().map(Certificate::to_pem).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::TIMESTAMPING;
    use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, Signer as _};
    use sealog_pki::issue::{AuthorityProfile, Serial, self_signed_root};
    use std::sync::{Arc, atomic::AtomicU64};

    #[test]
    fn a_clock_that_went_back_is_not_believed() {
        let (root_key, key) = (
            PrivateKey::generate(KeyKind::EcdsaP384).unwrap(),
            PrivateKey::generate(KeyKind::EcdsaP256).unwrap(),
        );
        let profile = AuthorityProfile {
            organization: "tests",
            common_name: "root",
            serial: Serial::from_random([1; 20]),
            not_before: 0,
            not_after: 4_000_000_000,
        };
        let root_cert = self_signed_root(&profile, &root_key).unwrap();
        let leaf = (TIMESTAMPING.issue)(&profile, key.public_key(), &root_cert, &root_key).unwrap();
        let now = Arc::new(AtomicU64::new(1_800_000_000_999));
        let clock = Arc::clone(&now);
        let clock = Clock::of(move || clock.load(Ordering::SeqCst));
        let authority = Authority::of(&TIMESTAMPING, Arc::new(key), vec![leaf, root_cert], clock.clone());
        let stamper = Stamper::new(authority, clock);
        let request = TimeStampReq::new(HashAlgorithm::Sha256.digest(b"data"));
        stamper.stamp(&request).unwrap();
        // Within the accuracy it states, a step back means nothing.
        now.store(1_799_999_999_000, Ordering::SeqCst);
        stamper.stamp(&request).unwrap();
        now.store(1_799_999_998_999, Ordering::SeqCst);
        assert!(matches!(
            stamper.stamp(&request),
            Err(StampError::ClockWentBack { latest: 1_800_000_000, .. })
        ));
        now.store(1_800_000_001_000, Ordering::SeqCst);
        stamper.stamp(&request).unwrap();
    }
}
