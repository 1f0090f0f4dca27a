//! The certificate authority over gRPC: the same answers as over HTTP, on the same port.
//!
//! Messages are written and read here byte by byte, from the field numbers of fulcio.proto.

pub(crate) use super::wire::{Called, Grpc, field, fields, framed};
use super::{
    harness::Sealog,
    openssl::{self, Key},
};
use http::Request;
use sealog_pki::{Certificate, San};
use serde_json::json;

const CREATE: &str = "/dev.sigstore.fulcio.v2.CA/CreateSigningCertificate";
const BUNDLE: &str = "/dev.sigstore.fulcio.v2.CA/GetTrustBundle";
const CONFIGURATION: &str = "/dev.sigstore.fulcio.v2.CA/GetConfiguration";
pub(crate) const CHECK: &str = "/grpc.health.v1.Health/Check";
const BAD_TOKEN: &str = "There was an error processing the identity token";
const OTHER_KEY: &str = "The signature supplied in the request could not be verified";

impl Grpc {
    /// With the authority.
    pub(crate) async fn to(sealog: &Sealog) -> Self {
        Self::with(sealog, "ca").await
    }

    pub(crate) async fn with(sealog: &Sealog, service: &str) -> Self {
        Self::at(&sealog.url(service)).await
    }

    /// Asks with this token for nothing.
    pub(crate) async fn refuses_without_key(&self, token: &str) {
        self.call(CREATE, &credentials(token)).await.refused("3", "");
    }
}

pub(crate) fn authority(sealog: &Sealog) -> String {
    sealog.url("ca").strip_prefix("http://").unwrap().to_owned()
}

fn texts(message: &[u8]) -> Vec<String> {
    fields(message).into_iter().map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect()
}

fn one(message: &[u8], number: u8) -> Vec<u8> {
    let mut found = fields(message);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, number);
    found.remove(0).1
}

fn credentials(token: &str) -> Vec<u8> {
    field(1, field(1, token))
}

fn with_csr(token: &str, key: &Key) -> Vec<u8> {
    [credentials(token), field(3, key.csr())].concat()
}

fn by_key(key: &Key, challenge: &str) -> Vec<u8> {
    // The algorithm (1: ECDSA) is a number that nobody reads.
    let public = [vec![0x08, 0x02], field(2, key.public_pem())].concat();
    field(2, [field(1, public), field(2, key.sign(challenge.as_bytes()))].concat())
}

#[track_caller]
fn issued(called: &Called) -> Vec<Certificate> {
    let chain = one(&one(called.message(), 2), 1);
    let parse = |pem: &String| {
        assert!(pem.ends_with("-----END CERTIFICATE-----"), "{pem:?}");
        Certificate::from_pem(pem).unwrap()
    };
    texts(&chain).iter().map(parse).collect()
}

