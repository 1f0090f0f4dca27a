//! Good tokens of every algorithm we can make, and every refusal.

use super::*;
use crate::{issue::issue, jwk};
use alloc::{format, string::ToString as _, vec};
use sealog_crypto::{PrivateKey, Signer};
use serde_json::{Value, json};
use std::sync::LazyLock;

extern crate std;

const NOW: i64 = 1_700_000_000;
const ISSUER: &str = "https://issuer.example";

static RSA: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::generate(KeyKind::Rsa { bits: 2048 }).unwrap());
static P256: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate(KeyKind::EcdsaP256).unwrap());

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "me", "aud": "sigstore", "exp": NOW + 60, "iat": NOW, "nbf": NOW})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn jwks(keys: &[(&str, &PrivateKey)]) -> Jwks {
    let keys: Vec<_> = keys
        .iter()
        .map(|(id, key)| {
            jwk::encode(key.public_key(), id, crate::issue::algorithm_of(*key).unwrap()).unwrap()
        })
        .collect();
    let parsed = Jwks::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap();
    assert_eq!(parsed.unusable(), []);
    parsed
}

fn rsa_keys() -> Jwks {
    jwks(&[("r", &RSA)])
}

fn check_with(token: &str, keys: &Jwks, checks: &Checks<'_>) -> Result<Claims, TokenError> {
    verify(&UnverifiedToken::parse(token)?, keys, checks)
}

fn check(token: &str, keys: &Jwks) -> Result<Claims, TokenError> {
    check_with(token, keys, &checks())
}

fn checks() -> Checks<'static> {
    Checks {
        issuer: ISSUER,
        audience: "sigstore",
        now_unix: NOW,
        expiry_leeway_seconds: 0,
        not_before_leeway_seconds: 0,
        algorithms: &Algorithm::ALL,
    }
}

/// The claims signed by the RSA key, checked.
fn checked(claims: &Value) -> Result<Claims, TokenError> {
    check(&issue(claims, "r", &*RSA).unwrap(), &rsa_keys())
}

/// Header and payload as they are, signed by the RSA key.
fn raw(header: &str, payload: &str) -> String {
    let signed =
        format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(payload.as_bytes()));
    format!("{signed}.{}", base64url::encode(&RSA.sign(signed.as_bytes()).unwrap()))
}

const HEADER: &str = r#"{"alg":"RS256","kid":"r"}"#;

#[test]
fn good_tokens_of_every_kind_of_key() {
    for kind in [KeyKind::Rsa { bits: 2048 }, KeyKind::EcdsaP256, KeyKind::EcdsaP384, KeyKind::Ed25519] {
        let key = PrivateKey::generate(kind).unwrap();
        let keys = jwks(&[("other", &P256), ("k", &key)]);
        // Several, so that ECDSA numbers with leading zeros occur.
        for n in 0..8 {
            let token = issue(&with("n", json!(n)), "k", &key).unwrap();
            let claims = check(&token, &keys).unwrap();
            assert_eq!((claims.issuer(), claims.subject(), claims.expires()), (ISSUER, "me", NOW + 60));
            assert_eq!(claims.get("n"), Some(&Json::Integer(n.into())));
        }
    }
}

#[test]
fn a_key_without_a_name_is_found_by_trying() {
    let header = r#"{"alg":"RS256"}"#;
    let keys = jwks(&[("e", &P256), ("r", &RSA)]);
    assert!(check(&raw(header, &claims().to_string()), &keys).is_ok());
}

#[test]
fn a_token_of_another_implementation() {
    // RFC 7515 appendix A.2 and A.3: their payload has no `sub` and `aud`, so the signature is good
    // and the claims are not.
    let keys = Jwks::parse(include_bytes!("../../testdata/rfc7515-keys.json")).unwrap();
    assert_eq!(keys.keys().len(), 2);
    for token in include_str!("../../testdata/rfc7515-tokens.txt").lines() {
        let token = UnverifiedToken::parse(token).unwrap();
        let found = verify(&token, &keys, &Checks { issuer: "joe", ..checks() });
        assert_eq!(found, Err(TokenError::MissingClaim { claim: "sub" }));
    }
}

