//! Which bytes are a signature.

use super::*;

const KINDS: [KeyKind; 8] = [
    KeyKind::EcdsaP256,
    KeyKind::EcdsaP384,
    KeyKind::EcdsaP521,
    KeyKind::Rsa { bits: 2048 },
    KeyKind::Ed25519,
    KeyKind::MlDsa44,
    KeyKind::MlDsa65,
    KeyKind::MlDsa87,
];

#[test]
fn what_aws_lc_signs_both_take_and_what_is_damaged_neither() {
    for kind in KINDS {
        let (key, both) = pair(kind);
        let (_, stranger) = pair(kind);
        for scheme in schemes_of(kind) {
            let signature = key.sign_with(scheme, MESSAGE).unwrap();
            both.accepts(scheme, &signature, "as signed");
            stranger.refuses(scheme, &signature, "another key");
            let elsewhere = both.verify(scheme, b"what is not signed", &signature);
            assert_eq!(elsewhere, Err(SignatureError::Invalid));
            both.refuses(scheme, &[], "empty");
            both.refuses(scheme, &signature[..signature.len() - 1], "one byte short");
            both.refuses(scheme, &[&signature[..], &[0]].concat(), "a zero behind");
            both.refuses(scheme, &[&[0], &signature[..]].concat(), "a zero in front");
            both.refuses(scheme, &vec![0; signature.len()], "all zeros");
            both.refuses(scheme, &vec![0xff; signature.len()], "all ones");
            // ML-DSA's are thousands of bytes; its last hundred or so encode the hint.
            let step = 1 + signature.len() / 100;
            let tail = signature.len().saturating_sub(60);
            for at in (0..tail).step_by(step).chain(tail..signature.len()) {
                for bit in [0x01, 0x80] {
                    let mut damaged = signature.clone();
                    damaged[at] ^= bit;
                    both.refuses(scheme, &damaged, &format!("byte {at}"));
                }
            }
            for other in schemes_of(kind).into_iter().filter(|other| *other != scheme) {
                both.refuses(other, &signature, &format!("made with {scheme}"));
            }
        }
        for scheme in KINDS.into_iter().flat_map(schemes_of).filter(|scheme| !scheme.fits(kind)) {
            let wrong = Err(SignatureError::WrongScheme { kind, scheme });
            assert_eq!(both.verify(scheme, MESSAGE, b"any"), wrong);
        }
    }
}

#[test]
fn what_openssl_signs_both_take() {
    let openssl = OpenSsl::new("signs");
    let ecdsa =
        ["P-256", "P-384", "P-521"].map(|curve| format!("-algorithm EC -pkeyopt ec_paramgen_curve:{curve}"));
    for options in &ecdsa {
        let both = Both::parse(&openssl.key(options)).unwrap();
        for hash in HashAlgorithm::ALL {
            both.accepts(Scheme::Ecdsa(hash), &openssl.sign(&format!("-{hash}")), options);
        }
    }
    // Sizes that are no multiple of 8 have a PSS encoding of another length than the modulus.
    for bits in [2048, 2049, 2055, 3072] {
        let both =
            Both::parse(&openssl.key(&format!("-algorithm RSA -pkeyopt rsa_keygen_bits:{bits}"))).unwrap();
        for hash in HashAlgorithm::ALL {
            both.accepts(Scheme::RsaPkcs1(hash), &openssl.sign(&format!("-{hash}")), "PKCS#1 v1.5");
            let pss = format!("-{hash} -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen");
            both.accepts(Scheme::RsaPss(hash), &openssl.sign(&format!("{pss}:digest")), "PSS");
            both.refuses(Scheme::RsaPss(hash), &openssl.sign(&format!("{pss}:20")), "a salt of 20 bytes");
            both.refuses(Scheme::RsaPss(hash), &openssl.sign(&format!("{pss}:0")), "no salt");
            let mask = if hash == HashAlgorithm::Sha256 { "sha1" } else { "sha256" };
            let mixed = openssl.sign(&format!("{pss}:digest -sigopt rsa_mgf1_md:{mask}"));
            both.refuses(Scheme::RsaPss(hash), &mixed, "another hash in the mask");
        }
        both.refuses(Scheme::RsaPkcs1(HashAlgorithm::Sha256), &openssl.sign("-sha1"), "SHA-1");
    }
    let both = Both::parse(&openssl.key("-algorithm ED25519")).unwrap();
    both.accepts(Scheme::Ed25519, &openssl.run("pkeyutl -sign -rawin -inkey key -in message"), "Ed25519");
}

