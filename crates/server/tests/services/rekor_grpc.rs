//! The log of signatures over gRPC: the same answers as over HTTP, on the same port.
//!
//! Messages are written and read here byte by byte, from the field numbers of rekor-tiles and protobuf-specs.

use super::{
    grpc::{CHECK, Called, Grpc, field, fields, framed},
    harness::Sealog,
    openssl::Key,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sealog_bundle::{KeyDetails, TransparencyLogEntry};
use sealog_crypto::{KeyKind, PrivateKey, Signer as _, sha256};
use serde_json::{Value, json};
use std::sync::Arc;

const SERVICE: &str = "dev.sigstore.rekor.v2.Rekor";
const CREATE: &str = "/dev.sigstore.rekor.v2.Rekor/CreateEntry";
const TILE: &str = "/dev.sigstore.rekor.v2.Rekor/GetTile";
const BUNDLE: &str = "/dev.sigstore.rekor.v2.Rekor/GetEntryBundle";
const CHECKPOINT: &str = "/dev.sigstore.rekor.v2.Rekor/GetCheckpoint";
const ENTRIES: &str = "/api/v2/log/entries";
const INVALID: &str = "invalid hashedrekord request";

/// A request's JSON as its message. What is not there, or null, is left out.
fn message(request: &Value) -> Vec<u8> {
    let [arm] = ["hashedRekordRequestV002", "dsseRequestV002"]
        .map(|arm| request.get(arm))
        .into_iter()
        .enumerate()
        .filter_map(|(at, arm)| Some((at, arm?)))
        .collect::<Vec<_>>()[..]
    else {
        return Vec::new();
    };
    match arm {
        (0, hashed) => field(
            1,
            [
                bytes(1, &hashed["digest"]),
                within(2, &hashed["signature"], |signature| {
                    [bytes(1, &signature["content"]), within(2, &signature["verifier"], verifier)].concat()
                }),
            ]
            .concat(),
        ),
        (_, dsse) => {
            let envelope = within(1, &dsse["envelope"], |envelope| {
                let signatures = envelope["signatures"].as_array().unwrap().iter();
                let signature = |s: &Value| field(3, [bytes(1, &s["sig"]), text(2, &s["keyid"])].concat());
                let signatures: Vec<u8> = signatures.flat_map(signature).collect();
                [bytes(1, &envelope["payload"]), text(2, &envelope["payloadType"]), signatures].concat()
            });
            let verifiers = dsse["verifiers"].as_array().unwrap().iter();
            let verifiers: Vec<u8> = verifiers.flat_map(|v| field(2, verifier(v))).collect();
            field(2, [envelope, verifiers].concat())
        }
    }
}

fn verifier(verifier: &Value) -> Vec<u8> {
    let raw = |raw: &Value| bytes(1, &raw["rawBytes"]);
    let details = verifier["keyDetails"].as_str().map_or(Vec::new(), |name| {
        let number = KeyDetails::from_name(name).map_or(99, KeyDetails::number);
        vec![0x18, number]
    });
    let keys = [within(1, &verifier["publicKey"], raw), within(2, &verifier["x509Certificate"], raw)];
    [keys.concat(), details].concat()
}

fn within(number: u8, value: &Value, encode: impl FnOnce(&Value) -> Vec<u8>) -> Vec<u8> {
    if value.is_null() { Vec::new() } else { field(number, encode(value)) }
}

fn bytes(number: u8, value: &Value) -> Vec<u8> {
    value.as_str().map_or(Vec::new(), |text| field(number, STANDARD.decode(text).unwrap()))
}

fn text(number: u8, value: &Value) -> Vec<u8> {
    value.as_str().map_or(Vec::new(), |text| field(number, text))
}

/// An answer in the order of its field numbers, as JSON has it.
#[track_caller]
fn entry(called: &Called) -> Value {
    let number = |bytes: &[u8]| bytes[0].to_string();
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut entry = json!({ "integratedTime": "0", "inclusionPromise": null });
    for (tag, value) in fields(called.message()) {
        let (name, value) = match tag {
            1 => ("logIndex", json!(number(&value))),
            2 => ("logId", json!({ "keyId": base64(&fields(&value)[0].1) })),
            3 => {
                let of = fields(&value);
                ("kindVersion", json!({ "kind": utf8(&of[0].1), "version": utf8(&of[1].1) }))
            }
            6 => {
                let mut proof = json!({ "hashes": [] });
                for (tag, value) in fields(&value) {
                    match tag {
                        1 => proof["logIndex"] = json!(number(&value)),
                        2 => proof["rootHash"] = json!(base64(&value)),
                        3 => proof["treeSize"] = json!(number(&value)),
                        4 => proof["hashes"].as_array_mut().unwrap().push(json!(base64(&value))),
                        5 => proof["checkpoint"] = json!({ "envelope": utf8(&fields(&value)[0].1) }),
                        other => panic!("field {other} of a proof"),
                    }
                }
                ("inclusionProof", proof)
            }
            7 => ("canonicalizedBody", json!(base64(&value))),
            other => panic!("field {other} of an entry"),
        };
        entry[name] = value;
    }
    entry
}

#[tokio::test]
async fn an_entry_is_the_same_over_either_wire() {
    let sealog = Sealog::start().await;
    let grpc = Grpc::with(&sealog, "rekor").await;
    let keys = [Key::p256(), Key::rsa("2048", "PKIX_RSA_PKCS1V15_2048_SHA256")];
    for (index, key) in (1..).zip(&keys) {
        let request = key.log_request(b"an artifact");
        let first = entry(&grpc.call(CREATE, &message(&request)).await);
        assert_eq!(first["logIndex"], index.to_string());
        // The same again is a duplicate, told its place, and nothing else was logged meanwhile.
        let over_http = sealog.post("rekor", ENTRIES, request.to_string()).await;
        assert_eq!((over_http.status, over_http.json()), (201, first.clone()));
        assert_eq!(entry(&grpc.call(CREATE, &message(&request)).await), first);
        TransparencyLogEntry::parse(first.to_string().as_bytes()).unwrap();
    }
    // An envelope, logged as the digest of its encoding.
    let (kind, payload) = ("application/vnd.in-toto+json", b"{}".as_slice());
    let pae = [format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).as_bytes(), payload].concat();
    let request = json!({ "dsseRequestV002": {
        "envelope": {
            "payload": STANDARD.encode(payload), "payloadType": kind,
            "signatures": [{ "sig": STANDARD.encode(keys[0].sign(&pae)), "keyid": "k" }],
        },
        "verifiers": [{
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "publicKey": { "rawBytes": STANDARD.encode(keys[0].read("pub.der")) },
        }],
    } });
    let first = entry(&grpc.call(CREATE, &message(&request)).await);
    assert_eq!(sealog.post("rekor", ENTRIES, request.to_string()).await.json(), first);
    // What a later protocol may add is read over.
    let newer = [message(&request), field(15, "news")].concat();
    assert_eq!(entry(&grpc.call(CREATE, &newer).await), first);
}

