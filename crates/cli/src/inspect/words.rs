//! A description in words: a line for each fact, indented by what it belongs to.
//!
//! Must always hold: what comes from the bundle is shown through `shown`, so that no text in it begins a line of
//! its own; whatever is in the description is in the words.

use super::parts::UNREADABLE;
use sealog_bundle::json::Value;
use sealog_verify::verdict::shown;

/// Where values begin, seen from their own indentation.
const LABEL_WIDTH: usize = 19;

/// One of several, in words.
const SINGULAR: [(&str, &str); 13] = [
    ("log_entries", "log entry"),
    ("timestamps", "timestamp"),
    ("certificates", "certificate"),
    ("chain", "further certificate"),
    ("signatures", "signature"),
    ("subjects", "subject"),
    ("digests", "digest"),
    ("names", "name"),
    ("extensions", "extension"),
    ("scts", "SCT"),
    ("lines", "line"),
    ("unknown_fields", "unknown field"),
    ("refused_because", "refused for"),
];

/// The words for the members of a description.
pub(crate) fn words(description: &Value<'_>) -> String {
    let mut lines = String::new();
    members(description, 0, &mut lines);
    lines
}

/// How many parts of a description could not be read.
pub(crate) fn unreadable_parts(description: &Value<'_>) -> usize {
    match description {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| if name == UNREADABLE { 1 } else { unreadable_parts(value) })
            .sum(),
        Value::Array(elements) => elements.iter().map(unreadable_parts).sum(),
        _ => 0,
    }
}

fn members(value: &Value<'_>, depth: usize, lines: &mut String) {
    let Value::Object(members) = value else { return };
    for (name, value) in members {
        member(name, value, depth, lines);
    }
}

fn member(name: &str, value: &Value<'_>, depth: usize, lines: &mut String) {
    let label = label(name);
    match value {
        // Said once, at the end.
        Value::Bool(_) => {}
        // A path through a tree says nothing to a reader.
        Value::Array(elements) if name == "hashes" => {
            line(&label, &format!("{}", elements.len()), depth, lines)
        }
        Value::Array(elements) => {
            for (at, element) in elements.iter().enumerate() {
                match fact(name, element) {
                    Some(fact) => line(if at == 0 { &label } else { "" }, &fact, depth, lines),
                    None => {
                        section(&format!("{label} {} of {}", at + 1, elements.len()), element, depth, lines)
                    }
                }
            }
        }
        _ => match fact(name, value) {
            Some(fact) => line(&label, &fact, depth, lines),
            None => section(&label, value, depth, lines),
        },
    }
}

fn label(name: &str) -> String {
    match SINGULAR.iter().find(|(plural, _)| *plural == name) {
        Some((_, singular)) => (*singular).to_owned(),
        None if name == UNREADABLE => "cannot be read".to_owned(),
        None => name.replace('_', " "),
    }
}

fn line(label: &str, fact: &str, depth: usize, lines: &mut String) {
    let indent = "  ".repeat(depth);
    lines.push_str(&format!("{indent}{label:<LABEL_WIDTH$}  {}\n", shown(fact)));
}

fn section(label: &str, value: &Value<'_>, depth: usize, lines: &mut String) {
    lines.push_str(&format!("{}{label}\n", "  ".repeat(depth)));
    members(value, depth + 1, lines);
}

/// What fits one line.
fn fact(name: &str, value: &Value<'_>) -> Option<String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    match value {
        Value::String(text) => Some(text.to_string()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Object(members) => match (members.len(), text(UNREADABLE), text("sha256")) {
            (1, Some(why), _) => Some(format!("cannot be read: {why}")),
            (2, _, Some(digest)) => Some(match (text("kind"), value.get("bytes")) {
                (Some(kind), _) => format!("{kind}, sha256:{digest}"),
                (_, Some(Value::Integer(bytes))) => format!("{bytes} bytes, sha256:{digest}"),
                _ => return None,
            }),
            _ if name == "extensions" => Some(extension(value)),
            _ => None,
        },
        Value::Null | Value::Bool(_) | Value::Array(_) => None,
    }
}

fn extension(value: &Value<'_>) -> String {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let name = if text("name").is_empty() { text("oid") } else { text("name") };
    let critical = if value.get("critical") == Some(&Value::Bool(true)) { " (critical)" } else { "" };
    let content = match (value.get("values"), value.get("content")) {
        (Some(Value::Array(values)), _) => {
            values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        (_, Some(content)) => fact("", content).unwrap_or_default(),
        _ => String::new(),
    };
    format!("{name}{critical}: {content}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealog_bundle::json::object;

    #[test]
    fn everything_is_in_the_words_and_nothing_else_begins_a_line() {
        let hostile = "a\nlog entry 2 of 2\u{1b}[2J";
        let part = object([
            ("media_type", Some(Value::text(hostile))),
            ("names", Some(Value::Array(vec![Value::text(hostile), Value::text("b")]))),
            ("log_entries", Some(Value::Array(vec![object([("log_index", Some(Value::Integer(7)))])]))),
            ("chain", Some(object([(UNREADABLE, Some(Value::text("why")))]))),
            ("hashes", Some(Value::Array(vec![Value::text("x"); 3]))),
            ("checked", Some(Value::Bool(false))),
        ]);
        let shown = "a\\u{a}log entry 2 of 2\\u{1b}[2J";
        let expected = format!(
            "media type           {shown}\nname                 {shown}\n                     b\n\
             log entry 1 of 1\n  log index            7\nfurther certificate  cannot be read: why\n\
             hashes               3\n"
        );
        assert_eq!(words(&part), expected);
        assert_eq!(unreadable_parts(&part), 1);
    }
}
