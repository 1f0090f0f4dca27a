//! The loader: prepared requests over many connections, one thread, no runtime.
//!
//! A server and its loader share the machine, so the loader does as little as it can: bytes made beforehand, one `write` and
//! one `read` a request. Closed: each connection sends its next request when it has its answer. Open: requests
//! are due at fixed times whatever the server does, and latency counts from when a request was due, also when no
//! connection was free to send it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use super::answer;
use crate::bench::usage;

/// Answers that are kept for verification.
const KEPT: usize = 1000;
/// How exactly an open loop keeps its times: sends that fall due within this are sent together.
const GRAIN: Duration = Duration::from_micros(100);
/// How long answers are waited for after the last request.
const LATE: Duration = Duration::from_secs(40);
/// A client that was refused, or got no answer, comes back after this.
const PAUSE: Duration = Duration::from_millis(50);
const EVENTS: usize = 512;
/// The timer's number among the connections'.
const TIMER: u64 = u64::MAX;
const READ: usize = 32 << 10;

/// When requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pace {
    /// As fast as answers come.
    Closed,
    /// So many in a second.
    Open(f64),
}

/// One run.
pub(super) struct Run<'a> {
    pub(super) address: SocketAddr,
    pub(super) connections: usize,
    pub(super) pace: Pace,
    /// Not measured, before.
    pub(super) warm_up: Duration,
    pub(super) measured: Duration,
    /// Complete requests, head and body, in the order they are sent.
    pub(super) requests: &'a [Box<[u8]>],
    /// Whether they may be sent again from the front; else the run ends when all were sent.
    pub(super) again: bool,
    /// Whose CPU time counts.
    pub(super) servers: &'a [u32],
}

/// What it gave.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Answers in a second while it was measured.
    pub(super) per_second: f64,
    /// Sorted, in microseconds.
    latencies: Vec<u32>,
    /// The server's time for an answer, in microseconds.
    pub(super) cpu_us: f64,
    /// Ours.
    pub(super) loader_us: f64,
    /// Requests that were answered 429 or 503.
    pub(super) refused: u64,
    /// Requests that were answered otherwise, or not at all.
    pub(super) failed: u64,
    /// How the first of them failed.
    pub(super) first_failure: Option<String>,
    /// Requests that were sent, from the front.
    pub(super) sent: usize,
    /// Some answers, drawn evenly: the request's number and the body.
    pub(super) kept: Vec<(usize, Vec<u8>)>,
}

impl Outcome {
    /// The latency that this share of answers did not exceed, in milliseconds.
    pub(super) fn latency_ms(&self, share: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        let place = (last as f64 * share).round() as usize;
        self.latencies.get(place).map_or(f64::NAN, |us| f64::from(*us) / 1e3)
    }
}

struct Connection {
    stream: TcpStream,
    /// What is asked, when it was due, and how much of it is not written yet.
    asked: Option<Asked>,
    read: Vec<u8>,
    /// A client that got nothing waits until then.
    resting: Option<Instant>,
    /// The kernel did not take all of the request yet.
    cut: bool,
}

#[derive(Clone, Copy)]
struct Asked {
    number: usize,
    due: Instant,
    written: usize,
}

struct Loader<'a> {
    run: &'a Run<'a>,
    epoll: OwnedFd,
    timer: OwnedFd,
    connections: Vec<Connection>,
    /// Connections with nothing to do.
    idle: Vec<usize>,
    resting: Vec<usize>,
    begun: Instant,
    end: Instant,
    next: usize,
    answered: u64,
    random: u64,
    seen: usize,
    outcome: Outcome,
}

/// Sends and measures.
pub(super) fn run(run: &Run<'_>) -> Result<Outcome> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
    let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
    epoll::add(&epoll, &timer, EventData::new_u64(TIMER), EventFlags::IN)?;
    let mut loader = Loader {
        run,
        epoll,
        timer,
        connections: Vec::with_capacity(run.connections),
        idle: Vec::new(),
        resting: Vec::new(),
        begun: Instant::now(),
        end: Instant::now(),
        next: 0,
        answered: 0,
        random: 0x9e37_79b9_7f4a_7c15,
        seen: 0,
        outcome: Outcome::default(),
    };
    for number in 0..run.connections {
        let stream = loader.connect(number)?;
        loader.connections.push(Connection {
            stream,
            asked: None,
            read: Vec::new(),
            resting: None,
            cut: false,
        });
        loader.idle.push(number);
    }
    loader.measure()?;
    loader.outcome.latencies.sort_unstable();
    loader.outcome.sent = loader.next;
    Ok(loader.outcome)
}

