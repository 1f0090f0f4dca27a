//! Round trips, and every rule of a token broken once.

use super::*;
use crate::{
    Certificate, ChainError, ObjectIdentifier, TrustedChain, algorithm,
    asn1::{self, constructed},
    oids,
    testing::{Forge, Holder, NOW},
};
use alloc::{vec, vec::Vec};
use sealog_crypto::{HashAlgorithm, Signer as _};

const MESSAGE: &[u8] = b"a signature";

struct Authority {
    tsa: Holder,
    chain: Vec<Certificate>,
}

fn authority() -> Authority {
    let root = Forge::ca("root").self_signed();
    let intermediate = Forge::ca("intermediate").purposes(&[oids::TIME_STAMPING], false).signed_by(&root);
    let tsa = Forge::leaf(&oids::TIME_STAMPING).signed_by(&intermediate);
    let chain = vec![tsa.certificate.clone(), intermediate.certificate, root.certificate];
    Authority { tsa, chain }
}

fn request() -> TimeStampReq {
    TimeStampReq::new(HashAlgorithm::Sha256.digest(MESSAGE))
}

fn answer(authority: &Authority, request: &TimeStampReq) -> Result<Vec<u8>, RespondError> {
    let tsa = TsaIdentity { signer: &authority.tsa.key, chain: &authority.chain };
    respond(request, &tsa, NOW, &[0xfe, 7], &POLICY)
}

/// A token in the making, every field free.
struct Token<'a> {
    signer: &'a Holder,
    status: u8,
    info: Vec<u8>,
    inner_type: ObjectIdentifier,
    signed_type: ObjectIdentifier,
    digest: Vec<u8>,
    extra_attributes: Vec<Vec<u8>>,
    certificates: Vec<Certificate>,
    signatures: usize,
    key_id: Option<Vec<u8>>,
    drop_digest: bool,
}

fn info(imprint: &[u8], time: &[u8], rest: &[u8]) -> Vec<u8> {
    asn1::sequence(&[
        &asn1::unsigned(&[1]),
        &asn1::oid(&POLICY),
        imprint,
        &asn1::unsigned(&[9]),
        &asn1::wrap(0x18, &[time]),
        rest,
    ])
}

fn imprint(hash: HashAlgorithm) -> Vec<u8> {
    request::encode_imprint(&hash.digest(MESSAGE))
}

fn attribute(kind: &ObjectIdentifier, value: &[u8]) -> Vec<u8> {
    asn1::sequence(&[&asn1::oid(kind), &asn1::wrap(0x31, &[value])])
}

fn trusted(chain: &[Certificate]) -> TrustedChain {
    TrustedChain::new(chain.to_vec()).unwrap()
}

impl<'a> Token<'a> {
    fn new(signer: &'a Holder) -> Self {
        // 2027-01-15 08:00:00, which is `NOW`.
        Self::of(signer, info(&imprint(HashAlgorithm::Sha256), b"20270115080000Z", &[]))
    }

    fn of(signer: &'a Holder, info: Vec<u8>) -> Self {
        let digest = HashAlgorithm::Sha256.digest(&info).as_bytes().to_vec();
        Self {
            signer,
            status: 0,
            info,
            inner_type: oids::TST_INFO,
            signed_type: oids::TST_INFO,
            digest,
            extra_attributes: Vec::new(),
            certificates: Vec::new(),
            signatures: 1,
            key_id: None,
            drop_digest: false,
        }
    }

