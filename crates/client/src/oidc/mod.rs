//! OpenID Connect as a signer meets it: find a provider, sign in, receive an identity token.
//!
//! OpenID Connect Discovery 1.0, OAuth 2.0 for native applications (RFC 8252), PKCE (RFC 7636).
//! Verification of tokens belongs to the authority that accepts them (`sealog-identity`).

mod ambient;
mod browser;
mod device;
mod loopback;
mod mail;
mod spiffe;
mod token;

pub use ambient::{Ambient, AmbientError, Surroundings};
pub use browser::{Notice, SignIn, sign_in, sign_in_by_paste};
pub use device::{DeviceCode, sign_in_on_device};
pub use loopback::Loopback;
pub use mail::{Question, sign_in_by_mail};
pub use spiffe::SpiffeError;
pub use token::{AUDIENCE, Claims, IdentityToken, TokenError};

use crate::http::{self, Client, HttpError, Request};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sealog_crypto::{Zeroizing, random_array};
use serde::Deserialize;
use std::time::Duration;
use url::Url;

/// The largest discovery document and token answer we read.
const MAX_DOCUMENT_BYTES: usize = 256 << 10;
/// RFC 8628 §3.4.
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why signing in did not end with a token.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The provider could not be asked, or refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The discovery document is not one.
    #[error("{url} is no OpenID provider's discovery document")]
    NotDiscovery {
        /// Where it was read.
        url: http::Shown,
    },
    /// The document speaks for someone else.
    #[error("the discovery document of `{expected}` is for the issuer `{found}`")]
    OtherIssuer {
        /// The issuer asked.
        expected: Box<str>,
        /// The issuer that answered.
        found: Box<str>,
    },
    /// No proof key for code exchange.
    #[error("the OpenID provider `{0}` does not offer PKCE with S256")]
    NoPkce(Box<str>),
    /// No port to be answered on.
    #[error("no port could be opened on 127.0.0.1 for the browser to come back to")]
    Listen(#[source] std::io::Error),
    /// The person, or the provider, said no.
    #[error("the OpenID provider refused: {0}")]
    Refused(Box<str>),
    /// Nobody could be asked for the code.
    #[error("no code could be read from the keyboard")]
    Keyboard(#[source] std::io::Error),
    /// What was typed.
    #[error("what was typed is no code of the OpenID provider's page")]
    NotACode,
    /// No proof by mail.
    #[error("the OpenID provider `{0}` mails no codes to people who type them here")]
    NoMail(Box<str>),
    /// No device flow.
    #[error("the OpenID provider has no sign-in for devices without a browser")]
    NoDevices,
    /// A device flow that cannot be shown to anyone.
    #[error("the OpenID provider's answer holds no code to type, or no page to type it into")]
    NoDeviceCode,
    /// Nobody came back.
    #[error("nobody signed in within {} s", .0.as_secs())]
    NobodyCame(Duration),
    /// An answer without a token.
    #[error("the OpenID provider's answer holds no identity token")]
    NoToken,
    /// A token of another sign-in, or another issuer.
    #[error("the OpenID provider's token does not belong to this sign-in: its {0} differs")]
    NotOurs(&'static str),
    /// A token that could never be accepted.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No random bytes.
    #[error(transparent)]
    Random(#[from] sealog_crypto::RandomError),
}

/// What a provider says of itself.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its issuer string, compared exactly.
    pub issuer: String,
    /// Where people sign in.
    pub authorization_endpoint: Url,
    /// Where codes become tokens.
    pub token_endpoint: Url,
    /// Where devices without a browser begin (RFC 8628), if it has one.
    pub device_endpoint: Option<Url>,
    /// Where such a device has a code mailed, and hands it in: a thing of Sealog's provider.
    pub mail_endpoint: Option<Url>,
    /// Whether it binds identity tokens to the key that `dpop_jkt` names. Asked of one that is not known to, the parameter
    /// could mean that a proof must come with the code (RFC 9449 §10).
    pub binds_keys: bool,
}

/// What the token endpoint answers, as far as it matters here.
#[derive(Deserialize)]
struct TokenAnswer {
    id_token: String,
}

/// 256 random bits as unreserved characters.
fn random_text() -> Result<Zeroizing<String>, OidcError> {
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(random_array::<32>()?)))
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    device_authorization_endpoint: Option<String>,
    mail_proof_endpoint: Option<String>,
    #[serde(default)]
    id_token_bound_by: Vec<String>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
}

impl Provider {
    /// Asks an issuer for its endpoints.
    ///
    /// # Errors
    /// See [`OidcError`].
    pub async fn discover(client: &Client, issuer: &str) -> Result<Self, OidcError> {
        let url = http::below(&http::parse_url(issuer)?, ".well-known/openid-configuration");
        // Whoever can change the document on the way decides where the person signs in.
        http::keeps_secrets(&url)?;
        let request = Request::get(url.clone())
            .accept("application/json")
            .limit(MAX_DOCUMENT_BYTES)
            .timeout(DISCOVERY_TIMEOUT);
        let response = client.send(request).await?;
        let not_discovery = || OidcError::NotDiscovery { url: http::Shown::from(&url) };
        let found: Discovery = serde_json::from_slice(&response.body).map_err(|_| not_discovery())?;
        // A document may only speak for the issuer it was asked of (Discovery §4.3). Services name their
        // provider by base URL, which people write with and without a final slash; providers do not.
        if found.issuer.trim_end_matches('/') != issuer.trim_end_matches('/') {
            return Err(OidcError::OtherIssuer {
                expected: http::readable(issuer),
                found: http::readable(&found.issuer),
            });
        }
        if !found.code_challenge_methods_supported.iter().any(|method| method == "S256") {
            return Err(OidcError::NoPkce(http::readable(issuer)));
        }
        let optional = |url: Option<String>| url.as_deref().map(http::parse_url).transpose();
        Ok(Self {
            issuer: found.issuer,
            authorization_endpoint: http::parse_url(&found.authorization_endpoint)?,
            token_endpoint: http::parse_url(&found.token_endpoint)?,
            device_endpoint: optional(found.device_authorization_endpoint)?,
            mail_endpoint: optional(found.mail_proof_endpoint)?,
            binds_keys: found.id_token_bound_by.iter().any(|way| way == "dpop_jkt"),
        })
    }
}

#[cfg(test)]
mod tests;
