//! An authenticator in software, honest or not.

use super::*;
use sealog_crypto::{KeyKind, PrivateKey, Signer as _};

const ORIGIN: &str = "https://id.example.org";
const HOST: &str = "id.example.org";
const CHALLENGE: &str = "dGhlIGNoYWxsZW5nZQ";

fn wanted() -> Wanted<'static> {
    Wanted { challenge: CHALLENGE, origin: ORIGIN, host: HOST }
}

/// What it is told to say.
#[derive(Clone)]
struct Says {
    kind: &'static str,
    challenge: &'static str,
    origin: &'static str,
    cross_origin: bool,
    host: &'static str,
    flags: u8,
    count: u32,
}

impl Says {
    fn honest(kind: &'static str) -> Self {
        let flags =
            USER_PRESENT | USER_VERIFIED | if kind == "webauthn.create" { CREDENTIAL_ATTACHED } else { 0 };
        Self { kind, challenge: CHALLENGE, origin: ORIGIN, cross_origin: false, host: HOST, flags, count: 7 }
    }

    fn client_data(&self) -> Vec<u8> {
        let Self { kind, challenge, origin, cross_origin, .. } = self;
        serde_json::json!({"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": cross_origin, "other": {}})
            .to_string()
            .into_bytes()
    }

    fn data(&self, attached: &[u8]) -> Vec<u8> {
        let mut data = sha256(self.host.as_bytes()).to_vec();
        data.push(self.flags);
        data.extend(self.count.to_be_bytes());
        data.extend(attached);
        data
    }
}

/// Its key as COSE writes it.
fn cose(key: &PrivateKey) -> Vec<u8> {
    let spki = key.public_key().spki_der();
    let integer = |n: i64| Value::from(n);
    let pairs = match key.public_key().kind() {
        KeyKind::EcdsaP256 => {
            let point = &spki[spki.len() - 64..];
            vec![
                (1, integer(2)),
                (3, integer(-7)),
                (-1, integer(1)),
                (-2, Value::Bytes(point[..32].to_vec())),
                (-3, Value::Bytes(point[32..].to_vec())),
            ]
        }
        _ => vec![
            (1, integer(1)),
            (3, integer(-8)),
            (-1, integer(6)),
            (-2, Value::Bytes(spki[spki.len() - 32..].to_vec())),
        ],
    };
    let map = pairs.into_iter().map(|(label, value)| (integer(label), value)).collect();
    encoded(&Value::Map(map))
}

fn encoded(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    ciborium::into_writer(value, &mut out).unwrap();
    out
}

fn attached(id: &[u8], key: &[u8]) -> Vec<u8> {
    [&[0; 16][..], &u16::try_from(id.len()).unwrap().to_be_bytes(), id, key].concat()
}

fn attestation(data: Vec<u8>) -> Vec<u8> {
    let text = |text: &str| Value::Text(text.to_owned());
    encoded(&Value::Map(vec![
        (text("fmt"), text("none")),
        (text("attStmt"), Value::Map(Vec::new())),
        (text("authData"), Value::Bytes(data)),
    ]))
}

fn make(says: &Says, key: &PrivateKey) -> Result<Made, WebauthnError> {
    made(&wanted(), &says.client_data(), &attestation(says.data(&attached(b"name", &cose(key)))))
}

fn use_it(says: &Says, key: &PrivateKey, known: &str) -> Result<u32, WebauthnError> {
    let (client_data, data) = (says.client_data(), says.data(&[]));
    let signature = key.sign(&[data.as_slice(), &sha256(&client_data)].concat()).unwrap();
    used(&wanted(), known, &client_data, &data, &signature)
}

/// Everything that is said wrongly, one at a time.
fn lies(honest: &Says) -> Vec<(&'static str, Says, WebauthnError)> {
    let lie = |name, change: fn(&mut Says), error| {
        let mut says = honest.clone();
        change(&mut says);
        (name, says, error)
    };
    vec![
        lie("challenge", |s| s.challenge = "b3RoZXI", WebauthnError::NotOurs),
        lie("origin", |s| s.origin = "https://evil.example", WebauthnError::NotOurs),
        lie("origin's port", |s| s.origin = "https://id.example.org:8443", WebauthnError::NotOurs),
        lie("framed", |s| s.cross_origin = true, WebauthnError::NotOurs),
        lie("host", |s| s.host = "evil.example", WebauthnError::NotOurs),
        lie("kind", |s| s.kind = "payment.get", WebauthnError::NotOurs),
        lie("absent", |s| s.flags &= !USER_PRESENT, WebauthnError::NotVerified),
        lie("a touch alone", |s| s.flags &= !USER_VERIFIED, WebauthnError::NotVerified),
    ]
}

