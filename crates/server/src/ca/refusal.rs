//! Two texts of every refusal: the caller's says what to change, the log's says whose token it was and all of the cause.
//!
//! The caller may be anybody, and a cause that is the operator's to mend (a file that cannot be read, an issuer within a
//! private network that does not answer) is none of its business. The log never has a token, nor an address of a person.

use super::{issue::IssuanceError, request::RequestError, trust_token::Disbelief};
use crate::http::{ApiError, chain};
use sealog_client::http::readable;
use std::error::Error;

const BAD_TOKEN: &str = "There was an error processing the identity token";
const LOG_FAILED: &str = "Error entering certificate in CTL";
const FAILED: &str = "error communicating with CA backend";

/// A token that is not believed; of an issuer, where it could be read that far.
pub(super) fn of_token(issuer: Option<&str>, error: &Disbelief) -> ApiError {
    ApiError::invalid(format!("{BAD_TOKEN}: {error}")).because(reason(issuer, error))
}

/// A key that is not certified for whom the token names.
pub(super) fn of_request(issuer: &str, error: &RequestError) -> ApiError {
    ApiError::invalid(error.to_string()).because(reason(Some(issuer), error))
}

/// A certificate that was not made: the fault of ours or of the certificate log, but for a name that X.509 cannot say.
pub(super) fn of_issuance(issuer: &str, error: &IssuanceError) -> ApiError {
    let told = match error {
        _ if error.is_name() => ApiError::invalid(format!("{BAD_TOKEN}: {error}")),
        _ if error.is_log() => ApiError::internal(LOG_FAILED),
        _ => ApiError::internal(FAILED),
    };
    told.because(reason(Some(issuer), error))
}

/// For the log: the issuer, and the error with its causes.
fn reason(issuer: Option<&str>, error: &dyn Error) -> String {
    let cause = without_addresses(&chain(error));
    match issuer {
        // It is what the token says, whether that is to be believed or not.
        Some(issuer) => format!("a token of {}: {cause}", without_addresses(&readable(issuer))),
        None => cause,
    }
}

fn without_addresses(text: &str) -> String {
    let words = text.split_whitespace().map(|word| if word.contains('@') { "<address>" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::issuer_keys::FetchError;
    use axum::response::IntoResponse as _;
    use sealog_identity::PrincipalError;
    use std::sync::Arc;

    const ISSUER: &str = "https://accounts.example";

    #[test]
    fn what_is_the_operators_to_mend_is_told_to_the_operator() {
        let io = std::io::Error::new(std::io::ErrorKind::PermissionDenied, "/etc/inner/token: no");
        let fetches = [
            FetchError::BearerToken(Arc::new(io)),
            FetchError::Status { url: "https://10.0.0.1/etc/inner".to_owned(), status: 500 },
            FetchError::Unprotected("http://etc.inner".to_owned()),
        ];
        for fetch in fetches {
            let error = Disbelief::Keys(fetch);
            let told = of_token(Some(ISSUER), &error);
            assert_eq!(told.status(), 400);
            assert_eq!(
                told.message(),
                format!("{BAD_TOKEN}: its issuer's keys could not be fetched now; try again in a moment")
            );
            let kept = reason(Some(ISSUER), &error);
            assert!(kept.starts_with("a token of https://accounts.example: its issuer's keys"), "{kept}");
            assert!(kept.contains("inner"), "{kept}");
            assert!(told.into_response().status() == 400);
        }
    }

    #[test]
    fn nobodys_address_is_kept() {
        for found in ["jane@example.com", "Jane <jane@example.com>", "jane@example.com, the second"] {
            let error = Disbelief::Principal(PrincipalError::NotAnAddress { found: found.to_owned() });
            assert!(of_token(Some(ISSUER), &error).message().contains("jane@"), "its owner is told");
            let kept = reason(Some("https://jane@accounts.example"), &error);
            assert!(!kept.contains("jane@") && !kept.contains('@'), "{kept}");
            assert!(kept.contains("is not an email address"), "{kept}");
        }
    }

    #[test]
    fn an_issuer_of_the_callers_making_stays_within_its_line() {
        let issuer = format!("https://a.example/\u{1b}[2J\n{}", "x".repeat(5000));
        let kept = reason(Some(&issuer), &Disbelief::NoToken);
        assert!(kept.len() < 2000 && !kept.contains(char::is_control), "{kept:?}");
        assert_eq!(reason(None, &Disbelief::NoToken), "there is none");
    }
}
