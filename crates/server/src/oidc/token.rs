//! What our tokens say, and the two issuers that say it.
//!
//! Spec: OpenID Connect Core 1.0 §2 and §3.1.3.6, Discovery 1.0 §3; the members are those of Dex, which
//! sigstore's clients were written against. sigstore-python takes the access token for the identity
//! token, so both are JWTs with the same claims; only the identity token carries `nonce` and the hash
//! of the other. A token that is no email identity never has a claim `email`: Go and JavaScript
//! clients would sign the wrong challenge.

use super::{
    grants::{Grant, Person},
    keys::SigningKeys,
    request::CLIENT_ID,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sealog_crypto::sha256;
use sealog_identity::{
    Checks, Claims, Jwks, TokenError, UnverifiedToken,
    issue::{IssueError, issue},
    verify,
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// A token is for one request to the authority, right now.
pub(super) const LIFETIME_SECONDS: i64 = 5 * 60;
/// The build system's issuer is this path under the provider's URL.
pub(super) const CI_PATH: &str = "/ci";
/// Whom a token is about.
const SUBJECT: &str = "sub";

/// Both issuers, with the keys they sign with.
pub(super) struct Issuer {
    url: String,
    keys: Arc<SigningKeys>,
}

/// What the token endpoint answers.
pub(super) struct Tokens {
    pub(super) id_token: String,
    pub(super) access_token: String,
}

/// Why claims of a build system are not signed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClaimsError {
    /// Not an object.
    #[error("the claims are not a JSON object")]
    NotAnObject,
    /// The certificate authority would refuse it.
    #[error("the claims have no text `sub`: say who the token is about")]
    NoSubject,
    /// See the top of this file.
    #[error("the claims have `email`: a build system's token must not, clients would take it for a person's")]
    Email,
    /// The key failed.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

impl Issuer {
    /// The issuer whose URL this is.
    pub(super) fn new(url: &str, keys: Arc<SigningKeys>) -> Self {
        Self { url: url.to_owned(), keys }
    }

    /// The key set, the same for both issuers.
    pub(super) fn jwks(&self) -> String {
        self.keys.now().set.to_string()
    }

    /// The people's issuer, and whether a program may have addresses proven by mail.
    pub(super) fn discovery(&self, by_mail: bool) -> String {
        let at = |path: &str| format!("{}{path}", self.url);
        let mut document = json!({
            "issuer": self.url,
            "authorization_endpoint": at("/auth"),
            "token_endpoint": at("/token"),
            "jwks_uri": at("/keys"),
            "userinfo_endpoint": at("/userinfo"),
            "device_authorization_endpoint": at("/device/code"),
            "grant_types_supported": ["authorization_code", super::api::DEVICE_GRANT],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "scopes_supported": ["openid", "email", "profile"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
            "claims_supported": ["iss", "sub", "aud", "iat", "exp", "email", "email_verified", "nonce",
                "at_hash", "federated_claims"],
            "authorization_response_iss_parameter_supported": true,
            // Ours: a request's `dpop_jkt` becomes the ID token's `cnf`, with no proof beside the code.
            "id_token_bound_by": ["dpop_jkt"],
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
        });
        if by_mail {
            // Our own: others may be added (RFC 8414 §2).
            put(&mut document, "mail_proof_endpoint", at(super::terminal::PATH));
        }
        document.to_string()
    }

    /// The build system's issuer: it has keys and nothing else, like a build system.
    pub(super) fn ci_discovery(&self) -> String {
        let issuer = self.ci_url();
        json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/keys"),
            "subject_types_supported": ["public"],
            "response_types_supported": ["id_token"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid"],
        })
        .to_string()
    }

    fn ci_url(&self) -> String {
        format!("{}{CI_PATH}", self.url)
    }

    /// Tokens for the owner of an address.
    pub(super) fn for_grant(&self, grant: &Grant, now: i64) -> Result<Tokens, IssueError> {
        let signing = self.keys.now();
        let mut claims = self.email_claims(&grant.person, CLIENT_ID, now);
        // RFC 7800 §3.1, RFC 9449 §6.1: who certifies the token's owner holds the key to it.
        if let Some(thumbprint) = &grant.key_thumbprint {
            put(&mut claims, "cnf", json!({ "jkt": thumbprint }));
        }
        let access_token = issue(&claims, &signing.key_id, &signing.key)?;
        // Core §3.1.3.6: the left half of the hash that the signature uses.
        let hash = sha256(access_token.as_bytes());
        let (left_half, _) = hash.split_at(hash.len() / 2);
        put(&mut claims, "at_hash", URL_SAFE_NO_PAD.encode(left_half));
        if let Some(nonce) = &grant.nonce {
            put(&mut claims, "nonce", nonce.as_str());
        }
        Ok(Tokens { id_token: issue(&claims, &signing.key_id, &signing.key)?, access_token })
    }

    /// A token for an address, without anyone having signed in.
    pub(super) fn for_address(&self, address: &str, audience: &str, now: i64) -> Result<String, IssueError> {
        let (address, connector_id) = (address.to_owned(), self.url.clone());
        let person = Person { user_id: address.clone(), address, connector_id };
        self.sign(&self.email_claims(&person, audience, now))
    }

    /// A token with a build system's claims; what they say of time and audience counts.
    pub(super) fn for_claims(&self, claims: Value, audience: &str, now: i64) -> Result<String, ClaimsError> {
        let Value::Object(claims) = claims else { return Err(ClaimsError::NotAnObject) };
        if claims.get(SUBJECT).and_then(Value::as_str).unwrap_or_default().is_empty() {
            return Err(ClaimsError::NoSubject);
        }
        if claims.contains_key("email") {
            return Err(ClaimsError::Email);
        }
        let mut all = registered(&self.ci_url(), audience, now);
        all.extend(claims);
        Ok(self.sign(&Value::Object(all))?)
    }

    fn sign(&self, claims: &Value) -> Result<String, IssueError> {
        let signing = self.keys.now();
        issue(claims, &signing.key_id, &signing.key)
    }

    /// The claims of one of our own tokens.
    pub(super) fn verify(&self, token: &str, now_unix: i64) -> Result<Claims, TokenError> {
        let keys = Jwks::parse(self.jwks().as_bytes()).unwrap_or_default();
        let checks = Checks {
            issuer: &self.url,
            audience: CLIENT_ID,
            now_unix,
            expiry_leeway_seconds: 0,
            not_before_leeway_seconds: 0,
            algorithms: &sealog_identity::Algorithm::DEFAULT,
        };
        verify(&UnverifiedToken::parse(token)?, &keys, &checks)
    }

    fn email_claims(&self, person: &Person, audience: &str, now: i64) -> Value {
        let Person { address, connector_id, user_id } = person;
        let mut claims = registered(&self.url, audience, now);
        claims.extend([
            (SUBJECT.to_owned(), json!(address)),
            ("email".to_owned(), json!(address)),
            ("email_verified".to_owned(), json!(true)),
            ("federated_claims".to_owned(), json!({"connector_id": connector_id, "user_id": user_id})),
        ]);
        Value::Object(claims)
    }
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Issuer({})", self.url)
    }
}

fn registered(issuer: &str, audience: &str, now: i64) -> Map<String, Value> {
    let mut claims = Map::new();
    let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
    put("iss", json!(issuer));
    put("aud", json!(audience));
    put("iat", json!(now));
    put("exp", json!(now.saturating_add(LIFETIME_SECONDS)));
    claims
}

fn put(claims: &mut Value, name: &str, value: impl Into<Value>) {
    if let Value::Object(claims) = claims {
        claims.insert(name.to_owned(), value.into());
    }
}
