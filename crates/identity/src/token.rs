//! Identity tokens: JSON Web Tokens (RFC 7519) in JWS compact form (RFC 7515), parsed and verified.
//!
//! Written out here rather than taken from a library, because everything that went wrong with such
//! tokens went wrong in the choice of algorithm and key. The rules, after RFC 8725:
//! the algorithm is one of [`Algorithm`] (no `none`, no shared secrets); it must be one the caller
//! allows for this issuer, and the one the chosen key is for (type, curve, and the key's own `alg`);
//! the key comes from the issuer's set alone, never from the token's header; nothing in the header
//! that would change the meaning of the rest (`crit`) is accepted.
//!
//! A token has one reading: strict base64url, no member twice, bounded length and depth.
//! No error says more of a token than its header's and registered claims' values.

use crate::{
    algorithm::Algorithm,
    base64url,
    json::{self, Json, JsonError, Object},
    jwk::{JwkError, Jwks},
};
use alloc::{borrow::ToOwned as _, string::String, vec::Vec};
use core::fmt;
use sealog_crypto::{KeyKind, PublicKey};

/// A token longer than this is refused unread; real ones have one to three thousand bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// Claims that end up in certificates are at most this long.
pub const MAX_CLAIM_BYTES: usize = 4096;

/// Names of keys are hashes or dates; a longer one than this is refused.
const MAX_KEY_ID_BYTES: usize = 512;
/// A token is for one or two audiences; a list of more than this is refused.
const MAX_AUDIENCES: usize = 16;

/// Why a token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`MAX_BYTES`].
    #[error("the identity token has {found} bytes, more than {MAX_BYTES}")]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// Not three parts with dots between.
    #[error("the identity token is not a signed token: it has {found} parts separated by dots, not 3")]
    Parts {
        /// How many parts.
        found: usize,
    },
    /// A part is not base64url without padding.
    #[error("the identity token's {0} is not base64url without padding")]
    Base64(Part),
    /// A part is not JSON as it is taken here.
    #[error("the identity token's {part} cannot be read: {error}")]
    Json {
        /// Which part.
        part: Part,
        /// What is wrong with it.
        error: JsonError,
    },
    /// The header's algorithm is missing, `none`, one with a shared secret, or unknown.
    #[error("the identity token is signed with {found:?}, which is not accepted")]
    Algorithm {
        /// The header's `alg`, empty when it is not text.
        found: String,
    },
    /// A good algorithm that this issuer does not use.
    #[error("the identity token is signed with {found}, but its issuer signs with {expected:?}")]
    AlgorithmNotAllowed {
        /// The header's `alg`.
        found: Algorithm,
        /// Those of the issuer.
        expected: Vec<Algorithm>,
    },
    /// A header member that would change the meaning of the token, or has the wrong type.
    #[error("the identity token's header member {0:?} is not accepted")]
    Header(&'static str),
    /// A claim is not there.
    #[error("the identity token has no claim {claim:?}")]
    MissingClaim {
        /// Its name.
        claim: &'static str,
    },
    /// A claim is there but not what it must be.
    #[error("the identity token's claim {claim:?} must be {expected}, not {found}")]
    ClaimType {
        /// Its name.
        claim: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// Issued by someone else.
    #[error("the identity token is from the issuer {found:?}, not {expected:?}")]
    Issuer {
        /// Who must have issued it.
        expected: String,
        /// Who says to have.
        found: String,
    },
    /// The issuer has no such key (any more, or yet).
    #[error("the issuer has no usable key {} that signs with {algorithm}", Named(key_id))]
    UnknownKey {
        /// The header's `kid`.
        key_id: Option<String>,
        /// The header's `alg`.
        algorithm: Algorithm,
    },
    /// The issuer has the key, but it cannot be used.
    #[error("the issuer's key {key_id:?} cannot be used: {error}")]
    UnusableKey {
        /// The header's `kid`.
        key_id: String,
        /// Why.
        error: JwkError,
    },
    /// The key is not for this algorithm.
    #[error(
        "the identity token is signed with {algorithm}, but the issuer's key {} is {kind}",
        Named(key_id)
    )]
    WrongKey {
        /// The header's `kid`.
        key_id: Option<String>,
        /// The header's `alg`.
        algorithm: Algorithm,
        /// What the key is.
        kind: KeyKind,
    },
    /// The signature is not by the issuer's key.
    #[error("the identity token's signature does not verify with the issuer's key")]
    Signature,
    /// For someone else.
    #[error("the identity token is for the audience {found:?}, not {expected:?}")]
    Audience {
        /// For whom it must be.
        expected: String,
        /// For whom it is.
        found: Vec<String>,
    },
    /// Too late.
    #[error("the identity token expired at {expired} (unix time), and it is {now}")]
    Expired {
        /// Its `exp`.
        expired: i64,
        /// The present.
        now: i64,
    },
    /// Too early.
    #[error("the identity token is not valid before {not_before} (unix time), and it is {now}")]
    NotYetValid {
        /// Its `nbf`.
        not_before: i64,
        /// The present.
        now: i64,
    },
}

