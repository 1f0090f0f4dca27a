//! Whether an entry is in somebody's name, and what is told about it.
//!
//! Only what the leaf hash covers is read: of a certificate entry its TBS, never the precertificate
//! that the log stores beside it.

use super::log::{LogDescription, LogKind};
use sealog_bundle::{EntryBody, TrustedRoot, UnixTime, Verifier};
use sealog_crypto::sha256;
use sealog_pki::{Certificate, CertificateError};
use sealog_tlog::{
    Hash,
    ct::{CtEntryRef, TileLeaf},
    leaf::{EntryLeaf, LeafError},
};
use serde::Serialize;
use std::fmt;

/// The name that is watched for.
#[derive(Clone, Debug)]
pub struct Interest {
    identity: String,
    issuer: Option<String>,
    authorities: Vec<Certificate>,
}

/// Why nothing can be watched for.
#[derive(Debug, thiserror::Error)]
pub enum InterestError {
    /// An empty name is in every certificate.
    #[error("the identity to watch for is empty")]
    Empty,
    /// The trusted root holds an authority that cannot be read.
    #[error("a certificate authority of the trusted root cannot be read")]
    Authority(#[from] CertificateError),
}

/// Something in the name that is watched for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// What it is.
    #[serde(rename = "event")]
    pub kind: EventKind,
    /// The log, by its origin.
    pub log: String,
    /// Where the log is.
    pub log_url: String,
    /// The entry.
    pub log_index: u64,
    /// Its leaf hash, hex.
    pub leaf_hash: String,
    /// The name.
    pub identity: String,
    /// The OIDC issuer that vouched for the name.
    pub issuer: Option<String>,
    /// Begin of the certificate's validity, RFC 3339.
    pub issued_at: Option<String>,
    /// When a certificate log took it, RFC 3339.
    pub logged_at: Option<String>,
    /// Digest of what was signed: `sha256:…`.
    pub artifact: Option<String>,
    /// Serial number of the certificate, hex.
    pub serial: Option<String>,
    /// Whether an authority of the trusted root issued the certificate. Anyone may log a signature with
    /// a certificate of their own making; nobody who checks will accept it.
    pub trusted_authority: Option<bool>,
    /// Why the entry could not be read further.
    pub unreadable: Option<String>,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// A certificate was issued.
    Certificate,
    /// A signature was made.
    Signature,
    /// An entry that may be in the name, but cannot be read.
    Unreadable,
}

impl Interest {
    /// Interest in certificates whose subject alternative name is exactly `identity`, and, if given,
    /// whose OIDC issuer is exactly `issuer`.
    ///
    /// # Errors
    /// When the identity is empty or an authority of the root cannot be read.
    pub fn new(identity: &str, issuer: Option<&str>, root: &TrustedRoot) -> Result<Self, InterestError> {
        if identity.is_empty() {
            return Err(InterestError::Empty);
        }
        let chains = root.certificate_authorities.iter().flat_map(|authority| &authority.cert_chain);
        let authorities = chains.map(|der| Certificate::from_der(der)).collect::<Result<_, _>>()?;
        Ok(Self { identity: identity.to_owned(), issuer: issuer.map(str::to_owned), authorities })
    }

