//! The key store: one directory (0700) with each private key in a file of its own (0600).
//!
//! A key is PKCS#8 sealed under a passphrase, or, where the configuration says `plain_keys`, PKCS#8 in
//! PEM as OpenSSL reads it. One salt and iteration count (`sealing.toml`) serve the whole directory, so a
//! start derives once however many keys there are. `NAME.pub` keeps the public half and `NAME.pem` a
//! certificate chain, both readable by anyone.
//!
//! A key that `[pkcs11]`, `[aws_kms]` or `[google_kms]` names lives elsewhere; its other files lie here as well.
//!
//! Nothing here is ever overwritten, and a key file that others can read is refused: it may have leaked.

use crate::{files, kms::CloudKeyError, pkcs11::TokenError};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use sealog_crypto::{
    KeyError, KeyKind, PrivateKey, PublicKey, SealError, SealingKey, SignError, Signer, Zeroizing,
    random_array,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt, fs, io,
    num::NonZeroU32,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Rounds of PBKDF2-HMAC-SHA256 for new stores (OWASP 2023).
const ITERATIONS: u32 = 600_000;
/// Fewer are not believed: somebody would have weakened the file.
const MIN_ITERATIONS: u32 = 100_000;
/// More would be a way to make a start take hours.
const MAX_ITERATIONS: u32 = 10_000_000;
/// No key, public key, chain or parameter file is longer.
const MAX_FILE: u64 = 64 * 1024;
const PARAMETERS: &str = "sealing.toml";
/// An empty file, locked while a key is written.
const LOCK: &str = ".lock";
/// Its label when sealed: proves the passphrase before any key is needed.
const PROOF_LABEL: &str = "sealing.toml";
const PEM_SEALED: &str = "SEALOG SEALED PRIVATE KEY";
const PEM_PLAIN: &str = "PRIVATE KEY";

/// How private keys lie on disk.
pub enum Protection {
    /// PKCS#8 in the clear.
    Plain,
    /// Sealed under this passphrase.
    Passphrase(Zeroizing<Vec<u8>>),
}

/// An opened key store. Cheap to clone.
#[derive(Clone)]
pub struct KeyStore {
    dir: PathBuf,
    /// None: keys in plain.
    sealing: Option<Arc<SealingKey>>,
    /// Who has the keys that lie in no file.
    elsewhere: Vec<Arc<dyn Elsewhere>>,
}

/// Something that has private keys and does not give them out: a security module, a service.
pub trait Elsewhere: Send + Sync {
    /// Whether a key of this name is meant to live there.
    fn holds(&self, name: &str) -> bool;

    /// Where that is, for people.
    fn place(&self, name: &str) -> String;

    /// Makes the key, or takes note of the one that is there.
    ///
    /// # Errors
    /// When it has none of this kind.
    fn make(&self, name: &str, kind: KeyKind) -> Result<Arc<dyn Signer>, KeyStoreError>;

    /// The key, which must be the one whose public half is given; `path` is where that lies.
    ///
    /// # Errors
    /// When it is another one, or cannot be used.
    fn find(&self, name: &str, public: PublicKey, path: &Path) -> Result<Arc<dyn Signer>, KeyStoreError>;
}

/// The names keys have, without the generation that follows a renewed one. `oidc` is not among them: its
/// service signs with keys of files only.
const NAMES: [&str; 6] = ["ca", "ca-root", "tsa", "tsa-root", "rekor", "ctlog"];

/// Checks a table of keys that live elsewhere, by name.
///
/// # Errors
/// In words, for a person who wrote it into the configuration.
pub fn check_table(table: &str, keys: &BTreeMap<String, String>, longest: usize) -> Result<(), String> {
    if keys.is_empty() {
        return Err(format!("[{table}.keys] names no key: say `NAME = \"…\"`, or leave [{table}] out"));
    }
    for (name, value) in keys {
        if name == "oidc" {
            return Err(format!("[{table}.keys] `oidc`: the identity provider's key lives in a file"));
        }
        let is_shard = ["rekor-", "ctlog-"].iter().any(|kind| name.starts_with(kind));
        let is_known = |name| NAMES.contains(&name);
        if !is_shard && !is_known(name.as_str()) && !generation_of(name).is_some_and(is_known) {
            return Err(format!("[{table}.keys] `{name}` is no key: expected one of {}", NAMES.join(", ")));
        }
        if value.is_empty() || value.len() > longest {
            return Err(format!("[{table}.keys] what stands for `{name}` must have 1 to {longest} bytes"));
        }
        // Two names for one key: a log would sign what an authority is asked to, and so on.
        if let Some((other, _)) = keys.iter().find(|(n, v)| *v == value && *n != name) {
            return Err(format!("[{table}.keys] `{name}` and `{other}` are the same key"));
        }
    }
    Ok(())
}

/// The name that a renewed key's name begins with.
pub(crate) fn generation_of(name: &str) -> Option<&str> {
    let (first, generation) = name.rsplit_once('-')?;
    generation.parse::<u32>().ok().map(|_| first)
}

/// Why the key store refuses.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// The file system's complaint about one file.
    #[error("cannot use {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no such key: `init` was not run, or another directory is meant.
    #[error("no key at {}", .0.display())]
    Missing(PathBuf),
    /// Keys are made once.
    #[error("{} exists already and is left untouched", .0.display())]
    Exists(PathBuf),
    /// Others may have read it.
    #[error("{} has mode {found:04o}, expected {expected:04o}: others can read it", path.display())]
    Exposed {
        /// The file or directory.
        path: PathBuf,
        /// Mode that would do.
        expected: u32,
        /// Mode found.
        found: u32,
    },
    /// Sealed keys, and no passphrase to open them.
    #[error("the keys in {} are sealed, and no passphrase is configured", .0.display())]
    NeedsPassphrase(PathBuf),
    /// Sealed keys, and nothing that says how.
    #[error("{} is missing: without it no passphrase opens the keys beside it", .0.display())]
    NoParameters(PathBuf),
    /// A passphrase, and a directory of plain keys.
    #[error("the keys in {} are in plain, but a passphrase is configured", .0.display())]
    NotSealed(PathBuf),
    /// Wrong passphrase.
    #[error("the configured passphrase does not open {}", .0.display())]
    WrongPassphrase(PathBuf),
    /// Not a file this program wrote.
    #[error("{} is not a file of this key store: {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Written by a newer program.
    #[error("{} has format {found}, this program reads up to {expected}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Newest format known here.
        expected: u32,
        /// Format found.
        found: u32,
    },
    /// The key could not be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The key could not be made or read.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The public half is unusable.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A key file for a key that is said to be elsewhere.
    #[error("{} exists, but the configuration says that this key is {place}", path.display())]
    Misplaced {
        /// The file.
        path: PathBuf,
        /// Where the key should be.
        place: String,
    },
    /// The security module refuses.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The service refuses.
    #[error(transparent)]
    Cloud(#[from] CloudKeyError),
}

