//! A log in memory that misbehaves in every way, and what the watcher makes of it.

use super::*;
use sealog_bundle::{
    CertificateAuthority, HashedRekord, KeyDetails, TrustedRoot, UnixTime, ValidFor, Verifier,
};
use sealog_crypto::{HashAlgorithm, KeyKind, PrivateKey, Signer as _};
use sealog_pki::{
    Certificate, ExtensionValues, San,
    issue::{AuthorityProfile, LeafProfile, Precert, Serial, precertificate, self_signed_root},
};
use sealog_tlog::{
    Checkpoint, Edge, Hash, Leaf, SignedCheckpoint, SignedNote, Tile,
    ct::{CtEntry, CtLeaf, CtSubmission},
    leaf::{EntryBytes, EntryLeaf},
    note::{KeySigner, KeyType},
    tile::EntryBundle,
};
use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex},
};

const ANN: &str = "ann@example.org";
const ISSUER: &str = "https://accounts.example.org";
const NOW: i64 = 1_800_000_000;

/// A certificate authority.
struct Authority {
    key: PrivateKey,
    certificate: Certificate,
}

impl Authority {
    fn new() -> Self {
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let profile = AuthorityProfile {
            organization: "Example",
            common_name: "Example CA",
            serial: Serial::from_random([1; 20]),
            not_before: NOW - 1000,
            not_after: NOW + 1_000_000,
        };
        let certificate = self_signed_root(&profile, &key).unwrap();
        Self { key, certificate }
    }

    fn issue(&self, identity: &str, issuer: &str) -> Precert {
        let mut extensions = ExtensionValues::new();
        extensions.set_oidc_issuer(issuer);
        let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
        let profile = LeafProfile {
            serial: Serial::from_random([7; 20]),
            not_before: NOW,
            not_after: NOW + 600,
            public_key: key.public_key(),
            san: &San::Email(identity.to_owned()),
            extensions: &extensions,
        };
        precertificate(&profile, &self.certificate, &self.key).unwrap()
    }

    fn submission(&self, identity: &str, issuer: &str) -> CtSubmission {
        let precert = self.issue(identity, issuer);
        let issuer_key_hash = sealog_crypto::sha256(self.certificate.spki_der());
        let (tbs, precert) = (precert.tbs_for_ct(), precert.certificate().der().to_vec());
        let entry = CtEntry::Precert { issuer_key_hash, tbs, precert };
        CtSubmission { entry, issuers: vec![self.certificate.der().to_vec()] }
    }

    fn signature(&self, identity: &str, issuer: &str) -> EntryBytes {
        entry(Verifier::Certificate(self.issue(identity, issuer).certificate().der().to_vec()))
    }

    fn root(&self) -> TrustedRoot {
        TrustedRoot {
            tlogs: vec![],
            certificate_authorities: vec![CertificateAuthority {
                organization: "Example".into(),
                common_name: "Example CA".into(),
                uri: "http://localhost:1".into(),
                cert_chain: vec![self.certificate.der().to_vec()],
                valid_for: ValidFor::from(UnixTime::from_seconds(0)),
                operator: String::new(),
            }],
            ctlogs: vec![],
            timestamp_authorities: vec![],
        }
    }

