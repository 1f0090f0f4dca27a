//! WebAuthn: what an authenticator says when it makes a passkey and when it uses one.
//!
//! Spec: Web Authentication Level 2, §6.1 (authenticator data), §7.1 and §7.2 (the relying party's steps), RFC 9052 §7 and
//! RFC 8152 (keys as COSE writes them). Bytes in, keys and verdicts out; nothing is remembered here. Who made the authenticator is
//! not asked: an attestation would name its owner to us, and prove nothing that the mail did not.
//!
//! Must always hold: what was signed names our challenge, our origin and our host; the person was there and was asked for
//! more than a touch (`UV`).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ciborium::Value;
use sealog_crypto::{HashAlgorithm, PublicKey, Scheme, sha256};
use sealog_identity::{Algorithm, Jwks};
use serde::Deserialize;

/// A longer message is none.
const MAX_BYTES: usize = 16 * 1024;
/// Flags of authenticator data (§6.1).
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const CREDENTIAL_ATTACHED: u8 = 0x40;
/// A credential's name is at most this long (§4).
const MAX_ID: usize = 1023;

/// Why an authenticator's answer does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WebauthnError {
    #[error("it is not what an authenticator says")]
    Malformed,
    #[error("it is for another challenge, page or host")]
    NotOurs,
    #[error("the authenticator did not ask who is there")]
    NotVerified,
    #[error("its key is of a kind that is not known here")]
    Key,
    #[error("the signature does not verify")]
    Signature,
}

/// What an answer must be about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// As it was given out: base64url.
    pub(super) challenge: &'a str,
    /// Scheme, host and port of our pages.
    pub(super) origin: &'a str,
    /// The host alone.
    pub(super) host: &'a str,
}

/// A passkey that was just made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// Its name.
    pub(super) id: Vec<u8>,
    /// Its public key, as a JWK.
    pub(super) key: String,
    /// How often it was used.
    pub(super) count: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClientData {
    #[serde(rename = "type")]
    kind: String,
    challenge: String,
    origin: String,
    #[serde(default)]
    cross_origin: bool,
}

/// The parts of authenticator data.
struct Data<'a> {
    host_hash: &'a [u8],
    flags: u8,
    count: u32,
    rest: &'a [u8],
}

/// Text of an answer, as the page's script writes it.
pub(super) fn bytes(text: &str) -> Result<Vec<u8>, WebauthnError> {
    if text.len() > MAX_BYTES {
        return Err(WebauthnError::Malformed);
    }
    URL_SAFE_NO_PAD.decode(text).map_err(|_| WebauthnError::Malformed)
}

/// §7.1: a passkey was made for us.
pub(super) fn made(
    wanted: &Wanted<'_>,
    client_data: &[u8],
    attestation: &[u8],
) -> Result<Made, WebauthnError> {
    check_client_data(wanted, "webauthn.create", client_data)?;
    let object = map(attestation)?;
    let data =
        object.iter().find(|(key, _)| key.as_text() == Some("authData")).and_then(|(_, v)| v.as_bytes());
    let data = Data::parse(data.ok_or(WebauthnError::Malformed)?)?;
    data.check(wanted)?;
    if data.flags & CREDENTIAL_ATTACHED == 0 {
        return Err(WebauthnError::Malformed);
    }
    // §6.5.1: the maker's name, the length of the credential's, the credential's, its key.
    let (_, rest) = data.rest.split_at_checked(16).ok_or(WebauthnError::Malformed)?;
    let (length, rest) = rest.split_at_checked(2).ok_or(WebauthnError::Malformed)?;
    let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
    let (id, key) = rest.split_at_checked(length).ok_or(WebauthnError::Malformed)?;
    if id.is_empty() || id.len() > MAX_ID {
        return Err(WebauthnError::Malformed);
    }
    let key = jwk(&map(key)?)?;
    read_key(&key)?;
    Ok(Made { id: id.to_vec(), key, count: data.count })
}

/// §7.2: a passkey was used for us; how often it has been.
pub(super) fn used(
    wanted: &Wanted<'_>,
    key: &str,
    client_data: &[u8],
    authenticator_data: &[u8],
    signature: &[u8],
) -> Result<u32, WebauthnError> {
    check_client_data(wanted, "webauthn.get", client_data)?;
    let data = Data::parse(authenticator_data)?;
    data.check(wanted)?;
    let (key, scheme) = read_key(key)?;
    let mut signed = authenticator_data.to_vec();
    signed.extend_from_slice(&sha256(client_data));
    key.verify(scheme, &signed, signature).map_err(|_| WebauthnError::Signature)?;
    Ok(data.count)
}

