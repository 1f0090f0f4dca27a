//! The file a bundle is said to be about, as far as verification needs it: its digests.

use crate::policy::Policy;
use alloc::{boxed::Box, vec::Vec};
use once_cell::race::OnceBox;
use sealog_bundle::{Bundle, Content, EntryBody, KeyDetails, KindVersion, Statement, TransparencyLogEntry};
use sealog_crypto::{Digest, HashAlgorithm, PublicKey};
use sealog_pki::Certificate;

/// An artifact: whole, or by digests.
#[derive(Debug, Default)]
pub struct Artifact<'a> {
    bytes: Option<&'a [u8]>,
    digests: Vec<Digest>,
    /// Of the bytes, by each algorithm that was asked for: many steps ask, and hashing costs.
    computed: [OnceBox<Digest>; HashAlgorithm::ALL.len()],
}

impl<'a> Artifact<'a> {
    /// The artifact itself; digests are computed when they are asked for, each once.
    #[must_use]
    pub const fn from_bytes(bytes: &'a [u8]) -> Self {
        Self { bytes: Some(bytes), digests: Vec::new(), computed: nothing_computed() }
    }

    /// Digests of the artifact. See [`digests_needed`] for which to compute, and [`needs_bytes`] for when they may not
    /// be enough.
    #[must_use]
    pub fn from_digests(digests: impl IntoIterator<Item = Digest>) -> Self {
        Self { bytes: None, digests: digests.into_iter().collect(), computed: nothing_computed() }
    }

    /// The digest by that algorithm, if it is known or can be computed.
    #[must_use]
    pub fn digest(&self, algorithm: HashAlgorithm) -> Option<Digest> {
        let known = self.digests.iter().find(|d| d.algorithm() == algorithm);
        known.copied().or_else(|| self.compute(algorithm))
    }

    fn compute(&self, algorithm: HashAlgorithm) -> Option<Digest> {
        let bytes = self.bytes?;
        let place = HashAlgorithm::ALL.into_iter().position(|one| one == algorithm);
        let cell = place.and_then(|place| self.computed.get(place))?;
        Some(*cell.get_or_init(|| Box::new(algorithm.digest(bytes))))
    }

    /// The artifact itself, if it is known.
    #[must_use]
    pub const fn bytes(&self) -> Option<&'a [u8]> {
        self.bytes
    }

    /// Some digest, to show to people.
    #[must_use]
    pub fn any_digest(&self) -> Option<Digest> {
        HashAlgorithm::ALL.into_iter().find_map(|algorithm| self.digest(algorithm))
    }
}

const fn nothing_computed() -> [OnceBox<Digest>; HashAlgorithm::ALL.len()] {
    [const { OnceBox::new() }; HashAlgorithm::ALL.len()]
}

impl Clone for Artifact<'_> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes, digests: self.digests.clone(), computed: nothing_computed() }
    }
}

/// The algorithms by which an artifact must be hashed to verify this bundle with this policy, so that
/// a file need be read only once. Never empty; what a broken bundle says is left to [`crate::verify`].
#[must_use]
pub fn digests_needed(bundle: &Bundle, policy: &Policy) -> Vec<HashAlgorithm> {
    let mut needed = Vec::new();
    match &bundle.content {
        Content::Message(message) => {
            needed.extend(message.digest.map(|digest| digest.algorithm()));
            let certificate = bundle.material.key.leaf().and_then(|der| Certificate::from_der(der).ok());
            let keys: Vec<PublicKey> = match certificate {
                Some(certificate) => certificate.public_key().ok().into_iter().collect(),
                None => policy.keys().into_iter().cloned().collect(),
            };
            let entries = &bundle.material.log_entries;
            for key in &keys {
                let prehashes = KeyDetails::candidates(key).iter().filter_map(|details| details.prehash());
                // However the key may have signed; but where all entries say that it was in the usual
                // way, a large file is not hashed in vain.
                match KeyDetails::default_for(key).and_then(KeyDetails::prehash) {
                    Some(usual) if entries.iter().all(|entry| holds_digest_by(entry, usual)) => {
                        needed.push(usual)
                    }
                    _ => needed.extend(prehashes),
                }
            }
            // Entries of Rekor v1 hold SHA-256 digests whatever the key.
            let v2 = KindVersion::hashedrekord_v002();
            if entries.iter().any(|entry| entry.kind_version != v2) {
                needed.push(HashAlgorithm::Sha256);
            }
        }
        Content::Envelope(envelope) => {
            needed.extend(Statement::parse(&envelope.payload).iter().flat_map(Statement::algorithms));
        }
    }
    needed.sort_unstable();
    needed.dedup();
    if needed.is_empty() {
        needed.push(HashAlgorithm::Sha256);
    }
    needed
}

/// Whether the digests may not be enough: some keys sign a file itself, and then an [`Artifact::from_bytes`] is needed.
/// Those are Ed25519 and ML-DSA keys that signed a file which is in no log, as entries of files hold digests.
#[must_use]
pub fn needs_bytes(bundle: &Bundle, policy: &Policy) -> bool {
    if !matches!(bundle.content, Content::Message(_)) || !bundle.material.log_entries.is_empty() {
        return false;
    }
    let signs_it_whole = |key: &PublicKey| {
        KeyDetails::candidates(key)
            .iter()
            .any(|details| details.scheme().is_some_and(|s| s.prehash().is_none()))
    };
    match bundle.material.key.leaf() {
        Some(der) => Certificate::from_der(der)
            .is_ok_and(|certificate| certificate.public_key().is_ok_and(|key| signs_it_whole(&key))),
        None => policy.keys().into_iter().any(signs_it_whole),
    }
}

/// Whether it is an entry of Rekor v2 that says it holds such a digest.
fn holds_digest_by(entry: &TransparencyLogEntry, algorithm: HashAlgorithm) -> bool {
    let says = |body: &EntryBody| match body {
        EntryBody::HashedRekord(body) => body.digest.algorithm() == algorithm,
        _ => false,
    };
    EntryBody::parse(&entry.canonicalized_body).is_ok_and(|body| says(&body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_come_from_bytes_or_not_at_all() {
        let whole = Artifact::from_bytes(b"x");
        let digest = HashAlgorithm::Sha256.digest(b"x");
        assert_eq!(whole.digest(HashAlgorithm::Sha384), Some(HashAlgorithm::Sha384.digest(b"x")));
        let by_digest = Artifact::from_digests([digest]);
        assert_eq!(by_digest.digest(HashAlgorithm::Sha256), Some(digest));
        assert_eq!(by_digest.digest(HashAlgorithm::Sha512), None);
        assert_eq!(by_digest.any_digest(), Some(digest));
    }
}
