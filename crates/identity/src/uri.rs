//! URIs as identities: taken apart, and written as Go's `net/url` writes them again.
//!
//! Verifiers compare the name in a certificate as text, and the certificates of the public instance
//! carry what `url.Parse(…).String()` prints. So a git reference with odd characters must come out
//! of ours with the same percent signs. Nothing is normalised beyond that (RFC 3986 §6 is not applied).

use alloc::{borrow::ToOwned as _, format, string::String, vec::Vec};

/// The parts of `scheme://authority/path?query#fragment` that rules look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uri<'a> {
    pub(crate) scheme: &'a str,
    /// Host and port.
    pub(crate) authority: &'a str,
    /// Path, query and fragment.
    pub(crate) rest: &'a str,
}

impl<'a> Uri<'a> {
    /// Takes an absolute URI with a host apart; none for anything else, and for names with a user.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, after) = text.split_once("://")?;
        let end = after.find(['/', '?', '#']).unwrap_or(after.len());
        let (authority, rest) = after.split_at_checked(end)?;
        let letters = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let good_scheme =
            scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(letters);
        let in_authority = |c: char| c.is_ascii_alphanumeric() || "-._:[]*".contains(c);
        let good_authority = !authority.is_empty() && authority.chars().all(in_authority);
        (good_scheme && good_authority && !text.contains(char::is_control)).then_some(Self {
            scheme,
            authority,
            rest,
        })
    }

    /// The host without its port.
    pub(crate) fn host(&self) -> &'a str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => host,
            _ => self.authority,
        }
    }

    /// Whether the host is this machine, where plain HTTP reaches no network.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host();
        let four = host.split('.').collect::<Vec<_>>();
        matches!(host, "localhost" | "[::1]")
            || (four.len() == 4
                && four.first() == Some(&"127")
                && four.iter().all(|n| n.parse::<u8>().is_ok()))
    }

    /// Whether strangers on the way can neither read nor change what is fetched from there.
    pub(crate) fn is_confidential(&self) -> bool {
        self.scheme == "https" || (self.scheme == "http" && self.is_loopback())
    }
}

/// The URI as Go prints it; none when Go would not parse it, or when it would not be ASCII.
pub(crate) fn reprinted(text: &str) -> Option<String> {
    let uri = Uri::parse(text).filter(|uri| !uri.authority.contains('*'))?;
    let (before, fragment) = match uri.rest.split_once('#') {
        Some((before, fragment)) => (before, Some(fragment)),
        None => (uri.rest, None),
    };
    let (path, query) = match before.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (before, None),
    };
    let mut out =
        format!("{}://{}{}", uri.scheme.to_ascii_lowercase(), uri.authority, escaped(path, Place::Path)?);
    if let Some(query) = query {
        if !query.chars().all(|c| c.is_ascii_graphic()) {
            return None;
        }
        out.push('?');
        out.push_str(query);
    }
    if let Some(fragment) = fragment.filter(|fragment| !fragment.is_empty()) {
        out.push('#');
        out.push_str(&escaped(fragment, Place::Fragment)?);
    }
    Some(out)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Path,
    Fragment,
}

/// As it is where every byte may stand there; else with every byte that need not stand there escaped.
fn escaped(text: &str, place: Place) -> Option<String> {
    let bytes = unescaped(text)?;
    let may_stand = |b: u8| b"!$&'()*+,;=:@[]%".contains(&b) || is_plain(b, place);
    if text.bytes().all(may_stand) {
        return Some(text.to_owned());
    }
    let mut out = String::new();
    for byte in bytes {
        if is_plain(byte, place) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    Some(out)
}

fn is_plain(byte: u8, place: Place) -> bool {
    let everywhere = byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&byte);
    everywhere || (place == Place::Fragment && b"?!()*".contains(&byte))
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?].map(char::from);
            let [high, low] = digits.map(|digit| digit.to_digit(16));
            out.push(u8::try_from(high? * 16 + low?).ok()?);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

