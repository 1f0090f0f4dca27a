//! An issuer's keys: JSON Web Key Sets (RFC 7517, RFC 7518 §6, RFC 8037).
//!
//! A key we cannot use (another type, another purpose) does not spoil the set; it is remembered, so
//! that a token signed by it is told why. Symmetric keys are never used, whatever the set says.

use crate::{
    algorithm::Algorithm,
    asn1, base64url,
    json::{self, Json, JsonError, Object},
};
use alloc::{borrow::ToOwned as _, format, string::String, vec, vec::Vec};
use sealog_crypto::{KeyError, KeyKind, PublicKey, sha256};

/// A set longer than this is refused unread.
pub const MAX_BYTES: usize = 256 * 1024;
/// A set of more keys than this is refused.
pub const MAX_KEYS: usize = 128;

/// Why a document is no key set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Longer than [`MAX_BYTES`].
    #[error("the issuer's key set has {found} bytes, more than {MAX_BYTES}")]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// Not JSON as it is taken here.
    #[error("the issuer's key set cannot be read")]
    Json(#[source] JsonError),
    /// No list called `keys`.
    #[error("the issuer's key set has no list `keys`")]
    NoKeys,
    /// More than [`MAX_KEYS`].
    #[error("the issuer's key set has {found} keys, more than {MAX_KEYS}")]
    TooMany {
        /// How many.
        found: usize,
    },
}

/// Why one key of a set is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// Not an object.
    #[error("the key is not an object")]
    NotAnObject,
    /// A type of key that signs no identity tokens here.
    #[error("keys of type {0:?} are not used")]
    Type(String),
    /// Another curve.
    #[error("keys on the curve {0:?} are not used")]
    Curve(String),
    /// Another algorithm.
    #[error("the algorithm {0:?} is not used")]
    Algorithm(String),
    /// The key is of another type than its algorithm.
    #[error("a {kind} key does not sign with {algorithm}")]
    Mismatch {
        /// What the key is.
        kind: KeyKind,
        /// What it says it signs with.
        algorithm: Algorithm,
    },
    /// The key says that it is not for verifying signatures.
    #[error("the key is not for signatures")]
    Purpose,
    /// A member that must be there is not, or is not text.
    #[error("the key has no text {0:?}")]
    Missing(&'static str),
    /// A member is not base64url without padding.
    #[error("the key's {0:?} is not base64url")]
    Base64(&'static str),
    /// The issuer published the private half: anyone can sign with it.
    #[error("the key is published together with its private half")]
    Private,
    /// The numbers make no usable key.
    #[error("the key is not usable")]
    Key(#[from] KeyError),
}

/// One usable key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    /// Its name within the set.
    pub key_id: Option<String>,
    /// The only algorithm it signs with, where the issuer says so.
    pub algorithm: Option<Algorithm>,
    /// The key.
    pub key: PublicKey,
}

/// The keys of one issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jwks {
    keys: Vec<Jwk>,
    unusable: Vec<(Option<String>, JwkError)>,
}

impl Jwks {
    /// Parses a key set.
    ///
    /// # Errors
    /// See [`JwksError`]; single unusable keys are no error.
    pub fn parse(document: &[u8]) -> Result<Self, JwksError> {
        if document.len() > MAX_BYTES {
            return Err(JwksError::TooLong { found: document.len() });
        }
        let object = json::parse_object(document).map_err(JwksError::Json)?;
        let keys = object.get("keys").and_then(Json::as_array).ok_or(JwksError::NoKeys)?;
        if keys.len() > MAX_KEYS {
            return Err(JwksError::TooMany { found: keys.len() });
        }
        let mut set = Self::default();
        for key in keys {
            match key.as_object().ok_or(JwkError::NotAnObject).and_then(parse_key) {
                Ok(key) => set.keys.push(key),
                Err(error) => {
                    let name = key.as_object().and_then(|o| o.get("kid")).and_then(Json::as_text);
                    set.unusable.push((name.map(str::to_owned), error));
                }
            }
        }
        Ok(set)
    }

    /// The keys that can be used.
    #[must_use]
    pub fn keys(&self) -> &[Jwk] {
        &self.keys
    }

