//! Makes the fixed world under `fuzz/good/` and the first inputs of every corpus, with new signatures each time.
//!
//! `cargo run -p sealog-fuzz-targets --example seeds -- fuzz` from the project's root. The inputs in the corpora
//! that stem from an older world go on being replayed, but no longer reach as deep: grow them again.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a tool that is run by hand")]

use sealog_bundle::{Bundle, Version};
use sealog_crypto::{HashAlgorithm, KeyKind, Signer as _};
use sealog_fuzz_targets::{
    der::{append_extension, element},
    evidence::MESSAGE,
    good::{FILES, NOW, WITNESS, names},
    messages::content,
};
use sealog_pki::{San, fulcio_extensions::TABLE};
use sealog_server::relay::{
    Carried as _,
    wire::{self, Answer, Logged, Outcome},
};
use sealog_testkit::{
    CtLog, EntryForm, KeyForm, Person, SctForm, Shape, Signed, Sigstore, Thing, Token, key,
};
use sealog_tlog::{
    Checkpoint, SignedNote,
    ct::{CtEntry, CtLeaf, CtSubmission},
    merkle::leaf_hash,
    note::{KeySigner, KeyType},
};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Edits that a verifier with one check less would believe, as `verify` reads them: bundle, policy, evidence,
/// root, then the edits. (Tried with each of those checks taken out.)
const ATTACKS: [(&str, &[u8]); 4] = [
    // `v2` with the timestamp of `v2-fraction`: believed if the imprint is not compared.
    ("timestamp-of-another-signature", &[0, 0, 0, 0, 0, 2, 7, 9, 0, 0]),
    // `v1-timestamp` without its promise and with another index: told if it is not taken from the proof.
    ("index-that-nobody-signed", &[10, 0, 0, 0, 0, 7, 0, 8, 0, 6, 0, 0, 0]),
    // `v1-promise` with the signature of `v1-timestamp`: believed if the entry's signature is not compared.
    ("entry-of-another-signature", &[9, 0, 0, 0, 0, 7, 10, 6, 0]),
    // `v2` with another index in entry and proof: believed if the proof is not computed.
    ("index-in-both-places", &[0, 0, 0, 0, 0, 6, 0, 0, 0, 6, 0, 2, 0]),
];

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "fuzz".into()));
    let mut maker = Maker::new(folder);
    maker.bundles();
    maker.documents();
    maker.timestamps();
    maker.certificates();
    maker.checkpoints();
    maker.policies();
    maker.keys();
    maker.lists();
    maker.messages();
}

/// Lists of checksums, with digests of these lengths.
const LISTS: [(&str, &str); 5] = [
    ("plain", "# a comment\n\nH256  a.txt\r\nH256 *b c.txt\nH384  a.txt\nH512  a.txt\n"),
    ("tagged", "SHA256 (d (1) = .txt) = H256\nSHA384 (e) = H384\nSHA512 (e) = H512\nMD5 (f) = H256\n"),
    ("escaped", "\\H256  e\\\\f\\ng\\r\n\\SHA256 (h\\\\i) = H256\n"),
    ("below", "H256  ./sub/j\nH256   k\nH256  ../l\nH256  /m\n"),
    ("again", "H256  a\nH256  ./a\n"),
];

struct Maker {
    folder: PathBuf,
    world: Sigstore,
    /// Another certificate authority, certificate log and timestamp authority, trusted too.
    second: Sigstore,
    bundles: Vec<(&'static str, Bundle)>,
}

impl Maker {
    fn new(folder: PathBuf) -> Self {
        let (mut world, mut second) = (Sigstore::new(), Sigstore::other("second"));
        // Two clocks can be told apart by their addresses only; the names stay the same.
        second.tsa.uri = "https://tsa2.example".into();
        second.ct = CtLog { form: SctForm::Rfc6962, url: "https://ct2.example".into(), ..second.ct };
        second.relist();
        world.log.witnessed_by(WITNESS);
        world.root.certificate_authorities.extend(second.root.certificate_authorities.clone());
        world.root.ctlogs.extend(second.root.ctlogs.clone());
        world.root.timestamp_authorities.extend(second.root.timestamp_authorities.clone());
        Self { folder, world, second, bundles: Vec::new() }
    }

