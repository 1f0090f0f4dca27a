//! Mail addresses as people type them, and as they stand in certificates.
//!
//! An address is compared as text by everyone who verifies, so one mailbox should have one spelling as far as that is safe.
//! The domain is written in lower case and ASCII (IDNA, UTS #46): whoever looks at `xn--pple-43d.com` sees that it is not
//! what it pretends. The part before it is kept as typed: whether its case, its dots and tags mean anything only its own
//! server knows (RFC 5321 §2.4), and two mailboxes must never become one.

use sealog_identity::is_email;
use std::fmt;

/// An address in the one spelling that is used for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    text: String,
    at: usize,
}

/// Why what was typed is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoAddress {
    /// Not `name@domain`.
    Shape,
    /// Letters beyond ASCII before the `@`: certificates have no place for them that every client reads.
    Name,
}

impl Address {
    /// Reads what was typed.
    pub(super) fn parse(typed: &str) -> Result<Self, NoAddress> {
        let typed = typed.trim();
        let (name, domain) = typed.rsplit_once('@').ok_or(NoAddress::Shape)?;
        if !name.is_ascii() {
            return Err(NoAddress::Name);
        }
        let domain = match url::Host::parse(domain) {
            Ok(url::Host::Domain(domain)) => domain,
            _ => return Err(NoAddress::Shape),
        };
        let text = format!("{name}@{domain}");
        match is_email(&text) {
            true => Ok(Self { text, at: name.len() }),
            false => Err(NoAddress::Shape),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn domain(&self) -> &str {
        self.text.get(self.at.saturating_add(1)..).unwrap_or_default()
    }

    /// Whether the domain is one in other letters, which may look like another's.
    pub(super) fn is_internationalized(&self) -> bool {
        self.domain().split('.').any(|label| label.starts_with("xn--"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_domain_has_one_spelling_and_the_name_its_own() {
        for (typed, becomes) in [
            (" Jane.Doe+tag@Example.ORG ", "Jane.Doe+tag@example.org"),
            ("jane@BÜCHER.example", "jane@xn--bcher-kva.example"),
            ("jane@bu\u{308}cher.example", "jane@xn--bcher-kva.example"),
            ("jane@\u{430}pple.com", "jane@xn--pple-43d.com"),
            ("jane@ｅxample.org", "jane@example.org"),
            ("jane@xn--bcher-kva.example", "jane@xn--bcher-kva.example"),
        ] {
            assert_eq!(Address::parse(typed).unwrap().as_str(), becomes, "{typed}");
        }
        assert_ne!(Address::parse("Jane@a.example"), Address::parse("jane@a.example"));
        assert!(Address::parse("jane@\u{430}pple.com").unwrap().is_internationalized());
        assert!(!Address::parse("jane@apple.com").unwrap().is_internationalized());
    }

    #[test]
    fn what_is_no_address() {
        for typed in [
            "",
            "jane",
            "@a.example",
            "jane@",
            "jane@localhost",
            "jane@127.0.0.1",
            "jane@[::1]",
            "jane@a..example",
            "a b@c.example",
            "jane@a.example\r\nBcc: x@y.example",
            "jane@a.example, x@y.example",
            "<jane@a.example>",
            "\"jane\"@a.example",
            "jane@a.example\0",
            "jane@a_b.example",
            "jane@xn--.example",
            "jane@a.example.",
            "jane%0aBcc:x@a.example\n",
            "jane@a.exa mple",
        ] {
            assert_eq!(Address::parse(typed), Err(NoAddress::Shape), "{typed:?}");
        }
        assert_eq!(Address::parse("jané@a.example"), Err(NoAddress::Name));
        assert_eq!(Address::parse("j\u{430}ne@a.example"), Err(NoAddress::Name), "looks like another's");
        assert_eq!(Address::parse(&format!("{}@a.example", "a".repeat(65))), Err(NoAddress::Shape));
    }
}
