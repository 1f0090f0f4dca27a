//! What passed and what failed, counted once for the whole run.

use std::time::Duration;

/// The count of a run, and the reasons of its failures.
#[derive(Default)]
pub(crate) struct Tally {
    passed: usize,
    failures: Vec<String>,
    uncounted: usize,
}

impl Tally {
    /// Adds passed checks.
    pub(crate) fn pass(&mut self, count: usize) {
        self.passed += count;
    }

    /// Adds a failed check with its reason.
    pub(crate) fn fail(&mut self, reason: impl Into<String>) {
        self.failures.push(reason.into());
    }

    /// Adds failed checks whose reasons stand in output already shown.
    pub(crate) fn fail_shown(&mut self, count: usize) {
        self.uncounted += count;
    }

    /// Nothing failed so far.
    pub(crate) fn clean(&self) -> bool {
        self.failed() == 0
    }

    /// How many failed.
    pub(crate) fn failed(&self) -> usize {
        self.failures.len() + self.uncounted
    }

    /// Adds another count to this one.
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.uncounted += other.uncounted;
        self.failures.extend(other.failures);
    }

    /// Prints the reasons, then the one line that scripts read.
    pub(crate) fn print(&self) {
        if !self.failures.is_empty() {
            println!("\nWhat failed:");
            for failure in &self.failures {
                println!("  - {}", failure.replace('\n', "\n    "));
            }
        }
        println!();
        println!("{} passed, {} failed", self.passed, self.failed());
    }
}

/// Sums the `test result:` lines of `cargo test`: passed and failed.
pub(crate) fn cargo_results(output: &str) -> (usize, usize) {
    let mut sums = (0, 0);
    for line in output.lines().filter_map(|line| line.trim().strip_prefix("test result: ")) {
        let number_before = |word: &str| -> usize {
            line.split(';')
                .filter_map(|part| part.trim().strip_suffix(word))
                .filter_map(|part| part.split_whitespace().last())
                .find_map(|number| number.parse().ok())
                .unwrap_or(0)
        };
        sums.0 += number_before(" passed");
        sums.1 += number_before(" failed");
    }
    sums
}

/// A duration as people read it.
pub(crate) fn short(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..100_000 => format!("{:.1} s", duration.as_secs_f64()),
        _ => format!("{} min {} s", duration.as_secs() / 60, duration.as_secs() % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_results_are_summed_over_all_test_programs() {
        let output = "running 3 tests\n\
            test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            noise\n\
            test result: FAILED. 10 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 1.2s\n";
        assert_eq!(cargo_results(output), (13, 2));
    }

    #[test]
    fn a_failure_of_any_kind_is_counted() {
        let mut tally = Tally::default();
        tally.pass(2);
        assert!(tally.clean());
        tally.fail("a reason");
        tally.fail_shown(2);
        assert_eq!((tally.clean(), tally.failed()), (false, 3));
    }
}
