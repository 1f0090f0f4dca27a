//! What a regular expression's texts have in common: which characters are written out, and where anything goes.
//!
//! The expression is read once, as regex-lite reads it, and becomes a few texts, one for each way through its
//! alternatives and optional parts. In them [`ANY`] stands for any text at all, also none. Each text that the
//! expression takes is one of these (with one exception, which [`DOT`] tells): what cannot be said so, or would
//! be too much to say, becomes [`ANY`]. How large its program is, is counted on the way, before one is made.

use alloc::{format, string::String, vec, vec::Vec};
use core::{iter::Peekable, str::Chars};

/// Any text at all, also none.
pub(super) const ANY: char = '\u{0}';
/// A `.` that was not escaped: any character, and the dot that people mean by it in names of hosts. None is left
/// in a finished shape: before a letter it has become the dot, elsewhere [`ANY`].
const DOT: char = '\u{1}';

/// Groups within each other; deeper ones are not followed. (regex-lite stands 50.)
const MAX_GROUPS: usize = 50;
/// Texts of one part that are repeated as they are.
const MAX_REPEATED: usize = 4;
/// Characters of a class that are told apart.
const MAX_CLASS: usize = 4;
/// Characters written for a pattern of a length: so many, and so many for each byte.
const WORK: (usize, usize) = (512, 16);

/// What is known of an expression.
#[derive(Debug)]
pub(super) struct Shape {
    /// One for each way through it.
    pub(super) texts: Vec<String>,
    /// States of its program, about.
    pub(super) states: usize,
    /// Groups that are told apart in a match: each costs room in every state.
    pub(super) groups: usize,
}

impl Shape {
    /// Of an expression; none when this is not one, or one that is not followed.
    pub(super) fn of(pattern: &str) -> Option<Self> {
        let work = WORK.0.saturating_add(WORK.1.saturating_mul(pattern.len()));
        let mut reader = Reader { rest: pattern.chars().peekable(), groups: 0, work };
        let whole = reader.choices(0)?;
        if reader.rest.next().is_some() {
            return None;
        }
        let texts = whole.texts.iter().map(|text| with_dots(text)).collect();
        Some(Self { texts, states: whole.states, groups: reader.groups })
    }

    /// Of what is not followed.
    pub(super) fn unknown() -> Self {
        Self { texts: vec![ANY.into()], states: 0, groups: 0 }
    }
}

/// A dot between letters, or between anything and a letter (`.*.example.org`), is the one that people mean.
fn with_dots(text: &str) -> String {
    let is_letter = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    let mut out = String::with_capacity(text.len());
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let between = before.is_some_and(|c| is_letter(c) || matches!(c, ANY | DOT))
            && rest.peek().is_some_and(|c| is_letter(*c));
        match c {
            DOT if between => out.push('.'),
            DOT => push(&mut out, ANY),
            c => push(&mut out, c),
        }
        before = Some(c);
    }
    out
}

/// Anything after anything is anything.
fn push(text: &mut String, c: char) {
    if c != ANY || !text.ends_with(ANY) {
        text.push(c);
    }
}

/// A part of an expression.
struct Part {
    texts: Vec<String>,
    states: usize,
    /// Whether each of the texts ends with anything, so that nothing more needs to be said.
    ended: bool,
}

impl Part {
    fn text(text: impl Into<String>, states: usize) -> Self {
        Self { texts: vec![text.into()], states, ended: false }
    }

    fn any(states: usize) -> Self {
        Self::text(ANY, states)
    }

    /// Whether it is any one character, or any text.
    fn is_wild(&self) -> bool {
        self.texts.iter().all(|text| text.strip_prefix([ANY, DOT]).is_some_and(str::is_empty))
    }
}

struct Reader<'p> {
    rest: Peekable<Chars<'p>>,
    groups: usize,
    /// Characters that may still be written.
    work: usize,
}

