//! Keys that live in AWS Key Management Service: the service signs, the key never leaves it.
//!
//! Which keys, is the `[aws_kms]` table's business ([`config`]); the wire is `sealog_client::aws`. Keys are made
//! there by their owner, with the policies that belong to them: `init` only takes note of them. Every signature
//! is a request over the network, of some milliseconds: for logs, which sign every second or so, and for
//! authorities of modest load.
//!
//! Must always hold: a signature leaves this file only if it verifies with the key's public half; nobody waits
//! without end.

pub mod config;

use crate::{
    keys::{Elsewhere, KeyStoreError},
    pkcs11::waiting,
};
use config::Config;
use sealog_client::{
    aws::{
        Kms, KmsError,
        credentials::{CredentialsError, Source},
    },
    http::HttpError,
};
use sealog_crypto::{KeyKind, PublicKey, RandomError, Scheme, SignError, Signer, random_array};
use std::{
    fmt,
    future::Future,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};
use tokio::runtime::{Builder, Runtime};

/// What a key signs to show that it is the one expected: nothing that could be taken for anything else.
const CHECK: &[u8] = b"sealog checks that this key is the one it knows\n";
/// A request with its tries takes less.
const LONGEST_WAIT: Duration = Duration::from_secs(12);
/// Callers that wait at most: each holds a thread, and the process has 512 for all that may block.
const MOST_WAITING: usize = 256;