#[test]
fn time() {
    assert_eq!(
        checked(&with("exp", json!(NOW))),
        Err(TokenError::Expired { expired: NOW, now: NOW }),
        "the second it expires is too late"
    );
    assert!(checked(&with("exp", json!(NOW + 1))).is_ok());
    assert_eq!(
        checked(&with("nbf", json!(NOW + 1))),
        Err(TokenError::NotYetValid { not_before: NOW + 1, now: NOW })
    );
    assert!(checked(&with("exp", json!(1_700_000_060.5))).is_ok());
    assert!(checked(&without("iat")).is_ok());
    assert!(checked(&without("nbf")).is_ok());
    assert_eq!(checked(&without("exp")), Err(TokenError::MissingClaim { claim: "exp" }));
    for odd in [json!("1700000060"), json!(null), json!(1e300), json!(-0.5), json!(u64::MAX)] {
        for claim in ["exp", "nbf", "iat"] {
            let found = checked(&with(claim, odd.clone()));
            assert!(matches!(found, Err(TokenError::ClaimType { .. })), "{claim} {odd}: {found:?}");
        }
    }
}

#[test]
fn each_end_of_a_token_has_a_leeway_of_its_own() {
    let token = |claims: &Value| issue(claims, "r", &*RSA).unwrap();
    let at = |claim: &str, second: i64, checks: &Checks<'_>| {
        check_with(&token(&with(claim, json!(second))), &rsa_keys(), checks)
    };
    let late = Checks { expiry_leeway_seconds: 5, ..checks() };
    assert!(at("exp", NOW - 4, &late).is_ok());
    assert_eq!(at("exp", NOW - 5, &late), Err(TokenError::Expired { expired: NOW - 5, now: NOW }));
    assert!(at("nbf", NOW, &late).is_ok());
    assert_eq!(at("nbf", NOW + 1, &late), Err(TokenError::NotYetValid { not_before: NOW + 1, now: NOW }));
    let early = Checks { not_before_leeway_seconds: 300, ..checks() };
    assert!(at("nbf", NOW + 1, &early).is_ok());
    assert!(at("nbf", NOW + 300, &early).is_ok());
    assert_eq!(
        at("nbf", NOW + 301, &early),
        Err(TokenError::NotYetValid { not_before: NOW + 301, now: NOW })
    );
    assert!(at("exp", NOW + 1, &early).is_ok());
    assert_eq!(at("exp", NOW, &early), Err(TokenError::Expired { expired: NOW, now: NOW }));
    // A number near the end of its range is no way around.
    assert!(at("nbf", i64::MAX, &early).is_err());
    assert!(at("exp", i64::MIN, &late).is_err());
}

#[test]
fn when_a_token_was_issued_decides_nothing() {
    for second in [0, 1, NOW - 86_400 * 365, NOW + 1, NOW + 86_400] {
        assert!(checked(&with("iat", json!(second))).is_ok(), "{second}");
    }
}

#[test]
fn audience() {
    assert!(checked(&with("aud", json!(["a", "sigstore"]))).is_ok());
    assert_eq!(
        checked(&with("aud", json!("other"))),
        Err(TokenError::Audience { expected: "sigstore".into(), found: vec!["other".into()] })
    );
    assert!(matches!(checked(&with("aud", json!([]))), Err(TokenError::Audience { .. })));
    assert!(matches!(checked(&with("aud", json!(["sigstore", 1]))), Err(TokenError::ClaimType { .. })));
    assert!(matches!(checked(&with("aud", json!({"sigstore": 1}))), Err(TokenError::ClaimType { .. })));
    assert!(matches!(checked(&with("aud", json!(vec!["sigstore"; 17]))), Err(TokenError::ClaimType { .. })));
    assert_eq!(checked(&without("aud")), Err(TokenError::MissingClaim { claim: "aud" }));
}

