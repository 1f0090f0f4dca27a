//! Grants and refusals, without HTTP.

use super::*;

const NOW: u64 = 1_700_000_000_000;
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// RFC 7636 appendix B.
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "http://localhost:4711/auth/callback";
const NETWORK: &str = "192.0.2.1";

fn grants() -> (Grants, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (Grants::new(store.clone(), Limits::new(store)), dir)
}

fn params(pairs: &[(&str, &str)]) -> Params {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    Params::parse(text.extend_pairs(pairs).finish().as_bytes()).unwrap()
}

fn request() -> AuthRequest {
    let pairs = [
        ("client_id", "sigstore"),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", "openid email"),
        ("nonce", "no"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("dpop_jkt", CHALLENGE),
    ];
    AuthRequest::parse(&params(&pairs)).unwrap()
}

fn person() -> Person {
    let address = "me@example.com".to_owned();
    Person { user_id: "7".to_owned(), address, connector_id: "https://i.example".to_owned() }
}

async fn redeem(
    grants: &Grants,
    code: &str,
    redirect: &str,
    verifier: &str,
    now: u64,
) -> Result<Grant, String> {
    let form = params(&[("code", code), ("redirect_uri", redirect), ("code_verifier", verifier)]);
    grants.redeem(&form, now).await.map_err(|error| error.to_string())
}

fn said<T>(error: GrantError) -> Result<T, String> {
    Err(error.to_string())
}

#[tokio::test]
async fn a_code_works_once_for_whoever_asked() {
    let (grants, dir) = grants();
    let code = grants.approve(&request(), &person(), NOW).await.unwrap();
    // Another instance of the provider, or the same after a restart.
    let store = Store::open(dir.path()).unwrap();
    let other = Grants::new(store.clone(), Limits::new(store));
    let grant = redeem(&other, &code, REDIRECT, VERIFIER, NOW + CODE_MS - 1).await.unwrap();
    let wanted = Grant { person: person(), nonce: Some("no".into()), key_thumbprint: Some(CHALLENGE.into()) };
    assert_eq!(grant, wanted);
    assert_eq!(
        redeem(&grants, &code, REDIRECT, VERIFIER, NOW).await,
        said(GrantError::Invalid),
        "a second time"
    );
}

#[tokio::test]
async fn a_wrong_attempt_burns_the_code() {
    let other = "http://localhost:4711/auth/other";
    let too_short = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEj";
    let (grants, _dir) = grants();
    for (redirect, verifier, now) in [
        (other, VERIFIER, NOW),
        ("", VERIFIER, NOW),
        (REDIRECT, "", NOW),
        (REDIRECT, CHALLENGE, NOW),
        (REDIRECT, too_short, NOW),
        (REDIRECT, VERIFIER, NOW + CODE_MS),
    ] {
        let code = grants.approve(&request(), &person(), NOW).await.unwrap();
        let wrong = redeem(&grants, &code, redirect, verifier, now).await;
        assert_eq!(wrong, said(GrantError::Invalid), "{redirect} {verifier}");
        assert_eq!(redeem(&grants, &code, REDIRECT, VERIFIER, NOW).await, said(GrantError::Invalid));
    }
    assert_eq!(redeem(&grants, "unknown", REDIRECT, VERIFIER, NOW).await, said(GrantError::Invalid));
    assert!(matches!(grants.redeem(&Params::default(), NOW).await, Err(GrantError::Request(_))));
}

async fn poll(grants: &Grants, code: &str, verifier: &str, now: u64) -> Result<Grant, String> {
    let form = params(&[("device_code", code), ("code_verifier", verifier)]);
    grants.poll_device(&form, now).await.map_err(|error| error.to_string())
}

async fn begin(grants: &Grants) -> DeviceStart {
    let form = params(&[("code_challenge", CHALLENGE), ("code_challenge_method", "S256")]);
    grants.begin_device(&form, NETWORK, asker(), NOW).await.unwrap()
}

fn asker() -> Asker {
    Asker { from: NETWORK.to_owned(), program: "a program".to_owned(), at_ms: NOW, connector_id: None }
}

#[tokio::test]
async fn a_device_waits_for_its_person() {
    let (grants, _dir) = grants();
    let start = begin(&grants).await;
    let allow = || Answer::Allow(person());
    assert_eq!(poll(&grants, &start.device_code, VERIFIER, NOW).await, said(GrantError::Pending));
    assert_eq!(poll(&grants, &start.device_code, VERIFIER, NOW + 10).await, said(GrantError::SlowDown));
    assert_eq!(poll(&grants, &start.device_code, VERIFIER, NOW + 2010).await, said(GrantError::Pending));
    assert!(matches!(grants.answer_device("BBBB-BBBB", allow(), NOW).await, Err(NoDevice::Unknown)));
    let typed = start.user_code.to_lowercase().replace('-', " ");
    let (user_code, asked) = grants.asking_device(&typed, NETWORK, NOW).await.unwrap();
    assert_eq!(asked, asker());
    grants.answer_device(&user_code, allow(), NOW).await.unwrap();
    let again = grants.answer_device(&typed, Answer::Refuse, NOW).await;
    assert!(matches!(again, Err(NoDevice::Unknown)), "one answer");
    assert!(matches!(grants.asking_device(&typed, NETWORK, NOW).await, Err(NoDevice::Unknown)));
    let grant = poll(&grants, &start.device_code, VERIFIER, NOW + 2011).await.unwrap();
    assert_eq!(grant, Grant { person: person(), nonce: None, key_thumbprint: None });
    assert_eq!(
        poll(&grants, &start.device_code, VERIFIER, NOW + 5000).await,
        said(GrantError::Expired),
        "used"
    );
}

#[tokio::test]
async fn a_device_is_refused() {
    let (grants, _dir) = grants();
    let start = begin(&grants).await;
    grants.answer_device(&start.user_code, Answer::Refuse, NOW).await.unwrap();
    assert_eq!(poll(&grants, &start.device_code, VERIFIER, NOW).await, said(GrantError::Denied));

    let start = begin(&grants).await;
    grants.answer_device(&start.user_code, Answer::Allow(person()), NOW).await.unwrap();
    assert_eq!(
        poll(&grants, &start.device_code, CHALLENGE, NOW).await,
        said(GrantError::Invalid),
        "wrong verifier"
    );
    assert_eq!(
        poll(&grants, &start.device_code, VERIFIER, NOW).await,
        said(GrantError::Expired),
        "and it is burnt"
    );

    let start = begin(&grants).await;
    let late = NOW + DEVICE_SECONDS * 1000;
    let answer = grants.answer_device(&start.user_code, Answer::Refuse, late).await;
    assert!(matches!(answer, Err(NoDevice::Unknown)));
    assert_eq!(poll(&grants, &start.device_code, VERIFIER, late).await, said(GrantError::Expired));
    assert_eq!(poll(&grants, "unknown", VERIFIER, NOW).await, said(GrantError::Expired));
    let plain = params(&[("code_challenge", CHALLENGE), ("code_challenge_method", "plain")]);
    assert!(matches!(grants.begin_device(&plain, NETWORK, asker(), NOW).await, Err(GrantError::Request(_))));
}

#[tokio::test]
async fn user_codes_are_not_tried_out() {
    let (grants, _dir) = grants();
    let start = begin(&grants).await;
    for _ in 0..20 {
        assert!(matches!(grants.asking_device("BBBBBBBB", NETWORK, NOW).await, Err(NoDevice::Unknown)));
    }
    let ask = |network: &'static str, now| grants.asking_device(&start.user_code, network, now);
    assert!(matches!(ask(NETWORK, NOW).await, Err(NoDevice::TooManyGuesses)));
    assert!(ask("192.0.2.2", NOW).await.is_ok(), "another network did not guess");
    assert!(ask(NETWORK, NOW + 60_001).await.is_ok());
}

#[tokio::test]
async fn a_network_does_not_fill_the_waiting_room() {
    let (grants, _dir) = grants();
    let mut started = 0;
    let refused = loop {
        match grants.begin_device(&Params::default(), NETWORK, asker(), NOW).await {
            Ok(_) => started += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, GrantError::TooMany) && started == 120, "{started}: {refused}");
    assert!(grants.begin_device(&Params::default(), "192.0.2.2", asker(), NOW).await.is_ok());
}

#[test]
fn user_codes_are_easy_to_read() {
    let codes: std::collections::BTreeSet<_> = (0..50).map(|_| user_code().unwrap()).collect();
    assert_eq!(codes.len(), 50);
    for code in codes {
        assert!(code.len() == 8 && code.bytes().all(|b| USER_CODE_LETTERS.contains(&b)), "{code}");
    }
}

#[tokio::test]
async fn a_device_binds_its_token_to_a_thumbprint_or_to_nothing() {
    let (grants, _dir) = grants();
    let asker =
        Asker { from: "192.0.2.7".to_owned(), program: String::new(), at_ms: NOW, connector_id: None };
    for (text, good) in [(CHALLENGE, true), ("x", false), (&"a".repeat(10_000), false)] {
        let begun = grants.begin_device(&params(&[("dpop_jkt", text)]), NETWORK, asker.clone(), NOW).await;
        match good {
            true => drop(begun.unwrap()),
            false => assert!(matches!(begun, Err(GrantError::Request(_)))),
        }
    }
}
