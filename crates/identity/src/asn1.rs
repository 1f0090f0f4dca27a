//! The little DER (X.690) that JOSE leaves to its readers: keys and ECDSA signatures in ASN.1 form.
//!
//! JWK gives a key's numbers and JWS gives `r || s`; `crypto` takes SubjectPublicKeyInfo (RFC 5280,
//! RFC 5480, RFC 8017) and ECDSA-Sig-Value. Only numbers of keys that `crypto` checked are read.

use alloc::vec::Vec;

pub(crate) const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
pub(crate) const SEQUENCE: u8 = 0x30;

/// AlgorithmIdentifier of id-ecPublicKey with secp256r1, secp384r1 and secp521r1; of rsaEncryption.
pub(crate) const EC_P256: &[u8] =
    &[0x30, 0x13, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
pub(crate) const EC_P384: &[u8] =
    &[0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 34];
pub(crate) const EC_P521: &[u8] =
    &[0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 35];
const RSA_ENCRYPTION: &[u8] = &[0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];

/// SubjectPublicKeyInfo of an algorithm (above) and the key's bits.
pub(crate) fn spki(algorithm: &[u8], key_bits: &[u8]) -> Vec<u8> {
    let bits = wrap(BIT_STRING, &[&[0], key_bits]);
    wrap(SEQUENCE, &[algorithm, &bits])
}

/// SubjectPublicKeyInfo of an RSA key's numbers, big endian.
pub(crate) fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    spki(RSA_ENCRYPTION, &wrap(SEQUENCE, &[&integer(modulus), &integer(exponent)]))
}

/// ECDSA-Sig-Value of `r` and `s`, big endian.
pub(crate) fn ecdsa_signature(r: &[u8], s: &[u8]) -> Vec<u8> {
    wrap(SEQUENCE, &[&integer(r), &integer(s)])
}

/// A non-negative INTEGER of big-endian bytes, in its shortest form.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let digits = without_leading_zeros(bytes);
    match digits.first() {
        Some(first) if *first < 0x80 => wrap(INTEGER, &[digits]),
        _ => wrap(INTEGER, &[&[0], digits]),
    }
}

/// The same number in fewer bytes.
pub(crate) fn without_leading_zeros(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

/// The content of the element at the front, and what follows it; none unless it has this tag.
pub(crate) fn read(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    if *found != tag {
        return None;
    }
    if *first < 0x80 {
        return rest.split_at_checked(usize::from(*first));
    }
    let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    let mut length = [0; size_of::<usize>()];
    let start = length.len().checked_sub(digits.len())?;
    length.get_mut(start..)?.copy_from_slice(digits);
    rest.split_at_checked(usize::from_be_bytes(length))
}

fn wrap(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len().to_be_bytes();
    let mut out = alloc::vec![tag];
    match u8::try_from(content.len()) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let digits: Vec<u8> = length.iter().copied().skip_while(|b| *b == 0).collect();
            // At most eight digits, so the count fits beside the long-form bit.
            out.push(0x80 | u8::try_from(digits.len()).unwrap_or(0));
            out.extend_from_slice(&digits);
        }
    }
    out.extend_from_slice(&content);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_positive_and_shortest() {
        assert_eq!(integer(&[0, 0, 1]), [2, 1, 1]);
        assert_eq!(integer(&[0x80]), [2, 2, 0, 0x80]);
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
    }

    #[test]
    fn lengths_past_127_take_the_long_form() {
        assert_eq!(wrap(4, &[&[7; 127]]).get(..2), Some([4, 127].as_slice()));
        assert_eq!(wrap(4, &[&[7; 128]]).get(..3), Some([4, 0x81, 128].as_slice()));
        assert_eq!(wrap(4, &[&[7; 300]]).get(..4), Some([4, 0x82, 1, 44].as_slice()));
    }
}
