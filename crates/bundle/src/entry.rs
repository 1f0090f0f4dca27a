//! Log entries as they are stored: RFC 8785 JSON whose bytes are the leaf (rekor-v2-spec.md §6.1).
//!
//! Rekor v2 stores one kind, hashedrekord 0.0.2: a digest, a signature over it, and whose. Its bytes are
//! rebuilt from parts by [`HashedRekord::canonical`]; a verifier hashes those, never the bytes it was
//! sent. The kinds of Rekor v1 are read so that they can be shown and told apart.

use crate::{
    json::{
        Fields, JsonError, JsonFault, Unknown, Value,
        engine::{base64_len, put_base64},
        fields,
    },
    key_details::{self, KeyDetails},
    log_entry::KindVersion,
};
use alloc::{string::String, vec::Vec};
use sealog_crypto::{Digest, HashAlgorithm};

/// The longest entry a tiled log can hold: entry bundles give lengths in two bytes.
pub const MAX_ENTRY_BYTES: usize = 65_535;
/// Bytes in an entry of Rekor v1, which had no such bound.
pub const MAX_BODY_BYTES: usize = 16 << 20;

/// Room for everything of a canonical entry that is not base64.
const AROUND: usize = 256;

/// A hashedrekord of version 0.0.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedRekord {
    /// What was signed: the artifact's digest, or that of an envelope's pre-authentication encoding.
    pub digest: Digest,
    /// The signature.
    pub signature: Vec<u8>,
    /// The signer's key.
    pub verifier: Verifier,
    /// How it signed.
    pub key_details: KeyDetails,
}

/// A signer's key as entries carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verifier {
    /// In a certificate, DER.
    Certificate(Vec<u8>),
    /// As SubjectPublicKeyInfo, DER.
    PublicKey(Vec<u8>),
}

/// What a log stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryBody {
    /// hashedrekord 0.0.2, the entry of Rekor v2.
    HashedRekord(HashedRekord),
    /// hashedrekord 0.0.1.
    HashedRekordV001(SignedDigest),
    /// dsse 0.0.1.
    DsseV001(SignedPayload),
    /// intoto 0.0.2.
    IntotoV002(SignedPayload),
    /// Another kind or version.
    Unsupported(KindVersion),
}

/// What a hashedrekord 0.0.1 says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedDigest {
    /// Digest of the artifact.
    pub digest: Digest,
    /// Signature and key.
    pub signature: SignatureAndKey,
}

/// What dsse 0.0.1 and intoto 0.0.2 say of an envelope. (They hold a hash of the envelope too; it is
/// over a form of JSON nobody can rebuild and proves nothing.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedPayload {
    /// Digest of the payload.
    pub payload_digest: Digest,
    /// Signatures and keys.
    pub signatures: Vec<SignatureAndKey>,
}

/// A signature and the key or certificate that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureAndKey {
    /// The signature.
    pub signature: Vec<u8>,
    /// PEM of a certificate or a public key.
    pub key_pem: Vec<u8>,
}

/// Why bytes are not an entry we can read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Not JSON, or not of this shape.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A digest of the wrong length.
    #[error(transparent)]
    Digest(#[from] sealog_crypto::DigestError),
    /// The algorithm's name and the digest's disagree, or the algorithm signs no digests.
    #[error("{details} does not sign {algorithm} digests")]
    WrongHash {
        /// The signature's algorithm.
        details: KeyDetails,
        /// The digest's.
        algorithm: HashAlgorithm,
    },
    /// Another kind or version than asked for.
    #[error("{kind} {version} entries are not supported")]
    Unsupported {
        /// The kind.
        kind: String,
        /// The version.
        version: String,
    },
}

