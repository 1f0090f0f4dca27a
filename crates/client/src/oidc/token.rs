//! Identity tokens as a client holds them: secret, and read without being verified.
//!
//! Only the certificate authority decides whether a token is good; the client reads it to say whose name
//! is about to be published and to fail early on what the authority would refuse anyway.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sealog_crypto::Zeroizing;
use serde::Deserialize;
use std::fmt;

/// Longer tokens are refused unread.
const MAX_TOKEN_BYTES: usize = 64 << 10;
/// The audience Sigstore tokens are made for.
pub const AUDIENCE: &str = "sigstore";
/// How far a token's clock may be ahead of ours.
const LEEWAY_SECONDS: i64 = 60;

/// An identity token; wiped when dropped, never shown.
#[derive(Clone)]
pub struct IdentityToken {
    text: Zeroizing<String>,
    claims: Claims,
    /// Whom it must be made for.
    audience: Box<str>,
}

/// What a token says about itself, **unverified**.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `iss`: who made it.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`.
    pub audience: Vec<String>,
    /// `exp`, seconds since the epoch.
    pub expires_at: i64,
    /// `iat`, if given.
    pub issued_at: Option<i64>,
    /// `nbf`, if given.
    pub not_before: Option<i64>,
    /// `email`, if given.
    pub email: Option<String>,
    /// `email_verified`, if given.
    pub email_verified: Option<bool>,
    /// `nonce`, if given.
    pub nonce: Option<String>,
    /// `federated_claims.connector_id`: the provider behind a federating one.
    pub federated_issuer: Option<String>,
    /// `cnf.jkt`: the one key that may be certified with it, by its thumbprint (RFC 7638) in base64url.
    pub key_thumbprint: Option<String>,
}

impl Claims {
    /// The name a person would recognise: the email address, else the subject.
    #[must_use]
    pub fn shown_identity(&self) -> &str {
        self.email.as_deref().unwrap_or(&self.subject)
    }
}

/// Why a token is not worth sending.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not three base64url parts with a JSON object in the middle, or the mandatory claims are missing.
    #[error("not an identity token: {0}")]
    Malformed(&'static str),
    /// Past its time.
    #[error("the identity token expired {0} s ago")]
    Expired(i64),
    /// Before its time.
    #[error("the identity token is not valid for another {0} s")]
    NotYetValid(i64),
    /// Made for someone else.
    #[error("the identity token is made for `{found}`, not for `{expected}`")]
    WrongAudience {
        /// Whom it must name.
        expected: Box<str>,
        /// Whom it names.
        found: Box<str>,
    },
    /// The provider has not checked the address.
    #[error("the identity provider has not verified the email address `{0}`")]
    UnverifiedEmail(Box<str>),
}

#[derive(Deserialize)]
struct RawClaims {
    iss: String,
    sub: String,
    aud: OneOrMany,
    exp: serde_json::Number,
    iat: Option<serde_json::Number>,
    nbf: Option<serde_json::Number>,
    email: Option<String>,
    email_verified: Option<serde_json::Value>,
    nonce: Option<String>,
    federated_claims: Option<RawFederated>,
    cnf: Option<RawConfirmation>,
}

/// Only the authority knows all that can stand here.
#[derive(Deserialize)]
struct RawConfirmation {
    jkt: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct RawFederated {
    connector_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// NumericDate (RFC 7519 §2): seconds, possibly with a fraction.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float cast saturates, and such a date fails the checks"
)]
fn seconds(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().or_else(|| number.as_f64().map(|n| n as i64))
}

