//! The path from a leaf to an anchor (RFC 5280 §6), in the small profile Sigstore uses.
//!
//! Every certificate of the path, the anchor included, must be valid at one given time; an anchor may
//! be an intermediate. Issuers are found by name and proved by signature, since several may share a
//! name. Revocation is not looked at: leaves live for minutes.
//!
//! Must always hold: the search is bounded whatever the input, and a path is returned only if each
//! rule below was asked about each certificate in it.

mod names;
mod trusted;

pub use trusted::TrustedChain;

use crate::{Certificate, certificate::CertificateSignatureError, oids, san::San};
use alloc::vec::Vec;
use const_oid::ObjectIdentifier;
use sealog_crypto::KeyError;

/// Certificates in a path, leaf and anchor included.
pub const MAX_PATH: usize = 8;
/// Signatures checked in one search; beyond it the search ends unsuccessfully.
const MAX_SIGNATURE_CHECKS: usize = 64;
/// Names held against constraints in one search; beyond it constraints refuse. Real certificates have one
/// name and a handful of constraints; hundreds of each, in every member of every path, would take seconds.
const MAX_NAME_COMPARISONS: usize = 1 << 14;

/// What the leaf is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signing code: what Fulcio issues.
    CodeSigning,
    /// A code signing certificate on its way into a CT log: the poison must be there.
    Precertificate,
    /// Signing timestamps (RFC 3161 §2.3): the one purpose, and critical.
    TimeStamping,
}

impl Purpose {
    fn oid(self) -> ObjectIdentifier {
        match self {
            Self::CodeSigning | Self::Precertificate => oids::CODE_SIGNING,
            Self::TimeStamping => oids::TIME_STAMPING,
        }
    }
}

/// A verified path, from the leaf to the anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    leaf: Certificate,
    /// Issuers upwards; empty when the leaf itself is an anchor.
    above: Vec<Certificate>,
}

impl Path {
    /// The leaf.
    #[must_use]
    pub fn leaf(&self) -> &Certificate {
        &self.leaf
    }

    /// The certificate whose key signed the leaf; none when the leaf itself is an anchor.
    #[must_use]
    pub fn issuer(&self) -> Option<&Certificate> {
        self.above.first()
    }

    /// The trusted end.
    #[must_use]
    pub fn anchor(&self) -> &Certificate {
        self.above.last().unwrap_or(&self.leaf)
    }

    /// Whether every certificate, leaf and anchor included, is valid at this time in Unix milliseconds.
    ///
    /// Certificates name whole seconds: what is a fraction past their last one is past it.
    #[must_use]
    pub fn is_valid_at_ms(&self, at_ms: i64) -> bool {
        self.check_valid_at_ms(at_ms).is_ok()
    }

    fn check_valid_at_ms(&self, at_ms: i64) -> Result<(), ChainError> {
        let fraction = i64::from(at_ms.rem_euclid(1000) > 0);
        let first = at_ms.div_euclid(1000);
        for (height, certificate) in self.certificates().enumerate() {
            let place = if height == 0 { Place::Leaf } else { Place::Ca(height) };
            check_validity(certificate, first, place)?;
            check_validity(certificate, first.saturating_add(fraction), place)?;
        }
        Ok(())
    }

    /// Every certificate, leaf first.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        core::iter::once(&self.leaf).chain(&self.above)
    }
}

/// Which certificate of the path a rule failed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The leaf.
    Leaf,
    /// A CA, counted upwards from 1, the leaf's issuer.
    Ca(usize),
}

impl core::fmt::Display for Place {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Leaf => f.write_str("the leaf certificate"),
            Self::Ca(above) => write!(f, "CA certificate {above} above the leaf"),
        }
    }
}

