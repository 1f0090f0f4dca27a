//! Real object stores behind [`Bucket`]: S3 and its compatibles, Google Cloud Storage, Azure Blob Storage.
//!
//! Credentials come the way each cloud gives them to programs (environment, files named there, the machine's or
//! container's own role); nothing of them is in a URL or in an error. The calls block, and wait for a thread of this
//! file's own, so they may come from any thread.

use std::future::Future;
use std::io;
use std::str::FromStr;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    RetryConfig, UpdateVersion,
};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinSet;

use super::{Bucket, Object, PutError, Version};

/// One request; a store that takes longer does not answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Requests at a time for one call.
const CONCURRENCY: usize = 32;

/// Why an object store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// No URL of a store we know.
    #[error(
        "{url} names no bucket: expected s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"
    )]
    Url {
        /// As it was given.
        url: String,
    },
    /// An option that this kind of store does not have.
    #[error("{url}: there is no option {name:?}")]
    Option {
        /// The store.
        url: String,
        /// The option's name.
        name: String,
    },
    /// The store's library refuses what it was told.
    #[error("{url} cannot be used")]
    Store {
        /// The store.
        url: String,
        /// Why.
        #[source]
        source: Error,
    },
    /// No thread for its requests.
    #[error("no thread could be started for requests to the bucket")]
    Thread(#[source] io::Error),
}

/// A prefix in an object store.
pub struct StoreBucket {
    url: String,
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// What names a state: the version number (Google), or the entity tag (all others).
    by_version: bool,
    runtime: Handle,
    /// Ends the thread when it is dropped.
    _end: oneshot::Sender<()>,
}

impl StoreBucket {
    /// The part of a store that `url` names: `s3://`, `gs://` or `az://`, the bucket, and a prefix. `options` are those
    /// of the `object_store` crate (`endpoint`, `region`, `allow_http`, …); what they do not say is taken from the
    /// environment.
    ///
    /// # Errors
    /// See [`StoreError`]. The store is not asked anything yet.
    pub fn open(url: &str, options: &[(String, String)]) -> Result<Self, StoreError> {
        let unknown = || StoreError::Url { url: url.to_owned() };
        let (scheme, rest) = url.split_once("://").ok_or_else(unknown)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(unknown());
        }
        let prefix = Path::parse(prefix.trim_end_matches('/')).map_err(|_| unknown())?;
        let failed = |source| StoreError::Store { url: url.to_owned(), source };
        let store: Arc<dyn ObjectStore> = match scheme {
            "s3" => {
                let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
                for (name, value) in options {
                    builder = builder.with_config(option::<AmazonS3ConfigKey>(url, name)?, value);
                }
                // Last, so that no option can undo what the commit relies on.
                let builder = builder.with_conditional_put(object_store::aws::S3ConditionalPut::ETagMatch);
                let builder = builder.with_client_options(client(options)).with_retry(retries());
                Arc::new(builder.build().map_err(failed)?)
            }
            "gs" => {
                let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
                for (name, value) in options {
                    builder = builder.with_config(option::<GoogleConfigKey>(url, name)?, value);
                }
                let builder = builder.with_client_options(client(options)).with_retry(retries());
                Arc::new(builder.build().map_err(failed)?)
            }
            "az" => {
                let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(bucket);
                for (name, value) in options {
                    builder = builder.with_config(option::<AzureConfigKey>(url, name)?, value);
                }
                let builder = builder.with_client_options(client(options)).with_retry(retries());
                Arc::new(builder.build().map_err(failed)?)
            }
            _ => return Err(unknown()),
        };
        let runtime = Builder::new_current_thread().enable_all().build().map_err(StoreError::Thread)?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        std::thread::Builder::new()
            .name("sealog-bucket".to_owned())
            .spawn(move || runtime.block_on(async { ended.await.unwrap_or_default() }))
            .map_err(StoreError::Thread)?;
        let by_version = scheme == "gs";
        Ok(Self { url: url.to_owned(), store, prefix, by_version, runtime: handle, _end: end })
    }

    fn path(&self, key: &str) -> Path {
        key.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// Runs a request on the thread that is there for it, and waits.
    fn wait<T: Send + 'static>(
        &self,
        request: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Failed> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.runtime.spawn(async move {
            // Whoever asked may have gone.
            let _ = answer.send(request.await);
        });
        answered.recv().map_err(|_| Failed::Ended)?.map_err(Failed::Store)
    }

    /// The same request for many, so many at a time; the first failure is returned, after all have ended.
    fn each<A: Send + 'static, T: Send + 'static, F>(
        &self,
        items: Vec<A>,
        request: impl Fn(Arc<dyn ObjectStore>, A) -> F + Send + 'static,
    ) -> Result<Vec<T>, Failed>
    where
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let store = Arc::clone(&self.store);
        self.wait(async move {
            let room = Arc::new(Semaphore::new(CONCURRENCY));
            let mut tasks = JoinSet::new();
            for (n, item) in items.into_iter().enumerate() {
                let (room, request) = (Arc::clone(&room), request(Arc::clone(&store), item));
                tasks.spawn(async move {
                    let _running = room.acquire().await;
                    request.await.map(|answer| (n, answer))
                });
            }
            let mut answers = Vec::new();
            let mut failed = None;
            while let Some(ended) = tasks.join_next().await {
                match ended {
                    Ok(Ok(answer)) => answers.push(answer),
                    Ok(Err(error)) => failed = Some(error),
                    Err(error) => failed = Some(Error::JoinError { source: error }),
                }
            }
            answers.sort_by_key(|(n, _)| *n);
            failed.map_or_else(|| Ok(answers.into_iter().map(|(_, answer)| answer).collect()), Err)
        })
    }

    fn version(&self, e_tag: Option<String>, version: Option<String>) -> Result<Version, Failed> {
        let named = if self.by_version { version } else { e_tag };
        named.map(Version).ok_or(Failed::NoVersion)
    }
}

