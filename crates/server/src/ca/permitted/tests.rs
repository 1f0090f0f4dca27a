//! The whole registry, row by row: which algorithms prove possession, and why the others do not.

use super::*;
use crate::ca::request::{Asked, RequestError};
use sealog_crypto::{KeyKind, PrivateKey, PublicKey, Scheme, SignError, Signer};
use sealog_pki::Csr;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Taken {
    /// Without a word of the operator's.
    Always,
    /// Where the operator names it.
    Named,
    /// Whatever the operator says.
    Never,
}
use Taken::{Always, Named, Never};

const TABLE: [(&str, Taken, &str); 23] = [
    ("PKCS1_RSA_PKCS1V5", Never, "retired by the registry: it says neither size nor hash"),
    ("PKCS1_RSA_PSS", Never, "as above"),
    ("PKIX_RSA_PKCS1V5", Never, "as above"),
    ("PKIX_RSA_PSS", Never, "as above"),
    ("PKIX_ECDSA_P256_SHA_256", Always, "Fulcio's default"),
    ("PKIX_ECDSA_P256_HMAC_SHA_256", Never, "retired by the registry, and never in use"),
    ("PKIX_ED25519", Always, "Fulcio's default"),
    ("PKIX_ED25519_PH", Named, "not in Fulcio's default; X.509 has no name for it, so by key alone"),
    ("PKIX_RSA_PKCS1V15_2048_SHA256", Always, "Fulcio's default"),
    ("PKIX_RSA_PKCS1V15_3072_SHA256", Always, "Fulcio's default"),
    ("PKIX_RSA_PKCS1V15_4096_SHA256", Always, "Fulcio's default"),
    ("PKIX_ECDSA_P384_SHA_384", Always, "Fulcio's default"),
    ("PKIX_ECDSA_P521_SHA_512", Always, "Fulcio's default"),
    ("LMS_SHA256", Never, "not implemented: its signers keep state"),
    ("LMOTS_SHA256", Never, "not implemented: its keys sign once"),
    ("PKIX_RSA_PSS_2048_SHA256", Named, "Fulcio knows no request that is signed so"),
    ("PKIX_RSA_PSS_3072_SHA256", Named, "as above"),
    ("PKIX_RSA_PSS_4096_SHA256", Named, "as above"),
    ("PKIX_ECDSA_P384_SHA_256", Named, "deprecated by the registry, not in Fulcio's default"),
    ("PKIX_ECDSA_P521_SHA_256", Named, "as above"),
    ("ML_DSA_65", Named, "experimental: no log of today takes what such a key signs"),
    ("ML_DSA_87", Named, "as above"),
    ("ML_DSA_44", Named, "as above"),
];

const KINDS: [KeyKind; 10] = [
    KeyKind::EcdsaP256,
    KeyKind::EcdsaP384,
    KeyKind::EcdsaP521,
    KeyKind::Rsa { bits: 2048 },
    KeyKind::Rsa { bits: 3072 },
    KeyKind::Rsa { bits: 4096 },
    KeyKind::Ed25519,
    KeyKind::MlDsa44,
    KeyKind::MlDsa65,
    KeyKind::MlDsa87,
];
const CHALLENGE: &str = "jane@example.com";

/// A key that signs in another way than its usual one.
struct By<'a>(&'a PrivateKey, Scheme);

impl Signer for By<'_> {
    fn public_key(&self) -> &PublicKey {
        self.0.public_key()
    }
    fn scheme(&self) -> Scheme {
        self.1
    }
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.0.sign_with(self.1, message)
    }
}

