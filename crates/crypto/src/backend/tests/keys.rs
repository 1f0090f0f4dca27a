//! Which bytes are a key.

use super::*;
use crate::key::kind_and_bits;

fn refused(der: &[u8]) -> KeyError {
    Both::parse(der).map(|_| ()).unwrap_err()
}

/// A SubjectPublicKeyInfo like this one, of another key.
fn with_bits(spki: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let header = usize::from(spki[1] & 0x80 != 0) * usize::from(spki[1] & 0x7f) + 2;
    let algorithm = &spki[header..header + 2 + usize::from(spki[header + 1])];
    assert!(spki.ends_with(old));
    der(0x30, &[algorithm, &der(3, &[&[0], new].concat())].concat())
}

#[test]
fn of_a_curve_only_the_uncompressed_point_on_it_is_a_key() {
    for kind in CURVES {
        let key = PrivateKey::generate(kind).unwrap();
        let (spki, point) = (key.public_key().spki_der(), key.public_key().key_bits());
        let refuse = |new: &[u8], why: &str| {
            let refused = refused(&with_bits(spki, point, new));
            assert_eq!(refused, KeyError::InvalidPoint(kind), "{kind}: {why}");
        };
        assert!(Both::parse(&with_bits(spki, point, point)).is_ok());
        let half = point.len() / 2;
        let odd = point.last().unwrap() & 1;
        refuse(&[&[2 + odd], &point[1..=half]].concat(), "compressed");
        refuse(&[&[6 + odd], &point[1..]].concat(), "hybrid");
        refuse(&[0], "the point at infinity");
        refuse(&[4], "no coordinates");
        refuse(&[&[4], &vec![0; 2 * half][..]].concat(), "all zeros");
        refuse(&point[..point.len() - 1], "too short");
        refuse(&[point, &[0]].concat(), "too long");
        refuse(&[&[4], &point[1..=half], &point[1..=half]].concat(), "off the curve");
        refuse(&[&[4], &vec![0xff; half][..], &point[1 + half..]].concat(), "a coordinate beyond the field");
        for at in [1, half, half + 1, 2 * half] {
            let mut bent = point.to_vec();
            bent[at] ^= 1;
            refuse(&bent, "one bit");
        }
        // A point of another curve under this one's name.
        let other = if kind == KeyKind::EcdsaP256 { KeyKind::EcdsaP384 } else { KeyKind::EcdsaP256 };
        let other = PrivateKey::generate(other).unwrap();
        refuse(other.public_key().key_bits(), "of another curve");
    }
}

/// x of the generator of P-256 plus the field's prime: the same point, written as nobody may.
#[test]
fn a_coordinate_is_written_below_the_prime() {
    let prime = hex::decode("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff").unwrap();
    // y² = x³ − 3x + b at x = 0 has roots; x = p is the same place.
    let y = hex::decode("66485c780e2f83d72433bd5d84a06bb6541c2af31dae871728bf856a174f93f4").unwrap();
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let with = |x: &[u8]| {
        let point = [&[4], x, &y].concat();
        Both::parse(&with_bits(key.public_key().spki_der(), key.public_key().key_bits(), &point)).map(|_| ())
    };
    assert_eq!(with(&[0; 32]), Ok(()));
    assert_eq!(with(&prime), Err(KeyError::InvalidPoint(KeyKind::EcdsaP256)));
}

#[test]
fn an_ed25519_key_is_a_canonical_point_of_large_order() {
    let key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
    let (spki, point) = (key.public_key().spki_der(), key.public_key().key_bits());
    let parse = |point: &[u8]| Both::parse(&with_bits(spki, key.public_key().key_bits(), point)).map(|_| ());
    let invalid = Err(KeyError::InvalidPoint(KeyKind::Ed25519));
    assert_eq!(parse(point), Ok(()));
    assert_eq!(parse(&point[..31]), invalid);
    assert_eq!(parse(&[point, &[0]].concat()), invalid);
    let little = |low: u8, middle: u8, high: u8| {
        let mut bytes = [middle; 32];
        (bytes[0], bytes[31]) = (low, high);
        bytes
    };
    let order_8 = "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05";
    let order_8: [u8; 32] = hex::decode(order_8).unwrap().try_into().unwrap();
    let mut negative = order_8;
    negative[31] |= 0x80;
    for small in
        [little(1, 0, 0), little(0xec, 0xff, 0x7f), little(0, 0, 0), little(0, 0, 0x80), order_8, negative]
    {
        assert_eq!(parse(&small), invalid, "small order: {small:02x?}");
    }
    // y below 19 can also be written as p + y; some of these y belong to points of large order.
    let mut written_twice = 0;
    for y in 0..19 {
        for sign in [0, 0x80] {
            written_twice += usize::from(parse(&little(y, 0, sign)).is_ok());
            let beyond = little(0xed + y, 0xff, 0x7f | sign);
            assert_eq!(parse(&beyond), invalid, "not canonical: p + {y}");
        }
    }
    assert!(written_twice > 0, "the test must meet points that only their encoding disqualifies");
    // x = 0 has no negative.
    assert_eq!(parse(&little(1, 0, 0x80)), invalid);
}

