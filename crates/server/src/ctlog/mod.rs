//! The log of certificates: RFC 6962 submission, static-ct reading (C2SP static-ct-api).
//!
//! What may be lost: nothing under `data/ctlog` but its index; `ctlog.key` neither, since a log's key
//! cannot be changed. It takes certificates that lead to an accepted root, and nothing else.

mod admission;
mod api;
mod beside;
pub mod config;
mod promise;
mod roots;

use crate::{
    http::{Service, with_cors},
    instance::Instance,
    kept,
    logs::{self, Ledger},
    periods::{Period, SEEN},
    relay::{FrontEnd, Role, Trust},
    setup::{Made, key_of_log, log_elsewhere, state_of_log},
};
pub use beside::beside;
use config::Config;
use roots::Accepted;
use sealog_crypto::{KeyKind, PublicKey, Signer};
use sealog_log_engine::{Log, Receipt, Settings};
use sealog_tlog::{
    ct::{CtLeaf, log_id},
    note::{KeySigner, KeyVerifier, NoteVerifier},
};
use std::sync::Arc;

/// The name of the first log's key in the key store.
pub const KEY: &str = "ctlog";
/// Its listener for front ends.
pub const SEQUENCER: &str = "ctlog-sequencer";
/// Clients know no other kind for certificate logs.
const KEY_KIND: KeyKind = KeyKind::EcdsaP256;

/// Makes the key and the empty log.
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
        let key = key_of_log(instance, period.name, KEY_KIND)?;
        let log = Log::<CtLeaf>::create(kept.place, settings(instance, period, &key)?, None)?;
        log.close()?;
    }
    Ok(state)
}

/// What an operator wants to see before it runs.
///
/// # Errors
/// When it could not start.
pub fn check(instance: &Instance, config: &Config, period: &Period<'_>) -> anyhow::Result<Vec<String>> {
    let (name, origin) = (period.name, origin(period));
    let frozen = period.is_frozen(&instance.clock);
    let public = match period.role {
        Role::Sequencer if !frozen => instance.keys.signer(name)?.public_key().clone(),
        _ => instance.keys.public(name)?,
    };
    let frozen = if frozen { "; it takes no more" } else { "" };
    let roots = Accepted::open(instance, config)?;
    Ok(vec![
        format!("{name:<8} origin {origin}, log id {}{frozen}", hex::encode(log_id(&public))),
        format!("{name:<8} {} accepted root certificate(s)", roots.known().len()),
    ])
}

/// Opens the log, or finds its sequencer, and gives the services: the one for the world first.
///
/// # Errors
/// When log, key or roots cannot be opened.
pub async fn start(
    instance: &Instance,
    config: &Config,
    period: &Period<'_>,
) -> anyhow::Result<Vec<Service>> {
    let roots = Accepted::open(instance, config)?;
    let mut internal = None;
    let log = match (period.role, period.store) {
        (Role::FrontEnd, Some(store)) => {
            let public = instance.keys.public(period.name)?;
            let log: Arc<dyn NoteVerifier + Send + Sync> =
                Arc::new(KeyVerifier::tree_head(origin(period), public.clone())?);
            let trust =
                Trust { log, voucher: Arc::new(move |receipt, sct| promise::check(receipt, sct, &public)) };
            let reader = kept::reader::<CtLeaf>(store)?;
            Ledger::elsewhere(FrontEnd::<CtLeaf>::start(period.name, reader, trust, period.max_pending))
        }
        _ if period.is_frozen(&instance.clock) => {
            let public = instance.keys.public(period.name)?;
            let key = KeyVerifier::tree_head(origin(period), public)?;
            let first_seen = instance.keys.path(period.name, SEEN);
            let settings = match instance.keys.contains(period.name) {
                true => Some(settings(instance, period, &instance.keys.signer(period.name)?)?),
                false => None,
            };
            Ledger::frozen(period.kept(instance)?, key, first_seen, settings).await?
        }
        _ => {
            let key = instance.keys.signer(period.name)?;
            let settings = settings(instance, period, &key)?;
            let kept = period.kept(instance)?;
            let token = kept.token();
            let vouch = Arc::new(move |receipt: &Receipt| promise::make(receipt, key.as_ref()));
            let log = Ledger::<CtLeaf>::open(period.name, kept, settings, vouch).await?;
            internal = period.sequencer.map(|listener| {
                let log = log.clone().within(period, &instance.clock);
                logs::for_front_ends(period.sequencer_name, listener, &log, token)
            });
            log
        }
    };
    let log = log.within(period, &instance.clock);
    let api = Arc::new(api::CtApi { log: log.clone(), roots });
    let direct = api::direct(&api);
    let router = api::router(api);
    let files = logs::Files::of(&log, &[("tile", logs::TILE_TYPE), ("issuer", "application/pkix-cert")]);
    let direct = files.direct(direct, "");
    let router = with_cors(files.routes(router, ""));
    let service = Service { direct, ..Service::new(period.name, period.url.clone(), router) };
    Ok(std::iter::once(log.service(service)).chain(internal).collect())
}

/// The submission prefix without its scheme (static-ct-api): the port stays.
#[must_use]
pub fn origin<'a>(period: &Period<'a>) -> &'a str {
    period.url.authority()
}

/// A log's public key.
///
/// # Errors
/// When it is missing.
pub fn public_key(instance: &Instance, period: &Period<'_>) -> anyhow::Result<PublicKey> {
    Ok(instance.keys.public(period.name)?)
}

fn settings(instance: &Instance, period: &Period<'_>, key: &Arc<dyn Signer>) -> anyhow::Result<Settings> {
    let signer = KeySigner::tree_head(origin(period), Arc::clone(key))?;
    Ok(period.settings(instance, origin(period), Arc::new(signer)))
}
