use super::*;
use alloc::vec;
use proptest::prelude::*;

#[test]
fn an_entry_has_room_for_65535_bytes() {
    let placed = EntryLeaf::place(&EntryBytes(vec![7; MAX_ENTRY_LEN]), 0, 0).unwrap();
    assert_eq!(placed.encoded.len(), MAX_ENTRY_LEN + 2);
    assert_eq!(EntryLeaf::leaf_hash(&placed.encoded), Ok(placed.leaf_hash));
    let refused = LeafError::TooLong { part: "an entry", limit: MAX_ENTRY_LEN, found: MAX_ENTRY_LEN + 1 };
    assert_eq!(EntryLeaf::place(&EntryBytes(vec![7; MAX_ENTRY_LEN + 1]), 0, 0), Err(refused));
}

#[test]
fn a_bundle_that_ends_early_says_so_once() {
    let mut elements = split::<EntryLeaf>(&[0, 1, 7, 0, 0, 0, 2, 8]);
    assert_eq!(elements.next(), Some(Ok(&[0, 1, 7][..])));
    assert_eq!(elements.next(), Some(Ok(&[0, 0][..])));
    assert_eq!(elements.next(), Some(Err(LeafError::Truncated)));
    assert_eq!(elements.next(), None);
    assert_eq!(EntryLeaf::leaf_hash(&[0, 1, 7, 0]), Err(LeafError::Trailing(1)));
}

proptest! {
    #[test]
    fn bundles_come_apart(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..20)) {
        let pending: Vec<_> = entries.into_iter().map(EntryBytes).collect();
        let placed: Vec<_> = pending.iter().map(|p| EntryLeaf::place(p, 0, 0).unwrap()).collect();
        let bundle: Vec<u8> = placed.iter().flat_map(|p| p.encoded.clone()).collect();
        let elements: Vec<_> = split::<EntryLeaf>(&bundle).map(Result::unwrap).collect();
        prop_assert_eq!(elements.len(), pending.len());
        for ((element, placed), pending) in elements.iter().zip(&placed).zip(&pending) {
            prop_assert_eq!(*element, placed.encoded.as_slice());
            prop_assert_eq!(EntryLeaf::leaf_hash(element), Ok(placed.leaf_hash));
            prop_assert_eq!(EntryLeaf::dedup_key_of(element), Ok(EntryLeaf::dedup_key(pending)));
            prop_assert_eq!(EntryLeaf::entry(element), Ok(pending.0.as_slice()));
        }
    }
}