#[test]
fn rsa_keys_have_a_size_an_exponent_and_an_odd_modulus() {
    let openssl = OpenSsl::new("rsa-keys");
    let rsa = |bits: usize, exponent: u32| {
        let options =
            format!("-algorithm RSA -pkeyopt rsa_keygen_bits:{bits} -pkeyopt rsa_keygen_pubexp:{exponent}");
        Both::parse(&openssl.key(&options)).map(|_| ())
    };
    assert_eq!(rsa(1024, 65537), Err(KeyError::WeakRsa { bits: 1024, exponent: 65537 }));
    assert_eq!(rsa(2047, 65537), Err(KeyError::WeakRsa { bits: 2047, exponent: 65537 }));
    assert_eq!(rsa(2048, 3), Err(KeyError::WeakRsa { bits: 2048, exponent: 3 }));
    assert_eq!(rsa(2048, 65539), Err(KeyError::WeakRsa { bits: 2048, exponent: 65539 }));
    let (spki, bits) = {
        let key = PrivateKey::generate(KeyKind::Rsa { bits: 2048 }).unwrap();
        (key.public_key().spki_der().to_vec(), key.public_key().key_bits().to_vec())
    };
    let modulus = &bits[9..9 + 256];
    let with = |modulus: &[u8], exponent: &[u8]| {
        let new = der(0x30, &[integer(modulus), integer(exponent)].concat());
        Both::parse(&with_bits(&spki, &bits, &new)).map(|_| ())
    };
    let usual = [1, 0, 1];
    assert_eq!(with(modulus, &usual), Ok(()));
    let mut even = modulus.to_vec();
    even[255] &= 0xfe;
    assert_eq!(with(&even, &usual), Err(KeyError::InvalidPoint(KeyKind::Rsa { bits: 2048 })));
    assert_eq!(with(modulus, &[1]), Err(KeyError::WeakRsa { bits: 2048, exponent: 1 }));
    assert_eq!(with(modulus, &[0; 1]), Err(KeyError::WeakRsa { bits: 2048, exponent: 0 }));
    let mut large = vec![0xff; 1024];
    assert_eq!(with(&large, &usual), Ok(()), "8192 bits");
    large.push(0xff);
    assert_eq!(with(&large, &usual), Err(KeyError::WeakRsa { bits: 8200, exponent: 65537 }));
    // The numbers in another form: a padded one, a negative one, one too many, bytes behind.
    let raw = |content: &[u8], behind: &[u8]| {
        let new = [&der(0x30, content)[..], behind].concat();
        Both::parse(&with_bits(&spki, &bits, &new)).map(|_| ())
    };
    let (n, e) = (integer(modulus), integer(&usual));
    let padded = der(2, &[&[0, 0], modulus].concat());
    let negative = der(2, modulus);
    for (content, behind) in [
        ([&padded[..], &e].concat(), &[][..]),
        ([&negative[..], &e].concat(), &[]),
        ([&n[..], &e, &e].concat(), &[]),
        ([&n[..], &e].concat(), &[0]),
        (n.clone(), &[]),
    ] {
        assert_eq!(raw(&content, behind), Err(KeyError::Malformed));
    }
}

#[test]
fn an_ml_dsa_key_has_one_length_and_is_no_other_keys_encoding() {
    for kind in [KeyKind::MlDsa44, KeyKind::MlDsa65, KeyKind::MlDsa87] {
        let key = PrivateKey::generate(kind).unwrap();
        let (spki, bits) = (key.public_key().spki_der(), key.public_key().key_bits());
        let parse = |new: &[u8]| Both::parse(&with_bits(spki, bits, new)).map(|_| ());
        assert_eq!(parse(bits), Ok(()));
        for other in [&bits[..bits.len() - 1], &[bits, &[0]].concat(), &[]] {
            assert_eq!(parse(other), Err(KeyError::InvalidPoint(kind)));
        }
        // Any bytes of the right length are a key, also these.
        let inside = PrivateKey::generate(KeyKind::MlDsa44).unwrap();
        let mut misleading = inside.public_key().spki_der().to_vec();
        misleading.resize(bits.len().max(misleading.len()), 0);
        let expected = if kind == KeyKind::MlDsa44 { Err(KeyError::InvalidPoint(kind)) } else { Ok(()) };
        assert_eq!(parse(&misleading), expected);
    }
}

/// Nearly every key begins with the same bytes and is known by them: the library must agree.
#[test]
fn a_usual_key_is_what_the_library_reads_it_as() {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let (spki, point) = (key.public_key().spki_der(), key.public_key().key_bits());
    assert_eq!(kind_and_bits(spki), Ok((KeyKind::EcdsaP256, point)));
    for at in 0..spki.len() - point.len() {
        for change in 1..=u8::MAX {
            let mut bent = spki.to_vec();
            bent[at] ^= change;
            if let Err(error) = kind_and_bits(&bent) {
                assert_eq!(refused(&bent), error, "{at}: {change}");
            }
        }
    }
    assert_eq!(refused(&spki[..spki.len() - 1]), KeyError::Malformed);
    assert_eq!(refused(&[spki, &[0]].concat()), KeyError::Malformed);
}
