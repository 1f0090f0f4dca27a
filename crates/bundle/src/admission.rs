//! Which requests a log takes in (rekor-v2-spec.md §5, wire order kept): from a request to the entry
//! that is stored, or the reason why not.
//!
//! A certificate's chain, validity and names are not looked at: the log witnesses that a key signed a
//! digest, verifiers decide whose key it was.

use crate::{
    dsse,
    entry::{HashedRekord, MAX_ENTRY_BYTES, Verifier},
    key_details::KeyDetails,
    request::CreateEntryRequest,
};
use alloc::vec::Vec;
use sealog_crypto::{Digest, DigestError, KeyError, KeyKind, PublicKey, SignatureError};
use sealog_pki::{Certificate, CertificateError};

/// The algorithms a log takes unless told otherwise: those every verifier checks.
pub const DEFAULT_ALGORITHMS: [KeyDetails; 7] = [
    KeyDetails::RsaPkcs1v15_2048Sha256,
    KeyDetails::RsaPkcs1v15_3072Sha256,
    KeyDetails::RsaPkcs1v15_4096Sha256,
    KeyDetails::EcdsaP256Sha256,
    KeyDetails::EcdsaP384Sha384,
    KeyDetails::EcdsaP521Sha512,
    KeyDetails::Ed25519Ph,
];

/// An entry that may be logged: its form and its signature were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    entry: HashedRekord,
    canonical: Vec<u8>,
}

impl Admitted {
    /// The entry.
    #[must_use]
    pub const fn entry(&self) -> &HashedRekord {
        &self.entry
    }

    /// The bytes to store.
    #[must_use]
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }

    /// The bytes to store, given away.
    #[must_use]
    pub fn into_canonical(self) -> Vec<u8> {
        self.canonical
    }
}

