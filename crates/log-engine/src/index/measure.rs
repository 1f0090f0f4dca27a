//! What the index costs at ten million entries. Not a test: run by hand, in a release build, in two processes:
//! `SEALOG_MEASURE_DIR=… cargo test --release -p sealog-log-engine --lib -- --ignored --nocapture measure_fill` (then
//! `measure_open`).

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::*;
use crate::disk::RealDisk;

const ENTRIES: u64 = 10_000_000;
/// What the flusher hands over at once.
const BATCH: u64 = 1_500;
const LOOKUPS: u64 = 1_000_000;

/// Opens the index of the first so many entries; those behind the last run are read from the log, which is left out here.
fn open(dir: &Path, size: u64) -> Arc<Index> {
    let (of, nothing) = ((size, Hash([7; 32])), Box::new(|_| unreachable!()));
    let belongs = |_, root: &Hash| Ok::<_, ()>(*root == Hash([7; 32]));
    let worker = Worker::open(
        Box::new(DiskDir { disk: Arc::new(RealDisk), path: dir.to_owned() }),
        Shape::LOG,
        of,
        nothing,
        belongs,
    )
    .unwrap();
    worker.complete().unwrap();
    let index = Arc::clone(worker.index());
    std::thread::spawn(|| worker.run());
    index
}

fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn key(n: u64) -> [u8; 32] {
    let mut key = [0; 32];
    for (i, word) in key.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        *word = mix(n * 4 + i as u64).to_be_bytes();
    }
    key
}

fn dir() -> PathBuf {
    PathBuf::from(std::env::var_os("SEALOG_MEASURE_DIR").expect("SEALOG_MEASURE_DIR"))
}

/// Seconds of CPU of all threads so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let wanted = |line: &&str| ["VmHWM", "VmRSS", "RssAnon"].iter().any(|name| line.starts_with(name));
    status
        .lines()
        .filter(wanted)
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(", ")
}

fn disk(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            if meta.is_dir() { disk(&entry.path()) } else { meta.blocks() * 512 }
        })
        .sum()
}

fn timed(what: &str, n: u64, run: impl FnOnce()) {
    let (wall, before) = (Instant::now(), cpu());
    run();
    let (wall, cpu) = (wall.elapsed().as_secs_f64(), cpu() - before);
    eprintln!(
        "{what}: {:.2} us wall, {:.2} us cpu each; {wall:.2} s in all; {}",
        wall * 1e6 / n as f64,
        cpu * 1e6 / n as f64,
        memory()
    );
}

#[test]
#[ignore = "a measurement"]
fn measure_fill() {
    let dir = dir();
    eprintln!("before: {}", memory());
    timed("keys alone", ENTRIES, || {
        std::hint::black_box((0..ENTRIES).fold(0, |sum, n| key(n).iter().fold(sum, |sum, byte| sum ^ byte)));
    });
    let index = open(&dir, 0);
    let mut peak = 0;
    timed("add", ENTRIES, || {
        for first in (0..ENTRIES).step_by(BATCH as usize) {
            let to = (first + BATCH).min(ENTRIES);
            let keys: Vec<_> = (first..to).map(|n| (key(n), n)).collect();
            index.add(&keys, to, &Hash([7; 32])).unwrap();
            if to.is_multiple_of(150_000) {
                peak = peak.max(disk(&dir) * 100 / to);
            }
        }
    });
    timed("merges still to do", ENTRIES, || {
        while !at_rest(&index) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    });
    eprintln!(
        "disk: {:.2} bytes an entry, at most {:.2}",
        disk(&dir) as f64 / ENTRIES as f64,
        peak as f64 / 100.0
    );
    look_up(&index);
    eprintln!("killed");
    std::process::exit(0);
}

fn at_rest(index: &Index) -> bool {
    let state = index.read();
    state.full_part(index.shape).is_none() && state.mergeable(index.shape).is_none()
}

fn look_up(index: &Index) {
    timed("look-up of what is not there", LOOKUPS, || {
        for n in 0..LOOKUPS {
            assert!(index.candidates(&key(u64::MAX / 8 - n)).unwrap().is_empty());
        }
    });
    timed("look-up of what is there", LOOKUPS, || {
        for n in 0..LOOKUPS {
            let n = mix(n) % ENTRIES;
            assert_eq!(index.candidates(&key(n)).unwrap(), [n]);
        }
    });
}

#[test]
#[ignore = "a measurement"]
fn measure_open() {
    let start = Instant::now();
    let index = open(&dir(), ENTRIES);
    let keys: Vec<_> = (index.complete_to()..ENTRIES).map(|n| (key(n), n)).collect();
    index.add(&keys, ENTRIES, &Hash([7; 32])).unwrap();
    eprintln!(
        "open: {:.1} ms; complete to {}; {}",
        start.elapsed().as_secs_f64() * 1e3,
        index.complete_to(),
        memory()
    );
    look_up(&index);
    eprintln!("disk: {:.2} bytes an entry", disk(&dir()) as f64 / ENTRIES as f64);
}
