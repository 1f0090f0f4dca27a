//! Name constraints (RFC 5280 §4.2.1.10) on mailboxes, URIs, host names and permitted subjects.
//!
//! Any other form counts only where a certificate below has a name of that form, and then refuses it:
//! a constraint that is not understood must not be taken for none.

use super::{ChainError, MAX_NAME_COMPARISONS, Path, Place};
use crate::{
    Certificate,
    asn1::{self, DerError, Element, Elements, SEQUENCE},
    oids,
    san::San,
};
use alloc::vec::Vec;

const WHAT: &str = "the name constraints";
const EMAIL: u8 = asn1::primitive(1);
const DNS: u8 = asn1::primitive(2);
const DIRECTORY: u8 = asn1::constructed(4);
const URI: u8 = asn1::primitive(6);
const OTHER_NAME: u8 = asn1::constructed(0);
/// More subtrees than this in one certificate are refused.
const MAX_SUBTREES: usize = 256;

/// One subtree: the form of name by its identifier octet, and the content.
struct Subtree<'a> {
    form: u8,
    base: &'a [u8],
}

struct Constraints<'a> {
    permitted: Vec<Subtree<'a>>,
    excluded: Vec<Subtree<'a>>,
}

/// Asks `ca`'s constraints about every certificate below it, within the comparisons that are left.
pub(super) fn check(
    ca: &Certificate,
    below: &Path,
    place: Place,
    comparisons_left: &mut usize,
) -> Result<(), ChainError> {
    let Some(extension) = ca.extension(&oids::NAME_CONSTRAINTS) else { return Ok(()) };
    let constraints = parse(&extension.value).map_err(|_| ChainError::MalformedNameConstraints { place })?;
    for (height, certificate) in below.certificates().enumerate() {
        // A self-issued CA is the same authority under another key.
        if height > 0 && certificate.names_issuer(certificate) {
            continue;
        }
        // The subject is a name, too.
        let names = certificate.san().len().saturating_add(1);
        *comparisons_left = comparisons_left
            .checked_sub(names.saturating_mul(constraints.len()))
            .ok_or(ChainError::TooManyNames { place, limit: MAX_NAME_COMPARISONS })?;
        certificate.san().iter().try_for_each(|name| constraints.check_name(name, place))?;
        constraints.check_subject(certificate, place)?;
    }
    Ok(())
}

fn parse(value: &[u8]) -> Result<Constraints<'_>, DerError> {
    let mut fields = Element::only(value, SEQUENCE, WHAT)?.elements()?;
    let permitted = fields.next_if(asn1::constructed(0))?;
    let excluded = fields.next_if(asn1::constructed(1))?;
    fields.finish()?;
    Ok(Constraints {
        permitted: permitted.map_or(Ok(Vec::new()), |list| subtrees(list.value))?,
        excluded: excluded.map_or(Ok(Vec::new()), |list| subtrees(list.value))?,
    })
}

fn subtrees(list: &[u8]) -> Result<Vec<Subtree<'_>>, DerError> {
    let mut list = Elements::new(list, WHAT)?;
    let mut subtrees = Vec::new();
    while !list.is_empty() {
        let mut fields = list.next(SEQUENCE)?.elements()?;
        let base = fields.next_any()?;
        // RFC 5280 fixes minimum to 0, which DER leaves out, and forbids maximum.
        fields.finish()?;
        if subtrees.len() >= MAX_SUBTREES {
            return Err(list.error());
        }
        subtrees.push(Subtree { form: base.tag, base: base.value });
    }
    Ok(subtrees)
}