impl Loader<'_> {
    fn connect(&self, number: usize) -> Result<TcpStream> {
        let stream = TcpStream::connect(self.run.address).context("the server takes no connection")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let data = EventData::new_u64(u64::try_from(number)?);
        epoll::add(&self.epoll, &stream, data, EventFlags::IN | EventFlags::RDHUP)?;
        Ok(stream)
    }

    fn measure(&mut self) -> Result<()> {
        self.begun = Instant::now();
        let from = self.begun + self.run.warm_up;
        self.end = from + self.run.measured;
        let mut at_start = None;
        let mut events = Vec::with_capacity(EVENTS);
        let mut buffer = vec![0; READ];
        loop {
            let now = Instant::now();
            if at_start.is_none() && now >= from {
                at_start = Some((now, self.cpu()?, self.answered));
            }
            if now >= self.end {
                break;
            }
            self.send_due(now)?;
            let until = if at_start.is_none() { from } else { self.end };
            self.wait(now, until, &mut events, &mut buffer)?;
        }
        let (started, before, answered) =
            at_start.context("all requests were sent before anything was measured")?;
        let (seconds, after) = (started.elapsed().as_secs_f64(), self.cpu()?);
        let answers = (self.answered - answered) as f64;
        self.outcome.per_second = answers / seconds;
        self.outcome.cpu_us = (after.0 - before.0) * 1e6 / answers;
        self.outcome.loader_us = (after.1 - before.1) * 1e6 / answers;
        // What is asked is waited for: in an open loop its latency counts, and no server is left with a broken pipe.
        let deadline = Instant::now() + LATE;
        while self.connections.iter().any(|connection| connection.asked.is_some()) || self.owes() {
            let now = Instant::now();
            if now >= deadline {
                bail!("answers are missing {} s after the last request", LATE.as_secs());
            }
            if matches!(self.run.pace, Pace::Open(_)) {
                self.send_due(now)?;
            }
            self.wait(now, now + Duration::from_millis(20), &mut events, &mut buffer)?;
        }
        Ok(())
    }

    /// Whether requests of an open loop were due and are not sent yet.
    fn owes(&self) -> bool {
        let there = self.run.again || self.next < self.run.requests.len();
        matches!(self.run.pace, Pace::Open(_)) && there && self.due(self.end) < self.end
    }

    /// The servers' CPU seconds and ours.
    fn cpu(&self) -> Result<(f64, f64)> {
        let servers: Result<Vec<f64>> = self.run.servers.iter().map(|id| usage::cpu_seconds(*id)).collect();
        Ok((servers?.iter().sum(), usage::cpu_seconds(std::process::id())?))
    }

    /// Sends what is due before the end, as far as connections are free.
    fn send_due(&mut self, now: Instant) -> Result<()> {
        let connections = &mut self.connections;
        let rested = |number: &usize| {
            connections.get(*number).is_some_and(|c| c.resting.is_none_or(|until| until <= now))
        };
        let (back, resting): (Vec<usize>, Vec<usize>) = self.resting.drain(..).partition(rested);
        self.resting = resting;
        self.idle.extend(back);
        while !self.idle.is_empty() {
            let due = self.due(now);
            if due > now || due >= self.end {
                return Ok(());
            }
            let Some(number) = self.idle.pop() else { return Ok(()) };
            self.ask(number, due)?;
        }
        Ok(())
    }

    /// When the next request is.
    fn due(&self, now: Instant) -> Instant {
        match self.run.pace {
            Pace::Closed => now,
            Pace::Open(per_second) => self.begun + Duration::from_secs_f64(self.next as f64 / per_second),
        }
    }

    fn ask(&mut self, number: usize, due: Instant) -> Result<()> {
        if self.next >= self.run.requests.len() && !self.run.again {
            // All were sent: what is measured ends here.
            self.end = self.end.min(Instant::now());
            self.idle.push(number);
            return Ok(());
        }
        let connection = self.connections.get_mut(number).context("no such connection")?;
        connection.asked = Some(Asked { number: self.next, due, written: 0 });
        self.next += 1;
        self.write(number)
    }

    fn write(&mut self, number: usize) -> Result<()> {
        let connection = self.connections.get_mut(number).context("no such connection")?;
        let Some(asked) = connection.asked.as_mut() else { return Ok(()) };
        let request =
            self.run.requests.get(asked.number % self.run.requests.len()).context("no such request")?;
        let was_cut = connection.cut;
        while let Some(rest) = request.get(asked.written..).filter(|rest| !rest.is_empty()) {
            match connection.stream.write(rest) {
                Ok(written) => asked.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP;
                    let data = EventData::new_u64(u64::try_from(number)?);
                    connection.cut = true;
                    epoll::modify(&self.epoll, &connection.stream, data, flags)?;
                    return Ok(());
                }
                Err(error) => return self.closed(number, &error.to_string()),
            }
        }
        if was_cut {
            connection.cut = false;
            let data = EventData::new_u64(u64::try_from(number)?);
            epoll::modify(&self.epoll, &connection.stream, data, EventFlags::IN | EventFlags::RDHUP)?;
        }
        Ok(())
    }

    fn wait(
        &mut self,
        now: Instant,
        until: Instant,
        events: &mut Vec<epoll::Event>,
        buffer: &mut [u8],
    ) -> Result<()> {
        let mut wake = until;
        if !self.idle.is_empty() && matches!(self.run.pace, Pace::Open(_)) {
            wake = wake.min(self.due(now).max(now + GRAIN));
        }
        if !self.resting.is_empty() {
            wake = wake.min(now + PAUSE);
        }
        let left = wake.saturating_duration_since(Instant::now()).max(Duration::from_micros(1));
        let timer = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec {
                tv_sec: i64::try_from(left.as_secs())?,
                tv_nsec: left.subsec_nanos().into(),
            },
        };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &timer)?;
        events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(events), None) {
            Err(rustix::io::Errno::INTR) => return Ok(()),
            other => other?,
        };
        // The timer stays readable until it is set again, at the next turn.
        for event in events.iter() {
            let data = event.data.u64();
            if data == TIMER {
                continue;
            }
            let (number, flags) = (usize::try_from(data)?, event.flags);
            if flags.contains(EventFlags::OUT) {
                self.write(number)?;
            }
            if flags.intersects(EventFlags::IN | EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
                self.readable(number, buffer)?;
            }
        }
        Ok(())
    }

    fn readable(&mut self, number: usize, buffer: &mut [u8]) -> Result<()> {
        let connection = self.connections.get_mut(number).context("no such connection")?;
        let count = match connection.stream.read(buffer) {
            Ok(0) => return self.closed(number, "the server closed the connection"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return self.closed(number, &error.to_string()),
        };
        let read = buffer.get(..count).unwrap_or_default();
        // Nearly every answer comes in one piece and is never copied.
        let pieces = !connection.read.is_empty();
        if pieces {
            connection.read.extend_from_slice(read);
        }
        let mut held = std::mem::take(&mut connection.read);
        let bytes = if pieces { held.as_slice() } else { read };
        match answer::read(bytes)? {
            Some(answer) => {
                self.finished(number, &answer, bytes)?;
                held.clear();
            }
            None if !pieces => held.extend_from_slice(read),
            None => {}
        }
        if let Some(connection) = self.connections.get_mut(number) {
            connection.read = held;
        }
        Ok(())
    }

    fn finished(&mut self, number: usize, answer: &answer::Answer, bytes: &[u8]) -> Result<()> {
        let now = Instant::now();
        let run = self.run;
        let connection = self.connections.get_mut(number).context("no such connection")?;
        let asked = connection.asked.take().context("an answer to nothing")?;
        let (from, to) = (self.begun + run.warm_up, self.end);
        if (200..300).contains(&answer.status) {
            self.answered += 1;
            // All that were due while it was measured count, also those that are answered after.
            let counts = asked.due >= from && asked.due < to;
            if counts {
                let took = now.saturating_duration_since(asked.due).as_micros();
                self.outcome.latencies.push(u32::try_from(took).unwrap_or(u32::MAX));
            }
            self.keep(asked.number, answer, bytes)?;
        } else if matches!(answer.status, 429 | 503) {
            self.outcome.refused += 1;
        } else {
            let body = answer.body(bytes)?;
            self.failed(&format!("status {}: {}", answer.status, String::from_utf8_lossy(&body)));
        }
        if answer.closes {
            let stream = self.connect(number)?;
            self.connections.get_mut(number).context("no such connection")?.stream = stream;
        }
        if !(200..300).contains(&answer.status) {
            return self.rest(number);
        }
        match run.pace {
            Pace::Closed if now < to => self.ask(number, now),
            _ => {
                self.idle.push(number);
                Ok(())
            }
        }
    }

    /// A connection is gone, and what was asked on it has failed: another one takes its place.
    fn closed(&mut self, number: usize, how: &str) -> Result<()> {
        let stream = self.connect(number)?;
        let connection = self.connections.get_mut(number).context("no such connection")?;
        connection.stream = stream;
        connection.read.clear();
        connection.cut = false;
        // An idle connection may be closed by its server at any time.
        if connection.asked.take().is_none() {
            return Ok(());
        }
        self.failed(how);
        self.rest(number)
    }

    fn failed(&mut self, how: &str) {
        self.outcome.failed += 1;
        self.outcome.first_failure.get_or_insert_with(|| how.to_owned());
    }

    /// A client that got nothing comes back later.
    fn rest(&mut self, number: usize) -> Result<()> {
        self.connections.get_mut(number).context("no such connection")?.resting =
            Some(Instant::now() + PAUSE);
        self.resting.push(number);
        Ok(())
    }

    /// Keeps each answer with the same chance, whatever their number (reservoir sampling).
    fn keep(&mut self, number: usize, answer: &answer::Answer, bytes: &[u8]) -> Result<()> {
        self.seen += 1;
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        if self.outcome.kept.len() < KEPT {
            self.outcome.kept.push((number, answer.body(bytes)?));
        } else {
            let place = usize::try_from(self.random % u64::try_from(self.seen)?)?;
            if let Some(slot) = self.outcome.kept.get_mut(place) {
                *slot = (number, answer.body(bytes)?);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server that answers each of its connections' requests after a pause; every `refused`th is refused.
    fn server(pause: Duration, refused: usize) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                std::thread::spawn(move || serve(stream.unwrap(), pause, refused));
            }
        });
        address
    }

    fn serve(mut stream: TcpStream, pause: Duration, refused: usize) {
        stream.set_nodelay(true).unwrap();
        let mut buffer = [0; 4];
        let mut count = 0;
        while stream.read_exact(&mut buffer).is_ok() {
            std::thread::sleep(pause);
            count += 1;
            let head = if count % refused == 0 { "503 Busy" } else { "201 Created" };
            let text = String::from_utf8_lossy(&buffer);
            let answer = format!("HTTP/1.1 {head}\r\ncontent-length: 4\r\n\r\n{text}");
            // In two pieces, as any answer may come.
            let (front, back) = answer.split_at(25);
            stream.write_all(front.as_bytes()).unwrap();
            std::thread::sleep(Duration::from_millis(1));
            stream.write_all(back.as_bytes()).unwrap();
        }
    }

    fn requests() -> Vec<Box<[u8]>> {
        (0..9000).map(|number| format!("{number:04}").into_bytes().into()).collect()
    }

    /// Long enough for a machine that does something else for a while.
    const MEASURED: Duration = Duration::from_secs(2);

    fn measured(address: SocketAddr, connections: usize, pace: Pace) -> Outcome {
        let (warm_up, measured) = (Duration::from_millis(50), MEASURED);
        let requests = requests();
        let run = Run {
            address,
            connections,
            pace,
            warm_up,
            measured,
            requests: &requests,
            again: false,
            servers: &[],
        };
        super::run(&run).unwrap()
    }

    #[test]
    fn answers_belong_to_their_requests() {
        let outcome = measured(server(Duration::from_millis(2), usize::MAX), 4, Pace::Closed);
        assert!(outcome.kept.len() > 40 && outcome.refused == 0, "{outcome:?}");
        for (number, body) in &outcome.kept {
            assert_eq!(format!("{number:04}").as_bytes(), body);
        }
        assert!(outcome.latency_ms(0.5) >= 3.0, "{outcome:?}");
    }

    #[test]
    fn an_open_loop_counts_from_when_a_request_was_due() {
        // One connection and 20 ms an answer: of 100 requests a second every second one finds no free connection in time.
        let outcome = measured(server(Duration::from_millis(20), usize::MAX), 1, Pace::Open(100.0));
        assert!((200..=206).contains(&outcome.sent), "{outcome:?}");
        assert!(outcome.latency_ms(1.0) > 200.0, "{outcome:?}");
        let calm = measured(server(Duration::from_millis(2), usize::MAX), 8, Pace::Open(100.0));
        assert!(calm.latency_ms(0.5) < outcome.latency_ms(1.0), "{calm:?}");
    }

    #[test]
    fn the_refused_come_back_later_and_are_not_counted() {
        let outcome = measured(server(Duration::ZERO, 2), 2, Pace::Closed);
        assert!(outcome.refused > 4, "{outcome:?}");
        // Two clients that rest 50 ms after every second request: some 80 answers in two seconds, not thousands.
        assert!(outcome.kept.len() < 270, "{outcome:?}");
    }
}
