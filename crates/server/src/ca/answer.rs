//! What the authority answers, whichever wire the question came by: HTTP and gRPC say the same.
//!
//! Everything the caller did wrong is code 3, a bad token included; faults of ours and of the certificate log
//! are code 13. The reference server's words come first, details after them.

use super::{
    issue::{Issuance, IssuanceError},
    request::{Asked, RequestError},
    trust_token::{AUDIENCE, Disbelief, Tokens},
};
use crate::http::ApiError;
use http::{HeaderMap, header};
use sealog_identity::IssuerRule;
use sealog_pki::{Certificate, IssueError};

/// The reference server takes 4 MiB; no request has more than a few kilobytes, tokens 64 KiB.
pub(super) const MAX_REQUEST: usize = 4 * 1024 * 1024;
const BAD_TOKEN: &str = "There was an error processing the identity token";
const LOG_FAILED: &str = "Error entering certificate in CTL";
const FAILED: &str = "error communicating with CA backend";

/// What the handlers share.
pub(super) struct CaApi {
    pub(super) issuance: Issuance,
    pub(super) tokens: Tokens,
}

impl CaApi {
    /// A certificate for whom the token names and the key that was asked for, before its chain, in PEM.
    ///
    /// A token in the message goes before one in the headers. What was asked for is looked at only once the
    /// token is believed.
    pub(super) async fn certify(
        &self,
        in_message: Option<&str>,
        headers: &HeaderMap,
        asked: impl FnOnce() -> Result<Asked, RequestError>,
    ) -> Result<Vec<String>, ApiError> {
        let refuse = |error: RequestError| ApiError::invalid(error.to_string());
        let in_message = in_message.filter(|token| !token.is_empty());
        let token = in_message.or_else(|| bearer(headers)).ok_or_else(|| disbelief(&Disbelief::NoToken))?;
        let principal = self.tokens.principal(token).await.map_err(|error| disbelief(&error))?;
        let asked = asked().map_err(refuse)?;
        let key = asked.proven(&principal.challenge).map_err(refuse)?;
        if let Some(bound_to) = &principal.bound_to {
            bound_to.check(key).map_err(|error| ApiError::invalid(format!("{BAD_TOKEN}: {error}")))?;
        }
        let issued = self.issuance.issue(&principal, key).await.map_err(|error| match &error {
            // A name the rules let through but X.509 cannot say.
            IssuanceError::Issue(IssueError::San(_)) => ApiError::invalid(format!("{BAD_TOKEN}: {error}")),
            _ if error.is_log() => ApiError::internal(LOG_FAILED).because(error.reason()),
            _ => ApiError::internal(FAILED).because(error.reason()),
        })?;
        Ok(issued.iter().map(pem).collect())
    }

    /// The authority's own certificates, chain by chain, each with its root last, in PEM; the one at work first.
    pub(super) fn chains(&self) -> Vec<Vec<String>> {
        self.issuance.authority.chains().iter().map(|chain| chain.iter().map(pem).collect()).collect()
    }

    /// Whom it believes about what.
    pub(super) fn believed(&self) -> impl Iterator<Item = Believed<'_>> {
        self.tokens.rules.iter().map(Believed::of)
    }
}

/// An issuer as callers are told of it, in the protocol's fields.
pub(super) struct Believed<'a> {
    pub(super) url: &'a str,
    pub(super) is_wildcard: bool,
    pub(super) audience: &'a str,
    pub(super) challenge_claim: &'a str,
    pub(super) spiffe_trust_domain: &'a str,
    pub(super) issuer_type: &'a str,
    pub(super) subject_domain: &'a str,
    pub(super) skip_email_verification: bool,
}

impl<'a> Believed<'a> {
    fn of(rule: &'a IssuerRule) -> Self {
        Self {
            url: rule.issuer(),
            is_wildcard: rule.is_wildcard(),
            audience: rule.audience().unwrap_or(AUDIENCE),
            challenge_claim: rule.challenge_claim(),
            spiffe_trust_domain: rule.spiffe_trust_domain().unwrap_or_default(),
            issuer_type: rule.type_name(),
            subject_domain: rule.subject_domain().unwrap_or_default(),
            skip_email_verification: rule.skips_email_verification(),
        }
    }
}

/// What a caller did to its token is told; what an issuer did is told too, it is the caller's issuer.
fn disbelief(error: &Disbelief) -> ApiError {
    ApiError::invalid(format!("{BAD_TOKEN}: {error}"))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim()).filter(|token| !token.is_empty())
}

/// Without the final newline, as the reference server sends it.
fn pem(certificate: &Certificate) -> String {
    certificate.to_pem().trim_end().to_owned()
}