    fn der(&self) -> Vec<u8> {
        let hash = algorithm::hash(HashAlgorithm::Sha256);
        let mut attributes = vec![attribute(&oids::CONTENT_TYPE, &asn1::oid(&self.signed_type))];
        if !self.drop_digest {
            attributes.push(attribute(&oids::MESSAGE_DIGEST, &asn1::octet_string(&self.digest)));
        }
        attributes.extend(self.extra_attributes.iter().cloned());
        let certificate = &self.signer.certificate;
        let signature = self.signer.key.sign(&asn1::set_of(0x31, attributes.clone())).unwrap();
        let by_serial =
            asn1::sequence(&[certificate.issuer_name(), &asn1::wrap(0x02, &[certificate.serial()])]);
        let signer_info = asn1::sequence(&[
            &asn1::unsigned(&[1]),
            &self.key_id.as_ref().map_or(by_serial, |id| asn1::wrap(0x80, &[id])),
            &hash,
            &asn1::set_of(constructed(0), attributes),
            &algorithm::signature(self.signer.key.scheme()).unwrap(),
            &asn1::octet_string(&signature),
        ]);
        let certificates: Vec<u8> = self.certificates.iter().flat_map(|c| c.der().to_vec()).collect();
        let certificates =
            if certificates.is_empty() { certificates } else { asn1::wrap(constructed(0), &[&certificates]) };
        let content = asn1::wrap(constructed(0), &[&asn1::octet_string(&self.info)]);
        let signed = asn1::sequence(&[
            &asn1::unsigned(&[3]),
            &asn1::wrap(0x31, &[&hash]),
            &asn1::sequence(&[&asn1::oid(&self.inner_type), &content]),
            &certificates,
            &asn1::wrap(0x31, &[&signer_info.repeat(self.signatures)]),
        ]);
        let token =
            asn1::sequence(&[&asn1::oid(&oids::SIGNED_DATA), &asn1::wrap(constructed(0), &[&signed])]);
        asn1::sequence(&[&asn1::sequence(&[&asn1::unsigned(&[self.status])]), &token])
    }

    fn parse(&self) -> Result<TimeStampResp, ResponseError> {
        TimeStampResp::parse(&self.der())
    }

    fn verify(&self, chain: &[Certificate]) -> Result<VerifiedTimestamp, TimestampError> {
        verify(&self.parse().unwrap(), MESSAGE, &trusted(chain))
    }
}

#[test]
fn requests_survive_the_wire() {
    let plain = request();
    let full = request().with_nonce(&[0, 0, 0x80, 1]).with_certificate();
    assert_eq!(full.nonce.as_deref(), Some([0, 0x80, 1].as_slice()));
    for hash in HashAlgorithm::ALL {
        let other = TimeStampReq { policy: Some(POLICY), ..TimeStampReq::new(hash.digest(MESSAGE)) };
        for request in [&plain, &full, &other] {
            assert_eq!(TimeStampReq::parse(&request.encode()).as_ref(), Ok(request));
        }
    }
}

#[test]
fn requests_with_weak_or_wrong_digests_are_refused() {
    let with = |oid: &ObjectIdentifier, digest: &[u8]| {
        let algorithm = asn1::sequence(&[&asn1::oid(oid), &asn1::null()]);
        let imprint = asn1::sequence(&[&algorithm, &asn1::octet_string(digest)]);
        TimeStampReq::parse(&asn1::sequence(&[&asn1::unsigned(&[1]), &imprint]))
    };
    assert!(with(&oids::SHA_256, &[1; 32]).is_ok());
    assert_eq!(with(&oids::SHA_1, &[1; 20]), Err(RequestError::WeakHash(oids::SHA_1)));
    let unknown = ObjectIdentifier::new_unwrap("1.2.3");
    assert_eq!(with(&unknown, &[1; 32]), Err(RequestError::UnknownHash(unknown)));
    assert!(matches!(with(&oids::SHA_256, &[1; 31]), Err(RequestError::DigestLength(_))));
}

#[test]
fn an_answer_verifies_and_echoes_the_request() {
    let authority = authority();
    let asked = request().with_nonce(&[0x99; 16]);
    for (asked, embedded) in [(asked.clone(), 0), (asked.with_certificate(), 1)] {
        let der = answer(&authority, &asked).unwrap();
        let response = TimeStampResp::parse(&der).unwrap();
        assert_eq!(response.certificates().len(), embedded);
        assert_eq!(response.nonce(), asked.nonce.as_deref());
        assert_eq!((response.policy(), response.serial()), (&POLICY, [0, 0xfe, 7].as_slice()));
        let verified = verify(&response, MESSAGE, &trusted(&authority.chain)).unwrap();
        assert_eq!((verified.gen_time_unix(), verified.gen_time_unix_ms()), (NOW, NOW * 1000));
        assert_eq!(verified.signer(), &authority.tsa.certificate);
        assert_eq!(verified.path().anchor(), authority.chain.last().unwrap());
    }
}