const ORDERS: [&str; 3] = [
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d0\
     3bb5c9b8899c47aebb6fb71e91386409",
];

/// The two numbers of a signature in DER, in full length.
fn numbers(signature: &[u8], length: usize) -> (Vec<u8>, Vec<u8>) {
    let at = if signature[1] == 0x81 { 3 } else { 2 };
    let take = |at: usize| {
        let end = at + 2 + usize::from(signature[at + 1]);
        let digits = digits(&signature[at + 2..end]);
        ([&vec![0; length - digits.len()][..], digits].concat(), end)
    };
    let (r, next) = take(at);
    (r, take(next).0)
}

#[test]
fn ecdsa_signatures_are_two_positive_numbers_below_the_order_in_der() {
    for (kind, order) in CURVES.into_iter().zip(ORDERS) {
        let (key, both) = pair(kind);
        let scheme = key.scheme();
        let order = hex::decode(order).unwrap();
        let write = |r: &[u8], s: &[u8]| der(0x30, &[integer(r), integer(s)].concat());
        // Several, so that both lengths of INTEGER are met.
        for _ in 0..16 {
            let signature = key.sign(MESSAGE).unwrap();
            let (r, s) = numbers(&signature, order.len());
            assert_eq!(write(&r, &s), signature);
            // (r, n − s) verifies whenever (r, s) does, and no peer refuses it.
            both.accepts(scheme, &write(&r, &difference(&order, &s)), "n − s");
            let refuse = |bytes: &[u8], why: &str| both.refuses(scheme, bytes, why);
            refuse(&write(&r, &sum(&s, &order)), "s + n");
            refuse(&write(&sum(&r, &order), &s), "r + n");
            refuse(&write(&r, &order), "s = n");
            refuse(&write(&order, &s), "r = n");
            refuse(&write(&r, &[]), "s = 0");
            refuse(&write(&[], &s), "r = 0");
            refuse(&write(&s, &r), "swapped");
            let (r_der, s_der) = (integer(&r), integer(&s));
            let padded = |number: &[u8]| der(2, &[&[0], &integer(number)[2..]].concat());
            refuse(&der(0x30, &[padded(&r), s_der.clone()].concat()), "r padded");
            refuse(&der(0x30, &[r_der.clone(), padded(&s)].concat()), "s padded");
            if digits(&r)[0] & 0x80 != 0 {
                refuse(&der(0x30, &[der(2, digits(&r)), s_der.clone()].concat()), "r negative");
            }
            if digits(&s)[0] & 0x80 != 0 {
                refuse(&der(0x30, &[r_der.clone(), der(2, digits(&s))].concat()), "s negative");
            }
            refuse(&der(0x30, &[&r_der[..], &s_der, &[0]].concat()), "a byte behind s");
            refuse(&der(0x30, &[&r_der[..], &s_der, &s_der].concat()), "a third number");
            refuse(&der(0x31, &[r_der.clone(), s_der.clone()].concat()), "a SET");
            refuse(&[&signature[..], &[5, 0]].concat(), "a NULL behind");
            let content = [r_der, s_der].concat();
            let length = u8::try_from(content.len()).unwrap();
            let longer = if length < 0x80 { vec![0x30, 0x81, length] } else { vec![0x30, 0x82, 0, length] };
            refuse(&[longer, content.clone()].concat(), "a length longer than needed");
            refuse(&[&[0x30, 0x80], &content[..], &[0, 0]].concat(), "of indefinite length");
            refuse(&[r, s].concat(), "side by side");
        }
    }
}

