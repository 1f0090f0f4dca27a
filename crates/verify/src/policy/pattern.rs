//! Texts that are wanted, exactly or by a pattern for the whole text.

use super::{open, open::Place, shape::Shape};
use alloc::{boxed::Box, format, string::String, vec::Vec};
use core::fmt;

/// Bytes of compiled program a pattern may need.
const PATTERN_SIZE_LIMIT: usize = 1 << 20;
/// Bytes of a pattern's text.
const PATTERN_TEXT_LIMIT: usize = 4096;
/// Cost of one pattern: each character, with repetitions written out, costs three and one more for each group.
/// (Each takes some time to compile, and room for the groups whenever a name is compared.)
const MAX_COST: usize = 1 << 15;
/// Cost of all patterns of one policy.
pub(super) const MAX_COST_OF_ALL: usize = 1 << 18;
/// The least that one costs.
const LEAST_COST: usize = 64;

/// A text that is wanted, exactly or by pattern.
#[derive(Clone, Debug)]
pub enum Match {
    /// This text.
    Exact(String),
    /// Any text of this form.
    Pattern(Pattern),
}

/// A regular expression that must match the whole text.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Box<regex_lite::Regex>,
    /// What its texts look like, one for each way through it.
    shapes: Vec<String>,
    cost: usize,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a regular expression that can be used: {reason}")]
pub struct PatternError {
    /// What is wrong with it.
    pub reason: String,
}

impl Match {
    /// This text and no other.
    #[must_use]
    pub fn exact(text: impl Into<String>) -> Self {
        Self::Exact(text.into())
    }

    /// Any text the pattern matches as a whole, see [`Pattern::new`].
    ///
    /// # Errors
    /// When it is not a regular expression, or a costly one.
    pub fn pattern(text: &str) -> Result<Self, PatternError> {
        Pattern::new(text).map(Self::Pattern)
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Exact(wanted) => wanted == text,
            Self::Pattern(pattern) => pattern.matches(text),
        }
    }

    /// Whether a text is taken, in a place where it says who somebody is. A pattern that names people takes
    /// nobody else, and one that names nobody is as good as its text.
    pub(super) fn takes(&self, place: Place, text: &str) -> bool {
        // Whose it is first: no name that others choose is put to a large program.
        match self {
            Self::Exact(_) => self.matches(text),
            Self::Pattern(pattern) => open::may_be(place, &pattern.shapes, text) && pattern.matches(text),
        }
    }

    /// What is taken in this place though it names nobody, as [`Shape`] has it; none, if there is nothing.
    pub(super) fn nobody(&self, place: Place) -> Option<&str> {
        match self {
            Self::Exact(_) => None,
            Self::Pattern(pattern) => open::nobody(place, &pattern.shapes),
        }
    }

    /// What it costs to have it.
    pub(super) const fn cost(&self) -> usize {
        match self {
            Self::Exact(_) => 0,
            Self::Pattern(pattern) => pattern.cost,
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => f.write_str(text),
            Self::Pattern(pattern) => write!(f, "/{}/", pattern.text),
        }
    }
}

impl Pattern {
    /// A pattern for whole texts: `a.*` does not match `ba`. Unanchored patterns accept whatever an
    /// attacker puts before or after a good name.
    ///
    /// # Errors
    /// When it is not a regular expression, or a costly one.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let too_large = |reason| PatternError { reason };
        if text.len() > PATTERN_TEXT_LIMIT {
            return Err(too_large(format!("it is longer than {PATTERN_TEXT_LIMIT} bytes")));
        }
        let compile = |text: &str| {
            let mut builder = regex_lite::RegexBuilder::new(text);
            let regex = builder.size_limit(PATTERN_SIZE_LIMIT).build();
            regex.map_err(|error| PatternError { reason: format!("{error}") })
        };
        // Of what is not followed, nothing is known but the limit that the compiler holds.
        let (shape, cost) = match Shape::of(text) {
            Some(shape) => {
                let cost = shape.states.saturating_mul(shape.groups.saturating_add(3));
                (shape, cost.max(LEAST_COST))
            }
            None => (Shape::unknown(), MAX_COST),
        };
        if cost > MAX_COST {
            return Err(too_large(format!(
                "it is too large: {cost} of at most {MAX_COST}, as its repetitions are"
            )));
        }
        // On its own first: `a)|(b` is no expression, but would be one between the anchors' brackets.
        compile(text)?;
        let regex = Box::new(compile(&format!(r"\A(?:{text})\z"))?);
        Ok(Self { text: text.into(), regex, shapes: shape.texts, cost })
    }

    /// Whether the whole text is of this form.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        let pattern = Pattern::new(r"https://github\.com/org/.*|.*@example\.com").unwrap();
        assert!(pattern.matches("https://github.com/org/x"));
        assert!(pattern.matches("a@example.com"));
        for bad in
            ["xhttps://github.com/org/x", "a@example.com.evil", "https://githubxcom/org/", "a@example.com\n"]
        {
            assert!(!pattern.matches(bad), "{bad}");
        }
        let lines = Pattern::new(r"(?m)^a$").unwrap();
        assert!(lines.matches("a") && !lines.matches("a\nb"));
    }

    #[test]
    fn a_pattern_cannot_break_out_of_its_anchors() {
        for bad in ["a)|(b", "(", "(?x) a # b", r"a{100000}"] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
        assert!(Pattern::new(&"a".repeat(PATTERN_TEXT_LIMIT + 1)).is_err());
    }

    #[test]
    fn what_a_pattern_may_cost_is_known_before_it_is_compiled() {
        let cost = |text: &str| Pattern::new(text).map(|pattern| pattern.cost);
        assert_eq!((cost("a"), cost(&"a".repeat(100))), (Ok(LEAST_COST), Ok(300)));
        // Each group wants room in every state.
        assert!(cost(&format!("(){}", "a".repeat(100))).unwrap() > 400);
        assert!(cost("a{90}").unwrap() >= 270);
        for large in [".{9000}", "(a{200}){200}", "(?:a?){8000}", &"()".repeat(1900)] {
            let reason = cost(large).unwrap_err().reason;
            assert!(reason.starts_with("it is too large: "), "{reason}");
        }
        // As long as people write them.
        for usual in
            [".{1,200}@example.org", "[A-Za-z0-9_.-]{1,100}", &"[a-z0-9]".repeat(400), &"a".repeat(3000)]
        {
            assert!(cost(usual).is_ok(), "{usual}");
        }
    }
}
