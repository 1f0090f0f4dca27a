//! A page of a run: sorted tags, each with the offset of its leaf in the run, in some 50 bits an entry.
//!
//! ```text
//! crc32c u32 | entries u16 | low bits u8 | 0 | first tag u64 | low parts | offsets | high parts | zeros
//! ```
//!
//! Tags are kept as their distance to the first, in the form of Elias and Fano: the low bits as they are, the high ones
//! as the places of the set bits in a bitmap (bit `high + n` for entry `n`). In a run twice as long distances need a bit
//! less and offsets a bit more: its entries take the same room. No choice of tags takes more than random ones do. All
//! numbers are little endian, and bits count from the least significant.

pub(crate) const PAGE_LEN: usize = 4096;

pub(crate) type Page = [u8; PAGE_LEN];

const HEAD_LEN: usize = 16;
/// Any bit is reached by reading the eight bytes from its own on.
const SLACK: usize = 8;
const ROOM: u64 = (PAGE_LEN - HEAD_LEN - SLACK) as u64 * 8;
const HEAD_BITS: u64 = HEAD_LEN as u64 * 8;

/// The most that one read of eight bytes can give from any bit on.
const MAX_READ: u32 = 57;

/// Gathers entries, in order, until a page is full.
pub(crate) struct PageWriter {
    offset_bits: u32,
    entries: Vec<(u64, u64)>,
}

impl PageWriter {
    pub(crate) fn new(offset_bits: u32) -> Self {
        Self { offset_bits, entries: Vec::new() }
    }

    pub(crate) fn first_tag(&self) -> Option<u64> {
        self.entries.first().map(|(tag, _)| *tag)
    }

    /// False when the entry belongs on the next page. Tags must not descend.
    pub(crate) fn push(&mut self, tag: u64, offset: u64) -> bool {
        let span = self.first_tag().map_or(0, |first| tag.saturating_sub(first));
        let count = self.entries.len() as u64 + 1;
        let fits =
            count * u64::from(low_bits(count, span) + self.offset_bits) + bitmap_bits(count, span) <= ROOM;
        if fits {
            self.entries.push((tag, offset));
        }
        fits
    }

    /// The page, sealed for its place; the writer is empty again.
    pub(crate) fn take(&mut self, place: u32) -> Page {
        let mut page = [0; PAGE_LEN];
        let first = self.first_tag().unwrap_or(0);
        let span = self.entries.last().map_or(0, |(last, _)| last.saturating_sub(first));
        let count = self.entries.len() as u64;
        let low_bits = low_bits(count, span);
        let parts = Parts::new(count, low_bits, self.offset_bits);
        for (n, (tag, offset)) in (0..).zip(self.entries.drain(..)) {
            let distance = tag.saturating_sub(first);
            put(&mut page, parts.low + n * u64::from(low_bits), distance & mask(low_bits));
            put(&mut page, parts.offsets + n * u64::from(self.offset_bits), offset & mask(self.offset_bits));
            put(&mut page, parts.high + (distance >> low_bits) + n, 1);
        }
        let [count_0, count_1, ..] = count.to_le_bytes();
        let head =
            [&[count_0, count_1, u8::try_from(low_bits).unwrap_or(0), 0], &first.to_le_bytes()[..]].concat();
        page[4..HEAD_LEN].copy_from_slice(&head);
        let sum = checksum(&page, place).to_le_bytes();
        page[..4].copy_from_slice(&sum);
        page
    }
}

/// The entries of a page; `None` when it is not the page that was written for this place.
pub(crate) fn entries(page: &Page, place: u32, offset_bits: u32) -> Option<Entries<'_>> {
    let (sum, _) = page.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*sum) != checksum(page, place) {
        return None;
    }
    let (head, _) = page.split_first_chunk::<HEAD_LEN>()?;
    let [_, _, _, _, count_0, count_1, low_bits, _, first @ ..] = *head;
    let (count, low_bits) = (u64::from(u16::from_le_bytes([count_0, count_1])), u32::from(low_bits));
    let fits = low_bits.max(offset_bits) <= MAX_READ && count * u64::from(low_bits + offset_bits + 1) <= ROOM;
    let parts = Parts::new(count, low_bits, offset_bits);
    fits.then(|| Entries {
        page,
        first: u64::from_le_bytes(first),
        low_bits,
        offset_bits,
        count,
        next: 0,
        high_at: parts.high,
        parts,
    })
}

/// Tag and offset of each entry, in order.
pub(crate) struct Entries<'a> {
    page: &'a Page,
    first: u64,
    low_bits: u32,
    offset_bits: u32,
    count: u64,
    next: u64,
    /// Where the search for the next set bit of the bitmap goes on.
    high_at: u64,
    parts: Parts,
}

impl Iterator for Entries<'_> {
    type Item = (u64, u64);

    fn next(&mut self) -> Option<(u64, u64)> {
        if self.next >= self.count {
            return None;
        }
        let found = loop {
            let bits = get(self.page, self.high_at)? & mask(MAX_READ);
            if bits != 0 {
                break self.high_at + u64::from(bits.trailing_zeros());
            }
            self.high_at += u64::from(MAX_READ);
        };
        self.high_at = found + 1;
        let n = self.next;
        self.next += 1;
        let high = (found - self.parts.high).checked_sub(n)?;
        let low = get(self.page, self.parts.low + n * u64::from(self.low_bits))? & mask(self.low_bits);
        let offset =
            get(self.page, self.parts.offsets + n * u64::from(self.offset_bits))? & mask(self.offset_bits);
        Some((self.first.wrapping_add((high << self.low_bits) | low), offset))
    }
}

