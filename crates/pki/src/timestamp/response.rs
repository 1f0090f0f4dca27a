//! TimeStampResp and the token in it (RFC 3161 §2.4.2, RFC 5652 §5), taken apart but not yet believed.
//!
//! Signed attributes and TSTInfo are kept as the bytes that arrived: signatures and digests are over those.

use super::request::{RequestError, parse_imprint};
use crate::{
    Certificate,
    algorithm::Algorithm,
    asn1::{
        self, BOOLEAN, DerError, Element, Elements, GENERALIZED_TIME, INTEGER, OCTET_STRING, SEQUENCE, SET,
    },
    oids,
};
use alloc::vec::Vec;
use const_oid::ObjectIdentifier;
use sealog_crypto::{Digest, HashAlgorithm, Scheme};

/// Responses above this size are refused unread.
pub const MAX_RESPONSE_BYTES: usize = 1 << 18;
/// More embedded certificates than this are refused.
const MAX_CERTIFICATES: usize = 16;
/// More attributes than this are refused.
const MAX_ATTRIBUTES: usize = 64;
const WHAT: &str = "the timestamp response";

/// Why bytes are not a granted timestamp we read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// Not DER, or not what the standards put there.
    #[error(transparent)]
    Malformed(#[from] DerError),
    /// Larger than is read.
    #[error("the timestamp response has {found} bytes, more than {limit}")]
    TooLarge {
        /// Its size.
        found: usize,
        /// What is read at most.
        limit: usize,
    },
    /// The authority refused.
    #[error("the timestamp authority answered with status {status}, not granted")]
    NotGranted {
        /// PKIStatus.
        status: u32,
    },
    /// Granted, but without a token.
    #[error("the timestamp response has no token")]
    NoToken,
    /// The token is another kind of CMS message.
    #[error("the token's content type is {found}, not {expected}")]
    ContentType {
        /// What it must be.
        expected: ObjectIdentifier,
        /// What it is.
        found: ObjectIdentifier,
    },
    /// A version we do not know.
    #[error("timestamp token version {0} is not supported")]
    Version(u32),
    /// A token has exactly one signature.
    #[error("the timestamp token has {0} signatures, not one")]
    Signatures(usize),
    /// More of something than is read.
    #[error("the timestamp token has more than {limit} {what}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// What is read at most.
        limit: usize,
    },
    /// The imprint's hash or length is not one we take.
    #[error("the timestamp's message imprint is not accepted")]
    Imprint(#[source] RequestError),
    /// The signer's digest algorithm is none we use.
    #[error("digest algorithm {0} is not supported")]
    UnknownHash(ObjectIdentifier),
    /// The signature algorithm is none we verify.
    #[error("signature algorithm {0} is not supported")]
    UnknownAlgorithm(ObjectIdentifier),
    /// A signed attribute that must be there once, is there never or twice.
    #[error("signed attribute {0} is not there exactly once with one value")]
    Attribute(ObjectIdentifier),
    /// The time information has a critical extension.
    #[error("the timestamp has the critical extension {0}, which is not understood")]
    UnknownCriticalExtension(ObjectIdentifier),
}

/// A granted response with its token, unverified.
#[derive(Clone, Debug)]
pub struct TimeStampResp {
    pub(super) info: TstInfo,
    /// TSTInfo as it was encoded.
    pub(super) content: Vec<u8>,
    pub(super) certificates: Vec<Certificate>,
    pub(super) signer: SignerInfo,
}

/// What the authority states.
#[derive(Clone, Debug)]
pub(super) struct TstInfo {
    pub(super) policy: ObjectIdentifier,
    pub(super) imprint: Digest,
    pub(super) serial: Vec<u8>,
    pub(super) gen_time_ms: i64,
    pub(super) nonce: Option<Vec<u8>>,
}

/// Which certificate the signer says is its own.
#[derive(Clone, Debug)]
pub(super) enum SignerId {
    IssuerAndSerial { issuer: Vec<u8>, serial: Vec<u8> },
    SubjectKeyId(Vec<u8>),
}

