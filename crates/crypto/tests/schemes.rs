//! Every scheme signs, verifies, and refuses what it must; keys outside the registry are refused.

use sealog_crypto::{
    Digest, HashAlgorithm, KeyError, KeyKind, PrivateKey, PublicKey, Scheme, SealError, SealingKey,
    SignError, SignatureError, Signer as _, sha256,
};
use std::{num::NonZeroU32, process::Command};

const KINDS: [KeyKind; 8] = [
    KeyKind::EcdsaP256,
    KeyKind::EcdsaP384,
    KeyKind::EcdsaP521,
    KeyKind::Ed25519,
    KeyKind::Rsa { bits: 2048 },
    KeyKind::MlDsa44,
    KeyKind::MlDsa65,
    KeyKind::MlDsa87,
];

/// Every scheme there is.
fn schemes() -> Vec<Scheme> {
    let hashed = HashAlgorithm::ALL.into_iter();
    let hashed = hashed.flat_map(|h| [Scheme::Ecdsa(h), Scheme::RsaPkcs1(h), Scheme::RsaPss(h)]);
    let others = [Scheme::Ed25519, Scheme::Ed25519ph, Scheme::MlDsa44, Scheme::MlDsa65, Scheme::MlDsa87];
    hashed.chain(others).collect()
}

fn signs(kind: KeyKind, scheme: Scheme) -> bool {
    match scheme {
        Scheme::Ecdsa(_) => matches!(kind, KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521),
        Scheme::RsaPkcs1(_) | Scheme::RsaPss(_) => matches!(kind, KeyKind::Rsa { .. }),
        Scheme::Ed25519 | Scheme::Ed25519ph => kind == KeyKind::Ed25519,
        Scheme::MlDsa44 => kind == KeyKind::MlDsa44,
        Scheme::MlDsa65 => kind == KeyKind::MlDsa65,
        Scheme::MlDsa87 => kind == KeyKind::MlDsa87,
    }
}

#[test]
fn every_kind_signs_in_every_way_of_its_own_and_in_no_other() {
    for kind in KINDS {
        let key = PrivateKey::generate(kind).unwrap();
        let public = key.public_key();
        for scheme in schemes() {
            let signed = key.sign_with(scheme, b"message");
            if !signs(kind, scheme) {
                assert_eq!(signed, Err(SignError::WrongScheme { kind, scheme }));
                assert_eq!(
                    public.verify(scheme, b"message", b"signature"),
                    Err(SignatureError::WrongScheme { kind, scheme })
                );
                continue;
            }
            let signature = signed.unwrap();
            public.verify(scheme, b"message", &signature).unwrap();
            let refused = public.verify(scheme, b"massage", &signature);
            assert_eq!(refused, Err(SignatureError::Invalid), "{kind} {scheme}");
            if let Some(hash) = scheme.prehash() {
                public.verify_digest(scheme, &hash.digest(b"message"), &signature).unwrap();
            } else {
                let digest = HashAlgorithm::Sha512.digest(b"message");
                let refused = public.verify_digest(scheme, &digest, &signature);
                let wrong = SignatureError::WrongDigest { scheme, found: HashAlgorithm::Sha512 };
                assert_eq!(refused, Err(wrong));
            }
            for other in schemes().into_iter().filter(|other| *other != scheme) {
                let refused = public.verify(other, b"message", &signature);
                assert!(refused.is_err(), "{kind}: {scheme} taken for {other}");
            }
        }
    }
}

/// The AlgorithmIdentifier of ML-DSA has no parameters, not even NULL (RFC 9881 §2), and the key has
/// one length.
#[test]
fn an_ml_dsa_key_in_another_form_is_refused() {
    for kind in [KeyKind::MlDsa44, KeyKind::MlDsa65, KeyKind::MlDsa87] {
        let key = PrivateKey::generate(kind).unwrap();
        let der = key.public_key().spki_der();
        assert_eq!(&der[6..8], [0x06, 0x09], "the OID begins here: {:02x?}", &der[..20]);
        let mut with_null = der.to_vec();
        with_null.splice(17..17, [0x05, 0x00]);
        with_null[5] += 2;
        let length = u16::from_be_bytes([der[2], der[3]]) + 2;
        with_null[2..4].copy_from_slice(&length.to_be_bytes());
        assert_eq!(PublicKey::from_spki_der(&with_null), Err(KeyError::Malformed));
        let mut other_kind = der.to_vec();
        other_kind[16] = if kind == KeyKind::MlDsa44 { 18 } else { 17 };
        assert!(matches!(PublicKey::from_spki_der(&other_kind), Err(KeyError::InvalidPoint(_))));
        let mut shorter = der[..der.len() - 1].to_vec();
        let length = u16::from_be_bytes([der[2], der[3]]) - 1;
        shorter[2..4].copy_from_slice(&length.to_be_bytes());
        let length = u16::from_be_bytes([der[19], der[20]]) - 1;
        shorter[19..21].copy_from_slice(&length.to_be_bytes());
        assert_eq!(PublicKey::from_spki_der(&shorter), Err(KeyError::InvalidPoint(kind)));
    }
}

