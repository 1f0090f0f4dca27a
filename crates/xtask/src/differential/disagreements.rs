//! The table of disagreements: a document for people, read as the list the comparison is held to.
//!
//! A row is `| id | cases | sealog | rust | python | js | go | cosign | who is right |`. `*` in `cases` stands for
//! anything; a verdict is `accepts`, `refuses` or `crashes`, and `·` says nothing about that verifier. A pattern or a
//! verdict with `?` behind it need not come up in every run; every other one must. `crashes` may name in brackets what
//! it crashes with. The reason must name the paragraph that decides, or our decision where none does. A
//! disagreement is one verifier's other verdict on one case: some row must fit the case and both verdicts.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result, bail};

/// The columns after ours, by verifier.
pub(super) const PEERS: [&str; 5] = ["rust", "python", "js", "go", "cosign"];
/// A cell that says nothing.
const SILENT: &str = "·";

/// What a verifier said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    Accepts,
    Refuses,
    /// Ended in a way its authors did not mean: no verdict at all.
    Crashes,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accepts => "accepts",
            Self::Refuses => "refuses",
            Self::Crashes => "crashes",
        })
    }
}

impl Verdict {
    fn parse(cell: &str) -> Option<Self> {
        [Self::Accepts, Self::Refuses, Self::Crashes].into_iter().find(|verdict| verdict.to_string() == cell)
    }
}

struct Row {
    id: String,
    cases: Vec<Pattern>,
    ours: Verdict,
    theirs: BTreeMap<&'static str, Cell>,
}

/// Which cases, and how often it was needed.
struct Pattern {
    text: String,
    always: bool,
    count: usize,
}

/// Another's verdict, and how often it was needed.
struct Cell {
    verdict: Verdict,
    /// What it may crash with; anything where none is named.
    with: Vec<String>,
    /// Whether it comes up in every run: some depend on bytes that differ from run to run.
    always: bool,
    count: usize,
}

impl Pattern {
    fn parse(text: &str) -> Self {
        let bare = text.trim().trim_end_matches('?');
        Self { text: bare.trim_matches('`').to_owned(), always: bare == text.trim(), count: 0 }
    }
}

impl Cell {
    /// `accepts`, `refuses?`, `crashes? (one.Exception, another.Exception)`.
    fn parse(text: &str) -> Option<Self> {
        let (verdict, with) = match text.split_once(" (") {
            Some((verdict, with)) => {
                (verdict, with.strip_suffix(')')?.split(", ").map(str::to_owned).collect())
            }
            None => (text, Vec::new()),
        };
        let bare = verdict.trim_end_matches('?');
        let cell = Self { verdict: Verdict::parse(bare)?, with, always: bare == verdict, count: 0 };
        (cell.with.is_empty() || cell.verdict == Verdict::Crashes).then_some(cell)
    }

    /// Whether this is the verdict, and the crash one of those that are named: `one.Exception: its words`.
    fn is(&self, verdict: Verdict, said: &str) -> bool {
        let kind = said.split_once(':').map_or(said, |(kind, _)| kind);
        self.verdict == verdict && (self.with.is_empty() || self.with.iter().any(|one| one == kind))
    }
}

/// The documents whose paragraphs decide, as the page abbreviates them, each with what follows.
const SOURCES: [&str; 10] = ["CS §", "FS §", "R2 §", "R2C", "AR", "PS ", "PJ", "SN", "TC", "RFC "];
/// What stands where there is no paragraph, before its number.
const DECISION: &str = "none: [decision ";

/// Whether a reason says by which paragraph, or by which decision of ours for want of one.
fn is_founded(why: &str) -> bool {
    let is_paragraph = |source: &str, rest: &str| match source {
        "CS §" | "FS §" | "R2 §" => rest.starts_with(|c: char| c.is_ascii_digit()),
        "RFC " => rest.split_once(" §").is_some_and(|(number, _)| number.parse::<u16>().is_ok()),
        "PS " => rest.contains('`'),
        _ => !rest.starts_with(char::is_alphanumeric),
    };
    let named = |source: &&str| {
        why.match_indices(*source).any(|(at, _)| {
            let before = why.get(..at).unwrap_or_default();
            let rest = why.get(at + source.len()..).unwrap_or_default();
            !before.ends_with(char::is_alphanumeric) && is_paragraph(source, rest)
        })
    };
    let decided = why.split(DECISION).skip(1).any(|rest| {
        rest.split_once(']').is_some_and(|(number, _)| number.len() == 4 && number.parse::<u16>().is_ok())
    });
    decided || SOURCES.iter().any(named)
}

