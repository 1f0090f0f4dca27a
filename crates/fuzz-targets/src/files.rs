//! What the program reads beside bundles: lists of checksums, and files of documents that it describes.

use sealog_bundle::json::Value;
use sealog_cli::outside::{self, Listed};
use std::{os::unix::ffi::OsStrExt as _, path::Component};

/// A description is at most this long for each byte of its document; the longest documents are refused.
const JSON_LIMIT: usize = 1 << 30;

/// A list of checksums: names lead downwards, no file has two digests by one algorithm, and the list that is written of what
/// was read says the same.
pub fn checksums(input: &[u8]) {
    let listed = match outside::checksums(input) {
        Ok(listed) => listed,
        Err(words) => return harmless(&words),
    };
    for one in &listed {
        assert!(one.name.components().all(|step| matches!(step, Component::Normal(_))), "{one:?}");
        let algorithms: Vec<_> = one.digests.iter().map(sealog_crypto::Digest::algorithm).collect();
        assert!(!algorithms.is_empty(), "{one:?}");
        assert!(
            algorithms.iter().enumerate().all(|(at, one)| !algorithms.iter().skip(at + 1).any(|o| o == one))
        );
    }
    let again = outside::checksums(&written(&listed));
    let said = |listed: &[Listed]| -> Vec<_> {
        listed.iter().map(|one| (one.name.clone(), one.digests.clone())).collect()
    };
    assert_eq!(again.as_deref().map(said), Ok(said(&listed)));
}

/// As `sha256sum` and its kin write.
fn written(listed: &[Listed]) -> Vec<u8> {
    let mut list = Vec::new();
    for one in listed {
        for digest in &one.digests {
            let text = digest.to_string();
            let hex = text.split_once(':').map_or("", |(_, hex)| hex);
            list.push(b'\\');
            list.extend_from_slice(hex.as_bytes());
            list.extend_from_slice(b"  ");
            for byte in one.name.as_os_str().as_bytes() {
                match byte {
                    b'\\' => list.extend_from_slice(b"\\\\"),
                    b'\n' => list.extend_from_slice(b"\\n"),
                    b'\r' => list.extend_from_slice(b"\\r"),
                    other => list.push(*other),
                }
            }
            list.push(b'\n');
        }
    }
    list
}

/// A file that is described: nothing in it paints the screen, and the JSON can be read.
pub fn inspect(input: &[u8]) {
    for (words, json) in outside::inspection(input) {
        harmless(&words);
        if let Some(json) = json {
            assert!(json.is_ascii() && !json.contains(char::is_control), "{json:?}");
            assert!(Value::parse(json.as_bytes(), JSON_LIMIT).is_ok(), "{json}");
        }
    }
}

/// Words may have lines, and nothing else that moves a cursor or turns the direction of writing.
fn harmless(words: &str) {
    let odd = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
    };
    assert!(!words.contains(odd), "{words:?}");
}
