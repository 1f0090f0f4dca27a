//! Step 11: that what an envelope states is about the artifact.

use crate::{
    artifact::Artifact,
    structure::{Signed, Structure},
};
use alloc::string::String;
use sealog_bundle::{
    JsonError, Statement,
    dsse::IN_TOTO_PAYLOAD_TYPE,
    statement::{STATEMENT_V01, STATEMENT_V1},
};

/// Why the envelope says nothing about the artifact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Not an in-toto statement.
    #[error("the envelope's payload is not an in-toto statement")]
    PayloadType {
        /// The payload type.
        found: String,
    },
    /// It cannot be read.
    #[error("the statement cannot be read: {0}")]
    Unreadable(JsonError),
    /// A statement of another type.
    #[error("the statement's type is not known")]
    StatementType {
        /// The type.
        found: String,
    },
    /// About nothing.
    #[error("the statement has no subject with a digest we know")]
    NoSubject,
    /// No subject has the artifact's digest.
    #[error("the statement is not about this artifact")]
    OtherArtifact {
        /// What it is about: its first subject's digest.
        expected: String,
        /// The artifact's digest.
        found: String,
    },
}

/// That the content speaks of the artifact: it is the artifact, or this statement names it.
pub(crate) struct VerifiedStatement(Option<Statement>);

impl VerifiedStatement {
    pub(crate) fn into_inner(self) -> Option<Statement> {
        self.0
    }
}

pub(crate) fn check(
    structure: &Structure<'_>,
    artifact: &Artifact<'_>,
) -> Result<VerifiedStatement, StatementError> {
    let envelope = match structure.signed() {
        Signed::Message(_) => return Ok(VerifiedStatement(None)),
        Signed::Envelope(envelope) => envelope,
    };
    if envelope.payload_type != IN_TOTO_PAYLOAD_TYPE {
        return Err(StatementError::PayloadType { found: envelope.payload_type.clone() });
    }
    let statement = Statement::parse(&envelope.payload).map_err(StatementError::Unreadable)?;
    if ![STATEMENT_V1, STATEMENT_V01].contains(&statement.statement_type.as_str()) {
        return Err(StatementError::StatementType { found: statement.statement_type });
    }
    let about =
        statement.algorithms().into_iter().filter_map(|a| artifact.digest(a)).find(|d| statement.is_about(d));
    if about.is_some() {
        return Ok(VerifiedStatement(Some(statement)));
    }
    let first = statement.subjects.iter().flat_map(|s| &s.digests).next();
    let first = first.ok_or(StatementError::NoSubject)?;
    let found = artifact.digest(first.algorithm()).or_else(|| artifact.any_digest());
    Err(StatementError::OtherArtifact {
        expected: alloc::format!("{first}"),
        found: found.map(|digest| alloc::format!("{digest}")).unwrap_or_default(),
    })
}
