//! Who may use whom: the one table, checked against the manifests and against the sources.
//!
//! The manifests say which crate is allowed at all; the sources say whether a pure room reaches for the
//! world, and whether a service directory reaches into another.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Finding, Source};
use crate::House;
use crate::process;

/// A room and the rooms it may use (`style` of the house: downwards only).
const ROOMS: [(&str, &[&str]); 13] = [
    ("sealog-crypto", &[]),
    ("sealog-tlog", &["sealog-crypto"]),
    ("sealog-pki", &["sealog-crypto", "sealog-tlog"]),
    ("sealog-identity", &["sealog-crypto", "sealog-tlog", "sealog-pki"]),
    ("sealog-bundle", &["sealog-crypto", "sealog-tlog", "sealog-pki"]),
    ("sealog-verify", &["sealog-crypto", "sealog-tlog", "sealog-pki", "sealog-identity", "sealog-bundle"]),
    // No line but its own names the test kit: what is shipped may not use it, and tests are asked nothing.
    (
        "sealog-testkit",
        &["sealog-crypto", "sealog-tlog", "sealog-pki", "sealog-identity", "sealog-bundle", "sealog-verify"],
    ),
    ("sealog-log-engine", &["sealog-crypto", "sealog-tlog"]),
    (
        "sealog-client",
        &["sealog-crypto", "sealog-tlog", "sealog-pki", "sealog-identity", "sealog-bundle", "sealog-verify"],
    ),
    (
        "sealog-server",
        &[
            "sealog-crypto",
            "sealog-tlog",
            "sealog-pki",
            "sealog-identity",
            "sealog-bundle",
            "sealog-verify",
            "sealog-log-engine",
            "sealog-client",
        ],
    ),
    (
        "sealog-cli",
        &["sealog-crypto", "sealog-tlog", "sealog-pki", "sealog-bundle", "sealog-verify", "sealog-client"],
    ),
    (
        "sealog-fuzz-targets",
        &[
            "sealog-crypto",
            "sealog-tlog",
            "sealog-pki",
            "sealog-bundle",
            "sealog-verify",
            "sealog-log-engine",
            "sealog-server",
            "sealog-cli",
        ],
    ),
    // What a bench sends must be made, and what it is answered read.
    ("xtask", &["sealog-crypto", "sealog-tlog", "sealog-pki", "sealog-bundle"]),
];

/// The rooms that never touch the world, by directory.
const PURE: [&str; 6] = ["crypto", "tlog", "pki", "identity", "bundle", "verify"];
/// Third-party crates through which a pure room could.
const WORLDLY: [&str; 10] =
    ["tokio", "reqwest", "hyper", "axum", "rustix", "redb", "tempfile", "tracing", "webbrowser", "url"];
/// Crates that compute signatures or digests; `crypto` alone names them.
const PRIMITIVES: [&str; 11] = [
    "aws-lc-rs",
    "aws-lc-sys",
    "ed25519-dalek",
    "sha2",
    "p256",
    "p384",
    "p521",
    "rsa",
    "ecdsa",
    "ring",
    "ml-dsa",
];
/// The one other use of a primitive library: TLS wants its provider installed by name.
const TLS_PROVIDER: (&str, &str) = ("sealog-server", "aws-lc-rs");
/// What is nowhere in the tree of a pure room, however it would get there: event loops, HTTP, sockets, OpenSSL.
const NOT_BELOW: [&str; 20] = [
    "async-std",
    "curl",
    "futures-executor",
    "h2",
    "http",
    "hyper",
    "isahc",
    "mio",
    "native-tls",
    "openssl",
    "openssl-sys",
    "polling",
    "quinn",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "surf",
    "tokio",
    "ureq",
];
/// The pure room above all others: what is below it is below them.
const TOP_PURE_ROOM: &str = "sealog-verify";
/// Modules of `std` that read the world or change it.
const WORLD_MODULES: [&str; 7] = ["fs", "net", "env", "time", "process", "thread", "io"];
/// The services, which meet over HTTP or in a pure room.
const SERVICES: [&str; 5] = ["rekor", "ctlog", "ca", "tsa", "oidc"];

/// What cargo knows of the workspace.
pub(super) fn metadata(house: &House) -> Result<Value> {
    let mut command = std::process::Command::new(env!("CARGO"));
    command.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(&house.root);
    let limit = std::time::Duration::from_secs(300);
    let output = process::run(&mut command, limit)?.expect_success("cargo metadata")?;
    serde_json::from_str(&output).context("cargo metadata did not write JSON")
}

