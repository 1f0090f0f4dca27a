//! What is remembered never goes back, and a mark says what it was told.

use sealog_crypto::{KeyKind, PrivateKey};
use sealog_tlog::note::KeySigner;
use sealog_tlog::{Checkpoint, Hash, SignedNote};

use super::*;
use crate::disk::RealDisk;
use crate::support::ORIGIN;

fn checkpoint(signer: &KeySigner, size: u64, root: u8) -> Vec<u8> {
    let checkpoint =
        Checkpoint { origin: ORIGIN.to_owned(), size, root: Hash([root; 32]), extensions: Vec::new() };
    let mut note = SignedNote::new(checkpoint.encode());
    note.sign(signer, 0).unwrap();
    note.encode().into_bytes()
}

#[test]
fn a_smaller_checkpoint_never_takes_the_place_of_a_larger_one() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log.seen");
    let key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
    let signer = KeySigner::for_log(ORIGIN, Arc::new(key)).unwrap();
    let [five, ten, other] = [(5, 5), (10, 10), (10, 11)].map(|(size, root)| checkpoint(&signer, size, root));
    let there = || std::fs::read(&path).unwrap();
    for (new, expected) in [(&five, &five), (&ten, &ten), (&five, &ten), (&ten, &ten)] {
        remember(&RealDisk, &path, new).unwrap();
        assert_eq!(there(), *expected);
    }
    let refused = remember(&RealDisk, &path, &other).unwrap_err();
    assert_eq!(refused.to_string(), "another tree of 10 entries is remembered there");
    assert_eq!(there(), ten);
    // What is no checkpoint of the log is worth nothing.
    std::fs::write(&path, "nothing").unwrap();
    remember(&RealDisk, &path, &five).unwrap();
    assert_eq!(there(), five);
}

#[test]
fn a_mark_that_cannot_be_read_is_one_all_the_same() {
    let home = tempfile::tempdir().unwrap();
    let seen = home.path().join("log.seen");
    assert_eq!(mark(&RealDisk, &seen).unwrap(), None);
    for shared in [true, false] {
        let wanted = Mark { place: "s3://logs/a b".into(), shared };
        set_mark(&RealDisk, &seen, &wanted).unwrap();
        assert_eq!(mark(&RealDisk, &seen).unwrap(), Some(wanted));
    }
    for damaged in ["", "running", "\u{0}"] {
        std::fs::write(home.path().join("log.running"), damaged).unwrap();
        assert!(mark(&RealDisk, &seen).unwrap().is_some(), "{damaged:?}");
    }
    clear_mark(&RealDisk, &seen).unwrap();
    clear_mark(&RealDisk, &seen).unwrap();
    assert_eq!(mark(&RealDisk, &seen).unwrap(), None);
}
