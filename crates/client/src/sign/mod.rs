//! Signing: a token and files in, verified bundles out. The one place that knows the order of things.
//!
//! key in memory → certificate, checked → signatures, key dropped → for each: timestamp and log entry →
//! bundle, verified as anyone else would. The specification is client-spec.md §3.
//!
//! The key lives in one [`SigningKey`] from before the sign-in, so that the token can be bound to it, to the last signature
//! of [`Signer::begin`]; it is never encoded, returned or logged.

mod certificate;

pub use certificate::CertificateError;

use crate::{
    ca::{self, CaError},
    clock,
    http::{Client, HttpError},
    oidc::{IdentityToken, TokenError},
    rekor::{self, RekorError},
    trust::Services,
    tsa::{self, TsaError},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use certificate::Checked;
use sealog_bundle::{
    Bundle, Content, Envelope, HashedRekord, KeyDetails, KeyMaterial, MessageSignature, TransparencyLogEntry,
    TrustedRoot, VerificationMaterial, Verifier, Version,
    dsse::{EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE, pae},
};
use sealog_crypto::{Digest, HashAlgorithm, KeyKind, PrivateKey, Signer as _};
use sealog_identity::jwk;
use sealog_verify::{Artifact, Policy, Verified, VerifyError};
use std::time::{Duration, Instant};

/// A certificate with less time left than this is renewed before the next file.
const RENEW_BEFORE_SECONDS: i64 = 60;

/// Why signing failed. Nothing is handed out then.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The token could never be accepted.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The key could not be made or used.
    #[error(transparent)]
    Key(#[from] sealog_crypto::SignError),
    /// The digest is not of the algorithm the key signs.
    #[error("files are signed by their sha256 digest, not by {0}")]
    WrongDigest(HashAlgorithm),
    /// No certificate.
    #[error(transparent)]
    Ca(#[from] CaError),
    /// A certificate that must not be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Without a timestamp nobody could tell that the certificate was valid.
    #[error("the signing config names no timestamp authority, and this log gives no time")]
    NoTimestampAuthority,
    /// No timestamp.
    #[error(transparent)]
    Tsa(#[from] TsaError),
    /// No log entry.
    #[error(transparent)]
    Rekor(#[from] RekorError),
    /// The services answered, but what they gave does not verify.
    #[error("what the services answered does not verify: {0}")]
    Verify(#[from] VerifyError),
}

impl SigningError {
    /// The exchange that failed, if it was one.
    #[must_use]
    pub const fn http(&self) -> Option<&HttpError> {
        match self {
            Self::Ca(CaError::Http(error))
            | Self::Tsa(TsaError::Http(error))
            | Self::Rekor(RekorError::Http(error)) => Some(error),
            _ => None,
        }
    }
}

/// A key for one certificate: made before there is a token, used up by [`Signer::begin`].
#[derive(Debug)]
pub struct SigningKey(PrivateKey);

impl SigningKey {
    /// A new one, on P-256.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> Result<Self, SigningError> {
        Ok(Self(PrivateKey::generate(KeyKind::EcdsaP256)?))
    }

    /// What identity tokens name it by: the SHA-256 of its JWK (RFC 7638) in base64url.
    #[must_use]
    pub fn thumbprint(&self) -> Option<String> {
        jwk::thumbprint(self.0.public_key()).map(|hash| URL_SAFE_NO_PAD.encode(hash))
    }
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A file, by its SHA-256.
    File(Digest),
    /// An in-toto statement about a file.
    Statement {
        /// The statement's bytes.
        statement: Vec<u8>,
        /// The digest of the file, for the check at the end.
        subject: Digest,
    },
}

impl Payload {
    /// The digest that goes under the signature and into the log.
    fn signed_digest(&self) -> Digest {
        match self {
            Self::File(digest) => *digest,
            Self::Statement { statement, .. } => {
                HashAlgorithm::Sha256.digest(&pae(IN_TOTO_PAYLOAD_TYPE, statement))
            }
        }
    }

    const fn artifact(&self) -> &Digest {
        match self {
            Self::File(digest) => digest,
            Self::Statement { subject, .. } => subject,
        }
    }

    fn content(&self, signature: Vec<u8>) -> Content {
        match self {
            Self::File(digest) => Content::Message(MessageSignature { digest: Some(*digest), signature }),
            Self::Statement { statement, .. } => Content::Envelope(Envelope {
                payload: statement.clone(),
                payload_type: IN_TOTO_PAYLOAD_TYPE.to_owned(),
                signatures: vec![EnvelopeSignature { sig: signature, keyid: String::new() }],
            }),
        }
    }
}

/// How long each hop took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HopTimes {
    /// Key, certificate and its checks; shared by the files of one batch.
    pub certificate: Duration,
    /// The signature itself.
    pub sign: Duration,
    /// The timestamp; at the same time as the log entry.
    pub timestamp: Duration,
    /// The log entry; at the same time as the timestamp.
    pub log: Duration,
    /// The final verification.
    pub verify: Duration,
    /// Certificate to verified bundle.
    pub total: Duration,
}

/// A signature with all that is needed to verify it, verified.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The bundle.
    pub bundle: Bundle,
    /// What a verifier says of it.
    pub verified: Verified,
    /// How long it took.
    pub times: HopTimes,
}

/// Signs with a set of services under a trusted root.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'a> {
    client: &'a Client,
    services: &'a Services,
    root: &'a TrustedRoot,
}

/// Signatures by one key under one certificate; the key is gone.
#[derive(Debug)]
pub struct Batch<'a> {
    signer: Signer<'a>,
    certificate: Checked,
    signatures: Vec<Vec<u8>>,
    times: HopTimes,
}