/// What cargo knows of everything that is built, ours and others'.
pub(super) fn resolved(house: &House) -> Result<Value> {
    let mut command = std::process::Command::new(env!("CARGO"));
    command.args(["metadata", "--locked", "--format-version", "1"]).current_dir(&house.root);
    let limit = std::time::Duration::from_secs(300);
    let output = process::run(&mut command, limit)?.expect_success("cargo metadata")?;
    serde_json::from_str(&output).context("cargo metadata did not write JSON")
}

/// The tree below the pure rooms, however deep: what a direct dependency depends on is shipped with it.
pub(super) fn check_tree(metadata: &Value) -> Result<Vec<Finding>> {
    let list = |value: &Value, name: &str| -> Vec<Value> {
        value.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let text =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let names: BTreeMap<String, String> = list(metadata, "packages")
        .iter()
        .map(|package| (text(package, "id"), text(package, "name")))
        .collect();
    let nodes = metadata.get("resolve").map(|resolve| list(resolve, "nodes")).unwrap_or_default();
    let top = names.iter().find(|(_, name)| *name == TOP_PURE_ROOM).context("the pure room is not built")?;
    let is_shipped = |kind: &Value| kind.get("kind").and_then(Value::as_str) != Some("dev");
    let mut reached = BTreeMap::from([(top.0.clone(), TOP_PURE_ROOM.to_owned())]);
    let mut waiting = vec![top.0.clone()];
    while let Some(id) = waiting.pop() {
        let node = nodes.iter().find(|node| text(node, "id") == id);
        let node = node.with_context(|| format!("{id} is not in the resolved tree"))?;
        let path = reached.get(&id).cloned().unwrap_or_default();
        for edge in list(node, "deps") {
            let below = text(&edge, "pkg");
            if list(&edge, "dep_kinds").iter().any(is_shipped) && !reached.contains_key(&below) {
                let name = names.get(&below).map_or(below.as_str(), String::as_str);
                reached.insert(below.clone(), format!("{path} → {name}"));
                waiting.push(below);
            }
        }
    }
    let is_bad = |id: &String| names.get(id).is_some_and(|name| NOT_BELOW.contains(&name.as_str()));
    let bad = reached.iter().filter(|(id, _)| is_bad(id));
    Ok(bad.map(|(_, path)| Finding::of("package sealog-verify", format!("ends up with {path}"))).collect())
}

/// The table against the manifests.
pub(super) fn check_metadata(metadata: &Value) -> Result<Vec<Finding>> {
    let packages =
        metadata.get("packages").and_then(Value::as_array).context("no packages in the metadata")?;
    let mut findings = Vec::new();
    for package in packages {
        let name = package.get("name").and_then(Value::as_str).context("a package without a name")?;
        let place = format!("package {name}");
        let Some((_, allowed)) = ROOMS.iter().find(|(room, _)| *room == name) else {
            findings.push(Finding::of(&place, "this room has no line in the table of who may use whom"));
            continue;
        };
        for dependency in package.get("dependencies").and_then(Value::as_array).into_iter().flatten() {
            let wanted = dependency.get("name").and_then(Value::as_str).unwrap_or_default();
            let shipped = dependency.get("kind").and_then(Value::as_str) != Some("dev");
            findings.extend(check_dependency(&place, name, allowed, wanted, shipped));
        }
    }
    Ok(findings)
}

fn check_dependency(
    place: &str,
    name: &str,
    allowed: &[&str],
    wanted: &str,
    shipped: bool,
) -> Option<Finding> {
    let ours = ROOMS.iter().any(|(room, _)| *room == wanted);
    let pure = name.strip_prefix("sealog-").is_some_and(|room| PURE.contains(&room));
    if ours && shipped && !allowed.contains(&wanted) {
        let list = if allowed.is_empty() { "none of ours".to_owned() } else { allowed.join(", ") };
        return Some(Finding::of(place, format!("may not use {wanted}; it may use {list}")));
    }
    if shipped && pure && WORLDLY.contains(&wanted) {
        return Some(Finding::of(
            place,
            format!("is pure and may not use {wanted}, which touches the world"),
        ));
    }
    let excused = (name, wanted) == TLS_PROVIDER;
    if shipped && name != "sealog-crypto" && PRIMITIVES.contains(&wanted) && !excused {
        return Some(Finding::of(
            place,
            format!("may not use {wanted}: only sealog-crypto names a primitive"),
        ));
    }
    None
}

/// The sources of the pure rooms and of the services.
pub(super) fn check_source(source: &Source) -> Vec<Finding> {
    if !source.has_extension(&["rs"]) {
        return Vec::new();
    }
    let mut findings = check_purity(source);
    findings.extend(check_services(source));
    findings
}

fn check_purity(source: &Source) -> Vec<Finding> {
    let Some(room) = PURE.iter().find(|room| source.path.starts_with(&format!("crates/{room}/src/"))) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let root = source.path == format!("crates/{room}/src/lib.rs");
    if root && !source.text.lines().any(|line| line.trim() == "#![no_std]") {
        findings.push(Finding::of(&source.path, "a pure room begins with #![no_std]"));
    }
    for (number, line) in shipped_lines(source) {
        if line.trim() == "extern crate std;" {
            findings.push(Finding::at(&source.path, number, "a pure room does without std"));
        }
        for module in world_modules(line) {
            findings.push(Finding::at(
                &source.path,
                number,
                format!("a pure room may not use std::{module}: pass what it would fetch as an argument"),
            ));
        }
    }
    findings
}

/// The modules of `std` with a door to the world that a line names, in a path or a braced list.
fn world_modules(line: &str) -> Vec<&'static str> {
    let mut named = Vec::new();
    for (start, _) in line.match_indices("std::") {
        if line.get(..start).and_then(|before| before.chars().last()).is_some_and(is_word) {
            continue;
        }
        let rest = line.get(start + "std::".len()..).unwrap_or_default();
        let list = rest.strip_prefix('{').map_or(rest, |inner| inner.split('}').next().unwrap_or(inner));
        let braced = rest.starts_with('{');
        let parts = if braced { list.split(',').collect::<Vec<_>>() } else { vec![list] };
        for part in parts {
            let head: String = part.trim().chars().take_while(|letter| is_word(*letter)).collect();
            named.extend(WORLD_MODULES.iter().find(|module| **module == head));
        }
    }
    named
}

