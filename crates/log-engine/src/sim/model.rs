//! What the world outside has seen of the log, and what must therefore be true for ever.
//!
//! Nothing here is computed by the engine's own tree: leaves are hashed, and roots made, the plain way of RFC 6962.

use std::collections::{BTreeMap, BTreeSet};

use sealog_crypto::sha256;
use sealog_tlog::note::KeyVerifier;
use sealog_tlog::{Hash, SignedCheckpoint};

use crate::receipt::Receipt;
use crate::support::{naive_paths, naive_root};
use crate::view::View;

/// Something happened that must never happen.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken(pub(super) String);

pub(super) type Outcome<T = ()> = Result<T, Broken>;

macro_rules! broken {
    ($($text:tt)*) => { Err($crate::sim::model::Broken(format!($($text)*))) };
}
pub(super) use broken;

/// The log as it must be.
pub(super) struct Model {
    verifier: KeyVerifier,
    /// Entries that were under a checkpoint which left the process, in order.
    pub(super) entries: Vec<Vec<u8>>,
    /// Root hash of the first so many of them.
    roots: Vec<[u8; 32]>,
    /// Leaf hashes, and above them the root of each 256 nodes.
    levels: Vec<Vec<[u8; 32]>>,
    /// Roots of the complete subtrees on the right edge, highest first, with their heights.
    peaks: Vec<(u32, [u8; 32])>,
    /// Where each entry was said to be.
    places: BTreeMap<Vec<u8>, u64>,
    /// How often each entry was sent.
    sent: BTreeMap<Vec<u8>, u32>,
    /// Entries that were sent once, and refused for certain.
    refused: BTreeSet<Vec<u8>>,
    /// Checkpoints whose signatures have been found good.
    good: BTreeSet<Vec<u8>>,
    /// Times of leaves, by their index.
    times: BTreeMap<u64, u64>,
    /// Checkpoints that were outside before their batch was committed: size and root.
    early: Vec<(u64, Hash)>,
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    sha256(&bytes)
}

impl Model {
    pub(super) fn new(verifier: KeyVerifier) -> Self {
        Self {
            verifier,
            entries: Vec::new(),
            roots: vec![sha256(b"")],
            levels: vec![Vec::new()],
            peaks: Vec::new(),
            places: BTreeMap::new(),
            sent: BTreeMap::new(),
            refused: BTreeSet::new(),
            good: BTreeSet::new(),
            times: BTreeMap::new(),
            early: Vec::new(),
        }
    }

    fn push(&mut self, entry: &[u8]) {
        let mut hash = sha256(&[&[0], entry].concat());
        self.add_node(0, hash);
        let mut height = 0;
        while let Some((found, left)) = self.peaks.last().copied()
            && found == height
        {
            hash = node(&left, &hash);
            height += 1;
            self.peaks.pop();
        }
        self.peaks.push((height, hash));
        let mut peaks = self.peaks.iter().rev().map(|(_, hash)| *hash);
        let last = peaks.next().unwrap_or(hash);
        self.roots.push(peaks.fold(last, |right, left| node(&left, &right)));
        self.entries.push(entry.to_vec());
    }

    fn add_node(&mut self, level: usize, hash: [u8; 32]) {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        let nodes = &mut self.levels[level];
        nodes.push(hash);
        if nodes.len().is_multiple_of(256) {
            let above = naive_root(&nodes[nodes.len() - 256..]);
            self.add_node(level + 1, above);
        }
    }

    /// A process that was killed while it opened the log may have published what nobody has asked it for: the entries
    /// are where any reader finds them.
    pub(super) fn learn(&mut self, size: u64, read: impl Fn(&str) -> Option<Vec<u8>>) -> Outcome {
        for (n, (path, width)) in naive_paths("entries", size).into_iter().enumerate() {
            if self.entries.len() >= n * 256 + width {
                continue;
            }
            let found = read(&path).or_else(|| read(path.split(".p/").next()?));
            let Some(bundle) = found else {
                return broken!("{path} under the published checkpoint is not there");
            };
            let mut rest = bundle.as_slice();
            for index in n * 256..n * 256 + width {
                let Some(([high, low], behind)) = rest.split_first_chunk::<2>() else {
                    return broken!("{path} is cut off");
                };
                let (entry, behind) = behind.split_at(usize::from(u16::from_be_bytes([*high, *low])));
                if index == self.entries.len() {
                    self.push(entry);
                }
                rest = behind;
            }
        }
        Ok(())
    }

