//! What a caller hands in: a key, and the proof that it holds the private half.
//!
//! Two forms: a public key with a signature over the token's challenge, or a PKCS#10 request, of which only
//! key and signature are looked at: names come from the token alone.

use super::permitted::Permitted;
use sealog_bundle::key_details::KeyDetails;
use sealog_crypto::{KeyError, KeyKind, PublicKey, Scheme, SignatureError};
use sealog_pki::{Csr, CsrError};

/// A key and its proof, parsed but not believed.
pub(super) enum Asked {
    /// A key and a signature over the challenge.
    Key {
        /// The key.
        key: PublicKey,
        /// The signature, in any way that is permitted to the key.
        proof: Vec<u8>,
    },
    /// A request that is signed by its own key.
    Csr(Box<Csr>),
}

/// Why a key is not certified.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    /// Neither form was filled in.
    #[error("The public key supplied in the request could not be parsed: there is none")]
    NoKey,
    /// Both were.
    #[error(
        "The public key supplied in the request could not be parsed: publicKeyRequest and certificateSigningRequest exclude each other"
    )]
    TwoKeys,
    /// Not a key.
    #[error("The public key supplied in the request could not be parsed: {0}")]
    Key(KeyError),
    /// Not base64, PEM, or a request.
    #[error("The certificate signing request could not be parsed: {0}")]
    Csr(CsrError),
    /// Not base64.
    #[error("The certificate signing request could not be parsed: it is not base64")]
    CsrEncoding,
    /// A key nobody should sign with.
    #[error("The public key supplied in the request is insecure: {0}")]
    Insecure(KeyError),
    /// RSA of a size nobody asked for.
    #[error(
        "The public key supplied in the request is insecure: RSA keys of 2048, 3072 and 4096 bits are accepted, not {0}"
    )]
    RsaSize(usize),
    /// A way of signing, or a key, that the operator did not permit.
    #[error("signing algorithm not permitted: {kind}, {}; {}", Hash(*scheme), Instead(permitted))]
    Algorithm {
        /// The key.
        kind: KeyKind,
        /// How the request is signed.
        scheme: Scheme,
        /// What is permitted to such a key.
        permitted: Vec<KeyDetails>,
    },
    /// The caller does not hold the key.
    #[error("The signature supplied in the request could not be verified: {0}")]
    Proof(SignatureError),
}

struct Hash(Scheme);

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.prehash() {
            Some(hash) => write!(f, "{}", hash.name().to_uppercase())?,
            None => f.write_str("no hash")?,
        }
        if matches!(self.0, Scheme::RsaPss(_)) { f.write_str(" with PSS") } else { Ok(()) }
    }
}

struct Instead<'a>(&'a [KeyDetails]);

impl std::fmt::Display for Instead<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.0.iter().map(|details| details.name()).collect();
        match names.as_slice() {
            [] => f.write_str("this authority certifies no such key"),
            names => write!(f, "such a key is certified by {}", names.join(" or ")),
        }
    }
}

impl Asked {
    /// Parses a public key in PEM or DER with its proof.
    pub(super) fn key(key: &[u8], proof: Vec<u8>) -> Result<Self, RequestError> {
        /// A SubjectPublicKeyInfo begins so, and PEM does not.
        const SEQUENCE: u8 = 0x30;
        let parsed = match key {
            [] => return Err(RequestError::NoKey),
            [SEQUENCE, ..] => PublicKey::from_spki_der(key),
            _ => PublicKey::from_pem(&String::from_utf8_lossy(key)),
        };
        match parsed {
            Ok(key) => Ok(Self::Key { key, proof }),
            Err(weak @ KeyError::WeakRsa { .. }) => Err(RequestError::Insecure(weak)),
            Err(other) => Err(RequestError::Key(other)),
        }
    }

    /// Parses a request in PEM.
    pub(super) fn csr(pem: &[u8]) -> Result<Self, RequestError> {
        // What is not text is not PEM either, and is refused as that.
        match Csr::from_pem(&String::from_utf8_lossy(pem)) {
            Ok(csr) => Ok(Self::Csr(Box::new(csr))),
            Err(CsrError::Key(weak @ KeyError::WeakRsa { .. })) => Err(RequestError::Insecure(weak)),
            Err(other) => Err(RequestError::Csr(other)),
        }
    }

    /// The key, if the caller proved to hold it by one of the algorithms that are permitted.
    pub(super) fn proven(&self, challenge: &str, permitted: &Permitted) -> Result<&PublicKey, RequestError> {
        match self {
            Self::Key { key, proof } => {
                check_size(key)?;
                let ways = permitted.of(key);
                let signed_by = |scheme| key.verify(scheme, challenge.as_bytes(), proof);
                let mut tried = ways.iter().filter_map(|details| details.scheme()).map(signed_by);
                match tried.next() {
                    None => Err(not_permitted(key, Scheme::default_for(key.kind()), ways)),
                    Some(Ok(())) => Ok(key),
                    // Of several ways the usual one has the word about what is wrong.
                    Some(Err(error)) => match tried.any(|verified| verified.is_ok()) {
                        true => Ok(key),
                        false => Err(RequestError::Proof(error)),
                    },
                }
            }
            Self::Csr(csr) => {
                let (key, scheme) = (csr.public_key(), csr.scheme());
                check_size(key)?;
                let ways = permitted.of(key);
                if !ways.iter().any(|details| details.scheme() == Some(scheme)) {
                    return Err(not_permitted(key, scheme, ways));
                }
                csr.verify_self_signature().map_err(|error| match error {
                    CsrError::Signature(error) => RequestError::Proof(error),
                    other => RequestError::Csr(other),
                })?;
                Ok(key)
            }
        }
    }
}

fn not_permitted(key: &PublicKey, scheme: Scheme, permitted: Vec<KeyDetails>) -> RequestError {
    RequestError::Algorithm { kind: key.kind(), scheme, permitted }
}

/// RSA outside the registry is no weakness of an algorithm, and has words of its own.
fn check_size(key: &PublicKey) -> Result<(), RequestError> {
    match key.kind() {
        KeyKind::Rsa { bits: 2048 | 3072 | 4096 } => Ok(()),
        KeyKind::Rsa { bits } => Err(RequestError::RsaSize(bits)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealog_crypto::{PrivateKey, Signer as _};

    #[test]
    fn a_proof_is_over_the_challenge_by_the_key() {
        let usual = Permitted::default();
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let pem = key.public_key().to_pem();
        let asked = Asked::key(pem.as_bytes(), key.sign(b"jane@example.com").unwrap()).unwrap();
        assert_eq!(asked.proven("jane@example.com", &usual).unwrap(), key.public_key());
        assert!(matches!(asked.proven("john@example.com", &usual), Err(RequestError::Proof(_))));
        let other = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let asked = Asked::key(pem.as_bytes(), other.sign(b"jane@example.com").unwrap()).unwrap();
        assert!(matches!(asked.proven("jane@example.com", &usual), Err(RequestError::Proof(_))));
    }

    #[test]
    fn a_request_is_signed_by_its_own_key() {
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let mut der = Csr::build(&key).unwrap();
        let pem = |der: &[u8]| Csr::pem_of(der);
        assert!(Asked::csr(pem(&der).as_bytes()).unwrap().proven("", &Permitted::default()).is_ok());
        let last = der.last_mut().unwrap();
        *last ^= 1;
        assert!(Asked::csr(pem(&der).as_bytes()).unwrap().proven("", &Permitted::default()).is_err());
        assert!(matches!(Asked::csr(b"nonsense"), Err(RequestError::Csr(_))));
    }
}
