//! Keys in a security module: SoftHSM2 holds them, OpenSSL and OpenSC's tool say what they see.

use super::{
    ca::{SIGNING_CERT, issued, logged, with_csr},
    harness::Sealog,
    hsm::{Hsm, PIN, alone},
    openssl::{self, Key},
    operator::{said, sealogd_in},
};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    session::UserType,
};
use sealog_crypto::{KeyKind, Signer, Zeroizing};
use sealog_server::pkcs11::{Token, TokenError, config::Config};
use sealog_testkit::Reserved;
use std::{collections::BTreeMap, fs, path::Path, process::Output, sync::Arc};

const ALL: &str = "ca = \"signing\"\n\"ca-root\" = \"signing root\"\ntsa = \"time\"\n\
                   \"tsa-root\" = \"time root\"\nctlog = \"ct\"\nrekor = \"rekor\"\n";

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn config(hsm: &Hsm, token: &str) -> Config {
    Config {
        module: Hsm::library().into(),
        token: token.to_owned(),
        pin_file: hsm.dir.join("pin"),
        sessions: 4,
        keys: BTreeMap::from([("ca".to_owned(), "signing".to_owned())]),
    }
}

fn open(hsm: &Hsm) -> Token {
    Token::open(&config(hsm, "sealog"), Zeroizing::new(PIN.to_owned())).unwrap()
}

#[track_caller]
fn told<T>(result: Result<T, TokenError>) -> String {
    match result {
        Ok(_) => panic!("not refused"),
        Err(error) => error.to_string(),
    }
}

fn library() -> Pkcs11 {
    Pkcs11::new(Hsm::library()).unwrap()
}

fn initialize() {
    library().initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
}

/// Ends the login of every session of this process.
fn log_out() {
    let library = library();
    let slot = library.get_slots_with_initialized_token().unwrap()[0];
    library.open_ro_session(slot).unwrap().logout().unwrap();
}

#[test]
fn certificates_and_timestamps_are_signed_in_the_token() {
    alone("pkcs11::certificates_and_timestamps_are_signed_in_the_token", |hsm| {
        runtime().block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let mut sealog = Sealog::start_in(dir, &hsm.table("sealog", ALL), "").await;
            for name in ["ca", "ca-root", "tsa", "tsa-root", "ctlog", "rekor"] {
                assert!(!sealog.dir.path().join(format!("keys/{name}.key")).exists(), "{name}");
                assert!(sealog.dir.path().join(format!("keys/{name}.pub")).exists(), "{name}");
            }
            let seen = hsm.tool(&["--list-objects", "--type", "privkey"]);
            let flags = "sensitive, always sensitive, never extractable, local";
            assert_eq!(seen.matches(flags).count(), 6, "{seen}");
            certificate_verifies(&sealog).await;
            entry_is_logged(&sealog).await;
            timestamp_verifies(&sealog).await;

            // Again after a restart, which finds the keys by their labels.
            sealog.restart().await;
            certificate_verifies(&sealog).await;
            entry_is_logged(&sealog).await;

            // The library re-initialised under us, closed under us, logged out under us: each is got over.
            library().finalize().unwrap();
            initialize();
            certificate_verifies(&sealog).await;
            library().finalize().unwrap();
            certificate_verifies(&sealog).await;
            timestamp_verifies(&sealog).await;
            log_out();
            entry_is_logged(&sealog).await;
            certificate_verifies(&sealog).await;

            // A token that was taken out, and put back.
            let (tokens, away) = (hsm.dir.join("tokens"), hsm.dir.join("away"));
            fs::rename(&tokens, &away).unwrap();
            fs::create_dir(&tokens).unwrap();
            library().finalize().unwrap();
            let key = Key::p256();
            let request = with_csr(&sealog.issuer.email("jane@example.com"), &key).to_string();
            let answer = sealog.post("ca", SIGNING_CERT, request).await;
            assert_eq!(answer.status, 500, "{}", answer.text());
            assert!(!answer.text().contains("token \\\""), "{}", answer.text());
            fs::remove_dir(&tokens).unwrap();
            fs::rename(&away, &tokens).unwrap();
            library().finalize().unwrap();
            certificate_verifies(&sealog).await;
        });
    });
}

