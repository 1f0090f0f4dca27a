//! What a timestamp authority answers (RFC 3161 §2.4.2): a granted TimeStampResp with one signature.
//!
//! The form is the one that every measured client reads: SignedData version 3, the signer named by
//! issuer and serial number, whole seconds, signed attributes in DER order.

use super::request::TimeStampReq;
use crate::{
    Certificate, algorithm,
    asn1::{self, INTEGER, OCTET_STRING, SET},
    oids,
};
use alloc::vec::Vec;
use const_oid::ObjectIdentifier;
use sealog_crypto::{HashAlgorithm, Scheme, SignError, Signer, sha256};

/// The policy of Sigstore timestamp authorities.
pub const POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.2");
/// How far the stated time may be off.
pub const ACCURACY_SECONDS: u8 = 1;

/// Why no answer could be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RespondError {
    /// The authority has no certificate.
    #[error("the timestamp authority's certificate chain is empty")]
    NoCertificate,
    /// The signing key is not the one the authority's certificate is for.
    #[error("the signing key is not the timestamp authority certificate's")]
    WrongKey,
    /// Another policy than the authority's is asked for.
    #[error("policy {0} is not accepted")]
    Policy(ObjectIdentifier),
    /// An extension is asked for.
    #[error("extension {0} is not accepted")]
    Extension(ObjectIdentifier),
    /// A time GeneralizedTime cannot say, or at which the authority's certificate is not valid.
    #[error("time {0} is outside the validity of the timestamp authority's certificate")]
    Time(i64),
    /// CMS has no name for how the key signs.
    #[error("{0} has no CMS signature algorithm")]
    Scheme(Scheme),
    /// The key failed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Who answers.
#[derive(Clone, Copy)]
pub struct TsaIdentity<'a> {
    /// The key.
    pub signer: &'a dyn Signer,
    /// Its certificate first, then those above.
    pub chain: &'a [Certificate],
}

/// Answers a request: DER of a TimeStampResp with status granted.
///
/// `serial` is an unsigned number, big-endian, never used before by this authority.
///
/// # Errors
/// See [`RespondError`].
pub fn respond(
    request: &TimeStampReq,
    tsa: &TsaIdentity<'_>,
    gen_time_unix: i64,
    serial: &[u8],
    policy: &ObjectIdentifier,
) -> Result<Vec<u8>, RespondError> {
    let certificate = tsa.chain.first().ok_or(RespondError::NoCertificate)?;
    if certificate.spki_der() != tsa.signer.public_key().spki_der() {
        return Err(RespondError::WrongKey);
    }
    if let Some(other) = request.policy.filter(|wanted| wanted != policy) {
        return Err(RespondError::Policy(other));
    }
    if let Some(extension) = request.extensions.first() {
        return Err(RespondError::Extension(*extension));
    }
    if !certificate.is_valid_at(gen_time_unix) {
        return Err(RespondError::Time(gen_time_unix));
    }
    let info = tst_info(request, gen_time_unix, serial, policy)?;
    let token = signed_data(&info, tsa.signer, certificate, gen_time_unix, request.cert_req)?;
    let granted = asn1::sequence(&[&asn1::unsigned(&[0])]);
    Ok(asn1::sequence(&[&granted, &token]))
}

fn tst_info(
    request: &TimeStampReq,
    gen_time: i64,
    serial: &[u8],
    policy: &ObjectIdentifier,
) -> Result<Vec<u8>, RespondError> {
    let nonce = request.nonce.as_ref().map(|nonce| asn1::wrap(INTEGER, &[nonce])).unwrap_or_default();
    Ok(asn1::sequence(&[
        &asn1::unsigned(&[1]),
        &asn1::oid(policy),
        &request.imprint_der,
        &asn1::unsigned(serial),
        &asn1::generalized_time(gen_time).ok_or(RespondError::Time(gen_time))?,
        &asn1::sequence(&[&asn1::unsigned(&[ACCURACY_SECONDS])]),
        &nonce,
    ]))
}

/// ContentInfo of SignedData (RFC 5652 §5.1).
fn signed_data(
    info: &[u8],
    signer: &dyn Signer,
    certificate: &Certificate,
    gen_time: i64,
    with_certificate: bool,
) -> Result<Vec<u8>, RespondError> {
    let scheme = signer.scheme();
    // Ed25519 signs the attributes themselves; RFC 8419 §3 gives it SHA-512 for the digest.
    let hash = scheme.prehash().unwrap_or(HashAlgorithm::Sha512);
    let attributes = signed_attributes(info, hash, certificate, gen_time)?;
    // RFC 5652 §5.4: signed as a SET, carried under [0].
    let signature = signer.sign(&asn1::set_of(SET, attributes.clone()))?;
    let signer_info = asn1::sequence(&[
        &asn1::unsigned(&[1]),
        &asn1::sequence(&[certificate.issuer_name(), &asn1::wrap(INTEGER, &[certificate.serial()])]),
        &algorithm::hash(hash),
        &asn1::set_of(asn1::constructed(0), attributes),
        &algorithm::signature(scheme).ok_or(RespondError::Scheme(scheme))?,
        &asn1::octet_string(&signature),
    ]);
    let certificates = if with_certificate {
        asn1::set_of(asn1::constructed(0), Vec::from([certificate.der().to_vec()]))
    } else {
        Vec::new()
    };
    let content = asn1::wrap(asn1::constructed(0), &[&asn1::wrap(OCTET_STRING, &[info])]);
    let signed_data = asn1::sequence(&[
        &asn1::unsigned(&[3]),
        &asn1::wrap(SET, &[&algorithm::hash(hash)]),
        &asn1::sequence(&[&asn1::oid(&oids::TST_INFO), &content]),
        &certificates,
        &asn1::wrap(SET, &[&signer_info]),
    ]);
    let content = asn1::wrap(asn1::constructed(0), &[&signed_data]);
    Ok(asn1::sequence(&[&asn1::oid(&oids::SIGNED_DATA), &content]))
}

fn signed_attributes(
    info: &[u8],
    hash: HashAlgorithm,
    certificate: &Certificate,
    gen_time: i64,
) -> Result<Vec<Vec<u8>>, RespondError> {
    let attribute = |kind: &ObjectIdentifier, value: &[u8]| {
        asn1::sequence(&[&asn1::oid(kind), &asn1::wrap(SET, &[value])])
    };
    let signing_time = asn1::time(gen_time).ok_or(RespondError::Time(gen_time))?;
    // ESSCertIDv2 (RFC 5816 §2.2.1): SHA-256 is the default and therefore left out.
    let directory_name = asn1::wrap(asn1::constructed(4), &[certificate.issuer_name()]);
    let issuer_serial =
        asn1::sequence(&[&asn1::sequence(&[&directory_name]), &asn1::wrap(INTEGER, &[certificate.serial()])]);
    let certificate_id = asn1::sequence(&[&asn1::octet_string(&sha256(certificate.der())), &issuer_serial]);
    let signing_certificate = asn1::sequence(&[&asn1::sequence(&[&certificate_id])]);
    Ok(Vec::from([
        attribute(&oids::CONTENT_TYPE, &asn1::oid(&oids::TST_INFO)),
        attribute(&oids::MESSAGE_DIGEST, &asn1::octet_string(hash.digest(info).as_bytes())),
        attribute(&oids::SIGNING_TIME, &signing_time),
        attribute(&oids::SIGNING_CERTIFICATE_V2, &signing_certificate),
    ]))
}
