//! Which bytes of a field are changed: the same ones in every run, though signatures, nonces and serial numbers are not
//! equally long in every run, and shift what stands behind them.

/// A number that is drawn or computed is an INTEGER of so many bytes at least.
const LONG: usize = 5;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
const CONSTRUCTED: u8 = 0x20;

/// The places in a field that runs have in common, and those inside its long numbers that may not be there next time.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) steady: Vec<usize>,
    pub(super) others: Vec<usize>,
}

impl Places {
    /// Of DER, and of a signature in DER that others end with; of anything else every byte has its place.
    pub(super) fn of(field: &[u8]) -> Self {
        Self::inside(field, 0)
    }

    fn inside(content: &[u8], from: usize) -> Self {
        if let Some(places) = Self::der(content, from) {
            return places;
        }
        let signature =
            (1..content.len()).find_map(|at| Some((at, Self::signature(content.get(at..)?, from + at)?)));
        let (end, Self { steady, others }) = signature.unwrap_or((content.len(), Self::default()));
        Self { steady: (from..from + end).chain(steady).collect(), others }
    }

    /// A SEQUENCE and nothing behind it.
    fn der(content: &[u8], from: usize) -> Option<Self> {
        let whole = element(content).filter(|one| one.tag == SEQUENCE && one.end == content.len());
        let mut places = Self::default();
        whole.and_then(|_| places.add(content, from))?;
        Some(places)
    }

    /// Two numbers, as ECDSA signs.
    fn signature(content: &[u8], from: usize) -> Option<Self> {
        let places = Self::der(content, from)?;
        let numbers = content.get(element(content)?.start..)?;
        let first = element(numbers).filter(|one| one.tag == INTEGER && one.end - one.start >= LONG)?;
        let rest = numbers.get(first.end..)?;
        element(rest).filter(|one| one.tag == INTEGER && one.end == rest.len())?;
        Some(places)
    }

    /// Everything in elements one after the other; `from` is where they stand.
    fn add(&mut self, elements: &[u8], from: usize) -> Option<()> {
        let mut at = 0;
        while at < elements.len() {
            let rest = elements.get(at..)?;
            let one = element(rest)?;
            let (begin, content) = (from + at + one.start, rest.get(one.start..one.end)?);
            self.steady.extend(from + at..begin);
            match one.tag {
                tag if tag & CONSTRUCTED != 0 => self.add(content, begin)?,
                INTEGER if content.len() >= LONG => {
                    // The first byte may be there for the sign alone.
                    let kept = kept(content.len());
                    self.steady.extend(begin + 1..=begin + kept);
                    self.others.extend((begin + kept + 1..begin + content.len()).chain([begin]));
                }
                OCTET_STRING => self.append(Self::inside(content, begin)),
                BIT_STRING if !content.is_empty() => {
                    self.steady.push(begin);
                    self.append(Self::inside(content.get(1..)?, begin + 1));
                }
                _ => self.steady.extend(begin..begin + content.len()),
            }
            at += one.end;
        }
        Some(())
    }

    fn append(&mut self, more: Self) {
        self.steady.extend(more.steady);
        self.others.extend(more.others);
    }
}

/// How many bytes after the first a number of this length has in every run. One that is drawn from 16, 20, 32, 48 bytes is
/// mostly as long or one byte longer, and hardly ever more than a few bytes shorter.
fn kept(length: usize) -> usize {
    let usual = (length + 3) / 16 * 16;
    if usual == 0 { LONG - 1 } else { usual - 4 }
}

struct Element {
    tag: u8,
    /// Of its content.
    start: usize,
    end: usize,
}

/// The first element; none where it is none, or not whole.
fn element(bytes: &[u8]) -> Option<Element> {
    let (tag, first) = (*bytes.first()?, *bytes.get(1)?);
    let (start, length) = match first {
        0..=0x7f => (2, usize::from(first)),
        0x81..=0x83 => {
            let start = 2 + usize::from(first & 0x7f);
            let digits = bytes.get(2..start)?;
            (start, digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)))
        }
        _ => return None,
    };
    let end = start + length;
    (tag & 0x1f != 0x1f && end <= bytes.len()).then_some(Element { tag, start, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        let long = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
        [long, content.to_vec()].concat()
    }

    fn signature(first: usize, second: usize) -> Vec<u8> {
        tlv(SEQUENCE, &[tlv(INTEGER, &vec![0x11; first]), tlv(INTEGER, &vec![0x22; second])].concat())
    }

    /// Something like a token: a text, a nonce, a sealed timestamp of a log, a time, a signature.
    fn token(nonce: usize, lengths: [usize; 4]) -> Vec<u8> {
        let [a, b, c, d] = lengths;
        let sealed = [&b"\x00\x80\x01"[..], &signature(a, b)].concat();
        let parts = [
            tlv(0x0c, b"text"),
            tlv(INTEGER, &vec![0x77; nonce]),
            tlv(INTEGER, &[7]),
            tlv(OCTET_STRING, &tlv(SEQUENCE, &tlv(OCTET_STRING, &sealed))),
            tlv(0x18, b"20260101000000Z"),
            tlv(BIT_STRING, &[vec![0], signature(c, d)].concat()),
        ];
        tlv(SEQUENCE, &tlv(0xa0, &parts.concat()))
    }

    /// What stands at the steady places, but for lengths and what is drawn.
    fn read(field: &[u8]) -> Vec<u8> {
        Places::of(field).steady.iter().map(|at| field[*at]).collect()
    }

    #[test]
    fn the_same_bytes_are_steady_however_long_the_numbers_are() {
        let usual = read(&token(16, [32, 32, 32, 32]));
        for nonce in 13..=17 {
            for lengths in [[33, 33, 33, 33], [31, 32, 33, 32], [32, 30, 32, 29], [33, 32, 31, 33]] {
                let other = read(&token(nonce, lengths));
                assert_eq!(other.len(), usual.len());
                let differ = usual.iter().zip(&other).filter(|(one, other)| one != other).count();
                // The lengths of elements, each with a whole number in it.
                assert!(differ <= 13, "{differ}");
            }
        }
    }

    #[test]
    fn every_byte_has_one_place() {
        for field in [token(16, [32, 33, 31, 32]), signature(33, 32), b"no DER at all".to_vec(), Vec::new()] {
            let places = Places::of(&field);
            let mut all = [places.steady, places.others].concat();
            all.sort_unstable();
            assert_eq!(all, (0..field.len()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_no_der_is_taken_as_it_stands() {
        for field in [
            &b"\x30\x05\x02\x01"[..],
            b"\x30\x03\x02\x01\x07\x00",
            b"\x30\x80\x00\x00",
            b"\x31\x03\x02\x01\x07",
            b"text",
        ] {
            assert_eq!(Places::of(field), Places { steady: (0..field.len()).collect(), others: Vec::new() });
        }
    }
}
