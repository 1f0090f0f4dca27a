//! One X.509 certificate (RFC 5280 §4.1), parsed once and kept as the bytes it came as.
//!
//! Parsing says what a certificate states; whether to believe it is `chain`'s answer.

use crate::{
    algorithm::Algorithm,
    asn1::{self, DerError, Element, INTEGER, SEQUENCE},
    extension::{self, BasicConstraints, Extension, KeyUsage, Known},
    fulcio_extensions::ExtensionValues,
    name, oids,
    pem::{self, PemError},
    san::San,
};
use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use const_oid::ObjectIdentifier;
use core::{fmt, ops::Range};
use once_cell::race::OnceBox;
use sealog_crypto::{KeyError, PublicKey, Scheme, SignatureError};

/// Certificates above this size are refused unread.
pub const MAX_CERTIFICATE_BYTES: usize = 1 << 16;
const LABEL: &str = "CERTIFICATE";
const WHAT: &str = "the certificate";

/// Why bytes are not a certificate we read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Some part is not DER, or not what the standard puts there.
    #[error(transparent)]
    Malformed(#[from] DerError),
    /// Not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// Larger than is read.
    #[error("the certificate has {found} bytes, more than {limit}")]
    TooLarge {
        /// Its size.
        found: usize,
        /// What is read at most.
        limit: usize,
    },
    /// A version we do not know, or extensions in a version that has none.
    #[error("certificate version {0} is not supported, or has no extensions")]
    Version(u32),
    /// The algorithm is named once inside the signed part and once outside, differently.
    #[error("the certificate names two different signature algorithms")]
    AlgorithmMismatch,
    /// One extension twice.
    #[error("extension {0} occurs twice")]
    DuplicateExtension(ObjectIdentifier),
    /// An extension whose content is not what its identifier promises.
    #[error("extension {0} is malformed")]
    MalformedExtension(ObjectIdentifier),
    /// More extensions than are read.
    #[error("the certificate has more than {limit} extensions")]
    TooManyExtensions {
        /// What is read at most.
        limit: usize,
    },
}

