//! Whether the log still works: set once, by whoever meets a failure nothing may follow.

use std::io;
use std::sync::{Arc, OnceLock};

use crate::error::{Cause, Failure};

/// Shared by the threads of one log and everyone who asks it for something.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failure: OnceLock<Failure>,
}

impl Health {
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.failure.get()
    }

    /// Stops the log. The first cause is kept.
    pub(crate) fn fail(&self, cause: Cause, source: Option<io::Error>) -> Failure {
        let failure = Failure { cause, source: source.map(Arc::new) };
        if self.failure.set(failure.clone()).is_ok() {
            let why = failure.source.as_ref().map(ToString::to_string).unwrap_or_default();
            tracing::error!(cause = %failure.cause, error = %why, "the log has stopped; restart it to read it again");
        }
        self.failure.get().cloned().unwrap_or(failure)
    }
}
