//! Which submissions the log takes: RFC 6962 §3.1 and §4.1, with our authority's purpose for a filter.
//!
//! The chain must lead, signature by signature, to an accepted root. Validity dates are not looked at: a
//! ten-minute certificate may be logged late. What is logged is what the chain's first issuer signed.

use sealog_crypto::sha256;
use sealog_pki::{Certificate, CertificateError, ObjectIdentifier, certificate::CertificateSignatureError};
use sealog_tlog::ct::{CtEntry, CtSubmission};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

/// Longer chains lead nowhere we accept.
pub(super) const MAX_CHAIN: usize = 8;
/// How many chains of authorities are remembered. Each was checked up to a root that we accept, but anybody can make many of
/// one such chain, by repeating its root or by other forms of its signatures: so those of our own authority are forgotten for
/// nobody else's, and of the others those that were seen least lately. One that was forgotten is checked again.
const MAX_KNOWN: usize = 16;
/// RFC 6962 §3.1.
pub(super) const POISON: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.3");
/// What the poison holds, in DER.
const NULL: [u8; 2] = [5, 0];
/// RFC 5280 §4.2.1.12.
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");

/// Whose word there is that the chain's second certificate signed the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaf {
    /// Nobody's.
    Unknown,
    /// The authority's in this process, which made the signature a moment ago. It is believed where a leaf of this chain was
    /// checked before: a key that does not belong to its chain is found at the first one.
    Ours,
}

/// The two ways in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// `add-chain`: a certificate.
    Chain,
    /// `add-pre-chain`: a precertificate.
    PreChain,
}

/// Why a chain is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum AdmissionError {
    /// Nothing was sent.
    #[error("the chain is empty")]
    Empty,
    /// Too much was sent.
    #[error("the chain has {0} certificates, at most {MAX_CHAIN} are accepted")]
    TooLong(usize),
    /// Some element is not a certificate.
    #[error("certificate {position} of the chain cannot be read: {source}")]
    Unreadable {
        /// Counted from 0, the leaf.
        position: usize,
        /// Why.
        source: CertificateError,
    },
    /// Two neighbours do not belong together.
    #[error("certificate {position} of the chain is not signed by the next: {source}")]
    NotSigned {
        /// Counted from 0, the leaf.
        position: usize,
        /// Why.
        source: CertificateSignatureError,
    },
    /// Its names do not lead on.
    #[error("certificate {0} of the chain does not name the next as its issuer, or the next is not a CA")]
    NotIssued(usize),
    /// It ends somewhere else.
    #[error("the chain does not end at an accepted root certificate")]
    UnknownRoot,
    /// The leaf is for something else.
    #[error("the certificate is not for code signing")]
    WrongPurpose,
    /// A certificate at `add-pre-chain`.
    #[error("add-pre-chain takes precertificates, and this has no poison extension")]
    NotPrecert,
    /// RFC 6962 §3.1: critical, and NULL. Another form some verifier might overlook.
    #[error("the precertificate's poison extension must be critical and hold NULL")]
    BadPoison,
    /// A precertificate at `add-chain`.
    #[error("add-chain takes certificates, and this is a precertificate")]
    Precert,
    /// The submission is a root or intermediate.
    #[error("a CA's own certificate is not logged")]
    Authority,
    /// Of a kind nobody we accept has.
    #[error("precertificates signed by a precertificate signing certificate are not accepted")]
    PrecertSigner,
}

/// The accepted roots.
#[derive(Debug)]
pub(super) struct Roots {
    accepted: Vec<Certificate>,
    /// The one that was seen last comes first.
    known: Mutex<VecDeque<Known>>,
}

/// A chain that is remembered.
#[derive(Debug)]
struct Known {
    above: Arc<Above>,
    /// Whether the authority in this process ever sent it.
    ours: bool,
}

/// What stands above a leaf, checked up to its accepted root: an authority sends the same thousands of times.
#[derive(Debug)]
struct Above {
    /// As it came.
    sent: Vec<Vec<u8>>,
    /// The same, with the root.
    certificates: Vec<Certificate>,
}

