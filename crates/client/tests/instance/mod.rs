//! A small Sigstore in memory, honest unless told to lie: what a signer's client meets on the wire.

use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use sealog_bundle::{
    CertificateAuthority, HashedRekord, InclusionProof, KeyDetails, TransparencyLog, TransparencyLogEntry,
    TrustedRoot, UnixTime, ValidFor, Verifier, log_entry::KindVersion,
};
use sealog_client::{clock, http::parse_url, oidc::IdentityToken, trust::Services};
use sealog_crypto::{Digest, HashAlgorithm, KeyKind, PrivateKey, PublicKey, Signer, random_array};
use sealog_pki::{
    Certificate, Csr, ExtensionValues, LeafProfile, San, Serial,
    issue::{self, AuthorityProfile, Below},
    sct::submitted_entry,
    timestamp::{POLICY, TimeStampReq, TsaIdentity, respond},
};
use sealog_tlog::{
    Checkpoint, SignedNote,
    ct::{Sct, SctList, leaf_index_extension, log_id},
    merkle::{Edge, leaf_hash, prove_inclusion},
    note::{KeySigner, key_id_full},
};
use std::sync::{Arc, LazyLock, Mutex};

pub(crate) const OIDC_ISSUER: &str = "https://accounts.example.org";
pub(crate) const EMAIL: &str = "ann@example.org";

/// What is wrong with the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    Nothing,
    RefusedToken,
    CertificateForOtherKey,
    CertificateForOtherName,
    CertificateWithOtherIssuer,
    CertificateWithOtherSubject,
    CertificateOfOtherAuthority,
    SctOfOtherLog,
    SctDamaged,
    TimestampOfOtherAuthority,
    TimestampOfOtherMessage,
    TimestampWithOtherNonce,
    TimestampFromThePast,
    EntryOfOtherLog,
    EntryOfOtherSignature,
    EntryWithDamagedProof,
    EntryThatIsNone,
}

struct Authority {
    key: PrivateKey,
    chain: Vec<Certificate>,
}

struct Shared {
    lie: Lie,
    ca: Authority,
    other_ca: Authority,
    ct: PrivateKey,
    other_ct: PrivateKey,
    tsa: Authority,
    other_tsa: Authority,
    rekor: Arc<dyn Signer>,
    other_rekor: Arc<dyn Signer>,
    edge: Mutex<Edge>,
    certificates: Mutex<Vec<Vec<u8>>>,
}

pub(crate) struct Instance {
    pub(crate) root: TrustedRoot,
    pub(crate) services: Services,
    state: Arc<Shared>,
}

fn key(kind: KeyKind) -> PrivateKey {
    PrivateKey::generate(kind).unwrap()
}

fn profile(common_name: &str) -> AuthorityProfile<'_> {
    // One moment for all: a certificate that begins a second before its issuer's does, or ends after it, is not issued.
    static BEGINNING: LazyLock<i64> = LazyLock::new(clock::unix_seconds);
    let now = *BEGINNING;
    AuthorityProfile {
        organization: "test",
        common_name,
        serial: Serial::from_random(random_array().unwrap()),
        not_before: now - 86_400,
        not_after: now + 86_400,
    }
}

fn authority(below: Below) -> Authority {
    let top = key(KeyKind::EcdsaP384);
    let root = issue::self_signed_root(&profile("root"), &top).unwrap();
    let middle = key(KeyKind::EcdsaP256);
    let intermediate =
        issue::intermediate(&profile("middle"), below, middle.public_key(), &root, &top).unwrap();
    match below {
        Below::CodeSigning => Authority { key: middle, chain: vec![intermediate, root] },
        Below::TimeStamping => {
            let leaf_key = key(KeyKind::EcdsaP256);
            let leaf =
                issue::tsa_leaf(&profile("clock"), leaf_key.public_key(), &intermediate, &middle).unwrap();
            Authority { key: leaf_key, chain: vec![leaf, intermediate, root] }
        }
    }
}

impl Instance {
    pub(crate) async fn start(lie: Lie) -> Self {
        let state = Arc::new(Shared {
            lie,
            ca: authority(Below::CodeSigning),
            other_ca: authority(Below::CodeSigning),
            ct: key(KeyKind::EcdsaP256),
            other_ct: key(KeyKind::EcdsaP256),
            tsa: authority(Below::TimeStamping),
            other_tsa: authority(Below::TimeStamping),
            rekor: Arc::new(key(KeyKind::Ed25519)),
            other_rekor: Arc::new(key(KeyKind::Ed25519)),
            edge: Mutex::new(Edge::new()),
            certificates: Mutex::default(),
        });
        let router = Router::new()
            .route("/api/v2/signingCert", post(signing_cert))
            .route("/api/v1/timestamp", post(timestamp))
            .route("/api/v2/log/entries", post(entries))
            .with_state(state.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}", listener.local_addr().unwrap().port());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let at = |path: &str| parse_url(&format!("{url}{path}")).unwrap();
        let services = Services {
            ca: at(""),
            oidc: Some(url.clone()),
            rekor: vec![at("")],
            tsa: vec![at("/api/v1/timestamp")],
        };
        Self { root: trusted_root(&state, &url), services, state }
    }

