//! The services that have keys: one way to ask each of them.

use sealog_client::{
    aws::{self, credentials::CredentialsError as AwsCredentialsError},
    google::{self, credentials::CredentialsError as GoogleCredentialsError},
};
use sealog_crypto::{PublicKey, Scheme};

/// A service.
#[derive(Debug)]
pub(super) enum Service {
    Aws(aws::Kms),
    Google(google::Kms),
}

/// Why a service did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// AWS.
    #[error(transparent)]
    Aws(#[from] aws::KmsError),
    /// Google Cloud.
    #[error(transparent)]
    Google(#[from] google::KmsError),
}

/// Why there is nothing to ask a service with.
#[derive(Debug, thiserror::Error)]
pub enum NoCredentials {
    /// AWS.
    #[error(transparent)]
    Aws(#[from] AwsCredentialsError),
    /// Google Cloud.
    #[error(transparent)]
    Google(#[from] GoogleCredentialsError),
}

impl ServiceError {
    /// Whether it is the network's or the service's trouble, not the configuration's.
    pub(super) fn is_outage(&self) -> bool {
        use {aws::KmsError as Aws, google::KmsError as Google};
        matches!(
            self,
            Self::Aws(Aws::Http(_) | Aws::Answer { .. })
                | Self::Google(Google::Http(_) | Google::Answer { .. })
        )
    }

    /// What to do about it.
    pub(super) fn hint(&self) -> Option<&'static str> {
        use {aws::KmsError as Aws, google::KmsError as Google};
        Some(match self {
            Self::Aws(Aws::Refused { .. }) => {
                "the role needs kms:GetPublicKey and kms:Sign for this key, in this region"
            }
            Self::Google(Google::Refused { .. }) => {
                "the service account needs the role roles/cloudkms.signerVerifier on this key"
            }
            Self::Aws(Aws::Credentials(_)) => AWS_HINT,
            Self::Google(Google::Credentials(_)) => GOOGLE_HINT,
            _ => return None,
        })
    }
}

const AWS_HINT: &str =
    "give this machine or container a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
const GOOGLE_HINT: &str =
    "give this machine a service account, or set GOOGLE_APPLICATION_CREDENTIALS to the key file of one";

impl NoCredentials {
    pub(super) fn hint(&self) -> &'static str {
        match self {
            Self::Aws(_) => AWS_HINT,
            Self::Google(_) => GOOGLE_HINT,
        }
    }
}

impl Service {
    /// Its name, for people.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Aws(_) => "AWS KMS",
            Self::Google(_) => "Google Cloud KMS",
        }
    }

    pub(super) async fn public_key(&self, id: &str) -> Result<PublicKey, ServiceError> {
        Ok(match self {
            Self::Aws(kms) => kms.public_key(id).await?,
            Self::Google(kms) => kms.public_key(id).await?,
        })
    }

    pub(super) async fn sign(
        &self,
        id: &str,
        scheme: Scheme,
        message: &[u8],
    ) -> Result<Vec<u8>, ServiceError> {
        Ok(match self {
            Self::Aws(kms) => kms.sign(id, scheme, message).await?,
            Self::Google(kms) => kms.sign(id, scheme, message).await?,
        })
    }
}
