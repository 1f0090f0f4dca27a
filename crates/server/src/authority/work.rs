//! The authority at work: which key and chain, now.
//!
//! The next generation is looked for on disk every few seconds and follows by the clock: neither its
//! installation nor its start needs a restart. Whoever asks gets key and chain together and keeps them for
//! the whole of what it does, so that nothing is signed by one generation and shown with another's chain.

use super::{
    Kind,
    generation::{self, Generation},
    rules,
};
use crate::{clock::Clock, http::chain as causes, instance::Instance, keys::KeyStore, pkcs11};
use anyhow::Context as _;
use sealog_crypto::Signer;
use sealog_pki::Certificate;
use std::sync::{
    Arc, Mutex, PoisonError, RwLock,
    atomic::{AtomicI64, Ordering},
};

/// Seconds between two looks for a next generation.
const LOOK_SECONDS: i64 = 5;

/// A key and its chain.
pub struct Working {
    /// What signs.
    pub signer: Arc<dyn Signer>,
    /// The certificate of that key first, the root last.
    pub chain: Vec<Certificate>,
}

/// All generations that work, or will.
pub struct Authority {
    kind: Kind,
    clock: Clock,
    keys: Option<KeyStore>,
    /// Ordered by their start; the first one works already. Never empty.
    lined_up: RwLock<Vec<(i64, Arc<Working>)>>,
    /// The first one that ever was among the current and later ones, so that there is always one to give.
    fallback: Arc<Working>,
    /// Every chain there is, for whoever asks what to trust.
    chains: RwLock<Vec<Vec<Certificate>>>,
    /// The number of the next generation, behind the lock of whoever loads it.
    next: Mutex<u32>,
    looked: AtomicI64,
}

impl Authority {
    /// Loads the generation at work and those to come; the keys of older ones may be gone.
    ///
    /// # Errors
    /// When chains are missing or damaged, or a key is not the chain's.
    pub fn open(instance: &Instance, kind: &Kind) -> anyhow::Result<Self> {
        let all = generation::all(&instance.keys, kind)?;
        let now = instance.clock.unix_seconds();
        let current = all.iter().rposition(|generation| generation.starts <= now).unwrap_or_default();
        let next = u32::try_from(all.len()).unwrap_or(u32::MAX).saturating_add(1);
        let chains = all.iter().map(|generation| generation.chain.clone()).collect();
        let lined_up = all
            .into_iter()
            .skip(current)
            .map(|generation| Ok((generation.starts, Arc::new(load(&instance.keys, generation)?))))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let (_, fallback) = lined_up.first().context("an authority without a certificate")?;
        Ok(Self {
            kind: *kind,
            clock: instance.clock.clone(),
            keys: Some(instance.keys.clone()),
            fallback: Arc::clone(fallback),
            lined_up: RwLock::new(lined_up),
            chains: RwLock::new(chains),
            next: Mutex::new(next),
            looked: AtomicI64::new(now),
        })
    }

    /// Key and chain for now.
    #[must_use]
    pub fn at_work(&self) -> Arc<Working> {
        let now = self.clock.unix_seconds();
        let looked = self.looked.load(Ordering::Relaxed);
        if (now < looked || now.saturating_sub(looked) >= LOOK_SECONDS)
            && self.looked.compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.look();
            let lined_up = self.lined_up.read().unwrap_or_else(PoisonError::into_inner);
            for (starts, working) in lined_up.iter().filter(|(starts, _)| (looked + 1..=now).contains(starts))
            {
                tracing::info!(
                    service = self.kind.service,
                    starts = %sealog_bundle::UnixTime::from_seconds(*starts),
                    serial = working.chain.first().map(|leaf| hex::encode(leaf.serial())),
                    "the authority's next certificate is at work"
                );
            }
        }
        let lined_up = self.lined_up.read().unwrap_or_else(PoisonError::into_inner);
        let current = lined_up.iter().rfind(|(starts, _)| *starts <= now);
        current.map_or_else(|| Arc::clone(&self.fallback), |(_, working)| Arc::clone(working))
    }

    /// Every chain of this authority, the one at work first.
    #[must_use]
    pub fn chains(&self) -> Vec<Vec<Certificate>> {
        let working = self.at_work();
        let chains = self.chains.read().unwrap_or_else(PoisonError::into_inner);
        let others = chains.iter().filter(|chain| **chain != working.chain);
        std::iter::once(&working.chain).chain(others).cloned().collect()
    }

    /// Takes up a generation that was installed since.
    fn look(&self) {
        let (Some(keys), Ok(mut next)) = (&self.keys, self.next.try_lock()) else { return };
        while generation::exists(keys, &self.kind, *next) {
            let taken = pkcs11::waiting(|| {
                let found = generation::read(keys, &self.kind, *next)?.context("it is not there any more")?;
                let (starts, name) = (found.starts, found.name.clone());
                Ok::<_, anyhow::Error>((starts, name, Arc::new(load(keys, found)?)))
            });
            match taken {
                Ok((starts, name, working)) => {
                    tracing::info!(
                        service = self.kind.service,
                        generation = name,
                        starts = %sealog_bundle::UnixTime::from_seconds(starts),
                        "the authority's next certificate is lined up"
                    );
                    self.chains.write().unwrap_or_else(PoisonError::into_inner).push(working.chain.clone());
                    self.lined_up.write().unwrap_or_else(PoisonError::into_inner).push((starts, working));
                    *next = next.saturating_add(1);
                }
                Err(error) => {
                    tracing::error!(
                        service = self.kind.service,
                        error = causes(error.as_ref()),
                        "the authority's next certificate cannot be used; the present one goes on"
                    );
                    return;
                }
            }
        }
    }

    /// One generation without any files, for tests.
    #[cfg(test)]
    pub(crate) fn of(kind: &Kind, signer: Arc<dyn Signer>, chain: Vec<Certificate>, clock: Clock) -> Self {
        let fallback = Arc::new(Working { signer, chain: chain.clone() });
        Self {
            kind: *kind,
            clock,
            keys: None,
            lined_up: RwLock::new(vec![(i64::MIN, Arc::clone(&fallback))]),
            fallback,
            chains: RwLock::new(vec![chain]),
            next: Mutex::new(2),
            looked: AtomicI64::new(0),
        }
    }
}

fn load(keys: &KeyStore, generation: Generation) -> anyhow::Result<Working> {
    let Generation { name, chain, .. } = generation;
    let signer = keys.signer(&name)?;
    let path = keys.path(&name, "pem");
    if chain.first().is_none_or(|first| first.spki_der() != signer.public_key().spki_der()) {
        anyhow::bail!("the first certificate in {} is not for the key {}", path.display(), keys.place(&name));
    }
    rules::check_order(&chain)
        .with_context(|| format!("the certificates in {} are not a chain", path.display()))?;
    Ok(Working { signer, chain })
}
