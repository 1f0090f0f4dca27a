//! What stands beside a leaf in a data tile, held against the leaf (C2SP static-ct-api, "Log entries").
//!
//! The leaf hash covers time, TBSCertificate and issuer key hash, or the certificate; neither the precertificate nor the
//! fingerprints of the issuers, which monitors go by. So the precertificate must be what the leaf was made of, and each
//! certificate be issued by the next, as it was when it was taken in. The issuers' own bytes hash to their fingerprints:
//! whoever reads the log has seen to that.

use super::admission::{AdmissionError, POISON, issued};
use bytes::Bytes;
use sealog_crypto::sha256;
use sealog_pki::{Certificate, certificate::CertificateSignatureError};
use sealog_tlog::ct::{CtEntryRef, TileLeaf};
use std::{
    cell::RefCell,
    collections::{HashMap, HashSet},
};

/// Whether what stands beside a leaf can be judged by us.
#[derive(Debug, PartialEq, Eq)]
enum Judged {
    Holds,
    /// Not by us: of a kind that our logs do not take.
    Unknown(String),
    Wrong(String),
}

/// Of a log whose key is ours nothing is passed over: it has only what it took in. Of others', what we cannot judge is.
pub fn beside(ours: bool) -> impl Fn(&[u8], &[Bytes]) -> Result<(), String> {
    let known = RefCell::new(Known::default());
    move |element, issuers| match known.borrow_mut().judge(element, issuers) {
        Judged::Holds => Ok(()),
        Judged::Unknown(what) if ours => Err(what),
        Judged::Unknown(_) => Ok(()),
        Judged::Wrong(what) => Err(what),
    }
}

/// Authorities of a log are few.
#[derive(Default)]
struct Known {
    /// By fingerprint; `None`: it cannot be read.
    certificates: HashMap<[u8; 32], Option<Certificate>>,
    /// Of whom each is issued by the next.
    chains: HashSet<Vec<[u8; 32]>>,
}

impl Known {
    fn judge(&mut self, element: &[u8], issuers: &[Bytes]) -> Judged {
        self.read(element, issuers).err().unwrap_or(Judged::Holds)
    }

    fn read(&mut self, element: &[u8], issuers: &[Bytes]) -> Result<(), Judged> {
        let leaf = TileLeaf::parse(element).map_err(|error| Judged::Wrong(error.to_string()))?;
        let mut above = Vec::with_capacity(issuers.len());
        for (fingerprint, der) in leaf.issuers.iter().zip(issuers) {
            let read = || Certificate::from_der(der).ok();
            let certificate = self.certificates.entry(*fingerprint).or_insert_with(read).clone();
            let unread = || Judged::Unknown("an issuer cannot be read as a certificate".to_owned());
            above.push(certificate.ok_or_else(unread)?);
        }
        let none = || Judged::Unknown("no issuer stands beside it".to_owned());
        let first = above.first().ok_or_else(none)?;
        let (what, der) = match leaf.entry {
            CtEntryRef::X509 { cert } => ("certificate", cert),
            CtEntryRef::Precert { precert, .. } => ("precertificate", precert),
        };
        let unread = |error| Judged::Unknown(format!("its {what} cannot be read: {error}"));
        let below = Certificate::from_der(der).map_err(unread)?;
        if let CtEntryRef::Precert { issuer_key_hash, tbs, .. } = leaf.entry {
            if first.is_precertificate_signer() {
                return Err(Judged::Unknown("a precertificate signing certificate signed it".to_owned()));
            }
            if !below.is_precertificate() || below.tbs_without(&POISON) != tbs {
                let words = "the precertificate beside it is not the one that the leaf was made of";
                return Err(Judged::Wrong(words.to_owned()));
            }
            if sha256(first.spki_der()) != issuer_key_hash {
                let words = "the first issuer beside it does not have the key that the leaf names";
                return Err(Judged::Wrong(words.to_owned()));
            }
        }
        follows(&below, first, what)?;
        if self.chains.contains(leaf.issuers) {
            return Ok(());
        }
        for (below, above) in above.iter().zip(above.iter().skip(1)) {
            follows(below, above, "issuer")?;
        }
        self.chains.insert(leaf.issuers.to_vec());
        Ok(())
    }
}

fn follows(below: &Certificate, above: &Certificate, what: &str) -> Result<(), Judged> {
    issued(below, above, 0).map_err(|error| match error {
        AdmissionError::NotSigned { source, .. } => {
            let words = format!("its {what} is not signed by the issuer that stands behind: {source}");
            match source {
                CertificateSignatureError::Signature(_) => Judged::Wrong(words),
                CertificateSignatureError::UnknownAlgorithm(_) | CertificateSignatureError::IssuerKey(_) => {
                    Judged::Unknown(words)
                }
            }
        }
        _ => {
            Judged::Wrong(format!("its {what} does not name the issuer that stands behind, or that is none"))
        }
    })
}

#[cfg(test)]
mod tests;
