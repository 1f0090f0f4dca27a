//! `kill -9`, for real: a child appends and says what it was promised; whatever it said must be there.
//!
//! In a directory of this machine, and in a bucket of a real S3 server (versitygw, named by `SEALOG_VERSITYGW`). What is
//! read at the end is read from the public files alone, by a reader that shares nothing with the engine; every checkpoint
//! anybody was ever given must be of a beginning of that log. `SEALOG_KILLS` asks for more lives than a test has time for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sealog_crypto::PrivateKey;
use sealog_log_engine::{BucketPlace, Log, Place, Settings, StoreBucket};
use sealog_tlog::note::{KeySigner, KeyVerifier};
use sealog_tlog::{EntryLeaf, SignedCheckpoint};
use support::{check_receipt, entry, naive_prefix_roots, read_through, runtime, settings};

const HOME: &str = "SEALOG_TEST_KILL_HOME";
const LIFE: &str = "SEALOG_TEST_KILL_LIFE";
/// A port of this machine with an S3 server, or nothing: a directory.
const PORT: &str = "SEALOG_TEST_KILL_PORT";

const BUCKET: &str = "killed";

/// Where the log of a test is kept, and its owner's key.
struct Killed {
    home: PathBuf,
    port: Option<u16>,
}

impl Killed {
    fn signer(&self) -> Arc<KeySigner> {
        let key = PrivateKey::from_pkcs8_der(&std::fs::read(self.home.join("key")).unwrap()).unwrap();
        Arc::new(KeySigner::for_log(support::ORIGIN, Arc::new(key)).unwrap())
    }

    fn settings(&self) -> Settings {
        settings(self.signer(), self.home.join("keys/log.key.seen"))
    }

    fn place(&self) -> Place {
        let Some(port) = self.port else { return Place::from(&self.home.join("log")) };
        let options = [
            ("endpoint", format!("http://127.0.0.1:{port}")),
            ("allow_http", "true".to_owned()),
            ("region", "us-east-1".to_owned()),
            ("access_key_id", "test".to_owned()),
            ("secret_access_key", "testtest".to_owned()),
        ];
        let options: Vec<_> = options.map(|(name, value)| (name.to_owned(), value)).into();
        let bucket = StoreBucket::open(&format!("s3://{BUCKET}/log"), &options).unwrap();
        let local = self.home.join("local");
        let place = BucketPlace {
            bucket: Arc::new(bucket),
            local,
            at: String::new(),
            token: String::new(),
            stand_by: false,
            given_up: Arc::default(),
        };
        place.into()
    }

    fn open(&self) -> Log<EntryLeaf> {
        Log::open(self.place(), self.settings()).unwrap()
    }

    /// The public files: those of the server are files too.
    fn public(&self) -> PathBuf {
        match self.port {
            None => self.home.join("log/public"),
            Some(_) => self.home.join("s3").join(BUCKET).join("log/public"),
        }
    }
}

