//! The table of who agreed with whom: kept, printed, written as JSON.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Outcome;
use crate::tally::{Tally, short};

/// What is checked: whose row, which column, which case.
pub(crate) struct Check {
    row: &'static str,
    column: &'static str,
    case: String,
}

impl Check {
    pub(crate) fn new(row: &'static str, column: &'static str, case: String) -> Self {
        Self { row, column, case }
    }
}

struct Line {
    check: Check,
    /// What had to happen: `accept` or `refuse`.
    wanted: &'static str,
    /// `None` when it happened; else what did.
    wrong: Option<String>,
    /// The last words of the program, which are the reason of a refusal.
    said: String,
    took: Duration,
}

/// Every check of a run.
#[derive(Default)]
pub(crate) struct Report {
    lines: Vec<Line>,
}

impl Report {
    /// The program must have succeeded; says whether it did.
    pub(crate) fn accepts(&mut self, check: Check, outcome: Outcome) -> bool {
        self.judge(check, "accept", outcome, |finished| {
            (!finished.succeeded()).then(|| format!("refused: {}", finished.tail(8)))
        })
    }

    /// The program must have refused, with one of these words in what it said.
    pub(crate) fn refuses(&mut self, check: Check, outcome: Outcome, words: &[&str]) -> bool {
        self.judge(check, "refuse", outcome, |finished| {
            let said = finished.said().to_lowercase();
            if finished.succeeded() {
                Some(format!("accepted: {}", finished.tail(4)))
            } else if finished.status.is_none() {
                Some("ended by a signal or the time limit".to_owned())
            } else if !words.iter().any(|word| said.contains(&word.to_lowercase())) {
                Some(format!("refused without the reason ({}): {}", words.join(" / "), finished.tail(8)))
            } else {
                None
            }
        })
    }

    fn judge(
        &mut self,
        check: Check,
        wanted: &'static str,
        outcome: Outcome,
        fault: impl FnOnce(&crate::process::Finished) -> Option<String>,
    ) -> bool {
        let (wrong, said, took) = match outcome {
            Ok(finished) => (fault(&finished), finished.tail(3), finished.took),
            Err(error) => (Some(format!("{error:#}")), String::new(), Duration::ZERO),
        };
        let passed = wrong.is_none();
        if let Some(wrong) = &wrong {
            println!("  FAILED {} {} {}: must {wanted}; {wrong}", check.row, check.column, check.case);
        }
        self.lines.push(Line { check, wanted, wrong, said, took });
        passed
    }

    /// One line a client and column: how many of its cases went as they must.
    pub(crate) fn print(&self) {
        let mut groups: BTreeMap<(&str, &str), (usize, usize, Duration)> = BTreeMap::new();
        let mut order = Vec::new();
        for line in &self.lines {
            let key = (line.check.row, line.check.column);
            let group = groups.entry(key).or_insert_with(|| {
                order.push(key);
                (0, 0, Duration::ZERO)
            });
            group.0 += usize::from(line.wrong.is_none());
            group.1 += 1;
            group.2 += line.took;
        }
        println!("  {:<16} {:<22} {:>8}  time", "program", "does", "as must");
        for key in order {
            let (right, all, took) = groups.get(&key).copied().unwrap_or_default();
            println!("  {:<16} {:<22} {:>8}  {}", key.0, key.1, format!("{right}/{all}"), short(took));
        }
    }

    /// Leaves every line for other programs.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let lines: Vec<Value> = self
            .lines
            .iter()
            .map(|line| {
                json!({
                    "program": line.check.row,
                    "does": line.check.column,
                    "case": line.check.case,
                    "must": line.wanted,
                    "passed": line.wrong.is_none(),
                    "wrong": line.wrong,
                    "said": line.said,
                    "millis": line.took.as_secs_f64() * 1000.0,
                })
            })
            .collect();
        let text = serde_json::to_string_pretty(&lines)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// What counts.
    pub(crate) fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for line in &self.lines {
            match &line.wrong {
                None => tally.pass(1),
                Some(wrong) => {
                    tally.fail(format!(
                        "{} {} {}: {wrong}",
                        line.check.row, line.check.column, line.check.case
                    ));
                }
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Finished;

    fn finished(status: i32, said: &str) -> Outcome {
        Ok(Finished {
            timed_out: false,
            status: Some(status),
            stdout: String::new(),
            stderr: said.to_owned(),
            took: Duration::ZERO,
        })
    }

    fn check() -> Check {
        Check::new("a", "b", "c".to_owned())
    }

    #[test]
    fn a_refusal_counts_only_with_its_reason() {
        let mut report = Report::default();
        assert!(report.refuses(check(), finished(1, "error: Invalid signature"), &["invalid signature"]));
        assert!(!report.refuses(check(), finished(1, "no such file"), &["invalid signature"]));
        assert!(!report.refuses(check(), finished(0, "verified OK"), &["verified"]));
        assert_eq!(report.tally().failed(), 2);
    }

    #[test]
    fn acceptance_is_status_zero_and_nothing_else() {
        let mut report = Report::default();
        assert!(report.accepts(check(), finished(0, "")));
        assert!(!report.accepts(check(), finished(3, "verified")));
        assert!(!report.accepts(check(), Err(anyhow::anyhow!("not installed"))));
    }
}
