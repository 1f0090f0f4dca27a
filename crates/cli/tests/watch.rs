//! `sealog watch`, the program itself, against logs served over HTTP that behave and misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use sealog_bundle::{
    CertificateAuthority, HashedRekord, KeyDetails, TransparencyLog, TrustedRoot, UnixTime, ValidFor,
    Verifier,
};
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, Signer as _, sha256};
use sealog_pki::{
    Certificate, ExtensionValues, San,
    issue::{AuthorityProfile, LeafProfile, Precert, Serial, precertificate, self_signed_root},
};
use sealog_testkit::Reserved;
use sealog_tlog::{
    Checkpoint, Edge, Leaf, NoteSigner as _, SignedNote,
    ct::{CtEntry, CtLeaf, CtSubmission, log_id},
    leaf::{EntryBytes, EntryLeaf},
    note::{KeySigner, key_id_full},
    tile::{CHECKPOINT_PATH, bundles_since, tiles_for_size},
};
use std::{
    collections::HashMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};
use tempfile::TempDir;

const ANN: &str = "ann@example.org";
const ISSUER: &str = "https://accounts.example.org";
const NOT_BEFORE: i64 = 1_800_000_000;

type Files = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// A web server for some files.
fn serve() -> (u16, Files) {
    let files = Files::default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = Arc::clone(&files);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let served = Arc::clone(&served);
            thread::spawn(move || answer(stream.unwrap(), &served));
        }
    });
    (port, files)
}

fn answer(stream: TcpStream, files: &Files) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(request)) = lines.next() else { return };
    let path = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let found = files.lock().unwrap().get(&path).cloned();
    let (status, body) = found.map_or(("404 Not Found", vec![]), |body| ("200 OK", body));
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let mut stream = stream;
    let _ = stream.write_all(&[head.as_bytes(), &body].concat());
}

/// A log that is published as files.
struct Log<L> {
    signer: KeySigner,
    edge: Edge,
    encoded: Vec<Vec<u8>>,
    files: Files,
    kind: std::marker::PhantomData<L>,
}

impl<L: Leaf> Log<L> {
    fn new(signer: KeySigner, files: Files) -> Self {
        let log = Self { signer, edge: Edge::new(), encoded: vec![], files, kind: std::marker::PhantomData };
        log.publish();
        log
    }

    fn append(&mut self, pending: &L::Pending) {
        let placed = L::place(pending, self.edge.size(), 1_700_000_000_000).unwrap();
        self.edge.push(placed.leaf_hash);
        self.encoded.push(placed.encoded);
    }

    fn publish(&self) {
        let mut files = HashMap::new();
        for tile in tiles_for_size(self.edge.size()) {
            files.insert(tile.path(), self.edge.tile_bytes(&tile).unwrap());
        }
        for bundle in bundles_since(0, self.edge.size()) {
            let first = usize::try_from(bundle.index()).unwrap() * 256;
            let entries = self.encoded[first..first + usize::from(bundle.width())].concat();
            files.insert(bundle.path(L::BUNDLE_DIR), entries);
        }
        let checkpoint = Checkpoint {
            origin: self.signer.name().to_owned(),
            size: self.edge.size(),
            root: self.edge.root(),
            extensions: vec![],
        };
        let mut note = SignedNote::new(checkpoint.encode());
        note.sign(&self.signer, 1_700_000_000_000).unwrap();
        files.insert(CHECKPOINT_PATH.to_owned(), note.encode().into_bytes());
        *self.files.lock().unwrap() = files;
    }
}

/// Both logs, an authority, and a trust directory that knows them.
struct World {
    directory: TempDir,
    authority: (PrivateKey, Certificate),
    signatures: Log<EntryLeaf>,
    certificates: Log<CtLeaf>,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let profile = AuthorityProfile {
            organization: "Example",
            common_name: "Example CA",
            serial: Serial::from_random([1; 20]),
            not_before: NOT_BEFORE,
            not_after: NOT_BEFORE + 1_000_000,
        };
        let certificate = self_signed_root(&profile, &key).unwrap();

