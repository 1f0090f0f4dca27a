//! Dedup keys of the newest entries, exact and in memory, until the index on disk has them and longer.

use std::collections::{HashMap, VecDeque};

/// Keys kept although the index has them: callers look there first and rarely have to look again.
const KEEP: usize = 1 << 15;

pub(crate) struct Recent {
    leaves: HashMap<[u8; 32], u64>,
    /// In leaf order, from `floor` on without gaps.
    order: VecDeque<[u8; 32]>,
    floor: u64,
}

impl Recent {
    /// Knows nothing below `floor`; the next entry is leaf `floor`.
    pub(crate) fn new(floor: u64) -> Self {
        Self { leaves: HashMap::new(), order: VecDeque::new(), floor }
    }

    /// Every leaf from here on is known.
    pub(crate) const fn floor(&self) -> u64 {
        self.floor
    }

    pub(crate) fn find(&self, key: &[u8; 32]) -> Option<u64> {
        self.leaves.get(key).copied()
    }

    pub(crate) fn push(&mut self, key: [u8; 32]) {
        let leaf = self.floor + self.order.len() as u64;
        self.leaves.insert(key, leaf);
        self.order.push_back(key);
    }

    /// Takes back the entries of a batch that was refused.
    pub(crate) fn forget_from(&mut self, leaf: u64) {
        while self.floor + self.order.len() as u64 > leaf
            && let Some(key) = self.order.pop_back()
        {
            self.leaves.remove(&key);
        }
    }

    /// Drops the oldest, but only what the index has.
    pub(crate) fn shrink(&mut self, indexed_to: u64) {
        while self.order.len() > KEEP
            && self.floor < indexed_to
            && let Some(key) = self.order.pop_front()
        {
            self.leaves.remove(&key);
            self.floor += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u64) -> [u8; 32] {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&n.to_be_bytes());
        key
    }

    #[test]
    fn forgets_only_what_it_is_told_and_what_the_index_has() {
        let mut recent = Recent::new(10);
        let beyond = KEEP as u64 + 100;
        (0..beyond).for_each(|n| recent.push(key(n)));
        assert_eq!(recent.find(&key(3)), Some(13));
        recent.shrink(10);
        assert_eq!(recent.floor(), 10);
        recent.shrink(50);
        assert_eq!((recent.floor(), recent.find(&key(39)), recent.find(&key(40))), (50, None, Some(50)));
        recent.shrink(u64::MAX);
        assert_eq!(recent.floor(), 110);
        recent.forget_from(10 + beyond - 1);
        assert_eq!(recent.find(&key(beyond - 1)), None);
        recent.push(key(7777));
        assert_eq!(recent.find(&key(7777)), Some(10 + beyond - 1));
    }
}
