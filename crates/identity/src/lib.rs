//! OpenID Connect federation: tokens, issuer rules, and the principal a certificate names.
//!
//! In scope: parsing an identity token (JWS compact form, RFC 7515 and RFC 7519), keys of an issuer
//! (RFC 7517), the issuer's discovery document, verifying the token, and the rules by which claims
//! become a certificate's names and extensions (Fulcio's issuer types and templates). Not in scope:
//! fetching documents (`client`, `server`), what a certificate looks like (`pki`).
//!
//! Must always hold: a [`Claims`] value exists only for a token whose signature, issuer, audience and
//! time were checked, and a [`Principal`] only for such claims. What an operator fixed (constants, the
//! host of a name) is never replaced by what a token says. A required claim that is missing, null,
//! empty or of another type is a refusal, never an empty string in a certificate.
//!
//! ```
//! use sealog_identity::UnverifiedToken;
//! // Nothing can be read from a token before its signature was checked, except whom to ask for keys.
//! assert!(UnverifiedToken::parse("not.a token").is_err());
//! ```

#![no_std]
extern crate alloc;

mod algorithm;
mod asn1;
mod base64url;
pub mod confirmation;
pub mod discovery;
pub mod issue;
pub mod issuer;
pub mod json;
pub mod jwk;
pub mod preset;
pub mod principal;
pub mod seen;
pub mod template;
pub mod token;
mod uri;

pub use algorithm::Algorithm;
pub use confirmation::{Confirmation, ConfirmationError};
pub use discovery::{Discovery, DiscoveryError};
pub use issuer::{IssuerKind, IssuerRule, IssuerRules, RuleError};
pub use json::Json;
pub use jwk::{JwkError, Jwks, JwksError};
pub use principal::{Principal, PrincipalError};
pub use seen::{SeenTokens, Sight};
pub use token::{Checks, Claims, TokenError, UnverifiedToken, verify};
pub use uri::is_email;