/// Not a test of its own: what the child process runs until it is killed.
#[test]
fn child() {
    let (Some(home), Ok(life)) = (std::env::var_os(HOME), std::env::var(LIFE)) else { return };
    let killed =
        Killed { home: PathBuf::from(home), port: std::env::var(PORT).ok().map(|p| p.parse().unwrap()) };
    runtime().block_on(async {
        let log = tokio::task::spawn_blocking(move || killed.open()).await.unwrap();
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
                        let (size, root) = (receipt.proof.size, receipt.root);
                        let line = format!("acknowledged {} {size} {root} {text}\n", receipt.index);
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

#[derive(Default)]
struct Told {
    /// What was acknowledged, by leaf index.
    entries: BTreeMap<u64, String>,
    /// Root hashes of checkpoints, in hexadecimal, by tree size.
    roots: BTreeMap<u64, String>,
}

impl Told {
    /// `index size root text`.
    fn hear(&mut self, line: &str) {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap();
        let (index, size) = (word().parse().unwrap(), word().parse().unwrap());
        let root = word().to_owned();
        assert!(self.entries.insert(index, word().to_owned()).is_none(), "index {index} given twice");
        let known = self.roots.entry(size).or_insert_with(|| root.clone());
        assert_eq!(*known, root, "two trees of {size} entries");
    }

    /// The public files have it all.
    fn check(&self, public: &Path, verifier: &KeyVerifier) {
        // A partial tile that has grown is to be had from the full one.
        let read = |path: &str| {
            let whole = std::fs::read(public.join(path)).ok();
            let (full, width) = path.split_once(".p/").unwrap_or((path, ""));
            let first = || {
                let bytes = std::fs::read(public.join(full)).ok()?;
                let wanted: usize = width.parse().ok()?;
                let mut end = 0;
                if !full.contains("entries") {
                    return Some(bytes[..wanted * 32].to_vec());
                }
                for _ in 0..wanted {
                    end += 2 + usize::from(u16::from_be_bytes([bytes[end], bytes[end + 1]]));
                }
                Some(bytes[..end].to_vec())
            };
            whole.or_else(first)
        };
        let log = read_through(&std::fs::read(public.join("checkpoint")).unwrap(), verifier, read);
        for (index, text) in &self.entries {
            let index = usize::try_from(*index).unwrap();
            assert_eq!(log.entries.get(index), Some(&entry(text).0), "index {index}");
        }
        let roots = naive_prefix_roots(&log.entries);
        for (size, root) in &self.roots {
            let found = roots.get(usize::try_from(*size).unwrap()).map(hex);
            assert_eq!(found.as_ref(), Some(root), "the checkpoint of {size} entries");
        }
    }
}

fn hex(hash: &[u8; 32]) -> String {
    sealog_tlog::Hash(*hash).to_string()
}

/// So many lives of a child, each ended by SIGKILL.
fn kill_again_and_again(home: &Path, port: Option<u16>, lives: u64) {
    let key = PrivateKey::generate(sealog_crypto::KeyKind::Ed25519).unwrap();
    std::fs::write(home.join("key"), key.to_pkcs8_der().unwrap().as_slice()).unwrap();
    let killed = Killed { home: home.to_owned(), port };
    let verifier = killed.signer().verifier();
    drop(Log::<EntryLeaf>::create(killed.place(), killed.settings(), Some(entry("seed"))).unwrap());

    let mut told = Told::default();
    for life in 0..lives {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "child", "--nocapture", "--test-threads=1"]);
        command.env(HOME, home).env(LIFE, life.to_string()).envs(port.map(|port| (PORT, port.to_string())));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let (tell, acknowledged) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let (mut heard, mut line) = (Vec::new(), String::new());
            while lines.read_line(&mut line).is_ok_and(|n| n > 0) {
                // The last line may be cut off; only whole ones were said.
                if let Some(said) =
                    line.strip_suffix('\n').and_then(|line| line.strip_prefix("acknowledged "))
                {
                    let _ = tell.send(());
                    heard.push(said.to_owned());
                }
                line.clear();
            }
            heard
        });
        // Some lives end while the log is opened, others with the first entries or later.
        for _ in 0..if life % 8 > 1 { 1 + life % 2 * 120 } else { 0 } {
            acknowledged.recv_timeout(Duration::from_secs(60)).expect("the child got nothing done");
        }
        std::thread::sleep(Duration::from_millis(20 + 97 * (life % 5)));
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap().iter().for_each(|line| told.hear(line));

        let log = killed.open();
        if life < 4 || life % 50 == 49 || life + 1 == lives {
            told.check(&killed.public(), &verifier);
        }
        let Some((index, text)) = told.entries.iter().nth(told.entries.len() / 2) else { continue };
        let again = runtime().block_on(log.append(entry(text))).unwrap();
        assert_eq!((again.index, again.duplicate), (*index, true));
        check_receipt(&again, &entry(text), &verifier);
    }
    assert!(told.entries.len() > 100, "{} acknowledged", told.entries.len());
    let signed = std::fs::read(killed.public().join("checkpoint")).unwrap();
    let size = SignedCheckpoint::parse(&signed).unwrap().checkpoint.size;
    eprintln!(
        "{lives} kills, {} acknowledged, {} checkpoints, {size} entries",
        told.entries.len(),
        told.roots.len()
    );
}

fn lives(normally: u64) -> u64 {
    std::env::var("SEALOG_KILLS").map_or(normally, |lives| lives.parse().unwrap())
}

#[test]
fn whatever_was_acknowledged_survives_kill_9() {
    let home = tempfile::tempdir().unwrap();
    kill_again_and_again(home.path(), None, lives(6));
}

/// Ended with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn whatever_was_acknowledged_survives_kill_9_in_a_bucket() {
    let Some(program) = std::env::var_os("SEALOG_VERSITYGW") else {
        assert!(std::env::var("CI").is_err(), "SEALOG_VERSITYGW is not set: run `cargo xtask test`");
        eprintln!("skipped: SEALOG_VERSITYGW does not name versitygw");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(home.path().join("s3").join(BUCKET)).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(program);
    command.args(["--access", "test", "--secret", "testtest", "--quiet"]);
    command.args(["--port", &format!("127.0.0.1:{port}"), "posix"]).arg(home.path().join("s3"));
    let _server = Server(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let end = Instant::now() + Duration::from_secs(20);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "the S3 server does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    kill_again_and_again(home.path(), Some(port), lives(4));
}
