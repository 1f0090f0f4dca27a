//! A sequencer as front ends ask it, over a bucket whose old entries take long to be read.

use super::*;
use crate::{clock::Clock, kept::Kept, rekor, relay::memory::Memory};
use sealog_crypto::{KeyKind, PrivateKey};
use sealog_log_engine::{BucketPlace, Settings};
use sealog_tlog::{EntryBytes, EntryLeaf, note::KeySigner};

const TOKEN: &str = "t0ken";
/// More than a bundle: the entries of a full one are read from the store.
const ENTRIES: usize = 300;
const BUNDLE: &str = "public/tile/entries/000";
/// Much longer than anything here may take.
const LIMIT: Duration = Duration::from_secs(30);

struct World {
    bucket: Arc<Memory>,
    url: String,
    http: reqwest::Client,
    /// Where each entry stands: those that come at once take their places in any order.
    places: Vec<u64>,
    _home: tempfile::TempDir,
}

/// Whoever waits for an object would keep the process from ending.
impl Drop for World {
    fn drop(&mut self) {
        self.bucket.hold_up(None);
    }
}

fn entry(n: usize) -> EntryBytes {
    EntryBytes(format!("entry {n}").into_bytes())
}

impl World {
    /// A log of entries that were logged by an earlier process; it may have an end.
    async fn with(end: &str) -> Self {
        let (home, bucket) = (tempfile::tempdir().unwrap(), Arc::new(Memory::default()));
        let key = Arc::new(PrivateKey::generate(KeyKind::Ed25519).unwrap());
        let signer = Arc::new(KeySigner::for_log("log.example", key).unwrap());
        let seen = home.path().join("seen");
        let settings = Settings::new("log.example", vec![signer], Clock::system().as_fn(), seen);
        let place = BucketPlace {
            bucket: Arc::clone(&bucket) as _,
            local: home.path().join("local"),
            at: String::new(),
            token: TOKEN.to_owned(),
            stand_by: false,
            given_up: Arc::default(),
        };
        let log = Log::<EntryLeaf>::create(place.clone(), settings.clone(), None).unwrap();
        let mut appending = tokio::task::JoinSet::new();
        for n in 0..ENTRIES {
            let appended = log.append(entry(n));
            appending.spawn(async move { (n, appended.await.unwrap().index) });
        }
        let mut places = vec![0; ENTRIES];
        while let Some(appended) = appending.join_next().await {
            let (n, index) = appended.unwrap();
            places[n] = index;
        }
        tokio::task::spawn_blocking(move || log.close()).await.unwrap().unwrap();

        let vouch = Arc::new(|_: &Receipt| Ok(Vec::new()));
        let ledger = Ledger::<EntryLeaf>::open("test", Kept::of(place), settings, vouch).await.unwrap();
        let config = format!("listen = \"127.0.0.1:1\"\nurl = \"http://log.example\"\n{end}");
        let config: rekor::config::Config = toml::from_str(&config).unwrap();
        let ledger = ledger.within(&config.periods()[0], &Clock::system());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = router(ledger, TOKEN.to_owned());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { bucket, url, http, places, _home: home }
    }

    /// The entry of the earlier process that stands there.
    fn at(&self, place: u64) -> EntryBytes {
        entry(self.places.iter().position(|at| *at == place).unwrap())
    }

    async fn ask(&self, entries: &[EntryBytes]) -> Vec<Outcome> {
        let message = wire::request(entries.iter().map(|entry| entry.0.as_slice())).unwrap();
        let asked = self.http.post(format!("{}{APPEND}", self.url)).bearer_auth(TOKEN).body(message);
        let answer = tokio::time::timeout(LIMIT, asked.send()).await.expect("no answer").unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        Answer::parse(&answer.bytes().await.unwrap(), entries.len()).unwrap().outcomes
    }

    /// Asks again for those that are not known yet, as front ends do, and for others besides, which must not be known.
    async fn ask_until_known(&self, entries: &[EntryBytes], unknown: &[EntryBytes]) -> Vec<(u64, bool)> {
        let mut known = vec![None; entries.len()];
        let asking = async {
            while known.contains(&None) {
                let left: Vec<_> = (0..entries.len()).filter(|n| known[*n].is_none()).collect();
                let asked: Vec<_> =
                    unknown.iter().chain(left.iter().map(|n| &entries[*n])).cloned().collect();
                let outcomes = self.ask(&asked).await;
                let (unknown, outcomes) = outcomes.split_at(unknown.len());
                assert!(unknown.iter().all(|outcome| *outcome == Outcome::Later), "{unknown:?}");
                let heard = left.into_iter().zip(outcomes).filter(|(_, outcome)| **outcome != Outcome::Later);
                heard.for_each(|(n, outcome)| known[n] = Some(logged(outcome)));
            }
        };
        tokio::time::timeout(LIMIT, asking).await.expect("never known");
        known.into_iter().flatten().collect()
    }

    /// Once so many have asked the bucket for what is held up.
    async fn looked_up(&self, times: usize) {
        let looking = async {
            while self.bucket.asked() < times {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, looking).await.expect("not looked up");
    }
}

#[track_caller]
fn logged(outcome: &Outcome) -> (u64, bool) {
    match outcome {
        Outcome::Logged(logged) => (logged.index, logged.duplicate),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_entries_hold_up_no_new_ones() {
    let world = World::with("").await;
    world.bucket.hold_up(Some(BUNDLE));
    let old = [world.at(3), world.at(4)];
    // Usually with the first answer; on a busy machine the two may come into the log apart.
    let mut new = world.ask_until_known(&[entry(1000), entry(1001)], &old).await;
    new.sort_unstable();
    assert_eq!(new, [(300, false), (301, false)]);
    world.looked_up(2).await;
    // Whoever asks again waits, not for ever, and is looked up once.
    let begun = Instant::now();
    assert_eq!(world.ask(&old).await, [Outcome::Later, Outcome::Later]);
    assert!(begun.elapsed() >= SILENCE, "{:?}", begun.elapsed());
    assert_eq!(world.bucket.asked(), 2);
    world.bucket.hold_up(None);
    assert_eq!(world.ask_until_known(&[world.at(4), world.at(3)], &[]).await, [(4, true), (3, true)]);
    // And once more, from the beginning.
    assert_eq!(world.ask_until_known(&[world.at(3)], &[]).await, [(3, true)]);
}

/// The same entry twice in one request, and asked for by two at once.
#[tokio::test(flavor = "multi_thread")]
async fn one_entry_asked_for_by_several_is_told_to_all() {
    let world = World::with("").await;
    world.bucket.hold_up(Some(BUNDLE));
    let both = [world.at(7), world.at(7)];
    assert_eq!(world.ask(&both).await, [Outcome::Later, Outcome::Later]);
    let (one, other) = tokio::join!(world.ask(&both), world.ask(&both));
    assert!(one.iter().chain(&other).all(|outcome| *outcome == Outcome::Later));
    world.bucket.hold_up(None);
    let (one, other) = tokio::join!(world.ask_until_known(&both, &[]), world.ask_until_known(&both, &[]));
    assert_eq!((one, other), (vec![(7, true); 2], vec![(7, true); 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_has_ended_says_so_and_is_read() {
    let world = World::with("end = \"2026-01-01T00:00:00Z\"").await;
    assert_eq!(world.ask(&[entry(3), entry(1000)]).await, [Outcome::Ended, Outcome::Ended]);
    let read = world.http.get(format!("{}{READ}/tile/0/000", world.url)).bearer_auth(TOKEN);
    assert_eq!(read.send().await.unwrap().status().as_u16(), 200);
}