impl TokenError {
    /// Whether the issuer's documents, fetched anew, could make a difference: its keys change under old names, new names and
    /// none. Anybody can make a token of which this is true: fetch once, and not at will.
    #[must_use]
    pub const fn newer_keys_may_help(&self) -> bool {
        matches!(
            self,
            Self::UnknownKey { .. }
                | Self::UnusableKey { .. }
                | Self::WrongKey { .. }
                | Self::Signature
                | Self::AlgorithmNotAllowed { .. }
        )
    }
}

/// A key's name, for errors.
struct Named<'a>(&'a Option<String>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "{name:?}"),
            None => f.write_str("without a name"),
        }
    }
}

/// A part of a token, for errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first.
    Header,
    /// The second.
    Payload,
    /// The third.
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

/// A token that was taken apart but not believed: it says only whom to ask for keys.
#[derive(Clone)]
pub struct UnverifiedToken<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    key_id: Option<String>,
    issuer: String,
    claims: Object,
}

impl<'a> UnverifiedToken<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn parse(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > MAX_BYTES {
            return Err(TokenError::TooLong { found: text.len() });
        }
        let parts = text.split('.').count();
        let (signed, signature) = text.rsplit_once('.').ok_or(TokenError::Parts { found: parts })?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Parts { found: parts })?;
        if payload.contains('.') {
            return Err(TokenError::Parts { found: parts });
        }
        let header = object(Part::Header, header)?;
        let (algorithm, key_id) = read_header(&header)?;
        let claims = object(Part::Payload, payload)?;
        let issuer = registered_text(&claims, "iss")?.to_owned();
        let signature = base64url::decode(signature).ok_or(TokenError::Base64(Part::Signature))?;
        Ok(Self { signed, signature, algorithm, key_id, issuer, claims })
    }

    /// Who says to have issued it: the key to [`crate::IssuerRules`], nothing more.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What its signature is over: header and payload, as they came.
    pub(crate) fn signed(&self) -> &str {
        self.signed
    }

    /// The key it says to be signed with.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }
}

impl fmt::Debug for UnverifiedToken<'_> {
    /// Never the token itself: whoever reads a log could use it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UnverifiedToken(issuer {:?}, {})", self.issuer, self.algorithm)
    }
}

/// What a token must be.
#[derive(Clone, Copy, Debug)]
pub struct Checks<'a> {
    /// Who must have issued it.
    pub issuer: &'a str,
    /// For whom it must be: `sigstore` where nothing else is agreed.
    pub audience: &'a str,
    /// The present, in seconds since 1970.
    pub now_unix: i64,
    /// How long after its `exp` it is still believed, in seconds. Fulcio's library (go-oidc) allows none.
    pub expiry_leeway_seconds: i64,
    /// How far ahead its `nbf` may be, in seconds: an issuer's clock may run before ours. Fulcio's library allows 300.
    pub not_before_leeway_seconds: i64,
    /// Algorithms of this issuer: those of its discovery document, else [`Algorithm::DEFAULT`].
    pub algorithms: &'a [Algorithm],
}