/// Why no path was found: of everything that was tried, the failure that got furthest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No certificate at hand has the issuer's name.
    #[error("no certificate at hand names the issuer of {below}")]
    UnknownIssuer {
        /// The certificate whose issuer is missing.
        below: Place,
    },
    /// Certificates with the issuer's name are there, but none of their keys made the signature.
    #[error("{below} is not signed by the issuer it names")]
    Signature {
        /// The certificate whose signature fails.
        below: Place,
        /// The last failure.
        source: CertificateSignatureError,
    },
    /// The certificates lead past the allowed length.
    #[error("the path has more than {limit} certificates")]
    TooLong {
        /// Certificates allowed.
        limit: usize,
    },
    /// Too many candidates to try.
    #[error("no path was found within {limit} signature checks")]
    TooManyCandidates {
        /// Signatures that were checked.
        limit: usize,
    },
    /// Not yet valid.
    #[error("{place} is valid from {not_before}, after {at}")]
    NotYetValid {
        /// The certificate.
        place: Place,
        /// First second of its validity, Unix time.
        not_before: i64,
        /// The time asked about, Unix time.
        at: i64,
    },
    /// No longer valid.
    #[error("{place} was valid until {not_after}, before {at}")]
    Expired {
        /// The certificate.
        place: Place,
        /// Last second of its validity, Unix time.
        not_after: i64,
        /// The time asked about, Unix time.
        at: i64,
    },
    /// Basic constraints do not make it a CA.
    #[error("{place} is not a CA's")]
    NotCa {
        /// The certificate.
        place: Place,
    },
    /// A CA where a leaf should be.
    #[error("the leaf certificate is a CA's")]
    LeafIsCa,
    /// More CAs below than it allows.
    #[error("{place} allows {allowed} CAs below it, and there are {found}")]
    PathLength {
        /// The certificate.
        place: Place,
        /// CAs allowed below.
        allowed: u32,
        /// CAs found below.
        found: usize,
    },
    /// Key usage lacks what the certificate is used for.
    #[error("the key usage of {place} lacks {needed}")]
    KeyUsage {
        /// The certificate.
        place: Place,
        /// The missing bit, as RFC 5280 names it.
        needed: &'static str,
    },
    /// Extended key usage excludes the purpose.
    #[error("{place} is not for purpose {needed}")]
    Purpose {
        /// The certificate.
        place: Place,
        /// The purpose asked for.
        needed: ObjectIdentifier,
    },
    /// A timestamp authority's purpose must be the only one, and critical.
    #[error("the leaf certificate's extended key usage is not critical with time stamping alone")]
    TimeStampingNotExclusive,
    /// A critical extension nobody here understands.
    #[error("{place} has the critical extension {oid}, which is not understood")]
    UnknownCriticalExtension {
        /// The certificate.
        place: Place,
        /// The extension.
        oid: ObjectIdentifier,
    },
    /// A precertificate where a certificate should be, or the other way round.
    #[error("the leaf certificate is {}a precertificate", if *found { "" } else { "not " })]
    Precertificate {
        /// Whether the poison is there.
        found: bool,
    },
    /// A name outside what a CA may certify.
    #[error("{place} may not certify the name `{name}`")]
    NameNotPermitted {
        /// The CA that constrains names.
        place: Place,
        /// The name.
        name: San,
    },
    /// A constraint in a form that is not read, on a name of that form.
    #[error("{place} constrains names of a form that is not read")]
    UnreadNameConstraint {
        /// The CA that constrains names.
        place: Place,
    },
    /// Name constraints that are not DER.
    #[error("the name constraints of {place} are malformed")]
    MalformedNameConstraints {
        /// The certificate.
        place: Place,
    },
    /// More names and constraints than are held against each other.
    #[error("{place} constrains names, and there are more of both than {limit} comparisons settle")]
    TooManyNames {
        /// The CA that constrains names.
        place: Place,
        /// Comparisons made at most.
        limit: usize,
    },
    /// The leaf's key is none we use.
    #[error("the leaf certificate's key is not usable")]
    LeafKey(#[source] KeyError),
}

impl ChainError {
    /// How far the attempt that ended in this had come; the largest is what people should hear.
    fn telling(&self) -> u8 {
        match self {
            Self::UnknownIssuer { below: Place::Leaf } => 0,
            Self::UnknownIssuer { .. } => 1,
            Self::TooLong { .. } => 2,
            Self::Signature { below: Place::Leaf, .. } => 3,
            Self::Signature { .. } => 4,
            // An issuer was proved, and a rule spoke against it.
            _ => 5,
        }
    }
}

/// Finds a path from `leaf` through any of `intermediates` (untrusted) to one of `anchors` (trusted),
/// every certificate valid at `at_unix`.
///
/// # Errors
/// The most telling failure; see [`ChainError`].
pub fn verify_chain(
    leaf: &Certificate,
    intermediates: &[Certificate],
    anchors: &[Certificate],
    at_unix: i64,
    purpose: Purpose,
) -> Result<Path, ChainError> {
    find_path(leaf, intermediates, anchors, at_unix, purpose, &|_, _| false)
}