impl Roots {
    pub(super) fn new(accepted: Vec<Certificate>) -> Self {
        Self { accepted, known: Mutex::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.accepted.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Certificate> {
        self.accepted.iter()
    }

    /// Checks a chain in DER, leaf first, and says what is to be logged.
    pub(super) fn admit(
        &self,
        chain: &[Vec<u8>],
        endpoint: Endpoint,
        whose: Leaf,
    ) -> Result<CtSubmission, AdmissionError> {
        if chain.len() > MAX_CHAIN {
            return Err(AdmissionError::TooLong(chain.len()));
        }
        let (leaf, sent) = chain.split_first().ok_or(AdmissionError::Empty)?;
        let leaf = read(leaf, 0)?;
        match (leaf.is_precertificate(), endpoint) {
            (true, Endpoint::Chain) => return Err(AdmissionError::Precert),
            (false, Endpoint::PreChain) => return Err(AdmissionError::NotPrecert),
            _ => {}
        }
        if leaf.extension(&POISON).is_some_and(|poison| !poison.critical || poison.value != NULL) {
            return Err(AdmissionError::BadPoison);
        }
        if leaf.is_ca() {
            return Err(AdmissionError::Authority);
        }
        if !leaf.extended_key_usage().is_some_and(|purposes| purposes.contains(&CODE_SIGNING)) {
            return Err(AdmissionError::WrongPurpose);
        }
        let known = self.known(sent, whose);
        let above = match &known {
            Some(known) => Arc::clone(known),
            None => Arc::new(self.completed(&leaf, sent)?),
        };
        let issuer = above.certificates.first().ok_or(AdmissionError::UnknownRoot)?;
        if known.is_none() || whose == Leaf::Unknown {
            issued(&leaf, issuer, 0)?;
        }
        if known.is_none() {
            self.remember(&above, whose);
        }
        let entry = match endpoint {
            Endpoint::Chain => CtEntry::X509 { cert: leaf.der().to_vec() },
            Endpoint::PreChain if issuer.is_precertificate_signer() => {
                return Err(AdmissionError::PrecertSigner);
            }
            Endpoint::PreChain => CtEntry::Precert {
                issuer_key_hash: sha256(issuer.spki_der()),
                tbs: leaf.tbs_without(&POISON),
                precert: leaf.der().to_vec(),
            },
        };
        Ok(CtSubmission { entry, issuers: above.certificates.iter().map(|c| c.der().to_vec()).collect() })
    }

    /// What was checked before, byte for byte.
    fn known(&self, sent: &[Vec<u8>], whose: Leaf) -> Option<Arc<Above>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let position = known.iter().position(|known| known.above.sent == sent)?;
        let mut found = known.remove(position)?;
        found.ours |= whose == Leaf::Ours;
        let above = Arc::clone(&found.above);
        known.push_front(found);
        Some(above)
    }

    /// Checks what stands above a leaf, up to its accepted root.
    fn completed(&self, leaf: &Certificate, sent: &[Vec<u8>]) -> Result<Above, AdmissionError> {
        let parsed = sent.iter().enumerate().map(|(above, der)| read(der, above + 1));
        let mut certificates: Vec<Certificate> = parsed.collect::<Result<_, _>>()?;
        let root = self.root_of(certificates.last().unwrap_or(leaf))?;
        certificates.extend(root.cloned());
        for (position, (below, above)) in certificates.iter().zip(certificates.iter().skip(1)).enumerate() {
            issued(below, above, position + 1)?;
        }
        Ok(Above { sent: sent.to_vec(), certificates })
    }

    /// A leaf may be sent alone: what it leads to depends on it then, and is not remembered.
    fn remember(&self, above: &Arc<Above>, whose: Leaf) {
        // Another request may have brought it meanwhile.
        if above.sent.is_empty() || self.known(&above.sent, whose).is_some() {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.push_front(Known { above: Arc::clone(above), ours: whose == Leaf::Ours });
        if known.len() > MAX_KNOWN {
            let least = known.iter().rposition(|known| !known.ours).unwrap_or(MAX_KNOWN);
            known.remove(least);
        }
    }

    /// The accepted root above the last certificate, unless that is one itself.
    fn root_of(&self, last: &Certificate) -> Result<Option<&Certificate>, AdmissionError> {
        if self.accepted.iter().any(|root| root.der() == last.der()) {
            return Ok(None);
        }
        // Names may repeat: only the signature tells which of them it is.
        self.accepted
            .iter()
            .find(|root| last.names_issuer(root) && last.verify_signed_by(root).is_ok())
            .map(Some)
            .ok_or(AdmissionError::UnknownRoot)
    }
}

fn read(der: &[u8], position: usize) -> Result<Certificate, AdmissionError> {
    Certificate::from_der(der).map_err(|source| AdmissionError::Unreadable { position, source })
}

/// One certificate stands below another.
pub(super) fn issued(
    below: &Certificate,
    above: &Certificate,
    position: usize,
) -> Result<(), AdmissionError> {
    if !below.names_issuer(above) || !above.is_ca() {
        return Err(AdmissionError::NotIssued(position));
    }
    below.verify_signed_by(above).map_err(|source| AdmissionError::NotSigned { position, source })
}

#[cfg(test)]
pub(super) mod tests;
