//! The way to an object store: holds back each PUT, as a store further away would, and counts what is asked.
//!
//! A thread for each connection, and one request at a time on it, as clients of HTTP/1.1 send them.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::time::ClockId;

use super::answer;

const READ: usize = 64 << 10;
const MAX_HEAD: usize = 16 << 10;

/// What a request is for, as far as it costs or takes something of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asked {
    /// PUT of a batch's record.
    Record,
    /// PUT of the head: the commit.
    Head,
    /// PUT of anything that readers see.
    Public,
    /// GET and HEAD.
    Get,
    /// Names of objects.
    List,
    Delete,
}

impl Asked {
    pub(super) const ALL: [Self; 6] =
        [Self::Record, Self::Head, Self::Public, Self::Get, Self::List, Self::Delete];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Record => "PUT of records",
            Self::Head => "PUT of the head",
            Self::Public => "PUT of public files",
            Self::Get => "GET",
            Self::List => "LIST",
            Self::Delete => "DELETE",
        }
    }

    /// By method and target, of a log under a prefix of one name in a bucket that stands in the path.
    fn of(method: &str, target: &str) -> Result<Self> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let key = path.splitn(4, '/').nth(3).unwrap_or_default();
        Ok(match method {
            "PUT" if key == "head" => Self::Head,
            "PUT" if key.starts_with("wal/") => Self::Record,
            "PUT" => Self::Public,
            "GET" if query.contains("list-type=") => Self::List,
            "GET" | "HEAD" => Self::Get,
            "DELETE" => Self::Delete,
            "POST" if query == "delete" => Self::Delete,
            _ => bail!("{method} of {target} is not among the requests that are counted"),
        })
    }
}

/// What went this way.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// How long each request took, from when its head was read to when its answer was there; microseconds.
    took: BTreeMap<Asked, Vec<u32>>,
    /// What the way itself cost.
    cpu: Duration,
    /// What went wrong last.
    trouble: Option<String>,
}

impl Seen {
    pub(super) fn count(&self, asked: Asked) -> usize {
        self.took.get(&asked).map_or(0, Vec::len)
    }

    /// What this share of such requests did not exceed.
    pub(super) fn took_ms(&self, asked: Asked, share: f64) -> f64 {
        let mut took = self.took.get(&asked).cloned().unwrap_or_default();
        took.sort_unstable();
        let place = (took.len().saturating_sub(1) as f64 * share).round() as usize;
        took.get(place).map_or(f64::NAN, |us| f64::from(*us) / 1e3)
    }

    pub(super) const fn cpu(&self) -> Duration {
        self.cpu
    }
}

/// An open way; closed when dropped.
pub(super) struct Way {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    closed: Arc<AtomicBool>,
}

impl Way {
    /// To a server; each PUT is passed on only after it was held back for so long.
    pub(super) fn to(server: SocketAddr, hold: Duration) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let (seen, closed) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicBool>::default());
        let (all, end) = (Arc::clone(&seen), Arc::clone(&closed));
        std::thread::spawn(move || {
            while let Ok((mut near, _)) = listener.accept() {
                if end.load(Ordering::Relaxed) {
                    break;
                }
                let seen = Arc::clone(&all);
                std::thread::spawn(move || {
                    // It is noted before the client hears of it: `near` is closed last.
                    if let Err(error) = serve(&mut near, server, hold, &seen) {
                        lock(&seen).trouble = Some(format!("{error:#}"));
                    }
                });
            }
        });
        Ok(Self { address, seen, closed })
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// All since the last call.
    pub(super) fn take(&self) -> Result<Seen> {
        let seen = std::mem::take(&mut *lock(&self.seen));
        match &seen.trouble {
            Some(trouble) => bail!("on the way to the object store: {trouble}"),
            None => Ok(seen),
        }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        // Whoever listens looks up.
        let _ = TcpStream::connect(self.address);
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection, until one of both sides ends it.
fn serve(near: &mut TcpStream, server: SocketAddr, hold: Duration, seen: &Mutex<Seen>) -> Result<()> {
    let mut far = TcpStream::connect(server)?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let mut room = vec![0; READ];
    let mut held = Vec::new();
    let mut before = Duration::try_from(rustix::time::clock_gettime(ClockId::ThreadCPUTime))?;
    loop {
        let Some(request) = read_head(near, &mut held, &mut room)? else { return Ok(()) };
        let begun = Instant::now();
        if matches!(request.asked, Asked::Record | Asked::Head | Asked::Public) {
            std::thread::sleep(hold);
        }
        far.write_all(&held)?;
        let mut left = request.length.checked_sub(held.len()).context("a request behind a request")?;
        held.clear();
        while left > 0 {
            let Some(read) = read(near, &mut room)? else { bail!("half a request") };
            far.write_all(read)?;
            left = left.checked_sub(read.len()).context("a request behind a request")?;
        }
        let (answer, closes) = read_answer(&mut far, request.has_no_body, &mut room)?;
        let took = u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX);
        let after = Duration::try_from(rustix::time::clock_gettime(ClockId::ThreadCPUTime))?;
        let mut seen = lock(seen);
        seen.took.entry(request.asked).or_default().push(took);
        seen.cpu += after.saturating_sub(std::mem::replace(&mut before, after));
        drop(seen);
        near.write_all(&answer)?;
        if closes {
            return Ok(());
        }
    }
}

