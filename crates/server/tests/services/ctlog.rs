//! The certificate log, asked directly.

use super::harness::Sealog;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, PublicKey, Signer as _, sha256};
use sealog_pki::{
    Certificate, ExtensionValues, LeafProfile, San, Serial,
    issue::{self, AuthorityProfile},
};
use sealog_tlog::{
    SignedCheckpoint,
    ct::{CtEntry, DigitallySigned, Sct, SctList, leaf_index},
    note::KeyVerifier,
};
use serde_json::{Value, json};

/// The instance's own authority, from its files.
pub(crate) struct Authority {
    key: PrivateKey,
    pub(crate) chain: Vec<Certificate>,
}

impl Authority {
    pub(crate) fn of(sealog: &Sealog) -> Self {
        let pem = |name: &str| std::fs::read_to_string(sealog.dir.path().join("keys").join(name)).unwrap();
        let der: String = pem("ca.key").lines().filter(|line| !line.starts_with('-')).collect();
        let key = PrivateKey::from_pkcs8_der(&STANDARD.decode(der).unwrap()).unwrap();
        Self { key, chain: Certificate::chain_from_pem(&pem("ca.pem")).unwrap() }
    }

    pub(crate) fn stranger() -> Self {
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let profile = AuthorityProfile {
            organization: "strangers",
            common_name: "root",
            serial: Serial::from_random([1; 20]),
            not_before: 0,
            not_after: 4_000_000_000,
        };
        let certificate = issue::self_signed_root(&profile, &key).unwrap();
        Self { key, chain: vec![certificate] }
    }

    pub(crate) fn precert(&self) -> issue::Precert {
        let leaf = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let mut extensions = ExtensionValues::new();
        extensions.set_oidc_issuer("https://issuer.example");
        let (not_before, _) = self.chain[0].validity();
        let profile = LeafProfile {
            serial: Serial::from_random([7; 20]),
            // Long expired: still admissible.
            not_before,
            not_after: not_before + 1,
            public_key: leaf.public_key(),
            san: &San::Email("jane@example.com".to_owned()),
            extensions: &extensions,
        };
        issue::precertificate(&profile, &self.chain[0], &self.key).unwrap()
    }
}

pub(crate) fn body(chain: &[&Certificate]) -> String {
    json!({ "chain": chain.iter().map(|c| STANDARD.encode(c.der())).collect::<Vec<_>>() }).to_string()
}

fn log_key(sealog: &Sealog) -> PublicKey {
    PublicKey::from_pem(&std::fs::read_to_string(sealog.dir.path().join("keys/ctlog.pub")).unwrap()).unwrap()
}

fn sct(answer: &Value) -> Sct {
    let bytes = |name: &str| STANDARD.decode(answer[name].as_str().unwrap()).unwrap();
    Sct {
        version: 0,
        log_id: bytes("id").try_into().unwrap(),
        timestamp_ms: answer["timestamp"].as_u64().unwrap(),
        extensions: bytes("extensions"),
        signed: DigitallySigned::parse(&bytes("signature")).unwrap(),
    }
}

