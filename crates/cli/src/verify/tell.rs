//! How verdicts are told: words for people, a line of JSON for programs, a count at the end, the exit status.

use super::judge::Judged;
use crate::{
    failure::{Failure, Status, paint, quoted},
    inspect,
    output::Screen,
    progress::Show,
};
use sealog_verify::{
    BundleError, VerifyError,
    verdict::{self, Report, Row, Verdict, shown},
};
use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// A file longer than this takes a moment to read: what was found out before must not wait for it.
const LONG_BYTES: u64 = 4 << 20;

/// A verdict, and what it rests on.
pub(crate) struct Checked {
    /// The verdict, and which bundle decided it.
    pub(crate) judged: Judged,
    /// Where the bundles are from.
    pub(crate) places: Vec<(PathBuf, Option<usize>)>,
    /// Which of those are no bundles, and why.
    pub(crate) no_bundles: Vec<(usize, BundleError)>,
    /// What was compared with them.
    pub(crate) by: CheckedBy,
}

impl Checked {
    /// The bundle that decided, if one alone did.
    fn decided_by(&self) -> Option<&(PathBuf, Option<usize>)> {
        self.judged.by.and_then(|at| self.places.get(at))
    }
}

/// What of an artifact was compared with its bundles.
pub(crate) enum CheckedBy {
    /// The file.
    File,
    /// A digest that was typed.
    Digest,
    /// The file, which has the digest that a list gives it.
    FileAndList(Arc<Path>),
    /// The digest that a list gives; there is no file.
    List(Arc<Path>),
}

impl CheckedBy {
    /// As programs read it.
    const fn name(&self) -> &'static str {
        match self {
            Self::File | Self::FileAndList(_) => "file",
            Self::Digest | Self::List(_) => "digest",
        }
    }
}

/// What was told so far.
pub(crate) struct Told {
    json: bool,
    screen: Screen,
    verified: usize,
    refused: usize,
    not_checked: usize,
    worst: Status,
}

impl Told {
    pub(crate) fn new(json: bool) -> Self {
        let screen = Screen::new();
        Self { json, screen, verified: 0, refused: 0, not_checked: 0, worst: Status::Done }
    }

    /// Whether somebody watches how far a read has come.
    pub(crate) const fn show(&self) -> Show {
        Show::unless(self.json)
    }

    /// Nothing at all could be checked. Programs hear so of each thing that was named, unless it was typed wrongly. A
    /// key that is none may have been typed rightly, and have come with the bundle.
    pub(crate) fn nothing_checked<'a>(
        mut self,
        named: impl IntoIterator<Item = &'a PathBuf>,
        failure: Failure,
    ) -> Result<Status, Failure> {
        if self.json && (failure.status == Status::Unable || failure.class == super::NO_KEY) {
            for name in named {
                self.screen.data(&not_checked_line(name, &failure))?;
            }
            self.screen.flush()?;
        }
        Err(failure)
    }

    /// Something is about to be read, which may take long.
    pub(crate) fn before_reading(&mut self, name: &Path) -> Result<(), Failure> {
        let is_short = || name.metadata().is_ok_and(|file| file.is_file() && file.len() < LONG_BYTES);
        if self.screen.is_behind() && !is_short() { self.screen.flush() } else { Ok(()) }
    }

    /// Nothing more comes for the moment.
    pub(crate) fn pause(&mut self) -> Result<(), Failure> {
        self.screen.flush()
    }

    /// One thing was checked, or could not be.
    pub(crate) fn tell(&mut self, name: &Path, checked: &Result<Checked, Failure>) -> Result<(), Failure> {
        match checked {
            Ok(checked) => {
                self.verdict(name, checked)?;
                // A refusal has told of the most telling already.
                let good = checked.judged.outcome.is_ok();
                for (at, error) in checked.no_bundles.iter().filter(|_| good) {
                    if let Some((path, line)) = checked.places.get(*at) {
                        self.failure(path, &inspect::not_a_bundle(path, *line, error))?;
                    }
                }
                Ok(())
            }
            Err(failure) => self.failure(name, failure),
        }
    }

    /// A verdict was reached.
    fn verdict(&mut self, name: &Path, checked: &Checked) -> Result<(), Failure> {
        let outcome = &checked.judged.outcome;
        let file = name.display().to_string();
        let verdict = Verdict::of(outcome);
        if self.json {
            self.screen.data(&json_line(&file, checked))?;
        }
        if verdict == Verdict::Verified {
            self.verified += 1;
            if !self.json {
                self.screen.data(&rendered(&report(&file, checked)))?;
            }
            return Ok(());
        }
        self.refused += 1;
        self.ends(Status::Refused);
        match (outcome, checked.decided_by()) {
            // Of a document that is no bundle people must hear which document.
            (Err(VerifyError::Bundle(error)), Some((bundle, line))) => {
                let failure = inspect::not_a_bundle(bundle, *line, error);
                self.screen.tell(&failure.to_string())
            }
            _ => self.screen.tell(&rendered(&report(&file, checked))),
        }
    }

    /// No verdict was reached, or one without asking a bundle.
    fn failure(&mut self, name: &Path, failure: &Failure) -> Result<(), Failure> {
        match failure.status {
            Status::Refused => self.refused += 1,
            Status::Done | Status::Usage | Status::Unable => self.not_checked += 1,
        }
        self.ends(failure.status);
        if self.json {
            self.screen.data(&not_checked_line(name, failure))?;
        }
        self.screen.tell(&failure.to_string())
    }

    /// Refused outweighs unable, and both outweigh done.
    fn ends(&mut self, status: Status) {
        self.worst = match (self.worst, status) {
            (Status::Refused, _) | (_, Status::Refused) => Status::Refused,
            (Status::Done, other) => other,
            (other, _) => other,
        };
    }

    /// The count, if there is something to count, and how the run ends.
    pub(crate) fn finish(mut self) -> Result<Status, Failure> {
        if !self.json && self.verified + self.refused + self.not_checked > 1 {
            let mut words = format!("{} verified", self.verified);
            for (count, what) in [(self.refused, "refused"), (self.not_checked, "not checked")] {
                if count > 0 {
                    let _ = write!(words, ", {count} {what}");
                }
            }
            self.screen.tell(&format!("{words}\n"))?;
        }
        self.screen.flush()?;
        Ok(self.worst)
    }
}

