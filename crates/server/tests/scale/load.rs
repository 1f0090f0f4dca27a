//! Clients that check every answer and remember all of them, and the reckoning at the end.
//!
//! What was acknowledged is looked for by a reader of public tiles that shares no code with the engine or the front end.

use sealog_bundle::{KeyDetails, TransparencyLogEntry, Verifier, request::HashedRekordRequest};
use sealog_crypto::{KeyKind, PrivateKey, Signer as _, sha256};
use sealog_tlog::{
    Edge, EntryLeaf, InclusionProof, SignedCheckpoint,
    leaf::split,
    merkle::{Hash, leaf_hash},
    note::KeyVerifier,
    tile::{TILE_WIDTH, bundles_since, tiles_for_size},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

const CLIENTS: u64 = 12;
/// Every so many requests one is sent a second time, and what a receipt's checkpoint promises is read.
const AGAIN: u64 = 7;
const READ: u64 = 5;

/// What clients know of the log, all together.
#[derive(Default)]
struct Known {
    /// Entry by leaf index, and the other way round.
    entries: BTreeMap<u64, Vec<u8>>,
    indexes: HashMap<Vec<u8>, u64>,
    /// Root hash by tree size, of every checkpoint that anybody saw.
    checkpoints: BTreeMap<u64, Hash>,
    /// The longest that a request took until it was acknowledged.
    slowest: Duration,
}

impl Known {
    fn checkpoint(&mut self, size: u64, root: Hash) {
        let known = *self.checkpoints.entry(size).or_insert(root);
        assert_eq!(known, root, "two checkpoints of {size} entries: the log is forked");
    }
}

/// Clients at work.
pub(crate) struct Load {
    known: Arc<Mutex<Known>>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    refused: Arc<AtomicU64>,
    clients: JoinSet<()>,
    key: Arc<KeyVerifier>,
    urls: Vec<String>,
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap()
}

/// A request that nobody sent before.
pub(crate) fn request(key: &PrivateKey, what: &str) -> String {
    let request = HashedRekordRequest {
        digest: sha256(what.as_bytes()).to_vec(),
        signature: key.sign(what.as_bytes()).unwrap(),
        verifier: Verifier::PublicKey(key.public_key().spki_der().to_vec()),
        key_details: KeyDetails::EcdsaP256Sha256,
    };
    request.to_json()
}

impl Load {
    /// Starts writing to these front ends, and reading from them.
    pub(crate) fn start(urls: &[&str], key: KeyVerifier) -> Self {
        let mut load = Self {
            known: Arc::default(),
            stop: Arc::default(),
            acknowledged: Arc::default(),
            refused: Arc::default(),
            clients: JoinSet::new(),
            key: Arc::new(key),
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
        };
        for client in 0..CLIENTS {
            let writer = load.writer(client);
            load.clients.spawn(writer);
        }
        for url in load.urls.clone() {
            let reader = load.reader(url);
            load.clients.spawn(reader);
        }
        load
    }

    fn writer(&self, client: u64) -> impl Future<Output = ()> + Send + use<> {
        let (known, stop, key) = (Arc::clone(&self.known), Arc::clone(&self.stop), Arc::clone(&self.key));
        let (acknowledged, refused) = (Arc::clone(&self.acknowledged), Arc::clone(&self.refused));
        let urls = self.urls.clone();
        async move {
            let signer = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
            let http = http();
            let mut n = 0;
            while !stop.load(SeqCst) {
                n += 1;
                let body = request(&signer, &format!("{client}/{n}"));
                let times = if n % AGAIN == 0 { 2 } else { 1 };
                for time in 0..times {
                    let begun = Instant::now();
                    // As clients do: again, and perhaps elsewhere, until it is acknowledged.
                    for attempt in 0.. {
                        let turn = usize::try_from(client + n + time + attempt).unwrap();
                        let url = format!("{}/api/v2/log/entries", urls[turn % urls.len()]);
                        let sent =
                            http.post(url).header("content-type", "application/json").body(body.clone());
                        let answer = sent.send().await.unwrap();
                        match answer.status().as_u16() {
                            201 => {
                                let text = answer.bytes().await.unwrap();
                                let size = check(&text, &key, &mut known.lock().unwrap());
                                acknowledged.fetch_add(1, SeqCst);
                                if n % READ == 0 {
                                    promised(&http, &urls[turn % urls.len()], size).await;
                                }
                                break;
                            }
                            503 => refused.fetch_add(1, SeqCst),
                            other => panic!("{other}: {}", answer.text().await.unwrap()),
                        };
                        assert!(begun.elapsed() < Duration::from_secs(60), "never acknowledged");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    let mut known = known.lock().unwrap();
                    known.slowest = known.slowest.max(begun.elapsed());
                }
            }
        }
    }

    /// Whatever a front end's checkpoint promises can be read from it, at any time.
    fn reader(&self, url: String) -> impl Future<Output = ()> + Send + use<> {
        let (known, stop, key) = (Arc::clone(&self.known), Arc::clone(&self.stop), Arc::clone(&self.key));
        async move {
            let http = http();
            while !stop.load(SeqCst) {
                let size = checkpoint(&http, &url, &key, &known).await;
                for tile in tiles_for_size(size).collect::<Vec<_>>().into_iter().rev().take(4) {
                    get(&http, &url, &tile.path()).await;
                }
                for bundle in bundles_since(0, size).collect::<Vec<_>>().into_iter().rev().take(2) {
                    get(&http, &url, &bundle.path("entries")).await;
                }
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        }
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(SeqCst)
    }

    /// Waits until so many more were acknowledged.
    pub(crate) async fn goes_on(&self, entries: u64, limit: Duration) -> Duration {
        let (begun, wanted) = (Instant::now(), self.acknowledged() + entries);
        while self.acknowledged() < wanted {
            assert!(begun.elapsed() < limit, "{} of {wanted} acknowledged", self.acknowledged());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        begun.elapsed()
    }

    /// Stops writing, and reads the whole log through each front end.
    pub(crate) async fn reckon(mut self) -> String {
        self.stop.store(true, SeqCst);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        let http = http();
        let newest = {
            let known = self.known.lock().unwrap();
            *known.checkpoints.last_key_value().unwrap().0
        };
        for url in &self.urls {
            let begun = Instant::now();
            let mut size = 0;
            while size < newest {
                assert!(begun.elapsed() < Duration::from_secs(60), "{size} of {newest} published");
                size = checkpoint(&http, url, &self.key, &self.known).await;
            }
            let mut entries = Vec::new();
            for bundle in bundles_since(0, size) {
                let bytes = get(&http, url, &bundle.path("entries")).await;
                let read: Vec<_> = split::<EntryLeaf>(&bytes).collect::<Result<_, _>>().unwrap();
                assert_eq!(read.len(), usize::from(bundle.width()));
                entries.extend(read.iter().map(|element| EntryLeaf::entry(element).unwrap().to_vec()));
            }
            assert_eq!(entries.len() as u64, size);
            let known = self.known.lock().unwrap();
            for (index, body) in &known.entries {
                assert_eq!(
                    &entries[usize::try_from(*index).unwrap()],
                    body,
                    "entry {index} was acknowledged"
                );
            }
            let mut sorted = entries.clone();
            sorted.sort();
            sorted.dedup();
            assert_eq!(sorted.len(), entries.len(), "an entry is in the log twice");
            let mut edge = Edge::new();
            for (size, body) in (1..).zip(&entries) {
                edge.push(leaf_hash(body));
                if edge.size().is_multiple_of(u64::from(TILE_WIDTH)) {
                    edge.trim();
                }
                if let Some(root) = known.checkpoints.get(&size) {
                    assert_eq!(edge.root(), *root, "the checkpoint of {size} entries is of another log");
                }
            }
        }
        let known = self.known.lock().unwrap();
        format!(
            "{} entries, {} answers, {} refusals, {} checkpoints, slowest {:?}",
            known.entries.len(),
            self.acknowledged(),
            self.refused.load(SeqCst),
            known.checkpoints.len(),
            known.slowest
        )
    }
}

/// What is under a receipt's checkpoint may not be in the bucket yet, and then only a sequencer has it: it can be read, or
/// nobody can be asked; it is never said not to be there.
async fn promised(http: &reqwest::Client, url: &str, size: u64) {
    let tile = tiles_for_size(size).filter(|tile| tile.level() == 0).last().unwrap();
    let bundle = bundles_since(0, size).last().unwrap();
    for path in [tile.path(), bundle.path("entries")] {
        let status = http.get(format!("{url}/{path}")).send().await.unwrap().status().as_u16();
        assert!(matches!(status, 200 | 503), "{status}: {path}");
    }
}

/// The size of the checkpoint it is proven under.
fn check(answer: &[u8], key: &KeyVerifier, known: &mut Known) -> u64 {
    let entry = TransparencyLogEntry::parse(answer).unwrap();
    let proof = entry.inclusion_proof.unwrap();
    let signed = SignedCheckpoint::parse(proof.checkpoint.as_bytes()).unwrap();
    let checkpoint = signed.verify(key).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root.0), (proof.tree_size, proof.root_hash));
    let hashes = proof.hashes.iter().copied().map(Hash).collect();
    InclusionProof { index: proof.log_index, size: proof.tree_size, hashes }
        .verify(&leaf_hash(&entry.canonicalized_body), &checkpoint.root)
        .unwrap();
    known.checkpoint(checkpoint.size, checkpoint.root);
    let body = entry.canonicalized_body;
    let there = known.entries.entry(entry.log_index).or_insert_with(|| body.clone());
    assert_eq!(*there, body, "two entries at index {}", entry.log_index);
    let before = *known.indexes.entry(body).or_insert(entry.log_index);
    assert_eq!(before, entry.log_index, "one entry at two indexes");
    proof.tree_size
}

async fn checkpoint(http: &reqwest::Client, url: &str, key: &KeyVerifier, known: &Mutex<Known>) -> u64 {
    let bytes = get(http, url, "checkpoint").await;
    let signed = SignedCheckpoint::parse(&bytes).unwrap();
    let checkpoint = signed.verify(key).unwrap();
    known.lock().unwrap().checkpoint(checkpoint.size, checkpoint.root);
    checkpoint.size
}

async fn get(http: &reqwest::Client, url: &str, path: &str) -> Vec<u8> {
    let answer = http.get(format!("{url}/{path}")).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{path}");
    answer.bytes().await.unwrap().to_vec()
}
