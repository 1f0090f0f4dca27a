//! Watching: reads logs leaf by leaf, holds them to what they signed, and tells where a name is used.
//!
//! [`follow_once`] is one look at one log: fetch the checkpoint, check its signature, check that it
//! extends everything seen before, read the new entries, hash every one of them into the tree, compare
//! with the signed root, and only then hand out what was found, with the [`LogState`] to keep. It asks a
//! [`TileSource`], so that it can be tested, and demonstrated, without a network.
//!
//! Elsewhere: when to look again, whom to tell and how to end (`sealog watch` in the `cli`).
//!
//! Must always hold: no entry is passed over. What cannot be explained is an [`Alarm`], the state stays
//! where it was, and nothing read in that look is told as if it had been proven. A look that could not
//! be completed ([`Stop::Trouble`]) changes nothing either.

mod alarm;
mod event;
mod follow;
mod log;
mod nodes;
mod source;
mod state;

pub use alarm::{Alarm, Misbehaviour};
pub use event::{Event, EventKind, Interest, InterestError};
pub use follow::{LogState, MAX_ENTRIES_PER_STEP, Step, Stop, follow_once, start_from_now};
pub use log::{LogDescription, LogDescriptionError, LogKind};
pub use source::{FetchError, HttpSource, TileSource};
pub use state::{StateError, StateFile};

#[cfg(test)]
mod tests;
