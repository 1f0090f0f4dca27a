//! Why a token refuses, in words that say which token and which key.

use cryptoki::{
    context::Function,
    error::{Error, RvError},
};
use sealog_crypto::{KeyError, KeyKind, RandomError, SignError};
use std::path::PathBuf;

/// Why a key in a token cannot be made, found or used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The library is not there, or no PKCS#11 module.
    #[error("{} cannot be loaded as a PKCS#11 module", module.display())]
    Module {
        /// The library.
        module: PathBuf,
        /// What the loader or the module said.
        source: Error,
    },
    /// No token of that label.
    #[error("{} has no token labelled \"{token}\", only {found}", module.display())]
    NoToken {
        /// The library.
        module: PathBuf,
        /// The label asked for.
        token: String,
        /// The labels there are.
        found: String,
    },
    /// Several of them.
    #[error("{} has {found} tokens labelled \"{token}\"", module.display())]
    ManyTokens {
        /// The library.
        module: PathBuf,
        /// The label asked for.
        token: String,
        /// How many have it.
        found: usize,
    },
    /// The PIN is wrong, locked or expired. It is not tried again: modules lock after a few tries.
    #[error("token \"{token}\" refuses the PIN ({refusal}); it is not tried again")]
    Pin {
        /// The token.
        token: String,
        /// The module's code.
        refusal: RvError,
    },
    /// No private key of that label.
    #[error("token \"{token}\" has no private key labelled \"{label}\"")]
    NoKey {
        /// The token.
        token: String,
        /// The label.
        label: String,
    },
    /// Several of them.
    #[error("token \"{token}\" has {found} {what}s labelled \"{label}\"")]
    ManyKeys {
        /// The token.
        token: String,
        /// The label.
        label: String,
        /// Which half.
        what: &'static str,
        /// How many there are.
        found: usize,
    },
    /// A private key whose public half is nowhere.
    #[error("token \"{token}\" has no public key labelled \"{label}\" beside the private one")]
    NoPublicHalf {
        /// The token.
        token: String,
        /// The label.
        label: String,
    },
    /// It is not a hardware key if it can be taken out.
    #[error("the private key labelled \"{label}\" can be read out of token \"{token}\"")]
    Extractable {
        /// The token.
        token: String,
        /// The label.
        label: String,
    },
    /// Another kind than is needed.
    #[error("the key labelled \"{label}\" in token \"{token}\" is {found}, expected {expected}")]
    Kind {
        /// The token.
        token: String,
        /// The label.
        label: String,
        /// What is needed.
        expected: KeyKind,
        /// What is there.
        found: KeyKind,
    },
    /// Not the key that `init` made.
    #[error("the key labelled \"{label}\" in token \"{token}\" is not the one of {}", public.display())]
    OtherKey {
        /// The token.
        token: String,
        /// The label.
        label: String,
        /// The public half on disk.
        public: PathBuf,
    },
    /// No such keys in tokens, or not in this one.
    #[error("token \"{token}\" makes no {kind} keys")]
    Unsupported {
        /// The token.
        token: String,
        /// The kind asked for.
        kind: KeyKind,
    },
    /// Too many wait already, or a session did not come free.
    #[error("no session of token \"{token}\" came free in time")]
    Busy {
        /// The token.
        token: String,
    },
    /// The token gave a signature that is not the key's over the message: it does not leave this process.
    #[error("token \"{token}\" gave a wrong signature for the key labelled \"{label}\"")]
    WrongSignature {
        /// The token.
        token: String,
        /// The label.
        label: String,
    },
    /// Any other refusal of the module's.
    #[error("token \"{token}\" failed")]
    Failed {
        /// The token.
        token: String,
        /// What it said.
        source: Error,
    },
    /// The public half is unusable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No random bytes for the check of a key.
    #[error(transparent)]
    Random(#[from] RandomError),
}

impl TokenError {
    /// Whether the configuration, or what it points at, must change before it can work.
    #[must_use]
    pub fn is_setting(&self) -> bool {
        !matches!(
            self,
            Self::Busy { .. } | Self::Failed { .. } | Self::WrongSignature { .. } | Self::Random(_)
        )
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Module { .. } => "`module` in [pkcs11] is the path of the vendor's library",
            Self::NoToken { .. } | Self::ManyTokens { .. } => {
                "see `pkcs11-tool --module MODULE --list-token-slots`, and set `token` in [pkcs11]"
            }
            Self::Pin { .. } => {
                "check `pin_file` before the next start: a few more wrong ones may lock the token"
            }
            Self::NoKey { .. } => "is it the token that `init` used? a restored key must have its old label",
            Self::ManyKeys { .. } => "labels must be unique in the token: rename or delete the other one",
            Self::NoPublicHalf { .. } => "store the public key in the token under the same label",
            Self::Extractable { .. } => "make it in the token, not extractable and sensitive",
            Self::Kind { .. } => "name another label in [pkcs11.keys], or make a key of the expected kind",
            Self::OtherKey { .. } => {
                "restore the key, or correct its label in [pkcs11.keys]; nothing was changed"
            }
            Self::Unsupported { .. } => "leave this key out of [pkcs11.keys]: it then lies in a sealed file",
            _ => return None,
        })
    }
}

impl From<TokenError> for SignError {
    /// Callers hear that the key failed; the log has the reason.
    fn from(_: TokenError) -> Self {
        Self::Backend
    }
}

/// What an error says about the session it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The session is as good as before.
    None,
    /// The session stands, its login does not.
    Login,
    /// The session is gone, and its handle may soon be somebody else's.
    Session,
    /// The library itself must be initialised again.
    Library,
}

pub(super) fn loss(error: &Error) -> Loss {
    let Error::Pkcs11(code, function) = error else { return Loss::None };
    if matches!(function, Function::Login) && !had_no_session(*code) {
        // Of any other failure of a login it is not known whether it was the PIN's: once is enough.
        return Loss::None;
    }
    match code {
        RvError::UserNotLoggedIn
        // What modules say when somebody logs out while a signature begins, and of much else that passes.
        | RvError::GeneralError
        | RvError::FunctionFailed => Loss::Login,
        RvError::CryptokiNotInitialized => Loss::Library,
        RvError::SessionHandleInvalid
        | RvError::SessionClosed
        | RvError::DeviceRemoved
        | RvError::DeviceError
        | RvError::TokenNotPresent
        | RvError::TokenNotRecognized
        | RvError::SlotIdInvalid
        // Handles of private objects end with the login they were found under.
        | RvError::KeyHandleInvalid
        | RvError::ObjectHandleInvalid
        // Left by a call that was cut off.
        | RvError::OperationActive
        | RvError::OperationNotInitialized => Loss::Session,
        _ => Loss::None,
    }
}

/// Whether a login failed before its PIN was looked at, for want of a session.
fn had_no_session(code: RvError) -> bool {
    matches!(
        code,
        RvError::CryptokiNotInitialized
            | RvError::SessionHandleInvalid
            | RvError::SessionClosed
            | RvError::DeviceRemoved
            | RvError::TokenNotPresent
            | RvError::TokenNotRecognized
    )
}

/// Whether a login was refused for the PIN's sake.
pub(super) fn refuses_pin(code: RvError) -> bool {
    matches!(
        code,
        RvError::PinIncorrect
            | RvError::PinInvalid
            | RvError::PinLenRange
            | RvError::PinExpired
            | RvError::PinLocked
            | RvError::UserPinNotInitialized
    )
}
