//! Issuing certificates: the leaf that proves an identity for ten minutes, and the authorities above it.
//!
//! Spec: RFC 5280 §4 and Fulcio's certificate specification; RFC 6962 §3.1 for the two-step leaf. The
//! final leaf is made from the precertificate's own bytes, so that what the log signed is what is
//! issued: same bytes, poison out, SCT list in.
//!
//! Serial numbers and times are arguments; nothing here reads a clock or a random generator.

use crate::{
    Certificate, CertificateError, ExtensionValues, San, algorithm,
    asn1::{self, SEQUENCE},
    certificate::tbs_with,
    extension, name, oids,
};
use alloc::vec::Vec;
use const_oid::ObjectIdentifier;
use sealog_crypto::{PublicKey, Scheme, SignError, Signer, sha256};
use sealog_tlog::ct::{SctError, SctList};

/// Key usage with digitalSignature only, in DER.
const USAGE_DIGITAL_SIGNATURE: [u8; 4] = [0x03, 0x02, 0x07, 0x80];
/// Key usage with keyCertSign and cRLSign, in DER.
const USAGE_CERT_SIGN: [u8; 4] = [0x03, 0x02, 0x01, 0x06];
/// Length of our key identifiers: the leftmost 160 bits of SHA-256 (RFC 7093 §2, method 1).
const KEY_ID_BYTES: usize = 20;

/// Why a certificate could not be issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The signing key is not the one the issuer certificate is for.
    #[error("the signing key is not the issuer certificate's")]
    WrongKey,
    /// The issuer certificate has no subjectKeyIdentifier to point at.
    #[error("the issuer certificate has no subject key identifier")]
    NoIssuerKeyId,
    /// The issuer certificate is not a CA's.
    #[error("the issuer certificate is not a CA's")]
    NotCa,
    /// The validity cannot be written, ends before it begins, or outlives the issuer.
    #[error("validity from {not_before} to {not_after} cannot be issued")]
    Validity {
        /// First second, Unix time.
        not_before: i64,
        /// Last second, Unix time.
        not_after: i64,
    },
    /// The name cannot be written: empty, outside ASCII where that is needed, or of an unread form.
    #[error("the subject alternative name `{0}` cannot be encoded")]
    San(San),
    /// Every leaf says which OIDC issuer vouched for it, in both forms.
    #[error("the OIDC issuer is missing from the extensions")]
    NoOidcIssuer,
    /// X.509 has no name for how the key signs.
    #[error("{0} has no X.509 signature algorithm")]
    Scheme(Scheme),
    /// A leaf without an SCT verifies nowhere.
    #[error("there is no signed certificate timestamp to embed")]
    NoSct,
    /// The SCTs cannot be encoded.
    #[error(transparent)]
    Sct(#[from] SctError),
    /// The leaf would not be what the log saw.
    #[error("the certificate differs from the logged precertificate")]
    NotAsLogged,
    /// The key failed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// What was made does not parse.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// A serial number: 20 bytes, positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Serial([u8; 20]);

impl Serial {
    /// Takes random bytes; the top two bits become 01, so that the number is positive and 20 bytes long.
    #[must_use]
    pub const fn from_random(mut bytes: [u8; 20]) -> Self {
        bytes[0] = (bytes[0] & 0x3f) | 0x40;
        Self(bytes)
    }

    /// The number, big-endian.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

/// What a leaf says.
#[derive(Clone, Copy, Debug)]
pub struct LeafProfile<'a> {
    /// Its serial number.
    pub serial: Serial,
    /// First second of validity, Unix time.
    pub not_before: i64,
    /// Last second of validity, Unix time.
    pub not_after: i64,
    /// The key that will sign.
    pub public_key: &'a PublicKey,
    /// Who holds it.
    pub san: &'a San,
    /// What the token said further.
    pub extensions: &'a ExtensionValues,
}

/// What a CA's or TSA's certificate says.
#[derive(Clone, Copy, Debug)]
pub struct AuthorityProfile<'a> {
    /// Organisation; left out when empty.
    pub organization: &'a str,
    /// Common name.
    pub common_name: &'a str,
    /// Its serial number.
    pub serial: Serial,
    /// First second of validity, Unix time.
    pub not_before: i64,
    /// Last second of validity, Unix time.
    pub not_after: i64,
}

/// What the certificates below an intermediate are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Below {
    /// Leaves that sign code.
    CodeSigning,
    /// The key of a timestamp authority.
    TimeStamping,
}

impl Below {
    fn purpose(self) -> ObjectIdentifier {
        match self {
            Self::CodeSigning => oids::CODE_SIGNING,
            Self::TimeStamping => oids::TIME_STAMPING,
        }
    }
}

/// A precertificate, and the parts its certificate will be made of.
#[derive(Clone, Debug)]
pub struct Precert {
    certificate: Certificate,
    head: Vec<u8>,
    extensions: Vec<u8>,
}