#[test]
fn what_a_key_signs_it_verifies_and_nothing_else() {
    let other = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    for kind in KINDS {
        let key = PrivateKey::generate(kind).unwrap();
        assert_eq!(key.public_key().kind(), kind);
        let signature = key.sign(b"message").unwrap();
        let verify =
            |message: &[u8], signature: &[u8]| key.public_key().verify(key.scheme(), message, signature);
        verify(b"message", &signature).unwrap();
        assert_eq!(verify(b"massage", &signature), Err(SignatureError::Invalid), "{kind}");
        // Every byte of the short ones; ML-DSA has thousands.
        for at in (0..signature.len()).step_by(1 + signature.len() / 300) {
            let mut damaged = signature.clone();
            damaged[at] ^= 1;
            assert_eq!(verify(b"message", &damaged), Err(SignatureError::Invalid), "{kind} byte {at}");
        }
        assert!(verify(b"message", &[]).is_err());
        assert!(other.public_key().verify(key.scheme(), b"message", &signature).is_err());
        if let Some(hash) = key.scheme().prehash() {
            let digest = hash.digest(b"message");
            key.public_key().verify_digest(key.scheme(), &digest, &signature).unwrap();
            let wrong = hash.digest(b"massage");
            assert!(key.public_key().verify_digest(key.scheme(), &wrong, &signature).is_err());
            if matches!(kind, KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521) {
                verify(b"message", &key.sign_digest(&digest).unwrap()).unwrap();
                for other in HashAlgorithm::ALL.into_iter().filter(|other| *other != hash) {
                    assert!(key.sign_digest(&other.digest(b"message")).is_err());
                }
            }
        }
        let again = PrivateKey::from_pkcs8_der(&key.to_pkcs8_der().unwrap()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        assert_eq!(PublicKey::from_pem(&key.public_key().to_pem()).unwrap(), *key.public_key());
    }
}

#[test]
fn a_scheme_of_another_kind_of_key_is_named_as_such() {
    let key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
    let scheme = Scheme::Ecdsa(HashAlgorithm::Sha256);
    let wrong = Err(SignatureError::WrongScheme { kind: KeyKind::Ed25519, scheme });
    assert_eq!(key.public_key().verify(scheme, b"m", b"s"), wrong);
    assert_eq!(key.public_key().verify_digest(scheme, &HashAlgorithm::Sha256.digest(b"m"), b"s"), wrong);
    assert!(matches!(
        PrivateKey::generate(KeyKind::EcdsaP256).unwrap().public_key().verify_digest(
            scheme,
            &HashAlgorithm::Sha384.digest(b"m"),
            b"s"
        ),
        Err(SignatureError::WrongDigest { found: HashAlgorithm::Sha384, .. })
    ));
}

/// RFC 8032 §7.3.
#[test]
fn ed25519ph_agrees_with_the_rfc() {
    let point = hex::decode("ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf").unwrap();
    let signature = hex::decode(
        "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41\
         31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406",
    )
    .unwrap();
    let key = PublicKey::from_ed25519(&point.try_into().unwrap()).unwrap();
    key.verify(Scheme::Ed25519ph, b"abc", &signature).unwrap();
    assert!(key.verify(Scheme::Ed25519ph, b"abd", &signature).is_err());
    assert!(key.verify(Scheme::Ed25519, b"abc", &signature).is_err());
}

#[test]
fn openssl_keys_outside_the_registry_are_refused() {
    let spki = |args: &[&str]| {
        let key = Command::new("openssl").args(args).output().unwrap().stdout;
        let dir = std::env::temp_dir().join(format!("sealog-key-{}-{}", std::process::id(), args.len()));
        std::fs::write(&dir, key).unwrap();
        let out = Command::new("openssl")
            .args(["pkey", "-pubout", "-in", dir.to_str().unwrap()])
            .output()
            .unwrap()
            .stdout;
        std::fs::remove_file(dir).unwrap();
        PublicKey::from_pem(&String::from_utf8(out).unwrap())
    };
    let rsa =
        |bits: &str| spki(&["genpkey", "-algorithm", "RSA", "-pkeyopt", &format!("rsa_keygen_bits:{bits}")]);
    assert_eq!(rsa("1024"), Err(KeyError::WeakRsa { bits: 1024, exponent: 65537 }));
    assert_eq!(rsa("2048").unwrap().kind(), KeyKind::Rsa { bits: 2048 });
    let small_exponent = spki(&[
        "genpkey",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
        "-pkeyopt",
        "rsa_keygen_pubexp:3",
        "-quiet",
    ]);
    assert!(matches!(small_exponent, Err(KeyError::WeakRsa { exponent: 3, .. }) | Err(KeyError::NotPem)));
    let curve = |name: &str| {
        spki(&[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            &format!("ec_paramgen_curve:{name}"),
            "-text",
            "-outform",
            "PEM",
        ])
    };
    assert!(matches!(curve("secp256k1"), Err(KeyError::UnknownCurve(_))));
    assert_eq!(curve("P-521").unwrap().kind(), KeyKind::EcdsaP521);
    assert!(matches!(spki(&["genpkey", "-algorithm", "ED448"]), Err(KeyError::UnknownAlgorithm(_))));
}

#[test]
fn points_off_the_curve_are_refused() {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let mut der = key.public_key().spki_der().to_vec();
    *der.last_mut().unwrap() ^= 1;
    assert_eq!(PublicKey::from_spki_der(&der), Err(KeyError::InvalidPoint(KeyKind::EcdsaP256)));
    assert_eq!(PublicKey::from_spki_der(b"not DER"), Err(KeyError::Malformed));
    // Lines of any one width, and ends of lines of any kind: npm's keys are logged on a single line.
    const NPM: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE1Olb3zMAFFxXKHiIkQO5cJ3Yhl5i6UPp+IhuteBJbuHcA5UogKo0EWtlWwW6KSaKoTNEYL7JlCQiVnkhBktUgg==";
    let wrapped = |width: usize, end: &str| {
        let lines: Vec<&str> =
            NPM.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PUBLIC KEY-----{end}{}{end}-----END PUBLIC KEY-----{end}", lines.join(end))
    };
    let key = PublicKey::from_pem(&wrapped(64, "\n")).unwrap();
    for text in [wrapped(NPM.len(), "\n"), wrapped(76, "\n"), wrapped(64, "\r\n"), wrapped(NPM.len(), "\r\n")]
    {
        assert_eq!(PublicKey::from_pem(&text).as_ref(), Ok(&key), "{text}");
    }
    let endless = wrapped(64, "\n").replace("-----END PUBLIC KEY-----\n", "");
    assert_eq!(PublicKey::from_pem(&endless), Err(KeyError::NotPem));
    assert_eq!(PublicKey::from_pem(&"\n".repeat(1 << 20)), Err(KeyError::NotPem));
    assert_eq!(PublicKey::from_pem("-----BEGIN CERTIFICATE-----"), Err(KeyError::NotPem));
}

#[test]
fn digests_know_their_length_and_name() {
    let digest = HashAlgorithm::Sha256.digest(b"");
    assert_eq!(digest.as_bytes(), sha256(b""));
    assert_eq!(digest.to_string(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(Digest::new(HashAlgorithm::Sha384, &[0; 32]).unwrap_err().expected, 48);
    assert_eq!(HashAlgorithm::from_name("sha512"), Some(HashAlgorithm::Sha512));
    assert_eq!(HashAlgorithm::from_name("SHA512"), None);
}

#[test]
fn sealed_keys_open_only_with_passphrase_and_label() {
    let key =
        |passphrase: &[u8]| SealingKey::derive(passphrase, &[7; 32], NonZeroU32::new(1000).unwrap()).unwrap();
    let sealed = key(b"right").seal("rekor", b"secret").unwrap();
    assert_eq!(key(b"right").open("rekor", &sealed).unwrap().as_slice(), b"secret");
    assert_eq!(key(b"wrong").open("rekor", &sealed), Err(SealError::DoesNotOpen));
    assert_eq!(key(b"right").open("ctlog", &sealed), Err(SealError::DoesNotOpen));
    for at in 0..sealed.len() {
        let mut damaged = sealed.clone();
        damaged[at] ^= 1;
        assert_eq!(key(b"right").open("rekor", &damaged), Err(SealError::DoesNotOpen));
    }
    assert_eq!(key(b"right").open("rekor", &sealed[..5]), Err(SealError::DoesNotOpen));
}

/// Encodings of points of small order: the neutral one, and one of each other order.
const SMALL_ORDER: [[u8; 2]; 4] = [[0x01, 0x00], [0xec, 0x7f], [0x00, 0x00], [0x00, 0x80]];

#[test]
fn a_key_under_which_anybody_can_sign_is_none() {
    for [first, last] in SMALL_ORDER {
        let middle = if first == 0xec { 0xff } else { 0 };
        let mut point = [middle; 32];
        (point[0], point[31]) = (first, last);
        let key = PublicKey::from_ed25519(&point);
        assert_eq!(key, Err(KeyError::InvalidPoint(KeyKind::Ed25519)), "{point:02x?}");
    }
}

#[test]
fn a_compressed_point_is_no_key_here() {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let point = key.public_key().key_bits();
    let head = &key.public_key().spki_der()[..key.public_key().spki_der().len() - point.len()];
    let mut der = head.to_vec();
    // The SEQUENCE and the BIT STRING are shorter by one coordinate.
    der[1] -= 32;
    let bit_string = der.len() - 2;
    der[bit_string] -= 32;
    der.push(2 + (point[64] & 1));
    der.extend_from_slice(&point[1..33]);
    assert_eq!(PublicKey::from_spki_der(&der), Err(KeyError::InvalidPoint(KeyKind::EcdsaP256)));
}
