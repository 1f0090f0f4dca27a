//! `kill -9`, for real: a child appends and says what it was promised; whatever it said must be there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sealog_crypto::PrivateKey;
use sealog_log_engine::Log;
use sealog_tlog::EntryLeaf;
use sealog_tlog::note::KeySigner;
use support::{Owner, check_receipt, entry, read_public, runtime, settings};

const HOME: &str = "SEALOG_TEST_KILL_HOME";
const LIFE: &str = "SEALOG_TEST_KILL_LIFE";

fn signer(home: &Path) -> Arc<KeySigner> {
    let key = PrivateKey::from_pkcs8_der(&std::fs::read(home.join("key")).unwrap()).unwrap();
    Arc::new(KeySigner::for_log(support::ORIGIN, Arc::new(key)).unwrap())
}

/// Not a test of its own: what the child process runs until it is killed.
#[test]
fn child() {
    let (Some(home), Ok(life)) = (std::env::var_os(HOME), std::env::var(LIFE)) else { return };
    let home = Path::new(&home);
    let settings = settings(signer(home), home.join("keys/log.key.seen"));
    runtime().block_on(async {
        let log = Log::<EntryLeaf>::open(&home.join("log"), settings).unwrap();
        // Ends the line in which the test harness names this test.
        std::io::stdout().lock().write_all(b"\n").unwrap();
        let tasks: Vec<_> = (0..16)
            .map(|task| {
                let (log, life) = (log.clone(), life.clone());
                tokio::spawn(async move {
                    for n in 0.. {
                        // Long enough for segments to be changed and tiles to be finished in a short life.
                        let text = format!("{life} {task} {n} {}", "x".repeat(n * 37 % 1500));
                        let receipt = log.append(entry(&text)).await.unwrap();
                        let line = format!("acknowledged {} {text}\n", receipt.index);
                        std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn whatever_was_acknowledged_survives_kill_9() {
    let key = PrivateKey::generate(sealog_crypto::KeyKind::Ed25519).unwrap();
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("key"), key.to_pkcs8_der().unwrap().as_slice()).unwrap();
    let owner = Owner { signer: signer(home.path()), home };
    drop(owner.create());

    let mut acknowledged: BTreeMap<u64, String> = BTreeMap::new();
    for life in 0..6u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture", "--test-threads=1"])
            .env(HOME, owner.home.path())
            .env(LIFE, life.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let (begun, first_line) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let (mut told, mut line) = (Vec::new(), String::new());
            while lines.read_line(&mut line).is_ok_and(|n| n > 0) {
                // The last line may be cut off; only whole ones were said.
                if let Some((index, text)) = line
                    .strip_suffix('\n')
                    .and_then(|line| line.strip_prefix("acknowledged "))
                    .and_then(|line| line.split_once(' '))
                {
                    let _ = begun.send(());
                    told.push((index.parse::<u64>().unwrap(), text.to_owned()));
                }
                line.clear();
            }
            told
        });
        // The first lives end while the log is opened; the others at work.
        if life > 1 {
            first_line.recv_timeout(Duration::from_secs(60)).expect("the child got nothing done");
        }
        std::thread::sleep(Duration::from_millis(30 + 97 * life));
        child.kill().unwrap();
        child.wait().unwrap();
        for (index, text) in reader.join().unwrap() {
            assert!(acknowledged.insert(index, text).is_none(), "index {index} given twice");
        }

        let log = owner.open();
        let public = read_public(&owner.public(), &owner.verifier());
        for (index, text) in &acknowledged {
            let index = usize::try_from(*index).unwrap();
            assert_eq!(public.entries.get(index), Some(&entry(text).0), "life {life}, index {index}");
        }
        let Some((index, text)) = acknowledged.iter().nth(acknowledged.len() / 2) else { continue };
        let again = runtime().block_on(log.append(entry(text))).unwrap();
        assert_eq!((again.index, again.duplicate), (*index, true));
        check_receipt(&again, &entry(text), &owner.verifier());
    }
    assert!(acknowledged.len() > 100, "{} acknowledged", acknowledged.len());
}
