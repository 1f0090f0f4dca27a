//! What a single file must say and must not say.

use super::{Finding, Source};

/// Past this many lines a file answers for two things.
const LONGEST_FILE: usize = 700;
/// Flat tables that may be longer.
const LONG_TABLES: [&str; 0] = [];

/// Words that promise work instead of doing it; in two halves, so that this file passes its own check.
const PROMISES: [(&str, &str); 3] = [("TO", "DO"), ("FIX", "ME"), ("XX", "X")];
/// Names of machines and places that are true on one machine only.
const PLACES: [(&str, &str); 8] = [
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("registry.np", "mjs.org"),
    ("pypi", ".org/"),
    ("files.python", "hosted.org"),
    ("proxy.go", "lang.org"),
    ("index.crates", ".io"),
    ("sum.go", "lang.org"),
];
/// The arc under which the certificate extensions stand, as a dotted name.
const EXTENSION_ARC: (&str, &str) = ("1.3.6.1.4.1.572", "64.1.");
/// The room that holds the one list of certificate extensions.
const EXTENSION_ROOM: &str = "crates/pki/";

/// Every rule for one file.
pub(super) fn check(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if source.has_extension(&["rs"]) {
        findings.extend(check_first_line(source));
        findings.extend(check_length(source));
        findings.extend(check_extension_list(source));
    }
    if source.path.starts_with("crates/") && source.path.ends_with("/Cargo.toml") {
        findings.extend(check_manifest(source));
    }
    findings.extend(check_words(source));
    findings
}

/// A `tests.rs` answers for the file it hangs from, and needs no line of its own.
fn check_first_line(source: &Source) -> Option<Finding> {
    if source.path.ends_with("/tests.rs") {
        return None;
    }
    let first = source.text.lines().next().unwrap_or_default();
    let spoken = first.strip_prefix("//!").is_some_and(|rest| !rest.trim().is_empty());
    (!spoken)
        .then(|| Finding::at(&source.path, 1, "the first line says, after //!, what this file answers for"))
}

fn check_length(source: &Source) -> Option<Finding> {
    let lines = source.text.lines().count();
    let long = lines > LONGEST_FILE && !LONG_TABLES.contains(&source.path.as_str());
    long.then(|| {
        Finding::of(&source.path, format!("{lines} lines, at most {LONGEST_FILE}: split it by concept"))
    })
}

fn check_extension_list(source: &Source) -> Vec<Finding> {
    let arc = [EXTENSION_ARC.0, EXTENSION_ARC.1].concat();
    if source.path.starts_with(EXTENSION_ROOM) {
        return Vec::new();
    }
    let says = "certificate extensions are listed once, in crates/pki: look them up there";
    numbered(source)
        .filter(|(_, line)| line.contains(&arc))
        .map(|(number, _)| Finding::at(&source.path, number, says))
        .collect()
}

/// Lints stand once for all, in the workspace.
fn check_manifest(source: &Source) -> Option<Finding> {
    let inherits = source.text.contains("[lints]\nworkspace = true");
    (!inherits).then(|| Finding::of(&source.path, "must say [lints] workspace = true"))
}

fn check_words(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in numbered(source) {
        for (first, second) in PROMISES {
            let word = [first, second].concat();
            if has_word(line, &word) {
                let says = format!("{word} promises work: do it, or write an issue");
                findings.push(Finding::at(&source.path, number, says));
            }
        }
        for (first, second) in PLACES {
            let place = [first, second].concat();
            if line.contains(&place) {
                let says = format!("{place} is true on one machine only");
                findings.push(Finding::at(&source.path, number, says));
            }
        }
    }
    findings
}

/// `word` with no letter or digit on either side.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line.get(..start).and_then(|text| text.chars().last());
        let after = line.get(start + word.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

fn numbered(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    source.text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(path: &str, text: &str) -> String {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        check(&source).into_iter().map(|finding| finding.says).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_file_without_a_first_line_is_found() {
        assert!(says("crates/x/src/a.rs", "use core::fmt;\n").contains("the first line says"));
        assert!(says("crates/x/src/a.rs", "//!\n//! Late.\n").contains("the first line says"));
        assert_eq!(says("crates/x/src/a.rs", "//! Answers for a.\n"), "");
        assert_eq!(says("crates/x/src/a/tests.rs", "use super::*;\n"), "");
    }

    #[test]
    fn a_long_file_is_found() {
        let long = format!("//! Long.\n{}", "\n".repeat(LONGEST_FILE));
        assert!(says("crates/x/src/a.rs", &long).contains("split it by concept"));
    }

    #[test]
    fn a_second_list_of_extensions_is_found() {
        let line =
            format!("//! Second.\nconst ISSUER: &str = \"{}{}8\";\n", EXTENSION_ARC.0, EXTENSION_ARC.1);
        assert!(says("crates/server/src/ca/api.rs", &line).contains("listed once"));
        assert_eq!(says("crates/pki/src/fulcio_extensions.rs", &line), "");
    }

    #[test]
    fn a_promise_is_found() {
        for (first, second) in PROMISES {
            let text = format!("//! A.\n// {first}{second}: later\n");
            assert!(says("crates/x/src/a.rs", &text).contains("promises work"), "{first}{second}");
        }
        let inside = format!("//! A.\nconst {}{}S: u8 = 1;\n", PROMISES[0].0, PROMISES[0].1);
        assert_eq!(says("crates/x/src/a.rs", &inside), "");
    }

    #[test]
    fn a_place_of_one_machine_is_found() {
        for (first, second) in PLACES {
            let text = format!("see {first}{second}x\n");
            assert!(says("docs/guide.md", &text).contains("one machine only"), "{first}{second}");
        }
    }

    #[test]
    fn a_crate_with_its_own_lints_is_found() {
        assert!(says("crates/x/Cargo.toml", "[package]\nname = \"x\"\n").contains("[lints]"));
        assert_eq!(says("crates/x/Cargo.toml", "[lints]\nworkspace = true\n"), "");
    }
}