    fn write(&self, place: &str, bytes: &[u8]) {
        let path = self.folder.join(place);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn seed(&self, target: &str, name: &str, bytes: &[u8]) {
        self.write(&format!("corpus/{target}/seed-{name}"), bytes);
    }

    fn add(&mut self, name: &'static str, signed: Signed) {
        self.bundles.push((name, signed.bundle));
    }

    fn bundles(&mut self) {
        let alice = Person::new("alice@example.com", KeyKind::EcdsaP256);
        let mallory = Person::new("mallory@example.com", KeyKind::EcdsaP256);
        let bob = Person::new("https://bob.example.com/build", KeyKind::EcdsaP384);
        // Another key than any certificate's: whoever trusts it trusts nothing else here.
        let holder = Person::new("the holder of a key", KeyKind::EcdsaP256);
        let (file, other) = (Thing::File(FILES[0]), Thing::File(FILES[1]));
        let statement = Thing::StatementAbout(FILES[0]);
        let sha384 = Thing::Statement {
            about: FILES[0],
            of_type: sealog_bundle::statement::STATEMENT_V01,
            by: &[HashAlgorithm::Sha384, HashAlgorithm::Sha512],
        };
        let v1 = |form| Shape { promise: true, ..Shape::rekor_v1(form) };
        let chain = Shape { version: Version::V01, key: KeyForm::Chain, ..v1(EntryForm::HashedRekordV001) };
        let both = Shape {
            entries: vec![EntryForm::HashedRekordV001, EntryForm::HashedRekordV002],
            promise: true,
            ..Shape::default()
        };
        for (name, who, thing, shape) in [
            ("v2", &alice, file, Shape::default()),
            ("v2-statement", &alice, statement, Shape::default()),
            ("v2-sha384-statement", &alice, sha384, Shape::default()),
            ("v2-other-file", &alice, other, Shape::default()),
            ("v2-other-person", &mallory, file, Shape::default()),
            ("v2-p384-chain", &bob, file, Shape::chain()),
            ("v2-key", &holder, file, Shape::managed_key()),
            ("v1-promise", &alice, file, v1(EntryForm::HashedRekordV001)),
            ("v1-timestamp", &alice, file, Shape { timestamp: true, ..v1(EntryForm::HashedRekordV001) }),
            ("v1-dsse", &alice, statement, v1(EntryForm::DsseV001)),
            ("v1-intoto", &alice, statement, v1(EntryForm::IntotoV002)),
            ("v1-chain", &alice, file, chain),
            ("both-logs", &alice, file, both),
            ("lax-without-logs", &alice, file, Shape::without_logs()),
        ] {
            let signed = self.world.sign_as(who, thing, &shape);
            self.add(name, signed);
        }
        self.write("good/key.pem", holder.key.public_key().to_pem().as_bytes());
        self.variants(&alice);
    }

    /// What takes more than a shape.
    fn variants(&mut self, alice: &Person) {
        let file = Thing::File(FILES[0]);
        let sign = |world: &mut Sigstore| world.sign(alice, file);
        let draft = self.world.draft(alice, NOW - 60);
        let scts =
            vec![self.world.sct(&draft, NOW - 60), self.second.ct.sct(&draft, self.world.ca.signer(), NOW)];
        let certificate = self.world.finish(&draft, scts);
        let mut twice = self.world.sign_with(alice, &certificate, file);
        let again = self.world.log.take(&twice, EntryForm::HashedRekordV002);
        twice.bundle.material.log_entries.push(again);
        let stamp = self.second.tsa.stamp(twice.signature(), NOW + 30);
        twice.bundle.material.timestamps.push(stamp);
        self.add("v2-twice", twice);

        let mut fraction = sign(&mut self.world);
        let token = Token::new(NOW + 1).fraction("125").imprint(HashAlgorithm::Sha384).nonce(7).bare();
        fraction.bundle.material.timestamps = vec![token.over(fraction.signature(), self.world.tsa.signer())];
        self.add("v2-fraction", fraction);

        let mut stranger = Sigstore::other("stranger");
        let mut unknown_log = sign(&mut self.world);
        unknown_log.bundle.material.log_entries =
            vec![stranger.log.take(&unknown_log, EntryForm::HashedRekordV002)];
        self.add("lax-unknown-log", unknown_log);
        let mut late = sign(&mut self.world);
        late.bundle.material.timestamps = vec![self.world.tsa.stamp(late.signature(), NOW + 3000)];
        self.add("bad-late", late);
        let certificate = stranger.certificate(alice, NOW - 60);
        let authority = self.world.sign_with(alice, &certificate, file);
        self.add("bad-authority", authority);
        let mut of_other = sign(&mut self.world);
        of_other.bundle.material.timestamps = vec![self.world.tsa.stamp(b"another signature", NOW)];
        self.add("bad-timestamp-of-other", of_other);
    }

    /// What the processes of a log tell each other.
    fn messages(&self) {
        let entry = CtEntry::X509 { cert: vec![1, 2, 3] };
        let x509 = CtSubmission { entry, issuers: vec![vec![8; 9], Vec::new()] };
        let entry = CtEntry::Precert { issuer_key_hash: [7; 32], tbs: vec![4; 30], precert: vec![5; 40] };
        let precert = CtSubmission { entry, issuers: vec![vec![6; 20]] };
        let submissions = [x509, precert].map(|submission| CtLeaf::encode(&submission).unwrap());
        for (name, entries) in [("none", &[][..]), ("two", &submissions), ("one", &[b"{}".to_vec()])] {
            let request = wire::request(entries.iter().map(Vec::as_slice)).unwrap();
            self.seed("relay_request", name, content(&request, true));
            self.seed("relay_request", &format!("{name}-whole"), &request);
        }
        for (name, submission) in ["x509", "precert"].into_iter().zip(&submissions) {
            self.seed("relay_request", name, submission);
        }
        let logged = Logged {
            index: 7,
            time_ms: Some(1_790_000_000_000),
            duplicate: false,
            checkpoint: 1,
            proof: vec![[1; 32], [2; 32]],
            encoded: b"\0\x03abc".as_slice().into(),
            voucher: vec![9; 7],
        };
        let again = Logged { time_ms: None, duplicate: true, checkpoint: 0, ..logged.clone() };
        let second = Duration::from_secs(1);
        let all = vec![
            Outcome::Logged(logged),
            Outcome::Logged(again),
            Outcome::Invalid("no".into()),
            Outcome::Overloaded(second),
            Outcome::StorageFull(second),
            Outcome::Elsewhere,
            Outcome::Later,
            Outcome::Ended,
        ];
        for (name, outcomes) in [("all", all), ("ended", vec![Outcome::Ended; 3])] {
            let entries = [u8::try_from(outcomes.len()).unwrap()];
            let checkpoints = vec![b"one".as_slice().into(), b"two".as_slice().into()];
            let answer = Answer { checkpoints, outcomes }.encode().unwrap();
            self.seed("relay_answer", name, &[&entries, content(&answer, false)].concat());
            self.seed("relay_answer", &format!("{name}-whole"), &[&entries[..], &answer].concat());
        }
        let lines = "beat 12\nsequence 153\ntime 1790000000000\nbase 40960\n";
        let holder = "holder 3f9c http://10.0.0.7:7301\ntoken 77ab\n";
        let segments = "segment 41000 151-7-97\nsegment 41002 152-7-98\n";
        let checkpoint = "\nlog.example\n41002\n\n";
        for (name, head) in [
            ("held", format!("epoch 7\n{holder}{lines}{segments}{checkpoint}")),
            ("free", format!("epoch 7\n{lines}{checkpoint}")),
            ("nowhere", format!("epoch 7\nholder 3f9c \n{lines}{checkpoint}")),
        ] {
            self.seed("head", name, head.as_bytes());
            let sum = crc32c::crc32c(head.as_bytes());
            self.seed(
                "head",
                &format!("{name}-whole"),
                format!("sealog head 1 {sum:08x}\n{head}").as_bytes(),
            );
        }
    }

    fn lists(&self) {
        for (name, list) in LISTS {
            let hex = |digits: usize| "5891b5b522d5df086d0ff0b110fbd9d2".repeat(4)[..digits].to_owned();
            let list = list.replace("H256", &hex(64)).replace("H384", &hex(96)).replace("H512", &hex(128));
            self.seed("checksums", name, list.as_bytes());
        }
    }

    fn documents(&self) {
        let root = &self.world.root;
        self.write("good/root.json", root.to_json().as_bytes());
        self.seed("trusted_root", "whole", root.to_json().as_bytes());
        self.seed("trusted_root", "second", self.second.root.to_json().as_bytes());
        self.seed("json", "root", root.to_json().as_bytes());
        for (name, bundle) in &self.bundles {
            let document = bundle.to_json();
            self.write(&format!("good/{name}.json"), document.as_bytes());
            self.seed("bundle", name, document.as_bytes());
            self.seed("inspect", name, document.as_bytes());
            self.seed("json", name, document.as_bytes());
            self.seed("verify", &format!("document-{name}"), document.as_bytes());
            let at = u8::try_from(names().position(|known| known == *name).unwrap()).unwrap();
            self.seed("verify", &format!("asked-{name}"), &[at, 8 + 16, 0, 0, 0]);
            for how in 0..8 {
                self.seed("verify", &format!("edit-{how}-{name}"), &[at, 8, how, 0, 0, how, 1, 2, 3, 4]);
            }
            for (number, entry) in bundle.material.log_entries.iter().enumerate() {
                self.seed("entry_body", &format!("{name}-{number}"), &entry.canonicalized_body);
                self.seed("bundle", &format!("answer-{name}-{number}"), entry.to_json().as_bytes());
            }
            if let sealog_bundle::Content::Envelope(envelope) = &bundle.content {
                self.seed("statement", name, &envelope.payload);
            }
        }
        for (name, script) in ATTACKS {
            self.seed("verify", &format!("attack-{name}"), script);
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
        let tsa = self.world.tsa.signer();
        for (name, algorithm) in [("sha384", HashAlgorithm::Sha384), ("sha512", HashAlgorithm::Sha512)] {
            let others = self.world.tsa.certificates();
            let token = Token::new(NOW).imprint(algorithm).with(&others).over(b"another", tsa);
            self.seed("timestamp", name, &token);
        }
    }

    fn certificates(&self) {
        for (name, bundle) in &self.bundles {
            let Some(leaf) = bundle.material.key.leaf() else { continue };
            self.seed("certificate", name, leaf);
        }
        for (name, holder) in [
            ("root", self.world.ca.at(1)),
            ("intermediate", self.world.ca.at(0)),
            ("tsa", self.world.tsa.signer()),
        ] {
            self.seed("certificate", name, holder.certificate.der());
            self.seed("certificate", &format!("{name}-pem"), holder.certificate.to_pem().as_bytes());
            for (what, constraints) in constraints() {
                let constrained = with_extension(holder.certificate.der(), &constraints);
                self.seed("certificate", &format!("{name}-{what}"), &constrained);
            }
        }
        // By an authority nobody trusts: what the world's own issued stands in its bundles, and nowhere else.
        let stranger = Sigstore::other("stranger");
        let alice = Person::new("alice@example.com", KeyKind::Ed25519);
        let mut draft = stranger.draft(&alice, NOW);
        for row in &TABLE {
            draft.template = draft.template.fulcio(row, row.name);
        }
        draft.template = draft.template.names(&[
            San::Email("a@b".into()),
            San::Uri("https://b".into()),
            San::Dns("b".into()),
            San::OtherName("a!b".into()),
            San::Unread(0x87),
        ]);
        let precertificate = draft.precertificate(stranger.ca.signer());
        self.seed("certificate", "precertificate", precertificate.der());
        self.seed("certificate", "tbs", precertificate.tbs_der());
        let scts = (0..3).map(|at| stranger.sct(&draft, NOW + at)).collect();
        self.seed("certificate", "three-scts", stranger.finish(&draft, scts).der());
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
            let signer = KeySigner::new("o.example/log", key_type, key(name, kind)).unwrap();
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

    fn policies(&self) {
        let key = fs::read_to_string(self.folder.join("good/key.pem")).unwrap();
        let alice = "identity = \"alice@example.com\"\nissuer = \"https://accounts.example.com\"\n";
        let witness = sealog_testkit::key(WITNESS, KeyKind::Ed25519);
        let witness = KeySigner::new(WITNESS, KeyType::Cosignature, witness).unwrap();
        let witness = witness.verifier().to_vkey().unwrap();
        for (name, text) in [
            ("identity", format!("version = 1\n[[signer]]\n{alice}")),
            ("key", format!("version = 1\n[[signer]]\nkey = \"\"\"\n{key}\"\"\"\n")),
            (
                "pattern",
                "version = 1\n[[signer]]\nidentity-pattern = 'https://bob\\.example\\.com/.*'\n\
                 issuer-pattern = 'https://accounts\\.example\\.com'\n"
                    .to_owned(),
            ),
            (
                "extensions",
                format!(
                    "version = 1\n[[signer]]\n{alice}extensions = {{ trigger = \"push\" }}\n\
                     extension-patterns = {{ ref = 'refs/tags/v[0-9.]+' }}\n"
                ),
            ),
            (
                "lists",
                "version = 1\nthreshold = 2\nsigner = [{ any-of = [{ identity = \"a@b.c\", issuer = \"i\" }, \
                 { unsafe-any-identity = true }] }, { all-of = [{ identity = \"d@b.c\", issuer = \"i\" }] }]\n"
                    .to_owned(),
            ),
            (
                "evidence",
                format!(
                    "version = 1\n[[signer]]\n{alice}[evidence]\nlogs = 1\nscts = 1\ntimestamps = 1\n\
                     accept-promises = true\nwitnesses = {{ threshold = 1, keys = [\"{witness}\"] }}\n"
                ),
            ),
            (
                "unsafe",
                "version = 1\n[[signer]]\nunsafe-any-identity = true\n[evidence]\n\
                 unsafe-without-log = true\nunsafe-without-sct = true\n"
                    .to_owned(),
            ),
        ] {
            self.seed("policy", name, text.as_bytes());
        }
    }

    fn keys(&self) {
        for (name, kind) in [
            ("p256", KeyKind::EcdsaP256),
            ("p384", KeyKind::EcdsaP384),
            ("ed25519", KeyKind::Ed25519),
            ("rsa2048", KeyKind::Rsa { bits: 2048 }),
        ] {
            let key = key(&format!("fuzz {name}"), kind);
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

/// Name constraints in DER: what is permitted and what is excluded.
fn constraints() -> [(&'static str, Vec<u8>); 3] {
    let name = |tag: u8, text: &str| element(0x30, &element(tag, text.as_bytes()));
    let list = |tag: u8, names: &[Vec<u8>]| element(tag, &names.concat());
    let whole = |parts: &[Vec<u8>]| element(0x30, &parts.concat());
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
    let oid = element(0x06, &[0x55, 0x1d, 0x1e]);
    let value = element(0x04, constraints);
    append_extension(der, &element(0x30, &[oid, vec![0x01, 0x01, 0xff], value].concat())).unwrap()
}
