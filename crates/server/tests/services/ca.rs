//! The certificate authority: OpenSSL asks and checks, the certificate log must have heard of it.

use super::{
    harness::{Answer, Sealog, part},
    openssl::{self, Key},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sealog_bundle::TrustedRoot;
use sealog_crypto::{KeyKind, PrivateKey, PublicKey, Signer as _, sha256};
use sealog_pki::{Certificate, Csr, ObjectIdentifier, San};
use sealog_server::clock::Clock;
use sealog_tlog::ct::{CtEntry, SctList, TileLeaf, leaf_index};
use serde_json::{Value, json};

pub(crate) const SIGNING_CERT: &str = "/api/v2/signingCert";
const SCTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11129.2.4.2");

pub(crate) fn with_csr(token: &str, key: &Key) -> Value {
    json!({
        "credentials": { "oidcIdentityToken": token },
        "certificateSigningRequest": STANDARD.encode(key.csr()),
    })
}

fn with_key(token: &str, key: &Key, challenge: &str) -> Value {
    json!({
        "credentials": { "oidcIdentityToken": token },
        "publicKeyRequest": {
            "publicKey": { "algorithm": "ECDSA", "content": key.public_pem() },
            "proofOfPossession": STANDARD.encode(key.sign(challenge.as_bytes())),
        },
    })
}

/// The chain of a success.
#[track_caller]
pub(crate) fn issued(answer: &Answer) -> Vec<Certificate> {
    assert_eq!((answer.status, answer.content_type.as_str()), (200, "application/json"), "{}", answer.text());
    let body = answer.json();
    let chain = body.pointer("/signedCertificateEmbeddedSct/chain/certificates").unwrap().as_array().unwrap();
    chain
        .iter()
        .map(|pem| {
            let pem = pem.as_str().unwrap();
            assert!(pem.ends_with("-----END CERTIFICATE-----"), "{pem:?}");
            Certificate::from_pem(pem).unwrap()
        })
        .collect()
}

/// The embedded SCT is the log's word about this certificate, and the log keeps it.
pub(crate) async fn logged(sealog: &Sealog, chain: &[Certificate]) {
    let trusted = TrustedRoot::parse(&std::fs::read(sealog.client_dir().join("trusted_root.json")).unwrap());
    let trusted = trusted.unwrap();
    let log_key = PublicKey::from_spki_der(&trusted.ctlogs[0].public_key).unwrap();
    let SctList(scts) = SctList::parse(chain[0].sct_list().unwrap().unwrap()).unwrap();
    assert_eq!(scts.len(), 1);
    let tbs = chain[0].tbs_without(&SCTS);
    let issuer_key_hash = sha256(chain[1].spki_der());
    let entry = CtEntry::Precert { issuer_key_hash, tbs: tbs.clone(), precert: Vec::new() };
    scts[0].verify(&entry, &log_key).unwrap();
    let index = leaf_index(&scts[0].extensions).unwrap();
    let bundle = sealog.get("ctlog", &format!("/tile/data/000.p/{}", index + 1)).await;
    assert_eq!(bundle.status, 200);
    let mut rest = bundle.body.as_slice();
    let mut leaf = None;
    for _ in 0..=index {
        let (found, behind) = TileLeaf::parse_first(rest).unwrap();
        leaf = Some(found);
        rest = behind;
    }
    let leaf = leaf.unwrap();
    assert_eq!((leaf.timestamp_ms, leaf.index().unwrap()), (scts[0].timestamp_ms, index));
    assert!(matches!(leaf.entry.to_owned(), CtEntry::Precert { tbs: found, .. } if found == tbs));
}

#[tokio::test]
async fn an_address_becomes_a_certificate_that_openssl_verifies() {
    let sealog = Sealog::start().await;
    let key = Key::p256();
    let token = sealog.issuer.email("jane@example.com");
    let request = with_csr(&token, &key).to_string();
    let chain = issued(&sealog.post("ca", SIGNING_CERT, request).await);
    assert_eq!(chain.len(), 3);
    let leaf = &chain[0];
    assert_eq!(leaf.spki_der(), key.read("pub.der"));
    assert_eq!(leaf.san(), [San::Email("jane@example.com".to_owned())]);
    assert!(leaf.has_empty_subject());
    assert_eq!(leaf.fulcio().get_by_name("issuer"), Some(sealog.issuer.url.as_str()));
    assert_eq!(leaf.fulcio().get(24), Some("subject-1"));
    let (from, to) = leaf.validity();
    assert_eq!(to - from, 600);
    let now = Clock::system().unix_seconds();
    assert!(from < now && now - from < 30, "{from} {now}");
    logged(&sealog, &chain).await;

    // The chain is the published one, and OpenSSL follows it.
    let bundle = sealog.get("ca", "/api/v2/trustBundle").await.json();
    let published = bundle.pointer("/chains/0/certificates").unwrap().as_array().unwrap();
    assert_eq!(published[1].as_str().unwrap(), chain[2].to_pem().trim_end());
    for (name, certificate) in ["leaf.pem", "intermediate.pem", "root.pem"].iter().zip(&chain) {
        std::fs::write(key.path(name), certificate.to_pem()).unwrap();
    }
    let verify =
        ["verify", "-x509_strict", "-CAfile", "root.pem", "-untrusted", "intermediate.pem", "leaf.pem"];
    assert!(openssl::run(key.dir.path(), &verify).contains("leaf.pem: OK"));
    let text = openssl::run(key.dir.path(), &["x509", "-in", "leaf.pem", "-noout", "-text"]);
    for expected in [
        "X509v3 Key Usage: critical",
        "Digital Signature",
        "Code Signing",
        "X509v3 Subject Alternative Name: critical",
        "email:jane@example.com",
        "CT Precertificate SCTs",
        "Log ID",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
}

/// The object identifiers of Fulcio's own, up to the last arc.
const FULCIO: &str = "1.3.6.1.4.1.57264.1";

#[tokio::test]
async fn a_build_becomes_a_certificate_with_every_extension() {
    let sealog = Sealog::start().await;
    let key = Key::ec("secp384r1", "PKIX_ECDSA_P384_SHA_384", "-sha384");
    let mut claims = sealog.issuer.ci_claims();
    claims["environment"] = json!("production");
    let token = sealog.issuer.sign(&claims);
    // The token in the header, the key with a proof over the subject.
    let mut request = with_key("", &key, claims["sub"].as_str().unwrap());
    request.as_object_mut().unwrap().remove("credentials");
    let url = format!("{}{SIGNING_CERT}", sealog.url("ca"));
    let sent = sealog.client.post(url).bearer_auth(&token).body(request.to_string()).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    let body: Value = serde_json::from_slice(&sent.bytes().await.unwrap()).unwrap();
    let pem = body.pointer("/signedCertificateEmbeddedSct/chain/certificates/0").unwrap().as_str().unwrap();
    let leaf = Certificate::from_pem(pem).unwrap();
    let workflow = "https://github.com/octo/demo/.github/workflows/release.yml@refs/heads/main";
    assert_eq!(leaf.san(), [San::Uri(workflow.to_owned())]);
    let issuer = claims["iss"].as_str().unwrap();
    let commit = "0123456789012345678901234567890123456789";
    // Every one from 1 to 24; 7 is the type of a username's name, and a test of its own.
    let expected = [
        (1, issuer),
        (2, "push"),
        (3, commit),
        (4, "release"),
        (5, "octo/demo"),
        (6, "refs/heads/main"),
        (8, issuer),
        (9, workflow),
        (10, commit),
        (11, "github-hosted"),
        (12, "https://github.com/octo/demo"),
        (13, commit),
        (14, "refs/heads/main"),
        (15, "1"),
        (16, "https://github.com/octo"),
        (17, "2"),
        (18, workflow),
        (19, commit),
        (20, "push"),
        (21, "https://github.com/octo/demo/actions/runs/77/attempts/1"),
        (22, "public"),
        (23, "production"),
        (24, "repo:octo/demo:ref:refs/heads/main"),
    ];
    let found: Vec<(u8, &str)> = leaf.fulcio().iter().map(|(row, text)| (row.number, text)).collect();
    assert_eq!(found, expected);
    // OpenSSL finds the same, the first six bare and the others as strings of ASN.1.
    std::fs::write(key.path("leaf.pem"), pem).unwrap();
    let text = openssl::run(key.dir.path(), &["asn1parse", "-in", "leaf.pem"]);
    for (number, value) in expected {
        let after =
            text.split_once(&format!(":{FULCIO}.{number}\n")).unwrap_or_else(|| panic!("{number}: {text}")).1;
        let line = after.lines().next().unwrap();
        let hex: String = if number < 7 { String::new() } else { format!("0C{:02X}", value.len()) };
        let hex = hex + &value.bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
        // Printed as text where all of it is; as bytes where a string of ASN.1 begins.
        let printed = line.ends_with(&format!("OCTET STRING      :{value}"));
        assert!(printed || line.ends_with(&format!("[HEX DUMP]:{hex}")), "{number}: {hex} is not in {line}");
    }
}

#[tokio::test]
async fn a_username_becomes_a_name_of_the_seventh_type() {
    let sealog =
        Sealog::start_with_issuer("users", "type = \"username\"\nsubject_domain = \"127.0.0.1\"").await;
    let key = Key::p256();
    let mut claims = sealog.issuer.email_claims("jane@example.com");
    (claims["iss"], claims["sub"]) = (json!(format!("{}/users", sealog.issuer.url)), json!("jane"));
    let request = with_csr(&sealog.issuer.sign(&claims), &key).to_string();
    let leaf = issued(&sealog.post("ca", SIGNING_CERT, request).await).remove(0);
    assert_eq!(leaf.san(), [San::OtherName("jane!127.0.0.1".to_owned())]);
    let found: Vec<u8> = leaf.fulcio().iter().map(|(row, _)| row.number).collect();
    assert_eq!(found, [1, 8, 24]);
    assert_eq!(leaf.fulcio().get(24), Some("jane"));
    std::fs::write(key.path("leaf.pem"), leaf.to_pem()).unwrap();
    let text = openssl::run(key.dir.path(), &["x509", "-in", "leaf.pem", "-noout", "-ext", "subjectAltName"]);
    assert!(text.contains(&format!("othername: {FULCIO}.7:")), "{text}");
    let text = openssl::run(key.dir.path(), &["asn1parse", "-in", "leaf.pem"]);
    let name: String = "jane!127.0.0.1".bytes().map(|byte| format!("{byte:02X}")).collect();
    let object = "060A2B0601040183BF300107";
    assert!(text.contains(&format!("{object}A0100C0E{name}")), "{text}");
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused() {
    const BAD: &str = "There was an error processing the identity token";
    let sealog = Sealog::start().await;
    let key = Key::p256();
    let issuer = &sealog.issuer;
    let good = issuer.email_claims("jane@example.com");
    let now = Clock::system().unix_seconds();
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        issuer.sign(&claims)
    };
    let token = issuer.email("jane@example.com");
    let (head, _) = token.rsplit_once('.').unwrap();
    let header = json!({ "alg": "ES256", "kid": "one" });
    let none = format!("{}.{}.", part(&json!({ "alg": "none" })), part(&good));
    let stranger = super::harness::Issuer::start("").await;
    for (what, token) in [
        ("none", String::new()),
        ("not a token", "a.b".to_owned()),
        ("expired", with("exp", json!(now - 1))),
        ("not yet valid", with("nbf", json!(now + 3600))),
        ("not yet valid for six minutes", with("nbf", json!(now + 360))),
        ("another audience", with("aud", json!("other"))),
        ("an unknown issuer", stranger.email("jane@example.com")),
        ("another issuer's signature", stranger.sign(&good)),
        ("no signature", format!("{head}.")),
        ("alg none", none),
        ("another alg", issuer.sign_with(&json!({ "alg": "RS256", "kid": "one" }), &good)),
        ("a shared secret", issuer.sign_with(&json!({ "alg": "HS256", "kid": "one" }), &good)),
        ("a key elsewhere", {
            let kid = format!("{}/keys", stranger.url);
            stranger.sign_with(&json!({ "alg": "ES256", "kid": kid, "jku": kid, "x5u": kid }), &good)
        }),
        ("an unknown key", issuer.sign_with(&json!({ "alg": "ES256", "kid": "two" }), &good)),
        (
            "critical extensions",
            issuer.sign_with(&json!({ "alg": "ES256", "kid": "one", "crit": ["b64"] }), &good),
        ),
        ("changed claims", {
            let (_, signature) = token.rsplit_once('.').unwrap();
            let mut changed = good.clone();
            changed["email"] = json!("john@example.com");
            format!("{}.{}.{signature}", part(&header), part(&changed))
        }),
        ("an unverified address", with("email_verified", json!(false))),
        ("no address", with("email", json!("not an address"))),
        ("too long", with("padding", json!("x".repeat(100_000)))),
    ] {
        let answer = sealog.post("ca", SIGNING_CERT, with_csr(&token, &key).to_string()).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        answer.refused(400, 3, BAD);
    }
    assert_eq!(stranger.asked(), 0, "no token has us ask anybody of whom nobody told us");
    // None of them was logged, and a good one still is.
    assert!(sealog.get("ctlog", "/checkpoint").await.text().contains("\n0\n"));
    issued(&sealog.post("ca", SIGNING_CERT, with_csr(&token, &key).to_string()).await);
}

#[tokio::test]
async fn an_issuers_clock_may_run_before_ours_and_not_behind() {
    let sealog = Sealog::start().await;
    let key = Key::p256();
    let now = sealog.stop_clock();
    let ask = async |name: &str, second: i64| {
        let mut claims = sealog.issuer.email_claims("jane@example.com");
        claims[name] = json!(second);
        let request = with_csr(&sealog.issuer.sign(&claims), &key).to_string();
        sealog.post("ca", SIGNING_CERT, request).await
    };
    for ahead in [1, 60, 300] {
        issued(&ask("nbf", now + ahead).await);
    }
    for (name, second) in [("nbf", now + 301), ("exp", now), ("exp", now - 1)] {
        ask(name, second).await.refused(400, 3, "There was an error processing the identity token");
    }
    for second in [now + 86_400, 0] {
        issued(&ask("iat", second).await);
    }
}

#[tokio::test]
async fn algorithms_that_the_operator_names_prove_possession() {
    let algorithms =
        "algorithms = [\"ML_DSA_65\", \"PKIX_ECDSA_P384_SHA_256\", \"PKIX_RSA_PSS_2048_SHA256\"]\n";
    let named = Sealog::start_prepared(tempfile::tempdir().unwrap(), "", "", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, text.replace("[ca]\n", &format!("[ca]\n{algorithms}"))).unwrap();
    })
    .await;
    let usual = Sealog::start().await;
    let ask = async |sealog: &Sealog, pem: &str| {
        let token = sealog.issuer.email("jane@example.com");
        let request = json!({
            "credentials": { "oidcIdentityToken": token },
            "certificateSigningRequest": STANDARD.encode(pem),
        });
        sealog.post("ca", SIGNING_CERT, request.to_string()).await
    };
    let quantum = PrivateKey::generate(KeyKind::MlDsa65).unwrap();
    let p384 = Key::ec("secp384r1", "", "-sha256");
    let rsa = Key::rsa("2048", "");
    let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"];
    for (pem, spki) in [
        (Csr::pem_of(&Csr::build(&quantum).unwrap()), quantum.public_key().spki_der().to_vec()),
        (p384.csr(), p384.read("pub.der")),
        (rsa.csr_with(&pss), rsa.read("pub.der")),
    ] {
        let chain = issued(&ask(&named, &pem).await);
        assert_eq!(chain[0].spki_der(), spki);
        logged(&named, &chain[..]).await;
        ask(&usual, &pem).await.refused(400, 3, "signing algorithm not permitted: ");
    }
    // What is not named is not taken, the usual ones included.
    ask(&named, &rsa.csr()).await.refused(400, 3, "signing algorithm not permitted: RSA 2048, SHA256; ");
    ask(&named, &Key::p256().csr()).await.refused(
        400,
        3,
        "signing algorithm not permitted: ECDSA P-256, SHA256; ",
    );
    issued(&ask(&usual, &rsa.csr()).await);
}

