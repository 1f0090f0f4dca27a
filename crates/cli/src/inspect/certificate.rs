//! A certificate, described: names, times, key, every extension by name, promises of certificate logs.

use super::{
    der,
    parts::{Part, blob, hex, key, or_why, seconds, text, unreadable},
};
use sealog_bundle::{
    UnixTime,
    json::{Value, object},
};
use sealog_pki::{
    Certificate, Extension, FulcioExtension, San,
    sct::{EmbeddedSctError, embedded_scts},
};
use sealog_tlog::ct::Sct;

/// Extensions by name (RFC 5280 §4.2, RFC 6962 §3.3). Those of Fulcio have a table of their own.
const EXTENSIONS: [(&str, &str); 15] = [
    (SUBJECT_KEY_ID, "subject key identifier"),
    (KEY_USAGE, "key usage"),
    (SUBJECT_ALT_NAME, "subject alternative name"),
    ("2.5.29.18", "issuer alternative name"),
    (BASIC_CONSTRAINTS, "basic constraints"),
    ("2.5.29.30", "name constraints"),
    ("2.5.29.31", "CRL distribution points"),
    ("2.5.29.32", "certificate policies"),
    ("2.5.29.33", "policy mappings"),
    (AUTHORITY_KEY_ID, "authority key identifier"),
    ("2.5.29.36", "policy constraints"),
    (EXT_KEY_USAGE, "extended key usage"),
    ("1.3.6.1.5.5.7.1.1", "authority information access"),
    (SCTS, "signed certificate timestamps"),
    ("1.3.6.1.4.1.11129.2.4.3", "precertificate poison"),
];
const SUBJECT_KEY_ID: &str = "2.5.29.14";
const KEY_USAGE: &str = "2.5.29.15";
const SUBJECT_ALT_NAME: &str = "2.5.29.17";
const BASIC_CONSTRAINTS: &str = "2.5.29.19";
const AUTHORITY_KEY_ID: &str = "2.5.29.35";
const EXT_KEY_USAGE: &str = "2.5.29.37";
const SCTS: &str = "1.3.6.1.4.1.11129.2.4.2";

/// Purposes by name (RFC 5280 §4.2.1.12, RFC 6962 §3.1).
const PURPOSES: [(&str, &str); 8] = [
    ("2.5.29.37.0", "any"),
    ("1.3.6.1.5.5.7.3.1", "server authentication"),
    ("1.3.6.1.5.5.7.3.2", "client authentication"),
    ("1.3.6.1.5.5.7.3.3", "code signing"),
    ("1.3.6.1.5.5.7.3.4", "e-mail protection"),
    ("1.3.6.1.5.5.7.3.8", "time stamping"),
    ("1.3.6.1.5.5.7.3.9", "OCSP signing"),
    ("1.3.6.1.4.1.11129.2.4.4", "precertificate signing"),
];

/// A certificate in DER.
pub(super) fn describe(der: &[u8]) -> Part {
    match Certificate::from_der(der) {
        Ok(certificate) => described(&certificate),
        Err(error) => {
            let why = error.to_string();
            object([(super::parts::UNREADABLE, Some(text(why))), ("content", Some(blob(der)))])
        }
    }
}

fn described(certificate: &Certificate) -> Part {
    let (from, until) = certificate.validity();
    let name = |name: &[u8]| match der::name(name) {
        Some(name) if name.is_empty() => None,
        Some(name) => Some(text(name)),
        None => Some(unreadable("not a name in DER")),
    };
    let scts = match embedded_scts(certificate) {
        Ok(scts) => Some(Value::Array(scts.iter().map(sct).collect())),
        Err(EmbeddedSctError::Missing) => None,
        Err(error) => Some(unreadable(error)),
    };
    let scheme = certificate.signature_scheme().map(|scheme| text(scheme.to_string()));
    object([
        ("names", Value::array_unless_empty(certificate.san().iter().map(san).collect())),
        ("issuer", certificate.fulcio().oidc_issuer().map(text)),
        ("subject", name(certificate.subject_name())),
        ("issued_by", name(certificate.issuer_name())),
        ("serial", Some(text(hex(certificate.serial())))),
        ("not_before", Some(seconds(from))),
        ("not_after", Some(seconds(until))),
        ("key", Some(key(certificate.spki_der()))),
        ("signed_with", Some(scheme.unwrap_or_else(|| text("an algorithm that is not used")))),
        ("content", Some(blob(certificate.der()))),
        (
            "extensions",
            Value::array_unless_empty(
                certificate
                    .extensions()
                    .iter()
                    .map(|extension| described_extension(certificate, extension))
                    .collect(),
            ),
        ),
        ("scts", scts),
    ])
}