    /// The certificates issued so far, in DER.
    pub(crate) fn certificates(&self) -> Vec<Vec<u8>> {
        self.state.certificates.lock().unwrap().clone()
    }
}

fn trusted_root(state: &Shared, url: &str) -> TrustedRoot {
    let valid_for = ValidFor::from(UnixTime::from_seconds(clock::unix_seconds() - 3600));
    let log = |key: &PublicKey, log_id: &[u8]| TransparencyLog {
        base_url: url.to_owned(),
        hash_algorithm: HashAlgorithm::Sha256,
        public_key: key.spki_der().to_vec(),
        key_details: KeyDetails::for_log_key(key).unwrap(),
        valid_for,
        log_id: log_id.to_vec(),
        checkpoint_key_id: vec![],
        operator: String::new(),
    };
    let authority = |authority: &Authority| CertificateAuthority {
        organization: "test".to_owned(),
        common_name: "test".to_owned(),
        uri: url.to_owned(),
        cert_chain: authority.chain.iter().map(|c| c.der().to_vec()).collect(),
        valid_for,
        operator: String::new(),
    };
    let rekor = state.rekor.public_key();
    TrustedRoot {
        tlogs: vec![log(rekor, &key_id_full("localhost", rekor).unwrap())],
        certificate_authorities: vec![authority(&state.ca)],
        ctlogs: vec![log(state.ct.public_key(), &log_id(state.ct.public_key()))],
        timestamp_authorities: vec![authority(&state.tsa)],
    }
}

/// A token only these services take.
pub(crate) fn token() -> IdentityToken {
    let claims = serde_json::json!({
        "iss": OIDC_ISSUER, "sub": "opaque-subject", "aud": "sigstore", "email": EMAIL, "email_verified": true,
        "exp": clock::unix_seconds() + 600,
    });
    let text = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
    IdentityToken::parse(&text).unwrap()
}

type Answer = Result<(StatusCode, Json<serde_json::Value>), (StatusCode, Json<serde_json::Value>)>;

async fn signing_cert(
    State(state): State<Arc<Shared>>,
    headers: HeaderMap,
    Json(body): Json<serde_json::Value>,
) -> Answer {
    assert!(headers["authorization"].to_str().unwrap().starts_with("Bearer e30."));
    if state.lie == Lie::RefusedToken {
        let words = "There was an error processing the identity token";
        return Err((
            StatusCode::BAD_REQUEST,
            Json(serde_json::json!({"code": 3, "message": words, "details": []})),
        ));
    }
    let pem = STANDARD.decode(body["certificateSigningRequest"].as_str().unwrap()).unwrap();
    let csr = Csr::from_pem(std::str::from_utf8(&pem).unwrap()).unwrap();
    csr.verify_self_signature().unwrap();
    let other_key = key(KeyKind::EcdsaP256);
    let public_key =
        if state.lie == Lie::CertificateForOtherKey { other_key.public_key() } else { csr.public_key() };
    let name = if state.lie == Lie::CertificateForOtherName { "eve@example.org" } else { EMAIL };
    let mut extensions = ExtensionValues::new();
    extensions.set_oidc_issuer(match state.lie {
        Lie::CertificateWithOtherIssuer => "https://eve.example.org",
        _ => OIDC_ISSUER,
    });
    let subject =
        if state.lie == Lie::CertificateWithOtherSubject { "other-subject" } else { "opaque-subject" };
    extensions.set("token-subject", subject).unwrap();
    let now = clock::unix_seconds();
    let ca = if state.lie == Lie::CertificateOfOtherAuthority { &state.other_ca } else { &state.ca };
    let precert = issue::precertificate(
        &LeafProfile {
            serial: Serial::from_random(random_array().unwrap()),
            not_before: now - 1,
            not_after: now + 600,
            public_key,
            san: &San::Email(name.to_owned()),
            extensions: &extensions,
        },
        &ca.chain[0],
        &ca.key,
    )
    .unwrap();
    let path = sealog_pki::verify_chain(
        precert.certificate(),
        &ca.chain,
        &ca.chain[1..],
        now,
        sealog_pki::Purpose::Precertificate,
    )
    .unwrap();
    let log = if state.lie == Lie::SctOfOtherLog { &state.other_ct } else { &state.ct };
    let millis = u64::try_from(clock::unix_millis()).unwrap();
    let mut sct =
        Sct::sign(millis, &submitted_entry(&path).unwrap(), leaf_index_extension(7).unwrap(), log).unwrap();
    if state.lie == Lie::SctDamaged {
        sct.timestamp_ms += 1;
    }
    let leaf = issue::finish(&precert, &SctList(vec![sct]), &ca.chain[0], &ca.key).unwrap();
    state.certificates.lock().unwrap().push(leaf.der().to_vec());
    let chain: Vec<String> =
        [&leaf, &ca.chain[0], &ca.chain[1]].map(|c| c.to_pem().trim().to_owned()).to_vec();
    Ok((
        StatusCode::OK,
        Json(serde_json::json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}})),
    ))
}

