//! How far a long read has come, for people who watch: one line on a terminal, gone before anything else is
//! said.
//!
//! Nothing is shown for the first second, nor where standard error is no terminal, nor to programs (`--json`).
//! Nothing is asked of the terminal before that second is over either: a quick run pays nothing.
//!
//! Must always hold: however the read ends, the line is empty again; who interrupts it sees no verdict, and the
//! process ends by the signal it was sent.

use sealog_verify::verdict::shown;
use std::{
    io::{self, IsTerminal as _, Write as _},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// What takes less time than this is not talked about.
const SILENT_FOR: Duration = Duration::from_secs(1);
/// How often the line is written.
const EVERY: Duration = Duration::from_millis(100);
/// A line where the terminal does not say how long its lines are.
const COLUMNS: usize = 80;
/// The name's share of the line at most; the figures matter more.
const MAX_NAME: usize = 40;

/// Whether somebody watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// Perhaps, if standard error is a terminal.
    ToPeople,
    /// No.
    Nothing,
}

impl Show {
    /// A program reads the output, or a person does.
    pub(crate) const fn unless(json: bool) -> Self {
        if json { Self::Nothing } else { Self::ToPeople }
    }
}

/// Whether the line is there, for whoever else writes to the terminal.
static DRAWN: Mutex<bool> = Mutex::new(false);

/// The terminal, without the line, for as long as this is kept. Does not return after an interrupt.
pub(crate) fn step_aside() -> impl Drop {
    let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    if *drawn {
        write("\r\x1b[K");
        *drawn = false;
        if interrupt::came() {
            interrupt::obey();
        }
    }
    drawn
}

/// One line, for one read at a time.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The progress of one read.
pub(crate) struct Progress {
    name: String,
    total: Option<u64>,
    /// None when nobody watches.
    line: Option<Line>,
}

struct Line {
    started: Instant,
    due: Instant,
    is_ours: bool,
}

impl Progress {
    /// A read that starts now.
    pub(crate) fn of(path: &Path, total: Option<u64>, show: Show) -> Self {
        let started = Instant::now();
        let line = Line { started, due: started + SILENT_FOR, is_ours: false };
        let name = path.display().to_string();
        Self { name, total, line: (show == Show::ToPeople).then_some(line) }
    }

    /// How long to wait for more before [`Progress::at`] wants to be called again.
    pub(crate) const fn patience(&self) -> Duration {
        if self.line.is_some() { EVERY } else { Duration::from_secs(3600) }
    }

    /// So many bytes were read.
    pub(crate) fn at(&mut self, bytes: u64) {
        let Some(line) = &mut self.line else { return };
        let now = Instant::now();
        if now < line.due {
            return;
        }
        line.due = now + EVERY;
        if !line.is_ours {
            if !is_watched() {
                self.line = None;
                return;
            }
            if TAKEN.swap(true, Ordering::SeqCst) {
                return;
            }
            interrupt::notice();
            line.is_ours = true;
        }
        let text = words(&self.name, bytes, self.total, now - line.started, columns());
        let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
        write(&format!("\r\x1b[K{text}"));
        *drawn = true;
        drop(drawn);
        if interrupt::came() {
            self.end();
        }
    }