fn check_services(source: &Source) -> Vec<Finding> {
    let Some(inside) = source.path.strip_prefix("crates/server/src/") else {
        return Vec::new();
    };
    let first = inside.split('/').next().unwrap_or(inside);
    let Some(own) = SERVICES.iter().find(|service| first.strip_suffix(".rs").unwrap_or(first) == **service)
    else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for (number, line) in shipped_lines(source) {
        for other in SERVICES.iter().filter(|service| *service != own) {
            if reaches(line, other) {
                let says = format!(
                    "service {own} may not use service {other}: they meet over HTTP or in a pure room"
                );
                findings.push(Finding::at(&source.path, number, says));
            }
        }
    }
    findings
}

/// The line names `crate::other` or climbs to it with `super::super::`.
fn reaches(line: &str, other: &str) -> bool {
    let paths = [format!("crate::{other}"), format!("super::super::{other}")];
    let direct = paths.iter().any(|path| {
        line.match_indices(path.as_str()).any(|(start, _)| {
            let after = line.get(start + path.len()..).and_then(|rest| rest.chars().next());
            !after.is_some_and(is_word)
        })
    });
    let braced = line.split("use crate::{").nth(1).is_some_and(|list| {
        list.split(',').any(|part| {
            let head: String = part.trim().chars().take_while(|letter| is_word(*letter)).collect();
            head == other
        })
    });
    direct || braced
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The numbered lines before the tests, without comments.
fn shipped_lines(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let test_file = source.path.ends_with("/tests.rs") || source.path.contains("/tests/");
    source
        .text
        .lines()
        .enumerate()
        .take_while(move |(_, line)| !test_file && line.trim() != "#[cfg(test)]")
        .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or(line)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    fn package(name: &str, dependency: &str, kind: Option<&str>) -> Value {
        json!({"packages": [{"name": name, "dependencies": [{"name": dependency, "kind": kind}]}]})
    }

    fn says(findings: &[Finding]) -> String {
        findings.iter().map(|finding| finding.says.as_str()).collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn a_room_may_not_use_one_above_it() {
        let findings = check_metadata(&package("sealog-tlog", "sealog-pki", None)).unwrap();
        assert_eq!(says(&findings), "may not use sealog-pki; it may use sealog-crypto");
        let engine = check_metadata(&package("sealog-log-engine", "sealog-bundle", None)).unwrap();
        assert!(says(&engine).contains("may not use sealog-bundle"));
        assert!(check_metadata(&package("sealog-tlog", "sealog-crypto", None)).unwrap().is_empty());
        assert!(check_metadata(&package("sealog-tlog", "sealog-pki", Some("dev"))).unwrap().is_empty());
    }

    #[test]
    fn nothing_uses_the_programs() {
        for program in ["sealog-server", "sealog-cli"] {
            let findings = check_metadata(&package("sealog-client", program, None)).unwrap();
            assert!(says(&findings).contains("may not use"), "{program}");
        }
    }

    #[test]
    fn nothing_that_is_shipped_uses_the_test_kit() {
        for (room, _) in ROOMS.into_iter().filter(|(room, _)| *room != "sealog-testkit") {
            let findings = check_metadata(&package(room, "sealog-testkit", None)).unwrap();
            assert!(says(&findings).contains("may not use sealog-testkit"), "{room}");
            assert!(check_metadata(&package(room, "sealog-testkit", Some("dev"))).unwrap().is_empty());
        }
    }

    #[test]
    fn an_unknown_room_is_a_finding() {
        let findings = check_metadata(&package("sealog-utils", "serde", None)).unwrap();
        assert_eq!(says(&findings), "this room has no line in the table of who may use whom");
    }

    #[test]
    fn a_pure_room_takes_no_runtime() {
        let findings = check_metadata(&package("sealog-verify", "tokio", None)).unwrap();
        assert!(says(&findings).contains("is pure and may not use tokio"));
        assert!(check_metadata(&package("sealog-client", "tokio", None)).unwrap().is_empty());
    }

    #[test]
    fn a_pure_room_takes_no_runtime_by_way_of_another() {
        let tree = |kind: Option<&str>, below: &str| {
            let edge = |to: &str, kind: Option<&str>| json!({"pkg": to, "dep_kinds": [{"kind": kind}]});
            json!({
                "packages": [{"id": "1", "name": "sealog-verify"}, {"id": "2", "name": "harmless"}, {"id": "3", "name": below}],
                "resolve": {"nodes": [
                    {"id": "1", "deps": [edge("2", None)]},
                    {"id": "2", "deps": [edge("3", kind), edge("1", None)]},
                    {"id": "3", "deps": []},
                ]},
            })
        };
        let findings = check_tree(&tree(None, "tokio")).unwrap();
        assert_eq!(says(&findings), "ends up with sealog-verify → harmless → tokio");
        assert_eq!(check_tree(&tree(Some("build"), "openssl-sys")).unwrap().len(), 1);
        assert!(check_tree(&tree(Some("dev"), "tokio")).unwrap().is_empty());
        assert!(check_tree(&tree(None, "serde")).unwrap().is_empty());
        assert!(check_tree(&json!({"packages": []})).is_err());
    }

    #[test]
    fn only_crypto_names_a_primitive() {
        let findings = check_metadata(&package("sealog-pki", "sha2", None)).unwrap();
        assert!(says(&findings).contains("only sealog-crypto names a primitive"));
        assert!(check_metadata(&package("sealog-crypto", "sha2", None)).unwrap().is_empty());
    }

    #[test]
    fn a_pure_room_reads_no_clock_file_or_environment() {
        let cases = [
            ("use std::fs;", "std::fs"),
            ("use std::{collections::BTreeMap, time::SystemTime};", "std::time"),
            ("let home = std::env::var(\"HOME\");", "std::env"),
            ("    ::std::net::TcpStream::connect(a)", "std::net"),
        ];
        for (line, named) in cases {
            let findings = check_source(&source("crates/pki/src/chain.rs", line));
            assert!(says(&findings).contains(named), "{line}");
        }
        let harmless = "use core::fmt; // std::fs is not for us\n#[cfg(test)]\nmod tests { use std::fs; }";
        assert!(check_source(&source("crates/pki/src/chain.rs", harmless)).is_empty());
        assert!(check_source(&source("crates/client/src/lib.rs", "use std::fs;")).is_empty());
    }

    #[test]
    fn a_pure_room_is_no_std() {
        let findings = check_source(&source("crates/tlog/src/lib.rs", "//! Logs.\n\nmod tile;\n"));
        assert_eq!(says(&findings), "a pure room begins with #![no_std]");
    }

    #[test]
    fn a_service_may_not_use_another() {
        for line in [
            "use crate::tsa::api;",
            "use crate::{clock, tsa};",
            "let answer = crate::tsa::answer(request);",
            "use super::super::tsa;",
        ] {
            let findings = check_source(&source("crates/server/src/rekor/api.rs", line));
            assert!(says(&findings).contains("service rekor may not use service tsa"), "{line}");
        }
        let fine = "use crate::ca_pool;\nuse crate::clock;\nuse crate::rekor::api;\n";
        assert!(check_source(&source("crates/server/src/rekor/api.rs", fine)).is_empty());
        assert!(check_source(&source("crates/server/src/run.rs", "use crate::{rekor, tsa};")).is_empty());
    }
}