impl IdentityToken {
    /// Reads a token as it was handed over; space around it does not matter.
    ///
    /// # Errors
    /// [`TokenError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed("it is longer than 64 KiB"));
        }
        let mut parts = text.split('.');
        let (Some(_), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed("it does not have three parts"));
        };
        // A line break inside would keep the token out of the request's header, silently.
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')) {
            return Err(TokenError::Malformed("it holds other characters than base64url has"));
        }
        let payload = URL_SAFE_NO_PAD
            .decode(payload)
            .map_err(|_| TokenError::Malformed("its middle part is not base64url"))?;
        let raw: RawClaims = serde_json::from_slice(&payload).map_err(|_| {
            TokenError::Malformed("its claims lack iss, sub, aud or exp, or are no JSON object")
        })?;
        let claims = Claims {
            issuer: raw.iss,
            subject: raw.sub,
            audience: match raw.aud {
                OneOrMany::One(one) => vec![one],
                OneOrMany::Many(many) => many,
            },
            expires_at: seconds(&raw.exp).ok_or(TokenError::Malformed("its expiry is no date"))?,
            issued_at: raw.iat.as_ref().and_then(seconds),
            not_before: raw.nbf.as_ref().and_then(seconds),
            email: raw.email,
            email_verified: raw.email_verified.map(|v| v == true || v == "true"),
            nonce: raw.nonce,
            federated_issuer: raw.federated_claims.and_then(|f| f.connector_id),
            key_thumbprint: raw.cnf.and_then(|cnf| cnf.jkt?.as_str().map(str::to_owned)),
        };
        Ok(Self { text: Zeroizing::new(text.to_owned()), claims, audience: AUDIENCE.into() })
    }

    /// The same token, to be made for another audience than [`AUDIENCE`].
    #[must_use]
    pub fn made_for(self, audience: &str) -> Self {
        Self { audience: audience.into(), ..self }
    }

    /// What it says.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The token itself, for the one service that is to see it.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.text
    }

    /// Whether the authority could accept it at all: audience, time, verified address.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn check(&self, now_unix: i64) -> Result<(), TokenError> {
        let claims = &self.claims;
        if !claims.audience.iter().any(|a| **a == *self.audience) {
            let found = crate::http::readable(&claims.audience.join(", "));
            return Err(TokenError::WrongAudience { expected: self.audience.clone(), found });
        }
        if claims.expires_at <= now_unix {
            return Err(TokenError::Expired(now_unix.saturating_sub(claims.expires_at)));
        }
        if let Some(start) = claims.not_before
            && start > now_unix.saturating_add(LEEWAY_SECONDS)
        {
            return Err(TokenError::NotYetValid(start.saturating_sub(now_unix)));
        }
        if let (Some(email), Some(false)) = (&claims.email, claims.email_verified) {
            return Err(TokenError::UnverifiedEmail(crate::http::readable(email)));
        }
        Ok(())
    }
}

impl fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdentityToken(of {})", self.claims.issuer)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A token nobody would accept, but any client can read.
    pub(crate) fn unsigned(claims: &serde_json::Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn good() -> serde_json::Value {
        serde_json::json!({
            "iss": "https://issuer.example", "sub": "opaque", "aud": "sigstore", "exp": 2000, "iat": 1000.5,
            "email": "ann@example.org", "email_verified": true, "other": {"deep": [1]},
            "federated_claims": {"connector_id": "https://accounts.example"}, "cnf": {"jkt": "AAAA"},
        })
    }

    #[test]
    fn claims_are_read_and_the_token_is_never_shown() {
        let text = unsigned(&good());
        let token = IdentityToken::parse(&format!(" {text}\n")).unwrap();
        assert_eq!(token.secret(), text);
        assert_eq!(token.claims().shown_identity(), "ann@example.org");
        assert_eq!(token.claims().issued_at, Some(1000));
        assert_eq!(token.claims().federated_issuer.as_deref(), Some("https://accounts.example"));
        assert_eq!(token.claims().key_thumbprint.as_deref(), Some("AAAA"));
        assert_eq!(format!("{token:?}"), "IdentityToken(of https://issuer.example)");
        token.check(1999).unwrap();
    }

    #[test]
    fn what_the_authority_would_refuse_fails_early() {
        let with = |key: &str, value: serde_json::Value| {
            let mut claims = good();
            claims[key] = value;
            IdentityToken::parse(&unsigned(&claims)).and_then(|t| t.check(1500))
        };
        assert_eq!(with("exp", 1500.into()), Err(TokenError::Expired(0)));
        assert_eq!(with("nbf", 1561.into()), Err(TokenError::NotYetValid(61)));
        assert_eq!(with("nbf", 1560.into()), Ok(()));
        let wrong = TokenError::WrongAudience { expected: "sigstore".into(), found: "x".into() };
        assert_eq!(with("aud", "x".into()), Err(wrong));
        let ours = IdentityToken::parse(&unsigned(&good())).unwrap();
        assert!(matches!(ours.made_for("release").check(1500), Err(TokenError::WrongAudience { .. })));
        assert_eq!(with("aud", serde_json::json!(["x", "sigstore"])), Ok(()));
        assert_eq!(
            with("email_verified", false.into()),
            Err(TokenError::UnverifiedEmail("ann@example.org".into()))
        );
        assert!(matches!(with("sub", 3.into()), Err(TokenError::Malformed(_))));
        for bad in [
            "",
            "a.b",
            "a.b.c",
            "a.b.c.d",
            "e30.e30.e30",
            "e30.!!.e30",
            &unsigned(&good()).replace("c2ln", "c2\nln"),
            &"a".repeat(70_000),
        ] {
            assert!(matches!(IdentityToken::parse(bad), Err(TokenError::Malformed(_))), "{bad}");
        }
    }
}
