//! One run: callers, processes, disks, a bucket and a clock, all moved by one number.
//!
//! Where several processes share a bucket, what one of them does may stop between any two of its requests, and the others
//! go on (`task`): two open the log at the same time, or one while the other makes a batch.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use sealog_crypto::{KeyKind, PrivateKey};
use sealog_tlog::SignedCheckpoint;
use sealog_tlog::note::{KeySigner, NoteSigner};
use sealog_tlog::tile::CHECKPOINT_PATH;

use super::bucket::{Conditions, SimBucket, Weather};
use super::disk::{Faults, SimDisk};
use super::model::{Broken, Model, Outcome, broken};
use super::node::{Kept, Node};
use super::random::Random;
use super::sabotage::{Leaks, Sabotage};
use super::task::{Ended, Job, Task};
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
    /// Whoever opens the log puts its head in the place of whatever is there by then.
    LateFence,
}

impl Wrong {
    /// Only several processes over one bucket get into this trouble.
    fn of_many(self) -> bool {
        matches!(self, Self::NoFence | Self::LateFence)
    }
}

/// What a run came to, for those who want to know whether anything happened at all.
#[derive(Default, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) entries: u64,
    pub(super) steps: u64,
    pub(super) lives: u64,
    pub(super) cuts: u64,
    pub(super) flips: u64,
    /// Openings in the middle of which others did something, and those that were overtaken.
    pub(super) mixed: u64,
    pub(super) overtaken: u64,
}

/// One machine, and the process on it.
struct Seat {
    disk: SimDisk,
    bucket: Option<SimBucket>,
    /// Not here while it is in the middle of something.
    node: Option<Box<Node>>,
    task: Option<Task>,
}

impl Seat {
    fn kill_after(&self, operations: u64, requests: u64) {
        self.disk.kill_after(operations);
        if let Some(bucket) = &self.bucket {
            bucket.kill_after(requests);
        }
    }

    fn is_killed(&self) -> bool {
        self.disk.is_killed() || self.bucket.as_ref().is_some_and(SimBucket::is_killed)
    }

    fn is_disturbed(&self) -> bool {
        self.disk.has_faults() || self.bucket.as_ref().is_some_and(SimBucket::is_bad)
    }

    fn revive(&self) {
        self.disk.revive();
        if let Some(bucket) = &self.bucket {
            bucket.revive();
        }
    }
}