struct Request {
    asked: Asked,
    /// Head and body.
    length: usize,
    /// Its answer has a length but no body.
    has_no_body: bool,
}

/// Reads until a head is there, and perhaps some of the body; none when the connection ended before.
fn read_head(near: &mut TcpStream, held: &mut Vec<u8>, room: &mut [u8]) -> Result<Option<Request>> {
    loop {
        let Some(bytes) = read(near, room)? else {
            ensure!(held.is_empty(), "half a request");
            return Ok(None);
        };
        held.extend_from_slice(bytes);
        if let Some(end) = held.windows(4).position(|window| window == b"\r\n\r\n") {
            return request(held.get(..end).unwrap_or_default()).map(Some);
        }
        ensure!(held.len() <= MAX_HEAD, "a request's head is longer than {MAX_HEAD} bytes");
    }
}

fn request(head: &[u8]) -> Result<Request> {
    let text = std::str::from_utf8(head)?;
    let mut lines = text.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut body = 0;
    for line in lines {
        let (name, value) = line.split_once(':').context("a line that is no field")?;
        if name.eq_ignore_ascii_case("content-length") {
            body = value.trim().parse()?;
        }
        ensure!(!name.eq_ignore_ascii_case("transfer-encoding"), "a request in chunks");
    }
    let asked = Asked::of(method, target)?;
    Ok(Request { asked, length: head.len() + 4 + body, has_no_body: method == "HEAD" })
}

/// One answer, whole; whether the connection ends with it.
fn read_answer(far: &mut TcpStream, has_no_body: bool, room: &mut [u8]) -> Result<(Vec<u8>, bool)> {
    let mut held = Vec::new();
    loop {
        let Some(bytes) = read(far, room)? else { bail!("the server gave half an answer") };
        held.extend_from_slice(bytes);
        let whole = match held.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(_) if has_no_body => Some(false),
            Some(_) => answer::read(&held)?.map(|answer| answer.closes),
            None => None,
        };
        if let Some(closes) = whole {
            return Ok((held, closes));
        }
    }
}

/// What there is; none at the end.
fn read<'a>(stream: &mut TcpStream, room: &'a mut [u8]) -> Result<Option<&'a [u8]>> {
    match stream.read(room) {
        Ok(0) => Ok(None),
        Ok(count) => Ok(room.get(..count)),
        // A client that is killed does not say goodbye.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers every request with its own length.
    fn server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let (mut held, mut room) = (Vec::new(), vec![0; READ]);
                    while let Some(request) = read_head(&mut stream, &mut held, &mut room).unwrap() {
                        let mut left = request.length - held.len();
                        while left > 0 {
                            left -= read(&mut stream, &mut room).unwrap().unwrap().len();
                        }
                        held.clear();
                        let body =
                            if request.has_no_body { String::new() } else { request.length.to_string() };
                        let length = body.len().max(1);
                        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
                        stream.write_all(head.as_bytes()).unwrap();
                    }
                });
            }
        });
        address
    }

    fn ask(stream: &mut TcpStream, method: &str, target: &str, body: &[u8]) -> String {
        let head = format!("{method} {target} HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = vec![0; 200];
        let count = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..count]).into_owned()
    }

    #[test]
    fn only_puts_are_held_back_and_all_is_counted() {
        let hold = Duration::from_secs(1);
        let way = Way::to(server(), hold).unwrap();
        let mut stream = TcpStream::connect(way.address()).unwrap();
        let big = vec![b'x'; 300_000];
        let answer = ask(&mut stream, "PUT", "/bucket/rekor/wal/000-1-1", &big);
        assert!(answer.ends_with("300066"), "{answer}");
        for (method, target) in [
            ("PUT", "/bucket/rekor/head"),
            ("PUT", "/bucket/rekor/public/checkpoint"),
            ("GET", "/bucket/rekor/head"),
            ("HEAD", "/bucket/rekor/head"),
            ("GET", "/bucket?list-type=2&prefix=rekor%2Fwal%2F"),
            ("POST", "/bucket?delete"),
        ] {
            assert!(ask(&mut stream, method, target, b"").starts_with("HTTP/1.1 200"));
        }
        let seen = way.take().unwrap();
        assert_eq!(Asked::ALL.map(|asked| seen.count(asked)), [1, 1, 1, 2, 1, 1]);
        for asked in Asked::ALL {
            let is_put = matches!(asked, Asked::Record | Asked::Head | Asked::Public);
            assert_eq!(seen.took_ms(asked, 0.0) >= 1000.0, is_put, "{asked:?}");
        }
        assert_eq!(way.take().unwrap().count(Asked::Head), 0);
    }

    #[test]
    fn what_is_not_understood_is_told() {
        let way = Way::to(server(), Duration::ZERO).unwrap();
        let mut stream = TcpStream::connect(way.address()).unwrap();
        assert_eq!(ask(&mut stream, "POST", "/bucket/rekor/head", b""), "");
        assert!(way.take().is_err());
    }
}
