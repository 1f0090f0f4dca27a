//! Bundles gzipped, for those who ask for it: a courtesy that may cost the log next to nothing.
//!
//! Under one path there is one content for ever, so what was compressed once is kept, as long as there is room. What
//! was not is compressed when it is asked for, by one thread, for at most a tenth of its time; whoever asks meanwhile
//! gets the bytes as they are, which every client takes. Nobody can make a log compress instead of sign.

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, header};
use std::{
    collections::{HashMap, VecDeque},
    io::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// Bytes of all that is kept: a few hundred bundles.
const MAX_HELD: usize = 16 * 1024 * 1024;
/// Shorter ones fit a packet or two as they are.
const MIN_LENGTH: usize = 1024;
/// After each compression comes a pause so many times as long.
const PAUSE: u32 = 9;

/// What was compressed, by path.
#[derive(Default)]
pub(super) struct Compressed(Mutex<State>);

#[derive(Default)]
struct State {
    held: HashMap<String, Bytes>,
    /// The oldest first.
    order: VecDeque<String>,
    bytes: usize,
    turn: Turn,
}

#[derive(Default)]
enum Turn {
    #[default]
    Free,
    Busy,
    After(Instant),
}

impl Compressed {
    /// If it was compressed before.
    pub(super) fn get(&self, path: &str) -> Option<Bytes> {
        self.state().held.get(path).cloned()
    }

    /// Compresses, unless that is not worth it or not to be done now.
    pub(super) async fn now(self: &Arc<Self>, path: String, bytes: Bytes) -> Option<Bytes> {
        if bytes.len() < MIN_LENGTH || !self.state().begins(Instant::now()) {
            return None;
        }
        let compressed = Arc::clone(self);
        let work = move || {
            let begun = Instant::now();
            let shorter = gzip(&bytes).filter(|shorter| shorter.len() < bytes.len());
            compressed.state().ends(path, shorter.as_ref(), begun, Instant::now());
            shorter
        };
        // Not given up when the client is: its turn would never end.
        tokio::task::spawn_blocking(work).await.ok().flatten()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn begins(&mut self, now: Instant) -> bool {
        let may = match self.turn {
            Turn::Free => true,
            Turn::Busy => false,
            Turn::After(then) => now >= then,
        };
        if may {
            self.turn = Turn::Busy;
        }
        may
    }

    fn ends(&mut self, path: String, shorter: Option<&Bytes>, begun: Instant, now: Instant) {
        self.turn = Turn::After(now + now.duration_since(begun) * PAUSE);
        if let Some(shorter) = shorter {
            self.bytes = self.bytes.saturating_add(shorter.len());
            self.order.push_back(path.clone());
            if let Some(before) = self.held.insert(path, shorter.clone()) {
                self.bytes = self.bytes.saturating_sub(before.len());
            }
        }
        while self.bytes > MAX_HELD
            && let Some(oldest) = self.order.pop_front()
        {
            let dropped = self.held.remove(&oldest).map_or(0, |dropped| dropped.len());
            self.bytes = self.bytes.saturating_sub(dropped);
        }
    }
}

fn gzip(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 2), Compression::fast());
    encoder.write_all(bytes).ok()?;
    // What is kept should not keep more room than it has bytes.
    let mut shorter = encoder.finish().ok()?;
    shorter.shrink_to_fit();
    Some(shorter.into())
}

/// Whether a client asks for gzip by name, and not less than for the bytes as they are (RFC 9110 §12.5.3).
pub(super) fn wants_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut identity) = (None, None);
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        for coding in value.to_str().unwrap_or_default().split(',') {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = weight(parameters);
            match name.trim() {
                name if name.eq_ignore_ascii_case("gzip") => gzip = weight,
                name if name.eq_ignore_ascii_case("identity") => identity = weight,
                _ => {}
            }
        }
    }
    gzip.is_some_and(|gzip| gzip > 0 && identity.is_none_or(|identity| gzip >= identity))
}