#[tokio::test]
async fn a_token_that_comes_again_is_counted_and_served() {
    const AGAIN: &str = "sealog_ca_tokens_used_again_total";
    let sealog = Sealog::start().await;
    let key = Key::p256();
    let (token, other) = (sealog.issuer.email("jane@example.com"), sealog.issuer.email("john@example.com"));
    for (token, expected) in [(&token, 0), (&other, 0), (&token, 1), (&token, 2), (&other, 3)] {
        issued(&sealog.post("ca", SIGNING_CERT, with_csr(token, &key).to_string()).await);
        assert_eq!(sealog.count(AGAIN).await, expected);
    }
    // Over gRPC as well, and whatever becomes of the request; what is not believed is not counted.
    let grpc = super::grpc::Grpc::to(&sealog).await;
    grpc.refuses_without_key(&token).await;
    assert_eq!(sealog.count(AGAIN).await, 4);
    let (signed, _) = token.rsplit_once('.').unwrap();
    for _ in 0..2 {
        grpc.refuses_without_key(&format!("{signed}.AAAA")).await;
    }
    assert_eq!((sealog.count(AGAIN).await, sealog.count("sealog_ca_tokens_forgotten_total").await), (4, 0));
}

#[tokio::test]
async fn a_token_bound_to_a_key_certifies_no_other() {
    const BAD: &str = "There was an error processing the identity token: the identity token is bound to ";
    let sealog = Sealog::start().await;
    let (key, other) = (Key::p256(), Key::p256());
    let point = key.read("pub.der");
    let (x, y) = point[point.len() - 64..].split_at(32);
    let part = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": part(x), "y": part(y) });
    // RFC 7638, from its own words.
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, part(x), part(y));
    let jkt = json!(part(&sha256(text.as_bytes())));
    let bound = |cnf: Value| {
        let mut claims = sealog.issuer.email_claims("jane@example.com");
        claims["cnf"] = cnf;
        sealog.issuer.sign(&claims)
    };
    for cnf in [json!({ "jkt": jkt }), json!({ "jwk": jwk }), json!({ "jwk": jwk, "jkt": jkt })] {
        let token = bound(cnf);
        issued(&sealog.post("ca", SIGNING_CERT, with_csr(&token, &key).to_string()).await);
        let by_key = with_key(&token, &key, "jane@example.com").to_string();
        issued(&sealog.post("ca", SIGNING_CERT, by_key).await);
        for request in [with_csr(&token, &other), with_key(&token, &other, "jane@example.com")] {
            let answer = sealog.post("ca", SIGNING_CERT, request.to_string()).await;
            answer.refused(400, 3, BAD);
            assert!(answer.text().contains("ask with the key the token was made for"), "{}", answer.text());
        }
    }
    for cnf in [json!({}), json!("key"), json!({ "kid": "one" }), json!({ "x5t#S256": jkt })] {
        let request = with_csr(&bound(cnf), &key).to_string();
        sealog.post("ca", SIGNING_CERT, request).await.refused(400, 3, BAD);
    }
}

