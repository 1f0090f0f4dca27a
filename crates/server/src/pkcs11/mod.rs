//! Keys that live in a security module (PKCS#11): the module signs, the key never leaves it.
//!
//! Which keys, is the `[pkcs11]` table's business ([`config`]); sessions, logins and their loss are
//! [`pool`]'s. Public halves and certificates stay in the key store's directory, as for every other key.
//!
//! Must always hold: a signature leaves this file only if it verifies with the key's public half. A key that
//! can be read out of its token is refused.

pub mod config;
mod error;
mod object;
mod pool;

pub use error::TokenError;

use crate::keys::{Elsewhere, KeyStoreError};
use config::Config;
use pool::{Failure, Pool};
use sealog_crypto::{KeyKind, PublicKey, Scheme, SignError, Signer, Zeroizing, random_array};
use std::{fmt, path::Path, sync::Arc};

/// What a key signs to show that it is the one expected: nothing that could be taken for anything else.
const CHECK: &[u8] = b"sealog checks that this key is the one it knows\n";

/// The token, and the keys that live in it.
#[derive(Clone)]
pub struct Token {
    config: Arc<Config>,
    pool: Arc<Pool>,
}

impl Token {
    /// Opens a session, so that a missing module or token or a wrong PIN is known at once.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn open(config: &Config, pin: Zeroizing<String>) -> Result<Self, TokenError> {
        let pool = Pool::new(config.module.clone(), config.token.clone(), pin, config.sessions);
        pool.with_session(|opened| Ok(opened.session.get_session_info()?))?;
        Ok(Self { config: Arc::new(config.clone()), pool: Arc::new(pool) })
    }

    /// Makes a key, or takes the one of this label that is there already: made beforehand by its owner, or
    /// by an `init` that was interrupted.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn make(&self, label: &str, kind: KeyKind) -> Result<Arc<dyn Signer>, TokenError> {
        let token = &self.pool.token;
        let public = self.pool.with_session(|opened| {
            match object::private(opened, token, label) {
                Err(Failure::Other(TokenError::NoKey { .. })) => {
                    object::generate(&opened.session, token, label, kind)?;
                    object::private(opened, token, label)?;
                }
                Ok(_) => tracing::warn!(token, label, "the token has such a key already: it is used"),
                Err(error) => return Err(error),
            }
            object::public(&opened.session, token, label)
        })?;
        let public = public
            .ok_or_else(|| TokenError::NoPublicHalf { token: token.clone(), label: label.to_owned() })?;
        if public.kind() != kind {
            return Err(TokenError::Kind {
                token: token.clone(),
                label: label.to_owned(),
                expected: kind,
                found: public.kind(),
            });
        }
        self.key(label, public)
    }

    /// The key of this label, which must be the one whose public half is given; `path` is where that lies.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn find(&self, label: &str, public: PublicKey, path: &Path) -> Result<Arc<dyn Signer>, TokenError> {
        let token = &self.pool.token;
        let other = || TokenError::OtherKey {
            token: token.clone(),
            label: label.to_owned(),
            public: path.to_owned(),
        };
        let found = self.pool.with_session(|opened| {
            object::private(opened, token, label)?;
            object::public(&opened.session, token, label)
        })?;
        // A token need not keep the public half; what the private one signs decides.
        if found.is_some_and(|found| found != public) {
            return Err(other());
        }
        self.key(label, public).map_err(|error| match error {
            TokenError::WrongSignature { .. } => other(),
            error => error,
        })
    }

    fn key(&self, label: &str, public: PublicKey) -> Result<Arc<dyn Signer>, TokenError> {
        let key = TokenKey { pool: Arc::clone(&self.pool), label: label.to_owned(), public };
        let fresh: [u8; 32] = random_array()?;
        key.try_sign(&[CHECK, &fresh].concat())?;
        Ok(Arc::new(key))
    }
}

impl Elsewhere for Token {
    fn holds(&self, name: &str) -> bool {
        self.config.label(name).is_some()
    }

    fn place(&self, name: &str) -> String {
        format!("\"{}\" in token \"{}\"", self.config.label(name).unwrap_or_default(), self.pool.token)
    }

    fn make(&self, name: &str, kind: KeyKind) -> Result<Arc<dyn Signer>, KeyStoreError> {
        Ok(Self::make(self, &self.config.label(name).unwrap_or_default(), kind)?)
    }

    fn find(&self, name: &str, public: PublicKey, path: &Path) -> Result<Arc<dyn Signer>, KeyStoreError> {
        Ok(Self::find(self, &self.config.label(name).unwrap_or_default(), public, path)?)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.pool.token)
    }
}

/// A key in a token.
struct TokenKey {
    pool: Arc<Pool>,
    label: String,
    public: PublicKey,
}

impl TokenKey {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, TokenError> {
        let token = &self.pool.token;
        let scheme = self.scheme();
        let signature = self.pool.with_session(|opened| {
            let handle = object::private(opened, token, &self.label)?;
            object::sign(&opened.session, handle, self.public.kind(), scheme, message)
        })?;
        match self.public.verify(scheme, message, &signature) {
            Ok(()) => Ok(signature),
            Err(_) => Err(TokenError::WrongSignature { token: token.clone(), label: self.label.clone() }),
        }
    }
}

impl Signer for TokenKey {
    fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn scheme(&self) -> Scheme {
        Scheme::default_for(self.public.kind())
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        waiting(|| self.try_sign(message)).map_err(|error| {
            tracing::error!(error = crate::http::chain(&error), "a key in a security module did not sign");
            error.into()
        })
    }
}

/// Does what waits for a device; other tasks of this thread's go on elsewhere meanwhile.
pub(crate) fn waiting<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(handle) if handle.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work)
        }
        _ => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, time::Duration};

    #[test]
    fn a_slow_module_holds_up_nobody_else() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        runtime.block_on(async {
            let (started, running) = tokio::sync::oneshot::channel();
            let (done, others) = mpsc::channel();
            let slow = tokio::spawn(async move {
                waiting(|| {
                    started.send(()).unwrap();
                    others.recv_timeout(Duration::from_secs(10))
                })
            });
            running.await.unwrap();
            tokio::spawn(async move { done.send(()) }).await.unwrap().expect("it was held up");
            slow.await.unwrap().expect("it was held up");
        });
    }
}
