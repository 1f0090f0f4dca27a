//! AWS Signature Version 4: who asks, for what, and when, under a key that lives for a day.
//!
//! Spec: AWS General Reference, "Signature Version 4 signing process", the form with headers. Paths here are `/` and
//! queries empty: the services we ask take everything in the body.

use super::credentials::Credentials;
use sealog_bundle::UnixTime;
use sealog_crypto::{hmac_sha256, sha256};
use std::fmt::Write as _;
use url::Url;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Where and when a request is good.
pub(super) struct Scope<'a> {
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    /// Unix seconds.
    pub(super) at: i64,
}

/// What is sent along.
pub(super) struct Signed {
    /// `Authorization`.
    pub(super) authorization: String,
    /// `X-Amz-Date`.
    pub(super) date: String,
}

/// Signs a POST to `/` with these headers, in lower case and in any order.
pub(super) fn headers(
    scope: &Scope<'_>,
    credentials: &Credentials,
    endpoint: &Url,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Signed {
    let (year, month, day, hour, minute, second) = UnixTime::from_seconds(scope.at).civil();
    let day = format!("{year:04}{month:02}{day:02}");
    let date = format!("{day}T{hour:02}{minute:02}{second:02}Z");
    let host = match (endpoint.host_str().unwrap_or_default(), endpoint.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    let mut all: Vec<(&str, &str)> = headers.to_vec();
    all.push(("host", &host));
    all.push(("x-amz-date", &date));
    if let Some(token) = &credentials.session_token {
        all.push(("x-amz-security-token", token));
    }
    all.sort_unstable();
    let mut canonical = String::from("POST\n/\n\n");
    for (name, value) in &all {
        let _ = writeln!(canonical, "{name}:{}", value.trim());
    }
    let names = all.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let _ = write!(canonical, "\n{names}\n{}", hex::encode(sha256(body)));
    let reach = format!("{day}/{}/{}/aws4_request", scope.region, scope.service);
    let to_sign = format!("{ALGORITHM}\n{date}\n{reach}\n{}", hex::encode(sha256(canonical.as_bytes())));
    let secret = format!("AWS4{}", credentials.secret.as_str());
    let key = [day.as_str(), scope.region, scope.service, "aws4_request"]
        .iter()
        .fold(secret.into_bytes(), |key, part| hmac_sha256(&key, part.as_bytes()).to_vec());
    let signature = hex::encode(hmac_sha256(&key, to_sign.as_bytes()));
    let authorization = format!(
        "{ALGORITHM} Credential={}/{reach}, SignedHeaders={names}, Signature={signature}",
        credentials.key_id
    );
    Signed { authorization, date }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parse_url;

    /// What botocore 1.4x makes of the same requests.
    #[test]
    fn signs_as_the_vendors_own_kit_does() {
        for (token, expected) in [
            (
                None,
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261127/eu-central-1/kms/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date;x-amz-target, \
                 Signature=3f7d0b624b3dcdc20d61bee2ccc1c864a9455d6245b8440288016180c50a1461",
            ),
            (
                Some("session+token/=="),
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261127/eu-central-1/kms/aws4_request, \
                 SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, \
                 Signature=92074548f0a0bed3e924f0bba7d11b0cd69d5e99c9285c2cc456bb7f38915dcc",
            ),
        ] {
            let credentials =
                Credentials::new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token, None);
            let at = UnixTime::parse_rfc3339("2026-11-27T09:30:00Z").unwrap().seconds();
            let signed = headers(
                &Scope { region: "eu-central-1", service: "kms", at },
                &credentials,
                &parse_url("https://kms.eu-central-1.amazonaws.com/").unwrap(),
                &[
                    ("x-amz-target", "TrentService.GetPublicKey"),
                    ("content-type", "application/x-amz-json-1.1"),
                ],
                br#"{"KeyId":"alias/sealog"}"#,
            );
            assert_eq!((signed.date.as_str(), signed.authorization.as_str()), ("20261127T093000Z", expected));
        }
    }
}
