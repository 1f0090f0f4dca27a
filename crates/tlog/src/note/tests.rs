use super::*;
use alloc::{format, sync::Arc, vec};
use proptest::prelude::*;
use sealog_crypto::{KeyKind, PrivateKey, Signer as _};

const TEXT: &str = "log.example\n5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";

fn signer(name: &str, key_type: KeyType, kind: KeyKind) -> KeySigner {
    KeySigner::new(name, key_type, Arc::new(PrivateKey::generate(kind).unwrap())).unwrap()
}

fn every_kind(name: &str) -> Vec<KeySigner> {
    vec![
        signer(name, KeyType::Ed25519, KeyKind::Ed25519),
        signer(name, KeyType::Cosignature, KeyKind::Ed25519),
        signer(name, KeyType::Ecdsa, KeyKind::EcdsaP256),
        signer(name, KeyType::Ecdsa, KeyKind::EcdsaP384),
        signer(name, KeyType::Rsa, KeyKind::Rsa { bits: 2048 }),
        signer(name, KeyType::TreeHead, KeyKind::EcdsaP256),
    ]
}

#[test]
fn every_kind_of_key_signs_and_verifies() {
    let signers = every_kind("log.example");
    let mut note = SignedNote::new(TEXT.to_string());
    for signer in &signers {
        assert!(matches!(note.verify(&signer.verifier()), Err(NoteError::Unsigned { .. })));
        note.sign(signer, 1_700_000_000_123).unwrap();
    }
    let note = SignedNote::parse(note.encode()).unwrap();
    assert_eq!(note.signatures.len(), signers.len());
    for (at, signer) in signers.iter().enumerate() {
        let verifier = signer.verifier();
        assert_eq!(note.verify(&verifier), Ok(()), "{signer:?}");
        let mut changed = note.clone();
        changed.text = TEXT.replace('5', "6");
        assert!(matches!(changed.verify(&verifier), Err(NoteError::BadSignature { .. })), "{signer:?}");
        for byte in [0, 8, 20, note.signatures[at].bytes.len() - 1] {
            let mut changed = note.clone();
            changed.signatures[at].bytes[byte] ^= 1;
            assert!(matches!(changed.verify(&verifier), Err(NoteError::BadSignature { .. })), "{signer:?}");
        }
        for length in 0..10 {
            assert!(!verifier.verify(&note.text, &note.signatures[at].bytes[..length]));
        }
        if let Some(vkey) = verifier.to_vkey() {
            let again = KeyVerifier::from_vkey(&vkey).unwrap();
            assert_eq!((again.name(), again.key_id()), (verifier.name(), verifier.key_id()));
            assert_eq!(note.verify(&again), Ok(()));
        }
    }
}

#[test]
fn one_bad_line_of_a_known_key_refuses_the_note() {
    let signer = signer("log.example", KeyType::Ed25519, KeyKind::Ed25519);
    let mut note = SignedNote::new(TEXT.to_string());
    note.sign(&signer, 0).unwrap();
    let mut bad = note.signatures[0].clone();
    bad.bytes[0] ^= 1;
    for at in [0, 1] {
        let mut both = note.clone();
        both.signatures.insert(at, bad.clone());
        assert!(matches!(both.verify(&signer.verifier()), Err(NoteError::BadSignature { .. })));
    }
    // The same line twice does no harm; a stranger's line does none either, and is kept.
    let mut twice = note.clone();
    twice.signatures.push(note.signatures[0].clone());
    twice.signatures.push(NoteSignature { name: "stranger".into(), key_id: [9; 4], bytes: vec![1] });
    let twice = SignedNote::parse(twice.encode()).unwrap();
    assert_eq!(twice.verify(&signer.verifier()), Ok(()));
    assert_eq!(twice.signatures.len(), 3);
    // A line of the same key ID under another name is not this key's.
    let mut renamed = note;
    renamed.signatures[0].name = "other.example".into();
    assert!(matches!(renamed.verify(&signer.verifier()), Err(NoteError::Unsigned { .. })));
}

#[test]
fn one_line_many_times_is_verified_once() {
    struct Counting(KeyVerifier, core::cell::Cell<usize>);
    impl NoteVerifier for Counting {
        fn name(&self) -> &str {
            self.0.name()
        }
        fn key_id(&self) -> KeyId {
            self.0.key_id()
        }
        fn verify(&self, text: &str, signature: &[u8]) -> bool {
            self.1.set(self.1.get() + 1);
            self.0.verify(text, signature)
        }
    }
    let signer = signer("log.example", KeyType::Ecdsa, KeyKind::EcdsaP256);
    let mut note = SignedNote::new(TEXT.to_string());
    note.sign(&signer, 0).unwrap();
    note.signatures = vec![note.signatures[0].clone(); MAX_SIGNATURES];
    let counting = Counting(signer.verifier(), 0.into());
    assert_eq!((note.verify(&counting), counting.1.get()), (Ok(()), 1));
    // A bad one among them is looked at, wherever it stands.
    for at in [0, 1, 40, MAX_SIGNATURES - 1] {
        let mut bad = note.clone();
        bad.signatures[at].bytes[20] ^= 1;
        assert!(matches!(bad.verify(&counting), Err(NoteError::BadSignature { .. })), "{at}");
    }
}

