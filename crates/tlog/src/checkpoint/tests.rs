use super::*;
use crate::note::{KeySigner, KeyType};
use alloc::{format, sync::Arc, vec};
use sealog_crypto::{KeyKind, PrivateKey};

const ROOT: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

#[test]
fn a_checkpoint_has_one_spelling() {
    for text in [format!("log\n0\n{ROOT}\n"), format!("log name\n18446744073709551615\n{ROOT}\none\ntwo\n")] {
        let checkpoint = Checkpoint::parse(&text).unwrap();
        assert_eq!(checkpoint.encode(), text);
    }
    let refused = [
        String::new(),
        "\n".into(),
        "log\n".into(),
        "log\n5\n".into(),
        format!("log\n5\n{ROOT}"),
        format!("\n5\n{ROOT}\n"),
        format!("log\n\n{ROOT}\n"),
        format!("log\n05\n{ROOT}\n"),
        format!("log\n+5\n{ROOT}\n"),
        format!("log\n-5\n{ROOT}\n"),
        format!("log\n5 \n{ROOT}\n"),
        format!("log\n0x5\n{ROOT}\n"),
        format!("log\n18446744073709551616\n{ROOT}\n"),
        "log\n5\nAAAA\n".into(),
        format!("log\n5\n{ROOT}AAAA\n"),
        format!("log\n5\n{}\n", ROOT.trim_end_matches('=')),
        format!("log\n5\n{}B=\n", ROOT.trim_end_matches("A=")),
        format!("log\n5\n{ROOT}\n\n"),
        format!("log\n5\n{ROOT}\none\n\ntwo\n"),
    ];
    for text in refused {
        assert!(matches!(Checkpoint::parse(&text), Err(CheckpointError::Malformed(_))), "{text:?}");
    }
}

#[test]
fn a_log_speaks_for_itself_only() {
    let key = Arc::new(PrivateKey::generate(KeyKind::Ed25519).unwrap());
    let signer = KeySigner::new("log.example", KeyType::Ed25519, key).unwrap();
    let mut checkpoint =
        Checkpoint { origin: "log.example".into(), size: 3, root: Hash([7; 32]), extensions: vec![] };
    let sign = |checkpoint: &Checkpoint| {
        let mut note = SignedNote::new(checkpoint.encode());
        note.sign(&signer, 0).unwrap();
        SignedCheckpoint::parse(note.encode()).unwrap()
    };
    assert_eq!(sign(&checkpoint).verify(&signer.verifier()), Ok(&checkpoint));
    checkpoint.origin = "other.example".into();
    let refused = CheckpointError::Origin { expected: "log.example".into(), found: "other.example".into() };
    assert_eq!(sign(&checkpoint).verify(&signer.verifier()), Err(refused));
    let other = Arc::new(PrivateKey::generate(KeyKind::Ed25519).unwrap());
    let other = KeySigner::new("log.example", KeyType::Ed25519, other).unwrap();
    let unsigned = sign(&checkpoint);
    assert!(matches!(
        unsigned.verify(&other.verifier()),
        Err(CheckpointError::Note(NoteError::Unsigned { .. }))
    ));
}
