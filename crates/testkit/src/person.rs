//! People, what they sign, and the signature as bundles carry it.

use crate::{ISSUER, seed};
use sealog_bundle::{
    Content, Envelope, KeyDetails, MessageSignature,
    dsse::{EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE, pae},
    statement::STATEMENT_V1,
};
use sealog_crypto::{Digest, HashAlgorithm, KeyKind, PrivateKey, Signer as _};
use sealog_pki::San;
use std::sync::Arc;

/// A person, or a machine with a name.
#[derive(Clone)]
pub struct Person {
    /// A mail address, or a URI.
    pub identity: String,
    /// The OIDC issuer that vouches for it.
    pub issuer: String,
    /// The key, which follows from the identity.
    pub key: Arc<PrivateKey>,
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub enum Thing<'a> {
    /// A file.
    File(&'a [u8]),
    /// An in-toto statement of version 1 about a file, with its SHA-256.
    StatementAbout(&'a [u8]),
    /// An in-toto statement of another type or with the digest by another hash.
    Statement {
        /// The file it is about.
        about: &'a [u8],
        /// Its `_type`.
        of_type: &'a str,
        /// Which digests of the file it names.
        by: &'a [HashAlgorithm],
    },
    /// Any envelope; the file is what the bundle is verified for.
    Envelope {
        /// The payload.
        payload: &'a [u8],
        /// Its type.
        payload_type: &'a str,
        /// The file.
        file: &'a [u8],
    },
}

impl Person {
    /// Somebody with a key of this kind, known to [`ISSUER`].
    #[must_use]
    pub fn new(identity: &str, kind: KeyKind) -> Self {
        Self { identity: identity.into(), issuer: ISSUER.into(), key: seed::key(identity, kind) }
    }

    /// The same, known to another issuer.
    #[must_use]
    pub fn known_to(mut self, issuer: &str) -> Self {
        self.issuer = issuer.into();
        self
    }

    /// The name as certificates have it.
    #[must_use]
    pub fn san(&self) -> San {
        match self.identity.contains("://") {
            true => San::Uri(self.identity.clone()),
            false => San::Email(self.identity.clone()),
        }
    }

    /// What logs say of the key, or would, of one that they do not take.
    #[must_use]
    pub fn key_details(&self) -> KeyDetails {
        KeyDetails::candidates(self.key.public_key())[0]
    }
}

impl Thing<'_> {
    /// The file a bundle is verified for.
    #[must_use]
    pub fn file(&self) -> &[u8] {
        match self {
            Self::File(file) | Self::StatementAbout(file) => file,
            Self::Statement { about: file, .. } | Self::Envelope { file, .. } => file,
        }
    }
}

/// What a person makes of a thing: content with its signature.
#[must_use]
pub fn content(who: &Person, thing: Thing<'_>) -> Content {
    let (payload, payload_type) = match thing {
        Thing::File(file) => {
            // Of a key that signs no digest, it says which file it was all the same.
            let hash = who.key_details().prehash().unwrap_or(HashAlgorithm::Sha256);
            let (digest, signature) = (Some(hash.digest(file)), who.key.sign(file).unwrap());
            return Content::Message(MessageSignature { digest, signature });
        }
        Thing::StatementAbout(file) => {
            (statement(file, STATEMENT_V1, &[HashAlgorithm::Sha256]), IN_TOTO_PAYLOAD_TYPE)
        }
        Thing::Statement { about, of_type, by } => (statement(about, of_type, by), IN_TOTO_PAYLOAD_TYPE),
        Thing::Envelope { payload, payload_type, .. } => (payload.to_vec(), payload_type),
    };
    let sig = who.key.sign(&pae(payload_type, &payload)).unwrap();
    let signatures = vec![EnvelopeSignature { sig, keyid: String::new() }];
    Content::Envelope(Envelope { payload, payload_type: payload_type.into(), signatures })
}

/// An in-toto statement about a file.
#[must_use]
pub fn statement(about: &[u8], of_type: &str, by: &[HashAlgorithm]) -> Vec<u8> {
    let digest =
        |digest: Digest| format!(r#""{}":"{}""#, digest.algorithm().name(), hex::encode(digest.as_bytes()));
    let digests: Vec<String> = by.iter().map(|algorithm| digest(algorithm.digest(about))).collect();
    format!(
        r#"{{"_type":"{of_type}","subject":[{{"name":"file","digest":{{{}}}}}],"predicateType":"https://example.com/predicate","predicate":{{}}}}"#,
        digests.join(","),
    )
    .into_bytes()
}

/// The one signature.
#[must_use]
pub fn signature_of(content: &Content) -> &[u8] {
    match content {
        Content::Message(message) => &message.signature,
        Content::Envelope(envelope) => &envelope.signatures[0].sig,
    }
}

/// Puts another signature in its place.
pub fn set_signature(content: &mut Content, signature: &[u8]) {
    match content {
        Content::Message(message) => message.signature = signature.to_vec(),
        Content::Envelope(envelope) => envelope.signatures[0].sig = signature.to_vec(),
    }
}
