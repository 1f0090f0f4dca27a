//! Certificates to be made, every field free: by whom, for whom, when, with which extensions.

use crate::{DAY, Holder, NOW, authority::signature_algorithm, der, seed};
use sealog_crypto::{PublicKey, Signer, sha256};
use sealog_pki::{Certificate, ExtensionValues, FulcioExtension, ObjectIdentifier, San};
use sealog_tlog::ct::{CtEntry, Sct, SctList};

/// Identifiers of extensions and purposes.
pub mod oids {
    use sealog_pki::ObjectIdentifier;

    /// keyUsage.
    pub const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
    /// basicConstraints.
    pub const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
    /// nameConstraints.
    pub const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
    /// extKeyUsage.
    pub const EXT_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
    /// subjectAltName.
    pub const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
    /// subjectKeyIdentifier.
    pub const SUBJECT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
    /// authorityKeyIdentifier.
    pub const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
    /// policyConstraints, which nobody here understands.
    pub const POLICY_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.36");
    /// The poison of precertificates (RFC 6962 §3.1).
    pub const CT_POISON: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.3");
    /// Embedded SCTs (RFC 6962 §3.3).
    pub const CT_SCTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");
    /// The purpose of signing precertificates for an issuer (RFC 6962 §3.1).
    pub const CT_PRECERT_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.4");
    /// The purpose of signing code.
    pub const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
    /// The purpose of signing timestamps.
    pub const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");
    /// The purpose of being a web server.
    pub const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
    /// Any purpose.
    pub const ANY_PURPOSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");
}

/// keyUsage with digitalSignature.
const USAGE_SIGNATURE: [u8; 4] = [3, 2, 7, 0x80];
/// keyUsage with keyCertSign and cRLSign.
const USAGE_CERT_SIGN: [u8; 4] = [3, 2, 1, 6];

/// A certificate to be made.
#[derive(Clone, Debug)]
pub struct Template {
    /// The subject's name in DER.
    pub subject: Vec<u8>,
    /// The issuer's name in DER, when it should be another than the issuer's.
    pub issuer: Option<Vec<u8>>,
    /// The serial number, another for each template that is made.
    pub serial: [u8; 20],
    /// First second of validity.
    pub not_before: i64,
    /// Last second of validity.
    pub not_after: i64,
    /// Identifier, whether critical, and the value.
    pub extensions: Vec<(ObjectIdentifier, bool, Vec<u8>)>,
}

impl Template {
    fn new(subject: Vec<u8>, not_before: i64, not_after: i64) -> Self {
        Self { subject, issuer: None, serial: seed::serial(), not_before, not_after, extensions: Vec::new() }
    }

    /// A CA: no purposes, no limits.
    #[must_use]
    pub fn ca(common_name: &str) -> Self {
        Self::new(der::name(common_name), NOW - 100 * DAY, NOW + 1000 * DAY)
            .with(oids::KEY_USAGE, true, &USAGE_CERT_SIGN)
            .with(oids::BASIC_CONSTRAINTS, true, &der::sequence(&[&der::yes()]))
    }

    /// A CA below which only leaves of this purpose may stand.
    #[must_use]
    pub fn intermediate(common_name: &str, below: ObjectIdentifier) -> Self {
        Self::ca(common_name).path_len(0).purposes(&[below], false)
    }

    /// A signer's certificate, valid for ten minutes.
    #[must_use]
    pub fn signer(san: &San, oidc_issuer: &str, not_before: i64) -> Self {
        let mut values = ExtensionValues::new();
        values.set_oidc_issuer(oidc_issuer);
        let mut template = Self::new(der::sequence(&[]), not_before, not_before + 600)
            .with(oids::KEY_USAGE, true, &USAGE_SIGNATURE)
            .purposes(&[oids::CODE_SIGNING], false)
            .names(std::slice::from_ref(san));
        for (row, text) in values.iter() {
            template = template.fulcio(row, text);
        }
        template
    }

    /// A timestamp authority's own certificate.
    #[must_use]
    pub fn tsa(common_name: &str) -> Self {
        Self::new(der::name(common_name), NOW - 100 * DAY, NOW + 1000 * DAY)
            .with(oids::KEY_USAGE, true, &USAGE_SIGNATURE)
            .purposes(&[oids::TIME_STAMPING], true)
    }