fn check_client_data(wanted: &Wanted<'_>, kind: &str, client_data: &[u8]) -> Result<(), WebauthnError> {
    let said: ClientData = serde_json::from_slice(client_data).map_err(|_| WebauthnError::Malformed)?;
    let ours = said.kind == kind
        && said.origin == wanted.origin
        && !said.cross_origin
        && sha256(said.challenge.as_bytes()) == sha256(wanted.challenge.as_bytes());
    if ours { Ok(()) } else { Err(WebauthnError::NotOurs) }
}

impl<'a> Data<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, WebauthnError> {
        let (host_hash, rest) = bytes.split_at_checked(32).ok_or(WebauthnError::Malformed)?;
        let (flags, rest) = rest.split_first().ok_or(WebauthnError::Malformed)?;
        let (count, rest) = rest.split_first_chunk().ok_or(WebauthnError::Malformed)?;
        Ok(Self { host_hash, flags: *flags, count: u32::from_be_bytes(*count), rest })
    }

    fn check(&self, wanted: &Wanted<'_>) -> Result<(), WebauthnError> {
        if self.host_hash != sha256(wanted.host.as_bytes()) {
            return Err(WebauthnError::NotOurs);
        }
        match self.flags & (USER_PRESENT | USER_VERIFIED) == USER_PRESENT | USER_VERIFIED {
            true => Ok(()),
            false => Err(WebauthnError::NotVerified),
        }
    }
}

/// One CBOR map; what follows it (extensions) does not matter here.
fn map(bytes: &[u8]) -> Result<Vec<(Value, Value)>, WebauthnError> {
    if bytes.len() > MAX_BYTES {
        return Err(WebauthnError::Malformed);
    }
    let value: Value =
        ciborium::de::from_reader_with_recursion_limit(bytes, 8).map_err(|_| WebauthnError::Malformed)?;
    value.into_map().map_err(|_| WebauthnError::Malformed)
}

/// A COSE key (RFC 9053 §7, RFC 8230 §4) as a JWK.
fn jwk(key: &[(Value, Value)]) -> Result<String, WebauthnError> {
    let value = |label: i128| {
        let mut all =
            key.iter().filter(|(name, _)| name.as_integer().is_some_and(|name| i128::from(name) == label));
        // A label twice has two readings.
        all.next().filter(|_| all.next().is_none()).map(|(_, value)| value)
    };
    let number = |label: i128| value(label).and_then(Value::as_integer).map(i128::from);
    let text =
        |label: i128| value(label).and_then(Value::as_bytes).map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
    let missing = WebauthnError::Key;
    let jwk = match (number(1), number(3)) {
        (Some(2), Some(-7)) if number(-1) == Some(1) => serde_json::json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256",
            "x": text(-2).ok_or(missing)?, "y": text(-3).ok_or(missing)?,
        }),
        (Some(1), Some(-8)) if number(-1) == Some(6) => serde_json::json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": text(-2).ok_or(missing)?,
        }),
        (Some(3), Some(-257)) => serde_json::json!({
            "kty": "RSA", "alg": "RS256", "n": text(-1).ok_or(missing)?, "e": text(-2).ok_or(missing)?,
        }),
        _ => return Err(WebauthnError::Key),
    };
    Ok(jwk.to_string())
}

/// The key, and how its signatures are written: ECDSA in DER, unlike JOSE (§6.5.6).
fn read_key(jwk: &str) -> Result<(PublicKey, Scheme), WebauthnError> {
    let set = Jwks::parse(format!("{{\"keys\":[{jwk}]}}").as_bytes()).map_err(|_| WebauthnError::Key)?;
    let key = set.keys().first().ok_or(WebauthnError::Key)?;
    let scheme = match key.algorithm {
        Some(Algorithm::Es256) => Scheme::Ecdsa(HashAlgorithm::Sha256),
        Some(Algorithm::EdDsa) => Scheme::Ed25519,
        Some(Algorithm::Rs256) => Scheme::RsaPkcs1(HashAlgorithm::Sha256),
        _ => return Err(WebauthnError::Key),
    };
    Ok((key.key.clone(), scheme))
}

#[cfg(test)]
mod tests;
