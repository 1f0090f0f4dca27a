//! The bundle: a signature with all that is needed to verify it offline (`dev.sigstore.bundle.v1`).
//!
//! Read here: what a document of that type can say. Whether it says enough (a proof, one signature, a
//! certificate) is step 0 of `verify`, so that `inspect` can describe bundles that do not verify.

use crate::{
    dsse::Envelope,
    json::{Fields, JsonError, JsonFault, Unknown, Value, fields, object},
    key_details,
    log_entry::TransparencyLogEntry,
};
use alloc::{
    string::{String, ToString as _},
    vec::Vec,
};
use sealog_crypto::Digest;

/// Bytes in a bundle.
pub const MAX_BUNDLE_BYTES: usize = 32 << 20;
/// Log entries in a bundle.
pub const MAX_LOG_ENTRIES: usize = 32;
/// Signed timestamps in a bundle.
pub const MAX_TIMESTAMPS: usize = 32;
/// Certificates in a bundle.
pub const MAX_CERTIFICATES: usize = 16;

/// A bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Which version of the format.
    pub version: Version,
    /// What the signature is verified with.
    pub material: VerificationMaterial,
    /// What was signed, and the signature.
    pub content: Content,
}

/// Versions of the bundle format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 0.1: a promise by the log is enough.
    V01,
    /// 0.2: inclusion proofs.
    V02,
    /// 0.3: one certificate in place of a chain.
    V03,
}

/// What a signature is verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerificationMaterial {
    /// The key, or who has it.
    pub key: KeyMaterial,
    /// Proofs that logs hold the signature.
    pub log_entries: Vec<TransparencyLogEntry>,
    /// RFC 3161 responses (`TimeStampResp` in DER) over the signature.
    pub timestamps: Vec<Vec<u8>>,
}

/// The signer's key, by certificate or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyMaterial {
    /// The leaf certificate in DER.
    Certificate(Vec<u8>),
    /// Leaf first, then towards the issuer; up to format version 0.2.
    Chain(Vec<Vec<u8>>),
    /// A key the verifier has; the hint helps to find it.
    PublicKey {
        /// By custom base64 of SHA-256 of the key.
        hint: String,
    },
}

/// What was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The artifact itself.
    Message(MessageSignature),
    /// A DSSE envelope that holds what was signed.
    Envelope(Envelope),
}

/// A signature over an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageSignature {
    /// What the signer says the artifact's digest is; never a substitute for hashing.
    pub digest: Option<Digest>,
    /// The signature.
    pub signature: Vec<u8>,
}

/// Why a document is not a bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not JSON, or not of this shape.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A media type of no version we know.
    #[error("`{found}` is not a bundle version this verifier knows")]
    UnknownVersion {
        /// The media type.
        found: String,
    },
    /// The digest of a message signature is not one.
    #[error("messageSignature.messageDigest: {0}")]
    Digest(#[from] sealog_crypto::DigestError),
}

impl Version {
    /// The media type written for this version.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::V01 => "application/vnd.dev.sigstore.bundle+json;version=0.1",
            Self::V02 => "application/vnd.dev.sigstore.bundle+json;version=0.2",
            Self::V03 => "application/vnd.dev.sigstore.bundle.v0.3+json",
        }
    }

    /// The version of a media type, in either of the two spellings that tools have written.
    #[must_use]
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        let rest = media_type.strip_prefix("application/vnd.dev.sigstore.bundle")?;
        let older = rest.strip_prefix("+json;version=");
        match older.or_else(|| rest.strip_prefix(".v")?.strip_suffix("+json"))? {
            "0.1" => Some(Self::V01),
            "0.2" => Some(Self::V02),
            "0.3" => Some(Self::V03),
            _ => None,
        }
    }
}

