//! The services' clock: the only file of this crate that reads the system's time.
//!
//! Everything else takes a [`Clock`], so that a test can choose the hour.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A source of wall-clock time, cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(system_unix_ms))
    }

    /// A clock that always says the same, for tests.
    #[must_use]
    pub fn fixed(unix_ms: u64) -> Self {
        Self::of(move || unix_ms)
    }

    /// A clock of another making, in milliseconds since 1970: for tests.
    #[must_use]
    pub fn of(unix_ms: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(unix_ms))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn unix_ms(&self) -> u64 {
        (self.0)()
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub fn unix_seconds(&self) -> i64 {
        i64::try_from(self.unix_ms() / 1000).unwrap_or(i64::MAX)
    }

    /// The same clock as the log engine takes it.
    #[must_use]
    pub fn as_fn(&self) -> Arc<dyn Fn() -> u64 + Send + Sync> {
        Arc::clone(&self.0)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.unix_ms())
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one reader of the system's time")]
fn system_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
