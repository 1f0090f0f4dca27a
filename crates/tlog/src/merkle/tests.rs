//! Against a second, naive reading of RFC 6962 §2.1, kept as close to its recursive definitions as can be.

use super::*;
use crate::tile::Tile;
use alloc::{format, vec};
use core::{cell::RefCell, convert::Infallible};
use proptest::prelude::*;
extern crate std;
use std::collections::HashMap;

/// The definitions of RFC 6962, with a memory, over leaves `leaf 0`, `leaf 1`, …
#[derive(Default)]
struct Naive {
    roots: RefCell<HashMap<(u64, u64), Hash>>,
}

impl Naive {
    fn leaf(&self, index: u64) -> Hash {
        self.mth(index, index + 1)
    }

    fn split(start: u64, end: u64) -> u64 {
        let mut k = 1;
        while k * 2 < end - start {
            k *= 2;
        }
        start + k
    }

    fn mth(&self, start: u64, end: u64) -> Hash {
        if start == end {
            return Hash(sha256(b""));
        }
        if let Some(known) = self.roots.borrow().get(&(start, end)) {
            return *known;
        }
        let hash = if end - start == 1 {
            Hash(sha256(format!("\0leaf {start}").as_bytes()))
        } else {
            let k = Self::split(start, end);
            let (left, right) = (self.mth(start, k), self.mth(k, end));
            Hash(sha256(&[&[1][..], left.as_ref(), right.as_ref()].concat()))
        };
        self.roots.borrow_mut().insert((start, end), hash);
        hash
    }

    fn path(&self, index: u64, start: u64, end: u64) -> Vec<Hash> {
        if end - start == 1 {
            return vec![];
        }
        let k = Self::split(start, end);
        let (mut path, sibling) = if index < k {
            (self.path(index, start, k), self.mth(k, end))
        } else {
            (self.path(index, k, end), self.mth(start, k))
        };
        path.push(sibling);
        path
    }

    fn subproof(&self, old: u64, start: u64, end: u64, known: bool) -> Vec<Hash> {
        if old == end {
            return if known { vec![] } else { vec![self.mth(start, end)] };
        }
        let k = Self::split(start, end);
        let (mut proof, sibling) = if old <= k {
            (self.subproof(old, start, k, known), self.mth(k, end))
        } else {
            (self.subproof(old, k, end, false), self.mth(start, k))
        };
        proof.push(sibling);
        proof
    }
}

impl NodeReader for Naive {
    type Error = Infallible;

    fn node(&self, level: u8, index: u64) -> Result<Hash, Infallible> {
        Ok(self.mth(index << level, (index + 1) << level))
    }
}

/// Everything below `all`, and the interesting ones up to `size`.
fn sample(size: u64, all: u64) -> impl Iterator<Item = u64> {
    (0..=size).filter(move |n| {
        size <= all
            || *n < 3
            || size - n < 3
            || [255, 256, 257, 1023, 1024].contains(n)
            || n % 389 == size % 389
    })
}

#[test]
fn every_size_agrees_with_the_definitions() {
    let naive = Naive::default();
    let (mut edge, mut trimmed, mut peaks) = (Edge::new(), Edge::new(), Peaks::new());
    for size in 0..=2000 {
        let expected = naive.mth(0, size);
        assert_eq!(root(size, &naive), Ok(expected), "size {size}");
        for found in [edge.root(), trimmed.root(), peaks.root()] {
            assert_eq!(found, expected, "size {size}");
        }
        assert_eq!((edge.size(), trimmed.size(), peaks.size()), (size, size, size));
        if size % 97 == 0 || size % 256 == 0 {
            trimmed.trim();
        }
        for index in sample(size, 48).filter(|index| *index < size) {
            let proof = prove_inclusion(index, size, &edge).unwrap();
            assert_eq!(proof.hashes, naive.path(index, 0, size), "leaf {index} of {size}");
            assert_eq!(proof.verify(&naive.leaf(index), &expected), Ok(()), "leaf {index} of {size}");
        }
        for old in sample(size, 48) {
            let proof = prove_consistency(old, size, &edge).unwrap();
            if old > 0 {
                assert_eq!(proof, naive.subproof(old, 0, size, true), "{old} to {size}");
            }
            let checked = verify_consistency(old, &naive.mth(0, old), size, &expected, &proof);
            assert_eq!(checked, Ok(()), "{old} to {size}");
        }
        let leaf = naive.leaf(size);
        edge.push(leaf);
        trimmed.push(leaf);
        peaks.push(leaf);
    }
}