impl HashedRekord {
    /// The leaf's bytes. Everything in them is base64 or a registered name, so nothing needs escaping.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let (arm, key) = match &self.verifier {
            Verifier::Certificate(der) => ("x509Certificate", der),
            Verifier::PublicKey(der) => ("publicKey", der),
        };
        let digest = self.digest.as_bytes();
        let in_base64: usize =
            [digest, &self.signature, key].map(|bytes| base64_len(bytes.len())).into_iter().sum();
        let mut out = Vec::with_capacity(in_base64 + AROUND);
        let mut put = |text: &str, bytes: &[u8]| {
            out.extend_from_slice(text.as_bytes());
            put_base64(&mut out, bytes);
        };
        let nothing = [].as_slice();
        put(
            r#"{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":""#,
            nothing,
        );
        put(key_details::hash_name(self.digest.algorithm()), nothing);
        put(r#"","digest":""#, digest);
        put(r#""},"signature":{"content":""#, &self.signature);
        // For a public key `keyDetails` sorts before the key as well: k < p < x.
        put(r#"","verifier":{"keyDetails":""#, nothing);
        put(self.key_details.name(), nothing);
        put(r#"",""#, nothing);
        put(arm, nothing);
        put(r#"":{"rawBytes":""#, key);
        put(r#""}}}}}}"#, nothing);
        out
    }

    /// Reads a leaf's bytes. What is read need not be in canonical form; compare
    /// [`HashedRekord::canonical`] where that matters.
    ///
    /// # Errors
    /// See [`EntryError`].
    pub fn parse(body: &[u8]) -> Result<Self, EntryError> {
        match EntryBody::parse(body)? {
            EntryBody::HashedRekord(entry) => Ok(entry),
            other => {
                let KindVersion { kind, version } = other.kind_version();
                Err(EntryError::Unsupported { kind, version })
            }
        }
    }
}

impl Verifier {
    pub(crate) fn read(fields: &mut Fields<'_>) -> Result<(Self, KeyDetails), JsonError> {
        let details = KeyDetails::take(fields, "keyDetails")?;
        let raw = |fields: &mut Fields<'_>| fields.required_bytes("rawBytes");
        let (key, certificate) = (fields.message("publicKey", raw)?, fields.message("x509Certificate", raw)?);
        const ARMS: &str = "publicKey, x509Certificate";
        match (key, certificate) {
            (Some(key), None) => Ok((Self::PublicKey(key), details)),
            (None, Some(certificate)) => Ok((Self::Certificate(certificate), details)),
            (None, None) => Err(fields::missing(ARMS)),
            (Some(_), Some(_)) => Err(JsonError::here(JsonFault::Exclusive).at(ARMS)),
        }
    }

    /// The DER, certificate or key.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        match self {
            Self::Certificate(der) | Self::PublicKey(der) => der,
        }
    }
}

impl EntryBody {
    /// Reads an entry of any kind.
    ///
    /// # Errors
    /// When it is not JSON, says no kind, or is not what its kind says; never for an unknown kind.
    pub fn parse(body: &[u8]) -> Result<Self, EntryError> {
        let value = Value::parse(body, MAX_BODY_BYTES)?;
        let kind = KindVersion::of_body(&value)?;
        let reader: fn(&mut Fields<'_>) -> Result<Self, EntryError> =
            match (kind.kind.as_str(), kind.version.as_str()) {
                ("hashedrekord", "0.0.2") => read_hashedrekord_v002,
                ("hashedrekord", "0.0.1") => read_hashedrekord_v001,
                ("dsse", "0.0.1") => read_dsse_v001,
                ("intoto", "0.0.2") => read_intoto_v002,
                _ => return Ok(Self::Unsupported(kind)),
            };
        Fields::read(value, Unknown::Refuse, |fields| {
            fields.take("kind")?;
            fields.take("apiVersion")?;
            reader(fields)
        })
    }

    /// Kind and version.
    #[must_use]
    pub fn kind_version(&self) -> KindVersion {
        let (kind, version) = match self {
            Self::HashedRekord(_) => ("hashedrekord", "0.0.2"),
            Self::HashedRekordV001(_) => ("hashedrekord", "0.0.1"),
            Self::DsseV001(_) => ("dsse", "0.0.1"),
            Self::IntotoV002(_) => ("intoto", "0.0.2"),
            Self::Unsupported(other) => return other.clone(),
        };
        KindVersion { kind: kind.into(), version: version.into() }
    }
}

impl KindVersion {
    fn of_body(body: &Value<'_>) -> Result<Self, JsonError> {
        let text = |name| {
            let text = body.get(name).and_then(Value::as_str);
            text.map(String::from).ok_or_else(|| fields::missing(name))
        };
        Ok(Self { kind: text("kind")?, version: text("apiVersion")? })
    }
}

fn read_hashedrekord_v002(fields: &mut Fields<'_>) -> Result<EntryBody, EntryError> {
    let (algorithm, digest, signature, (verifier, key_details)) =
        fields.required_message("spec", |fields| {
            fields.required_message("hashedRekordV002", |fields| {
                let (algorithm, digest) = fields.required_message("data", |fields| {
                    Ok((key_details::take_hash(fields, "algorithm")?, fields.required_bytes("digest")?))
                })?;
                let (signature, verifier) = fields.required_message("signature", |fields| {
                    Ok((
                        fields.required_bytes("content")?,
                        fields.required_message("verifier", Verifier::read)?,
                    ))
                })?;
                Ok((algorithm, digest, signature, verifier))
            })
        })?;
    if key_details.prehash() != Some(algorithm) {
        return Err(EntryError::WrongHash { details: key_details, algorithm });
    }
    let digest = Digest::new(algorithm, &digest)?;
    Ok(EntryBody::HashedRekord(HashedRekord { digest, signature, verifier, key_details }))
}

fn read_hashedrekord_v001(fields: &mut Fields<'_>) -> Result<EntryBody, EntryError> {
    let (digest, signature) = fields.required_message("spec", |fields| {
        let digest =
            fields.required_message("data", |fields| fields.required_message("hash", read_hex_hash))?;
        let signature = fields.required_message("signature", |fields| {
            Ok(SignatureAndKey {
                signature: fields.required_bytes("content")?,
                key_pem: fields.required_message("publicKey", |fields| fields.required_bytes("content"))?,
            })
        })?;
        Ok((digest, signature))
    })?;
    Ok(EntryBody::HashedRekordV001(SignedDigest { digest, signature }))
}

fn read_dsse_v001(fields: &mut Fields<'_>) -> Result<EntryBody, EntryError> {
    let entry = fields.required_message("spec", |fields| {
        fields.message("envelopeHash", read_hex_hash)?;
        Ok(SignedPayload {
            payload_digest: fields.required_message("payloadHash", read_hex_hash)?,
            signatures: fields.messages("signatures", crate::dsse::MAX_SIGNATURES, |fields| {
                Ok(SignatureAndKey {
                    signature: fields.required_bytes("signature")?,
                    key_pem: fields.required_bytes("verifier")?,
                })
            })?,
        })
    })?;
    Ok(EntryBody::DsseV001(entry))
}

fn read_intoto_v002(fields: &mut Fields<'_>) -> Result<EntryBody, EntryError> {
    let entry = fields.required_message("spec", |fields| {
        fields.required_message("content", |fields| {
            fields.message("hash", read_hex_hash)?;
            let payload_digest = fields.required_message("payloadHash", read_hex_hash)?;
            let signatures = fields.required_message("envelope", |fields| {
                // The payload's digest above is what counts, with or without the payload itself.
                fields.text("payloadType")?;
                fields.take("payload")?;
                fields.messages("signatures", crate::dsse::MAX_SIGNATURES, |fields| {
                    fields.text("keyid")?;
                    // Base64 twice: the envelope's own, and that of the entry around it.
                    let inner = fields.required_bytes("sig")?;
                    let inner = core::str::from_utf8(&inner).ok().and_then(crate::json::decode_base64);
                    Ok(SignatureAndKey {
                        signature: inner.ok_or_else(|| JsonError::here(JsonFault::Base64).at("sig"))?,
                        key_pem: fields.required_bytes("publicKey")?,
                    })
                })
            })?;
            Ok(SignedPayload { payload_digest, signatures })
        })
    })?;
    Ok(EntryBody::IntotoV002(entry))
}

/// `{"algorithm":"sha256","value":"<hex>"}`, as Rekor v1 writes digests.
fn read_hex_hash(fields: &mut Fields<'_>) -> Result<Digest, JsonError> {
    let algorithm = fields.name_or_number("algorithm", HashAlgorithm::from_name, |_| None)?;
    let value = hex::decode(fields.required_text("value")?).unwrap_or_default();
    Digest::new(algorithm, &value)
        .map_err(|e| JsonError::here(JsonFault::Length { expected: e.expected, found: e.found }).at("value"))
}

#[cfg(test)]
mod tests;
