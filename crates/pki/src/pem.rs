//! PEM blocks (RFC 7468) of one expected label.

use alloc::{string::String, vec::Vec};
use der::pem::{Decoder, LineEnding};

/// PEM texts above this size are refused before they are decoded.
const MAX_PEM_BYTES: usize = 1 << 20;

/// Text that is not the PEM block it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Not PEM at all, or more than we read.
    #[error("not a PEM block labelled {expected}")]
    Malformed {
        /// The label wanted.
        expected: &'static str,
    },
    /// Another kind of block.
    #[error("the PEM block is labelled {found}, not {expected}")]
    WrongLabel {
        /// The label wanted.
        expected: &'static str,
        /// The label found.
        found: String,
    },
}

pub(crate) fn decode(text: &str, expected: &'static str) -> Result<Vec<u8>, PemError> {
    let malformed = PemError::Malformed { expected };
    if text.len() > MAX_PEM_BYTES {
        return Err(malformed);
    }
    // Lines of any one width are taken, as the other clients do, not only the standard's 64.
    let mut decoder = Decoder::new_detect_wrap(text.trim().as_bytes()).map_err(|_| malformed.clone())?;
    let found = decoder.type_label();
    if found != expected {
        return Err(PemError::WrongLabel { expected, found: String::from(found) });
    }
    let mut der = Vec::new();
    decoder.decode_to_end(&mut der).map_err(|_| malformed)?;
    Ok(der)
}

/// Every block of a text that holds blocks of one label only, in order.
pub(crate) fn decode_all(text: &str, expected: &'static str) -> Result<Vec<Vec<u8>>, PemError> {
    let malformed = || PemError::Malformed { expected };
    if text.len() > MAX_PEM_BYTES {
        return Err(malformed());
    }
    let mut blocks = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        // The end line is found first, so that text between blocks cannot join two of them.
        let end = rest.find("-----END ").ok_or_else(malformed)?;
        let line = rest.get(end..).ok_or_else(malformed)?;
        let end = end.saturating_add(line.find('\n').unwrap_or(line.len()));
        let (block, after) = rest.split_at_checked(end).ok_or_else(malformed)?;
        blocks.push(decode(block, expected)?);
        rest = after.trim();
    }
    Ok(blocks)
}

/// One block, with a final newline.
pub(crate) fn encode(label: &'static str, der: &[u8]) -> String {
    // Fails only on lengths beyond `usize` and labels outside ASCII: ours are neither.
    der::pem::encode_string(label, LineEnding::LF, der).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_line_width_and_line_ending_is_read() {
        let der: Vec<u8> = (0..=200).collect();
        let text = encode("X", &der);
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        let one_line = alloc::format!("-----BEGIN X-----\n{body}\n-----END X-----");
        let wide = alloc::format!("-----BEGIN X-----\n{}\n{}\n-----END X-----", &body[..76], &body[76..152]);
        assert_eq!(decode(&one_line, "X").as_deref(), Ok(der.as_slice()));
        assert_eq!(decode(&text.replace('\n', "\r\n"), "X").as_deref(), Ok(der.as_slice()));
        assert_eq!(decode(&wide, "X").as_deref(), Ok(&der[..114]));
        assert_eq!(decode_all(&[text.as_str(); 3].concat(), "X").unwrap().len(), 3);
        let other = PemError::WrongLabel { expected: "Y", found: "X".into() };
        assert_eq!(decode(&text, "Y"), Err(other));
        assert_eq!(decode("", "Y"), Err(PemError::Malformed { expected: "Y" }));
    }
}
