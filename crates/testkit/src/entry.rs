//! Bodies of log entries, as Rekor v1 and v2 write them.

use crate::{Signed, Signer, signature_of};
use sealog_bundle::{
    Content, Envelope, HashedRekord, KeyDetails, KindVersion, Verifier, json::encode_base64,
};
use sealog_crypto::{HashAlgorithm, PublicKey};
use sealog_pki::Certificate;

/// How a log holds a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryForm {
    /// hashedrekord 0.0.2, of Rekor v2.
    HashedRekordV002,
    /// hashedrekord 0.0.1.
    HashedRekordV001,
    /// dsse 0.0.1.
    DsseV001,
    /// intoto 0.0.2.
    IntotoV002,
}

impl EntryForm {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::HashedRekordV002, Self::HashedRekordV001, Self::DsseV001, Self::IntotoV002];

    /// Whether it can hold a statement, or a file.
    #[must_use]
    pub const fn goes_with(self, statement: bool) -> bool {
        match self {
            Self::HashedRekordV002 => true,
            Self::HashedRekordV001 => !statement,
            Self::DsseV001 | Self::IntotoV002 => statement,
        }
    }

    /// Whether it is an entry of Rekor v1.
    #[must_use]
    pub fn is_v1(self) -> bool {
        self != Self::HashedRekordV002
    }

    /// Kind and version.
    #[must_use]
    pub fn kind_version(self) -> KindVersion {
        let (kind, version) = match self {
            Self::HashedRekordV002 => ("hashedrekord", "0.0.2"),
            Self::HashedRekordV001 => ("hashedrekord", "0.0.1"),
            Self::DsseV001 => ("dsse", "0.0.1"),
            Self::IntotoV002 => ("intoto", "0.0.2"),
        };
        KindVersion { kind: kind.into(), version: version.into() }
    }

    /// The leaf's bytes for a bundle.
    #[must_use]
    pub fn body(self, signed: &Signed) -> Vec<u8> {
        let signature = encode_base64(signature_of(&signed.bundle.content));
        let pem = encode_base64(pem_of(signed).as_bytes());
        let text = match (self, &signed.bundle.content) {
            (Self::HashedRekordV002, _) => return rekor_v2(signed).canonical(),
            (Self::HashedRekordV001, _) => format!(
                r#"{{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{{"data":{{"hash":{}}},"signature":{{"content":"{signature}","publicKey":{{"content":"{pem}"}}}}}}}}"#,
                hash(&signed.file),
            ),
            (Self::DsseV001, Content::Envelope(envelope)) => format!(
                r#"{{"apiVersion":"0.0.1","kind":"dsse","spec":{{"envelopeHash":{},"payloadHash":{},"signatures":[{{"signature":"{signature}","verifier":"{pem}"}}]}}}}"#,
                hash(envelope_json(envelope).as_bytes()),
                hash(&envelope.payload),
            ),
            (Self::IntotoV002, Content::Envelope(envelope)) => format!(
                r#"{{"apiVersion":"0.0.2","kind":"intoto","spec":{{"content":{{"envelope":{{"payloadType":"{}","signatures":[{{"publicKey":"{pem}","sig":"{}"}}]}},"hash":{},"payloadHash":{}}}}}}}"#,
                envelope.payload_type,
                encode_base64(signature.as_bytes()),
                hash(envelope_json(envelope).as_bytes()),
                hash(&envelope.payload),
            ),
            (form, Content::Message(_)) => panic!("a file has no {} entry", form.kind_version()),
        };
        text.into_bytes()
    }
}

/// What a log of Rekor v2 holds for a bundle.
fn rekor_v2(signed: &Signed) -> HashedRekord {
    let (key, verifier) = match (&signed.signer, signed.bundle.material.key.leaf()) {
        (_, Some(der)) => {
            let key = Certificate::from_der(der).unwrap().public_key().unwrap();
            (key, Verifier::Certificate(der.to_vec()))
        }
        (Signer::Key(key), None) => (PublicKey::clone(key), Verifier::PublicKey(key.spki_der().to_vec())),
        (Signer::Identity { .. }, None) => panic!("a bundle without certificate by somebody with a name"),
    };
    // No honest log takes a key that signs no digest; this one does.
    let key_details = KeyDetails::candidates(&key)[0];
    let hash = key_details.prehash().unwrap_or(HashAlgorithm::Sha256);
    let digest = match &signed.bundle.content {
        Content::Message(_) => hash.digest(&signed.file),
        Content::Envelope(envelope) => hash.digest(&envelope.pae()),
    };
    let signature = signature_of(&signed.bundle.content).to_vec();
    HashedRekord { digest, signature, verifier, key_details }
}

fn pem_of(signed: &Signed) -> String {
    match (&signed.signer, signed.bundle.material.key.leaf()) {
        (_, Some(der)) => Certificate::from_der(der).unwrap().to_pem(),
        (Signer::Key(key), None) => key.to_pem(),
        (Signer::Identity { .. }, None) => panic!("a bundle without certificate by somebody with a name"),
    }
}

fn hash(bytes: &[u8]) -> String {
    let digest = HashAlgorithm::Sha256.digest(bytes);
    format!(r#"{{"algorithm":"sha256","value":"{}"}}"#, hex::encode(digest.as_bytes()))
}

fn envelope_json(envelope: &Envelope) -> String {
    let signatures = envelope.signatures.iter().map(|s| format!(r#"{{"sig":"{}"}}"#, encode_base64(&s.sig)));
    let (payload, signatures) = (encode_base64(&envelope.payload), signatures.collect::<Vec<_>>().join(","));
    let payload_type = &envelope.payload_type;
    format!(r#"{{"payload":"{payload}","payloadType":"{payload_type}","signatures":[{signatures}]}}"#)
}
