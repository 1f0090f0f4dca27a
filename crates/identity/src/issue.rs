//! Issuing tokens: JWS compact form (RFC 7515 §3.1) over claims that the caller chose.
//!
//! For our own provider and for tests. Which claims a token must have is the provider's to know.

use crate::{algorithm::Algorithm, asn1, base64url};
use alloc::{format, string::String, vec::Vec};
use sealog_crypto::{KeyKind, Scheme, SignError, Signer};

/// Why a token cannot be issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssueError {
    /// The key signs in a way no [`Algorithm`] names.
    #[error("a {0} key signs no tokens")]
    Key(KeyKind),
    /// The key's back end failed.
    #[error("the token could not be signed")]
    Sign(#[from] SignError),
}

/// The algorithm of tokens by this key.
///
/// # Errors
/// [`IssueError::Key`] when there is none.
pub fn algorithm_of(signer: &dyn Signer) -> Result<Algorithm, IssueError> {
    let kind = signer.public_key().kind();
    let fitting = |a: &Algorithm| a.scheme() == signer.scheme() && a.fits(kind);
    Algorithm::ALL.into_iter().find(fitting).ok_or(IssueError::Key(kind))
}

/// A token with these claims.
///
/// # Errors
/// See [`IssueError`].
pub fn issue(claims: &serde_json::Value, key_id: &str, signer: &dyn Signer) -> Result<String, IssueError> {
    let algorithm = algorithm_of(signer)?;
    let header = serde_json::json!({"alg": algorithm.name(), "kid": key_id, "typ": "JWT"});
    let part = |value: &serde_json::Value| base64url::encode(format!("{value}").as_bytes());
    let signed = format!("{}.{}", part(&header), part(claims));
    let signature = signer.sign(signed.as_bytes())?;
    let signature = match algorithm.scheme() {
        Scheme::Ecdsa(_) => side_by_side(&signature, algorithm).ok_or(SignError::Backend)?,
        _ => signature,
    };
    Ok(format!("{signed}.{}", base64url::encode(&signature)))
}

/// ECDSA's two numbers as JWS writes them (RFC 7518 §3.4): in full length, one after the other.
fn side_by_side(der: &[u8], algorithm: Algorithm) -> Option<Vec<u8>> {
    let length = algorithm.coordinate()?;
    let (numbers, _) = asn1::read(asn1::SEQUENCE, der)?;
    let (r, rest) = asn1::read(asn1::INTEGER, numbers)?;
    let (s, _) = asn1::read(asn1::INTEGER, rest)?;
    let mut out = Vec::new();
    for number in [r, s] {
        let digits = asn1::without_leading_zeros(number);
        out.resize(out.len() + length.checked_sub(digits.len())?, 0);
        out.extend_from_slice(digits);
    }
    Some(out)
}