/// RFC 3161 §2.4.2: the same value as in the request, and OpenSSL and Go write the parameters.
#[test]
fn the_imprint_is_echoed_as_it_was_written() {
    let authority = authority();
    let digest = HashAlgorithm::Sha256.digest(MESSAGE);
    let algorithm = asn1::sequence(&[&asn1::oid(&oids::SHA_256), &asn1::null()]);
    let with_null = asn1::sequence(&[&algorithm, &asn1::octet_string(digest.as_bytes())]);
    for imprint in [with_null, imprint(HashAlgorithm::Sha256)] {
        let asked = TimeStampReq::parse(&asn1::sequence(&[&asn1::unsigned(&[1]), &imprint])).unwrap();
        let response = TimeStampResp::parse(&answer(&authority, &asked).unwrap()).unwrap();
        assert!(response.content.windows(imprint.len()).any(|part| part == imprint), "{imprint:02x?}");
        assert!(verify(&response, MESSAGE, &trusted(&authority.chain)).is_ok());
    }
}

#[test]
fn an_authority_refuses_what_it_cannot_keep() {
    let authority = authority();
    let other = ObjectIdentifier::new_unwrap("1.2.3");
    let policy = TimeStampReq { policy: Some(other), ..request() };
    assert_eq!(answer(&authority, &policy), Err(RespondError::Policy(other)));
    let extension = TimeStampReq { extensions: vec![other], ..request() };
    assert_eq!(answer(&authority, &extension), Err(RespondError::Extension(other)));
    let tsa = TsaIdentity { signer: &authority.tsa.key, chain: &authority.chain };
    let late = NOW + 301;
    assert_eq!(respond(&request(), &tsa, late, &[1], &POLICY), Err(RespondError::Time(late)));
    let strange = TsaIdentity { signer: &authority.tsa.key, chain: &authority.chain[1..] };
    assert_eq!(respond(&request(), &strange, NOW, &[1], &POLICY), Err(RespondError::WrongKey));
}

#[test]
fn the_forged_token_is_good_until_it_is_bent() {
    let authority = authority();
    assert!(Token::new(&authority.tsa).verify(&authority.chain).is_ok());
    let granted_with_mods = Token { status: 1, ..Token::new(&authority.tsa) };
    assert!(granted_with_mods.verify(&authority.chain).is_ok());
}

#[test]
fn every_hash_and_fraction_of_a_second_is_read() {
    let authority = authority();
    for hash in HashAlgorithm::ALL {
        for (text, ms) in [("", 0), (".5", 500), (".123", 123), (".123456789", 123), (".009", 9)] {
            let time = alloc::format!("20270115080000{text}Z");
            let token = Token::of(&authority.tsa, info(&imprint(hash), time.as_bytes(), &[]));
            let verified = token.verify(&authority.chain).unwrap();
            assert_eq!(verified.gen_time_unix_ms(), NOW * 1000 + ms, "{time}");
        }
    }
    for time in ["20270115080000", "20270115080000.Z", "20270115080000.50Z", "20270115080000.5-Z", "2027Z"] {
        let token = Token::of(&authority.tsa, info(&imprint(HashAlgorithm::Sha256), time.as_bytes(), &[]));
        assert!(matches!(token.parse(), Err(ResponseError::Malformed(_))), "{time}");
    }
}

#[test]
fn another_message_is_refused() {
    let authority = authority();
    let response = Token::new(&authority.tsa).parse().unwrap();
    let error = verify(&response, b"another signature", &trusted(&authority.chain)).unwrap_err();
    assert!(matches!(error, TimestampError::Imprint { .. }), "{error}");
}