#[tokio::test]
async fn both_ways_in_lead_to_verified_timestamps() {
    let mut sealog = Sealog::start().await;
    let authority = Authority::of(&sealog);
    let precert = authority.precert();
    let full: Vec<&Certificate> = std::iter::once(precert.certificate()).chain(&authority.chain).collect();
    let answer = sealog.post("ctlog", "/ct/v1/add-pre-chain", body(&full)).await;
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"), "{}", answer.text());
    let first = sct(&answer.json());
    let entry = CtEntry::Precert {
        issuer_key_hash: sha256(authority.chain[0].spki_der()),
        tbs: precert.tbs_for_ct(),
        precert: Vec::new(),
    };
    first.verify(&entry, &log_key(&sealog)).unwrap();
    assert_eq!(leaf_index(&first.extensions).unwrap(), 0);

    // Without the root, which the log knows; and the final certificate.
    let last =
        issue::finish(&precert, &SctList(vec![first.clone()]), &authority.chain[0], &authority.key).unwrap();
    let answer = sealog.post("ctlog", "/ct/v1/add-chain", body(&[&last, &authority.chain[0]])).await;
    let second = sct(&answer.json());
    second.verify(&CtEntry::X509 { cert: last.der().to_vec() }, &log_key(&sealog)).unwrap();
    assert_eq!(leaf_index(&second.extensions).unwrap(), 1);

    // The same again is told the same time and place, after a restart too.
    sealog.restart().await;
    let answer = sealog.post("ctlog", "/ct/v1/add-pre-chain", body(&full)).await;
    let again = sct(&answer.json());
    assert_eq!((again.timestamp_ms, &again.extensions), (first.timestamp_ms, &first.extensions));
    again.verify(&entry, &log_key(&sealog)).unwrap();

    // The checkpoint is a signed tree head under the submission prefix.
    let checkpoint = sealog.get("ctlog", "/checkpoint").await;
    let origin = sealog.url("ctlog").strip_prefix("http://").unwrap().to_owned();
    let verifier = KeyVerifier::tree_head(&origin, log_key(&sealog)).unwrap();
    let signed = SignedCheckpoint::parse(&checkpoint.body).unwrap();
    assert_eq!(signed.verify(&verifier).unwrap().size, 2);
    for issuer in &authority.chain {
        let fingerprint = HashAlgorithm::Sha256.digest(issuer.der()).to_string();
        let served = sealog.get("ctlog", &format!("/issuer/{}", &fingerprint["sha256:".len()..])).await;
        assert_eq!((served.status, served.body.as_slice()), (200, issuer.der()));
        assert_eq!(served.content_type, "application/pkix-cert");
    }
    sealog.get("ctlog", "/tile/entries/000.p/1").await.refused(404, 5, "Not Found");
    let roots = sealog.get("ctlog", "/ct/v1/get-roots").await.json();
    assert_eq!(roots, json!({ "certificates": [STANDARD.encode(authority.chain[1].der())] }));
}

/// A clock that was a day ahead for a moment: no timestamp from tomorrow is given to anybody afterwards.
#[tokio::test]
async fn a_time_that_has_not_come_is_in_no_timestamp() {
    let mut sealog = Sealog::start().await;
    let authority = Authority::of(&sealog);
    let submit = async |sealog: &Sealog, precert: &issue::Precert| {
        let full: Vec<_> = std::iter::once(precert.certificate()).chain(&authority.chain).collect();
        sealog.post("ctlog", "/ct/v1/add-pre-chain", body(&full)).await
    };
    let [first, second] = [authority.precert(), authority.precert()];
    sealog.wait(std::time::Duration::from_secs(86_400));
    let told = sct(&submit(&sealog, &first).await.json());
    sealog.correct_clock();
    for _ in 0..2 {
        let refused = submit(&sealog, &second).await;
        refused.refused(503, 14, "the log's clock is behind its last entry");
        assert_eq!(refused.retry_after, "60");
        // What was told before is told again; and all is read.
        assert_eq!(sct(&submit(&sealog, &first).await.json()).timestamp_ms, told.timestamp_ms);
        assert_eq!(sealog.get("ctlog", "/checkpoint").await.text().lines().nth(1), Some("1"));
        sealog.restart().await;
    }
    sealog.wait(std::time::Duration::from_secs(86_400));
    assert!(sct(&submit(&sealog, &second).await.json()).timestamp_ms >= told.timestamp_ms);
}