impl Precert {
    /// The poisoned certificate to submit to the log.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The signed part without the poison: what the log signs about.
    #[must_use]
    pub fn tbs_for_ct(&self) -> Vec<u8> {
        tbs_with(&self.head, &self.extensions)
    }
}

/// Makes the precertificate of a leaf.
///
/// # Errors
/// See [`IssueError`].
pub fn precertificate(
    profile: &LeafProfile<'_>,
    issuer: &Certificate,
    signer: &dyn Signer,
) -> Result<Precert, IssueError> {
    check_issuer(issuer, signer, profile.not_before, profile.not_after)?;
    if profile.extensions.oidc_issuer().is_none() {
        return Err(IssueError::NoOidcIssuer);
    }
    let mut extensions = [
        known(&oids::KEY_USAGE, true, &USAGE_DIGITAL_SIGNATURE),
        purposes(&oids::CODE_SIGNING, false),
        subject_key_id(profile.public_key),
        authority_key_id(issuer)?,
        subject_alternative_name(profile.san)?,
    ]
    .concat();
    for (row, text) in profile.extensions.iter() {
        extensions.extend(extension::encode(&row.oid_content(), false, &row.encode(text)));
    }
    let validity = validity(profile.not_before, profile.not_after)?;
    let head = head(
        &profile.serial,
        signer,
        issuer.subject_name(),
        &validity,
        &asn1::sequence(&[]),
        profile.public_key,
    )?;
    let poison = known(&oids::CT_PRECERT_POISON, true, &asn1::null());
    let certificate = sign(&tbs_with(&head, &[extensions.as_slice(), &poison].concat()), signer)?;
    let precert = Precert { certificate, head, extensions };
    if precert.certificate.tbs_without(&oids::CT_PRECERT_POISON) != precert.tbs_for_ct() {
        return Err(IssueError::NotAsLogged);
    }
    Ok(precert)
}

/// Makes the certificate of a precertificate, with the log's answers in it.
///
/// # Errors
/// See [`IssueError`].
pub fn finish(
    precert: &Precert,
    scts: &SctList,
    issuer: &Certificate,
    signer: &dyn Signer,
) -> Result<Certificate, IssueError> {
    let (not_before, not_after) = precert.certificate.validity();
    check_issuer(issuer, signer, not_before, not_after)?;
    if scts.0.is_empty() {
        return Err(IssueError::NoSct);
    }
    let scts = known(&oids::CT_PRECERT_SCTS, false, &asn1::octet_string(&scts.encode()?));
    let tbs = tbs_with(&precert.head, &[precert.extensions.as_slice(), &scts].concat());
    let certificate = sign(&tbs, signer)?;
    if certificate.tbs_without(&oids::CT_PRECERT_SCTS) != precert.tbs_for_ct() {
        return Err(IssueError::NotAsLogged);
    }
    Ok(certificate)
}

/// Makes the self-signed certificate of a root CA: no purposes, no length limit.
///
/// # Errors
/// See [`IssueError`].
pub fn self_signed_root(
    profile: &AuthorityProfile<'_>,
    signer: &dyn Signer,
) -> Result<Certificate, IssueError> {
    let subject = name::encode(profile.organization, profile.common_name);
    let key = signer.public_key();
    let extensions =
        [known(&oids::KEY_USAGE, true, &USAGE_CERT_SIGN), ca_constraints(None), subject_key_id(key)].concat();
    let validity = validity(profile.not_before, profile.not_after)?;
    let head = head(&profile.serial, signer, &subject, &validity, &subject, key)?;
    sign(&tbs_with(&head, &extensions), signer)
}

/// Makes the certificate of an intermediate CA, below which only leaves of one purpose may stand.
///
/// # Errors
/// See [`IssueError`].
pub fn intermediate(
    profile: &AuthorityProfile<'_>,
    below: Below,
    public_key: &PublicKey,
    issuer: &Certificate,
    signer: &dyn Signer,
) -> Result<Certificate, IssueError> {
    authority(profile, &intermediate_extensions(below), public_key, issuer, signer)
}

pub(crate) fn intermediate_extensions(below: Below) -> Vec<u8> {
    [
        known(&oids::KEY_USAGE, true, &USAGE_CERT_SIGN),
        purposes(&below.purpose(), false),
        ca_constraints(Some(0)),
    ]
    .concat()
}

/// Makes the certificate of a timestamp authority's key (RFC 3161 §2.3: one purpose, critical).
///
/// # Errors
/// See [`IssueError`].
pub fn tsa_leaf(
    profile: &AuthorityProfile<'_>,
    public_key: &PublicKey,
    issuer: &Certificate,
    signer: &dyn Signer,
) -> Result<Certificate, IssueError> {
    authority(profile, &tsa_extensions(), public_key, issuer, signer)
}

