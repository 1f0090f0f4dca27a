//! The client trust config: trusted root and signing config in one file
//! (`dev.sigstore.trustroot.v1.ClientTrustConfig`).

use crate::{
    json::{Fields, JsonError, JsonFault, Unknown, Value, object},
    signing_config::{MAX_SIGNING_CONFIG_BYTES, SigningConfig},
    trusted_root::{MAX_TRUSTED_ROOT_BYTES, TrustedRoot},
};
use alloc::string::String;

/// The media type.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json";

/// Bytes in a client trust config.
pub const MAX_CLIENT_TRUST_CONFIG_BYTES: usize = MAX_TRUSTED_ROOT_BYTES + MAX_SIGNING_CONFIG_BYTES;

/// Both documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTrustConfig {
    /// Whose word counts.
    pub trusted_root: TrustedRoot,
    /// Which services to use.
    pub signing_config: SigningConfig,
}

impl ClientTrustConfig {
    /// Reads a client trust config. Unknown and repeated fields are refused.
    ///
    /// # Errors
    /// When it is not one.
    pub fn parse(document: &[u8]) -> Result<Self, JsonError> {
        Fields::document(document, MAX_CLIENT_TRUST_CONFIG_BYTES, Unknown::Refuse, |fields| {
            let media_type = fields.required_text("mediaType")?;
            if media_type != MEDIA_TYPE {
                return Err(JsonError::here(JsonFault::UnknownName(media_type)).at("mediaType"));
            }
            Ok(Self {
                trusted_root: fields.required_message("trustedRoot", TrustedRoot::read)?,
                signing_config: fields.required_message("signingConfig", SigningConfig::read)?,
            })
        })
    }

    /// The document, indented.
    #[must_use]
    pub fn to_json(&self) -> String {
        object([
            ("mediaType", Some(Value::text(MEDIA_TYPE))),
            ("trustedRoot", Some(self.trusted_root.to_value())),
            ("signingConfig", Some(self.signing_config.to_value())),
        ])
        .to_pretty()
    }
}
