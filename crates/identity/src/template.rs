//! Templates that turn claims into a certificate's values: a small part of Go's text/template.
//!
//! Spec: sigstore/fulcio docs and its shipped `config/identity/config.yaml`. Text without `{{` is the
//! name of a claim. Otherwise it is text with actions: `{{ .claim }}`, `{{ index . "a.b/c" }}` for names
//! that are no words, and `{{if eq A "text"}}…{{else}}…{{end}}`. Nothing else is accepted, and a
//! mistake is found when the configuration is read, not when someone signs.

use alloc::{borrow::ToOwned as _, string::String, vec::Vec};

/// Conditions within conditions; the shipped configuration has one.
const MAX_NESTING: usize = 8;

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Node>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Text(String),
    Value(Source),
    Choice { left: Source, right: Source, equal: Vec<Node>, otherwise: Vec<Node> },
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Name(String),
    Literal(String),
}

/// What a template wants a name for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It becomes part of the text.
    Text,
    /// It is compared, and goes nowhere.
    Comparison,
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Nothing at all.
    #[error("the template is empty")]
    Empty,
    /// `{{` without `}}`.
    #[error("an action is opened with {{{{ and not closed")]
    Unclosed,
    /// An action outside the subset.
    #[error("the action {0:?} is not known here")]
    Action(String),
    /// `else` or `end` without `if`, or `else` twice.
    #[error("{0:?} belongs to no condition")]
    Unmatched(&'static str),
    /// `if` without `end`.
    #[error("a condition has no end")]
    NoEnd,
    /// Too many conditions within each other.
    #[error("more than {MAX_NESTING} conditions within each other")]
    TooDeep,
}

/// A condition whose end was not met yet.
struct Open {
    left: Source,
    right: Source,
    equal: Option<Vec<Node>>,
    before: Vec<Node>,
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// See [`TemplateError`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.trim().is_empty() {
            return Err(TemplateError::Empty);
        }
        if !text.contains("{{") {
            return Ok(Self(alloc::vec![Node::Value(Source::Name(text.to_owned()))]));
        }
        let mut open: Vec<Open> = Vec::new();
        let mut nodes = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            if !before.is_empty() {
                nodes.push(Node::Text(before.to_owned()));
            }
            let (action, after) = split_action(after).ok_or(TemplateError::Unclosed)?;
            rest = after;
            match parse_action(action)? {
                Action::Value(source) => nodes.push(Node::Value(source)),
                Action::If(left, right) => {
                    if open.len() >= MAX_NESTING {
                        return Err(TemplateError::TooDeep);
                    }
                    open.push(Open { left, right, equal: None, before: core::mem::take(&mut nodes) });
                }
                Action::Else => {
                    let condition = open.last_mut().filter(|condition| condition.equal.is_none());
                    let condition = condition.ok_or(TemplateError::Unmatched("else"))?;
                    condition.equal = Some(core::mem::take(&mut nodes));
                }
                Action::End => {
                    let Open { left, right, equal, before } =
                        open.pop().ok_or(TemplateError::Unmatched("end"))?;
                    let last = core::mem::replace(&mut nodes, before);
                    let (equal, otherwise) = match equal {
                        Some(equal) => (equal, last),
                        None => (last, Vec::new()),
                    };
                    nodes.push(Node::Choice { left, right, equal, otherwise });
                }
            }
        }
        if !open.is_empty() {
            return Err(TemplateError::NoEnd);
        }
        if !rest.is_empty() {
            nodes.push(Node::Text(rest.to_owned()));
        }
        Ok(Self(nodes))
    }

    /// The text with every name replaced by what `lookup` says of it.
    ///
    /// # Errors
    /// The first error of `lookup`; names in a branch not taken are not looked up.
    pub fn render<E>(&self, lookup: &impl Fn(&str, Use) -> Result<String, E>) -> Result<String, E> {
        let mut out = String::new();
        render(&self.0, lookup, &mut out)?;
        Ok(out)
    }

    /// The text up to the first thing that `constant` does not know: what no token can change.
    #[must_use]
    pub fn fixed_prefix<'a>(&'a self, constant: impl Fn(&str) -> Option<&'a str>) -> String {
        let mut out = String::new();
        for node in &self.0 {
            let text = match node {
                Node::Text(text) | Node::Value(Source::Literal(text)) => Some(text.as_str()),
                Node::Value(Source::Name(name)) => constant(name),
                Node::Choice { .. } => None,
            };
            match text {
                Some(text) => out.push_str(text),
                None => break,
            }
        }
        out
    }
}

