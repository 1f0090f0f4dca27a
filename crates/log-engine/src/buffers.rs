//! Memory that files are read into for readers, given back and used again.
//!
//! Bundles come by the ten thousand, each of a hundred kilobytes or more. New memory for each would have to be cleared, which
//! takes as long as half the reading, and an allocator keeps it apart for every thread that ever asked: here the
//! memory is what is in use, and a little. What was given back last is still in the processor's cache and is taken first.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Smaller ones are the allocator's affair.
const LEAST: usize = 16 * 1024;
/// Lengths are rounded up, so that files of nearly the same length can have the same memory.
const GRAIN: usize = 16 * 1024;
/// Bytes that are kept though nobody uses them.
const MAX_SPARE: usize = 8 * 1024 * 1024;

static SPARE: Spare = Spare(Mutex::new(Vec::new()));

/// The newest last.
struct Spare(Mutex<Vec<Vec<u8>>>);

/// So many bytes, as `fill` writes them; `None` if it says that it could not.
pub(crate) fn filled(length: usize, fill: impl FnOnce(&mut [u8]) -> bool) -> Option<Bytes> {
    if length < LEAST {
        let mut bytes = vec![0; length];
        return fill(&mut bytes).then(|| bytes.into());
    }
    let mut lent = SPARE.lend(length);
    let is_filled = lent.bytes.get_mut(..length).is_some_and(fill);
    is_filled.then(|| Bytes::from_owner(lent))
}

impl Spare {
    fn lend(&'static self, length: usize) -> Lent {
        let mut spare = self.spare();
        let fits = |bytes: &Vec<u8>| bytes.len() >= length && bytes.len() / 5 * 4 <= length;
        let taken = spare.iter().rposition(fits).map(|place| spare.remove(place));
        drop(spare);
        let bytes = taken.unwrap_or_else(|| vec![0; length.next_multiple_of(GRAIN)]);
        Lent { bytes, length, spare: self }
    }

    fn give_back(&self, bytes: Vec<u8>) {
        let mut spare = self.spare();
        spare.push(bytes);
        let mut held: usize = spare.iter().map(Vec::len).sum();
        while held > MAX_SPARE {
            held -= spare.remove(0).len();
        }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory in use.
struct Lent {
    bytes: Vec<u8>,
    length: usize,
    spare: &'static Spare,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.spare.give_back(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_used_again_and_what_is_kept_is_bounded() {
        static SPARE: Spare = Spare(Mutex::new(Vec::new()));
        let place = |lent: &Lent| lent.as_ref().as_ptr();
        let first = SPARE.lend(100_000);
        let before = place(&first);
        assert_eq!((first.as_ref().len(), first.bytes.len()), (100_000, 7 * GRAIN));
        drop(first);
        let (other, same) = (SPARE.lend(5_000_000), SPARE.lend(95_000));
        assert_eq!((place(&same), same.as_ref().len()), (before, 95_000));
        drop((other, same));
        // Neither too long a one nor too short a one.
        assert_eq!(SPARE.lend(60_000).bytes.len(), 4 * GRAIN);
        let many: Vec<_> = (0..200).map(|_| SPARE.lend(100_000)).collect();
        drop(many);
        let held: usize = SPARE.spare().iter().map(Vec::len).sum();
        assert!((MAX_SPARE / 2..=MAX_SPARE).contains(&held), "{held}");
        drop(SPARE.lend(MAX_SPARE + 1));
        assert!(SPARE.spare().is_empty());
    }

    #[test]
    fn bytes_are_what_was_written() {
        for length in [0, LEAST - 1, LEAST, 100_000] {
            let write = |byte: u8| {
                filled(length, |bytes| {
                    bytes.fill(byte);
                    true
                })
            };
            let (one, two) = (write(1).unwrap(), write(2).unwrap());
            assert!(one == vec![1; length] && two == vec![2; length], "{length}");
            assert_eq!(filled(length, |_| false), None);
        }
    }
}
