//! A bucket whose answers get lost, whose writes arrive late, and that some of its users cannot reach.
//!
//! The store itself keeps its word (conditional writes are atomic) unless it is told to break it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;

use super::random::Random;
use super::task::Turn;
use crate::bucket::{Bucket, HEAD, Object, PutError, Version};

/// What goes wrong for one user; chances are one in so many requests, zero for never.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Weather {
    /// A request is lost on its way.
    pub(super) lost: u64,
    /// It is done, and the answer is lost.
    pub(super) unanswered: u64,
    /// A write is neither: it arrives some time later, after its sender has given it up.
    pub(super) late: u64,
    /// Nothing gets through.
    pub(super) cut_off: bool,
}

/// How a store, or whoever writes to it, is made wrong.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub(super) enum Conditions {
    #[default]
    Kept,
    /// Not looked at: a store that no log may be kept in.
    Ignored,
    /// Whoever opens the log takes the head as it is by then, not as it was read.
    IgnoredAtOpening,
}

/// One user's way to a store.
#[derive(Clone)]
pub(crate) struct SimBucket {
    store: Arc<Mutex<Store>>,
    way: Arc<Mutex<Way>>,
}

struct Store {
    random: Random,
    objects: BTreeMap<String, (Bytes, u64)>,
    next_version: u64,
    late: Vec<Late>,
}

struct Late {
    key: String,
    bytes: Bytes,
    /// Inner `None`: it must not exist.
    condition: Option<Option<Version>>,
}

#[derive(Default)]
struct Way {
    weather: Weather,
    /// Requests until the user is killed.
    lives: Option<u64>,
    /// It is not the user who asks, but whoever checks.
    calm: bool,
    /// The user is stopped after so many more requests, and others go on.
    turn: Option<(Turn, u64)>,
    opening: bool,
    conditions: Conditions,
    /// It tried to change the head.
    reached: bool,
}

impl SimBucket {
    pub(crate) fn new(seed: u64) -> Self {
        let store =
            Store { random: Random::new(seed), objects: BTreeMap::new(), next_version: 1, late: Vec::new() };
        Self { store: Arc::new(Mutex::new(store)), way: Arc::default() }
    }