    /// The names of the others, and why they cannot.
    #[must_use]
    pub fn unusable(&self) -> &[(Option<String>, JwkError)] {
        &self.unusable
    }

    /// Keys a token that names `key_id` may be signed by: all of them when it names none.
    pub(crate) fn candidates<'a>(&'a self, key_id: Option<&'a str>) -> impl Iterator<Item = &'a Jwk> {
        self.keys.iter().filter(move |key| key_id.is_none() || key.key_id.as_deref() == key_id)
    }

    pub(crate) fn why_unusable(&self, key_id: &str) -> Option<&JwkError> {
        let named = self.unusable.iter().find(|(name, _)| name.as_deref() == Some(key_id));
        named.map(|(_, error)| error)
    }
}

/// The JWK of a public key, as a member of a key set; none for a key no [`Algorithm`] signs with.
#[must_use]
pub fn encode(key: &PublicKey, key_id: &str, algorithm: Algorithm) -> Option<serde_json::Value> {
    if !algorithm.fits(key.kind()) {
        return None;
    }
    let mut jwk = serde_json::Map::new();
    for (name, value) in [("use", "sig"), ("kid", key_id), ("alg", algorithm.name())] {
        jwk.insert(name.to_owned(), value.into());
    }
    for (name, value) in required(key)? {
        jwk.insert(name.to_owned(), value.into());
    }
    Some(jwk.into())
}

/// The SHA-256 thumbprint of a public key (RFC 7638); none for a key that has no JWK here.
#[must_use]
pub fn thumbprint(key: &PublicKey) -> Option<[u8; 32]> {
    let mut text = String::from("{");
    for (number, (name, value)) in required(key)?.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        // Base64url and names of curves: nothing that JSON would write otherwise.
        text.push_str(&format!("{comma}\"{name}\":\"{value}\""));
    }
    text.push('}');
    Some(sha256(text.as_bytes()))
}

/// The members that make the key, in the order of their names (RFC 7638 §3.2, RFC 8037 §2).
fn required(key: &PublicKey) -> Option<Vec<(&'static str, String)>> {
    match key.kind() {
        KeyKind::Rsa { .. } => {
            let (numbers, _) = asn1::read(asn1::SEQUENCE, key.key_bits())?;
            let (modulus, rest) = asn1::read(asn1::INTEGER, numbers)?;
            let (exponent, _) = asn1::read(asn1::INTEGER, rest)?;
            let number = |bytes| base64url::encode(asn1::without_leading_zeros(bytes));
            Some(vec![("e", number(exponent)), ("kty", "RSA".to_owned()), ("n", number(modulus))])
        }
        KeyKind::Ed25519 => Some(vec![
            ("crv", "Ed25519".to_owned()),
            ("kty", "OKP".to_owned()),
            ("x", base64url::encode(key.key_bits())),
        ]),
        KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521 => {
            let point = key.key_bits().strip_prefix(&[UNCOMPRESSED])?;
            let (x, y) = point.split_at_checked(point.len() / 2)?;
            let curve = CURVES.iter().find(|curve| curve.kind == key.kind())?;
            Some(vec![
                ("crv", curve.name.to_owned()),
                ("kty", "EC".to_owned()),
                ("x", base64url::encode(x)),
                ("y", base64url::encode(y)),
            ])
        }
        // No algorithm of tokens fits these.
        KeyKind::MlDsa44 | KeyKind::MlDsa65 | KeyKind::MlDsa87 => None,
    }
}

/// First octet of an elliptic curve point written as both coordinates (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 4;

struct Curve {
    name: &'static str,
    kind: KeyKind,
    algorithm: &'static [u8],
    /// Length of a coordinate: JWK writes them in full (RFC 7518 §6.2.1.2).
    coordinate: usize,
}

const CURVES: [Curve; 3] = [
    Curve { name: "P-256", kind: KeyKind::EcdsaP256, algorithm: asn1::EC_P256, coordinate: 32 },
    Curve { name: "P-384", kind: KeyKind::EcdsaP384, algorithm: asn1::EC_P384, coordinate: 48 },
    Curve { name: "P-521", kind: KeyKind::EcdsaP521, algorithm: asn1::EC_P521, coordinate: 66 },
];