fn permitted(names: &[&str]) -> Result<Permitted, PermittedError> {
    Permitted::try_from(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
}

/// Everything that a key and a scheme can ask for.
fn requests(key: &PrivateKey, scheme: Scheme) -> Vec<Asked> {
    let proof = key.sign_with(scheme, CHALLENGE.as_bytes()).unwrap();
    let public = key.public_key();
    let mut all = vec![
        Asked::key(public.to_pem().as_bytes(), proof.clone()).unwrap(),
        Asked::key(public.spki_der(), proof).unwrap(),
    ];
    // What X.509 has no name for, or we write none: PSS is asked for by OpenSSL in the services' tests.
    let csr = Csr::build(&By(key, scheme));
    all.extend(csr.map(|der| Asked::csr(Csr::pem_of(&der).as_bytes()).unwrap()));
    all
}

#[test]
fn every_algorithm_of_the_registry_is_taken_or_refused_as_the_table_says() {
    let keys = KINDS.map(|kind| PrivateKey::generate(kind).unwrap());
    let usual = Permitted::default();
    let usable: Vec<&str> = TABLE.iter().filter(|row| row.1 != Never).map(|row| row.0).collect();
    for (name, taken, why) in TABLE {
        let details = KeyDetails::from_name(name).unwrap();
        let alone = permitted(&[name]);
        if taken == Never {
            assert_eq!(alone, Err(PermittedError::Unusable(details)), "{name}: {why}");
            continue;
        }
        let alone = alone.unwrap();
        let others: Vec<&str> = usable.iter().filter(|other| **other != name).copied().collect();
        let others = permitted(&others).unwrap();
        let key = keys.iter().find(|key| details.fits(key.public_key())).unwrap();
        let asked = requests(key, details.scheme().unwrap());
        assert!(asked.len() >= 2);
        for one in asked {
            let by = |permitted: &Permitted| one.proven(CHALLENGE, permitted).map(|_| ());
            assert!(by(&alone).is_ok(), "{name}, named alone: {:?}", by(&alone));
            assert_eq!(by(&usual).is_ok(), taken == Always, "{name}, by default ({why}): {:?}", by(&usual));
            let refused = matches!(by(&others), Err(RequestError::Algorithm { .. } | RequestError::Proof(_)));
            assert!(refused, "{name}, by any other: {:?}", by(&others));
            // And nobody proves by it what was not asked.
            if let Asked::Key { .. } = one {
                let other = one.proven("john@example.com", &alone);
                assert!(matches!(other, Err(RequestError::Proof(_))), "{name}");
            }
        }
    }
    let known = (0..=255).filter_map(|number: i128| KeyDetails::from_number(number));
    assert_eq!(known.count(), TABLE.len(), "every algorithm of the registry has a row");
}

#[test]
fn a_refusal_says_what_such_a_key_is_certified_by() {
    let said = |key: &PrivateKey, scheme: Scheme, permitted: &Permitted| {
        let asked = requests(key, scheme).pop().unwrap();
        asked.proven(CHALLENGE, permitted).unwrap_err().to_string()
    };
    let p384 = PrivateKey::generate(KeyKind::EcdsaP384).unwrap();
    let sha256 = Scheme::Ecdsa(sealog_crypto::HashAlgorithm::Sha256);
    assert_eq!(
        said(&p384, sha256, &Permitted::default()),
        "signing algorithm not permitted: ECDSA P-384, SHA256; such a key is certified by PKIX_ECDSA_P384_SHA_384"
    );
    let quantum = PrivateKey::generate(KeyKind::MlDsa65).unwrap();
    assert_eq!(
        said(&quantum, Scheme::MlDsa65, &Permitted::default()),
        "signing algorithm not permitted: ML-DSA-65, no hash; this authority certifies no such key"
    );
}

#[test]
fn a_list_names_algorithms_of_the_registry() {
    assert_eq!(permitted(&[]), Err(PermittedError::Empty));
    for unknown in ["ecdsa-sha2-256-nistp256", "PKIX_ECDSA_P256", "", "pkix_ed25519"] {
        assert_eq!(permitted(&["PKIX_ED25519", unknown]), Err(PermittedError::Unknown(unknown.to_owned())));
    }
    let both = permitted(&["PKIX_ECDSA_P384_SHA_256", "PKIX_ECDSA_P384_SHA_384"]).unwrap();
    let key = PrivateKey::generate(KeyKind::EcdsaP384).unwrap();
    assert_eq!(both.of(key.public_key()), [KeyDetails::EcdsaP384Sha384, KeyDetails::EcdsaP384Sha256]);
    assert_eq!(both.of(PrivateKey::generate(KeyKind::EcdsaP256).unwrap().public_key()), []);
}
