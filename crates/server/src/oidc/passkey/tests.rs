//! Passkeys as they are kept: for one person, one browser at a time, some days; with an authenticator in software.

use super::*;
use sealog_crypto::{KeyKind, PrivateKey, Signer as _};

const NOW: u64 = 1_700_000_000_000;
const HOST: &str = "id.example.org";
const ORIGIN: &str = "https://id.example.org";
const BROWSER: &str = "a browser";

fn passkeys() -> (Passkeys, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (Passkeys { store, days: 30, origin: ORIGIN.to_owned(), host: HOST.to_owned() }, dir)
}

fn person(address: &str) -> Person {
    Person { address: address.to_owned(), connector_id: ORIGIN.to_owned(), user_id: address.to_owned() }
}

fn proven(address: &str) -> Proven {
    let purpose = Purpose::Device { user_code: "BCDFGHJK".to_owned() };
    Proven { person: person(address), purpose, asked_ms: NOW }
}

/// A key of somebody's device.
pub(in crate::oidc) struct Authenticator {
    key: PrivateKey,
    id: &'static [u8],
    count: u32,
    /// The page it is used on.
    pub(in crate::oidc) page: (String, String),
}

impl Authenticator {
    pub(in crate::oidc) fn new(id: &'static [u8]) -> Self {
        let key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
        Self { key, id, count: 0, page: (ORIGIN.to_owned(), HOST.to_owned()) }
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        [&sha256(self.page.1.as_bytes())[..], &[flags], &self.count.to_be_bytes()].concat()
    }

    fn client_data(&self, kind: &str, challenge: &str) -> Vec<u8> {
        let said = serde_json::json!({"type": kind, "challenge": challenge, "origin": self.page.0});
        said.to_string().into_bytes()
    }