impl Reader<'_> {
    fn choices(&mut self, depth: usize) -> Option<Part> {
        let mut all = self.sequence(depth)?;
        while self.rest.next_if_eq(&'|').is_some() {
            let other = self.sequence(depth)?;
            all.texts.extend(other.texts);
            all.ended &= other.ended;
            all.states = all.states.saturating_add(other.states).saturating_add(1);
        }
        Some(all)
    }

    fn sequence(&mut self, depth: usize) -> Option<Part> {
        let mut all = Part::text("", 0);
        while let Some(c) = self.rest.next_if(|c| !matches!(c, '|' | ')')) {
            let mut part = self.one(c, depth)?;
            while let Some(c) = self.rest.next_if(|c| matches!(c, '?' | '*' | '+' | '{')) {
                let times = self.times(c)?;
                part = self.repeated(part, times);
            }
            self.append(&mut all, part);
        }
        Some(all)
    }

    /// Puts a part behind each of the texts; anything, when that would be too many.
    fn append(&mut self, all: &mut Part, mut part: Part) {
        all.states = all.states.saturating_add(part.states);
        if all.ended {
            return;
        }
        let [heads, tails] = [&all.texts, &part.texts]
            .map(|texts| (texts.len(), texts.iter().map(String::len).sum::<usize>()));
        let copied = if tails.0 > 1 { heads.1.saturating_mul(tails.0) } else { 0 };
        let cost = copied.saturating_add(tails.1.saturating_mul(heads.0)).saturating_add(heads.0);
        let enough = self.work.checked_sub(cost);
        self.work = enough.unwrap_or(0);
        if enough.is_none() {
            part = Part::any(0);
            all.ended = true;
        }
        match part.texts.as_slice() {
            [tail] => all.texts.iter_mut().for_each(|text| tail.chars().for_each(|c| push(text, c))),
            tails => {
                let both = |head: &String, tail: &String| {
                    let mut text = head.clone();
                    tail.chars().for_each(|c| push(&mut text, c));
                    text
                };
                all.texts = all
                    .texts
                    .iter()
                    .flat_map(|head| tails.iter().map(move |tail| both(head, tail)))
                    .collect();
            }
        }
    }

    /// A part so many times: once, none, or something that begins and ends with it.
    fn repeated(&mut self, part: Part, (least, most): (usize, Option<usize>)) -> Part {
        let times = most.unwrap_or_else(|| least.max(1));
        let states = part.states.saturating_add(1).saturating_mul(times).saturating_add(1);
        if times == 0 {
            return Part::text("", states);
        }
        let is_empty = part.texts.iter().all(String::is_empty);
        if is_empty || (least, most) == (1, Some(1)) {
            return Part { states, ..part };
        }
        let cost = part.texts.iter().map(String::len).sum::<usize>().saturating_mul(8).saturating_add(8);
        if part.is_wild() || part.texts.len() > MAX_REPEATED || cost > self.work {
            return Part::any(states);
        }
        self.work = self.work.saturating_sub(cost);
        let mut texts = Vec::new();
        match (part.texts.as_slice(), most) {
            ([one], Some(most)) if most == least && most <= MAX_REPEATED => texts.push(one.repeat(most)),
            (several, _) => {
                // More than once: it begins with it, and it ends with it.
                if most != Some(1) {
                    for first in several {
                        texts.extend(several.iter().map(|last| format!("{first}{ANY}{last}")));
                    }
                }
                if least <= 1 {
                    texts.extend(several.iter().cloned());
                }
                if least == 0 {
                    texts.push(String::new());
                }
            }
        }
        Part { texts, states, ended: false }
    }

    /// How often at least and at most; the sign was read.
    fn times(&mut self, sign: char) -> Option<(usize, Option<usize>)> {
        let times = match sign {
            '?' => (0, Some(1)),
            '*' => (0, None),
            '+' => (1, None),
            _ => {
                let least = self.number()?;
                let most = match self.rest.next_if_eq(&',') {
                    Some(_) if self.rest.peek() == Some(&'}') => None,
                    Some(_) => Some(self.number()?),
                    None => Some(least),
                };
                self.rest.next_if_eq(&'}')?;
                (least, most)
            }
        };
        // As few as possible, or as many.
        self.rest.next_if_eq(&'?');
        Some(times)
    }

    fn number(&mut self) -> Option<usize> {
        let mut digits = String::new();
        while let Some(c) = self.rest.next_if(char::is_ascii_digit) {
            digits.push(c);
        }
        digits.parse().ok()
    }

    /// One part, without how often it is there.
    fn one(&mut self, first: char, depth: usize) -> Option<Part> {
        match first {
            '^' | '$' => Some(Part::text("", 1)),
            '.' => Some(Part::text(DOT, 1)),
            '(' => self.group(depth),
            '[' => self.class(),
            '\\' => self.escape(),
            ANY | DOT => Some(Part::any(1)),
            '?' | '*' | '+' | '{' => None,
            c => Some(Part::text(c, 1)),
        }
    }

    fn group(&mut self, depth: usize) -> Option<Part> {
        if depth >= MAX_GROUPS {
            return None;
        }
        if self.rest.next_if_eq(&'?').is_none() {
            self.groups = self.groups.saturating_add(1);
        } else if self.rest.next_if_eq(&'P').is_some() || self.rest.peek() == Some(&'<') {
            self.rest.next_if_eq(&'<')?;
            while self.rest.next()? != '>' {}
            self.groups = self.groups.saturating_add(1);
        } else {
            loop {
                match self.rest.next()? {
                    ':' => break,
                    ')' => return Some(Part::text("", 0)),
                    // With `x`, white space and `#` would mean nothing.
                    'i' | 'm' | 's' | 'u' | 'U' | 'R' | '-' => {}
                    _ => return None,
                }
            }
        }
        let mut inside = self.choices(depth.saturating_add(1))?;
        self.rest.next_if_eq(&')')?;
        inside.states = inside.states.saturating_add(2);
        Some(inside)
    }

    /// After the backslash.
    fn escape(&mut self) -> Option<Part> {
        match self.rest.next()? {
            'A' | 'z' | 'B' | '<' | '>' => Some(Part::text("", 1)),
            'b' => {
                let mut ahead = self.rest.clone();
                let named = ahead.next() == Some('{')
                    && ahead.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '-');
                while named && self.rest.next()? != '}' {}
                Some(Part::text("", 1))
            }
            'd' | 's' | 'w' | 'D' | 'S' | 'W' => Some(Part::any(2)),
            'a' | 'f' | 't' | 'n' | 'r' | 'v' => Some(Part::any(1)),
            c @ ('x' | 'u' | 'U') => Some(match self.code(c)? {
                ANY | DOT => Part::any(1),
                c => Part::text(c, 1),
            }),
            c if c.is_ascii_alphanumeric() => None,
            c => Some(Part::text(c, 1)),
        }
    }

    /// A character by its number.
    fn code(&mut self, kind: char) -> Option<char> {
        let mut digits = String::new();
        if self.rest.next_if_eq(&'{').is_some() {
            while let Some(c) = self.rest.next_if(char::is_ascii_hexdigit) {
                digits.push(c);
            }
            self.rest.next_if_eq(&'}')?;
        } else {
            let length = match kind {
                'x' => 2,
                'u' => 4,
                _ => 8,
            };
            for _ in 0..length {
                digits.push(self.rest.next_if(char::is_ascii_hexdigit)?);
            }
        }
        char::from_u32(u32::from_str_radix(&digits, 16).ok()?)
    }

    /// To the end of a class, of which the bracket was read.
    fn class(&mut self) -> Option<Part> {
        let mut class = Class { wild: self.rest.next_if_eq(&'^').is_some(), ..Class::default() };
        while self.rest.next_if_eq(&'-').is_some() {
            class.put('-');
        }
        // A bracket in first place is one of the class.
        if class.ranges == 0 && self.rest.next_if_eq(&']').is_some() {
            class.put(']');
        }
        loop {
            let first = match self.rest.next()? {
                ']' => break,
                // `[:alpha:]`; the only brackets within brackets.
                '[' => {
                    self.rest.next_if_eq(&':')?;
                    while self.rest.next()? != ']' {}
                    None
                }
                '\\' => self.in_class()?,
                c => Some(c),
            };
            let mut ahead = self.rest.clone();
            let is_range = ahead.next() == Some('-') && !matches!(ahead.next(), None | Some(']' | '-'));
            if is_range {
                self.rest.next();
                if self.rest.next()? == '\\' {
                    self.in_class()?;
                }
            }
            match first {
                Some(c) if !is_range => class.put(c),
                _ => class.wide(),
            }
        }
        Some(class.part())
    }

    /// An escape within a class: the character, when it is one.
    fn in_class(&mut self) -> Option<Option<char>> {
        let part = self.escape()?;
        let [text] = part.texts.as_slice() else { return None };
        let mut characters = text.chars();
        Some(characters.next().filter(|c| *c != ANY && characters.next().is_none()))
    }
}