        let rekor_key = Arc::new(PrivateKey::generate(KeyKind::Ed25519).unwrap());
        let ct_key = Arc::new(PrivateKey::generate(KeyKind::EcdsaP256).unwrap());
        let ((rekor_port, rekor_files), (ct_port, ct_files)) = (serve(), serve());
        let ct_origin = format!("127.0.0.1:{ct_port}");
        let log = |port: u16, key: &PrivateKey, id: [u8; 32], details: &str| TransparencyLog {
            base_url: format!("http://127.0.0.1:{port}"),
            hash_algorithm: HashAlgorithm::Sha256,
            public_key: key.public_key().spki_der().to_vec(),
            key_details: KeyDetails::from_name(details).unwrap(),
            valid_for: ValidFor::from(UnixTime::from_seconds(0)),
            log_id: id.to_vec(),
            checkpoint_key_id: vec![],
            operator: String::new(),
        };
        let rekor_id = key_id_full("127.0.0.1", rekor_key.public_key()).unwrap();
        let root = TrustedRoot {
            tlogs: vec![log(rekor_port, &rekor_key, rekor_id, "PKIX_ED25519")],
            certificate_authorities: vec![CertificateAuthority {
                organization: "Example".into(),
                common_name: "Example CA".into(),
                uri: "http://127.0.0.1:1".into(),
                cert_chain: vec![certificate.der().to_vec()],
                valid_for: ValidFor::from(UnixTime::from_seconds(0)),
                operator: String::new(),
            }],
            ctlogs: vec![log(ct_port, &ct_key, log_id(ct_key.public_key()), "PKIX_ECDSA_P256_SHA_256")],
            timestamp_authorities: vec![],
        };
        fs::write(directory.path().join("trusted_root.json"), root.to_json()).unwrap();
        let mut world = Self {
            directory,
            authority: (key, certificate),
            signatures: Log::new(KeySigner::for_log("127.0.0.1", rekor_key).unwrap(), rekor_files),
            certificates: Log::new(KeySigner::tree_head(&ct_origin, ct_key).unwrap(), ct_files),
        };
        for number in 0..300_u32 {
            world.signatures.append(&entry(Verifier::PublicKey(number.to_le_bytes().to_vec())));
        }
        world.signatures.publish();
        world
    }

    fn issue(&self, identity: &str) -> Precert {
        let mut extensions = ExtensionValues::new();
        extensions.set_oidc_issuer(ISSUER);
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let profile = LeafProfile {
            serial: Serial::from_random([7; 20]),
            not_before: NOT_BEFORE,
            not_after: NOT_BEFORE + 600,
            public_key: key.public_key(),
            san: &San::Email(identity.to_owned()),
            extensions: &extensions,
        };
        precertificate(&profile, &self.authority.1, &self.authority.0).unwrap()
    }

    fn log_certificate(&mut self, identity: &str) {
        let precert = self.issue(identity);
        let issuer_key_hash = sha256(self.authority.1.spki_der());
        let (tbs, precert) = (precert.tbs_for_ct(), precert.certificate().der().to_vec());
        let entry = CtEntry::Precert { issuer_key_hash, tbs, precert };
        self.certificates.append(&CtSubmission { entry, issuers: vec![] });
        self.certificates.publish();
    }

    fn log_signature(&mut self, identity: &str) {
        let certificate = self.issue(identity).certificate().der().to_vec();
        self.signatures.append(&entry(Verifier::Certificate(certificate)));
        self.signatures.publish();
    }

    fn state(&self) -> PathBuf {
        self.directory.path().join("ann.watch")
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sealog"));
        let (trust, state) = (self.directory.path(), self.state());
        command.args(["watch", "--identity", ANN, "--trust"]).arg(trust);
        command.arg("--state").arg(state).args(more);
        command
    }

    fn once(&self, more: &[&str]) -> Output {
        self.command(&["--once"]).args(more).output().unwrap()
    }
}

fn entry(verifier: Verifier) -> EntryBytes {
    let rekord = HashedRekord {
        digest: HashAlgorithm::Sha256.digest(b"artifact"),
        signature: vec![1, 2, 3],
        verifier,
        key_details: KeyDetails::from_name("PKIX_ECDSA_P256_SHA_256").unwrap(),
    };
    EntryBytes(rekord.canonical())
}

