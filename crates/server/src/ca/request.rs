//! What a caller hands in: a key, and the proof that it holds the private half.
//!
//! Two forms: a public key with a signature over the token's challenge, or a PKCS#10 request, of which only
//! key and signature are looked at: names come from the token alone.

use sealog_crypto::{KeyError, KeyKind, PublicKey, Scheme, SignatureError};
use sealog_pki::{Csr, CsrError};

/// A key and its proof, parsed but not believed.
pub(super) enum Asked {
    /// A key and a signature over the challenge.
    Key {
        /// The key.
        key: PublicKey,
        /// The signature, with the key's default scheme.
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
    /// A request signed in another way than the key's own, or a key whose signatures no log takes.
    #[error("signing algorithm not permitted: {kind}, {}", Hash(*scheme))]
    Algorithm {
        /// The key.
        kind: KeyKind,
        /// How the request is signed.
        scheme: Scheme,
    },
    /// The caller does not hold the key.
    #[error("The signature supplied in the request could not be verified: {0}")]
    Proof(SignatureError),
}

struct Hash(Scheme);

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.prehash() {
            Some(hash) => write!(f, "{}", hash.name().to_uppercase()),
            None => f.write_str("no hash"),
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

    /// The key, if the caller proved to hold it.
    pub(super) fn proven(&self, challenge: &str) -> Result<&PublicKey, RequestError> {
        match self {
            Self::Key { key, proof } => {
                acceptable(key)?;
                key.verify(Scheme::default_for(key.kind()), challenge.as_bytes(), proof)
                    .map_err(RequestError::Proof)?;
                Ok(key)
            }
            Self::Csr(csr) => {
                let (key, scheme) = (csr.public_key(), csr.scheme());
                acceptable(key)?;
                if scheme != Scheme::default_for(key.kind()) {
                    return Err(RequestError::Algorithm { kind: key.kind(), scheme });
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

fn acceptable(key: &PublicKey) -> Result<(), RequestError> {
    match key.kind() {
        KeyKind::Rsa { bits: 2048 | 3072 | 4096 } => Ok(()),
        KeyKind::Rsa { bits } => Err(RequestError::RsaSize(bits)),
        KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521 | KeyKind::Ed25519 => Ok(()),
        // No log takes a signature by such a key: the certificate could not be used.
        kind @ (KeyKind::MlDsa44 | KeyKind::MlDsa65 | KeyKind::MlDsa87) => {
            Err(RequestError::Algorithm { kind, scheme: Scheme::default_for(kind) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealog_crypto::{PrivateKey, Signer as _};

    #[test]
    fn a_proof_is_over_the_challenge_by_the_key() {
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let pem = key.public_key().to_pem();
        let asked = Asked::key(pem.as_bytes(), key.sign(b"jane@example.com").unwrap()).unwrap();
        assert_eq!(asked.proven("jane@example.com").unwrap(), key.public_key());
        assert!(matches!(asked.proven("john@example.com"), Err(RequestError::Proof(_))));
        let other = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let asked = Asked::key(pem.as_bytes(), other.sign(b"jane@example.com").unwrap()).unwrap();
        assert!(matches!(asked.proven("jane@example.com"), Err(RequestError::Proof(_))));
    }

    #[test]
    fn a_request_is_signed_by_its_own_key() {
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let mut der = Csr::build(&key).unwrap();
        let pem = |der: &[u8]| Csr::pem_of(der);
        assert!(Asked::csr(pem(&der).as_bytes()).unwrap().proven("").is_ok());
        let last = der.last_mut().unwrap();
        *last ^= 1;
        assert!(Asked::csr(pem(&der).as_bytes()).unwrap().proven("").is_err());
        assert!(matches!(Asked::csr(b"nonsense"), Err(RequestError::Csr(_))));
    }
}
