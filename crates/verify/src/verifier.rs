//! The steps in their order, for one bundle and for several.

use crate::{
    anchors::Anchors,
    artifact::Artifact,
    chain, content, entry,
    error::VerifyError,
    inclusion,
    policy::{self, Policy, PolicyError},
    promise, sct, signature, statement, structure, time,
    verified::{self, Verified},
};
use alloc::{boxed::Box, format, string::String, vec::Vec};
use sealog_bundle::{Bundle, TrustedRoot};

/// Bundles that are looked at for one artifact.
pub const MAX_BUNDLES: usize = 64;

/// A trusted root made ready: its keys and certificates are parsed once, for any number of bundles.
#[derive(Debug)]
pub struct Verifier {
    anchors: Anchors,
}

impl Verifier {
    /// Makes a trusted root ready. What cannot be read in it is missed only by bundles that need it.
    #[must_use]
    pub fn new(root: &TrustedRoot) -> Self {
        Self { anchors: Anchors::of(root) }
    }

    /// Verifies that somebody the policy names signed this artifact.
    ///
    /// # Errors
    /// The step that failed, see [`VerifyError`]. [`ErrorClass::Policy`](crate::ErrorClass::Policy) comes
    /// last: it says that all else holds and the signer is another, or, where the policy wants several
    /// signers, that this one is not enough.
    pub fn verify(
        &self,
        bundle: &Bundle,
        policy: &Policy,
        artifact: &Artifact<'_>,
    ) -> Result<Verified, VerifyError> {
        let verified = self.verify_one(bundle, policy, artifact)?;
        match policy.threshold() {
            1 => Ok(verified),
            needed => Err(too_few(needed, &[verified], &[])),
        }
    }

    /// Verifies that as many different signers as the policy wants signed this artifact, each in a bundle
    /// of their own. Bundles that do not verify do no harm beside enough that do.
    ///
    /// The signatures that count come out, as many as the policy wants or more; where it wants one signer,
    /// the first.
    ///
    /// # Errors
    /// Where nothing verifies, the most telling failure: that of a bundle which somebody else signed,
    /// otherwise the first. Where too few do, [`PolicyError::TooFewSigners`].
    pub fn verify_all(
        &self,
        bundles: &[Bundle],
        policy: &Policy,
        artifact: &Artifact<'_>,
    ) -> Result<Vec<Verified>, VerifyError> {
        if bundles.is_empty() || bundles.len() > MAX_BUNDLES {
            return Err(VerifyError::BundleCount { found: bundles.len() });
        }
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for bundle in bundles {
            match self.verify_one(bundle, policy, artifact) {
                Ok(verified) if policy.threshold() == 1 => return Ok(alloc::vec![verified]),
                Ok(verified) => good.push(verified),
                Err(error) => bad.push(error),
            }
        }
        if good.is_empty() {
            let telling = bad.iter().position(|error| matches!(error, VerifyError::Policy { .. }));
            return Err(bad.swap_remove(telling.unwrap_or(0)));
        }
        let signers: Vec<_> = good.iter().map(Verified::counts_as).collect();
        let counted = policy::distinct(&signers);
        if counted.len() < policy.threshold() {
            let counted: Vec<_> = counted.iter().filter_map(|at| good.get(*at)).cloned().collect();
            return Err(too_few(policy.threshold(), &counted, &bad));
        }
        let counts = |(at, verified)| counted.contains(&at).then_some(verified);
        Ok(good.into_iter().enumerate().filter_map(counts).collect())
    }

    /// All but the count of signers.
    fn verify_one(
        &self,
        bundle: &Bundle,
        policy: &Policy,
        artifact: &Artifact<'_>,
    ) -> Result<Verified, VerifyError> {
        let (anchors, evidence) = (&self.anchors, policy.evidence());
        // 0. The bundle has what a verifiable bundle has.
        // 1. Its one signature is what logs hold and authorities stamp.
        let structure = structure::check(bundle, policy)?;
        // (10, first half.) What was signed: the artifact, if it is the one the bundle speaks of, or the
        // envelope's encoding. A wrong file is by far the most common mistake, so people hear of it first.
        let content = content::check(&structure, artifact)?;
        // 5. Every inclusion promise is by a trusted log (Rekor v1; Rekor v2 makes none).
        let promises = promise::check(&structure, anchors)?;
        // 2. Every signed timestamp is by a trusted authority; with the promises, these are all the times.
        let times = time::check(&structure, &promises, anchors, evidence)?;
        let (signer, signature) = match structure.signer() {
            structure::Signer::Certificate { leaf, extra } => {
                // 2d. There is one at least: no fallback to now.
                let times = times.at_least_one()?;
                // 3. The certificate leads to a trusted authority at every one of these times.
                let chain = chain::check(leaf, extra, &times, anchors)?;
                // 9. No log entry states a time at which it was not valid.
                chain::check_integrated_times(&structure, &chain)?;
                // 4. Trusted certificate logs promised to show the certificate.
                let scts = sct::check(&chain, anchors, evidence)?;
                // 10. Its key made the signature. (Before 8: that it is forged says more than that it was
                // not logged.)
                let signature = signature::check(&structure, &content, &[chain.key()])?;
                (verified::Trusted::Certificate { times, chain, scts }, signature)
            }
            structure::Signer::Keys(keys) => {
                // 10. One of the keys that the policy names made the signature.
                let signature = signature::check(&structure, &content, keys)?;
                (verified::Trusted::Key { times }, signature)
            }
        };
        // 8. The log's entry is about this signature, key and content; where it can be, it is rebuilt.
        let entries = entry::check(&structure, &content, &signature)?;
        // 7. A trusted log signed the checkpoint, and the policy's witnesses did.
        let checkpoints =
            inclusion::check_checkpoints(&entries, &promises, signer.times(), anchors, evidence)?;
        // 6. The entry is in the tree of that checkpoint; in as many logs as the policy wants.
        let inclusion = inclusion::check_inclusion(checkpoints, evidence)?;
        // 11. What an envelope states is about this artifact.
        let statement = statement::check(&structure, artifact)?;
        // 12. The signer is someone the policy names.
        verified::Evidence { signer, inclusion, signature, statement }.match_policy(policy)
    }
}

fn too_few(needed: usize, counted: &[Verified], bad: &[VerifyError]) -> VerifyError {
    let names = counted.iter().map(|verified| match verified.signed_by() {
        verified::SignedBy::Identity { identity, oidc_issuer, .. } => format!("{identity} ({oidc_issuer})"),
        verified::SignedBy::Key { fingerprint } => format!("key sha256:{fingerprint}"),
    });
    let refused = bad.iter().map(|error| format!("a bundle refused: {error}"));
    let heard: Vec<String> = names.chain(refused).collect();
    let error = PolicyError::TooFewSigners { needed, found: counted.len(), heard: heard.join(", ") };
    VerifyError::Policy { error, signed: counted.first().cloned().map(Box::new) }
}