#[test]
fn refusals_and_other_messages_are_not_tokens() {
    let authority = authority();
    let token = || Token::new(&authority.tsa);
    let error = |token: Token<'_>| token.parse().unwrap_err();
    assert_eq!(error(Token { status: 2, ..token() }), ResponseError::NotGranted { status: 2 });
    let no_token = asn1::sequence(&[&asn1::sequence(&[&asn1::unsigned(&[0])])]);
    assert_eq!(TimeStampResp::parse(&no_token).unwrap_err(), ResponseError::NoToken);
    let found = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
    let expected = ResponseError::ContentType { expected: oids::TST_INFO, found };
    assert_eq!(error(Token { inner_type: found, ..token() }), expected);
    assert_eq!(error(Token { signatures: 0, ..token() }), ResponseError::Signatures(0));
    assert_eq!(error(Token { signatures: 2, ..token() }), ResponseError::Signatures(2));
    assert_eq!(error(Token { drop_digest: true, ..token() }), ResponseError::Attribute(oids::MESSAGE_DIGEST));
    let twice = vec![attribute(&oids::CONTENT_TYPE, &asn1::oid(&oids::TST_INFO))];
    let expected = ResponseError::Attribute(oids::CONTENT_TYPE);
    assert_eq!(error(Token { extra_attributes: twice, ..token() }), expected);
    let weak = asn1::sequence(&[&asn1::sequence(&[&asn1::oid(&oids::SHA_1)]), &asn1::octet_string(&[0; 20])]);
    let weak = Token::of(&authority.tsa, info(&weak, b"20270115080000Z", &[]));
    assert_eq!(error(weak), ResponseError::Imprint(RequestError::WeakHash(oids::SHA_1)));
    let critical = ObjectIdentifier::new_unwrap("1.2.3.4");
    let extension = asn1::sequence(&[&asn1::oid(&critical), &asn1::boolean_true(), &asn1::octet_string(&[])]);
    let extensions = asn1::wrap(constructed(1), &[&extension]);
    let token =
        Token::of(&authority.tsa, info(&imprint(HashAlgorithm::Sha256), b"20270115080000Z", &extensions));
    assert_eq!(error(token), ResponseError::UnknownCriticalExtension(critical));
}

#[test]
fn signed_attributes_must_speak_of_the_content() {
    let authority = authority();
    let other = ObjectIdentifier::new_unwrap("1.2.3");
    let wrong_type = Token { signed_type: other, ..Token::new(&authority.tsa) };
    assert_eq!(wrong_type.verify(&authority.chain).unwrap_err(), TimestampError::ContentType(other));
    let wrong_digest = Token { digest: vec![0; 32], ..Token::new(&authority.tsa) };
    assert_eq!(wrong_digest.verify(&authority.chain).unwrap_err(), TimestampError::MessageDigest);
}

#[test]
fn a_token_signed_by_another_key_is_refused() {
    let authority = authority();
    let impostor = Holder { key: crate::testing::key(), certificate: authority.tsa.certificate.clone() };
    let error = Token::new(&impostor).verify(&authority.chain).unwrap_err();
    assert!(matches!(error, TimestampError::Signature(_)), "{error}");
}

#[test]
fn an_authority_nobody_trusts_is_refused_with_or_without_its_certificate() {
    let (trusted, stranger) = (authority(), authority());
    let mut token = Token::new(&stranger.tsa);
    // Same names and serial number, another key.
    assert!(matches!(token.verify(&trusted.chain).unwrap_err(), TimestampError::Signature(_)));
    token.certificates = stranger.chain.clone();
    assert_eq!(token.verify(&trusted.chain).unwrap_err(), TimestampError::UntrustedSigner);
    // The root alone trusted: the path from the embedded certificate is what fails.
    let error = token.verify(&trusted.chain[2..]).unwrap_err();
    assert!(matches!(error, TimestampError::Chain(ChainError::Signature { .. })), "{error}");
    let mut other = Forge::leaf(&oids::TIME_STAMPING);
    other.serial = 77;
    let root = Forge::ca("root").self_signed();
    let other = other.signed_by(&root);
    assert_eq!(Token::new(&other).verify(&trusted.chain).unwrap_err(), TimestampError::UnknownSigner);
}

