//! The trusted root: the keys and certificates of the services whose word counts
//! (`dev.sigstore.trustroot.v1.TrustedRoot`).
//!
//! Keys and certificates are kept as bytes: one that cannot be parsed must not make the others
//! worthless, so `verify` parses the ones it needs.

use crate::{
    json::{Fields, JsonError, JsonFault, Unknown, Value, object},
    key_details::{self, KeyDetails},
    time::UnixTime,
};
use alloc::{string::String, vec::Vec};
use sealog_crypto::HashAlgorithm;

/// The media type written: the one every verifier in use accepts, though later ones are specified.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";
/// The media types read.
const MEDIA_TYPES: [&str; 3] = [
    MEDIA_TYPE,
    "application/vnd.dev.sigstore.trustedroot.v0.1+json",
    "application/vnd.dev.sigstore.trustedroot.v0.2+json",
];

/// Bytes in a trusted root.
pub const MAX_TRUSTED_ROOT_BYTES: usize = 4 << 20;
/// Instances of one service.
pub const MAX_INSTANCES: usize = 256;
/// Certificates in one authority's chain.
pub const MAX_CHAIN: usize = 16;

/// A trusted root.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TrustedRoot {
    /// Transparency logs for signatures, oldest first.
    pub tlogs: Vec<TransparencyLog>,
    /// Certificate authorities for signers.
    pub certificate_authorities: Vec<CertificateAuthority>,
    /// Certificate transparency logs.
    pub ctlogs: Vec<TransparencyLog>,
    /// Timestamp authorities.
    pub timestamp_authorities: Vec<CertificateAuthority>,
}

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransparencyLog {
    /// Where it is; its host is the name on checkpoints of Rekor v2.
    pub base_url: String,
    /// The tree's hash.
    pub hash_algorithm: HashAlgorithm,
    /// Its key: SubjectPublicKeyInfo in DER, for one old algorithm a bare PKCS#1 key.
    pub public_key: Vec<u8>,
    /// How it signs.
    pub key_details: KeyDetails,
    /// When its signatures count.
    pub valid_for: ValidFor,
    /// Its id as entries and SCTs name it.
    pub log_id: Vec<u8>,
    /// Its id as checkpoints name it, when given.
    pub checkpoint_key_id: Vec<u8>,
    /// Who runs it, when given.
    pub operator: String,
}

/// A certificate or timestamp authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateAuthority {
    /// Organization of the subject.
    pub organization: String,
    /// Common name of the subject.
    pub common_name: String,
    /// Where it is.
    pub uri: String,
    /// Certificates in DER, the trust anchor last; a timestamp authority's own certificate first.
    pub cert_chain: Vec<Vec<u8>>,
    /// When what it issues counts.
    pub valid_for: ValidFor,
    /// Who runs it, when given.
    pub operator: String,
}

/// A period; both ends belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidFor {
    /// Its first moment.
    pub start: UnixTime,
    /// Its last moment, if it has one.
    pub end: Option<UnixTime>,
}

impl ValidFor {
    /// From a moment on.
    #[must_use]
    pub const fn from(start: UnixTime) -> Self {
        Self { start, end: None }
    }

    /// Whether a moment is within.
    #[must_use]
    pub fn contains(&self, time: UnixTime) -> bool {
        self.start <= time && self.end.is_none_or(|end| time <= end)
    }

    pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        // A period without a start is a mistake in the file, never "always".
        let start = fields.time("start")?.ok_or_else(|| JsonError::here(JsonFault::Missing).at("start"))?;
        Ok(Self { start, end: fields.time("end")? })
    }

    pub(crate) fn to_value(self) -> Value<'static> {
        let text = |time: UnixTime| Value::text(alloc::format!("{time}"));
        object([("start", Some(text(self.start))), ("end", self.end.map(text))])
    }
}

impl TrustedRoot {
    /// Reads a trusted root. Unknown and repeated fields are refused.
    ///
    /// # Errors
    /// When it is not one, or some period has no start.
    pub fn parse(document: &[u8]) -> Result<Self, JsonError> {
        Fields::document(document, MAX_TRUSTED_ROOT_BYTES, Unknown::Refuse, Self::read)
    }

    pub(crate) fn read(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        let media_type = fields.required_text("mediaType")?;
        if !MEDIA_TYPES.contains(&media_type.as_str()) {
            return Err(JsonError::here(JsonFault::UnknownName(media_type)).at("mediaType"));
        }
        Ok(Self {
            tlogs: known(fields.messages("tlogs", MAX_INSTANCES, TransparencyLog::read)?),
            certificate_authorities: fields.messages(
                "certificateAuthorities",
                MAX_INSTANCES,
                CertificateAuthority::read,
            )?,
            ctlogs: known(fields.messages("ctlogs", MAX_INSTANCES, TransparencyLog::read)?),
            timestamp_authorities: fields.messages(
                "timestampAuthorities",
                MAX_INSTANCES,
                CertificateAuthority::read,
            )?,
        })
    }