#[test]
fn issuer_and_subject() {
    assert_eq!(
        checked(&with("iss", json!("https://issuer.example/"))),
        Err(TokenError::Issuer { expected: ISSUER.into(), found: "https://issuer.example/".into() })
    );
    for other in [
        "HTTPS://issuer.example",
        "https://Issuer.example",
        "https://issuer.example#",
        "https://issuer.example ",
    ] {
        let refused = checked(&with("iss", json!(other)));
        assert!(matches!(refused, Err(TokenError::Issuer { .. })), "{other}: {refused:?}");
    }
    assert_eq!(checked(&without("iss")), Err(TokenError::MissingClaim { claim: "iss" }));
    assert_eq!(checked(&without("sub")), Err(TokenError::MissingClaim { claim: "sub" }));
    for odd in [json!(""), json!(7), json!(null), json!("x".repeat(MAX_CLAIM_BYTES + 1))] {
        assert!(matches!(checked(&with("sub", odd.clone())), Err(TokenError::ClaimType { .. })), "{odd}");
        assert!(matches!(checked(&with("iss", odd)), Err(TokenError::ClaimType { .. })));
    }
}

#[test]
fn algorithms_without_a_public_half_are_refused() {
    for name in ["none", "None", "NONE", "HS256", "HS512", "ES256K", "dir", "", "rs256"] {
        let token = raw(&json!({"alg": name, "kid": "r"}).to_string(), &claims().to_string());
        assert_eq!(
            UnverifiedToken::parse(&token).err(),
            Some(TokenError::Algorithm { found: name.to_string() })
        );
    }
    for header in ["{}", r#"{"alg":null}"#, r#"{"alg":["RS256"]}"#] {
        let token = raw(header, &claims().to_string());
        assert_eq!(
            UnverifiedToken::parse(&token).err(),
            Some(TokenError::Algorithm { found: String::new() })
        );
    }
    let payload = base64url::encode(claims().to_string().as_bytes());
    let unsigned = format!("{}.{payload}.", base64url::encode(br#"{"alg":"none"}"#));
    assert!(matches!(UnverifiedToken::parse(&unsigned), Err(TokenError::Algorithm { .. })));
}

#[test]
fn the_public_key_as_a_shared_secret() {
    // The classic swap, complete: HMAC-SHA-256 (RFC 2104) with the RSA key's PEM as the secret.
    let signed = format!(
        "{}.{}",
        base64url::encode(br#"{"alg":"HS256","kid":"r"}"#),
        base64url::encode(claims().to_string().as_bytes())
    );
    let secret = sealog_crypto::sha256(RSA.public_key().to_pem().as_bytes());
    let mut pad = [[0x36_u8; 64], [0x5c; 64]];
    for block in &mut pad {
        block.iter_mut().zip(secret).for_each(|(to, from)| *to ^= from);
    }
    let inner = sealog_crypto::sha256(&[pad[0].as_slice(), signed.as_bytes()].concat());
    let mac = sealog_crypto::sha256(&[pad[1].as_slice(), &inner].concat());
    let token = format!("{signed}.{}", base64url::encode(&mac));
    assert_eq!(check(&token, &rsa_keys()).err(), Some(TokenError::Algorithm { found: "HS256".to_string() }));
}

#[test]
fn the_algorithm_is_bound_to_the_key() {
    let payload = claims().to_string();
    let wrong_key = |header: &str| check(&raw(header, &payload), &rsa_keys()).unwrap_err();
    let found = wrong_key(r#"{"alg":"ES256","kid":"r"}"#);
    assert!(matches!(found, TokenError::WrongKey { algorithm: Algorithm::Es256, .. }), "{found:?}");
    assert!(wrong_key(r#"{"alg":"EdDSA","kid":"r"}"#).to_string().contains("RSA 2048"));
    // The key says RS256; PS256 and RS512 are other ways to use an RSA key, and not its own.
    assert!(matches!(wrong_key(r#"{"alg":"PS256","kid":"r"}"#), TokenError::WrongKey { .. }));
    assert!(matches!(wrong_key(r#"{"alg":"RS512","kid":"r"}"#), TokenError::WrongKey { .. }));
    // P-384 numbers under ES256.
    let p384 = PrivateKey::generate(KeyKind::EcdsaP384).unwrap();
    let token = issue(&claims(), "k", &p384).unwrap();
    let (_, rest) = token.split_once('.').unwrap();
    let swapped = format!("{}.{rest}", base64url::encode(br#"{"alg":"ES256","kid":"k"}"#));
    assert!(matches!(check(&swapped, &jwks(&[("k", &p384)])), Err(TokenError::WrongKey { .. })));
}

#[test]
fn the_issuer_says_which_algorithms_it_uses() {
    let token = issue(&claims(), "e", &*P256).unwrap();
    let checks = Checks { algorithms: &Algorithm::DEFAULT, ..checks() };
    assert_eq!(
        check_with(&token, &jwks(&[("e", &P256)]), &checks),
        Err(TokenError::AlgorithmNotAllowed { found: Algorithm::Es256, expected: vec![Algorithm::Rs256] })
    );
}

#[test]
fn tampered() {
    let token = issue(&claims(), "r", &*RSA).unwrap();
    let parts: Vec<_> = token.split('.').collect();
    let other = base64url::encode(with("sub", json!("you")).to_string().as_bytes());
    let found = check(&format!("{}.{other}.{}", parts[0], parts[2]), &rsa_keys());
    assert_eq!(found, Err(TokenError::Signature));
    let header = base64url::encode(br#"{"alg":"RS256","kid":"r","x":1}"#);
    let found = check(&format!("{header}.{}.{}", parts[1], parts[2]), &rsa_keys());
    assert_eq!(found, Err(TokenError::Signature));
    for signature in ["", "AAAA"] {
        let found = check(&format!("{}.{}.{signature}", parts[0], parts[1]), &rsa_keys());
        assert_eq!(found, Err(TokenError::Signature));
    }
    let stranger = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let forged = issue(&claims(), "e", &stranger).unwrap();
    assert_eq!(check(&forged, &jwks(&[("e", &P256)])), Err(TokenError::Signature));
}

#[test]
fn every_single_bit_of_a_token_counts() {
    let token = issue(&claims(), "e", &*P256).unwrap();
    let keys = jwks(&[("e", &P256)]);
    assert!(check(&token, &keys).is_ok());
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] ^= 1;
        if let Ok(changed) = String::from_utf8(bytes) {
            assert!(check(&changed, &keys).is_err(), "byte {at}");
        }
    }
}

#[test]
fn keys_that_are_not_there_or_not_usable() {
    let token = issue(&claims(), "new", &*RSA).unwrap();
    assert_eq!(
        check(&token, &rsa_keys()),
        Err(TokenError::UnknownKey { key_id: Some("new".into()), algorithm: Algorithm::Rs256 })
    );
    let usable = jwk::encode(RSA.public_key(), "new", Algorithm::Rs256).unwrap();
    let set = |name: &str, value: Value| {
        let mut key = usable.clone();
        key[name] = value;
        Jwks::parse(json!({ "keys": [key] }).to_string().as_bytes()).unwrap()
    };
    let why = |keys: &Jwks| match check(&token, keys) {
        Err(TokenError::UnusableKey { error, .. }) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(why(&set("use", json!("enc"))), JwkError::Purpose);
    assert_eq!(why(&set("key_ops", json!(["sign"]))), JwkError::Purpose);
    assert_eq!(why(&set("d", json!("AQ"))), JwkError::Private);
    assert_eq!(why(&set("kty", json!("oct"))), JwkError::Type("oct".into()));
    assert_eq!(why(&set("alg", json!("HS256"))), JwkError::Algorithm("HS256".into()));
    assert!(matches!(why(&set("alg", json!("ES256"))), JwkError::Mismatch { .. }));
    assert_eq!(why(&set("n", json!("AQAB="))), JwkError::Base64("n"));
    assert!(matches!(why(&set("n", json!("AQAB"))), JwkError::Key(_)));
    assert!(matches!(why(&set("e", json!("Aw"))), JwkError::Key(_)), "exponent 3");
    assert!(check(&token, &set("key_ops", json!(["verify"]))).is_ok());
}

#[test]
fn curves_are_bound_to_the_key() {
    let key = jwk::encode(P256.public_key(), "e", Algorithm::Es256).unwrap();
    let set = |name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        let keys = Jwks::parse(json!({ "keys": [key] }).to_string().as_bytes()).unwrap();
        keys.unusable().first().map(|(_, error)| error.clone())
    };
    assert!(matches!(set("crv", json!("P-384")), Some(JwkError::Key(_))));
    assert_eq!(set("crv", json!("secp256k1")), Some(JwkError::Curve("secp256k1".into())));
    assert!(matches!(set("x", key["y"].clone()), Some(JwkError::Key(_))), "a point off the curve");
    assert_eq!(set("use", json!("sig")), None);
}

#[test]
fn key_sets_are_bounded() {
    assert!(matches!(Jwks::parse(&vec![b' '; jwk::MAX_BYTES + 1]), Err(jwk::JwksError::TooLong { .. })));
    let many = json!({ "keys": vec![json!({}); jwk::MAX_KEYS + 1] }).to_string();
    assert!(matches!(Jwks::parse(many.as_bytes()), Err(jwk::JwksError::TooMany { .. })));
    assert_eq!(Jwks::parse(b"{}"), Err(jwk::JwksError::NoKeys));
    assert!(matches!(Jwks::parse(br#"{"keys":[],"keys":[]}"#), Err(jwk::JwksError::Json(_))));
}

#[test]
fn what_occurs_twice_is_refused() {
    let payload =
        format!(r#"{{"iss":"{ISSUER}","sub":"me","sub":"you","aud":"sigstore","exp":{}}}"#, NOW + 9);
    let duplicate = |part, name: &str| TokenError::Json { part, error: JsonError::Duplicate(name.into()) };
    assert_eq!(check(&raw(HEADER, &payload), &rsa_keys()), Err(duplicate(Part::Payload, "sub")));
    let header = r#"{"alg":"none","alg":"RS256","kid":"r"}"#;
    let found = check(&raw(header, &claims().to_string()), &rsa_keys());
    assert_eq!(found, Err(duplicate(Part::Header, "alg")));
    let nested = with("a", json!(0)).to_string().replace("\"a\":0", r#""a":{"b":1,"b":2}"#);
    assert_eq!(check(&raw(HEADER, &nested), &rsa_keys()), Err(duplicate(Part::Payload, "b")));
}

#[test]
fn headers_that_would_change_the_meaning() {
    let refused = |header: &str, name| {
        let found = check(&raw(header, &claims().to_string()), &rsa_keys());
        assert_eq!(found, Err(TokenError::Header(name)), "{header}");
    };
    refused(r#"{"alg":"RS256","kid":"r","crit":["b64"],"b64":false}"#, "crit");
    refused(r#"{"alg":"RS256","kid":"r","crit":[]}"#, "crit");
    refused(r#"{"alg":"RS256","kid":7}"#, "kid");
    refused(r#"{"alg":"RS256","kid":"r","typ":"logout+jwt"}"#, "typ");
    refused(&json!({"alg": "RS256", "kid": "k".repeat(MAX_KEY_ID_BYTES + 1)}).to_string(), "kid");
    let fine = r#"{"alg":"RS256","kid":"r","typ":"jwt","jku":"https://evil.example","jwk":{},"x5u":"https://evil.example","x5c":[]}"#;
    assert!(
        check(&raw(fine, &claims().to_string()), &rsa_keys()).is_ok(),
        "keys of the token are not looked at"
    );
    let remote = r#"{"alg":"RS256","kid":"https://evil.example/keys"}"#;
    let found = check(&raw(remote, &claims().to_string()), &rsa_keys());
    assert!(
        matches!(found, Err(TokenError::UnknownKey { .. })),
        "a name is compared, and leads nowhere: {found:?}"
    );
}

#[test]
fn several_keys_of_one_name_are_each_tried_and_no_other() {
    let other = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let stranger = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    for keys in [jwks(&[("k", &P256), ("k", &other)]), jwks(&[("k", &other), ("k", &P256)])] {
        for key in [&*P256, &other] {
            assert!(check(&issue(&claims(), "k", key).unwrap(), &keys).is_ok());
        }
        let refused = check(&issue(&claims(), "k", &stranger).unwrap(), &keys);
        assert!(matches!(refused, Err(TokenError::Signature)), "{refused:?}");
    }
    // Each only with the algorithm that is its own.
    let both = jwks(&[("k", &RSA), ("k", &P256)]);
    for key in [&*RSA, &*P256] {
        assert!(check(&issue(&claims(), "k", key).unwrap(), &both).is_ok());
    }
}

#[test]
fn shapes() {
    let parts = |text: &str| match UnverifiedToken::parse(text) {
        Err(TokenError::Parts { found }) => found,
        other => panic!("{other:?}"),
    };
    assert_eq!((parts(""), parts("a"), parts("a.b"), parts("a.b.c.d"), parts("a.b.c.d.e")), (1, 1, 2, 4, 5));
    let token = issue(&claims(), "r", &*RSA).unwrap();
    let error = |text: &str| UnverifiedToken::parse(text).unwrap_err();
    assert_eq!(error(&format!("{token}=")), TokenError::Base64(Part::Signature));
    assert_eq!(error(&format!(" {token}")), TokenError::Base64(Part::Header));
    assert_eq!(error(&format!("{token}\n")), TokenError::Base64(Part::Signature));
    let standard = token.replace('-', "+").replace('_', "/");
    assert!(standard == token || UnverifiedToken::parse(&standard).is_err());
    assert_eq!(error(&"a".repeat(MAX_BYTES + 1)), TokenError::TooLong { found: MAX_BYTES + 1 });
    assert_eq!(
        error(&raw(HEADER, "[]")),
        TokenError::Json { part: Part::Payload, error: JsonError::NotAnObject }
    );
    let deep = format!(r#"{{"iss":"x","a":{}1{}}}"#, "[".repeat(40), "]".repeat(40));
    assert_eq!(
        error(&raw(HEADER, &deep)),
        TokenError::Json { part: Part::Payload, error: JsonError::TooDeep }
    );
}

#[test]
fn tokens_do_not_show_in_debug_output() {
    let token = issue(&claims(), "r", &*RSA).unwrap();
    let unverified = UnverifiedToken::parse(&token).unwrap();
    let shown = format!("{unverified:?} {:?}", check(&token, &rsa_keys()).unwrap());
    let signature = token.rsplit('.').next().unwrap();
    assert!(!shown.contains(signature) && !shown.contains("sigstore"));
}

proptest::proptest! {
    #[test]
    fn nothing_panics(text in "[A-Za-z0-9_.-]{0,200}", bytes in proptest::collection::vec(0_u8.., 0..200)) {
        let _ = UnverifiedToken::parse(&text);
        let _ = Jwks::parse(&bytes);
        let _ = UnverifiedToken::parse(&raw(HEADER, &String::from_utf8_lossy(&bytes)));
    }
}

#[test]
fn a_missing_key_is_told_in_words() {
    let error = |key_id: Option<&str>| {
        TokenError::UnknownKey { key_id: key_id.map(str::to_owned), algorithm: Algorithm::Rs256 }.to_string()
    };
    assert_eq!(error(Some("a\n")), r#"the issuer has no usable key "a\n" that signs with RS256"#);
    assert_eq!(error(None), "the issuer has no usable key without a name that signs with RS256");
}

#[test]
fn newer_keys_may_help_where_none_fitted_and_nowhere_else() {
    let stranger = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let other = jwks(&[("r", &stranger)]);
    let good = issue(&claims(), "r", &*RSA).unwrap();
    let forged = issue(&claims(), "e", &stranger).unwrap();
    let es256 = Checks { algorithms: &[Algorithm::Es256], ..checks() };
    for (found, what) in [
        (check(&issue(&claims(), "new", &*RSA).unwrap(), &rsa_keys()), "another name"),
        (check(&good, &other), "another kind under its name"),
        (check(&forged, &jwks(&[("e", &P256)])), "another key under its name"),
        (check_with(&good, &rsa_keys(), &es256), "an algorithm the issuer did not use"),
    ] {
        assert!(found.unwrap_err().newer_keys_may_help(), "{what}");
    }
    for (found, what) in [
        (checked(&with("exp", json!(NOW))), "expired"),
        (checked(&with("aud", json!("other"))), "for another"),
        (checked(&without("sub")), "of nobody"),
        (check("a.b", &rsa_keys()), "no token"),
    ] {
        assert!(!found.unwrap_err().newer_keys_may_help(), "{what}");
    }
}