    /// Client data and attestation.
    pub(in crate::oidc) fn make(&self, challenge: &str) -> [String; 2] {
        use ciborium::Value;
        let spki = self.key.public_key().spki_der();
        let integer = |n: i64| Value::from(n);
        let cose = Value::Map(vec![
            (integer(1), integer(1)),
            (integer(3), integer(-8)),
            (integer(-1), integer(6)),
            (integer(-2), Value::Bytes(spki[spki.len() - 32..].to_vec())),
        ]);
        let mut data = self.data(0x45);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(self.id);
        ciborium::into_writer(&cose, &mut data).unwrap();
        let mut object = Vec::new();
        let map = Value::Map(vec![(Value::Text("authData".to_owned()), Value::Bytes(data))]);
        ciborium::into_writer(&map, &mut object).unwrap();
        [self.client_data("webauthn.create", challenge), object].map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Client data, authenticator data and signature.
    pub(in crate::oidc) fn use_it(&mut self, challenge: &str) -> [String; 3] {
        self.count += 1;
        let (client_data, data) = (self.client_data("webauthn.get", challenge), self.data(0x05));
        let signature = self.key.sign(&[data.as_slice(), &sha256(&client_data)].concat()).unwrap();
        [client_data, data, signature].map(|bytes| URL_SAFE_NO_PAD.encode(bytes))
    }
}

async fn keep(passkeys: &Passkeys, authenticator: &Authenticator, address: &str) -> Result<(), PasskeyError> {
    let asked = passkeys.ask(Some(proven(address)), BROWSER, NOW).await.unwrap();
    let (who, challenge) = passkeys.proven(&asked.session, BROWSER, NOW).await.unwrap();
    assert_eq!((&who, &challenge), (&proven(address), &asked.challenge));
    let [client_data, data] = authenticator.make(&asked.challenge);
    let answer =
        Answer { session: &asked.session, id: "", client_data: &client_data, data: &data, signature: "" };
    passkeys.keep(&who, &challenge, &answer, NOW).await
}

async fn sign_in(
    passkeys: &Passkeys,
    authenticator: &mut Authenticator,
    browser: &str,
    now_ms: u64,
) -> Result<String, String> {
    let asked = passkeys.ask(None, BROWSER, now_ms).await.unwrap();
    let [client_data, data, signature] = authenticator.use_it(&asked.challenge);
    let id = URL_SAFE_NO_PAD.encode(authenticator.id);
    let answer = Answer {
        session: &asked.session,
        id: &id,
        client_data: &client_data,
        data: &data,
        signature: &signature,
    };
    let used = passkeys.used(browser, &answer, now_ms).await;
    if used.is_ok() {
        let again = passkeys.used(browser, &answer, now_ms).await;
        assert!(matches!(again, Err(PasskeyError::Gone)), "an answer counts once");
    }
    used.map(|person| person.address).map_err(|error| error.to_string())
}

fn said<T>(error: PasskeyError) -> Result<T, String> {
    Err(error.to_string())
}

#[tokio::test]
async fn it_stands_in_for_the_mail_for_some_days() {
    let (passkeys, _dir) = passkeys();
    let mut mine = Authenticator::new(b"mine");
    assert_eq!(sign_in(&passkeys, &mut mine, BROWSER, NOW).await, said(PasskeyError::Unknown));
    keep(&passkeys, &mine, "jane@example.org").await.unwrap();
    assert_eq!(sign_in(&passkeys, &mut mine, BROWSER, NOW).await, Ok("jane@example.org".to_owned()));
    let last = NOW + 30 * DAY_MS - 1;
    assert_eq!(sign_in(&passkeys, &mut mine, BROWSER, last).await, Ok("jane@example.org".to_owned()));
    let late = sign_in(&passkeys, &mut mine, BROWSER, last + 1).await;
    assert_eq!(late, said(PasskeyError::Unknown), "use did not lengthen it");
    // Fewer days count for those that are there, too.
    let fewer = Passkeys { days: 10, ..passkeys };
    assert!(sign_in(&fewer, &mut mine, BROWSER, NOW + 10 * DAY_MS - 1).await.is_ok());
    assert_eq!(sign_in(&fewer, &mut mine, BROWSER, NOW + 10 * DAY_MS).await, said(PasskeyError::Unknown));
}

#[tokio::test]
async fn whoever_proves_an_address_may_have_its_passkeys_forgotten() {
    let (passkeys, _dir) = passkeys();
    let (mut hers, mut others) = (Authenticator::new(b"hers"), Authenticator::new(b"others"));
    keep(&passkeys, &hers, "jane@example.org").await.unwrap();
    keep(&passkeys, &others, "john@example.org").await.unwrap();
    passkeys.forget("jane@example.org", NOW + 1, NOW + 1).await.unwrap().unwrap();
    assert_eq!(sign_in(&passkeys, &mut hers, BROWSER, NOW + 2).await, said(PasskeyError::Unknown));
    assert!(sign_in(&passkeys, &mut others, BROWSER, NOW + 2).await.is_ok(), "of nobody else");
    // What is remembered of that ends no sooner than the last of them.
    let last = NOW + 30 * DAY_MS - 1;
    assert_eq!(sign_in(&passkeys, &mut hers, BROWSER, last).await, said(PasskeyError::Unknown));
    // One that is made afterwards counts.
    passkeys.forget("john@example.org", NOW - 1, NOW - 1).await.unwrap().unwrap();
    assert!(sign_in(&passkeys, &mut others, BROWSER, NOW + 2).await.is_ok());
}

#[tokio::test]
async fn a_copy_is_noticed() {
    let (passkeys, _dir) = passkeys();
    let mut mine = Authenticator::new(b"mine");
    keep(&passkeys, &mine, "jane@example.org").await.unwrap();
    sign_in(&passkeys, &mut mine, BROWSER, NOW).await.unwrap();
    let count = mine.count;
    sign_in(&passkeys, &mut mine, BROWSER, NOW).await.unwrap();
    mine.count = count;
    assert_eq!(sign_in(&passkeys, &mut mine, BROWSER, NOW).await, said(PasskeyError::Copied));
    // Those that do not count always say zero.
    let other = Authenticator::new(b"other");
    keep(&passkeys, &other, "jane@example.org").await.unwrap();
    for _ in 0..2 {
        let asked = passkeys.ask(None, BROWSER, NOW).await.unwrap();
        let (client_data, data) = (other.client_data("webauthn.get", &asked.challenge), other.data(0x05));
        let signature = other.key.sign(&[data.as_slice(), &sha256(&client_data)].concat()).unwrap();
        let [client_data, data, signature] =
            [client_data, data, signature].map(|b| URL_SAFE_NO_PAD.encode(b));
        let id = URL_SAFE_NO_PAD.encode(other.id);
        let answer = Answer {
            session: &asked.session,
            id: &id,
            client_data: &client_data,
            data: &data,
            signature: &signature,
        };
        passkeys.used(BROWSER, &answer, NOW).await.unwrap();
    }
}

#[tokio::test]
async fn another_browser_another_person_another_key() {
    let (passkeys, _dir) = passkeys();
    let mut mine = Authenticator::new(b"mine");
    keep(&passkeys, &mine, "jane@example.org").await.unwrap();
    assert_eq!(sign_in(&passkeys, &mut mine, "another", NOW).await, said(PasskeyError::Gone));
    // Eve's device claims the name of Jane's passkey, to have it forgotten or to answer for her.
    let mut eves = Authenticator::new(b"mine");
    let taken = keep(&passkeys, &eves, "eve@example.net").await;
    assert!(matches!(taken, Err(PasskeyError::Unknown)), "{taken:?}");
    let wrong = sign_in(&passkeys, &mut eves, BROWSER, NOW).await;
    assert_eq!(wrong, said(PasskeyError::Webauthn(WebauthnError::Signature)));
    assert_eq!(sign_in(&passkeys, &mut mine, BROWSER, NOW).await, Ok("jane@example.org".to_owned()));
    // A question for a new one is none for the use of one, and the other way round.
    let asked = passkeys.ask(Some(proven("eve@example.net")), BROWSER, NOW).await.unwrap();
    let [client_data, data, signature] = mine.use_it(&asked.challenge);
    let id = URL_SAFE_NO_PAD.encode(mine.id);
    let answer = Answer {
        session: &asked.session,
        id: &id,
        client_data: &client_data,
        data: &data,
        signature: &signature,
    };
    assert!(matches!(passkeys.used(BROWSER, &answer, NOW).await, Err(PasskeyError::Gone)));
    let asked = passkeys.ask(None, BROWSER, NOW).await.unwrap();
    assert!(matches!(passkeys.proven(&asked.session, BROWSER, NOW).await, Err(PasskeyError::Gone)));
    let asked = passkeys.ask(Some(proven("a@b.example")), BROWSER, NOW).await.unwrap();
    assert!(matches!(passkeys.proven(&asked.session, "another", NOW).await, Err(PasskeyError::Gone)));
    assert!(
        matches!(passkeys.proven(&asked.session, BROWSER, NOW).await, Err(PasskeyError::Gone)),
        "used up"
    );
    // The name of a question is none of a passkey.
    let asked = passkeys.ask(None, BROWSER, NOW).await.unwrap();
    let odd = Answer { session: &asked.session, id: "x", client_data: "e30", data: "e30", signature: "" };
    assert!(matches!(passkeys.used(BROWSER, &odd, NOW).await, Err(PasskeyError::Unknown)));
}