/// Why a request is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// An envelope with other than one signature and one verifier: which one is meant cannot be known.
    #[error("an envelope with one signature and one verifier is expected, not {signatures} and {verifiers}")]
    OneSignature {
        /// Signatures found.
        signatures: usize,
        /// Verifiers found.
        verifiers: usize,
    },
    /// The certificate cannot be parsed.
    #[error("the certificate cannot be read: {0}")]
    Certificate(#[from] CertificateError),
    /// The key cannot be used.
    #[error("the public key cannot be used: {0}")]
    Key(#[from] KeyError),
    /// An RSA key in an encoding that RFC 3279 §2.3.1 does not have, and Go's readers do not take: its entry would
    /// verify in some places only.
    #[error("the algorithm of an RSA key has the parameters NULL, and no others")]
    RsaParameters,
    /// An algorithm this log does not take.
    #[error("{0} signatures are not taken in by this log")]
    Algorithm(KeyDetails),
    /// The algorithm is for another kind of key.
    #[error("{details} does not go with an {found} key")]
    WrongKey {
        /// The algorithm named.
        details: KeyDetails,
        /// The key given.
        found: KeyKind,
    },
    /// A digest of the wrong length.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The signature is not by this key over this digest.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// More than an entry bundle can hold.
    #[error("the entry would have {found} bytes, more than {MAX_ENTRY_BYTES}")]
    TooLong {
        /// The length.
        found: usize,
    },
}

/// Decides whether a request is taken in, and as what.
///
/// # Errors
/// See [`AdmissionError`].
pub fn admit(request: CreateEntryRequest, allowed: &[KeyDetails]) -> Result<Admitted, AdmissionError> {
    // 1. One signature, one verifier; that they are not empty was seen when the request was read.
    let (digest_or_pae, signature, verifier, key_details) = match request {
        CreateEntryRequest::HashedRekord(r) => (Ok(r.digest), r.signature, r.verifier, r.key_details),
        CreateEntryRequest::Dsse(request) => {
            let pae = dsse::pae(&request.envelope.payload_type, &request.envelope.payload);
            let (signatures, verifiers) = (request.envelope.signatures, request.verifiers);
            let counts =
                AdmissionError::OneSignature { signatures: signatures.len(), verifiers: verifiers.len() };
            let (Ok([signature]), Ok([(verifier, key_details)])) =
                (<[_; 1]>::try_from(signatures), <[_; 1]>::try_from(verifiers))
            else {
                return Err(counts);
            };
            (Err(pae), signature.sig, verifier, key_details)
        }
    };
    // 2. The key.
    let key = public_key(&verifier)?;
    if matches!(key.kind(), KeyKind::Rsa { .. }) {
        let usual = PublicKey::from_pkcs1_der(key.key_bits())?;
        if usual.spki_der() != key.spki_der() {
            return Err(AdmissionError::RsaParameters);
        }
    }
    // 3. The algorithm, and that it goes with the key.
    let scheme = key_details.scheme().filter(|_| allowed.contains(&key_details));
    let scheme = scheme.ok_or(AdmissionError::Algorithm(key_details))?;
    let hash = scheme.prehash().ok_or(AdmissionError::Algorithm(key_details))?;
    if !key_details.fits(&key) {
        return Err(AdmissionError::WrongKey { details: key_details, found: key.kind() });
    }
    // 4. The digest's length.
    let digest = match digest_or_pae {
        Ok(digest) => Digest::new(hash, &digest)?,
        Err(pae) => hash.digest(&pae),
    };
    // 5. The signature.
    key.verify_digest(scheme, &digest, &signature)?;
    // 6. The length.
    let entry = HashedRekord { digest, signature, verifier, key_details };
    let canonical = entry.canonical();
    if canonical.len() > MAX_ENTRY_BYTES {
        return Err(AdmissionError::TooLong { found: canonical.len() });
    }
    Ok(Admitted { entry, canonical })
}

/// The key a verifier stands for.
///
/// # Errors
/// When the certificate or the key cannot be read.
pub fn public_key(verifier: &Verifier) -> Result<PublicKey, AdmissionError> {
    Ok(match verifier {
        Verifier::PublicKey(spki) => PublicKey::from_spki_der(spki)?,
        Verifier::Certificate(der) => Certificate::from_der(der)?.public_key()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        dsse::{Envelope, EnvelopeSignature},
        request::{DsseRequest, HashedRekordRequest},
    };
    use alloc::vec;
    use sealog_crypto::{PrivateKey, Signer as _};

    fn request(kind: KeyKind, message: &[u8]) -> HashedRekordRequest {
        let key = PrivateKey::generate(kind).unwrap();
        let key_details = KeyDetails::default_for(key.public_key()).unwrap();
        HashedRekordRequest {
            digest: key_details.prehash().unwrap().digest(message).as_bytes().to_vec(),
            signature: key.sign(message).unwrap(),
            verifier: Verifier::PublicKey(key.public_key().spki_der().to_vec()),
            key_details,
        }
    }

    fn admit_hashed(request: HashedRekordRequest) -> Result<Admitted, AdmissionError> {
        admit(CreateEntryRequest::HashedRekord(request), &DEFAULT_ALGORITHMS)
    }

    #[test]
    fn a_good_request_becomes_its_canonical_entry() {
        for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384] {
            let request = request(kind, b"artifact");
            let admitted = admit_hashed(request.clone()).unwrap();
            let entry = HashedRekord::parse(admitted.canonical()).unwrap();
            assert_eq!(entry.signature, request.signature);
            assert_eq!(entry.digest.as_bytes(), request.digest);
        }
    }

    #[test]
    fn an_rsa_key_has_null_parameters() {
        let good = request(KeyKind::Rsa { bits: 2048 }, b"artifact");
        admit_hashed(good.clone()).unwrap();
        let Verifier::PublicKey(der) = &good.verifier else { panic!() };
        assert_eq!(&der[17..19], [0x05, 0x00], "NULL stands here: {:02x?}", &der[..20]);
        let mut other = der.clone();
        other[17] = 0x04;
        let mut none = der.clone();
        none.drain(17..19);
        none[5] -= 2;
        let length = u16::from_be_bytes([der[2], der[3]]) - 2;
        none[2..4].copy_from_slice(&length.to_be_bytes());
        for spki in [other, none] {
            // A key to whoever has it, but not one to log.
            PublicKey::from_spki_der(&spki).unwrap();
            let mut bad = good.clone();
            bad.verifier = Verifier::PublicKey(spki);
            assert_eq!(admit_hashed(bad), Err(AdmissionError::RsaParameters));
        }
    }

    #[test]
    fn an_envelope_becomes_a_hashedrekord_of_its_pae() {
        let pae = dsse::pae("type", b"payload");
        let signed = request(KeyKind::EcdsaP256, &pae);
        let signature = EnvelopeSignature { sig: signed.signature, keyid: "any".into() };
        let envelope = Envelope {
            payload: b"payload".to_vec(),
            payload_type: "type".into(),
            signatures: vec![signature],
        };
        let mut request = DsseRequest { envelope, verifiers: vec![(signed.verifier, signed.key_details)] };
        let admitted = admit(CreateEntryRequest::Dsse(request.clone()), &DEFAULT_ALGORITHMS).unwrap();
        assert_eq!(admitted.entry().digest.as_bytes(), signed.digest);
        request.envelope.signatures.push(request.envelope.signatures[0].clone());
        let two = admit(CreateEntryRequest::Dsse(request), &DEFAULT_ALGORITHMS);
        assert_eq!(two, Err(AdmissionError::OneSignature { signatures: 2, verifiers: 1 }));
    }

    #[test]
    fn each_rule_refuses() {
        let good = request(KeyKind::EcdsaP256, b"artifact");
        let mut bad = good.clone();
        bad.digest[0] ^= 1;
        assert!(matches!(admit_hashed(bad), Err(AdmissionError::Signature(_))));
        let mut bad = good.clone();
        bad.digest.pop();
        assert!(matches!(admit_hashed(bad), Err(AdmissionError::Digest(_))));
        let mut bad = good.clone();
        bad.key_details = KeyDetails::EcdsaP384Sha384;
        assert!(matches!(admit_hashed(bad), Err(AdmissionError::WrongKey { .. })));
        let mut bad = good.clone();
        bad.key_details = KeyDetails::Ed25519;
        assert!(matches!(admit_hashed(bad), Err(AdmissionError::Algorithm(KeyDetails::Ed25519))));
        let mut bad = good.clone();
        bad.verifier = Verifier::PublicKey(b"no key".to_vec());
        assert!(matches!(admit_hashed(bad), Err(AdmissionError::Key(_))));
        let mut bad = good.clone();
        bad.verifier = Verifier::Certificate(b"no certificate".to_vec());
        assert!(matches!(admit_hashed(bad), Err(AdmissionError::Certificate(_))));
        let only_rsa = [KeyDetails::RsaPkcs1v15_2048Sha256];
        let refused = admit(CreateEntryRequest::HashedRekord(good), &only_rsa);
        assert!(matches!(refused, Err(AdmissionError::Algorithm(KeyDetails::EcdsaP256Sha256))));
    }
}
