//! DSSE envelopes (secure-systems-lab/dsse, protocol and envelope): a payload, its type, signatures
//! over both.

use crate::json::{Fields, JsonError, Value, object};
use alloc::{format, string::String, vec::Vec};

/// How every pre-authentication encoding begins. A signature over a file that begins so is a signature over an
/// envelope as well.
pub const PAE_START: &str = "DSSEv1 ";

/// The payload type of in-toto statements.
pub const IN_TOTO_PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Signatures an envelope may carry when read; a bundle's must carry one, which `verify` holds.
pub const MAX_SIGNATURES: usize = 32;

/// An envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// What was signed, as it was given to the signer.
    pub payload: Vec<u8>,
    /// What sort of thing it is, a media type by custom.
    pub payload_type: String,
    /// Signatures over [`Envelope::pae`].
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// The signature's bytes.
    pub sig: Vec<u8>,
    /// The signer's hint which key it was; empty for none, never trusted.
    pub keyid: String,
}

/// The bytes that are signed: DSSE's pre-authentication encoding of type and payload.
#[must_use]
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("{PAE_START}{} {payload_type} {} ", payload_type.len(), payload.len());
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

impl Envelope {
    /// The bytes that are signed.
    #[must_use]
    pub fn pae(&self) -> Vec<u8> {
        pae(&self.payload_type, &self.payload)
    }

    pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        Ok(Self {
            payload: fields.bytes("payload")?,
            payload_type: fields.text("payloadType")?,
            signatures: fields.messages("signatures", MAX_SIGNATURES, |fields| {
                Ok(EnvelopeSignature { sig: fields.required_bytes("sig")?, keyid: fields.text("keyid")? })
            })?,
        })
    }

    pub(crate) fn to_value(&self) -> Value<'_> {
        let signature = |s: &EnvelopeSignature| -> Value<'static> {
            object([
                ("sig", Some(Value::bytes(&s.sig))),
                ("keyid", (!s.keyid.is_empty()).then(|| Value::text(s.keyid.clone()))),
            ])
        };
        object([
            ("payload", Some(Value::bytes(&self.payload))),
            ("payloadType", Some(Value::text(self.payload_type.as_str()))),
            ("signatures", Some(Value::Array(self.signatures.iter().map(signature).collect()))),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pae_of_the_specification() {
        let bytes = pae("http://example.com/HelloWorld", b"hello world");
        assert_eq!(bytes, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
        assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
    }
}
