//! What the processes of one log tell each other: requests and answers between front ends and sequencers, and the `head` of a
//! log in a bucket.
//!
//! Checksums are no secret and cannot be guessed: each input is read as it is, and once more with the checksum it should have.

use bytes::Bytes;
use sealog_log_engine::outside;
use sealog_server::relay::{
    Carried as _,
    wire::{self, Answer, Outcome},
};
use sealog_tlog::ct::CtLeaf;

/// Bytes behind the first words of an empty request: the number of its entries, and the checksum.
const EMPTY_REQUEST: usize = 8;
/// And of an empty answer: two numbers and the checksum.
const EMPTY_ANSWER: usize = 12;

/// The first words of a message, of an empty one that ends with so many bytes more.
fn words(empty: Option<Vec<u8>>, more: usize) -> Vec<u8> {
    let mut empty = empty.unwrap_or_default();
    empty.truncate(empty.len().saturating_sub(more));
    empty
}

fn sealed(mut words: Vec<u8>, content: &[u8]) -> Vec<u8> {
    words.extend_from_slice(content);
    let sum = crc32c::crc32c(&words);
    words.extend_from_slice(&sum.to_be_bytes());
    words
}

/// What stands between the first words and the checksum of a message.
#[must_use]
pub fn content(message: &[u8], is_request: bool) -> &[u8] {
    let (empty, more) = match is_request {
        true => (wire::request(std::iter::empty()), EMPTY_REQUEST),
        false => (Answer::default().encode(), EMPTY_ANSWER),
    };
    let end = message.len().saturating_sub(4);
    message.get(words(empty, more).len()..end).unwrap_or_default()
}

/// A request of such entries, read once.
pub fn read_request(input: &[u8]) {
    let request = sealed(words(wire::request(std::iter::empty()), EMPTY_REQUEST), input);
    let _ = std::hint::black_box(wire::parse_request(&request));
}

/// An answer to as many entries as the first byte says, read once.
pub fn read_answer(input: &[u8]) {
    let Some((entries, content)) = input.split_first() else { return };
    let answer = sealed(words(Answer::default().encode(), EMPTY_ANSWER), content);
    let _ = std::hint::black_box(Answer::parse(&Bytes::from(answer), usize::from(*entries)));
}

/// A head of such lines, read once.
pub fn read_head(input: &[u8]) {
    let _ = std::hint::black_box(outside::head(&head_of(input)));
}

/// A request: what is read of it is what was written, byte for byte, and so are the submissions in it.
pub fn relay_request(input: &[u8]) {
    submission(input);
    one_request(input);
    one_request(&sealed(words(wire::request(std::iter::empty()), EMPTY_REQUEST), input));
}

fn one_request(bytes: &[u8]) {
    let entries = match wire::parse_request(bytes) {
        Ok(entries) => entries,
        Err(error) => return drop(error.to_string()),
    };
    assert!(entries.len() <= wire::MAX_ENTRIES, "{} entries", entries.len());
    entries.iter().for_each(|entry| submission(entry));
    assert_eq!(wire::request(entries.into_iter()).as_deref(), Some(bytes));
}

/// To a log of certificates; that to one of signatures is any bytes.
fn submission(bytes: &[u8]) {
    if let Some(submission) = CtLeaf::decode(bytes) {
        assert_eq!(CtLeaf::encode(&submission).as_deref(), Ok(bytes));
    }
}

/// An answer to as many entries as the first byte says: one outcome for each, and the same when it is written and read again.
pub fn relay_answer(input: &[u8]) {
    let Some((entries, content)) = input.split_first() else { return };
    one_answer(content, usize::from(*entries));
    one_answer(&sealed(words(Answer::default().encode(), EMPTY_ANSWER), content), usize::from(*entries));
}

fn one_answer(bytes: &[u8], entries: usize) {
    let answer = match Answer::parse(&Bytes::copy_from_slice(bytes), entries) {
        Ok(answer) => answer,
        Err(error) => return drop(error.to_string()),
    };
    assert_eq!(answer.outcomes.len(), entries);
    for outcome in &answer.outcomes {
        if let Outcome::Logged(logged) = outcome {
            assert!(logged.checkpoint < answer.checkpoints.len(), "{logged:?}");
        }
    }
    let again = answer.encode().map(Bytes::from);
    assert_eq!(again.map(|again| Answer::parse(&again, entries)), Some(Ok(answer)));
}

/// A head: written and read again it is the same.
pub fn head(input: &[u8]) {
    one_head(input);
    one_head(&head_of(input));
}

fn head_of(lines: &[u8]) -> Vec<u8> {
    let sum = crc32c::crc32c(lines);
    [format!("sealog head 1 {sum:08x}\n").as_bytes(), lines].concat()
}

fn one_head(bytes: &[u8]) {
    if let Ok(written) = outside::head(bytes) {
        assert_eq!(outside::head(&written), Ok(written));
    }
}