pub(crate) fn parse_key(jwk: &Object) -> Result<Jwk, JwkError> {
    check_purpose(jwk)?;
    let key = match text(jwk, "kty")? {
        "RSA" => rsa_key(jwk)?,
        "EC" => ec_key(jwk)?,
        "OKP" => okp_key(jwk)?,
        other => return Err(JwkError::Type(other.to_owned())),
    };
    // Only after the type: a symmetric key is refused as one, not as a leak.
    if jwk.contains_key("d") {
        return Err(JwkError::Private);
    }
    let algorithm = match jwk.get("alg") {
        None => None,
        Some(value) => {
            let name = value.as_text().unwrap_or_default();
            Some(Algorithm::from_name(name).ok_or_else(|| JwkError::Algorithm(name.to_owned()))?)
        }
    };
    match algorithm {
        Some(algorithm) if !algorithm.fits(key.kind()) => {
            return Err(JwkError::Mismatch { kind: key.kind(), algorithm });
        }
        _ => {}
    }
    let key_id = jwk.get("kid").and_then(Json::as_text).map(str::to_owned);
    Ok(Jwk { key_id, algorithm, key })
}

fn check_purpose(jwk: &Object) -> Result<(), JwkError> {
    let for_signatures = match jwk.get("use") {
        None => true,
        Some(purpose) => purpose.as_text() == Some("sig"),
    };
    let verifies = match jwk.get("key_ops").map(Json::as_array) {
        None => true,
        Some(operations) => {
            operations.is_some_and(|all| all.iter().any(|one| one.as_text() == Some("verify")))
        }
    };
    if for_signatures && verifies { Ok(()) } else { Err(JwkError::Purpose) }
}

fn rsa_key(jwk: &Object) -> Result<PublicKey, JwkError> {
    let spki = asn1::rsa_spki(&bytes(jwk, "n")?, &bytes(jwk, "e")?);
    Ok(PublicKey::from_spki_der(&spki)?)
}

fn ec_key(jwk: &Object) -> Result<PublicKey, JwkError> {
    let name = text(jwk, "crv")?;
    let curve =
        CURVES.iter().find(|curve| curve.name == name).ok_or_else(|| JwkError::Curve(name.to_owned()))?;
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    if x.len() != curve.coordinate || y.len() != curve.coordinate {
        return Err(JwkError::Key(KeyError::InvalidPoint(curve.kind)));
    }
    let point = [[UNCOMPRESSED].as_slice(), &x, &y].concat();
    Ok(PublicKey::from_spki_der(&asn1::spki(curve.algorithm, &point))?)
}

fn okp_key(jwk: &Object) -> Result<PublicKey, JwkError> {
    match text(jwk, "crv")? {
        "Ed25519" => {
            let point = bytes(jwk, "x")?;
            let point = point.as_slice().try_into();
            let point = point.map_err(|_| JwkError::Key(KeyError::InvalidPoint(KeyKind::Ed25519)))?;
            Ok(PublicKey::from_ed25519(point)?)
        }
        other => Err(JwkError::Curve(other.to_owned())),
    }
}

fn text<'a>(jwk: &'a Object, name: &'static str) -> Result<&'a str, JwkError> {
    jwk.get(name).and_then(Json::as_text).ok_or(JwkError::Missing(name))
}

fn bytes(jwk: &Object, name: &'static str) -> Result<Vec<u8>, JwkError> {
    base64url::decode(text(jwk, name)?).ok_or(JwkError::Base64(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use serde_json::json;

    /// The examples of RFC 7638 §3.1 and RFC 8037 appendix A.3.
    #[test]
    fn thumbprints_are_those_of_the_standards() {
        let rsa = json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB", "alg": "RS256", "kid": "2011-04-29",
        });
        let okp = json!({
            "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
        });
        for (key, expected) in [
            (rsa, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
            (okp, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
        ] {
            let document = json!({ "keys": [key] }).to_string();
            let keys = Jwks::parse(document.as_bytes()).unwrap();
            let found = thumbprint(&keys.keys()[0].key).unwrap();
            assert_eq!(base64url::encode(&found), expected);
        }
    }
}