#[tokio::test]
async fn a_refusal_has_the_code_and_the_words_it_has_over_http() {
    let sealog = Sealog::start().await;
    let grpc = Grpc::with(&sealog, "rekor").await;
    let key = Key::p256();
    let good = key.log_request(b"an artifact");
    let with = |pointer: &str, value: Value| {
        let mut request = good.clone();
        *request.pointer_mut(&format!("/hashedRekordRequestV002{pointer}")).unwrap() = value;
        request
    };
    let other = json!(STANDARD.encode([1; 32]));
    let dsse = |signatures: usize, verifiers: usize| {
        let signature = json!({ "sig": other, "keyid": "" });
        let verifier = good.pointer("/hashedRekordRequestV002/signature/verifier").unwrap();
        json!({ "dsseRequestV002": {
            "envelope": { "payload": other, "payloadType": "x", "signatures": vec![signature; signatures] },
            "verifiers": vec![verifier; verifiers],
        } })
    };
    let mut unsigned = dsse(1, 1);
    unsigned["dsseRequestV002"]["envelope"]["signatures"][0]["sig"] = json!("");
    let mut unnamed = dsse(1, 1);
    unnamed["dsseRequestV002"]["verifiers"][0]["keyDetails"] = Value::Null;
    let mut empty = dsse(1, 1);
    empty["dsseRequestV002"]["envelope"] = Value::Null;
    for request in [
        json!({}),
        json!({ "hashedRekordRequestV002": {} }),
        with("/digest", json!("")),
        with("/digest", other.clone()),
        with("/digest", json!(STANDARD.encode([1; 31]))),
        with("/signature", Value::Null),
        with("/signature/content", json!("")),
        with("/signature/content", other.clone()),
        with("/signature/verifier", Value::Null),
        with("/signature/verifier/keyDetails", Value::Null),
        with("/signature/verifier/keyDetails", json!("PKIX_ED25519")),
        with("/signature/verifier/keyDetails", json!("PKIX_ECDSA_P384_SHA_384")),
        with("/signature/verifier/publicKey", Value::Null),
        with("/signature/verifier/publicKey", json!({})),
        with("/signature/verifier/publicKey/rawBytes", other.clone()),
        with(
            "/signature/verifier",
            json!({ "keyDetails": "PKIX_ECDSA_P256_SHA_256", "x509Certificate": {} }),
        ),
        Key::rsa("1024", "PKIX_RSA_PKCS1V15_2048_SHA256").log_request(b"an artifact"),
        unsigned,
        unnamed,
        empty,
        dsse(1, 1),
        dsse(0, 0),
        dsse(2, 1),
        dsse(1, 2),
        dsse(33, 1),
        dsse(1, 33),
    ] {
        let over_http = sealog.post("rekor", ENTRIES, request.to_string()).await;
        over_http.refused(400, 3, if request == json!({}) { "invalid type" } else { INVALID });
        let over_grpc = grpc.call(CREATE, &message(&request)).await;
        over_grpc.refused("3", "");
        assert_eq!(over_grpc.words(), over_http.json()["message"].as_str().unwrap(), "{request}");
    }
    let unknown = with("/signature/verifier/keyDetails", json!("NO_SUCH_THING"));
    let words = "invalid hashedrekord request: hashedRekordRequestV002.signature.verifier.keyDetails: `99`";
    grpc.call(CREATE, &message(&unknown)).await.refused("3", words);

    // No messages: cut short, of a wire type that does not exist, of another type, text that is none, nested without end.
    let cut = message(&good);
    let deep = (0..200).fold(Vec::new(), |inner, _| field(3, inner));
    for bytes in [
        cut[..cut.len() - 1].to_vec(),
        vec![0x0f],
        vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f],
        vec![0x08, 1],
        field(2, field(1, field(2, [0xff]))),
        field(2, [0x0a, 0x7f]),
        vec![0x0b; 500],
    ] {
        grpc.call(CREATE, &bytes).await.refused("3", "invalid request");
    }
    grpc.call(CREATE, &deep).await.refused("3", "invalid type");
    // Two bytes each, and in memory fifty: they are counted first.
    let many = field(2, [0x12, 0].repeat(2_000_000));
    let words = "invalid hashedrekord request: dsseRequestV002.verifiers: 2000000 elements";
    grpc.call(CREATE, &many).await.refused("3", words);
    let large = field(1, field(1, vec![0; 5 << 20]));
    grpc.call(CREATE, &large).await.refused("3", "request body is larger than 4194304 bytes");

    // Framed wrongly, compressed, by no such method, or not gRPC at all.
    let whole = message(&good);
    let longer = [framed(&whole), vec![0]].concat();
    let shorter = framed(&whole)[..whole.len()].to_vec();
    for body in [Vec::new(), longer, shorter, [framed(&whole), framed(&whole)].concat()] {
        grpc.send(CREATE, body, &[]).await.unwrap().refused("3", "invalid request");
    }
    let mut compressed = framed(&whole);
    compressed[0] = 1;
    let called = grpc.send(CREATE, compressed, &[("grpc-encoding", "gzip")]).await.unwrap();
    called.refused("12", "messages are not taken compressed");
    assert_eq!(called.headers["grpc-accept-encoding"], "identity");
    for method in ["CreateEntries", "createEntry", ""] {
        grpc.call(&format!("/{SERVICE}/{method}"), &whole).await.refused("12", "");
    }
    grpc.call("/dev.sigstore.rekor.v2.IdentityRekor/CreateEntry", &whole).await.refused("12", "");
    let words = "this path takes calls of gRPC only";
    sealog.post("rekor", CREATE, good.to_string()).await.refused(415, 415, words);
    let over_one = sealog.client.post(format!("{}{CREATE}", sealog.url("rekor")));
    let over_one = over_one.header("content-type", "application/grpc").send().await.unwrap();
    assert_eq!(over_one.status(), 505);
    // Nothing of all this was logged.
    assert!(sealog.get("rekor", "/checkpoint").await.text().starts_with("localhost\n1\n"));
}