    /// The document, indented.
    #[must_use]
    pub fn to_json(&self) -> String {
        self.to_value().to_pretty()
    }

    pub(crate) fn to_value(&self) -> Value<'_> {
        let logs = |logs: &[TransparencyLog]| -> Value<'static> {
            Value::Array(logs.iter().map(TransparencyLog::to_value).collect())
        };
        let authorities = |list: &[CertificateAuthority]| -> Value<'static> {
            Value::Array(list.iter().map(CertificateAuthority::to_value).collect())
        };
        object([
            ("mediaType", Some(Value::text(MEDIA_TYPE))),
            ("tlogs", Some(logs(&self.tlogs))),
            ("certificateAuthorities", Some(authorities(&self.certificate_authorities))),
            ("ctlogs", Some(logs(&self.ctlogs))),
            ("timestampAuthorities", Some(authorities(&self.timestamp_authorities))),
        ])
    }
}

/// Those logs whose algorithm is known. The registry grows: a log that signs in a way of tomorrow must not make
/// the others worthless today.
fn known(logs: Vec<Option<TransparencyLog>>) -> Vec<TransparencyLog> {
    logs.into_iter().flatten().collect()
}

impl TransparencyLog {
    /// None when it signs in a way that is not known here.
    fn read(fields: &mut Fields<'_>) -> Result<Option<Self>, JsonError> {
        let (public_key, key_details, valid_for) = fields.required_message("publicKey", |fields| {
            let details = match KeyDetails::take(fields, "keyDetails") {
                Err(JsonError { fault: JsonFault::UnknownName(_), .. }) => None,
                details => Some(details?),
            };
            let raw = fields.required_bytes("rawBytes")?;
            Ok((raw, details, fields.required_message("validFor", ValidFor::read)?))
        })?;
        let key_id = |fields: &mut Fields<'_>| fields.bytes("keyId");
        let base_url = fields.text("baseUrl")?;
        let hash_algorithm = key_details::take_hash(fields, "hashAlgorithm")?;
        let log_id = fields.required_message("logId", |fields| fields.required_bytes("keyId"))?;
        let checkpoint_key_id = fields.message("checkpointKeyId", key_id)?.unwrap_or_default();
        let operator = fields.text("operator")?;
        let log = |key_details| Self {
            base_url,
            hash_algorithm,
            public_key,
            key_details,
            valid_for,
            log_id,
            checkpoint_key_id,
            operator,
        };
        Ok(key_details.map(log))
    }

    fn to_value(&self) -> Value<'static> {
        let public_key = object([
            ("rawBytes", Some(Value::bytes(&self.public_key))),
            ("keyDetails", Some(Value::text(self.key_details.name()))),
            ("validFor", Some(self.valid_for.to_value())),
        ]);
        let key_id = |id: &[u8]| object([("keyId", Some(Value::bytes(id)))]);
        object([
            ("baseUrl", Some(Value::text(self.base_url.clone()))),
            ("hashAlgorithm", Some(Value::text(key_details::hash_name(self.hash_algorithm)))),
            ("publicKey", Some(public_key)),
            ("logId", Some(key_id(&self.log_id))),
            (
                "checkpointKeyId",
                (!self.checkpoint_key_id.is_empty()).then(|| key_id(&self.checkpoint_key_id)),
            ),
            ("operator", (!self.operator.is_empty()).then(|| Value::text(self.operator.clone()))),
        ])
    }

    /// Host and port, if one is written, of the base URL: the name a Rekor v1 log signs with. `None`
    /// without a scheme.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        let (_, rest) = self.base_url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        authority.rsplit('@').next().filter(|authority| !authority.is_empty())
    }

    /// The host of the base URL, without scheme, port and path: the origin and signature name of a
    /// Rekor v2 log. `None` without a scheme.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        let authority = self.authority()?;
        let host = match authority.strip_prefix('[') {
            Some(address) => address.split(']').next()?,
            None => authority.split(':').next()?,
        };
        (!host.is_empty()).then_some(host)
    }
}