    /// Takes the line away. Does not return if we were interrupted while it was there.
    fn end(&mut self) {
        if self.line.take().is_some_and(|line| line.is_ours) {
            drop(step_aside());
            interrupt::obey();
            TAKEN.store(false, Ordering::SeqCst);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

fn is_watched() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|kind| kind != "dumb")
}

fn write(text: &str) {
    let mut err = io::stderr().lock();
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

#[cfg(unix)]
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stderr());
    size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

#[cfg(not(unix))]
fn columns() -> usize {
    COLUMNS
}

/// The line, cut to fit: one that wraps could not be taken back.
fn words(name: &str, bytes: u64, total: Option<u64>, took: Duration, columns: usize) -> String {
    let mut name = shown(name);
    if name.chars().count() > MAX_NAME {
        name = name.chars().take(MAX_NAME - 1).chain(['…']).collect();
    }
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    let per_second = u64::try_from(u128::from(bytes) * 1000 / u128::from(millis)).unwrap_or(u64::MAX);
    let mut text = match total.filter(|total| *total >= bytes && *total > 0) {
        Some(total) => {
            let percent = u128::from(bytes) * 100 / u128::from(total);
            let left = (total - bytes).checked_div(per_second).map(|left| format!("  {} left", time(left)));
            format!(
                "{name}  {percent} %  {} of {}  {}/s{}",
                size(bytes),
                size(total),
                size(per_second),
                left.unwrap_or_default()
            )
        }
        None => format!("{name}  {}  {}/s", size(bytes), size(per_second)),
    };
    if let Some((at, _)) = text.char_indices().nth(columns.saturating_sub(1)) {
        text.truncate(at);
    }
    text
}

/// Bytes in the largest unit that fits, to a tenth.
fn size(bytes: u64) -> String {
    let unit = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut rank: u32 = 0;
    while bytes.checked_shr(10 * (rank + 1)).unwrap_or(0) > 0 && rank < 6 {
        rank += 1;
    }
    let name = usize::try_from(rank).ok().and_then(|rank| unit.get(rank)).unwrap_or(&"");
    if rank == 0 {
        return format!("{bytes} {name}");
    }
    let tenths = (u128::from(bytes) * 10) >> (10 * rank);
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

fn time(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Signals that end the process: noted while the line is there, and obeyed once it is gone. At all other times
/// they have their usual effect at once.
#[cfg(unix)]
mod interrupt {
    use signal_hook::{
        consts::{SIGINT, SIGTERM},
        flag,
        low_level::emulate_default_handler,
    };
    use std::sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    struct Noted {
        signal: Arc<AtomicUsize>,
        at_once: Arc<AtomicBool>,
    }

    static NOTED: OnceLock<Noted> = OnceLock::new();

    /// From now on they are noted.
    pub(super) fn notice() {
        let noted = NOTED.get_or_init(|| {
            let noted = Noted { signal: Arc::default(), at_once: Arc::default() };
            for signal in [SIGINT, SIGTERM] {
                // Without the one, there must not be the other either: a signal would have no effect at all.
                if flag::register_conditional_default(signal, Arc::clone(&noted.at_once)).is_ok() {
                    let number = usize::try_from(signal).unwrap_or(0);
                    let _ = flag::register_usize(signal, Arc::clone(&noted.signal), number);
                }
            }
            noted
        });
        noted.at_once.store(false, Ordering::SeqCst);
    }

    /// Whether one came.
    pub(super) fn came() -> bool {
        NOTED.get().is_some_and(|noted| noted.signal.load(Ordering::SeqCst) != 0)
    }

    /// Ends the process if one came; from now on they end it by themselves.
    pub(super) fn obey() {
        let Some(noted) = NOTED.get() else { return };
        noted.at_once.store(true, Ordering::SeqCst);
        let signal = i32::try_from(noted.signal.load(Ordering::SeqCst)).unwrap_or(0);
        if signal != 0 {
            let _ = emulate_default_handler(signal);
        }
    }
}

#[cfg(not(unix))]
mod interrupt {
    pub(super) fn notice() {}

    pub(super) fn came() -> bool {
        false
    }

    pub(super) fn obey() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_how_fast_and_how_long() {
        let at = |bytes, total| words("app.tar.gz", bytes, total, Duration::from_secs(2), 80);
        assert_eq!(at(3 << 30, Some(10 << 30)), "app.tar.gz  30 %  3.0 GiB of 10.0 GiB  1.5 GiB/s  4 s left");
        assert_eq!(at(0, Some(10 << 30)), "app.tar.gz  0 %  0 B of 10.0 GiB  0 B/s");
        assert_eq!(at(1536, None), "app.tar.gz  1.5 KiB  768 B/s");
        // A file that grows meanwhile has no end to tell.
        assert_eq!(at(11, Some(10)), "app.tar.gz  11 B  5 B/s");
        assert_eq!(at(u64::MAX, None), "app.tar.gz  15.9 EiB  7.9 EiB/s");
    }

    #[test]
    fn the_line_never_wraps_and_no_name_paints_it() {
        let long = "é".repeat(500);
        for columns in [0, 1, 2, 10, 40, 80, 200] {
            let line = words(&long, 1 << 40, Some(1 << 41), Duration::from_millis(1), columns);
            assert!(line.chars().count() < columns.max(1), "{columns}: {line}");
        }
        let line = words("a\u{1b}[2J\nb", 1, Some(2), Duration::from_secs(1), 80);
        assert!(line.starts_with("a\\u{1b}[2J\\u{a}b  50 %"), "{line}");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(
            [59, 61, 3599, 3661, 90_000].map(time),
            ["59 s", "1 min 1 s", "59 min 59 s", "1 h 1 min", "25 h 0 min"]
        );
    }
}
