//! Whether a timestamp token is by a trusted authority over these bytes (RFC 3161 §2.3, §2.4.2).
//!
//! Written as the Sigstore client specification counts the steps. When the authority was trusted
//! (its window in the trusted root) is asked by the caller.

use super::response::{CertificateId, SignerId, TimeStampResp};
use crate::{
    Certificate,
    chain::{ChainError, Path, Purpose, TrustedChain},
    oids,
};
use alloc::boxed::Box;
use const_oid::ObjectIdentifier;
use sealog_crypto::{Digest, KeyError, SignatureError};

/// Why a timestamp is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// The time was put to other bytes.
    #[error("the timestamp is for another message: expected {expected}, found {found}")]
    Imprint {
        /// Digest of the message at hand.
        expected: Box<Digest>,
        /// Digest in the token.
        found: Box<Digest>,
    },
    /// The signed attributes speak of another content type.
    #[error("the signed content type is {0}, not timestamp information")]
    ContentType(ObjectIdentifier),
    /// The signed attributes speak of other content.
    #[error("the signed digest is not the timestamp information's")]
    MessageDigest,
    /// The signer's certificate is neither in the token nor trusted.
    #[error("the timestamp's signer is neither embedded nor a trusted authority")]
    UnknownSigner,
    /// The signer is another than the authority trusted.
    #[error("the timestamp's signer is not the trusted authority's certificate")]
    UntrustedSigner,
    /// The signer meant another certificate.
    #[error("the signed certificate identifier is not the signer's")]
    CertificateId,
    /// The signer's key is none we use.
    #[error("the timestamp signer's key is not usable")]
    SignerKey(#[from] KeyError),
    /// The signature does not verify.
    #[error("the timestamp's signature does not verify")]
    Signature(#[from] SignatureError),
    /// No valid path from the signer to the authority's anchor at the time stated.
    #[error("no path from the timestamp's signer to a trusted authority holds")]
    Chain(#[from] ChainError),
}

/// A time that a trusted authority put to the message. Only [`verify`] makes one.
#[derive(Clone, Debug)]
pub struct VerifiedTimestamp {
    gen_time_unix_ms: i64,
    path: Path,
}

impl VerifiedTimestamp {
    /// The time, in Unix milliseconds.
    #[must_use]
    pub fn gen_time_unix_ms(&self) -> i64 {
        self.gen_time_unix_ms
    }

    /// The time in whole Unix seconds, rounded down.
    #[must_use]
    pub fn gen_time_unix(&self) -> i64 {
        self.gen_time_unix_ms.div_euclid(1000)
    }

    /// The authority's certificate.
    #[must_use]
    pub fn signer(&self) -> &Certificate {
        self.path.leaf()
    }

    /// The path from the authority's certificate to its anchor.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Verifies that an authority put a time to `message`.
///
/// `authority` is as trusted roots list it: its own certificate first (or none, when the first is a
/// CA's), the anchor last.
///
/// # Errors
/// See [`TimestampError`].
pub fn verify(
    response: &TimeStampResp,
    message: &[u8],
    authority: &TrustedChain,
) -> Result<VerifiedTimestamp, TimestampError> {
    let info = &response.info;
    let signed = &response.signer;

    // 1. The imprint is the message's, under the hash the token names.
    let expected = info.imprint.algorithm().digest(message);
    if expected != info.imprint {
        let (expected, found) = (Box::new(expected), Box::new(info.imprint));
        return Err(TimestampError::Imprint { expected, found });
    }
    // 2. What is signed is the digest of just this time information.
    if signed.content_type != oids::TST_INFO {
        return Err(TimestampError::ContentType(signed.content_type));
    }
    if signed.hash.digest(&response.content).as_bytes() != signed.message_digest {
        return Err(TimestampError::MessageDigest);
    }
    // 3. The signer is the trusted authority, and the certificate it meant.
    let signer = find_signer(response, authority)?;
    if !signed.certificate_ids.iter().all(|id| id.is_of(signer)) {
        return Err(TimestampError::CertificateId);
    }
    // 4. Its key made the signature.
    signer.public_key()?.verify(signed.scheme, &signed.attributes_der, &signed.signature)?;
    // 5. It was an authority for timestamps at the time stated; since then it may have expired.
    let path = authority.verify(signer, &response.certificates, info.gen_time_ms, Purpose::TimeStamping)?;
    Ok(VerifiedTimestamp { gen_time_unix_ms: info.gen_time_ms, path })
}

/// The signer's certificate: the authority's own where the trusted root lists it, else the embedded one.
///
/// An embedded certificate never replaces a listed one: another leaf under the same anchor need not be
/// an authority anybody chose to trust.
fn find_signer<'a>(
    response: &'a TimeStampResp,
    authority: &'a TrustedChain,
) -> Result<&'a Certificate, TimestampError> {
    let named = |certificate: &&Certificate| response.signer.id.is_of(certificate);
    let embedded = response.certificates.iter().find(named);
    match Some(authority.first()).filter(|first| !first.is_ca()) {
        Some(listed) if named(&listed) && embedded.is_none_or(|found| found == listed) => Ok(listed),
        Some(_) if embedded.is_some() => Err(TimestampError::UntrustedSigner),
        Some(_) => Err(TimestampError::UnknownSigner),
        None => embedded.ok_or(TimestampError::UnknownSigner),
    }
}

impl SignerId {
    fn is_of(&self, certificate: &Certificate) -> bool {
        match self {
            Self::IssuerAndSerial { issuer, serial } => {
                certificate.issuer_name() == issuer && certificate.serial() == serial
            }
            Self::SubjectKeyId(id) => certificate.subject_key_id() == Some(id),
        }
    }
}

impl CertificateId {
    fn is_of(&self, certificate: &Certificate) -> bool {
        let same_bytes =
            self.digest.is_none_or(|digest| digest.algorithm().digest(certificate.der()) == digest);
        let same_name = self.issuer_and_serial.as_ref().is_none_or(|(issuer, serial)| {
            certificate.issuer_name() == issuer && certificate.serial() == serial
        });
        same_bytes && same_name
    }
}
