//! Logs that end and logs that take over, with front ends and sequencers of their own.

use super::{
    fleet::{Fleet, LEASE, SUCCESSOR},
    load::{Load, request},
    s3::S3,
};
use sealog_crypto::{KeyKind, PrivateKey};
use sealog_tlog::note::KeyVerifier;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
const FROZEN: &str = "This log has been frozen, please switch to the latest log.";

struct Client {
    http: reqwest::Client,
    key: PrivateKey,
}

impl Client {
    fn new() -> Self {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { http, key: PrivateKey::generate(KeyKind::EcdsaP256).unwrap() }
    }

    async fn log(&self, url: &str, what: &str) -> (u16, String) {
        let sent =
            self.http.post(format!("{url}/api/v2/log/entries")).header("content-type", "application/json");
        let answer = sent.body(request(&self.key, what)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn get(&self, url: &str, path: &str) -> (u16, String) {
        let answer = self.http.get(format!("{url}/{path}")).send().await.unwrap();
        let (status, bytes) = (answer.status().as_u16(), answer.bytes().await.unwrap());
        (status, String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn size(&self, url: &str) -> u64 {
        let (status, checkpoint) = self.get(url, "checkpoint").await;
        assert_eq!(status, 200, "{checkpoint}");
        checkpoint.lines().nth(1).unwrap().parse().unwrap()
    }

    /// It takes no more, and is read.
    async fn is_frozen(&self, url: &str) {
        assert_eq!(self.log(url, "too late").await, (405, format!("{FROZEN}\n")));
        assert_eq!(self.get(url, "checkpoint").await.0, 200);
        assert_eq!(self.get(url, "tile/0/000.p/1").await.0, 200);
        assert_eq!(self.get(url, "tile/0/900").await.0, 404);
    }
}

/// The machines' clocks differ, one more sequencer is started after the end, and the one that has the log dies.
#[tokio::test(flavor = "multi_thread")]
async fn an_ended_log_is_read_whoever_has_it() {
    let Some(s3) = S3::versitygw() else { return };
    let (fleet, client) = (Fleet::new(), Client::new());
    let first = fleet.sequencer("one", &s3.endpoint(), false, None);
    let second = fleet.sequencer("two", &s3.endpoint(), true, Some(&first));
    let front = fleet.front_end("three", &s3.endpoint(), &first);
    let mut one = first.start();
    assert_eq!(client.log(&first.url, "in time").await.0, 201);
    // For all but the one that has it.
    second.ends();
    front.ends();
    let mut three = front.spawn();
    three.answers_within(LIMIT).await;
    client.is_frozen(&front.url).await;
    let mut two = second.spawn();
    two.answers_within(LIMIT).await;
    assert_eq!(two.readiness().await.0, 200);
    client.is_frozen(&second.url).await;
    // It waits for the log, and does not wait when it is to stop.
    two.signal("-TERM");
    assert_eq!(two.ends_within(LIMIT).await, Some(0));
    let mut two = second.spawn();
    two.answers_within(LIMIT).await;

    // What was acknowledged last is published by whoever has the key, once the other one is gone.
    for n in 0..20 {
        assert_eq!(client.log(&first.url, &format!("entry {n}")).await.0, 201);
    }
    one.signal("-KILL");
    one.ends_within(LIMIT).await;
    let begun = Instant::now();
    while s3.object("rekor/head").contains("\nholder ") || client.size(&second.url).await != 22 {
        assert!(begun.elapsed() < LEASE + LIMIT, "{}", two.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.is_frozen(&second.url).await;
    assert_eq!(client.get(&second.url, "tile/entries/000.p/22").await.0, 200);
    while client.size(&front.url).await != 22 {
        assert!(begun.elapsed() < LEASE + LIMIT, "{}", three.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    client.is_frozen(&front.url).await;
    // Nobody has it any more, and nobody need be asked.
    two.signal("-TERM");
    assert_eq!(two.ends_within(LIMIT).await, Some(0));
    client.is_frozen(&front.url).await;
}

/// By the sequencer's clock, while the front end's says that there is time.
#[tokio::test(flavor = "multi_thread")]
async fn the_sequencer_says_that_the_log_has_ended() {
    let Some(s3) = S3::versitygw() else { return };
    let (fleet, client) = (Fleet::new(), Client::new());
    let machine = fleet.sequencer("one", &s3.endpoint(), false, None);
    let front = fleet.front_end("two", &s3.endpoint(), &machine);
    let _two = front.start();
    // Far enough away that a slow start is over by then.
    let end = sealog_server::clock::Clock::system().unix_seconds() + 12;
    machine.ends_at(&sealog_bundle::UnixTime::from_seconds(end).to_string());
    let mut one = machine.start();
    assert_eq!(client.log(&front.url, "in time").await.0, 201);
    let begun = Instant::now();
    while client.log(&machine.url, "in time").await.0 != 405 {
        assert!(begun.elapsed() < LIMIT, "{}", one.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let begun = Instant::now();
    client.is_frozen(&front.url).await;
    // At once, and not when the front end would give up.
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    // Once it is gone, and took leave, nobody need be asked what is there.
    one.signal("-TERM");
    assert_eq!(one.ends_within(LIMIT).await, Some(0));
    assert_eq!(client.get(&front.url, "tile/0/000.p/200").await.0, 404);
    assert_eq!(client.get(&front.url, "tile/0/000.p/2").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_and_its_successor_have_front_ends_and_sequencers() {
    let Some(s3) = S3::versitygw() else { return };
    let (fleet, client) = (Fleet::new(), Client::new());
    let first = fleet.sequencer("one", &s3.endpoint(), false, None);
    let next = fleet.successor(&first, &s3.endpoint(), None);
    let front = fleet.front_end("two", &s3.endpoint(), &first);
    let next_front = fleet.successor(&front, &s3.endpoint(), Some(&first));
    let (mut one, mut two) = (first.start(), front.start());
    let next_key = || KeyVerifier::for_log(SUCCESSOR, next.public_key("rekor-2")).unwrap();
    let old = Load::start(&[&front.url], first.verifier());
    let new = Load::start(&[&next_front.url], next_key());
    old.goes_on(50, LIMIT).await;
    new.goes_on(50, LIMIT).await;
    // Both logs are that process's, and come back with it.
    one.signal("-KILL");
    one.ends_within(LIMIT).await;
    let refused = client.log(&next_front.url, "meanwhile");
    let restarted = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        first.start()
    };
    let (waited, mut one) = tokio::join!(refused, restarted);
    assert_eq!(waited.0, 201, "{}", waited.1);
    old.goes_on(50, LIMIT).await;
    new.goes_on(50, LIMIT).await;
    old.reckon().await;
    new.reckon().await;
    let size = client.size(&front.url).await;

    // The first one ends: it is read, and the other goes on.
    first.ends();
    front.ends();
    for (process, machine) in [(&mut one, &first), (&mut two, &front)] {
        process.signal("-TERM");
        assert_eq!(process.ends_within(LIMIT).await, Some(0), "{}", process.said());
        *process = machine.spawn();
        process.answers_within(LIMIT).await;
    }
    for url in [&first.url, &front.url] {
        client.is_frozen(url).await;
        assert_eq!(client.size(url).await, size);
    }
    assert_eq!(client.log(&next_front.url, "after the end").await.0, 201);
    let new = Load::start(&[&next_front.url, &next.url], next_key());
    new.goes_on(50, LIMIT).await;
    new.reckon().await;
}