#[test]
fn an_embedded_signer_chains_to_a_trusted_ca_when_no_leaf_is_listed() {
    let authority = authority();
    let token = Token { certificates: authority.chain[..1].to_vec(), ..Token::new(&authority.tsa) };
    assert!(token.verify(&authority.chain[1..]).is_ok());
    // A second leaf of the same CA is not the authority that was listed.
    let root = Forge::ca("root").self_signed();
    let listed = Forge::leaf(&oids::TIME_STAMPING).signed_by(&root);
    let mut second = Forge::leaf(&oids::TIME_STAMPING);
    second.serial = 3;
    let second = second.signed_by(&root);
    let token = Token { certificates: vec![second.certificate.clone()], ..Token::new(&second) };
    let chain = [listed.certificate, root.certificate];
    assert_eq!(token.verify(&chain).unwrap_err(), TimestampError::UntrustedSigner);
}

#[test]
fn the_signer_may_be_named_by_its_key_identifier() {
    let root = Forge::ca("root").self_signed();
    let forge = Forge::leaf(&oids::TIME_STAMPING);
    let tsa = forge.with(oids::SUBJECT_KEY_ID, false, &asn1::octet_string(b"id")).signed_by(&root);
    let chain = [tsa.certificate.clone(), root.certificate];
    let named = |id: &[u8]| Token { key_id: Some(id.to_vec()), ..Token::new(&tsa) }.verify(&chain);
    assert!(named(b"id").is_ok());
    assert_eq!(named(b"other").unwrap_err(), TimestampError::UnknownSigner);
}

#[test]
fn the_certificate_identifier_must_be_the_signers() {
    let authority = authority();
    let v2 = |digest: &[u8], rest: &[u8]| {
        let id = asn1::sequence(&[&asn1::octet_string(digest), rest]);
        let value = asn1::sequence(&[&asn1::sequence(&[&id])]);
        let extra_attributes = vec![attribute(&oids::SIGNING_CERTIFICATE_V2, &value)];
        Token { extra_attributes, ..Token::new(&authority.tsa) }.verify(&authority.chain)
    };
    let own = HashAlgorithm::Sha256.digest(authority.tsa.certificate.der());
    assert!(v2(own.as_bytes(), &[]).is_ok());
    assert_eq!(v2(&[7; 32], &[]).unwrap_err(), TimestampError::CertificateId);
    let issuer = asn1::wrap(constructed(4), &[authority.tsa.certificate.issuer_name()]);
    let wrong = asn1::sequence(&[&asn1::sequence(&[&issuer]), &asn1::unsigned(&[99])]);
    assert_eq!(v2(own.as_bytes(), &wrong).unwrap_err(), TimestampError::CertificateId);
    // The old form: its SHA-1 says nothing, its issuer and serial number do.
    let v1 = |serial: u8| {
        let names = asn1::sequence(&[&asn1::sequence(&[&issuer]), &asn1::unsigned(&[serial])]);
        let id = asn1::sequence(&[&asn1::octet_string(&[0; 20]), &names]);
        let value = asn1::sequence(&[&asn1::sequence(&[&id])]);
        let extra_attributes = vec![attribute(&oids::SIGNING_CERTIFICATE, &value)];
        Token { extra_attributes, ..Token::new(&authority.tsa) }.verify(&authority.chain)
    };
    assert!(v1(2).is_ok());
    assert_eq!(v1(3).unwrap_err(), TimestampError::CertificateId);
}

#[test]
fn the_authority_is_judged_at_the_time_stated() {
    let authority = authority();
    let at = |time: &[u8]| {
        let token = Token::of(&authority.tsa, info(&imprint(HashAlgorithm::Sha256), time, &[]));
        token.verify(&authority.chain)
    };
    assert!(at(b"20270115080500Z").is_ok());
    let error = at(b"20270115080501Z").unwrap_err();
    assert!(matches!(error, TimestampError::Chain(ChainError::Expired { .. })), "{error}");
    let error = at(b"20270115075459Z").unwrap_err();
    assert!(matches!(error, TimestampError::Chain(ChainError::NotYetValid { .. })), "{error}");
    // A certificate for signing code is no authority.
    let root = Forge::ca("root").self_signed();
    let signer = Forge::leaf(&oids::CODE_SIGNING).signed_by(&root);
    let error = Token::new(&signer).verify(&[signer.certificate.clone(), root.certificate]).unwrap_err();
    assert!(matches!(error, TimestampError::Chain(ChainError::Purpose { .. })), "{error}");
}
