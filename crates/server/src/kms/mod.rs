//! Keys that live in a cloud's key management service: the service signs, the key never leaves it.
//!
//! Which keys, is the business of the `[aws_kms]` and `[google_kms]` tables ([`config`]); the wire is
//! `sealog_client::aws` and `google`. Keys are made there by their owner, with the policies that belong to them:
//! `init` only takes note of them. Every signature is a request over the network, of some milliseconds.
//!
//! Must always hold: a signature leaves this file only if it verifies with the key's public half; nobody waits
//! without end.

pub mod config;
mod service;

pub use service::{NoCredentials, ServiceError};

use crate::{
    keys::{Elsewhere, KeyStoreError},
    pkcs11::waiting,
};
use sealog_client::{aws, google, http::HttpError};
use sealog_crypto::{KeyKind, PublicKey, RandomError, Scheme, SignError, Signer, random_array};
use service::Service;
use std::{
    collections::BTreeMap,
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

/// Why a key in a service cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CloudKeyError {
    /// There is nothing to ask with.
    #[error(transparent)]
    Credentials(#[from] NoCredentials),
    /// The address cannot be asked.
    #[error("`endpoint` in [{table}] cannot be asked")]
    Endpoint {
        /// Where it stands.
        table: &'static str,
        /// Why.
        source: HttpError,
    },
    /// The service refuses, or cannot be reached.
    #[error("the key {id} in {service} cannot be used")]
    Service {
        /// Its id.
        id: String,
        /// Where it is.
        service: &'static str,
        /// Why.
        source: ServiceError,
    },
    /// Another kind than is needed.
    #[error("the key {id} in {service} is {found}, expected {expected}")]
    Kind {
        /// Its id.
        id: String,
        /// Where it is.
        service: &'static str,
        /// What is needed.
        expected: KeyKind,
        /// What is there.
        found: KeyKind,
    },
    /// Not the key that `init` took note of.
    #[error("the key {id} in {service} is not the one of {}", public.display())]
    OtherKey {
        /// Its id.
        id: String,
        /// Where it is.
        service: &'static str,
        /// The public half on disk.
        public: PathBuf,
    },
    /// A signature that is not the key's over the message: it does not leave this process.
    #[error("{service} gave a wrong signature for the key {id}")]
    WrongSignature {
        /// Its id.
        id: String,
        /// Where it is.
        service: &'static str,
    },
    /// Too many wait already, or no answer came.
    #[error("{service} did not answer in time for the key {id}")]
    Busy {
        /// Its id.
        id: String,
        /// Where it is.
        service: &'static str,
    },
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
            Self::Service { source, .. } => !source.is_outage(),
            Self::Busy { .. } | Self::WrongSignature { .. } | Self::Random(_) | Self::Thread(_) => false,
            _ => true,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Credentials(error) => Some(error.hint()),
            Self::Service { source, .. } => source.hint(),
            Self::Kind { .. } => Some("name another key in the table, or make one of the expected kind"),
            Self::OtherKey { .. } => Some("correct the key's id in the table; nothing was changed"),
            _ => None,
        }
    }
}

/// The keys that live in a service.
pub struct CloudKeys {
    /// Their ids there, by name.
    ids: BTreeMap<String, String>,
    asking: Arc<Asking>,
}

impl CloudKeys {
    /// AWS; nothing is asked yet.
    ///
    /// # Errors
    /// When there is nothing to ask with.
    pub fn aws(config: &config::Aws) -> Result<Self, CloudKeyError> {
        let source = aws::credentials::Source::find(variable).map_err(NoCredentials::from)?;
        let kms = aws::Kms::new(&config.region, config.endpoint.as_deref(), source)
            .map_err(|source| CloudKeyError::Endpoint { table: "aws_kms", source })?;
        Self::of(Service::Aws(kms), config.keys.clone())
    }

