use super::*;
use crate::json::encode_base64;

fn entry(verifier: Verifier) -> HashedRekord {
    HashedRekord {
        digest: HashAlgorithm::Sha256.digest(b"artifact"),
        signature: b"sig".to_vec(),
        verifier,
        key_details: KeyDetails::EcdsaP256Sha256,
    }
}

#[test]
fn canonical_bytes_are_exact() {
    let expected = r#"{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256","digest":"x8fXZ3CVHH4pz4eW+DNMn9dnvPuPcszHdFa1eaBZbAE="},"signature":{"content":"c2ln","verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","x509Certificate":{"rawBytes":"Y2VydA=="}}}}}}"#;
    let digest = encode_base64(HashAlgorithm::Sha256.digest(b"artifact").as_bytes());
    let expected = expected.replace("x8fXZ3CVHH4pz4eW+DNMn9dnvPuPcszHdFa1eaBZbAE=", &digest);
    let canonical = entry(Verifier::Certificate(b"cert".to_vec())).canonical();
    assert_eq!(String::from_utf8(canonical).unwrap(), expected);
    let key = entry(Verifier::PublicKey(b"cert".to_vec())).canonical();
    assert_eq!(String::from_utf8(key).unwrap(), expected.replace("x509Certificate", "publicKey"));
}

#[test]
fn what_is_written_can_be_read() {
    for verifier in [Verifier::Certificate(b"c".to_vec()), Verifier::PublicKey(b"k".to_vec())] {
        let entry = entry(verifier);
        assert_eq!(HashedRekord::parse(&entry.canonical()).unwrap(), entry);
    }
}

#[test]
fn other_kinds_are_named_not_guessed() {
    let body = br#"{"apiVersion":"0.0.9","kind":"hashedrekord","spec":{}}"#;
    let EntryBody::Unsupported(kind) = EntryBody::parse(body).unwrap() else { panic!() };
    assert_eq!((kind.kind.as_str(), kind.version.as_str()), ("hashedrekord", "0.0.9"));
    assert!(matches!(HashedRekord::parse(body), Err(EntryError::Unsupported { .. })));
    assert!(EntryBody::parse(br#"{"kind":"hashedrekord"}"#).is_err());
}

#[test]
fn a_digest_of_another_hash_than_the_keys_is_refused() {
    let mut wrong = entry(Verifier::PublicKey(b"k".to_vec()));
    wrong.digest = HashAlgorithm::Sha512.digest(b"artifact");
    assert!(matches!(HashedRekord::parse(&wrong.canonical()), Err(EntryError::WrongHash { .. })));
}
