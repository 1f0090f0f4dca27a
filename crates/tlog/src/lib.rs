//! C2SP transparency logs as bytes: Merkle trees, tiles, signed notes, checkpoints, leaves.
