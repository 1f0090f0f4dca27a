//! The one object that decides what is in a log kept in a bucket.
//!
//! It is text, and can be read by a person:
//!
//! ```text
//! sealog head 1 c0ffee42        format, CRC-32C of everything behind this line
//! epoch 7                       whose it is: greater with every sequencer that took the log
//! holder 3f9c… http://10.0.0.7:7301   that sequencer; missing when it has let the log go
//! token 77ab…                   what it wants to be shown by front ends; missing when it takes none
//! beat 12                       counts up while nothing is committed, to show that the holder lives
//! sequence 153                  number of the next record
//! time 1790000000000            no later leaf has an earlier time; milliseconds
//! base 40960                    everything of so many entries is readable under `public/`
//! segment 41002 00000152-7-98   a committed record behind the base: tree size after it, name under `wal/`
//!
//! log.example                   the signed checkpoint, as it was published or is going to be
//! …
//! ```

use std::fmt::Write as _;

/// First words of the object.
const MAGIC: &str = "sealog head 1 ";
/// No head is longer: it names the records of some seconds.
const MAX_LEN: usize = 4 << 20;

/// A committed record whose entries need not be under `public/` yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Tree size after it.
    pub(crate) size: u64,
    /// The object's name, without `wal/`.
    pub(crate) name: String,
}

/// The sequencer that has the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Who: random, one for each place that a sequencer runs in.
    pub(crate) id: String,
    /// Where it can be asked, if anywhere.
    pub(crate) at: String,
    /// What whoever asks must show, if anything: only those who may read the head know it.
    pub(crate) token: String,
}

/// The head, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) epoch: u64,
    pub(crate) holder: Option<Holder>,
    pub(crate) beat: u64,
    pub(crate) sequence: u64,
    pub(crate) time_ms: u64,
    pub(crate) base: u64,
    pub(crate) segments: Vec<Segment>,
    pub(crate) checkpoint: Vec<u8>,
}

/// Why the object is no head.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    #[error("an object that does not begin with \"{MAGIC}\"")]
    Magic,
    #[error("checksum {found:08x} where {expected:08x} is written")]
    Checksum { expected: u32, found: u32 },
    #[error("a line that does not belong there: {line:?}")]
    Line { line: String },
    #[error("no line \"{name}\"")]
    Missing { name: &'static str },
    #[error("no empty line before the checkpoint")]
    Checkpoint,
}

impl Head {
    /// The object's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut lines = format!("epoch {}\n", self.epoch);
        // Writing to a string cannot fail.
        if let Some(Holder { id, at, token }) = &self.holder {
            let _ = writeln!(lines, "holder {id} {at}");
            if !token.is_empty() {
                let _ = writeln!(lines, "token {token}");
            }
        }
        let Self { beat, sequence, time_ms, base, .. } = self;
        let _ = writeln!(lines, "beat {beat}\nsequence {sequence}\ntime {time_ms}\nbase {base}");
        for Segment { size, name } in &self.segments {
            let _ = writeln!(lines, "segment {size} {name}");
        }
        let mut rest = lines.into_bytes();
        rest.push(b'\n');
        rest.extend_from_slice(&self.checkpoint);
        let mut out = format!("{MAGIC}{:08x}\n", crc32c::crc32c(&rest)).into_bytes();
        out.extend_from_slice(&rest);
        out
    }

    /// Reads [`encode`](Self::encode)'s bytes, strictly: each line once, in its order.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, HeadError> {
        let magic =
            bytes.get(..MAX_LEN.min(bytes.len())).and_then(|bytes| bytes.strip_prefix(MAGIC.as_bytes()));
        let (sum, rest) = magic.and_then(|rest| split_line(rest)).ok_or(HeadError::Magic)?;
        let expected =
            Some(sum).filter(|sum| sum.len() == 8).and_then(|sum| u32::from_str_radix(sum, 16).ok());
        let (expected, found) = (expected.ok_or(HeadError::Magic)?, crc32c::crc32c(rest));
        if found != expected {
            return Err(HeadError::Checksum { expected, found });
        }
        let mut lines = Lines(rest);
        let epoch = lines.number("epoch")?;
        let holder = match lines.optional("holder") {
            Some(holder) => {
                let (id, at) = holder.split_once(' ').ok_or_else(|| wrong(holder))?;
                let token = lines.optional("token").unwrap_or_default();
                Some(Holder { id: id.to_owned(), at: at.to_owned(), token: token.to_owned() })
            }
            None => None,
        };
        let (beat, sequence) = (lines.number("beat")?, lines.number("sequence")?);
        let (time_ms, base) = (lines.number("time")?, lines.number("base")?);
        let mut segments = Vec::new();
        while let Some(segment) = lines.optional("segment") {
            let (size, name) = segment.split_once(' ').ok_or_else(|| wrong(segment))?;
            let size = size.parse().map_err(|_| wrong(segment))?;
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
                return Err(wrong(segment));
            }
            segments.push(Segment { size, name: name.to_owned() });
        }
        match split_line(lines.0) {
            Some(("", checkpoint)) => Ok(Self {
                epoch,
                holder,
                beat,
                sequence,
                time_ms,
                base,
                segments,
                checkpoint: checkpoint.to_vec(),
            }),
            Some((line, _)) => Err(wrong(line)),
            None => Err(HeadError::Checkpoint),
        }
    }
}