#[test]
fn a_tree_head_covers_its_own_log_only() {
    let signer = signer("log.example", KeyType::TreeHead, KeyKind::EcdsaP256);
    let mut note = SignedNote::new(TEXT.to_string());
    note.sign(&signer, 7).unwrap();
    // The signature knows neither origin nor extensions, so the check must.
    for text in [TEXT.replace("log.example", "lag.example"), format!("{TEXT}extension\n")] {
        assert!(!signer.verifier().verify(&text, &note.signatures[0].bytes));
        assert!(signer.sign_note(&text, 7).is_err());
    }
    assert!(signer.sign_note("no checkpoint\n", 7).is_err());
}

#[test]
fn a_log_has_no_ml_dsa_key() {
    for kind in [KeyKind::MlDsa44, KeyKind::MlDsa65, KeyKind::MlDsa87] {
        let key = Arc::new(PrivateKey::generate(kind).unwrap());
        let none = Some(KeyError::NoType(kind));
        assert_eq!(KeyVerifier::for_log("log.example", key.public_key().clone()).err(), none);
        assert_eq!(key_id_full("log.example", key.public_key()).err(), none);
        assert_eq!(KeySigner::for_log("log.example", key).err(), none);
    }
}

#[test]
fn keys_must_fit() {
    let key = || Arc::new(PrivateKey::generate(KeyKind::EcdsaP384).unwrap());
    for key_type in [KeyType::Ed25519, KeyType::Cosignature, KeyType::Rsa, KeyType::TreeHead] {
        assert!(matches!(KeySigner::new("log", key_type, key()), Err(KeyError::Kind { .. })));
    }
    for name in ["", "a b", "a+b", "a\nb", "a\u{a0}b", "a\u{2003}b"] {
        assert!(matches!(KeySigner::for_log(name, key()), Err(KeyError::Name(_))), "{name:?}");
    }
    let vkey = signer("log", KeyType::Ed25519, KeyKind::Ed25519).verifier().to_vkey().unwrap();
    let (name, rest) = vkey.split_once('+').unwrap();
    assert_eq!(KeyVerifier::from_vkey(&format!("{name}2+{rest}")).err(), Some(KeyError::KeyId));
    for text in ["", "log", "log+00000000", "log+00000000+", "log+00000000+AQ==", "log+00000000+!"] {
        assert_eq!(KeyVerifier::from_vkey(text).err(), Some(KeyError::Text), "{text}");
    }
}

#[test]
fn malformed_notes_are_refused() {
    let line = "— log AAAAAAA=\n";
    assert!(SignedNote::parse(format!("text\n\n{line}")).is_ok());
    let nested = SignedNote::parse(format!("text\n\nmore\n\n{line}{line}")).unwrap();
    assert_eq!((nested.text.as_str(), nested.signatures.len()), ("text\n\nmore\n", 2));
    let refused = [
        String::new(),
        "\n".into(),
        "text\n".into(),
        format!("text\n{line}"),
        "text\n\n".into(),
        "text\n\n\n".into(),
        format!("text\n\n{}", line.trim_end()),
        format!("text\n\n{line}\n"),
        format!("text\n\n{line}junk\n"),
        format!("text\r\n\n{line}"),
        format!("te\txt\n\n{line}"),
        format!("te\0xt\n\n{line}"),
        "text\n\n- log AAAAAAA=\n".into(),
        "text\n\n—  AAAAAAA=\n".into(),
        "text\n\n— log\n".into(),
        "text\n\n— log AAAA\n".into(),
        "text\n\n— log AAAAAA==\n".into(),
        "text\n\n— log AAAAAAA\n".into(),
        "text\n\n— log AAAAAAB=\n".into(),
        "text\n\n— l+g AAAAAAA=\n".into(),
        "text\n\n— log AAAAAAA= more\n".into(),
    ];
    for note in refused {
        assert!(SignedNote::parse(&note).is_err(), "{note:?}");
    }
    assert!(SignedNote::parse(b"te\xffxt\n\n").is_err());
    assert!(SignedNote::parse(format!("text\n\n{}", line.repeat(MAX_SIGNATURES))).is_ok());
    let many = SignedNote::parse(format!("text\n\n{}", line.repeat(MAX_SIGNATURES + 1)));
    assert_eq!(many, Err(NoteError::TooManySignatures));
    let long = SignedNote::parse("x".repeat(MAX_NOTE_LEN + 1));
    assert_eq!(long, Err(NoteError::TooLong(MAX_NOTE_LEN + 1)));
}

proptest! {
    #[test]
    fn notes_come_back(
        text in "([^\\p{Cc}]*\n){1,5}",
        lines in prop::collection::vec(("[^\\p{Cc}\\s+]{1,20}", any::<[u8; 4]>(), prop::collection::vec(any::<u8>(), 1..100)), 1..20),
    ) {
        let signatures =
            lines.into_iter().map(|(name, key_id, bytes)| NoteSignature { name, key_id, bytes }).collect();
        let note = SignedNote { text, signatures };
        prop_assert_eq!(SignedNote::parse(note.encode()), Ok(note));
    }

    #[test]
    fn what_parses_is_spelled_so(bytes in "(.{0,5}\n){0,3}\n(— [a-z]{1,3} [A-Za-z0-9+/]{0,9}={0,2}\n){0,3}") {
        if let Ok(note) = SignedNote::parse(&bytes) {
            prop_assert_eq!(note.encode(), bytes);
        }
    }

    #[test]
    fn nothing_panics(bytes: Vec<u8>, text in "\\PC*") {
        let _ = SignedNote::parse(bytes);
        let _ = SignedNote::parse(&text);
        let _ = KeyVerifier::from_vkey(&text);
        let _ = crate::checkpoint::Checkpoint::parse(&text);
    }
}
