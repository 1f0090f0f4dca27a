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
    logs::{self, Served},
    periods::Period,
    setup::{Made, key_of_log, state_of_log},
};
use sealog_crypto::{KeyKind, PublicKey, Signer};
use sealog_log_engine::{Log, Settings};
use sealog_tlog::{
    EntryLeaf,
    note::{KeySigner, KeyVerifier, NoteSigner, key_id_full},
};
use std::sync::Arc;

/// The name of the first log's key in the key store.
pub const KEY: &str = "rekor";
/// Clients take nothing else as the log's own line.
const KEY_KIND: KeyKind = KeyKind::Ed25519;

/// Makes the key and the log with its first entry.
///
/// # Errors
/// When one is there without the other, or nothing can be made.
pub fn init(instance: &Instance, period: &Period<'_>) -> anyhow::Result<Made> {
    let kept = period.kept(instance)?;
    let state = state_of_log(instance, period, &kept)?;
    if state == Made::New {
        kept.probe_before_init()?;
        let first = seed::first_entry(origin(period))?;
        let key = key_of_log(instance, period.name, KEY_KIND)?;
        let log = Log::<EntryLeaf>::create(kept.place, settings(instance, period, &key)?, Some(first))?;
        log.close()?;
    }
    Ok(state)
}

/// What an operator wants to see before it runs.
///
/// # Errors
/// When it could not start.
pub fn check(instance: &Instance, period: &Period<'_>) -> anyhow::Result<Vec<String>> {
    let (name, origin) = (period.name, origin(period));
    let (key, frozen) = match period.is_frozen(&instance.clock) {
        true => (instance.keys.public(name)?, "; it takes no more"),
        false => (instance.keys.signer(name)?.public_key().clone(), ""),
    };
    let vkey = KeyVerifier::for_log(origin, key)?.to_vkey().unwrap_or_default();
    Ok(vec![format!("{name:<8} origin {origin}, verifier key {vkey}{frozen}")])
}

/// Opens the log and gives the service.
///
/// # Errors
/// When log or key cannot be opened.
pub async fn start(instance: &Instance, period: &Period<'_>) -> anyhow::Result<Service> {
    let public = instance.keys.public(period.name)?;
    let log_id = key_id_full(origin(period), &public)?;
    let key = KeyVerifier::for_log(origin(period), public)?;
    let settings = match period.needs_key(instance) {
        true => Some(settings(instance, period, &instance.keys.signer(period.name)?)?),
        false => None,
    };
    let log: Served<EntryLeaf> = logs::open(instance, period, key, settings).await?;
    let api = Arc::new(answer::RekorApi { log: log.clone(), log_id });
    let files = logs::Files::of(&log, &[("tile", logs::TILE_TYPE)]);
    let mut router = api::router(Arc::clone(&api));
    // Monitors read at the root, the protocol's annotations say `/api/v2`: both are served.
    for prefix in ["", "/api/v2"] {
        router = files.routes(router, prefix);
    }
    let router = with_cors(router).merge(grpc::router(api));
    let service = Service { grpc: &[grpc::SERVICE], ..Service::new(period.name, period.url.clone(), router) };
    Ok(logs::service(service, log))
}

/// The bare host name: clients compare the key's name with the host of the log's URL, without its port.
#[must_use]
pub fn origin<'a>(period: &Period<'a>) -> &'a str {
    period.url.host()
}

/// A log's public key.
///
/// # Errors
/// When it is missing.
pub fn public_key(instance: &Instance, period: &Period<'_>) -> anyhow::Result<PublicKey> {
    Ok(instance.keys.public(period.name)?)
}

fn settings(instance: &Instance, period: &Period<'_>, key: &Arc<dyn Signer>) -> anyhow::Result<Settings> {
    let signer: Arc<dyn NoteSigner> = Arc::new(KeySigner::for_log(origin(period), Arc::clone(key))?);
    let seen = instance.keys.path(period.name, "seen");
    let mut settings = Settings::new(origin(period), vec![signer], instance.clock.as_fn(), seen);
    settings.max_pending = period.max_pending;
    Ok(settings)
}
