//! Does a store keep its word? A log is safe in a bucket only if, of many conditional writes at one time, one is done.
//!
//! Not every store that takes the conditions also holds them under a race, and nothing it says of itself tells: so it is
//! tried, before a log is made in it and each time one is opened.

use std::io;
use std::sync::Barrier;
use std::thread;

use bytes::Bytes;

use super::{Bucket, PutError, Version};

/// Writers at one time.
const RACERS: usize = 12;

/// Why a store may not have a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// More than one of the writes that exclude each other was done.
    #[error(
        "conditional writes of {bucket} are not atomic: {winners} of {RACERS} writers at one time {what}"
    )]
    NotAtomic {
        /// The store.
        bucket: String,
        /// Writes that were done.
        winners: usize,
        /// What each of them did.
        what: &'static str,
    },
    /// None of them was, and nobody else can have been faster.
    #[error("{bucket} does no conditional writes: none of {RACERS} writers {what}")]
    None {
        /// The store.
        bucket: String,
        /// What each of them wanted to do.
        what: &'static str,
        /// The last failure, if there was any.
        #[source]
        source: Option<io::Error>,
    },
    /// The store cannot be read or written at all.
    #[error("{bucket} cannot be used")]
    Io {
        /// The store.
        bucket: String,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// Races writers against each other for so many rounds, over an object of its own that is removed afterwards.
///
/// # Errors
/// See [`ProbeError`].
pub fn probe(bucket: &dyn Bucket, rounds: usize) -> Result<(), ProbeError> {
    let failed = |source| ProbeError::Io { bucket: bucket.name(), source };
    let random = sealog_crypto::random_array::<8>().map_err(io::Error::other).map_err(failed)?;
    let key: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("probe/{key}");
    (0..rounds).try_for_each(|round| {
        let key = format!("{key}-{round}");
        let created = race(bucket, &key, None, "created one object");
        let swapped = created.and_then(|state| race(bucket, &key, Some(&state), "replaced one state of it"));
        let removed = bucket.delete_many(&[key]);
        swapped?;
        removed.map_err(failed)
    })
}

fn race(
    bucket: &dyn Bucket,
    key: &str,
    state: Option<&Version>,
    what: &'static str,
) -> Result<Version, ProbeError> {
    let start = Barrier::new(RACERS);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let racers: Vec<_> = (0..RACERS)
            .map(|n| {
                let (start, bytes) = (&start, Bytes::from(format!("{key} {n} {}", state.is_some())));
                scope.spawn(move || {
                    start.wait();
                    bucket.put_if(key, &bytes, state)
                })
            })
            .collect();
        racers.into_iter().filter_map(|racer| racer.join().ok()).collect()
    });
    let (mut winners, mut source) = (Vec::new(), None);
    for outcome in outcomes {
        match outcome {
            Ok(version) => winners.push(version),
            Err(PutError::Changed) => {}
            Err(PutError::Failed(error)) => source = Some(error),
        }
    }
    let name = bucket.name();
    match winners.len() {
        0 => Err(ProbeError::None { bucket: name, what, source }),
        1 => match (bucket.get(key), winners.pop()) {
            (Ok(Some(found)), Some(won)) if found.version == won => Ok(won),
            (Ok(_), _) => Err(ProbeError::NotAtomic { bucket: name, winners: RACERS, what }),
            (Err(source), _) => Err(ProbeError::Io { bucket: name, source }),
        },
        winners => Err(ProbeError::NotAtomic { bucket: name, winners, what }),
    }
}