#[derive(Clone, Debug)]
pub(super) struct SignerInfo {
    pub(super) id: SignerId,
    pub(super) hash: HashAlgorithm,
    pub(super) scheme: Scheme,
    pub(super) signature: Vec<u8>,
    /// The signed attributes under the tag they are signed with (RFC 5652 §5.4).
    pub(super) attributes_der: Vec<u8>,
    pub(super) content_type: ObjectIdentifier,
    pub(super) message_digest: Vec<u8>,
    pub(super) certificate_ids: Vec<CertificateId>,
}

/// ESSCertID (RFC 2634 §5.4.1, without hash) or ESSCertIDv2 (RFC 5816): which certificate was meant.
#[derive(Clone, Debug)]
pub(super) struct CertificateId {
    /// None for the old form, whose SHA-1 proves nothing any more.
    pub(super) digest: Option<Digest>,
    pub(super) issuer_and_serial: Option<(Vec<u8>, Vec<u8>)>,
}

impl TimeStampResp {
    /// Parses the DER of a TimeStampResp that was granted.
    ///
    /// # Errors
    /// See [`ResponseError`].
    pub fn parse(der: &[u8]) -> Result<Self, ResponseError> {
        if der.len() > MAX_RESPONSE_BYTES {
            return Err(ResponseError::TooLarge { found: der.len(), limit: MAX_RESPONSE_BYTES });
        }
        let mut fields = Element::only(der, SEQUENCE, WHAT)?.elements()?;
        // granted, or granted with modifications.
        match fields.next(SEQUENCE)?.elements()?.next_any()?.small_integer()? {
            0 | 1 => {}
            status => return Err(ResponseError::NotGranted { status }),
        }
        if fields.is_empty() {
            return Err(ResponseError::NoToken);
        }
        let token = fields.next(SEQUENCE)?;
        fields.finish()?;
        Self::parse_token(token.raw)
    }

    /// Parses the DER of a bare TimeStampToken, as CMS signatures carry it.
    ///
    /// # Errors
    /// See [`ResponseError`].
    pub fn parse_token(der: &[u8]) -> Result<Self, ResponseError> {
        if der.len() > MAX_RESPONSE_BYTES {
            return Err(ResponseError::TooLarge { found: der.len(), limit: MAX_RESPONSE_BYTES });
        }
        let mut outer = Element::only(der, SEQUENCE, WHAT)?.elements()?;
        check_type(outer.next_any()?.oid()?, oids::SIGNED_DATA)?;
        let explicit = outer.next(asn1::constructed(0))?;
        outer.finish()?;
        let mut fields = Element::only(explicit.value, SEQUENCE, WHAT)?.elements()?;
        match fields.next_any()?.small_integer()? {
            1 | 3..=5 => {}
            other => return Err(ResponseError::Version(other)),
        }
        fields.next(SET)?;
        let mut encapsulated = fields.next(SEQUENCE)?.elements()?;
        check_type(encapsulated.next_any()?.oid()?, oids::TST_INFO)?;
        let content = encapsulated.next(asn1::constructed(0))?;
        encapsulated.finish()?;
        let content = Element::only(content.value, OCTET_STRING, WHAT)?.value;
        let certificates =
            fields.next_if(asn1::constructed(0))?.map_or(Ok(Vec::new()), |set| parse_certificates(&set))?;
        fields.next_if(asn1::constructed(1))?;
        let mut signers = fields.next(SET)?.elements()?;
        fields.finish()?;
        if signers.is_empty() {
            return Err(ResponseError::Signatures(0));
        }
        let signer = parse_signer(&signers.next(SEQUENCE)?)?;
        if !signers.is_empty() {
            return Err(ResponseError::Signatures(2));
        }
        Ok(Self { info: parse_info(content)?, content: content.to_vec(), certificates, signer })
    }

    /// The digest the time was put to, as stated.
    #[must_use]
    pub fn imprint(&self) -> &Digest {
        &self.info.imprint
    }

    /// The time stated, in Unix milliseconds.
    #[must_use]
    pub fn gen_time_unix_ms(&self) -> i64 {
        self.info.gen_time_ms
    }

    /// Content of the nonce's INTEGER, to be compared with the request's.
    #[must_use]
    pub fn nonce(&self) -> Option<&[u8]> {
        self.info.nonce.as_deref()
    }

    /// The policy stated.
    #[must_use]
    pub fn policy(&self) -> &ObjectIdentifier {
        &self.info.policy
    }

