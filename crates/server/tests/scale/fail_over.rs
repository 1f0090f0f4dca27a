//! Two front ends and two sequencers under load, and each way in which a sequencer can be lost.
#![allow(clippy::print_stderr, reason = "figures for whoever reads along")]

use super::{
    fleet::{Fleet, LEASE, Machine, Process, sealogd},
    load::{Load, request},
    s3::{S3, Wire},
};
use sealog_crypto::{KeyKind, PrivateKey};
use sealog_server::relay::wire;
use std::time::{Duration, Instant};

/// These tests measure time and fill two cores each: one after the other.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// A lease and what comes after it, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

struct Running {
    fleet: Fleet,
    first: Machine,
    one: Process,
    two: Process,
    _front_ends: [Process; 2],
    load: Load,
}

/// A sequencer that has the log (and perhaps a store of its own way), one that stands by, two front ends, clients.
async fn running(s3: &S3, way: &str, fleet: Fleet) -> Running {
    let first = fleet.sequencer("one", way, false, None);
    let second = fleet.sequencer("two", &s3.endpoint(), true, Some(&first));
    let one = first.start();
    // Starts at once, although it does not have the log.
    let two = second.start();
    let fronts = ["three", "four"].map(|name| fleet.front_end(name, &s3.endpoint(), &first));
    let front_ends = [fronts[0].start(), fronts[1].start()];
    let (status, text) = two.readiness().await;
    assert_eq!((status, text.as_str()), (503, r#"{"status":"STANDING_BY"}"#));
    assert_eq!(one.readiness().await.0, 200);
    let load = Load::start(&[&fronts[0].url, &fronts[1].url], first.verifier());
    load.goes_on(100, LIMIT).await;
    Running { fleet, first, one, two, _front_ends: front_ends, load }
}

async fn reckon(name: &str, running: Running) {
    running.load.goes_on(100, LIMIT).await;
    eprintln!("{name}: {}", running.load.reckon().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequencer_that_is_killed_is_replaced_and_one_that_ends_at_once() {
    let _alone = ALONE.lock().await;
    let Some(s3) = S3::versitygw() else { return };
    // Long enough that half of it is time for a busy machine, and still tells an end from a lease.
    let lease = Duration::from_secs(10);
    let mut running = running(&s3, &s3.endpoint(), Fleet::with_lease(lease)).await;
    running.one.signal("-KILL");
    let gap = running.two.serves_within(lease + LIMIT / 2).await;
    let answered = running.load.goes_on(50, LIMIT).await;
    eprintln!("killed: taken after {gap:?}, then 50 answers within {answered:?}");
    running.one.ends_within(LIMIT).await;

    // And back: an orderly end is no lease to be waited for.
    let third = running.fleet.sequencer("five", &s3.endpoint(), true, Some(&running.first));
    let three = third.start();
    running.load.goes_on(50, LIMIT).await;
    assert_eq!(three.readiness().await.0, 503);
    running.two.signal("-TERM");
    assert_eq!(running.two.ends_within(LIMIT).await, Some(0));
    let gap = three.serves_within(lease / 2).await;
    eprintln!("let go: taken after {gap:?}");
    reckon("killed", running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequencer_that_was_paused_past_its_lease_stops_by_itself() {
    let _alone = ALONE.lock().await;
    let Some(s3) = S3::versitygw() else { return };
    let mut running = running(&s3, &s3.endpoint(), Fleet::new()).await;
    running.one.signal("-STOP");
    running.two.serves_within(LEASE + LIMIT / 2).await;
    running.load.goes_on(50, LIMIT).await;
    running.one.signal("-CONT");
    assert_ne!(running.one.ends_within(LIMIT).await, Some(0));
    assert!(running.one.said().contains("another sequencer has taken the log"), "{}", running.one.said());
    assert!(running.two.runs());
    reckon("paused", running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequencer_without_its_store_stops_and_acknowledges_nothing() {
    let _alone = ALONE.lock().await;
    let Some(s3) = S3::versitygw() else { return };
    let wire = Wire::to(s3.port()).await;
    let mut running = running(&s3, &format!("http://127.0.0.1:{}", wire.port), Fleet::new()).await;
    wire.cut(true);
    running.two.serves_within(LEASE + LIMIT / 2).await;
    running.load.goes_on(50, LIMIT).await;
    // What it had under way arrives now.
    wire.cut(false);
    assert_ne!(running.one.ends_within(Duration::from_secs(60)).await, Some(0));
    assert!(running.two.runs());
    reckon("cut off", running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_sequencers_started_by_mistake_one_commits() {
    let _alone = ALONE.lock().await;
    let Some(s3) = S3::versitygw() else { return };
    let mut running = running(&s3, &s3.endpoint(), Fleet::new()).await;
    // Beside one that is at work: refused.
    let mistake = running.fleet.sequencer("mistake", &s3.endpoint(), false, Some(&running.first));
    let mut refused = mistake.spawn();
    assert_ne!(refused.ends_within(LIMIT).await, Some(0));
    assert!(refused.said().contains("is held by another sequencer"), "{}", refused.said());
    assert!(running.one.runs());
    running.load.goes_on(50, LIMIT).await;

    // From a copy of its disk, which is known by the same name and waits for nobody: refused, or it takes the log.
    let copied = running.fleet.clone_of("copied", &s3.endpoint(), &running.first);
    let mut beside = copied.spawn();
    let begun = Instant::now();
    while beside.runs() && running.one.runs() {
        assert!(begun.elapsed() < LIMIT, "both run: {}", beside.said());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    if !beside.runs() {
        assert!(beside.said().contains("is held by another sequencer"), "{}", beside.said());
        // Nor may the one that stands by take it, however long the copy needs to start.
        for process in [&running.one, &running.two] {
            process.signal("-STOP");
        }
        beside = copied.start();
        for process in [&running.one, &running.two] {
            process.signal("-CONT");
        }
    }
    assert_ne!(running.one.ends_within(LIMIT).await, Some(0));
    let mut copied = beside;
    running.load.goes_on(50, LIMIT).await;

    // Both at one moment, on a log that nobody has.
    running.two.signal("-TERM");
    running.two.ends_within(LIMIT).await;
    copied.signal("-TERM");
    copied.ends_within(LIMIT).await;
    let again = running.fleet.sequencer("again", &s3.endpoint(), false, Some(&running.first));
    let mut both = [mistake.spawn(), again.spawn()];
    let begun = Instant::now();
    let winner = loop {
        match both.each_mut().map(|process| process.runs()) {
            [true, true] => {}
            [true, false] => break 0,
            [false, true] => break 1,
            [false, false] => panic!("{}\n{}", both[0].said(), both[1].said()),
        }
        assert!(begun.elapsed() < LIMIT, "both run");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    running.load.goes_on(50, LIMIT).await;
    assert!(both[winner].runs());
    reckon("by mistake", running).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_cannot_append_and_damaged_messages_are_refused() {
    let _alone = ALONE.lock().await;
    let Some(s3) = S3::versitygw() else { return };
    let fleet = Fleet::new();
    let machine = fleet.sequencer("one", &s3.endpoint(), false, None);
    let _one = machine.start();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = async |token: Option<&str>, body: Vec<u8>| {
        let asked = http.post(format!("{}/v1/append", machine.internal)).body(body);
        let asked = match token {
            Some(token) => asked.header("authorization", format!("Bearer {token}")),
            None => asked,
        };
        asked.send().await.unwrap().status().as_u16()
    };
    let entries = [&b"not an entry, but nobody asks here"[..]];
    let good = wire::request(entries.into_iter()).unwrap();
    for token in [None, Some(""), Some("00"), Some(&*"ab".repeat(32))] {
        assert_eq!(post(token, good.clone()).await, 401);
    }
    let head = s3.object("rekor/head");
    let token = head.lines().find_map(|line| line.strip_prefix("token ")).unwrap();
    assert!(head.contains(&machine.internal));
    for body in [
        Vec::new(),
        b"sealog append 1\n".to_vec(),
        good[..good.len() - 1].to_vec(),
        vec![7; wire::MAX_REQUEST + 1],
    ] {
        assert_eq!(post(Some(token), body).await, 400);
    }
    let read = http.get(format!("{}/v1/read/checkpoint", machine.internal));
    assert_eq!(read.send().await.unwrap().status().as_u16(), 401);
    assert_eq!(post(Some(token), good).await, 200);
    // The token is of this start only.
    drop(_one);
    let _one = machine.start();
    assert_eq!(post(Some(token), Vec::new()).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_front_end_without_a_sequencer_reads_and_says_that_it_cannot_write() {
    let _alone = ALONE.lock().await;
    let Some(s3) = S3::versitygw() else { return };
    let fleet = Fleet::new();
    let first = fleet.sequencer("one", &s3.endpoint(), false, None);
    let front = fleet.front_end("two", &s3.endpoint(), &first);
    let said = String::from_utf8(sealogd(&front, "check").stdout).unwrap();
    assert!(said.contains("origin localhost, verifier key"), "{said}");
    let _front = front.start();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let checkpoint = http.get(format!("{}/checkpoint", front.url)).send().await.unwrap();
    assert_eq!(checkpoint.status().as_u16(), 200);
    assert!(checkpoint.text().await.unwrap().starts_with("localhost\n1\n"));
    let status =
        async |path: &str| http.get(format!("{}/{path}", front.url)).send().await.unwrap().status().as_u16();
    assert_eq!(status("tile/0/000.p/1").await, 200);
    assert_eq!(status("tile/entries/000.p/1").await, 200);
    assert_eq!(status("tile/0/../head").await, 404);
    assert_eq!(status("head").await, 404);
    // All that was ever committed is there.
    assert_eq!(status("tile/0/000.p/2").await, 404);
    let key = PrivateKey::generate(KeyKind::EcdsaP256).unwrap();
    let body = request(&key, "late");
    let sent =
        http.post(format!("{}/api/v2/log/entries", front.url)).header("content-type", "application/json");
    let late = sent.body(body.clone()).send().await.unwrap();
    assert_eq!(late.status().as_u16(), 503);
    assert_eq!(late.headers()["retry-after"], "1");
    // It waits for one that comes.
    let waiting = tokio::spawn({
        let (http, url) = (http.clone(), front.url.clone());
        async move {
            let sent =
                http.post(format!("{url}/api/v2/log/entries")).header("content-type", "application/json");
            sent.body(body).send().await.unwrap().status().as_u16()
        }
    });
    let _one = first.start();
    assert_eq!(waiting.await.unwrap(), 201);
    assert_eq!(status("tile/0/000.p/2").await, 200);
    assert_eq!(status("tile/0/000.p/3").await, 404);
}
