use super::*;
use crate::leaf::split;
use alloc::{format, vec};
use proptest::prelude::*;
use sealog_crypto::{KeyKind, PrivateKey, Signer as _};

fn any_entry() -> impl Strategy<Value = CtEntry> {
    let der = || prop::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        der().prop_map(|cert| CtEntry::X509 { cert }),
        (any::<[u8; 32]>(), der(), der()).prop_map(|(issuer_key_hash, tbs, precert)| CtEntry::Precert {
            issuer_key_hash,
            tbs,
            precert
        }),
    ]
}

fn precert() -> CtSubmission {
    let entry = CtEntry::Precert { issuer_key_hash: [7; 32], tbs: vec![1; 70], precert: vec![2; 80] };
    CtSubmission { entry, issuers: vec![vec![3; 90], vec![4; 100]] }
}

#[test]
fn a_leaf_cut_anywhere_is_refused() {
    let encoded = CtLeaf::place(&precert(), 9, 5).unwrap().encoded;
    assert_eq!(TileLeaf::parse(&encoded).unwrap().index(), Ok(9));
    for length in 0..encoded.len() {
        assert_eq!(TileLeaf::parse(&encoded[..length]).err(), Some(LeafError::Truncated), "{length}");
    }
    let longer = [encoded.as_slice(), &[0]].concat();
    assert_eq!(TileLeaf::parse(&longer).err(), Some(LeafError::Trailing(1)));
    let mut unknown = encoded;
    unknown[9] = 2;
    assert!(matches!(TileLeaf::parse(&unknown), Err(LeafError::Malformed(_))));
}

#[test]
fn the_leaf_hash_does_not_cover_the_precertificate() {
    let mut submission = precert();
    let first = CtLeaf::place(&submission, 9, 5).unwrap();
    let key = CtLeaf::dedup_key(&submission);
    if let CtEntry::Precert { precert, .. } = &mut submission.entry {
        precert.push(0);
    }
    assert_eq!(CtLeaf::place(&submission, 9, 5).unwrap().leaf_hash, first.leaf_hash);
    assert_eq!(CtLeaf::dedup_key(&submission), key);
    assert_ne!(CtLeaf::place(&submission, 9, 6).unwrap().leaf_hash, first.leaf_hash);
    assert_ne!(CtLeaf::place(&submission, 8, 5).unwrap().leaf_hash, first.leaf_hash);
}

#[test]
fn leaf_indices_have_forty_bits() {
    for index in [0, 1, 255, 1 << 32, MAX_LEAF_INDEX] {
        assert_eq!(leaf_index(&leaf_index_extension(index).unwrap()), Ok(index));
    }
    assert_eq!(leaf_index_extension(1 << 40), Err(LeafError::Index(1 << 40)));
    assert_eq!(leaf_index(&[9, 0, 1, 7, 0, 0, 5, 0, 0, 0, 0, 3]), Ok(3));
    let refused: [&[u8]; 6] = [
        &[],
        &[0],
        &[0, 0, 5, 0, 0, 0, 0],
        &[0, 0, 4, 0, 0, 0, 3],
        &[1, 0, 5, 0, 0, 0, 0, 3],
        &[0, 0, 5, 0, 0, 0, 0, 3, 0, 0, 5, 0, 0, 0, 0, 3],
    ];
    for extensions in refused {
        assert!(leaf_index(extensions).is_err(), "{extensions:?}");
    }
}

#[test]
fn what_is_too_long_is_refused() {
    let cert = CtEntry::X509 { cert: vec![0; 1 << 24] };
    let too_long = |found| matches!(found, Err(LeafError::TooLong { .. }));
    assert!(too_long(CtLeaf::place(&CtSubmission { entry: cert, issuers: vec![] }, 0, 0)));
    let submission = CtSubmission { entry: CtEntry::X509 { cert: vec![] }, issuers: vec![vec![]; 2048] };
    assert!(too_long(CtLeaf::place(&submission, 0, 0)));
}

