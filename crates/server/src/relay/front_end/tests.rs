//! A front end in front of sequencers that lie, lag and vanish: none of it becomes a receipt.

use super::*;
use axum::{Router, extract::Request as Asked, response::IntoResponse as _};
use http::StatusCode;
use sealog_crypto::{KeyKind, PrivateKey};
use sealog_log_engine::{Bucket, Object, PutError, Version};
use sealog_tlog::{
    Checkpoint, Edge, EntryBytes, EntryLeaf, Leaf as _, SignedNote,
    note::{KeySigner, KeyVerifier},
};
use std::{
    collections::VecDeque,
    io,
    sync::{Mutex as StdMutex, PoisonError},
    task::Poll,
};

const ORIGIN: &str = "log.example";
/// Much longer than anything here may take, and shorter than a caller's patience.
const LIMIT: Duration = Duration::from_secs(15);

/// A bucket with a head that can be changed, and a checkpoint.
#[derive(Default)]
struct Memory {
    head: StdMutex<String>,
    checkpoint: StdMutex<Vec<u8>>,
}

impl Memory {
    fn held_at(&self, url: &str, token: &str) {
        self.held_with(url, token, "");
    }

    /// With these lines of records that are not published.
    fn held_with(&self, url: &str, token: &str, segments: &str) {
        let lines = format!(
            "epoch 1\nholder ab {url}\ntoken {token}\nbeat 0\nsequence 1\ntime 0\nbase 0\n{segments}\nlog.example\n0\n\n"
        );
        let sum = crc32c::crc32c(lines.as_bytes());
        *self.head.lock().unwrap_or_else(PoisonError::into_inner) =
            format!("sealog head 1 {sum:08x}\n{lines}");
    }
}

impl Bucket for Memory {
    fn get(&self, key: &str) -> io::Result<Option<Object>> {
        let bytes = match key {
            "head" => self.head.lock().unwrap().clone().into_bytes(),
            "public/checkpoint" => self.checkpoint.lock().unwrap().clone(),
            _ => return Ok(None),
        };
        Ok(Some(Object { bytes: bytes.into(), version: Version(String::new()) }))
    }

    fn get_many(&self, keys: &[String]) -> io::Result<Vec<Option<Bytes>>> {
        keys.iter().map(|key| Ok(self.get(key)?.map(|object| object.bytes))).collect()
    }

    fn is_there(&self, key: &str) -> io::Result<bool> {
        Ok(self.get(key)?.is_some())
    }

    fn put_many(&self, _: &[(String, Bytes)]) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn put_if(&self, _: &str, _: &Bytes, _: Option<&Version>) -> Result<Version, PutError> {
        Err(PutError::Failed(io::ErrorKind::PermissionDenied.into()))
    }

    fn delete_many(&self, _: &[String]) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn list(&self, _: &str) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn name(&self) -> String {
        "memory".to_owned()
    }
}

struct Key(KeySigner);

impl Key {
    fn new() -> Self {
        Self(KeySigner::for_log(ORIGIN, Arc::new(PrivateKey::generate(KeyKind::Ed25519).unwrap())).unwrap())
    }

    fn sign(&self, origin: &str, edge: &Edge) -> Bytes {
        let (size, root) = (edge.size(), edge.root());
        let checkpoint = Checkpoint { origin: origin.to_owned(), size, root, extensions: Vec::new() };
        let mut note = SignedNote::new(checkpoint.encode());
        note.sign(&self.0, 0).unwrap();
        note.encode().into_bytes().into()
    }
}

/// The honest answer of a log of two entries, the first of them another one.
fn answer(key: &Key, entry: &[u8]) -> Answer {
    let encoded = |bytes: &[u8]| EntryLeaf::place(&EntryBytes(bytes.to_vec()), 0, 0).unwrap();
    let (other, ours) = (encoded(b"another"), encoded(entry));
    let mut edge = Edge::new();
    edge.push(other.leaf_hash);
    edge.push(ours.leaf_hash);
    let logged = Logged {
        index: 1,
        time_ms: Some(7),
        duplicate: false,
        checkpoint: 0,
        proof: vec![other.leaf_hash.0],
        encoded: ours.encoded.into(),
        voucher: b"vouched".to_vec(),
    };
    Answer { checkpoints: vec![key.sign(ORIGIN, &edge)], outcomes: vec![Outcome::Logged(logged)] }
}

/// Says these things (to requests of one entry), one after the other, then the last for ever; remembers which tokens it was shown.
struct Sequencer {
    url: String,
    asked: Arc<StdMutex<Vec<String>>>,
}

