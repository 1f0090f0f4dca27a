//! Signing against services that are honest, and against services that are not: nothing that would not
//! verify later may come out.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod instance;

use instance::{EMAIL, Instance, Lie, OIDC_ISSUER, token};
use sealog_bundle::{Bundle, Content};
use sealog_client::{
    attest,
    ca::CaError,
    http::Client,
    rekor::RekorError,
    sign::{CertificateError, Payload, Signed, Signer, SigningError, SigningKey},
    tsa::TsaError,
};
use sealog_crypto::HashAlgorithm;
use sealog_verify::{Artifact, ErrorClass, Policy, verify};

const FILE: &[u8] = b"some software\n";

fn file() -> Payload {
    Payload::File(HashAlgorithm::Sha256.digest(FILE))
}

async fn sign(instance: &Instance, payload: &Payload) -> Result<Signed, SigningError> {
    let client = Client::new();
    let signer = Signer::new(&client, &instance.services, &instance.root);
    let batch = signer.begin(SigningKey::generate()?, &token(), std::slice::from_ref(payload)).await?;
    assert_eq!((batch.identity(), batch.oidc_issuer()), (EMAIL, OIDC_ISSUER));
    batch.finish(0, payload).await
}

#[tokio::test]
async fn what_is_signed_verifies_from_its_document() {
    let instance = Instance::start(Lie::Nothing).await;
    let signed = sign(&instance, &file()).await.unwrap();
    let bundle = Bundle::parse(signed.bundle.to_json().as_bytes()).unwrap();
    let policy = Policy::identity(EMAIL, OIDC_ISSUER);
    let verified = verify(&bundle, &instance.root, &policy, &Artifact::from_bytes(FILE)).unwrap();
    assert_eq!(
        (verified.identity(), verified.log(), verified.log_index()),
        (Some(EMAIL), Some("localhost"), Some(1))
    );
    let times = signed.times;
    assert!(times.total >= times.certificate + times.timestamp.max(times.log) + times.verify);
    let other = verify(&bundle, &instance.root, &policy, &Artifact::from_bytes(b"other")).unwrap_err();
    assert_eq!(other.class(), ErrorClass::Digest);
}

#[tokio::test]
async fn statements_are_signed_as_they_are() {
    let instance = Instance::start(Lie::Nothing).await;
    let digest = HashAlgorithm::Sha256.digest(FILE);
    let payload = attest::payload("f", digest, "https://example.org/t", b"{\"n\":1.50}").unwrap();
    let signed = sign(&instance, &payload).await.unwrap();
    let bundle = Bundle::parse(signed.bundle.to_json().as_bytes()).unwrap();
    let Content::Envelope(envelope) = &bundle.content else { panic!("not an envelope") };
    assert!(envelope.payload.ends_with(b"\"predicate\":{\"n\":1.50}}"));
    let verified = signed.verified.statement().unwrap();
    assert_eq!(verified.predicate_type, "https://example.org/t");
}

#[tokio::test]
async fn several_files_share_one_certificate() {
    let instance = Instance::start(Lie::Nothing).await;
    let client = Client::new();
    let signer = Signer::new(&client, &instance.services, &instance.root);
    let payloads: Vec<Payload> =
        [b"a", b"b", b"c"].map(|f| Payload::File(HashAlgorithm::Sha256.digest(f))).to_vec();
    let batch = signer.begin(SigningKey::generate().unwrap(), &token(), &payloads).await.unwrap();
    assert!(!batch.expires_soon());
    for (index, payload) in payloads.iter().enumerate() {
        let signed = batch.finish(index, payload).await.unwrap();
        assert_eq!(signed.bundle.material.key.leaf(), instance.certificates().first().map(Vec::as_slice));
    }
    assert_eq!(instance.certificates().len(), 1);
    // A payload in another's place is caught by the verification at the end.
    assert!(matches!(batch.finish(0, &payloads[1]).await, Err(SigningError::Verify(_))));
    assert!(matches!(
        batch.finish(9, &payloads[1]).await,
        Err(SigningError::Verify(_) | SigningError::Tsa(_))
    ));
}

/// Signs against services with this flaw; something must be noticed.
async fn against(lie: Lie) -> SigningError {
    let instance = Instance::start(lie).await;
    match sign(&instance, &file()).await {
        Ok(_) => panic!("{lie:?} was not noticed"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn certificates_that_no_verifier_would_take_are_not_used() {
    for (lie, expected) in [
        (Lie::CertificateForOtherKey, "the certificate is for another key"),
        (
            Lie::CertificateForOtherName,
            "the certificate is in the name of `eve@example.org`, the token in that of `ann@example.org`",
        ),
        (
            Lie::CertificateWithOtherIssuer,
            "the certificate names the OpenID provider `https://eve.example.org`, the token `https://accounts.example.org`",
        ),
        (
            Lie::CertificateWithOtherSubject,
            "the certificate is in the name of `other-subject`, the token in that of `opaque-subject`",
        ),
        (
            Lie::CertificateOfOtherAuthority,
            "the certificate does not come from a certificate authority of the trusted root",
        ),
        (Lie::SctOfOtherLog, "no certificate log of the trusted root promised to hold the certificate"),
        (Lie::SctDamaged, "no certificate log of the trusted root promised to hold the certificate"),
    ] {
        let error = against(lie).await;
        assert!(matches!(error, SigningError::Certificate(_)), "{lie:?}: {error}");
        assert_eq!(error.to_string(), expected, "{lie:?}");
    }
    let damaged = against(Lie::SctDamaged).await;
    assert!(matches!(damaged, SigningError::Certificate(CertificateError::NotLogged(Some(_)))), "{damaged}");
}

#[tokio::test]
async fn answers_that_do_not_verify_make_no_bundle() {
    for (lie, expected) in [
        (Lie::TimestampOfOtherAuthority, ErrorClass::Timestamp),
        (Lie::TimestampOfOtherMessage, ErrorClass::Timestamp),
        (Lie::TimestampFromThePast, ErrorClass::TimeOutsideCertificate),
        (Lie::EntryOfOtherSignature, ErrorClass::EntryMismatch),
        (Lie::EntryWithDamagedProof, ErrorClass::InclusionProof),
    ] {
        match against(lie).await {
            SigningError::Verify(error) => assert_eq!(error.class(), expected, "{lie:?}: {error}"),
            error => panic!("{lie:?}: {error}"),
        }
    }
    assert!(matches!(against(Lie::EntryOfOtherLog).await, SigningError::Verify(_)));
    let nonce = against(Lie::TimestampWithOtherNonce).await;
    assert!(matches!(nonce, SigningError::Tsa(TsaError::OtherNonce { .. })), "{nonce}");
    let none = against(Lie::EntryThatIsNone).await;
    assert!(matches!(none, SigningError::Rekor(RekorError::NotAnEntry { .. })), "{none}");
}

#[tokio::test]
async fn a_refusal_is_told_in_the_authoritys_words() {
    let error = against(Lie::RefusedToken).await;
    assert!(matches!(error, SigningError::Ca(CaError::Http(_))), "{error}");
    assert_eq!(error.http().and_then(sealog_client::http::HttpError::status), Some(400));
    assert!(
        error
            .to_string()
            .ends_with("/api/v2/signingCert answered 400: There was an error processing the identity token")
    );
}