    /// Everything under a published checkpoint can be read by somebody who has only what is published. Of the tiles
    /// left of the edge only one, unless `whole`.
    pub(super) fn published(
        &self,
        size: u64,
        whole: bool,
        read: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> Outcome {
        let entries = &self.entries[..usize::try_from(size).unwrap()];
        let bundles = entries.chunks(256).map(|chunk| {
            let framed =
                chunk.iter().map(|e| [&u16::try_from(e.len()).unwrap().to_be_bytes()[..], e].concat());
            framed.collect::<Vec<_>>().concat()
        });
        let check = |kind: &str, count: u64, expected: &dyn Fn(usize, usize) -> Vec<u8>| {
            let paths = naive_paths(kind, count);
            let skipped = if whole { 0 } else { paths.len().saturating_sub(2) };
            for (n, (path, width)) in paths.into_iter().enumerate().skip(skipped) {
                let expected = expected(n, width);
                let full = || Some(read(path.split(".p/").next()?)?.get(..expected.len())?.to_vec());
                // Readers ask for the partial one, and after a 404 for the full one.
                match read(&path).or_else(full) {
                    Some(found) if found == expected => {}
                    Some(_) => return broken!("{path} under the published checkpoint of {size} is another"),
                    None => return broken!("{path} under the published checkpoint of {size} is not there"),
                }
            }
            Ok(())
        };
        let bundles: Vec<_> = bundles.collect();
        check("entries", size, &|n, _| bundles[n].clone())?;
        for (level, nodes) in self.levels.iter().enumerate() {
            let count = size >> (8 * level);
            check(&level.to_string(), count, &|n, width| nodes[n * 256..n * 256 + width].concat())?;
        }
        Ok(())
    }

    /// A checkpoint was seen outside the process: its signature holds, and it agrees with every other one ever seen.
    /// What is new in it is read from the view it belongs to.
    pub(super) fn saw(&mut self, checkpoint: &[u8], view: Option<&View>) -> Outcome {
        let Ok(signed) = SignedCheckpoint::parse(checkpoint) else {
            return broken!("a checkpoint that is none: {:?}", String::from_utf8_lossy(checkpoint));
        };
        if !self.good.contains(checkpoint) {
            if signed.verify(&self.verifier).is_err() {
                return broken!("a checkpoint whose signature does not hold");
            }
            self.good.insert(checkpoint.to_vec());
        }
        let (size, root) = (signed.checkpoint.size, signed.checkpoint.root);
        while (self.entries.len() as u64) < size {
            let index = self.entries.len() as u64;
            match view.map(|view| view.element(index)) {
                Some(Ok(Some(element))) => self.push(&element[2..]),
                Some(found) => return broken!("entry {index} of {size} cannot be read: {found:?}"),
                None => return broken!("a checkpoint of {size} entries where there are {index}"),
            }
        }
        self.agrees(size, root)?;
        let early = self.early.iter().filter(|(size, _)| *size < self.roots.len() as u64);
        early.copied().try_for_each(|(size, root)| self.agrees(size, root))
    }

    fn agrees(&self, size: u64, root: Hash) -> Outcome {
        let expected = Hash(self.roots[usize::try_from(size).unwrap()]);
        if root != expected {
            return broken!("two signed trees of {size} entries: {expected} and {root}");
        }
        Ok(())
    }

    /// A checkpoint was seen outside although nobody knows yet whether its batch is in the log.
    pub(super) fn leaked(&mut self, checkpoint: &[u8]) {
        if let Ok(signed) = SignedCheckpoint::parse(checkpoint) {
            self.early.push((signed.checkpoint.size, signed.checkpoint.root));
        }
    }

    /// A log was opened, when so many entries had been seen outside: none of them may be missing from it. Where others
    /// have taken it since, more may be known by now.
    pub(super) fn opened(&mut self, view: &View, known: usize) -> Outcome {
        if view.size() < known as u64 {
            return broken!("{known} entries were committed, {} were recovered", view.size());
        }
        for (index, entry) in (0..view.size()).zip(&self.entries) {
            match view.element(index) {
                Ok(Some(element)) if element[2..] == **entry => {}
                found => return broken!("entry {index} after recovery: {found:?}"),
            }
        }
        self.saw(view.checkpoint(), Some(view))
    }

    /// Somebody was told that an entry is logged.
    pub(super) fn told(&mut self, entry: &[u8], receipt: &Receipt, view: &View) -> Outcome {
        self.saw(&receipt.checkpoint, Some(view))?;
        let index = usize::try_from(receipt.index).unwrap();
        if receipt.encoded[2..] != *entry || self.entries.get(index).map(Vec::as_slice) != Some(entry) {
            return broken!("a receipt for index {index}, where another entry is");
        }
        let place = *self.places.entry(entry.to_vec()).or_insert(receipt.index);
        if place != receipt.index {
            return broken!("one entry at {place} and at {}", receipt.index);
        }
        let Receipt { proof, root, .. } = receipt;
        let leaf = Hash(sha256(&[&[0], entry].concat()));
        if proof.verify(&leaf, root).is_err() || root.0 != self.roots[usize::try_from(proof.size).unwrap()] {
            return broken!("a receipt for index {index} that does not verify");
        }
        if let Some(time_ms) = receipt.time_ms {
            // Callers of two processes hear of their leaves in any order.
            let before = self.times.range(..receipt.index).next_back().filter(|(_, time)| **time > time_ms);
            let after = self.times.range(receipt.index..).next().filter(|(_, time)| **time < time_ms);
            if let Some((other, time)) = before.or(after) {
                return broken!("leaf {index} at {time_ms}, and leaf {other} at {time}");
            }
            self.times.insert(receipt.index, time_ms);
        }
        Ok(())
    }

    /// Somebody is about to send it.
    pub(super) fn sends(&mut self, entry: &[u8]) {
        *self.sent.entry(entry.to_vec()).or_default() += 1;
        self.refused.remove(entry);
    }

    /// Somebody was told that it is not in the log and will not be.
    pub(super) fn was_refused(&mut self, entry: Vec<u8>) {
        if self.sent.get(&entry) == Some(&1) {
            self.refused.insert(entry);
        }
    }

    /// No entry is in the log twice, and none that was refused.
    pub(super) fn is_sound(&self) -> Outcome {
        let mut seen = BTreeMap::new();
        for (index, entry) in self.entries.iter().enumerate() {
            if let Some(before) = seen.insert(entry, index) {
                return broken!("one entry at {before} and again at {index}");
            }
            if self.refused.contains(entry) {
                return broken!("the entry at {index} was refused, and is logged");
            }
        }
        Ok(())
    }
}