#[tokio::test]
async fn what_leads_elsewhere_is_refused() {
    let sealog = Sealog::start().await;
    let authority = Authority::of(&sealog);
    let stranger = Authority::stranger();
    let (ours, theirs) = (authority.precert(), stranger.precert());
    let [intermediate, root] = authority.chain.as_slice() else { panic!() };
    let (pre, chain) = ("/ct/v1/add-pre-chain", "/ct/v1/add-chain");
    let refused = [
        (pre, body(&[]), "the chain is empty"),
        (
            pre,
            body(&[theirs.certificate(), &stranger.chain[0]]),
            "the chain does not end at an accepted root",
        ),
        (pre, body(&[theirs.certificate(), intermediate, root]), "certificate 0 of the chain"),
        (pre, body(&[ours.certificate(), root]), "certificate 0 of the chain"),
        (pre, body(&[ours.certificate()]), "the chain does not end at an accepted root"),
        (pre, body(&[ours.certificate(), root, intermediate]), "certificate 1 of the chain"),
        (chain, body(&[ours.certificate(), intermediate]), "add-chain takes certificates"),
        (pre, body(&[intermediate, root]), "add-pre-chain takes precertificates"),
        (chain, body(&[intermediate, root]), "a CA's own certificate is not logged"),
        (chain, body(&[root; 9]), "the chain has 9 certificates"),
        (chain, r#"{"chain":["AAAA"]}"#.to_owned(), "certificate 0 of the chain cannot be read"),
        (chain, r#"{"chain":["!"]}"#.to_owned(), "an element of the chain is not base64"),
        (chain, "{".to_owned(), "the request is not"),
        (chain, " ".repeat(200 * 1024), "request body is larger"),
    ];
    for (path, body, message) in &refused {
        sealog.post("ctlog", path, body.clone()).await.refused(400, 3, message);
    }
    assert!(sealog.get("ctlog", "/checkpoint").await.text().contains("\n0\n"));
    // What is remembered of chains that held lets nothing else in.
    for chain in [&[ours.certificate(), intermediate][..], &[ours.certificate(), intermediate, root]] {
        let answer = sealog.post("ctlog", pre, body(chain)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    for (path, body, message) in &refused {
        sealog.post("ctlog", path, body.clone()).await.refused(400, 3, message);
    }
    assert!(sealog.get("ctlog", "/checkpoint").await.text().contains("\n1\n"));
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let length = match (high, low) {
        (0, short @ ..128) => vec![short],
        (0, long) => vec![0x81, long],
        _ => vec![0x82, high, low],
    };
    [&[tag][..], &length, content].concat()
}

#[tokio::test]
async fn a_poison_that_some_verifier_might_overlook_is_refused() {
    let sealog = Sealog::start().await;
    let authority = Authority::of(&sealog);
    let precert = authority.precert();
    let whole = precert.certificate();
    // critical TRUE, then OCTET STRING { NULL }.
    let poison = [1, 1, 0xff, 4, 2, 5, 0];
    let mut tbs = whole.tbs_der().to_vec();
    let at = tbs.windows(poison.len()).rposition(|bytes| bytes == poison).unwrap();
    tbs[at + 5] = 4;
    let signature = [&[0][..], &authority.key.sign(&tbs).unwrap()].concat();
    // ecdsa-with-SHA384
    let algorithm = [0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3];
    let changed = der(0x30, &[&tbs[..], &algorithm, &der(3, &signature)].concat());
    let changed = Certificate::from_der(&changed).unwrap();
    changed.verify_signed_by(&authority.chain[0]).unwrap();
    for path in ["/ct/v1/add-pre-chain", "/ct/v1/add-chain"] {
        let answer = sealog.post("ctlog", path, body(&[&changed, &authority.chain[0]])).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    let answer = sealog.post("ctlog", "/ct/v1/add-pre-chain", body(&[&changed, &authority.chain[0]])).await;
    answer.refused(400, 3, "the precertificate's poison extension must be critical and hold NULL");
}

#[tokio::test]
async fn who_is_still_sending_hears_the_refusal() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let sealog = Sealog::start().await;
    let address = sealog.url("ctlog").strip_prefix("http://").unwrap().to_owned();
    let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = format!("POST /ct/v1/add-chain HTTP/1.1\r\nHost: {address}\r\nContent-Length: 600000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // Beyond what the log takes; the rest a moment later, as over a slow line.
    for _ in 0..3 {
        stream.write_all(&vec![b' '; 200_000]).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 400");
}