fn render<E>(
    nodes: &[Node],
    lookup: &impl Fn(&str, Use) -> Result<String, E>,
    out: &mut String,
) -> Result<(), E> {
    let value = |source: &Source, wanted: Use| match source {
        Source::Name(name) => lookup(name, wanted),
        Source::Literal(text) => Ok(text.clone()),
    };
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Value(source) => out.push_str(&value(source, Use::Text)?),
            // At most MAX_NESTING deep: parsing saw to it.
            Node::Choice { left, right, equal, otherwise } => {
                let same = value(left, Use::Comparison)? == value(right, Use::Comparison)?;
                let branch = if same { equal } else { otherwise };
                render(branch, lookup, out)?;
            }
        }
    }
    Ok(())
}

/// What stands before the closing braces, which do not count inside quotes, and what follows them.
fn split_action(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        if c == '"' {
            quoted = !quoted;
        }
        let here = text.get(at..)?;
        if let (false, Some(after)) = (quoted, here.strip_prefix("}}")) {
            return Some((text.get(..at)?, after));
        }
    }
    None
}

enum Action {
    Value(Source),
    If(Source, Source),
    Else,
    End,
}

#[derive(Clone, PartialEq, Eq)]
enum Word<'a> {
    /// `.name`
    Field(&'a str),
    /// `"text"`
    Quoted(&'a str),
    /// `index`, `if`, `.`, `(`, …
    Plain(&'a str),
}

fn parse_action(action: &str) -> Result<Action, TemplateError> {
    let unknown = || TemplateError::Action(action.trim().to_owned());
    let words = words(action).ok_or_else(unknown)?;
    if let [Word::Plain("else")] = words.as_slice() {
        return Ok(Action::Else);
    }
    if let [Word::Plain("end")] = words.as_slice() {
        return Ok(Action::End);
    }
    if let [Word::Plain("if"), Word::Plain("eq"), operands @ ..] = words.as_slice() {
        let (left, rest) = operand(operands).ok_or_else(unknown)?;
        let (right, rest) = operand(rest).ok_or_else(unknown)?;
        return if rest.is_empty() { Ok(Action::If(left, right)) } else { Err(unknown()) };
    }
    match index(&words).or_else(|| operand(&words)) {
        Some((source, [])) => Ok(Action::Value(source)),
        _ => Err(unknown()),
    }
}

/// `.name`, `"text"`, or an `index` in parentheses; and the words after it.
fn operand<'a, 'w>(words: &'w [Word<'a>]) -> Option<(Source, &'w [Word<'a>])> {
    match words {
        [Word::Field(name), rest @ ..] => Some((Source::Name((*name).to_owned()), rest)),
        [Word::Quoted(text), rest @ ..] => Some((Source::Literal((*text).to_owned()), rest)),
        [Word::Plain("("), inner @ ..] => match index(inner)? {
            (source, [Word::Plain(")"), rest @ ..]) => Some((source, rest)),
            _ => None,
        },
        _ => None,
    }
}

/// `index . "name"`, and the words after it.
fn index<'a, 'w>(words: &'w [Word<'a>]) -> Option<(Source, &'w [Word<'a>])> {
    match words {
        [Word::Plain("index"), Word::Plain("."), Word::Quoted(name), rest @ ..] => {
            Some((Source::Name((*name).to_owned()), rest))
        }
        _ => None,
    }
}

fn words(action: &str) -> Option<Vec<Word<'_>>> {
    let mut words = Vec::new();
    let mut rest = action.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '"' => {
                let (text, after) = rest.strip_prefix('"')?.split_once('"')?;
                // Escapes would need Go's rules; no name needs one.
                if text.contains('\\') {
                    return None;
                }
                (Word::Quoted(text), after)
            }
            '(' | ')' => {
                let (mark, after) = rest.split_at_checked(1)?;
                (Word::Plain(mark), after)
            }
            _ => {
                let end = rest.find(|c: char| c.is_whitespace() || "()\"".contains(c)).unwrap_or(rest.len());
                let (word, after) = rest.split_at_checked(end)?;
                let name = word.strip_prefix('.').filter(|name| !name.is_empty());
                match name {
                    Some(name) if is_word(name) => (Word::Field(name), after),
                    Some(_) => return None,
                    None => (Word::Plain(word), after),
                }
            }
        };
        words.push(word);
        rest = after.trim_start();
    }
    Some(words)
}