/// `is_signed` says of two certificates that the first is known to be signed by the second.
fn find_path(
    leaf: &Certificate,
    intermediates: &[Certificate],
    anchors: &[Certificate],
    at_unix: i64,
    purpose: Purpose,
    is_signed: &dyn Fn(&Certificate, &Certificate) -> bool,
) -> Result<Path, ChainError> {
    check_leaf(leaf, at_unix, purpose)?;
    if anchors.contains(leaf) {
        return Ok(Path { leaf: leaf.clone(), above: Vec::new() });
    }
    let mut search = Search {
        intermediates,
        anchors,
        at_unix,
        purpose,
        is_signed,
        checks_left: MAX_SIGNATURE_CHECKS,
        comparisons_left: MAX_NAME_COMPARISONS,
        failure: None,
    };
    let mut path = Path { leaf: leaf.clone(), above: Vec::new() };
    if search.extend(&mut path) {
        return Ok(path);
    }
    let nothing = ChainError::UnknownIssuer { below: Place::Leaf };
    Err(search.failure.unwrap_or(nothing))
}

struct Search<'a> {
    intermediates: &'a [Certificate],
    anchors: &'a [Certificate],
    at_unix: i64,
    purpose: Purpose,
    is_signed: &'a dyn Fn(&Certificate, &Certificate) -> bool,
    checks_left: usize,
    comparisons_left: usize,
    /// The most telling failure so far.
    failure: Option<ChainError>,
}

impl Search<'_> {
    /// Adds issuers to `path` until an anchor is reached; leaves it as it was when that fails.
    ///
    /// Depth is bounded by [`MAX_PATH`], breadth by [`MAX_SIGNATURE_CHECKS`].
    fn extend(&mut self, path: &mut Path) -> bool {
        let top = path.anchor().clone();
        let below = match path.above.len() {
            0 => Place::Leaf,
            height => Place::Ca(height),
        };
        let named = |candidate: &&Certificate| top.names_issuer(candidate);
        let anchors = self.anchors.iter().filter(named).map(|anchor| (anchor, true));
        let intermediates = self.intermediates.iter().filter(named).map(|other| (other, false));
        let candidates: Vec<(&Certificate, bool)> = anchors.chain(intermediates).collect();
        let mut tried = false;
        for (candidate, is_anchor) in candidates {
            if path.certificates().any(|member| member == candidate) {
                continue;
            }
            tried = true;
            if path.above.len().saturating_add(2) > MAX_PATH {
                self.note(ChainError::TooLong { limit: MAX_PATH });
                break;
            }
            let Some(left) = self.checks_left.checked_sub(1) else {
                self.failure = Some(ChainError::TooManyCandidates { limit: MAX_SIGNATURE_CHECKS });
                return false;
            };
            self.checks_left = left;
            if !(self.is_signed)(&top, candidate)
                && let Err(source) = top.verify_signed_by(candidate)
            {
                self.note(ChainError::Signature { below, source });
                continue;
            }
            if let Err(rule) = self.check_ca(candidate, path) {
                self.note(rule);
                continue;
            }
            path.above.push(candidate.clone());
            if is_anchor || self.extend(path) {
                return true;
            }
            path.above.pop();
        }
        if !tried {
            self.note(ChainError::UnknownIssuer { below });
        }
        false
    }

    /// The rules for a CA above the certificates of `below`, whose key was found to sign the topmost.
    fn check_ca(&mut self, ca: &Certificate, below: &Path) -> Result<(), ChainError> {
        let (at_unix, purpose) = (self.at_unix, self.purpose);
        let place = Place::Ca(below.above.len().saturating_add(1));
        check_critical_extensions(ca, place)?;
        if ca.is_precertificate() {
            return Err(ChainError::Precertificate { found: true });
        }
        let constraints = ca.basic_constraints().filter(|constraints| constraints.ca);
        let constraints = constraints.ok_or(ChainError::NotCa { place })?;
        if ca.key_usage().is_some_and(|usage| !usage.key_cert_sign) {
            return Err(ChainError::KeyUsage { place, needed: "keyCertSign" });
        }
        // RFC 5280 §4.2.1.9: self-issued CAs do not count.
        let found = below.above.iter().filter(|member| !member.names_issuer(member)).count();
        if let Some(allowed) = constraints.path_len
            && usize::try_from(allowed).is_ok_and(|allowed| found > allowed)
        {
            return Err(ChainError::PathLength { place, allowed, found });
        }
        let needed = purpose.oid();
        let serves = |purposes: &[ObjectIdentifier]| {
            let precertificates = purpose == Purpose::Precertificate && ca.is_precertificate_signer();
            purposes.contains(&needed) || purposes.contains(&oids::ANY_EXTENDED_KEY_USAGE) || precertificates
        };
        if !ca.extended_key_usage().is_none_or(serves) {
            return Err(ChainError::Purpose { place, needed });
        }
        names::check(ca, below, place, &mut self.comparisons_left)?;
        check_validity(ca, at_unix, place)
    }

    fn note(&mut self, error: ChainError) {
        if self.failure.as_ref().is_none_or(|earlier| earlier.telling() < error.telling()) {
            self.failure = Some(error);
        }
    }
}