impl<'a> Signer<'a> {
    /// A signer that asks these services and believes this root.
    #[must_use]
    pub const fn new(client: &'a Client, services: &'a Services, root: &'a TrustedRoot) -> Self {
        Self { client, services, root }
    }

    /// Obtains a certificate and signs every payload; timestamps and log entries follow one by one with
    /// [`Batch::finish`].
    ///
    /// # Errors
    /// See [`SigningError`].
    pub async fn begin(
        &self,
        key: SigningKey,
        token: &IdentityToken,
        payloads: &[Payload],
    ) -> Result<Batch<'a>, SigningError> {
        let started = Instant::now();
        token.check(clock::unix_seconds())?;
        if self.services.tsa.is_empty() {
            return Err(SigningError::NoTimestampAuthority);
        }
        let digests: Vec<Digest> = payloads.iter().map(Payload::signed_digest).collect();
        if let Some(other) = digests.iter().find(|d| d.algorithm() != HashAlgorithm::Sha256) {
            return Err(SigningError::WrongDigest(other.algorithm()));
        }
        let SigningKey(key) = key;
        let issued = ca::request_certificate(self.client, &self.services.ca, token, &key).await?;
        let now = clock::unix_seconds();
        let certificate = certificate::check(issued, key.public_key(), token.claims(), self.root, now)?;
        let certified = Instant::now();
        let signatures = digests.iter().map(|d| key.sign_digest(d)).collect::<Result<Vec<_>, _>>()?;
        drop(key);
        let times =
            HopTimes { certificate: certified - started, sign: certified.elapsed(), ..HopTimes::default() };
        Ok(Batch { signer: *self, certificate, signatures, times })
    }
}

impl Batch<'_> {
    /// The name the certificate is in.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.certificate.identity
    }

    /// The OpenID provider that vouches for the name.
    #[must_use]
    pub fn oidc_issuer(&self) -> &str {
        &self.certificate.oidc_issuer
    }

    /// Whether the rest of the files should be signed under a new certificate.
    #[must_use]
    pub fn expires_soon(&self) -> bool {
        let (_, not_after) = self.certificate.leaf.validity();
        clock::unix_seconds().saturating_add(RENEW_BEFORE_SECONDS) > not_after
    }

    /// Has signature `index` stamped and logged, and verifies what came of it. `payload` must be the one
    /// given to [`Signer::begin`] in that place.
    ///
    /// # Errors
    /// See [`SigningError`]; a `payload` that is not the one signed fails the verification.
    pub async fn finish(&self, index: usize, payload: &Payload) -> Result<Signed, SigningError> {
        let started = Instant::now();
        let signature = self.signatures.get(index).cloned().unwrap_or_default();
        let entry = HashedRekord {
            digest: payload.signed_digest(),
            signature: signature.clone(),
            verifier: Verifier::Certificate(self.certificate.leaf.der().to_vec()),
            key_details: KeyDetails::EcdsaP256Sha256,
        };
        // Neither needs the other's answer, and neither is believed before both are verified.
        let ((timestamps, timestamp), (log_entries, log)) =
            tokio::join!(timed(self.timestamps(&signature)), timed(self.log_entries(&entry)));
        let bundle = Bundle {
            version: Version::V03,
            material: VerificationMaterial {
                key: KeyMaterial::Certificate(self.certificate.leaf.der().to_vec()),
                log_entries: log_entries?,
                timestamps: timestamps?,
            },
            content: payload.content(signature),
        };
        let answered = Instant::now();
        let verified = self.verify(&bundle, payload)?;
        let verify = answered.elapsed();
        let total = self.times.certificate + self.times.sign + started.elapsed();
        let times = HopTimes { timestamp, log, verify, total, ..self.times };
        Ok(Signed { bundle, verified, times })
    }

    /// As anyone else would who wants this signer's signature.
    fn verify(&self, bundle: &Bundle, payload: &Payload) -> Result<Verified, VerifyError> {
        let policy = Policy::identity(self.identity(), self.oidc_issuer());
        let artifact = Artifact::from_digests([*payload.artifact()]);
        sealog_verify::verify(bundle, self.signer.root, &policy, &artifact)
    }

    async fn timestamps(&self, signature: &[u8]) -> Result<Vec<Vec<u8>>, SigningError> {
        let mut stamps = Vec::new();
        for authority in &self.signer.services.tsa {
            stamps.push(tsa::timestamp(self.signer.client, authority, signature).await?);
        }
        Ok(stamps)
    }

    async fn log_entries(&self, entry: &HashedRekord) -> Result<Vec<TransparencyLogEntry>, SigningError> {
        let mut entries = Vec::new();
        for log in &self.signer.services.rekor {
            entries.push(rekor::create_entry(self.signer.client, log, entry).await?);
        }
        Ok(entries)
    }
}

/// What a future yields, and how long it took.
async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let started = Instant::now();
    (future.await, started.elapsed())
}