/// Whether a key of that directory is sealed.
fn holds_sealed(dir: &Path) -> Result<bool, KeyStoreError> {
    for entry in fs::read_dir(dir).map_err(|e| io_error(dir, e))? {
        let path = entry.map_err(|e| io_error(dir, e))?.path();
        let is_key = path.extension().is_some_and(|extension| extension == "key");
        let sealed = || fs::read_to_string(&path).is_ok_and(|text| text.contains(PEM_SEALED));
        if is_key && sealed() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `sealing.toml`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    format: u32,
    salt: String,
    iterations: u32,
    proof: String,
}

const FORMAT: u32 = 1;

impl KeyStore {
    /// Opens the directory, making it (and its sealing parameters) when there is none.
    ///
    /// # Errors
    /// See [`KeyStoreError`]. An existing store is never changed.
    pub fn create(dir: &Path, protection: Protection) -> Result<Self, KeyStoreError> {
        files::create_secret_dir(dir).map_err(|e| io_error(dir, e))?;
        let parameters = dir.join(PARAMETERS);
        if let Protection::Passphrase(passphrase) = &protection
            && !parameters.exists()
        {
            if dir_has_keys(dir)? {
                return Err(KeyStoreError::NotSealed(dir.to_owned()));
            }
            let salt: [u8; 32] = random_array().map_err(SealError::from)?;
            let iterations = NonZeroU32::new(ITERATIONS).unwrap_or(NonZeroU32::MAX);
            let sealing = SealingKey::derive(passphrase, &salt, iterations)?;
            let text = toml::to_string(&Parameters {
                format: FORMAT,
                salt: hex::encode(salt),
                iterations: ITERATIONS,
                proof: BASE64.encode(sealing.seal(PROOF_LABEL, b"sealog")?),
            })
            .map_err(|_| malformed(&parameters, "cannot be written as TOML"))?;
            files::write_new(&parameters, text.as_bytes(), files::MODE_SECRET)
                .map_err(|e| io_error(&parameters, e))?;
            return Ok(Self { dir: dir.to_owned(), sealing: Some(Arc::new(sealing)), elsewhere: Vec::new() });
        }
        Self::open(dir, protection)
    }

    /// Opens an existing directory; with a passphrase this is the one derivation of a start.
    ///
    /// # Errors
    /// See [`KeyStoreError`].
    pub fn open(dir: &Path, protection: Protection) -> Result<Self, KeyStoreError> {
        if !dir.is_dir() {
            return Err(KeyStoreError::Missing(dir.to_owned()));
        }
        refuse_exposed(dir, 0o700)?;
        let parameters = dir.join(PARAMETERS);
        let sealing = match (protection, parameters.exists()) {
            (Protection::Plain, false) => None,
            (Protection::Plain, true) => return Err(KeyStoreError::NeedsPassphrase(dir.to_owned())),
            (Protection::Passphrase(_), false) if holds_sealed(dir)? => {
                return Err(KeyStoreError::NoParameters(parameters));
            }
            (Protection::Passphrase(_), false) => return Err(KeyStoreError::NotSealed(dir.to_owned())),
            (Protection::Passphrase(passphrase), true) => Some(Arc::new(derive(&parameters, &passphrase)?)),
        };
        Ok(Self { dir: dir.to_owned(), sealing, elsewhere: Vec::new() })
    }

    /// With those who have some of its keys.
    #[must_use]
    pub fn with(self, elsewhere: Vec<Arc<dyn Elsewhere>>) -> Self {
        Self { elsewhere, ..self }
    }

    /// Whether private keys lie here in plain.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.sealing.is_none()
    }

    /// The directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether a private key of that name was made.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        match self.holder(name) {
            Some(_) => self.path(name, "pub").exists(),
            None => self.path(name, "key").exists(),
        }
    }

    /// Makes a key where it is to live, and stores its public half.
    ///
    /// # Errors
    /// [`KeyStoreError::Exists`] when there is one of that name, which stays as it is.
    pub fn make(&self, name: &str, kind: KeyKind) -> Result<Arc<dyn Signer>, KeyStoreError> {
        let Some(holder) = self.holder(name) else { return Ok(Arc::new(self.generate(name, kind)?)) };
        let public = self.path(name, "pub");
        if public.exists() {
            return Err(KeyStoreError::Exists(public));
        }
        self.refuse_misplaced(name)?;
        let key = holder.make(name, kind)?;
        files::write_new(&public, key.public_key().to_pem().as_bytes(), files::MODE_PUBLIC)
            .map_err(|e| io_error(&public, e))?;
        Ok(key)
    }

    /// What signs with a key, wherever it lives.
    ///
    /// # Errors
    /// See [`KeyStoreError`].
    pub fn signer(&self, name: &str) -> Result<Arc<dyn Signer>, KeyStoreError> {
        let Some(holder) = self.holder(name) else { return Ok(Arc::new(self.load(name)?)) };
        self.refuse_misplaced(name)?;
        holder.find(name, self.public(name)?, &self.path(name, "pub"))
    }

    /// Where a private key lives, for people.
    #[must_use]
    pub fn place(&self, name: &str) -> String {
        match self.holder(name) {
            Some(holder) => holder.place(name),
            None => self.path(name, "key").display().to_string(),
        }
    }

    /// Whether a key of that name lives elsewhere than in a file.
    #[must_use]
    pub fn is_elsewhere(&self, name: &str) -> bool {
        self.holder(name).is_some()
    }

    fn holder(&self, name: &str) -> Option<&dyn Elsewhere> {
        self.elsewhere.iter().find(|holder| holder.holds(name)).map(|holder| holder.as_ref())
    }

    fn refuse_misplaced(&self, name: &str) -> Result<(), KeyStoreError> {
        let path = self.path(name, "key");
        match path.exists() {
            true => Err(KeyStoreError::Misplaced { path, place: self.place(name) }),
            false => Ok(()),
        }
    }

    /// Makes a key in a file and stores both halves.
    ///
    /// # Errors
    /// [`KeyStoreError::Exists`] when there is one of that name, which stays as it is.
    pub fn generate(&self, name: &str, kind: KeyKind) -> Result<PrivateKey, KeyStoreError> {
        if self.path(name, "key").exists() {
            return Err(KeyStoreError::Exists(self.path(name, "key")));
        }
        let key = PrivateKey::generate(kind)?;
        self.import(name, &key)?;
        Ok(key)
    }

    /// Stores both halves of a key that was made elsewhere.
    ///
    /// # Errors
    /// [`KeyStoreError::Exists`] when there is one of that name, which stays as it is.
    pub fn import(&self, name: &str, key: &PrivateKey) -> Result<(), KeyStoreError> {
        let path = self.path(name, "key");
        if path.exists() {
            return Err(KeyStoreError::Exists(path));
        }
        let der = key.to_pkcs8_der()?;
        let text = match &self.sealing {
            Some(sealing) => pem(PEM_SEALED, &sealing.seal(name, &der)?),
            None => pem(PEM_PLAIN, &der),
        };
        // Of two that make the same key at once one comes second, and must not leave its public half beside the other's key.
        let _alone = self.lock()?;
        if path.exists() {
            return Err(KeyStoreError::Exists(path));
        }
        // The public half first: a crash in between leaves no private key that nobody knows of.
        let public = self.path(name, "pub");
        files::replace(&public, key.public_key().to_pem().as_bytes(), files::MODE_PUBLIC)
            .map_err(|e| io_error(&public, e))?;
        files::write_new(&path, text.as_bytes(), files::MODE_SECRET).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => KeyStoreError::Exists(path.clone()),
            _ => io_error(&path, e),
        })
    }

    /// Held by whoever writes a key, in this process or another, until it is dropped.
    fn lock(&self) -> Result<fs::File, KeyStoreError> {
        let path = self.dir.join(LOCK);
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(files::MODE_SECRET)
            .open(&path)
            .map_err(|e| io_error(&path, e))?;
        file.lock().map_err(|e| io_error(&path, e))?;
        Ok(file)
    }

    /// Reads a private key from its file.
    ///
    /// # Errors
    /// See [`KeyStoreError`].
    pub fn load(&self, name: &str) -> Result<PrivateKey, KeyStoreError> {
        let path = self.path(name, "key");
        if !path.exists() {
            return Err(KeyStoreError::Missing(path));
        }
        refuse_exposed(&path, files::MODE_SECRET)?;
        let content = Zeroizing::new(files::read_bounded(&path, MAX_FILE).map_err(|e| io_error(&path, e))?);
        let text = std::str::from_utf8(&content).map_err(|_| malformed(&path, "not text"))?;
        match &self.sealing {
            Some(sealing) => {
                let sealed = unpem(PEM_SEALED, text).ok_or_else(|| malformed(&path, "not a sealed key"))?;
                let der = sealing.open(name, &sealed).map_err(|_| {
                    malformed(&path, "sealed under another passphrase or name, or changed since")
                })?;
                Ok(PrivateKey::from_pkcs8_der(&der)?)
            }
            None => read_plain(&path, &content),
        }
    }

    /// Reads a public key.
    ///
    /// # Errors
    /// See [`KeyStoreError`].
    pub fn public(&self, name: &str) -> Result<PublicKey, KeyStoreError> {
        read_public(&self.dir, name)
    }

    /// Stores a certificate chain in PEM beside the key; it replaces none.
    ///
    /// # Errors
    /// [`KeyStoreError::Exists`] when there is one.
    pub fn store_chain(&self, name: &str, pem: &str) -> Result<(), KeyStoreError> {
        let path = self.path(name, "pem");
        files::write_new(&path, pem.as_bytes(), files::MODE_PUBLIC).map_err(|e| match e.kind() {
            io::ErrorKind::AlreadyExists => KeyStoreError::Exists(path.clone()),
            _ => io_error(&path, e),
        })
    }

    /// Reads a certificate chain in PEM.
    ///
    /// # Errors
    /// See [`KeyStoreError`].
    pub fn chain(&self, name: &str) -> Result<String, KeyStoreError> {
        read_text(&self.path(name, "pem"))
    }

    /// Where a file of this key lies.
    #[must_use]
    pub fn path(&self, name: &str, extension: &str) -> PathBuf {
        self.dir.join(format!("{name}.{extension}"))
    }
}

