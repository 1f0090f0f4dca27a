//! One run: callers, processes, disks, a bucket and a clock, all moved by one number.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use sealog_crypto::{KeyKind, PrivateKey};
use sealog_tlog::SignedCheckpoint;
use sealog_tlog::note::{KeySigner, NoteSigner};
use sealog_tlog::tile::CHECKPOINT_PATH;

use super::bucket::{SimBucket, Weather};
use super::disk::{Faults, SimDisk};
use super::model::{Broken, Model, Outcome, broken};
use super::node::{Kept, Node};
use super::random::Random;
use super::sabotage::{Leaks, Sabotage};
use crate::error::OpenError;
use crate::index::Shape;
use crate::settings::Settings;
use crate::support::ORIGIN;

/// How the engine is made wrong, if it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wrong {
    AnswerBeforeCommit,
    SignatureBeforeSync,
    /// The head is overwritten, whoever wrote it last.
    NoFence,
}

/// What a run came to, for those who want to know whether anything happened at all.
#[derive(Default, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) entries: u64,
    pub(super) steps: u64,
    pub(super) lives: u64,
    pub(super) cuts: u64,
    pub(super) flips: u64,
}

struct World {
    random: Random,
    wrong: Option<Wrong>,
    sabotage: Option<Sabotage>,
    leaks: Leaks,
    nodes: Vec<Node>,
    bucket: Option<SimBucket>,
    model: Model,
    now: Instant,
    next_entry: u64,
    /// The checkpoint that was published last.
    published: Option<Vec<u8>>,
    summary: Summary,
}

/// One key for all runs: making it is the slowest part of many.
fn signer() -> Arc<KeySigner> {
    static SIGNER: OnceLock<Arc<KeySigner>> = OnceLock::new();
    let make = || {
        let key = PrivateKey::generate(KeyKind::Ed25519).unwrap();
        Arc::new(KeySigner::for_log(ORIGIN, Arc::new(key)).unwrap())
    };
    Arc::clone(SIGNER.get_or_init(make))
}

/// Small everything, so that a short run meets every edge; a clock that goes as it likes.
fn settings(root: &Path, seed: u64) -> Settings {
    let clock = Mutex::new(Random::new(seed ^ 0xc10c));
    let time = AtomicU64::new(1_700_000_000_000);
    let clock = move || {
        let mut random = clock.lock().unwrap();
        let time_ms = time.load(Ordering::Relaxed);
        let time_ms = match random.below(40) {
            0 => time_ms - random.below(100_000),
            1 => time_ms + random.below(100_000),
            _ => time_ms + random.below(4),
        };
        time.store(time_ms, Ordering::Relaxed);
        time_ms
    };
    let signers = vec![signer() as Arc<dyn NoteSigner>];
    let mut settings = Settings::new(ORIGIN, signers, Arc::new(clock), root.join("keys/log.seen"));
    settings.max_batch_bytes = 2 << 10;
    settings.segment_bytes = 24 << 10;
    settings.max_pending = 150;
    settings.index_shape = Shape::SMALL;
    settings
}

/// Lives through the run of this number.
pub(super) fn run(seed: u64, wrong: Option<Wrong>, home: &Path) -> Result<Summary, Broken> {
    let mut random = Random::new(seed);
    let in_bucket = wrong == Some(Wrong::NoFence) || random.one_in(2);
    let count = match (in_bucket, wrong) {
        (true, Some(Wrong::NoFence)) => 2 + random.below(2),
        (true, _) => 1 + random.below(3),
        (false, _) => 1,
    };
    let bucket = in_bucket.then(|| SimBucket::new(random.next()));
    // Machines made from one image take each other for themselves.
    let alike = random.one_in(4);
    let nodes = (0..count).map(|n| {
        let root: PathBuf = home.join(format!("machine-{n}"));
        let kept = bucket.as_ref().map_or(Kept::Directory, |bucket| Kept::Bucket(bucket.another_way()));
        let disk = SimDisk::new(random.next(), &root);
        if alike {
            disk.plant(&root.join("local/holder"), b"0123456789abcdef0123456789abcdef");
        }
        Node::new(&root, disk, kept, settings(&root, random.next()))
    });
    let nodes: Vec<_> = nodes.collect();
    let leaks = Leaks::default();
    let sabotage = match wrong {
        Some(Wrong::AnswerBeforeCommit) => Some(Sabotage::AnswerBeforeCommit),
        Some(Wrong::SignatureBeforeSync) => Some(Sabotage::SignatureBeforeSync(Arc::clone(&leaks))),
        Some(Wrong::NoFence) | None => None,
    };
    let mut world = World {
        random,
        wrong,
        sabotage,
        leaks,
        nodes,
        bucket,
        model: Model::new(signer().verifier()),
        now: Instant::now(),
        next_entry: 0,
        published: None,
        summary: Summary::default(),
    };
    world.live()?;
    world.summary.entries = world.model.entries.len() as u64;
    Ok(world.summary)
}

