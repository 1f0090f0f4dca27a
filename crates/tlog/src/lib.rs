//! C2SP transparency logs as bytes: Merkle trees, tiles, signed notes, checkpoints, leaves.
//!
//! Everything a log, its readers and its monitors must agree on, to the byte: the hashing and proofs
//! of RFC 6962 ([`merkle`]), the resources of C2SP tlog-tiles ([`tile`]), C2SP signed notes ([`note`])
//! and checkpoints ([`checkpoint`]), and what a log calls a leaf ([`leaf`], with certificates in
//! [`ct`]).
//!
//! Elsewhere: where bytes are kept and in which order they become durable (`log-engine`), how they
//! travel (`client`, `server`), what an entry means (`bundle`, `pki`).
//!
//! ```
//! use sealog_tlog::merkle::{Edge, leaf_hash, prove_inclusion};
//!
//! let mut tree = Edge::new();
//! for entry in ["one", "two", "three"] {
//!     tree.push(leaf_hash(entry.as_bytes()));
//! }
//! let proof = prove_inclusion(1, tree.size(), &tree)?;
//! assert!(proof.verify(&leaf_hash(b"two"), &tree.root()).is_ok());
//! assert!(proof.verify(&leaf_hash(b"2"), &tree.root()).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Nothing here reads a clock, a file or a socket, and no input makes it panic.

#![no_std]
extern crate alloc;

pub mod checkpoint;
pub mod ct;
pub mod leaf;
pub mod merkle;
pub mod note;
pub mod tile;

mod wire;

pub use checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
pub use leaf::{EntryBytes, EntryLeaf, Leaf, LeafError, Placed, SideObject};
pub use merkle::{Edge, Hash, InclusionProof};
pub use note::{NoteSigner, NoteVerifier, SignedNote};
pub use tile::Tile;
