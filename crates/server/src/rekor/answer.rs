//! What the log answers, whichever wire the question came by: HTTP and gRPC say the same.
//!
//! The answer to a new entry is complete: inclusion proof, checkpoint, every field. A duplicate is answered like the
//! first time, with a current proof, because clients retry. The reference server's words come first, details after them.

use crate::{
    http::{ApiError, Code},
    logs::{FROZEN, Ledger},
};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use sealog_bundle::{
    Answers, CreateEntryRequest, InclusionProof, JsonError, KindVersion, TransparencyLogEntry,
    admission::{DEFAULT_ALGORITHMS, admit},
    json::JsonFault,
};
use sealog_log_engine::Receipt;
use sealog_tlog::{EntryBytes, EntryLeaf};
use std::sync::Arc;

pub(super) use sealog_bundle::request::MAX_REQUEST_BYTES as MAX_REQUEST;

const INVALID: &str = "invalid hashedrekord request";
const WRONG_TYPE: &str = "invalid type, must be hashedrekord";
const OVERLOADED: &str = "reached max pushback; retry";

/// The names of a request's two arms, where faults of it are.
pub(super) const HASHED_REKORD: &str = "hashedRekordRequestV002";
pub(super) const DSSE: &str = "dsseRequestV002";

/// What the handlers share.
pub(super) struct RekorApi {
    pub(super) log: Ledger<EntryLeaf>,
    log_id: [u8; 32],
    /// What the answers under the checkpoint of the last one share.
    answers: ArcSwapOption<(Bytes, Answers)>,
}

impl RekorApi {
    pub(super) fn new(log: Ledger<EntryLeaf>, log_id: [u8; 32]) -> Self {
        Self { log, log_id, answers: ArcSwapOption::empty() }
    }

    /// Takes an entry in, if the request could be read and is good, and says where it is.
    pub(super) async fn create(
        &self,
        request: Result<CreateEntryRequest, JsonError>,
    ) -> Result<TransparencyLogEntry, ApiError> {
        self.entry(&self.append(request).await?)
    }

    /// The same, in JSON.
    pub(super) async fn create_json(
        &self,
        request: Result<CreateEntryRequest, JsonError>,
    ) -> Result<Vec<u8>, ApiError> {
        self.json(&self.append(request).await?)
    }

    async fn append(&self, request: Result<CreateEntryRequest, JsonError>) -> Result<Receipt, ApiError> {
        // Of a log that takes no more nothing else is to be learned.
        if self.log.is_frozen() {
            return Err(ApiError::new(Code::Unimplemented, FROZEN));
        }
        let request = request.map_err(|error| refuse(&error))?;
        let admitted = admit(request, &DEFAULT_ALGORITHMS)
            .map_err(|error| ApiError::invalid(format!("{INVALID}: {error}")))?;
        let (receipt, _) = self.log.append(EntryBytes(admitted.into_canonical()), OVERLOADED).await?;
        Ok(receipt)
    }

    /// What the newest published state has under this path.
    pub(super) async fn read(&self, path: String) -> Result<Bytes, ApiError> {
        self.log.read(path).await
    }

    fn json(&self, receipt: &Receipt) -> Result<Vec<u8>, ApiError> {
        let body = EntryLeaf::entry(&receipt.encoded).map_err(|e| broken(&e))?;
        let answers = self.answers(receipt)?;
        Ok(answers.1.json(receipt.index, receipt.proof.hashes.iter().map(|hash| &hash.0), body))
    }

    /// Entries of a batch have one checkpoint between them, and mostly come one behind the other.
    fn answers(&self, receipt: &Receipt) -> Result<Arc<(Bytes, Answers)>, ApiError> {
        let held = self.answers.load_full();
        if let Some(held) = held.filter(|held| held.0 == receipt.checkpoint) {
            return Ok(held);
        }
        let checkpoint = std::str::from_utf8(&receipt.checkpoint).map_err(|e| broken(&e))?;
        let kind_version = KindVersion::hashedrekord_v002();
        let (root, size) = (&receipt.root.0, receipt.proof.size);
        let answers = Answers::new(&self.log_id, &kind_version, root, size, checkpoint);
        let answers = Arc::new((receipt.checkpoint.clone(), answers));
        self.answers.store(Some(Arc::clone(&answers)));
        Ok(answers)
    }

    fn entry(&self, receipt: &Receipt) -> Result<TransparencyLogEntry, ApiError> {
        let body = EntryLeaf::entry(&receipt.encoded).map_err(|e| broken(&e))?;
        let checkpoint = std::str::from_utf8(&receipt.checkpoint).map_err(|e| broken(&e))?;
        Ok(TransparencyLogEntry {
            log_index: receipt.index,
            log_id: self.log_id.to_vec(),
            kind_version: KindVersion::hashedrekord_v002(),
            integrated_time: 0,
            inclusion_promise: None,
            inclusion_proof: Some(InclusionProof {
                log_index: receipt.index,
                root_hash: receipt.root.0,
                tree_size: receipt.proof.size,
                hashes: receipt.proof.hashes.iter().map(|hash| hash.0).collect(),
                checkpoint: checkpoint.to_owned(),
            }),
            canonicalized_body: body.to_vec(),
        })
    }
}

fn broken(what: &dyn std::fmt::Display) -> ApiError {
    ApiError::internal("the log failed").because(what)
}

fn refuse(error: &JsonError) -> ApiError {
    let begins = |arm: &str| error.path.strip_prefix(arm);
    // At the top a missing or doubled arm is told of both arms at once.
    if begins(HASHED_REKORD).is_some_and(|rest| rest.starts_with(", ")) {
        return ApiError::invalid(WRONG_TYPE);
    }
    let in_an_arm = [HASHED_REKORD, DSSE].into_iter().any(|arm| begins(arm).is_some());
    match error.fault {
        JsonFault::UnknownField => ApiError::invalid(format!("invalid request: {error}")),
        _ if in_an_arm => ApiError::invalid(format!("{INVALID}: {error}")),
        _ => ApiError::invalid(format!("invalid request: {error}")),
    }
}