impl World {
    fn live(&mut self) -> Outcome {
        if let Err(error) = self.nodes[0].create(b"seed") {
            return broken!("a new log was refused: {error}");
        }
        for _ in 0..40 + self.random.below(120) {
            self.summary.steps += 1;
            self.now += Duration::from_millis(self.random.below(40));
            self.step()?;
            self.bury()?;
        }
        self.end()
    }

    fn any(&mut self) -> usize {
        usize::try_from(self.random.below(self.nodes.len() as u64)).unwrap()
    }

    fn step(&mut self) -> Outcome {
        let n = self.any();
        if !self.nodes[n].is_up() {
            return self.open(n);
        }
        match self.random.below(24) {
            0..=6 => self.append(n),
            7..=12 => {
                let sequenced = self.nodes[n].sequence(&mut self.model);
                for leaked in std::mem::take(&mut *self.leaks.lock().unwrap()) {
                    self.model.leaked(&leaked);
                }
                sequenced
            }
            13..=17 => {
                self.nodes[n].flush(self.now);
                self.look_at_published(false)
            }
            18 => {
                let operations = 1 + self.random.below(30);
                self.nodes[n].disk.kill_after(operations);
                if let Kept::Bucket(bucket) = &self.nodes[n].kept {
                    bucket.kill_after(1 + self.random.below(12));
                }
                Ok(())
            }
            19 => self.end_process(n),
            20 | 21 => {
                self.misfortune(n);
                Ok(())
            }
            22 => self.close(n),
            _ => {
                if let Some(bucket) = &self.bucket {
                    bucket.deliver();
                }
                self.look_at_published(false)
            }
        }
    }

    fn append(&mut self, n: usize) -> Outcome {
        for _ in 0..1 + self.random.below(70) {
            let number = match self.random.below(5) {
                0 => self.random.below(self.next_entry + 1),
                _ => {
                    self.next_entry += 1;
                    self.next_entry
                }
            };
            let entry = format!("entry {number} {}", "x".repeat(usize::try_from(number % 50).unwrap()));
            self.model.sends(entry.as_bytes());
            self.nodes[n].append(entry.as_bytes(), &mut self.model)?;
        }
        Ok(())
    }

    /// For a while.
    fn misfortune(&mut self, n: usize) {
        let random = &mut self.random;
        let chance = |random: &mut Random| if random.one_in(3) { 3 + random.below(60) } else { 0 };
        let faults = match random.below(4) {
            0 => Faults {
                before: chance(random),
                after: chance(random),
                sync: chance(random),
                ..Faults::default()
            },
            1 => Faults { full: true, ..Faults::default() },
            2 => Faults { read_only: random.one_in(2), ..Faults::default() },
            _ => Faults::default(),
        };
        self.nodes[n].disk.set_faults(faults);
        if let Kept::Bucket(bucket) = &self.nodes[n].kept {
            let weather = Weather {
                lost: chance(random),
                unanswered: chance(random),
                late: chance(random),
                cut_off: random.one_in(8),
                unconditional: self.wrong == Some(Wrong::NoFence),
            };
            bucket.set_weather(weather);
        }
    }

    /// Killed, and perhaps the machine with it.
    fn end_process(&mut self, n: usize) -> Outcome {
        let node = &mut self.nodes[n];
        node.kill();
        if self.random.one_in(2) {
            self.summary.cuts += 1;
            node.disk.cut_power();
        }
        node.disk.revive();
        if let Kept::Bucket(bucket) = &node.kept {
            bucket.revive();
            bucket.set_weather(Weather {
                unconditional: self.wrong == Some(Wrong::NoFence),
                ..Weather::default()
            });
        }
        self.look_at_published(false)
    }

    /// A process that has failed, or that was killed in the middle of something, ends.
    fn bury(&mut self) -> Outcome {
        for n in 0..self.nodes.len() {
            let node = &self.nodes[n];
            let killed =
                node.disk.is_killed() || matches!(&node.kept, Kept::Bucket(bucket) if bucket.is_killed());
            if killed || node.has_failed() {
                self.end_process(n)?;
            }
        }
        Ok(())
    }