impl Constraints<'_> {
    fn len(&self) -> usize {
        self.permitted.len().saturating_add(self.excluded.len())
    }

    fn check_name(&self, name: &San, place: Place) -> Result<(), ChainError> {
        let form = match name {
            San::Email(_) => EMAIL,
            San::Dns(_) => DNS,
            San::Uri(_) => URI,
            San::OtherName(_) => OTHER_NAME,
            San::Unread(form) => *form,
        };
        let unread = ChainError::UnreadNameConstraint { place };
        let refused = || ChainError::NameNotPermitted { place, name: name.clone() };
        let matches = |subtree: &Subtree<'_>| -> Result<bool, ChainError> {
            let base = asn1::ascii(subtree.base).ok_or_else(|| unread.clone())?;
            match name {
                San::Email(mailbox) => mailbox_in(mailbox, base).ok_or_else(refused),
                San::Dns(host) => dns_in(host, base).ok_or_else(refused),
                San::Uri(uri) => uri_in(uri, base).ok_or_else(refused),
                San::OtherName(_) | San::Unread(_) => Err(unread.clone()),
            }
        };
        for subtree in self.excluded.iter().filter(|subtree| subtree.form == form) {
            if matches(subtree)? {
                return Err(refused());
            }
        }
        let mut permitted = self.permitted.iter().filter(|subtree| subtree.form == form).peekable();
        if permitted.peek().is_none() {
            return Ok(());
        }
        for subtree in permitted {
            if matches(subtree)? {
                return Ok(());
            }
        }
        Err(refused())
    }

    /// Subjects are compared as bytes, attribute by attribute from the left. That is safe for what is
    /// permitted; an exclusion could be dodged by another spelling, so it counts as unread.
    fn check_subject(&self, certificate: &Certificate, place: Place) -> Result<(), ChainError> {
        if certificate.has_empty_subject() {
            return Ok(());
        }
        if self.excluded.iter().any(|subtree| subtree.form == DIRECTORY) {
            return Err(ChainError::UnreadNameConstraint { place });
        }
        let subject = Element::only(certificate.subject_name(), SEQUENCE, WHAT)
            .map_err(|_| ChainError::MalformedNameConstraints { place })?;
        let mut permitted = self.permitted.iter().filter(|subtree| subtree.form == DIRECTORY).peekable();
        let unconstrained = permitted.peek().is_none();
        let within = |subtree: &Subtree<'_>| {
            Element::only(subtree.base, SEQUENCE, WHAT)
                .is_ok_and(|base| subject.value.starts_with(base.value))
        };
        if unconstrained || permitted.any(within) {
            return Ok(());
        }
        Err(ChainError::UnreadNameConstraint { place })
    }
}

/// One mailbox, all of a host's, or all of a domain's below a host (base with a leading dot).
/// None when the name is not a mailbox.
fn mailbox_in(mailbox: &str, base: &str) -> Option<bool> {
    let (local, host) = mailbox.rsplit_once('@')?;
    let host = plain(host)?;
    Some(match base.rsplit_once('@') {
        Some((base_local, base_host)) => local == base_local && host.eq_ignore_ascii_case(base_host),
        None => host_in(host, base),
    })
}

/// The host of a URI against a host, or a domain with a leading dot. None when the URI has no host
/// name, as RFC 5280 refuses addresses and the like under a constraint.
fn uri_in(uri: &str, base: &str) -> Option<bool> {
    // A backslash is no part of a URI; browsers read it as a slash, which would move the host.
    if uri.contains('\\') || !uri.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let (_, after) = uri.split_once("://")?;
    let authority = after.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = plain(host.split_once(':').map_or(host, |(host, _)| host))?;
    let numeric = host.rsplit('.').next().is_some_and(|label| label.bytes().all(|b| b.is_ascii_digit()));
    if numeric { None } else { Some(host_in(host, base)) }
}

/// A host name in its one spelling. A final dot, a wildcard or an escape would name a host that the
/// comparison does not see, and so slip past an exclusion.
fn plain(host: &str) -> Option<&str> {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    host.split('.').all(label).then_some(host)
}

fn host_in(host: &str, base: &str) -> bool {
    if base.starts_with('.') {
        return host.len() > base.len() && ends_with(host, base);
    }
    base.is_empty() || host.eq_ignore_ascii_case(base)
}

/// A host name equals the base or lies below it, label by label. None when it is no plain host name.
fn dns_in(host: &str, base: &str) -> Option<bool> {
    let host = plain(host)?;
    let base = base.strip_prefix('.').unwrap_or(base);
    if base.is_empty() || host.eq_ignore_ascii_case(base) {
        return Some(true);
    }
    let labels = host.len().checked_sub(base.len()).and_then(|start| start.checked_sub(1));
    Some(ends_with(host, base) && labels.and_then(|dot| host.as_bytes().get(dot)) == Some(&b'.'))
}

fn ends_with(host: &str, end: &str) -> bool {
    let start = host.len().checked_sub(end.len());
    start.and_then(|start| host.get(start..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}
