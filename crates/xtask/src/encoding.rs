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

/// The claims of a JSON web token, unverified.
pub(crate) fn jwt_claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&base64(payload)?).ok()
}

/// The SHA-256 of a file, by a program that is not ours.
pub(crate) fn sha256_hex(file: &Path) -> Result<String> {
    let mut command = Command::new("sha256sum");
    let limit = Duration::from_secs(30);
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
    fn claims_are_the_middle_part() {
        let claims = jwt_claims("e30.eyJpc3MiOiJ4In0.sig").unwrap();
        assert_eq!(claims.get("iss").and_then(Value::as_str), Some("x"));
        assert_eq!(jwt_claims("no token"), None);
    }
}
