//! Links in the documents lead to files that are there, and to headings that stand in them.

use std::path::{Component, Path, PathBuf};

use super::{Finding, Source};

/// Every link of every document.
pub(super) fn check(root: &Path, sources: &[Source]) -> Vec<Finding> {
    let documents = || sources.iter().filter(|source| source.has_extension(&["md"]));
    let mut findings = Vec::new();
    for document in documents() {
        for (number, target) in links(&document.text) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = resolve(&document.path, file);
            if !file.is_empty() && !root.join(&path).exists() {
                findings.push(Finding::at(
                    &document.path,
                    number,
                    format!("the link {target} leads nowhere"),
                ));
                continue;
            }
            let named = if file.is_empty() { document.path.as_str() } else { path.as_str() };
            let other = documents().find(|other| other.path == named);
            if !heading.is_empty()
                && other.is_some_and(|other| !headings(&other.text).any(|at| at == heading))
            {
                let says = format!("the link {target} names a heading that is not there");
                findings.push(Finding::at(&document.path, number, says));
            }
        }
    }
    findings
}

/// The targets of `[text](target)` outside code blocks, without those on other machines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for (start, _) in line.match_indices("](") {
            let rest = line.get(start + 2..).unwrap_or_default();
            let target = rest.split(')').next().unwrap_or_default();
            if !target.contains("://") && !target.starts_with("mailto:") {
                found.push((index + 1, target));
            }
        }
    }
    found
}

/// The names under which the headings of a document can be linked to.
fn headings(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter(|line| line.starts_with('#')).map(|line| {
        let spoken = line.trim_start_matches('#').trim().to_lowercase();
        spoken
            .chars()
            .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
            .map(|letter| if letter == ' ' { '-' } else { letter })
            .collect()
    })
}

/// A link's file from the root, given the document that names it.
fn resolve(document: &str, file: &str) -> String {
    let mut path = PathBuf::new();
    let folder = Path::new(document).parent().unwrap_or(Path::new(""));
    for part in folder.join(file).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(text: &str) -> Vec<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sources = [
            Source { path: "src/a.md".to_owned(), text: text.to_owned() },
            Source { path: "b.md".to_owned(), text: "# One thing\n\n## Two & more\n".to_owned() },
        ];
        check(root, &sources).into_iter().map(|finding| finding.says).collect()
    }

    #[test]
    fn a_link_to_nowhere_is_found() {
        assert_eq!(says("see [this](gone.md)\n"), ["the link gone.md leads nowhere"]);
        assert!(says("see [main](main.rs) and [manifest](../Cargo.toml)\n").is_empty());
        assert!(says("see [site](https://example.com/x) and `[code]`\n```\n[x](gone.md)\n```\n").is_empty());
    }

    #[test]
    fn a_link_to_a_missing_heading_is_found() {
        assert_eq!(says("# Here\nsee [x](#there)\n"), ["the link #there names a heading that is not there"]);
        assert!(says("# Over here\nsee [x](#over-here)\n").is_empty());
    }
}
