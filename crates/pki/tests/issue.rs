//! Issued certificates say what was asked, in the one profile, and the log's promise holds for them.

#![allow(clippy::unwrap_used, reason = "tests")]

mod setting;

use sealog_crypto::{KeyKind, Signer as _};
use sealog_pki::{
    Certificate, Csr, CsrError, ExtensionValues, IssueError, LeafProfile, Purpose, San,
    issue::{self, Below},
    sct, verify_chain,
};
use sealog_tlog::ct::{SctError, SctList};
use setting::{NOW, authority, extensions, key, leaf, profile, serial};

const KINDS: [KeyKind; 2] = [KeyKind::EcdsaP256, KeyKind::EcdsaP384];

fn names() -> [San; 3] {
    [
        San::Email("jane@example.com".into()),
        San::Uri("https://github.com/a/b/.github/workflows/x.yml@refs/heads/main".into()),
        San::OtherName("jürgen!example.com".into()),
    ]
}

#[test]
fn a_leaf_follows_the_profile_and_verifies() {
    for kind in KINDS {
        let authority = authority(kind, Below::CodeSigning);
        let (signing, log) = (key(KeyKind::EcdsaP256), key(KeyKind::EcdsaP256));
        for san in names() {
            let leaf = leaf(&authority, &signing, &san, &log);
            assert_eq!(Certificate::from_pem(&leaf.to_pem()).unwrap(), leaf);
            assert_eq!(leaf.san(), [san]);
            assert_eq!(leaf.fulcio(), &extensions());
            assert_eq!(leaf.validity(), (NOW, NOW + 600));
            assert_eq!((leaf.serial().len(), leaf.has_empty_subject()), (20, true));
            assert_eq!(leaf.public_key().as_ref(), Ok(signing.public_key()));
            assert_eq!(leaf.authority_key_id(), authority.intermediate.subject_key_id());
            assert_eq!(leaf.signature_scheme(), Some(authority.key.scheme()));

            let order: Vec<(String, bool)> =
                leaf.extensions().iter().map(|e| (e.oid.to_string(), e.critical)).collect();
            let expected = [
                ("2.5.29.15", true),
                ("2.5.29.37", false),
                ("2.5.29.14", false),
                ("2.5.29.35", false),
                ("2.5.29.17", true),
                ("1.3.6.1.4.1.57264.1.1", false),
                ("1.3.6.1.4.1.57264.1.4", false),
                ("1.3.6.1.4.1.57264.1.8", false),
                ("1.3.6.1.4.1.57264.1.20", false),
                ("1.3.6.1.4.1.57264.1.24", false),
                ("1.3.6.1.4.1.11129.2.4.2", false),
            ];
            assert_eq!(order, expected.map(|(oid, critical)| (oid.to_owned(), critical)));

            let path = verify_chain(
                &leaf,
                std::slice::from_ref(&authority.intermediate),
                std::slice::from_ref(&authority.root),
                NOW + 600,
                Purpose::CodeSigning,
            )
            .unwrap();
            let scts = sct::embedded_scts(&leaf).unwrap();
            let issuer = sct::sct_issuer(&path).unwrap();
            assert_eq!(issuer, &authority.intermediate);
            assert_eq!(scts.len(), 1);
            assert_eq!(sct::verify_sct(&scts[0], &leaf, issuer, log.public_key()), Ok(()));

            let other = sct::verify_sct(&scts[0], &leaf, issuer, signing.public_key());
            assert!(matches!(other, Err(SctError::LogId { .. })));
            let other = sct::verify_sct(&scts[0], &leaf, &authority.root, log.public_key());
            assert!(matches!(other, Err(SctError::Signature(_))));
            let mut moved = scts[0].clone();
            moved.timestamp_ms += 1;
            let moved = sct::verify_sct(&moved, &leaf, issuer, log.public_key());
            assert!(matches!(moved, Err(SctError::Signature(_))));
        }
    }
}

#[test]
fn raw_and_utf8_extensions_are_told_apart() {
    let authority = authority(KeyKind::EcdsaP256, Below::CodeSigning);
    let signing = key(KeyKind::EcdsaP256);
    let leaf = leaf(&authority, &signing, &names()[0], &key(KeyKind::EcdsaP256));
    let value = |dotted: &str| {
        let found = leaf.extensions().iter().find(|e| e.oid.to_string() == dotted).unwrap();
        found.value.clone()
    };
    let issuer = b"https://accounts.example.com";
    assert_eq!(value("1.3.6.1.4.1.57264.1.1"), issuer);
    assert_eq!(value("1.3.6.1.4.1.57264.1.8"), [&[0x0c, 28], issuer.as_slice()].concat());
    // otherName: [0] { OID, [0] EXPLICIT UTF8String }.
    let username = setting::leaf(&authority, &signing, &San::OtherName("a!b".into()), &signing);
    let san = username.extensions().iter().find(|e| e.oid.to_string() == "2.5.29.17").unwrap();
    let expected = "3015a013060a2b0601040183bf300107a0050c03612162";
    assert_eq!(hex::encode(&san.value), expected);
}

