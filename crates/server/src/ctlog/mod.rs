//! The log of certificates: RFC 6962 submission, static-ct reading (C2SP static-ct-api).
//!
//! What may be lost: nothing under `data/ctlog` but its index; `ctlog.key` neither, since a log's key
//! cannot be changed. It takes certificates that lead to an accepted root, and nothing else.

mod admission;
mod api;
pub mod config;
mod promise;
mod roots;

use crate::{
    http::{Service, with_cors},
    instance::Instance,
    kept::{self, Kept},
    logs::{self, Ledger},
    relay::{FrontEnd, Role, Trust},
    setup::{Made, key_of_log, log_elsewhere, state_of_log},
};
use config::Config;
use roots::Accepted;
use sealog_crypto::{KeyKind, PublicKey, Signer};
use sealog_log_engine::{Log, Receipt, Settings};
use sealog_tlog::{
    ct::{CtLeaf, log_id},
    note::{KeySigner, KeyVerifier, NoteSigner, NoteVerifier},
};
use std::sync::Arc;

/// The key's name in the key store.
pub const KEY: &str = "ctlog";
/// The listener for front ends.
pub const SEQUENCER: &str = "ctlog-sequencer";
/// Clients know no other kind for certificate logs.
const KEY_KIND: KeyKind = KeyKind::EcdsaP256;

/// Makes the key and the empty log.
///
/// # Errors
/// When one is there without the other, or nothing can be made.
pub fn init(instance: &Instance, config: &Config) -> anyhow::Result<Made> {
    if config.role == Role::FrontEnd {
        return log_elsewhere(instance, KEY);
    }
    let kept = Kept::of(instance, KEY, config.store.as_ref(), None)?;
    let state = state_of_log(instance, KEY, &kept)?;
    if state == Made::New {
        kept.probe_before_init()?;
        let key = key_of_log(instance, KEY, KEY_KIND)?;
        let log = Log::<CtLeaf>::create(kept.place, settings(instance, config, &key)?, None)?;
        log.close()?;
    }
    Ok(state)
}

/// What an operator wants to see before it runs.
///
/// # Errors
/// When it could not start.
pub fn check(instance: &Instance, config: &Config) -> anyhow::Result<Vec<String>> {
    let public = match config.role {
        Role::Sequencer => instance.keys.signer(KEY)?.public_key().clone(),
        Role::FrontEnd => instance.keys.public(KEY)?,
    };
    let roots = Accepted::open(instance, config)?;
    Ok(vec![
        format!("{KEY:<8} origin {}, log id {}", origin(config), hex::encode(log_id(&public))),
        format!("{KEY:<8} {} accepted root certificate(s)", roots.known().len()),
    ])
}

/// Opens the log, or finds its sequencer, and gives the services: the one for the world first.
///
/// # Errors
/// When log, key or roots cannot be opened.
pub async fn start(instance: &Instance, config: &Config) -> anyhow::Result<Vec<Service>> {
    let roots = Accepted::open(instance, config)?;
    let mut internal = None;
    let log = match (config.role, &config.store) {
        (Role::FrontEnd, Some(store)) => {
            let public = instance.keys.public(KEY)?;
            let log: Arc<dyn NoteVerifier + Send + Sync> =
                Arc::new(KeyVerifier::tree_head(origin(config), public.clone())?);
            let trust =
                Trust { log, voucher: Arc::new(move |receipt, sct| promise::check(receipt, sct, &public)) };
            let reader = kept::reader::<CtLeaf>(store)?;
            Ledger::elsewhere(FrontEnd::<CtLeaf>::start(KEY, reader, trust, config.max_pending))
        }
        _ => {
            let key = instance.keys.signer(KEY)?;
            let settings = settings(instance, config, &key)?;
            let kept = Kept::of(instance, KEY, config.store.as_ref(), config.sequencer.as_ref())?;
            let token = kept.token();
            let vouch = Arc::new(move |receipt: &Receipt| promise::make(receipt, key.as_ref()));
            let log = Ledger::<CtLeaf>::open(KEY, kept, settings, vouch).await?;
            internal = config
                .sequencer
                .as_ref()
                .map(|listener| logs::for_front_ends(SEQUENCER, listener, &log, token));
            log
        }
    };
    let api = Arc::new(api::CtApi { log: log.clone(), roots });
    let direct = api::direct(&api);
    let router = api::router(api);
    let files = logs::Files::of(&log, &[("tile", logs::TILE_TYPE), ("issuer", "application/pkix-cert")]);
    let router = with_cors(files.routes(router, ""));
    let service = Service { direct, ..Service::new(KEY, config.url.clone(), router) };
    Ok(std::iter::once(log.service(service)).chain(internal).collect())
}

/// The submission prefix without its scheme (static-ct-api): the port stays.
#[must_use]
pub fn origin(config: &Config) -> &str {
    config.url.authority()
}

/// The log's public key.
///
/// # Errors
/// When it is missing.
pub fn public_key(instance: &Instance) -> anyhow::Result<PublicKey> {
    Ok(instance.keys.public(KEY)?)
}

fn settings(instance: &Instance, config: &Config, key: &Arc<dyn Signer>) -> anyhow::Result<Settings> {
    let signer: Arc<dyn NoteSigner> = Arc::new(KeySigner::tree_head(origin(config), Arc::clone(key))?);
    let seen = instance.keys.path(KEY, "seen");
    let mut settings = Settings::new(origin(config), vec![signer], instance.clock.as_fn(), seen);
    settings.max_pending = config.max_pending;
    if let Some(store) = &config.store {
        store.set_lease(&mut settings);
    }
    Ok(settings)
}
