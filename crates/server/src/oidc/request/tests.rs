//! Requests that may be granted, and those that may not.

use super::*;

/// RFC 7636 appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "http://localhost:4711/auth/callback";

fn params(pairs: &[(&str, &str)]) -> Params {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    Params::parse(text.extend_pairs(pairs).finish().as_bytes()).unwrap()
}

/// A good request with one parameter changed; an empty value takes it out.
fn request_with(name: &str, value: &str) -> Result<AuthRequest, AuthError> {
    let mut pairs = vec![
        ("client_id", "sigstore"),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", "openid email"),
        ("state", "st"),
        ("nonce", "no"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("access_type", "online"),
        ("client_secret", ""),
    ];
    pairs.retain(|(n, _)| *n != name);
    pairs.push((name, value));
    AuthRequest::parse(&params(&pairs))
}

fn request() -> AuthRequest {
    request_with("x", "y").unwrap()
}

#[test]
fn redirects_stay_on_this_machine() {
    for good in [
        "http://localhost:1/auth/callback",
        "http://127.0.0.1:65535/x?y=z",
        "http://[::1]:8080/",
        "http://localhost/auth/callback",
        OUT_OF_BAND,
    ] {
        assert!(request_with("redirect_uri", good).is_ok(), "{good}");
    }
    for bad in [
        "",
        "https://localhost:1/auth/callback",
        "http://evil.example/auth/callback",
        "http://localhost.evil.example:1/",
        "http://localhost@evil.example/",
        "http://user@localhost:1/",
        "http://localhost:1/#fragment",
        "http://127.0.0.1.evil.example/",
        "javascript:alert(1)",
        "urn:ietf:wg:oauth:2.0:oob:auto",
        "/auth/callback",
    ] {
        assert!(matches!(request_with("redirect_uri", bad), Err(AuthError::Page(_))), "{bad}");
    }
    assert!(matches!(request_with("client_id", "other"), Err(AuthError::Page(_))));
}

#[test]
fn other_mistakes_are_told_to_the_client_with_its_state() {
    for (name, value, expected) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_mode", "fragment", "invalid_request"),
        ("scope", "email", "invalid_scope"),
        ("prompt", "none", "login_required"),
        ("request", "x", "request_not_supported"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
    ] {
        match request_with(name, value) {
            Err(AuthError::Back(sent)) => {
                assert_eq!((sent.error, sent.state.as_deref()), (expected, Some("st")), "{name}={value}");
            }
            other => panic!("{name}={value}: {other:?}"),
        }
    }
    let long = "x".repeat(MAX_ECHO + 1);
    assert!(matches!(request_with("state", &long), Err(AuthError::Back(sent)) if sent.state.is_none()));
    assert!(matches!(request_with("nonce", &long), Err(AuthError::Back(_))));
}

#[test]
fn a_request_survives_its_page() {
    let first = request();
    assert_eq!(AuthRequest::parse(&params(&first.params())).unwrap(), first);
    let kept = serde_json::to_string(&first).unwrap();
    assert_eq!(serde_json::from_str::<AuthRequest>(&kept).unwrap(), first);
    let elsewhere = kept.replace("localhost:4711", "evil.example");
    assert!(serde_json::from_str::<AuthRequest>(&elsewhere).is_err(), "what is recalled is checked again");
    let bound = request_with("dpop_jkt", CHALLENGE).unwrap();
    assert_eq!(bound.key_thumbprint.as_deref(), Some(CHALLENGE));
    assert_eq!(AuthRequest::parse(&params(&bound.params())).unwrap(), bound);
    assert!(matches!(request_with("dpop_jkt", "short"), Err(AuthError::Back(_))));
    let bare = request_with("nonce", "").unwrap();
    assert_eq!(AuthRequest::parse(&params(&bare.params())).unwrap(), bare);
}

#[test]
fn a_parameter_given_twice_is_refused() {
    assert!(Params::parse(b"a=1&b=2&a=1").is_none());
    assert!(Params::parse(b"a=1&%61=2").is_none());
}