/// The characters of a class, when they are few.
#[derive(Default)]
struct Class {
    few: Vec<char>,
    wild: bool,
    ranges: usize,
}

impl Class {
    fn put(&mut self, c: char) {
        self.ranges = self.ranges.saturating_add(1);
        // Names are compared with no regard to case.
        if !self.few.iter().any(|known| known.eq_ignore_ascii_case(&c)) {
            self.few.push(c);
        }
        self.wild |= self.few.len() > MAX_CLASS || matches!(c, ANY | DOT);
        self.few.truncate(MAX_CLASS);
    }

    const fn wide(&mut self) {
        self.ranges = self.ranges.saturating_add(4);
        self.wild = true;
    }

    fn part(self) -> Part {
        // A range needs a fourth of what a state does.
        let states = self.ranges.div_euclid(4).saturating_add(1);
        match self.wild {
            true => Part::any(states),
            false => Part { texts: self.few.into_iter().map(String::from).collect(), states, ended: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `*` for any text.
    fn texts(pattern: &str) -> Vec<String> {
        let shape = Shape::of(pattern).unwrap_or_else(|| panic!("{pattern} is not followed"));
        shape.texts.iter().map(|text| text.replace(ANY, "*")).collect()
    }

    #[test]
    fn expressions_are_followed_along_every_way() {
        for (pattern, expected) in [
            ("", vec![""]),
            ("abc", vec!["abc"]),
            ("^abc$", vec!["abc"]),
            ("a|b|", vec!["a", "b", ""]),
            (r"a\.b\d\w[x-z]", vec!["a.b*"]),
            ("a.b", vec!["a.b"]),
            ("a.*b", vec!["a*b"]),
            ("a..b|.a|a.|a./b", vec!["a*.b", "*a", "a*", "a*/b"]),
            ("/.*.b", vec!["/*.b"]),
            ("a.{3}b.+?c", vec!["a*b*c"]),
            ("(?i)a(b|c)?d", vec!["abd", "acd", "ad"]),
            ("a{3}[^q]{2,}", vec!["aaa*"]),
            ("(ab){5}", vec!["ab*ab"]),
            ("(ab){1}(?:cd){0}", vec!["ab"]),
            ("(ab)+", vec!["ab*ab", "ab"]),
            (r"([a-z]+\.)*c", vec!["*.*.c", "*.c", "c"]),
            ("(?P<n>x|y)z|(?<m>w)", vec!["xz", "yz", "w"]),
            (r"[]a]\x{41}\x41\u0041", vec!["]AAA", "aAAA"]),
            (r"[.][oO][/][-]", vec![".o/-"]),
            (r"[a-]|[\]]|[[:alpha:]]|[^a]|[\d]|[\.]", vec!["a", "-", "]", "*", "*", "*", "."]),
            (r"a\b{start}b\Bc\b{2}", vec!["abc"]),
            ("a\u{0}b[\u{1}]", vec!["a*b*"]),
            (r"ya?ml", vec!["yaml", "yml"]),
            ("((((a))))", vec!["a"]),
            ("a??b*?", vec!["ab*b", "ab", "a", "b*b", "b", ""]),
        ] {
            let (mut made, mut expected) = (texts(pattern), expected);
            made.sort_unstable();
            expected.sort_unstable();
            assert_eq!(made, expected, "{pattern}");
            assert!(regex_lite::Regex::new(pattern).is_ok(), "{pattern}");
        }
        for not_followed in ["(", ")", "a)|(b", "[a", "a{2", "(?x) a", "*", r"\p{L}", "(?=a)", r"\1"] {
            assert!(Shape::of(not_followed).is_none(), "{not_followed}");
        }
    }

    #[test]
    fn what_would_be_too_much_is_anything() {
        for (pattern, most) in [
            ("(a|b)".repeat(800), 8192),
            ("(a|b|c|d|e|f|g|h)".repeat(200), 8192),
            ("(.?){1500}@example".into(), 1),
            (format!("{}a{}", "(".repeat(40), ")*".repeat(40)), 4096),
            (format!("({}){{9}}", "a|".repeat(1900)), 1),
            ("(a{2000}){2000}".into(), 1),
        ] {
            let shape = Shape::of(&pattern).unwrap();
            let bytes: usize = shape.texts.iter().map(String::len).sum();
            assert!(shape.texts.len() <= most, "{} texts", shape.texts.len());
            assert!(bytes <= WORK.0 + WORK.1 * pattern.len(), "{bytes} bytes");
        }
        assert!(Shape::of("(a{2000}){2000}").unwrap().states >= 4_000_000);
        assert!(Shape::of(&format!("{}a{}", "(".repeat(51), ")".repeat(51))).is_none());
        assert_eq!(Shape::of("(a)(?:b)(?P<n>c)").unwrap().groups, 2);
    }

    /// Whatever an expression takes is of its shape.
    #[test]
    fn every_text_that_is_taken_is_of_the_shape() {
        let pieces =
            ["a", "b", ".", "/", "[ab]", "(a|b)", "(a/)?", "[^a]", r"\.", "b*", "(ab)+", ".?", "a{2}"];
        let words = ["", "a", "b", ".", "/", "ab"];
        let is_of = |text: &str, shape: &str| {
            let mut rest = text;
            let mut parts = shape.split(ANY);
            let first = parts.next().unwrap_or_default();
            let Some(after) = rest.strip_prefix(first) else { return false };
            rest = after;
            let mut last = None;
            for part in parts {
                if let Some(part) = last.replace(part) {
                    let Some(at) = rest.find(part) else { return false };
                    rest = rest.get(at + part.len()..).unwrap_or_default();
                }
            }
            last.map_or(rest.is_empty(), |last| rest.ends_with(last))
        };
        let mut taken = 0;
        for one in pieces {
            for two in pieces {
                for three in pieces {
                    let pattern = [one, two, three].concat();
                    let shape = Shape::of(&pattern).unwrap();
                    let regex = regex_lite::Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap();
                    for text in words.iter().flat_map(|a| words.map(|b| words.map(|c| [a, b, c].concat()))) {
                        for text in text {
                            if !regex.is_match(&text) {
                                continue;
                            }
                            taken += 1;
                            // But for a dot that was not escaped, between letters.
                            let between =
                                pattern.contains('.') && shape.texts.iter().any(|t| t.contains('.'));
                            assert!(
                                between || shape.texts.iter().any(|shape| is_of(&text, shape)),
                                "{pattern} takes {text:?}, {:?}",
                                shape.texts
                            );
                        }
                    }
                }
            }
        }
        assert!(taken > 10_000, "{taken}");
    }
}