fn events(output: &Output) -> Vec<(String, u64)> {
    let lines = String::from_utf8_lossy(&output.stdout);
    let parse = |line: &str| {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        (event["event"].as_str().unwrap().to_owned(), event["log_index"].as_u64().unwrap_or_default())
    };
    lines.lines().map(parse).collect()
}

fn ended(output: &Output, status: i32) {
    assert_eq!(output.status.code(), Some(status), "{}", String::from_utf8_lossy(&output.stderr));
}

fn told(kind: &str, index: u64) -> (String, u64) {
    (kind.to_owned(), index)
}

#[test]
fn each_use_of_a_name_is_told_once() {
    let mut world = World::new();
    world.log_certificate("bob@example.org");
    world.log_certificate(ANN);
    world.log_signature(ANN);
    let first = world.once(&["--json", "--issuer", ISSUER]);
    ended(&first, 0);
    assert_eq!(events(&first), [told("signature", 300), told("certificate", 1)]);
    let again = world.once(&["--json", "--issuer", ISSUER]);
    ended(&again, 0);
    assert!(again.stdout.is_empty());
    // The state belongs to the name and issuer it was made for.
    let other = world.once(&["--json", "--issuer", "https://other.example.org"]);
    ended(&other, 2);
    fs::remove_file(world.state()).unwrap();
    let plain = world.once(&[]);
    ended(&plain, 0);
    let lines = String::from_utf8_lossy(&plain.stdout).into_owned();
    assert!(
        lines.contains("signature by ann@example.org (through https://accounts.example.org) over sha256:")
    );
    assert!(lines.contains("certificate for ann@example.org"), "{lines}");
    fs::remove_file(world.state()).unwrap();
    let from_now = world.once(&["--from", "now"]);
    ended(&from_now, 0);
    assert!(from_now.stdout.is_empty());
    world.log_certificate(ANN);
    assert_eq!(events(&world.once(&["--json"])), [told("certificate", 2)]);
}

#[cfg(unix)]
#[test]
fn a_command_hears_of_each_event_until_it_succeeds() {
    let mut world = World::new();
    world.once(&[]);
    let before = fs::read(world.state()).unwrap();
    world.log_signature(ANN);
    let failed = world.once(&["--exec", "exit 7"]);
    ended(&failed, 3);
    assert_eq!(fs::read(world.state()).unwrap(), before);
    let heard = world.directory.path().join("heard");
    let script = format!("cat > '{0}'; echo \"$SEALOG_EVENT\" >> '{0}'; echo noise", heard.display());
    let output = world.once(&["--json", "--exec", &script]);
    ended(&output, 0);
    // Twice the event, on standard input and in the environment; the command's own words are not data.
    assert_eq!(fs::read_to_string(heard).unwrap(), String::from_utf8_lossy(&output.stdout).repeat(2));
    assert_eq!(events(&output), [told("signature", 300)]);
}

#[test]
fn what_nobody_took_is_told_again() {
    let mut world = World::new();
    world.once(&[]);
    let before = fs::read(world.state()).unwrap();
    world.log_signature(ANN);
    for more in [&["--once", "--json"][..], &["--json"]] {
        // Its reader has gone before the program starts.
        let (_, unread) = std::io::pipe().unwrap();
        let output = world.command(more).stdout(unread).stderr(Stdio::piped()).output().unwrap();
        ended(&output, 3);
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(talk.contains("nobody reads standard output any more"), "{talk}");
        assert_eq!(fs::read(world.state()).unwrap(), before);
    }
    assert_eq!(events(&world.once(&["--json"])), [told("signature", 300)]);
}

