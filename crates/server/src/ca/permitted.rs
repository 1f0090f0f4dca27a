//! Which algorithms of the registry may prove that a caller holds the key it wants certified: `[ca] algorithms`.
//!
//! What Fulcio's `--client-signing-algorithms` is, by the registry's own names, and with the same default. Where Fulcio looks
//! at kind of key and hash alone, the padding counts here.

use sealog_bundle::key_details::KeyDetails;
use sealog_crypto::PublicKey;
use serde::Deserialize;

/// Those of Fulcio.
const DEFAULT: [KeyDetails; 7] = [
    KeyDetails::EcdsaP256Sha256,
    KeyDetails::EcdsaP384Sha384,
    KeyDetails::EcdsaP521Sha512,
    KeyDetails::RsaPkcs1v15_2048Sha256,
    KeyDetails::RsaPkcs1v15_3072Sha256,
    KeyDetails::RsaPkcs1v15_4096Sha256,
    KeyDetails::Ed25519,
];

/// The algorithms of one authority: at least one, and each can be used.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Vec<String>")]
pub struct Permitted(Vec<KeyDetails>);

/// Why a list of algorithms is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PermittedError {
    /// Nobody could be given a certificate.
    #[error("`algorithms` must name one at least")]
    Empty,
    /// Not a name of the registry's.
    #[error("{0:?} is no algorithm of the registry, such as PKIX_ECDSA_P256_SHA_256")]
    Unknown(String),
    /// One of the registry by which nothing can be verified here.
    #[error("{0} is retired or not implemented: it proves nothing")]
    Unusable(KeyDetails),
}

impl Default for Permitted {
    fn default() -> Self {
        Self(DEFAULT.to_vec())
    }
}

impl TryFrom<Vec<String>> for Permitted {
    type Error = PermittedError;

    fn try_from(names: Vec<String>) -> Result<Self, PermittedError> {
        let one = |name: String| {
            let details = KeyDetails::from_name(&name).ok_or(PermittedError::Unknown(name))?;
            details.scheme().map(|_| details).ok_or(PermittedError::Unusable(details))
        };
        let all = names.into_iter().map(one).collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() { Err(PermittedError::Empty) } else { Ok(Self(all)) }
    }
}

impl Permitted {
    /// By which of them a key can prove itself, the usual one first.
    pub(super) fn of(&self, key: &PublicKey) -> Vec<KeyDetails> {
        KeyDetails::candidates(key).iter().filter(|details| self.0.contains(details)).copied().collect()
    }

    /// Their names, for the operator.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|details| details.name())
    }
}

#[cfg(test)]
mod tests;