#[test]
fn a_damaged_proof_proves_nothing() {
    let naive = Naive::default();
    for (index, size) in [(0, 2), (0, 7), (6, 7), (3, 8), (299, 300), (256, 300), (17, 257), (256, 257)] {
        let (leaf, root) = (naive.leaf(index), naive.mth(0, size));
        let proof = prove_inclusion(index, size, &naive).unwrap();
        let verify = |index, hashes: &[Hash]| verify_inclusion(&leaf, index, size, hashes, &root);
        assert_eq!(verify(index, &proof.hashes), Ok(()));
        for n in 0..proof.hashes.len() {
            let mut hashes = proof.hashes.clone();
            hashes[n].0[n] ^= 1;
            assert!(matches!(verify(index, &hashes), Err(ProofError::Root { .. })));
            hashes = proof.hashes.clone();
            hashes.remove(n);
            assert!(verify(index, &hashes).is_err());
            hashes = proof.hashes.clone();
            hashes.insert(n, hashes[n]);
            assert!(verify(index, &hashes).is_err());
        }
        let longer = [proof.hashes.as_slice(), &[root]].concat();
        assert_eq!(verify(index, &longer), Err(ProofError::Length { found: longer.len() }));
        assert_eq!(verify(index, &[]), Err(ProofError::Length { found: 0 }));
        for other in (0..size).filter(|other| *other != index) {
            assert!(verify(other, &proof.hashes).is_err(), "leaf {index} of {size} shown at {other}");
        }
        assert_eq!(verify(size, &proof.hashes), Err(ProofError::IndexBeyondTree { index: size, size }));
        assert!(verify_inclusion(&naive.leaf(index + 1), index, size, &proof.hashes, &root).is_err());
    }
}

#[test]
fn a_damaged_consistency_proof_proves_nothing() {
    let naive = Naive::default();
    for (old, new) in [(1, 2), (2, 3), (3, 7), (4, 8), (6, 8), (255, 256), (256, 300), (257, 300), (299, 300)]
    {
        let (old_root, new_root) = (naive.mth(0, old), naive.mth(0, new));
        let proof = prove_consistency(old, new, &naive).unwrap();
        let verify = |hashes: &[Hash]| verify_consistency(old, &old_root, new, &new_root, hashes);
        assert_eq!(verify(&proof), Ok(()));
        for n in 0..proof.len() {
            let mut hashes = proof.clone();
            hashes[n].0[31 - n] ^= 0x80;
            assert!(verify(&hashes).is_err());
            hashes = proof.clone();
            hashes.remove(n);
            assert!(verify(&hashes).is_err());
        }
        assert!(verify(&[]).is_err());
        assert!(verify(&[proof.as_slice(), &[new_root]].concat()).is_err());
        let other = naive.leaf(9999);
        let found = verify_consistency(old, &other, new, &new_root, &proof);
        assert!(found.is_err(), "another old root, {old} to {new}");
        assert!(verify_consistency(old, &old_root, new, &other, &proof).is_err());
        let shrunk = verify_consistency(new, &new_root, old, &old_root, &proof);
        assert_eq!(shrunk, Err(ProofError::Shrunk { old: new, new: old }));
    }
}

/// A proof for a small tree, with the root it leads to, said to be of a larger tree.
#[test]
fn a_proof_that_stops_below_the_root_proves_nothing() {
    let naive = Naive::default();
    for (old, new) in [(1, 2), (4, 8), (3, 4), (5, 8), (255, 256)] {
        let (old_root, root) = (naive.mth(0, old), naive.mth(0, new));
        let proof = prove_consistency(old, new, &naive).unwrap();
        let too_short = Err(ProofError::Length { found: proof.len() });
        for claimed in [new + 1, 2 * new, 1000 * new, u64::MAX] {
            assert_eq!(verify_consistency(old, &old_root, claimed, &root, &proof), too_short);
        }
        let proof = prove_inclusion(0, new, &naive).unwrap().hashes;
        let too_short = Err(ProofError::Length { found: proof.len() });
        for claimed in [new + 1, 2 * new, 1000 * new, u64::MAX] {
            assert_eq!(verify_inclusion(&naive.leaf(0), 0, claimed, &proof, &root), too_short);
        }
    }
}

