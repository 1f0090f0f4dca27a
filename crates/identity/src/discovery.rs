//! An issuer's discovery document (OpenID Connect Discovery 1.0 §3 and §4).
//!
//! Whoever fetches it does so from [`url`] of the issuer alone, follows no redirect to another host,
//! and gives the bytes here.

use crate::{
    algorithm::Algorithm,
    json::{self, Json, JsonError, Object},
    uri::Uri,
};
use alloc::{borrow::ToOwned as _, format, string::String, vec::Vec};

/// A document longer than this is refused unread.
pub const MAX_BYTES: usize = 256 * 1024;

/// Why a document is not this issuer's, or not usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// Longer than [`MAX_BYTES`].
    #[error("the issuer's discovery document has {found} bytes, more than {MAX_BYTES}")]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// Not JSON as it is taken here.
    #[error("the issuer's discovery document cannot be read: {0}")]
    Json(JsonError),
    /// Another issuer's document: a slash at the end is a difference.
    #[error("the discovery document is of the issuer {found:?}, not {expected:?}")]
    Issuer {
        /// Whose it must be.
        expected: String,
        /// Whose it says it is.
        found: String,
    },
    /// A member that must be there is not, or is not text.
    #[error("the issuer's discovery document has no text {0:?}")]
    Missing(&'static str),
    /// Not an `https` URL, nor an `http` one on this machine.
    #[error("the issuer's {member} {found:?} is neither https nor on this machine")]
    Unprotected {
        /// Which member.
        member: &'static str,
        /// Its value.
        found: String,
    },
    /// None of the issuer's algorithms is one of ours.
    #[error("the issuer signs with none of the algorithms known here")]
    Algorithms,
}

/// What is used of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovery {
    /// Where the issuer's keys are.
    pub jwks_uri: String,
    /// The algorithms of its tokens that are known here.
    pub algorithms: Vec<Algorithm>,
    /// Where people sign in; build systems have no such place.
    pub authorization_endpoint: Option<String>,
    /// Where codes become tokens.
    pub token_endpoint: Option<String>,
    /// Where an access token tells what the identity token does not (Core §5.3).
    pub userinfo_endpoint: Option<String>,
    /// How a client shows it its secret; none where it takes none of the ways known here.
    pub secret_in: Option<SecretIn>,
    /// Whether it says that it takes PKCE with S256 (RFC 8414 §2).
    pub pkce: bool,
}

/// Where in a request to the token endpoint a client's secret stands (Core §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretIn {
    /// `client_secret_basic`: in the header of HTTP Basic.
    Header,
    /// `client_secret_post`: in the form.
    Form,
}

/// Where an issuer's document is (§4.1).
#[must_use]
pub fn url(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer))
}

impl Discovery {
    /// Parses the document of `issuer`.
    ///
    /// # Errors
    /// See [`DiscoveryError`].
    pub fn parse(document: &[u8], issuer: &str) -> Result<Self, DiscoveryError> {
        if document.len() > MAX_BYTES {
            return Err(DiscoveryError::TooLong { found: document.len() });
        }
        let object = json::parse_object(document).map_err(DiscoveryError::Json)?;
        let found = text(&object, "issuer")?;
        if found != issuer {
            return Err(DiscoveryError::Issuer {
                expected: issuer.to_owned(),
                found: json::shortened(found),
            });
        }
        let jwks_uri = text(&object, "jwks_uri")?;
        if !Uri::parse(jwks_uri).is_some_and(|uri| uri.is_confidential()) {
            let found = json::shortened(jwks_uri);
            return Err(DiscoveryError::Unprotected { member: "jwks_uri", found });
        }
        let methods = object.get("code_challenge_methods_supported").and_then(Json::as_array);
        Ok(Self {
            jwks_uri: jwks_uri.to_owned(),
            algorithms: algorithms(&object)?,
            authorization_endpoint: endpoint(&object, "authorization_endpoint")?,
            token_endpoint: endpoint(&object, "token_endpoint")?,
            userinfo_endpoint: endpoint(&object, "userinfo_endpoint")?,
            secret_in: secret_in(&object),
            pkce: methods.is_some_and(|methods| methods.iter().any(|name| name.as_text() == Some("S256"))),
        })
    }
}

fn text<'a>(object: &'a Object, name: &'static str) -> Result<&'a str, DiscoveryError> {
    object.get(name).and_then(Json::as_text).ok_or(DiscoveryError::Missing(name))
}

/// A place where secrets are shown.
fn endpoint(object: &Object, name: &'static str) -> Result<Option<String>, DiscoveryError> {
    let Some(found) = object.get(name).and_then(Json::as_text) else { return Ok(None) };
    match Uri::parse(found).is_some_and(|uri| uri.is_confidential()) {
        true => Ok(Some(found.to_owned())),
        false => Err(DiscoveryError::Unprotected { member: name, found: json::shortened(found) }),
    }
}

