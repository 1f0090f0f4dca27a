//! How far each log has been read, kept in a file across runs: written whole or not at all, and synced.
//!
//! The file is the watcher's memory of what logs signed. It is trusted, so it is not a cache: losing it
//! loses the means to notice that a log rewrote its past. It belongs to one name; under another name it
//! would pass over entries silently.

use super::{event::Interest, follow::LogState, log::LogDescription};
use sealog_tlog::{
    Hash, SignedCheckpoint,
    checkpoint::CheckpointError,
    merkle::{Peaks, PeaksError},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

/// The format that is written; others are refused.
const VERSION: u32 = 1;
/// Far more than the logs of any trusted root need.
const MAX_STATE_BYTES: u64 = 16 << 20;

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It, or its lock, cannot be read or written.
    #[error("the state file `{path}` cannot be {what}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Read, written or locked.
        what: &'static str,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// Another watcher uses it.
    #[error("the state file `{path}` is in use by another watcher", path = path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is not a state file.
    #[error("`{path}` is not a state file of this program", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        cause: serde_json::Error,
    },
    /// Written by another version.
    #[error("the state file `{path}` has format {found}, not {VERSION}", path = path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It belongs to another name.
    #[error("the state file `{path}` is of a watch for {found}, not {expected}", path = path.display())]
    OtherName {
        /// The file.
        path: PathBuf,
        /// The name watched for now.
        expected: String,
        /// The name in the file.
        found: String,
    },
    /// What it says of a log does not hold together.
    #[error("the state file `{path}` is damaged where it speaks of log `{log}`: {cause}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The log.
        log: String,
        /// What does not hold.
        cause: Damage,
    },
}

/// What does not hold together in a state.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The peaks are none.
    #[error("the peaks are not hashes")]
    Hex,
    /// The peaks do not fit the size.
    #[error(transparent)]
    Peaks(#[from] PeaksError),
    /// The checkpoint is not the log's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// More was read than signed, or something else.
    #[error("what was read is not what was signed")]
    Tree,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: u32,
    identity: String,
    issuer: Option<String>,
    /// By log ID, hex.
    logs: BTreeMap<String, Record>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    origin: String,
    url: String,
    /// Entries read.
    size: u64,
    /// The tree of the entries read.
    peaks: Vec<String>,
    /// The last checkpoint seen.
    checkpoint: Option<String>,
}

/// A state file, held by one watcher at a time.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    document: Document,
    /// Locked as long as this lives.
    _lock: File,
}

impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Document({} logs)", self.logs.len())
    }
}

impl StateFile {
    /// Opens a state file; one that does not exist begins empty and is made when something is kept.
    ///
    /// # Errors
    /// See [`StateError`].
    pub fn open(path: &Path, interest: &Interest) -> Result<Self, StateError> {
        let io = |what| move |cause| StateError::Io { path: path.to_owned(), what, cause };
        let lock =
            OpenOptions::new().create(true).append(true).open(beside(path, ".lock")).map_err(io("locked"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(cause)) => return Err(io("locked")(cause)),
        }
        let document = match File::open(path) {
            Ok(file) => {
                let mut bytes = Vec::new();
                file.take(MAX_STATE_BYTES).read_to_end(&mut bytes).map_err(io("read"))?;
                let malformed = |cause| StateError::Malformed { path: path.to_owned(), cause };
                serde_json::from_slice::<Document>(&bytes).map_err(malformed)?
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Document {
                version: VERSION,
                identity: interest.identity().to_owned(),
                issuer: interest.issuer().map(str::to_owned),
                logs: BTreeMap::new(),
            },
            Err(cause) => return Err(io("read")(cause)),
        };
        if document.version != VERSION {
            return Err(StateError::Version { path: path.to_owned(), found: document.version });
        }
        let (expected, found) = (
            name(interest.identity(), interest.issuer()),
            name(&document.identity, document.issuer.as_deref()),
        );
        if expected != found {
            return Err(StateError::OtherName { path: path.to_owned(), expected, found });
        }
        Ok(Self { path: path.to_owned(), document, _lock: lock })
    }

    /// What was kept of a log; `None` for a log never seen.
    ///
    /// # Errors
    /// When it does not hold together, or was not signed by this log.
    pub fn state_of(&self, log: &LogDescription) -> Result<Option<LogState>, StateError> {
        let Some(record) = self.document.logs.get(&hex::encode(&log.log_id)) else { return Ok(None) };
        let damaged = |cause| StateError::Damaged { path: self.path.clone(), log: log.origin.clone(), cause };
        read(record, log).map(Some).map_err(damaged)
    }

    /// Keeps what is known of a log now. When this returns it is on the disk.
    ///
    /// # Errors
    /// When it cannot be written; what was kept before is then still there.
    pub fn keep(&mut self, log: &LogDescription, state: &LogState) -> Result<(), StateError> {
        let record = Record {
            origin: log.origin.clone(),
            url: log.url.to_string(),
            size: state.peaks.size(),
            peaks: state.peaks.hashes().iter().map(Hash::to_string).collect(),
            checkpoint: state.checkpoint.as_ref().map(|signed| signed.note.encode()),
        };
        self.document.logs.insert(hex::encode(&log.log_id), record);
        self.write().map_err(|cause| StateError::Io { path: self.path.clone(), what: "written", cause })
    }

    /// Origins of logs that were followed once and are not among these.
    #[must_use]
    pub fn left_behind(&self, logs: &[LogDescription]) -> Vec<&str> {
        let followed = |id: &str| logs.iter().any(|log| hex::encode(&log.log_id) == id);
        let gone = self.document.logs.iter().filter(|(id, _)| !followed(id));
        gone.map(|(_, record)| record.origin.as_str()).collect()
    }

    fn write(&self) -> io::Result<()> {
        let mut bytes = serde_json::to_vec_pretty(&self.document)?;
        bytes.push(b'\n');
        // Nobody else writes this name: the lock is ours.
        let beside = beside(&self.path, ".new");
        let mut file = File::create(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        // The new name is durable once its directory is.
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        #[cfg(unix)]
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
        #[cfg(not(unix))]
        let _ = directory;
        Ok(())
    }
}

fn read(record: &Record, log: &LogDescription) -> Result<LogState, Damage> {
    let hash = |text: &String| {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).map(|()| Hash(hash)).map_err(|_| Damage::Hex)
    };
    let hashes = record.peaks.iter().map(hash).collect::<Result<_, _>>()?;
    let peaks = Peaks::from_parts(record.size, hashes)?;
    let checkpoint = record.checkpoint.as_ref().map(SignedCheckpoint::parse).transpose()?;
    let holds = match &checkpoint {
        Some(signed) => {
            let seen = signed.verify(&log.key)?;
            peaks.size() < seen.size || (peaks.size() == seen.size && peaks.root() == seen.root)
        }
        None => peaks.size() == 0,
    };
    if holds { Ok(LogState { peaks, checkpoint }) } else { Err(Damage::Tree) }
}

fn name(identity: &str, issuer: Option<&str>) -> String {
    match issuer {
        Some(issuer) => format!("`{identity}` through `{issuer}`"),
        None => format!("`{identity}` through any issuer"),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