#[tokio::test]
async fn what_is_read_is_what_http_reads() {
    let sealog = Sealog::start().await;
    let grpc = Grpc::with(&sealog, "rekor").await;
    for n in 0..3 {
        let request = Key::p256().log_request(format!("artifact {n}").as_bytes());
        grpc.call(CREATE, &message(&request)).await.message();
    }
    let tile = |level: u8, index: &str| {
        let level = if level == 0 { Vec::new() } else { vec![8, level] };
        (TILE, [level, field(2, index)].concat())
    };
    let bundle = |index: &str| (BUNDLE, field(1, index));
    for ((method, asked), path) in [
        ((CHECKPOINT, Vec::new()), "/checkpoint"),
        (tile(0, "000.p/4"), "/tile/0/000.p/4"),
        (tile(0, "000.p/1"), "/tile/0/000.p/1"),
        (bundle("000.p/4"), "/tile/entries/000.p/4"),
        (bundle("000.p/3"), "/tile/entries/000.p/3"),
    ] {
        let over_http = sealog.get("rekor", path).await;
        let called = grpc.call(method, &asked).await;
        let expected = [(1, over_http.content_type.into_bytes()), (2, over_http.body)];
        assert_eq!((over_http.status, fields(called.message())), (200, expected.to_vec()));
    }
    for (method, asked) in [
        tile(0, ""),
        tile(0, "000"),
        tile(0, "000.p/5"),
        tile(0, "000.p/0"),
        tile(0, "0"),
        tile(1, "000.p/1"),
        tile(64, "000"),
        tile(0, "../entries/000.p/4"),
        tile(0, "../../checkpoint"),
        tile(0, "%30%30%30.p/4"),
        tile(0, &"x000/".repeat(100)),
        bundle(""),
        bundle("000"),
        bundle("/000.p/4"),
        bundle("000.p/4/"),
        bundle("../../../../keys/rekor.key"),
        (TILE, Vec::new()),
        (TILE, vec![8, 0xff, 0xff, 0xff, 0xff, 0x0f]),
    ] {
        grpc.call(method, &asked).await.refused("5", "Not Found");
    }
    grpc.call(TILE, &field(2, [b'0'; 2000])).await.refused("3", "request body is larger than 1024 bytes");
    grpc.call(TILE, &field(2, [0xff])).await.refused("3", "invalid request");
    for name in ["", SERVICE] {
        assert_eq!(grpc.call(CHECK, &field(1, name)).await.message(), [0x08, 1]);
    }
    grpc.call(CHECK, &field(1, "dev.sigstore.fulcio.v2.CA")).await.refused("5", "");
}

