//! The few encodings the tools must read for themselves; digests are left to `sha256sum`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// Decodes base64, standard or url-safe, padded or not; `None` for any other letter.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut window: u32 = 0;
    let mut bits = 0;
    for letter in text.trim_end_matches('=').bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        window = (window << 6) | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            let [.., last] = (window >> bits).to_be_bytes();
            bytes.push(last);
        }
    }
    Some(bytes)
}

/// Standard base64, padded.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let window = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for place in 0..4 {
            let letter = LETTERS.get((window >> (18 - 6 * place)) as usize & 63).copied();
            text.push(if place > chunk.len() { '=' } else { char::from(letter.unwrap_or(b'=')) });
        }
    }
    text
}

/// The claims of a JSON web token, unverified.
pub(crate) fn jwt_claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&base64(payload)?).ok()
}

/// The SHA-256 of a file, by a program that is not ours.
pub(crate) fn sha256_hex(file: &Path) -> Result<String> {
    let mut command = Command::new("sha256sum");
    let limit = Duration::from_secs(120);
    let said = process::run(command.arg(file), limit)?.expect_success("sha256sum")?;
    said.split_whitespace().next().map(str::to_owned).context("sha256sum printed no digest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_in_every_spelling() {
        assert_eq!(base64("aGVsbG8=").unwrap(), b"hello");
        assert_eq!(base64("aGVsbG8").unwrap(), b"hello");
        assert_eq!(base64("-_8=").unwrap(), base64("+/8").unwrap());
        assert_eq!(base64("a b"), None);
    }

    #[test]
    fn base64_is_written_as_it_is_read() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"h", "aA=="),
            (b"he", "aGU="),
            (b"hel", "aGVs"),
            (b"\xff\xfe\xfd\xfc", "//79/A=="),
        ] {
            assert_eq!(to_base64(bytes), text);
            assert_eq!(base64(text).unwrap(), bytes);
        }
    }

    #[test]
    fn claims_are_the_middle_part() {
        let claims = jwt_claims("e30.eyJpc3MiOiJ4In0.sig").unwrap();
        assert_eq!(claims.get("iss").and_then(Value::as_str), Some("x"));
        assert_eq!(jwt_claims("no token"), None);
    }
}
