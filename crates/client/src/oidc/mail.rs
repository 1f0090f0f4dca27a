//! Signing in by a code that is mailed: typed here, into the program that asked, where the provider offers that.
//!
//! A device's sign-in (RFC 8628) whose answer comes from the same keyboard. The device code is what binds the mailed one to
//! this program: whoever reads the mail elsewhere can do nothing with it.

use super::{
    IdentityToken, MAX_DOCUMENT_BYTES, OidcError, Provider, SignIn,
    device::{Refusal, Waiting},
};
use crate::http::{self, Client, Request};
use sealog_crypto::Zeroizing;
use serde::Deserialize;
use std::io;
use url::Host;

/// A longer line is no code.
const MAX_CODE_BYTES: usize = 64;

/// What a person is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The code that is on its way to the address.
    Code,
    /// Once more: why the last one was not it, in the provider's words.
    Again(Box<str>),
}

#[derive(Deserialize)]
struct Sent {
    session: String,
}

/// Whether two addresses are one: domains have one spelling, names may have any.
fn is_same(one: &str, other: &str) -> bool {
    let parts = |text: &str| {
        let (name, domain) = text.trim().rsplit_once('@')?;
        Some((name.to_owned(), Host::parse(domain).ok()?))
    };
    parts(one).is_some_and(|one| Some(one) == parts(other))
}

/// Where a wrong code may be followed by another.
#[derive(Deserialize)]
struct TriesLeft {
    tries_left: Option<u32>,
}

/// Signs in whoever reads the mail of `address`: the provider sends a code there, `ask` hands back what is typed.
///
/// # Errors
/// See [`OidcError`].
pub async fn sign_in_by_mail(
    client: &Client,
    provider: &Provider,
    how: &SignIn,
    address: &str,
    ask: impl Fn(Question) -> io::Result<String> + Clone + Send + 'static,
) -> Result<IdentityToken, OidcError> {
    let endpoint =
        provider.mail_endpoint.as_ref().ok_or_else(|| OidcError::NoMail(http::readable(&provider.issuer)))?;
    http::keeps_secrets(endpoint)?;
    let (waiting, _) = Waiting::begin(client, provider, how).await?;
    let post = async |more: &[(&str, &str)]| {
        let mut fields = vec![("client_id", how.client_id.as_str()), ("device_code", &waiting.device_code)];
        fields.extend_from_slice(more);
        let request = Request::post_form(endpoint.clone(), &fields);
        client.exchange(&request.accept("application/json").limit(MAX_DOCUMENT_BYTES)).await
    };
    let refused = |body: &[u8]| {
        serde_json::from_slice::<Refusal>(body).map_or(OidcError::NoDeviceCode, OidcError::from)
    };
    let sent = post(&[("email", address)]).await?;
    if sent.status != 200 {
        return Err(refused(&sent.body));
    }
    let sent: Sent = serde_json::from_slice(&sent.body).map_err(|_| OidcError::NoDeviceCode)?;
    let session = Zeroizing::new(sent.session);
    let mut question = Question::Code;
    loop {
        let ask = ask.clone();
        // Nobody can be hurried at a keyboard, and nothing else waits for this.
        let typed = tokio::task::spawn_blocking(move || ask(question)).await;
        let typed = typed.unwrap_or_else(|error| Err(io::Error::other(error)));
        let typed = Zeroizing::new(typed.map_err(OidcError::Keyboard)?);
        let code = typed.trim();
        if code.is_empty() || code.len() > MAX_CODE_BYTES {
            return Err(OidcError::NotACode);
        }
        let answer = post(&[("session", &session), ("code", code)]).await?;
        if answer.status == 200 {
            let token = waiting.token().await?;
            return match token.claims().email.as_deref().is_some_and(|email| is_same(email, address)) {
                true => Ok(token),
                false => Err(OidcError::NotOurs("email address")),
            };
        }
        let left = serde_json::from_slice::<TriesLeft>(&answer.body).ok().and_then(|said| said.tries_left);
        match (left, refused(&answer.body)) {
            (Some(1..), OidcError::Refused(words)) => question = Question::Again(words),
            (_, other) => return Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_another_address_is_not_the_one_asked_for() {
        for (one, other, same) in [
            ("jane@example.org", "jane@EXAMPLE.org", true),
            (" jane@bücher.example", "jane@xn--bcher-kva.example", true),
            ("jane@example.org", "Jane@example.org", false),
            ("jane@example.org", "mallory@example.org", false),
            ("jane@example.org", "jane@example.net", false),
            ("jane", "jane", false),
        ] {
            assert_eq!(is_same(one, other), same, "{one} {other}");
        }
    }
}