/// All rows.
pub(super) struct Disagreements {
    rows: Vec<Row>,
}

impl Disagreements {
    /// Reads the table; a row without a reason, or with the id of another, is refused.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let mut rows: Vec<Row> = Vec::new();
        for line in text.lines().filter(|line| line.starts_with("| `")) {
            let row = Self::row(line).with_context(|| format!("in `{line}`"))?;
            if rows.iter().any(|other| other.id == row.id) {
                bail!("there are two rows `{}`", row.id);
            }
            rows.push(row);
        }
        Ok(Self { rows })
    }

    fn row(line: &str) -> Result<Row> {
        let cells: Vec<&str> = line.trim().trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, cases, ours, rust, python, js, go, cosign, why] = cells.as_slice() else {
            bail!("not nine cells");
        };
        if !is_founded(why) {
            bail!("no paragraph in the reason, and no decision for want of one");
        }
        let bare = |text: &str| text.trim().trim_matches('`').to_owned();
        let mut theirs = BTreeMap::new();
        for (peer, cell) in PEERS.into_iter().zip([rust, python, js, go, cosign]) {
            if *cell != SILENT {
                theirs.insert(peer, Cell::parse(cell).with_context(|| format!("`{cell}` is no verdict"))?);
            }
        }
        if theirs.is_empty() {
            bail!("nobody disagrees");
        }
        Ok(Row {
            id: bare(id),
            cases: cases.split("<br>").map(Pattern::parse).collect(),
            ours: Verdict::parse(ours).with_context(|| format!("`{ours}` is no verdict"))?,
            theirs,
        })
    }

    /// Whether a row says why; marks every row that does, and in it every pattern that fits.
    pub(super) fn explain(
        &mut self,
        case: &str,
        ours: Verdict,
        peer: &str,
        theirs: Verdict,
        said: &str,
    ) -> bool {
        let mut explained = false;
        for row in self.rows.iter_mut().filter(|row| row.ours == ours) {
            let Some(cell) = row.theirs.get_mut(peer).filter(|cell| cell.is(theirs, said)) else { continue };
            let mut fits = false;
            for pattern in row.cases.iter_mut().filter(|pattern| matches(&pattern.text, case)) {
                pattern.count += 1;
                fits = true;
            }
            cell.count += usize::from(fits);
            explained |= fits;
        }
        explained
    }

    /// The verdicts and patterns that nothing needed.
    pub(super) fn unused(&self) -> impl Iterator<Item = String> {
        self.rows.iter().flat_map(|row| {
            let verdicts = row.theirs.iter().filter(|(_, cell)| cell.always && cell.count == 0);
            let verdicts = verdicts.map(|(peer, cell)| format!("{}: {peer} {}", row.id, cell.verdict));
            let patterns = row.cases.iter().filter(|pattern| pattern.always && pattern.count == 0);
            verdicts.chain(patterns.map(|pattern| format!("{}: `{}`", row.id, pattern.text)))
        })
    }

    /// Each row's id and how many disagreements it explains.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&str, usize)> {
        self.rows.iter().map(|row| (row.id.as_str(), row.theirs.values().map(|cell| cell.count).sum()))
    }
}

