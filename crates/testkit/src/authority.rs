//! Certificate and timestamp authorities: a row of keys and certificates, of which each can be changed.

use crate::{Template, Token, der, oids, seed, usual_window};
use sealog_bundle::{CertificateAuthority, ValidFor};
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, Scheme, Signer as _};
use sealog_pki::{Certificate, ObjectIdentifier};
use std::sync::Arc;

/// A key and its certificate.
#[derive(Clone)]
pub struct Holder {
    /// The key.
    pub key: Arc<PrivateKey>,
    /// The certificate.
    pub certificate: Certificate,
}

/// An authority: certificates from the one that signs up to the root.
///
/// Place 0 is who signs: the issuer of people's certificates, or the timestamp authority itself.
#[derive(Clone)]
pub struct Authority {
    /// Where it is.
    pub uri: String,
    /// When it is trusted.
    pub valid_for: ValidFor,
    keys: Vec<Arc<PrivateKey>>,
    templates: Vec<Template>,
    path: Vec<Holder>,
}

impl Authority {
    /// A certificate authority of an intermediate and a root; the label makes the keys, and not the names.
    #[must_use]
    pub fn ca(label: &str) -> Self {
        let intermediate = Template::intermediate("test intermediate", oids::CODE_SIGNING);
        Self::new("https://ca.example", label, vec![intermediate, Template::ca("test root")])
    }

    /// A timestamp authority of its own certificate, an intermediate and a root; likewise.
    #[must_use]
    pub fn tsa(label: &str) -> Self {
        let templates = vec![
            Template::tsa("test tsa"),
            Template::intermediate("test tsa intermediate", oids::TIME_STAMPING),
            Template::ca("test tsa root"),
        ];
        Self::new("https://tsa.example", label, templates)
    }

    /// An authority of these certificates, the root last.
    #[must_use]
    pub fn new(uri: &str, label: &str, templates: Vec<Template>) -> Self {
        let name = |place: usize| format!("{label} {uri} {place}");
        let keys = (0..templates.len()).map(|place| seed::key(&name(place), KeyKind::EcdsaP256)).collect();
        let mut authority =
            Self { uri: uri.into(), valid_for: usual_window(), keys, templates, path: Vec::new() };
        authority.issue();
        authority
    }

    /// Changes the certificate at a place, and issues it and all others anew with the keys they had.
    pub fn change(&mut self, place: usize, change: impl FnOnce(Template) -> Template) {
        self.templates[place] = change(self.templates[place].clone());
        self.issue();
    }

    /// Gives another key to a place, and issues all certificates anew.
    pub fn change_key(&mut self, place: usize, label: &str, kind: KeyKind) {
        self.keys[place] = seed::key(label, kind);
        self.issue();
    }

    /// Puts one more certificate between a place and the one above it.
    pub fn insert_above(&mut self, place: usize, template: Template) {
        let label = format!("{} inserted {}", self.uri, self.keys.len());
        self.keys.insert(place + 1, seed::key(&label, KeyKind::EcdsaP256));
        self.templates.insert(place + 1, template);
        self.issue();
    }

    /// Puts one more certificate below all others: it is who signs from now on.
    pub fn insert_below(&mut self, template: Template) {
        let label = format!("{} below {}", self.uri, self.keys.len());
        self.keys.insert(0, seed::key(&label, KeyKind::EcdsaP256));
        self.templates.insert(0, template);
        self.issue();
    }

    fn issue(&mut self) {
        let mut path: Vec<Holder> = Vec::new();
        for (template, key) in self.templates.iter().zip(&self.keys).rev() {
            let certificate = match path.first() {
                Some(above) => template.issued(key.public_key(), above),
                None => template.self_signed(key.as_ref()),
            };
            path.insert(0, Holder { key: key.clone(), certificate });
        }
        self.path = path;
    }

    /// Key and certificate of a place.
    #[must_use]
    pub fn at(&self, place: usize) -> &Holder {
        &self.path[place]
    }

    /// Who signs.
    #[must_use]
    pub fn signer(&self) -> &Holder {
        self.at(0)
    }

    /// Every certificate, who signs first.
    #[must_use]
    pub fn certificates(&self) -> Vec<Certificate> {
        self.path.iter().map(|holder| holder.certificate.clone()).collect()
    }

    /// As the trusted root has it.
    #[must_use]
    pub fn listed(&self) -> CertificateAuthority {
        self.listed_from(0)
    }

    /// As a trusted root has it that lists the certificates from a place on only.
    #[must_use]
    pub fn listed_from(&self, place: usize) -> CertificateAuthority {
        CertificateAuthority {
            organization: String::new(),
            common_name: String::new(),
            uri: self.uri.clone(),
            cert_chain: self.path[place..].iter().map(|holder| holder.certificate.der().to_vec()).collect(),
            valid_for: self.valid_for,
            operator: String::new(),
        }
    }

    /// A timestamp over a signature, with the authority's certificate in it.
    #[must_use]
    pub fn stamp(&self, signature: &[u8], at: i64) -> Vec<u8> {
        Token::new(at).over(signature, self.signer())
    }
}

/// AlgorithmIdentifier of a signature.
pub(crate) fn signature_algorithm(scheme: Scheme) -> Vec<u8> {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    let (oid, null) = match scheme {
        Scheme::Ecdsa(Sha256) => ("1.2.840.10045.4.3.2", false),
        Scheme::Ecdsa(Sha384) => ("1.2.840.10045.4.3.3", false),
        Scheme::Ecdsa(Sha512) => ("1.2.840.10045.4.3.4", false),
        Scheme::RsaPkcs1(Sha256) => ("1.2.840.113549.1.1.11", true),
        Scheme::Ed25519 => ("1.3.101.112", false),
        Scheme::MlDsa44 => ("2.16.840.1.101.3.4.3.17", false),
        Scheme::MlDsa65 => ("2.16.840.1.101.3.4.3.18", false),
        Scheme::MlDsa87 => ("2.16.840.1.101.3.4.3.19", false),
        other => panic!("no certificate is signed with {other}"),
    };
    let parameters = if null { der::element(5, &[]) } else { Vec::new() };
    der::sequence(&[&der::oid(&ObjectIdentifier::new_unwrap(oid)), &parameters])
}
