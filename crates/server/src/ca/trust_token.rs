//! Who a token speaks of: the rule for its issuer, the issuer's keys, the checks, the principal.

use super::reuse::Reuse;
use crate::clock::Clock;
use crate::issuer_keys::{FetchError, IssuerKeys, KeyCache};
use sealog_identity::{
    Checks, Claims, ConfirmationError, IssuerRule, IssuerRules, Principal, PrincipalError, TokenError,
    UnverifiedToken, verify,
};
use std::sync::Arc;

/// The audience of tokens for signing, where a rule does not name another.
pub(super) const AUDIENCE: &str = "sigstore";
/// An issuer's clock may run before ours by this much, as by Fulcio's (go-oidc `verify.go`). Nothing is given to a token
/// that expired.
const NOT_BEFORE_LEEWAY_SECONDS: i64 = 5 * 60;

/// Rules, keys, time.
pub(super) struct Tokens {
    pub(super) rules: IssuerRules,
    pub(super) keys: KeyCache,
    pub(super) clock: Clock,
    pub(super) reuse: Arc<Reuse>,
}

/// Why a token is not believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Disbelief {
    /// None came with the request.
    #[error("there is none")]
    NoToken,
    /// Its form, signature, audience or time.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Nobody told us to believe this issuer.
    #[error("the issuer {0:?} is not one this authority believes")]
    UnknownIssuer(String),
    /// The issuer's keys cannot be had. Why is the operator's to know: callers are told what this displays.
    #[error("its issuer's keys could not be fetched now; try again in a moment")]
    Keys(#[from] FetchError),
    /// What it says makes no name.
    #[error(transparent)]
    Principal(#[from] PrincipalError),
    /// It is bound to another key.
    #[error(transparent)]
    Bound(#[from] ConfirmationError),
}

impl Tokens {
    /// Believes a token, or says why not.
    pub(super) async fn principal(&self, token: &UnverifiedToken<'_>) -> Result<Principal, Disbelief> {
        let issuer = token.issuer();
        let rule = self.rules.find(issuer).ok_or_else(|| Disbelief::UnknownIssuer(shortened(issuer)))?;
        let known = self.keys.of(issuer, rule.asking()).await?;
        let claims = match self.check(token, &known, rule) {
            // The issuer may have a new key since we asked, under whatever name.
            Err(error) if error.newer_keys_may_help() => {
                let newer = self.keys.newer(issuer, rule.asking(), &known).await?;
                // Not asked again so soon: the same keys say the same.
                if Arc::ptr_eq(&known, &newer) {
                    return Err(error.into());
                }
                self.check(token, &newer, rule)?
            }
            other => other?,
        };
        self.reuse.note(token, claims.expires(), self.clock.unix_seconds());
        Ok(rule.principal(&claims)?)
    }

    fn check(
        &self,
        token: &UnverifiedToken<'_>,
        known: &IssuerKeys,
        rule: &IssuerRule,
    ) -> Result<Claims, TokenError> {
        let checks = Checks {
            issuer: token.issuer(),
            audience: rule.audience().unwrap_or(AUDIENCE),
            now_unix: self.clock.unix_seconds(),
            expiry_leeway_seconds: 0,
            not_before_leeway_seconds: NOT_BEFORE_LEEWAY_SECONDS,
            algorithms: &known.discovery.algorithms,
        };
        verify(token, &known.keys, &checks)
    }
}

/// A text from outside, short enough for an answer.
fn shortened(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    text.chars().take(MAX_CHARS).collect()
}