fn check_leaf(leaf: &Certificate, at_unix: i64, purpose: Purpose) -> Result<(), ChainError> {
    let place = Place::Leaf;
    check_critical_extensions(leaf, place)?;
    let poisoned = leaf.is_precertificate();
    if poisoned != (purpose == Purpose::Precertificate) {
        return Err(ChainError::Precertificate { found: poisoned });
    }
    if leaf.is_ca() {
        return Err(ChainError::LeafIsCa);
    }
    leaf.public_key().map_err(ChainError::LeafKey)?;
    check_leaf_usage(leaf, purpose)?;
    check_validity(leaf, at_unix, place)
}

/// The leaf must state its purpose: silence, which RFC 5280 takes for any purpose, is refused.
fn check_leaf_usage(leaf: &Certificate, purpose: Purpose) -> Result<(), ChainError> {
    let place = Place::Leaf;
    let timestamps = purpose == Purpose::TimeStamping;
    // RFC 3161 asks nothing of a TSA's key usage; when it speaks, it must allow signing of some kind.
    let signs = leaf
        .key_usage()
        .map_or(timestamps, |usage| usage.digital_signature || (timestamps && usage.content_commitment));
    if !signs {
        return Err(ChainError::KeyUsage { place, needed: "digitalSignature" });
    }
    let needed = purpose.oid();
    let purposes = leaf.extended_key_usage().unwrap_or_default();
    if !purposes.contains(&needed) {
        return Err(ChainError::Purpose { place, needed });
    }
    let critical = leaf.extension(&oids::EXT_KEY_USAGE).is_some_and(|extension| extension.critical);
    if timestamps && !(critical && purposes.len() == 1) {
        return Err(ChainError::TimeStampingNotExclusive);
    }
    Ok(())
}

fn check_validity(certificate: &Certificate, at: i64, place: Place) -> Result<(), ChainError> {
    let (not_before, not_after) = certificate.validity();
    if at < not_before {
        return Err(ChainError::NotYetValid { place, not_before, at });
    }
    if at > not_after {
        return Err(ChainError::Expired { place, not_after, at });
    }
    Ok(())
}

/// RFC 5280 §4.2: a critical extension that is not understood refuses the certificate.
///
/// Certificate policies are understood in that no policy is asked for, so that any will do.
fn check_critical_extensions(certificate: &Certificate, place: Place) -> Result<(), ChainError> {
    let understood = [
        oids::KEY_USAGE,
        oids::BASIC_CONSTRAINTS,
        oids::EXT_KEY_USAGE,
        oids::SUBJECT_ALT_NAME,
        oids::NAME_CONSTRAINTS,
        oids::CERTIFICATE_POLICIES,
        oids::SUBJECT_KEY_ID,
        oids::AUTHORITY_KEY_ID,
        oids::CT_PRECERT_POISON,
        oids::CT_PRECERT_SCTS,
    ];
    let unknown = |extension: &&crate::Extension| extension.critical && !understood.contains(&extension.oid);
    match certificate.extensions().iter().find(unknown) {
        Some(extension) => Err(ChainError::UnknownCriticalExtension { place, oid: extension.oid }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
