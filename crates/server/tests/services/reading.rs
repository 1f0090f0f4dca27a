//! How the logs' files are read: their spellings, their headers, the forms they come in (C2SP tlog-tiles, static-ct-api).

use super::{
    ctlog::{Authority, body},
    harness::Sealog,
};
use sealog_bundle::{KeyDetails, Verifier, request::HashedRekordRequest};
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, Signer as _, sha256};
use sealog_pki::Certificate;
use std::io::Read as _;

const IMMUTABLE: &str = "public, max-age=604800, immutable";

struct Got {
    status: u16,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn unpacked(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(&self.body[..]).read_to_end(&mut bytes).unwrap();
        bytes
    }
}

/// Asks as a client that does nothing by itself.
async fn ask(sealog: &Sealog, method: &str, service: &str, path: &str, accepted: Option<&str>) -> Got {
    let client = reqwest::Client::builder().no_proxy().no_gzip().build().unwrap();
    let method = method.parse::<http::Method>().unwrap();
    let mut request = client.request(method, format!("{}{path}", sealog.url(service)));
    if let Some(accepted) = accepted {
        request = request.header("accept-encoding", accepted);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Got { status, headers, body: response.bytes().await.unwrap().to_vec() }
}

fn fingerprint(certificate: &Certificate) -> String {
    HashAlgorithm::Sha256.digest(certificate.der()).to_string()["sha256:".len()..].to_owned()
}

/// So many entries.
async fn fill(sealog: &Sealog, count: u32) {
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let adding = (0..count).map(|n| {
        let message = n.to_be_bytes();
        let request = HashedRekordRequest {
            digest: sha256(&message).to_vec(),
            signature: key.sign(&message).unwrap(),
            verifier: Verifier::PublicKey(key.public_key().spki_der().to_vec()),
            key_details: KeyDetails::EcdsaP256Sha256,
        };
        sealog.post("rekor", "/api/v2/log/entries", request.to_json())
    });
    for added in adding {
        assert_eq!(added.await.status, 201);
    }
}

#[tokio::test]
async fn a_partial_is_served_also_when_it_has_grown() {
    let sealog = Sealog::start().await;
    fill(&sealog, 299).await;
    let size = |got: &Got| got.body.len();
    let full = ask(&sealog, "GET", "rekor", "/tile/0/000", None).await;
    assert_eq!((full.status, size(&full)), (200, 8192));
    let bundle = ask(&sealog, "GET", "rekor", "/tile/entries/000", None).await;
    for prefix in ["", "/api/v2"] {
        for width in [1, 17, 255] {
            let tile = ask(&sealog, "GET", "rekor", &format!("{prefix}/tile/0/000.p/{width}"), None).await;
            assert_eq!((tile.status, &tile.body[..]), (200, &full.body[..32 * width]));
            assert_eq!(tile.header("cache-control"), IMMUTABLE);
            let path = format!("{prefix}/tile/entries/000.p/{width}");
            let part = ask(&sealog, "GET", "rekor", &path, None).await;
            assert_eq!(part.status, 200);
            assert!(bundle.body.starts_with(&part.body) && part.body.len() < bundle.body.len());
        }
        for (path, length) in [("/tile/0/001.p/44", 44 * 32), ("/tile/1/000.p/1", 32)] {
            let tile = ask(&sealog, "GET", "rekor", &format!("{prefix}{path}"), None).await;
            assert_eq!((tile.status, size(&tile)), (200, length));
        }
        // Never empty, never wider than it is, never spelled otherwise.
        for path in [
            "/tile/0/000.p/0",
            "/tile/0/000.p/256",
            "/tile/0/000.p/257",
            "/tile/0/000.p/01",
            "/tile/0/000.p/+1",
            "/tile/0/000.p/-1",
            "/tile/0/000.p/",
            "/tile/0/000.p",
            "/tile/0/000/",
            "/tile/0/0",
            "/tile/0/00",
            "/tile/0/0000",
            "/tile/0/x000/000",
            "/tile/0/X001/000",
            "/tile/00/000",
            "/tile/+0/000",
            "/tile/-1/000",
            "/tile/0/001",
            "/tile/0/001.p/45",
            "/tile/0/002.p/1",
            "/tile/1/000",
            "/tile/1/000.p/2",
            "/tile/2/000.p/1",
            "/tile/63/000.p/1",
            "/tile/64/000",
            "/tile/data/000",
            "/tile/entries/001",
            "/tile/entries/001.p/45",
            "/tile/entries/entries/000",
            "/tile/%30/000",
            "/tile/0/%30%30%30",
            "/tile%2f0%2f000",
            "/tile/0/000%2ep/1",
            "/tile/0/..%2f..%2fcheckpoint",
            "/tile//0/000",
            "/tile/",
            "/tile",
            "/issuer/00",
            "/checkpoint/",
            "/checkpoint%20",
            "/.checkpoint.tmp",
            "/wal/",
            "/format",
        ] {
            let got = ask(&sealog, "GET", "rekor", &format!("{prefix}{path}"), None).await;
            assert_eq!((got.status, got.header("content-type")), (404, "application/json"), "{prefix}{path}");
            // A cache that keeps it would hide what comes in a moment.
            assert_ne!(got.header("cache-control"), IMMUTABLE);
            if path.starts_with("/tile/") && path.len() > "/tile/".len() {
                assert_eq!(got.header("cache-control"), "no-store", "{path}");
            }
        }
    }
    // A question behind the path changes nothing.
    assert_eq!(ask(&sealog, "GET", "rekor", "/tile/0/000?x=y", None).await.body, full.body);
}

#[tokio::test]
async fn bundles_are_compressed_for_those_who_ask_and_nothing_else_is() {
    let sealog = Sealog::start().await;
    fill(&sealog, 299).await;
    let plain = ask(&sealog, "GET", "rekor", "/tile/entries/000", None).await;
    assert_eq!((plain.header("content-encoding"), plain.header("vary")), ("", "accept-encoding"));
    assert_eq!(plain.header("content-length"), plain.body.len().to_string());
    let packed = ask(&sealog, "GET", "rekor", "/tile/entries/000", Some("gzip, identity")).await;
    assert_eq!((packed.status, packed.header("content-encoding")), (200, "gzip"));
    assert_eq!((packed.header("vary"), packed.header("cache-control")), ("accept-encoding", IMMUTABLE));
    assert_eq!(packed.header("content-type"), "application/octet-stream");
    assert_eq!(packed.header("content-length"), packed.body.len().to_string());
    assert_eq!(packed.unpacked(), plain.body);
    assert!(packed.body.len() * 10 < plain.body.len() * 9, "{} of {}", packed.body.len(), plain.body.len());
    // Kept, and the same at the other prefix.
    for path in ["/tile/entries/000", "/api/v2/tile/entries/000"] {
        let again = ask(&sealog, "GET", "rekor", path, Some("br, GZIP;q=0.5")).await;
        assert_eq!((again.header("content-encoding"), &again.body), ("gzip", &packed.body));
    }
    for accepted in ["identity", "br", "*", "gzip;q=0", "deflate"] {
        let got = ask(&sealog, "GET", "rekor", "/tile/entries/000", Some(accepted)).await;
        assert_eq!((got.header("content-encoding"), &got.body), ("", &plain.body), "{accepted}");
    }
    // Hashes, checkpoints and what is missing.
    for (path, status) in [
        ("/tile/0/000", 200),
        ("/checkpoint", 200),
        ("/tile/entries/000.p/1", 200),
        ("/tile/entries/001", 404),
    ] {
        let got = ask(&sealog, "GET", "rekor", path, Some("gzip")).await;
        assert_eq!((got.status, got.header("content-encoding")), (status, ""), "{path}");
    }
    // At once, many ask for many: whatever form each comes in, it is the same bundle.
    let asking = (1..=255).map(|width| {
        let path = format!("/tile/entries/000.p/{width}");
        let sealog = &sealog;
        async move { (width, ask(sealog, "GET", "rekor", &path, Some("gzip")).await) }
    });
    for asked in asking {
        let (width, got) = asked.await;
        let bytes = if got.header("content-encoding") == "gzip" { got.unpacked() } else { got.body };
        assert!(plain.body.starts_with(&bytes) && !bytes.is_empty(), "{width}");
    }
}

#[tokio::test]
async fn heads_are_those_of_the_bodies_and_other_methods_are_not_taken() {
    let sealog = Sealog::start().await;
    fill(&sealog, 20).await;
    for (service, path, accepted) in [
        ("rekor", "/checkpoint", None),
        ("rekor", "/api/v2/checkpoint", None),
        ("rekor", "/tile/0/000.p/21", None),
        ("rekor", "/tile/entries/000.p/21", None),
        ("rekor", "/tile/entries/000.p/21", Some("gzip")),
        ("rekor", "/tile/0/000", None),
        ("ctlog", "/checkpoint", None),
    ] {
        let got = ask(&sealog, "GET", service, path, accepted).await;
        let head = ask(&sealog, "HEAD", service, path, accepted).await;
        assert_eq!((head.status, head.body.len()), (got.status, 0), "{path}");
        let names = ["content-type", "content-length", "cache-control", "vary", "content-encoding"];
        for name in names.into_iter().chain(["access-control-allow-origin"]) {
            assert_eq!(head.header(name), got.header(name), "{name} of {path}");
        }
        assert_eq!(got.header("access-control-allow-origin"), "*");
        assert_eq!(got.header("content-length"), got.body.len().to_string());
        for method in ["POST", "PUT", "DELETE", "PATCH"] {
            let got = ask(&sealog, method, service, path, None).await;
            assert_eq!((got.status, got.header("allow")), (405, "GET,HEAD"), "{method} {path}");
        }
    }
    let checkpoint = ask(&sealog, "GET", "ctlog", "/checkpoint", Some("gzip")).await;
    assert_eq!(checkpoint.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!((checkpoint.header("cache-control"), checkpoint.header("content-encoding")), ("no-cache", ""));
}

#[tokio::test]
async fn data_tiles_and_issuers_are_what_static_ct_says() {
    let sealog = Sealog::start().await;
    let authority = Authority::of(&sealog);
    let precert = authority.precert();
    let full: Vec<&Certificate> = std::iter::once(precert.certificate()).chain(&authority.chain).collect();
    let answer = sealog.post("ctlog", "/ct/v1/add-pre-chain", body(&full)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let data = ask(&sealog, "GET", "ctlog", "/tile/data/000.p/1", None).await;
    assert_eq!((data.status, data.header("content-type")), (200, "application/octet-stream"));
    assert_eq!((data.header("cache-control"), data.header("vary")), (IMMUTABLE, "accept-encoding"));
    let packed = ask(&sealog, "GET", "ctlog", "/tile/data/000.p/1", Some("gzip")).await;
    assert_eq!((packed.header("content-encoding"), packed.unpacked()), ("gzip", data.body));
    let root = authority.chain.last().unwrap();
    let fingerprint = fingerprint(root);
    let issuer = ask(&sealog, "GET", "ctlog", &format!("/issuer/{fingerprint}"), Some("gzip")).await;
    assert_eq!((issuer.status, &issuer.body[..]), (200, root.der()));
    assert_eq!(issuer.header("content-type"), "application/pkix-cert");
    assert_eq!((issuer.header("cache-control"), issuer.header("content-encoding")), (IMMUTABLE, ""));
    let unknown = self::fingerprint(&Authority::stranger().chain[0]);
    for path in [
        format!("/issuer/{unknown}"),
        format!("/issuer/{}", fingerprint.to_uppercase()),
        format!("/issuer/{fingerprint}/"),
        format!("/issuer/{}", &fingerprint[1..]),
        "/issuer/..%2fcheckpoint".to_owned(),
        "/issuer/".to_owned(),
        "/tile/entries/000.p/1".to_owned(),
        "/tile/6/000.p/1".to_owned(),
        "/api/v2/checkpoint".to_owned(),
    ] {
        assert_eq!(ask(&sealog, "GET", "ctlog", &path, None).await.status, 404, "{path}");
    }
}