impl CertificateAuthority {
    fn read(fields: &mut Fields<'_>) -> Result<Self, JsonError> {
        let (organization, common_name) = fields
            .message("subject", |fields| Ok((fields.text("organization")?, fields.text("commonName")?)))?
            .unwrap_or_default();
        Ok(Self {
            organization,
            common_name,
            uri: fields.text("uri")?,
            cert_chain: fields.required_message("certChain", |fields| {
                fields.messages("certificates", MAX_CHAIN, |fields| fields.required_bytes("rawBytes"))
            })?,
            valid_for: fields.required_message("validFor", ValidFor::read)?,
            operator: fields.text("operator")?,
        })
    }

    fn to_value(&self) -> Value<'static> {
        let subject = object([
            ("organization", Some(Value::text(self.organization.clone()))),
            ("commonName", Some(Value::text(self.common_name.clone()))),
        ]);
        let certificates =
            self.cert_chain.iter().map(|der| object([("rawBytes", Some(Value::bytes(der)))])).collect();
        object([
            ("subject", Some(subject)),
            ("uri", Some(Value::text(self.uri.clone()))),
            ("certChain", Some(object([("certificates", Some(Value::Array(certificates)))]))),
            ("validFor", Some(self.valid_for.to_value())),
            ("operator", (!self.operator.is_empty()).then(|| Value::text(self.operator.clone()))),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString as _, vec};

    fn root() -> TrustedRoot {
        let valid_for = ValidFor::from(UnixTime::from_seconds(1_700_000_000));
        let log = TransparencyLog {
            base_url: "https://log.example:3000/x".to_string(),
            hash_algorithm: HashAlgorithm::Sha256,
            public_key: vec![1, 2, 3],
            key_details: KeyDetails::Ed25519,
            valid_for,
            log_id: vec![7; 32],
            checkpoint_key_id: vec![],
            operator: String::new(),
        };
        let authority = CertificateAuthority {
            organization: "o".to_string(),
            common_name: "cn".to_string(),
            uri: "https://ca.example".to_string(),
            cert_chain: vec![vec![1], vec![2]],
            valid_for: ValidFor { end: Some(UnixTime::from_seconds(1_800_000_000)), ..valid_for },
            operator: String::new(),
        };
        TrustedRoot {
            tlogs: vec![log.clone()],
            certificate_authorities: vec![authority.clone()],
            ctlogs: vec![log],
            timestamp_authorities: vec![authority],
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let json = root().to_json();
        assert_eq!(TrustedRoot::parse(json.as_bytes()).unwrap(), root());
        assert!(!json.contains("operator") && !json.contains("checkpointKeyId"));
    }

    #[test]
    fn a_log_of_a_kind_not_known_leaves_the_others() {
        let mut two = root();
        two.tlogs.push(TransparencyLog { log_id: vec![9; 32], ..two.tlogs[0].clone() });
        for unknown in ["\"PKIX_TOMORROW\"", "99", "0"] {
            let json = two.to_json().replacen("\"PKIX_ED25519\"", unknown, 1);
            let read = TrustedRoot::parse(json.as_bytes()).unwrap();
            assert_eq!(
                (read.tlogs.as_slice(), read.ctlogs),
                (&two.tlogs[1..], two.ctlogs.clone()),
                "{unknown}"
            );
        }
        // What is no name at all is a mistake.
        for wrong in ["null", "true", "[]"] {
            let json = two.to_json().replacen("\"PKIX_ED25519\"", wrong, 1);
            assert!(TrustedRoot::parse(json.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_period_needs_a_start() {
        let json = root().to_json().replace("\"start\"", "\"end\"");
        assert!(TrustedRoot::parse(json.as_bytes()).is_err());
        let json = root().to_json().replacen("2023-11-14T22:13:20Z", "", 1);
        let error = TrustedRoot::parse(json.as_bytes()).unwrap_err();
        assert_eq!(error.path, "tlogs[0].publicKey.validFor.start");
        assert_eq!(error.fault, JsonFault::Missing);
    }

    #[test]
    fn both_ends_of_a_period_belong_to_it() {
        let at = UnixTime::from_seconds;
        let period = ValidFor { start: at(10), end: Some(at(20)) };
        assert_eq!([9, 10, 20, 21].map(|s| period.contains(at(s))), [false, true, true, false]);
    }

    #[test]
    fn the_name_on_checkpoints_is_the_bare_host() {
        let mut log = root().tlogs.remove(0);
        assert_eq!(log.host(), Some("log.example"));
        assert_eq!(log.authority(), Some("log.example:3000"));
        for (url, host) in
            [("http://localhost", Some("localhost")), ("log.example", None), ("http://[::1]:1/", Some("::1"))]
        {
            log.base_url = url.to_string();
            assert_eq!(log.host(), host);
        }
    }
}
