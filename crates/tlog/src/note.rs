//! Signed notes (C2SP signed-note): a text and the signatures of those who stand by it.
//!
//! The keys are in [`keys`]. What the text says is not decided here.

mod keys;

pub use keys::{KeyError, KeySigner, KeyType, KeyVerifier, key_id_full};

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use core::fmt;
use sealog_crypto::SignError;

/// Longest note that is read.
pub const MAX_NOTE_LEN: usize = 64 * 1024;

/// Most signature lines that are read (verifiers must take at least 16).
pub const MAX_SIGNATURES: usize = 64;

/// First four bytes of the hash that identifies a key.
pub type KeyId = [u8; 4];

/// A text with its signature lines, known and unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    /// What is signed: ends with a newline.
    pub text: String,
    /// The signature lines in their order.
    pub signatures: Vec<NoteSignature>,
}

/// A signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// Name of the key.
    pub name: String,
    /// Which key of that name.
    pub key_id: KeyId,
    /// The signature, in the format of the key's type.
    pub bytes: Vec<u8>,
}

/// A key that can check a signature line.
pub trait NoteVerifier {
    /// Name of the key.
    fn name(&self) -> &str;

    /// Which key of that name.
    fn key_id(&self) -> KeyId;

    /// Whether these are this key's signature bytes for this text.
    fn verify(&self, text: &str, signature: &[u8]) -> bool;
}

/// A key that can make a signature line.
pub trait NoteSigner: Send + Sync {
    /// Name of the key.
    fn name(&self) -> &str;

    /// Which key of that name.
    fn key_id(&self) -> KeyId;

    /// Signature bytes for this text. Key types that carry no time ignore `time_ms`.
    ///
    /// # Errors
    /// When the key cannot be used.
    fn sign_note(&self, text: &str, time_ms: u64) -> Result<Vec<u8>, SignError>;

    /// Whether these are this key's signature bytes for this text.
    fn has_signed(&self, text: &str, signature: &[u8]) -> bool;
}

/// Why a note is not read or not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a signed note.
    #[error("the signed note is malformed: {0}")]
    Malformed(&'static str),
    /// Larger than anyone's note.
    #[error("a signed note of {0} bytes is longer than {MAX_NOTE_LEN}")]
    TooLong(usize),
    /// More lines than anyone needs.
    #[error("a signed note with more than {MAX_SIGNATURES} signatures")]
    TooManySignatures,
    /// No line of this key.
    #[error("the note carries no signature of `{name}` with key {}", Hex(key_id))]
    Unsigned {
        /// Name of the key.
        name: String,
        /// Which key of that name.
        key_id: KeyId,
    },
    /// A line in this key's name that it did not make.
    #[error("the signature of `{name}` with key {} does not verify", Hex(key_id))]
    BadSignature {
        /// Name of the key.
        name: String,
        /// Which key of that name.
        key_id: KeyId,
    },
}

/// Lower-case hex, for messages.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl SignedNote {
    /// A note without signatures yet. The text must end with a newline and have no other control
    /// characters; [`parse`](Self::parse) refuses it otherwise.
    #[must_use]
    pub const fn new(text: String) -> Self {
        Self { text, signatures: Vec::new() }
    }

    /// Reads a note. Nothing is verified.
    ///
    /// # Errors
    /// When it is too long or malformed.
    pub fn parse(bytes: impl AsRef<[u8]>) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed;
        let bytes = bytes.as_ref();
        if bytes.len() > MAX_NOTE_LEN {
            return Err(NoteError::TooLong(bytes.len()));
        }
        let note = core::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
        if note.bytes().any(|b| b < 0x20 && b != b'\n') {
            return Err(malformed("it has control characters"));
        }
        // The last blank line: the text itself may have others.
        let (text, lines) = note.rsplit_once("\n\n").ok_or(malformed("there is no blank line"))?;
        let (text, _) = note.split_at_checked(text.len() + 1).ok_or(malformed("there is no blank line"))?;
        let lines = lines.strip_suffix('\n').ok_or(malformed("the last line does not end"))?;
        let mut signatures = Vec::new();
        for line in lines.split('\n') {
            if signatures.len() == MAX_SIGNATURES {
                return Err(NoteError::TooManySignatures);
            }
            signatures.push(NoteSignature::parse(line).ok_or(malformed("a signature line is malformed"))?);
        }
        Ok(Self { text: text.to_string(), signatures })
    }

    /// The note's bytes.
    #[must_use]
    pub fn encode(&self) -> String {
        self.to_string()
    }

    /// Adds this key's signature as the last line.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn sign(&mut self, signer: &dyn NoteSigner, time_ms: u64) -> Result<(), SignError> {
        let bytes = signer.sign_note(&self.text, time_ms)?;
        self.signatures.push(NoteSignature {
            name: signer.name().to_string(),
            key_id: signer.key_id(),
            bytes,
        });
        Ok(())
    }

    /// Checks that this key signed. Lines of other keys do not matter, but every line in this key's
    /// name and ID must be its own: one bad line and the note is refused.
    ///
    /// # Errors
    /// When there is no line of this key, or a line that it did not make.
    pub fn verify(&self, key: &dyn NoteVerifier) -> Result<(), NoteError> {
        let (name, key_id) = (key.name(), key.key_id());
        let mut verified: Option<&[u8]> = None;
        for line in self.signatures.iter().filter(|line| line.key_id == key_id && line.name == name) {
            // One line copied into all the room there is costs no more than one.
            if verified == Some(line.bytes.as_slice()) {
                continue;
            }
            if !key.verify(&self.text, &line.bytes) {
                return Err(NoteError::BadSignature { name: name.to_string(), key_id });
            }
            verified = Some(&line.bytes);
        }
        match verified {
            Some(_) => Ok(()),
            None => Err(NoteError::Unsigned { name: name.to_string(), key_id }),
        }
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl NoteSignature {
    /// Reads a line without its newline: `— name base64(key ID ‖ signature)`.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let (name, base64) = line.strip_prefix("— ")?.split_once(' ')?;
        if !is_key_name(name) {
            return None;
        }
        let bytes = STANDARD.decode(base64).ok()?;
        let (key_id, bytes) = bytes.split_first_chunk::<4>()?;
        if bytes.is_empty() {
            return None;
        }
        Some(Self { name: name.to_string(), key_id: *key_id, bytes: bytes.to_vec() })
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.key_id.to_vec();
        bytes.extend_from_slice(&self.bytes);
        write!(f, "— {} {}", self.name, STANDARD.encode(bytes))
    }
}

/// Key names have no spaces and no plus.
fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

#[cfg(test)]
mod tests;