/// Whether it has the shape of an email address: `local@domain`, ASCII, with an unquoted local part
/// (RFC 5321 §4.1.2 without its rarities). Case is kept: it is compared as text.
pub fn is_email(text: &str) -> bool {
    const MOST: usize = 254;
    const MOST_LOCAL: usize = 64;
    const MOST_LABEL: usize = 63;
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let atom_char = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let good_atom = |atom: &str| !atom.is_empty() && atom.chars().all(atom_char);
    let good_label = |label: &str| {
        (1..=MOST_LABEL).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // No top-level domain has a digit there, and the numbers of an address have nothing else.
    let good_top = |label: &str| {
        let letter = |c: char| c.is_ascii_alphabetic();
        label.starts_with(letter) && label.ends_with(letter)
    };
    text.len() <= MOST
        && local.len() <= MOST_LOCAL
        && local.split('.').all(good_atom)
        && domain.split('.').all(good_label)
        && domain.rsplit_once('.').is_some_and(|(_, top)| good_top(top))
}

/// Whether both hosts are the same, or end in the same two labels.
pub(crate) fn same_site(one: &str, other: &str) -> bool {
    let last_two = |host: &str| {
        let mut labels = host.rsplit('.').map(str::to_owned);
        let both = [labels.next()?, labels.next()?];
        // The numbers of an address are no labels: 10.0.0.1 and 127.0.0.1 have nothing in common.
        let named = !host.ends_with(|c: char| c.is_ascii_digit() || c == ']');
        Some(both).filter(|labels| named && labels.iter().all(|l| !l.is_empty()))
    };
    one == other || last_two(one).is_some_and(|labels| Some(labels) == last_two(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_as_go_prints_them() {
        let same = |text: &str| assert_eq!(reprinted(text).as_deref(), Some(text));
        same("https://github.com/o/r/.github/workflows/x.yml@refs/heads/main");
        same("https://gitlab.com/a/b//.gitlab-ci.yml@refs/tags/v1+2");
        same("https://h/a!b'c(d)*[e]%2f");
        same("https://h/p#frag");
        same("spiffe://example.org/ns/x");
        let becomes = |text: &str, to: &str| assert_eq!(reprinted(text).as_deref(), Some(to));
        becomes("https://h/a b", "https://h/a%20b");
        becomes("https://h/ü!", "https://h/%C3%BC%21");
        becomes("https://h/a{b}", "https://h/a%7Bb%7D");
        becomes("https://h/x#a b!", "https://h/x#a%20b!");
        becomes("HTTPS://h/x#", "https://h/x");
    }

    #[test]
    fn not_uris() {
        for text in [
            "",
            "x",
            "mailto:a@b.c",
            "https:///x",
            "https://a@b/x",
            "https://h/%zz",
            "https://h/\n",
            "https://h/?ü",
            "https://h o/",
            "1http://h/",
        ] {
            assert_eq!(reprinted(text), None, "{text:?}");
        }
    }

    #[test]
    fn addresses() {
        for good in
            ["a@b.co", "a@b.c0m", "a@1.xn--p1ai", "first.last+tag@sub.example.org", "o'neill@example.com"]
        {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "a@b",
            "@b.co",
            "a@",
            "a..b@c.de",
            ".a@c.de",
            "a@-b.de",
            "a@b..de",
            "a b@c.de",
            "\"a\"@c.de",
            "ü@c.de",
            "a@c.de\n",
            "a@b@c.de",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@b.c1",
            "a@b.1c",
        ] {
            assert!(!is_email(bad), "{bad:?}");
        }
    }

    #[test]
    fn sites() {
        assert!(same_site("accounts.example.com", "users.example.com"));
        assert!(same_site("localhost", "localhost"));
        assert!(!same_site("example.com", "example.org"));
        assert!(!same_site("com", "example.com"));
        assert!(!same_site("10.0.0.1", "127.0.0.1"));
    }

    #[test]
    fn loopback() {
        let is = |text: &str| Uri::parse(text).unwrap().is_loopback();
        assert!(is("http://localhost:8080") && is("http://127.0.0.1/x") && is("http://[::1]:3"));
        assert!(!is("http://127.0.0.1.example.com") && !is("http://localhost.example.com"));
    }
}
