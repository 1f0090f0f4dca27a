//! Tidy: the rules of the house that a program can check.
//!
//! `imports` holds who may use whom, `files` what a single file must and must not contain, `docs` that
//! links lead somewhere, `named` that the tests a page names are there. Each rule is a function from text to findings, so that its tests show it failing.

mod docs;
mod files;
mod imports;
mod named;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::House;

/// A place where a rule is broken.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The file, from the root, and the line where there is one.
    pub(crate) place: String,
    /// What is wrong and what would be right.
    pub(crate) says: String,
}

impl Finding {
    fn at(place: &str, line: usize, says: impl Into<String>) -> Self {
        Self { place: format!("{place}:{line}"), says: says.into() }
    }

    fn of(place: &str, says: impl Into<String>) -> Self {
        Self { place: place.to_owned(), says: says.into() }
    }
}

/// A text file of the project.
pub(crate) struct Source {
    /// From the root, with `/` between the parts.
    pub(crate) path: String,
    /// What it says.
    pub(crate) text: String,
}

impl Source {
    fn has_extension(&self, extensions: &[&str]) -> bool {
        Path::new(&self.path)
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| extensions.contains(&extension))
    }
}

/// Prints every finding; `false` if there is one.
pub(crate) fn command(house: &House) -> Result<bool> {
    let findings = check(house)?;
    for finding in &findings {
        println!("{}: {}", finding.place, finding.says);
    }
    if findings.is_empty() {
        println!("tidy: nothing to say");
    } else {
        println!("tidy: {} to mend", findings.len());
    }
    Ok(findings.is_empty())
}

/// Every broken rule of the whole project.
pub(crate) fn check(house: &House) -> Result<Vec<Finding>> {
    let sources = sources(&house.root)?;
    let mut findings = imports::check_metadata(&imports::metadata(house)?)?;
    findings.extend(imports::check_tree(&imports::resolved(house)?)?);
    for source in &sources {
        findings.extend(imports::check_source(source));
        findings.extend(files::check(source));
    }
    findings.extend(docs::check(&house.root, &sources));
    findings.extend(named::check(&sources));
    findings.sort();
    Ok(findings)
}

/// Directories that hold nothing of ours.
const NOT_OURS: [&str; 4] = ["target", ".git", "node_modules", "__pycache__"];
/// Files that other programs write, or whose words are not ours.
const GENERATED: [&str; 4] = ["Cargo.lock", "go.sum", "package-lock.json", "LICENSE"];
/// What is read as text.
const TEXT: [&str; 13] =
    ["rs", "toml", "md", "py", "cjs", "mjs", "js", "go", "mod", "sh", "json", "txt", "yaml"];

fn sources(root: &Path) -> Result<Vec<Source>> {
    let mut found = Vec::new();
    let mut waiting: Vec<PathBuf> = vec![root.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).with_context(|| format!("{}", directory.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type()?;
            let path = entry.path();
            if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) {
                waiting.push(path);
            } else if kind.is_file() && !GENERATED.contains(&name.as_str()) && is_text(&path) {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("{} is not readable text", path.display()))?;
                let relative = path.strip_prefix(root).unwrap_or(&path);
                found.push(Source { path: relative.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(found)
}

fn is_text(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let script = path.parent().is_some_and(|parent| parent.file_name() == Some(".ci".as_ref()));
    script || extension.is_some_and(|extension| TEXT.contains(&extension))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let house = House::find().unwrap();
        let findings = check(&house).unwrap();
        assert!(findings.is_empty(), "{findings:#?}");
    }
}
