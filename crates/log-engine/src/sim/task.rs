//! What a process does with the bucket, stopped between any two of its requests while others go on.
//!
//! It has a thread of its own, but of all threads of a run only one is ever at work: the run hands over the turn for so
//! many requests, and waits until it comes back. So what happens still follows from the run's number alone.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};
use std::time::Instant;

use super::bucket::SimBucket;
use super::node::Node;
use super::sabotage::Sabotage;
use crate::error::OpenError;

/// Something a process does.
#[derive(Clone)]
pub(super) enum Job {
    /// Starts, and reads the log back.
    Open(Option<Sabotage>),
    /// Makes a batch, or shows itself.
    Sequence,
    /// Writes what is due at this time.
    Flush(Instant),
    /// Ends in good order.
    Close(Instant),
}

/// How it ended; `false`: not in good order.
pub(super) type Ended = Result<bool, OpenError>;

impl Job {
    pub(super) fn run(&self, node: &mut Node) -> Ended {
        match self {
            Self::Open(sabotage) => return node.open(sabotage.as_ref()).map(|()| true),
            Self::Sequence => node.make_batch(),
            Self::Flush(now) => node.flush(*now),
            Self::Close(now) => return Ok(node.finish(*now)),
        }
        Ok(true)
    }
}

/// The process's end of the hand-over.
#[derive(Clone)]
pub(super) struct Turn {
    go: Arc<Mutex<Receiver<u64>>>,
    say: Sender<Said>,
}

impl Turn {
    /// Waits for the turn; so many requests come with it. `None`: the run is over.
    fn wait(&self) -> Option<u64> {
        self.go.lock().unwrap().recv().ok()
    }

    /// Gives the turn back, and waits for it again.
    pub(super) fn give_back(&self) -> Option<u64> {
        self.say.send(Said::Paused).ok()?;
        self.wait()
    }
}

enum Said {
    Paused,
    Ended(Box<Node>, Ended),
}

/// A process in the middle of something.
pub(super) struct Task {
    pub(super) job: Job,
    /// Something went wrong for it, or may.
    pub(super) disturbed: bool,
    /// Others did something meanwhile.
    pub(super) mixed: bool,
    /// Entries that were seen outside when it last tried to change the head, or began.
    pub(super) known: usize,
    go: Sender<u64>,
    said: Receiver<Said>,
    thread: JoinHandle<()>,
}

impl Task {
    /// Nothing happens before it is told to [`go_on`](Self::go_on).
    pub(super) fn new(mut node: Box<Node>, way: &SimBucket, job: Job, disturbed: bool, known: usize) -> Self {
        let (go, gone) = channel();
        let (say, said) = channel();
        let turn = Turn { go: Arc::new(Mutex::new(gone)), say: say.clone() };
        let (way, work) = (way.clone(), job.clone());
        let thread = spawn(move || {
            let Some(requests) = turn.wait() else { return };
            way.set_turn(Some((turn, requests)));
            let ended = work.run(&mut node);
            way.set_turn(None);
            // Nobody listens when the run is over.
            let _ = say.send(Said::Ended(node, ended));
        });
        Self { job, disturbed, mixed: false, known, go, said, thread }
    }

    /// So many more requests. When it has done what it was to do, the process is given back.
    pub(super) fn go_on(self, requests: u64) -> Result<Self, Box<(Self, Box<Node>, Ended)>> {
        let _ = self.go.send(requests);
        match self.said.recv() {
            Ok(Said::Paused) => Ok(self),
            Ok(Said::Ended(node, ended)) => Err(Box::new((self, node, ended))),
            Err(_) => match self.thread.join() {
                Err(panic) => resume_unwind(panic),
                Ok(()) => unreachable!("a thread that ends says so"),
            },
        }
    }
}
