//! Keys and signatures as security modules and cloud services give them: bare points, bare numbers, r ‖ s.
//!
//! PKCS#11 v3.0 §2.3.3 (CKA_EC_POINT), §2.3.1 (ECDSA signatures), §2.1.2 (RSA public keys). Everything that
//! comes out is checked as any other key or signature is.

use crate::{KeyError, KeyKind, PublicKey, key::UNCOMPRESSED};
use alloc::vec::Vec;
use const_oid::db::{
    rfc5912::{ID_EC_PUBLIC_KEY, SECP_256_R_1, SECP_384_R_1, SECP_521_R_1},
    rfc8410::ID_ED_25519,
};
use der::{Encode as _, asn1::UintRef};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

impl KeyKind {
    /// Bytes of one coordinate on this kind's curve; none for kinds without a NIST curve.
    const fn coordinate_bytes(self) -> Option<usize> {
        match self {
            Self::EcdsaP256 => Some(32),
            Self::EcdsaP384 => Some(48),
            Self::EcdsaP521 => Some(66),
            _ => None,
        }
    }

    /// The curve's object identifier in DER, as CKA_EC_PARAMS has it; none for other kinds.
    #[must_use]
    pub fn curve_der(self) -> Option<Vec<u8>> {
        let curve = match self {
            Self::EcdsaP256 => SECP_256_R_1,
            Self::EcdsaP384 => SECP_384_R_1,
            Self::EcdsaP521 => SECP_521_R_1,
            Self::Ed25519 => ID_ED_25519,
            _ => return None,
        };
        curve.to_der().ok()
    }
}

impl PublicKey {
    /// The key of a point on this kind's curve, bare or within the OCTET STRING that PKCS#11 puts around it.
    ///
    /// # Errors
    /// [`KeyError::InvalidPoint`] when it is none.
    pub fn from_point(kind: KeyKind, bytes: &[u8]) -> Result<Self, KeyError> {
        let invalid = KeyError::InvalidPoint(kind);
        let length = match kind.coordinate_bytes() {
            Some(coordinate) => coordinate.saturating_mul(2).saturating_add(1),
            None if kind == KeyKind::Ed25519 => 32,
            None => return Err(invalid),
        };
        // Both forms may begin with 04; their lengths differ.
        let point = match bytes.len() == length {
            true => bytes,
            false => octet_string(bytes).filter(|inside| inside.len() == length).ok_or(invalid.clone())?,
        };
        if kind == KeyKind::Ed25519 {
            return Self::from_ed25519(point.try_into().map_err(|_| invalid)?);
        }
        if point.first() != Some(&UNCOMPRESSED) {
            return Err(invalid);
        }
        let curve = kind.curve_der().ok_or(KeyError::Malformed)?;
        let curve = der::asn1::AnyRef::try_from(curve.as_slice()).map_err(|_| KeyError::Malformed)?;
        let spki = SubjectPublicKeyInfoRef {
            algorithm: AlgorithmIdentifierRef { oid: ID_EC_PUBLIC_KEY, parameters: Some(curve) },
            subject_public_key: der::asn1::BitStringRef::from_bytes(point)
                .map_err(|_| KeyError::Malformed)?,
        };
        Self::from_spki_der(&spki.to_der().map_err(|_| KeyError::Malformed)?)
    }

    /// The RSA key of these big-endian numbers.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_rsa_numbers(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let numbers = [modulus, exponent].map(|number| UintRef::new(number).and_then(|n| n.to_der()));
        let [Ok(modulus), Ok(exponent)] = numbers else { return Err(KeyError::Malformed) };
        Self::from_pkcs1_der(&sequence(&[modulus, exponent].concat()).ok_or(KeyError::Malformed)?)
    }
}

