//! The whole engine, driven by one number: callers, batches, flushes, kills, power cuts, lost and late answers, full and
//! failing disks, turned bits, clocks that jump, several processes over one bucket, in an order nobody would think of.
//!
//! What runs is the engine's own code, one step after the other and without a real clock; simulated are only the disk, the bucket
//! and the callers. After every step the world outside is asked whether it still can believe what it was told (`model`).
//! A run that fails is run again by its number:
//!
//! ```text
//! SEALOG_SEED=1234 cargo test -p sealog-log-engine sim::
//! ```

pub(crate) mod bucket;
mod disk;
mod model;
mod node;
mod random;
mod sabotage;
mod task;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use world::{Summary, Wrong, run};

/// Runs of a normal test; `SEALOG_SEEDS` asks for others.
const SEEDS: u64 = 300;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs the seeds on all processors; the first that fails is told.
fn all(seeds: std::ops::Range<u64>, wrong: Option<Wrong>) -> Result<Summary, (u64, String)> {
    let next = AtomicU64::new(seeds.start);
    let failed = std::sync::Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let sums: Vec<Summary> = std::thread::scope(|scope| {
        let work = || {
            let home = tempfile::tempdir().unwrap();
            let mut sum = Summary::default();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end || failed.lock().unwrap().is_some() {
                    return sum;
                }
                match run(seed, wrong, &home.path().join(seed.to_string())) {
                    Ok(done) => {
                        sum.entries += done.entries;
                        sum.steps += done.steps;
                        sum.lives += done.lives;
                        sum.cuts += done.cuts;
                        sum.flips += done.flips;
                        sum.mixed += done.mixed;
                        sum.overtaken += done.overtaken;
                    }
                    Err(broken) => drop(failed.lock().unwrap().get_or_insert((seed, broken.0))),
                }
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    if let Some(failed) = failed.into_inner().unwrap() {
        return Err(failed);
    }
    Ok(sums.into_iter().fold(Summary::default(), |a, b| Summary {
        entries: a.entries + b.entries,
        steps: a.steps + b.steps,
        lives: a.lives + b.lives,
        cuts: a.cuts + b.cuts,
        flips: a.flips + b.flips,
        mixed: a.mixed + b.mixed,
        overtaken: a.overtaken + b.overtaken,
    }))
}

#[test]
fn nothing_that_was_said_is_ever_untrue() {
    let seeds = match number("SEALOG_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let first = number("SEALOG_FIRST_SEED").unwrap_or(0);
            first..first + number("SEALOG_SEEDS").unwrap_or(SEEDS)
        }
    };
    match all(seeds.clone(), None) {
        Ok(sum) => eprintln!("{seeds:?}: {sum:?}"),
        Err((seed, what)) => panic!("seed {seed}: {what}; again with SEALOG_SEED={seed}"),
    }
}

/// Threads or not, nothing but the number decides.
#[test]
fn a_run_is_the_same_again() {
    for seed in 0..40 {
        let home = tempfile::tempdir().unwrap();
        let [once, again] = ["once", "again"].map(|name| run(seed, None, &home.path().join(name)).unwrap());
        assert_eq!(once, again, "seed {seed}");
    }
}

#[test]
fn engines_that_are_wrong_are_found_out() {
    let wrong = [Wrong::AnswerBeforeCommit, Wrong::SignatureBeforeSync, Wrong::NoFence, Wrong::LateFence];
    for wrong in wrong {
        match all(0..1000, Some(wrong)) {
            Err((seed, what)) => eprintln!("{wrong:?}: found by seed {seed}: {what}"),
            Ok(_) => panic!("{wrong:?} was not found out"),
        }
    }
}