#[test]
fn rsa_signatures_have_the_moduluss_length_and_are_below_it() {
    // Below a modulus this small there is room for s + n a third of the time or more.
    let (key, both, modulus) = loop {
        let (key, both) = pair(KeyKind::Rsa { bits: 2048 });
        let modulus = key.public_key().key_bits()[9..9 + 256].to_vec();
        if modulus[0] < 0xc0 {
            break (key, both, modulus);
        }
    };
    for scheme in schemes_of(KeyKind::Rsa { bits: 2048 }) {
        let mut beyond = 0;
        for round in 0..40u8 {
            let message = [round];
            let signature = key.sign_with(scheme, &message).unwrap();
            let more = sum(&signature, &modulus);
            beyond += usize::from(more.len() == 256);
            assert_eq!(both.verify(scheme, &message, &more), Err(SignatureError::Invalid));
            let shorter = digits(&signature);
            if shorter.len() < 256 {
                assert_eq!(both.verify(scheme, &message, shorter), Err(SignatureError::Invalid));
            }
        }
        assert!(beyond > 0);
        both.refuses(scheme, &modulus, "s = n");
        let mut one = vec![0; 256];
        one[255] = 1;
        both.refuses(scheme, &one, "s = 1");
    }
}

/// PKCS#1 v1.5 blocks that differ from the one right block (RFC 8017 §9.2), signed by the real key.
#[test]
fn a_pkcs1_block_has_one_right_form() {
    let openssl = OpenSsl::new("blocks");
    let both = Both::parse(&openssl.key("-algorithm RSA -pkeyopt rsa_keygen_bits:2048")).unwrap();
    let scheme = Scheme::RsaPkcs1(HashAlgorithm::Sha256);
    let digest = HashAlgorithm::Sha256.digest(MESSAGE);
    let oid = hex::decode("0609608648016503040201").unwrap();
    let info = |algorithm: &[u8]| der(0x30, &[der(0x30, algorithm), der(4, digest.as_bytes())].concat());
    let right = info(&[&oid[..], &[5, 0]].concat());
    let block = |kind: u8, fill: u8, info: &[u8], behind: &[u8]| {
        let filled = vec![fill; 256 - 3 - info.len() - behind.len()];
        std::fs::write(openssl.0.join("block"), [&[0, kind], &filled[..], &[0], info, behind].concat())
            .unwrap();
        openssl.run("pkeyutl -decrypt -inkey key -in block -pkeyopt rsa_padding_mode:none")
    };
    both.accepts(scheme, &block(1, 0xff, &right, &[]), "the right block");
    both.refuses(scheme, &block(1, 0xff, &info(&oid), &[]), "without NULL");
    both.refuses(scheme, &block(2, 0xff, &right, &[]), "block type 2");
    both.refuses(scheme, &block(0, 0xff, &right, &[]), "block type 0");
    both.refuses(scheme, &block(1, 0xfe, &right, &[]), "another padding");
    both.refuses(scheme, &block(1, 0xff, &right, &[0; 32]), "bytes behind (Bleichenbacher's forgery)");
    both.refuses(scheme, &block(1, 0xff, digest.as_bytes(), &[]), "the digest alone");
    let long = [&[0x30, 0x81, 0x31][..], &right[2..]].concat();
    both.refuses(scheme, &block(1, 0xff, &long, &[]), "a length longer than needed");
}

#[test]
fn an_ed25519_s_is_below_the_order() {
    let mut order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    order.reverse();
    let (key, both) = pair(KeyKind::Ed25519);
    for scheme in [Scheme::Ed25519, Scheme::Ed25519ph] {
        let signature = key.sign_with(scheme, MESSAGE).unwrap();
        let (r, s) = signature.split_at(32);
        let big_endian: Vec<u8> = s.iter().rev().copied().collect();
        let mut more = big_endian.clone();
        // 2²⁵³ and more is refused by its top bits, S + L and a few more only by comparison.
        for times in 1..=15 {
            more = sum(&more, &order);
            let mut little: Vec<u8> = more.iter().rev().copied().collect();
            little.resize(32, 0);
            both.refuses(scheme, &[r, &little].concat(), &format!("S + {times} L"));
        }
        // R = identity and S = 0 would pass under a key of small order.
        let mut neutral = [0; 64];
        neutral[0] = 1;
        both.refuses(scheme, &neutral, "the neutral element");
        let mut beyond = [0xff; 32];
        (beyond[0], beyond[31]) = (0xee, 0x7f);
        both.refuses(scheme, &[&beyond, s].concat(), "R not canonical");
    }
}