    fn open(&mut self, n: usize) -> Outcome {
        self.nodes[n].check_memory(&self.model)?;
        let node = &mut self.nodes[n];
        // It may be killed again while it reads the log back, or have bad luck with what it reads.
        let killed = self.random.one_in(4);
        let fair = !node.disk.has_faults() && !matches!(&node.kept, Kept::Bucket(bucket) if bucket.is_bad());
        let disturbed = killed || !fair;
        if killed {
            node.disk.kill_after(1 + self.random.below(25));
            if let Kept::Bucket(bucket) = &node.kept {
                bucket.kill_after(1 + self.random.below(12));
            }
        }
        match node.open(self.sabotage.as_ref()) {
            Ok(()) => {
                self.summary.lives += 1;
                node.check_opened(&mut self.model)?;
            }
            Err(OpenError::Held { .. }) if self.bucket.is_some() => {}
            Err(_) if disturbed => {}
            Err(error) => return broken!("the log does not open: {error}{}", source(&error)),
        }
        self.look_at_published(false)
    }

    fn close(&mut self, n: usize) -> Outcome {
        let sound = self.nodes[n].close(self.now, &mut self.model)?;
        if !sound {
            return self.end_process(n);
        }
        self.nodes[n].disk.revive();
        self.look_at_published(true)
    }

    /// Whatever is published is signed, agrees with everything else, and can be read to the last tile.
    fn look_at_published(&mut self, whole: bool) -> Outcome {
        let node = &self.nodes[0];
        let Some(checkpoint) = node.public(CHECKPOINT_PATH) else {
            return match &self.published {
                Some(_) => broken!("the published checkpoint has gone"),
                None => Ok(()),
            };
        };
        let whole = whole || self.random.one_in(16);
        if self.published.as_ref() == Some(&checkpoint) && !whole {
            return Ok(());
        }
        let size = |bytes: &[u8]| SignedCheckpoint::parse(bytes).map_or(0, |signed| signed.checkpoint.size);
        let (before, now) = (self.published.as_deref().map_or(0, size), size(&checkpoint));
        self.model.learn(now, |path| node.public(path))?;
        self.model.saw(&checkpoint, None)?;
        if now < before && self.bucket.is_some() {
            return broken!("the published checkpoint went back from {before} to {now}");
        }
        self.model.published(now, whole, |path| node.public(path))?;
        self.published = Some(checkpoint);
        Ok(())
    }

    /// All is well again: the log opens, answers, closes, and is whole.
    fn end(&mut self) -> Outcome {
        for n in 0..self.nodes.len() {
            self.nodes[n].kill();
            self.nodes[n].disk.revive();
            if let Kept::Bucket(bucket) = &self.nodes[n].kept {
                bucket.revive();
            }
        }
        if let Some(bucket) = &self.bucket {
            (0..20).for_each(|_| bucket.deliver());
        }
        if let Err(error) = self.nodes[0].open(None) {
            return broken!("the log does not open at the end: {error}{}", source(&error));
        }
        self.nodes[0].check_opened(&mut self.model)?;
        self.append(0)?;
        if !self.nodes[0].close(self.now, &mut self.model)? {
            return broken!("the log does not close at the end");
        }
        self.look_at_published(true)?;
        self.model.is_sound()?;
        self.flip()
    }

    /// One bit of what is kept is turned: the log does not open, or it is as it was; and what it signs is.
    fn flip(&mut self) -> Outcome {
        let flipped = match &self.bucket {
            Some(bucket) => bucket.flip_bit(|_| true),
            None => self.nodes[0]
                .disk
                .flip_bit(|path| path.to_str().is_some_and(|path| path.contains("/log/")))
                .map(|(path, at)| format!("byte {at} of {}", path.display())),
        };
        let Some(flipped) = flipped else { return Ok(()) };
        self.summary.flips += 1;
        self.nodes[0].disk.revive();
        let told = |Broken(what): Broken| Broken(format!("{what}, after a bit was turned in {flipped}"));
        if self.nodes[0].open(None).is_err() {
            return Ok(());
        }
        self.append(0).map_err(told)?;
        self.nodes[0].close(self.now, &mut self.model).map(drop).map_err(told)
    }
}

fn source(error: &OpenError) -> String {
    std::error::Error::source(error).map_or_else(String::new, |source| format!(": {source}"))
}
