//! Certificates no honest authority issues, for tests of the rules that refuse them.

use crate::{
    Certificate, ObjectIdentifier, algorithm,
    asn1::{self, constructed},
    certificate::tbs_with,
    extension, name, oids,
};
use alloc::vec::Vec;
use sealog_crypto::{KeyKind, PrivateKey, Signer};

/// The time the tests play at.
pub(crate) const NOW: i64 = 1_800_000_000;
const DAY: i64 = 86_400;

/// A key and the certificate for it.
pub(crate) struct Holder {
    pub(crate) key: PrivateKey,
    pub(crate) certificate: Certificate,
}

/// A certificate to be made, every field free.
#[derive(Clone)]
pub(crate) struct Forge {
    pub(crate) subject: Vec<u8>,
    pub(crate) serial: u8,
    pub(crate) validity: (i64, i64),
    pub(crate) extensions: Vec<(ObjectIdentifier, bool, Vec<u8>)>,
}

pub(crate) fn key() -> PrivateKey {
    PrivateKey::generate(KeyKind::EcdsaP256).unwrap()
}

impl Forge {
    /// A CA without purposes or length limit.
    pub(crate) fn ca(common_name: &str) -> Self {
        Self {
            subject: name::encode("", common_name),
            serial: 1,
            validity: (NOW - 100 * DAY, NOW + 100 * DAY),
            extensions: Vec::new(),
        }
        .with(oids::KEY_USAGE, true, &[3, 2, 1, 6])
        .with(oids::BASIC_CONSTRAINTS, true, &asn1::sequence(&[&asn1::boolean_true()]))
    }

    /// A leaf for one purpose, valid for ten minutes around [`NOW`].
    pub(crate) fn leaf(purpose: &ObjectIdentifier) -> Self {
        Self {
            subject: asn1::sequence(&[]),
            serial: 2,
            validity: (NOW - 300, NOW + 300),
            extensions: Vec::new(),
        }
        .with(oids::KEY_USAGE, true, &[3, 2, 7, 0x80])
        .purposes(&[*purpose], *purpose == oids::TIME_STAMPING)
        .with(
            oids::SUBJECT_ALT_NAME,
            true,
            &asn1::sequence(&[&asn1::wrap(0x81, &[b"a@example.com"])]),
        )
    }

    /// Adds an extension, or puts it in the place of one of its kind.
    pub(crate) fn with(mut self, oid: ObjectIdentifier, critical: bool, value: &[u8]) -> Self {
        self = self.without(oid);
        self.extensions.push((oid, critical, value.to_vec()));
        self
    }

    pub(crate) fn without(mut self, oid: ObjectIdentifier) -> Self {
        self.extensions.retain(|(found, _, _)| *found != oid);
        self
    }

    pub(crate) fn purposes(self, purposes: &[ObjectIdentifier], critical: bool) -> Self {
        let list: Vec<u8> = purposes.iter().flat_map(asn1::oid).collect();
        self.with(oids::EXT_KEY_USAGE, critical, &asn1::sequence(&[&list]))
    }

    pub(crate) fn path_len(self, length: u8) -> Self {
        let value = asn1::sequence(&[&asn1::boolean_true(), &asn1::unsigned(&[length])]);
        self.with(oids::BASIC_CONSTRAINTS, true, &value)
    }

    /// Permitted and excluded subtrees, each an identifier octet and a base.
    pub(crate) fn names(self, permitted: &[(u8, &str)], excluded: &[(u8, &str)]) -> Self {
        let list = |tag, subtrees: &[(u8, &str)]| {
            let subtrees: Vec<u8> = subtrees
                .iter()
                .flat_map(|(form, base)| asn1::sequence(&[&asn1::wrap(*form, &[base.as_bytes()])]))
                .collect();
            if subtrees.is_empty() { subtrees } else { asn1::wrap(tag, &[&subtrees]) }
        };
        let value = asn1::sequence(&[&list(constructed(0), permitted), &list(constructed(1), excluded)]);
        self.with(oids::NAME_CONSTRAINTS, true, &value)
    }

    pub(crate) fn san(self, form: u8, name: &str) -> Self {
        let value = asn1::sequence(&[&asn1::wrap(form, &[name.as_bytes()])]);
        self.with(oids::SUBJECT_ALT_NAME, true, &value)
    }

    pub(crate) fn valid(mut self, not_before: i64, not_after: i64) -> Self {
        self.validity = (not_before, not_after);
        self
    }

    pub(crate) fn der(&self, key: &PrivateKey, issuer: &[u8], signer: &PrivateKey) -> Vec<u8> {
        let algorithm = algorithm::signature(signer.scheme()).unwrap();
        let validity = [asn1::time(self.validity.0).unwrap(), asn1::time(self.validity.1).unwrap()].concat();
        let head = [
            &asn1::wrap(constructed(0), &[&asn1::unsigned(&[2])]),
            &asn1::unsigned(&[self.serial]),
            &algorithm,
            issuer,
            &asn1::sequence(&[&validity]),
            &self.subject,
            key.public_key().spki_der(),
        ]
        .concat();
        let extensions: Vec<u8> = self
            .extensions
            .iter()
            .flat_map(|(oid, critical, value)| extension::encode(oid.as_bytes(), *critical, value))
            .collect();
        let tbs = tbs_with(&head, &extensions);
        let signature = signer.sign(&tbs).unwrap();
        asn1::sequence(&[&tbs, &algorithm, &asn1::bit_string(&signature)])
    }

    pub(crate) fn self_signed(&self) -> Holder {
        let key = key();
        let certificate = Certificate::from_der(&self.der(&key, &self.subject, &key)).unwrap();
        Holder { key, certificate }
    }

    pub(crate) fn signed_by(&self, issuer: &Holder) -> Holder {
        let key = key();
        let certificate = self.for_key(&key, issuer);
        Holder { key, certificate }
    }

    pub(crate) fn for_key(&self, key: &PrivateKey, issuer: &Holder) -> Certificate {
        let der = self.der(key, issuer.certificate.subject_name(), &issuer.key);
        Certificate::from_der(&der).unwrap()
    }
}
