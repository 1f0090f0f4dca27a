//! Numbers for an operator's monitoring: Prometheus text on the admin listener, names prefixed `sealog_`.
//!
//! Counted per service and status class only: no identity, path or address of anyone is in a label.

use crate::http::content;
use axum::{Router, routing::get};
use http::StatusCode;
use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// What Prometheus expects.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// A number that is read when asked for.
pub type Gauge = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What one service counts.
#[derive(Default)]
pub struct Counters {
    by_class: [AtomicU64; CLASSES.len()],
    micros: AtomicU64,
}

impl Counters {
    /// Counts an answer.
    pub fn answered(&self, status: StatusCode, took: Duration) {
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(counter) = self.by_class.get(class) {
            counter.fetch_add(1, Relaxed);
        }
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    fn total(&self) -> u64 {
        self.by_class.iter().map(|counter| counter.load(Relaxed)).sum()
    }
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Counters({})", self.total())
    }
}

/// A counter of one service's own.
#[derive(Clone)]
pub struct Count {
    /// Its name, `sealog_` first and `_total` last.
    pub name: &'static str,
    /// What it counts, in a sentence.
    pub help: &'static str,
    /// The number.
    pub value: Gauge,
}

/// What a service shows.
pub struct Shown {
    /// Its name.
    pub service: &'static str,
    /// Its counters.
    pub counters: Arc<Counters>,
    /// Entries of its log, if it has one.
    pub entries: Option<Gauge>,
    /// What only it counts.
    pub counts: Vec<Count>,
}

/// The admin listener's routes.
pub fn router(shown: Vec<Shown>) -> Router {
    let shown = Arc::new(shown);
    Router::new().route("/metrics", get(async move || content(StatusCode::OK, CONTENT_TYPE, text(&shown))))
}

fn text(shown: &[Shown]) -> String {
    let mut out = String::new();
    let head = |out: &mut String, name: &str, kind: &str, help: &str| {
        // Writing to a string cannot fail.
        let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    };
    head(&mut out, "sealog_build_info", "gauge", "The running program.");
    let _ = writeln!(out, "sealog_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
    head(&mut out, "sealog_http_requests_total", "counter", "Requests answered.");
    for Shown { service, counters, .. } in shown {
        for (class, counter) in CLASSES.iter().zip(&counters.by_class) {
            let count = counter.load(Relaxed);
            let _ = writeln!(
                out,
                "sealog_http_requests_total{{service=\"{service}\",status=\"{class}\"}} {count}"
            );
        }
    }
    head(&mut out, "sealog_http_request_seconds", "summary", "Time from a request's head to its answer.");
    for Shown { service, counters, .. } in shown {
        let micros = counters.micros.load(Relaxed);
        let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
        let _ = writeln!(out, "sealog_http_request_seconds_sum{{service=\"{service}\"}} {seconds}.{rest:06}");
        let count = counters.total();
        let _ = writeln!(out, "sealog_http_request_seconds_count{{service=\"{service}\"}} {count}");
    }
    head(&mut out, "sealog_log_entries", "gauge", "Entries under the published checkpoint.");
    for Shown { service, entries, .. } in shown {
        if let Some(entries) = entries {
            let _ = writeln!(out, "sealog_log_entries{{log=\"{service}\"}} {}", entries());
        }
    }
    for Count { name, help, value } in shown.iter().flat_map(|shown| &shown.counts) {
        head(&mut out, name, "counter", help);
        let _ = writeln!(out, "{name} {}", value());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_class_and_time() {
        let counters = Arc::new(Counters::default());
        counters.answered(StatusCode::CREATED, Duration::from_millis(1500));
        counters.answered(StatusCode::BAD_REQUEST, Duration::from_micros(7));
        let count = Count { name: "sealog_things_total", help: "Things.", value: Arc::new(|| 7) };
        let shown =
            [Shown { service: "rekor", counters, entries: Some(Arc::new(|| 42)), counts: vec![count] }];
        let text = text(&shown);
        for line in [
            "sealog_http_requests_total{service=\"rekor\",status=\"2xx\"} 1",
            "sealog_http_requests_total{service=\"rekor\",status=\"4xx\"} 1",
            "sealog_http_request_seconds_sum{service=\"rekor\"} 1.500007",
            "sealog_http_request_seconds_count{service=\"rekor\"} 2",
            "sealog_log_entries{log=\"rekor\"} 42",
            "# TYPE sealog_things_total counter",
            "sealog_things_total 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
        }
    }
}