    /// Content of the serial number's INTEGER.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.info.serial
    }

    /// The certificates that came along, none of them trusted.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }
}

fn check_type(found: ObjectIdentifier, expected: ObjectIdentifier) -> Result<(), ResponseError> {
    if found == expected { Ok(()) } else { Err(ResponseError::ContentType { expected, found }) }
}

/// TSTInfo.
fn parse_info(der: &[u8]) -> Result<TstInfo, ResponseError> {
    let mut fields = Element::only(der, SEQUENCE, "the timestamp information")?.elements()?;
    match fields.next_any()?.small_integer()? {
        1 => {}
        other => return Err(ResponseError::Version(other)),
    }
    let policy = fields.next_any()?.oid()?;
    let imprint = parse_imprint(&fields.next(SEQUENCE)?).map_err(ResponseError::Imprint)?;
    let serial = fields.next_any()?.integer()?.to_vec();
    let gen_time_ms = asn1::fractional_time(&fields.next(GENERALIZED_TIME)?)?;
    fields.next_if(SEQUENCE)?;
    fields.next_if(BOOLEAN)?;
    let nonce = fields.next_if(INTEGER)?.map(|nonce| nonce.integer()).transpose()?;
    fields.next_if(asn1::constructed(0))?;
    if let Some(extensions) = fields.next_if(asn1::constructed(1))? {
        refuse_critical(extensions.elements()?)?;
    }
    fields.finish()?;
    Ok(TstInfo { policy, imprint, serial, gen_time_ms, nonce: nonce.map(<[u8]>::to_vec) })
}

fn refuse_critical(mut extensions: Elements<'_>) -> Result<(), ResponseError> {
    while !extensions.is_empty() {
        let mut fields = extensions.next(SEQUENCE)?.elements()?;
        let oid = fields.next_any()?.oid()?;
        if fields.next_if(BOOLEAN)?.map_or(Ok(false), |flag| flag.boolean())? {
            return Err(ResponseError::UnknownCriticalExtension(oid));
        }
    }
    Ok(())
}

/// Certificates we cannot read cannot help and are passed over; so are the other kinds of the choice.
fn parse_certificates(set: &Element<'_>) -> Result<Vec<Certificate>, ResponseError> {
    let mut members = set.elements()?;
    let mut certificates = Vec::new();
    let mut count = 0usize;
    while !members.is_empty() {
        let member = members.next_any()?;
        count = count.saturating_add(1);
        if count > MAX_CERTIFICATES {
            return Err(ResponseError::TooMany { what: "certificates", limit: MAX_CERTIFICATES });
        }
        certificates.extend(Certificate::from_der(member.raw).ok());
    }
    Ok(certificates)
}

fn parse_signer(element: &Element<'_>) -> Result<SignerInfo, ResponseError> {
    let mut fields = element.elements()?;
    match fields.next_any()?.small_integer()? {
        1 | 3 => {}
        other => return Err(ResponseError::Version(other)),
    }
    let id = if let Some(key_id) = fields.next_if(asn1::primitive(0))? {
        SignerId::SubjectKeyId(key_id.value.to_vec())
    } else {
        let (issuer, serial) = issuer_and_serial(&fields.next(SEQUENCE)?)?;
        SignerId::IssuerAndSerial { issuer, serial }
    };
    let digest = Algorithm::parse(&fields.next(SEQUENCE)?)?;
    let hash = digest.hash().ok_or(ResponseError::UnknownHash(digest.oid))?;
    let attributes = fields.next(asn1::constructed(0))?;
    let algorithm = Algorithm::parse(&fields.next(SEQUENCE)?)?;
    let scheme = algorithm.scheme_with(hash).ok_or(ResponseError::UnknownAlgorithm(algorithm.oid))?;
    let signature = fields.next(OCTET_STRING)?.value.to_vec();
    fields.next_if(asn1::constructed(1))?;
    fields.finish()?;

    let parsed = parse_attributes(attributes.elements()?)?;
    let content_type = once(&parsed, oids::CONTENT_TYPE)?.oid()?;
    let message_digest = once(&parsed, oids::MESSAGE_DIGEST)?;
    message_digest.expect(OCTET_STRING)?;
    let mut certificate_ids = Vec::new();
    for (kind, v2) in [(oids::SIGNING_CERTIFICATE, false), (oids::SIGNING_CERTIFICATE_V2, true)] {
        if parsed.iter().any(|(found, _)| *found == kind) {
            certificate_ids.push(certificate_id(&once(&parsed, kind)?, v2)?);
        }
    }
    Ok(SignerInfo {
        id,
        hash,
        scheme,
        signature,
        attributes_der: asn1::wrap(SET, &[attributes.value]),
        content_type,
        message_digest: message_digest.value.to_vec(),
        certificate_ids,
    })
}

