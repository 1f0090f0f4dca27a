//! The log of certificates: RFC 6962 submission, static-ct reading (C2SP static-ct-api).
//!
//! What may be lost: nothing under `data/ctlog` but its index; `ctlog.key` neither, since a log's key
//! cannot be changed. It takes certificates that lead to an accepted root, and nothing else.

mod admission;
mod api;
pub mod config;
mod roots;

use crate::{
    http::{Service, with_cors},
    instance::Instance,
    kept::Kept,
    logs,
    setup::{Made, key_of_log, state_of_log},
};
use config::Config;
use roots::Accepted;
use sealog_crypto::{KeyKind, PublicKey, Signer};
use sealog_log_engine::{Log, Settings};
use sealog_tlog::{
    ct::{CtLeaf, log_id},
    note::{KeySigner, NoteSigner},
};
use std::sync::Arc;

/// The key's name in the key store.
pub const KEY: &str = "ctlog";
/// Clients know no other kind for certificate logs.
const KEY_KIND: KeyKind = KeyKind::EcdsaP256;

/// Makes the key and the empty log.
///
/// # Errors
/// When one is there without the other, or nothing can be made.
pub fn init(instance: &Instance, config: &Config) -> anyhow::Result<Made> {
    let kept = Kept::of(instance, KEY, config.store.as_ref())?;
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
    let key = instance.keys.signer(KEY)?;
    let roots = Accepted::open(instance, config)?;
    Ok(vec![
        format!("{KEY:<8} origin {}, log id {}", origin(config), hex::encode(log_id(key.public_key()))),
        format!("{KEY:<8} {} accepted root certificate(s)", roots.known().len()),
    ])
}

/// Opens the log and gives the service.
///
/// # Errors
/// When log, key or roots cannot be opened.
pub async fn start(instance: &Instance, config: &Config) -> anyhow::Result<Service> {
    let key = instance.keys.signer(KEY)?;
    let settings = settings(instance, config, &key)?;
    let roots = Accepted::open(instance, config)?;
    let kept = Kept::of(instance, KEY, config.store.as_ref())?;
    // Recovery reads what is kept and may take a while.
    let opened = tokio::task::spawn_blocking(move || {
        kept.probe_before_start()?;
        anyhow::Ok(Log::<CtLeaf>::open(kept.place, settings)?)
    });
    let log = opened.await??;
    let api = Arc::new(api::CtApi { log: log.clone(), roots, signer: key });
    let direct = api::direct(&api);
    let router = api::router(api);
    let files = logs::Files::of(&log, &[("tile", logs::TILE_TYPE), ("issuer", "application/pkix-cert")]);
    let direct = files.direct(direct, "");
    let router = with_cors(files.routes(router, ""));
    let service = Service { direct, ..Service::new(KEY, config.url.clone(), router) };
    Ok(logs::service(service, log))
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
    Ok(settings)
}