    /// Another user of the same store.
    pub(super) fn another_way(&self) -> Self {
        Self { store: Arc::clone(&self.store), way: Arc::default() }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    pub(super) fn set_weather(&self, weather: Weather) {
        self.way.lock().unwrap().weather = weather;
    }

    /// What follows is asked by the check.
    pub(super) fn set_calm(&self, calm: bool) {
        self.way.lock().unwrap().calm = calm;
    }

    pub(super) fn is_bad(&self) -> bool {
        let way = self.way.lock().unwrap();
        let Weather { lost, unanswered, late, cut_off, .. } = way.weather;
        way.lives.is_some() || cut_off || lost + unanswered + late > 0
    }

    pub(super) fn kill_after(&self, requests: u64) {
        self.way.lock().unwrap().lives = Some(requests);
    }

    pub(super) fn is_killed(&self) -> bool {
        self.way.lock().unwrap().lives == Some(0)
    }

    /// A new process.
    pub(super) fn revive(&self) {
        let mut way = self.way.lock().unwrap();
        *way = Way { conditions: way.conditions, ..Way::default() };
    }

    pub(super) fn set_conditions(&self, conditions: Conditions) {
        self.way.lock().unwrap().conditions = conditions;
    }

    /// The user opens the log, from now on or no longer.
    pub(super) fn set_opening(&self, opening: bool) {
        self.way.lock().unwrap().opening = opening;
    }

    /// From here on the user is stopped again and again.
    pub(super) fn set_turn(&self, turn: Option<(Turn, u64)>) {
        self.way.lock().unwrap().turn = turn;
    }

    /// Whether the user has tried to change the head since this was last asked.
    pub(super) fn take_reached(&self) -> bool {
        std::mem::take(&mut self.way.lock().unwrap().reached)
    }

    /// Between two requests others may do something. Whoever is killed is not stopped any more.
    fn let_others_go(&self) {
        let turn = {
            let mut way = self.way.lock().unwrap();
            let stops = !way.calm && way.lives != Some(0);
            match &mut way.turn {
                Some((_, left)) if *left > 0 => {
                    *left -= 1;
                    None
                }
                Some((turn, _)) if stops => Some(turn.clone()),
                _ => None,
            }
        };
        let Some(turn) = turn else { return };
        let requests = turn.give_back();
        let mut way = self.way.lock().unwrap();
        match (&mut way.turn, requests) {
            (Some((_, left)), Some(requests)) => *left = requests.saturating_sub(1),
            // The run is over; so is the process.
            _ => way.lives = Some(0),
        }
    }

    /// Some of the writes that are under way arrive.
    pub(super) fn deliver(&self) {
        let mut store = self.store();
        for late in std::mem::take(&mut store.late) {
            if store.random.one_in(2) {
                let _ = store.put(&late.key, &late.bytes, late.condition.as_ref().map(Option::as_ref));
            } else {
                store.late.push(late);
            }
        }
    }

    /// As a reader sees it who meets no faults.
    pub(crate) fn look(&self, key: &str) -> Option<Bytes> {
        self.store().objects.get(key).map(|(bytes, _)| bytes.clone())
    }

    /// Flips one bit of an object whose key `wanted` likes.
    pub(super) fn flip_bit(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let mut store = self.store();
        let store = &mut *store;
        let keys: Vec<_> = store.objects.keys().filter(|key| wanted(key)).cloned().collect();
        let key = keys.get(usize::try_from(store.random.below(keys.len().max(1) as u64)).ok()?)?;
        let (bytes, _) = store.objects.get_mut(key)?;
        let mut flipped = bytes.to_vec();
        let at = usize::try_from(store.random.below(flipped.len().max(1) as u64)).ok()?;
        *flipped.get_mut(at)? ^= 1 << store.random.below(8);
        *bytes = flipped.into();
        Some(key.clone())
    }

    /// What becomes of a request: not sent, sent and answered, sent and not answered, late.
    fn fate(&self) -> Result<Fate, io::Error> {
        self.let_others_go();
        let mut way = self.way.lock().unwrap();
        if way.calm {
            return Ok(Fate::Answered);
        }
        let lost = || io::Error::from(io::ErrorKind::TimedOut);
        if let Some(lives) = &mut way.lives {
            if *lives == 0 {
                return Err(io::Error::other("killed"));
            }
            *lives -= 1;
            if *lives == 0 {
                return Ok(if self.store().random.one_in(2) { Fate::Unanswered } else { Fate::Late });
            }
        }
        let Weather { lost: lost_one_in, unanswered, late, cut_off, .. } = way.weather;
        let random = &mut self.store().random;
        let mut one_in = |n: u64| n > 0 && random.one_in(n);
        if cut_off || one_in(lost_one_in) {
            return Err(lost());
        }
        if one_in(unanswered) {
            return Ok(Fate::Unanswered);
        }
        Ok(if one_in(late) { Fate::Late } else { Fate::Answered })
    }

    fn write(
        &self,
        key: &str,
        bytes: &Bytes,
        condition: Option<Option<&Version>>,
    ) -> Result<Version, PutError> {
        let timed_out = || PutError::Failed(io::ErrorKind::TimedOut.into());
        let fate = self.fate().map_err(PutError::Failed)?;
        let mut way = self.way.lock().unwrap();
        way.reached |= key == HEAD;
        let ignored = match way.conditions {
            Conditions::Kept => false,
            Conditions::Ignored => true,
            Conditions::IgnoredAtOpening => way.opening && key == HEAD,
        };
        drop(way);
        let condition = condition.filter(|_| !ignored);
        let mut store = self.store();
        match fate {
            Fate::Answered => store.put(key, bytes, condition).ok_or(PutError::Changed),
            Fate::Unanswered => {
                store.put(key, bytes, condition);
                Err(timed_out())
            }
            Fate::Late => {
                let condition = condition.map(|state| state.cloned());
                store.late.push(Late { key: key.to_owned(), bytes: bytes.clone(), condition });
                Err(timed_out())
            }
        }
    }

    fn ask<T>(&self, answer: impl FnOnce(&Store) -> T) -> io::Result<T> {
        match self.fate()? {
            Fate::Answered => Ok(answer(&self.store())),
            Fate::Unanswered | Fate::Late => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answered,
    Unanswered,
    Late,
}

impl Store {
    fn put(&mut self, key: &str, bytes: &Bytes, condition: Option<Option<&Version>>) -> Option<Version> {
        let now = self.objects.get(key).map(|(_, version)| Version(version.to_string()));
        if condition.is_some_and(|state| state != now.as_ref()) {
            return None;
        }
        let version = self.next_version;
        self.next_version += 1;
        self.objects.insert(key.to_owned(), (bytes.clone(), version));
        Some(Version(version.to_string()))
    }
}

impl Bucket for SimBucket {
    fn get(&self, key: &str) -> io::Result<Option<Object>> {
        self.ask(|store| {
            let (bytes, version) = store.objects.get(key)?;
            Some(Object { bytes: bytes.clone(), version: Version(version.to_string()) })
        })
    }

    fn get_many(&self, keys: &[String]) -> io::Result<Vec<Option<Bytes>>> {
        keys.iter().map(|key| Ok(self.get(key)?.map(|object| object.bytes))).collect()
    }

    fn is_there(&self, key: &str) -> io::Result<bool> {
        self.ask(|store| store.objects.contains_key(key))
    }

    fn put_many(&self, objects: &[(String, Bytes)]) -> io::Result<()> {
        let mut outcome = Ok(());
        for (key, bytes) in objects {
            match self.write(key, bytes, None) {
                Ok(_) => {}
                Err(PutError::Failed(error)) => outcome = Err(error),
                Err(PutError::Changed) => outcome = Err(io::Error::other("a condition without one")),
            }
        }
        outcome
    }

    fn put_if(&self, key: &str, bytes: &Bytes, state: Option<&Version>) -> Result<Version, PutError> {
        self.write(key, bytes, Some(state))
    }

    fn delete_many(&self, keys: &[String]) -> io::Result<()> {
        let mut outcome = Ok(());
        for key in keys {
            match self.fate() {
                Ok(fate) => {
                    self.store().objects.remove(key);
                    if fate != Fate::Answered {
                        outcome = Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => outcome = Err(error),
            }
        }
        outcome
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<String>> {
        self.ask(|store| store.objects.keys().filter(|key| key.starts_with(prefix)).cloned().collect())
    }

    fn name(&self) -> String {
        "sim://bucket".to_owned()
    }

    /// Time passes, and what is under way may arrive.
    fn pause(&self, attempt: u32) -> bool {
        self.deliver();
        attempt < 9
    }

    /// The lease of whoever had the log is said to be over at once: nothing may depend on leases.
    fn wait(&self, _: Duration) {}
}
