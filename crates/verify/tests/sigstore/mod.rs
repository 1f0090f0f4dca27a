//! A whole Sigstore in memory: a certificate authority, a certificate log, a timestamp authority and a
//! signature log, each with keys of its own, the trusted root that names them, and bundles by them.
//!
//! Every step of signing can be asked for alone, so that tests can put wrong pieces together.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use sealog_bundle::{
    Bundle, CertificateAuthority, Content, Envelope, HashedRekord, InclusionProof, KeyDetails, KeyMaterial,
    KindVersion, MessageSignature, TransparencyLog, TransparencyLogEntry, TrustedRoot, UnixTime, ValidFor,
    VerificationMaterial, Verifier, Version,
    dsse::{EnvelopeSignature, IN_TOTO_PAYLOAD_TYPE, pae},
};
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, PublicKey, Signer, random_array, sha256};
use sealog_pki::{
    Certificate, ExtensionValues, LeafProfile, San, Serial,
    issue::{self, AuthorityProfile, Below, Precert},
    timestamp::{POLICY, TimeStampReq, TsaIdentity, respond},
};
use sealog_tlog::{
    Checkpoint, SignedNote,
    ct::{CtEntry, Sct, SctList, leaf_index_extension},
    merkle::{Edge, leaf_hash, prove_inclusion},
    note::{KeySigner, key_id_full},
};
use sealog_verify::{Artifact, ErrorClass, Policy, Verified, VerifyError, verify};
use std::sync::Arc;

/// When everything is signed unless a test says otherwise.
pub(crate) const NOW: i64 = 1_800_000_000;
pub(crate) const DAY: i64 = 86_400;
pub(crate) const ISSUER: &str = "https://accounts.example.com";
/// Leaves the log has before anybody signs, so that proofs are not empty.
const EARLIER_LEAVES: u8 = 5;

/// A key and its certificate.
pub(crate) struct Holder {
    pub(crate) key: PrivateKey,
    pub(crate) certificate: Certificate,
}

/// One instance of every service.
pub(crate) struct Sigstore {
    pub(crate) ca_root: Holder,
    pub(crate) ca: Holder,
    pub(crate) ct_key: PrivateKey,
    pub(crate) tsa_root: Holder,
    pub(crate) tsa: Holder,
    pub(crate) log_key: Arc<dyn Signer>,
    pub(crate) tree: Edge,
    pub(crate) root: TrustedRoot,
}

/// A person who signs one thing.
pub(crate) struct Person {
    pub(crate) identity: &'static str,
    pub(crate) key: PrivateKey,
}

/// What is signed.
#[derive(Clone, Copy)]
pub(crate) enum Thing<'a> {
    /// A file.
    File(&'a [u8]),
    /// A statement about a file.
    StatementAbout(&'a [u8]),
}

/// A good bundle, and what it verifies with.
pub(crate) struct Signed {
    pub(crate) bundle: Bundle,
    pub(crate) file: Vec<u8>,
    pub(crate) identity: &'static str,
}

pub(crate) fn key(kind: KeyKind) -> PrivateKey {
    PrivateKey::generate(kind).unwrap()
}

pub(crate) fn serial() -> Serial {
    Serial::from_random(random_array().unwrap())
}

pub(crate) fn profile(common_name: &str) -> AuthorityProfile<'_> {
    AuthorityProfile {
        organization: "sealog.example",
        common_name,
        serial: serial(),
        not_before: NOW - 100 * DAY,
        not_after: NOW + 1000 * DAY,
    }
}

pub(crate) fn valid_for() -> ValidFor {
    ValidFor::from(UnixTime::from_seconds(NOW - 50 * DAY))
}

fn root(name: &str) -> Holder {
    let key = key(KeyKind::EcdsaP256);
    let certificate = issue::self_signed_root(&profile(name), &key).unwrap();
    Holder { key, certificate }
}

/// An intermediate CA for signers' certificates.
pub(crate) fn intermediate(root: &Holder, name: &str) -> Holder {
    let key = key(KeyKind::EcdsaP256);
    let below = Below::CodeSigning;
    let certificate =
        issue::intermediate(&profile(name), below, key.public_key(), &root.certificate, &root.key).unwrap();
    Holder { key, certificate }
}

/// A timestamp authority's key, right below the root.
pub(crate) fn tsa_below(root: &Holder) -> Holder {
    let key = key(KeyKind::EcdsaP256);
    let certificate =
        issue::tsa_leaf(&profile("test tsa"), key.public_key(), &root.certificate, &root.key).unwrap();
    Holder { key, certificate }
}

pub(crate) fn listed_authority(uri: &str, chain: &[&Holder]) -> CertificateAuthority {
    CertificateAuthority {
        organization: String::new(),
        common_name: String::new(),
        uri: uri.into(),
        cert_chain: chain.iter().map(|holder| holder.certificate.der().to_vec()).collect(),
        valid_for: valid_for(),
        operator: String::new(),
    }
}

