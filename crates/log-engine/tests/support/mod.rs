//! A log for tests, its owner, and a reader that knows only the public files and the specifications.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sealog_crypto::{KeyKind, PrivateKey, sha256};
use sealog_log_engine::{Log, OpenError, Receipt, Settings};
use sealog_tlog::note::{KeySigner, KeyVerifier, NoteSigner};
use sealog_tlog::{EntryBytes, EntryLeaf, SignedCheckpoint};

pub type EntryLog = Log<EntryLeaf>;

pub const ORIGIN: &str = "log.example";

/// The owner of a log: a directory for it, its key, and what is remembered beside the key.
pub struct Owner {
    pub home: tempfile::TempDir,
    pub signer: Arc<KeySigner>,
}

impl Owner {
    pub fn new() -> Self {
        let key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
        Self {
            home: tempfile::tempdir().unwrap(),
            signer: Arc::new(KeySigner::for_log(ORIGIN, Arc::new(key)).unwrap()),
        }
    }

    pub fn dir(&self) -> PathBuf {
        self.home.path().join("log")
    }

    pub fn public(&self) -> PathBuf {
        self.dir().join("public")
    }

    pub fn first_seen(&self) -> PathBuf {
        self.home.path().join("keys/log.key.seen")
    }

    pub fn verifier(&self) -> KeyVerifier {
        self.signer.verifier()
    }

    pub fn settings(&self) -> Settings {
        settings(Arc::clone(&self.signer) as Arc<dyn NoteSigner>, self.first_seen())
    }

    pub fn create(&self) -> EntryLog {
        Log::create(&self.dir(), self.settings(), Some(entry("seed"))).unwrap()
    }

    pub fn open(&self) -> EntryLog {
        self.try_open().unwrap()
    }

    pub fn try_open(&self) -> Result<EntryLog, OpenError> {
        Log::open(&self.dir(), self.settings())
    }
}

pub fn settings(signer: Arc<dyn NoteSigner>, first_seen: PathBuf) -> Settings {
    let ticks = AtomicU64::new(1_700_000_000_000);
    let mut settings = Settings::new(
        ORIGIN,
        vec![signer],
        Arc::new(move || ticks.fetch_add(1, Ordering::Relaxed)),
        first_seen,
    );
    settings.publish_interval = Duration::from_millis(20);
    settings.max_batch_bytes = 64 << 10;
    settings.segment_bytes = 512 << 10;
    settings
}

