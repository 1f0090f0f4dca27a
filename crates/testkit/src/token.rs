//! Timestamp tokens (RFC 3161 §2.4.2 in RFC 5652), every field free.

use crate::{Holder, authority::signature_algorithm, der, template::token_serial};
use sealog_crypto::{HashAlgorithm, Signer as _, sha256};
use sealog_pki::{Certificate, ObjectIdentifier};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");
const POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.3.4");

/// A token to be made.
#[derive(Clone, Debug)]
pub struct Token {
    at: i64,
    fraction: String,
    imprint: HashAlgorithm,
    embedded: bool,
    others: Vec<Certificate>,
    nonce: Option<u8>,
}

impl Token {
    /// A token of this time, with the signer's certificate in it.
    #[must_use]
    pub const fn new(at: i64) -> Self {
        let imprint = HashAlgorithm::Sha256;
        Self { at, fraction: String::new(), imprint, embedded: true, others: Vec::new(), nonce: None }
    }

    /// With a fraction of a second, as digits.
    #[must_use]
    pub fn fraction(mut self, digits: &str) -> Self {
        self.fraction = digits.into();
        self
    }

    /// With the imprint by this hash.
    #[must_use]
    pub const fn imprint(mut self, algorithm: HashAlgorithm) -> Self {
        self.imprint = algorithm;
        self
    }

    /// Without the signer's certificate.
    #[must_use]
    pub const fn bare(mut self) -> Self {
        self.embedded = false;
        self
    }

    /// With further certificates.
    #[must_use]
    pub fn with(mut self, certificates: &[Certificate]) -> Self {
        self.others.extend_from_slice(certificates);
        self
    }

    /// With a nonce.
    #[must_use]
    pub const fn nonce(mut self, nonce: u8) -> Self {
        self.nonce = Some(nonce);
        self
    }

    /// The response that carries the token, over these bytes and by this authority.
    #[must_use]
    pub fn over(&self, message: &[u8], by: &Holder) -> Vec<u8> {
        let info = self.info(message);
        let hash = by.key.scheme().prehash().unwrap_or(HashAlgorithm::Sha512);
        let attributes = attributes(&info, hash, &by.certificate);
        let signature = by.key.sign(&der::set_of(0x31, attributes.clone())).unwrap();
        let serial = der::integer(by.certificate.serial());
        let signer_info = der::sequence(&[
            &der::integer(&[1]),
            &der::sequence(&[by.certificate.issuer_name(), &serial]),
            &hash_algorithm(hash),
            &der::set_of(0xa0, attributes),
            &signature_algorithm(by.key.scheme()),
            &der::octet_string(&signature),
        ]);
        let own = self.embedded.then_some(&by.certificate);
        let certificates: Vec<_> = own.into_iter().chain(&self.others).map(|c| c.der().to_vec()).collect();
        let certificates = if certificates.is_empty() { Vec::new() } else { der::set_of(0xa0, certificates) };
        let signed_data = der::sequence(&[
            &der::integer(&[3]),
            &der::element(0x31, &[&hash_algorithm(hash)]),
            &der::sequence(&[&der::oid(&TST_INFO), &der::explicit(0, &der::octet_string(&info))]),
            &certificates,
            &der::element(0x31, &[&signer_info]),
        ]);
        let token = der::sequence(&[&der::oid(&SIGNED_DATA), &der::explicit(0, &signed_data)]);
        der::sequence(&[&der::sequence(&[&der::integer(&[0])]), &token])
    }

    fn info(&self, message: &[u8]) -> Vec<u8> {
        let digest = self.imprint.digest(message);
        der::sequence(&[
            &der::integer(&[1]),
            &der::oid(&POLICY),
            &der::sequence(&[&hash_algorithm(self.imprint), &der::octet_string(digest.as_bytes())]),
            &token_serial(),
            &der::generalized_time(self.at, &self.fraction),
            &self.nonce.map_or_else(Vec::new, |nonce| der::integer(&[nonce])),
        ])
    }
}

fn attributes(info: &[u8], hash: HashAlgorithm, certificate: &Certificate) -> Vec<Vec<u8>> {
    let attribute = |kind, value: &[u8]| der::sequence(&[&der::oid(&kind), &der::element(0x31, &[value])]);
    let certificate_id = der::sequence(&[&der::octet_string(&sha256(certificate.der()))]);
    vec![
        attribute(CONTENT_TYPE, &der::oid(&TST_INFO)),
        attribute(MESSAGE_DIGEST, &der::octet_string(hash.digest(info).as_bytes())),
        attribute(SIGNING_CERTIFICATE_V2, &der::sequence(&[&der::sequence(&[&certificate_id])])),
    ]
}

fn hash_algorithm(algorithm: HashAlgorithm) -> Vec<u8> {
    let oid = match algorithm {
        HashAlgorithm::Sha256 => "2.16.840.1.101.3.4.2.1",
        HashAlgorithm::Sha384 => "2.16.840.1.101.3.4.2.2",
        HashAlgorithm::Sha512 => "2.16.840.1.101.3.4.2.3",
    };
    der::sequence(&[&der::oid(&ObjectIdentifier::new_unwrap(oid))])
}