#[tokio::test]
async fn too_many_at_once_are_asked_to_come_back() {
    let sealog = Sealog::start_with("max_pending = 1\n").await;
    let grpc = Arc::new(Grpc::with(&sealog, "rekor").await);
    grpc.call(CHECK, &[]).await.message();
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let public = field(1, field(1, key.public_key().spki_der()));
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..200_u32 {
        let data = n.to_be_bytes();
        let verifier = [public.clone(), vec![0x18, 5]].concat();
        let signature = [field(1, key.sign(&data).unwrap()), field(2, verifier)].concat();
        let asked = field(1, [field(1, sha256(&data)), field(2, signature)].concat());
        let grpc = Arc::clone(&grpc);
        asking.spawn(async move { grpc.call(CREATE, &asked).await });
    }
    let (mut logged, mut refused) = (0, 0);
    while let Some(called) = asking.join_next().await {
        let called = called.unwrap();
        if called.code() == "0" {
            logged += 1;
        } else {
            called.refused("14", "reached max pushback; retry");
            let later: u64 = called.headers["grpc-retry-pushback-ms"].to_str().unwrap().parse().unwrap();
            assert!((1..=1000).contains(&later), "{later} ms");
            refused += 1;
        }
    }
    assert!(refused > 0, "{logged} logged");
    let checkpoint = sealog.get("rekor", "/checkpoint").await;
    assert_eq!(checkpoint.text().lines().nth(1).unwrap(), (logged + 1).to_string());
}