impl fmt::Debug for KeyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyStore({})", self.dir.display())
    }
}

/// Reads a private key in plain; `path` is where it was.
///
/// # Errors
/// [`KeyStoreError::Malformed`] when it is not PKCS#8 in PEM.
pub(crate) fn read_plain(path: &Path, content: &[u8]) -> Result<PrivateKey, KeyStoreError> {
    let der = std::str::from_utf8(content).ok().and_then(|text| unpem(PEM_PLAIN, text));
    let der = der.ok_or_else(|| malformed(path, "not PKCS#8 in PEM, unencrypted"))?;
    Ok(PrivateKey::from_pkcs8_der(&der)?)
}

/// Reads a public key from a store that need not be opened.
///
/// # Errors
/// See [`KeyStoreError`].
pub fn read_public(dir: &Path, name: &str) -> Result<PublicKey, KeyStoreError> {
    Ok(PublicKey::from_pem(&read_text(&dir.join(format!("{name}.pub")))?)?)
}

fn read_text(path: &Path) -> Result<String, KeyStoreError> {
    if !path.exists() {
        return Err(KeyStoreError::Missing(path.to_owned()));
    }
    let content = files::read_bounded(path, MAX_FILE).map_err(|e| io_error(path, e))?;
    String::from_utf8(content).map_err(|_| malformed(path, "not text"))
}