/// What can go wrong with a request.
enum Failed {
    Store(Error),
    Ended,
    NoVersion,
}

impl From<Failed> for io::Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Store(error) => io::Error::other(error),
            Failed::Ended => io::Error::other("the thread for requests to the bucket has ended"),
            Failed::NoVersion => io::Error::other("the store does not say in which state an object is"),
        }
    }
}

fn option<K: FromStr>(url: &str, name: &str) -> Result<K, StoreError> {
    name.parse().map_err(|_| StoreError::Option { url: url.to_owned(), name: name.to_owned() })
}

/// Plain HTTP only where it is asked for: a store on this machine, for tests.
fn client(options: &[(String, String)]) -> ClientOptions {
    let plain = options.iter().any(|(name, value)| name.ends_with("allow_http") && value == "true");
    let options = ClientOptions::new().with_timeout(REQUEST_TIMEOUT).with_connect_timeout(CONNECT_TIMEOUT);
    options.with_allow_http(plain)
}

/// Few and soon: whoever waits has a deadline, and the engine asks again where that is safe.
fn retries() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_secs(1),
        base: 2.,
    };
    RetryConfig { backoff, max_retries: 3, retry_timeout: REQUEST_TIMEOUT }
}

impl Bucket for StoreBucket {
    fn get(&self, key: &str) -> io::Result<Option<Object>> {
        let (store, path) = (Arc::clone(&self.store), self.path(key));
        let read = self.wait(async move {
            let found = match store.get(&path).await {
                Err(Error::NotFound { .. }) => return Ok(None),
                found => found?,
            };
            let (e_tag, version) = (found.meta.e_tag.clone(), found.meta.version.clone());
            Ok(Some((found.bytes().await?, e_tag, version)))
        })?;
        let Some((bytes, e_tag, version)) = read else { return Ok(None) };
        Ok(Some(Object { bytes, version: self.version(e_tag, version)? }))
    }

