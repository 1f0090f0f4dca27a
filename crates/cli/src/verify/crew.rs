//! Many things to check, on all processors, told in the order in which they were named.
//!
//! A few are checked by the thread that is there: threads cost more than they save. What is under way or waits for
//! its turn to be told is bounded, whatever the number of files.

use super::{
    inputs::{Kind, Subject},
    tell::{Checked, Told},
};
use crate::failure::Failure;
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Mutex,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

/// So many are checked before help is called.
const ALONE: usize = 8;
/// What is handed out ahead of what was told, for each helper.
const AHEAD: usize = 8;
/// Nobody waits longer than this for a verdict that is there.
const PATIENCE: Duration = Duration::from_millis(50);

/// What was checked, and what came of it.
type Done = (PathBuf, Result<Checked, Failure>);

/// Checks everything and tells it in order.
pub(super) fn in_order(
    subjects: impl Iterator<Item = Subject>,
    check: &(impl Fn(Subject) -> Done + Sync),
    told: &mut Told,
) -> Result<(), Failure> {
    let mut subjects = subjects.peekable();
    for subject in subjects.by_ref().take(ALONE) {
        if !matches!(subject.kind, Kind::Unchecked(_)) {
            told.before_reading(&subject.name)?;
        }
        let (name, checked) = check(subject);
        told.tell(&name, &checked)?;
    }
    // Only now: how many processors there are costs a few questions to the system.
    if subjects.peek().is_none() {
        return Ok(());
    }
    let helpers = thread::available_parallelism().map_or(1, usize::from);
    let ahead = helpers.saturating_mul(AHEAD);
    let (hand_out, work) = mpsc::sync_channel(ahead);
    let (hand_in, results) = mpsc::channel();
    let work = Mutex::new(work);
    thread::scope(|scope| {
        let mut hired = 0;
        for _ in 0..helpers {
            let hand_in = hand_in.clone();
            let work = &work;
            let help = move || {
                while let Some((turn, subject)) = next(work) {
                    if hand_in.send((turn, check(subject))).is_err() {
                        return;
                    }
                }
            };
            hired += usize::from(thread::Builder::new().spawn_scoped(scope, help).is_ok());
        }
        drop(hand_in);
        if hired == 0 {
            let mut rest = subjects.map(check);
            return rest.try_for_each(|(name, checked)| told.tell(&name, &checked));
        }
        // Moved in, so that it is gone when this ends and the helpers see that there is no more work.
        let hand_out = hand_out;
        let mut waiting: BTreeMap<usize, Done> = BTreeMap::new();
        let (mut handed_out, mut turn) = (0_usize, 0_usize);
        loop {
            while handed_out.saturating_sub(turn) < ahead
                && let Some(subject) = subjects.next()
            {
                // There is room for all that is ahead.
                let _ = hand_out.send((handed_out, subject));
                handed_out += 1;
            }
            if turn == handed_out {
                return Ok(());
            }
            match results.recv_timeout(PATIENCE) {
                Ok((of_turn, done)) => {
                    waiting.insert(of_turn, done);
                }
                Err(RecvTimeoutError::Timeout) => told.pause()?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Failure::unable("system", "the threads that verify have ended"));
                }
            }
            while let Some((name, checked)) = waiting.remove(&turn) {
                told.tell(&name, &checked)?;
                turn += 1;
            }
        }
    })
}

/// Waits for something to do; none when there is no more.
fn next(work: &Mutex<Receiver<(usize, Subject)>>) -> Option<(usize, Subject)> {
    work.lock().ok()?.recv().ok()
}
