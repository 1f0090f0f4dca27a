//! One HTTP/1.1 request over a plain connection, as it is on the wire: what no client library would leave as it is.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The longest one answer may take to come.
const LIMIT: Duration = Duration::from_secs(120);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case, in the order they came.
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Every value of a header, joined; empty if it is not there.
    pub(crate) fn header(&self, name: &str) -> String {
        let values = self.headers.iter().filter(|(found, _)| found == name);
        values.map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// Asks a port of this machine for a path, written as it is given, with more headers.
pub(crate) fn ask(port: u16, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(LIMIT))?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes, method == "HEAD").with_context(|| format!("{method} {path} on port {port}"))
}

fn parse(bytes: &[u8], is_head: bool) -> Result<Answer> {
    const END: &[u8] = b"\r\n\r\n";
    let end = bytes.windows(END.len()).position(|window| window == END).context("no end of the head")?;
    let (head, rest) = bytes.split_at(end);
    let mut lines = std::str::from_utf8(head)?.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status line")?.parse()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: Vec::new() };
    let body = rest.get(END.len()..).unwrap_or_default();
    answer.body = match answer.header("transfer-encoding").as_str() {
        _ if is_head => Vec::new(),
        "" => body.to_vec(),
        "chunked" => unchunked(body).context("broken chunks")?,
        other => bail!("transfer encoding {other}"),
    };
    let length = answer.header("content-length");
    if !is_head && !length.is_empty() && length != answer.body.len().to_string() {
        bail!("{length} bytes were announced, {} came", answer.body.len());
    }
    Ok(answer)
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(rest.get(..end)?).ok()?, 16).ok()?;
        let start = end.checked_add(2)?;
        let chunk_end = start.checked_add(length)?;
        body.extend_from_slice(rest.get(start..chunk_end)?);
        if length == 0 {
            return Some(body);
        }
        rest = rest.get(chunk_end.checked_add(2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let plain = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\r\nx: b\r\n\r\nok", false).unwrap();
        assert_eq!(
            (plain.status, plain.body.as_slice(), plain.header("x")),
            (200, &b"ok"[..], "a, b".into())
        );
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n";
        assert_eq!(parse(chunked, false).unwrap().body, b"abc0123456789");
        assert!(parse(&chunked[..chunked.len() - 12], false).is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", false).is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\n", false).is_err());
    }
}