/// Verifies a token with its issuer's keys.
///
/// # Errors
/// See [`TokenError`], and [`TokenError::newer_keys_may_help`].
pub fn verify(token: &UnverifiedToken<'_>, keys: &Jwks, checks: &Checks<'_>) -> Result<Claims, TokenError> {
    if token.issuer != checks.issuer {
        return Err(TokenError::Issuer { expected: checks.issuer.to_owned(), found: token.issuer.clone() });
    }
    if !checks.algorithms.contains(&token.algorithm) {
        return Err(TokenError::AlgorithmNotAllowed {
            found: token.algorithm,
            expected: checks.algorithms.to_vec(),
        });
    }
    check_signature(token, keys)?;
    let claims = Claims::read(&token.claims)?;
    claims.check_audience(checks)?;
    claims.check_time(checks)?;
    Ok(claims)
}

/// The algorithm comes from the header, the key from the issuer, and both must agree before any
/// signature is looked at: `HS256` with the public key as the secret, and `ES256` with an RSA key,
/// end here or earlier.
fn check_signature(token: &UnverifiedToken<'_>, keys: &Jwks) -> Result<(), TokenError> {
    let mut refusal = None;
    for jwk in keys.candidates(token.key_id()) {
        let declared = jwk.algorithm.is_none_or(|algorithm| algorithm == token.algorithm);
        if !declared || !token.algorithm.fits(jwk.key.kind()) {
            refusal.get_or_insert(TokenError::WrongKey {
                key_id: token.key_id.clone(),
                algorithm: token.algorithm,
                kind: jwk.key.kind(),
            });
            continue;
        }
        if signed_by(token, &jwk.key) {
            return Ok(());
        }
        refusal = Some(TokenError::Signature);
    }
    Err(refusal.unwrap_or_else(|| no_such_key(token, keys)))
}

fn signed_by(token: &UnverifiedToken<'_>, key: &PublicKey) -> bool {
    token.algorithm.signature(&token.signature).is_some_and(|signature| {
        key.verify(token.algorithm.scheme(), token.signed.as_bytes(), &signature).is_ok()
    })
}

fn no_such_key(token: &UnverifiedToken<'_>, keys: &Jwks) -> TokenError {
    let unusable = token.key_id().and_then(|id| Some((id, keys.why_unusable(id)?)));
    match unusable {
        Some((key_id, error)) => TokenError::UnusableKey { key_id: key_id.to_owned(), error: error.clone() },
        None => TokenError::UnknownKey { key_id: token.key_id.clone(), algorithm: token.algorithm },
    }
}

fn object(part: Part, text: &str) -> Result<Object, TokenError> {
    let bytes = base64url::decode(text).ok_or(TokenError::Base64(part))?;
    json::parse_object(&bytes).map_err(|error| TokenError::Json { part, error })
}

fn read_header(header: &Object) -> Result<(Algorithm, Option<String>), TokenError> {
    let name = header.get("alg").and_then(Json::as_text).unwrap_or_default();
    let algorithm =
        Algorithm::from_name(name).ok_or_else(|| TokenError::Algorithm { found: json::shortened(name) })?;
    // RFC 7515 §4.1.11: whoever does not understand every critical extension must refuse; we know none.
    if header.contains_key("crit") {
        return Err(TokenError::Header("crit"));
    }
    // RFC 8725 §3.11: a token made for another purpose by the same issuer is no identity token.
    match header.get("typ").map(Json::as_text) {
        None => {}
        Some(Some(kind)) if ["JWT", "JOSE"].iter().any(|known| kind.eq_ignore_ascii_case(known)) => {}
        Some(_) => return Err(TokenError::Header("typ")),
    }
    let key_id = match header.get("kid") {
        None => None,
        Some(Json::Text(key_id)) if key_id.len() <= MAX_KEY_ID_BYTES => Some(key_id.clone()),
        Some(_) => return Err(TokenError::Header("kid")),
    };
    Ok((algorithm, key_id))
}

/// The claims of a token that was verified: nothing else makes one.
#[derive(Clone, PartialEq)]
pub struct Claims {
    all: Object,
    issuer: String,
    subject: String,
    audiences: Vec<String>,
    expires: i64,
    not_before: Option<i64>,
}

