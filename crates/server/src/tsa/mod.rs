//! The timestamp authority: RFC 3161 over HTTP, as DER and in the JSON form of sigstore-js.
//!
//! Nothing is stored: a lost timestamp is asked for again. The keys (`tsa.key`, `tsa.pem`) must not be lost
//! as long as new timestamps are wanted; old ones verify with the certificates alone.

mod api;
pub mod config;
mod stamp;

use crate::{
    authority::{self, Authority, TIMESTAMPING},
    http::Service,
    instance::Instance,
    setup::Made,
};
use config::Config;
use std::sync::Arc;

/// Makes the keys and certificates.
///
/// # Errors
/// See [`authority::init`].
pub fn init(instance: &Instance) -> anyhow::Result<Made> {
    authority::init(instance, &TIMESTAMPING)
}

/// What an operator wants to see before it runs.
///
/// # Errors
/// When it could not start.
pub fn check(instance: &Instance) -> anyhow::Result<Vec<String>> {
    authority::check(instance, &TIMESTAMPING)
}

/// Loads the keys and gives the service.
///
/// # Errors
/// When they cannot be loaded.
pub fn start(instance: &Instance, config: &Config) -> anyhow::Result<Service> {
    let authority = Authority::open(instance, &TIMESTAMPING)?;
    let stamper = Arc::new(stamp::Stamper::new(authority, instance.clock.clone()));
    let direct = api::direct(Arc::clone(&stamper));
    Ok(Service { direct, ..Service::new("tsa", config.url.clone(), api::router(stamper)) })
}