/// An ECDSA signature in DER from its two numbers side by side, each as long as the curve's order.
#[must_use]
pub fn ecdsa_signature(kind: KeyKind, raw: &[u8]) -> Option<Vec<u8>> {
    let coordinate = kind.coordinate_bytes()?;
    if raw.len() != coordinate.checked_mul(2)? {
        return None;
    }
    let (r, s) = raw.split_at_checked(coordinate)?;
    let number = |bytes| UintRef::new(bytes).and_then(|n| n.to_der()).ok();
    sequence(&[number(r)?, number(s)?].concat())
}

fn octet_string(bytes: &[u8]) -> Option<&[u8]> {
    use der::Decode as _;
    <&der::asn1::OctetStringRef>::from_der(bytes).ok().map(der::asn1::OctetStringRef::as_bytes)
}

fn sequence(content: &[u8]) -> Option<Vec<u8>> {
    der::asn1::AnyRef::new(der::Tag::Sequence, content).and_then(|any| any.to_der()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PrivateKey, Scheme, Signer as _, key::rsa_numbers};

    #[test]
    fn points_come_bare_and_wrapped() {
        for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::EcdsaP521, KeyKind::Ed25519] {
            let key = PrivateKey::generate(kind).unwrap();
            let bare = key.public_key().key_bits();
            let wrapped = der::asn1::OctetStringRef::new(bare).unwrap().to_der().unwrap();
            assert_eq!(&PublicKey::from_point(kind, bare).unwrap(), key.public_key());
            assert_eq!(&PublicKey::from_point(kind, &wrapped).unwrap(), key.public_key());
            for wrong in [&wrapped[1..], &bare[1..], &[wrapped.as_slice(), &[0]].concat(), &[], &[4]] {
                assert!(PublicKey::from_point(kind, wrong).is_err(), "{kind} {}", wrong.len());
            }
            let mut off = bare.to_vec();
            let last = off.len() - 1;
            off[last] ^= 1;
            assert!(kind == KeyKind::Ed25519 || PublicKey::from_point(kind, &off).is_err(), "{kind}");
        }
        assert!(PublicKey::from_point(KeyKind::Rsa { bits: 2048 }, &[0; 65]).is_err());
    }

    #[test]
    fn rsa_numbers_become_a_key() {
        let key = PrivateKey::generate(KeyKind::Rsa { bits: 2048 }).unwrap();
        let (modulus, exponent) = rsa_numbers(key.public_key().key_bits()).unwrap();
        let padded = [&[0, 0], exponent.as_bytes()].concat();
        let made = PublicKey::from_rsa_numbers(modulus.as_bytes(), &padded).unwrap();
        assert_eq!(&made, key.public_key());
        assert!(PublicKey::from_rsa_numbers(modulus.as_bytes(), &[3]).is_err());
        assert!(PublicKey::from_rsa_numbers(&[], &[]).is_err());
    }

    #[test]
    fn raw_signatures_become_der() {
        // Many, so that numbers with a high bit and with leading zeros are among them.
        for kind in [KeyKind::EcdsaP256, KeyKind::EcdsaP521] {
            let key = PrivateKey::generate(kind).unwrap();
            for n in 0..300u16 {
                let message = n.to_be_bytes();
                let der = key.sign(&message).unwrap();
                let raw = raw_of(kind, &der);
                assert_eq!(ecdsa_signature(kind, &raw).unwrap(), der);
                key.public_key().verify(Scheme::default_for(kind), &message, &der).unwrap();
                assert!(ecdsa_signature(kind, &raw[1..]).is_none());
            }
        }
        assert!(ecdsa_signature(KeyKind::Ed25519, &[1; 64]).is_none());
    }

    fn raw_of(kind: KeyKind, der: &[u8]) -> Vec<u8> {
        use der::Decode as _;
        let numbers: Vec<UintRef<'_>> = Vec::from_der(der).unwrap();
        let width = kind.coordinate_bytes().unwrap();
        let mut raw = Vec::new();
        for number in numbers {
            raw.extend(core::iter::repeat_n(0, width - number.as_bytes().len()));
            raw.extend_from_slice(number.as_bytes());
        }
        raw
    }
}