#[tokio::test]
async fn a_certificate_comes_over_either_wire() {
    let sealog = Sealog::start().await;
    let grpc = Grpc::to(&sealog).await;
    let key = Key::p256();
    let token = sealog.issuer.email("jane@example.com");
    let chain = issued(&grpc.call(CREATE, &with_csr(&token, &key)).await);
    assert_eq!(chain.len(), 3);
    assert_eq!(chain[0].san(), [San::Email("jane@example.com".to_owned())]);
    assert_eq!(chain[0].spki_der(), key.read("pub.der"));
    assert!(chain[0].sct_list().unwrap().is_some());
    for (name, certificate) in ["leaf.pem", "intermediate.pem", "root.pem"].iter().zip(&chain) {
        std::fs::write(key.path(name), certificate.to_pem()).unwrap();
    }
    let verify =
        ["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "intermediate.pem", "leaf.pem"];
    assert!(openssl::run(key.dir.path(), &verify).contains("leaf.pem: OK"));

    // A key with its proof, the token in the metadata, under either name.
    let asked = by_key(&key, "jane@example.com");
    for (name, value) in [
        ("authorization", format!("Bearer {token}")),
        ("authorization", format!("bearer {token}")),
        ("oidcidentitytoken", token.clone()),
    ] {
        issued(&grpc.call_with(CREATE, &asked, &[(name, &value)]).await);
    }
    // The message goes before the metadata, for good and for ill.
    let john = sealog.issuer.email("john@example.com");
    let wrong = [("authorization", format!("Bearer {john}"))];
    let wrong: Vec<_> = wrong.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let both = [credentials(&token), asked.clone()].concat();
    issued(&grpc.call_with(CREATE, &both, &wrong).await);
    grpc.call_with(CREATE, &asked, &wrong).await.refused("3", OTHER_KEY);
    let right = [("authorization", &*format!("Bearer {token}"))];
    let both = [credentials("x"), asked.clone()].concat();
    grpc.call_with(CREATE, &both, &right).await.refused("3", BAD_TOKEN);
    // An empty one in the message is none.
    let both = [credentials(""), asked].concat();
    issued(&grpc.call_with(CREATE, &both, &right).await);
}

#[tokio::test]
async fn what_it_says_of_itself_is_what_http_says() {
    let sealog = Sealog::start().await;
    let grpc = Grpc::to(&sealog).await;
    let bundle = sealog.get("ca", "/api/v2/trustBundle").await.json();
    let chain = one(grpc.call(BUNDLE, &[]).await.message(), 1);
    assert_eq!(json!(texts(&chain)), *bundle.pointer("/chains/0/certificates").unwrap());
    let told = sealog.get("ca", "/api/v2/configuration").await.json();
    let called = grpc.call(CONFIGURATION, &[]).await;
    let issuers = fields(called.message());
    assert_eq!(issuers.len(), told["issuers"].as_array().unwrap().len());
    for ((number, issuer), told) in issuers.iter().zip(told["issuers"].as_array().unwrap()) {
        assert_eq!(*number, 1);
        let names = [(1, "issuerUrl"), (3, "audience"), (4, "challengeClaim"), (6, "issuerType")];
        let wanted: Vec<_> =
            names.iter().map(|(n, name)| (*n, told[name].as_str().unwrap().as_bytes().to_vec())).collect();
        assert_eq!(fields(issuer), wanted);
    }
}

#[tokio::test]
async fn a_refusal_has_the_code_and_the_words_it_has_over_http() {
    let sealog = Sealog::start().await;
    let grpc = Grpc::to(&sealog).await;
    let key = Key::p256();
    let token = sealog.issuer.email("jane@example.com");
    let mut unverified = sealog.issuer.email_claims("jane@example.com");
    unverified["email_verified"] = json!(false);
    let unverified = sealog.issuer.sign(&unverified);
    const KEY: &str = "The public key supplied in the request could not be parsed";
    const CSR: &str = "The certificate signing request could not be parsed";
    let with = |key: Vec<u8>| [credentials(&token), key].concat();
    let of_key = |public: &str| with(field(2, field(1, field(2, public))));
    for (message, words) in [
        (Vec::new(), BAD_TOKEN),
        (with_csr("", &key), BAD_TOKEN),
        (with_csr("a.b", &key), BAD_TOKEN),
        (with_csr(&unverified, &key), BAD_TOKEN),
        (credentials(&token), KEY),
        (with(field(2, [])), KEY),
        (with(field(3, [])), KEY),
        (of_key(""), KEY),
        (of_key("nonsense"), KEY),
        (with(field(3, "nonsense")), CSR),
        (with(field(3, [0xff, 0xfe])), CSR),
        (with(by_key(&key, "john@example.com")), OTHER_KEY),
        // Not a message: cut short, no text, no such wire type.
        (vec![0x0a, 0x7f], "invalid request"),
        (field(1, field(1, [0xff])), "invalid request"),
        (vec![0x0f], "invalid request"),
    ] {
        grpc.call(CREATE, &message).await.refused("3", words);
    }
    // The details are the same text.
    let body = json!({ "credentials": { "oidcIdentityToken": unverified } }).to_string();
    let over_http = sealog.post("ca", "/api/v2/signingCert", body).await.json();
    let over_grpc = grpc.call(CREATE, &credentials(&unverified)).await;
    assert_eq!(over_http["message"].as_str().unwrap(), over_grpc.words());
    assert!(sealog.get("ctlog", "/checkpoint").await.text().contains("\n0\n"));

    // Framed wrongly, compressed, unknown, or not gRPC at all.
    for (body, code) in [
        (Vec::new(), "3"),
        (vec![0, 0, 0, 0, 9, 1], "3"),
        ([framed(&[]), framed(&[])].concat(), "3"),
        (vec![1, 0, 0, 0, 1, 1], "12"),
    ] {
        grpc.send(CREATE, body, &[]).await.unwrap().refused(code, "");
    }
    grpc.call("/dev.sigstore.fulcio.v2.CA/Revoke", &[]).await.refused("12", "");
    grpc.call("/no.such.Service/Get", &[]).await.refused("12", "");
    let over_one = sealog.client.post(format!("{}{CREATE}", sealog.url("ca")));
    let over_one = over_one.header("content-type", "application/grpc").send().await.unwrap();
    assert_eq!(over_one.status(), 505);
    sealog.post("ca", CREATE, "{}").await.refused(415, 415, "this path takes calls of gRPC only");
}

#[tokio::test]
async fn one_connection_serves_many_and_each_counts_for_what_became_of_it() {
    let sealog = Sealog::start().await;
    let grpc = Grpc::to(&sealog).await;
    // The first call hears how many are answered at a time; of more, the rest wait.
    grpc.call(CHECK, &[]).await.message();
    let calls = (0..300).map(|n| {
        let grpc = Grpc(grpc.0.clone());
        tokio::spawn(async move {
            match n % 2 {
                0 => assert_eq!(grpc.call(CHECK, &[]).await.message(), [0x08, 1]),
                _ => grpc.call(CREATE, &[]).await.refused("3", BAD_TOKEN),
            }
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let of = |class: &str| format!("sealog_http_requests_total{{service=\"ca\",status=\"{class}\"}}");
    assert_eq!((sealog.count(&of("2xx")).await, sealog.count(&of("4xx")).await), (151, 150));
}

#[tokio::test]
async fn it_says_whether_it_is_well() {
    let sealog = Sealog::start().await;
    let grpc = Grpc::to(&sealog).await;
    for name in ["", "dev.sigstore.fulcio.v2.CA"] {
        assert_eq!(grpc.call(CHECK, &field(1, name)).await.message(), [0x08, 1]);
    }
    grpc.call(CHECK, &field(1, "no.such.Service")).await.refused("5", "");
    grpc.call("/grpc.health.v1.Health/Watch", &[]).await.refused("12", "ask with Check");
    // Over HTTP/2 the ordinary paths answer too.
    let request = Request::get("http://localhost/healthz").body(()).unwrap();
    let (answer, _) = grpc.0.clone().ready().await.unwrap().send_request(request, true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_first_version_is_still_answered() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    const TYPE: &str = "application/pem-certificate-chain";
    let sealog = Sealog::start().await;
    let key = Key::p256();
    let token = sealog.issuer.email("jane@example.com");
    let post = async |body: serde_json::Value, token: &str| {
        let url = format!("{}/api/v1/signingCert", sealog.url("ca"));
        sealog.client.post(url).bearer_auth(token).body(body.to_string()).send().await.unwrap()
    };
    let proof = STANDARD.encode(key.sign(b"jane@example.com"));
    let by_key = |content: &[u8]| {
        let public = json!({ "content": STANDARD.encode(content), "algorithm": "ecdsa" });
        json!({ "publicKey": public, "signedEmailAddress": proof })
    };
    for body in [
        by_key(key.public_pem().as_bytes()),
        by_key(&key.read("pub.der")),
        json!({ "certificateSigningRequest": STANDARD.encode(key.csr()) }),
    ] {
        let answer = post(body, &token).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (201, &TYPE.parse().unwrap())
        );
        let text = answer.text().await.unwrap();
        let end = "-----END CERTIFICATE-----";
        assert_eq!((text.matches(end).count(), text.trim_end()), (3, text.as_str()));
        let (leaf, _) = text.split_once(end).unwrap();
        assert_eq!(Certificate::from_pem(&format!("{leaf}{end}")).unwrap().spki_der(), key.read("pub.der"));
    }
    let root = sealog.get("ca", "/api/v1/rootCert").await;
    assert_eq!((root.status, root.content_type.as_str()), (200, TYPE));
    let bundle = sealog.get("ca", "/api/v2/trustBundle").await.json();
    let chain = bundle.pointer("/chains/0/certificates").unwrap().as_array().unwrap();
    let joined: Vec<&str> = chain.iter().map(|pem| pem.as_str().unwrap()).collect();
    assert_eq!(root.text(), joined.join("\n"));
    for (body, token) in [
        (by_key(key.public_pem().as_bytes()), "x"),
        (by_key(b"nonsense"), &token),
        (by_key(b""), &token),
        (json!({}), &token),
        (json!({ "publicKey": { "content": STANDARD.encode(key.public_pem()) } }), &token),
    ] {
        let answer = post(body, token).await;
        assert_eq!(answer.status(), 400);
        assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["code"], 3);
    }
}
