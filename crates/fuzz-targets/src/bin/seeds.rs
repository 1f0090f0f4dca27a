//! Makes the fixed world under `fuzz/good/` and the first inputs of every corpus, with new keys each time.
//!
//! `cargo run -p sealog-fuzz-targets --bin seeds -- fuzz` from the project's root. The inputs in the corpora
//! that stem from an older world go on being replayed, but no longer reach as deep: grow them again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a tool that is run by hand")]

#[path = "../../../verify/tests/sigstore/mod.rs"]
mod sigstore;

use sealog_bundle::{
    Bundle, HashedRekord, KeyDetails, KeyMaterial, KindVersion, Verifier, Version, json::encode_base64,
};
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, PublicKey, Signer, sha256};
use sealog_fuzz_targets::{
    evidence::MESSAGE,
    good::{FILES, NOW},
};
use sealog_pki::{
    Certificate,
    timestamp::{POLICY, TimeStampReq, TsaIdentity, respond},
};
use sealog_tlog::{
    Checkpoint, SignedNote,
    merkle::leaf_hash,
    note::{KeySigner, KeyType},
};
use sigstore::{
    Person, Signed, Sigstore, Thing, content, key, listed_log, signature_of, stamp_by, tsa_below,
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The name of the Rekor v1 log.
const V1: &str = "rekor.example";

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "fuzz".into()));
    let mut maker = Maker::new(folder);
    maker.bundles();
    maker.documents();
    maker.timestamps();
    maker.certificates();
    maker.checkpoints();
    maker.keys();
}