/// In thousandths; none is one, and what cannot be read is none.
fn weight(parameters: &str) -> Option<u16> {
    let parameters = parameters.trim();
    if parameters.is_empty() {
        return Some(1000);
    }
    let value = parameters.strip_prefix("q=").or_else(|| parameters.strip_prefix("Q="))?;
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Read as _, time::Duration};

    fn asks(value: &'static str) -> bool {
        let value = http::HeaderValue::from_static(value);
        wants_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]))
    }

    #[test]
    fn gzip_is_for_those_who_name_it() {
        for value in [
            "gzip",
            "GZIP",
            "gzip, deflate, br",
            "deflate , gzip;q=0.5",
            "gzip;q=1.000",
            "gzip;q=0.5, identity;q=0.5",
            "identity;q=0, gzip",
            "gzip ; q=0.001",
        ] {
            assert!(asks(value), "{value}");
        }
        for value in [
            "",
            "*",
            "identity",
            "br",
            "gzip;q=0",
            "gzip;q=0.000",
            "gzip;q=0.5, identity",
            "gzip;q=0.4, identity;q=0.5",
            "gzip;q=2",
            "gzip;q=1.001",
            "gzip;q=0.0001",
            "gzip;q=-1",
            "gzip;q=",
            "gzip;level=9",
            "x-gzip2",
        ] {
            assert!(!asks(value), "{value}");
        }
        assert!(!wants_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn what_was_compressed_is_the_same_and_kept() {
        let compressed = Arc::new(Compressed::default());
        let bytes = Bytes::from("0123456789abcdef".repeat(1000));
        let short = compressed.now("tile/entries/000".into(), bytes.clone()).await.unwrap();
        let mut again = Vec::new();
        flate2::read::GzDecoder::new(&short[..]).read_to_end(&mut again).unwrap();
        assert_eq!(again, bytes);
        assert_eq!(compressed.get("tile/entries/000"), Some(short));
        assert_eq!(compressed.get("tile/entries/001"), None);
        // Its time is up for now, so the next goes out as it is.
        compressed.state().turn = Turn::After(Instant::now() + Duration::from_secs(60));
        assert_eq!(compressed.now("tile/entries/001".into(), bytes.clone()).await, None);
        compressed.state().turn = Turn::Busy;
        assert_eq!(compressed.now("tile/entries/001".into(), bytes).await, None);
        // Neither what is short nor what does not get shorter.
        compressed.state().turn = Turn::Free;
        assert_eq!(compressed.now("tile/entries/002".into(), Bytes::from(vec![0; 1023])).await, None);
        let noise: Vec<u8> = (0..200_u32).flat_map(|n| sealog_crypto::sha256(&n.to_be_bytes())).collect();
        assert_eq!(compressed.now("tile/entries/003".into(), noise.into()).await, None);
        assert_eq!(compressed.state().held.len(), 1);
    }

    #[test]
    fn a_tenth_of_the_time_and_no_more_than_there_is_room_for() {
        let mut state = State::default();
        let begun = Instant::now();
        let after = |ms| begun + Duration::from_millis(ms);
        assert!(state.begins(begun) && !state.begins(after(1)));
        state.ends("a".into(), None, begun, after(10));
        assert!(!state.begins(after(99)) && state.begins(after(100)));
        let one = Bytes::from(vec![7; MAX_HELD / 4]);
        for path in ["a", "b", "a", "c", "d"] {
            state.ends(path.into(), Some(&one), begun, begun);
            assert!(state.bytes <= MAX_HELD);
            assert_eq!(state.bytes, state.held.values().map(Bytes::len).sum::<usize>());
        }
        state.ends("e".into(), Some(&one), begun, begun);
        let mut held: Vec<&str> = state.held.keys().map(String::as_str).collect();
        held.sort_unstable();
        assert_eq!(held, ["b", "c", "d", "e"]);
        assert_eq!(state.bytes, MAX_HELD);
    }
}
