//! The accepted roots, read again when a chain ends at one that is not among them: an authority that is renewed
//! below a new root, while the log is at work, needs no restart of it.

use super::{admission::Roots, config::Config};
use crate::{
    authority::{SIGNING, generation},
    clock::Clock,
    files,
    instance::Instance,
    keys::KeyStore,
};
use anyhow::Context as _;
use sealog_pki::Certificate;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

/// A PEM file of roots is shorter.
const MAX_ROOTS_FILE: u64 = 1024 * 1024;
/// Seconds between two looks: whoever sends chains that lead nowhere must not have us read files all day.
const LOOK_SECONDS: i64 = 5;

/// Our own authority's roots, where there are any, and those configured.
pub(super) struct Accepted {
    keys: KeyStore,
    files: Vec<PathBuf>,
    clock: Clock,
    held: RwLock<Arc<Roots>>,
    /// When they were read last, behind the lock of whoever reads them.
    looked: Mutex<i64>,
}

impl Accepted {
    /// # Errors
    /// When they cannot be read, or there are none.
    pub(super) fn open(instance: &Instance, config: &Config) -> anyhow::Result<Self> {
        let roots = read(&instance.keys, &config.roots)?;
        Ok(Self {
            keys: instance.keys.clone(),
            files: config.roots.clone(),
            clock: instance.clock.clone(),
            held: RwLock::new(Arc::new(roots)),
            looked: Mutex::new(instance.clock.unix_seconds()),
        })
    }

    /// Those known so far.
    pub(super) fn known(&self) -> Arc<Roots> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Newer ones than those; none if there are none, or it was asked a moment ago.
    pub(super) fn newer_than(&self, known: &Arc<Roots>) -> Option<Arc<Roots>> {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let held = self.known();
        if !Arc::ptr_eq(&held, known) {
            // Read by another request, while this one waited.
            return Some(held);
        }
        let now = self.clock.unix_seconds();
        if *looked <= now && now.saturating_sub(*looked) < LOOK_SECONDS {
            return None;
        }
        *looked = now;
        match read(&self.keys, &self.files) {
            Ok(roots) => {
                let roots = Arc::new(roots);
                *self.held.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&roots);
                Some(roots)
            }
            Err(error) => {
                let error = crate::http::chain(error.as_ref());
                tracing::error!(service = super::KEY, error, "the accepted roots cannot be read again");
                None
            }
        }
    }
}

fn read(keys: &KeyStore, files: &[PathBuf]) -> anyhow::Result<Roots> {
    let mut accepted: Vec<Certificate> = Vec::new();
    if keys.path(SIGNING.key, "pem").exists() {
        for generation in generation::all(keys, &SIGNING)? {
            // Most generations stand below one root.
            accepted.extend(generation.chain.into_iter().next_back().filter(|root| !accepted.contains(root)));
        }
    }
    for path in files {
        let reading = || format!("reading {}", path.display());
        let pem = files::read_bounded(path, MAX_ROOTS_FILE).with_context(reading)?;
        let pem = String::from_utf8(pem).with_context(reading)?;
        accepted.extend(Certificate::chain_from_pem(&pem).with_context(reading)?);
    }
    anyhow::ensure!(!accepted.is_empty(), "[ctlog] accepts no root certificate: add [ca] or set `roots`");
    Ok(Roots::new(accepted))
}
