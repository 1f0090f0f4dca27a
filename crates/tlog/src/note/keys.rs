//! Keys of signed notes: Ed25519, ECDSA, RSA, RFC 6962 tree heads and Ed25519 cosignatures.
//!
//! Formats: C2SP signed-note for the plain ones, C2SP static-ct-api for 0x05, C2SP tlog-cosignature
//! for 0x04. Key types not known here are not verified; their lines stay in the note.

use super::{KeyId, NoteSigner, NoteVerifier, is_key_name};
use crate::checkpoint::Checkpoint;
use crate::ct::{DigitallySigned, tree_head_signature_input};
use crate::merkle::Hash;
use alloc::{
    format,
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use core::fmt;
use sealog_crypto::{KeyKind, PublicKey, Scheme, SignError, Signer, sha256};

/// How a key signs notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// 0x01: Ed25519 over the text.
    Ed25519,
    /// 0x02: ECDSA over the text, in DER; the key ID is of the key alone.
    Ecdsa,
    /// 0xff: RSA PKCS#1 v1.5 over the text.
    Rsa,
    /// 0x04: Ed25519 over the time and the text, by a witness.
    Cosignature,
    /// 0x05: the tree head signature of RFC 6962, by a CT log.
    TreeHead,
}

/// Why a key cannot sign or verify notes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Empty, or with a space or a plus.
    #[error("`{0}` cannot be the name of a key")]
    Name(String),
    /// The key cannot sign that way.
    #[error("a key of kind {found} cannot make {expected} signatures")]
    Kind {
        /// How it should sign.
        expected: KeyType,
        /// What it is.
        found: KeyKind,
    },
    /// No type of note signature is specified for such keys.
    #[error("logs do not sign with {0} keys: no note signature is specified for them")]
    NoType(KeyKind),
    /// Not `name+hash+key`.
    #[error("not the text of a note verifier key")]
    Text,
    /// The ID in the text is of another key.
    #[error("the key ID in the text is not of this key")]
    KeyId,
}

impl KeyType {
    /// The byte that stands for it in key IDs and key texts.
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Ecdsa => 0x02,
            Self::Cosignature => 0x04,
            Self::TreeHead => 0x05,
            Self::Rsa => 0xff,
        }
    }

    /// How a log's own key of that kind signs checkpoints that are not RFC 6962 tree heads; none for
    /// ML-DSA, for which no type of note signature is specified.
    #[must_use]
    pub const fn for_log(kind: KeyKind) -> Option<Self> {
        Some(match kind {
            KeyKind::Ed25519 => Self::Ed25519,
            KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521 => Self::Ecdsa,
            KeyKind::Rsa { .. } => Self::Rsa,
            KeyKind::MlDsa44 | KeyKind::MlDsa65 | KeyKind::MlDsa87 => return None,
        })
    }

    fn of_log_key(key: &PublicKey) -> Result<Self, KeyError> {
        Self::for_log(key.kind()).ok_or(KeyError::NoType(key.kind()))
    }

    const fn takes(self, kind: KeyKind) -> bool {
        matches!(
            (self, kind),
            (Self::Ed25519 | Self::Cosignature, KeyKind::Ed25519)
                | (Self::Ecdsa, KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521)
                | (Self::Rsa, KeyKind::Rsa { .. })
                | (Self::TreeHead, KeyKind::EcdsaP256 | KeyKind::Rsa { .. })
        )
    }

    /// The hash that identifies a key, all of it.
    fn key_id(self, name: &str, key: &PublicKey) -> [u8; 32] {
        let mut input = name.as_bytes().to_vec();
        input.extend_from_slice(&[b'\n', self.byte()]);
        match self {
            Self::Ecdsa => return sha256(key.spki_der()),
            Self::Ed25519 | Self::Cosignature => input.extend_from_slice(key.key_bits()),
            Self::TreeHead => input.extend_from_slice(&sha256(key.spki_der())),
            Self::Rsa => {
                input.extend_from_slice(b"PKIX-RSA-PKCS#1v1.5");
                input.extend_from_slice(key.spki_der());
            }
        }
        sha256(&input)
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "Ed25519 note",
            Self::Ecdsa => "ECDSA note",
            Self::Rsa => "RSA note",
            Self::Cosignature => "Ed25519 cosignature",
            Self::TreeHead => "RFC 6962 tree head",
        })
    }
}

