//! Front ends and the one sequencer of a log: entries go one way, receipts the other.
//!
//! A front end parses, verifies and canonicalises, and keeps nothing. It finds the sequencer by the log's head, in the
//! bucket, which also has the token that the sequencer wants to be shown ([`finder`]). Entries go there many at a time, in
//! requests of HTTP/1.1 (what waits while a few are under way goes with the next one, so that streams within a connection
//! would save nothing), in the one form of [`wire`]. What comes back is believed of nobody: a receipt counts only if its
//! proof leads from the very entry that was sent to a checkpoint signed by the log's key ([`front_end`]). So whoever answers
//! in a sequencer's place can refuse, and can do nothing else; and an entry whose answer was lost is sent again, to
//! whoever has the log then, and gets the place it had.

mod finder;
mod front_end;
mod late;
#[cfg(test)]
pub(crate) mod memory;
pub mod sequencer;
pub mod wire;

pub use front_end::{FrontEnd, Refusal, Trust};

use sealog_log_engine::Receipt;
use sealog_tlog::{
    EntryBytes, EntryLeaf, Leaf, LeafError,
    ct::{CtEntry, CtLeaf, CtSubmission},
    leaf::MAX_ENTRY_LEN,
};
use serde::Deserialize;
use std::sync::Arc;

/// What of a log a process does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// All of it: takes entries in and gives them their places.
    #[default]
    Sequencer,
    /// Takes entries in and hands them to the sequencer.
    FrontEnd,
}

/// The `[rekor.sequencer]` or `[ctlog.sequencer]` table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Where it listens for front ends; not for the world.
    pub listen: crate::config::Listen,
    /// The URL they reach it by.
    pub url: crate::config::PublicUrl,
}

/// What a log's own key says of an entry beside the checkpoint, for those who do not have the key: the sequencer makes it,
/// since front ends, which stand closer to the world, have no use for the key otherwise.
pub type Vouch = Arc<dyn Fn(&Receipt) -> anyhow::Result<Vec<u8>> + Send + Sync>;

/// A leaf whose submissions can be sent to another process.
pub trait Carried: Leaf {
    /// The submission's bytes.
    ///
    /// # Errors
    /// When it is too long to be a leaf: then nobody need be asked.
    fn encode(pending: &Self::Pending) -> Result<Vec<u8>, LeafError>;

    /// Reads them.
    fn decode(bytes: &[u8]) -> Option<Self::Pending>;
}

impl Carried for EntryLeaf {
    fn encode(pending: &EntryBytes) -> Result<Vec<u8>, LeafError> {
        match pending.0.len() {
            ..=MAX_ENTRY_LEN => Ok(pending.0.clone()),
            found => Err(LeafError::TooLong { part: "an entry", limit: MAX_ENTRY_LEN, found }),
        }
    }

    fn decode(bytes: &[u8]) -> Option<EntryBytes> {
        Some(EntryBytes(bytes.to_vec()))
    }
}

/// First byte of a submission to a certificate log: what follows.
const X509: u8 = 0;
const PRECERT: u8 = 1;

impl Carried for CtLeaf {
    fn encode(pending: &CtSubmission) -> Result<Vec<u8>, LeafError> {
        write(pending).ok_or(LeafError::Malformed("a certificate has more than 4 GiB"))
    }

    fn decode(bytes: &[u8]) -> Option<CtSubmission> {
        let mut reader = wire::Reader(bytes);
        let entry = match reader.u8()? {
            X509 => CtEntry::X509 { cert: reader.bytes()?.to_vec() },
            PRECERT => CtEntry::Precert {
                issuer_key_hash: reader.array()?,
                tbs: reader.bytes()?.to_vec(),
                precert: reader.bytes()?.to_vec(),
            },
            _ => return None,
        };
        let count = reader.u32()?;
        let mut issuers = Vec::new();
        for _ in 0..count {
            issuers.push(reader.bytes()?.to_vec());
        }
        reader.is_empty().then_some(CtSubmission { entry, issuers })
    }
}

fn write(pending: &CtSubmission) -> Option<Vec<u8>> {
    let mut writer = wire::Writer::default();
    match &pending.entry {
        CtEntry::X509 { cert } => {
            writer.u8(X509);
            writer.bytes(cert)?;
        }
        CtEntry::Precert { issuer_key_hash, tbs, precert } => {
            writer.u8(PRECERT);
            writer.raw(issuer_key_hash);
            writer.bytes(tbs)?;
            writer.bytes(precert)?;
        }
    }
    writer.count(pending.issuers.len())?;
    for issuer in &pending.issuers {
        writer.bytes(issuer)?;
    }
    Some(writer.done())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn submissions_come_back_as_they_were_and_damaged_ones_not_at_all() {
        let cert = CtEntry::X509 { cert: vec![1, 2, 3] };
        let precert = CtEntry::Precert { issuer_key_hash: [7; 32], tbs: vec![4; 300], precert: vec![5; 400] };
        for entry in [cert, precert] {
            let submission = CtSubmission { entry, issuers: vec![vec![8; 9], Vec::new()] };
            let bytes = CtLeaf::encode(&submission).unwrap();
            assert_eq!(CtLeaf::decode(&bytes), Some(submission));
            for end in 0..bytes.len() {
                assert_eq!(CtLeaf::decode(&bytes[..end]), None, "cut at {end}");
            }
            assert_eq!(CtLeaf::decode(&[&bytes[..], &[0]].concat()), None);
        }
        // A length that is only said costs nothing.
        assert_eq!(CtLeaf::decode(&[0, 0, 0, 0, 0, 255, 255, 255, 255]), None);
    }
}