#[test]
fn a_promise_holds_for_its_entry_only() {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let entry = precert().entry;
    let sct = Sct::sign(5, &entry, leaf_index_extension(9).unwrap(), &key).unwrap();
    assert_eq!(sct.verify(&entry, key.public_key()), Ok(()));
    let placed = CtLeaf::place(&precert(), 9, 5).unwrap();
    let of_leaf = Sct::sign_leaf(&TileLeaf::parse(&placed.encoded).unwrap(), &key).unwrap();
    assert_eq!(of_leaf.verify(&entry, key.public_key()), Ok(()));
    assert_eq!((of_leaf.timestamp_ms, &of_leaf.extensions), (5, &sct.extensions));
    let mut changed = [sct.clone(), sct.clone(), sct.clone(), sct.clone()];
    changed[0].timestamp_ms += 1;
    changed[1].extensions.clear();
    changed[2].signed.signature[20] ^= 1;
    changed[3].signed.hash_alg = 5;
    for sct in changed {
        assert!(matches!(
            sct.verify(&entry, key.public_key()),
            Err(SctError::Signature(_) | SctError::Algorithm { .. })
        ));
    }
    assert!(sct.verify(&CtEntry::X509 { cert: vec![] }, key.public_key()).is_err());
    let other = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    assert!(matches!(sct.verify(&entry, other.public_key()), Err(SctError::LogId { .. })));
    for kind in [KeyKind::Ed25519, KeyKind::EcdsaP384] {
        let unfit = PrivateKey::generate(kind).unwrap();
        assert!(Sct::sign(5, &entry, vec![], &unfit).is_err());
    }
    let encoded = sct.encode().unwrap();
    assert_eq!(Sct::parse(&encoded), Ok(sct.clone()));
    for length in 0..encoded.len() {
        assert!(Sct::parse(&encoded[..length]).is_err());
    }
    assert!(Sct::parse(&[encoded.as_slice(), &[0]].concat()).is_err());
    assert_eq!(Sct::parse(&[&[1], &encoded[1..]].concat()), Err(SctError::Version(1)));
    let list = SctList(vec![sct.clone(), sct]);
    assert_eq!(SctList::parse(&list.encode().unwrap()), Ok(list));
    assert_eq!(SctList::parse(&[0, 0]), Err(SctError::Malformed));
}

proptest! {
    #[test]
    fn bundles_come_apart(
        entries in prop::collection::vec((any_entry(), prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..4)), 0..8),
        index in 0..MAX_LEAF_INDEX - 8,
        time: u64,
    ) {
        let submissions: Vec<_> =
            entries.into_iter().map(|(entry, issuers)| CtSubmission { entry, issuers }).collect();
        let placed: Vec<_> =
            (index..).zip(&submissions).map(|(at, s)| CtLeaf::place(s, at, time).unwrap()).collect();
        let bundle: Vec<u8> = placed.iter().flat_map(|p| p.encoded.clone()).collect();
        let elements: Vec<_> = split::<CtLeaf>(&bundle).map(Result::unwrap).collect();
        prop_assert_eq!(elements.len(), submissions.len());
        for (n, element) in elements.into_iter().enumerate() {
            let leaf = TileLeaf::parse(element).unwrap();
            prop_assert_eq!(element, placed[n].encoded.as_slice());
            prop_assert_eq!(CtLeaf::leaf_hash(element), Ok(placed[n].leaf_hash));
            prop_assert_eq!(CtLeaf::dedup_key_of(element), Ok(CtLeaf::dedup_key(&submissions[n])));
            prop_assert_eq!(leaf.entry.to_owned(), submissions[n].entry.clone());
            prop_assert_eq!(leaf.index(), Ok(index + u64::try_from(n).unwrap()));
            prop_assert_eq!(leaf.timestamp_ms, time);
            let paths: Vec<_> = leaf.issuers.iter().map(|hash| format!("issuer/{}", hex::encode(hash))).collect();
            let objects = CtLeaf::side_objects(&submissions[n], element).unwrap();
            prop_assert_eq!(paths, objects.iter().map(SideObject::path).collect::<Vec<_>>());
            prop_assert_eq!(&submissions[n].issuers, &objects.iter().map(|o| o.bytes.to_vec()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn nothing_panics(bytes: Vec<u8>) {
        for _ in split::<CtLeaf>(&bytes) {}
        let _ = (Sct::parse(&bytes), SctList::parse(&bytes), DigitallySigned::parse(&bytes));
    }
}