fn is_word(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    fn rendered(template: &str) -> Result<String, String> {
        let template = Template::parse(template).map_err(|e| e.to_string())?;
        template.render(&|name, _| match name {
            "url" => Ok("https://ci.example".to_string()),
            "ref" => Ok("main".to_string()),
            "ref_type" => Ok("branch".to_string()),
            "hostile" => Ok(r#"{{ .url }}{{if eq .ref "main"}}"#.to_string()),
            "ci.example/job-id" => Ok("7".to_string()),
            other => Err(alloc::format!("no {other}")),
        })
    }

    #[test]
    fn what_the_shipped_configuration_uses() {
        assert_eq!(rendered("ref"), Ok("main".into()));
        assert_eq!(rendered("{{ .url }}/{{.ref}}#x"), Ok("https://ci.example/main#x".into()));
        let gitlab = r#"refs/{{if eq .ref_type "branch"}}heads/{{ else }}tags/{{end}}{{ .ref }}"#;
        assert_eq!(rendered(gitlab), Ok("refs/heads/main".into()));
        assert_eq!(rendered(r#"{{(index . "ci.example/job-id")}}!"#), Ok("7!".into()));
        assert_eq!(rendered(r#"{{index . "ci.example/job-id"}}"#), Ok("7".into()));
        let circle = r#"{{if eq (index . "ci.example/job-id") "8"}}a{{ else }}b{{end}}"#;
        assert_eq!(rendered(circle), Ok("b".into()));
        assert_eq!(rendered(r#"{{if eq .ref "x"}}a{{end}}c"#), Ok("c".into()));
        assert_eq!(rendered(r#"{{"}}"}}"#), Ok("}}".into()));
    }

    #[test]
    fn what_a_claim_says_is_no_template() {
        let said = r#"{{ .url }}{{if eq .ref "main"}}"#;
        assert_eq!(rendered("hostile"), Ok(said.into()));
        assert_eq!(rendered("{{.ref}}/{{.hostile}}/{{.ref}}"), Ok(alloc::format!("main/{said}/main")));
    }

    #[test]
    fn a_name_that_is_not_there_is_an_error_only_where_it_is_used() {
        assert_eq!(rendered("missing"), Err("no missing".into()));
        assert_eq!(rendered(r#"{{if eq .ref "main"}}a{{else}}{{.missing}}{{end}}"#), Ok("a".into()));
    }

    #[test]
    fn everything_else_is_refused_when_read() {
        let error = |text: &str| Template::parse(text).unwrap_err();
        assert_eq!(error(" "), TemplateError::Empty);
        assert_eq!(error(r#"{{"a\"b"}}"#), TemplateError::Unclosed);
        assert_eq!(error("{{ .a"), TemplateError::Unclosed);
        assert_eq!(error("{{end}}"), TemplateError::Unmatched("end"));
        assert_eq!(error("{{else}}"), TemplateError::Unmatched("else"));
        assert_eq!(error(r#"{{if eq .a "b"}}"#), TemplateError::NoEnd);
        assert_eq!(error(&r#"{{if eq .a "b"}}"#.repeat(9)), TemplateError::TooDeep);
        let twice = r#"{{if eq .a "b"}}{{else}}{{else}}{{end}}"#;
        assert_eq!(error(twice), TemplateError::Unmatched("else"));
        for action in [
            "{{range .a}}",
            "{{.a | print}}",
            "{{.a.b}}",
            "{{- .a}}",
            "{{if .a}}",
            "{{}}",
            "{{.}}",
            "{{call .a}}",
            "{{.1a}}",
            "{{if eq .a}}",
            r#"{{index . "a" "b"}}"#,
        ] {
            assert!(matches!(error(action), TemplateError::Action(_)), "{action}");
        }
    }

    #[test]
    fn the_prefix_ends_where_a_token_has_a_say() {
        let template = Template::parse("{{.url}}/x/{{.ref}}/{{.url}}").unwrap();
        let constant = |name: &str| (name == "url").then_some("https://ci.example");
        assert_eq!(template.fixed_prefix(constant), "https://ci.example/x/");
    }
}
