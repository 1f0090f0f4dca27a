//! A dropped signing key leaves no copy of its scalar in the process's memory.
//!
//! The test knows the scalar only as an exclusive-or with a mask, so that it does not itself keep what
//! it looks for, and shows first that the search finds a key that is still alive.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sealog_crypto::{KeyKind, PrivateKey, Signer as _, Zeroize as _, random_array};
use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    os::unix::fs::FileExt as _,
};

/// The 32 bytes after `ECPrivateKey ::= SEQUENCE { version 1, privateKey OCTET STRING (32) …`.
const SCALAR_PREFIX: &[u8] = &[0x02, 0x01, 0x01, 0x04, 0x20];

struct Masked {
    scalar: [u8; 32],
    mask: [u8; 32],
}

impl Masked {
    /// How often the scalar stands in writable memory, in either byte order.
    fn count_in_memory(&self) -> usize {
        let maps = BufReader::new(File::open("/proc/self/maps").unwrap());
        let memory = File::open("/proc/self/mem").unwrap();
        let mut count = 0;
        for line in maps.lines() {
            let line = line.unwrap();
            let mut fields = line.split_whitespace();
            let (range, access) = (fields.next().unwrap(), fields.next().unwrap());
            if !access.starts_with("rw") || line.ends_with("[vvar]") {
                continue;
            }
            let (from, to) = range.split_once('-').unwrap();
            let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
            let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
            if memory.read_exact_at(&mut bytes, from).is_err() {
                continue;
            }
            count += bytes.windows(32).filter(|w| self.is(w.iter()) || self.is(w.iter().rev())).count();
            bytes.zeroize();
        }
        count
    }

    fn is<'a>(&self, window: impl Iterator<Item = &'a u8>) -> bool {
        window.zip(self.scalar.iter().zip(&self.mask)).all(|(found, (s, m))| *found == s ^ m)
    }
}

#[test]
fn a_dropped_key_leaves_no_scalar_behind() {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let mask = random_array::<32>().unwrap();
    let mut masked = Masked { scalar: [0; 32], mask };
    {
        let der = key.to_pkcs8_der().unwrap();
        let at =
            der.windows(SCALAR_PREFIX.len()).position(|w| w == SCALAR_PREFIX).unwrap() + SCALAR_PREFIX.len();
        for (to, (byte, m)) in masked.scalar.iter_mut().zip(der[at..at + 32].iter().zip(&mask)) {
            *to = byte ^ m;
        }
    }
    let signature = key.sign(b"what this key was made for").unwrap();
    key.public_key().verify(key.scheme(), b"what this key was made for", &signature).unwrap();
    assert!(masked.count_in_memory() > 0, "the search must find a key that is alive");
    drop(key);
    assert_eq!(masked.count_in_memory(), 0, "copies of the scalar after the key was dropped");
}
