//! Keys on disk: they come back, they stay as they are, and nobody else reads them.

use super::*;

fn passphrase(text: &str) -> Protection {
    Protection::Passphrase(Zeroizing::new(text.as_bytes().to_vec()))
}

#[test]
fn plain_keys_come_back_and_are_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let keys = KeyStore::create(&dir.path().join("keys"), Protection::Plain).unwrap();
    let made = keys.generate("rekor", KeyKind::Ed25519).unwrap();
    assert_eq!(keys.load("rekor").unwrap().public_key(), made.public_key());
    assert_eq!(&keys.public("rekor").unwrap(), made.public_key());
    assert!(matches!(keys.generate("rekor", KeyKind::Ed25519), Err(KeyStoreError::Exists(_))));
    assert!(matches!(keys.load("ctlog"), Err(KeyStoreError::Missing(_))));
    assert!(matches!(KeyStore::open(keys.dir(), passphrase("x")), Err(KeyStoreError::NotSealed(_))));
}

#[test]
fn of_several_that_make_a_key_at_once_one_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    KeyStore::create(&path, Protection::Plain).unwrap();
    for round in 0..20 {
        let (name, together) = (format!("oidc-{round}"), std::sync::Barrier::new(8));
        let made: usize = std::thread::scope(|scope| {
            let one = || {
                // As processes of their own have it.
                let keys = KeyStore::open(&path, Protection::Plain).unwrap();
                together.wait();
                match keys.generate(&name, KeyKind::Ed25519) {
                    Ok(_) => 1,
                    Err(KeyStoreError::Exists(_)) => 0,
                    Err(error) => panic!("{error:?}"),
                }
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(made, 1);
        let keys = KeyStore::open(&path, Protection::Plain).unwrap();
        assert_eq!(&keys.public(&name).unwrap(), keys.load(&name).unwrap().public_key(), "{name}");
    }
}

#[test]
fn sealed_keys_need_their_passphrase_and_their_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let keys = KeyStore::create(&path, passphrase("correct horse")).unwrap();
    let made = keys.generate("ca", KeyKind::EcdsaP384).unwrap();
    drop(keys);
    let text = fs::read_to_string(path.join("ca.key")).unwrap();
    assert!(text.starts_with("-----BEGIN SEALOG SEALED"), "{text}");
    assert!(matches!(KeyStore::open(&path, passphrase("wrong")), Err(KeyStoreError::WrongPassphrase(_))));
    assert!(matches!(KeyStore::open(&path, Protection::Plain), Err(KeyStoreError::NeedsPassphrase(_))));
    let keys = KeyStore::open(&path, passphrase("correct horse")).unwrap();
    assert_eq!(keys.load("ca").unwrap().public_key(), made.public_key());
    fs::copy(path.join("ca.key"), path.join("tsa.key")).unwrap();
    assert!(matches!(keys.load("tsa"), Err(KeyStoreError::Malformed { .. })));
}

#[test]
fn a_key_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let keys = KeyStore::create(&dir.path().join("keys"), Protection::Plain).unwrap();
    keys.generate("tsa", KeyKind::EcdsaP256).unwrap();
    let path = keys.path("tsa", "key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = keys.load("tsa").unwrap_err();
    assert!(error.to_string().contains("mode 0640, expected 0600"), "{error}");
}