pub(crate) fn listed_log(url: &str, key: &PublicKey, log_id: Vec<u8>) -> TransparencyLog {
    TransparencyLog {
        base_url: url.into(),
        hash_algorithm: HashAlgorithm::Sha256,
        public_key: key.spki_der().to_vec(),
        key_details: KeyDetails::for_log_key(key).unwrap(),
        valid_for: valid_for(),
        log_id,
        checkpoint_key_id: Vec::new(),
        operator: String::new(),
    }
}

impl Person {
    pub(crate) fn new(identity: &'static str, kind: KeyKind) -> Self {
        Self { identity, key: key(kind) }
    }

    pub(crate) fn san(&self) -> San {
        match self.identity.starts_with("https:") {
            true => San::Uri(self.identity.into()),
            false => San::Email(self.identity.into()),
        }
    }

    pub(crate) fn key_details(&self) -> KeyDetails {
        KeyDetails::default_for(self.key.public_key()).unwrap()
    }
}

impl Sigstore {
    pub(crate) fn new() -> Self {
        let (ca_root, tsa_root) = (root("test root"), root("test tsa root"));
        let ca = intermediate(&ca_root, "test intermediate");
        let tsa = tsa_below(&tsa_root);
        let ct_key = key(KeyKind::EcdsaP256);
        let log_key: Arc<dyn Signer> = Arc::new(key(KeyKind::Ed25519));
        let log_id = key_id_full("log.example", log_key.public_key()).unwrap().to_vec();
        let ct_id = sha256(ct_key.public_key().spki_der()).to_vec();
        let root = TrustedRoot {
            tlogs: vec![listed_log("https://log.example", log_key.public_key(), log_id)],
            certificate_authorities: vec![listed_authority("https://ca.example", &[&ca, &ca_root])],
            ctlogs: vec![listed_log("https://ct.example", ct_key.public_key(), ct_id)],
            timestamp_authorities: vec![listed_authority("https://tsa.example", &[&tsa, &tsa_root])],
        };
        let mut tree = Edge::new();
        (0..EARLIER_LEAVES).for_each(|n| tree.push(leaf_hash(&[n])));
        Self { ca_root, ca, ct_key, tsa_root, tsa, log_key, tree, root }
    }

    pub(crate) fn precertificate(&self, who: &Person, not_before: i64) -> Precert {
        let mut extensions = ExtensionValues::new();
        extensions.set_oidc_issuer(ISSUER);
        let profile = LeafProfile {
            serial: serial(),
            not_before,
            not_after: not_before + 600,
            public_key: who.key.public_key(),
            san: &who.san(),
            extensions: &extensions,
        };
        issue::precertificate(&profile, &self.ca.certificate, &self.ca.key).unwrap()
    }

    pub(crate) fn sct(&self, precert: &Precert, at: i64) -> Sct {
        let entry = CtEntry::Precert {
            issuer_key_hash: sha256(self.ca.certificate.spki_der()),
            tbs: precert.tbs_for_ct(),
            precert: precert.certificate().der().to_vec(),
        };
        let millis = u64::try_from(at).unwrap() * 1000;
        Sct::sign(millis, &entry, leaf_index_extension(7).unwrap(), &self.ct_key).unwrap()
    }

    pub(crate) fn finish(&self, precert: &Precert, scts: Vec<Sct>) -> Certificate {
        issue::finish(precert, &SctList(scts), &self.ca.certificate, &self.ca.key).unwrap()
    }

    /// The certificate an authority would make that never asked a log: all of the precertificate but the poison.
    pub(crate) fn finish_without_promise(&self, precert: &Precert) -> Certificate {
        let tbs = precert.tbs_for_ct();
        let hash = match self.ca.key.public_key().kind() {
            KeyKind::EcdsaP256 => 2,
            KeyKind::EcdsaP384 => 3,
            other => panic!("an authority with a key of kind {other}"),
        };
        // ecdsa-with-SHA256 or -SHA384, RFC 5758 §3.2.
        let algorithm = [0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, hash];
        let signature = [&[0][..], &self.ca.key.sign(&tbs).unwrap()].concat();
        let inside = [tbs, algorithm.to_vec(), der_value(3, &signature)].concat();
        Certificate::from_der(&der_value(0x30, &inside)).unwrap()
    }

    pub(crate) fn certificate(&self, who: &Person, not_before: i64) -> Certificate {
        let precert = self.precertificate(who, not_before);
        self.finish(&precert, vec![self.sct(&precert, not_before)])
    }

    pub(crate) fn stamp(&self, signature: &[u8], at: i64) -> Vec<u8> {
        stamp_by(&self.tsa, signature, at)
    }

    /// Puts a body into the log.
    pub(crate) fn log(&mut self, body: &[u8]) -> u64 {
        self.tree.push(leaf_hash(body));
        self.tree.size() - 1
    }

    pub(crate) fn checkpoint(&self, origin: &str) -> String {
        let (size, root) = (self.tree.size(), self.tree.root());
        let checkpoint = Checkpoint { origin: origin.into(), size, root, extensions: Vec::new() };
        let mut note = SignedNote::new(checkpoint.encode());
        note.sign(&KeySigner::for_log(origin, self.log_key.clone()).unwrap(), 0).unwrap();
        note.encode()
    }

