use super::*;
use crate::{
    dsse::EnvelopeSignature,
    log_entry::{InclusionProof, KindVersion},
};
use alloc::{format, vec};
use sealog_crypto::HashAlgorithm;

fn bundle() -> Bundle {
    Bundle {
        version: Version::V03,
        material: VerificationMaterial {
            key: KeyMaterial::Certificate(b"cert".to_vec()),
            log_entries: vec![TransparencyLogEntry {
                log_index: 5,
                log_id: vec![1; 32],
                kind_version: KindVersion::hashedrekord_v002(),
                integrated_time: 0,
                inclusion_promise: None,
                inclusion_proof: Some(InclusionProof {
                    log_index: 5,
                    root_hash: [2; 32],
                    tree_size: 6,
                    hashes: vec![[3; 32]],
                    checkpoint: "note".into(),
                }),
                canonicalized_body: b"{}".to_vec(),
            }],
            timestamps: vec![b"tsr".to_vec()],
        },
        content: Content::Message(MessageSignature {
            digest: Some(HashAlgorithm::Sha256.digest(b"artifact")),
            signature: b"sig".to_vec(),
        }),
    }
}

#[test]
fn what_is_written_can_be_read() {
    let message = bundle();
    let mut envelope = bundle();
    envelope.content = Content::Envelope(Envelope {
        payload: b"{}".to_vec(),
        payload_type: "t".into(),
        signatures: vec![EnvelopeSignature { sig: b"s".to_vec(), keyid: String::new() }],
    });
    let mut chain = bundle();
    chain.version = Version::V02;
    chain.material.key = KeyMaterial::Chain(vec![b"a".to_vec(), b"b".to_vec()]);
    let mut key = bundle();
    key.material.key = KeyMaterial::PublicKey { hint: "h".into() };
    for bundle in [message, envelope, chain, key] {
        assert_eq!(Bundle::parse(bundle.to_json().as_bytes()).unwrap(), bundle);
    }
}

#[test]
fn every_damage_to_the_shape_is_refused() {
    let json = bundle().to_json();
    for (from, to) in [
        ("bundle.v0.3+json", "bundle.v0.4+json"),
        ("{\"mediaType\"", "{\"extra\":1,\"mediaType\""),
        ("{\"mediaType\"", "{\"mediaType\":\"x\",\"mediaType\""),
        ("\"messageSignature\"", "\"signature\""),
        ("\"messageSignature\":", "\"dsseEnvelope\":{},\"messageSignature\":"),
        ("\"certificate\":{", "\"publicKey\":{},\"certificate\":{"),
        ("{\"rawBytes\"", "{\"raw\":1,\"rawBytes\""),
        ("\"logIndex\":\"5\"", "\"logIndex\":\"-5\""),
        ("\"rootHash\":\"", "\"rootHash\":\"AAAA"),
        ("SHA2_256", "SHA3_256"),
        ("SHA2_256", "SHA2_512"),
        ("\"signature\":\"", "\"signature\":\"*"),
    ] {
        let bad = json.replacen(from, to, 1);
        assert_ne!(bad, json, "{from}");
        assert!(Bundle::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    for cut in [0, 1, json.len() / 2, json.len() - 1] {
        assert!(Bundle::parse(&json.as_bytes()[..cut]).is_err());
    }
    assert!(Bundle::parse(format!("{json}{json}").as_bytes()).is_err());
}

#[test]
fn absent_and_null_are_the_same() {
    let json =
        bundle().to_json().replace(",\"messageSignature\"", ",\"dsseEnvelope\":null,\"messageSignature\"");
    assert_eq!(Bundle::parse(json.as_bytes()).unwrap(), bundle());
}

#[test]
fn every_version_has_two_spellings_and_no_third() {
    for version in [Version::V01, Version::V02, Version::V03] {
        assert_eq!(Version::from_media_type(version.media_type()), Some(version));
    }
    let older = |version: &str| format!("application/vnd.dev.sigstore.bundle+json;version={version}");
    let newer = |version: &str| format!("application/vnd.dev.sigstore.bundle.v{version}+json");
    for (version, known) in
        [("0.1", true), ("0.2", true), ("0.3", true), ("0.4", false), ("0.3.0", false), ("", false)]
    {
        for spelling in [older(version), newer(version)] {
            assert_eq!(Version::from_media_type(&spelling).is_some(), known, "{spelling}");
        }
    }
    for other in [
        "",
        "application/json",
        "application/vnd.dev.sigstore.bundle+json",
        "application/vnd.dev.sigstore.bundle.v0.3+json;version=0.3",
    ] {
        assert_eq!(Version::from_media_type(other), None, "{other}");
    }
}