async fn timestamp(State(state): State<Arc<Shared>>, body: Bytes) -> Vec<u8> {
    let mut request = TimeStampReq::parse(&body).unwrap();
    match state.lie {
        Lie::TimestampOfOtherMessage => {
            let mut other = TimeStampReq::new(HashAlgorithm::Sha256.digest(b"other"));
            other.nonce = request.nonce;
            request = other;
        }
        Lie::TimestampWithOtherNonce => request.nonce = Some(vec![1]),
        _ => {}
    }
    let tsa = if state.lie == Lie::TimestampOfOtherAuthority { &state.other_tsa } else { &state.tsa };
    let past = if state.lie == Lie::TimestampFromThePast { 600 } else { 0 };
    let serial: [u8; 8] = random_array().unwrap();
    let identity = TsaIdentity { signer: &tsa.key, chain: &tsa.chain };
    respond(&request, &identity, clock::unix_seconds() - past, &serial, &POLICY).unwrap()
}

async fn entries(State(state): State<Arc<Shared>>, Json(body): Json<serde_json::Value>) -> Answer {
    let request = &body["hashedRekordRequestV002"];
    let bytes = |value: &serde_json::Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
    let verifier = &request["signature"]["verifier"];
    let mut signature = bytes(&request["signature"]["content"]);
    if state.lie == Lie::EntryOfOtherSignature {
        *signature.last_mut().unwrap() ^= 1;
    }
    let body = HashedRekord {
        digest: Digest::new(HashAlgorithm::Sha256, &bytes(&request["digest"])).unwrap(),
        signature,
        verifier: Verifier::Certificate(bytes(&verifier["x509Certificate"]["rawBytes"])),
        key_details: KeyDetails::from_name(verifier["keyDetails"].as_str().unwrap()).unwrap(),
    }
    .canonical();
    if state.lie == Lie::EntryThatIsNone {
        return Ok((StatusCode::CREATED, Json(serde_json::json!({"logIndex": "x"}))));
    }
    let mut edge = state.edge.lock().unwrap();
    // Not the first, so that there is a proof to damage.
    edge.push(leaf_hash(b"seed"));
    let index = edge.size();
    edge.push(leaf_hash(&body));
    let proof = prove_inclusion(index, edge.size(), &*edge).unwrap();
    let checkpoint = Checkpoint {
        origin: "localhost".to_owned(),
        size: edge.size(),
        root: edge.root(),
        extensions: vec![],
    };
    let key = if state.lie == Lie::EntryOfOtherLog { &state.other_rekor } else { &state.rekor };
    let mut note = SignedNote::new(checkpoint.encode());
    note.sign(&KeySigner::for_log("localhost", key.clone()).unwrap(), 0).unwrap();
    let mut hashes: Vec<[u8; 32]> = proof.hashes.iter().map(|h| h.0).collect();
    if state.lie == Lie::EntryWithDamagedProof {
        hashes[0][0] ^= 1;
    }
    let entry = TransparencyLogEntry {
        log_index: index,
        log_id: key_id_full("localhost", key.public_key()).unwrap().to_vec(),
        kind_version: KindVersion::hashedrekord_v002(),
        integrated_time: 0,
        inclusion_promise: None,
        inclusion_proof: Some(InclusionProof {
            log_index: index,
            root_hash: edge.root().0,
            tree_size: edge.size(),
            hashes,
            checkpoint: note.encode(),
        }),
        canonicalized_body: body,
    };
    Ok((StatusCode::CREATED, Json(serde_json::from_str(&entry.to_json()).unwrap())))
}