    /// An entry with its proof in the tree as it is now.
    pub(crate) fn entry(&self, body: Vec<u8>, index: u64) -> TransparencyLogEntry {
        let proof = prove_inclusion(index, self.tree.size(), &self.tree).unwrap();
        let proof = InclusionProof {
            log_index: index,
            root_hash: *self.tree.root().as_bytes(),
            tree_size: self.tree.size(),
            hashes: proof.hashes.iter().map(|hash| hash.0).collect(),
            checkpoint: self.checkpoint("log.example"),
        };
        TransparencyLogEntry {
            log_index: index,
            log_id: self.root.tlogs[0].log_id.clone(),
            kind_version: KindVersion::hashedrekord_v002(),
            integrated_time: 0,
            inclusion_promise: None,
            inclusion_proof: Some(proof),
            canonicalized_body: body,
        }
    }

    /// Signs as everybody does.
    pub(crate) fn sign(&mut self, who: &Person, thing: Thing<'_>) -> Signed {
        let certificate = self.certificate(who, NOW - 60);
        self.sign_with(who, &certificate, thing)
    }

    /// Signs with a certificate that is there already.
    pub(crate) fn sign_with(&mut self, who: &Person, certificate: &Certificate, thing: Thing<'_>) -> Signed {
        let (content, message) = content(who, thing);
        let signature = signature_of(&content).to_vec();
        let details = who.key_details();
        let body = HashedRekord {
            digest: details.prehash().unwrap().digest(&message),
            signature: signature.clone(),
            verifier: Verifier::Certificate(certificate.der().to_vec()),
            key_details: details,
        }
        .canonical();
        let index = self.log(&body);
        let bundle = Bundle {
            version: Version::V03,
            material: VerificationMaterial {
                key: KeyMaterial::Certificate(certificate.der().to_vec()),
                log_entries: vec![self.entry(body, index)],
                timestamps: vec![self.stamp(&signature, NOW)],
            },
            content,
        };
        let (Thing::File(file) | Thing::StatementAbout(file)) = thing;
        Signed { bundle, file: file.to_vec(), identity: who.identity }
    }

    pub(crate) fn verify(&self, signed: &Signed) -> Result<Verified, VerifyError> {
        let policy = Policy::identity(signed.identity, ISSUER);
        verify(&signed.bundle, &self.root, &policy, &Artifact::from_bytes(&signed.file))
    }

    pub(crate) fn class(&self, signed: &Signed) -> Option<ErrorClass> {
        self.verify(signed).err().map(|error| error.class())
    }
}

/// A tag, a length in the long form of two bytes or the short one, a content.
fn der_value(tag: u8, content: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
    let length = match content.len() {
        0..128 => vec![low],
        128..256 => vec![0x81, low],
        _ => vec![0x82, high, low],
    };
    [&[tag], length.as_slice(), content].concat()
}

pub(crate) fn stamp_by(tsa: &Holder, signature: &[u8], at: i64) -> Vec<u8> {
    let request = TimeStampReq::new(HashAlgorithm::Sha256.digest(signature)).with_certificate();
    let chain = std::slice::from_ref(&tsa.certificate);
    let serial: [u8; 8] = random_array().unwrap();
    respond(&request, &TsaIdentity { signer: &tsa.key, chain }, at, &serial, &POLICY).unwrap()
}

/// Content with its signature, and what the signature is over.
pub(crate) fn content(who: &Person, thing: Thing<'_>) -> (Content, Vec<u8>) {
    match thing {
        Thing::File(file) => {
            let digest = who.key_details().prehash().unwrap().digest(file);
            let signature = who.key.sign(file).unwrap();
            (Content::Message(MessageSignature { digest: Some(digest), signature }), file.to_vec())
        }
        Thing::StatementAbout(file) => {
            let payload = statement_about(file);
            let message = pae(IN_TOTO_PAYLOAD_TYPE, &payload);
            let signatures =
                vec![EnvelopeSignature { sig: who.key.sign(&message).unwrap(), keyid: String::new() }];
            let payload_type = IN_TOTO_PAYLOAD_TYPE.into();
            (Content::Envelope(Envelope { payload, payload_type, signatures }), message)
        }
    }
}

pub(crate) fn statement_about(file: &[u8]) -> Vec<u8> {
    let subject = sealog_bundle::statement::Subject {
        name: "file".into(),
        digests: vec![HashAlgorithm::Sha256.digest(file)],
    };
    sealog_bundle::statement::encode(&[subject], "https://example.com/predicate", b"{}").unwrap()
}

pub(crate) fn signature_of(content: &Content) -> &[u8] {
    match content {
        Content::Message(message) => &message.signature,
        Content::Envelope(envelope) => &envelope.signatures[0].sig,
    }
}

pub(crate) fn set_signature(content: &mut Content, signature: &[u8]) {
    match content {
        Content::Message(message) => message.signature = signature.to_vec(),
        Content::Envelope(envelope) => envelope.signatures[0].sig = signature.to_vec(),
    }
}
