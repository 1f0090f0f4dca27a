//! Grants and refusals, without HTTP.

use super::*;

const NOW: u64 = 1_700_000_000_000;
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
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

fn redeem(
    grants: &Grants,
    code: &str,
    redirect: &str,
    verifier: &str,
    now: u64,
) -> Result<Grant, GrantError> {
    let form = params(&[("code", code), ("redirect_uri", redirect), ("code_verifier", verifier)]);
    grants.redeem(&form, now)
}

#[test]
fn a_code_works_once_for_whoever_asked() {
    let grants = Grants::default();
    let code = grants.approve(&request(), "me@example.com", NOW).unwrap();
    let grant = redeem(&grants, &code, REDIRECT, VERIFIER, NOW + CODE_MS - 1).unwrap();
    assert_eq!(grant, Grant { address: "me@example.com".into(), nonce: Some("no".into()) });
    assert_eq!(redeem(&grants, &code, REDIRECT, VERIFIER, NOW), Err(GrantError::Invalid), "a second time");
}

#[test]
fn a_wrong_attempt_burns_the_code() {
    let other = "http://localhost:4711/auth/other";
    let too_short = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEj";
    for (redirect, verifier, now) in [
        (other, VERIFIER, NOW),
        ("", VERIFIER, NOW),
        (REDIRECT, "", NOW),
        (REDIRECT, CHALLENGE, NOW),
        (REDIRECT, too_short, NOW),
        (REDIRECT, VERIFIER, NOW + CODE_MS),
    ] {
        let grants = Grants::default();
        let code = grants.approve(&request(), "me@example.com", NOW).unwrap();
        assert_eq!(
            redeem(&grants, &code, redirect, verifier, now),
            Err(GrantError::Invalid),
            "{redirect} {verifier}"
        );
        assert_eq!(redeem(&grants, &code, REDIRECT, VERIFIER, NOW), Err(GrantError::Invalid));
    }
    let grants = Grants::default();
    assert_eq!(redeem(&grants, "unknown", REDIRECT, VERIFIER, NOW), Err(GrantError::Invalid));
    assert!(matches!(grants.redeem(&Params::default(), NOW), Err(GrantError::Request(_))));
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
    let bare = request_with("nonce", "").unwrap();
    assert_eq!(AuthRequest::parse(&params(&bare.params())).unwrap(), bare);
}

#[test]
fn a_parameter_given_twice_is_refused() {
    assert!(Params::parse(b"a=1&b=2&a=1").is_none());
    assert!(Params::parse(b"a=1&%61=2").is_none());
}

fn poll(grants: &Grants, code: &str, verifier: &str, now: u64) -> Result<Grant, GrantError> {
    grants.poll_device(&params(&[("device_code", code), ("code_verifier", verifier)]), now)
}

fn begin(grants: &Grants) -> DeviceStart {
    let form = params(&[("code_challenge", CHALLENGE), ("code_challenge_method", "S256")]);
    grants.begin_device(&form, NOW).unwrap()
}

#[test]
fn a_device_waits_for_its_person() {
    let grants = Grants::default();
    let start = begin(&grants);
    let allow = || Answer::Allow("me@example.com".into());
    assert_eq!(poll(&grants, &start.device_code, VERIFIER, NOW), Err(GrantError::Pending));
    assert_eq!(poll(&grants, &start.device_code, VERIFIER, NOW + 10), Err(GrantError::SlowDown));
    assert_eq!(poll(&grants, &start.device_code, VERIFIER, NOW + 2010), Err(GrantError::Pending));
    assert_eq!(grants.answer_device("BBBB-BBBB", allow(), NOW), Err(NoDevice::Unknown));
    let typed = start.user_code.to_lowercase().replace('-', " ");
    assert_eq!(grants.answer_device(&typed, allow(), NOW), Ok(()));
    assert_eq!(grants.answer_device(&typed, Answer::Refuse, NOW), Err(NoDevice::Unknown), "one answer");
    let grant = poll(&grants, &start.device_code, VERIFIER, NOW + 2011).unwrap();
    assert_eq!(grant, Grant { address: "me@example.com".into(), nonce: None });
    assert_eq!(poll(&grants, &start.device_code, VERIFIER, NOW + 5000), Err(GrantError::Invalid), "used");
}

#[test]
fn a_device_is_refused() {
    let grants = Grants::default();
    let start = begin(&grants);
    grants.answer_device(&start.user_code, Answer::Refuse, NOW).unwrap();
    assert_eq!(poll(&grants, &start.device_code, VERIFIER, NOW), Err(GrantError::Denied));

    let start = begin(&grants);
    grants.answer_device(&start.user_code, Answer::Allow("a@b.co".into()), NOW).unwrap();
    assert_eq!(poll(&grants, &start.device_code, CHALLENGE, NOW), Err(GrantError::Invalid), "wrong verifier");

    let start = begin(&grants);
    let late = NOW + DEVICE_SECONDS * 1000;
    assert_eq!(grants.answer_device(&start.user_code, Answer::Refuse, late), Err(NoDevice::Unknown));
    assert_eq!(poll(&grants, &start.device_code, VERIFIER, late), Err(GrantError::Expired));
    assert_eq!(poll(&grants, "unknown", VERIFIER, NOW), Err(GrantError::Invalid));
    let plain = params(&[("code_challenge", CHALLENGE), ("code_challenge_method", "plain")]);
    assert!(matches!(grants.begin_device(&plain, NOW), Err(GrantError::Request(_))));
}

#[test]
fn user_codes_are_not_tried_out() {
    let grants = Grants::default();
    let start = begin(&grants);
    for _ in 0..MAX_WRONG_USER_CODES {
        assert_eq!(grants.answer_device("BBBBBBBB", Answer::Refuse, NOW), Err(NoDevice::Unknown));
    }
    let answer = |now| grants.answer_device(&start.user_code, Answer::Refuse, now);
    assert_eq!(answer(NOW), Err(NoDevice::TooManyGuesses));
    assert_eq!(answer(NOW + MINUTE_MS + 1), Ok(()));
}

#[test]
fn what_waits_is_bounded_and_ends() {
    let grants = Grants::default();
    for _ in 0..MAX_WAITING {
        grants.approve(&request(), "me@example.com", NOW).unwrap();
    }
    assert_eq!(grants.approve(&request(), "me@example.com", NOW), Err(GrantError::Full));
    assert!(grants.approve(&request(), "me@example.com", NOW + CODE_MS).is_ok());
}

#[test]
fn user_codes_are_easy_to_read() {
    let codes: std::collections::BTreeSet<_> = (0..50).map(|_| begin(&Grants::default()).user_code).collect();
    assert_eq!(codes.len(), 50);
    for code in codes {
        let (first, last) = code.split_once('-').unwrap();
        assert!(first.len() == 4 && last.len() == 4, "{code}");
        assert!(code.bytes().all(|b| b == b'-' || USER_CODE_LETTERS.contains(&b)), "{code}");
    }
}
