//! Outward: the services as a client asks them, and signing, which conducts them.
//!
//! In scope: HTTP with bounds and plain errors ([`http`]), signing in ([`oidc`]), one module per service
//! ([`ca`], [`tsa`], [`rekor`], [`ct`], [`tiles`], and [`aws`] and [`google`] for keys), the trust files ([`trust`]), and the order in which a
//! file becomes a bundle ([`sign`]).
//!
//! Not in scope: what makes a signature good (`sealog-verify`), how documents look (`sealog-bundle`), the
//! terminal and the user's files (`sealog-cli`). Nothing is believed because a service said it: what comes
//! back from one is verified before it is used.

pub mod attest;
pub mod aws;
pub mod ca;
pub mod clock;
pub mod ct;
pub mod google;
pub mod http;
pub mod oidc;
pub mod rekor;
pub mod sign;
pub mod tiles;
pub mod trust;
pub mod tsa;
pub mod watch;