#[test]
fn a_passkey_is_made_and_used() {
    for kind in [KeyKind::EcdsaP256, KeyKind::Ed25519] {
        let key = PrivateKey::generate(kind).unwrap();
        let honest = Says::honest("webauthn.create");
        let passkey = make(&honest, &key).unwrap();
        assert_eq!((passkey.id.as_slice(), passkey.count), (&b"name"[..], 7));
        for (name, lie, error) in lies(&honest) {
            assert_eq!(make(&lie, &key), Err(error), "{kind}: {name}");
        }
        let without = Says { flags: USER_PRESENT | USER_VERIFIED, ..honest };
        assert_eq!(make(&without, &key), Err(WebauthnError::Malformed));

        let honest = Says::honest("webauthn.get");
        assert_eq!(use_it(&honest, &key, &passkey.key), Ok(7));
        for (name, lie, error) in lies(&honest) {
            assert_eq!(use_it(&lie, &key, &passkey.key), Err(error), "{kind}: {name}");
        }
        assert_eq!(use_it(&Says::honest("webauthn.create"), &key, &passkey.key), Err(WebauthnError::NotOurs));
        let other = PrivateKey::generate(kind).unwrap();
        assert_eq!(use_it(&honest, &other, &passkey.key), Err(WebauthnError::Signature));
    }
}

#[test]
fn what_is_signed_is_what_was_said() {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let passkey = make(&Says::honest("webauthn.create"), &key).unwrap();
    let says = Says::honest("webauthn.get");
    let (client_data, data) = (says.client_data(), says.data(&[]));
    let signature = key.sign(&[data.as_slice(), &sha256(&client_data)].concat()).unwrap();
    let ask = |client: &[u8], data: &[u8], sig: &[u8]| used(&wanted(), &passkey.key, client, data, sig);
    assert!(ask(&client_data, &data, &signature).is_ok());
    for at in 0..data.len() {
        let mut changed = data.clone();
        changed[at] ^= 1;
        assert!(ask(&client_data, &changed, &signature).is_err(), "byte {at} of the authenticator data");
    }
    for at in 0..client_data.len() {
        let mut changed = client_data.clone();
        changed[at] ^= 1;
        assert!(ask(&changed, &data, &signature).is_err(), "byte {at} of the client data");
    }
    for at in 0..signature.len() {
        let mut changed = signature.clone();
        changed[at] ^= 1;
        assert!(ask(&client_data, &data, &changed).is_err(), "byte {at} of the signature");
    }
}

#[test]
fn what_is_no_answer() {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let says = Says::honest("webauthn.create");
    let good = attestation(says.data(&attached(b"name", &cose(&key))));
    for length in 0..good.len() {
        assert!(made(&wanted(), &says.client_data(), &good[..length]).is_err(), "{length} bytes");
    }
    let with = |attached: Vec<u8>| made(&wanted(), &says.client_data(), &attestation(says.data(&attached)));
    assert_eq!(with(attached(b"", &cose(&key))), Err(WebauthnError::Malformed), "no name");
    assert_eq!(with(attached(&[7; 1024], &cose(&key))), Err(WebauthnError::Malformed), "a long name");
    assert!(with(attached(&[7; 1023], &cose(&key))).is_ok());
    let integer = |n: i64| Value::from(n);
    for (name, pairs) in [
        ("no key", vec![]),
        ("a shared secret", vec![(1, integer(4)), (3, integer(5)), (-1, Value::Bytes(vec![7; 32]))]),
        ("ES256 by a curve that is not P-256", vec![(1, integer(2)), (3, integer(-7)), (-1, integer(2))]),
        (
            "a point off the curve",
            vec![
                (1, integer(2)),
                (3, integer(-7)),
                (-1, integer(1)),
                (-2, Value::Bytes(vec![7; 32])),
                (-3, Value::Bytes(vec![7; 32])),
            ],
        ),
        (
            "a label twice",
            vec![
                (1, integer(1)),
                (1, integer(1)),
                (3, integer(-8)),
                (-1, integer(6)),
                (-2, Value::Bytes(vec![7; 32])),
            ],
        ),
        (
            "short RSA",
            vec![
                (1, integer(3)),
                (3, integer(-257)),
                (-1, Value::Bytes(vec![0xff; 64])),
                (-2, Value::Bytes(vec![1, 0, 1])),
            ],
        ),
    ] {
        let map = pairs.into_iter().map(|(label, value)| (integer(label), value)).collect();
        assert_eq!(with(attached(b"name", &encoded(&Value::Map(map)))), Err(WebauthnError::Key), "{name}");
    }
    // Depth and length that are promised and not there.
    assert!(made(&wanted(), &says.client_data(), &[0x81; 10_000]).is_err());
    assert!(
        made(&wanted(), &says.client_data(), &[0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
            .is_err()
    );
    assert!(
        made(&wanted(), &says.client_data(), &[0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
            .is_err()
    );
    assert_eq!(bytes("a b"), Err(WebauthnError::Malformed));
    assert_eq!(bytes(&"a".repeat(MAX_BYTES + 1)), Err(WebauthnError::Malformed));
}
