//! Whether a pattern takes names that anybody can have.
//!
//! A pattern cannot be asked how much it takes, but it can be tried: with names that nobody would have meant, and
//! with names made from itself whose owner is then exchanged: the organisation at a forge that is open to all, the
//! domain of a mailbox or host, or those with something before or behind them (`https://github\.com/org.*` also
//! takes `org-of-somebody-else`).
//!
//! What is tried is never all there is: a pattern that passes may still be wider than its author thinks.

use super::Match;
use alloc::{format, string::String, vec, vec::Vec};
use core::{iter::Peekable, str::CharIndices};
use sealog_pki::fulcio_extensions::FulcioExtension;

/// Names that anybody can have: a pattern that takes one of them takes everybody, or everybody with a
/// mailbox, or everybody at a provider that is open to all.
const ANYBODY: [&str; 11] = [
    "quzkwv@hzpwqk.invalid",
    "quzkwv@gmail.com",
    "https://hzpwqk.invalid/quzkwv",
    "quzkwv",
    "q7zk1f9e@8f3a2c.invalid",
    "https://8f3a2c.invalid/q7zk/1f9e",
    "q7zk1f9e!8f3a2c.invalid",
    "q7zk1f9e@gmail.com",
    "https://github.com/q7zk-1f9e/8f3a2c/.github/workflows/q7zk.yml@refs/heads/8f3a2c",
    "https://gitlab.com/q7zk-1f9e/8f3a2c//.gitlab-ci.yml@refs/heads/8f3a2c",
    "spiffe://8f3a2c.invalid/q7zk",
];
/// Providers that nobody would have meant.
const ANY_PROVIDER: [&str; 3] =
    ["https://hzpwqk.invalid", "https://8f3a2c.invalid", "https://8f3a2c.invalid/q7zk"];
/// Values of extensions that nobody would have meant.
const ANY_VALUE: [&str; 7] = [
    "quzkwv",
    "q7zk1f9e",
    "https://8f3a2c.invalid/q7zk",
    "https://github.com/q7zk-1f9e",
    "https://github.com/q7zk-1f9e/8f3a2c",
    "q7zk-1f9e/8f3a2c",
    "0123456789",
];

/// Extensions that say whose something is: the repository, its owner, the build's definition, one run, the token's
/// subject. The others say how it was made (trigger, runner, ref), as anybody can make theirs, or which commit,
/// which every fork has.
const SAYS_WHOSE: [u8; 9] = [5, 9, 12, 15, 16, 17, 18, 21, 24];

