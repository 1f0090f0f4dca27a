//! Says of most tags that a run does not have them, from memory: a Bloom filter of blocks as large as a cache line.
//!
//! The block is chosen by the leading bits of the tag, so that a run, which is sorted, fills its filter from front to
//! back. Whoever grinds entries into few blocks makes these answer "maybe" and pays for it alone: an honest entry, whose
//! key is a hash, meets such a block as rarely as there are others.

use super::TAG_BITS;

const BLOCK_BYTES: usize = 64;
const BLOCK_BITS: u64 = BLOCK_BYTES as u64 * 8;

/// About one in a hundred is let through in vain.
const BITS_PER_ENTRY: u64 = 10;
const PROBES: u32 = 6;

/// Bits of a probe: a place in the block.
const PROBE_BITS: u32 = BLOCK_BITS.ilog2();

pub(crate) struct Filter(Vec<u8>);

impl Filter {
    /// Length in bytes for so many entries.
    pub(crate) const fn len_for(entries: u64) -> u64 {
        (entries.saturating_mul(BITS_PER_ENTRY)).div_ceil(BLOCK_BITS) * BLOCK_BYTES as u64
    }

    /// A filter of these bytes; as many as [`len_for`](Self::len_for) says.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn insert(&mut self, tag: u64) {
        let block = self.block_of(tag);
        if let Some(block) = self.0.as_chunks_mut::<BLOCK_BYTES>().0.get_mut(block) {
            for (byte, bit) in probes(tag) {
                if let Some(byte) = block.get_mut(byte) {
                    *byte |= bit;
                }
            }
        }
    }

    pub(crate) fn may_have(&self, tag: u64) -> bool {
        let block = self.0.as_chunks::<BLOCK_BYTES>().0.get(self.block_of(tag));
        block.is_some_and(|block| {
            probes(tag).all(|(byte, bit)| block.get(byte).is_some_and(|byte| byte & bit != 0))
        })
    }

    fn block_of(&self, tag: u64) -> usize {
        let blocks = (self.0.len() / BLOCK_BYTES) as u128;
        usize::try_from((u128::from(tag) * blocks) >> TAG_BITS).unwrap_or(usize::MAX)
    }
}

/// Byte and bit in the block. One multiplication spreads the tag's bits upwards, hence the topmost are taken.
fn probes(tag: u64) -> impl Iterator<Item = (usize, u8)> {
    let spread = tag.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (1..=PROBES).map(move |n| {
        let place = (spread >> (u64::BITS - n * PROBE_BITS)) % BLOCK_BITS;
        (usize::try_from(place / 8).unwrap_or(0), 1 << (place % 8))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_all_it_was_given_and_little_else() {
        let tag = |n: u64| n.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(77) >> (64 - TAG_BITS);
        for entries in [1, 4, 1 << 10, 1 << 16] {
            let mut filter = Filter::of(vec![0; usize::try_from(Filter::len_for(entries)).unwrap()]);
            (0..entries).for_each(|n| filter.insert(tag(n)));
            assert!((0..entries).all(|n| filter.may_have(tag(n))));
            let others = 20_000;
            let wrong = (entries..entries + others).filter(|n| filter.may_have(tag(*n))).count();
            assert!(wrong * 50 < others as usize, "{wrong} of {others} at {entries}");
        }
    }
}