async fn sequencer(said: Vec<(u16, Vec<u8>)>) -> Sequencer {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<StdMutex<Vec<String>>> = Arc::default();
    let (remembers, said) = (Arc::clone(&asked), Arc::new(StdMutex::new(VecDeque::from(said))));
    let router = Router::new().fallback(async move |request: Asked| {
        let shown = request.headers()["authorization"].to_str().unwrap().to_owned();
        remembers.lock().unwrap().push(shown);
        let mut said = said.lock().unwrap();
        let (status, bytes) = match said.len() {
            1 => said[0].clone(),
            _ => said.pop_front().unwrap(),
        };
        (StatusCode::from_u16(status).unwrap(), bytes).into_response()
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Sequencer { url, asked }
}

fn front_end(key: &Key, bucket: &Arc<Memory>, max_pending: usize) -> FrontEnd<EntryLeaf> {
    let log: Arc<KeyVerifier> = Arc::new(key.0.verifier());
    let voucher = |_: &Receipt, voucher: &[u8]| {
        anyhow::ensure!(voucher == b"vouched", "another voucher");
        Ok(())
    };
    let trust = Trust { log, voucher: Arc::new(voucher) };
    let reader = Reader::of::<EntryLeaf>(Arc::clone(bucket) as Arc<dyn Bucket>);
    FrontEnd::start("test", reader, trust, max_pending)
}

fn entry() -> EntryBytes {
    EntryBytes(b"ours".to_vec())
}

#[tokio::test]
async fn a_receipt_that_does_not_hold_is_none() {
    let (key, stranger) = (Key::new(), Key::new());
    let good = answer(&key, b"ours");
    let with = |change: &dyn Fn(&mut Logged)| {
        let mut answer = good.clone();
        let Outcome::Logged(logged) = &mut answer.outcomes[0] else { unreachable!() };
        change(logged);
        answer.encode().unwrap()
    };
    let mut elsewhere = good.clone();
    elsewhere.outcomes = vec![Outcome::Elsewhere];
    let mut foreign = good.clone();
    let edge = Edge::new();
    foreign.checkpoints = vec![key.sign("other.example", &edge)];
    let mut damaged = good.encode().unwrap();
    damaged[40] ^= 1;
    let lies: Vec<(&str, u16, Vec<u8>)> = vec![
        ("of another entry", 200, answer(&key, b"theirs").encode().unwrap()),
        ("signed by a stranger", 200, answer(&stranger, b"ours").encode().unwrap()),
        ("of another log", 200, foreign.encode().unwrap()),
        ("at another index", 200, with(&|logged| logged.index = 0)),
        ("with another proof", 200, with(&|logged| logged.proof[0][0] ^= 1)),
        ("without a proof", 200, with(&|logged| logged.proof.clear())),
        ("with another voucher", 200, with(&|logged| logged.voucher.clear())),
        ("an entry cut off", 200, with(&|logged| logged.encoded.truncate(3))),
        ("damaged", 200, damaged),
        ("nothing", 200, Answer::default().encode().unwrap()),
        ("empty", 200, Vec::new()),
        ("elsewhere", 200, elsewhere.encode().unwrap()),
        ("not the token", 401, Vec::new()),
        ("not the log", 503, good.encode().unwrap()),
        ("sent on", 302, good.encode().unwrap()),
        ("made", 201, good.encode().unwrap()),
    ];
    for (what, status, lie) in lies {
        let bucket = Arc::new(Memory::default());
        let sequencer = sequencer(vec![(status, lie), (200, good.encode().unwrap())]).await;
        bucket.held_at(&sequencer.url, "t0ken");
        let (receipt, voucher) = front_end(&key, &bucket, 9).append(entry()).await.unwrap();
        assert_eq!((receipt.index, receipt.proof.size, voucher.as_slice()), (1, 2, &b"vouched"[..]));
        assert_eq!(*sequencer.asked.lock().unwrap(), ["Bearer t0ken"; 2], "{what}");
    }
}

#[tokio::test]
async fn refusals_are_told_and_end_it() {
    let key = Key::new();
    let second = Duration::from_secs(1);
    for (outcome, refusal) in [
        (Outcome::Invalid("no leaf".to_owned()), Refusal::Invalid("no leaf".to_owned())),
        (Outcome::Overloaded(second), Refusal::Overloaded(second)),
        (Outcome::StorageFull(second), Refusal::StorageFull(second)),
        (Outcome::Ended, Refusal::Ended),
    ] {
        let said = Answer { checkpoints: Vec::new(), outcomes: vec![outcome] }.encode().unwrap();
        let sequencer = sequencer(vec![(200, said)]).await;
        let bucket = Arc::new(Memory::default());
        bucket.held_at(&sequencer.url, "t");
        assert_eq!(front_end(&key, &bucket, 9).append(entry()).await, Err(refusal));
        assert_eq!(sequencer.asked.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn whoever_has_the_log_now_is_asked_and_nobody_waits_for_a_dead_one() {
    let key = Key::new();
    let bucket = Arc::new(Memory::default());
    // One that takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    bucket.held_at(&format!("http://{}", silent.local_addr().unwrap()), "one");
    let front_end = Arc::new(front_end(&key, &bucket, 1));
    let appending = tokio::spawn({
        let front_end = Arc::clone(&front_end);
        async move { front_end.append(entry()).await }
    });
    let _held = tokio::time::timeout(LIMIT, silent.accept()).await.expect("nobody asks it").unwrap();
    let second = sequencer(vec![(200, answer(&key, b"ours").encode().unwrap())]).await;
    bucket.held_at(&second.url, "two");
    let (receipt, _) = tokio::time::timeout(LIMIT, appending).await.unwrap().unwrap().unwrap();
    assert_eq!(receipt.index, 1);
    assert_eq!(*second.asked.lock().unwrap(), ["Bearer two"]);
}

/// Those that nobody can answer take nobody's place.
#[tokio::test]
async fn an_entry_that_always_comes_back_holds_up_no_other() {
    let key = Key::new();
    let good = answer(&key, b"ours");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, mut asked_for) = mpsc::unbounded_channel();
    let router = Router::new().fallback(async move |request: Asked| {
        let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
        let entries = wire::parse_request(&body).unwrap();
        entries.iter().for_each(|entry| asked.send(entry.to_vec()).unwrap());
        let outcome = |entry: &&[u8]| match *entry == b"ours" {
            true => good.outcomes[0].clone(),
            false => Outcome::Elsewhere,
        };
        let outcomes = entries.iter().map(outcome).collect();
        Answer { checkpoints: good.checkpoints.clone(), outcomes }.encode().unwrap()
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let bucket = Arc::new(Memory::default());
    bucket.held_at(&url, "t");
    let front_end = Arc::new(front_end(&key, &bucket, 100));
    let mut stuck = tokio::task::JoinSet::new();
    for n in 0..2 * SLOTS {
        let front_end = Arc::clone(&front_end);
        let ours = vec![u8::try_from(n).unwrap()];
        stuck.spawn({
            let ours = ours.clone();
            async move { front_end.append(EntryBytes(ours)).await }
        });
        // Each by itself: those that come together go out together.
        let sent = async { while asked_for.recv().await.unwrap() != ours {} };
        tokio::time::timeout(LIMIT, sent).await.expect("it is held up");
    }
    let (receipt, _) = tokio::time::timeout(LIMIT, front_end.append(entry())).await.unwrap().unwrap();
    assert_eq!(receipt.index, 1);
    stuck.shutdown().await;
    let long = EntryBytes(vec![0; 70_000]);
    let words = "the entry cannot become a leaf: an entry of 70000 bytes is longer than 65535".to_owned();
    assert_eq!(front_end.append(long).await, Err(Refusal::Invalid(words)));
}

#[tokio::test]
async fn no_more_wait_than_may() {
    let bucket = Arc::new(Memory::default());
    bucket.held_at("", "");
    let front_end = front_end(&Key::new(), &bucket, 2);
    let mut waiting = Vec::new();
    // As many as there are requests at a time, one in the hand of whoever sends them, and the queue.
    for n in 0..=SLOTS + 2 {
        let mut appended = Box::pin(front_end.append(EntryBytes(vec![u8::try_from(n).unwrap()])));
        assert!(std::future::poll_fn(|cx| Poll::Ready(appended.as_mut().poll(cx).is_pending())).await);
        waiting.push(appended);
        let taken = async {
            while n <= SLOTS && front_end.queue.capacity() < front_end.queue.max_capacity() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, taken).await.expect("nobody takes it");
    }
    assert_eq!(front_end.append(entry()).await, Err(Refusal::Overloaded(RETRY_AFTER)));
}

#[tokio::test]
async fn a_checkpoint_is_the_logs_and_never_an_older_one() {
    let key = Key::new();
    let bucket = Arc::new(Memory::default());
    let front_end = front_end(&key, &bucket, 1);
    let mut edge = Edge::new();
    edge.push(Hash([1; 32]));
    let older = key.sign(ORIGIN, &edge);
    edge.push(Hash([2; 32]));
    let newer = key.sign(ORIGIN, &edge);
    let read = async |bytes: &Bytes| {
        *bucket.checkpoint.lock().unwrap() = bytes.to_vec();
        tokio::time::sleep(CHECKPOINT_AGE * 2).await;
        front_end.read(CHECKPOINT_PATH.to_owned(), false).await
    };
    assert_eq!(read(&older).await.unwrap(), older);
    assert_eq!(read(&newer).await.unwrap(), newer);
    assert_eq!(read(&older).await.unwrap(), newer);
    assert_eq!(front_end.size(), 2);
    let forged = Key::new().sign(ORIGIN, &edge);
    assert_eq!(read(&forged).await.unwrap_err().status(), StatusCode::INTERNAL_SERVER_ERROR);
}

/// What is not known yet is asked for again, alone and with pauses; in the end it is known, or nobody waits any more.
#[tokio::test]
async fn only_what_is_not_known_yet_is_asked_for_again() {
    let key = Key::new();
    let good = answer(&key, b"ours");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests: Arc<StdMutex<Vec<Vec<Vec<u8>>>>> = Arc::default();
    let remembers = Arc::clone(&requests);
    let router = Router::new().fallback(async move |request: Asked| {
        let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
        let entries = wire::parse_request(&body).unwrap();
        let mut requests = remembers.lock().unwrap();
        requests.push(entries.iter().map(|entry| entry.to_vec()).collect());
        let outcome = |entry: &&[u8]| match *entry {
            b"ours" if requests.len() > 3 => good.outcomes[0].clone(),
            b"new" => Outcome::Invalid("told".to_owned()),
            _ => Outcome::Later,
        };
        let outcomes = entries.iter().map(outcome).collect();
        Answer { checkpoints: good.checkpoints.clone(), outcomes }.encode().unwrap()
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let bucket = Arc::new(Memory::default());
    bucket.held_at(&url, "t");
    let mut front_end = front_end(&key, &bucket, 100);
    let new = || front_end.append(EntryBytes(b"new".to_vec()));
    let (receipt, told) = tokio::join!(front_end.append(entry()), new());
    assert_eq!(receipt.unwrap().0.index, 1);
    assert_eq!(told, Err(Refusal::Invalid("told".to_owned())));
    let asked = std::mem::take(&mut *requests.lock().unwrap());
    let with = |what: &[u8]| asked.iter().filter(|entries| entries.iter().any(|e| e == what)).count();
    assert!(with(b"ours") >= 3, "{asked:?}");
    assert_eq!(with(b"new"), 1, "{asked:?}");

    front_end.patience = Duration::from_secs(3);
    let begun = Instant::now();
    assert_eq!(front_end.append(EntryBytes(b"never".to_vec())).await, Err(Refusal::Late));
    let (asked, took) = (requests.lock().unwrap().len(), begun.elapsed());
    assert!(took >= front_end.patience && took < APPEND_TIME, "{took:?}");
    let pauses = usize::try_from(took.as_millis() / FIRST_PAUSE.as_millis()).unwrap();
    assert!((2..=1 + pauses).contains(&asked), "{asked} requests in {took:?}");
}

/// «Not there» is said only where all that was committed can be read; else whoever has it must be asked.
#[tokio::test]
async fn nothing_is_said_not_to_be_there_that_may_be() {
    let (key, bucket) = (Key::new(), Arc::new(Memory::default()));
    let front_end = front_end(&key, &bucket, 1);
    let mut edge = Edge::new();
    edge.push(Hash([1; 32]));
    *bucket.checkpoint.lock().unwrap() = key.sign(ORIGIN, &edge).to_vec();
    for ended in [false, true] {
        let status = async |path: &str| front_end.read(path.to_owned(), ended).await.unwrap_err().status();
        // Nobody who could be asked, and one that does not answer.
        for url in ["", "http://127.0.0.1:1"] {
            bucket.held_with(url, "t", "segment 5 1-1-1\n");
            assert_eq!(status("tile/0/000.p/5").await, StatusCode::SERVICE_UNAVAILABLE);
            bucket.held_at(url, "t");
            assert_eq!(status("tile/0/000.p/5").await, StatusCode::NOT_FOUND);
            assert_eq!(status("tile/0/../head").await, StatusCode::NOT_FOUND);
        }
        bucket.head.lock().unwrap().clear();
        assert_eq!(status("tile/0/000.p/5").await, StatusCode::SERVICE_UNAVAILABLE);
    }
}