impl Claims {
    fn read(claims: &Object) -> Result<Self, TokenError> {
        // Nobody acts on `iat`, not even on one of tomorrow, and nor does Fulcio's library; still, a token whose `iat` is
        // not a date is not well formed.
        date(claims, "iat")?;
        Ok(Self {
            issuer: registered_text(claims, "iss")?.to_owned(),
            subject: registered_text(claims, "sub")?.to_owned(),
            audiences: audiences(claims)?,
            expires: date(claims, "exp")?.ok_or(TokenError::MissingClaim { claim: "exp" })?,
            not_before: date(claims, "nbf")?,
            all: claims.clone(),
        })
    }

    fn check_audience(&self, checks: &Checks<'_>) -> Result<(), TokenError> {
        if self.audiences.iter().any(|audience| audience == checks.audience) {
            return Ok(());
        }
        Err(TokenError::Audience { expected: checks.audience.to_owned(), found: self.audiences.clone() })
    }

    fn check_time(&self, checks: &Checks<'_>) -> Result<(), TokenError> {
        let now = checks.now_unix;
        if now >= self.expires.saturating_add(checks.expiry_leeway_seconds) {
            return Err(TokenError::Expired { expired: self.expires, now });
        }
        match self.not_before {
            Some(not_before) if now.saturating_add(checks.not_before_leeway_seconds) < not_before => {
                Err(TokenError::NotYetValid { not_before, now })
            }
            _ => Ok(()),
        }
    }

    /// `iss`
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `sub`
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// `exp`, in seconds since 1970.
    #[must_use]
    pub const fn expires(&self) -> i64 {
        self.expires
    }

    /// Any claim, by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.all.get(name)
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claims(issuer {:?}, subject {:?})", self.issuer, self.subject)
    }
}

fn registered_text<'a>(claims: &'a Object, claim: &'static str) -> Result<&'a str, TokenError> {
    let expected = "text of 1 to 4096 bytes";
    match claims.get(claim) {
        None => Err(TokenError::MissingClaim { claim }),
        Some(Json::Text(text)) if (1..=MAX_CLAIM_BYTES).contains(&text.len()) => Ok(text),
        Some(Json::Text(_)) => Err(TokenError::ClaimType { claim, expected, found: "empty or longer" }),
        Some(other) => Err(TokenError::ClaimType { claim, expected, found: other.kind() }),
    }
}

/// RFC 7519 §4.1.3: one audience as text, or a list of texts.
fn audiences(claims: &Object) -> Result<Vec<String>, TokenError> {
    let claim = "aud";
    let wrong = |found| TokenError::ClaimType { claim, expected: "text or a list of texts", found };
    let short = |one: &str| if one.len() > MAX_CLAIM_BYTES { None } else { Some(one.to_owned()) };
    match claims.get(claim).ok_or(TokenError::MissingClaim { claim })? {
        Json::Text(one) => Ok(alloc::vec![short(one).ok_or_else(|| wrong("a very long text"))?]),
        Json::Array(all) if all.len() > MAX_AUDIENCES => Err(wrong("a very long list")),
        Json::Array(all) => all
            .iter()
            .map(|one| one.as_text().and_then(short).ok_or_else(|| wrong("a list of other things")))
            .collect(),
        other => Err(wrong(other.kind())),
    }
}

/// RFC 7519 §2, NumericDate: seconds since 1970, perhaps with a fraction, which is dropped.
fn date(claims: &Object, claim: &'static str) -> Result<Option<i64>, TokenError> {
    const LAST: f64 = 253_402_300_799.0;
    let wrong = |found| TokenError::ClaimType { claim, expected: "a date in seconds since 1970", found };
    match claims.get(claim) {
        None => Ok(None),
        Some(Json::Integer(seconds)) => {
            i64::try_from(*seconds).map(Some).map_err(|_| wrong("a number out of range"))
        }
        Some(Json::Float(seconds)) if (0.0..=LAST).contains(seconds) => {
            // In range by the guard, so the conversion only drops the fraction.
            Ok(Some(*seconds as i64))
        }
        Some(other) => Err(wrong(other.kind())),
    }
}

#[cfg(test)]
mod tests;