fn san(san: &San) -> Part {
    text(san.to_string())
}

fn described_extension(certificate: &Certificate, extension: &Extension) -> Part {
    let oid = extension.oid.to_string();
    let fulcio = FulcioExtension::by_oid(&extension.oid);
    let known = EXTENSIONS.iter().find(|(known, _)| *known == oid).map(|(_, name)| *name);
    let name = fulcio.map(|row| row.name).or(known);
    let values: Option<Vec<String>> = match (fulcio, oid.as_str()) {
        (Some(row), _) => certificate.fulcio().get(row.number).map(|value| vec![value.to_owned()]),
        (_, SUBJECT_KEY_ID) => certificate.subject_key_id().map(|id| vec![hex(id)]),
        (_, AUTHORITY_KEY_ID) => certificate.authority_key_id().map(|id| vec![hex(id)]),
        (_, SUBJECT_ALT_NAME) => Some(certificate.san().iter().map(ToString::to_string).collect()),
        (_, BASIC_CONSTRAINTS) => certificate.basic_constraints().map(|constraints| {
            let path = constraints.path_len.map(|length| format!("at most {length} authorities below it"));
            let what = if constraints.ca { "an authority" } else { "no authority" };
            [Some(what.to_owned()), path].into_iter().flatten().collect()
        }),
        (_, KEY_USAGE) => key_usage(&extension.value),
        (_, EXT_KEY_USAGE) => certificate.extended_key_usage().map(|purposes| {
            let name = |oid: String| {
                PURPOSES.iter().find(|(known, _)| *known == oid).map_or(oid, |(_, name)| (*name).to_owned())
            };
            purposes.iter().map(|oid| name(oid.to_string())).collect()
        }),
        _ => None,
    };
    let values = values.filter(|values| !values.is_empty());
    let (values, content) = match values {
        Some(values) => (Some(Value::Array(values.into_iter().map(text).collect())), None),
        None => (None, Some(blob(&extension.value))),
    };
    object([
        ("oid", Some(text(oid))),
        ("name", name.map(text)),
        ("critical", Some(Value::Bool(extension.critical))),
        ("values", values),
        ("content", content),
    ])
}

/// The bits of a keyUsage by name (RFC 5280 §4.2.1.3), set ones only. The parser keeps no more of them than
/// decisions need.
fn key_usage(value: &[u8]) -> Option<Vec<String>> {
    const NAMES: [&str; 9] = [
        "digital signature",
        "content commitment",
        "key encipherment",
        "data encipherment",
        "key agreement",
        "certificate signing",
        "CRL signing",
        "encipher only",
        "decipher only",
    ];
    // A BIT STRING: identifier, length, how many bits at the end are unused, the bits.
    let [0x03, _, _, bits @ ..] = value else { return None };
    let all = bits.iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1 == 1));
    let set = all.enumerate().filter(|(_, is_set)| *is_set);
    Some(
        set.map(|(at, _)| NAMES.get(at).map_or_else(|| format!("bit {at}"), |name| (*name).to_owned()))
            .collect(),
    )
}

fn sct(sct: &Sct) -> Part {
    let time = i64::try_from(sct.timestamp_ms).map(|millis| text(UnixTime::from_millis(millis).to_string()));
    let index = sealog_tlog::ct::leaf_index(&sct.extensions).ok();
    object([
        ("time", Some(or_why(time))),
        ("log_id", Some(text(hex(&sct.log_id)))),
        ("leaf_index", index.map(|index| Value::Integer(index.into()))),
        ("extensions", (!sct.extensions.is_empty()).then(|| text(hex(&sct.extensions)))),
        ("signature", Some(blob(&sct.signed.signature))),
    ])
}