/// The words, with what only this program knows: which of several bundles it was, and what was compared.
fn report(file: &str, checked: &Checked) -> Report {
    let mut report = Report::of(file, &checked.judged.outcome);
    let mut row = |label, value: String, note: &str| {
        report.rows.push(Row { label, value: shown(&value), note: note.to_owned() });
    };
    if let (Some((path, line)), true) = (checked.decided_by(), checked.places.len() > 1) {
        let line = line.map(|line| format!(", line {line}")).unwrap_or_default();
        let note = match (report.verdict, checked.places.len()) {
            (Verdict::Verified, _) => String::new(),
            (_, count) => format!("the most telling of {count}; none of them verifies"),
        };
        row("bundle", format!("{}{line}", path.display()), &note);
    }
    match &checked.by {
        CheckedBy::File | CheckedBy::Digest => {}
        CheckedBy::FileAndList(list) => {
            row("checked", format!("the file, which has the digest in {}", list.display()), "");
        }
        CheckedBy::List(list) => {
            row("checked", format!("the digest in {}; the file is not there", list.display()), "");
            // The first line is all that many read.
            if report.verdict == Verdict::Verified {
                let (file, list) = (quoted(Path::new(file)), quoted(list));
                report.headline = format!("{file} is not there; its digest in {list} is verified");
            }
        }
    }
    report
}

/// A verdict for programs: the documented members, then which bundle and what was compared with it.
fn json_line(file: &str, checked: &Checked) -> String {
    let mut line = verdict::json_line(file, &checked.judged.outcome);
    // The object is opened again at its end.
    line.pop();
    let (bundle, number) =
        checked.decided_by().map_or((None, None), |(path, line)| (Some(path.display().to_string()), *line));
    let members = serde_json::json!({"bundle": bundle, "bundle_line": number, "checked": checked.by.name()});
    let members = crate::output::ascii_json(&members.to_string());
    let _ = writeln!(line, ",{}", members.trim_start_matches('{'));
    line
}

fn not_checked_line(name: &Path, failure: &Failure) -> String {
    let file = name.display().to_string();
    let (expected, found) = (failure.expected.as_deref(), failure.found.as_deref());
    let mut line = verdict::not_checked_json_line(&file, failure.class, &failure.message, expected, found);
    if failure.status == Status::Refused {
        // Quotes within texts are escaped, so that only the member itself can read like this.
        let member = |verdict: &str| format!(r#","verdict":"{verdict}","#);
        line = line.replacen(&member(verdict::NOT_CHECKED), &member(Verdict::NotVerified.name()), 1);
    }
    line.push('\n');
    line
}

/// A report with the colours of the terminal; they are taken out where there is none.
pub(crate) fn rendered(report: &Report) -> String {
    let mut text = String::new();
    let head = match report.verdict {
        Verdict::Verified => paint::good(&report.headline),
        Verdict::WrongSigner | Verdict::NotVerified => {
            format!("{}: {}", paint::bad("error"), report.headline)
        }
    };
    let _ = writeln!(text, "{head}");
    let width = report.rows.iter().map(|row| row.label.len()).max().unwrap_or(0);
    for row in &report.rows {
        let label = paint::faint(&format!("{:width$}", row.label));
        let note = if row.note.is_empty() { String::new() } else { format!("  ({})", row.note) };
        let _ = writeln!(text, "  {label}  {}{note}", row.value);
    }
    if let Some(hint) = report.hint {
        let _ = writeln!(text, "{}: {hint}", paint::advice("hint"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_without_a_bundle_reads_as_one() {
        let failure = Failure::new(Status::Refused, "checksum", r#"","verdict":"not-checked","#);
        let line = not_checked_line(Path::new(r#"","verdict":"not-checked","#), &failure);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["verdict"], "not-verified");
        assert_eq!(read["file"], r#"","verdict":"not-checked","#);
        assert_eq!(read["error"]["message"], r#"","verdict":"not-checked","#);
        let line = not_checked_line(Path::new("f"), &Failure::unable("input", "m"));
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["verdict"], "not-checked");
    }
}