    /// The name.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The OIDC issuer that must have vouched for it.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// What is to be told about an entry, if anything.
    ///
    /// # Errors
    /// When it is no entry of the log's kind.
    pub(super) fn examine(
        &self,
        log: &LogDescription,
        index: u64,
        leaf_hash: Hash,
        encoded: &[u8],
    ) -> Result<Option<Event>, LeafError> {
        let blank = |kind| Event {
            kind,
            log: log.origin.clone(),
            log_url: log.url.to_string(),
            log_index: index,
            leaf_hash: leaf_hash.to_string(),
            identity: self.identity.clone(),
            issuer: None,
            issued_at: None,
            logged_at: None,
            artifact: None,
            serial: None,
            trusted_authority: None,
            unreadable: None,
        };
        let unreadable = |why: &dyn std::error::Error| Event {
            unreadable: Some(why.to_string()),
            ..blank(EventKind::Unreadable)
        };
        Ok(match log.kind {
            LogKind::Signatures => match EntryBody::parse(EntryLeaf::entry(encoded)?) {
                Ok(EntryBody::HashedRekord(entry)) => {
                    let Verifier::Certificate(der) = &entry.verifier else { return Ok(None) };
                    self.find(der, Certificate::from_der).map(|found| match found {
                        Ok(certificate) => Event {
                            artifact: Some(entry.digest.to_string()),
                            trusted_authority: Some(self.issued(&certificate)),
                            ..describe(blank(EventKind::Signature), &certificate)
                        },
                        Err(why) => unreadable(&why),
                    })
                }
                Ok(other) => {
                    let kind = other.kind_version();
                    let why = format!("entries of kind {} {} are not read", kind.kind, kind.version);
                    Some(Event { unreadable: Some(why), ..blank(EventKind::Unreadable) })
                }
                Err(why) => Some(unreadable(&why)),
            },
            LogKind::Certificates => {
                let leaf = TileLeaf::parse(encoded)?;
                let found = match leaf.entry {
                    CtEntryRef::Precert { tbs, issuer_key_hash, .. } => {
                        let ours = |ca: &Certificate| sha256(ca.spki_der()) == issuer_key_hash;
                        let trusted = self.authorities.iter().any(ours);
                        self.find(tbs, Certificate::from_tbs).map(|found| found.map(|c| (c, trusted)))
                    }
                    CtEntryRef::X509 { cert } => self.find(cert, Certificate::from_der).map(|found| {
                        found.map(|certificate| {
                            let trusted = self.issued(&certificate);
                            (certificate, trusted)
                        })
                    }),
                };
                found.map(|found| match found {
                    Ok((certificate, trusted)) => Event {
                        logged_at: i64::try_from(leaf.timestamp_ms)
                            .ok()
                            .map(|ms| UnixTime::from_millis(ms).to_string()),
                        trusted_authority: Some(trusted),
                        ..describe(blank(EventKind::Certificate), &certificate)
                    },
                    Err(why) => unreadable(&why),
                })
            }
        })
    }

    /// The certificate, if it is in the name. An unreadable one counts if the name's bytes are in it:
    /// in DER a name stands in one piece, so where they are not, it is not in that name.
    fn find(
        &self,
        der: &[u8],
        parse: impl FnOnce(&[u8]) -> Result<Certificate, CertificateError>,
    ) -> Option<Result<Certificate, CertificateError>> {
        let name = self.identity.as_bytes();
        if !der.windows(name.len()).any(|window| window == name) {
            return None;
        }
        let certificate = match parse(der) {
            Ok(certificate) => certificate,
            Err(why) => return Some(Err(why)),
        };
        let named = certificate.san().iter().any(|san| san.as_text() == Some(&self.identity));
        let vouched = match &self.issuer {
            Some(issuer) => certificate.fulcio().oidc_issuer() == Some(issuer),
            None => true,
        };
        (named && vouched).then_some(Ok(certificate))
    }

    fn issued(&self, certificate: &Certificate) -> bool {
        let mut issuers = self.authorities.iter().filter(|ca| certificate.names_issuer(ca));
        issuers.any(|ca| certificate.verify_signed_by(ca).is_ok())
    }
}

fn describe(event: Event, certificate: &Certificate) -> Event {
    Event {
        issuer: certificate.fulcio().oidc_issuer().map(str::to_owned),
        issued_at: Some(UnixTime::from_seconds(certificate.validity().0).to_string()),
        serial: Some(hex::encode(certificate.serial())),
        ..event
    }
}

impl Event {
    /// One line of JSON, without the newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Strings, numbers and flags always have a JSON form.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl fmt::Display for Event {
    /// One line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = format_args!("entry {} of {}", self.log_index, self.log);
        let unknown = "an unknown issuer";
        let issuer = self.issuer.as_deref().unwrap_or(unknown);
        let at = self.issued_at.as_deref().unwrap_or("an unknown time");
        match self.kind {
            EventKind::Certificate => {
                write!(f, "certificate for {} (through {issuer}), issued {at}: {place}", self.identity)?;
            }
            EventKind::Signature => {
                let artifact = self.artifact.as_deref().unwrap_or("something");
                write!(
                    f,
                    "signature by {} (through {issuer}) over {artifact}, certificate issued {at}: {place}",
                    self.identity
                )?;
            }
            EventKind::Unreadable => {
                let why = self.unreadable.as_deref().unwrap_or("no reason known");
                return write!(f, "unreadable, perhaps in the name of {}: {place}: {why}", self.identity);
            }
        }
        match self.trusted_authority {
            Some(false) => f.write_str(", from an authority that the trusted root does not know"),
            _ => Ok(()),
        }
    }
}
