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
    logs::{self, Served},
    periods::Period,
    setup::{Made, key_of_log, state_of_log},
};
use config::Config;
use roots::Accepted;
use sealog_crypto::{KeyKind, PublicKey, Signer};
use sealog_log_engine::{Log, Settings};
use sealog_tlog::{
    ct::{CtLeaf, log_id},
    note::{KeySigner, KeyVerifier, NoteSigner},
};
use std::sync::Arc;

/// The name of the first log's key in the key store.
pub const KEY: &str = "ctlog";
/// Clients know no other kind for certificate logs.
const KEY_KIND: KeyKind = KeyKind::EcdsaP256;

/// Makes the key and the empty log.
///
/// # Errors
/// When one is there without the other, or nothing can be made.
pub fn init(instance: &Instance, period: &Period<'_>) -> anyhow::Result<Made> {
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
    if period.is_frozen(&instance.clock) {
        let id = hex::encode(log_id(&instance.keys.public(name)?));
        return Ok(vec![format!("{name:<8} origin {origin}, log id {id}; it takes no more")]);
    }
    let id = hex::encode(log_id(instance.keys.signer(name)?.public_key()));
    let roots = Accepted::open(instance, config)?;
    Ok(vec![
        format!("{name:<8} origin {origin}, log id {id}"),
        format!("{name:<8} {} accepted root certificate(s)", roots.known().len()),
    ])
}

/// Opens the log and gives the service.
///
/// # Errors
/// When log, key or roots cannot be opened.
pub async fn start(instance: &Instance, config: &Config, period: &Period<'_>) -> anyhow::Result<Service> {
    let roots = Accepted::open(instance, config)?;
    let key = KeyVerifier::tree_head(origin(period), instance.keys.public(period.name)?)?;
    let (settings, signer) = match period.needs_key(instance) {
        true => {
            let signer = instance.keys.signer(period.name)?;
            (Some(settings(instance, period, &signer)?), Some(signer))
        }
        false => (None, None),
    };
    let log: Served<CtLeaf> = logs::open(instance, period, key, settings).await?;
    let router = api::router(Arc::new(api::CtApi { log: log.clone(), roots, signer }));
    let files = logs::Files::of(&log, &[("tile", logs::TILE_TYPE), ("issuer", "application/pkix-cert")]);
    let router = with_cors(files.routes(router, ""));
    Ok(logs::service(Service::new(period.name, period.url.clone(), router), log))
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
    let signer: Arc<dyn NoteSigner> = Arc::new(KeySigner::tree_head(origin(period), Arc::clone(key))?);
    let seen = instance.keys.path(period.name, "seen");
    let mut settings = Settings::new(origin(period), vec![signer], instance.clock.as_fn(), seen);
    settings.max_pending = period.max_pending;
    Ok(settings)
}
