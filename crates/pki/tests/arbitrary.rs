//! No bytes make a parser panic, and whatever parses keeps its own bytes.

#![allow(clippy::unwrap_used, reason = "tests")]

mod setting;

use proptest::prelude::*;
use sealog_crypto::{HashAlgorithm, KeyKind, Signer as _};
use sealog_pki::{
    Certificate, Csr, Purpose, San, TrustedChain,
    issue::{self, Below},
    sct,
    timestamp::{self, POLICY, TimeStampReq, TimeStampResp, TsaIdentity},
    verify_chain,
};
use setting::{NOW, authority, key, leaf, profile};
use std::sync::LazyLock;

/// Good documents to damage, with what judges them.
struct Good {
    leaf: Certificate,
    ca: Vec<Certificate>,
    tsa: Vec<Certificate>,
    csr: Vec<u8>,
    request: Vec<u8>,
    response: Vec<u8>,
}

static GOOD: LazyLock<Good> = LazyLock::new(|| {
    let p256 = KeyKind::EcdsaP256;
    let ca = authority(p256, Below::CodeSigning);
    let leaf = leaf(&ca, &key(p256), &San::OtherName("a!example.com".into()), &key(p256));
    let above = authority(p256, Below::TimeStamping);
    let tsa_key = key(p256);
    let tsa = issue::tsa_leaf(&profile("tsa", 9), tsa_key.public_key(), &above.intermediate, &above.key);
    let tsa = vec![tsa.unwrap(), above.intermediate, above.root];
    let request =
        TimeStampReq::new(HashAlgorithm::Sha384.digest(b"m")).with_nonce(&[7; 8]).with_certificate();
    let identity = TsaIdentity { signer: &tsa_key, chain: &tsa };
    let response = timestamp::respond(&request, &identity, NOW, &[5; 20], &POLICY).unwrap();
    let csr = Csr::build(&key(p256)).unwrap();
    Good { leaf, ca: vec![ca.intermediate, ca.root], tsa, csr, request: request.encode(), response }
});

/// Asks everything of whatever parses; says whether any document was found good.
fn poke(bytes: &[u8]) -> bool {
    let good = &*GOOD;
    let mut believed = false;
    if let Ok(certificate) = Certificate::from_der(bytes) {
        assert_eq!(certificate.der(), bytes);
        let _ = (certificate.public_key(), certificate.common_name(), certificate.to_pem());
        let _ = (sct::embedded_scts(&certificate), format!("{certificate:?}"));
        let (ca, at) = (&good.ca, NOW + 1);
        let all = [good.ca.as_slice(), std::slice::from_ref(&certificate)].concat();
        for purpose in [Purpose::CodeSigning, Purpose::Precertificate, Purpose::TimeStamping] {
            believed |= verify_chain(&certificate, ca, &ca[1..], at, purpose).is_ok();
            // As an issuer and as an anchor, too.
            let _ = verify_chain(&good.leaf, &all, &all, at, purpose);
        }
        // Cutting nothing out gives the signed part back.
        let nothing = sealog_pki::ObjectIdentifier::new_unwrap("1.2.3.4.5");
        assert_eq!(certificate.tbs_without(&nothing), certificate.tbs_der());
    }
    if let Ok(csr) = Csr::from_der(bytes) {
        believed |= csr.verify_self_signature().is_ok();
    }
    if let Ok(request) = TimeStampReq::parse(bytes) {
        let mut again = request;
        again.extensions.clear();
        assert_eq!(TimeStampReq::parse(&again.encode()), Ok(again));
    }
    for response in [TimeStampResp::parse(bytes), TimeStampResp::parse_token(bytes)].into_iter().flatten() {
        believed |= timestamp::verify(&response, b"m", &TrustedChain::new(good.tsa.clone()).unwrap()).is_ok();
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (Certificate::from_pem(text), Certificate::chain_from_pem(text), Csr::from_pem(text));
    }
    believed
}

fn documents() -> [Vec<u8>; 6] {
    let good = &*GOOD;
    [
        good.leaf.der().to_vec(),
        good.ca[0].der().to_vec(),
        good.tsa[0].der().to_vec(),
        good.csr.clone(),
        good.request.clone(),
        good.response.clone(),
    ]
}

#[test]
fn the_undamaged_documents_are_good() {
    let [leaf, _, tsa, csr, _, response] = documents();
    assert!(poke(&leaf) && poke(&csr) && poke(&response));
    // The TSA's certificate is good under its own root only.
    assert!(!poke(&tsa));
}

/// Any flipped bit of a leaf, a request or a response is noticed, or makes it unreadable.
///
/// Exceptions: bits no signature covers and no rule reads (the response's status wording, the CMS
/// version numbers and digest list, embedded certificates next to a listed authority).
#[test]
fn every_flipped_bit_of_a_leaf_and_a_csr_is_noticed() {
    let [leaf, _, _, csr, ..] = documents();
    for document in [leaf, csr] {
        for position in 0..document.len() {
            let mut bent = document.clone();
            bent[position] ^= 1 << (position % 8);
            assert!(!poke(&bent), "byte {position} of {}", hex::encode(&document));
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    for document in documents() {
        for length in 0..document.len() {
            assert!(!poke(&document[..length]));
        }
    }
}

#[test]
fn every_changed_byte_of_a_response_is_survived() {
    let [.., response] = documents();
    for position in 0..response.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut bent = response.clone();
            bent[position] ^= change;
            poke(&bent);
        }
    }
}

#[test]
fn deep_nesting_is_survived() {
    let mut nested = Vec::new();
    for _ in 0..10_000 {
        nested.extend([0x30, 0x80]);
    }
    poke(&nested);
    let mut honest = vec![0x05, 0x00];
    while honest.len() < 60_000 {
        let length = u16::try_from(honest.len()).unwrap().to_be_bytes();
        let head = match honest.len() {
            short @ ..128 => vec![0x30, short as u8],
            _ if length[0] == 0 => vec![0x30, 0x81, length[1]],
            _ => vec![0x30, 0x82, length[0], length[1]],
        };
        honest.splice(0..0, head);
    }
    poke(&honest);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(!poke(&bytes));
    }

    #[test]
    fn random_text_never_panics(text in "(-----(BEGIN|END) (CERTIFICATE|X)-----\n?|[A-Za-z0-9+/=]{0,64}\n|.){0,12}") {
        prop_assert!(!poke(text.as_bytes()));
    }

    #[test]
    fn spliced_documents_never_panic(
        which in 0usize..6,
        other in 0usize..6,
        cut in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        length in 0usize..64,
        noise in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let documents = documents();
        let mut bytes = documents[which].clone();
        let other = &documents[other];
        let (cut, from) = (cut.index(bytes.len()), from.index(other.len()));
        let piece = other[from..other.len().min(from + length)].to_vec();
        let end = bytes.len().min(cut + length);
        bytes.splice(cut..end, piece);
        for (at, byte) in noise {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        poke(&bytes);
    }
}
