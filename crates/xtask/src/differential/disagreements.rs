//! The table of disagreements: a document for people, read as the list the comparison is held to.
//!
//! A row is `| id | cases | sealog | rust | python | js | go | cosign | who is right |`. `*` in `cases` stands for
//! anything; a verdict is `accepts`, `refuses` or `crashes`, and `·` says nothing about that verifier; one with `?`
//! behind it need not come up in every run. A
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
    cases: Vec<String>,
    ours: Verdict,
    theirs: BTreeMap<&'static str, Cell>,
}

/// Another's verdict, and how often it was needed.
struct Cell {
    verdict: Verdict,
    /// Whether it comes up in every run: some depend on bytes that differ from run to run.
    always: bool,
    count: usize,
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
        if why.is_empty() {
            bail!("no reason");
        }
        let bare = |text: &str| text.trim().trim_matches('`').to_owned();
        let mut theirs = BTreeMap::new();
        for (peer, cell) in PEERS.into_iter().zip([rust, python, js, go, cosign]) {
            if *cell != SILENT {
                let bare = cell.trim_end_matches('?');
                let verdict = Verdict::parse(bare).with_context(|| format!("`{cell}` is no verdict"))?;
                theirs.insert(peer, Cell { verdict, always: bare == *cell, count: 0 });
            }
        }
        if theirs.is_empty() {
            bail!("nobody disagrees");
        }
        Ok(Row {
            id: bare(id),
            cases: cases.split("<br>").map(bare).collect(),
            ours: Verdict::parse(ours).with_context(|| format!("`{ours}` is no verdict"))?,
            theirs,
        })
    }

    /// Whether a row says why; marks every row that does.
    pub(super) fn explain(&mut self, case: &str, ours: Verdict, peer: &str, theirs: Verdict) -> bool {
        let mut explained = false;
        for row in self.rows.iter_mut().filter(|row| row.ours == ours) {
            let Some(cell) = row.theirs.get_mut(peer) else { continue };
            if cell.verdict == theirs && row.cases.iter().any(|pattern| matches(pattern, case)) {
                cell.count += 1;
                explained = true;
            }
        }
        explained
    }

    /// The cells that nothing needed.
    pub(super) fn unused(&self) -> impl Iterator<Item = String> {
        self.rows.iter().flat_map(|row| {
            let unused = row.theirs.iter().filter(|(_, cell)| cell.always && cell.count == 0);
            unused.map(|(peer, cell)| format!("{}: {peer} {}", row.id, cell.verdict))
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
        | `tsr-twice` | `*: double *rfc3161*`<br>`x: y` | refuses | · | · | · | accepts | accepts | ours, §4.2 |\n";

    #[test]
    fn only_what_a_row_says_is_explained() {
        let mut table = Disagreements::parse(TABLE).unwrap();
        let case = "sealog blob: double verificationMaterial.rfc3161Timestamps[0]";
        assert!(!table.explain(case, Accepts, "go", Refuses));
        assert!(!table.explain(case, Refuses, "rust", Accepts));
        assert!(!table.explain(case, Refuses, "go", Crashes));
        assert!(!table.explain("sealog blob: drop rfc3161", Refuses, "go", Accepts));
        assert_eq!(table.unused().count(), 2);
        assert!(table.explain(case, Refuses, "go", Accepts));
        assert_eq!(table.unused().collect::<Vec<_>>(), ["tsr-twice: cosign accepts"]);
        assert!(table.explain("x: y", Refuses, "cosign", Accepts));
        assert_eq!((table.unused().count(), table.counts().next()), (0, Some(("tsr-twice", 2))));
    }

    #[test]
    fn a_verdict_with_a_question_mark_may_stay_idle() {
        let mut table =
            Disagreements::parse(&TABLE.replace("accepts | accepts", "accepts? | accepts")).unwrap();
        assert!(table.explain("x: y", Refuses, "cosign", Accepts));
        assert_eq!(table.unused().count(), 0);
        assert!(table.explain("x: y", Refuses, "go", Accepts));
    }

    #[test]
    fn a_row_must_say_who_disagrees_and_why() {
        let head = "| `a` | `b` | refuses | · | · | · |";
        assert!(Disagreements::parse(&format!("{head} accepts | · | ours |\n")).is_ok());
        assert!(Disagreements::parse(&format!("{head} accepts | · |  |\n")).is_err());
        assert!(Disagreements::parse(&format!("{head} · | · | ours |\n")).is_err());
        assert!(Disagreements::parse(&format!("{head} maybe | · | ours |\n")).is_err());
        let row = format!("{head} accepts | · | ours |\n");
        assert!(Disagreements::parse(&format!("{row}{row}")).is_err());
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
