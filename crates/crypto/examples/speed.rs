//! How long verification takes with each kind of key, and how fast each library digests.
//!
//! `cargo run --release -p sealog-crypto --example speed`. The best of many short rounds is printed: on a
//! machine with other work, the mean says more of that work than of this.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement")]

use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use sealog_crypto::{HashAlgorithm, Hasher, KeyKind, PrivateKey, PublicKey, Scheme, Signer as _};
use sha2::Digest as _;
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const ROUNDS: u32 = 400;
const ROUND: Duration = Duration::from_millis(2);

/// Seconds per call: the fastest round's mean.
fn best(mut work: impl FnMut()) -> f64 {
    (0..ROUNDS).map(|_| round(&mut work)).fold(f64::MAX, f64::min)
}

/// The same of two that are measured in turns.
fn best_of_two(mut one: impl FnMut(), mut other: impl FnMut()) -> (f64, f64) {
    let rounds = (0..ROUNDS).map(|_| (round(&mut one), round(&mut other)));
    rounds.fold((f64::MAX, f64::MAX), |best, now| (best.0.min(now.0), best.1.min(now.1)))
}

fn round(work: &mut impl FnMut()) -> f64 {
    let (started, mut calls) = (Instant::now(), 0u32);
    while started.elapsed() < ROUND {
        work();
        calls += 1;
    }
    started.elapsed().as_secs_f64() / f64::from(calls)
}

/// What a key costs that the library parses again at every use.
fn library(kind: KeyKind, scheme: Scheme) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match (kind, scheme) {
        (KeyKind::EcdsaP256, Scheme::Ecdsa(HashAlgorithm::Sha256)) => &signature::ECDSA_P256_SHA256_ASN1,
        (KeyKind::EcdsaP384, Scheme::Ecdsa(HashAlgorithm::Sha384)) => &signature::ECDSA_P384_SHA384_ASN1,
        (KeyKind::EcdsaP384, Scheme::Ecdsa(HashAlgorithm::Sha256)) => &signature::ECDSA_P384_SHA256_ASN1,
        (KeyKind::EcdsaP521, Scheme::Ecdsa(HashAlgorithm::Sha512)) => &signature::ECDSA_P521_SHA512_ASN1,
        (KeyKind::Ed25519, Scheme::Ed25519) => &signature::ED25519,
        (KeyKind::Rsa { .. }, Scheme::RsaPkcs1(HashAlgorithm::Sha256)) => {
            &signature::RSA_PKCS1_2048_8192_SHA256
        }
        (KeyKind::Rsa { .. }, Scheme::RsaPss(HashAlgorithm::Sha256)) => &signature::RSA_PSS_2048_8192_SHA256,
        (KeyKind::MlDsa44, _) => &signature::ML_DSA_44,
        (KeyKind::MlDsa65, _) => &signature::ML_DSA_65,
        (KeyKind::MlDsa87, _) => &signature::ML_DSA_87,
        _ => return None,
    })
}

fn main() {
    let message = [7u8; 512];
    println!(
        "{:<12} {:<28} {:>9} {:>9} {:>9} {:>9}  (µs)",
        "key", "scheme", "parse", "verify", "unparsed", "sign"
    );
    let sha256 = HashAlgorithm::Sha256;
    for (kind, scheme) in [
        (KeyKind::EcdsaP256, Scheme::Ecdsa(sha256)),
        (KeyKind::EcdsaP384, Scheme::Ecdsa(HashAlgorithm::Sha384)),
        (KeyKind::EcdsaP384, Scheme::Ecdsa(sha256)),
        (KeyKind::EcdsaP521, Scheme::Ecdsa(HashAlgorithm::Sha512)),
        (KeyKind::Ed25519, Scheme::Ed25519),
        (KeyKind::Ed25519, Scheme::Ed25519ph),
        (KeyKind::Rsa { bits: 2048 }, Scheme::RsaPkcs1(sha256)),
        (KeyKind::Rsa { bits: 2048 }, Scheme::RsaPss(sha256)),
        (KeyKind::Rsa { bits: 4096 }, Scheme::RsaPkcs1(sha256)),
        (KeyKind::MlDsa44, Scheme::MlDsa44),
        (KeyKind::MlDsa65, Scheme::MlDsa65),
        (KeyKind::MlDsa87, Scheme::MlDsa87),
    ] {
        let key = PrivateKey::generate(kind).unwrap();
        let (public, der) = (key.public_key(), key.public_key().spki_der());
        let signature = key.sign_with(scheme, &message).unwrap();
        let parse = best(|| drop(PublicKey::from_spki_der(black_box(der)).unwrap()));
        let ours = || public.verify(scheme, black_box(&message), &signature).unwrap();
        let (verify, unparsed) = match library(kind, scheme) {
            Some(algorithm) => {
                let key = UnparsedPublicKey::new(algorithm, public.key_bits());
                best_of_two(ours, || key.verify(black_box(&message), &signature).unwrap())
            }
            None => (best(ours), f64::NAN),
        };
        let sign = best(|| drop(key.sign_with(scheme, black_box(&message)).unwrap()));
        let micros = |seconds: f64| seconds * 1e6;
        println!(
            "{:<12} {:<28} {:>9.1} {:>9.1} {:>9.1} {:>9.1}",
            kind.to_string(),
            scheme.to_string(),
            micros(parse),
            micros(verify),
            micros(unparsed),
            micros(sign)
        );
    }

    let chunk = vec![7u8; 64 << 10];
    let gib_per_second = |seconds: f64, bytes: usize| bytes as f64 / seconds / f64::from(1 << 30);
    let mut ours = Hasher::new(sha256);
    let mut pure = sha2::Sha256::new();
    let mut lc = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    println!("\nSHA-256, 64 KiB chunks (GiB/s)");
    let (rust, c) = best_of_two(|| pure.update(black_box(&chunk)), || lc.update(black_box(&chunk)));
    println!(
        "  sha2   {:.2}\n  aws-lc {:.2}",
        gib_per_second(rust, chunk.len()),
        gib_per_second(c, chunk.len())
    );
    let took = best(|| ours.update(black_box(&chunk)));
    println!("  Hasher {:.2}", gib_per_second(took, chunk.len()));
    println!("SHA-256 of 65 bytes (ns)");
    let node = [7u8; 65];
    let took = best(|| {
        black_box(sealog_crypto::sha256(black_box(&node)));
    });
    println!("  sha256 {:.0}", took * 1e9);
    let took = best(|| {
        black_box(sha2::Sha256::digest(black_box(&node)));
    });
    println!("  sha2   {:.0}", took * 1e9);
    let took = best(|| {
        black_box(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, black_box(&node)));
    });
    println!("  aws-lc {:.0}", took * 1e9);
    let mut pure = sha2::Sha512::new();
    let mut lc = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA512);
    let (rust, c) = best_of_two(|| pure.update(black_box(&chunk)), || lc.update(black_box(&chunk)));
    println!("SHA-512, 64 KiB chunks (GiB/s)");
    println!(
        "  sha2   {:.2}\n  aws-lc {:.2}",
        gib_per_second(rust, chunk.len()),
        gib_per_second(c, chunk.len())
    );
}