/// Hosts where anybody can be the first step of a path.
const OPEN_HOSTS: [&str; 6] =
    ["github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "buildkite.com", "dev.azure.com"];
/// Domains where anybody can have a mailbox.
const OPEN_DOMAINS: [&str; 9] = [
    "gmail.com",
    "googlemail.com",
    "outlook.com",
    "hotmail.com",
    "yahoo.com",
    "icloud.com",
    "proton.me",
    "protonmail.com",
    "users.noreply.github.com",
];

/// Names of somebody whom nobody would have meant, one for patterns that take only letters.
const STRANGERS: [&str; 2] = ["8f3a2c", "hzpwqk"];

pub(super) fn takes_anybody(identity: &Match) -> bool {
    identity.takes_any_of(&ANYBODY) || takes_a_stranger(identity)
}

pub(super) fn takes_any_provider(issuer: &Match) -> bool {
    issuer.takes_any_of(&ANY_PROVIDER) || takes_a_stranger(issuer)
}

/// Whether not everybody can have a certificate with this extension.
pub(super) fn says_whose(extension: &FulcioExtension, value: &Match) -> bool {
    SAYS_WHOSE.contains(&extension.number) && !value.takes_any_of(&ANY_VALUE) && !takes_a_stranger(value)
}

/// Whether a name that the pattern takes can be given to somebody else.
fn takes_a_stranger(wanted: &Match) -> bool {
    let Match::Pattern(pattern) = wanted else { return false };
    let taken = samples(pattern.text()).into_iter().filter(|name| pattern.matches(name));
    taken.flat_map(|name| strangers(&name)).any(|name| pattern.matches(&name))
}

/// A name as others could have it.
fn strangers(name: &str) -> Vec<String> {
    STRANGERS.into_iter().flat_map(|stranger| Stranger(stranger).named_like(name)).collect()
}

struct Stranger(&'static str);

impl Stranger {
    fn named_like(&self, name: &str) -> Vec<String> {
        let is_scheme = |scheme: &str| scheme.bytes().all(|b| b.is_ascii_alphanumeric());
        if let Some((scheme, rest)) = name.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let hosts = self.domains(host).into_iter().map(|host| format!("{scheme}://{host}{path}"));
            let mut names: Vec<String> = hosts.collect();
            if OPEN_HOSTS.contains(&host) {
                let paths = self.paths(path.strip_prefix('/').unwrap_or_default());
                names.extend(paths.iter().map(|path| format!("{scheme}://{host}/{path}")));
            }
            return names;
        }
        // `org/app`, as one extension has it, or an address without a scheme.
        if name.contains('/') {
            return self.paths(name);
        }
        let Some((at, mark)) = name.rmatch_indices(['@', '!']).next() else { return Vec::new() };
        let (local, domain) = name.split_at(at);
        let domain = domain.strip_prefix(mark).unwrap_or_default();
        let domains = self.domains(domain).into_iter().map(|domain| format!("{local}{mark}{domain}"));
        let mut names: Vec<String> = domains.collect();
        if OPEN_DOMAINS.contains(&domain) {
            names.extend(self.around(local).iter().map(|local| format!("{local}{mark}{domain}")));
        }
        names
    }

    /// A path with another first step.
    fn paths(&self, path: &str) -> Vec<String> {
        let (owner, rest) = path.split_at(path.find(['/', '@', '?', '#']).unwrap_or(path.len()));
        let owners = self.around(owner).into_iter().chain([String::from(self.0)]);
        owners.map(|owner| format!("{owner}{rest}")).collect()
    }

    fn around(&self, name: &str) -> [String; 4] {
        let Self(own) = self;
        [format!("{name}{own}"), format!("{name}-{own}"), format!("{own}{name}"), format!("{own}-{name}")]
    }

    /// Host names: any, one under the same top, one that ends or begins like this one.
    fn domains(&self, host: &str) -> Vec<String> {
        let Self(own) = self;
        let labels: Vec<&str> = host.split('.').collect();
        let Some((top, below)) = labels.split_last() else { return Vec::new() };
        // `example.co.uk` is registered under two labels.
        let public = ["co", "com", "org", "net", "ac", "gov"];
        let suffix = match below.last() {
            Some(second) if top.len() == 2 && below.len() > 1 && public.contains(second) => {
                format!("{second}.{top}")
            }
            _ => String::from(*top),
        };
        let registered =
            host.strip_suffix(&suffix).and_then(|rest| rest.strip_suffix('.')).unwrap_or_default();
        let (subdomains, name) = match registered.rsplit_once('.') {
            Some((subdomains, name)) => (format!("{subdomains}."), name),
            None => (String::new(), registered),
        };
        let mut hosts = vec![
            format!("{own}.com"),
            format!("{own}.{suffix}"),
            format!("{subdomains}{own}.{suffix}"),
            format!("{host}.{own}.com"),
            format!("{host}-{own}.com"),
        ];
        if !name.is_empty() {
            hosts.push(format!("{own}{name}.{suffix}"));
            hosts.push(format!("{subdomains}{own}{name}.{suffix}"));
        }
        hosts
    }
}

/// As many names are made of one pattern.
const MAX_SAMPLES: usize = 32;
/// Of so many bytes each.
const MAX_SAMPLE_BYTES: usize = 2048;
/// Groups within each other; of deeper ones no names are made.
const MAX_GROUPS: usize = 32;
/// What stands for a repeated `.`: a plain name, or a mailbox, whose domain may be what comes next.
const ANYTHING: [&str; 2] = ["q7", "q@q7"];

/// Names made from a pattern; a try, which the pattern itself must confirm.
fn samples(pattern: &str) -> Vec<String> {
    let mut walk = Walk { text: pattern, rest: pattern.char_indices().peekable() };
    walk.choices(0).unwrap_or_default()
}

/// A walk along a regular expression that chooses a text for every part.
struct Walk<'p> {
    text: &'p str,
    rest: Peekable<CharIndices<'p>>,
}

