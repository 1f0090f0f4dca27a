//! Messages come back as they were, and nothing else passes for one.

use super::*;

fn answer() -> Answer {
    let logged = Logged {
        index: 7,
        time_ms: Some(1_790_000_000_000),
        duplicate: false,
        checkpoint: 1,
        proof: vec![[1; 32], [2; 32]],
        encoded: Bytes::from_static(b"\0\x03abc"),
        voucher: vec![9; 70],
    };
    Answer {
        checkpoints: vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")],
        outcomes: vec![
            Outcome::Logged(logged.clone()),
            Outcome::Logged(Logged { time_ms: None, duplicate: true, checkpoint: 0, ..logged }),
            Outcome::Invalid("no".to_owned()),
            Outcome::Overloaded(Duration::from_millis(1500)),
            Outcome::StorageFull(Duration::from_secs(1)),
            Outcome::Elsewhere,
            Outcome::Later,
            Outcome::Ended,
        ],
    }
}

fn asked(entries: &[&[u8]]) -> Vec<u8> {
    request(entries.iter().copied()).unwrap()
}

/// With the checksum that belongs to what is in it.
fn resealed(mut bytes: Vec<u8>) -> Bytes {
    let end = bytes.len() - 4;
    let sum = crc32c::crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&sum.to_be_bytes());
    bytes.into()
}

#[test]
fn messages_come_back_as_they_were() {
    let entries: [&[u8]; 3] = [b"one", b"", &[7; 70_000]];
    assert_eq!(parse_request(&asked(&entries)).unwrap(), entries);
    assert!(parse_request(&asked(&[])).unwrap().is_empty());
    let bytes = Bytes::from(answer().encode().unwrap());
    assert_eq!(Answer::parse(&bytes, 8), Ok(answer()));
    assert_eq!(Answer::parse(&bytes, 7), Err(WireError::Malformed));
}

#[test]
fn whatever_was_damaged_is_refused() {
    let request = asked(&[b"one", b"two"]);
    let answer = answer().encode().unwrap();
    for at in 0..request.len() {
        for bit in 0..8 {
            let mut bad = request.clone();
            bad[at] ^= 1 << bit;
            assert!(parse_request(&bad).is_err(), "byte {at}, bit {bit}");
        }
        assert!(parse_request(&request[..at]).is_err(), "cut at {at}");
    }
    for at in 0..answer.len() {
        let mut bad = answer.clone();
        bad[at] ^= 0x10;
        assert!(Answer::parse(&bad.into(), 8).is_err(), "byte {at}");
        assert!(Answer::parse(&Bytes::copy_from_slice(&answer[..at]), 8).is_err(), "cut at {at}");
    }
    assert_eq!(parse_request(&[&request[..], b"x"].concat()), Err(WireError::Checksum));
    assert_eq!(parse_request(&answer), Err(WireError::Kind));
}

/// A checksum is no secret: what is malformed behind a good one is refused as well, without a panic and without memory
/// for what is only announced.
#[test]
fn a_good_checksum_excuses_nothing() {
    let request = asked(&[b"one", b"two"]);
    let answer = answer().encode().unwrap();
    for at in REQUEST.len()..request.len() - 4 {
        for value in [0, 1, 127, 255] {
            let mut bad = request.clone();
            bad[at] = value;
            if let Ok(entries) = parse_request(&resealed(bad)) {
                assert!(entries.len() <= MAX_ENTRIES);
            }
        }
    }
    for at in ANSWER.len()..answer.len() - 4 {
        for value in [0, 1, 4, 5, 6, 7, 127, 255] {
            let mut bad = answer.clone();
            bad[at] = value;
            if let Ok(read) = Answer::parse(&resealed(bad), 8) {
                assert_eq!(read.outcomes.len(), 8);
            }
        }
    }
    let many = vec![&b""[..]; MAX_ENTRIES + 1];
    assert_eq!(parse_request(&asked(&many)), Err(WireError::TooMuch));
    assert_eq!(parse_request(&asked(&many[1..])).unwrap().len(), MAX_ENTRIES);
    let mut longer = asked(&[b"one"]);
    longer.insert(longer.len() - 4, 0);
    assert_eq!(parse_request(&resealed(longer)), Err(WireError::Malformed));
    let nowhere = Answer { checkpoints: Vec::new(), ..self::answer() };
    assert_eq!(Answer::parse(&nowhere.encode().unwrap().into(), 8), Err(WireError::Malformed));
}
