//! Answers as a loader reads them: the status, and where the body ends.
//!
//! RFC 9112 as far as servers under measurement use it: a length, or chunks. Anything else ends the run, since a bench that
//! misreads an answer measures nothing.

use anyhow::{Context, Result, bail, ensure};

/// The longest head that is looked through.
const MAX_HEAD: usize = 16 << 10;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A complete answer, in the bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Where the body begins.
    pub(super) body: usize,
    /// Where the answer ends.
    pub(super) end: usize,
    pub(super) chunked: bool,
    /// The server closes the connection after it.
    pub(super) closes: bool,
}

/// The answer at the front of `bytes`; `None` until all of it is there.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Answer>> {
    let Some(head) = bytes.windows(HEAD_END.len()).position(|window| window == HEAD_END) else {
        ensure!(bytes.len() <= MAX_HEAD, "an answer's head is longer than {MAX_HEAD} bytes");
        return Ok(None);
    };
    let body = head + HEAD_END.len();
    let (head, rest) = (bytes.get(..head).unwrap_or_default(), bytes.get(body..).unwrap_or_default());
    let status =
        head.get(9..12).and_then(|code| std::str::from_utf8(code).ok()).and_then(|code| code.parse().ok());
    let status = status.context("an answer without a status")?;
    let mut length = None;
    let (mut chunked, mut closes) = (false, false);
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            length = std::str::from_utf8(value).ok().and_then(|text| text.parse::<usize>().ok());
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            chunked = value.eq_ignore_ascii_case(b"chunked");
        } else if name.eq_ignore_ascii_case(b"connection") {
            closes = value.eq_ignore_ascii_case(b"close");
        }
    }
    let length = match (length, chunked) {
        (_, true) => chunks(rest, |_| ())?,
        (Some(length), false) => Some(length).filter(|length| rest.len() >= *length),
        (None, false) if status == 204 => Some(0),
        (None, false) => bail!("an answer with status {status} does not say where it ends"),
    };
    Ok(length.map(|length| Answer { status, body, end: body + length, chunked, closes }))
}

impl Answer {
    /// The body, its chunks put together.
    pub(super) fn body(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let sent = bytes.get(self.body..self.end).context("the answer was read from other bytes")?;
        if !self.chunked {
            return Ok(sent.to_vec());
        }
        let mut whole = Vec::with_capacity(sent.len());
        chunks(sent, |chunk| whole.extend_from_slice(chunk))?;
        Ok(whole)
    }
}

/// Goes through a body in chunks: its length with all framing, once it is there.
fn chunks(mut rest: &[u8], mut each: impl FnMut(&[u8])) -> Result<Option<usize>> {
    let whole = rest.len();
    loop {
        let Some(line) = rest.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
        let (size, behind) = rest.split_at(line);
        let size = size.split(|byte| *byte == b';').next().unwrap_or_default();
        let size =
            std::str::from_utf8(size).ok().and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        let size = size.context("a chunk without a size")?;
        let behind = behind.get(2..).unwrap_or_default();
        let Some(after) = behind.get(size + 2..) else { return Ok(None) };
        each(behind.get(..size).unwrap_or_default());
        rest = after;
        if size == 0 {
            return Ok(Some(whole - rest.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let bytes = b"HTTP/1.1 201 Created\r\ncontent-type: x\r\nContent-Length: 3\r\n\r\nabcHTTP";
        for cut in 0..63 {
            assert_eq!(read(&bytes[..cut]).unwrap(), None, "{cut}");
        }
        let answer = read(bytes).unwrap().unwrap();
        assert_eq!(
            (answer.status, answer.closes, answer.body(bytes).unwrap()),
            (201, false, b"abc".to_vec())
        );
        assert_eq!(&bytes[answer.end..], b"HTTP");
    }

    #[test]
    fn an_answer_ends_with_its_last_chunk() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n";
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut]).unwrap(), None, "{cut}");
        }
        let answer = read(bytes).unwrap().unwrap();
        assert_eq!((answer.end, answer.closes), (bytes.len(), true));
        assert_eq!(answer.body(bytes).unwrap(), b"abcd");
    }

    #[test]
    fn what_is_no_answer_ends_the_run() {
        assert!(read(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n").is_err());
        assert!(read(b"nonsense\r\n\r\n").is_err());
        assert!(read(&[b'x'; MAX_HEAD + 1]).is_err());
    }
}