fn derive(path: &Path, passphrase: &[u8]) -> Result<SealingKey, KeyStoreError> {
    let content = files::read_bounded(path, MAX_FILE).map_err(|e| io_error(path, e))?;
    let text = std::str::from_utf8(&content).map_err(|_| malformed(path, "not text"))?;
    let parameters: Parameters =
        toml::from_str(text).map_err(|_| malformed(path, "not the sealing parameters"))?;
    if parameters.format > FORMAT {
        return Err(KeyStoreError::Newer {
            path: path.to_owned(),
            expected: FORMAT,
            found: parameters.format,
        });
    }
    let salt: [u8; 32] = hex::decode(&parameters.salt)
        .ok()
        .and_then(|salt| salt.try_into().ok())
        .ok_or_else(|| malformed(path, "the salt is not 32 bytes in hex"))?;
    let iterations = NonZeroU32::new(parameters.iterations)
        .filter(|n| (MIN_ITERATIONS..=MAX_ITERATIONS).contains(&n.get()))
        .ok_or_else(|| malformed(path, "the iteration count is out of bounds"))?;
    let proof = BASE64.decode(&parameters.proof).map_err(|_| malformed(path, "the proof is not base64"))?;
    let sealing = SealingKey::derive(passphrase, &salt, iterations)?;
    match sealing.open(PROOF_LABEL, &proof) {
        Ok(_) => Ok(sealing),
        Err(SealError::DoesNotOpen) => Err(KeyStoreError::WrongPassphrase(path.to_owned())),
        Err(other) => Err(other.into()),
    }
}