pub(crate) async fn certificate_verifies(sealog: &Sealog) {
    let key = Key::p256();
    let request = with_csr(&sealog.issuer.email("jane@example.com"), &key).to_string();
    let chain = issued(&sealog.post("ca", SIGNING_CERT, request).await);
    logged(sealog, &chain).await;
    for (name, certificate) in ["leaf.pem", "intermediate.pem", "root.pem"].iter().zip(&chain) {
        fs::write(key.path(name), certificate.to_pem()).unwrap();
    }
    let verify =
        ["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "intermediate.pem", "leaf.pem"];
    assert!(openssl::run(key.dir.path(), &verify).contains("leaf.pem: OK"));
}

pub(crate) async fn entry_is_logged(sealog: &Sealog) {
    let request = Key::p256().log_request(b"an artifact").to_string();
    let answer = sealog.post("rekor", "/api/v2/log/entries", request).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

pub(crate) async fn timestamp_verifies(sealog: &Sealog) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("data"), "data").unwrap();
    openssl::run(dir.path(), &["ts", "-query", "-data", "data", "-sha256", "-cert", "-out", "query"]);
    let answer = sealog
        .client
        .post(format!("{}/api/v1/timestamp", sealog.url("tsa")))
        .header("content-type", "application/timestamp-query")
        .body(fs::read(dir.path().join("query")).unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    fs::write(dir.path().join("reply"), answer.bytes().await.unwrap()).unwrap();
    let chain = sealog.get("tsa", "/api/v1/timestamp/certchain").await;
    fs::write(dir.path().join("chain.pem"), &chain.body).unwrap();
    let verify = ["ts", "-verify", "-data", "data", "-in", "reply", "-CAfile", "chain.pem"];
    assert!(openssl::run(dir.path(), &verify).contains("Verification: OK"));
}

#[test]
fn sixteen_threads_share_four_sessions() {
    alone("pkcs11::sixteen_threads_share_four_sessions", |hsm| {
        let token = open(hsm);
        let kinds = [
            KeyKind::EcdsaP256,
            KeyKind::EcdsaP384,
            KeyKind::EcdsaP521,
            KeyKind::Ed25519,
            KeyKind::Rsa { bits: 2048 },
        ];
        let keys: Vec<Arc<dyn Signer>> =
            kinds.iter().map(|kind| token.make(&kind.to_string(), *kind).unwrap()).collect();
        // Few enough for all of them to be done before one has waited too long for a session.
        std::thread::scope(|scope| {
            for thread in 0..16usize {
                let keys = &keys;
                scope.spawn(move || {
                    for n in 0..8usize {
                        let key = &keys[(thread + n) % keys.len()];
                        let message = format!("message {n} of thread {thread}");
                        let signature = key.sign(message.as_bytes()).unwrap();
                        key.public_key().verify(key.scheme(), message.as_bytes(), &signature).unwrap();
                        if thread == 0 && n == 3 {
                            log_out();
                        }
                    }
                });
            }
        });
        assert!(matches!(token.make("mldsa", KeyKind::MlDsa65), Err(TokenError::Unsupported { .. })));
    });
}

#[test]
fn a_wrong_pin_is_tried_once() {
    alone("pkcs11::a_wrong_pin_is_tried_once", |hsm| {
        let wrong = Token::open(&config(hsm, "sealog"), Zeroizing::new("wrong-1234".to_owned()));
        let error = told(wrong);
        assert!(
            error.contains("token \"sealog\" refuses the PIN") && error.contains("not tried again"),
            "{error}"
        );

        // Logged out while the PIN changed: each signature fails, and the PIN is not tried for each.
        let token = open(hsm);
        let key = token.make("signing", KeyKind::EcdsaP256).unwrap();
        key.sign(b"message").unwrap();
        let library = library();
        let slot = library.get_slots_with_initialized_token().unwrap()[0];
        let session = library.open_rw_session(slot).unwrap();
        session.set_pin(&PIN.to_owned().into(), &"another-1234".to_owned().into()).unwrap();
        session.logout().unwrap();
        for _ in 0..20 {
            key.sign(b"message").unwrap_err();
        }
        // Not even when it has become the right one again: only a start reads the file anew.
        session.login(UserType::User, Some(&"another-1234".to_owned().into())).unwrap();
        session.set_pin(&"another-1234".to_owned().into(), &PIN.to_owned().into()).unwrap();
        session.logout().unwrap();
        key.sign(b"message").unwrap_err();
        open(hsm).find("signing", key.public_key().clone(), Path::new("ca.pub")).unwrap();
    });
}

#[test]
fn a_key_must_be_the_one_that_was_made() {
    alone("pkcs11::a_key_must_be_the_one_that_was_made", |hsm| {
        let token = open(hsm);
        let path = Path::new("keys/ca.pub");
        let key = token.make("signing", KeyKind::EcdsaP384).unwrap();
        let other = token.make("other", KeyKind::EcdsaP384).unwrap();
        token.find("signing", key.public_key().clone(), path).unwrap().sign(b"message").unwrap();
        let error = told(token.find("signing", other.public_key().clone(), path));
        assert_eq!(error, "the key labelled \"signing\" in token \"sealog\" is not the one of keys/ca.pub");
        let curve = token.make("curve", KeyKind::EcdsaP256).unwrap();
        let error = told(token.find("signing", curve.public_key().clone(), path));
        assert!(error.contains("is not the one of keys/ca.pub"), "{error}");
        let error = told(token.find("absent", key.public_key().clone(), path));
        assert_eq!(error, "token \"sealog\" has no private key labelled \"absent\"");

        // Without its public half in the token, what it signs decides.
        hsm.tool(&["--delete-object", "--type", "pubkey", "--label", "signing"]);
        token.find("signing", key.public_key().clone(), path).unwrap();
        let error = told(token.find("signing", other.public_key().clone(), path));
        assert!(error.contains("is not the one of keys/ca.pub"), "{error}");
        assert!(told(token.make("signing", KeyKind::EcdsaP384)).contains("has no public key labelled"));

        // A key that was there is taken if it is of the right kind, alone, and cannot be read out.
        hsm.tool(&["--keypairgen", "--key-type", "EC:prime256v1", "--label", "ceremony", "--sensitive"]);
        token.make("ceremony", KeyKind::EcdsaP256).unwrap();
        assert!(
            told(token.make("ceremony", KeyKind::EcdsaP384)).contains("is ECDSA P-256, expected ECDSA P-384")
        );
        hsm.tool(&["--keypairgen", "--key-type", "EC:prime256v1", "--label", "ceremony", "--sensitive"]);
        let again = open(hsm);
        assert!(told(again.make("ceremony", KeyKind::EcdsaP256)).contains("has 2 private keys labelled"));
        hsm.tool(&["--keypairgen", "--key-type", "EC:prime256v1", "--label", "loose", "--extractable"]);
        assert!(told(again.make("loose", KeyKind::EcdsaP256)).contains("can be read out of token"));
    });
}

/// A configuration of the authority and its log, with keys in files but the authority's.
fn operator(dir: &Path, hsm: &Hsm, ports: &[Reserved; 2], token: &str, keys: &str) -> String {
    let mut text =
        format!("data_dir = \"data\"\nkeys_dir = \"keys\"\nplain_keys = true\n{}", hsm.table(token, keys));
    for (name, port) in ["ca", "ctlog"].iter().zip(ports) {
        let port = port.port();
        text.push_str(&format!(
            "[{name}]\nlisten = \"localhost:{port}\"\nurl = \"https://{name}.example.com\"\n"
        ));
        if *name == "ca" {
            text.push_str("[[ca.issuers]]\nissuer = \"https://accounts.example.com\"\ntype = \"email\"\n");
        }
    }
    let path = dir.join("sealog.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn what_is_wrong_with_a_token_is_told() {
    let Some(hsm) = Hsm::with_token("sealog") else { return };
    let dir = tempfile::tempdir().unwrap();
    let ca = "ca = \"signing\"";
    // Before keys are looked for, ports are.
    let ports = Reserved::in_a_row();
    let written = |token: &str, keys: &str| operator(dir.path(), &hsm, &ports, token, keys);
    let path = written("sealog", ca);
    let run = |command: &str| -> Output { sealogd_in(&[hsm.conf()], &[command, "--config", &path]) };
    said(&run("init"), 0);
    let checked = String::from_utf8(run("check").stdout).unwrap();
    assert!(checked.contains("pkcs11   token \"sealog\" with ca \"signing\""), "{checked}");

    hsm.write_pin("wrong-1234");
    let text = said(&run("check"), 2);
    assert!(text.contains("refuses the PIN") && text.contains("hint: check `pin_file`"), "{text}");
    let pin = hsm.dir.join("pin");
    fs::set_permissions(&pin, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
    let text = said(&run("check"), 2);
    assert!(text.contains("has mode 0640, expected 0600"), "{text}");
    hsm.write_pin("");
    assert!(said(&run("check"), 2).contains("the PIN is empty"));
    hsm.write_pin(PIN);

    written("another", ca);
    let text = said(&run("check"), 2);
    assert!(text.contains("has no token labelled \"another\", only \"sealog\""), "{text}");
    hsm.add_token("another");
    let text = said(&run("run"), 2);
    assert!(text.contains("token \"another\" has no private key labelled \"signing\""), "{text}");
    hsm.add_token("another");
    assert!(said(&run("check"), 2).contains("has 2 tokens labelled \"another\""));
    written("sealog", "ca = \"other\"");
    assert!(said(&run("run"), 2).contains("has no private key labelled \"other\""));

    // Another key under the old label.
    written("sealog", ca);
    for half in ["privkey", "pubkey"] {
        hsm.tool(&["--delete-object", "--type", half, "--label", "signing"]);
    }
    hsm.tool(&["--keypairgen", "--key-type", "EC:secp384r1", "--label", "signing", "--sensitive"]);
    let text = said(&run("run"), 2);
    assert!(text.contains("is not the one of") && text.contains("keys/ca.pub"), "{text}");

    // A key file that should not be there.
    fs::write(dir.path().join("keys/ca.key"), "").unwrap();
    assert!(
        said(&run("check"), 2)
            .contains("ca.key exists, but the configuration says that this key is \"signing\" in token")
    );
    fs::remove_file(dir.path().join("keys/ca.key")).unwrap();

    let text = fs::read_to_string(&path).unwrap().replace(Hsm::library(), "/nowhere.so");
    fs::write(&path, text).unwrap();
    let text = said(&run("check"), 2);
    assert!(text.contains("/nowhere.so cannot be loaded as a PKCS#11 module"), "{text}");
}