pub fn entry(text: impl std::fmt::Display) -> EntryBytes {
    EntryBytes(format!("entry {text}").into_bytes())
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Appends many at once, all from one task: new ones take their places in the order given, as the receipts are.
pub async fn append_all(log: &EntryLog, entries: Vec<EntryBytes>) -> Vec<Receipt> {
    let appended = futures_util::future::join_all(entries.into_iter().map(|entry| log.append(entry))).await;
    appended.into_iter().map(Result::unwrap).collect()
}

/// What a receipt must be, checked without the engine: RFC 6962 §2.1.1 and the checkpoint's signature.
pub fn check_receipt(receipt: &Receipt, entry: &EntryBytes, verifier: &KeyVerifier) {
    let signed = SignedCheckpoint::parse(&receipt.checkpoint).unwrap();
    let checkpoint = signed.verify(verifier).unwrap();
    assert_eq!(checkpoint.root, receipt.root);
    assert_eq!(checkpoint.size, receipt.proof.size);
    assert_eq!(receipt.proof.index, receipt.index);
    assert!(receipt.index < checkpoint.size);
    assert_eq!(&receipt.encoded[2..], entry.0.as_slice());

    let (mut node, mut last) = (receipt.index, checkpoint.size - 1);
    let mut hash = naive_leaf(&entry.0);
    for sibling in &receipt.proof.hashes {
        if node % 2 == 1 || node == last {
            hash = naive_node(&sibling.0, &hash);
            while node % 2 == 0 && node != 0 {
                node /= 2;
                last /= 2;
            }
        } else {
            hash = naive_node(&hash, &sibling.0);
        }
        node /= 2;
        last /= 2;
    }
    assert_eq!(last, 0);
    assert_eq!(hash, checkpoint.root.0);
}

/// A log as a stranger with a file server sees it: every entry, from bundles, under a root recomputed from scratch.
pub struct PublicLog {
    pub size: u64,
    pub root: [u8; 32],
    pub entries: Vec<Vec<u8>>,
}

/// Reads the published files alone; every tile the checkpoint needs must be there in exactly its width.
pub fn read_public(public: &Path, verifier: &KeyVerifier) -> PublicLog {
    let checkpoint = std::fs::read(public.join("checkpoint")).unwrap();
    read_through(&checkpoint, verifier, |path| std::fs::read(public.join(path)).ok())
}

pub fn read_through(
    checkpoint: &[u8],
    verifier: &KeyVerifier,
    read: impl Fn(&str) -> Option<Vec<u8>>,
) -> PublicLog {
    let signed = SignedCheckpoint::parse(checkpoint).unwrap();
    let checkpoint = signed.verify(verifier).unwrap().clone();
    let mut entries = Vec::new();
    for (path, width) in naive_paths("entries", checkpoint.size) {
        let bundle = read(&path).unwrap_or_else(|| panic!("{path} is not there"));
        let mut rest = bundle.as_slice();
        let before = entries.len();
        while let [high, low, behind @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            entries.push(behind[..length].to_vec());
            rest = &behind[length..];
        }
        assert_eq!(entries.len() - before, width, "{path}");
    }
    // Every level of the tree, the plain way.
    let mut nodes: Vec<[u8; 32]> = entries.iter().map(|entry| naive_leaf(entry)).collect();
    let root = naive_root(&nodes);
    assert_eq!(root, checkpoint.root.0, "root of the entries");
    let mut level = 0;
    while !nodes.is_empty() {
        for (n, (path, width)) in naive_paths(&level.to_string(), nodes.len() as u64).into_iter().enumerate()
        {
            let tile = read(&path).unwrap_or_else(|| panic!("{path} is not there"));
            assert_eq!(tile, nodes[n * 256..n * 256 + width].concat(), "{path}");
        }
        nodes = nodes.chunks_exact(256).map(naive_root).collect();
        level += 1;
    }
    PublicLog { size: checkpoint.size, root, entries }
}

/// Paths and widths of all tiles of one kind over `count` elements.
pub fn naive_paths(kind: &str, count: u64) -> Vec<(String, usize)> {
    (0..count.div_ceil(256))
        .map(|n| {
            let width = (count - n * 256).min(256);
            let mut name = format!("{:03}", n % 1000);
            let mut high = n / 1000;
            while high > 0 {
                name = format!("x{:03}/{name}", high % 1000);
                high /= 1000;
            }
            let partial = if width < 256 { format!(".p/{width}") } else { String::new() };
            (format!("tile/{kind}/{name}{partial}"), usize::try_from(width).unwrap())
        })
        .collect()
}

fn naive_leaf(entry: &[u8]) -> [u8; 32] {
    sha256(&[&[0][..], entry].concat())
}

fn naive_node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    sha256(&[&[1][..], left, right].concat())
}

/// RFC 6962 §2.1, word for word.
pub fn naive_root(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => sha256(b""),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            naive_node(&naive_root(left), &naive_root(right))
        }
    }
}

/// Roots of the first 0, 1, 2, … of these entries.
pub fn naive_prefix_roots(entries: &[Vec<u8>]) -> Vec<[u8; 32]> {
    let mut roots = vec![sha256(b"")];
    // Complete subtrees from the left, each with its height.
    let mut peaks: Vec<(u32, [u8; 32])> = Vec::new();
    for entry in entries {
        let (mut height, mut hash) = (0, naive_leaf(entry));
        while let Some((found, left)) = peaks.last().copied()
            && found == height
        {
            hash = naive_node(&left, &hash);
            height += 1;
            peaks.pop();
        }
        peaks.push((height, hash));
        let mut hashes = peaks.iter().rev().map(|(_, hash)| *hash);
        let last = hashes.next().unwrap();
        roots.push(hashes.fold(last, |right, left| naive_node(&left, &right)));
    }
    roots
}

pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    // A living log renames files and removes the directories of outgrown partial tiles while we copy.
    for found in std::fs::read_dir(from).into_iter().flatten() {
        let Ok(found) = found else { continue };
        let target = to.join(found.file_name());
        match found.file_type() {
            Ok(kind) if kind.is_dir() => copy_dir(&found.path(), &target),
            _ => drop(std::fs::copy(found.path(), target)),
        }
    }
}