fn wrong(line: &str) -> HeadError {
    HeadError::Line { line: line.to_owned() }
}

/// The first line, without its end, and what is behind it.
fn split_line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|b| *b == b'\n')?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((std::str::from_utf8(line).ok()?, rest.get(1..)?))
}

struct Lines<'a>(&'a [u8]);

impl<'a> Lines<'a> {
    /// What stands behind `name` if that is the next line.
    fn optional(&mut self, name: &str) -> Option<&'a str> {
        let (line, rest) = split_line(self.0)?;
        let value = line.strip_prefix(name)?.strip_prefix(' ')?;
        self.0 = rest;
        Some(value)
    }

    fn number(&mut self, name: &'static str) -> Result<u64, HeadError> {
        let value = self.optional(name).ok_or(HeadError::Missing { name })?;
        value.parse().map_err(|_| wrong(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            epoch: 7,
            holder: Some(Holder {
                id: "3f9c".to_owned(),
                at: "http://localhost:7301".to_owned(),
                token: "77ab".to_owned(),
            }),
            beat: 12,
            sequence: 153,
            time_ms: 1_790_000_000_000,
            base: 40_960,
            segments: vec![
                Segment { size: 41_000, name: "151-7-97".to_owned() },
                Segment { size: 41_002, name: "152-7-98".to_owned() },
            ],
            checkpoint: b"log.example\n41002\n\n".to_vec(),
        }
    }

    #[test]
    fn comes_back_as_it_was() {
        let free = Head { holder: None, segments: Vec::new(), ..head() };
        let holder = Holder { id: "a".to_owned(), at: String::new(), token: String::new() };
        let nowhere = Head { holder: Some(holder), ..head() };
        for head in [head(), free, nowhere] {
            assert_eq!(Head::parse(&head.encode()), Ok(head));
        }
    }

    #[test]
    fn no_other_byte_passes_for_a_head() {
        let good = head().encode();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                // Hexadecimal digits have two spellings.
                let same = Head::parse(&bad) == Ok(head()) && bad.eq_ignore_ascii_case(&good);
                assert!(Head::parse(&bad).is_err() || same, "byte {at}, bit {bit}");
            }
            assert!(Head::parse(&good[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_it() {
        let broken = |text: &str| {
            let sum = crc32c::crc32c(text.as_bytes());
            Head::parse(format!("{MAGIC}{sum:08x}\n{text}").as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(broken("epoch x\n"), "a line that does not belong there: \"x\"");
        assert_eq!(broken("epoch 1\nbeat 2\n"), "no line \"sequence\"");
        let start = "epoch 1\nbeat 0\nsequence 1\ntime 2\nbase 0\n";
        assert_eq!(broken(start), "no empty line before the checkpoint");
        assert!(broken(&format!("{start}segment 5 ../7\n\n")).contains("5 ../7"));
        assert!(broken(&format!("{start}more\n\n")).contains("more"));
        assert_eq!(broken("epoch 1\ntoken a\n"), "no line \"beat\"");
    }
}