/// Issuer's name in DER, and content of the serial number's INTEGER.
fn issuer_and_serial(element: &Element<'_>) -> Result<(Vec<u8>, Vec<u8>), DerError> {
    let mut fields = element.elements()?;
    let issuer = fields.next(SEQUENCE)?.raw.to_vec();
    let serial = fields.next_any()?.integer()?.to_vec();
    fields.finish()?;
    Ok((issuer, serial))
}

/// Types of attributes, and the set of values of each.
fn parse_attributes(mut list: Elements<'_>) -> Result<Vec<(ObjectIdentifier, Element<'_>)>, ResponseError> {
    let mut attributes = Vec::new();
    while !list.is_empty() {
        let mut fields = list.next(SEQUENCE)?.elements()?;
        let kind = fields.next_any()?.oid()?;
        let values = fields.next(SET)?;
        fields.finish()?;
        if attributes.len() >= MAX_ATTRIBUTES {
            return Err(ResponseError::TooMany { what: "signed attributes", limit: MAX_ATTRIBUTES });
        }
        attributes.push((kind, values));
    }
    Ok(attributes)
}

/// The one value of the one attribute of this type.
fn once<'a>(
    attributes: &[(ObjectIdentifier, Element<'a>)],
    kind: ObjectIdentifier,
) -> Result<Element<'a>, ResponseError> {
    let mut of_kind = attributes.iter().filter(|(found, _)| *found == kind);
    let (Some((_, values)), None) = (of_kind.next(), of_kind.next()) else {
        return Err(ResponseError::Attribute(kind));
    };
    let mut values = values.elements()?;
    if values.is_empty() {
        return Err(ResponseError::Attribute(kind));
    }
    let value = values.next_any()?;
    if values.is_empty() { Ok(value) } else { Err(ResponseError::Attribute(kind)) }
}

/// The first identifier of SigningCertificate or SigningCertificateV2, the signer's own.
fn certificate_id(value: &Element<'_>, v2: bool) -> Result<CertificateId, ResponseError> {
    value.expect(SEQUENCE)?;
    let mut list = value.elements()?.next(SEQUENCE)?.elements()?;
    let mut fields = list.next(SEQUENCE)?.elements()?;
    let hash = match fields.next_if(SEQUENCE)? {
        Some(algorithm) if v2 => {
            let algorithm = Algorithm::parse(&algorithm)?;
            algorithm.hash().ok_or(ResponseError::UnknownHash(algorithm.oid))?
        }
        Some(unexpected) => return Err(unexpected.error().into()),
        None => HashAlgorithm::Sha256,
    };
    let digest = fields.next(OCTET_STRING)?;
    let digest = if v2 { Some(Digest::new(hash, digest.value).map_err(|_| digest.error())?) } else { None };
    let issuer_and_serial =
        fields.next_if(SEQUENCE)?.map(|names| general_issuer_and_serial(&names)).transpose()?;
    fields.finish()?;
    Ok(CertificateId { digest, issuer_and_serial })
}

/// IssuerSerial: as [`issuer_and_serial`], but the issuer is one GeneralName of the kind directoryName.
fn general_issuer_and_serial(element: &Element<'_>) -> Result<(Vec<u8>, Vec<u8>), DerError> {
    let mut fields = element.elements()?;
    let mut names = fields.next(SEQUENCE)?.elements()?;
    let explicit = names.next(asn1::constructed(4))?;
    names.finish()?;
    let issuer = Element::only(explicit.value, SEQUENCE, WHAT)?.raw.to_vec();
    let serial = fields.next_any()?.integer()?.to_vec();
    fields.finish()?;
    Ok((issuer, serial))
}