struct Maker {
    folder: PathBuf,
    /// With a Rekor v2 log, and with a Rekor v1 log.
    v2: Sigstore,
    v1: Sigstore,
    bundles: Vec<(&'static str, Bundle)>,
}

fn v1_world() -> Sigstore {
    let mut world = Sigstore::new();
    let log_key: Arc<PrivateKey> = Arc::new(key(KeyKind::EcdsaP256));
    let id = sha256(log_key.public_key().spki_der()).to_vec();
    world.root.tlogs = vec![listed_log(&format!("https://{V1}"), log_key.public_key(), id)];
    world.log_key = log_key;
    world
}

/// The entry of a Rekor v1 log for a bundle.
fn v1_body(kind: &str, signed: &Signed) -> (KindVersion, String) {
    let certificate = Certificate::from_der(signed.bundle.material.key.leaf().unwrap()).unwrap();
    let hash = |bytes: &[u8]| {
        let value = hex(HashAlgorithm::Sha256.digest(bytes).as_bytes());
        format!(r#"{{"algorithm":"sha256","value":"{value}"}}"#)
    };
    let pem = encode_base64(certificate.to_pem().as_bytes());
    let sig = encode_base64(signature_of(&signed.bundle.content));
    let payload = match &signed.bundle.content {
        sealog_bundle::Content::Envelope(envelope) => envelope.payload.clone(),
        sealog_bundle::Content::Message(_) => signed.file.clone(),
    };
    let (version, spec) = match kind {
        "hashedrekord" => (
            "0.0.1",
            format!(
                r#"{{"data":{{"hash":{}}},"signature":{{"content":"{sig}","publicKey":{{"content":"{pem}"}}}}}}"#,
                hash(&payload)
            ),
        ),
        "dsse" => (
            "0.0.1",
            format!(
                r#"{{"envelopeHash":{},"payloadHash":{},"signatures":[{{"signature":"{sig}","verifier":"{pem}"}}]}}"#,
                hash(b"envelope"),
                hash(&payload)
            ),
        ),
        _ => (
            "0.0.2",
            format!(
                r#"{{"content":{{"envelope":{{"payloadType":"application/vnd.in-toto+json","signatures":[{{"publicKey":"{pem}","sig":"{}"}}]}},"hash":{},"payloadHash":{}}}}}"#,
                encode_base64(sig.as_bytes()),
                hash(b"envelope"),
                hash(&payload)
            ),
        ),
    };
    let body = format!(r#"{{"apiVersion":"{version}","kind":"{kind}","spec":{spec}}}"#);
    (KindVersion { kind: kind.into(), version: version.into() }, body)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Puts a bundle's entry into a Rekor v1 log instead, with a promise of this time.
fn in_v1(world: &mut Sigstore, signed: &mut Signed, kind: &str, at: i64) {
    let (kind_version, body) = v1_body(kind, signed);
    let index = world.log(body.as_bytes());
    let mut entry = world.entry(body.into_bytes(), index);
    entry.kind_version = kind_version;
    entry.log_index = 1000 + index;
    entry.integrated_time = at;
    entry.inclusion_proof.as_mut().unwrap().checkpoint = world.checkpoint(V1);
    let promised = format!(
        r#"{{"body":"{}","integratedTime":{at},"logID":"{}","logIndex":{}}}"#,
        encode_base64(&entry.canonicalized_body),
        hex(&entry.log_id),
        entry.log_index,
    );
    entry.inclusion_promise = Some(world.log_key.sign(promised.as_bytes()).unwrap());
    signed.bundle.material.log_entries = vec![entry];
}

impl Maker {
    fn new(folder: PathBuf) -> Self {
        Self { folder, v2: Sigstore::new(), v1: v1_world(), bundles: Vec::new() }
    }

    fn write(&self, place: &str, bytes: &[u8]) {
        let path = self.folder.join(place);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn seed(&self, target: &str, name: &str, bytes: &[u8]) {
        self.write(&format!("corpus/{target}/seed-{name}"), bytes);
    }

    fn bundles(&mut self) {
        let alice = Person::new("alice@example.com", KeyKind::EcdsaP256);
        let mallory = Person::new("mallory@example.com", KeyKind::EcdsaP256);
        let bob = Person::new("https://bob.example.com/build", KeyKind::EcdsaP384);
        let second_tsa = tsa_below(&self.v2.tsa_root);
        let (file, other) = (Thing::File(FILES[0]), Thing::File(FILES[1]));
        let v2 = &mut self.v2;
        self.bundles.push(("v2", v2.sign(&alice, file).bundle));

        let mut twice = v2.sign(&alice, file).bundle;
        let body = twice.material.log_entries[0].canonicalized_body.clone();
        let index = v2.log(&body);
        twice.material.log_entries.push(v2.entry(body, index));
        let signature = signature_of(&twice.content).to_vec();
        twice.material.timestamps.push(stamp_by(&self.v1.tsa, &signature, NOW + 30));
        self.bundles.push(("v2-twice", twice));

        self.bundles.push(("v2-statement", v2.sign(&alice, Thing::StatementAbout(FILES[0])).bundle));
        self.bundles.push(("v2-other-file", v2.sign(&alice, other).bundle));
        self.bundles.push(("v2-other-person", v2.sign(&mallory, file).bundle));
        let mut chain = v2.sign(&bob, file).bundle;
        chain.version = Version::V02;
        let leaf = chain.material.key.leaf().unwrap().to_vec();
        chain.material.key = KeyMaterial::Chain(vec![leaf, v2.ca.certificate.der().to_vec()]);
        self.bundles.push(("v2-p384-chain", chain));
        let with_key = with_key(v2);
        self.write("good/key.pem", with_key.1.to_pem().as_bytes());
        self.bundles.push(("v2-key", with_key.0));

        let v1 = &mut self.v1;
        let statement = Thing::StatementAbout(FILES[0]);
        for (name, kind, thing) in [
            ("v1-promise", "hashedrekord", file),
            ("v1-timestamp", "hashedrekord", file),
            ("v1-dsse", "dsse", statement),
            ("v1-intoto", "intoto", statement),
            ("v1-chain", "hashedrekord", file),
        ] {
            let mut signed = v1.sign(&alice, thing);
            in_v1(v1, &mut signed, kind, NOW + 5);
            let material = &mut signed.bundle.material;
            match name {
                "v1-chain" => {
                    signed.bundle.version = Version::V01;
                    let leaf = material.key.leaf().unwrap().to_vec();
                    material.key = KeyMaterial::Chain(vec![leaf, v1.ca.certificate.der().to_vec()]);
                    material.timestamps.clear();
                }
                "v1-timestamp" => {}
                _ => material.timestamps.clear(),
            }
            self.bundles.push((name, signed.bundle));
        }

        let mut late = self.v2.sign(&alice, file).bundle;
        let signature = signature_of(&late.content).to_vec();
        late.material.timestamps = vec![stamp_by(&second_tsa, &signature, NOW + 3000)];
        late.material.timestamps.push(self.v2.stamp(&signature, NOW + 3000));
        self.bundles.push(("bad-late", late));
        let mut stranger = Sigstore::new();
        let mut authority = self.v2.sign(&alice, file);
        let certificate = stranger.certificate(&alice, NOW - 60);
        authority.bundle = self.v2.sign_with(&alice, &certificate, file).bundle;
        self.bundles.push(("bad-authority", authority.bundle));
        let mut log = self.v2.sign(&alice, file).bundle;
        let body = log.material.log_entries[0].canonicalized_body.clone();
        let index = stranger.log(&body);
        log.material.log_entries = vec![stranger.entry(body, index)];
        self.bundles.push(("bad-log", log));
        let mut of_other = self.v2.sign(&alice, file).bundle;
        of_other.material.timestamps = vec![self.v2.stamp(b"another signature", NOW)];
        self.bundles.push(("bad-timestamp-of-other", of_other));
    }

    fn documents(&self) {
        let mut root = self.v2.root.clone();
        root.tlogs.extend(self.v1.root.tlogs.clone());
        root.certificate_authorities.extend(self.v1.root.certificate_authorities.clone());
        root.ctlogs.extend(self.v1.root.ctlogs.clone());
        root.timestamp_authorities.extend(self.v1.root.timestamp_authorities.clone());
        self.write("good/root.json", root.to_json().as_bytes());
        self.seed("trusted_root", "whole", root.to_json().as_bytes());
        self.seed("trusted_root", "v1", self.v1.root.to_json().as_bytes());
        self.seed("json", "root", root.to_json().as_bytes());
        for (at, (name, bundle)) in self.bundles.iter().enumerate() {
            let document = bundle.to_json();
            self.write(&format!("good/{name}.json"), document.as_bytes());
            self.seed("bundle", name, document.as_bytes());
            self.seed("json", name, document.as_bytes());
            self.seed("verify", &format!("document-{name}"), document.as_bytes());
            let at = u8::try_from(at).unwrap();
            self.seed("verify", &format!("asked-{name}"), &[at, 8, 0, 0]);
            for how in 0..8 {
                self.seed("verify", &format!("edit-{how}-{name}"), &[at, how, 0, 0, how, 1, 2, 3, 4]);
            }
            for (number, entry) in bundle.material.log_entries.iter().enumerate() {
                self.seed("entry_body", &format!("{name}-{number}"), &entry.canonicalized_body);
                self.seed("bundle", &format!("answer-{name}-{number}"), entry.to_json().as_bytes());
            }
            if let sealog_bundle::Content::Envelope(envelope) = &bundle.content {
                self.seed("statement", name, &envelope.payload);
            }
        }
        let unknown = br#"{"apiVersion":"0.0.1","kind":"rpm","spec":{"any":[1,2.5,null]}}"#;
        self.seed("entry_body", "unknown", unknown);
        let many = br#"{"_type":"https://in-toto.io/Statement/v0.1","subject":[{"name":"a","digest":{"sha256":"00","sha512":"11","gitCommit":"22"}},{"digest":{"SHA256":"ab"}}],"predicateType":"p","predicate":{"x":[1e3,-0,{}]}}"#;
        self.seed("statement", "many", many);
        self.seed("json", "all", br#"{"a":[null,true,false,0,-1,1.5e-7,18446744073709551615,123456789012345678901234567890,"\u00e9\ud83d\ude00\n"],"b":{}}"#);
    }

    fn timestamps(&self) {
        for (name, bundle) in &self.bundles {
            for (at, token) in bundle.material.timestamps.iter().enumerate() {
                self.seed("timestamp", &format!("{name}-{at}"), token);
            }
        }
        let tsa = &self.v2.tsa;
        for (name, algorithm) in [("sha384", HashAlgorithm::Sha384), ("sha512", HashAlgorithm::Sha512)] {
            let request = TimeStampReq::new(algorithm.digest(b"another"));
            let identity = TsaIdentity { signer: &tsa.key, chain: std::slice::from_ref(&tsa.certificate) };
            self.seed("timestamp", name, &respond(&request, &identity, NOW, &[1], &POLICY).unwrap());
        }
    }

    fn certificates(&self) {
        for (name, bundle) in &self.bundles {
            let Some(leaf) = bundle.material.key.leaf() else { continue };
            self.seed("certificate", name, leaf);
        }
        for (name, holder) in
            [("root", &self.v2.ca_root), ("intermediate", &self.v2.ca), ("tsa", &self.v2.tsa)]
        {
            self.seed("certificate", name, holder.certificate.der());
            self.seed("certificate", &format!("{name}-pem"), holder.certificate.to_pem().as_bytes());
            for (what, constraints) in constraints() {
                let constrained = with_extension(holder.certificate.der(), &constraints);
                self.seed("certificate", &format!("{name}-{what}"), &constrained);
            }
        }
        // By an authority nobody trusts: what the world's own issued stands in its bundles, and nowhere else.
        let stranger = Sigstore::new();
        let alice = Person::new("alice@example.com", KeyKind::Ed25519);
        let precertificate = stranger.precertificate(&alice, NOW);
        self.seed("certificate", "precertificate", precertificate.certificate().der());
        self.seed("certificate", "tbs", &precertificate.tbs_for_ct());
        let scts = (0..3).map(|at| stranger.sct(&precertificate, NOW + at)).collect();
        self.seed("certificate", "three-scts", stranger.finish(&precertificate, scts).der());
    }

    fn checkpoints(&self) {
        for (name, bundle) in &self.bundles {
            for (at, entry) in bundle.material.log_entries.iter().enumerate() {
                let text = &entry.inclusion_proof.as_ref().unwrap().checkpoint;
                self.seed("checkpoint", &format!("{name}-{at}"), text.as_bytes());
            }
        }
        let root = leaf_hash(b"leaf");
        let checkpoint =
            Checkpoint { origin: "o.example/log".into(), size: 1, root, extensions: vec!["more".into()] };
        for (name, kind, key_type) in [
            ("ed25519", KeyKind::Ed25519, KeyType::Ed25519),
            ("cosignature", KeyKind::Ed25519, KeyType::Cosignature),
            ("ecdsa", KeyKind::EcdsaP256, KeyType::Ecdsa),
            ("tree-head", KeyKind::EcdsaP256, KeyType::TreeHead),
        ] {
            let signer = KeySigner::new("o.example/log", key_type, Arc::new(key(kind))).unwrap();
            let mut plain = checkpoint.clone();
            if key_type == KeyType::TreeHead {
                plain.extensions.clear();
            }
            let mut note = SignedNote::new(plain.encode());
            note.sign(&signer, 1_800_000_000_000).unwrap();
            let with_key = format!("{}\n{}", signer.verifier().to_vkey().unwrap(), note.encode());
            self.seed("checkpoint", name, with_key.as_bytes());
        }
    }

    fn keys(&self) {
        for (name, kind) in [
            ("p256", KeyKind::EcdsaP256),
            ("p384", KeyKind::EcdsaP384),
            ("ed25519", KeyKind::Ed25519),
            ("rsa2048", KeyKind::Rsa { bits: 2048 }),
        ] {
            let key = key(kind);
            let signature = key.sign(MESSAGE).unwrap();
            let spki = key.public_key().spki_der();
            self.write(&format!("good/keys/{name}.spki"), spki);
            self.write(&format!("good/keys/{name}.signature"), &signature);
            let seed = |key: &[u8]| {
                let length = u16::try_from(key.len()).unwrap().to_be_bytes();
                [length.as_slice(), key, &signature].concat()
            };
            self.seed("public_key", name, &seed(spki));
            self.seed("public_key", &format!("{name}-pem"), &seed(key.public_key().to_pem().as_bytes()));
        }
    }
}

/// A bundle signed with a key that the verifier knows.
fn with_key(world: &mut Sigstore) -> (Bundle, PublicKey) {
    let who = Person::new("key", KeyKind::EcdsaP256);
    let (content, message) = content(&who, Thing::File(FILES[0]));
    let key = who.key.public_key().clone();
    let details = KeyDetails::default_for(&key).unwrap();
    let body = HashedRekord {
        digest: details.prehash().unwrap().digest(&message),
        signature: signature_of(&content).to_vec(),
        verifier: Verifier::PublicKey(key.spki_der().to_vec()),
        key_details: details,
    }
    .canonical();
    let index = world.log(&body);
    let material = sealog_bundle::VerificationMaterial {
        key: KeyMaterial::PublicKey { hint: encode_base64(&sha256(key.spki_der())) },
        log_entries: vec![world.entry(body, index)],
        timestamps: Vec::new(),
    };
    (Bundle { version: Version::V03, material, content }, key)
}

/// Name constraints in DER: what is permitted and what is excluded.
fn constraints() -> [(&'static str, Vec<u8>); 3] {
    let name = |tag: u8, text: &str| {
        sealog_fuzz_targets::der::element(0x30, &sealog_fuzz_targets::der::element(tag, text.as_bytes()))
    };
    let list = |tag: u8, names: &[Vec<u8>]| sealog_fuzz_targets::der::element(tag, &names.concat());
    let whole = |parts: &[Vec<u8>]| sealog_fuzz_targets::der::element(0x30, &parts.concat());
    [
        ("permits-mail", whole(&[list(0xa0, &[name(0x81, "example.com"), name(0x86, ".example.com")])])),
        ("excludes-mail", whole(&[list(0xa1, &[name(0x81, "alice@example.com")])])),
        (
            "permits-hosts",
            whole(&[list(0xa0, &[name(0x82, "example.com")]), list(0xa1, &[name(0x86, "x.org")])]),
        ),
    ]
}

/// A certificate with one more extension, critical name constraints; its signature no longer holds.
fn with_extension(der: &[u8], constraints: &[u8]) -> Vec<u8> {
    use sealog_fuzz_targets::der::{append_extension, element};
    let oid = element(0x06, &[0x55, 0x1d, 0x1e]);
    let value = element(0x04, constraints);
    append_extension(der, &element(0x30, &[oid, vec![0x01, 0x01, 0xff], value].concat())).unwrap()
}