    /// Adds an extension, or puts it in the place of one of its kind.
    #[must_use]
    pub fn with(mut self, oid: ObjectIdentifier, critical: bool, value: &[u8]) -> Self {
        self = self.without(oid);
        self.extensions.push((oid, critical, value.to_vec()));
        self
    }

    /// Takes an extension away.
    #[must_use]
    pub fn without(mut self, oid: ObjectIdentifier) -> Self {
        self.extensions.retain(|(found, ..)| *found != oid);
        self
    }

    /// Sets a Fulcio extension.
    #[must_use]
    pub fn fulcio(self, row: &FulcioExtension, text: &str) -> Self {
        let oid = ObjectIdentifier::new_unwrap(&row.dotted());
        self.with(oid, false, &row.encode(text))
    }

    /// Valid from this second on.
    #[must_use]
    pub fn from(mut self, not_before: i64) -> Self {
        self.not_before = not_before;
        self
    }

    /// Valid until this second, which belongs to it.
    #[must_use]
    pub fn until(mut self, not_after: i64) -> Self {
        self.not_after = not_after;
        self
    }

    /// Says another issuer's name than that of who signs it.
    #[must_use]
    pub fn issued_under(mut self, common_name: &str) -> Self {
        self.issuer = Some(der::name(common_name));
        self
    }

    /// For these purposes.
    #[must_use]
    pub fn purposes(self, purposes: &[ObjectIdentifier], critical: bool) -> Self {
        let list: Vec<u8> = purposes.iter().flat_map(der::oid).collect();
        self.with(oids::EXT_KEY_USAGE, critical, &der::sequence(&[&list]))
    }

    /// With the key usage of a CA.
    #[must_use]
    pub fn usage_of_a_ca(self) -> Self {
        self.with(oids::KEY_USAGE, true, &USAGE_CERT_SIGN)
    }

    /// With the key usage of a signer.
    #[must_use]
    pub fn usage_of_a_signer(self) -> Self {
        self.with(oids::KEY_USAGE, true, &USAGE_SIGNATURE)
    }

    /// Lets this many CAs stand below.
    #[must_use]
    pub fn path_len(self, length: u8) -> Self {
        let value = der::sequence(&[&der::yes(), &der::integer(&[length])]);
        self.with(oids::BASIC_CONSTRAINTS, true, &value)
    }

    /// For these names.
    #[must_use]
    pub fn names(self, names: &[San]) -> Self {
        let names: Vec<u8> = names.iter().flat_map(general_name).collect();
        self.with(oids::SUBJECT_ALT_NAME, true, &der::sequence(&[&names]))
    }

    /// Lets only these names stand below, and none of those. A base is a host, `.domain`, or a mailbox.
    #[must_use]
    pub fn name_constraints(self, permitted: &[San], excluded: &[San]) -> Self {
        let list = |tag: u8, names: &[San]| {
            let trees: Vec<u8> =
                names.iter().flat_map(|name| der::sequence(&[&general_name(name)])).collect();
            if trees.is_empty() { trees } else { der::element(tag, &[&trees]) }
        };
        let value = der::sequence(&[&list(0xa0, permitted), &list(0xa1, excluded)]);
        self.with(oids::NAME_CONSTRAINTS, true, &value)
    }

    /// A certificate of this key, by itself.
    #[must_use]
    pub fn self_signed(&self, key: &dyn Signer) -> Certificate {
        let head = self.head(key.public_key(), &self.subject, key);
        sign(&self.tbs(&head, key.public_key(), key.public_key(), &[]), key)
    }

    /// A certificate of this key, by this authority.
    #[must_use]
    pub fn issued(&self, key: &PublicKey, by: &Holder) -> Certificate {
        self.issued_with(key, by, &[])
    }

    fn issued_with(&self, key: &PublicKey, by: &Holder, more: &[u8]) -> Certificate {
        sign(&self.tbs_by(key, by, more), by.key.as_ref())
    }

    fn tbs_by(&self, key: &PublicKey, by: &Holder, more: &[u8]) -> Vec<u8> {
        let head = self.head(key, by.certificate.subject_name(), by.key.as_ref());
        self.tbs(&head, key, by.key.public_key(), more)
    }