    fn get_many(&self, keys: &[String]) -> io::Result<Vec<Option<Bytes>>> {
        let paths = keys.iter().map(|key| self.path(key)).collect();
        let read = self.each(paths, |store, path: Path| async move {
            match store.get(&path).await {
                Err(Error::NotFound { .. }) => Ok(None),
                found => found?.bytes().await.map(Some),
            }
        });
        Ok(read?)
    }

    fn is_there(&self, key: &str) -> io::Result<bool> {
        let (store, path) = (Arc::clone(&self.store), self.path(key));
        let found = self.wait(async move {
            match store.head(&path).await {
                Err(Error::NotFound { .. }) => Ok(false),
                found => found.map(|_| true),
            }
        });
        Ok(found?)
    }

    fn put_many(&self, objects: &[(String, Bytes)]) -> io::Result<()> {
        let objects = objects.iter().map(|(key, bytes)| (self.path(key), bytes.clone())).collect();
        let written = self.each(objects, |store, (path, bytes): (Path, Bytes)| async move {
            store.put(&path, PutPayload::from_bytes(bytes)).await.map(drop)
        });
        Ok(written.map(drop)?)
    }

    fn put_if(&self, key: &str, bytes: &Bytes, state: Option<&Version>) -> Result<Version, PutError> {
        let (store, path, payload) =
            (Arc::clone(&self.store), self.path(key), PutPayload::from_bytes(bytes.clone()));
        let mode = match state.map(|state| state.0.clone()) {
            None => PutMode::Create,
            Some(named) if self.by_version => {
                PutMode::Update(UpdateVersion { e_tag: None, version: Some(named) })
            }
            Some(named) => PutMode::Update(UpdateVersion { e_tag: Some(named), version: None }),
        };
        let options = PutOptions { mode, ..PutOptions::default() };
        match self.wait(async move { store.put_opts(&path, payload, options).await }) {
            Ok(put) => self.version(put.e_tag, put.version).map_err(|failed| PutError::Failed(failed.into())),
            Err(Failed::Store(Error::AlreadyExists { .. } | Error::Precondition { .. })) => {
                Err(PutError::Changed)
            }
            Err(failed) => Err(PutError::Failed(failed.into())),
        }
    }

    fn delete_many(&self, keys: &[String]) -> io::Result<()> {
        let store = Arc::clone(&self.store);
        let paths: Vec<_> = keys.iter().map(|key| Ok(self.path(key))).collect();
        // As few requests as the store can do it with.
        let deleted = self.wait(async move {
            let mut answers = store.delete_stream(stream::iter(paths).boxed());
            let mut failed = None;
            while let Some(answer) = answers.next().await {
                if let Err(error) = answer
                    && !matches!(error, Error::NotFound { .. })
                {
                    failed = Some(error);
                }
            }
            failed.map_or(Ok(()), Err)
        });
        Ok(deleted?)
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        // Stores list by whole segments of a path.
        let (store, path) = (Arc::clone(&self.store), self.path(prefix.trim_end_matches('/')));
        let found = self.wait(async move {
            let mut found = Vec::new();
            let mut listing = store.list(Some(&path));
            while let Some(meta) = listing.next().await {
                found.push(meta?.location);
            }
            Ok(found)
        })?;
        let own = found.iter().filter_map(|path| {
            let parts: Option<Vec<_>> = path.prefix_match(&self.prefix).map(Iterator::collect);
            Some(parts?.iter().map(AsRef::as_ref).collect::<Vec<&str>>().join("/"))
        });
        Ok(own.collect())
    }

    fn name(&self) -> String {
        self.url.trim_end_matches('/').to_owned()
    }
}

impl std::fmt::Debug for StoreBucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StoreBucket").field(&self.url).finish()
    }
}