/// At which bit of the page each part begins.
struct Parts {
    low: u64,
    offsets: u64,
    high: u64,
}

impl Parts {
    fn new(count: u64, low_bits: u32, offset_bits: u32) -> Self {
        let offsets = HEAD_BITS + count * u64::from(low_bits);
        Self { low: HEAD_BITS, offsets, high: offsets + count * u64::from(offset_bits) }
    }
}

/// As many as leave fewer than two values of the high part for each entry.
fn low_bits(count: u64, span: u64) -> u32 {
    span.checked_div(count).and_then(u64::checked_ilog2).unwrap_or(0)
}

fn bitmap_bits(count: u64, span: u64) -> u64 {
    (span >> low_bits(count, span)) + count
}

/// A whole page in another's place is damage too.
fn checksum(page: &Page, place: u32) -> u32 {
    crc32c::crc32c_append(place, page.get(4..).unwrap_or_default())
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

fn at(bit: u64) -> Option<(usize, u64)> {
    Some((usize::try_from(bit / 8).ok()?, bit % 8))
}

fn put(page: &mut Page, bit: u64, value: u64) {
    if let Some((byte, shift)) = at(bit)
        && let Some(word) = page.get_mut(byte..).and_then(|rest| rest.first_chunk_mut::<8>())
    {
        *word = (u64::from_le_bytes(*word) | (value << shift)).to_le_bytes();
    }
}

/// Of the bits from there on at least [`MAX_READ`].
fn get(page: &Page, bit: u64) -> Option<u64> {
    let (byte, shift) = at(bit)?;
    Some(u64::from_le_bytes(*page.get(byte..)?.first_chunk::<8>()?) >> shift)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::TAG_BITS;
    use super::*;

    fn tags() -> impl Strategy<Value = Vec<u64>> {
        let any = 0..1_u64 << TAG_BITS;
        let close = (0..1_u64 << TAG_BITS, 0..64_u64).prop_map(|(base, more)| (base & !0xffff_ffff) + more);
        let extreme = prop_oneof![Just(0), Just((1 << TAG_BITS) - 1), 5..7_u64];
        prop::collection::vec(prop_oneof![any, close, extreme], 1..3000)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn gives_back_what_was_put_in(mut tags in tags(), offset_bits in 0..41_u32) {
            tags.sort_unstable();
            let offset = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask(offset_bits);
            let wanted: Vec<_> = tags.iter().zip(0..).map(|(tag, n)| (*tag, offset(n))).collect();
            let mut writer = PageWriter::new(offset_bits);
            let mut pages = Vec::new();
            for (tag, offset) in &wanted {
                if !writer.push(*tag, *offset) {
                    pages.push(writer.take(u32::try_from(pages.len()).unwrap()));
                    prop_assert!(writer.push(*tag, *offset));
                }
            }
            pages.push(writer.take(u32::try_from(pages.len()).unwrap()));
            let mut found = Vec::new();
            for (page, place) in pages.iter().zip(0..) {
                found.extend(entries(page, place, offset_bits).unwrap());
                prop_assert!(entries(page, place + 1, offset_bits).is_none());
            }
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn no_flipped_bit_is_overlooked(bit in 0..PAGE_LEN * 8) {
            let mut writer = PageWriter::new(16);
            (0..500).for_each(|n| assert!(writer.push(n * n * 1000, n)));
            let mut page = writer.take(3);
            page[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(entries(&page, 3, 16).is_none());
        }

        #[test]
        fn any_bytes_that_pass_for_a_page_end(bytes in prop::collection::vec(any::<u8>(), 64), low in 0..64_u8, offset_bits in 0..41_u32) {
            let mut page = [0; PAGE_LEN];
            for (to, from) in page.iter_mut().zip(bytes.iter().cycle()) {
                *to = *from;
            }
            page[6] = low;
            let sum = checksum(&page, 0).to_le_bytes();
            page[..4].copy_from_slice(&sum);
            if let Some(entries) = entries(&page, 0, offset_bits) {
                prop_assert!(entries.count() <= 65_535);
            }
        }
    }

    /// The figure that the decision names: 50 bits for tag and offset, whatever the size of the run.
    #[test]
    fn random_tags_take_little_room_and_skewed_ones_less() {
        let bits_per_entry = |skew: fn(u64) -> u64, run_bits: u32| {
            let step = 1_u64 << (TAG_BITS - run_bits);
            let random = |n: u64| n * step + n.wrapping_mul(0xd134_2543_de82_ef95) % step;
            let mut writer = PageWriter::new(run_bits);
            let count = (0..).take_while(|n| writer.push(skew(random(*n)), 0)).count();
            (PAGE_LEN * 8) as f64 / count as f64
        };
        for run_bits in [16, 20, 24, 28] {
            assert!(bits_per_entry(|tag| tag, run_bits) < 51.0);
            assert!(bits_per_entry(|tag| tag >> 20, run_bits) < 51.0);
            assert!(bits_per_entry(|_| 7, run_bits) < 51.0);
        }
    }
}
