//! The key a token is bound to: the claim `cnf` (RFC 7800), by a thumbprint (RFC 7638) or in full.
//!
//! Whoever stole such a token cannot have another key certified with it. A binding that is not understood here
//! (to a client certificate, to a key elsewhere) refuses: the issuer wanted the token to be worth something to
//! one holder only, and nobody here can tell whether this is the one (RFC 7800 §3.1 leaves it to us which
//! members must be there). Members beside those two are passed over, as it says.

use crate::{
    base64url,
    json::{Json, Object},
    jwk::{self, JwkError},
    token::Claims,
};
use alloc::string::String;
use sealog_crypto::PublicKey;

/// Bytes of a SHA-256 thumbprint.
const THUMBPRINT: usize = 32;

/// The key that a token may have certified, and no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    thumbprint: Option<[u8; THUMBPRINT]>,
    key: Option<PublicKey>,
}

/// Why a key is not the one, or nobody can tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmationError {
    /// Not an object with one of the members that are understood.
    #[error(
        "the identity token is bound to a key (claim \"cnf\") in a way that is not understood: \"jkt\" or \"jwk\" is expected"
    )]
    NotUnderstood,
    /// Not base64url of 32 bytes.
    #[error("the identity token's \"cnf\" has a member \"jkt\" that is not a SHA-256 thumbprint (RFC 7638)")]
    Thumbprint,
    /// Not a key.
    #[error("the identity token's \"cnf\" has a member \"jwk\" that cannot be used: {0}")]
    Key(JwkError),
    /// Another key than the token's.
    #[error(
        "the identity token is bound to the key with the thumbprint {expected} (claim \"cnf\"), and the key to be certified has {found}: ask with the key the token was made for"
    )]
    OtherKey {
        /// Of the token's key.
        expected: String,
        /// Of the key that was handed in.
        found: String,
    },
}

impl Claims {
    /// The key this token is bound to, if it is bound to one.
    ///
    /// # Errors
    /// See [`ConfirmationError`].
    pub fn confirmation(&self) -> Result<Option<Confirmation>, ConfirmationError> {
        match self.get("cnf") {
            None => Ok(None),
            Some(Json::Object(members)) => Confirmation::read(members).map(Some),
            Some(_) => Err(ConfirmationError::NotUnderstood),
        }
    }
}

impl Confirmation {
    fn read(members: &Object) -> Result<Self, ConfirmationError> {
        let thumbprint = members.get("jkt").map(|value| {
            let bytes = value.as_text().and_then(base64url::decode);
            bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(ConfirmationError::Thumbprint)
        });
        let key = members.get("jwk").map(|value| {
            let members = value.as_object().ok_or(JwkError::NotAnObject);
            members.and_then(jwk::parse_key).map(|jwk| jwk.key).map_err(ConfirmationError::Key)
        });
        match (thumbprint.transpose()?, key.transpose()?) {
            (None, None) => Err(ConfirmationError::NotUnderstood),
            (thumbprint, key) => Ok(Self { thumbprint, key }),
        }
    }

    /// Whether this is the key: the one named in each way that is used.
    ///
    /// # Errors
    /// [`ConfirmationError::OtherKey`].
    pub fn check(&self, key: &PublicKey) -> Result<(), ConfirmationError> {
        let found = jwk::thumbprint(key);
        let by_thumbprint = self.thumbprint.is_none_or(|expected| found == Some(expected));
        let in_full = self.key.as_ref().is_none_or(|expected| expected == key);
        if by_thumbprint && in_full {
            return Ok(());
        }
        let named = if by_thumbprint { None } else { self.thumbprint };
        let expected = named.or_else(|| self.key.as_ref().and_then(jwk::thumbprint));
        let text = |thumbprint: Option<[u8; THUMBPRINT]>| {
            thumbprint.map_or_else(|| "none".into(), |bytes| base64url::encode(&bytes))
        };
        Err(ConfirmationError::OtherKey { expected: text(expected), found: text(found) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{algorithm::Algorithm, json::parse_object};
    use alloc::string::ToString as _;
    use sealog_crypto::{KeyKind, PrivateKey, Signer as _};
    use serde_json::{Value, json};

    fn read(cnf: &Value) -> Result<Confirmation, ConfirmationError> {
        Confirmation::read(&parse_object(cnf.to_string().as_bytes()).unwrap())
    }

    fn key(kind: KeyKind) -> PublicKey {
        PrivateKey::generate(kind).unwrap().public_key().clone()
    }

    fn thumbprint(key: &PublicKey) -> String {
        base64url::encode(&jwk::thumbprint(key).unwrap())
    }

    #[test]
    fn only_the_key_that_is_named_in_each_way() {
        let (own, other) = (key(KeyKind::EcdsaP256), key(KeyKind::EcdsaP256));
        let jwk = |key: &PublicKey| jwk::encode(key, "k", Algorithm::Es256).unwrap();
        for cnf in [
            json!({ "jkt": thumbprint(&own) }),
            json!({ "jwk": jwk(&own) }),
            json!({ "jwk": jwk(&own), "jkt": thumbprint(&own), "kid": "passed over" }),
        ] {
            let confirmation = read(&cnf).unwrap();
            assert_eq!(confirmation.check(&own), Ok(()));
            let refused =
                ConfirmationError::OtherKey { expected: thumbprint(&own), found: thumbprint(&other) };
            assert_eq!(confirmation.check(&other), Err(refused));
            assert!(confirmation.check(&key(KeyKind::Ed25519)).is_err());
            // One that has no thumbprint is never the one.
            assert!(confirmation.check(&key(KeyKind::MlDsa44)).is_err());
        }
        for cnf in [
            json!({ "jwk": jwk(&own), "jkt": thumbprint(&other) }),
            json!({ "jwk": jwk(&other), "jkt": thumbprint(&own) }),
        ] {
            assert!(read(&cnf).unwrap().check(&own).is_err());
            assert!(read(&cnf).unwrap().check(&other).is_err());
        }
    }

    #[test]
    fn a_binding_that_cannot_be_checked_refuses() {
        let own = thumbprint(&key(KeyKind::EcdsaP256));
        for cnf in [json!({}), json!({ "kid": "k" }), json!({ "x5t#S256": own }), json!({ "JKT": own })] {
            assert_eq!(read(&cnf), Err(ConfirmationError::NotUnderstood), "{cnf}");
        }
        for jkt in [json!(null), json!(1), json!(""), json!("AAAA"), json!(own + "="), json!([])] {
            assert_eq!(read(&json!({ "jkt": jkt })), Err(ConfirmationError::Thumbprint), "{jkt}");
        }
        for jwk in [json!(null), json!("k"), json!({}), json!({ "kty": "oct", "k": "AAAA" })] {
            assert!(matches!(read(&json!({ "jwk": jwk })), Err(ConfirmationError::Key(_))), "{jwk}");
        }
    }
}
