//! Measurements: what ours takes, and what a peer takes on the same machine in the same run.

mod figures;
pub(crate) mod path;
pub(crate) mod verify;