/// Why a certificate's signature does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateSignatureError {
    /// The algorithm is none we verify.
    #[error("signature algorithm {0} is not supported")]
    UnknownAlgorithm(ObjectIdentifier),
    /// The issuer's key is none we use.
    #[error(transparent)]
    IssuerKey(#[from] KeyError),
    /// It does not verify.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// A parsed certificate. Cloning is cheap.
#[derive(Clone)]
pub struct Certificate(Arc<Parts>);

/// Ranges are of `der`.
struct Parts {
    der: Vec<u8>,
    tbs: Range<usize>,
    /// Content of the TBSCertificate up to its extensions.
    tbs_head: Range<usize>,
    serial: Range<usize>,
    issuer: Range<usize>,
    subject: Range<usize>,
    not_before: i64,
    not_after: i64,
    spki: Range<usize>,
    /// Parsed when it is first asked for.
    key: OnceBox<Result<PublicKey, KeyError>>,
    extensions: Vec<Extension>,
    known: Known,
    /// Collected when they are first asked for.
    fulcio: OnceBox<ExtensionValues>,
    signature_algorithm: ObjectIdentifier,
    scheme: Option<Scheme>,
    signature: Range<usize>,
}

impl Parts {
    fn at(&self, range: &Range<usize>) -> &[u8] {
        self.der.get(range.clone()).unwrap_or_default()
    }
}

/// Where in `whole` a part of it lies.
fn place_of(part: &[u8], whole: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start.saturating_add(part.len())
}

impl Certificate {
    /// Parses DER, all of it.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(CertificateError::TooLarge { found: der.len(), limit: MAX_CERTIFICATE_BYTES });
        }
        let mut outer = Element::only(der, SEQUENCE, WHAT)?.elements()?;
        let tbs = outer.next(SEQUENCE)?;
        let algorithm = outer.next(SEQUENCE)?;
        let signature = outer.next_any()?.bit_string()?;
        outer.finish()?;

        let mut fields = tbs.elements()?;
        let version = match fields.next_if(asn1::constructed(0))? {
            // DEFAULT v1 is never written in DER.
            Some(explicit) => match Element::only(explicit.value, INTEGER, WHAT)?.small_integer()? {
                number @ 1..=2 => number,
                number => return Err(CertificateError::Version(number.saturating_add(1))),
            },
            None => 0,
        };
        let serial = fields.next_any()?.integer()?;
        // RFC 5280 §4.1.1.2: both must be the same, or the unsigned one could redirect the verifier.
        if fields.next(SEQUENCE)?.raw != algorithm.raw {
            return Err(CertificateError::AlgorithmMismatch);
        }
        let issuer = fields.next(SEQUENCE)?;
        name::check(&issuer)?;
        let mut validity = fields.next(SEQUENCE)?.elements()?;
        let (not_before, not_after) = (validity.next_any()?.time()?, validity.next_any()?.time()?);
        validity.finish()?;
        let subject = fields.next(SEQUENCE)?;
        name::check(&subject)?;
        let spki = fields.next(SEQUENCE)?;
        fields.next_if(asn1::primitive(1))?;
        fields.next_if(asn1::primitive(2))?;
        let (tbs_head, extensions) = match fields.next_if(asn1::constructed(3))? {
            Some(_) if version < 2 => return Err(CertificateError::Version(version.saturating_add(1))),
            Some(explicit) => {
                let head = tbs.value.len().saturating_sub(explicit.raw.len());
                (
                    tbs.value.get(..head).unwrap_or_default(),
                    extension::parse_all(&explicit, |raw| place_of(raw, der))?,
                )
            }
            None => (tbs.value, Vec::new()),
        };
        fields.finish()?;

        let algorithm = Algorithm::parse(&algorithm)?;
        let place = |part: &[u8]| place_of(part, der);
        Ok(Self(Arc::new(Parts {
            der: der.to_vec(),
            tbs: place(tbs.raw),
            tbs_head: place(tbs_head),
            serial: place(serial),
            issuer: place(issuer.raw),
            subject: place(subject.raw),
            not_before,
            not_after,
            spki: place(spki.raw),
            key: OnceBox::new(),
            known: extension::read_known(&extensions)?,
            fulcio: OnceBox::new(),
            extensions,
            signature_algorithm: algorithm.oid,
            scheme: algorithm.scheme(),
            signature: place(signature),
        })))
    }

    /// Reads what a TBSCertificate says when it stands alone, as in a CT log's leaf. Its signature is
    /// empty: it never verifies.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn from_tbs(tbs: &[u8]) -> Result<Self, CertificateError> {
        let mut fields = Element::only(tbs, SEQUENCE, WHAT)?.elements()?;
        fields.next_if(asn1::constructed(0))?;
        fields.next(INTEGER)?;
        let algorithm = fields.next(SEQUENCE)?;
        Self::from_der(&asn1::sequence(&[tbs, algorithm.raw, &asn1::bit_string(&[])]))
    }

    /// Parses one PEM block labelled `CERTIFICATE`.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn from_pem(pem: &str) -> Result<Self, CertificateError> {
        Self::from_der(&Self::der_in_pem(pem)?)
    }

    /// The DER in one PEM block labelled `CERTIFICATE`, which nothing more was asked of: to be compared with a certificate
    /// that was parsed.
    ///
    /// # Errors
    /// When it is not such a block.
    pub fn der_in_pem(pem: &str) -> Result<Vec<u8>, PemError> {
        pem::decode(pem, LABEL)
    }

    /// Parses PEM blocks labelled `CERTIFICATE`, one after the other.
    ///
    /// # Errors
    /// See [`CertificateError`].
    pub fn chain_from_pem(pem: &str) -> Result<Vec<Self>, CertificateError> {
        pem::decode_all(pem, LABEL)?.iter().map(|der| Self::from_der(der)).collect()
    }

    /// The bytes it was parsed from.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// PEM, with a final newline.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem::encode(LABEL, self.der())
    }

    /// The signed part, TBSCertificate, as it was encoded.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        self.0.at(&self.0.tbs)
    }

    /// The signed part with one extension cut out and every other byte but the lengths unchanged:
    /// what a CT log signs about a precertificate (RFC 6962 §3.2).
    #[must_use]
    pub fn tbs_without(&self, oid: &ObjectIdentifier) -> Vec<u8> {
        let kept = self.0.extensions.iter().filter(|extension| extension.oid != *oid);
        let kept = kept.map(|extension| self.0.at(&extension.place)).collect::<Vec<_>>().concat();
        tbs_with(self.0.at(&self.0.tbs_head), &kept)
    }

    /// Content of the serial number's INTEGER.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        self.0.at(&self.0.serial)
    }

    /// The issuer's name in DER.
    #[must_use]
    pub fn issuer_name(&self) -> &[u8] {
        self.0.at(&self.0.issuer)
    }

    /// The subject's name in DER.
    #[must_use]
    pub fn subject_name(&self) -> &[u8] {
        self.0.at(&self.0.subject)
    }

    /// Whether the subject's name has no attribute at all.
    #[must_use]
    pub fn has_empty_subject(&self) -> bool {
        self.subject_name().len() == 2
    }

    /// The subject's common name.
    #[must_use]
    pub fn common_name(&self) -> Option<String> {
        name::attribute(self.subject_name(), &oids::COMMON_NAME)
    }

    /// The subject's organisation.
    #[must_use]
    pub fn organization(&self) -> Option<String> {
        name::attribute(self.subject_name(), &oids::ORGANIZATION)
    }

    /// First and last second of validity, both inclusive, in Unix time.
    #[must_use]
    pub fn validity(&self) -> (i64, i64) {
        (self.0.not_before, self.0.not_after)
    }

    /// Whether `at_unix` lies within the validity.
    #[must_use]
    pub fn is_valid_at(&self, at_unix: i64) -> bool {
        (self.0.not_before..=self.0.not_after).contains(&at_unix)
    }

    /// SubjectPublicKeyInfo as it was encoded.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        self.0.at(&self.0.spki)
    }

    /// The subject's key.
    ///
    /// # Errors
    /// When it is none we use.
    pub fn public_key(&self) -> Result<PublicKey, KeyError> {
        self.key().cloned()
    }

    /// The subject's key, parsed once for all clones.
    fn key(&self) -> Result<&PublicKey, KeyError> {
        let parsed = self.0.key.get_or_init(|| Box::new(PublicKey::from_spki_der(self.spki_der())));
        parsed.as_ref().map_err(KeyError::clone)
    }

    /// Whether both are clones of one parsed certificate.
    pub(crate) fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Every extension, in order.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.0.extensions
    }

    /// The extension of that identifier.
    #[must_use]
    pub fn extension(&self, oid: &ObjectIdentifier) -> Option<&Extension> {
        self.0.extensions.iter().find(|extension| extension.oid == *oid)
    }

    /// keyUsage.
    #[must_use]
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.0.known.key_usage
    }

    /// basicConstraints.
    #[must_use]
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.0.known.basic_constraints
    }

    /// Whether basicConstraints make it a CA.
    #[must_use]
    pub fn is_ca(&self) -> bool {
        self.basic_constraints().is_some_and(|constraints| constraints.ca)
    }

    /// The purposes of extKeyUsage; none when there is no such extension.
    #[must_use]
    pub fn extended_key_usage(&self) -> Option<&[ObjectIdentifier]> {
        self.0.known.purposes.as_deref()
    }

    /// subjectKeyIdentifier.
    #[must_use]
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.0.known.subject_key_id.as_deref()
    }

    /// The key identifier of authorityKeyIdentifier.
    #[must_use]
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.0.known.authority_key_id.as_deref()
    }

    /// The subject alternative names.
    #[must_use]
    pub fn san(&self) -> &[San] {
        &self.0.known.names
    }

    /// The Fulcio extensions.
    #[must_use]
    pub fn fulcio(&self) -> &ExtensionValues {
        self.0.fulcio.get_or_init(|| Box::new(extension::fulcio_values(&self.0.extensions)))
    }

    /// Whether it carries the CT poison: a precertificate is never a certificate.
    #[must_use]
    pub fn is_precertificate(&self) -> bool {
        self.extension(&oids::CT_PRECERT_POISON).is_some()
    }

    /// Whether it may only sign precertificates for its issuer (RFC 6962 §3.1).
    #[must_use]
    pub fn is_precertificate_signer(&self) -> bool {
        self.extended_key_usage().is_some_and(|purposes| purposes.contains(&oids::CT_PRECERT_SIGNING_CERT))
    }

    /// The embedded SignedCertificateTimestampList, still in its TLS encoding (RFC 6962 §3.3).
    ///
    /// # Errors
    /// When the extension is there but holds no OCTET STRING.
    pub fn sct_list(&self) -> Result<Option<&[u8]>, DerError> {
        self.extension(&oids::CT_PRECERT_SCTS)
            .map(|found| {
                Element::only(&found.value, asn1::OCTET_STRING, "the SCT list").map(|list| list.value)
            })
            .transpose()
    }

    /// How the issuer signed; none for algorithms we do not verify.
    #[must_use]
    pub fn signature_scheme(&self) -> Option<Scheme> {
        self.0.scheme
    }

    /// The signature.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        self.0.at(&self.0.signature)
    }

    /// Whether the names say that `issuer` issued it. Only the signature proves it.
    #[must_use]
    pub fn names_issuer(&self, issuer: &Self) -> bool {
        self.issuer_name() == issuer.subject_name()
    }

    /// Verifies the signature with `issuer`'s key, and nothing else.
    ///
    /// # Errors
    /// See [`CertificateSignatureError`].
    pub fn verify_signed_by(&self, issuer: &Self) -> Result<(), CertificateSignatureError> {
        let scheme =
            self.0.scheme.ok_or(CertificateSignatureError::UnknownAlgorithm(self.0.signature_algorithm))?;
        issuer.key()?.verify(scheme, self.tbs_der(), self.signature())?;
        Ok(())
    }
}

/// TBSCertificate of the fields before the extensions, and extensions one after the other.
pub(crate) fn tbs_with(head: &[u8], extensions: &[u8]) -> Vec<u8> {
    if extensions.is_empty() {
        return asn1::sequence(&[head]);
    }
    let extensions = asn1::wrap(asn1::constructed(3), &[&asn1::sequence(&[extensions])]);
    asn1::sequence(&[head, &extensions])
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("common_name", &self.common_name())
            .field("san", &self.san())
            .field("validity", &self.validity())
            .finish_non_exhaustive()
    }
}
