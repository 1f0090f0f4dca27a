//! Every Sealog service, and the commands that create, check and run them.
//!
//! Each directory is one service and has the same shape: `mod.rs` (what it is, which specification, what
//! may be lost), `config.rs` (its table), `api.rs` (the wire), and a file for the decision, written so that
//! it needs no HTTP to test. Services never import each other: they meet over HTTP or in a pure crate.
//!
//! A service offers `init(&Instance, &config::Config)`, which makes its keys and never touches existing
//! ones, and `start(&Instance, &config::Config)`, which gives the [`http::Service`] to serve.
//!
//! Not here: what a log entry, certificate or token *is* (`bundle`, `pki`, `tlog`, `identity`), how a log is
//! sequenced and stored (`log-engine`), outward HTTP (`client`).

pub mod authority;
pub mod ca;
pub mod clock;
pub mod command;
pub mod config;
pub mod ctlog;
pub mod demo;
pub mod dev;
pub mod files;
pub mod fsck;
pub mod http;
pub mod instance;
mod issuer_keys;
pub mod kept;
pub mod keys;
pub mod kms;
pub mod listen;
pub mod logs;
pub mod metrics;
pub mod oidc;
pub mod periods;
pub mod pkcs11;
pub mod rekor;
pub mod relay;
pub mod run;
pub mod setup;
pub mod transfer;
pub mod trust;
pub mod tsa;