    /// Google Cloud; nothing is asked yet.
    ///
    /// # Errors
    /// When there is nothing to ask with.
    pub fn google(config: &config::Google) -> Result<Self, CloudKeyError> {
        let source = google::credentials::Source::find(variable).map_err(NoCredentials::from)?;
        let kms = google::Kms::new(config.endpoint.as_deref(), source)
            .map_err(|source| CloudKeyError::Endpoint { table: "google_kms", source })?;
        Self::of(Service::Google(kms), config.keys.clone())
    }

    fn of(service: Service, ids: BTreeMap<String, String>) -> Result<Self, CloudKeyError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("sealog-kms")
            .enable_all()
            .build()
            .map_err(CloudKeyError::Thread)?;
        let asking =
            Asking { service: Arc::new(service), runtime: Some(runtime), waiting: AtomicUsize::new(0) };
        Ok(Self { ids, asking: Arc::new(asking) })
    }

    fn id(&self, name: &str) -> &str {
        self.ids.get(name).map_or("", String::as_str)
    }

    fn public_key(&self, id: &str) -> Result<PublicKey, CloudKeyError> {
        let (service, asked) = (Arc::clone(&self.asking.service), id.to_owned());
        self.asking.answer(id, async move { service.public_key(&asked).await })
    }

    fn key(&self, id: &str, public: PublicKey) -> Result<Arc<dyn Signer>, CloudKeyError> {
        let key = CloudKey { asking: Arc::clone(&self.asking), id: id.to_owned(), public };
        let fresh: [u8; 32] = random_array()?;
        key.try_sign(&[CHECK, &fresh].concat())?;
        Ok(Arc::new(key))
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Elsewhere for CloudKeys {
    fn holds(&self, name: &str) -> bool {
        self.ids.contains_key(name)
    }

    fn place(&self, name: &str) -> String {
        format!("{} in {}", self.id(name), self.asking.service.name())
    }

    fn make(&self, name: &str, kind: KeyKind) -> Result<Arc<dyn Signer>, KeyStoreError> {
        let id = self.id(name);
        let public = self.public_key(id)?;
        if public.kind() != kind {
            let (id, service, found) = (id.to_owned(), self.asking.service.name(), public.kind());
            return Err(CloudKeyError::Kind { id, service, expected: kind, found }.into());
        }
        Ok(self.key(id, public)?)
    }

    fn find(&self, name: &str, public: PublicKey, path: &Path) -> Result<Arc<dyn Signer>, KeyStoreError> {
        let id = self.id(name);
        if self.public_key(id)? != public {
            let (id, service) = (id.to_owned(), self.asking.service.name());
            return Err(CloudKeyError::OtherKey { id, service, public: path.to_owned() }.into());
        }
        Ok(self.key(id, public)?)
    }
}

impl fmt::Debug for CloudKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloudKeys({:?})", self.asking.service)
    }
}

/// A thread that asks, for callers that wait.
struct Asking {
    service: Arc<Service>,
    /// None only while it is dropped.
    runtime: Option<Runtime>,
    waiting: AtomicUsize,
}

impl Asking {
    fn answer<T: Send + 'static>(
        &self,
        id: &str,
        asked: impl Future<Output = Result<T, ServiceError>> + Send + 'static,
    ) -> Result<T, CloudKeyError> {
        let service = self.service.name();
        let busy = || CloudKeyError::Busy { id: id.to_owned(), service };
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
        answer.map_err(|_| busy())?.map_err(|source| CloudKeyError::Service {
            id: id.to_owned(),
            service,
            source,
        })
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
        let (service, id, copy) = (Arc::clone(&self.asking.service), self.id.clone(), message.to_vec());
        let signature =
            self.asking.answer(&self.id, async move { service.sign(&id, scheme, &copy).await })?;
        match self.public.verify(scheme, message, &signature) {
            Ok(()) => Ok(signature),
            Err(_) => Err(CloudKeyError::WrongSignature {
                id: self.id.clone(),
                service: self.asking.service.name(),
            }),
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
            tracing::error!(
                error = crate::http::chain(&error),
                "a key in a key management service did not sign"
            );
            SignError::Backend
        })
    }
}
