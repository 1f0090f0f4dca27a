//! A whole log of ten million entries: memory, bytes on disk, and the time from a kill to the next receipt. Not a test:
//! run by hand, in a release build, in two processes (the second begins where the first was killed):
//! `SEALOG_MEASURE_DIR=… cargo test --release -p sealog-log-engine --test scale -- --ignored --nocapture fill` (then
//! `restart`). `SEALOG_MEASURE_ENTRIES` asks for fewer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use sealog_crypto::{KeyKind, PrivateKey};
use sealog_log_engine::{Log, Settings};
use sealog_tlog::EntryLeaf;
use sealog_tlog::note::KeySigner;
use support::{entry, runtime};

const CALLERS: u64 = 1024;

fn home() -> PathBuf {
    PathBuf::from(std::env::var_os("SEALOG_MEASURE_DIR").expect("SEALOG_MEASURE_DIR"))
}

fn entries() -> u64 {
    std::env::var("SEALOG_MEASURE_ENTRIES").map_or(10_000_000, |text| text.parse().unwrap())
}

fn settings() -> Settings {
    let key = home().join("key.der");
    if !key.exists() {
        let new = PrivateKey::generate(KeyKind::Ed25519).unwrap();
        std::fs::write(&key, new.to_pkcs8_der().unwrap().as_slice()).unwrap();
    }
    let key = PrivateKey::from_pkcs8_der(&std::fs::read(key).unwrap()).unwrap();
    let signer = Arc::new(KeySigner::for_log(support::ORIGIN, Arc::new(key)).unwrap());
    let mut settings = support::settings(signer, home().join("seen"));
    (settings.max_batch_bytes, settings.segment_bytes) = (1 << 20, 8 << 20);
    settings
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let wanted = |line: &&str| ["VmHWM", "VmRSS", "RssAnon"].iter().any(|name| line.starts_with(name));
    status.lines().filter(wanted).map(|line| line.replace(['\t', ' '], "")).collect::<Vec<_>>().join(" ")
}

fn disk(dir: &Path) -> u64 {
    let sizes = std::fs::read_dir(dir).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let found = entry.metadata().unwrap();
        if found.is_dir() { disk(&entry.path()) } else { found.len() }
    });
    sizes.sum()
}

#[test]
#[ignore = "a measurement"]
fn fill() {
    let log = Log::<EntryLeaf>::create(&home().join("log"), settings(), Some(entry("seed"))).unwrap();
    let (next, start) = (Arc::new(AtomicU64::new(1)), Instant::now());
    runtime().block_on(async {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (log, next) = (log.clone(), Arc::clone(&next));
                tokio::spawn(async move {
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= entries() {
                            break;
                        }
                        assert!(!log.append(entry(n)).await.unwrap().duplicate);
                        if n.is_multiple_of(1_000_000) {
                            let index = disk(&home().join("log/index"));
                            eprintln!(
                                "{n}: {:?}, {}, index {:.2} bytes an entry",
                                start.elapsed(),
                                memory(),
                                index as f64 / n as f64
                            );
                        }
                    }
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
    });
    let rate = entries() as f64 / start.elapsed().as_secs_f64();
    eprintln!("{} entries, {rate:.0}/s, {}; killed", log.view().size(), memory());
    std::process::exit(0);
}

#[test]
#[ignore = "a measurement"]
fn restart() {
    let start = Instant::now();
    let log = Log::<EntryLeaf>::open(&home().join("log"), settings()).unwrap();
    let opened = start.elapsed();
    runtime().block_on(async {
        let receipt = log.append(entry(format!("after {opened:?}"))).await.unwrap();
        eprintln!(
            "open {opened:?}, first receipt {:?} (leaf {}), {}",
            start.elapsed(),
            receipt.index,
            memory()
        );
        for n in (1..entries()).step_by(usize::try_from(entries() / 1000).unwrap()) {
            assert!(log.append(entry(n)).await.unwrap().duplicate, "{n}");
        }
    });
    eprintln!(
        "index {:.2} bytes an entry; {}",
        disk(&home().join("log/index")) as f64 / entries() as f64,
        memory()
    );
    log.close().unwrap();
}
