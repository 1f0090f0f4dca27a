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
    kept,
    logs::{self, Ledger},
    periods::{Period, SEEN},
    relay::{FrontEnd, Role, Trust},
    setup::{Made, key_of_log, log_elsewhere, state_of_log},
};
use sealog_crypto::{KeyKind, PublicKey, Signer};
use sealog_log_engine::{Log, Settings};
use sealog_tlog::{
    EntryLeaf,
    note::{KeySigner, KeyVerifier, NoteVerifier, key_id_full},
};
use std::sync::Arc;

/// The name of the first log's key in the key store.
pub const KEY: &str = "rekor";
/// Its listener for front ends.
pub const SEQUENCER: &str = "rekor-sequencer";
/// Clients take nothing else as the log's own line.
const KEY_KIND: KeyKind = KeyKind::Ed25519;

/// Makes the key and the log with its first entry.
///
/// # Errors
/// When one is there without the other, or nothing can be made.
pub fn init(instance: &Instance, period: &Period<'_>) -> anyhow::Result<Made> {
    if period.role == Role::FrontEnd {
        return log_elsewhere(instance, period.name);
    }
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
    let frozen = period.is_frozen(&instance.clock);
    let public = match period.role {
        Role::Sequencer if !frozen => instance.keys.signer(name)?.public_key().clone(),
        _ => instance.keys.public(name)?,
    };
    let frozen = if frozen { "; it takes no more" } else { "" };
    let vkey = KeyVerifier::for_log(origin, public)?.to_vkey().unwrap_or_default();
    Ok(vec![format!("{name:<8} origin {origin}, verifier key {vkey}{frozen}")])
}

/// Opens the log, or finds its sequencer, and gives the services: the one for the world first.
///
/// # Errors
/// When log or key cannot be opened.
pub async fn start(instance: &Instance, period: &Period<'_>) -> anyhow::Result<Vec<Service>> {
    let mut internal = None;
    let (log, public) = match (period.role, period.store) {
        (Role::FrontEnd, Some(store)) => {
            let public = instance.keys.public(period.name)?;
            let log: Arc<dyn NoteVerifier + Send + Sync> =
                Arc::new(KeyVerifier::for_log(origin(period), public.clone())?);
            // The proof says everything.
            let trust = Trust { log, voucher: Arc::new(|_, _| Ok(())) };
            let reader = kept::reader::<EntryLeaf>(store)?;
            let front_end = FrontEnd::<EntryLeaf>::start(period.name, reader, trust, period.max_pending);
            (Ledger::elsewhere(front_end), public)
        }
        _ if period.is_frozen(&instance.clock) => {
            let public = instance.keys.public(period.name)?;
            let key = KeyVerifier::for_log(origin(period), public.clone())?;
            let first_seen = instance.keys.path(period.name, SEEN);
            let settings = match instance.keys.contains(period.name) {
                true => Some(settings(instance, period, &instance.keys.signer(period.name)?)?),
                false => None,
            };
            (Ledger::frozen(period.kept(instance)?, key, first_seen, settings).await?, public)
        }
        _ => {
            let key = instance.keys.signer(period.name)?;
            let settings = settings(instance, period, &key)?;
            let kept = period.kept(instance)?;
            let token = kept.token();
            let log =
                Ledger::<EntryLeaf>::open(period.name, kept, settings, Arc::new(|_| Ok(Vec::new()))).await?;
            internal = period.sequencer.map(|listener| {
                let log = log.clone().within(period, &instance.clock);
                logs::for_front_ends(period.sequencer_name, listener, &log, token)
            });
            (log, key.public_key().clone())
        }
    };
    let log = log.within(period, &instance.clock);
    let log_id = key_id_full(origin(period), &public)?;
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
    let service =
        Service { direct, grpc: &[grpc::SERVICE], ..Service::new(period.name, period.url.clone(), router) };
    Ok(std::iter::once(log.service(service)).chain(internal).collect())
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
    let signer = KeySigner::for_log(origin(period), Arc::clone(key))?;
    Ok(period.settings(instance, origin(period), Arc::new(signer)))
}