#[test]
fn sizes_at_the_edges() {
    let (empty, other) = (empty_root(), leaf_hash(b"x"));
    assert_eq!(verify_consistency(0, &empty, 0, &empty, &[]), Ok(()));
    assert_eq!(verify_consistency(0, &empty, 5, &other, &[]), Ok(()));
    assert_eq!(verify_consistency(5, &other, 5, &other, &[]), Ok(()));
    assert!(verify_consistency(0, &empty, 5, &other, &[other]).is_err());
    assert!(verify_consistency(0, &other, 5, &other, &[]).is_err());
    assert!(verify_consistency(0, &empty, 0, &other, &[]).is_err());
    assert!(verify_consistency(5, &other, 5, &empty, &[]).is_err());
    assert!(verify_consistency(5, &other, 5, &other, &[other]).is_err());
    assert_eq!(verify_inclusion(&other, 0, 1, &[], &other), Ok(()));
    assert!(verify_inclusion(&other, 0, 0, &[], &empty).is_err());
    let naive = Naive::default();
    assert_eq!(prove_inclusion(3, 3, &naive), Err(ProveError::IndexBeyondTree { index: 3, size: 3 }));
    assert_eq!(prove_consistency(4, 3, &naive), Err(ProveError::Shrunk { old: 4, new: 3 }));
    assert_eq!(prove_consistency(0, 3, &naive), Ok(vec![]));
}

#[test]
fn an_edge_writes_every_tile_once_and_forgets() {
    let naive = Naive::default();
    let mut edge = Edge::new();
    let mut seen = std::collections::BTreeMap::new();
    let mut batch = 1;
    while edge.size() < 70_000 {
        let before = edge.size();
        for index in before..before + batch {
            edge.push(naive.leaf(index));
        }
        for index in [before, edge.size() - 1] {
            let proof = prove_inclusion(index, edge.size(), &edge).unwrap();
            assert_eq!(proof.verify(&naive.leaf(index), &edge.root()), Ok(()));
        }
        assert!(prove_consistency(before, edge.size(), &edge).is_ok());
        for (tile, bytes) in edge.full_tiles_since(before) {
            assert!(seen.insert(tile, bytes).is_none(), "{tile} twice");
        }
        edge.trim();
        for (tile, bytes) in edge.partial_tiles() {
            let expected: Vec<u8> = (0..u64::from(tile.width()))
                .flat_map(|n| naive.node(8 * tile.level(), 256 * tile.index() + n).unwrap().0)
                .collect();
            assert_eq!(bytes, expected, "{tile}");
        }
        // Taken up again from its tiles it is the same edge.
        let again = Edge::from_tiles(edge.size(), |tile| tile.decode(&edge.tile_bytes(&tile).unwrap()));
        assert_eq!(format!("{:?}", again.unwrap()), format!("{edge:?}"));
        batch = batch * 5 % 1777 + 1;
    }
    assert_eq!(edge.root(), naive.mth(0, edge.size()));
    for tile in crate::tile::tiles_for_size(edge.size()).filter(Tile::is_full) {
        let bytes = seen.remove(&tile).unwrap();
        let expected: Vec<u8> =
            (0..256).flat_map(|n| naive.node(8 * tile.level(), 256 * tile.index() + n).unwrap().0).collect();
        assert_eq!(bytes, expected, "{tile}");
    }
    assert!(seen.is_empty());
}

#[test]
fn an_edge_holds_little() {
    let mut edge = Edge::new();
    for n in 0..200_000_u32 {
        edge.push(Hash([n.to_le_bytes()[0]; 32]));
        if n % 1000 == 0 {
            edge.trim();
        }
    }
    edge.trim();
    assert!(edge.held() <= 511 * 3, "{} hashes", edge.held());
}

#[test]
fn an_edge_refuses_what_does_not_fit() {
    let short = Edge::from_tiles(3, |_| Ok::<_, Infallible>(vec![empty_root(); 2]));
    assert!(matches!(short, Err(EdgeError::Width { expected: 3, found: 2, .. })));
    let unread = Edge::from_tiles(3, |_| Err("gone"));
    assert!(matches!(unread, Err(EdgeError::Read { source: "gone", .. })));
    let beyond = Edge::from_tiles(u64::MAX, |_| Ok::<_, Infallible>(vec![]));
    assert!(matches!(beyond, Err(EdgeError::TooLarge(u64::MAX))));
    assert_eq!(Peaks::from_parts(3, vec![]), Err(PeaksError::Count { size: 3, expected: 2, found: 0 }));
    assert_eq!(Peaks::from_parts(u64::MAX, vec![]), Err(PeaksError::TooLarge(u64::MAX)));
}

/// A tree of any size in which all leaves are equal, so that a level has one node only.
struct Uniform(Vec<Hash>);

impl Uniform {
    fn new() -> Self {
        let mut levels = vec![leaf_hash(b"same")];
        for _ in 0..63 {
            let last = levels[levels.len() - 1];
            levels.push(node_hash(&last, &last));
        }
        Self(levels)
    }

