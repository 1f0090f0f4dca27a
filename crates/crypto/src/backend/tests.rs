//! Both backends, asked side by side: what one takes the other takes, and both refuse alike.
//!
//! Signatures come from `aws-lc-rs` and from OpenSSL; what must be refused is made from them.

extern crate std;

use super::{aws_lc, rust_crypto};
use crate::{
    HashAlgorithm, KeyError, KeyKind, PrivateKey, Scheme, SignatureError, Signer as _, key::Checked,
};
use alloc::{format, string::String, vec, vec::Vec};
use std::{path::PathBuf, process::Command};

mod keys;
mod signatures;

const MESSAGE: &[u8] = b"what is signed";

/// One key in both backends.
struct Both(Checked<aws_lc::Key>, Checked<rust_crypto::Key>);

impl Both {
    fn parse(der: &[u8]) -> Result<Self, KeyError> {
        match (Checked::parse(der), Checked::parse(der)) {
            (Ok(one), Ok(other)) => Ok(Self(one, other)),
            (one, other) => {
                let (one, other) = (one.map(|_| ()), other.map(|_| ()));
                assert_eq!(one, other, "aws-lc-rs and RustCrypto disagree about a key: {}", hex::encode(der));
                Err(one.unwrap_err())
            }
        }
    }

    fn verify(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let one = self.0.verify(scheme, message, signature);
        let other = self.1.verify(scheme, message, signature);
        assert_eq!(one, other, "aws-lc-rs and RustCrypto disagree: {scheme}, {}", hex::encode(signature));
        if let Some(hash) = scheme.prehash() {
            let digest = hash.digest(message);
            assert_eq!(self.0.verify_digest(scheme, &digest, signature), one);
            assert_eq!(self.1.verify_digest(scheme, &digest, signature), one);
        }
        one
    }

    fn accepts(&self, scheme: Scheme, signature: &[u8], why: &str) {
        assert_eq!(self.verify(scheme, MESSAGE, signature), Ok(()), "{scheme}: {why}");
    }

    fn refuses(&self, scheme: Scheme, signature: &[u8], why: &str) {
        let refused = self.verify(scheme, MESSAGE, signature);
        assert_eq!(refused, Err(SignatureError::Invalid), "{scheme}: {why}");
    }
}

fn pair(kind: KeyKind) -> (PrivateKey, Both) {
    let key = PrivateKey::generate(kind).unwrap();
    let both = Both::parse(key.public_key().spki_der()).unwrap();
    (key, both)
}

const CURVES: [KeyKind; 3] = [KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::EcdsaP521];

/// Every scheme that keys of this kind sign with.
fn schemes_of(kind: KeyKind) -> Vec<Scheme> {
    let hashed = HashAlgorithm::ALL.into_iter();
    let hashed = hashed.flat_map(|h| [Scheme::Ecdsa(h), Scheme::RsaPkcs1(h), Scheme::RsaPss(h)]);
    let others = [Scheme::Ed25519, Scheme::Ed25519ph, Scheme::MlDsa44, Scheme::MlDsa65, Scheme::MlDsa87];
    hashed.chain(others).filter(|scheme| scheme.fits(kind)).collect()
}

/// Keys and signatures by the program of that name.
struct OpenSsl(PathBuf);

impl OpenSsl {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("sealog-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("message"), MESSAGE).unwrap();
        Self(folder)
    }

    fn run(&self, arguments: &str) -> Vec<u8> {
        let mut command = Command::new("openssl");
        let done = command.args(arguments.split_whitespace()).current_dir(&self.0).output().unwrap();
        assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    }

    /// Makes a new key; its SubjectPublicKeyInfo.
    fn key(&self, options: &str) -> Vec<u8> {
        self.run(&format!("genpkey {options} -out key"));
        self.run("pkey -in key -pubout -outform DER")
    }

    fn sign(&self, options: &str) -> Vec<u8> {
        self.run(&format!("dgst {options} -sign key message"))
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// A DER element with a length in one to three octets.
fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let [high, low] = length.to_be_bytes();
    let mut out = match length {
        0..=127 => vec![tag, low],
        128..=255 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    out.extend_from_slice(content);
    out
}

/// An INTEGER as DER wants it.
fn integer(number: &[u8]) -> Vec<u8> {
    let digits = digits(number);
    let sign = if digits.first().is_none_or(|first| first & 0x80 != 0) { &[0][..] } else { &[] };
    der(2, &[sign, digits].concat())
}

/// Without leading zeros.
fn digits(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

/// a + b, big-endian, with a carry in front if there is one.
fn sum(a: &[u8], b: &[u8]) -> Vec<u8> {
    let length = a.len().max(b.len()) + 1;
    let byte = |number: &[u8], at: usize| number.iter().rev().nth(at).copied().map_or(0, u16::from);
    let mut out = vec![0; length];
    let mut carry = 0;
    for at in 0..length {
        let total = byte(a, at) + byte(b, at) + carry;
        out[length - 1 - at] = u8::try_from(total & 0xff).unwrap();
        carry = total >> 8;
    }
    digits(&out).to_vec()
}

/// a − b, big-endian, where a is larger and both are of one length.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut out = vec![0; a.len()];
    let mut borrow = 0;
    for at in (0..a.len()).rev() {
        let total = i16::from(a[at]) - i16::from(b[at]) - borrow;
        borrow = i16::from(total < 0);
        out[at] = u8::try_from(total + 256 * borrow).unwrap();
    }
    out
}