#[tokio::test]
async fn a_key_that_is_not_proven_or_not_good_is_refused() {
    const PROOF: &str = "The signature supplied in the request could not be verified";
    const KEY: &str = "The public key supplied in the request could not be parsed";
    const INSECURE: &str = "The public key supplied in the request is insecure";
    const CSR: &str = "The certificate signing request could not be parsed";
    let sealog = Sealog::start().await;
    let token = sealog.issuer.email("jane@example.com");
    let (key, other) = (Key::p256(), Key::p256());
    let of = |pem: String, proof: Vec<u8>| {
        let mut request = with_key(&token, &key, "jane@example.com");
        request["publicKeyRequest"]["publicKey"]["content"] = json!(pem);
        request["publicKeyRequest"]["proofOfPossession"] = json!(STANDARD.encode(proof));
        request
    };
    let csr_of = |pem: &str| {
        json!({
            "credentials": { "oidcIdentityToken": token },
            "certificateSigningRequest": STANDARD.encode(pem),
        })
    };
    let swapped = {
        // Another key's request under this key's signature.
        let der = |pem: &str| {
            let inside: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
            STANDARD.decode(inside).unwrap()
        };
        let (mut one, two) = (der(&key.csr()), der(&other.csr()));
        let tail = one.len() - 40;
        one[tail..].copy_from_slice(&two[two.len() - 40..]);
        format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
            STANDARD
                .encode(one)
                .as_bytes()
                .chunks(64)
                .map(|c| std::str::from_utf8(c).unwrap())
                .collect::<Vec<_>>()
                .join("\n")
        )
    };
    let proof = key.sign(b"jane@example.com");
    let weak = Key::rsa("1024", "");
    let curve = Key::ec("secp256k1", "", "-sha256");
    let wrong_hash = Key::ec("secp384r1", "", "-sha256");
    let mut both = with_key(&token, &key, "jane@example.com");
    both["certificateSigningRequest"] = json!(STANDARD.encode(key.csr()));
    for (request, message) in [
        (of(key.public_pem(), other.sign(b"jane@example.com")), PROOF),
        (of(key.public_pem(), key.sign(b"john@example.com")), PROOF),
        (of(key.public_pem(), Vec::new()), PROOF),
        (of(other.public_pem(), proof.clone()), PROOF),
        (of("nonsense".to_owned(), proof.clone()), KEY),
        (of(curve.public_pem(), proof.clone()), KEY),
        (of(weak.public_pem(), weak.sign(b"jane@example.com")), INSECURE),
        (csr_of("nonsense"), CSR),
        (csr_of(&swapped), PROOF),
        (csr_of(&weak.csr()), INSECURE),
        (csr_of(&wrong_hash.csr()), "signing algorithm not permitted"),
        (json!({ "credentials": { "oidcIdentityToken": token } }), KEY),
        (both, KEY),
    ] {
        sealog.post("ca", SIGNING_CERT, request.to_string()).await.refused(400, 3, message);
    }
    for body in ["", "{", "[]", "null", &"[".repeat(50_000)] {
        sealog.post("ca", SIGNING_CERT, body).await.refused(400, 3, "");
    }
    sealog.post("ca", SIGNING_CERT, " ".repeat(5 << 20)).await.refused(400, 3, "request body is larger");
    assert!(sealog.get("ctlog", "/checkpoint").await.text().contains("\n0\n"));
}