    fn mth(&self, size: u64) -> Hash {
        if size.is_power_of_two() {
            return self.0[usize::try_from(size.ilog2()).unwrap()];
        }
        let left = 1 << size.ilog2();
        node_hash(&self.mth(left), &self.mth(size - left))
    }
}

impl NodeReader for Uniform {
    type Error = Infallible;

    fn node(&self, level: u8, _: u64) -> Result<Hash, Infallible> {
        Ok(self.0[usize::from(level)])
    }
}

/// Sizes of every magnitude, and those around powers of two.
fn any_size() -> impl Strategy<Value = u64> {
    prop_oneof![
        (any::<u64>(), 0..64_u32).prop_map(|(n, shift)| n >> shift),
        (0..64_u32, 0..5_u64).prop_map(|(shift, near)| (1_u64 << shift).wrapping_add(near).wrapping_sub(2)),
    ]
}

proptest! {
    #[test]
    fn trees_of_any_size_prove_their_leaves(size in any_size(), at in any::<u64>()) {
        prop_assume!(size > 0);
        let (tree, index) = (Uniform::new(), at % size);
        let root = tree.mth(size);
        prop_assert_eq!(super::root(size, &tree), Ok(root));
        let mut proof = prove_inclusion(index, size, &tree).unwrap();
        prop_assert!(proof.hashes.len() <= MAX_PROOF_HASHES);
        prop_assert_eq!(proof.verify(&tree.0[0], &root), Ok(()));
        if let Some(last) = proof.hashes.last_mut() {
            last.0[0] ^= 1;
            prop_assert!(proof.verify(&tree.0[0], &root).is_err());
        }
    }

    #[test]
    fn trees_of_any_size_extend_smaller_ones(a in any_size(), b in any_size()) {
        let (old, new) = (a.min(b).max(1), a.max(b).max(1));
        let tree = Uniform::new();
        let (old_root, new_root) = (tree.mth(old), tree.mth(new));
        let mut proof = prove_consistency(old, new, &tree).unwrap();
        prop_assert!(proof.len() <= MAX_PROOF_HASHES);
        prop_assert_eq!(verify_consistency(old, &old_root, new, &new_root, &proof), Ok(()));
        if let Some(first) = proof.first_mut() {
            first.0[31] ^= 1;
            prop_assert!(verify_consistency(old, &old_root, new, &new_root, &proof).is_err());
        }
    }

    #[test]
    fn large_edges_can_be_taken_up_and_grown(size in 0..MAX_TREE_SIZE - 1000, more in 0..1000_u64) {
        let tree = Uniform::new();
        let read = |tile: Tile| Ok::<_, Infallible>(vec![tree.0[8 * usize::from(tile.level())]; usize::from(tile.width())]);
        let mut edge = Edge::from_tiles(size, read).unwrap();
        if size > 0 {
            prop_assert_eq!(edge.root(), tree.mth(size));
        }
        let peaks = (0..62).rev().filter(|bit| size >> bit & 1 == 1).map(|bit| tree.0[bit]).collect();
        let mut peaks = Peaks::from_parts(size, peaks).unwrap();
        prop_assert_eq!(edge.root(), peaks.root());
        for _ in 0..more {
            edge.push(tree.0[0]);
            peaks.push(tree.0[0]);
        }
        prop_assert_eq!(edge.root(), peaks.root());
        let proof = prove_consistency(size, size + more, &edge).unwrap();
        if size > 0 {
            let checked = verify_consistency(size, &tree.mth(size), size + more, &edge.root(), &proof);
            prop_assert_eq!(checked, Ok(()));
        }
        for index in [size, size + more / 2] {
            if index < size + more {
                let proof = prove_inclusion(index, size + more, &edge).unwrap();
                prop_assert_eq!(proof.verify(&tree.0[0], &edge.root()), Ok(()));
            }
        }
    }

    #[test]
    fn nothing_panics(index: u64, size in any_size(), old in any_size(), count in 0..70_usize) {
        let hashes = vec![empty_root(); count];
        let _ = root_from_inclusion(&empty_root(), index, size, &hashes);
        let _ = verify_consistency(old, &empty_root(), size, &empty_root(), &hashes);
        let _ = verify_consistency(old, &empty_root(), u64::MAX, &empty_root(), &hashes);
        let _ = Edge::from_tiles(size, |_| Ok::<_, Infallible>(hashes.clone()));
        let _ = Peaks::from_parts(size, hashes);
    }
}