    /// The fields before the extensions.
    fn head(&self, key: &PublicKey, issuer: &[u8], signer: &dyn Signer) -> Vec<u8> {
        let algorithm = signature_algorithm(signer.scheme());
        let validity = der::sequence(&[&der::utc_time(self.not_before), &der::utc_time(self.not_after)]);
        let issuer = self.issuer.as_deref().unwrap_or(issuer);
        let version_3 = der::explicit(0, &der::integer(&[2]));
        let serial = der::integer(&self.serial);
        [&version_3, &serial, &algorithm, issuer, &validity, &self.subject, key.spki_der()].concat()
    }

    fn tbs(&self, head: &[u8], key: &PublicKey, issuer_key: &PublicKey, more: &[u8]) -> Vec<u8> {
        let mut extensions = Vec::new();
        let key_ids = [
            (oids::SUBJECT_KEY_ID, der::octet_string(&key_id(key))),
            (oids::AUTHORITY_KEY_ID, der::sequence(&[&der::element(0x80, &[&key_id(issuer_key)])])),
        ];
        for (oid, critical, value) in &self.extensions {
            extensions.extend(extension(oid, *critical, value));
        }
        for (oid, value) in &key_ids {
            if self.extensions.iter().all(|(found, ..)| found != oid) {
                extensions.extend(extension(oid, false, value));
            }
        }
        extensions.extend_from_slice(more);
        let extensions = der::explicit(3, &der::sequence(&[&extensions]));
        der::sequence(&[head, &extensions])
    }
}

/// A signer's certificate before any log was asked about it.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What it will say.
    pub template: Template,
    /// Whose key it will be for.
    pub public_key: PublicKey,
}

impl Draft {
    /// What a certificate log signs about it.
    #[must_use]
    pub fn ct_entry(&self, by: &Holder) -> CtEntry {
        CtEntry::Precert {
            issuer_key_hash: sha256(by.key.public_key().spki_der()),
            tbs: self.template.tbs_by(&self.public_key, by, &[]),
            precert: Vec::new(),
        }
    }

    /// The poisoned form of it.
    #[must_use]
    pub fn precertificate(&self, by: &Holder) -> Certificate {
        let poison = extension(&oids::CT_POISON, true, &der::element(5, &[]));
        self.template.issued_with(&self.public_key, by, &poison)
    }

    /// The certificate with these SCTs in it, or without any such extension.
    #[must_use]
    pub fn certificate(&self, by: &Holder, scts: Vec<Sct>) -> Certificate {
        let list = match scts.is_empty() {
            true => Vec::new(),
            false => {
                let list = der::octet_string(&SctList(scts).encode().unwrap());
                extension(&oids::CT_SCTS, false, &list)
            }
        };
        self.template.issued_with(&self.public_key, by, &list)
    }
}

fn extension(oid: &ObjectIdentifier, critical: bool, value: &[u8]) -> Vec<u8> {
    let flag = if critical { der::yes() } else { Vec::new() };
    der::sequence(&[&der::oid(oid), &flag, &der::octet_string(value)])
}

fn sign(tbs: &[u8], key: &dyn Signer) -> Certificate {
    let signature = der::bit_string(&key.sign(tbs).unwrap());
    Certificate::from_der(&der::sequence(&[tbs, &signature_algorithm(key.scheme()), &signature])).unwrap()
}

/// RFC 7093 §2, method 1.
fn key_id(key: &PublicKey) -> Vec<u8> {
    sha256(key.key_bits())[..20].to_vec()
}

fn general_name(name: &San) -> Vec<u8> {
    let text = |tag: u8, text: &str| der::element(tag, &[text.as_bytes()]);
    match name {
        San::Email(mailbox) => text(0x81, mailbox),
        San::Dns(host) => text(0x82, host),
        San::Uri(uri) => text(0x86, uri),
        San::OtherName(user) => {
            // No extension, but the one type of name that stands under the same arc.
            let arc = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1").push_arc(7).unwrap();
            der::element(0xa0, &[&der::oid(&arc), &der::explicit(0, &text(0x0c, user))])
        }
        San::Unread(tag) => der::element(*tag, &[b"unread"]),
    }
}

/// A serial number for timestamps.
pub(crate) fn token_serial() -> Vec<u8> {
    der::integer(&seed::serial())
}