#[tokio::test]
async fn the_configuration_says_whom_it_believes() {
    let sealog = Sealog::start().await;
    let url = &sealog.issuer.url;
    let found = sealog.get("ca", "/api/v2/configuration").await.json();
    let of = |url: &str, challenge: &str, kind: &str| {
        json!({
            "issuerUrl": url, "audience": "sigstore", "challengeClaim": challenge, "spiffeTrustDomain": "",
            "issuerType": kind, "subjectDomain": "", "skipEmailVerification": false,
        })
    };
    let ci = format!("{url}/ci");
    assert_eq!(found, json!({ "issuers": [of(url, "email", "email"), of(&ci, "sub", "ci-provider")] }));
    let url = format!("{}{SIGNING_CERT}", sealog.url("ca"));
    let preflight = sealog.client.request("OPTIONS".parse().unwrap(), url).send().await.unwrap();
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn a_log_elsewhere_is_asked_and_its_word_checked() {
    let mut log = Sealog::start().await;
    let key_file = log.dir.path().join("keys/ctlog.pub");
    let settings = format!("[ca]\nctlog_url = {:?}\nctlog_key = \"log.pub\"\n", log.url("ctlog"));
    let mut authority = Sealog::start_prepared(tempfile::tempdir().unwrap(), "", "", |path| {
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, text.replace("[ca]\n", &settings)).unwrap();
        std::fs::copy(&key_file, path.with_file_name("log.pub")).unwrap();
    })
    .await;
    let (token, key) = (authority.issuer.email("jane@example.com"), Key::p256());
    let refused = async |authority: &Sealog| {
        let answer = authority.post("ca", SIGNING_CERT, with_csr(&token, &key).to_string()).await;
        assert!(answer.status >= 500, "{}", answer.text());
    };
    // It does not accept this authority's root yet.
    refused(&authority).await;
    let path = log.dir.path().join("sealog.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let roots = format!("[ctlog]\nroots = [{:?}]\n", authority.dir.path().join("keys/ca.pem"));
    std::fs::write(&path, text.replace("[ctlog]\n", &roots)).unwrap();
    log.restart().await;
    let answer = authority.post("ca", SIGNING_CERT, with_csr(&token, &key).to_string()).await;
    let chain = issued(&answer);
    let SctList(scts) = SctList::parse(chain[0].sct_list().unwrap().unwrap()).unwrap();
    let entry = CtEntry::Precert {
        issuer_key_hash: sha256(chain[1].spki_der()),
        tbs: chain[0].tbs_without(&SCTS),
        precert: Vec::new(),
    };
    let log_key = PublicKey::from_pem(&std::fs::read_to_string(&key_file).unwrap()).unwrap();
    scts[0].verify(&entry, &log_key).unwrap();
    let size = async |sealog: &Sealog| {
        let checkpoint = sealog.get("ctlog", "/checkpoint").await.text().to_owned();
        checkpoint.lines().nth(1).unwrap().to_owned()
    };
    assert_eq!((size(&log).await.as_str(), size(&authority).await.as_str()), ("1", "0"));

    // An SCT by another key than the configured one is no promise.
    std::fs::copy(authority.dir.path().join("keys/ctlog.pub"), authority.dir.path().join("log.pub")).unwrap();
    authority.restart().await;
    refused(&authority).await;
    assert_eq!(size(&log).await, "2", "it was logged all the same");
}