/// Why a key in the service cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CloudKeyError {
    /// There is nothing to ask with.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The address cannot be asked.
    #[error("`endpoint` in [aws_kms] cannot be asked")]
    Endpoint(#[source] HttpError),
    /// The service refuses, or cannot be reached.
    #[error("the key {id} in AWS KMS cannot be used")]
    Service {
        /// Its id.
        id: String,
        /// Why.
        source: KmsError,
    },
    /// Another kind than is needed.
    #[error("the key {id} in AWS KMS is {found}, expected {expected}")]
    Kind {
        /// Its id.
        id: String,
        /// What is needed.
        expected: KeyKind,
        /// What is there.
        found: KeyKind,
    },
    /// Not the key that `init` took note of.
    #[error("the key {id} in AWS KMS is not the one of {}", public.display())]
    OtherKey {
        /// Its id.
        id: String,
        /// The public half on disk.
        public: PathBuf,
    },
    /// A signature that is not the key's over the message: it does not leave this process.
    #[error("AWS KMS gave a wrong signature for the key {0}")]
    WrongSignature(String),
    /// Too many wait already, or no answer came.
    #[error("AWS KMS did not answer in time for the key {0}")]
    Busy(String),
    /// No random bytes for the check of a key.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// No thread to wait in.
    #[error("cannot start a thread")]
    Thread(#[source] std::io::Error),
}

impl CloudKeyError {
    /// Whether the configuration, or what it points at, must change before it can work.
    #[must_use]
    pub fn is_setting(&self) -> bool {
        match self {
            Self::Service { source, .. } => !matches!(source, KmsError::Http(_) | KmsError::Answer { .. }),
            Self::Busy(_) | Self::WrongSignature(_) | Self::Random(_) | Self::Thread(_) => false,
            _ => true,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Credentials(_) => {
                "give this machine or container a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            }
            Self::Service { source: KmsError::Refused { .. }, .. } => {
                "the role needs kms:GetPublicKey and kms:Sign for this key, in this region"
            }
            Self::Kind { .. } => "name another key in [aws_kms.keys], or make one of the expected kind",
            Self::OtherKey { .. } => "correct the key's id in [aws_kms.keys]; nothing was changed",
            _ => return None,
        })
    }
}

/// The keys that live in the service.
pub struct AwsKms {
    config: Config,
    asking: Arc<Asking>,
}

impl AwsKms {
    /// Opens nothing yet but what will ask.
    ///
    /// # Errors
    /// When there is nothing to ask with.
    pub fn open(config: &Config) -> Result<Self, CloudKeyError> {
        let source = Source::find(|name| std::env::var(name).ok())?;
        let kms =
            Kms::new(&config.region, config.endpoint.as_deref(), source).map_err(CloudKeyError::Endpoint)?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("sealog-kms")
            .enable_all()
            .build()
            .map_err(CloudKeyError::Thread)?;
        let asking = Asking { kms: Arc::new(kms), runtime: Some(runtime), waiting: AtomicUsize::new(0) };
        Ok(Self { config: config.clone(), asking: Arc::new(asking) })
    }

    fn id(&self, name: &str) -> &str {
        self.config.keys.get(name).map_or("", String::as_str)
    }

    fn public_key(&self, id: &str) -> Result<PublicKey, CloudKeyError> {
        let (kms, asked) = (Arc::clone(&self.asking.kms), id.to_owned());
        self.asking.answer(id, async move { kms.public_key(&asked).await })
    }

    fn key(&self, id: &str, public: PublicKey) -> Result<Arc<dyn Signer>, CloudKeyError> {
        let key = CloudKey { asking: Arc::clone(&self.asking), id: id.to_owned(), public };
        let fresh: [u8; 32] = random_array()?;
        key.try_sign(&[CHECK, &fresh].concat())?;
        Ok(Arc::new(key))
    }
}

impl Elsewhere for AwsKms {
    fn holds(&self, name: &str) -> bool {
        self.config.keys.contains_key(name)
    }

    fn place(&self, name: &str) -> String {
        format!("{} in AWS KMS", self.id(name))
    }

    fn make(&self, name: &str, kind: KeyKind) -> Result<Arc<dyn Signer>, KeyStoreError> {
        let id = self.id(name);
        let public = self.public_key(id)?;
        if public.kind() != kind {
            let (id, found) = (id.to_owned(), public.kind());
            return Err(CloudKeyError::Kind { id, expected: kind, found }.into());
        }
        Ok(self.key(id, public)?)
    }

    fn find(&self, name: &str, public: PublicKey, path: &Path) -> Result<Arc<dyn Signer>, KeyStoreError> {
        let id = self.id(name);
        if self.public_key(id)? != public {
            return Err(CloudKeyError::OtherKey { id: id.to_owned(), public: path.to_owned() }.into());
        }
        Ok(self.key(id, public)?)
    }
}

/// A thread that asks, for callers that wait.
struct Asking {
    kms: Arc<Kms>,
    /// None only while it is dropped.
    runtime: Option<Runtime>,
    waiting: AtomicUsize,
}

impl Asking {
    fn answer<T: Send + 'static>(
        &self,
        id: &str,
        asked: impl Future<Output = Result<T, KmsError>> + Send + 'static,
    ) -> Result<T, CloudKeyError> {
        let busy = || CloudKeyError::Busy(id.to_owned());
        let runtime = self.runtime.as_ref().ok_or_else(busy)?;
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(busy());
        }
        let (tell, told) = mpsc::sync_channel(1);
        let task = runtime.spawn(async move {
            let _ = tell.try_send(asked.await);
        });
        let answer = waiting(|| told.recv_timeout(LONGEST_WAIT));
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        task.abort();
        answer.map_err(|_| busy())?.map_err(|source| CloudKeyError::Service { id: id.to_owned(), source })
    }
}

impl Drop for Asking {
    /// A runtime may not wait for its own end within another one.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A key in the service.
struct CloudKey {
    asking: Arc<Asking>,
    id: String,
    public: PublicKey,
}

impl CloudKey {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, CloudKeyError> {
        let scheme = self.scheme();
        let (kms, id, copy) = (Arc::clone(&self.asking.kms), self.id.clone(), message.to_vec());
        let signature = self.asking.answer(&self.id, async move { kms.sign(&id, scheme, &copy).await })?;
        match self.public.verify(scheme, message, &signature) {
            Ok(()) => Ok(signature),
            Err(_) => Err(CloudKeyError::WrongSignature(self.id.clone())),
        }
    }
}

impl Signer for CloudKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn scheme(&self) -> Scheme {
        Scheme::default_for(self.public.kind())
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.try_sign(message).map_err(|error| {
            tracing::error!(error = crate::http::chain(&error), "a key in AWS KMS did not sign");
            SignError::Backend
        })
    }
}

impl fmt::Debug for AwsKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AwsKms({})", self.config.region)
    }
}