#[test]
fn what_could_never_verify_is_not_issued() {
    let authority = authority(KeyKind::EcdsaP256, Below::CodeSigning);
    let signing = key(KeyKind::EcdsaP256);
    let (extensions, none) = (extensions(), ExtensionValues::new());
    let san = San::Email("a@example.com".into());
    let good = LeafProfile {
        serial: serial(),
        not_before: NOW,
        not_after: NOW + 600,
        public_key: signing.public_key(),
        san: &san,
        extensions: &extensions,
    };
    let issue = |profile: &LeafProfile<'_>| {
        issue::precertificate(profile, &authority.intermediate, &authority.key).map(|_| ()).unwrap_err()
    };
    assert_eq!(issue(&LeafProfile { extensions: &none, ..good }), IssueError::NoOidcIssuer);
    for san in [San::Email("jürgen@example.com".into()), San::Uri(String::new()), San::Unread(0x87)] {
        assert_eq!(issue(&LeafProfile { san: &san, ..good }), IssueError::San(san.clone()));
    }
    for (not_before, not_after) in [(NOW + 600, NOW), (-5, NOW), (NOW, NOW + 50 * 365 * 86_400)] {
        let refused = IssueError::Validity { not_before, not_after };
        assert_eq!(issue(&LeafProfile { not_before, not_after, ..good }), refused);
    }
    let wrong_key = issue::precertificate(&good, &authority.intermediate, &signing).unwrap_err();
    assert_eq!(wrong_key, IssueError::WrongKey);
    let precert = issue::precertificate(&good, &authority.intermediate, &authority.key).unwrap();
    let bare = issue::finish(&precert, &SctList(vec![]), &authority.intermediate, &authority.key);
    assert_eq!(bare.unwrap_err(), IssueError::NoSct);
    let not_ca = issue::tsa_leaf(&profile("x", 1), signing.public_key(), precert.certificate(), &signing);
    assert_eq!(not_ca.unwrap_err(), IssueError::NotCa);
}

#[test]
fn authorities_have_names_key_identifiers_and_long_lives() {
    let authority = authority(KeyKind::EcdsaP384, Below::TimeStamping);
    assert_eq!(authority.root.common_name().as_deref(), Some("test root"));
    assert_eq!(authority.root.organization().as_deref(), Some("sealog.example"));
    assert_eq!(authority.intermediate.basic_constraints().unwrap().path_len, Some(0));
    assert_eq!(authority.intermediate.authority_key_id(), authority.root.subject_key_id());
    // Past 2049 the date has another form.
    let (_, not_after) = authority.root.validity();
    assert!(not_after > 2_524_608_000);
    let tsa = key(KeyKind::EcdsaP384);
    let profile = profile("test tsa", 10);
    let leaf = issue::tsa_leaf(&profile, tsa.public_key(), &authority.intermediate, &authority.key).unwrap();
    let (between, anchors) = ([authority.intermediate], [authority.root]);
    assert!(verify_chain(&leaf, &between, &anchors, NOW, Purpose::TimeStamping).is_ok());
    assert!(verify_chain(&leaf, &between, &anchors, NOW, Purpose::CodeSigning).is_err());
}

#[test]
fn chains_are_read_from_pem_in_order() {
    let authority = authority(KeyKind::EcdsaP256, Below::CodeSigning);
    let text = format!("{}\n\n{}", authority.intermediate.to_pem(), authority.root.to_pem());
    let chain = Certificate::chain_from_pem(&text).unwrap();
    assert_eq!(chain, [authority.intermediate, authority.root]);
    assert_eq!(Certificate::chain_from_pem(" \n").unwrap(), []);
    assert!(Certificate::chain_from_pem("nonsense").is_err());
    assert!(Certificate::chain_from_pem(&text[..text.len() - 20]).is_err());
}

#[test]
fn a_request_proves_that_its_key_is_held() {
    for kind in [
        KeyKind::EcdsaP256,
        KeyKind::EcdsaP384,
        KeyKind::EcdsaP521,
        KeyKind::Ed25519,
        KeyKind::Rsa { bits: 2048 },
        KeyKind::MlDsa44,
        KeyKind::MlDsa65,
        KeyKind::MlDsa87,
    ] {
        let key = key(kind);
        let der = Csr::build(&key).unwrap();
        let request = Csr::from_pem(&Csr::pem_of(&der)).unwrap();
        assert_eq!((request.public_key(), request.scheme()), (key.public_key(), key.scheme()));
        assert_eq!(request.verify_self_signature(), Ok(()));
        let mut bent = der.clone();
        *bent.last_mut().unwrap() ^= 1;
        if let Ok(request) = Csr::from_der(&bent) {
            assert!(matches!(request.verify_self_signature(), Err(CsrError::Signature(_))));
        }
    }
}