impl Walk<'_> {
    fn choices(&mut self, depth: usize) -> Option<Vec<String>> {
        let mut all = Vec::new();
        loop {
            all.extend(self.sequence(depth)?);
            all.truncate(MAX_SAMPLES);
            if self.rest.next_if(|(_, c)| *c == '|').is_none() {
                return Some(all);
            }
        }
    }

    fn sequence(&mut self, depth: usize) -> Option<Vec<String>> {
        let mut all = vec![String::new()];
        while let Some((start, c)) = self.rest.next_if(|(_, c)| !matches!(c, '|' | ')')) {
            let part = self.part(start, c, depth)?;
            let (times, many) = self.times()?;
            if part.iter().any(|text| text.len().saturating_mul(times) > MAX_SAMPLE_BYTES) {
                return None;
            }
            let part = match c {
                '.' if many => ANYTHING.map(String::from).to_vec(),
                _ => part.iter().map(|text| text.repeat(times)).collect(),
            };
            let longer = all.iter().flat_map(|head| part.iter().map(move |tail| format!("{head}{tail}")));
            all = longer.take(MAX_SAMPLES).collect();
            if all.iter().any(|text| text.len() > MAX_SAMPLE_BYTES) {
                return None;
            }
        }
        Some(all)
    }

    /// One part, without how often it is there.
    fn part(&mut self, start: usize, first: char, depth: usize) -> Option<Vec<String>> {
        match first {
            '^' | '$' => Some(vec![String::new()]),
            '(' => self.group(depth),
            '[' => {
                self.class()?;
                self.one_of(start)
            }
            '\\' => match self.rest.next()?.1 {
                'A' | 'z' | 'b' | 'B' => Some(vec![String::new()]),
                c if c.is_ascii_alphanumeric() => {
                    // A code point in braces, perhaps.
                    if matches!(c, 'x' | 'u' | 'U') && self.rest.next_if(|(_, c)| *c == '{').is_some() {
                        while self.rest.next()?.1 != '}' {}
                    }
                    self.one_of(start)
                }
                c => Some(vec![c.into()]),
            },
            '.' => Some(vec!["q".into()]),
            c => Some(vec![c.into()]),
        }
    }

    fn group(&mut self, depth: usize) -> Option<Vec<String>> {
        if depth >= MAX_GROUPS {
            return None;
        }
        if self.rest.next_if(|(_, c)| *c == '?').is_some() {
            // Flags or a name; flags may stand alone.
            loop {
                match self.rest.next()?.1 {
                    ')' => return Some(vec![String::new()]),
                    ':' | '>' => break,
                    _ => {}
                }
            }
        }
        let choices = self.choices(depth.saturating_add(1))?;
        self.rest.next_if(|(_, c)| *c == ')')?;
        Some(choices)
    }

    /// To the end of a class, of which the bracket was read.
    fn class(&mut self) -> Option<()> {
        let mut open = 1_usize;
        self.rest.next_if(|(_, c)| *c == '^');
        // A bracket in first place is one of the class.
        self.rest.next_if(|(_, c)| *c == ']');
        while open > 0 {
            match self.rest.next()?.1 {
                '\\' => drop(self.rest.next()?),
                '[' => open = open.saturating_add(1),
                ']' => open = open.saturating_sub(1),
                _ => {}
            }
        }
        Some(())
    }

    /// A character that the part from `start` on takes.
    fn one_of(&mut self, start: usize) -> Option<Vec<String>> {
        let end = self.rest.peek().map_or(self.text.len(), |(end, _)| *end);
        let part = Match::pattern(self.text.get(start..end)?).ok()?;
        let usual = ['q', '7', 'Q', '-', '/', '@', '.'];
        let mut characters = usual.into_iter().chain(' '..='~').map(String::from);
        characters.find(|c| part.matches(c)).map(|c| vec![c])
    }

    /// How often a part is there in the names made, and whether it may be there without end.
    fn times(&mut self) -> Option<(usize, bool)> {
        let times = match self.rest.peek().map(|(_, c)| *c) {
            Some('*' | '+') => (1, true),
            Some('?') => (1, false),
            Some('{') => {
                let mut least = String::new();
                self.rest.next();
                while let Some((_, c)) = self.rest.next_if(|(_, c)| c.is_ascii_digit()) {
                    least.push(c);
                }
                let many = self.rest.next_if(|(_, c)| *c == ',').is_some();
                while self.rest.next_if(|(_, c)| *c != '}').is_some() {}
                (least.parse::<usize>().ok().filter(|least| *least <= MAX_SAMPLE_BYTES)?.max(1), many)
            }
            _ => return Some((1, false)),
        };
        self.rest.next();
        // Lazy or not.
        self.rest.next_if(|(_, c)| *c == '?');
        Some(times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_open(text: &str) -> bool {
        takes_anybody(&Match::pattern(text).unwrap())
    }

    #[test]
    fn names_are_made_of_patterns() {
        for (pattern, expected) in [
            ("abc", vec!["abc"]),
            (r"a\.b\d\w[x-z]", vec!["a.b7qx"]),
            ("(?i)a(b|c)?d", vec!["abd", "acd"]),
            ("a{3}[^q]{2,}", vec!["aaa77"]),
            ("(?P<n>x|y)+z|w", vec!["xz", "yz", "w"]),
            (r"^[]a]\x{41}$", vec!["]A"]),
            ("a.*", vec!["aq7", "aq@q7"]),
        ] {
            let made = samples(pattern);
            assert_eq!(made, expected, "{pattern}");
            let pattern = Match::pattern(pattern).unwrap();
            assert!(made.iter().all(|name| pattern.matches(name)), "{made:?}");
        }
        assert!(samples(&format!("{}a{}", "(".repeat(40), ")".repeat(40))).is_empty());
        assert!(samples("(a{2000}){2000}").is_empty());
        assert!(samples(&"(a|b)".repeat(800)).len() <= MAX_SAMPLES);
    }

    #[test]
    fn patterns_that_name_nobody_are_open() {
        for open in [
            // Any organisation, with the right file names.
            r"https://github\.com/.*/\.github/workflows/release\.yml@refs/tags/v.*",
            r"https://github\.com/[^/]+/app/\.github/workflows/release\.yml@refs/heads/main",
            r"https://github\.com/[\w-]+/app/.*",
            r"https://gitlab\.com/.*/app//\.gitlab-ci\.yml@refs/heads/main",
            // Organisations that begin or end like one.
            r"https://github\.com/org.*",
            r"https://github\.com/org[^/]*/app/.*",
            r"https://github\.com/.*org/app/\.github/workflows/a\.yml@refs/heads/main",
            // Domains that end or begin like one, or under the same top.
            r".*example\.org",
            r".*@.*example\.org",
            r".*@.*\.org",
            r".*@example\.org.*",
            r"release@.*",
            r"(ann|bob)@[a-z]+\.com",
            r".*@.*example\.co\.uk",
            r"https://.*\.com/org/app",
            r"https://example\.org.*",
            r"https://.*example\.org/.*",
            r"spiffe://.*/ns/release",
            r"release!.*",
            // Mailboxes that begin or end like one, where anybody can have one.
            r"ann.*@gmail\.com",
            r"[a-z.]*ann@gmail\.com",
            r".*@users\.noreply\.github\.com",
        ] {
            assert!(is_open(open), "{open}");
        }
    }

    #[test]
    fn patterns_that_name_somebody_are_not() {
        for closed in [
            r"https://github\.com/org/.*",
            r"https://github\.com/org/[^/]+/\.github/workflows/release\.ya?ml@refs/tags/v[0-9.]+",
            r"(?i)https://github\.com/(one|two)/app/.*",
            r"https://gitlab\.example\.org/.*",
            r"https://.*\.example\.org/.*",
            r".*@example\.org",
            r".*@(.*\.)?example\.org",
            r"[a-z]+@(example\.org|example\.com)",
            r".*@example\.co\.uk",
            r"(ann|bob)@gmail\.com",
            r"spiffe://example\.org/.*",
            r".*!example\.org",
            r"ann@example\.org|https://github\.com/org/.*",
        ] {
            assert!(!is_open(closed), "{closed}");
        }
    }

    #[test]
    fn an_extension_says_whose_it_is_or_does_not() {
        let says = |name: &str, value| says_whose(FulcioExtension::by_name(name).unwrap(), &value);
        assert!(says("repository", Match::exact("https://github.com/org/app")));
        assert!(says("owner", Match::pattern(r"https://github\.com/(one|two)").unwrap()));
        assert!(says("github-workflow-repository", Match::pattern("org/.*").unwrap()));
        assert!(says("source-repository-identifier", Match::exact("1234")));
        for (name, value) in [
            ("trigger", "push"),
            ("runner", "github-hosted"),
            ("ref", "refs/heads/main"),
            ("environment", "production"),
            ("github-workflow-name", "release"),
            ("source-repository-visibility-at-signing", "public"),
            ("source-repository-digest", "0123456789012345678901234567890123456789"),
            ("issuer", "https://token.actions.githubusercontent.com"),
        ] {
            assert!(!says(name, Match::exact(value)), "{name}");
        }
        for open in [r"https://github\.com/.*", r"https://github\.com/org.*", r"https://github\.com/.*/app"] {
            assert!(!says("repository", Match::pattern(open).unwrap()), "{open}");
        }
        assert!(!says("github-workflow-repository", Match::pattern(".*/app").unwrap()));
    }
}