/// The untruncated hash whose first four bytes are the key ID of a log's own key: the log ID of a
/// Rekor v2 log.
///
/// # Errors
/// [`KeyError::NoType`] for keys that sign no notes.
pub fn key_id_full(name: &str, key: &PublicKey) -> Result<[u8; 32], KeyError> {
    Ok(KeyType::of_log_key(key)?.key_id(name, key))
}

/// What a signer and a verifier of one key have in common.
#[derive(Clone, Debug)]
struct Key {
    name: String,
    key_type: KeyType,
    key_id: KeyId,
}

impl Key {
    fn new(name: &str, key_type: KeyType, public: &PublicKey) -> Result<Self, KeyError> {
        if !is_key_name(name) {
            return Err(KeyError::Name(name.to_string()));
        }
        if !key_type.takes(public.kind()) {
            return Err(KeyError::Kind { expected: key_type, found: public.kind() });
        }
        let [a, b, c, d, ..] = key_type.key_id(name, public);
        Ok(Self { name: name.to_string(), key_type, key_id: [a, b, c, d] })
    }
}

/// Checks the signature lines of one key.
#[derive(Clone, Debug)]
pub struct KeyVerifier {
    key: Key,
    public: PublicKey,
}

impl KeyVerifier {
    /// A verifier for this key under this name.
    ///
    /// # Errors
    /// When the name cannot be one, or the key cannot sign that way.
    pub fn new(name: &str, key_type: KeyType, public: PublicKey) -> Result<Self, KeyError> {
        Ok(Self { key: Key::new(name, key_type, &public)?, public })
    }

    /// A log's own key, signing as its kind does (Ed25519, ECDSA or RSA over the text).
    ///
    /// # Errors
    /// When the name cannot be one, or keys of that kind sign no notes.
    pub fn for_log(name: &str, public: PublicKey) -> Result<Self, KeyError> {
        Self::new(name, KeyType::of_log_key(&public)?, public)
    }

    /// A CT log's key, signing RFC 6962 tree heads.
    ///
    /// # Errors
    /// When the name cannot be one, or the key is neither ECDSA P-256 nor RSA.
    pub fn tree_head(name: &str, public: PublicKey) -> Result<Self, KeyError> {
        Self::new(name, KeyType::TreeHead, public)
    }

    /// Reads the text of a key: `<name>+<8 hex digits>+<base64(type ‖ key)>`. All but RSA
    /// keys have one.
    ///
    /// # Errors
    /// When it is malformed, of another type, or its ID is not the key's.
    pub fn from_vkey(text: &str) -> Result<Self, KeyError> {
        let mut parts = text.splitn(3, '+');
        let mut part = || parts.next().ok_or(KeyError::Text);
        let (name, key_id, key) = (part()?, part()?, part()?);
        let key = STANDARD.decode(key).map_err(|_| KeyError::Text)?;
        let (key_type, key) = key.split_first().ok_or(KeyError::Text)?;
        let ed25519 = || {
            let point = key.try_into().map_err(|_| KeyError::Text)?;
            PublicKey::from_ed25519(point).map_err(|_| KeyError::Text)
        };
        let (key_type, public) = match key_type {
            0x01 => (KeyType::Ed25519, ed25519()?),
            0x02 => (KeyType::Ecdsa, PublicKey::from_spki_der(key).map_err(|_| KeyError::Text)?),
            0x04 => (KeyType::Cosignature, ed25519()?),
            0x05 => (KeyType::TreeHead, PublicKey::from_spki_der(key).map_err(|_| KeyError::Text)?),
            _ => return Err(KeyError::Text),
        };
        let verifier = Self::new(name, key_type, public)?;
        if key_id == verifier.hex_key_id() { Ok(verifier) } else { Err(KeyError::KeyId) }
    }

    /// The text of the key; `None` for types that have none.
    #[must_use]
    pub fn to_vkey(&self) -> Option<String> {
        let key = match self.key.key_type {
            KeyType::Ed25519 | KeyType::Cosignature => self.public.key_bits(),
            KeyType::Ecdsa | KeyType::TreeHead => self.public.spki_der(),
            KeyType::Rsa => return None,
        };
        let mut bytes = alloc::vec![self.key.key_type.byte()];
        bytes.extend_from_slice(key);
        Some(format!("{}+{}+{}", self.key.name, self.hex_key_id(), STANDARD.encode(bytes)))
    }

    /// How the key signs.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        self.key.key_type
    }

    /// The key itself.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    fn hex_key_id(&self) -> String {
        format!("{}", super::Hex(&self.key.key_id))
    }
}

impl NoteVerifier for KeyVerifier {
    fn name(&self) -> &str {
        &self.key.name
    }

