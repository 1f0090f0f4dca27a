//! A log's statement of its size and root (C2SP tlog-checkpoint), as the text of a signed note.

use crate::merkle::Hash;
use crate::note::{NoteError, NoteVerifier, SignedNote};
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use core::fmt;

/// What a log says of itself at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// Leaves in the tree.
    pub size: u64,
    /// Root of the tree.
    pub root: Hash,
    /// Further lines, normally none.
    pub extensions: Vec<String>,
}

/// A checkpoint with the note that carries it. Nothing is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What the note says.
    pub checkpoint: Checkpoint,
    /// The note with every signature line.
    pub note: SignedNote,
}

/// Why a checkpoint is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not origin, size and root, each in a line of its own.
    #[error("the checkpoint is malformed: {0}")]
    Malformed(&'static str),
    /// Another log's checkpoint.
    #[error("the checkpoint is of log `{found}`, not `{expected}`")]
    Origin {
        /// The log asked for.
        expected: String,
        /// The log that speaks.
        found: String,
    },
    /// The note is malformed or not signed by the log.
    #[error(transparent)]
    Note(#[from] NoteError),
}

impl Checkpoint {
    /// Reads the text of a note.
    ///
    /// # Errors
    /// When it is not a checkpoint in its one spelling.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let malformed = CheckpointError::Malformed;
        let body = text.strip_suffix('\n').ok_or(malformed("the last line does not end"))?;
        let mut lines = body.split('\n');
        let origin = lines.next().filter(|line| !line.is_empty()).ok_or(malformed("the origin is empty"))?;
        let size = lines.next().ok_or(malformed("there is no size"))?;
        let shortest = size == "0" || !size.starts_with('0');
        if !shortest || !size.bytes().all(|b| b.is_ascii_digit()) {
            return Err(malformed("the size is not a decimal number"));
        }
        let size = size.parse().map_err(|_| malformed("the size is not a decimal number"))?;
        let root = lines.next().ok_or(malformed("there is no root"))?;
        let root = STANDARD.decode(root).ok().and_then(|root| Hash::try_from(root.as_slice()).ok());
        let root = root.ok_or(malformed("the root is not the base64 of 32 bytes"))?;
        let extensions: Vec<String> = lines.map(String::from).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(malformed("an extension line is empty"));
        }
        Ok(Self { origin: origin.to_string(), size, root, extensions })
    }

    /// The text of a note.
    #[must_use]
    pub fn encode(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl SignedCheckpoint {
    /// Reads a signed note that carries a checkpoint. Nothing is verified.
    ///
    /// # Errors
    /// When the note or its text is malformed.
    pub fn parse(bytes: impl AsRef<[u8]>) -> Result<Self, CheckpointError> {
        let note = SignedNote::parse(bytes)?;
        Ok(Self { checkpoint: Checkpoint::parse(&note.text)?, note })
    }

    /// The checkpoint, if the log signed it.
    ///
    /// # Errors
    /// See [`verify`].
    pub fn verify(&self, log: &dyn NoteVerifier) -> Result<&Checkpoint, CheckpointError> {
        verify(&self.note, log)?;
        Ok(&self.checkpoint)
    }
}

/// The checkpoint in a note, if it is the log's own and signed by the log: the key's name is the
/// origin.
///
/// # Errors
/// When it is malformed, speaks of another log, or is not signed with this key.
pub fn verify(note: &SignedNote, log: &dyn NoteVerifier) -> Result<Checkpoint, CheckpointError> {
    note.verify(log)?;
    let checkpoint = Checkpoint::parse(&note.text)?;
    if checkpoint.origin != log.name() {
        return Err(CheckpointError::Origin { expected: log.name().to_string(), found: checkpoint.origin });
    }
    Ok(checkpoint)
}

#[cfg(test)]
mod tests;
