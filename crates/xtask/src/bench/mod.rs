//! Measurements: what ours takes, and what a peer takes on the same machine in the same run.

pub(crate) mod ca;
mod figures;
pub(crate) mod path;
pub(crate) mod verify;