    fn interest(&self, issuer: Option<&str>) -> Interest {
        Interest::new(ANN, issuer, &self.root()).unwrap()
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

/// Somebody else's signature.
fn other(number: usize) -> EntryBytes {
    entry(Verifier::PublicKey(format!("key {number}").into_bytes()))
}

/// A log in memory. `replaced` is what it serves in place of what it should.
struct MemoryLog {
    description: LogDescription,
    signer: KeySigner,
    encoded: Vec<Vec<u8>>,
    edge: Edge,
    checkpoint: SignedCheckpoint,
    replaced: HashMap<String, Option<Vec<u8>>>,
    unreachable: bool,
    asked: Mutex<Vec<String>>,
}

impl MemoryLog {
    fn new(kind: LogKind, origin: &str) -> Self {
        let key = Arc::new(PrivateKey::generate(KeyKind::EcdsaP256).unwrap());
        let key_type = match kind {
            LogKind::Signatures => KeyType::Ecdsa,
            LogKind::Certificates => KeyType::TreeHead,
        };
        let signer = KeySigner::new(origin, key_type, key).unwrap();
        let description = LogDescription {
            kind,
            origin: origin.to_owned(),
            url: format!("http://{origin}").parse().unwrap(),
            log_id: origin.as_bytes().to_vec(),
            key: signer.verifier(),
        };
        let checkpoint = sign(&signer, &Edge::new());
        Self {
            description,
            signer,
            encoded: vec![],
            edge: Edge::new(),
            checkpoint,
            replaced: HashMap::new(),
            unreachable: false,
            asked: Mutex::default(),
        }
    }

    fn signatures() -> Self {
        Self::new(LogKind::Signatures, "localhost")
    }

    fn append<L: Leaf>(&mut self, pending: &L::Pending) {
        let placed = L::place(pending, self.edge.size(), 1_700_000_000_000).unwrap();
        self.edge.push(placed.leaf_hash);
        self.encoded.push(placed.encoded);
    }

    fn append_others(&mut self, count: usize) {
        for _ in 0..count {
            self.append::<EntryLeaf>(&other(self.encoded.len()));
        }
        self.publish();
    }

    fn publish(&mut self) {
        self.checkpoint = sign(&self.signer, &self.edge);
    }

    /// The same log with another past: cut off, then grown differently.
    fn forked(&self, kept: usize, size: usize) -> Self {
        let mut fork = Self { replaced: HashMap::new(), asked: Mutex::default(), ..Self::signatures() };
        fork.signer = self.signer.clone();
        fork.description = self.description.clone();
        for encoded in &self.encoded[..kept] {
            fork.append::<EntryLeaf>(&EntryBytes(EntryLeaf::entry(encoded).unwrap().to_vec()));
        }
        for number in kept..size {
            fork.append::<EntryLeaf>(&other(1_000_000 + number));
        }
        fork.publish();
        fork
    }

    async fn follow(&self, state: &LogState, interest: &Interest) -> Result<Step, Stop> {
        follow_once(state, &self.description, interest, self).await
    }

    /// Follows to the end.
    async fn read(&self, interest: &Interest) -> (Vec<Event>, LogState) {
        let mut all = (vec![], LogState::beginning());
        loop {
            let step = self.follow(&all.1, interest).await.unwrap();
            all.0.extend(step.events);
            all.1 = step.state;
            if !step.more {
                return all;
            }
        }
    }

    async fn misbehaviour(&self, state: &LogState, interest: &Interest) -> Misbehaviour {
        match self.follow(state, interest).await {
            Err(Stop::Alarm(alarm)) => {
                assert_eq!(alarm.log, self.description.origin);
                assert!(!alarm.misbehaviour.expected().is_empty() && !alarm.misbehaviour.found().is_empty());
                alarm.misbehaviour
            }
            other => panic!("no alarm but {other:?}"),
        }
    }

    fn serve(&self, path: &str, bytes: impl FnOnce() -> Option<Vec<u8>>) -> Result<Vec<u8>, FetchError> {
        self.asked.lock().unwrap().push(path.to_owned());
        if self.unreachable {
            return Err(FetchError::Trouble("no route to host".into()));
        }
        match self.replaced.get(path) {
            Some(replaced) => replaced.clone(),
            None => bytes(),
        }
        .ok_or(FetchError::Missing)
    }
}

fn sign(signer: &KeySigner, edge: &Edge) -> SignedCheckpoint {
    use sealog_tlog::NoteSigner as _;
    let checkpoint = Checkpoint {
        origin: signer.name().to_owned(),
        size: edge.size(),
        root: edge.root(),
        extensions: vec![],
    };
    let mut note = SignedNote::new(checkpoint.encode());
    note.sign(signer, 1_700_000_000_000).unwrap();
    SignedCheckpoint { checkpoint, note }
}

impl TileSource for MemoryLog {
    async fn checkpoint(&self) -> Result<SignedCheckpoint, FetchError> {
        let bytes = self.serve("checkpoint", || Some(self.checkpoint.note.encode().into_bytes()))?;
        SignedCheckpoint::parse(bytes).map_err(FetchError::Checkpoint)
    }

    async fn tile(&self, tile: Tile) -> Result<Vec<Hash>, FetchError> {
        let bytes = self.serve(&tile.path(), || self.edge.tile_bytes(&tile))?;
        tile.decode(&bytes).map_err(FetchError::Tile)
    }

    async fn bundle(&self, bundle: EntryBundle, dir: &str) -> Result<Vec<u8>, FetchError> {
        let first = usize::try_from(bundle.index()).unwrap() * 256;
        let entries = || Some(self.encoded.get(first..)?.get(..usize::from(bundle.width()))?.concat());
        self.serve(&bundle.path(dir), entries)
    }
}

#[tokio::test]
async fn names_are_found_in_both_logs() {
    let authority = Authority::new();
    let interest = authority.interest(Some(ISSUER));
    let mut log = MemoryLog::signatures();
    log.append_others(300);
    log.append::<EntryLeaf>(&authority.signature(ANN, ISSUER));
    log.append::<EntryLeaf>(&authority.signature("ann@example.org.evil.example", ISSUER));
    log.append::<EntryLeaf>(&authority.signature(ANN, "https://other.example.org"));
    log.append::<EntryLeaf>(&Authority::new().signature(ANN, ISSUER));
    log.append_others(2);
    let (events, state) = log.read(&interest).await;
    let found: Vec<_> = events.iter().map(|e| (e.kind, e.log_index, e.trusted_authority)).collect();
    assert_eq!(found, [(EventKind::Signature, 300, Some(true)), (EventKind::Signature, 303, Some(false))]);
    let digest = HashAlgorithm::Sha256.digest(b"artifact").to_string();
    assert_eq!(events[0].artifact.as_deref(), Some(digest.as_str()));
    assert_eq!(events[0].issuer.as_deref(), Some(ISSUER));
    assert!(events[1].to_string().contains("does not know"), "{}", events[1]);
    assert_eq!(state.size(), 306);

    // Nothing new: the checkpoint is all that is asked for.
    log.asked.lock().unwrap().clear();
    let idle = log.follow(&state, &interest).await.unwrap();
    assert!(idle.events.is_empty() && !idle.changed && !idle.more);
    assert_eq!(*log.asked.lock().unwrap(), ["checkpoint"]);

    // One more, inside a bundle that was partly read before: told once, others not again.
    log.append::<EntryLeaf>(&authority.signature(ANN, ISSUER));
    log.publish();
    let step = log.follow(&state, &interest).await.unwrap();
    assert_eq!(step.events.iter().map(|e| e.log_index).collect::<Vec<_>>(), [306]);
    assert!(step.changed);

    let mut certificates = MemoryLog::new(LogKind::Certificates, "localhost:4");
    for identity in ["bob@example.org", ANN, "eve@example.org"] {
        certificates.append::<CtLeaf>(&authority.submission(identity, ISSUER));
    }
    certificates.append::<CtLeaf>(&Authority::new().submission(ANN, ISSUER));
    certificates.publish();
    let (events, _) = certificates.read(&interest).await;
    let found: Vec<_> = events.iter().map(|e| (e.kind, e.log_index, e.trusted_authority)).collect();
    assert_eq!(found, [(EventKind::Certificate, 1, Some(true)), (EventKind::Certificate, 3, Some(false))]);
    assert_eq!(events[0].logged_at.as_deref(), Some("2023-11-14T22:13:20Z"));
    let json: serde_json::Value = serde_json::from_str(&events[0].to_json()).unwrap();
    assert_eq!((&json["event"], &json["identity"]), (&"certificate".into(), &ANN.into()));
}

#[tokio::test]
async fn what_the_leaf_hash_does_not_cover_is_not_believed() {
    let authority = Authority::new();
    let mut log = MemoryLog::new(LogKind::Certificates, "localhost:4");
    let mut submission = authority.submission("bob@example.org", ISSUER);
    let CtEntry::Precert { precert, .. } = &mut submission.entry else { unreachable!("it is one") };
    *precert = authority.issue(ANN, ISSUER).certificate().der().to_vec();
    log.append::<CtLeaf>(&submission);
    log.publish();
    let (events, state) = log.read(&authority.interest(None)).await;
    assert_eq!((events, state.size()), (vec![], 1));
}

#[tokio::test]
async fn what_cannot_be_read_is_told_if_it_may_be_in_the_name() {
    let authority = Authority::new();
    let mut log = MemoryLog::signatures();
    log.append::<EntryLeaf>(&entry(Verifier::Certificate(format!("junk {ANN} junk").into_bytes())));
    log.append::<EntryLeaf>(&entry(Verifier::Certificate(b"junk of somebody else".to_vec())));
    log.append::<EntryLeaf>(&EntryBytes(b"not JSON".to_vec()));
    log.append::<EntryLeaf>(&EntryBytes(br#"{"apiVersion":"9.9.9","kind":"novel","spec":{}}"#.to_vec()));
    log.publish();
    let (events, state) = log.read(&authority.interest(None)).await;
    let found: Vec<_> = events.iter().map(|e| (e.kind, e.log_index)).collect();
    assert_eq!(found, [0, 2, 3].map(|index| (EventKind::Unreadable, index)));
    assert_eq!(state.size(), 4);
}

#[tokio::test]
async fn a_swapped_leaf_is_named() {
    let authority = Authority::new();
    let interest = authority.interest(None);
    let mut log = MemoryLog::signatures();
    log.append_others(700);
    let seen = log.read(&interest).await.1;
    log.append::<EntryLeaf>(&authority.signature(ANN, ISSUER));
    log.append_others(50);
    // The log hides a signature: its tree holds it, its bundle has another in its place.
    let honest = std::mem::replace(&mut log.encoded[700], EntryLeaf::place(&other(9), 0, 0).unwrap().encoded);
    for state in [&seen, &LogState::beginning()] {
        let found = log.misbehaviour(state, &interest).await;
        let expected = EntryLeaf::leaf_hash(&honest).unwrap();
        assert!(
            matches!(found, Misbehaviour::Swapped { index: 700, expected: e, .. } if e == expected),
            "{found:?}"
        );
    }
    // Even if it does not serve the tile that would tell which.
    for path in ["tile/0/002.p/239", "tile/0/002"] {
        log.replaced.insert(path.into(), None);
    }
    let found = log.misbehaviour(&seen, &interest).await;
    assert!(matches!(found, Misbehaviour::OtherTree { .. }), "{found:?}");
    // Served honestly again, nothing was lost.
    log.encoded[700] = honest;
    let step = log.follow(&seen, &interest).await.unwrap();
    assert_eq!(step.events.iter().map(|e| e.log_index).collect::<Vec<_>>(), [700]);
}

#[tokio::test]
async fn a_log_that_goes_back_is_caught() {
    let interest = Authority::new().interest(None);
    let mut log = MemoryLog::signatures();
    log.append_others(300);
    let before = log.checkpoint.clone();
    log.append_others(1);
    let seen = log.read(&interest).await.1;
    log.checkpoint = before;
    let found = log.misbehaviour(&seen, &interest).await;
    assert!(matches!(found, Misbehaviour::Shrunk { expected: 301, found: 300 }), "{found:?}");
    assert_eq!(found.class(), "log-shrunk");
    let empty = MemoryLog { encoded: vec![], edge: Edge::new(), ..log.forked(0, 0) };
    let found = empty.misbehaviour(&seen, &interest).await;
    assert!(matches!(found, Misbehaviour::Shrunk { expected: 301, found: 0 }), "{found:?}");
}

#[tokio::test]
async fn a_forked_log_is_caught() {
    let interest = Authority::new().interest(None);
    let mut log = MemoryLog::signatures();
    log.append_others(300);
    let seen = log.read(&interest).await.1;
    let same_size = log.forked(200, 300);
    match same_size.follow(&seen, &interest).await {
        Err(Stop::Alarm(alarm)) => {
            assert!(matches!(alarm.misbehaviour, Misbehaviour::Forked { size: 300, .. }), "{alarm:?}");
            // Both trees, each under the log's signature: that is the proof.
            assert_eq!(alarm.evidence, [log.checkpoint.note.encode(), same_size.checkpoint.note.encode()]);
        }
        other => panic!("no alarm but {other:?}"),
    }
    for (kept, size) in [(0, 301), (200, 301), (299, 700), (299, 512)] {
        let found = log.forked(kept, size).misbehaviour(&seen, &interest).await;
        assert!(matches!(found, Misbehaviour::Rewritten { old: 300, .. }), "{found:?}");
        assert_eq!(found.class(), "log-forked");
    }
    // An honest continuation is none.
    assert!(log.forked(300, 700).follow(&seen, &interest).await.is_ok());
}

#[tokio::test]
async fn gaps_are_caught() {
    let interest = Authority::new().interest(None);
    let mut log = MemoryLog::signatures();
    log.append_others(600);
    let seen = LogState::beginning();
    log.replaced.insert("tile/entries/001".into(), None);
    let found = log.misbehaviour(&seen, &interest).await;
    assert!(
        matches!(&found, Misbehaviour::Missing { path, size: 600 } if path == "tile/entries/001"),
        "{found:?}"
    );
    let short = log.encoded[256..500].concat();
    log.replaced.insert("tile/entries/001".into(), Some(short.clone()));
    let found = log.misbehaviour(&seen, &interest).await;
    assert!(matches!(found, Misbehaviour::Short { expected: 256, found: 244, .. }), "{found:?}");
    log.replaced.insert("tile/entries/001".into(), Some(short[..short.len() - 1].to_vec()));
    let found = log.misbehaviour(&seen, &interest).await;
    assert!(matches!(found, Misbehaviour::Entry { index: 499, .. }), "{found:?}");
    log.replaced.insert("tile/entries/001".into(), Some(vec![]));
    let found = log.misbehaviour(&seen, &interest).await;
    assert!(matches!(found, Misbehaviour::Short { expected: 256, found: 0, .. }), "{found:?}");
    // A wider bundle in the place of a partial one is no gap.
    log.replaced.clear();
    let mut wider = log.encoded[512..].concat();
    wider.extend(EntryLeaf::place(&other(1), 0, 0).unwrap().encoded);
    log.replaced.insert("tile/entries/002.p/88".into(), Some(wider));
    assert!(log.follow(&seen, &interest).await.is_ok());
}

#[tokio::test]
async fn a_checkpoint_counts_only_with_the_logs_signature() {
    let interest = Authority::new().interest(None);
    let mut log = MemoryLog::signatures();
    log.append_others(3);
    let honest = log.description.clone();
    // Another key under the log's name.
    log.description.key = MemoryLog::signatures().description.key;
    let found = log.misbehaviour(&LogState::beginning(), &interest).await;
    assert!(matches!(found, Misbehaviour::Unverified(_)), "{found:?}");
    // Another log's checkpoint.
    log.description = MemoryLog::new(LogKind::Signatures, "elsewhere").description;
    let found = log.misbehaviour(&LogState::beginning(), &interest).await;
    assert!(matches!(found, Misbehaviour::Unverified(_)), "{found:?}");
    // No checkpoint at all.
    log.description = honest;
    log.replaced.insert("checkpoint".into(), Some(b"<html>sign in</html>".to_vec()));
    let found = log.misbehaviour(&LogState::beginning(), &interest).await;
    assert!(matches!(found, Misbehaviour::Unverified(_)), "{found:?}");
    // One that was altered.
    let altered = log.checkpoint.note.encode().replace("\n3\n", "\n2\n");
    log.replaced.insert("checkpoint".into(), Some(altered.into_bytes()));
    let found = log.misbehaviour(&LogState::beginning(), &interest).await;
    assert!(matches!(found, Misbehaviour::Unverified(_)), "{found:?}");
}

#[tokio::test]
async fn a_network_in_trouble_is_no_alarm() {
    let interest = Authority::new().interest(None);
    let mut log = MemoryLog::signatures();
    log.append_others(3);
    log.unreachable = true;
    let stop = log.follow(&LogState::beginning(), &interest).await;
    assert!(matches!(stop, Err(Stop::Trouble { .. })), "{stop:?}");
    log.unreachable = false;
    log.replaced.insert("checkpoint".into(), None);
    let stop = log.follow(&LogState::beginning(), &interest).await;
    assert!(matches!(stop, Err(Stop::Trouble { .. })), "{stop:?}");
}

#[tokio::test]
async fn a_certificate_entry_stands_where_it_says() {
    let authority = Authority::new();
    let mut log = MemoryLog::new(LogKind::Certificates, "localhost:4");
    let placed = CtLeaf::place(&authority.submission(ANN, ISSUER), 7, 0).unwrap();
    log.edge.push(placed.leaf_hash);
    log.encoded.push(placed.encoded);
    log.publish();
    let found = log.misbehaviour(&LogState::beginning(), &authority.interest(None)).await;
    assert!(matches!(found, Misbehaviour::Misplaced { expected: 0, found: 7 }), "{found:?}");
}

#[tokio::test]
async fn from_now_on_nothing_before_is_told_and_everything_after_is_held_together() {
    let authority = Authority::new();
    let interest = authority.interest(None);
    let mut log = MemoryLog::signatures();
    let empty = start_from_now(&log.description, &log).await.unwrap();
    assert_eq!(empty.size(), 0);
    log.append::<EntryLeaf>(&authority.signature(ANN, ISSUER));
    log.append_others(66_000);
    let now = start_from_now(&log.description, &log).await.unwrap();
    assert_eq!(now.size(), 66_001);
    assert!(log.asked.lock().unwrap().iter().all(|path| !path.contains("entries")));
    let found = log.forked(65_000, 66_002).misbehaviour(&now, &interest).await;
    assert!(matches!(found, Misbehaviour::Rewritten { old: 66_001, .. }), "{found:?}");
    log.append::<EntryLeaf>(&authority.signature(ANN, ISSUER));
    log.publish();
    let step = log.follow(&now, &interest).await.unwrap();
    assert_eq!(step.events.iter().map(|e| e.log_index).collect::<Vec<_>>(), [66_001]);
    // Tiles that do not make the signed tree.
    let tile = Tile::new(0, 257, 210).unwrap();
    log.replaced.insert(tile.path(), Some(vec![7; 210 * 32]));
    let stop = start_from_now(&log.description, &log).await;
    assert!(
        matches!(&stop, Err(Stop::Alarm(alarm)) if matches!(alarm.misbehaviour, Misbehaviour::OtherTree { .. })),
        "{stop:?}"
    );
}

#[tokio::test]
async fn a_long_log_is_read_in_steps_each_proven() {
    let interest = Authority::new().interest(None);
    let mut log = MemoryLog::signatures();
    log.append_others(66_000);
    let first = log.follow(&LogState::beginning(), &interest).await.unwrap();
    assert!(first.more && first.changed);
    assert_eq!(first.state.size(), MAX_ENTRIES_PER_STEP);
    let second = log.follow(&first.state, &interest).await.unwrap();
    assert!(!second.more);
    assert_eq!(second.state.size(), 66_000);
    // A swap in the first step is not told by the last root only.
    let honest = std::mem::replace(&mut log.encoded[17], EntryLeaf::place(&other(9), 0, 0).unwrap().encoded);
    let found = log.misbehaviour(&LogState::beginning(), &interest).await;
    assert!(matches!(found, Misbehaviour::Swapped { index: 17, .. }), "{found:?}");
    log.encoded[17] = honest;
    // Between two steps the log grows; its old checkpoint must still hold, though not all was read.
    let forked = log.forked(65_700, 66_100);
    let found = forked.misbehaviour(&first.state, &interest).await;
    assert!(matches!(found, Misbehaviour::Rewritten { old: 66_000, new: 66_100, .. }), "{found:?}");
    log.append_others(100);
    let grown = log.follow(&first.state, &interest).await.unwrap();
    assert_eq!(grown.state.size(), 66_100);
}

#[tokio::test]
async fn what_was_read_is_kept_and_an_alarm_keeps_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ann.watch");
    let interest = Authority::new().interest(Some(ISSUER));
    let mut log = MemoryLog::signatures();
    log.append_others(300);

    let mut file = StateFile::open(&path, &interest).unwrap();
    assert!(file.state_of(&log.description).unwrap().is_none());
    assert!(!path.exists());
    file.keep(&log.description, &log.read(&interest).await.1).unwrap();
    assert!(matches!(StateFile::open(&path, &interest), Err(StateError::InUse { .. })));
    drop(file);
    let kept = std::fs::read(&path).unwrap();

    let file = StateFile::open(&path, &interest).unwrap();
    let state = file.state_of(&log.description).unwrap().unwrap();
    assert_eq!(state.size(), 300);
    let shrunk = log.forked(200, 200);
    let found = shrunk.misbehaviour(&state, &interest).await;
    assert!(matches!(found, Misbehaviour::Shrunk { expected: 300, found: 200 }), "{found:?}");
    assert_eq!(std::fs::read(&path).unwrap(), kept);
    log.append_others(5);
    assert_eq!(log.follow(&state, &interest).await.unwrap().state.size(), 305);

    let stranger = MemoryLog::new(LogKind::Signatures, "elsewhere");
    assert!(file.state_of(&stranger.description).unwrap().is_none());
    assert_eq!(file.left_behind(&[stranger.description]), ["localhost"]);
    assert!(file.left_behind(&[log.description.clone()]).is_empty());
    // The same name and ID with another key is not the log that was followed.
    let impostor = MemoryLog::signatures();
    let damaged = file.state_of(&impostor.description);
    assert!(matches!(damaged, Err(StateError::Damaged { .. })), "{damaged:?}");
    let left: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test]
async fn a_state_file_that_does_not_hold_together_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ann.watch");
    let authority = Authority::new();
    let interest = authority.interest(None);
    let mut log = MemoryLog::signatures();
    log.append_others(300);
    let state = log.read(&interest).await.1;
    StateFile::open(&path, &interest).unwrap().keep(&log.description, &state).unwrap();
    let kept = std::fs::read_to_string(&path).unwrap();
    let open = |path: &Path| StateFile::open(path, &interest)?.state_of(&log.description);
    assert!(open(&path).unwrap().is_some());

    let other = Interest::new("bob@example.org", None, &authority.root()).unwrap();
    assert!(matches!(StateFile::open(&path, &other), Err(StateError::OtherName { .. })));
    let narrower = authority.interest(Some(ISSUER));
    assert!(matches!(StateFile::open(&path, &narrower), Err(StateError::OtherName { .. })));
    let peak = state.peaks.hashes()[0].to_string();
    for (from, to) in [
        ("\"version\": 1", "\"version\": 2".to_owned()),
        ("\"size\": 300", "\"size\": 301".to_owned()),
        ("\"size\": 300", "\"size\": 65580".to_owned()),
        ("\"version\": 1", "\"version\": 1, \"more\": 1".to_owned()),
        (&peak, "00".repeat(32)),
        (&peak, "zz".repeat(32)),
        ("\\n300\\n", "\\n301\\n".to_owned()),
        ("}", String::new()),
    ] {
        assert!(kept.contains(from), "{from}");
        std::fs::write(&path, kept.replacen(from, &to, 1)).unwrap();
        let refused = open(&path);
        assert!(refused.is_err(), "{from} to {to}: {refused:?}");
    }
    std::fs::write(&path, "").unwrap();
    assert!(matches!(open(&path), Err(StateError::Malformed { .. })));
}

#[test]
fn an_empty_name_is_refused() {
    let root = Authority::new().root();
    assert!(matches!(Interest::new("", None, &root), Err(InterestError::Empty)));
}
