//! What the authority answers, whichever wire the question came by: HTTP and gRPC say the same.
//!
//! Everything the caller did wrong is code 3, a bad token included; faults of ours and of the certificate log
//! are code 13. The reference server's words come first, details after them (`refusal`).

use super::{
    issue::Issuance,
    permitted::Permitted,
    refusal,
    request::{Asked, RequestError},
    trust_token::{AUDIENCE, Disbelief, Tokens},
};
use crate::http::ApiError;
use http::{HeaderMap, header};
use sealog_identity::{IssuerRule, UnverifiedToken};
use sealog_pki::Certificate;

/// The reference server takes 4 MiB; no request has more than a few kilobytes, tokens 64 KiB.
pub(super) const MAX_REQUEST: usize = 4 * 1024 * 1024;

/// What the handlers share.
pub(super) struct CaApi {
    pub(super) issuance: Issuance,
    pub(super) tokens: Tokens,
    pub(super) permitted: Permitted,
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
        let unread = |error: Disbelief| refusal::of_token(None, &error);
        let in_message = in_message.filter(|token| !token.is_empty());
        let token = in_message.or_else(|| bearer(headers)).ok_or_else(|| unread(Disbelief::NoToken))?;
        let token = UnverifiedToken::parse(token).map_err(|error| unread(error.into()))?;
        let issuer = token.issuer();
        let disbelieve = |error: Disbelief| refusal::of_token(Some(issuer), &error);
        let refuse = |error: RequestError| refusal::of_request(issuer, &error);
        let principal = self.tokens.principal(&token).await.map_err(disbelieve)?;
        let asked = asked().map_err(refuse)?;
        let key = asked.proven(&principal.challenge, &self.permitted).map_err(refuse)?;
        if let Some(bound_to) = &principal.bound_to {
            bound_to.check(key).map_err(|error| disbelieve(error.into()))?;
        }
        let issued = self.issuance.issue(&principal, key).await;
        let issued = issued.map_err(|error| refusal::of_issuance(issuer, &error))?;
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

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim()).filter(|token| !token.is_empty())
}

/// Without the final newline, as the reference server sends it.
fn pem(certificate: &Certificate) -> String {
    certificate.to_pem().trim_end().to_owned()
}