    fn key_id(&self) -> KeyId {
        self.key.key_id
    }

    fn verify(&self, text: &str, signature: &[u8]) -> bool {
        let check = || match self.key.key_type {
            KeyType::Ed25519 | KeyType::Ecdsa | KeyType::Rsa => {
                let scheme = Scheme::default_for(self.public.kind());
                self.public.verify(scheme, text.as_bytes(), signature).ok()
            }
            KeyType::Cosignature => {
                let (time, signature) = signature.split_first_chunk::<8>()?;
                let message = cosigned(text, u64::from_be_bytes(*time));
                self.public.verify(Scheme::Ed25519, message.as_bytes(), signature).ok()
            }
            KeyType::TreeHead => {
                let (time, signed) = signature.split_first_chunk::<8>()?;
                let (size, root) = tree_head(text, &self.key.name)?;
                let message = tree_head_signature_input(u64::from_be_bytes(*time), size, &root);
                DigitallySigned::parse(signed)?.verify(&message, &self.public).ok()
            }
        };
        check().is_some()
    }
}

/// Makes the signature lines of one key.
#[derive(Clone)]
pub struct KeySigner {
    key: Key,
    signer: Arc<dyn Signer>,
}

impl KeySigner {
    /// A signer with this key under this name.
    ///
    /// # Errors
    /// When the name cannot be one, or the key cannot sign that way.
    pub fn new(name: &str, key_type: KeyType, signer: Arc<dyn Signer>) -> Result<Self, KeyError> {
        Ok(Self { key: Key::new(name, key_type, signer.public_key())?, signer })
    }

    /// A log's own key, signing as its kind does (Ed25519, ECDSA or RSA over the text).
    ///
    /// # Errors
    /// When the name cannot be one, or keys of that kind sign no notes.
    pub fn for_log(name: &str, signer: Arc<dyn Signer>) -> Result<Self, KeyError> {
        let key_type = KeyType::of_log_key(signer.public_key())?;
        Self::new(name, key_type, signer)
    }

    /// A CT log's key, signing RFC 6962 tree heads.
    ///
    /// # Errors
    /// When the name cannot be one, or the key is neither ECDSA P-256 nor RSA.
    pub fn tree_head(name: &str, signer: Arc<dyn Signer>) -> Result<Self, KeyError> {
        Self::new(name, KeyType::TreeHead, signer)
    }

    /// The verifier of what this signs.
    #[must_use]
    pub fn verifier(&self) -> KeyVerifier {
        KeyVerifier { key: self.key.clone(), public: self.signer.public_key().clone() }
    }
}

impl NoteSigner for KeySigner {
    fn name(&self) -> &str {
        &self.key.name
    }

    fn key_id(&self) -> KeyId {
        self.key.key_id
    }

    fn sign_note(&self, text: &str, time_ms: u64) -> Result<Vec<u8>, SignError> {
        match self.key.key_type {
            KeyType::Ed25519 | KeyType::Ecdsa | KeyType::Rsa => self.signer.sign(text.as_bytes()),
            KeyType::Cosignature => {
                let seconds = time_ms / 1000;
                let signature = self.signer.sign(cosigned(text, seconds).as_bytes())?;
                Ok([&seconds.to_be_bytes(), signature.as_slice()].concat())
            }
            KeyType::TreeHead => {
                // A text that is no checkpoint of this log has no tree head to sign.
                let (size, root) = tree_head(text, &self.key.name).ok_or(SignError::Backend)?;
                let message = tree_head_signature_input(time_ms, size, &root);
                let signed = DigitallySigned::sign(&message, self.signer.as_ref())?;
                Ok([&time_ms.to_be_bytes(), signed.encode().as_slice()].concat())
            }
        }
    }
    fn has_signed(&self, text: &str, signature: &[u8]) -> bool {
        self.verifier().verify(text, signature)
    }
}

impl fmt::Debug for KeySigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.key, f)
    }
}

/// What a witness signs (C2SP tlog-cosignature, `cosignature/v1`).
fn cosigned(text: &str, unix_seconds: u64) -> String {
    format!("cosignature/v1\ntime {unix_seconds}\n{text}")
}

/// The part of a checkpoint that a tree head covers. The tree head says nothing of origin and
/// extensions, so the origin must be the key's name and there must be no extensions.
fn tree_head(text: &str, name: &str) -> Option<(u64, Hash)> {
    let checkpoint = Checkpoint::parse(text).ok()?;
    (checkpoint.origin == name && checkpoint.extensions.is_empty())
        .then_some((checkpoint.size, checkpoint.root))
}