/// `*` stands for any text, wherever it is.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Accepts, Crashes, Refuses};

    const TABLE: &str = "# Words\n\n\
        | id | cases | sealog | rust | python | js | go | cosign | who |\n|---|---|---|---|---|---|---|---|---|\n\
        | `tsr-twice` | `*: double *rfc3161*`<br>`x: y` | refuses | · | · | · | accepts | accepts | ours, CS §4.2 |\n";

    const CASE: &str = "sealog blob: double verificationMaterial.rfc3161Timestamps[0]";

    #[test]
    fn only_what_a_row_says_is_explained() {
        let mut table = Disagreements::parse(TABLE).unwrap();
        assert!(!table.explain(CASE, Accepts, "go", Refuses, ""));
        assert!(!table.explain(CASE, Refuses, "rust", Accepts, ""));
        assert!(!table.explain(CASE, Refuses, "go", Crashes, ""));
        assert!(!table.explain("sealog blob: drop rfc3161", Refuses, "go", Accepts, ""));
        assert_eq!(table.unused().count(), 4);
        assert!(table.explain(CASE, Refuses, "go", Accepts, ""));
        assert_eq!(table.unused().collect::<Vec<_>>(), ["tsr-twice: cosign accepts", "tsr-twice: `x: y`"]);
        assert!(table.explain("x: y", Refuses, "cosign", Accepts, ""));
        assert_eq!((table.unused().count(), table.counts().next()), (0, Some(("tsr-twice", 2))));
    }

    #[test]
    fn a_verdict_or_pattern_with_a_question_mark_may_stay_idle() {
        let text = TABLE.replace("accepts | accepts", "accepts? | accepts").replace("`x: y`", "`x: y`?");
        let mut table = Disagreements::parse(&text).unwrap();
        assert!(table.explain(CASE, Refuses, "cosign", Accepts, ""));
        assert_eq!(table.unused().count(), 0);
        assert!(table.explain("x: y", Refuses, "go", Accepts, ""));
    }

    #[test]
    fn a_crash_is_one_of_those_that_are_named() {
        let text = TABLE.replace("accepts | accepts", "crashes (a.B, c.D) | crashes");
        let mut table = Disagreements::parse(&text).unwrap();
        for (said, listed) in [("c.D: what it said", true), ("a.B", true), ("a.Bc: x", false), ("", false)] {
            assert_eq!(table.explain("x: y", Refuses, "go", Crashes, said), listed, "{said}");
        }
        assert!(!table.explain("x: y", Refuses, "go", Refuses, "a.B"));
        assert!(table.explain("x: y", Refuses, "cosign", Crashes, "anything"));
        for cell in ["accepts (a.B)", "crashes (a.B", "crash (a.B)", "crashes(a.B)"] {
            assert!(Cell::parse(cell).is_none(), "{cell}");
        }
    }

    #[test]
    fn a_row_must_say_who_disagrees_and_by_which_paragraph() {
        let head = "| `a` | `b` | refuses | · | · | · |";
        assert!(Disagreements::parse(&format!("{head} accepts | · | ours, PJ |\n")).is_ok());
        assert!(Disagreements::parse(&format!("{head} accepts | · |  |\n")).is_err());
        assert!(Disagreements::parse(&format!("{head} · | · | ours, PJ |\n")).is_err());
        assert!(Disagreements::parse(&format!("{head} maybe | · | ours, PJ |\n")).is_err());
        let row = format!("{head} accepts | · | ours, PJ |\n");
        assert!(Disagreements::parse(&format!("{row}{row}")).is_err());
        for why in [
            "CS §4.2.1",
            "ours: R2 §4.2",
            "R2C: x",
            "PS sigstore_common.proto `hint`",
            "SN, a line",
            "TC",
            "RFC 8259 §6",
            "none: [decision 0007](x.md)",
        ] {
            assert!(is_founded(why), "{why}");
        }
        for why in [
            "ours",
            "as above",
            "CS",
            "CS §x",
            "RFC 8259",
            "none",
            "none: decision 7",
            "PS says so",
            "SNAP",
            "§4",
        ] {
            assert!(!is_founded(why), "{why}");
        }
    }

    #[test]
    fn the_page_can_be_read() {
        let page = include_str!("../../../../docs/reference/disagreements.md");
        let table = Disagreements::parse(page).unwrap();
        assert_eq!(table.rows.len(), page.lines().filter(|line| line.starts_with("| `")).count());
        // What fits everything says nothing.
        let narrow = |pattern: &Pattern| pattern.text.chars().filter(|c| c.is_alphanumeric()).count() >= 3;
        assert!(table.rows.iter().flat_map(|row| &row.cases).all(narrow));
        // A crash of python's that may be any says nothing either.
        let of_python = table.rows.iter().filter_map(|row| row.theirs.get("python"));
        assert!(of_python.filter(|cell| cell.verdict == Crashes).all(|cell| !cell.with.is_empty()));
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, text) in [("a*c*e", "abcde"), ("*", ""), ("a*", "a"), ("*c", "abc"), ("abc", "abc")] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("a*c*e", "abcdf"), ("a", "ab"), ("*b", "abc"), ("a*a", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
