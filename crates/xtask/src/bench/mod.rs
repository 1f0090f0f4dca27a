//! Measurements: what ours takes, and what a peer takes on the same machine in the same run.

pub(crate) mod ca;
mod figures;
pub(crate) mod log;
pub(crate) mod path;
mod usage;
pub(crate) mod verify;