impl Bundle {
    /// Reads a bundle. Unknown and repeated fields are refused.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn parse(document: &[u8]) -> Result<Self, BundleError> {
        Fields::document(document, MAX_BUNDLE_BYTES, Unknown::Refuse, |fields| {
            let media_type = fields.required_text("mediaType")?;
            let version = Version::from_media_type(&media_type)
                .ok_or(BundleError::UnknownVersion { found: media_type })?;
            let material = fields.required_message("verificationMaterial", VerificationMaterial::read)?;
            let message = fields.message("messageSignature", |fields| {
                Ok((fields.message("messageDigest", read_digest)?, fields.required_bytes("signature")?))
            })?;
            let envelope = fields.message("dsseEnvelope", Envelope::read)?;
            let content = match (message, envelope) {
                (Some((digest, signature)), None) => {
                    let digest = digest.map(|(a, bytes)| Digest::new(a, &bytes)).transpose()?;
                    Content::Message(MessageSignature { digest, signature })
                }
                (None, Some(envelope)) => Content::Envelope(envelope),
                (Some(_), Some(_)) => {
                    return Err(JsonError::here(JsonFault::Exclusive)
                        .at("messageSignature, dsseEnvelope")
                        .into());
                }
                (None, None) => return Err(fields::missing("messageSignature, dsseEnvelope").into()),
            };
            Ok(Self { version, material, content })
        })
    }

    /// The document, on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let content = match &self.content {
            Content::Message(message) => ("messageSignature", Some(message.to_value())),
            Content::Envelope(envelope) => ("dsseEnvelope", Some(envelope.to_value())),
        };
        object([
            ("mediaType", Some(Value::text(self.version.media_type()))),
            ("verificationMaterial", Some(self.material.to_value())),
            content,
        ])
        .to_compact()
    }

    /// The bytes of the signature: what logs hold and time authorities stamp. An envelope with other
    /// than one signature has none that could be meant.
    #[must_use]
    pub fn signature(&self) -> Option<&[u8]> {
        match &self.content {
            Content::Message(message) => Some(&message.signature),
            Content::Envelope(envelope) => match envelope.signatures.as_slice() {
                [one] => Some(&one.sig),
                _ => None,
            },
        }
    }
}

impl VerificationMaterial {
    fn read(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        let key = fields.message("publicKey", |fields| fields.text("hint"))?;
        let chain = fields.message("x509CertificateChain", |fields| {
            fields.messages("certificates", MAX_CERTIFICATES, |fields| fields.required_bytes("rawBytes"))
        })?;
        let certificate = fields.message("certificate", |fields| fields.required_bytes("rawBytes"))?;
        const ARMS: &str = "publicKey, x509CertificateChain, certificate";
        let key = match (key, chain, certificate) {
            (Some(hint), None, None) => KeyMaterial::PublicKey { hint },
            (None, Some(chain), None) => KeyMaterial::Chain(chain),
            (None, None, Some(certificate)) => KeyMaterial::Certificate(certificate),
            (None, None, None) => return Err(fields::missing(ARMS)),
            _ => return Err(JsonError::here(JsonFault::Exclusive).at(ARMS)),
        };
        Ok(Self {
            key,
            log_entries: fields.messages("tlogEntries", MAX_LOG_ENTRIES, TransparencyLogEntry::read)?,
            timestamps: fields
                .message("timestampVerificationData", |fields| {
                    fields.messages("rfc3161Timestamps", MAX_TIMESTAMPS, |fields| {
                        fields.required_bytes("signedTimestamp")
                    })
                })?
                .unwrap_or_default(),
        })
    }

    fn to_value(&self) -> Value<'_> {
        let certificate = |der: &[u8]| object([("rawBytes", Some(Value::bytes(der)))]);
        let key = match &self.key {
            KeyMaterial::Certificate(der) => ("certificate", Some(certificate(der))),
            KeyMaterial::Chain(chain) => {
                let certificates = chain.iter().map(|der| certificate(der)).collect();
                ("x509CertificateChain", Some(object([("certificates", Some(Value::Array(certificates)))])))
            }
            KeyMaterial::PublicKey { hint } => {
                ("publicKey", Some(object([("hint", Value::text_unless_empty(hint))])))
            }
        };
        let entries = self.log_entries.iter().map(|e| e.to_value(false)).collect();
        let timestamps: Vec<_> =
            self.timestamps.iter().map(|t| object([("signedTimestamp", Some(Value::bytes(t)))])).collect();
        object([
            key,
            ("tlogEntries", Value::array_unless_empty(entries)),
            (
                "timestampVerificationData",
                Value::array_unless_empty(timestamps).map(|list| object([("rfc3161Timestamps", Some(list))])),
            ),
        ])
    }
}

impl KeyMaterial {
    /// The leaf certificate, if there is one.
    #[must_use]
    pub fn leaf(&self) -> Option<&[u8]> {
        match self {
            Self::Certificate(der) => Some(der),
            Self::Chain(chain) => chain.first().map(Vec::as_slice),
            Self::PublicKey { .. } => None,
        }
    }
}

impl MessageSignature {
    fn to_value(&self) -> Value<'_> {
        let digest = self.digest.as_ref().map(|d| {
            object([
                ("algorithm", Some(Value::text(key_details::hash_name(d.algorithm()).to_string()))),
                ("digest", Some(Value::bytes(d.as_bytes()))),
            ])
        });
        object([("messageDigest", digest), ("signature", Some(Value::bytes(&self.signature)))])
    }
}

fn read_digest(fields: &mut Fields<'_>) -> Result<(sealog_crypto::HashAlgorithm, Vec<u8>), JsonError> {
    Ok((key_details::take_hash(fields, "algorithm")?, fields.required_bytes("digest")?))
}

#[cfg(test)]
mod tests;
