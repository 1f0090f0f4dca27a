//! What clients send to have an entry logged (`dev.sigstore.rekor.v2.CreateEntryRequest`).
//!
//! Only read here; whether a log takes it in is [`crate::admission`].

use crate::{
    dsse::Envelope,
    entry::Verifier,
    json::{Fields, JsonError, JsonFault, Unknown, Value, fields, object},
    key_details::KeyDetails,
};
use alloc::{string::String, vec::Vec};

/// Bytes in a request.
pub const MAX_REQUEST_BYTES: usize = 4 << 20;
/// Verifiers in a request for an envelope.
pub const MAX_VERIFIERS: usize = 32;

/// A request to log a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateEntryRequest {
    /// A digest and a signature over it.
    HashedRekord(HashedRekordRequest),
    /// An envelope, with one verifier for each signature; what older clients send for attestations.
    Dsse(DsseRequest),
}

/// A digest and a signature over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashedRekordRequest {
    /// The digest; its length must be the hash's, which admission sees to.
    pub digest: Vec<u8>,
    /// The signature.
    pub signature: Vec<u8>,
    /// Whose it is.
    pub verifier: Verifier,
    /// How it was made.
    pub key_details: KeyDetails,
}

/// An envelope and who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DsseRequest {
    /// The envelope.
    pub envelope: Envelope,
    /// Whose its signatures are, and how they were made.
    pub verifiers: Vec<(Verifier, KeyDetails)>,
}

impl CreateEntryRequest {
    /// Reads a request's body. Unknown and repeated fields are refused.
    ///
    /// # Errors
    /// When it is not such a request.
    pub fn parse(body: &[u8]) -> Result<Self, JsonError> {
        Fields::document(body, MAX_REQUEST_BYTES, Unknown::Refuse, |fields| {
            let hashed = fields.message("hashedRekordRequestV002", HashedRekordRequest::read)?;
            let dsse = fields.message("dsseRequestV002", DsseRequest::read)?;
            const ARMS: &str = "hashedRekordRequestV002, dsseRequestV002";
            match (hashed, dsse) {
                (Some(request), None) => Ok(Self::HashedRekord(request)),
                (None, Some(request)) => Ok(Self::Dsse(request)),
                (None, None) => Err(fields::missing(ARMS)),
                (Some(_), Some(_)) => Err(JsonError::here(JsonFault::Exclusive).at(ARMS)),
            }
        })
    }
}

impl HashedRekordRequest {
    fn read(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        let digest = fields.required_bytes("digest")?;
        let (signature, (verifier, key_details)) = fields.required_message("signature", |fields| {
            Ok((fields.required_bytes("content")?, fields.required_message("verifier", Verifier::read)?))
        })?;
        Ok(Self { digest, signature, verifier, key_details })
    }

    /// The request's body, for clients.
    #[must_use]
    pub fn to_json(&self) -> String {
        let arm = match self.verifier {
            Verifier::Certificate(_) => "x509Certificate",
            Verifier::PublicKey(_) => "publicKey",
        };
        let verifier = object([
            (arm, Some(object([("rawBytes", Some(Value::bytes(self.verifier.der())))]))),
            ("keyDetails", Some(Value::text(self.key_details.name()))),
        ]);
        let signature =
            object([("content", Some(Value::bytes(&self.signature))), ("verifier", Some(verifier))]);
        let request = object([("signature", Some(signature)), ("digest", Some(Value::bytes(&self.digest)))]);
        object([("hashedRekordRequestV002", Some(request))]).to_compact()
    }
}

impl DsseRequest {
    fn read(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        Ok(Self {
            envelope: fields.required_message("envelope", Envelope::read)?,
            verifiers: fields.messages("verifiers", MAX_VERIFIERS, Verifier::read)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_spellings_and_refuses_the_rest() {
        let request = HashedRekordRequest {
            digest: [1; 32].to_vec(),
            signature: b"sig".to_vec(),
            verifier: Verifier::Certificate(b"cert".to_vec()),
            key_details: KeyDetails::EcdsaP256Sha256,
        };
        let json = request.to_json();
        let expected = CreateEntryRequest::HashedRekord(request);
        assert_eq!(CreateEntryRequest::parse(json.as_bytes()).unwrap(), expected);
        let snake = json
            .replace("hashedRekordRequestV002", "hashed_rekord_request_v002")
            .replace("keyDetails", "key_details")
            .replace("\"PKIX_ECDSA_P256_SHA_256\"", "5");
        assert_eq!(CreateEntryRequest::parse(snake.as_bytes()).unwrap(), expected);
        for (from, to) in [
            ("\"digest\"", "\"digests\""),
            ("{\"signature\"", "{\"extra\":1,\"signature\""),
            ("\"content\":", "\"content\":\"\",\"content\":"),
            ("\"keyDetails\":", "\"key_details\":5,\"keyDetails\":"),
            ("PKIX_ECDSA_P256_SHA_256", "PKIX_NONE"),
            ("{\"rawBytes\"", "{\"rawByte\""),
        ] {
            let bad = json.replace(from, to);
            assert_ne!(bad, json);
            assert!(CreateEntryRequest::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(CreateEntryRequest::parse(b"{}").is_err());
    }
}
