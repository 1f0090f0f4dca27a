//! TimeStampReq (RFC 3161 §2.4.1): parse on the authority's side, encode on the client's.

use crate::{
    algorithm::{self, Algorithm},
    asn1::{self, BOOLEAN, DerError, Element, INTEGER, OCTET_STRING, OID, SEQUENCE},
    oids,
};
use alloc::vec::Vec;
use const_oid::ObjectIdentifier;
use sealog_crypto::{Digest, DigestError};

/// Requests above this size are refused unread.
pub const MAX_REQUEST_BYTES: usize = 1 << 16;
/// Nonces above this size are refused.
const MAX_NONCE_BYTES: usize = 64;
const WHAT: &str = "the timestamp request";

/// Why a request is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not DER, or not a request.
    #[error(transparent)]
    Malformed(#[from] DerError),
    /// Larger than is read.
    #[error("the timestamp request has {found} bytes, more than {limit}")]
    TooLarge {
        /// Its size.
        found: usize,
        /// What is read at most.
        limit: usize,
    },
    /// Another version than 1.
    #[error("timestamp request version {0} is not supported")]
    Version(u32),
    /// A hash that is no longer good enough.
    #[error("hash algorithm {0} is too weak")]
    WeakHash(ObjectIdentifier),
    /// A hash we do not know.
    #[error("hash algorithm {0} is not supported")]
    UnknownHash(ObjectIdentifier),
    /// A digest of another length than its algorithm's.
    #[error(transparent)]
    DigestLength(#[from] DigestError),
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeStampReq {
    /// The digest to put a time to.
    pub imprint: Digest,
    /// The imprint as it was asked for: RFC 3161 §2.4.2 wants the same value in the token, and its hash
    /// algorithm may be written with or without parameters.
    pub(super) imprint_der: Vec<u8>,
    /// The policy wanted, if any.
    pub policy: Option<ObjectIdentifier>,
    /// Content of the nonce's INTEGER, to be echoed byte by byte.
    pub nonce: Option<Vec<u8>>,
    /// Whether the answer should carry the authority's certificate.
    pub cert_req: bool,
    /// Extensions asked for; an authority that knows none refuses them.
    pub extensions: Vec<ObjectIdentifier>,
}

impl TimeStampReq {
    /// A request for a digest, with neither nonce nor certificate.
    #[must_use]
    pub fn new(imprint: Digest) -> Self {
        let imprint_der = encode_imprint(&imprint);
        Self { imprint, imprint_der, policy: None, nonce: None, cert_req: false, extensions: Vec::new() }
    }

    /// Adds a nonce: an unsigned number, big-endian.
    #[must_use]
    pub fn with_nonce(mut self, number: &[u8]) -> Self {
        let start = number.iter().take_while(|byte| **byte == 0).count();
        let digits = number.get(start..).unwrap_or_default();
        let negative = digits.first().is_none_or(|top| top & 0x80 != 0);
        self.nonce = Some([if negative { [0].as_slice() } else { &[] }, digits].concat());
        self
    }

    /// Asks for the authority's certificate in the answer.
    #[must_use]
    pub fn with_certificate(mut self) -> Self {
        self.cert_req = true;
        self
    }

    /// Parses DER.
    ///
    /// # Errors
    /// See [`RequestError`].
    pub fn parse(der: &[u8]) -> Result<Self, RequestError> {
        if der.len() > MAX_REQUEST_BYTES {
            return Err(RequestError::TooLarge { found: der.len(), limit: MAX_REQUEST_BYTES });
        }
        let mut fields = Element::only(der, SEQUENCE, WHAT)?.elements()?;
        match fields.next_any()?.small_integer()? {
            1 => {}
            other => return Err(RequestError::Version(other)),
        }
        let imprint_element = fields.next(SEQUENCE)?;
        let imprint = parse_imprint(&imprint_element)?;
        let imprint_der = imprint_element.raw.to_vec();
        let policy = fields.next_if(OID)?.map(|policy| policy.oid()).transpose()?;
        let nonce = fields.next_if(INTEGER)?.map(|nonce| nonce.integer()).transpose()?;
        if nonce.is_some_and(|nonce| nonce.len() > MAX_NONCE_BYTES) {
            return Err(fields.error().into());
        }
        // DEFAULT FALSE is not written in DER, but some clients do, and it does no harm.
        let cert_req = fields.next_if(BOOLEAN)?.map(|flag| flag.boolean()).transpose()?.unwrap_or(false);
        let mut extensions = Vec::new();
        if let Some(list) = fields.next_if(asn1::constructed(0))? {
            let mut list = list.elements()?;
            while !list.is_empty() {
                extensions.push(list.next(SEQUENCE)?.elements()?.next_any()?.oid()?);
            }
        }
        fields.finish()?;
        Ok(Self { imprint, imprint_der, policy, nonce: nonce.map(<[u8]>::to_vec), cert_req, extensions })
    }

    /// DER. Extensions are not written: we ask for none.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let policy = self.policy.as_ref().map(asn1::oid).unwrap_or_default();
        let nonce = self.nonce.as_ref().map(|nonce| asn1::wrap(INTEGER, &[nonce])).unwrap_or_default();
        let cert_req = if self.cert_req { asn1::boolean_true() } else { Vec::new() };
        asn1::sequence(&[&asn1::unsigned(&[1]), &self.imprint_der, &policy, &nonce, &cert_req])
    }
}

/// MessageImprint.
pub(super) fn parse_imprint(element: &Element<'_>) -> Result<Digest, RequestError> {
    element.expect(SEQUENCE)?;
    let mut fields = element.elements()?;
    let algorithm = Algorithm::parse(&fields.next(SEQUENCE)?)?;
    let digest = fields.next(OCTET_STRING)?.value;
    fields.finish()?;
    match (algorithm.hash(), algorithm.oid) {
        (Some(hash), _) => Ok(Digest::new(hash, digest)?),
        (None, weak @ (oids::SHA_1 | oids::MD5 | oids::SHA_224)) => Err(RequestError::WeakHash(weak)),
        (None, other) => Err(RequestError::UnknownHash(other)),
    }
}

/// MessageImprint.
pub(super) fn encode_imprint(digest: &Digest) -> Vec<u8> {
    asn1::sequence(&[&algorithm::hash(digest.algorithm()), &asn1::octet_string(digest.as_bytes())])
}
