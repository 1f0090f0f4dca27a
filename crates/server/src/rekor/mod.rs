//! The log of signatures: Rekor v2 over HTTP and gRPC, tiles as C2SP tlog-tiles.
//!
//! What may be lost: nothing under `data/rekor` but its index; `rekor.key` neither, since a log's key cannot
//! be changed. What it takes in is decided in `sealog_bundle::admission`, which needs no HTTP.

mod answer;
mod api;
pub mod config;
mod grpc;
mod seed;

use crate::{
    http::{Service, with_cors},
    instance::Instance,
    kept::Kept,
    logs,
    setup::{Made, key_of_log, state_of_log},
};
use config::Config;
use sealog_crypto::{KeyKind, PublicKey, Signer};
use sealog_log_engine::{Log, Settings};
use sealog_tlog::{
    EntryLeaf,
    note::{KeySigner, KeyVerifier, NoteSigner, key_id_full},
};
use std::sync::Arc;

/// The key's name in the key store.
pub const KEY: &str = "rekor";
/// Clients take nothing else as the log's own line.
const KEY_KIND: KeyKind = KeyKind::Ed25519;

/// Makes the key and the log with its first entry.
///
/// # Errors
/// When one is there without the other, or nothing can be made.
pub fn init(instance: &Instance, config: &Config) -> anyhow::Result<Made> {
    let kept = Kept::of(instance, KEY, config.store.as_ref())?;
    let state = state_of_log(instance, KEY, &kept)?;
    if state == Made::New {
        kept.probe_before_init()?;
        let first = seed::first_entry(origin(config))?;
        let key = key_of_log(instance, KEY, KEY_KIND)?;
        let log = Log::<EntryLeaf>::create(kept.place, settings(instance, config, &key)?, Some(first))?;
        log.close()?;
    }
    Ok(state)
}

/// What an operator wants to see before it runs.
///
/// # Errors
/// When it could not start.
pub fn check(instance: &Instance, config: &Config) -> anyhow::Result<Vec<String>> {
    let key = instance.keys.signer(KEY)?;
    let verifier = KeyVerifier::for_log(origin(config), key.public_key().clone())?;
    let vkey = verifier.to_vkey().unwrap_or_default();
    Ok(vec![format!("{KEY:<8} origin {}, verifier key {vkey}", origin(config))])
}

/// Opens the log and gives the service.
///
/// # Errors
/// When log or key cannot be opened.
pub async fn start(instance: &Instance, config: &Config) -> anyhow::Result<Service> {
    let key = instance.keys.signer(KEY)?;
    let log_id = key_id_full(origin(config), key.public_key())?;
    let settings = settings(instance, config, &key)?;
    let kept = Kept::of(instance, KEY, config.store.as_ref())?;
    // Recovery reads what is kept and may take a while.
    let opened = tokio::task::spawn_blocking(move || {
        kept.probe_before_start()?;
        anyhow::Ok(Log::<EntryLeaf>::open(kept.place, settings)?)
    });
    let log = opened.await??;
    let api = Arc::new(answer::RekorApi::new(log.clone(), log_id));
    let files = logs::Files::of(&log, &[("tile", logs::TILE_TYPE)]);
    let mut router = api::router(Arc::clone(&api));
    let mut direct = api::direct(Arc::clone(&api));
    // Monitors read at the root, the protocol's annotations say `/api/v2`: both are served.
    for prefix in ["", "/api/v2"] {
        router = files.routes(router, prefix);
        direct = files.direct(direct, prefix);
    }
    let router = with_cors(router).merge(grpc::router(api));
    let service = Service { direct, grpc: &[grpc::SERVICE], ..Service::new(KEY, config.url.clone(), router) };
    Ok(logs::service(service, log))
}

/// The bare host name: clients compare the key's name with the host of the log's URL, without its port.
#[must_use]
pub fn origin(config: &Config) -> &str {
    config.url.host()
}

/// The log's public key.
///
/// # Errors
/// When it is missing.
pub fn public_key(instance: &Instance) -> anyhow::Result<PublicKey> {
    Ok(instance.keys.public(KEY)?)
}

fn settings(instance: &Instance, config: &Config, key: &Arc<dyn Signer>) -> anyhow::Result<Settings> {
    let signer: Arc<dyn NoteSigner> = Arc::new(KeySigner::for_log(origin(config), Arc::clone(key))?);
    let seen = instance.keys.path(KEY, "seen");
    let mut settings = Settings::new(origin(config), vec![signer], instance.clock.as_fn(), seen);
    settings.max_pending = config.max_pending;
    Ok(settings)
}