#[test]
fn a_log_that_misbehaves_ends_the_watch_and_moves_nothing() {
    let mut world = World::new();
    ended(&world.once(&[]), 0);
    let kept = fs::read(world.state()).unwrap();
    let refused = |world: &World, class: &str, words: &str| {
        let output = world.once(&["--json"]);
        ended(&output, 1);
        let alarm: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&alarm["event"], &alarm["class"]), (&"alarm".into(), &class.into()));
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        for part in [words, "expected", "found", "served by the log"] {
            assert!(talk.contains(part), "{part} in {talk}");
        }
        assert_eq!(fs::read(world.state()).unwrap(), kept);
    };

    // Another entry in the place of a signature.
    world.log_signature(ANN);
    let swapped = EntryLeaf::place(&entry(Verifier::PublicKey(vec![9; 9])), 0, 0).unwrap();
    let honest = std::mem::replace(&mut world.signatures.encoded[300], swapped.encoded);
    world.signatures.publish();
    refused(&world, "log-entry-swapped", "serves another entry 300");
    world.signatures.encoded[300] = honest;
    world.signatures.publish();

    // An entry bundle that is not there.
    let files = Arc::clone(&world.signatures.files);
    let path = "tile/entries/001.p/45";
    let bundle = files.lock().unwrap().remove(path).unwrap();
    refused(&world, "log-gap", "has a gap");
    files.lock().unwrap().insert(path.to_owned(), bundle);

    // Fewer entries than before, and others.
    let all = files.lock().unwrap().clone();
    let mut other = Log::<EntryLeaf>::new(world.signatures.signer.clone(), Arc::clone(&files));
    other.append(&entry(Verifier::PublicKey(vec![1])));
    other.publish();
    refused(&world, "log-shrunk", "shrank");
    for number in 0..400_u32 {
        other.append(&entry(Verifier::PublicKey(number.to_be_bytes().to_vec())));
    }
    other.publish();
    refused(&world, "log-forked", "rewrote its past");

    // Behaving again, it is read on from where it was trusted last.
    *files.lock().unwrap() = all;
    let output = world.once(&["--json"]);
    ended(&output, 0);
    assert_eq!(events(&output), [told("signature", 300)]);
}

#[test]
fn a_log_that_cannot_be_asked_is_not_accused() {
    let world = World::new();
    let root = world.directory.path().join("trusted_root.json");
    let closed = Reserved::new();
    let mut document: serde_json::Value = serde_json::from_slice(&fs::read(&root).unwrap()).unwrap();
    document["ctlogs"][0]["baseUrl"] = format!("http://127.0.0.1:{}", closed.port()).into();
    fs::write(&root, document.to_string()).unwrap();
    let output = world.once(&[]);
    ended(&output, 3);
    // A log that has ended is still asked what it logged last, unless it is left out.
    document["ctlogs"][0]["publicKey"]["validFor"] =
        serde_json::json!({"start": "1970-01-01T00:00:00Z", "end": "2020-01-01T00:00:00Z"});
    fs::write(&root, document.to_string()).unwrap();
    assert_eq!(world.once(&[]).status.code(), Some(3));
    let current = world.once(&["--current"]);
    ended(&current, 0);
    // The other log was read all the same.
    assert!(String::from_utf8_lossy(&output.stderr).contains("read to its end, size 300"));
    assert!(fs::read_to_string(world.state()).unwrap().contains("\"size\": 300"));
}

#[test]
fn a_following_watch_tells_at_once_and_ends_with_an_alarm() {
    let mut world = World::new();
    let mut command = world.command(&["--json", "--from", "now", "--interval", "20ms"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (send, lines) = mpsc::channel();
    let stdout = child.stdout.take().unwrap();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = send.send(serde_json::from_str::<serde_json::Value>(&line).unwrap());
        }
    });
    let next = || lines.recv_timeout(Duration::from_secs(20)).unwrap();
    wait_for(&world.state(), "\"size\": 0");
    world.log_certificate(ANN);
    assert_eq!(next()["event"], "certificate");
    wait_for(&world.state(), "\"size\": 1");
    let files = Arc::clone(&world.certificates.files);
    drop(Log::<CtLeaf>::new(world.certificates.signer.clone(), files));
    let alarm = next();
    assert_eq!((&alarm["class"], &alarm["event"]), (&"log-shrunk".into(), &"alarm".into()));
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

fn wait_for(path: &Path, text: &str) {
    for _ in 0..1000 {
        if fs::read_to_string(path).is_ok_and(|state| state.contains(text)) {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("{text} never came to stand in {}", path.display());
}