/// Refuses a file or directory that group or others can reach.
pub(crate) fn refuse_exposed(path: &Path, expected: u32) -> Result<(), KeyStoreError> {
    let found = fs::metadata(path).map_err(|e| io_error(path, e))?.permissions().mode() & 0o7777;
    match found & 0o077 {
        0 => Ok(()),
        _ => Err(KeyStoreError::Exposed { path: path.to_owned(), expected, found }),
    }
}

fn dir_has_keys(dir: &Path) -> Result<bool, KeyStoreError> {
    let mut entries = fs::read_dir(dir).map_err(|e| io_error(dir, e))?;
    Ok(entries.any(|entry| entry.is_ok_and(|e| e.path().extension().is_some_and(|x| x == "key"))))
}

fn io_error(path: &Path, source: io::Error) -> KeyStoreError {
    KeyStoreError::Io { path: path.to_owned(), source }
}

fn malformed(path: &Path, what: &'static str) -> KeyStoreError {
    KeyStoreError::Malformed { path: path.to_owned(), what }
}

fn pem(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(BASE64.encode(der));
    let mut text = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

fn unpem(label: &str, text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let inside = text
        .trim()
        .strip_prefix(&format!("-----BEGIN {label}-----"))?
        .strip_suffix(&format!("-----END {label}-----"))?;
    let joined: Zeroizing<String> = Zeroizing::new(inside.split_ascii_whitespace().collect());
    BASE64.decode(joined.as_bytes()).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests;
