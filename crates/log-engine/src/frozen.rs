//! A log that takes no more entries: its last checkpoint and everything under it, read for ever and without its key.

use std::sync::{Arc, Mutex};

use sealog_tlog::Leaf;

use crate::error::OpenError;
use crate::inspect::{Identity, Inspected, inspect};
use crate::place::Place;
use crate::storage::Storage;
use crate::view::View;

/// A frozen log, open for reading; a directory is kept from those who would append to it.
pub struct Frozen {
    view: Arc<View>,
    _hold: Mutex<Box<dyn Storage>>,
}

impl Frozen {
    /// Opens a log that nobody runs. It may be older than what its key has signed (from a backup, when the rest is lost),
    /// since nothing will be signed on top of it.
    ///
    /// # Errors
    /// When it is damaged, when somebody runs it, and when committed entries are not published yet.
    pub fn open<L: Leaf>(place: &Place, identity: &Identity<'_>) -> Result<Self, OpenError> {
        let inspected = inspect::<L>(place, identity, false)?;
        inspected.refuse_unpublished()?;
        let Inspected { view, storage, .. } = inspected;
        Ok(Self { view, _hold: Mutex::new(storage) })
    }

    /// Its last state.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }
}

impl std::fmt::Debug for Frozen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frozen").field("view", &self.view).finish_non_exhaustive()
    }
}