struct World {
    random: Random,
    sabotage: Option<Sabotage>,
    leaks: Leaks,
    seats: Vec<Seat>,
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
    let of_many = wrong.is_some_and(Wrong::of_many);
    let in_bucket = of_many || random.one_in(2);
    let count = match (in_bucket, of_many) {
        (true, true) => 2 + random.below(2),
        (true, false) => 1 + random.below(3),
        (false, _) => 1,
    };
    let bucket = in_bucket.then(|| SimBucket::new(random.next()));
    // Machines made from one image take each other for themselves.
    let alike = random.one_in(4);
    let seats = (0..count).map(|n| {
        let root: PathBuf = home.join(format!("machine-{n}"));
        let bucket = bucket.as_ref().map(SimBucket::another_way);
        if let Some(bucket) = &bucket {
            bucket.set_conditions(match wrong {
                Some(Wrong::NoFence) => Conditions::Ignored,
                Some(Wrong::LateFence) => Conditions::IgnoredAtOpening,
                _ => Conditions::Kept,
            });
        }
        let kept = bucket.clone().map_or(Kept::Directory, Kept::Bucket);
        let disk = SimDisk::new(random.next(), &root);
        if alike {
            disk.plant(&root.join("local/holder"), b"0123456789abcdef0123456789abcdef");
        }
        let node = Node::new(&root, disk.clone(), kept, settings(&root, random.next()));
        Seat { disk, bucket, node: Some(Box::new(node)), task: None }
    });
    let seats: Vec<_> = seats.collect();
    let leaks = Leaks::default();
    let sabotage = match wrong {
        Some(Wrong::AnswerBeforeCommit) => Some(Sabotage::AnswerBeforeCommit),
        Some(Wrong::SignatureBeforeSync) => Some(Sabotage::SignatureBeforeSync(Arc::clone(&leaks))),
        Some(Wrong::NoFence | Wrong::LateFence) | None => None,
    };
    let mut world = World {
        random,
        sabotage,
        leaks,
        seats,
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
        if let Err(error) = self.node(0).create(b"seed") {
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

    fn node(&mut self, n: usize) -> &mut Node {
        self.seats[n].node.as_mut().unwrap()
    }

    fn step(&mut self) -> Outcome {
        let n = usize::try_from(self.random.below(self.seats.len() as u64)).unwrap();
        for (other, seat) in self.seats.iter_mut().enumerate() {
            if let Some(task) = seat.task.as_mut().filter(|_| other != n) {
                task.mixed = true;
            }
        }
        let what = self.random.below(24);
        match &self.seats[n] {
            Seat { task: Some(_), .. } if !(18..22).contains(&what) => return self.go_on(n),
            Seat { node: Some(node), .. } if !node.is_up() => return self.open(n),
            _ => {}
        }
        match what {
            0..=6 => self.append(n),
            7..=12 => self.begin(n, Job::Sequence, false),
            13..=17 => self.begin(n, Job::Flush(self.now), false),
            18 => {
                let (operations, requests) = (1 + self.random.below(30), 1 + self.random.below(12));
                self.seats[n].kill_after(operations, requests);
                self.disturb(n);
                Ok(())
            }
            19 => self.end_process(n),
            20 | 21 => {
                self.misfortune(n);
                self.disturb(n);
                Ok(())
            }
            22 => self.begin(n, Job::Close(self.now), false),
            _ => {
                if let Some(bucket) = &self.bucket {
                    bucket.deliver();
                }
                self.look_at_published(false)
            }
        }
    }

    fn disturb(&mut self, n: usize) {
        if let Some(task) = &mut self.seats[n].task {
            task.disturbed = true;
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
            let node = self.seats[n].node.as_mut().unwrap();
            node.append(entry.as_bytes(), &mut self.model)?;
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
        self.seats[n].disk.set_faults(faults);
        if let Some(bucket) = &self.seats[n].bucket {
            let weather = Weather {
                lost: chance(random),
                unanswered: chance(random),
                late: chance(random),
                cut_off: random.one_in(8),
            };
            bucket.set_weather(weather);
        }
    }

    /// Killed, and perhaps the machine with it.
    fn end_process(&mut self, n: usize) -> Outcome {
        self.abort(n)?;
        self.node(n).kill();
        if self.random.one_in(2) {
            self.summary.cuts += 1;
            self.seats[n].disk.cut_power();
        }
        self.seats[n].revive();
        self.look_at_published(false)
    }

    /// Killed in the middle of something.
    fn abort(&mut self, n: usize) -> Outcome {
        let seat = &mut self.seats[n];
        let Some(mut task) = seat.task.take() else { return Ok(()) };
        seat.kill_after(0, 0);
        let mut node = loop {
            match task.go_on(0) {
                Ok(more) => task = more,
                Err(ended) => break ended.1,
            }
        };
        let heard = node.listen(&mut self.model);
        seat.node = Some(node);
        heard
    }

    /// A process that has failed, or that was killed in the middle of something, ends.
    fn bury(&mut self) -> Outcome {
        for n in 0..self.seats.len() {
            let seat = &self.seats[n];
            let failed = |node: &Node| seat.is_killed() || node.has_failed();
            if seat.node.as_deref().is_some_and(failed) {
                self.end_process(n)?;
            }
        }
        Ok(())
    }

    fn open(&mut self, n: usize) -> Outcome {
        if let Some(node) = self.seats[n].node.as_deref() {
            node.check_memory(&self.model)?;
        }
        // It may be killed again while it reads the log back, or have bad luck with what it reads.
        let killed = self.random.one_in(4);
        let disturbed = killed || self.seats[n].is_disturbed();
        if killed {
            let (operations, requests) = (1 + self.random.below(25), 1 + self.random.below(12));
            self.seats[n].kill_after(operations, requests);
        }
        self.begin(n, Job::Open(self.sabotage.clone()), disturbed)
    }

    /// A process sets about something: others wait until it is done, or do not.
    fn begin(&mut self, n: usize, job: Job, disturbed: bool) -> Outcome {
        let known = self.model.entries.len();
        let many = self.seats.len() > 1;
        let seat = &mut self.seats[n];
        let mut node = seat.node.take().unwrap();
        if let (Some(bucket), Job::Open(_)) = (&seat.bucket, &job) {
            bucket.set_opening(true);
        }
        match &seat.bucket {
            Some(bucket) if many && (matches!(job, Job::Open(_)) || self.random.one_in(2)) => {
                seat.task = Some(Task::new(node, bucket, job, disturbed, known));
                self.go_on(n)
            }
            _ => {
                let ended = job.run(&mut node);
                seat.node = Some(node);
                self.ended(n, &job, ended, known, disturbed)
            }
        }
    }

    /// A process that was stopped goes on for a while.
    fn go_on(&mut self, n: usize) -> Outcome {
        let requests = match self.random.below(3) {
            0 => 1,
            1 => 1 + self.random.below(8),
            _ => 1 + self.random.below(64),
        };
        let seat = &mut self.seats[n];
        let Some(task) = seat.task.take() else { return Ok(()) };
        let gone_on = task.go_on(requests);
        let reached = seat.bucket.as_ref().is_some_and(SimBucket::take_reached);
        let known = |task: &Task, model: &Model| if reached { model.entries.len() } else { task.known };
        match gone_on {
            Ok(mut task) => {
                task.known = known(&task, &self.model);
                seat.task = Some(task);
                self.look_at_published(false)
            }
            Err(done) => {
                let (task, node, ended) = *done;
                seat.node = Some(node);
                let known = known(&task, &self.model);
                if let Job::Open(_) = &task.job {
                    self.summary.mixed += u64::from(task.mixed);
                    self.summary.overtaken += u64::from(matches!(&ended, Err(OpenError::Held { .. })));
                }
                self.ended(n, &task.job, ended, known, task.disturbed)
            }
        }
    }

    /// What came of it.
    fn ended(&mut self, n: usize, job: &Job, ended: Ended, known: usize, disturbed: bool) -> Outcome {
        for leaked in std::mem::take(&mut *self.leaks.lock().unwrap()) {
            self.model.leaked(&leaked);
        }
        let seat = &mut self.seats[n];
        if let Some(bucket) = &seat.bucket {
            bucket.set_opening(false);
        }
        let node = seat.node.as_mut().unwrap();
        node.listen(&mut self.model)?;
        match (job, ended) {
            (Job::Open(_), Ok(_)) => {
                self.summary.lives += 1;
                node.check_opened(&mut self.model, known)?;
            }
            (Job::Open(_), Err(OpenError::Held { .. })) if self.bucket.is_some() => {}
            (Job::Open(_), Err(_)) if disturbed => {}
            (Job::Open(_), Err(error)) => {
                return broken!("the log does not open: {error}{}", source(&error));
            }
            (Job::Close(_), Ok(true)) => {
                node.kill();
                seat.disk.revive();
                return self.look_at_published(true);
            }
            (Job::Close(_), _) => return self.end_process(n),
            (Job::Sequence | Job::Flush(_), _) => {}
        }
        self.look_at_published(false)
    }

    /// Whatever is published is signed, agrees with everything else, and can be read to the last tile.
    fn look_at_published(&mut self, whole: bool) -> Outcome {
        let (bucket, seat) = (&self.bucket, &self.seats[0]);
        let public = |path: &str| match bucket {
            Some(bucket) => bucket.look(&format!("public/{path}")).map(|bytes| bytes.to_vec()),
            None => seat.node.as_ref()?.public(path),
        };
        let Some(checkpoint) = public(CHECKPOINT_PATH) else {
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
        self.model.learn(now, public)?;
        self.model.saw(&checkpoint, None)?;
        if now < before && self.bucket.is_some() {
            return broken!("the published checkpoint went back from {before} to {now}");
        }
        self.model.published(now, whole, public)?;
        self.published = Some(checkpoint);
        Ok(())
    }

    /// All is well again: the log opens, answers, closes, and is whole.
    fn end(&mut self) -> Outcome {
        for n in 0..self.seats.len() {
            self.abort(n)?;
            self.node(n).kill();
            self.seats[n].revive();
        }
        if let Some(bucket) = &self.bucket {
            (0..20).for_each(|_| bucket.deliver());
        }
        let known = self.model.entries.len();
        if let Err(error) = self.node(0).open(None) {
            return broken!("the log does not open at the end: {error}{}", source(&error));
        }
        let (seat, model) = (&mut self.seats[0], &mut self.model);
        seat.node.as_mut().unwrap().check_opened(model, known)?;
        self.append(0)?;
        if !self.close()? {
            return broken!("the log does not close at the end");
        }
        self.look_at_published(true)?;
        self.model.is_sound()?;
        self.flip()
    }

    /// In good order?
    fn close(&mut self) -> Outcome<bool> {
        let node = self.seats[0].node.as_mut().unwrap();
        let sound = node.finish(self.now);
        node.listen(&mut self.model)?;
        node.kill();
        Ok(sound)
    }

    /// One bit of what is kept is turned: the log does not open, or it is as it was; and what it signs is.
    fn flip(&mut self) -> Outcome {
        let flipped = match &self.bucket {
            Some(bucket) => bucket.flip_bit(|_| true),
            None => self.seats[0]
                .disk
                .flip_bit(|path| path.to_str().is_some_and(|path| path.contains("/log/")))
                .map(|(path, at)| format!("byte {at} of {}", path.display())),
        };
        let Some(flipped) = flipped else { return Ok(()) };
        self.summary.flips += 1;
        self.seats[0].disk.revive();
        let told = |Broken(what): Broken| Broken(format!("{what}, after a bit was turned in {flipped}"));
        if self.node(0).open(None).is_err() {
            return Ok(());
        }
        self.append(0).map_err(told)?;
        self.close().map(drop).map_err(told)
    }
}

fn source(error: &OpenError) -> String {
    std::error::Error::source(error).map_or_else(String::new, |source| format!(": {source}"))
}
