//! The certificate authority: Fulcio v2 over HTTP and gRPC, on one port.
//!
//! A token says who, a key and its proof say with what, the certificate log hears of it first, and then
//! there is a certificate for ten minutes. What may be lost: nothing is stored but the keys; the certificates
//! are in the log. The root's key need never be on this machine.

mod answer;
mod api;
pub mod config;
mod grpc;
pub mod import;
mod issue;
mod permitted;
mod refusal;
mod request;
mod reuse;
mod submission;
mod trust_token;

use crate::{
    authority::{self, Authority, SIGNING},
    http::{Service, Within, with_cors},
    instance::Instance,
    issuer_keys::KeyCache,
    setup::Made,
};
use config::Config;
use sealog_crypto::PublicKey;
use std::sync::Arc;

/// The log that hears of every certificate before it is issued.
#[derive(Clone, Debug)]
pub enum CtLog {
    /// Over the network.
    Elsewhere {
        /// Its submission prefix.
        url: String,
        /// Its key.
        key: PublicKey,
    },
    /// In this process: several, each with its start in Unix seconds, in their order.
    Within(Vec<(i64, Within)>),
}

/// Makes the keys and certificates.
///
/// # Errors
/// See [`authority::init`].
pub fn init(instance: &Instance) -> anyhow::Result<Made> {
    authority::init(instance, &SIGNING)
}

/// What an operator wants to see before it runs.
///
/// # Errors
/// When it could not start.
pub fn check(instance: &Instance, config: &Config) -> anyhow::Result<Vec<String>> {
    let mut lines = authority::check(instance, &SIGNING)?;
    let algorithms: Vec<_> = config.algorithms.names().collect();
    lines.push(format!("ca       certifies keys that sign by {}", algorithms.join(", ")));
    lines.extend(
        config
            .issuers
            .iter()
            .map(|rule| format!("ca       believes {} ({})", rule.issuer(), rule.type_name())),
    );
    Ok(lines)
}

/// Loads the keys and gives the service.
///
/// # Errors
/// When they cannot be loaded.
pub fn start(instance: &Instance, config: &Config, log: CtLog) -> anyhow::Result<Service> {
    let issuance = issue::Issuance {
        authority: Authority::open(instance, &SIGNING)?,
        clock: instance.clock.clone(),
        log: submission::Log::new(log, instance.clock.clone())?,
    };
    let reuse = Arc::new(reuse::Reuse::new()?);
    let counts = reuse.counts();
    let tokens = trust_token::Tokens {
        rules: config.issuers.clone(),
        keys: KeyCache::new(instance.clock.clone()),
        clock: instance.clock.clone(),
        reuse,
    };
    let api = Arc::new(answer::CaApi { issuance, tokens, permitted: config.algorithms.clone() });
    let router = with_cors(api::router(Arc::clone(&api))).merge(grpc::router(api));
    Ok(Service { grpc: &[grpc::SERVICE], counts, ..Service::new("ca", config.url.clone(), router) })
}
