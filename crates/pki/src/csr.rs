//! Certificate requests, PKCS#10 (RFC 2986): the key and the proof that the asker holds it.
//!
//! Names and attributes of a request are read past, on purpose: a certificate's names come from the
//! token alone, and an asker must not be able to smuggle others in.

use crate::{
    algorithm::{self, Algorithm},
    asn1::{self, DerError, Element, SEQUENCE, SET},
    issue::{self, Below},
    name, oids,
    pem::{self, PemError},
};
use alloc::{string::String, vec::Vec};
use const_oid::ObjectIdentifier;
use sealog_crypto::{KeyError, PublicKey, Scheme, SignError, SignatureError, Signer};

/// Requests above this size are refused unread.
pub const MAX_CSR_BYTES: usize = 1 << 16;
const LABEL: &str = "CERTIFICATE REQUEST";
const OLD_LABEL: &str = "NEW CERTIFICATE REQUEST";
const WHAT: &str = "the certificate request";

/// Why a request is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Some part is not DER, or not what the standard puts there.
    #[error(transparent)]
    Malformed(#[from] DerError),
    /// Not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// Larger than is read.
    #[error("the certificate request has {found} bytes, more than {limit}")]
    TooLarge {
        /// Its size.
        found: usize,
        /// What is read at most.
        limit: usize,
    },
    /// The key is none we use.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The algorithm is none we verify.
    #[error("signature algorithm {0} is not supported")]
    UnknownAlgorithm(ObjectIdentifier),
    /// The asker does not hold the key.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

/// Why a request could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildCsrError {
    /// X.509 has no name for how the key signs.
    #[error("{0} has no X.509 signature algorithm")]
    Scheme(Scheme),
    /// The key failed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// What an authority asks to be certified as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A CA below which only leaves of one purpose stand.
    Intermediate(Below),
    /// A timestamp authority's own key.
    TimestampAuthority,
}

/// A parsed request.
#[derive(Clone, Debug)]
pub struct Csr {
    info: Vec<u8>,
    public_key: PublicKey,
    scheme: Scheme,
    signature: Vec<u8>,
}

impl Csr {
    /// Parses DER.
    ///
    /// # Errors
    /// See [`CsrError`].
    pub fn from_der(der: &[u8]) -> Result<Self, CsrError> {
        if der.len() > MAX_CSR_BYTES {
            return Err(CsrError::TooLarge { found: der.len(), limit: MAX_CSR_BYTES });
        }
        let mut outer = Element::only(der, SEQUENCE, WHAT)?.elements()?;
        let info = outer.next(SEQUENCE)?;
        let algorithm = Algorithm::parse(&outer.next(SEQUENCE)?)?;
        let signature = outer.next_any()?.bit_string()?.to_vec();
        outer.finish()?;
        let mut fields = info.elements()?;
        let version = fields.next_any()?;
        if version.small_integer()? != 0 {
            return Err(version.error().into());
        }
        fields.next(SEQUENCE)?;
        let public_key = PublicKey::from_spki_der(fields.next(SEQUENCE)?.raw)?;
        // Some askers leave the empty attributes out.
        fields.next_if(asn1::constructed(0))?;
        fields.finish()?;
        let scheme = algorithm.scheme().ok_or(CsrError::UnknownAlgorithm(algorithm.oid))?;
        Ok(Self { info: info.raw.to_vec(), public_key, scheme, signature })
    }

    /// Parses one PEM block.
    ///
    /// # Errors
    /// See [`CsrError`].
    pub fn from_pem(pem: &str) -> Result<Self, CsrError> {
        let der = match pem::decode(pem, LABEL) {
            Err(PemError::WrongLabel { found, .. }) if found == OLD_LABEL => pem::decode(pem, OLD_LABEL),
            other => other,
        };
        Self::from_der(&der?)
    }

    /// The key to certify.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// How the request is signed.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Verifies that the key's holder made the request.
    ///
    /// # Errors
    /// [`CsrError::Signature`].
    pub fn verify_self_signature(&self) -> Result<(), CsrError> {
        Ok(self.public_key.verify(self.scheme, &self.info, &self.signature)?)
    }

    /// A request with an empty subject, in DER.
    ///
    /// # Errors
    /// See [`BuildCsrError`].
    pub fn build(signer: &dyn Signer) -> Result<Vec<u8>, BuildCsrError> {
        Self::signed(&asn1::sequence(&[]), &[], signer)
    }

    /// An authority's request, in DER: with its name, and the extensions it needs as the attribute that other
    /// people's authorities copy them from (RFC 2985 §5.4.2).
    ///
    /// # Errors
    /// See [`BuildCsrError`].
    pub fn build_for_authority(
        organization: &str,
        common_name: &str,
        asked: Asked,
        signer: &dyn Signer,
    ) -> Result<Vec<u8>, BuildCsrError> {
        let extensions = match asked {
            Asked::Intermediate(below) => issue::intermediate_extensions(below),
            Asked::TimestampAuthority => issue::tsa_extensions(),
        };
        let values = asn1::wrap(SET, &[&asn1::sequence(&[&extensions])]);
        let attribute = asn1::sequence(&[&asn1::oid(&oids::EXTENSION_REQUEST), &values]);
        Self::signed(&name::encode(organization, common_name), &attribute, signer)
    }

    fn signed(subject: &[u8], attributes: &[u8], signer: &dyn Signer) -> Result<Vec<u8>, BuildCsrError> {
        let algorithm =
            algorithm::signature(signer.scheme()).ok_or(BuildCsrError::Scheme(signer.scheme()))?;
        let info = asn1::sequence(&[
            &asn1::unsigned(&[0]),
            subject,
            signer.public_key().spki_der(),
            &asn1::wrap(asn1::constructed(0), &[attributes]),
        ]);
        let signature = signer.sign(&info)?;
        Ok(asn1::sequence(&[&info, &algorithm, &asn1::bit_string(&signature)]))
    }

    /// PEM of a request in DER, with a final newline.
    #[must_use]
    pub fn pem_of(der: &[u8]) -> String {
        pem::encode(LABEL, der)
    }
}