pub(crate) fn tsa_extensions() -> Vec<u8> {
    [known(&oids::KEY_USAGE, true, &USAGE_DIGITAL_SIGNATURE), purposes(&oids::TIME_STAMPING, true)].concat()
}

fn authority(
    profile: &AuthorityProfile<'_>,
    extensions: &[u8],
    public_key: &PublicKey,
    issuer: &Certificate,
    signer: &dyn Signer,
) -> Result<Certificate, IssueError> {
    check_issuer(issuer, signer, profile.not_before, profile.not_after)?;
    let key_ids = [subject_key_id(public_key), authority_key_id(issuer)?].concat();
    let subject = name::encode(profile.organization, profile.common_name);
    let validity = validity(profile.not_before, profile.not_after)?;
    let head = head(&profile.serial, signer, issuer.subject_name(), &validity, &subject, public_key)?;
    sign(&tbs_with(&head, &[extensions, &key_ids].concat()), signer)
}

/// Refuses to issue what could never verify.
fn check_issuer(
    issuer: &Certificate,
    signer: &dyn Signer,
    not_before: i64,
    not_after: i64,
) -> Result<(), IssueError> {
    if !issuer.is_ca() {
        return Err(IssueError::NotCa);
    }
    if issuer.spki_der() != signer.public_key().spki_der() {
        return Err(IssueError::WrongKey);
    }
    if !issuer.is_valid_at(not_before) || !issuer.is_valid_at(not_after) {
        return Err(IssueError::Validity { not_before, not_after });
    }
    Ok(())
}

/// The fields before the extensions.
fn head(
    serial: &Serial,
    signer: &dyn Signer,
    issuer: &[u8],
    validity: &[u8],
    subject: &[u8],
    public_key: &PublicKey,
) -> Result<Vec<u8>, IssueError> {
    let version_3 = asn1::wrap(asn1::constructed(0), &[&asn1::unsigned(&[2])]);
    let algorithm = signature_algorithm(signer)?;
    let serial = asn1::unsigned(serial.as_bytes());
    Ok([&version_3, &serial, &algorithm, issuer, validity, subject, public_key.spki_der()].concat())
}

fn sign(tbs: &[u8], signer: &dyn Signer) -> Result<Certificate, IssueError> {
    let algorithm = signature_algorithm(signer)?;
    let signature = signer.sign(tbs)?;
    let der = asn1::wrap(SEQUENCE, &[tbs, &algorithm, &asn1::bit_string(&signature)]);
    Ok(Certificate::from_der(&der)?)
}

fn signature_algorithm(signer: &dyn Signer) -> Result<Vec<u8>, IssueError> {
    algorithm::signature(signer.scheme()).ok_or(IssueError::Scheme(signer.scheme()))
}

fn validity(not_before: i64, not_after: i64) -> Result<Vec<u8>, IssueError> {
    match (asn1::time(not_before), asn1::time(not_after)) {
        (Some(from), Some(to)) if not_before <= not_after => Ok(asn1::sequence(&[&from, &to])),
        _ => Err(IssueError::Validity { not_before, not_after }),
    }
}

fn known(oid: &ObjectIdentifier, critical: bool, value: &[u8]) -> Vec<u8> {
    extension::encode(oid.as_bytes(), critical, value)
}

fn purposes(purpose: &ObjectIdentifier, critical: bool) -> Vec<u8> {
    known(&oids::EXT_KEY_USAGE, critical, &asn1::sequence(&[&asn1::oid(purpose)]))
}

fn ca_constraints(path_len: Option<u8>) -> Vec<u8> {
    let path_len = path_len.map_or_else(Vec::new, |length| asn1::unsigned(&[length]));
    known(&oids::BASIC_CONSTRAINTS, true, &asn1::sequence(&[&asn1::boolean_true(), &path_len]))
}

fn subject_key_id(key: &PublicKey) -> Vec<u8> {
    let digest = sha256(key.key_bits());
    let (id, _) = digest.split_at_checked(KEY_ID_BYTES).unwrap_or((&digest, &[]));
    known(&oids::SUBJECT_KEY_ID, false, &asn1::octet_string(id))
}

fn authority_key_id(issuer: &Certificate) -> Result<Vec<u8>, IssueError> {
    let id = issuer.subject_key_id().ok_or(IssueError::NoIssuerKeyId)?;
    let id = asn1::wrap(asn1::primitive(0), &[id]);
    Ok(known(&oids::AUTHORITY_KEY_ID, false, &asn1::sequence(&[&id])))
}

/// Critical, because the subject is empty (RFC 5280 §4.2.1.6).
fn subject_alternative_name(san: &San) -> Result<Vec<u8>, IssueError> {
    let name = san.encode().ok_or_else(|| IssueError::San(san.clone()))?;
    Ok(known(&oids::SUBJECT_ALT_NAME, true, &asn1::sequence(&[&name])))
}