/// Basic where nothing is said (§3), and where there is a choice: RFC 6749 §2.3.1 has every server take it.
fn secret_in(object: &Object) -> Option<SecretIn> {
    let Some(named) = object.get("token_endpoint_auth_methods_supported") else {
        return Some(SecretIn::Header);
    };
    let takes =
        |method| named.as_array().unwrap_or_default().iter().any(|name| name.as_text() == Some(method));
    match (takes("client_secret_basic"), takes("client_secret_post")) {
        (true, _) => Some(SecretIn::Header),
        (false, true) => Some(SecretIn::Form),
        (false, false) => None,
    }
}

/// Others than ours are passed over: a token signed with one of them is refused by its header.
fn algorithms(object: &Object) -> Result<Vec<Algorithm>, DiscoveryError> {
    let Some(named) = object.get("id_token_signing_alg_values_supported") else {
        return Ok(Algorithm::DEFAULT.to_vec());
    };
    let named = named.as_array().unwrap_or_default();
    let known: Vec<_> = Algorithm::ALL
        .into_iter()
        .filter(|algorithm| named.iter().any(|name| name.as_text() == Some(algorithm.name())))
        .collect();
    if known.is_empty() { Err(DiscoveryError::Algorithms) } else { Ok(known) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(issuer: &str, more: &str) -> Vec<u8> {
        format!(r#"{{"issuer":"{issuer}","jwks_uri":"https://a.example/keys"{more}}}"#).into_bytes()
    }

    #[test]
    fn the_issuer_must_be_the_same_text() {
        let parsed = Discovery::parse(&document("https://a.example", ""), "https://a.example").unwrap();
        assert_eq!(parsed.jwks_uri, "https://a.example/keys");
        assert_eq!(parsed.algorithms, [Algorithm::Rs256]);
        let error = Discovery::parse(&document("https://a.example/", ""), "https://a.example").unwrap_err();
        assert!(matches!(error, DiscoveryError::Issuer { .. }));
    }

    #[test]
    fn only_known_algorithms_count() {
        let of = |list: &str| {
            let more = format!(r#","id_token_signing_alg_values_supported":{list}"#);
            Discovery::parse(&document("https://a.example", &more), "https://a.example")
        };
        let parsed = of(r#"["none","HS256","ES256","RS256"]"#).unwrap();
        assert_eq!(parsed.algorithms, [Algorithm::Rs256, Algorithm::Es256]);
        assert_eq!(of(r#"["none","HS256"]"#), Err(DiscoveryError::Algorithms));
    }

    #[test]
    fn a_secret_is_shown_in_a_way_that_the_issuer_takes() {
        let of = |list: &str| {
            let more = format!(r#","token_endpoint_auth_methods_supported":{list}"#);
            Discovery::parse(&document("https://a.example", &more), "https://a.example").unwrap().secret_in
        };
        for basic in [r#"["client_secret_basic"]"#, r#"["client_secret_post","client_secret_basic"]"#] {
            assert_eq!(of(basic), Some(SecretIn::Header), "{basic}");
        }
        assert_eq!(of(r#"["none","client_secret_post"]"#), Some(SecretIn::Form));
        for other in [r#"["private_key_jwt","none"]"#, "[]", "null", r#""client_secret_basic""#] {
            assert_eq!(of(other), None, "{other}");
        }
        let silent = Discovery::parse(&document("https://a.example", ""), "https://a.example").unwrap();
        assert_eq!(silent.secret_in, Some(SecretIn::Header));
    }

    #[test]
    fn keys_are_not_fetched_in_the_open() {
        let plain = br#"{"issuer":"https://a.example","jwks_uri":"http://a.example/keys"}"#;
        let error = Discovery::parse(plain, "https://a.example").unwrap_err();
        assert!(matches!(error, DiscoveryError::Unprotected { member: "jwks_uri", .. }));
        let of = |more: &str| Discovery::parse(&document("https://a.example", more), "https://a.example");
        for endpoint in ["token_endpoint", "userinfo_endpoint"] {
            let error = of(&format!(r#","{endpoint}":"http://a.example/token""#)).unwrap_err();
            assert!(matches!(error, DiscoveryError::Unprotected { member, .. } if member == endpoint));
        }
        let found =
            of(r#","token_endpoint":"https://a.example/t","code_challenge_methods_supported":["S256"]"#);
        let found = found.unwrap();
        assert_eq!((found.token_endpoint.as_deref(), found.pkce), (Some("https://a.example/t"), true));
        assert_eq!((found.authorization_endpoint, found.userinfo_endpoint), (None, None));
    }
}
