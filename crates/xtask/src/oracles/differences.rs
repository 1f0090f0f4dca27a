//! The table of accepted differences: a document for people, read as the list the comparison is held to.
//!
//! A row is `| server | case | aspect | ours | theirs | why |`; values stand in backquotes, `*` in a
//! name matches any end of it, and a value of `*` matches every value.

use anyhow::{Result, bail};

struct Row {
    case: String,
    aspect: String,
    ours: String,
    theirs: String,
    used: bool,
}

/// The rows of one server.
pub(super) struct Differences {
    rows: Vec<Row>,
}

impl Differences {
    /// Reads the rows of `server` from the document; a row without a reason is refused.
    pub(super) fn parse(text: &str, server: &str) -> Result<Self> {
        let mut rows = Vec::new();
        for line in text.lines().filter(|line| line.starts_with("| ")) {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [of, case, aspect, ours, theirs, why] = cells.as_slice() else {
                bail!("not six cells in `{line}`");
            };
            if *of != server {
                continue;
            }
            if why.is_empty() {
                bail!("a difference without a reason: `{line}`");
            }
            let cell = |text: &str| text.trim_matches('`').to_owned();
            rows.push(Row {
                case: cell(case),
                aspect: cell(aspect),
                ours: cell(ours),
                theirs: cell(theirs),
                used: false,
            });
        }
        Ok(Self { rows })
    }

    /// Whether a row accepts this difference; marks the rows that do.
    pub(super) fn explain(&mut self, case: &str, aspect: &str, ours: &str, theirs: &str) -> bool {
        let mut explained = false;
        for row in &mut self.rows {
            let fits = matches(&row.case, case)
                && matches(&row.aspect, aspect)
                && matches(&row.ours, ours)
                && matches(&row.theirs, theirs);
            row.used |= fits;
            explained |= fits;
        }
        explained
    }

    /// The rows that nothing needed.
    pub(super) fn unused(&self) -> impl Iterator<Item = String> {
        self.rows.iter().filter(|row| !row.used).map(|row| format!("{}, {}", row.case, row.aspect))
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => text.starts_with(start),
        None => pattern == text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "# Differences\n\n\
        | server | case | aspect | ours | theirs | why |\n|---|---|---|---|---|---|\n\
        | rekor | `duplicate` | `status` | `201` | `409` | clients retry |\n\
        | tsa | `json *` | `message` | `*` | `*` | wording |\n";

    fn table(server: &str) -> Differences {
        Differences::parse(TABLE, server).unwrap()
    }

    #[test]
    fn only_the_listed_values_are_accepted() {
        let mut rekor = table("rekor");
        assert!(!rekor.explain("duplicate", "status", "200", "409"));
        assert!(!rekor.explain("other", "status", "201", "409"));
        assert_eq!(rekor.unused().count(), 1);
        assert!(rekor.explain("duplicate", "status", "201", "409"));
        assert_eq!(rekor.unused().count(), 0);
    }

    #[test]
    fn a_star_stands_for_any_end() {
        let mut tsa = table("tsa");
        assert!(tsa.explain("json without hash", "message", "a", "b"));
        assert!(!tsa.explain("der", "message", "a", "b"));
    }

    #[test]
    fn a_row_without_a_reason_is_refused() {
        assert!(Differences::parse("| rekor | a | b | c | d |  |", "rekor").is_err());
    }
}
