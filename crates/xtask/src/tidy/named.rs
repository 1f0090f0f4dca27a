//! Tests that the documents name are there: whoever renames or drops one must say who tries the attack now.
//!
//! In the pages of [`PAGES`] a row ends with the tests that hold it, `path`: `name`, `name`; `path`: `name`; or `none`.

use super::{Finding, Source};

/// Pages whose rows name tests in their last cell.
const PAGES: [&str; 2] = ["docs/reference/attacks.md", "docs/reference/verifier.md"];
/// Folders of programs that walk rather than test: there a function is enough.
const WALKS: [&str; 2] = ["crates/xtask/", "tests/strangers/"];
/// Rows a page has at least: a page that cannot be read holds nothing.
const MIN_ROWS: usize = 10;

/// Every row of every page.
pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for page in PAGES {
        match sources.iter().find(|source| source.path == page) {
            Some(page) => findings.extend(check_page(page, sources)),
            None => findings.push(Finding::of(page, "is not there, and names tests")),
        }
    }
    findings
}

fn check_page(page: &Source, sources: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut rows: usize = 0;
    for (number, line) in (1..).zip(page.text.lines()) {
        let Some(cell) = last_cell(line) else { continue };
        rows += 1;
        let tests = tests(cell);
        if tests.is_empty() && cell != "none" {
            findings.push(Finding::at(&page.path, number, "the row names no test, and does not say `none`"));
        }
        for (path, name) in tests {
            let found = match sources.iter().find(|source| source.path == path) {
                None => Some(format!("there is no {path}")),
                Some(source) if !has(source, name) => Some(format!("{path} has no test `{name}`")),
                Some(_) => None,
            };
            findings.extend(found.map(|says| Finding::at(&page.path, number, says)));
        }
    }
    if rows < MIN_ROWS {
        findings.push(Finding::of(&page.path, format!("only {rows} rows can be read")));
    }
    findings
}

/// The last cell of a table's row, but of its head and rule.
fn last_cell(line: &str) -> Option<&str> {
    let cell = line.strip_prefix('|')?.strip_suffix('|')?.rsplit(" | ").next()?.trim();
    (!line.starts_with("|---") && !["test", "tests"].contains(&cell)).then_some(cell)
}

/// Every pair of a path and a name: a path is followed by a colon, a name by a comma if another one follows.
fn tests(cell: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut path = None;
    // Every second piece is quoted; the one behind it says whether more belongs to it.
    let mut pieces = cell.split('`').skip(1);
    while let (Some(quoted), Some(behind)) = (pieces.next(), pieces.next()) {
        if quoted.contains('/') && behind.trim() == ":" {
            path = Some(quoted);
            continue;
        }
        found.extend(path.map(|path| (path, quoted)));
        if behind.trim() != "," {
            path = None;
        }
    }
    found
}

/// Whether a file has a test of that name, or a function where it only walks.
fn has(source: &Source, name: &str) -> bool {
    let walks = WALKS.iter().any(|folder| source.path.starts_with(folder));
    let lines: Vec<&str> = source.text.lines().collect();
    let is_it = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub(super) ")).unwrap_or(line);
        let line = line.strip_prefix("async ").unwrap_or(line);
        let named = line.strip_prefix("fn ").or_else(|| line.strip_prefix("def "));
        named.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with(['(', '<']))
    };
    let is_test = |at: usize| {
        let above = lines.get(..at).unwrap_or_default().iter().rev();
        let mut attributes = above.map(|line| line.trim()).take_while(|line| line.starts_with("#["));
        attributes.any(|line| line == "#[test]" || line.contains("::test"))
    };
    lines.iter().enumerate().any(|(at, line)| is_it(line) && (walks || is_test(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    fn says(row: &str) -> Vec<String> {
        let good = "| a | b | `crates/a/tests/t.rs`: `holds` |\n".repeat(MIN_ROWS);
        let page = source(
            "docs/reference/attacks.md",
            &format!("| attack | what | test |\n|---|---|---|\n{good}{row}\n"),
        );
        let code =
            "#[test]\nfn holds() {}\n\n#[tokio::test]\n#[ignore]\nasync fn waits() {}\n\nfn helper() {}\n";
        let sources = [
            source("crates/a/tests/t.rs", code),
            source("tests/strangers/x/y.py", "def walk(a):\n    pass\n"),
        ];
        check_page(&page, &sources).into_iter().map(|finding| finding.says).collect()
    }

    #[test]
    fn a_test_that_is_not_there_is_found() {
        let gone = says("| a | b | `crates/a/tests/t.rs`: `holds`, `gone` |");
        assert_eq!(gone, ["crates/a/tests/t.rs has no test `gone`"]);
        assert_eq!(says("| a | b | `crates/b/t.rs`: `holds` |"), ["there is no crates/b/t.rs"]);
        // A function is not a test, but where programs walk.
        let helper = says("| a | b | `crates/a/tests/t.rs`: `helper` |");
        assert_eq!(helper, ["crates/a/tests/t.rs has no test `helper`"]);
        assert_eq!(
            says("| a | b | `tests/strangers/x/y.py`: `walk`; `crates/a/tests/t.rs`: `waits` |"),
            [""; 0]
        );
        let part = says("| a | b | `crates/a/tests/t.rs`: `hold` |");
        assert_eq!(part, ["crates/a/tests/t.rs has no test `hold`"]);
    }

    #[test]
    fn words_between_the_names_are_passed_over() {
        let row = "| a | b | `{{` in a claim: `crates/a/tests/t.rs`: `holds`. That nobody asks: `crates/a/tests/t.rs`: `waits`, `gone` |";
        assert_eq!(says(row), ["crates/a/tests/t.rs has no test `gone`"]);
    }

    #[test]
    fn a_row_names_a_test_or_says_none() {
        assert_eq!(says("| a | b | none |"), [""; 0]);
        assert_eq!(says("| a | b | |"), ["the row names no test, and does not say `none`"]);
        assert_eq!(says("| a | b | nobody tried |"), ["the row names no test, and does not say `none`"]);
        let empty = check_page(&source("docs/reference/attacks.md", "# Attacks\n"), &[]);
        assert_eq!(empty.len(), 1);
    }
}
